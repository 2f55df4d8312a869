"""InferenceX's aggregate of a serving benchmark, ``power_metric_schema_version`` 2: worked out again, its verdict never trusted.

Keys from utils/process_result.py and utils/aggregate_power.py (SemiAnalysisAI/InferenceX 843c6254): numbers of GPUs, ``total_gpu_energy_j``,
``avg_total_gpu_power_w``, ``joules_per_…`` rounded to six digits; ``power_valid`` is 1 or 0. Before schema 2 the same keys meant the energy of one
role only, so those are refused. Beside it may lie ``power_validation_*.json`` (per GPU), the raw result, and the log of power: the more of
them, the more is worked out again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    count,
    joules,
    model_name,
    of_import,
    seconds,
    since_epoch,
    text,
    work,
)
from energy_rating.files.imports import power_log, vllm_bench
from energy_rating.nouns.entries import RUN, Device, Finding, Load, Model, Task
from energy_rating.nouns.errors import BadInput

NAME = "InferenceX"

SCHEMA = 2
# What six digits and the sum of many trapezes leave, and no more: beyond it, figures contradict each other.
SAME = 0.005
# Power is asked for once a second (benchmark_lib.sh).
PERIOD_S = 1.0


def is_mine(file: Foreign) -> bool:
    return file.holds("hw", "conc", "model") and (
        file.holds("power_valid") or file.holds("joules_per_output_token") or file.holds("avg_power_w")
    )


def read(file: Foreign) -> Iterator[Import]:
    entry = file.object
    if entry.get("power_metric_schema_version") != SCHEMA:
        raise BadInput(
            f"must be of power_metric_schema_version {SCHEMA}; before it, joules_per_… meant the energy of one role only",
            "Aggregate the benchmark again with a newer InferenceX",
        )
    energy, mean_w = joules(entry.get("total_gpu_energy_j")), joules(entry.get("avg_total_gpu_power_w"))
    audit = _audit(file, energy)
    window = at(audit, "benchmark_window")
    says: list[Finding] = []
    amounts, duration, start = _work(entry, window, energy, mean_w, says)
    for other in file.beside():  # the raw result is of the same run
        if vllm_bench.is_mine(other) and other.object.get("benchmark_start_time_unix") == at(
            window, "start_time_unix"
        ):
            file.taken.append(other.path)
    energies = _energies(audit, energy, says)
    again = _again(file, window, energy, says)
    if again is not None:
        energies, devices = again.energies, again.devices
        coverage = dict(again.coverage or {})
    else:
        devices, coverage = _devices(entry, energies), {}
    if entry.get("power_valid") != 1:
        says.append(
            of_import(
                "imported-incomplete",
                "InferenceX itself calls its measurement of power invalid (power_valid 0)",
                severity="disqualifies",
            )
        )
    says.append(
        of_import(
            "imported-batch",
            "the concurrency is the one that was asked for; the batches that ran, and what came from caches, are not told",
        )
    )
    model = model_name(entry.get("model"))
    yield Import(
        tool=NAME,
        version=f"schema {SCHEMA}",
        when=since_epoch(start),
        stage="inference",
        model=None if model is None else Model(id=model, dtype=text(entry.get("precision"), 20)),
        task=Task(name="text-generation", unit="token"),
        load=Load(concurrency=count(entry.get("conc")), max_new_tokens=count(entry.get("osl"))),
        parts=(
            ForeignPart(name=RUN, duration_s=duration, energies=energies, work=amounts, coverage=coverage),
        ),
        devices=devices,
        software={"engine": text(entry.get("framework"), 40) or ""},
        says=tuple(says),
        data={
            key: value
            for key in ("hw", "precision", "isl", "osl", "tp")
            if isinstance(value := entry.get(key), str | int)
        },
    )


def _audit(file: Foreign, energy: float | None) -> Mapping[str, Any] | None:
    """The validation beside it that is of the same energy."""
    for other in file.beside():
        if other.holds("benchmark_window", "per_gpu_energy_j", "power_valid"):
            told = joules(at(other.object, "metrics", "total_gpu_energy_j"))
            if energy is None or (told is not None and math.isclose(told, energy, rel_tol=SAME)):
                return other.object
    return None


def _work(
    entry: Mapping[str, Any],
    window: Mapping[str, Any] | None,
    energy: float | None,
    mean_w: float | None,
    says: list[Finding],
) -> tuple[dict[str, int | float], float, float | None]:
    """Work, duration and start: as the validation tells them; else as they follow from the energies per unit."""
    each = {
        "request": "joules_per_successful_query",
        "token": "joules_per_output_token",
        "input_token": "joules_per_input_token",
    }
    follows = {
        unit: round(amount)
        for unit, key in each.items()
        if energy and (per := joules(entry.get(key))) and math.isfinite(amount := energy / per)
    }
    if isinstance(window, Mapping):
        amounts = work(
            {
                "request": window.get("completed"),
                "token": window.get("total_output_tokens"),
                "input_token": window.get("total_input_tokens"),
            }
        )
        wrong = [
            unit
            for unit, number in follows.items()
            if unit in amounts and not math.isclose(number, amounts[unit], rel_tol=SAME, abs_tol=1)
        ]
        if wrong:
            says.append(
                of_import(
                    "imported-incomplete",
                    f"its energies per unit do not follow from its own totals: {', '.join(wrong)}",
                    severity="disqualifies",
                )
            )
        return (
            amounts,
            seconds(window.get("integration_duration_s")) or 0.0,
            seconds(window.get("start_time_unix")),
        )
    if follows:
        says.append(
            of_import(
                "imported-converted",
                "work and duration are worked out from its energies per unit and its mean power, which are rounded",
            )
        )
    return work(follows), energy / mean_w if energy and mean_w else 0.0, None


def _energies(
    audit: Mapping[str, Any] | None, energy: float | None, says: list[Finding]
) -> tuple[ForeignEnergy, ...]:
    per_gpu = at(audit, "per_gpu_energy_j")
    if isinstance(per_gpu, Mapping) and len(per_gpu) <= power_log.MOST_LOG_DEVICES:
        told = {str(gpu): joules(value) for gpu, value in per_gpu.items()}
        found = tuple(
            ForeignEnergy(component="gpu", joules=value, had="sensor", device=f"gpu{gpu}", period_s=PERIOD_S)
            for gpu, value in told.items()
            if value is not None
        )
        if energy is not None and not math.isclose(sum(one.joules for one in found), energy, rel_tol=SAME):
            says.append(
                of_import(
                    "imported-incomplete",
                    "the energies of its GPUs do not add up to its total",
                    severity="disqualifies",
                )
            )
        return found
    if energy is None:
        return ()
    says.append(
        of_import(
            "imported-scope",
            "the log of power is not beside it: its total could not be worked out again, and stands as it is told",
        )
    )
    return (ForeignEnergy(component="gpu", joules=energy, had="sensor", period_s=PERIOD_S),)


def _devices(entry: Mapping[str, Any], energies: tuple[ForeignEnergy, ...]) -> tuple[Device, ...]:
    hardware = text(entry.get("hw"), 60) or "not told"
    return tuple(Device(id=one.device or "gpu, as a whole", name=hardware) for one in energies)


def _again(
    file: Foreign,
    window: Mapping[str, Any] | None,
    energy: float | None,
    says: list[Finding],
) -> power_log.Beside | None:
    """The energy of the window from the log itself, where both are there."""
    start, end = (seconds(at(window, f"{edge}_time_unix")) for edge in ("start", "end"))
    if start is None or end is None or end <= start:
        return None
    if not any(power_log.is_mine(one) for one in file.beside()):
        return None
    try:
        found = power_log.beside(file, start, end, end - start, zoned=True)
    except BadInput as error:
        says.append(
            of_import(
                "imported-scope", f"it could not be worked out again from the log beside it: {error.message}"
            )
        )
        return None
    again = sum(one.joules for one in found.energies)
    says += found.says
    if energy is not None and not math.isclose(again, energy, rel_tol=0.02):
        says.append(
            of_import(
                "imported-incomplete",
                f"its total of {energy:.6g} J does not follow from the log beside it, which gives {again:.6g} J; that is taken",
                severity="degrades",
            )
        )
    return found
