"""RAPL: every joule of packages and memory once, none invented, and a counter that fails says so."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from fake_powercap import AMD_RANGE_UJ, Constant, FakePowercap, Power, Sine, Step
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.sensors.rapl import Rapl, detect
from energy_rating.nouns.errors import SensorFailed, SensorLost, SensorUnavailable


@contextmanager
def a_tree(**options: int) -> Iterator[FakePowercap]:
    with tempfile.TemporaryDirectory() as folder:
        fake = FakePowercap(Path(folder), **options)
        try:
            yield fake
        finally:
            fake.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakePowercap]:
    fake = FakePowercap(tmp_path)
    yield fake
    fake.close()


def look(fake: FakePowercap) -> Detection:
    return detect(fake.root, cpuinfo=fake.cpuinfo, files=fake.files, sleep=fake.sleep)


def only(detection: Detection) -> Sensor:
    (sensor,) = detection.sensors
    return sensor


def used_j(sensor: Sensor, fake: FakePowercap, *times: float) -> dict[str, float]:
    """Joules by channel over these times, with roll-overs undone as the channel says."""
    used = {channel.id: 0.0 for channel in sensor.channels}
    before = sensor.read()
    for t in times:
        fake.advance_to(t)
        after = sensor.read()
        for channel in sensor.channels:
            now, then = after[channel.id], before[channel.id]
            assert isinstance(now, float)
            assert isinstance(then, float)
            used[channel.id] += (now - then) % (channel.wraps_at_j or float("inf"))
        before = after
    return used


def codes(detection: Detection) -> list[str]:
    return [finding.code for finding in detection.findings]


# What is taken


def test_a_server_gives_its_two_sockets_and_their_memories_and_nothing_twice(fake):
    fake.package(0, Constant(150.0), dram=Constant(20.0))
    fake.package(1, Constant(90.0), dram=Constant(12.0), start_uj=77_000_000)
    fake.psys(Constant(400.0))
    sensor = only(look(fake))
    assert [(c.id, c.component, c.device, c.method) for c in sensor.channels] == [
        ("cpu0.energy", "cpu", "package-0", "counter"),
        ("dram0.energy", "dram", "package-0/dram", "counter"),
        ("cpu1.energy", "cpu", "package-1", "counter"),
        ("dram1.energy", "dram", "package-1/dram", "counter"),
    ]
    used = used_j(sensor, fake, fake.t + 10.0)
    assert used == pytest.approx(
        {"cpu0.energy": 1500, "dram0.energy": 200, "cpu1.energy": 900, "dram1.energy": 120}
    )


def test_a_laptop_that_shows_its_package_through_two_registers_is_counted_once(fake):
    fake.package(0, Constant(15.0), mmio=True, dram=Constant(1.0))
    fake.package(0, Constant(15.0), dram=Constant(1.0), start_uj=42)
    fake.psys(Constant(30.0))
    sensor = only(look(fake))
    assert [channel.id for channel in sensor.channels] == ["cpu0.energy", "dram0.energy"]
    assert sensor.read()["cpu0.energy"] == pytest.approx(42e-6)  # the MSR zone, not its memory-mapped twin


def test_a_package_that_only_the_memory_mapped_register_shows_is_taken_from_there(fake):
    fake.package(0, Constant(15.0), mmio=True)
    assert [channel.id for channel in only(look(fake)).channels] == ["cpu0.energy"]


def test_the_dies_of_an_intel_package_are_meters_of_their_own(fake):
    fake.package(0, Constant(80.0), die=0, dram=Constant(9.0), start_uj=5_000_000_000)
    fake.package(0, Constant(70.0), die=1, dram=Constant(8.0), start_uj=6_000_000_000)
    sensor = only(look(fake))
    assert [channel.device for channel in sensor.channels] == [
        "package-0-die-0",
        "package-0-die-0/dram",
        "package-0-die-1",
        "package-0-die-1/dram",
    ]
    assert sum(used_j(sensor, fake, fake.t + 1.0).values()) == pytest.approx(167.0)


def test_packages_are_in_the_order_of_their_numbers_not_of_their_letters(fake):
    for number in (10, 2, 0):
        fake.package(number, Constant(10.0), start_uj=number * 50_000_000 + 1)
    devices = [channel.device for channel in only(look(fake)).channels]
    assert devices == ["package-0", "package-2", "package-10"]


@settings(deadline=None)
@given(
    packages=st.lists(st.tuples(st.floats(1, 500), st.none() | st.floats(0.5, 60)), min_size=1, max_size=4),
    psys=st.booleans(),
    mmio=st.booleans(),
    seconds=st.floats(0.1, 100),
)
def test_whatever_else_the_tree_shows_the_sum_is_packages_and_memories(packages, psys, mmio, seconds):
    with a_tree() as fake:
        for number, (watts, dram_w) in enumerate(packages):
            dram = None if dram_w is None else Constant(dram_w)
            fake.package(number, Constant(watts), dram=dram, start_uj=10_000_000 * (number + 1))
            if mmio:
                fake.package(number, Constant(watts), dram=dram, mmio=True)
        if psys:
            fake.psys(Constant(1000.0))
        used = used_j(only(look(fake)), fake, fake.t + seconds)
        truth = sum(watts + (dram_w or 0.0) for watts, dram_w in packages) * seconds
        assert sum(used.values()) == pytest.approx(truth, rel=1e-6, abs=1e-5)


# Mirrors


@settings(deadline=None)
@given(
    dies=st.integers(2, 8),
    sockets=st.integers(1, 2),
    watts=st.floats(1, 400),
    start=st.integers(1, AMD_RANGE_UJ),
)
def test_dies_that_show_one_socket_counter_are_counted_once(dies, sockets, watts, start):
    with a_tree(range_uj=AMD_RANGE_UJ) as fake:
        fake.cpu("AuthenticAMD", "AMD EPYC 7742 64-Core Processor")
        for socket in range(sockets):
            for die in range(dies):
                # The second socket is a thousand joules away, round the corner if need be.
                start_uj = (start + socket * 1_000_000_000) % AMD_RANGE_UJ or 1
                fake.package(socket, Constant(watts), die=die, start_uj=start_uj, parts=False)
        detection = look(fake)
        sensor = only(detection)
        assert [c.device for c in sensor.channels] == [f"package-{socket}-die-0" for socket in range(sockets)]
        assert [c.id for c in sensor.channels] == [f"cpu{socket}.energy" for socket in range(sockets)]
        assert codes(detection) == ["rapl-mirrored"] * (dies - 1) * sockets
        assert {finding.severity for finding in detection.findings} == {"note"}
        assert "package-0-die-1 shows the counter of package-0-die-0" in detection.findings[0].message
        used = used_j(sensor, fake, fake.t + 5.0)
        assert sum(used.values()) == pytest.approx(watts * 5.0 * sockets, abs=1e-4)


def test_two_sockets_that_are_a_joule_apart_by_chance_and_drift_are_both_kept(fake):
    fake.package(0, Constant(200.0), start_uj=5_000_000_000)
    fake.package(1, Constant(100.0), start_uj=5_000_900_000)
    fake.package(2, Constant(300.0), start_uj=5_001_500_000)
    # 20 ms at 200 W is 4 J: nobody is within a joule of anybody any more.
    detection = look(fake)
    assert len(only(detection).channels) == 3
    assert not detection.findings


def test_counters_that_stand_still_are_no_mirrors(fake):
    fake.package(0, Constant(0.0), start_uj=5_000_000_000)
    fake.package(1, Constant(0.0), start_uj=5_000_000_000)
    fake.package(2, Constant(9.0), start_uj=0)
    fake.package(3, Constant(90.0), start_uj=0)
    assert len(only(look(fake)).channels) == 4


def test_without_look_alikes_nobody_waits(fake):
    fake.package(0, Constant(200.0), start_uj=5_000_000_000)
    fake.package(1, Constant(100.0), start_uj=9_000_000_000)
    look(fake)
    assert fake.t == 0.0


def test_the_memory_of_a_mirrored_die_goes_with_it_and_no_descriptor_is_left_open(fake):
    fake.package(0, Constant(50.0), die=0, dram=Constant(5.0))
    fake.package(0, Constant(50.0), die=1, dram=Constant(5.0))
    sensor = only(look(fake))
    assert [channel.id for channel in sensor.channels] == ["cpu0.energy", "dram0.energy"]
    assert len(fake.files.paths) == 2
    sensor.close()
    assert fake.files.paths == {}


# Roll-over


@settings(deadline=None)
@given(
    power=st.one_of(
        st.builds(Constant, st.floats(0, 500)),
        st.builds(Step, st.floats(0, 500), st.floats(0, 500), st.floats(0, 1000)),
        st.builds(Sine, st.floats(1, 500), st.floats(0, 1), st.floats(0.1, 100)),
    ),
    start=st.integers(0, AMD_RANGE_UJ - 1),
    steps=st.lists(st.floats(0.001, 120), min_size=1, max_size=20),
)
def test_a_counter_that_rolls_over_loses_nothing(power: Power, start, steps):
    with a_tree(range_uj=AMD_RANGE_UJ) as fake:
        fake.package(0, power, start_uj=start, parts=False)
        sensor = only(look(fake))
        times = [sum(steps[: index + 1]) for index in range(len(steps))]
        # A whole range between two readings cannot be told from none at all; the sampler reads far more often than that.
        ends = [power.energy_j(time) for time in (0.0, *times)]
        assume(all(b - a < AMD_RANGE_UJ / 1e6 for a, b in pairwise(ends)))
        used = used_j(sensor, fake, *times)
        assert used["cpu0.energy"] == pytest.approx(power.energy_j(times[-1]), abs=2e-6 * len(steps) + 1e-5)


def test_an_unreadable_range_is_unknown_and_said_so(fake):
    fake.hide_range(fake.package(0, Constant(50.0), dram=Constant(5.0)))
    (fake.named("intel-rapl:0:2").folder / "max_energy_range_uj").write_text("0\n")
    detection = look(fake)
    assert [channel.wraps_at_j for channel in only(detection).channels] == [None, None]
    assert [(f.code, f.channel) for f in detection.findings] == [
        ("rapl-range-unknown", "cpu0.energy"),
        ("rapl-range-unknown", "dram0.energy"),
    ]


# Who made it


@pytest.mark.parametrize(
    ("vendor", "accuracy"), [("GenuineIntel", 0.05), ("AuthenticAMD", 0.10), ("HygonGenuine", 0.10)]
)
def test_the_accuracy_is_that_of_the_vendor(fake, vendor, accuracy):
    fake.cpu(vendor, "A CPU")
    fake.package(0, Constant(50.0), dram=Constant(5.0))
    detection = look(fake)
    assert {channel.accuracy for channel in only(detection).channels} == {accuracy}
    assert {channel.period_s for channel in only(detection).channels} == {0.001}
    assert [(device.id, device.name) for device in detection.devices] == [
        ("package-0", "A CPU"),
        ("package-0/dram", "memory of package-0"),
    ]


def test_a_machine_that_does_not_name_its_cpu_is_measured_all_the_same(fake):
    fake.cpuinfo.unlink()
    fake.package(0, Constant(50.0))
    detection = look(fake)
    assert detection.devices[0].name == "unknown CPU"
    assert only(detection).channels[0].accuracy == 0.10


# What cannot be used


def test_what_a_package_is_limited_to_is_the_highest_of_its_limits(fake):
    zones = [
        fake.package(number, Constant(50), dram=Constant(5), start_uj=(number + 1) * 10**9)
        for number in range(4)
    ]
    fake.limit(zones[0], 205.0, 246.0)
    # What it is sold for is no limit: turbo exceeds it for as long as it is let.
    fake.limit(zones[1], 0.0)
    fake.limit(zones[1], 150.0, kind="max_power")
    fake.limit(zones[2], 0.0)
    limits = {device.id: device.power_limit_w for device in look(fake).devices}
    assert limits["package-0"] == 246.0
    assert limits["package-1"] is limits["package-2"] is limits["package-3"] is None
    assert limits["package-0/dram"] is None


@pytest.mark.parametrize(("enabled", "limit_w"), [("1\n", 125.0), ("0\n", None)])
def test_a_limit_that_is_not_enabled_is_none(fake, enabled, limit_w):
    zone = fake.package(0, Constant(50.0))
    fake.limit(zone, 65.0, 125.0)
    (zone.folder / "enabled").write_text(enabled)
    assert look(fake).devices[0].power_limit_w == limit_w


def test_a_machine_without_rapl_says_where_that_is_usual(tmp_path):
    with pytest.raises(SensorUnavailable, match=r"virtual machines, containers and on ARM") as told:
        detect(tmp_path / "powercap")
    assert "modprobe intel_rapl_msr" in told.value.remedy
    assert "\n" not in str(told.value)


def test_a_tree_without_packages_offers_nothing(fake):
    fake.psys(Constant(100.0))
    (fake.root / "dtpm").mkdir()
    (fake.root / "intel-rapl").mkdir()
    with pytest.raises(SensorUnavailable, match="offers no RAPL counters"):
        look(fake)


def test_counters_that_only_root_may_read_come_with_the_command_that_opens_them(fake):
    fake.deny(fake.package(0, Constant(100.0)))
    with pytest.raises(SensorUnavailable, match=r"intel-rapl:0/energy_uj may only be read by root") as told:
        look(fake)
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj" in told.value.remedy
    assert "udev" in told.value.remedy
    assert "\n" not in str(told.value)


def test_counters_that_answer_nobody_are_unavailable_with_the_reason(fake):
    fake.fail(fake.package(0, Constant(100.0)), errno.ENODATA)
    with pytest.raises(SensorUnavailable, match="No data available"):
        look(fake)
    assert fake.files.paths == {}


def test_half_a_machine_does_not_pass_for_the_whole(fake):
    fake.package(0, Constant(100.0), dram=Constant(10.0))
    fake.deny(fake.package(1, Constant(100.0), start_uj=5))
    fake.deny(fake.named("intel-rapl:0:2"))
    detection = look(fake)
    assert [channel.id for channel in only(detection).channels] == ["cpu0.energy"]
    assert [(f.code, f.severity) for f in detection.findings] == [
        ("rapl-zone-unreadable", "note"),  # the memory: absent altogether
        ("rapl-zone-unreadable", "degrades"),  # a package: the other would pass for both
    ]


# What fails while it is read


def test_a_reading_that_fails_is_no_number_and_the_others_go_on(fake):
    fake.package(0, Constant(100.0))
    broken = fake.package(1, Constant(100.0), start_uj=5)
    sensor = only(look(fake))
    fake.fail(broken)
    reading = sensor.read()
    assert isinstance(reading["cpu0.energy"], float)
    assert type(reading["cpu1.energy"]) is SensorFailed
    assert "Input/output error" in str(reading["cpu1.energy"])
    fake.mend(broken)
    fake.advance_to(1.0)
    assert sensor.read()["cpu1.energy"] == pytest.approx(100.000005)


@settings(deadline=None)
@given(st.binary(max_size=32).filter(lambda text: not text.strip().isdigit()))
def test_what_is_no_number_never_becomes_one(text):
    with a_tree() as fake:
        zone = fake.package(0, Constant(100.0), parts=False)
        sensor = only(look(fake))
        fake.write(zone, text)
        assert type(sensor.read()["cpu0.energy"]) is SensorFailed


@pytest.mark.parametrize("text", [b"", b"\n", b"-5\n", b"1_000\n", b"1.5\n", b"0x10\n", "٣\n".encode()])
def test_python_numbers_that_the_kernel_never_writes_are_refused(fake, text):
    zone = fake.package(0, Constant(100.0))
    sensor = only(look(fake))
    fake.write(zone, text)
    assert type(sensor.read()["cpu0.energy"]) is SensorFailed


def test_a_socket_that_is_unplugged_is_lost_and_stays_lost_and_the_others_go_on(fake):
    fake.package(0, Constant(100.0))
    gone = fake.package(1, Constant(100.0), start_uj=5)
    sensor = only(look(fake))
    fake.vanish(gone)
    for _ in range(2):
        reading = sensor.read()
        assert isinstance(reading["cpu0.energy"], float)
        assert isinstance(reading["cpu1.energy"], SensorLost)
        assert "is gone" in str(reading["cpu1.energy"])
    fake.mend(gone)
    assert isinstance(sensor.read()["cpu1.energy"], SensorLost)
    sensor.close()
    assert fake.files.paths == {}


def test_a_socket_that_was_unplugged_and_came_back_is_read_on(fake):
    zone = fake.package(0, Constant(100.0), start_uj=1_000_000)
    sensor = only(look(fake))
    sensor.read()
    opened = fake.files.opened
    fake.advance_to(3.0)
    fake.replug(zone)
    assert sensor.read()["cpu0.energy"] == pytest.approx(301.0)
    sensor.read()
    assert fake.files.opened == opened + 1
    assert len(fake.files.paths) == 1


def test_a_socket_that_comes_back_later_than_the_next_reading_fails_first(fake):
    zone = fake.package(0, Constant(100.0), start_uj=1_000_000)
    sensor = only(look(fake))
    fake.replug(zone)
    fake.files.open_errors[zone.counter] = errno.EMFILE
    assert type(sensor.read()["cpu0.energy"]) is SensorFailed
    assert type(sensor.read()["cpu0.energy"]) is SensorFailed
    fake.mend(zone)
    assert sensor.read()["cpu0.energy"] == pytest.approx(1.0)


def test_a_counter_that_came_back_from_zero_is_not_taken_for_a_roll_over(fake):
    zone = fake.package(0, Constant(100.0), start_uj=200_000_000_000)
    sensor = only(look(fake))
    sensor.read()
    fake.replug(zone, start_uj=7)
    reading = sensor.read()["cpu0.energy"]
    assert isinstance(reading, SensorLost)
    assert "started again from nothing" in str(reading)
    assert fake.files.paths == {}


def test_a_closed_sensor_does_not_read_whatever_took_its_descriptor(fake):
    fake.package(0, Constant(100.0))
    sensor = only(look(fake))
    sensor.close()
    sensor.close()
    with pytest.raises(SensorLost, match="closed"):
        sensor.read()


def test_descriptors_are_kept_not_opened_again(fake):
    fake.package(0, Constant(100.0), dram=Constant(10.0))
    sensor = only(look(fake))
    opened = fake.files.opened
    for _ in range(100):
        sensor.read()
    assert fake.files.opened == opened


# The real thing


def test_the_module_os_serves_as_files_and_real_time_passes(fake):
    fake.package(0, Constant(100.0), dram=Constant(10.0))
    with fake.running():
        sensor = only(detect(fake.root, cpuinfo=fake.cpuinfo))
        assert isinstance(sensor, Rapl)
        start, before = time.monotonic(), sensor.read()
        time.sleep(0.2)
        after, seconds = sensor.read(), time.monotonic() - start
    for channel, watts in (("cpu0.energy", 100.0), ("dram0.energy", 10.0)):
        now, then = after[channel], before[channel]
        assert isinstance(now, float)
        assert isinstance(then, float)
        assert now - then == pytest.approx(watts * seconds, rel=0.25)
    sensor.close()


def test_this_very_machine_is_measured_or_says_why_not():
    try:
        sensor = only(detect())
    except SensorUnavailable as unavailable:
        why = unavailable
    else:
        assert any(isinstance(value, float) for value in sensor.read().values())
        sensor.close()
        return
    assert why.remedy


def test_the_fake_keeps_to_the_integral_of_its_power():
    steps = 20_000
    for power in (Constant(3.0), Step(2.0, 7.0, 0.4), Sine(5.0, 0.9, 0.3)):
        watts = [(power.energy_j((i + 1) / steps) - power.energy_j(i / steps)) * steps for i in range(steps)]
        assert sum(watts) / steps == pytest.approx(power.energy_j(1.0))
        assert min(watts) > 0


def test_the_fake_denies_even_root(fake):
    zone = fake.package(0, Constant(1.0))
    assert zone.folder.joinpath("energy_uj").stat().st_mode & 0o777 == 0o400
    fake.deny(zone)
    with pytest.raises(PermissionError):
        fake.files.open(zone.counter, os.O_RDONLY | os.O_CLOEXEC)
