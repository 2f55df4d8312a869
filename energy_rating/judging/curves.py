"""One session with the energy curves of its channels: which of them stands for a device, and how far they may be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from energy_rating.files.columns import ROOM, Column
from energy_rating.files.journal import JOURNAL_SCHEMAS
from energy_rating.files.reading import Session
from energy_rating.files.windows import Span, named
from energy_rating.judging import checks
from energy_rating.judging.agreement import (
    BLOCK_S,
    DISAGREES_BADLY,
    Disagreement,
    disagreements,
    stands_still,
)
from energy_rating.judging.integration import many, many_windows
from energy_rating.judging.integration.counter import REGISTER_ONLY, Counter
from energy_rating.judging.integration.gaps import Energy, covered_s
from energy_rating.judging.integration.register import UNSEEN_SHARE, Register
from energy_rating.judging.limits import LEAST_SHARE, SUSTAINED, counted_w, limits_w, peak_w
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import METHODS, RUN, Channel, Component, Finding, Samples

if TYPE_CHECKING:
    from energy_rating.judging.integration.many import Array

# A counter that jumps or starts again more often than this, and at more than a tenth of its ticks, counts nothing.
MOST_JUMPS = 3

# Models are loaded beside a run that has begun, and tell of every second when it is over: so much may be missing at its ends.
PROLONGED_S = 3.0
NO_SAMPLES = Samples(start_s=Column().values(), end_s=Column().values(), values=Column().values())

# A register shows at most 60 % too much of a load that keeps exact step with it (squares of 100 and 400 W); this much is rare.
FAR_APART = 0.5

# Fewer ticks tell no rate.
FEWEST_TICKS = 5

# A less direct channel of a device is taken where it saw so much more of the time.
CLEARLY_MORE = 0.05


def _prolonged(samples: Samples, last_s: float) -> Samples:
    """The readings of a model that knows one power alone, from the start of the run to its end: its first or last second may be missing."""
    if not len(samples) or min(samples.values) != max(samples.values):
        return samples
    starts, ends = Column(), Column()
    starts.extend(samples.start_s)
    ends.extend(samples.end_s)
    if 0.0 < starts[0] <= PROLONGED_S:
        starts[0] = 0.0
    if 0.0 < last_s - ends[len(ends) - 1] <= PROLONGED_S:
        ends[len(ends) - 1] = last_s
    return replace(samples, start_s=starts.values(), end_s=ends.values())


class Curves:
    """One session with the energy curves of its channels."""

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.number = number
        self.names = {device.id: device.name for device in session.environment.devices}
        self.limits_w = limits_w(session)
        self.counters: dict[str, Counter] = {}
        self.registers: dict[str, Register] = {}
        # Where counter and register of a device tell windows differently, by their name.
        self.apart: dict[tuple[Component, str], dict[str, Disagreement]] = {}
        self.still: set[tuple[Component, str]] = set()  # whose register stopped moving
        self.findings: list[Finding] = [
            placed
            for finding, found_s in zip(session.findings, session.found_s, strict=True)
            for placed in checks.of_moment(
                checks.beside_what_is_measured(finding, session.channels), found_s, session.spans
            )
        ]
        # What this session calls a channel, and what the record calls it: they differ only when a resumed run found another
        # device under the same name.
        self.renamed: dict[str, str] = {channel.id: channel.id for channel in session.channels}
        # The channels of each device, the most direct first.
        self.devices: dict[tuple[Component, str], list[Channel]] = {}
        for channel in sorted(session.channels, key=lambda item: METHODS.index(item.method)):
            self.devices.setdefault((channel.component, channel.device), []).append(channel)
        for channel in session.channels:
            limit_w = peak_w(channel, self.limits_w)
            samples = session.samples[channel.id]
            if channel.method == "counter":
                counter = Counter(
                    samples,
                    accuracy=channel.accuracy,
                    accuracy_w=channel.accuracy_w or 0.0,
                    period_s=channel.period_s,
                    wraps_at_j=channel.wraps_at_j,
                    limit_w=limit_w
                    if session.schema == JOURNAL_SCHEMAS[0]
                    else counted_w(channel, self.limits_w, samples),
                    died_at_s=None if session.ended else session.last_s,
                    first_reckoning=session.schema == JOURNAL_SCHEMAS[0],
                )
                self.counters[channel.id] = counter
                self.findings += checks.of_counter(
                    channel,
                    counter,
                    beside=any(
                        one.method == "power" for one in self.devices[channel.component, channel.device]
                    ),
                )
            else:
                modelled = channel.method == "model"
                register = Register(
                    _prolonged(samples, session.last_s) if modelled else samples,
                    accuracy=channel.accuracy if modelled else self._gain(channel),
                    accuracy_w=channel.accuracy_w or 0.0,
                    period_s=channel.period_s,
                    # A register holds a value for its period, and is read at any moment of it; a model tells of the span.
                    lag_s=0.0 if modelled else (channel.period_s or 0.0) / 2,
                    # Only GPUs' registers are known to look for a part of the time.
                    unseen=UNSEEN_SHARE if channel.component == "gpu" and not modelled else 0.0,
                    limit_w=limit_w,
                    first_reckoning=modelled or session.schema == JOURNAL_SCHEMAS[0],
                )
                self.registers[channel.id] = register
                self.findings += (
                    found
                    if session.schema == JOURNAL_SCHEMAS[0]
                    else checks.beside_what_is_measured(found, session.channels)
                    for found in checks.of_register(channel, register)
                )
            ROOM.put_away()
        self._compare()
        for (component, _), channels in self.devices.items():
            if component == "gpu" and channels[0].method == "power":
                self.findings.append(checks.summed_from_power(channels[0]))

    def _gain(self, channel: Channel) -> float:
        """What is uncertain about a register's energy for good: its gain, and what no counter checks where there is none."""
        alone = (
            channel.component == "gpu"
            and self.devices[channel.component, channel.device][0].method != "counter"
        )
        return math.hypot(channel.accuracy, REGISTER_ONLY) if alone else channel.accuracy

    def _compare(self) -> None:
        """Counters against the registers of the same devices: which of them cannot be, and in which windows they differ."""
        runs = named(self.session.spans, RUN)
        for key, channels in self.devices.items():
            ROOM.put_away()
            counters = [channel for channel in channels if channel.method == "counter"]
            registers = [channel for channel in channels if channel.method == "power"]
            if len(counters) > 1 or len(registers) > 1:
                self.findings.append(checks.told_twice(counters if len(counters) > 1 else registers))
            if not registers:
                for counter in counters:
                    if reason := self._cannot_be_alone(key, counter):
                        # Nothing is left of it: what was never seen plausibly is absent, and no zero.
                        self.counters[counter.id] = Counter(NO_SAMPLES, accuracy=counter.accuracy)
                        self.findings = [
                            one
                            for one in self.findings
                            if (one.code, one.channel) != ("counter-reset", counter.id)
                        ]
                        self.findings.append(checks.not_counted(counter, reason, instead=False))
            if not counters or not registers:
                continue
            reason = self._cannot_be(key, counters[0], registers[0])
            if reason:
                self.devices[key] = [channel for channel in channels if channel is not counters[0]]
                self.findings.append(checks.not_counted(counters[0], reason))
                register = self.registers[registers[0].id]
                register.accuracy = self._gain(registers[0])
                continue
            bad = False
            for span in runs:
                counted, counted_s = self.energy(counters[0], span)
                integrated, integrated_s = self.energy(registers[0], span)
                # What saw different times is not comparable; that one of them fell silent is said elsewhere.
                alike = abs(counted_s - integrated_s) <= CLEARLY_MORE / 2 * (span.end_s - span.start_s)
                if counted is not None and integrated is not None and alike:
                    register = self.registers[registers[0].id]
                    lasting_j = register.lasting_j(Energy(energy=integrated, covered_s=integrated_s))
                    open_j = math.hypot(counted.random, integrated.random, lasting_j)
                    found = list(
                        checks.of_pair(counters[0], counted, integrated, span.end_s - span.start_s, open_j)
                    )
                    self.findings += found
                    bad = bad or any(finding.severity == "disqualifies" for finding in found)
            apart = list(
                disagreements(
                    self.counters[counters[0].id],
                    self.registers[registers[0].id],
                    self.session.spans,
                    limit_w=self.limits_w.get(key, peak_w(counters[0], self.limits_w)),
                )
            )
            if not bad:
                self.findings += [checks.of_windows_apart(counters[0], found) for found in apart]
            # Figures of the first schema stay as they were published, doubted or not.
            if self.session.schema != JOURNAL_SCHEMAS[0]:
                self.apart[key] = {found.name: found for found in apart}
                if apart and stands_still(self.counters[counters[0].id], self.registers[registers[0].id]):
                    self.still.add(key)
                taken = [found.name for found in apart if self._is_registers(key, found)]
                self.findings += [checks.taken_from_power(counters[0], name) for name in taken]

    def _is_registers(self, key: tuple[Component, str], found: Disagreement) -> bool:
        """Whether the register's figure is taken where the two disagree.

        Where nothing that a sound sensor does explains it: counters are known to stand still, to run at another rate and to be told in
        another unit, registers to be off by some per cent. But not what the device cannot draw, nor one that stopped moving.
        """
        if key in self.still:
            return False
        limit = self.limits_w.get(key)
        of_run = self.apart[key].get(RUN, found)
        # What is wrong all through a run is wrong in its windows, however short. Nor is a figure to look better for a sensor that is wrong:
        # of two that are so far apart the larger one stands.
        as_in_run = of_run.is_bad and found.apart * of_run.apart > 0 and abs(found.apart) > DISAGREES_BADLY
        if not (found.is_bad or as_in_run or found.apart > FAR_APART) or found.duration_s <= 0:
            return False
        return limit is None or self._can_be(limit, found.integrated_j / found.duration_s)

    @staticmethod
    def _can_be(limit_w: float, watts: float) -> bool:
        return LEAST_SHARE * limit_w < watts <= SUSTAINED * limit_w

    def settled(
        self, key: tuple[Component, str], name: str, best: Channel, seen: Mapping[str, Seen]
    ) -> tuple[Channel, Estimate]:
        """The channel that a device's figure is taken from in the windows of a name, and that figure.

        Where counter and register disagree nobody may believe either: the interval holds those of both, unless one cannot be.
        """
        energy = seen[best.id].estimate
        register = next((one for one in self.devices[key] if one.method == "power"), None)
        if register is None or self.session.schema == JOURNAL_SCHEMAS[0]:
            return best, energy
        summed = self._alone(register, seen[register.id].estimate)
        if best is register:
            # Its counter fell silent, and checks nothing.
            return best, summed if self.devices[key][0] is not register else energy
        found = self.apart.get(key, {}).get(name)
        if found is None or seen[register.id].covered_s <= 0:
            return best, energy
        limit = self.limits_w.get(key)
        if not self._is_registers(key, found):
            return best, energy.reaching(summed)
        if limit is not None and not self._can_be(limit, found.counted_j / found.duration_s):
            return register, summed
        return register, summed.reaching(energy)

    @staticmethod
    def _alone(register: Channel, energy: Estimate) -> Estimate:
        """The energy by a GPU's register with what nothing checks about it."""
        if register.component != "gpu":
            return energy
        return replace(energy, systematic=math.hypot(energy.systematic, REGISTER_ONLY * energy.value))

    def _cannot_be(self, key: tuple[Component, str], channel: Channel, beside: Channel) -> str | None:
        """Why a counter is none, though the register beside it tells what its device can draw; None where that is not so.

        Both are held against the limit of the device: what is far off from both cannot be told right from wrong.
        """
        counter, register = self.counters[channel.id], self.registers[beside.id]
        limit = self.limits_w.get(key)
        integrated = register.between(counter.first_s, counter.last_s)
        if limit is None or integrated is None or register.rejected or len(counter.ticks) < FEWEST_TICKS:
            return None
        if not self._can_be(limit, integrated.energy.value / integrated.covered_s):
            return None
        if jumped := _jumps(counter):
            return jumped
        counted_w = _counted_w(counter)
        if counted_w is None or self._can_be(limit, counted_w):
            return None
        return f"tells of {counted_w:.3g} W on average"

    def _cannot_be_alone(self, key: tuple[Component, str], channel: Channel) -> str | None:
        """Why a counter is none that no register stands beside; None where that is not so."""
        counter, limit = self.counters[channel.id], self.limits_w.get(key)
        if counter.resets and (not counter.told or _jumps(counter)):
            return f"jumped {checks.times(len(counter.resets))}"
        counted_w = _counted_w(counter, counter.gaps)
        if channel.component != "gpu" or limit is None or counted_w is None:
            return None
        # That it tells of too much is said where the limit is held against every figure.
        return f"tells of {counted_w:.3g} W on average" if counted_w <= LEAST_SHARE * limit else None

    def is_measured(self, channel_id: str) -> bool:
        """Whether a sensor stands behind the channel, and not a model."""
        return any(
            channel.id == channel_id and channel.method != "model" for channel in self.session.channels
        )

    def energy(self, channel: Channel, span: Span) -> tuple[Estimate | None, float]:
        """What one channel says about a window: its energy, and the seconds that it saw."""
        return self.energy_between(channel, span.start_s, span.end_s)

    def resolution_s(self, channel: Channel, span: Span) -> float:
        """The shortest time that a channel's readings tell apart around a window."""
        if channel.method == "counter":
            return self.counters[channel.id].resolution_s(span.start_s, span.end_s)
        return channel.period_s or 0.0

    def energy_between(self, channel: Channel, start_s: float, end_s: float) -> tuple[Estimate | None, float]:
        if channel.method == "counter":
            register = self._register_beside(channel)
            hint_w = register.mean_w(start_s, end_s) if register is not None else None
            part = self.counters[channel.id].between(start_s, end_s, hint_w, register)
        else:
            part = self.registers[channel.id].between(start_s, end_s)
        return (None, 0.0) if part is None else (part.energy, part.covered_s)

    def energies(self, channel: Channel, start_s: Array, end_s: Array) -> many_windows.Energies:
        """What one channel says about many windows."""
        if channel.method == "counter":
            beside = self._register_beside(channel)
            found = many_windows.of_counter(self.counters[channel.id], start_s, end_s, beside)
        else:
            found = many_windows.of_register(self.registers[channel.id], start_s, end_s)
        for place in found.singly.nonzero()[0].tolist():
            energy, covered_s = self.energy_between(channel, float(start_s[place]), float(end_s[place]))
            found.put(place, energy, covered_s)
        return found

    def resolutions_s(self, channel: Channel, start_s: Array, end_s: Array) -> Array:
        """The shortest time that a channel's readings tell apart around each of many windows."""
        if channel.method == "counter":
            return many_windows.resolutions_s(self.counters[channel.id], start_s, end_s)
        resolutions_s: Array = 0.0 * start_s + (channel.period_s or 0.0)
        return resolutions_s

    def _register_beside(self, channel: Channel) -> Register | None:
        """The power readings of the device whose counter this is."""
        for other in self.devices[channel.component, channel.device]:
            if other.method == "power":
                return self.registers[other.id]
        return None

    def best(self, channels: Sequence[Channel], covered_s: Mapping[str, float], duration_s: float) -> Channel:
        """The channel that stands for a device: its counter, unless its register saw clearly more of the time."""
        best = channels[0]
        for other in channels[1:]:
            if covered_s[other.id] - covered_s[best.id] > CLEARLY_MORE * duration_s:
                best = other
        return best


