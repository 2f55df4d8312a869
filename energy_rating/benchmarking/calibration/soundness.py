"""Whether a run is good enough to calibrate with, and whether one of before still holds. Runs none."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from energy_rating.benchmarking.calibration.points import PointResult
from energy_rating.judging.checks import random_half_width
from energy_rating.nouns.records import MEASURED, Device, Measurement, Record

# Half the 95 % interval of the random doubt, as a share: a tenth of what the interval of a factor (×/÷ 1.3) allows for.
WIDEST = 0.03

# What a calibration can live with: random weights are what it is made of, and a GPU without a counter has its wider doubt.
_BEARABLE = ("random-weights", "summed-from-power")


def as_before(device: Device, now: Device | None) -> Device | None:
    """The device of now, where a record's is the same one under the same driver and limit."""
    if now is None or (device.id, device.driver) != (now.id, now.driver):
        return device
    return now if device.power_limit_w == now.power_limit_w else device


def set_aside(folder: Path) -> None:
    """What an earlier call left keeps its files under another name."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.before-{number}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))


def judged(outcome: PointResult) -> PointResult:
    """With its energy, or why it is left out whatever is compared with it."""
    record, point = outcome.record, outcome.point
    assert record is not None
    if MEASURED not in record:
        return replace(outcome, left_out="it broke off before anything was measured")
    measurement = record[MEASURED]
    component = "gpu" if "gpu" in measurement.energy_j else next(iter(measurement.energy_j), None)
    if component is None or not measurement.work.get(point.unit):
        return replace(outcome, left_out="no energy was measured, or nothing was done")
    energy = measurement.energy_per(point.unit, component)
    outcome = replace(
        outcome,
        joules_per_unit=energy,
        use=_use(record, measurement) if component == "gpu" else None,
    )
    return replace(outcome, left_out=_unsound(record, measurement, component))


def _unsound(record: Record, measurement: Measurement, component: str) -> str | None:
    for finding in record.findings_on(MEASURED):
        if finding.severity != "note" and finding.code not in _BEARABLE:
            return f"{finding.code}: {finding.message}"
    half = random_half_width(measurement.energy_j[component])
    if half > WIDEST:
        return f"too uncertain: ±{half:.1%} from repeat to repeat, and at most {WIDEST:.0%} may be"
    return None


def _use(record: Record, measurement: Measurement) -> float | None:
    gpus = {channel.device for channel in record.channels if channel.component == "gpu"}
    limits = [
        device.power_limit_w
        for device in record.environment.devices
        if device.power_limit_w and device.id in gpus
    ]
    seen_s = measurement.duration_s * measurement.coverage.get("gpu", 1.0)
    if len(limits) != 1 or seen_s <= 0:
        return None
    return measurement.energy_j["gpu"].value / seen_s / limits[0]
