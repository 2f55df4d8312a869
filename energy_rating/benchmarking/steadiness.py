"""Whether repeats have settled, and whether a series drifts. Measures none of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import mean, median

from energy_rating.nouns.records import MEASURED, Finding

# A drift that would change the figure by less over the time that is measured is none (our measuring rules, warm-up).
DRIFTS = 0.005

# Drift is looked for in so many blocks of at least so long: ten refreshes of a counter of 100 ms.
BLOCKS = 10
BLOCK_S = 1.0

# Kendall's test for a trend, two-sided at 95 % (normal law; Kendall, Biometrika 30 (1938) 81, for its variance).
TREND = 1.96


class StepBlocks:
    """Steps one after the other, put together until they take ``BLOCK_S``: start, end, number."""

    def __init__(self) -> None:
        self.whole: list[tuple[float, float, int]] = []
        self._start_s = 0.0
        self._n = 0

    def add(self, before_s: float, after_s: float) -> bool:
        """Takes in a step; says whether a block is whole by it."""
        if self._n == 0:
            self._start_s = before_s
        self._n += 1
        if after_s - self._start_s < BLOCK_S:
            return False
        self.whole.append((self._start_s, after_s, self._n))
        self._n = 0
        return True


def not_steady_yet(lasted_s: float, blocks: int, changes: str) -> Finding:
    """``changes``: what of the devices' conditions did, if it was that."""
    seen = changes or (
        "its power still changed"
        if blocks >= BLOCKS
        else "too few steps were done to tell whether its power is steady"
    )
    return Finding.of(
        "not-steady",
        f"warming up was ended after {lasted_s:.0f} s; {seen}",
        remedy="See that nothing else runs on the device, and that it is cooled"
        if changes or blocks >= BLOCKS
        else "Give it more time: a larger --budget, or none",
        measurement=MEASURED,
    )


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil's and Sen's slope: the median of those of all pairs (Sen, J. Am. Stat. Assoc. 63 (1968) 1379)."""
    pairs = itertools.combinations(zip(times, values, strict=True), 2)
    return median((b - a) / (t - s) for (s, a), (t, b) in pairs)


def drifts(times: Sequence[float], values: Sequence[float], over_s: float) -> bool:
    """Whether values go up or down by more than 0.5 % over that time, and by more than chance does.

    A slope of ten noisy blocks, drawn out over minutes, is always more than 0.5 %; so it counts only where Kendall's test tells
    a trend from none.
    """
    n = len(values)
    if n < 3 or mean(values) <= 0:
        return False
    ups = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    z = (abs(ups) - 1) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return z > TREND and abs(slope(times, values)) * over_s / mean(values) > DRIFTS
