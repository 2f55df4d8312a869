"""What can be measured on this machine: asks every kind of sensor, and keeps the reasons of those that cannot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from energy_rating import probe, sensors
from energy_rating.entries import Channel, Finding, plain
from energy_rating.errors import HardwareAbsent, SensorFailed, SensorUnavailable
from energy_rating.sensors import Detection, Sensor

# A driver that has not answered by then is said to hang; loading an 8-GPU driver without persistence mode takes seconds.
PATIENCE_S = 20.0


class Refusal(NamedTuple):
    """A kind of sensor that cannot be used here: for which components, why, and the remedy.

    ``absent``: there is no such hardware here, which is nothing to be told in a record. ``what`` names that hardware.
    """

    sensor: str
    components: tuple[str, ...]
    reason: str
    remedy: str
    absent: bool = False
    what: str = ""


class Survey(NamedTuple):
    """What was found, one reading of each channel (a number, or why there is none), and what was refused."""

    detection: Detection
    refusals: tuple[Refusal, ...]
    readings: dict[str, float | str]
    probes: tuple[probe.Tried, ...] = ()

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
            "unavailable": [plain(refusal._asdict()) for refusal in self.refusals],
            "findings": plain(self.detection.findings),
            **({"probes": [plain(probe._asdict()) for probe in self.probes]} if self.probes else {}),
        }


def look(
    names: Iterable[str] | None = None, *, beside: Detection | None = None
) -> tuple[Detection, tuple[Refusal, ...]]:
    """Asks all kinds of sensor, or those named, and closes nothing that it returns.

    A kind that measures what another one measures too (``FALLBACK``) is asked after it, and one that only models after both; of
    either a sensor is kept only where its component is not measured yet, here or ``beside``. Nothing is so counted twice. Where
    everything that it could measure or model is measured, it is not even asked.
    """
    found: list[Detection] = []
    refusals: list[Refusal] = []
    measured: set[str] = set()
    if beside is not None:
        measured |= {channel.component for sensor in beside.sensors for channel in sensor.channels}
    for name in sorted(sensors.kinds() if names is None else names, key=_turn):
        module = sensors.kind(name)
        stands_in = _turn(name) > 0
        if stands_in and measured.issuperset(module.COMPONENTS):
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
                    absent=isinstance(error, HardwareAbsent),
                    what=getattr(module, "WHAT", name),
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
        if stands_in:
            detection = _without(detection, measured)
        measured |= {channel.component for sensor in detection.sensors for channel in sensor.channels}
        if detection.sensors and getattr(module, "UNTRIED", False):
            detection = replace(detection, findings=(*detection.findings, _untried(name, module.WHAT)))
        found.append(detection)
    return (
        Detection(
            sensors=tuple(sensor for one in found for sensor in one.sensors),
            devices=tuple(device for one in found for device in one.devices),
            findings=tuple(finding for one in found for finding in one.findings),
        ),
        tuple(refusals),
    )


def _turn(name: str) -> int:
    """When a kind is asked: what measures, then what measures in another's place, then what models."""
    return 2 if sensors.models(name) else int(getattr(sensors.kind(name), "FALLBACK", False))


def _untried(name: str, what: str) -> Finding:
    return Finding(
        code="sensor-untried",
        message=f"the sensor {name!r} ({what}) follows the documents and recorded conversations; it was not yet tried on the hardware",
        remedy="Compare its figures with an external meter before you rely on them",
    )


def _without(detection: Detection, measured: set[str]) -> Detection:
    """A detection, less the sensors of components that are measured already."""
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
    return replace(detection, findings=(*detection.findings, *_missing(detection, refusals)))


class InTurn:
    """The same in two turns: what measures, which answers at once, and what only models, which takes long to load."""

    def __init__(self) -> None:
        self._measured = Detection()
        self._refusals: tuple[Refusal, ...] = ()

    def measuring(self) -> Detection:
        """The sensors that measure."""
        self._measured, self._refusals = look([name for name in sensors.kinds() if not sensors.models(name)])
        return self._measured

    def modelling(self) -> Detection:
        """The models of what is not measured; and, where a component is not, why and what would help."""
        modelling = [name for name in sensors.kinds() if sensors.models(name)]
        modelled, refusals = look(modelling, beside=self._measured)
        both = Detection(sensors=(*self._measured.sensors, *modelled.sensors))
        return replace(modelled, findings=(*modelled.findings, *_missing(both, (*self._refusals, *refusals))))

    def unmodelled(self) -> Detection:
        """Nothing but why what is not measured is not, where there is no time for a model."""
        return Detection(findings=tuple(_missing(self._measured, self._refusals)))


def _missing(detection: Detection, refusals: Sequence[Refusal]) -> list[Finding]:
    methods = {
        channel.component: channel.method for sensor in detection.sensors for channel in sensor.channels
    }
    missing: list[Finding] = []
    for component in ("gpu", "cpu", "dram", "module", "wall"):
        # The first reason is that of the kind that would measure; models come last.
        refusal = next((r for r in refusals if component in r.components and not r.absent), None)
        if refusal is None or methods.get(component) in ("counter", "power"):
            continue
        message = refusal.reason
        if component in methods:
            message = f"{message}; a model's estimate stands in"
        missing.append(Finding(code=f"{component}-not-measured", message=message, remedy=refusal.remedy))
    return missing


def survey(
    names: Iterable[str] | None = None, *, patience_s: float = PATIENCE_S, probe_s: float = 0.0
) -> Survey:
    """Looks, reads every channel once, and lets go again. Does not wait for a driver that hangs.

    With ``probe_s`` every sensor that measures is tried for so many seconds first, and what came of it is remembered.

    Raises:
        SensorUnavailable: a driver did not answer within the patience.
    """
    result: list[Survey | BaseException] = []

    def ask() -> None:
        try:
            result.append(_surveyed(names, probe_s))
        except BaseException as error:
            result.append(error)  # raised again by the caller's thread

    thread = threading.Thread(target=ask, name="energy-rating-survey", daemon=True)
    thread.start()
    thread.join(patience_s + probe_s)
    if not result:
        raise SensorUnavailable(
            f"a driver did not answer within {patience_s + probe_s:.0f} s",
            "See the kernel log for its messages",
        )
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def _surveyed(names: Iterable[str] | None, probe_s: float) -> Survey:
    detection, refusals = look(names)
    probes = _probed(detection, probe_s) if probe_s > 0 else ()
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
    return Survey(detection=detection, refusals=refusals, readings=readings, probes=probes)


def _probed(detection: Detection, seconds: float) -> tuple[probe.Tried, ...]:
    """What the sensors that measure turn out to be like, all tried at the same time."""
    found: dict[int, probe.Tried] = {}

    def attempt(number: int, sensor: Sensor) -> None:
        # What a lost device was like no longer matters; that it is lost is told by the reading that follows.
        with contextlib.suppress(SensorFailed):
            found[number] = probe.tried(sensor, seconds)

    threads = [
        threading.Thread(target=attempt, args=(number, sensor), name="energy-rating-probe", daemon=True)
        for number, sensor in enumerate(detection.sensors)
        if any(channel.method != "model" for channel in sensor.channels)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drivers = {device.id: device.driver for device in detection.devices}
    for number, one in found.items():
        counter = next((c.id for c in detection.sensors[number].channels if c.method == "counter"), "")
        probe.remember(
            one.device,
            drivers.get(one.device),
            one.periods_s.get(counter),
            one.agreement,
            sources=one.sources,
        )
    return tuple(found[number] for number in sorted(found))
