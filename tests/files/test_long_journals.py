"""What is read or reckoned many at a time says the same as one by one, and what is kept of long journals stays small."""

from __future__ import annotations

import io
import math
import os
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating.files import columns, line_blocks, reading
from energy_rating.files.journal import JOURNAL_SCHEMA, JournalFile, decoded, encoded
from energy_rating.files.reading import read_journal_from
from energy_rating.files.windows import Span, Windows
from energy_rating.judging.integration.gaps import Gaps, covered_s
from energy_rating.judging.integration.ticks import Kept, Tick, Ticks, slope
from energy_rating.judging.plausibility import SLACK_S, _inside
from energy_rating.nouns.records import Channel, plain

CHANNELS = tuple(
    Channel(
        id=name,
        component="gpu",
        device=name.partition(".")[0],
        method="counter" if name.endswith("y") else "power",
        accuracy=0.04,
    )
    for name in ("gpu0.energy", "gpu0.power", 'odd "näme"\n.power')
)
HEADER = {
    "schema": JOURNAL_SCHEMA,
    "run_id": "20260101T000000Z-0000",
    "stage": "other",
    "model": None,
    "task": None,
    "load": None,
    "channels": [plain(channel) for channel in CHANNELS],
    "environment": {"devices": [], "software": {}, "host": None},
    "started": "2026-01-01T00:00:00Z",
}

ids = st.sampled_from(
    [tuple(c.id for c in CHANNELS)] * 4 + [("gpu0.energy",), ("gpu0.power", "gpu0.energy"), ()]
)
amounts = st.one_of(
    st.floats(-10, 1e6), st.integers(0, 10), st.sampled_from([1e20, 9.9e19, 1e-7, 10**400, 1 << 60])
)
works = st.dictionaries(
    st.sampled_from(["token", "request"]),
    st.one_of(st.integers(0, 1 << 62), st.floats(0.001, 1e6), st.just((1 << 53) + 1)),
    max_size=2,
)


@st.composite
def journals(draw):
    """Readings of changing channels, now and then out of order, with windows between them; sometimes a byte is another one."""
    lines, t = [encoded(HEADER)], 0.0
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["readings", "readings", "readings", "open", "close", "count"]))
        number = draw(st.integers(0, 3))
        if kind == "readings":
            together = draw(ids)
            for _ in range(draw(st.integers(1, 12))):
                t = round(t + draw(st.sampled_from([0.1, 0.1, 0.1, 0.0, -0.05, -6.0])), 6)
                values = {one: draw(amounts) for one in together}
                took = draw(st.sampled_from([0.0001] * 8 + [0, -1e-6]))
                lines.append(encoded({"t": t, "dt": took, "r": values}))
        elif kind == "open":
            lines.append(encoded({"open": number, "name": draw(st.sampled_from("ab")), "t": max(t, 0.0)}))
        else:
            lines.append(encoded({kind: number, "t": max(t, 0.0), "work": draw(works)}))
    if draw(st.booleans()):
        lines.append(encoded({"end": max(t, 0.0)}))
    content = bytearray(b"".join(lines))
    if draw(st.integers(0, 3)) == 0:
        content[draw(st.integers(len(lines[0]), len(content))) - 1] = draw(st.sampled_from(b'\n\r"0 }x'))
    if draw(st.integers(0, 3)) == 0:
        del content[len(content) - draw(st.integers(0, 40)) :]
    return bytes(content)


def told(content, together_from, block_bytes):
    before = reading.TOGETHER_FROM, line_blocks.BLOCK_BYTES
    reading.TOGETHER_FROM, line_blocks.BLOCK_BYTES = together_from, block_bytes
    try:
        journal = read_journal_from(io.BytesIO(content), place="journal")
    except Exception as error:
        return type(error), str(error)
    finally:
        reading.TOGETHER_FROM, line_blocks.BLOCK_BYTES = before
    return [
        (
            {name: (list(s.start_s), list(s.end_s), list(s.values)) for name, s in session.samples.items()},
            [(span, [*map(type, span.work.values())]) for span in session.spans],
            session.last_s,
            session.ended,
        )
        for session in journal.sessions
    ], (journal.sha256, journal.damage)


@given(journals(), st.sampled_from([7, 100, 1 << 18]))
def test_readings_taken_together_are_those_taken_one_by_one(content, block_bytes):
    assert told(content, 1, block_bytes) == told(content, 10**9, 1 << 18)


def test_readings_are_taken_together(monkeypatch):
    readings = [
        {"t": 0.1 * n, "dt": 0.001, "r": {channel.id: n for channel in CHANNELS}} for n in range(1000)
    ]
    parsed = []

    def noted(line, place):
        parsed.append(line)
        return decoded(line, place=place)

    monkeypatch.setattr(reading, "decoded", noted)
    content = b"".join(map(encoded, [HEADER, *readings]))
    (session,) = read_journal_from(io.BytesIO(content), place="journal").sessions
    assert len(parsed) < 50
    assert list(session.samples["gpu0.energy"].values) == list(range(1000))
    # Channels that always are read together have one column of times.
    assert session.samples["gpu0.energy"].start_s is session.samples["gpu0.power"].start_s


