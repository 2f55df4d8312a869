"""What a step of a loop costs more with ``run.steps`` than without us, and whether a million of them take memory.

The same loop is run with and without us in turn, in one process, in an order drawn by lot: nothing is asserted, and what one machine does at
one time is in both. A step is work of about 20 ms on the processor, of which the time of this thread alone is told beside that of the clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from fake_nvml import Device, FakeNvml
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure

STEP_S = 0.02
LATENCY_US = 20  # of a call of the fake NVML, about what an awake GPU's driver takes


def rounds_of(step_s: float) -> int:
    """So many rounds of work take this thread so long."""
    rounds = 1000
    while True:
        since = time.thread_time()
        work(rounds)
        took_s = time.thread_time() - since
        if took_s > step_s / 4:
            return max(1, round(rounds * step_s / took_s))
        rounds *= 2


def work(rounds: int) -> int:
    """Work on the processor that holds Python's lock."""
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


def loop(items: Iterable[int], rounds: int) -> tuple[float, float]:
    """Seconds of this thread and of the clock that a loop takes."""
    thread_s, clock_s = time.thread_time(), time.perf_counter()
    for _ in items:
        work(rounds)
    return time.thread_time() - thread_s, time.perf_counter() - clock_s


def slow_down(pairs: int, steps: int) -> dict[str, Any]:
    """How much longer a loop takes with us, in per cent: the median over pairs of both, in an order drawn by lot."""
    dice, rounds = random.Random(7), rounds_of(STEP_S)
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(pairs):
        for with_us in dice.sample([True, False], 2):
            if not with_us:
                found[False].append(loop(range(steps), rounds))
                continue
            with tempfile.TemporaryDirectory() as place:
                run = measure(
                    "fine-tuning", output_dir=place, sensors=["nvml"], report=None, progress=60
                ).start()
                found[True].append(loop(run.steps(range(steps), token=512), rounds))
                run.stop()
    told = {}
    for number, name in enumerate(("thread", "clock")):
        ratios = [a[number] / b[number] for a, b in zip(found[True], found[False], strict=True)]
        told[f"more_{name}_percent"] = round(100 * (median(ratios) - 1), 3)
    return told | {
        "steps": steps,
        "pairs": pairs,
        "step_ms": 1e3 * median(b[0] for b in found[False]) / steps,
    }


def cost_of_a_step(steps: int) -> dict[str, float]:
    """Microseconds of this thread that an empty step takes, beside the loop's own."""
    with tempfile.TemporaryDirectory() as place:
        run = measure("fine-tuning", output_dir=place, sensors=["nvml"], report=None, progress=60).start()
        bare, ours = loop(range(steps), 0), loop(run.steps(range(steps), token=512), 0)
        run.stop()
    micros = 1e6 * (ours[0] - bare[0]) / steps
    return {"step_us": round(micros, 1), "of_20_ms_percent": round(micros / (1e4 * STEP_S), 3)}


def memory(steps: int) -> dict[str, Any]:
    """Mebibytes of this process after a tenth of the steps and after all, under a virtual clock: a step of 20 ms, a GPU of 300 W."""

    def resident_mib() -> float:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy, has_register=False)
    told: dict[str, Any] = {"steps": steps}
    with tempfile.TemporaryDirectory() as place:
        run = measure(
            "fine-tuning", output_dir=place, sensors=[gpu], clock=clock, report=lambda _: None, progress=60
        )
        run.start()
        for number in run.steps(range(steps), token=512):
            clock.sleep(STEP_S)
            if number + 1 in (steps // 10, steps):
                told[f"mib_after_{number + 1}"] = round(resident_mib(), 1)
        told["journal_mib"] = round((Path(place) / "journal.jsonl").stat().st_size / 2**20, 1)
        run.stop()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=25, help="in each loop of a pair")
    parser.add_argument("--many", type=int, default=1_000_000, help="steps for the memory")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with FakeNvml(devices=[Device(latency_us=LATENCY_US)]).load():
        found["slow_down"] = slow_down(asked.pairs, asked.steps)
        found["step"] = cost_of_a_step(10_000)
    found["memory"] = memory(asked.many)
    text = json.dumps(found, indent=1)
    if asked.out is not None:
        asked.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
