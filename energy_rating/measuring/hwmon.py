"""The chips under /sys/class/hwmon, and sensors made of their attributes. Knows no device: which attributes mean what is the
sensors' matter. Units as in the kernel's Documentation/hwmon/sysfs-interface.rst: microjoules, microwatts, millivolts, milliamperes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from energy_rating.files.descriptors import identity
from energy_rating.measuring.sensors import Reading
from energy_rating.nouns.entries import Channel, Finding
from energy_rating.nouns.errors import SensorFailed, SensorLost

HWMON = Path("/sys/class/hwmon")

# So many of an attribute's units make a joule or a watt: microjoules and microwatts, and the milliwatts of older iio drivers.
MICRO, MILLI = 1_000_000, 1_000

# A signed 64-bit number has at most 20 characters; a runtime status is shorter.
ATTRIBUTE_BYTES = 32

# What a kept descriptor, or a path, says when its device is no longer there.
GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ENXIO})

# Documentation/ABI/testing/sysfs-devices-power, power/runtime_status: "suspended", "suspending", "resuming", "active", "error",
# "unsupported". Reading the status wakes nobody.
ASLEEP = frozenset({b"suspended", b"suspending"})


class Files(Protocol):
    """What is asked of the operating system; the module ``os`` is one."""

    def open(self, path: str, flags: int, /) -> int: ...
    def pread(self, fd: int, length: int, offset: int, /) -> bytes: ...
    def close(self, fd: int, /) -> None: ...


def chips(root: Path = HWMON) -> list[Path]:
    """The folders ``hwmon0``, ``hwmon1``, … in the order of their numbers; none where there is no such folder."""
    try:
        names = [folder.name for folder in root.iterdir()]
    except OSError:
        return []
    numbers = sorted(int(name[5:]) for name in names if name.startswith("hwmon") and name[5:].isdigit())
    return [root / f"hwmon{number}" for number in numbers]


def text(path: Path) -> str:
    """What a small file holds, without spaces around; empty where it cannot be read."""
    try:
        return path.read_bytes()[:256].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The whole number in a small file; None where there is none."""
    try:
        return int(text(path))
    except ValueError:
        return None


class Attribute:
    """One file that is read again and again; its descriptor is kept, which makes a reading ten times cheaper.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, files: Files = os, most: int = ATTRIBUTE_BYTES) -> None:
        self.path = path
        self._files = files
        self._most = most
        self._fd: int | None = None
        self._closed = False
        self._open()

    def _open(self) -> int:
        fd = self._files.open(str(self.path), os.O_RDONLY | os.O_CLOEXEC)
        self._fd, self._own = fd, identity(fd)
        return fd

    def read(self) -> bytes:
        """What it holds now.

        Raises:
            SensorLost: it is gone, or was closed.
            SensorFailed: it did not answer.
        """
        if self._closed:
            raise SensorLost(f"{self.path} is closed")
        try:
            fd = self._fd
            if fd is None or identity(fd) != self._own:
                fd = self._open()  # the program has closed it; what has its number now is the program's
            return self._files.pread(fd, self._most, 0).strip()
        except OSError as error:
            if error.errno in GONE:
                raise SensorLost(f"{self.path} is gone") from error
            raise SensorFailed(f"{self.path} cannot be read: {error.strerror}") from error

    def number(self) -> int:
        """The whole number, not below zero, that it holds now.

        Raises:
            SensorLost: it is gone, or was closed.
            SensorFailed: it did not answer, or with something else.
        """
        held = self.read()
        # int() alone would also take "1_000", and no power or energy is below zero.
        if not held.isdigit():
            raise SensorFailed(f"{self.path} holds no number: {held!r}")
        return int(held)

    def close(self) -> None:
        self._closed = True
        fd, self._fd = self._fd, None
        if fd is not None and identity(fd) == self._own:
            self._files.close(fd)


class Quantity:
    """A number made of attributes: the sum, over its terms, of the product of each term's attributes, times ``unit``.

    One term of one attribute is a plain reading (µW, µJ), one of two is volts by amperes (mV · mA = µW); several are rails that
    are added up. ``positive``: zero is no reading, for what cannot draw nothing while it answers.
    """

    def __init__(
        self, terms: Sequence[Sequence[Attribute]], *, unit: int = MICRO, positive: bool = False
    ) -> None:
        self._terms = tuple(tuple(term) for term in terms)
        self._unit = unit
        self._positive = positive

    def read(self) -> float:
        """Joules or watts now.

        Raises:
            SensorLost: an attribute is gone.
            SensorFailed: one of them did not answer, or all told zero where that cannot be.
        """
        total = 0
        for term in self._terms:
            product = 1
            for attribute in term:
                product *= attribute.number()
            total += product
        if self._positive and total == 0:
            raise SensorFailed(f"{self._terms[0][0].path} tells 0, which cannot be")
        return total / self._unit

    def close(self) -> None:
        for term in self._terms:
            for attribute in term:
                attribute.close()


class HwmonSensor:
    """One device whose channels are read from attributes. While the device sleeps it is not read, for that would wake it."""

    def __init__(
        self,
        channels: Sequence[Channel],
        quantities: Mapping[str, Quantity],
        status: Attribute | None = None,
        appeared: Callable[[], Sequence[Finding]] = tuple,
    ) -> None:
        self.appeared = appeared
        self._channels = tuple(channels)
        self._quantities = dict(quantities)
        self._status = status
        self._lost: dict[str, SensorLost] = {}

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        """Joules or watts by channel id, or why that channel did not answer.

        Raises:
            SensorLost: the sensor was closed.
            SensorFailed: the device sleeps.
        """
        if not self._quantities:
            raise SensorLost("the sensor is closed")
        if self._status is not None and self._status.read() in ASLEEP:
            raise SensorFailed("the device sleeps and is not woken to be measured")
        readings: dict[str, float | SensorFailed] = {}
        for channel, quantity in self._quantities.items():
            try:
                readings[channel] = self._lost[channel] if channel in self._lost else quantity.read()
            except SensorLost as error:
                self._lost[channel] = readings[channel] = error
            except SensorFailed as error:
                readings[channel] = error
        return readings

    def close(self) -> None:
        quantities, self._quantities = self._quantities, {}
        for quantity in quantities.values():
            quantity.close()
        if self._status is not None:
            self._status.close()


def sleeps(device: Path) -> bool:
    """Whether a device is asleep now: reading almost anything else of it would wake it."""
    return text(device / "power" / "runtime_status").encode() in ASLEEP


def status_of(device: Path, files: Files = os) -> Attribute | None:
    """The runtime status of a device that may be put to sleep; None for one that may not, or does not say."""
    path = device / "power" / "runtime_status"
    if text(path) in ("", "unsupported"):
        return None
    try:
        return Attribute(path, files)
    except OSError:
        return None


def why_not(path: Path, error: Exception) -> str:
    """Why an attribute cannot be had, in a few words."""
    if isinstance(error, SensorFailed):
        return error.message
    if isinstance(error, PermissionError):
        return f"{path} may only be read by root"
    return f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
