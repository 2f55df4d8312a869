"""A run on the virtual clock with one GPU of 300 W, four seconds old: for tests of what happens inside runs."""

from __future__ import annotations

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure


@pytest.fixture(autouse=True)
def state_apart(monkeypatch, tmp_path):
    """Runs that name no folder go where the test does."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(name="run")
def run_on_one_gpu(tmp_path):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure("inference", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as opened:
        clock.sleep(4)
        yield opened


def ended(run):
    """The run's record, after four seconds more."""
    run.settings.clock.sleep(4)
    run.stop()
    return run.record


def codes(record):
    return [finding.code for finding in record.findings]
