"""What a sensor says is held against what its device can draw, and a counter against the register beside it: in every window."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import virtual_machine
from playing_faults import play
from virtual import FakeDevice, Power, VirtualClock, constant, sine, square, steps

from energy_rating import measure
from energy_rating.judging import agreement
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.register import Register
from energy_rating.measuring.sensors import Detection, nvml
from energy_rating.nouns.errors import SensorFailed
from energy_rating.nouns.records import Channel, Device, Model, Record, Samples

ZERO_S = 1000.0
LIMIT_W = 400.0

Energy = Callable[[float], float]
# What a counter shows at a time of the run (s) when it should have counted so much since the start (J).
Fault = Callable[[float, float], float]

TWO = ((1.0, 4.0), (4.5, 7.5))


def run_of(
    folder: Path,
    load: tuple[Power, Energy],
    fault: Fault | None = None,
    *,
    length_s: float = 8.0,
    windows: Sequence[tuple[float, float]] = TWO,
    limit_w: float | None = LIMIT_W,
    name: str = "a card",
    **options: object,
) -> Record:
    """A run on one device whose counter is at fault."""
    clock = VirtualClock(ZERO_S)
    watts, joules = load
    device = FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1", phase_s=0.037, **options)

    def told(now: float, kind: str) -> float | None:
        if fault is None or kind != "energy":
            return None
        tick_s = device.tick_before(now)
        return 1e6 + fault(tick_s - ZERO_S, joules(tick_s) - joules(ZERO_S))

    device.fault = told
    found = Detection(sensors=(device,), devices=(Device(id="GPU-1", name=name, power_limit_w=limit_w),))
    with measure(output_dir=folder / "run", sensors=[found], clock=clock, report=None) as run:
        for number, (start_s, end_s) in enumerate(windows):
            clock.sleep(ZERO_S + start_s - clock.time)
            with run.window(f"w{number}") as window:
                clock.sleep(ZERO_S + end_s - clock.time)
                window.count(token=100)
        clock.sleep(ZERO_S + length_s - clock.time)
    return run.record


def is_off(record: Record, name: str, joules: Energy, start_s: float, end_s: float) -> bool:
    """Whether the truth is outside the 95 % interval of a window's energy."""
    energy = next(iter(record[name].energy_j.values()))
    low, high = energy.interval()
    return not low <= joules(ZERO_S + end_s) - joules(ZERO_S + start_s) <= high


def none_is_valid_and_off(
    record: Record, joules: Energy, windows: Sequence[tuple[float, float]], length_s: float
) -> None:
    edges = {"run": (0.0, length_s)} | {f"w{number}": edges for number, edges in enumerate(windows)}
    for name, (start_s, end_s) in edges.items():
        assert record[name].validity != "valid" or not is_off(record, name, joules, start_s, end_s), name


def codes(record: Record) -> set[str]:
    return {finding.code for finding in record.findings}


WORK = steps((-1e9, 100.0), (1001.0, 300.0), (1004.0, 100.0), (1004.5, 300.0), (1007.5, 100.0))


def from_1_s(gain: float) -> Fault:
    return lambda t, joules: joules if t < 1 else 100.0 + gain * (joules - 100.0)


