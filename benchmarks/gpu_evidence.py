"""What a real GPU's sensors are like, and what our meter makes of them: one call of ten minutes, one JSON file of answers.

    python benchmarks/gpu_evidence.py --out evidence [--budget 540] [--quick] [--device auto|cuda|cpu|none]

Needs the measuring half of this package and pynvml; torch for the loads. Writes ``evidence.json`` (again after every part, so
that a run cut short loses one part) and one journal for each workload, ``journals/NAME.jsonl.gz``. Without CUDA the parts run
with a stand-in for the load, and the file says so. It only reads the card: no clock, limit or mode is changed. What the
answers mean is ``read_evidence.py``'s matter.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import gzip
import json
import math
import os
import random
import re
import select
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

try:
    import energy_rating
except ModuleNotFoundError:  # straight from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import energy_rating

from energy_rating.files.journal import decoded
from energy_rating.files.packed import Unpacker
from energy_rating.measuring.sensors import Reading, nvml
from energy_rating.measuring.sensors.nvml import binding
from energy_rating.meter import Run, measure
from energy_rating.nouns.records import Channel, Load, Model, Task

SCHEMA = "energy-rating/gpu-evidence/1"

# Fields of nvmlDeviceGetFieldValues (nvml.h) and the names they have in the file.
FIELDS = {"energy": 83, "scoped_energy": 191, "averaged": 185, "instant": 186}
SCOPES = {"gpu": 0, "module": 1, "memory": 2, "gpu_base": 3}
MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
TOTAL_POWER_SAMPLES, MODULE_POWER_SAMPLES = 0, 7

# Side of the square matrices that burden a GPU: fills a large chip, and one product takes about a millisecond there.
MATRIX = 8192

Json = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------ numbers


def spread(values: Sequence[float]) -> Json:
    """Number, median, 5th and 95th percentile and extremes."""
    if not values:
        return {"n": 0}
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]

    return {
        "n": len(ordered),
        "median": statistics.median(ordered),
        "p5": at(0.05),
        "p95": at(0.95),
        "p99": at(0.99),
        "min": ordered[0],
        "max": ordered[-1],
    }


def mean_and_error(values: Sequence[float]) -> Json:
    """Mean and its standard error."""
    if not values:
        return {"n": 0}
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"n": len(values), "mean": statistics.fmean(values), "standard_error": error}


def tidied(value: Any) -> Any:
    """Floats to seven significant digits; what is no number becomes null, as JSON wants it."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): tidied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidied(item) for item in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def scrubbed(text: str) -> str:
    """A message without the folders that it may name."""
    return re.sub(r"(?:/[^/\s'\":,;()]+)+/", "", text)[:300]


def error_of(error: BaseException) -> Json:
    return {"error": scrubbed(f"{type(error).__name__}: {error}")}


# --------------------------------------------------------------------------------------------------------------- card


class Card:
    """The GPU that CUDA numbers 0, through pynvml. Reads only."""

    def __init__(self) -> None:
        self.nvml = binding.load_pynvml()
        started = time.perf_counter()
        self.nvml.nvmlInit()
        self.first_init_ms = 1e3 * (time.perf_counter() - started)
        detection = nvml.detect()
        self.uuid = detection.devices[0].id
        for sensor in detection.sensors:
            sensor.close()
        self.handle = self.nvml.nvmlDeviceGetHandleByUUID(self.uuid)

    def again(self) -> Json:
        """Lets go of NVML and takes it up again: what that costs, and whether the counter goes on."""
        before = self.energy_mj()
        started = time.perf_counter()
        self.nvml.nvmlShutdown()
        closed = time.perf_counter()
        time.sleep(0.5)
        reopened = time.perf_counter()
        self.nvml.nvmlInit()
        self.handle = self.nvml.nvmlDeviceGetHandleByUUID(self.uuid)
        ready = time.perf_counter()
        after = self.energy_mj()
        return {
            "first_init_ms": self.first_init_ms,
            "shutdown_ms": 1e3 * (closed - started),
            "init_ms": 1e3 * (ready - reopened),
            "counter_before_mj": before,
            "counter_after_mj": after,
            "counter_reset": None if before is None or after is None else after < before,
        }

    def ask(self, name: str, *arguments: Any) -> Any:
        """What that function of pynvml says, as a plain value; ``{"error": code}`` if it refuses."""
        try:
            answer = getattr(self.nvml, name)(*arguments)
        except AttributeError:
            return {"error": "not in this pynvml"}
        except self.nvml.NVMLError as error:
            return {"error": int(error.value)}
        return answer.decode() if isinstance(answer, bytes) else answer

    def energy_mj(self) -> int | None:
        try:
            return int(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle))
        except self.nvml.NVMLError:
            return None

    def fields(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[int, float, int, int]]:
        """Of each (field, scope): return code, value, time stamp in µs, latency in µs."""
        answers = self.nvml.nvmlDeviceGetFieldValues(self.handle, list(wanted))
        return [(int(a.nvmlReturn), number_in(a), int(a.timestamp), int(a.latencyUsec)) for a in answers]

    def samples(self, kind: int, since_us: int) -> list[tuple[int, int]]:
        """The driver's ring: time stamps in µs and milliwatts, oldest first."""
        value_type, ring = self.nvml.nvmlDeviceGetSamples(self.handle, kind, since_us)
        member = MEMBERS[value_type] if 0 <= value_type < len(MEMBERS) else "uiVal"
        return [(int(one.timeStamp), getattr(one.sampleValue, member)) for one in ring]

    def state(self) -> Json:
        """What tells later whether the card was hot or throttled."""
        return {
            "temperature_c": self.ask("nvmlDeviceGetTemperature", self.handle, 0),
            "sm_clock_mhz": self.ask("nvmlDeviceGetClockInfo", self.handle, 1),
            "event_reasons": self.ask("nvmlDeviceGetCurrentClocksEventReasons", self.handle),
        }


def number_in(answer: Any) -> float:
    kind = answer.valueType
    value: float = getattr(answer.value, MEMBERS[kind]) if 0 <= kind < len(MEMBERS) else math.nan
    return value


# --------------------------------------------------------------------------------------------------------------- load


class Burden(Protocol):
    """Something to do for the GPU that never holds up the thread that watches it."""

    kind: str

    def feed(self) -> None:
        """Keeps the device busy for a while longer; to be called over and over."""

    def drain(self) -> None:
        """Waits until the device is idle."""

    def pulse(self, seconds: float) -> None:
        """Starts a burst of about that length."""

    def busy(self) -> bool:
        """Whether anything that was asked for is not done yet."""


class CudaBurden:
    """Products of random bf16 matrices, queued ahead so that nobody has to wait for them."""

    kind = "cuda"
    AHEAD = 6  # chunks in the queue
    CHUNK_S = 0.05

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        self.size = MATRIX
        while True:
            self._make()
            self.kernel_s = self._timed(40)
            if self.kernel_s <= 0.003 or self.size <= 1024:
                break
            self.size //= 2
        self.kernel_s = self._timed(300)  # warm
        self._queue: deque[Any] = deque()

    def _make(self) -> None:
        # Random numbers: products of zeros draw less and run faster.
        shape = (self.size, self.size)
        self._a = self._torch.randn(shape, device="cuda", dtype=self._dtype)
        self._b = self._torch.randn(shape, device="cuda", dtype=self._dtype)
        self._c = self._torch.empty_like(self._a)

    def _timed(self, times: int) -> float:
        self._launch(5)
        self._torch.cuda.synchronize()
        start = self._torch.cuda.Event(enable_timing=True)
        end = self._torch.cuda.Event(enable_timing=True)
        start.record()
        self._launch(times)
        end.record()
        self._torch.cuda.synchronize()
        seconds: float = start.elapsed_time(end) / 1e3 / times
        return seconds

    def _launch(self, times: int) -> None:
        for _ in range(times):
            self._torch.matmul(self._a, self._b, out=self._c)

    def _mark(self) -> Any:
        event = self._torch.cuda.Event()
        event.record()
        return event

    def feed(self) -> None:
        while self._queue and self._queue[0].query():
            self._queue.popleft()
        while len(self._queue) < self.AHEAD:
            self._launch(max(1, round(self.CHUNK_S / self.kernel_s)))
            self._queue.append(self._mark())

    def drain(self) -> None:
        self._torch.cuda.synchronize()
        self._queue.clear()

    def pulse(self, seconds: float) -> None:
        self._launch(max(1, round(seconds / self.kernel_s)))
        self._queue.append(self._mark())

    def busy(self) -> bool:
        while self._queue and self._queue[0].query():
            self._queue.popleft()
        return bool(self._queue)


