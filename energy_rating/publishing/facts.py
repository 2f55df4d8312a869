"""All that is told of a record and its rating, worked out once: every form (label, card, terminal, table, one line) reads it from here.

Whose energy stands for the run, of which windows, per what; whether it was measured or estimated, on which devices; what was left out
and why; how the program ended, and what is to be held against the figures. Nothing here is cleaned, escaped or shortened: that is the
form's, since each sink has its own dangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from energy_rating.judging import checks
from energy_rating.judging.footprint.carbon import missing
from energy_rating.judging.normalisation import Normalised
from energy_rating.judging.outcomes import METRIC as SOLVED
from energy_rating.judging.profiles import is_example
from energy_rating.judging.quality import is_accuracy, is_outcome
from energy_rating.judging.rating import Judgement
from energy_rating.judging.summary import IDLE_WINDOWS
from energy_rating.nouns.quantities import (
    EnergyPerUnit,
    Estimate,
    duration,
    reaches_zero,
    scaled,
    significant,
    with_doubt,
)
from energy_rating.nouns.records import (
    COMPONENTS,
    LEADING,
    MEASURED,
    RUN,
    TRAINING,
    Component,
    Device,
    Finding,
    Measurement,
    Method,
    Place,
    Quality,
    Rating,
    Record,
    Validity,
    validity,
    worst_method,
)
from energy_rating.publishing import words
from energy_rating.publishing.names import Origin, origin_of

# What a figure rests on: a sensor, a model in its place; or, of what stars rest on, a conversion from another device, or texts and
# devices that nobody else can compare with.
RatedAs = Literal["measured", "estimated", "normalised", "indicative", "imported"]

# What prepares a benchmark is no result of it.
_BESIDE_THE_POINT = ("load", "warm-up", *IDLE_WINDOWS)

# What was read or taken from a cache is counted too; the energy went into what was made of it.
# Thought tokens are among the tokens.
# What was not answered is no work, and an empty answer is among the requests.
_READ = ("input_", "cached_", "reasoning_", "unanswered_", "empty_")


# ------------------------------------------------------------------------------------------------------------- the values


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one component drew in a measurement, and how that was had. ``coverage``: the share of the time that was seen.

    ``imported``: the record was made from another tool's file.
    """

    component: Component
    energy_j: Estimate
    method: Method | None
    coverage: float
    imported: bool = False

    @property
    def origin(self) -> Origin:
        return origin_of(self.method, imported=self.imported)

    @property
    def estimated(self) -> bool:
        return self.origin == "estimated"

    @property
    def name(self) -> str:
        return words.NAMES[self.component]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measurement as it is told: a part for each component that has an energy, and the units that it is divided by."""

    measurement: Measurement
    parts: tuple[Part, ...]
    units: tuple[str, ...]
    codes: tuple[str, ...]

    def part(self, component: str | None) -> Part | None:
        return next((part for part in self.parts if part.component == component), None)

    @property
    def lead(self) -> Part | None:
        """The part that is told first."""
        return self.part(lead(self.measurement))

    def per(self, unit: str, part: Part) -> EnergyPerUnit:
        return self.measurement.energy_per(unit, part.component)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """The figure that stands for a record. ``unit`` None: it is the energy in all.

    ``window`` is the measurement that it is of, and ``duration_s`` how long that took. ``others`` is energy per other units, in
    ``others_window``, which of a training may be a part of the run.
    """

    window: str
    part: Part
    unit: str | None
    energy_j: Estimate
    others: tuple[tuple[str, Estimate], ...]
    others_window: str | None
    duration_s: float

    @property
    def component(self) -> Component:
        return self.part.component

    @property
    def origin(self) -> Origin:
        return self.part.origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """A finding or a reason in words, told once; ``more`` is how many others say the same of other devices."""

    code: str
    text: str
    remedy: str = ""
    severity: str = ""
    more: int = 0

    @property
    def said(self) -> str:
        """The words, and of how many others they hold."""
        return (
            f"{self.text} (and the same of {self.more} other{'s' if self.more > 1 else ''})"
            if self.more
            else self.text
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that any form tells of one record and its rating.

    ``figure`` stands for the record; ``total`` is the whole run of a training, by component, which stands before any figure per unit.
    ``parts`` are those of the figure's measurement. ``normalised_j``: what the stars rest on where it was converted from another
    device; ``rated``: the figure that is rated, and its unit, where that is another than the one that stands for the record. ``devices`` are those that the figure came from (None: one that the record does not describe), ``machine`` all.
    ``missing``: the components that were not measured, each with why. ``unchecked``: what is to be said where nobody held the record
    against its journal. The ``record`` is there for what it says itself (model, load, software), nothing more.
    """

    record: Record
    rating: Rating | None
    example: bool
    rows: tuple[Row, ...]
    shown: Row | None
    figure: Figure | None
    total: tuple[Part, ...]
    total_s: float | None
    rated_as: RatedAs | None
    normalised_j: Estimate | None
    rated: tuple[Estimate, str] | None
    devices: tuple[Device | None, ...]
    machine: tuple[Device, ...]
    missing: tuple[tuple[Component, str], ...]
    outcome: str | None
    place: Place | None
    findings: tuple[Remark, ...]
    reasons: tuple[Remark, ...]
    validity: Validity
    unchecked: str
    by_right_answer: tuple[tuple[Quality, EnergyPerUnit], ...]

    @property
    def component(self) -> Component | None:
        """Whose energy is told: the one that was rated, else the one that did the work."""
        return self.figure.component if self.figure is not None else None

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.shown.parts if self.shown is not None else ()

    @property
    def origin(self) -> Origin:
        """How the figure was had; of a record without one, what its figures would be called."""
        if self.figure is not None:
            return self.figure.origin
        return "imported" if self.record.origin == "imported" else "measured"

    @property
    def estimated(self) -> bool:
        """Whether the figure is a model's, and no sensor's."""
        return self.figure is not None and self.figure.part.estimated

    def devices_of(self, component: Component) -> tuple[str, ...]:
        """The ids of all devices of a component that a sensor told of."""
        return tuple(dict.fromkeys(one.device for one in self.record.channels if one.component == component))


