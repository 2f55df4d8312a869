"""How far a run has come, while it goes on: the share that is done, the energy so far, what it will come to, and the time left.

Nothing is read again: the sampler's readings are added up as they come, and a few dozen points of the course are kept, however long it
is. These are figures to plan with. What was measured is in the record, which is worked out from the journal and says more of its doubt.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from energy_rating.measuring.so_far import EnergySoFar
from energy_rating.nouns import threads
from energy_rating.nouns.quantities import Estimate, duration, scaled, with_doubt

# Where a run goes on for long, lines come more rarely: every fiftieth of its time. At one a minute, three weeks are 370 lines.
RAREST_SHARE = 1 / 50

MOST_POINTS = 64  # of a course; when there are more, every other one goes
FEWEST_BLOCKS, MOST_BLOCKS = 4, 16

# Of the half width: how much of the difference between going on as lately and going on as it has changed so far, and of the scatter.
# Runs at random, with 300 seeds each, 6 to 31 blocks, 1 to 30 % of scatter from step to step: at half-way the interval held the true
# total of 99 of 100 runs that drift linearly (up to ± 50 %), 100 that approach a level, 95 random walks (up to 20 %), 99 with noise that
# lasts. Of those that jump once, at random, by up to 20 % it held 80: what comes later cannot be foreseen.
OF_TREND, OF_SCATTER = 0.75, 1.8


@dataclass(slots=True)
class Loop:
    """A loop that is going on: of so many steps, so many are done."""

    name: str
    total: int
    done: int = 0


@dataclass(slots=True)
class Course:
    """Points of a course: which share was done, after how many joules and seconds. As many as are kept, however many come."""

    points: list[tuple[float, float, float]] = field(default_factory=list)
    _apart: float = 0.0

    def add(self, share: float, joules: float, seconds: float) -> None:
        """A point further on."""
        if self.points and share - self.points[-1][0] < max(self._apart, 1e-12):
            return
        self.points.append((share, joules, seconds))
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self._apart = (self.points[-1][0] - self.points[0][0]) / (MOST_POINTS // 2)

    def rates(self, of: int) -> list[float]:
        """Joules (1) or seconds (2) per share, in blocks of about the same share, the latest last."""
        points = self.points
        if len(points) < FEWEST_BLOCKS + 1:
            return []
        wide = (points[-1][0] - points[0][0]) / min(MOST_BLOCKS, len(points) - 1)
        rates, since = [], points[0]
        for point in points[1:]:
            if point[0] - since[0] >= wide * (1 - 1e-9):
                rates.append((point[of] - since[of]) / (point[0] - since[0]))
                since = point
        return rates


def forecast(rates: Sequence[float], blocks_left: float) -> Estimate | None:
    """The mean rate of the blocks to come, from those that were; None from too few.

    Between going on as lately (the last quarter) and as it has changed so far (a straight line); the doubt holds both, the scatter about the
    line, and that of a level that wanders: its steps are those between blocks a quarter of the course apart.
    """
    n = len(rates)
    if n < FEWEST_BLOCKS:
        return None
    x = [number - (n - 1) / 2 for number in range(n)]
    spread = sum(one * one for one in x)
    mean = statistics.fmean(rates)
    slope = sum(one * rate for one, rate in zip(x, rates, strict=True)) / spread
    rest = [rate - mean - slope * one for one, rate in zip(x, rates, strict=True)]
    scatter = sum(one * one for one in rest) / (n - 2)
    squares = sum(one * one for one in rest)
    follows = sum(one * other for one, other in itertools.pairwise(rest)) / squares if squares else 0.0
    lasting = min(max(follows + 2 / n, 0.0), 0.9)
    lasting = (1 + lasting) / (1 - lasting)  # noise that lasts averages out so much later
    left = max(blocks_left, 1.0)
    ahead = (n - 1) / 2 + (left + 1) / 2
    line = mean + slope * ahead
    quarter = max(1, n // 4)
    level = statistics.fmean(rates[-quarter:])
    of_line = scatter * lasting * (1 / n + ahead * ahead / spread + 1 / left)
    apart = [(later - rate) ** 2 for rate, later in zip(rates, rates[quarter:], strict=False)]
    wandering = statistics.fmean(apart) / quarter * (left + quarter) / 3
    variance = max(min(of_line, 1.5 * wandering), 0.8 * wandering) + scatter / quarter
    half = OF_TREND * abs(line - level) + OF_SCATTER * math.sqrt(variance)
    return Estimate(value=max((line + level) / 2, 0.0), random=half / 1.96, systematic=0.0)


class ProgressLines:
    """Says every so often how far a run has come. ``heard``, ``tick`` are called by the sampler's thread, the rest by the program's."""

    def __init__(
        self, every_s: float, say: Callable[[str], None], begun_s: float, tally: EnergySoFar | None = None
    ) -> None:
        self.tally = EnergySoFar() if tally is None else tally
        self._every_s = every_s
        self._say = say
        self._begun_s = self._said_s = begun_s
        self._loops: tuple[Loop, ...] = ()  # the outermost first
        self._expected: Loop | None = None
        self._of: Loop | None = None  # what the course is of
        self._course = Course()
        self._saying = threads.lock()

    def expect(self, name: str, total: int) -> None:
        """So many windows of a name are to come in the whole run."""
        self._expected = Loop(name, total)

    def enter(self, name: str, total: int) -> Loop:
        """A loop begins inside those that go on."""
        loop = Loop(name, total)
        self._loops = (*self._loops, loop)
        return loop

    def leave(self, loop: Loop) -> None:
        """A loop has ended."""
        self._loops = tuple(one for one in self._loops if one is not loop)

    def closed(self, name: str) -> None:
        """A window was closed."""
        expected = self._expected
        if expected is not None and expected.name == name:
            expected.done += 1

    def _share(self) -> tuple[Loop | None, float]:
        """What the share is of, and the share: of the outermost loop, with the part of its present step that the loops inside have done."""
        loops = (self._expected,) if self._expected is not None else self._loops
        share = 0.0
        for loop in reversed(loops):
            share = min((loop.done + share) / loop.total, 1.0)
        return (loops[0] if loops else None), share

    def tick(self, now_s: float) -> None:
        """Looks how far it has come, and says so when it is time."""
        found = self.tally.so_far()
        if found is None:
            return
        component, joules = found
        of, share = self._share()
        if of is not self._of:
            self._of, self._course = of, Course()
        if of is not None:
            self._course.add(share, joules, now_s)
        elapsed_s = now_s - self._begun_s
        if now_s - self._said_s >= max(self._every_s, elapsed_s * RAREST_SHARE):
            self._said_s = now_s
            self._tell(self._line(component, joules, elapsed_s, of, share))

    def at_end(self) -> Estimate | None:
        """The joules at the end of what is going on, as far as can be told."""
        found = self.tally.so_far()
        of, share = self._share()
        rates = self._course.rates(1)
        if found is None or of is None or of is not self._of or not rates:
            return None
        points = self._course.points
        rate = forecast(rates, (1 - share) / ((points[-1][0] - points[0][0]) / len(rates)))
        return None if rate is None else _added(rate.times(1 - share), found[1])

    def _line(self, component: str, joules: float, elapsed_s: float, of: Loop | None, share: float) -> str:
        so_far = f"{component} {scaled(joules, 'J')} so far"
        if of is None:
            return f"{so_far}, in {duration(elapsed_s)}"
        pieces = [f"{share * 100:.0f} % ({of.name} {of.done:,} of {of.total:,})", so_far]
        end = self.at_end()
        if end is not None:
            pieces.append(f"{with_doubt(end, 'J')} at the end")
        seconds = self._course.rates(2)
        if seconds:
            left = forecast(seconds, 1.0)
            if left is not None:
                pieces.append(f"{duration(left.value * (1 - share))} left")
        return " · ".join(pieces)

    def _tell(self, line: str) -> None:
        """In a thread of its own: where nobody takes it, as a pipe that is full, no reading waits for that, and no more lines are said."""
        if not self._saying.acquire(blocking=False):
            return

        def say() -> None:
            try:
                self._say(line)
            except Exception:  # noqa: S110 - a closed stderr is no reason to end anything, and there is nowhere to say it
                pass
            finally:
                self._saying.release()

        try:
            threads.start_new(say)
        except (RuntimeError, MemoryError):  # no thread can be had: nothing is said
            self._saying.release()


def _added(rest: Estimate, so_far: float) -> Estimate:
    """What is certain, and what is to come."""
    return Estimate(value=so_far + rest.value, random=rest.random, systematic=rest.systematic)
