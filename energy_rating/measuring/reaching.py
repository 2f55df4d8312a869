"""How much of what is counted in windows is work of those around them, and of the run.

**Upwards.** What was counted in a window is work of the window around it, of units that nobody counted in that one itself; and so on, up
to the run. Where both were counted it is the same work told twice: the larger of both stands. So no count is lost, none is taken
twice, and the work of a run only grows.

**Threads.** Of a plain thread nobody knows where it was started. Its windows stand beside those of the run's own threads and tasks that
are open when they are opened, and may tell of the same work: of each unit the larger of both counts, for each *stretch* in which the
run's own windows were open without a gap. Where none of these is open, they are windows like any other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from energy_rating.nouns.entries import MOST_FAULTS, RUN, Number, Window
from energy_rating.nouns.work import MOST_COUNTED

Amounts = dict[str, Number]

# Counts that were added up in another order differ by less; a thousandth of a unit in a thousand millions is nobody's mistake.
SAME_COUNT = 1e-9


class _ToldWork(NamedTuple):
    """What a group of outermost windows told: all of it, and that part of it that was counted with ``run.count``."""

    work: Amounts
    through: Amounts

    def less(self, other: _ToldWork) -> _ToldWork:
        return _ToldWork(_less(self.work, other.work), _less(self.through, other.through))

    def plus(self, other: _ToldWork) -> _ToldWork:
        if other is _NOTHING:
            return self
        return _ToldWork(_sum(self.work, other.work), _sum(self.through, other.through))


_NOTHING = _ToldWork({}, {})


class _BesideThreads:
    """One stretch in which windows of plain threads were opened beside the run's own."""

    def __init__(self, since: _ToldWork) -> None:
        self.since = since  # what the run's own windows had told before it
        self.until: _ToldWork | None = None  # and at its end
        self.beside = Window(RUN)


