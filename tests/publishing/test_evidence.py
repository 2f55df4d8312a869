"""A record is used only as its journal has it: what was edited is refused, and what nobody could check says so wherever it is shown."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from energy_rating import BadInput, load, rate, summarise, verify
from energy_rating.cli import cli
from energy_rating.files import record as files_record
from energy_rating.files.journal import decoded, encoded
from energy_rating.files.reading import read_journal
from energy_rating.files.record import read_record, write_record
from energy_rating.judging import evidence
from energy_rating.judging.evidence import compared
from energy_rating.nouns.records import Finding, Record
from energy_rating.publishing import card, label, words
from energy_rating.publishing.verification import verification_to_text

REPORT = Path(__file__).parents[2] / "reports" / "example-gpu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example's journal, not packed, and its record."""
    (tmp_path / "run").mkdir()
    shutil.copy(REPORT / "record.json", tmp_path / "run")
    packed = (REPORT / "journal.jsonl.gz").read_bytes()
    (tmp_path / "run" / "journal.jsonl").write_bytes(gzip.decompress(packed))
    return tmp_path / "run"


def edited(folder: Path, change: Callable[[dict[str, Any]], Any], name: str = "record.json") -> Path:
    entry = json.loads((folder / "record.json").read_text())
    change(entry)
    (folder / name).write_text(json.dumps(entry))
    return folder


def _halved(entry: dict[str, Any]) -> None:
    for measurement in entry["measurements"]:
        for energies in (measurement["energy_by_channel_j"], measurement["energy_j"]):
            for energy in energies.values():
                for key in energy:
                    energy[key] /= 2


def _called(entry: dict[str, Any]) -> None:
    entry["model"]["id"] = "org/another"


def commands(folder: Path, out: Path) -> dict[str, list[str]]:
    (out / "README.md").write_text("# A model\n")
    return {
        "rate": ["rate", str(folder)],
        "rate --explain": ["rate", str(folder), "--explain"],
        "rate --json": ["rate", str(folder), "--json"],
        "compare": ["compare", str(folder), str(folder)],
        "compare --json": ["compare", str(folder), str(folder), "--json"],
        "normalise": ["normalise", str(folder)],
        "normalise --json": ["normalise", str(folder), "--json"],
        "impact": ["impact", str(folder), "--zone", "FRA"],
        "impact --json": ["impact", str(folder), "--zone", "FRA", "--json"],
        "label": ["label", str(folder), "-o", str(out / "label.svg")],
        "card": ["card", str(out / "README.md"), str(folder)],
        "export": ["export", str(folder), "--format", "csv"],
    }


