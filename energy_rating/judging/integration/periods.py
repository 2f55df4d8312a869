"""How often a counter ticks, by its readings: from ticks that were seen closely, else from what none of them contradicts."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

from energy_rating.judging.integration import many
from energy_rating.judging.integration.many import FEWEST_CLOSE
from energy_rating.nouns.records import Samples

# Counters of GPUs refresh every 20 to 100 ms (Alumet and ML.ENERGY report so); where the samples do not tell, the longest.
ASSUMED_PERIOD_S = 0.1

# So many spacings of a counter tell what is usual.
ENOUGH_SPACINGS = 1000


def learned_period_s(samples: Samples) -> float | None:
    """How often a counter ticks, from the readings themselves: the longest row of ticks that were seen closely, end to end.

    A row is at least six ticks, each known to better than 0.6 of their spacing. None if there is no such row.
    """
    if len(samples) >= many.MANY:
        return many.learned_period_s(samples.start_s, samples.end_s, samples.values)
    best: tuple[int, float] | None = None
    first = last = (0.0, 0.0)  # of the row
    length = 0

    def close_row() -> None:
        nonlocal best
        count = length - 1
        if count >= 5 and (best is None or count > best[0]):
            best = count, (sum(last) - sum(first)) / 2 / count

    start_s, value = math.nan, math.nan
    for next_start_s, end_s, next_value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        tick, same = (start_s, end_s), value == next_value or start_s != start_s
        start_s, value = next_start_s, next_value
        if same:
            continue
        if length:
            spacing = ((tick[0] + tick[1]) - (last[0] + last[1])) / 2
            typical = (
                ((last[0] + last[1]) - (first[0] + first[1])) / 2 / (length - 1) if length > 1 else spacing
            )
            if tick[1] - tick[0] < 0.6 * spacing and abs(spacing - typical) < 0.5 * typical:
                last, length = tick, length + 1
                continue
            close_row()
        first, last, length = tick, tick, 1
    close_row()
    return best[1] if best is not None else None


def usual_spacing_s(samples: Samples) -> float:
    """How far two ticks lie apart at most, as a rule, where too few were seen closely to learn a period; infinite without any.

    Of two values that follow each other, from the last reading before the first to the first reading of the second.
    """
    spacings: list[float] = []
    start_s, value, last_s = math.nan, math.nan, math.nan
    for next_start_s, end_s, next_value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        if value != next_value and not math.isnan(start_s):
            if not math.isnan(last_s):
                spacings.append(end_s - last_s)
            last_s = start_s
        start_s, value = next_start_s, next_value
        if len(spacings) >= ENOUGH_SPACINGS:
            break
    return median(spacings) if spacings else math.inf


# A period is told by its bounds where they lie within this factor of each other: readings that come late leave no more.
CLOSE_BOUNDS = 2.0

# A tick that came early and one that came late are so much of a period nearer or further (95 to 104 ms for 100; SC24 data).
UNEVEN = 0.1


def bounded_period_s(samples: Samples) -> float | None:
    """How often a counter ticks, where its readings came too late to see its ticks closely: what none of them contradicts.

    Between two readings of one value no tick came, and the period is longer; two ticks that were seen one after the other are a period apart
    or several. Ticks between those bounds are counted, and the time is divided by their number; where nobody can tell how many there were,
    the longest period possible. None if even the bounds are far apart.
    """
    ticks: list[tuple[float, float]] = []
    least_s, most_s = 0.0, math.inf
    held_since_s = before_s = (
        math.nan
    )  # the end of the first, and the start of the last reading of this value
    previous = math.nan
    for start_s, end_s, value in zip(samples.start_s, samples.end_s, samples.values, strict=True):
        if value == previous:
            least_s = max(least_s, start_s - held_since_s)
        else:
            if previous == previous:
                if ticks:
                    most_s = min(most_s, end_s - ticks[-1][0])
                ticks.append((before_s, end_s))
            previous, held_since_s = value, end_s
        before_s = start_s
    least_s, most_s = least_s / (1 + UNEVEN), most_s * (1 + UNEVEN)
    if len(ticks) < FEWEST_CLOSE or not 0 < least_s <= most_s <= CLOSE_BOUNDS * least_s:
        return None
    middle_s = math.sqrt(least_s * most_s)
    # The spacings of ticks that were seen well enough to tell how many periods they are.
    close = [(since + until) / 2 for since, until in ticks if until - since < middle_s / 2]
    spacings = [(b - a, round((b - a) / middle_s)) for a, b in pairwise(close)]
    known = [(spacing_s, count) for spacing_s, count in spacings if 1 <= count <= 2]
    if len(known) >= FEWEST_CLOSE:
        found_s = sum(spacing_s for spacing_s, _ in known) / sum(count for _, count in known)
        if least_s <= found_s <= most_s:
            return found_s
    return most_s
