"""The energies of many windows at once, in arrays: what ``Counter.between`` and ``Register.between`` say of each, where it is as usual.

What is known around a tick is asked of the counter once, however many edges lie there. A window that a gap reaches into, that lies in a
time nobody read, or beside which nobody knows a power, is left to these: it stands in ``singly``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_rating.judging.integration import many
from energy_rating.judging.integration.counter import ONE_SIDED, TWICE_S, UNSEEN_BURST, Counter
from energy_rating.judging.integration.edges import Around
from energy_rating.judging.integration.gaps import Gaps
from energy_rating.judging.integration.many_ticks import ManyTicks
from energy_rating.judging.integration.periods import ASSUMED_PERIOD_S
from energy_rating.judging.integration.register import (
    HOLD_S,
    LASTING_SHARE,
    NEARBY_S,
    UNREAD_S,
    Register,
)
from energy_rating.judging.integration.ticks import SAME_POWER, SQRT12, in_arrays
from energy_rating.nouns.quantities import Estimate

if TYPE_CHECKING:
    from energy_rating.judging.integration.many import Array, Flags, Places

# Fewer edges that lie apart are asked for one by one.
FEWEST_APART = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Energies:
    """Of each of some windows its energy, the doubt of that, and the seconds that were seen of it.

    ``known``: those of which the channel tells anything. ``singly``: those that have to be asked for one by one.
    """

    values_j: Array
    randoms_j: Array
    systematics_j: Array
    covered_s: Array
    known: Flags
    singly: Flags

    def put(self, place: int, energy: Estimate | None, covered_s: float) -> None:
        """What was asked for by itself."""
        self.known[place] = energy is not None
        if energy is not None:
            self.values_j[place], self.covered_s[place] = energy.value, covered_s
            self.randoms_j[place], self.systematics_j[place] = energy.random, energy.systematic


def of_counter(counter: Counter, start_s: Array, end_s: Array, register: Register | None) -> Energies:
    """What ``counter.between`` says of some windows."""
    import numpy

    seen_from = numpy.maximum(start_s, counter.first_s)
    seen_to = numpy.minimum(end_s, counter.last_s)
    known = (seen_to > seen_from) & (len(counter.ticks) > 0)
    singly = _touched(counter.gaps, seen_from, seen_to)
    if not (known & ~singly).any():
        return _none_of(seen_from, known, singly)
    (times,) = many.arrays(counter.times_s)
    edges = numpy.concatenate((seen_from, seen_to))
    rights: Places = numpy.searchsorted(times, edges, side="right")
    count = len(seen_from)
    singly |= _may_be_unread(counter, seen_from, seen_to, rights[:count], rights[count:])
    values, doubts, sound = _ManyEdges(counter, register, edges, rights).reckoned()
    singly |= ~(sound[:count] & sound[count:])
    values_j = values[count:] - values[:count]
    covered_s = numpy.maximum(seen_to - seen_from, 0.0)
    return Energies(
        values_j=values_j,
        randoms_j=numpy.hypot(doubts[:count], doubts[count:]),
        systematics_j=numpy.hypot(counter.accuracy * values_j, counter.accuracy_w * covered_s),
        covered_s=covered_s,
        known=known,
        singly=singly & known,
    )


def _touched(gaps: Gaps, start_s: Array, end_s: Array) -> Flags:
    """Which windows a gap reaches into, or touches; all of them where the gaps are in no order."""
    import numpy

    if not gaps:
        return numpy.zeros(len(start_s), numpy.bool_)
    bounds = gaps.in_order()
    if bounds is None:
        return numpy.ones(len(start_s), numpy.bool_)
    starts, ends = bounds
    return numpy.searchsorted(ends, start_s) < numpy.searchsorted(starts, end_s, side="right")


def _none_of(times: Array, known: Flags, singly: Flags) -> Energies:
    import numpy

    nothing: Array = numpy.zeros(len(times))
    return Energies(
        values_j=nothing,
        randoms_j=nothing.copy(),
        systematics_j=nothing.copy(),
        covered_s=nothing.copy(),
        known=known,
        singly=singly & known,
    )


def _may_be_unread(counter: Counter, start_s: Array, end_s: Array, of_start: Places, of_end: Places) -> Flags:
    """Which windows may lie wholly in a time that nobody read: between two ticks that are far apart, or were seen badly."""
    import numpy

    found: Flags = numpy.zeros(len(start_s), numpy.bool_)
    last = len(counter.ticks) - 1
    places = numpy.flatnonzero((of_start == of_end) & (of_start > 0) & (of_start <= last))
    if not len(places):
        return found
    earliest, latest, _ = in_arrays(counter.ticks)
    right, left = of_start[places], of_start[places] - 1
    if not counter.first_reckoning:
        # The tick that surely was before, and the one that surely was after, are the next ones on at the furthest.
        late = latest[left] > start_s[places]
        left = numpy.maximum(left - late, 0)
        early = earliest[right] < end_s[places]
        right = numpy.minimum(right + early, last)
        found[places] = ((latest[left] > start_s[places]) & (left > 0)) | (
            (earliest[right] < end_s[places]) & (right < last)
        )
    (times,) = many.arrays(counter.times_s)
    found[places] |= times[right] - times[left] > counter.unread_s
    return found


class _ManyEdges:
    """Some edges of windows on one counter: where they lie, and what is known around each."""

    def __init__(self, counter: Counter, register: Register | None, edges_s: Array, rights: Places) -> None:
        import numpy

        self._counter = counter
        self._edges_s = edges_s
        self._rights, self._of = numpy.unique(rights, return_inverse=True)
        self._ticks = ManyTicks(counter, self._rights)
        if numpy.count_nonzero(self._ticks.are_usual) < FEWEST_APART:
            self._ticks.are_usual[:] = False
        together, alone = self._apart(numpy.arange(len(self._rights)))
        self._is_known: Flags = numpy.zeros(len(self._rights), numpy.bool_)
        table = numpy.empty((len(Around._fields), len(self._rights)))
        if len(together):
            table[:, together], self._is_known[together] = self._ticks.arounds(
                self._rights[together], register
            )
        for place in alone.tolist():
            one = counter.around(int(self._rights[place]), register)
            table[:, place], self._is_known[place] = one or Around.nothing(), one is not None
        self._columns = dict(zip(Around._fields, table, strict=True))

    def _told(self, name: str, which: Places) -> Array:
        """One of the things known around some of the edges."""
        return self._columns[name][self._of[which]]

    def _apart(self, places: Places) -> tuple[Places, Places]:
        """Which of some of the ticks are looked at together, and which one by one."""
        usual = self._ticks.are_usual[places]
        return places[usual], places[~usual]

    def _asked(
        self,
        ask: Callable[[int], tuple[float, ...]],
        ask_many: Callable[[Places], tuple[Array, ...]],
        which: Places,
    ) -> tuple[Array, ...]:
        """What is said around each of some edges, asked once for those that lie together."""
        import numpy

        asked, of = numpy.unique(self._of[which], return_inverse=True)
        together, alone = self._apart(asked)
        told: dict[int, tuple[float, ...]] = {
            place: ask(int(self._rights[place])) for place in alone.tolist()
        }
        if len(together):
            columns = (column.tolist() for column in ask_many(self._rights[together]))
            told |= zip(together.tolist(), zip(*columns, strict=True), strict=True)
        table = numpy.array([told[place] for place in asked.tolist()], numpy.float64)
        return tuple(column[of] for column in table.T)

    def steps_w(self, which: Places) -> Array:
        """``Counter.steps_w`` at some of the edges."""
        counter, ticks = self._counter, self._ticks
        return self._asked(
            lambda right: (counter.steps_w(right),), lambda rights: (ticks.steps_w(rights),), which
        )[0]

    def steadiness(self, which: Places) -> tuple[Array, ...]:
        """``Counter.steadiness`` at some of the edges."""
        return self._asked(self._counter.steadiness, self._ticks.steadiness, which)

    def reckoned(self) -> tuple[Array, Array, Flags]:
        """The energy at each edge, its random doubt (1 σ), and which of them are sound."""
        import numpy

        values, doubts = numpy.zeros(len(self._edges_s)), numpy.zeros(len(self._edges_s))
        sound = self._is_known[self._of].copy()
        outside = self._columns["outside"][self._of] > 0
        beyond, within = numpy.flatnonzero(sound & outside), numpy.flatnonzero(sound & ~outside)
        if len(beyond):
            values[beyond], doubts[beyond] = self._outside(beyond)
        if len(within):
            lines = _ManyLines(self._counter, self, within)
            weighed = ((lines.both > 0) | (lines.took_s <= UNREAD_S)) & lines.agree
            if weighed.any():
                some = lines.of(weighed)
                values[some.which], doubts[some.which] = some.weighed()
            unread = ~weighed & (lines.unread | ((lines.took_s > UNREAD_S) & (lines.both == 0)))
            sound[lines.which[unread]] = False
            stepped = ~weighed & ~unread
            if stepped.any():
                some = lines.of(stepped)
                values[some.which], doubts[some.which] = some.stepped()
        return values, doubts, sound

    def _outside(self, which: Places) -> tuple[Array, Array]:
        """Before the first tick and after the last: the power beside it goes on."""
        import numpy

        counter = self._counter
        period = counter.period_s if counter.period_s is not None else ASSUMED_PERIOD_S
        watts, width_s = self._told("before_w", which), self._told("width_a_s", which)
        reach = self._edges_s[which] - self._told("time_a_s", which)
        far = abs(reach)
        steps_w = numpy.zeros(len(which)) if counter.first_reckoning else self.steps_w(which)
        doubts_j = (
            _doubt_j(watts, self._told("before_s", which), self._told("before_far_s", which), width_s, far),
            self._told("unrest_w", which) * numpy.sqrt(far * (far + period)),
            steps_w * far,
            self._told("moves_w", which) * period / SQRT12,
        )
        return self._told("energy_a_j", which) + watts * reach, _hypot(*doubts_j)


def _hypot(*several: Array) -> Array:
    import numpy

    squares = several[0] * several[0]
    for one in several[1:]:
        squares = squares + one * one
    found: Array = numpy.sqrt(squares)
    return found


def _doubt_j(watts: Array, taken_s: Array, far_s: Array, width_s: Array, reach_s: Array) -> Array:
    """``Power.doubt_j`` of the tick that is near."""
    import numpy

    share = reach_s / taken_s
    found: Array = watts * numpy.hypot((1 + share) * width_s, share * far_s) / SQRT12
    return found


class _ManyLines:
    """``TwoLines`` of many edges, each within a tick."""

    def __init__(self, counter: Counter, edges: _ManyEdges, which: Places) -> None:
        import numpy

        def told(name: str) -> Array:
            return edges._told(name, which)

        self._counter, self._edges, self.which = counter, edges, which
        edges_s = edges._edges_s[which]
        self.time_a_s, self.time_b_s = told("time_a_s"), told("time_b_s")
        self.edges_s = edges_s
        self.since_s, self.until_s = edges_s - self.time_a_s, self.time_b_s - edges_s
        self.took_s = self.since_s + self.until_s
        self.energy_a_j, self.energy_b_j = told("energy_a_j"), told("energy_b_j")
        self.before_w, self.after_w = told("before_w"), told("after_w")
        self.seen, self.both, self.from_left = told("seen"), told("both"), told("from_left")
        self.unrest_w = told("unrest_w")
        self.unread = self.took_s > counter.unread_s
        self.left_j = self.energy_a_j + self.before_w * self.since_s
        self.right_j = self.energy_b_j - self.after_w * self.until_s
        self.left_doubt_j = _doubt_j(
            self.before_w, told("before_s"), told("before_far_s"), told("width_a_s"), self.since_s
        )
        self.right_doubt_j = _doubt_j(
            self.after_w, told("after_s"), told("after_far_s"), told("width_b_s"), self.until_s
        )
        product = self.since_s * self.until_s
        with numpy.errstate(divide="ignore", invalid="ignore"):
            hidden_s = numpy.where(self.took_s > 0, product / self.took_s, 0.0)
        self.bridge_j = numpy.hypot(
            self.unrest_w * numpy.sqrt(numpy.maximum(product, 0.0)), told("moves_w") * hidden_s
        )
        unlike_j = abs(self.energy_b_j - self.energy_a_j - told("known_w") * self.took_s)
        beyond_s = numpy.where(told("beyond_after") > 0, self.until_s, self.since_s)
        self.shown_j = told("share") * numpy.minimum(told("other_w") * beyond_s, unlike_j)
        mean_w = (self.before_w + self.after_w) / 2
        spread_j = numpy.where(self.unread, SAME_POWER * mean_w, self.unrest_w) * self.took_s
        apart_j = abs(self.left_j - self.right_j)
        self.agree = apart_j <= 2 * _hypot(self.left_doubt_j, self.right_doubt_j, spread_j)

    def of(self, chosen: Flags) -> _ManyLines:
        """Those of some of the edges."""
        if chosen.all():
            return self
        return _ManyLines(self._counter, self._edges, self.which[chosen])

    def weighed(self) -> tuple[Array, Array]:
        """Both lines by their doubt."""
        import numpy

        since_s, until_s = self.since_s, self.until_s
        moved_left, moved_right = self.unrest_w * since_s, self.unrest_w * until_s
        of_left = self.left_doubt_j * self.left_doubt_j + moved_left * moved_left + 1e-18
        of_right = self.right_doubt_j * self.right_doubt_j + moved_right * moved_right + 1e-18
        weight = of_right / (of_left + of_right)
        reach_s = weight * since_s + (1 - weight) * until_s
        if self._counter.first_reckoning:
            stepped_j = numpy.zeros(len(reach_s))
        else:
            steps_w = self._edges.steps_w(self.which)
            most_j = numpy.maximum(self.left_doubt_j, self.right_doubt_j)
            stepped_j = numpy.minimum(most_j, steps_w * reach_s / 3**0.5)
        doubts_j = weight * self.left_doubt_j, (1 - weight) * self.right_doubt_j
        energies_j = weight * self.left_j + (1 - weight) * self.right_j
        return energies_j, _hypot(*doubts_j, self.bridge_j, stepped_j)

    def _meet(self, open_j: Array | float = 0.0) -> Flags:
        """Where the lines meet between their ticks (``ticks.meet``)."""
        import numpy

        apart_w = self.before_w - self.after_w
        with numpy.errstate(divide="ignore", invalid="ignore"):
            at = (self.right_j - self.left_j) / apart_w
            open_s = open_j / abs(apart_w)
            found: Flags = (apart_w != 0) & (-self.since_s - open_s <= at) & (at <= self.until_s + open_s)
        return found

    def stepped(self) -> tuple[Array, Array]:
        """Where the power changed within the tick (``Counter._stepped``)."""
        import numpy

        left_j, right_j, left_doubt_j, right_doubt_j = (
            self.left_j,
            self.right_j,
            self.left_doubt_j,
            self.right_doubt_j,
        )
        both = self.both > 0
        is_first = self._counter.first_reckoning
        one_sided = numpy.zeros(len(both), numpy.bool_) if is_first else ~both
        left_is_more = (left_j > right_j) | ((left_j == right_j) & (left_doubt_j >= right_doubt_j))
        by_left = numpy.where(
            one_sided,
            self.from_left > 0,
            numpy.where(self.after_w > self.before_w, left_is_more, ~left_is_more),
        )
        energy_j = numpy.where(by_left, left_j, right_j)
        doubt_j = numpy.where(by_left, left_doubt_j, right_doubt_j)
        burst_j = numpy.zeros(len(both))
        seen: Places = numpy.flatnonzero(self.seen > 0)
        if len(seen) and not is_first:
            some = self.of(self.seen > 0)
            energy_j[seen], doubt_j[seen] = some._beside_bursts(energy_j[seen], doubt_j[seen])
            burst_j[seen] = UNSEEN_BURST * abs(some.left_j - some.right_j)
        inside_j = numpy.minimum(numpy.maximum(energy_j, self.energy_a_j), self.energy_b_j)
        share = (self.edges_s - self.time_a_s) / (self.time_b_s - self.time_a_s)
        straight_j = abs(inside_j - (self.energy_a_j + share * (self.energy_b_j - self.energy_a_j))) / 4
        doubts_j = _hypot(
            doubt_j,
            self.bridge_j,
            self.shown_j,
            burst_j,
            (energy_j - inside_j) / 3,
            numpy.where(one_sided, ONE_SIDED * straight_j, straight_j),
        )
        # Over a long time the power changed more than once, nobody knows when: the energy is anywhere between the two.
        twice = (self.took_s > TWICE_S) & both & ~(both & self._meet())
        if twice.any():
            low_j, high_j = (
                numpy.minimum(numpy.maximum(one, self.energy_a_j), self.energy_b_j)
                for one in (numpy.minimum(left_j, right_j), numpy.maximum(left_j, right_j))
            )
            anywhere_j = _hypot(left_doubt_j, right_doubt_j, self.bridge_j, (high_j - low_j) / SQRT12)
            inside_j = numpy.where(twice, (low_j + high_j) / 2, inside_j)
            doubts_j = numpy.where(twice, anywhere_j, doubts_j)
        return inside_j, doubts_j

    def _beside_bursts(self, energy_j: Array, doubt_j: Array) -> tuple[Array, Array]:
        """``Counter._beside_bursts``; given what a single step makes of each edge."""
        import numpy

        open_j = 2 * numpy.hypot(self.left_doubt_j, self.right_doubt_j)
        once = self._meet(open_j)
        before, after, restless = (one > 0 for one in self._edges.steadiness(self.which))
        unlike = before != after
        between = ~unlike & ~once & ~restless
        both_j = numpy.hypot(self.left_doubt_j, self.right_doubt_j)
        energy_j = numpy.where(between, (self.left_j + self.right_j) / 2, energy_j)
        doubt_j = numpy.where(between, both_j, doubt_j)
        energy_j = numpy.where(unlike, numpy.where(before, self.left_j, self.right_j), energy_j)
        doubt_j = numpy.where(unlike, numpy.where(before, self.left_doubt_j, self.right_doubt_j), doubt_j)
        return energy_j, doubt_j


def resolutions_s(counter: Counter, start_s: Array, end_s: Array) -> Array:
    """``counter.resolution_s`` of some windows."""
    import numpy

    period = counter.period_s if counter.period_s is not None else ASSUMED_PERIOD_S
    (times,) = many.arrays(counter.times_s)
    first: Places = numpy.searchsorted(times, start_s - NEARBY_S)
    last: Places = numpy.searchsorted(times, end_s + NEARBY_S, side="right") - 1
    found: Array = numpy.full(len(start_s), period)
    told = numpy.flatnonzero(last > first)
    first, last = first[told], last[told]
    found[told] = numpy.maximum(period, (times[last] - times[first]) / (last - first))
    return found


def of_register(register: Register, start_s: Array, end_s: Array) -> Energies:
    """What ``register.between`` says of some windows."""
    import numpy

    if not register.times:
        nothing: Flags = numpy.zeros(len(start_s), numpy.bool_)
        return _none_of(start_s, nothing, nothing)
    times, watts, sums, squares = many.arrays(*register.course)
    hold_s = HOLD_S + register.lag_s
    seen_from = numpy.maximum(start_s, times[0] - hold_s)
    seen_to = numpy.minimum(end_s, times[-1] + hold_s)
    known = seen_to > seen_from
    singly = _touched(register.gaps, seen_from, seen_to) | register.are_unread(seen_from, seen_to)

    def energy_j(at_s: Array) -> Array:
        index = numpy.searchsorted(times, at_s, side="right")
        inner = numpy.clip(index, 1, max(len(times) - 1, 1))
        before, after = numpy.maximum(inner - 1, 0), numpy.minimum(inner, len(times) - 1)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            slopes = (watts[after] - watts[before]) / (times[after] - times[before])
            reach_s = at_s - times[before]
            found = sums[before] + reach_s * (watts[before] + slopes * reach_s / 2)
        found = numpy.where(index == 0, -watts[0] * (times[0] - at_s), found)
        return numpy.where(index == len(times), sums[-1] + watts[-1] * (at_s - times[-1]), found)

    def power_w(at_s: Array) -> Array:
        index: Places = numpy.searchsorted(times, at_s, side="right") - 1
        found: Array = watts[numpy.clip(index, 0, len(times) - 1)]
        return found

    values_j = numpy.maximum(energy_j(seen_to) - energy_j(seen_from), 0.0)
    lasted_s = seen_to - seen_from
    covered_s = numpy.maximum(lasted_s, 0.0)
    low = numpy.maximum(numpy.searchsorted(times, seen_from, side="right") - 1, 0)
    high = numpy.minimum(numpy.searchsorted(times, seen_to, side="right"), len(times) - 1)
    steps = numpy.maximum(high - low, 0)
    least = numpy.maximum(steps, 1)
    variances = numpy.where(steps > 0, (squares[high] - squares[low]) / (2 * least), 0.0)
    unrest = numpy.sqrt(numpy.maximum(variances, 0.0) * register.unseen)
    in_step_j = numpy.where(lasted_s > register.period_s, LASTING_SHARE * unrest * lasted_s, 0.0)
    lag_s = numpy.maximum(register.period_s, lasted_s / least)
    late_j = (
        abs(power_w(edge + lag_s) - power_w(edge - lag_s)) * lag_s / SQRT12 for edge in (seen_from, seen_to)
    )
    lasting_j = _hypot(in_step_j, *late_j)
    systematics_j = _hypot(register.accuracy * values_j, register.accuracy_w * covered_s, lasting_j)
    return Energies(
        values_j=values_j,
        randoms_j=abs(unrest * lasted_s / numpy.sqrt(least)),
        systematics_j=systematics_j,
        covered_s=covered_s,
        known=known,
        singly=singly & known,
    )
