"""Jobs of several processes as launchers start them, on a fake NVML whose truth is known: joules, tokens, and which GPU is whose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler, compiler
from what_ranks_told import WhatRanksTold

from energy_rating import summarise
from energy_rating.measuring.ranks import LAUNCHERS
from energy_rating.publishing.verification import verify

PROGRAM = Path(__file__).parents[1] / "fakes" / "ranked.py"

try:
    compiler()
except NoCompiler as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(180)


def torchrun(rank, of):
    return {
        "LOCAL_RANK": rank,
        "LOCAL_WORLD_SIZE": of,
        "RANK": rank,
        "WORLD_SIZE": of,
        "GROUP_RANK": 0,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": 29511,
        "TORCHELASTIC_RUN_ID": "none",
    }


def launched(launcher, rank, of):
    return {
        "torchrun": torchrun(rank, of),
        "a launcher of one's own": {"RANK": rank, "WORLD_SIZE": of},
        "Open MPI": {
            "OMPI_COMM_WORLD_LOCAL_RANK": rank,
            "OMPI_COMM_WORLD_LOCAL_SIZE": of,
            "OMPI_COMM_WORLD_RANK": rank,
            "PMIX_NAMESPACE": "prterun-host-1@1",
        },
        "MPICH": {"MPI_LOCALRANKID": rank, "MPI_LOCALNRANKS": of, "PMI_RANK": rank, "PMI_SIZE": of},
        "Slurm": {
            "SLURM_JOB_ID": 7,
            "SLURM_STEP_ID": 0,
            "SLURM_LOCALID": rank,
            "SLURM_PROCID": rank,
            "SLURM_STEP_NUM_TASKS": of,
            "SLURM_STEP_TASKS_PER_NODE": of,
            "SLURM_NODEID": 0,
        },
    }[launcher]


class Job(WhatRanksTold):
    """Processes of one job, each beside a machine with these GPUs."""

    def __init__(self, folder, gpus=1):
        self.folder, self.told = folder / "run", folder / "told"
        self.told.mkdir(exist_ok=True)
        self.scratch = folder
        self.fake = FakeNvml(devices=[Device(power=f"constant:{200 + 100 * gpu}") for gpu in range(gpus)])
        known = {name for launcher in LAUNCHERS for names in launcher for name in names}
        known |= {"CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"}
        self.environ = {name: value for name, value in os.environ.items() if name not in known}
        self.environ |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.environ |= self.fake.environment(folder)

    def own_machine(self, gpu):
        """What a rank sees that has one GPU of the machine to itself: no other is told to it."""
        device = Device(power=f"constant:{200 + 100 * gpu}", uuid=self.fake.uuid(gpu))
        return FakeNvml(devices=[device], epoch=self.fake.epoch).environment(self.scratch)

    def begin(self, *variables, **options):
        arguments = [str(PROGRAM), str(self.folder), str(self.told)]
        arguments += [f"{name}={value}" for name, value in ({"ranks": len(variables)} | options).items()]
        return [
            subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environ | {name: str(value) for name, value in own.items()},
                stderr=subprocess.PIPE,
                text=True,
            )
            for own in variables
        ]

    def truth_j(self, start, end, gpus=None):
        return sum(self.fake.truth_j(gpu, start, end) for gpu in gpus or range(len(self.fake.devices)))


def ended(processes):
    said = [process.communicate(timeout=90)[1] for process in processes]
    return [process.returncode for process in processes], said


def is_within(energy, truth_j):
    low, high = energy.interval()
    assert low <= truth_j <= high, f"{energy}, truly {truth_j:.1f} J"
    assert energy.value == pytest.approx(truth_j, rel=0.06)


@pytest.mark.parametrize("launcher", ["torchrun", "a launcher of one's own", "Open MPI", "MPICH", "Slurm"])
def test_two_ranks_on_one_gpu(tmp_path, launcher):
    job = Job(tmp_path)
    codes, said = ended(job.begin(*(launched(launcher, rank, 2) for rank in range(2))))
    assert codes == [0, 0]
    assert said[1] == ""
    assert said[0].count("energy-rating:") == 1
    record = summarise(job.folder)
    assert record["run"].work["token"] == record["step"].work["token"] == job.tokens(2)
    assert record["step"].n == 8
    assert record["run"].validity == "valid"
    assert record.ranks == 2
    first = job.of(0)
    is_within(record["run"].energy_j["gpu"], job.truth_j(first["start"], first["end"]))
    assert verify(job.folder).agrees
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("run")] == ["run"]


def test_a_launcher_whose_first_process_has_no_variables(tmp_path):
    job = Job(tmp_path)
    codes, said = ended(job.begin({}, ranks=2, launcher="lightning"))
    assert codes == [0], said
    record = summarise(job.folder)
    assert record["run"].work["token"] == record["step"].work["token"] == job.tokens(2)
    assert record.ranks == 2
    assert record["run"].validity == "valid"


@pytest.mark.parametrize("ranks", [2, 4])
def test_each_rank_sees_one_gpu_and_the_driver_tells_of_all(tmp_path, ranks):
    job = Job(tmp_path, gpus=ranks)
    variables = [torchrun(rank, ranks) | {"CUDA_VISIBLE_DEVICES": rank} for rank in range(ranks)]
    codes, _ = ended(job.begin(*variables))
    assert codes == [0] * ranks
    record = summarise(job.folder)
    assert {one.device for one in record.channels if one.component == "gpu"} == {
        job.fake.uuid(gpu) for gpu in range(ranks)
    }
    assert record["run"].work["token"] == job.tokens(ranks)
    first = job.of(0)
    is_within(record["run"].energy_j["gpu"], job.truth_j(first["start"], first["end"]))
    assert record["run"].coverage["gpu"] > 0.97


def test_each_rank_has_one_gpu_to_itself_and_measures_it(tmp_path):
    job = Job(tmp_path, gpus=2)
    variables = [launched("Slurm", rank, 2) | job.own_machine(rank) for rank in range(2)]
    codes, _ = ended(job.begin(*variables))
    assert codes == [0, 0]
    record = summarise(job.folder)
    assert {one.id for one in record.channels if one.component == "gpu"} == {
        *("gpu0.energy", "gpu0.power", "gpu0-rank1.energy", "gpu0-rank1.power"),
    }
    first, other = job.of(0), job.of(1)
    start, end = max(first["start"], other["start"]), min(first["end"], other["end"])
    truth_j = job.truth_j(first["start"], first["end"], [0]) + job.truth_j(start, end, [1])
    is_within(record["run"].energy_j["gpu"], truth_j)
    assert verify(job.folder).agrees


def test_a_gpu_of_another_job_is_not_measured(tmp_path):
    job = Job(tmp_path, gpus=3)
    variables = [torchrun(rank, 2) | {"CUDA_VISIBLE_DEVICES": rank} for rank in range(2)]
    ended(job.begin(*variables))
    devices = {one.device for one in summarise(job.folder).channels if one.component == "gpu"}
    assert devices == {job.fake.uuid(0), job.fake.uuid(1)}


def test_a_gpu_that_nobody_could_measure_is_told(tmp_path):
    job = Job(tmp_path, gpus=1)
    no_driver = FakeNvml(devices=[Device()], init_error=9).environment(tmp_path)
    variables = [torchrun(0, 2), torchrun(1, 2) | no_driver | {"CUDA_VISIBLE_DEVICES": 1}]
    ended(job.begin(*variables))
    record = summarise(job.folder)
    assert "which GPUs rank 1 used could not be found out" in " ".join(one.message for one in record.findings)
    assert record["run"].validity == "degraded"


def test_a_rank_that_is_killed_leaves_its_counts(tmp_path):
    job = Job(tmp_path)
    processes = job.begin(torchrun(0, 2), torchrun(1, 2), kill=4, who=1, last=4)
    codes, _ = ended(processes)
    assert codes == [0, -signal.SIGKILL]
    record = summarise(job.folder)
    assert record["run"].work["token"] == job.tokens(2)
    assert [one.code for one in record.findings if one.code == "rank-unfinished"]
    assert verify(job.folder).agrees


def test_all_ranks_get_sigterm(tmp_path):
    job = Job(tmp_path)
    processes = job.begin(torchrun(0, 2), torchrun(1, 2), stay=5)
    until = time.monotonic() + 60
    while time.monotonic() < until and not all(
        (job.told / f"{rank}.0.json").exists() and len(job.of(rank)["counted"]) == 5 for rank in range(2)
    ):
        time.sleep(0.05)
    time.sleep(0.3)
    for process in processes:
        process.terminate()
    codes, _ = ended(processes)
    assert codes == [-signal.SIGTERM] * 2
    record = summarise(job.folder)
    assert record["run"].work["token"] == job.tokens(2)
    assert record.outcome.state == "killed"
    assert record["run"].validity == "degraded"


@pytest.mark.parametrize("how", ["resumed by hand", "started again by torchrun"])
def test_what_came_after_the_checkpoint_before_a_crash_is_lost(tmp_path, how):
    job = Job(tmp_path)
    again = {"TORCHELASTIC_RESTART_COUNT": 0} if "torchrun" in how else {"TRY": 0}
    resume = {} if "torchrun" in how else {"resume": 1}
    variables = [torchrun(rank, 2) | again for rank in range(2)]
    processes = job.begin(*variables, kill=6, who=0, save=4, last=6, **resume)
    codes, _ = ended(processes)
    assert codes[0] == -signal.SIGKILL
    variables = [one | dict.fromkeys(again, 1) for one in variables]
    codes, _ = ended(job.begin(*variables, first=5, last=9, save=4, **resume))
    assert codes == [0, 0]
    record = summarise(job.folder)
    assert record["run"].n == 2
    assert record["run"].work["token"] == record["step"].work["token"] == job.tokens(2, (0, 1))
    lost = [tokens for rank in range(2) for step, tokens in job.of(rank)["counted"] if step > 4]
    assert record["lost"].work["token"] == sum(lost)
    assert record["run"].validity == "valid"
    spent = [job.of(0, attempt) for attempt in (0, 1)]
    truth_j = sum(job.truth_j(one["start"], one["end"]) for one in spent)
    is_within(record["run"].energy_j["gpu"], truth_j)
    assert verify(job.folder).agrees
