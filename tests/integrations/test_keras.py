"""The real Keras trains tiny models on torch and on jax, on a GPU whose truth is known. Each backend is a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml

from energy_rating import load

# Loaded in processes alone, one for each backend.
if any(importlib.util.find_spec(name) is None for name in ("keras", "torch", "jax")):
    pytest.skip("Keras, torch and jax are not here", allow_module_level=True)

TOP = Path(__file__).parents[2]
BACKENDS = ("torch", "jax")
pytestmark = [pytest.mark.xdist_group("keras"), pytest.mark.slow, pytest.mark.timeout(300)]

BEGIN = """
import copy, json, os, pickle, signal, sys, time
import numpy as np
import keras
from keras.callbacks import Callback
from energy_rating import BadInput
from energy_rating.integrations.keras import EnergyCallback

told = {}
x, y = np.random.default_rng(0).normal(size=(80, 4)), np.zeros((80, 1))


class Slow(Callback):
    # The work of the test, and the test's own clock.
    def __init__(self, seconds=0.03, fails_at=None):
        super().__init__()
        self.seconds, self.fails_at = seconds, fails_at
        self.spans, self.calls, self.ends = {"epoch": [], "evaluation": []}, 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.spans["epoch"].append([time.monotonic(), None])

    def on_epoch_end(self, epoch, logs=None):
        self.spans["epoch"][-1][1] = time.monotonic()

    def on_test_begin(self, logs=None):
        self.spans["evaluation"].append([time.monotonic(), None])

    def on_test_end(self, logs=None):
        self.spans["evaluation"][-1][1] = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(self.seconds)
        if self.calls == self.fails_at:
            raise ValueError("a callback's own")
        self.calls += 1

    def on_train_batch_end(self, batch, logs=None):
        self.ends += 1

    def on_test_batch_begin(self, batch, logs=None):
        time.sleep(self.seconds)


def model_of_ours(**settings):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.layers[0].trainable = False
    model.compile(optimizer="adam", loss="mse", **settings)
    return model


def weights(model):
    return [weight.tolist() for weight in model.get_weights()]


def fit(model, *callbacks, **settings):
    return model.fit(x, y, **{"batch_size": 4, "epochs": 2, "verbose": 0, "callbacks": list(callbacks), **settings})
"""

END = """
with open("told.json", "w") as file:
    json.dump(told, file)
"""


@pytest.fixture
def keras_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    gpu = FakeNvml(devices=(Device(power="square:100,400,0.73,0.4"),))

    def runs(backend, code):
        paths = os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | gpu.environment() | {"PYTHONPATH": paths, "KERAS_BACKEND": backend}
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + code + END],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((tmp_path / "told.json").read_text()), gpu, done.stderr

    return runs


@pytest.mark.parametrize("backend", BACKENDS)
def test_epochs_and_evaluation_hold_what_they_say(keras_runs, tmp_path, backend):
    told, gpu, _ = keras_runs(
        backend,
        """
slow, energy = Slow(), EnergyCallback("run", sample=80, steps=True)
model = model_of_ours()
fit(model, energy, slow, validation_data=(x[:40], y[:40]))
told |= {"spans": slow.spans, "calls": slow.calls, "held": model.train_function.__module__}
""",
    )
    record = load(tmp_path / "run")
    for name, spans in told["spans"].items():
        truth = sum(gpu.truth_j(0, begin, end) for begin, end in spans)
        energy = record[name].energy_j["gpu"]
        assert record[name].n == len(spans)
        assert abs(energy.value - truth) < 4 * energy.random + 0.02 * truth, name
    assert record["run"].work == {"batch": 40, "sample": 160}
    assert record["step"].n == told["calls"] == 40
    assert record["evaluation"].work == {}
    assert (record.model.parameters, record.model.trainable_parameters) == (19, 4)
    assert record.outcome.exception is None
    assert not told["held"].startswith("energy_rating"), "the compiled function is Keras' own again"
    misused = {"window-not-open", "window-reopened", "window-left-open", "count-refused", "hook-failed"}
    assert not misused & {finding.code for finding in record.findings}


def test_a_call_that_takes_several_batches_counts_no_more_than_there_are(keras_runs, tmp_path):
    told, _, _ = keras_runs(
        "jax",
        """