@pytest.mark.parametrize("change", [_halved, _called])
def test_no_command_uses_a_record_that_its_journal_does_not_give(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edited(folder, change)
    for name, arguments in commands(folder, tmp_path).items():
        done = CliRunner().invoke(cli, arguments)
        assert isinstance(done.exception, BadInput), name
        told = str(done.exception)
        assert "record.json does not follow from journal.jsonl" in told, name
        assert f"energy-rating verify {folder}" in told
        assert "\n" not in told
    assert not (tmp_path / "label.svg").exists()
    with pytest.raises(BadInput, match="does not follow"):
        load(folder)
    with pytest.raises(BadInput, match="does not follow"):
        load(folder / "record.json")


def test_a_figure_that_another_machines_arithmetic_leaves_otherwise_is_the_same(folder: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["measurements"][0]["duration_s"] *= 1 + 1e-13

    assert load(edited(folder, change)).checked == "journal"


def test_every_output_of_a_record_without_a_journal_says_so_and_of_one_with_it_does_not(
    folder: Path, tmp_path: Path
) -> None:
    told = words.UNCHECKED["no-journal"]
    for there in (True, False):
        if not there:
            (folder / "journal.jsonl").unlink()
        for name, arguments in commands(folder, tmp_path).items():
            done = CliRunner().invoke(cli, arguments)
            assert done.exit_code == 0, (name, done.output)
            output = done.stdout
            if name == "label":
                output += (tmp_path / "label.svg").read_text()
            if name == "card":
                output += (tmp_path / "README.md").read_text()
            if "--json" in name:
                checked = json.loads(output)["checked"]
                checked = checked if isinstance(checked, str) else checked["b"]
                assert checked == ("journal" if there else "no-journal"), name
            elif name == "export":
                assert output.splitlines()[1].endswith(",journal" if there else ",no-journal")
            else:
                assert (told in " ".join(output.lower().split())) is not there, name
        explained = " ".join(CliRunner().invoke(cli, ["rate", str(folder), "--explain"]).stdout.split())
        assert ("the record, from its journal" in explained) is there
    readme = (tmp_path / "README.md").read_text()
    assert f"these figures were {told}" in readme
    labelled = (tmp_path / "label.svg").read_text()
    assert labelled.count(told) >= 2, "in the alternative text, and to be seen"


def test_what_is_published_from_a_run_with_its_journal_is_what_it_always_was() -> None:
    record = load(REPORT)
    assert record.checked == "journal"
    rating = rate(record, scheme="2026.1")
    assert label.svg(record, rating) == (REPORT / "label.svg").read_text()
    assert card.section([(record, rating)], label="label.png") == (REPORT / "card.md").read_text()
    assert load(REPORT) == read_record(REPORT), "how it was read is no part of a record"


def test_a_value_in_python_says_nothing_of_journals() -> None:
    record = read_record(REPORT)
    assert record.checked is None
    assert words.unchecked(record) == ""


def test_a_record_of_another_name_is_held_against_the_journal_of_its_own_run_only(folder: Path) -> None:
    edited(folder, lambda entry: None, "again.json")
    assert load(folder / "again.json").checked == "journal"
    edited(folder, _halved, "again.json")
    with pytest.raises(BadInput, match=r"again\.json does not follow"):
        load(folder / "again.json")

    def of_another(entry: dict[str, Any]) -> None:
        entry["run_id"] = "another"
        entry["provenance"]["journal_sha256"] = "0" * 64

    edited(folder, of_another, "again.json")
    assert load(folder / "again.json").checked == "no-journal"
    edited(folder, of_another)
    with pytest.raises(BadInput, match="does not follow"):
        load(folder)


def held(folder: Path, name: str, **limits: int) -> Record:
    """What is loaded from a folder, where journals are long from so many bytes on."""
    file = folder / "record.json"
    return evidence.held_against(files_record.load(file), file, folder / name, **limits)


def test_of_a_long_journal_the_hash_is_compared_and_that_is_said(folder: Path) -> None:
    record = held(folder, "journal.jsonl", largest_checked=1000)
    assert record.checked == "sha256"
    assert words.unchecked(record) == words.UNCHECKED["sha256"]
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(b"\n")
    with pytest.raises(BadInput, match="does not follow from journal.jsonl: provenance.journal_sha256"):
        held(folder, "journal.jsonl", largest_checked=1000)
    too_long = held(folder, "journal.jsonl", largest_checked=1000, largest_hashed=2000)
    assert too_long.checked == "too-long"


def test_a_packed_journal_is_measured_unpacked(folder: Path) -> None:
    packed = gzip.compress((folder / "journal.jsonl").read_bytes())
    (folder / "journal.jsonl").unlink()
    (folder / "journal.jsonl.gz").write_bytes(packed)
    assert load(folder).checked == "journal"
    long = held(folder, "journal.jsonl.gz", largest_checked=2 * len(packed))
    assert long.checked == "sha256"


def test_a_record_that_names_a_calibration_and_no_gain_does_not_follow_from_its_journal(folder: Path) -> None:
    edited(folder, lambda entry: entry["provenance"]["files"].update({"calibration/card.toml": "0" * 64}))
    with pytest.raises(BadInput, match="does not follow from journal.jsonl: findings.gain-corrected"):
        load(folder)
    found = verify(folder)
    assert found.verdict == "cannot be checked"
    assert "Cannot be checked: " in verification_to_text(found)


def test_a_folder_that_holds_only_a_journal_says_how_to_make_the_record(folder: Path) -> None:
    (folder / "record.json").unlink()
    done = CliRunner().invoke(cli, ["rate", str(folder)])
    assert "energy-rating summarise" in str(done.exception)


# ---------------------------------------------------------------------------------------- records of another version


def _older(entry: dict[str, Any]) -> None:
    entry["provenance"]["version"] = "0.0.7"


def _finding(code: str, severity: Any = "degrades", measurement: str | None = "measured") -> Finding:
    return Finding(code=code, message="as it was said", severity=severity, measurement=measurement)


def published(**changes: Any) -> Record:
    """The example's record, as an older version would have made it."""
    record = read_record(REPORT)
    record = replace(record, provenance=replace(record.provenance, version="0.0.7"))
    return replace(record, **changes)


def following(was: Record, again: Record | None = None) -> evidence.Following:
    return compared(was, again or summarise(REPORT), read_journal(REPORT))


def marked(record: Record, *findings: Finding) -> Record:
    """A record with these findings, and the validity that follows."""
    return evidence.by_todays_rules(replace(record, findings=()), [*record.findings, *findings])


def test_an_older_record_that_says_the_same_in_other_words_agrees() -> None:
    was = marked(published(), _finding("not-steady"))
    now = marked(summarise(REPORT), replace(_finding("not-steady"), message="otherwise", remedy="do"))
    found = following(was, now)
    assert found.differences == ()
    assert found.reworded == ((was.findings[-1], now.findings[-1]),)
    nearly = published()
    run = replace(nearly["run"], duration_s=nearly["run"].duration_s * (1 + 1e-11))
    assert following(replace(nearly, measurements=(run, *nearly.measurements[1:]))).differences == ()


def test_a_record_of_an_older_schema_is_one_of_another_version_whatever_made_it() -> None:
    later = replace(summarise(REPORT), schema="energy-rating/record/999")
    assert evidence.is_of_another_version(read_record(REPORT), later)
    assert following(read_record(REPORT), later).differences == ()
    assert not evidence.is_of_another_version(summarise(REPORT), summarise(REPORT))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: replace(r, measurements=(replace(r["run"], duration_s=99.0), *r.measurements[1:])), "measurements.run.duration_s"),
        (lambda r: replace(r, measurements=r.measurements[:-1]), f"measurements.{read_record(REPORT).measurements[-1].name}"),
        (lambda r: replace(r, measurements=(replace(r["run"], coverage={}), *r.measurements[1:])), "measurements.run.coverage.gpu"),
        (lambda r: replace(r, measurements=(replace(r["run"], validity="degraded"), *r.measurements[1:])), "measurements.run.validity"),
        (lambda r: replace(r, channels=()), "channels.gpu0.energy"),
        (lambda r: replace(r, findings=(*r.findings, _finding("praise", "note"))), "findings.praise"),
        (lambda r: marked(r, _finding("shared-gpu", "disqualifies")), "findings.shared-gpu/measured"),
        (lambda r: replace(r, run_id="x"), "run_id"),
    ],
)  # fmt: skip
def test_what_no_version_could_have_said_is_a_difference(
    change: Callable[[Record], Record], place: str
) -> None:
    found = following(change(published()))
    assert any(item.path.startswith(place) for item in found.differences), found


