"""CPU and memory energy from the same RAPL counters as ``rapl``, through perf_event_open(2). For where powercap may not be read.

Asked only after ``rapl``, and only for components that it did not measure, so that no package is ever counted twice. The kernel's
"power" PMU describes itself in sysfs (arch/x86/events/rapl.c; commit 4788e5b4b233, "perf/x86: Add Intel RAPL PMU support")::

    type                         the number of the PMU
    cpumask                      one CPU for each package or die that has a counter
    events/energy-pkg            event=0x02          a socket          -> perf.cpu0.energy
    events/energy-ram            event=0x03          its memory        -> perf.dram0.energy
    events/energy-pkg.scale      2.3283064365386962890625e-10 (2⁻³²)
    events/energy-pkg.unit       Joules

``energy-cores`` and ``energy-gpu`` are parts of the package, and ``energy-psys`` is all of it and more: none is added. The kernel adds
up the 32-bit registers in 64 bits, by a timer of its own: the counter never starts again. It begins at zero when it is opened.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from energy_rating.files.descriptors import name
from energy_rating.measuring.hwmon import number, text
from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.measuring.sensors.rapl import (
    ACCURACY,
    ACCURACY_UNKNOWN,
    CPUINFO,
    PERIOD_S,
    vendor_and_model,
)
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("cpu", "dram")
WHAT = "RAPL through perf events"
SIGNS = ("/sys/bus/event_source/devices/power",)
FALLBACK = True
UNTRIED = True

PMU = Path("/sys/bus/event_source/devices/power")
CPUS = Path("/sys/devices/system/cpu")

EVENTS: Mapping[str, Component] = {"energy-pkg": "cpu", "energy-ram": "dram"}

# perf_event_attr as of PERF_ATTR_SIZE_VER0: type u32, size u32, config u64, and zeros (include/uapi/linux/perf_event.h).
ATTR_BYTES = 64
# PERF_FLAG_FD_CLOEXEC, same file.
CLOEXEC = 8
# __NR_perf_event_open: arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl, include/uapi/asm-generic/unistd.h.
SYSCALLS = {"x86_64": 298, "i686": 336, "aarch64": 241, "riscv64": 241}

ABSENT = "the kernel offers no RAPL events (perf PMU 'power')"
# Documentation/admin-guide/sysctl/kernel.rst, perf_event_paranoid: events of a whole CPU need 0 or less, or CAP_PERFMON.
DENIED_REMEDY = (
    "Run: sudo sysctl kernel.perf_event_paranoid=0 (or give the program CAP_PERFMON), or let powercap be read: "
    "sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj"
)


class Kernel(Protocol):
    """What is asked of the kernel: an event of one CPU, and what it has counted since."""

    def open(self, pmu: int, config: int, cpu: int, /) -> int: ...
    def read(self, fd: int, /) -> bytes: ...
    def close(self, fd: int, /) -> None: ...


class SystemCalls:
    """The real one. The standard library has no perf_event_open, so that it is called by number."""

    def open(self, pmu: int, config: int, cpu: int, /) -> int:
        """A descriptor of the event, closed in child processes.

        Raises:
            OSError: the kernel refuses it.
        """
        import ctypes
        import struct

        call = SYSCALLS.get(os.uname().machine)
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        libc = ctypes.CDLL(None, use_errno=True)
        attr = ctypes.create_string_buffer(struct.pack("=IIQ", pmu, ATTR_BYTES, config), ATTR_BYTES)
        fd: int = libc.syscall(
            ctypes.c_long(call),
            attr,
            ctypes.c_int(-1),  # no process: the whole CPU
            ctypes.c_int(cpu),
            ctypes.c_int(-1),  # no group
            ctypes.c_ulong(CLOEXEC),
        )
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return fd

    def read(self, fd: int, /) -> bytes:
        return os.read(fd, 8)

    def close(self, fd: int, /) -> None:
        os.close(fd)


class PerfRapl:
    """The counters of one component, cpu or dram, over all packages."""

    def __init__(self, counters: Sequence[tuple[Channel, int, float]], kernel: Kernel) -> None:
        self._channels = tuple(channel for channel, _, _ in counters)
        # Everything that is no file has one inode; its name and its number are all that tells an event from another's pipe.
        self._counters = [(channel.id, fd, scale, name(fd)) for channel, fd, scale in counters]
        self._kernel = kernel

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        """Joules since the counters were opened, by channel id, or why one did not answer.

        Raises:
            SensorLost: the sensor was closed.
        """
        if not self._counters:
            raise SensorLost("the perf sensor is closed")
        return {channel: self._energy_j(fd, scale, own) for channel, fd, scale, own in self._counters}

    def close(self) -> None:
        counters, self._counters = self._counters, []
        for _, fd, _, own in counters:
            if name(fd) == own:
                self._kernel.close(fd)

    def _energy_j(self, fd: int, scale: float, own: str) -> float | SensorFailed:
        if name(fd) != own:
            # The program has closed it. Opened again it would begin at zero.
            return SensorLost("the program closed the descriptor of the RAPL event")
        try:
            count = self._kernel.read(fd)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EBADF):
                return SensorLost("the kernel took the RAPL event away")
            return SensorFailed(f"the RAPL event cannot be read: {error.strerror}")
        if len(count) != 8:
            # End of file: the CPU that carried the event was taken offline (perf_event_open(2)).
            return SensorLost("the CPU that carried the RAPL event went offline")
        return int.from_bytes(count, "little") * scale


def detect(
    root: Path = PMU, *, cpus: Path = CPUS, cpuinfo: Path = CPUINFO, kernel: Kernel | None = None
) -> Detection:
    """One sensor for the packages and one for the memories, where the kernel lets this user count them.

    Raises:
        HardwareAbsent: the kernel has no such events.
        SensorUnavailable: it refuses them, or describes them in a way that is not understood.
    """
    pmu = number(root / "type")
    events = [name for name in EVENTS if text(root / "events" / name)] if pmu is not None else []
    if pmu is None or not events:
        raise HardwareAbsent(ABSENT)
    kernel = kernel or SystemCalls()
    vendor, model = vendor_and_model(cpuinfo)
    places = list(_places(text(root / "cpumask"), cpus, vendor))
    sensors, devices, findings = [], [], []
    refusals: list[tuple[str, OSError | ValueError]] = []
    for event in events:
        component = EVENTS[event]
        counters: list[tuple[Channel, int, float]] = []
        for place, (package, cpu) in enumerate(places):
            device = package if component == "cpu" else f"{package}/dram"
            try:
                config, scale = _described(root / "events", event)
                fd = kernel.open(pmu, config, cpu)
            except (OSError, ValueError) as error:
                refusals.append((device, error))
                continue
            channel = Channel(
                id=f"perf.{component}{place}.energy",
                component=component,
                device=device,
                method="counter",
                accuracy=ACCURACY.get(vendor, ACCURACY_UNKNOWN),
                period_s=PERIOD_S,
            )
            counters.append((channel, fd, scale))
            devices.append(Device(id=device, name=model if component == "cpu" else f"memory of {package}"))
        if counters:
            sensors.append(PerfRapl(counters, kernel))
    if not sensors:
        raise _unavailable(refusals)
    measured = {channel.component for sensor in sensors for channel in sensor.channels}
    for device, cause in refusals:
        component = "dram" if device.endswith("/dram") else "cpu"
        findings.append(
            Finding.of(
                "rapl-zone-unreadable",
                f"{device} is not measured: {_why_not_counted(cause)}",
                severity="degrades" if component in measured else "note",
            )
        )
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _described(events: Path, event: str) -> tuple[int, float]:
    """What to ask for, and the joules of one count.

    Raises:
        ValueError: the kernel describes it in a way that is not understood.
    """
    unit = text(events / f"{event}.unit")
    key, _, value = text(events / event).partition("=")
    scale = float(text(events / f"{event}.scale") or "nan")
    if unit != "Joules" or key != "event" or not 0 < scale < 1:
        raise ValueError(f"the kernel counts {event} in {unit or 'nothing'} times {scale}")
    return int(value, 0), scale


def _places(mask: str, cpus: Path, vendor: str) -> Iterator[tuple[str, int]]:
    """The packages, or the dies that count for themselves, each with the CPU that carries its counter."""
    dies: dict[tuple[int, int], int] = {}
    for cpu in _numbers(mask):
        topology = cpus / f"cpu{cpu}" / "topology"
        package = number(topology / "physical_package_id")
        die = number(topology / "die_id")
        # An AMD socket has one counter, which some kernels offer once for each of its dies.
        key = (package or 0, 0 if vendor != "GenuineIntel" else die or 0)
        dies.setdefault(key, cpu)
    packages = [package for package, _ in dies]
    for (package, die), cpu in sorted(dies.items()):
        several = packages.count(package) > 1
        yield f"package-{package}-die-{die}" if several else f"package-{package}", cpu


def _numbers(mask: str) -> Iterator[int]:
    """The CPUs of a list such as ``0,18`` or ``0-1`` (Documentation/core-api/printk-formats.rst, bitmap lists)."""
    for part in mask.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def _unavailable(refusals: Sequence[tuple[str, OSError | ValueError]]) -> SensorUnavailable:
    if not refusals:
        return SensorUnavailable("the kernel names no CPU that carries a RAPL event")
    _, error = refusals[0]
    if isinstance(error, PermissionError):
        return SensorUnavailable("the kernel lets only root count the RAPL events", DENIED_REMEDY)
    return SensorUnavailable(f"the RAPL events cannot be counted: {_why_not_counted(error)}")


def _why_not_counted(error: OSError | ValueError) -> str:
    return error.strerror or "unknown error" if isinstance(error, OSError) else str(error)
