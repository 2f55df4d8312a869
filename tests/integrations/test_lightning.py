"""The real Lightning trains tiny models on a GPU whose truth is known; what is counted is counted by the test as well."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

lightning = pytest.importorskip("lightning.pytorch")
torch = pytest.importorskip("torch")

from fake_nvml import Device, FakeNvml  # noqa: E402

from energy_rating import BadInput, load  # noqa: E402
from energy_rating.integrations.lightning import EnergyCallback  # noqa: E402

GPU = FakeNvml(devices=(Device(power="square:100,400,0.73,0.4"),))
TOP = Path(__file__).parents[2]

# One job at a time: the windows of several would be measured on a machine that is busy with the others.
pytestmark = [pytest.mark.xdist_group("lightning"), pytest.mark.filterwarnings("ignore")]


class Tiny(lightning.LightningModule):
    """A linear model that takes its time."""

    def __init__(self, fails_at=None, error=ValueError, seconds=0.03):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
        self.frozen = torch.nn.Linear(4, 4).requires_grad_(False)
        self.fails_at, self.error, self.seconds = fails_at, error, seconds
        self.trained = self.validated = 0

    def training_step(self, batch, batch_idx):
        time.sleep(self.seconds)
        if self.trained == self.fails_at:
            raise self.error("the training's own")
        self.trained += 1
        (x,) = batch
        return self.layer(self.frozen(x)).pow(2).mean()

    def validation_step(self, batch, batch_idx):
        time.sleep(self.seconds)
        self.validated += 1
        (x,) = batch
        self.log("val", self.layer(x).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Clock(lightning.Callback):
    """The test's own: when what begins and ends."""

    def __init__(self):
        self.spans = {"epoch": [], "evaluation": [], "sanity-check": []}

    def on_train_epoch_start(self, *_):
        self.spans["epoch"].append([time.monotonic(), None])

    def on_train_epoch_end(self, *_):
        self.spans["epoch"][-1][1] = time.monotonic()

    def on_validation_start(self, trainer, *_):
        name = "sanity-check" if trainer.sanity_checking else "evaluation"
        self.spans[name].append([time.monotonic(), None])

    def on_validation_end(self, trainer, *_):
        name = "sanity-check" if trainer.sanity_checking else "evaluation"
        self.spans[name][-1][1] = time.monotonic()


def data(items, batch=4):
    torch.manual_seed(1)
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.randn(items, 4)), batch_size=batch
    )


def trainer_of(*callbacks, **settings):
    return lightning.Trainer(
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            "max_epochs": 2,
            **settings,
        }
    )


def trained(*callbacks, seed=0, items=40, model=None, **settings):
    lightning.seed_everything(seed, verbose=False)
    model = model or Tiny()
    trainer_of(*callbacks, **settings).fit(model, data(items), data(16))
    return model


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    with GPU.load():
        yield GPU


def test_epochs_steps_evaluation_and_sanity_check_hold_what_they_say(gpu, tmp_path):
    energy, clock = EnergyCallback(tmp_path / "run"), Clock()
    model = trained(
        energy,
        clock,
        accumulate_grad_batches=4,
        log_every_n_steps=1,
        logger=lightning.loggers.CSVLogger(tmp_path),
    )
    record = load(tmp_path / "run")
    assert record.outcome.state == "ended"
    assert record.outcome.exception is None
    for name, spans in clock.spans.items():
        truth = sum(gpu.truth_j(0, begin, end) for begin, end in spans)
        told = record[name].energy_j["gpu"]
        assert record[name].n == len(spans)
        assert abs(told.value - truth) < 4 * told.random + 0.02 * truth, name
    # 10 batches an epoch, of which 4 make a step, and the rest one more.
    assert record["run"].work == {"batch": 20, "sample": 80, "step": 6}
    assert model.trained == 20
    assert record["step"].work == record["epoch"].work == record["run"].work
    assert record["step"].n == 6
    assert record["evaluation"].work == record["sanity-check"].work == {}
    misused = {"window-not-open", "window-reopened", "window-left-open", "count-refused", "hook-failed"}
    assert not misused & {finding.code for finding in record.findings}
    assert (record.model.parameters, record.model.trainable_parameters) == (30, 10)
    assert record.model.dtype == "float32"
    assert energy.record.run_id == record.run_id
    (logged,) = tmp_path.glob("lightning_logs/*/metrics.csv")
    assert "energy/gpu_energy_j" in logged.read_text()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_broke_a_training_off_is_told_and_it_is_closed_once(gpu, tmp_path, error):
    energy = EnergyCallback(tmp_path / "run")
    with pytest.raises((ValueError, SystemExit)):
        trained(energy, model=Tiny(fails_at=7, error=error))
    record = load(tmp_path / "run")
    assert record.outcome.exception == (
        error.__name__ if error is not SystemExit else record.outcome.exception
    )
    assert record.outcome.failed
    assert record["run"].work["batch"] == 7
    assert not energy.energy.is_going_on


