"""CPU and memory power where nothing measures it: CodeCarbon's models. Not its tracker, which locks, writes and asks the network.

What is taken from CodeCarbon are three functions without side effects: the search in its table of thermal design powers (TDP),
the curve from load to power, and the memory heuristic. They have no public name; the tests hold on to what is assumed of them,
and where an upgrade changes it this kind of sensor is unavailable rather than wrong. The load itself is read here.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

from energy_rating.files.descriptors import identity
from energy_rating.files.libraries import has_room, without_stray_prints
from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import SensorFailed, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("cpu", "dram")
MODELLED = True

STAT = Path("/proc/stat")
CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")

# CodeCarbon publishes RAPL against load for five machines (codecarbon/data/hardware/cpu_load_profiling in its repository). At
# 10 to 95 % load its curve misses them by 14 to 67 % rms. No such data exist for its memory model, so it is not trusted more.
ACCURACY = 0.5

# Over a second the load is known to a percent; the curve is not worth more.
PERIOD_S = 1.0

# /proc/stat counts hundredths of a second (proc(5)). Over fewer of them the load is mostly rounding.
TICKS = 5

# One line of ten 64-bit numbers.
STAT_BYTES = 256

REMEDY = "Run: pip install 'codecarbon>=3.3,<4'"


class CpuModel:
    """Watts of all CPUs together: TDP and the share of time they were busy, through CodeCarbon's curve."""

    def __init__(self, tdp_w: float, load: CpuLoad) -> None:
        self._tdp_w = tdp_w
        self._load = load

    @property
    def channels(self) -> tuple[Channel, ...]:
        return (_channel("cpu"),)

    def read(self) -> Reading:
        """Mean watts since the last reading, the first time since the sensor was made.

        Raises:
            SensorFailed: the load is not known, or no time has passed.
        """
        share = self._load.share()
        with _silence():
            return {"cpu.model": _cpu_w(self._tdp_w, share)}

    def close(self) -> None:
        self._load.close()


class DramModel:
    """Watts of all memory: a constant that CodeCarbon guesses from its size."""

    def __init__(self, watts: float) -> None:
        self._watts = watts

    @property
    def channels(self) -> tuple[Channel, ...]:
        return (_channel("dram"),)

    def read(self) -> Reading:
        return {"dram.model": self._watts}

    def close(self) -> None:
        """There is nothing to let go of."""


def _channel(component: Literal["cpu", "dram"]) -> Channel:
    return Channel(
        id=f"{component}.model",
        component=component,
        device=component,
        method="model",
        accuracy=ACCURACY,
        period_s=PERIOD_S,
    )


@dataclass(frozen=True, slots=True)
class _CpuTicks:
    """Ticks of all CPUs since they were started."""

    busy: int
    total: int


class CpuLoad:
    """How busy the CPUs were between one reading of ``/proc/stat`` and the next. Never waits, never starts from nothing."""

    def __init__(self, stat: Path, threads: int) -> None:
        self._stat = stat
        self._fd = -1
        self._own: tuple[int, int] | None = None
        self._open()
        self._enough = TICKS * threads
        self._before = self._last = self._times()

    def share(self) -> float:
        """The busy share (0 to 1) since the last reading; since the one before where that is too short a time.

        Raises:
            SensorFailed: ``/proc/stat`` did not answer, or next to no time has passed since the first reading.
        """
        try:
            now = self._times()
        except (OSError, ValueError) as error:
            raise SensorFailed(f"{self._stat} cannot be read: {error}") from error
        since = self._last
        if now.total - since.total >= self._enough:
            self._before, self._last = since, now
        else:
            since = self._before
        total = now.total - since.total
        if total <= 0:
            # Idle time may run backwards when a CPU is unplugged (proc(5)); begin anew.
            self._before = self._last = now
        if total < self._enough:
            raise SensorFailed("too little time has passed to know the CPU load")
        # iowait may run backwards as well.
        return min(max((now.busy - since.busy) / total, 0.0), 1.0)

    @property
    def counts(self) -> bool:
        """Whether the kernel had counted any time by the last reading."""
        return self._last.total > 0

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and identity(fd) == self._own:
            os.close(fd)

    def _open(self) -> None:
        self._fd = os.open(self._stat, os.O_RDONLY | os.O_CLOEXEC)
        self._own = identity(self._fd)

    def _times(self) -> _CpuTicks:
        if self._fd >= 0 and identity(self._fd) != self._own:
            self._open()  # the program has closed it; what has its number now is the program's
        name, *fields = os.pread(self._fd, STAT_BYTES, 0).partition(b"\n")[0].split()
        # user nice system idle iowait irq softirq steal; guest time follows and is part of user time already.
        times = [int(value) for value in fields[:8]]
        if name != b"cpu" or len(times) < 5:
            raise ValueError(f"its first line begins with {name!r} and has {len(times)} times")
        # Busy means what CodeCarbon's own load meter means by it.
        return _CpuTicks(busy=sum(times) - times[3] - times[4], total=sum(times))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cpus:
    """What the kernel says of the CPUs; ``model`` is empty where it does not say."""

    model: str
    threads: int
    sockets: int
    virtual: bool


