"""The power of a channel over time, for a table and a picture of it; how those look is ``trace``'s.

How readings become energy is ``integration``'s; here its ticks become power. A tick of a counter is known to lie in a bracket, and
the brackets leave the power between two ticks open by a few per cent: noise of when it was looked, not of what was drawn. So of
all the courses through the brackets the straightest is taken: power changes where the brackets say that it did, and nowhere else.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from energy_rating.files.reading import Session
from energy_rating.judging.integration import many
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.register import Register
from energy_rating.judging.integration.ticks import in_arrays
from energy_rating.judging.limits import limits_w, peak_w
from energy_rating.nouns.records import Channel

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from energy_rating.judging.integration.many import Array

NAN = math.nan

# A straight course is sought over so many ticks at once; longer ones only take longer to find.
REACH = 64

# The string is held by the tick that is known best among the first so many.
HELD_WITHIN = 16

# So many ticks are looked at together.
AT_ONCE = 1 << 15

# Neighbours whose powers differ by no more are drawn as one.
ONE_POWER = 1e-6


@dataclass(frozen=True, slots=True)
class PowerCourse:
    """Power over time: stretches of one power each, from when to when, by time; NaN: it is not known."""

    starts_s: Array
    ends_s: Array
    watts: Array

    def __len__(self) -> int:
        return len(self.watts)

    @property
    def known_s(self) -> float:
        return float((self.ends_s - self.starts_s).sum())

    def where(self, chosen: NDArray[numpy.bool_]) -> PowerCourse:
        return PowerCourse(self.starts_s[chosen], self.ends_s[chosen], self.watts[chosen])

    def placed(self, start_s: float, last_s: float) -> PowerCourse:
        """What lies inside its session, on the axis of all sessions; neighbours of one power become one."""
        import numpy

        since = start_s + numpy.maximum(self.starts_s, 0.0)
        to = start_s + numpy.minimum(self.ends_s, last_s)
        inside = PowerCourse(since, to, self.watts).where(to > since)
        if not len(inside):
            return inside
        since, to, watts = inside.starts_s, inside.ends_s, inside.watts
        before, after = watts[:-1], watts[1:]
        alike = abs(before - after) <= ONE_POWER * numpy.maximum(abs(before), abs(after))
        alike &= to[:-1] == since[1:]
        first, last = numpy.concatenate(([True], ~alike)), numpy.concatenate((~alike, [True]))
        return PowerCourse(since[first], to[last], watts[last])


@dataclass(frozen=True, slots=True)
class Bins:
    """A course shared out over the bins of a time axis, all of one width: the mean power in each, the lowest and the highest.

    ``known``: those of which half or more is known.
    """

    known: NDArray[numpy.bool_]
    means_w: Array
    lows_w: Array
    highs_w: Array

    @classmethod
    def of(cls, course: PowerCourse, bin_s: float, count: int) -> Bins:
        import numpy

        edges = numpy.arange(count + 1) * bin_s
        first = numpy.minimum((course.starts_s / bin_s).astype(numpy.intp), count - 1)
        reached = numpy.searchsorted(edges[:-1], course.ends_s) - first
        counts = numpy.maximum(reached, 0)
        pieces: NDArray[numpy.intp] = numpy.repeat(numpy.arange(len(course)), counts)
        into = numpy.arange(len(pieces)) - numpy.repeat(numpy.cumsum(counts) - counts, counts)
        numbers = first[pieces] + into
        starts_s, ends_s = course.starts_s[pieces], course.ends_s[pieces]
        seen_s = numpy.minimum(ends_s, edges[numbers + 1]) - numpy.maximum(starts_s, edges[numbers])
        here = seen_s > 0
        numbers, seen_s, watts = numbers[here], seen_s[here], course.watts[pieces[here]]
        # One after the other, as they come.
        together_s = numpy.bincount(numbers, seen_s, count)
        energies_j = numpy.bincount(numbers, seen_s * watts, count)
        lows_w, highs_w = numpy.full(count, math.inf), numpy.zeros(count)
        numpy.minimum.at(lows_w, numbers, watts)
        numpy.maximum.at(highs_w, numbers, watts)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            means_w = energies_j / together_s
        return cls(together_s >= bin_s / 2, means_w, lows_w, highs_w)


def added_up(devices: Sequence[Bins], bin_s: float) -> PowerCourse:
    """The mean power of all devices together in each bin. Where one of them is not known, neither is the sum."""
    import numpy

    known = numpy.logical_and.reduce([one.known for one in devices])
    numbers = numpy.flatnonzero(known)
    of_each = [one.means_w[numbers].tolist() for one in devices]
    watts = numpy.array([sum(some) for some in zip(*of_each, strict=True)], numpy.float64)
    return PowerCourse(numbers * bin_s, (numbers + 1) * bin_s, watts)


def power_of_readings(session: Session, channel: Channel) -> Array:
    """The power that each reading of a channel tells of; NaN where it tells of none."""
    import numpy

    samples, limit_w = session.samples[channel.id], _limit_w(session, channel)
    ends_s, values = many.arrays(samples.end_s, samples.values)
    if channel.method != "counter":
        return numpy.where((values >= 0) & (values <= limit_w), values, NAN)
    counter = _counter(session, channel)
    powers = numpy.concatenate(([NAN], _between_ticks(counter, limit_w).watts, [NAN]))
    _, seen_s, _ = in_arrays(counter.ticks)
    if not len(seen_s):
        return numpy.full(len(values), NAN)
    # What a reading between two ticks says is told by the tick that comes; after the last tick it is not known.
    if (seen_s[1:] >= seen_s[:-1]).all():
        return powers[numpy.searchsorted(seen_s, ends_s)]
    in_order: list[float] = seen_s.tolist()
    return powers[[bisect_left(in_order, end) for end in ends_s.tolist()]]


def of_channel(session: Session, channel: Channel) -> PowerCourse:
    """The power of one channel over time, where it is known."""
    import numpy

    limit_w = _limit_w(session, channel)
    if channel.method == "counter":
        course = _between_ticks(_counter(session, channel), limit_w)
    else:
        samples = session.samples[channel.id]
        course = _held(
            Register(samples, accuracy=channel.accuracy, period_s=channel.period_s, limit_w=limit_w)
        )
    return course.where((course.ends_s > course.starts_s) & ~numpy.isnan(course.watts))


def _limit_w(session: Session, channel: Channel) -> float:
    """The bound that the summary takes, so that both leave out the same readings."""
    return peak_w(channel, limits_w(session))


def _counter(session: Session, channel: Channel) -> Counter:
    return Counter(
        session.samples[channel.id],
        accuracy=channel.accuracy,
        period_s=channel.period_s,
        wraps_at_j=channel.wraps_at_j,
        limit_w=_limit_w(session, channel),
        # What the rhythm says of a tick that was missed is likely, not sure: where it is wrong, power would jump that never did.
        sharpened=False,
    )


def _held(register: Register) -> PowerCourse:
    """A register's reading holds until the next; before a gap and at the end for as long as it is refreshed."""
    import numpy

    times, watts = many.arrays(register.times, register.watts)
    ends = numpy.concatenate((times[1:], [math.inf]))[: len(times)]
    gaps = numpy.array([since for since, _ in register.gaps], numpy.float64)
    shortly = numpy.isin(times, gaps) | (ends == math.inf)
    return PowerCourse(
        times, numpy.where(shortly, numpy.minimum(ends, times + register.period_s), ends), watts
    )


