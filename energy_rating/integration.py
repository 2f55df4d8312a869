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
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise
from statistics import median
from typing import NamedTuple, TypeVar, overload

from energy_rating.files import columns
from energy_rating.files.columns import Column
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Samples

# A register that has not been read for so long no longer tells what the device draws. One line a second is the slowest that
# a journal is written, so three missing lines are a gap.
GAP_S = 3.5

# A line shorter than this is a moment, a longer one the mean of its span.
SPANS_FROM_S = 0.05

# So long a register's first and last readings stand for the time before and after them.
HOLD_S = 0.1

# A counter that has not ticked for so many periods (and so many seconds) while being read is stuck, not idle: no GPU or CPU
# package draws nothing. AMD cards do this for real (ROCm/amdsmi#38, ROCm/rocm_smi_lib#180).
STUCK_TICKS = 5
STUCK_S = 0.5

# So many ticks tell how often a counter ticks that keeps no rhythm.
TICKS_TOLD = 64

# Counters of GPUs refresh every 20 to 100 ms (Alumet and ML.ENERGY report so); where the samples do not tell, the longest.
ASSUMED_PERIOD_S = 0.1

# A value that fell is a bad reading where it returns within so long to where it was, by more than the power explains so many times
# over. (A counter that began again grows back as the power lets it.)
DIP_S, DIP_JUMPS = 10.0, 4.0

# Readings further apart than this (a call that took seconds, a thread that had to wait) may hide more than one change of power.
UNREAD_S = 1.5

# A counter ticks again at the latest after so many of its periods (203 ms for 100 on an A100, as above).
LATEST_TICK = 2.0

# So many spacings of a counter tell what is usual.
ENOUGH_SPACINGS = 1000

# Over a time as long as this between two ticks, longer than any usual spacing of them, lines that do not meet tell of more than one change.
TWICE_S = 0.35

# Powers that differ by no more are one power, where readings are seconds apart (a slope of five ticks is known so well).
SAME_POWER = 0.01

# The highest power is looked for between neighbouring ticks and between those so many apart, whose times matter less.
MOST_REACH = 5

# The power of a time that nobody read may have been so many times the highest that was seen. Our choice: with loads that change every 8 to
# 40 s at random, 99 % of the 95 % intervals beside holes of 3 to 20 s then hold the truth; it is the rare higher load that they are for.
HEADROOM = 1.25

# So far around a window its readings are looked at to see how closely they follow.
NEARBY_S = 0.5

# The instantaneous register of A100 and H100 averages 25 of every 100 ms (SC24, arXiv 2312.02741); the rest is unseen.
UNSEEN_SHARE = 0.75

# A square wave in step with the sampling is seen wrongly however long it lasts: this share of the unseen does not average out.
LASTING_SHARE = 0.3

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

# Over so many ticks power is looked for where a single one tells none.
STRIDE = 4

# The median of |x| of normal noise is this many standard deviations.
MEDIAN_OF_NORMAL = 0.6745

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


class _Power(NamedTuple):
    """The power on one side of an edge: over how long it was taken, and how wide the bracket at the far end of that was."""

    watts: float
    width_s: float = math.inf
    far_s: float = 0.0

    def doubt_j(self, near: Tick, reach_s: float) -> float:
        """What ``reach_s`` seconds of it from a tick on leave open (1 σ): when that tick was moves both where it begins and its slope."""
        share = reach_s / self.width_s
        return self.watts * math.hypot((1 + share) * near.width_s, share * self.far_s) / SQRT12


