"""A machine on the virtual clock: its GPUs behind a stand-in for NVIDIA's binding, its CPU behind a powercap tree, and what breaks them.

The sensors are the real ones (``sensors/nvml.py``, ``sensors/rapl.py``); what they ask answers from a closed form of the virtual
time. Power is 100 W, and 400 W inside two windows; so a fault that moves energy from one time to another shows.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml
from fake_powercap import FakeFiles, FakePowercap
from virtual import VirtualClock

from energy_rating.nouns.errors import SensorFailed, SensorLost
from energy_rating.nouns.records import Channel

ZERO_S = 1000.0  # where the virtual clock stands when a run opens
IDLE_W, BUSY_W = 100.0, 400.0
WINDOWS = {"first": (4.0, 9.0), "second": (11.0, 16.0)}
END_S = 20.0

DRIVER = "580.95.05"
TICK_S, PHASE_S = 0.1, 0.037  # of a GPU's counter and register

# nvmlReturn_t (nvml.h)
UNINITIALIZED, NOT_SUPPORTED, NO_PERMISSION, GPU_IS_LOST, UNKNOWN = 1, 3, 4, 15, 999
_OF_DOUBLE, _OF_UNSIGNED, _OF_UNSIGNED_64 = 0, 1, 3  # nvmlValueType_t
_FIELDS = {83: "energy", 186: "power", 185: "power", 191: "energy"}


def power_w(t: float) -> float:
    return BUSY_W if any(start <= t < end for start, end in WINDOWS.values()) else IDLE_W


def energy_j(t: float) -> float:
    """From time 0; the machine was idle before."""
    busy_s = sum(min(max(t - start, 0.0), end - start) for start, end in WINDOWS.values())
    return IDLE_W * t + (BUSY_W - IDLE_W) * busy_s


@dataclass(frozen=True, kw_only=True)
class Strike:
    """When a fault is there, in seconds of the run."""

    since_s: float
    until_s: float = math.inf

    def at(self, t: float) -> bool:
        return self.since_s <= t < self.until_s


class Nvml(ModuleType):
    """What NVIDIA's binding is to the sensor, for GPUs whose ``fault`` may refuse or change any answer.

    ``fault(call, gpu, kind, milli)`` is asked before every answer; it returns the answer, or an error's number as ``Refused``.
    """

    NVMLError = pynvml.NVMLError
    c_nvmlFieldValue_t = pynvml.c_nvmlFieldValue_t

    def __init__(self, clock: VirtualClock, count: int = 1) -> None:
        super().__init__("pynvml")
        self.clock = clock
        self.count = count
        self.fault: Callable[[str, int, str, float], float | Refused] = lambda call, gpu, kind, milli: milli
        self.initialised = 0
        self.mig = False

        def field_values(handle: int, number: object, values: Any) -> int:
            return self._fill(handle, values._obj)

        field_values.argtypes = None  # type: ignore[attr-defined]
        self._field_values = field_values

    def now(self) -> float:
        return self.clock.time - ZERO_S

    def _nvmlGetFunctionPointer(self, name: str) -> object:
        assert name == "nvmlDeviceGetFieldValues"
        return self._field_values

    def _milli(self, kind: str, gpu: int) -> float:
        tick = math.floor((self.now() - PHASE_S) / TICK_S + 1e-9) * TICK_S + PHASE_S
        return 5e8 + 1000 * energy_j(tick) if kind == "energy" else 1000 * power_w(tick)

    def _told(self, call: str, gpu: int = 0, kind: str = "", milli: float = 0.0) -> float:
        answer = self.fault(call, gpu, kind, milli)
        if isinstance(answer, Refused):
            raise pynvml.NVMLError(answer.code)
        return answer

    def _fill(self, gpu: int, values: Any) -> int:
        refused = self.fault("nvmlDeviceGetFieldValues", gpu, "", 0.0)
        if isinstance(refused, Refused):
            return refused.code
        for value in values:
            kind = _FIELDS.get(value.fieldId)
            if kind is None or value.scopeId != 0:
                value.nvmlReturn = NOT_SUPPORTED
                continue
            answer = self.fault(f"field {value.fieldId}", gpu, kind, self._milli(kind, gpu))
            if isinstance(answer, Refused):
                value.nvmlReturn = answer.code
                continue
            value.nvmlReturn = 0
            if answer != answer:
                value.valueType, value.value.dVal = _OF_DOUBLE, answer
            elif kind == "energy":
                value.valueType, value.value.ullVal = _OF_UNSIGNED_64, round(answer)
            else:
                value.valueType, value.value.uiVal = _OF_UNSIGNED, round(answer)
        return 0

    def nvmlInit(self) -> None:
        self._told("nvmlInit")
        self.initialised += 1

    def nvmlShutdown(self) -> None:
        self.initialised -= 1
        self._told("nvmlShutdown")

    def nvmlDeviceGetFieldValues(self, gpu: int, wanted: list[tuple[int, int]]) -> Any:
        values = (pynvml.c_nvmlFieldValue_t * len(wanted))()
        for value, (number, scope) in zip(values, wanted, strict=True):
            value.fieldId, value.scopeId = number, scope
        code = self._fill(gpu, values)
        if code:
            raise pynvml.NVMLError(code)
        return values

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:
        return round(
            self._told("nvmlDeviceGetTotalEnergyConsumption", gpu, "energy", self._milli("energy", gpu))
        )

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        return round(self._told("nvmlDeviceGetPowerUsage", gpu, "power", self._milli("power", gpu)))

    def __getattr__(self, name: str) -> Any:
        """The calls that tell what a device is; all of them take the device, or nothing."""
        if name not in _ANSWERS:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            known = name.startswith("nvmlDeviceGet") and arguments and isinstance(arguments[0], int)
            self._told(name, arguments[0] if known else 0)
            return _ANSWERS[name](self, *arguments)

        return call


@dataclass(frozen=True)
class Refused:
    code: int


def _uuid(gpu: int) -> str:
    return f"GPU-{gpu}"


_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "nvmlDeviceGetCount": lambda self: self.count,
    "nvmlDeviceGetHandleByIndex": lambda self, place: place,
    "nvmlDeviceGetHandleByUUID": lambda self, uuid: int(uuid.removeprefix("GPU-")),
    "nvmlDeviceGetUUID": lambda self, gpu: _uuid(gpu),
    "nvmlDeviceGetName": lambda self, gpu: "NVIDIA H100 80GB HBM3",
    "nvmlDeviceGetMigMode": lambda self, gpu: (int(self.mig), int(self.mig)),
    "nvmlDeviceGetMaxMigDeviceCount": lambda self, gpu: 0,
    "nvmlDeviceGetEnforcedPowerLimit": lambda self, gpu: 700_000,
    "nvmlDeviceGetMaxClockInfo": lambda self, gpu, kind: 1980,
    "nvmlDeviceGetMemoryInfo": lambda self, gpu: SimpleNamespace(total=80 << 30),
    "nvmlSystemGetDriverVersion": lambda self: DRIVER,
    "nvmlDeviceGetPersistenceMode": lambda self, gpu: 1,
    "nvmlDeviceGetTemperature": lambda self, gpu, kind: 55,
    "nvmlDeviceGetClockInfo": lambda self, gpu, kind: 1980,
    "nvmlDeviceGetCurrentClocksEventReasons": lambda self, gpu: 0,
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda self, gpu: 0,
    "nvmlDeviceGetComputeRunningProcesses": lambda self, gpu: [],
}

ASKED_AT_OPENING = (
    "nvmlInit",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxClockInfo",
    "nvmlDeviceGetMemoryInfo",
    "nvmlSystemGetDriverVersion",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
)
ASKED_ALL_ALONG = (
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetPersistenceMode",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetComputeRunningProcesses",
)
ASKED_AT_THE_END = ("nvmlShutdown",)


# ------------------------------------------------------------------------------------------------------ what breaks a GPU

# A machine that sleeps for an hour draws a watt or so at each of its parts.
ASLEEP_S, ASLEEP_J = 3600.0, 3600.0

# What the driver says of a reading, in thousandths: (kind of reading, the true one, the one when the fault struck).
_CHANGED: Mapping[str, Callable[[str, float, float], float | Refused]] = {
    "lost": lambda kind, milli, then: Refused(GPU_IS_LOST),
    "driver reloaded": lambda kind, milli, then: Refused(UNINITIALIZED),
    "no permission": lambda kind, milli, then: Refused(NO_PERMISSION),
    "unknown error": lambda kind, milli, then: Refused(UNKNOWN),
    "counter reset": lambda kind, milli, then: milli - then if kind == "energy" else milli,
    "counter frozen": lambda kind, milli, then: then if kind == "energy" else milli,
    "power frozen": lambda kind, milli, then: then if kind == "power" else milli,
    "counter reads zero": lambda kind, milli, then: 0.0 if kind == "energy" else milli,
    "power reads zero": lambda kind, milli, then: 0.0 if kind == "power" else milli,
    "power sentinel": lambda kind, milli, then: 4294967295.0 if kind == "power" else milli,
    "power spike": lambda kind, milli, then: 9e6 if kind == "power" else milli,
    "counter jumps": lambda kind, milli, then: milli + 1e12 if kind == "energy" else milli,
    "counter jumps by 500 J and stays": lambda kind, milli, then: milli + 5e5 if kind == "energy" else milli,
    "counter half as fast": lambda kind, milli, then: (milli + then) / 2 if kind == "energy" else milli,
    "counter a third too fast": lambda kind, milli, then: (
        milli + 0.3 * (milli - then) if kind == "energy" else milli
    ),
    "counter in other units": lambda kind, milli, then: (
        then + (milli - then) / 1000 if kind == "energy" else milli
    ),
    "counter not supported": lambda kind, milli, then: Refused(NOT_SUPPORTED) if kind == "energy" else milli,
    "power not supported": lambda kind, milli, then: Refused(NOT_SUPPORTED) if kind == "power" else milli,
    "suspended": lambda kind, milli, then: milli + 1000 * ASLEEP_J if kind == "energy" else milli,
    "suspended and reset": lambda kind, milli, then: milli - then if kind == "energy" else milli,
    "no number": lambda kind, milli, then: math.nan if kind else milli,
}


def break_gpu(nvml: Nvml, fault: str, strike: Strike, gpu: int, lacks: str = "") -> None:
    """Lets a fault strike one GPU. ``lacks``: the kind of reading (energy, power) that no GPU of this machine ever has."""
    struck: list[bool] = []

    def answer(call: str, asked: int, kind: str, milli: float) -> float | Refused:
        if kind and kind == lacks:
            return Refused(NOT_SUPPORTED)
        if asked != gpu or call in ("nvmlInit", "nvmlShutdown") or not strike.at(nvml.now()):
            return milli
        reading = kind or call == "nvmlDeviceGetFieldValues"
        if fault == "slow call":
            if reading and not struck:
                struck.append(True)
                nvml.clock.time += SLOW_S
            return milli
        if not kind and fault not in ("lost", "driver reloaded"):
            return milli
        then = 5e8 + 1000 * energy_j(strike.since_s) if kind == "energy" else 1000 * power_w(strike.since_s)
        return _CHANGED[fault](kind, milli, then)

    nvml.fault = answer


# How long a call to a driver that recovers takes.
SLOW_S = 3.0


# ------------------------------------------------------------------------------------------------------ what breaks RAPL


class Power:
    """The profile as a powercap zone takes it."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def energy_j(self, t: float) -> float:
        return self.share * energy_j(t)


