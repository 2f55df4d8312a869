"""A powercap tree in a temporary folder whose counters are closed-form integrals of power, and ways to break it.

``advance_to(t)`` sets every counter to what it holds ``t`` seconds after the start; ``running()`` does so in real time.
Tests may run as root, whom no mode keeps out, and a file's descriptor outlives the file, which sysfs's does not: refusals and
losses are therefore played by ``files``, which stands in for the module ``os``.
"""

from __future__ import annotations

import errno
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

INTEL_RANGE_UJ = 262_143_328_850  # 2³² counts of 61 µJ, as read from a Skylake
AMD_RANGE_UJ = 65_532_610_987  # 2³² counts of 15.3 µJ


class Power(Protocol):
    """A power over time; ``energy_j(t)`` is its integral from 0 to t seconds, exactly."""

    def energy_j(self, t: float) -> float: ...


@dataclass(frozen=True)
class Constant:
    watts: float

    def energy_j(self, t: float) -> float:
        return self.watts * t


@dataclass(frozen=True)
class Step:
    """One power until ``at``, another from then on."""

    before_w: float
    after_w: float
    at: float

    def energy_j(self, t: float) -> float:
        return self.before_w * min(t, self.at) + self.after_w * max(t - self.at, 0.0)


@dataclass(frozen=True)
class Sine:
    """mean · (1 + depth · sin(2πt / period))"""

    mean_w: float
    depth: float
    period_s: float

    def energy_j(self, t: float) -> float:
        turn = 2 * math.pi / self.period_s
        return self.mean_w * (t + self.depth * (1 - math.cos(turn * t)) / turn)


@dataclass
class Zone:
    folder: Path
    power: Power
    start_uj: int
    range_uj: int
    frozen: bool = False
    fd: int = -1

    @property
    def counter(self) -> str:
        return str(self.folder / "energy_uj")

    def count(self, t: float) -> int:
        return (self.start_uj + round(self.power.energy_j(t) * 1e6)) % self.range_uj


@dataclass
class FakeFiles:
    """The module ``os`` with faults: by path, what opening and what reading a kept descriptor meets."""

    open_errors: dict[str, int] = field(default_factory=dict)
    read_errors: dict[str, int] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    stale: set[int] = field(default_factory=set)
    opened: int = 0

    def open(self, path: str, flags: int) -> int:
        if code := self.open_errors.get(path):
            raise OSError(code, os.strerror(code), path)
        assert flags & os.O_CLOEXEC, "a descriptor would leak into child processes"
        fd = os.open(path, flags)
        self.paths[fd] = path
        self.opened += 1
        return fd

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        path = self.paths[fd]
        code = errno.ENODEV if fd in self.stale else self.read_errors.get(path)
        if code:
            raise OSError(code, os.strerror(code))
        return self.texts[path] if path in self.texts else os.pread(fd, length, offset)

    def close(self, fd: int) -> None:
        del self.paths[fd]
        self.stale.discard(fd)
        os.close(fd)

    def kept(self, zone: Zone) -> list[int]:
        return [fd for fd, path in self.paths.items() if path == zone.counter]


