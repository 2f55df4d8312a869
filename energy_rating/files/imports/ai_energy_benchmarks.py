"""The table of ai-energy-benchmarks' ``CSVReporter``, a row a benchmark, and its results as JSON.

Seen by running 0.0.7: ``energy_wh`` is the GPUs' alone, of the chosen ``device_ids``, read by CodeCarbon; it is 0.0 where there is none, and so are the tokens
where a server was not asked for its count; ``carbon_intensity_g_per_kwh`` is a rate in kg/s, and ``country`` what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    id_of,
    joules,
    model_name,
    moment,
    not_taken,
    of_import,
    seconds,
    text,
    work,
)
from energy_rating.nouns.entries import RUN, Component, Finding, Load, Model, Task
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_WH

NAME = "ai-energy-benchmarks"

# ai_energy_benchmarks/runner.py and metrics/codecarbon.py (0.0.7); in the table the keys are joined by a line below.
COLUMNS = frozenset(
    {"config_model", "summary_successful_prompts", "energy_gpu_energy_wh", "energy_duration_seconds"}
)
_PARTS: Mapping[str, Component] = {"gpu": "gpu", "cpu": "cpu", "ram": "dram"}


def is_mine(file: Foreign) -> bool:
    if file.is_json:
        return file.holds("config", "summary", "energy", "backend_info") and "gpu_energy_wh" in file.beginning
    return frozenset(file.columns) >= COLUMNS


def read(file: Foreign) -> Iterator[Import]:
    if file.is_json:
        yield _run(file.object)
        return
    found = False
    for _, row in file.rows():
        if row.get("config_model") == "config_model" or len(row) < len(COLUMNS):
            continue
        found = True
        yield _run(_unfolded(row))
    if not found:
        raise BadInput("holds no row", "ai-energy-benchmarks writes one at the end of a benchmark")


def _unfolded(row: Mapping[str, str]) -> Mapping[str, object]:
    """A row as the object that it was flattened from, as far as it is asked for."""
    told: dict[str, dict[str, object]] = {"config": {}, "summary": {}, "energy": {}, "metrics_metadata": {}}
    for column, cell in row.items():
        for name, inner in told.items():
            if column.startswith(f"{name}_"):
                inner[column.removeprefix(f"{name}_")] = cell
    return {**told, "timestamp": row.get("timestamp")}


def _run(entry: Mapping[str, object]) -> Import:
    energy, summary, config = (entry.get(name) for name in ("energy", "summary", "config"))
    duration = seconds(at(energy, "duration_seconds")) or seconds(at(summary, "total_duration_seconds"))
    if not duration:
        raise BadInput("must tell a duration above 0 s", "Look at what went wrong in the benchmark")
    energies = []
    for theirs, component in _PARTS.items():
        told = joules(at(energy, f"{theirs}_energy_wh"), JOULES_PER_WH)
        if told:
            energies.append(
                ForeignEnergy(
                    component=component, joules=told, had="sensor" if component == "gpu" else "untold"
                )
            )
    model = model_name(at(config, "model"))
    total = amount(at(energy, "total_energy_kwh"), 1e18)
    return Import(
        tool=NAME,
        own_id=id_of(model, duration, total),  # its table and its JSON are of one run
        when=moment(entry.get("timestamp")),
        stage="inference",
        model=None if model is None else Model(id=model),
        task=Task(name="text-generation", unit="request"),
        load=Load(items=count(at(config, "num_samples"))),
        parts=(ForeignPart(name=RUN, duration_s=duration, energies=tuple(energies), work=_work(summary)),),
        software={
            "engine": text(at(config, "backend"), 40) or "",
            "codecarbon": text(at(entry.get("metrics_metadata"), "version"), 40) or "",
        },
        says=tuple(_said(energy, summary, config)),
    )


def _work(summary: object) -> dict[str, int | float]:
    counted = work(
        {
            "request": at(summary, "successful_prompts"),
            "token": at(summary, "total_completion_tokens"),
            "input_token": at(summary, "total_prompt_tokens"),
        }
    )
    return {unit: number for unit, number in counted.items() if number}


def _said(energy: object, summary: object, config: object) -> Iterator[Finding]:
    if not joules(at(energy, "gpu_energy_wh")):
        yield of_import(
            "gpu-not-measured",
            "the file tells 0.0 Wh of the GPU, which is what it tells without one",
            "Measure it with energy-rating",
            severity="degrades",
        )
    failed = amount(at(summary, "failed_prompts"), 1e18)
    if failed:
        yield of_import(
            "imported-incomplete",
            f"{failed:,.0f} prompts failed: their energy is in the figure, and they are in no total",
            severity="degrades",
        )
    if not amount(at(summary, "total_completion_tokens"), 1e18):
        yield of_import(
            "imported-incomplete",
            "it tells no tokens: a streamed answer has a count only where the server was asked for one",
            severity="degrades",
        )
    yield not_taken(
        "its emissions, its carbon intensity (which is kilograms a second) and its country (which is the one that was asked for)",
        "work the carbon out from the energy and the country where it really ran",
    )
    ids = text(str(at(config, "device_ids")), 60)
    yield of_import(
        "imported-scope",
        f"it is the energy of the chosen devices ({ids}), from before the first prompt to after the last, loading left out",
    )
    yield of_import(
        "imported-batch", "prompts are sent one after the other, and what else the server served is not told"
    )
