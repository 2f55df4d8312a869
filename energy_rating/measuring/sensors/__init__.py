"""The sensors: one file a kind, each a door to one kind of hardware.

A sensor reads, it never sets. To add a kind, put a module here that has::

    COMPONENTS = ("gpu",)                # what it is about
    def detect() -> Detection: ...       # what answers here

and raises ``SensorUnavailable`` with reason and remedy where it cannot be used. Nothing else needs editing: the folder is the
registry. A kind that only models says ``MODELLED = True``, one that measures what another kind measures too
``FALLBACK = True``: both are asked last, and only for what is not measured yet. ``UNTRIED = True`` was never seen on its hardware
(``WHAT``), and says so in the record. A module without ``detect`` (such as ``replay``) is used only by hand.

A sensor may also tell what its first channel's device is like: ``condition()`` returns those keys of ``records.Condition`` that it
knows and is asked every 10 s; ``users()``, which may take milliseconds, returns ``foreign_processes`` and is asked once a minute. ``appeared()`` looks for devices again and
tells of those that nobody measured (``device_appeared``); it is asked once, after the last reading.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from energy_rating.nouns.entries import Channel, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

# All that the author of a sensor needs stands here.
__all__ = [
    "Channel",
    "Detection",
    "Device",
    "Finding",
    "HardwareAbsent",
    "Reading",
    "Sensor",
    "SensorFailed",
    "SensorLost",
    "SensorUnavailable",
    "kind",
    "kinds",
    "models",
    "names",
]

Reading = Mapping[str, float | SensorFailed]


class Sensor(Protocol):
    """One device (a GPU, the RAPL zones of a host), whose channels are read together."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What can be read; does not change while the sensor lives."""

    def read(self) -> Reading:
        """By channel id: joules or watts now, or why that channel did not answer.

        Raises:
            SensorLost: the device is gone for good.
            SensorFailed: nothing answered this time.
        """

    def close(self) -> None:
        """Lets go of the device. Reading afterwards is an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """What one kind of sensor found: the sensors, the devices they read, and what is to be said about them."""

    sensors: tuple[Sensor, ...] = ()
    devices: tuple[Device, ...] = ()
    findings: tuple[Finding, ...] = ()


def device_appeared(what: str) -> Finding:
    """A device that was not there when the run began, and so was not measured."""
    return Finding.of(
        "device-appeared",
        f"{what} was not there when the run began and is not measured; it was there at its end",
    )


def names() -> tuple[str, ...]:
    """The names of all kinds of sensor that look for devices by themselves. Loads none of them."""
    import pkgutil

    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "replay"))


def kinds() -> Iterator[str]:
    """The same, those that measure before those that model."""
    return iter(sorted(names(), key=models))


def models(name: str) -> bool:
    """Whether that kind only models."""
    return bool(getattr(kind(name), "MODELLED", False))


def kind(name: str) -> ModuleType:
    """The module of that kind; ``kind("nvml").detect()``."""
    return importlib.import_module(f"{__name__}.{name}")
