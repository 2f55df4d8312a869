"""What a sensor turns out to be like, and what is remembered of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler
from virtual import FakeDevice, VirtualClock, constant, square

from energy_rating.measuring.probe import LARGEST_FILE, MOST_ENTRIES, recall, remember, tried


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path)}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "energy-rating" / "probe.json"


def test_what_is_remembered_is_known_in_the_next_run(environ):
    assert recall("GPU-1", "580.1", environ=environ) is None
    remember("GPU-1", "580.1", 0.1, 1.01, sources={"counter": "gpu"}, environ=environ)
    known = recall("GPU-1", "580.1", environ=environ)
    assert (known.period_s, known.agreement, known.sources) == (0.1, 1.01, {"counter": "gpu"})
    # What is not told leaves what is known.
    remember("GPU-1", "580.1", 0.02, environ=environ)
    known = recall("GPU-1", "580.1", environ=environ)
    assert (known.period_s, known.agreement, known.sources) == (0.02, 1.01, {"counter": "gpu"})


@pytest.mark.parametrize(("uuid", "driver"), [("GPU-2", "580.1"), ("GPU-1", "590.0"), ("GPU-1", None)])
def test_another_device_and_another_driver_are_asked_anew(environ, uuid, driver):
    remember("GPU-1", "580.1", 0.1, environ=environ)
    assert recall(uuid, driver, environ=environ) is None


def test_the_memory_names_no_device(environ, cache):
    remember("GPU-12345678-aaaa", "580.1", 0.1, environ=environ)
    text = cache.read_text()
    assert "12345678" not in text
    assert "580.1" not in text
    assert [path.name for path in cache.parent.iterdir()] == ["probe.json"]


def test_the_memory_does_not_grow_without_end(environ, cache):
    for number in range(MOST_ENTRIES + 5):
        remember(f"GPU-{number}", "1", 0.1, environ=environ)
    assert len(json.loads(cache.read_text())["devices"]) == MOST_ENTRIES
    assert recall("GPU-0", "1", environ=environ) is None
    assert recall(f"GPU-{MOST_ENTRIES + 4}", "1", environ=environ) is not None
    assert cache.stat().st_size < LARGEST_FILE


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"schema": "energy-rating/probe/1", "devices": 3}',
        b'{"schema": "energy-rating/probe/9", "devices": {}}',
        b" " * (LARGEST_FILE + 1),
    ],
    ids=["empty", "torn", "no text", "a list", "deep", "a number", "another schema", "too large"],
)
def test_a_damaged_memory_is_none_and_is_made_anew(environ, cache, damage):
    cache.parent.mkdir()
    cache.write_bytes(damage)
    assert recall("GPU-1", "1", environ=environ) is None
    remember("GPU-1", "1", 0.1, environ=environ)
    assert recall("GPU-1", "1", environ=environ).period_s == 0.1


@pytest.mark.parametrize("value", [float("nan"), -1.0, 1e9, "0.1", True, [1]])
def test_what_makes_no_sense_is_not_believed(environ, cache, value):
    remember("GPU-1", "1", 0.1, 1.0, environ=environ)
    entries = json.loads(cache.read_text())
    (key,) = entries["devices"]
    entries["devices"][key] = {"period_s": value, "agreement": value, "sources": value}
    cache.write_text(json.dumps(entries))
    known = recall("GPU-1", "1", environ=environ)
    assert (known.period_s, known.agreement, known.sources) == (None, None, {})


def test_where_nothing_can_be_remembered_nothing_happens(tmp_path):
    (tmp_path / "file").write_text("")
    for environ in ({}, {"HOME": "relative"}, {"XDG_CACHE_HOME": str(tmp_path / "file")}):
        remember("GPU-1", "1", 0.1, environ=environ)
        assert recall("GPU-1", "1", environ=environ) is None


def test_without_an_own_cache_folder_it_is_the_homes(tmp_path):
    remember("GPU-1", "1", 0.1, environ={"HOME": str(tmp_path), "XDG_CACHE_HOME": "relative"})
    assert (tmp_path / ".cache" / "energy-rating" / "probe.json").is_file()


@pytest.mark.parametrize("tick_s", [0.02, 0.1])
@pytest.mark.parametrize("gain", [1.0, 0.9])
def test_a_sensors_period_and_agreement_are_found_out(tick_s, gain):
    clock = VirtualClock()
    power, energy = square(100, 400, 0.2, phase=0.013)
    gpu = FakeDevice(clock=clock, power=power, energy=energy, tick_s=tick_s)
    register = gpu.read

    def read():
        clock.time += 0.00002
        reading = dict(register())
        reading["gpu0.power"] *= gain
        return reading

    gpu.read = read
    found = tried(gpu, 3.0, now=clock.now, sleep=clock.sleep)
    assert found.periods_s["gpu0.energy"] == pytest.approx(tick_s, rel=0.05)
    assert found.agreement == pytest.approx(1 / gain, rel=0.05)
    assert found.call_us == pytest.approx(20, rel=0.01)
    assert found.failures == 0


def test_what_stands_still_has_no_period():
    clock = VirtualClock()
    power, _ = constant(100)
    gpu = FakeDevice(clock=clock, power=power, energy=lambda t: 5.0)
    found = tried(gpu, 1.0, now=clock.now, sleep=clock.sleep)
    assert found.periods_s == {}
    assert found.agreement is None


def test_the_command_tries_the_sensors_and_remembers(tmp_path, cache):
    machine = FakeNvml(devices=[Device(power="constant:300", counter_period_s=0.05)])
    try:
        environ = os.environ | machine.environment(tmp_path) | {"XDG_CACHE_HOME": str(tmp_path)}
    except NoCompiler as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        [sys.executable, "-m", "energy_rating", "sensors", "--probe", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = next(one for one in json.loads(done.stdout)["probes"] if "gpu0.energy" in one["channels"])
    assert found["periods_s"]["gpu0.energy"] == pytest.approx(0.05, rel=0.2)
    assert found["agreement"] == pytest.approx(1.0, rel=0.1)
    assert found["call_us"] > 0
    assert recall(machine.uuid(0), machine.driver_version, environ=environ).agreement == found["agreement"]
