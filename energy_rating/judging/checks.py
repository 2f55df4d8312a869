"""What a sceptic would object to, found by the record itself. Pure functions from figures to findings.

A finding says what is wrong, where, and what to do. *note*: good to know. *degrades*: the figure is usable, and marked.
*disqualifies*: the figure is shown and never rated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mean, stdev
from typing import NamedTuple

from energy_rating.files.columns import Column
from energy_rating.files.journal import JOURNAL_SCHEMAS
from energy_rating.files.reading import Session
from energy_rating.files.windows import Span
from energy_rating.judging.agreement import COMPARED_FROM_S, DISAGREES, DISAGREES_BADLY, Disagreement
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.register import Register
from energy_rating.judging.profiles import is_same_limit, shipped_profile
from energy_rating.nouns.findings import NOT_MEASURED
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    FULL_COVERAGE,
    MEASURED,
    RUN,
    Channel,
    Condition,
    Finding,
    Measurement,
    Outcome,
    Severity,
)

# Below which share a figure no longer stands for its window at all.
LEAST_COVERAGE = 0.90

# A window shorter than so many refreshes of its counter is mostly edge.
SHORTEST_IN_TICKS = 3.0

# Half the 95 % interval, relative, beyond which a figure says little.
DOUBTFUL = 0.20

# pyperf's warnings (pyperf docs, "How to get reproducible benchmark results"): σ from 10 % of the mean, a value 50 % off.
UNSTEADY, FAR_OFF = 0.10, 0.50

# What holds a GPU's clocks down (nvmlClocksEventReasons, nvml.h), by what it means to a figure: a power limit belongs to the device
# that was measured; heat and brakes are those of one machine on one day; settings are somebody's.
POWER_CAP = frozenset({"sw-power-cap"})
HELD_NOTHING = "power-limit-held-nothing"
TOO_HOT = frozenset({"hw-slowdown", "sw-thermal", "hw-thermal", "hw-power-brake"})
SETTINGS = frozenset({"applications-clocks", "sync-boost", "display-clock"})

# Leakage grows with temperature, so repeats want to begin alike (within 2 °C after a cool-down); this much apart is worth telling.
TEMPERATURE_DRIFT_C = 10.0

# Limits are told in mW; less than this is rounding.
SAME_LIMIT_W = 0.5

# A setting of clocks that somebody changed shows in the clocks by more than this, lasts several looks, and is not changed often.
CLOCKS_APART, FEWEST_LOOKS, MOST_CHANGES = 0.05, 2, 3

# A step time within 5 % of a small multiple or part of a sensor's period may keep step with it (measurement of part-time sensors: SC24,
# arXiv 2312.02741), unless it varies: with 10 % of jitter the error averages out.
IN_STEP, MOST_IN_STEP, MOST_JITTER, FEWEST_STEPS = 0.05, 5, 0.05, 10

# The sampler makes a step at least so often.
BETWEEN_STEPS_S = 1.1

# A window that was broken off without its count is told from this share of the time of all of its name on.
UNCOUNTED = 0.01

# Rejected readings of a register that are more than an accident.
MANY_REJECTED = 0.01


def of_measurement(
    measurement: Measurement,
    channels: Sequence[Channel],
    used: Mapping[str, float],
    *,
    contiguous: bool,
    seamless: bool = False,
    overlap: bool = False,
) -> Iterator[Finding]:
    """What is wrong with one measurement.

    ``used``: what each channel that its energy came from can tell apart, in seconds. ``contiguous``: its windows follow upon
    each other, so that what is misplaced at an edge is not lost; ``seamless``: with next to nothing between them, so that all
    together are one stretch, and as surely known.
    """
    name = measurement.name
    by_id = {channel.id: channel for channel in channels}
    # What is only estimated takes nothing from what is measured beside it.
    estimated = {channel.component for channel in channels}
    estimated -= {channel.component for channel in channels if channel.method != "model"}
    beside = any(component not in estimated for component in measurement.energy_j)
    for component, share in measurement.coverage.items():
        if share < FULL_COVERAGE:
            seen = f"only {share:.1%} of {measurement.duration_s:.1f} s" if share > 0 else "no part"
            yield Finding.of(
                "partly-measured",
                f"{component}: {seen} of {name!r} was seen by its sensors; "
                + ("the figure is that part's" if share > 0 else "there is no figure"),
                severity="note"
                if component in estimated and beside
                else "disqualifies"
                if share < LEAST_COVERAGE
                else "degrades",
                measurement=name,
                channel=next((channel.id for channel in channels if channel.component == component), None),
            )
    mean_s = measurement.duration_s / measurement.n if measurement.n else 0.0
    too_short: set[str] = set()
    for channel_id, period_s in used.items():
        if period_s and by_id[channel_id].method != "model" and mean_s < SHORTEST_IN_TICKS * period_s:
            component = by_id[channel_id].component
            energy = measurement.energy_j.get(component)
            together = measurement.duration_s >= SHORTEST_IN_TICKS * period_s
            known = seamless and together and energy is not None and random_half_width(energy) <= DOUBTFUL
            too_short.add(component)
            yield Finding.of(
                "window-too-short",
                f"{'stretches of windows that overlap' if overlap else 'windows'} must be at least "
                f"{SHORTEST_IN_TICKS * period_s * 1e3:.3g} ms long, as the sensor resolves {period_s * 1e3:.3g} ms; got {mean_s * 1e3:.3g} ms on average"
                + ("; all together, without a pause between them, they are well known" if known else ""),
                remedy=f"Put at least {SHORTEST_IN_TICKS * period_s:.2g} s of work into one window",
                severity="note"
                if known
                else "degrades"
                if mean_s >= period_s or (contiguous and together)
                else "disqualifies",
                measurement=name,
                channel=channel_id,
            )
    for component, energy in measurement.energy_j.items():
        half = random_half_width(energy)
        if component in too_short or measurement.methods.get(component) == "model":
            continue  # that is said already
        if energy.value > 0 and half > DOUBTFUL:
            yield Finding.of(
                "doubtful",
                f"{component}: the random uncertainty alone is ±{half:.0%} of the figure",
                measurement=name,
            )


def overlapping(measurement: Measurement, windows_s: float) -> Finding:
    """Windows of one name at the same time, as of requests that are served side by side.

    A note: the energy is that of the time in which any of them was open, all their work was done with it, and the figure per unit
    is right. What one window by itself has cost cannot be told.
    """
    return Finding.of(
        "windows-overlap",
        f"the {measurement.n} windows of {measurement.name!r} overlap: together they are {windows_s:.4g} s long, and "
        f"cover {measurement.duration_s:.4g} s; the energy is that of the time covered, the work that of all",
        measurement=measurement.name,
    )


def beside_what_is_measured(finding: Finding, channels: Sequence[Channel]) -> Finding:
    """A finding of a run as it bears on a record: what befell a model is good to know where something is measured beside it."""
    methods = {channel.id: channel.method for channel in channels}
    if methods.get(finding.channel or "") != "model" or finding.severity != "degrades":
        return finding
    return replace(finding, severity="note") if set(methods.values()) != {"model"} else finding


def random_half_width(energy: Estimate) -> float:
    """Half the 95 % interval that random doubt alone makes, as a share of the value."""
    return Estimate(value=0.0, random=energy.random).half_width() / energy.value if energy.value else 0.0


def summed_from_power(channel: Channel) -> Finding:
    """A GPU without a counter."""
    return Finding.of(
        "summed-from-power",
        f"{channel.id}: its energy is summed up from power readings, which see only a part of the time",
        remedy="A GPU and driver with an energy counter know it all",
        channel=channel.id,
    )


def of_counter(channel: Channel, counter: Counter, *, beside: bool = False) -> Iterator[Finding]:
    """Resets and stand-stills. ``beside``: a power register stands beside it."""
    if counter.resets:
        bridged = (
            "what it missed was bridged with the power before"
            if counter.told
            else "no power before it is known to bridge what it missed"
        )
        yield Finding.of(
            "counter-reset",
            f"{channel.id} started again or jumped {times(len(counter.resets))}, first at "
            f"{max(counter.resets[0], 0.0):.1f} s; {bridged}",
            remedy="A driver reload or GPU reset does this; keep persistence mode on while measuring"
            if channel.component == "gpu"
            else "A suspended machine or a counter whose range is not known does this; measure again, and compare",
            channel=channel.id,
        )
    if counter.stuck:
        lost = sum(to - since for since, to in counter.stuck)
        yield Finding.of(
            "counter-stuck",
            f"{channel.id} stood still for {lost:.1f} s, {_first(counter.stuck)}; "
            + (
                "windows of which it saw clearly less than the power readings are summed up from those"
                if beside
                else "that time is not covered"
            ),
            remedy="Reload the driver; on AMD cards this is a known fault",
            channel=channel.id,
        )
    if counter.late:
        still = sum(to - since for since, to in counter.late)
        yield Finding.of(
            "counter-stuck",
            f"{channel.id} stood still for {still:.1f} s, {_first(counter.late)}, and then caught up: what was drawn when in that time "
            "is not known",
            remedy="Windows that hold all of it are right; reload the driver",
            channel=channel.id,
        )


def _first(times_s: Sequence[tuple[float, float]]) -> str:
    """When the first of some times began, on the clock of the run, on which nothing is before its start."""
    start_s = times_s[0][0]
    return f"first at {start_s:.1f} s" if start_s >= 0.05 else "from the start on"


def of_register(channel: Channel, register: Register) -> Iterator[Finding]:
    """Readings that no device can draw, and gaps."""
    kept = len(register.watts)
    if register.rejected:
        share = register.rejected / (register.rejected + kept)
        yield Finding.of(
            "implausible-readings",
            f"{channel.id} gave {register.rejected} readings that no device can draw; they were left out",
            severity="degrades" if share > MANY_REJECTED else "note",
            channel=channel.id,
        )


def of_pair(
    channel: Channel, counted: Estimate, integrated: Estimate, duration_s: float, open_j: float
) -> Iterator[Finding]:
    """Whether a device's counter and its integrated power tell the same. ``open_j``: what both leave open beside their gains (1 σ)."""
    if duration_s < COMPARED_FROM_S or counted.value <= 0 or integrated.value <= 0:
        return
    apart = integrated.value / counted.value - 1
    # What both leave open themselves is no disagreement.
    if abs(apart) > DISAGREES and abs(integrated.value - counted.value) > 2 * open_j:
        yield Finding.of(
            "counter-disagrees-with-power",
            f"{channel.id} counted {counted.value:.4g} J where its power adds up to {integrated.value:.4g} J "
            f"({apart:+.0%})",
            severity="disqualifies" if abs(apart) > DISAGREES_BADLY else "degrades",
            channel=channel.id,
        )


