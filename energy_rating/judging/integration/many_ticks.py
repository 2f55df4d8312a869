"""What is known around many ticks of a counter, in arrays: what ``Counter.around``, ``steps_w`` and ``steadiness`` say of each.

Near its first and its last tick, and where ticks do not follow each other in time, the counter is asked itself: ``are_usual``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from energy_rating.judging.integration import many
from energy_rating.judging.integration.counter import (
    HIDDEN_TICKS,
    MEDIAN_OF_NORMAL,
    MOVES,
    STRIDE,
    UNREST_TICKS,
    Counter,
)
from energy_rating.judging.integration.edges import Around
from energy_rating.judging.integration.register import Register
from energy_rating.judging.integration.ticks import FURTHEST, SAME_POWER, SQRT12, in_arrays

if TYPE_CHECKING:
    from energy_rating.judging.integration.many import Array, Flags, Places

# A register tells how power moves where it showed it in so many ticks.
FEWEST_SHOWN = 6


class ManyTicks:
    """The ticks around some edges; each of ``rights`` is the first tick behind one."""

    def __init__(self, counter: Counter, rights: Places) -> None:
        import numpy

        self._is_first = counter.first_reckoning
        self._earliest, self._latest, self._energies = in_arrays(counter.ticks)
        reach = HIDDEN_TICKS + 1
        self.are_usual: Flags = (rights >= reach) & (rights + reach < len(self._energies))
        inside = numpy.where(self.are_usual, rights, min(reach, max(len(self._energies) - 1, 0)))
        if self.are_usual.any():
            times, _, _ = self._around(inside, -reach, reach)
            self.are_usual &= (times[:, 1:] > times[:, :-1]).all(axis=1)

    def _around(self, rights: Places, first: int, end: int) -> tuple[Array, Array, Array]:
        """The middles, the widths and the energies of some ticks around each."""
        import numpy

        places = rights[:, None] + numpy.arange(first, end)
        earliest, latest = self._earliest[places], self._latest[places]
        return (earliest + latest) / 2, latest - earliest, self._energies[places]

    def arounds(self, rights: Places, register: Register | None) -> tuple[Array, Flags]:
        """The columns of ``Around`` of each, and of which there is one."""
        import numpy

        before, after = self._power(rights - 1, -1), self._power(rights, +1)
        is_before, is_after = ~numpy.isnan(before[0]), ~numpy.isnan(after[0])
        known = is_before | is_after
        of_before = [numpy.where(is_before, one, other) for one, other in zip(before, after, strict=True)]
        of_after = [numpy.where(is_after, other, one) for one, other in zip(before, after, strict=True)]
        moves_w = MOVES * (of_before[0] + of_after[0]) / 2
        if register is not None and register.times:
            hidden_w = self._hidden_w(rights, register)
            moves_w = numpy.where(numpy.isnan(hidden_w), moves_w, hidden_w)
        times, widths, energies = self._around(rights, -1, 1)
        both = is_before & is_after
        told: dict[str, Array | Flags] = {
            "time_a_s": times[:, 0],
            "width_a_s": widths[:, 0],
            "energy_a_j": energies[:, 0],
            "time_b_s": times[:, 1],
            "width_b_s": widths[:, 1],
            "energy_b_j": energies[:, 1],
            **dict(zip(("before_w", "before_s", "before_far_s"), of_before, strict=True)),
            **dict(zip(("after_w", "after_s", "after_far_s"), of_after, strict=True)),
            "seen": both,
            "both": both,
            "from_left": is_before,
            "known_w": numpy.where(is_before, of_before[0], of_after[0]),
            "beyond_after": is_before,
            "unrest_w": self._unrest_w(rights, UNREST_TICKS),
            "moves_w": moves_w,
        }
        # The rest is told of a counter's ends alone.
        none: Array = numpy.zeros(len(rights))
        return numpy.array([told.get(name, none) for name in Around._fields], numpy.float64), known

    def _power(self, index: Places, direction: int) -> tuple[Array, Array, Array]:
        """``slope_near`` on one side of each tick: the power, over how long it was taken, and how wide the far bracket is; NaN without any."""
        import numpy

        times, widths, energies = self._around(
            index, min(direction * FURTHEST, 0), max(direction * FURTHEST, 0) + 1
        )
        if direction < 0:
            times, widths, energies = times[:, ::-1], widths[:, ::-1], energies[:, ::-1]
        count = len(index)
        power, taken_s, far_s = numpy.full(count, math.nan), numpy.full(count, math.inf), numpy.zeros(count)
        open_s = numpy.full(count, math.inf)
        going: Flags = numpy.ones(count, numpy.bool_)
        for reach in range(1, FURTHEST + 1):
            apart_s = times[:, reach] - times[:, 0]
            width_s = abs(apart_s)
            clear = going & (numpy.maximum(widths[:, 0], widths[:, reach]) <= width_s / 4)
            wider = (energies[:, reach] - energies[:, 0]) / apart_s
            wider_open = (widths[:, 0] + widths[:, reach]) / width_s
            apart = (
                abs(wider - power) > power * wider_open + SAME_POWER * power
            )  # not where there is none yet
            going &= ~(clear & apart)
            taken = clear & ~apart
            if self._is_first:
                power = numpy.where(taken, wider, power)
                continue
            taken &= wider_open < open_s
            power, taken_s = numpy.where(taken, wider, power), numpy.where(taken, width_s, taken_s)
            far_s, open_s = (
                numpy.where(taken, widths[:, reach], far_s),
                numpy.where(taken, wider_open, open_s),
            )
        return power, taken_s, far_s

    def _hidden_w(self, rights: Places, register: Register) -> Array:
        """``Counter._hidden_w``; NaN where nobody knows."""
        import numpy

        times, widths, energies = self._around(rights, -HIDDEN_TICKS, HIDDEN_TICKS)
        shown_s, watts, _, _ = many.arrays(*register.course)
        since, to = times[:, :-1], times[:, 1:]
        low, high = numpy.searchsorted(shown_s, since), numpy.searchsorted(shown_s, to, side="right")
        middle = numpy.clip(numpy.searchsorted(shown_s, (since + to) / 2), low, high)
        momentary = watts[numpy.maximum(numpy.minimum(middle, high - 1), 0)]
        told = (to - since > 2 * numpy.maximum(widths[:, :-1], widths[:, 1:])) & (low < high)
        apart = abs(momentary - (energies[:, 1:] - energies[:, :-1]) / (to - since))
        counts = told.sum(axis=1)
        in_order = numpy.sort(numpy.where(told, apart, math.inf), axis=1)
        # The middle one: a step, such as the edge's own, is in few ticks.
        found = in_order[numpy.arange(len(rights)), counts // 2] / MEDIAN_OF_NORMAL
        return numpy.where(counts >= FEWEST_SHOWN, found, math.nan)

    def _unrest_w(self, index: Places, ticks_around: int) -> Array:
        """``Counter._unrest_at``."""
        import numpy

        times, _, energies = self._around(index, -ticks_around, ticks_around)
        slopes = (energies[:, 1:] - energies[:, :-1]) / (times[:, 1:] - times[:, :-1])
        moved = numpy.sort(abs(slopes[:, 1:] - slopes[:, :-1]), axis=1)
        middle = ticks_around - 1
        # There are two less than these ticks, an even number.
        median: Array = (moved[:, middle - 1] + moved[:, middle]) / 2
        return median / (MEDIAN_OF_NORMAL * math.sqrt(2))

    def steps_w(self, rights: Places) -> Array:
        """``Counter.steps_w``."""
        import numpy

        found = numpy.zeros(len(rights))
        unknown: Flags = numpy.ones(len(rights), numpy.bool_)
        around = self._around(rights, -HIDDEN_TICKS, HIDDEN_TICKS)
        for stride in (1, STRIDE):
            times, widths, energies = (one[:, ::stride] for one in around)
            a_s, b_s, c_s = times[:, :-2], times[:, 1:-1], times[:, 2:]
            a_j, b_j, c_j = energies[:, :-2], energies[:, 1:-1], energies[:, 2:]
            a_width, b_width, c_width = widths[:, :-2], widths[:, 1:-1], widths[:, 2:]
            width_s = numpy.minimum(b_s - a_s, c_s - b_s)
            clear = width_s > 2 * numpy.maximum(numpy.maximum(a_width, b_width), c_width)
            moved = ((c_j - b_j) / (c_s - b_s) - (b_j - a_j) / (b_s - a_s)) ** 2
            blurs = a_width**2 + 4 * b_width**2 + c_width**2
            blurred = ((c_j - a_j) / (c_s - a_s)) ** 2 * blurs / 12 / width_s**2
            counts = clear.sum(axis=1)
            left = (moved * clear).sum(axis=1) - (blurred * clear).sum(axis=1)
            told = unknown & (counts > 1)
            found = numpy.where(told, numpy.sqrt(numpy.maximum(left, 0.0) / numpy.maximum(counts, 1)), found)
            unknown &= ~told
        return found

    def steadiness(self, rights: Places) -> tuple[Array, Array, Array]:
        """``Counter.steadiness``."""
        import numpy

        sides = []
        for index, direction in ((rights - 1, -1), (rights, +1)):
            times, widths, energies = self._around(index, min(2 * direction, 0), max(2 * direction, 0) + 1)
            slopes = (energies[:, 1:] - energies[:, :-1]) / (times[:, 1:] - times[:, :-1])
            width_s = numpy.minimum(times[:, 1] - times[:, 0], times[:, 2] - times[:, 1])
            most_w = slopes.max(axis=1)
            wide_s = numpy.sqrt(widths[:, 0] ** 2 + (2 * widths[:, 1]) ** 2 + widths[:, 2] ** 2)
            blurred_w = most_w * wide_s / width_s / SQRT12
            unrest_w = math.sqrt(2) * self._unrest_w(index, HIDDEN_TICKS)
            apart_w = abs(slopes[:, 0] - slopes[:, 1])
            sides += [
                apart_w <= 2 * numpy.hypot(blurred_w, unrest_w) + SAME_POWER * most_w,
                apart_w <= 2 * abs(blurred_w) + SAME_POWER * most_w,
            ]
        before, before_calm, after, after_calm = sides
        restless = before & after & ~(before_calm & after_calm)
        return before.astype(float), after.astype(float), restless.astype(float)
