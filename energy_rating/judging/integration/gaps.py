"""Stretches without readings, and an energy with the time that it covers. What it is worked out from is left to others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from energy_rating.nouns.quantities import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Energy:
    """The energy of one channel between two edges: what was seen, and the share of the time that was seen."""

    energy: Estimate
    covered_s: float


def covered_s(start_s: float, end_s: float, gaps: Sequence[tuple[float, float]]) -> float:
    """The seconds from start to end that no gap overlaps. Gaps do not overlap each other."""
    lost = sum(max(0.0, min(end_s, to) - max(start_s, since)) for since, to in gaps)
    return max(0.0, end_s - start_s - lost)


class Gaps(list[tuple[float, float]]):
    """Times without readings, from when to when, as they were found. They do not overlap each other."""

    _ordered: tuple[list[float], list[float]] | None = None
    _known = -1

    def near(self, start_s: float, end_s: float) -> Sequence[tuple[float, float]]:
        """Those that reach into the time from start to end, or touch it; all of them where they are in no order."""
        if not self:
            return self
        bounds = self.in_order()
        if bounds is None:
            return self
        starts, ends = bounds
        return self[bisect_left(ends, start_s) : bisect_right(starts, end_s)]

    def in_order(self) -> tuple[list[float], list[float]] | None:
        """Where each begins, and where each ends; None where they are in no order."""
        if self._known != len(self):
            bounds = [bound for gap in self for bound in gap]
            in_order = all(a <= b for a, b in pairwise(bounds))
            self._ordered = ([gap[0] for gap in self], [gap[1] for gap in self]) if in_order else None
            self._known = len(self)
        return self._ordered
