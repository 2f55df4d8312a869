"""vLLM's offline engine, on a stand-in that has what its documentation names: no real engine was tried here."""

from __future__ import annotations

import sys
import time
import types
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from energy_rating.benchmarking.tasks.synthetic import picture
from energy_rating.benchmarking.work import Done, Item, Settings
from energy_rating.benchmarking.workloads.vllm import Vllm, prepared
from energy_rating.nouns.errors import BadInput, EnergyRatingError, EngineFailed


# https://docs.vllm.ai/en/v0.8.3/api/inference_params.html, vllm/outputs.py and vllm/v1/metrics/stats.py, read 2026-11-22
@dataclass
class SamplingParams:
    temperature: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    min_tokens: int = 0
    ignore_eos: bool = False
    truncate_prompt_tokens: int | None = None


def codes(done):
    """What a run found, but for the engine's account of itself."""
    return [finding.code for finding in done.findings if finding.code != "operating-point"]


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    finish_reason: str | None = "stop"


@dataclass
class RequestStateStats:
    num_generation_tokens: int = 0
    scheduled_ts: float = 0.0
    first_token_ts: float = 0.0
    last_token_ts: float = 0.0


@dataclass
class RequestOutput:
    request_id: str
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]
    finished: bool
    metrics: RequestStateStats | None = None
    num_cached_tokens: int | None = None


