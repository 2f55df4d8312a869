"""CPU and memory energy from the RAPL counters under /sys/class/powercap. Only reads files; wraps are mended elsewhere.

What Linux shows there (Documentation/power/powercap/powercap.rst; names from drivers/powercap/intel_rapl_common.c)::

    intel-rapl:0        package-0          a socket: cores, caches, memory controller       -> cpu0.energy
    intel-rapl:0:0      core, uncore       parts of it, already counted
    intel-rapl:0:1      dram               its memory, on servers; not part of the package  -> dram0.energy
    intel-rapl:1        package-0-die-1    a die, where a socket has several
    intel-rapl:2        psys               the whole platform, packages and memory included
    intel-rapl-mmio:0   package-0          the same socket once more, through another register

So a sum over all zones counts the same joules two or three times. Each package and each memory is taken once; AMD's zones are
named intel-rapl as well, and have no memory.
"""

from __future__ import annotations

import errno
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from energy_rating.files.descriptors import identity
from energy_rating.measuring.hwmon import Files
from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import SensorFailed, SensorLost, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("cpu", "dram")

POWERCAP = Path("/sys/class/powercap")
CPUINFO = Path("/proc/cpuinfo")

# Neither vendor states an accuracy; both figures are assumptions, 1 σ. Intel measures since Haswell and agrees with a meter
# to a few percent (Hackenberg et al. 2015, doi:10.1109/IPDPSW.2015.70); AMD's Zen 2 models part of it and strays with the
# workload (Schöne et al. 2021, arXiv:2108.00808). Who built an unknown CPU did not say more than AMD.
ACCURACY = {"GenuineIntel": 0.05, "AuthenticAMD": 0.10}
ACCURACY_UNKNOWN = 0.10

# The registers are refreshed about every millisecond (Intel SDM vol. 3B, "RAPL interfaces"; Documentation/hwmon/amd_energy.rst).
PERIOD_S = 0.001

# Some CPUs show one socket counter once per die (Zen 1 and 2: https://github.com/mlco2/codecarbon/issues/1274). Two readings of
# one counter differ by what was used between them: a joule is milliseconds at full load, and no two meters that began to
# count years ago stay that close.
MIRROR_J = 1.0
MIRROR_WAITS = 5
MIRROR_WAIT_S = 0.02

JOULES_PER_COUNT = WATTS_PER_COUNT = 1e-6
# An unsigned 64-bit number has at most 20 digits.
COUNT_BYTES = 32

# What a kept descriptor, or its path, says when the zone is no longer registered.
GONE = {errno.ENODEV, errno.ENOENT, errno.ENXIO}

ABSENT = "this machine offers no RAPL counters (usual in virtual machines, containers and on ARM)"
ABSENT_REMEDY = (
    "On bare metal run: sudo modprobe intel_rapl_msr; start a container with --security-opt systempaths=unconfined; "
    "in a virtual machine the CPU can only be measured on its host"
)
# Root-only since CVE-2020-8694 (Linux 5.10), which read secrets off the power.
DENIED_REMEDY = (
    "Run: sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj (to keep it over a reboot, add the udev rule "
    'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod a+r /sys%p/energy_uj")'
)

_ZONE = r"intel-rapl(?P<mmio>-mmio)?:(?P<zone>\d+)(?::(?P<subzone>\d+))?"
_PACKAGE = r"package-(?P<package>\d+)(?:-die-(?P<die>\d+))?"


