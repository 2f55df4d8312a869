"""The Trainer of transformers, TRL's and that of Sentence Transformers, as they are: real steps of tiny models, on a fake NVML whose truth is known.

Each training is a program of its own (``trainings``), which counts tokens by its own collator and takes its own times.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hub_server
import pytest
from fake_nvml import Device, FakeNvml, NoCompiler

from energy_rating import Record, load
from energy_rating.publishing.splice import section_of

pytest.importorskip("torch", reason="make test-frameworks installs it")
pytest.importorskip("transformers", reason="make test-frameworks installs it")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("transformers")]
HEAVY = pytest.mark.heavy  # each takes trainings of its own

PROGRAM = Path(__file__).parents[1] / "fakes" / "trainings.py"
TOP = Path(__file__).parents[2]
NEEDS = {
    "adapted": ["peft"],
    "sft": ["trl"],
    "dpo": ["trl"],
    "grpo": ["trl"],
    "sentences": ["sentence_transformers", "datasets"],
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a program left behind."""

    folder: Path
    truth: dict[str, Any]
    nvml: FakeNvml
    output: str

    @property
    def record(self) -> Record:
        return load(self.folder / "run")

    def codes(self):
        return {finding.code for finding in self.record.findings}

    def true_j(self, spans):
        return sum(self.nvml.truth_j(0, since, until) for since, until in spans)

    def readme(self, inside="model"):
        return (self.folder / inside / "README.md").read_text()


