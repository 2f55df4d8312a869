"""perun's result as JSON (``perun monitor --format json``): each run, from the energies of its components.

Seen by running 1.0.0: ``energy`` of a run holds its PUE and an assumed power of the rest of each node (``power_overhead``); ``gpu_energy``,
``cpu_energy`` and ``dram_energy`` hold neither, and are what is taken. A component that had no sensor is not there. Of a region (a decorated
function) only powers are told, so it has a duration and no energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    joules,
    moment,
    not_taken,
    of_import,
    seconds,
    text,
)
from energy_rating.nouns.entries import RUN, Component, Finding

NAME = "perun"

# perun/data_model/data.py (1.0.0): NodeType. An application holds runs, or, for a scaling study, more applications of runs.
APP, MULTI_RUN, RUN_NODE = 0, 1, 2
_PARTS: dict[str, Component] = {"gpu_energy": "gpu", "cpu_energy": "cpu", "dram_energy": "dram"}
MOST_DEPTH = 6


def is_mine(file: Foreign) -> bool:
    return file.holds("id", "type", "metrics", "nodes", "processed", "deviceType")


def read(file: Foreign) -> Iterator[Import]:
    for run in _runs(file.object, 0):
        yield _run(run)


def _runs(node: object, depth: int) -> Iterator[Mapping[str, Any]]:
    if not isinstance(node, Mapping) or depth > MOST_DEPTH:
        return
    if node.get("type") == RUN_NODE:
        yield node
        return
    for inner in _inner(node):
        yield from _runs(inner, depth + 1)


def _inner(node: Mapping[str, Any]) -> Iterator[object]:
    """The nodes below: a mapping by id, or a list of such mappings."""
    below = node.get("nodes")
    for one in below if isinstance(below, list) else [below]:
        if isinstance(one, Mapping):
            yield from one.values()


def _value(node: Mapping[str, Any], metric: str) -> object:
    told = at(node, "metrics", metric)
    value = at(told, "value")
    return at(told, "sum") if value is None else value


def _run(run: Mapping[str, Any]) -> Import:
    about = run.get("metadata")
    duration = seconds(_value(run, "runtime")) or 0.0
    period = seconds(at(about, "monitor.sampling_period"))
    energies = []
    for metric, component in _PARTS.items():
        energy = joules(_value(run, metric))
        if energy:
            # NVML and RAPL alone are read; without them there is no such metric.
            energies.append(ForeignEnergy(component=component, joules=energy, had="sensor", period_s=period))
    name = text(run.get("id"), 60)
    app = text(at(about, "app_name"), 60)
    return Import(
        tool=NAME,
        version=text(at(about, "perun_version"), 40),
        own_id=f"{app or 'run'}-{name}" if name else None,
        when=moment(at(about, "execution_dt")),
        parts=(ForeignPart(name=RUN, duration_s=duration, energies=tuple(energies)), *_regions(run)),
        says=tuple(_said(run, about, energies)),
        data={"app": app} if app else {},
    )


def _regions(run: Mapping[str, Any]) -> Iterator[ForeignPart]:
    """The decorated functions of the first rank: their time, and how often they ran."""
    rank = next((one for one in _inner(run) if isinstance(one, Mapping)), {})
    regions = rank.get("regions")
    for name, region in list(regions.items())[:1000] if isinstance(regions, Mapping) else ():
        metrics = at(region, "metrics")
        runtime = (
            next((one for one in metrics if at(one, "type") == "runtime"), None)
            if isinstance(metrics, list)
            else None
        )
        yield ForeignPart(
            name=text(name, 60) or "region",
            duration_s=seconds(at(runtime, "sum")) or 0.0,
            n=count(at(region, "runs_per_rank", "sum")) or 1,
        )


def _said(run: Mapping[str, Any], about: object, energies: list[ForeignEnergy]) -> Iterator[Finding]:
    pue, overhead = (
        amount(at(about, "post-processing.pue"), 100.0),
        amount(at(about, "post-processing.power_overhead"), 1e9),
    )
    if _value(run, "energy") is not None and ((pue or 1) != 1 or overhead):
        yield not_taken(
            f"its total, which holds a PUE of {pue or 1:g} and an assumed {overhead or 0:g} W for the rest of each node",
            "taken are the energies of the components, which hold neither",
        )
    if not any(one.component == "gpu" for one in energies):
        yield of_import(
            "gpu-not-measured",
            "perun read no energy of a GPU: there was none, or its library was not installed",
            severity="note",
        )
    yield of_import(
        "imported-scope",
        "it is the energy of whole devices of all nodes of the run, whatever else ran there; of functions only the time is told",
    )
