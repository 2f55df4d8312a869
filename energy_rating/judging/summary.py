"""From a journal to a record: every window's energy, added up by name. Pure; reads nothing but the journal it is given."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from energy_rating.files.columns import ROOM, Column
from energy_rating.files.journal import JOURNAL_SCHEMAS, being_written
from energy_rating.files.opening import read_whole
from energy_rating.files.reading import Journal, journal_in, read_journal
from energy_rating.files.strict import LARGEST_TOML
from energy_rating.files.windows import are_many, named, unclosed
from energy_rating.files.withheld import without_secrets
from energy_rating.judging import checks
from energy_rating.judging.curves import Curves
from energy_rating.judging.gaps import of_gaps
from energy_rating.judging.lost import Losses, losses_of, of_losses
from energy_rating.judging.operating_point import told_by_engine
from energy_rating.judging.plausibility import impossible
from energy_rating.judging.ranks import joined
from energy_rating.judging.sums import OVERLAP_S, Sum
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    Channel,
    Component,
    Finding,
    Job,
    Measurement,
    Outcome,
    Provenance,
    Record,
    validity,
)
from energy_rating.version import __version__

# Windows of these names tell what the devices draw when nothing is asked of them.
IDLE_WINDOWS = ("idle", "idle-before", "idle-after")
IDLE_FROM_S = 10.0
IDLE_SETTLES_S = 2.0  # clocks and fans come down

# Each window asks each channel for what is around its edges; after so many, what was asked for on files leaves memory again.
PUT_AWAY_AFTER = 256


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
    _refuse_another_ranks(read, journal)
    if calibration is None:
        return summarise_journal(read, going_on=going_on)
    corrected, findings = corrected_journal(read, Path(calibration))
    record = summarise_journal(corrected, going_on=going_on)
    return replace(record, findings=(*findings, *record.findings))


def _refuse_another_ranks(journal: Journal, place: str | Path) -> None:
    rank = journal.sessions[0].rank
    if rank is not None and rank.run is not None:
        raise BadInput(
            f"holds what rank {rank.number} counted for the run {rank.run}, and is no run by itself",
            "Name the folder of that run, in which it lies",
            place=place,
        )


def corrected_journal(journal: Journal, calibration: Path) -> tuple[Journal, tuple[Finding, ...]]:
    """The journal with the readings of the cards whose gains a profile holds divided by them, and a finding for each card.

    Raises:
        BadInput: the profile cannot be read, or holds no gain of a card of this journal, or two of one.
    """
    from energy_rating.judging.profiles import read_profile

    gains = read_profile(calibration).meter
    content = read_whole(calibration, LARGEST_TOML)
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
            findings[channel.device] = checks.gain_corrected(
                channel.device,
                found.gain,
                found.doubt,
                meter=without_secrets(found.meter),
                date=found.date,
                n=found.n,
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
    files = {
        **journal.files,
        f"calibration/{without_secrets(calibration.name)}": hashlib.sha256(content).hexdigest(),
    }
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
    beside = joined(journal)
    journal = beside.journal
    parts = [Curves(session, number) for number, session in enumerate(journal.sessions, start=1)]
    channels = _distinct(parts)
    findings = [finding for part in parts for finding in part.findings]
    findings += beside.findings
    findings += checks.of_all_conditions([part.session for part in parts])
    losses = losses_of(journal)
    sums = _added_up(journal, parts, losses)
    findings += _interrupted(parts, going_on=going_on)
    if journal.damage is not None:
        findings.append(checks.damaged(journal.damage, reads_on=journal.reads_on))
    idle_w = _idle_w(parts)
    measurements = []
    for name, added in sums.items():
        measurement, used = added.measurement(name, parts, channels, idle_w)
        findings += _of_measurement(measurement, added, used, parts, channels)
        measurements.append(measurement)
    if lacking := _counted_in_windows_alone(journal).intersection(measurements[0].work):
        findings.append(checks.counted_by_an_older_version(sorted(lacking)))
    lost = next((one for one in measurements if losses.of and one.name == losses.name), None)
    findings += of_losses(losses, journal, lost)
    findings += _of_ends(journal, losses, going_on=going_on)
    if not going_on and journal.sessions[-1].schema != JOURNAL_SCHEMAS[0]:
        findings += checks.of_zero_work(measurements[0])
    if not any(measurement.energy_j for measurement in measurements):
        findings.append(checks.nothing_measured())
    findings += of_gaps(
        journal, parts, next((one for one in measurements if one.name == MEASURED), None), idle_w
    )
    findings += impossible(journal, _draft(journal, parts, channels, measurements))
    findings += checks.of_estimates(measurements, findings)
    findings += _of_other_hosts(_job(journal), measurements[0])
    findings = list(dict.fromkeys(findings))
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
        measurements=_with_validity(measurements, findings),
        findings=tuple(findings),
        quality=tuple(dict.fromkeys(quality for part in parts for quality in part.session.quality)),
        provenance=Provenance(version=__version__, journal_sha256=journal.sha256, files=journal.files),
        origin=journal.origin,
        outcome=_outcome(journal, going_on=going_on),
        place=journal.place,
        role=journal.role,
        lineage=journal.lineage,
        ranks=journal.ranks or beside.ranks,
        nodes=journal.nodes,
        job=_job(journal),
        operating_point={**journal.operating_point, **told_by_engine(findings)},
    )


def _of_other_hosts(job: Job | None, run: Measurement) -> Iterator[Finding]:
    """Work of all hosts over the energy of one would be a figure many times too good."""
    if job is not None and job.counts == "all-ranks" and (job.of or 1) > 1 and any(run.work.values()):
        yield Finding.of(
            "hosts-missing",
            f"the work is that of all {job.of} hosts of the job, the energy that of one of them",
            "Merge the records of all hosts: energy-rating merge",
        )


def _added_up(journal: Journal, parts: Sequence[Curves], losses: Losses) -> dict[str, Sum]:
    """The windows of each name, those of the run first."""
    unit = journal.task.unit if journal.task is not None else None
    sums: dict[str, Sum] = {RUN: Sum()}

    def of(name: str) -> Sum:
        if name not in sums:
            sums[name] = Sum(unit=unit if name == MEASURED else None)
        return sums[name]

    for place, part in enumerate(parts):
        spans = part.session.spans
        readings = max(map(len, part.session.samples.values()), default=0)
        if place not in losses.of and are_many(spans, readings):
            for block in spans.blocks(readings):
                of(block.name).add_block(part, block)
                ROOM.put_away()
            continue
        put_away_after = 1 + PUT_AWAY_AFTER // max(1, len(part.session.channels))
        for number, span in enumerate(losses.spans(place, part.session)):
            if number % put_away_after == 0:
                ROOM.put_away()
            of(span.name).add(part, span)
    for added in sums.values():
        added.finish()
    return sums


def _interrupted(parts: Sequence[Curves], *, going_on: bool) -> Iterator[Finding]:
    """Sessions that were broken off. Of one after which the run went on that is good to know, and no more."""
    first_schema = all(part.session.schema == JOURNAL_SCHEMAS[0] for part in parts)
    found: list[Finding] = []
    early: list[Finding] = []
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        if is_last and going_on:
            continue
        session = part.session
        never_closed = unclosed(session.spans)
        runs = named(session.spans, RUN)
        if not is_last and not first_schema:
            if not session.ended:
                early.append(checks.resumed(number, len(parts), session.last_s))
            continue
        found += [checks.interrupted(span.name, span.end_s) for span in never_closed]
        if not session.ended and all(span.closed for span in runs):
            early.append(checks.ended_early(opened=bool(runs)))
    yield from dict.fromkeys(found)
    yield from early


def _of_measurement(
    measurement: Measurement,
    added: Sum,
    used: Mapping[str, float],
    parts: Sequence[Curves],
    channels: Sequence[Channel],
) -> Iterator[Finding]:
    """What is to be said of the windows of one name; ``used``: the refresh period of each channel that their energy came from."""
    overlap = added.windows_s - added.duration_s > OVERLAP_S * added.n
    yield from checks.of_measurement(
        # Each stretch of windows that overlap is as good as one window of its length.
        replace(measurement, n=added.stretches),
        channels,
        used,
        contiguous=added.contiguous,
        seamless=added.seamless,
        overlap=overlap,
    )
    if overlap:
        yield checks.overlapping(measurement, added.windows_s)
    for channel in channels:
        if channel.id in used:
            period_s = _known_period_s(parts, channel)
            yield from checks.of_steps(measurement.name, added.durations, channel, period_s)
    if measurement.name == MEASURED:
        for (number, channel_id), seen in added.seen.items():
            # A model follows the load of the whole machine; only what was measured is expected to repeat itself.
            if parts[number - 1].is_measured(channel_id) and len(seen.values) == added.stretches:
                yield from checks.of_repeats(measurement.name, added.rates(seen.values))


def _of_ends(journal: Journal, losses: Losses, *, going_on: bool) -> Iterator[Finding]:
    """How the sessions ended, where that is to be said."""
    if going_on:
        yield checks.still_running(journal.sessions[-1].last_s)
    for number, session in enumerate(journal.sessions, start=1):
        if session.outcome is not None and session.outcome.failed:
            several = f" (session {number} of {len(journal.sessions)})" if len(journal.sessions) > 1 else ""
            yield checks.failed(session.outcome, several)
        broken_off = not session.ended if session.outcome is None else session.outcome.failed
        # Where what was done since the last checkpoint is lost, a window that was broken off is part of that.
        lost = number - 1 in losses.of
        if (
            broken_off
            and not (going_on and number == len(journal.sessions))
            and not lost
            and session.schema != JOURNAL_SCHEMAS[0]
        ):
            yield from checks.of_broken_off(session)


def _with_validity(
    measurements: Sequence[Measurement], findings: Sequence[Finding]
) -> tuple[Measurement, ...]:
    by_name: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.measurement, []).append(finding)
    whole = by_name.get(None, [])
    return tuple(
        replace(one, validity=validity([*whole, *by_name.get(one.name, ())])) for one in measurements
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


def _job(journal: Journal) -> Job | None:
    """What the run is a part of; whose work is counted in it every session says."""
    if journal.job is None:
        return None
    return replace(journal.job, counts=journal.sessions[-1].counts)


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
    parts: Sequence[Curves],
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


def window_energies(journal: Journal, name: str) -> dict[str, list[float]]:
    """Joules of each window of that name, by component: for those who decide while a run goes on whether to repeat."""
    found: dict[str, list[float]] = {}
    for number, session in enumerate(journal.sessions, start=1):
        part = Curves(session, number)
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
    part = Curves(journal.sessions[-1], len(journal.sessions))
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


def _distinct(parts: Iterable[Curves]) -> list[Channel]:
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


def _known_period_s(parts: Sequence[Curves], channel: Channel) -> float | None:
    """The refresh period of a channel of the record; None where it is no more than a bound."""
    for part in parts:
        for own, name in part.renamed.items():
            if name == channel.id and own in part.counters:
                return channel.period_s if part.counters[own].period_s is not None else None
    return channel.period_s


def _differs(one: Channel, other: Channel) -> bool:
    return (one.device, one.component, one.method) != (other.device, other.component, other.method)


def _idle_w(parts: Sequence[Curves]) -> dict[Component, Estimate]:
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
