"""Energy to grams: the country's factor with its year, and no guess without a zone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, NotMeasured, measure
from energy_rating.cli import cli
from energy_rating.files.record import read_record, write_record
from energy_rating.judging.footprint.carbon import footprint
from energy_rating.judging.footprint.countries import THREE_OF_TWO, near
from energy_rating.judging.profiles import is_example
from energy_rating.nouns.records import Finding, Place
from energy_rating.publishing import words
from energy_rating.publishing.terminal import records

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"


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


def test_the_doubt_of_the_energy_and_that_of_the_factor_stand_apart_and_together(record):
    found = footprint(record, zone="fra")
    alone = found.energy_j.sigma / found.energy_j.value
    assert found.carbon_energy_g.sigma / found.carbon_g.value == pytest.approx(alone)
    low, high = found.carbon_factor_g.interval()
    kwh = found.energy_j.value / 3.6e6
    assert low == pytest.approx(found.factor.lowest * kwh)  # all that is published is in its interval
    assert found.factor.highest * kwh <= high * (1 + 1e-12)
    assert found.carbon_g.sigma == pytest.approx(
        (found.carbon_energy_g.sigma**2 + found.carbon_factor_g.sigma**2) ** 0.5
    )
    told = words.whose_doubt(found)
    assert "the energy's ± " in told
    assert "the factor's ± " in told
    assert "published are 41.4 to 56.0 g/kWh" in told
    one_figure = footprint(record, zone="US-CA")
    assert one_figure.carbon_factor_g.sigma == 0
    assert "is the energy's alone: how far off the factor is, is not known" in words.whose_doubt(one_figure)


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        ("France", r"did you mean FRA \(France\)\?"),
        ("FR", r"did you mean FRA \(France\)\?"),
        ("de", r"did you mean DEU \(Germany\)\?"),
        ("US-XX", r"or USA \(United States\)\?"),
        ("USA/californa", r"did you mean US-CA \(California\)"),
        ("California", r"did you mean US-CA \(California\)\?"),
        ("CAN/quebek", r"did you mean CA-QC \(Quebec\)"),
        ("FRA/paris", r"did you mean FRA \(France\)\?"),
        ("aws:eu-west-9", "aws:eu-west-3"),
        ("ovh:gra", "aws:REGION, gcp:REGION or azure:REGION"),
        ("US-CAL-CISO", "--factors electricity-maps-2025"),
        ("world", "no carbon factor"),
        (" uk ", r"did you mean GBR \(United Kingdom\)\?"),
        ("Untied States", r"did you mean USA"),
        ("korea", r"did you mean KOR \(South Korea\)\?"),
        ("congo", r"COG \(Congo\)"),
        ("XXX", "no carbon factor"),
        ("", "no carbon factor"),
        ("FRAA", "FRA"),
    ],
)
def test_an_unknown_zone_is_refused_with_help(record, zone, says):
    with pytest.raises(BadInput, match=says):
        footprint(record, zone=zone)


def test_two_letters_stand_for_the_country_that_its_three_letters_stand_for():
    assert len(THREE_OF_TWO) == 249
    assert len(set(THREE_OF_TWO.values())) == 249
    assert {len(code) for code in THREE_OF_TWO} == {2}
    names = {"CHE": "Switzerland", "SWE": "Sweden", "ZAF": "South Africa"}
    assert [near(code, names) for code in ("CH", "se", "ZA", "SA", "FR")] == [
        ("CHE",),
        ("SWE",),
        ("ZAF",),
        (),
        (),
    ]


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
    assert "valid" not in records.impact(sound)
    stuck = Finding(code="counter-stuck", message="stood still", severity="disqualifies", measurement="run")
    run = replace(record["run"], coverage={"gpu": 0.4, "cpu": 1.0})
    found = footprint(replace(record, measurements=(run,), findings=(stuck,)), zone="FRA")
    assert (found.validity, found.coverage["gpu"]) == ("invalid", 0.4)
    told = records.impact(found)
    assert "'run' is invalid: not to be relied on" in " ".join(told.split())
    assert "only a part was seen, and the figure is that part's: gpu 40 %" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 80


def test_the_carbon_of_a_device_that_does_not_exist_says_so():
    record = read_record(EXAMPLE)
    assert is_example(record)
    found = footprint(record, zone="DEU")
    line = records.impact(found, example=True).splitlines()
    assert line[0] == words.EXAMPLE
    result = CliRunner().invoke(cli, ["impact", str(EXAMPLE), "--zone", "DEU"])
    assert result.output.splitlines()[: len(line)] == line
    assert (
        result.output.splitlines()
        == records.footprint(found, example=True, created=record.created).splitlines()
    )


def test_without_a_zone_it_is_that_of_the_place_where_the_record_says_it_ran(record):
    there = replace(record, place=Place(zone="FRA", region="europe-west9", provider="gcp"))
    found = footprint(there)
    assert (found.zone, found.zone_from) == ("FRA", "record")
    assert "France, as the record says, mean of" in " ".join(records.impact(found).split())
    given = footprint(there, zone="DEU")
    assert (given.zone, given.zone_from) == ("DEU", "given")
    assert "as the record says" not in records.impact(given)


@pytest.mark.parametrize("place", [None, Place(region="europe-west9")])
def test_where_nobody_says_a_zone_nothing_is_guessed(record, place):
    with pytest.raises(BadInput, match="does not say where it ran"):
        footprint(replace(record, place=place))


def test_a_place_of_which_there_is_no_factor_is_told_to_be_the_records(record):
    with pytest.raises(BadInput, match="record: there is no carbon factor for the zone 'US-XX'"):
        footprint(replace(record, place=Place(zone="US-XX")))


@pytest.fixture
def ran_in_france(record, tmp_path):
    path = tmp_path / "record.json"
    write_record(replace(record, place=Place(zone="FRA")), path)
    return path


def test_the_commands_take_the_place_of_the_record(ran_in_france, tmp_path):
    result = CliRunner().invoke(cli, ["impact", str(ran_in_france)])
    assert result.exit_code == 0, result.output
    assert "France, as the record says" in " ".join(result.output.split())
    readme = tmp_path / "README.md"
    readme.write_text("# A model\n")
    result = CliRunner().invoke(cli, ["card", str(readme), str(ran_in_france)])
    assert result.exit_code == 0, result.output
    assert "France (FRA), where the record says that it ran" in result.output
    assert 'geographical_location: "France"' in readme.read_text()


def test_a_card_with_emissions_of_somebody_else_keeps_them_where_no_zone_is_given(ran_in_france, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("---\nco2_eq_emissions: 12\n---\n# A model\n")
    result = CliRunner().invoke(cli, ["card", str(readme), str(ran_in_france)])
    assert result.exit_code == 0, result.output
    assert "co2_eq_emissions: 12\n" in readme.read_text()
    assert CliRunner().invoke(cli, ["card", str(readme), str(ran_in_france), "--zone", "FRA"]).exit_code == 1


def test_a_card_is_written_without_emissions_where_the_records_place_has_no_factor(record, tmp_path):
    path, readme = tmp_path / "record.json", tmp_path / "README.md"
    write_record(replace(record, place=Place(zone="US-XX")), path)
    readme.write_text("# A model\n")
    result = CliRunner().invoke(cli, ["card", str(readme), str(path)])
    assert result.exit_code == 0, result.output
    assert "no emissions are written" in result.output
    assert "co2_eq_emissions" not in readme.read_text()


def test_without_a_zone_anywhere_impact_is_used_wrongly(record, tmp_path):
    path = tmp_path / "record.json"
    write_record(record, path)
    result = CliRunner().invoke(cli, ["impact", str(path)], standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert "--zone" in result.exception.message
