"""The nouns: what was measured, on what, and how far it can be trusted. Values only; nothing here computes or reads.

Every noun is frozen except ``Window``, which is open while work is counted into it. Units are in the names. Those that a journal
holds are at home in ``entries``, so that a measured program loads no more than it needs; here are all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from energy_rating.nouns.choices import LEADING as LEADING
from energy_rating.nouns.entries import (
    COMPONENTS as COMPONENTS,
    LEAST_DURATION_S,
    LONGEST_UNIT as LONGEST_UNIT,
    MEASURED as MEASURED,
    METHODS as METHODS,
    RELATIONS as RELATIONS,
    MOST_FAULTS as MOST_FAULTS,
    MOST_NUMBER as MOST_NUMBER,
    RUN as RUN,
    STAGES as STAGES,
    Channel as Channel,
    Component as Component,
    Condition as Condition,
    Counts as Counts,
    Device as Device,
    Environment as Environment,
    Finding as Finding,
    Job as Job,
    Lineage as Lineage,
    Load as Load,
    Method as Method,
    Model as Model,
    Number as Number,
    Origin as Origin,
    Outcome as Outcome,
    Place as Place,
    Quality as Quality,
    Relation as Relation,
    Rank as Rank,
    Setting as Setting,
    Severity as Severity,
    Stage as Stage,
    Task as Task,
    Window as Window,
    plain as plain,
    refuse_unless_amount,
    refuse_unless_said_well,
    refuse_unless_share,
    stage_of as stage_of,
)
from energy_rating.nouns.errors import STRICT, NotMeasured
from energy_rating.nouns.notebooks import shown
from energy_rating.nouns.quantities import EnergyPerUnit, Estimate
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.work import Work as Work

RECORD_SCHEMA = "energy-rating/record/2"
RECORD_SCHEMAS = ("energy-rating/record/1", RECORD_SCHEMA)  # those that can be read, the oldest first
# What a record says that was not in the schema before, and is stored only where there is something to say.
SINCE_2 = ("origin", "outcome", "place", "role", "lineage", "ranks", "nodes", "job", "operating_point")
# The share of the time that has to be seen for a figure to be its window's: what a rating asks for. Below it, a figure is said to be that
# part's.
FULL_COVERAGE = 0.99
Validity = Literal["valid", "degraded", "invalid"]
# How far a record that was read from a file was held against the journal beside it (``evidence``).
Checked = Literal["journal", "sha256", "too-long", "needs-calibration", "no-journal"]
# Where a figure's doubt mostly comes from: the gain of an uncalibrated sensor, ticks at the windows' edges, time that a sensor does not
# see, repeats that differ, or a model in a sensor's place.
Doubt = Literal["sensor gain", "edges", "part-time sampling", "repeats", "model"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """The readings of one channel, oldest first: each was taken between ``start_s`` and ``end_s``.

    ``values`` are joules for a counter and watts for a register; a register line that spans time is its mean over the span.
    """

    start_s: Sequence[float]
    end_s: Sequence[float]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.values)


def validity(findings: Iterable[Finding]) -> Validity:
    """What the findings leave of a figure: valid, degraded (usable, marked) or invalid (shown, never rated)."""
    severities = {finding.severity for finding in findings}
    if "disqualifies" in severities:
        return "invalid"
    return "degraded" if "degrades" in severities else "valid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What a record can be recomputed from: version of this package, hash of the uncompressed journal, data files used."""

    __pydantic_config__ = STRICT

    version: str
    journal_sha256: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The windows of one name, added up. A component that was not measured is absent, never zero.

    ``n`` is how many windows there were, ``start_s`` the start of the first, since the start of the run. ``duration_s`` is the time in
    which any of them was open, and the energy what was drawn in it: where windows overlap, no joule and no second counts twice. The
    ``work`` is that of all of them.
    ``coverage`` is the share (0 to 1) of the duration that the component's sensors saw. ``doubt_from`` names the largest
    contributor to each component's doubt. ``methods`` says how each component was had (the worst of its channels); it follows
    from the record's channels and is not stored.

    Raises:
        ValueError: a number of windows, a duration, an amount of work or an energy is below zero or too large to reckon with,
            or a coverage is no share.
    """

    __pydantic_config__ = STRICT

    name: str
    n: int
    start_s: float
    duration_s: float
    work: Work
    energy_by_channel_j: Mapping[str, Estimate]
    energy_j: Mapping[str, Estimate]
    coverage: Mapping[str, float]
    validity: Validity
    idle_j: Mapping[str, Estimate] | None = None
    doubt_from: Mapping[str, Doubt] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unless_amount("n", self.n)
        refuse_unless_amount("duration_s", self.duration_s)
        if 0 < self.duration_s < LEAST_DURATION_S:
            raise ValueError(
                f"duration_s must be 0, or at least {LEAST_DURATION_S:g} s; got {self.duration_s}"
            )
        if type(self.work) is not Work:
            object.__setattr__(self, "work", Work(self.work))
        for component, share in self.coverage.items():
            refuse_unless_share(f"coverage.{component}", share)
        for name in ("energy_by_channel_j", "energy_j", "idle_j"):
            energies: Mapping[str, Estimate] | None = getattr(self, name)
            for key, energy in (energies or {}).items():
                if energy.value < 0:
                    raise ValueError(f"{name}.{key} must be at least 0; got {energy.value}")

    def _others(self, unit: str) -> str:
        """Which components have an energy here, and how to ask for it."""
        if not self.energy_j:
            return "Measured are: none"
        kinds = {True: "Estimated are", False: "Measured are"}
        found: dict[str, list[str]] = {}
        for component in self.energy_j:
            found.setdefault(kinds[self.methods.get(component) == "model"], []).append(component)
        told = ". ".join(f"{kind}: {', '.join(names)}" for kind, names in found.items())
        return f"{told}. Ask for one: energy_per({unit!r}, {next(iter(self.energy_j))!r})"

    def energy_per(self, unit: str, component: str = "gpu") -> EnergyPerUnit:
        """Joules per ``unit`` of work, of one component.

        Raises:
            NotMeasured: the component has no energy here, or none of that unit was counted.
        """
        if component not in self.energy_j:
            raise NotMeasured(
                f"{component!r} was not measured in {self.name!r}",
                self._others(unit),
            )
        amount = self.work.divisor(unit)
        if amount is None:
            counted = ", ".join(name for name, amount in self.work.items() if amount)
            raise NotMeasured(
                f"no {unit!r} was counted in {self.name!r}", f"Counted are: {counted or 'none'}"
            )
        energy = self.energy_j[component].times(1 / amount)
        return EnergyPerUnit(
            value=energy.value,
            random=energy.random,
            systematic=energy.systematic,
            unit=unit,
            component=component,
            estimated=self.methods.get(component) == "model",
        )

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: without what follows from the rest, and what is not known."""
        del entry["methods"]
        if self.idle_j is None:
            del entry["idle_j"]
        if not self.doubt_from:
            del entry["doubt_from"]  # records from before say nothing of it
        return entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One run: everything that cards, labels and ratings are made from. ``record["epoch"]`` is a measurement by name.

    ``origin`` is whether it was measured, imported from somebody else's file, or merged from several records. ``outcome``: how the
    program ended (None: a journal of before tells nothing of it). ``place`` and ``role`` (what the run was for, such as ``final`` or
    ``search``) are as the user said them. ``ranks`` and ``nodes``: how many processes and machines are in it. ``job``: what it is a part of,
    where its launcher runs on several hosts. ``operating_point``:
    the settings that make it one point of a curve.

    Raises:
        ValueError: what is said of the run cannot be.
    """

    __pydantic_config__ = STRICT

    run_id: str
    created: str
    stage: Stage
    environment: Environment
    channels: tuple[Channel, ...]
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    provenance: Provenance
    model: Model | None = None
    task: Task | None = None
    load: Load | None = None
    quality: tuple[Quality, ...] = ()
    schema: str = RECORD_SCHEMA
    origin: Origin = "measured"
    outcome: Outcome | None = None
    place: Place | None = None
    role: str | None = None
    lineage: Lineage | None = None
    ranks: int | None = None
    nodes: int | None = None
    job: Job | None = None
    operating_point: Mapping[str, Setting] = field(default_factory=dict)
    # How far it was held against its journal when it was read from a file. No part of the record, and not stored.
    checked: Checked | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        refuse_unless_said_well(self.role, self.ranks, self.nodes, self.operating_point)

    def __repr__(self) -> str:
        """Short: what is in it is there by its names."""
        model = f", {self.model.id!r}" if self.model is not None else ""
        names = ", ".join(measurement.name for measurement in self.measurements)
        return f"<Record {self.run_id!r}, {self.stage}{model}: {names or 'no measurements'}>"

    def _repr_html_(self) -> str | None:
        """As a notebook shows it: a table, and the label where it is rated."""
        return shown("Record", self)

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of that name.

        Raises:
            NotMeasured: there is none; the message names those there are.
        """
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        names = ", ".join(measurement.name for measurement in self.measurements)
        raise NotMeasured(f"no measurement is called {name!r}", f"There are: {names or 'none'}")

    def __contains__(self, name: object) -> bool:
        return any(measurement.name == name for measurement in self.measurements)

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self.measurements)

    def findings_on(self, name: str) -> tuple[Finding, ...]:
        """The findings that concern this measurement: its own and those of the whole record."""
        return tuple(finding for finding in self.findings if finding.measurement in (None, name))

    def validity_of(self, name: str, component: str) -> Validity:
        """What the findings leave of one component's figure in a measurement; what befell another one's sensors says nothing of it.

        A measurement's own ``validity`` is the worst of all.

        Raises:
            NotMeasured: there is no such measurement.
        """
        components = {channel.id: channel.component for channel in self.channels}
        return validity(
            finding
            for finding in self.findings_on(self[name].name)
            # A channel that the record does not know may have been this component's.
            if finding.channel is None or components.get(finding.channel, component) == component
        )

    def channels_of(self, measurement: Measurement, component: str) -> list[Channel]:
        """The channels that the component's energy came from."""
        return [
            channel
            for channel in self.channels
            if channel.component == component and channel.id in measurement.energy_by_channel_j
        ]

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what was measured, what is to be said of it, what else is known, where it came from."""
        del entry["checked"]
        for key in SINCE_2:
            if entry[key] in (None, {}, "measured"):
                del entry[key]
        order = (
            *(
                "schema",
                "origin",
                "run_id",
                "created",
                "stage",
                "role",
                "outcome",
                "model",
                "lineage",
                "task",
                "load",
            ),
            *("operating_point", "place", "ranks", "nodes", "job"),
        )
        entry = {key: entry.pop(key) for key in order if key in entry} | entry
        for key in ("measurements", "findings", "quality", "provenance"):
            entry[key] = entry.pop(key)
        return entry


Basis = Literal["measured", "normalised", "indicative"]
Status = Literal["firm", "provisional"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WouldBe:
    """What the stars of a record that is *not rated* would be, if nothing were missing. Never a rating: it has a type of its own."""

    stars: int
    could_be: tuple[int, int]
    index: Estimate
    basis: Basis


# Why nobody else can compare with a figure: it ran on items of one's own, with options of the engine's own, or on a device that
# does not exist.
Own = Literal["items", "options", "example"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Yardstick:
    """What a rating compares with: the typical energy of a class, joules per unit, and of how many models that is the middle.

    ``about`` says in words which models belong to the class; ``few``: they are fewer than make a class firm.
    """

    typical_j: float
    unit: str
    models: int
    few: bool
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """How a figure came from the device that it was measured on to the one that is rated: multiplied by ``factor``.

    ``interval`` is what that leaves open, a factor up and down with 90 % confidence. ``assumed``: no model was measured on both;
    ``why`` says what the factor rests on.
    """

    origin: str
    target: str
    factor: float
    interval: float
    assumed: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AlsoPer:
    """The same energy in another unit than the one that is rated. ``of``: the outcome that it rests on, and who says so."""

    unit: str
    energy_per_unit_j: Estimate
    of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """Stars under one scheme, or every reason why there are none.

    ``index`` is energy over the class's reference energy (0.6: 40 % less); ``could_be`` the fewest and the most stars that the
    95 % interval of the index allows. ``stars`` None means not rated, and ``reasons`` says why; ``would_be`` is there only
    where it was asked for, nothing but a better measurement is missing, and ``stars`` is None. ``interval_95`` is that of the
    index where ``index`` alone does not tell it: a normalised figure's is a factor up and down. ``component`` is whose energy was
    rated, or would be: the one that the scheme names; None only of a rating that no scheme made. ``yardstick``, ``conversion`` and
    ``own`` tell what ``class_`` and ``basis`` rest on; they follow from record and scheme, and are no part of what is stored.
    ``why_not`` are the ``reasons`` with code and remedy apart, one for one; ``reasons`` are the same as texts.
    """

    stars: int | None
    could_be: tuple[int, int] | None
    index: Estimate | None
    energy_per_unit_j: Estimate | None
    unit: str | None
    basis: Basis | None
    status: Status | None
    scheme: str
    class_: str | None
    protocol: str | None
    reasons: tuple[str, ...] = ()
    would_be: WouldBe | None = None
    interval_95: tuple[float, float] | None = field(default=None, compare=False)
    component: Component | None = None
    why_not: tuple[Reason, ...] = field(default=(), compare=False)
    yardstick: Yardstick | None = field(default=None, compare=False)
    conversion: Conversion | None = field(default=None, compare=False)
    own: tuple[Own, ...] = field(default=(), compare=False)
    beside: tuple[AlsoPer, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.stars is not None and self.would_be is not None:
            raise ValueError("what is rated has no stars that it would have")


def worst_method(methods: Iterable[Method]) -> Method | None:
    """The least direct of these methods; None for none."""
    return max(methods, key=METHODS.index, default=None)


def component_methods(energies: Iterable[str], channels: Sequence[Channel]) -> dict[str, Method]:
    """How each component was had, from the ids of the channels that carry its energy."""
    by_id = {channel.id: channel for channel in channels}
    used: dict[str, list[Method]] = {}
    for channel_id in energies:
        channel = by_id[channel_id]
        used.setdefault(channel.component, []).append(channel.method)
    return {component: max(methods, key=METHODS.index) for component, methods in used.items()}


TRAINING: tuple[Stage, ...] = ("pre-training", "fine-tuning")
