"""How far a run has come: said from time to time, from what is known already, and never in the way."""

from __future__ import annotations

import io
import math
import random
import re
import threading
import time
import tracemalloc

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, measure
from energy_rating.measuring.progress import MOST_POINTS, Course, ProgressLines, forecast
from energy_rating.nouns.entries import Channel


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Lines(list):
    def of_progress(self, number=1):
        """Lines are said in a thread of their own."""
        late = time.monotonic() + 60
        while len(self) < number and time.monotonic() < late:
            time.sleep(0.001)
        return list(self)


def said(lines, clock, seconds):
    """Lets time pass, and the threads that say lines say them."""
    for _ in range(int(seconds)):
        clock.sleep(1)
        time.sleep(0.001)


def a_run(tmp_path, lines, *, watts=300, **more):
    clock = VirtualClock()
    power, energy = constant(watts)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    run = measure(
        "other", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=lines.append, **more
    )
    return run, clock


def test_a_loop_says_its_share_the_energy_so_far_what_it_comes_to_and_the_time_left(tmp_path):
    lines = Lines()
    run, clock = a_run(tmp_path, lines, progress=60)
    with run:
        for _ in run.steps(range(100)):
            said(lines, clock, 10)
    first = lines.of_progress(8)[7]
    share = re.match(
        r"(\d+) % \(step (\d+) of 100\) · gpu ([\d.]+) kJ so far · ([\d.]+) .*kJ.* at the end · ", first
    )
    assert share is not None, first
    assert float(share[4]) == pytest.approx(300, rel=0.02)
    assert first.endswith(" left")


def test_without_being_asked_nothing_is_said_but_the_last_line(tmp_path):
    lines = Lines()
    run, clock = a_run(tmp_path, lines)
    with run:
        for _ in run.steps(range(100)):
            clock.sleep(10)
    assert len(lines) == 1
    assert run._progress is None


def test_a_run_without_a_total_says_the_energy_so_far(tmp_path):
    lines = Lines()
    run, clock = a_run(tmp_path, lines, progress=10)
    with run:
        said(lines, clock, 30)
    assert re.fullmatch(r"gpu 3\.\d+ kJ so far, in 1\d\.\d s", lines.of_progress()[0])


def test_hooks_say_how_many_windows_are_to_come(tmp_path):
    lines = Lines()
    run, clock = a_run(tmp_path, lines, progress=10)
    with run:
        run.expect(step=40)
        window = run.window("step")
        for _ in range(40):
            window.open()
            said(lines, clock, 1)
            window.close()
    assert any("of 40)" in line and "at the end" in line for line in lines.of_progress(4))


def test_the_share_of_a_loop_in_a_loop_is_that_of_both(tmp_path):
    run, clock = a_run(tmp_path, Lines(), progress=60)
    shares = []
    with run:
        for _ in run.steps(range(4), name="epoch"):
            for _ in run.steps(range(5)):
                clock.sleep(1)
                shares.append(run._progress._share()[1])
    assert shares == pytest.approx([number / 20 for number in range(20)])


def test_a_run_of_weeks_does_not_flood_a_log():
    """Lines at one a minute, for three weeks."""
    lines = []
    progress = ProgressLines(60, lines.append, 0.0)
    progress._tell = lines.append
    channel = Channel(id="gpu0.energy", component="gpu", device="GPU-1", method="counter", accuracy=0.04)
    for second in range(0, 21 * 24 * 3600, 20):
        progress.tally.heard([channel], second, second, {"gpu0.energy": 300.0 * second})
        progress.tick(float(second))
    assert 100 < len(lines) < 400
    assert lines[0].startswith("gpu 18.0 kJ so far")


