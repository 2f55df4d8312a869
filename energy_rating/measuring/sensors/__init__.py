"""The sensors: one file a kind, each a door to one kind of hardware.

A sensor reads, it never sets. To add a kind, put a module here that has::

    COMPONENTS = ("gpu",)                # what it is about
    def detect() -> Detection: ...       # what answers here

and raises ``SensorUnavailable`` with reason and remedy where it cannot be used. Nothing else needs editing: the folder is the
registry. A kind that only models says ``MODELLED = True``, one that measures what another kind measures too
``FALLBACK = True``: both are asked last, and only for what is not measured yet. ``UNTRIED = True`` was never seen on its hardware
(``WHAT``), and says so in the record. A module without ``detect`` (such as ``replay``) is used only by hand.

The first ``with`` of a program waits for all of them. So a kind may name what must be there for its hardware to be: ``SIGNS =
("/sys/class/kfd",)``, paths or ``$VARIABLES``; where there is none of them a run does not even load it. Like ``MODELLED`` this is read
from the top of the file, where it stands on lines of its own.

A sensor may also tell what its first channel's device is like: ``condition()`` returns those keys of ``records.Condition`` that it
knows and is asked every 10 s; ``users()``, which may take milliseconds, returns ``foreign_processes`` and is asked once a minute. ``appeared()`` looks for devices again and
tells of those that nobody measured (``device_appeared``); it is asked once, after the last reading.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
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
    "may_be_here",
    "models",
    "names",
]

# What a kind says of itself stands so early in its file.
TOP_OF_FILE = 8192

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
    top = _top_of(name)
    return bool(getattr(kind(name), "MODELLED", False)) if top is None else "\nMODELLED = True\n" in top


def may_be_here(name: str) -> bool:
    """Whether it is worth loading that kind: one of its signs is here, or it has none. What is loaded says so better itself."""
    top = _top_of(name)
    if top is None:
        return True
    signs = signs_in(top)
    return not signs or any(
        bool(os.environ.get(sign[1:])) if sign.startswith("$") else os.path.exists(sign)  # noqa: PTH110
        for sign in signs
    )


def signs_in(top: str) -> tuple[str, ...]:
    """The signs that a kind names at the top of its file."""
    return tuple(top.partition("\nSIGNS = (")[2].partition(")")[0].split('"')[1::2])


def _top_of(name: str) -> str | None:
    """Where a kind says what it is; None where that is loaded already, or cannot be read."""
    return None if f"{__name__}.{name}" in sys.modules else _read_top(name)


@functools.cache
def _read_top(name: str) -> str | None:
    for folder in __path__:
        for place in (f"{name}.py", os.path.join(name, "__init__.py")):  # noqa: PTH118
            try:
                with open(os.path.join(folder, place), "rb") as file:  # noqa: PTH118, PTH123
                    return file.read(TOP_OF_FILE).decode(errors="replace")
            except OSError:
                continue
    return None


def kind(name: str) -> ModuleType:
    """The module of that kind; ``kind("nvml").detect()``."""
    return importlib.import_module(f"{__name__}.{name}")
