"""The fake NVML tells the truth about what it draws, and fails as it is told to."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pynvml
import pytest
from fake_nvml import (
    BAD_CONFIGURATION,
    SONAME,
    Device,
    FakeNvml,
    Library,
    NoCompiler,
    build,
    compiler,
    parse_profile,
)

try:
    compiler()
except NoCompiler as missing:
    pytest.skip(str(missing), allow_module_level=True)

PROFILES = (
    "constant:300",
    "step:100,400,9.95",
    "step:50,700,2.5,80,8.7,333,10.05",
    "square:100,400,0.73,0.4",
    "square:90,350,0.1,0.25,0.033",
    "sine:250,150,0.37",
    "sine:250,250,3,1.1",
    "ramp:80,600,2,12",
    "burst:70,400,0.9,0.5",
    "burst:70,400,0.9,0.5,650,0.08,0.21",
)
ENERGY, INSTANT, AVERAGE = (
    pynvml.NVML_FI_DEV_ENERGY,
    pynvml.NVML_FI_DEV_POWER_INSTANT,
    pynvml.NVML_FI_DEV_POWER_AVERAGE,
)
TOTAL = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
READ_IN_PYTHON = """
import time, pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
print(pynvml.nvmlDeviceGetCount(), time.monotonic())
print(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), time.monotonic())
"""


@contextmanager
def machine(*devices: Device, age: float = 10.0, **options: Any) -> Iterator[tuple[FakeNvml, Library]]:
    """A machine whose time is now `age` seconds, with NVML open."""
    build()  # so that compiling takes none of the machine's time
    fake = FakeNvml(devices=devices, epoch=time.monotonic() - age, **options)
    with fake.load() as library:
        pynvml.nvmlInit()
        yield fake, library


def gpu(index: int = 0) -> Any:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def energy_mj(index: int = 0) -> int:
    return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu(index)))


def fields(*asked: int | tuple[int, int], index: int = 0) -> list[Any]:
    return list(pynvml.nvmlDeviceGetFieldValues(gpu(index), list(asked)))


def at_one_tick(tick_of: Any, read: Any) -> tuple[float, Any]:
    """A reading and the tick it belongs to, read again if a tick fell into the reading."""
    while True:
        before = tick_of(0, time.monotonic())
        value = read()
        if before == tick_of(0, time.monotonic()):
            return before, value


def code(call: Any) -> int:
    try:
        call()
    except pynvml.NVMLError as error:
        return int(error.value)
    return 0


# ---- the truth -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PROFILES)
def test_the_truth_is_the_integral_of_the_power(text: str) -> None:
    profile, t0, t1, n = parse_profile(text), 8.123, 11.456, 40_000
    step = (t1 - t0) / n
    numeric = math.fsum(profile.power_w(t0 + (i + 0.5) * step) for i in range(n)) * step
    assert profile.energy_j(t0, t1) == pytest.approx(numeric, rel=1e-4)
    middle = 9.87
    parts = profile.energy_j(t0, middle) + profile.energy_j(middle, t1)
    assert parts == pytest.approx(profile.energy_j(t0, t1), rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "constant", "constant:1,2", "step:1,2", "triangle:1,2,3", "square:a,b,c,d"]
)
def test_a_profile_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"profile|float"):
        parse_profile(text)


# ---- the counter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PROFILES)
def test_the_counter_is_the_true_energy_at_its_last_tick(text: str) -> None:
    device = Device(power=text, counter_period_s=0.013, counter_phase_s=0.004, counter_jitter_s=0.005, seed=7)
    with machine(device) as (fake, _):
        for _ in range(8):
            tick, mj = at_one_tick(fake.counter_tick, energy_mj)
            assert abs(mj - 1000 * fake.truth_j(0, fake.epoch, tick)) < 1
            time.sleep(0.01)


def test_the_counter_rests_between_ticks_and_ticks_with_its_period() -> None:
    with machine(Device(counter_period_s=0.02, counter_phase_s=0.007)) as (fake, _):
        seen: set[int] = set()
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            # However long this process had to wait in between: the value is that of a tick before it was read.
            before, mj, after = time.monotonic(), energy_mj(), time.monotonic()
            first, last = (
                1000 * fake.truth_j(0, fake.epoch, fake.counter_tick(0, now)) for now in (before, after)
            )
            assert first - 1 <= mj <= last + 1
            seen.add(mj)
        values = sorted(seen)
        assert all((b - a) % 6000 == 0 for a, b in itertools.pairwise(values))  # 300 W × 20 ms
        assert len(values) > 1


def test_ticks_that_jitter_stay_near_their_place_and_come_again_the_same() -> None:
    device = Device(counter_period_s=0.1, counter_jitter_s=0.03, seed=3)
    fake = FakeNvml(devices=(device, device), epoch=0.0)
    ticks = [fake.counter_tick(0, k / 10 + 0.05) for k in range(200)]
    moves = [tick - k / 10 for k, tick in enumerate(ticks)]
    assert all(abs(move) <= 0.03 for move in moves)
    assert max(moves) > 0.02
    assert min(moves) < -0.02
    assert ticks == [fake.counter_tick(0, k / 10 + 0.05) for k in range(200)]
    assert ticks != [fake.counter_tick(1, k / 10 + 0.05) for k in range(200)]


def test_a_counter_without_a_period_runs_continuously() -> None:
    with machine(Device(counter_period_s=0)) as (fake, _):
        before, mj, after = time.monotonic(), energy_mj(), time.monotonic()
        assert (
            1000 * fake.truth_j(0, fake.epoch, before) - 1 <= mj <= 1000 * fake.truth_j(0, fake.epoch, after)
        )


def test_a_machine_may_have_drawn_power_before_this_one_was_started() -> None:
    """Time 0 before the boot: a machine that has just been started tests as well as any other."""
    device = Device(power="step:100,400,1e6", counter_period_s=10, counter_phase_s=-5)
    with machine(device, age=time.monotonic() + 1e5) as (fake, _):
        assert fake.epoch < -9e4
        tick, mj = at_one_tick(fake.counter_tick, energy_mj)
        assert mj == pytest.approx(1000 * fake.truth_j(0, fake.epoch, tick), abs=1)
        assert mj > 100_000 * 1e5


def test_gain_multiplies_counter_and_power_alike() -> None:
    device = Device(gain=0.954, counter_period_s=1000, counter_phase_s=-990)
    with machine(device, age=1000.0) as (fake, _):
        assert energy_mj() == pytest.approx(
            0.954 * 1000 * fake.truth_j(0, fake.epoch, fake.epoch + 10), abs=1
        )
        assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == 286200
        assert fields(INSTANT)[0].value.uiVal == 286200


@pytest.mark.parametrize("start", [123, 2**53 + 1, 2**64 - 1000])
def test_the_counter_starts_where_it_is_told_and_wraps_at_64_bits(start: int) -> None:
    with machine(Device(counter_start_mj=start, counter_period_s=100)):
        assert energy_mj() == start
    with machine(Device(counter_start_mj=start, counter_period_s=8)):
        assert energy_mj() == (start + 2_400_000) % 2**64


def test_a_part_time_counter_sees_only_its_window() -> None:
    # Every tick falls on the end of the high part, so this sensor never sees the low one.
    device = Device(power="square:100,400,0.1,0.3", counter_window_s=0.025, counter_phase_s=0.03)
    with machine(device) as (fake, _):
        tick, mj = at_one_tick(fake.counter_tick, energy_mj)
        assert mj == pytest.approx(40_000 * round((tick - fake.epoch + 0.07) / 0.1), abs=1)
    device = Device(power="square:100,400,0.73,0.4", counter_window_s=0.025)
    with machine(device) as (fake, _):
        tick, mj = at_one_tick(fake.counter_tick, energy_mj)
        ticks = [fake.epoch + 0.1 * k for k in range(1, round((tick - fake.epoch) / 0.1) + 1)]
        seen = math.fsum(fake.truth_j(0, t - 0.025, t) / 0.025 * 0.1 for t in ticks)
        assert mj == pytest.approx(1000 * seen, abs=1)
        assert abs(mj / 1000 - fake.truth_j(0, fake.epoch, tick)) > 1


# ---- power -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PROFILES)
def test_power_is_the_mean_over_the_window_before_its_refresh(text: str) -> None:
    device = Device(
        power=text, power_period_s=0.03, average_period_s=0.03, power_phase_s=0.011, power_jitter_s=0.01
    )
    with machine(device) as (fake, _):
        for _ in range(3):
            tick, values = at_one_tick(fake.power_tick, lambda: fields(INSTANT, AVERAGE))
            for value, window in zip(values, (0.025, 1.0), strict=True):
                watts = fake.truth_j(0, tick - window, tick) / window
                assert value.value.uiVal == pytest.approx(1000 * watts, abs=1)
            time.sleep(0.02)


def test_momentary_power_is_the_power_at_the_refresh() -> None:
    with machine(Device(power="sine:250,150,0.37", instant_window_s=0, power_usage="instant")) as (fake, _):
        tick, mw = at_one_tick(fake.power_tick, lambda: pynvml.nvmlDeviceGetPowerUsage(gpu()))
        assert mw == pytest.approx(1000 * fake.power_w(0, tick), abs=1)


def test_power_usage_is_average_power_unless_told_otherwise() -> None:
    # Average power was refreshed at 9.2 s, a fifth of its second after the step; instant power at 8.2 s.
    device = Device(power="step:500,100,9", power_period_s=8.2, average_period_s=9.2)
    for one, expected in ((device, 420_000), (replace(device, power_usage="instant"), 500_000)):
        with machine(one):
            assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == expected


# ---- field values ----------------------------------------------------------------------------------------


def test_only_the_scopes_that_are_told_to_answer_and_each_with_its_own_power() -> None:
    device = Device(
        module_power="constant:650",
        memory_power="constant:40",
        energy_scopes=("gpu", "module"),
        instant_scopes=("gpu",),
        average_scopes=("gpu", "module", "memory"),
        counter_scope="module",
        counter_period_s=8,
    )
    with machine(device):
        asked = [(field, scope) for field in (ENERGY, INSTANT, AVERAGE) for scope in range(5)]
        values = fields(*asked)
        codes = [value.nvmlReturn for value in values]
        assert codes == [0, 0, 3, 3, 2, 0, 3, 3, 3, 2, 0, 0, 0, 3, 2]
        assert [value.value.ullVal for value in values[:2]] == [2_400_000, 5_200_000]
        assert [value.value.uiVal for value in values[10:13]] == [300_000, 650_000, 40_000]
        assert fields(TOTAL)[0].value.ullVal == energy_mj() == 5_200_000
        assert [value.valueType for value in fields(ENERGY, INSTANT)] == [3, 1]


def test_a_field_tells_when_it_was_asked_or_when_the_sensor_read() -> None:
    with machine(Device(latency_us=300)):
        before, value, after = time.time(), fields(ENERGY)[0], time.time()
        assert before <= value.timestamp / 1e6 + 1e-6
        assert value.timestamp / 1e6 <= after + 1e-6
        assert value.latencyUsec == 300
    with machine(Device(field_timestamp="sensor", power_period_s=0.05)) as (fake, _):
        tick, values = at_one_tick(fake.power_tick, lambda: fields(INSTANT))
        assert values[0].timestamp / 1e6 == pytest.approx(tick + time.time() - time.monotonic(), abs=0.002)


def test_limits_are_fields_too_and_unknown_fields_are_not_supported() -> None:
    with machine(Device(power_limit_w=450)):
        values = fields(187, 188, 189, 190, 1)
        assert [value.value.uiVal for value in values[:4]] == [200_000, 700_000, 700_000, 450_000]
        assert [value.nvmlReturn for value in values] == [0, 0, 0, 0, 3]


# ---- samples ---------------------------------------------------------------------------------------------


def test_live_samples_are_the_last_120_and_each_is_the_mean_before_it() -> None:
    with machine(Device(power="square:100,400,0.73,0.4", instant_window_s=0.01)) as (fake, _):
        kind, samples = pynvml.nvmlDeviceGetSamples(gpu(), pynvml.NVML_TOTAL_POWER_SAMPLES, 0)
        shift = time.time() - time.monotonic()
        assert (kind, len(samples)) == (1, 120)
        gaps = {round((b.timeStamp - a.timeStamp) / 1e6, 4) for a, b in itertools.pairwise(samples)}
        assert gaps == {0.02}
        assert 0 <= time.time() - samples[-1].timeStamp / 1e6 < 0.5
        right = 0
        for sample in samples:
            at = fake.epoch + 0.02 * round((sample.timeStamp / 1e6 - shift - fake.epoch) / 0.02)
            right += abs(sample.sampleValue.uiVal - 1000 * fake.truth_j(0, at - 0.01, at) / 0.01) <= 1
        assert right == 120
        assert len(pynvml.nvmlDeviceGetSamples(gpu(), 0, samples[-4].timeStamp)[1]) >= 3


def test_a_sample_keeps_its_time_stamp_however_often_it_is_read() -> None:
    with machine(Device()):
        reads = [{s.timeStamp for s in pynvml.nvmlDeviceGetSamples(gpu(), 0, 0)[1]} for _ in range(20)]
        assert len(set.union(*reads)) < 130


def test_samples_may_be_stale_or_not_supported() -> None:
    with machine(Device(samples="stale")):
        samples = pynvml.nvmlDeviceGetSamples(gpu(), 0, 0)[1]
        assert time.time() - samples[-1].timeStamp / 1e6 > 9.9
        assert (
            code(lambda: pynvml.nvmlDeviceGetSamples(gpu(), 0, samples[-1].timeStamp))
            == pynvml.NVML_ERROR_NOT_FOUND
        )
    with machine(Device(samples="unsupported"), Device()):
        assert code(lambda: pynvml.nvmlDeviceGetSamples(gpu(0), 0, 0)) == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert code(lambda: pynvml.nvmlDeviceGetSamples(gpu(1), 7, 0)) == pynvml.NVML_ERROR_NOT_SUPPORTED


# ---- what goes wrong -------------------------------------------------------------------------------------

READINGS = {
    "energy": lambda: energy_mj(),
    "power": lambda: pynvml.nvmlDeviceGetPowerUsage(gpu()),
    "fields": lambda: fields(ENERGY),
    "samples": lambda: pynvml.nvmlDeviceGetSamples(gpu(), 0, 0),
    "clock": lambda: pynvml.nvmlDeviceGetClockInfo(gpu(), 1),
    "name": lambda: pynvml.nvmlDeviceGetName(gpu()),
    "energy field": lambda: code_of_field(ENERGY),
    "instant field": lambda: code_of_field(INSTANT),
    "average field": lambda: code_of_field(AVERAGE),
}
FIELDS = {"fields", "energy field", "instant field", "average field"}
SENSORS = {"energy", "power", "samples", "clock"} | FIELDS


def code_of_field(field: int) -> None:
    if code := fields(field)[0].nvmlReturn:
        raise pynvml.NVMLError(code)


@pytest.mark.parametrize(
    ("fault", "expected", "fails"),
    [
        ("lost", 15, set(READINGS)),
        ("no_permission", 4, SENSORS),
        ("unknown", 999, SENSORS),
        ("error:10", 10, SENSORS),
        ("counter_unsupported", 3, {"energy", "energy field"}),
        ("power_unsupported", 3, {"power", "samples", "instant field", "average field"}),
        ("instant_unsupported", 3, {"instant field"}),
        ("fields_unsupported", 3, FIELDS),
    ],
)
def test_a_fault_fails_what_it_should_and_only_then(fault: str, expected: int, fails: set[str]) -> None:
    kind, _, value = fault.partition(":")
    for span, now in (("", True), ("@9", True), ("@9..100", True), ("@8..9", False), ("@100", False)):
        told = f"{kind}{span}:{value}" if value else kind + span
        with machine(Device(faults=(told,)), Device()):
            for name, reading in READINGS.items():
                assert code(reading) == (expected if now and name in fails else 0), (told, name)
            assert energy_mj(1) > 0


def test_a_fault_comes_and_goes_at_its_time() -> None:
    with machine(Device(faults=("unknown@10.05..10.2",))) as (fake, _):
        seen = []
        while time.monotonic() < fake.epoch + 10.25:
            before, result, after = (
                time.monotonic() - fake.epoch,
                code(energy_mj),
                time.monotonic() - fake.epoch,
            )
            seen.append(result)
            if after < 10.05 or before >= 10.2:
                assert result == 0
            if before >= 10.05 and after < 10.2:
                assert result == 999
        assert [result for result, _ in itertools.groupby(seen)] == [0, 999, 0]


@pytest.mark.parametrize(
    ("faults", "joules"),
    [
        ("counter_reset@6", 4 * 300),
        ("counter_reset@3 counter_reset@8", 2 * 300),
        ("counter_reset@20", 10 * 300 + 7),
        ("counter_frozen@4", 4 * 300 + 7),
        ("counter_frozen@4..9", 10 * 300 + 7),
        ("counter_zero@4", 0),
        ("counter_zero@4..9", 10 * 300 + 7),
    ],
)
def test_a_counter_resets_freezes_and_zeroes(faults: str, joules: float) -> None:
    with machine(Device(counter_start_mj=7000, counter_period_s=2, faults=faults.split())):
        assert energy_mj() == fields(ENERGY)[0].value.ullVal == 1000 * joules


def test_a_part_time_counter_resets_too() -> None:
    with machine(Device(counter_window_s=0.025, faults=("counter_reset@6",))) as (fake, _):
        tick, mj = at_one_tick(fake.counter_tick, energy_mj)
        assert mj == pytest.approx(300_000 * (tick - fake.epoch - 6), abs=1)


@pytest.mark.parametrize(
    ("fault", "mw"),
    [
        ("power_spike", 2**32 - 1),
        ("power_spike@9:1234.5", 1_234_500),
        ("power_spike@3..4", 300_000),
        ("power_zero@9", 0),
        ("power_zero@3..4", 300_000),
    ],
)
def test_power_spikes_and_zeroes_in_every_reading_of_it(fault: str, mw: int) -> None:
    with machine(Device(faults=(fault,))):
        assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == mw
        assert [value.value.uiVal for value in fields(INSTANT, AVERAGE)] == [mw, mw]
        assert energy_mj() > 2_900_000


def test_a_device_that_hangs_blocks_its_caller_and_no_other_device() -> None:
    with machine(Device(faults=("hang@10.1..10.4",)), Device()) as (fake, _):
        hung, sound = gpu(0), gpu(1)
        time.sleep(max(0, fake.epoch + 10.15 - time.monotonic()))
        with ThreadPoolExecutor(1) as pool:
            blocked = pool.submit(pynvml.nvmlDeviceGetPowerUsage, hung)
            while time.monotonic() < fake.epoch + 10.25:
                pynvml.nvmlDeviceGetPowerUsage(sound)
            assert not blocked.done() or time.monotonic() > fake.epoch + 10.4
            assert blocked.result(timeout=5) == 300_000
            assert time.monotonic() >= fake.epoch + 10.4


def test_a_device_that_hangs_for_ever_lets_go_when_nvml_is_shut_down() -> None:
    with ThreadPoolExecutor(1) as pool:
        with machine(Device(faults=("hang",))):
            blocked = pool.submit(code, gpu)
            time.sleep(0.05)
            assert not blocked.done()
        assert blocked.result(timeout=5) == pynvml.NVML_ERROR_UNINITIALIZED


def test_a_shutdown_may_hang_with_its_device() -> None:
    with machine(Device(faults=("hang@9..10.1",)), shutdown_hangs=True) as (fake, _):
        pynvml.nvmlShutdown()
        assert time.monotonic() >= fake.epoch + 10.1


@pytest.mark.parametrize("latency_us", [50, 2000])
def test_a_call_takes_as_long_as_it_is_told(latency_us: int) -> None:
    with machine(Device(latency_us=latency_us), Device()):
        slow, fast = gpu(0), gpu(1)
        quickest = []
        for handle in (slow, fast):
            times = []
            for _ in range(20):
                start = time.perf_counter()
                pynvml.nvmlDeviceGetPowerUsage(handle)
                times.append(time.perf_counter() - start)
            quickest.append(min(times))
        assert quickest[1] < latency_us * 1e-6 <= quickest[0]


# ---- who is there ----------------------------------------------------------------------------------------


def test_devices_are_found_by_index_uuid_and_pci_address() -> None:
    with machine(Device(), Device(), Device(uuid="GPU-2-abc", pci="0001:af:00.0")) as (fake, _):
        assert pynvml.nvmlDeviceGetUUID(gpu(1)) == fake.uuid(1) == "GPU-00000000-0000-4000-8000-000000000001"
        for i in range(3):
            by_uuid = pynvml.nvmlDeviceGetHandleByUUID(fake.uuid(i))
            by_pci = pynvml.nvmlDeviceGetHandleByPciBusId(pynvml.nvmlDeviceGetPciInfo(gpu(i)).busId)
            assert [pynvml.nvmlDeviceGetIndex(handle) for handle in (by_uuid, by_pci)] == [i, i]
        info = pynvml.nvmlDeviceGetPciInfo(gpu(2))
        assert (info.domain, info.bus, info.device, info.busId) == (1, 0xAF, 0, "00000001:AF:00.0")
        for call, expected in (
            (lambda: gpu(3), 2),
            (lambda: pynvml.nvmlDeviceGetHandleByUUID("GPU-none"), 6),
            (lambda: pynvml.nvmlDeviceGetHandleByPciBusId("0000:99:00.0"), 6),
            (lambda: pynvml.nvmlDeviceGetName(None), 2),
        ):
            assert code(call) == expected


def test_a_machine_has_up_to_64_devices_with_each_its_own_power() -> None:
    with machine(*(Device(power=f"constant:{100 + i}", counter_period_s=8) for i in range(64))):
        assert pynvml.nvmlDeviceGetCount() == 64
        assert [energy_mj(i) for i in range(64)] == [8000 * (100 + i) for i in range(64)]
        assert len({pynvml.nvmlDeviceGetUUID(gpu(i)) for i in range(64)}) == 64
    with machine():
        assert pynvml.nvmlDeviceGetCount() == 0


def test_the_machine_says_who_it_is() -> None:
    device = Device(
        name="NVIDIA A100-SXM4-80GB",
        architecture=7,
        compute_capability="8.6",
        power_limit_w=400,
        sm_clock_mhz=1410,
        mem_clock_max_mhz=1593,
        temperature_c=61,
        utilisation_percent=93,
        memory_total_mib=81920,
        memory_used_mib=1000,
        pids=(4711, "4712@11", "4713@3..12"),
        throttle=("0x4", "0x40@3..4", "0x20@9"),
        persistence=False,
    )
    with machine(device, driver_version="470.1", cuda_version=11040):
        h = gpu()
        assert pynvml.nvmlSystemGetDriverVersion() == "470.1"
        assert pynvml.nvmlSystemGetNVMLVersion() == "13.580.95.05"
        assert pynvml.nvmlSystemGetCudaDriverVersion() == pynvml.nvmlSystemGetCudaDriverVersion_v2() == 11040
        assert pynvml.nvmlDeviceGetName(h) == "NVIDIA A100-SXM4-80GB"
        assert pynvml.nvmlDeviceGetBrand(h) == 14
        assert pynvml.nvmlDeviceGetArchitecture(h) == 7
        assert pynvml.nvmlDeviceGetCudaComputeCapability(h) == (8, 6)
        assert (
            pynvml.nvmlDeviceGetEnforcedPowerLimit(h)
            == pynvml.nvmlDeviceGetPowerManagementLimit(h)
            == 400_000
        )
        assert pynvml.nvmlDeviceGetPowerManagementDefaultLimit(h) == 700_000
        assert pynvml.nvmlDeviceGetPowerManagementLimitConstraints(h) == [200_000, 700_000]
        assert [pynvml.nvmlDeviceGetClockInfo(h, i) for i in range(4)] == [1410, 1410, 2619, 1410]
        assert [pynvml.nvmlDeviceGetMaxClockInfo(h, i) for i in range(4)] == [1980, 1980, 1593, 1980]
        assert pynvml.nvmlDeviceGetTemperature(h, 0) == pynvml.nvmlDeviceGetTemperatureV(h, 0) == 61
        assert pynvml.nvmlDeviceGetUtilizationRates(h).gpu == 93
        for memory in (
            pynvml.nvmlDeviceGetMemoryInfo(h),
            pynvml.nvmlDeviceGetMemoryInfo(h, pynvml.nvmlMemory_v2),
        ):
            assert (memory.total, memory.used, memory.free) == (81920 << 20, 1000 << 20, 80920 << 20)
        assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(h)] == [4711, 4713]
        assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(h) == []
        assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(h) == 0x24
        assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(h) == 0x24
        assert pynvml.nvmlDeviceGetPersistenceMode(h) == 0
        assert pynvml.nvmlDeviceGetMigMode(h) == [0, 0]
        assert code(lambda: pynvml.nvmlDeviceGetC2cModeInfoV(h)) == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert pynvml.nvmlDeviceGetVirtualizationMode(h) == 0
        assert pynvml.nvmlDeviceGetMinorNumber(h) == 0
        assert pynvml.nvmlDeviceGetPerformanceState(h) == 0
        assert code(lambda: pynvml.nvmlDeviceGetFanSpeed(h)) == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND


def test_mig_instances_have_names_and_a_parent_but_no_energy() -> None:
    with machine(Device(), Device(mig=3), Device(mig="unsupported")) as (fake, _):
        parent = gpu(1)
        assert pynvml.nvmlDeviceGetMigMode(parent) == [1, 1]
        assert pynvml.nvmlDeviceGetMaxMigDeviceCount(parent) == 7
        for k in range(3):
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, k)
            uuid = pynvml.nvmlDeviceGetUUID(instance)
            assert uuid == fake.mig_uuid(1, k) == f"MIG-0000000{k + 1}-0000-4000-8000-000000000001"
            for handle in (instance, pynvml.nvmlDeviceGetHandleByUUID(uuid)):
                above = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
                assert pynvml.nvmlDeviceGetUUID(above) == fake.uuid(1)
                assert pynvml.nvmlDeviceIsMigDeviceHandle(handle).value == 1
                assert pynvml.nvmlDeviceGetName(handle).endswith("MIG 1g.10gb")
                for reading in (pynvml.nvmlDeviceGetTotalEnergyConsumption, pynvml.nvmlDeviceGetPowerUsage):
                    assert code(lambda: reading(handle)) == pynvml.NVML_ERROR_NOT_SUPPORTED  # noqa: B023
        assert (
            code(lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 3)) == pynvml.NVML_ERROR_NOT_FOUND
        )
        assert code(lambda: pynvml.nvmlDeviceGetUtilizationRates(parent)) == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert code(lambda: pynvml.nvmlDeviceGetMigMode(gpu(2))) == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert energy_mj(1) > 0


# ---- the library -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [4, 9, 18, 999])
def test_nvml_may_fail_to_open(error: int) -> None:
    with FakeNvml(init_error=error).load():
        assert code(pynvml.nvmlInit) == error
        assert code(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED


def test_nvml_answers_only_between_its_first_init_and_its_last_shutdown() -> None:
    with FakeNvml().load():
        pynvml.nvmlInit()
        pynvml.nvmlInit()
        handle = gpu()
        pynvml.nvmlShutdown()
        assert pynvml.nvmlDeviceGetPowerUsage(handle) > 0
        pynvml.nvmlShutdown()
        for call in (pynvml.nvmlDeviceGetCount, pynvml.nvmlShutdown, gpu):
            assert code(call) == pynvml.NVML_ERROR_UNINITIALIZED
        assert code(lambda: pynvml.nvmlDeviceGetPowerUsage(handle)) == pynvml.NVML_ERROR_UNINITIALIZED


def test_one_process_may_see_one_machine_after_another() -> None:
    before = os.environ.get("FAKE_NVML_CONFIG")
    for n in (1, 3, 2):
        with machine(*[Device(name=f"GPU of {n}")] * n) as (_, library):
            assert pynvml.nvmlDeviceGetCount() == n
            assert pynvml.nvmlDeviceGetName(gpu(n - 1)) == f"GPU of {n}"
            assert library.calls() == 0
            energy_mj()
            assert library.calls() == 1
            assert library.now() == pytest.approx(10, abs=1)
        assert code(pynvml.nvmlDeviceGetCount) == pynvml.NVML_ERROR_UNINITIALIZED
    assert os.environ.get("FAKE_NVML_CONFIG") == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("colour = red", "9: unknown key 'colour'"),
        ("power = triangle:1,2", "9: 'triangle' with these 2 numbers is no power profile"),
        ("power = sine:100,200,1", "9: 'sine' with these 3 numbers is no power profile"),
        ("power = constant:x", "9: 'x' in a power profile is no number"),
        ("faults = melted@3", "9: no fault is called 'melted'"),
        ("faults = lost@soon", "9: 'lost' lasts from no time"),
        ("faults = counter_reset", "9: counter_reset needs a time"),
        ("gain = -1", "9: gain must be a number, zero or more"),
        ("gain = x", "9: gain must be a number, not 'x'"),
        ("samples = fresh", "9: samples may not be 'fresh'"),
        ("energy_scopes = gpu sky", "9: energy_scopes may not hold 'sky'"),
        ("energy_scopes = module", "scope module answers but has no power profile"),
        ("counter_jitter_s = 0.05", "counter_jitter_s must be less than half"),
        ("mig = 8", "9: mig is off, unsupported or 0 to 7"),
        ("nothing", "9: neither 'key = value' nor a section"),
        ("[device 1]", "9: there is no device '1' among 1"),
    ],
)
def test_a_mistake_in_the_configuration_is_named_with_its_line(
    line: str, complaint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeNvml(devices=(Device(),)).load():
        path = tmp_path / "wrong.conf"
        path.write_text("\n".join(["# comment", "devices = 1", *[""] * 5, "[device *]", line]) + "\n")
        os.environ["FAKE_NVML_CONFIG"] = str(path)
        assert code(pynvml.nvmlInit) == BAD_CONFIGURATION
        told = capfd.readouterr().err
        assert told.count("\n") == 1
        assert complaint in told
        path.write_text("devices = 1\n")
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetPowerUsage(gpu()) == 300_000


def test_a_missing_configuration_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeNvml().load():
        del os.environ["FAKE_NVML_CONFIG"]
        assert code(pynvml.nvmlInit) == BAD_CONFIGURATION
        assert "this environment variable is not set" in capfd.readouterr().err
        os.environ["FAKE_NVML_CONFIG"] = "/nowhere"
        assert code(pynvml.nvmlInit) == BAD_CONFIGURATION


def test_the_python_defaults_are_the_library_defaults(tmp_path: Path) -> None:
    def told() -> list[Any]:
        h = gpu()
        calls = (pynvml.nvmlDeviceGetName, pynvml.nvmlDeviceGetUUID, pynvml.nvmlDeviceGetBrand, energy_mj_of)
        texts = [str(call(h)) for call in (pynvml.nvmlDeviceGetPciInfo, pynvml.nvmlDeviceGetMemoryInfo)]
        return [call(h) for call in calls] + texts

    def energy_mj_of(handle: Any) -> int:
        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) // 100_000

    fake = FakeNvml(epoch=time.monotonic() - 10.05)
    with fake.load():
        pynvml.nvmlInit()
        full = told()
        pynvml.nvmlShutdown()
        short = tmp_path / "short.conf"
        short.write_text(f"epoch = {fake.epoch!r}\n")
        os.environ["FAKE_NVML_CONFIG"] = str(short)
        pynvml.nvmlInit()
        assert told() == full


def test_another_process_sees_the_same_energy(tmp_path: Path) -> None:
    device = Device(power="square:100,400,0.73,0.4", counter_period_s=0)
    fake = FakeNvml(devices=(device, device), epoch=time.monotonic() - 10)
    env = {**os.environ, **fake.environment(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", READ_IN_PYTHON], env=env, capture_output=True, text=True, check=True
    )
    count, before, mj, after = (float(word) for word in run.stdout.split())
    assert count == 2
    assert (
        1000 * fake.truth_j(0, fake.epoch, before) - 1 <= mj <= 1000 * fake.truth_j(0, fake.epoch, after) + 1
    )


def test_a_fork_may_go_on_reading_or_begin_anew(tmp_path: Path) -> None:
    script = """