def test_what_nobody_reads_holds_nobody_up(tmp_path):
    """Standard error is a pipe that is full: one thread waits there, and the run goes on and ends."""
    gate, waiting = threading.Event(), []

    def stuck(line):
        waiting.append(line)
        if "so far" in line:
            gate.wait(60)

    run, clock = a_run(tmp_path, Lines(), progress=1)
    run = measure(
        output_dir=tmp_path / "stuck", sensors=run.settings.sensors, clock=clock, report=stuck, progress=1
    )
    with run:
        said([], clock, 30)
    gate.set()
    assert len([line for line in waiting if "so far" in line]) == 1
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(9000, rel=0.01)


@pytest.mark.parametrize("seconds", [0, 0.5, -1, math.nan, math.inf, True, "60"])
def test_an_interval_that_is_none_is_refused(seconds):
    with pytest.raises(BadInput, match="progress"):
        measure(progress=seconds)


def test_a_million_steps_take_no_more_memory_than_a_thousand():
    course = Course()

    def steps(start, end):
        for number in range(start, end):
            course.add(number / 1_000_000, 6.0 * number, 0.02 * number)

    steps(0, 1000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    steps(1000, 1_000_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(course.points) <= MOST_POINTS
    assert after - before < 50_000
    assert forecast(course.rates(1), 1.0).value == pytest.approx(6e6, rel=1e-6)


def drifting(seed, kind, steps=2000):
    """Joules of each step of a run whose steps come to need more or less, or other than before."""
    dice = random.Random(seed)
    if kind == "straight":
        change = dice.uniform(-0.5, 0.5)
        levels = [1 + change * number / steps for number in range(steps)]
    elif kind == "settling":
        change, time_of = dice.uniform(-0.4, 0.4), dice.uniform(0.05, 0.5) * steps
        levels = [1 + change * (1 - math.exp(-number / time_of)) for number in range(steps)]
    else:
        wide, level, levels = dice.uniform(0.02, 0.2) / math.sqrt(steps), 1.0, []
        for _ in range(steps):
            level = max(0.1, level + dice.gauss(0, wide))
            levels.append(level)
    noise = dice.uniform(0.01, 0.3)
    return [300 * max(0.01, level * (1 + dice.gauss(0, noise))) for level in levels]


@pytest.mark.parametrize("kind", ["straight", "settling", "wandering"])
def test_in_nine_of_ten_runs_that_drift_the_true_total_lies_in_the_interval_stated_at_half_way(kind):
    held, widths = 0, []
    for seed in range(100):
        joules = drifting(seed, kind)
        progress = ProgressLines(60, lambda _: None, 0.0)
        loop = progress.enter("step", len(joules))
        channel = Channel(id="gpu0.energy", component="gpu", device="GPU-1", method="counter", accuracy=0.04)
        counter = 1e6
        progress.tally.heard([channel], 0.0, 0.0, {"gpu0.energy": counter})
        for number, step in enumerate(joules[: len(joules) // 2]):
            progress.tick(float(number))
            counter += step
            loop.done += 1
            progress.tally.heard([channel], number + 1.0, number + 1.0, {"gpu0.energy": counter})
        progress.tick(float(loop.done))
        end = progress.at_end()
        low, high = end.interval()
        held += low <= sum(joules) <= high
        widths.append(end.half_width() / end.value)
    assert held >= 90
    assert sorted(widths)[50] < 0.15, "an interval that says nothing is none"


def test_a_counter_that_jumps_or_rolls_over_does_not_spoil_what_is_told():
    progress = ProgressLines(60, io.StringIO().write, 0.0)
    channel = Channel(
        id="cpu0.energy",
        component="cpu",
        device="package-0",
        method="counter",
        accuracy=0.05,
        wraps_at_j=1000.0,
    )
    for second, value in enumerate((900.0, 950.0, 0.0, 50.0)):
        progress.tally.heard([channel], float(second), float(second), {"cpu0.energy": value})
    assert progress.tally.so_far() == ("cpu", pytest.approx(150.0))
    progress.tally.heard([channel], 4.0, 4.0, {"cpu0.energy": 1e9})
    assert progress.tally.so_far() == ("cpu", pytest.approx(150.0))