def of_windows_apart(channel: Channel, found: Disagreement) -> Finding:
    """Counter and integrated power of a device disagree in the windows of a name."""
    return Finding.of(
        "counter-disagrees-with-power",
        f"{channel.id} counted {found.counted_j:.4g} J in {found.name!r} where its power adds up to "
        f"{found.integrated_j:.4g} J ({found.apart:+.0%})",
        remedy="Unless the load keeps step with the power sensor one of the two is wrong: measure longer, and compare"
        if found.sampling and not found.is_bad
        else "Neither can be trusted to better than this; compare with a wall meter",
        severity="disqualifies" if found.is_bad else "degrades",
        measurement=found.name,
        channel=channel.id,
    )


def not_counted(channel: Channel, reason: str, *, instead: bool = True) -> Finding:
    """A counter that cannot be true. ``instead``: a register stands beside it that can, and the figure is that one's."""
    return Finding.of(
        "counter-not-used",
        f"{channel.id} {reason}, which its device cannot draw; "
        + (
            "the figure is summed up from its power readings"
            if instead
            else "nothing else measures the device, and there is no figure of it"
        ),
        remedy="Some drivers count wrongly: update the driver, and compare with a wall meter"
        if channel.component == "gpu"
        else "See whether its unit is told rightly, and compare with a wall meter",
        severity="degrades" if instead else "disqualifies",
        channel=channel.id,
    )


