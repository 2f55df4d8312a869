"""What a sceptic would object to, found by the record itself. Pure functions from figures to findings.

A finding says what is wrong, where, and what to do. *note*: good to know. *degrades*: the figure is usable, and marked.
*disqualifies*: the figure is shown and never rated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev

from energy_rating.integration import Counter, Register
from energy_rating.quantities import Estimate
from energy_rating.records import RUN, Channel, Finding, Measurement

# What a rating asks for, and below which share a figure no longer stands for its window at all.
FULL_COVERAGE = 0.99
LEAST_COVERAGE = 0.90

# A window shorter than so many refreshes of its counter is mostly edge.
SHORTEST_IN_TICKS = 3.0

# Counter and integrated power of one GPU agree to about 1 % where both are sound (ml-energy/zeus#12). The register's own part-time
# sampling explains a few per cent, so only more is a finding; the comparison needs the register's lag to be a small part.
DISAGREES, DISAGREES_BADLY = 0.05, 0.10
COMPARED_FROM_S = 10.0

# Half the 95 % interval, relative, beyond which a figure says little.
DOUBTFUL = 0.20

# pyperf's warnings (pyperf docs, "How to get reproducible benchmark results"): σ from 10 % of the mean, a value 50 % off.
UNSTEADY, FAR_OFF = 0.10, 0.50

# Rejected readings of a register that are more than an accident.
MANY_REJECTED = 0.01


def of_measurement(
    measurement: Measurement,
    channels: Sequence[Channel],
    used: Mapping[str, float],
    *,
    contiguous: bool,
) -> Iterator[Finding]:
    """What is wrong with one measurement.

    ``used``: what each channel that its energy came from can tell apart, in seconds. ``contiguous``: its windows follow upon
    each other, so that what is misplaced at an edge is not lost.
    """
    name = measurement.name
    by_id = {channel.id: channel for channel in channels}
    for component, share in measurement.coverage.items():
        if share < FULL_COVERAGE:
            seen = f"only {share:.1%} of {measurement.duration_s:.1f} s" if share > 0 else "no part"
            yield Finding(
                code="partly-measured",
                message=f"{component}: {seen} of {name!r} was seen by its sensors; the figure is that part's",
                remedy="Look for sensor-lost, gap and reset findings; measure again",
                severity="disqualifies" if share < LEAST_COVERAGE else "degrades",
                measurement=name,
                channel=next((channel.id for channel in channels if channel.component == component), None),
            )
    mean_s = measurement.duration_s / measurement.n if measurement.n else 0.0
    too_short: set[str] = set()
    for channel_id, period_s in used.items():
        if period_s and by_id[channel_id].method != "model" and mean_s < SHORTEST_IN_TICKS * period_s:
            too_short.add(by_id[channel_id].component)
            yield Finding(
                code="window-too-short",
                message=f"windows of {mean_s * 1e3:.3g} ms are too short for a sensor that tells apart "
                f"{period_s * 1e3:.3g} ms",
                remedy=f"Put at least {SHORTEST_IN_TICKS * period_s:.2g} s of work into one window",
                severity="degrades"
                if mean_s >= period_s
                or (contiguous and measurement.duration_s >= SHORTEST_IN_TICKS * period_s)
                else "disqualifies",
                measurement=name,
                channel=channel_id,
            )
    for component, energy in measurement.energy_j.items():
        half = random_half_width(energy)
        if component in too_short or measurement.methods.get(component) == "model":
            continue  # that is said already
        if energy.value > 0 and half > DOUBTFUL:
            yield Finding(
                code="doubtful",
                message=f"{component}: the random doubt alone is ±{half:.0%} of the figure",
                remedy="Measure longer, or repeat",
                severity="degrades",
                measurement=name,
            )


def random_half_width(energy: Estimate) -> float:
    """Half the 95 % interval that random doubt alone makes, as a share of the value."""
    return Estimate(value=0.0, random=energy.random).half_width() / energy.value if energy.value else 0.0


def summed_from_power(channel: Channel) -> Finding:
    """A GPU without a counter."""
    return Finding(
        code="summed-from-power",
        message=f"{channel.id}: its energy is summed up from power readings, which see only a part of the time",
        remedy="A GPU and driver with an energy counter know it all",
        severity="degrades",
        channel=channel.id,
    )


def of_counter(channel: Channel, counter: Counter) -> Iterator[Finding]:
    """Resets and stand-stills."""
    if counter.resets:
        yield Finding(
            code="counter-reset",
            message=f"{channel.id} started again or jumped {_times(len(counter.resets))}, first at "
            f"{counter.resets[0]:.1f} s; what it missed was bridged with the power before",
            remedy="A driver reload or GPU reset does this; keep persistence mode on while measuring",
            severity="degrades",
            channel=channel.id,
        )
    if counter.stuck:
        lost = sum(to - since for since, to in counter.stuck)
        yield Finding(
            code="counter-stuck",
            message=f"{channel.id} stood still for {lost:.1f} s, first at {counter.stuck[0][0]:.1f} s",
            remedy="Reload the driver; on AMD cards this is a known fault",
            severity="degrades",
            channel=channel.id,
        )


def of_register(channel: Channel, register: Register) -> Iterator[Finding]:
    """Readings that no device can draw, and gaps."""
    kept = len(register.watts)
    if register.rejected:
        share = register.rejected / (register.rejected + kept)
        yield Finding(
            code="implausible-readings",
            message=f"{channel.id} gave {register.rejected} readings that no device can draw; they were left out",
            severity="degrades" if share > MANY_REJECTED else "note",
            channel=channel.id,
        )


def of_pair(
    channel: Channel, counted: Estimate, integrated: Estimate, duration_s: float
) -> Iterator[Finding]:
    """Whether a device's counter and its integrated power tell the same."""
    if duration_s < COMPARED_FROM_S or counted.value <= 0 or integrated.value <= 0:
        return
    apart = integrated.value / counted.value - 1
    if abs(apart) > DISAGREES:
        yield Finding(
            code="counter-disagrees-with-power",
            message=f"{channel.id} counted {counted.value:.4g} J where its power adds up to {integrated.value:.4g} J "
            f"({apart:+.0%})",
            remedy="Neither can be trusted to better than this; compare with a wall meter",
            severity="disqualifies" if abs(apart) > DISAGREES_BADLY else "degrades",
            channel=channel.id,
        )


