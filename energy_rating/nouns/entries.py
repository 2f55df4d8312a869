"""The nouns of the journal: what the measuring half writes down. Values only; the rest of the nouns are in ``records``.

A room of its own because a program that is only measured loads this and no more: each noun takes two milliseconds to be made.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from energy_rating.nouns import threads
from energy_rating.nouns.choices import COMPONENTS as COMPONENTS
from energy_rating.nouns.choices import METHODS as METHODS
from energy_rating.nouns.choices import RELATIONS as RELATIONS
from energy_rating.nouns.choices import STAGES as STAGES
from energy_rating.nouns.choices import Component as Component
from energy_rating.nouns.choices import Counts as Counts
from energy_rating.nouns.choices import Method as Method
from energy_rating.nouns.choices import Origin as Origin
from energy_rating.nouns.choices import Relation as Relation
from energy_rating.nouns.choices import Severity as Severity
from energy_rating.nouns.choices import Stage as Stage
from energy_rating.nouns.choices import State as State
from energy_rating.nouns.errors import STRICT, BadInput
from energy_rating.nouns.interruptions import is_interruption
from energy_rating.nouns.work import LONGEST_UNIT as LONGEST_UNIT
from energy_rating.nouns.work import MOST_COUNTED, as_plain, is_amount, is_unit
from energy_rating.nouns.work import Number as Number

# What a run was for. Any other short word is taken too.
ROLES = ("final", "failed", "ablation", "search", "evaluation")
Setting = str | int | float | bool
RUN = "run"  # the window that spans everything
MEASURED = "measured"  # the windows of a benchmark that count, one a repeat


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
    """A warning that travels with the record. ``measurement`` or ``channel`` None: it concerns all of them.

    Whoever makes one here calls ``of``, which takes from the table of codes (``findings``) what all of one code have in common.
    ``data``: what of the message others reckon with, by name, so that nobody has to read a sentence; not stored where there is none.
    """

    __pydantic_config__ = STRICT

    code: str
    message: str
    remedy: str = ""
    severity: Severity = "note"
    measurement: str | None = None
    channel: str | None = None
    data: Mapping[str, Setting] = field(default_factory=dict, hash=False)

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        remedy: str | None = None,
        severity: Severity | None = None,
        *,
        measurement: str | None = None,
        channel: str | None = None,
        data: Mapping[str, Setting] | None = None,
    ) -> Finding:
        """A finding of a code that the table knows.

        ``remedy``: where there is a better one than the table's. ``severity``: where the table has several, which of them.

        Raises:
            ValueError: the table does not know the code, or not this severity of it.
        """
        from energy_rating.nouns.findings import FINDINGS, severity_of  # 130 codes, for which no import waits

        grave = severity_of(code, severity)
        return cls(
            code=code,
            message=message,
            remedy=FINDINGS[code].remedy if remedy is None else remedy,
            severity=grave,
            measurement=measurement,
            channel=channel,
            data=data or {},
        )

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: one of before has no such key."""
        if not self.data:
            del entry["data"]
        return entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device: ``id`` is what channels name (a GPU's UUID, a CPU's zone). Clocks in MHz; None is not known.

    ``power_profile``: the driver's profiles of power for kinds of work that are in force, or ``none``; ``adaptive_limit``: whether the
    driver moves the power limit by itself. Neither is stored where the driver does not tell it.
    """

    __pydantic_config__ = STRICT

    id: str
    name: str
    driver: str | None = None
    power_limit_w: float | None = None
    clock_mhz: float | None = None
    memory_gb: float | None = None
    mig: bool | None = None
    power_profile: str | None = None
    adaptive_limit: bool | None = None

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: a journal from before has no such keys."""
        for key in ("power_profile", "adaptive_limit"):
            if entry[key] is None:
                del entry[key]
        return entry


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
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unless_above_zero("items", self.items)
        refuse_unless_above_zero("batch_size", self.batch_size)
        refuse_unless_above_zero("concurrency", self.concurrency)
        refuse_unless_above_zero("max_new_tokens", self.max_new_tokens)
        refuse_unless_above_zero("request_rate", self.request_rate)
        refuse_unless_above_zero("max_num_seqs", self.max_num_seqs)

    @property
    def at_once(self) -> int | None:
        """How many requests are under way at once; None where nobody says."""
        if self.batch_size is None and self.concurrency is None:
            return None
        return (self.batch_size or 1) * (self.concurrency or 1)

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: without what nobody asked for."""
        for key in ("request_rate", "max_num_seqs", "reasoning", "settings"):
            if entry[key] in (None, {}):
                del entry[key]
        return entry

    def told(self) -> Iterator[tuple[str, Setting]]:
        """All that is known of it, by name: first what it has a key for, the seed last, then the settings in the order of their names."""
        own = sorted((one.name for one in fields(self)), key="seed".__eq__)
        for name, value in ((name, getattr(self, name)) for name in own if name != "settings"):
            if value is not None:
                yield name, value
        yield from sorted(self.settings.items())


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where it ran, as the user said it: nothing here is found out or checked against anything.

    ``zone`` is a country or a grid (``FRA``, ``US-CA``), ``region`` and ``provider`` are as a cloud names them (``europe-west9``,
    ``gcp``). None is not said, and is not stored.

    Raises:
        ValueError: nothing is said, or something that is no short word.
    """

    __pydantic_config__ = STRICT

    zone: str | None = None
    region: str | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        told = {"zone": self.zone, "region": self.region, "provider": self.provider}
        for name, text in told.items():
            if text is not None:
                refuse_unless_word(f"place.{name}", text)
        if not any(told.values()):
            raise ValueError("a place must say its zone, its region or its provider; got none of them")

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what was said."""
        return {key: value for key, value in entry.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What this run's model came from: the model that it started with, and the runs (by ``run_id``) that this one goes on from.

    ``relation``: what was made of the base model. What making the base took stands in the base's own record, never in this one.

    Raises:
        ValueError: nothing is said, a name is no short word, a run stands twice, or a relation is told to no base model.
    """

    __pydantic_config__ = STRICT

    base_model: str | None = None
    parents: tuple[str, ...] = ()
    relation: Relation | None = None

    def __post_init__(self) -> None:
        if self.base_model is not None:
            refuse_unless_word("lineage.base_model", self.base_model)
        for parent in self.parents:
            refuse_unless_word("lineage.parents", parent)
        if len(set(self.parents)) < len(self.parents):
            raise ValueError("the parents must differ; got one run twice")
        if self.base_model is None and not self.parents:
            raise ValueError("a lineage must name a base model or a parent; got neither")
        if self.relation is not None:
            if self.relation not in RELATIONS:
                raise ValueError(
                    f"lineage.relation must be one of {', '.join(RELATIONS)}; got {str(self.relation)[:40]!r}"
                )
            if self.base_model is None:
                raise ValueError("a relation must be one to a base model; got no base model")

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what was said."""
        return {key: value for key, value in entry.items() if value not in (None, [])}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """One process of a job: its place among all of them (``number``) and among those of its host (``local``), both from 0.

    ``of``: how many of them run on this host; None is not known. Of one that only counts, for the one that measures: ``run`` is whose
    record its counts are in (``run_id``), ``offset_s`` its time 0 on that one's clock, ``devices`` the UUIDs of the GPUs that it can use
    (None: not known). None of these three is stored where it says nothing.

    Raises:
        ValueError: a place is below zero or not below how many there are, or a name is no short word.
    """

    __pydantic_config__ = STRICT

    number: int = 0
    local: int = 0
    of: int | None = None
    run: str | None = None
    offset_s: float = 0.0
    devices: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, place in (("number", self.number), ("local", self.local)):
            if not 0 <= place < MOST_RANKS:
                raise ValueError(f"rank.{name} must be from 0 to {MOST_RANKS - 1}; got {str(place)[:40]}")
        if self.of is not None and not self.local < self.of <= MOST_RANKS:
            raise ValueError(f"rank.of must be above rank.local ({self.local}); got {str(self.of)[:40]}")
        if not -MOST_NUMBER < self.offset_s < MOST_NUMBER:
            raise ValueError(f"rank.offset_s must be a finite number of seconds; got {self.offset_s}")
        if self.run is not None:
            refuse_unless_word("rank.run", self.run)
        for device in self.devices or ():
            refuse_unless_word("rank.devices", device)

    @property
    def measures(self) -> bool:
        """Whether this is the one of its host that measures."""
        return self.local == 0

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what is known."""
        return {
            key: value
            for key, value in entry.items()
            if value is not None and (key, value) != ("offset_s", 0.0)
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a run is a part of, where a job runs on several hosts: ``id`` is the same on all of them (a hash of what launchers tell jobs
    apart by; None: nothing was told), ``node`` this host's place from 0 (None: not told), ``of`` how many hosts there are (None: not known).

    ``rank`` is the place among all of the process that measures here; ``counts``: whether the work is that of this host alone.

    Raises:
        ValueError: a place is below zero or not below how many there are, or the id is no short word.
    """

    __pydantic_config__ = STRICT

    id: str | None = None
    node: int | None = None
    of: int | None = None
    rank: int = 0
    counts: Counts = "each-rank"

    def __post_init__(self) -> None:
        if self.id is not None:
            refuse_unless_word("job.id", self.id)
        for name, place in (("node", self.node), ("rank", self.rank)):
            if place is not None and not 0 <= place < MOST_RANKS:
                raise ValueError(f"job.{name} must be from 0 to {MOST_RANKS - 1}; got {str(place)[:40]}")
        if self.of is not None and not (self.node or 0) < self.of <= MOST_RANKS:
            raise ValueError(f"job.of must be above job.node ({self.node}); got {str(self.of)[:40]}")

    @property
    def place(self) -> int:
        """What tells this host from the others of the job: its place, or that of its first process among all."""
        return self.rank if self.node is None else self.node

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what is known."""
        return {
            key: value
            for key, value in entry.items()
            if value is not None and (key, value) != ("counts", "each-rank")
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the program that was measured ended; of several sessions, the last one.

    ``state``: it ended, it was killed (the journal stops without an end), or it was still running when this was made.
    ``exit_code`` is that of a command, or of ``sys.exit``; ``signal`` the name of what ended a command; ``exception`` the type, and
    never the text, of what the measured block raised. None is not known, or was not.

    Raises:
        ValueError: a signal or an exception is no word, an exit code is none, or one is told of what has not ended.
    """

    __pydantic_config__ = STRICT

    state: State = "ended"
    exit_code: int | None = None
    signal: str | None = None
    exception: str | None = None

    def __post_init__(self) -> None:
        for name, text in (("signal", self.signal), ("exception", self.exception)):
            if text is not None:
                refuse_unless_word(f"outcome.{name}", text)
        if self.exit_code is not None and not -(2**31) <= self.exit_code < 2**32:
            raise ValueError(
                f"outcome.exit_code must be one that a program can end with; got {str(self.exit_code)[:40]}"
            )
        if self.state != "ended" and (self.exit_code, self.signal, self.exception) != (None, None, None):
            raise ValueError(
                f"outcome must say how a program ended only where it has; its state is {self.state}"
            )

    @property
    def failed(self) -> bool:
        """Whether the program ended, and not as programs end that have done what they should."""
        return bool(self.exit_code) or self.signal is not None or self.exception is not None

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As it stands in a file: what is known."""
        return {key: value for key, value in entry.items() if value is not None}


# Two threads may count into one window, and a signal's handler may count where it has come between. What was counted stands in values
# that are replaced as a whole, by whoever finds that nobody has replaced them meanwhile; Python lets nothing come between that comparison
# and the assignment (see ``interruptions``). So nobody waits for anybody: a lock would be held while a handler runs that came into its
# thread, and that handler may want a lock of the run whose holder waits for this one. Only where threads really run at once (a Python
# without its global lock) is there one.
_COUNTING = None if getattr(sys, "_is_gil_enabled", lambda: True)() else threads.rlock()


def _new_lock() -> None:
    """In a forked child the lock may be held by a thread that is not there."""
    global _COUNTING
    _COUNTING = threads.rlock() if _COUNTING is not None else None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


class Window:
    """A named span with work counted into it. Open until it is left; opened by ``run.window(name)``.

    ``name`` and ``work`` (what was counted into it so far, by unit) are there to be read.
    """

    __slots__ = (
        *("_counts", "_faults", "_late", "_taken"),
        *("above", "holding", "holds_name_around", "key", "name", "of", "since_s", "waiting"),
    )

    def __init__(self, name: str, like: Window | None = None) -> None:
        """``like``: what was counted into that one is counted into this one already."""
        self.name = name
        # Of each unit all, and what of it was counted at the run.
        self._counts: dict[str, tuple[Number, Number]] = {} if like is None else like._counts.copy()
        self.of: Window | None = None  # the window of the run that it is one of
        self.key = 0  # its number in the journal, once that has a line of it
        self.since_s = 0.0  # on the run's clock
        # Where its work goes when it is left: into the window around it, or a sum of outermost ones (``reaching``). None: nowhere.
        self.above: Window | None = None
        self.holding = 0  # windows of which the work comes here, and has not come yet
        self.holds_name_around = False  # whether one inside it has the name of one around it
        self._faults: list[str] = []
        self._late: Callable[[Window], None] | None = (
            None  # who is told that it is over, and was counted into
        )
        # What came from windows inside it, and what of that no other window of its name shows.
        self._taken: tuple[dict[str, Number], dict[str, Number]] = {}, {}
        self.waiting: dict[int, tuple[Mapping[str, Number], bool]] = {}  # what is to be added to these

    @property
    def work(self) -> dict[str, Number]:
        """What was counted into it by now."""
        return {unit: total for unit, (total, _) in dict(self._counts).items()}

    def count(self, /, **work: Number) -> None:
        """Adds work of any unit: ``window.count(token=512, request=1)``.

        A count that is no finite number ≥ 0 is left out and told as a finding, as is one that comes after the window was left;
        nothing is raised into the program that is being measured.
        """
        if self._late is not None:
            self._late(self)
            return
        for unit, amount in work.items():
            self._add(unit, amount)

    def count_through(self, work: Mapping[str, Number]) -> None:
        """The same for work that was counted at the run, which knows of it already."""
        if self._late is not None:
            self._late(self)
            return
        for unit, amount in work.items():
            self._add(unit, amount, through=True)

    def _add(self, unit: str, amount: object, *, through: bool = False) -> None:
        """Adds to one unit."""
        clean = _amount(amount)
        if clean is not None and is_unit(unit):
            if _COUNTING is None:
                added = self._added(unit, clean, through)
            else:
                with _COUNTING:
                    added = self._added(unit, clean, through)
            if added:
                return
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(_shown(unit, amount))

    def _added(self, unit: str, amount: Number, through: bool) -> bool:
        """Adds; False where the sum would be too much."""
        counts = self._counts
        while True:
            before = counts.get(unit)
            total, of_run = before or (0, 0)
            if total + amount > MOST_COUNTED:
                return False
            after = total + amount, of_run + amount if through else of_run
            # Nothing can come between these (see above).
            if (counts[unit] if unit in counts else None) is before:  # noqa: SIM401 (no call)
                counts[unit] = after
                return True

    def counted_here(self) -> dict[str, Number]:
        """The work that was counted into this window itself, and not at the run while it was open."""
        return {
            unit: total - of_run if of_run else total
            for unit, (total, of_run) in dict(self._counts).items()
            # What floating point leaves of a difference is no work.
            if not of_run or total - of_run > ALIKE * total
        }

    def told(self) -> tuple[dict[str, Number], dict[str, Number]]:
        """What was counted at the run while this window was open, and what came from the windows inside it; neither is to be changed."""
        if self.waiting:
            self._take_in()
        # What is taken in is never changed, but replaced.
        inner = self._taken[0]
        if not self._counts:
            return {}, inner
        return {unit: of_run for unit, (_, of_run) in dict(self._counts).items() if of_run}, inner

    def rises(self, rising: Mapping[str, Number] | None = None) -> dict[str, Number]:
        """The work that goes up from here: of each unit what was counted here, or in the windows inside, whichever is more.

        ``rising``: what would come from windows inside that are still open.
        """
        work = self.counted_here()
        if not rising and self._has_none_inside():
            return work
        inner = dict(self.told()[1])
        for unit, amount in (rising or {}).items():
            inner[unit] = inner.get(unit, 0) + amount
        for unit, amount in inner.items():
            work[unit] = max(amount, work.get(unit, 0))
        return work

    def figure(self) -> dict[str, Number]:
        """Its own work: what was counted into it, and of other units what came from the windows inside it."""
        self._take_in()
        counts = dict(self._counts)
        work = {unit: total for unit, (total, _) in counts.items()}
        for unit, amount in self._taken[1].items():
            total = amount + (counts[unit][1] if unit in counts else 0)
            if work.get(unit, 0) < total <= MOST_COUNTED:
                work[unit] = total
        return work

    def contradicted(self) -> list[tuple[str, Number, Number]]:
        """Units of which less was counted here than in the windows inside: the unit and both amounts."""
        if self._has_none_inside():
            return []
        here, (_, inner) = self.counted_here(), self.told()
        return [
            (unit, here[unit], amount) for unit, amount in inner.items() if 0 < here.get(unit, 0) < amount
        ]

    def has_any(self) -> bool:
        """Whether anything was counted here, or in windows inside."""
        return bool(self._counts or self.waiting or self._taken[0])

    def _has_none_inside(self) -> bool:
        """Whether no work has come from windows inside it, as of most: they cost less."""
        return not self.waiting and not self._taken[0]

    def _take_in(self) -> None:
        """Adds the amounts that wait. They are either added and wait no more, or neither, whatever is raised."""
        waiting = self.waiting
        for key in tuple(waiting):
            while (one := waiting.get(key)) is not None:
                work, show = one
                before = self._taken
                after = inner, shown = dict(before[0]), dict(before[1])
                for total, wanted in ((inner, True), (shown, show)):
                    for unit, amount in work.items() if wanted else ():
                        total[unit] = total.get(unit, 0) + amount
                # Nothing can come between these (see above).
                if self._taken is before and key in waiting:
                    self._taken = after
                    del waiting[key]

    @property
    def left(self) -> bool:
        """Whether it is over."""
        return self._late is not None

    def faults(self) -> tuple[str, ...]:
        """The counts that were left out, as ``unit=amount``."""
        return tuple(self._faults)

    def outermost(self) -> Window:
        """Where its work comes to in the end; itself while that is not known."""
        top = self
        while top.above is not None:
            top = top.above
        return top

    def closed(self, late: Callable[[Window], None]) -> None:
        """Ends the window; ``late`` is called if anybody counts after that."""
        self._late = late


ALIKE = 1e-12  # sums of the same numbers in another order differ by less
LEAST_DURATION_S = 1e-9  # nothing can be divided by less; a journal tells times to a millionth
MOST_NUMBER = 1e20  # of parameters, items, seconds between readings, joules of a counter's range
LONGEST_WORD = 200  # of what is said of a place, a model, a run
MOST_RANKS = 10_000_000  # the largest machines of 2026 have some tens of thousands of accelerators
MOST_SETTINGS = 100
MOST_FAULTS = 10


def _amount(amount: object) -> Number | None:
    try:
        kind = type(amount)
        if kind is not int and kind is not float and not isinstance(amount, int | float):
            # A NumPy or torch scalar is a number too; it says so by converting itself.
            item = getattr(amount, "item", None)
            amount = item() if callable(item) else None
        return as_plain(amount) if is_amount(amount, MOST_COUNTED) else None
    except Exception as error:  # whatever it is, it is no number, and says so as a finding
        if is_interruption(error, called=None):
            raise
        return None


def _shown(unit: str, amount: object) -> str:
    try:
        text = f"{unit}={amount!r:.60}" if isinstance(amount, str) else f"{unit}={amount!r}"[:80]
    except Exception as error:  # an object that cannot even be shown
        if is_interruption(error, called=None):
            raise
        text = unit[:80]
    return text.encode("utf-8", "replace").decode()


def refuse_unless_amount(name: str, value: Number) -> None:
    """Raises ValueError unless a number is finite (as a float) and not below zero."""
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number of at least 0; got {str(value)[:40]}")


def refuse_unless_share(name: str, value: float) -> None:
    """Raises ValueError unless a number lies between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1; got {value}")


def refuse_unless_above_zero(name: str, value: Number | None) -> None:
    """Raises ValueError unless a number is unknown, or finite and above zero."""
    if value is not None and not 0 < value <= MOST_NUMBER:
        raise ValueError(f"{name} must be above 0 and at most {MOST_NUMBER:g}; got {str(value)[:40]}")


def refuse_unless_word(name: str, text: str) -> None:
    """Raises ValueError unless a text is printable, not empty, not too long, and without blanks around it."""
    if not text or len(text) > LONGEST_WORD or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"{name} must be a printable text of 1 to {LONGEST_WORD} characters, without blanks around it; got {text[:40]!r}"
        )


def refuse_unless_said_well(
    role: str | None, ranks: int | None, nodes: int | None, operating_point: Mapping[str, Setting]
) -> None:
    """Raises ValueError where what is said of a run, in a journal's header as in a record, cannot be."""
    if role is not None:
        refuse_unless_word("role", role)
    for name, number in (("ranks", ranks), ("nodes", nodes)):
        if number is not None and not 1 <= number <= MOST_RANKS:
            raise ValueError(f"{name} must be from 1 to {MOST_RANKS}; got {str(number)[:40]}")
    if len(operating_point) > MOST_SETTINGS:
        raise ValueError(
            f"operating_point must have at most {MOST_SETTINGS} settings; got {len(operating_point)}"
        )
    for name, value in operating_point.items():
        refuse_unless_word("operating_point", name)
        if isinstance(value, str):
            refuse_unless_word(f"operating_point.{name}", value)


def stage_of(name: str) -> Stage:
    """The stage of that name.

    Raises:
        BadInput: there is none.
    """
    for stage in STAGES:
        if stage == name:
            return stage
    raise BadInput(f"must be a stage; got {name!r}", f"Stages are: {', '.join(STAGES)}", place="stage")


_SIMPLE = frozenset((str, float, int, bool, type(None)))


@functools.cache
def _names_of(kind: Any) -> tuple[str, ...] | None:
    """The fields of a class, in their order; None of one that is no dataclass."""
    return tuple(item.name for item in fields(kind)) if is_dataclass(kind) else None


def plain(value: Any) -> Any:
    """Any of this package's values as what ``json`` can write. What a noun leaves out, or in which order it stands, its ``stored`` says."""
    kind: Any = type(value)
    if kind in _SIMPLE:
        return value
    names = _names_of(kind)
    if names is not None:
        entry = {name: plain(getattr(value, name)) for name in names}
        stored = getattr(value, "stored", None)
        return entry if stored is None else stored(entry)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