class Reached:
    """What reached one run from its windows."""

    def __init__(self) -> None:
        self.own = Window(RUN)  # from windows of the run's own threads and tasks
        self.apart = Window(RUN)  # from windows of plain threads, beside which none of those was open
        self.own_open = 0
        self._since: tuple[Amounts, Amounts] = (
            {},
            {},
        )  # as the run's own windows had told when the first of those open now was opened
        self._stretch: _BesideThreads | None = None  # the one that goes on
        self._stretches: list[_BesideThreads] = []
        # What plain threads told beyond the run's own windows, in stretches that are over.
        self._more = _NOTHING
        self._differ: tuple[str, ...] = ()

    def place(self, window: Window, around: list[Window], *, own: bool) -> None:
        """Says where the work of a window goes that is opened now: inside ``around``, the outermost first."""
        # Inside the outermost of its name stand all that are inside another of it as well.
        outermost = next(
            (number for number, one in enumerate(around) if one.name == window.name), len(around)
        )
        for between in around[outermost + 1 :]:
            between.holds_name_around = between.holds_name_around or between.name != window.name
        # Windows of one name inside each other are one measurement: the work of each is work of it.
        other = next((one for one in reversed(around) if one.name != window.name), None)
        if other is not None:
            window.above = other
        elif around:
            window.above = around[0].above
        elif own:
            if not self.own_open:
                self._begin_stretch()
            window.above = self.own
        elif self.own_open:
            if self._stretch is None:
                stretch = _BesideThreads(_added_up(*self._since))
                self._stretches.append(stretch)
                self._stretch = stretch
            window.above = self._stretch.beside
        else:
            window.above = self.apart

    def _begin_stretch(self) -> None:
        # Added up only where a window of a plain thread comes, as in next to no run.
        self._since = self.own.told()
        if not self._stretches:
            return
        told = _added_up(*self._since)
        if self._stretch is not None:
            self._stretch.until = told
            self._stretch = None
        over = [one for one in self._stretches if one.until is not None and not one.beside.holding]
        if over:
            more, differ = self._more, list(self._differ)
            for one in over:
                more = more.plus(self._beyond(one, told, _work_of(one.beside), differ))
            left = [one for one in self._stretches if one not in over]
            shown = tuple(differ[:MOST_FAULTS])
            # Python lets nothing come between these (see ``interruptions``).
            self._more = more
            self._differ = shown
            self._stretches = left

    @staticmethod
    def _beyond(stretch: _BesideThreads, own: _ToldWork, beside: _ToldWork, differ: list[str]) -> _ToldWork:
        """What the plain threads of a stretch told beyond its own windows."""
        of_own = (stretch.until or own).less(stretch.since)
        differ += (
            f"{unit}: {of_own.work[unit]:,.12g} in windows, {amount:,.12g} in threads beside them"
            for unit, amount in beside.work.items()
            if amount and of_own.work.get(unit) and not _alike(of_own.work[unit], amount)
        )
        return beside.less(of_own)

    def tell_apart(self, message: str) -> None:
        """Something was told twice, and differently."""
        if len(self._differ) < MOST_FAULTS and message not in self._differ:
            self._differ = (*self._differ, message)

    def work_of_run(
        self, whole: Window, windows: Mapping[int, Window]
    ) -> tuple[dict[str, Number], list[str]]:
        """The run's work up to now, and what was told twice and differently.

        Args:
            whole: what was counted at the run outside of windows.
            windows: those of which the work has not gone up yet, by their keys; one inside another has the larger one.
        """
        rising: dict[Window, Amounts] = {}
        for key in sorted(windows, reverse=True):
            window = windows[key]
            if window.above is not None:
                rising[window.above] = _sum(
                    rising.get(window.above, {}), window.rises(rising.get(window, {}))
                )
        own = _work_of(self.own, rising)
        differ = list(self._differ)
        told = own.plus(self._more).plus(_work_of(self.apart, rising))
        for one in self._stretches:
            told = told.plus(self._beyond(one, own, _work_of(one.beside, rising), differ))
        counted = dict(whole.work)
        work: dict[str, Number] = {}
        for unit in dict.fromkeys((*counted, *told.work)):
            through, at_run = told.through.get(unit, 0), counted.get(unit, 0)
            in_windows = told.work.get(unit, 0)
            rest = in_windows - through
            if at_run and rest > SAME_COUNT * in_windows and not _alike(rest, at_run):
                differ.append(f"{unit}: {at_run:,.12g} at the run itself, {rest:,.12g} in its windows")
            amount = max(in_windows, at_run + through)
            if amount <= MOST_COUNTED:
                work[unit] = amount
        return work, differ

    def faults(self) -> tuple[str, ...]:
        """Counts that were too much for the sum of all."""
        tallies: Collection[Window] = (self.own, self.apart, *(one.beside for one in self._stretches))
        return tuple(fault for tally in tallies for fault in tally.faults())


def _work_of(tally: Window, rising: Mapping[Window, Amounts] | None = None) -> _ToldWork:
    more = rising.get(tally) if rising else None
    if not more and not tally.has_any():
        return _NOTHING
    told = _added_up(*tally.told())
    return _ToldWork(_sum(told.work, more), told.through) if more else told


def _added_up(through: Amounts, inner: Amounts) -> _ToldWork:
    return _ToldWork(_sum(through, inner), through)


def _sum(one: Amounts, other: Mapping[str, Number]) -> Amounts:
    """Both together; it may be the first itself, which nobody changes."""
    if not other:
        return one
    if not one:
        return dict(other)
    total = dict(one)
    for unit, amount in other.items():
        total[unit] = total.get(unit, 0) + amount
    return total


def _less(one: Mapping[str, Number], other: Mapping[str, Number]) -> Amounts:
    """What is left above zero; what floating point leaves of a difference is nothing."""
    rest = {unit: amount - other.get(unit, 0) for unit, amount in one.items()}
    return {unit: amount for unit, amount in rest.items() if amount > 1e-12 * one[unit]}


def _alike(one: Number, other: Number) -> bool:
    return math.isclose(one, other, rel_tol=SAME_COUNT)
