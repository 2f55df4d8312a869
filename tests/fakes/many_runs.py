"""Folders of runs as a collection holds them: made-up records of realistic shape, and runs that were really measured, under a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from virtual import FakeDevice, VirtualClock, constant

from energy_rating.files.record import write_record
from energy_rating.meter import measure
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Load,
    Measurement,
    Model,
    Place,
    Provenance,
    Record,
    Task,
    component_methods,
    validity,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
HOST = "0123456789ab"


def a_record(
    number: int,
    joules: float = 3.6e5,
    *,
    seconds: float = 600.0,
    at_s: float | None = None,
    model: str | None = "org/model-7b",
    stage: str = "fine-tuning",
    devices: tuple[str, ...] = ("GPU-0",),
    hardware: str = "NVIDIA H100 80GB HBM3",
    method: str = "counter",
    coverage: float = 1.0,
    work: Mapping[str, float] | None = None,
    beside: Mapping[str, float] | None = None,
    findings: tuple[Finding, ...] = (),
    place: str | None = "FRA",
    **more: Any,
) -> Record:
    """A run of so many joules. ``at_s``: when it started; by default each an hour after the one before. ``beside``: what was estimated."""
    start = START + timedelta(seconds=3600.0 * number if at_s is None else at_s)
    each = joules / len(devices)
    energies = {f"{one}.energy": _estimate(each) for one in devices}
    channels = [
        Channel(id=f"{one}.energy", component="gpu", device=one, method=method, accuracy=0.04)
        for one in devices
    ]
    for name, amount in (beside or {}).items():
        energies[f"{name}.model"] = _estimate(amount, 0.5)
        channels.append(
            Channel(id=f"{name}.model", component=name, device=name, method="model", accuracy=0.5)
        )
    names = {channel.id: channel.component for channel in channels}
    energy: dict[str, Estimate] = {}
    for key, one in energies.items():
        there = energy.get(names[key])
        energy[names[key]] = one if there is None else there.plus(one, same_sensor=True)
    run = Measurement(
        name="run",
        n=1,
        start_s=0.0,
        duration_s=seconds,
        work=work if work is not None else {"token": 10_000},
        energy_by_channel_j=energies,
        energy_j=energy,
        coverage=dict.fromkeys(energy, coverage),
        validity=validity(findings),
        methods=component_methods(energies, channels),
    )
    return Record(
        run_id=more.pop("run_id", f"{start:%Y%m%dT%H%M%SZ}-{number:04x}"),
        created=f"{start:%Y-%m-%dT%H:%M:%SZ}",
        stage=stage,
        environment=Environment(
            devices=tuple(Device(id=one, name=hardware) for one in devices), host=more.pop("host", HOST)
        ),
        channels=tuple(channels),
        measurements=(run,),
        findings=findings,
        provenance=Provenance(version="0.2.0", journal_sha256=f"{number:064x}"),
        model=Model(id=model) if model is not None else None,
        place=Place(zone=place) if place is not None else None,
        **more,
    )


def _estimate(joules: float, share: float = 0.04) -> Estimate:
    return Estimate(value=joules, random=0.001 * joules, systematic=share * joules)


def inference(number: int, j_per_request: float, *, task: str = "text-generation", **more: Any) -> Record:
    """A benchmark as a table of results shows it: its figure is per request, and it is rated or says why not."""
    items = 1000
    more.setdefault("load", Load(items=items, batch_size=1, concurrency=1, max_new_tokens=10, seed=0))
    more.setdefault("task", Task(name=task, protocol="aes-2025-02", unit="request"))
    record = a_record(
        number, items * j_per_request, stage="inference", work={"request": items, "token": 10 * items}, **more
    )
    return replace(record, measurements=(record["run"], replace(record["run"], name="measured")))


def written(folder: Path, record: Record, name: str | None = None) -> Path:
    """The folder of a run with this record, and no journal."""
    run = folder / (name or record.run_id)
    run.mkdir(parents=True, exist_ok=True)
    write_record(record, run / "record.json")
    return run


def measured(folder: Path, *, watts: float = 300.0, seconds: float = 60.0, **more: Any) -> Path:
    """A run that a meter really measured, with journal and record; the clock is a virtual one."""
    clock = VirtualClock()
    power, energy = constant(watts)
    device = FakeDevice(clock=clock, power=power, energy=energy)
    stage = more.pop("stage", "fine-tuning")
    more.setdefault("model", "org/model-7b")
    with measure(stage, output_dir=folder, sensors=[device], clock=clock, report=None, **more) as run:
        clock.sleep(seconds)
        run.count(token=10_000)
    return folder
