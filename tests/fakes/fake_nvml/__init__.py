"""A libnvidia-ml.so.1 without a GPU, and the truth about what it draws.

`FakeNvml(devices=(Device(power="square:100,400,0.73,0.4"),))` describes a machine. `load()` puts it under the
unmodified `pynvml` of this process, `environment()` under that of any other. `truth_j()` works out the energy
from the same profiles, independently of the C code: nvml.c takes differences of an antiderivative, this
module adds up overlaps. Absolute times are those of `time.monotonic()`; times in profiles and faults are
seconds since `epoch`. nvml.c explains every key at its top.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Literal

__all__ = ["BAD_CONFIGURATION", "Device", "FakeNvml", "Library", "NoCompiler", "build", "compiler"]

SOURCE = Path(__file__).with_name("nvml.c")
SONAME = "libnvidia-ml.so.1"
BAD_CONFIGURATION = 970
"""What nvmlInit returns when the configuration has a mistake; NVML itself has no such code."""

Scope = Literal["gpu", "module", "memory", "gpu_base"]


class NoCompiler(RuntimeError):
    """There is no C compiler here, so the fake cannot be built: skip the test."""


def compiler() -> str:
    """The C compiler's path. Raises NoCompiler if there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    raise NoCompiler("the fake NVML needs a C compiler (cc, gcc, clang or $CC). Run: apt-get install gcc")


def cache_folder() -> Path:
    """Where libraries and configurations go when no folder is given."""
    return Path(tempfile.gettempdir()) / f"fake-nvml-{os.getuid()}"


def build(folder: Path | None = None) -> Path:
    """Compiles the library into `folder`, once per version of its source, and returns its path.

    Processes may build at the same time: each compiles in a folder of its own, and the last step is a rename.
    Raises NoCompiler, or subprocess.CalledProcessError when the compiler refuses.
    """
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = (folder or cache_folder()) / version / SONAME
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            made = Path(scratch) / SONAME
            command = [compiler(), "-std=c11", "-O2", "-shared", "-fPIC", f"-Wl,-soname,{SONAME}"]
            subprocess.run([*command, str(SOURCE), "-o", str(made), "-lm", "-lpthread"], check=True)
            made.replace(library)
    return library


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU. Every field is a key of the configuration; nvml.c explains them at its top."""

    power: str = "constant:300"
    module_power: str | None = None
    memory_power: str | None = None
    gpu_base_power: str | None = None
    faults: Sequence[str] = ()

    name: str = "NVIDIA H100 80GB HBM3"
    uuid: str | None = None
    pci: str | None = None
    brand: int = 14
    architecture: int = 9
    compute_capability: str = "9.0"
    memory_total_mib: float = 81559
    memory_used_mib: float = 1024
    power_limit_w: float = 700
    power_limit_default_w: float = 700
    power_limit_min_w: float = 200
    power_limit_max_w: float = 700
    persistence: bool = True
    tells_profiles: bool = False
    power_profiles: int = 0
    adaptive_limit: bool = False
    c2c: bool = False
    virtualization: int = 0
    temperature_c: float = 45
    utilisation_percent: float = 100
    sm_clock_mhz: float = 1980
    sm_clock_max_mhz: float = 1980
    mem_clock_mhz: float = 2619
    mem_clock_max_mhz: float = 2619
    mig: int | Literal["off", "unsupported"] = "off"
    pids: Sequence[int | str] = ()
    throttle: Sequence[int | str] = ()
    temperature_at: Sequence[str] = ()
    sm_clock_at: Sequence[str] = ()
    power_limit_at: Sequence[str] = ()

    gain: float = 1
    seed: int = 1
    counter_period_s: float = 0.1
    counter_phase_s: float = 0
    counter_jitter_s: float = 0
    counter_start_mj: int = 0
    counter_window_s: float = 0
    counter_scope: Scope = "gpu"
    power_period_s: float = 0.1
    power_phase_s: float = 0
    power_jitter_s: float = 0
    instant_window_s: float = 0.025
    average_period_s: float = 0.1
    average_window_s: float = 1
    power_usage: Literal["average", "instant"] = "average"
    energy_scopes: Sequence[Scope] = ("gpu",)
    instant_scopes: Sequence[Scope] = ("gpu",)
    average_scopes: Sequence[Scope] = ("gpu",)
    field_timestamp: Literal["query", "sensor"] = "query"
    samples: Literal["live", "stale", "unsupported"] = "live"
    sample_period_s: float = 0.02
    latency_us: float = 0

    def profile(self, scope: Scope = "gpu") -> Profile:
        """What this scope draws. Raises ValueError when it has no profile or a wrong one."""
        text = {
            "gpu": self.power,
            "module": self.module_power,
            "memory": self.memory_power,
            "gpu_base": self.gpu_base_power,
        }[scope]
        if text is None:
            raise ValueError(f"the device has no power profile for the scope {scope}")
        return parse_profile(text)

    def lines(self) -> Iterator[str]:
        """The lines of this device's section."""
        for key in fields(self):
            value = getattr(self, key.name)
            if value is None:
                continue
            if isinstance(value, bool):
                value = "yes" if value else "no"
            elif isinstance(value, float):
                value = repr(float(value))
            elif not isinstance(value, str | int):
                value = " ".join(str(item) for item in value)
            yield f"{key.name} = {value}"


