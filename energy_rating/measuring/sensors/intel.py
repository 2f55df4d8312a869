"""Intel GPUs: the energy counters that the drivers xe and i915 show through hwmon. Only reads files.

What they show (the kernel's Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon and -i915-hwmon, 2026-11-22), in microjoules::

    xe        energy1_input   the card           -> intel0.energy
              energy2_input   its package, a part of the card; taken where there is no figure of the card
              energy1_label   which of both it is: ``card`` or ``pkg``
    i915      energy1_input   the whole device   -> intel0.energy
    i915_gt0  energy1_input   one of its tiles, already counted

The first versions of xe had one counter without a label, of the package on some cards (DG2: PCU_CR_PACKAGE_ENERGY_STATUS) and of the whole
card on others (drivers/gpu/drm/xe/xe_hwmon.c of Linux 6.8): of such a one it is not known which.

The register behind it is 32 bits wide and the driver adds up what it moved since it was last read, so that one roll-over between
two readings is caught, and only one. Its unit is 2⁻¹⁴ J (ENERGY_UNIT 0xe of drivers/gpu/drm/xe/xe_hwmon.c): 262 144 J, which is a
quarter of an hour at 300 W. The sampler never reads more seldom than once a minute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from energy_rating.measuring.hwmon import (
    ASLEEP,
    HWMON,
    Attribute,
    Files,
    HwmonSensor,
    Quantity,
    chips,
    number,
    sleeps,
    status_of,
    text,
    why_not,
)
from energy_rating.measuring.sensors import Detection, device_appeared
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("gpu",)
WHAT = "Intel GPUs"
SIGNS = ("/sys/class/hwmon",)
UNTRIED = True

# Intel states no accuracy. An assumption, 1 σ: that of RAPL, whose registers these are.
ACCURACY = 0.05

DRIVERS = ("xe", "i915")
_LABELS = {"card": "card", "pkg": "package"}
_SCOPES = {"energy1_input": "card", "energy2_input": "package"}  # where no label says it

DENIED_REMEDY = "Run: sudo chmod a+r /sys/class/hwmon/hwmon*/energy*_input"


def detect(root: Path = HWMON, *, files: Files = os, environ: Mapping[str, str] = os.environ) -> Detection:
    """One sensor for each Intel GPU that counts its energy. A GPU that sleeps is found, and read once it is awake.

    Raises:
        HardwareAbsent: there is none.
        SensorUnavailable: there are some, and none can be read.
    """
    gpus = [(chip, name) for chip in chips(root) if (name := text(chip / "name")) in DRIVERS]
    if not gpus:
        raise HardwareAbsent("no Intel GPU that counts its energy was found")
    sensors: list[HwmonSensor] = []
    devices, findings, refusals = [], [], []

    def appeared() -> list[Finding]:
        """Told once, by the sensor of the first GPU."""
        more = sum(text(chip / "name") in DRIVERS for chip in chips(root)) - len(gpus)
        return [device_appeared("an Intel GPU")] if more > 0 else []

    for place, (chip, driver) in enumerate(gpus):
        device = Path(os.path.realpath(chip / "device"))
        limit_uw = None
        if not sleeps(device):
            limit_uw = number(chip / "power1_rated_max") or number(chip / "power1_max")
        model = text(device / "device")
        devices.append(
            Device(
                id=device.name if device.is_dir() else f"intel-gpu-{place}",
                name=f"Intel GPU {model}".strip(),
                driver=driver,
                power_limit_w=limit_uw / 1e6 if limit_uw and limit_uw > 0 else None,
            )
        )
        try:
            told_by = tuple if sensors else appeared
            scopes = _scopes(chip, driver)
            sensor, scope = _sensor(place, chip, device, devices[-1].id, files, told_by, scopes)
        except (OSError, SensorFailed) as error:
            refusals.append((place, chip, error))
            continue
        sensors.append(sensor)
        if scope == "package":
            findings.append(
                Finding.of(
                    "intel-package-only",
                    f"Intel GPU {place} counts only its package, not the whole card with memory and regulators",
                    channel=sensor.channels[0].id,
                )
            )
        elif scope == "unknown":
            findings.append(
                Finding.of(
                    "intel-scope-unknown",
                    f"the counter of Intel GPU {place} has no label: whether it counts the whole card or only its package is not known",
                    channel=sensor.channels[0].id,
                )
            )
    if not sensors:
        place, chip, cause = refusals[0]
        denied = isinstance(cause, PermissionError)
        raise SensorUnavailable(why_not(chip / "energy1_input", cause), DENIED_REMEDY if denied else "")
    for place, chip, cause in refusals:
        findings.append(
            Finding.of(
                "gpu-not-measured",
                f"Intel GPU {place} is not measured: {why_not(chip / 'energy1_input', cause)}",
                remedy=DENIED_REMEDY if isinstance(cause, PermissionError) else None,
                severity="degrades",
            )
        )
    if environ.get("ZE_AFFINITY_MASK", "").strip() and len(gpus) > 1:
        findings.append(
            Finding.of(
                "gpu-list-unknown",
                f"all {len(gpus)} Intel GPUs are counted, also those that ZE_AFFINITY_MASK hides",
            )
        )
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _scopes(chip: Path, driver: str) -> Mapping[str, str]:
    """What each counter counts, that of the card first; no hardware is asked for a label."""
    scopes = {
        name: _LABELS.get(text(chip / name.replace("_input", "_label")), scope)
        for name, scope in _SCOPES.items()
    }
    labelled = any((chip / name.replace("_input", "_label")).exists() for name in _SCOPES)
    if driver == "xe" and not labelled and not (chip / "energy2_input").exists():
        scopes["energy1_input"] = "unknown"  # a driver that has both, or labels them, has the card's first
    return dict(sorted(scopes.items(), key=lambda one: one[1] == "package"))


def _sensor(
    place: int,
    chip: Path,
    device: Path,
    device_id: str,
    files: Files,
    appeared: Callable[[], Sequence[Finding]],
    scopes: Mapping[str, str],
) -> tuple[HwmonSensor, str]:
    """The sensor of one GPU, and whether it counts the card or only its package."""
    status = status_of(device, files)
    refusal: Exception = SensorFailed("it counts no energy")
    for name, scope in scopes.items():
        try:
            quantity = Quantity([[Attribute(chip / name, files)]])
        except FileNotFoundError:
            continue
        except OSError as error:
            refusal = error
            continue
        try:
            # Opening a file wakes nobody; reading it does.
            if status is None or status.read() not in ASLEEP:
                quantity.read()
        except SensorFailed as error:
            quantity.close()
            refusal = error
            continue
        channel = Channel(
            id=f"intel{place}.energy",
            component="gpu",
            device=device_id,
            method="counter",
            accuracy=ACCURACY,
        )
        return HwmonSensor([channel], {channel.id: quantity}, status, appeared), scope
    if status is not None:
        status.close()
    raise refusal
