"""RAPL through perf events: the same joules as powercap, never beside it, and a refusal that says what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hwmon import recorded
from virtual import VirtualClock, steps

from energy_rating.measuring import sensors, survey
from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.sensors.perf import detect
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable
from energy_rating.nouns.records import Channel

# As the kernel prints them (arch/x86/events/rapl.c): 2⁻³² J.
SCALE = "2.3283064365386962890625e-10"
PKG, RAM = 2, 3


class FakePerf:
    """The kernel's description in a temporary folder, and the kernel: counters that are functions of the virtual time."""

    def __init__(self, folder: Path, *, vendor: str = "GenuineIntel", ram: bool = True) -> None:
        self.pmu, self.cpus, self.cpuinfo = folder / "power", folder / "cpu", folder / "cpuinfo"
        self.clock = VirtualClock()
        self.joules = {PKG: lambda cpu, t: 100.0 * t, RAM: lambda cpu, t: 10.0 * t}
        self.open_errors: dict[int, int] = {}
        self.read_error = 0
        self.answer: bytes | None = None
        self.opened: dict[int, tuple[int, int, float]] = {}
        self.cpuinfo.write_text(f"vendor_id : {vendor}\nmodel name : Some CPU\n")
        self.write("type", "9")
        self.mask("0")
        for event, config in (("energy-pkg", PKG), ("energy-ram", RAM), ("energy-psys", 5)):
            if ram or event != "energy-ram":
                self.write(f"events/{event}", f"event=0x{config:02x}")
                self.write(f"events/{event}.scale", SCALE)
                self.write(f"events/{event}.unit", "Joules")

    def write(self, path: str, text: str) -> None:
        (self.pmu / path).parent.mkdir(parents=True, exist_ok=True)
        (self.pmu / path).write_text(f"{text}\n")

    def mask(self, cpus: str, **topology: tuple[int, int]) -> None:
        """Which CPUs carry a counter, and the (package, die) of each."""
        self.write("cpumask", cpus)
        for cpu, (package, die) in (topology or {"cpu0": (0, 0)}).items():
            folder = self.cpus / cpu / "topology"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "physical_package_id").write_text(f"{package}\n")
            (folder / "die_id").write_text(f"{die}\n")

    def look(self) -> Detection:
        return detect(self.pmu, cpus=self.cpus, cpuinfo=self.cpuinfo, kernel=self)

    # The kernel

    def open(self, pmu: int, config: int, cpu: int) -> int:
        assert pmu == 9
        if code := self.open_errors.get(cpu):
            raise OSError(code, os.strerror(code))
        fd = 100 + len(self.opened)
        self.opened[fd] = config, cpu, self.clock.time
        return fd

    def read(self, fd: int) -> bytes:
        if self.read_error:
            raise OSError(self.read_error, os.strerror(self.read_error))
        if self.answer is not None:
            return self.answer
        config, cpu, since = self.opened[fd]
        spent = self.joules[config](cpu, self.clock.time) - self.joules[config](cpu, since)
        return round(spent * 2**32).to_bytes(8, "little")

    def close(self, fd: int) -> None:
        del self.opened[fd]


@pytest.fixture
def fake(tmp_path: Path) -> FakePerf:
    return FakePerf(tmp_path)


def test_packages_and_memories_are_counted_in_joules_and_psys_is_not(fake):
    fake.mask("0,18", cpu0=(0, 0), cpu18=(1, 0))
    found = fake.look()
    fake.clock.time += 2.5
    assert [sensor.read() for sensor in found.sensors] == [
        {"perf.cpu0.energy": 250.0, "perf.cpu1.energy": 250.0},
        {"perf.dram0.energy": 25.0, "perf.dram1.energy": 25.0},
    ]
    channels = [channel for sensor in found.sensors for channel in sensor.channels]
    assert [(c.component, c.device) for c in channels] == [
        ("cpu", "package-0"),
        ("cpu", "package-1"),
        ("dram", "package-0/dram"),
        ("dram", "package-1/dram"),
    ]
    assert {(c.method, c.wraps_at_j, c.accuracy) for c in channels} == {("counter", None, 0.05)}


def test_the_dies_of_an_intel_package_count_for_themselves_and_those_of_an_amd_socket_do_not(tmp_path):
    for vendor, devices in (
        ("GenuineIntel", ["package-0-die-0", "package-0-die-1"]),
        ("AuthenticAMD", ["package-0"]),
    ):
        (tmp_path / vendor).mkdir()
        fake = FakePerf(tmp_path / vendor, vendor=vendor, ram=False)
        fake.mask("0-1", cpu0=(0, 0), cpu1=(0, 1))
        (sensor,) = fake.look().sensors
        assert [channel.device for channel in sensor.channels] == devices


def test_a_job_is_charged_what_it_drew(fake, tmp_path):
    start = fake.clock.time + 5.0
    _, joules = steps((float("-inf"), 40.0), (start, 260.0), (start + 10.0, 40.0))
    fake.joules[PKG] = lambda cpu, t: joules(t)
    record = recorded(fake.clock, fake.look(), 10.0, folder=tmp_path / "run")
    job = record["job"]
    assert job.energy_j["cpu"].value == pytest.approx(2600.0, rel=0.002)
    assert job.energy_j["dram"].value == pytest.approx(100.0, rel=0.002)


