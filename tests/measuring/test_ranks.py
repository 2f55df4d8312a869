"""The ranks of a host are one run: one of them measures, each counts its own work, and nothing is counted twice or lost."""

from __future__ import annotations

import contextlib
import json

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, NotMeasured, measure, rate, summarise
from energy_rating.measuring import ranked, ranks
from energy_rating.measuring.ranks import LAUNCHERS, rank_of
from energy_rating.nouns.reasons import codes as codes_of
from energy_rating.nouns.records import Rank
from energy_rating.publishing.verification import verify

WATTS = 300


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for launcher in LAUNCHERS:
        for names in launcher:
            for name in names:
                monkeypatch.delenv(name, raising=False)
    for name in (
        "CUDA_VISIBLE_DEVICES",
        "MASTER_ADDR",
        "MASTER_PORT",
        "TORCHELASTIC_RESTART_COUNT",
        "SLURM_JOB_ID",
    ):
        monkeypatch.delenv(name, raising=False)


class Job:
    """Ranks of one host in this process, on one clock."""

    def __init__(self, folder, monkeypatch, of=2):
        self.folder, self.of, self.patch = folder, of, monkeypatch
        self.clock = VirtualClock()
        self.said = []

    def begin(self, rank, **options):
        for name, value in (
            ("LOCAL_RANK", rank),
            ("RANK", rank),
            ("LOCAL_WORLD_SIZE", self.of),
            ("WORLD_SIZE", self.of),
            ("MASTER_PORT", 29500),
        ):
            self.patch.setenv(name, str(value))
        power, energy = constant(WATTS)
        gpu = FakeDevice(clock=self.clock, power=power, energy=energy)
        options = {"output_dir": self.folder, "stage": "fine-tuning"} | options
        run = measure(
            sensors=[gpu],
            clock=self.clock,
            report=lambda line: self.said.append((rank, line)),
            **options,
        ).__enter__()
        self.clock.sleep(0.2)
        return run

    def other_processes(self):
        """What is begun from here on is begun by processes that have begun no run yet."""
        self.patch.setattr(ranks, "_begun", {})

    def all(self, **options):
        return [self.begin(rank, **options) for rank in range(self.of)]

    def step(self, runs, tokens=(100, 200, 300, 400), seconds=1.0, name="step"):
        """A step that all ranks do together; each ends a little later than the one before."""
        windows = [run.window(name).open() for run in runs]
        self.clock.sleep(seconds)
        for window, amount in zip(windows, tokens, strict=False):
            window.close(token=amount)
            self.clock.sleep(0.005)

    def end(self, runs):
        """The first one last, which waits for the others."""
        for run in reversed(runs):
            run.stop()
        return runs[0].record


@pytest.fixture
def job(tmp_path, monkeypatch):
    return Job(tmp_path / "run", monkeypatch)


def killed(run):
    """As by SIGKILL: its file stops, and nobody holds it any more."""
    run._journal.close()
    run._journal.write = lambda *entries: None


def codes(record):
    return {finding.code for finding in record.findings}


def of(record, code):
    return [finding for finding in record.findings if finding.code == code]


# ------------------------------------------------------------------------------------------------------------ what is counted


def test_the_work_of_all_ranks_is_in_the_windows_of_the_one_that_measures(job):
    runs = job.all()
    for _ in range(5):
        job.step(runs)
    record = job.end(runs)
    assert record["step"].n == 5
    assert record["step"].work == record["run"].work == {"token": 5 * 300}
    assert record["step"].energy_j["gpu"].value == pytest.approx(5 * WATTS, rel=0.02)
    assert record.ranks == 2
    assert record["run"].validity == record["step"].validity == "valid"
    assert set(record.provenance.files) == {"rank1.jsonl"}
    assert sorted(path.name for path in job.folder.iterdir()) == [
        "journal.jsonl",
        "rank1.jsonl",
        "record.json",
    ]
    assert verify(job.folder).agrees
    assert summarise(job.folder) == record


