"""A run in MLflow and in W&B, as the real libraries keep it without a server; where nobody answers nothing fails."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.integrations.experiments import logged_of
from energy_rating.publishing import logged

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "reports" / "example-gpu"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(
        "fine-tuning",
        model="org/name",
        output_dir=tmp_path / "run",
        sensors=[gpu],
        clock=clock,
        place="FRA",
        report=None,
    ) as made:
        for _ in range(3):
            with made.window("epoch, the first") as window:
                clock.sleep(40)
                window.count(token=1000)
    return made


def test_what_is_logged_is_what_the_record_says(run):
    told = logged_of(run)
    record = run.record
    epochs = record["epoch, the first"]
    assert (
        told.figures["energy/run/gpu_j"]
        == record["run"].energy_j["gpu"].value
        == pytest.approx(36000, rel=0.01)
    )
    assert told.figures["energy/run/gpu_j_plus_minus"] == record["run"].energy_j["gpu"].half_width()
    assert told.figures["energy/epoch- the first/gpu_j_per_token"] == epochs.energy_per("token").value
    assert told.figures["energy/carbon_g"] > 0
    assert told.words["energy/measured"] == "gpu"
    assert told.words["energy/rating"] == "not rated"
    assert set(told.files) == {"record.json", "label.svg", "journal.jsonl"}
    (curve,) = told.curves
    assert max(abs(watts - 300) for watts in curve.watts) < 30
    assert len(curve.time_s) <= logged.MOST_POINTS
    assert logged_of(run.folder) == told
    assert not logged_of(record).curves, "a record alone has none"


def test_what_is_only_estimated_is_called_so():
    told = logged_of(EXAMPLE)
    assert not [
        name
        for name in told.figures
        if name.endswith("/cpu_j") and "cpu" not in told.words["energy/measured"]
    ]
    assert "energy/stars" in told.figures


def ran(code, tmp_path, **environment):
    paths = os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is not here")
def test_mlflow_has_figures_curve_label_and_record(run, tmp_path):
    code = f"""
import json, mlflow
from energy_rating.integrations.mlflow import log_energy
mlflow.set_tracking_uri("file:./mlruns")
client = mlflow.MlflowClient()
with mlflow.start_run() as active:
    mlflow.log_metric("loss", 1.0)
    done = [log_energy({str(run.folder)!r})]
done.append(log_energy({str(EXAMPLE)!r}))
done.append(mlflow.active_run() is None)
done.append(log_energy("no such folder"))
found = client.get_run(active.info.run_id)
curve = client.get_metric_history(active.info.run_id, [name for name in found.data.metrics if name.startswith("power/")][0])
files = [file.path for file in client.list_artifacts(active.info.run_id, "energy")]
print(json.dumps([done, found.data.metrics, found.data.tags, len(curve), files, len(client.search_runs(["0"]))]))
"""
    out, said = ran(code, tmp_path, MLFLOW_ALLOW_FILE_STORE="true")
    done, metrics, tags, points, files, runs = json.loads(out)
    assert done == [True, True, True, False]
    assert metrics["energy/run/gpu_j"] == run.record["run"].energy_j["gpu"].value
    assert metrics["loss"] == 1.0
    assert tags["energy.run_id"] == run.run_id
    assert points > 50
    assert set(files) == {"energy/record.json", "energy/label.svg", "energy/journal.jsonl"}
    assert runs == 2
    assert "no such file" in said


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is not here")
def test_a_server_that_never_answers_holds_nobody_up(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
import time, mlflow
from energy_rating.integrations.mlflow import log_energy
mlflow.set_tracking_uri("http://127.0.0.1:{server.getsockname()[1]}")
began = time.monotonic()
done = log_energy({str(run.folder)!r}, patience_s=1.0)
print(done, time.monotonic() - began < 20)
"""
        out, said = ran(code, tmp_path)
    assert out == "False True"
    assert "is not waited for" in said


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="W&B is not here")
def test_wandb_has_figures_curve_label_and_record(run, tmp_path):
    code = f"""
import json, wandb
from energy_rating.integrations.wandb import log_energy
done = [log_energy({str(run.folder)!r})]
active = wandb.init(project="energy", mode="offline", dir=".")
active.log({{"loss": 1.0}})
done.append(log_energy({str(run.folder)!r}))
active.log({{"loss": 0.5}})
steps, summary = active.step, dict(active.summary)
active.finish()
disabled = wandb.init(mode="disabled")
done.append(log_energy({str(run.folder)!r}))
disabled.finish()
print(json.dumps([done, steps, {{name: value for name, value in summary.items() if isinstance(value, (int, float, str))}}]))
"""
    out, said = ran(code, tmp_path)
    done, steps, summary = json.loads(out)
    assert done == [False, True, True]
    assert steps == 2, "its own steps are the user's"
    assert summary["energy/run/gpu_j"] == run.record["run"].energy_j["gpu"].value
    assert summary["energy/run_id"] == run.run_id
    assert "there is no active run" in said
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/html/*"))
