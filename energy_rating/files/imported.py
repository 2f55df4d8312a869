"""From what a stranger's file says to a record with ``origin: imported``: what all formats have in common.

A format (``files/imports/``) says what it read as an ``Import``; here it becomes a ``Record``. Whatever the format, three things hold:
an energy that the file does not say was read from a sensor is taken as a model's; no energy is measured by us, which every record says;
and its doubt follows from one rule, told in the record, and wide: nobody here saw the sensor, its gaps, or what else ran on the machine.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePath, PureWindowsPath
from typing import Literal

from energy_rating.files.withheld import without_secrets
from energy_rating.nouns.entries import (
    LEAST_DURATION_S,
    RUN,
    Channel,
    Component,
    Device,
    Environment,
    Finding,
    Lineage,
    Load,
    Method,
    Model,
    Place,
    Quality,
    Setting,
    Stage,
    Task,
)
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.findings import ESTIMATED, severity_of
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Measurement,
    Provenance,
    Record,
    component_methods,
    validity,
)
from energy_rating.nouns.work import LEAST_WORK, MOST_WORK, Number, Work, is_unit
from energy_rating.version import __version__

# How an energy was had, as far as the file, or the program that wrote it, says. ``sensor``: read from the device's own sensor;
# ``meter``: from a meter at the wall; ``model``: reckoned from load or rated power; ``untold``: the file leaves it open, and so it counts
# as a model's.
Had = Literal["sensor", "meter", "model", "untold"]

# The doubt of a figure that is not ours, relative, 1 σ. Assumptions, each at least twice what the same figure carries where this package
# measures itself, since gaps, edges and the devices that were meant cannot be looked at any more.
#   sensor  NVIDIA's boards stray by 4.3 % rms from a meter (arXiv 2312.02741), and peers' figures of the same sensor by up to 20 % more
#           on runs of some seconds (docs/against-the-peers.md): 10 %.
#   meter   a meter of which nothing is known carries 5 % here: 10 %. A format that knows its meter's class says so.
#   model   CodeCarbon's model of a processor misses RAPL by 14 to 67 % rms (measuring/sensors/codecarbon.py): 50 %.
RULE: Mapping[Had, float] = {"sensor": 0.10, "meter": 0.10, "model": 0.50, "untold": 0.50}
METHOD: Mapping[Had, Method] = {"sensor": "power", "meter": "power", "model": "model", "untold": "model"}

# How our own exports are told from others' files.
OWN = "energy-rating"

# Two ends of a window, each anywhere within one reading of the sensor: together the width over √6 (as in judging/integration).
EDGES = 1 / math.sqrt(6)

# 1e15 kWh is more than mankind uses in ten years.
MOST_J = 3.6e21
LONGEST_S = 3.2e9  # a hundred years
MOST_RAW = 1e30  # in whatever unit it is told: nanoseconds since 1970 are 1.8e18
LONGEST_TEXT = 200
LONGEST_ID = 80
MOST_DEVICES = 4096

_ID = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignEnergy:
    """What one device, or one component as a whole, drew. ``device`` is unique within the file; None: the component as a whole.

    ``doubt``: the relative doubt (1 σ) where the format has a reason for another than the rule's. ``period_s``: how far apart the readings
    were, where that is known. ``random_j``, ``systematic_j``: where the file itself tells the doubt; they stand before any rule.
    """

    component: Component
    joules: float
    had: Had
    device: str | None = None
    doubt: float | None = None
    period_s: float | None = None
    random_j: float | None = None
    systematic_j: float | None = None

    def estimate(self, duration_s: float) -> Estimate:
        """The energy with the doubt that the rule, or the file itself, gives it."""
        if self.random_j is not None or self.systematic_j is not None:
            return Estimate(
                value=self.joules, random=self.random_j or 0.0, systematic=self.systematic_j or 0.0
            )
        random = 0.0
        if self.period_s and duration_s > 0:
            random = min(self.joules / duration_s * self.period_s * EDGES, self.joules)
        return Estimate(value=self.joules, random=random, systematic=self.relative * self.joules)

    @property
    def relative(self) -> float:
        """The relative doubt of its gain."""
        if self.systematic_j is not None or self.random_j is not None:
            return 0.0
        return RULE[self.had] if self.doubt is None else self.doubt


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignPart:
    """One stretch of a run: ``run`` itself, an epoch, a phase. ``duration_s`` 0: the file does not say how long."""

    name: str
    duration_s: float
    energies: tuple[ForeignEnergy, ...] = ()
    work: Mapping[str, Number] = field(default_factory=dict)
    n: int = 1
    start_s: float = 0.0
    coverage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """What a format read of one run. Texts are the stranger's, and are cleaned when the record is made.

    ``tool`` wrote the file, in this ``version`` as far as it is told; ``own_id`` is its name of the run, by which a second import is
    known again (None: the content itself is). ``run_id``: of a run of ours, as our own file names it. ``when`` is ISO 8601, with a zone
    only where the file says one. ``parts``: the first is the run.
    ``says``: what has to be known of the figures, in addition to what is said of every import. ``data``: of the file, for programs.
    """

    tool: str
    parts: tuple[ForeignPart, ...]
    version: str | None = None
    own_id: str | None = None
    run_id: str | None = None
    when: str | None = None
    stage: Stage = "other"
    model: Model | None = None
    task: Task | None = None
    load: Load | None = None
    place: Place | None = None
    lineage: Lineage | None = None
    devices: tuple[Device, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    quality: tuple[Quality, ...] = ()
    says: tuple[Finding, ...] = ()
    data: Mapping[str, Setting] = field(default_factory=dict)


# --------------------------------------------------------------------------------------------- what a format may say


def of_import(
    code: str,
    message: str,
    remedy: str | None = None,
    *,
    severity: Literal["note", "degrades", "disqualifies"] | None = None,
    measurement: str | None = None,
    data: Mapping[str, Setting] | None = None,
) -> Finding:
    """A finding of an import."""
    return Finding.of(code, message, remedy, severity, measurement=measurement, data=data)


def not_taken(what: str, why: str) -> Finding:
    """That something in the file was left where it is."""
    return of_import("imported-not-taken", f"not taken over: {what}; {why}")


def amount(value: object, most: float) -> float | None:
    """A number of at least 0 from a stranger; None for whatever is none, is not finite, or is beyond all use."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if not isinstance(value, str) else float(value.strip()[:60])
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= most else None