class StandIn:
    """No GPU to burden: time passes, and a little arithmetic is done."""

    kind = "stand-in"

    def __init__(self) -> None:
        self._until = 0.0

    def feed(self) -> None:
        sum(range(200))

    def drain(self) -> None:
        self._until = 0.0

    def pulse(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def busy(self) -> bool:
        return time.monotonic() < self._until


# ----------------------------------------------------------------------------------------------------------- watching


@dataclass(slots=True)
class Trace:
    """What changed while it was polled.

    ``changes`` holds for each quantity (last time with the old value, first time with the new, value); ``areas`` the
    quantity's integral with each value held until the next reading; ``marks`` both at each tick of the energy counter.
    """

    changes: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    areas: dict[str, float] = field(default_factory=dict)
    marks: list[tuple[float, int, dict[str, float]]] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)

    def take(self, name: str, start: float, end: float, value: int | None) -> None:
        if value is None:
            self.failures[name] = self.failures.get(name, 0) + 1
            return
        self.reads[name] = self.reads.get(name, 0) + 1
        if value == 0:
            self.zeros[name] = self.zeros.get(name, 0) + 1
        before = self._last.get(name)
        if before is None:
            self.changes[name] = []
            self.areas[name] = 0.0
        else:
            self.areas[name] += before[1] * (start - before[0])
            if value != before[1]:
                self.changes[name].append((before[0], end, value))
                if name == "energy":
                    self.marks.append(((before[0] + end) / 2, value, dict(self.areas)))
        self._last[name] = (start, value)

    def intervals(self, name: str) -> list[float]:
        times = [(low + high) / 2 for low, high, _ in self.changes.get(name, [])]
        return [b - a for a, b in pairwise(times)]

    def periods(self) -> Json:
        """How often each quantity changed, in ms, and in what steps."""
        found: Json = {}
        for name, changes in self.changes.items():
            values = [value for _, _, value in changes]
            steps = [abs(b - a) for a, b in pairwise(values)]
            found[name] = {
                "interval_ms": spread([1e3 * interval for interval in self.intervals(name)]),
                "bracket_ms": spread([1e3 * (high - low) for low, high, _ in changes]),
                "steps_gcd": math.gcd(*steps) if steps else None,
                "smallest_step": min(steps, default=None),
                "reads": self.reads.get(name, 0),
                "zeros": self.zeros.get(name, 0),
                "failures": self.failures.get(name, 0),
            }
        return found

    def balance(self) -> Json:
        """The counter against the integrals, from its first tick to its last."""
        if len(self.marks) < 3:
            return {"error": "the counter did not tick"}
        (first_s, first_mj, first), (last_s, last_mj, last) = self.marks[0], self.marks[-1]
        seconds = last_s - first_s
        counter_w = (last_mj - first_mj) / 1e3 / seconds
        means = {
            name: (last[name] - first.get(name, 0.0)) / 1e3 / seconds
            for name in last
            if name not in ("energy", "energy_call")
        }
        return {
            "seconds": seconds,
            "ticks": len(self.marks),
            "counter_mean_w": counter_w,
            "mean_w": means,
            "counter_over_integral": {n: counter_w / w if w else None for n, w in means.items()},
        }


Reader = Callable[[Trace], None]


def field_reader(card: Card, names: Sequence[str]) -> Reader:
    """One call for several fields of the whole GPU."""
    wanted = [(FIELDS[name], 0) for name in names]

    def read(trace: Trace) -> None:
        start = time.monotonic()
        try:
            answers = card.fields(wanted)
        except card.nvml.NVMLError:
            for name in names:
                trace.take(name, start, start, None)
            return
        end = time.monotonic()
        for name, (code, value, _, _) in zip(names, answers, strict=True):
            trace.take(name, start, end, int(value) if code == 0 and math.isfinite(value) else None)

    return read


def call_reader(card: Card, name: str, function: str) -> Reader:
    """One of NVML's older functions, which have one number each."""
    call = getattr(card.nvml, function)

    def read(trace: Trace) -> None:
        start = time.monotonic()
        try:
            value: int | None = int(call(card.handle))
        except card.nvml.NVMLError:
            value = None
        trace.take(name, start, time.monotonic(), value)

    return read


def all_readers(card: Card) -> list[Reader]:
    return [
        field_reader(card, ["energy", "instant", "averaged"]),
        call_reader(card, "energy_call", "nvmlDeviceGetTotalEnergyConsumption"),
        call_reader(card, "power_usage", "nvmlDeviceGetPowerUsage"),
    ]


def watch(
    seconds: float,
    readers: Sequence[Reader],
    *,
    burden: Burden | None = None,
    pause_s: float = 0.0,
    trace: Trace | None = None,
) -> Trace:
    """Polls at least once, for so long, as fast as it goes or with pauses; keeps the device busy meanwhile if asked to."""
    trace = trace or Trace()
    until = time.monotonic() + seconds
    while True:
        if burden is not None:
            burden.feed()
        for read in readers:
            read(trace)
        if pause_s:
            time.sleep(pause_s)
        if time.monotonic() >= until:
            return trace


# ------------------------------------------------------------------------------------------------------- the programme


