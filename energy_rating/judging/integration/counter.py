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

Doubt (all 1 σ): a tick known to within a bracket of width w misplaces P·w/√12 joules. Power that moves by σ from tick to tick moves
within one as well: between two known ticks, r and r′ away from the edge, the energy is that of a Brownian bridge, σ·√(r·r′). Power that
moves faster than the ticks is not seen in them at all: for that, σ_P·r·r′/τ, with σ_P how far the device's register lies from the counter's
mean over the same ticks, or a tenth of the power where there is none. The gain of the sensor is systematic; so is what a register shows late at each edge, which has the same sign every time.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import islice, pairwise
from statistics import median

from energy_rating.files.columns import Column
from energy_rating.judging.integration import many
from energy_rating.judging.integration.edges import Around, TwoLines
from energy_rating.judging.integration.following import Followed
from energy_rating.judging.integration.gaps import Energy, covered_s
from energy_rating.judging.integration.many import FEWEST_CLOSE
from energy_rating.judging.integration.periods import ASSUMED_PERIOD_S, bounded_period_s, learned_period_s
from energy_rating.judging.integration.register import NEARBY_S, UNREAD_S, Register
from energy_rating.judging.integration.ticks import (
    SAME_POWER,
    SQRT12,
    Kept,
    Power,
    Tick,
    Ticks,
    meet,
    sharpened_ticks,
    slope,
    slope_near,
)
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Samples

# Over a time as long as this between two ticks, longer than any usual spacing of them, lines that do not meet tell of more than one change.
TWICE_S = 0.35

# The highest power is looked for between neighbouring ticks and those so many apart, and clearly further than their brackets are wide.
MOST_REACH, CLEARLY = 5, 4

# The power of a time that nobody read may have been so many times the highest that was seen. Our choice: with loads that change every 8 to
# 40 s at random, 99 % of the 95 % intervals beside holes of 3 to 20 s then hold the truth; it is the rare higher load that they are for.
HEADROOM = 1.25

# What a register alone leaves open beside its gain, where no counter checks it: part-time sampling misses 5 % and more (as above). In step
# with a load it misses up to 60 %, which no doubt covers: a figure from a register alone is degraded.
REGISTER_ONLY = 0.05

# How much the power of a device may move within a tick where nothing shows it.
MOVES = 0.1

# A register that lies within so much of the counter's means shows what is drawn at the moment, and no mean of a second.
MOMENTARY = 0.1

# The 25 of 100 ms of which a register shows the mean may hold the step: then the power beyond it is further away than what is shown.
SHOWN = 0.25

# What is left open where it is only guessed. Our choice: with loads that step at random 95 % of the intervals hold.
GUESSED = 0.5

# Where power stepped within a tick and only one side of it is known, the step may have been anywhere: so many times the doubt of one that is
# explained by both.
ONE_SIDED = 2.0

# So many ticks on either side of an edge tell how the power moves there.
HIDDEN_TICKS = 12

# Where the lines from both sides of an edge do not meet at it, a burst too short to see may have begun or ended there, and either line be the
# true one: this share of how far they are apart is left open. Our choice: with windows beside bursts of 10 to 250 ms at random 95 % of the
# intervals hold (`benchmarks/bursts.py`); a third, so that the other line is within three standard deviations of the one that is taken.
UNSEEN_BURST = 1 / 3

# So many are enough to tell how restless it is.
UNREST_TICKS = 5

# Over so many ticks power is looked for where a single one tells none.
STRIDE = 4

# The median of |x| of normal noise is this many standard deviations.
MEDIAN_OF_NORMAL = 0.6745
_NO_POWER = Power(0.0)