# ------------------------------------------------------------------------------------------------------ how they are had


def facts_of(record: Record, rating: Rating | Judgement | None = None) -> Facts:
    """All that is told of a record and its rating; without one, of the record alone."""
    if isinstance(rating, Judgement):
        rating = rating.rating
    rows = tuple(_row(record, measurement) for measurement in record.measurements)
    found = headline(record)
    shown = next((row for row in rows if row.measurement is found), None)
    run = next((row for row in rows if row.measurement.name == RUN), None)
    total = run if record.stage in TRAINING else None
    figure = _figure(record, rating, shown, total)
    rated_j = rating.energy_per_unit_j if rating is not None else None
    concerned = {row.measurement.name for row in (shown, total) if row is not None}
    findings = [one for one in record.findings if one.measurement is None or one.measurement in concerned]
    return Facts(
        record=record,
        rating=rating,
        example=is_example(record),
        rows=rows,
        shown=shown,
        figure=figure,
        total=total.parts if total is not None else (),
        total_s=total.measurement.duration_s if total is not None else None,
        rated_as=_rated_as(record, rating, figure),
        normalised_j=rated_j
        if rating is not None and rating.basis == "normalised" and figure is not None
        else None,
        rated=(rated_j, rating.unit)
        if total is not None and rating is not None and rating.unit is not None and rated_j is not None
        else None,
        devices=_devices(record, total or shown, figure),
        machine=tuple(record.environment.devices),
        missing=tuple(
            (component, words.why_not_measured(record, component))
            for component in COMPONENTS
            if component in missing(shown.measurement.energy_j if shown is not None else ())
        ),
        outcome=outcome_of(record),
        place=record.place,
        findings=_once(findings),
        reasons=() if rating is None else reasons_of(rating),
        validity=validity(findings),
        unchecked=words.unchecked(record),
        by_right_answer=tuple(_by_right_answer(record, shown)),
    )


