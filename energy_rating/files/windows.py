"""The windows of a session in columns, as many as a journal may hold. How they are found in it is left to ``reading``."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast, overload

from energy_rating.files.columns import Column
from energy_rating.nouns.records import RUN, Number
from energy_rating.nouns.work import LEAST_WORK, Work

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[numpy.float64]
    Flags: TypeAlias = NDArray[numpy.bool_]
    Places: TypeAlias = NDArray[numpy.intp]

# From so many windows on arrays are faster, even where numpy is to be loaded first; and so many are looked at together.
MANY = 1 << 11
SOME = 1 << 6
AT_ONCE = 1 << 14
READINGS_AT_ONCE = 1 << 18

# Where more windows are open at once, others are taken one by one.
MOST_OPEN = 16

# Windows of one name that count in more kinds of ways are taken one by one.
MOST_KINDS = 64

# Numbers of windows count up from 0. Whole numbers up to here are the same as doubles.
MOST_WHOLE = 1 << 53


# --------------------------------------------------------------------------------------------------------- journals


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A window as the journal tells it. ``end_s`` is where the journal stops if it was never closed."""

    name: str
    start_s: float
    end_s: float
    work: Work = field(default_factory=Work)
    closed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Windows each of which was opened and closed before the next: their names, their units, and where their numbers begin among ``values``.

    ``told``: with which the work of the run was told, of the units ``of_run``; ``whole``: which of the numbers are whole.
    """

    names: list[str]
    units: list[tuple[str, ...]]
    told: Flags
    of_run: tuple[str, ...]
    firsts: Places
    values: Array
    whole: Flags

    def __len__(self) -> int:
        return len(self.names)

    @property
    def keys(self) -> Array:
        return self.values[self.firsts]

    @property
    def starts_s(self) -> Array:
        return self.values[self.firsts + 1]

    @property
    def ends_s(self) -> Array:
        return self.values[self.firsts + 3]

    @property
    def counts(self) -> Places:
        """How many units each counted."""
        import numpy

        found: Places = numpy.array(list(map(len, self.units)), numpy.intp)
        return found

    def places(self) -> Places:
        """Where the amounts of all of them stand, one window after the other."""
        import numpy

        counts = self.counts
        before = numpy.cumsum(counts) - counts
        found: Places = numpy.arange(counts.sum()) + numpy.repeat(self.firsts + 4 - before, counts)
        return found

    def run_places(self) -> Places:
        """Where what is told of the run stands: a row for each time that it was."""
        import numpy

        found: Places = (self.firsts + 4 + self.counts)[self.told][:, None] + numpy.arange(len(self.of_run))
        return found

    def counted(self) -> dict[str, tuple[Array, bool]]:
        """What each counted of each unit, and whether all of that is whole."""
        import numpy

        found: dict[str, tuple[Array, bool]] = {}
        for units in dict.fromkeys(self.units):
            windows = numpy.array([one == units for one in self.units], numpy.bool_)
            for offset, unit in enumerate(units):
                amounts, whole = found.get(unit, (numpy.zeros(len(self)), True))
                places = self.firsts[windows] + 4 + offset
                amounts[windows] = self.values[places]
                found[unit] = amounts, whole and bool(self.whole[places].all())
        return found

    def can_be(self, most: float) -> bool:
        """Whether all times are less than that, and all amounts can be."""
        import numpy

        places = numpy.concatenate((self.places(), self.run_places().ravel()))
        values, whole = self.values[places], self.whole[places]
        amounts = ((values >= LEAST_WORK) & (values <= MOST_WHOLE)) | ((values == 0) & whole)
        return bool(amounts.all() and (self.ends_s < most).all() and (self.starts_s > -most).all())


@dataclass(frozen=True, slots=True)
class _Kind:
    """What many windows have in common: name, units of work, which of these were counted in whole numbers; whether it was closed.

    ``work`` stands here where an amount is no double.
    """

    name: str
    units: tuple[str, ...]
    whole: tuple[bool, ...]
    closed: bool
    work: Work | None = None


class Spans(Sequence[Span]):
    """The windows of one session, the earliest first; as many as there may be, in columns. Each is made when it is asked for."""

    def __init__(
        self,
        kinds: Sequence[_Kind],
        order: Sequence[int],
        columns: tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float], Sequence[float]],
    ) -> None:
        self._kinds, self._order = kinds, order
        self._kind_of, self._starts, self._ends, self._places, self._amounts = columns

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Span: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Span, ...]: ...
    def __getitem__(self, place: int | slice) -> Span | tuple[Span, ...]:
        if isinstance(place, slice):
            return tuple(self._span(row) for row in self._order[place])
        return self._span(self._order[place])

    def __iter__(self) -> Iterator[Span]:
        return map(self._span, self._order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def named(self, *names: str) -> list[Span]:
        """The windows of these names."""
        return self._of_kinds({number for number, kind in enumerate(self._kinds) if kind.name in names})

    def unclosed(self) -> list[Span]:
        """Those that were never closed."""
        return self._of_kinds({number for number, kind in enumerate(self._kinds) if not kind.closed})

    def _of_kinds(self, wanted: set[int]) -> list[Span]:
        if not wanted:
            return []
        if len(self) >= MANY:
            import numpy

            numbers = numpy.array(sorted(wanted), numpy.float64)
            return [
                self._span(row)
                for rows in self._rows()
                for row in rows[numpy.isin(numpy.asarray(self._kind_of)[rows], numbers)].tolist()
            ]
        kind_of = self._kind_of
        return [self._span(row) for row in self._order if kind_of[row] in wanted]

    def _rows(self, at_once: int | None = None) -> Iterator[Places]:
        """The rows of the windows in their order, many at a time."""
        import numpy

        at_once = at_once or AT_ONCE
        for first in range(0, len(self._order), at_once):
            yield numpy.array(self._order[first : first + at_once], numpy.intp)

    def where(self, choose: Callable[[Array, Array], Flags]) -> Iterator[Span]:
        """The windows that are chosen by their starts and ends."""
        import numpy

        starts, ends = numpy.asarray(self._starts), numpy.asarray(self._ends)
        for rows in self._rows():
            for row in rows[choose(starts[rows], ends[rows])].tolist():
                yield self._span(row)

    def blocks(self, readings: int = 0) -> Iterator[Block]:
        """All windows, many at a time; of each lot those of one name together, in the order in which the names come.

        Where so many ``readings`` were taken meanwhile, there are fewer windows in a lot, so that few of these lie around them.
        """
        import numpy

        numbers: dict[str, int] = {}
        name_of = numpy.array(
            [numbers.setdefault(kind.name, len(numbers)) for kind in self._kinds], numpy.intp
        )
        names = tuple(numbers)
        kind_of = numpy.asarray(self._kind_of)
        at_once = min(max(SOME, READINGS_AT_ONCE * len(self) // max(readings, 1)), AT_ONCE)
        for rows in self._rows(at_once):
            kinds = kind_of[rows].astype(numpy.intp)
            of_names = name_of[kinds]
            found, first = numpy.unique(of_names, return_index=True)
            for name in found[first.argsort()].tolist():
                here = of_names == name
                yield Block(self, names[name], rows[here], kinds[here])

    def times(self) -> Iterator[tuple[str, float, float, bool]]:
        """Name, start, end of each window, and whether it was closed: without its work, which takes longest to make."""
        names = [(kind.name, kind.closed) for kind in self._kinds]
        kind_of, starts, ends = self._kind_of, self._starts, self._ends
        for row in self._order:
            name, closed = names[int(kind_of[row])]
            yield name, starts[row], ends[row], closed

    def _span(self, row: int) -> Span:
        kind = self._kinds[int(self._kind_of[row])]
        work = kind.work
        if work is None:
            first = int(self._places[row])
            amounts = self._amounts[first : first + len(kind.units)]
            work = Work.again(
                {
                    unit: int(amount) if whole else amount
                    for unit, whole, amount in zip(kind.units, kind.whole, amounts, strict=True)
                }
            )
        return Span(
            name=kind.name, start_s=self._starts[row], end_s=self._ends[row], work=work, closed=kind.closed
        )


class Block:
    """Some windows of one name, in their order, in arrays."""

    def __init__(self, spans: Spans, name: str, rows: Places, kinds: Places) -> None:
        import numpy

        self.name = name
        self.starts_s, self.ends_s = (numpy.asarray(one)[rows] for one in (spans._starts, spans._ends))
        self._spans, self._rows, self._kinds = spans, rows, kinds

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Span]:
        return map(self._spans._span, self._rows.tolist())

    @property
    def are_usual(self) -> bool:
        """Whether they are of few kinds, and all that was counted in them are doubles."""
        kinds = set(self._kinds.tolist())
        return len(kinds) <= MOST_KINDS and all(self._spans._kinds[kind].work is None for kind in kinds)

    def amounts(self) -> dict[str, Amounts]:
        """What was counted in them, by unit."""
        import numpy

        found: dict[str, list[Amounts]] = {}
        places_of, all_amounts = numpy.asarray(self._spans._places), numpy.asarray(self._spans._amounts)
        for number in dict.fromkeys(self._kinds.tolist()):
            kind = self._spans._kinds[number]
            places = numpy.flatnonzero(self._kinds == number)
            at = places_of[self._rows[places]].astype(numpy.intp)
            for offset, (unit, whole) in enumerate(zip(kind.units, kind.whole, strict=True)):
                found.setdefault(unit, []).append(Amounts(places, all_amounts[at + offset], whole))
        return {unit: Amounts.together(some) for unit, some in found.items()}


@dataclass(frozen=True, slots=True)
class Amounts:
    """What some windows of a block counted of one unit: which of them, how much, and whether in whole numbers (None: some did)."""

    places: Places
    values: Array
    whole: bool | None

    @classmethod
    def together(cls, several: Sequence[Amounts]) -> Amounts:
        """All of them in the order of the windows."""
        if len(several) == 1:
            return several[0]
        import numpy

        places = numpy.concatenate([one.places for one in several])
        order = places.argsort()
        kinds = {one.whole for one in several}
        values = numpy.concatenate([one.values for one in several])
        return cls(places[order], values[order], kinds.pop() if len(kinds) == 1 else None)

    def added_to(self, before: Number) -> Number | None:
        """A sum with all of them added, one after the other; None where whole numbers and others are among each other."""
        import numpy

        if self.whole is None:
            return None
        if self.whole and isinstance(before, int):
            return before + sum(map(int, self.values.tolist()))
        return float(numpy.add.accumulate(numpy.concatenate(([before], self.values)))[-1])


def unclosed(spans: Sequence[Span]) -> list[Span]:
    """Those that were never closed."""
    return spans.unclosed() if isinstance(spans, Spans) else [span for span in spans if not span.closed]


def chosen(spans: Sequence[Span], choose: Callable[[Array, Array], Flags]) -> Iterator[Span]:
    """Those that may be meant: of many windows the ones that are chosen by their starts and ends, else all of them."""
    return spans.where(choose) if are_many(spans) else iter(spans)


def are_many(spans: Sequence[Span], readings: int = 0) -> TypeGuard[Spans]:
    """Whether there are so many that they are better looked at in arrays: fewer where so many readings are as well."""
    return isinstance(spans, Spans) and len(spans) >= (MANY if readings < MANY else SOME)


def named(spans: Sequence[Span], *names: str) -> list[Span]:
    """Those of these names."""
    if isinstance(spans, Spans):
        return spans.named(*names)
    return [span for span in spans if span.name in names]


def times(spans: Sequence[Span]) -> Iterator[tuple[str, float, float, bool]]:
    """Name, start, end of each window, and whether it was closed."""
    if isinstance(spans, Spans):
        return spans.times()
    return ((span.name, span.start_s, span.end_s, span.closed) for span in spans)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What a window had counted of a unit at its last count before its end, and what it told at its end, ``after_s`` later.

    ``counts`` had come before, and ``most`` was the most that came from one of them to the next.
    """

    name: str
    unit: str
    before: Number
    work: Number
    after_s: float
    counts: int
    most: Number


