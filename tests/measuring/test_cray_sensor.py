"""Cray: node, processors, memory and accelerators each once, what is stale is no reading, and what was done to the controller is told."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from fake_hwmon import FakeHwmon, recorded

from energy_rating.measuring.sensors.cray import detect
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorUnavailable

# What the parts of an EX node with two accelerators draw, in watts.
DRAWN = {"": 1500.0, "cpu_": 180.0, "memory_": 70.0, "accel0_": 420.0, "accel1_": 380.0}


class Node:
    """A /sys/cray/pm_counters whose files follow the virtual clock, ten times a second as the controller does."""

    def __init__(self, folder: Path, drawn: dict[str, float] = DRAWN, *, stamped: bool = True) -> None:
        self.fake = FakeHwmon(folder)
        self.root = folder / "pm_counters"
        self.stopped_s: float | None = None
        self.restarted_s: float | None = None
        self.stamped = stamped
        for part, watts in drawn.items():
            self.fake.write(self.root / f"{part}energy", self._joules(81_147_367, watts))
            self.fake.write(self.root / f"{part}power", lambda _, watts=watts: self._line(round(watts), "W"))
        self.fake.write(self.root / "freshness", lambda _: f"{round(self._scan() * 10)}")
        self.fake.write(self.root / "generation", "3")
        self.fake.write(self.root / "startup", "1599735018014413")
        self.fake.write(self.root / "raw_scan_hz", "10")
        self.fake.write(self.root / "power_cap", "0 W 1700061089722572 us")
        self.fake.write(self.root / "version", "2")
        self.fake.write(self.root / "cpu0_temp", "41 C 1700061089722572 us")

    @property
    def now(self) -> float:
        return self.fake.clock.time

    def _scan(self) -> float:
        """When the controller measured last."""
        now = self.now if self.stopped_s is None else min(self.now, self.stopped_s)
        return int(now * 10 + 1e-6) / 10

    def _line(self, value: int, unit: str) -> str:
        return f"{value} {unit}" + (
            f" {1700061210000000 + round(self._scan() * 1e6)} us" if self.stamped else ""
        )

    def _joules(self, start: int, watts: float):
        def told(_: float) -> str:
            if self.restarted_s is not None and self._scan() >= self.restarted_s:
                return self._line(int((self._scan() - self.restarted_s) * watts), "J")
            return self._line(start + int(self._scan() * watts), "J")

        return told

    def found(self):
        return detect(self.root, files=self.fake, now=lambda: self.now)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def ids(found) -> dict[str, tuple[str, str]]:
    return {c.id: (c.component, c.method) for sensor in found.sensors for c in sensor.channels}


def test_node_processors_memory_and_each_accelerator_have_a_counter_and_a_register(node):
    found = node.found()
    assert ids(found) == {
        "cray-node.energy": ("host", "counter"),
        "cray-node.power": ("host", "power"),
        "cray-cpu.energy": ("cpu", "counter"),
        "cray-cpu.power": ("cpu", "power"),
        "cray-memory.energy": ("dram", "counter"),
        "cray-memory.power": ("dram", "power"),
        "cray-accel0.energy": ("gpu", "counter"),
        "cray-accel0.power": ("gpu", "power"),
        "cray-accel1.energy": ("gpu", "counter"),
        "cray-accel1.power": ("gpu", "power"),
    }
    assert {c.period_s for sensor in found.sensors for c in sensor.channels} == {0.1}
    assert [device.name for device in found.devices][3:] == [
        "Cray node, accelerator 0",
        "Cray node, accelerator 1",
    ]
    assert not found.findings


def test_energy_is_what_was_drawn_and_the_node_is_no_part_of_any_sum(node, tmp_path):
    record = recorded(node.fake.clock, node.found(), 30.0, folder=tmp_path / "run")
    job = record["job"]
    assert {name: round(energy.value) for name, energy in job.energy_j.items()} == {
        "host": pytest.approx(45_000, rel=0.005),
        "cpu": pytest.approx(5_400, rel=0.005),
        "dram": pytest.approx(2_100, rel=0.005),
        "gpu": pytest.approx(24_000, rel=0.005),
    }
    assert set(job.coverage.values()) == {1.0}


def test_an_older_node_writes_no_times_and_one_counter_for_all_accelerators(tmp_path):
    node = Node(tmp_path, {"": 300.0, "accel_": 120.0}, stamped=False)
    assert {one for one in ids(node.found()) if one.endswith("energy")} == {
        "cray-node.energy",
        "cray-accel.energy",
    }
    (tmp_path / "without").mkdir()
    without = Node(tmp_path / "without", {"": 300.0})
    without.fake.write(without.root / "accel_energy", "0 J")
    without.fake.write(without.root / "accel_power", "0 W")
    assert set(ids(without.found())) == {"cray-node.energy", "cray-node.power"}


def test_what_a_controller_that_stopped_measured_before_is_no_reading(node):
    sensor = node.found().sensors[0]
    assert sensor.read()["cray-node.power"] == 1500.0
    node.stopped_s = node.now
    for _ in range(19):  # between two measurements, and a few late ones
        node.fake.clock.sleep(0.1)
        sensor.read()
    node.fake.clock.sleep(0.3)
    with pytest.raises(SensorFailed, match=r"measured nothing for 2\.\d s"):
        sensor.read()
    node.stopped_s = None
    assert sensor.read()["cray-node.power"] == 1500.0


def test_time_in_which_nothing_was_measured_is_not_covered(node, tmp_path):
    node.stopped_s = node.now + 15.0
    record = recorded(node.fake.clock, node.found(), 30.0, folder=tmp_path / "run")
    assert record["job"].coverage["host"] < 0.6
    assert record["job"].validity == "invalid"


def test_a_controller_that_starts_again_loses_what_it_missed_and_says_so(node, tmp_path):
    node.restarted_s = node.now + 20.0
    node.fake.write(
        node.root / "startup", lambda t: "1599735018014413" if t < node.restarted_s else "1699735018014413"
    )
    record = recorded(node.fake.clock, node.found(), 30.0, folder=tmp_path / "run")
    codes = {finding.code for finding in record.findings}
    assert {"controller-restarted", "counter-reset"} <= codes
    # What it had counted before is no energy of after, and never a roll-over.
    assert record["job"].energy_j["host"].value == pytest.approx(45_000, rel=0.02)


def test_a_power_cap_that_is_set_during_the_run_is_told_once(node, tmp_path):
    node.fake.write(node.root / "power_cap", "2754 W 1700061089722572 us")
    found = node.found()
    assert found.devices[0].power_limit_w == 2754.0
    start_s = node.now
    node.fake.write(node.root / "generation", lambda t: "3" if t < start_s + 20 else "4")
    record = recorded(node.fake.clock, found, 30.0, folder=tmp_path / "run")
    told = [finding.message for finding in record.findings if finding.code == "power-limit-changed"]
    assert told == ["a power cap of the node was set while it was measured (generation 3, then 4)"]


def test_a_machine_of_another_kind_has_no_such_folder(tmp_path):
    with pytest.raises(HardwareAbsent):
        detect(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HardwareAbsent):
        detect(tmp_path / "empty")


@pytest.mark.parametrize("held", ["", "no number", "-5 J", "12 W", "1_000 J", "99"])
def test_what_is_no_energy_is_no_reading(node, held):
    path = node.fake.write(node.root / "energy", held)
    found = node.found()
    assert "cray-node.energy" not in ids(found)
    assert any(str(path) in finding.message for finding in found.findings)


def test_counters_that_this_user_may_not_read_say_so(node):
    for path in node.root.iterdir():
        node.fake.deny(path)
    with pytest.raises(SensorUnavailable, match="may only be read by root"):
        node.found()
    assert not node.fake.opened


def test_of_several_accelerators_one_that_cannot_be_read_is_missed(node):
    node.fake.deny(node.root / "accel1_energy")
    node.fake.deny(node.root / "accel1_power")
    assert {(f.code, f.severity) for f in node.found().findings} == {("cray-counter-unreadable", "degrades")}


def test_a_counter_that_goes_away_takes_no_other_with_it(node):
    sensor = node.found().sensors[0]
    node.fake.fail(node.root / "energy", errno.EIO)
    reading = sensor.read()
    assert isinstance(reading["cray-node.energy"], SensorFailed)
    assert reading["cray-node.power"] == 1500.0


def test_nothing_stays_open_once_all_are_closed(node):
    found = node.found()
    for sensor in found.sensors:
        sensor.close()
        sensor.close()
    assert not node.fake.opened
