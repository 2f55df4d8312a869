"""Grace: socket and module each once, parts never added, power summed up to what was drawn."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from fake_hwmon import FakeHwmon, micro, recorded
from virtual import sine

from energy_rating.measuring.sensors.grace import detect
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable


@pytest.fixture
def fake(tmp_path: Path) -> FakeHwmon:
    return FakeHwmon(tmp_path)


def meter(fake: FakeHwmon, info: str, power: object, interval: object = 50) -> Path:
    """An ACPI power meter as its driver shows it: the attributes are those of the device behind the chip."""
    fake.chip(
        "power_meter",
        device__power1_oem_info=info,
        device__power1_average=power,
        device__power1_average_interval=interval,
    )
    return fake.root / f"hwmon{len(list(fake.root.iterdir())) - 1}" / "device" / "power1_average"


def superchip(fake: FakeHwmon, socket: int = 0) -> dict[str, Path]:
    return {
        part: meter(fake, f"{part} Power Socket {socket}", micro(watts))
        for part, watts in (("Module", 620.25), ("Grace", 180.5), ("CPU", 120.0), ("SysIO", 30.0))
    }


def test_socket_and_module_are_read_in_watts_and_the_parts_of_the_socket_are_left_alone(fake):
    fake.chip("nvme", temp1_input=31000)
    superchip(fake)
    found = detect(fake.root, files=fake)
    channels = [channel for sensor in found.sensors for channel in sensor.channels]
    assert [(c.id, c.component, c.device, c.method, c.period_s) for c in channels] == [
        ("module0.power", "module", "grace-module-0", "power", 0.05),
        ("grace0.power", "cpu", "grace-socket-0", "power", 0.05),
    ]
    assert [sensor.read() for sensor in found.sensors] == [{"module0.power": 620.25}, {"grace0.power": 180.5}]
    assert not found.findings


def test_two_sockets_are_two_devices(fake):
    superchip(fake, 1)
    superchip(fake, 0)
    found = detect(fake.root, files=fake)
    assert [s.channels[0].id for s in found.sensors] == [
        "module0.power",
        "module1.power",
        "grace0.power",
        "grace1.power",
    ]


def test_energy_is_the_integral_of_the_power_and_the_module_is_no_part_of_the_sum(fake, tmp_path):
    watts, joules = sine(200.0, 60.0, 7.0)
    meter(fake, "Module Power Socket 0", lambda t: micro(600.0))
    meter(fake, "Grace Power Socket 0", lambda t: micro(watts(t)))
    start = fake.clock.time + 5.0
    record = recorded(fake.clock, detect(fake.root, files=fake), 30.0, folder=tmp_path / "run")
    job = record["job"]
    assert set(job.energy_j) == {"module", "cpu"}
    assert job.energy_j["module"].value == pytest.approx(600.0 * 30, rel=1e-6)
    assert job.energy_j["cpu"].value == pytest.approx(joules(start + 30) - joules(start), rel=0.005)
    assert job.coverage == {"module": 1.0, "cpu": 1.0}


def test_without_the_socket_its_rails_are_added_up_and_that_is_said(fake, tmp_path):
    meter(fake, "CPU Power Socket 0", micro(120.0))
    meter(fake, "SysIO Power Socket 0", micro(30.0))
    found = detect(fake.root, files=fake)
    assert [finding.code for finding in found.findings] == ["grace-rails-only"]
    record = recorded(fake.clock, found, 20.0, folder=tmp_path / "run")
    assert record["job"].energy_j["cpu"].value == pytest.approx(3000.0, rel=1e-6)


def test_a_meter_that_averages_longer_says_so_and_one_that_does_not_say_is_taken_for_slow(fake):
    meter(fake, "Grace Power Socket 0", 1, 1000)
    meter(fake, "Module Power Socket 0", 1, "n/a")
    assert [s.channels[0].period_s for s in detect(fake.root, files=fake).sensors] == [1.0, 1.0]


@pytest.mark.parametrize("chips", [[], ["coretemp"], ["power_meter"]])
def test_other_machines_have_no_grace(fake, chips):
    for name in chips:
        fake.chip(name, device__power1_oem_info="PSU 1", device__power1_average=1)
    with pytest.raises(HardwareAbsent):
        detect(fake.root, files=fake)
    with pytest.raises(HardwareAbsent):
        detect(fake.root / "nowhere", files=fake)


def test_a_meter_for_root_only_is_unavailable_and_half_of_a_component_is_marked(fake):
    paths = [superchip(fake, socket) for socket in (0, 1)]
    fake.deny(paths[1]["Grace"])
    found = detect(fake.root, files=fake)
    assert [s.channels[0].id for s in found.sensors] == ["module0.power", "module1.power", "grace0.power"]
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("grace-meter-unreadable", "degrades")
    for path in (paths[0]["Module"], paths[1]["Module"], paths[0]["Grace"]):
        fake.deny(path)
    with pytest.raises(SensorUnavailable, match="only be read by root"):
        detect(fake.root, files=fake)


@pytest.mark.parametrize("nonsense", ["", "-5", "1_000", "N/A", "0", "0x10", "1e6"])
def test_nonsense_is_never_a_power(fake, nonsense):
    path = meter(fake, "Grace Power Socket 0", micro(100.0))
    (sensor,) = detect(fake.root, files=fake).sensors
    fake.write(path, nonsense)
    assert isinstance(sensor.read()["grace0.power"], SensorFailed)
    fake.write(path, micro(101.0))
    assert sensor.read() == {"grace0.power": 101.0}
    fake.write(path, nonsense)
    with pytest.raises(SensorUnavailable):
        detect(fake.root, files=fake)


def test_a_failed_reading_is_told_and_the_next_one_counts_and_a_vanished_meter_is_lost(fake):
    path = meter(fake, "Grace Power Socket 0", micro(100.0))
    (sensor,) = detect(fake.root, files=fake).sensors
    fake.fail(path, errno.EIO)
    failed = sensor.read()["grace0.power"]
    assert isinstance(failed, SensorFailed)
    assert not isinstance(failed, SensorLost)
    fake.mend(path)
    assert sensor.read() == {"grace0.power": 100.0}
    fake.vanish(path)
    assert isinstance(sensor.read()["grace0.power"], SensorLost)
    fake.mend(path)
    assert isinstance(sensor.read()["grace0.power"], SensorLost), "what is gone stays gone"
    sensor.close()
    assert fake.opened == {}
    with pytest.raises(SensorLost):
        sensor.read()
