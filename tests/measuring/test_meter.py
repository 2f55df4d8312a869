"""A run on the virtual clock: what it measures, what it says when something is missing, and what it never does."""

from __future__ import annotations

import asyncio
import bisect
import json
import math
import os
import random
import re

import pytest
from virtual import FakeDevice, VirtualClock, constant, sine, square, steps

from energy_rating import BadInput, NotMeasured, load, measure
from energy_rating.files.reading import read_journal
from energy_rating.nouns.errors import SensorFailed, SensorLost


@pytest.fixture(autouse=True)
def _no_rank(monkeypatch, tmp_path):
    for name in ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clock():
    return VirtualClock()


def device(clock, profile=None, **more):
    power, energy = profile or constant(300)
    return FakeDevice(clock=clock, power=power, energy=energy, **more)


def a_run(clock, devices, tmp_path, **more):
    return measure("other", output_dir=tmp_path / "run", sensors=devices, clock=clock, report=None, **more)


def codes(record):
    return [finding.code for finding in record.findings]


def test_300_w_for_10_s_are_3000_j(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(10)
    record = run.record
    assert record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert record["run"].duration_s == pytest.approx(10)
    assert record["run"].coverage == {"gpu": 1.0}
    assert record["run"].validity == "valid"
    assert record.measurements[0].name == "run"
    assert record["run"].start_s == 0.0


@pytest.mark.parametrize("since_boot_s", [0.0, 0.25, 64.0, 1024.0, 2.0**25])
def test_a_run_is_the_same_however_long_ago_the_machine_was_started(tmp_path, since_boot_s):
    """The clock that a run lives by counts from the machine's start, and says nothing else."""

    def lived(start_s, folder):
        clock = VirtualClock(start_s)
        power, energy = steps((-math.inf, 100), (start_s + 1.5, 400))
        gpu = FakeDevice(clock=clock, power=power, energy=energy, phase_s=start_s % 0.1 + 0.037)
        with measure("other", output_dir=folder, sensors=[gpu], clock=clock, report=None) as run:
            for _ in range(4):
                with run.window("step") as window:
                    window.count(token=1)
                    clock.sleep(0.25)
                    window.count(token=1)
                    clock.sleep(0.75)
            clock.sleep(90)  # quiet enough for readings to be withheld
        entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        told = [(e["t"], e["count"], e["work"]) for e in entries if "count" in e]
        assert told, "what open windows have counted is noted on the way"
        return run.record, told

    record, told = lived(since_boot_s, tmp_path / "here")
    other, others_told = lived(4096.0, tmp_path / "there")
    # At the first of the sampler's steps in a window, wherever that falls.
    assert [entry[1:] for entry in told] == [entry[1:] for entry in others_told]
    assert told[0][0] == pytest.approx(others_told[0][0], abs=0.05)
    assert codes(record) == codes(other)
    for mine, its in zip(record.measurements, other.measurements, strict=True):
        assert mine.energy_j["gpu"].value == pytest.approx(its.energy_j["gpu"].value, rel=1e-3)
        assert mine.work == its.work


@pytest.mark.parametrize("phase", [0.0, 0.02, 0.05, 0.08])
@pytest.mark.parametrize("start", [1003.0, 1003.05, 1003.51])
def test_a_window_over_a_step_is_right_to_one_per_cent(clock, tmp_path, phase, start):
    gpu = device(clock, steps((-math.inf, 100), (start + 0.5, 400)), phase_s=phase)
    with a_run(clock, [gpu], tmp_path) as run:
        clock.sleep(start - clock.time)
        with run.window("step"):
            clock.sleep(1.0)
        clock.sleep(0.3)
    assert run.record["step"].energy_j["gpu"].value == pytest.approx(250, rel=0.01)


def test_n_gpus_are_n_times_one(clock, tmp_path):
    gpus = [device(clock, number=n, device=f"GPU-{n}", phase_s=n * 0.013) for n in range(8)]
    with a_run(clock, gpus, tmp_path) as run:
        clock.sleep(10)
    gpu = run.record["run"].energy_j["gpu"]
    assert gpu.value == pytest.approx(8 * 3000, rel=0.01)
    assert sum(e.value for e in run.record["run"].energy_by_channel_j.values()) == pytest.approx(gpu.value)
    assert len(run.record["run"].energy_by_channel_j) == 8, "a device is counted by one of its channels only"


def test_gains_of_cards_of_one_model_add_linearly_and_of_unlike_cards_in_quadrature(clock, tmp_path):
    gpus = [device(clock, number=n, device=f"GPU-{n}") for n in range(4)]
    with a_run(clock, gpus, tmp_path) as run:
        clock.sleep(10)
    # Nobody said what these devices are, so each stands for itself.
    assert run.record["run"].energy_j["gpu"].systematic == pytest.approx(2 * 0.04 * 3000, rel=0.01)


def brackets(run, after_s):
    """How closely each tick of the counter is known, in seconds."""
    samples = read_journal(run.folder).sessions[0].samples["gpu0.energy"]
    return [
        b - a
        for a, b, x, y in zip(
            samples.start_s, samples.end_s[1:], samples.values, samples.values[1:], strict=False
        )
        if x != y and a > after_s
    ]


def test_the_sampler_reads_around_the_ticks_once_it_knows_them(clock, tmp_path):
    gpu = device(clock, tick_s=0.1, phase_s=0.037)
    with a_run(clock, [gpu], tmp_path) as run:
        clock.sleep(5)
        before = gpu.reads
        for _ in range(10):
            with run.window("w"):
                clock.sleep(1)
        near_edges = gpu.reads - before
        clock.sleep(3)
        before = gpu.reads
        clock.sleep(10)
        away_from_edges = gpu.reads - before
    assert near_edges <= 2 * 100 + 10, "two readings a tick"
    assert 90 <= away_from_edges <= 100 + 10, "two readings every other tick"
    widths = brackets(run, 5.2)[:96]
    assert sum(width < 0.012 for width in widths) >= 0.95 * len(widths), "each tick is bracketed closely"
    assert run.record.channels[0].period_s == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("late_s", "cost_s", "tick_s", "wander_s", "within_s"),
    [
        (0.0, 0.0, 0.1003, 0.0, 0.012),
        (0.0, 0.0, 0.1, 0.002, 0.025),  # ticks that jitter
        (0.005, 0.005, 0.1, 0.0, 0.035),  # a main thread that holds Python's lock for its 5 ms
        (0.005, 0.005, 0.1, 0.002, 0.045),
    ],
)
def test_ticks_are_followed_though_they_jitter_and_the_sampler_comes_late(
    clock, tmp_path, late_s, cost_s, tick_s, wander_s, within_s
):
    rng = random.Random(3)
    ticks = [999.937 + number * tick_s + rng.gauss(0.0, wander_s) for number in range(500)]

    class Restless(FakeDevice):
        def tick_before(self, now):
            return ticks[bisect.bisect_right(ticks, now) - 1]

    power, energy = constant(300)
    gpu = Restless(clock=clock, power=power, energy=energy, cost_s=cost_s)
    clock.late_s = late_s
    with a_run(clock, [gpu], tmp_path) as run:
        for _ in range(40):
            with run.window("w"):
                clock.sleep(1)
    widths = brackets(run, 4)
    assert sum(width < within_s for width in widths) >= 0.9 * len(widths), sorted(widths)[len(widths) // 2 :][
        ::40
    ]


