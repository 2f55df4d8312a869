"""Why two runs of the same work differ: time times power, and what held or changed them. What is not recorded is no cause.

Energy per unit of work is mean power times the time for one unit, exactly; so the ratio of two runs is the product of two ratios. What the
journals tell of clocks, temperature, limits and other programs on the device is set beside it, by its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from energy_rating.files.reading import Journal
from energy_rating.files.windows import named
from energy_rating.judging.comparison import Comparison, compare
from energy_rating.judging.curves import Curves
from energy_rating.judging.work import work_of
from energy_rating.nouns.records import Component, Condition, Measurement, Record

BINS = 240  # of a course of power: as many as a picture has room for

TICKS_A_STEP = 50.0

# Below these, a difference explains nothing: shares of the time, ratios of clocks and limits, degrees.
LEAST_SHARE, LEAST_RATIO, LEAST_DEGREES = 0.05, 0.02, 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSide:
    """What one of the runs was like. None: not recorded. Clock and temperature are means over the time, of the devices used.

    ``throttled_share`` (0 to 1) is the part of the time in which something held the clocks down, ``throttled_by`` what that was, mostly;
    ``shared_share`` that in which others computed on a device. ``course``: seconds since its start, watts.
    """

    run_id: str
    duration_s: float
    mean_w: float
    units_per_s: float | None
    clock_mhz: float | None
    temperature_c: float | None
    power_limit_w: float | None
    throttled_share: float | None
    throttled_by: tuple[str, ...]
    shared_share: float | None
    course: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Something that differs and may have made the difference; ``what`` is a word for programs, ``weight`` orders them."""

    what: str
    text: str
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """B beside A. ``ratio`` = ``by_power`` × ``by_time``: of the energy per unit, of the mean power, of the time for one unit."""

    comparison: Comparison
    component: Component
    unit: str | None
    ratio: float
    by_power: float
    by_time: float
    a: RunSide
    b: RunSide
    causes: tuple[Cause, ...]


def explain(
    a: Record,
    b: Record,
    journals: tuple[Journal | None, Journal | None] = (None, None),
    *,
    unit: str | None = None,
    component: Component | None = None,
) -> Explanation:
    """Why B's energy differs from A's, as far as it is recorded.

    Args:
        a: the one that is compared with.
        b: the other.
        journals: theirs, which hold clocks, temperatures and the course of the power; None where there is none.
        unit: of work, as in ``compare``.
        component: whose energy.

    Raises:
        BadInput: the records are of different tasks, protocols or stages, or have nothing in common.
    """
    found = compare(a, b, unit=unit, component=component)
    sides = tuple(_side(record, journal, found) for record, journal in zip((a, b), journals, strict=True))
    of_a, of_b = sides
    by_power = of_b.mean_w / of_a.mean_w if of_a.mean_w else math.nan
    return Explanation(
        comparison=found,
        component=found.component,
        unit=found.unit,
        ratio=found.ratio,
        by_power=by_power,
        by_time=found.ratio / by_power if by_power else math.nan,
        a=of_a,
        b=of_b,
        causes=tuple(sorted(_causes(of_a, of_b, found), key=lambda cause: -cause.weight)),
    )


