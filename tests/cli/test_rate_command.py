"""``rate``, ``label`` and ``card`` on the command line: what they say, and that what would be is never mistaken for stars."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from energy_rating.cli import cli
from energy_rating.files.record import load, write_record
from energy_rating.judging.rating import rate
from energy_rating.judging.schemes import schemes
from energy_rating.nouns.errors import BadInput
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
        "class A · aes-2025-02 · scheme 2026.2 · based on 24 models",
        "20.4 ± 1.6 J per request, graphics card (GPU) only",
        "32 % less energy than the typical model of its kind (30 J per request)",
        "95 % interval: 27 to 38 % less",
        "index 0.679",
        "only a hint: measured on a device that does not exist",
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
        *("5,000 requests; counted in 'measured'", "20.4 ± 1.6 J as measured", "30 J per request, frozen"),
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


# ---------------------------------------------------------------------------------------------- what publishers give and get


def failed(*args: str) -> str:
    done = CliRunner().invoke(cli, list(args), standalone_mode=False)
    assert isinstance(done.exception, BadInput)
    return str(done.exception)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(REPORT, tmp_path / "run")
    return tmp_path / "run"


def test_an_address_of_the_journal_stands_in_label_and_card(folder: Path, tmp_path: Path) -> None:
    url = "https://example.org/journal.jsonl.gz"
    run("label", str(folder), "--journal-url", url)
    assert url in (folder / "label.svg").read_text()
    (tmp_path / "README.md").write_text("# A model\n")
    run(
        "card",
        str(tmp_path / "README.md"),
        str(folder),
        "--journal-url",
        url,
        "--meaning-url",
        f"{url}#stars",
    )
    text = (tmp_path / "README.md").read_text()
    assert f"Its journal is [here]({url})" in text
    assert f"What the stars mean is told [here]({url}#stars)" in text
    assert "must begin with https://" in failed("label", str(folder), "--journal-url", "ftp://example.org")


def test_label_and_trace_go_beside_what_they_are_made_from(folder: Path) -> None:
    for name in ("label.svg", "trace.png"):
        (folder / name).unlink()
    assert run("label", str(folder / "record.json")).splitlines()[0] == f"Label: {folder / 'label.svg'}"
    assert run("trace", str(folder / "journal.jsonl.gz")) == f"Trace: {folder / 'trace.png'}\n"
    assert (folder / "trace.png").exists()


def test_a_run_where_the_card_must_stand_is_one_line_with_what_to_do(folder: Path) -> None:
    assert f"Name the card first: energy-rating card README.md {folder}" in failed("card", str(folder))
    assert "is a record, where the model card" in failed("card", str(folder / "record.json"), str(folder))


def test_a_zone_that_is_of_no_use_is_not_passed_over_in_silence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n")
    done = CliRunner().invoke(cli, ["card", str(tmp_path / "README.md"), str(folder), "--zone", "FRA"])
    assert done.exit_code == 0
    assert "--zone FRA: no emissions are written" in done.output
    assert "energy-rating impact" in done.output
    assert "co2_eq_emissions" not in (tmp_path / "README.md").read_text()


def test_a_record_that_was_edited_is_replaced_only_when_asked_for(folder: Path) -> None:
    run("summarise", str(folder))  # of another version: made anew
    before = (folder / "record.json").read_text()
    run("summarise", str(folder))
    edited = before.replace('"parameters": 1240000000', '"parameters": 7')
    assert edited != before
    (folder / "record.json").write_text(edited)
    said = failed("summarise", str(folder))
    assert "says something else than its journal, and was not replaced: model.parameters is 7" in said
    assert (folder / "record.json").read_text() == edited
    run("summarise", str(folder), "--force")
    assert (folder / "record.json").read_text() == before
    (folder / "record.json").write_text(edited.replace('"journal_sha256": "', '"journal_sha256": "0'))
    run("summarise", str(folder))  # of another state of the journal
    assert (folder / "record.json").read_text() == before


def test_a_record_is_told_in_one_short_line() -> None:
    assert repr(load(REPORT)) == (
        "<Record '20261122T063955Z-22b6', inference, 'example/example-model': run, load, idle-before, warm-up, measured, "
        "idle-after>"
    )


def test_what_verify_says_fits_a_terminal_and_keeps_a_checksum_whole() -> None:
    lines = CliRunner().invoke(cli, ["verify", str(REPORT), "--strict"]).output.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch("  [0-9a-f]{64}", line) for line in lines)