class _Zone(NamedTuple):
    """A counter that is to be read: a package, or the memory of one."""

    device: str
    component: Literal["cpu", "dram"]
    package: str
    folder: Path

    @property
    def counter(self) -> str:
        return str(self.folder / "energy_uj")

    def range_j(self) -> float | None:
        """After how many joules the counter starts again; None where the kernel does not say."""
        try:
            count = _count((self.folder / "max_energy_range_uj").read_bytes())
        except (OSError, ValueError):
            return None
        return count * JOULES_PER_COUNT if count else None

    def limit_w(self) -> float | None:
        """The highest power that the zone is limited to, over whichever span of time; None where it is not, or the kernel does not say.

        A package has a limit for the long term and a higher one for the short, and holds neither while its zone is not ``enabled``
        (Documentation/power/powercap/powercap.rst). ``constraint_X_max_power_uw`` is no limit: for the long term it is the power that the
        package is sold for (TDP), which turbo exceeds for as long as it is let.
        """
        if self._number("enabled") == 0:
            return None
        limits = [self._number(file.name) for file in self.folder.glob("constraint_*_power_limit_uw")]
        return max((limit * WATTS_PER_COUNT for limit in limits if limit), default=None)

    def _number(self, name: str) -> int | None:
        try:
            return _count((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return None


class Rapl:
    """All RAPL counters of this machine. Their descriptors are kept: reading one so costs a tenth of opening it."""

    def __init__(
        self, channels: Sequence[Channel], paths: Sequence[str], fds: Sequence[int], files: Files
    ) -> None:
        self._channels = tuple(channels)
        self._counters = [
            _OpenCounter(channel.id, path, fd) for channel, path, fd in zip(channels, paths, fds, strict=True)
        ]
        self._files = files

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        """Joules by channel id, or why that counter did not answer.

        Raises:
            SensorLost: the sensor was closed.
        """
        if not self._counters:
            raise SensorLost("the RAPL sensor is closed")
        return {counter.channel: self._energy_j(counter) for counter in self._counters}

    def close(self) -> None:
        counters, self._counters = self._counters, []
        for counter in counters:
            if counter.fd is not None and counter.is_own():
                self._files.close(counter.fd)

    def _energy_j(self, counter: _OpenCounter) -> float | SensorFailed:
        if counter.lost:
            return SensorLost(counter.lost)
        try:
            count = self._reopened(counter) if counter.fd is None else self._kept(counter, counter.fd)
        except OSError as error:
            if error.errno not in GONE:
                return SensorFailed(f"{counter.path} cannot be read: {error.strerror}")
            counter.lost = f"{counter.path} is gone"
            return SensorLost(counter.lost)
        except ValueError as error:
            return SensorFailed(f"{counter.path} {error}")
        except SensorLost as error:
            counter.lost = error.message
            return error
        counter.last = count
        return count * JOULES_PER_COUNT

    def _kept(self, counter: _OpenCounter, fd: int) -> int:
        if not counter.is_own():
            # The program has closed it; what has its number now is the program's.
            counter.fd = None
            return self._reopened(counter)
        try:
            return _count(self._files.pread(fd, COUNT_BYTES, 0))
        except OSError as error:
            if error.errno not in GONE:
                raise
        # A package that was unplugged and came back has a new file of the same name.
        counter.fd = None
        self._files.close(fd)
        return self._reopened(counter)

    def _reopened(self, counter: _OpenCounter) -> int:
        fd = _opened(self._files, counter.path)
        try:
            count = _count(self._files.pread(fd, COUNT_BYTES, 0))
            if count < counter.last:
                # Reading on would look like a roll-over: a whole range of energy that was never used.
                raise SensorLost(f"{counter.path} was unplugged and started again from nothing")
        except (OSError, ValueError, SensorLost):
            self._files.close(fd)
            raise
        counter.keep(fd)
        return count


class _OpenCounter:
    """A kept descriptor, and what is known of it."""

    __slots__ = ("_own", "channel", "fd", "last", "lost", "path")

    def __init__(self, channel: str, path: str, fd: int | None) -> None:
        self.channel = channel
        self.path = path
        self.last = 0
        self.lost = ""  # why, once it is
        self.keep(fd)

    def keep(self, fd: int | None) -> None:
        self.fd = fd
        self._own = None if fd is None else identity(fd)

    def is_own(self) -> bool:
        """Whether the descriptor still leads to the counter."""
        return self.fd is not None and identity(self.fd) == self._own


def detect(
    root: Path = POWERCAP,
    *,
    cpuinfo: Path = CPUINFO,
    files: Files = os,
    sleep: Callable[[float], None] = time.sleep,
) -> Detection:
    """One sensor for all packages and memories that can be read. Takes up to 0.1 s where two counters look alike.

    Raises:
        SensorUnavailable: there are none, or this user may read none.
    """
    zones = _zones(root)
    if not zones:
        raise SensorUnavailable(ABSENT, ABSENT_REMEDY)
    opened, refusals = _open(zones, files)
    if not opened:
        raise _unavailable(refusals)
    mirrors = _mirrors(
        [zone for zone in zones if zone in opened and zone.component == "cpu"], opened, files, sleep
    )
    for zone in zones:
        # A die without a counter of its own has no memory counter of its own either.
        if zone.package in mirrors and zone in opened:
            files.close(opened.pop(zone))

    vendor, model = vendor_and_model(cpuinfo)
    accuracy = ACCURACY.get(vendor, ACCURACY_UNKNOWN)
    packages = list(dict.fromkeys(zone.package for zone in zones if zone.package not in mirrors))
    channels = [
        Channel(
            id=f"{zone.component}{packages.index(zone.package)}.energy",
            component=zone.component,
            device=zone.device,
            method="counter",
            accuracy=accuracy,
            period_s=PERIOD_S,
            wraps_at_j=zone.range_j(),
        )
        for zone in opened
    ]
    return Detection(
        sensors=(Rapl(channels, [zone.counter for zone in opened], list(opened.values()), files),),
        devices=tuple(
            Device(
                id=zone.device,
                name=model if zone.component == "cpu" else f"memory of {zone.package}",
                power_limit_w=zone.limit_w(),
            )
            for zone in opened
        ),
        findings=(
            *_findings_on_mirrors(mirrors),
            *_findings_on_refusals(refusals, opened),
            *_findings_on_ranges(channels),
        ),
    )


def _zones(root: Path) -> list[_Zone]:
    """The packages, each once, and their memories; in the order of their numbers."""
    try:
        folders = list(root.iterdir())
    except OSError:
        return []
    found = sorted(
        (match["mmio"] is not None, int(match["zone"]), int(match["subzone"] or -1), folder)
        for folder in folders
        if (match := re.fullmatch(_ZONE, folder.name))
    )
    packages: dict[tuple[bool, int], str] = {}
    zones: dict[str, _Zone] = {}
    # The registers (MSR) come before memory-mapped twins, and a zone before its parts.
    for mmio, number, subzone, folder in found:
        name = _name(folder)
        if subzone < 0 and re.fullmatch(_PACKAGE, name) and name not in zones:
            packages[mmio, number] = name
            zones[name] = _Zone(device=name, component="cpu", package=name, folder=folder)
        elif subzone >= 0 and name == "dram" and (package := packages.get((mmio, number))):
            device = f"{package}/dram"
            zones[device] = _Zone(device=device, component="dram", package=package, folder=folder)
    return sorted(zones.values(), key=_order)


def _order(zone: _Zone) -> tuple[int, int, str]:
    match = re.fullmatch(_PACKAGE, zone.package)
    return (
        (int(match["package"]), int(match["die"] or 0), zone.component) if match else (0, 0, zone.component)
    )


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""  # it went away while we looked


def _opened(files: Files, path: str) -> int:
    return files.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _open(zones: Sequence[_Zone], files: Files) -> tuple[dict[_Zone, int], dict[_Zone, OSError | ValueError]]:
    """The descriptors of the counters that answer, and why the others do not."""
    opened: dict[_Zone, int] = {}
    refusals: dict[_Zone, OSError | ValueError] = {}
    for zone in zones:
        try:
            fd = _opened(files, zone.counter)
        except OSError as error:
            refusals[zone] = error
            continue
        try:
            _count(files.pread(fd, COUNT_BYTES, 0))
        except (OSError, ValueError) as error:
            files.close(fd)
            refusals[zone] = error
        else:
            opened[zone] = fd
    return opened, refusals


def _unavailable(refusals: dict[_Zone, OSError | ValueError]) -> SensorUnavailable:
    zone, error = next(iter(refusals.items()))
    if isinstance(error, PermissionError):
        return SensorUnavailable(f"{zone.counter} may only be read by root", DENIED_REMEDY)
    return SensorUnavailable(
        f"{zone.counter} {_why_unreadable(error)}", "Look for RAPL in the kernel's log: sudo dmesg"
    )


def _why_unreadable(error: OSError | ValueError) -> str:
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _count(text: bytes) -> int:
    """The microjoules in a counter's file.

    Raises:
        ValueError: it holds no whole number.
    """
    text = text.strip()
    # int() alone would also take "1_000" and "-5".
    if not text.isdigit():
        raise ValueError(f"holds no number: {text[:COUNT_BYTES]!r}")
    return int(text)


def _mirrors(
    packages: Sequence[_Zone], fds: dict[_Zone, int], files: Files, sleep: Callable[[float], None]
) -> dict[str, str]:
    """Package by package that shows another's counter: the name of that other."""
    ranges = {zone: zone.range_j() for zone in packages}

    def readings() -> dict[_Zone, float]:
        values = {}
        for zone in packages:
            with suppress(OSError, ValueError):
                values[zone] = _count(files.pread(fds[zone], COUNT_BYTES, 0)) * JOULES_PER_COUNT
        return values

    def alike(values: dict[_Zone, float], zone: _Zone, other: _Zone) -> bool:
        # A counter at zero tells nothing.
        if not (values.get(zone) and values.get(other)):
            return False
        apart = abs(values[zone] - values[other])
        # One of the two readings may have come after the roll-over.
        return min(apart, abs((ranges[zone] or math.inf) - apart)) <= MIRROR_J

    first = readings()
    pairs = [(zone, other) for other, zone in combinations(packages, 2) if alike(first, zone, other)]
    moved: list[tuple[_Zone, _Zone]] = []
    for _ in range(MIRROR_WAITS):
        if len(moved) == len(pairs):
            break
        sleep(MIRROR_WAIT_S)
        now = readings()
        pairs = [pair for pair in pairs if alike(now, *pair)]
        # Two counters that stand still cannot be told apart, and add nothing either.
        moved = [pair for pair in pairs if all(now[zone] != first[zone] for zone in pair)]
    mirrors: dict[str, str] = {}
    for zone, other in moved:
        mirrors.setdefault(zone.package, other.package)
    return mirrors


def vendor_and_model(cpuinfo: Path) -> tuple[str, str]:
    """Who made the CPU and what it is called, as the kernel has it; ``unknown`` where it does not say."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    return said.get("vendor_id", "unknown"), said.get("model name") or "unknown CPU"


def _findings_on_mirrors(mirrors: dict[str, str]) -> Iterator[Finding]:
    for package, other in mirrors.items():
        yield Finding.of(
            "rapl-mirrored",
            f"{package} shows the counter of {other} a second time; it is counted once",
        )


def _findings_on_refusals(
    refusals: dict[_Zone, OSError | ValueError], opened: dict[_Zone, int]
) -> Iterator[Finding]:
    measured = {zone.component for zone in opened}
    for zone, error in refusals.items():
        yield Finding.of(
            "rapl-zone-unreadable",
            f"{zone.device} is not measured: {zone.counter} {_why_unreadable(error)}",
            remedy=DENIED_REMEDY if isinstance(error, PermissionError) else None,
            # What is absent altogether says so itself; half of it would pass for the whole.
            severity="degrades" if zone.component in measured else "note",
        )


def _findings_on_ranges(channels: Sequence[Channel]) -> Iterator[Finding]:
    for channel in channels:
        if channel.wraps_at_j is None:
            yield Finding.of(
                "rapl-range-unknown",
                f"the range of the counter of {channel.device} is unknown; when it starts again there is a gap",
                channel=channel.id,
            )
