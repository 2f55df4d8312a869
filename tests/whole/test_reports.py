"""Published reports are the regression tests: a change that moves a number in them must be seen and explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from energy_rating import load, rate, summarise
from energy_rating.nouns.records import plain
from energy_rating.publishing import label

REPORTS = Path(__file__).parents[2] / "reports"
FOLDERS = sorted(path.parent for path in REPORTS.glob("*/record.json") if path.parent.name != "demo")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_journal_still_gives_the_published_record(folder):
    published = json.loads((folder / "record.json").read_text())
    again = plain(summarise(folder))
    for entry in (published, again):
        del entry["provenance"]["version"]
        del entry["schema"]  # what is published stays in the schema of its day
        for measurement in entry["measurements"]:
            measurement.pop("methods", None)
    assert json.dumps(again) == json.dumps(published)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_label_still_looks_as_it_was_published(folder):
    if (folder / "label.svg").exists():
        record = load(folder)
        assert label.svg(record, rate(record, scheme="2026.1")) == (folder / "label.svg").read_text()


def test_what_is_invented_is_called_an_example():
    for folder in FOLDERS:
        record = load(folder)
        if any(device.name == "Example GPU" for device in record.environment.devices):
            assert "example" in folder.name
            assert "example" in record.model.id
            for name in ("label.svg", "card.md"):
                assert "example" in (folder / name).read_text().lower()


def test_there_is_a_report_that_shows_a_whole_rating():
    assert any(rate(load(folder)).stars is not None for folder in FOLDERS)
