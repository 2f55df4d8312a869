"""NVIDIA GPUs as NVML shows them: our own binding and NVIDIA's, over a driver library whose answers are known."""

from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import pynvml
import pytest
from fake_nvml import Device, FakeNvml, Library, NoCompiler, build

from energy_rating.measuring.sensors import Detection, Reading, Sensor
from energy_rating.measuring.sensors.nvml import binding, detect, driver
from energy_rating.measuring.sensors.nvml.binding import ACCURACY, load_driver, load_pynvml
from energy_rating.measuring.sensors.nvml.library import SM_CLOCK
from energy_rating.nouns.errors import DriverRefused, SensorFailed, SensorLost, SensorUnavailable
from energy_rating.nouns.records import Finding, plain, validity

Detected = Callable[..., Detection]


@pytest.fixture
def worlds() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Machine:
    """Puts GPUs into this machine: ``machine(Device(), Device(mig=2))``. They are 100 s old, as are their faults' times."""

    library: Library

    def __init__(self, worlds: ExitStack) -> None:
        self.worlds = worlds

    def __call__(self, *devices: Device, **options: Any) -> FakeNvml:
        try:
            build()
        except NoCompiler as missing:
            pytest.skip(str(missing))
        fake = FakeNvml(devices=devices, epoch=time.monotonic() - 100, **options)
        self.library = self.worlds.enter_context(fake.load())
        return fake


@pytest.fixture
def machine(worlds: ExitStack) -> Machine:
    return Machine(worlds)


@pytest.fixture
def detected(worlds: ExitStack) -> Detected:
    """``detect``, whose sensors are let go at the end."""

    def look(load: Callable[[], ModuleType] = load_pynvml, **environ: str) -> Detection:
        detection = detect(environ, load)
        for sensor in detection.sensors:
            worlds.callback(sensor.close)
        return detection

    return look


class Binding(ModuleType):
    """NVIDIA's binding, where some functions answer otherwise: a number is an error, None a missing function."""

    def __init__(self, **others: object) -> None:
        super().__init__("pynvml")
        self.others = others

    def __getattr__(self, name: str) -> Any:
        if name not in self.others:
            return getattr(pynvml, name)
        answer = self.others[name]
        if callable(answer):
            return answer

        def refuse(*_: object) -> NoReturn:
            raise pynvml.NVMLError(13 if answer is None else answer)

        return refuse


def channels(detection: Detection) -> dict[str, str]:
    return {channel.id: channel.method for sensor in detection.sensors for channel in sensor.channels}


def codes(detection: Detection) -> list[str]:
    return [finding.code for finding in detection.findings]


def only(findings: tuple[Finding, ...], code: str) -> Finding:
    (finding,) = (finding for finding in findings if finding.code == code)
    return finding


# What is found


def test_a_gpu_gives_its_counter_and_its_momentary_power(machine: Machine, detected: Detected) -> None:
    fake = machine(Device(power="constant:300", power_limit_w=650, name="NVIDIA H100 80GB HBM3"))
    detection = detected()
    (sensor,) = detection.sensors
    counter, power = sensor.channels
    assert (counter.id, counter.method, counter.period_s, counter.wraps_at_j) == (
        "gpu0.energy",
        "counter",
        None,
        None,
    )
    assert (power.id, power.method, power.period_s) == ("gpu0.power", "power", 0.1)
    for channel in sensor.channels:
        assert (channel.component, channel.device, channel.accuracy) == ("gpu", fake.uuid(0), ACCURACY)
    assert detection.findings == ()
    (device,) = detection.devices
    assert device.id == fake.uuid(0)
    assert device.name == "NVIDIA H100 80GB HBM3"
    assert device.driver == "580.95.05"
    assert device.power_limit_w == 650.0
    assert device.clock_mhz == 1980.0
    assert device.memory_gb == pytest.approx(81559 * 2**20 / 1e9)
    assert device.mig is False


def test_joules_and_watts_are_those_of_the_gpu(machine: Machine, detected: Detected) -> None:
    machine(Device(power="constant:300", counter_period_s=0))
    (sensor,) = detected().sensors
    t0, first = time.monotonic(), sensor.read()
    time.sleep(0.2)
    second, t1 = sensor.read(), time.monotonic()
    assert first["gpu0.power"] == pytest.approx(300)
    assert 0.19 * 300 <= second["gpu0.energy"] - first["gpu0.energy"] <= 300 * (t1 - t0) + 0.01


@pytest.mark.parametrize("n", [1, 8, 64])
def test_every_gpu_is_found_each_with_its_own_sensor(machine: Machine, detected: Detected, n: int) -> None:
    fake = machine(*(Device(power=f"constant:{100 + i}") for i in range(n)))
    detection = detected()
    assert [sensor.channels[0].device for sensor in detection.sensors] == [fake.uuid(i) for i in range(n)]
    watts = [sensor.read()[f"gpu{i}.power"] for i, sensor in enumerate(detection.sensors)]
    assert watts == pytest.approx([100 + i for i in range(n)])


@pytest.mark.parametrize(
    ("fault", "calls"),
    [(None, 1), ("counter_unsupported", 1), ("instant_unsupported", 2), ("fields_unsupported", 2)],
)
def test_a_reading_costs_two_calls_to_the_driver_at_most(
    machine: Machine, detected: Detected, fault: str | None, calls: int
) -> None:
    machine(Device(faults=[fault] if fault else []))
    (sensor,) = detected().sensors
    before = machine.library.calls()
    for _ in range(10):
        assert not any(isinstance(value, SensorFailed) for value in sensor.read().values())
    assert machine.library.calls() - before == 10 * calls


# Which are visible


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("2", [2]),
        ("3,0", [3, 0]),
        ("GPU-00000000-0000-4000-8000-000000000002", [2]),
        ("GPU-b,GPU-00000000-0000-4000-8000-000000000001", [3, 1]),
        ("0,17,1", [0]),
    ],
)
def test_only_what_cuda_shows_is_measured_in_cudas_order(
    machine: Machine, detected: Detected, value: str, places: list[int]
) -> None:
    fake = machine(Device(), Device(), Device(), Device(uuid="GPU-bbbbbbbb-0000-4000-8000-000000000000"))
    detection = detected(CUDA_VISIBLE_DEVICES=value)
    assert [device.id for device in detection.devices] == [fake.uuid(place) for place in places]
    assert [sensor.channels[0].id for sensor in detection.sensors] == [
        f"gpu{number}.energy" for number in range(len(places))
    ]


