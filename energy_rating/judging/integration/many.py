"""Samples and ticks many at once, in arrays: what ``counter``, ``ticks``, ``register`` and ``agreement`` reckon one by one, where it is as usual.

Each function here says the same as the one by one, to the last digit but for squares. What is not as usual (a reset, a dip, a counter
that stands still) it leaves to that. numpy is loaded where there is much to reckon; a small record costs less without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from energy_rating.files.columns import ITEM_BYTES, ROOM, Column

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[numpy.float64]
    Flags: TypeAlias = NDArray[numpy.bool_]
    Places: TypeAlias = NDArray[numpy.intp]

# From so many samples on arrays are faster, even where numpy is to be loaded first; and so many are looked at together.
MANY = 1 << 12
BLOCK = 1 << 15
LEAST_BLOCK = 1 << 9
FEWEST = 1 << 5

# A bracket so many times wider than the usual one was missed, and is found from its neighbours.
MISSED = 2.0

# So many closely seen ticks tell what a counter's rhythm is worth.
FEWEST_CLOSE = 6

# A counter is read at each of its ticks, or it ticks so many times faster than what is seen of it.
FAST = 1.5

# After more missed ticks in a row than this, nobody knows any more where the rhythm is.
MOST_MISSED = 10

# Rows of closely seen ticks that are shorter are looked for one by one, longer ones in pieces that grow from this.
LONG_ROW = 8
FIRST_PIECE = 64


def arrays(*several: Sequence[float]) -> tuple[Array, ...]:
    """The same numbers, without copying them where they stand in a column."""
    import numpy

    return tuple(
        numpy.frombuffer(one, numpy.float64)
        if len(one) and not isinstance(one, list | tuple)
        else numpy.array(one, numpy.float64)
        for one in several
    )


def extend(column: Column, values: Array) -> None:
    """Adds an array to a column."""
    import numpy

    if len(values):
        column.extend(memoryview(numpy.ascontiguousarray(values)))


def added(to: float, values: Array) -> float:
    """A number with all of these added to it, one after the other."""
    import numpy

    return float(numpy.add.accumulate(numpy.concatenate(([to], values)))[-1])


class Steady(NamedTuple):
    """Samples of a counter that grew as usual: how many, the ticks among them, and how it stands after them."""

    taken: int
    earliest: Array
    latest: Array
    energies: Array


def steady(
    start: Array,
    end: Array,
    value: Array,
    *,
    previous: float,
    before_s: float,
    moved_s: float,
    energy: float,
    limit_w: float,
    slack_j: float,
    fresh_s: float,
    still_s: float,
    period_s: float,
) -> Steady:
    """The samples up to the first that is not as usual. What came before them is told as ``Counter`` keeps it."""
    import numpy

    befores = numpy.empty_like(start)
    befores[0], befores[1:] = before_s, start[:-1]
    steps = numpy.empty_like(value)
    steps[0] = value[0] - previous
    numpy.subtract(value[1:], value[:-1], out=steps[1:])
    # More time than this has passed since the last tick began; what could be in it, surely could be.
    with numpy.errstate(invalid="ignore"):
        usual = (steps >= 0) & (steps <= limit_w * (end - befores) + slack_j)
    ticks = numpy.flatnonzero(steps > 0)
    if len(ticks):
        moved = numpy.empty(len(ticks))
        moved[0], moved[1:] = moved_s, end[ticks[:-1]]
        usual[ticks] &= (befores[ticks] - moved <= still_s) & (end[ticks] - start[ticks] <= period_s)
    count = len(usual) if usual.all() else int(numpy.argmin(usual))
    ticks = ticks[: numpy.searchsorted(ticks, count)]
    latest = end[ticks]
    earliest = numpy.minimum(numpy.maximum(befores[ticks], start[ticks] - fresh_s), latest)
    energies = numpy.add.accumulate(numpy.concatenate(([energy], steps[ticks])))[1:]
    return Steady(count, earliest, latest, energies)


def steepest_w(earliest: Array, latest: Array, energy: Array, reach: int, times_wider: float) -> float:
    """The highest slope from a tick to the one so many on, of those further apart than so many times the wider bracket; minus infinity without one."""
    import numpy

    if len(energy) <= reach:
        return -math.inf
    times, widths = (earliest + latest) / 2, latest - earliest
    apart = times[reach:] - times[:-reach]
    clear = apart > times_wider * numpy.maximum(widths[reach:], widths[:-reach])
    slopes = (energy[reach:] - energy[:-reach])[clear] / apart[clear]
    return float(slopes.max()) if len(slopes) else -math.inf


def learned_period_s(
    start_s: Sequence[float], end_s: Sequence[float], values: Sequence[float]
) -> float | None:
    """What ``ticks.learned_period_s`` says."""
    import numpy

    starts, ends = Column(), Column()
    for at in range(0, len(values) - 1, BLOCK):
        some = slice(at, at + BLOCK + 1)
        start, end, value = arrays(start_s[some], end_s[some], values[some])
        changed = numpy.flatnonzero(value[1:] != value[:-1])
        extend(starts, start[changed])
        extend(ends, end[changed + 1])
        ROOM.touched(3 * len(start) * ITEM_BYTES)
    since, until = arrays(starts.values(), ends.values())
    best: tuple[int, float] | None = None
    first, count = 0, len(since)
    while first < count:
        last = _end_of_short_row(
            since[first : first + LONG_ROW].tolist(), until[first : first + LONG_ROW].tolist()
        )
        last = first + last if last < LONG_ROW - 1 else _end_of_row(since, until, first)
        spacings = last - first
        if spacings >= 5 and (best is None or spacings > best[0]):
            of_first, of_last = ((float(since[place]), float(until[place])) for place in (first, last))
            best = spacings, (sum(of_last) - sum(of_first)) / 2 / spacings
        first = last + 1
    return best[1] if best is not None else None


def _end_of_short_row(since: list[float], until: list[float]) -> int:
    """The last of a row that begins with the first of some ticks."""
    first_s = last_s = since[0] + until[0]
    for place in range(1, len(since)):
        middle_s = since[place] + until[place]
        spacing = (middle_s - last_s) / 2
        typical = (last_s - first_s) / 2 / (place - 1) if place > 1 else spacing
        if not (until[place] - since[place] < 0.6 * spacing and abs(spacing - typical) < 0.5 * typical):
            return place - 1
        last_s = middle_s
    return len(since) - 1


def _end_of_row(since: Array, until: Array, first: int) -> int:
    """The last of a row of ticks that were seen closely and come evenly, by its first."""
    import numpy

    middle = since[first] + until[first]
    at, piece = first + 1, FIRST_PIECE
    while at < len(since):
        some = slice(at, at + piece)
        sums = since[at - 1 : at + piece] + until[at - 1 : at + piece]
        spacings = (sums[1:] - sums[:-1]) / 2
        lengths = numpy.arange(at - first, at - first + len(spacings))  # of the row before each
        with numpy.errstate(divide="ignore", invalid="ignore"):
            typical = (sums[:-1] - middle) / 2 / (lengths - 1)
        if at == first + 1:
            typical[0] = spacings[0]
        even = (until[some] - since[some] < 0.6 * spacings) & (abs(spacings - typical) < 0.5 * typical)
        if not even.all():
            return at + int(numpy.argmin(even)) - 1
        at += len(spacings)
        ROOM.touched(2 * len(spacings) * ITEM_BYTES)
        piece = min(4 * piece, BLOCK)
    return len(since) - 1


def all_close(earliest: Array, latest: Array, missed: float) -> bool:
    """Whether no bracket of some ticks is so many times wider than that of a sixth of them."""
    import numpy

    widths = latest - earliest
    if not len(widths):
        return True
    return bool(widths.max() <= missed * numpy.partition(widths, len(widths) // 6)[len(widths) // 6])


class Sharpened(NamedTuple):
    """Brackets in which each single missed tick was put, and what is to be known for the others: between which closely seen ticks they lie,
    the first and the last of these, and how far from its rhythm each may be."""

    earliest: Array
    latest: Array
    others: list[tuple[int, int]]
    first_close: int
    last_close: int
    half: float
    period: float


def sharpened(
    earliest: Array, latest: Array, period_s: float | None, first_reckoning: bool
) -> Sharpened | None:
    """What ``ticks.sharpened_ticks`` makes of the brackets of some ticks; None where all stay as they are."""
    import numpy

    count = len(earliest)
    if count < FEWEST_CLOSE or all_close(earliest, latest, MISSED):
        return None
    widths = latest - earliest
    usual = numpy.partition(widths, count // 6)[count // 6]
    close = numpy.flatnonzero(widths <= MISSED * usual)
    if not len(close):
        return None
    times = (earliest + latest) / 2
    a, b, c = close[:-2], close[1:-1], close[2:]
    beside = numpy.flatnonzero(c - a == 2)
    of_a, of_b, of_c = times[a[beside]], times[b[beside]], times[c[beside]]
    with numpy.errstate(divide="ignore", invalid="ignore"):
        ratios = (of_c - of_b) / (of_b - of_a)
    even = (ratios > 0.8) & (ratios < 1.25)
    offs = (of_b - (of_a + of_c) / 2)[even]
    if len(offs) < FEWEST_CLOSE:
        return None
    half = math.sqrt(3 * sum((offs * offs).tolist()) / len(offs))
    left, right = close[:-1], close[1:]
    spacings = (times[right] - times[left])[right - left == 1]
    period = float(numpy.partition(spacings, len(spacings) // 2)[len(spacings) // 2])
    if half > period / 4 or (period_s is not None and period > FAST * period_s and not first_reckoning):
        return None
    missed = numpy.flatnonzero(right - left > 1)
    left, right = left[missed], right[missed]
    periods = numpy.round((times[right] - times[left]) / period)
    earliest, latest = earliest.copy(), latest.copy()
    # One missed tick, in the middle of two periods: the most of them, by far.
    single = (right - left == 2) & (periods == 2)
    of_left, of_right, tick = left[single], right[single], left[single] + 1
    since = earliest[of_left] + 0.5 * (earliest[of_right] - earliest[of_left]) - half
    until = latest[of_left] + 0.5 * (latest[of_right] - latest[of_left]) + half
    since, until = numpy.maximum(since, earliest[tick]), numpy.minimum(until, latest[tick])
    inside = since < until
    earliest[tick[inside]], latest[tick[inside]] = since[inside], until[inside]
    others = numpy.flatnonzero(~single & (periods >= 2) & (periods <= MOST_MISSED))
    between = list(zip(left[others].tolist(), right[others].tolist(), strict=True))
    return Sharpened(earliest, latest, between, int(close[0]), int(close[-1]), half, period)


# ---------------------------------------------------------------------------------------------------------- registers


class Powers(NamedTuple):
    """Readings of a register as a course: its times, what it showed, of which times end a span, and how many were none."""

    times: Array
    watts: Array
    ends: NDArray[numpy.bool_]
    rejected: int


def powers(
    start_s: Sequence[float],
    end_s: Sequence[float],
    values: Sequence[float],
    *,
    last_s: float,
    lag_s: float,
    limit_w: float,
    spans_from_s: float,
) -> Powers | None:
    """What ``Register`` makes of some readings after one at ``last_s``; None where one begins before the one before it ended."""
    import numpy

    start, end, watts = arrays(start_s, end_s, values)
    sound = (watts >= 0) & (watts <= limit_w)
    rejected = len(sound) - int(numpy.count_nonzero(sound))
    if rejected:
        start, end, watts = start[sound], end[sound], watts[sound]
    start, end = start - lag_s, end - lag_s
    moments = end - start < spans_from_s
    middle = (start + end) / 2
    begins, stops = numpy.where(moments, middle, start), numpy.where(moments, middle, end)
    if not len(start):
        return Powers(start, watts, moments, rejected)
    if (
        not (start[0] >= last_s or math.isnan(last_s))
        or (start[1:] < stops[:-1]).any()
        or (end < start).any()
    ):
        return None
    if moments.all():
        return Powers(begins, watts, numpy.zeros(len(begins), numpy.bool_), rejected)
    # Each span has two times.
    counts = 2 - moments.astype(numpy.intp)
    last = numpy.cumsum(counts) - 1
    times, ends = numpy.empty(last[-1] + 1), numpy.zeros(last[-1] + 1, numpy.bool_)
    times[last], times[last - counts + 1] = stops, begins
    ends[last] = ~moments
    return Powers(times, numpy.repeat(watts, counts), ends, rejected)


def further_apart(
    times: Array, last_s: float, apart_s: float, ends: NDArray[numpy.bool_]
) -> list[tuple[float, float]]:
    """Which of some times begin further from the one before them, of which the first comes after ``last_s``; ends of spans do not count."""
    import numpy

    if not len(times):
        return []
    befores = numpy.concatenate(([last_s], times[:-1]))
    far = (times - befores > apart_s) & ~ends
    return list(zip(befores[far].tolist(), times[far].tolist(), strict=True))


def places_apart(times_s: Sequence[float], apart_s: float) -> list[int]:
    """Where two times that follow each other are further apart."""
    import numpy

    (times,) = arrays(times_s)
    found: list[int] = []
    for first in range(0, len(times), BLOCK):
        some = times[first : first + BLOCK + 1]
        found += (numpy.flatnonzero(some[1:] - some[:-1] > apart_s) + first).tolist()
        ROOM.touched(len(some) * ITEM_BYTES)
    return found


def least_apart(times_s: Sequence[float], ends: bytearray, count: int) -> list[float]:
    """How far times lie apart that follow each other: the first so many, without spans of which a mean was told, the smallest first."""
    import numpy

    (times,) = arrays(times_s)
    told = numpy.frombuffer(ends, numpy.bool_) if ends else None
    found = numpy.empty(0)
    for first in range(0, len(times), BLOCK):
        some = times[first : first + BLOCK + 1]
        apart = some[1:] - some[:-1]
        if told is not None:
            apart = apart[~told[first + 1 : first + len(some)]]
        found = numpy.concatenate((found, apart))
        if len(found) >= count:
            break
    return numpy.sort(found[:count]).tolist()  # type: ignore[no-any-return]


def add_up(
    times_s: Sequence[float], watts_w: Sequence[float], gap_starts: set[float], sums: Column, squares: Column
) -> None:
    """The energy up to each time, with nothing in gaps, and the squares of the changes of power up to it."""
    import numpy

    times, watts = arrays(times_s, watts_w)
    gaps = numpy.array(sorted(gap_starts))
    for column in (sums, squares):
        column.append(0.0)
    energy, square = 0.0, 0.0
    for first in range(0, len(times) - 1, BLOCK):
        some = slice(first, first + BLOCK + 1)
        time, power = times[some], watts[some]
        areas = (time[1:] - time[:-1]) * (power[:-1] + power[1:]) / 2
        if len(gaps):
            areas[numpy.isin(time[:-1], gaps)] = 0.0
        changes = power[1:] - power[:-1]
        energies = numpy.add.accumulate(numpy.concatenate(([energy], areas)))[1:]
        changed = numpy.add.accumulate(numpy.concatenate(([square], changes * changes)))[1:]
        extend(sums, energies)
        extend(squares, changed)
        energy, square = float(energies[-1]), float(changed[-1])


def areas(
    register: tuple[Sequence[float], Sequence[float], Sequence[float]],
    gap_starts: set[float],
    gap_s: float,
    at_s: Array,
) -> Array:
    """The energy under a course of power (its times, its watts, the energy up to each) until some times, each within it."""
    import numpy

    times, watts, sums = arrays(*register)
    index = numpy.minimum(numpy.searchsorted(times, at_s, side="right"), len(times) - 1)
    before, after = times[index - 1], times[index]
    slopes = (watts[index] - watts[index - 1]) / (after - before)
    reach = at_s - before
    found: Array = sums[index - 1] + reach * (watts[index - 1] + slopes * reach / 2)
    at_end = at_s >= times[-1]
    found[at_end] = sums[-1] + watts[-1] * (at_s[at_end] - times[-1])
    if gap_starts:
        in_gap = numpy.isin(before, numpy.array(sorted(gap_starts))) & (after - before > gap_s) & ~at_end
        found[in_gap] = sums[index - 1][in_gap]
    return found


def reached_into(starts_s: Sequence[float], ends_s: Sequence[float], start_s: Array, end_s: Array) -> Flags:
    """Into which windows some times reach that follow each other; what only touches one does not."""
    import numpy

    if not len(starts_s):
        return numpy.zeros(len(start_s), numpy.bool_)
    starts, ends = arrays(starts_s, ends_s)
    return numpy.searchsorted(ends, start_s, side="right") < numpy.searchsorted(starts, end_s)


# Ticks are looked at for the borders of blocks so many at a time.
TICKS_AT_ONCE = 1 << 16


def block_borders(
    times_s: Sequence[float],
    looked_s: Sequence[float],
    *,
    shortest_s: float,
    longest_s: float,
    least_readings: int,
) -> Iterator[list[int]]:
    """Which of some ticks part the time into blocks: each at least so long, with so many readings in it unless it is longer than the longest.

    Piece by piece: the last border of a piece is the first of the next.
    """
    import numpy

    times, looked = arrays(times_s, looked_s)
    count, at = len(times), 0
    while at < count:
        end = min(at + TICKS_AT_ONCE, count)
        next_of = _first_after(times, at, end, shortest_s)
        borders = [at]
        while borders[-1] < end and (place := next_of[borders[-1] - at]) < count:
            borders.append(place)
        at_borders = times[borders]
        readings = numpy.searchsorted(looked, at_borders[1:], side="right")
        readings -= numpy.searchsorted(looked, at_borders[:-1])
        enough = (readings >= least_readings) | (at_borders[1:] - at_borders[:-1] >= longest_s)
        if not enough.all():
            # Up to the first with too few readings they are right; the rest of the piece is sought one by one.
            del borders[int(numpy.argmin(enough)) + 1 :]
            while borders[-1] < end and (place := next_of[borders[-1] - at]) < count:
                since_s = float(times[borders[-1]])
                last = int(numpy.searchsorted(looked, since_s)) + least_readings - 1
                until_s = float(looked[last]) if last < len(looked) else math.inf
                told = int(numpy.searchsorted(times, until_s))
                place = max(place, min(told, _first_after(times, borders[-1], borders[-1] + 1, longest_s)[0]))
                if place >= count:
                    break
                borders.append(place)
        yield borders
        ROOM.touched(4 * (end - at) * ITEM_BYTES)  # of readings there are more than ticks
        if borders[-1] < end:
            return
        at = borders[-1]


def _first_after(times: Array, first: int, end: int, apart_s: float) -> list[int]:
    """For some of the times, which is the first that lies at least so far behind it."""
    import numpy

    some = times[first:end]
    own = numpy.arange(first, end)
    found = numpy.searchsorted(times, some + apart_s)
    # The sum above was rounded; what counts is the difference.
    for _ in range(2):
        earlier = numpy.maximum(found - 1, own)
        found = numpy.where((earlier > own) & (times[earlier] - some >= apart_s), earlier, found)
        there = numpy.minimum(found, len(times) - 1)
        found += (found < len(times)) & (times[there] - some < apart_s)
    return cast(list[int], found.tolist())