def run_with_all_its_children(command, env):
    """What it printed, and how it ended. Whatever it started ends with it, also where it takes too long."""
    with tempfile.TemporaryFile("w+") as told:
        program = subprocess.Popen(
            command, env=env, stdout=told, stderr=subprocess.STDOUT, process_group=0, text=True
        )
        try:
            code = program.wait(timeout=500)
        finally:
            if program.poll() is None:
                program.terminate()  # torchrun ends its ranks, each of which has a group of its own
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(timeout=60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
        told.seek(0)
        return told.read(), code


def train(kind, folder, *, launcher=(), succeeds=True, power="square:100,400,0.7,0.4", environ=None, **asked):
    for library in NEEDS.get(kind, []):
        pytest.importorskip(library, reason="make test-frameworks installs it")
    folder.mkdir(exist_ok=True)
    try:
        nvml = FakeNvml(devices=(Device(power=power),))
        fake = nvml.environment(folder)
    except NoCompiler as error:
        pytest.skip(str(error))
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "MLFLOW", "HF_"))
    }
    env = {
        **own,
        **fake,
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(TOP), str(PROGRAM.parent)]),
        **(environ or {}),
    }
    command = [*(launcher or (sys.executable,)), str(PROGRAM), kind, str(folder), json.dumps(asked)]
    output, code = run_with_all_its_children(command, env)
    assert (code == 0) == succeeds, output[-4000:]
    told = folder / "truth-0.json"  # of a rank that was ended with another one there is none
    truth = json.loads(told.read_text()) if told.is_file() else {}
    return Training(folder=folder, truth=truth, nvml=nvml, output=output)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A training that several tests look at is run once."""
    known = {}

    def of(kind, **asked):
        key = (kind, json.dumps(asked, sort_keys=True))
        if key not in known:
            known[key] = train(kind, tmp_path_factory.mktemp(kind), **asked)
        return known[key]

    return of


def usual(once):
    return once("trainer", evaluation="epoch", pause_s=0.12, save_steps=5)


def assert_near(energy, true_j):
    """Within the doubt that the record itself states, which holds for 95 of 100."""
    assert abs(energy.value - true_j) <= 1.5 * energy.half_width(), (energy, true_j)


# -------------------------------------------------------------------------------------------- what is measured and counted


def test_tokens_are_those_of_the_collator_without_padding_and_without_those_of_evaluation(once):
    done = usual(once)
    assert done.truth["evaluated"] > 0
    assert done.record["run"].work == {"token": done.truth["tokens"]}
    assert done.record["epoch"].work == done.record["step"].work == done.record["run"].work


def test_steps_epochs_and_evaluations_are_apart(once):
    done = usual(once)
    record = done.record
    assert {name: record[name].n for name in ("step", "epoch", "evaluation")} == {
        "step": done.truth["global_step"],
        "epoch": 2,
        "evaluation": 2,
    }
    assert_near(record["step"].energy_j["gpu"], done.true_j(done.truth["steps"]))
    assert_near(record["evaluation"].energy_j["gpu"], done.true_j(done.truth["evaluations"]))
    run = record["run"]
    assert run.energy_j["gpu"].value <= done.true_j([(done.truth["begin"], done.truth["end"])]) * 1.1
    assert run.energy_j["gpu"].value >= 0.9 * done.true_j(done.truth["steps"])
    assert "hook-failed" not in done.codes()


def test_the_model_is_described_by_itself(once):
    done = usual(once)
    model = done.record.model
    assert (model.parameters, model.trainable_parameters) == (done.truth["parameters"], done.truth["trained"])
    assert model.dtype == "float32"
    assert done.record.task.name == "text-generation"
    assert done.record.stage == "fine-tuning"


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_model_that_is_made_for_its_trial_is_the_one_that_is_described(tmp_path, forgotten):
    done = train("searched", tmp_path, epochs=1, forgotten=forgotten)
    assert done.record.model.parameters == done.truth["parameters"]
    assert done.record["run"].work == {"token": done.truth["tokens"]}
    assert "hook-failed" not in done.codes()


def test_a_model_of_which_nothing_can_be_said_is_measured_all_the_same(tmp_path):
    done = train("trainer", tmp_path, epochs=1, undescribed=True, settings={"model": "somebody/tiny"})
    assert done.record.model.id == "somebody/tiny"
    assert done.record["step"].work == done.record["run"].work == {"token": done.truth["tokens"]}
    assert "hook-failed" in done.codes()


def test_a_trainer_that_is_attached_stays_so_and_who_asks_for_another_folder_is_told(tmp_path):
    from types import SimpleNamespace

    from energy_rating.integrations.transformers import attach

    said = []
    trainer = SimpleNamespace(add_callback=lambda _: None)
    first = attach(trainer, tmp_path / "one", report=said.append)
    assert attach(trainer) is attach(trainer, tmp_path / "one") is first
    assert not said
    assert attach(trainer, tmp_path / "two") is first
    (line,) = said
    assert str(tmp_path / "two") in line


@pytest.mark.parametrize("asked", [{"accumulation": 2}, {"save_steps": 2}, {"evaluation": "epoch"}])
def test_where_nobody_waits_for_a_loss_all_steps_still_have_their_tokens(tmp_path, asked):
    done = train("trainer", tmp_path, arguments={"logging_nan_inf_filter": False}, **asked)
    assert done.record["step"].work == done.record["run"].work == {"token": done.truth["tokens"]}


def test_joules_stand_in_the_logs_and_in_no_metric_that_the_trainer_returns(once):
    """A search for hyperparameters adds up what an evaluation returns."""
    done = usual(once)
    logged = [log for log in done.truth["logs"] if "loss" in log]
    joules = [log["gpu_energy_j"] for log in logged]
    assert len(joules) == 6
    assert joules == sorted(joules)
    assert joules[-1] > 0
    assert not [key for key in done.truth["metrics"] if key.endswith(("_j", "_w"))]
    assert done.truth["metrics"]["epoch"] == 2  # which the Trainer puts there while it logs


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("sft", {"lora": True}),
        ("sentences", {}),
        pytest.param("trainer", {"accumulation": 2}, marks=HEAVY),
        pytest.param("adapted", {}, marks=HEAVY),
        pytest.param("sft", {"packing": True}, marks=HEAVY),
        pytest.param("dpo", {}, marks=HEAVY),
        pytest.param("grpo", {}, marks=HEAVY),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_every_trainer_counts_its_own_tokens(once, kind, asked):
    done = once(kind, rows=12, epochs=1, save_steps=2, **asked)
    assert done.truth["tokens"] > 0
    assert done.record["run"].work == {"token": done.truth["tokens"]}
    assert done.record.model.parameters == done.truth["parameters"]
    assert done.record.model.trainable_parameters == done.truth["trained"]
    assert done.record["step"].n == done.truth["global_step"]
    assert "hook-failed" not in done.codes()


@HEAVY
def test_an_encoder_with_a_decoder_counts_the_operations_of_each_for_its_own_tokens(once):
    done = once("seq2seq", rows=12, epochs=1)
    work = done.record["run"].work
    assert work["token"] == done.truth["tokens"] + done.truth["target_tokens"]
    # Encoder and decoder share the embedding of 64 × 32; T5's layers are known by their sizes.
    attention, feed_forward, norm = 4 * 32 * 32, 2 * 32 * 64, 32
    encoder = 64 * 32 + 2 * (attention + feed_forward + 2 * norm) + norm + 32 * 4
    decoder = done.truth["parameters"] - encoder + 64 * 32
    assert work["flop"] == 6 * (encoder * done.truth["tokens"] + decoder * done.truth["target_tokens"])
    assert done.truth["why_not"] is not None


@HEAVY
def test_of_images_samples_are_counted_and_the_trainers_operations_are_refused(once):
    done = once("images", rows=12, epochs=1)
    assert done.record["run"].work == {"sample": 12}
    assert "pixel_values" in done.truth["why_not"]
    refused = [one for one in done.record.findings if one.code == "framework-flop-refused"]
    assert "pixel_values" in refused[0].message
    # What it says is far from six operations a parameter and patch (with the one that stands for the whole).
    assert done.truth["total_flos"] > 50 * 6 * done.truth["parameters"] * 12 * 17


@HEAVY
def test_the_trainers_operations_are_taken_of_a_dense_decoder_that_trains_whole_and_of_no_other(once):
    assert usual(once).truth["why_not"] is None
    assert "frozen" in once("adapted", rows=12, epochs=1, save_steps=2).truth["why_not"]


# --------------------------------------------------------------------------------------------- the training is left alone


@HEAVY
@pytest.mark.parametrize("kind", ["trainer", "sft"])
def test_the_weights_are_the_same_with_us_without_us_and_with_every_hook_of_ours_raising(once, kind):
    asked = {"rows": 12, "epochs": 2, "evaluation": "epoch" if kind == "trainer" else "no", "save_steps": 2}
    without = once(kind, attach=False, **asked)
    measured = once(kind, **asked)
    broken = once(kind, failing=True, **asked)
    assert without.truth["weights"] == measured.truth["weights"] == broken.truth["weights"]
    assert "is broken" in broken.output
    assert list(without.truth["metrics"]) == list(measured.truth["metrics"]) == list(broken.truth["metrics"])
    losses = [[log.get("loss") for log in one.truth["logs"]] for one in (without, measured, broken)]
    assert losses[0] == losses[1] == losses[2]


def test_nothing_of_ours_lies_in_a_checkpoint(once):
    """It is read by a program that cannot import this package."""
    done = usual(once)
    checkpoint = done.folder / "model" / "checkpoint-5"
    code = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "energy_rating":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import pathlib, torch
from transformers import LlamaForCausalLM
folder = pathlib.Path(sys.argv[1])
for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
    torch.load(folder / name, weights_only=False)
LlamaForCausalLM.from_pretrained(folder)
"""
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True, timeout=300)
    for path in checkpoint.iterdir():
        assert b"energy_rating" not in path.read_bytes(), path.name


