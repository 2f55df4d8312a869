"""An edge is noted at once and written soon: how long its line waits, and that none is lost."""

from __future__ import annotations

import json
import math
import os
import random
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.files.packed import WAITS_S
from energy_rating.measuring.windows import LONG_S, MOST_EDGES


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def run(clock, tmp_path):
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    run = measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None).start()
    clock.sleep(5)  # until the counter's ticks are known, and nobody looks more often than it must
    yield run
    run.stop()


def edges_on_disk(folder: Path) -> list[tuple[str, float]]:
    """The edges that somebody reads who comes now, as (kind, when), but for the run's own."""
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    return [(kind, line["t"]) for line in lines for kind in ("open", "close") if line.get(kind)]


@pytest.mark.parametrize(
    ("longest_s", "windows"), [(0.002, 200), (0.02, 200), (0.3, 100), (3.0, 40), (90.0, 8)]
)
def test_no_edge_waits_longer_for_its_line_than_a_reading_does(clock, run, longest_s, windows):
    dice = random.Random(5)
    made: list[tuple[str, float]] = []
    for _ in range(windows):
        # Pauses of all lengths, from none on: next to nothing, around what an edge may wait for, and all that is allowed.
        clock.sleep(longest_s * dice.random() ** 3)
        with run.window("step") as window:
            made.append(("open", run.elapsed_s()))
            window.count(token=1)
            clock.sleep(longest_s * dice.random() ** 3)
            made.append(("close", run.elapsed_s()))
        there = edges_on_disk(run.folder)
        assert there == made[: len(there)]
        assert all(run.elapsed_s() - when <= WAITS_S for _, when in made[len(there) :])


def test_the_end_of_a_window_of_a_second_stands_there_at_once(clock, run):
    for _ in range(20):
        with run.window("step"):
            clock.sleep(0.01)
    with run.window("epoch"):
        clock.sleep(LONG_S)
    assert edges_on_disk(run.folder)[-1] == ("close", run.elapsed_s())


def test_of_windows_that_take_no_time_only_so_many_wait(clock, run):
    for number in range(1000):
        with run.window("step"):
            pass
        if number % 50 == 49:
            assert len(edges_on_disk(run.folder)) >= 2 * (number + 1) - MOST_EDGES


def test_whoever_looks_at_the_run_finds_every_edge(clock, run):
    with run.window("step"):
        clock.sleep(0.01)
    assert len(edges_on_disk(run.journal.parent)) == 2
    with run.window("step"):
        clock.sleep(0.01)
    assert run.so_far()["step"].n == 2


def test_a_checkpoint_is_told_behind_the_edges_before_it(clock, run):
    with run.window("epoch") as epoch:
        for _ in range(3):
            with run.window("step") as window:
                window.count(token=7)
                clock.sleep(0.001)
        run.checkpoint(step=3)
        lines = [json.loads(line) for line in (run.folder / "journal.jsonl").read_bytes().splitlines()]
        assert "checkpoint" in lines[-1]
        assert sum("close" in line for line in lines) == 3
        assert lines[-1]["windows"] == {"0": {"token": 21}, str(epoch.key): {"token": 21}}


class Hangs:
    """A sensor whose device stops answering once it is told to."""

    channels = ()

    def __init__(self) -> None:
        self.stops = False
        self.is_stuck, self.goes_on = threading.Event(), threading.Event()

    def read(self) -> Mapping[str, float]:
        if self.stops:
            self.is_stuck.set()
            self.goes_on.wait(60)
        return {}

    def close(self) -> None:
        pass


def test_while_a_device_hangs_every_edge_is_written_by_who_makes_it(tmp_path):
    sensor = Hangs()
    with measure(output_dir=tmp_path / "run", sensors=[sensor], report=None) as run:
        sensor.stops = True
        assert sensor.is_stuck.wait(60)
        for number in range(3):
            with run.window("step"):
                assert len(edges_on_disk(tmp_path / "run")) == 2 * number + 1
            assert len(edges_on_disk(tmp_path / "run")) == 2 * (number + 1)
        sensor.goes_on.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_edges_that_wait_while_the_program_forks_are_written_once_and_by_the_parent(clock, run):
    with run.window("step"):
        clock.sleep(0.01)
    child = os.fork()
    if child == 0:
        try:
            with run.window("in the child"):
                pass
            assert run.journal
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    before = edges_on_disk(run.folder)
    with run.window("step"):
        clock.sleep(0.01)
    assert run.journal
    assert len(before) <= 2
    assert len(edges_on_disk(run.folder)) == 4
    lines = (run.folder / "journal.jsonl").read_text()
    assert "in the child" not in lines


def test_work_counted_at_the_run_reaches_windows_of_which_there_is_no_line_yet(clock, run):
    for _ in range(10):
        with run.window("epoch"), run.window("step"):
            run.count(token=3)
            clock.sleep(0.001)
    run.stop()
    assert run.record["step"].work == run.record["epoch"].work == run.record["run"].work == {"token": 30}


def test_lines_that_the_disk_takes_only_one_by_one_are_all_written(clock, run, monkeypatch):
    """A disk that is nearly full takes the first of several lines, and the others once there is room."""
    journal, write = run.folder / "journal.jsonl", os.write
    until: float = journal.stat().st_size + 130  # of two lines

    def writes(descriptor: int, content: bytes) -> int:
        room = min(until - os.fstat(descriptor).st_size, len(content))
        return write(descriptor, content[: int(room)])

    monkeypatch.setattr(os, "write", writes)
    for _ in range(5):
        with run.window("step"):
            pass
    run._write_edges()
    assert len(edges_on_disk(run.folder)) == 2
    until = math.inf
    clock.sleep(1)
    assert len(edges_on_disk(run.folder)) == 10
    run.stop()
    assert run.record["step"].n == 5
