"""What it costs to forge a run: played with the honest example that ships, and what is caught of it. ``docs/trust.md`` names the price."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path

import pytest

from energy_rating import rate, summarise
from energy_rating.files.journal import encoded
from energy_rating.files.record import write_record
from energy_rating.publishing.verification import verify

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu" / "journal.jsonl.gz"


def _forged(folder, change):
    """The example with each of its lines changed, and the checksums of the lines made right again."""
    folder.mkdir()
    lines = [json.loads(line) for line in gzip.decompress(EXAMPLE.read_bytes()).splitlines()]
    for line in lines:
        del line["crc"]
    changed = [change(copy.deepcopy(line)) for line in lines]
    (folder / "journal.jsonl").write_bytes(b"".join(map(encoded, changed)))
    record = summarise(folder)
    write_record(record, folder / "record.json")
    return record, verify(folder, strict=True)


def _times(factor, *kinds):
    def change(line):
        if any(kind in line for kind in kinds):
            line["work"] = {unit: amount * factor for unit, amount in line["work"].items()}
        return line

    return change


def _named(device=None, model=None):
    def change(line):
        for one in line.get("environment", {}).get("devices", ()) if device else ():
            one["name"] = device
        if model and line.get("model"):
            line["model"]["id"] = model
        return line

    return change


def test_work_that_is_multiplied_where_windows_end_is_held_against_what_they_had_counted(tmp_path):
    record, checked = _forged(tmp_path / "run", _times(7, "close"))
    assert "work-all-at-once" in {finding.code for finding in record.findings}
    assert rate(record).stars is None
    assert not checked.plausible


@pytest.mark.parametrize("factor", [2, 7])
def test_the_cheapest_forgery_that_is_left_multiplies_every_count(tmp_path, factor):
    # Not a wish but the price, as docs/trust.md tells it: whoever makes this dearer changes both.
    honest, _ = _forged(tmp_path / "honest", lambda line: line)
    record, checked = _forged(tmp_path / "run", _times(factor, "close", "count"))
    assert rate(record).stars > rate(honest).stars
    assert checked.agrees
    assert checked.plausible


def test_another_name_for_the_model_is_not_found_out(tmp_path):
    record, checked = _forged(tmp_path / "run", _named(model="org/other"))
    assert record.model.id == "org/other"
    assert checked.agrees
    assert checked.plausible
