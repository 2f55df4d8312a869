"""AIPerf's ``profile_export_aiperf.json`` with ``gpu_telemetry_export.jsonl`` (and ``profile_export.jsonl``) beside it.

Seen by running 0.13.0 (schema 1.4). The telemetry has each GPU's energy counter in megajoules (before 0.12 under other names:
``energy_consumption``, ``dcgm_url``) and its power, with the time in nanoseconds since 1970; requests likewise; ``start_time`` of the summary has
no zone. The energy is worked out again: the counter at the last answer less the counter at the first request. Tokens are those of the
benchmark's tokenizer, beside which the server's own count may stand (``usage_…``).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from energy_rating.files.foreign import Foreign, at, under
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    joules,
    model_name,
    moment,
    of_import,
    seconds,
    since_epoch,
    text,
    work,
)
from energy_rating.nouns.entries import RUN, Device, Finding, Load, Model, Task
from energy_rating.nouns.errors import BadInput

NAME = "AIPerf"

# gpu_telemetry/constants.py: the counter's names, newest first; all in MJ.
_COUNTERS = ("nvidia_energy_consumption", "amd_energy_consumption", "energy_consumption")
_TOLD = ("nvidia_total_gpu_energy", "amd_total_gpu_energy", "total_gpu_energy")
MEGA = 1e6
NANO = 1e-9
# AIPerf and the server count the same text by different tokenizers.
ALIKE = 0.1
# A telemetry that was stopped before the last answer is held up to here; beyond, that end is not known.
SLACK_S = 2.0


def is_mine(file: Foreign) -> bool:
    return _is_telemetry(file) or file.holds("aiperf_version", "request_count", "benchmark_duration")


def _is_telemetry(file: Foreign) -> bool:
    return (
        file.first_line.startswith("{")
        and '"telemetry_data"' in file.first_line
        and '"timestamp_ns"' in file.first_line
    )


def _is_requests(file: Foreign) -> bool:
    return file.first_line.startswith("{") and '"request_start_ns"' in file.first_line


@dataclass(slots=True)
class _AiperfGpu:
    """The energy counter of one GPU: seconds since 1970 and joules."""

    device: Device
    times_s: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def at(self, time_s: float) -> float | None:
        """The counter at a time, by the line between the readings around it; None where there are none near enough."""
        after = bisect.bisect_left(self.times_s, time_s)
        if after == 0 or after == len(self.times_s):
            edge = 0 if after == 0 else -1
            return self.joules[edge] if abs(self.times_s[edge] - time_s) <= SLACK_S else None
        left, right = self.times_s[after - 1], self.times_s[after]
        share = (time_s - left) / (right - left)
        return self.joules[after - 1] + share * (self.joules[after] - self.joules[after - 1])

    @property
    def spacing_s(self) -> float:
        return median(after - before for before, after in pairwise(self.times_s))


def read(file: Foreign) -> Iterator[Import]:
    if _is_telemetry(file):
        yield _of_telemetry(file)
        return
    entry = file.object
    duration = seconds(at(entry, "benchmark_duration", "avg"))
    if not duration:
        raise BadInput("must tell a benchmark_duration above 0 s", "Name the file of a benchmark that ended")
    says: list[Finding] = []
    window = _window(file)
    energies, devices = _energies(file, entry, window, says)
    model = model_name(at(_first(at(entry, "input_config", "models", "items")), "name"))
    says += _said(entry)
    yield Import(
        tool=NAME,
        version=text(entry.get("aiperf_version"), 40),
        own_id=text(entry.get("benchmark_id"), 60),
        when=since_epoch(window[0]) if window else moment(entry.get("start_time")),
        stage="inference",
        model=None if model is None else Model(id=model),
        task=Task(name="text-generation", unit="token"),
        load=_load(entry),
        parts=(ForeignPart(name=RUN, duration_s=duration, energies=energies, work=_work(entry)),),
        devices=devices,
        says=tuple(says),
        data={"schema": str(entry.get("schema_version"))[:20]},
    )


def _first(items: object) -> object:
    return items[0] if isinstance(items, list) and items else None


def _avg(entry: Mapping[str, Any], name: str) -> float | None:
    return amount(at(entry, name, "avg"), 1e18)


def _load(entry: Mapping[str, Any]) -> Load:
    phases = at(entry, "input_config", "phases")
    phase = (
        next(
            (
                one
                for one in phases
                if isinstance(one, Mapping) and one.get("kind", "profiling") == "profiling"
            ),
            None,
        )
        if isinstance(phases, list)
        else None
    )
    return Load(
        items=count(at(phase, "requests")) or count(_avg(entry, "request_count")),
        concurrency=count(at(phase, "concurrency")),
        request_rate=amount(at(phase, "rate"), 1e9) or None,
    )


def _work(entry: Mapping[str, Any]) -> dict[str, int | float]:
    return work(
        {
            "request": _avg(entry, "request_count"),
            "token": _avg(entry, "total_osl") or _avg(entry, "total_output_tokens"),
            "input_token": _avg(entry, "total_isl"),
            "reasoning_token": _avg(entry, "total_reasoning_tokens"),
        }
    )


def _window(file: Foreign) -> tuple[float, float] | None:
    """From the first request of the profiling phase to its last answer, where the requests are beside it."""
    for other in file.beside():
        if not _is_requests(other):
            continue
        edges = [
            (start, end)
            for _, line in other.json_lines()
            if at(line, "metadata", "benchmark_phase") in ("profiling", None)
            and (start := seconds(at(line, "metadata", "request_start_ns"), NANO)) is not None
            and (end := seconds(at(line, "metadata", "request_end_ns"), NANO)) is not None
        ]
        if edges:
            file.taken.append(other.path)
            return min(start for start, _ in edges), max(end for _, end in edges)
    return None


def _energies(
    file: Foreign, entry: Mapping[str, Any], window: tuple[float, float] | None, says: list[Finding]
) -> tuple[tuple[ForeignEnergy, ...], tuple[Device, ...]]:
    told = next((energy for name in _TOLD if (energy := joules(at(entry, name, "avg")))), None)
    logs = [one for one in file.beside() if _is_telemetry(one)]
    if len(logs) == 1 and window is not None:
        file.taken.append(logs[0].path)
        counted = _counters(logs[0])
        found = tuple(_between(counted, *window))
        if found:
            again = sum(one.joules for one in found)
            says.append(
                of_import(
                    "imported-scope",
                    "it is the energy of whole GPUs between the first request and the last answer, by their counters, which AIPerf read "
                    "every third of a second or less often",
                )
            )
            if told and abs(again - told) > 0.02 * told:
                says.append(
                    of_import(
                        "imported-converted",
                        f"AIPerf's own total is {told:.6g} J; its telemetry gives {again:.6g} J, which is taken",
                    )
                )
            return found, tuple(one.device for one in counted)
    if told is None:
        return (), ()
    says.append(
        of_import(
            "imported-scope",
            "its telemetry and its requests are not beside it, each once: its total could not be worked out again, and stands as it is told",
        )
    )
    names = {
        str(at(gpu, "gpu_name"))
        for endpoint in under(entry, "telemetry_data", "endpoints")
        for gpu in under(endpoint, "gpus")
    }
    devices = (Device(id="gpu, as a whole", name=", ".join(sorted(names))[:120]),) if names else ()
    return (ForeignEnergy(component="gpu", joules=told, had="sensor"),), devices


def _counters(file: Foreign) -> list[_AiperfGpu]:
    found: dict[str, _AiperfGpu] = {}
    for _, line in file.json_lines():
        time = seconds(line.get("timestamp_ns"), NANO)
        data = line.get("telemetry_data")
        energy = next((one for name in _COUNTERS if (one := joules(at(data, name), MEGA)) is not None), None)
        uuid = text(line.get("gpu_uuid"), 80)
        if time is None or energy is None or uuid is None:
            continue
        gpu = found.setdefault(
            uuid, _AiperfGpu(Device(id=uuid, name=text(line.get("gpu_model_name"), 120) or "not told"))
        )
        if gpu.times_s and (time <= gpu.times_s[-1] or energy < gpu.joules[-1]):
            continue  # twice, or a counter that went back: what lies between is not known
        gpu.times_s.append(time)
        gpu.joules.append(energy)
    return [one for one in found.values() if len(one.times_s) > 1]


def _between(counted: Sequence[_AiperfGpu], start_s: float, end_s: float) -> Iterator[ForeignEnergy]:
    for gpu in counted:
        before, after = gpu.at(start_s), gpu.at(end_s)
        if before is not None and after is not None and after > before:
            yield ForeignEnergy(
                component="gpu",
                joules=after - before,
                had="sensor",
                device=gpu.device.id,
                period_s=gpu.spacing_s,
            )


def _of_telemetry(file: Foreign) -> Import:
    """A telemetry by itself: from its first reading to its last."""
    counted = _counters(file)
    if not counted:
        raise BadInput(
            "holds no two readings of any energy counter",
            "Import profile_export_aiperf.json, beside which it was written",
        )
    start = min(gpu.times_s[0] for gpu in counted)
    end = max(gpu.times_s[-1] for gpu in counted)
    return Import(
        tool=NAME,
        when=since_epoch(start),
        parts=(ForeignPart(name=RUN, duration_s=end - start, energies=tuple(_between(counted, start, end))),),
        devices=tuple(gpu.device for gpu in counted),
        says=(
            of_import(
                "imported-scope",
                "it is the energy of whole GPUs for as long as AIPerf looked, whatever ran on them",
            ),
        ),
    )


def _said(entry: Mapping[str, Any]) -> Iterator[Finding]:
    failed = _avg(entry, "error_request_count")
    if failed:
        yield of_import(
            "imported-incomplete",
            f"{failed:,.0f} requests failed: their energy is in the figure, and their tokens in no total",
            severity="degrades",
        )
    if entry.get("was_cancelled") is True or entry.get("is_complete") is False:
        yield of_import("imported-incomplete", "the benchmark was broken off", severity="degrades")
    ours, theirs = _avg(entry, "total_osl"), _avg(entry, "total_usage_completion_tokens")
    if ours and theirs and abs(ours - theirs) > ALIKE * theirs:
        yield of_import(
            "imported-incomplete",
            f"AIPerf counts {ours:,.0f} tokens of the answers, the server {theirs:,.0f}: per token, the energy depends on whom one believes",
            severity="degrades",
        )
    yield of_import(
        "imported-batch",
        "the concurrency is what AIPerf asked for; the batches that the server ran, and what came from its cache, are not told",
    )