class Numbers(Callback):
    ends = []
    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)

for name, callbacks in (("run", []), ("with-steps", [Numbers()])):
    fit(model_of_ours(steps_per_execution=8), EnergyCallback(name, steps=bool(callbacks)), *callbacks, epochs=1)
told["ends"] = list(Numbers.ends)

def items():
    for _ in range(20):
        yield x[:4], y[:4]

model_of_ours(steps_per_execution=8).fit(items(), epochs=1, verbose=0, callbacks=[EnergyCallback("no-length", steps=True)])
""",
    )
    assert told["ends"] == [7, 15, 23]
    assert load(tmp_path / "no-length")["run"].work == {"batch": 20}
    assert load(tmp_path / "run")["run"].work == {"batch": 20}
    record = load(tmp_path / "with-steps")
    assert record["run"].work == record["step"].work == {"batch": 20}
    assert record["step"].n == 3


@pytest.mark.heavy
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fit_that_raises_ends_its_run_at_once_and_says_by_what(keras_runs, tmp_path, backend):
    told, _, _ = keras_runs(
        backend,
        """
class Fails(keras.Model):
    # In the compiled function itself.
    def __init__(self, error):
        super().__init__()
        self.dense, self.error, self.calls = keras.layers.Dense(1), error, 0
    def call(self, x):
        return self.dense(x)
    def compute_loss(self, *args, **kwargs):
        self.calls += 1
        if self.calls > 5:
            raise self.error("own")
        time.sleep(0.05)
        return super().compute_loss(*args, **kwargs)

for error in (ValueError, KeyboardInterrupt):
    keras.utils.set_random_seed(0)
    model = Fails(error)
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    energy, slow = EnergyCallback(error.__name__), Slow(seconds=0)
    try:
        fit(model, energy, slow, epochs=1)
    except error as caught:
        told[error.__name__] = energy.energy.is_going_on
        told["batches"] = slow.ends

# In the data, and in somebody's callback: nobody tells by what.
def items():
    for number in range(6):
        time.sleep(0.05)
        yield x[:4], y[:4]
    raise OSError("the data's own")

energy, slow = EnergyCallback("data"), Slow(seconds=0)
began = time.monotonic()
try:
    model_of_ours().fit(items(), steps_per_epoch=20, epochs=1, verbose=0, callbacks=[energy, slow])
except OSError:
    told["data batches"] = slow.ends
    told["data"] = [began, time.monotonic()]
    time.sleep(1.5)
told["data going on"] = energy.energy.is_going_on
energy = EnergyCallback("callback")
try:
    fit(model_of_ours(), energy, Slow(fails_at=7))
except ValueError:
    pass
fit(model_of_ours(), EnergyCallback("other"), epochs=1)
time.sleep(1)
told["callback going on"] = energy.energy.is_going_on
""",
    )
    for name in ("ValueError", "KeyboardInterrupt"):
        assert told[name] is False
        record = load(tmp_path / name)
        assert record.outcome.exception == name
        assert record["run"].work == {"batch": told["batches"]}
    data = load(tmp_path / "data")
    assert not told["data going on"]
    assert data.outcome.failed
    began, ended = told["data"]
    assert data["run"].duration_s < ended - began + 1.2, "not what came afterwards"
    assert data["run"].work == {"batch": told["data batches"]}
    assert not told["callback going on"]
    assert load(tmp_path / "callback")["run"].work == {"batch": 7}
    assert load(tmp_path / "callback").outcome.exception == "BaseException"


@pytest.mark.heavy
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_hook_of_ours_changes_or_ends_a_training(keras_runs, tmp_path, backend):
    told, _, said = keras_runs(
        backend,
        """
def trained(*callbacks):
    model = model_of_ours()
    fit(model, *callbacks, validation_data=(x[:8], y[:8]))
    return weights(model)

