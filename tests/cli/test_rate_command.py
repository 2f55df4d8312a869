"""``rate``, ``label`` and ``card`` on the command line: what they say, and that what would be is never mistaken for stars."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from energy_rating.cli import cli
from energy_rating.files.record import load, write_record
from energy_rating.judging.rating import rate
from energy_rating.judging.schemes import schemes
from energy_rating.nouns.quantities import Estimate
from energy_rating.publishing import words
from energy_rating.publishing.terminal import ratings

REPORT = Path(__file__).parents[2] / "reports" / "example-gpu"
EXAMPLE = load(REPORT)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def short(tmp_path: Path) -> str:
    """The example, of which only three repeats were done."""
    measured = EXAMPLE["measured"]
    fewer = replace(measured, n=3, work={unit: 3 * amount // 5 for unit, amount in measured.work.items()})
    record = replace(
        EXAMPLE, measurements=tuple(fewer if item is measured else item for item in EXAMPLE.measurements)
    )
    write_record(record, tmp_path / "record.json")
    return str(tmp_path / "record.json")


def test_it_says_stars_index_in_words_and_what_the_next_star_needs() -> None:
    told = run("rate", str(REPORT))
    for part in (
        "★★★★☆  4 of 5 stars  could be 3–4",
        "class A · aes-2025-02 · scheme 2026.1 · based on 24 models",
        "20.4 ± 1.6 J per request, graphics card (GPU) only",
        "32 % less energy than the typical model of its kind (30 J per request)",
        "95 % interval: 27 to 38 % less",
        "index 0.679",
        "indicative: measured on a device that does not exist",
        "the next star begins at 10.6 J per request",
    ):
        assert part in told


def test_who_reaches_the_next_star_as_printed_has_reached_it() -> None:
    rating = replace(
        rate(load(REPORT)), energy_per_unit_j=Estimate(value=200.0), index=Estimate(value=200 / 310)
    )
    told = ratings.rating(rating, next_j=2**-1.5 * 310)  # 109.6
    assert "the next star begins at 109 J" in told


def test_the_explanation_shows_every_step_with_its_source() -> None:
    told = " ".join(run("rate", str(REPORT), "--explain").split())
    for part in (
        *("5,000 request; counted in 'measured'", "20.4 ± 1.6 J as measured", "30 J per request, frozen"),
        *("24 models, class A", "text_generation.csv: https://", "J / 30 J = 0.67", "32 % less energy"),
        *("(95 %)", "5★ ≤ 0.3536", "4 by the measured value; 3 to 4 with its uncertainty"),
    ):
        assert part in told


def test_several_schemes_stand_side_by_side_each_named() -> None:
    several = json.loads(run("rate", str(REPORT), "--all-schemes", "--json"))
    assert [entry["scheme"] for entry in several] == list(reversed(schemes()))
    named = run("rate", str(REPORT), "--scheme", "2026.0-draft", "--scheme", "2026.1")
    assert named.index("scheme 2026.0-draft") < named.index("scheme 2026.1")
    assert json.loads(run("rate", str(REPORT), "--scheme", "2026.1", "--json"))["scheme"] == "2026.1"


def test_what_would_be_is_told_only_when_asked_for_and_never_in_stars(short: str) -> None:
    assert "would be" not in run("rate", short)
    told = run("rate", short, "--provisional")
    assert told.splitlines()[:2] == [words.EXAMPLE, "Not rated"]
    assert "would be " in told
    assert "this is no rating" in told
    assert "★" not in told
    entry = json.loads(run("rate", short, "--provisional", "--json"))
    assert entry["stars"] is entry["could_be"] is entry["index"] is None
    assert entry["would_be"]["stars"] in range(1, 6)


def test_the_example_is_called_one_and_so_is_an_estimate(tmp_path: Path) -> None:
    assert run("rate", str(REPORT)).startswith(words.EXAMPLE)
    record = load(REPORT)
    guessed = tuple(replace(channel, method="model") for channel in record.channels)
    write_record(replace(record, channels=guessed), tmp_path / "record.json")
    told = run("rate", str(tmp_path / "record.json"), "--explain")
    assert "estimated ≈ 20.4 ± 1.6 J per request" in told
    assert "as measured" not in told


def test_card_and_label_mark_what_would_be(short: str, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# A model\n")
    run("card", str(readme), short, "--provisional")
    card = readme.read_text()
    row = next(line for line in card.splitlines() if line.startswith("| Rating |"))
    assert row.startswith("| Rating | **not rated**: ")
    assert "would be " in row
    assert "★" not in card
    run("label", short, "--provisional", "-o", str(tmp_path / "label.svg"))
    label = (tmp_path / "label.svg").read_text()
    assert "NOT RATED" in label
    assert "would be " in label
    assert 'class="star' not in label
    run("card", str(readme), short)
    assert "would be" not in readme.read_text()
