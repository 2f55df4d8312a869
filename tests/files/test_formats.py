"""Files to values and back: what is written is read again, and what is wrong is refused with its place."""

from __future__ import annotations

import gzip
import json
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_full import in_full
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, measure, summarise
from energy_rating.files import strict
from energy_rating.files.journal import JournalFile, decoded, encoded
from energy_rating.files.reading import read_journal
from energy_rating.files.record import record_from_json, record_schema, record_to_json
from energy_rating.files.whole import write_whole
from energy_rating.files.withheld import kept


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


# As they are in a run: finite floats, of times to a millionth; names of windows and units as they come.
_amounts = st.integers(0, 2**63) | st.floats(0, 1e300)
_names = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    *(_names, st.integers(0, 10**9), st.floats(0, 1e9), st.floats(0, 10.0)),
    *(
        st.dictionaries(_names, st.floats(-1e300, 1e300), max_size=4),
        st.dictionaries(_names, _amounts, max_size=3),
    ),
    st.none() | st.dictionaries(_names, _amounts, max_size=2),
)
def test_lines_that_are_put_together_at_once_are_what_the_general_way_writes(
    name, key, t, dt, values, work, run
):
    def generally(entry):
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
        return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)

    assert encoded({"t": t, "dt": dt, "r": values}) == generally({"t": t, "dt": dt, "r": values})
    journal = JournalFile(None, None)
    assert journal.block({"t": t, "dt": dt, "r": values}).content == generally(
        {"t": t, "dt": dt, "r": values}
    )
    opens = {"open": key, "name": name, "t": t}
    assert journal.opening(key, name, t).content == generally(kept(opens)) == journal.block(opens).content
    closes = {"close": key, "t": t, "work": work, **({} if run is None else {"run": run})}
    assert (
        journal.closing(key, t, work, run).content == generally(kept(closes)) == journal.block(closes).content
    )


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