_NO_POWER = _Power(0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The energy of one channel between two edges: what was seen, and the share of the time that was seen."""

    energy: Estimate
    covered_s: float


def covered_s(start_s: float, end_s: float, gaps: Sequence[tuple[float, float]]) -> float:
    """The seconds from start to end that no gap overlaps. Gaps do not overlap each other."""
    lost = sum(max(0.0, min(end_s, to) - max(start_s, since)) for since, to in gaps)
    return max(0.0, end_s - start_s - lost)


class _Gaps(list[tuple[float, float]]):
    """Times without readings, from when to when, as they were found. They do not overlap each other."""

    _ordered: tuple[list[float], list[float]] | None = None
    _known = -1

    def near(self, start_s: float, end_s: float) -> Sequence[tuple[float, float]]:
        """Those that reach into the time from start to end, or touch it; all of them where they are in no order."""
        if not self:
            return self
        if self._known != len(self):
            bounds = [bound for gap in self for bound in gap]
            in_order = all(a <= b for a, b in pairwise(bounds))
            self._ordered = ([gap[0] for gap in self], [gap[1] for gap in self]) if in_order else None
            self._known = len(self)
        if self._ordered is None:
            return self
        starts, ends = self._ordered
        return self[bisect_left(ends, start_s) : bisect_right(starts, end_s)]


# So many readings are looked at together.
READ_AT_ONCE = 1 << 13

# What is known around so many ticks is kept; windows come in the order of time, and so do their edges.
MOST_KEPT = 1 << 15

K = TypeVar("K")
V = TypeVar("V")


class _Kept(dict[K, V]):
    """What was worked out, up to a number that is no burden."""

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= MOST_KEPT:
            self.clear()
        super().__setitem__(key, value)


class _Ticks:
    """As many ticks as there may be, in columns; each is made when it is asked for. What a list of them can, where it is needed."""

    # So many are looked at together for those that were missed.
    BLOCK = 100_000

    def __init__(self) -> None:
        self._earliest, self._latest, self._energies = Column(), Column(), Column()

    def __len__(self) -> int:
        return len(self._energies)

    def _tick(self, place: int) -> Tick:
        return Tick(
            earliest_s=self._earliest[place], latest_s=self._latest[place], energy_j=self._energies[place]
        )

    @overload
    def __getitem__(self, place: int) -> Tick: ...
    @overload
    def __getitem__(self, place: slice) -> list[Tick]: ...
    def __getitem__(self, place: int | slice) -> Tick | list[Tick]:
        if isinstance(place, slice):
            return [
                Tick(earliest_s=earliest, latest_s=latest, energy_j=energy)
                for earliest, latest, energy in zip(
                    self._earliest[place], self._latest[place], self._energies[place], strict=True
                )
            ]
        return self._tick(place)

    def __iter__(self) -> Iterator[Tick]:
        for first in range(0, len(self), self.BLOCK):
            yield from self[first : first + self.BLOCK]

    def times_s(self) -> Iterator[float]:
        """The middle of each tick's bracket."""
        return (
            (earliest + latest) / 2 for earliest, latest in zip(self._earliest, self._latest, strict=True)
        )

    def __delitem__(self, places: slice) -> None:
        for column in (self._earliest, self._latest, self._energies):
            column.cut(places.start)

    def append(self, tick: Tick) -> None:
        self._earliest.append(tick.earliest_s)
        self._latest.append(tick.latest_s)
        self._energies.append(tick.energy_j)

    def sharpen(self, period_s: float | None, first_reckoning: bool) -> None:
        for first in range(0, len(self), self.BLOCK):
            places = slice(first, first + self.BLOCK)
            earliest, latest = self._earliest[places], self._latest[places]
            if _all_close(sorted(map(operator.sub, latest, earliest))):
                continue
            block = self[places]
            for place, (old, new) in enumerate(
                zip(block, _sharpened(block, period_s, first_reckoning), strict=True), start=first
            ):
                if new is not old:
                    self._earliest[place], self._latest[place] = new.earliest_s, new.latest_s


@dataclass(frozen=True, kw_only=True, slots=True)
class _Dip:
    """What was known of a counter before its value fell: where to go on should it come back."""

    since_s: float
    previous: float
    before_s: float
    moved_s: float
    energy_j: float
    power_w: float
    ticks: int
    gaps: int


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
        self._first_reckoning = first_reckoning
        self._limit_w = limit_w
        self.resets: list[float] = []
        self.told = False  # whether any step of it could be, so that there is a power to go on with
        self.stuck: list[tuple[float, float]] = []
        self.late: list[tuple[float, float]] = []  # where it stood still and then caught up
        self.period_s = period_s if period_s is not None else learned_period_s(samples)
        if self.period_s is None and not first_reckoning:
            self.period_s = bounded_period_s(samples)
        self.first_s = samples.start_s[0] if len(samples) else math.inf
        self.last_s = samples.end_s[-1] if len(samples) else -math.inf
        self.gaps = _Gaps()
        self.ticks: list[Tick] | _Ticks = [] if len(samples) < columns.SPILLS_FROM else _Ticks()
        self._follow(samples, wraps_at_j, limit_w)
        if not sharpened:
            pass
        elif isinstance(self.ticks, list):
            self.ticks = _sharpened(self.ticks, self.period_s, first_reckoning)
        else:
            self.ticks.sharpen(self.period_s, first_reckoning)
        times = Column()
        if isinstance(self.ticks, list):
            times.extend(tick.time_s for tick in self.ticks)
        else:
            times.extend(self.ticks.times_s())
        self._times = times.values()
        # Where ticks come seldom anyway, a hole is what is longer than that.
        spacing_s = (
            (self._times[-1] - self._times[0]) / (len(self._times) - 1) if len(self._times) > 1 else 0.0
        )
        self._unread_s = max(UNREAD_S, 3 * spacing_s)
        if died_at_s is not None and died_at_s - self.last_s <= 2 * max(
            self.period_s or 0.0, ASSUMED_PERIOD_S
        ):
            self.last_s = max(self.last_s, died_at_s)
        # Many windows share their ticks: what is known around a tick is worked out once.
        self._powers: _Kept[tuple[int, int], _Power | None] = _Kept()
        self._unrests: _Kept[int, float] = _Kept()
        self._hidden: _Kept[int, float | None] = _Kept()
        self._highest_w: float | None = None

    def _follow(self, samples: Samples, wraps_at_j: float | None, limit_w: float) -> None:
        """Finds the ticks; unwraps, bridges resets, and notes where the counter stood still."""
        energy = 0.0
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        # What a counter shows may be one refresh old. A tick that is late (203 ms on an A100, 917 ms on a
        # GeForce, in the logs of the SC24 paper) brings more, but after more time.
        self._stale_for_s = self._stale_s(samples)
        slack = limit_w * self._stale_for_s + 1.0
        # A tick that comes after a hole in the readings came no longer than this before it was seen: they come all the time.
        fresh_s = self.period_s if self.period_s is not None else LATEST_TICK * _usual_spacing_s(samples)
        previous: float | None = None
        before_s = moved_s = 0.0
        took_s = 0.0  # by the reading that the last tick was seen in
        dip: _Dip | None = None
        for start, end, value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
            if dip is not None and previous is not None:
                explained = DIP_JUMPS * dip.power_w * (end - dip.moved_s) + 1.0
                if start - dip.since_s > DIP_S:
                    dip = None
                elif (
                    dip.previous <= value <= dip.previous + limit_w * (end - dip.before_s) + slack
                    and value - previous > explained
                ):
                    # It is back where it was: what it showed meanwhile was no energy of anybody.
                    previous, before_s, moved_s, energy = (
                        dip.previous,
                        dip.before_s,
                        dip.moved_s,
                        dip.energy_j,
                    )
                    del self.ticks[dip.ticks :], self.gaps[dip.gaps :]
                    dip = None
            if previous is None:
                # The first value may be as old as one period.
                self.ticks.append(Tick(earliest_s=start - period, latest_s=end, energy_j=0.0))
                previous, before_s, moved_s = value, start, end
                continue
            step, elapsed = value - previous, end - min(before_s, self.ticks[-1].earliest_s)
            if step < 0 and wraps_at_j is not None and step + wraps_at_j <= limit_w * elapsed + slack:
                step += wraps_at_j
            if step < 0 or step > limit_w * elapsed + slack:
                # Driver reload, GPU reset, or a value that cannot be: what was drawn since the last reading is not in the
                # counter. If that was short, the power went on as before; if long, it is a gap.
                self.resets.append(start)
                if step < 0 and dip is None:
                    dip = _Dip(
                        since_s=start,
                        previous=previous,
                        before_s=before_s,
                        moved_s=moved_s,
                        energy_j=energy,
                        power_w=self._latest_w(),
                        ticks=len(self.ticks),
                        gaps=len(self.gaps),
                    )
                if not self.told:
                    # Nobody knows any power yet: what was drawn until now is not nothing, it is unknown.
                    since_s = self.ticks[-1].earliest_s
                    if self.gaps and self.gaps[-1][1] >= since_s:
                        since_s = self.gaps.pop()[0]
                    self.gaps.append((since_s, start))
                elif start - before_s > GAP_S:
                    self.gaps.append((before_s, start))
                else:
                    energy += self._latest_w() * (end - self.ticks[-1].time_s)
                self.ticks.append(Tick(earliest_s=start, latest_s=end, energy_j=energy))
                moved_s = end
            elif step > 0:
                self._note_stillness(moved_s, before_s, step)
                self.told = True
                energy += step
                since = min(max(before_s, start - fresh_s), end)
                self.ticks.append(Tick(earliest_s=since, latest_s=end, energy_j=energy))
                moved_s, took_s = end, end - start
            elif took_s > period:
                # A call that hung, and this one does not: it tells when in that time the value was read.
                tick, since = self.ticks[-1], start - max(fresh_s, LATEST_TICK * (self.period_s or 0.0))
                if tick.earliest_s < since < tick.latest_s:
                    del self.ticks[len(self.ticks) - 1 :]
                    self.ticks.append(replace(tick, earliest_s=since))
                took_s = 0.0
            previous, before_s = value, start
        if previous is not None:
            self._note_stillness(moved_s, before_s, 0.0)

    def _stale_s(self, samples: Samples) -> float:
        """How old what the counter shows may be: its period or, where that is not known, the usual time between its ticks.

        One that ticked less than twice in all the time that it was read may be as old as that.
        """
        if self.period_s is not None:
            return max(self.period_s, 0.0)
        spacings_s: list[float] = []
        changed_s: float | None = None
        previous: float | None = None
        for start, value in zip(samples.start_s, samples.values, strict=True):
            if previous is not None and value != previous:
                if changed_s is not None:
                    spacings_s.append(start - changed_s)
                changed_s = start
            previous = value
            if len(spacings_s) >= TICKS_TOLD:
                break
        usual_s = median(spacings_s) if spacings_s else self.last_s - self.first_s
        return max(usual_s, ASSUMED_PERIOD_S)

    def _note_stillness(self, since_s: float, until_s: float, step_j: float) -> None:
        still_s = until_s - since_s
        if still_s <= max(STUCK_S, STUCK_TICKS * (self.period_s or ASSUMED_PERIOD_S)):
            return
        if step_j < 0.5 * self._latest_w() * still_s or step_j == 0:
            # It did not catch up: what was drawn meanwhile was never counted.
            self.stuck.append((since_s, until_s))
            self.gaps.append((since_s, until_s))
        elif still_s > max(UNREAD_S, STUCK_TICKS * self._stale_for_s):
            self.late.append((since_s, until_s))

    def _latest_w(self) -> float:
        if len(self.ticks) < 2:
            return 0.0
        return _slope(self.ticks[max(0, len(self.ticks) - 4)], self.ticks[-1])

    def has_gap(self, start_s: float, end_s: float) -> bool:
        """Whether a time that it tells nothing about reaches into that one."""
        return covered_s(start_s, end_s, self.gaps.near(start_s, end_s)) < end_s - start_s

    @property
    def ticks_within_s(self) -> float | None:
        """It ticks at least this often: its period, or where the readings do not tell it the mean spacing of the ticks that they saw."""
        if self.period_s is not None or self._first_reckoning or len(self._times) < FEWEST_CLOSE:
            return self.period_s
        return (self._times[-1] - self._times[0]) / (len(self._times) - 1) or None

    def resolution_s(self, start_s: float, end_s: float) -> float:
        """What the counter, as it was read around a window, tells apart: its period, or the spacing of the ticks seen then."""
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        first = bisect_left(self._times, start_s - NEARBY_S)
        last = bisect_right(self._times, end_s + NEARBY_S) - 1
        if last <= first:
            return period
        return max(period, (self._times[last] - self._times[first]) / (last - first))

    def between(
        self, start_s: float, end_s: float, hint_w: float | None = None, register: Register | None = None
    ) -> Span | None:
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
        return Span(energy=Estimate(value=value, random=random_j, systematic=systematic_j), covered_s=covered)

    def _at(self, edge: float, hint_w: float | None, register: Register | None) -> tuple[float, float] | None:
        """The energy at an edge and its random doubt (1 σ), both in joules; None without any power to go by."""
        found = self._reckoned(edge, hint_w, register)
        right = bisect_right(self._times, edge)
        if found is None or self._first_reckoning or not 0 < right < len(self.ticks):
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
        ticks = self.ticks
        right = bisect_right(self._times, edge)  # ticks[right - 1] is the last before the edge
        left = right - 1
        before = self._power_beside(left, -1)
        after = self._power_beside(right, +1)
        both_known = before is not None and after is not None
        if before is None and after is None:
            if hint_w is None:
                return self._straight(left, right, edge)
            before = after = _Power(hint_w)
        unrest = self._unrest_w(right)
        moves = self._hidden_w(right, register) if register is not None else None
        if moves is None:
            moves = MOVES * ((before or after or _NO_POWER).watts + (after or before or _NO_POWER).watts) / 2
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        if left < 0 or right >= len(ticks):
            tick, power = (ticks[left], before or after) if left >= 0 else (ticks[right], after or before)
            assert power is not None
            reach = edge - tick.time_s
            doubt = math.hypot(
                power.doubt_j(tick, abs(reach)),
                unrest * math.sqrt(abs(reach) * (abs(reach) + period)),
                0.0 if self._first_reckoning else self._steps_w(right) * abs(reach),
                moves * period / SQRT12,
            )
            return tick.energy_j + power.watts * reach, doubt
        a, b = ticks[left], ticks[right]
        since, until = edge - a.time_s, b.time_s - edge
        known = before if before is not None else after
        assert known is not None
        shown_j = 0.0
        seen = both_known
        if not both_known and not self._first_reckoning and (left == 0 or right == len(ticks) - 1):
            # There is no other tick beyond.
            found = self._beyond(a, b, known, register, moves, first=left == 0)
            if found is not None:
                other, share = found
                unlike_j = abs(b.energy_j - a.energy_j - known.watts * (since + until))
                beyond_s = until if before is not None else since
                shown_j = share * min(abs(other.watts - known.watts) * beyond_s, unlike_j)
                before, after = (before or other), (after or other)
                both_known = True
        one_sided = not both_known and not self._first_reckoning
        of_before, of_after = before or known, after or known
        from_left, from_right = a.energy_j + of_before.watts * since, b.energy_j - of_after.watts * until
        left_doubt, right_doubt = of_before.doubt_j(a, since), of_after.doubt_j(b, until)
        # What is hidden within a tick leaves nothing open at its ends, and most in its middle.
        hidden_s = since * until / (since + until) if since + until > 0 else 0.0
        bridge = math.hypot(unrest * math.sqrt(max(since * until, 0.0)), moves * hidden_s)
        # Over seconds that nobody read, unrest is no reason to take the two for one: the power may have stepped.
        unread = since + until > self._unread_s
        mean_w = (of_before.watts + of_after.watts) / 2
        spread = (SAME_POWER * mean_w if unread else unrest) * (since + until)
        agree = abs(from_left - from_right) <= 2 * math.hypot(left_doubt, right_doubt, spread)
        if agree and (both_known or since + until <= UNREAD_S):
            # Both tell the same within their doubt: weigh them by it.
            of_left = left_doubt**2 + (unrest * since) ** 2 + 1e-18
            of_right = right_doubt**2 + (unrest * until) ** 2 + 1e-18
            weight = of_right / (of_left + of_right)
            energy = weight * from_left + (1 - weight) * from_right
            stepped_j = 0.0
            if not self._first_reckoning:
                # Where one of the two is not known well, a step such as there are beside this tick would not have shown.
                reach = weight * since + (1 - weight) * until
                stepped_j = min(max(left_doubt, right_doubt), self._steps_w(right) * reach / math.sqrt(3))
            return energy, math.hypot(weight * left_doubt, (1 - weight) * right_doubt, bridge, stepped_j)
        once = both_known and _meet(from_left, from_right, of_before.watts, of_after.watts, since, until)
        # Where the power changed once, the larger of the two if it rose, else the smaller.
        energy, doubt = (
            max((from_left, left_doubt), (from_right, right_doubt))
            if of_after.watts > of_before.watts
            else min((from_left, left_doubt), (from_right, right_doubt))
        )
        if one_sided:
            # It stepped, and only the power on one side is known. A program's first and last moment are where power most often steps.
            energy, doubt = (from_left, left_doubt) if before is not None else (from_right, right_doubt)
        if unread or (since + until > UNREAD_S and not both_known):
            guess_j = energy - a.energy_j if once else None
            since_a_j, doubt = self._anywhere(a, b, since, until, guess_j)
            return a.energy_j + since_a_j, doubt
        if since + until > TWICE_S and both_known and not once:
            # The power changed more than once, nobody knows when: the energy is anywhere between the two.
            low, high = (min(max(one, a.energy_j), b.energy_j) for one in sorted((from_left, from_right)))
            return (low + high) / 2, math.hypot(left_doubt, right_doubt, bridge, (high - low) / SQRT12)
        burst_j = 0.0
        if seen and not self._first_reckoning:
            # When the ticks were is known no better than their brackets, and so is where the lines meet.
            open_j = 2 * math.hypot(left_doubt, right_doubt)
            once = _meet(from_left, from_right, of_before.watts, of_after.watts, since, until, open_j)
            lines = (from_left, left_doubt), (from_right, right_doubt)
            energy, doubt = self._beside_bursts(right, lines, (energy, doubt), once=once)
            burst_j = UNSEEN_BURST * abs(from_left - from_right)
        inside = min(max(energy, a.energy_j), b.energy_j)
        straight = self._straight_doubt(a, b, edge, inside)
        return inside, math.hypot(
            doubt,
            bridge,
            shown_j,
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
        beside = (right - 1, -1), (right, +1)
        before, after = (self._is_steady(*side) for side in beside)
        if before != after:
            return lines[0] if before else lines[1]
        restless = before and not all(self._is_steady(*side, restless=False) for side in beside)
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
        near_w, far_w = (_slope(*sorted(two, key=_time_s)) for two in ((a, b), (b, c)))
        most_w = max(near_w, far_w)
        blurred_w = most_w * math.hypot(a.width_s, 2 * b.width_s, c.width_s) / width_s / SQRT12
        unrest_w = math.sqrt(2) * self._unrest_at(index, HIDDEN_TICKS) if restless else 0.0
        return abs(near_w - far_w) <= 2 * math.hypot(blurred_w, unrest_w) + SAME_POWER * most_w

    def _beyond(
        self, a: Tick, b: Tick, known: _Power, register: Register | None, moves_w: float, *, first: bool
    ) -> tuple[_Power, float] | None:
        """The power beyond a counter's first or last tick, where a single step to it explains what was counted from ``a`` to ``b``,
        and the share of what it explains that is left open.

        A register that shows momentary power may have shown it; its last value may also be from before the step, or from a moment of it.
        Else, where the power was higher beyond, it is taken to be the highest that was ever seen: had it been less, the step would have
        been further away from what is known, and the truth beyond what this makes of it. Where it was lower nobody knows how low:
        the program was not there yet, or not any more.
        """
        if b.time_s <= a.time_s:
            return None
        mean_w = _slope(a, b)
        slack_w = mean_w * (a.width_s + b.width_s) / (b.time_s - a.time_s) / 2

        def explains(watts: float, least_w: float) -> bool:
            low, high = sorted((watts, known.watts))
            return high - low >= least_w and low - slack_w <= mean_w <= high + slack_w

        shown_w = register.end_w(a.time_s if first else b.time_s) if register is not None else None
        momentary = shown_w is not None and moves_w <= MOMENTARY * max(shown_w, known.watts)
        least_w = MOVES * known.watts
        if momentary and shown_w is not None and explains(shown_w, max(3 * moves_w, least_w)):
            return _Power(shown_w), SHOWN
        most_w = self._most_w()
        return (
            (_Power(most_w), GUESSED)
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
        right = bisect_right(self._times, start_s)
        left = right - 1
        if left < 0 or right >= len(self.ticks) or self._times[right] <= end_s:
            return None
        if not self._first_reckoning:
            left, right = self._surely_around(left, right, start_s, end_s)
        a, b = self.ticks[left], self.ticks[right]
        width_s = b.time_s - a.time_s
        if width_s <= self._unread_s:
            return None
        mean_w, open_s = _slope(a, b), math.hypot(a.width_s, b.width_s) / SQRT12 + SAME_POWER * width_s
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
            slopes = (
                _slope(a, b)
                for reach in (1, MOST_REACH)
                for a, b in zip(self.ticks, islice(self.ticks, reach, None), strict=False)
                if b.time_s - a.time_s > 4 * max(a.width_s, b.width_s)
            )
            self._highest_w = max(slopes, default=math.inf)
        return self._highest_w

    def _power_beside(self, index: int, direction: int) -> _Power | None:
        key = index, direction
        if key not in self._powers:
            self._powers[key] = _slope_near(self.ticks, index, direction, self._first_reckoning)
        return self._powers[key]

    def _straight(self, left: int, right: int, edge: float) -> tuple[float, float] | None:
        """Between two ticks with nothing else known, the power was constant; outside of them it goes on as it was."""
        if left < 0 or right >= len(self.ticks):
            near = self.ticks[left if left >= 0 else right]
            far = self.ticks[max(left - 4, 0) if left >= 0 else min(right + 4, len(self.ticks) - 1)]
            if near is far:
                return None
            power = _slope(far, near) if left >= 0 else _slope(near, far)
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
            step, _slope(self.ticks[0], self.ticks[-1]) * open_s
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
            far = [
                abs(momentary - _slope(a, b))
                for a, b in pairwise(self.ticks[max(0, index - HIDDEN_TICKS) : index + HIDDEN_TICKS])
                if b.time_s - a.time_s > 2 * max(a.width_s, b.width_s)
                and (momentary := register.between_readings_w(a.time_s, b.time_s)) is not None
            ]
            # The middle one: a step, such as the edge's own, is in few ticks.
            self._hidden[index] = sorted(far)[len(far) // 2] / MEDIAN_OF_NORMAL if len(far) >= 6 else None
        return self._hidden[index]

    def _unrest_w(self, index: int) -> float:
        """How much the power moves from tick to tick around an edge, 1 σ in watts."""
        if index not in self._unrests:
            self._unrests[index] = self._unrest_at(index)
        return self._unrests[index]

    def _steps_w(self, index: int) -> float:
        """How much the power moves from tick to tick near a time, steps among them, 1 σ beyond what brackets make of it.

        Where ticks were seen so badly that a single one tells no power, it is taken over several.
        """
        ticks = self.ticks[max(0, index - HIDDEN_TICKS) : index + HIDDEN_TICKS]
        for stride in (1, STRIDE):
            moved, blurred, count = 0.0, 0.0, 0
            for a, b, c in zip(
                ticks[::stride], ticks[stride::stride], ticks[2 * stride :: stride], strict=False
            ):
                width_s = min(b.time_s - a.time_s, c.time_s - b.time_s)
                if width_s > 2 * max(a.width_s, b.width_s, c.width_s):
                    moved += (_slope(b, c) - _slope(a, b)) ** 2
                    blurs = a.width_s**2 + 4 * b.width_s**2 + c.width_s**2
                    blurred += _slope(a, c) ** 2 * blurs / 12 / width_s**2
                    count += 1
            if count > 1:
                return math.sqrt(max(moved - blurred, 0.0) / count)
        return 0.0

    def _unrest_at(self, index: int, ticks_around: int = 5) -> float:
        ticks = self.ticks[max(0, index - ticks_around) : index + ticks_around]
        slopes = [_slope(a, b) for a, b in pairwise(ticks) if b.time_s > a.time_s]
        if len(slopes) < 3:
            return 0.0
        # The median keeps one step (which the two lines already follow) from counting as unrest.
        return median(abs(b - a) for a, b in pairwise(slopes)) / (MEDIAN_OF_NORMAL * math.sqrt(2))


# A bracket so many times wider than the usual one was missed, and is found from its neighbours.
MISSED = 2.0

# So many closely seen ticks tell what a counter's rhythm is worth.
FEWEST_CLOSE = 6

# A counter is read at each of its ticks, or it ticks so many times faster than what is seen of it.
FAST = 1.5

# After more missed ticks in a row than this, nobody knows any more where the rhythm is.
MOST_MISSED = 10


def _all_close(widths_s: Sequence[float]) -> bool:
    """Whether no bracket of some ticks was missed; the narrowest comes first."""
    return not widths_s or widths_s[-1] <= MISSED * widths_s[len(widths_s) // 6]


def _sharpened(ticks: list[Tick], period_s: float | None = None, first_reckoning: bool = False) -> list[Tick]:
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
    if first_reckoning:
        return sharp
    # Before the first and after the last of them the rhythm goes on; there is nothing on the other side that would hold it.
    for index in range(close[0]):
        sharp[index] = _continued(ticks[index], ticks[close[0]], -period, half, index == close[0] - 1)
    for index in range(close[-1] + 1, len(ticks)):
        sharp[index] = _continued(ticks[index], ticks[close[-1]], period, half, False)
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


def _meet(
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


def _time_s(tick: Tick) -> float:
    return tick.time_s


def _slope(a: Tick, b: Tick) -> float:
    width = b.time_s - a.time_s
    return (b.energy_j - a.energy_j) / width if width > 0 else 0.0


def _slope_near(
    ticks: list[Tick] | _Ticks, index: int, direction: int, first_reckoning: bool
) -> _Power | None:
    """The power on one side of an edge: over the tick next to it, and over more while those agree.

    More ticks make the slope surer (each is off by its brackets), fewer keep it local; so ticks are added only while they
    change it by less than the brackets would, and are taken only where they make it surer.
    """
    other = index + direction
    if not (0 <= index < len(ticks) and 0 <= other < len(ticks)):
        return None
    near = ticks[index]
    power: _Power | None = None
    open_s = math.inf
    for reach in range(1, 6):
        far_index = index + direction * reach
        if not 0 <= far_index < len(ticks):
            break
        far = ticks[far_index]
        width = abs(far.time_s - near.time_s)
        if width <= 0 or max(near.width_s, far.width_s) > width / 4:
            continue  # brackets that wide say nothing about power
        wider = (far.energy_j - near.energy_j) / (far.time_s - near.time_s)
        wider_open = (near.width_s + far.width_s) / width
        if power is not None:
            bound = power.watts * wider_open + SAME_POWER * power.watts
            if abs(wider - power.watts) > bound:
                break
        if first_reckoning:
            power = _Power(wider)
        elif wider_open < open_s:
            power, open_s = _Power(wider, width_s=width, far_s=far.width_s), wider_open
    return power


def learned_period_s(samples: Samples) -> float | None:
    """How often a counter ticks, from the readings themselves: the longest row of ticks that were seen closely, end to end.

    A row is at least six ticks, each known to better than 0.6 of their spacing. None if there is no such row.
    """
    best: tuple[int, float] | None = None
    first = last = (0.0, 0.0)  # of the row
    length = 0

    def close_row() -> None:
        nonlocal best
        count = length - 1
        if count >= 5 and (best is None or count > best[0]):
            best = count, (sum(last) - sum(first)) / 2 / count

    start_s, value = math.nan, math.nan
    for next_start_s, end_s, next_value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        tick, same = (start_s, end_s), value == next_value or start_s != start_s
        start_s, value = next_start_s, next_value
        if same:
            continue
        if length:
            spacing = ((tick[0] + tick[1]) - (last[0] + last[1])) / 2
            typical = (
                ((last[0] + last[1]) - (first[0] + first[1])) / 2 / (length - 1) if length > 1 else spacing
            )
            if tick[1] - tick[0] < 0.6 * spacing and abs(spacing - typical) < 0.5 * typical:
                last, length = tick, length + 1
                continue
            close_row()
        first, last, length = tick, tick, 1
    close_row()
    return best[1] if best is not None else None


def _usual_spacing_s(samples: Samples) -> float:
    """How far two ticks lie apart at most, as a rule, where too few were seen closely to learn a period; infinite without any.

    Of two values that follow each other, from the last reading before the first to the first reading of the second.
    """
    spacings: list[float] = []
    start_s, value, last_s = math.nan, math.nan, math.nan
    for next_start_s, end_s, next_value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        if value != next_value and not math.isnan(start_s):
            if not math.isnan(last_s):
                spacings.append(end_s - last_s)
            last_s = start_s
        start_s, value = next_start_s, next_value
        if len(spacings) >= ENOUGH_SPACINGS:
            break
    return median(spacings) if spacings else math.inf


# A period is told by its bounds where they lie within this factor of each other: readings that come late leave no more.
CLOSE_BOUNDS = 2.0

# A tick that came early and one that came late are so much of a period nearer or further (95 to 104 ms for 100; SC24 data).
UNEVEN = 0.1


def bounded_period_s(samples: Samples) -> float | None:
    """How often a counter ticks, where its readings came too late to see its ticks closely: what none of them contradicts.

    Between two readings of one value no tick came, and the period is longer; two ticks that were seen one after the other are a period apart
    or several. Ticks between those bounds are counted, and the time is divided by their number; where nobody can tell how many there were,
    the longest period possible. None if even the bounds are far apart.
    """
    ticks: list[tuple[float, float]] = []
    least_s, most_s = 0.0, math.inf
    held_since_s = before_s = (
        math.nan
    )  # the end of the first, and the start of the last reading of this value
    previous = math.nan
    for start_s, end_s, value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        if value == previous:
            least_s = max(least_s, start_s - held_since_s)
        else:
            if previous == previous:
                if ticks:
                    most_s = min(most_s, end_s - ticks[-1][0])
                ticks.append((before_s, end_s))
            previous, held_since_s = value, end_s
        before_s = start_s
    least_s, most_s = least_s / (1 + UNEVEN), most_s * (1 + UNEVEN)
    if len(ticks) < FEWEST_CLOSE or not 0 < least_s <= most_s <= CLOSE_BOUNDS * least_s:
        return None
    middle_s = math.sqrt(least_s * most_s)
    # The spacings of ticks that were seen well enough to tell how many periods they are.
    close = [(since + until) / 2 for since, until in ticks if until - since < middle_s / 2]
    spacings = [(b - a, round((b - a) / middle_s)) for a, b in pairwise(close)]
    known = [(spacing_s, count) for spacing_s, count in spacings if 1 <= count <= 2]
    if len(known) >= FEWEST_CLOSE:
        found_s = sum(spacing_s for spacing_s, _ in known) / sum(count for _, count in known)
        if least_s <= found_s <= most_s:
            return found_s
    return most_s


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
    ) -> None:
        self.accuracy = accuracy
        self.accuracy_w = accuracy_w
        self.period_s = period_s or 0.0
        self.lag_s = lag_s
        self.unseen = unseen
        self.rejected = 0
        times, watts = Column(), Column()
        last_s = math.nan
        self.gaps = _Gaps()
        for first in range(0, len(samples), READ_AT_ONCE):
            block = slice(first, first + READ_AT_ONCE)
            some_s: list[float] = []
            some_w: list[float] = []
            for start, end, value in zip(
                samples.start_s[block], samples.end_s[block], samples.values[block], strict=True
            ):
                if not 0 <= value <= limit_w:
                    self.rejected += 1
                    continue
                start, end = start - lag_s, end - lag_s
                if start < last_s:
                    start = last_s
                if end - start < SPANS_FROM_S:
                    start = end = max(start, (start + end) / 2)
                if start - last_s > GAP_S:
                    self.gaps.append((last_s, start))
                some_s.append(start)
                some_w.append(value)
                last_s = start
                if end > start:
                    some_s.append(end)
                    some_w.append(value)
                    last_s = end
            times.extend(some_s)
            watts.extend(some_w)
        self.times, self.watts = times.values(), watts.values()
        self._gap_starts = {a for a, _ in self.gaps}
        # Between readings further apart the power may have been anything that it ever was: a uniform law.
        unread_from, unread_to = Column(), Column()
        for a, b in pairwise(self.times):
            if UNREAD_S < b - a <= GAP_S:
                unread_from.append(a)
                unread_to.append(b)
        self._unread_from, self._unread_to = unread_from.values(), unread_to.values()
        self._unread_w = (max(self.watts) - min(self.watts)) / SQRT12 if self._unread_to else 0.0
        sums, squares = Column(), Column()
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

    @property
    def first_s(self) -> float:
        return self.times[0] if self.times else math.inf

    @property
    def last_s(self) -> float:
        return self.times[-1] if self.times else -math.inf

    def between(self, start_s: float, end_s: float) -> Span | None:
        """The energy from ``start_s`` to ``end_s``; None if there is no reading near that time."""
        seen = self._seen(start_s, end_s)
        if seen is None:
            return None
        seen_from, seen_to, covered, value = seen
        random_j, lasting_j = self._doubts_j(seen_from, seen_to)
        return Span(
            energy=Estimate(
                value=value,
                random=random_j,
                systematic=math.hypot(self.accuracy * value, self.accuracy_w * covered, lasting_j),
            ),
            covered_s=covered,
        )

    def has_gap(self, start_s: float, end_s: float) -> bool:
        """Whether a time without readings reaches into that one."""
        return covered_s(start_s, end_s, self.gaps.near(start_s, end_s)) < end_s - start_s

    def energy_j(self, start_s: float, end_s: float) -> float:
        """The same without its doubt, quickly; both ends must lie among the readings."""
        return self._area(end_s) - self._area(start_s)

    def readings(self, start_s: float, end_s: float) -> int:
        """How many readings fell into that time."""
        return bisect_right(self.times, end_s) - bisect_left(self.times, start_s)

    def lasting_j(self, span: Span) -> float:
        """What of the systematic doubt of an energy is not the sensor's own: what a register shows late, or never sees (1 σ)."""
        own_j = math.hypot(self.accuracy * span.energy.value, self.accuracy_w * span.covered_s)
        return math.sqrt(max(span.energy.systematic**2 - own_j**2, 0.0))

    def end_w(self, time_s: float) -> float | None:
        """What it showed first or last, where that was near a time; else None."""
        if not self.watts:
            return None
        end = 0 if abs(self.first_s - time_s) < abs(self.last_s - time_s) else -1
        return self.watts[end] if abs(self.times[end] - time_s) < NEARBY_S else None

    def between_readings_w(self, start_s: float, end_s: float) -> float | None:
        """One momentary reading from that time: the one nearest to its middle; None if there is none."""
        low, high = bisect_left(self.times, start_s), bisect_right(self.times, end_s)
        if low >= high:
            return None
        middle = bisect_left(self.times, (start_s + end_s) / 2, low, high)
        return self.watts[min(middle, high - 1)]

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
