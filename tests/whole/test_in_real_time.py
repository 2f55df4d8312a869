"""The whole road in real time: a program, NVIDIA's own binding over a library whose power is known, a journal, a record.

Energy is asserted against the exact integral; how fast this machine is, is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import forked
import pytest
from fake_nvml import Device, FakeNvml, NoCompiler, build
from virtual import is_right

from energy_rating import load, measure, summarise
from energy_rating.files.reading import read_journal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _built():
    try:
        build()
    except NoCompiler as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def codes(record):
    return [finding.code for finding in record.findings]


def test_constant_300_w_for_10_s_are_3000_j(tmp_path):
    fake = FakeNvml(devices=[Device(power="constant:300")])
    with fake.load(), measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
        time.sleep(10)
    record = run.record
    assert is_right(record["run"].energy_j["gpu"], 300 * record["run"].duration_s, 0.01)
    assert record["run"].duration_s >= 10
    assert record["run"].validity == "valid"
    assert record.channels[0].period_s == pytest.approx(0.1, rel=0.2)


def test_a_window_over_a_step_is_right_to_one_per_cent_and_n_gpus_are_n_times_one(tmp_path):
    epoch = time.monotonic()
    profile = "step:100,400,3.05,100,4.05"
    fake = FakeNvml(devices=[Device(power=profile, counter_phase_s=0.013 * n) for n in range(4)], epoch=epoch)
    with fake.load(), measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
        time.sleep(max(0.0, epoch + 2.55 - time.monotonic()))
        start = time.monotonic()
        with run.window("step"):
            time.sleep(2.0)
        end = time.monotonic()
        time.sleep(0.5)
    truth = fake.truth_j(0, start, end)
    measured = run.record["step"]
    assert is_right(measured.energy_j["gpu"], 4 * truth, 0.01)
    for energy in measured.energy_by_channel_j.values():
        assert is_right(energy, truth, 0.01)
    assert len(measured.energy_by_channel_j) == 4


def test_a_gpu_that_vanishes_leaves_a_marked_part_and_the_program_alive(tmp_path):
    fake = FakeNvml(
        devices=[Device(power="constant:300", faults=("lost@2",)), Device(power="constant:200")],
        epoch=time.monotonic(),
    )
    with fake.load(), measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
        lived_s = fake.epoch + 2 - time.monotonic()
        time.sleep(4)
    record = run.record
    energies = list(record["run"].energy_by_channel_j.values())
    assert energies[0].value == pytest.approx(300 * lived_s, abs=60)
    assert is_right(energies[1], 200 * record["run"].duration_s, 0.02)
    seen = (lived_s / record["run"].duration_s + 1) / 2
    assert record["run"].coverage["gpu"] == pytest.approx(seen, abs=0.06)
    assert record["run"].validity == "invalid"
    assert "sensor-lost" in codes(record)


def test_a_missing_counter_falls_back_to_power_and_says_so(tmp_path):
    fake = FakeNvml(devices=[Device(power="constant:300", faults=("counter_unsupported",))])
    with fake.load(), measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
        time.sleep(3)
    record = run.record
    assert record["run"].methods == {"gpu": "power"}
    assert is_right(record["run"].energy_j["gpu"], 300 * record["run"].duration_s, 0.02)
    assert "no-energy-counter" in codes(record)


def test_a_call_that_hangs_delays_no_edge_and_the_exit_by_at_most_a_second(tmp_path):
    fake = FakeNvml(devices=[Device(power="constant:300", faults=("hang@2",))], epoch=time.monotonic())
    with fake.load():
        run = measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None).start()
        lived_s = fake.epoch + 2 - time.monotonic()
        time.sleep(2.5)
        slowest = 0.0
        for _ in range(200):
            before = time.perf_counter()
            with run.window("step"):
                pass
            slowest = max(slowest, time.perf_counter() - before)
        before = time.perf_counter()
        run.stop()
        took = time.perf_counter() - before
    assert slowest < 2, "a call that hangs for ever would have taken for ever"
    assert took < 6  # a second of patience, and the making of the record on a busy machine
    record = run.record
    assert "driver-hangs" in codes(record)
    assert record["run"].energy_j["gpu"].value == pytest.approx(300 * lived_s, abs=90)
    assert record["run"].coverage["gpu"] < 0.95


def test_a_driver_that_hangs_from_the_start_lets_the_program_start_and_end(tmp_path):
    fake = FakeNvml(devices=[Device(faults=("hang@0",))], epoch=time.monotonic() - 1)
    with fake.load():
        before = time.perf_counter()
        with measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
            time.sleep(0.1)
        took = time.perf_counter() - before
    assert took < 8
    assert run.record["run"].energy_j == {}
    assert "sensors-late" in codes(run.record)
    assert "nothing-measured" in codes(run.record)


KILLED = """
import sys, time
from energy_rating import measure
run = measure("inference", output_dir=sys.argv[1], sensors=["nvml"]).start()
print("started", time.monotonic(), flush=True)
while True:
    with run.window("step") as window:
        time.sleep(0.05)
        window.count(token=10)
    run.count(token=10)