def of_repeats(name: str, energies_j: Sequence[float]) -> Iterator[Finding]:
    """Whether repeats of the same work took the same energy, by pyperf's rules for stable results."""
    if len(energies_j) < 3:
        return
    middle, spread = mean(energies_j), stdev(energies_j)
    farthest = max(abs(energy / middle - 1) for energy in energies_j) if middle > 0 else 0.0
    if middle > 0 and (spread / middle > UNSTEADY or farthest > FAR_OFF):
        yield Finding(
            code="not-steady",
            message=f"repeats of the same work differ: {spread / middle:.0%} standard deviation, one is {farthest:.0%} off",
            remedy="See that nothing else runs on the machine, warm up longer, repeat more often",
            severity="degrades",
            measurement=name,
        )


def interrupted(name: str, at_s: float) -> Finding:
    """The process died before the window was left."""
    return Finding(
        code="interrupted",
        message=f"the run was interrupted at {at_s:.1f} s; {name!r} counts up to there",
        remedy="Go on with it by resume=True, or run it again",
        severity="degrades",
        measurement=name,
    )


def ended_early(*, opened: bool) -> Finding:
    """The process died before its run had opened, or after it had closed."""
    return Finding(
        code="interrupted",
        message="the process ended before it had closed its journal"
        if opened
        else "the process ended before its run had opened",
        remedy="" if opened else "Run it again",
        severity="note" if opened else "disqualifies",
        measurement=RUN,
    )


def damaged(what: str) -> Finding:
    """The journal could only be read in part."""
    return Finding(
        code="journal-damaged",
        message=f"the journal is damaged at {what}; it was read up to there",
        remedy="Take the figures for a part of the run",
        severity="degrades",
    )


def nothing_measured() -> Finding:
    """No component has any energy."""
    return Finding(
        code="nothing-measured",
        message="no sensor gave any energy",
        remedy="See what can be measured here, and why the rest cannot, with: energy-rating sensors",
        severity="disqualifies",
        measurement=RUN,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
