"""How a counter stands while its samples are gone through, and what was known of it before its value fell. Values only."""

from __future__ import annotations

from dataclasses import dataclass

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
