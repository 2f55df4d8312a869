"""The programme that measures architectures on a real GPU, with tiny ones on the CPU and a fake card: every case runs and is told."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler, build

from energy_rating import summarise

MISSING = [name for name in ("torch",) if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("transformers"),
    pytest.mark.skipif(bool(MISSING), reason="needs torch: make test-integrations"),
]

PROGRAMME = Path(__file__).parents[2] / "benchmarks" / "gpu_models.py"

# What is not there on a bare GPU machine.
BARE = """
import runpy, sys
absent = ("pydantic", "codecarbon", "pandas", "matplotlib", "click", "yaml", "transformers", "diffusers")
sys.modules |= dict.fromkeys(absent)  # importing them fails, and looking for them finds nothing
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def programme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_models", PROGRAMME)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["gpu_models"] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a tiny run writes, on a machine that has nothing but torch and pynvml."""
    try:
        build()
    except NoCompiler as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("models")
    fake = FakeNvml(devices=(Device(power="sine:300,100,0.7"),))
    done = subprocess.run(
        [
            *(sys.executable, "-c", BARE, str(PROGRAMME), "--tiny", "--device", "cpu", "--out", str(folder)),
            *(
                "--cases",
                "chat-8b-batch-1,chat-8b-batch-32,diffusion-sdxl,vision-vit-large-batch-1,speech-whisper-large-v3",
            ),
        ],
        env=os.environ | fake.environment(folder) | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_case_leaves_a_journal_from_which_a_record_is_made(measured: Path, tmp_path: Path) -> None:
    told = json.loads((measured / "models.json").read_text())
    assert {name: case for name, case in told["cases"].items() if {"error", "skipped"} & set(case)} == {}
    for name, case in told["cases"].items():
        packed = measured / "journals" / case["journal"]
        assert packed.stat().st_size == case["bytes"] < 16 << 20
        record = summarise(packed)
        assert record.model is not None
        assert record.model.parameters == case["parameters"]
        assert "random-weights" in {finding.code for finding in record.findings}
        assert record["measured"].n == 2
        requests = record["measured"].work["request"]
        assert requests % case["batch"] == 0
        if name.startswith("chat"):
            steps = requests // case["batch"]
            # 128 tokens each, of which the prefill gives the first.
            assert record["prefill"].work == {
                "token": requests,
                "input_token": record["measured"].work["input_token"],
            }
            assert record["decode"].work == {"token": 127 * requests}
            assert record["decode"].n == record["prefill"].n == steps
        if name.startswith("diffusion"):
            assert record["denoising"].work == {"step": 30 * requests, "image": requests}
        if name.startswith("speech"):  # the tiny one hears 10 s
            assert record["measured"].work == {
                "request": requests,
                "token": 64 * requests,
                "audio_second": 10 * requests,
            }


def test_nothing_names_the_machine_or_a_folder(measured: Path) -> None:
    texts = [(measured / "models.json").read_text()]
    texts += [gzip.decompress(path.read_bytes()).decode() for path in (measured / "journals").iterdir()]
    for text in texts:
        for name in (str(measured), str(PROGRAMME.parent.parent), f'"{os.uname().nodename}"'):
            assert name not in text


def test_each_network_has_as_many_parameters_as_the_model_whose_shape_it_has(programme: ModuleType) -> None:
    import torch

    published = {  # energy_rating/benchmarking/tasks/configs/README.md
        ("chat", "smollm2-135m"): 134_515_008,
        ("chat", "llama-3.2-1b"): 1_235_814_400,
        ("chat", "llama-3.1-8b"): 8_030_261_248,
        ("chat", "qwen2.5-32b"): 32_763_876_352,
        ("vision", "vit-large"): 304_326_632,
        ("speech", "whisper-large-v3"): 1_543_490_560,
        ("diffusion", "sdxl"): 2_567_463_684,
    }
    assert {(case.kind, case.config) for case in programme.CASES} == set(published)
    for (kind, config), parameters in published.items():
        with torch.device("meta"):
            net = programme.network(kind, programme.shape(config))
        assert sum(one.numel() for one in net.parameters()) == parameters, config


def test_what_is_kept_of_earlier_tokens_gives_the_same_as_reading_them_again(programme: ModuleType) -> None:
    import torch

    torch.manual_seed(0)
    net = programme.Llama(programme.shape("tiny-llama"))
    ids = torch.randint(512, (2, 9))
    turns = net.turns(9)
    with torch.inference_mode():
        whole = net(ids, net.caches(2, 9), 0, turns)
        caches = net.caches(2, 9)
        net(ids[:, :5], caches, 0, turns)
        for place in range(5, 9):
            last = net(ids[:, place : place + 1], caches, place, turns)
    assert torch.isfinite(whole).all()
    assert torch.allclose(whole, last, atol=1e-4)

    ears = programme.Whisper(programme.shape("tiny-whisper"))
    with torch.inference_mode():
        heard = ears.listen(torch.randn(2, 16, 1000))
        whole = ears(ids, ears.caches(2, 9), 0, heard)
        caches = ears.caches(2, 9)
        for place in range(9):
            last = ears(ids[:, place : place + 1], caches, place, heard)
    assert torch.allclose(whole, last, atol=1e-4)


def test_the_decoder_says_the_same_as_the_one_of_transformers_with_the_same_weights(
    programme: ModuleType,
) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    shape = programme.shape("tiny-llama")
    theirs = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**shape)).eval()
    ours = programme.Llama(shape)
    names = {
        "self_attn.q_proj": "q",
        "self_attn.k_proj": "k",
        "self_attn.v_proj": "v",
        "self_attn.o_proj": "o",
    }
    names |= {"mlp.gate_proj": "gate", "mlp.up_proj": "up", "mlp.down_proj": "down"}
    names |= {"input_layernorm": "before", "post_attention_layernorm": "after"}
    weights: dict[str, Any] = {}
    for name, value in theirs.state_dict().items():
        new = name.removeprefix("model.").replace("embed_tokens", "embed").replace("lm_head", "head")
        for old, short in names.items():
            new = new.replace(old, short)
        weights[new] = value
    ours.load_state_dict(weights)
    ids = torch.randint(512, (2, 7))
    with torch.inference_mode():
        expected = theirs(ids).logits[:, -1]
        assert torch.allclose(ours(ids, ours.caches(2, 7), 0, ours.turns(7)), expected, atol=1e-4)


def test_what_there_is_no_time_for_is_left_out_and_the_more_important_comes_first(
    programme: ModuleType, tmp_path: Path
) -> None:
    assert programme.main(["--tiny", "--device", "cpu", "--out", str(tmp_path), "--budget", "1"]) == 0
    told = json.loads((tmp_path / "models.json").read_text())
    assert len(told["cases"]) == len(programme.CASES)
    assert all("no time left" in case["skipped"] for case in told["cases"].values())