DRAM_SHARE = 0.1


class LiveFiles(FakeFiles):
    """The zones' files, which hold what the virtual time says; ``broken`` strikes them when it is due."""

    def __init__(self, tree: FakePowercap, clock: VirtualClock) -> None:
        super().__init__()
        self.tree, self.clock = tree, clock
        self.broken: Callable[[float], None] = lambda t: None

    def _live(self) -> None:
        t = self.clock.time - ZERO_S
        self.tree.advance_to(t)
        self.broken(t)

    def open(self, path: str, flags: int) -> int:
        self._live()
        return super().open(path, flags)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self._live()
        return super().pread(fd, length, offset)


def powercap(clock: VirtualClock, folder: Path, **options: Any) -> FakePowercap:
    """A socket that draws what the profile says, and its memory a tenth of that."""
    tree = FakePowercap(folder, **options)
    tree.files = LiveFiles(tree, clock)
    return tree


def break_rapl(tree: FakePowercap, zone: Any, fault: str, strike: Strike) -> None:
    """Lets a fault strike one zone."""
    files = tree.files
    assert isinstance(files, LiveFiles)
    state = {"struck": False, "healed": False}

    def broken(t: float) -> None:
        if strike.at(t) and not state["struck"]:
            state["struck"] = True
            _strike_zone(tree, zone, fault, files.clock)
        elif t >= strike.until_s and state["struck"] and not state["healed"]:
            state["healed"] = True
            tree.mend(zone)

    files.broken = broken


