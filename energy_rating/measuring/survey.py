"""What can be measured on this machine: asks every kind of sensor, and keeps the reasons of those that cannot."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

from energy_rating.files.libraries import ROOM_FOR_THREADS, has_room
from energy_rating.measuring import probe, sensors
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns import threads
from energy_rating.nouns.entries import Channel, Finding, plain
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorUnavailable
from energy_rating.nouns.findings import NOT_MEASURED

# A driver that has not answered by then is said to hang; loading an 8-GPU driver without persistence mode takes seconds.
PATIENCE_S = 20.0


# One kind of sensor may take so long to be found, while the others wait for it; the slowest that is known, AMD's, watches its counters
# for 0.5 s, and NVIDIA's driver of eight GPUs without persistence mode takes some seconds to load.
KIND_PATIENCE_S = 12.0


# When a run begins nobody waits longer for any of them, reckoned from its start; what answers later is taken in then. The program waits
# for a second at most (``meter.PATIENCE_S``): the rest of it is for the first reading of what has answered, on a busy machine, too.
FIRST_PATIENCE_S = 0.6

# What is asked only once another kind has answered, or was waited for in vain, gets this share of the patience at least.
LATER_TURN = 0.25

# What a kind that does not answer may wait for, and what keeps NVIDIA's driver loaded.
WAITS_FOR = "See what it waits for: a file, a file system, a driver"
PERSISTENCE = "On NVIDIA machines persistence mode keeps the driver loaded: sudo nvidia-persistenced"

# How often it is looked whether something late has answered.
LATE_STEP_S = 0.1


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
    names: Iterable[str] | None = None,
    *,
    beside: Detection | None = None,
    patience_s: float = KIND_PATIENCE_S,
    began_s: float | None = None,
    late: list[_Asked] | None = None,
    spoken_for: Sequence[_Asked] = (),
) -> tuple[Detection, tuple[Refusal, ...]]:
    """Asks all kinds of sensor, or those named, and closes nothing that it returns.

    Kinds that do not wait for each other's answer are asked side by side, in a thread each. One that has not answered within the
    patience, which is one for all and reckoned from ``began_s`` (by default from now), costs itself alone: it goes into ``late``, or
    what it finds later is let go. What is ``spoken_for`` may still be measured.

    A kind that measures what another one measures too (``FALLBACK``) is asked after it, and one that only models after both; of
    either a sensor is kept only where its component is not measured yet, here or ``beside``. Nothing is so counted twice. Where
    everything that it could measure or model is measured, it is not even asked.
    """
    until_s = (time.monotonic() if began_s is None else began_s) + patience_s
    found: dict[str, Detection] = {}
    refusals: dict[str, Refusal] = {}
    measured: set[str] = set()
    if beside is not None:
        measured |= _components(beside)
    pending = list(spoken_for)
    waiting: list[_Asked] = []

    def take_in(ones: Iterable[_Asked], until_s: float) -> None:
        for one in ones:
            waiting.remove(one)
            one.wait_until(until_s, give_up=late is None)
            if not one.answered and late is not None:
                late.append(one)
                pending.append(one)
            if isinstance(one.answer, Refusal):
                refusals[one.name] = one.answer
                continue
            detection = one.answer
            if _turn(one.name) > 0:
                detection = _without(detection, measured | _awaited(pending))
            measured.update(_components(detection))
            if detection.sensors and getattr(one.module, "UNTRIED", False):
                untried = _untried(one.name, one.module.WHAT)
                detection = replace(detection, findings=(*detection.findings, untried))
            found[one.name] = detection

    wanted = sorted(sensors.kinds() if names is None else names, key=_turn)
    for turn, of_turn in itertools.groupby(wanted, key=_turn):
        kinds = [(name, sensors.kind(name)) for name in of_turn]
        wished = {str(component) for _, module in kinds for component in module.COMPONENTS}
        # Only whoever might measure the same has to have answered: what hangs elsewhere holds up nobody.
        take_in([one for one in waiting if wished.intersection(one.module.COMPONENTS)], until_s)
        asked = [
            _Asked(name, module)
            for name, module in kinds
            if not (turn > 0 and (measured | _awaited(pending)).issuperset(module.COMPONENTS))
        ]
        _ask(asked)
        waiting += asked
        if asked and turn > 0:
            until_s = max(until_s, time.monotonic() + LATER_TURN * patience_s)
    take_in(tuple(waiting), until_s)
    in_order = [found[name] for name in wanted if name in found]
    return (
        Detection(
            sensors=tuple(sensor for one in in_order for sensor in one.sensors),
            devices=tuple(device for one in in_order for device in one.devices),
            findings=tuple(finding for one in in_order for finding in one.findings),
        ),
        tuple(refusals[name] for name in wanted if name in refusals),
    )


class _Asked:
    """One kind of sensor, and what it answers."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self.module = module
        self.answer: Detection | Refusal = self._refusal(
            f"the sensors of the kind {name!r} did not answer in time",
            WAITS_FOR,
        )
        self.answered_s = math.inf  # on the monotonic clock
        self._answered = threads.event()
        self._lock = threads.lock()
        self._given_up = False

    @property
    def reason(self) -> str:
        """Why nothing is known of it; empty where it has found something."""
        return self.answer.reason if isinstance(self.answer, Refusal) else ""

    def ask(self) -> None:
        answer: Detection | Refusal
        try:
            answer = self.module.detect()
        except SensorUnavailable as error:
            answer = self._refusal(error.message, error.remedy, isinstance(error, HardwareAbsent))
        except Exception as error:  # a defect in one kind of sensor must not cost the others
            answer = self._refusal(f"looking for it failed with {type(error).__name__}", "Please report this")
        with self._lock:
            if not self._given_up:
                self.answer = answer
                self.answered_s = time.monotonic()
                self._answered.set()
                return
        if self._given_up and isinstance(answer, Detection):
            for sensor in answer.sensors:
                with contextlib.suppress(Exception):  # nobody waits for it any more
                    sensor.close()

    @property
    def answered(self) -> bool:
        return self._answered.is_set()

    def wait_until(self, until_s: float, *, give_up: bool = True) -> None:
        if not self._answered.wait(max(0.0, until_s - time.monotonic())) and give_up:
            with self._lock:
                self._given_up = not self._answered.is_set()

    def _refusal(self, reason: str, remedy: str, absent: bool = False) -> Refusal:
        return Refusal(
            sensor=self.name,
            components=tuple(self.module.COMPONENTS),
            reason=reason,
            remedy=remedy,
            absent=absent,
            what=getattr(self.module, "WHAT", self.name),
        )


