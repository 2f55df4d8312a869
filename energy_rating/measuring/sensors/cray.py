"""Nodes of Cray and HPE Cray EX: what their blade's controller tells under /sys/cray/pm_counters. Only reads files.

One line a file, as the controller measures it about ten times a second (HPE, "User Access to Compute Node Power Data",
https://github.com/Cray-HPE/docs-csm/blob/26f2c52313bc632c32c6bec8135c8ec7693241ea/operations/power_management/User_Access_to_Compute_Node_Power_Data.md)::

    energy               81147367 J 1700061210920464 us   the node, its accelerators included   -> cray-node.energy (host)
    cpu_energy           …                                its processors                        -> cray-cpu.energy
    memory_energy        …                                its memory                            -> cray-memory.energy (dram)
    accel0_energy, …     …                                each accelerator, on EX               -> cray-accel0.energy (gpu)
    accel_energy         …                                all of them, on XC; 0 where there is none
    power, cpu_power, …  71 W 1700061089722572 us         the same as power now                 -> cray-node.power, …
    power_cap            0 W …                            what the node may draw; 0: as much as it likes
    freshness            12345                            grows with each measurement
    generation           3                                grows when a power cap is set
    startup              …                                another number once the controller has started again
    raw_scan_hz          10                               how often it measures

The time at the end (microseconds) is newer: XC wrote value and unit alone. The node is a component of its own that is never added to its
parts, and is measured beside them; what NVML, AMD SMI or RAPL measure is not measured here again. The energies are those of the whole node,
whoever works on it. A counter that a restarted controller begins anew is seen by who judges the journal, by its step back.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from energy_rating.measuring.hwmon import Attribute, Files, HwmonSensor, Quantity, text, why_not
from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("host", "cpu", "dram", "gpu")
WHAT = "Cray nodes"
SIGNS = ("/sys/cray/pm_counters",)
FALLBACK = True
UNTRIED = True

PM_COUNTERS = Path("/sys/cray/pm_counters")

# HPE states no accuracy in public documents that we know of. An assumption, 1 σ: that of RAPL on servers.
ACCURACY = 0.05

# raw_scan_hz, where it cannot be read.
SCANS_HZ = 10.0

# A controller that has measured nothing for so long does not measure: what the files hold is of before, and is no reading.
STALE_S = 2.0

# Two numbers of 20 digits, two units and blanks.
LINE_BYTES = 64

_ACCELERATOR = re.compile(r"accel(?P<number>\d+)_(?:energy|power)")

ABSENT = "no power counters of a Cray node were found"
DENIED_REMEDY = "Ask who runs the machine for leave to read /sys/cray/pm_counters"


class _CrayLine(Attribute):
    """One file: a number and its unit. ``unit`` empty: a number alone."""

    def __init__(self, path: Path, unit: str, files: Files) -> None:
        self._unit = unit.encode()
        super().__init__(path, files, LINE_BYTES)

    def number(self) -> int:
        held = self.read().split()
        if not held or not held[0].isdigit() or (self._unit and held[1:2] != [self._unit]):
            raise SensorFailed(
                f"{self.path} holds no number of {self._unit.decode() or 'its kind'}: {b' '.join(held)!r}"
            )
        return int(held[0])


class _CrayController:
    """What tells whether the controller still measures, and what was done to it."""

    def __init__(self, root: Path, files: Files, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: dict[str, _CrayLine] = {}
        for name in ("freshness", "generation", "startup"):
            try:
                self._lines[name] = _CrayLine(root / name, "", files)
            except OSError:
                continue  # XC before 2014 has not all of them
        self._fresh: tuple[int | None, float] = (self._told("freshness"), now())
        self._began = {name: self._told(name) for name in ("generation", "startup")}
        self._asked = False
        self._users = 0

    def used(self) -> None:
        """One more sensor asks it."""
        self._users += 1

    def _told(self, name: str) -> int | None:
        line = self._lines.get(name)
        try:
            return line.number() if line is not None else None
        except SensorFailed:
            return None

    def refuse_what_is_stale(self) -> None:
        """Raises SensorFailed where nothing was measured for so long that what the files hold is of before."""
        now, freshness = self._now(), self._told("freshness")
        if freshness is None or freshness != self._fresh[0]:
            self._fresh = freshness, now
        elif now - self._fresh[1] > STALE_S:
            raise SensorFailed(f"the node's controller has measured nothing for {now - self._fresh[1]:.1f} s")

    def said(self) -> Sequence[Finding]:
        """What was done to the controller since the run began; told once, for all that it measures."""
        if self._asked:
            return ()
        self._asked = True
        found = []
        if (was := self._began["generation"]) is not None and (now := self._told("generation")) not in (
            was,
            None,
        ):
            found.append(
                Finding.of(
                    "power-limit-changed",
                    f"a power cap of the node was set while it was measured (generation {was}, then {now})",
                )
            )
        if (was := self._began["startup"]) is not None and self._told("startup") not in (was, None):
            found.append(
                Finding.of(
                    "controller-restarted",
                    "the controller that measures the node was started again while it was measured",
                )
            )
        return found

    def close(self) -> None:
        """Lets go of its files, once the last of those who ask it has."""
        self._users -= 1
        if self._users > 0:
            return
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.close()


class _CraySensor(HwmonSensor):
    """One device, whose readings count as long as the controller measures."""

    def __init__(
        self, channels: Sequence[Channel], quantities: dict[str, Quantity], controller: _CrayController
    ) -> None:
        super().__init__(channels, quantities, appeared=controller.said)
        self._controller = controller
        self._closed = False
        controller.used()

    def read(self) -> Reading:
        reading = super().read()
        self._controller.refuse_what_is_stale()
        return reading

    def close(self) -> None:
        super().close()
        if not self._closed:
            self._closed = True
            self._controller.close()


def detect(
    root: Path = PM_COUNTERS, *, files: Files = os, now: Callable[[], float] = time.monotonic
) -> Detection:
    """One sensor for the node, its processors, its memory, and each accelerator.

    Raises:
        HardwareAbsent: this is no node of a Cray.
        SensorUnavailable: its counters cannot be read.
    """
    try:
        names = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        raise HardwareAbsent(ABSENT, "") from None
    except OSError as error:
        raise SensorUnavailable(why_not(root, error), DENIED_REMEDY) from error
    if not names:
        raise HardwareAbsent(ABSENT, "")
    hz = text(root / "raw_scan_hz").split()
    scans_hz = float(hz[0]) if hz and hz[0].isdigit() and int(hz[0]) > 0 else SCANS_HZ
    controller = _CrayController(root, files, now)
    sensors, devices, refusals = [], [], []
    for part, name, component in _parts(root, names):
        quantities, channels = {}, []
        for method, ending, unit in (("counter", "energy", "J"), ("power", "power", "W")):
            path = root / (f"{part}_{ending}" if part else ending)
            if path.name not in names:
                continue
            channel = Channel(
                id=f"cray-{name}.{ending}",
                component=component,
                device=f"cray-{name}",
                method="counter" if method == "counter" else "power",
                accuracy=ACCURACY,
                period_s=1 / scans_hz,
            )
            quantity = None
            try:
                # While it answers it draws something; its energy may still be 0.
                quantity = Quantity([[_CrayLine(path, unit, files)]], unit=1, positive=method == "power")
                quantity.read()
            except (OSError, SensorFailed) as error:
                if quantity is not None:
                    quantity.close()
                refusals.append((component, name, ending, why_not(path, error)))
                continue
            channels.append(channel)
            quantities[channel.id] = quantity
        if channels:
            sensors.append(_CraySensor(channels, quantities, controller))
            devices.append(_device(root, name))
    if not sensors:
        controller.close()
        raise SensorUnavailable(
            refusals[0][3] if refusals else f"{root} holds no energy and no power", DENIED_REMEDY
        )
    measured = {channel.component for sensor in sensors for channel in sensor.channels}
    known = {device.id for device in devices}
    findings = [
        Finding.of(
            "cray-counter-unreadable",
            f"the {ending} of {name} is not read: {reason}",
            # What is absent altogether says so itself; a part of it would pass for the whole.
            severity="degrades" if component in measured and f"cray-{name}" not in known else "note",
        )
        for component, name, ending, reason in refusals
    ]
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _parts(root: Path, names: Sequence[str]) -> Iterator[tuple[str, str, Component]]:
    """What is measured: how its files begin, what it is called, and which component it is."""
    yield "", "node", "host"
    yield "cpu", "cpu", "cpu"
    yield "memory", "memory", "dram"
    numbers = {int(found["number"]) for name in names if (found := _ACCELERATOR.fullmatch(name))}
    for number in sorted(numbers):
        yield f"accel{number}", f"accel{number}", "gpu"
    # Where each has files of its own, those of all of them are their sum; and zero is that of none.
    if not numbers and text(root / "accel_energy").split()[:1] not in ([], ["0"]):
        yield "accel", "accel", "gpu"


def _device(root: Path, name: str) -> Device:
    called = {"node": "Cray node", "cpu": "Cray node, processors", "memory": "Cray node, memory"}
    cap = text(root / "power_cap").split() if name == "node" else []
    limit_w = float(cap[0]) if cap and cap[0].isdigit() and int(cap[0]) > 0 else None
    number = name.removeprefix("accel")
    return Device(
        id=f"cray-{name}",
        name=called.get(name, f"Cray node, accelerator {number}" if number else "Cray node, accelerators"),
        power_limit_w=limit_w,
    )