import os, threading, time, pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
stop = threading.Event()
def poll():
    while not stop.is_set():
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
poller = threading.Thread(target=poll)
poller.start()
for _ in range(20):
    child = os.fork()
    if not child:
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) >= 0
        pynvml.nvmlShutdown()
        pynvml.nvmlInit()
        os._exit(0 if pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) >= 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
poller.join()
"""
    fake = FakeNvml(devices=(Device(counter_window_s=0.005, counter_period_s=0.01),))
    env = {**os.environ, **fake.environment(tmp_path)}
    options = ["-W", "ignore"]  # newer Pythons warn of a fork beside threads, which is what is tried here
    subprocess.run([sys.executable, *options, "-c", script], env=env, check=True, timeout=30)


def test_many_threads_read_a_counter_that_never_goes_back() -> None:
    with machine(Device(counter_window_s=0.0005, counter_period_s=0.001, power="sine:250,250,0.05")):
        handle = gpu()
        reads: list[list[int]] = [[] for _ in range(4)]

        def poll(mine: list[int]) -> None:
            for _ in range(2000):
                mine.append(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))

        threads = [threading.Thread(target=poll, args=(mine,)) for mine in reads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(mine == sorted(mine) for mine in reads)
        assert len({value for mine in reads for value in mine}) > 3


def test_processes_may_build_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fake_nvml import build; print(build(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    builds = [
        subprocess.Popen(command, cwd=Path(__file__).parents[1] / "fakes", stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {run.communicate()[0].strip() for run in builds}
    assert paths == {str(build(tmp_path))}
    assert [path.name for path in Path(paths.pop()).parent.iterdir()] == [SONAME]


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NoCompiler, match="needs a C compiler"):
        compiler()