plain = trained()
told["measured"] = trained(EnergyCallback("run", steps=True)) == plain
hooks = [name for name, one in vars(EnergyCallback).items() if hasattr(one, "__wrapped__")]
told["hooks"] = len(hooks)

def refuse(*_, **__):
    raise RuntimeError("broken")

kept = {name: vars(EnergyCallback)[name].__wrapped__ for name in hooks}
told["broken"] = []
for name in hooks:
    vars(EnergyCallback)[name].__wrapped__ = refuse
    energy = EnergyCallback(name)
    told["broken"].append(trained(energy) == plain)
    energy._end(None)
    vars(EnergyCallback)[name].__wrapped__ = kept[name]
for name in hooks:
    vars(EnergyCallback)[name].__wrapped__ = refuse
told["all broken"] = trained(EnergyCallback("all")) == plain
for name in hooks:
    vars(EnergyCallback)[name].__wrapped__ = kept[name]

model, energy = model_of_ours(), EnergyCallback("saved")

class Saves(Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.save("model.keras")
        pickle.dumps(self.model)
        told["copies"] = [copy.deepcopy(energy).record is None, pickle.loads(pickle.dumps(energy)).record is None]

fit(model, energy, Saves())
import zipfile
told["in the file"] = any(b"energy_rating" in zipfile.ZipFile("model.keras").read(name) for name in zipfile.ZipFile("model.keras").namelist())
""",
    )
    assert told["measured"] is True
    assert told["hooks"] >= 10
    assert all(told["broken"])
    assert told["all broken"] is True
    assert told["copies"] == [True, True]
    assert told["in the file"] is False
    assert "on_epoch_begin failed" in said


@pytest.mark.heavy
def test_evaluate_and_predict_are_runs_of_their_own(keras_runs, tmp_path):
    keras_runs(
        "torch",
        """
energy, model = EnergyCallback("run", sample=80), model_of_ours()
fit(model, energy, epochs=1)
model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[energy, Slow()])
model.predict(x, batch_size=8, verbose=0, callbacks=[energy])
try:
    EnergyCallback("run", plac="FRA")
except BadInput as error:
    told["refused"] = str(error)
""",
    )
    assert load(tmp_path / "run").stage == "fine-tuning"
    assert load(tmp_path / "run-evaluate").stage == "inference"
    assert load(tmp_path / "run-evaluate")["run"].work == {"batch": 20, "sample": 80}
    assert load(tmp_path / "run-predict")["run"].work == {"batch": 10, "sample": 80}


@pytest.mark.heavy
def test_a_training_that_goes_on_counts_what_was_trained_once(keras_runs, tmp_path):
    keras_runs(
        "torch",
        """
for attempt, fails_at in enumerate((50, None)):
    backup = keras.callbacks.BackupAndRestore("backup")
    try:
        fit(model_of_ours(), EnergyCallback("run", resume=True), Slow(fails_at=fails_at), backup, epochs=4)
    except ValueError:
        time.sleep(0.8)
""",
    )
    record = load(tmp_path / "run")
    assert record["run"].work == {"batch": 80}
    assert record["lost"].work == {"batch": 10}
    assert record.outcome.exception is None


STOPPED = """
class Stops(Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 4

fit(model_of_ours(), EnergyCallback("stopped", sample=80), Slow(), Stops())

raising = EnergyCallback("raising", sample=80)
try:
    fit(model_of_ours(), raising, Slow(fails_at=30))
except ValueError:
    time.sleep(1)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_epoch_that_is_left_before_its_end_has_its_share_of_the_work(keras_runs, tmp_path, backend):
    keras_runs(backend, STOPPED)
    stopped = load(tmp_path / "stopped")
    assert stopped["epoch"].work == stopped["run"].work == {"batch": 5, "sample": 20}
    raising = load(tmp_path / "raising")
    # Counted by a thread that looks, and yet in the epoch whose joules these are.
    assert raising["epoch"].n == 2
    assert raising["epoch"].work == raising["run"].work == {"batch": 30, "sample": 120}
    assert "counted-into-the-run" not in {finding.code for finding in raising.findings}
