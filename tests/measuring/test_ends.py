"""The ends of a run are known as well as a window inside it: whole runs of any length and phase on a virtual clock, their truth known."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest
from uneven_gpu import Gpu
from virtual import FakeDevice, VirtualClock, constant, square, steps

from energy_rating import measure
from energy_rating.measuring.sampler import LAST_TICK_S
from energy_rating.nouns.errors import SensorFailed


def job(opened, length, rng):
    """A program: idle until it has started, and again from a moment before or when it has ended."""
    began, ended = (
        opened + rng.uniform(0.005, 0.05),
        opened + length - rng.choice((0.0, rng.uniform(0, 0.02))),
    )
    return steps((-math.inf, 80.0), (began, 400.0), (ended, 80.0))


def wave(opened, length, rng):
    return square(100.0, 400.0, 0.73, 0.4, rng.uniform(0, 0.73))


def level(opened, length, rng):
    return constant(300.0)


def whole_run(folder, load, seed, **options):
    """The relative error of a whole run, its relative random doubt, and how long its end took."""
    rng = random.Random(f"{load.__name__} {seed}")
    clock = VirtualClock()
    clock.late_s = rng.choice((0.0005, 0.002))
    length = rng.uniform(2.6, 3.4)
    power, energy = load(clock.time, length, rng)
    device = Gpu(clock, power, energy, phase_s=rng.uniform(0, 0.1), cost_s=0.0002, **options)
    device.shown_phase_s = rng.uniform(0, 0.1)
    run = measure(output_dir=folder / str(seed), sensors=[device], clock=clock, report=None).start()
    opened = clock.time - run.elapsed_s()
    clock.sleep(length)
    closed = clock.time
    run.stop()
    found, truth = run.record["run"].energy_j["gpu"], energy(closed) - energy(opened)
    return found.value / truth - 1, found.random / truth, clock.time - closed


@pytest.mark.parametrize(
    ("load", "most"),
    [(level, 0.002), (job, 0.004), (wave, 0.008)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_whole_run_of_three_seconds_is_known_whenever_it_begins_and_ends(tmp_path, load, most):
    found = [whole_run(tmp_path, load, seed) for seed in range(120)]
    assert math.sqrt(mean(error**2 for error, _, _ in found)) < most
    assert abs(mean(error for error, _, _ in found)) < most / 3
    assert sorted(doubt for _, doubt, _ in found)[60] < 1.1 * most
    # 95 % but for what chance makes of 120.
    assert mean(abs(error) <= 1.96 * doubt for error, doubt, _ in found) > 0.9
    assert mean(abs(error) <= 3 * doubt for error, doubt, _ in found) > 0.97


@pytest.mark.parametrize("load", [level, job, wave], ids=lambda load: load.__name__)
@pytest.mark.parametrize("shown", ["the mean of a second", "nothing"])
def test_where_no_register_shows_what_came_after_the_doubt_says_so(tmp_path, load, shown, monkeypatch):
    monkeypatch.setattr(Gpu, "shown_s", 1.0)
    found = [whole_run(tmp_path, load, seed, has_register=shown != "nothing") for seed in range(60)]
    assert math.sqrt(mean(error**2 for error, _, _ in found)) < 0.015
    assert mean(abs(error) <= 1.96 * doubt for error, doubt, _ in found) > 0.93


def ending(folder, device, clock, length=3.0):
    run = measure(output_dir=folder, sensors=[device], clock=clock, report=None).start()
    clock.sleep(length)
    closed, reads = clock.time, device.reads
    run.stop()
    return clock.time - closed, device.reads - reads


@pytest.mark.parametrize("tick_s", [0.02, 0.1, 0.5, 3.0])
def test_the_end_of_a_run_waits_for_one_update_at_most(tmp_path, tick_s):
    for number in range(20):
        clock = VirtualClock()
        device = FakeDevice(
            clock, *constant(300.0), tick_s=tick_s, phase_s=number * tick_s / 20, cost_s=0.0002
        )
        waited_s, reads = ending(tmp_path / str(number), device, clock)
        assert waited_s <= min(1.2 * tick_s, LAST_TICK_S) + 0.002
        assert reads <= 45


def test_a_counter_that_ticks_every_millisecond_is_read_once_at_the_end(tmp_path):
    clock = VirtualClock()
    device = FakeDevice(
        clock, *constant(60.0), component="cpu", tick_s=0.001, known_period=True, cost_s=0.0001
    )
    assert ending(tmp_path, device, clock) == (pytest.approx(0.0001), 1)


def test_a_device_that_takes_long_to_answer_is_not_asked_twice_at_the_end(tmp_path):
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0))

    def slow(now, kind):
        if now > 1002.95 and kind == "energy":
            clock.time += 0.3

    device.fault = slow
    waited_s, reads = ending(tmp_path, device, clock)
    assert reads == 1
    assert waited_s < 0.31


def test_a_device_that_fails_at_the_end_holds_up_nobody(tmp_path):
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0), cost_s=0.0002)
    device.fault = lambda now, kind: SensorFailed("gone") if now > 1003.0 else None
    waited_s, _ = ending(tmp_path, device, clock)
    assert waited_s < 0.001
    assert device.closed


def test_a_run_that_ends_at_once_waits_for_one_tick_and_tells_its_energy(tmp_path):
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0), phase_s=0.03, cost_s=0.0002)
    run = measure(output_dir=tmp_path, sensors=[device], clock=clock, report=None).start()
    clock.sleep(0.25)
    run.stop()
    found = run.record["run"].energy_j["gpu"]
    assert found.value == pytest.approx(75.0, rel=0.03)
    assert abs(found.value - 75.0) < 2.5 * found.random


def busy(rng):
    """How long a reading waits for Python's lock on either side of its call, beside a few busy threads."""
    return rng.uniform(0.05, 0.5) if rng.random() < 0.03 else rng.uniform(0.0, 0.012)


