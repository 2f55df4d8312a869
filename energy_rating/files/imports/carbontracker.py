"""carbontracker's logs: ``*_carbontracker.log``, in which each epoch and its powers stand, and ``*_output.log`` beside it.

Taken are the epochs that were measured, power times duration of each component. They hold no PUE; the sums in the output log do (1.58 in
2.x, 1.55 in 1.2.5), and beside the actual sum they tell a prediction for all epochs, which is never taken. Seen by running it: since 2.0
the one power of several GPUs is their mean, and the tool's own sum counts them as one; 1.2.5 told each of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from energy_rating.files.foreign import Foreign
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Had,
    Import,
    amount,
    not_taken,
    of_import,
    text,
)
from energy_rating.nouns.entries import RUN, Component, Device, Finding
from energy_rating.nouns.errors import BadInput

NAME = "carbontracker"

# carbontracker/loggerutil.py and tracker.py (2.4.7): "%(asctime)s - %(message)s", at whole seconds of local time.
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) - (.*)")
_VERSION = re.compile(r"carbontracker version (\S{1,40})")
_PUE = re.compile(r"PUE coefficient of (\d{1,3}(?:\.\d{1,6})?)")
_FOUND = re.compile(r"([A-Z]{2,5}) with device\(s\) (.*?)(?:\. (?=[A-Z]{2,5} with device)|\.?$)")
_EPOCH = re.compile(r"Epoch (\d{1,9}):")
_DURATION = re.compile(r"Duration: (?:(\d{1,6}) days?, )?(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,6})?)")
_POWER = re.compile(r"Average power usage \(W\) for (\w{2,5}): (.{1,4000})")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{0,20})?(?:e[+-]?\d{1,3})?")
_SUMS = re.compile(r"(Predicted|Actual) consumption for (\d{1,9}) epoch\(s\):")
_STAMP = re.compile(r"(\d{1,9}(?:\.\d{1,9})?_\d{4}-\d\d-\d\dT\d{6}Z)_carbontracker(?:_output)?\.log")

# GPUs are read through the driver; of processors the log tells RAPL and half the rated power alike (components/cpu/generic.py).
_PARTS: dict[str, tuple[Component, Had]] = {
    "gpu": ("gpu", "sensor"),
    "cpu": ("cpu", "untold"),
    "dram": ("dram", "untold"),
    "ane": ("module", "untold"),
}
# It reads each component every ten seconds unless it is told otherwise (update_interval).
PERIOD_S = 10.0
MOST_EPOCHS = 100_000


def is_mine(file: Foreign) -> bool:
    start = file.beginning[:4000]
    return (_VERSION.search(start) is not None and "Average power usage" in file.beginning) or _is_output(
        file
    )


def _is_output(file: Foreign) -> bool:
    return re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - CarbonTracker: ", file.beginning) is not None


def read(file: Foreign) -> Iterator[Import]:
    if _is_output(file):
        log = next((one for one in file.beside() if _belongs(one, file) and not _is_output(one)), None)
        if log is None:
            raise BadInput(
                "tells a sum with a PUE in it, and not with which one, nor what each component drew",
                "Import the file *_carbontracker.log that was written beside it",
            )
        file, output = log, file
    else:
        found = next((one for one in file.beside() if _belongs(one, file) and _is_output(one)), None)
        output = found or file
    yield _import(_read(file), _sums(output) if output is not file else {}, _own_id(file))


def _belongs(one: Foreign, other: Foreign) -> bool:
    stamps = [_STAMP.fullmatch(file.path.name) for file in (one, other)]
    return all(stamps) and stamps[0][1] == stamps[1][1] and is_mine(one)  # type: ignore[index]


def _own_id(file: Foreign) -> str | None:
    """Process and start, which stand in the file's name alone; of a file that was renamed, its content is its name."""
    stamp = _STAMP.fullmatch(file.path.name)
    return stamp[1].replace("_", "-") if stamp else None


@dataclass(slots=True)
class _TrackersEpoch:
    number: int
    duration_s: float = 0.0
    watts: dict[str, list[float]] = field(default_factory=dict)


@dataclass(slots=True)
class _TrackersLog:
    start: str | None = None
    version: str | None = None
    pue: str | None = None
    devices: dict[str, list[str]] = field(default_factory=dict)
    epochs: list[_TrackersEpoch] = field(default_factory=list)
    ended: bool = False


def _read(file: Foreign) -> _TrackersLog:
    log = _TrackersLog()
    for line in file.text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        log.start = log.start or found[1]
        _take(log, found[2][:10_000])
        if len(log.epochs) > MOST_EPOCHS:
            raise BadInput(f"must tell of at most {MOST_EPOCHS:,} epochs; there are more", "Split it")
    return log


