"""A GPU on a virtual clock that ticks as unevenly as real ones do."""

from __future__ import annotations

import math
import random

from virtual import FakeDevice

JITTER_S = 0.002  # of a counter of 100 ms on an A100: 99 to 104 ms, 5th to 95th percentile (SC24 data)


class Gpu(FakeDevice):
    """A GPU whose counter ticks a little early or late, and whose register shows the mean of the 25 ms before its own, other ticks."""

    shown_phase_s = 0.0
    shown_s = 0.025

    def _last(self, salt, phase_s):
        now, number = self.clock.time, math.floor((self.clock.time - phase_s) / self.tick_s) + 1
        ticks = (
            n * self.tick_s + phase_s + random.Random(f"{salt} {n}").uniform(-JITTER_S, JITTER_S)
            for n in (number, number - 1, number - 2)
        )
        return next(tick for tick in ticks if tick <= now)

    def tick_before(self, now):
        return self._last("counter", self.phase_s)

    def read(self):
        values = dict(super().read())
        shown = self._last("register", self.shown_phase_s)
        if "gpu0.power" in values:
            values["gpu0.power"] = (self.energy(shown) - self.energy(shown - self.shown_s)) / self.shown_s
        return values
