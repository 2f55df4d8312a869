"""AMD GPUs: counter times resolution in joules, its known faults found out, and power where it cannot be believed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_hwmon import FakeHwmon, recorded
from virtual import VirtualClock, steps

from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.sensors.amdsmi import detect, load_amdsmi
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

RESOLUTION = 15.300000190734863  # µJ, as the library says (github.com/AMDResearch/hpcfund/issues/21)


class AmdSmiException(Exception):
    def __init__(self, info: str) -> None:
        super().__init__(info)
        self.err_info = info


class FakeGpu:
    """One GPU: its power, and by how much its counter is off."""

    def __init__(self, uuid: str, watts: float = 300.0, *, name: str = "AMD Instinct MI300X") -> None:
        self.uuid, self.name = uuid, name
        self.power: Callable[[float], float] = lambda t: watts
        self.energy: Callable[[float], float] = lambda t: watts * t
        self.power_key = "socket_power"
        self.energy_key = "energy_accumulator"
        self.frozen = False
        self.behind_s = 0.0
        self.hip: int | None = None
        self.errors: dict[str, Exception] = {}
        self.answers: dict[str, Any] = {}


class FakeAmdSmi:
    """The module amdsmi, as its version 7.0.2 answers."""

    def __init__(self, clock: VirtualClock, *gpus: FakeGpu) -> None:
        self.clock, self.gpus = clock, list(gpus)
        self.inits = self.calls = 0
        self.errors: dict[str, Exception] = {}

    def _say(self, what: str, gpu: FakeGpu | None, answer: Any) -> Any:
        self.calls += 1
        if error := self.errors.get(what) or (gpu.errors.get(what) if gpu else None):
            raise error
        return gpu.answers.get(what, answer) if gpu else answer

    def amdsmi_init(self) -> None:
        self._say("init", None, None)
        self.inits += 1

    def amdsmi_shut_down(self) -> None:
        self.inits -= 1
        self._say("shut_down", None, None)

    def amdsmi_get_processor_handles(self) -> list[FakeGpu]:
        return self._say("handles", None, list(self.gpus))

    def amdsmi_get_gpu_asic_info(self, gpu: FakeGpu) -> dict[str, Any]:
        return self._say("asic", gpu, {"market_name": gpu.name, "asic_serial": "0x1"})

    def amdsmi_get_gpu_driver_info(self, gpu: FakeGpu) -> dict[str, Any]:
        return self._say("driver", gpu, {"driver_name": "amdgpu", "driver_version": "6.12.12"})

    def amdsmi_get_power_cap_info(self, gpu: FakeGpu) -> dict[str, Any]:
        return self._say("cap", gpu, {"power_cap": 750_000_000, "max_power_cap": 750_000_000})

    def amdsmi_get_gpu_device_uuid(self, gpu: FakeGpu) -> str:
        return self._say("uuid", gpu, gpu.uuid)

    def amdsmi_get_gpu_enumeration_info(self, gpu: FakeGpu) -> dict[str, Any]:
        return self._say("order", gpu, {"hip_id": "N/A" if gpu.hip is None else gpu.hip})

    def amdsmi_get_power_info(self, gpu: FakeGpu) -> dict[str, Any]:
        told: dict[str, Any] = dict.fromkeys(
            ("socket_power", "current_socket_power", "average_socket_power"), "N/A"
        )
        told[gpu.power_key] = round(gpu.power(self.clock.time))
        return self._say("power", gpu, told)

    def amdsmi_get_energy_count(self, gpu: FakeGpu) -> dict[str, Any]:
        t = 0.0 if gpu.frozen else self.clock.time - gpu.behind_s
        count = round(gpu.energy(t) * 1e6 / RESOLUTION)
        told = {gpu.energy_key: count, "counter_resolution": RESOLUTION, "timestamp": round(t * 1e9)}
        return self._say("energy", gpu, told)


class Machine:
    def __init__(self, folder: Path, *gpus: FakeGpu) -> None:
        self.clock = VirtualClock()
        self.hwmon = FakeHwmon(folder, self.clock)
        self.kfd = folder / "kfd"
        self.kfd.mkdir()
        self.smi = FakeAmdSmi(self.clock, *gpus)
        self.missing: SensorUnavailable | None = None
        self.loads = 0

    def load(self) -> Any:
        self.loads += 1
        if self.missing:
            raise self.missing
        return self.smi

    def look(self, **environ: str) -> Detection:
        return detect(self.kfd, self.hwmon.root, load=self.load, environ=environ, sleep=self.clock.sleep)

    def card(self, watts: float, unique: str, **attributes: object) -> Path:
        return self.hwmon.chip(
            "amdgpu", power1_average=round(watts * 1e6), device__unique_id=unique, **attributes
        )


def channels(found: Detection) -> list[str]:
    return [channel.id for sensor in found.sensors for channel in sensor.channels]


def codes(found: Detection) -> list[str]:
    return [finding.code for finding in found.findings]


def test_a_gpu_tells_joules_and_watts_to_the_last_count(tmp_path):
    machine = Machine(tmp_path, FakeGpu("9cff74a1-0000-1000-80a3-f4f6f51e9c00"))
    found = machine.look()
    (sensor,), (device,) = found.sensors, found.devices
    assert [(c.id, c.component, c.method) for c in sensor.channels] == [
        ("amd0.energy", "gpu", "counter"),
        ("amd0.power", "gpu", "power"),
    ]
    machine.smi.gpus[0].answers["energy"] = {
        "energy_accumulator": 5_198_685_762_204,
        "counter_resolution": 15.3,
        "timestamp": 10**18,
    }
    assert sensor.read() == {"amd0.energy": pytest.approx(79_539_892.1617212, abs=1e-6), "amd0.power": 300.0}
    assert (device.id, device.name, device.driver, device.power_limit_w) == (
        "9cff74a1-0000-1000-80a3-f4f6f51e9c00",
        "AMD Instinct MI300X",
        "6.12.12",
        750.0,
    )
    assert not found.findings


@pytest.mark.parametrize("power_key", ["socket_power", "current_socket_power", "average_socket_power"])
@pytest.mark.parametrize("energy_key", ["energy_accumulator", "power"])
def test_older_libraries_use_other_names(tmp_path, power_key, energy_key):
    gpu = FakeGpu("a")
    gpu.power_key, gpu.energy_key = power_key, energy_key
    assert channels(Machine(tmp_path, gpu).look()) == ["amd0.energy", "amd0.power"]


def test_a_job_is_charged_what_it_drew(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    start = machine.clock.time + 5.1  # the counter is watched for 0.1 s first
    watts, joules = steps((float("-inf"), 100.0), (start, 700.0), (start + 10.0, 100.0))
    machine.smi.gpus[0].power, machine.smi.gpus[0].energy = watts, joules
    record = recorded(machine.clock, machine.look(), 10.0, folder=tmp_path / "run")
    job = record["job"]
    # A counter without ticks of its own is read every 0.1 s, and both edges are steps of 600 W.
    assert job.energy_j["gpu"].value == pytest.approx(7000.0, rel=0.005)
    assert job.methods == {"gpu": "counter"}
    assert "sensor-lost" not in {finding.code for finding in record.findings}
    assert machine.smi.inits == 0


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda gpu: setattr(gpu, "frozen", True), "stands still"),
        (lambda gpu: setattr(gpu, "energy", lambda t: 1e-3 * t), "W where the power is 300 W"),
        (lambda gpu: setattr(gpu, "energy", lambda t: 9000.0 * t), "W where the power is 300 W"),
        (lambda gpu: setattr(gpu, "energy", lambda t: 1e6 - 300 * t), "stands still"),
        (lambda gpu: gpu.errors.update(energy=AmdSmiException("NOT_SUPPORTED")), "NOT_SUPPORTED"),
        (lambda gpu: gpu.answers.update(energy={"energy_accumulator": "N/A"}), "no energy"),
        (lambda gpu: gpu.answers.update(energy=None), "no energy"),
    ],
)
def test_a_counter_that_cannot_be_believed_is_left_out_and_the_power_is_summed_up(tmp_path, break_it, said):
    gpu = FakeGpu("a")
    break_it(gpu)
    machine = Machine(tmp_path, gpu)
    found = machine.look()
    assert channels(found) == ["amd0.power"]
    (finding,) = found.findings
    assert finding.code == "no-energy-counter"
    assert said in finding.message
    record = recorded(machine.clock, found, 20.0, folder=tmp_path / "run")
    job = record["job"]
    assert job.energy_j["gpu"].value == pytest.approx(6000.0, rel=1e-3)
    assert job.methods == {"gpu": "power"}
    assert "summed-from-power" in {finding.code for finding in record.findings}


def test_a_power_that_lags_at_first_does_not_cost_the_counter(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    since = machine.clock.time
    machine.smi.gpus[0].power = lambda t: 90.0 if t < since + 0.3 else 300.0
    assert channels(machine.look()) == ["amd0.energy", "amd0.power"]
    assert machine.clock.time == pytest.approx(since + 0.5)


def test_a_counter_that_freezes_later_is_seen_and_the_power_takes_its_place(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    gpu, frozen_from = machine.smi.gpus[0], machine.clock.time + 8.0
    gpu.energy = lambda t: 300.0 * min(t, frozen_from)
    record = recorded(machine.clock, machine.look(), 30.0, folder=tmp_path / "run")
    assert record["job"].energy_j["gpu"].value == pytest.approx(9000.0, rel=2e-3)
    assert "counter-stuck" in {finding.code for finding in record.findings}


def test_an_older_value_than_before_is_no_reading(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    (sensor,) = machine.look().sensors
    first = sensor.read()["amd0.energy"]
    machine.smi.gpus[0].behind_s = 0.02
    assert isinstance(sensor.read()["amd0.energy"], SensorFailed)
    machine.smi.gpus[0].behind_s = 0.0
    assert sensor.read()["amd0.energy"] == first


def test_of_two_dies_on_a_card_the_first_tells_for_both(tmp_path):
    first, second = (FakeGpu(uuid, 500.0, name="AMD Instinct MI250X") for uuid in "ab")
    second.power = second.energy = lambda t: 0.0
    machine = Machine(tmp_path, first, second)
    found = machine.look()
    assert channels(found) == ["amd0.energy", "amd0.power"]
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("two-dies-one-meter", "note")
    assert [device.id for device in found.devices] == ["a", "b"]
    record = recorded(machine.clock, found, 10.0, folder=tmp_path / "run")
    assert record["job"].energy_j["gpu"].value == pytest.approx(5000.0, rel=1e-3)

    found = machine.look(ROCR_VISIBLE_DEVICES="0")
    assert [(f.code, f.severity) for f in found.findings] == [("two-dies-one-meter", "degrades")]
    with pytest.raises(SensorUnavailable):
        machine.look(ROCR_VISIBLE_DEVICES="1")


def test_only_what_rocm_shows_is_counted(tmp_path):
    machine = Machine(tmp_path, *(FakeGpu(f"{n}aff-{n}", 100.0 + n) for n in range(4)))

    def shown(**environ: str) -> list[str]:
        return [device.id[0] for device in machine.look(**environ).devices]

    assert shown() == ["0", "1", "2", "3"]
    assert shown(ROCR_VISIBLE_DEVICES="2,0") == ["2", "0"]
    assert shown(ROCR_VISIBLE_DEVICES="2,0", HIP_VISIBLE_DEVICES="1") == ["0"]
    assert shown(CUDA_VISIBLE_DEVICES="3") == ["3"]
    assert shown(HIP_VISIBLE_DEVICES="1", CUDA_VISIBLE_DEVICES="3") == ["1"]
    assert shown(ROCR_VISIBLE_DEVICES="GPU-3aff") == ["3"]
    assert shown(ROCR_VISIBLE_DEVICES="1,7,2") == ["1"]
    with pytest.raises(SensorUnavailable, match="visible"):
        machine.look(HIP_VISIBLE_DEVICES="-1")
    for gpu, place in zip(machine.smi.gpus, (3, 2, 1, 0), strict=True):
        gpu.hip = place
    assert shown(HIP_VISIBLE_DEVICES="0") == ["3"]


def test_a_gpu_that_comes_later_is_missed_once_unless_rocm_hides_it(tmp_path):
    machine = Machine(tmp_path, FakeGpu("0aff", 100.0), FakeGpu("1aff", 100.0))
    found, hiding = machine.look(), machine.look(ROCR_VISIBLE_DEVICES="0")
    machine.smi.gpus = (*machine.smi.gpus, FakeGpu("2aff", 100.0))
    told = [finding.code for sensor in found.sensors for finding in sensor.appeared()]
    assert told == ["device-appeared"]
    assert not [finding for sensor in hiding.sensors for finding in sensor.appeared()]


def test_gpus_that_differ_and_are_chosen_by_place_leave_a_doubt(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"), FakeGpu("b", name="AMD Radeon PRO W7900"))
    assert codes(machine.look(HIP_VISIBLE_DEVICES="0")) == ["gpu-order-uncertain"]


def test_a_gpu_that_tells_nothing_is_named(tmp_path):
    mute = FakeGpu("b")
    mute.errors = {
        "power": AmdSmiException("NO_PERM - Permission Denied"),
        "energy": AmdSmiException("NO_PERM"),
    }
    found = Machine(tmp_path, FakeGpu("a"), mute).look()
    assert channels(found) == ["amd0.energy", "amd0.power"]
    assert [(f.code, f.severity) for f in found.findings] == [("gpu-not-measured", "degrades")]
    assert "Permission Denied" in found.findings[0].message


@pytest.mark.parametrize("where", ["init", "handles"])
def test_a_library_that_fails_is_unavailable_and_let_go(tmp_path, where):
    machine = Machine(tmp_path, FakeGpu("a"))
    machine.smi.errors[where] = AmdSmiException("AMDSMI_STATUS_DRIVER_NOT_LOADED - Driver not loaded")
    with pytest.raises(SensorUnavailable, match="Driver not loaded"):
        machine.look()
    assert machine.smi.inits == 0
    machine.smi.errors.clear()
    machine.smi.gpus.clear()
    with pytest.raises(SensorUnavailable, match="no GPU"):
        machine.look()
    assert machine.smi.inits == 0


@pytest.mark.parametrize("what", ["asic", "driver", "cap", "uuid", "order", "shut_down"])
def test_what_is_only_good_to_know_may_be_missing(tmp_path, what):
    machine = Machine(tmp_path, FakeGpu("a"))
    machine.smi.errors[what] = AmdSmiException("NOT_SUPPORTED")
    found = machine.look()
    assert channels(found) == ["amd0.energy", "amd0.power"]
    found.sensors[0].close()


@pytest.mark.parametrize("power", ["N/A", 0, 0xFFFF, -1, 20_000, None, True, float("nan")])
def test_nonsense_is_never_a_power(tmp_path, power):
    machine = Machine(tmp_path, FakeGpu("a"))
    (sensor,) = machine.look().sensors
    machine.smi.gpus[0].answers["power"] = dict.fromkeys(
        ("socket_power", "current_socket_power", "average_socket_power"), power
    )
    assert isinstance(sensor.read()["amd0.power"], SensorFailed)


def test_without_its_library_the_power_is_read_from_the_kernel(tmp_path):
    machine = Machine(tmp_path)
    machine.missing = SensorUnavailable("AMD's library libamd_smi.so was not found", "Install it")
    machine.card(142.5, "9ba3d6f7c1b2e845", power1_cap=303_000_000)
    machine.hwmon.chip("amdgpu", power1_input=80_000_000, device__unique_id="aa")
    found = machine.look()
    assert channels(found) == ["amd0.power", "amd1.power"]
    assert [sensor.read() for sensor in found.sensors] == [{"amd0.power": 142.5}, {"amd1.power": 80.0}]
    assert found.devices[0].id == "GPU-9ba3d6f7c1b2e845"
    assert found.devices[0].power_limit_w == 303.0
    assert codes(found) == ["no-energy-counter"] * 2
    assert "libamd_smi.so was not found" in found.findings[0].message
    assert channels(machine.look(ROCR_VISIBLE_DEVICES="GPU-AA")) == ["amd0.power"]
    record = recorded(machine.clock, machine.look(HIP_VISIBLE_DEVICES="0"), 10.0, folder=tmp_path / "run")
    assert record["job"].energy_j["gpu"].value == pytest.approx(1425.0, rel=1e-6)


def test_a_card_that_shows_no_power_is_unavailable(tmp_path):
    machine = Machine(tmp_path)
    machine.missing = SensorUnavailable("no library", "Install it")
    with pytest.raises(SensorUnavailable, match="no library"):
        machine.look()
    machine.hwmon.chip("amdgpu", freq1_input=1)
    with pytest.raises(SensorUnavailable, match="shows no power"):
        machine.look()


def test_where_a_gpu_sleeps_the_library_is_not_even_loaded(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    card = machine.card(9.0, "aa", device__power__runtime_status="suspended", power1_cap=200_000_000)
    found = machine.look()
    assert machine.loads == 0
    assert found.devices[0].power_limit_w is None, "asking for the limit would have woken it"
    (sensor,) = found.sensors
    with pytest.raises(SensorFailed, match="sleeps"):
        sensor.read()
    (card / "device" / "power" / "runtime_status").write_text("active\n")
    assert sensor.read() == {"amd0.power": 9.0}
    sensor.close()


def test_without_the_compute_driver_nothing_is_loaded(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"))
    machine.kfd.rmdir()
    with pytest.raises(HardwareAbsent):
        machine.look()
    assert machine.loads == 0


def test_the_binding_is_not_imported_where_its_library_is_missing():
    code = (
        "import sys\n"
        "from energy_rating.nouns.errors import SensorUnavailable\n"
        "from energy_rating.measuring.sensors.amdsmi import load_amdsmi\n"
        "try:\n"
        "    load_amdsmi(['/nowhere/libamd_smi.so'], {})\n"
        "except SensorUnavailable as error:\n"
        "    print(error.message, 'amdsmi' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "AMD's library libamd_smi.so was not found False\n"


def test_a_library_without_its_binding_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(SensorUnavailable, match="amdsmi cannot be used") as refused:
        load_amdsmi(["libc.so.6"], {})
    assert "pip install amdsmi" in refused.value.remedy


def test_a_closed_sensor_and_one_of_the_parent_process_are_lost(tmp_path):
    machine = Machine(tmp_path, FakeGpu("a"), FakeGpu("b"))
    one, other = machine.look().sensors
    one.close()
    one.close()
    assert machine.smi.inits == 1
    with pytest.raises(SensorLost):
        one.read()
    other._driver.pid = os.getpid() + 1
    with pytest.raises(SensorLost, match="parent"):
        other.read()
    other._driver.pid = os.getpid()
    other.close()
    assert machine.smi.inits == 0