def _take(log: _TrackersLog, message: str) -> None:
    if (version := _VERSION.match(message)) is not None:
        log.version = version[1]
    elif (pue := _PUE.search(message)) is not None:
        log.pue = pue[1]
    elif message.startswith("The following components were found: "):
        for kind, names in _FOUND.findall(message.partition(": ")[2]):
            log.devices[kind.lower()] = names.split(", ")
    elif (epoch := _EPOCH.fullmatch(message)) is not None:
        log.epochs.append(_TrackersEpoch(int(epoch[1])))
    elif (lasted := _DURATION.fullmatch(message)) is not None and log.epochs:
        days, hours, minutes, rest = lasted.groups()
        log.epochs[-1].duration_s = (
            int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)
        )
    elif (power := _POWER.match(message)) is not None and log.epochs:
        watts = [amount(number, 1e9) for number in _NUMBER.findall(power[2])]
        log.epochs[-1].watts[power[1]] = [one for one in watts if one is not None]
    elif message.startswith("Monitoring thread ended"):
        log.ended = True


def _sums(output: Foreign) -> dict[str, int]:
    """For how many epochs the output log tells a prediction and a sum."""
    return {kind: int(epochs) for kind, epochs in _SUMS.findall(output.text)}


def _import(log: _TrackersLog, sums: dict[str, int], own_id: str | None) -> Import:
    epochs = [epoch for epoch in log.epochs if epoch.duration_s > 0 and any(epoch.watts.values())]
    if not epochs:
        raise BadInput(
            "tells of no epoch that was measured to its end", "Import the log of a run that got further"
        )
    energies = [tuple(_energies(epoch, log)) for epoch in epochs]
    per_epoch = ForeignPart(
        name="epoch",
        n=len(epochs),
        duration_s=math.fsum(epoch.duration_s for epoch in epochs),
        energies=tuple(one for each in energies for one in each),
        work={"epoch": len(epochs)},
    )
    run = ForeignPart(
        name=RUN, duration_s=per_epoch.duration_s, energies=per_epoch.energies, work=per_epoch.work
    )
    return Import(
        tool=NAME,
        version=log.version,
        own_id=own_id,
        when=(log.start or "").replace(" ", "T"),
        stage="other",
        parts=(run, per_epoch),
        devices=tuple(_devices(log)),
        says=tuple(_says(log, epochs, sums)),
        data={"epochs": len(epochs)},
    )


def _energies(epoch: _TrackersEpoch, log: _TrackersLog) -> Iterator[ForeignEnergy]:
    for kind, watts in epoch.watts.items():
        component, had = _PARTS.get(kind, ("host", "untold"))
        names = log.devices.get(kind, [])
        if len(watts) == 1 and len(names) > 1:
            watts = watts * len(names)  # their mean
        for number, power in enumerate(watts):
            yield ForeignEnergy(
                component=component,
                joules=power * epoch.duration_s,
                had=had,
                device=f"{kind}{number}",
                period_s=min(PERIOD_S, epoch.duration_s),
            )


def _devices(log: _TrackersLog) -> Iterator[Device]:
    for kind, names in log.devices.items():
        for number, name in enumerate(names):
            yield Device(id=f"{kind}{number}", name=text(name) or "not told")


def _says(log: _TrackersLog, epochs: Sequence[_TrackersEpoch], sums: dict[str, int]) -> Iterator[Finding]:
    means = [
        kind
        for kind, names in log.devices.items()
        if len(names) > 1 and any(len(epoch.watts.get(kind, ())) == 1 for epoch in epochs)
    ]
    if means:
        told = ", ".join(f"{len(log.devices[kind])} of {kind}" for kind in means)
        yield of_import(
            "imported-converted",
            f"the log tells one power, the mean, of several devices ({told}): it was multiplied by their number, which carbontracker's "
            "own sum does not do",
        )
    if log.pue is not None:
        yield not_taken(
            f"carbontracker's own sum and prediction, which hold a PUE of {log.pue}, and its emissions",
            "taken is power times duration of the epochs that were measured",
        )
    predicted, actual = sums.get("Predicted"), sums.get("Actual")
    if predicted is not None and predicted > len(epochs):
        yield of_import(
            "imported-incomplete",
            f"{len(epochs)} of {predicted} epochs were measured: it is their energy, not the training's",
            severity="degrades",
        )
    elif not log.ended or (actual is None and sums):
        yield of_import(
            "imported-incomplete",
            "the log has no end: the run was killed or still goes on, and what came after the last whole epoch is not in it",
            severity="degrades",
        )
    if "gpu" not in log.devices:
        yield of_import(
            "gpu-not-measured", "carbontracker found no GPU", "Measure it with energy-rating", severity="note"
        )
    yield of_import(
        "imported-scope",
        "it is the energy of whole devices during epochs, whatever else ran on them; what came between epochs is not in it",
    )
