"""The nouns: what was measured, on what, and how far it can be trusted. Values only; nothing here computes or reads.

Every noun is frozen except ``Window``, which is open while work is counted into it. Units are in the names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

from energy_rating.errors import BadInput, NotMeasured
from energy_rating.quantities import STRICT, EnergyPerUnit, Estimate

RECORD_SCHEMA = "energy-rating/record/1"

Stage = Literal["pre-training", "fine-tuning", "inference", "other"]
Component = Literal["gpu", "cpu", "dram", "module", "host", "wall"]
Method = Literal["counter", "power", "model"]
Severity = Literal["note", "degrades", "disqualifies"]
Validity = Literal["valid", "degraded", "invalid"]
Number = int | float

# Where a figure's doubt mostly comes from: the gain of an uncalibrated sensor, ticks at the windows' edges, time that a sensor does not
# see, repeats that differ, or a model in a sensor's place.
Doubt = Literal["sensor gain", "edges", "part-time sampling", "repeats", "model"]

STAGES: tuple[Stage, ...] = get_args(Stage)
COMPONENTS: tuple[Component, ...] = get_args(Component)
RUN = "run"  # the window that spans everything
MEASURED = "measured"  # the windows of a benchmark that count, one a repeat

# Worst last: a component read by several methods is as good as the worst of them.
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One number that a sensor gives.

    ``counter`` channels read joules that only grow (from an arbitrary start), ``power`` and ``model`` channels read watts.
    ``accuracy`` is the relative standard uncertainty of the gain, 0 to 1. ``period_s`` is how often the sensor refreshes the
    number (None: not known beforehand); ``wraps_at_j`` is the range after which a counter starts again (None: never).

    Raises:
        ValueError: ``accuracy`` is no share, or a period or a range is not above zero.
    """

    __pydantic_config__ = STRICT

    id: str
    component: Component
    device: str
    method: Method
    accuracy: float
    period_s: float | None = None
    wraps_at_j: float | None = None

    def __post_init__(self) -> None:
        _refuse_unless_share("accuracy", self.accuracy)
        _refuse_unless_above_zero("period_s", self.period_s)
        _refuse_unless_above_zero("wraps_at_j", self.wraps_at_j)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A warning that travels with the record. ``measurement`` or ``channel`` None: it concerns all of them."""

    __pydantic_config__ = STRICT

    code: str
    message: str
    remedy: str = ""
    severity: Severity = "note"
    measurement: str | None = None
    channel: str | None = None


def validity(findings: Iterable[Finding]) -> Validity:
    """What the findings leave of a figure: valid, degraded (usable, marked) or invalid (shown, never rated)."""
    severities = {finding.severity for finding in findings}
    if "disqualifies" in severities:
        return "invalid"
    return "degraded" if "degrades" in severities else "valid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device: ``id`` is what channels name (a GPU's UUID, a CPU's zone). Clocks in MHz; None is not known."""

    __pydantic_config__ = STRICT

    id: str
    name: str
    driver: str | None = None
    power_limit_w: float | None = None
    clock_mhz: float | None = None
    memory_gb: float | None = None
    mig: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What machine and software this was. ``host`` is a hash unless the name was asked for."""

    __pydantic_config__ = STRICT

    devices: tuple[Device, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The model that was run; ``parameters`` counts all, ``active_parameters`` those used for one token.

    ``trainable_parameters`` are those that a training changes (fewer than all with adapters such as LoRA, or frozen layers).

    Raises:
        ValueError: one of them is not above zero. None is not known.
    """

    __pydantic_config__ = STRICT

    id: str
    revision: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    dtype: str | None = None
    trainable_parameters: int | None = None

    def __post_init__(self) -> None:
        _refuse_unless_above_zero("parameters", self.parameters)
        _refuse_unless_above_zero("active_parameters", self.active_parameters)
        _refuse_unless_above_zero("trainable_parameters", self.trainable_parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What the model did, under which protocol, and the unit it is rated by."""

    __pydantic_config__ = STRICT

    name: str
    protocol: str | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The operating point. None is not known.

    ``request_rate`` in requests a second, where they come by themselves; ``max_num_seqs``: how many the engine takes at once;
    ``reasoning``: whether the model was asked to think first. ``settings``: what else was asked of the engine, by name. These
    four are not stored where nothing was asked.

    Raises:
        ValueError: one of the numbers but the seed is not above zero.
    """

    __pydantic_config__ = STRICT

    items: int | None = None
    batch_size: int | None = None
    concurrency: int | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    request_rate: float | None = None
    max_num_seqs: int | None = None
    reasoning: bool | None = None
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_unless_above_zero("items", self.items)
        _refuse_unless_above_zero("batch_size", self.batch_size)
        _refuse_unless_above_zero("concurrency", self.concurrency)
        _refuse_unless_above_zero("max_new_tokens", self.max_new_tokens)
        _refuse_unless_above_zero("request_rate", self.request_rate)
        _refuse_unless_above_zero("max_num_seqs", self.max_num_seqs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """How good the answers were, and who says so."""

    __pydantic_config__ = STRICT

    metric: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What a device was like at one moment. None: not told.

    ``throttled_by`` is what held its clocks down (``sw-power-cap``, ``sw-thermal``, ``hw-slowdown``, …), of which nothing is to be
    made where it was ``idle``. ``foreign_processes`` counts those that computed on it and were not this run's.

    Raises:
        ValueError: a number of processes is below zero.
    """

    __pydantic_config__ = STRICT

    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    power_limit_w: float | None = None
    throttled_by: tuple[str, ...] | None = None
    idle: bool | None = None
    persistence: bool | None = None
    foreign_processes: int | None = None

    def __post_init__(self) -> None:
        _refuse_unless_amount("foreign_processes", self.foreign_processes or 0)


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

    ``duration_s`` is the sum over its ``n`` windows, ``start_s`` the start of the first, since the start of the run.
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
    work: Mapping[str, Number]
    energy_by_channel_j: Mapping[str, Estimate]
    energy_j: Mapping[str, Estimate]
    coverage: Mapping[str, float]
    validity: Validity
    idle_j: Mapping[str, Estimate] | None = None
    doubt_from: Mapping[str, Doubt] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_unless_amount("n", self.n)
        _refuse_unless_amount("duration_s", self.duration_s)
        for unit, amount in self.work.items():
            _refuse_unless_amount(f"work.{unit}", amount)
        for component, share in self.coverage.items():
            _refuse_unless_share(f"coverage.{component}", share)
        for name in ("energy_by_channel_j", "energy_j", "idle_j"):
            energies: Mapping[str, Estimate] | None = getattr(self, name)
            for key, energy in (energies or {}).items():
                if energy.value < 0:
                    raise ValueError(f"{name}.{key} cannot be below zero: {energy.value}")

    def energy_per(self, unit: str, component: str = "gpu") -> EnergyPerUnit:
        """Joules per ``unit`` of work, of one component.

        Raises:
            NotMeasured: the component has no energy here, or none of that unit was counted.
        """
        if component not in self.energy_j:
            raise NotMeasured(
                f"{component!r} was not measured in {self.name!r}",
                f"Measured are: {', '.join(self.energy_j) or 'none'}",
            )
        if not self.work.get(unit):
            counted = ", ".join(name for name, amount in self.work.items() if amount)
            raise NotMeasured(
                f"no {unit!r} was counted in {self.name!r}", f"Counted are: {counted or 'none'}"
            )
        energy = self.energy_j[component].times(1 / self.work[unit])
        return EnergyPerUnit(
            value=energy.value,
            random=energy.random,
            systematic=energy.systematic,
            unit=unit,
            component=component,
            estimated=self.methods.get(component) == "model",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One run: everything that cards, labels and ratings are made from. ``record["epoch"]`` is a measurement by name."""

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


Basis = Literal["measured", "normalised", "indicative"]
Status = Literal["firm", "provisional"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WouldBe:
    """What the stars of a record that is *not rated* would be, if nothing were missing. Never a rating: it has a type of its own."""

    stars: int
    could_be: tuple[int, int]
    index: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """Stars under one scheme, or every reason why there are none.

    ``index`` is energy over the class's reference energy (0.6: 40 % less); ``could_be`` the fewest and the most stars that the
    95 % interval of the index allows. ``stars`` None means not rated, and ``reasons`` says why; ``would_be`` is there only
    where it was asked for, nothing but a better measurement is missing, and ``stars`` is None. ``interval_95`` is that of the
    index where ``index`` alone does not tell it: a normalised figure's is a factor up and down.
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


class Window:
    """A named span with work counted into it. Open until it is left; opened by ``run.window(name)``."""

    __slots__ = ("_faults", "_late", "name", "work")

    def __init__(self, name: str) -> None:
        self.name = name
        self.work: dict[str, Number] = {}
        self._faults: list[str] = []
        self._late: Callable[[Window], None] | None = None

    def count(self, /, **work: Number) -> None:
        """Adds work of any unit: ``window.count(token=512, request=1)``.

        A count that is no finite number ≥ 0 is left out and told as a finding, as is one that comes after the window was left;
        nothing is raised into the program that is being measured.
        """
        if self._late is not None:
            self._late(self)
            return
        for unit, amount in work.items():
            clean = _amount(amount)
            total = None if clean is None else self.work.get(unit, 0) + clean
            if total is None or total > MOST_WORK or not unit.isprintable() or len(unit) > LONGEST_UNIT:
                if len(self._faults) < MOST_FAULTS:
                    self._faults.append(_shown(unit, amount))
            else:
                self.work[unit] = total

    def faults(self) -> tuple[str, ...]:
        """The counts that were left out, as ``unit=amount``."""
        return tuple(self._faults)

    def closed(self, late: Callable[[Window], None]) -> Mapping[str, Number]:
        """Ends the window and returns its work; ``late`` is called if anybody counts after that."""
        self._late = late
        return self.work


MOST_WORK = 2**63
MOST_NUMBER = 1e20  # of parameters, items, seconds between readings, joules of a counter's range
LONGEST_UNIT = 60
MOST_FAULTS = 10


def _amount(amount: object) -> Number | None:
    try:
        if not isinstance(amount, int | float):
            # A NumPy or torch scalar is a number too; it says so by converting itself.
            item = getattr(amount, "item", None)
            amount = item() if callable(item) else None
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            return None
        return amount if 0 <= amount <= MOST_WORK else None
    except Exception:  # whatever it is, it is no number, and says so as a finding
        return None


def _shown(unit: str, amount: object) -> str:
    try:
        text = f"{unit}={amount!r:.60}" if isinstance(amount, str) else f"{unit}={amount!r}"[:80]
    except Exception:  # an object that cannot even be shown
        text = unit[:80]
    return text.encode("utf-8", "replace").decode()


def _refuse_unless_amount(name: str, value: Number) -> None:
    """Raises ValueError unless a number is finite (as a float) and not below zero."""
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} is no finite number of at least 0: {str(value)[:40]}")


def _refuse_unless_share(name: str, value: float) -> None:
    """Raises ValueError unless a number lies between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is no share between 0 and 1: {value}")


def _refuse_unless_above_zero(name: str, value: Number | None) -> None:
    """Raises ValueError unless a number is unknown, or finite and above zero."""
    if value is not None and not 0 < value <= MOST_NUMBER:
        raise ValueError(f"{name} is not above 0, or beyond all measure: {str(value)[:40]}")


def stage_of(name: str) -> Stage:
    """The stage of that name.

    Raises:
        BadInput: there is none.
    """
    for stage in STAGES:
        if stage == name:
            return stage
    raise BadInput(f"{name!r} is not a stage", f"Stages are: {', '.join(STAGES)}", place="stage")


def plain(value: Any) -> Any:
    """Any of this package's values as what ``json`` can write; what was derived or is absent is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        entry = {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        if isinstance(value, Measurement):
            del entry["methods"]
            if value.idle_j is None:
                del entry["idle_j"]
            if not value.doubt_from:
                del entry["doubt_from"]  # records from before say nothing of it
        if isinstance(value, Model) and value.trainable_parameters is None:
            del entry[
                "trainable_parameters"
            ]  # of inference there is none, and a record from before has no such key
        if isinstance(value, Load):
            for key in ("request_rate", "max_num_seqs", "reasoning", "settings"):
                if entry[key] in (None, {}):
                    del entry[key]
        if isinstance(value, Record):
            order = ("schema", "run_id", "created", "stage", "model", "task", "load")
            entry = {key: entry.pop(key) for key in order} | entry
            # The schema's order: what was measured, what is to be said of it, what else is known, where it came from.
            for key in ("measurements", "findings", "quality", "provenance"):
                entry[key] = entry.pop(key)
        return entry
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