def test_other_ranks_have_no_record_no_line_and_no_folder(job):
    runs = job.all()
    job.step(runs)
    runs[1].count(token="seven")
    job.end(runs)
    assert [run.makes_record for run in runs] == [True, False]
    assert [rank for rank, _ in job.said] == [0]
    assert runs[0].folder == runs[1].folder == job.folder
    with pytest.raises(NotMeasured, match="rank 1"):
        _ = runs[1].record
    with pytest.raises(NotMeasured, match="rank 1"):
        runs[1].trace()
    assert "count-refused" in codes(runs[0].record)


def test_what_is_counted_at_the_run_adds_up_too(job):
    runs = job.all()
    for run, amount in zip(runs, (100, 11), strict=True):
        run.count(token=amount)
    job.clock.sleep(3)
    assert job.end(runs)["run"].work == {"token": 111}


def test_a_window_that_only_another_rank_has_counts_by_itself(job):
    runs = job.all()
    job.step(runs)
    with runs[1].window("evaluation") as window:
        job.clock.sleep(2)
        window.count(item=8)
    record = job.end(runs)
    assert record["evaluation"].work == {"item": 8}
    assert record["evaluation"].energy_j["gpu"].value == pytest.approx(2 * WATTS, rel=0.02)


def test_each_step_of_a_rank_goes_with_the_one_beside_it(job):
    runs = job.all()
    for number in range(4):
        job.step(runs, (1, 10**number), name="step" if number % 2 else "other")
    record = job.end(runs)
    assert record["other"].work == {"token": 1 + 1 + 1 + 100}
    assert record["step"].work == {"token": 1 + 10 + 1 + 1000}


def test_where_the_counts_are_of_all_ranks_nothing_is_added(job):
    runs = job.all(counts="all-ranks")
    for _ in range(3):
        job.step(runs, (300, 300))
    record = job.end(runs)
    assert record["run"].work == record["step"].work == {"token": 900}
    assert record["run"].validity == "valid"
    assert "other-ranks-count-apart" not in codes(record)


def test_ranks_that_say_nothing_are_missed_unless_the_counts_are_of_all(job):
    run = job.begin(0)
    job.step([run])
    run.stop()
    assert of(run.record, "other-ranks-count-apart")[0].severity == "degrades"
    job.folder = job.folder.with_name("global")
    run = job.begin(0, counts="all-ranks")
    job.step([run])
    run.stop()
    assert run.record["run"].validity == "valid"


def test_a_rank_that_counts_nothing_is_missed_too(job):
    runs = job.all()
    job.step(runs[:1])
    record = job.end(runs)
    (said,) = of(record, "other-ranks-count-apart")
    assert "rank 1 counted nothing" in said.message


def test_where_nobody_counts_nobody_is_missed(job):
    runs = job.all()
    job.clock.sleep(5)
    assert job.end(runs)["run"].validity == "valid"


def test_a_correct_training_of_several_ranks_has_nothing_that_keeps_it_from_a_rating(job):
    runs = job.all()
    for _ in range(20):
        job.step(runs)
    rating = rate(job.end(runs))
    assert not {"degraded", "invalid"} & set(codes_of(rating.why_not))


def test_counts_must_be_of_a_kind_that_there_is():
    with pytest.raises(BadInput, match="each-rank, all-ranks"):
        measure(counts="all")


# --------------------------------------------------------------------------------------------------------- who finds whom


def test_where_the_folder_is_taken_all_ranks_go_to_its_sibling(job):
    with measure(output_dir=job.folder, sensors=[], clock=VirtualClock(), report=None):
        pass
    runs = job.all()
    job.step(runs)
    record = job.end(runs)
    assert {run.folder.name for run in runs} == {"run-2"}
    assert record["run"].work == {"token": 300}
    assert not list(job.folder.glob("rank*"))


def test_without_a_folder_the_ranks_find_each_other_too(job):
    runs = job.all(output_dir=None)
    job.step(runs)
    assert job.end(runs)["run"].work == {"token": 300}