def test_a_list_that_is_cut_short_says_so(machine: Machine, detected: Detected) -> None:
    machine(Device(), Device())
    finding = only(detected(CUDA_VISIBLE_DEVICES="0,17,1").findings, "gpu-list-cut-short")
    assert "entry 2" in finding.message
    assert finding.severity == "note"


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "is empty"), ("-1", "names none of them"), ("9", "names none of them"), ("1,1", "names one twice")],
)
def test_where_no_gpu_is_visible_that_is_an_error_and_not_zero(
    machine: Machine, value: str, why: str
) -> None:
    machine(Device(), Device())
    with pytest.raises(
        SensorUnavailable, match=r"no GPU is visible to this process \(2 are present\)"
    ) as told:
        detect({"CUDA_VISIBLE_DEVICES": value})
    assert why in told.value.message
    assert told.value.remedy
    assert not initialised()


def test_a_machine_without_gpus_is_an_error(machine: Machine) -> None:
    machine()
    with pytest.raises(SensorUnavailable, match="finds no GPU"):
        detect({})


def test_unlike_gpus_chosen_by_index_are_marked(machine: Machine, detected: Detected) -> None:
    fake = machine(Device(name="NVIDIA T400"), Device(name="NVIDIA A100"))
    detection = detected(CUDA_VISIBLE_DEVICES="0")
    finding = only(detection.findings, "gpu-order-uncertain")
    assert finding.severity == "degrades"
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in finding.remedy
    assert detection.devices[0].id == fake.uuid(0)
    assert codes(detected(CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID")) == []
    assert codes(detected(CUDA_VISIBLE_DEVICES=fake.uuid(0))) == []


@pytest.mark.parametrize(
    ("chosen", "order", "sure"),
    [
        ("0", {}, False),
        ("0", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, False),  # the dead one, or the first that answers?
        ("GPU", {}, True),
        (None, {}, True),
    ],
)
def test_numbers_are_uncertain_where_a_gpu_does_not_answer_and_uuids_are_sure(
    machine: Machine, detected: Detected, chosen: str | None, order: dict[str, str], sure: bool
) -> None:
    fake = machine(Device(faults=["lost"]), Device())
    chosen = fake.uuid(1) if chosen == "GPU" else chosen
    environ = order | ({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen})
    detection = detected(**environ)
    assert [device.id for device in detection.devices] == [fake.uuid(1)]
    assert ("gpu-order-uncertain" in codes(detection)) is not sure


def test_a_gpu_that_does_not_answer_behind_those_that_are_chosen_changes_no_number(
    machine: Machine, detected: Detected
) -> None:
    machine(Device(), Device(faults=["lost"]))
    assert "gpu-order-uncertain" not in codes(
        detected(CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    )
    # In the order of speed nobody knows where it would stand.
    assert "gpu-order-uncertain" in codes(detected(CUDA_VISIBLE_DEVICES="0"))


def test_a_number_that_names_none_of_those_that_answer_is_told_with_the_dead_one(machine: Machine) -> None:
    machine(Device(faults=["lost"]), Device())
    with pytest.raises(SensorUnavailable, match=r"place 0 .* does not answer .*fallen off the bus") as told:
        detect({"CUDA_VISIBLE_DEVICES": "1"})
    assert "UUID" in told.value.remedy


# MIG


def test_a_slice_is_measured_as_the_whole_gpu_and_never_rated(machine: Machine, detected: Detected) -> None:
    fake = machine(Device(), Device(mig=3))
    detection = detected(CUDA_VISIBLE_DEVICES=f"{fake.mig_uuid(1, 2)},{fake.mig_uuid(1, 0)}")
    (sensor,) = detection.sensors
    assert sensor.channels[0].device == fake.uuid(1)
    assert sensor.read()["gpu0.power"] == pytest.approx(300)
    assert detection.devices[0].mig is True
    assert only(detection.findings, "mig-shared").severity == "disqualifies"
    assert validity(detection.findings) == "invalid"


@pytest.mark.parametrize("name", ["MIG-00000002", "MIG-GPU-00000000-0000-4000-8000-000000000000/1/0"])
def test_short_and_old_names_of_slices_are_understood(
    machine: Machine, detected: Detected, name: str
) -> None:
    fake = machine(Device(mig=2), Device())
    assert [device.id for device in detected(CUDA_VISIBLE_DEVICES=name).devices] == [fake.uuid(0)]


def test_a_gpu_without_mig_says_nothing_of_it(machine: Machine, detected: Detected) -> None:
    machine(Device(mig="unsupported"))
    detection = detected()
    assert detection.devices[0].mig is False
    assert detection.findings == ()


# What a GPU does not tell


def test_without_a_counter_the_power_is_measured(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["counter_unsupported"], energy_scopes=()))
    detection = detected()
    assert channels(detection) == {"gpu0.power": "power"}
    finding = only(detection.findings, "no-energy-counter")
    assert (finding.severity, finding.channel) == ("note", "gpu0.power")
    assert "momentary power" in finding.message
    assert validity(detection.findings) == "valid"


def test_without_momentary_power_it_is_averaged(machine: Machine, detected: Detected) -> None:
    machine(
        Device(power="constant:250", faults=["counter_unsupported", "instant_unsupported"], energy_scopes=())
    )
    detection = detected()
    (sensor,) = detection.sensors
    (power,) = sensor.channels
    assert (power.id, power.period_s) == ("gpu0.power", 1.0)
    assert sensor.read()["gpu0.power"] == pytest.approx(250)
    assert only(detection.findings, "averaged-power").severity == "degrades"
    assert "averaged over 1 s" in only(detection.findings, "no-energy-counter").message


def test_averaged_power_beside_a_counter_is_worth_a_note(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["instant_unsupported"]))
    detection = detected()
    assert channels(detection) == {"gpu0.energy": "counter", "gpu0.power": "power"}
    assert [finding.severity for finding in detection.findings] == ["note"]


def test_a_counter_alone_measures_too(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["power_unsupported"]))
    detection = detected()
    assert channels(detection) == {"gpu0.energy": "counter"}
    assert codes(detection) == ["no-power-reading"]


