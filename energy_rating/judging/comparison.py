"""Two records of the same work: which one needs less energy, by how much, and whether the doubt allows saying so. Pure.

The ratio is B over A. Its doubt is worked out on logarithms, so that comparing B with A says exactly the inverse. What two readings
share cancels: a sensor's gain does on one card, mostly does between cards of one model, and does not between models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from energy_rating.judging.work import Divisor, counted, percent, work_of
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import CONFIDENCE, Estimate, significant
from energy_rating.nouns.reasons import Reason, codes
from energy_rating.nouns.records import (
    COMPONENTS,
    MEASURED,
    RUN,
    TRAINING,
    Component,
    Measurement,
    Record,
    Setting,
    plain,
    worst_method,
)

# Between cards of one model, by which their gains differ (1 σ): 15 cards against a meter, arXiv 2312.02741 (SC24), whose errors
# of 4.3 % in all are mostly common to a model.
BETWEEN_CARDS = 0.016

# What an energy counter's device must be called for two records to name the same one; "0" or "package-0" are in every machine.
UNIQUE_ID = re.compile(r"[0-9a-f]{8,}", re.I)

Verdict = Literal["a-better", "b-better", "undecided"]
Gain = Literal["cancels", "partly-cancels", "counts"]

OF_GAIN: Mapping[Gain, str] = {
    "cancels": "same device and sensor in both, so the sensor's own error does not matter",
    "partly-cancels": f"devices of one model, whose sensors differ by {100 * BETWEEN_CARDS:g} % (1 σ)",
    "counts": "different sensors, so the error of each counts in full",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlikeSetting:
    """A setting in which the two records differ. None: the record does not say."""

    what: str
    a: str | None
    b: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What B needs over what A needs, per ``unit`` of work (None: in all, where no unit is known of both, and no verdict follows).

    ``interval_95`` holds the true ratio with 95 % confidence; the ``verdict`` is undecided where it holds one, or where
    ``notes`` say what forbids a verdict (``why_not``: with code and remedy). ``remarks``: how the work was had, and what the interval leaves out.
    """

    component: Component
    measurement: str
    unit: str | None
    a_j: Estimate
    b_j: Estimate
    ratio: float
    interval_95: tuple[float, float]
    verdict: Verdict
    gain: Gain
    differences: tuple[UnlikeSetting, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    why_not: tuple[Reason, ...] = ()

    def worse_by(self, share: float) -> bool:
        """Whether B needs more than A by more than that share (0.05: 5 %), with 95 % confidence.

        That is: a verdict is possible, and the lower end of the 95 % interval of B over A lies above 1 + ``share``.
        """
        return self.verdict != "undecided" and self.interval_95[0] > 1 + share


def compare(
    a: Record, b: Record, *, unit: str | None = None, component: Component | None = None
) -> Comparison:
    """B over A: energy per unit of the same task under the same protocol, of what both measured.

    Args:
        a: the one that is compared with, such as the run before a change.
        b: the other.
        unit: the unit of work; by default the one that the records' task is rated by, else the only one that both counted.
        component: whose energy; by default the first that both measured (``gpu``, ``cpu``, …).

    Raises:
        BadInput: the records are of different tasks, protocols or stages, or have nothing in common that could be compared.
    """
    refuse_unlike(a, b)
    name = RUN if a.stage in TRAINING or MEASURED not in a or MEASURED not in b else MEASURED
    for letter, record in (("A", a), ("B", b)):
        if name not in record:
            raise BadInput(
                f"{letter} has no measurement {name!r}",
                "Compare records that energy-rating made",
                place="compare",
            )
    of_a, of_b = a[name], b[name]
    component = _component(of_a, of_b, component)
    works = work_of(a, of_a), work_of(b, of_b)
    unit = _unit(a, b, works, unit)
    a_j, b_j = (
        _per_unit(m, component, unit, work, letter)
        for m, work, letter in ((of_a, works[0], "A"), (of_b, works[1], "B"))
    )
    gain = _gain(a, b, of_a, of_b, component)
    sigma = math.hypot(
        a_j.random / a_j.value,
        b_j.random / b_j.value,
        _of_gain(a_j.systematic / a_j.value, b_j.systematic / b_j.value, gain),
    )
    ratio = b_j.value / a_j.value
    # exp of a thousand is no number; a doubt so large allows any ratio, and no verdict.
    factor = math.exp(min(NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * sigma, 500.0))
    interval = ratio / factor, ratio * factor
    why_not = tuple(_why_no_verdict(a, b, of_a, of_b, component, unit))
    verdict: Verdict = "undecided"
    if not why_not:
        verdict = "b-better" if interval[1] < 1 else "a-better" if interval[0] > 1 else "undecided"
    return Comparison(
        component=component,
        measurement=name,
        unit=unit,
        a_j=a_j,
        b_j=b_j,
        ratio=ratio,
        interval_95=interval,
        verdict=verdict,
        gain=gain,
        differences=tuple(_differences(a, b, of_a, of_b, component)),
        notes=tuple(reason.message for reason in why_not),
        why_not=why_not,
        remarks=tuple(_remarks(a, b, of_a, of_b, works, unit)),
    )


def comparison_to_json(found: Comparison) -> dict[str, Any]:
    """What ``compare --json`` prints."""
    entry: dict[str, Any] = plain(found)
    entry["reason_codes"] = list(codes(found.why_not))
    del entry["why_not"]
    return entry


# --------------------------------------------------------------------------------------------------- what is refused


def refuse_unlike(a: Record, b: Record) -> None:
    """Raises ``BadInput`` where two records are of other stages, tasks or protocols."""
    about = {
        "stages": (a.stage, b.stage),
        "tasks": tuple(record.task.name if record.task else None for record in (a, b)),
        "protocols": tuple(record.task.protocol if record.task else None for record in (a, b)),
    }
    for what, (of_a, of_b) in about.items():
        if of_a != of_b:
            raise BadInput(
                f"the {what} differ: {_said(of_a)} and {_said(of_b)}",
                "Figures of different work do not compare; measure both in the same way",
                place="compare",
            )


def _said(value: object) -> str:
    return "none is named" if value is None else repr(value)[:80]


def _component(a: Measurement, b: Measurement, wanted: Component | None) -> Component:
    both = [name for name in COMPONENTS if name in a.energy_j and name in b.energy_j]
    if wanted is not None and wanted in both:
        return wanted
    if wanted is None and both:
        return both[0]
    raise BadInput(
        f"{wanted} was not measured in both" if wanted else "no component was measured in both",
        f"A has: {', '.join(a.energy_j) or 'none'}; B has: {', '.join(b.energy_j) or 'none'}",
        place="compare",
    )


def _unit(
    a: Record, b: Record, works: tuple[Mapping[str, Divisor], Mapping[str, Divisor]], wanted: str | None
) -> str | None:
    """The unit to compare by; None where no one is known of both."""
    both = [unit for unit in works[0] if unit in works[1]]
    if wanted is None:
        rated = [record.task.unit for record in (a, b) if record.task is not None]
        if len(rated) == 2 and rated[0] == rated[1] and rated[0] in both:
            return rated[0]
        if len(both) == 1:
            return both[0]
        return next((unit for unit in ("request", "token", "flop") if unit in both), None)
    if wanted in both:
        return wanted
    raise BadInput(
        f"no {wanted!r} was counted in both",
        f"A counted: {', '.join(works[0]) or 'none'}; B counted: {', '.join(works[1]) or 'none'}. Name one with --unit",
        place="compare",
    )


def _per_unit(
    measurement: Measurement, component: str, unit: str | None, work: Mapping[str, Divisor], letter: str
) -> Estimate:
    energy = measurement.energy_j[component]
    if energy.value <= 0:
        raise BadInput(
            f"the energy of {component} in {letter} must be above 0; got {energy.value:g} J: its sensor told nothing",
            "Measure it again",
            place="compare",
        )
    return energy if unit is None else energy.times(1 / work[unit].amount)


# ------------------------------------------------------------------------------------------------------------- doubt


def _gain(a: Record, b: Record, of_a: Measurement, of_b: Measurement, component: Component) -> Gain:
    if "imported" in (a.origin, b.origin):
        return "counts"  # how others read a sensor, nobody here knows, even where it was the same one
    channels = a.channels_of(of_a, component), b.channels_of(of_b, component)
    kinds = [sorted((channel.device, channel.method) for channel in some) for some in channels]
    one_machine = a.environment.host is not None and a.environment.host == b.environment.host
    if kinds[0] == kinds[1] and (one_machine or all(UNIQUE_ID.search(device) for device, _ in kinds[0])):
        return "cancels"
    names = [
        {(_device(record, channel.device), channel.method) for channel in some}
        for record, some in zip((a, b), channels, strict=True)
    ]
    known = all(name for name, _ in names[0] | names[1])
    return "partly-cancels" if known and len(names[0]) == 1 and names[0] == names[1] else "counts"


def _of_gain(a: float, b: float, gain: Gain) -> float:
    """The relative doubt of the ratio that the gains leave, 1 σ."""
    if gain == "cancels":
        return abs(a - b)
    if gain == "partly-cancels":
        # No card's own part is larger than all that is doubted of it (a calibrated one's may be less).
        return math.hypot(min(a, BETWEEN_CARDS), min(b, BETWEEN_CARDS))
    return math.hypot(a, b)


def _why_no_verdict(
    a: Record, b: Record, of_a: Measurement, of_b: Measurement, component: Component, unit: str | None
) -> Iterator[Reason]:
    """What forbids a verdict."""
    if unit is None:
        yield Reason.of("unlike-work", _unlike(*(counted(record, m) for record, m in ((a, of_a), (b, of_b)))))
    for letter, record, measurement in (("A", a, of_a), ("B", b, of_b)):
        if worst_method(channel.method for channel in record.channels_of(measurement, component)) == "model":
            yield Reason.of(
                "estimated-side",
                f"{letter} is estimated by a model, not measured: the ratio does not tell which one really needs less",
            )
        if measurement.validity == "invalid":
            named = dict.fromkeys(
                item.code for item in record.findings_on(measurement.name) if item.severity == "disqualifies"
            )
            yield Reason.of(
                "invalid-side", f"{letter} is invalid: {', '.join(named) or 'no finding says why'}"
            )


def _unlike(a: Mapping[str, Divisor], b: Mapping[str, Divisor]) -> str:
    """Why energies as a whole do not compare."""
    if not a and not b:
        return "what work was done is not known of either; count it, as with --count token=51200 or run.count(token=…)"
    shared = [unit for unit in a if unit in b]
    did = [_did([work[unit] for unit in shared] if shared else work.values()) for work in (a, b)]
    if not all(did):
        letters = ("A", "B") if did[0] else ("B", "A")
        return f"what work {letters[1]} did is not known; {letters[0]} did {did[0] or did[1]}"
    return f"A did {did[0]}, B {did[1]}: " + (
        "what was done in the rest of the time is not known" if shared else "they have no unit in common"
    )


def _did(work: Iterable[Divisor]) -> str:
    return ", ".join(str(item) for item in work)


def _remarks(
    a: Record,
    b: Record,
    of_a: Measurement,
    of_b: Measurement,
    works: tuple[Mapping[str, Divisor], Mapping[str, Divisor]],
    unit: str | None,
) -> Iterator[str]:
    """How the work was had, where not as one would think, and what the interval leaves out."""
    for letter, record in (("A", a), ("B", b)):
        if record.origin == "imported":
            yield f"{letter} was taken over from another file (imported): no journal stands behind it, and its uncertainty is mostly by rule"
    if unit is None:
        return
    for letter, work in (("A", works[0][unit]), ("B", works[1][unit])):
        if work.window is not None:
            yield (
                f"{letter}'s work was counted in {work.window!r}, which covers {percent(work.share)} of the run; "
                "the energy is that of the whole run"
            )
    if a.run_id == b.run_id:
        yield "A and B are one and the same run: name another one to compare it with"
        return
    yield (
        "one run each: by how much the same work differs from one run to the next is not known, and not in the interval; "
        "a small difference may be chance"
        if min(of_a.n, of_b.n) > 1
        else "single runs: by how much the same work differs from one to the next is not known, and not in the interval; "
        "a small difference may be chance"
    )


def _device(record: Record, device_id: str) -> str | None:
    return next((device.name for device in record.environment.devices if device.id == device_id), None)


# ------------------------------------------------------------------------------------------------------- differences


# What measuring loads by itself, and only where there is need for it: a version that one record lacks was no setting of the program's.
INSTRUMENTS = ("codecarbon", "numpy", "pynvml")


def _differences(
    a: Record, b: Record, of_a: Measurement, of_b: Measurement, component: Component
) -> Iterator[UnlikeSetting]:
    """The settings in which they differ, in the order of their weight."""
    settings = [
        dict(_settings(record, measurement, component)) for record, measurement in ((a, of_a), (b, of_b))
    ]
    for what in dict.fromkeys((*settings[0], *settings[1])):
        values = settings[0].get(what), settings[1].get(what)
        if what in INSTRUMENTS and None in values:
            continue
        if values[0] != values[1]:
            yield UnlikeSetting(what=what, a=values[0], b=values[1])


def _settings(record: Record, measurement: Measurement, component: Component) -> Iterator[tuple[str, str]]:
    model, load = record.model, record.load
    yield from _shown_setting("work", _did(counted(record, measurement).values()) or None)
    if model is not None:
        for what in ("id", "revision", "parameters", "active_parameters", "trainable_parameters", "dtype"):
            yield from _shown_setting(
                f"model {what.replace('_', ' ')}".removesuffix(" id"), getattr(model, what)
            )
    if load is not None:
        for what, value in load.told():
            yield from _shown_setting(what.replace("_", " "), value)
    for what, setting in record.operating_point.items():
        yield from _shown_setting(what.replace("_", " "), _rounded(setting))
    used = {channel.device for channel in record.channels_of(measurement, component)}
    devices = [device for device in record.environment.devices if device.id in used]
    yield from _shown_setting("devices", len(used) or None)
    for what, of in _OF_DEVICE.items():
        yield from _shown_setting(
            what, ", ".join(dict.fromkeys(_all(of(device) for device in devices))) or None
        )
    methods = worst_method(channel.method for channel in record.channels_of(measurement, component))
    yield from _shown_setting("method", methods)
    yield "repeats", str(measurement.n)
    for name, version in sorted(record.environment.software.items()):
        yield name, version
    for name, sha256 in sorted(record.provenance.files.items()):
        yield f"file {name}", f"SHA-256 {sha256[:12]}…"


_OF_DEVICE: Mapping[str, Any] = {
    "device": lambda device: device.name,
    "driver": lambda device: device.driver,
    "power limit (W)": lambda device: _number(device.power_limit_w),
    "clock (MHz)": lambda device: _number(device.clock_mhz),
    "MIG": lambda device: _yes(device.mig),
    "power profile": lambda device: device.power_profile,
    "adaptive power limit": lambda device: _yes(device.adaptive_limit),
}


def _rounded(value: Setting) -> Setting:
    """A mean number of requests as it is told: that of two runs is never the same to the last digit."""
    return significant(value, 3) if isinstance(value, float) else value


def _yes(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _all(values: Iterable[str | None]) -> list[str]:
    return [value for value in values if value is not None]


def _shown_setting(what: str, value: object) -> Iterator[tuple[str, str]]:
    if value is not None:
        if isinstance(value, bool):
            yield what, "on" if value else "off"
        else:
            yield what, f"{value:,}" if isinstance(value, int) else str(value)
