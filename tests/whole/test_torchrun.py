"""Trainings in plain PyTorch, under torchrun and with workers that load data, on a fake NVML whose truth is known."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the training needs PyTorch: make test-integrations")

from fake_nvml import Device, FakeNvml, NoCompiler, compiler
from what_ranks_told import WhatRanksTold

from energy_rating import summarise
from energy_rating.measuring.ranks import LAUNCHERS
from energy_rating.publishing.verification import verify

PROGRAM = Path(__file__).parents[1] / "fakes" / "training.py"
WRAPPER = "export CUDA_VISIBLE_DEVICES=$LOCAL_RANK; exec {python} {program} {arguments}"

try:
    compiler()
except NoCompiler as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("torchrun")]


def free_port():
    """One that nobody listens at now: two runs of these tests may go on side by side."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Training(WhatRanksTold):
    """One job of PyTorch beside a machine with these GPUs."""

    def __init__(self, folder, gpus=1):
        self.folder, self.told, self.scratch = folder / "run", folder / "told", folder
        self.told.mkdir()
        self.fake = FakeNvml(devices=[Device(power=f"constant:{200 + 100 * gpu}") for gpu in range(gpus)])
        known = {name for launcher in LAUNCHERS for names in launcher for name in names}
        known |= {"CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"}
        self.environ = {name: value for name, value in os.environ.items() if name not in known}
        self.environ |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.environ |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **self.fake.environment(folder)}

    def begin(self, ranks, *, restarts=0, apart=False, standalone=False, **options):
        arguments = [
            str(self.folder),
            str(self.told),
            *(f"{name}={value}" for name, value in options.items()),
        ]
        command = [sys.executable, str(PROGRAM), *arguments]
        if ranks:
            command = [
                *(sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"),
                *(("--standalone",) if standalone else ("--master-port", str(free_port()))),
                f"--max-restarts={restarts}",
                *(
                    (
                        "--no-python",
                        "bash",
                        "-c",
                        " ".join(
                            WRAPPER.format(
                                python=sys.executable, program=PROGRAM, arguments=" ".join(arguments)
                            ).split()
                        ),
                    )
                    if apart
                    else (str(PROGRAM), *arguments)
                ),
            ]
        return subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE, text=True)

    def truth_j(self, *attempts):
        return sum(
            self.fake.truth_j(gpu, self.of(0, attempt)["start"], self.of(0, attempt)["end"])
            for attempt in attempts or (0,)
            for gpu in range(len(self.fake.devices))
        )


def ended(process, code=0):
    _, said = process.communicate(timeout=200)
    assert process.returncode == code, said[-3000:]
    return said


def is_within(energy, truth_j):
    low, high = energy.interval()
    assert low <= truth_j <= high, f"{energy}, truly {truth_j:.1f} J"
    assert energy.value == pytest.approx(truth_j, rel=0.06)


@pytest.mark.parametrize(
    ("ranks", "gpus", "apart"), [(2, 1, False), (4, 2, False), (2, 2, True), (4, 4, True)]
)
def test_a_training_of_several_ranks_is_valid_and_counts_what_all_did(tmp_path, ranks, gpus, apart):
    job = Training(tmp_path, gpus)
    said = ended(job.begin(ranks, apart=apart, last=5))
    assert said.count("energy-rating:") == 1
    record = summarise(job.folder)
    assert record["run"].work["token"] == record["step"].work["token"] == job.tokens(ranks)
    assert record.ranks == ranks
    is_within(record["run"].energy_j["gpu"], job.truth_j())
    devices = {one.device for one in record.channels if one.component == "gpu"}
    assert devices == {job.fake.uuid(gpu) for gpu in range(gpus)}
    worst = [one for one in record.findings if one.severity != "note" and one.code != "window-too-short"]
    assert not [one for one in worst if one.code != "partly-measured"]
    assert verify(job.folder).agrees


@pytest.mark.parametrize("standalone", [False, True])
def test_a_rank_that_dies_and_is_started_again_loses_what_came_after_the_checkpoint(tmp_path, standalone):
    job = Training(tmp_path)
    ended(job.begin(2, restarts=1, standalone=standalone, save=3, kill=5, who=1, last=7))
    record = summarise(job.folder)
    assert record["run"].n == 2
    assert record["run"].work["token"] == job.tokens(2, (0, 1))
    assert record["run"].validity == "valid"
    lost = sum(tokens for rank in range(2) for step, tokens in job.of(rank)["counted"] if step > 3)
    assert (
        0
        < record["lost"].work["token"]
        <= lost + max(tokens for rank in range(2) for _, tokens in job.of(rank)["counted"])
    )
    # The first rank lived on until torchrun had seen that the other was dead, and that was measured too.
    told_s = sum(job.of(0, attempt)["end"] - job.of(0, attempt)["start"] for attempt in (0, 1))
    assert record["run"].duration_s > told_s - 0.5
    is_within(
        record["run"].energy_j["gpu"], job.fake.truth_j(0, 0.0, 1000.0) / 1000.0 * record["run"].duration_s
    )
    assert verify(job.folder).agrees


def test_sigterm_to_torchrun_and_a_resumption_by_hand(tmp_path):
    job = Training(tmp_path)
    process = job.begin(2, save=2, stay=4, resume=1)
    until = time.monotonic() + 120
    while time.monotonic() < until and not all(
        (job.told / f"{rank}.0.json").exists() and len(job.of(rank)["counted"]) == 4 for rank in range(2)
    ):
        time.sleep(0.1)
    time.sleep(2.5)  # what windows that are open have counted is written once a second
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    record = summarise(job.folder)
    assert record.outcome.state == "killed"
    assert record["run"].work["token"] == job.tokens(2)
    ended(job.begin(2, resume=1, last=6, **{"try": 1}))
    record = summarise(job.folder)
    assert record["run"].work["token"] == job.tokens(2, (0, 1))
    assert record["lost"].work["token"] == sum(
        tokens for rank in range(2) for step, tokens in job.of(rank)["counted"] if step > 2
    )
    assert record["run"].validity == "valid"


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_that_load_data_count_nothing_and_leave_nothing_behind(tmp_path, context):
    job = Training(tmp_path)
    ended(job.begin(0, workers=2, context=context, last=18))
    record = summarise(job.folder)
    assert record["run"].work["token"] == record["step"].work["token"] == job.tokens(1)
    is_within(record["run"].energy_j["gpu"], job.truth_j())
    # What a forked worker counts is in no figure, and said; a spawned one finds nothing to count into.
    told = {one.code for one in record.findings if one.severity != "note"}
    assert told == ({"counted-in-a-fork"} if context == "fork" else set())
    assert record.ranks is None
    assert sorted(path.name for path in job.folder.iterdir()) == ["journal.jsonl", "record.json"]
