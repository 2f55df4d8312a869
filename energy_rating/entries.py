"""The nouns of the journal: what the measuring half writes down. Values only; the rest of the nouns are in ``records``.

A room of its own because a program that is only measured loads this and no more: each noun takes two milliseconds to be made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

from energy_rating.errors import STRICT, BadInput

Stage = Literal["pre-training", "fine-tuning", "inference", "other"]
Component = Literal["gpu", "cpu", "dram", "module", "host", "wall"]
Method = Literal["counter", "power", "model"]
Severity = Literal["note", "degrades", "disqualifies"]
Number = int | float
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
    ``accuracy`` is the relative standard uncertainty of the gain, 0 to 1; ``accuracy_w`` what else is uncertain at any power, one
    standard deviation in watts (None: not known, and not stored). ``period_s`` is how often the sensor refreshes the
    number (None: not known beforehand); ``wraps_at_j`` is the range after which a counter starts again (None: never).

    Raises:
        ValueError: ``accuracy`` is no share, ``accuracy_w`` is no amount, or a period or a range is not above zero.
    """

    __pydantic_config__ = STRICT

    id: str
    component: Component
    device: str
    method: Method
    accuracy: float
    period_s: float | None = None
    wraps_at_j: float | None = None
    accuracy_w: float | None = None

    def __post_init__(self) -> None:
        refuse_unless_share("accuracy", self.accuracy)
        refuse_unless_amount("accuracy_w", self.accuracy_w or 0.0)
        refuse_unless_above_zero("period_s", self.period_s)
        refuse_unless_above_zero("wraps_at_j", self.wraps_at_j)

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: a journal from before has no such key."""
        if self.accuracy_w is None:
            del entry["accuracy_w"]
        return entry


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
        refuse_unless_above_zero("parameters", self.parameters)
        refuse_unless_above_zero("active_parameters", self.active_parameters)
        refuse_unless_above_zero("trainable_parameters", self.trainable_parameters)

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: of inference there is nothing trained, and a record from before has no such key."""
        if self.trainable_parameters is None:
            del entry["trainable_parameters"]
        return entry


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
        refuse_unless_above_zero("items", self.items)
        refuse_unless_above_zero("batch_size", self.batch_size)
        refuse_unless_above_zero("concurrency", self.concurrency)
        refuse_unless_above_zero("max_new_tokens", self.max_new_tokens)
        refuse_unless_above_zero("request_rate", self.request_rate)
        refuse_unless_above_zero("max_num_seqs", self.max_num_seqs)

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: without what nobody asked for."""
        for key in ("request_rate", "max_num_seqs", "reasoning", "settings"):
            if entry[key] in (None, {}):
                del entry[key]
        return entry


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
        refuse_unless_amount("foreign_processes", self.foreign_processes or 0)


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
LEAST_WORK = 1e-9  # less is none: nothing can be divided by it
LEAST_DURATION_S = 1e-9  # likewise; a journal tells times to a millionth
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
        return amount if amount == 0 or LEAST_WORK <= amount <= MOST_WORK else None
    except Exception:  # whatever it is, it is no number, and says so as a finding
        return None


def _shown(unit: str, amount: object) -> str:
    try:
        text = f"{unit}={amount!r:.60}" if isinstance(amount, str) else f"{unit}={amount!r}"[:80]
    except Exception:  # an object that cannot even be shown
        text = unit[:80]
    return text.encode("utf-8", "replace").decode()


def refuse_unless_amount(name: str, value: Number) -> None:
    """Raises ValueError unless a number is finite (as a float) and not below zero."""
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} is no finite number of at least 0: {str(value)[:40]}")


def refuse_unless_share(name: str, value: float) -> None:
    """Raises ValueError unless a number lies between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is no share between 0 and 1: {value}")


def refuse_unless_above_zero(name: str, value: Number | None) -> None:
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
    """Any of this package's values as what ``json`` can write. What a noun leaves out, or in which order it stands, its ``stored`` says."""
    if is_dataclass(value) and not isinstance(value, type):
        entry = {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        stored = getattr(value, "stored", None)
        return entry if stored is None else stored(entry)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