@dataclass(frozen=True, kw_only=True)
class FakeNvml:
    """A machine with these GPUs. `epoch` is time 0 of its profiles and faults, in s of `time.monotonic()`."""

    devices: Sequence[Device] = (Device(),)
    epoch: float = field(default_factory=time.monotonic)
    init_error: int = 0
    shutdown_hangs: bool = False
    driver_version: str = "580.95.05"
    nvml_version: str = "13.580.95.05"
    cuda_version: int = 13000

    def config(self) -> str:
        """The text of the configuration file."""
        lines = [
            f"devices = {len(self.devices)}",
            f"epoch = {self.epoch!r}",
            f"init_error = {self.init_error}",
            f"shutdown_hangs = {'yes' if self.shutdown_hangs else 'no'}",
            f"driver_version = {self.driver_version}",
            f"nvml_version = {self.nvml_version}",
            f"cuda_version = {self.cuda_version}",
        ]
        for index, device in enumerate(self.devices):
            lines += ["", f"[device {index}]", *device.lines()]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path | None = None) -> Path:
        """Writes the configuration into `folder` under a name made from its content, and returns its path."""
        text = self.config()
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.conf"
        path = (folder or cache_folder()) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        return Path(file.name).replace(path)

    def environment(self, folder: Path | None = None) -> dict[str, str]:
        """The variables that put this machine under another process: `env=os.environ | fake.environment()`.

        The configuration is written into `folder`, else into the cache folder. Raises NoCompiler.
        """
        others = os.environ.get("LD_LIBRARY_PATH", "")
        path = str(build().parent) + (os.pathsep + others if others else "")
        return {"LD_LIBRARY_PATH": path, "FAKE_NVML_CONFIG": str(self.write(folder))}

    @contextlib.contextmanager
    def load(self, folder: Path | None = None) -> Iterator[Library]:
        """Puts this machine under the `pynvml` of this process for the length of a `with` block.

        Before and after, NVML is shut down fully, calls that hang return, and `pynvml` is as if freshly
        imported. nvmlInit is left to the code under test. The configuration is written into `folder`, else
        into a folder that is removed at the end. Raises NoCompiler, or RuntimeError when another NVML is
        already in this process.
        """
        library = _library()
        before = os.environ.get("FAKE_NVML_CONFIG")
        with tempfile.TemporaryDirectory() as scratch:
            _reset(library)
            os.environ["FAKE_NVML_CONFIG"] = str(self.write(folder or Path(scratch)))
            try:
                yield Library(library)
            finally:
                _reset(library)
                os.environ.pop("FAKE_NVML_CONFIG", None)
                if before is not None:
                    os.environ["FAKE_NVML_CONFIG"] = before

    def uuid(self, index: int) -> str:
        """The UUID of a device."""
        return self.devices[index].uuid or f"GPU-00000000-0000-4000-8000-{index:012x}"

    def mig_uuid(self, index: int, instance: int) -> str:
        """The UUID of one of a device's MIG instances."""
        return f"MIG-{instance + 1:08x}-0000-4000-8000-{index:012x}"

    def power_w(self, device: int, t: float, scope: Scope = "gpu") -> float:
        """What a device truly draws at `t`, in W; no gain and no fault has a part in it."""
        return self.devices[device].profile(scope).power_w(t - self.epoch)

    def truth_j(self, device: int, t0: float, t1: float, scope: Scope = "gpu") -> float:
        """What a device truly draws from `t0` to `t1`, in J; no gain and no fault has a part in it."""
        return self.devices[device].profile(scope).energy_j(t0 - self.epoch, t1 - self.epoch)

    def counter_tick(self, device: int, t: float) -> float:
        """When the counter of a device was last refreshed at `t`; `t` itself when it has no period."""
        d = self.devices[device]
        return self.epoch + _last_tick(
            t - self.epoch, d.counter_period_s, d.counter_phase_s, d.counter_jitter_s, d.seed, 4 * device
        )

    def power_tick(self, device: int, t: float) -> float:
        """When the instant power of a device was last refreshed at `t`; `t` itself when it has no period."""
        d = self.devices[device]
        return self.epoch + _last_tick(
            t - self.epoch, d.power_period_s, d.power_phase_s, d.power_jitter_s, d.seed, 4 * device + 1
        )


