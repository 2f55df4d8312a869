"""How often the 95 % interval holds the truth: power profiles x counters x lengths on a virtual clock, gain drawn from N(1, 0.04).

Prints a table; a row is one profile on one kind of sensor. Run: python benchmarks/coverage.py [TRIALS]
"""

from __future__ import annotations

import bisect
import math
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from virtual import FakeDevice, VirtualClock, constant, sine, square

from energy_rating import measure

Profile = tuple[Callable[[float], float], Callable[[float], float]]

PROFILES = (
    "constant",
    "job",
    "near edge",
    "step",
    "square 0.03",
    "square 0.1",
    "square 0.103",
    "square 0.3",
    "square 2",
    "ramp",
    "sine",
    "burst",
    "noise",
)
SENSORS = {"counter 20 ms": 0.02, "counter 100 ms": 0.1, "RAPL": 0.001, "register": 0.1}
LENGTHS_S = (0.3, 1.0, 5.0)
GAIN = 0.04


class Trial(NamedTuple):
    sensor: str
    profile: str
    length_s: float
    number: int


def piecewise(points: list[tuple[float, float]]) -> Profile:
    times = [time for time, _ in points]
    watts = [power for _, power in points]
    sums = [0.0]
    for index in range(1, len(times)):
        sums.append(sums[-1] + watts[index - 1] * (times[index] - times[index - 1]))

    def at(t: float) -> int:
        return max(bisect.bisect_right(times, t) - 1, 0)

    return (lambda t: watts[at(t)]), (lambda t: sums[at(t)] + watts[at(t)] * (t - times[at(t)]))


def profile(name: str, rng: random.Random, start: float, end: float) -> Profile:
    low, high = rng.uniform(60, 120), rng.uniform(300, 600)
    if name == "constant":
        return constant(high)
    if name == "job":  # idle until the window, idle after it
        return piecewise([(0, low), (start, high), (end, low)])
    if name == "near edge":
        return piecewise(
            [(0, low), (start + rng.uniform(-0.15, 0.15), high), (end + rng.uniform(-0.15, 0.15), low)]
        )
    if name == "step":
        return piecewise([(0, low), (start + rng.uniform(0.1, 0.9) * (end - start), high)])
    if name.startswith("square"):
        period = float(name.split()[1])
        return square(low, high, period, rng.uniform(0.3, 0.7), rng.uniform(0, period))
    if name == "ramp":
        first, last, steps = start - 2, end + 1, 400
        return piecewise(
            [(0, low)]
            + [(first + (last - first) * n / steps, low + (high - low) * n / steps) for n in range(steps + 1)]
        )
    if name == "sine":
        return sine(300, rng.uniform(50, 200), rng.choice([0.05, 0.3, 1.0, 4.0]), rng.uniform(0, 4))
    points, time = [(0.0, low)], 900.0
    while time < end + 5:
        if name == "burst":
            time += rng.expovariate(2.0) + 0.005
            points.append((time, high))
            time += rng.expovariate(8.0) + 0.003
            points.append((time, low))
        else:
            time += 0.01
            points.append((time, high * (1 + rng.gauss(0, 0.1))))
    return piecewise(points)


def one(trial: Trial) -> tuple[Trial, float, float, float, bool] | None:
    """Relative error without gain, relative random doubt, and whether the whole interval held the truth at a drawn gain."""
    rng = random.Random(repr(trial))
    clock = VirtualClock()
    start = 1003 + rng.random()
    end = start + trial.length_s
    power, energy = profile(trial.profile, rng, start, end)
    tick = SENSORS[trial.sensor]
    gain = rng.gauss(1.0, GAIN)
    device = FakeDevice(
        clock=clock,
        power=power,
        energy=energy,
        gain=gain,
        tick_s=tick,
        phase_s=rng.uniform(0, tick),
        cost_s=0.0002,
        has_counter=trial.sensor != "register",
        has_register=trial.sensor != "RAPL",
        known_period=trial.sensor == "RAPL",
        component="cpu" if trial.sensor == "RAPL" else "gpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        with measure(output_dir=Path(folder) / "run", sensors=[device], clock=clock, report=None) as run:
            clock.sleep(start - clock.time)
            with run.window("w"):
                clock.sleep(trial.length_s)
            clock.sleep(0.5)
        found = run.record["w"].energy_j.get(device.component)
    if found is None:
        return None
    truth = energy(end) - energy(start)
    low, high = found.interval()
    return (
        trial,
        found.value / gain / truth - 1,
        found.random / truth,
        found.value / truth - 1,
        low <= truth <= high,
    )


def main(trials: int) -> None:
    todo = [
        Trial(sensor, name, length_s, number)
        for sensor in SENSORS
        for name in PROFILES
        for length_s in LENGTHS_S
        for number in range(trials)
    ]
    rows: dict[tuple[str, str, float], list[tuple[float, float, bool]]] = defaultdict(list)
    with ProcessPoolExecutor() as pool:
        for result in pool.map(one, todo, chunksize=20):
            if result is not None:
                trial, error, doubt, _, held = result
                rows[trial.sensor, trial.profile, trial.length_s].append((error, doubt, held))
    print("| sensor | profile | s | error rms % | random doubt % | within random 95 % | interval holds |")
    print("|---|---|---|---|---|---|---|")
    pooled: dict[tuple[str, float], list[bool]] = defaultdict(list)
    for (sensor, name, length_s), found in rows.items():
        rms = math.sqrt(mean(error**2 for error, _, _ in found))
        doubt = math.sqrt(mean(doubt**2 for _, doubt, _ in found))
        inside = mean(abs(error) <= 1.96 * doubt + 1e-4 for error, doubt, _ in found)
        held = mean(held for _, _, held in found)
        pooled[sensor, length_s] += [held for _, _, held in found]
        print(
            f"| {sensor} | {name} | {length_s:g} | {100 * rms:.2f} | {100 * doubt:.2f} | {inside:.2f} | {held:.2f} |"
        )
    print("\n| sensor | s | interval holds, all profiles |")
    print("|---|---|---|")
    for (sensor, length_s), held_all in pooled.items():
        print(f"| {sensor} | {length_s:g} | {mean(held_all):.3f} (n = {len(held_all)}) |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