def detect(*, cpuinfo: Path = CPUINFO, stat: Path = STAT, meminfo: Path = MEMINFO) -> Detection:
    """Two sensors, for CPU and memory, and what was assumed to make them.

    Raises:
        SensorUnavailable: CodeCarbon is missing or no longer what it was, there is no room for it, or this is not Linux.
    """
    if not has_room():
        raise SensorUnavailable(
            "the limit of address space leaves no room to load CodeCarbon beside the program",
            "Raise the limit (ulimit -v) by 256 MiB",
        )
    try:
        cpus = _cpus(cpuinfo)
        memory_bytes = _memory_bytes(meminfo)
        load = CpuLoad(stat, cpus.threads)
    except (OSError, ValueError) as error:
        raise SensorUnavailable(
            f"CPU load and memory size cannot be read: {error}", "They are, on Linux"
        ) from error
    try:
        with _silence(), without_stray_prints():
            tdp_w, finding = _assumed(cpus)
            dram_w = _dram_w(memory_bytes / 2**30)
            _check(tdp_w, dram_w)
    except Exception as error:  # whatever a changed CodeCarbon may come up with
        load.close()
        if isinstance(error, ModuleNotFoundError) and error.name == "codecarbon":
            raise SensorUnavailable("codecarbon is not installed", REMEDY) from error
        raise SensorUnavailable(
            f"CodeCarbon cannot be used ({type(error).__name__}: {error})", REMEDY
        ) from error
    cpu: tuple[CpuModel, ...] = (CpuModel(tdp_w, load),)
    if not load.counts:
        load.close()
        cpu, finding = (), _not_counting(stat)
    return Detection(
        sensors=(*cpu, DramModel(dram_w)),
        devices=(
            *(Device(id="cpu", name=cpus.model or "unknown CPU") for _ in cpu),
            Device(id="dram", name="memory", memory_gb=round(memory_bytes / 1e9, 3)),
        ),
        findings=(
            finding,
            Finding.of(
                "dram-estimated",
                f"memory power is CodeCarbon's model: {dram_w:g} W at any time for {memory_bytes / 2**30:.1f} GiB",
                remedy=_MEASURE,
                channel="dram.model",
            ),
        ),
    )


def _not_counting(stat: Path) -> Finding:
    """Since its start this machine has counted no time at all, which no machine that runs can have."""
    return Finding.of(
        "cpu-not-estimated",
        f"{stat} does not count here (gVisor before 2026-06), so that nobody knows the CPU's load",
    )


_MEASURE = "Where there are RAPL counters, let them be read: energy-rating sensors"