def test_several_runs_one_after_the_other_are_kept_apart(job):
    first, other = job.all()
    job.step([first, other], (1, 2))
    other.stop()
    later = job.begin(1, output_dir=job.folder)  # faster than the first rank, which is still in its first run
    assert later.folder is None
    first.stop()
    second = job.begin(0)
    job.step([second, later], (10, 20))
    record = job.end([second, later])
    assert first.record["run"].work == {"token": 3}
    assert record["run"].work == {"token": 30}
    assert later.folder == second.folder == job.folder.with_name("run-2")


def test_another_job_with_the_same_folder_is_left_alone(job, tmp_path, monkeypatch):
    ours = job.begin(0)
    theirs = Job(job.folder, monkeypatch)
    theirs.clock = job.clock
    monkeypatch.setattr(theirs, "begin", theirs.begin)
    original = monkeypatch.setenv

    def another_port(name, value):
        original(name, "29501" if name == "MASTER_PORT" else value)

    theirs.patch = type("Patch", (), {"setenv": staticmethod(another_port)})()
    stranger = theirs.begin(1)
    job.other_processes()
    mine = job.begin(1)
    assert stranger.folder is None
    assert mine.folder == ours.folder
    job.step([ours, mine])
    assert job.end([ours, mine])["run"].work == {"token": 300}
    stranger.stop()


def test_a_rank_that_finds_nobody_says_so_once_and_raises_nothing(job):
    run = job.begin(1)
    job.step([run])
    run.stop()
    (line,) = [line for rank, line in job.said if rank == 1]
    assert "nothing was measured for rank 1" in line
    with pytest.raises(NotMeasured, match="rank 1"):
        _ = run.record
    assert not job.folder.exists()


def test_what_a_rank_counted_before_it_found_the_run_is_there(job):
    late = job.begin(1)
    job.step([late], (7,))
    first = job.begin(0)
    job.step([first, late], (100, 200))
    record = job.end([first, late])
    # Of the step before the run began nothing was measured: the joules are not divided by what was done in it.
    assert record["step"].work == record["run"].work == {"token": 300}
    (told,) = of(record, "rank-unmeasured")
    assert "rank 1 did 7 token " in told.message
    assert told.severity == "degrades"
    assert verify(job.folder).agrees


@pytest.mark.parametrize("late", [False, True], ids=["in time", "after the end"])
def test_joules_are_divided_by_what_was_done_while_they_were_measured(job, late):
    first, other = job.all()
    epoch = other.window("epoch").open()
    for _ in range(3):
        job.step([first, other])
    epoch.close()
    if late:
        # The first one ends, and waits a moment, in which the other one goes on.
        first._await_others = lambda *_: (job.clock.sleep(0.1), job.step([other], (7000,)), other.stop())
    else:
        other.stop()
    first.stop()
    record = first.record
    assert record["run"].work == record["step"].work == {"token": 900}
    assert bool(of(record, "rank-unmeasured")) == late
    assert record["run"].validity == ("degraded" if late else "valid")
    assert verify(job.folder).agrees


def test_what_was_counted_before_the_measuring_began_is_not_lost_at_a_checkpoint(job):
    late = job.begin(1)
    job.step([late], (7,))
    runs = [job.begin(0), late]
    job.step(runs)
    for run in runs:
        run.checkpoint(step=1)
    job.step(runs)
    for run in runs:
        killed(run)
    job.other_processes()
    again = job.all(resume=True)
    for run in again:
        run.resumed_from(step=1)
    job.step(again)
    record = job.end(again)
    assert record["run"].work == {"token": 600}
    assert record["lost"].work == {"token": 300}


def test_where_other_processes_cannot_be_looked_for_the_record_says_so_once(job):
    first, other = job.all()
    first._others, first._sizes = {}, None  # a defect of ours: what others raise is theirs
    for _ in range(3):
        job.step([first, other])
    record = job.end([first, other])
    (told,) = of(record, "ranks-unmet")
    assert "AttributeError" in told.message
    assert record["run"].validity == "degraded"


def test_where_hidden_gpus_cannot_be_looked_for_the_record_says_so(job, monkeypatch):
    def broken(_):
        raise RuntimeError("of a driver")

    monkeypatch.setattr(ranked.Ranked, "_reads_aside", lambda _: broken)
    run = job.begin(0)
    job.step([run], (100,))
    run.stop()
    assert run.record["run"].energy_j["gpu"].value > 0
    (told,) = of(run.record, "ranks-unmet")
    assert "RuntimeError" in told.message


