"""A journal replayed through the meter comes to the energy that it held."""

from __future__ import annotations

import pytest
from virtual import FakeDevice, VirtualClock, sine, square

from energy_rating import measure
from energy_rating.measuring.sensors import kinds, replay
from energy_rating.nouns.errors import SensorLost


@pytest.mark.parametrize("profile", [sine(250, 80, 3.0), square(100, 400, 2.0)])
def test_a_replayed_run_has_the_energy_of_the_recorded_one(tmp_path, profile):
    clock = VirtualClock()
    power, energy = profile
    devices = [
        FakeDevice(clock=clock, power=power, energy=energy, number=n, device=f"GPU-{n}") for n in range(2)
    ]
    with measure(output_dir=tmp_path / "a", sensors=devices, clock=clock, report=None) as recorded:
        clock.sleep(20)
    again = VirtualClock()
    replayed = replay.sensors(tmp_path / "a", now=again.now)
    assert len(replayed) == 2
    with measure(output_dir=tmp_path / "b", sensors=replayed, clock=again, report=None) as run:
        again.sleep(20)
    was, now = recorded.record["run"].energy_j["gpu"], run.record["run"].energy_j["gpu"]
    assert now.value == pytest.approx(was.value, rel=0.005)


def test_a_journal_that_has_ended_is_a_device_that_is_gone(tmp_path):
    clock = VirtualClock()
    power, energy = sine(250, 80, 3.0)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(output_dir=tmp_path / "a", sensors=[gpu], clock=clock, report=None):
        clock.sleep(5)
    (sensor,) = replay.sensors(tmp_path / "a", now=clock.now)
    assert all(isinstance(value, float) for value in sensor.read().values())
    clock.sleep(10)
    assert all(isinstance(value, SensorLost) for value in sensor.read().values())
    sensor.close()
    with pytest.raises(SensorLost):
        sensor.read()


def test_a_replay_is_never_taken_for_a_device_of_this_machine():
    assert "replay" not in tuple(kinds())