class Delayed(Gpu):
    """A GPU whose readings come late: the sampler waits for the lock before and after each call."""

    rng = random.Random("delayed")
    delay = staticmethod(busy)

    def read(self):
        self.clock.time += self.delay(self.rng)
        values = super().read()
        self.clock.time += self.delay(self.rng)
        return values


def beside_busy_threads(folder, seconds, windows=(), seed=0, load=None, delay=busy):
    """A run whose readings come late; windows as (start, end) in seconds of the run."""
    clock = VirtualClock()
    device = Delayed(clock, *(load or constant(560.0)), phase_s=0.0371, cost_s=0.0002)
    device.rng, device.delay = random.Random(f"delayed {seed}"), delay
    with measure(output_dir=folder, sensors=[device], clock=clock, report=None) as run:
        opened = clock.time - run.elapsed_s()
        edges = sorted(
            (time, number, which) for number, span in enumerate(windows) for which, time in enumerate(span)
        )
        under_way, noted = {}, {}
        for time, number, which in edges:
            until(clock, opened + time, device)
            if which == 0:
                under_way[number] = run.window(f"window {number}")
                under_way[number].__enter__()
                noted[number] = [clock.time]
            else:
                under_way.pop(number).__exit__(None, None, None)
                noted[number].append(clock.time)
        until(clock, opened + seconds, device)
    return run, noted


def until(clock, moment, device):
    while clock.time < moment:
        clock.late_s = device.delay(device.rng)
        clock.sleep(min(0.01, moment - clock.time))


def test_how_often_a_counter_ticks_is_told_beside_busy_threads_too(tmp_path):
    for seed in range(3):
        run, _ = beside_busy_threads(tmp_path / str(seed), 30.0, seed=seed)
        (channel,) = (channel for channel in run.record.channels if channel.method == "counter")
        assert channel.period_s is not None
        # Never shorter than it is, and enough of them for a rating of a minute.
        assert 0.095 < channel.period_s < 0.5


def test_busy_threads_do_not_make_a_device_slow(tmp_path):
    run, _ = beside_busy_threads(tmp_path, 20.0)
    readings = run.trace()
    counted = readings[readings.channel == "gpu0.energy"].time_s
    assert len(counted) > 120
    assert counted.diff().median() < 0.13


def test_a_device_that_becomes_slow_is_read_more_seldom(tmp_path):
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0), cost_s=0.0002)

    def slow(now, kind):
        if now > 1005.0 and kind == "energy":
            clock.time += 0.05

    device.fault = slow
    with measure(output_dir=tmp_path, sensors=[device], clock=clock, report=None):
        clock.sleep(20.0)
        before = device.reads
        clock.sleep(20.0)
        assert (device.reads - before) * 0.05 < 0.15 * 20.0


def hogs(rng):
    """The same beside threads that hold the lock for long, in calls of C that do not give it back."""
    return rng.uniform(0.05, 0.5) if rng.random() < 0.15 else rng.uniform(0.0, 0.01)


@pytest.mark.parametrize("delay", [busy, hogs], ids=lambda delay: delay.__name__)
def test_the_trace_of_a_constant_power_is_flat_however_late_the_readings_come(tmp_path, delay):
    for seed in range(4):
        run, _ = beside_busy_threads(
            tmp_path / str(seed), 25.0, [(3.0, 9.0), (12.0, 20.0)], seed=seed, delay=delay
        )
        readings = run.trace()
        power = readings[readings.channel == "gpu0.energy"].power_w.dropna()
        assert len(power) > 50
        assert 0.9 * 560 < power.min() <= power.max() < 1.1 * 560


@pytest.mark.parametrize("delay", [busy, hogs], ids=lambda delay: delay.__name__)
def test_short_windows_beside_busy_threads_are_as_uncertain_as_they_say(tmp_path, delay):
    found = []
    for seed in range(8):
        rng = random.Random(f"windows {seed}")
        windows, changes, now = [], [(-math.inf, 100.0)], 1.0 + rng.random()
        while now < 22.0:
            length = rng.choice((0.5, 0.93, 1.5))
            windows.append((now, now + length))
            changes += [(1000.0 + now, rng.uniform(60, 600)), (1000.0 + now + length, rng.uniform(60, 600))]
            now += length + rng.uniform(0.1, 0.8)
        load = steps(*changes)
        energy = load[1]
        run, noted = beside_busy_threads(tmp_path / str(seed), 25.0, windows, seed, load, delay)
        for number, (opened, closed) in noted.items():
            estimate = run.record[f"window {number}"].energy_j.get("gpu")
            if closed - opened > 0.1 and estimate is not None:
                found.append((estimate.value - energy(closed) + energy(opened)) / estimate.random)
    assert len(found) > 90
    assert mean(abs(z) <= 1.96 for z in found) > 0.91  # 95 % but for what chance makes of some hundred
    assert max(map(abs, found)) < 5
