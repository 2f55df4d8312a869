"""The real Accelerate trains on a GPU whose truth is known, alone and in two processes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml

from energy_rating import BadInput, load

if any(importlib.util.find_spec(name) is None for name in ("accelerate", "torch")):
    pytest.skip("Accelerate is not here", allow_module_level=True)

TOP = Path(__file__).parents[2]
pytestmark = [pytest.mark.xdist_group("accelerate"), pytest.mark.slow, pytest.mark.timeout(300)]

TRAINING = """
import json, os, sys, time
import torch
from accelerate import Accelerator
from energy_rating.integrations.accelerate import EnergyTracker

torch.manual_seed(0)
torch.set_num_threads(1)
told = {}


def trained(energy=None, *, gathered=False, fails_at=None, error=ValueError, epochs=2):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, log_with=energy)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(48, 4)), batch_size=4)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    accelerator.init_trackers("project", config={"api_key": "a-secret", "lr": 0.1})
    spans, samples = [], 0
    for epoch in range(epochs):
        begin = time.monotonic()
        window = energy.window("epoch").open() if energy is not None else None
        for number, (x,) in enumerate(energy.steps(loader) if energy is not None else loader):
            time.sleep(0.03)
            if number == fails_at:
                raise error("own")
            loss = model(x).pow(2).mean()
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            samples += len(x)
            done = torch.tensor(len(x))
            if gathered:
                done = accelerator.gather(done).sum()
            accelerator.log({"loss": float(loss), "sample": done}, step=number)
        if window is not None:
            window.close()
        spans.append([begin, time.monotonic()])
    accelerator.end_training()
    told.update(spans=spans, samples=samples)
    return {name: value.tolist() for name, value in model.state_dict().items()}
"""

END = """
with open(f"told-{os.environ.get('RANK', '0')}.json", "w") as file:
    json.dump(told, file)
"""


@pytest.fixture
def training(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    gpu = FakeNvml(devices=(Device(power="square:100,400,0.73,0.4"),))

    def runs(code, ranks=1):
        (tmp_path / "script.py").write_text(TRAINING + code + END)
        paths = os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")])
        start = (
            ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--standalone"]
            if ranks > 1
            else []
        )
        done = subprocess.run(
            [sys.executable, *start, "script.py"],
            cwd=tmp_path,
            env=os.environ | gpu.environment() | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return (
            [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in range(ranks)],
            gpu,
            done.stderr,
        )

    return runs


def test_epochs_and_steps_hold_what_they_say_and_a_loss_is_no_work(training, tmp_path):
    (told,), gpu, _ = training(
        'energy = EnergyTracker("run", model="tiny"); trained(energy); told["id"] = energy.record.run_id\n'
    )
    record = load(tmp_path / "run")
    truth = sum(gpu.truth_j(0, begin, end) for begin, end in told["spans"])
    energy = record["epoch"].energy_j["gpu"]
    assert abs(energy.value - truth) < 4 * energy.random + 0.02 * truth
    assert record["run"].work == record["epoch"].work == {"sample": 96}
    assert record["step"].n == 24
    assert record.run_id == told["id"]
    assert b"a-secret" not in (tmp_path / "run" / "journal.jsonl").read_bytes()


@pytest.mark.heavy
@pytest.mark.parametrize("gathered", [False, True])
def test_of_two_processes_one_is_asked_and_it_is_said_whose_work_is_counted(training, tmp_path, gathered):
    counts = ', counts="all-ranks"' if gathered else ""
    told, gpu, _ = training(f'trained(EnergyTracker("run"{counts}), gathered={gathered})\n', ranks=2)
    record = load(tmp_path / "run")
    assert record["run"].work["sample"] == (96 if gathered else told[0]["samples"] == 48 and 48)
    codes = {finding.code: finding for finding in record.findings}
    assert ("other-ranks-count-apart" in codes) is not gathered
    truth = sum(gpu.truth_j(0, begin, end) for begin, end in told[0]["spans"])
    energy = record["epoch"].energy_j["gpu"]
    assert abs(energy.value - truth) < 4 * energy.random + 0.02 * truth


@pytest.mark.heavy
def test_no_hook_of_ours_changes_or_ends_a_training(training, tmp_path):
    (told,), _, said = training(
        """
plain = trained()
told["measured"] = trained(EnergyTracker("run")) == plain

def refuse(*_, **__):
    raise RuntimeError("broken")

hooks = [name for name, one in vars(EnergyTracker).items() if hasattr(one, "__wrapped__")]
told["broken"] = []
for name in hooks:
    kept, vars(EnergyTracker)[name].__wrapped__ = vars(EnergyTracker)[name].__wrapped__, refuse
    energy = EnergyTracker(name)
    told["broken"].append(trained(energy) == plain)
    energy.energy.end()
    vars(EnergyTracker)[name].__wrapped__ = kept
"""
    )
    assert told["measured"]
    assert len(told["broken"]) == 4
    assert all(told["broken"])
    assert "start failed" in said


@pytest.mark.heavy
def test_a_block_around_it_tells_what_broke_it_off(training, tmp_path):
    training(
        """
for error in (ValueError, KeyboardInterrupt):
    try:
        with EnergyTracker(error.__name__) as energy:
            trained(energy, fails_at=5, error=error)
    except error:
        pass
"""
    )
    for name in ("ValueError", "KeyboardInterrupt"):
        record = load(tmp_path / name)
        assert record.outcome.exception == name
        assert record["run"].work == {"sample": 20}


def test_an_argument_that_is_none_is_refused_at_once():
    from energy_rating.integrations.accelerate import EnergyTracker

    with pytest.raises(BadInput, match="plac"):
        EnergyTracker("run", plac="FRA")


TWICE = """
energy = EnergyTracker("run")
accelerator = Accelerator(cpu=True, log_with=energy)
for number in range(3):
    accelerator.init_trackers("project")
    for _ in energy.steps(range(4)):
        time.sleep(0.05)
        accelerator.log({"sample": 10})
        energy.log({"sample": 1})  # by the program itself
    accelerator.end_training()
told["trackers"] = len(accelerator.trackers)
"""


def test_an_accelerator_that_begins_again_counts_once_although_it_logs_more_often(training, tmp_path):
    (told,), *_ = training(TWICE)
    assert told["trackers"] == 3  # accelerate 1.15 keeps those of before
    for folder in ("run", "run-2", "run-3"):
        assert load(tmp_path / folder)["run"].work == {"sample": 44}