class _Counts:
    """The counts of a window that is open: the last of each unit, how many came, and the most that came at once."""

    __slots__ = ("last", "most", "number", "t")

    def __init__(self) -> None:
        self.last: dict[str, Number] = {}
        self.most: dict[str, Number] = {}
        self.number = 0
        self.t = 0.0

    def add(self, t: float, work: Mapping[str, Number]) -> None:
        for unit, amount in work.items():
            self.most[unit] = max(self.most.get(unit, 0), amount - self.last.get(unit, 0))
        self.last = dict(work)
        self.number += 1
        self.t = t

    def at_the_end(self, name: str, t: float, work: Mapping[str, Number]) -> Iterator[Counted]:
        for unit, before in self.last.items():
            now = work.get(unit, 0)
            if now < before or now - before > self.most[unit]:
                yield Counted(
                    name=name,
                    unit=unit,
                    before=before,
                    work=now,
                    after_s=t - self.t,
                    counts=self.number,
                    most=self.most[unit],
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What had been done when a checkpoint was noted: by the run, and by each window that was open, told by its name and its start.

    ``step`` names it; ``said`` is how much of the run's work it holds, as the program said it, by unit.
    """

    at_s: float
    step: Number | None = None
    said: Work = field(default_factory=Work)
    windows: Mapping[tuple[str, float], Work] = field(default_factory=dict)
    # What the other ranks had done when it was noted, each in its own windows, by the names of their files.
    others: Mapping[str, Checkpoint] = field(default_factory=dict)

    @property
    def of_run(self) -> Work:
        """The work of the run by then."""
        return next((work for (name, _), work in self.windows.items() if name == RUN), Work())


# Of so many windows it is kept that their end told another thing than their counts.
MOST_COUNTED = 100

# What floating point makes of sums of the same numbers in another order.
SAME_SUM = 1e-9


NOTHING = Work()


class Windows:
    """The windows of a session while it is read, in columns: a row is made when a window is opened, and filled when it is closed."""

    _NEVER = -1.0  # what a window is whose number was given to another one while it was open

    def __init__(self) -> None:
        self._kinds: list[_Kind] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._kind_of, self._starts, self._ends = Column(), Column(), Column()
        self._places, self._amounts, self._keys = Column(), Column(), Column()
        self._open: dict[int, tuple[int, str, float, Work]] = {}
        self._broken: dict[
            int, float
        ] = {}  # those whose end may be among lines that were lost, and since when
        self._latest = -math.inf, -1
        self._in_order = True
        self._counts: dict[int, _Counts] = {}
        # Of each window that is open: the most that the ends of others told of it.
        self._told: dict[int, dict[str, Number]] = {}
        self._alone: dict[str, Number] = {}  # what windows counted that no other one overlapped
        self._ended_together = 0  # windows that have ended since no other one was open
        self.counted: list[Counted] = []

    def open(self, key: int, name: str, start_s: float) -> None:
        self._in_order = self._in_order and key not in self._open and self._latest <= (start_s, key)
        self._latest = start_s, key
        self._open[key] = len(self._starts), name, start_s, NOTHING
        self._counts.pop(key, None)
        self._broken.pop(key, None)
        self._kind_of.append(self._NEVER)
        self._starts.append(start_s)
        self._ends.append(start_s)
        self._places.append(0.0)
        self._keys.append(key)

    def count(self, key: int, work: Work, t: float) -> None:
        if key in self._open:  # a count that comes after its window was left tells nothing new
            row, name, start_s, _ = self._open[key]
            self._open[key] = row, name, start_s, work
            self._counts.setdefault(key, _Counts()).add(t, work)

    def tell(self, key: int, work: Work, inside: Work) -> None:
        """What a window has counted by now, told beside the end of one inside it, and the work of that one: it counts for both.

        Of windows that lay beside each other the same work may have been told twice; what those counted that were alone adds up.
        """
        if key not in self._open:
            return
        name = self._open[key][1]
        self.reached(key, work)
        self._ended_together += 1
        if len(self._open) == 1:
            if self._ended_together == 1:
                for unit, amount in inside.items():
                    self._alone[unit] = self._alone.get(unit, 0) + amount
            self._ended_together = 0
        for unit, amount in work.items():
            least = max(inside.get(unit, 0), self._alone.get(unit, 0))
            if amount < least * (1 - SAME_SUM):
                self._contradicted(name, unit, least, amount)

    def reached(self, key: int, work: Work) -> None:
        """What a window has counted by now, told with a checkpoint: so much it has at least, however the run ends."""
        if key not in self._open:
            return
        row, name, start_s, _ = self._open[key]
        self._open[key] = row, name, start_s, work
        self._hold(key, name, work)
        told = self._told.setdefault(key, {})
        for unit, amount in work.items():
            told[unit] = max(amount, told.get(unit, 0))

    def _hold(self, key: int, name: str, work: Mapping[str, Number]) -> None:
        """Work of a window against what was told of it before: that only grows."""
        for unit, before in self._told.get(key, {}).items():
            if work.get(unit, 0) < before * (1 - SAME_SUM):
                self._contradicted(name, unit, before, work.get(unit, 0))

    def _contradicted(self, name: str, unit: str, before: Number, work: Number) -> None:
        if len(self.counted) < MOST_COUNTED:
            self.counted.append(
                Counted(name=name, unit=unit, before=before, work=work, after_s=0.0, counts=0, most=0)
            )

    def called(self, key: int) -> tuple[str, float] | None:
        """Name and start of a window that is open now."""
        return self._open[key][1:3] if key in self._open else None

    def opened(self, key: int) -> float:
        """When a window was opened that is open now."""
        return self._open[key][2]

    def can_close(self, key: int, t: float) -> bool:
        """Whether a window is open now that was opened no later than that."""
        return key in self._open and self._open[key][2] <= t

    def knows(self, key: int) -> bool:
        """Whether a window is open now."""
        return key in self._open

    def lose(self, last_s: float) -> None:
        """Lines were lost behind this time: whatever is open may have ended there. The run, window 0, goes on."""
        for key in self._open:
            if key:
                self._broken.setdefault(key, last_s)

    def close(self, key: int, end_s: float, work: Work) -> None:
        row, name, _, _ = self._open.pop(key)
        counts = self._counts.pop(key, None)
        if counts is not None and len(self.counted) < MOST_COUNTED:
            self.counted += counts.at_the_end(name, end_s, work)
        self._hold(key, name, work)
        self._told.pop(key, None)
        self._fill(row, name, end_s, work, closed=True)

    def take(self, pairs: Pairs, *, is_told: bool) -> bool:
        """Opens and closes windows one after the other. Whether it did: where something about them is unusual nothing is done.

        ``is_told``: what they tell of the run counts.
        """
        import numpy

        keys, starts_s = pairs.keys, pairs.starts_s
        if len(self._open) > MOST_OPEN or any((keys == key).any() for key in self._open):
            return False
        if is_told and 0 in self._open and pairs.told.any() and not self._tell_many(pairs):
            return False
        befores_s = numpy.concatenate(([self._latest[0]], starts_s[:-1]))
        before_keys = numpy.concatenate(([self._latest[1]], keys[:-1]))
        in_order = (befores_s < starts_s) | ((befores_s == starts_s) & (before_keys <= keys))
        self._in_order = self._in_order and bool(in_order.all())
        self._latest = float(starts_s[-1]), int(keys[-1])
        places, counts = pairs.places(), pairs.counts
        for column, values in (
            (self._kind_of, self._kinds_of(pairs, places)),
            (self._starts, starts_s),
            (self._ends, pairs.ends_s),
            (self._places, numpy.cumsum(counts) - counts + float(len(self._amounts))),
            (self._keys, keys),
            (self._amounts, pairs.values[places]),
        ):
            if len(values):
                column.extend(memoryview(numpy.ascontiguousarray(values, numpy.float64)))
        return True

    def _kinds_of(self, pairs: Pairs, places: Places) -> Array:
        """The numbers of the kinds of some windows whose amounts stand there."""
        import numpy

        forms: dict[tuple[str, tuple[str, ...]], int] = {}
        both = zip(pairs.names, pairs.units, strict=True)
        form_of = numpy.array([forms.setdefault(form, len(forms)) for form in both], numpy.intp)
        counts, whole = pairs.counts, pairs.whole[places]
        first = numpy.cumsum(counts) - counts
        kinds: Array = numpy.empty(len(pairs))
        for (name, units), form in forms.items():
            windows = numpy.flatnonzero(form_of == form)
            are_whole = whole[first[windows][:, None] + numpy.arange(len(units))]
            left: Flags = numpy.ones(len(windows), numpy.bool_)
            while left.any():
                some = are_whole[int(left.argmax())]
                alike = (are_whole == some).all(axis=1)
                types = tuple(int if one else float for one in some.tolist())
                kinds[windows[alike]] = self._kind(name, units, types, closed=True)
                left &= ~alike
        return kinds

    def _tell_many(self, pairs: Pairs) -> bool:
        """``tell`` of windows that follow each other. Whether it was done: nothing is where one of them contradicts what was told before."""
        import numpy

        places = pairs.run_places()
        run, whole = pairs.values[places], pairs.whole[places]
        insides = pairs.counted()
        told, alone = self._told.get(0, {}), dict(self._alone)
        are_alone = len(self._open) == 1
        first_alone = 1 if are_alone and self._ended_together else 0
        alone_by: dict[str, Array] = {}
        for unit, (inside, is_whole) in insides.items() if are_alone else ():
            before = alone.get(unit, 0)
            added = inside[pairs.told]
            added[:first_alone] = 0.0
            alone_by[unit] = numpy.add.accumulate(numpy.concatenate(([before], added)))[1:]
            after = float(alone_by[unit][-1])
            alone[unit] = int(after) if is_whole and isinstance(before, int) else after
        if any(before > 0 and unit not in pairs.of_run for unit, before in told.items()):
            return False
        reached = dict(told)
        for place, unit in enumerate(pairs.of_run):
            amounts = run[:, place]
            befores = numpy.maximum.accumulate(numpy.concatenate(([told.get(unit, 0)], amounts)))
            least = numpy.maximum(befores[:-1], alone_by.get(unit, alone.get(unit, 0)))
            if unit in insides:
                least = numpy.maximum(least, insides[unit][0][pairs.told])
            if (amounts < least * (1 - SAME_SUM)).any():
                return False
            if befores[-1] > told.get(unit, -1):
                most = int(amounts.argmax())
                reached[unit] = int(amounts[most]) if whole[most, place] else float(amounts[most])
        last = zip(pairs.of_run, run[-1].tolist(), whole[-1].tolist(), strict=True)
        work = Work.again({unit: int(amount) if is_whole else amount for unit, amount, is_whole in last})
        self._open[0] = (*self._open[0][:3], work)
        self._told[0], self._alone = reached, alone
        self._ended_together = 0 if are_alone else self._ended_together + len(run)
        return True

    def _kind(self, name: str, units: tuple[str, ...], types: tuple[type, ...], *, closed: bool) -> int:
        """The number of a kind of windows."""
        key = name, closed, *units, *types
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._kinds)
            self._kinds.append(_Kind(name, units, tuple(one is int for one in types), closed))
        return number

    def _fill(self, row: int, name: str, end_s: float, work: Work, *, closed: bool) -> None:
        number = self._kind(name, (*work,), (*map(type, work.values()),), closed=closed)
        if any(amount > MOST_WHOLE and isinstance(amount, int) for amount in work.values()):
            number = len(self._kinds)
            self._kinds.append(_Kind(name, (), (), closed, work))
        self._kind_of[row] = number
        self._ends[row] = end_s
        self._places[row] = len(self._amounts)
        for amount in work.values():
            self._amounts.append(amount)

    def spans(self, last_s: float) -> Spans:
        """All of them; those that are open end where the session does."""
        for key, (row, name, start_s, work) in self._open.items():
            end_s = self._broken.get(key, last_s)
            self._fill(row, name, max(start_s, end_s), work, closed=False)
        columns = tuple(
            one.values() for one in (self._kind_of, self._starts, self._ends, self._places, self._amounts)
        )
        kind_of, starts, keys = columns[0], columns[1], self._keys.values()
        order: Sequence[int] = range(len(starts))
        if not self._in_order:
            rows = [row for row in order if kind_of[row] != self._NEVER]
            rows.sort(key=keys.__getitem__)
            rows.sort(key=starts.__getitem__)
            order = array("q", rows)
        return Spans(self._kinds, order, cast(Any, columns))
