"""The ticks of a counter: found, sharpened, kept in columns, and how fast it grew between them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar, overload

from energy_rating.files.columns import ITEM_BYTES, ROOM, Column
from energy_rating.judging.integration import many
from energy_rating.judging.integration.many import FAST, FEWEST_CLOSE, MISSED, MOST_MISSED

# Powers that differ by no more are one power, where readings are seconds apart (a slope of five ticks is known so well).
SAME_POWER = 0.01
SQRT12 = math.sqrt(12.0)


class Tick(NamedTuple):
    """A counter reached ``energy_j`` (since its first reading) at some time between ``earliest_s`` and ``latest_s``."""

    earliest_s: float
    latest_s: float
    energy_j: float

    @property
    def time_s(self) -> float:
        return (self.earliest_s + self.latest_s) / 2

    @property
    def width_s(self) -> float:
        return self.latest_s - self.earliest_s


class Power(NamedTuple):
    """The power on one side of an edge: over how long it was taken, and how wide the bracket at the far end of that was."""

    watts: float
    width_s: float = math.inf
    far_s: float = 0.0

    def doubt_j(self, near: Tick, reach_s: float) -> float:
        """What ``reach_s`` seconds of it from a tick on leave open (1 σ): when that tick was moves both where it begins and its slope."""
        share = reach_s / self.width_s
        return self.watts * math.hypot((1 + share) * near.width_s, share * self.far_s) / SQRT12


# What is known around so many ticks is kept; windows come in the order of time, and so do their edges.
MOST_KEPT = 1 << 15
K = TypeVar("K")
V = TypeVar("V")


class Kept(dict[K, V]):
    """What was worked out, up to a number that is no burden: ``most``."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= self._most:
            self.clear()
        super().__setitem__(key, value)


# Over so many ticks the power beside an edge is taken at most.
FURTHEST = 5

# So many ticks are looked at together.
AT_ONCE = 100_000


class Ticks:
    """As many ticks as there may be, in columns; each is made when it is asked for. What a list of them can, where it is needed."""

    # So many are made together when one of them is asked for, and so many such pieces are kept: windows come in the order of time.
    PIECE = 16
    MOST_PIECES = 256

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """``at_once``: so many are looked at together for those that were missed."""
        self._at_once = at_once
        self._earliest, self._latest, self._energies = Column(), Column(), Column()
        self._pieces: dict[int, list[Tick]] | None = None  # while they grow, none are kept

    def __len__(self) -> int:
        return len(self._energies)

    def _tick(self, place: int) -> Tick:
        if self._pieces is None:
            return Tick(self._earliest[place], self._latest[place], self._energies[place])
        if place < 0:
            place += len(self)
        number, within = divmod(place, self.PIECE)
        piece = self._pieces.get(number)
        if piece is None:
            if len(self._pieces) >= self.MOST_PIECES:
                self._pieces.clear()
            piece = self._pieces[number] = self[number * self.PIECE : (number + 1) * self.PIECE]
        return piece[within]

    @overload
    def __getitem__(self, place: int) -> Tick: ...
    @overload
    def __getitem__(self, place: slice) -> list[Tick]: ...
    def __getitem__(self, place: int | slice) -> Tick | list[Tick]:
        if isinstance(place, slice):
            return list(map(Tick, self._earliest[place], self._latest[place], self._energies[place]))
        return self._tick(place)

    def __iter__(self) -> Iterator[Tick]:
        for first in range(0, len(self), self._at_once):
            yield from self[first : first + self._at_once]

    def times_s(self) -> Column:
        """The middle of each tick's bracket."""
        times = Column()
        for first in range(0, len(self), self._at_once):
            places = slice(first, first + self._at_once)
            earliest, latest = many.arrays(self._earliest[places], self._latest[places])
            many.extend(times, (earliest + latest) / 2)
        return times

    def in_arrays(self) -> tuple[many.Array, many.Array, many.Array]:
        """Their earliest and latest times and their energies."""
        columns = self._earliest, self._latest, self._energies
        return many.arrays(*(one.values() for one in columns))

    def highest_w(self, reach: int, times_wider: float) -> float:
        """The highest power between two ticks so many apart; minus infinity where no two are known well enough (see ``many.steepest_w``)."""
        highest = -math.inf
        for first in range(0, len(self), self._at_once):
            places = slice(first, first + self._at_once + reach)
            earliest, latest, energies = many.arrays(
                self._earliest[places], self._latest[places], self._energies[places]
            )
            highest = max(highest, many.steepest_w(earliest, latest, energies, reach, times_wider))
            ROOM.touched(3 * len(energies) * ITEM_BYTES)
        return highest

    def energies_j(self) -> Sequence[float]:
        """What the counter had reached at each of them."""
        return self._energies.values()

    def __delitem__(self, places: slice) -> None:
        for column in (self._earliest, self._latest, self._energies):
            column.cut(places.start)

    def append(self, tick: Tick) -> None:
        self._earliest.append(tick.earliest_s)
        self._latest.append(tick.latest_s)
        self._energies.append(tick.energy_j)

    def extend(self, found: many.Steady) -> None:
        many.extend(self._earliest, found.earliest)
        many.extend(self._latest, found.latest)
        many.extend(self._energies, found.energies)

    def settle(self) -> None:
        """No more come."""
        self._pieces = {}

    def sharpen(self, period_s: float | None, first_reckoning: bool) -> None:
        self._pieces = None
        for first in range(0, len(self), self._at_once):
            places = slice(first, min(first + self._at_once, len(self)))
            earliest, latest = many.arrays(self._earliest[places], self._latest[places])
            found = many.sharpened(earliest, latest, period_s, first_reckoning)
            ROOM.touched(2 * len(earliest) * ITEM_BYTES)
            if found is None:
                continue
            others = list(_others_sharpened(_SomeTicks(self, first, places.stop), found, first_reckoning))
            self._earliest.put(first, array("d", found.earliest.tobytes()))
            self._latest.put(first, array("d", found.latest.tobytes()))
            for place, tick in others:
                self._earliest[first + place], self._latest[first + place] = tick.earliest_s, tick.latest_s


