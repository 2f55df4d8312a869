"""``energy-rating import``: what others measured, each run once, with its mark in every command that shows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from forked import energy_rating

from energy_rating import load

TOP = Path(__file__).parents[2]
DATA = TOP / "tests" / "data" / "imports"
FLUSH = DATA / "codecarbon" / "3.3.2-flush" / "emissions.csv"
PLAIN = DATA / "codecarbon" / "3.3.2" / "emissions.csv"


def cli(*arguments: object) -> tuple[int, str, str]:
    done = energy_rating(*map(str, arguments))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    code, out, err = cli(
        "import", PLAIN, "-o", folder, "--model", "org/name", "--stage", "fine-tuning", "--zone", "FRA"
    )
    assert (code, err) == (0, "")
    assert "1 run in" in out
    (found,) = folder.iterdir()
    return found


def test_a_run_that_is_imported_twice_is_there_once(tmp_path: Path) -> None:
    for state in ("2 new", "2 there already, counted once"):
        code, out, _ = cli("import", FLUSH, PLAIN, FLUSH, "-o", tmp_path)
        assert code == 0
        assert state in out
    assert len(list(tmp_path.iterdir())) == 2
    before = {path: path.read_bytes() for path in tmp_path.rglob("record.json")}
    cli("import", FLUSH, "-o", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("record.json")} == before


def test_a_file_that_grew_replaces_its_run_and_a_run_of_ours_is_kept(tmp_path: Path) -> None:
    header, *rows = FLUSH.read_text().splitlines()
    grows = tmp_path / "emissions.csv"
    grows.write_text("\n".join([header, rows[0]]))
    cli("import", grows, "-o", tmp_path / "out")
    grows.write_text("\n".join([header, *rows]))
    code, out, _ = cli("import", grows, "-o", tmp_path / "out", "--json")
    assert code == 0
    (entry,) = json.loads(out)
    assert entry["state"] == "replaced"
    assert load(entry["record"])["run"].duration_s > 7

    ours = tmp_path / "out" / "20261122T063955Z-22b6"
    shutil.copytree(TOP / "reports" / "example-gpu", ours)
    cli("export", ours, "--format", "csv", "-o", tmp_path / "table.csv")
    before = (ours / "record.json").read_bytes()
    code, out, _ = cli("import", tmp_path / "table.csv", "-o", tmp_path / "out")
    assert code == 0
    assert "there already as a run of ours, which was kept" in out
    assert (ours / "record.json").read_bytes() == before


def test_of_a_file_and_an_older_copy_of_it_the_later_one_counts_in_any_order(tmp_path: Path) -> None:
    header, *rows = FLUSH.read_text().splitlines()
    older = tmp_path / "older.csv"
    older.write_text("\n".join([header, rows[0]]))
    for name, files in {"a": (older, FLUSH), "b": (FLUSH, older)}.items():
        assert cli("import", *files, "-o", tmp_path / name)[0] == 0
    code, out, _ = cli("import", older, "-o", tmp_path / "a", "--json")
    assert (code, json.loads(out)[0]["state"]) == (0, "later")
    for name in "ab":
        (record,) = (tmp_path / name).iterdir()
        assert load(record)["run"].duration_s > 7


def test_a_log_that_belongs_to_a_result_is_no_second_run(tmp_path: Path) -> None:
    folder = DATA / "made-up" / "vllm-0.11.0"
    code, out, _ = cli("import", *folder.iterdir(), "-o", tmp_path)
    assert code == 0
    assert "1 run in" in out
    folder = DATA / "made-up" / "inferencex-schema-2"
    code, out, err = cli("import", *folder.iterdir(), "-o", tmp_path / "two")
    assert code == 0
    assert "1 run in" in out
    assert "power_validation_run.json: is no file that can be imported" in err


def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "notes.csv"
    other.write_text("a,b\n1,2\n")
    code, _, err = cli("import", other, "-o", tmp_path / "out")
    assert code == 1
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    code, _, err = cli("import", other, PLAIN, "-o", tmp_path / "out")
    assert code == 0
    assert "left out" in err
    code, _, err = cli("import", PLAIN, "-o", PLAIN)
    assert (code, "is a file, not a folder" in err) == (1, True)
    code, _, err = cli("import", PLAIN, "-o", tmp_path / "out", "--zone", "FRX")
    assert code == 1


def test_one_broken_file_among_many_is_named_and_the_others_are_imported(tmp_path: Path) -> None:
    head, row = PLAIN.read_text().splitlines()[:2]
    broken = tmp_path / "broken.csv"
    broken.write_text(f"{head}\n{row},5\n")
    for named, out in (((PLAIN, broken, FLUSH), "a"), ((broken, PLAIN, FLUSH), "b")):
        code, said, err = cli("import", *named, "-o", tmp_path / out)
        assert code == 0, err
        assert "left out: " in err
        assert "broken.csv: line 2" in err
        assert "1 of 3 files was left out; with --strict that is an error" in err
        assert said.count("(new)") == len(list((tmp_path / out).iterdir())) == 2
    code, said, err = cli("import", PLAIN, broken, "-o", tmp_path / "strict", "--strict", "--json")
    assert code == 1
    assert len(list((tmp_path / "strict").iterdir())) == 1, "the others are imported all the same"
    states = {one["state"]: one for one in json.loads(said)}
    assert set(states) == {"new", "left-out"}
    assert states["left-out"]["file"].endswith("broken.csv")
    assert "line 2" in states["left-out"]["why"]
    assert cli("import", PLAIN, "-o", tmp_path / "whole", "--strict")[0] == 0
    code, _, err = cli("import", broken, "-o", tmp_path / "none")
    assert (code, err.count("\n"), (tmp_path / "none").exists()) == (1, 1, False)


def test_what_the_user_says_is_in_the_record(run: Path) -> None:
    record = load(run)
    assert record.stage == "fine-tuning"
    assert record.model is not None
    assert record.place is not None
    assert (record.model.id, record.place.zone, record.origin) == ("org/name", "FRA", "imported")


def test_every_command_says_that_it_was_imported_and_none_that_it_was_measured(
    run: Path, tmp_path: Path
) -> None:
    mark = "taken over from a file of codecarbon 3.3.2, not measured by energy-rating"
    readme = tmp_path / "README.md"
    readme.write_text("# A model\n")
    shown = {
        "rate": cli("rate", run)[1],
        "normalise": cli("normalise", run)[1],
        "impact": cli("impact", run)[1],
        "compare": cli("compare", run, run)[1],
        "card": cli("card", readme, run)[1] + readme.read_text(),
        "label": cli("label", run, "-o", tmp_path / "label.svg")[1] + (tmp_path / "label.svg").read_text(),
    }
    for command, told in shown.items():
        words = " ".join(told.split()).lower()
        assert mark in words, command
        rest = words.replace("not measured by energy-rating", "").replace("not measured", "")
        assert "measured:" not in rest, command
        assert ", measured" not in rest, command
    assert "not rated" in shown["rate"].lower()
    assert "imported" in shown["card"].lower()
    assert "gpu imported" in shown["card"]  # co2_eq_emissions' source
    assert "IMPORTED" in shown["label"]


@pytest.mark.parametrize("command", [["verify"], ["trace"], ["summarise"]])
def test_what_needs_a_journal_says_that_there_is_none(run: Path, command: list[str]) -> None:
    code, _, err = cli(*command, run)
    assert code == 1
    assert "taken over from another file, and no journal stands behind it" in err


def test_a_strangers_file_in_the_place_of_a_journal_says_what_it_is() -> None:
    code, _, err = cli("summarise", PLAIN)
    assert code == 1
    assert "is a file of CodeCarbon, not a journal. Take it over with: energy-rating import" in err


def test_a_file_of_one_run_is_shown_without_being_imported(tmp_path: Path) -> None:
    code, out, _ = cli("compare", PLAIN, FLUSH)
    assert code == 0
    assert "A was taken over from another file" in out
    code, out, _ = cli("export", PLAIN, "--format", "csv")
    assert ",imported," in out