def energy_by_device(
    record: Record, measurement: Measurement, component: Component
) -> Iterator[tuple[str, Estimate]]:
    """What each device of a component drew, by the one channel of it that counts."""
    for channel in record.channels_of(measurement, component):
        yield channel.device, measurement.energy_by_channel_j[channel.id]


def _row(record: Record, measurement: Measurement) -> Row:
    return Row(
        measurement=measurement,
        parts=tuple(_parts(record, measurement)),
        units=units(measurement),
        codes=tuple(dict.fromkeys(finding.code for finding in record.findings_on(measurement.name))),
    )


def _parts(record: Record, measurement: Measurement) -> Iterator[Part]:
    """The least direct of the ways that a component's energy was had is the one that is told."""
    for component, energy in measurement.energy_j.items():
        methods = [channel.method for channel in record.channels_of(measurement, component)]
        if component in measurement.methods:
            methods.append(measurement.methods[component])
        yield Part(
            component=_component(component),
            energy_j=energy,
            method=worst_method(methods),
            coverage=measurement.coverage.get(component, 1.0),
            imported=record.origin == "imported",
        )


def _component(name: str) -> Component:
    return next(component for component in COMPONENTS if component == name)


def _figure(record: Record, rating: Rating | None, shown: Row | None, total: Row | None) -> Figure | None:
    """The energy per unit as measured; of training, the energy in all."""
    row = total or shown
    if row is None:
        return None
    rated = row.part(rating.component) if rating is not None else None
    part = rated or row.lead
    if part is None:
        return None
    measurement = row.measurement
    unit = None
    if total is None:
        wanted = (
            rating.unit if rating is not None else None,
            record.task.unit if record.task else None,
            *row.units,
        )
        unit = next((one for one in wanted if one in row.units), None)
    counted = row if row.units or shown is None else shown
    beside = counted.part(part.component)
    return Figure(
        window=measurement.name,
        part=part,
        unit=unit,
        energy_j=part.energy_j if unit is None else _plain(row.per(unit, part)),
        others=tuple((one, _plain(counted.per(one, beside))) for one in counted.units if one != unit)
        if beside
        else (),
        others_window=counted.measurement.name,
        duration_s=measurement.duration_s,
    )


def _plain(energy: EnergyPerUnit) -> Estimate:
    return Estimate(value=energy.value, random=energy.random, systematic=energy.systematic)


def _rated_as(record: Record, rating: Rating | None, figure: Figure | None) -> RatedAs | None:
    """What is to be seen of a figure before anything else; an estimate stays one, whatever it was rated as."""
    if figure is None:
        return None
    if figure.origin in ("estimated", "imported"):
        return figure.origin
    return (
        "indicative" if is_example(record) else (rating.basis if rating is not None else None) or "measured"
    )


def _devices(record: Record, row: Row | None, figure: Figure | None) -> tuple[Device | None, ...]:
    if row is None or figure is None:
        return tuple(record.environment.devices)
    by_id = {device.id: device for device in record.environment.devices}
    used = dict.fromkeys(channel.device for channel in record.channels_of(row.measurement, figure.component))
    return tuple(by_id.get(name) for name in used)


