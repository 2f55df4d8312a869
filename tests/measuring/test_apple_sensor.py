"""Apple silicon: the chip's own model, named a model, and its joules all there."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from fake_hwmon import recorded
from virtual import VirtualClock, sine

from energy_rating.measuring.sensors.apple import PARTS, detect, load_monitor
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable


class FakeMonitor:
    """AppleEnergyMonitor of zeus-apple-silicon 1.1.0: whole millijoules since some time, None for what a chip does not tell."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        _, self.gpu_j = sine(15.0, 5.0, 3.0)
        self.told: dict[str, Any] = {}
        self.error: Exception | None = None

    def get_cumulative_energy(self) -> Any:
        if self.error:
            raise self.error
        t = self.clock.time
        fields: dict[str, Any] = {
            "cpu_total_mj": round(1000 * 8.0 * t),
            "gpu_mj": round(1000 * self.gpu_j(t)),
            "gpu_sram_mj": round(1000 * 0.5 * t),
            "dram_mj": round(1000 * 2.0 * t),
            "ane_mj": round(1000 * 1.0 * t),
            "efficiency_cores_mj": [1, 2],
        }
        return SimpleNamespace(**(fields | self.told))


@pytest.fixture
def monitor() -> FakeMonitor:
    return FakeMonitor(VirtualClock())


def look(monitor: FakeMonitor):
    return detect("darwin", load=lambda: monitor, now=monitor.clock.now)


def test_every_component_is_a_model_in_watts(monitor):
    found = look(monitor)
    monitor.clock.time += 2.0
    readings = {key: value for sensor in found.sensors for key, value in sensor.read().items()}
    gpu_w = (monitor.gpu_j(1002.0) - monitor.gpu_j(1000.0)) / 2 + 0.5
    assert readings == pytest.approx(
        {
            "apple.gpu.model": gpu_w,
            "apple.cpu.model": 8.0,
            "apple.dram.model": 2.0,
            "apple.module.model": gpu_w + 11.0,
        },
        abs=1e-3,
    )
    channels = [channel for sensor in found.sensors for channel in sensor.channels]
    assert {channel.method for channel in channels} == {"model"}
    assert [channel.component for channel in channels] == list(PARTS)
    assert {finding.code for finding in found.findings} == {f"{part}-estimated" for part in PARTS}


def test_no_joule_is_lost_between_readings(monitor, tmp_path):
    start = monitor.clock.time + 5.0
    record = recorded(monitor.clock, look(monitor), 60.0, folder=tmp_path / "run")
    job = record["job"]
    assert job.energy_j["cpu"].value == pytest.approx(480.0, rel=1e-3)
    truth = monitor.gpu_j(start + 60) - monitor.gpu_j(start) + 30.0
    assert job.energy_j["gpu"].value == pytest.approx(truth, rel=0.01)
    assert set(job.methods.values()) == {"model"}


def test_what_a_chip_does_not_tell_is_absent_and_not_zero(monitor):
    monitor.told = {"dram_mj": None, "gpu_sram_mj": None, "ane_mj": None}
    assert [sensor.component for sensor in look(monitor).sensors] == ["gpu", "cpu"]
    monitor.told |= {"gpu_mj": None, "cpu_total_mj": None}
    with pytest.raises(SensorUnavailable):
        look(monitor)


def test_elsewhere_nothing_is_loaded():
    def load():
        raise AssertionError("it was loaded")

    with pytest.raises(HardwareAbsent):
        detect("linux", load=load)


def test_a_missing_library_and_a_chip_that_is_not_known_say_what_to_do(monitor, monkeypatch):
    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", None)
    with pytest.raises(SensorUnavailable, match="not installed") as refused:
        detect("darwin")
    assert "pip install zeus-apple-silicon" in refused.value.remedy
    monkeypatch.setitem(
        sys.modules, "zeus_apple_silicon", SimpleNamespace(AppleEnergyMonitor=lambda: monitor)
    )
    assert load_monitor() is monitor
    monitor.error = RuntimeError("no Energy Model channels")
    with pytest.raises(SensorUnavailable, match="RuntimeError"):
        look(monitor)


@pytest.mark.parametrize("value", [None, "many", float("nan"), -1, True])
def test_nonsense_is_never_a_power(monitor, value):
    sensor = next(s for s in look(monitor).sensors if s.component == "cpu")
    monitor.clock.time += 1.0
    monitor.told = {"cpu_total_mj": value}
    with pytest.raises(SensorFailed):
        sensor.read()
    monitor.told = {}
    monitor.clock.time += 1.0
    assert sensor.read() == {"apple.cpu.model": pytest.approx(8.0, abs=1e-2)}


def test_a_failure_a_restart_and_the_end_are_told(monitor):
    sensor = look(monitor).sensors[0]
    with pytest.raises(SensorFailed, match="no time"):
        sensor.read()
    monitor.clock.time += 1.0
    monitor.error = RuntimeError("gone")
    with pytest.raises(SensorFailed, match="RuntimeError"):
        sensor.read()
    monitor.error, monitor.told = None, {"gpu_mj": 0, "gpu_sram_mj": 0}
    with pytest.raises(SensorFailed, match="started again"):
        sensor.read()
    sensor.close()
    with pytest.raises(SensorLost):
        sensor.read()