def test_what_todays_rules_add_is_told_apart_and_what_an_older_one_knew_may_not_be_missing() -> None:
    again = summarise(REPORT)
    new = marked(again, _finding("a-rule-of-today"))
    found = following(published(), new)
    assert (found.differences, [item.code for item in found.added]) == ((), ["a-rule-of-today"])
    taken_out = marked(again, _finding("shared-gpu", "disqualifies"))
    found = following(published(), taken_out)
    assert [item.path for item in found.differences] == ["findings.shared-gpu/measured"]
    journal = read_journal(REPORT)
    (session,) = journal.sessions
    noted = replace(journal, sessions=(replace(session, findings=(_finding("noted-on-that-day"),)),))
    found = compared(published(), marked(again, _finding("noted-on-that-day")), noted)
    assert [item.path for item in found.differences] == ["findings.noted-on-that-day/measured"]
    milder = marked(again, _finding("not-steady", "disqualifies"))
    found = following(marked(published(), _finding("not-steady", "degrades")), milder)
    assert [item.path for item in found.differences] == ["findings.not-steady/measured.severity"]


def test_what_todays_rules_no_longer_say_is_told_apart() -> None:
    found = following(marked(published(), _finding("not-steady")))
    assert (found.differences, [item.code for item in found.dropped]) == ((), ["not-steady"])


def test_a_folder_of_an_older_version_is_verified_used_and_told_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(REPORT, tmp_path / "run")
    edited(folder, _older)
    text = (folder / "card.md").read_text()
    version = read_record(REPORT).provenance.version
    (folder / "card.md").write_text(text.replace(f"energy-rating {version} |", "energy-rating 0.0.7 |"))
    found = verify(folder)
    assert found.agrees, verification_to_text(found)

    honest = evidence.summarise_journal
    monkeypatch.setattr(
        evidence, "summarise_journal", lambda journal: marked(honest(journal), _finding("a-rule-of-today"))
    )
    found = verify(folder)
    assert found.agrees, verification_to_text(found)
    assert [item.code for item in found.added] == ["a-rule-of-today"]
    told = verification_to_text(found)
    assert "Today's rules add: a-rule-of-today (degrades)" in told
    assert "By today's rules 'measured': valid as published, degraded by today's rules" in told
    assert told.splitlines()[-2].startswith("Matches its journal: ")

    record = load(folder)
    assert record.checked == "journal"
    assert record["measured"].validity == "degraded", "who uses it today uses today's rules"
    assert rate(record).stars is None


def test_nobodys_sentences_come_onto_a_card_by_calling_a_record_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = evidence.summarise_journal
    true = _finding("not-steady")
    monkeypatch.setattr(evidence, "summarise_journal", lambda journal: marked(honest(journal), true))
    forged = marked(published(), replace(true, message="certified by an accredited laboratory"))
    write_record(forged, folder / "record.json")
    assert load(folder).findings == (true,)
    assert "reads otherwise today" in verification_to_text(verify(folder))