def _once(findings: Iterable[Finding]) -> tuple[Remark, ...]:
    """Each kind of finding once, whatever the number of devices that it is told of."""
    kinds: dict[tuple[str, str, str | None], list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        key = (
            finding.code,
            finding.severity,
            finding.measurement if finding.channel is None else finding.channel and "",
        )
        kinds.setdefault(key, []).append(finding)
    return tuple(
        Remark(
            code=code,
            text=same[0].message,
            remedy=same[0].remedy,
            severity=severity,
            more=len({one.channel for one in same}) - 1,
        )
        for (code, severity, _), same in kinds.items()
    )


def reasons_of(verdict: Rating | Normalised) -> tuple[Remark, ...]:
    """Why there are no stars, or no converted figure. Of what another version published only the texts are known."""
    if verdict.reasons != tuple(str(reason) for reason in verdict.why_not):
        return tuple(Remark(code="", text=text) for text in verdict.reasons)
    return tuple(
        Remark(code=reason.code, text=reason.message, remedy=reason.remedy) for reason in verdict.why_not
    )


# ------------------------------------------------------------------------------------------------------ what is told first


def headline(record: Record) -> Measurement | None:
    """The measurement that stands for the record, in a line, in a card and on a label.

    For training the run, if work was counted into it. Else ``measured``; else the longest one into which work was counted, never
    the loading, the warming up or the idling of a benchmark; else the run. None for a record without any of these.
    """
    if record.stage in TRAINING and RUN in record and units(record[RUN]):
        return record[RUN]
    if MEASURED in record:
        return record[MEASURED]
    counted = [
        measurement
        for measurement in record
        if measurement.energy_j
        and any(measurement.work.values())
        and measurement.name not in _BESIDE_THE_POINT
        and not measurement.name.startswith("idle-")
    ]
    if counted:
        return max(counted, key=lambda measurement: measurement.duration_s)
    return next((measurement for measurement in record if measurement.name == RUN), None)


def _by_right_answer(record: Record, shown: Row | None) -> Iterator[tuple[Quality, EnergyPerUnit]]:
    """Joules per right answer for each accuracy that the record tells: those per request over the share that is right; and of an agent
    per solved task, over the share of its tasks that it solved.

    The share is taken as exact; whether it holds for these very items is for its source to say.
    """
    part = shown.lead if shown is not None else None
    if shown is None or part is None:
        return
    work = shown.measurement.work
    for quality in record.quality:
        is_solved = is_outcome(quality, (SOLVED,))
        unit = next(
            (one for one in (("task", "request") if is_solved else ("request",)) if work.get(one)), None
        )
        if unit is not None and (is_solved or is_accuracy(quality)):
            each = shown.per(unit, part)
            yield (
                quality,
                replace(
                    each,
                    value=each.value / quality.value,
                    random=each.random / quality.value,
                    systematic=each.systematic / quality.value,
                    unit="solved task" if is_solved else "right answer",
                ),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubtShare:
    """A part of a figure's doubt: what it comes from, and its share (0 to 1) of the whole, as squares, in which parts add up."""

    name: str
    share: float


_LASTING = {
    "model": "how far the model may be off",
    "part-time sampling": "the sensor's gain, and the time that it does not see",
}
_PASSING = {
    "repeats": "repeats that differ, edges and noise",
    "edges": "edges of the windows, and noise",
}


def doubts_of(facts: Facts) -> tuple[DoubtShare, ...]:
    """What the doubt of the figure that stands for a record comes from: what no repetition mends, and what more of them would make smaller."""
    figure = facts.figure
    if figure is None or not figure.energy_j.sigma:
        return ()
    row = next((one for one in facts.rows if one.measurement.name == figure.window), None)
    mostly = row.measurement.doubt_from.get(figure.component, "") if row is not None else ""
    lasting = (
        "how far the model may be off"
        if figure.part.estimated
        else "how far the sensor may be off (its gain)"
    )
    whole = figure.energy_j.sigma**2
    found = (
        DoubtShare(
            name=f"{_LASTING.get(mostly, lasting)}, whatever is repeated",
            share=figure.energy_j.systematic**2 / whole,
        ),
        DoubtShare(
            name=f"{_PASSING.get(mostly, 'edges, repeats and noise')}, less in longer runs",
            share=figure.energy_j.random**2 / whole,
        ),
    )
    return tuple(one for one in found if one.share > 0)


def lead(measurement: Measurement) -> Component | None:
    """The component that is told first: the GPU; without one, what else did the work."""
    return next((component for component in LEADING if component in measurement.energy_j), None)


def units(measurement: Measurement) -> tuple[str, ...]:
    """The units of work that the energy is divided by: those of what was made, not of what was read."""
    return tuple(unit for unit, amount in measurement.work.items() if amount and not unit.startswith(_READ))


def one_line(record: Record | Facts, where: str = "") -> str:
    """What a run comes to, in one line: energy, duration, power, per unit; what was measured, estimated and missing."""
    facts = record if isinstance(record, Facts) else facts_of(record)
    run = next((row for row in facts.rows if row.measurement.name == RUN), None)
    if run is None:
        return f"nothing can be said: the run never opened · {where}".rstrip(" ·")
    duration_s = run.measurement.duration_s
    parts: list[str] = []
    if run.lead is not None:
        energies = [f"{part.component} {_energy(part.energy_j)} ({part.origin})" for part in run.parts]
        parts.append(f"{', '.join(energies)} {_in_time(run.lead, duration_s)}")
    else:
        parts.append(f"no energy was measured in {duration(duration_s)}")
    shown = facts.shown
    if shown is not None and shown.lead is not None:
        mark = f", {shown.lead.origin}" if shown.lead.origin != "measured" else ""
        # A figure of other windows than the energy before it says so.
        mark += f", in {shown.measurement.name!r}" if shown is not run else ""
        parts += [
            f"{with_doubt(shown.per(unit, shown.lead), f'J/{unit}')} ({shown.lead.component}{mark})"
            for unit in shown.units
        ]
    parts += lost_work(facts.record)
    left_out = missing(run.measurement.energy_j)
    if left_out:
        parts.append(f"not measured: {', '.join(left_out)}")
    if facts.outcome is not None:
        parts.append(f"the program {facts.outcome}")
    if run.measurement.validity != "valid":
        codes = dict.fromkeys(
            _code_and_whose(facts.record, one, run.lead.component if run.lead is not None else None)
            for one in facts.record.findings_on(RUN)
            if one.severity != "note"
        )
        # What is invalid is not the run's energy, and would make any sum wrong in silence.
        aside = "; leave it out of sums" if run.measurement.validity == "invalid" else ""
        parts.append(f"{run.measurement.validity}: {', '.join(codes)}{aside}")
    if where:
        parts.append(where)
    return " · ".join(parts)


def _in_time(lead: Part, duration_s: float) -> str:
    """How long it took and at which power; others' files may tell an energy and no time, and then there is no power."""
    if duration_s <= 0:
        return "in a time that is not told"
    power = lead.energy_j.times(1 / duration_s)
    told = with_doubt(power, "W") if reaches_zero(power) else scaled(power.value, "W")
    return f"in {duration(duration_s)}, {lead.component} {told}"


def _code_and_whose(record: Record, finding: Finding, lead: str | None) -> str:
    """The code of a finding; of one about another component than the one that leads, with its name."""
    whose = next((one.component for one in record.channels if one.id == finding.channel), None)
    return finding.code if whose is None or lead is None or whose == lead else f"{finding.code} of {whose}"


def lost_work(record: Record) -> Iterator[str]:
    """What of a run was done for nothing: after the checkpoint from which it went on when it had been broken off."""
    for finding in record.findings:
        if finding.code != "work-lost":
            continue
        joules = {
            name.removesuffix("_j"): value for name, value in finding.data.items() if name.endswith("_j")
        }
        told = [f"{value:,.12g} {unit}" for unit, value in finding.data.items() if not unit.endswith("_j")]
        told += [
            f"{name} {scaled(value, 'J')}"
            for name, value in joules.items()
            if name in ("gpu", "wall") and isinstance(value, float)
        ]
        if told:
            yield f"of which lost in a crash: {', '.join(told)}"


def outcome_of(record: Record) -> str | None:
    """How the program ended, as the rest of a sentence about it, where there is something to say: it failed, or did not end."""
    outcome = record.outcome
    if outcome is None or (outcome.state == "ended" and not outcome.failed):
        return None
    return {"killed": "was killed", "running": "is still running"}.get(outcome.state) or checks.ending(
        outcome
    )


def _energy(energy: Estimate) -> str:
    if reaches_zero(energy) or not energy.value:
        return with_doubt(energy, "J")
    return f"{scaled(energy.value, 'J')} ±{significant(100 * energy.half_width() / energy.value, 2)} %"
