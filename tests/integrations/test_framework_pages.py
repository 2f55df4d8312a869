"""What the pages on frameworks show is run, and the example that ends in a card."""

from __future__ import annotations

import os
import re
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
