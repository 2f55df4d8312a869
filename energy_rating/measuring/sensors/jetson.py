"""NVIDIA Jetson: the INA3221 power monitors on its supply rails, through hwmon or, before JetPack 5, iio. Only reads files.

The mainline driver shows volts and amperes of each rail (Documentation/hwmon/ina3221.rst): ``in1_label`` the rail, ``in1_input`` mV,
``curr1_input`` mA. NVIDIA's older ``ina3221x`` shows ``rail_name_0`` and ``in_power0_input`` in mW, or ``in_voltage0_input`` in mV and
``in_current0_input`` in mA (as ml-energy/zeus, zeus/device/soc/jetson.py, reads them).

Which rails there are depends on the module (NVIDIA Jetson Linux Developer Guide, "Software-Based Power Consumption Modeling"). Where
one rail feeds all others (VDD_IN, POM_5V_IN) that is the module; where none does, its supplies are added up. A rail is called the GPU
or the CPU only where it feeds nothing else: VDD_GPU_SOC and VDD_CPU_GPU_CV feed several, so there the module is all that is measured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from energy_rating.measuring.hwmon import (
    HWMON,
    MICRO,
    MILLI,
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

COMPONENTS: tuple[Component, ...] = ("module", "gpu", "cpu", "dram")
WHAT = "NVIDIA Jetson"
SIGNS = ("/sys/class/hwmon", "/sys/bus/i2c/drivers/ina3221x")
UNTRIED = True

INA3221X = Path("/sys/bus/i2c/drivers/ina3221x")
MODEL = Path("/proc/device-tree/model")

# The chip is good for well under a percent (TI SBOS576, gain error), the shunts and the coarse steps of small currents (40 µV of the
# shunt, 8 mV of the bus: https://developer.nvidia.com/docs/drive/drive-os/7.0.3, "Power Measurement Tool") are not. An assumption, 1 σ.
ACCURACY = 0.05

# Everything that a module draws, by the rails that together carry it; the first set that is there counts. As energymon adds them up
# (github.com/energymon/energymon, README of its library for Jetson, 2026-11-22); what is not among them hangs on one of them. Of
# Jetson Thor no such set is known: there only its GPU is measured.
WHOLE: tuple[tuple[str, ...], ...] = (
    ("VDD_IN", "VDD_MUX"),
    ("VDD_IN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
# Rails that feed one component and nothing else.
ALONE: Mapping[str, Component] = {
    "VDD_SYS_GPU": "gpu",
    "POM_5V_GPU": "gpu",
    "VDD_GPU": "gpu",
    "GPU": "gpu",
    "VDD_SYS_CPU": "cpu",
    "POM_5V_CPU": "cpu",
    "CPU": "cpu",
    "VDD_SYS_DDR": "dram",
}

# Files of one rail: a product in microwatts.
_Rail = tuple[Path, ...]


def detect(
    root: Path = HWMON, *, older: Path = INA3221X, model: Path = MODEL, files: Files = os
) -> Detection:
    """One sensor for each component that has rails of its own, and one for the module.

    Raises:
        HardwareAbsent: no INA3221 watches a rail that a Jetson has.
        SensorUnavailable: there are such rails, and none can be read.
    """
    rails, period_s = _rails(root, older)
    wholes = [names for names in WHOLE if all(name in rails for name in names)]
    wanted: list[tuple[Component, tuple[str, ...]]] = [("module", names) for names in wholes[:1]]
    wanted += [(component, (name,)) for name, component in ALONE.items() if name in rails]
    if not wanted:
        raise HardwareAbsent("no power monitor of an NVIDIA Jetson was found")
    board = text(model).rstrip("\0") or "NVIDIA Jetson"
    sensors, devices, findings = [], [], []
    refusal: Exception | None = None
    for component, names in wanted:
        label = f"jetson-{component}"
        try:
            quantity = _quantity([rails[name] for name in names], files)
        except (OSError, SensorFailed) as error:
            refusal = refusal or error
            findings.append(
                Finding.of(
                    "jetson-rail-unreadable",
                    f"{component} is not measured: {why_not(rails[names[0]][0], error)}",
                )
            )
            continue
        channel = Channel(
            id=f"{label}.power",
            component=component,
            device=label,
            method="power",
            accuracy=ACCURACY,
            period_s=period_s,
        )
        sensors.append(HwmonSensor([channel], {channel.id: quantity}))
        devices.append(Device(id=label, name=f"{board}: {' + '.join(names)}"))
    if not sensors:
        assert refusal is not None
        raise SensorUnavailable(
            why_not(rails[wanted[0][1][0]][0], refusal), "Run as root, or let the files be read"
        )
    if not any(component == "gpu" for component, _ in wanted):
        findings.append(
            Finding.of(
                "jetson-gpu-shared",
                "no rail of this Jetson feeds its GPU alone; the energy is that of the module",
            )
        )
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _rails(root: Path, older: Path) -> tuple[dict[str, _Rail], float | None]:
    """The files of each rail by its name, and how often they are refreshed."""
    rails: dict[str, _Rail] = {}
    periods_s: list[float] = []
    for chip in chips(root):
        if text(chip / "name") != "ina3221":
            continue
        for n in (1, 2, 3):
            if label := text(chip / f"in{n}_label"):
                rails.setdefault(label, (chip / f"in{n}_input", chip / f"curr{n}_input"))
        if interval_ms := number(chip / "update_interval"):
            periods_s.append(interval_ms / 1000)
    if not rails and older.is_dir():
        for chip in sorted(older.glob("*/iio:device*")):
            for n in range(3):
                label = text(chip / f"rail_name_{n}")
                power = chip / f"in_power{n}_input"
                if label and power.exists():
                    rails.setdefault(label, (power,))
                elif label:
                    pair = (chip / f"in_voltage{n}_input", chip / f"in_current{n}_input")
                    rails.setdefault(label, pair)
    return rails, max(periods_s, default=0.0) or None


def _quantity(rails: Sequence[_Rail], files: Files) -> Quantity:
    opened: list[Attribute] = []
    try:
        terms = []
        for rail in rails:
            term = []
            for path in rail:
                term.append(Attribute(path, files))
                opened.append(term[-1])
            terms.append(term)
        quantity = Quantity(terms, unit=MILLI if all(len(rail) == 1 for rail in rails) else MICRO)
        quantity.read()
    except (OSError, SensorFailed):
        for attribute in opened:
            attribute.close()
        raise
    return quantity
