"""Scheme files: frozen once they are there, read strictly, and computed from the data that they name."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from energy_rating.errors import BadInput
from energy_rating.rating import SCHEMES, Scheme, load_scheme, schemes

# A published scheme never changes by a byte; a new vintage is a new file and a new line here.
FROZEN = {
    "2026.0-draft": "0ad533852dab687d7d3712f6389eb182a0e8912b236cf0ea6614723ead2588a5",
}

DRAFT = (SCHEMES / "2026.0-draft.toml").read_text(encoding="utf-8")
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "scheme_draft.py"


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


def test_the_ladder_is_a_factor_of_two_per_star() -> None:
    assert load_scheme("2026.0-draft").ladder == tuple(2**power for power in (-1.5, -0.5, 0.5, 1.5))


def test_a_class_is_firm_from_twenty_models_on_and_its_constant_has_two_digits() -> None:
    for rated in load_scheme("2026.0-draft").classes:
        assert (rated.status == "firm") == (rated.n >= 20)
        assert rated.e_ref_j == float(f"{rated.centre_j:.1e}")
        assert rated.highest_j / rated.lowest_j <= 100
        assert rated.source
        assert rated.population
        assert rated.url.startswith("https://")


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
        ("items = [1000, 1000]", "item = [1000, 1000]", "no part of an operating point"),
        ("items = [1000, 1000]", "items = [1000, 1]", "1000 is above 1"),
        (
            "tokens_per_request = [10, 10]",
            "tokens_per_request = [10, 1]",
            "tokens_per_request: 10 is above 1",
        ),
        ("n = 24", "n = 6", "a class of 6 models is too small; fewest_models asks for 7"),
        ("ladder = [0.35", "ladder = [0.95", "must rise"),
        ('component = "gpu"', 'component = "gpus"', "component"),
        ('name = "mlenergy-v3"', 'name = "mlenergy-v4"', "not among the scheme's protocols"),
        ('task = "summarization"\nunit', 'task = "sentence-similarity"\nunit', "stands twice"),
        ("scheme/1", "scheme/2", "is not"),
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


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scheme_draft", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scheme_draft"] = module  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module


def test_the_reference_energies_follow_from_the_data(benchmark: ModuleType) -> None:
    if not benchmark.DATA.is_dir():
        pytest.skip("the reference data are not here; benchmarks/scheme_draft.py says where to look for them")
    scheme: Scheme = load_scheme("2026.0-draft")
    anchors = {anchor.key: anchor for anchor in benchmark.anchors()}
    for rated in scheme.classes:
        anchor = anchors[rated.protocol, rated.task, rated.name]
        assert (rated.e_ref_j, rated.n, rated.status) == (anchor.e_ref_j, anchor.n, anchor.status)
        assert rated.centre_j == pytest.approx(anchor.centre_j, rel=1e-3)
        assert rated.lowest_j == pytest.approx(min(anchor.energies_j), rel=1e-3)
        assert rated.highest_j == pytest.approx(max(anchor.energies_j), rel=1e-3)
    rated_here = {(item.protocol, item.task, item.name) for item in scheme.classes}
    explained = {(item.protocol, item.task, item.name) for item in scheme.unrated}
    assert set(anchors) <= rated_here | explained  # what the data carry is rated, or a reason says why not
    assert scheme.rules.fewest_models == benchmark.FEWEST_MODELS
    assert not {key for key, anchor in anchors.items() if anchor.n < benchmark.FEWEST_MODELS} & rated_here
    mixed = {key for key, anchor in anchors.items() if anchor.span > benchmark.MIXED_FROM}
    assert not mixed & rated_here


def test_the_reference_energies_are_the_published_anchors(benchmark: ModuleType) -> None:
    path = benchmark.DATA / "anchors.csv"
    if not path.is_file():
        pytest.skip("the reference data are not here; benchmarks/scheme_draft.py says where to look for them")
    anchors = {(a.protocol, a.task, a.name): a for a in benchmark.anchors(benchmark.DATA)}
    for row in benchmark._rows(path):
        aes = row["task"] in benchmark.AES_TASKS
        task = benchmark.AES_TASKS.get(row["task"], row["task"])
        anchor = anchors["aes-2025-02" if aes else "mlenergy-v3", task, row["cls"] or None]
        assert anchor.n == int(row["n_dev"])
        if "per token" not in row["unit"]:  # those are rated per request here
            factor = benchmark.JOULES_PER_REQUEST if aes else 1.0
            assert anchor.centre_j == pytest.approx(factor * float(row["median"]), rel=1e-4)