def test_a_plain_journal_damaged_in_the_middle_is_read_up_to_the_damage_and_says_so(journal_bytes, tmp_path):
    broken = bytearray(b"".join(map(encoded, in_full(journal_bytes.splitlines(keepends=True)))))
    broken[len(broken) // 2] ^= 0x55
    path = tmp_path / "journal.jsonl"
    path.write_bytes(broken)
    record = summarise(path)
    finding = next(f for f in record.findings if f.code == "journal-damaged")
    assert "line " in finding.message
    assert "read up to there" in finding.message
    assert 0 < record["run"].duration_s < 6


def test_a_packed_journal_damaged_in_the_middle_is_read_on_where_readings_are_told_in_full_and_says_so(
    journal_bytes, tmp_path
):
    broken = bytearray(journal_bytes)
    broken[len(broken) // 2] ^= 0x55
    path = tmp_path / "journal.jsonl"
    path.write_bytes(broken)
    record = summarise(path)
    finding = next(f for f in record.findings if f.code == "journal-damaged")
    assert "line " in finding.message
    assert "are missing" in finding.message
    assert record["run"].validity != "valid"
    # The last readings of a counter are told in full, and bridge what is lost.
    assert record["run"].duration_s == 6
    assert record["run"].energy_j["gpu"].value == pytest.approx(1800, rel=0.01)


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
        (encoded({"schema": "energy-rating/journal/9"}), "is not 'energy-rating/journal/2'"),
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


@pytest.mark.parametrize(
    "lines",
    [
        [{"t": 9.0, "dt": -0.1, "r": {"gpu0.energy": 1.0}}],
        [{"t": 9.0, "dt": 0.0, "r": {"gpu0.energy": 10**400}}],
        [{"t": 10**400, "dt": 0.0, "r": {}}],
        [{"t": 1e308, "dt": 1e308, "r": {}}],
        [{"open": 70, "name": "epoch", "t": 9.0}, {"close": 70, "t": 8.9, "work": {}}],
        [{"open": 70, "name": "epoch", "t": 9.0}, {"close": 70, "t": 9.5, "work": {"token": 10**400}}],
        [
            {"t": 90.0, "dt": 0.0, "r": {"gpu0.energy": 1.0}},
            {"t": 84.0, "dt": 0.0, "r": {"gpu0.energy": 1.0}},
        ],
    ],
)
def test_a_line_that_cannot_be_is_damage_where_it_stands(journal_bytes, tmp_path, lines):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journal_bytes + b"".join(encoded(line) for line in lines))
    number = journal_bytes.count(b"\n") + len(lines)
    damage = read_journal(path).damage or ""
    assert damage.startswith(f"line {number}: ")
    assert "does not hold what it should" in damage
    assert any(finding.code == "journal-damaged" for finding in summarise(path).findings)


def test_a_line_that_cannot_be_counts_for_nothing(journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journal_bytes)
    before = read_journal(path).sessions[0]
    impossible = {"t": 99.0, "dt": 0.0, "r": {"gpu0.energy": 1.0, "gpu7.energy": 1.0}}
    path.write_bytes(journal_bytes + encoded(impossible))
    after = read_journal(path).sessions[0]
    assert after.last_s == before.last_s
    assert len(after.samples["gpu0.energy"]) == len(before.samples["gpu0.energy"])


def test_readings_of_different_channels_may_come_in_any_order(journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl"
    lines = [
        {"t": 90.0, "dt": 0.0, "r": {"gpu0.energy": 1.0}},
        {"t": 10.0, "dt": 0.0, "r": {"gpu0.power": 1.0}},
    ]
    path.write_bytes(journal_bytes + b"".join(encoded(line) for line in lines))
    assert read_journal(path).damage is None


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
        *(
            "schema",
            "run_id",
            "created",
            "stage",
            "outcome",
            "model",
            "task",
            "load",
            "environment",
            "channels",
        ),
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
            "doubt_from",
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
        ('"n": 3', '"n": 3, "n": 4', "the key 'n' must be there once; it stands twice"),
        ('"n": 3', '"n": "3"', r"measurements.1.n: input should be a valid integer, not '3'"),
        ('"n": 3', '"n": NaN', "NaN is not a number"),
        ('"n": 3', '"n": 1e999', "measurements.1.n"),
        ('"stage": "inference"', '"stage": "infer"', "stage: input should be"),
        ('"validity": "valid"', '"validity": "good"', "validity"),
        (
            '"schema": "energy-rating/record/2"',
            '"schema": "energy-rating/record/9"',
            "is not 'energy-rating/record/2'",
        ),
        ('"schema": "energy-rating/record/2"', '"schema": "energy-rating/journal/1"', "this is a journal"),
        ('"schema": "energy-rating/record/2"', '"schema": "energy-rating/journal/2"', "this is a journal"),
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


def _changed(text, *path_and_value):
    """The text of a record with one value in it changed; the path is keys and numbers."""
    *path, last, value = path_and_value
    entry = whole = json.loads(text)
    for key in path:
        entry = entry[key]
    entry[last] = value(entry[last]) if callable(value) else value
    return json.dumps(whole)


RUN_GPU = ("measurements", 0, "energy_j", "gpu")
RUN_CHANNEL = ("measurements", 0, "energy_by_channel_j", "gpu0.energy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("measurements", 1, "work", "token", -1),
            r"measurements.1.*work: token must be 0, or a number from",
        ),
        (("measurements", 1, "work", "token", 10**400), "measurements.1"),
        (("measurements", 1, "n", -1), "measurements.1.*n "),
        (("measurements", 1, "duration_s", -0.1), "measurements.1.*duration_s"),
        (("measurements", 1, "coverage", "gpu", 1.01), "measurements.1.*coverage.gpu"),
        (("measurements", 1, "coverage", "gpu", -0.01), "measurements.1.*coverage.gpu"),
        ((*RUN_GPU, "value", -1.0), "measurements.0.*energy_j.gpu"),
        ((*RUN_CHANNEL, "value", -1.0), "measurements.0.*energy_by_channel_j.gpu0.energy"),
        (("measurements", 0, "idle_j", lambda _: {"gpu": {"value": -1.0}}), "measurements.0.*idle_j.gpu"),
        (("channels", 0, "accuracy", 1.01), "channels.0.*accuracy"),
        (("channels", 0, "accuracy", -0.01), "channels.0.*accuracy"),
        (("channels", 0, "period_s", 0.0), "channels.0.*period_s"),
        (("channels", 0, "wraps_at_j", -1.0), "channels.0.*wraps_at_j"),
        (("model", "parameters", 0), "model.*parameters"),
        (("model", "active_parameters", -5), "model.*active_parameters"),
        (("load", lambda _: {"batch_size": -1, "concurrency": -1}), "load.*batch_size"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place(record_text, change, message):
    entry = json.loads(record_text)
    entry["measurements"][0]["idle_j"] = None
    with pytest.raises(BadInput, match=message) as caught:
        record_from_json(_changed(json.dumps(entry), *change), place="record.json")
    assert str(caught.value).startswith("record.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            (*RUN_GPU, "value", lambda value: value / 2),
            r"measurements.run.energy_j.gpu: energy_j must be the sum",
        ),
        (
            (*RUN_GPU, "random", 0.0),
            r"measurements.run.energy_j.gpu: the random uncertainty must be at least",
        ),
        (
            (*RUN_GPU, "systematic", 0.0),
            r"measurements.run.energy_j.gpu: the systematic uncertainty must be at least",
        ),
        (
            (*RUN_CHANNEL, "systematic", 0.0),
            "the systematic uncertainty of gpu0.energy must be at least what its accuracy",
        ),
        (
            ("measurements", 0, "energy_j", {}),
            r"measurements.run.energy_j: energy_j must be of the components",
        ),
        (
            ("measurements", 0, "energy_by_channel_j", {}),
            "energy_j must be of the components of its channels",
        ),
        (("measurements", lambda all_of_them: all_of_them[1:]), "the first measurement must be 'run'"),
        (("measurements", []), "the first measurement must be 'run'"),
        (
            ("measurements", lambda both: [*both, both[1]]),
            "the measurement 'request' must be there once; it stands twice",
        ),
        (
            ("channels", lambda both: [*both, both[0]]),
            "the channel 'gpu0.energy' must be there once; it stands twice",
        ),
        (
            (
                "environment",
                "devices",
                lambda _: [{"id": "GPU-1", "name": "a"}, {"id": "GPU-1", "name": "a"}],
            ),
            "environment.devices: the device 'GPU-1' must be there once; it stands twice",
        ),
    ],
)
def test_a_record_that_contradicts_itself_is_refused_with_the_place(record_text, change, message):
    with pytest.raises(BadInput, match=message) as caught:
        record_from_json(_changed(record_text, *change), place="record.json")
    assert str(caught.value).startswith("record.json: ")


def test_a_run_that_never_opened_has_a_record_of_nothing_that_can_be_read(journal_bytes, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journal_bytes[: journal_bytes.index(b"\n") + 1])
    record = record_from_json(record_to_json(summarise(path)))
    assert (record["run"].n, record["run"].duration_s, record["run"].work) == (0, 0.0, {})


def test_a_resumed_run_that_found_other_sensors_has_a_record_that_can_be_read(tmp_path):
    clock = VirtualClock()
    power, energy = constant(300)
    for has_counter in (True, False):
        gpu = FakeDevice(clock=clock, power=power, energy=energy, has_counter=has_counter)
        with measure(
            "inference", output_dir=tmp_path / "run", resume=True, sensors=[gpu], clock=clock, report=None
        ):
            clock.sleep(20)
    record = record_from_json((tmp_path / "run" / "record.json").read_text())
    assert set(record["run"].energy_by_channel_j) == {"gpu0.energy", "gpu0.power"}
    assert record["run"].energy_j["gpu"].value == pytest.approx(12000, rel=0.01)


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


@pytest.mark.usefixtures("pydantic_of_the_schemas")
def test_the_published_schema_is_the_one_in_force():
    from pathlib import Path

    published = Path(__file__).parents[2] / "docs" / "schemas" / "record.schema.json"
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


def test_a_key_in_the_wrong_place_is_not_suggested_for_itself():
    assert strict.unknown_key("n", {"n", "name"}).startswith("'n' is not a known key here")
    assert "did you mean 'n'" not in strict.unknown_key("n", {"n", "name"})
    assert strict.unknown_key("vlaue", {"value"}) == "'vlaue' is not a known key; did you mean 'value'?"


@pytest.mark.parametrize("name", ["step", 'a "b" \\ ü', "\u2028", "x" * 200])
@pytest.mark.parametrize("t", [0.0, 1e-06, 1e16, 0.1 + 0.2, 12345.678901])
def test_the_line_of_an_opened_window_is_written_as_any_other(name, t):
    line = encoded({"open": 5, "name": name, "t": t})
    text = json.dumps({"open": 5, "name": name, "t": t}, ensure_ascii=False, separators=(",", ":")).encode()
    assert line == text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)