def _strike_zone(tree: FakePowercap, zone: Any, fault: str, clock: VirtualClock) -> None:
    files = tree.files
    match fault:
        case "denied":
            files.open_errors[zone.counter] = errno.EACCES
            files.read_errors[zone.counter] = errno.EACCES
        case "vanishes":
            tree.vanish(zone)
        case "comes back empty":
            tree.replug(zone, start_uj=0)
        case "frozen":
            zone.frozen = True
        case "reading fails":
            tree.fail(zone)
        case "garbage":
            tree.write(zone, b"energy\n")
        case "reads zero":
            tree.write(zone, b"0\n")
        case "jumps":
            tree.write(zone, b"200000000000\n")
        case "jumps by 1,500 J and stays":
            zone.start_uj += round(1500 * 1e6)
            tree.advance_to(tree.t)
        case "suspended":
            zone.start_uj += round(ASLEEP_J * 1e6)
            tree.advance_to(tree.t)
        case "wraps":
            pass  # it is near its end: the machine is made so
        case "slow call":
            clock.time += SLOW_S
        case _:
            raise AssertionError(fault)


# ------------------------------------------------------------------------------------------------------ models and others


class Model:
    """A model of the CPU's power: means since the last reading, as CodeCarbon's."""

    channels = (
        Channel(id="cpu.model", component="cpu", device="cpus", method="model", accuracy=0.5, period_s=1.0),
    )

    def __init__(self, clock: VirtualClock, fault: str, strike: Strike) -> None:
        self.clock, self.fault, self.strike = clock, fault, strike
        self.since_s = clock.time - ZERO_S
        self.slow = False
        self.closed = False

    def read(self) -> Mapping[str, float | SensorFailed]:
        t = self.clock.time - ZERO_S
        if self.strike.at(t):
            match self.fault:
                case "lost":
                    raise SensorLost("the model is gone")
                case "reading fails":
                    return {"cpu.model": SensorFailed("it cannot be told")}
                case "no number":
                    return {"cpu.model": math.nan}
                case "defect":
                    raise ZeroDivisionError("a defect in the sensor")
                case "slow call" if not self.slow:
                    self.slow = True
                    self.clock.time += SLOW_S
                    t += SLOW_S
        watts = (energy_j(t) - energy_j(self.since_s)) / (t - self.since_s) if t > self.since_s else IDLE_W
        self.since_s = t
        return {"cpu.model": watts}

    def close(self) -> None:
        self.closed = True


class BadOs:
    """The module ``os`` as the journal sees it, on a disk that refuses while the fault is there."""

    def __init__(self, clock: VirtualClock, fault: str, strike: Strike) -> None:
        self.clock, self.fault, self.strike = clock, fault, strike

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _refuse(self, *calls: str) -> None:
        if self.fault in calls and self.strike.at(self.clock.time - ZERO_S):
            code = getattr(errno, self.fault)
            raise OSError(code, os.strerror(code))

    def write(self, descriptor: int, block: bytes) -> int:
        self._refuse("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE")
        if self.fault == "short write" and self.strike.at(self.clock.time - ZERO_S):
            return os.write(descriptor, block[: len(block) // 2])
        return os.write(descriptor, block)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            self._refuse("EROFS", "EACCES", "EMFILE")
        return os.open(path, flags, mode)

    def fsync(self, descriptor: int) -> None:
        self._refuse("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE")
        os.fsync(descriptor)