def _side(record: Record, journal: Journal | None, found: Comparison) -> RunSide:
    measured = record[found.measurement]
    seen_s = measured.duration_s * measured.coverage.get(found.component, 1.0)
    amount = work_of(record, measured)[found.unit].amount if found.unit is not None else None
    told = list(_conditions(record, measured, journal, found.component)) if journal is not None else []
    held = [one for one in told if one.throttled_by is not None and not one.idle]
    reasons = [reason for one in held for reason in one.throttled_by or ()]
    shared = [one.foreign_processes for one in told if one.foreign_processes is not None]
    limits = [one.power_limit_w for one in told if one.power_limit_w is not None]
    return RunSide(
        run_id=record.run_id,
        duration_s=measured.duration_s,
        mean_w=measured.energy_j[found.component].value / seen_s if seen_s else 0.0,
        units_per_s=float(amount) / measured.duration_s
        if amount is not None and measured.duration_s
        else None,
        clock_mhz=_mean([one.sm_clock_mhz for one in told]),
        temperature_c=_mean([one.temperature_c for one in told]),
        power_limit_w=_mean(limits) if limits else _limit(record, measured, found.component),
        throttled_share=sum(bool(one.throttled_by) for one in held) / len(held) if held else None,
        throttled_by=tuple(sorted(set(reasons), key=lambda reason: (-reasons.count(reason), reason))[:3]),
        shared_share=sum(number > 0 for number in shared) / len(shared) if shared else None,
        course=tuple(_course(journal, found)) if journal is not None else (),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _used(record: Record, measured: Measurement, component: Component) -> set[str]:
    return {channel.device for channel in record.channels_of(measured, component)}


def _limit(record: Record, measured: Measurement, component: Component) -> float | None:
    used = _used(record, measured, component)
    return _mean([device.power_limit_w for device in record.environment.devices if device.id in used])


def _conditions(
    record: Record, measured: Measurement, journal: Journal, component: Component
) -> Iterator[Condition]:
    """What the devices that were used were like within the windows."""
    used = _used(record, measured, component)
    for session in journal.sessions:
        spans = [(span.start_s, span.end_s) for span in named(session.spans, measured.name)]
        for device, told in session.conditions.items():
            if device not in used:
                continue
            for at_s, condition in told:
                if any(start <= at_s <= end for start, end in spans):
                    yield condition


def _course(journal: Journal, found: Comparison) -> Iterator[tuple[float, float]]:
    """The power over the time of the windows, in as many steps as a picture has room for: mean watts of each."""
    since = 0.0
    sessions = [
        (Curves(session, number), named(session.spans, found.measurement))
        for number, session in enumerate(journal.sessions, start=1)
    ]
    whole = sum(span.end_s - span.start_s for _, spans in sessions for span in spans)
    if whole <= 0:
        return
    for curves, spans in sessions:
        channels = [
            candidates[0] for (one, _), candidates in curves.devices.items() if one == found.component
        ]
        for span in spans:
            length = span.end_s - span.start_s
            # A step is so much longer than a tick of its counters that where its ends fall within one hardly matters.
            finest = max((curves.resolution_s(channel, span) for channel in channels), default=0.0)
            steps = max(1, min(round(BINS * length / whole), int(length / max(TICKS_A_STEP * finest, 1e-9))))
            for step in range(steps):
                start = span.start_s + length * step / steps
                end = span.start_s + length * (step + 1) / steps
                joules = [curves.energy_between(channel, start, end)[0] for channel in channels]
                if end > start and None not in joules:
                    yield (
                        since + (end + start) / 2 - span.start_s,
                        sum(one.value for one in joules if one is not None) / (end - start),
                    )
            since += length


# ---------------------------------------------------------------------------------------------------------- the causes


def _causes(a: RunSide, b: RunSide, found: Comparison) -> Iterator[Cause]:
    shares = (a.throttled_share, b.throttled_share)
    if None not in shares and abs((shares[1] or 0.0) - (shares[0] or 0.0)) >= LEAST_SHARE:
        by = b.throttled_by if (shares[1] or 0.0) > (shares[0] or 0.0) else a.throttled_by
        yield Cause(
            what="throttled",
            text=f"the clocks were held down for {_percent(shares[1])} of the time ({_percent(shares[0])} in A), by {' and '.join(by)}",
            weight=3.0 + abs((shares[1] or 0.0) - (shares[0] or 0.0)),
        )
    alone = (a.shared_share, b.shared_share)
    if None not in alone and abs((alone[1] or 0.0) - (alone[0] or 0.0)) >= LEAST_SHARE:
        yield Cause(
            what="shared",
            text=f"other programs computed on the device for {_percent(alone[1])} of the time ({_percent(alone[0])} in A); their energy is in the figure",
            weight=4.0,
        )
    if _apart(a.power_limit_w, b.power_limit_w):
        yield Cause(
            what="power-limit",
            text=f"its power limit was {b.power_limit_w:.0f} W ({a.power_limit_w:.0f} W in A)",
            weight=2.5,
        )
    if _apart(a.clock_mhz, b.clock_mhz):
        yield Cause(
            what="clock",
            text=f"it ran at {b.clock_mhz:.0f} MHz on average ({a.clock_mhz:.0f} MHz in A)",
            weight=2.0,
        )
    if (
        a.temperature_c is not None
        and b.temperature_c is not None
        and abs(a.temperature_c - b.temperature_c) >= LEAST_DEGREES
    ):
        yield Cause(
            what="temperature",
            text=f"it was {b.temperature_c:.0f} °C warm on average ({a.temperature_c:.0f} °C in A)",
            weight=1.5,
        )
    for place, one in enumerate(found.differences):
        yield Cause(
            what=one.what,
            text=f"{one.what}: {one.b if one.b is not None else 'not recorded'} ({one.a if one.a is not None else 'not recorded'} in A)",
            weight=1.0 - place / 1000,
        )


def _apart(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(b - a) > LEAST_RATIO * max(a, b)


def _percent(share: float | None) -> str:
    return "none" if not share else f"{100 * share:.0f} %"