def in_arrays(ticks: list[Tick] | Ticks) -> tuple[many.Array, many.Array, many.Array]:
    """Their earliest and latest times and their energies."""
    if isinstance(ticks, Ticks):
        return ticks.in_arrays()
    earliest, latest, energies = zip(*ticks, strict=True) if ticks else ((), (), ())
    return many.arrays(earliest, latest, energies)


class _SomeTicks(Sequence[Tick]):
    """Some of many ticks; none is made that nobody asks for."""

    def __init__(self, ticks: Ticks, first: int, end: int) -> None:
        self._ticks, self._first, self._end = ticks, first, end

    def __len__(self) -> int:
        return self._end - self._first

    @overload
    def __getitem__(self, place: int) -> Tick: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Tick]: ...
    def __getitem__(self, place: int | slice) -> Tick | Sequence[Tick]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return self._ticks[self._first + place]


def _others_sharpened(
    block: Sequence[Tick], found: many.Sharpened, first_reckoning: bool
) -> Iterator[tuple[int, Tick]]:
    """The ticks that were missed together with others, and those beyond the closely seen ones, put where their rhythm has them."""
    for left, right in found.others:
        count = round((block[right].time_s - block[left].time_s) / found.period)
        for index in range(left + 1, right):
            sure = first_reckoning or index == right - 1
            yield index, _placed(block[index], block[left], block[right], count, found.half, sure)
    if not first_reckoning:
        yield from _beyond(block, found.first_close, found.last_close, found.period, found.half)


def _beyond(
    ticks: Sequence[Tick], first: int, last: int, period: float, half: float
) -> Iterator[tuple[int, Tick]]:
    """Before the first and after the last closely seen tick the rhythm goes on; there is nothing on the other side that would hold it."""
    for index in range(first):
        yield index, _continued(ticks[index], ticks[first], -period, half, index == first - 1)
    for index in range(last + 1, len(ticks)):
        yield index, _continued(ticks[index], ticks[last], period, half, False)