@dataclass
class Fake:
    """A module ``vllm`` that answers each request in its turn, ``max_num_seqs`` at once, a token each millisecond."""

    made: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, Any, SamplingParams, dict[str, Any]]] = field(default_factory=list)
    tokens: int = 4  # an answer that ends by itself
    cached: int | None = 0
    metrics: bool = True
    clock_off_s: float = 0.0
    full: str = ""
    breaks: str = ""
    aborts: int | None = None  # every so-many-th answer
    shut: int = 0

    def module(self) -> types.ModuleType:
        fake = self

        class Core:
            def shutdown(self) -> None:
                fake.shut += 1

        class LLM:
            def __init__(self, **arguments: Any) -> None:
                if fake.full:
                    raise ValueError(fake.full)
                fake.made.append(arguments)
                self.at_once = arguments["max_num_seqs"]
                self.llm_engine = types.SimpleNamespace(engine_core=Core())

            def generate(
                self, prompts: list[str], params: list[SamplingParams], use_tqdm: bool = True
            ) -> Any:
                return self._answer("generate", prompts, params, {"use_tqdm": use_tqdm})

            def chat(
                self, turns: list[Any], params: list[SamplingParams], use_tqdm: bool = True, **more: Any
            ) -> Any:
                return self._answer("chat", turns, params, {"use_tqdm": use_tqdm, **more})

            def _answer(self, how: str, prompts: list[Any], params: list[SamplingParams], more: Any) -> Any:
                if fake.breaks:
                    raise RuntimeError(fake.breaks)
                found = []
                start = time.monotonic()
                for number, (prompt, one) in enumerate(zip(prompts, params, strict=True)):
                    fake.asked.append((how, prompt, one, more))
                    assert one.max_tokens is not None
                    n = (
                        one.max_tokens
                        if one.ignore_eos
                        else max(one.min_tokens, min(fake.tokens, one.max_tokens))
                    )
                    text = prompt if isinstance(prompt, str) else str(prompt[0]["content"])
                    ids = list(range(len(text.split())))[: one.truncate_prompt_tokens]
                    begun = start + (number // self.at_once) * 0.01
                    times = RequestStateStats(n, begun, begun + 0.001, begun + 0.001 * n)
                    for name in ("scheduled_ts", "first_token_ts", "last_token_ts"):
                        setattr(times, name, getattr(times, name) + fake.clock_off_s)
                    answer = CompletionOutput(0, f"answer {number}", list(range(n)))
                    if fake.aborts and number % fake.aborts == 0:
                        answer.finish_reason = "abort"
                    found.append(
                        RequestOutput(
                            str(number), ids, [answer], True, times if fake.metrics else None, fake.cached
                        )
                    )
                time.sleep(0.01 * (len(prompts) // self.at_once + 1) + 0.002)
                if callable(more["use_tqdm"]):  # as vllm/entrypoints/llm.py does
                    list(more["use_tqdm"](prompts, desc="Adding requests"))
                    bar = more["use_tqdm"](total=len(prompts), desc="Processed prompts", dynamic_ncols=True)
                    for _ in prompts:
                        bar.postfix = f"{1 / bar.format_dict['elapsed']:.2f} toks/s"
                        bar.update(1)
                    bar.close()
                return found

        made = types.ModuleType("vllm")
        made.LLM, made.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
        return made


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake()
    monkeypatch.setitem(sys.modules, "vllm", found.module())
    return found


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    return str(tmp_path)


def loaded(folder: str, settings: Settings) -> Vllm:
    workload, model = prepared(folder, settings)
    assert isinstance(workload, Vllm)
    assert model.id == Path(folder).name
    workload.load()
    return workload


ITEMS = [Item(text="one two three"), Item(text="four five"), Item(text="six")]


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EnergyRatingError, match=r"^vllm is not installed\. Run: pip install vllm"):
        prepared("x", Settings())


def test_the_engine_is_told_what_was_asked_for_and_caches_no_prefixes(fake: Fake, folder: str) -> None:
    settings = Settings(
        dtype="bfloat16", seed=7, concurrency=8, quantisation="fp8", options={"gpu_memory_utilization": 0.8}
    )
    loaded(folder, settings)
    (made,) = fake.made
    assert made == {
        "model": folder,
        "dtype": "bfloat16",
        "quantization": "fp8",
        "seed": 7,
        "max_num_seqs": 8,
        "enable_prefix_caching": False,
        "enforce_eager": True,
        "disable_log_stats": False,
        "load_format": "safetensors",
        "trust_remote_code": False,
        "gpu_memory_utilization": 0.8,
    }


def test_whoever_wants_to_know_is_told_of_each_answer_and_nothing_is_printed(
    fake: Fake, folder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    workload = loaded(folder, Settings(max_new_tokens=9, concurrency=2))
    told: list[int] = []
    workload.tell = told.append
    workload.run(ITEMS)
    assert told == [1, 2, 3]
    assert capfd.readouterr().err == ""


def test_what_is_fetched_with_code_is_looked_through_before_the_engine_is_asked(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    commit, asked = "0" * 40, []

    def fetch(model: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.append((model, revision, allow_patterns))
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["x/y--z.A", null]}}')
        return str(tmp_path)

    def known(model: str, file: str, *, revision: str | None = None) -> str | None:
        return str(tmp_path / file) if (tmp_path / file).is_file() else None

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", known)
    settings = Settings(task="text-generation", download=True, trust_remote_code=f"org/name@{commit}")
    with pytest.raises(BadInput, match="its code is in another repository, at no fixed commit"):
        prepared("org/name", settings)
    assert asked == [("org/name", commit, ["*.json"])]
    assert fake.made == []
    named = replace(settings, options={"hf_config_path": "x/y"})
    with pytest.raises(BadInput, match="may bring the code of another repository"):
        prepared("org/name", named)


def test_tokens_are_those_of_the_ids_that_come_back(fake: Fake, folder: str) -> None:
    workload = loaded(folder, Settings(max_new_tokens=9, batch_size=3))
    items = [*ITEMS, Item(text="seven", max_new_tokens=2)]
    assert workload.run(items).work == {"request": 4, "token": 4 + 4 + 4 + 2, "input_token": 3 + 2 + 1 + 1}
    assert workload.answers[0] == "answer 0"
    assert {how for how, _, _, _ in fake.asked} == {"chat"}
    assert all(one.temperature == 0.0 and not more["use_tqdm"] for _, _, one, more in fake.asked)
    fake.cached = 1
    workload = loaded(folder, Settings(prompt_cache=True, batch_size=3))
    done = workload.run(ITEMS)
    assert done.work["cached_token"] == 3
    assert codes(done) == ["prompt-cache"]
    assert fake.made[-1]["enable_prefix_caching"] is True


def test_what_the_engine_broke_off_is_no_request(fake: Fake, folder: str) -> None:
    fake.aborts = 2
    workload = loaded(folder, Settings(max_new_tokens=8))
    assert workload.run(ITEMS).work == {
        "unanswered_request": 2,
        "request": 1,
        "token": 4,
        "input_token": 2,
    }
    fake.aborts = 1
    with pytest.raises(EngineFailed, match=r"broke off all of 3 requests \(abort\)"):
        workload.run(ITEMS)


def test_a_fixed_length_is_held_and_the_text_goes_in_as_it_is(fake: Fake, folder: str) -> None:
    workload = loaded(folder, Settings(max_new_tokens=10, min_new_tokens=10, max_input_tokens=2))
    assert workload.run(ITEMS).work == {"request": 3, "token": 30, "input_token": 2 + 2 + 1}
    assert {(how, one.ignore_eos, one.min_tokens) for how, _, one, _ in fake.asked} == {
        ("generate", True, 10)
    }
    loaded(folder, Settings(reasoning=True)).run(ITEMS[:1])
    assert fake.asked[-1][3]["chat_template_kwargs"] == {"enable_thinking": True}


def test_with_a_concurrency_the_steady_part_is_by_the_engines_own_times(fake: Fake, folder: str) -> None:
    workload = loaded(folder, Settings(concurrency=4, max_new_tokens=8))
    done = workload.run([Item(text="a b") for _ in range(40)])
    assert isinstance(done, Done)
    assert done.steady is not None
    assert 0 < done.steady.end_s - done.steady.start_s < 1
    assert done.work == {"request": 40, "token": 160, "input_token": 80}
    assert 100 < done.steady.work["token"] < 160
    assert codes(done) == []


@pytest.mark.parametrize(
    "spoil", [{"metrics": False}, {"clock_off_s": 1.7e9}], ids=["no metrics", "another clock"]
)
def test_times_that_are_not_there_or_of_another_clock_are_not_believed(
    fake: Fake, folder: str, spoil: dict[str, Any]
) -> None:
    for name, value in spoil.items():
        setattr(fake, name, value)
    done = loaded(folder, Settings(concurrency=4)).run([Item(text="a b") for _ in range(40)])
    assert done.steady is None
    assert codes(done) == ["no-steady-part"]
    assert done.work["request"] == 40


def test_a_picture_goes_with_its_text(fake: Fake, folder: str) -> None:
    workload = loaded(folder, Settings(task="image-text-to-text"))
    workload.run([Item(text="what is it", image=picture(0, 8, 8))])
    image, text = fake.asked[0][1][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert text == {"type": "text", "text": "what is it"}


def test_what_goes_wrong_is_one_line_and_closing_lets_the_engine_go(fake: Fake, folder: str) -> None:
    fake.full = "No available memory for the cache blocks.\nTry increasing `gpu_memory_utilization`"
    with pytest.raises(
        EngineFailed, match=r"^vLLM could not load the model: No available memory.*max_model_len"
    ):
        loaded(folder, Settings())
    fake.full = ""
    workload = loaded(folder, Settings(min_new_tokens=5))
    fake.breaks = "CUDA error: out of memory"
    with pytest.raises(EngineFailed, match=r"^vLLM broke off: RuntimeError: CUDA error: out of memory"):
        workload.run(ITEMS)
    workload.close()
    workload.close()
    assert fake.shut == 1
    with pytest.raises(BadInput, match="no model is loaded"):
        workload.run(ITEMS)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (Settings(task="image-classification"), r"^--task: vllm does not do image-classification here"),
        (Settings(request_rate=2.0), r"^--request-rate: the workload vllm does not understand request rate"),
        (Settings(concurrency=16, max_num_seqs=8), r"^--max-num-seqs: 16 requests at once are more than"),
        (
            Settings(options={"enable_prefix_caching": True}),
            r"^--option enable_prefix_caching: .* not set that way",
        ),
        (
            Settings(trust_remote_code="a/b@main"),
            r"^--trust-remote-code: 'a/b@main' is not this model at a commit",
        ),
        (
            Settings(random_weights=Path("tiny-llama")),
            r"^--random-weights: the workload vllm does not understand random weights",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(fake: Fake, folder: str, settings: Settings, line: str) -> None:
    with pytest.raises(BadInput, match=line):
        prepared(folder, settings)
    assert fake.made == []