def joules(value: object, factor: float = 1.0) -> float | None:
    """An energy in joules: the number times ``factor``; None where there is none that can be one."""
    number = amount(value, MOST_RAW)
    return None if number is None or number * factor > MOST_J else number * factor


def seconds(value: object, factor: float = 1.0) -> float | None:
    """A duration; None where there is none. What nobody can divide by is none."""
    number = amount(value, MOST_RAW)
    if number is None or number * factor > LONGEST_S or 0 < number * factor < LEAST_DURATION_S:
        return None
    return number * factor


def count(value: object) -> int | None:
    """A whole number above 0 of at most 10 to the 18; None for anything else."""
    number = amount(value, 1e18)
    return int(number) if number is not None and number >= 1 and number == int(number) else None


def work(amounts: Mapping[str, object]) -> dict[str, Number]:
    """The amounts that are amounts, by unit; what is none is left out."""
    found: dict[str, Number] = {}
    for unit, value in amounts.items():
        number = amount(value, MOST_WORK)
        if number is None or not is_unit(unit) or 0 < number < LEAST_WORK:
            continue
        found[unit] = int(number) if number == int(number) and number < 2**53 else number
    return found


def text(value: object, most: int = LONGEST_TEXT) -> str | None:
    """A stranger's word in one line: printable, without secrets, not too long; None for what is empty or no text."""
    if not isinstance(value, str):
        return None
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in value[: 4 * most]).split())
    line = without_secrets(line)[:most].strip()
    return line or None


def model_name(value: object) -> str | None:
    """The id of a model. Of a path only what it ends with, since folders name people."""
    name = text(value)
    if name is None:
        return None
    if name.startswith(("/", "~", "\\", "./", "../")) or re.match(r"[A-Za-z]:[\\/]", name):
        windows = "\\" in name
        name = (PureWindowsPath(name) if windows else PurePath(name)).name
    return name or None


def moment(value: object) -> str | None:
    """A time as ISO 8601: with ``Z`` where the stranger told a zone, without any where not; None for what is no time."""
    if not isinstance(value, str) or len(value) > 60:
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        if time.tzinfo is None:
            return time.isoformat(timespec="seconds")
        return in_utc(time)
    except (ValueError, OverflowError):
        return None