def test_a_gpu_that_tells_nothing_is_absent_and_says_why(machine: Machine, detected: Detected) -> None:
    dumb = Device(faults=["counter_unsupported", "power_unsupported"], energy_scopes=())
    fake = machine(dumb, Device())
    detection = detected()
    assert channels(detection) == {"gpu1.energy": "counter", "gpu1.power": "power"}
    assert [device.id for device in detection.devices] == [fake.uuid(0), fake.uuid(1)]
    finding = only(detection.findings, "gpu-not-measured")
    assert finding.severity == "degrades"
    assert "GPU 0" in finding.message
    assert "does not support" in finding.message


def test_where_no_gpu_tells_anything_nothing_is_kept_open(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["counter_unsupported", "power_unsupported"], energy_scopes=()))
    assert detected().sensors == ()
    assert not initialised()


def test_power_of_zero_is_not_taken_for_a_sensor(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["power_zero"]))
    detection = detected()
    assert channels(detection) == {"gpu0.energy": "counter"}
    assert "0 W" in only(detection.findings, "no-power-reading").message


def test_a_gpu_that_is_lost_from_the_start_leaves_the_others(machine: Machine, detected: Detected) -> None:
    fake = machine(Device(faults=["lost"]), Device())
    detection = detected()
    assert [device.id for device in detection.devices] == [fake.uuid(1)]
    assert "fallen off the bus" in only(detection.findings, "gpu-not-measured").message
    assert detection.sensors[0].read()["gpu0.power"] == pytest.approx(300)


def test_gpus_that_are_all_lost_are_an_error(machine: Machine) -> None:
    machine(Device(faults=["lost"]))
    with pytest.raises(SensorUnavailable, match="fallen off the bus"):
        detect({})


def test_a_gpu_that_may_not_be_read_says_so(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=["no_permission"]))
    assert "denies permission" in only(detected().findings, "gpu-not-measured").message


# Drivers that answer otherwise


def test_a_gpu_that_is_not_this_processs_to_use_is_not_counted(machine: Machine, detected: Detected) -> None:
    fake = machine(Device(), Device())

    def by_index(place: int) -> Any:
        if place == 0:
            raise pynvml.NVMLError(4)
        return pynvml.nvmlDeviceGetHandleByIndex(place)

    detection = detected(lambda: Binding(nvmlDeviceGetHandleByIndex=by_index), CUDA_VISIBLE_DEVICES="0")
    assert [device.id for device in detection.devices] == [fake.uuid(1)]
    assert detection.findings == ()


def test_an_old_driver_lacks_functions_and_is_measured_all_the_same(
    machine: Machine, detected: Detected
) -> None:
    machine(Device(power="constant:300"))
    old = Binding(
        nvmlDeviceGetFieldValues=None,
        nvmlDeviceGetMigMode=None,
        nvmlDeviceGetMaxClockInfo=None,
        nvmlDeviceGetEnforcedPowerLimit=None,
        nvmlDeviceGetMemoryInfo=None,
        nvmlDeviceGetName=None,
        nvmlSystemGetDriverVersion=None,
    )
    detection = detected(lambda: old)
    assert detection.devices[0].mig is False
    assert detection.devices[0].power_limit_w is None
    assert detection.sensors[0].read()["gpu0.power"] == pytest.approx(300)
    assert codes(detection) == ["averaged-power"]


def test_a_field_that_is_not_the_counter_is_not_used_for_it(machine: Machine, detected: Detected) -> None:
    machine(Device())
    detection = detected(lambda: Binding(nvmlDeviceGetTotalEnergyConsumption=lambda _: 12_345))
    assert detection.sensors[0].read()["gpu0.energy"] == 12.345


def test_a_counter_that_only_its_field_tells_is_used(machine: Machine, detected: Detected) -> None:
    machine(Device(counter_start_mj=7_000_000_000, counter_period_s=0))
    detection = detected(lambda: Binding(nvmlDeviceGetTotalEnergyConsumption=None))
    assert channels(detection) == {"gpu0.energy": "counter", "gpu0.power": "power"}
    assert detection.sensors[0].read()["gpu0.energy"] > 7_000_000
    assert detection.findings == ()


def test_a_driver_that_will_not_say_whether_a_gpu_is_divided_is_marked(
    machine: Machine, detected: Detected
) -> None:
    machine(Device())
    detection = detected(lambda: Binding(nvmlDeviceGetMigMode=999))
    assert detection.devices[0].mig is None
    assert only(detection.findings, "mig-unknown").severity == "degrades"


def test_a_gpu_that_vanishes_while_we_look_is_absent_and_says_why(
    machine: Machine, detected: Detected
) -> None:
    machine(Device())
    detection = detected(lambda: Binding(nvmlDeviceGetHandleByUUID=15))
    assert detection.sensors == ()
    assert "fallen off the bus" in only(detection.findings, "gpu-not-measured").message


def test_a_driver_that_fails_to_count_its_gpus_is_an_error(machine: Machine) -> None:
    machine(Device())
    with pytest.raises(SensorUnavailable, match="unknown error"):
        detect({}, lambda: Binding(nvmlDeviceGetCount=999))
    assert not initialised()


# What goes wrong while measuring


BEGIN_S = 100.5  # half a second for the sensors to be found


def from_now(kind: str, for_s: float | None = None) -> str:
    """A fault that begins when the sensors have been found."""
    return f"{kind}@{BEGIN_S}" + ("" if for_s is None else f"..{BEGIN_S + for_s}")


def spoil(sensor: Sensor) -> Reading:
    """The first reading in which something failed."""
    for _ in range(1000):
        reading = sensor.read()
        if any(isinstance(value, SensorFailed) for value in reading.values()):
            return reading
        time.sleep(0.01)
    raise AssertionError("nothing failed")


def recover(sensor: Sensor) -> Reading:
    """The first reading in which nothing failed."""
    for _ in range(1000):
        reading = sensor.read()
        if not any(isinstance(value, SensorFailed) for value in reading.values()):
            return reading
        time.sleep(0.01)
    raise AssertionError("it did not recover")


def test_a_lost_gpu_is_lost_and_the_others_go_on(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=[from_now("lost")]), Device())
    lost, well = detected().sensors
    with pytest.raises(SensorLost, match="gpu0: the GPU is lost") as told:
        spoil(lost)
    assert told.value.remedy
    assert set(well.read()) == {"gpu1.energy", "gpu1.power"}
    lost.close()
    assert set(well.read()) == {"gpu1.energy", "gpu1.power"}