@pytest.mark.parametrize("profile", [square(100, 400, 0.73), sine(250, 100, 1.3), square(100, 400, 0.5, 0.3)])
def test_windows_in_changing_power_are_right_to_a_few_per_cent_and_their_doubt_says_so(tmp_path, profile):
    rng = random.Random(7)
    errors = []
    for trial in range(12):
        clock = VirtualClock()
        gpu = device(clock, profile, phase_s=rng.random() * 0.1)
        with measure(output_dir=tmp_path / str(trial), sensors=[gpu], clock=clock, report=None) as run:
            clock.sleep(2.5 + rng.random())
            start = clock.time
            with run.window("w"):
                clock.sleep(1.0)
            clock.sleep(0.5)
        truth = gpu.energy(start + 1.0) - gpu.energy(start)
        errors.append(run.record["w"].energy_j["gpu"].value / truth - 1)
    assert math.sqrt(sum(e * e for e in errors) / len(errors)) < 0.02


@pytest.mark.parametrize("tick", [0.031, 0.033, 0.05, 0.066, 0.1, 0.25])
@pytest.mark.parametrize("period", [0.02, 0.1, 1.0])
def test_the_sampler_never_spins_whatever_the_counter_and_the_period(clock, tmp_path, tick, period):
    gpu = device(clock, tick_s=tick, phase_s=0.017)
    with a_run(clock, [gpu], tmp_path, period_s=period) as run:
        clock.sleep(5)
        before = gpu.reads
        with run.window("w"):
            clock.sleep(100)
    assert gpu.reads - before <= 2.2 * 100 / max(min(period, tick), tick) * 1.1 + 2.2 * 100 / period
    assert run.record["w"].energy_j["gpu"].value == pytest.approx(30000, rel=0.002)


