"""Scheme files: frozen once they are there, read strictly, and computed from the data that they name."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from energy_rating.benchmarking.tasks import load_task, tasks
from energy_rating.judging.operating_point import weight_bits
from energy_rating.judging.rating import rating_schema
from energy_rating.judging.schemes import SCHEMES, BesideUnit, load_scheme, scheme_schema, schemes
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import TRAINING

# A published scheme never changes by a byte; a new vintage is a new file and a new line here.
FROZEN = {
    "2026.0-draft": "0ad533852dab687d7d3712f6389eb182a0e8912b236cf0ea6614723ead2588a5",
    "2026.1": "6c2777bb781cc19109c928f21ddf664cdea0fc25d6287da5afc41a39b4552ecd",
    "2026.2": "efc2573ba81b36eb5abf71fdddaab02cd33de70b1b0941c2425e53f5d5fcbca6",
}

DRAFT = (SCHEMES / "2026.0-draft.toml").read_text(encoding="utf-8")
REPORT = Path(__file__).parents[2] / "reports" / "example-gpu"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scheme.py"


def written(folder: Path, text: str, name: str = "2026.0-draft") -> Path:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_scheme_never_changes_by_a_byte() -> None:
    found = {name: hashlib.sha256((SCHEMES / f"{name}.toml").read_bytes()).hexdigest() for name in schemes()}
    assert found == FROZEN


@pytest.mark.parametrize("name", schemes())
def test_every_scheme_that_ships_can_be_read(name: str) -> None:
    scheme = load_scheme(name)
    assert scheme.name == name
    assert scheme.draft == name.endswith("-draft")


@pytest.mark.parametrize("name", schemes())
def test_the_ladder_is_a_factor_of_two_per_star(name: str) -> None:
    assert load_scheme(name).ladder == tuple(2**power for power in (-1.5, -0.5, 0.5, 1.5))


@pytest.mark.parametrize("name", schemes())
def test_a_class_is_firm_from_twenty_models_on_and_its_constant_has_two_digits(name: str) -> None:
    scheme = load_scheme(name)
    for rated in scheme.classes:
        assert (rated.status == "firm") == (rated.n >= 20)
        assert rated.highest_j / rated.lowest_j <= 100
    for item in (*scheme.classes, *scheme.training):
        assert item.e_ref_j == float(f"{item.centre_j:.1e}")
        assert item.source
        assert item.population
        assert item.url.startswith("https://")
    assert all(item.status == "provisional" for item in scheme.training)


def test_the_default_rates_all_stages_and_no_draft_does() -> None:
    assert load_scheme().name == "2026.2"
    assert {item.stage for item in load_scheme().training} == set(TRAINING)
    assert not load_scheme("2026.0-draft").training


def test_what_the_draft_had_is_in_what_replaced_it_with_the_same_constant() -> None:
    now = {(item.protocol, item.task, item.name): item.e_ref_j for item in load_scheme("2026.1").classes}
    for item in load_scheme("2026.0-draft").classes:
        if item.protocol == "aes-2025-02":
            assert now[item.protocol, item.task, item.name] == item.e_ref_j


def test_the_second_vintage_has_all_that_the_first_has_with_the_same_constants() -> None:
    """What was measured on the reference device has the same stars under both."""
    old, new = (load_scheme(name) for name in ("2026.1", "2026.2"))
    assert (new.ladder, new.training) == (old.ladder, old.training)
    # But for what a card without a counter is: rated, with its wider doubt.
    assert new.rules == replace(old.rules, bears=("summed-from-power",))
    assert all(item in new.classes for item in old.classes)
    assert all(item in new.protocols for item in old.protocols)
    assert {rule.name for rule in new.protocols} - {rule.name for rule in old.protocols} == {"aes-2025-12"}
    more = [(item.protocol, item.task, item.name) for item in new.classes if item not in old.classes]
    assert more == [
        ("aes-2025-12", "text-generation", "A"),
        ("serving-2026.1", "text-generation", "96 at once"),
        ("serving-2026.1", "text-generation", "192 at once"),
        ("serving-2026.1", "image-text-to-text", "96 at once"),
    ]


def test_the_two_rounds_of_the_ai_energy_score_are_never_compared() -> None:
    new = load_scheme("2026.2")
    february, december = (
        next(item for item in new.classes if (item.protocol, item.name) == (protocol, "A"))
        for protocol in ("aes-2025-02", "aes-2025-12")
    )
    assert february.e_ref_j != december.e_ref_j
    assert {item.protocol for item in load_scheme("2026.1").classes}.isdisjoint({"aes-2025-12"})


def test_what_is_not_rated_says_why() -> None:
    unrated = {
        (item.protocol, item.task, item.name): item.reason for item in load_scheme("2026.0-draft").unrated
    }
    assert "never rated" in unrated["demo-2026.1", None, None]
    assert "3,215×" in unrated["aes-2025-02", "question-answering", None]
    assert "129×" in unrated["aes-2025-02", "text-classification", None]
    assert "100×" in unrated["aes-2025-02", "automatic-speech-recognition", None]
    assert "3 models" in unrated["aes-2025-02", "text-generation", "B"]
    assert "5 models" in unrated["aes-2025-02", "text-generation", "C"]
    assert "5 models" in unrated["mlenergy-v3", "text-to-image", None]
    assert "4 models" in unrated["mlenergy-v3", "text-to-video", None]


def test_no_class_is_rated_that_is_smaller_than_one_called_too_small() -> None:
    scheme = load_scheme("2026.0-draft")
    told = [
        re.search(r"(\d+) models? (?:are|is) (?:too few|at hand)", item.reason) for item in scheme.unrated
    ]
    too_few = [int(found.group(1)) for found in told if found]
    assert len(too_few) >= 6
    assert max(too_few) < scheme.rules.fewest_models <= min(rated.n for rated in scheme.classes)


def test_the_newest_published_scheme_is_the_default_and_a_draft_only_where_nothing_is_published(
    tmp_path: Path,
) -> None:
    def named(name: str, draft: str) -> str:
        return DRAFT.replace('"2026.0-draft"', f'"{name}"').replace("draft = true", f"draft = {draft}")

    written(tmp_path, DRAFT)
    assert load_scheme(folder=tmp_path).name == "2026.0-draft"
    for name in ("2026.1", "2026.10", "2026.2", "2027.1-draft"):
        written(tmp_path, named(name, str(name.endswith("-draft")).lower()), name)
    assert schemes(tmp_path) == ("2026.0-draft", "2026.1", "2026.2", "2026.10", "2027.1-draft")
    assert load_scheme(folder=tmp_path).name == "2026.10"
    assert load_scheme("2027.1-draft", tmp_path).draft


@pytest.mark.parametrize("name", ["2025.1", "", "../2026.0-draft", "2026.0-draft.toml"])
def test_an_unknown_scheme_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(BadInput, match=r"There are: 2026\.0-draft"):
        load_scheme(name)


def test_no_schemes_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none"):
        load_scheme(folder=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\ndraft = true", "\ndarft = true", "darft"),
        ("e_ref_j = 30.0", "e_reff_j = 30.0", "classes.0.e_reff_j"),
        ("shortest_s = 60.0", "shortest = 60.0", "rules.shortest"),
        ("shortest_s = 60.0\n", "", "missing"),
        ("e_ref_j = 30.0", 'e_ref_j = "30"', "classes.0.e_ref_j"),
        ("e_ref_j = 30.0", "e_ref_j = -30.0", "above zero"),
        ("centre_j = 30.18", "centre_j = 3018", "between the lowest and the highest"),
        ("items = [1000, 1000]", "item = [1000, 1000]", "an operating point must consist of"),
        ("items = [1000, 1000]", "items = [1000, 1]", "items must rise; got 1000 before 1"),
        (
            "tokens_per_request = [10, 10]",
            "tokens_per_request = [10, 1]",
            "tokens_per_request must rise; got 10 before 1",
        ),
        ("n = 24", "n = 6", "a class must have at least 7 models (fewest_models); got 6"),
        ("ladder = [0.35", "ladder = [0.95", "must rise"),
        ('component = "gpu"', 'component = "gpus"', "component"),
        ('name = "mlenergy-v3"', 'name = "mlenergy-v4"', "not among the scheme's protocols"),
        ('task = "summarization"\nunit', 'task = "sentence-similarity"\nunit', "stands twice"),
        ("scheme/1", "scheme/2", "schema must be"),
        ('name = "2026.0-draft"', 'name = "2026.1"', "calls itself"),
        ('date = "2026-11-21"', "date = 2026-11-21", "in quotes"),
        ("[rules]", "[rules", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_scheme_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in DRAFT
    with pytest.raises(BadInput) as caught:
        load_scheme("2026.0-draft", written(tmp_path, DRAFT.replace(old, new, 1)))
    assert said in str(caught.value)
    assert "2026.0-draft.toml" in str(caught.value)


@pytest.mark.parametrize("name", tasks())
def test_every_protocol_that_ships_is_rated_as_it_stands_or_a_reason_says_why_not(name: str) -> None:
    scheme, task = load_scheme(), load_task(name)
    for protocol, settings in task.protocols.items():
        rated = [item for item in scheme.classes if (item.protocol, item.task) == (protocol, name)]
        explained = [
            item for item in scheme.unrated if item.protocol == protocol and item.task in (None, name)
        ]
        assert rated or explained, protocol
        in_flight = (settings.batch_size or 1) * (settings.concurrency or 1)
        found = {
            "items": settings.items,
            "in_flight": in_flight,
            "max_new_tokens": settings.max_new_tokens,
            "bits": weight_bits(settings.dtype),
        }
        fits = [
            item
            for item in rated
            if all(low <= (found[key] or 0) <= high for key, (low, high) in item.operating_point.items())
        ]
        assert fits or not rated, (protocol, found)
        for item in fits:
            assert item.unit == task.unit
            assert settings.dataset is not None
            assert item.dataset == settings.dataset.id
            assert settings.repeats >= scheme.rules.fewest_repeats
            assert item.reasoning in (None, settings.reasoning)
            own = next(known for known in scheme.protocols if known.name == protocol)
            assert not [one for one in own.unset if getattr(settings, one, None)]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scheme_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scheme_benchmark"] = module  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module


def needs_data(benchmark: ModuleType, name: str = "") -> None:
    if not (benchmark.DATA / name).exists():
        pytest.skip("the reference data are not here; ENERGY_RATING_REFERENCE_DATA names their folder")


@pytest.mark.parametrize("name", schemes())
def test_the_reference_energies_follow_from_the_data(benchmark: ModuleType, name: str) -> None:
    needs_data(benchmark)
    scheme, rules = load_scheme(name), benchmark.VINTAGES[name]
    anchors = {anchor.key: anchor for anchor in benchmark.anchors(vintage=name)}
    for rated in scheme.classes:
        anchor = anchors[rated.protocol, rated.task, rated.name]
        assert (rated.e_ref_j, rated.n, rated.status) == (anchor.e_ref_j, anchor.n, anchor.status)
        assert rated.centre_j == pytest.approx(anchor.centre_j, rel=1e-3)
        assert rated.lowest_j == pytest.approx(min(anchor.energies_j), rel=1e-3)
        assert rated.highest_j == pytest.approx(max(anchor.energies_j), rel=1e-3)
    rated_here = {(item.protocol, item.task, item.name) for item in scheme.classes}
    allowed = {key for key, anchor in anchors.items() if rules.rates(anchor)}
    # The draft left out speech recognition, which spans more on the whole leaderboard than in the rows at hand.
    assert rated_here == allowed if name != "2026.0-draft" else rated_here < allowed
    # What the data carry is rated, at one of its operating points at least, or a reason says why not.
    explained = {(item.protocol, item.task, item.name) for item in scheme.unrated}
    for key in set(anchors) - rated_here:
        protocol, task, _ = key
        points = (
            {item for item in rated_here if item[:2] == (protocol, task)}
            if anchors[key].several_points
            else ()
        )
        assert key in explained or (protocol, task, None) in explained or points, key
    assert scheme.rules.fewest_models == rules.fewest_models


def test_the_reference_of_training_follows_from_what_was_published(benchmark: ModuleType) -> None:
    for item in load_scheme().training:
        for key, value in benchmark.training().items():
            assert getattr(item, key) == value


def test_no_reference_of_the_newest_scheme_hangs_on_one_model(benchmark: ModuleType) -> None:
    needs_data(benchmark)
    anchors = {anchor.key: anchor for anchor in benchmark.anchors(vintage="2026.2")}
    for rated in load_scheme("2026.2").classes:
        assert anchors[rated.protocol, rated.task, rated.name].one_less <= 2**0.5


def test_the_frozen_ladder_moves_the_fewest_stars(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_data(benchmark)
    monkeypatch.setattr(benchmark, "ROUNDS", 20)
    rules = benchmark.VINTAGES["2026.1"]
    frozen, *others = benchmark.stability([a for a in benchmark.anchors() if rules.rates(a)])
    assert (frozen.growth, frozen.outlier) == (0, 0)
    assert frozen.noise < 0.05
    for other in others:
        assert other.growth > 0.1, other
        assert other.noise > 0.9 * frozen.noise, other


def test_equal_width_bins_give_what_the_leaderboard_published(benchmark: ModuleType) -> None:
    needs_data(benchmark)
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in benchmark._rows(benchmark.DATA / "ai_energy_score.csv"):
        if row["vintage"].startswith("2025-02"):
            entry = float(row["wh_per_1000_queries"]), float(row["stars"])
            groups.setdefault((row["task"], row["cls"]), []).append(entry)
    # A part of the leaderboard's rows is not in the data at hand; where the outermost are, its bins can be made again.
    again = whole = 0
    for models in groups.values():
        if {stars for _, stars in models} >= {1.0, 5.0}:
            rule = benchmark.equal_width([(energy, 1.0) for energy, _ in models])
            whole += len(models)
            again += sum(rule(energy, 1.0) == stars for energy, stars in models)
    assert whole > 50
    assert again > 0.9 * whole


def test_without_the_data_one_line_says_where_to_name_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK)],
        env=os.environ | {"ENERGY_RATING_REFERENCE_DATA": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ENERGY_RATING_REFERENCE_DATA" in done.stderr


def test_the_reference_energies_are_the_published_anchors(benchmark: ModuleType) -> None:
    needs_data(benchmark, "anchors.csv")
    anchors = {(a.protocol, a.task, a.name): a for a in benchmark.anchors(benchmark.DATA, "2026.0-draft")}
    for row in benchmark._rows(benchmark.DATA / "anchors.csv"):
        aes = row["task"] in benchmark.AES_TASKS
        task = benchmark.AES_TASKS.get(row["task"], row["task"])
        anchor = anchors["aes-2025-02" if aes else "mlenergy-v3", task, row["cls"] or None]
        assert anchor.n == int(row["n_dev"])
        if "per token" not in row["unit"]:  # those are rated per request here
            factor = benchmark.JOULES_PER_REQUEST if aes else 1.0
            assert anchor.centre_j == pytest.approx(factor * float(row["median"]), rel=1e-4)


@pytest.mark.usefixtures("pydantic_of_the_schemas")
@pytest.mark.parametrize(("name", "schema"), [("scheme", scheme_schema), ("rating", rating_schema)])
def test_the_published_schema_is_that_of_the_code(name: str, schema: Callable[[], dict[str, object]]) -> None:
    published = Path(__file__).parents[2] / "docs" / "schemas" / f"{name}.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == schema()


def test_what_a_schema_demands_is_what_is_written() -> None:
    rating = json.loads((REPORT / "rating.json").read_text(encoding="utf-8"))
    schema = rating_schema()
    assert set(schema["required"]) <= set(rating) <= set(schema["properties"])
    scheme = scheme_schema()
    for name in schemes():
        keys = set(tomllib.loads((SCHEMES / f"{name}.toml").read_text(encoding="utf-8")))
        assert set(scheme["required"]) <= keys <= set(scheme["properties"])


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"sum": ("token",), "outcomes": ("solved",), "each": ("task",)},
        {"outcomes": ("solved",)},
        {"each": ("task",)},
    ],
)
def test_a_unit_beside_is_a_sum_or_an_outcome_of_each(given: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="sum of counted ones"):
        BesideUnit(unit="u", **given)
