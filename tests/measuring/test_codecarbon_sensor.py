"""The modelled CPU and memory: CodeCarbon's figures to the last digit, nothing of its tracker, and a name that says modelled."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.sensors.codecarbon import CpuLoad, _cpu_w, _dram_w, _tdp_w, detect
from energy_rating.nouns.errors import SensorFailed, SensorUnavailable

EPYC = "AMD EPYC 7742 64-Core Processor"  # 225 W in CodeCarbon's table
THREADS = 4


@dataclass
class FakeProc:
    """The three files of /proc that are read; ``work`` lets the CPUs be busy and idle."""

    folder: Path
    busy: int = 1000
    idle: int = 9000

    def __post_init__(self) -> None:
        self.cpus()
        self.memory(gib=64)
        self.work(0, 0)

    def cpus(
        self, model: str | None = EPYC, *, sockets: int = 1, threads: int = THREADS, flags: str = "sse2"
    ) -> None:
        lines = []
        for thread in range(threads):
            lines.append(f"processor\t: {thread}\nvendor_id\t: AuthenticAMD\n")
            lines.append(f"model name\t: {model}\n" if model else "BogoMIPS\t: 50.00\n")
            lines.append(f"physical id\t: {thread % sockets}\nflags\t\t: {flags}\n\n")
        (self.folder / "cpuinfo").write_text("".join(lines))

    def memory(self, *, gib: float) -> None:
        (self.folder / "meminfo").write_text(f"MemTotal:       {round(gib * 2**20)} kB\nMemFree:  12 kB\n")

    def work(self, busy: int, idle: int) -> None:
        self.busy += busy
        self.idle += idle
        user, system = self.busy // 2, self.busy - self.busy // 2
        self.stat(f"cpu  {user} 0 {system} {self.idle} 0 0 0 0 7 0\ncpu0 1 2 3 4\nintr 5\n")

    def stat(self, text: str) -> None:
        (self.folder / "stat").write_text(text)

    def detect(self) -> Detection:
        folder = self.folder
        return detect(cpuinfo=folder / "cpuinfo", stat=folder / "stat", meminfo=folder / "meminfo")


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


class NotThere:
    def find_spec(self, name, path=None, target=None):
        if name == "codecarbon":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def without_codecarbon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "codecarbon"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NotThere(), *sys.meta_path])


def messages(detection: Detection) -> dict[str, str]:
    return {finding.code: finding.message for finding in detection.findings}


# What they are


def test_both_sensors_say_that_they_are_models_and_how_little_to_trust_them(proc):
    detection = proc.detect()
    channels = [channel for sensor in detection.sensors for channel in sensor.channels]
    assert [(c.id, c.component, c.device, c.method) for c in channels] == [
        ("cpu.model", "cpu", "cpu", "model"),
        ("dram.model", "dram", "dram", "model"),
    ]
    assert {(c.accuracy, c.period_s, c.wraps_at_j) for c in channels} == {(0.5, 1.0, None)}
    assert [(d.id, d.name, d.memory_gb) for d in detection.devices] == [
        ("cpu", EPYC, None),
        ("dram", "memory", pytest.approx(68.719)),
    ]


def test_what_was_assumed_is_told(proc):
    findings = proc.detect().findings
    assert [(f.code, f.severity, f.channel) for f in findings] == [
        ("cpu-estimated", "note", "cpu.model"),
        ("dram-estimated", "note", "dram.model"),
    ]
    assert [f.message for f in findings] == [
        f"CPU power is CodeCarbon's model: TDP 225 W of '{EPYC}' × load",
        "memory power is CodeCarbon's model: 20 W at any time for 64.0 GiB",
    ]


def test_a_cpu_that_the_table_does_not_know_is_a_guess_by_threads(proc):
    proc.cpus("Intel(R) Xeon(R) Processor", sockets=2)
    detection = proc.detect()
    assert messages(detection)["cpu-estimated"] == (
        "CPU power is CodeCarbon's guess: 'Intel(R) Xeon(R) Processor' is not in its database, "
        "so 4 W for each of 4 threads = 16 W × load"
    )
    proc.work(100, 0)
    assert detection.sensors[0].read() == {"cpu.model": pytest.approx(16.0)}


def test_a_cpu_without_a_name_is_a_guess_too(proc):
    proc.cpus(None)
    detection = proc.detect()
    assert "4 W for each of 4 threads" in messages(detection)["cpu-estimated"]
    assert detection.devices[0].name == "unknown CPU"


def test_two_sockets_have_twice_the_tdp(proc):
    proc.cpus(sockets=2)
    detection = proc.detect()
    assert "TDP 2 × 225 W of" in messages(detection)["cpu-estimated"]
    proc.work(100, 0)
    assert detection.sensors[0].read() == {"cpu.model": pytest.approx(450.0)}


def test_a_hypervisor_that_shows_each_thread_as_a_socket_is_not_believed(proc):
    proc.cpus(sockets=THREADS, flags="sse2 hypervisor")
    message = messages(proc.detect())["cpu-estimated"]
    assert "TDP 225 W of" in message
    assert "virtual machine with 4 threads" in message


# What they read


@settings(deadline=None)
@given(busy=st.integers(0, 10_000), idle=st.integers(0, 10_000))
def test_power_rises_with_the_cube_of_the_load_from_a_tenth_of_the_tdp(tmp_path_factory, busy, idle):
    proc = FakeProc(tmp_path_factory.mktemp("proc"))
    cpu = proc.detect().sensors[0]
    proc.work(busy, idle)
    if busy + idle < 5 * THREADS:
        with pytest.raises(SensorFailed, match="too little time"):
            cpu.read()
    else:
        load = busy / (busy + idle)
        assert cpu.read() == {"cpu.model": pytest.approx(225 * (0.1 + 0.9 * load**3))}
    cpu.close()


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=20))
def test_each_reading_tells_the_load_since_the_one_before(tmp_path_factory, steps):
    proc = FakeProc(tmp_path_factory.mktemp("proc"))
    load = CpuLoad(proc.folder / "stat", THREADS)
    for busy, idle in steps:
        busy += 5 * THREADS  # long enough
        proc.work(busy, idle)
        assert load.share() == pytest.approx(busy / (busy + idle))
    load.close()


def test_a_reading_at_once_fails_rather_than_invent_a_zero(proc):
    cpu = proc.detect().sensors[0]
    with pytest.raises(SensorFailed, match="too little time"):
        cpu.read()


def test_readings_in_quick_succession_look_back_a_little_further(proc):
    load = CpuLoad(proc.folder / "stat", THREADS)
    proc.work(100, 0)
    assert load.share() == 1.0
    proc.work(0, 4)
    assert load.share() == pytest.approx(100 / 104)
    proc.work(0, 96)
    assert load.share() == 0.0


def test_time_that_runs_backwards_is_no_load(proc):
    load = CpuLoad(proc.folder / "stat", THREADS)
    proc.work(0, -500)
    with pytest.raises(SensorFailed):
        load.share()
    proc.work(30, 70)
    assert load.share() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "text", ["", "cpu\n", "cpu 1 2 3\n", "intr 1 2 3 4 5\n", "cpu one two three four five\n"]
)
def test_a_stat_file_that_makes_no_sense_fails_with_its_name(proc, text):
    load = CpuLoad(proc.folder / "stat", THREADS)
    proc.stat(text)
    with pytest.raises(SensorFailed, match="stat cannot be read"):
        load.share()


def test_where_the_kernel_counts_no_time_the_reason_is_told_before_the_run(proc):
    proc.stat("cpu  0 0 0 0 0 0 0 0 0 0\n")
    found = proc.detect()
    assert [channel.id for sensor in found.sensors for channel in sensor.channels] == ["dram.model"]
    (told,) = [finding for finding in found.findings if finding.code == "cpu-not-estimated"]
    assert "does not count here (gVisor before 2026-06)" in told.message
    assert [device.id for device in found.devices] == ["dram"]


def test_a_closed_sensor_gives_no_number(proc):
    cpu, dram = proc.detect().sensors
    for sensor in (cpu, dram):
        sensor.close()
        sensor.close()
    proc.work(100, 100)
    with pytest.raises(SensorFailed):
        cpu.read()


def test_this_very_machine_is_modelled():
    detection = detect()
    cpu, dram = detection.sensors
    time.sleep(0.2)
    watts = cpu.read()["cpu.model"]
    assert isinstance(watts, float)
    assert watts > 0
    memory_w = dram.read()["dram.model"]
    assert isinstance(memory_w, float)
    assert memory_w > 0
    cpu.close()


# What is assumed of CodeCarbon: where one of these fails, look at the sensor again


@pytest.mark.parametrize("load", [0.0, 0.2, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("model", [EPYC, "AMD Ryzen Threadripper 1950X 16-Core Processor"])
def test_the_curve_is_that_of_its_machine_mode(load, model, monkeypatch):
    from codecarbon.external.hardware import CPU, SystemCPULoadMeter

    cpu = CPU.from_utils("", "cpu_load", model, 180, tracking_mode="machine")
    monkeypatch.setattr(SystemCPULoadMeter, "percent", lambda self: 100 * load)
    assert _cpu_w(180.0, load) == pytest.approx(cpu.total_power().W)


def test_busy_means_what_its_load_meter_means(proc):
    from codecarbon.external.hardware import SystemCPULoadMeter

    names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"]
    times = dict(zip(names, (100, 7, 50, 800, 30, 2, 3, 5, 11, 1), strict=True))

    class PsutilTimes(SimpleNamespace):
        def __iter__(self):
            return iter(vars(self).values())

    theirs = PsutilTimes(**times)
    fields = " ".join(str(value) for value in times.values())
    proc.stat(f"cpu  {fields}\n")
    ours = CpuLoad(proc.folder / "stat", 1)._times()
    assert (ours.busy, ours.total) == (
        SystemCPULoadMeter._busy_time(theirs),
        SystemCPULoadMeter._total_time(theirs),
    )


@pytest.mark.parametrize(
    ("model", "tdp_w"),
    [
        (EPYC, 225.0),
        ("AMD EPYC 9654 96-Core Processor", 360.0),
        ("Intel(R) Xeon(R) Platinum 8480+", 350.0),
        ("Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", 205.0),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", 15.0),
        ("Intel(R) Xeon(R) Processor", None),
        ("Neoverse-V2", None),
        ("", None),
    ],
)
def test_the_tdp_is_the_one_its_own_search_finds(model, tdp_w):
    from codecarbon.core.cpu import TDP

    assert _tdp_w(model) == tdp_w
    assert TDP._get_cpu_power_from_registry(TDP.__new__(TDP), model) == tdp_w


@settings(deadline=None)
@given(gib=st.floats(0.5, 4096))
def test_the_memory_power_is_that_of_its_machine_mode(gib):
    from codecarbon.external.ram import RAM

    class Machine(RAM):
        machine_memory_GB = gib

    assert _dram_w(gib) == pytest.approx(Machine(tracking_mode="machine").total_power().W)


def test_the_guess_for_an_unknown_cpu_is_four_watts_a_thread():
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE

    assert DEFAULT_POWER_PER_CORE == 4


# When CodeCarbon is not there, or not what it was


@dataclass
class Watts:
    W: float


@pytest.mark.usefixtures("without_codecarbon")
def test_without_codecarbon_the_remedy_is_to_install_it(proc):
    with pytest.raises(
        SensorUnavailable, match=r"^codecarbon is not installed\. Run: pip install 'codecarbon"
    ):
        proc.detect()


@pytest.mark.parametrize(
    ("module", "name", "member", "changed"),
    [
        ("codecarbon.core.cpu", "TDP", "_get_matching_cpu", lambda self, model, table, how: None),
        ("codecarbon.external.hardware", "CPU", "_get_power_from_cpu_load", lambda self, load: None),
        ("codecarbon.external.hardware", "CPU", "_get_power_from_cpu_load", lambda self: self._brand),
        ("codecarbon.external.hardware", "CPU", "_get_power_from_cpu_load", lambda self: Watts(float("nan"))),
        ("codecarbon.external.hardware", "CPU", "_get_power_from_cpu_load", lambda self: Watts(0.225)),
        ("codecarbon.external.hardware", "CPU", "_get_power_from_cpu_load", lambda self: Watts(0.0)),
        ("codecarbon.external.ram", "RAM", "_calculate_ram_power", lambda self, gib: 0.0),
        ("codecarbon.external.ram", "RAM", "__init__", lambda self: None),
    ],
)
def test_an_upgrade_that_changes_what_is_called_makes_it_unavailable(
    proc, monkeypatch, module, name, member, changed
):
    owner = getattr(__import__(module, fromlist=[name]), name)
    monkeypatch.setattr(owner, member, changed)
    with pytest.raises(SensorUnavailable, match="CodeCarbon cannot be used") as told:
        proc.detect()
    assert "codecarbon>=3.3,<4" in told.value.remedy
    assert "\n" not in str(told.value)


def test_outside_linux_it_is_unavailable(tmp_path):
    with pytest.raises(SensorUnavailable, match="cpuinfo"):
        detect(cpuinfo=tmp_path / "cpuinfo", stat=tmp_path / "stat", meminfo=tmp_path / "meminfo")


def test_a_machine_that_hides_its_memory_size_is_unavailable(proc):
    (proc.folder / "meminfo").write_text("MemFree: 12 kB\n")
    with pytest.raises(SensorUnavailable, match="no MemTotal"):
        proc.detect()


# What it must not do

ALONE = """
import logging, sys, tempfile
tempfile.gettempdir()  # Python writes a file to find out; CodeCarbon's import asks for it
seen = []
def hook(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "os.mkdir", "os.rename", "os.remove"):
        seen.append((event, str(args)))
    elif event == "subprocess.Popen":
        seen.append((event, args[0]))
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append((event, str(args[0])))
sys.addaudithook(hook)
import threading, time
from energy_rating.measuring.sensors.codecarbon import detect
assert not any(name.partition(".")[0] in ("codecarbon", "psutil", "pandas") for name in sys.modules)
cpu, dram = detect().sensors
time.sleep(0.2)
cpu.read(), dram.read()
cpu.close()
heavy = {"pandas", "numpy", "requests"} & set(sys.modules)
assert not heavy, heavy
assert threading.active_count() == 1
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
# Its import asks whether these two exist, where their libraries do not load.
left = [what for what in seen if what not in [("subprocess.Popen", "nvidia-smi"), ("subprocess.Popen", "rocm-smi")]]
assert not left, left
"""


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_it_logs_writes_asks_and_starts_nothing(level, tmp_path):
    environment = {**os.environ, "CODECARBON_LOG_LEVEL": level, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-B", "-c", ALONE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_whoever_uses_codecarbon_keeps_its_log(proc):
    heard = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, ear = logging.getLogger("codecarbon"), Ear()
    cpu = proc.detect().sensors[0]
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.DEBUG)
    try:
        proc.work(100, 100)
        cpu.read()
        assert heard == []
        logger.info("mine")
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
    assert heard == ["mine"]


def test_a_slurm_job_is_not_asked_about(proc, monkeypatch):
    # CodeCarbon asks scontrol for the job's share of the machine; the sensor models the machine, as RAPL measures it.
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr("codecarbon.external.ram.SLURM_JOB_ID", "1")
    monkeypatch.setattr("codecarbon.core.util.SLURM_JOB_ID", "1")
    monkeypatch.setattr(subprocess, "check_output", None)
    assert len(proc.detect().sensors) == 2
