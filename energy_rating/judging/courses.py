"""How the energy of windows of one name went on: one figure a window, and of very many what lies in each block of them.

A record holds the sum of all windows of a name; here is what they were one by one, in their order, for a curve of steps, epochs, requests
or repeats. Up to ``EXACT`` windows each is worked out as the record's sum is. Of more, the energy at each edge is taken from the course of
the counter or of the register by a straight line, which within one tick of the sensor says less; blocks of them keep their lowest and
their highest window, so that none disappears.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from energy_rating.files.reading import Journal
from energy_rating.files.windows import named, times
from energy_rating.judging.curves import Curves
from energy_rating.nouns.records import RUN, Channel, Component, Record

EXACT = 600  # windows; one takes a quarter of a millisecond
BLOCKS = 400  # as many as a picture has room for


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowBlock:
    """Some windows that follow one another: from ``first`` to ``last`` (counted from 1), joules of the lowest, the mean and the highest."""

    first: int
    last: int
    low_j: float
    mean_j: float
    high_j: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowCourse:
    """The windows of one name in their order. ``n``: how many there were; ``unseen``: of so many the sensors saw too little.

    ``exact``: each window was worked out as the record's figures are.
    """

    name: str
    component: Component
    n: int
    unseen: int
    exact: bool
    blocks: tuple[WindowBlock, ...]


def courses(journal: Journal, record: Record, component: Component) -> tuple[WindowCourse, ...]:
    """The course of each name of which there are at least two windows with an energy; those that last longest first."""
    curves = [Curves(session, number) for number, session in enumerate(journal.sessions, start=1)]
    found: list[tuple[float, WindowCourse]] = []
    for measurement in record:
        if measurement.name == RUN or measurement.n < 2 or component not in measurement.energy_j:
            continue
        used = {channel.id for channel in record.channels_of(measurement, component)}
        course = _course(curves, measurement.name, component, used)
        if course is not None:
            found.append((measurement.duration_s / measurement.n, course))
    return tuple(course for _, course in sorted(found, key=lambda item: (-item[0], item[1].name)))


def _course(curves: Sequence[Curves], name: str, component: Component, used: set[str]) -> WindowCourse | None:
    spans = [
        [(since, to) for called, since, to, closed in times(part.session.spans) if called == name and closed]
        for part in curves
    ]
    number = sum(map(len, spans))
    exact = number <= EXACT
    energies: list[float | None] = []
    for part, its in zip(curves, spans, strict=True):
        channels = list(_channels(part, component, used))
        energies += (
            (_exactly(part, channels, name) if exact else _along(part, channels, its))
            if channels
            else [None] * len(its)
        )
    blocks = tuple(_blocks(energies))
    if sum(energy is not None for energy in energies) < 2:
        return None
    return WindowCourse(
        name=name,
        component=component,
        n=number,
        unseen=sum(energy is None for energy in energies),
        exact=exact,
        blocks=blocks,
    )


def _channels(part: Curves, component: Component, used: set[str]) -> Iterator[Channel]:
    """Of each device the channel that the record's figure came from."""
    for (its, _), channels in part.devices.items():
        if its == component:
            yield next((one for one in channels if part.renamed[one.id] in used), channels[0])


def _exactly(part: Curves, channels: Sequence[Channel], name: str) -> list[float | None]:
    found: list[float | None] = []
    for span in named(part.session.spans, name):
        if not span.closed:
            continue
        energies = [part.energy(channel, span)[0] for channel in channels]
        known = [energy.value for energy in energies if energy is not None]
        found.append(math.fsum(known) if len(known) == len(channels) else None)
    return found


def _along(
    part: Curves, channels: Sequence[Channel], spans: Sequence[tuple[float, float]]
) -> list[float | None]:
    """The energy of each span on the courses of the channels; None where one of them does not reach over it."""
    totals: list[float | None] = [0.0] * len(spans)
    for channel in channels:
        energy_at, gaps = _energy_at(part, channel)
        gap_ends = [end for _, end in gaps]
        for place, (since, to) in enumerate(spans):
            before, after, sum_ = energy_at(since), energy_at(to), totals[place]
            # The first gap that ends after the window has begun is the only one that could begin before it ends.
            next_gap = bisect_right(gap_ends, since)
            cut = next_gap < len(gaps) and gaps[next_gap][0] < to
            totals[place] = (
                None if cut or sum_ is None or before is None or after is None else sum_ + after - before
            )
    return totals


def _energy_at(
    part: Curves, channel: Channel
) -> tuple[Callable[[float], float | None], Sequence[tuple[float, float]]]:
    """Joules since some start at any time, by straight lines between what is known; and where nothing is."""
    if channel.method == "counter":
        counter = part.counters[channel.id]
        ticks = list(counter.ticks)
        moments, joules = [tick.time_s for tick in ticks], [tick.energy_j for tick in ticks]
        gaps: Sequence[tuple[float, float]] = sorted(counter.gaps)
    else:
        register = part.registers[channel.id]
        moments = list(register.times)
        steps = (watts * (b - a) for (a, b), watts in zip(pairwise(moments), register.watts, strict=False))
        joules, gaps = [*accumulate(steps, initial=0.0)], sorted(register.gaps)
    reach_s = (
        2 * (channel.period_s or (moments[-1] - moments[0]) / max(len(moments) - 1, 1)) if moments else 0
    )

    def energy_at(time_s: float) -> float | None:
        if len(moments) < 2 or not moments[0] - reach_s <= time_s <= moments[-1] + reach_s:
            return None
        after = min(max(bisect_right(moments, time_s), 1), len(moments) - 1)
        a, b = moments[after - 1], moments[after]
        slope = (joules[after] - joules[after - 1]) / (b - a) if b > a else 0.0
        return joules[after - 1] + slope * (time_s - a)

    return energy_at, gaps


def _blocks(energies: Sequence[float | None]) -> Iterator[WindowBlock]:
    """Windows one by one, or as many blocks as there is room for; a block of which nothing is known is left out."""
    size = max(1, math.ceil(len(energies) / BLOCKS))
    for first in range(0, len(energies), size):
        known = [energy for energy in energies[first : first + size] if energy is not None]
        if known:
            yield WindowBlock(
                first=first + 1,
                last=min(first + size, len(energies)),
                low_j=min(known),
                mean_j=math.fsum(known) / len(known),
                high_j=max(known),
            )