def _jumps(counter: Counter) -> str | None:
    """That a counter jumped so often that it counts nothing; else None."""
    jumps = len(counter.resets)
    return f"jumped {checks.times(jumps)}" if jumps > MOST_JUMPS and jumps > len(counter.ticks) / 10 else None


def _counted_w(counter: Counter, gaps: Sequence[tuple[float, float]] = ()) -> float | None:
    """Its mean power from its first tick on (what it showed before may be of any age), without gaps; None over less than a second."""
    if len(counter.ticks) < FEWEST_TICKS:
        return None
    first, last = counter.ticks[1], counter.ticks[-1]
    took_s = covered_s(first.time_s, last.time_s, gaps)
    return (last.energy_j - first.energy_j) / took_s if took_s >= BLOCK_S else None


@dataclass(slots=True)
class Seen:
    """What one channel saw of the windows of one name."""

    random_squared: float = 0.0
    systematic: float = 0.0
    covered_s: float = 0.0
    values: Column = field(default_factory=Column)
    resolutions_s: float = 0.0

    def add(self, energy: Estimate | None, covered_s: float, resolution_s: float) -> None:
        if energy is not None:
            self.resolutions_s += resolution_s
            self.random_squared += energy.random**2
            self.systematic += energy.systematic
            self.covered_s += covered_s
            self.values.append(energy.value)

    def add_many(self, energies: many_windows.Energies, resolutions_s: Array) -> None:
        known = energies.known
        randoms_j = energies.randoms_j[known]
        if not len(randoms_j):
            return
        self.resolutions_s = many.added(self.resolutions_s, resolutions_s[known])
        self.random_squared = many.added(self.random_squared, randoms_j * randoms_j)
        self.systematic = many.added(self.systematic, energies.systematics_j[known])
        self.covered_s = many.added(self.covered_s, energies.covered_s[known])
        many.extend(self.values, energies.values_j[known])

    @property
    def estimate(self) -> Estimate:
        value = max(sum(self.values), 0.0)
        return Estimate(value=value, random=math.sqrt(self.random_squared), systematic=self.systematic)
