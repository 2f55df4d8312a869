"""Runs of small folders for what shows them (report, leaderboard): a training with epochs and steps, answers at some load. Their truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from virtual import FakeDevice, VirtualClock, constant, sine

from energy_rating import measure
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Device, Load, Model, Record, Task


def a_gpu(clock: VirtualClock, curve: tuple[Any, Any], number: int) -> Detection:
    power, energy = curve
    card = Device(id=f"GPU-{number}", name="NVIDIA H100 80GB HBM3", power_limit_w=700.0, memory_gb=85.5)
    return Detection(
        sensors=(FakeDevice(clock=clock, power=power, energy=energy, device=card.id),), devices=(card,)
    )


def trained(folder: Path, *, epochs: int = 3, steps: int = 20, watts: float = 400.0, **said: Any) -> Record:
    """A training: each epoch holds its steps, each step a second long, and a short evaluation between epochs."""
    clock = VirtualClock()
    gpu = a_gpu(clock, sine(watts, watts / 5, 30.0), said.pop("card", 1))
    about: dict[str, Any] = {"model": Model(id="org/name", parameters=1_000_000_000), "role": "final"}
    with measure(
        "fine-tuning", output_dir=folder, sensors=[gpu], clock=clock, report=None, **(about | said)
    ) as run:
        for _ in range(epochs):
            with run.window("epoch"):
                for _ in range(steps):
                    with run.window("step"):
                        clock.sleep(1.0)
                        run.count(token=512)
            with run.window("evaluation"):
                clock.sleep(3.0)
    assert run.record is not None
    return run.record


def answered(
    folder: Path, *, at_a_time: int = 1, watts: float = 500.0, repeats: int = 5, **said: Any
) -> Record:
    """Answers to requests: idle, five repeats in which prefill and decode are told apart, idle."""
    clock = VirtualClock()
    gpu = a_gpu(clock, constant(watts), said.pop("card", 1))
    about: dict[str, Any] = {
        "model": Model(id="org/name", revision="9c1b22aa77e0" + "0" * 28, dtype="float16"),
        "task": Task(name="text-generation", protocol="aes-2025-02", unit="request"),
        "load": Load(items=1000, batch_size=1, concurrency=at_a_time, max_new_tokens=10, seed=0),
    }
    with measure(
        "inference", output_dir=folder, sensors=[gpu], clock=clock, report=None, **(about | said)
    ) as run:
        with run.window("idle-before"):
            clock.sleep(12)
        for _ in range(repeats):
            with run.window("measured"):
                with run.window("prefill"):
                    clock.sleep(4.0)
                    run.count(input_token=10_000)
                with run.window("decode"):
                    clock.sleep(16.0)
                    run.count(token=2_000 * at_a_time)
                run.count(request=200 * at_a_time)
        with run.window("idle-after"):
            clock.sleep(12)
    assert run.record is not None
    return run.record