def test_a_finding_cannot_be_taken_out_by_calling_a_record_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = evidence.summarise_journal
    monkeypatch.setattr(
        evidence,
        "summarise_journal",
        lambda journal: marked(honest(journal), _finding("shared-gpu", "disqualifies")),
    )
    record = summarise(REPORT)
    write_record(
        replace(record, provenance=replace(record.provenance, version="0.0.1")), folder / "record.json"
    )
    with pytest.raises(BadInput, match="does not follow"):
        load(folder)
    assert not verify(folder).agrees


def _told_more(folder: Path) -> dict[str, Any]:
    """The example's run as a journal of today tells it, with all that a header may say; its record as JSON."""
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    header, end = (decoded(line, place="journal") for line in (lines[0], lines[-1]))
    header["schema"] = "energy-rating/journal/2"
    header["load"] |= {"request_rate": 2.0, "max_num_seqs": 4, "reasoning": True}
    header["model"]["trainable_parameters"] = 1000
    header |= {
        "operating_point": {"rate": 2},
        "place": {"zone": "FRA"},
        "role": "search",
        "ranks": 2,
        "nodes": 1,
        "lineage": {"base_model": "org/base"},
    }
    for channel in header["channels"]:
        channel["accuracy_w"] = 5.0
    end["outcome"] = {"state": "ended", "exit_code": 1}
    (folder / "journal.jsonl").write_bytes(b"".join([encoded(header), *lines[1:-1], encoded(end)]))
    write_record(summarise(folder), folder / "record.json")
    entry: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return entry


@pytest.mark.parametrize(
    "place",
    [
        *("outcome", "operating_point", "place", "role", "lineage", "ranks", "nodes"),
        *("outcome/exit_code", "operating_point/rate", "model/trainable_parameters"),
        *(
            "load/request_rate",
            "load/max_num_seqs",
            "load/reasoning",
            "load/settings",
            "channels/0/accuracy_w",
        ),
    ],
)
@pytest.mark.parametrize("version", ["0.1.0", "9.9.9"])
def test_what_a_journal_says_of_its_run_cannot_be_left_out_by_calling_a_record_old(
    folder: Path, place: str, version: str
) -> None:
    entry = _told_more(folder)
    entry["provenance"]["version"] = version
    *around, last = (int(part) if part.isdigit() else part for part in place.split("/"))
    inside: Any = entry
    for part in around:
        inside = inside[part]
    del inside[last]
    (folder / "record.json").write_text(json.dumps(entry))
    with pytest.raises(BadInput, match="does not follow"):
        load(folder)
    assert not verify(folder).agrees


def test_what_an_older_version_left_unsaid_is_taken_from_the_journal(folder: Path) -> None:
    entry = _told_more(folder)
    true = load(folder)
    entry["provenance"]["version"] = "0.0.7"
    for measurement in entry["measurements"]:
        measurement.pop("idle_j", None)
        measurement.pop("doubt_from", None)
    (folder / "record.json").write_text(json.dumps(entry))
    read = load(folder)
    assert read.provenance.version == "0.0.7"
    assert replace(read, provenance=true.provenance) == true


def test_a_rating_from_which_something_was_taken_out_does_not_match(folder: Path) -> None:
    shutil.copy(REPORT / "rating.json", folder)
    assert verify(folder).agrees
    rating = json.loads((folder / "rating.json").read_text())
    for key in [key for key in rating if key not in ("schema", "provenance")]:
        (folder / "rating.json").write_text(json.dumps({k: v for k, v in rating.items() if k != key}))
        assert not verify(folder).agrees, key


def test_a_second_journal_that_nobody_read_is_named(folder: Path) -> None:
    shutil.copy(REPORT / "journal.jsonl.gz", folder)
    found = verify(folder)
    assert found.agrees
    assert found.not_checked[0] == "journal.jsonl.gz"


@pytest.mark.parametrize("version", ["0.1.0", "9.9.9"])
def test_strict_says_no_to_what_todays_rules_disqualify_whatever_version_a_record_claims(
    folder: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = evidence.summarise_journal
    published = honest(read_journal(folder))
    monkeypatch.setattr(
        evidence,
        "summarise_journal",
        lambda journal: marked(honest(journal), _finding("windows-overlap", "disqualifies")),
    )
    write_record(
        replace(published, provenance=replace(published.provenance, version=version)), folder / "record.json"
    )
    found = verify(folder, strict=True)
    assert not found.plausible
    assert "windows-overlap" in [finding.code for finding in found.findings]
    assert load(folder)["measured"].validity == "invalid"