# A counter that is wrong all along, from a second on, at one moment, or late.
WRONG: dict[str, Fault] = {
    "joules for millijoules": lambda t, joules: joules / 1000,
    "millijoules for microjoules": lambda t, joules: joules * 1000,
    "half from a second on": from_1_s(0.5),
    "a third more from a second on": from_1_s(1.3),
    "twice": lambda t, joules: 2 * joules,
    "three times": lambda t, joules: 3 * joules,
    "a second late": lambda t, joules: WORK[1](ZERO_S + t - 1) - WORK[1](ZERO_S),
    "half in one window": lambda t, joules: joules - 0.5 * 300 * min(max(t - 1, 0), 3),
    "jumps by 60 J": lambda t, joules: joules + (60 if t > 2.5 else 0),
    "jumps by 150 J": lambda t, joules: joules + (150 if t > 2.5 else 0),
    "jumps by 400 J": lambda t, joules: joules + (400 if t > 2.5 else 0),
    "jumps by 1,900 J": lambda t, joules: joules + (1900 if t > 2.5 else 0),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_counter_that_is_wrong_in_a_run_of_eight_seconds_gives_no_valid_figure(wrong, tmp_path):
    record = run_of(tmp_path, WORK, WRONG[wrong])
    none_is_valid_and_off(record, WORK[1], TWO, 8.0)
    assert record["w0"].validity != "valid" or wrong == "jumps by 60 J"


@pytest.mark.parametrize("wrong", ["joules for millijoules", "millijoules for microjoules", "twice"])
def test_where_only_the_register_tells_what_the_card_can_draw_the_figure_is_the_registers(wrong, tmp_path):
    record = run_of(tmp_path, WORK, WRONG[wrong])
    assert "counter-not-used" in codes(record)
    for name, (start_s, end_s) in {"run": (0.0, 8.0), "w0": TWO[0], "w1": TWO[1]}.items():
        assert record[name].methods == {"gpu": "power"}
        assert record[name].validity == "degraded"
        assert not is_off(record, name, WORK[1], start_s, end_s)


def test_a_register_that_is_a_thousand_times_too_small_does_not_stand_in_for_its_counter(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = WORK
    device = FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1")
    device.fault = lambda now, kind: watts(now) / 1000 if kind == "power" else None
    found = Detection(sensors=(device,), devices=(Device(id="GPU-1", name="x", power_limit_w=LIMIT_W),))
    with measure(output_dir=tmp_path / "run", sensors=[found], clock=clock, report=None) as run:
        clock.sleep(8)
    assert run.record["run"].methods == {"gpu": "counter"}
    assert run.record["run"].validity != "valid"


SWINGING = square(100.0, 500.0, 0.9, 0.5)


@pytest.mark.parametrize("gain", [0.5, 0.7, 1.3])
@pytest.mark.parametrize("seconds", [1.5, 3.0])
def test_a_load_that_swings_does_not_hide_a_counter_that_runs_at_another_rate(gain, seconds, tmp_path):
    windows = [(0.2 + number * seconds, 0.2 + (number + 1) * seconds - 0.01) for number in range(3)]
    record = run_of(
        tmp_path,
        SWINGING,
        lambda t, joules: gain * joules,
        windows=windows,
        length_s=3 * seconds + 0.4,
        limit_w=700.0,
    )
    none_is_valid_and_off(record, SWINGING[1], windows, 3 * seconds + 0.4)
    assert record["w1"].validity != "valid"


@pytest.mark.parametrize("gain", [0.5, 1.3, 0.7])
@pytest.mark.parametrize("load", [constant(300.0), SWINGING, WORK], ids=["constant", "swings", "steps"])
@pytest.mark.parametrize("length_s", [8.0, 20.0])
def test_the_interval_of_a_counter_that_runs_at_another_rate_holds_the_truth(gain, load, length_s, tmp_path):
    windows = [(1.0, 4.0), (4.5, 7.5)]
    record = run_of(
        tmp_path,
        load,
        lambda t, joules: gain * joules,
        windows=windows,
        length_s=length_s,
        limit_w=700.0,
    )
    for name, (start_s, end_s) in {"run": (0.0, length_s), "w0": windows[0], "w1": windows[1]}.items():
        assert record[name].validity != "valid"
        assert not is_off(record, name, load[1], start_s, end_s), name
    if load is WORK or length_s > 10:  # else it could keep step with the register, and the counter be right
        name, start_s, end_s = ("w0", 1.0, 4.0) if load is WORK else ("run", 0.0, length_s)
        assert record[name].methods == {"gpu": "power"}
        assert "counter-not-used" in {finding.code for finding in record.findings_on(name)}
        assert record[name].energy_j["gpu"].value == pytest.approx(
            load[1](ZERO_S + end_s) - load[1](ZERO_S + start_s),
            rel=0.13,  # the doubt of a register alone
        )


@pytest.mark.parametrize("watts", [30.0, 300.0])
def test_the_interval_holds_the_truth_too_where_it_is_the_register_that_is_wrong(watts, tmp_path):
    clock = VirtualClock(ZERO_S)
    load = steps((-1e9, 150.0), (1002.0, 300.0), (1006.0, 150.0))
    device = FakeDevice(clock=clock, power=load[0], energy=load[1], device="GPU-1")
    device.fault = lambda now, kind: watts if kind == "power" else None
    found = Detection(sensors=(device,), devices=(Device(id="GPU-1", name="x", power_limit_w=LIMIT_W),))
    with measure(output_dir=tmp_path / "run", sensors=[found], clock=clock, report=None) as run:
        clock.sleep(8)
    assert run.record["run"].validity != "valid"
    assert not is_off(run.record, "run", load[1], 0, 8)


def test_a_counter_that_stands_still_for_good_leaves_the_doubt_of_a_register_alone(tmp_path):
    load = constant(300.0)
    record = run_of(tmp_path, load, lambda t, joules: min(joules, 600.0), windows=[(3.0, 7.0)])
    alone = run_of(tmp_path / "alone", load, windows=[(3.0, 7.0)], has_counter=False)
    assert record["w0"].methods == {"gpu": "power"}
    assert record["w0"].energy_j["gpu"].sigma == pytest.approx(alone["w0"].energy_j["gpu"].sigma, rel=0.05)
    (told,) = [finding for finding in record.findings if finding.code == "counter-stuck"]
    assert "power readings" in told.message


def test_a_counter_that_stood_still_and_caught_up_is_told(tmp_path):
    joules = SWINGING[1]
    record = run_of(
        tmp_path,
        SWINGING,
        lambda t, joules: joules if not 3 < t < 7.5 else SWINGING[1](ZERO_S + 3) - SWINGING[1](ZERO_S),
        length_s=12.0,
        windows=[(1.0, 4.0), (4.5, 7.2)],
        limit_w=700.0,
    )
    (told,) = [finding for finding in record.findings if finding.code == "counter-stuck"]
    assert "caught up" in told.message
    assert record["w0"].validity != "valid"
    none_is_valid_and_off(record, joules, ((1.0, 4.0), (4.5, 7.2)), 12.0)


def test_findings_say_what_there_was_and_what_to_do(tmp_path):
    jumping = run_of(tmp_path, constant(300.0), lambda t, joules: 1000 * joules)
    (told,) = [finding for finding in jumping.findings if finding.code == "counter-reset"]
    assert "no power before" in told.message, "there is nothing to bridge it with"
    package = run_of(
        tmp_path / "cpu",
        constant(50.0),
        lambda t, joules: joules + (1500 if t > 5 else 0),
        component="cpu",
        has_register=False,
        limit_w=None,
    )
    (told,) = [finding for finding in package.findings if finding.code == "counter-reset"]
    assert "driver" not in told.remedy
    (tmp_path / "still").mkdir()
    still = run_of(tmp_path / "still", constant(300.0), lambda t, joules: 0.0, has_register=False)
    (told,) = [finding for finding in still.findings if finding.code == "counter-stuck"]
    assert "-0.0 s" not in told.message
    assert all(
        "there is no figure" in finding.message
        for finding in still.findings
        if finding.code == "partly-measured"
    )
    hot = run_of(tmp_path / "still" / "hot", constant(500.0), limit_w=400.0)
    assert all(finding.remedy for finding in hot.findings if finding.code == "power-above-the-limit")
    fast = a_training(tmp_path / "fast", 3_072_000, into="run")
    assert all(finding.remedy for finding in fast.findings if finding.code == "faster-than-arithmetic")


def test_windows_that_overlap_are_not_told_to_be_as_long_as_their_stretches(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(300.0)
    card = FakeDevice(clock=clock, power=watts, energy=joules)
    with measure(output_dir=tmp_path / "run", sensors=[card], clock=clock, report=None) as run:
        clock.sleep(2)
        one, other = run.window("w"), run.window("w")
        with one:
            clock.sleep(0.01)
            with other:
                clock.sleep(0.01)
        clock.sleep(2)
    (told,) = [finding for finding in run.record.findings if finding.code == "window-too-short"]
    assert (
        "stretches of windows that overlap must be at least 300 ms long, as the sensor resolves 100 ms; got 20 ms"
        in told.message
    )


def test_ticks_whose_times_are_not_known_well_are_no_witness_against_a_counter_that_tells_the_same():
    """What a block's two ticks differ by may be their times' doubt; the counter reckoned with that in mind says what the register says."""
    times = [0.1 * number for number in range(60)]
    of_ticks, of_power = (
        Samples(start_s=times, end_s=times, values=[watts(t) for t in times])
        for watts in (lambda t: 300.0 * t, lambda t: 300.0)
    )
    counter = Counter(of_ticks, accuracy=0.04, period_s=0.1, limit_w=700.0)
    register = Register(of_power, accuracy=0.04, period_s=0.1)
    block = agreement.DifferingTime(start_s=1.0, end_s=2.2, apart_j=60.0)
    assert not agreement._differ(block, counter, register)
    halved = Counter(
        replace(of_ticks, values=[0.5 * joules for joules in of_ticks.values]), accuracy=0.04, period_s=0.1
    )
    assert agreement._differ(replace(block, apart_j=180.0), halved, register)


LONG = ((10.0, 20.0), (100.0, 103.0), (200.0, 290.0))
LONG_WORK = steps(
    (-1e9, 100.0), (1010.0, 300.0), (1020.0, 100.0), (1100.0, 300.0), (1103.0, 100.0), (1200.0, 300.0), (1290.0, 100.0)
)  # fmt: skip


def test_one_bad_window_of_a_long_run_is_invalid_and_the_others_are_not(tmp_path):
    def a_third_more_in_one(t: float, joules: float) -> float:
        return joules + 0.3 * 300 * min(max(t - 100, 0), 3)

    record = run_of(tmp_path, LONG_WORK, a_third_more_in_one, length_s=300, windows=LONG)
    assert [record[name].validity for name in ("run", "w0", "w1", "w2")] == [
        "valid",
        "valid",
        "invalid",
        "valid",
    ]
    none_is_valid_and_off(record, LONG_WORK[1], LONG, 300)


@pytest.mark.parametrize("jump_j", [200, 400, 900, 1900])
@pytest.mark.parametrize("has_register", [True, False])
def test_a_counter_that_jumps_and_stays_there_started_anew(jump_j, has_register, tmp_path):
    record = run_of(
        tmp_path,
        LONG_WORK,
        lambda t, joules: joules + (jump_j if t > 101.5 else 0),
        length_s=300,
        windows=LONG,
        has_register=has_register,
    )
    assert "counter-reset" in codes(record)
    for name, (start_s, end_s) in {"run": (0.0, 300.0), "w1": LONG[1]}.items():
        assert record[name].validity == "degraded"
        assert not is_off(record, name, LONG_WORK[1], start_s, end_s)


@pytest.mark.parametrize(("limit_w", "jump_j"), [(None, 1500), (65.0, 150)])
def test_a_cpus_counter_that_jumps_by_more_than_its_package_can_draw_started_anew(limit_w, jump_j, tmp_path):
    load = constant(50.0)
    record = run_of(
        tmp_path,
        load,
        lambda t, joules: joules + (jump_j if t > 12 else 0),
        length_s=30,
        windows=[(10.0, 15.0)],
        limit_w=limit_w,
        component="cpu",
        has_register=False,
        tick_s=0.001,
        known_period=True,
    )
    assert "counter-reset" in codes(record)
    assert not is_off(record, "w0", load[1], 10, 15)


@pytest.mark.parametrize(
    ("component", "by"), [("gpu", 1000.0), ("gpu", 0.001), ("cpu", 16.0), ("dram", 16.0), ("wall", 1e6)]
)
@pytest.mark.parametrize("length_s", [2.0, 8.0, 100.0])
def test_of_a_counter_alone_that_never_told_anything_that_can_be_there_is_no_figure(
    component, by, length_s, tmp_path
):
    record = run_of(
        tmp_path,
        constant(300.0),
        lambda t, joules: by * joules,
        length_s=length_s,
        windows=[(0.5, 1.8)],
        component=component,
        has_register=False,
        limit_w=LIMIT_W if component == "gpu" else None,
    )
    assert "counter-not-used" in codes(record)
    assert "counter-reset" not in codes(record)
    for measurement in record:
        assert not measurement.energy_j, "a silent zero, or a number that nobody measured"
        assert measurement.coverage == {component: 0.0}
        assert measurement.validity == "invalid"


def test_a_counter_that_cannot_be_takes_nothing_from_the_card_beside_it(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(300.0)
    sound, broken = (
        FakeDevice(
            clock=clock,
            power=watts,
            energy=joules,
            device=f"GPU-{number}",
            number=number,
            has_register=not number,
        )
        for number in (0, 1)
    )
    broken.fault = lambda now, kind: 1e6 + 1000 * (joules(broken.tick_before(now)) - joules(ZERO_S))
    with measure(output_dir=tmp_path / "run", sensors=[sound, broken], clock=clock, report=None) as run:
        clock.sleep(8)
    measurement = run.record["run"]
    assert set(measurement.energy_by_channel_j) == {"gpu0.energy"}
    assert measurement.energy_j["gpu"].value == pytest.approx(2400, rel=0.01)
    assert measurement.coverage["gpu"] == pytest.approx(0.5, abs=0.02)
    assert measurement.validity == "invalid"


def test_what_a_counter_jumped_over_before_any_power_was_known_is_not_covered(tmp_path):
    record = run_of(
        tmp_path,
        constant(300.0),
        lambda t, joules: 1000 * joules if t < 5 else 1.5e6 + joules - 1500,
        length_s=300,
        windows=[(1.0, 4.0), (100.0, 103.0)],
        has_register=False,
    )
    assert not record["w0"].energy_j
    assert record["w0"].validity == "invalid"
    assert record["run"].coverage["gpu"] == pytest.approx(295 / 300, abs=0.002)
    assert record["run"].energy_j["gpu"].value == pytest.approx(295 * 300, rel=0.01)
    assert record["w1"].energy_j["gpu"].value == pytest.approx(900, rel=0.01)


@pytest.mark.parametrize("component", ["module", "host", "wall"])
@pytest.mark.parametrize("has_register", [True, False])
def test_a_counter_of_a_whole_machine_that_jumps_started_anew(component, has_register, tmp_path):
    load = constant(300.0)
    record = run_of(
        tmp_path,
        load,
        lambda t, joules: joules + (1500 if t > 5.95 else 0),
        windows=[(4.0, 7.0)],
        component=component,
        has_register=has_register,
        limit_w=None,
    )
    assert "counter-reset" in codes(record)
    assert record["w0"].validity != "valid"
    assert not is_off(record, "w0", load[1], 4, 7)


def test_a_desktop_that_works_hard_for_a_moment_does_not_jump(tmp_path):
    load = steps((-1e9, 40.0), (1005.0, 900.0), (1005.4, 40.0))
    record = run_of(tmp_path, load, windows=[(4.0, 7.0)], component="wall", has_register=False, limit_w=None)
    assert "counter-reset" not in codes(record)
    assert not is_off(record, "w0", load[1], 4, 7)


UNLIMITED = {
    "150 W of 65": constant(150.0),
    "90 W of 65": constant(90.0),
    "72 W of 65": constant(72.0),
    "60 and 140 W of 65": square(60.0, 140.0, 1.0),
    "140 W of 65 for a second in three": square(30.0, 140.0, 3.0, 0.33),
    "120 W of 65 for 3 s": steps((-1e9, 30.0), (1003.0, 120.0), (1006.0, 30.0)),
}


@pytest.mark.parametrize("load", UNLIMITED)
@pytest.mark.parametrize("component", ["cpu", "dram"])
@pytest.mark.parametrize("wraps_at_j", [None, 262.0])
def test_a_package_that_goes_on_above_its_limit_is_not_limited_by_it(load, component, wraps_at_j, tmp_path):
    watts, joules = UNLIMITED[load]
    record = run_of(
        tmp_path,
        (watts, joules),
        length_s=10,
        windows=[(2.0, 8.0)],
        limit_w=65.0,
        component=component,
        has_register=False,
        tick_s=0.001,
        known_period=True,
        wraps_at_j=wraps_at_j,
    )
    assert not codes(record) & {"counter-reset", "power-above-the-limit"}
    for name, (start_s, end_s) in {"run": (0.0, 10.0), "w0": (2.0, 8.0)}.items():
        assert record[name].validity == "valid"
        truth_j = joules(ZERO_S + end_s) - joules(ZERO_S + start_s)
        assert record[name].energy_j[component].value == pytest.approx(truth_j, rel=0.002)


@pytest.mark.parametrize("tick_s", [0.02, 0.1, 1.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize("length_s", [8.0, 35.0, 100.0])
def test_a_counter_that_ticks_seldom_is_no_counter_that_jumps(tick_s, length_s, tmp_path):
    load = constant(390.0)
    record = run_of(tmp_path, load, length_s=length_s, windows=[], tick_s=tick_s)
    assert not codes(record) & {"counter-reset", "counter-disagrees-with-power", "counter-not-used"}


def test_a_limit_that_was_raised_meanwhile_holds_for_the_whole_run(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = steps((-1e9, 100.0), (1012.0, 650.0))
    device = FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1")
    device.condition = lambda: {"power_limit_w": 300.0 if clock.time < 1011 else 700.0}
    found = Detection(sensors=(device,), devices=(Device(id="GPU-1", name="x", power_limit_w=300.0),))
    with measure(output_dir=tmp_path / "run", sensors=[found], clock=clock, report=None) as run:
        clock.sleep(40)
    assert not codes(run.record) & {"counter-reset", "implausible-readings", "power-above-the-limit"}


def test_a_limit_below_what_the_card_draws_nearly_all_the_time_takes_no_reading_away(tmp_path):
    record = run_of(tmp_path, constant(300.0), limit_w=150.0)
    assert not codes(record) & {"counter-reset", "implausible-readings"}
    assert not is_off(record, "run", constant(300.0)[1], 0, 8)


def test_two_cards_that_tell_one_id_are_told(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(300.0)
    cards = [
        FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1", number=number)
        for number in (0, 1)
    ]
    with measure(output_dir=tmp_path / "run", sensors=cards, clock=clock, report=None) as run:
        clock.sleep(8)
    assert "device-told-twice" in codes(run.record)
    assert run.record["run"].validity != "valid"


def play_cards(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at: dict[float, tuple[str, object]], **is_: object
):
    """Cards behind a stand-in for the driver, of which something changes at some times of the run."""
    clock = VirtualClock(virtual_machine.ZERO_S)
    binding = virtual_machine.Nvml(clock, 2)
    for key, value in is_.items():
        setattr(binding, key, value)
    detect = functools.partial(nvml.detect, {}, lambda: binding, pci=folder / "pci", proc=folder / "proc")
    monkeypatch.setattr(nvml, "detect", detect)
    happens = {t: functools.partial(setattr, binding, *change) for t, change in at.items()}
    return play(folder / "run", clock, ["nvml"], happens)


def test_a_card_that_the_driver_lists_only_later_is_missed(tmp_path, monkeypatch):
    record = play_cards(tmp_path, monkeypatch, {2.0: ("count", 2)}, count=1).record
    (told,) = [finding for finding in record.findings if finding.code == "device-appeared"]
    assert told.severity == "degrades"
    assert "NVIDIA H100" in told.message
    assert {measurement.validity for measurement in record} == {"degraded"}


def test_where_no_card_comes_or_one_goes_nothing_is_told(tmp_path, monkeypatch):
    record = play_cards(tmp_path, monkeypatch, {2.0: ("count", 1)}).record
    assert "device-appeared" not in codes(record)


def test_two_cards_of_one_uuid_in_the_drivers_list_are_told(tmp_path, monkeypatch):
    answers = dict(virtual_machine._ANSWERS) | {"nvmlDeviceGetUUID": lambda self, gpu: "GPU-0"}
    monkeypatch.setattr(virtual_machine, "_ANSWERS", answers)
    record = play_cards(tmp_path, monkeypatch, {}).record
    (told,) = [finding for finding in record.findings if finding.code == "device-told-twice"]
    assert told.severity == "degrades"


class Glimpsing(FakeDevice):
    """A card whose register averages 25 of every 100 ms, as those of the A100 and H100 do."""

    def read(self):
        values = dict(super().read())
        tick_s = self.tick_before(self.clock.time)
        values["gpu0.power"] = (self.energy(tick_s) - self.energy(tick_s - 0.025)) / 0.025
        return values


def a_load(rng: random.Random, length_s: float) -> tuple[Power, Energy]:
    """Some sound load; of the waves, none that keeps step with the sensor."""
    low, high = rng.uniform(50, 150), rng.uniform(200, 400)
    match rng.choice(["constant", "steps", "wave", "fast", "sine", "bursts"]):
        case "constant":
            return constant(rng.uniform(60, 400))
        case "steps":
            t, changes = ZERO_S, [(-1e9, 100.0)]
            while t < ZERO_S + length_s:
                changes.append((t, rng.uniform(60, 400)))
                t += rng.expovariate(1 / rng.choice([0.1, 0.5, 3]))
            return steps(*changes)
        case "wave":
            return square(low, high, rng.uniform(0.22, 3), rng.uniform(0.3, 0.7), rng.random())
        case "fast":
            return square(low, high, rng.uniform(0.005, 0.09), rng.uniform(0.3, 0.7), rng.random())
        case "sine":
            return sine(250, rng.uniform(20, 140), rng.uniform(0.22, 3), rng.random())
    return square(
        low, high, 0.1 * (rng.randint(3, 50) + rng.uniform(0.2, 0.8)), rng.uniform(0.05, 0.3), rng.random()
    )


def test_of_a_thousand_windows_of_sound_loads_under_a_part_time_register_next_to_none_is_suspected(tmp_path):
    told = windows = 0
    for seed in range(200):
        rng = random.Random(seed)
        length_s = rng.choice([2.5, 4.0, 8.0, 15.0, 30.0])
        watts, joules = a_load(rng, length_s)
        clock = VirtualClock(ZERO_S)
        device = Glimpsing(
            clock=clock,
            power=watts,
            energy=joules,
            device="GPU-1",
            phase_s=rng.uniform(0, 0.1),
            tick_s=rng.choice([0.02, 0.1, 0.1]),
        )
        found = Detection(sensors=(device,), devices=(Device(id="GPU-1", name="x", power_limit_w=LIMIT_W),))
        with measure(output_dir=tmp_path / str(seed), sensors=[found], clock=clock, report=None) as run:
            while clock.time < ZERO_S + length_s:
                clock.sleep(rng.uniform(0, 0.5))
                with run.window(f"w{clock.time:.3f}"):
                    clock.sleep(rng.choice([0.3, 1.0, 1.5, 3.0, 5.0]) * rng.uniform(1, 1.5))
        windows += len(run.record.measurements)
        suspected = {
            finding.measurement
            for finding in run.record.findings
            if finding.code in ("counter-disagrees-with-power", "counter-not-used", "counter-reset")
        }
        told += len(suspected)
        assert all(
            finding.severity == "degrades"
            for finding in run.record.findings
            if finding.code == "counter-disagrees-with-power"
        )
    assert windows > 1000
    assert told <= windows / 200


# ------------------------------------------------------------------------------------------------------- windows that are short


def many(folder: Path, n: int, step_s: float, pause_s: float) -> tuple[Record, float]:
    """So many windows of one name one after the other, at 400 W, and 100 W in the pauses; and the joules that they truly held."""
    changes, t = [(-1e9, 100.0)], ZERO_S + 2
    for _ in range(n):
        changes += [(t, 400.0), (t + step_s, 100.0 if pause_s else 400.0)]
        t += step_s + pause_s
    watts, joules = (
        steps(*changes[:2], (t, 100.0))
        if not pause_s
        else square(100.0, 400.0, step_s + pause_s, step_s / (step_s + pause_s), ZERO_S + 2)
    )
    clock = VirtualClock(ZERO_S)
    card = FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1", phase_s=0.037)
    with measure(output_dir=folder / "run", sensors=[card], clock=clock, report=None) as run:
        clock.sleep(2)
        for _ in range(n):
            with run.window("step"):
                clock.sleep(step_s)
            clock.sleep(pause_s)
        clock.sleep(2)
    return run.record, n * step_s * 400.0


@pytest.mark.parametrize(("n", "step_s"), [(400, 0.03), (48, 0.25), (2000, 0.004)])
def test_short_windows_without_a_pause_between_them_are_known_as_one_long_window_is(n, step_s, tmp_path):
    record, truth_j = many(tmp_path, n, step_s, 0.0)
    energy = record["step"].energy_j["gpu"]
    assert record["step"].validity == "valid"
    assert energy.value == pytest.approx(truth_j, rel=0.005)
    low, high = energy.interval()
    assert low <= truth_j <= high
    assert [f.severity for f in record.findings if f.code == "window-too-short"] == ["note"]


@pytest.mark.parametrize(
    ("n", "step_s", "pause_s"), [(400, 0.03, 0.0015), (48, 0.25, 0.01), (100, 0.06, 0.06)]
)
def test_with_pauses_that_no_sensor_sees_short_windows_stay_marked(n, step_s, pause_s, tmp_path):
    record, _ = many(tmp_path, n, step_s, pause_s)
    assert record["step"].validity != "valid"


# ------------------------------------------------------------------------------------ what is estimated beside what is measured


class Guess:
    """A model of memory power: one power at any time, that is told only from some moment to another."""

    channels = (
        Channel(id="dram.model", component="dram", device="dram", method="model", accuracy=0.5, period_s=1.0),
    )

    def __init__(self, clock: VirtualClock, since_s: float, until_s: float) -> None:
        self.clock, self.since_s, self.until_s = clock, since_s, until_s

    def read(self):
        t = self.clock.time - ZERO_S
        return {"dram.model": 20.0 if self.since_s <= t <= self.until_s else SensorFailed("not yet")}

    def close(self) -> None:
        pass


def beside_a_card(folder: Path, *models) -> Record:
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(300.0)
    card = FakeDevice(clock=clock, power=watts, energy=joules, phase_s=0.037)
    models = [model(clock) for model in models]
    with measure(output_dir=folder / "run", sensors=[card, *models], clock=clock, report=None) as run:
        clock.sleep(10)
    return run.record


@pytest.mark.parametrize(
    "strike", [virtual_machine.Strike(since_s=-10, until_s=2.5), virtual_machine.Strike(since_s=7.5)]
)
@pytest.mark.parametrize("fault", ["reading fails", "lost"])
def test_what_a_model_missed_takes_nothing_from_the_card_beside_it(strike, fault, tmp_path):
    record = beside_a_card(tmp_path, lambda clock: virtual_machine.Model(clock, fault, strike))
    assert record["run"].coverage["gpu"] == 1.0
    assert record["run"].coverage.get("cpu", 0.0) < 0.9
    assert record["run"].validity == "valid"
    assert [f.severity for f in record.findings if f.code == "partly-measured"] == ["note"]


def test_alone_a_model_that_missed_a_part_is_as_little_as_before(tmp_path):
    clock = VirtualClock(ZERO_S)
    model = virtual_machine.Model(clock, "reading fails", virtual_machine.Strike(since_s=7.5))
    with measure(output_dir=tmp_path / "run", sensors=[model], clock=clock, report=None) as run:
        clock.sleep(10)
    assert run.record["run"].validity == "invalid"


@pytest.mark.parametrize(("since_s", "until_s"), [(1.5, 99.0), (0.0, 8.4), (1.5, 8.4)])
def test_a_model_of_one_power_holds_from_the_start_to_the_end(since_s, until_s, tmp_path):
    record = beside_a_card(tmp_path, lambda clock: Guess(clock, since_s, until_s))
    assert record["run"].coverage == {"gpu": 1.0, "dram": 1.0}
    assert record["run"].energy_j["dram"].value == pytest.approx(200, rel=1e-3)


# ------------------------------------------------------------------------------------------------ what no sound run shows


def a_training(folder: Path, tokens: int, *, into: str, name: str = "NVIDIA H100 80GB HBM3") -> Record:
    """Twelve seconds on a card, with tokens counted into the run or a window of its own name."""
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(600.0)
    card = FakeDevice(clock=clock, power=watts, energy=joules, device="GPU-1", phase_s=0.037)
    device = Device(id="GPU-1", name=name, power_limit_w=700.0, memory_gb=85.9)
    with measure(
        "fine-tuning",
        model=Model(id="o/m", parameters=8_000_000_000),
        output_dir=folder / "run",
        sensors=[Detection(sensors=(card,), devices=(device,))],
        clock=clock,
        report=None,
    ) as run:
        clock.sleep(0.01)
        with run.window("epoch") as window:
            clock.sleep(12)
            (window if into == "epoch" else run).count(token=tokens)
    return run.record


@pytest.mark.parametrize("into", ["run", "epoch"])
def test_more_tokens_than_a_card_can_work_out_are_found_in_whatever_window_they_were_counted(into, tmp_path):
    record = a_training(tmp_path, 3_072_000, into=into)
    found = [(f.measurement, f.severity) for f in record.findings if f.code == "faster-than-arithmetic"]
    assert (into, "disqualifies") in found
    assert record[into].validity == "invalid"


def test_what_a_card_can_work_out_speaks_against_nothing(tmp_path):
    assert a_training(tmp_path, 300_000, into="epoch")["epoch"].validity == "valid"


def test_a_mean_above_the_cards_own_limit_is_never_valid(tmp_path):
    record = run_of(tmp_path, constant(500.0), limit_w=400.0)
    assert {measurement.validity for measurement in record} == {"invalid"}
    assert "power-above-the-limit" in codes(record)


def test_work_that_is_counted_at_the_end_alone_or_in_batches_is_no_surprise(tmp_path):
    clock = VirtualClock(ZERO_S)
    watts, joules = constant(300.0)
    card = FakeDevice(clock=clock, power=watts, energy=joules)
    rng = random.Random(1)
    with measure(output_dir=tmp_path / "run", sensors=[card], clock=clock, report=None) as run:
        with run.window("at the end") as window:
            clock.sleep(20)
            window.count(token=10**6)
        with run.window("in batches") as window:
            for _ in range(100):
                clock.sleep(rng.uniform(0.1, 0.9))
                window.count(token=rng.randint(10, 2000))
        with run.window("by the epoch") as window:
            for _ in range(3):
                clock.sleep(10)
                window.count(token=10**5)
    assert not codes(run.record) & {"work-all-at-once", "counts-contradict"}


# --------------------------------------------------------------------------------------------- what is uncertain at any power


def test_an_idle_figure_is_not_surer_than_the_part_of_the_sensors_error_that_is_in_watts(tmp_path):
    for watts in (20.0, 300.0):
        (tmp_path / str(watts)).mkdir()
        record = run_of(tmp_path / str(watts), constant(watts), windows=[])
        sure = record["run"].energy_j["gpu"].systematic / record["run"].energy_j["gpu"].value
        assert sure == pytest.approx(0.04, rel=1e-3), "without such a part nothing moves"
    for name, limit_mw, offset_w in (
        ("NVIDIA H100 80GB HBM3", 700_000, 2.89),
        ("NVIDIA GeForce RTX 4090", 450_000, 9.0),
    ):
        answers = dict(virtual_machine._ANSWERS)
        answers["nvmlDeviceGetName"] = lambda self, gpu, name=name: name
        answers["nvmlDeviceGetEnforcedPowerLimit"] = lambda self, gpu, limit_mw=limit_mw: limit_mw
        folder = tmp_path / name
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(virtual_machine, "_ANSWERS", answers)
            record = play_cards(folder, patch, {}, count=1).record
        assert {channel.accuracy_w for channel in record.channels} == {offset_w}
        energy = record["run"].energy_j["gpu"]
        expected_j = ((0.04 * energy.value) ** 2 + (offset_w * 20) ** 2) ** 0.5
        assert energy.systematic == pytest.approx(expected_j, rel=1e-3)
        assert record["run"].doubt_from == {"gpu": "sensor gain"}


def test_a_wall_meter_that_counts_twice_what_its_power_adds_up_to_is_not_valid_after_eight_seconds(tmp_path):
    record = run_of(
        tmp_path, constant(60.0), lambda t, joules: 2 * joules, windows=[], component="wall", limit_w=None
    )
    assert record["run"].validity == "invalid"
    assert "counter-disagrees-with-power" in codes(record)
