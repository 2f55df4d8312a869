"""How closely the sampler follows the ticks, and what the integration makes of one that it missed."""

from __future__ import annotations

import random
import sys
from math import sqrt
from types import SimpleNamespace

import pytest
from virtual import FakeDevice, VirtualClock, constant, sine, square, steps

from energy_rating import measure
from energy_rating.files.reading import read_journal
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.register import Register
from energy_rating.measuring import sensors, survey
from energy_rating.measuring.sampler import MANY_SENSORS, Sampler
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Channel, Samples


@pytest.fixture
def clock():
    return VirtualClock()


def measured(clock, devices, folder, power_starts_s=4.0, window_s=1.0):
    """One window from ``power_starts_s`` on, and what was measured."""
    start = clock.now()
    with measure(output_dir=folder, sensors=devices, clock=clock, report=None) as run:
        clock.sleep(power_starts_s - (clock.now() - start))
        with run.window("job"):
            clock.sleep(window_s)
        clock.sleep(1.0)
    return run.record


def test_a_tick_that_was_bracketed_too_late_is_found_from_its_neighbours():
    # Ticks every 0.1 s; each is bracketed by a reading just before and one just after, but at 1.0 s the first came too late.
    moments, value = [], 0.0
    for tick in range(1, 20):
        moments += [(tick / 10 - 0.004, value), (tick / 10 + 0.004, value + 30)]
        value += 30
    late = [
        (1.0005, energy) if moment == pytest.approx(0.996) else (moment, energy) for moment, energy in moments
    ]
    late = [(moment, 300.0 if moment == 1.0005 else energy) for moment, energy in late]
    samples = Samples(
        start_s=[moment for moment, _ in late],
        end_s=[moment for moment, _ in late],
        values=[energy for _, energy in late],
    )
    counter = Counter(samples, accuracy=0.04)
    (missed,) = [tick for tick in counter.ticks if tick.latest_s == pytest.approx(1.0005)]
    assert missed.width_s < 0.02, "the readings alone leave a tenth of a second open"
    assert missed.earliest_s <= 1.0 <= missed.latest_s


def test_a_job_that_starts_from_idle_is_right_to_a_quarter_of_a_per_cent(tmp_path):
    errors = []
    for trial in range(40):
        clock = VirtualClock()
        start = 1004.0 + random.Random(trial).random() * 0.1
        power, energy = steps((-1e9, 80.0), (start, 400.0), (start + 1.0, 80.0))
        device = FakeDevice(
            clock=clock,
            power=power,
            energy=energy,
            phase_s=random.Random(trial + 1000).uniform(0, 0.1),
            cost_s=2e-4,
        )
        record = measured(clock, [device], tmp_path / str(trial), start - 1000.0)
        errors.append(record["job"].energy_j["gpu"].value / 400.0 - 1)
    assert sqrt(sum(error * error for error in errors) / len(errors)) < 0.0025
    assert abs(sum(errors) / len(errors)) < 0.001


def test_power_that_beats_with_the_ticks_is_doubted(clock, tmp_path):
    power, energy = square(100, 400, 0.103)
    device = FakeDevice(clock=clock, power=power, energy=energy, phase_s=0.05)
    found = measured(clock, [device], tmp_path / "run")["job"].energy_j["gpu"]
    truth = energy(1005.0) - energy(1004.0)
    assert abs(found.value - truth) < 2.5 * found.random
    assert found.random > 0.01 * truth, "each tick holds another part of the wave, and the edges cut ticks"


def test_slow_power_is_not_doubted_for_being_slow(clock, tmp_path):
    power, energy = sine(300, 150, 10.0)
    device = FakeDevice(clock=clock, power=power, energy=energy)
    found = measured(clock, [device], tmp_path / "run")["job"].energy_j["gpu"]
    assert found.value == pytest.approx(energy(1005.0) - energy(1004.0), rel=0.005)
    assert found.random < 0.01 * found.value


def test_many_devices_are_followed_on_a_grid_and_stay_right(clock, tmp_path):
    power, energy = steps((-1e9, 80.0), (1004.0, 400.0), (1005.0, 80.0))
    devices = [
        FakeDevice(
            clock=clock,
            power=power,
            energy=energy,
            number=n,
            device=f"GPU-{n}",
            phase_s=random.Random(n).uniform(0, 0.1),
        )
        for n in range(8 * MANY_SENSORS)
    ]
    record = measured(clock, devices, tmp_path / "run")
    job = record["job"]
    assert job.energy_j["gpu"].value == pytest.approx(400 * len(devices), rel=0.01)
    assert job.validity == "valid"
    for energy_j in job.energy_by_channel_j.values():
        assert abs(energy_j.value - 400) < max(4 * energy_j.random, 2)
    lines = read_journal(tmp_path / "run").sessions[0].samples["gpu3.energy"]
    reads_a_second = len([t for t in lines.start_s if 4 < t < 6]) / 2
    assert reads_a_second < 16, "twice at every second tick or rarer, not twice at each"