@HEAVY
def test_what_the_training_raises_goes_on_and_stands_in_the_record(tmp_path):
    done = train("trainer", tmp_path / "raised", rows=12, raise_at=2)
    assert "the program's own" in done.truth["raised"]
    record = done.record
    assert "program-failed" in {finding.code for finding in record.findings}
    assert record["step"].n == 2
    assert "window-left-open" not in done.codes()


# -------------------------------------------------------------------------------------------- broken off, and gone on with


@HEAVY
@pytest.mark.parametrize("kind", ["trainer", "sft"])
def test_a_training_that_is_killed_and_goes_on_from_a_checkpoint_counts_what_was_trained(tmp_path, kind):
    """The last checkpoint is at step 5, the kill at 8: steps 6 to 8 are done twice, and were lost once."""
    folder = tmp_path / kind
    asked = {"save_steps": 5, "pause_s": 0.1, "rows": 24, "epochs": 2}
    first = train(kind, folder, succeeds=False, kill_at=8, **asked)
    done = train(kind, folder, resume=True, **asked)
    record = done.record
    whole = train(kind, tmp_path / "whole", attach=False, **asked)
    assert done.truth["weights"] == whole.truth["weights"]
    assert record["run"].work == {"token": whole.truth["tokens"]}
    assert record["lost"].work["token"] > 0
    steps = record["step"]
    assert steps.n == whole.truth["global_step"]
    # Of the first session, on its own fake's clock, the steps up to the checkpoint; of the second all.
    useful_j = first.true_j(first.truth["steps"][:5]) + done.true_j(done.truth["steps"])
    assert_near(steps.energy_j["gpu"], useful_j)
    assert record["run"].energy_j["gpu"].value > useful_j
    assert "hook-failed" not in done.codes()


@HEAVY
def test_a_batch_that_does_not_fit_into_memory_is_tried_smaller_and_what_it_took_is_lost(tmp_path):
    done = train(
        "trainer",
        tmp_path / "smaller",
        rows=24,
        epochs=1,
        batch=8,
        fails_at_batch=8,
        arguments={"auto_find_batch_size": True},
    )
    record = done.record
    # 24 rows, each once, in batches of 7: what the first two batches of 8 had was lost.
    assert record["run"].work == {"token": done.truth["tokens"] - done.truth["broken_tokens"]}
    assert record["lost"].work["token"] > 0
    assert record["step"].n == done.truth["global_step"]


# ------------------------------------------------------------------------------------------------------------- the cards


def pushed(tmp_path, kind, **asked):
    with hub_server.running() as hub:
        done = train(
            kind,
            tmp_path / kind,
            environ=hub.environment,
            rows=12,
            epochs=2,
            save_steps=2,
            push=True,
            pause_s=0.1 if kind != "sentences" else 0,
            settings={"place": "FRA"},
            **asked,
        )
    return done, hub.commits


