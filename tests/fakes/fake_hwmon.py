"""A /sys/class/hwmon in a temporary folder, whose attributes may follow a virtual clock, and ways to break it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from virtual import VirtualClock

from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.meter import measure
from energy_rating.nouns.records import Record


class FakeHwmon:
    """``root`` is for ``detect``, ``files`` is this object itself: it stands in for the module ``os``."""

    def __init__(self, folder: Path, clock: VirtualClock | None = None) -> None:
        self.root = folder / "hwmon"
        self.root.mkdir()
        self.clock = clock or VirtualClock()
        self.opened: dict[int, str] = {}
        self.reads: list[str] = []
        self._live: dict[str, Callable[[float], int]] = {}
        self._open_errors: dict[str, int] = {}
        self._read_errors: dict[str, int] = {}
        self._next = 1000

    def chip(self, name: str | None = None, **attributes: object) -> Path:
        """One more hwmon folder; ``device__model="x"`` makes the file device/model."""
        folder = self.root / f"hwmon{len(list(self.root.iterdir()))}"
        folder.mkdir()
        if name is not None:
            self.write(folder / "name", name)
        for attribute, value in attributes.items():
            self.write(folder / attribute.replace("__", "/"), value)
        return folder

    def write(self, path: Path, value: object) -> Path:
        """A constant, or a function of the virtual time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(value):
            self._live[str(path)] = value
            value = value(self.clock.time)
        else:
            self._live.pop(str(path), None)
        path.write_text(f"{value}\n")
        return path

    def deny(self, path: Path) -> None:
        self._open_errors[str(path)] = errno.EACCES

    def fail(self, path: Path, code: int = errno.EIO) -> None:
        self._read_errors[str(path)] = code

    def vanish(self, path: Path) -> None:
        self._read_errors[str(path)] = errno.ENODEV

    def mend(self, path: Path) -> None:
        self._read_errors.pop(str(path), None)

    # The module os

    def open(self, path: str, flags: int) -> int:
        assert flags & os.O_CLOEXEC, "a descriptor would leak into child processes"
        assert not flags & (os.O_WRONLY | os.O_RDWR), "a sensor reads, it never sets"
        if code := self._open_errors.get(path):
            raise OSError(code, os.strerror(code), path)
        if not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._next += 1
        self.opened[self._next] = path
        return self._next

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        path = self.opened[fd]
        self.reads.append(path)
        if code := self._read_errors.get(path):
            raise OSError(code, os.strerror(code), path)
        if path in self._live:
            return f"{self._live[path](self.clock.time)}\n".encode()[:length]
        return Path(path).read_bytes()[:length]

    def close(self, fd: int) -> None:
        del self.opened[fd]


def recorded(clock: VirtualClock, found: Detection | Sensor, *seconds: float, folder: Path) -> Record:
    """The record of a run with a window of each of these lengths, a second apart, on the virtual clock."""
    with measure(output_dir=folder, sensors=[found], clock=clock, report=None) as run:
        clock.sleep(5.0)
        for length in seconds:
            with run.window("job"):
                clock.sleep(length)
            clock.sleep(1.0)
    return run.record


def micro(value: float) -> int:
    """Watts or joules as the kernel shows them."""
    return round(value * 1e6)
