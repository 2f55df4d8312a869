"""What no device can do, and what no sensor says: reasons to doubt a run whose arithmetic is right. Pure.

Whoever invents a journal can make it agree with its record. It is harder to agree with physics: a card draws no more than its limit and
no less than it idles at, a token costs a passage over the weights, and no two repeats come out alike. Bounds are wide (a tenth, or
half where a power supply allows it for moments): what is found here is not a bad measurement but an unlikely one.

What a sound run never shows (``impossible``) counts for the validity of every record. The rest (``implausible``) is asked for by whoever
doubts a journal: it would cost every summary a second reading, or rests on figures that a sound card may differ from.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from energy_rating.files.reading import Journal, Session
from energy_rating.files.windows import Span, chosen, named
from energy_rating.judging.items import of_items
from energy_rating.judging.likeness import of_devices, of_model, of_power_at_work, of_work_and_power, use_of
from energy_rating.judging.limits import SUSTAINED, TRANSIENT, told_w
from energy_rating.judging.operating_point import weight_bits
from energy_rating.judging.profiles import Profile, profile_for, shipped_profiles
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    Channel,
    Device,
    Finding,
    Load,
    Measurement,
    Record,
)

if TYPE_CHECKING:
    from energy_rating.files.windows import Array, Flags

# Idle power differs between cards of one model and with their temperature.
BELOW_IDLE = 0.8

# The best that memory and arithmetic units do in theory is rarely reached to two thirds; more than all of it is impossible.
BEYOND_THEORY = 1.1

# Edges are noted to the microsecond; what is written later by another thread may come a little early or late.
SLACK_S = 0.001

# So many readings of a register that are all the same to the last digit, and of a clock all equally far apart.
FEWEST_READINGS = 50


# Work that came within a second or so is held against the most that ever came between two counts, so many times. Our choice: batches of one
# run differ by less, and whoever counts everything at the end has no counts before it.
SUDDEN = 5.0
FEWEST_COUNTS = 5

# Over less than this a card may draw what its power supply bears for moments.
MOMENT_S = 1.0

# Work of a steady part is a share of the whole, in floating point.
ROUNDING = 1e-9

# What devices that have work draw is more than so much of what they draw without. Our choice; the mean of an idle window is known to some per cent.
HARDLY = 1.05

# Of all that a server was asked: a share that hardly moves the figure per request, and one that moves it by as much as its uncertainty. Our choice.
FEW, SOME = 0.01, 0.1

# What speaks against a journal may be, in a record, a card that idles lower than its data sheet says, or tokens that were guessed ahead.
BETWEEN_REPEATS = "work-between-repeats"
MAY_BE = frozenset({"energy-under-idle", "faster-than-memory"})


def impossible(journal: Journal, record: Record) -> tuple[Finding, ...]:
    """What no sound run shows, in any of its windows: for the validity of every record. ``record``: the journal's, as far as it is made.

    Devices are known by the profiles that ship, so that a record is the same on every machine.
    """
    found: list[Finding] = []
    limits_w: dict[str, float] = {}
    for session in journal.sessions:
        found += _of_windows(session)
        found += _of_counts(session)
        for (_, device), limit_w in told_w(session).items():
            limits_w[device] = max(limit_w, limits_w.get(device, 0.0))
    gpus = {channel.device for channel in record.channels if channel.component == "gpu"}
    profiles = shipped_profiles({one.name for one in record.environment.devices if one.id in gpus})
    found += of_items(journal)
    found += of_devices(journal, record, profiles)
    found += of_model(record, profiles)
    for measurement in record.measurements:
        found += _of_power(record, measurement, limits_w)
        found += _of_speed(record, measurement, profiles)
        found += of_work_and_power(record, measurement, profiles)
        found += _of_requests(record, measurement)
        found += _of_answers(measurement)
    if MEASURED in record:
        found += _of_idle(record, record[MEASURED], profiles)
        found += of_power_at_work(record, record[MEASURED], profiles)
        found += _of_a_server(journal, record[MEASURED])
    return tuple(replace(one, severity="degrades") if one.code in MAY_BE else one for one in found)


def implausible(
    journal: Journal,
    record: Record,
    profiles: Sequence[Profile],
    energies: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """Everything about a run that cannot be, or hardly; ``record`` is the journal's own, ``energies`` the joules of each repeat."""
    found: list[Finding] = []
    devices = _devices(record)
    for session in journal.sessions:
        found += _of_times(session)
        found += _of_windows(session)
        found += _of_overlaps(session)
        found += _of_counts(session)
        for channel in session.channels:
            found += _of_steps(session, channel, record, profiles)
            found += _of_jitter(session, channel)
    if journal.damage is not None:
        found.append(
            Finding.of(
                "journal-damaged", f"the journal is damaged at {journal.damage}", severity="disqualifies"
            )
        )
    found += _of_limits(record, profiles)
    found += of_items(journal)
    found += of_devices(journal, record, profiles)
    found += of_model(record, profiles)
    # A package whose own counter goes on above its limit is not limited by it.
    limited = {device for session in journal.sessions for _, device in told_w(session)}
    limits_w = {
        name: limit_w
        for name, one in devices.items()
        if name in limited and (limit_w := _limit_w(one, profiles))
    }
    for measurement in record.measurements:
        found += _of_power(record, measurement, limits_w)
        found += _of_speed(record, measurement, profiles)
        found += of_work_and_power(record, measurement, profiles)
        found += _of_requests(record, measurement)
        # What is less stands in the record, and speaks against nobody.
        found += (one for one in _of_answers(measurement) if one.severity == "disqualifies")
    if MEASURED in record:
        found += _of_idle(record, record[MEASURED], profiles)
        found += of_power_at_work(record, record[MEASURED], profiles)
        found += _of_rounds(journal)
        found += _of_repeats(energies)
    # Worked out with the curves of the readings, where the record is made.
    found += (one for one in record.findings if one.code == BETWEEN_REPEATS)
    return tuple(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------- times and windows


def _of_times(session: Session) -> Iterator[Finding]:
    try:
        known = datetime.fromisoformat(session.started).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        yield Finding.of(
            "start-is-no-time", f"the start must be a time with its time zone; got {session.started[:40]!r}"
        )
    for channel_id, samples in session.samples.items():
        for before, after in pairwise(samples.start_s):
            if after < before:
                yield Finding.of(
                    "time-goes-backwards",
                    f"{channel_id} was read at {after:.3f} s after it was read at {before:.3f} s",
                    channel=channel_id,
                )
                break
    if any(samples.start_s and samples.start_s[0] < -1.0 for samples in session.samples.values()):
        yield Finding.of("before-the-start", "readings are older than the run")


def _of_windows(session: Session) -> Iterator[Finding]:
    runs = named(session.spans, RUN)
    inside = _inside(runs)
    for span in chosen(session.spans, _unlike_others(runs)):
        if span.end_s == span.start_s and any(span.work.values()):
            yield Finding.of(
                "work-in-no-time",
                f"{_work(span)} were counted in a window of 0 s at {span.start_s:.3f} s",
                measurement=span.name,
            )
        if runs and span.name != RUN and not inside(span):
            yield Finding.of(
                "window-outside-the-run",
                f"a window {span.name!r} from {span.start_s:.3f} to {span.end_s:.3f} s lies outside the run, "
                f"which was from {runs[0].start_s:.3f} to {runs[0].end_s:.3f} s",
                measurement=span.name,
            )
    if len(runs) > 1:
        yield Finding.of("several-runs", f"one session has {len(runs)} windows {RUN!r}", measurement=RUN)


def _of_overlaps(session: Session) -> Iterator[Finding]:
    repeats = sorted(named(session.spans, MEASURED), key=lambda span: span.start_s)
    for before, after in pairwise(repeats):
        if after.start_s < before.end_s - SLACK_S:
            yield Finding.of(
                "repeats-overlap",
                f"a repeat began at {after.start_s:.3f} s, before the one before it ended at {before.end_s:.3f} s: "
                "the same energy would count twice",
                measurement=MEASURED,
            )
            break


def _inside(runs: Sequence[Span]) -> Callable[[Span], bool]:
    """Whether a window lies inside one of these: of those that began before it, the one that ended last."""
    in_order = sorted(runs, key=lambda run: run.start_s)
    starts = [run.start_s - SLACK_S for run in in_order]
    ends = list(accumulate((run.end_s + SLACK_S for run in in_order), max))

    def inside(span: Span) -> bool:
        begun = bisect_right(starts, span.start_s)
        return begun > 0 and span.end_s <= ends[begun - 1]

    return inside


def _unlike_others(runs: Sequence[Span]) -> Callable[[Array, Array], Flags]:
    """Which windows took no time, or lie outside these."""

    def unlike(starts_s: Array, ends_s: Array) -> Flags:
        import numpy

        found = ends_s == starts_s
        if runs:
            in_order = sorted(runs, key=lambda run: run.start_s)
            begins = numpy.array([run.start_s - SLACK_S for run in in_order])
            ends = numpy.maximum.accumulate([run.end_s + SLACK_S for run in in_order])
            begun = numpy.searchsorted(begins, starts_s, side="right")
            found |= (begun == 0) | (ends_s > ends[numpy.maximum(begun - 1, 0)])
        return found

    return unlike


def _work(span: Span) -> str:
    return ", ".join(f"{amount:,} {unit}" for unit, amount in span.work.items() if amount)[:200]


# ------------------------------------------------------------------------------------------------------------- power


def _limit_w(device: Device | None, profiles: Sequence[Profile]) -> float | None:
    """What a device may draw: the limit that it was set to, never more than its data sheet's."""
    if device is None:
        return None
    profile = profile_for(device.name, device.memory_gb, among=profiles)
    sheet = profile.figures.power_limit_w.value if profile and profile.figures.power_limit_w else None
    limits = [limit for limit in (device.power_limit_w, sheet) if limit]
    return min(limits, default=None)


def _devices(record: Record) -> Mapping[str, Device]:
    return {device.id: device for device in record.environment.devices}


def _of_limits(record: Record, profiles: Sequence[Profile]) -> Iterator[Finding]:
    for device in record.environment.devices:
        profile = profile_for(device.name, device.memory_gb, among=profiles)
        if profile is None or profile.figures.power_limit_w is None or device.power_limit_w is None:
            continue
        if device.power_limit_w > SUSTAINED * profile.figures.power_limit_w.value:
            yield Finding.of(
                "limit-above-the-data-sheet",
                f"{device.name} is said to have been limited to {device.power_limit_w:.0f} W; "
                f"its data sheet allows {profile.figures.power_limit_w.value:.0f} W",
            )


def _of_power(record: Record, measurement: Measurement, limits_w: Mapping[str, float]) -> Iterator[Finding]:
    bound = SUSTAINED if measurement.duration_s >= MOMENT_S else TRANSIENT
    for channel in record.channels:
        energy = measurement.energy_by_channel_j.get(channel.id)
        limit_w = limits_w.get(channel.device)
        if energy is None or limit_w is None or channel.method == "model":
            continue
        # The edges of a short window are doubtful, and say so themselves.
        least_j = energy.value - 2 * energy.random
        if measurement.duration_s > 0 and least_j > bound * limit_w * measurement.duration_s:
            yield Finding.of(
                "power-above-the-limit",
                f"{channel.id}: {energy.value / measurement.duration_s:.0f} W on average in {measurement.name!r}; "
                f"the device is limited to {limit_w:.0f} W",
                measurement=measurement.name,
                channel=channel.id,
            )


def _of_steps(
    session: Session, channel: Channel, record: Record, profiles: Sequence[Profile]
) -> Iterator[Finding]:
    """Steps of a counter, and readings of a register, beyond what the device may draw for a moment."""
    limit_w = _limit_w(_devices(record).get(channel.device), profiles)
    if limit_w is None or channel.component != "gpu" or channel.method == "model":
        return
    samples = session.samples[channel.id]
    if channel.method == "power":
        high = max(samples.values, default=0.0)
        if high > TRANSIENT * limit_w:
            yield Finding.of(
                "reading-above-the-limit",
                f"{channel.id} read {high:.0f} W; the device is limited to {limit_w:.0f} W",
                channel=channel.id,
            )
        return
    # What a counter shows may be a whole refresh old, at both ends.
    learned = next((item.period_s for item in record.channels if item.id == channel.id), None)
    stale_s = 2 * (channel.period_s or learned or 0.1)
    readings = zip(samples.start_s, samples.end_s, samples.values, strict=True)
    for (since_s, _, before_j), (start_s, end_s, after_j) in pairwise(readings):
        step_j = after_j - before_j
        took_s = max(0.0, end_s - since_s)
        if step_j > TRANSIENT * limit_w * (took_s + stale_s):
            yield Finding.of(
                "step-above-the-limit",
                f"{channel.id} rose by {step_j:.4g} J within {took_s:.3f} s at {start_s:.3f} s; a device "
                f"limited to {limit_w:.0f} W cannot use that",
                channel=channel.id,
            )
            return


def _of_idle(record: Record, measured: Measurement, profiles: Sequence[Profile]) -> Iterator[Finding]:
    devices = _devices(record)
    for channel in record.channels:
        energy = measured.energy_by_channel_j.get(channel.id)
        device = devices.get(channel.device)
        if energy is None or device is None or channel.component != "gpu" or measured.duration_s <= 0:
            continue
        profile = profile_for(device.name, device.memory_gb, among=profiles)
        power_w = energy.value / measured.duration_s
        if (
            profile is not None
            and profile.figures.idle_w is not None
            and power_w < BELOW_IDLE * profile.figures.idle_w.value
        ):
            yield Finding.of(
                "energy-under-idle",
                f"{channel.id}: {power_w:.3g} W on average while it worked; {profile.name} draws "
                f"{profile.figures.idle_w.value:.3g} W when it does nothing",
                measurement=measured.name,
                channel=channel.id,
            )
    for component, idle in (measured.idle_j or {}).items():
        worked = measured.energy_j.get(component)
        if worked is not None and component == "gpu" and worked.value < BELOW_IDLE * idle.value:
            yield Finding.of(
                "energy-under-its-own-idle",
                f"{component}: it used {worked.value:.4g} J at work, and would have used {idle.value:.4g} J in the same time "
                "at the power of the run's own idle windows",
                measurement=measured.name,
            )


# ------------------------------------------------------------------------------------------------------------- speed


def _of_speed(record: Record, measured: Measurement, profiles: Sequence[Profile]) -> Iterator[Finding]:
    """Tokens against what memory and arithmetic units can do in theory."""
    use = use_of(record, measured, profiles)
    if use is None:
        return
    what, load = f"{len(use.devices)} × {use.devices[0].name}", record.load or Load()
    parameters = record.model and (record.model.active_parameters or record.model.parameters)
    bits = weight_bits(record.model.dtype) if record.model is not None else None
    if use.read_share is not None and use.most_tokens_s and use.read_share > BEYOND_THEORY:
        yield Finding.of(
            "faster-than-memory",
            f"{use.tokens_s:,.0f} tokens a second; the memory of {what} can read "
            f"{parameters:,} weights of {bits} bits for at most {use.most_tokens_s:,.0f} with {load.at_once} requests at once",
            measurement=measured.name,
        )
    if use.compute_share is not None and use.peak_flop_s and use.compute_share > BEYOND_THEORY:
        yield Finding.of(
            "faster-than-arithmetic",
            f"the tokens ask for {use.flop_s / 1e12:,.3g} TFLOP/s; {what} does at most {use.peak_flop_s / 1e12:,.3g}",
            measurement=measured.name,
        )


# -------------------------------------------------------------------------------------------------------------- work


def _of_counts(session: Session) -> Iterator[Finding]:
    """What the windows told at their end against what they had told before."""
    for one in session.counted:
        if one.work < one.before:
            yield Finding.of(
                "counts-contradict",
                f"a window {one.name!r} had counted {one.before:,} {one.unit}, and at its end {one.work:,}: counts only grow",
                measurement=one.name,
            )
        elif one.counts >= FEWEST_COUNTS and one.work - one.before > SUDDEN * one.most:
            yield Finding.of(
                "work-all-at-once",
                f"a window {one.name!r} had counted {one.before:,} {one.unit}, and {one.after_s:.1f} s later, at its end, {one.work:,}; "
                f"in {one.counts} counts before there never came more than {one.most:,} at once",
                measurement=one.name,
            )


def _of_requests(record: Record, measurement: Measurement) -> Iterator[Finding]:
    """Tokens against what the requests were allowed.

    Of a stream of requests the steady part is the same share of the tokens and of the requests, so that the bound holds for it too.
    """
    load = record.load
    tokens, requests = measurement.work.get("token", 0), measurement.work.get("request", 0)
    if load is None or load.max_new_tokens is None or not requests:
        return
    if tokens > load.max_new_tokens * requests * (1 + ROUNDING):
        yield Finding.of(
            "more-tokens-than-asked",
            f"{tokens:,} tokens were counted in {measurement.name!r} for {requests:,} requests, each of which may have "
            f"{load.max_new_tokens:,} at most",
            measurement=measurement.name,
        )


def _of_answers(measurement: Measurement) -> Iterator[Finding]:
    """What a server did not answer, or answered with nothing, against all that it was asked."""
    work = measurement.work
    requests, unanswered, empty = (work.get(f"{kind}request", 0) for kind in ("", "unanswered_", "empty_"))
    asked = requests + unanswered
    if unanswered:
        yield Finding.of(
            "requests-not-answered",
            f"{_few(unanswered)} of {_few(asked)} requests ({unanswered / asked:.2%}) were not answered in {measurement.name!r}: "
            "their energy is in the figure, and they are no requests",
            severity="degrades" if unanswered <= FEW * asked else "disqualifies",
            measurement=measurement.name,
        )
    if empty:
        yield Finding.of(
            "answers-empty",
            f"{_few(empty)} of {_few(asked)} answers ({empty / asked:.2%}) in {measurement.name!r} had no text",
            severity="note"
            if empty <= FEW * asked
            else "degrades"
            if empty <= SOME * asked
            else "disqualifies",
            measurement=measurement.name,
        )


def _of_a_server(journal: Journal, measured: Measurement) -> Iterator[Finding]:
    """A server that answers while the GPUs do no more than in idle works elsewhere, or on the processor."""
    told = {finding.code for session in journal.sessions for finding in session.findings}
    idle, worked = (measured.idle_j or {}).get("gpu"), measured.energy_j.get("gpu")
    if "served-by" in told and idle is not None and worked is not None and worked.value < HARDLY * idle.value:
        yield Finding.of(
            "server-may-be-elsewhere",
            f"while the server answered the GPUs used {worked.value:.4g} J, and would have used {idle.value:.4g} J doing nothing: "
            "the model may run on another machine, or on the processor",
            measurement=measured.name,
        )


def _few(amount: float) -> str:
    """A number of requests; of a steady part it is seldom whole."""
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"


def _of_rounds(journal: Journal) -> Iterator[Finding]:
    """A repeat goes over all items, once or several times; fewer may have been answered, and then say so."""
    items = journal.load.items if journal.load is not None else None
    for session in journal.sessions:
        if items is None or named(session.spans, "serving"):
            continue  # of a stream of requests the steady part counts
        for span in named(session.spans, MEASURED):
            requests = span.work.get("request", 0) + span.work.get("unanswered_request", 0)
            if span.closed and requests > items and requests % items:
                yield Finding.of(
                    "repeats-not-of-the-items",
                    f"a repeat counted {requests:,} requests, which is no whole number of rounds over {items:,} items",
                    measurement=MEASURED,
                )
                break


# -------------------------------------------------------------------------------------------------- too good to be true


def _of_repeats(by_component: Mapping[str, Sequence[float]]) -> Iterator[Finding]:
    for component, energies in by_component.items():
        if len(energies) >= 3 and len(set(energies)) == 1:
            yield Finding.of(
                "repeats-identical",
                f"{component}: all {len(energies)} repeats used exactly {energies[0]!r} J",
                measurement=MEASURED,
            )


def _of_jitter(session: Session, channel: Channel) -> Iterator[Finding]:
    samples = session.samples[channel.id]
    if len(samples) < FEWEST_READINGS or channel.method == "model":
        return
    first = samples.values[0]
    if channel.method == "power" and first > 0 and all(value == first for value in samples.values):
        yield Finding.of(
            "no-noise",
            f"{channel.id}: all {len(samples)} readings are exactly {first!r} W",
            channel=channel.id,
        )
    step_s = samples.start_s[1] - samples.start_s[0]
    if step_s > 0 and all(
        math.isclose(after - before, step_s, rel_tol=1e-9, abs_tol=1e-9)
        for before, after in pairwise(samples.start_s)
    ):
        yield Finding.of(
            "no-jitter",
            f"{channel.id}: all {len(samples)} readings are exactly {step_s:.6g} s apart",
            channel=channel.id,
        )
