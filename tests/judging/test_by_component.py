"""What befalls one component says nothing of another: above all no estimate spoils what is measured beside it."""

from __future__ import annotations

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import NotMeasured, measure
from energy_rating.nouns.errors import SensorFailed, SensorLost
from energy_rating.nouns.records import Channel
from energy_rating.publishing.facts import one_line


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Estimate:
    """A model of the processor: late, or wrong, or gone."""

    channels = (
        Channel(id="cpu.model", component="cpu", device="cpu", method="model", accuracy=0.5, period_s=1.0),
    )

    def __init__(self, clock, answers):
        self.clock, self.answers = clock, answers

    def read(self):
        return {"cpu.model": self.answers(self.clock.time - 1000.0)}

    def close(self):
        pass


def gpu(clock):
    power, energy = constant(300)
    return FakeDevice(clock=clock, power=power, energy=energy)


def measured(tmp_path, clock, *sensors):
    with measure(output_dir=tmp_path / "run", sensors=sensors, clock=clock, report=None) as run:
        clock.sleep(1)
        with run.window("work") as window:
            clock.sleep(9)
            window.count(token=90)
    return run.record


def late(t):
    return SensorFailed("it is being loaded") if t < 3 else 8.0 + 0.1 * (t % 2)


def mad(t):
    return 1e5 if t % 2 < 1 else 8.0


def gone(t):
    if t > 5:
        raise SensorLost("the model is gone", "")
    return 8.0 + 0.1 * (t % 2)


@pytest.mark.parametrize("answers", [late, mad, gone])
def test_an_estimate_never_spoils_a_measured_gpu(tmp_path, answers):
    clock = VirtualClock()
    record = measured(tmp_path, clock, gpu(clock), Estimate(clock, answers))
    assert {one.validity for one in record} == {"valid"}
    assert record.validity_of("run", "gpu") == "valid"
    assert record.findings, "and what befell it is told"


def test_a_counter_that_is_lost_spoils_its_own_component_alone(tmp_path):
    clock = VirtualClock()
    power, energy = constant(50)

    def fails(t, kind):
        if t > 1006:
            raise SensorLost("it is gone", "")

    cpu = FakeDevice(
        clock=clock,
        power=power,
        energy=energy,
        component="cpu",
        device="package-0",
        has_register=False,
        fault=fails,
    )
    record = measured(tmp_path, clock, gpu(clock), cpu)
    assert record["run"].validity == "invalid"
    assert record.validity_of("run", "cpu") == "invalid"
    assert record.validity_of("run", "gpu") == record.validity_of("work", "gpu") == "valid"
    assert "partly-measured of cpu" in one_line(record)


def test_what_concerns_the_whole_run_concerns_each_component(tmp_path):
    clock = VirtualClock()
    with measure(output_dir=tmp_path / "run", sensors=[gpu(clock)], clock=clock, report=None) as run:
        clock.sleep(5)
        run.tell("counts-disagree", "told for the test", measurement="run")
    assert run.record.validity_of("run", "gpu") == run.record["run"].validity == "degraded"


def test_a_measurement_that_there_is_not_is_asked_for_in_vain(tmp_path):
    clock = VirtualClock()
    record = measured(tmp_path, clock, gpu(clock))
    with pytest.raises(NotMeasured):
        record.validity_of("epoch", "gpu")
