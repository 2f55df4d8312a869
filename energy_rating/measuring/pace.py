"""When a counter is read next: its period and phase are learned from its ticks. The reading itself is left to ``sampler``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from energy_rating.nouns.entries import Channel
from energy_rating.nouns.errors import SensorFailed

# ------------------------------------------------------------------------------------------------------------- pacing

# Learning reads so often, for so many ticks or so long, whichever comes first.
LEARN_STEP_S = 0.005
LEARN_TICKS = 8
LEARN_S = 2.5

# Counters slower or faster than this are polled plainly: the fast need no following, the slow are none that are known.
FASTEST_FOLLOWED_S, SLOWEST_FOLLOWED_S = 0.03, 1.0

# The nearest that a thread can be woken to an expected tick, given Python's switch interval of 5 ms.
NARROWEST_GUARD_S = 0.003

# Ticks jitter (on A100 and RTX 3090 95 to 104 ms for 100, 5th to 95th percentile; SC24 data). A tick that was missed widens the
# guard, one that was caught narrows it: these factors balance where eight of nine are caught.
WIDER, NARROWER = 1.5, 0.95

# The last tick is waited for from so many periods before it on: there is no other after it that would tell that it came early.
EARLY = 0.1

# More lateness than this is an accident, not a habit to be planned for.
MOST_LATE_S = 0.02

# At most this share of the time is spent inside the calls of a slow sensor.
SLOW_S, BUSIEST = 0.02, 0.1

# Beside busy threads a reading takes as long as the wait for Python's lock, which is no reason to read more seldom: a device is as slow as
# its quickest reading of late. That may grow by so much from one to the next, so after some 60 even a device that became slow is known
# to be; one that takes as long as this, twice in a row, at once.
FLOOR_GROWS, TWICE_SLOW_S = 1.05, 0.3


class Pace:
    """When one sensor is to be read next: around the ticks of its counter once those are known, else every period.

    A counter tells its energy only at its ticks, so what matters is to know *when* it ticked. Readings just before and just
    after the expected time bracket each tick closely at two readings a tick, instead of the hundreds that polling would need.
    """

    def __init__(self, channels: Sequence[Channel], period_s: float, hint_s: float | None = None) -> None:
        counters = [channel for channel in channels if channel.method == "counter"]
        slowest = max(
            (channel.period_s or 0.0 for channel in channels if channel.method == "model"), default=0.0
        )
        self.period_s = max(period_s, slowest)
        self._counter = next((channel.id for channel in counters if channel.period_s is None), None)
        self._following = False
        self._learning = self._counter is not None
        self._hint_s = hint_s  # the period that an earlier run learned of this device
        self._learn_until = -1.0
        self._ticks: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None  # start of the last reading, and its value
        self._ticked = False  # between the last two readings
        self._expected = 0.0  # when the next tick is expected
        self._tick_s = self._learned_s = 0.0
        self._due_s: float | None = None
        self._late_s = 0.0  # how much later than due this thread gets to read
        self._cost_s = 0.0  # how long reading takes
        self._floor_s = self._last_cost_s = math.inf
        self._guard_s = NARROWEST_GUARD_S
        self._relearnt = 0
        self.dense = True  # there was an edge: every tick counts

    def next_s(self, start_s: float, end_s: float, reading: Mapping[str, float | SensorFailed]) -> float:
        """Takes in one reading and says when the next is due."""
        if self._due_s is not None:
            self._late_s = max(0.9 * self._late_s, min(start_s - self._due_s, MOST_LATE_S))
        self._due_s = self._next_s(start_s, end_s, reading)
        return self._due_s

    def _slow_s(self, cost: float) -> float:
        """How long a slow device takes; 0 if it is none."""
        self._floor_s = cost if self._floor_s == math.inf else min(cost, FLOOR_GROWS * self._floor_s)
        again, self._last_cost_s = min(cost, self._last_cost_s), cost
        if self._floor_s >= SLOW_S:
            return self._floor_s
        return again if TWICE_SLOW_S <= again < math.inf else 0.0

    @property
    def is_slow(self) -> bool:
        """Whether the device itself takes long to answer."""
        return self._floor_s >= SLOW_S

    @property
    def last_value(self) -> float | None:
        """What the counter said last; None if it said nothing, or there is none to follow."""
        return self._last[1] if self._last is not None else None

    def _next_s(self, start_s: float, end_s: float, reading: Mapping[str, float | SensorFailed]) -> float:
        cost = end_s - start_s
        self._cost_s = max(0.9 * self._cost_s, min(cost, MOST_LATE_S))
        slow_s = self._slow_s(cost)
        earliest = end_s + (min(slow_s / BUSIEST, 2.0) if slow_s else min(cost, MOST_LATE_S))
        value = reading.get(self._counter) if self._counter is not None else None
        if not isinstance(value, float):
            self._last = None
            return max(earliest, start_s + self.period_s)
        self._ticked = ticked = self._last is not None and value != self._last[1]
        low = self._last[0] if self._last is not None else start_s
        self._last = (start_s, value)
        if self._learning:
            return max(earliest, self._learn(low, end_s, ticked))
        if self._following:
            return max(earliest, self._follow(low, end_s, ticked))
        return max(earliest, start_s + self.period_s)

    def _learn(self, low: float, end_s: float, ticked: bool) -> float:
        if self._learn_until < 0:
            self._learn_until = end_s + LEARN_S
        if ticked:
            self._ticks.append((low, end_s))
        times = [(low + high) / 2 for low, high in self._ticks]
        spacings = [b - a for a, b in itertools.pairwise(times)]
        if self._hint_s is not None and len(spacings) >= 2:
            if all(abs(spacing - self._hint_s) < 0.1 * self._hint_s + LEARN_STEP_S for spacing in spacings):
                self._learning = False
                self._ticks = []
                return self._begin_to_follow(self._hint_s, times[-1], end_s)
            self._hint_s = None
        if len(self._ticks) < LEARN_TICKS and end_s < self._learn_until:
            return end_s + LEARN_STEP_S
        self._learning = False
        self._ticks = []
        if len(spacings) >= 3:
            period = sorted(spacings)[len(spacings) // 2]
            steady = sum(abs(spacing - period) < 0.2 * period + LEARN_STEP_S for spacing in spacings)
            if steady >= 0.7 * len(spacings) and FASTEST_FOLLOWED_S <= period <= SLOWEST_FOLLOWED_S:
                # Over all ticks the brackets' errors divide by their number.
                count = max(1, round((times[-1] - times[0]) / period))
                return self._begin_to_follow((times[-1] - times[0]) / count, times[-1], end_s)
        return end_s + self.period_s

    def _begin_to_follow(self, tick_s: float, last_tick: float, now_s: float) -> float:
        self._tick_s = self._learned_s = tick_s
        self._following = True
        self._guard_s = 2 * NARROWEST_GUARD_S
        return self._expect_after(last_tick, now_s)

    @property
    def learned_s(self) -> float | None:
        """The period of the counter's ticks, where it is being followed."""
        return self._tick_s if self._following else None

    def tick_after(self, now_s: float) -> float | None:
        """From when on the counter is to be read so as not to miss the next tick after ``now_s``; None if nobody knows."""
        if self._learning:
            return now_s
        if not self._following:
            # One that ticked between any two readings is too fast to be followed, and ticks again at once.
            return now_s if self._ticked else None
        ahead = math.floor((now_s - self._expected) / self._tick_s) + 1
        tick = self._expected + ahead * self._tick_s
        return max(now_s, tick - self._guard_s - self._late_s - self._cost_s - EARLY * self._tick_s)

    @property
    def _stride_s(self) -> float:
        every_s = self.period_s if self.dense else 2 * self.period_s
        return self._tick_s * max(1, round(every_s / self._tick_s))

    def _expect_after(self, tick: float, now_s: float) -> float:
        """A tick came at about ``tick``: when the next is expected, and when to read before it."""
        ahead = self._stride_s
        lead = self._guard_s + self._late_s + self._cost_s
        behind = now_s - (tick + ahead - lead)
        if behind >= 0:
            ahead += (behind // self._tick_s + 1) * self._tick_s
        self._expected = tick + ahead
        return self._expected - lead

    def _follow(self, low: float, end_s: float, ticked: bool) -> float:
        expected, guard = self._expected, self._guard_s
        # With a stride of several ticks the value has always changed since the last stride: only a reading within one tick of
        # the expected one tells when that came.
        close = low > expected - 1.5 * self._tick_s
        if end_s < expected and not (ticked and close):
            return expected + guard
        if not ticked:
            if end_s < expected + self._tick_s:
                return end_s + max(guard, LEARN_STEP_S)
            # It ticks no more, or not as it did: learn again, but not for ever.
            self._following = False
            self._relearnt += 1
            if self._relearnt <= 3:
                self._learning, self._learn_until = True, -1.0
            return end_s + self.period_s
        missed_s = 0.0
        if close and not (low <= expected <= end_s):
            # It came before the reading that should have been before it, or after the one that should have been after.
            missed_s = -0.5 * guard if end_s < expected else (low + end_s) / 2 - expected
            missed_s -= self._tick_s * round(missed_s / self._tick_s)
        if missed_s or end_s - low > 3 * (guard + self._late_s + self._cost_s):
            self._guard_s = min(WIDER * guard, self._tick_s / 4)
        else:
            self._guard_s = max(NARROWEST_GUARD_S, NARROWER * guard)
        period = self._tick_s + 0.02 * missed_s
        self._tick_s = min(max(period, 0.8 * self._learned_s), 1.2 * self._learned_s)
        return self._expect_after(expected + missed_s, end_s)
