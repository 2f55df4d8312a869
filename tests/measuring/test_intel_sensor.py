"""Intel GPUs: the card's counter once, in joules, and no sleeping GPU is woken."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hwmon import FakeHwmon, micro, recorded
from virtual import steps

from energy_rating.measuring.sensors.intel import detect
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable


@pytest.fixture
def fake(tmp_path: Path) -> FakeHwmon:
    return FakeHwmon(tmp_path)


def gpu(fake: FakeHwmon, driver: str = "xe", **attributes: object) -> Path:
    attributes.setdefault("energy1_input", micro(12.345678))
    if driver == "xe":
        attributes.setdefault("energy1_label", "card")
    folder = fake.chip(driver, device__device="0xe20b", **attributes)
    # The device is a link to its place on the PCI bus.
    place = fake.root.parent / f"0000:0{folder.name[-1]}:00.0"
    (folder / "device").rename(place)
    (folder / "device").symlink_to(place)
    return folder


def look(fake: FakeHwmon, **environ: str):
    return detect(fake.root, files=fake, environ=environ)


def test_the_card_counts_in_microjoules_and_its_package_is_a_part_of_it(fake):
    gpu(fake, energy1_input=262_144_000_001, energy2_input=5, power1_rated_max=190_000_000)
    found = look(fake)
    (sensor,), (device,) = found.sensors, found.devices
    (channel,) = sensor.channels
    assert (channel.id, channel.component, channel.method) == ("intel0.energy", "gpu", "counter")
    assert channel.wraps_at_j is None, "the driver mends the roll-over of its 32-bit register"
    assert sensor.read() == {"intel0.energy": 262_144.000001}
    assert (device.id, device.name, device.driver, device.power_limit_w) == (
        channel.device,
        "Intel GPU 0xe20b",
        "xe",
        190.0,
    )
    assert not found.findings


@pytest.mark.parametrize("driver", ["xe", "i915"])
def test_a_counter_without_a_label_is_the_cards_only_where_that_is_certain(fake, driver):
    folder = gpu(fake, driver, energy1_label=None)
    (folder / "energy1_label").unlink(missing_ok=True)
    found = look(fake)
    assert found.sensors[0].read() == {"intel0.energy": 12.345678}
    unknown = [("intel-scope-unknown", "degrades")] if driver == "xe" else []
    assert [(f.code, f.severity) for f in found.findings] == unknown
    fake.write(folder / "energy2_input", micro(7.0))
    assert not look(fake).findings, "a driver that has both has the card's first"


def test_a_label_says_what_a_counter_counts(fake):
    folder = gpu(fake, energy1_label="pkg")
    assert [f.code for f in look(fake).findings] == ["intel-package-only"]
    fake.write(folder / "energy2_input", micro(88.0))
    fake.write(folder / "energy2_label", "card")
    found = look(fake)
    assert not found.findings
    assert found.sensors[0].read() == {"intel0.energy": 88.0}


def test_where_only_the_package_counts_that_is_said(fake):
    gpu(fake, energy1_input=1)
    (fake.root / "hwmon0" / "energy1_input").unlink()
    (fake.root / "hwmon0" / "energy1_label").unlink()
    fake.write(fake.root / "hwmon0" / "energy2_input", micro(77.0))
    found = look(fake)
    assert found.sensors[0].read() == {"intel0.energy": 77.0}
    assert [(f.code, f.severity) for f in found.findings] == [("intel-package-only", "degrades")]


def test_the_tiles_of_a_device_are_not_counted_beside_it(fake):
    gpu(fake, "i915", energy1_input=micro(100.0))
    gpu(fake, "i915_gt0", energy1_input=micro(60.0))
    gpu(fake, "i915_gt1", energy1_input=micro(40.0))
    assert [s.channels[0].id for s in look(fake).sensors] == ["intel0.energy"]


def test_a_job_is_charged_what_it_drew(fake, tmp_path):
    start = fake.clock.time + 5.0
    _, joules = steps((float("-inf"), 20.0), (start, 150.0), (start + 10.0, 20.0))
    # The register is refreshed every 10 ms.
    gpu(fake, energy1_input=lambda t: micro(joules(int(t * 100 + 1e-6) / 100)))
    record = recorded(fake.clock, look(fake), 10.0, folder=tmp_path / "run")
    job = record["job"]
    assert job.energy_j["gpu"].value == pytest.approx(1500.0, rel=0.002)
    assert job.methods == {"gpu": "counter"}


def test_two_gpus_are_two_devices_and_a_mask_is_said_not_to_be_followed(fake):
    for joules in (1.0, 2.0):
        gpu(fake, energy1_input=micro(joules))
    assert not look(fake).findings
    found = look(fake, ZE_AFFINITY_MASK="1")
    assert [sensor.read() for sensor in found.sensors] == [{"intel0.energy": 1.0}, {"intel1.energy": 2.0}]
    assert [(f.code, f.severity) for f in found.findings] == [("gpu-list-unknown", "degrades")]
    assert [device.id for device in found.devices] == ["0000:00:00.0", "0000:01:00.0"]


def test_a_gpu_that_comes_later_is_missed_once(fake):
    for joules in (1.0, 2.0):
        gpu(fake, energy1_input=micro(joules))
    found = look(fake)
    assert not [told for sensor in found.sensors for told in sensor.appeared()]
    gpu(fake, energy1_input=micro(3.0))
    assert [told.code for sensor in found.sensors for told in sensor.appeared()] == ["device-appeared"]


def test_a_sleeping_gpu_is_found_not_woken_and_read_once_it_is_awake(fake):
    folder = gpu(fake, device__power__runtime_status="suspended", power1_rated_max=190_000_000)
    energy, status = folder / "energy1_input", folder / "device" / "power" / "runtime_status"
    found = look(fake)
    assert found.devices[0].power_limit_w is None, "asking for the limit would have woken it"
    (sensor,) = found.sensors
    with pytest.raises(SensorFailed, match="sleeps"):
        sensor.read()
    assert str(energy) not in fake.reads
    fake.write(status, "active")
    assert sensor.read() == {"intel0.energy": 12.345678}
    fake.write(status, "suspending")
    fake.reads.clear()
    with pytest.raises(SensorFailed):
        sensor.read()
    assert str(energy) not in fake.reads
    sensor.close()
    assert fake.opened == {}


def test_what_is_never_put_to_sleep_is_not_asked_about_it(fake):
    gpu(fake, device__power__runtime_status="unsupported")
    (sensor,) = look(fake).sensors
    fake.reads.clear()
    sensor.read()
    assert len(fake.reads) == 1


def test_other_machines_have_no_intel_gpu(fake):
    fake.chip("coretemp", energy1_input=1)
    fake.chip(None, energy1_input=1)
    with pytest.raises(HardwareAbsent):
        look(fake)


def test_a_gpu_that_counts_nothing_or_is_denied_says_why(fake):
    folder = gpu(fake)
    fake.deny(folder / "energy1_input")
    with pytest.raises(SensorUnavailable, match="root") as refused:
        look(fake)
    assert "chmod" in refused.value.remedy
    gpu(fake, energy1_input=micro(1.0))
    found = look(fake)
    assert [sensor.channels[0].id for sensor in found.sensors] == ["intel1.energy"]
    assert [(f.code, f.severity) for f in found.findings] == [("gpu-not-measured", "degrades")]
    (folder / "energy1_input").unlink()
    (fake.root / "hwmon1" / "energy1_input").unlink()
    with pytest.raises(SensorUnavailable):
        look(fake)


def test_nonsense_and_loss_are_no_joules(fake):
    path = gpu(fake) / "energy1_input"
    (sensor,) = look(fake).sensors
    for nonsense in ("", "-1", "energy", "1.5"):
        fake.write(path, nonsense)
        assert isinstance(sensor.read()["intel0.energy"], SensorFailed)
    fake.vanish(path)
    assert isinstance(sensor.read()["intel0.energy"], SensorLost)
    sensor.close()
    assert fake.opened == {}
