"""What can be measured on this machine: asks every kind of sensor, and keeps the reasons of those that cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from energy_rating import sensors
from energy_rating.errors import SensorFailed, SensorUnavailable
from energy_rating.formats import plain
from energy_rating.records import Channel, Finding
from energy_rating.sensors import Detection

# A driver that has not answered by then is said to hang; loading an 8-GPU driver without persistence mode takes seconds.
PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A kind of sensor that cannot be used here: for which components, why, and the remedy."""

    sensor: str
    components: tuple[str, ...]
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was found, one reading of each channel (a number, or why there is none), and what was refused."""

    detection: Detection
    refusals: tuple[Refusal, ...]
    readings: dict[str, float | str]

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for sensor in self.detection.sensors for channel in sensor.channels)

    def as_json(self) -> dict[str, Any]:
        """What ``energy-rating sensors --json`` prints. A channel that did not answer has ``reading`` null and a reason."""
        entries = []
        for channel in self.channels:
            reading = self.readings.get(channel.id, "not read")
            entry = plain(channel)
            entry["reading"] = reading if isinstance(reading, float) else None
            entry["unit"] = "joule" if channel.method == "counter" else "watt"
            if not isinstance(reading, float):
                entry["reason"] = reading
            entries.append(entry)
        return {
            "channels": entries,
            "devices": plain(self.detection.devices),
            "unavailable": plain(self.refusals),
            "findings": plain(self.detection.findings),
        }


def look(names: Iterable[str] | None = None) -> tuple[Detection, tuple[Refusal, ...]]:
    """Asks all kinds of sensor, or those named, and closes nothing that it returns.

    A modelled channel is kept only where its component is not measured; a modelling kind is not even asked when everything
    that it could model is measured.
    """
    found: list[Detection] = []
    refusals: list[Refusal] = []
    measured: set[str] = set()
    for name in sensors.kinds() if names is None else names:
        module = sensors.kind(name)
        modelled = getattr(module, "MODELLED", False)
        if modelled and measured.issuperset(module.COMPONENTS):
            continue
        try:
            detection: Detection = module.detect()
        except SensorUnavailable as error:
            refusals.append(
                Refusal(
                    sensor=name,
                    components=tuple(module.COMPONENTS),
                    reason=error.message,
                    remedy=error.remedy,
                )
            )
            continue
        except Exception as error:  # a defect in one kind of sensor must not cost the others
            refusals.append(
                Refusal(
                    sensor=name,
                    components=tuple(module.COMPONENTS),
                    reason=f"looking for it failed with {type(error).__name__}",
                    remedy="Please report this",
                )
            )
            continue
        if modelled:
            detection = _without(detection, measured)
        else:
            measured |= {channel.component for sensor in detection.sensors for channel in sensor.channels}
        found.append(detection)
    return (
        Detection(
            sensors=tuple(sensor for one in found for sensor in one.sensors),
            devices=tuple(device for one in found for device in one.devices),
            findings=tuple(finding for one in found for finding in one.findings),
        ),
        tuple(refusals),
    )


def _without(detection: Detection, measured: set[str]) -> Detection:
    """A detection of models, less those of components that are measured."""
    kept = []
    for sensor in detection.sensors:
        if measured.issuperset(channel.component for channel in sensor.channels):
            sensor.close()
        else:
            kept.append(sensor)
    ids = {channel.id for sensor in kept for channel in sensor.channels}
    devices = {channel.device for sensor in kept for channel in sensor.channels}
    return replace(
        detection,
        sensors=tuple(kept),
        devices=tuple(device for device in detection.devices if device.id in devices),
        findings=tuple(f for f in detection.findings if f.channel is None or f.channel in ids),
    )


def detect(names: Iterable[str] | None = None) -> Detection:
    """Everything that can be measured here; where a component is not, a finding says why and what would help."""
    detection, refusals = look(names)
    methods = {
        channel.component: channel.method for sensor in detection.sensors for channel in sensor.channels
    }
    missing: list[Finding] = []
    for component in ("gpu", "cpu", "dram"):
        # The first reason is that of the kind that would measure; models come last.
        refusal = next((refusal for refusal in refusals if component in refusal.components), None)
        if refusal is None or methods.get(component) in ("counter", "power"):
            continue
        message = refusal.reason
        if component in methods:
            message = f"{message}; a model's estimate stands in"
        missing.append(Finding(code=f"{component}-not-measured", message=message, remedy=refusal.remedy))
    return replace(detection, findings=(*detection.findings, *missing))


def survey(names: Iterable[str] | None = None, *, patience_s: float = PATIENCE_S) -> Survey:
    """Looks, reads every channel once, and lets go again. Does not wait for a driver that hangs.

    Raises:
        SensorUnavailable: a driver did not answer within the patience.
    """
    result: list[Survey | BaseException] = []

    def ask() -> None:
        try:
            result.append(_surveyed(names))
        except BaseException as error:
            result.append(error)  # raised again by the caller's thread

    thread = threading.Thread(target=ask, name="energy-rating-survey", daemon=True)
    thread.start()
    thread.join(patience_s)
    if not result:
        raise SensorUnavailable(
            f"a driver did not answer within {patience_s:.0f} s", "See the kernel log for its messages"
        )
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def _surveyed(names: Iterable[str] | None) -> Survey:
    detection, refusals = look(names)
    readings: dict[str, float | str] = {}
    for sensor in detection.sensors:
        modelled = all(channel.method == "model" for channel in sensor.channels)
        if modelled:
            threading.Event().wait(0.1)  # a load is a share of some time
        try:
            reading = sensor.read()
        except SensorFailed as error:
            reading = {channel.id: error for channel in sensor.channels}
        for channel_id, value in reading.items():
            readings[channel_id] = value if isinstance(value, float) else str(value)
        sensor.close()
    return Survey(detection=detection, refusals=refusals, readings=readings)