def since_epoch(value: object, factor: float = 1.0) -> str | None:
    """A time in seconds since 1970 (times ``factor``), as UTC."""
    number = amount(value, 1e21)
    if number is None:
        return None
    try:
        return in_utc(datetime.fromtimestamp(number * factor, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def in_utc(time: datetime) -> str:
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


# --------------------------------------------------------------------------------------------------------- the record


def to_record(found: Import, *, sha256: str, form: str, number: int = 0) -> Record:
    """The record of one run.

    Args:
        found: what the format read.
        sha256: of the file that it was read from.
        form: the format's name, which leads the id of the run.
        number: which of the file's runs it is, where the tool gave it no id.

    Raises:
        BadInput: what the file says contradicts itself so that no record can be made.
    """
    if not found.parts or found.parts[0].name != RUN:
        raise BadInput("holds no run", "Name the file that the tool wrote at the run's end")
    channels, devices = _channels(found)
    tool = text(found.tool) or form
    version = text(found.version, 40)
    findings = [*_of_every_import(found, tool, version), *found.says]
    cleaned = tuple(_cleaned(one) for one in findings)
    try:
        measurements = tuple(_measurement(part, channels, cleaned) for part in _apart(found.parts))
        return Record(
            run_id=_run_id(found, form, sha256, number),
            created=moment(found.when) or "unknown",
            origin="imported",
            stage=found.stage,
            model=found.model,
            task=found.task,
            load=found.load,
            place=found.place,
            lineage=found.lineage,
            environment=Environment(devices=devices, software=_software(found, tool, version)),
            channels=tuple(channels.values()),
            measurements=measurements,
            findings=cleaned,
            quality=found.quality,
            provenance=Provenance(version=__version__, journal_sha256="", files={f"imported/{form}": sha256}),
        )
    except ValueError as error:
        raise BadInput(f"says what cannot be: {error}"[:300], "Look at the file") from None


def _run_id(found: Import, form: str, sha256: str, number: int) -> str:
    if found.run_id is not None and (own := as_id(found.run_id)):
        return own
    named = as_id(found.own_id) if found.own_id else ""
    return f"{form}-{named or f'{sha256[:16]}-{number}'}"


def id_of(*parts: object) -> str:
    """A name for a run that has none, from what it says of itself: the same in each of the files that a tool writes of it."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def as_id(name: str) -> str:
    """A name as a run's id, and so as a folder's: letters, digits, dots, dashes; what was cut or replaced leaves a trace of it."""
    plain = _ID.sub("-", without_secrets(name)).strip(".-")
    if plain == name and len(plain) <= LONGEST_ID:
        return plain
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: LONGEST_ID - 9].strip('.-')}-{mark}".lstrip("-") if plain else mark


def _software(found: Import, tool: str, version: str | None) -> dict[str, str]:
    told = {**found.software, tool: version or "version not told"}
    pairs = ((text(name, 60), text(value, 120)) for name, value in told.items())
    return {name: value for name, value in pairs if name and value}


def _of_every_import(found: Import, tool: str, version: str | None) -> Iterator[Finding]:
    data: dict[str, Setting] = {"tool": tool, **({"version": version} if version else {})}
    for name, value in found.data.items():
        kept = text(value) if isinstance(value, str) else value
        if kept is not None:
            data[name] = kept
    yield of_import("imported", f"{taken_over(tool, version)}; no journal stands behind it", data=data)
    energies = [energy for part in found.parts for energy in part.energies]
    had = {energy.had for energy in energies}
    if not energies and any(one.code == "nothing-measured" for one in found.says):
        return  # the format says it better
    if not energies:
        yield of_import(
            "nothing-measured", "the file tells no energy", "Import a file that does, if there is one"
        )
        return
    rules = [_rule(energies, kind) for kind in RULE if kind in had and _rule(energies, kind)]
    if rules:
        yield of_import(
            "imported-doubt",
            f"the uncertainty is by rule, not measured (1 σ): {'; '.join(rules)}",
        )
    else:
        yield of_import("imported-doubt", "the uncertainty is the one that the file tells")
    for component in dict.fromkeys(energy.component for energy in energies):
        kinds = {energy.had for energy in energies if energy.component == component}
        if kinds & {"model", "untold"} and component in ESTIMATED:
            why = (
                f"{tool}'s file does not tell whether it was measured or modelled, so it counts as estimated"
                if "untold" in kinds
                else f"{tool} reckoned it by a model"
            )
            yield of_import(ESTIMATED[component], f"{component}: {why}", "Measure it with energy-rating")
    if had <= {"model", "untold"}:
        names = ", ".join(dict.fromkeys(energy.component for energy in energies))
        yield of_import("estimated-only", f"no sensor is known to stand behind any figure: {names}")


def taken_over(tool: str, version: str | None) -> str:
    """From what a record was taken over, as the beginning of a sentence."""
    told = f"{tool} {version}" if version else f"{tool} (it does not say in which version)"
    if tool == OWN:
        return f"taken over from a table that {told} exported"
    return f"not measured by energy-rating: taken over from a file of {told}"


_WORDS: Mapping[Had, str] = {
    "sensor": "read from a sensor by the other tool",
    "meter": "read from a meter",
    "model": "a model's",
    "untold": "not told how",
}


def _rule(energies: Iterable[ForeignEnergy], kind: Had) -> str:
    ruled = [one for one in energies if one.had == kind and one.random_j is None and one.systematic_j is None]
    if not ruled:
        return ""
    names = ", ".join(dict.fromkeys(one.component for one in ruled))
    shares = sorted({one.relative for one in ruled})
    low, high = f"{100 * shares[0]:.3g}", f"{100 * shares[-1]:.3g}"
    edges = ", and one reading at each end" if any(one.period_s for one in ruled) else ""
    return f"{names} ± {low if low == high else f'{low} to {high}'} %{edges} ({_WORDS[kind]})"


def _cleaned(finding: Finding) -> Finding:
    """What a format quoted of the stranger's file, in one line and without secrets."""
    severity_of(finding.code, finding.severity)
    return replace(
        finding,
        message=text(finding.message, 600) or "…",
        remedy=text(finding.remedy, 300) or "",
        data={
            key: (text(value) or "…") if isinstance(value, str) else value
            for key, value in finding.data.items()
        },
    )


def _channels(found: Import) -> tuple[dict[tuple[str, str], Channel], tuple[Device, ...]]:
    """A channel for each device of each component, as good as the least direct way in which any of its energies was had."""
    kinds: dict[tuple[str, str], list[ForeignEnergy]] = {}
    for part in found.parts:
        for energy in part.energies:
            kinds.setdefault(_key(energy), []).append(energy)
    if len(kinds) > MOST_DEVICES:
        raise BadInput(f"tells of more than {MOST_DEVICES:,} devices", "Look at the file")
    channels: dict[tuple[str, str], Channel] = {}
    known = {device.id: device for device in found.devices}
    for (component, device), energies in kinds.items():
        methods = {METHOD[energy.had] for energy in energies}
        periods = [energy.period_s for energy in energies if energy.period_s]
        channels[component, device] = Channel(
            id=f"imported.{component}{len(channels)}",
            component=energies[0].component,
            device=device,
            method="model" if "model" in methods else "power",
            accuracy=min(energy.relative for energy in energies),
            period_s=max(periods) if periods else None,
        )
    names = dict.fromkeys(device for _, device in channels)
    told = tuple(_device(known[name], name) for name in names if name in known)
    unused = tuple(_device(one, one.id) for one in found.devices if one.id not in names)
    return channels, (*told, *unused)


def _key(energy: ForeignEnergy) -> tuple[str, str]:
    return energy.component, text(energy.device, 120) or f"{energy.component}, as a whole"


def _device(device: Device, name: str) -> Device:
    return replace(
        device,
        id=text(name, 120) or "…",
        name=text(device.name, 120) or "not told",
        driver=text(device.driver, 60),
    )


def _apart(parts: Sequence[ForeignPart]) -> Iterator[ForeignPart]:
    """Each name once: of two that are alike after cleaning, the second gets a number."""
    taken: dict[str, int] = {}
    for part in parts:
        name = text(part.name, 120) or "part"
        taken[name] = taken.get(name, 0) + 1
        yield replace(part, name=name if taken[name] == 1 else f"{name} #{taken[name]}")


def _measurement(
    part: ForeignPart, channels: Mapping[tuple[str, str], Channel], findings: Sequence[Finding]
) -> Measurement:
    by_channel: dict[str, Estimate] = {}
    by_component: dict[str, Estimate] = {}
    for energy in part.energies:
        channel = channels[_key(energy)]
        estimate = energy.estimate(part.duration_s)
        if channel.id in by_channel:
            estimate = by_channel[channel.id].plus(estimate, same_sensor=True)
        by_channel[channel.id] = estimate
    for channel in channels.values():
        if channel.id in by_channel:
            before = by_component.get(channel.component)
            estimate = by_channel[channel.id]
            # One tool read them all, by one rule: what is wrong with one is wrong with all.
            by_component[channel.component] = (
                estimate if before is None else before.plus(estimate, same_sensor=True)
            )
    concerned = [one for one in findings if one.measurement in (None, part.name)]
    return Measurement(
        name=part.name,
        n=part.n,
        start_s=part.start_s,
        duration_s=part.duration_s,
        work=Work(part.work),
        energy_by_channel_j=by_channel,
        energy_j=by_component,
        coverage=part.coverage,
        validity=validity(concerned),
        doubt_from={
            name: "model" if channel.method == "model" else "sensor gain"
            for channel in channels.values()
            for name in (channel.component,)
            if name in by_component
        },
        methods=component_methods(by_channel, tuple(channels.values())),
    )
