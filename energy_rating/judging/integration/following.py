"""From the samples of a counter to its ticks: unwrapped, with resets bridged, and with the times noted in which it stood still.

What energy lies between two times is left to ``counter``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from energy_rating.files import columns
from energy_rating.judging.integration import many
from energy_rating.judging.integration.gaps import Gaps
from energy_rating.judging.integration.periods import ASSUMED_PERIOD_S, usual_spacing_s
from energy_rating.judging.integration.register import GAP_S, UNREAD_S
from energy_rating.judging.integration.ticks import Tick, Ticks, slope
from energy_rating.nouns.records import Samples

# A counter that has not ticked for so many periods (and so many seconds) while being read is stuck, not idle: no GPU or CPU
# package draws nothing. AMD cards do this for real (ROCm/amdsmi#38, ROCm/rocm_smi_lib#180).
STUCK_TICKS = 5
STUCK_S = 0.5

# So many ticks tell how often a counter ticks that keeps no rhythm.
TICKS_TOLD = 64

# A counter ticks again at the latest after so many of its periods (203 ms for 100 on an A100, as above).
LATEST_TICK = 2.0

# A value that fell is a bad reading where it returns within so long to where it was, by more than the power explains so many times
# over. (A counter that began again grows back as the power lets it.)
DIP_S, DIP_JUMPS = 10.0, 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Dip:
    """What was known of a counter before its value fell: where to go on should it come back."""

    since_s: float
    previous: float
    before_s: float
    moved_s: float
    energy_j: float
    power_w: float
    ticks: int
    gaps: int

    def is_over(self, value: float, shown: float, end_s: float, most_j: float) -> bool:
        """Whether a value is a sound one after the last before the fall, and none that could follow what was ``shown`` meanwhile."""
        explained_j = DIP_JUMPS * self.power_w * (end_s - self.moved_s) + 1.0
        return self.previous <= value <= self.previous + most_j and value - shown > explained_j


@dataclass(kw_only=True, slots=True)
class CounterState:
    """How a counter stands while its samples are gone through, and by what it is judged."""

    wraps_at_j: float | None
    limit_w: float
    period_s: float
    fresh_s: float
    slack_j: float
    previous: float | None = None
    before_s: float = 0.0  # when the reading before began
    moved_s: float = 0.0  # when it was last seen to tick
    took_s: float = 0.0  # by the reading that the last tick was seen in
    energy: float = 0.0
    dip: Dip | None = None

    @property
    def is_usual(self) -> bool:
        """Whether nothing is under way that the next samples decide."""
        return self.previous is not None and self.dip is None and self.took_s <= self.period_s


class Followed:
    """The ticks of a counter, and what else its samples tell of it.

    Attributes:
        ticks: what it grew by, and when.
        gaps: times of which it tells nothing.
        resets: when it began again, or was read wrongly.
        told: whether any step of it could be, so that there is a power to go on with.
        stuck: when it stood still though energy was drawn.
        late: when it stood still and then caught up.
    """

    def __init__(
        self, samples: Samples, *, period_s: float | None, wraps_at_j: float | None, limit_w: float
    ) -> None:
        self.period_s = period_s
        self.ticks: list[Tick] | Ticks = [] if len(samples) < min(columns.SPILLS_FROM, many.MANY) else Ticks()
        self.gaps = Gaps()
        self.resets: list[float] = []
        self.told = False
        self.stuck: list[tuple[float, float]] = []
        self.late: list[tuple[float, float]] = []
        period = self.period_s if self.period_s is not None else ASSUMED_PERIOD_S
        # What a counter shows may be one refresh old. A tick that is late (203 ms on an A100, 917 ms on a
        # GeForce, in the logs of the SC24 paper) brings more, but after more time.
        self._stale_for_s = self._stale_s(samples)
        slack = limit_w * self._stale_for_s + 1.0
        # A tick that comes after a hole in the readings came no longer than this before it was seen: they come all the time.
        fresh_s = self.period_s if self.period_s is not None else LATEST_TICK * usual_spacing_s(samples)
        follow = CounterState(
            wraps_at_j=wraps_at_j, limit_w=limit_w, period_s=period, fresh_s=fresh_s, slack_j=slack
        )
        place, count, size = 0, len(samples), many.LEAST_BLOCK
        singly = 0  # so many are taken one by one before many are tried again
        while place < count:
            size = min(size, count - place)
            if not singly and isinstance(self.ticks, Ticks) and follow.is_usual and size >= many.FEWEST:
                taken = self._follow_many(samples, place, place + size, follow)
                place += taken
                size, singly = (
                    (min(2 * size, many.BLOCK), 0)
                    if taken == size
                    else (many.LEAST_BLOCK, 1 if taken > many.LEAST_BLOCK // 8 else many.LEAST_BLOCK)
                )
                continue
            self._follow_one(samples.start_s[place], samples.end_s[place], samples.values[place], follow)
            place, singly = place + 1, max(0, singly - 1)
        if follow.previous is not None:
            self._note_stillness(follow.moved_s, follow.before_s, 0.0)

    def _follow_many(self, samples: Samples, first: int, end: int, state: CounterState) -> int:
        """Takes the samples in which the counter grew as usual, up to the first that is none of them; how many that were."""
        assert isinstance(self.ticks, Ticks)
        assert state.previous is not None
        places = slice(first, end)
        start_s, end_s, values = many.arrays(
            samples.start_s[places], samples.end_s[places], samples.values[places]
        )
        found = many.steady(
            start_s,
            end_s,
            values,
            previous=state.previous,
            before_s=state.before_s,
            moved_s=state.moved_s,
            energy=state.energy,
            limit_w=state.limit_w,
            slack_j=state.slack_j,
            fresh_s=state.fresh_s,
            still_s=self._still_s,
            period_s=state.period_s,
        )
        if found.taken:
            state.previous = float(values[found.taken - 1])
            state.before_s = float(start_s[found.taken - 1])
        if len(found.latest):
            self.told = True
            self.ticks.extend(found)
            state.energy, state.moved_s = float(found.energies[-1]), float(found.latest[-1])
            state.took_s = 0.0  # no longer than a period
        return found.taken

    def _follow_one(self, start: float, end: float, value: float, state: CounterState) -> None:
        dip, previous = state.dip, state.previous
        if dip is not None and previous is not None:
            if start - dip.since_s > DIP_S:
                state.dip = None
            elif dip.is_over(value, previous, end, state.limit_w * (end - dip.before_s) + state.slack_j):
                # It is back where it was: what it showed meanwhile was no energy of anybody.
                previous, state.before_s, state.moved_s, state.energy = (
                    dip.previous,
                    dip.before_s,
                    dip.moved_s,
                    dip.energy_j,
                )
                del self.ticks[dip.ticks :], self.gaps[dip.gaps :]
                state.dip = None
        if previous is None:
            # The first value may be as old as one period.
            self.ticks.append(Tick(earliest_s=start - state.period_s, latest_s=end, energy_j=0.0))
            state.previous, state.before_s, state.moved_s = value, start, end
            return
        step, elapsed = value - previous, end - min(state.before_s, self.ticks[-1].earliest_s)
        most_j = state.limit_w * elapsed + state.slack_j
        if step < 0 and state.wraps_at_j is not None and step + state.wraps_at_j <= most_j:
            step += state.wraps_at_j
        if step < 0 or step > most_j:
            # Driver reload, GPU reset, or a value that cannot be: what was drawn since the last reading is not in the
            # counter. If that was short, the power went on as before; if long, it is a gap.
            self.resets.append(start)
            if step < 0 and state.dip is None:
                state.dip = Dip(
                    since_s=start,
                    previous=previous,
                    before_s=state.before_s,
                    moved_s=state.moved_s,
                    energy_j=state.energy,
                    power_w=self._latest_w(),
                    ticks=len(self.ticks),
                    gaps=len(self.gaps),
                )
            state.energy += self._bridged_j(state.before_s, start, end)
            self.ticks.append(Tick(earliest_s=start, latest_s=end, energy_j=state.energy))
            state.moved_s = end
        elif step > 0:
            self._note_stillness(state.moved_s, state.before_s, step)
            self.told = True
            state.energy += step
            since = min(max(state.before_s, start - state.fresh_s), end)
            self.ticks.append(Tick(earliest_s=since, latest_s=end, energy_j=state.energy))
            state.moved_s, state.took_s = end, end - start
        elif state.took_s > state.period_s:
            # A call that hung, and this one does not: it tells when in that time the value was read.
            self._narrow_last_tick(start - max(state.fresh_s, LATEST_TICK * (self.period_s or 0.0)))
            state.took_s = 0.0
        state.previous, state.before_s = value, start

    def _bridged_j(self, before_s: float, start: float, end: float) -> float:
        """What is taken to have been drawn until a reset that was read from ``start`` to ``end``; 0 where a gap says that nobody knows."""
        if not self.told:
            # Nobody knows any power yet: what was drawn until now is not nothing, it is unknown.
            since_s = self.ticks[-1].earliest_s
            if self.gaps and self.gaps[-1][1] >= since_s:
                since_s = self.gaps.pop()[0]
            self.gaps.append((since_s, start))
        elif start - before_s > GAP_S:
            self.gaps.append((before_s, start))
        else:
            return self._latest_w() * (end - self.ticks[-1].time_s)
        return 0.0

    def _narrow_last_tick(self, since_s: float) -> None:
        """The last tick came no earlier than that."""
        tick = self.ticks[-1]
        if tick.earliest_s < since_s < tick.latest_s:
            del self.ticks[len(self.ticks) - 1 :]
            self.ticks.append(tick._replace(earliest_s=since_s))

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
        usual_s = median(spacings_s) if spacings_s else _lasted_s(samples)
        return max(usual_s, ASSUMED_PERIOD_S)

    def _note_stillness(self, since_s: float, until_s: float, step_j: float) -> None:
        still_s = until_s - since_s
        if still_s <= self._still_s:
            return
        if step_j < 0.5 * self._latest_w() * still_s or step_j == 0:
            # It did not catch up: what was drawn meanwhile was never counted.
            self.stuck.append((since_s, until_s))
            self.gaps.append((since_s, until_s))
        elif still_s > max(UNREAD_S, STUCK_TICKS * self._stale_for_s):
            self.late.append((since_s, until_s))

    @property
    def _still_s(self) -> float:
        """It does not tick for so long, as a rule."""
        return max(STUCK_S, STUCK_TICKS * (self.period_s or ASSUMED_PERIOD_S))

    def _latest_w(self) -> float:
        if len(self.ticks) < 2:
            return 0.0
        return slope(self.ticks[max(0, len(self.ticks) - 4)], self.ticks[-1])


def _lasted_s(samples: Samples) -> float:
    """From when to when it was read; minus infinity if it was not."""
    return samples.end_s[-1] - samples.start_s[0] if len(samples) else -math.inf
