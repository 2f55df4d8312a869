"""An edge within a tick: two lines of power lead to it, one from the tick before it, one back from the tick after. Pure values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from energy_rating.judging.integration.ticks import SAME_POWER, Power, Tick


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoLines:
    """The two lines, and what is known of them.

    ``before`` and ``after`` are the power on either side; ``known`` stands for the one that nobody knows. ``seen``: both are told by ticks;
    ``both``: by ticks or otherwise. ``shown_j``: what it leaves open that a power was told otherwise. Longer than ``unread_s``: nobody read the
    counter meanwhile. ``unrest_w`` is how the power moves from tick to tick, ``moves_w`` what is hidden within one.
    """

    a: Tick
    b: Tick
    edge_s: float
    before: Power | None
    after: Power | None
    known: Power
    seen: bool
    both: bool
    shown_j: float
    unread_s: float
    unrest_w: float
    moves_w: float

    @property
    def since_s(self) -> float:
        return self.edge_s - self.a.time_s

    @property
    def until_s(self) -> float:
        return self.b.time_s - self.edge_s

    @property
    def took_s(self) -> float:
        return self.since_s + self.until_s

    @property
    def unread(self) -> bool:
        return self.took_s > self.unread_s

    @property
    def of_before(self) -> Power:
        return self.before or self.known

    @property
    def of_after(self) -> Power:
        return self.after or self.known

    @property
    def left(self) -> tuple[float, float]:
        """The energy at the edge by the tick before it, and the random doubt of that (1 σ), both in joules."""
        since_s = self.since_s
        return self.a.energy_j + self.of_before.watts * since_s, self.of_before.doubt_j(self.a, since_s)

    @property
    def right(self) -> tuple[float, float]:
        """The same by the tick after it."""
        until_s = self.until_s
        return self.b.energy_j - self.of_after.watts * until_s, self.of_after.doubt_j(self.b, until_s)

    @property
    def bridge_j(self) -> float:
        """What is hidden within the tick: it leaves nothing open at its ends, and most in its middle."""
        since_s, until_s, took_s = self.since_s, self.until_s, self.took_s
        hidden_s = since_s * until_s / took_s if took_s > 0 else 0.0
        return math.hypot(self.unrest_w * math.sqrt(max(since_s * until_s, 0.0)), self.moves_w * hidden_s)

    @property
    def agree(self) -> bool:
        """Whether both tell the same within their doubt."""
        (left_j, left_doubt_j), (right_j, right_doubt_j) = self.left, self.right
        # Over seconds that nobody read, unrest is no reason to take the two for one: the power may have stepped.
        mean_w = (self.of_before.watts + self.of_after.watts) / 2
        spread_j = (SAME_POWER * mean_w if self.unread else self.unrest_w) * self.took_s
        return abs(left_j - right_j) <= 2 * math.hypot(left_doubt_j, right_doubt_j, spread_j)

    def weighed(self, steps_w: float) -> tuple[float, float]:
        """Both by their doubt. A step such as there are beside this tick (``steps_w``) shows only where both are known well."""
        (left_j, left_doubt_j), (right_j, right_doubt_j) = self.left, self.right
        since_s, until_s = self.since_s, self.until_s
        of_left = left_doubt_j**2 + (self.unrest_w * since_s) ** 2 + 1e-18
        of_right = right_doubt_j**2 + (self.unrest_w * until_s) ** 2 + 1e-18
        weight = of_right / (of_left + of_right)
        reach_s = weight * since_s + (1 - weight) * until_s
        stepped_j = min(max(left_doubt_j, right_doubt_j), steps_w * reach_s / math.sqrt(3))
        doubts_j = weight * left_doubt_j, (1 - weight) * right_doubt_j
        return weight * left_j + (1 - weight) * right_j, math.hypot(*doubts_j, self.bridge_j, stepped_j)


class Around(NamedTuple):
    """What is known around an interval between two ticks, the same for every edge in it, in numbers: how ``TwoLines`` lead through it.

    ``outside``: there is no tick on one side, ``a`` is the one there is, and the power beside it goes on. ``from_left``: the power before it is
    known or told otherwise. ``share``, ``known_w``, ``other_w`` and ``beyond_after`` are what is told otherwise of a power: how much of it is
    left open, what is known, how far from that it is, and on which side.
    """

    time_a_s: float
    width_a_s: float
    energy_a_j: float
    time_b_s: float
    width_b_s: float
    energy_b_j: float
    before_w: float
    before_s: float
    before_far_s: float
    after_w: float
    after_s: float
    after_far_s: float
    outside: bool
    seen: bool
    both: bool
    from_left: bool
    share: float
    known_w: float
    other_w: float
    beyond_after: bool
    unrest_w: float
    moves_w: float

    @classmethod
    def nothing(cls) -> Around:
        """Where nothing is known."""
        return cls(*[0.0] * len(cls._fields))  # type: ignore[arg-type]