class Counter:
    """The energy curve behind the ticks of one counter.

    Args:
        samples: readings in joules.
        accuracy: relative standard uncertainty of the gain.
        accuracy_w: what else is uncertain of its power for good, in watts.
        period_s: refresh period; None to learn it from the samples.
        wraps_at_j: range of the counter; None if it never wraps, so that going down is a reset.
        limit_w: no device draws more than this; a jump that would need more is a reset or a bad reading.
        died_at_s: when the process that read it died; the next reading would have come a moment later.
        first_reckoning: reckon as for journals of the first schema, whose figures stay as they were published.
        sharpened: put ticks that were missed where their rhythm has them; else they are where the readings left them.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        accuracy: float,
        accuracy_w: float = 0.0,
        period_s: float | None = None,
        wraps_at_j: float | None = None,
        limit_w: float = math.inf,
        died_at_s: float | None = None,
        first_reckoning: bool = False,
        sharpened: bool = True,
    ) -> None:
        self.accuracy = accuracy
        self.accuracy_w = accuracy_w
        self.first_reckoning = first_reckoning
        self._limit_w = limit_w
        self.period_s = period_s if period_s is not None else learned_period_s(samples)
        if self.period_s is None and not first_reckoning:
            self.period_s = bounded_period_s(samples)
        self.first_s = samples.start_s[0] if len(samples) else math.inf
        self.last_s = samples.end_s[-1] if len(samples) else -math.inf
        found = Followed(samples, period_s=self.period_s, wraps_at_j=wraps_at_j, limit_w=limit_w)
        self.ticks, self.gaps, self.resets, self.told = found.ticks, found.gaps, found.resets, found.told
        self.stuck, self.late = found.stuck, found.late
        if not sharpened:
            pass
        elif isinstance(self.ticks, list):
            self.ticks = sharpened_ticks(self.ticks, self.period_s, first_reckoning)
        else:
            self.ticks.sharpen(self.period_s, first_reckoning)
        if isinstance(self.ticks, list):
            times = Column()
            times.extend(tick.time_s for tick in self.ticks)
        else:
            self.ticks.settle()
            times = self.ticks.times_s()
        self.times_s = times.values()
        # Where ticks come seldom anyway, a hole is what is longer than that.
        spacing_s = (
            (self.times_s[-1] - self.times_s[0]) / (len(self.times_s) - 1) if len(self.times_s) > 1 else 0.0
        )
        self.unread_s = max(UNREAD_S, 3 * spacing_s)
        if died_at_s is not None and died_at_s - self.last_s <= 2 * max(
            self.period_s or 0.0, ASSUMED_PERIOD_S
        ):
            self.last_s = max(self.last_s, died_at_s)
        # Many windows share their ticks: what is known around a tick is worked out once.
        self._powers: Kept[tuple[int, int], Power | None] = Kept()
        self._unrests: Kept[int, float] = Kept()
        self._edges: Kept[tuple[float, bool], tuple[float, float] | None] = Kept()
        self._hidden: Kept[int, float | None] = Kept()
        self._arounds: Kept[tuple[int, bool], Around | None] = Kept()
        self._steps: Kept[int, float] = Kept()
        self._latest_around: tuple[int, tuple[list[float], list[float], list[float]]] = -1, ([], [], [])
        self._highest_w: float | None = None

    def has_gap(self, start_s: float, end_s: float) -> bool:
        """Whether a time that it tells nothing about reaches into that one."""
        return covered_s(start_s, end_s, self.gaps.near(start_s, end_s)) < end_s - start_s

    @property
    def ticks_within_s(self) -> float | None:
        """It ticks at least this often: its period, or where the readings do not tell it the mean spacing of the ticks that they saw."""
        if self.period_s is not None or self.first_reckoning or len(self.times_s) < FEWEST_CLOSE:
            return self.period_s
        spacing_s = (self.times_s[-1] - self.times_s[0]) / (len(self.times_s) - 1)
        return spacing_s if spacing_s > 0 else None  # readings may be a little out of order

    def resolution_s(self, start_s: float, end_s: float) -> float:
        """What the counter, as it was read around a window, tells apart: its period, or the spacing of the ticks seen then."""
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        first = bisect_left(self.times_s, start_s - NEARBY_S)
        last = bisect_right(self.times_s, end_s + NEARBY_S) - 1
        if last <= first:
            return period
        return max(period, (self.times_s[last] - self.times_s[first]) / (last - first))

    def between(
        self, start_s: float, end_s: float, hint_w: float | None = None, register: Register | None = None
    ) -> Energy | None:
        """The energy from ``start_s`` to ``end_s``; None if the counter says nothing about that time.

        ``hint_w`` is the mean power of that time from another source, for windows that hold no two ticks; ``register`` the
        power readings of the same device, which show how it moves within a tick.
        """
        seen_from, seen_to = max(start_s, self.first_s), min(end_s, self.last_s)
        for since, to in self.gaps.near(seen_from, seen_to):
            # An edge in a gap: nothing is known from there to where the gap ends.
            seen_from = to if since <= seen_from < to else seen_from
            seen_to = since if since < seen_to <= to else seen_to
        if len(self.ticks) == 0 or seen_to <= seen_from:
            return None
        unread = self._within_unread(seen_from, seen_to)
        first, last = self._at(seen_from, hint_w, register), self._at(seen_to, hint_w, register)
        if first is None or last is None:
            return None
        value, random_j = last[0] - first[0], math.hypot(first[1], last[1])
        if unread is not None:
            value, random_j = unread
        # Of a window much shorter than a tick the doubt may exceed the energy, and the difference fall below zero. It is left so:
        # cutting it off here would make the sum of many such windows too large.
        covered = covered_s(seen_from, seen_to, self.gaps.near(seen_from, seen_to))
        systematic_j = math.hypot(self.accuracy * value, self.accuracy_w * covered)
        return Energy(
            energy=Estimate(value=value, random=random_j, systematic=systematic_j), covered_s=covered
        )

    def _at(self, edge: float, hint_w: float | None, register: Register | None) -> tuple[float, float] | None:
        """The energy at an edge and its random doubt (1 σ), both in joules; None without any power to go by."""
        key = edge, register is not None
        if key in self._edges:  # where one window ends, the next one begins
            return self._edges[key]
        found = self._found_at(edge, hint_w, register)
        right = bisect_right(self.times_s, edge)
        if self._power_beside(right - 1, -1) is not None or self._power_beside(right, +1) is not None:
            self._edges[key] = found  # nothing of it is of this window alone
        return found

    def _found_at(
        self, edge: float, hint_w: float | None, register: Register | None
    ) -> tuple[float, float] | None:
        found = self._reckoned(edge, hint_w, register)
        right = bisect_right(self.times_s, edge)
        if found is None or self.first_reckoning or not 0 < right < len(self.ticks):
            return found
        if self._power_beside(right - 1, -1) is not None or self._power_beside(right, +1) is not None:
            return found
        # All around it the ticks were seen so badly that not even the order of the edge and its ticks is known: the energy is between those of
        # the last tick that surely was before and the first that surely was after.
        low, high = self._surely_around(right - 1, right, edge, edge)
        if (low, high) == (right - 1, right):
            return found
        return found[0], math.hypot(found[1], (self.ticks[high].energy_j - self.ticks[low].energy_j) / SQRT12)

    def _reckoned(
        self, edge: float, hint_w: float | None, register: Register | None
    ) -> tuple[float, float] | None:
        """The same, by the power beside the edge and by what ticks on both sides of it make of that."""
        right = bisect_right(self.times_s, edge)  # ticks[right - 1] is the last before the edge
        left = right - 1
        before, after = self._power_beside(left, -1), self._power_beside(right, +1)
        seen = before is not None and after is not None
        if before is None and after is None:
            if hint_w is None:
                return self._straight(left, right, edge)
            before = after = Power(hint_w)
        moves_w = self._moves_w(right, before, after, register)
        if left < 0 or right >= len(self.ticks):
            return self._outside(edge, right, before, after, moves_w)
        lines = self._lines(edge, right, before, after, register, seen=seen, moves_w=moves_w)
        if (lines.both or lines.took_s <= UNREAD_S) and lines.agree:
            return lines.weighed(0.0 if self.first_reckoning else self.steps_w(right))
        return self._stepped(right, lines)

    def _outside(
        self, edge: float, right: int, before: Power | None, after: Power | None, moves_w: float
    ) -> tuple[float, float]:
        """The energy at an edge before the first tick or after the last: the power beside it goes on."""
        left, period = right - 1, self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        tick, power = (
            (self.ticks[left], before or after) if left >= 0 else (self.ticks[right], after or before)
        )
        assert power is not None
        reach = edge - tick.time_s
        doubt = math.hypot(
            power.doubt_j(tick, abs(reach)),
            self._unrest_w(right) * math.sqrt(abs(reach) * (abs(reach) + period)),
            0.0 if self.first_reckoning else self.steps_w(right) * abs(reach),
            moves_w * period / SQRT12,
        )
        return tick.energy_j + power.watts * reach, doubt

    def _lines(
        self,
        edge: float,
        right: int,
        before: Power | None,
        after: Power | None,
        register: Register | None,
        *,
        seen: bool,
        moves_w: float,
    ) -> TwoLines:
        """The lines of power that lead to an edge within a tick; where there is no other tick beyond, with what may be known of there."""
        a, b = self.ticks[right - 1], self.ticks[right]
        known = before if before is not None else after
        assert known is not None
        shown_j, both = 0.0, seen
        found = self._told_otherwise(right, before, after, register, moves_w)
        if found is not None:
            other, share = found
            since_s, until_s = edge - a.time_s, b.time_s - edge
            unlike_j = abs(b.energy_j - a.energy_j - known.watts * (since_s + until_s))
            beyond_s = until_s if before is not None else since_s
            shown_j = share * min(abs(other.watts - known.watts) * beyond_s, unlike_j)
            before, after = (before or other), (after or other)
            both = True
        return TwoLines(
            a=a,
            b=b,
            edge_s=edge,
            before=before,
            after=after,
            known=known,
            seen=seen,
            both=both,
            shown_j=shown_j,
            unread_s=self.unread_s,
            unrest_w=self._unrest_w(right),
            moves_w=moves_w,
        )

    def around(self, right: int, register: Register | None) -> Around | None:
        """What is known around the edges before the tick ``right`` and after the one before it; None without any power beside them."""
        key = right, register is not None
        if key not in self._arounds:
            self._arounds[key] = self._known_around(right, register)
        return self._arounds[key]

    def _known_around(self, right: int, register: Register | None) -> Around | None:
        before, after = self._power_beside(right - 1, -1), self._power_beside(right, +1)
        if before is None and after is None:
            return None
        moves_w = self._moves_w(right, before, after, register)
        last = len(self.ticks) - 1
        a, b = self.ticks[min(max(right - 1, 0), last)], self.ticks[min(right, last)]
        known = before if before is not None else after
        assert known is not None
        outside = not 0 < right <= last
        told = None if outside else self._told_otherwise(right, before, after, register, moves_w)
        other = told[0] if told is not None else None
        return Around(
            *(a.time_s, a.width_s, a.energy_j, b.time_s, b.width_s, b.energy_j),
            *(before or other or known),
            *(after or other or known),
            outside=outside,
            seen=before is not None and after is not None,
            both=other is not None or (before is not None and after is not None),
            from_left=before is not None or other is not None,
            share=told[1] if told is not None else 0.0,
            known_w=known.watts,
            other_w=abs(other.watts - known.watts) if other is not None else 0.0,
            beyond_after=before is not None,
            unrest_w=self._unrest_w(right),
            moves_w=moves_w,
        )

    def _moves_w(
        self, right: int, before: Power | None, after: Power | None, register: Register | None
    ) -> float:
        """How much the power may move within a tick, 1 σ: as the register beside it shows; where nothing does, a part of itself."""
        hidden_w = self._hidden_w(right, register) if register is not None else None
        if hidden_w is not None:
            return hidden_w
        return MOVES * ((before or after or _NO_POWER).watts + (after or before or _NO_POWER).watts) / 2

    def _told_otherwise(
        self, right: int, before: Power | None, after: Power | None, register: Register | None, moves_w: float
    ) -> tuple[Power, float] | None:
        """What is known of the power beyond the first tick or the last (``_beyond``), where no tick tells it."""
        first, last = right == 1, right == len(self.ticks) - 1
        known = before if before is not None else after
        if known is None or (before is not None and after is not None):
            return None
        if self.first_reckoning or not (first or last):
            return None
        return self._beyond(self.ticks[right - 1], self.ticks[right], known, register, moves_w, first=first)

    def steadiness(self, right: int) -> tuple[float, float, float]:
        """Whether the power was steady before a tick's interval, and after it; and whether it was so only as restless power is."""
        beside = (right - 1, -1), (right, +1)
        before, after = (self._is_steady(*side) for side in beside)
        restless = before and after and not all(self._is_steady(*side, restless=False) for side in beside)
        return before, after, restless

    def _stepped(self, right: int, lines: TwoLines) -> tuple[float, float]:
        """The energy at an edge within a tick in which the power changed, for the lines from its two sides tell differently."""
        a, b, of_before, of_after = lines.a, lines.b, lines.of_before, lines.of_after
        (from_left, left_doubt), (from_right, right_doubt) = lines.left, lines.right
        since, until, took = lines.since_s, lines.until_s, lines.took_s
        once = lines.both and meet(from_left, from_right, of_before.watts, of_after.watts, since, until)
        one_sided = not lines.both and not self.first_reckoning
        if one_sided:
            # Only the power on one side is known. A program's first and last moment are where power most often steps.
            energy, doubt = lines.left if lines.before is not None else lines.right
        elif of_after.watts > of_before.watts:
            # Where the power changed once, the larger of the two if it rose, else the smaller.
            energy, doubt = max(lines.left, lines.right)
        else:
            energy, doubt = min(lines.left, lines.right)
        if lines.unread or (took > UNREAD_S and not lines.both):
            guess_j = energy - a.energy_j if once else None
            since_a_j, doubt = self._anywhere(a, b, since, until, guess_j)
            return a.energy_j + since_a_j, doubt
        if took > TWICE_S and lines.both and not once:
            # The power changed more than once, nobody knows when: the energy is anywhere between the two.
            low, high = (min(max(one, a.energy_j), b.energy_j) for one in sorted((from_left, from_right)))
            return (low + high) / 2, math.hypot(
                left_doubt, right_doubt, lines.bridge_j, (high - low) / SQRT12
            )
        burst_j = 0.0
        if lines.seen and not self.first_reckoning:
            # When the ticks were is known no better than their brackets, and so is where the lines meet.
            open_j = 2 * math.hypot(left_doubt, right_doubt)
            once = meet(from_left, from_right, of_before.watts, of_after.watts, since, until, open_j)
            both = lines.left, lines.right
            energy, doubt = self._beside_bursts(right, both, (energy, doubt), once=once)
            burst_j = UNSEEN_BURST * abs(from_left - from_right)
        inside = min(max(energy, a.energy_j), b.energy_j)
        straight = self._straight_doubt(a, b, lines.edge_s, inside)
        return inside, math.hypot(
            doubt,
            lines.bridge_j,
            lines.shown_j,
            burst_j,
            (energy - inside) / 3,
            ONE_SIDED * straight if one_sided else straight,
        )

    def _beside_bursts(
        self,
        right: int,
        lines: tuple[tuple[float, float], tuple[float, float]],
        stepped: tuple[float, float],
        *,
        once: bool,
    ) -> tuple[float, float]:
        """The energy at an edge where the lines from the two sides do not meet, and what their ticks leave open of it (1 σ).

        Something short may have begun or ended at the edge: a prefill, a warm-up, a copy. Then the line of the other side is the true one, and
        which side that is the two ticks do not tell. A burst that reaches into the next tick spoils the power that is taken from it: then
        the other line is the better. ``stepped``: what a single step makes of it; where the power is restless anyway, that remains the best.
        """
        before, after, restless = self.steadiness(right)
        if before != after:
            return lines[0] if before else lines[1]
        if once or restless:
            return stepped
        (left_j, left_doubt), (right_j, right_doubt) = lines
        return (left_j + right_j) / 2, math.hypot(left_doubt, right_doubt)

    def _is_steady(self, index: int, direction: int, *, restless: bool = True) -> bool:
        """Whether the power beside an edge was the same in the next two ticks, as far as is known: then no burst reaches into it.

        ``restless``: power that moves from tick to tick all the time, and no more than that here, is steady, too.
        """
        if not 0 <= index + 2 * direction < len(self.ticks):
            return True
        a, b, c = (self.ticks[index + number * direction] for number in range(3))
        width_s = min(abs(b.time_s - a.time_s), abs(c.time_s - b.time_s))
        if width_s <= 0:
            return True
        near_w, far_w = (slope(*sorted(two, key=_time_s)) for two in ((a, b), (b, c)))
        most_w = max(near_w, far_w)
        blurred_w = most_w * math.hypot(a.width_s, 2 * b.width_s, c.width_s) / width_s / SQRT12
        unrest_w = math.sqrt(2) * self._unrest_at(index, HIDDEN_TICKS) if restless else 0.0
        return abs(near_w - far_w) <= 2 * math.hypot(blurred_w, unrest_w) + SAME_POWER * most_w

    def _beyond(
        self, a: Tick, b: Tick, known: Power, register: Register | None, moves_w: float, *, first: bool
    ) -> tuple[Power, float] | None:
        """The power beyond a counter's first or last tick, where a single step to it explains what was counted from ``a`` to ``b``,
        and the share of what it explains that is left open.

        A register that shows momentary power may have shown it; its last value may also be from before the step, or from a moment of it.
        Else, where the power was higher beyond, it is taken to be the highest that was ever seen: had it been less, the step would have
        been further away from what is known, and the truth beyond what this makes of it. Where it was lower nobody knows how low:
        the program was not there yet, or not any more.
        """
        if b.time_s <= a.time_s:
            return None
        mean_w = slope(a, b)
        slack_w = mean_w * (a.width_s + b.width_s) / (b.time_s - a.time_s) / 2

        def explains(watts: float, least_w: float) -> bool:
            low, high = sorted((watts, known.watts))
            return high - low >= least_w and low - slack_w <= mean_w <= high + slack_w

        shown_w = register.end_w(a.time_s if first else b.time_s) if register is not None else None
        momentary = shown_w is not None and moves_w <= MOMENTARY * max(shown_w, known.watts)
        least_w = MOVES * known.watts
        if momentary and shown_w is not None and explains(shown_w, max(3 * moves_w, least_w)):
            return Power(shown_w), SHOWN
        most_w = self._most_w()
        return (
            (Power(most_w), GUESSED)
            if math.isfinite(most_w) and mean_w > known.watts and explains(most_w, least_w)
            else None
        )

    def _anywhere(
        self, a: Tick, b: Tick, within_s: float, without_s: float, guess_j: float | None = None
    ) -> tuple[float, float]:
        """The energy of ``within_s`` seconds between two ticks that ``without_s`` more of theirs are not part of, and its doubt (1 σ).

        For a time that nobody read: the power may have changed in it as often as it liked, but it was never below nothing nor far above
        what was ever seen, or the device's limit where the two ticks themselves tell of more. The energy is anywhere in between; ``guess_j`` says where it
        most likely is.
        """
        step = b.energy_j - a.energy_j
        most_w = HEADROOM * self._most_w()
        if step > most_w * max(b.earliest_s - a.latest_s, 0.0):
            most_w = max(self._limit_w, most_w)
        slack_s = (a.width_s + b.width_s) / 2
        low = max(0.0, step - most_w * (without_s + slack_s))
        high = max(low, min(step, most_w * (within_s + slack_s)))
        if guess_j is None or high == low:
            return (low + high) / 2, (high - low) / SQRT12
        guess_j = min(max(guess_j, low), high)
        # How far a uniform law between the two lies from the guess, root mean square.
        return guess_j, math.sqrt(((high - guess_j) ** 3 + (guess_j - low) ** 3) / (3 * (high - low)))

    def _within_unread(self, start_s: float, end_s: float) -> tuple[float, float] | None:
        """The energy of a window that lies wholly in a time that nobody read, and its doubt (1 σ); None if it does not.

        Nor is it there where the power was the same all the time, as far as the ticks on both sides tell.
        """
        right = bisect_right(self.times_s, start_s)
        left = right - 1
        if left < 0 or right >= len(self.ticks) or self.times_s[right] <= end_s:
            return None
        if not self.first_reckoning:
            left, right = self._surely_around(left, right, start_s, end_s)
        a, b = self.ticks[left], self.ticks[right]
        width_s = b.time_s - a.time_s
        if width_s <= self.unread_s:
            return None
        mean_w, open_s = slope(a, b), math.hypot(a.width_s, b.width_s) / SQRT12 + SAME_POWER * width_s
        beside = self._power_beside(left, -1), self._power_beside(right, +1)
        if all(
            power is not None and abs(power.watts - mean_w) * width_s <= 2 * power.watts * open_s
            for power in beside
        ):
            return None
        return self._anywhere(a, b, end_s - start_s, width_s - (end_s - start_s))

    def _surely_around(self, left: int, right: int, start_s: float, end_s: float) -> tuple[int, int]:
        """The last tick that surely was before a time and the first that surely was after it, from those on that their middles tell."""
        while left > 0 and self.ticks[left].latest_s > start_s:
            left -= 1
        while right < len(self.ticks) - 1 and self.ticks[right].earliest_s < end_s:
            right += 1
        return left, right

    def _most_w(self) -> float:
        """The highest power seen, between ticks whose times are known well beside what lies between them; infinite where there are none."""
        if self._highest_w is None:
            ticks = self.ticks
            if isinstance(ticks, Ticks) and len(ticks) >= many.MANY:
                highest = max(ticks.highest_w(reach, CLEARLY) for reach in (1, MOST_REACH))
            else:
                slopes = (
                    slope(a, b)
                    for reach in (1, MOST_REACH)
                    for a, b in zip(ticks, islice(ticks, reach, None), strict=False)
                    if b.time_s - a.time_s > CLEARLY * max(a.width_s, b.width_s)
                )
                highest = max(slopes, default=-math.inf)
            self._highest_w = math.inf if highest == -math.inf else highest
        return self._highest_w

    def _power_beside(self, index: int, direction: int) -> Power | None:
        key = index, direction
        if key not in self._powers:
            self._powers[key] = slope_near(self.ticks, index, direction, self.first_reckoning)
        return self._powers[key]

    def _straight(self, left: int, right: int, edge: float) -> tuple[float, float] | None:
        """Between two ticks with nothing else known, the power was constant; outside of them it goes on as it was."""
        if left < 0 or right >= len(self.ticks):
            near = self.ticks[left if left >= 0 else right]
            far = self.ticks[max(left - 4, 0) if left >= 0 else min(right + 4, len(self.ticks) - 1)]
            if near is far:
                return None
            power = slope(far, near) if left >= 0 else slope(near, far)
            reach = edge - near.time_s
            return near.energy_j + power * reach, power * math.hypot(near.width_s, reach) / SQRT12
        a, b = self.ticks[left], self.ticks[right]
        share = (edge - a.time_s) / (b.time_s - a.time_s) if b.time_s > a.time_s else 1.0
        step = b.energy_j - a.energy_j
        # Within the bracket of a tick nobody knows on which side of it the edge is.
        open_s = math.hypot(
            a.width_s if edge < a.latest_s else 0.0, b.width_s if edge > b.earliest_s else 0.0
        )
        return a.energy_j + share * step, math.hypot(
            step, slope(self.ticks[0], self.ticks[-1]) * open_s
        ) / SQRT12

    def _straight_doubt(self, a: Tick, b: Tick, edge: float, energy: float) -> float:
        # The power may have stepped more than once: a quarter of what one step changes against none.
        share = (edge - a.time_s) / (b.time_s - a.time_s)
        return abs(energy - (a.energy_j + share * (b.energy_j - a.energy_j))) / 4

    def _hidden_w(self, index: int, register: Register) -> float | None:
        """How far the momentary power around an edge lies from its mean over the tick, 1 σ in watts; None where nobody knows.

        That is what moves faster than the counter ticks. Slow change is in both and cancels; a fast wave that beats with the
        sampling looks slow in the register, but the counter's means do not follow it.
        """
        if index not in self._hidden:
            times_s, widths_s, energies_j = self._around(index)
            shown = register.moments(times_s[0], times_s[-1]) if times_s else None
            far = [
                abs(momentary - (to_j - from_j) / (to_s - from_s))
                for from_s, to_s, before_s, after_s, from_j, to_j in zip(
                    times_s, times_s[1:], widths_s, widths_s[1:], energies_j, energies_j[1:], strict=False
                )
                if to_s - from_s > 2 * max(before_s, after_s)
                and shown is not None
                and (momentary := shown.between_w(from_s, to_s)) is not None
            ]
            # The middle one: a step, such as the edge's own, is in few ticks.
            self._hidden[index] = sorted(far)[len(far) // 2] / MEDIAN_OF_NORMAL if len(far) >= 6 else None
        return self._hidden[index]

    def _around(self, index: int) -> tuple[list[float], list[float], list[float]]:
        """The middles, the widths and the energies of the ticks around an edge."""
        if self._latest_around[0] != index:
            ticks = self.ticks[max(0, index - HIDDEN_TICKS) : index + HIDDEN_TICKS]
            self._latest_around = (
                index,
                (
                    [(earliest + latest) / 2 for earliest, latest, _ in ticks],
                    [latest - earliest for earliest, latest, _ in ticks],
                    [energy_j for _, _, energy_j in ticks],
                ),
            )
        return self._latest_around[1]

    def _unrest_w(self, index: int) -> float:
        """How much the power moves from tick to tick around an edge, 1 σ in watts."""
        if index not in self._unrests:
            self._unrests[index] = self._unrest_at(index)
        return self._unrests[index]

    def steps_w(self, index: int) -> float:
        """How much the power moves from tick to tick near a time, steps among them, 1 σ beyond what brackets make of it.

        Where ticks were seen so badly that a single one tells no power, it is taken over several.
        """
        if index not in self._steps:  # many windows may lie within one tick
            self._steps[index] = self._steps_at(index)
        return self._steps[index]

    def _steps_at(self, index: int) -> float:
        for stride in (1, STRIDE):
            moved, blurred, count = 0.0, 0.0, 0
            times_s, widths_s, energies_j = (one[::stride] for one in self._around(index))
            for a_s, b_s, c_s, a_width, b_width, c_width, a_j, b_j, c_j in zip(
                *(times_s, times_s[1:], times_s[2:], widths_s, widths_s[1:], widths_s[2:]),
                *(energies_j, energies_j[1:], energies_j[2:]),
                strict=False,
            ):
                width_s = min(b_s - a_s, c_s - b_s)
                if width_s > 2 * max(a_width, b_width, c_width):
                    moved += ((c_j - b_j) / (c_s - b_s) - (b_j - a_j) / (b_s - a_s)) ** 2
                    blurs = a_width**2 + 4 * b_width**2 + c_width**2
                    blurred += ((c_j - a_j) / (c_s - a_s)) ** 2 * blurs / 12 / width_s**2
                    count += 1
            if count > 1:
                return math.sqrt(max(moved - blurred, 0.0) / count)
        return 0.0

    def _unrest_at(self, index: int, ticks_around: int = UNREST_TICKS) -> float:
        near = pairwise(self.ticks[max(0, index - ticks_around) : index + ticks_around])
        slopes = [slope(a, b) for a, b in near if b.time_s > a.time_s]
        if len(slopes) < 3:
            return 0.0
        # The median keeps one step (which the two lines already follow) from counting as unrest.
        return median(abs(b - a) for a, b in pairwise(slopes)) / (MEDIAN_OF_NORMAL * math.sqrt(2))


def _time_s(tick: Tick) -> float:
    return tick.time_s
