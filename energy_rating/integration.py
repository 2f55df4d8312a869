"""From samples to energy. Pure functions; the clock and the hardware are elsewhere.

Two kinds of reading come in, each taken somewhere between ``start`` and ``end``:

*Counters* give joules, but only refresh ("tick") every period. What a reading tells is therefore not the energy at the
moment of reading but at the last tick, and the tick happened after the previous reading that still saw the old value and before
the end of the first that saw the new one. Between two ticks ``a`` and ``b`` the energy at an edge ``e`` is found from both sides::

    from the left   L = C_a + P_before · (e − t_a)        the power before the tick interval goes on until e
    from the right  R = C_b − P_after  · (t_b − e)        the power after it has held since e

When the power changed once inside the interval, both lines are true up to the step and meet there, and the energy is
whichever is the larger (power rose: the curve is convex) or the smaller (power fell). An edge of a window is where power
most often steps, and there L = R: a window that starts a job from idle is charged neither the idle before it nor robbed of
its first tick. Linear interpolation instead would misplace up to half a tick of the power difference at each edge.

*Registers* give watts, and are summed as trapezoids; a span without readings is not covered and adds nothing.

Doubt (all 1 σ): a tick known to within a bracket of width w misplaces P·w/√12 joules; what L and R leave open is a third of their
difference; power that moves from tick to tick may move within one as well. The gain of the sensor is systematic.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

from energy_rating.quantities import Estimate
from energy_rating.records import Samples

# A register that has not been read for so long no longer tells what the device draws. One line a second is the slowest that
# a journal is written, so three missing lines are a gap.
GAP_S = 3.5

# So long a register's first and last readings stand for the time before and after them.
HOLD_S = 0.1

# A counter that has not ticked for so many periods (and so many seconds) while being read is stuck, not idle: no GPU or CPU
# package draws nothing. AMD cards do this for real (ROCm/amdsmi#38, ROCm/rocm_smi_lib#180).
STUCK_TICKS = 20
STUCK_S = 2.0

# Counters of GPUs refresh every 20 to 100 ms (Alumet and ML.ENERGY report so); where the samples do not tell, the longest.
ASSUMED_PERIOD_S = 0.1

# The instantaneous register of A100 and H100 averages 25 of every 100 ms (SC24, arXiv 2312.02741); the rest is unseen.
UNSEEN_SHARE = 0.75

SQRT12 = math.sqrt(12.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The energy of one channel between two edges: what was seen, and the share of the time that was seen."""

    energy: Estimate
    covered_s: float


def covered_s(start_s: float, end_s: float, gaps: Sequence[tuple[float, float]]) -> float:
    """The seconds from start to end that no gap overlaps. Gaps do not overlap each other."""
    lost = sum(max(0.0, min(end_s, to) - max(start_s, since)) for since, to in gaps)
    return max(0.0, end_s - start_s - lost)