def _components(detection: Detection) -> set[str]:
    return {channel.component for sensor in detection.sensors for channel in sensor.channels}


def _awaited(pending: Sequence[_Asked]) -> set[str]:
    """The components that may yet be measured by what is best at it: modelled as well, they would be counted twice.

    Any other kind that comes late finds its place taken.
    """
    return {
        str(component)
        for one in pending
        if one.name in ("nvml", "rapl")
        for component in one.module.COMPONENTS
    }


def _ask(asked: Sequence[_Asked]) -> None:
    """Asks each of them, and waits for none."""
    side_by_side = has_room(ROOM_FOR_THREADS)
    for one in asked:
        if not side_by_side:
            one.ask()
            continue
        # What has no hardware here says so in microseconds; a thread costs more, but only a thread can be left behind.
        try:
            threads.thread(one.ask, name=f"energy-rating-{one.name}").start()
        except (RuntimeError, MemoryError):  # no room for a thread
            one.ask()


def _turn(name: str) -> int:
    """When a kind is asked: what measures, then what measures in another's place, then what models."""
    return 2 if sensors.models(name) else int(getattr(sensors.kind(name), "FALLBACK", False))


def _untried(name: str, what: str) -> Finding:
    return Finding.of(
        "sensor-untried",
        f"the sensor {name!r} ({what}) follows the documents and recorded conversations; it was not yet tried on the hardware",
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
    """The same in two turns: what measures, which answers at once, and what only models, which takes long to load.

    ``names``: the kinds that are asked, by default all. ``given``: what was detected before, and is measured beside them.
    ``patience_s``: for so long the first turn waits, from now on.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        given: Detection | None = None,
        *,
        patience_s: float = FIRST_PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._names = names
        self._given = Detection() if given is None else given
        self._measured = Detection()
        self._refusals: tuple[Refusal, ...] = ()
        self._late: list[_Asked] = []
        self._taken: set[str] = set()
        self._began_s = time.monotonic()

    def _kinds(self, *, models: bool) -> list[str]:
        if self._names is not None:
            return [name for name in self._names if sensors.models(name) == models]
        # What is not here is nothing to be told in a record, and need not be loaded to be asked.
        return [
            name for name in sensors.names() if sensors.models(name) == models and sensors.may_be_here(name)
        ]

    def measuring(self) -> Detection:
        """The sensors that measure, as far as they have answered by then: those are to be read at once. The others are told by name."""
        self._measured, self._refusals = look(
            self._kinds(models=False), patience_s=self._patience_s, began_s=self._began_s, late=self._late
        )
        late = [
            Finding.of(
                "sensors-late",
                f"the sensors of the kind {one.name!r} had not answered when the run began",
                remedy=PERSISTENCE if one.name == "nvml" else WAITS_FOR,
            )
            for one in self._late
        ]
        return Detection(
            sensors=(*self._measured.sensors, *self._given.sensors),
            devices=(*self._measured.devices, *self._given.devices),
            findings=(*self._measured.findings, *self._given.findings, *late),
        )

    def modelling(self) -> Detection:
        """The models of what is not measured; and, where a component is not, why and what would help."""
        modelled, refusals = look(self._kinds(models=True), beside=self._measured, spoken_for=self._late)
        self._taken = _components(self._measured) | _components(modelled)
        both = Detection(sensors=(*self._measured.sensors, *modelled.sensors))
        late = {one.name for one in self._late}
        refused = [refusal for refusal in self._refusals if refusal.sensor not in late]
        refused += [one.answer for one in self._late if isinstance(one.answer, Refusal)]
        missing = _missing(both, (*refused, *refusals))
        return replace(modelled, findings=(*modelled.findings, *missing))

    def belated(self) -> Iterator[Detection]:
        """What had not answered when the run began, each as it answers; waits for that."""
        left = list(self._late)
        until_s = self._began_s + KIND_PATIENCE_S
        while left:
            for one in tuple(left):
                if one.answered or time.monotonic() >= until_s:
                    left.remove(one)
                    yield from self._belated(one)
            if left:
                left[0].wait_until(min(until_s, time.monotonic() + LATE_STEP_S), give_up=False)

    def _belated(self, one: _Asked) -> Iterator[Detection]:
        one.wait_until(0.0)
        if not one.answered:
            finding = Finding.of(
                "sensors-late",
                f"the sensors of the kind {one.name!r} had not answered {KIND_PATIENCE_S:.0f} s after the start; they are left out",
                remedy=WAITS_FOR,
            )
            yield Detection(findings=(finding,))
        elif isinstance(one.answer, Detection):
            detection = _without(one.answer, self._taken)
            self._taken |= _components(detection)
            if not detection.sensors:
                return
            finding = Finding.of(
                "sensors-late",
                f"the sensors of the kind {one.name!r} answered only {one.answered_s - self._began_s:.1f} s after the start",
                remedy=PERSISTENCE if one.name == "nvml" else WAITS_FOR,
            )
            yield replace(detection, findings=(*detection.findings, finding))

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
        missing.append(Finding.of(NOT_MEASURED[component], message, refusal.remedy or None, "note"))
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

    thread = threads.thread(ask, name="energy-rating-survey")
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
            threads.event().wait(0.1)  # a load is a share of some time
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

    attempts = [
        threads.thread(functools.partial(attempt, number, sensor), name="energy-rating-probe")
        for number, sensor in enumerate(detection.sensors)
        if any(channel.method != "model" for channel in sensor.channels)
    ]
    for thread in attempts:
        thread.start()
    for thread in attempts:
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
