"""From a journal to a record: every window's energy, added up by name. Pure; reads nothing but the journal it is given."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev

from energy_rating import checks
from energy_rating.agreement import BLOCK_S, DISAGREES_BADLY, Disagreement, disagreements, stands_still
from energy_rating.files.columns import Column
from energy_rating.files.journal import JOURNAL_SCHEMAS, being_written
from energy_rating.files.reading import Journal, Session, journal_in, read_journal
from energy_rating.files.windows import Span, named
from energy_rating.impact import missing
from energy_rating.integration import REGISTER_ONLY, UNSEEN_SHARE, Counter, Register, covered_s
from energy_rating.integration import Span as Reading
from energy_rating.limits import LEAST_SHARE, SUSTAINED, counted_w, limits_w, peak_w
from energy_rating.nouns.entries import LEAST_DURATION_S
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import (
    EnergyPerUnit,
    Estimate,
    duration,
    reaches_zero,
    scaled,
    significant,
    total,
    with_doubt,
)
from energy_rating.nouns.records import (
    COMPONENTS,
    MEASURED,
    METHODS,
    RUN,
    Channel,
    Component,
    Doubt,
    Finding,
    Measurement,
    Number,
    Outcome,
    Provenance,
    Quality,
    Record,
    Samples,
    component_methods,
    validity,
)
from energy_rating.plausibility import impossible
from energy_rating.quality import is_accuracy
from energy_rating.rating import TRAINING
from energy_rating.version import __version__

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

# Windows of these names tell what the devices draw when nothing is asked of them.
IDLE_WINDOWS = ("idle", "idle-before", "idle-after")
IDLE_FROM_S = 10.0
IDLE_SETTLES_S = 2.0  # clocks and fans come down


def summarise(journal: str | Path, *, calibration: str | Path | None = None) -> Record:
    """The record of a journal, also of one cut short by a crash, or of a run that still goes on.

    Args:
        journal: a ``journal.jsonl``, also compressed with gzip, or the folder of a run.
        calibration: a hardware profile with the gains of single cards (``[[meter]]``). The readings of those cards are
            divided by their gain, and carry its doubt in place of the sensor's own; a finding says so. Without it nothing is
            corrected.

    Raises:
        BadInput: it cannot be read, not even in part; or the calibration is of no card of this run.
    """
    # Asked before it is read: a run that ends meanwhile has its end in what is read.
    going_on = being_written(journal_in(journal))
    read = read_journal(journal)
    going_on = going_on and not read.sessions[-1].ended
    if calibration is None:
        return summarise_journal(read, going_on=going_on)
    corrected, findings = corrected_journal(read, Path(calibration))
    record = summarise_journal(corrected, going_on=going_on)
    return replace(record, findings=(*findings, *record.findings))


def corrected_journal(journal: Journal, calibration: Path) -> tuple[Journal, tuple[Finding, ...]]:
    """The journal with the readings of the cards whose gains a profile holds divided by them, and a finding for each card.

    Raises:
        BadInput: the profile cannot be read, or holds no gain of a card of this journal, or two of one.
    """
    from energy_rating.profiles import read_profile

    gains = read_profile(calibration).meter
    content = calibration.read_bytes()
    findings: dict[str, Finding] = {}
    fitting: dict[str, tuple[float, float]] = {}
    for channel in (channel for session in journal.sessions for channel in session.channels):
        of_card = [gain for gain in gains if _is_correctable(channel) and gain.is_of(channel.device)]
        if len(of_card) > 1:
            raise BadInput(
                f"it holds {len(of_card)} gains of {channel.device}",
                "Keep the one that holds",
                place=f"{calibration}: meter",
            )
        for found in of_card:
            fitting[channel.device] = (found.gain, found.doubt)
            findings[channel.device] = Finding(
                code="gain-corrected",
                message=f"the readings of {channel.device} were divided by {found.gain:g}, its gain against {found.meter} "
                f"({found.date}, {found.n} readings), and carry its doubt of {found.doubt:.2%} (1 σ)",
                remedy="Without --calibration the record is that of the sensor as it is",
            )
    if not findings:
        cards = {c.device for s in journal.sessions for c in s.channels if c.component == "gpu"}
        raise BadInput(
            "it holds no gain of a card of this run" if gains else "it holds no gain ([[meter]])",
            "A gain belongs to one card; this run's "
            + (
                f"are, by SHA-256: {', '.join(sha256_of(card) for card in sorted(cards))}"
                if cards
                else "has none"
            ),
            place=calibration,
        )
    files = {**journal.files, f"calibration/{calibration.name}": hashlib.sha256(content).hexdigest()}
    return replace(with_gains(journal, fitting), files=files), tuple(findings.values())


def _is_correctable(channel: Channel) -> bool:
    """A model knows no card, and a module or a host is not what the meter was put between."""
    return channel.component == "gpu" and channel.method != "model"


def with_gains(journal: Journal, gains: Mapping[str, tuple[float, float]]) -> Journal:
    """The journal with the readings of cards divided by their gain, by device: the gain and its doubt."""
    sessions = []
    for session in journal.sessions:
        channels, samples = [], dict(session.samples)
        for channel in session.channels:
            if _is_correctable(channel) and channel.device in gains:
                gain, doubt = gains[channel.device]
                read = samples[channel.id]
                values = Column()
                values.extend(value / gain for value in read.values)
                samples[channel.id] = replace(read, values=values.values())
                range_j = channel.wraps_at_j
                channel = replace(
                    channel, accuracy=doubt, wraps_at_j=range_j / gain if range_j is not None else None
                )
            channels.append(channel)
        sessions.append(replace(session, channels=tuple(channels), samples=samples))
    return replace(journal, sessions=tuple(sessions))


def sha256_of(device_id: str) -> str:
    """What a card is called where its id is not to be told."""
    return hashlib.sha256(device_id.encode()).hexdigest()


def summarise_journal(journal: Journal, *, going_on: bool = False) -> Record:
    """The record of a journal that has been read. The same journal gives the same record, byte for byte.

    ``going_on``: the run has not ended yet, and that is no fault of it.
    """
    parts = [_Part(session, number) for number, session in enumerate(journal.sessions, start=1)]
    channels = _distinct(parts)
    findings = [finding for part in parts for finding in part.findings]
    findings += [finding for part in parts for finding in checks.of_conditions(part.session)]
    unit = journal.task.unit if journal.task is not None else None
    sums: dict[str, _Sum] = {RUN: _Sum()}
    interrupted: dict[Finding, None] = {}
    for part in parts:
        for span in part.session.spans:
            if span.name not in sums:
                sums[span.name] = _Sum(unit=unit if span.name == MEASURED else None)
            sums[span.name].add(part, span)
            if not span.closed and not going_on:
                interrupted[checks.interrupted(span.name, span.end_s)] = None
    findings += interrupted
    for part in parts:
        runs = named(part.session.spans, RUN)
        if not part.session.ended and not going_on and all(span.closed for span in runs):
            findings.append(checks.ended_early(opened=bool(runs)))
    if journal.damage is not None:
        findings.append(checks.damaged(journal.damage))
    idle_w = _idle_w(parts)
    measurements = []
    for name, added in sums.items():
        added.finish()
        measurement, used = added.measurement(name, parts, channels, idle_w)
        # Each stretch of windows that overlap is as good as one window of its length.
        of_stretches = replace(measurement, n=added.stretches)
        overlap = added.windows_s - added.duration_s > OVERLAP_S * added.n
        findings += checks.of_measurement(
            of_stretches,
            channels,
            used,
            contiguous=added.contiguous,
            seamless=added.seamless,
            overlap=overlap,
        )
        if overlap:
            findings.append(checks.overlapping(measurement, added.windows_s))
        for channel in channels:
            if channel.id in used:
                findings += checks.of_steps(name, added.durations, channel, _known_period_s(parts, channel))
        if name == MEASURED:
            for (number, channel_id), seen in added.seen.items():
                # A model follows the load of the whole machine; only what was measured is expected to repeat itself.
                if parts[number - 1].is_measured(channel_id) and len(seen.values) == added.stretches:
                    findings += checks.of_repeats(name, added.rates(seen.values))
        measurements.append(measurement)
    if lacking := _counted_in_windows_alone(journal).intersection(sums[RUN].work):
        findings.append(checks.counted_by_an_older_version(sorted(lacking)))
    outcome = _outcome(journal, going_on=going_on)
    if going_on:
        findings.append(checks.still_running(journal.sessions[-1].last_s))
    for number, session in enumerate(journal.sessions, start=1):
        if session.outcome is not None and session.outcome.failed:
            several = f" (session {number} of {len(parts)})" if len(parts) > 1 else ""
            findings.append(checks.failed(session.outcome, several))
    if not any(measurement.energy_j for measurement in measurements):
        findings.append(checks.nothing_measured())
    findings += impossible(journal, _draft(journal, parts, channels, measurements))
    findings += checks.of_estimates(measurements, findings)
    findings = list(dict.fromkeys(findings))
    by_name: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.measurement, []).append(finding)
    return Record(
        run_id=journal.run_id,
        created=journal.sessions[0].started,
        stage=journal.stage,
        model=journal.model,
        task=journal.task,
        load=journal.load,
        environment=replace(
            journal.sessions[0].environment,
            devices=tuple(dict.fromkeys(d for part in parts for d in part.session.environment.devices)),
        ),
        channels=tuple(channels),
        measurements=tuple(
            replace(
                measurement,
                validity=validity([*by_name.get(None, ()), *by_name.get(measurement.name, ())]),
            )
            for measurement in measurements
        ),
        findings=tuple(findings),
        quality=tuple(dict.fromkeys(quality for part in parts for quality in part.session.quality)),
        provenance=Provenance(version=__version__, journal_sha256=journal.sha256, files=journal.files),
        origin=journal.origin,
        outcome=outcome,
        place=journal.place,
        role=journal.role,
        lineage=journal.lineage,
        ranks=journal.ranks,
        nodes=journal.nodes,
        operating_point=journal.operating_point,
    )


def _counted_in_windows_alone(journal: Journal) -> set[str]:
    """Of a run that an older version began and a newer one went on with: the units that only the windows of the older one counted.

    In ``journal/1`` what is counted in windows does not reach the run.
    """
    if journal.schema == JOURNAL_SCHEMAS[0]:
        return set()
    units: set[str] = set()
    for session in journal.sessions:
        if session.schema == JOURNAL_SCHEMAS[0]:
            of_run = {unit for span in named(session.spans, RUN) for unit in span.work}
            of_windows = {unit for span in session.spans for unit, amount in span.work.items() if amount}
            units |= of_windows - of_run
    return units


def _outcome(journal: Journal, *, going_on: bool) -> Outcome | None:
    """How the program ended, by the last session; None where the journal is of a schema that tells nothing of it, or damaged."""
    last = journal.sessions[-1]
    if last.schema == JOURNAL_SCHEMAS[0] or journal.damage is not None:
        return None
    if last.ended:
        return last.outcome
    return Outcome(state="running" if going_on else "killed")


def _draft(
    journal: Journal,
    parts: Sequence[_Part],
    channels: Sequence[Channel],
    measurements: Sequence[Measurement],
) -> Record:
    """The record before it was judged."""
    devices = dict.fromkeys(d for part in parts for d in part.session.environment.devices)
    return Record(
        run_id=journal.run_id,
        created=journal.sessions[0].started,
        stage=journal.stage,
        model=journal.model,
        task=journal.task,
        load=journal.load,
        environment=replace(journal.sessions[0].environment, devices=tuple(devices)),
        channels=tuple(channels),
        measurements=tuple(measurements),
        findings=(),
        quality=(),
        provenance=Provenance(version=__version__, journal_sha256=journal.sha256),
    )


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


class _Part:
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
                )
                self.registers[channel.id] = register
                self.findings += checks.of_register(channel, register)
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
                    lasting_j = register.lasting_j(Reading(energy=integrated, covered_s=integrated_s))
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
        self, key: tuple[Component, str], name: str, best: Channel, seen: Mapping[str, _Seen]
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
class _Seen:
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

    @property
    def estimate(self) -> Estimate:
        value = max(sum(self.values), 0.0)
        return Estimate(value=value, random=math.sqrt(self.random_squared), systematic=self.systematic)


@dataclass(slots=True)
class _Stretch:
    """Windows of one name that overlap, as one: from when to when, and what was counted in all of them."""

    part: _Part
    start_s: float
    end_s: float
    count: Number = 0  # of the unit that repeats are compared by


@dataclass
class _Sum:
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
    seen: dict[tuple[int, str], _Seen] = field(default_factory=dict)
    duration_by_part_s: dict[int, float] = field(default_factory=dict)
    open: _Stretch | None = None

    def add(self, part: _Part, span: Span) -> None:
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
        self.open = _Stretch(part, span.start_s, span.end_s, count)

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
                seen = self.seen[key] = _Seen()
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
        parts: Sequence[_Part],
        channels: Sequence[Channel],
        idle_w: Mapping[Component, Estimate],
    ) -> tuple[Measurement, dict[str, float]]:
        """The measurement, and the refresh period of each channel that its energy came from.

        Of each device one channel counts: its counter, unless its register saw more of the time; a device is never counted
        twice.
        """
        energies: dict[str, Estimate] = {}
        covered: dict[Component, float] = {}
        wanted: dict[Component, float] = {}
        groups: dict[Component, dict[str, list[Estimate]]] = {}
        used: dict[str, float] = {}
        doubts: dict[str, list[tuple[float, Doubt]]] = {}
        for part in parts:
            duration_s = self.duration_by_part_s.get(part.number, 0.0)
            if duration_s <= 0:
                continue
            for (component, device), candidates in part.devices.items():
                wanted[component] = wanted.get(component, 0.0) + duration_s
                covered_s = {c.id: self.seen[part.number, c.id].covered_s for c in candidates}
                best = part.best(candidates, covered_s, duration_s)
                best, energy = part.settled(
                    (component, device),
                    name,
                    best,
                    {c.id: self.seen[part.number, c.id] for c in candidates},
                )
                seen = self.seen[part.number, best.id]
                covered[component] = covered.get(component, 0.0) + min(seen.covered_s, duration_s)
                if seen.covered_s <= 0:
                    continue
                channel_id = part.renamed[best.id]
                used[channel_id] = seen.resolutions_s / len(seen.values)
                by_itself = energy.random
                if name == MEASURED and len(seen.values) == self.stretches:
                    energy = repeated(energy, self.rates(seen.values))
                doubts.setdefault(component, []).append(
                    (
                        energy.sigma,
                        _doubt_from(best, energy, seen.covered_s, repeats=energy.random > by_itself),
                    )
                )
                energies[channel_id] = (
                    energies[channel_id].plus(energy, same_sensor=True) if channel_id in energies else energy
                )
                groups.setdefault(component, {}).setdefault(part.names.get(device, device), []).append(energy)
        energy_j: dict[str, Estimate] = {
            component: total(
                # Cards of one model share their gain's error (their spread is 1.6 %, SC24 data); other devices do not.
                (total(group, same_sensor=True) for group in groups[component].values()),
                same_sensor=False,
            )
            for component in COMPONENTS
            if component in groups
        }
        coverage: dict[str, float] = {
            component: _share(covered[component] / wanted[component])
            for component in COMPONENTS
            if wanted.get(component)
        }
        idle_j: dict[str, Estimate] = {
            component: power.times(self.duration_s)
            for component, power in idle_w.items()
            if component in energy_j
        }
        return (
            Measurement(
                name=name,
                n=self.n,
                start_s=self.start_s,
                duration_s=self.duration_s if self.duration_s >= LEAST_DURATION_S else 0.0,
                work=dict(self.work),
                energy_by_channel_j=energies,
                energy_j=energy_j,
                coverage=coverage,
                validity="valid",
                idle_j=idle_j or None,
                doubt_from={
                    component: max(doubts[component])[1]
                    for component in energy_j
                    if max(doubts[component])[0] > 0
                },
                methods=component_methods(energies, channels),
            ),
            used,
        )


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


def window_energies(journal: Journal, name: str) -> dict[str, list[float]]:
    """Joules of each window of that name, by component: for those who decide while a run goes on whether to repeat."""
    found: dict[str, list[float]] = {}
    for number, session in enumerate(journal.sessions, start=1):
        part = _Part(session, number)
        for span in named(session.spans, name):
            if not span.closed:
                continue
            sums: dict[str, float] = {}
            for (component, _), candidates in part.devices.items():
                energy, _seen_s = part.energy(candidates[0], span)
                if energy is not None:
                    sums[component] = sums.get(component, 0.0) + energy.value
            for name_of, value in sums.items():
                found.setdefault(name_of, []).append(value)
    return found


def energies_between(journal: Journal, spans: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    """Joules between pairs of times (seconds since the start of the last session), by component.

    A component is left out where one of its devices saw nothing of a pair.
    """
    part = _Part(journal.sessions[-1], len(journal.sessions))
    found: dict[str, list[float]] = {}
    silent: set[str] = set()
    for (component, _), candidates in part.devices.items():
        for number, (start_s, end_s) in enumerate(spans):
            energy, _ = part.energy_between(candidates[0], start_s, end_s)
            sums = found.setdefault(component, [0.0] * len(spans))
            if energy is None:
                silent.add(component)
            else:
                sums[number] += energy.value
    return {component: sums for component, sums in found.items() if component not in silent}


def _share(value: float) -> float:
    """A share, without the last digits that floating point adds; 1 is 1."""
    return 1.0 if value > 0.999999 else round(max(value, 0.0), 6)


def _distinct(parts: Iterable[_Part]) -> list[Channel]:
    """All channels of all sessions, by names that are unique, with the refresh periods that the samples tell."""
    channels: dict[str, Channel] = {}
    for part in parts:
        for channel in part.session.channels:
            name = channel.id
            while name in channels and _differs(channels[name], channel):
                name = f"{channel.id}@{part.number}" if "@" not in name else f"{name}+"
            part.renamed[channel.id] = name
            if channel.id in part.counters and channel.period_s is None:
                learned = part.counters[channel.id].ticks_within_s
                channel = replace(channel, period_s=round(learned, 4) or None if learned else None)
            channels.setdefault(name, replace(channel, id=name))
    return list(channels.values())


def _known_period_s(parts: Sequence[_Part], channel: Channel) -> float | None:
    """The refresh period of a channel of the record; None where it is no more than a bound."""
    for part in parts:
        for own, name in part.renamed.items():
            if name == channel.id and own in part.counters:
                return channel.period_s if part.counters[own].period_s is not None else None
    return channel.period_s


def _differs(one: Channel, other: Channel) -> bool:
    return (one.device, one.component, one.method) != (other.device, other.component, other.method)


def _idle_w(parts: Sequence[_Part]) -> dict[Component, Estimate]:
    """Mean idle power by component, from idle windows of 10 s and more, without their first 2 s.

    The change from the first idle window to the last is drift, and widens the doubt by a uniform law: |change| / √12.
    """
    powers: dict[Component, list[Estimate]] = {}
    for part in parts:
        for span in named(part.session.spans, *IDLE_WINDOWS):
            if span.end_s - span.start_s < IDLE_FROM_S:
                continue
            start = span.start_s + IDLE_SETTLES_S
            found: dict[Component, list[Estimate]] = {}
            silent: set[Component] = set()
            for (component, _), candidates in part.devices.items():
                told = {c.id: part.energy_between(c, start, span.end_s) for c in candidates}
                best = part.best(candidates, {key: one[1] for key, one in told.items()}, span.end_s - start)
                energy, covered_s = told[best.id]
                if energy is not None and covered_s > 0:
                    found.setdefault(component, []).append(energy.times(1 / covered_s))
                else:
                    silent.add(
                        component
                    )  # one of several devices: what the others draw is not the component's idle
            for component in silent:
                found.pop(component, None)
            for component, several in found.items():
                powers.setdefault(component, []).append(total(several, same_sensor=True))
    result: dict[Component, Estimate] = {}
    for component, several in powers.items():
        mean = total(several, same_sensor=True).times(1 / len(several))
        drift = abs(several[-1].value - several[0].value) / math.sqrt(12)
        result[component] = replace(mean, random=math.hypot(mean.random, drift))
    return result


# What prepares a benchmark is no result of it.
_BESIDE_THE_POINT = ("load", "warm-up", *IDLE_WINDOWS)

# What was read or taken from a cache is counted too; the energy went into what was made of it.
# Thought tokens are among the tokens.
_READ = ("input_", "cached_", "reasoning_")


def headline(record: Record) -> Measurement | None:
    """The measurement that stands for the record, in a line, in a card and on a label.

    For training the run, if work was counted into it. Else ``measured``; else the longest one into which work was counted, never
    the loading, the warming up or the idling of a benchmark; else the run. None for a record without any of these.
    """
    if record.stage in TRAINING and RUN in record and units(record[RUN]):
        return record[RUN]
    if MEASURED in record:
        return record[MEASURED]
    counted = [
        measurement
        for measurement in record
        if measurement.energy_j
        and any(measurement.work.values())
        and measurement.name not in _BESIDE_THE_POINT
        and not measurement.name.startswith("idle-")
    ]
    if counted:
        return max(counted, key=lambda measurement: measurement.duration_s)
    return next((measurement for measurement in record if measurement.name == RUN), None)


def per_right_answer(record: Record) -> tuple[tuple[Quality, EnergyPerUnit], ...]:
    """Joules per right answer for each accuracy that the record tells: those per request over the share that is right.

    The share is taken as exact; whether it holds for these very items is for its source to say. Empty without an accuracy,
    without requests or without energy.
    """
    shown = headline(record)
    component = lead(shown) if shown is not None else None
    if shown is None or component is None or not shown.work.get("request"):
        return ()
    each = shown.energy_per("request", component)
    return tuple(
        (
            quality,
            replace(
                each,
                value=each.value / quality.value,
                random=each.random / quality.value,
                systematic=each.systematic / quality.value,
                unit="right answer",
            ),
        )
        for quality in record.quality
        if is_accuracy(quality)
    )


# What does the work comes first: a figure for memory alone says little, however large it is.
LEADING: tuple[Component, ...] = ("gpu", "module", "cpu", "host", "wall", "dram")


def lead(measurement: Measurement) -> Component | None:
    """The component that is told first: the GPU; without one, what else did the work."""
    return next((component for component in LEADING if component in measurement.energy_j), None)


def units(measurement: Measurement) -> tuple[str, ...]:
    """The units of work that the energy is divided by: those of what was made, not of what was read."""
    return tuple(unit for unit, amount in measurement.work.items() if amount and not unit.startswith(_READ))


def one_line(record: Record, where: str = "") -> str:
    """What a run comes to, in one line: energy, duration, power, per unit; what was measured, estimated and missing."""
    if RUN not in record:
        return f"nothing can be said: the run never opened · {where}".rstrip(" ·")
    run = record[RUN]
    parts: list[str] = []
    head = lead(run)
    if head is not None:
        energies = [
            f"{component} {_energy(energy)} ({_origin(run, component)})"
            for component, energy in run.energy_j.items()
        ]
        power = run.energy_j[head].times(1 / run.duration_s if run.duration_s > 0 else 0.0)
        told = with_doubt(power, "W") if reaches_zero(power) else scaled(power.value, "W")
        parts.append(f"{', '.join(energies)} in {duration(run.duration_s)}, {head} {told}")
    else:
        parts.append(f"no energy was measured in {duration(run.duration_s)}")
    counted = headline(record)
    component = lead(counted) if counted is not None else None
    if counted is not None and component is not None:
        mark = ", estimated" if _origin(counted, component) == "estimated" else ""
        # A figure of other windows than the energy before it says so.
        mark += f", in {counted.name!r}" if counted.name != RUN else ""
        parts += [
            f"{with_doubt(counted.energy_per(unit, component), f'J/{unit}')} ({component}{mark})"
            for unit in units(counted)
        ]
    left_out = missing(run.energy_j)
    if left_out:
        parts.append(f"not measured: {', '.join(left_out)}")
    if (ended := outcome_of(record)) is not None:
        parts.append(f"the program {ended}")
    if run.validity != "valid":
        codes = dict.fromkeys(f.code for f in record.findings_on(RUN) if f.severity != "note")
        # What is invalid is not the run's energy, and would make any sum wrong in silence.
        aside = "; leave it out of sums" if run.validity == "invalid" else ""
        parts.append(f"{run.validity}: {', '.join(codes)}{aside}")
    if where:
        parts.append(where)
    return " · ".join(parts)


def outcome_of(record: Record) -> str | None:
    """How the program ended, as the rest of a sentence about it, where there is something to say: it failed, or did not end."""
    outcome = record.outcome
    if outcome is None or (outcome.state == "ended" and not outcome.failed):
        return None
    return {"killed": "was killed", "running": "is still running"}.get(outcome.state) or checks.ending(
        outcome
    )


def _origin(measurement: Measurement, component: str) -> str:
    return "estimated" if measurement.methods.get(component) == "model" else "measured"


def _energy(energy: Estimate) -> str:
    if reaches_zero(energy) or not energy.value:
        return with_doubt(energy, "J")
    return f"{scaled(energy.value, 'J')} ±{significant(100 * energy.half_width() / energy.value, 2)} %"
