"""A run used in every way that a program may: threads, streams, forks, bad arguments, no disk, no standard streams."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler, build
from forked import energy_rating
from virtual import FakeDevice, VirtualClock, constant, is_right

from energy_rating import BadInput, Run, load, measure, summarise
from energy_rating.files.reading import read_journal
from energy_rating.measuring import environment
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Model


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clock():
    return VirtualClock()


def device(clock, **more):
    power, energy = constant(300)
    return FakeDevice(clock=clock, power=power, energy=energy, **more)


def a_run(clock, tmp_path, **more):
    return measure(output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=None, **more)


def codes(record):
    return [finding.code for finding in record.findings]


# ------------------------------------------------------------------------------------------------------------- journal


def test_no_reading_comes_before_the_header_however_late_that_is_written(tmp_path, monkeypatch):
    try:
        build()
    except NoCompiler as missing:
        pytest.skip(str(missing))
    described = environment.describe

    def slowly(*arguments, **options):
        time.sleep(0.1)  # another thread of the program has Python's lock
        return described(*arguments, **options)

    monkeypatch.setattr(environment, "describe", slowly)
    fake = FakeNvml(devices=[Device(power="constant:300")] * 4)
    with fake.load(), measure(output_dir=tmp_path / "run", sensors=["nvml"], report=None) as run:
        time.sleep(4)
    assert (tmp_path / "run" / "journal.jsonl").read_bytes().startswith(b'{"schema"')
    assert is_right(run.record["run"].energy_j["gpu"], 1200 * run.record["run"].duration_s, 0.02)


def test_windows_and_counts_of_many_threads_leave_a_sound_journal(tmp_path):
    class Still:
        channels = ()

        def read(self):
            return {}

        def close(self):
            pass

    run = measure(output_dir=tmp_path / "run", sensors=[Still()], report=None).start()
    until = time.monotonic() + 2.5

    def work():
        while time.monotonic() < until:
            with run.window("epoch"):
                for _ in range(20):
                    with run.window("step"):
                        run.count(token=1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(2.2)
    run.stop()  # while the others are still at it
    for thread in threads:
        thread.join()
    journal = read_journal(tmp_path / "run")
    assert journal.damage is None
    assert journal.sessions[0].ended
    assert summarise(tmp_path / "run")["step"].n > 100


def test_a_resumed_run_never_writes_behind_damage(clock, tmp_path):
    with a_run(clock, tmp_path):
        clock.sleep(5)
    path = tmp_path / "run" / "journal.jsonl"
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 2] ^= 0x55
    path.write_bytes(broken)
    with a_run(clock, tmp_path, resume=True) as run:
        clock.sleep(5)
    assert run.folder == (tmp_path / "run-2").resolve()
    assert run.record["run"].duration_s == pytest.approx(5)


def test_a_forked_child_that_lives_on_does_not_keep_the_journal_from_being_resumed(clock, tmp_path):
    run = a_run(clock, tmp_path).start()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # lives on until the parent lets go
        os._exit(0)
    clock.sleep(3)
    run.stop()
    try:
        with a_run(clock, tmp_path, resume=True) as again:
            clock.sleep(3)
        assert again.folder == (tmp_path / "run").resolve()
        assert again.record["run"].n == 2
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_where_memory_is_all_there_is_readings_are_thinned_and_windows_are_not(clock, tmp_path):
    (tmp_path / "state").write_text("a file")
    (tmp_path / "run").write_text("a file")
    with Run(replace(a_run(clock, tmp_path).settings, lines_in_memory=300)) as run:
        for _ in range(30):
            with run.window("epoch") as window:
                clock.sleep(10)
                window.count(token=5)
    record = run.record
    assert record["epoch"].n == 30
    assert record["epoch"].work == {"token": 150}
    assert "disk-refuses" in codes(record)
    assert record["run"].energy_j["gpu"].value == pytest.approx(90_000, rel=0.01)


# ------------------------------------------------------------------------------------------------------------- windows


def test_a_window_that_is_used_again_counts_once(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        epoch = run.window("epoch")
        for _ in range(3):
            with epoch as window:
                clock.sleep(1)
                window.count(token=10)
        with epoch, epoch:
            clock.sleep(1)
    assert run.record["epoch"].n == 5
    assert run.record["epoch"].work == {"token": 30}


def test_work_counted_after_its_window_is_told_and_not_lost_in_silence(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        with run.window("epoch") as window:
            clock.sleep(1)
        window.count(token=10)
        window.count(token=10)
    assert run.record["epoch"].work == {}
    assert codes(run.record).count("count-refused") == 1
    assert run.record["epoch"].validity == "degraded"


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")

    def item(self):
        raise RuntimeError("several elements")


@pytest.mark.parametrize("bad", [10**400, Unshowable(), "x" * 10_000, float("inf")])
def test_no_count_raises_whatever_it_is(clock, tmp_path, bad):
    with a_run(clock, tmp_path) as run, run.window("w") as window:
        window.count(token=bad)
        window.count(token=1e308)
        window.count(**{"a\ud800": 1})
        window.count(self=2)
        window.count(token=7)
        run.count(token=1e308)
        clock.sleep(1)
    assert run.record["w"].work == {"token": 7, "self": 2}
    assert run.record["w"].validity == "degraded"


def test_a_generator_is_measured_until_its_last_item(clock, tmp_path):
    @measure("inference", output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=None)
    def stream():
        for token in range(3):
            clock.sleep(2)
            yield token

    assert list(stream()) == [0, 1, 2]
    assert load(tmp_path / "run")["run"].duration_s == pytest.approx(6)


def test_an_async_generator_is_measured_until_its_last_item(clock, tmp_path):
    @measure("inference", output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=None)
    async def stream():
        for token in range(3):
            clock.sleep(2)
            yield token

    async def use():
        return [token async for token in stream()]

    assert asyncio.run(use()) == [0, 1, 2]
    assert load(tmp_path / "run")["run"].duration_s == pytest.approx(6)


def test_a_run_in_another_process_is_inert(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        other = pickle.loads(pickle.dumps(run))
        with other.window("w") as window:
            window.count(token=1)
        other.count(token=1)
        other.stop()
        clock.sleep(1)
    assert [m.name for m in run.record] == ["run"]


# ------------------------------------------------------------------------------------------------------------- sensors


def test_one_bad_sensor_does_not_cost_the_others(clock, tmp_path):
    values = itertools.cycle([float("nan"), 10**400, None, "12", True, {}])

    class Bad(FakeDevice):
        def read(self):
            value = next(values)
            return (
                value
                if value in (None, {})
                else {**dict.fromkeys(["gpu1.energy", "gpu1.power"], value), "x": 1.0}
            )

    power, energy = constant(200)
    bad = Bad(clock=clock, power=power, energy=energy, number=1, device="GPU-1")
    with measure(output_dir=tmp_path / "run", sensors=[device(clock), bad], clock=clock, report=None) as run:
        clock.sleep(10)
    record = run.record
    assert record["run"].energy_by_channel_j["gpu0.energy"].value == pytest.approx(3000, rel=0.01)
    assert list(record["run"].energy_by_channel_j) == ["gpu0.energy"]
    assert record["run"].coverage["gpu"] == pytest.approx(0.5)
    assert {"reading-failed", "partly-measured"} <= set(codes(record))


def test_ranks_that_count_apart_are_told(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    with a_run(clock, tmp_path) as run:
        run.count(token=1000)
        clock.sleep(5)
    assert "other-ranks-count-apart" in codes(run.record)
    assert run.record["run"].validity == "degraded"


# ------------------------------------------------------------------------------------------------- start, stop, streams


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": 7},
        {"task": ["x"]},
        {"load": {"batch": 8}},
        {"files": [1]},
        {"output_dir": ""},
    ],
)
def test_arguments_of_the_wrong_kind_are_refused_at_once(arguments):
    with pytest.raises(BadInput):
        measure(**arguments)


def test_parameters_that_are_no_whole_number_are_refused_at_once():
    with pytest.raises((BadInput, ValueError)):
        measure(model=Model(id="m", parameters=135e6))


def test_a_path_is_a_models_name_too(clock, tmp_path):
    with a_run(clock, tmp_path, model=Path("models/x")) as run:
        clock.sleep(1)
    assert run.record.model.id == "models/x"


def test_a_start_that_fails_leaves_no_thread_and_no_file_open(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no")

    monkeypatch.setattr(environment, "describe", fails)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with measure(output_dir=tmp_path / "run", sensors=[Detection()], report=None):
            pass
    time.sleep(0.3)
    assert threading.active_count() <= threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 1


@pytest.mark.parametrize("folder", [".", "a/../b", "\u2603", "x" * 100])
def test_any_folder_will_do(clock, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    with measure(output_dir=folder, sensors=[], clock=clock, report=None) as run:
        clock.sleep(1)
    assert run.record["run"].duration_s == pytest.approx(1)


def test_a_folder_that_cannot_be_is_replaced(clock, tmp_path):
    with measure(output_dir="a\0b", sensors=[device(clock)], clock=clock, report=None) as run:
        clock.sleep(1)
    assert "folder-refused" in codes(run.record)


def test_with_stderr_closed_the_journal_is_not_standard_error(tmp_path):
    script = (
        "import os, time\n"
        "from energy_rating import measure\n"
        "with measure(output_dir='run', sensors=[]) as run:\n"
        "    time.sleep(0.2)\n"
        "    try: os.write(2, b'noise of a library')\n"
        "    except OSError: pass\n"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -c "$0" 2>&-', script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert read_journal(tmp_path / "run").damage is None


def test_a_device_that_hangs_holds_the_end_up_for_a_second_and_no_more(clock, tmp_path, monkeypatch):
    # Told apart from the making of the record and from a busy machine: by what the end is willing to wait, all in all.
    waited = []
    repeat = clock.repeat

    def hung(step, patience_s):
        ticker = repeat(step, patience_s)
        ticker.finish = lambda patience_s: waited.append(patience_s)
        return ticker

    monkeypatch.setattr(clock, "repeat", hung)
    with a_run(clock, tmp_path) as run:
        clock.sleep(3)
        assert waited == []
    assert 0 < sum(waited) <= 1
    assert "driver-hangs" in codes(run.record)


def test_a_large_run_is_summed_up_when_somebody_asks_and_not_at_the_end_of_the_program(clock, tmp_path):
    lines = []
    usual = measure(output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=lines.append)
    with Run(replace(usual.settings, windows_at_once=100)) as run:
        for _ in range(150):
            with run.window("step"):
                clock.sleep(0.01)
    assert not (tmp_path / "run" / "record.json").exists()
    assert "energy-rating summarise" in lines[0]
    assert run.record["step"].n == 150


def test_the_codes_of_a_command_stand_whatever_becomes_of_its_counts(tmp_path):
    deep = tmp_path / "deep.json"
    deep.write_text('{"a":' + "[" * 100_000)
    for arguments in (
        ["--count", "self=5"],
        ["--count-from", str(deep)],
        ["--count-from", str(tmp_path / "none")],
    ):
        done = energy_rating("measure", *arguments, "--", "sh", "-c", "exit 7", cwd=tmp_path)
        assert done.returncode == 7, done.stderr
        assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_does_not_change_the_code(tmp_path):
    command = f'"{sys.executable}" -m energy_rating measure --json -- sh -c "exit 7" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "7"


def test_killed_at_the_start_nothing_is_left_running(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from energy_rating import measure\nmeasure(output_dir='run').start()\nimport time; time.sleep(9)",
        ],
        cwd=tmp_path,
    )
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