@pytest.mark.parametrize("code", [9, 16, 18, 28])
def test_a_driver_that_is_gone_is_lost(machine: Machine, detected: Detected, code: int) -> None:
    fault = from_now("error") + f":{code}"
    machine(Device(faults=[fault]))
    (sensor,) = detected().sensors
    with pytest.raises(SensorLost):
        spoil(sensor)


def test_a_driver_that_someone_else_shut_down_is_lost(machine: Machine, detected: Detected) -> None:
    machine(Device())
    (sensor,) = detected().sensors
    pynvml.nvmlShutdown()
    with pytest.raises(SensorLost, match="shut down"):
        sensor.read()


@pytest.mark.parametrize("fields", [True, False], ids=["one call", "two calls"])
@pytest.mark.parametrize(
    ("kind", "why"), [("no_permission", "denies permission"), ("unknown", "unknown error")]
)
def test_a_failing_reading_is_never_a_number(
    machine: Machine, detected: Detected, kind: str, why: str, fields: bool
) -> None:
    others = [] if fields else ["fields_unsupported"]
    machine(Device(faults=[*others, from_now(kind)]))
    (sensor,) = detected().sensors
    spoil(sensor)  # it may have begun between its two calls
    reading = sensor.read()
    assert set(reading) == {"gpu0.energy", "gpu0.power"}
    for failure in reading.values():
        assert isinstance(failure, SensorFailed)
        assert not isinstance(failure, SensorLost)
        assert why in str(failure)


def test_a_burst_of_unknown_errors_passes(machine: Machine, detected: Detected) -> None:
    machine(Device(power="constant:300", faults=[from_now("unknown", for_s=0.5)]))
    (sensor,) = detected().sensors
    assert all(isinstance(value, SensorFailed) for value in spoil(sensor).values())
    assert recover(sensor)["gpu0.power"] == pytest.approx(300)


@pytest.mark.parametrize(("kind", "why"), [("power_spike", "impossible power"), ("power_zero", "0 W")])
@pytest.mark.parametrize("others", [[], ["fields_unsupported"]], ids=["one call", "two calls"])
def test_a_sentinel_is_not_power_and_the_counter_goes_on(
    machine: Machine, detected: Detected, kind: str, why: str, others: list[str]
) -> None:
    machine(Device(faults=[*others, from_now(kind, for_s=0.5)]))
    (sensor,) = detected().sensors
    reading = spoil(sensor)
    assert isinstance(reading["gpu0.energy"], float)
    assert isinstance(reading["gpu0.power"], SensorFailed)
    assert why in str(reading["gpu0.power"])
    assert recover(sensor)["gpu0.power"] == pytest.approx(300)


def test_errors_are_one_line_without_paths(machine: Machine, detected: Detected) -> None:
    machine(Device(faults=[from_now("unknown")]))
    (sensor,) = detected().sensors
    for failure in spoil(sensor).values():
        assert "\n" not in str(failure)
        assert "/" not in str(failure)


# Beginning and end


def the_driver() -> driver.NvmlDriver:
    """As the program itself may have it, beside the sensors."""
    return driver.NvmlDriver(ctypes.CDLL(binding.LIBRARY))


def initialised() -> bool:
    try:
        the_driver().nvmlDeviceGetCount()
    except DriverRefused:
        return False
    return True


def test_nvml_is_let_go_once_by_the_last_sensor(machine: Machine) -> None:
    machine(Device(), Device())
    first, second = detect({}).sensors
    first.close()
    first.close()
    assert initialised()
    second.read()
    second.close()
    second.close()
    assert not initialised()
    with pytest.raises(SensorLost, match="closed"):
        second.read()


def test_other_users_of_nvml_in_the_process_keep_it(machine: Machine) -> None:
    machine(Device())
    pynvml.nvmlInit()
    (sensor,) = detect({}).sensors
    sensor.close()
    assert initialised()
    pynvml.nvmlShutdown()


def test_closing_after_the_driver_is_gone_is_harmless(machine: Machine) -> None:
    machine(Device())
    (sensor,) = detect({}).sensors
    the_driver().nvmlShutdown()
    sensor.close()


def test_a_forked_child_reads_nothing(
    machine: Machine, detected: Detected, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(Device())
    (sensor,) = detect({}).sensors
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(SensorLost, match="parent process"):
        sensor.read()
    sensor.close()
    monkeypatch.undo()
    assert initialised()


# No driver


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        (18, "was updated", "Reboot"),
        (9, "not loaded", "modprobe"),
        (4, "denies permission", "administrator"),
        (12, "libnvidia-ml.so.1", "Install the NVIDIA driver"),
        (12345, "error 12345", ""),
    ],
)
def test_a_driver_that_does_not_start_says_why(
    machine: Machine, code: int, message: str, remedy: str
) -> None:
    machine(Device(), init_error=code)
    with pytest.raises(SensorUnavailable) as told:
        detect({})
    assert message in told.value.message
    assert remedy in told.value.remedy


def detect_elsewhere(**environ: str) -> str:
    """What ``detect`` says in a fresh process."""
    program = "from energy_rating.measuring.sensors import nvml\ntry:\n print(nvml.detect())\nexcept Exception as e:\n print(repr(e), e)"
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_without_the_drivers_library_the_remedy_is_told() -> None:
    said = detect_elsewhere()
    if said.startswith("Detection("):
        pytest.skip("this machine has a GPU")
    assert "no NVIDIA driver library (libnvidia-ml.so.1) was found. Install the NVIDIA driver" in said


def test_another_process_finds_the_machine_by_itself() -> None:
    fake = FakeNvml(devices=(Device(), Device()))
    try:
        environ = fake.environment()
    except NoCompiler as missing:
        pytest.skip(str(missing))
    said = detect_elsewhere(**environ, CUDA_VISIBLE_DEVICES="1")
    assert fake.uuid(1) in said
    assert fake.uuid(0) not in said


def test_another_package_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", ModuleType("pynvml"))
    with pytest.raises(SensorUnavailable, match="another package") as told:
        load_pynvml()
    assert "nvidia-ml-py" in told.value.remedy


