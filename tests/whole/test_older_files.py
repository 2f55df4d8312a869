"""What 0.1.0 wrote is read, verified and rated: one run of each kind, made by it, with the figures that it gave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from energy_rating import BadInput, load, measure, rate, summarise, verify
from energy_rating.files.reading import read_journal
from energy_rating.files.record import read_record, record_from_json, record_to_json
from energy_rating.judging.rating import rating_to_json
from energy_rating.nouns.entries import Outcome
from energy_rating.nouns.records import plain

DATA = Path(__file__).parents[1] / "data" / "0.1.0"
FOLDERS = sorted(path for path in DATA.iterdir() if path.is_dir())
RECORD_1, RECORD_2 = "energy-rating/record/1", "energy-rating/record/2"

of_each_kind = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)

# What follows from the channels, or only tells by what a figure was made.
_BESIDE = ("validity", "methods")


def figures(entry):
    """Every measurement of a record with its numbers, and none of the judgements."""
    return [{key: value for key, value in one.items() if key not in _BESIDE} for one in entry["measurements"]]


def test_there_is_one_of_each_kind():
    assert [folder.name for folder in FOLDERS] == [
        *("benchmark", "cpu", "estimated", "killed", "lost-sensor"),
        *("packed", "power-only", "resumed", "several-gpus", "training"),
    ]


@of_each_kind
def test_its_record_is_read_and_comes_back_as_it_was(folder):
    text = (folder / "record.json").read_text()
    record = read_record(folder)
    assert record.schema == RECORD_1
    assert record.provenance.version == "0.1.0"
    assert record_to_json(record) == text


@of_each_kind
def test_its_journal_still_gives_the_same_figures_and_findings(folder):
    published = json.loads((folder / "record.json").read_text())
    again = summarise(folder)
    assert again.schema == RECORD_2
    assert figures(plain(again)) == figures(published)
    told = {(finding.code, finding.measurement) for finding in again.findings}
    assert told >= {(finding["code"], finding["measurement"]) for finding in published["findings"]}
    assert again.provenance.journal_sha256 == published["provenance"]["journal_sha256"]
    # What the schema of then had no word for is not made up.
    assert again.outcome is None
    assert again.place is None


@of_each_kind
def test_it_is_verified(folder):
    found = verify(folder)
    assert found.made_by == "0.1.0"
    assert not [one for one in found.differences if one.path.endswith(("schema", "version"))]
    assert not [
        one for one in found.differences if one.path.startswith("measurements") and "energy" in one.path
    ]


@of_each_kind
def test_it_is_rated_as_it_was(folder):
    published = json.loads((folder / "rating.json").read_text())
    again = rating_to_json(rate(load(folder), scheme=published["scheme"]))
    for key in ("stars", "could_be", "index", "energy_per_unit_j", "unit", "basis", "status", "class"):
        assert again[key] == published[key], key


@pytest.mark.parametrize(
    ("key", "value"),
    [("origin", "measured"), ("outcome", {"state": "ended"}), ("place", {"zone": "FRA"}), ("ranks", 2)],
)
def test_a_key_that_the_schema_did_not_have_is_refused_in_its_files(key, value):
    entry = json.loads((DATA / "cpu" / "record.json").read_text())
    with pytest.raises(BadInput, match=f"r.json: {key}: '{key}' is not a known key of {RECORD_1}"):
        record_from_json(json.dumps({**entry, key: value}), place="r.json")
    assert record_from_json(json.dumps({**entry, "schema": RECORD_2, key: value})).run_id == entry["run_id"]


def test_an_old_run_that_is_resumed_today_is_of_todays_schema_and_adds_up(tmp_path):
    import shutil

    from virtual import FakeDevice, VirtualClock, constant

    shutil.copytree(DATA / "power-only", tmp_path / "run")
    before = load(tmp_path / "run")
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(
        "inference", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None, resume=True
    ) as run:
        clock.sleep(5)
        with run.window("request") as window:
            clock.sleep(10)
            window.count(request=5)
    assert [session.schema[-1] for session in read_journal(run.folder).sessions] == ["1", "2"]
    assert run.record.schema == RECORD_2
    assert run.record.outcome == Outcome()
    assert run.record["request"].work == {"request": before["request"].work["request"] + 5}
    # What 0.1.0 counted in its windows stays there; what is counted today reaches the run, which is told.
    assert run.record["run"].work == {"request": 5}
    assert ("counts-disagree", "degrades") in [(one.code, one.severity) for one in run.record.findings]
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(
        before["run"].energy_j["gpu"].value + 4500, rel=0.01
    )


def test_an_old_journal_says_of_what_schema_it_is():
    assert {read_journal(folder).schema for folder in FOLDERS} == {"energy-rating/journal/1"}
