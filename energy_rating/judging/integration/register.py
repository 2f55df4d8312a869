"""Energy from power readings. That of counters is worked out in ``counter``."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import NamedTuple

from energy_rating.files.columns import Column
from energy_rating.judging.integration import many
from energy_rating.judging.integration.gaps import Energy, Gaps, covered_s
from energy_rating.judging.integration.ticks import SQRT12
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Samples

# A register that has not been read for so long no longer tells what the device draws. One line a second is the slowest that
# a journal is written, so three missing lines are a gap.
GAP_S = 3.5

# A line shorter than this is a moment, a longer one the mean of its span.
SPANS_FROM_S = 0.05

# So long a register's first and last readings stand for the time before and after them.
HOLD_S = 0.1

# Readings further apart than this (a call that took seconds, a thread that had to wait) may hide more than one change of power.
UNREAD_S = 1.5

# So much further apart than they usually are, and than its period, are readings that somebody was kept from: a program that holds Python's lock,
# a machine that is paused. Nearer ones than this hide little, and fewer have no pace of their own. Our choice.
HOLES_FROM, SHORTEST_HOLE_S, FEWEST_READINGS = 3.0, 0.25, 8

# So many readings tell a run's pace.
PACE_FROM = 1 << 16

# So far around a window its readings are looked at to see how closely they follow.
NEARBY_S = 0.5

# The instantaneous register of A100 and H100 averages 25 of every 100 ms (SC24, arXiv 2312.02741); the rest is unseen.
UNSEEN_SHARE = 0.75

# A square wave in step with the sampling is seen wrongly however long it lasts: this share of the unseen does not average out.
LASTING_SHARE = 0.3

# So many readings are looked at together.
READ_AT_ONCE = 1 << 13


class Moments(NamedTuple):
    """Some readings of a register."""

    times_s: list[float]
    watts: list[float]

    def between_w(self, start_s: float, end_s: float) -> float | None:
        """One of them from that time: the one nearest to its middle; None if there is none."""
        low, high = bisect_left(self.times_s, start_s), bisect_right(self.times_s, end_s)
        if low >= high:
            return None
        middle = bisect_left(self.times_s, (start_s + end_s) / 2, low, high)
        return self.watts[min(middle, high - 1)]


class Register:
    """The energy under the readings of one power register.

    Args:
        samples: readings in watts.
        accuracy: relative standard uncertainty of the gain.
        accuracy_w: what else is uncertain of its power for good, in watts.
        period_s: refresh period or, if longer, averaging span; None: not known.
        lag_s: how old a value is on average when it is read.
        unseen: the share of the time that the readings tell nothing about.
        limit_w: readings above are no power but a fault; they are left out and counted.
        first_reckoning: as the first release reckoned it, which left nothing open of holes of less than a second and a half.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        accuracy: float,
        accuracy_w: float = 0.0,
        period_s: float | None = None,
        lag_s: float = 0.0,
        unseen: float = UNSEEN_SHARE,
        limit_w: float = math.inf,
        first_reckoning: bool = False,
    ) -> None:
        self.accuracy = accuracy
        self.accuracy_w = accuracy_w
        self.period_s = period_s or 0.0
        self.lag_s = lag_s
        self.unseen = unseen
        self.rejected = 0
        self.gaps = Gaps()
        ends = self._read(samples, limit_w)
        self._gap_starts = {a for a, _ in self.gaps}
        # Between readings further apart the power may have been anything that it ever was: a uniform law.
        hole_s = math.inf if first_reckoning else self._hole_s(ends)
        in_holes_s = self._find_unread(ends, hole_s)
        self._unread_w = 0.0
        if self._unread_to:
            range_w = max(self.watts) - min(self.watts)
            if in_holes_s and limit_w < math.inf:
                # And the more of the time nobody looked, the more likely anything else that the device can draw.
                range_w += max(0.0, limit_w - range_w) * in_holes_s / (self.last_s - self.first_s)
            self._unread_w = range_w / SQRT12
        self._add_up()

    def _read(self, samples: Samples, limit_w: float) -> bytearray:
        """Takes in the readings that can be; returns of each time whether it ends a span of which a mean was told; nothing if none does."""
        times, watts, ends = Column(), Column(), bytearray()
        last_s = math.nan
        for first in range(0, len(samples), READ_AT_ONCE):
            block = slice(first, first + READ_AT_ONCE)
            some = samples.start_s[block], samples.end_s[block], samples.values[block]
            usual = None
            if len(samples) >= many.MANY:
                usual = many.powers(
                    *some, last_s=last_s, lag_s=self.lag_s, limit_w=limit_w, spans_from_s=SPANS_FROM_S
                )
            if usual is None:
                last_s = self._read_singly(some, times, watts, ends, last_s, limit_w)
                continue
            self.rejected += usual.rejected
            self.gaps += many.further_apart(usual.times, last_s, GAP_S, usual.ends)
            many.extend(times, usual.times)
            many.extend(watts, usual.watts)
            if ends or usual.ends.any():
                ends += bytes(len(times) - len(usual.ends) - len(ends)) + usual.ends.tobytes()
            last_s = float(usual.times[-1]) if len(usual.times) else last_s
        self.times, self.watts = times.values(), watts.values()
        return ends

    def _read_singly(
        self,
        samples: tuple[Sequence[float], Sequence[float], Sequence[float]],
        times: Column,
        watts: Column,
        ends: bytearray,
        last_s: float,
        limit_w: float,
    ) -> float:
        """Takes in readings that come after ``last_s``, one by one; returns when the last of them was."""
        some_s: list[float] = []
        some_w: list[float] = []
        some_ends = bytearray()
        for start, end, value in zip(*samples, strict=True):
            if not 0 <= value <= limit_w:
                self.rejected += 1
                continue
            start, end = start - self.lag_s, end - self.lag_s
            if start < last_s:
                start = last_s
            if end - start < SPANS_FROM_S:
                start = end = max(start, (start + end) / 2)
            if start - last_s > GAP_S:
                self.gaps.append((last_s, start))
            some_s.append(start)
            some_w.append(value)
            some_ends.append(False)
            last_s = start
            if end > start:
                some_s.append(end)
                some_w.append(value)
                some_ends.append(True)
                last_s = end
        if ends or any(some_ends):
            ends += bytes(len(times) - len(ends)) + some_ends
        times.extend(some_s)
        watts.extend(some_w)
        return last_s

    def _find_unread(self, ends: bytearray, hole_s: float) -> float:
        """Notes the times that no reading saw and that are no gaps; returns how much of that lies in holes, longer than ``hole_s``."""
        unread_from, unread_to = Column(), Column()
        in_holes_s = 0.0
        for a, b, told in self._far_apart(min(UNREAD_S, hole_s), ends):
            is_hole = b - a > hole_s and not told
            if (b - a > UNREAD_S or is_hole) and b - a <= GAP_S:
                unread_from.append(a)
                unread_to.append(b)
                in_holes_s += b - a if is_hole else 0.0
        self._unread_from, self._unread_to = unread_from.values(), unread_to.values()
        return in_holes_s

    def _far_apart(self, apart_s: float, ends: bytearray) -> Iterator[tuple[float, float, int]]:
        """Times that follow each other, those that are further apart than that among them; whether a mean of what lies between was told."""
        if len(self.times) < many.MANY:
            told_of = ends[1:] or bytes(max(len(self.times) - 1, 0))
            yield from ((a, b, told) for (a, b), told in zip(pairwise(self.times), told_of, strict=True))
            return
        for place in many.places_apart(self.times, apart_s):
            yield self.times[place], self.times[place + 1], ends[place + 1] if ends else False

    def _add_up(self) -> None:
        """The energy up to each reading, and how the power moved until then."""
        sums, squares = Column(), Column()
        if len(self.times) >= many.MANY:
            many.add_up(self.times, self.watts, self._gap_starts, sums, squares)
            self._sums, self._squares = sums.values(), squares.values()
            return
        gap_starts = self._gap_starts
        sums.extend(
            accumulate(
                (
                    0.0 if a in gap_starts else (b - a) * (p + q) / 2
                    for (a, b), (p, q) in zip(pairwise(self.times), pairwise(self.watts), strict=True)
                ),
                initial=0.0,
            )
        )
        squares.extend(accumulate(((q - p) ** 2 for p, q in pairwise(self.watts)), initial=0.0))
        self._sums, self._squares = sums.values(), squares.values()

    def _hole_s(self, ends: bytearray) -> float:
        """From what distance on two readings have a hole between them: one that neither its period nor the pace of the readings explains."""
        if len(self.times) >= many.MANY:
            apart_s = many.least_apart(self.times, ends, PACE_FROM)
        else:
            apart = (b - a for a, b, told in self._far_apart(0.0, ends) if not told)
            apart_s = sorted(islice(apart, PACE_FROM))
        usual_s = apart_s[len(apart_s) // 4] if len(apart_s) >= FEWEST_READINGS else 0.0
        return max(SHORTEST_HOLE_S, HOLES_FROM * max(self.period_s, usual_s))

    @property
    def first_s(self) -> float:
        return self.times[0] if self.times else math.inf

    @property
    def last_s(self) -> float:
        return self.times[-1] if self.times else -math.inf

    def between(self, start_s: float, end_s: float) -> Energy | None:
        """The energy from ``start_s`` to ``end_s``; None if there is no reading near that time."""
        seen = self._seen(start_s, end_s)
        if seen is None:
            return None
        seen_from, seen_to, covered, value = seen
        random_j, lasting_j = self._doubts_j(seen_from, seen_to)
        return Energy(
            energy=Estimate(
                value=value,
                random=random_j,
                systematic=math.hypot(self.accuracy * value, self.accuracy_w * covered, lasting_j),
            ),
            covered_s=covered,
        )

    @property
    def course(self) -> tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]:
        """Its times and its watts, and up to each of them the energy, and the squares of the changes of power."""
        return self.times, self.watts, self._sums, self._squares

    def are_unread(self, start_s: many.Array, end_s: many.Array) -> many.Flags:
        """Into which of some windows a time reaches that no reading saw and that is no gap."""
        return many.reached_into(self._unread_from, self._unread_to, start_s, end_s)

    def has_gap(self, start_s: float, end_s: float) -> bool:
        """Whether a time without readings reaches into that one."""
        return covered_s(start_s, end_s, self.gaps.near(start_s, end_s)) < end_s - start_s

    def energy_j(self, start_s: float, end_s: float) -> float:
        """The same without its doubt, quickly; both ends must lie among the readings."""
        return self._area(end_s) - self._area(start_s)

    def energies_j(self, times_s: many.Array) -> many.Array:
        """The energy until each of some times, counted from the first reading; all of them must lie among the readings."""
        return many.areas((self.times, self.watts, self._sums), self._gap_starts, GAP_S, times_s)

    def readings(self, start_s: float, end_s: float) -> int:
        """How many readings fell into that time."""
        return bisect_right(self.times, end_s) - bisect_left(self.times, start_s)

    def lasting_j(self, span: Energy) -> float:
        """What of the systematic doubt of an energy is not the sensor's own: what a register shows late, or never sees (1 σ)."""
        own_j = math.hypot(self.accuracy * span.energy.value, self.accuracy_w * span.covered_s)
        return math.sqrt(max(span.energy.systematic**2 - own_j**2, 0.0))

    def end_w(self, time_s: float) -> float | None:
        """What it showed first or last, where that was near a time; else None."""
        if not self.watts:
            return None
        end = 0 if abs(self.first_s - time_s) < abs(self.last_s - time_s) else -1
        return self.watts[end] if abs(self.times[end] - time_s) < NEARBY_S else None

    def moments(self, start_s: float, end_s: float) -> Moments:
        """Its readings from that time."""
        places = slice(bisect_left(self.times, start_s), bisect_right(self.times, end_s))
        return Moments(list(self.times[places]), list(self.watts[places]))

    def mean_w(self, start_s: float, end_s: float) -> float | None:
        """Mean power over what was covered; None if nothing was."""
        seen = self._seen(start_s, end_s)
        return seen[3] / seen[2] if seen is not None else None

    def _seen(self, start_s: float, end_s: float) -> tuple[float, float, float, float] | None:
        """From when to when there are readings of that time, how many seconds of it they cover, and their energy."""
        times = self.times
        if not times:
            return None
        hold = HOLD_S + self.lag_s
        seen_from, seen_to = max(start_s, times[0] - hold), min(end_s, times[-1] + hold)
        if seen_to <= seen_from:
            return None
        covered = covered_s(seen_from, seen_to, self.gaps.near(seen_from, seen_to))
        if covered <= 0:
            return None
        return seen_from, seen_to, covered, max(0.0, self._area(seen_to) - self._area(seen_from))

    def _area(self, time: float) -> float:
        times, watts = self.times, self.watts
        index = bisect_right(times, time)
        if index == 0:
            return -watts[0] * (times[0] - time)
        if index == len(times):
            return self._sums[-1] + watts[-1] * (time - times[-1])
        a, b = times[index - 1], times[index]
        if a in self._gap_starts and b - a > GAP_S:
            return self._sums[index - 1]
        slope = (watts[index] - watts[index - 1]) / (b - a)
        reach = time - a
        return self._sums[index - 1] + reach * (watts[index - 1] + slope * reach / 2)

    def _at(self, time: float) -> float:
        index = min(max(bisect_right(self.times, time) - 1, 0), len(self.times) - 1)
        return self.watts[index]

    def _doubts_j(self, start_s: float, end_s: float) -> tuple[float, float]:
        """What noise and sampling leave open (random), and what has the same sign in every window (systematic)."""
        low = max(bisect_right(self.times, start_s) - 1, 0)
        high = min(bisect_right(self.times, end_s), len(self.times) - 1)
        steps = high - low
        duration = end_s - start_s
        # Successive differences tell noise apart from slow change (von Neumann's estimate of a variance).
        variance = (self._squares[high] - self._squares[low]) / (2 * steps) if steps > 0 else 0.0
        unrest = math.sqrt(max(variance, 0.0) * self.unseen)
        unread = slice(bisect_right(self._unread_to, start_s), bisect_left(self._unread_from, end_s))
        unread_j = [
            self._unread_w * (min(b, end_s) - max(a, start_s))
            for a, b in zip(self._unread_from[unread], self._unread_to[unread], strict=True)
        ]
        random_j = math.hypot(unrest * duration / math.sqrt(max(steps, 1)), *unread_j)
        in_step_j = LASTING_SHARE * unrest * duration if duration > self.period_s else 0.0
        # An edge may fall anywhere in the register's period, which shows the new power late by up to as much.
        lag = max(self.period_s, duration / max(steps, 1))
        edges = [abs(self._at(edge + lag) - self._at(edge - lag)) * lag / SQRT12 for edge in (start_s, end_s)]
        return random_j, math.hypot(in_step_j, *edges)