"""


@pytest.mark.parametrize("after_s", [0.4, 2.3])
def test_killed_the_journal_gives_the_energy_up_to_its_last_line(tmp_path, after_s):
    fake = FakeNvml(devices=[Device(power="constant:300")])
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")],
        env=os.environ | fake.environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        started = float(process.stdout.readline().split()[1])
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        after_s = time.monotonic() - started
    journal = read_journal(tmp_path / "run")
    assert journal.damage is None
    record = summarise(tmp_path / "run")
    run = record["run"]
    assert run.duration_s == pytest.approx(after_s, abs=0.3)
    # The last tick is up to 0.1 s before the last line; up to there the counter is exact.
    assert is_right(run.energy_j["gpu"], 300 * run.duration_s, 0.02)
    assert run.validity != "valid"
    assert any(f.code == "interrupted" and f.measurement == "run" for f in record.findings)
    assert record["step"].work["token"] > 0
    if after_s > 1.5:
        assert run.work["token"] > 0, "what was counted into an open window survives, to within a second"


def test_a_training_script_without_any_sensor_runs_and_tells_the_truth(tmp_path):
    script = "from energy_rating import measure\nwith measure('pre-training', output_dir='run', sensors=['nvml', 'rapl']):\n    raise SystemExit(7)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 7
    record = load(tmp_path / "run")
    if "nothing-measured" in codes(record):  # a machine with a GPU or RAPL measures even this
        assert record["run"].energy_j == {}
        assert {"gpu-not-measured", "cpu-not-measured"} <= set(codes(record))
        assert "no energy was measured" in done.stderr


def test_the_measuring_half_needs_nothing_but_the_standard_library_and_pynvml(tmp_path):
    fake = FakeNvml(devices=[Device(power="constant:300")])
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pydantic", "codecarbon", "pandas", "numpy", "matplotlib", "click", "yaml", "resvg_py", "jinja2"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
import time
from energy_rating import measure
with measure("inference", output_dir=sys.argv[1]) as run:
    time.sleep(1.5)
    run.count(token=10)
print(run.record["run"].energy_per("token").value)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        env=os.environ | fake.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # Nor does the record, where the journal is as it should be.
    record = summarise(tmp_path / "run")
    assert float(done.stdout) == record["run"].energy_per("token").value
    assert is_right(record["run"].energy_per("token"), 30 * record["run"].duration_s, 0.02)


# --------------------------------------------------------------------------------------------------- the command line


def energy_rating(*arguments, env=None, **more):
    return subprocess.run(
        [sys.executable, "-m", "energy_rating", *map(str, arguments)],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def test_measure_passes_the_exit_code_through_and_counts(tmp_path):
    fake = FakeNvml(devices=[Device(power="constant:300")])
    counts = tmp_path / "counts.json"
    program = f"import time, json; time.sleep(5); json.dump({{'image': 4}}, open({str(counts)!r}, 'w')); raise SystemExit(3)"
    done = energy_rating(
        *(
            "measure",
            "--output-dir",
            tmp_path / "run",
            "--stage",
            "inference",
            "--model",
            "org/name",
            "--count",
            "token=100",
        ),
        *("--count-from", counts, "--", sys.executable, "-c", program),
        env=fake.environment(tmp_path),
    )
    assert done.returncode == 3
    record = load(tmp_path / "run")
    assert record["run"].work == {"token": 100, "image": 4}
    assert is_right(record["run"].energy_j["gpu"], 300 * record["run"].duration_s, 0.01)
    assert record.model.id == "org/name"
    assert "J/token" in done.stderr
    assert done.stdout == ""


# All that can be caught, but for job control, the end of a child, and what tells of a fault of the process itself.
CAUGHT = sorted(
    {int(number) for number in signal.valid_signals()}
    - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD}
    - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
)


@contextlib.contextmanager
def a_measured_program(tmp_path, program, *, before=()):
    """A command that is measured; neither it nor its meter is left when a test has failed."""
    process = subprocess.Popen(
        [
            *(
                *before,
                sys.executable,
                "-m",
                "energy_rating",
                "measure",
                "--output-dir",
                str(tmp_path / "run"),
            ),
            *("--", sys.executable, "-c", program),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_every_signal_reaches_the_command_and_its_code_comes_back(tmp_path):
    program = (
        "import signal, sys, time\n"
        f"caught = {CAUGHT}\n"
        "for number in caught:\n"
        "    signal.signal(number, lambda number, _: print(number, flush=True))\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        # Not pause(): a signal that comes just before it is seen only after the next one.
        "while True: time.sleep(0.02)\n"
    )
    with a_measured_program(tmp_path, program) as process:
        assert process.stdout.readline() == "ready\n"
        for number in CAUGHT:
            if number != signal.SIGTERM:
                process.send_signal(number)
                assert process.stdout.readline() == f"{number}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 42
    assert load(tmp_path / "run")["run"].n == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGXCPU, signal.SIGALRM, signal.SIGRTMIN])
def test_a_signal_that_ends_the_command_gives_its_code_and_a_record(tmp_path, number):
    program = f"import signal; signal.signal({int(number)}, signal.SIG_DFL); print('ready', flush=True); signal.pause()"
    with a_measured_program(tmp_path, program) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    assert load(tmp_path / "run")["run"].n == 1


def test_of_many_signals_at_once_none_is_left_waiting(tmp_path):
    kinds = [number for number in CAUGHT if number != signal.SIGTERM]
    program = (
        "import signal, sys\n"
        "seen = set()\n"
        f"for number in {kinds}:\n"
        "    signal.signal(number, lambda number, _: seen.add(number))\n"
        "print('ready', flush=True)\n"
        f"while len(seen) < {len(kinds)}: signal.sigtimedwait([], 0.01)\n"
    )
    with a_measured_program(tmp_path, program) as process:
        assert process.stdout.readline() == "ready\n"
        for number in kinds:
            process.send_signal(number)
        assert process.wait(timeout=60) == 0


def test_what_is_ignored_when_it_starts_stays_ignored_in_the_command(tmp_path):
    program = (
        "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, flush=True); signal.pause()"
    )
    with a_measured_program(tmp_path, program, before=("nohup",)) as process:
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "missing"])
def test_counts_come_from_a_regular_file_and_nothing_else_holds_the_end_up(tmp_path, kind):
    counts = tmp_path / "counts"
    if kind == "pipe":
        os.mkfifo(counts)
    elif kind == "folder":
        counts.mkdir()
    elif kind == "device":
        counts = "/dev/zero"
    done = forked.energy_rating(
        *("measure", "--output-dir", tmp_path / "run", "--count-from", counts),
        *("--", sys.executable, "-c", "raise SystemExit(3)"),
    )
    assert done.returncode == 3
    assert "count-refused" in [finding.code for finding in load(tmp_path / "run").findings]


def test_a_command_ended_by_a_signal_gives_128_and_its_number(tmp_path):
    done = forked.energy_rating(
        "measure", "--output-dir", tmp_path / "run", "--", "sh", "-c", "kill -TERM $$"
    )
    assert done.returncode == 128 + signal.SIGTERM


def test_measure_prints_the_record_as_json(tmp_path):
    done = forked.energy_rating("measure", "--json", "--output-dir", tmp_path / "run", "--", "true")
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema"] == "energy-rating/record/2"


def test_strict_exits_with_one_when_a_finding_degrades(tmp_path):
    fake = FakeNvml(devices=[Device(faults=("counter_unsupported",))])  # its energy is summed up from power
    arguments = ("--output-dir", tmp_path / "run", "--", "sleep", "0.5")
    assert energy_rating("measure", "--strict", *arguments, env=fake.environment(tmp_path)).returncode == 1
    assert energy_rating("measure", *arguments, env=fake.environment(tmp_path)).returncode == 0


def test_sensors_tells_what_can_be_measured_and_why_the_rest_cannot(tmp_path):
    fake = FakeNvml(devices=[Device(name="NVIDIA L4"), Device(faults=("counter_unsupported",))])
    found = json.loads(energy_rating("sensors", "--json", env=fake.environment(tmp_path)).stdout)
    by_id = {channel["id"]: channel for channel in found["channels"]}
    assert by_id["gpu0.energy"]["method"] == "counter"
    assert by_id["gpu0.energy"]["reading"] is not None
    assert by_id["gpu1.power"]["unit"] == "watt"
    assert "gpu1.energy" not in by_id
    assert any(device["name"] == "NVIDIA L4" for device in found["devices"])
    hidden = json.loads(
        energy_rating(
            "sensors", "--json", env=fake.environment(tmp_path) | {"CUDA_VISIBLE_DEVICES": ""}
        ).stdout
    )
    (refused,) = [entry for entry in hidden["unavailable"] if entry["sensor"] == "nvml"]
    assert "2 are present" in refused["reason"]
    assert refused["remedy"]