def _between_ticks(counter: Counter, limit_w: float) -> PowerCourse:
    """The power from each tick to the next. Over a gap, and where no device can draw that, it is not known."""
    import numpy

    earliest, latest, energies = in_arrays(counter.ticks)
    times = (earliest + latest) / 2
    since, to = times[:-1], times[1:]
    cut: NDArray[numpy.bool_] = numpy.zeros(len(since), numpy.bool_)
    if counter.gaps and (to >= since).all():
        for gap_from, gap_to in counter.gaps:
            cut[numpy.searchsorted(to, gap_from, "right") : numpy.searchsorted(since, gap_to)] = True
    else:
        for gap_from, gap_to in counter.gaps:
            cut |= (gap_from < to) & (gap_to > since)
    borders = [0, *(numpy.flatnonzero(cut) + 1).tolist(), len(times)]
    strung = numpy.empty(len(times))
    for first, end in pairwise(borders):
        strung[first:end] = straightest(earliest[first:end], latest[first:end], energies[first:end])
    since, to = numpy.where(cut, since, strung[:-1]), numpy.where(cut, to, strung[1:])
    with numpy.errstate(divide="ignore", invalid="ignore"):
        watts = (energies[1:] - energies[:-1]) / (to - since)
        known = (to > since) & ~cut & (watts <= limit_w)
    return PowerCourse(since, to, numpy.where(known, watts, NAN))


