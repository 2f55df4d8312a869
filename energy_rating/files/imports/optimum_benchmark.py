"""optimum-benchmark's report (``benchmark_report.json``, or ``benchmark.json`` with its configuration): energies of one iteration of each phase.

From trackers/energy.py and scenarios/inference/scenario.py (0.6.0): kWh by CodeCarbon, a mean of many iterations. *decode* is no measurement: it
is generate less prefill, which ran apart, and may be below zero; then it is left out. Over several processes the figures are a mean,
since each of them saw the whole machine. The tool's ``efficiency`` is not taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at, dumps
from energy_rating.files.imported import (
    RULE,
    ForeignEnergy,
    ForeignPart,
    Had,
    Import,
    count,
    id_of,
    joules,
    model_name,
    of_import,
    seconds,
    text,
    work,
)
from energy_rating.nouns.entries import RUN, Component, Device, Finding, Load, Model, Stage, Task
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH

NAME = "optimum-benchmark"

_PARTS: Mapping[str, tuple[Component, Had]] = {
    "gpu": ("gpu", "sensor"),
    "cpu": ("cpu", "untold"),
    "ram": ("dram", "untold"),
}
# What stands for the run: one iteration of the whole of what was measured.
_WHOLE = ("generate", "call", "forward", "train", "overall")
DECODE = "decode"


def is_mine(file: Foreign) -> bool:
    if file.holds("config", "report"):
        return _is_report(file.object["report"])
    return (
        file.is_json
        and '"energy"' in file.beginning
        and '"latency"' in file.beginning
        and _is_report(_object(file))
    )


def _object(file: Foreign) -> object:
    try:
        return file.object
    except BadInput:
        return None


def _is_report(report: object) -> bool:
    """Whether all in it are targets, each with what a target may have (benchmark/report.py, TargetMeasurements)."""
    return (
        isinstance(report, Mapping)
        and bool(report)
        and all(
            isinstance(one, Mapping)
            and set(one) == {"memory", "latency", "throughput", "energy", "efficiency"}
            for one in report.values()
        )
    )


def read(file: Foreign) -> Iterator[Import]:
    entry = file.object
    report = entry["report"] if _is_report(entry.get("report")) else entry
    config = entry.get("config") if "report" in entry else _config(file)
    says: list[Finding] = []
    whole = next((name for name in _WHOLE if at(report, name, "energy") is not None), None)
    parts = []
    for name, target in list(report.items())[:100]:
        part = _target(name, target, report, config, says)
        if part is not None:
            parts.append(part)
    run = next((part for part in parts if part.name == whole), None)
    if run is None:
        says.append(
            of_import(
                "nothing-measured",
                "it tells no energy of a whole iteration: energy was not tracked",
                "Run it with scenario.energy=true",
            )
        )
    model = model_name(at(config, "backend", "model"))
    task = text(at(config, "backend", "task"), 60)
    says += _said(config)
    yield Import(
        tool=NAME,
        own_id=id_of(dumps(report)),  # a report and the benchmark.json that holds it are one run
        version=text(at(config, "environment", "optimum_benchmark_version"), 40),
        stage=_stage(at(config, "scenario", "name")),
        model=None
        if model is None
        else Model(id=model, dtype=text(at(config, "backend", "torch_dtype"), 20)),
        task=None if task is None else Task(name=task),
        load=_load(config),
        parts=(
            ForeignPart(
                name=RUN,
                duration_s=run.duration_s if run else 0.0,
                energies=run.energies if run else (),
                work=run.work if run else {},
            ),
            *parts,
        ),
        devices=tuple(_devices(config)),
        says=tuple(says),
    )


def _config(file: Foreign) -> Mapping[str, Any] | None:
    """The configuration beside a report."""
    for other in file.beside():
        if other.holds("scenario", "backend", "launcher"):
            file.taken.append(other.path)
            return other.object
    return None


def _stage(scenario: object) -> Stage:
    return {"inference": "inference", "training": "fine-tuning"}.get(str(scenario), "other")  # type: ignore[return-value]


def _load(config: object) -> Load:
    kwargs = at(config, "scenario", "generate_kwargs")
    return Load(
        batch_size=count(at(config, "scenario", "input_shapes", "batch_size")),
        max_new_tokens=count(at(kwargs, "max_new_tokens")),
    )


def _devices(config: object) -> Iterator[Device]:
    gpus = at(config, "environment", "gpu")
    names = [name for one in (gpus if isinstance(gpus, list) else [gpus]) if (name := text(one, 80))]
    if names:
        yield Device(
            id="gpu, as a whole", name=names[0] if len(names) == 1 else f"{names[0]} ({len(names)} together)"
        )
    if cpu := text(at(config, "environment", "cpu"), 80):
        yield Device(id="cpu, as a whole", name=cpu)


def _target(
    name: str, target: object, report: Mapping[str, Any], config: object, says: list[Finding]
) -> ForeignPart | None:
    energy = at(target, "energy")
    if not isinstance(energy, Mapping):
        return None
    if energy.get("unit") != "kWh":
        raise BadInput(
            f"the energy of {str(name)[:40]!r} must be in kWh; got {str(energy.get('unit'))[:20]!r}",
            "Look at the file",
        )
    energies = []
    for theirs, (component, had) in _PARTS.items():
        value = joules(energy.get(theirs), JOULES_PER_KWH)
        if name == DECODE:
            doubt = _of_difference(report, theirs, value, had)
            if doubt is None:
                if (joules(at(report, "generate", "energy", theirs)) or 0) > 0:
                    says.append(
                        of_import(
                            "imported-converted",
                            f"the {component} energy of decode is left out: prefill, which ran apart, told as much as generate, or more",
                        )
                    )
                continue
            energies.append(ForeignEnergy(component=component, joules=value or 0.0, had=had, doubt=doubt))
        elif value:
            energies.append(ForeignEnergy(component=component, joules=value, had=had))
    if name == DECODE and energies:
        says.append(
            of_import(
                "imported-converted",
                "decode is generate less prefill, two runs apart: its uncertainty is that of both",
                measurement=DECODE,
            )
        )
    if not energies:
        return None
    return ForeignPart(
        name=text(name, 60) or "target",
        duration_s=seconds(at(target, "latency", "mean")) or 0.0,
        energies=tuple(energies),
        work=_work(name, config),
    )


def _of_difference(report: Mapping[str, Any], theirs: str, value: float | None, had: Had) -> float | None:
    """The relative doubt of a difference of two figures that were read apart; None where it is no energy."""
    both = [joules(at(report, name, "energy", theirs), JOULES_PER_KWH) for name in ("generate", "prefill")]
    if not value or None in both:
        return None
    doubt = RULE[had] * math.hypot(*(one or 0.0 for one in both)) / value
    return doubt if doubt < 1 else 1.0


def _work(name: str, config: object) -> dict[str, int | float]:
    """What one iteration does, as far as it was asked for: the batch, its new tokens, its prompts."""
    scenario = at(config, "scenario")
    batch = count(at(scenario, "input_shapes", "batch_size"))
    if batch is None:
        return {}
    length = count(at(scenario, "input_shapes", "sequence_length"))
    new = count(at(scenario, "generate_kwargs", "max_new_tokens"))
    beams = count(at(scenario, "generate_kwargs", "num_return_sequences")) or 1
    told: dict[str, object] = {}
    if name in ("generate", "call", "forward", "train"):
        told["request"] = batch
    if name in ("generate", "prefill") and length:
        told["input_token"] = batch * length
    # scenario.py, atomic_decode_volume: all but the first new token.
    if name == DECODE and new:
        told["token"] = batch * beams * (new - 1)
    if name == "generate" and new:
        told["token"] = batch * beams * new
    return work(told)


def _said(config: object) -> Iterator[Finding]:
    yield of_import(
        "imported-scope",
        "energies are of one iteration, the mean of many: of the whole machine as far as CodeCarbon saw it, whatever else ran there",
    )
    if config is None:
        yield of_import(
            "imported-batch",
            "the configuration is not beside it: model, batch and lengths are not told",
            "Name benchmark.json, which holds both, or keep benchmark_config.json beside it",
        )
    else:
        yield of_import(
            "imported-batch",
            "tokens are those that were asked for (max_new_tokens), not those that were made",
        )