def _assumed(cpus: _Cpus) -> tuple[float, Finding]:
    """The TDP of all sockets, and what to say about it."""
    each_w = _tdp_w(cpus.model) if cpus.model else None
    if each_w is None:
        from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE

        # Threads are counted over all sockets. (CodeCarbon's tracker multiplies by the sockets once more.)
        tdp_w = float(DEFAULT_POWER_PER_CORE * cpus.threads)
        told = (
            f"CPU power is CodeCarbon's guess: {cpus.model or 'a CPU without a name'!r} is not in its database, so "
            f"{DEFAULT_POWER_PER_CORE:g} W for each of {cpus.threads} threads = {tdp_w:g} W × load"
        )
    else:
        tdp_w = each_w * cpus.sockets
        times = f"{cpus.sockets} × " if cpus.sockets > 1 else ""
        told = f"CPU power is CodeCarbon's model: TDP {times}{each_w:g} W of {cpus.model!r} × load"
        if cpus.virtual:
            told += f"; this is a virtual machine with {cpus.threads} threads, and the TDP is that of the whole CPU"
    return tdp_w, Finding.of("cpu-estimated", told, remedy=_MEASURE, channel="cpu.model")


def _check(tdp_w: float, dram_w: float) -> None:
    """Raises ValueError where CodeCarbon's answers make no sense."""
    watts = [_cpu_w(tdp_w, share) for share in (0.0, 0.5, 1.0)]
    # Its curve goes from a tenth of the TDP to the TDP. Half or double of it is another curve, a thousandth another unit.
    if not (0 < watts[0] <= watts[1] <= watts[2] and 0.5 < watts[2] / tdp_w < 2 and 1 <= dram_w < math.inf):
        raise ValueError(f"{watts} W of CPU and {dram_w} W of memory are no powers")


def _tdp_w(model: str) -> float | None:
    """Watts of the CPU that CodeCarbon takes this one for; None if it knows none."""
    import csv
    from importlib.resources import files

    from codecarbon.core.cpu import TDP

    # Its own way to the table goes through pandas, at a hundred times the price.
    table = files("codecarbon").joinpath("data/hardware/cpu_power.csv").read_text(encoding="utf-8")
    rows = [(row["Name"], row["TDP"]) for row in csv.DictReader(table.splitlines())]
    name = TDP._get_matching_cpu(None, model, {"Name": [name for name, _ in rows]})
    return next((float(tdp) for known, tdp in rows if known == name), None) or None


def _cpu_w(tdp_w: float, share: float) -> float:
    from codecarbon.external.hardware import CPU

    # The curve is a method that asks its object for these three; the object itself would start processes.
    machine = SimpleNamespace(
        _tracking_mode="machine", _tdp=tdp_w, _cpu_load_meter=SimpleNamespace(percent=lambda: 100 * share)
    )
    return float(CPU._get_power_from_cpu_load(machine).W)


def _dram_w(memory_gib: float) -> float:
    from codecarbon.external.ram import RAM

    return float(RAM(tracking_mode="machine")._calculate_ram_power(memory_gib))


def _cpus(cpuinfo: Path) -> _Cpus:
    model, threads, packages, virtual = "", 0, set(), False
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor":
            threads += 1
        elif key == "physical id":
            packages.add(value)
        elif key == "model name":
            model = model or value
        elif key == "flags":
            virtual = virtual or "hypervisor" in value.split()
    threads = threads or os.cpu_count() or 1
    # Some hypervisors show each thread as a socket; no machine has been built so for long.
    sockets = len(packages) if 0 < len(packages) < threads else 1
    return _Cpus(model=model, threads=threads, sockets=sockets, virtual=virtual)


def _memory_bytes(meminfo: Path) -> int:
    for line in meminfo.read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == "MemTotal":
            return int(value.split()[0]) * 1024
    raise ValueError(f"{meminfo} has no MemTotal")


_quiet = threading.local()


def _heard(_record: object) -> bool:
    return not getattr(_quiet, "now", False)


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing that CodeCarbon logs meanwhile, in this thread, is heard; whoever uses it elsewhere keeps its log."""
    import logging

    logging.getLogger("codecarbon").addFilter(_heard)  # once: adding it again changes nothing
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = False
