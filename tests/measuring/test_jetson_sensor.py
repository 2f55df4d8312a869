"""Jetson: volts by amperes of each rail, the module as a whole, and no rail called the GPU that is not the GPU's alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hwmon import FakeHwmon, recorded
from virtual import sine

from energy_rating.measuring.sensors.jetson import detect
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable


@pytest.fixture
def fake(tmp_path: Path) -> FakeHwmon:
    return FakeHwmon(tmp_path)


def rails(fake: FakeHwmon, **by_label: tuple[object, object]) -> Path:
    """An INA3221 as the mainline driver shows it: mV and mA."""
    attributes: dict[str, object] = {"update_interval": 4}
    for n, (label, (mv, ma)) in enumerate(by_label.items(), start=1):
        attributes |= {f"in{n}_label": label, f"in{n}_input": mv, f"curr{n}_input": ma}
    return fake.chip("ina3221", **attributes)


def look(fake: FakeHwmon):
    model = fake.root.parent / "model"
    model.write_bytes(b"NVIDIA Jetson Orin\0")
    return detect(fake.root, older=fake.root.parent / "ina3221x", model=model, files=fake)


def channels(found) -> dict[str, str]:
    return {channel.id: channel.component for sensor in found.sensors for channel in sensor.channels}


def test_an_orin_nano_is_measured_as_a_module_by_its_input(fake):
    rails(fake, VDD_IN=(19_000, 480), VDD_CPU_GPU_CV=(19_000, 120), VDD_SOC=(19_000, 90))
    found = look(fake)
    assert channels(found) == {"jetson-module.power": "module"}
    assert found.sensors[0].read() == {"jetson-module.power": 9.12}
    assert found.sensors[0].channels[0].period_s == 0.004
    assert found.devices[0].name == "NVIDIA Jetson Orin: VDD_IN"
    assert [finding.code for finding in found.findings] == ["jetson-gpu-shared"]


def test_the_supplies_of_an_agx_orin_are_added_up_and_what_hangs_on_them_is_not(fake):
    rails(fake, VDD_GPU_SOC=(20_000, 500), VDD_CPU_CV=(20_000, 100), VIN_SYS_5V0=(5_000, 800))
    rails(fake, NC=(0, 0), VDDQ_VDD2_1V8AO=(5_000, 300))
    found = look(fake)
    assert channels(found) == {"jetson-module.power": "module"}
    assert found.sensors[0].read() == {"jetson-module.power": 16.0}


def test_a_tx2_is_fed_by_two_rails(fake):
    rails(fake, VDD_IN=(19_000, 300), VDD_MUX=(19_000, 100), VDD_SYS_GPU=(19_000, 50))
    found = look(fake)
    assert [sensor.read() for sensor in found.sensors] == [
        {"jetson-module.power": 7.6},
        {"jetson-gpu.power": 0.95},
    ]


def test_of_a_thor_only_the_gpu_is_known(fake):
    rails(fake, VDD_GPU=(12_000, 2_000), VDD_CPU_SOC_MSS=(12_000, 1_000), VIN_SYS_5V0=(5_000, 500))
    assert [sensor.read() for sensor in look(fake).sensors] == [{"jetson-gpu.power": 24.0}]


def test_rails_of_their_own_are_components(fake):
    rails(fake, POM_5V_IN=(5_000, 1_000), POM_5V_GPU=(5_000, 200), POM_5V_CPU=(5_000, 300))
    found = look(fake)
    assert channels(found) == {
        "jetson-module.power": "module",
        "jetson-gpu.power": "gpu",
        "jetson-cpu.power": "cpu",
    }
    assert [sensor.read() for sensor in found.sensors] == [
        {"jetson-module.power": 5.0},
        {"jetson-gpu.power": 1.0},
        {"jetson-cpu.power": 1.5},
    ]
    assert not found.findings


def test_an_older_release_shows_its_rails_through_iio_in_milliwatts(fake):
    for n, (label, mw) in enumerate((("VDD_IN", 7123), ("VDD_SYS_GPU", 2050), ("VDD_SYS_CPU", 990))):
        device = fake.root.parent / "ina3221x" / "1-0040" / "iio:device0"
        fake.write(device / f"rail_name_{n}", label)
        fake.write(device / f"in_power{n}_input", mw)
        fake.write(device / f"in_voltage{n}_input", 1)
        fake.write(device / f"in_current{n}_input", 1)
    assert [sensor.read() for sensor in look(fake).sensors] == [
        {"jetson-module.power": 7.123},
        {"jetson-gpu.power": 2.05},
        {"jetson-cpu.power": 0.99},
    ]


def test_an_older_release_without_power_shows_volts_and_amperes(fake):
    device = fake.root.parent / "ina3221x" / "1-0040" / "iio:device0"
    for name, value in (("rail_name_0", "VDD_IN"), ("in_voltage0_input", 19_000), ("in_current0_input", 500)):
        fake.write(device / name, value)
    assert [sensor.read() for sensor in look(fake).sensors] == [{"jetson-module.power": 9.5}]


def test_energy_is_the_integral_of_volts_by_amperes(fake, tmp_path):
    watts, joules = sine(20.0, 8.0, 5.0)
    rails(fake, VDD_IN=(19_000, lambda t: round(watts(t) / 19.0 * 1000)))
    start = fake.clock.time + 5.0
    record = recorded(fake.clock, look(fake), 20.0, folder=tmp_path / "run")
    assert record["job"].energy_j["module"].value == pytest.approx(
        joules(start + 20) - joules(start), rel=0.005
    )
    assert set(record["job"].energy_j) == {"module"}


def test_a_rail_that_is_switched_off_draws_nothing_and_that_is_a_reading(fake):
    rails(fake, POM_5V_IN=(5_000, 100), POM_5V_GPU=(0, 0))
    assert look(fake).sensors[1].read() == {"jetson-gpu.power": 0.0}


def test_other_boards_with_such_a_chip_are_no_jetson(fake):
    rails(fake, VBUS=(5_000, 100))
    fake.chip("ina219", in1_label="VDD_IN")
    with pytest.raises(HardwareAbsent):
        look(fake)
    with pytest.raises(HardwareAbsent):
        detect(fake.root / "no", older=fake.root / "no", model=fake.root / "no", files=fake)


def test_one_rail_that_fails_costs_the_whole_sum_and_never_halves_it(fake):
    chip = rails(fake, VDD_GPU_SOC=(20_000, 500), VDD_CPU_CV=(20_000, 100), VIN_SYS_5V0=(5_000, 800))
    (sensor,) = look(fake).sensors
    fake.fail(chip / "curr2_input")
    assert isinstance(sensor.read()["jetson-module.power"], SensorFailed)
    fake.mend(chip / "curr2_input")
    assert sensor.read() == {"jetson-module.power": 16.0}
    fake.write(chip / "curr2_input", "-40")
    assert isinstance(sensor.read()["jetson-module.power"], SensorFailed)
    fake.vanish(chip / "in3_input")
    fake.write(chip / "curr2_input", "100")
    assert isinstance(sensor.read()["jetson-module.power"], SensorLost)
    sensor.close()
    assert fake.opened == {}


def test_rails_for_root_only_are_unavailable_and_leave_nothing_open(fake):
    chip = rails(fake, POM_5V_IN=(5_000, 100), POM_5V_GPU=(5_000, 10))
    fake.deny(chip / "curr1_input")
    found = look(fake)
    assert channels(found) == {"jetson-gpu.power": "gpu"}
    assert "jetson-rail-unreadable" in [finding.code for finding in found.findings]
    found.sensors[0].close()
    fake.deny(chip / "in2_input")
    with pytest.raises(SensorUnavailable, match="root"):
        look(fake)
    assert fake.opened == {}
