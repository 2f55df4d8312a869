"""The windows of one name, added up: what their channels saw, how much of it, and with what doubt."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, stdev
from typing import TYPE_CHECKING

from energy_rating.files.columns import ROOM, Column
from energy_rating.files.windows import Block, Span
from energy_rating.judging import checks
from energy_rating.judging.curves import Curves, Seen
from energy_rating.judging.integration import many
from energy_rating.nouns.entries import LEAST_DURATION_S
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import (
    COMPONENTS,
    MEASURED,
    Channel,
    Component,
    Doubt,
    Measurement,
    Number,
    component_methods,
)
from energy_rating.nouns.work import Work

if TYPE_CHECKING:
    from energy_rating.judging.integration.many import Array

# Fewer windows are added one by one.
FEW = 32

# t(0.975, ν) / 1.960 by degrees of freedom ν (any table of Student's t); 1.1 beyond is safe from ν = 14 on.
STUDENT = {
    1: 6.48,
    2: 2.20,
    3: 1.62,
    4: 1.42,
    5: 1.31,
    6: 1.25,
    7: 1.21,
    8: 1.18,
    9: 1.15,
    10: 1.14,
    11: 1.12,
    12: 1.11,
    13: 1.10,
}

# Windows with less than this share of time between them are one stretch, cut in pieces.
CONTIGUOUS = 0.05

# Times are told to a millionth of a second; windows that overlap by less on average do so by rounding.
OVERLAP_S = 1e-6

# Of a pause within a tick nobody knows what was drawn in it: windows of 30 or 250 ms with pauses of 4 % at a quarter of the power came out
# 2.5 % too low (virtual clock; counter of 100 ms, 12 runs of 48 to 400 windows), those without any to 0.02 %. So far below a doubt of 1 %
# pauses must stay for short windows to be as well known as a long one.
SEAMLESS = 0.005


@dataclass(slots=True)
class _Overlapping:
    """Windows of one name that overlap, as one: from when to when, and what was counted in all of them."""

    part: Curves
    start_s: float
    end_s: float
    count: Number = 0  # of the unit that repeats are compared by


@dataclass
class Sum:
    """The windows of one name, being added up. Windows that overlap are one stretch: what was drawn in it was drawn once.

    Those of a session come in the order of their starts, so that one stretch at a time is kept, however many windows there are.
    """

    n: int = 0
    windows_s: float = 0.0  # of all windows, each by itself
    stretches: int = 0
    start_s: float = 0.0
    duration_s: float = 0.0
    work: dict[str, Number] = field(default_factory=dict)
    unit: str | None = None  # the one that repeats are compared by
    counts: Column = field(default_factory=Column)
    durations_s: Column = field(default_factory=Column)
    between_s: float = 0.0
    last_end_s: float | None = None
    seen: dict[tuple[int, str], Seen] = field(default_factory=dict)
    duration_by_part_s: dict[int, float] = field(default_factory=dict)
    open: _Overlapping | None = None

    def add(self, part: Curves, span: Span) -> None:
        if self.n == 0:
            self.start_s = span.start_s
        self.n += 1
        self.windows_s += span.end_s - span.start_s
        for unit, amount in span.work.items():
            self.work[unit] = self.work.get(unit, 0) + amount
        count = span.work.get(self.unit, 0) if self.unit is not None else 0
        open_ = self.open
        if open_ is not None and open_.part is part and span.start_s < open_.end_s:
            open_.end_s = max(open_.end_s, span.end_s)
            open_.count += count
            return
        self.finish()
        self.open = _Overlapping(part, span.start_s, span.end_s, count)

    def add_block(self, part: Curves, block: Block) -> None:
        """Adds many windows; what comes of it is the same as one by one."""
        work = dict(self.work)
        amounts = block.amounts() if len(block) >= FEW and block.are_usual else None
        for unit, some in (amounts or {}).items():
            added = some.added_to(work.get(unit, 0))
            if added is None:
                amounts = None
                break
            work[unit] = added
        if amounts is None:
            for span in block:
                self.add(part, span)
            return
        import numpy

        if self.n == 0:
            self.start_s = float(block.starts_s[0])
        self.n += len(block)
        self.windows_s = many.added(self.windows_s, block.ends_s - block.starts_s)
        self.work = work
        counts = numpy.zeros(len(block))
        if self.unit in amounts:
            counts[amounts[self.unit].places] = amounts[self.unit].values
        self._add_stretches(part, block.starts_s, block.ends_s, counts)

    def _add_stretches(self, part: Curves, starts_s: Array, ends_s: Array, counts: Array) -> None:
        """Adds up the stretches that windows, in the order of their starts, make; the last one stays open."""
        import numpy

        if self.open is not None and self.open.part is not part:
            self.finish()
        if self.open is not None:
            starts_s = numpy.concatenate(([self.open.start_s], starts_s))
            ends_s = numpy.concatenate(([self.open.end_s], ends_s))
            counts = numpy.concatenate(([self.open.count], counts))
        reached_s = numpy.maximum.accumulate(ends_s)
        begins = numpy.concatenate(([True], starts_s[1:] >= reached_s[:-1]))
        first = numpy.flatnonzero(begins)
        last = numpy.concatenate((first[1:] - 1, [len(starts_s) - 1]))
        starts_s, ends_s = starts_s[first], reached_s[last]
        counts = numpy.bincount(numpy.cumsum(begins) - 1, counts)
        self.open = _Overlapping(part, float(starts_s[-1]), float(ends_s[-1]), float(counts[-1]))
        starts_s, ends_s, counts = starts_s[:-1], ends_s[:-1], counts[:-1]
        if not len(starts_s):
            return
        durations_s = ends_s - starts_s
        self.stretches += len(starts_s)
        self.duration_s = many.added(self.duration_s, durations_s)
        of_part_s = self.duration_by_part_s.get(part.number, 0.0)
        self.duration_by_part_s[part.number] = many.added(of_part_s, durations_s)
        if self.unit is not None:
            many.extend(self.counts, counts)
        many.extend(self.durations_s, durations_s)
        before_s = starts_s[0] if self.last_end_s is None else self.last_end_s
        pauses_s = starts_s - numpy.concatenate(([before_s], ends_s[:-1]))
        self.between_s = many.added(self.between_s, numpy.maximum(pauses_s, 0.0))
        self.last_end_s = float(ends_s[-1])
        for channel in part.session.channels:
            seen = self.seen.setdefault((part.number, channel.id), Seen())
            energies = part.energies(channel, starts_s, ends_s)
            seen.add_many(energies, part.resolutions_s(channel, starts_s, ends_s))
            ROOM.put_away()

    def finish(self) -> None:
        """Adds up the last stretch; to be called when all windows were added."""
        open_, self.open = self.open, None
        if open_ is None:
            return
        part, span = open_.part, Span(name="", start_s=open_.start_s, end_s=open_.end_s)
        self.stretches += 1
        duration_s = span.end_s - span.start_s
        self.duration_s += duration_s
        self.duration_by_part_s[part.number] = self.duration_by_part_s.get(part.number, 0.0) + duration_s
        if self.unit is not None:
            self.counts.append(open_.count)
        self.durations_s.append(duration_s)
        if self.last_end_s is not None:
            self.between_s += max(0.0, span.start_s - self.last_end_s)
        self.last_end_s = span.end_s
        for channel in part.session.channels:
            key = part.number, channel.id
            seen = self.seen.get(key)
            if seen is None:
                seen = self.seen[key] = Seen()
            seen.add(*part.energy(channel, span), part.resolution_s(channel, span))

    @functools.cached_property
    def durations(self) -> checks.Spread:
        return checks.Spread.of(self.durations_s)

    def rates(self, values: Sequence[float]) -> list[float]:
        """Joules of each window by its work: per ``unit`` where all windows counted it, else per second."""
        by = self.counts if self.counts and all(self.counts) else self.durations_s
        return [value / amount for value, amount in zip(values, by, strict=True) if amount]

    @property
    def contiguous(self) -> bool:
        """Whether each window began where the one before it ended, so that what one edge takes the next one gives."""
        return self.stretches > 1 and self.between_s <= CONTIGUOUS * self.duration_s

    @property
    def seamless(self) -> bool:
        """Whether next to no time lay between them, so that what they hold together is known as that of one long window is."""
        return self.stretches > 1 and self.between_s <= SEAMLESS * self.duration_s

    def measurement(
        self,
        name: str,
        parts: Sequence[Curves],
        channels: Sequence[Channel],
        idle_w: Mapping[Component, Estimate],
    ) -> tuple[Measurement, dict[str, float]]:
        """The measurement, and the refresh period of each channel that its energy came from.

        Of each device one channel counts: its counter, unless its register saw more of the time; a device is never counted
        twice.
        """
        drawn = _Drawn()
        for part in parts:
            duration_s = self.duration_by_part_s.get(part.number, 0.0)
            if duration_s > 0:
                for device in part.devices:
                    self._add_device(drawn, name, part, device, duration_s)
        energy_j = drawn.energy_j()
        idle_j: dict[str, Estimate] = {
            component: power.times(self.duration_s)
            for component, power in idle_w.items()
            if component in energy_j
        }
        measurement = Measurement(
            name=name,
            n=self.n,
            start_s=self.start_s,
            duration_s=self.duration_s if self.duration_s >= LEAST_DURATION_S else 0.0,
            work=Work(self.work),
            energy_by_channel_j=drawn.by_channel_j,
            energy_j=energy_j,
            coverage=drawn.coverage(),
            validity="valid",
            idle_j=idle_j or None,
            doubt_from=drawn.doubt_from(),
            methods=component_methods(drawn.by_channel_j, channels),
        )
        return measurement, drawn.resolution_s

    def _add_device(
        self, drawn: _Drawn, name: str, part: Curves, key: tuple[Component, str], duration_s: float
    ) -> None:
        """Adds what a device drew in the windows of one session, by the channel that stands for it."""
        component, device = key
        seen_by = {channel.id: self.seen[part.number, channel.id] for channel in part.devices[key]}
        covered_s = {channel_id: seen.covered_s for channel_id, seen in seen_by.items()}
        best, energy = part.settled(key, name, part.best(part.devices[key], covered_s, duration_s), seen_by)
        seen = seen_by[best.id]
        drawn.saw(component, min(seen.covered_s, duration_s), duration_s)
        if seen.covered_s <= 0:
            return
        by_itself = energy.random
        if name == MEASURED and len(seen.values) == self.stretches:
            energy = repeated(energy, self.rates(seen.values))
        doubt = _doubt_from(best, energy, seen.covered_s, repeats=energy.random > by_itself)
        channel_id = part.renamed[best.id]
        drawn.resolution_s[channel_id] = seen.resolutions_s / len(seen.values)
        drawn.add(component, channel_id, part.names.get(device, device), energy, doubt)


@dataclass
class _Drawn:
    """What the devices drew in the windows of one name, added up device by device; ``resolution_s`` is the refresh period of each
    channel that it came from."""

    by_channel_j: dict[str, Estimate] = field(default_factory=dict)
    resolution_s: dict[str, float] = field(default_factory=dict)
    _covered_s: dict[Component, float] = field(default_factory=dict)
    _wanted_s: dict[Component, float] = field(default_factory=dict)
    _by_card: dict[Component, dict[str, list[Estimate]]] = field(default_factory=dict)
    _doubts: dict[str, list[tuple[float, Doubt]]] = field(default_factory=dict)

    def saw(self, component: Component, covered_s: float, wanted_s: float) -> None:
        """For how long a device was seen, of the time that it should have been."""
        self._wanted_s[component] = self._wanted_s.get(component, 0.0) + wanted_s
        self._covered_s[component] = self._covered_s.get(component, 0.0) + covered_s

    def add(self, component: Component, channel_id: str, card: str, energy: Estimate, doubt: Doubt) -> None:
        self._doubts.setdefault(component, []).append((energy.sigma, doubt))
        before = self.by_channel_j.get(channel_id)
        self.by_channel_j[channel_id] = energy if before is None else before.plus(energy, same_sensor=True)
        self._by_card.setdefault(component, {}).setdefault(card, []).append(energy)

    def energy_j(self) -> dict[str, Estimate]:
        # Cards of one model share their gain's error (their spread is 1.6 %, SC24 data); other devices do not.
        return {
            component: total(
                (total(group, same_sensor=True) for group in self._by_card[component].values()),
                same_sensor=False,
            )
            for component in COMPONENTS
            if component in self._by_card
        }

    def coverage(self) -> dict[str, float]:
        return {
            component: _rounded_share(self._covered_s[component] / self._wanted_s[component])
            for component in COMPONENTS
            if self._wanted_s.get(component)
        }

    def doubt_from(self) -> dict[str, Doubt]:
        """Where most of the doubt comes from, by component."""
        return {
            component: max(self._doubts[component])[1]
            for component in COMPONENTS
            if component in self._doubts and max(self._doubts[component])[0] > 0
        }


def _doubt_from(channel: Channel, energy: Estimate, seen_s: float, *, repeats: bool) -> Doubt:
    """What contributes most to the doubt of one channel's energy."""
    if channel.method == "model":
        return "model"
    gain_j = math.hypot(channel.accuracy * energy.value, (channel.accuracy_w or 0.0) * seen_s)
    lasting_j = math.sqrt(max(energy.systematic**2 - gain_j**2, 0.0))
    if gain_j >= max(lasting_j, energy.random):
        return "sensor gain"
    if lasting_j > energy.random:
        return "part-time sampling"
    if repeats:
        return "repeats"
    return "edges" if channel.method == "counter" else "part-time sampling"


def repeated(energy: Estimate, rates: Sequence[float]) -> Estimate:
    """The energy of n repeats with the random doubt that their scatter shows, where that is more than was computed.

    ``rates`` are joules of each repeat by its work. The relative doubt of their mean is s / (mean · √n), widened by Student's
    factor over the normal one at 95 %, so that the normal interval of few repeats holds as often as it says (GUM, JCGM 100:2008,
    G.3).
    """
    if len(rates) < 2 or mean(rates) <= 0:
        return energy
    relative = stdev(rates) / mean(rates) / math.sqrt(len(rates)) * STUDENT.get(len(rates) - 1, 1.1)
    return replace(energy, random=max(energy.random, relative * energy.value))


def _rounded_share(value: float) -> float:
    """A share, without the last digits that floating point adds; 1 is 1."""
    return 1.0 if value > 0.999999 else round(max(value, 0.0), 6)
