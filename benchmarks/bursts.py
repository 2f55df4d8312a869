"""Windows beside short bursts: how far their energies are from the truth, and whether their doubts reach it. On a virtual clock.

A window's edge falls into a tick of the counter; what else happens within that tick is seen by nobody. *beside* has a window of its own power with a
burst (a prefill, a warm-up, a copy) before or after each edge, inside or outside of it; *at edges* has power step at the edges and nowhere else;
*anywhere* has loads that step at random, and edges that know nothing of it. Run as ``python benchmarks/bursts.py [--runs N]``.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from uneven_gpu import Gpu
from virtual import VirtualClock, steps

from energy_rating import measure

LEVELS_W = (60.0, 650.0)
WINDOWS = 10
REGISTERS_S = (0.025, 0.1, None)  # over how long the register's values are means; None: no register

Edges = list[tuple[float, float]]
Changes = list[tuple[float, float]]


class Found(NamedTuple):
    error_j: float
    doubt_j: float
    truth_j: float


def beside(rng: random.Random, now: float) -> tuple[Edges, Changes]:
    edges, changes = [], [(-math.inf, 70.0)]
    for _ in range(WINDOWS):
        start = now + rng.uniform(1, 2)
        end = start + rng.uniform(0.8, 3)
        inside, outside = rng.uniform(*LEVELS_W), rng.choice((70.0, rng.uniform(*LEVELS_W)))
        inside = rng.choice((inside, changes[-1][1]))
        changes += [(start, inside), (end, outside)]
        for edge, after in ((start, inside), (end, outside)):
            burst_s, burst_w = rng.uniform(0.01, 0.25), rng.uniform(*LEVELS_W)
            kind = rng.choice(("none", "before", "after"))
            if kind == "before":
                changes += [(edge - burst_s, burst_w), (edge, after)]
            elif kind == "after":
                changes += [(edge, burst_w), (edge + burst_s, after)]
        edges.append((start, end))
        now = end
    return edges, changes


def at_edges(rng: random.Random, now: float) -> tuple[Edges, Changes]:
    edges, changes = [], [(-math.inf, 70.0)]
    for _ in range(WINDOWS):
        start = now + rng.uniform(0.3, 2)
        now = start + rng.uniform(0.5, 3)
        changes += [(start, rng.uniform(*LEVELS_W)), (now, rng.choice((70.0, rng.uniform(*LEVELS_W))))]
        edges.append((start, now))
    return edges, changes


def anywhere(rng: random.Random, now: float) -> tuple[Edges, Changes]:
    edges, changes, began = [], [(-math.inf, 70.0)], now
    for _ in range(WINDOWS):
        start = now + rng.uniform(0.3, 2)
        now = start + rng.uniform(0.5, 3)
        edges.append((start, now))
    mean_s = rng.choice((0.2, 0.5, 1.0, 3.0))
    while began < now + 3:
        began += rng.expovariate(1 / mean_s)
        changes.append((began, rng.uniform(*LEVELS_W)))
    return edges, changes


CASES: Sequence[Callable[[random.Random, float], tuple[Edges, Changes]]] = (beside, at_edges, anywhere)


def run(case: Callable[..., tuple[Edges, Changes]], seed: int, shown_s: float | None) -> list[Found]:
    rng = random.Random(f"{case.__name__} {seed}")
    clock = VirtualClock()
    clock.late_s = rng.choice((0.0005, 0.002))
    edges, changes = case(rng, clock.time + 2)
    # Bursts of two edges may overlap; what was said last holds.
    power, energy = steps(*sorted(changes, key=lambda change: change[0]))
    device = Gpu(
        clock, power, energy, phase_s=rng.uniform(0, 0.1), cost_s=0.0002, has_register=shown_s is not None
    )
    device.shown_phase_s, device.shown_s = rng.uniform(0, 0.1), shown_s or 0.025
    found = []
    with tempfile.TemporaryDirectory() as folder:
        with measure(output_dir=folder, sensors=[device], clock=clock, report=None) as under_way:
            truths = []
            for number, (start, end) in enumerate(edges):
                clock.sleep(start - clock.time)
                with under_way.window(f"w{number}"):
                    began = clock.time
                    clock.sleep(end - clock.time)
                    truths.append(energy(clock.time) - energy(began))
            clock.sleep(2.0)
        for number, truth_j in enumerate(truths):
            estimate = under_way.record[f"w{number}"].energy_j["gpu"]
            found.append(Found(estimate.value - truth_j, estimate.random, truth_j))
    return found


def told(found: Sequence[Found]) -> str:
    zs = [abs(one.error_j / one.doubt_j) for one in found]
    error = math.sqrt(sum((one.error_j / one.truth_j) ** 2 for one in found) / len(found))
    rms_j = math.sqrt(sum(one.error_j**2 for one in found) / len(found))
    doubt_j = math.sqrt(sum(one.doubt_j**2 for one in found) / len(found))
    middle = sorted(one.doubt_j / one.truth_j for one in found)[len(found) // 2]
    return (
        f"error {error:.2%} rms, {rms_j:.2f} J rms where {doubt_j:.2f} J are claimed (median {middle:.2%}); "
        f"95 % intervals hold {sum(z <= 1.96 for z in zs) / len(zs):.1%}, beyond 3 σ {sum(z > 3 for z in zs)} "
        f"of {len(zs)}, furthest {max(zs):.1f} σ"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="of each case and register, ten windows each")
    runs = parser.parse_args().runs
    for case in CASES:
        for shown_s in REGISTERS_S:
            found = [one for seed in range(runs) for one in run(case, seed, shown_s)]
            print(f"{case.__name__:9}, register {shown_s or 'none':>5}: {told(found)}", flush=True)


if __name__ == "__main__":
    main()
