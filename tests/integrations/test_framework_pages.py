"""What the pages on frameworks show is run, and the example that ends in a card."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler

from energy_rating import load
from energy_rating.publishing.splice import section_of

TOP = Path(__file__).parents[2]
PAGES = TOP / "docs" / "frameworks"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What the reader of the page has: a trainer of his own.
GIVEN = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
torch.set_num_threads(1)
tiny = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
rows = [{"input_ids": [1 + number % 60] * 12, "labels": [1 + number % 60] * 12, "attention_mask": [1] * 12} for number in range(16)]
arguments = TrainingArguments("model", num_train_epochs=2, per_device_train_batch_size=4, report_to=[], use_cpu=True)
trainer = Trainer(model=LlamaForCausalLM(tiny), args=arguments, train_dataset=rows)
model = trainer.model
model.register_forward_pre_hook(lambda *_: __import__("time").sleep(0.1))
"""


def run(arguments, folder):
    try:
        fake = FakeNvml(devices=(Device(power="constant:300"),)).environment(folder)
    except NoCompiler as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            **fake,
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(TOP),
        },
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_the_page_on_the_trainer_of_transformers_runs(tmp_path):
    pytest.importorskip("transformers", reason="make test-frameworks installs it")
    pytest.importorskip("accelerate", reason="make test-frameworks installs it")
    shown = re.findall(r"^```python\n(.*?)^```", (PAGES / "transformers.md").read_text(), re.M | re.S)
    printed = run(["-c", GIVEN + "\n".join(shown)], tmp_path)
    assert re.search(r"± .*J \(gpu\)", printed), printed
    record = load(tmp_path / "reports" / "fine-tuning")
    assert record["run"].work == {"token": 2 * 16 * 12}
    assert record.model.id == "somebody/tiny"


# What the readers of the other pages have.
TORCH = """
import time
import torch
torch.set_num_threads(1)
data = torch.utils.data.TensorDataset(torch.randn(16, 4))
loader = torch.utils.data.DataLoader(data, batch_size=4)
validation = torch.utils.data.DataLoader(data, batch_size=8)

def train(batch):
    time.sleep(0.3)
"""
LIGHTNING = (
    TORCH
    + """
from lightning.pytorch import LightningModule, Trainer

class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, number):
        time.sleep(0.3)
        return self.layer(batch[0]).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    def validation_step(self, batch, number):
        time.sleep(0.1)

model = Module()
"""
)
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import time, keras, numpy as np
x, y = np.zeros((16, 4)), np.zeros((16, 1))
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")

class Slow(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0.3)

plain_fit = model.fit
model.fit = lambda *args, callbacks, **more: plain_fit(*args, callbacks=[*callbacks, Slow()], **more)
"""
PAGES_OF = {
    "lightning": (LIGHTNING, ("lightning", "torch"), {"sample": 32}),
    "keras": (KERAS, ("keras", "torch"), {"sample": 32}),
    "accelerate": (TORCH, ("accelerate", "torch"), {"sample": 4}),
    "loops": (TORCH, ("torch",), {"sample": 4}),
}


@pytest.mark.parametrize("page", PAGES_OF)
def test_the_pages_on_other_frameworks_run(page, tmp_path):
    given, needed, work = PAGES_OF[page]
    if any(importlib.util.find_spec(name) is None for name in needed):
        pytest.skip("make test-frameworks installs what it needs")
    shown = re.findall(r"^```python\n(.*?)^```", (PAGES / f"{page}.md").read_text(), re.M | re.S)
    printed = run(["-c", given + "\n".join(shown)], tmp_path)
    assert re.search(r"± .*J \(gpu\)", printed), printed
    record = load(tmp_path / "reports" / "run")
    assert record["run"].work.items() >= work.items()
    assert record.model.id == "somebody/tiny"
    assert record.place.zone == "FRA"


def test_the_page_on_mlflow_runs(tmp_path):
    pytest.importorskip("mlflow", reason="make test-frameworks installs it")
    shutil.copytree(TOP / "reports" / "example-gpu", tmp_path / "reports" / "run")
    shown = re.findall(r"^```python\n(.*?)^```", (PAGES / "mlflow-wandb.md").read_text(), re.M | re.S)
    given = "import mlflow\nmlflow.set_tracking_uri('file:./mlruns')\n"
    asked = "\nprint(sorted(mlflow.search_runs(output_format='list')[0].data.metrics))\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        printed = run(["-c", given + "\n".join(shown) + asked], tmp_path)
    assert "energy/measured/gpu_j_per_token" in printed


@pytest.mark.heavy
def test_a_fine_tuning_with_lora_ends_in_a_card_with_training_and_inference(tmp_path):
    pytest.importorskip("peft", reason="make test-frameworks installs it")
    printed = run([str(TOP / "examples" / "lora_card.py"), "out"], tmp_path)
    training, inference = load(tmp_path / "out" / "fine-tuning"), load(tmp_path / "out" / "inference")
    assert training.model.trainable_parameters < training.model.parameters / 10
    assert training["run"].work["token"] > 0
    assert inference["request"].work == {"request": 10, "token": inference["run"].work["token"]}
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert card.strip() in printed
    for record in (training, inference):
        assert record.run_id in section_of(card)
    assert "co2_eq_emissions:" in card
    assert "| Energy per request, GPU |" in section_of(card)


def test_the_loop_under_torchrun_has_the_work_of_all_its_processes(tmp_path):
    pytest.importorskip("torch", reason="make test-frameworks installs it")
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    printed = run([*start, str(TOP / "examples" / "torchrun_loop.py"), "run"], tmp_path)
    record = load(tmp_path / "run")
    assert record["run"].work == {"sample": 3 * 8192}
    assert record.ranks == 2
    assert record["run"].validity == "valid"
    assert "a sample took" in printed
    truth = 300 * record["run"].duration_s
    assert record["run"].energy_j["gpu"].value == pytest.approx(truth, rel=0.15), "one GPU, once"
