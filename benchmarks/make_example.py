"""Makes ``reports/example-gpu``: a benchmark of a model that does not exist on a device that does not exist.

It shows what a whole rating looks like where no real one can be had. The journal is made by the real meter on a virtual clock;
only the device and the model are invented, and the word *example* is in every name. Run: python benchmarks/make_example.py
"""

from __future__ import annotations

import functools
import gzip
import math
import shutil
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests" / "fakes"))

from virtual import FakeDevice, VirtualClock  # noqa: E402

from energy_rating.benchmarking.conduct import run_plan  # noqa: E402
from energy_rating.benchmarking.plan import planned  # noqa: E402
from energy_rating.benchmarking.tasks import load_task  # noqa: E402
from energy_rating.files.whole import write_whole  # noqa: E402
from energy_rating.judging.rating import rate  # noqa: E402
from energy_rating.measuring import environment  # noqa: E402
from energy_rating.measuring.sensors import Detection  # noqa: E402
from energy_rating.nouns.records import Device, Model  # noqa: E402
from energy_rating.publishing.folder import publish  # noqa: E402

FOLDER = TOP / "reports" / "example-gpu"
IDLE_W, LOADING_W, BUSY_W = 72.0, 130.0, 338.0
ITEM_S = 0.0602


class ExampleModel:
    """Draws a busy power that sways a little, as a card's does with its temperature."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.changes: list[tuple[float, float, float]] = [
            (0.0, IDLE_W, 0.0)
        ]  # since when, watts, joules until then

    def draw(self, watts: float) -> None:
        now = self.clock.now()
        self.changes.append((now, watts, self.energy(now)))

    def energy(self, t: float) -> float:
        since, watts, joules = next(change for change in reversed(self.changes) if change[0] <= t)
        return joules + watts * (t - since)

    def power(self, t: float) -> float:
        return next(change[1] for change in reversed(self.changes) if change[0] <= t)

    def load(self) -> None:
        self.draw(LOADING_W)
        self.clock.sleep(6.0)
        self.draw(IDLE_W)

    def run(self, items: object) -> dict[str, int]:  # noqa: ARG002  one request a call
        self.draw(BUSY_W + 9.0 * math.sin(self.clock.now() / 7.0) + 3.0 * math.sin(self.clock.now() / 61.0))
        self.clock.sleep(ITEM_S)
        self.draw(IDLE_W)
        return {"request": 1, "token": 10, "input_token": 369}

    def close(self) -> None:
        pass


def main() -> None:
    # No machine stands behind an example.
    environment.describe = functools.partial(environment.describe, machine_ids=())
    clock = VirtualClock()
    model = ExampleModel(clock)
    device = Device(
        id="GPU-00000000-0000-0000-0000-000000000000",
        name="Example GPU",
        driver="example",
        power_limit_w=700.0,
        memory_gb=80.0,
        mig=False,
    )
    gpu = FakeDevice(clock=clock, power=model.power, energy=model.energy, device=device.id, phase_s=0.041)
    with tempfile.TemporaryDirectory() as scratch:
        items = Path(scratch) / "items.jsonl"
        items.write_text("".join(f'{{"text": "example text {number}"}}\n' for number in range(1000)))
        plan = planned(
            load_task("text-generation"), protocol="aes-2025-02", items=items, repeats=5, min_duration_s=60.0
        )
        run = run_plan(
            model,
            plan,
            model=Model(id="example/example-model", parameters=1_240_000_000, dtype="float16"),
            output_dir=Path(scratch) / "run",
            sensors=[Detection(sensors=(gpu,), devices=(device,))],
            clock=clock,
            sleep=clock.sleep,
        )
        record = run.record
        publish(Path(scratch) / "run", record, rate(record))
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        for path in (Path(scratch) / "run").iterdir():
            if path.name == "journal.jsonl":
                # No time stamp in the header, so that the same journal gives the same file.
                write_whole(FOLDER / "journal.jsonl.gz", gzip.compress(path.read_bytes(), mtime=0))
            else:
                write_whole(FOLDER / path.name, path.read_bytes())
    print(rate(record))


main()