@given(
    st.lists(st.tuples(st.sampled_from(["open", "close", "count"]), st.integers(0, 4), works), max_size=40),
    st.randoms(),
)
def test_windows_in_columns_are_the_windows_of_the_journal(steps, chance):
    windows, opened, expected, t = Windows(), {}, [], 0.0
    for kind, key, work in steps:
        t = max(0.0, t + chance.choice([0.0, 1.0, -0.5]))
        if kind == "open":
            windows.open(key, f"w{key % 3}", t)
            opened[key] = (
                f"w{key % 3}",
                t,
                {},
            )  # a number that is given again takes the window of the first one away
        elif kind == "count":
            windows.count(key, work, t)
            if key in opened:
                opened[key] = (*opened[key][:2], work)
        elif key in opened and t >= opened[key][1]:
            windows.close(key, t, work)
            name, start, _ = opened.pop(key)
            expected.append((start, key, Span(name=name, start_s=start, end_s=t, work=work)))
    for key, (name, start, work) in opened.items():
        expected.append(
            (start, key, Span(name=name, start_s=start, end_s=max(start, 9.0), work=work, closed=False))
        )
    spans = windows.spans(9.0)
    assert spans == [span for *_, span in sorted(expected, key=lambda item: item[:2])]
    assert spans[1:3] == tuple(spans)[1:3]
    assert [list(map(type, span.work.values())) for span in spans] == [
        list(map(type, span.work.values())) for *_, span in sorted(expected, key=lambda item: item[:2])
    ]


times = st.floats(-5, 30)


@given(st.lists(times, max_size=20), times, times, st.booleans())
def test_the_gaps_near_a_window_cover_what_all_gaps_do(bounds, start, end, in_order):
    bounds = sorted(bounds)
    gaps = Gaps(zip(bounds[::2], bounds[1::2], strict=False))
    if not in_order:
        random.Random(1).shuffle(gaps)
    start, end = min(start, end), max(start, end)
    assert covered_s(start, end, gaps.near(start, end)) == pytest.approx(covered_s(start, end, list(gaps)))
    touching = [gap for gap in gaps if gap[1] >= start and gap[0] <= end]
    assert [gap for gap in gaps.near(start, end) if gap in touching] == touching
    if in_order:
        assert list(gaps.near(start, end)) == touching
    gaps.append((40.0, 50.0))  # found later
    assert covered_s(41.0, 45.0, gaps.near(41.0, 45.0)) == 0.0


def test_what_is_kept_is_bounded():
    kept = Kept(most=10)
    for number in range(1000):
        kept[number] = number
        assert len(kept) <= 10
        assert kept[number] == number


spans = st.tuples(st.floats(0, 20), st.floats(0, 10)).map(
    lambda pair: Span(name="run", start_s=pair[0], end_s=pair[0] + pair[1])
)


@given(st.lists(spans, max_size=6), spans)
def test_a_window_is_inside_a_run_if_it_is_inside_any(runs, window):
    def one_inside(run):
        return window.start_s >= run.start_s - SLACK_S and window.end_s <= run.end_s + SLACK_S

    assert _inside(runs)(window) == any(map(one_inside, runs))


def test_long_columns_go_where_large_files_belong_but_for_who_names_a_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert columns.ROOM.folders() == [columns.LARGE_FILES, "/tmp"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert columns.ROOM.folders() == [str(tmp_path)]
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert columns.ROOM.folders() == ["/tmp"]


def test_where_large_files_find_no_room_others_may(monkeypatch, tmp_path):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    column = columns.Column(10, columns.Room(large_files=str(tmp_path / "is not there")))
    column.extend(range(3000))
    assert isinstance(column.values(), memoryview)
    assert all(b - a == 1 for a, b in pairwise(column))
    assert math.fsum(column) == 3000 * 2999 / 2


def test_what_a_running_journal_tells_is_read_piece_by_piece_and_is_that_of_the_moment(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = JournalFile(path, os.open(path, os.O_RDWR | os.O_CREAT))
    lines = [{"t": float(number), "dt": 0.0, "r": {"gpu0.energy": float(number)}} for number in range(1000)]
    journal.write(*lines)
    with journal.stream() as told:
        told.seek(0, os.SEEK_END)
        assert told.tell() == sum(len(encoded(line)) for line in lines)
        told.seek(0)
        first = told.readline()
        path.rename(tmp_path / "elsewhere")
        journal.write({"end": 1000.0})
        rest = told.read()
    assert first + rest == b"".join(encoded(line) for line in lines)
    with journal.stream() as told:
        assert told.read().endswith(encoded({"end": 1000.0}))
    assert not list(tmp_path.glob("journal.jsonl"))
    journal.close()


@given(
    st.lists(
        st.tuples(st.floats(0.0, 0.3), st.floats(0.0, 0.1), st.floats(0.0, 100.0)), min_size=1, max_size=40
    ),
    st.sampled_from([1, 5]),
    st.sampled_from([3, 7, 100]),
)
def test_the_highest_power_of_many_ticks_is_that_of_them_one_by_one(steps, reach, at_once):
    ticks, since_s, energy_j = Ticks(at_once), 0.0, 0.0
    for later_s, width_s, more_j in steps:
        since_s, energy_j = since_s + later_s, energy_j + more_j
        ticks.append(Tick(since_s, since_s + width_s, energy_j))
    slopes = [
        slope(a, b)
        for a, b in zip(ticks, list(ticks)[reach:], strict=False)
        if b.time_s - a.time_s > 4 * max(a.width_s, b.width_s)
    ]
    assert ticks.highest_w(reach, 4) == max(slopes, default=-math.inf)