def test_an_earlier_run_s_period_lets_following_begin_at_once(clock, tmp_path):
    power, energy = constant(300)
    reads = {}
    for hint in (None, 0.1):
        device = FakeDevice(clock=clock, power=power, energy=energy)
        lines = []
        sampler = Sampler(
            detect=lambda device=device: Detection(sensors=(device,), devices=(gpu(),)),
            write=lines.append,
            clock=clock,
            period_s=0.1,
            hint=lambda _, hint=hint: hint,
        )
        clock.repeat(sampler.step, 1.0)
        sampler.open(clock.now())
        sampler.release()
        clock.sleep(3.0)
        reads[hint] = device.reads
        sampler.close()
        clock.sleep(1.0)
    assert reads[0.1] < 0.6 * reads[None]


def gpu():
    from energy_rating.nouns.records import Device

    return Device(id="GPU-fake", name="fake", driver="1")


def test_a_step_time_in_step_with_the_sensor_is_told(clock, tmp_path):
    power, energy = constant(300)
    for has_counter, severity in ((True, "note"), (False, "degrades")):
        device = FakeDevice(clock=clock, power=power, energy=energy, has_counter=has_counter)
        folder = tmp_path / severity
        with measure(output_dir=folder, sensors=[device], clock=clock, report=None) as run:
            clock.sleep(4)
            for _ in range(12):
                with run.window("in step"):
                    clock.sleep(0.301)
            for _ in range(12):
                with run.window("out of step"):
                    clock.sleep(0.36)
        (found,) = [finding for finding in run.record.findings if finding.code == "in-step"]
        assert (found.measurement, found.severity) == ("in step", severity)
        assert "3 of its periods" in found.message


def test_a_window_s_energy_is_there_while_the_run_goes_on(clock, tmp_path):
    power, energy = constant(300)
    with measure(
        output_dir=tmp_path / "run",
        sensors=[FakeDevice(clock=clock, power=power, energy=energy)],
        clock=clock,
        report=None,
    ) as run:
        clock.sleep(3)
        with run.window("epoch") as window:
            clock.sleep(2)
            window.count(token=10)
        clock.sleep(0.1)
        found = run.so_far()
        assert found["epoch"].energy_per("token").value == pytest.approx(60, rel=0.01)
        assert found["run"].duration_s == pytest.approx(5.1, abs=0.11)
        assert "interrupted" not in [finding.code for finding in found.findings]
    assert run.so_far() == run.record


# --------------------------------------------------------------------------------------------------- quiet times, models


def test_quiet_times_keep_one_line_a_second_for_all_devices_together(clock, tmp_path):
    power, energy = sine(300, 50, 7.3)
    devices = [
        FakeDevice(clock=clock, power=power, energy=energy, number=n, device=f"GPU-{n}", phase_s=0.013 * n)
        for n in range(4)
    ]
    with measure(output_dir=tmp_path / "run", sensors=devices, clock=clock, report=None) as run:
        clock.sleep(100)
        before = run.journal.stat().st_size
        clock.sleep(600)
        grown = run.journal.stat().st_size - before
    assert grown / 600 < 4 * 50, "about 40 bytes a second and device: a week of 8 GPUs is 200 MB"
    truth = energy(clock.now()) - energy(clock.now() - run.record["run"].duration_s)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(4 * truth, rel=1e-3)
    assert run.record["run"].validity == "valid"
    session = read_journal(tmp_path / "run").sessions[0]
    quiet = [t for t in session.samples["gpu1.energy"].start_s if 200 < t < 300]
    assert 95 <= len(quiet) <= 105
    register = Register(session.samples["gpu1.power"], accuracy=0.04, period_s=0.1, lag_s=0.05)
    assert not register.gaps
    integrated = register.between(0.0, run.record["run"].duration_s).energy.value
    assert integrated == pytest.approx(truth, rel=5e-3), (
        "thinned powers are means, so their sum stays the same"
    )