def test_a_counter_that_changes_its_pace_is_learned_again_or_polled(clock, tmp_path):
    class Slower(FakeDevice):
        def read(self):
            if self.clock.time > 1010:
                self.tick_s = 0.17
            return super().read()

    power, energy = constant(300)
    gpu = Slower(clock=clock, power=power, energy=energy)
    with a_run(clock, [gpu], tmp_path) as run:
        clock.sleep(60)
    assert gpu.reads < 3000
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(18000, rel=0.005)


def test_windows_nest_overlap_and_repeat(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(2)
        outer = run.window("outer")
        outer_work = outer.__enter__()
        clock.sleep(1)
        late = run.window("late")
        late.__enter__()
        for _ in range(3):
            with run.window("inner") as inner:
                clock.sleep(1)
                inner.count(token=10)
        outer.__exit__(None, None, None)
        clock.sleep(1)
        late.__exit__(None, None, None)
        outer_work.count(image=1)  # too late, and harmless
    record = run.record
    assert record["outer"].energy_j["gpu"].value == pytest.approx(4 * 300, rel=0.01)
    assert record["late"].energy_j["gpu"].value == pytest.approx(4 * 300, rel=0.01)
    assert record["inner"].n == 3
    assert record["inner"].work == {"token": 30}
    assert record["inner"].energy_per("token").value == pytest.approx(30, rel=0.01)
    assert record["outer"].work == {}


def test_run_count_counts_into_every_window_that_is_open_here(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        run.count(token=1)
        with run.window("a"), run.window("b"):
            run.count(token=2, request=1)
            clock.sleep(1)
    record = run.record
    assert record["run"].work == {"token": 3, "request": 1}
    assert record["a"].work == record["b"].work == {"token": 2, "request": 1}


def test_zero_tokens_are_no_divisor(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        run.count(token=0)
        clock.sleep(1)
    with pytest.raises(NotMeasured, match="no 'token' was counted"):
        run.record["run"].energy_per("token")


def test_zero_tokens_are_told_and_some_are_not(clock, tmp_path):
    """A framework that counts nothing unless it is asked to gives 0 at every step, and nobody notices."""
    found = {}
    for name, tokens in (("none", 0), ("some", 5)):
        run = a_run(clock, [device(clock)], tmp_path / name)
        with run:
            for number in range(3):
                with run.window("step") as window:
                    clock.sleep(1)
                    window.count(token=tokens if number == 1 else 0)
        found[name] = [one for one in run.record.findings if one.code == "counted-zero"]
    assert [one.measurement for one in found["none"]] == ["run"]
    assert "token" in found["none"][0].message
    assert found["some"] == []


def test_an_unknown_unit_component_or_measurement_is_answered_with_those_there_are(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        run.count(token=5)
        clock.sleep(1)
    with pytest.raises(NotMeasured, match="Counted are: token"):
        run.record["run"].energy_per("tokn")
    with pytest.raises(NotMeasured, match="Measured are: gpu"):
        run.record["run"].energy_per("token", component="cpu")
    with pytest.raises(NotMeasured, match="There are: run"):
        run.record["epoch"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1, "many", None, True, [1]])
def test_a_count_that_is_no_number_is_left_out_and_told(clock, tmp_path, bad):
    with a_run(clock, [device(clock)], tmp_path) as run, run.window("w") as window:
        window.count(token=bad)
        window.count(token=7)
        clock.sleep(1)
    assert run.record["w"].work == {"token": 7}
    assert "count-refused" in codes(run.record)
    assert run.record["w"].validity == "degraded"


def test_numpy_numbers_are_numbers(clock, tmp_path):
    numpy = pytest.importorskip("numpy")
    with a_run(clock, [device(clock)], tmp_path) as run:
        run.count(token=numpy.int64(3), loss=numpy.float32(0.5))
        clock.sleep(1)
    assert run.record["run"].work == {"token": 3, "loss": 0.5}


# ------------------------------------------------------------------------------------------------- what goes wrong


class Expected(Exception):
    pass


@pytest.mark.parametrize("raised", [Expected("secret text"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_in_the_body_comes_through_untouched_and_the_record_is_there(clock, tmp_path, raised):
    with pytest.raises(type(raised)) as caught, a_run(clock, [device(clock)], tmp_path):
        clock.sleep(5)
        raise raised
    assert caught.value is raised
    record = load(tmp_path / "run")
    assert record["run"].energy_j["gpu"].value == pytest.approx(1500, rel=0.01)
    assert "program-failed" in codes(record)
    assert record["run"].validity == "valid"
    assert "secret text" not in (tmp_path / "run" / "record.json").read_text()


def test_a_gpu_that_vanishes_leaves_a_finding_a_marked_part_and_the_program_alive(clock, tmp_path):
    def fault(t, kind):
        return SensorLost("the GPU is lost") if t > 1005 else None

    healthy = device(clock, number=1, device="GPU-1")
    with a_run(clock, [device(clock, fault=fault), healthy], tmp_path) as run:
        clock.sleep(10)
    record = run.record
    assert record["run"].energy_j["gpu"].value == pytest.approx(4500, rel=0.02)
    assert record["run"].coverage["gpu"] == pytest.approx(0.75, abs=0.02)
    assert {"sensor-lost", "partly-measured"} <= set(codes(record))
    assert record["run"].validity == "invalid"


def test_a_missing_counter_falls_back_to_power(clock, tmp_path):
    with a_run(clock, [device(clock, has_counter=False)], tmp_path) as run:
        clock.sleep(10)
    record = run.record
    assert record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert record["run"].methods == {"gpu": "power"}


def test_a_counter_that_dies_is_replaced_by_the_power_of_the_same_gpu(clock, tmp_path):
    def fault(t, kind):
        return SensorFailed("not supported") if kind == "energy" and t > 1002 else None

    with a_run(clock, [device(clock, fault=fault)], tmp_path) as run:
        clock.sleep(10)
    record = run.record
    assert record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert list(record["run"].energy_by_channel_j) == ["gpu0.power"]
    assert "reading-failed" in codes(record)


def test_no_sensor_at_all_says_so_and_invents_nothing(clock, tmp_path):
    with a_run(clock, [], tmp_path) as run:
        clock.sleep(3)
        run.count(token=3)
    record = run.record
    assert record["run"].energy_j == {}
    assert record["run"].validity == "invalid"
    assert "nothing-measured" in codes(record)
    with pytest.raises(NotMeasured, match="Measured are: none"):
        record["run"].energy_per("token")


def test_a_failing_reading_never_becomes_a_number(clock, tmp_path):
    def fault(t, kind):
        return SensorFailed("unknown error") if 1003 < t < 1006 else None

    with a_run(clock, [device(clock, fault=fault)], tmp_path) as run:
        clock.sleep(10)
    # The counter heals what was not read.
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert run.record["run"].coverage["gpu"] == 1.0


def test_a_defect_in_a_sensor_is_a_finding(clock, tmp_path):
    def fault(t, kind):
        return ZeroDivisionError("oops") if t > 1002 else None

    other = device(clock, number=1, device="GPU-1")
    with a_run(clock, [device(clock, fault=fault), other], tmp_path) as run:
        clock.sleep(10)
    assert "reading-failed" in codes(run.record)
    assert run.record["run"].energy_by_channel_j["gpu1.energy"].value == pytest.approx(3000, rel=0.01)


def test_counter_and_power_that_disagree_are_told(clock, tmp_path):
    def fault(t, kind):
        return 250.0 if kind == "power" else None

    with a_run(clock, [device(clock, fault=fault)], tmp_path) as run:
        clock.sleep(20)
    finding = next(f for f in run.record.findings if f.code == "counter-disagrees-with-power")
    assert finding.severity == "disqualifies"
    assert "counter-not-used" in codes(run.record)
    energy = run.record["run"].energy_j["gpu"]
    # Which of the two is wrong nobody knows: counters are it more often, so the figure is the register's, and its interval holds both.
    assert energy.value == pytest.approx(5000, rel=0.01)
    assert energy.half_width() > 1000


def test_windows_shorter_than_what_the_readings_tell_apart_are_not_passed_off_as_valid(tmp_path):
    clock = VirtualClock()

    class Stepping:
        """50 ms at 500 W inside each window, 30 ms at 100 W between them, and a counter like RAPL's read every 0.1 s."""

        edges = [(1000.0, 100.0, 0.0)]

        def power(self, t):
            return next(edge[1] for edge in reversed(self.edges) if edge[0] <= t)

        def energy(self, t):
            since, watts, joules = next(edge for edge in reversed(self.edges) if edge[0] <= t)
            return joules + watts * (t - since)

        def draw(self, watts):
            self.edges.append((clock.time, watts, self.energy(clock.time)))

    load = Stepping()
    cpu = FakeDevice(
        clock=clock,
        power=load.power,
        energy=load.energy,
        tick_s=0.001,
        known_period=True,
        component="cpu",
        has_register=False,
        device="package-0",
    )
    with measure(output_dir=tmp_path / "run", sensors=[cpu], clock=clock, report=None) as run:
        clock.sleep(1)
        for _ in range(100):
            with run.window("step"):
                load.draw(500.0)
                clock.sleep(0.05)
            load.draw(100.0)
            clock.sleep(0.03)
    step = run.record["step"]
    assert step.validity == "invalid"
    assert "window-too-short" in codes(run.record)


def test_a_short_window_in_a_long_quiet_run_is_judged_by_the_readings_around_it(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(1800)
        with run.window("w"):
            clock.sleep(2)
        clock.sleep(1800)
    assert run.record["w"].validity == "valid"
    assert run.record["w"].energy_j["gpu"].value == pytest.approx(600, rel=0.01)


def test_short_windows_that_follow_upon_each_other_are_usable_together(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(2)
        for _ in range(200):
            with run.window("step"):
                clock.sleep(0.05)
    step = run.record["step"]
    assert step.energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert step.validity == "valid"


def test_a_gpu_that_has_only_a_power_register_says_what_that_leaves_open(clock, tmp_path):
    with a_run(clock, [device(clock, has_counter=False)], tmp_path) as run:
        clock.sleep(10)
    gpu = run.record["run"].energy_j["gpu"]
    assert gpu.systematic / gpu.value > 0.06
    assert "summed-from-power" in codes(run.record)


def test_a_suspended_machine_is_told_of_the_windows_that_it_fell_into(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        with run.window("before"):
            clock.sleep(5)
        clock.sleep(2)
        with run.window("during"):
            clock.sleep(2)
            clock.slept += 3600
            clock.sleep(5)
    suspended = {f.measurement: f.severity for f in run.record.findings if f.code == "suspended"}
    assert suspended == {"run": "disqualifies", "during": "disqualifies"}
    assert run.record["before"].validity == "valid"
    assert run.record["during"].validity == "invalid"


def test_a_window_left_open_is_closed_with_the_run(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(1)
        run.window("forgotten").__enter__()
        clock.sleep(3)
    assert run.record["forgotten"].energy_j["gpu"].value == pytest.approx(900, rel=0.01)
    assert "window-left-open" in codes(run.record)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("run", "run-window"), ("", "window"), ("a\nb\x1b[31m", "a b [31m"), ("x" * 300, "x" * 200)],
)
def test_a_name_that_cannot_be_is_changed_and_told(clock, tmp_path, name, shown):
    with a_run(clock, [device(clock)], tmp_path) as run, run.window(name):
        clock.sleep(1)
    assert run.record[shown].n == 1
    assert "window-renamed" in codes(run.record)


def test_windows_after_the_end_and_before_the_start_do_no_harm(clock, tmp_path):
    run = a_run(clock, [device(clock)], tmp_path)
    with run.window("early") as window:
        window.count(token=1)
    run.start()
    clock.sleep(1)
    run.stop()
    with run.window("late"):
        run.count(token=1)
    run.stop()
    assert [m.name for m in run.record] == ["run"]


# -------------------------------------------------------------------------------------------------- ways of using it


def test_start_and_stop_are_as_good_as_with(clock, tmp_path):
    run = a_run(clock, [device(clock)], tmp_path)
    with pytest.raises(NotMeasured, match="has not begun"):
        _ = run.record
    run.start()
    run.start()
    with pytest.raises(NotMeasured, match="has not ended"):
        _ = run.record
    clock.sleep(10)
    run.stop()
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)


def test_a_decorated_function_is_a_run_a_call(clock, tmp_path):
    @measure("inference", output_dir=tmp_path / "call", sensors=[device(clock)], clock=clock, report=None)
    def answer(question: str) -> str:
        """Answers."""
        clock.sleep(2)
        return question.upper()

    assert answer("a") == "A"
    assert answer.__doc__ == "Answers."
    assert answer("b") == "B"
    assert load(tmp_path / "call").stage == "inference"
    second = load(tmp_path / "call-2")
    assert "folder-occupied" in codes(second)


def test_an_async_function_is_measured_until_it_is_done(clock, tmp_path):
    @measure(output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=None)
    async def work() -> int:
        clock.sleep(3)
        await asyncio.sleep(0)
        return 5

    assert asyncio.run(work()) == 5
    assert load(tmp_path / "run")["run"].duration_s == pytest.approx(3)


@pytest.mark.parametrize(
    "arguments", [{"stage": "fine-tunning"}, {"period_s": 0}, {"period_s": "fast"}, {"sensors": ["nvmll"]}]
)
def test_wrong_arguments_are_refused_before_anything_runs(arguments):
    with pytest.raises(BadInput):
        measure(**arguments)


def test_without_a_folder_the_run_goes_under_the_state_folder(clock, tmp_path):
    with measure(sensors=[device(clock)], clock=clock, report=None) as run:
        clock.sleep(1)
    assert run.folder == tmp_path / "state" / "energy-rating" / run.run_id
    assert load(run.folder).run_id == run.run_id


def test_a_folder_that_cannot_be_used_is_replaced_and_told(clock, tmp_path):
    (tmp_path / "run").write_text("a file")
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(5)
    assert "folder-refused" in codes(run.record)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(1500, rel=0.01)
    assert (tmp_path / "run").read_text() == "a file"


def test_with_no_folder_at_all_the_figures_are_kept_in_memory(clock, tmp_path, monkeypatch):
    (tmp_path / "run").write_text("a file")
    (tmp_path / "state").write_text("a file")
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(5)
    assert "journal-in-memory" in codes(run.record)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(1500, rel=0.01)


def test_resuming_adds_up_and_never_twice(clock, tmp_path):
    for number in range(3):
        with a_run(clock, [device(clock)], tmp_path, resume=True) as run:
            clock.sleep(10)
            with run.window("epoch") as window:
                clock.sleep(5)
                window.count(token=100)
        clock.sleep(60)  # between the jobs nobody measured
        assert run.record["run"].n == number + 1
    record = run.record
    assert record["run"].energy_j["gpu"].value == pytest.approx(3 * 4500, rel=0.01)
    assert record["run"].duration_s == pytest.approx(45)
    assert record["epoch"].work == {"token": 300}
    assert [channel.id for channel in record.channels] == ["gpu0.energy", "gpu0.power"]


def test_a_resumed_run_on_another_card_keeps_the_cards_apart(clock, tmp_path):
    for name in ("GPU-a", "GPU-b"):
        with a_run(clock, [device(clock, device=name)], tmp_path, resume=True) as run:
            clock.sleep(10)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(6000, rel=0.01)
    assert {channel.device for channel in run.record.channels} == {"GPU-a", "GPU-b"}
    assert len({channel.id for channel in run.record.channels}) == len(run.record.channels)


def test_a_forked_child_is_inert(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(2)
        before = run.journal.read_bytes()
        child = os.fork()
        if child == 0:
            try:
                with run.window("in the child"):
                    run.count(token=1)
                run.stop()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert run.journal.read_bytes() == before
        clock.sleep(2)
    assert [m.name for m in run.record] == ["run"]
    assert run.record["run"].work == {}


def test_a_quiet_journal_keeps_one_line_a_second_and_loses_no_energy(clock, tmp_path):
    gpu = device(clock, sine(250, 100, 7.3))
    with a_run(clock, [gpu], tmp_path) as run:
        clock.sleep(1)
        start = clock.time
        with run.window("long"):
            clock.sleep(3600)
        clock.sleep(1)
    lines = run.journal.read_bytes().count(b"\n")
    assert lines < 3600 * 2.2 + 60 * 25 + 400
    truth = gpu.energy(start + 3600) - gpu.energy(start)
    assert run.record["long"].energy_j["gpu"].value == pytest.approx(truth, rel=0.0005)
    assert run.record["long"].validity == "valid"


def test_quiet_registers_keep_their_mean(clock, tmp_path):
    gpu = device(clock, square(100, 400, 0.73), has_counter=False)
    with a_run(clock, [gpu], tmp_path) as run:
        start = clock.time
        clock.sleep(1800)
    truth = gpu.energy(start + 1800) - gpu.energy(start)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(truth, rel=0.01)
    assert run.record["run"].coverage["gpu"] == 1.0


def test_an_idle_window_gives_the_share_that_idling_would_have_cost(clock, tmp_path):
    gpu = device(clock, steps((-math.inf, 70), (1015.0, 400), (1035.0, 80)))
    with a_run(clock, [gpu], tmp_path) as run:
        with run.window("idle-before"):
            clock.sleep(15)
        with run.window("measured"):
            clock.sleep(20)
        with run.window("idle-after"):
            clock.sleep(15)
    measured = run.record["measured"]
    assert measured.energy_j["gpu"].value == pytest.approx(8000, rel=0.01)
    assert measured.idle_j["gpu"].value == pytest.approx(75 * 20, rel=0.01)
    assert measured.idle_j["gpu"].random >= 10 / math.sqrt(12) * 20 * 0.99


def test_the_journal_says_what_the_contract_says(clock, tmp_path):
    with a_run(clock, [device(clock)], tmp_path, model="org/name", task="text-generation") as run:
        clock.sleep(1)
        with run.window("w") as window:
            clock.sleep(0.5)
            window.count(token=5)
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    assert all(list(line)[-1] == "crc" for line in lines)
    header = lines[0]
    assert header["schema"] == "energy-rating/journal/2"
    assert set(header) >= {"run_id", "stage", "model", "task", "channels", "environment", "started"}
    readings = [line for line in lines if "r" in line]
    assert all(set(line) - {"n"} == {"t", "dt", "r", "crc"} for line in readings)
    packed = [line for line in lines if "d" in line]
    assert packed
    assert all(list(line) == ["d", "crc"] for line in packed)
    assert {"open": 1, "name": "w", "t": 1.0}.items() <= next(
        line for line in lines if line.get("open") == 1
    ).items()
    assert {"close": 1, "t": 1.5, "work": {"token": 5}}.items() <= next(
        line for line in lines if "close" in line
    ).items()
    assert list(lines[-1]) == ["end", "outcome", "crc"]


def test_the_same_journal_gives_the_same_record_byte_for_byte(clock, tmp_path):
    from energy_rating import summarise
    from energy_rating.files.record import record_to_json

    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(5)
    again = record_to_json(summarise(run.folder))
    assert again == (run.folder / "record.json").read_text()


def test_the_line_after_the_run_tells_everything_once(clock, tmp_path):
    lines = []
    with measure(
        output_dir=tmp_path / "run", sensors=[device(clock)], clock=clock, report=lines.append
    ) as run:
        clock.sleep(10)
        run.count(token=1000)
    (line,) = lines
    assert "\n" not in line
    for part in (
        "gpu 3.00 kJ",
        "measured",
        "10.0 s",
        "300 W",
        "3.00 ± 0.24 J/token (gpu)",
        "not measured: cpu, dram",
        str(run.folder),
    ):
        assert part in line


def test_no_host_or_user_or_path_gets_into_the_record(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    with a_run(clock, [device(clock)], tmp_path) as run:
        clock.sleep(1)
    text = (run.folder / "record.json").read_text() + run.journal.read_text()
    assert "hf_canary" not in text
    assert str(tmp_path) not in text
    # A short host name may be part of an innocent word, so whole values and words are compared.
    words = set(re.findall(r"[\w.-]+", text))
    assert os.uname().nodename not in words