def test_a_real_ctrl_c_is_told(gpu, tmp_path):
    class Presses(lightning.Callback):
        def on_train_batch_start(self, trainer, module, batch, number):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit):
        trained(EnergyCallback(tmp_path / "run"), Presses())
    assert load(tmp_path / "run").outcome.exception == "KeyboardInterrupt"


HOOKS = [name for name, one in vars(EnergyCallback).items() if hasattr(one, "__wrapped__")]


def weights(model):
    return {name: value.tolist() for name, value in model.state_dict().items()}


@pytest.mark.heavy
def test_no_hook_of_ours_changes_or_ends_a_training(gpu, tmp_path, monkeypatch):
    def quick(*callbacks):
        lightning.seed_everything(0, verbose=False)
        return weights(trained(*callbacks, enable_checkpointing=True, items=16, model=Tiny(seconds=0)))

    def refuse(*_, **__):
        raise RuntimeError("broken")

    plain = quick()
    assert quick(EnergyCallback(tmp_path / "measured")) == plain
    assert len(HOOKS) > 10
    for name in HOOKS:
        with monkeypatch.context() as patch:
            patch.setattr(getattr(EnergyCallback, name), "__wrapped__", refuse)
            energy = EnergyCallback(tmp_path / name)
            assert quick(energy) == plain, name
            energy._end(None)
    with monkeypatch.context() as patch:
        for name in HOOKS:
            patch.setattr(getattr(EnergyCallback, name), "__wrapped__", refuse)
        assert quick(EnergyCallback(tmp_path / "all")) == plain


