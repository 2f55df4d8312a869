"""Programs that run ahead of their devices: the work of a window may be done after it, and that is known, or waited for."""

from __future__ import annotations

import sys
import types

import pytest
from virtual import FakeDevice, VirtualClock, steps

from energy_rating import measure


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Device:
    """A device with a queue: what it is given takes it time, and nobody waits who does not ask to."""

    def __init__(self, clock):
        self.clock = clock
        self.done_s = clock.now()
        self.drained = 0

    def give(self, seconds):
        self.done_s = max(self.done_s, self.clock.now()) + seconds

    def wait(self):
        self.drained += 1
        self.clock.sleep(max(0.0, self.done_s - self.clock.now()))


class Array:
    """As jax.Array: it is there before it is computed."""

    def __init__(self, device):
        self.device, self.done_s = device, device.done_s

    def is_ready(self):
        return self.device.clock.now() >= self.done_s

    def block_until_ready(self):
        self.device.wait()
        return self


class Jax(types.ModuleType):
    def __init__(self, device):
        super().__init__("jax")
        self.device, self.arrays = device, []

    def effects_barrier(self):
        pass

    def live_arrays(self):
        return list(self.arrays)

    def dispatch(self, seconds):
        self.device.give(seconds)
        self.arrays = [Array(self.device)]


class Stream:
    def __init__(self, device):
        self.device, self.done_s = device, device.done_s

    def query(self):
        return self.device.clock.now() >= self.done_s

    def record_event(self):
        return self


class Torch(types.ModuleType):
    def __init__(self, device):
        super().__init__("torch")
        self.cuda = types.SimpleNamespace(
            is_available=lambda: True,
            is_initialized=lambda: True,
            device_count=lambda: 2,
            memory_reserved=lambda index: index == 0,
            current_device=lambda: 0,
            synchronize=lambda index: device.wait(),
            current_stream=lambda index: Stream(device),
        )
        self.dispatch = device.give


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture(params=[Jax, Torch])
def framework(request, monkeypatch, clock):
    for name in ("torch", "jax", "cupy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = request.param(Device(clock))
    module.at = Device
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def a_run(tmp_path, clock, **more):
    """A GPU of 100 W for 20 s, and 300 W then."""
    power, energy = steps((-float("inf"), 100.0), (clock.now() + 20, 300.0))
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    return measure("other", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None, **more)


def told(record, code="work-still-queued"):
    return {finding.measurement: finding.severity for finding in record.findings if finding.code == code}


def test_the_end_of_a_run_waits_once_for_the_devices(tmp_path, clock, framework):
    with a_run(tmp_path, clock) as run:
        clock.sleep(1)
        framework.dispatch(50)
    assert run.record["run"].duration_s == pytest.approx(51)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(20 * 100 + 31 * 300, rel=0.01)
    assert told(run.record) == {}


def test_a_window_that_was_closed_before_its_work_was_done_is_not_passed_off_as_valid(
    tmp_path, clock, framework
):
    with a_run(tmp_path, clock) as run:
        with run.window("train"):
            clock.sleep(1)
            framework.dispatch(50)
        clock.sleep(60)
    assert told(run.record) == {"train": "degrades"}
    assert run.record["train"].validity == "degraded"
    assert run.record["run"].validity == "valid"


def test_a_run_with_sync_waits_at_the_edges_of_its_windows(tmp_path, clock, framework):
    with a_run(tmp_path, clock, sync=True) as run:
        with run.window("train"):
            clock.sleep(1)
            framework.dispatch(50)
        with run.window("rest", sync=False):
            clock.sleep(10)
    assert run.record["train"].duration_s == pytest.approx(51)
    assert told(run.record) == {}


def test_a_loop_waits_at_its_end_and_its_steps_follow_upon_each_other(tmp_path, clock, framework):
    """The program is 0.2 s ahead all along: what one step loses the next one gains, and the last one waits."""
    with a_run(tmp_path, clock) as run:
        for _ in run.steps(range(100)):
            framework.dispatch(0.2)
            clock.sleep(0.2)
        assert run.elapsed_s() >= 20
    assert told(run.record).get("step", "note") == "note"
    assert run.record["step"].validity == "valid"
    assert run.record["step"].duration_s == pytest.approx(20, rel=0.02)


def test_what_is_queued_for_a_moment_at_the_end_of_a_long_window_is_not_grave(tmp_path, clock, framework):
    with a_run(tmp_path, clock) as run:
        with run.window("epoch"):
            clock.sleep(30)
            framework.dispatch(0.3)
        clock.sleep(5)
    assert told(run.record) in ({"epoch": "note"}, {})
    assert run.record["epoch"].validity == "valid"


def test_a_program_that_was_broken_off_is_not_waited_for_and_that_is_told(tmp_path, clock, framework):
    with pytest.raises(KeyboardInterrupt), a_run(tmp_path, clock) as run:
        clock.sleep(1)
        framework.dispatch(1000)
        raise KeyboardInterrupt
    assert run.record["run"].duration_s < 2
    assert told(run.record) == {"run": "note"}


def test_a_framework_that_fails_when_it_is_asked_costs_a_finding_and_nothing_else(
    tmp_path, clock, monkeypatch
):
    broken = types.ModuleType("jax")
    exec(
        "def live_arrays():\n    raise RuntimeError('device-side assert triggered')\neffects_barrier = live_arrays",
        vars(broken),
    )
    for name in ("torch", "cupy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "jax", broken)
    with a_run(tmp_path, clock) as run:
        for _ in run.steps(range(3)):
            clock.sleep(1)
    assert run.record["step"].n == 3
    assert "sync-failed" in {finding.code for finding in run.record.findings}


def test_without_a_framework_nothing_is_asked(tmp_path, clock, monkeypatch):
    for name in ("torch", "jax", "cupy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with a_run(tmp_path, clock) as run, run.window("a"):
        clock.sleep(1)
    assert told(run.record) == {}