class Library:
    """The fake NVML in this process."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def calls(self) -> int:
        """How many readings of devices were asked for since `load()`."""
        return int(self._library.fake_nvml_calls())

    def touched(self, device: int) -> int:
        """How many calls of any kind were about that device since `load()`."""
        return int(self._library.fake_nvml_touched(device))

    def now(self) -> float:
        """Seconds since the epoch, as the library sees it."""
        return float(self._library.fake_nvml_now())


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Constant pieces, `(start, end, watts)`, without gaps; repeated for ever if there is a period."""

    pieces: tuple[tuple[float, float, float], ...]
    period: float | None = None
    phase: float = 0

    def power_w(self, t: float) -> float:
        if self.period is not None:
            t = t - self.phase - self.period * math.floor((t - self.phase) / self.period)
        return next((watts for start, end, watts in self.pieces if start <= t < end), self.pieces[-1][2])

    def energy_j(self, t0: float, t1: float) -> float:
        if self.period is None:
            overlaps = ((max(t0, start), min(t1, end), watts) for start, end, watts in self.pieces)
            return math.fsum(watts * (end - start) for start, end, watts in overlaps if end > start)
        first = math.floor((t0 - self.phase) / self.period)
        last = math.floor((t1 - self.phase) / self.period)
        one = Pieces(pieces=self.pieces)
        in_first, in_last = t0 - self.phase - first * self.period, t1 - self.phase - last * self.period
        if first == last:
            return one.energy_j(in_first, in_last)
        whole = (last - first - 1) * one.energy_j(0, self.period)
        return one.energy_j(in_first, self.period) + whole + one.energy_j(0, in_last)


@dataclass(frozen=True, kw_only=True)
class Sine:
    """`mean + amplitude · sin(2π (t - phase) / period)`."""

    mean: float
    amplitude: float
    period: float
    phase: float

    def power_w(self, t: float) -> float:
        return self.mean + self.amplitude * math.sin(math.tau * (t - self.phase) / self.period)

    def energy_j(self, t0: float, t1: float) -> float:
        # cos a - cos b = 2 sin((a + b) / 2) sin((b - a) / 2)
        middle = math.tau * ((t0 + t1) / 2 - self.phase) / self.period
        half = math.pi * (t1 - t0) / self.period
        swing = self.amplitude * self.period / math.pi
        return self.mean * (t1 - t0) + swing * math.sin(middle) * math.sin(half)


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """`before` until `start`, then straight to `after` at `end`."""

    before: float
    after: float
    start: float
    end: float

    def power_w(self, t: float) -> float:
        if t <= self.start:
            return self.before
        if t >= self.end:
            return self.after
        return self.before + (self.after - self.before) * (t - self.start) / (self.end - self.start)

    def energy_j(self, t0: float, t1: float) -> float:
        # Between its two bends the power is a straight line: mean of both ends × length.
        cuts = [t0, *(cut for cut in (self.start, self.end) if t0 < cut < t1), t1]
        return math.fsum((self.power_w(a) + self.power_w(b)) / 2 * (b - a) for a, b in pairwise(cuts))