@dataclass(slots=True)
class Context:
    """What the parts share."""

    out: Path
    quick: bool
    device: str
    card: Card
    burden: Burden
    scratch: Path
    torch: Any = None
    notes: list[str] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(20))

    def length(self, full: float, quick: float) -> float:
        """Seconds, or a number of times, for a whole run or a quick one."""
        return quick if self.quick else full

    def synchronise(self) -> None:
        if self.torch is not None and self.device == "cuda":
            self.torch.cuda.synchronize()

    def meter(self, name: str, **options: Any) -> Run:
        """A run of our own meter whose journal is not kept."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch)) / "run"
        options.setdefault("sensors", ["nvml"])
        return measure("other", output_dir=folder, report=None, **options)


def identity(context: Context) -> Json:
    card, handle = context.card, context.card.handle
    names: dict[str, tuple[Any, ...]] = {
        "name": ("nvmlDeviceGetName", handle),
        "driver": ("nvmlSystemGetDriverVersion",),
        "nvml": ("nvmlSystemGetNVMLVersion",),
        "cuda_driver": ("nvmlSystemGetCudaDriverVersion",),
        "gpus": ("nvmlDeviceGetCount",),
        "architecture": ("nvmlDeviceGetArchitecture", handle),
        "compute_capability": ("nvmlDeviceGetCudaComputeCapability", handle),
        "power_limit_mw": ("nvmlDeviceGetPowerManagementLimit", handle),
        "power_limit_enforced_mw": ("nvmlDeviceGetEnforcedPowerLimit", handle),
        "power_limit_default_mw": ("nvmlDeviceGetPowerManagementDefaultLimit", handle),
        "power_limit_range_mw": ("nvmlDeviceGetPowerManagementLimitConstraints", handle),
        "persistence_mode": ("nvmlDeviceGetPersistenceMode", handle),
        "ecc_mode": ("nvmlDeviceGetEccMode", handle),
        "mig_mode": ("nvmlDeviceGetMigMode", handle),
        "compute_mode": ("nvmlDeviceGetComputeMode", handle),
        "virtualisation": ("nvmlDeviceGetVirtualizationMode", handle),
        "performance_state": ("nvmlDeviceGetPerformanceState", handle),
        "temperature_c": ("nvmlDeviceGetTemperature", handle, 0),
        "event_reasons": ("nvmlDeviceGetCurrentClocksEventReasons", handle),
    }
    found: Json = {key: card.ask(*call) for key, call in names.items()}
    for key, number in {"graphics": 0, "sm": 1, "memory": 2}.items():
        found[f"{key}_clock_mhz"] = card.ask("nvmlDeviceGetClockInfo", handle, number)
        found[f"{key}_clock_max_mhz"] = card.ask("nvmlDeviceGetMaxClockInfo", handle, number)
    memory = card.ask("nvmlDeviceGetMemoryInfo", handle)
    found["memory_bytes"] = memory if isinstance(memory, dict) else int(memory.total)
    detection = nvml.detect()
    found["our_channels"] = [
        {"id": channel.id, "method": channel.method, "period_s": channel.period_s}
        for sensor in detection.sensors
        for channel in sensor.channels
    ]
    found["our_findings"] = [finding.code for finding in detection.findings]
    for sensor in detection.sensors:
        found["our_first_reading"] = {
            key: value if isinstance(value, float) else str(value) for key, value in sensor.read().items()
        }
        sensor.close()
    return found


def reopening(context: Context) -> Json:
    return context.card.again()


def scopes(context: Context) -> Json:
    """Every field at every scope, asked one by one and twice, a second apart."""
    card = context.card
    found: Json = {}
    for attempt in range(2):
        for name, number in FIELDS.items():
            for scope, scope_id in SCOPES.items():
                entry = found.setdefault(f"{number}/{scope_id}", {"field": name, "scope": scope})
                try:
                    code, value, stamp, latency = card.fields([(number, scope_id)])[0]
                    entry["return"] = code
                    if code == 0:
                        entry.setdefault("values", []).append(value)
                        entry["timestamp_us"], entry["latency_us"] = stamp, latency
                except card.nvml.NVMLError as error:
                    entry["call"] = int(error.value)
        if attempt == 0:
            time.sleep(context.length(1.0, 0.15))
    for entry in found.values():
        # An absolute time says nothing later; whether there was one does.
        entry["timestamp_us"] = bool(entry.get("timestamp_us"))
        if len(entry.get("values", ())) == 2 and "energy" in entry["field"]:
            entry["advanced_mj"] = entry["values"][1] - entry["values"][0]
    return found


def costs(context: Context, burden: Burden | None = None) -> Json:
    card, handle, library = context.card, context.card.handle, context.card.nvml
    detection = nvml.detect()
    sensor = detection.sensors[0]
    newest = [0]

    def new_samples() -> None:
        ring = card.samples(TOTAL_POWER_SAMPLES, newest[0])
        if ring:
            newest[0] = ring[-1][0]

    calls: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "total_energy": lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle),
        "power_usage": lambda: library.nvmlDeviceGetPowerUsage(handle),
        "field_83": lambda: library.nvmlDeviceGetFieldValues(handle, [(83, 0)]),
        "field_186": lambda: library.nvmlDeviceGetFieldValues(handle, [(186, 0)]),
        "fields_83_186": lambda: library.nvmlDeviceGetFieldValues(handle, [(83, 0), (186, 0)]),
        "fields_83_185_186": lambda: library.nvmlDeviceGetFieldValues(handle, [(83, 0), (185, 0), (186, 0)]),
        "sensor_read": sensor.read,
        "samples_whole_ring": lambda: library.nvmlDeviceGetSamples(handle, TOTAL_POWER_SAMPLES, 0),
        "samples_new": new_samples,
        "utilisation": lambda: library.nvmlDeviceGetUtilizationRates(handle),
        "temperature": lambda: library.nvmlDeviceGetTemperature(handle, 0),
        "sm_clock": lambda: library.nvmlDeviceGetClockInfo(handle, 1),
        "event_reasons": lambda: library.nvmlDeviceGetCurrentClocksEventReasons(handle),
    }
    longest = context.length(0.35, 0.02)
    try:
        found = {
            name: timed(call, most=500, longest_s=longest, burden=burden) for name, call in calls.items()
        }
        # As the sampler does it: now and then, so that nothing is warm.
        for name in ("total_energy", "fields_83_186", "sensor_read"):
            found[f"{name}_every_5_ms"] = timed(
                calls[name], most=60, longest_s=longest, burden=burden, pause_s=0.005
            )
        # Known to take milliseconds and to hold the driver's lock: three times, no more.
        found["process_list"] = timed(
            lambda: library.nvmlDeviceGetComputeRunningProcesses(handle),
            most=3,
            longest_s=1.0,
            burden=burden,
        )
    finally:
        for one in detection.sensors:
            one.close()
    return found


def timed(
    call: Callable[[], object],
    *,
    most: int,
    longest_s: float,
    burden: Burden | None = None,
    pause_s: float = 0.0,
) -> Json:
    """What a call costs in µs; its failures are counted, and their cost too."""
    taken: list[float] = []
    failures = 0
    until = time.monotonic() + longest_s
    while len(taken) < most and (len(taken) < 3 or time.monotonic() < until):
        if burden is not None:
            burden.feed()
        if pause_s:
            time.sleep(pause_s)
        start = time.perf_counter_ns()
        try:
            call()
        except Exception:  # a call that is refused has a cost as well
            failures += 1
        taken.append((time.perf_counter_ns() - start) / 1e3)
    return {"us": spread(taken), "failures": failures}


def periods(context: Context, burden: Burden | None = None) -> Json:
    if burden is not None:
        watch(context.length(1.0, 0.05), [], burden=burden, pause_s=0.001)
    trace = watch(context.length(5.0, 0.6), all_readers(context.card), burden=burden)
    found = trace.periods()
    # Do the function and the field tick together?
    found["same_counter"] = {
        "field_ticks": len(trace.changes.get("energy", [])),
        "call_ticks": len(trace.changes.get("energy_call", [])),
    }
    found["raw_ticks"] = [
        [round(low - trace.marks[0][0], 5), round(high - trace.marks[0][0], 5), value]
        for low, high, value in trace.changes.get("energy", [])[:80]
        if trace.marks
    ]
    return found


def field_timestamps(context: Context) -> Json:
    """Is a field's time stamp that of the query or of the sensor?"""
    card = context.card
    names = ["energy", "instant", "averaged"]
    seen: dict[str, list[tuple[int, int, int, int, float]]] = {name: [] for name in names}
    refused: dict[str, int] = {}
    until = time.monotonic() + context.length(2.5, 0.4)
    while time.monotonic() < until:
        before = time.time_ns() // 1000
        answers = card.fields([(FIELDS[name], 0) for name in names])
        after = time.time_ns() // 1000
        for name, (code, value, stamp, latency) in zip(names, answers, strict=True):
            if code == 0:
                seen[name].append((before, after, stamp, latency, value))
            else:
                refused[name] = code
        time.sleep(0.001)
    found: Json = {"refused": refused}
    for name, rows in seen.items():
        if not rows:
            continue
        stamps = [row[2] for row in rows]
        values = [row[4] for row in rows]
        inside = sum(before - 1000 <= stamp <= after + 1000 for before, after, stamp, _, _ in rows)
        moved_alone = sum(
            a != b and p == q for (a, b), (p, q) in zip(pairwise(stamps), pairwise(values), strict=True)
        )
        distinct = len(set(stamps))
        if inside >= 0.95 * len(rows) and distinct > 0.9 * len(rows):
            meaning = "query"
        elif distinct < len(rows) / 2 and moved_alone < 0.2 * distinct + 1:
            meaning = "sensor"
        else:
            meaning = "unclear"
        found[name] = {
            "reads": len(rows),
            "distinct_timestamps": distinct,
            "distinct_values": len(set(values)),
            "moved_without_value": moved_alone,
            "behind_query_us": spread([float(before - stamp) for before, _, stamp, _, _ in rows]),
            "latency_us": spread([float(row[3]) for row in rows]),
            "timestamp_interval_ms": spread([(b - a) / 1e3 for a, b in pairwise(stamps) if b != a]),
            "meaning": meaning,
        }
    return found