@pytest.mark.parametrize(
    ("package", "functions", "says", "command"),
    [
        (
            "pynvml",
            "",
            "the package pynvml stands in the place of nvidia-ml-py",
            "pip uninstall -y pynvml && pip install --force-reinstall nvidia-ml-py",
        ),
        (
            "nvidia_ml_py3",
            "def _nvmlGetFunctionPointer(): ...",
            "the package nvidia_ml_py3 stands in the place of nvidia-ml-py",
            "pip uninstall -y nvidia_ml_py3 && pip install --force-reinstall nvidia-ml-py",
        ),
        (
            "nvidia_ml_py",
            "def nvmlDeviceGetFieldValues(): ...",
            "nvidia-ml-py is too old for what is asked of it",
            "pip install --upgrade nvidia-ml-py",
        ),
    ],
)
def test_an_old_binding_is_named_with_the_one_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, functions: str, says: str, command: str
) -> None:
    (tmp_path / "pynvml.py").write_text(functions)
    about = tmp_path / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "RECORD").write_text("pynvml.py,,\n")
    (about / "top_level.txt").write_text("pynvml\n")
    importlib.import_module("pynvml")  # so that it is put back afterwards
    monkeypatch.delitem(sys.modules, "pynvml")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: None)
    with pytest.raises(SensorUnavailable) as told:
        load_pynvml()
    assert told.value.message == says
    assert told.value.remedy == f"Run: {command}"


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(SensorUnavailable, match="nvidia-ml-py is not installed"):
        load_pynvml()


def test_nvidia_s_own_binding_is_not_needed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = machine(Device(power="constant:300"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (sensor,) = detect({}).sensors
    try:
        assert sensor.channels[0].device == fake.uuid(0)
        assert sensor.read()["gpu0.power"] == pytest.approx(300)
    finally:
        sensor.close()
        monkeypatch.undo()  # the machine is taken away under that binding


def test_there_is_nothing_to_ask_where_the_driver_s_library_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> NoReturn:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(SensorUnavailable, match="no NVIDIA driver library"):
        load_driver()


def _skip_without(name: str) -> None:
    """On Linux the driver is asked by our own binding; NVIDIA's, through which the fake is asked here, has not always known all calls."""
    pynvml = load_pynvml()
    if not hasattr(pynvml, name):
        pytest.skip(f"this nvidia-ml-py has no {name}")


def test_the_driver_s_power_profile_and_its_adaptive_limit_are_known_of_the_device(
    machine: Machine, detected: Detected
) -> None:
    _skip_without("nvmlDeviceGetAdaptiveTgpModeInfo_v1")
    machine(Device(tells_profiles=True, power_profiles=1 << 2 | 1 << 21, adaptive_limit=True))
    (device,) = detected().devices
    assert (device.power_profile, device.adaptive_limit) == ("compute, inference", True)


def test_a_driver_of_before_has_neither_and_none_in_force_is_said(
    machine: Machine, detected: Detected
) -> None:
    _skip_without("nvmlDeviceGetAdaptiveTgpModeInfo_v1")
    machine(Device(), Device(tells_profiles=True))
    first, second = detected().devices
    assert (first.power_profile, first.adaptive_limit) == (None, None)
    assert (second.power_profile, second.adaptive_limit) == ("none", False)
    assert "power_profile" not in plain(first)


# Our own binding of the calls that are made, held against NVIDIA's

# A value's last kind, which NVIDIA's binding of driver 560 has no name for; all kinds lie in the same bytes.
NOT_KNOWN_YET = {"usVal"} - {name for name, *_ in pynvml.c_nvmlValue_t._fields_}


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (driver.FieldValue, pynvml.c_nvmlFieldValue_t),
        (driver.Value, pynvml.c_nvmlValue_t),
        (driver.Memory, pynvml.c_nvmlMemory_t),
        (driver.PciInfo, pynvml.nvmlPciInfo_t),
        (driver.ProcessInfo, pynvml.c_nvmlProcessInfo_v3_t),
        # Newer than the oldest binding that is tried.
        *(
            (own, getattr(pynvml, name))
            for own, name in (
                (driver.PowerProfiles, "c_nvmlWorkloadPowerProfileCurrentProfiles_v1_t"),
                (driver.AdaptiveLimit, "c_nvmlAdaptiveTgpModeInfo_v1_t"),
            )
            if hasattr(pynvml, name)
        ),
    ],
)
def test_a_structure_is_laid_out_as_nvidia_s_binding_has_it(own: Any, theirs: Any) -> None:
    def layout(kind: Any) -> list[tuple[str, int, int]]:
        return [(name, getattr(kind, name).offset, getattr(kind, name).size) for name, *_ in kind._fields_]

    known = [one for one in layout(own) if one[0] not in NOT_KNOWN_YET]
    assert known == layout(theirs)
    assert ctypes.sizeof(own) == ctypes.sizeof(theirs)


def test_constants_are_those_of_nvidia_s_binding() -> None:
    assert (driver.SUCCESS, driver.FUNCTION_NOT_FOUND, driver.INSUFFICIENT_SIZE) == (
        pynvml.NVML_SUCCESS,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_INSUFFICIENT_SIZE,
    )
    assert (driver.NAME_SIZE, driver.UUID_SIZE, driver.DRIVER_VERSION_SIZE) == (
        pynvml.NVML_DEVICE_NAME_V2_BUFFER_SIZE,
        pynvml.NVML_DEVICE_UUID_V2_BUFFER_SIZE,
        pynvml.NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE,
    )
    assert (SM_CLOCK, binding.LIBRARY) == (pynvml.NVML_CLOCK_SM, "libnvidia-ml.so.1")
    fields = {
        binding.COUNTER: pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
        binding.INSTANT: pynvml.NVML_FI_DEV_POWER_INSTANT,
        binding.AVERAGED: pynvml.NVML_FI_DEV_POWER_AVERAGE,
    }
    assert all(field == (number, pynvml.NVML_POWER_SCOPE_GPU) for field, number in fields.items())
    assert binding.MODULE_INSTANT == (pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_MODULE)