@HEAVY
@pytest.mark.parametrize(
    ("kind", "asked"),
    [("trainer", {}), ("adapted", {}), ("sft", {"lora": True}), ("sentences", {})],
    ids=["trainer", "peft", "trl-peft", "sentence-transformers"],
)
def test_the_section_stands_in_every_card_that_is_pushed(tmp_path, kind, asked):
    """Also after TRL, PEFT and Sentence Transformers have written the card again, at each checkpoint and at the end."""
    done, commits = pushed(tmp_path, kind, **asked)
    cards = [files["README.md"].decode() for _, files in commits if "README.md" in files]
    assert cards
    for card in cards:
        assert section_of(card) is not None, card
    assert done.record.run_id in section_of(cards[-1])
    assert "still-running" not in section_of(cards[-1])
    if kind in ("sft", "sentences"):
        assert len(cards) > 1, "these push a card while they train"
    assert "co2_eq_emissions" in cards[-1].split("---")[1]
    # What the framework writes is all still there.
    assert {"sft": "SFT", "sentences": "SentenceTransformer"}.get(kind, "Training procedure") in cards[-1]


@HEAVY
def test_a_card_that_is_written_again_while_nothing_is_pushed_keeps_its_section(tmp_path):
    folder = tmp_path / "sft"
    first = train("sft", folder, rows=12, epochs=1, save_steps=2)
    assert first.record.run_id in section_of(first.readme())
    again = train("sft", folder, rows=12, epochs=2, save_steps=2, resume=True)
    assert again.record.run_id in section_of(again.readme())
    assert again.readme().count("energy-rating:start") == 1


# ------------------------------------------------------------------------------------------------- several ranks of a host


def several(folder, kind, **asked):
    pytest.importorskip("torch.distributed", reason="make test-frameworks installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "2"]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    # The network inside the machine, whatever else it has.
    return train(kind, folder, launcher=torchrun, environ={"GLOO_SOCKET_IFNAME": "lo"}, **asked)


def of_all(folder, key):
    return sum(json.loads(path.read_text())[key] for path in folder.glob("truth-*.json"))


@HEAVY
@pytest.mark.parametrize(("kind", "asked"), [("trainer", {"evaluation": "epoch"}), ("sft", {"lora": True})])
def test_two_ranks_count_each_its_own_tokens_and_their_gpu_counts_once(tmp_path, kind, asked):
    done = several(tmp_path / kind, kind, rows=24, epochs=2, save_steps=2, pause_s=0.1, **asked)
    record = done.record
    assert record["run"].work == {"token": of_all(done.folder, "tokens")}
    assert record["step"].n == done.truth["global_step"]
    assert_near(record["step"].energy_j["gpu"], done.true_j(done.truth["steps"]))
    assert record["run"].validity == "valid"
    assert not {"hook-failed", "other-ranks-count-apart"} & done.codes()
    assert [path.name for path in done.folder.glob("run*")] == ["run"]
    assert (done.folder / "run" / "rank1.jsonl").is_file()


@HEAVY
def test_where_one_rank_is_killed_the_job_goes_on_from_its_checkpoint(tmp_path):
    """Rank 1 is killed at step 3, and torchrun ends the other; the last checkpoint is that of step 2."""
    folder = tmp_path / "killed"
    asked = {"rows": 24, "epochs": 2, "save_steps": 2, "pause_s": 0.1}
    several(folder, "trainer", succeeds=False, kill_at=3, kill_rank=1, **asked)
    done = several(folder, "trainer", resume=True, **asked)
    record = done.record
    whole = several(tmp_path / "whole", "trainer", attach=False, **asked)
    assert done.truth["weights"] == whole.truth["weights"]
    assert record["run"].work == {"token": of_all(whole.folder, "tokens")}
    assert record["lost"].work["token"] > 0
    assert record["step"].n == whole.truth["global_step"]


@HEAVY
def test_a_job_that_torchrun_starts_again_before_its_first_checkpoint_has_lost_all_until_then(tmp_path):
    """As ``--max-restarts`` does: the same folder, and nothing to go on from."""
    folder = tmp_path / "again"
    train("trainer", folder, succeeds=False, rows=12, epochs=1, kill_at=2, pause_s=0.1)
    done = train(
        "trainer", folder, rows=12, epochs=1, pause_s=0.1, environ={"TORCHELASTIC_RESTART_COUNT": "1"}
    )
    assert done.record["run"].work == {"token": done.truth["tokens"]}
    assert done.record["lost"].work["token"] > 0
    assert [path.name for path in folder.glob("run*")] == ["run"]