def ring(context: Context, burden: Burden | None = None) -> Json:
    """The driver's ring of power samples: does it live, how long is it, and does it agree?"""
    card = context.card
    found: Json = {}
    for label, kind in (("total", TOTAL_POWER_SAMPLES), ("module", MODULE_POWER_SAMPLES)):
        try:
            first = card.samples(kind, 0)
        except card.nvml.NVMLError as error:
            found[label] = {"error": int(error.value)}
            continue
        asked_us = time.time_ns() / 1e3
        entry: Json = {"length": len(first)}
        if first:
            entry |= {
                "span_s": (first[-1][0] - first[0][0]) / 1e6,
                "spacing_ms": spread([(b[0] - a[0]) / 1e3 for a, b in pairwise(first)]),
                "newest_behind_s": (asked_us - first[-1][0]) / 1e6,
                "w": spread([value / 1e3 for _, value in first]),
                "zeros": sum(value == 0 for _, value in first),
            }
        newest = first[-1][0] if first else 0
        fresh: list[tuple[int, int]] = []
        arrivals: list[int] = []
        behind: list[float] = []
        trace = Trace()
        readers = [field_reader(card, ["energy", "instant", "averaged"])]
        for _ in range(int(context.length(12, 3))):
            watch(0.25 if not context.quick else 0.12, readers, burden=burden, pause_s=0.002, trace=trace)
            try:
                new = [one for one in card.samples(kind, newest) if one[0] > newest]
            except card.nvml.NVMLError as error:
                # "Not found" (6) is how some drivers say that there is nothing new.
                entry.setdefault("later_errors", []).append(int(error.value))
                arrivals.append(0)
                continue
            arrivals.append(len(new))
            if new:
                behind.append((time.time_ns() / 1e3 - new[-1][0]) / 1e6)
                newest = new[-1][0]
                fresh += new
        entry |= {
            "live": sum(arrivals) > 0,
            "new_per_poll": arrivals,
            "newest_behind_later_s": spread(behind),
            "new_spacing_ms": spread([(b[0] - a[0]) / 1e3 for a, b in pairwise(fresh)]),
            "new_mean_w": statistics.fmean(value / 1e3 for _, value in fresh) if fresh else None,
            "polled": trace.balance(),
        }
        found[label] = entry
    return found


def integral(context: Context, burden: Burden | None = None) -> Json:
    seconds = context.length(20.0 if burden is None else 30.0, 0.5)
    if burden is not None:
        watch(context.length(2.0, 0.05), [], burden=burden, pause_s=0.001)
    trace = watch(seconds, all_readers(context.card), burden=burden, pause_s=0.002)
    return {"balance": trace.balance(), "periods": trace.periods()}


# -------------------------------------------------------------------------------------------- does the counter see all?

WIDTHS_S = (
    *(0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.09),
    *(0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0),
)
DELAYS_S = tuple(step * 0.005 for step in range(25))


class Schedule:
    """When the load was on."""

    def __init__(self, on: Sequence[tuple[float, float]]) -> None:
        self.on = list(on)
        self._starts = [start for start, _ in on]
        self._before = [0.0]
        for start, end in on:
            self._before.append(self._before[-1] + end - start)

    def on_s(self, until: float) -> float:
        """Seconds that it had been on by then."""
        index = bisect_right(self._starts, until)
        if index == 0:
            return 0.0
        start, end = self.on[index - 1]
        return self._before[index - 1] + min(until, end) - start

    def share(self, start: float, end: float) -> float:
        return (self.on_s(end) - self.on_s(start)) / (end - start) if end > start else 0.0


