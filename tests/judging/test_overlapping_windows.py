"""Windows of one name that overlap: what was drawn in them was drawn once, and all their work was done with it."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant, square

from energy_rating import measure, summarise, verify
from energy_rating.files.journal import JOURNAL_SCHEMA, encoded
from energy_rating.files.reading import read_journal
from energy_rating.judging.plausibility import implausible
from energy_rating.judging.profiles import profiles

WATTS = 300.0


@pytest.fixture
def clock():
    return VirtualClock()


def a_run(clock, tmp_path, profile=None, **more):
    power, energy = profile or constant(WATTS)
    gpu = FakeDevice(clock=clock, power=power, energy=energy, phase_s=0.037)
    return measure("inference", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None, **more)


def overlaps(record):
    return [finding for finding in record.findings if finding.code == "windows-overlap"]


def joules(record, name):
    return record[name].energy_j["gpu"].value


def test_fifty_threads_are_told_the_energy_once(clock, tmp_path):
    together = threading.Barrier(51)

    def request():
        with run.window("request") as window:
            together.wait()  # all are open
            together.wait()  # time has passed
            window.count(token=100)

    with a_run(clock, tmp_path) as run:
        clock.sleep(4)
        threads = [threading.Thread(target=request) for _ in range(50)]
        for thread in threads:
            thread.start()
        together.wait()
        clock.sleep(5)
        together.wait()
        for thread in threads:
            thread.join()
        clock.sleep(4)
    record = run.record
    request_ = record["request"]
    assert request_.n == 50
    assert request_.duration_s == pytest.approx(5)
    assert joules(record, "request") == pytest.approx(5 * WATTS, rel=0.01)
    assert request_.work == {"token": 5000}
    assert request_.energy_per("token").value == pytest.approx(0.30, rel=0.01)
    assert joules(record, "request") < joules(record, "run")
    assert request_.validity == "valid"
    (finding,) = overlaps(record)
    assert (finding.severity, finding.measurement) == ("note", "request")
    assert (
        "the 50 windows of 'request' overlap: together they are 250 s long, and cover 5 s" in finding.message
    )
    assert verify(run.folder).agrees


def test_eight_tasks_that_begin_one_after_the_other_cover_their_union(clock, tmp_path):
    async def request(number):
        for _ in range(number):
            await asyncio.sleep(0)
        with run.window("request") as window:
            for _ in range(8):
                await asyncio.sleep(0)
            window.count(token=10)

    async def time_passes():
        for _ in range(30):
            clock.sleep(0.5)
            await asyncio.sleep(0)

    async def all_of_them():
        await asyncio.gather(time_passes(), *(request(number) for number in range(8)))

    with a_run(clock, tmp_path, square(100, 500, 1.7)) as run:
        clock.sleep(4)
        asyncio.run(all_of_them())
        clock.sleep(2)
    record = run.record
    spans = [span for span in read_journal(run.folder).sessions[0].spans if span.name == "request"]
    start, end = min(span.start_s for span in spans), max(span.end_s for span in spans)
    assert sum(span.end_s - span.start_s for span in spans) > 3 * (end - start), "they do overlap"
    energy = square(100, 500, 1.7)[1]
    truth = energy(1000 + end) - energy(1000 + start)
    assert record["request"].duration_s == pytest.approx(end - start)
    assert joules(record, "request") == pytest.approx(truth, rel=0.02)
    assert record["request"].energy_per("token").value == pytest.approx(truth / 80, rel=0.02)


def test_a_window_in_one_of_its_own_name_adds_nothing_but_its_work(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(4)
        with run.window("call"):
            clock.sleep(1)
            with run.window("call"):
                run.count(token=10)
                clock.sleep(2)
            clock.sleep(1)
        clock.sleep(4)
    call = run.record["call"]
    assert (call.n, call.work) == (2, {"token": 10})
    assert call.duration_s == pytest.approx(4)
    assert joules(run.record, "call") == pytest.approx(4 * WATTS, rel=0.01)
    assert len(overlaps(run.record)) == 1


def test_windows_that_follow_upon_each_other_do_not_overlap(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        for _ in range(10):
            with run.window("step"):
                clock.sleep(1)
        now = clock.now()
        run.note("noted", now - 3, now - 2)
        run.note("noted", now - 2, now - 1)
    assert not overlaps(run.record)
    assert run.record["step"].n == 10
    assert run.record["noted"].duration_s == pytest.approx(2)


def test_windows_that_were_noted_out_of_order_are_put_in_order(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(20)
        zero = clock.now() - 20
        for start, end in [(8, 10), (2, 5), (9, 12), (4, 6), (15, 15), (3, 4)]:
            run.note("request", zero + start, zero + end, {"token": 1})
    request = run.record["request"]
    assert (request.n, request.work) == (6, {"token": 6})
    assert request.duration_s == pytest.approx((6 - 2) + (12 - 8))
    assert request.start_s == pytest.approx(2)
    assert joules(run.record, "request") == pytest.approx(8 * WATTS, rel=0.01)


def test_windows_of_different_names_overlap_as_they_like(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(3)
        with run.window("a"), run.window("b"):
            clock.sleep(5)
    assert not overlaps(run.record)
    assert joules(run.record, "a") == pytest.approx(joules(run.record, "b"))


def test_sessions_are_apart_though_their_times_are_alike(clock, tmp_path):
    for resume in (False, True):
        with a_run(clock, tmp_path, resume=resume) as run:
            clock.sleep(2)
            with run.window("epoch") as window:
                clock.sleep(5)
                window.count(token=10)
    assert not overlaps(run.record)
    assert run.record["epoch"].duration_s == pytest.approx(10)
    assert joules(run.record, "epoch") == pytest.approx(10 * WATTS, rel=0.01)


def test_a_window_that_was_never_closed_is_part_of_the_union(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(2)
        with run.window("request"):
            clock.sleep(4)
            with run.window("request"):
                clock.sleep(4)
                journal = run.journal.read_bytes()
    (tmp_path / "killed.jsonl").write_bytes(journal)
    record = summarise(tmp_path / "killed.jsonl")
    assert joules(record, "request") <= joules(record, "run")
    assert record["request"].duration_s == pytest.approx(8, abs=0.3)


def test_repeats_that_overlap_scatter_as_stretches_and_are_no_repeats_to_a_sceptic(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(40)
        zero = clock.now() - 40
        for start, end in [(2, 10), (9, 18), (20, 30)]:
            run.note("measured", zero + start, zero + end, {"request": 10})
    record = run.record
    measured = record["measured"]
    assert measured.duration_s == pytest.approx(26)
    assert joules(record, "measured") == pytest.approx(26 * WATTS, rel=0.01)
    found = implausible(read_journal(run.folder), record, profiles())
    assert ("repeats-overlap", "disqualifies") in [(finding.code, finding.severity) for finding in found]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 120)).map(lambda one: (one[0] / 10, sum(one) / 10)),
        min_size=1,
        max_size=12,
    )
)
def test_the_energy_is_that_of_the_union_and_never_more_than_the_runs(tmp_path_factory, spans):
    clock = VirtualClock()
    with a_run(clock, tmp_path_factory.mktemp("union")) as run:
        clock.sleep(45)
        zero = clock.now() - 45
        for start, end in spans:
            run.note("w", zero + start, zero + end)
    tenths = {tenth for start, end in spans for tenth in range(round(start * 10), round(end * 10))}
    record = run.record
    assert record["w"].duration_s == pytest.approx(len(tenths) / 10, abs=1e-4)
    assert joules(record, "w") <= joules(record, "run") * (1 + 1e-9) if tenths else True
    if len(tenths) > 20:
        assert joules(record, "w") == pytest.approx(WATTS * len(tenths) / 10, rel=0.05)


def test_a_hundred_thousand_windows_that_overlap_are_summed_up_as_one_stretch(tmp_path):
    """The same loop serves a million; each window costs a line and none stays in memory for its energy."""
    random_ = random.Random(7)
    header = {
        "schema": JOURNAL_SCHEMA,
        "run_id": "many",
        "stage": "inference",
        "channels": [
            {"id": "g", "component": "gpu", "device": "GPU-0", "method": "counter", "accuracy": 0.04}
        ],
        "environment": {},
        "started": "2026-01-01T00:00:00Z",
    }
    lines = [header, {"open": 0, "name": "run", "t": 0.0}]
    lines += [{"t": t / 10, "dt": 0.0, "r": {"g": WATTS * t / 10}} for t in range(1001)]
    for number in range(1, 100_001):
        start = 10 + random_.random() * 79
        lines += [
            {"open": number, "name": "request", "t": start},
            {"close": number, "t": start + 1.0, "work": {"token": 1}},
        ]
    lines += [{"close": 0, "t": 100.0, "work": {}}, {"end": 100.0}]
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(map(encoded, lines)))
    record = summarise(path)
    assert record["request"].n == 100_000
    assert record["request"].work == {"token": 100_000}
    assert record["request"].duration_s == pytest.approx(80, rel=0.01)
    assert joules(record, "request") == pytest.approx(80 * WATTS, rel=0.01)