def taken_from_power(channel: Channel, name: str) -> Finding:
    """The counter and the register beside it disagree, and the figure is the register's."""
    return Finding.of(
        "counter-not-used",
        f"{channel.id} disagrees with its device's power readings in {name!r}; the figure is summed up from those, and its interval "
        "reaches to what was counted, unless that cannot be",
        severity="degrades",
        measurement=name,
        channel=channel.id,
    )


def told_twice(channels: Sequence[Channel]) -> Finding:
    """Several devices tell one id, or one device is told several times."""
    names = ", ".join(channel.id for channel in channels)
    return Finding.of(
        "device-told-twice",
        f"{names} name one and the same device; it is counted once, and if they are several the others are missing",
        channel=channels[0].id,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """A device's condition, and for how many seconds of some windows it was the nearest that is known."""

    condition: Condition
    held_s: float


class _WindowTimes:
    """When the windows of one name were, and for how long of them which of some moments was the nearest."""

    def __init__(self) -> None:
        self._starts, self._ends = Column(), Column()
        self._held: dict[tuple[float, ...], list[tuple[int, float]]] = {}

    def add(self, span: Span) -> None:
        self._starts.append(span.start_s)
        self._ends.append(span.end_s)

    def held_s(self, borders: Sequence[float]) -> list[tuple[int, float]]:
        """The seconds of these windows between each border and the next; places without any are left out.

        Devices are looked at together, so that what one of them needs was mostly worked out for another.
        """
        key = tuple(borders)
        if key not in self._held:
            held: dict[int, float] = {}
            for start_s, end_s in zip(self._starts, self._ends, strict=True):
                first, last = bisect_right(key, start_s), bisect_left(key, end_s)
                for place in range(first, max(first, last) + 1):
                    low = max(start_s, key[place - 1]) if place > 0 else start_s
                    high = min(end_s, key[place]) if place < len(key) else end_s
                    held[place] = held.get(place, 0.0) + max(0.0, high - low)
            self._held[key] = sorted(held.items())
        return self._held[key]


def of_all_conditions(sessions: Sequence[Session]) -> Iterator[Finding]:
    """What the conditions of all sessions say. That a power limit held nothing is said only where each of them says so."""
    found = [list(of_conditions(session)) for session in sessions]
    is_free = all(HELD_NOTHING in {finding.code for finding in those} for those in found)
    for those in found:
        yield from (finding for finding in those if is_free or finding.code != HELD_NOTHING)


def of_conditions(session: Session) -> Iterator[Finding]:
    """What the devices' conditions say about the windows of each name; a condition stands for the time that is nearest to it."""
    if not session.conditions:
        return
    windows: dict[str, _WindowTimes] = {}
    for span in session.spans:
        windows.setdefault(span.name, _WindowTimes()).add(span)
    by_device: dict[str, str] = {}
    for channel in session.channels:
        by_device.setdefault(channel.device, channel.id)
    devices = [(by_device[name], told) for name, told in session.conditions.items() if name in by_device]
    telling = MEASURED if MEASURED in windows else RUN
    for name in tuple(windows):
        those = windows.pop(name)
        if name == telling:
            yield from _of_free_limits(session, name, those, devices)
        for judge in _JUDGES:
            said = [
                (channel_id, one)
                for channel_id, told in devices
                if (one := judge(name, those, told)) is not None
            ]
            if said:
                # One finding for all of them: the gravest, and how many there are.
                channel_id, worst = max(said, key=lambda item: item[1].weight)
                more = f" (and {len(said) - 1} more of {len(devices)})" if len(said) > 1 else ""
                yield Finding.of(
                    worst.code,
                    f"{channel_id.partition('.')[0]}{more}: {worst.message}",
                    worst.remedy,
                    worst.severity,
                    measurement=name,
                    channel=channel_id,
                )


class _DeviceRemark(NamedTuple):
    """What is to be said of one device; ``weight`` orders several."""

    code: str
    message: str
    weight: float
    severity: Severity | None = None
    remedy: str | None = None


_Conditions = Sequence[tuple[float, Condition]]


def _looks(told: _Conditions, windows: _WindowTimes, has: Callable[[Condition], object]) -> list[_Held]:
    """The conditions that say something of these windows, oldest first."""
    known = [(t, condition) for t, condition in told if has(condition) is not None]
    if not known:
        return []
    # Half-way between two looks the later one takes over.
    borders = [(s + t) / 2 for (s, _), (t, _) in pairwise(known)]
    return [_Held(condition=known[place][1], held_s=seconds) for place, seconds in windows.held_s(borders)]


def _at_work(told: _Conditions, windows: _WindowTimes) -> list[_Held]:
    """The looks at a device that was not idle."""
    return [look for look in _looks(told, windows, lambda one: one.throttled_by) if not look.condition.idle]


def _share_of_time(looks: Sequence[_Held], reasons: frozenset[str]) -> tuple[float, list[str]]:
    """The share of the time for which one of the reasons held, and which ones did."""
    whole = sum(look.held_s for look in looks)
    found = {reason for look in looks for reason in reasons.intersection(look.condition.throttled_by or ())}
    seconds = sum(look.held_s for look in looks if reasons.intersection(look.condition.throttled_by or ()))
    return seconds / whole if whole > 0 else 0.0, sorted(found)


def _capped(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    share, _ = _share_of_time(_at_work(told, windows), POWER_CAP)
    if not share:
        return None
    return _DeviceRemark(
        "throttled", f"its power limit held the clocks down for {share:.0%} of {name!r}", share, "note", ""
    )


def _of_free_limits(
    session: Session, name: str, windows: _WindowTimes, devices: Sequence[tuple[str, _Conditions]]
) -> Iterator[Finding]:
    """That a power limit which is not the one of its device's data sheet held nothing, where all devices tell what held their clocks.

    Journals of the first format say no such thing in their records.
    """
    if session.schema == JOURNAL_SCHEMAS[0] or not devices or len(devices) < len(session.conditions):
        return
    looks = [_at_work(told, windows) for _, told in devices]
    if not all(looks) or any(_share_of_time(held, POWER_CAP)[0] for held in looks):
        return
    for device in session.environment.devices:
        profile = shipped_profile(device.name, device.memory_gb)
        sheet = profile.figures.power_limit_w if profile is not None else None
        limit_w = device.power_limit_w
        if device.id not in session.conditions or sheet is None or limit_w is None:
            continue
        if not is_same_limit(limit_w, sheet.value):
            yield Finding.of(
                HELD_NOTHING,
                f"{device.name}: its power limit of {limit_w:.0f} W (by its data sheet {sheet.value:.0f} W) held no clocks down in "
                f"{name!r}",
                measurement=name,
            )
            return


def _heated(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    share, reasons = _share_of_time(_at_work(told, windows), TOO_HOT)
    if not share:
        return None
    return _DeviceRemark(
        "throttled",
        f"heat or the hardware held the clocks down for {share:.0%} of {name!r} ({', '.join(reasons)})",
        share,
        "degrades",
    )


def _limit_changed(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    limits = [
        look.condition.power_limit_w or 0.0 for look in _looks(told, windows, lambda one: one.power_limit_w)
    ]
    if not limits or max(limits) - min(limits) <= SAME_LIMIT_W:
        return None
    return _DeviceRemark(
        "power-limit-changed",
        f"its power limit was changed in {name!r}, between {min(limits):.0f} and {max(limits):.0f} W",
        max(limits) - min(limits),
    )


def _clocks_changed(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    """A setting may be named now and then only, where power or heat are felt first; those looks say nothing about it."""
    looks = [
        (bool(SETTINGS.intersection(one.throttled_by or ())), one.sm_clock_mhz)
        for one in (look.condition for look in _at_work(told, windows))
        if one.sm_clock_mhz and not (POWER_CAP | TOO_HOT).intersection(one.throttled_by or ())
    ]
    held, free = ([mhz for setting, mhz in looks if setting is kind] for kind in (True, False))
    changes = sum(a[0] is not b[0] for a, b in pairwise(looks))
    if min(len(held), len(free)) < FEWEST_LOOKS or changes > MOST_CHANGES:
        return None
    apart = abs(max(held) / max(free) - 1)
    if apart <= CLOCKS_APART:
        return None
    return _DeviceRemark(
        "clocks-changed",
        f"its clocks were set in {name!r}: up to {max(held):.0f} MHz while held, {max(free):.0f} MHz otherwise",
        apart,
    )


def _drifted(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    looks = _looks(told, windows, lambda one: one.temperature_c)
    if name != MEASURED or not looks:
        return None
    start, end = looks[0].condition.temperature_c or 0.0, looks[-1].condition.temperature_c or 0.0
    if abs(end - start) <= TEMPERATURE_DRIFT_C:
        return None
    return _DeviceRemark(
        "temperature-drift",
        f"it went from {start:.0f} to {end:.0f} °C in {name!r}",
        abs(end - start),
    )


def _shared(name: str, windows: _WindowTimes, told: _Conditions) -> _DeviceRemark | None:
    looks = _looks(told, windows, lambda one: one.foreign_processes)
    most = max((look.condition.foreign_processes or 0 for look in looks), default=0)
    if not most:
        return None
    others = "a process that is" if most == 1 else f"{most} processes that are"
    return _DeviceRemark(
        "shared-gpu",
        f"{others} not this run's used it too, in {name!r} or near; the energy is that of all",
        float(most),
    )


_JUDGES = (_shared, _heated, _capped, _limit_changed, _clocks_changed, _drifted)


def of_repeats(name: str, energies_j: Sequence[float]) -> Iterator[Finding]:
    """Whether repeats of the same work took the same energy, by pyperf's rules for stable results."""
    if len(energies_j) < 3:
        return
    middle, spread = mean(energies_j), stdev(energies_j)
    farthest = max(abs(energy / middle - 1) for energy in energies_j) if middle > 0 else 0.0
    if middle > 0 and (spread / middle > UNSTEADY or farthest > FAR_OFF):
        yield Finding.of(
            "not-steady",
            f"repeats of the same work differ: {middle:.3g} J on average with a standard deviation of {spread / middle:.0%}, and one is "
            f"{farthest:.0%} away from it",
            measurement=name,
        )


def of_moment(finding: Finding, found_s: float, spans: Sequence[Span]) -> Iterator[Finding]:
    """What was noted while the run went on: of the whole record, but for what spoils the windows that it fell into and no others."""
    if finding.code != "suspended":
        yield finding
        return
    # The clock of a run stands still while the machine is suspended; it fell between two steps of the sampler.
    struck = (
        span.name for span in spans if span.start_s <= found_s and span.end_s >= found_s - BETWEEN_STEPS_S
    )
    for name in dict.fromkeys(struck):
        yield replace(finding, measurement=name, severity="disqualifies")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How many values, their mean, and how far they lie from it (0 for fewer than two)."""

    n: int
    mean: float
    stdev: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of values, which are one at least."""
        return cls(n=len(values), mean=mean(values), stdev=stdev(values) if len(values) > 1 else 0.0)


def of_steps(name: str, durations: Spread, channel: Channel, period_s: float | None) -> Iterator[Finding]:
    """Whether windows of one length keep step with the sensor, which then sees the same part of each of them every time.

    A sensor that looks for 25 of every 100 ms (A100, H100) is off by up to 60 % where power swings with exactly its period, by
    34 % at half of it and by some per cent at small multiples (simulated with 100/400 W square waves), for however long it lasts.
    Whether a GPU's energy counter is fed by such a sensor nobody has told.
    """
    if period_s is None or channel.component != "gpu" or channel.method == "model":
        return
    if durations.n < FEWEST_STEPS:
        return
    step_s = durations.mean
    if durations.stdev > MOST_JITTER * step_s:
        return
    ratio = step_s / period_s if step_s >= period_s else period_s / step_s
    nearest = round(ratio)
    if nearest > MOST_IN_STEP or abs(ratio / nearest - 1) > IN_STEP:
        return
    part = (
        "its period",
        "half its period",
        "a third of its period",
        "a quarter of its period",
        "a fifth of its period",
    )
    beat = (
        part[0] if nearest == 1 else f"{nearest} of its periods" if step_s > period_s else part[nearest - 1]
    )
    yield Finding.of(
        "in-step",
        f"each {name!r} took {step_s * 1e3:.3g} ms, {beat}: {channel.id} "
        f"(every {period_s * 1e3:.3g} ms) may see the same part of every one",
        severity="degrades" if channel.method == "power" else "note",
        measurement=name,
        channel=channel.id,
    )


def interrupted(name: str, at_s: float) -> Finding:
    """The process died before the window was left."""
    return Finding.of(
        "interrupted",
        f"the run was interrupted at {at_s:.1f} s; {name!r} counts up to there",
        remedy="Run it again; a run of measure goes on in its folder with --resume, or resume=True",
        severity="degrades",
        measurement=name,
    )


def resumed(number: int, of: int, at_s: float) -> Finding:
    """A session was broken off, and the run went on."""
    return Finding.of(
        "interrupted",
        f"session {number} of {of} was broken off at {at_s:.1f} s, and the run went on afterwards",
        remedy="",
        severity="note",
        measurement=RUN,
    )


def ended_early(*, opened: bool) -> Finding:
    """The process died before its run had opened, or after it had closed."""
    return Finding.of(
        "interrupted",
        "the process ended before it had closed its journal"
        if opened
        else "the process ended before its run had opened",
        remedy="" if opened else "Run it again",
        severity="note" if opened else "disqualifies",
        measurement=RUN,
    )


def counted_by_an_older_version(units: Sequence[str]) -> Finding:
    """The run's work is that of a part of its sessions, its energy that of all."""
    return Finding.of(
        "counts-disagree",
        f"{', '.join(units)[:200]}: sessions of an older version counted it in their windows alone, so that the run's count "
        "lacks theirs",
        remedy="Take the figure of the windows",
        measurement=RUN,
    )


def failed(outcome: Outcome, session: str) -> Finding:
    """The program did not end as it should.

    A note: what was measured is right, and so is what was counted until then. Whether it was of any use is for others to say; so
    that they can find it, every failed run has this code.
    """
    return Finding.of(
        "program-failed",
        f"the measured program {ending(outcome)}{session}",
    )


def of_broken_off(session: Session) -> Iterator[Finding]:
    """Of a program that was broken off: windows whose last one has energy, and none of the work that the others counted at their end."""
    last: dict[str, Span] = {}
    units: dict[str, set[str]] = {}
    together_s: dict[str, float] = {}
    for span in session.spans:
        if span.name == RUN:
            continue
        together_s[span.name] = together_s.get(span.name, 0.0) + span.end_s - span.start_s
        if span.name not in last or span.end_s >= last[span.name].end_s:
            last[span.name] = span
        units.setdefault(span.name, set()).update(unit for unit, amount in span.work.items() if amount)
    for name, span in last.items():
        lacking = sorted(unit for unit in units[name] if not span.work.get(unit))
        if not lacking or span.end_s - span.start_s <= UNCOUNTED * together_s[name]:
            continue
        # What the window lacks the run lacks, too.
        for measurement in (name, RUN):
            yield Finding.of(
                "work-unfinished",
                f"the last window {name!r} was broken off after {span.end_s - span.start_s:.3g} s, before it had counted "
                f"{', '.join(lacking)}: its energy is in the figure, its work is not",
                measurement=measurement,
            )


def of_zero_work(whole: Measurement) -> Iterator[Finding]:
    """Units that were counted in a whole run, and came to nothing: whoever counts has something to count."""
    for unit, amount in whole.work.items():
        if not amount:
            yield Finding.of(
                "counted-zero",
                f"{unit!r} was counted, and came to 0: there is no energy per {unit}",
                measurement=whole.name,
            )


def ending(outcome: Outcome) -> str:
    """How a program ended, as the rest of a sentence about it."""
    if outcome.signal is not None:
        return f"was ended by {outcome.signal}"
    if outcome.exception is not None:
        return f"ended with {outcome.exception}"
    return f"ended with exit code {outcome.exit_code or 0}"


def still_running(at_s: float) -> Finding:
    """The record is of a run that goes on."""
    return Finding.of(
        "still-running",
        f"the run was still going on at {at_s:.1f} s, when this was made; it counts up to there",
    )


def damaged(what: str, *, reads_on: bool = False) -> Finding:
    """The journal could only be read in part: up to the damage, or without the readings that rest upon what is lost."""
    rest = (
        "readings from there to the next that are told in full are missing"
        if reads_on
        else "it was read up to there"
    )
    return Finding.of(
        "journal-damaged",
        f"the journal is damaged at {what}; {rest}",
        severity="degrades",
    )


def nothing_measured() -> Finding:
    """No component has any energy."""
    return Finding.of(
        "nothing-measured",
        "no sensor gave any energy",
        measurement=RUN,
    )


GAIN_CORRECTED = "gain-corrected"


def gain_corrected(device: str, gain: float, doubt: float, *, meter: str, date: str, n: int) -> Finding:
    """The readings of a card were divided by its gain against a meter; what was applied stands in the data, with all its digits."""
    return Finding.of(
        GAIN_CORRECTED,
        f"the readings of {device} were divided by {gain:g}, its gain against {meter} ({date}, {n} readings), and carry its doubt "
        f"of {doubt:.2%} (1 σ)",
        data={"device": device, "gain": gain, "doubt": doubt, "meter": meter, "date": date, "n": n},
    )


ONLY_ESTIMATED = "estimated-only"


def is_only_estimated(measurements: Iterable[Measurement]) -> bool:
    """Whether there is some energy, and all of it a model's."""
    methods = {measurement.methods.get(name) for measurement in measurements for name in measurement.energy_j}
    return methods == {"model"}


def of_estimates(measurements: Sequence[Measurement], findings: Sequence[Finding]) -> Iterator[Finding]:
    """That no sensor stands behind any figure, and whether a GPU was there to be measured."""
    if not is_only_estimated(measurements):
        return
    components = dict.fromkeys(name for measurement in measurements for name in measurement.energy_j)
    unseen = next((finding for finding in findings if finding.code == NOT_MEASURED["gpu"]), None)
    yield Finding.of(
        ONLY_ESTIMATED,
        f"nothing was measured; models estimated: {', '.join(components)}"
        + (f"; of a GPU: {unseen.message}" if unseen is not None else ""),
        remedy="See what would measure it here with: energy-rating sensors",
        severity="degrades",
    )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
