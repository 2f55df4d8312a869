"""NVIDIA Grace: the ACPI power meters of CPU socket and module, through hwmon. Power only; summing it up is done elsewhere.

What the firmware names in ``power1_oem_info``, one hwmon folder each (NVIDIA Grace Performance Tuning Guide, "Power Telemetry",
https://docs.nvidia.com/grace-perf-tuning-guide/power-thermals.html, as told by Alumet's plugin grace-hopper, both 2026-11-22)::

    Module Power Socket 0   all of a Grace Hopper: CPU, GPU, their memories, loss of the regulators  -> module0.power
    Grace Power Socket 0    the CPU socket as a whole                                               -> grace0.power (cpu)
    CPU Power Socket 0      its cores' rail, a part of the socket                                   -> only without the socket
    SysIO Power Socket 0    its SOC rail, another part                                              -> only without the socket

The module is a component of its own that is never added to its parts. NVML's module scope would be the same module once more: this
kind is asked after NVML, and what that measures is not measured here again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from energy_rating.measuring.hwmon import (
    HWMON,
    Attribute,
    Files,
    HwmonSensor,
    Quantity,
    chips,
    number,
    text,
    why_not,
)
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("module", "cpu")
WHAT = "NVIDIA Grace"
SIGNS = ("/sys/class/hwmon",)
FALLBACK = True
UNTRIED = True

# NVIDIA states no accuracy for these meters (the firmware's tables say "100 %", which says nothing). An assumption, 1 σ: that of
# RAPL on servers.
ACCURACY = 0.05

# power1_average is a mean over power1_average_interval; the firmware allows 50 ms and 1 s (method _PAI of
# its ACPI power meters, in the sources of NVIDIA's firmware for Grace). Where the file cannot be read, the longer is the safe side.
INTERVAL_S = 1.0

_METER = re.compile(r"(?P<part>Module|Grace|CPU|SysIO) Power Socket (?P<socket>\d+)")
_NAMES = {"Module": "module", "Grace": "socket", "CPU": "CPU rail", "SysIO": "SysIO rail"}

ABSENT = "no ACPI power meter of an NVIDIA Grace was found"
ABSENT_REMEDY = (
    "On a Grace machine the kernel needs CONFIG_SENSORS_ACPI_POWER and acpi_power_meter.force_cap_on=y, and the firmware's "
    "power telemetry switched on"
)


def detect(root: Path = HWMON, *, files: Files = os) -> Detection:
    """One sensor for each module and each CPU socket whose meter answers.

    Raises:
        HardwareAbsent: there is no such meter.
        SensorUnavailable: this user may read none.
    """
    meters = _meters(root)
    if not meters:
        raise HardwareAbsent(ABSENT, ABSENT_REMEDY)
    whole = {socket for part, socket in meters if part == "Grace"}
    sensors, devices, findings, refusals = [], [], [], []
    for (part, socket), path in meters.items():
        if part in ("CPU", "SysIO") and socket in whole:
            continue
        try:
            sensor = _sensor(part, socket, path, files)
        except (OSError, SensorFailed) as error:
            refusals.append((part, socket, why_not(path, error)))
            continue
        sensors.append(sensor)
        devices.append(Device(id=_device(part, socket), name=f"NVIDIA Grace {_NAMES[part]} {socket}"))
    if not sensors:
        raise SensorUnavailable(refusals[0][2], "Look for ACPI in the kernel's log: sudo dmesg")
    found = {channel.component for sensor in sensors for channel in sensor.channels}
    for part, socket, reason in refusals:
        findings.append(
            Finding.of(
                "grace-meter-unreadable",
                f"the {_NAMES[part]} of socket {socket} is not measured: {reason}",
                # What is absent altogether says so itself; half of it would pass for the whole.
                severity="degrades" if _component(part) in found else "note",
            )
        )
    if any(channel.id.endswith(("-rail.power", "-sysio.power")) for s in sensors for channel in s.channels):
        findings.append(
            Finding.of(
                "grace-rails-only",
                "the firmware tells no power of the whole Grace socket; its CPU and SysIO rails are added up, without memory",
            )
        )
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _meters(root: Path) -> Mapping[tuple[str, int], Path]:
    """The file of each meter's power, by what it is and the socket."""
    found: dict[tuple[str, int], Path] = {}
    for chip in chips(root):
        # The attributes are those of the ACPI device behind the chip; newer kernels may show them on the chip itself.
        for folder in (chip / "device", chip):
            match = _METER.fullmatch(text(folder / "power1_oem_info"))
            if match:
                found.setdefault((match["part"], int(match["socket"])), folder / "power1_average")
                break
    return dict(sorted(found.items(), key=lambda item: (item[0][0] != "Module", item[0][1], item[0][0])))


def _component(part: str) -> Literal["module", "cpu"]:
    return "module" if part == "Module" else "cpu"


def _device(part: str, socket: int) -> str:
    return f"grace-{_NAMES[part].lower().replace(' ', '-')}-{socket}"


def _sensor(part: str, socket: int, path: Path, files: Files) -> HwmonSensor:
    names = {"Module": "module{}", "Grace": "grace{}", "CPU": "grace{}-rail", "SysIO": "grace{}-sysio"}
    interval_ms = number(path.with_name("power1_average_interval"))
    channel = Channel(
        id=f"{names[part].format(socket)}.power",
        component=_component(part),
        device=_device(part, socket),
        method="power",
        accuracy=ACCURACY,
        period_s=interval_ms / 1000 if interval_ms and interval_ms > 0 else INTERVAL_S,
    )
    quantity = Quantity([[Attribute(path, files)]], positive=True)
    try:
        quantity.read()
    except SensorFailed:
        quantity.close()
        raise
    return HwmonSensor([channel], {channel.id: quantity})