class FakePowercap:
    """``root`` is for ``detect``, ``files`` too; zones are added by what they are and numbered as the kernel does."""

    def __init__(self, folder: Path, *, range_uj: int = INTEL_RANGE_UJ) -> None:
        self.root = folder / "powercap"
        self.root.mkdir()
        self.cpuinfo = folder / "cpuinfo"
        self.files = FakeFiles()
        self.zones: list[Zone] = []
        self.t = 0.0
        self._range_uj = range_uj
        self._numbers: dict[str, int] = {}
        self.cpu()

    def cpu(
        self, vendor: str = "GenuineIntel", model: str = "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz"
    ) -> None:
        self.cpuinfo.write_text(
            f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: {model}\nsiblings\t: 2\n\n"
        )

    def package(
        self,
        number: int,
        power: Power,
        *,
        die: int | None = None,
        start_uj: int = 1_000_000_000,
        mmio: bool = False,
        parts: bool = True,
        dram: Power | None = None,
    ) -> Zone:
        """A package, with core and uncore inside, and memory beside it where ``dram`` says how much it draws."""
        name = f"package-{number}" if die is None else f"package-{number}-die-{die}"
        path = self._next("intel-rapl-mmio" if mmio else "intel-rapl")
        zone = self.zone(path, name, power, start_uj=start_uj)
        if parts:
            self.zone(self._next(path), "core", Constant(17.0), start_uj=start_uj)
            self.zone(self._next(path), "uncore", Constant(3.0), start_uj=start_uj)
        if dram is not None:
            self.zone(self._next(path), "dram", dram, start_uj=start_uj // 3)
        return zone

    def psys(self, power: Power) -> Zone:
        return self.zone(self._next("intel-rapl"), "psys", power)

    def zone(self, path: str, name: str, power: Power, *, start_uj: int = 1_000_000_000) -> Zone:
        folder = self.root / path
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{self._range_uj}\n")
        zone = Zone(folder, power, start_uj, self._range_uj)
        zone.fd = os.open(zone.counter, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o400)
        self.zones.append(zone)
        self._write(zone)
        return zone

    def named(self, path: str) -> Zone:
        return next(zone for zone in self.zones if zone.folder.name == path)

    # Time

    def advance_to(self, t: float) -> None:
        self.t = t
        for zone in self.zones:
            self._write(zone)

    def sleep(self, seconds: float) -> None:
        """Stands in for ``time.sleep``: lets virtual time pass."""
        self.advance_to(self.t + seconds)

    @contextmanager
    def running(self, every_s: float = 0.001) -> Iterator[None]:
        """Drives the counters in real time, as often as the hardware does."""
        done = threading.Event()
        start = time.monotonic() - self.t

        def drive() -> None:
            while not done.wait(every_s):
                self.advance_to(time.monotonic() - start)

        thread = threading.Thread(target=drive, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        for zone in self.zones:
            os.close(zone.fd)

    # Faults

    def deny(self, zone: Zone) -> None:
        """Only root may read it."""
        self.files.open_errors[zone.counter] = errno.EACCES

    def fail(self, zone: Zone, code: int = errno.EIO) -> None:
        """Reading it fails until it is mended."""
        self.files.read_errors[zone.counter] = code

    def write(self, zone: Zone, text: bytes) -> None:
        """It holds this text until it is mended."""
        self.files.texts[zone.counter] = text

    def vanish(self, zone: Zone) -> None:
        """It is unplugged: its descriptor is dead and its path is gone."""
        self.files.stale.update(self.files.kept(zone))
        self.files.open_errors[zone.counter] = errno.ENOENT

    def replug(self, zone: Zone, *, start_uj: int | None = None) -> None:
        """It was unplugged and came back under the same name; ``start_uj``: with a counter that began anew."""
        self.files.stale.update(self.files.kept(zone))
        self.files.open_errors.pop(zone.counter, None)
        if start_uj is not None:
            zone.start_uj = start_uj - round(zone.power.energy_j(self.t) * 1e6)
            self._write(zone)

    def mend(self, zone: Zone) -> None:
        for faults in (self.files.open_errors, self.files.read_errors, self.files.texts):
            faults.pop(zone.counter, None)

    def limit(self, zone: Zone, *limits_w: float, kind: str = "power_limit") -> None:
        """It is limited, over one span of time after the other."""
        for number, watts in enumerate(limits_w):
            (zone.folder / f"constraint_{number}_{kind}_uw").write_text(f"{round(watts * 1e6)}\n")

    def hide_range(self, zone: Zone) -> None:
        (zone.folder / "max_energy_range_uj").unlink()

    def _next(self, parent: str) -> str:
        number = self._numbers.get(parent, 0)
        self._numbers[parent] = number + 1
        return f"{parent}:{number}"

    def _write(self, zone: Zone) -> None:
        # One write of one length: a reader in another thread never sees half an old and half a new number. The kernel
        # itself writes no leading zeros.
        if not zone.frozen:
            os.pwrite(zone.fd, b"%020d\n" % zone.count(self.t), 0)