def line_through(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Offset, slope and R² of the straight line through the points."""
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    xx = sum((x - mean_x) ** 2 for x in xs)
    yy = sum((y - mean_y) ** 2 for y in ys)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    if xx <= 0 or yy <= 0:
        return mean_y, 0.0, 0.0
    return mean_y - xy / xx * mean_x, xy / xx, xy * xy / (xx * yy)


@dataclass(frozen=True, slots=True)
class Seen:
    """One number of the sensor: when it appeared, when the one before did, and the power it tells."""

    since_s: float
    time_s: float
    watts: float


def increments(changes: Sequence[tuple[float, float, int]]) -> list[Seen]:
    """A counter's ticks as mean power since the tick before."""
    ticks = [((low + high) / 2, value) for low, high, value in changes]
    return [
        Seen(since_s=a[0], time_s=b[0], watts=(b[1] - a[1]) / 1e3 / (b[0] - a[0]))
        for a, b in pairwise(ticks)
        if b[0] > a[0] and b[1] > a[1]
    ]


def refreshes(changes: Sequence[tuple[float, float, int]]) -> list[Seen]:
    """A power register's new values."""
    times = [((low + high) / 2, value) for low, high, value in changes]
    return [Seen(since_s=a[0], time_s=b[0], watts=b[1] / 1e3) for a, b in pairwise(times)]


def window_seen(numbers: Sequence[Seen], schedule: Schedule) -> Json:
    """Over which stretch of time the sensor's numbers follow the load best: how long, and how long ago it ended.

    For each width the best delay is taken; a number is taken to be ``offset + slope × share of that stretch that the load was
    on``. ``interval`` is the same with the time since the number before as the stretch, which is what a counter that misses
    nothing follows. A fit by which an idle GPU would draw nothing, or the load less than nothing, is none. Loads of
    several periods are needed: with one, a wrong stretch can fit as well as the right one.
    """
    if len(numbers) < 20:
        return {"error": f"only {len(numbers)} numbers were seen"}
    watts = [seen.watts for seen in numbers]

    def fit(width_s: float | None, delay_s: float) -> Json:
        shares = [
            schedule.share(
                (seen.since_s if width_s is None else seen.time_s - width_s) - delay_s,
                seen.time_s - delay_s,
            )
            for seen in numbers
        ]
        offset, slope, r2 = line_through(shares, watts)
        return {
            "delay_s": delay_s,
            "r2": r2 if slope > 0 and offset > 0 else 0.0,
            "off_w": offset,
            "on_w": offset + slope,
        }

    def best(width_s: float | None) -> Json:
        return max((fit(width_s, delay) for delay in DELAYS_S), key=lambda one: float(one["r2"]))

    by_width = {f"{1e3 * width:g} ms": best(width) for width in WIDTHS_S}
    name = max(by_width, key=lambda key: float(by_width[key]["r2"]))
    whole = best(None)
    interval_s = statistics.median(seen.time_s - seen.since_s for seen in numbers)
    width_s = float(name.split()[0]) / 1e3
    if whole["r2"] < 0.5 and by_width[name]["r2"] < 0.5:
        verdict = "unclear: the numbers do not follow the load"
    elif whole["r2"] >= by_width[name]["r2"] - 0.02:
        verdict = "full-time"
    elif width_s < 0.7 * interval_s and by_width[name]["r2"] > whole["r2"] + 0.05:
        verdict = "part-time"
    else:
        verdict = "unclear"
    return {
        "n": len(numbers),
        "interval_s": interval_s,
        "verdict": verdict,
        "interval": whole,
        "best_width": name,
        "best": by_width[name],
        "r2_by_width": {key: one["r2"] for key, one in by_width.items()},
    }


def wave(context: Context, period_s: float, block_s: float) -> tuple[Json, Trace, Schedule]:
    """Load on for half of each period, in four blocks that start a quarter of a period apart."""
    burden = context.burden
    read = field_reader(context.card, ["energy", "instant"])
    trace = Trace()
    on: list[tuple[float, float]] = []
    blocks: list[tuple[float, float]] = []
    burden.drain()
    grid = time.monotonic() + 0.02
    for quarter in range(4):
        shift = quarter * period_s / 4
        due = grid + shift + math.ceil((time.monotonic() + 0.01 - grid - shift) / period_s) * period_s
        start, until = due, due + block_s
        began: float | None = None
        while (now := time.monotonic()) < until or began is not None:
            if began is not None and not burden.busy():
                on.append((began, time.monotonic()))
                began = None
            if began is None and now >= due and now < until:
                began = time.monotonic()
                burden.pulse(period_s / 2)
                due += period_s * max(1, math.ceil((now - due) / period_s))
            read(trace)
            if due - time.monotonic() > 0.001:
                time.sleep(0.0003)
        blocks.append((start, time.monotonic()))
    schedule = Schedule(on)
    lengths = [end - start for start, end in on]
    zero = grid
    entry: Json = {
        "period_s": period_s,
        "on_s": spread(lengths),
        "started_every_s": spread([b[0] - a[0] for a, b in pairwise(on)]),
        "balance": trace.balance(),
        "blocks": [],
        "raw": {
            "on": [[round(start - zero, 4), round(end - zero, 4)] for start, end in on],
            **{
                name: [
                    [round(low - zero, 4), round(high - zero, 4), value] for low, high, value in changes[:800]
                ]
                for name, changes in trace.changes.items()
            },
        },
    }
    for start, end in blocks:
        ticks = [
            ((low + high) / 2, value)
            for low, high, value in trace.changes.get("energy", [])
            if start <= (low + high) / 2 <= end
        ]
        instants = [
            value / 1e3
            for low, high, value in trace.changes.get("instant", [])
            if start <= (low + high) / 2 <= end
        ]
        block: Json = {
            "ticks": len(ticks),
            "instant_mean_w": statistics.fmean(instants) if instants else None,
        }
        if len(ticks) >= 3:
            (first_s, first_mj), (last_s, last_mj) = ticks[0], ticks[-1]
            block |= {
                "mean_w": (last_mj - first_mj) / 1e3 / (last_s - first_s),
                "on_share": schedule.share(first_s, last_s),
            }
        entry["blocks"].append(block)
    return entry, trace, schedule


def square_waves(context: Context) -> Json:
    entries: Json = {}
    counter: list[Seen] = []
    instant: list[Seen] = []
    on: list[tuple[float, float]] = []
    for period_ms in (100, 103, 50, 150, 370) if not context.quick else (100, 103):
        entry, trace, schedule = wave(context, period_ms / 1e3, context.length(2.0, 0.26))
        entries[f"{period_ms} ms"] = entry
        counter += increments(trace.changes.get("energy", []))
        instant += refreshes(trace.changes.get("instant", []))
        on += schedule.on
    context.burden.drain()
    found: Json = {
        "waves": entries,
        "counter": window_seen(counter, Schedule(on)),
        "instant": window_seen(instant, Schedule(on)),
    }
    best = found["counter"].get("best")
    for entry in entries.values():
        blocks = [block for block in entry["blocks"] if "mean_w" in block]
        means = [block["mean_w"] for block in blocks]
        if len(means) < 2:
            continue
        entry["spread_percent"] = 100 * (max(means) - min(means)) / statistics.fmean(means)
        if best and best["r2"] > 0.5:
            # What a counter that misses nothing would have said of the same seconds.
            for block in blocks:
                block["expected_w"] = best["off_w"] + block["on_share"] * (best["on_w"] - best["off_w"])
            wanted = [block["expected_w"] for block in blocks]
            entry["expected_spread_percent"] = 100 * (max(wanted) - min(wanted)) / statistics.fmean(wanted)
            entry["worst_block_error_percent"] = max(
                100 * abs(block["mean_w"] / block["expected_w"] - 1) for block in blocks
            )
    return found


def step_response(context: Context) -> Json:
    """From idle to full load and back, read every 2 ms."""
    readers = [
        field_reader(context.card, ["energy", "instant", "averaged"]),
        call_reader(context.card, "power_usage", "nvmlDeviceGetPowerUsage"),
    ]
    rises: dict[str, list[Json]] = {}
    falls: dict[str, list[Json]] = {}
    raw: Json = {}
    context.burden.drain()
    for repeat in range(int(context.length(3, 1))):
        trace = Trace()
        watch(context.length(1.5, 0.4), readers, pause_s=0.002, trace=trace)
        on = time.monotonic()
        watch(context.length(2.2, 0.4), readers, burden=context.burden, pause_s=0.002, trace=trace)
        # What is queued still runs: the load ends when it is done.
        while context.burden.busy():
            watch(0.0, readers, pause_s=0.002, trace=trace)
        off = time.monotonic()
        watch(context.length(1.5, 0.4), readers, pause_s=0.002, trace=trace)
        for name in ("energy", "instant", "averaged", "power_usage"):
            changes = trace.changes.get(name, [])
            seen = increments(changes) if name == "energy" else refreshes(changes)
            rises.setdefault(name, []).append(edge_of(seen, on, off, rising=True))
            falls.setdefault(name, []).append(edge_of(seen, off, math.inf, rising=False))
            if repeat == 0:
                raw[name] = [[round(one.time_s - on, 4), one.watts] for one in seen[:400]]
        raw.setdefault("off_s", off - on)
    return {"rise": rises, "fall": falls, "raw": raw}


def edge_of(seen: Sequence[Seen], edge_s: float, until_s: float, *, rising: bool) -> Json:
    """When after an edge a tenth and nine tenths of the change were shown."""
    before = [one.watts for one in seen if edge_s - 0.8 < one.time_s <= edge_s]
    after = [one for one in seen if edge_s < one.time_s < until_s]
    settled = [one.watts for one in after[-max(1, len(after) // 4) :]]
    if not before or not settled:
        return {"error": "too few numbers around the edge"}
    low, high = statistics.median(before), statistics.median(settled)
    if (high - low if rising else low - high) < 20:
        return {"error": "the power did not change", "from_w": low, "to_w": high}

    def reached(share: float) -> float | None:
        bound = low + share * (high - low)
        return next(
            (one.time_s - edge_s for one in after if (one.watts >= bound if rising else one.watts <= bound)),
            None,
        )

    tenth, nine_tenths = reached(0.1), reached(0.9)
    return {
        "from_w": low,
        "to_w": high,
        "after_10_percent_s": tenth,
        "after_90_percent_s": nine_tenths,
        "rise_s": None if tenth is None or nine_tenths is None else nine_tenths - tenth,
    }


# ------------------------------------------------------------------------------------------------------ our own meter


def lines_of(path: Path) -> Iterator[Json]:
    """The entries of a journal, up to its end or to its first damage."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield decoded(line, place=f"line {number}")
            except energy_rating.BadInput:
                return


def ticks_in(path: Path) -> tuple[list[tuple[float, float, float]], list[tuple[float, float]]]:
    """The first GPU counter's ticks in a journal, (earliest, latest, joules), and its readings, (start, span)."""
    channel = next(
        (
            item["id"]
            for entry in lines_of(path)
            if "channels" in entry
            for item in entry["channels"]
            if item["component"] == "gpu" and item["method"] == "counter"
        ),
        None,
    )
    ticks: list[tuple[float, float, float]] = []
    readings: list[tuple[float, float]] = []
    before: tuple[float, float] | None = None
    unpacker = Unpacker()
    for entry in (reading for line in lines_of(path) for reading in unpacker.of_entry(line)):
        if channel not in entry["r"]:
            continue
        start, span, value = entry["t"], entry["dt"], entry["r"][channel]
        readings.append((start, span))
        if before is not None and value != before[1]:
            ticks.append((before[0], start + span, value))
        before = (start, value)
    return ticks, readings


def brackets(path: Path, from_s: float) -> Json:
    """How closely our sampler knew the counter's ticks after it had learned them."""
    ticks, readings = ticks_in(path)
    later = [tick for tick in ticks if tick[0] >= from_s]
    widths = [1e3 * (high - low) for low, high, _ in later]
    times = [(low + high) / 2 for low, high, _ in later]
    rested = [one for one in readings if one[0] >= from_s]
    seconds = rested[-1][0] - rested[0][0] if len(rested) > 1 else 0.0
    return {
        "ticks": len(later),
        "bracket_ms": spread(widths),
        "share_below_10_ms": sum(width < 10 for width in widths) / len(widths) if widths else None,
        "interval_ms": spread([1e3 * (b - a) for a, b in pairwise(times)]),
        "readings_a_second": (len(rested) - 1) / seconds if seconds > 0 else None,
        "reading_us": spread([1e6 * span for _, span in rested]),
        "findings": findings_in(path),
    }


def findings_in(path: Path) -> list[str]:
    return [entry["finding"]["code"] for entry in lines_of(path) if "finding" in entry]


def journal_of(run: Run) -> Path:
    """Its journal; raises where the meter could not even begin."""
    if run.journal is None:
        raise RuntimeError("the meter did not start")
    return run.journal


def sampler_ticks(context: Context) -> Json:
    seconds = context.length(10.0, 1.6)
    found: Json = {}
    for name in ("main thread asleep", "main thread in Python", "main thread feeds the GPU")[
        : 1 if context.quick else 3
    ]:
        with context.meter("ticks") as run:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if name == "main thread asleep":
                    time.sleep(0.05)
                elif name == "main thread in Python":
                    sum(i * i for i in range(1000))
                else:
                    context.burden.feed()
                    time.sleep(0.001)
        context.burden.drain()
        found[name] = brackets(journal_of(run), context.length(2.0, 1.0))
    return found


def edges(context: Context) -> Json:
    starts: list[float] = []
    stops: list[float] = []
    entered: list[float] = []
    left: list[float] = []
    tight: list[float] = []
    for repeat in range(int(context.length(5, 2))):
        run = context.meter("edges")
        began = time.perf_counter()
        run.start()
        starts.append(1e3 * (time.perf_counter() - began))
        journal_of(run)
        if repeat == 0:
            time.sleep(context.length(1.5, 0.0))
            for pause_s, number in (
                (0.001, int(context.length(600, 50))),
                (0.0, int(context.length(2000, 100))),
            ):
                for _ in range(number):
                    window = run.window("edge")
                    t0 = time.perf_counter_ns()
                    with window:
                        t1 = time.perf_counter_ns()
                        if pause_s:
                            time.sleep(pause_s)
                        t2 = time.perf_counter_ns()
                    t3 = time.perf_counter_ns()
                    if pause_s:
                        entered.append((t1 - t0) / 1e3)
                        left.append((t3 - t2) / 1e3)
                    else:
                        tight += [(t1 - t0) / 1e3, (t3 - t2) / 1e3]
        began = time.perf_counter()
        run.stop()
        stops.append(1e3 * (time.perf_counter() - began))
    return {
        "enter_us": spread(entered),
        "leave_us": spread(left),
        "back_to_back_us": spread(tight),
        "start_ms": starts,
        "stop_ms": stops,
    }


class Plain:
    """The GPU's sensor with a counter of known period, which the sampler polls plainly instead of following its ticks."""

    def __init__(self) -> None:
        self._sensor, *others = nvml.detect().sensors
        for other in others:
            other.close()

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(replace(channel, period_s=0.1) for channel in self._sensor.channels)

    def read(self) -> Reading:
        return self._sensor.read()

    def close(self) -> None:
        self._sensor.close()


def small_training(context: Context) -> Callable[[], None]:
    """One step of a training of many small kernels, which is bound by Python."""
    torch = context.torch
    if torch is None:

        def arithmetic() -> None:
            sum(i * i for i in range(2000))

        return arithmetic
    device = context.device
    layers: list[Any] = []
    for _ in range(8):
        layers += [torch.nn.Linear(64, 64), torch.nn.LayerNorm(64), torch.nn.GELU()]
    network = torch.nn.Sequential(*layers).to(device)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    data = torch.randn(32, 64, device=device)

    def step() -> None:
        optimiser.zero_grad()
        network(data).square().mean().backward()
        optimiser.step()

    return step


def slow_down(context: Context) -> Json:
    """Blocks of the same small training, with the sampler at work in different ways, in random order within each round."""
    step = small_training(context)
    block_s = context.length(0.6, 0.08)

    def block(seconds: float) -> float:
        context.synchronise()
        start, steps = time.monotonic(), 0
        while time.monotonic() < start + seconds:
            step()
            steps += 1
        context.synchronise()
        return (time.monotonic() - start) / steps

    conditions: dict[str, Callable[[], Run | None]] = {
        "none": lambda: None,
        "none again": lambda: None,
        "every 1 s": lambda: context.meter("slow", sensors=[Plain()], period_s=1.0),
        "every 0.1 s": lambda: context.meter("slow", sensors=[Plain()], period_s=0.1),
        "every 0.02 s": lambda: context.meter("slow", sensors=[Plain()], period_s=0.02),
        "following ticks": lambda: context.meter("slow"),
    }
    block(context.length(2.0, 0.05))  # clocks and caches
    rounds: list[dict[str, float]] = []
    followed: Json | None = None
    until = time.monotonic() + context.length(46.0, 0.1)
    while not rounds or time.monotonic() < until:
        taken: dict[str, float] = {}
        order = list(conditions)
        context.random.shuffle(order)
        for name in order:
            run = conditions[name]()
            if run is None:
                block(block_s / 5)
                taken[name] = block(block_s)
                continue
            with run:
                # Following begins after the ticks were learned.
                settle = 1.6 if name == "following ticks" and not context.quick else block_s / 5
                block(settle)
                taken[name] = block(block_s)
            if name == "following ticks":
                followed = brackets(journal_of(run), settle)
        rounds.append(taken)
    ratios = {
        name: [
            100 * (taken[name] / statistics.fmean((taken["none"], taken["none again"])) - 1)
            for taken in rounds
        ]
        for name in conditions
        if not name.startswith("none")
    }
    ratios["none again against none"] = [100 * (taken["none again"] / taken["none"] - 1) for taken in rounds]
    return {
        "step_us": spread([1e6 * taken["none"] for taken in rounds]),
        "slow_down_percent": {
            name: mean_and_error(values) | {"median": statistics.median(values), "values": values}
            for name, values in ratios.items()
        },
        "block_s": block_s,
        "followed_in_last_round": followed,
    }


def forked(context: Context) -> Json:
    """What a forked child can still read. The child never shuts NVML down: the handles are its parent's too."""
    card = context.card
    detection = nvml.detect()
    sensor = detection.sensors[0]

    def attempt(call: Callable[[], object]) -> Json:
        start = time.perf_counter()
        try:
            call()
        except Exception as error:
            return error_of(error) | {"ms": 1e3 * (time.perf_counter() - start)}
        return {"works": True, "ms": 1e3 * (time.perf_counter() - start)}

    def child() -> Json:
        library = card.nvml

        def fresh_handle() -> object:
            return library.nvmlDeviceGetTotalEnergyConsumption(library.nvmlDeviceGetHandleByUUID(card.uuid))

        return {
            "handle_of_the_parent": attempt(lambda: library.nvmlDeviceGetTotalEnergyConsumption(card.handle)),
            "our_sensor_of_the_parent": attempt(sensor.read),
            "init_again": attempt(library.nvmlInit),
            "new_handle": attempt(fresh_handle),
            "second_read": attempt(fresh_handle),
            "our_detection": attempt(nvml.detect),
        }

    sys.stdout.flush()
    sys.stderr.flush()
    inlet, outlet = os.pipe()
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = os.fork()
    if process == 0:
        try:
            answer = json.dumps(tidied(child()))
        except BaseException as error:
            answer = json.dumps(error_of(error))
        os.write(outlet, answer.encode())
        os._exit(0)
    os.close(outlet)
    ready, _, _ = select.select([inlet], [], [], 15.0)
    text = os.read(inlet, 1 << 16).decode() if ready else ""
    os.close(inlet)
    if not ready:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    parent = attempt(sensor.read)
    for one in detection.sensors:
        one.close()
    return {
        "child": json.loads(text) if text else {"error": "the child gave no answer within 15 s"},
        "fork_to_answer_ms": 1e3 * (time.perf_counter() - began),
        "parent_afterwards": parent,
        "cuda_in_use": context.burden.kind == "cuda",
    }


# ---------------------------------------------------------------------------------------------------------- workloads

Step = Callable[[], Mapping[str, int]]


def workload(
    context: Context,
    name: str,
    *,
    prepare: Callable[[], Step],
    repeats: int,
    repeat_s: float,
    warm_s: float,
    stage: str = "other",
    model: Model | None = None,
    task: Task | None = None,
    load: Load | None = None,
) -> Json:
    """One journal of an honest workload: load, idle, warm-up, repeats, idle. Kept as ``journals/NAME.jsonl.gz``."""
    folder = context.out / "journals" / name
    said: list[str] = []
    steps: list[float] = []
    # Each stays in the record only if it is whole: idle windows count from 10 s on.
    idle_s, idle_after_s = context.length(12.5, 0.3), context.length(10.5, 0.3)

    def go_on(run: Run, window: str, seconds: float, step: Step) -> None:
        with run.window(window, sync=True):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                start = time.monotonic()
                done = step()
                steps.append(time.monotonic() - start)
                run.count(**done)

    run = measure(
        stage,
        model=model,
        task=task,
        load=load,
        output_dir=folder,
        sensors=["nvml", "rapl"],
        report=said.append,
    )
    try:
        with run:
            path = journal_of(run)
            with run.window("load", sync=True):
                step = prepare()
            with run.window("idle-before"):
                time.sleep(idle_s)
            go_on(run, "warm-up", warm_s, step)
            steps.clear()
            for _ in range(repeats):
                go_on(run, "measured", repeat_s, step)
            with run.window("idle-after"):
                time.sleep(idle_after_s)
    finally:
        kept = packed(run)
    del step
    gc.collect()
    if context.torch is not None and context.device == "cuda":
        context.torch.cuda.empty_cache()
    return {
        "journal": kept.name if kept is not None else path.name,
        "bytes": kept.stat().st_size if kept is not None else None,
        "step_ms": spread([1e3 * seconds for seconds in steps]),
        "windows": windows_in(kept) if kept is not None else [],
        "findings": findings_in(kept) if kept is not None else [],
        "said": [scrubbed(line.rpartition(" · ")[0] or line) for line in said],
    }


def packed(run: Run) -> Path | None:
    """The run's journal as one compressed file beside its folder, which goes. The same journal gives the same bytes."""
    if run.folder is None or run.journal is None:
        return None
    target = run.folder.with_name(f"{run.folder.name}.jsonl.gz")
    with target.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as out:
        out.write(run.journal.read_bytes())
    shutil.rmtree(run.folder)
    return target


def windows_in(path: Path) -> list[Json]:
    """Every window's energy by the first GPU counter, read off between its ticks: a first look; the record knows better."""
    ticks, _ = ticks_in(path)
    times = [(low + high) / 2 for low, high, _ in ticks]

    def energy_at(time_s: float) -> float | None:
        index = bisect_right(times, time_s)
        if index == 0 or index == len(times):
            return None
        a, b = ticks[index - 1][2], ticks[index][2]
        return a + (b - a) * (time_s - times[index - 1]) / (times[index] - times[index - 1])

    opened: dict[int, Json] = {}
    found: list[Json] = []
    for entry in lines_of(path):
        if "open" in entry:
            opened[entry["open"]] = {"name": entry["name"], "start_s": entry["t"]}
        elif "close" in entry:
            window = opened.pop(entry["close"])
            start, end = energy_at(window["start_s"]), energy_at(entry["t"])
            seconds = entry["t"] - window["start_s"]
            window |= {"seconds": seconds, "work": entry["work"]}
            if start is not None and end is not None and seconds > 0:
                window |= {"joules": end - start, "mean_w": (end - start) / seconds}
            found.append(window)
    return found


def with_torch(context: Context) -> Any:
    if context.torch is None:
        raise Skipped("torch is not used here")
    return context.torch


class Skipped(Exception):
    """The part has nothing to do here; the message says why."""


def matrix_product(context: Context) -> Json:
    torch = with_torch(context)
    size = MATRIX if context.device == "cuda" else 256
    batch = 32 if context.device == "cuda" else 4

    def prepare() -> Step:
        dtype = torch.bfloat16
        a, b = (torch.randn((size, size), device=context.device, dtype=dtype) for _ in range(2))
        c = torch.empty_like(a)

        def step() -> Mapping[str, int]:
            for _ in range(batch):
                torch.matmul(a, b, out=c)
            context.synchronise()
            return {"flop": batch * 2 * size**3, "matmul": batch}

        return step

    found = workload(
        context,
        "matmul",
        prepare=prepare,
        repeats=int(context.length(6, 3)),
        repeat_s=context.length(5.0, 0.2),
        warm_s=context.length(4.0, 0.1),
        load=Load(items=None, batch_size=batch, seed=0),
    )
    measured = [one for one in found["windows"] if one["name"] == "measured" and "joules" in one]
    per_flop = [1e12 * one["joules"] / one["work"]["flop"] for one in measured if one["work"].get("flop")]
    mean = statistics.fmean(per_flop) if per_flop else None
    found["repeatability"] = {
        "pj_per_flop": per_flop,
        "tflop_s": [one["work"]["flop"] / one["seconds"] / 1e12 for one in measured],
        "mean_w": [one["mean_w"] for one in measured],
        "standard_deviation_percent": 100 * statistics.stdev(per_flop) / mean
        if mean and len(per_flop) > 1
        else None,
    }
    return found


def memory_copy(context: Context) -> Json:
    torch = with_torch(context)
    size = 16 << 20
    batch = 4
    if context.device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        size, batch = min(1 << 30, int(free) // 8 >> 20 << 20), 64

    def prepare() -> Step:
        # Random bytes: what is copied decides how many wires toggle.
        source = torch.randint(0, 256, (size,), device=context.device, dtype=torch.uint8)
        target = torch.empty_like(source)

        def step() -> Mapping[str, int]:
            for _ in range(batch):
                target.copy_(source)
            context.synchronise()
            return {"byte": 2 * batch * size}  # read and written

        return step

    return workload(
        context,
        "copy",
        prepare=prepare,
        repeats=int(context.length(3, 2)),
        repeat_s=context.length(4.0, 0.2),
        warm_s=context.length(2.0, 0.1),
        load=Load(batch_size=batch),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A decoder: its size, and what it is fed."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    context: int


LARGE = Shape(layers=8, width=768, heads=12, vocabulary=32768, context=512)
TINY = Shape(layers=2, width=64, heads=4, vocabulary=512, context=64)


def decoder(torch: Any, shape: Shape) -> Any:
    """A GPT with random parameters: pre-norm blocks, learned positions, tied embeddings, a cache for generating."""
    nn, functional = torch.nn, torch.nn.functional
    width, heads = shape.width, shape.heads

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm_1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.out = nn.Linear(width, width, bias=False)
            self.norm_2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width, bias=False)
            self.down = nn.Linear(4 * width, width, bias=False)

        def forward(self, x: Any, cache: Any, start: int) -> Any:
            batch, length, _ = x.shape
            q, k, v = (
                part.reshape(batch, length, heads, width // heads).transpose(1, 2)
                for part in self.qkv(self.norm_1(x)).split(width, dim=2)
            )
            if cache is not None:
                keys, values = cache
                keys[:, :, start : start + length] = k
                values[:, :, start : start + length] = v
                k, v = keys[:, :, : start + length], values[:, :, : start + length]
            # One new token sees all before it; several at once are the first ones.
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(functional.gelu(self.up(self.norm_2(x))))

    class Decoder(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(shape.vocabulary, width)
            self.positions = nn.Embedding(shape.context, width)
            self.blocks = nn.ModuleList([Block() for _ in range(shape.layers)])
            self.norm = nn.LayerNorm(width)
            nn.init.normal_(self.tokens.weight, std=0.02)
            nn.init.normal_(self.positions.weight, std=0.02)

        def forward(self, tokens: Any, caches: Any = None, start: int = 0) -> Any:
            places = torch.arange(start, start + tokens.shape[1], device=tokens.device)
            x = self.tokens(tokens) + self.positions(places)
            for index, block in enumerate(self.blocks):
                x = block(x, None if caches is None else caches[index], start)
            if caches is not None:
                x = x[:, -1:]
            return functional.linear(self.norm(x), self.tokens.weight)

    return Decoder()


def parameters_of(torch: Any, shape: Shape) -> int:
    """How many numbers the decoder has."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in decoder(torch, shape).parameters())


def training(context: Context) -> Json:
    torch = with_torch(context)
    large = context.device == "cuda"
    shape, batch = (LARGE, 32) if large else (TINY, 4)
    losses: list[Any] = []

    def prepare() -> Step:
        torch.manual_seed(0)
        model = decoder(torch, shape).to(context.device)
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)
        batches = torch.randint(0, shape.vocabulary, (16, batch, shape.context + 1), device=context.device)
        number = [0]

        def step() -> Mapping[str, int]:
            for _ in range(4):
                data = batches[number[0] % 16]
                number[0] += 1
                with torch.autocast(device_type=context.device, dtype=torch.bfloat16):
                    logits = model(data[:, :-1])
                    loss = torch.nn.functional.cross_entropy(
                        logits.reshape(-1, shape.vocabulary).float(), data[:, 1:].reshape(-1)
                    )
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            context.synchronise()
            losses.append(loss.item())
            return {"step": 4, "token": 4 * batch * shape.context}

        return step

    found = workload(
        context,
        "training",
        prepare=prepare,
        repeats=int(context.length(3, 2)),
        repeat_s=context.length(6.0, 0.3),
        warm_s=context.length(4.0, 0.1),
        stage="pre-training",
        model=Model(id="gpt-random", parameters=parameters_of(torch, shape), dtype="bfloat16"),
        task=Task(name="text-generation", unit="token"),
        load=Load(batch_size=batch, seed=0),
    )
    return found | {"first_loss": losses[0] if losses else None, "last_loss": losses[-1] if losses else None}


def generating(context: Context, batch: int) -> Json:
    torch = with_torch(context)
    large = context.device == "cuda"
    shape = LARGE if large else TINY
    asked, new = (128, 128) if large else (16, 8)

    def prepare() -> Step:
        torch.manual_seed(0)
        model = decoder(torch, shape).to(context.device).to(torch.bfloat16).eval()
        prompts = torch.randint(0, shape.vocabulary, (batch, asked), device=context.device)
        cached = (batch, shape.heads, asked + new, shape.width // shape.heads)

        def step() -> Mapping[str, int]:
            with torch.inference_mode():
                caches = [
                    tuple(torch.zeros(cached, device=context.device, dtype=torch.bfloat16) for _ in range(2))
                    for _ in range(shape.layers)
                ]
                token = model(prompts, caches, 0)[:, -1].argmax(-1, keepdim=True)
                for place in range(asked, asked + new - 1):
                    token = model(token, caches, place)[:, -1].argmax(-1, keepdim=True)
            context.synchronise()
            return {"request": batch, "token": batch * new}

        return step

    return workload(
        context,
        f"generating-{batch}",
        prepare=prepare,
        repeats=int(context.length(3, 2)),
        repeat_s=context.length(5.0, 0.3),
        warm_s=context.length(2.0, 0.1),
        stage="inference",
        model=Model(id="gpt-random", parameters=parameters_of(torch, shape), dtype="bfloat16"),
        task=Task(name="text-generation", unit="request"),
        load=Load(batch_size=batch, concurrency=1, max_new_tokens=new, seed=0),
    )


def arithmetic(context: Context) -> Json:
    """In place of the workloads where there is no torch: shows that a journal comes of it."""
    if context.torch is not None:
        raise Skipped("the real workloads run here")

    def prepare() -> Step:
        def step() -> Mapping[str, int]:
            sum(i * i for i in range(20000))
            return {"step": 1}

        return step

    return workload(
        context,
        "arithmetic",
        prepare=prepare,
        repeats=int(context.length(3, 2)),
        repeat_s=context.length(5.0, 0.5),
        warm_s=context.length(2.0, 0.1),
    )


# ------------------------------------------------------------------------------------------------------------ running


def load_torch(context: Context) -> Json:
    """Imports torch, makes the CUDA context and sizes the load."""
    if context.device == "none":
        raise Skipped("--device none")
    began = time.perf_counter()
    try:
        import torch
    except ImportError:
        if context.device != "auto":
            raise
        context.device = "none"
        context.notes.append("torch is not installed: loads are stand-ins, and the workloads are left out")
        raise Skipped("torch is not installed") from None
    imported_s = time.perf_counter() - began
    cuda = torch.cuda.is_available()
    if context.device == "auto":
        context.device = "cuda" if cuda else "none"
        if not cuda:
            context.notes.append("there is no CUDA here: loads are stand-ins, and the workloads are left out")
            raise Skipped("there is no CUDA here")
    found: Json = {"torch": str(torch.__version__), "import_s": imported_s, "device": context.device}
    if context.device == "cuda":
        began = time.perf_counter()
        burden = CudaBurden(torch)
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "cuda": torch.version.cuda,
            "name": properties.name,
            "multiprocessors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
            "set_up_s": time.perf_counter() - began,
            "matmul_size": burden.size,
            "matmul_ms": 1e3 * burden.kernel_s,
            "tflop_s": 2e-12 * burden.size**3 / burden.kernel_s,
        }
        context.burden = burden
    else:
        context.notes.append("the workloads ran on the CPU: their energy is not the GPU's")
    context.torch = torch
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """One question: what answers it, how much it matters (0 most), and how long it takes."""

    name: str
    priority: int
    seconds: float
    answer: Callable[[Context], Json]


PARTS: tuple[Part, ...] = (
    Part("identity", 0, 1, identity),
    Part("reopening", 2, 2, reopening),
    Part("scopes", 0, 2, scopes),
    Part("costs-idle", 1, 6, costs),
    Part("periods-idle", 1, 6, periods),
    Part("field-timestamps", 1, 3, field_timestamps),
    Part("ring-idle", 1, 4, ring),
    Part("fork", 2, 1, forked),
    Part("integral-idle", 2, 21, integral),
    Part("torch", 0, 25, load_torch),
    Part("periods-loaded", 1, 7, lambda context: periods(context, context.burden)),
    Part("costs-loaded", 1, 6, lambda context: costs(context, context.burden)),
    Part("square-waves", 0, 44, square_waves),
    Part("sampler-ticks", 1, 31, sampler_ticks),
    Part("matmul", 0, 59, matrix_product),
    Part("training", 1, 49, training),
    Part("generating-1", 1, 42, lambda context: generating(context, 1)),
    Part("integral-loaded", 1, 33, lambda context: integral(context, context.burden)),
    Part("edges", 1, 6, edges),
    Part("slow-down", 2, 52, slow_down),
    Part("generating-32", 1, 42, lambda context: generating(context, 32)),
    Part("step-response", 2, 17, step_response),
    Part("ring-loaded", 2, 4, lambda context: ring(context, context.burden)),
    Part("copy", 2, 38, memory_copy),
    Part("fork-with-cuda", 3, 2, forked),
    Part("arithmetic", 3, 30, arithmetic),
)


class Evidence:
    """The file of answers, written whole after every part."""

    def __init__(self, path: Path, head: Json) -> None:
        self._path = path
        self.content: Json = {"schema": SCHEMA, **head, "parts": {}}

    def write(self) -> None:
        text = json.dumps(tidied(self.content), ensure_ascii=False, allow_nan=False)
        draft = self._path.with_suffix(".part")
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(self._path)


def run_parts(
    context: Context, parts: Sequence[Part], evidence: Evidence, budget_s: float, zero_s: float
) -> None:
    """Each part in its turn; one that would take the time of a more important one that is still to come is left out."""
    scale = 0.05 if context.quick else 1.0
    for index, part in enumerate(parts):
        elapsed = time.monotonic() - zero_s
        reserved = scale * sum(one.seconds for one in parts[index + 1 :] if one.priority < part.priority)
        entry: Json = {"at_s": elapsed}
        if elapsed + scale * part.seconds + reserved > budget_s:
            entry["skipped"] = f"no time left: {elapsed:.0f} s of {budget_s:.0f} s used"
            word = entry["skipped"]
        else:
            try:
                entry["result"] = part.answer(context)
                word = "done"
            except Skipped as reason:
                entry["skipped"] = word = str(reason)
            except Exception as error:  # the other questions are still worth an answer
                entry |= error_of(error)
                word = entry["error"]
            with contextlib.suppress(Exception):  # what is broken has been told above
                context.burden.drain()
            entry["seconds"] = time.monotonic() - zero_s - elapsed
            entry["state_after"] = context.card.state()
        evidence.content["parts"][part.name] = entry
        evidence.content["device"] = context.device
        evidence.content["load"] = context.burden.kind
        evidence.content["notes"] = context.notes
        evidence.content["elapsed_s"] = time.monotonic() - zero_s
        evidence.write()
        print(f"[{time.monotonic() - zero_s:6.1f} s] {part.name}: {word}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or "evidence"))
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for everything")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu", "none"), default="auto")
    parser.add_argument("--quick", action="store_true", help="every part as short as it still makes sense")
    parser.add_argument("--parts", help="only these, separated by commas")
    options = parser.parse_args(arguments)
    zero = time.monotonic()
    # A driver that hangs must not take the answers with it: they are on disk, and the end comes by itself.
    faulthandler.dump_traceback_later(options.budget + 40, exit=True)
    chosen = PARTS
    if options.parts:
        wanted = options.parts.split(",")
        unknown = set(wanted) - {part.name for part in PARTS}
        if unknown:
            parser.error(f"no such part: {', '.join(sorted(unknown))}")
        chosen = tuple(part for part in PARTS if part.name in wanted or part.name == "torch")
    options.out.mkdir(parents=True, exist_ok=True)
    evidence = Evidence(
        options.out / "evidence.json",
        {
            "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "version": energy_rating.__version__,
            "python": sys.version.split()[0],
            "quick": options.quick,
            "budget_s": options.budget,
        },
    )
    try:
        card = Card()
    except Exception as error:  # no driver, no GPU: that is the answer
        evidence.content |= error_of(error)
        evidence.write()
        print(f"no GPU can be asked: {evidence.content['error']}", flush=True)
        faulthandler.cancel_dump_traceback_later()
        return 1
    with tempfile.TemporaryDirectory(prefix="gpu-evidence-") as scratch:
        context = Context(
            out=options.out,
            quick=options.quick,
            device=options.device,
            card=card,
            burden=StandIn(),
            scratch=Path(scratch),
        )
        run_parts(context, chosen, evidence, options.budget, zero)
    faulthandler.cancel_dump_traceback_later()
    failed = [name for name, entry in evidence.content["parts"].items() if "error" in entry]
    print(
        f"{len(evidence.content['parts'])} parts, {len(failed)} failed: {', '.join(failed) or 'none'}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
