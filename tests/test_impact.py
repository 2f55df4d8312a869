"""Energy to grams: the country's factor with its year, and no guess without a zone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, NotMeasured, measure
from energy_rating.cli import cli
from energy_rating.formats import read_record
from energy_rating.impact import footprint
from energy_rating.publishers import text, words
from energy_rating.rating import is_example
from energy_rating.records import Finding

EXAMPLE = Path(__file__).parents[1] / "reports" / "example-gpu"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    clock = VirtualClock()
    power, energy = constant(360)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    cpu = FakeDevice(
        clock=clock, power=lambda t: 40.0, energy=lambda t: 40.0 * t, component="cpu", device="package-0"
    )
    folder = tmp_path_factory.mktemp("run")
    with measure("pre-training", output_dir=folder, sensors=[gpu, cpu], clock=clock, report=None) as run:
        clock.sleep(9000)
    return run.record


def test_a_kilowatt_hour_in_france_is_what_the_table_says_of_france(record):
    found = footprint(record, zone="FRA")
    assert found.energy_j.value == pytest.approx(3.6e6, rel=0.001)
    assert found.carbon_g.value == pytest.approx(found.intensity_g_per_kwh, rel=0.001)
    assert 20 < found.intensity_g_per_kwh < 100
    assert found.year >= 2021
    assert (found.zone, found.zone_name) == ("FRA", "France")
    assert found.components == ("gpu", "cpu")
    assert found.missing == ("dram",)
    assert found.pue is None


def test_the_doubt_of_the_energy_is_the_doubt_of_the_carbon(record):
    found = footprint(record, zone="fra")
    assert found.carbon_g.sigma / found.carbon_g.value == pytest.approx(
        found.energy_j.sigma / found.energy_j.value
    )


@pytest.mark.parametrize(
    ("zone", "says"),
    [("France", "did you mean FRA"), ("XXX", "no carbon factor"), ("", "no carbon factor"), ("FRAA", "FRA")],
)
def test_an_unknown_zone_is_refused_with_help(record, zone, says):
    with pytest.raises(BadInput, match=says):
        footprint(record, zone=zone)


def test_no_energy_has_no_carbon(tmp_path):
    clock = VirtualClock()
    with measure(output_dir=tmp_path, sensors=[], clock=clock, report=None) as run:
        clock.sleep(1)
    with pytest.raises(NotMeasured):
        footprint(run.record, zone="FRA")


def test_a_module_is_a_whole_and_never_added_to_its_parts(record):
    run = record["run"]
    module = run.energy_j["gpu"].times(2)
    found = footprint(
        replace(record, measurements=(replace(run, energy_j={**run.energy_j, "module": module}),)), zone="FRA"
    )
    assert found.components == ("module",)
    assert found.energy_j == module
    assert found.missing == ()


def test_what_the_measurement_is_worth_goes_with_the_grams(record):
    sound = footprint(record, zone="FRA")
    assert (sound.validity, sound.coverage) == ("valid", {"gpu": 1.0, "cpu": 1.0})
    assert "valid" not in text.impact(sound)
    stuck = Finding(code="counter-stuck", message="stood still", severity="disqualifies", measurement="run")
    run = replace(record["run"], coverage={"gpu": 0.4, "cpu": 1.0})
    found = footprint(replace(record, measurements=(run,), findings=(stuck,)), zone="FRA")
    assert (found.validity, found.coverage["gpu"]) == ("invalid", 0.4)
    told = text.impact(found)
    assert "'run' is invalid: not to be relied on" in " ".join(told.split())
    assert "only a part was seen, and the figure is that part's: gpu 40 %" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 80


def test_the_carbon_of_a_device_that_does_not_exist_says_so():
    record = read_record(EXAMPLE)
    assert is_example(record)
    line = text.impact(footprint(record, zone="DEU"), example=True).splitlines()
    assert line[0] == words.EXAMPLE
    result = CliRunner().invoke(cli, ["impact", str(EXAMPLE), "--zone", "DEU"])
    assert result.output.splitlines() == line