Profile = Pieces | Sine | Ramp


def parse_profile(text: str) -> Profile:
    """A power profile from its text, such as `square:100,400,0.73,0.4`. Raises ValueError."""
    shape, _, numbers = text.partition(":")
    a = tuple(float(number) for number in numbers.split(","))
    match shape, len(a):
        case "constant", 1:
            return Pieces(pieces=((-math.inf, math.inf, a[0]),))
        case "step", n if n >= 3 and n % 2:
            watts, times = (a[0], *a[1::2]), (-math.inf, *a[2::2], math.inf)
            spans = zip(pairwise(times), watts, strict=True)
            return Pieces(pieces=tuple((start, end, power) for (start, end), power in spans))
        case "square", 4 | 5:
            low, high, period, duty = a[:4]
            half = duty * period
            high_low = ((0, half, high), (half, period, low))
            return Pieces(pieces=high_low, period=period, phase=a[4] if len(a) > 4 else 0)
        case "sine", 3 | 4:
            return Sine(mean=a[0], amplitude=a[1], period=a[2], phase=a[3] if len(a) > 3 else 0)
        case "ramp", 4:
            return Ramp(before=a[0], after=a[1], start=a[2], end=a[3])
        case "burst", 4 | 6 | 7:
            idle, active, period, length = a[:4]
            peak, peak_length = a[4:6] if len(a) > 4 else (active, 0.0)
            pieces = ((0, peak_length, peak), (peak_length, length, active), (length, period, idle))
            return Pieces(pieces=pieces, period=period, phase=a[6] if len(a) > 6 else 0)
    raise ValueError(f"no power profile is written {text!r}")


def _noise(seed: int, stream: int, k: int) -> float:
    """A number in [-1, 1) from a tick's number (splitmix64), the same as in nvml.c."""
    mask = 2**64 - 1
    z = (((seed * 1000003 + stream) & mask) * 0x9E3779B97F4A7C15 + k) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return (z >> 11) / 2**52 - 1


def _last_tick(t: float, period: float, phase: float, jitter: float, seed: int, stream: int) -> float:
    if not period:
        return t
    nearest = math.floor((t - phase) / period)
    near = (nearest + 1, nearest, nearest - 1)
    ticks = (phase + k * period + jitter * _noise(seed, stream, k) for k in near)
    return next(tick for tick in ticks if tick <= t)


_loaded: ctypes.CDLL | None = None


def _library() -> ctypes.CDLL:
    """The fake in this process, under the name that pynvml asks for.

    The dynamic linker takes a library that is already loaded when its soname is asked for.
    """
    global _loaded
    if _loaded is None:
        ctypes.CDLL(str(build()), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(SONAME)
        if not hasattr(library, "fake_nvml_reset"):
            raise RuntimeError(
                f"another {SONAME} is already in this process; use environment() and a subprocess"
            )
        library.fake_nvml_calls.restype = ctypes.c_ulonglong
        library.fake_nvml_touched.restype = ctypes.c_ulonglong
        library.fake_nvml_now.restype = ctypes.c_double
        _loaded = library
    return _loaded


def _reset(library: ctypes.CDLL) -> None:
    """Shuts NVML down fully and makes pynvml forget that it was ever loaded."""
    import pynvml

    library.fake_nvml_reset()
    with pynvml.libLoadLock:
        pynvml.nvmlLib = None
        pynvml._nvmlLib_refcount = 0
        pynvml._nvmlGetFunctionPointer_cache.clear()