def test_a_stale_invitation_of_a_killed_run_is_passed_over(job):
    killed(job.begin(0))
    (left,) = job.folder.glob(".ranks-*")
    other = job.begin(1)
    assert other.folder is None
    job.other_processes()
    first = job.begin(0)
    assert not left.exists()
    job.step([first, other])
    assert job.end([first, other])["run"].work == {"token": 300}
    assert first.folder == other.folder == job.folder.with_name("run-2")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b'{"schema":"energy-rating/ranks/1","crc":"00000000"}\n']
)
def test_a_file_that_is_no_invitation_harms_nobody(job, content):
    job.folder.mkdir()
    (job.folder / ".ranks-20260101T000000Z-0000.json").write_bytes(content)
    runs = job.all()
    job.step(runs)
    assert job.end(runs)["run"].work == {"token": 300}


# ------------------------------------------------------------------------------------------------------------------ files


def test_a_file_of_another_run_is_refused_by_name(job, tmp_path, monkeypatch):
    runs = job.all()
    job.step(runs)
    job.end(runs)
    other = Job(tmp_path / "other", monkeypatch)
    runs = other.all()
    other.step(runs)
    other.end(runs)
    (job.folder / "rank1.jsonl").write_bytes((other.folder / "rank1.jsonl").read_bytes())
    with pytest.raises(BadInput, match=r"rank1\.jsonl: is not of this run"):
        summarise(job.folder)
    with pytest.raises(BadInput, match=r"rank1\.jsonl: is not of this run"):
        verify(job.folder)


def test_what_ranks_left_of_an_earlier_run_makes_a_folder_taken(job):
    runs = job.all()
    job.end(runs)
    for name in ("journal.jsonl", "record.json"):
        (job.folder / name).unlink()
    again = Job(job.folder, job.patch)
    runs = again.all()
    again.step(runs)
    assert again.end(runs)["run"].work == {"token": 300}
    assert runs[0].folder.name == "run-2"


def test_a_count_of_another_rank_that_is_changed_is_a_difference(job):
    from energy_rating.files.journal import decoded, encoded

    runs = job.all()
    job.step(runs)
    job.end(runs)
    path = job.folder / "rank1.jsonl"
    entries = [decoded(line, place="rank1") for line in path.read_bytes().splitlines(keepends=True)]
    for entry in entries:
        for key in ("work", "run"):
            if entry.get(key):
                entry[key] = {"token": 900}
    path.write_bytes(b"".join(encoded(entry) for entry in entries))
    found = verify(job.folder)
    assert not found.agrees
    assert any("rank1.jsonl" in one.path or "work" in one.path for one in found.differences)


def test_a_file_of_a_rank_that_is_gone_is_a_difference(job):
    runs = job.all()
    job.step(runs)
    job.end(runs)
    (job.folder / "rank1.jsonl").unlink()
    assert not verify(job.folder).agrees
    assert summarise(job.folder)["run"].validity == "invalid"


def test_a_file_of_a_rank_that_could_not_be_written_is_not_called_missing(job):
    runs = job.all()
    job.step(runs)
    runs[1].stop()
    (job.folder / "rank1.jsonl").write_bytes(b"")  # a disk that is full
    runs[0].stop()
    (told,) = [one for one in runs[0].record.findings if "rank1.jsonl" in one.message]
    assert "was empty" in told.message
    assert told.severity == "disqualifies"


def test_a_wall_meter_that_is_added_afterwards_leaves_the_counts_of_all_ranks(job, tmp_path):
    from datetime import datetime, timedelta

    from energy_rating.measuring.sensors.wall import added_afterwards

    runs = job.all()
    for _ in range(5):
        job.step(runs)
    job.end(runs)
    header = json.loads((job.folder / "journal.jsonl").read_bytes().splitlines()[0])
    began = datetime.fromisoformat(header["started"])
    meter = tmp_path / "meter.csv"
    lines = [f"{(began + timedelta(seconds=second)).isoformat()},400.0" for second in range(-1, 8)]
    meter.write_text("\n".join(["time,power_w", *lines, ""]))
    added = added_afterwards(job.folder / "journal.jsonl", meter, tmp_path / "run-wall")
    assert summarise(added.parent)["run"].work == {"token": 1500}


