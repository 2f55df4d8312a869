"""What is told first of a record: the measurement, the component, the units, one line. Each form reads it from here."""

from __future__ import annotations

from dataclasses import replace

from energy_rating.judging import checks
from energy_rating.judging.footprint.carbon import missing
from energy_rating.judging.quality import is_accuracy
from energy_rating.judging.summary import IDLE_WINDOWS
from energy_rating.nouns.quantities import (
    EnergyPerUnit,
    Estimate,
    duration,
    reaches_zero,
    scaled,
    significant,
    with_doubt,
)
from energy_rating.nouns.records import (
    LEADING,
    MEASURED,
    RUN,
    TRAINING,
    Component,
    Measurement,
    Quality,
    Record,
)

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
