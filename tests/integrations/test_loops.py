"""Loops on real PyTorch and JAX: what is dispatched is not yet done, workers are forked and spawned, requests run side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler

from energy_rating import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOP = Path(__file__).parents[2]
PROGRAM = TOP / "tests" / "fakes" / "loops.py"


def looped(kind, folder):
    """The record, what the program said, and what its windows truly took."""
    pytest.importorskip(kind.partition("_")[0], reason="make test-frameworks installs it")
    folder.mkdir()
    try:
        nvml = FakeNvml(devices=(Device(power="square:100,400,0.7,0.4"),))
        fake = nvml.environment(folder)
    except NoCompiler as error:
        pytest.skip(str(error))
    env = {
        **os.environ,
        **fake,
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(TOP), str(PROGRAM.parent)]),
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind, str(folder)],
        env=env,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    truth = json.loads((folder / "truth.json").read_text())
    return load(folder / "run"), truth, sum(nvml.truth_j(0, *span) for span in truth["spans"])


def codes(record):
    return {finding.code for finding in record.findings}


def assert_near(energy, true_j):
    assert abs(energy.value - true_j) <= 1.5 * energy.half_width(), (energy, true_j)


def test_windows_that_wait_hold_what_jax_did_in_them(tmp_path):
    record, _, true_j = looped("jax_synced", tmp_path / "run")
    assert_near(record["step"].energy_j["gpu"], true_j)
    assert "work-still-queued" not in codes(record)
    assert record["run"].work == {"token": 40}


def test_windows_that_do_not_wait_for_jax_say_that_work_was_still_queued(tmp_path):
    record, _, true_j = looped("jax_queued", tmp_path / "run")
    queued = [one for one in record.findings if one.code == "work-still-queued"]
    assert queued[0].measurement == "step"
    assert queued[0].severity == "degrades"
    assert record["step"].energy_j["gpu"].value < 0.5 * true_j


def test_a_run_ends_when_jax_has_done_what_was_queued(tmp_path):
    record, truth, true_j = looped("jax_end", tmp_path / "run")
    assert truth["ready"]
    assert truth["dispatched_s"] < 0.5 * truth["duration_s"]
    assert_near(record["run"].energy_j["gpu"], true_j)


def test_a_loop_over_jax_is_drained_at_its_end(tmp_path):
    record, truth, true_j = looped("jax_steps", tmp_path / "run")
    assert truth["ready"]
    assert record["step"].n == 5
    assert record["run"].work == {"token": 35}
    assert truth["parameters"] == 700 * 700
    assert_near(record["step"].energy_j["gpu"], true_j)


@pytest.mark.parametrize("kind", ["torch_fork", "torch_spawn"])
def test_workers_of_a_loader_change_nothing(tmp_path, kind):
    record, truth, true_j = looped(kind, tmp_path / "run")
    assert record["run"].work == {"token": truth["tokens"]}
    assert record["step"].n == 12
    assert_near(record["epoch"].energy_j["gpu"], true_j)
    assert truth["threads"] == ["MainThread"]
    assert (record.model.id, record.model.parameters) == ("mine", 72)
    if kind == "torch_fork":
        assert "counted-in-a-fork" in codes(record)


@pytest.mark.parametrize("kind", ["torch_threads", "torch_tasks"])
def test_requests_side_by_side_take_the_energy_of_their_union(tmp_path, kind):
    record, truth, true_j = looped(kind, tmp_path / "run")
    assert record["run"].work == {"request": truth["requests"], "token": 60}
    assert_near(record["request"].energy_j["gpu"], true_j)
