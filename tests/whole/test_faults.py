"""Every cell of the fault matrix is played, and its outcome is the one that stands there; and death, at any moment and any byte."""

from __future__ import annotations

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fault_matrix
import pytest
import virtual_machine
from fault_matrix import CELLS, SINCE_S, Cell
from hypothesis import given, settings
from hypothesis import strategies as st
from playing_faults import (
    COUNTS,
    GPU_KINDS,
    ORDER,
    Played,
    Truth,
    a_gpu,
    judged,
    last,
    none_is_valid_and_wrong,
    play_call,
    play_count,
    play_disk,
    play_folder,
    play_fork,
    play_machine,
    play_ranks,
    play_sensor,
    play_two_runs,
    play_wall_clock,
)
from virtual import FakeDevice, VirtualClock, constant
from virtual_machine import DRIVER, NO_PERMISSION, NOT_SUPPORTED, SLOW_S, TICK_S, ZERO_S, Strike

from energy_rating import BadInput, NotMeasured, load, measure, summarise
from energy_rating.files.reading import read_journal, read_journal_from
from energy_rating.judging.summary import summarise_journal
from energy_rating.measuring import probe

TESTS = Path(__file__).parents[1] / "fakes"
REFUSALS = {"NOT_SUPPORTED": NOT_SUPPORTED, "NO_PERMISSION": NO_PERMISSION}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in (
        *("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
        *("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
        *("SLURM_GPUS_PER_TASK",),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


# -------------------------------------------------------------------------------------------------------------- the matrix


def strike_of(cell: Cell) -> Strike:
    """When the fault of a cell is there: to the end, or ``for N s``."""
    since = SINCE_S[cell.when]
    _, mark, lasts = cell.fault.rpartition(" for ")
    if not mark:
        return Strike(since_s=since)
    seconds = float(lasts.removesuffix(" s"))
    if cell.when == "at an edge":
        since -= seconds / 2
    elif cell.when == "at the end":
        since = 19.5
    return Strike(since_s=since, until_s=since + seconds)


DISK_STRIKES = dict(
    zip(
        fault_matrix.DISK_WHENS,
        (
            Strike(since_s=-10.0),
            Strike(since_s=6.0, until_s=8.0),
            Strike(since_s=9.5, until_s=10.5),
            Strike(since_s=8.5, until_s=9.5),
            Strike(since_s=6.0),
            Strike(since_s=19.5),
        ),
        strict=True,
    )
)


def played(cell: Cell, where) -> tuple[Played, dict[str, Truth], str]:
    """Plays a cell; returns what came of it, the truth, and the component that was struck."""
    hit = "gpu"
    if cell.group == "sensors":
        fault = cell.fault.rpartition(" for ")[0] or cell.fault
        hit = {"RAPL memory": "dram", "RAPL package": "cpu", "model": "cpu"}.get(cell.where, "gpu")
        found = play_sensor(cell.where, fault, strike_of(cell), cell.unseen, where)
    elif cell.group == "calls":
        found = play_call(cell.where, REFUSALS[cell.fault], Strike(since_s=SINCE_S[cell.when]), where)
    elif cell.group == "disk":
        found = play_disk(cell.fault, DISK_STRIKES[cell.when], where)
    elif cell.group == "folder":
        found = play_folder(cell.fault, min(SINCE_S[cell.when], 19.9), where)
    elif cell.group == "counts":
        found = play_count(cell.fault, cell.when, where)
    elif cell.group == "forks":
        found = play_fork(SINCE_S[cell.when], cell.fault, where)
    elif cell.group == "clocks":
        found = play_wall_clock(3600.0 if "forward" in cell.fault else -3600.0, SINCE_S[cell.when], where)
    elif cell.group == "machines":
        hit = "cpu" if "RAPL" in cell.fault or "platform" in cell.fault else "gpu"
        found = play_machine(cell.fault, where)
    elif cell.where == "8 ranks on one GPU":
        found = play_ranks(cell.fault, where)
    else:
        found = play_two_runs(cell.fault, where)
    return *found, hit


ON_THE_VIRTUAL_CLOCK = [cell for cell in CELLS if cell.group != "life"]


@pytest.mark.parametrize("cell", ON_THE_VIRTUAL_CLOCK, ids=lambda cell: cell.name)
def test_what_comes_of_a_fault_is_what_the_matrix_says(cell, tmp_path, monkeypatch):
    if (cell.where, cell.fault) == ("folder", "emptied"):
        with pytest.raises(NotMeasured, match="does not begin with a journal's header"):
            played(cell, (tmp_path, monkeypatch))
        return
    _is_as_told(cell, *played(cell, (tmp_path, monkeypatch)))


OF_SENSORS = [cell for cell in CELLS if cell.group == "sensors"]
# Faults that are over after some seconds are the same in a run of five minutes as in one of twenty seconds.
LASTING = [cell for cell in OF_SENSORS if " for " not in cell.fault]


@pytest.mark.parametrize("seconds", [2.0, 8.0])
@pytest.mark.parametrize("cell", OF_SENSORS, ids=lambda cell: cell.name)
def test_in_shorter_runs_too_no_valid_figure_is_wrong(cell, seconds, tmp_path, monkeypatch):
    _none_is_valid_and_wrong(cell, seconds, tmp_path, monkeypatch)


@pytest.mark.heavy
@pytest.mark.parametrize("cell", LASTING, ids=lambda cell: cell.name)
def test_nor_in_a_run_of_five_minutes(cell, tmp_path, monkeypatch):
    _none_is_valid_and_wrong(cell, 300.0, tmp_path, monkeypatch)


def _none_is_valid_and_wrong(
    cell: Cell, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cell.fault == "slow call for 1 s" and seconds < 2 * SLOW_S:
        pytest.skip("the call takes longer than the run")
    by = last(seconds, monkeypatch)
    strike = strike_of(cell)
    until_s = strike.since_s + min(by, 1.0) * (strike.until_s - strike.since_s)
    strike = Strike(since_s=by * strike.since_s, until_s=by * strike.since_s + until_s - strike.since_s)
    fault = cell.fault.rpartition(" for ")[0] or cell.fault
    none_is_valid_and_wrong(*play_sensor(cell.where, fault, strike, cell.unseen, (tmp_path, monkeypatch)))


OF_GPUS = [cell for cell in ON_THE_VIRTUAL_CLOCK if cell.where in GPU_KINDS]


@pytest.mark.parametrize("cell", OF_GPUS, ids=lambda cell: cell.name)
def test_nor_does_it_matter_that_an_earlier_run_learned_how_the_counter_ticks(cell, tmp_path, monkeypatch):
    for gpu in range(GPU_KINDS[cell.where][1]):
        probe.remember(f"GPU-{gpu}", DRIVER, TICK_S)
    _is_as_told(cell, *played(cell, (tmp_path, monkeypatch)))


def test_a_hole_of_any_length_at_any_time_leaves_figures_whose_intervals_hold(tmp_path, monkeypatch):
    # 95 % intervals; where a counter is bridged, whatever the power may have been meanwhile.
    outside = []
    for seed in range(100):
        rng = random.Random(seed)
        phase_s = rng.uniform(0.0, TICK_S)
        since_s, lasts_s = rng.uniform(0.5, 15.0), rng.choice([0.3, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0])
        if rng.random() < 0.5:
            probe.remember("GPU-0", DRIVER, TICK_S * rng.uniform(0.98, 1.02))
        kind = rng.choice(["GPU", "GPU, counter only"])
        strike = Strike(since_s=since_s, until_s=min(since_s + lasts_s, 19.0))
        folder = tmp_path / str(seed)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(virtual_machine, "PHASE_S", phase_s)
            run, truths = play_sensor(kind, "unknown error", strike, False, (folder, patch))
        try:
            judged(run, truths)
        except AssertionError as wrong:
            outside.append(f"{seed}: {wrong}")
    assert len(outside) <= 1, outside


def _is_as_told(cell: Cell, run: Played, truths: dict[str, Truth], hit: str) -> None:
    outcomes = judged(run, truths)
    assert outcomes[hit].word in cell.word.split("/"), sorted(outcomes[hit].codes)
    assert set(cell.codes) <= outcomes[hit].codes
    for component, outcome in outcomes.items():
        if component != hit:
            assert outcome.word in ("right", "marked"), "what was sound stays so"


def test_there_are_more_than_240_cells_and_each_is_its_own():
    assert len(CELLS) > 240
    doubled = [
        name for name, count in Counter((cell.group, cell.name) for cell in CELLS).items() if count > 1
    ]
    assert not doubled
    assert {word for cell in CELLS for word in cell.word.split("/")} == set(ORDER)
    assert {cell.fault for cell in CELLS if cell.group == "counts"} == set(COUNTS)


def test_the_page_is_the_matrix():
    assert fault_matrix.PAGE.read_text() == fault_matrix.page(), "run: python tests/fakes/fault_matrix.py"


def test_the_oracle_tells_a_wrong_figure(tmp_path, monkeypatch):
    run, _ = play_machine("RAPL is there twice (MSR and MMIO)", (tmp_path, monkeypatch))
    for wrong in (Truth(share=2.0), Truth(share=0.7), Truth(hole=(4.0, 9.0))):
        with pytest.raises(AssertionError):
            judged(run, {"cpu": wrong})
    with pytest.raises(AssertionError, match="invented"):
        judged(run, {"gpu": Truth()})


# ------------------------------------------------------------------------------------------------------ the life of a process

# What a program that something happens to ends with, and what it reckons meanwhile.
ENDS = {
    "SIGTERM": (-signal.SIGTERM, None),
    "SIGINT": (-signal.SIGINT, None),
    "SIGHUP": (-signal.SIGHUP, None),
    "SIGKILL": (-signal.SIGKILL, None),
    "os._exit": (5, None),
    "raises": (1, None),
    "sys.exit(3)": (3, None),
    "SIGUSR1, handled by the program": (0, 1),
    "SIGALRM every 10 ms": (0, True),
    "pool of workers, forked": (0, [0, 1, 4, 9]),
    "pool of workers, spawned": (0, [0, 1, 4, 9]),
    "pool of workers, from a fork server": (0, [0, 1, 4, 9]),
}
LIVES = [cell for cell in CELLS if cell.group == "life"]

# On a busy machine a short run may be in doubt, and says so.
OF_A_BUSY_MACHINE = {"doubtful", "window-too-short", "sensors-late"}


def lived(cell: Cell, folder: Path) -> tuple[int, str]:
    """Runs ``living.py``; returns its exit code and what stays of its process group."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "living.py"), cell.fault, str(folder)],
        env=os.environ | {"XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    code = process.wait(timeout=60)
    if cell.fault != "workers that live on":  # those are the program's own
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return code, ""
            time.sleep(0.05)
        return code, "orphans"
    return code, ""


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """All of them, a few at a time: they mostly sleep."""
    top = tmp_path_factory.mktemp("lives")
    with ThreadPoolExecutor(5) as pool:
        futures = {
            cell.fault: (top / str(number), pool.submit(lived, cell, top / str(number)))
            for number, cell in enumerate(LIVES)
        }
        return {fault: (folder, *future.result()) for fault, (folder, future) in futures.items()}


@pytest.mark.slow
@pytest.mark.xdist_group("lives")
@pytest.mark.parametrize("cell", LIVES, ids=lambda cell: cell.name)
def test_whatever_happens_to_a_program_its_end_is_its_own_and_its_energy_is_known(cell, lives):
    folder, code, left = lives[cell.fault]
    expected, reckoned = ENDS.get(cell.fault, (0, None))
    assert code == expected
    assert not left
    died = "interrupted" in cell.codes
    record = load(folder / "run") if (folder / "run" / "record.json").exists() else summarise(folder / "run")
    found = {finding.code for finding in record.findings}
    if cell.fault != "journal at the limit of file sizes":  # what is on the disk then ends in the middle
        assert read_journal(folder / "run").damage is None
        assert set(cell.codes) <= found
        assert died == (not read_journal(folder / "run").sessions[0].ended)
    if not died:
        told = json.loads((folder / "told.json").read_text())
        assert told["reckoned"] == reckoned
        assert set(cell.codes) <= set(told["codes"])
        assert told["end_took_s"] < 8, "a second of patience at most, and the making of the record"
        assert "in a worker" not in told["windows"]
        if cell.fault == "journal at the limit of file sizes":
            assert told["gpu_j"] == pytest.approx(300 * told["duration_s"], abs=max(15, 4 * told["random_j"]))
            return
    run = record["run"]
    if cell.word == "absent":
        assert run.energy_j == {}
        assert run.validity == "invalid"
        return
    energy = run.energy_j["gpu"]
    seen_s = run.coverage["gpu"] * run.duration_s
    assert energy.value == pytest.approx(300 * seen_s, abs=max(15, 4 * energy.random))
    assert run.duration_s >= 0.2
    if cell.word in ("partial", "marked"):
        assert run.validity != "valid"
    else:
        assert run.validity == "valid" or found & OF_A_BUSY_MACHINE, found


# ------------------------------------------------------------------------------------------------------------------- death

NURSERY = TESTS / "nursery.py"


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments_the_journal_gives_the_energy_up_to_its_last_line(tmp_path):
    done = subprocess.run(
        [sys.executable, str(NURSERY), str(tmp_path), "100", "1"],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) == 100
    opened = 0
    for one in killed:
        folder = Path(one["folder"])
        try:
            journal = read_journal(folder)
        except BadInput as error:
            assert not one["opened"], f"{error}: its run was open"
            continue
        record = summarise_journal(journal)
        assert journal.damage is None
        assert not journal.sessions[-1].ended
        assert any(f.code == "interrupted" and f.measurement == "run" for f in record.findings)
        run = record["run"]
        assert run.validity != "valid"
        if run.duration_s > 0.15 and "gpu" in run.energy_j:
            opened += 1
            energy = run.energy_j["gpu"]
            truth_j = 300 * run.coverage["gpu"] * run.duration_s
            assert energy.value == pytest.approx(truth_j, abs=max(3.0, 4 * energy.random))
    assert opened > 30


def small_run(folder: Path, clock: VirtualClock, seconds: float = 1.0, *, resume: bool = False):
    watts, joules = constant(300)
    gpu = FakeDevice(clock=clock, power=watts, energy=joules, has_register=False, known_period=True)
    run = measure(output_dir=folder, sensors=[gpu], clock=clock, report=None, resume=resume)
    run.start()
    clock.sleep(seconds / 2)
    with run.window("w") as window:
        clock.sleep(seconds / 2)
        window.count(token=10)
    run.stop()
    return run


@pytest.fixture(scope="module")
def small_journal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "run"
    clock = VirtualClock()
    small_run(folder, clock)
    small_run(folder, clock, resume=True)
    return (folder / "journal.jsonl").read_bytes()


def readings(journal) -> int:
    return sum(len(samples) for session in journal.sessions for samples in session.samples.values())


def told(journal) -> list[tuple[int, str, float, float]]:
    """Every reading: its session, channel, time and value."""
    return [
        (number, name, start, value)
        for number, session in enumerate(journal.sessions)
        for name, samples in session.samples.items()
        for start, value in zip(samples.start_s, samples.values, strict=True)
    ]


def test_a_journal_cut_or_damaged_at_any_byte_tells_nothing_but_what_was_measured(small_journal):
    ends = [at + 1 for at, byte in enumerate(small_journal) if byte == 0x0A]
    whole = {}  # by number of lines: readings and energy of the journal that ends there
    for end in ends:
        journal = read_journal_from(io.BytesIO(small_journal[:end]), place="x")
        record = summarise_journal(journal)
        energy = record["run"].energy_j.get("gpu")
        whole[end] = readings(journal), energy.value if energy is not None else None
    energies = [energy for _, energy in whole.values() if energy is not None]
    assert energies == sorted(energies), "a longer journal never tells less"
    assert energies[-1] == pytest.approx(600, rel=0.01)
    everything = Counter(told(read_journal_from(io.BytesIO(small_journal), place="x")))
    for at in range(ends[0], len(small_journal)):
        good = max(end for end in ends if end <= at)
        cut = read_journal_from(io.BytesIO(small_journal[:at]), place="x")
        assert readings(cut) == whole[good][0]
        assert cut.damage is None
        changed = bytearray(small_journal)
        changed[at] ^= 0x15
        broken = read_journal_from(io.BytesIO(bytes(changed)), place="x")
        assert readings(broken) >= whole[good][0], at
        assert not Counter(told(broken)) - everything, at
        # The last line's own end may be what was changed: then it is a line that was cut.
        assert broken.damage is not None or good == ends[-2]


@given(st.data())
@settings(max_examples=60)
def test_a_journal_with_bytes_changed_dropped_or_doubled_never_tells_more_than_was_measured(
    small_journal, data
):
    content = bytearray(small_journal)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 200))
        kind = data.draw(st.sampled_from(["flip", "drop", "double"]))
        if kind == "flip":
            content[at] ^= data.draw(st.integers(1, 255))
        elif kind == "drop":
            del content[at : at + length]
        else:
            content[at:at] = content[at : at + length]
        if not content:
            return
    try:
        record = summarise_journal(read_journal_from(io.BytesIO(bytes(content)), place="x"))
    except BadInput:
        return
    energy = record["run"].energy_j.get("gpu")
    assert energy is None or energy.value <= 600 * 1.01 + 3 * energy.random


def test_a_requeued_job_that_is_killed_again_and_again_adds_up_and_never_twice(tmp_path):
    """Three processes go on with one folder, each killed; a fourth one ends in order."""
    env = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    rng = random.Random(5)
    for number in range(4):
        process = subprocess.Popen(
            [sys.executable, str(NURSERY), "resume", str(tmp_path / "run"), "0.6" if number == 3 else "30"],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout.readline() == "open\n"
            if number < 3:
                time.sleep(0.3 + rng.random() * 0.4)
                process.kill()
            assert process.wait(timeout=30) == (0 if number == 3 else -signal.SIGKILL)
        if number == 1:  # what a kill in the middle of a line leaves
            with (tmp_path / "run" / "journal.jsonl").open("ab") as file:
                file.write(b'{"t":1.0,"dt":0.0,"r":{"gpu0.en')
    journal = read_journal(tmp_path / "run")
    assert journal.damage is None
    assert [session.ended for session in journal.sessions] == [False, False, False, True]
    run = summarise_journal(journal)["run"]
    assert run.n == 4
    assert run.duration_s == pytest.approx(sum(session.last_s for session in journal.sessions), abs=0.1)
    truth_j = 300 * run.coverage["gpu"] * run.duration_s
    energy = run.energy_j["gpu"]
    assert energy.value == pytest.approx(truth_j, abs=max(6.0, 4 * energy.random))
    assert not list(tmp_path.glob("run-*")), "nobody was thought to be alive still"


def test_a_session_that_stands_in_a_journal_twice_counts_once(small_journal):
    """As when a requeued job's script puts files together: ``cat old.jsonl new.jsonl`` where new holds old already."""
    again = small_journal.rindex(b'{"schema"')
    whole = read_journal_from(io.BytesIO(small_journal), place="x")
    for copy in (small_journal, small_journal[again:]):
        doubled = read_journal_from(io.BytesIO(small_journal + copy), place="x")
        assert "stands in the journal before" in (doubled.damage or "")
        assert len(doubled.sessions) == len(whole.sessions) == 2
        record = summarise_journal(doubled)
        assert record["run"].energy_j == summarise_journal(whole)["run"].energy_j
        assert record["w"].work == {"token": 20}
        assert "journal-damaged" in {finding.code for finding in record.findings}


def test_the_run_of_a_cell_is_what_the_page_says(tmp_path):
    clock = VirtualClock(ZERO_S)
    gpu = a_gpu(clock)
    assert gpu.energy(ZERO_S + 20) - gpu.energy(ZERO_S) == pytest.approx(100 * 10 + 400 * 10)
    assert math.isclose(SINCE_S["at an edge"], 9.0)
