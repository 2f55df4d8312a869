"""Files to values and back: what is written is read again, and what is wrong is refused with its place."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, measure, summarise
from energy_rating.formats import read_journal, record_from_json, record_schema, record_to_json, write_whole
from energy_rating.journal import decoded, encoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    where = tmp_path_factory.mktemp("run")
    with measure(
        "inference", model="org/name", output_dir=where, sensors=[gpu], clock=clock, report=None
    ) as run:
        clock.sleep(3)
        for _ in range(3):
            with run.window("request") as window:
                clock.sleep(1)
                window.count(token=20, request=1)
    return where


@pytest.fixture(scope="module")
def journal_bytes(folder):
    return (folder / "journal.jsonl").read_bytes()


@pytest.fixture(scope="module")
def record_text(folder):
    return (folder / "record.json").read_text()


# ------------------------------------------------------------------------------------------------------------ journals


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "crc"), json_values, min_size=1, max_size=5))
def test_a_line_comes_back_as_it_was(entry):
    line = encoded(entry)
    assert line.count(b"\n") == 1
    assert list(json.loads(line))[-1] == "crc"
    assert decoded(line, place="x") == entry


@given(st.data())
@settings(max_examples=200)
def test_a_line_with_any_byte_changed_is_refused(data):
    line = bytearray(encoded({"t": 1.5, "dt": 0.0001, "r": {"gpu0.energy": 1234.5}}))
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadInput):
        decoded(bytes(line), place="x")


def test_a_journal_cut_at_any_byte_is_read_up_to_the_cut(journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl"
    header = journal_bytes.index(b"\n") + 1
    last = -1.0
    for cut in [*range(header, len(journal_bytes), 997), len(journal_bytes) - 1]:
        path.write_bytes(journal_bytes[:cut])
        journal = read_journal(path)
        assert journal.damage is None, "a cut is an interruption, not damage"
        assert not journal.sessions[0].ended
        assert journal.sessions[0].last_s >= last
        last = journal.sessions[0].last_s
        record = summarise(path)
        assert record.measurements[0].name == "run"
        assert any(finding.code == "interrupted" for finding in record.findings)


def test_a_journal_damaged_in_the_middle_is_read_up_to_the_damage_and_says_so(journal_bytes, tmp_path):
    broken = bytearray(journal_bytes)
    broken[len(broken) // 2] ^= 0x55
    path = tmp_path / "journal.jsonl"
    path.write_bytes(broken)
    record = summarise(path)
    finding = next(f for f in record.findings if f.code == "journal-damaged")
    assert "line " in finding.message
    assert 0 < record["run"].duration_s < 6


def test_a_compressed_journal_gives_the_same_record(folder, journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl.gz"
    path.write_bytes(gzip.compress(journal_bytes))
    assert record_to_json(summarise(path)) == record_to_json(summarise(folder))
    assert record_to_json(summarise(tmp_path)) == record_to_json(summarise(folder))
    path.write_bytes(gzip.compress(journal_bytes)[:-200])
    assert any(f.code == "interrupted" for f in summarise(path).findings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello\n", "no checksum"),
        (b"\x00\x01\x02", "cut short"),
        (encoded({"t": 1.0, "dt": 0.0, "r": {}}), "does not begin with a journal's header"),
        (encoded({"schema": "energy-rating/journal/9"}), "is not 'energy-rating/journal/1'"),
        (encoded({"schema": "energy-rating/journal/1", "chanels": []}), "did you mean 'channels'"),
        (encoded({"schema": "energy-rating/journal/1"}), "does not hold what it should"),
    ],
)
def test_what_is_no_journal_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_journal(path)
    assert "\n" not in str(caught.value)
    assert "journal.jsonl" in str(caught.value)


def test_a_reading_of_a_channel_that_was_never_named_is_damage(journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journal_bytes + encoded({"t": 9.0, "dt": 0.0, "r": {"gpu7.energy": 1.0}}))
    assert "does not hold what it should" in (read_journal(path).damage or "")


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_journal_that_is_not_there_is_told_with_its_place(tmp_path, name):
    with pytest.raises(BadInput, match="no such file|holds no journal"):
        read_journal(tmp_path / name)


# ------------------------------------------------------------------------------------------------------------- records


def test_a_record_comes_back_as_it_was(record_text):
    record = record_from_json(record_text)
    assert record_to_json(record) == record_text
    assert record["request"].energy_per("token").value == pytest.approx(15, rel=0.01)
    assert record["request"].methods == {"gpu": "counter"}


def test_a_record_has_the_keys_of_the_contract_and_no_others(record_text):
    entry = json.loads(record_text)
    assert list(entry) == [
        *("schema", "run_id", "created", "stage", "model", "task", "load", "environment", "channels"),
        *("measurements", "findings", "quality", "provenance"),
    ]
    assert list(entry["model"]) == ["id", "revision", "parameters", "active_parameters", "dtype"]
    assert list(entry["measurements"][0]) == [
        *(
            "name",
            "n",
            "start_s",
            "duration_s",
            "work",
            "energy_by_channel_j",
            "energy_j",
            "coverage",
            "validity",
        ),
    ]
    assert list(entry["channels"][0]) == [
        "id",
        "component",
        "device",
        "method",
        "accuracy",
        "period_s",
        "wraps_at_j",
    ]
    assert list(entry["provenance"]) == ["version", "journal_sha256", "files"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"duration_s"', '"duration_z"', "'duration_z' is not a known key; did you mean 'duration_s'"),
        ('"quality"', '"qualty"', "'qualty' is not a known key; did you mean 'quality'"),
        ('"n": 3', '"n": 3, "n": 4', "the key 'n' stands twice"),
        ('"n": 3', '"n": "3"', r"measurements.1.n: input should be a valid integer, not '3'"),
        ('"n": 3', '"n": NaN', "NaN is not a number"),
        ('"n": 3', '"n": 1e999', "measurements.1.n"),
        ('"stage": "inference"', '"stage": "infer"', "stage: input should be"),
        ('"validity": "valid"', '"validity": "good"', "validity"),
        (
            '"schema": "energy-rating/record/1"',
            '"schema": "energy-rating/record/9"',
            "is not 'energy-rating/record/1'",
        ),
        ('"schema": "energy-rating/record/1"', '"schema": "energy-rating/journal/1"', "this is a journal"),
        ('"gpu0.energy": {', '"gpu9.energy": {', "'gpu9.energy' is not among the record's channels"),
        ('"run_id"', "run_id", "line 3, column 3 is not JSON"),
    ],
)
def test_a_wrong_record_is_refused_with_its_place(record_text, old, new, message):
    assert old in record_text
    with pytest.raises(BadInput, match=message) as caught:
        record_from_json(record_text.replace(old, new), place="record.json")
    assert str(caught.value).startswith("record.json")
    assert "\n" not in str(caught.value)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_record_is_read_or_refused_and_nothing_else(record_text, data):
    text = record_text.encode()
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    damaged = text[:at] + data.draw(st.binary(max_size=12)) + text[at + length :]
    try:
        record_from_json(damaged)
    except BadInput as error:
        assert "\n" not in str(error)


def test_deep_nesting_is_refused_and_quickly():
    with pytest.raises(BadInput):
        record_from_json("[" * 100_000)


def test_the_published_schema_is_the_one_in_force():
    from pathlib import Path

    published = Path(__file__).parents[1] / "docs" / "schemas" / "record.schema.json"
    assert json.loads(published.read_text()) == record_schema(), "run: python docs/schemas/write.py"


# ------------------------------------------------------------------------------------------------------------- writing


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_whole(path, b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(BadInput, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "nothing half-written is left lying about"


def test_a_file_written_over_keeps_to_the_umask(tmp_path):
    path = tmp_path / "record.json"
    write_whole(path, b"x")
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