def _all_close(widths_s: Sequence[float]) -> bool:
    """Whether no bracket of some ticks was missed; the narrowest comes first."""
    return not widths_s or widths_s[-1] <= MISSED * widths_s[len(widths_s) // 6]


def sharpened_ticks(
    ticks: list[Tick], period_s: float | None = None, first_reckoning: bool = False
) -> list[Tick]:
    """Ticks whose bracket was missed, put where the rhythm of their closely seen neighbours has them.

    The reading that should come just before a tick sometimes comes just after it; the bracket is then a whole period wide, though
    everybody can hear when the tick was. A counter ticks evenly, but for a jitter (95 to 104 ms for 100, 5th to 95th percentile, on A100
    and RTX 3090; SC24 data), which is learned from how far each closely seen tick lies from the middle of its two neighbours. The
    new bracket is as wide as that makes it, and never leaves the old one.
    """
    if len(ticks) < FEWEST_CLOSE:
        return ticks
    # Where only every other tick or fewer are bracketed, the usual width is that of those.
    widths_s = sorted(tick.width_s for tick in ticks)
    if _all_close(widths_s):
        return ticks
    usual = widths_s[len(ticks) // 6]
    close = [index for index, tick in enumerate(ticks) if tick.width_s <= MISSED * usual]
    if not close:
        return ticks
    offs = [
        ticks[b].time_s - (ticks[a].time_s + ticks[c].time_s) / 2
        for a, b, c in zip(close, close[1:], close[2:], strict=False)
        if c - a == 2
        and ticks[b].time_s != ticks[a].time_s
        and 0.8 < (ticks[c].time_s - ticks[b].time_s) / (ticks[b].time_s - ticks[a].time_s) < 1.25
    ]
    if len(offs) < FEWEST_CLOSE:
        return ticks
    half = math.sqrt(
        3 * sum(off * off for off in offs) / len(offs)
    )  # of a uniform law with that standard deviation
    spacings = sorted(ticks[b].time_s - ticks[a].time_s for a, b in pairwise(close) if b - a == 1)
    period = spacings[len(spacings) // 2]
    if half > period / 4:
        return ticks
    if period_s is not None and period > FAST * period_s and not first_reckoning:
        return ticks  # what is even there is when it was read: it ticks faster than that
    sharp = list(ticks)
    for left, right in pairwise(close):
        count = round((ticks[right].time_s - ticks[left].time_s) / period)
        if right - left > 1 and 2 <= count <= MOST_MISSED:
            for index in range(left + 1, right):
                # The reading that came just before a closely seen tick saw the one before that, and none between.
                sure = first_reckoning or index == right - 1
                sharp[index] = _placed(ticks[index], ticks[left], ticks[right], count, half, sure)
    if not first_reckoning:
        for index, tick in _beyond(ticks, close[0], close[-1], period, half):
            sharp[index] = tick
    return sharp


def _placed(tick: Tick, left: Tick, right: Tick, count: int, half: float, sure: bool) -> Tick:
    """A tick on the grid between two closely seen ones that are ``count`` periods apart."""
    places = []
    for number in range(1, count):
        share = number / count
        earliest = left.earliest_s + share * (right.earliest_s - left.earliest_s) - half
        latest = left.latest_s + share * (right.latest_s - left.latest_s) + half
        places.append((earliest, latest))
    return _last_within(tick, places, sure)


def _continued(tick: Tick, near: Tick, period: float, half: float, is_next: bool) -> Tick:
    """A tick on the grid that begins at the nearest closely seen one and goes on before (``period`` < 0) or after it."""
    if max(tick.latest_s - near.time_s, near.time_s - tick.earliest_s) > MOST_MISSED * abs(period):
        return tick
    places = []
    for number in range(1, 2 if is_next else MOST_MISSED + 1):
        # From tick to tick the jitter may add up, and nobody sees where it went: twice the variance of a middle, times their number.
        reach = half * math.sqrt(2 * number)
        places.append((near.earliest_s + number * period - reach, near.latest_s + number * period + reach))
    return _last_within(tick, sorted(places), is_next)


def _last_within(tick: Tick, places: Sequence[tuple[float, float]], sure: bool) -> Tick:
    """A tick in the last of some places, by time, that its bracket lets it be in. Its energy was read at the end of the bracket.

    Where it is not ``sure`` and that reading came about when the place was due, nobody knows whether it was before or after, and the tick
    is there or in the place before.
    """
    found: tuple[float, float] | None = None
    for earliest, latest in reversed(places):
        since, until = max(earliest, tick.earliest_s), min(latest, tick.latest_s)
        if since >= until:
            continue
        found = since, until if found is None else found[1]
        if latest <= tick.latest_s or sure:
            break
    if found is None:
        return tick
    return Tick(earliest_s=found[0], latest_s=found[1], energy_j=tick.energy_j)


def meet(
    from_left: float,
    from_right: float,
    before: float,
    after: float,
    since: float,
    until: float,
    open_j: float = 0.0,
) -> bool:
    """Whether the lines from both sides of an edge meet between its ticks, as they do where the power changed once.

    ``open_j``: what how well the lines are known leaves open of how far they are apart.
    """
    if before == after:
        return False
    at = (from_right - from_left) / (before - after)  # seconds after the edge
    open_s = open_j / abs(before - after)
    return -since - open_s <= at <= until + open_s


def slope(a: Tick, b: Tick) -> float:
    width = b.time_s - a.time_s
    return (b.energy_j - a.energy_j) / width if width > 0 else 0.0


def slope_near(ticks: list[Tick] | Ticks, index: int, direction: int, first_reckoning: bool) -> Power | None:
    """The power on one side of an edge: over the tick next to it, and over more while those agree.

    More ticks make the slope surer (each is off by its brackets), fewer keep it local; so ticks are added only while they
    change it by less than the brackets would, and are taken only where they make it surer.
    """
    other = index + direction
    if not (0 <= index < len(ticks) and 0 <= other < len(ticks)):
        return None
    near = ticks[index]
    near_s, near_width, near_j = near.time_s, near.width_s, near.energy_j
    power: Power | None = None
    open_s = math.inf
    for reach in range(1, FURTHEST + 1):
        far_index = index + direction * reach
        if not 0 <= far_index < len(ticks):
            break
        earliest, latest, far_j = ticks[far_index]
        far_s, far_width = (earliest + latest) / 2, latest - earliest
        width = abs(far_s - near_s)
        if width <= 0 or max(near_width, far_width) > width / 4:
            continue  # brackets that wide say nothing about power
        wider = (far_j - near_j) / (far_s - near_s)
        wider_open = (near_width + far_width) / width
        if power is not None:
            bound = power.watts * wider_open + SAME_POWER * power.watts
            if abs(wider - power.watts) > bound:
                break
        if first_reckoning:
            power = Power(wider)
        elif wider_open < open_s:
            power, open_s = Power(wider, width_s=width, far_s=far_width), wider_open
    return power