def test_the_run_opens_before_models_are_loaded_and_takes_them_in_when_they_come(tmp_path, monkeypatch):
    started = []

    class Slowly:
        COMPONENTS = ("cpu",)
        MODELLED = True

        @staticmethod
        def detect():
            import time

            started.append(time.monotonic())
            time.sleep(0.3)
            return Detection(sensors=(Constant(),))

    monkeypatch.setattr(sensors, "names", lambda: ("slow",))
    monkeypatch.setattr(sensors, "kind", lambda name: Slowly)
    import time

    with measure(output_dir=tmp_path / "run", report=None) as run:
        opened = time.monotonic()
        assert not run.journal.read_bytes().count(b'"channels":[{')
        time.sleep(0.1)
    assert started
    assert opened - started[0] < 0.3, "the program did not wait for the model"
    record = run.record
    assert record["run"].methods == {"cpu": "model"}
    assert record["run"].energy_j["cpu"].value == pytest.approx(20 * record["run"].duration_s, rel=0.2)
    assert "sensors-late" not in [finding.code for finding in record.findings]


class Constant:
    """A model of 20 W."""

    @property
    def channels(self):
        return (
            Channel(
                id="cpu.model", component="cpu", device="cpu", method="model", accuracy=0.5, period_s=1.0
            ),
        )

    def read(self):
        return {"cpu.model": 20.0}

    def close(self):
        pass


def test_what_is_measured_is_not_modelled_beside(monkeypatch):
    package = Channel(id="cpu0.energy", component="cpu", device="package-0", method="counter", accuracy=0.05)
    rapl = SimpleNamespace(
        COMPONENTS=("cpu", "dram"),
        detect=lambda: Detection(sensors=(SimpleNamespace(channels=(package,), close=lambda: None),)),
    )
    model = SimpleNamespace(
        COMPONENTS=("cpu",), MODELLED=True, detect=lambda: pytest.fail("everything it models is measured")
    )
    kinds = {"codecarbon": model, "rapl": rapl}
    monkeypatch.setattr(sensors, "names", lambda: tuple(kinds))
    monkeypatch.setattr(sensors, "kind", kinds.__getitem__)
    assert [s.channels[0].id for s in survey.detect().sensors] == ["cpu0.energy"]
    turns = survey.InTurn()
    assert len(turns.measuring().sensors) == 1
    assert turns.modelling().sensors == ()


def test_the_kinds_that_model_say_so():
    assert {name for name in sensors.names() if sensors.models(name)} == {"apple", "codecarbon"}


def test_what_a_kind_says_at_the_top_of_its_file_is_what_it_says_once_it_is_loaded():
    for name in sensors.names():
        top, loaded = sensors._read_top(name), sensors.kind(name)
        assert top is not None
        assert ("\nMODELLED = True\n" in top) == getattr(loaded, "MODELLED", False)
        assert sensors.signs_in(top) == getattr(loaded, "SIGNS", ())


def test_a_kind_of_which_no_sign_is_there_is_not_loaded_by_a_run(tmp_path, monkeypatch):
    sign = tmp_path / "sign"
    (tmp_path / "gauge.py").write_text(
        f'COMPONENTS = ("wall",)\nSIGNS = (\n    "{sign}",\n    "$GAUGE_OF_A_TEST",\n)\n'
        "from energy_rating.measuring.sensors import Detection\ndef detect(): return Detection()\n"
    )
    monkeypatch.setattr(sensors, "__path__", [*sensors.__path__, str(tmp_path)])
    assert "gauge" in sensors.names()
    name = f"{sensors.__name__}.gauge"
    monkeypatch.delitem(sys.modules, name, raising=False)
    survey.InTurn().measuring()
    assert name not in sys.modules
    assert not sensors.may_be_here("gauge")
    monkeypatch.setenv("GAUGE_OF_A_TEST", "here")
    assert sensors.may_be_here("gauge")
    monkeypatch.delenv("GAUGE_OF_A_TEST")
    sign.touch()
    assert sensors.may_be_here("gauge")
    survey.InTurn().measuring()
    assert name in sys.modules
    monkeypatch.delitem(sys.modules, name)


def test_a_window_long_after_the_last_edge_is_as_right_as_any(tmp_path):
    errors = []
    for trial in range(20):
        clock = VirtualClock()
        start = 1050.0 + random.Random(trial).random() * 0.2
        power, energy = steps((-1e9, 80.0), (start, 400.0), (start + 1.0, 80.0))
        device = FakeDevice(
            clock=clock, power=power, energy=energy, phase_s=random.Random(trial).uniform(0, 0.1)
        )
        record = measured(clock, [device], tmp_path / str(trial), start - 1000.0)
        errors.append(record["job"].energy_j["gpu"].value / 400.0 - 1)
    assert sqrt(sum(error * error for error in errors) / len(errors)) < 0.003, (
        "every other tick was bracketed until then"
    )
