"""Something short that happens in the very tick into which a window's edge falls is seen by nobody; the doubt says so. On a virtual clock."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest
from uneven_gpu import Gpu
from virtual import VirtualClock, steps

from energy_rating import measure

LENGTH_S = 3.0


def beside(case, start, rng):
    """Power over time of a window from ``start`` on that something short happens beside."""
    end, burst_s, burst_w = start + LENGTH_S, rng.uniform(0.03, 0.2), rng.uniform(300.0, 650.0)
    return {
        "work in an idle window's last tick": [(end, burst_w), (end + burst_s, 80.0)],
        "work in an idle window's first tick": [(start - burst_s, burst_w), (start, 70.0)],
        "a prefill before the window": [(start - burst_s, burst_w), (start, 250.0), (end, 70.0)],
        "a prefill at the window's begin": [(start, burst_w), (start + burst_s, 250.0), (end, 70.0)],
        "a copy at the window's end": [(start, 250.0), (end - burst_s, burst_w), (end, 70.0)],
        "a copy after the window": [(start, 250.0), (end, burst_w), (end + burst_s, 70.0)],
    }[case]


def window(folder, case, seed, **options):
    """The error of a window and its random doubt, both as shares of the truth."""
    rng = random.Random(f"{case} {seed}")
    clock = VirtualClock()
    clock.late_s = 0.0005
    start = clock.time + 3 + rng.random()
    power, energy = steps((-math.inf, 70.0), *beside(case, start, rng))
    device = Gpu(clock, power, energy, phase_s=rng.uniform(0, 0.1), cost_s=0.0002, **options)
    device.shown_phase_s = rng.uniform(0, 0.1)
    with measure(output_dir=folder / str(seed), sensors=[device], clock=clock, report=None) as run:
        clock.sleep(start - clock.time)
        with run.window("w"):
            opened = clock.time
            clock.sleep(LENGTH_S)
            closed = clock.time
        clock.sleep(2.0)
    found, truth = run.record["w"].energy_j["gpu"], energy(closed) - energy(opened)
    return found.value / truth - 1, found.random / truth


@pytest.mark.parametrize(
    "case",
    [
        "work in an idle window's last tick",
        "work in an idle window's first tick",
        "a prefill before the window",
        "a prefill at the window's begin",
        "a copy at the window's end",
        "a copy after the window",
    ],
)
@pytest.mark.parametrize("has_register", [True, False])
def test_a_short_burst_beside_a_windows_edge_is_within_its_doubt(case, has_register, tmp_path):
    found = [window(tmp_path, case, seed, has_register=has_register) for seed in range(24)]
    assert (
        mean(abs(error) <= 1.96 * doubt for error, doubt in found) > 0.9
    )  # 95 % but for what chance makes of 24
    assert all(abs(error) <= 4 * doubt for error, doubt in found)
    # A doubt of everything would be no measurement: a tick of 100 ms at the burst's power is some 30 % of 3 s at 70 W.
    assert sorted(doubt for _, doubt in found)[12] < (0.05 if "idle" in case else 0.01)