class Counter:
    """The energy curve behind the ticks of one counter.

    Args:
        samples: readings in joules.
        accuracy: relative standard uncertainty of the gain.
        period_s: refresh period; None to learn it from the samples.
        wraps_at_j: range of the counter; None if it never wraps, so that going down is a reset.
        limit_w: no device draws more than this; a jump that would need more is a reset or a bad reading.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        accuracy: float,
        period_s: float | None = None,
        wraps_at_j: float | None = None,
        limit_w: float = math.inf,
    ) -> None:
        self.accuracy = accuracy
        self.resets: list[float] = []
        self.stuck: list[tuple[float, float]] = []
        self.period_s = period_s if period_s is not None else learned_period_s(samples)
        self.first_s = samples.start_s[0] if len(samples) else math.inf
        self.last_s = samples.end_s[-1] if len(samples) else -math.inf
        self.gaps: list[tuple[float, float]] = []
        self.ticks: list[Tick] = []
        self._follow(samples, wraps_at_j, limit_w)
        self._times = [tick.time_s for tick in self.ticks]

    def _follow(self, samples: Samples, wraps_at_j: float | None, limit_w: float) -> None:
        """Finds the ticks; unwraps, bridges resets, and notes where the counter stood still."""
        energy = 0.0
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        # A device may have drawn its limit since the tick before the previous reading; ticks are sometimes late (203 ms on an
        # A100, 917 ms on a GeForce, in the logs of the SC24 paper).
        slack = limit_w * max(3 * period, 1.0) + 1.0
        previous: float | None = None
        before_s = moved_s = 0.0
        for start, end, value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
            if previous is None:
                # The first value may be as old as one period.
                self.ticks.append(Tick(earliest_s=start - period, latest_s=end, energy_j=0.0))
                previous, before_s, moved_s = value, start, end
                continue
            step, elapsed = value - previous, end - before_s
            if step < 0 and wraps_at_j is not None and step + wraps_at_j <= limit_w * elapsed + slack:
                step += wraps_at_j
            if step < 0 or step > limit_w * elapsed + slack:
                # Driver reload, GPU reset, or a value that cannot be: what was drawn since the last reading is not in the
                # counter. If that was short, the power went on as before; if long, it is a gap.
                self.resets.append(start)
                if start - before_s > GAP_S:
                    self.gaps.append((before_s, start))
                else:
                    energy += self._latest_w() * (end - self.ticks[-1].time_s)
                self.ticks.append(Tick(earliest_s=start, latest_s=end, energy_j=energy))
                moved_s = end
            elif step > 0:
                self._note_stillness(moved_s, before_s, step)
                energy += step
                since = before_s if self.period_s is None else max(before_s, start - self.period_s)
                self.ticks.append(Tick(earliest_s=min(since, end), latest_s=end, energy_j=energy))
                moved_s = end
            previous, before_s = value, start
        if previous is not None:
            self._note_stillness(moved_s, before_s, 0.0)

    def _note_stillness(self, since_s: float, until_s: float, step_j: float) -> None:
        still_s = until_s - since_s
        if still_s <= max(STUCK_S, STUCK_TICKS * (self.period_s or ASSUMED_PERIOD_S)):
            return
        if step_j < 0.5 * self._latest_w() * still_s or step_j == 0:
            # It did not catch up: what was drawn meanwhile was never counted.
            self.stuck.append((since_s, until_s))
            self.gaps.append((since_s, until_s))

    def _latest_w(self) -> float:
        if len(self.ticks) < 2:
            return 0.0
        return _slope(self.ticks[max(0, len(self.ticks) - 4)], self.ticks[-1])

    def between(self, start_s: float, end_s: float, hint_w: float | None = None) -> Span | None:
        """The energy from ``start_s`` to ``end_s``; None if the counter says nothing about that time.

        ``hint_w`` is the mean power of that time from another source, for windows that hold no two ticks.
        """
        seen_from, seen_to = max(start_s, self.first_s), min(end_s, self.last_s)
        for since, to in self.gaps:
            # An edge in a gap: nothing is known from there to where the gap ends.
            seen_from = to if since <= seen_from < to else seen_from
            seen_to = since if since < seen_to <= to else seen_to
        if len(self.ticks) == 0 or seen_to <= seen_from:
            return None
        first, last = self._at(seen_from, hint_w), self._at(seen_to, hint_w)
        if first is None or last is None:
            return None
        value = max(0.0, last[0] - first[0])
        return Span(
            energy=Estimate(
                value=value, random=math.hypot(first[1], last[1]), systematic=self.accuracy * value
            ),
            covered_s=covered_s(seen_from, seen_to, self.gaps),
        )

    def _at(self, edge: float, hint_w: float | None) -> tuple[float, float] | None:
        """The energy at an edge and its random doubt (1 σ), both in joules; None without any power to go by."""
        ticks = self.ticks
        right = bisect_right(self._times, edge)  # ticks[right - 1] is the last before the edge
        left = right - 1
        before = _slope_near(ticks, left, -1)
        after = _slope_near(ticks, right, +1)
        if before is None and after is None:
            if hint_w is None:
                return self._straight(left, right, edge)
            before = after = hint_w
        elif before is None:
            before = after
        elif after is None:
            after = before
        assert before is not None
        assert after is not None
        unrest = self._unrest_w(right)
        sides: list[tuple[float, float]] = []
        if left >= 0:
            a = ticks[left]
            reach = edge - a.time_s
            sides.append(
                (a.energy_j + before * reach, math.hypot(before * a.width_s / SQRT12, unrest * reach))
            )
        if right < len(ticks):
            b = ticks[right]
            reach = b.time_s - edge
            sides.append((b.energy_j - after * reach, math.hypot(after * b.width_s / SQRT12, unrest * reach)))
        if len(sides) == 1:
            return sides[0]
        (from_left, left_doubt), (from_right, right_doubt) = sides
        apart = abs(from_left - from_right)
        if apart <= 2 * math.hypot(left_doubt, right_doubt):
            # Both tell the same within their doubt: weigh them by it.
            weight = right_doubt**2 + 1e-18
            weight /= left_doubt**2 + right_doubt**2 + 2e-18
            energy = weight * from_left + (1 - weight) * from_right
            return energy, math.hypot(weight * left_doubt, (1 - weight) * right_doubt)
        energy, doubt = (
            max((from_left, left_doubt), (from_right, right_doubt))
            if after > before
            else min((from_left, left_doubt), (from_right, right_doubt))
        )
        inside = min(max(energy, a.energy_j), b.energy_j)
        return inside, math.hypot(doubt, (energy - inside) / 3, self._straight_doubt(a, b, edge, inside))

    def _straight(self, left: int, right: int, edge: float) -> tuple[float, float] | None:
        """Between two ticks with nothing else known, the power was constant."""
        if left < 0 or right >= len(self.ticks):
            return None
        a, b = self.ticks[left], self.ticks[right]
        share = (edge - a.time_s) / (b.time_s - a.time_s) if b.time_s > a.time_s else 1.0
        step = b.energy_j - a.energy_j
        return a.energy_j + share * step, step / SQRT12

    def _straight_doubt(self, a: Tick, b: Tick, edge: float, energy: float) -> float:
        # The power may have stepped more than once: a quarter of what one step changes against none.
        share = (edge - a.time_s) / (b.time_s - a.time_s)
        return abs(energy - (a.energy_j + share * (b.energy_j - a.energy_j))) / 4

    def _unrest_w(self, index: int) -> float:
        """How much the power moves from tick to tick around an edge, 1 σ in watts."""
        ticks = self.ticks[max(0, index - 5) : index + 5]
        slopes = [_slope(a, b) for a, b in pairwise(ticks) if b.time_s > a.time_s]
        if len(slopes) < 3:
            return 0.0
        # The median keeps one step (which the two lines already follow) from counting as unrest.
        return median(abs(b - a) for a, b in pairwise(slopes)) / math.sqrt(2)


def _slope(a: Tick, b: Tick) -> float:
    width = b.time_s - a.time_s
    return (b.energy_j - a.energy_j) / width if width > 0 else 0.0


def _slope_near(ticks: Sequence[Tick], index: int, direction: int) -> float | None:
    """The power on one side of an edge: over the tick next to it, and over more while those agree.

    More ticks make the slope surer (each is off by its brackets), fewer keep it local; so ticks are added only while they
    change it by less than the brackets would.
    """
    other = index + direction
    if not (0 <= index < len(ticks) and 0 <= other < len(ticks)):
        return None
    near = ticks[index]
    power: float | None = None
    for reach in range(1, 6):
        far_index = index + direction * reach
        if not 0 <= far_index < len(ticks):
            break
        far = ticks[far_index]
        width = abs(far.time_s - near.time_s)
        if width <= 0 or max(near.width_s, far.width_s) > width / 4:
            continue  # brackets that wide say nothing about power
        wider = (far.energy_j - near.energy_j) / (far.time_s - near.time_s)
        if power is not None:
            bound = power * (near.width_s + far.width_s) / width + 0.01 * power
            if abs(wider - power) > bound:
                break
        power = wider
    return power


def learned_period_s(samples: Samples) -> float | None:
    """How often a counter ticks, from the readings themselves: the median spacing of ticks that were seen closely.

    None unless at least four neighbouring ticks were bracketed to better than a quarter of their spacing.
    """
    found: list[float] = []
    previous_tick: float | None = None
    was_close = False
    for index in range(1, len(samples)):
        if samples.values[index] == samples.values[index - 1]:
            continue
        earliest, latest = samples.start_s[index - 1], samples.end_s[index]
        time = (earliest + latest) / 2
        if previous_tick is not None:
            spacing = time - previous_tick
            close = latest - earliest < spacing / 4
            if close and was_close:
                found.append(spacing)
            was_close = close
        else:
            was_close = True
        previous_tick = time
    if len(found) < 4:
        return None
    return median(found)


class Register:
    """The energy under the readings of one power register.

    Args:
        samples: readings in watts.
        accuracy: relative standard uncertainty of the gain.
        period_s: refresh period or, if longer, averaging span; None: not known.
        limit_w: readings above are no power but a fault; they are left out and counted.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        accuracy: float,
        period_s: float | None = None,
        limit_w: float = math.inf,
    ) -> None:
        self.accuracy = accuracy
        self.period_s = period_s or 0.0
        self.rejected = 0
        times: list[float] = []
        watts: list[float] = []
        for start, end, value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
            if not 0 <= value <= limit_w:
                self.rejected += 1
                continue
            start = max(start, times[-1]) if times else start
            times.append(start)
            watts.append(value)
            if end > start:
                times.append(end)
                watts.append(value)
        self.times, self.watts = times, watts
        self.gaps = [(a, b) for a, b in pairwise(times) if b - a > GAP_S]
        gap_starts = {a for a, _ in self.gaps}
        self._sums = [0.0]
        for a, b, p, q in zip(times, times[1:], watts, watts[1:], strict=False):
            self._sums.append(self._sums[-1] + (0.0 if a in gap_starts else (b - a) * (p + q) / 2))
        self._squares = [0.0, *accumulate((q - p) ** 2 for p, q in pairwise(watts))]

    @property
    def first_s(self) -> float:
        return self.times[0] if self.times else math.inf

    @property
    def last_s(self) -> float:
        return self.times[-1] if self.times else -math.inf

    def between(self, start_s: float, end_s: float) -> Span | None:
        """The energy from ``start_s`` to ``end_s``; None if there is no reading near that time."""
        times = self.times
        if not times:
            return None
        seen_from, seen_to = max(start_s, times[0] - HOLD_S), min(end_s, times[-1] + HOLD_S)
        if seen_to <= seen_from:
            return None
        covered = covered_s(seen_from, seen_to, self.gaps)
        if covered <= 0:
            return None
        value = max(0.0, self._area(seen_to) - self._area(seen_from))
        return Span(
            energy=Estimate(
                value=value, random=self._doubt_j(seen_from, seen_to), systematic=self.accuracy * value
            ),
            covered_s=covered,
        )

    def mean_w(self, start_s: float, end_s: float) -> float | None:
        """Mean power over what was covered; None if nothing was."""
        span = self.between(start_s, end_s)
        return span.energy.value / span.covered_s if span else None

    def _area(self, time: float) -> float:
        times, watts = self.times, self.watts
        index = bisect_right(times, time)
        if index == 0:
            return -watts[0] * (times[0] - time)
        if index == len(times):
            return self._sums[-1] + watts[-1] * (time - times[-1])
        a, b = times[index - 1], times[index]
        if b - a > GAP_S:
            return self._sums[index - 1]
        slope = (watts[index] - watts[index - 1]) / (b - a)
        reach = time - a
        return self._sums[index - 1] + reach * (watts[index - 1] + slope * reach / 2)

    def _at(self, time: float) -> float:
        index = min(max(bisect_right(self.times, time) - 1, 0), len(self.times) - 1)
        return self.watts[index]

    def _doubt_j(self, start_s: float, end_s: float) -> float:
        low = max(bisect_right(self.times, start_s) - 1, 0)
        high = min(bisect_right(self.times, end_s), len(self.times) - 1)
        steps = high - low
        spacing = (end_s - start_s) / max(steps, 1)
        # Successive differences tell noise apart from slow change (von Neumann's estimate of a variance).
        variance = (self._squares[high] - self._squares[low]) / (2 * steps) if steps > 0 else 0.0
        unseen = math.sqrt(max(variance, 0.0) * UNSEEN_SHARE * spacing * (end_s - start_s))
        # An edge may fall anywhere in the register's period, which shows the new power late by up to as much.
        lag = max(self.period_s, spacing)
        edges = [abs(self._at(edge + lag) - self._at(edge - lag)) * lag / SQRT12 for edge in (start_s, end_s)]
        return math.hypot(unseen, *edges)