def straightest(earliest: Array, latest: Array, energies: Array) -> Array:
    """When each tick was, within its bracket, so that the power changes as little as the brackets allow.

    The taut string (Davies and Kovac, Annals of Statistics 29, 2001) of time over energy: from a tick, the steepest and the
    flattest course through all brackets ahead are narrowed until a bracket lies outside; there the string bends, at the bracket that
    it touches.
    """
    import numpy

    times, widths = (earliest + latest) / 2, latest - earliest
    count = len(times)
    if count < 3:
        # The brackets of a counter's first readings are as wide as its period.
        known = count == 2 and times[1] - times[0] >= 2 * widths.max()
        return times if known else numpy.full(count, NAN)
    # The first ticks may be known badly; the string is held by the best of them, and goes from there both ways.
    held = 1 + int(numpy.argmin(widths[1:HELD_WITHIN]))
    if widths[1] <= 2 * widths[held]:
        held = 1
    ahead, slope = _string(earliest[held:], latest[held:], energies[held:], None)
    behind, _ = _string(-latest[held::-1], -earliest[held::-1], -energies[held::-1], slope)
    return numpy.concatenate((-behind[:0:-1], ahead))


def _string(
    earliest: Array, latest: Array, energies: Array, slope: float | None
) -> tuple[Array, float | None]:
    """The times on the string from the first tick on, and its slope there; ``slope``: that of what it goes on from."""
    times = (earliest + latest) / 2
    first_slope: float | None = None
    bends: list[_Straight] = []
    last, infinity = len(times) - 1, math.inf
    at, base, stop, origin_s = 0, 0, 0, float(times[0])
    while at < last:
        if at >= stop:
            _place(times, energies, bends)
            bends.clear()
            base, stop = at, at + AT_ONCE
            block = slice(base, stop + REACH)
            since, until, middles = earliest[block].tolist(), latest[block].tolist(), times[block].tolist()
            joules: list[float] = energies[block].tolist()
            furthest = last - base
        start = end = low_at = high_at = at - base
        origin_j = joules[start]
        low, high = -infinity, infinity
        bent: float | None = None
        for index in range(start + 1, min(start + REACH, furthest) + 1):
            reach_j = joules[index] - origin_j
            if reach_j <= 0:
                break  # a reset bridged with nothing: the string starts again
            flattest = (since[index] - origin_s) / reach_j
            steepest = (until[index] - origin_s) / reach_j
            if flattest > high:
                bent, end = high, high_at
                break
            if steepest < low:
                bent, end = low, low_at
                break
            if flattest >= low:
                low, low_at = flattest, index
            if steepest <= high:
                high, high_at = steepest, index
            end = index
        if end == start:
            at, slope = at + 1, None
            origin_s = middles[start + 1]
            continue
        reach_j = joules[end] - origin_j
        if bent is None:
            bent = min(max((middles[end] - origin_s) / reach_j if slope is None else slope, low), high)
        slope = bent
        first_slope = slope if first_slope is None else first_slope
        bends.append(_Straight(at, base + end, origin_s, slope))
        at, origin_s = base + end, origin_s + slope * reach_j
    _place(times, energies, bends)
    return times, first_slope


class _Straight(NamedTuple):
    """Where the string is straight: from which tick to which, when the first of them was, and how steep it is."""

    first: int
    last: int
    origin_s: float
    slope: float


def _place(times: Array, energies: Array, parts: Sequence[_Straight]) -> None:
    """Puts the ticks of some straight parts, which follow each other, on the string."""
    import numpy

    if not parts:
        return
    told = numpy.array(parts)
    firsts, lasts = told[:, 0].astype(numpy.intp), told[:, 1].astype(numpy.intp)
    lengths = lasts - firsts
    of_tick: NDArray[numpy.intp] = numpy.repeat(numpy.arange(len(parts)), lengths)
    before = numpy.cumsum(lengths) - lengths
    ticks = firsts[of_tick] + 1 + numpy.arange(len(of_tick)) - before[of_tick]
    times[ticks] = told[of_tick, 2] + told[of_tick, 3] * (energies[ticks] - energies[firsts[of_tick]])
