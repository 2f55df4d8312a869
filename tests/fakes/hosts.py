"""A job on several hosts, on the virtual clock: each host with GPUs whose power is known, as torchrun starts its first process."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.nouns.records import Device, Record

NAME = "NVIDIA H100 80GB HBM3"
WATTS = 300.0


def gpu_uuid(host: int, gpu: int) -> str:
    """As NVML tells it; the same for the same GPU of the same host."""
    return f"GPU-{uuid.UUID(int=(host + 1) << 64 | gpu + 1)}"


def torchrun(place: int, of: int, ranks: int = 1) -> dict[str, str]:
    """What torchrun sets for the first process of a host."""
    return {
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(ranks),
        "RANK": str(place * ranks),
        "WORLD_SIZE": str(of * ranks),
        "GROUP_RANK": str(place),
        "GROUP_WORLD_SIZE": str(of),
        "MASTER_ADDR": "10.1.0.1",
        "MASTER_PORT": "29512",
        "TORCHELASTIC_RUN_ID": "job-17",
    }


def run_host(
    folder: Path,
    place: int,
    of: int,
    *,
    watts: Sequence[float] = (WATTS, WATTS),
    seconds: float = 20.0,
    tokens: int = 1000,
    environ: Mapping[str, str] | None = None,
    devices: Sequence[str] | None = None,
    raises: bool = False,
    windows: int = 1,
    **settings: Any,
) -> Record:
    """The record of one host: a training of so many seconds, in as many windows ``step``."""
    told = torchrun(place, of) if environ is None else dict(environ)
    names = [gpu_uuid(place, gpu) for gpu in range(len(watts))] if devices is None else list(devices)
    clock = VirtualClock()
    gpus = []
    for number, (name, power_w) in enumerate(zip(names, watts, strict=True)):
        power, energy = constant(power_w)
        gpus.append(FakeDevice(clock=clock, power=power, energy=energy, device=name, number=number))
    described = [Device(id=name, name=NAME, power_limit_w=700.0) for name in names]
    with mock.patch.dict(os.environ, told):
        run = measure(
            "pre-training",
            output_dir=folder,
            sensors=[_detection(gpus, described)],
            clock=clock,
            report=None,
            **settings,
        )
        try:
            with run:
                for _ in range(windows):
                    with run.window("step") as window:
                        clock.sleep(seconds / windows)
                        window.count(token=tokens // windows)
                if raises:
                    raise KeyError
        except KeyError:
            pass
    return run.record


def _detection(gpus: Sequence[FakeDevice], described: Sequence[Device]) -> Any:
    from energy_rating.measuring.sensors import Detection

    return Detection(sensors=tuple(gpus), devices=tuple(described))
