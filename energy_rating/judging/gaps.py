"""What a benchmark's devices drew between its repeats: there they rest, and work there is in no repeat. Pure.

A repeat that was cut short, or left out, leaves its energy behind: the counter goes on where its window ends. Where a benchmark's windows
follow upon each other nothing is between them, and where it cools down the devices fall to what they draw without work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from energy_rating.files.reading import Journal
from energy_rating.files.windows import named
from energy_rating.judging.curves import Curves
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import MEASURED, Component, Finding, Measurement

# The windows of a benchmark on both sides of its repeats.
BEFORE, AFTER = "warm-up", "idle-after"

# Clocks and fans come down within two seconds, or half of a shorter gap; shorter ones are no rest, and so few seconds tell nothing.
SETTLES_S, SHORTEST_S, FEWEST_S = 2.0, 1.0, 3.0

# More than half of what the work itself adds to what devices draw without it. Our choice: a card that cools down draws a few per cent more than it
# will at rest.
AS_AT_WORK = 0.5

# Work that adds less to that is not told apart from rest.
LEAST_ADDED = 0.25


def of_gaps(
    journal: Journal,
    parts: Sequence[Curves],
    measured: Measurement | None,
    idle_w: Mapping[Component, Estimate],
) -> Iterator[Finding]:
    """That the GPUs of a benchmark went on working where no repeat was."""
    energy, idle = (measured.energy_j.get("gpu") if measured is not None else None), idle_w.get("gpu")
    if measured is None or energy is None or idle is None or measured.duration_s <= 0:
        return
    if journal.task is None or journal.task.protocol is None:
        return  # whoever names windows so may do what they like between them
    at_work_w = energy.value / measured.duration_s
    if at_work_w - idle.value < LEAST_ADDED * idle.value:
        return
    joules = seconds = 0.0
    for part in parts:
        for start_s, end_s in _gaps(part):
            found = _gpu_j(part, start_s, end_s)
            if found is None:
                return
            joules, seconds = joules + found, seconds + end_s - start_s
    if seconds < FEWEST_S:
        return
    drew_w = joules / seconds
    if drew_w - idle.value > AS_AT_WORK * (at_work_w - idle.value):
        yield Finding.of(
            "work-between-repeats",
            f"the GPUs drew {drew_w:.3g} W on average in {seconds:.1f} s before, between and after the repeats, {at_work_w:.3g} W in them and "
            f"{idle.value:.3g} W without work: what was done there is in no repeat",
            measurement=MEASURED,
        )


def _gaps(part: Curves) -> Iterator[tuple[float, float]]:
    """When a benchmark rested, without the time in which devices come down. Of a stream of requests only the steady part is measured."""
    spans = part.session.spans
    if named(spans, "serving"):
        return
    in_order = sorted(named(spans, BEFORE, MEASURED, AFTER), key=lambda span: span.start_s)
    for before, after in pairwise(in_order):
        if MEASURED not in (before.name, after.name) or after.start_s - before.end_s < SHORTEST_S:
            continue
        yield before.end_s + min(SETTLES_S, (after.start_s - before.end_s) / 2), after.start_s


def _gpu_j(part: Curves, start_s: float, end_s: float) -> float | None:
    """Joules of all GPUs; None where one of them was not seen."""
    joules = 0.0
    for (component, _), candidates in part.devices.items():
        if component != "gpu":
            continue
        told = {channel.id: part.energy_between(channel, start_s, end_s) for channel in candidates}
        best = part.best(candidates, {name: one[1] for name, one in told.items()}, end_s - start_s)
        energy, covered_s = told[best.id]
        if energy is None or covered_s <= 0:
            return None
        joules += energy.value
    return joules