# Each call, with what it is asked beside the device.
CALLS: tuple[tuple[str, tuple[object, ...]], ...] = (
    *((name, ()) for name in ("nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetPciInfo", "nvmlDeviceGetMigMode")),
    *((name, ()) for name in ("nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMemoryInfo")),
    *((name, ()) for name in ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPersistenceMode")),
    *((name, ()) for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")),
    *((name, ()) for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetPowerUsage")),
    *((name, (1,)) for name in ("nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo")),
    ("nvmlDeviceGetTemperature", (0,)),
    ("nvmlDeviceGetTotalEnergyConsumption", ()),
    ("nvmlDeviceGetFieldValues", ([(83, 0), (186, 0), (185, 0), (191, 1), (9999, 0)],)),
    ("nvmlDeviceGetMigDeviceHandleByIndex", (0,)),
    ("nvmlDeviceGetMigDeviceHandleByIndex", (6,)),
)  # fmt: skip


def plainly(answer: Any) -> Any:
    """An answer without the type that a binding gives it, and without the moment at which it was given."""
    if isinstance(answer, ctypes.c_void_p | pynvml.c_nvmlDevice_t):
        return ctypes.cast(answer, ctypes.c_void_p).value
    if isinstance(answer, ctypes.Structure | ctypes.Union):
        unlike = {"timestamp", "latencyUsec"} | NOT_KNOWN_YET
        names = [name for name, *_ in answer._fields_ if name not in unlike]
        return {name: plainly(getattr(answer, name)) for name in names}
    if hasattr(answer, "pid"):  # NVIDIA's binding makes something else of a process
        return {"pid": answer.pid}
    if isinstance(answer, bytes):  # of a structure's member
        return answer.decode()
    if isinstance(answer, ctypes.Array | list | tuple):
        return [plainly(one) for one in answer]
    return answer


def what_is_said(nvml: Any, ask: Callable[[Any], Any]) -> Any:
    try:
        said = plainly(ask(nvml))
    except nvml.NVMLError as error:
        return f"refused: {error.value}"
    if isinstance(said, list) and said and isinstance(said[0], dict) and "usedGpuMemory" in said[0]:
        return [{"pid": one["pid"]} for one in said]
    return said


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ("lost",),
        ("no_permission",),
        ("counter_unsupported", "power_unsupported"),
        ("fields_unsupported",),
    ],
)
def test_every_call_says_what_it_says_through_nvidia_s_binding(
    machine: Machine, faults: tuple[str, ...]
) -> None:
    frozen = {"counter_period_s": 1e6, "power_period_s": 1e6, "average_period_s": 1e6}
    fake = machine(
        Device(pids=[11, 12, 13], throttle=[4], temperature_c=63, faults=faults, **frozen),
        Device(mig=2, persistence=False, name="Ünïcode GPU", faults=faults, **frozen),
    )
    own = driver.NvmlDriver(ctypes.CDLL(binding.LIBRARY))
    own.nvmlInit()
    pynvml.nvmlInit()
    assert own.nvmlSystemGetDriverVersion() == pynvml.nvmlSystemGetDriverVersion() == fake.driver_version
    assert own.nvmlDeviceGetCount() == pynvml.nvmlDeviceGetCount() == 2
    for find in (
        lambda nvml: nvml.nvmlDeviceGetHandleByIndex(1),
        lambda nvml: nvml.nvmlDeviceGetHandleByIndex(7),
        lambda nvml: nvml.nvmlDeviceGetHandleByUUID(fake.uuid(0)),
        lambda nvml: nvml.nvmlDeviceGetHandleByUUID("GPU-none"),
        lambda nvml: nvml.nvmlDeviceGetHandleByPciBusId("0000:01:00.0"),
        lambda nvml: nvml.nvmlDeviceGetHandleByPciBusId("nowhere"),
    ):
        assert what_is_said(own, find) == what_is_said(pynvml, find)
    for place in (0, 1):
        for name, more in CALLS:

            def ask(nvml: Any, name: str = name, more: tuple[object, ...] = more, place: int = place) -> Any:
                return getattr(nvml, name)(nvml.nvmlDeviceGetHandleByIndex(place), *more)

            assert what_is_said(own, ask) == what_is_said(pynvml, ask), (name, more)
    own.nvmlShutdown()
    pynvml.nvmlShutdown()


def test_a_function_that_an_old_library_lacks_is_refused_as_nvidia_s_binding_refuses_it() -> None:
    class Old:
        pass

    with pytest.raises(DriverRefused) as told:
        driver.NvmlDriver(cast(ctypes.CDLL, Old())).nvmlDeviceGetCount()
    assert told.value.value == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND


def test_the_binding_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, energy_rating.measuring.sensors.nvml; print('pynvml' in sys.modules)"
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# How a reading is made


def test_the_buffer_is_made_once_and_old_values_never_come_again(
    machine: Machine, detected: Detected
) -> None:
    machine(Device(power="constant:300"))
    (sensor,) = detected().sensors
    assert sensor.read()["gpu0.power"] == pytest.approx(300)
    batch = sensor._batch  # type: ignore[attr-defined]
    # A driver that says that all is well and fills in nothing.
    batch._function = lambda *_: 0
    for value in sensor.read().values():
        assert isinstance(value, SensorFailed)
        assert "unknown error" in str(value)


class _Shorter(pynvml._PrintableStructure):  # type: ignore[misc]
    """A field's value as another version of NVML might lay it out."""

    _fields_ = pynvml.c_nvmlFieldValue_t._fields_[2:]


@pytest.mark.parametrize(
    "other",
    [
        {"c_nvmlFieldValue_t": _Shorter},
        {"c_nvmlFieldValue_t": None},
        {"_nvmlGetFunctionPointer": 13},
        {"_nvmlGetFunctionPointer": lambda name: None},
    ],
    ids=["another structure", "no structure", "no function", "no pointer"],
)
@pytest.mark.parametrize("faults", [[], ["unknown@100.6..101"]], ids=["well", "failing"])
def test_where_the_binding_is_another_version_its_own_function_is_called(
    machine: Machine, detected: Detected, other: dict[str, Any], faults: list[str]
) -> None:
    machine(Device(power="constant:300", faults=faults))
    binding = Binding(nvmlDeviceGetFieldValues=pynvml.nvmlDeviceGetFieldValues, **other)
    binding.c_nvmlFieldValue_t = other.get("c_nvmlFieldValue_t", pynvml.c_nvmlFieldValue_t)
    (sensor,) = detected(lambda: binding).sensors
    assert sensor._batch is None  # type: ignore[attr-defined]
    assert sensor.read()["gpu0.power"] == pytest.approx(300)
    if faults:
        assert all(isinstance(value, SensorFailed) for value in spoil(sensor).values())


def test_one_field_that_fails_leaves_the_other(machine: Machine, detected: Detected) -> None:
    machine(Device(power="constant:300", faults=[from_now("power_unsupported", for_s=0.5)]))
    (sensor,) = detected().sensors
    reading = spoil(sensor)
    assert isinstance(reading["gpu0.energy"], float)
    assert "does not support" in str(reading["gpu0.power"])
    assert recover(sensor)["gpu0.power"] == pytest.approx(300)


# Modules: Grace Hopper, Grace Blackwell

SUPERCHIP: dict[str, Any] = {
    "name": "NVIDIA GH200 480GB",
    "power": "constant:200",
    "module_power": "constant:450",
    "counter_period_s": 0.02,
    "power_period_s": 0.02,
    "average_period_s": 0.02,
    "energy_scopes": ("gpu", "module"),
    "instant_scopes": ("gpu", "module"),
    "average_scopes": ("gpu", "module"),
}


def watts_counted(sensor: Sensor, channel: str) -> float:
    """The mean power that a counter tells, over half a second."""
    t0, first = time.monotonic(), sensor.read()[channel]
    time.sleep(0.5)
    t1, last = time.monotonic(), sensor.read()[channel]
    assert isinstance(first, float)
    assert isinstance(last, float)
    return (last - first) / (t1 - t0)


def components(detection: Detection) -> dict[str, str]:
    return {channel.id: channel.component for sensor in detection.sensors for channel in sensor.channels}


def test_a_module_is_a_component_of_its_own_and_never_added_to_its_gpu(
    machine: Machine, detected: Detected
) -> None:
    fake = machine(Device(**SUPERCHIP))
    detection = detected()
    (sensor,) = detection.sensors
    assert components(detection) == {
        "gpu0.energy": "gpu",
        "gpu0.power": "gpu",
        "module0.energy": "module",
        "module0.power": "module",
    }
    assert {channel.device for channel in sensor.channels[2:]} == {f"{fake.uuid(0)}:module"}
    assert [device.id for device in detection.devices] == [fake.uuid(0), f"{fake.uuid(0)}:module"]
    assert codes(detection) == []
    reading = sensor.read()
    assert reading["gpu0.power"] == pytest.approx(200)
    assert reading["module0.power"] == pytest.approx(450)
    assert watts_counted(sensor, "gpu0.energy") == pytest.approx(200, rel=0.15)
    assert watts_counted(sensor, "module0.energy") == pytest.approx(450, rel=0.15)


def test_a_plain_counter_that_is_the_whole_modules_is_not_called_the_gpus(
    machine: Machine, detected: Detected
) -> None:
    machine(Device(**SUPERCHIP | {"counter_scope": "module"}))
    detection = detected()
    finding = only(detection.findings, "module-scope")
    assert (finding.channel, finding.severity) == ("module0.energy", "note")
    (sensor,) = detection.sensors
    # The same number with the scope of the GPU is its own.
    assert watts_counted(sensor, "gpu0.energy") == pytest.approx(200, rel=0.15)
    assert watts_counted(sensor, "module0.energy") == pytest.approx(450, rel=0.15)


@pytest.mark.parametrize(("whose", "watts"), [("module", 450), ("gpu", 200)])
def test_where_no_scope_tells_whose_a_counter_is_its_rate_does(
    machine: Machine, detected: Detected, tmp_path: Path, whose: str, watts: float
) -> None:
    machine(Device(**SUPERCHIP | {"counter_scope": whose, "energy_scopes": ("none",)}))
    detection = detected(XDG_CACHE_HOME=str(tmp_path))
    channel = {"module": "module0.energy", "gpu": "gpu0.energy"}[whose]
    assert components(detection) == {
        channel: whose,
        "gpu0.power": "gpu",
        "module0.power": "module",
    }
    assert watts_counted(detection.sensors[0], channel) == pytest.approx(watts, rel=0.15)
    assert ("module-scope" in codes(detection)) is (whose == "module")
    # What took half a second to find out is remembered.
    before = machine.library.calls()
    assert components(detected(XDG_CACHE_HOME=str(tmp_path))) == components(detection)
    assert machine.library.calls() - before < 30


def test_whose_a_counter_is_that_fits_neither_power_is_not_guessed(
    machine: Machine, detected: Detected
) -> None:
    machine(Device(**SUPERCHIP | {"energy_scopes": ("none",), "faults": ["counter_frozen@1"]}))
    detection = detected()
    assert components(detection)["module0.energy"] == "module"
    assert "could not be told" in only(detection.findings, "module-scope").message


def test_where_only_the_module_answers_nothing_is_called_the_gpus(
    machine: Machine, detected: Detected
) -> None:
    only_module = {"energy_scopes": ("module",), "instant_scopes": ("module",), "average_scopes": ("module",)}
    machine(Device(**SUPERCHIP | only_module | {"counter_scope": "module"}))

    def whole_power(handle: Any) -> int:
        return 450_000

    detection = detected(lambda: Binding(nvmlDeviceGetPowerUsage=whole_power))
    assert components(detection) == {"module0.energy": "module", "module0.power": "module"}
    assert "nothing of its own" in only(detection.findings, "module-scope").message
    assert detection.sensors[0].read()["module0.power"] == pytest.approx(450)


def test_a_driver_that_passes_over_the_scope_makes_no_module(machine: Machine, detected: Detected) -> None:
    machine(Device(**SUPERCHIP | {"module_power": "constant:200"}))
    assert components(detected()) == {"gpu0.energy": "gpu", "gpu0.power": "gpu"}


@pytest.mark.parametrize(
    ("nodes", "modules"), [(("0", "0"), ["module0"]), (("0", "1"), ["module0", "module1"])]
)
def test_two_gpus_of_one_module_count_it_once(
    machine: Machine, tmp_path: Path, worlds: ExitStack, nodes: tuple[str, ...], modules: list[str]
) -> None:
    machine(Device(**SUPERCHIP), Device(**SUPERCHIP))
    for number, node in enumerate(nodes, start=1):
        folder = tmp_path / "devices" / f"0000:{number:02x}:00.0"
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{node}\n")
    detection = detect({}, pci=tmp_path)
    for sensor in detection.sensors:
        worlds.callback(sensor.close)
    found = [name for name, component in components(detection).items() if component == "module"]
    assert found == [f"{module}.{what}" for module in modules for what in ("energy", "power")]


# GPUs that sleep


def a_bus(folder: Path, *statuses: str) -> Path:
    """What the kernel tells of display devices that NVIDIA's driver holds, and of a sound device beside them."""
    driver = folder / "drivers" / "nvidia"
    for number, status in enumerate((*statuses, "suspended"), start=1):
        device = driver / f"0000:{number:02x}:00.0"
        (device / "power").mkdir(parents=True)
        (device / "class").write_text("0x030000\n" if number <= len(statuses) else "0x040300\n")
        (device / "power" / "runtime_status").write_text(f"{status}\n")
    (driver / "bind").write_text("")
    return folder


def test_a_gpu_that_sleeps_is_not_woken(machine: Machine, tmp_path: Path) -> None:
    machine(Device())
    loads = []

    def load() -> ModuleType:
        loads.append(1)
        return load_pynvml()

    with pytest.raises(SensorUnavailable, match="the GPU sleeps") as told:
        detect({}, load, pci=a_bus(tmp_path, "suspended"))
    assert "0000:01:00.0/power/control" in told.value.remedy
    assert loads == []
    assert machine.library.touched(0) == 0


def test_a_gpu_that_sleeps_among_others_is_left_alone_and_keeps_its_place(
    machine: Machine, tmp_path: Path, worlds: ExitStack
) -> None:
    fake = machine(Device(), Device(power="constant:120"), Device())
    detection = detect(
        {"CUDA_VISIBLE_DEVICES": "0,1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        pci=a_bus(tmp_path, "suspended", "active", "active"),
    )
    for sensor in detection.sensors:
        worlds.callback(sensor.close)
    (sensor,) = detection.sensors
    assert sensor.read()["gpu1.power"] == pytest.approx(120)
    assert [device.id for device in detection.devices] == [fake.uuid(1)]
    finding = only(detection.findings, "gpu-asleep")
    assert "not measured" in finding.message
    assert finding.severity == "note"
    assert machine.library.touched(0) == 0


@pytest.mark.parametrize("status", ["active", "resuming", "unsupported"])
def test_a_gpu_that_is_awake_is_measured_as_ever(
    machine: Machine, tmp_path: Path, worlds: ExitStack, status: str
) -> None:
    machine(Device())
    detection = detect({}, pci=a_bus(tmp_path, status))
    worlds.callback(detection.sensors[0].close)
    assert components(detection) == {"gpu0.energy": "gpu", "gpu0.power": "gpu"}


# What the GPU is like


def test_a_gpu_tells_its_condition(machine: Machine, detected: Detected) -> None:
    machine(
        Device(
            temperature_c=40,
            temperature_at=["71@0..1000"],
            sm_clock_at=["1410@0..1000"],
            power_limit_at=["350@0..1000"],
            throttle=["0x24"],
            persistence=False,
        )
    )
    (sensor,) = detected().sensors
    assert sensor.condition() == {  # type: ignore[attr-defined]
        "temperature_c": 71,
        "sm_clock_mhz": 1410,
        "power_limit_w": 350.0,
        "throttled_by": ["sw-power-cap", "sw-thermal"],
        "idle": False,
        "persistence": False,
    }


def test_what_a_driver_does_not_tell_of_the_condition_is_absent(machine: Machine, detected: Detected) -> None:
    machine(Device(throttle=[1]))
    binding = Binding(
        nvmlDeviceGetTemperature=3,
        nvmlDeviceGetCurrentClocksEventReasons=None,  # older drivers have the older name
        nvmlDeviceGetPersistenceMode=999,
    )
    (sensor,) = detected(lambda: binding).sensors
    told = sensor.condition()  # type: ignore[attr-defined]
    assert set(told) == {"sm_clock_mhz", "power_limit_w", "throttled_by", "idle"}
    assert told["idle"] is True
    sensor.close()
    assert sensor.condition() == {}  # type: ignore[attr-defined]
    assert sensor.users() == {}  # type: ignore[attr-defined]


def test_processes_that_are_not_the_runs_own_are_counted(
    machine: Machine, tmp_path: Path, worlds: ExitStack
) -> None:
    own, child, other = os.getpid(), 4_000_001, 4_000_002
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    for pid, parent in ((own, 1), (child, own), (other, 1), (1, 0)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (python) S {parent} 1 1 0 -1\n")
    machine(Device(pids=[own, child, f"{other}@0..1000"]))
    (sensor,) = detect({}, proc=tmp_path).sensors
    worlds.callback(sensor.close)
    assert sensor.users() == {"foreign_processes": 1}  # type: ignore[attr-defined]
    (nobody,) = detect({}, proc=tmp_path / "container").sensors
    worlds.callback(nobody.close)
    assert nobody.users() == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", ["name", "uuid"])
def test_a_name_that_is_not_utf_8_costs_no_gpu(
    machine: Machine, detected: Detected, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    machine(Device(), Device(power="constant:200"), Device(power="constant:100"))
    pynvml = load_pynvml()
    asked = {"name": "nvmlDeviceGetName", "uuid": "nvmlDeviceGetUUID"}[what]
    ask = getattr(pynvml, asked)

    def told(handle: Any) -> str:
        # Two of three say something in Latin-1.
        good = ask(handle)
        place = pynvml.nvmlDeviceGetIndex(handle)
        return good if place == 0 else b"caf\xe9 GPU".decode()

    monkeypatch.setattr(pynvml, asked, told)
    found = detected()
    assert len(found.sensors) == 3
    assert len({device.id for device in found.devices}) == 3
    watts = [next(v for k, v in sensor.read().items() if k.endswith("power")) for sensor in found.sensors]
    assert watts == [pytest.approx(300), pytest.approx(200), pytest.approx(100)]
    told_of = [finding for finding in found.findings if finding.code == "gpu-described-unreadably"]
    assert len(told_of) == 2
    assert all(finding.severity == "note" for finding in told_of)
    if what == "name":
        assert [device.name for device in found.devices[1:]] == ["NVIDIA GPU", "NVIDIA GPU"]


def test_a_driver_whose_version_is_not_utf_8_is_measured(
    machine: Machine, detected: Detected, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(Device())
    monkeypatch.setattr(load_pynvml(), "nvmlSystemGetDriverVersion", lambda: b"5\xe99".decode())
    found = detected()
    assert len(found.sensors) == 1
    assert found.devices[0].driver is None
    assert "gpu-described-unreadably" in [finding.code for finding in found.findings]
