"""Writes into ``hardware_profiles/example-gpu.toml`` what the points of the calibration take on a device that does not exist.

The energies are computed by the real calibration on a virtual clock, from a power and a time for each model that are invented here:
with them the whole road can be tested against a truth that is known. Run: python benchmarks/example_calibration.py
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests" / "fakes"))

from virtual import FakeDevice, VirtualClock  # noqa: E402

from energy_rating.benchmarking.calibration.calibrate import calibrate  # noqa: E402
from energy_rating.benchmarking.calibration.points import Calibration  # noqa: E402
from energy_rating.benchmarking.work import Item, Settings  # noqa: E402
from energy_rating.files.whole import write_whole  # noqa: E402
from energy_rating.judging.profiles import (  # noqa: E402
    EXAMPLE_DEVICE,
    CalibrationEnergy,
    MeterGain,
    load_profile,
    profile_to_toml,
)
from energy_rating.measuring.sensors import Detection  # noqa: E402
from energy_rating.nouns.records import Device, Model  # noqa: E402

PROFILE = TOP / "hardware_profiles" / "example-gpu.toml"
COMMENT = """A device that does not exist. Records that name it are examples: they show what a rating looks like, and rate nothing.
Its [[calibration]] is written by benchmarks/example_calibration.py."""

IDLE_W, LIMIT_W = 70.0, 700.0

# Invented: mean watts, and seconds of one item at full use.
TOOK = {
    "smollm2-135m": (210.0, 0.30),
    "llama-3.2-1b": (300.0, 0.55),
    "llama-3.1-8b": (420.0, 0.90),
    "sdxl": (560.0, 1.20),
    "vit-large": (480.0, 0.040),
    "detr-resnet-50": (380.0, 0.025),
}


# A card of that kind, as it would stand beside a meter.
CARD = "GPU-00000000-example"
METER = MeterGain(
    device_sha256=hashlib.sha256(CARD.encode()).hexdigest(),
    gain=0.95,
    doubt=0.01,
    n=24,
    date="2026-11-22",
    meter="a meter that does not exist",
    source="invented",
)


class ExampleModel:
    """Draws the power of its configuration for as long as its items take; many at a time take less than one by one."""

    def __init__(self, clock: VirtualClock, settings: Settings, gpu: ExampleGpu) -> None:
        assert settings.random_weights is not None
        self.clock, self.gpu, self.settings = clock, gpu, settings
        self.watts, self.item_s = TOOK[settings.random_weights.stem]
        self.device = "gpu"

    def load(self) -> None:
        self.clock.sleep(2.0)

    def run(self, items: Sequence[Item]) -> dict[str, int]:
        settings = self.settings
        self.gpu.draw(self.watts * self.gpu.hungrier)
        pixels = (settings.height or 512) ** 2 / 512**2
        self.clock.sleep(self.item_s * pixels * len(items) ** 0.5)
        self.gpu.draw(IDLE_W)
        work = {"request": len(items)}
        if settings.max_new_tokens is not None:
            work["token"] = settings.max_new_tokens * len(items)
        if settings.steps is not None:
            work["image"] = len(items)
        return work

    def close(self) -> None:
        self.gpu.draw(IDLE_W)


class ExampleGpu:
    """Power as it was last set, and its exact integral; ``hungrier``: so many times the example's power for the same work."""

    def __init__(self, clock: VirtualClock, hungrier: float = 1.0) -> None:
        self.clock, self.hungrier = clock, hungrier
        self.since, self.watts, self.joules = clock.now(), IDLE_W, 0.0

    def draw(self, watts: float) -> None:
        now = self.clock.now()
        self.joules, self.since, self.watts = self.energy(now), now, watts

    def power(self, _: float) -> float:
        return self.watts

    def energy(self, t: float) -> float:
        # Ticks may be asked for a moment after they happened: never before the last change.
        return self.joules + self.watts * max(0.0, t - self.since)


def play(
    folder: Path,
    *,
    name: str = EXAMPLE_DEVICE,
    hungrier: float = 1.0,
    limit_w: float = LIMIT_W,
    clock: VirtualClock | None = None,
    model: type[ExampleModel] = ExampleModel,
    **wishes: object,
) -> Calibration:
    """A calibration of an invented GPU on a virtual clock; records and profile go into ``folder``."""
    clock = clock or VirtualClock()
    gpu = ExampleGpu(clock, hungrier)
    meter = FakeDevice(clock=clock, power=gpu.power, energy=gpu.energy, tick_s=0.02, known_period=True)
    device = Device(
        id=meter.device, name=name, driver="1.0", power_limit_w=limit_w, memory_gb=80.0, mig=False
    )

    def prepare(_: str, config: str, settings: Settings, __: Sequence[Item]) -> tuple[ExampleModel, Model]:
        return model(clock, settings, gpu), Model(id=f"random/{config}", dtype=settings.dtype)

    asked = {
        "records": folder / "records",
        "reference": "example-gpu",
        "sensors": [Detection(sensors=(meter,), devices=(device,))],
        "prepare": prepare,
        "clock": clock,
        "sleep": clock.sleep,
        **wishes,
    }
    return calibrate(folder / "profiles", **asked)  # type: ignore[arg-type]


def main() -> None:
    """Writes the energies into the example's profile."""
    known = load_profile("example-gpu", PROFILE.parent)
    text = profile_to_toml(replace(known, calibration=energies(), meter=(METER,)), COMMENT)
    write_whole(PROFILE, text.encode())


def energies() -> tuple[CalibrationEnergy, ...]:
    """What the example device takes; invented, as all of it is."""
    with tempfile.TemporaryDirectory() as folder:
        found = play(Path(folder), as_reference=True)
        assert found.profile is not None
        measured = load_profile("example-gpu", found.profile.parent).calibration
    return tuple(replace(energy, source="invented") for energy in measured)


if __name__ == "__main__":
    main()
