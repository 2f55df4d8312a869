"""Whether the counter of a device and its power register tell the same: over every second, and so over every window. Pure.

Both are looked at in blocks from one tick to another, a second or more apart, where the counter's energy needs no sharing out. A block in
which they differ by more than both leave open is a suspicion; which windows it spoils is reckoned from the windows themselves. So one bad
second of a long run is found in its window, though the run as a whole agrees.

A register that sees a part of the time only (A100, H100: a quarter) may show too much or too little of a load that keeps step with it, and
shows both as the two drift against each other. A fault of the counter has one sign. Suspicions of both signs that come near each other in
size are therefore the register's, and none; unless the counter tells what the register told some time before: then it is late.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

from energy_rating.files.windows import Span, named
from energy_rating.judging.integration import many
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.gaps import Energy
from energy_rating.judging.integration.register import Register
from energy_rating.judging.integration.ticks import Tick, Ticks
from energy_rating.nouns.records import RUN

# Counter and integrated power of one GPU agree to about 1 % where both are sound (ml-energy/zeus#12). The register's own part-time
# sampling explains a few per cent, so only more is a finding; from ten seconds on sampling is no explanation for so much.
DISAGREES, DISAGREES_BADLY = 0.05, 0.10
COMPARED_FROM_S = 10.0

# The shortest time that is compared, and in how many of a register's periods and readings: what it shows late is then a small part.
BLOCK_S, BLOCK_PERIODS, BLOCK_READINGS = 1.0, 3.0, 4

# Longer blocks are made of sparse readings (quiet times keep a mean power every ten seconds), up to so long.
LONGEST_BLOCK_S = 60.0

# So many standard deviations that the register itself leaves open are no suspicion: of a week's 600,000 seconds 40 pass 4.
SIGMAS = 4.0

# What the two saw of a window may differ by such a share of it; that one of them fell silent is said elsewhere.
SAME_TIME = 0.025

# Nor are so few watts: idle cards are read to a watt.
WATTS_APART = 2.0

# A counter is looked for to be so late.
LATE_S = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

# A counter that runs at another rate does so in nearly all blocks, of powers that differ by so much; our choice. (Seconds in which the power
# stepped, or which a gap reaches into, may be missing.)
FEWEST_BLOCKS, AT_ALL_TIMES, UNLIKE_POWERS = 3, 0.75, 1.5

# Suspicions of the other sign that come to this share of those of one sign make both the register's.
BOTH_WAYS = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferingTime:
    """A time in which the two differ: by ``apart_j`` (the register's less the counter's)."""

    start_s: float
    end_s: float
    apart_j: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """What the counter said about all windows of a name, and what it would have been by the register where they differ.

    ``sampling``: a load that keeps step with the register could explain it.
    """

    name: str
    counted_j: float
    integrated_j: float
    duration_s: float
    sampling: bool

    @property
    def apart(self) -> float:
        """By how much the register's is more, as a share of the counter's."""
        return self.integrated_j / self.counted_j - 1 if self.counted_j > 0 else math.inf

    @property
    def is_bad(self) -> bool:
        """Whether nothing that a sound sensor does explains it."""
        return abs(self.apart) > DISAGREES_BADLY and (self.duration_s >= COMPARED_FROM_S or not self.sampling)


class DifferingTimes(Sequence[DifferingTime]):
    """Blocks in the order of time, and quickly which of them a window reaches into."""

    def __init__(self, blocks: Sequence[DifferingTime]) -> None:
        self._blocks = blocks
        self._starts = [block.start_s for block in blocks]
        self._ends = [block.end_s for block in blocks]
        self._sums = [0.0, *accumulate(block.apart_j for block in blocks)]

    def __len__(self) -> int:
        return len(self._blocks)

    @overload
    def __getitem__(self, place: int) -> DifferingTime: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[DifferingTime]: ...
    def __getitem__(self, place: int | slice) -> DifferingTime | Sequence[DifferingTime]:
        return self._blocks[place]

    def touch(self, span: Span) -> bool:
        """Whether a window reaches into one of them."""
        return bisect_right(self._ends, span.start_s) < bisect_left(self._starts, span.end_s)

    def apart_j(self, span: Span) -> float:
        """By how much the two differ in a window: of each block the share that lies in it."""
        first, last = bisect_right(self._ends, span.start_s), bisect_left(self._starts, span.end_s)
        apart_j = self._sums[last] - self._sums[first]
        for block in {self._blocks[first], self._blocks[last - 1]}:
            outside_s = max(0.0, span.start_s - block.start_s) + max(0.0, block.end_s - span.end_s)
            apart_j -= block.apart_j * outside_s / (block.end_s - block.start_s)
        return apart_j


def suspicions(counter: Counter, register: Register) -> DifferingTimes:
    """The blocks in which the two differ by more than they leave open."""
    found = [block for block in _blocks(counter, register) if _differ(block, counter, register)]
    more = sum(block.apart_j for block in found if block.apart_j > 0)
    less = -sum(block.apart_j for block in found if block.apart_j < 0)
    both = min(more, less) > BOTH_WAYS * max(more, less)
    return DifferingTimes([] if both and not _is_late(found, register) else found)


def _is_late(blocks: Sequence[DifferingTime], register: Register) -> bool:
    """Whether the counter tells what the register told some time before: it then misses at each rise what it has too much of at each fall."""
    apart_j = sum(abs(block.apart_j) for block in blocks)
    for late_s in LATE_S:
        left_j = 0.0
        for block in blocks:
            counted_j = register.energy_j(block.start_s, block.end_s) - block.apart_j
            left_j += abs(register.energy_j(block.start_s - late_s, block.end_s - late_s) - counted_j)
        if left_j < BOTH_WAYS * apart_j:
            return True
    return False


def _blocks(counter: Counter, register: Register) -> Iterator[DifferingTime]:
    """The parts of the trace in which the two differ at all; those that a gap of either reaches into are left out."""
    if not register.times:
        return
    shortest_s = max(BLOCK_S, BLOCK_PERIODS * register.period_s)
    first_s, last_s = register.times[0], register.times[-1]
    if isinstance(counter.ticks, Ticks) and len(register.times) >= many.MANY:
        yield from _many_blocks(counter, counter.ticks.energies_j(), register, shortest_s)
        return
    held: tuple[float, float] | None = None  # where the block before began
    since_s = since_j = time_s = energy_j = math.nan
    for tick in counter.ticks:
        if tick.time_s < first_s:
            continue
        if tick.time_s > last_s:
            break
        time_s, energy_j = tick.time_s, tick.energy_j
        took_s = time_s - since_s
        if took_s < shortest_s or (
            took_s < LONGEST_BLOCK_S and register.readings(since_s, time_s) < BLOCK_READINGS
        ):
            continue
        if held is not None:
            yield from _block(*held, since_s, since_j, counter, register)
        held = None if math.isnan(since_s) else (since_s, since_j)
        since_s, since_j = time_s, energy_j
    # What is left at the end is too short for a block of its own.
    if held is not None:
        yield from _block(*held, time_s, energy_j, counter, register)


def _many_blocks(
    counter: Counter, energies_j: Sequence[float], register: Register, shortest_s: float
) -> Iterator[DifferingTime]:
    """The same of many ticks."""
    first = bisect_left(counter.times_s, register.times[0])
    last = bisect_right(counter.times_s, register.times[-1])
    times_s, energies_j = counter.times_s[first:last], energies_j[first:last]
    held: list[int] = []
    for borders in many.block_borders(
        times_s,
        register.times,
        shortest_s=shortest_s,
        longest_s=LONGEST_BLOCK_S,
        least_readings=BLOCK_READINGS,
    ):
        known = held + borders[1:] if held else borders
        yield from _of_borders(known[:-1], times_s, energies_j, counter, register)
        held = known[-2:]
    # What is left at the end is too short for a block of its own.
    if held:
        yield from _of_borders([held[0], len(times_s) - 1], times_s, energies_j, counter, register)


def _of_borders(
    borders: list[int],
    times_s: Sequence[float],
    energies_j: Sequence[float],
    counter: Counter,
    register: Register,
) -> Iterator[DifferingTime]:
    """The blocks between some ticks in which the two differ."""
    if len(borders) < 2 or borders[0] == borders[1]:
        return
    times, energies = many.arrays(times_s, energies_j)
    since_s, energy_j = times[borders], energies[borders]
    areas_j = register.energies_j(since_s)
    took_s, counted_j = since_s[1:] - since_s[:-1], energy_j[1:] - energy_j[:-1]
    apart_j = (areas_j[1:] - areas_j[:-1]) - counted_j
    far = (abs(apart_j) > DISAGREES * counted_j + WATTS_APART * took_s) & (took_s < LONGEST_BLOCK_S)
    for place in far.nonzero()[0].tolist():
        start_s, end_s = float(since_s[place]), float(since_s[place + 1])
        if not counter.has_gap(start_s, end_s) and not register.has_gap(start_s, end_s):
            yield DifferingTime(start_s=start_s, end_s=end_s, apart_j=float(apart_j[place]))


def _block(
    since_s: float, since_j: float, until_s: float, until_j: float, counter: Counter, register: Register
) -> Iterator[DifferingTime]:
    """The time from one tick to another, if the two differ in it."""
    took_s, counted_j = until_s - since_s, until_j - since_j
    if took_s >= LONGEST_BLOCK_S:
        return
    apart_j = register.energy_j(since_s, until_s) - counted_j
    if (
        abs(apart_j) > DISAGREES * counted_j + WATTS_APART * took_s
        and not counter.has_gap(since_s, until_s)
        and not register.has_gap(since_s, until_s)
    ):
        yield DifferingTime(start_s=since_s, end_s=until_s, apart_j=apart_j)


def _differ(block: DifferingTime, counter: Counter, register: Register) -> bool:
    """Whether that is more than what both leave open, but for their gains, which are one on one card."""
    counted, integrated = (one.between(block.start_s, block.end_s) for one in (counter, register))
    if counted is None or integrated is None:
        return False
    # Ticks that were seen badly (a machine that was busy) leave their time open, and with it what the register holds against them: the block
    # reckoned with that in mind is a second witness, and must say the same.
    apart_j = min(abs(block.apart_j), abs(integrated.energy.value - counted.energy.value))
    return apart_j > SIGMAS * _open_j(counted, integrated, register)


def _open_j(counted: Energy, integrated: Energy, register: Register) -> float:
    return math.hypot(counted.energy.random, integrated.energy.random, register.lasting_j(integrated))


def _differ_in(counter: Counter, register: Register, spans: Sequence[Span]) -> bool:
    """Whether the two differ in one of some windows as a whole by more than both leave open, though in no second of it."""
    for span in spans:
        if span.end_s - span.start_s < BLOCK_S:
            continue
        counted = counter.between(span.start_s, span.end_s, None, register)
        integrated = register.between(span.start_s, span.end_s)
        if (
            counted is not None
            and integrated is not None
            and abs(integrated.covered_s - counted.covered_s) <= SAME_TIME * counted.covered_s
        ):
            apart_j = abs(integrated.energy.value - counted.energy.value)
            least_j = DISAGREES * counted.energy.value + WATTS_APART * counted.covered_s
            if apart_j > max(least_j, SIGMAS * _open_j(counted, integrated, register)):
                return True
    return False


def stands_still(counter: Counter, register: Register) -> bool:
    """Whether the register was alive, and then showed one value to the end, though what was counted meanwhile went up or down."""
    if not register.times:
        return False
    place = len(register.watts)
    while place > 0 and register.watts[place - 1] == register.watts[-1]:
        place -= 1
    since_s = register.times[place] if place else -math.inf
    if not place or register.last_s - since_s < FEWEST_BLOCKS * BLOCK_S:
        return False
    powers: list[float] = []
    before: Tick | None = None
    for tick in counter.ticks:
        if before is not None and tick.time_s - before.time_s >= BLOCK_S:
            powers.append((tick.energy_j - before.energy_j) / (tick.time_s - before.time_s))
            before = tick
        elif before is None and tick.time_s >= since_s:
            before = tick
    return len(powers) >= FEWEST_BLOCKS and max(powers) > UNLIKE_POWERS * min(powers)


def _at_one_rate(counter: Counter, register: Register) -> bool:
    """Whether the counter tells at all times, of much and of little power, the same share of what the register tells: no load does that."""
    blocks = list(_blocks(counter, register))
    if len(blocks) < FEWEST_BLOCKS:
        return False
    apart_s = sum(block.end_s - block.start_s for block in blocks)
    if apart_s < AT_ALL_TIMES * (
        min(counter.last_s, register.last_s) - max(counter.first_s, register.first_s)
    ):
        return False
    powers, shares = [], []
    for block in blocks:
        integrated_j = register.energy_j(block.start_s, block.end_s)
        if integrated_j <= 0:
            return False
        powers.append(integrated_j / (block.end_s - block.start_s))
        shares.append(1 - block.apart_j / integrated_j)
    return max(powers) > UNLIKE_POWERS * min(powers) and max(shares) - min(shares) <= DISAGREES * max(shares)


def disagreements(
    counter: Counter, register: Register, spans: Sequence[Span], *, limit_w: float
) -> Iterator[Disagreement]:
    """The names of whose windows' energy the two tell differently, by more than 5 %. ``limit_w``: what the device draws at most."""
    blocks = suspicions(counter, register)
    if not blocks and not _differ_in(counter, register, named(spans, RUN)):
        return
    low_w = min(min(register.watts), limit_w / 10)
    at_one_rate = _at_one_rate(counter, register)
    # One suspicion is enough to look at every window that is long enough to be compared by itself: a load that swings hides in the register's
    # own doubt, second by second, what all of them together tell.
    for name in dict.fromkeys(
        span.name for span in spans if span.end_s - span.start_s >= BLOCK_S or blocks.touch(span)
    ):
        counted_j = apart_j = open_j = lasting_j = duration_s = 0.0
        suspected = False
        for span in named(spans, name):
            suspected = suspected or blocks.touch(span)
            counted = counter.between(span.start_s, span.end_s, None, register)
            if counted is None:
                continue
            counted_j += counted.energy.value
            duration_s += counted.covered_s
            integrated = register.between(span.start_s, span.end_s)
            if (
                integrated is not None
                and span.end_s - span.start_s >= BLOCK_S
                and abs(integrated.covered_s - counted.covered_s) <= SAME_TIME * counted.covered_s
            ):
                apart_j += integrated.energy.value - counted.energy.value
                open_j = math.hypot(open_j, counted.energy.random, integrated.energy.random)
                lasting_j += register.lasting_j(integrated)
            elif blocks.touch(span):
                apart_j += blocks.apart_j(span)
        # Where no second of it was suspicious, idle cards are read to a watt.
        least_j = DISAGREES * counted_j + (0.0 if suspected else WATTS_APART * duration_s)
        if abs(apart_j) <= max(least_j, 2 * math.hypot(open_j, lasting_j)):
            continue
        integrated_j = max(0.0, counted_j + apart_j)
        seen_j, unseen_s = (1 - register.unseen) * integrated_j, register.unseen * duration_s
        yield Disagreement(
            name=name,
            counted_j=counted_j,
            integrated_j=integrated_j,
            duration_s=duration_s,
            sampling=not at_one_rate
            and seen_j + unseen_s * low_w <= counted_j <= seen_j + unseen_s * limit_w,
        )