def test_on_a_file_system_without_locks_the_ranks_find_each_other_too(job, monkeypatch):
    def refuses(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuses)
    runs = job.all()
    job.step(runs)
    assert job.end(runs)["run"].work == {"token": 300}


def test_what_a_rank_writes_after_the_end_of_the_run_changes_nothing(job):
    first, slow = job.all()
    job.step([first, slow])
    first.stop()  # does not wait for ever
    record = first.record
    job.step([slow], (5,))
    slow.stop()
    assert summarise(job.folder) == record
    assert verify(job.folder).agrees
    assert of(record, "rank-unfinished")


def test_a_rank_by_itself_is_no_run(job):
    runs = job.all()
    job.end(runs)
    with pytest.raises(BadInput, match="Name the folder of that run"):
        summarise(job.folder / "rank1.jsonl")


def test_compressed_files_of_ranks_are_read(job):
    import gzip

    runs = job.all()
    job.step(runs)
    record = job.end(runs)
    for name in ("journal.jsonl", "rank1.jsonl"):
        path = job.folder / name
        (job.folder / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    assert summarise(job.folder) == record


def test_the_record_so_far_has_the_work_of_all(job):
    runs = job.all()
    job.step(runs)
    assert runs[0].so_far()["run"].work == {"token": 300}
    job.end(runs)


# ------------------------------------------------------------------------------------------------------- crashes and restarts


def test_a_rank_that_is_killed_leaves_what_it_had_counted(job):
    runs = job.all()
    job.step(runs)
    killed(runs[1])
    job.step(runs[:1])
    runs[0].stop()
    record = runs[0].record
    assert record["run"].work == {"token": 300 + 100}
    assert of(record, "rank-unfinished")[0].severity == "degrades"


def test_all_ranks_killed_leave_what_they_had_counted(job):
    runs = job.all()
    for _ in range(4):
        job.step(runs)
    for run in runs:
        killed(run)
    record = summarise(job.folder)
    assert record["step"].work == record["run"].work == {"token": 1200}
    assert record["run"].validity == "degraded"
    assert record.outcome.state == "killed"


@pytest.mark.parametrize("saves", ["all ranks", "the first rank"])
@pytest.mark.parametrize("window", ["steps", "an epoch around them", "at the run"])
def test_what_all_ranks_did_after_the_last_checkpoint_is_lost(job, saves, window):
    if (saves, window) == ("the first rank", "at the run"):
        pytest.skip("nobody knows what the other had done by then")

    def train(runs, steps, save):
        epochs = [run.window("epoch").open() for run in runs] if "epoch" in window else []
        for number in steps:
            if window == "at the run":
                job.clock.sleep(1)
                for run, tokens in zip(runs, (100, 200), strict=True):
                    run.count(token=tokens)
            else:
                job.step(runs)
            if number == save:
                for run in runs if saves == "all ranks" else runs[:1]:
                    run.checkpoint(step=number)
        return epochs

    runs = job.all(resume=True)
    train(runs, range(1, 9), 6)
    job.clock.sleep(1.5)
    for run in runs:
        killed(run)
    runs = job.all(resume=True)
    for epoch in train(runs, range(7, 11), 10):
        epoch.close()
    record = job.end(runs)
    assert record["run"].work == {"token": 10 * 300}
    assert record["lost"].work == {"token": 2 * 300}
    assert record["run"].validity == "valid"
    if window != "at the run":
        assert record["step"].work == {"token": 10 * 300}
    assert verify(job.folder).agrees


def test_a_job_that_its_launcher_starts_again_goes_on_in_its_folder(job, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    runs = job.all()
    for number in range(1, 6):
        job.step(runs)
        if number == 3:
            for run in runs:
                run.checkpoint(step=3)
    for run in runs:
        killed(run)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    job.other_processes()
    runs = job.all()
    for _ in range(4, 8):
        job.step(runs)
    record = job.end(runs)
    assert {run.folder for run in runs} == {job.folder}
    assert record["run"].n == 2
    assert record["run"].work == {"token": 7 * 300}
    assert record["lost"].work == {"token": 2 * 300}
    assert not list(job.folder.glob(".ranks-*"))


def test_a_job_that_was_never_started_again_takes_a_sibling(job, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    for run in job.all():
        killed(run)
    job.other_processes()
    runs = job.all()
    job.step(runs)
    job.end(runs)
    assert {run.folder.name for run in runs} == {"run-2"}


# ------------------------------------------------------------------------------------------------------------- who is who


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({}, None),
        ({"LOCAL_RANK": "-1"}, None),
        ({"LOCAL_RANK": ""}, None),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "RANK": "0", "WORLD_SIZE": "1"}, Rank(of=1)),
        # torchrun on the second of two hosts; accelerate launch and DeepSpeed set the same
        (
            {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "RANK": "5", "WORLD_SIZE": "8", "GROUP_RANK": "1"},
            Rank(number=5, local=1, of=4),
        ),
        ({"LOCAL_RANK": "3", "LOCAL_SIZE": "4", "RANK": "3"}, Rank(number=3, local=3, of=4)),
        # Lightning's own launcher leaves out RANK
        (
            {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"},
            Rank(number=1, local=1, of=2),
        ),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "4", "NODE_RANK": "1", "NNODES": "2"}, Rank(number=3, local=1)),
        # a launcher of one's own
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}, Rank(number=1, local=1, of=2)),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "node0"}, None),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "node0"},
            Rank(number=5, local=1, of=4),
        ),
        ({"LOCAL_WORLD_SIZE": "2"}, Rank(of=2)),
        # Open MPI, MPICH, Intel MPI
        (
            {
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                "OMPI_COMM_WORLD_RANK": "3",
            },
            Rank(number=3, local=1, of=2),
        ),
        ({"MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "PMI_RANK": "1"}, Rank(number=1, local=1, of=2)),
        # srun with and without --ntasks-per-node
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_LOCALID": "1",
                "SLURM_PROCID": "5",
                "SLURM_NODEID": "1",
                "SLURM_STEP_NUM_TASKS": "7",
                "SLURM_STEP_TASKS_PER_NODE": "4,3",
                "SLURM_NTASKS": "7",
            },
            Rank(number=5, local=1, of=3),
        ),
        (
            {"SLURM_LOCALID": "2", "SLURM_PROCID": "6", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NODEID": "1"},
            Rank(number=6, local=2, of=4),
        ),
        # the batch script itself is told that it is task 0 of eight
        ({"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),
        # torchrun in a step of Slurm's
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_LOCALID": "0",
                "SLURM_STEP_NUM_TASKS": "2",
                "SLURM_PROCID": "1",
                "LOCAL_RANK": "3",
                "LOCAL_WORLD_SIZE": "4",
                "RANK": "7",
                "WORLD_SIZE": "8",
            },
            Rank(number=7, local=3, of=4),
        ),
        (
            {"SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_TASKS_PER_NODE": "x(x"},
            Rank(number=1, local=1),
        ),
        # what contradicts itself is not believed
        ({"LOCAL_RANK": "5", "LOCAL_WORLD_SIZE": "4"}, Rank(number=5, local=5)),
    ],
)
def test_the_place_is_told_from_whatever_a_launcher_sets(environ, rank):
    assert rank_of(environ) == rank


def test_the_header_tells_the_place_and_whose_counts_they_are(job):
    runs = job.all(counts="all-ranks")
    job.end(runs)
    first, other = (
        json.loads((job.folder / name).read_bytes().splitlines()[0])
        for name in ("journal.jsonl", "rank1.jsonl")
    )
    assert first["rank"] == {"number": 0, "local": 0, "of": 2}
    assert first["counts"] == other["counts"] == "all-ranks"
    assert other["run_id"] == other["rank"]["run"] == first["run_id"]
    assert other["rank"]["number"] == 1
    with contextlib.suppress(KeyError):
        assert abs(other["rank"]["offset_s"]) < 1