def test_a_hook_that_fails_is_a_finding(gpu, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(EnergyCallback.on_validation_start, "__wrapped__", refuse)
    trained(EnergyCallback(tmp_path / "run"), model=Tiny(seconds=0))
    (finding,) = [one for one in load(tmp_path / "run").findings if one.code == "hook-failed"]
    assert "on_validation_start" in finding.message


def test_a_training_that_goes_on_from_a_checkpoint_counts_what_was_trained_once(gpu, tmp_path):
    save = lightning.callbacks.ModelCheckpoint(
        dirpath=tmp_path, filename="{step}", every_n_train_steps=5, save_top_k=-1
    )
    with pytest.raises(ValueError, match="own"):
        trained(EnergyCallback(tmp_path / "run"), save, model=Tiny(fails_at=13), enable_checkpointing=True)
    path = tmp_path / "step=10.ckpt"
    # Without this package it can be read as well, also by whoever lets in nothing but plain values.
    (state,) = (
        kept
        for key, kept in torch.load(path, weights_only=True)["callbacks"].items()
        if key.startswith("EnergyCallback")
    )
    assert state["step"] == 10
    lightning.seed_everything(0, verbose=False)
    trainer_of(EnergyCallback(tmp_path / "run")).fit(Tiny(), data(40), data(16), ckpt_path=path)
    record = load(tmp_path / "run")
    assert record["run"].work == {"batch": 20, "sample": 80, "step": 20}
    assert record["lost"].work["batch"] == 3
    trainer_of().fit(Tiny(), data(40), data(16), ckpt_path=path)


def test_two_callbacks_of_two_folders_measure_the_same_training(gpu, tmp_path):
    one, other = EnergyCallback(tmp_path / "one"), EnergyCallback(tmp_path / "other")
    trained(one, other, items=8, max_epochs=1)
    assert one.record["run"].work == other.record["run"].work == {"step": 2, "batch": 2, "sample": 8}
    assert str(tmp_path) not in one.state_key
    assert one.state_key == EnergyCallback(tmp_path / "one").state_key


def test_test_and_predict_are_runs_of_their_own(gpu, tmp_path):
    class Tested(Tiny):
        def test_step(self, batch, number):
            time.sleep(0.03)

        def predict_step(self, batch, number):
            time.sleep(0.03)

    model, trainer = Tested(), trainer_of(EnergyCallback(tmp_path / "run"), max_epochs=1)
    trainer.fit(model, data(8))
    trainer.test(model, data(16), verbose=False)
    trainer.predict(model, data(12))
    assert load(tmp_path / "run").stage == "fine-tuning"
    assert load(tmp_path / "run-test").stage == "inference"
    assert load(tmp_path / "run-test")["run"].work == {"batch": 4, "sample": 16}
    assert load(tmp_path / "run-predict")["run"].work["sample"] == 12


def test_tokens_are_those_that_are_no_padding_and_ones_own_count_goes_before(gpu, tmp_path):
    class Texts(Tiny):
        def training_step(self, batch, number):
            return self.layer(self.frozen(batch["input_ids"][:, :4].float())).mean()

    def texts():
        ids = torch.ones(6, 10, dtype=torch.long)
        mask = torch.ones(6, 10, dtype=torch.long)
        mask[:, 7:] = 0
        rows = [{"input_ids": ids[row], "attention_mask": mask[row]} for row in range(6)]
        return torch.utils.data.DataLoader(rows, batch_size=4)

    trainer_of(EnergyCallback(tmp_path / "run"), max_epochs=1).fit(Texts(), texts())
    assert load(tmp_path / "run")["run"].work == {"batch": 2, "sample": 6, "step": 2, "token": 42}
    own = EnergyCallback(tmp_path / "own", letter=lambda batch: batch["input_ids"].numel(), image=1)
    trainer_of(own, max_epochs=1).fit(Texts(), texts())
    assert load(tmp_path / "own")["run"].work == {"batch": 2, "letter": 60, "step": 2, "image": 2}


def test_an_argument_that_is_none_is_refused_at_once():
    with pytest.raises(BadInput, match="plac"):
        EnergyCallback("run", plac="FRA")
    with pytest.raises(BadInput):
        EnergyCallback("run", stage="training")


def test_a_copy_is_one_that_has_not_begun(gpu, tmp_path):
    energy = EnergyCallback(tmp_path / "run", token=lambda batch: 1)
    trained(energy, model=Tiny(seconds=0))
    for again in (copy.deepcopy(energy), pickle.loads(pickle.dumps(energy))):
        assert again.record is None
        assert again.energy.run is None


def test_work_whose_function_could_not_be_sent_is_told_by_the_copy(gpu, tmp_path):
    energy = EnergyCallback(tmp_path / "run", token=lambda batch: 1, image=1)
    sent = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(energy))))
    trained(sent, model=Tiny(seconds=0))
    (told,) = [one for one in sent.record.findings if one.code == "hook-failed"]
    assert "the count of 'token' could not be sent" in told.message
    assert "image" in sent.record["run"].work
    assert "token" not in sent.record["run"].work


RANKS = """
import sys, time, json, os
import torch
import lightning.pytorch as lightning
sys.path.insert(0, {here!r})
from test_lightning import Clock, Tiny, data, trainer_of
from energy_rating.integrations.lightning import EnergyCallback

if __name__ == "__main__":
    torch.set_num_threads(1)
    energy, clock = EnergyCallback("run"), Clock()
    model = Tiny(seconds=0.05)
    trainer = trainer_of(energy, clock, devices=2, strategy="ddp", max_epochs=1)
    trainer.fit(model, data(80), data(16))
    with open(f"told-{{trainer.global_rank}}.json", "w") as file:
        json.dump({{"batches": model.trained, "epoch": clock.spans["epoch"][0]}}, file)
"""


@pytest.mark.heavy
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("launcher", ["its own", "torchrun"])
def test_two_ranks_count_each_its_own_and_their_gpu_counts_once(gpu, tmp_path, launcher):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS.format(here=str(Path(__file__).parent)))
    start = [sys.executable]
    if launcher == "torchrun":
        start += ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    paths = os.pathsep.join([str(TOP), str(TOP / "tests" / "fakes"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*start, str(script)],
        cwd=tmp_path,
        env=os.environ | gpu.environment() | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in (0, 1)]
    record = load(tmp_path / "run")
    assert record["run"].work["batch"] == sum(one["batches"] for one in told) == 20
    assert record["run"].work["sample"] == 80
    assert record.ranks == 2
    # One GPU, once: the energy of an epoch is that of the time in which any rank was in it.
    begin, end = min(one["epoch"][0] for one in told), max(one["epoch"][1] for one in told)
    truth, energy = gpu.truth_j(0, begin, end), record["epoch"].energy_j["gpu"]
    assert abs(energy.value - truth) < 4 * energy.random + 0.03 * truth
    codes = {finding.code for finding in record.findings}
    assert not {"other-ranks-count-apart", "window-left-open", "hook-failed"} & codes
