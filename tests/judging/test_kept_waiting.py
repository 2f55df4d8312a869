"""A program that holds Python's lock, or a machine that is paused: readings come seldom and at any distance, and are right each by itself.

What happened between two of them nobody saw: that is doubt, and speaks against no sensor.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant, sine, square

from energy_rating import Record, measure
from energy_rating.judging.integration.register import Register
from energy_rating.nouns.records import Samples

RUNS = 30


def columns(readings: list[tuple[float, float]]) -> Samples:
    times = [time for time, _ in readings]
    return Samples(start_s=times, end_s=times, values=[watts for _, watts in readings])


def kept_waiting(seed: int, folder: Path, *, has_counter: bool) -> tuple[Record, dict[str, float]]:
    """A run of a program that holds the lock for up to a second and a half at a time, and what its windows truly drew."""
    chance = random.Random(seed)
    clock = VirtualClock(1000.0 + chance.random())
    power, energy = (
        constant(300.0),
        square(100.0, 500.0, chance.uniform(0.3, 3.0), chance.uniform(0.3, 0.7), chance.uniform(0.0, 3.0)),
        square(60.0, 690.0, chance.uniform(0.5, 6.0), chance.uniform(0.2, 0.6), chance.uniform(0.0, 5.0)),
        sine(300.0, 200.0, chance.uniform(0.5, 10.0)),
    )[seed % 4]
    gpu = FakeDevice(clock, power, energy, phase_s=chance.uniform(0.0, 0.1), has_counter=has_counter)

    def work(seconds: float, longest_s: float) -> None:
        until = clock.time + seconds
        while clock.time < until:
            clock.time += min(chance.uniform(0.0, longest_s), until - clock.time)  # nobody else runs
            clock.sleep(max(0.0, min(chance.uniform(0.0, 0.4), until - clock.time)))

    truth = {}
    with measure("other", output_dir=folder / str(seed), sensors=[gpu], clock=clock, report=None) as run:
        since = clock.time
        for number in range(3):
            work(chance.uniform(0.1, 2.0), chance.choice([0.0, 0.15, 1.5]))
            with run.window(f"window-{number}"):
                start = clock.time
                work(chance.uniform(1.0, 4.0), chance.choice([0.0, 0.15, 1.5]))
                truth[f"window-{number}"] = energy(clock.time) - energy(start)
        truth["run"] = energy(clock.time) - energy(since)
    return run.record, truth


@pytest.mark.parametrize("has_counter", [True, False])
def test_no_sound_sensor_is_accused_and_every_figure_is_within_its_doubt(
    tmp_path: Path, has_counter: bool
) -> None:
    asked = outside = 0
    for seed in range(RUNS):
        record, truth = kept_waiting(seed, tmp_path, has_counter=has_counter)
        codes = {finding.code for finding in record.findings}
        assert codes.isdisjoint({"counter-disagrees-with-power", "counter-not-used"}), seed
        for name, true_j in truth.items():
            energy = record[name].energy_j["gpu"]
            if record[name].coverage["gpu"] == 1.0:
                asked += 1
                outside += abs(energy.value - true_j) > 1.96 * energy.sigma
    assert asked > 3 * RUNS
    assert outside <= 0.05 * asked


def test_a_hole_that_the_pace_of_the_readings_does_not_explain_is_doubt() -> None:
    """Half a second at full power between two readings of an idle card."""
    readings = [(0.1 * n, 60.0 if n < 40 else 690.0) for n in range(60)]
    whole = Register(columns(readings), accuracy=0.0, period_s=0.1, limit_w=1050.0)
    holed = Register(
        columns([(t, w) for t, w in readings if not 1.05 < t < 1.65]),
        accuracy=0.0,
        period_s=0.1,
        limit_w=1050.0,
    )
    seen, unseen = whole.between(0.5, 2.5), holed.between(0.5, 2.5)
    assert seen is not None
    assert unseen is not None
    assert seen.energy.random == 0.0
    assert math.isclose(unseen.energy.value, seen.energy.value)
    assert 4 * unseen.energy.random > 0.6 * (690.0 - 60.0)
    beside = holed.between(2.0, 3.5)
    assert beside is not None
    assert beside.energy.random == 0.0


def test_readings_that_are_seldom_by_plan_have_no_holes() -> None:
    register = Register(
        columns([(float(n), 300.0) for n in range(30)]), accuracy=0.0, period_s=0.1, limit_w=1050.0
    )
    energy = register.between(5.0, 15.0)
    assert energy is not None
    assert energy.energy.random == 0.0


def test_where_next_to_nobody_looked_anything_may_have_been_drawn() -> None:
    """Two readings a second apart tell nothing of what was between them, even if they say the same."""
    register = Register(
        columns([(0.0, 100.0), (0.5, 100.0), (1.8, 100.0)]), accuracy=0.0, period_s=0.1, limit_w=1050.0
    )
    energy = register.between(0.5, 1.8)
    assert energy is not None
    assert math.isclose(energy.energy.value, 130.0)
    assert energy.energy.random > 0.5 * energy.energy.value
