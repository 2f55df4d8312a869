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


def _named(device=None, model=None, **of_device):
    def change(line):
        for one in line.get("environment", {}).get("devices", ()) if device else ():
            one.update(name=device, **of_device)
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


# ------------------------------------------------------------------------------------- a device that is not what it is called


def _drawing(factor):
    """All readings of all sensors, times so much."""

    def change(line):
        if "r" in line:
            line["r"] = {channel: value * factor for channel, value in line["r"].items()}
        return line

    return change


def _all(*changes):
    def change(line):
        for one in changes:
            line = one(line)
        return line

    return change


H100, A100, T4 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "Tesla T4"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        # A card that draws more than the one that it is called after.
        (_named(T4, memory_gb=16.1, power_limit_w=70.0), "power-above-the-limit"),
        # One that draws less than that one does with nothing to do.
        (_all(_named(H100), _drawing(0.15)), "hardly-any-power"),
        # What the driver tells of it, left as it was.
        (_named(H100, memory_gb=16.1), "device-memory-differs"),
        (_named(H100, power_limit_w=70.0), "limit-under-the-data-sheet"),
        (_named(A100, power_limit_w=400.0, clock_mhz=1980.0), "clock-above-the-data-sheet"),
        # Its readings lowered by nine tenths: that work takes power.
        (_all(_named(H100), _times(4, "close", "count"), _drawing(0.28)), "more-work-than-power"),
        (_all(_named(A100, power_limit_w=400.0, memory_gb=85.1), _times(20, "close", "count")), "faster-than-memory"),
    ],
)  # fmt: skip
def test_a_device_is_held_against_the_one_that_it_is_called_after(tmp_path, change, code):
    record, checked = _forged(tmp_path / "run", change)
    found = {finding.code: finding for finding in record.findings}
    assert code in found, sorted(found)
    assert found[code].severity == "note" or not checked.plausible


@pytest.mark.parametrize(
    "change",
    [
        _named(H100),
        _all(_named(A100, power_limit_w=400.0, memory_gb=85.1, clock_mhz=1410.0), _drawing(0.8)),
        _named("NVIDIA H200", memory_gb=150.1),
    ],
)
def test_a_device_that_is_what_it_is_called_is_let_alone(tmp_path, change):
    record, checked = _forged(tmp_path / "run", change)
    assert record.findings == ()
    assert checked.plausible


def test_a_model_that_does_not_fit_into_the_devices_is_told(tmp_path):
    def change(line):
        if line.get("model"):
            line["model"]["parameters"] = 70_000_000_000
        return line

    record, checked = _forged(tmp_path / "run", change)
    assert "model-larger-than-memory" in {finding.code for finding in record.findings}
    assert not checked.plausible


def test_another_name_for_the_model_is_not_found_out(tmp_path):
    record, checked = _forged(tmp_path / "run", _named(model="org/other"))
    assert record.model.id == "org/other"
    assert checked.agrees
    assert checked.plausible