def test_a_machine_without_such_events_has_none(fake, tmp_path):
    with pytest.raises(HardwareAbsent):
        detect(tmp_path / "nowhere")
    for event in ("energy-pkg", "energy-ram"):
        (fake.pmu / "events" / event).unlink()
    with pytest.raises(HardwareAbsent):
        fake.look()


def test_a_user_who_may_not_count_is_told_the_remedy(fake):
    fake.open_errors[0] = errno.EACCES
    with pytest.raises(SensorUnavailable, match="only root") as refused:
        fake.look()
    assert "perf_event_paranoid" in refused.value.remedy
    fake.open_errors[0] = errno.ENODEV
    with pytest.raises(SensorUnavailable, match="cannot be counted"):
        fake.look()


def test_half_of_the_packages_is_marked(fake):
    fake.mask("0,18", cpu0=(0, 0), cpu18=(1, 0))
    fake.open_errors[18] = errno.ENODEV
    found = fake.look()
    assert [len(sensor.channels) for sensor in found.sensors] == [1, 1]
    assert {(f.code, f.severity) for f in found.findings} == {("rapl-zone-unreadable", "degrades")}


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("events/energy-pkg.unit", "Furlongs"),
        ("events/energy-pkg.scale", "0"),
        ("events/energy-pkg.scale", "many"),
        ("events/energy-pkg", "umask=0x02"),
        ("events/energy-pkg", "event=two"),
        ("cpumask", "none"),
    ],
)
def test_what_is_described_strangely_is_not_counted(tmp_path, path, held):
    fake = FakePerf(tmp_path, ram=False)
    fake.write(path, held)
    with pytest.raises(SensorUnavailable):
        fake.look()
    assert not fake.opened


def test_a_failed_reading_is_told_and_a_cpu_that_went_offline_is_a_loss(fake):
    sensor = fake.look().sensors[0]
    fake.read_error = errno.EIO
    failed = sensor.read()["perf.cpu0.energy"]
    assert isinstance(failed, SensorFailed)
    assert not isinstance(failed, SensorLost)
    fake.read_error = errno.ENODEV
    assert isinstance(sensor.read()["perf.cpu0.energy"], SensorLost)
    fake.read_error = 0
    for end_of_file in (b"", b"\x01\x02"):
        fake.answer = end_of_file
        assert isinstance(sensor.read()["perf.cpu0.energy"], SensorLost)
    sensor.close()
    with pytest.raises(SensorLost):
        sensor.read()


class Counter:
    """A sensor of one component and nothing else."""

    def __init__(self, name: str, component: str) -> None:
        self.channels = (
            Channel(id=f"{name}.{component}", component=component, device=name, method="counter", accuracy=0),
        )
        self.closed = False

    def read(self):
        return {self.channels[0].id: 1.0}

    def close(self):
        self.closed = True


def test_what_powercap_measures_is_not_counted_again(monkeypatch):
    package, memory = Counter("perf", "cpu"), Counter("perf", "dram")
    rapl, perf = sensors.kind("rapl"), sensors.kind("perf")
    monkeypatch.setattr(rapl, "detect", lambda: Detection(sensors=(Counter("rapl", "cpu"),)))
    monkeypatch.setattr(perf, "detect", lambda: Detection(sensors=(package, memory)))
    for names in (["rapl", "perf"], ["perf", "rapl"]):
        found, _ = survey.look(names)
        assert [s.channels[0].id for s in found.sensors] == ["rapl.cpu", "perf.dram"]
        assert package.closed
        assert not memory.closed

    def denied() -> Detection:
        raise SensorUnavailable("root only")

    monkeypatch.setattr(rapl, "detect", denied)
    found, _ = survey.look(["rapl", "perf"])
    assert [s.channels[0].id for s in found.sensors] == ["perf.cpu", "perf.dram"]


def test_where_both_refuse_the_reason_of_powercap_is_told(monkeypatch):
    def refuse(reason):
        def detect():
            raise SensorUnavailable(reason)

        return detect

    monkeypatch.setattr(sensors.kind("rapl"), "detect", refuse("powercap is for root"))
    monkeypatch.setattr(sensors.kind("perf"), "detect", refuse("perf is for root"))
    told = {finding.code: finding.message for finding in survey.detect(["perf", "rapl"]).findings}
    assert told["cpu-not-measured"] == told["dram-not-measured"] == "powercap is for root"


def test_the_real_kernel_is_asked_by_number_and_answers_or_refuses_with_a_reason():
    code = (
        "from energy_rating.measuring.sensors.perf import SystemCalls\n"
        "kernel = SystemCalls()\n"
        "try:\n"
        "    fd = kernel.open(1, 0, 0)\n"  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
        "    print(len(kernel.read(fd)))\n"
        "    kernel.close(fd)\n"
        "except OSError as error:\n"
        "    assert error.errno, error\n"
        "    print(8)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "8"
