"""What a record comes to: laws of a footprint, its factors, and what it never does: net, guess, or multiply twice."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, measure
from energy_rating.cli import cli
from energy_rating.files.imports import imported
from energy_rating.files.reading import read_journal
from energy_rating.files.record import read_record, write_record
from energy_rating.judging.footprint import factors, sci
from energy_rating.judging.footprint.carbon import Choices, footprint
from energy_rating.judging.footprint.countries import THREE_OF_TWO
from energy_rating.judging.footprint.embodied import SECONDS_PER_YEAR
from energy_rating.judging.footprint.series import Series, read_series, span_of, started_s
from energy_rating.nouns.entries import Channel, Device, Environment, Finding, Model
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Measurement, Place, Provenance, Record, plain
from energy_rating.publishing import grid_service as asking
from energy_rating.publishing.footprint import gaps_in_words, rows
from energy_rating.publishing.terminal import records

H100 = "NVIDIA H100 80GB HBM3"
EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"


def a_record(
    joules=3.6e6,
    seconds=3600.0,
    *,
    cards=(H100,),
    parts=("gpu", "cpu", "dram"),
    work=None,
    stage="inference",
    **more,
):
    """A record of so many joules, an equal share of each component, as every sensor saw all of it."""
    energies = {
        part: Estimate(value=joules / len(parts), systematic=joules / len(parts) * 0.02) for part in parts
    }
    channels = tuple(
        Channel(
            id=f"{part}{number}", component=part, device=f"{part}-{number}", method="counter", accuracy=0.02
        )
        for part in parts
        for number in range(len(cards) if part == "gpu" else 1)
    )
    by_channel = {
        channel.id: energies[channel.component].times(
            1 / sum(one.component == channel.component for one in channels)
        )
        for channel in channels
    }
    run = Measurement(
        name="run",
        n=1,
        start_s=0.0,
        duration_s=seconds,
        work=work or {"request": 1000, "token": 200_000},
        energy_by_channel_j=by_channel,
        energy_j=energies,
        coverage=dict.fromkeys(parts, 1.0),
        validity="valid",
        methods=dict.fromkeys(parts, "counter"),
    )
    devices = tuple(Device(id=f"gpu-{number}", name=name) for number, name in enumerate(cards))
    said = {
        "run_id": "20261130T120000Z-aaaa",
        "created": "2026-11-30T12:00:00Z",
        "stage": stage,
        "channels": channels,
        "measurements": (run,),
        "findings": (),
        "environment": Environment(devices=devices),
        "provenance": Provenance(version="0.2.0", journal_sha256="0" * 64),
        "model": Model(id="org/name", parameters=1_000_000_000),
    }
    return Record(**{**said, **more})


AMOUNTS = st.floats(1e-3, 1e12)
ZONES = st.sampled_from(
    ["FRA", "POL", "US-CA", "CAN/quebec", "gcp:europe-west9", "aws:eu-west-1", "SE3", "CHN/beijing"]
)


# ------------------------------------------------------------------------------------------------------------- laws


@settings(deadline=None, max_examples=40)
@given(AMOUNTS, ZONES, st.sampled_from([None, "1.2@report", "1.1..1.4@survey"]))
def test_twice_the_energy_is_twice_the_carbon_of_the_electricity_and_the_same_hardware(joules, zone, pue):
    one, two = (footprint(a_record(times * joules), zone=zone, pue=pue) for times in (1, 2))
    assert two.carbon_g.value == pytest.approx(2 * one.carbon_g.value)
    assert two.carbon_g.sigma == pytest.approx(2 * one.carbon_g.sigma)
    assert two.embodied_g == one.embodied_g


@settings(deadline=None, max_examples=30)
@given(ZONES, ZONES, AMOUNTS)
def test_making_the_hardware_does_not_depend_on_where_it_runs(here, there, joules):
    record = a_record(joules)
    assert footprint(record, zone=here).embodied_g == footprint(record, zone=there).embodied_g


@settings(deadline=None, max_examples=30)
@given(AMOUNTS, ZONES, st.floats(1.0, 3.0), st.floats(0.0, 10.0))
def test_parts_add_up_to_the_whole(joules, zone, pue, wue):
    found = footprint(a_record(joules), zone=zone, pue=f"{pue}@report", wue=f"{wue}@report")
    plain_one = footprint(a_record(joules), zone=zone)
    assert found.total_g.value == pytest.approx(found.carbon_g.value + found.embodied_g.value)
    assert found.carbon_g.value == pytest.approx(plain_one.carbon_g.value + found.carbon_overhead_g.value)
    assert found.facility_energy_j.value == pytest.approx(found.energy_j.value * pue)
    if found.water_l is not None:
        assert found.water_l.value == pytest.approx(
            found.water_on_site_l.value + found.water_off_site_l.value
        )


@settings(deadline=None, max_examples=30)
@given(AMOUNTS, st.floats(1.0, 3.0))
def test_the_pue_is_applied_once_and_is_never_in_the_energy(joules, pue):
    record = a_record(joules)
    bare, with_pue = footprint(record, zone="FRA"), footprint(record, zone="FRA", pue=pue)
    assert with_pue.energy_j == bare.energy_j
    assert with_pue.carbon_g.value == pytest.approx(pue * bare.carbon_g.value)
    assert with_pue.water_off_site_l.value == pytest.approx(pue * bare.water_off_site_l.value)
    holding = replace(
        record,
        findings=(Finding.of("energy-holds-pue", "a meter in front of the cooling", data={"pue": pue}),),
    )
    for held in (
        footprint(holding, zone="FRA", pue=2.0),
        footprint(record, zone="FRA", pue=2.0, pue_in_energy="imported"),
    ):
        assert held.carbon_g == bare.carbon_g
        assert held.pue is None
        assert "not multiplied again" in held.why_absent("pue")


def test_water_at_the_site_is_of_the_equipment_and_absent_where_its_part_is_not_known():
    record = a_record()
    holding = replace(record, findings=(Finding.of("energy-holds-pue", "a meter", data={"pue": 1.25}),))
    assert footprint(holding, zone="FRA", wue=1.0).water_on_site_l.value == pytest.approx(0.8)
    found = footprint(record, zone="FRA", wue=1.0, pue_in_energy="imported")
    assert found.water_on_site_l is None
    assert "is not known" in found.why_absent("water_on_site_l")


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 1e9), st.floats(0.0, 1000.0))
def test_nothing_that_was_bought_is_ever_subtracted(offset_g, market):
    record = a_record()
    bare = footprint(record, zone="FRA")
    found = footprint(
        record,
        zone="FRA",
        market=f"{market}@contract",
        offsets=(f"{offset_g}g@registry",),
        captures=(f"{offset_g}g@plant",),
        certificates=("100kWh@certificate",),
    )
    assert (found.carbon_g, found.total_g, found.embodied_g) == (bare.carbon_g, bare.total_g, bare.embodied_g)
    assert found.carbon_market_g.value == pytest.approx(market * found.energy_j.value / 3.6e6)
    assert [one.kind for one in found.offsets] == ["offset", "capture", "certificate"]
    assert found.offsets[0].amount == offset_g


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([H100, "NVIDIA A100-SXM4-40GB"]), min_size=1, max_size=8))
def test_the_order_of_devices_changes_nothing(cards):
    one, other = (footprint(a_record(cards=order), zone="FRA") for order in (cards, cards[::-1]))
    assert one.embodied_g.value == pytest.approx(other.embodied_g.value)


@pytest.mark.parametrize(
    ("g_per_kwh", "hours"), [(0.0, 2), (56.039, 5), (1 / 3, 30), (2999.9, 3), (1e-300, 2), (0.1, 7)]
)
def test_an_hourly_series_that_never_changes_is_the_yearly_figure(hourly_run, g_per_kwh, hours):
    record, journal = hourly_run
    start, _ = span_of(journal, "run")
    times = tuple(start - 1800 + 3600 * hour for hour in range(hours + 3))
    series = Series(times_s=times, g_per_kwh=(g_per_kwh,) * len(times), source="constant")
    found = footprint(record, series=series, journal=journal)
    same = footprint(record, intensity=f"{g_per_kwh}@constant")
    assert found.intensity_g_per_kwh == same.intensity_g_per_kwh == g_per_kwh
    assert found.carbon_g == same.carbon_g
    assert (found.granularity, same.granularity) == ("hourly", "as given")


# --------------------------------------------------------------------------------------------------- hour by hour


@pytest.fixture(scope="module")
def hourly_run(tmp_path_factory):
    """Two hours: 100 W in the first, 300 W in the second."""
    clock = VirtualClock()
    second = clock.time + 3600
    gpu = FakeDevice(
        clock=clock,
        power=lambda t: 100.0 if t < second else 300.0,
        energy=lambda t: 100.0 * t + 200.0 * max(t - second, 0.0),
    )
    folder = tmp_path_factory.mktemp("hourly")
    with measure("inference", output_dir=folder, sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(7200)
    return run.record, read_journal(folder)


def test_each_hour_of_a_run_has_the_intensity_of_its_hour(hourly_run):
    record, journal = hourly_run
    start = started_s(journal.sessions[0])
    series = Series(
        times_s=(start, start + 3600, start + 7200), g_per_kwh=(600.0, 200.0, 0.0), source="grid.csv"
    )
    found = footprint(record, series=series, journal=journal)
    # 0.1 kWh at 600 g and 0.3 kWh at 200 g.
    assert found.carbon_g.value == pytest.approx(60 + 60, rel=2e-3)
    assert found.intensity_g_per_kwh == pytest.approx(300, rel=2e-3)
    assert (found.granularity, found.vintage, found.year) == ("hourly", None, None)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("time,g_per_kwh\n2020-01-01T00:00Z,50\n2020-01-01T01:00Z,60\n", "does not cover the run"),
        ("time,g_per_kwh\n2020-01-01T00:00,50\n", "line 2: a time must say its zone"),
        ("time,g_per_kwh\nyesterday,50\n", "line 2: must be a time"),
        ("time,g_per_kwh\n2020-01-01T00:00Z,-5\n", "line 2: an intensity must be a number of g/kWh from 0"),
        ("time,g_per_kwh\n2020-01-01T00:00Z,nan\n", "line 2: an intensity must be"),
        ("time,g_per_kwh\n2020-01-01T00:00Z\n", "line 2: the line has more or fewer cells"),
        ("time,g_per_kwh\n2020-01-01T01:00Z,1\n2020-01-01T00:00Z,1\n", "times must grow"),
        (
            "time,g_per_kwh\n2020-01-01T00:00Z,1\n2020-01-01T01:00Z,1\n2020-01-01T05:00Z,1\n",
            "there is a hole",
        ),
        ("time,g_per_kwh\n", "two values at least"),
        ("when,what\n1,2\n", "line 1: the first line must name a column time"),
        ("", "line 1"),
    ],
)
def test_a_series_that_says_nothing_of_the_run_is_refused_in_one_line(hourly_run, tmp_path, lines, says):
    path = tmp_path / "grid.csv"
    path.write_text(lines)
    record, journal = hourly_run
    with pytest.raises(BadInput, match=says) as refused:
        footprint(record, series=path, journal=journal)
    assert "\n" not in str(refused.value)


def test_a_file_of_electricity_maps_is_a_series(tmp_path):
    path = tmp_path / "FR_2026_hourly.csv"
    path.write_text(
        "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (Life cycle)\n"
        "2026-01-01 00:00:00,France,France,FR,10.1,30.5\n2026-01-01 01:00:00,France,France,FR,10.2,31.5\n"
    )
    assert read_series(path).g_per_kwh == (30.5, 31.5)


@pytest.mark.parametrize(
    ("grid", "zone", "elsewhere"),
    [
        ("DE", "FRA", True),
        ("FR", "FRA", False),
        ("FR", "aws:eu-west-3", False),
        ("DE", "aws:eu-west-3", True),
        ("US-CAL-CISO", "US-CA", False),
        ("US-CAL-CISO", "CAN", True),
        ("SE-SE1", "SE3", True),
        ("SE-SE3", "SE3", False),
        ("SE-SE3", "SWE", False),
        ("nowhere", "FRA", False),
    ],
)
def test_a_series_of_another_place_than_that_of_the_run_is_refused(
    hourly_run, tmp_path, grid, zone, elsewhere
):
    record, journal = hourly_run
    start = started_s(journal.sessions[0]) // 3600 * 3600
    path = tmp_path / "grid.csv"
    path.write_text(
        "time,zone id,g_per_kwh\n"
        + "".join(
            f"{datetime.fromtimestamp(start + 3600 * hour, UTC).isoformat()},{grid},50\n"
            for hour in range(-1, 9)
        )
    )
    if not elsewhere:
        assert footprint(record, zone=zone, series=path, journal=journal).granularity == "hourly"
        return
    with pytest.raises(BadInput, match=f"the series is of the zone '{grid}', and the run was in {zone}"):
        footprint(record, zone=zone, series=path, journal=journal)


def test_a_series_of_several_zones_is_refused(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(
        "time,zone,g_per_kwh\n2026-01-01T00:00Z,FR,50\n2026-01-01T01:00Z,FR,50\n2026-01-01T02:00Z,DE,400\n"
    )
    with pytest.raises(BadInput, match="line 4: the series is of several zones, 'FR' and 'DE'"):
        read_series(path)


@pytest.mark.parametrize(
    "asked",
    [
        {"price": "1e400EUR"},
        {"price": "1e308EUR"},
        {"offsets": ("1e308t@registry",)},
        {"captures": ("1e400kg@registry",)},
        {"certificates": ("1e400kWh@registry",)},
        {"server": "1e300t@maker"},
        {"zone": 5},
    ],
)
def test_what_nobody_can_have_meant_is_refused_in_one_line(asked):
    with pytest.raises(BadInput) as refused:
        footprint(a_record(3.6e6, 3600.0), **{"zone": "FRA", **asked})
    assert "\n" not in str(refused.value)


def test_the_document_tells_how_many_figures_of_the_first_table_are_of_2022():
    rows = factors.vintage(factors.FIRST).rows.values()
    text = (Path(__file__).parents[2] / "docs" / "footprint.md").read_text()
    assert f"{sum(row.year == 2022 for row in rows)} of {len(rows)} are of 2022" in text


def test_an_imported_energy_that_may_hold_a_pue_is_not_multiplied_by_one(tmp_path):
    """Tasks of CodeCarbon without their run, whose row would tell the PUE (1.5 in this file)."""
    folder = Path(__file__).parents[1] / "data" / "imports" / "codecarbon" / "3.3.2-puetasks"
    (tasks,) = folder.glob("emissions_base_*.csv")
    path = tmp_path / tasks.name
    path.write_bytes(tasks.read_bytes())
    (record,) = imported(path)
    bare, asked = footprint(record, zone="FRA"), footprint(record, zone="FRA", pue="1.2@operator")
    assert asked.carbon_g == bare.carbon_g
    assert asked.pue is None
    assert any("or may hold it" in one.reason for one in asked.absent if one.figure == "pue")
    (whole,) = imported(folder / "emissions.csv")  # of which it is known, and was taken out
    assert footprint(whole, zone="FRA", pue="1.2@operator").pue == 1.2


def test_a_series_needs_the_trace(hourly_run):
    record, _ = hourly_run
    series = Series(times_s=(0.0, 3600.0), g_per_kwh=(1.0, 1.0), source="grid.csv")
    with pytest.raises(BadInput, match="the record alone has none"):
        footprint(record, series=series)


# ------------------------------------------------------------------------------------------------------- factors


def test_every_file_of_factors_says_where_it_comes_from_and_of_which_year():
    for name in factors.vintages():
        one = factors.vintage(name)
        assert one.rows, name
        assert one.link.startswith("https://"), name
        assert one.read.startswith("2026-"), name
        assert "kWh" in one.unit, name
        assert one.licence, name
        assert one.basis, name
        assert one.standing in ("default", "alternative", "share-alike"), name
        assert ("ODbL" in one.licence) == (one.standing == "share-alike"), name
        for zone, row in one.rows.items():
            assert row.name, (name, zone)
            assert row.intensity is None or 0 <= row.intensity < 2000, (name, zone)
            assert row.year is not None or name == "ecologits-0.11", (name, zone)
            assert (row.lowest is None) == (row.highest is None)
            assert row.lowest is None or row.lowest <= row.intensity <= row.highest


def test_what_ships_is_what_codecarbon_ships():
    codecarbon = pytest.importorskip("codecarbon.input").DataSource()
    mix = codecarbon.get_global_energy_mix_data()
    ours = factors.vintage("codecarbon-3.3").rows
    assert len(ours) > 200
    for zone, row in ours.items():
        assert (row.intensity, row.year) == (mix[zone]["carbon_intensity"], mix[zone]["year"])
    states = codecarbon.get_country_emissions_data("usa")
    for zone, row in factors.vintage("egrid-2023").rows.items():
        (state,) = (one for one in states.values() if one.get("regionCode") == zone[3:])
        assert row.intensity == pytest.approx(state["emissions"] * 453.59237 / 1000, rel=1e-5)


def test_two_tables_of_countries_and_provinces_agree_where_they_tell_of_the_same_year():
    """A second source for each: Electricity Maps counts imports, ours what a place makes; most differ by less than a third."""
    for ours, theirs, at_most, least in (
        ("codecarbon-3.3", "electricity-maps-2023", 1.5, 0.75),
        ("canada-2023", "electricity-maps-2023", 1.6, 0.8),
        ("codecarbon-3.3", "ecologits-0.11", 1.4, 0.75),
    ):
        mine, other = factors.vintage(ours).rows, factors.vintage(theirs).rows
        ratios = [
            mine[zone].intensity / other[zone].intensity
            for zone in mine
            if zone in other and mine[zone].year != 2009 and mine[zone].intensity and other[zone].intensity
        ]
        assert len(ratios) >= 10
        near = sum(1 / at_most < ratio < at_most for ratio in ratios) / len(ratios)
        assert near >= least, (ours, theirs, near)


def test_a_province_counts_its_hydropower():
    quebec = factors.factor_of("CAN/quebec")
    assert 20 < quebec.intensity_g_per_kwh < 40
    assert quebec.lowest < quebec.intensity_g_per_kwh < quebec.highest


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("fra", "FRA"),
        ("USA/california", "US-CA"),
        ("usa/CA", "US-CA"),
        ("us-ca", "US-CA"),
        ("USA-CA", "US-CA"),
        ("CAN/Québec", "CA-QC"),
        ("CHN/beijing", "CN-BJ"),
        ("se3", "SE-SE3"),
        ("NOR/NO1", "NO-NO1"),
        ("GCP:Europe-West9", "gcp:europe-west9"),
        ("google: europe-west9", "gcp:europe-west9"),
        ("amazon:eu-west-3", "aws:eu-west-3"),
    ],
)
def test_a_zone_is_known_however_it_is_written(written, zone):
    assert factors.factor_of(written).asked == zone


def test_a_region_without_a_figure_of_its_own_says_whose_it_has():
    found = factors.factor_of("aws:eu-west-3")
    assert (found.asked, found.zone) == ("aws:eu-west-3", "FRA")
    assert "lies in France; Amazon Web Services publishes no figure" in found.stands_for
    state = factors.factor_of("azure:eastus")
    assert state.zone == "US-VA"  # never the whole country where its part is known
    own = factors.factor_of("gcp:europe-west9")
    assert own.stands_for is None
    assert footprint(a_record(), zone="aws:eu-west-3").factor.stands_for == found.stands_for


def test_every_region_of_a_cloud_has_a_factor_and_a_country_that_there_is():
    for name, region in factors.clouds().items():
        found = factors.factor_of(name)
        assert found.intensity_g_per_kwh > 0, name
        assert region.pue is None or 1 < region.pue < 2, name
        assert (region.pue is None) == (region.pue_year is None), name


def test_share_alike_data_are_used_only_where_they_are_named():
    assert "electricity-maps" not in " ".join(factors.factor_of("FRA").published)
    named = footprint(a_record(), zone="FRA", factors="electricity-maps-2025")
    assert (named.vintage, named.year, named.intensity_g_per_kwh) == ("electricity-maps-2025", 2025, 31.0)
    assert "ODbL" in named.factor.licence
    with pytest.raises(BadInput, match="did you mean electricity-maps"):
        footprint(a_record(), zone="FRA", factors="electricity-map-2025")
    with pytest.raises(BadInput, match="There is one in: egrid-2023"):
        footprint(a_record(), zone="US-CA", factors="electricity-maps-2025")


def test_no_country_in_the_tables_is_a_stranger_to_the_list_of_countries():
    assert set(factors.vintage("codecarbon-3.3").rows) - set(THREE_OF_TWO.values()) <= {"XKX"}


# ------------------------------------------------------------------------------------------------------- hardware


def test_the_hardware_of_the_specifications_example_comes_to_its_grams():
    """SCI specification: 1000 kg over four years, an hour of it: around 28 g."""
    record = a_record(cards=(), parts=("wall",), seconds=3600)
    found = footprint(record, zone="FRA", server="1000kg@example", lifetime="4@example")
    assert found.embodied_g.value == pytest.approx(1e6 / (4 * 365 * 24))
    assert round(found.embodied_g.value, 1) == 28.5


def test_an_hour_of_an_h100_holds_all_that_is_published_of_it():
    found = footprint(a_record(seconds=3600.0), zone="FRA")
    low, high = found.embodied_g.interval()
    hour = 3600 / SECONDS_PER_YEAR
    # NVIDIA's 164 kg and Boavizta's 575 kg, an eighth of a server of 2,500 to 5,700 kg, three to six years.
    middle = (164 + 575.2) / 2 + (2500 + 5700) / 16
    assert found.embodied_g.value == pytest.approx(1e3 * middle * hour / 4)
    # All at once at one end, as EcoLogits takes them: what it publishes lies in the interval too.
    assert high == pytest.approx(1e3 * (575.2 + 5700 / 8) * hour / 3)
    assert 0 < low < 1e3 * (164 + 2500 / 8) * hour / 6
    names = {one.name: one for one in found.assumptions}
    assert names["making 1 × NVIDIA H100 SXM 80 GB, each"].lowest == 164
    assert (names["lifetime of the hardware"].lowest, names["lifetime of the hardware"].highest) == (3, 6)
    assert (
        found.why_absent("embodied_adpe_kg_sb")
        == "the metals in it (ADPe) is not published of NVIDIA H100 SXM 80 GB"
    )


def test_of_an_a100_metals_and_primary_energy_are_published():
    found = footprint(a_record(cards=("NVIDIA A100-SXM4-40GB",)), zone="FRA")
    assert found.embodied_adpe_kg_sb.value > 0
    assert found.embodied_primary_energy_j.value > 0


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (
            Device(id="gpu-0", name="Somebody's accelerator"),
            "no hardware profile names Somebody's accelerator",
        ),
        (Device(id="gpu-0", name=H100, mig=True), "is a slice of a card"),
    ],
)
def test_a_card_of_which_nothing_is_published_is_absent_and_named(device, why):
    record = replace(a_record(), environment=Environment(devices=(device,)))
    found = footprint(record, zone="FRA")
    assert found.embodied_g is None
    assert found.total_g is None
    assert why in found.why_absent("embodied_g")
    assert any(gap.whom == "maker" and gap.of == "embodied_g" for gap in found.gaps)


# ---------------------------------------------------------------------------------------- what is told, and what not


def test_every_figure_is_known_or_estimated_or_absent_with_its_reason():
    found = footprint(a_record(), zone="FRA")
    told = plain(found)
    for name in (
        *(
            "carbon_g",
            "carbon_market_g",
            "embodied_g",
            "embodied_primary_energy_j",
            "embodied_adpe_kg_sb",
            "total_g",
        ),
        *("water_on_site_l", "water_off_site_l", "primary_energy_j", "adpe_kg_sb", "cost"),
    ):
        if told[name] is None:
            assert found.why_absent(name), name
        else:
            assert found.known[name] in ("known", "estimated"), name
    assert found.known["energy_j"] == "known"
    assert found.known["carbon_g"] == "estimated"
    own = footprint(
        a_record(),
        zone="FRA",
        intensity="53@the supplier's letter",
        market="0@contract",
        price="0.2EUR@contract",
    )
    assert (own.known["carbon_g"], own.known["carbon_market_g"], own.known["cost"]) == ("known",) * 3
    guessed = replace(a_record()["run"], methods={"gpu": "counter", "cpu": "model", "dram": "model"})
    assert (
        footprint(replace(a_record(), measurements=(guessed,)), zone="FRA", intensity="53@x").known[
            "carbon_g"
        ]
        == "estimated"
    )


def test_who_could_make_it_surer_is_told_with_the_share_of_the_doubt():
    found = footprint(a_record(joules=3.6e4), zone="FRA")
    shares = {gap.what: gap.share_of_doubt for gap in found.gaps}
    assert all(share is None or 0 <= share <= 1 for share in shares.values())
    assert shares["a product carbon footprint (ISO 14067) of card and server"] > 0.1
    assert shares["the PUE of the site"] is None
    assert any("hour by hour" in what for what in shares)
    told = gaps_in_words(found.gaps)
    assert "% of the doubt" in told[0]
    surer = footprint(a_record(joules=3.6e4), zone="FRA", lifetime="4@our books", intensity="53@letter")
    assert surer.total_g.sigma < found.total_g.sigma


def test_money_has_its_currency():
    found = footprint(a_record(), zone="FRA", price="0.25EUR@contract", pue=1.2)
    assert (found.cost.value, found.currency) == (pytest.approx(0.25 * 1.2), "EUR")
    for wrong in ("0.25", "0.25€", "0.25eur", "EUR", "-1EUR"):
        with pytest.raises(BadInput):
            footprint(a_record(), zone="FRA", price=wrong)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"pue": 0.9}, "a PUE must be from 1 to 5; got 0.9"),
        ({"pue": "much"}, "must be a PUE, a number with its source; got 'much'"),
        ({"pue": "published"}, "is published of a cloud's region, and none is named"),
        ({"zone": "aws:eu-west-3", "pue": "published"}, "publishes no PUE of aws:eu-west-3"),
        ({"wue": -1}, "a WUE in L/kWh must be from 0"),
        ({"intensity": "53"}, "must name its source"),
        ({"intensity": "-3@x"}, "must be from 0 to 5000; got -3"),
        ({"intensity": "nan@x"}, "a number with its source"),
        ({"intensity": "60..50@x"}, "must begin with its lower end"),
        ({"intensity": "53@"}, "a source must be a short text"),
        ({"market": 0}, "must name its source"),
        ({"offsets": ("3@x",)}, "must be an amount in g, kg or t"),
        ({"offsets": ("3kg",)}, "must name its source"),
        ({"offsets": "3kg@x"}, "must be a list of amounts"),
        ({"certificates": ("3@x",)}, "must be an amount in kWh"),
        ({"lifetime": 0}, "a lifetime in years must be from 0.1"),
        ({"per": "image"}, "no 'image' was counted in 'run'. Counted are: request, token"),
        ({"because": "so"}, "is said of a functional unit, and none was named"),
        ({"per": "request", "counting": "net"}, "must be gross or effective"),
        ({"colour": "green"}, "there is nothing called 'colour' to ask for"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, says):
    with pytest.raises(BadInput, match=says) as refused:
        footprint(a_record(), **{"zone": "FRA", **asked})
    assert "\n" not in str(refused.value)


def test_a_password_in_a_source_is_not_told():
    found = footprint(a_record(), zone="FRA", intensity="53@https://bob:hunter22@grid.example/x")
    assert "hunter22" not in json.dumps(plain(found))


def test_the_place_of_a_record_may_be_a_clouds_region():
    there = replace(a_record(), place=Place(region="europe-west9", provider="gcp"))
    found = footprint(there)
    assert (found.zone, found.zone_from) == ("gcp:europe-west9", "record")


# ------------------------------------------------------------------------------------------------ a standard's name


def test_a_score_is_called_by_the_standards_name_only_where_all_that_it_demands_is_there():
    whole = a_record()
    score = footprint(whole, zone="FRA", per="request", because="it is what users ask for").per_unit
    assert score.name == sci.SCI
    assert (
        footprint(whole, zone="FRA", per="request").per_unit.name
        == "operational and embodied carbon per request"
    )
    ai = footprint(whole, zone="FRA", per="token", because="it is what is sold", counting="gross").per_unit
    assert ai.name == sci.SCI_CONSUMER
    gpu_only = a_record(parts=("gpu",))
    short = footprint(gpu_only, zone="FRA", per="request", because="x").per_unit
    assert short.name == "operational and embodied carbon per request"
    assert (
        next(one.what for one in short.conditions if not one.held)
        == "all that draws much is inside its boundary"
    )
    unknown = a_record(cards=("Somebody's accelerator",))
    assert (
        footprint(unknown, zone="FRA", per="request", because="x").per_unit.name
        == "operational carbon per request"
    )
    training = footprint(
        a_record(stage="pre-training"), zone="FRA", per="token", because="x", counting="effective"
    ).per_unit
    assert training.name == sci.SCI  # one run: a provider's score counts all runs
    assert not next(one for one in training.conditions if one.what == "all runs are in it").held


def test_market_based_figures_and_offsets_are_in_no_score():
    bare = footprint(a_record(), zone="FRA", per="request", because="x").per_unit
    bought = footprint(
        a_record(), zone="FRA", per="request", because="x", market="0@contract", offsets=("1t@registry",)
    ).per_unit
    assert bought.carbon_g == bare.carbon_g
    assert bare.name == sci.SCI
    # A contract's zero is not the grid's, by whichever option it comes in.
    laundered = footprint(
        a_record(), intensity="0@our supplier", per="request", because="x", counting="gross"
    ).per_unit
    assert laundered.name == "operational and embodied carbon per request"
    assert not next(one for one in laundered.conditions if "location-based" in one.what).held


def test_the_worked_examples_of_sci_for_ai_come_out_right():
    """SPEC.md 9.1: 5,000 kg and 1,500 kg over 50 billion tokens are 130 g per million (its own summary says 0.13 g)."""
    record = a_record(
        joules=5e6 / 50 * 3.6e6, work={"token": 50_000_000_000}, cards=(), parts=("wall",), seconds=3600
    )
    found = footprint(
        record, intensity="50@example", server="1500kg@example", lifetime=f"{3600 / SECONDS_PER_YEAR * 1000}@example",
        per="token", because="example", counting="gross",
    )  # fmt: skip
    assert found.embodied_g.value == pytest.approx(1500)  # a thousandth of the life
    assert found.carbon_g.value == pytest.approx(5e6)
    week = sci.sci(
        record, record["run"], unit="token", operational_g=Estimate(value=5e6), embodied_g=Estimate(value=1.5e6),
        components=("wall",), missing=(), has_pue=True, rationale="example", counting="gross",
    )  # fmt: skip
    assert week.carbon_g.value * 1e9 == pytest.approx(130e3)
    assert week.carbon_g.value * 1e6 == pytest.approx(130)


# ---------------------------------------------------------------------------------------------------------- live


class GridService(BaseHTTPRequestHandler):
    """What Electricity Maps answers, hour by hour; ``broken`` says otherwise."""

    broken: str | None = None
    seen: list[tuple[str, str]] = []

    def do_GET(self):
        from datetime import UTC, datetime, timedelta
        from urllib.parse import parse_qs, urlsplit

        GridService.seen.append((self.path, self.headers.get("auth-token", "")))
        query = parse_qs(urlsplit(self.path).query)
        start = datetime.fromisoformat(query["start"][0]).astimezone(UTC)
        end = datetime.fromisoformat(query["end"][0]).astimezone(UTC)
        data, hour = [], start
        while hour < end:
            data.append(
                {
                    "datetime": f"{hour:%Y-%m-%dT%H:%M:%S.000Z}",
                    "carbonIntensity": 80,
                    "zone": query["zone"][0],
                }
            )
            hour += timedelta(hours=1)
        body = json.dumps(
            {"zone": query["zone"][0], "data": data[:0] if self.broken == "empty" else data}
        ).encode()
        if self.broken == "words":
            body = b"<html>please log in</html>"
        status = 401 if self.broken == "refused" else 302 if self.broken == "elsewhere" else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/steal")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.broken == "slow":
            threading.Event().wait(1.5)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def grid_service():
    GridService.broken, GridService.seen = None, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), GridService)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {asking.ADDRESS: f"http://127.0.0.1:{server.server_port}", asking.TOKEN: "canary-token"}
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_service_is_asked_for_the_hours_of_the_run_and_the_result_says_so(hourly_run, grid_service):
    record, journal = hourly_run
    series, answer = asking.asked("FRA", *span_of(journal, "run"), environ=grid_service)
    assert answer.answered
    found = footprint(record, zone="FRA", series=series, journal=journal, live=answer)
    assert (found.intensity_g_per_kwh, found.granularity, found.source) == (80, "hourly", "Electricity Maps")
    assert found.live == answer
    assert found.zone == "FRA"
    ((path, token),) = GridService.seen
    assert "zone=FR&" in path
    assert token == "canary-token"
    assert "canary-token" not in json.dumps(plain(found))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("refused", "it answered with status 401"),
        ("elsewhere", "it answered with status 302"),
        ("words", "cannot be read"),
        ("empty", "cannot be read"),
        ("slow", "it did not answer in time"),
    ],
)
def test_where_the_service_tells_nothing_the_stored_figure_stands_in_and_says_so(
    hourly_run, grid_service, broken, why
):
    record, journal = hourly_run
    GridService.broken = broken
    series, answer = asking.asked("FRA", *span_of(journal, "run"), environ=grid_service, wait_s=0.5)
    assert series is None
    assert not answer.answered
    assert why in answer.why
    found = footprint(record, zone="FRA", series=series, journal=journal, live=answer)
    assert found.carbon_g == footprint(record, zone="FRA").carbon_g
    assert "was asked and told nothing" in " ".join(records.impact(found).split())


def test_nobody_is_asked_without_a_token_or_of_a_zone_that_it_may_not_know(hourly_run):
    _, journal = hourly_run
    span = span_of(journal, "run")
    assert "is not set" in asking.asked("FRA", *span, environ={})[1].why
    assert (
        "could not be reached"
        in asking.asked("FRA", *span, environ={asking.TOKEN: "t", asking.ADDRESS: "http://127.0.0.1:9"})[
            1
        ].why
    )
    assert asking.zone_for("aws:us-west-1") == "US-CAL-CISO"
    assert asking.zone_for("CA-QC") == "CA-QC"
    assert asking.zone_for("gcp:us-east2") is None


# ------------------------------------------------------------------------------------------------------- commands


def test_the_command_prints_a_table_in_which_a_quantity_has_one_unit(tmp_path):
    path = tmp_path / "record.json"
    write_record(a_record(), path)
    asked = [
        "impact",
        str(path),
        "--zone",
        "gcp:europe-west1",
        "--pue",
        "published",
        "--market",
        "0@contract",
        "--per",
        "request",
    ]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    told = footprint(read_record(path), zone="gcp:europe-west1", pue="published")
    units = {row.amount.split()[-2] for row in rows(told) if row.amount and row.amount.endswith("CO2e")}
    assert len(units) == 1
    assert "PUE 1.09" in " ".join(result.output.split())
    assert "Who could make it surer" in result.output


def test_json_holds_all_figures_with_their_doubt_and_sources(tmp_path):
    path = tmp_path / "record.json"
    write_record(a_record(), path)
    result = CliRunner().invoke(cli, ["impact", str(path), "--zone", "FRA", "--pue", "1.2@report", "--json"])
    told = json.loads(result.output)
    assert told["carbon_g"]["value"] == pytest.approx(1.2 * 56.039)
    assert (told["vintage"], told["granularity"], told["pue"]) == ("codecarbon-3.3", "yearly mean", 1.2)
    assert {"value", "random", "systematic"} == set(told["embodied_g"])
    assert all(one["source"] for one in told["assumptions"])
    assert {"figure", "reason", "remedy"} == set(told["absent"][0])
    assert {"whom", "who", "what", "of", "share_of_doubt"} == set(told["gaps"][0])


@pytest.mark.parametrize(
    "asked",
    [
        ["--zone", "mars"],
        ["--zone", "FRA", "--price", "0.2"],
        ["--zone", "FRA", "--pue", "0.5"],
        ["--zone", "FRA", "--intensity=-1@x"],
        ["--zone", "FRA", "--series", "nowhere.csv"],
        ["--zone", "FRA", "--factors", "none-such"],
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1(tmp_path, asked):
    from energy_rating.cli import main

    path = tmp_path / "record.json"
    write_record(a_record(), path)
    with pytest.raises(SystemExit) as ended:
        main(["impact", str(path), *asked])
    assert ended.value.code == 1


def test_the_command_matches_a_series_with_the_run_of_a_folder(tmp_path):
    clock = VirtualClock()
    power, energy = constant(100)
    with measure(
        "inference",
        output_dir=tmp_path / "run",
        sensors=[FakeDevice(clock=clock, power=power, energy=energy)],
        clock=clock,
        report=None,
    ) as run:
        clock.sleep(100)
    began = started_s(read_journal(tmp_path / "run").sessions[0])
    from datetime import UTC, datetime

    with (tmp_path / "grid.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "g_per_kwh"])
        for minute in range(5):
            writer.writerow([datetime.fromtimestamp(began + 60 * minute, UTC).isoformat(), 100 + minute])
    result = CliRunner().invoke(
        cli, ["impact", str(run.folder), "--series", str(tmp_path / "grid.csv"), "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["granularity"] == "every 1 min"
    assert told["intensity_g_per_kwh"] == pytest.approx(100.4, abs=0.02)
    lonely = tmp_path / "alone.json"
    write_record(run.record, lonely)
    alone = CliRunner().invoke(cli, ["impact", str(lonely), "--series", str(tmp_path / "grid.csv")])
    assert "the record alone has none" in str(alone.exception)


def test_choices_that_were_made_give_the_same_footprint_again():
    choices = Choices(pue="1.2@report", price="0.2EUR", offsets=("1kg@registry",))
    again = Choices(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(json.dumps(choices.said())).items()
        }
    )
    assert footprint(a_record(), zone="FRA", choices=again) == footprint(
        a_record(), zone="FRA", choices=choices
    )


# -------------------------------------------------------------------------------------------------------- the card


@pytest.fixture
def published(tmp_path):
    """A training of a real journal, and a model card beside it."""
    clock = VirtualClock()
    power, energy = constant(100)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(
        "fine-tuning", model="org/name", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None
    ) as run:
        clock.sleep(3600)
        run.count(token=1000)
    readme = tmp_path / "README.md"
    readme.write_text("# Model\n")
    return run.folder, readme


ASKED = [
    "--pue",
    "1.1..1.3@survey",
    "--market",
    "0@contract",
    "--offset",
    "1kg@registry",
    "--price",
    "0.2EUR",
]


@pytest.mark.parametrize(
    "asked", [["--zone", "gcp:europe-west9"], ["--zone", "US-CA", *ASKED], ["--intensity", "53@letter"]]
)
def test_a_card_holds_the_footprint_and_can_be_checked_and_removed(published, asked):
    folder, readme = published
    result = CliRunner().invoke(cli, ["card", str(readme), str(folder), *asked])
    assert result.exit_code == 0, result.output
    text = readme.read_text()
    assert "| Footprint | Amount | Rests on |" in text
    assert "| Carbon of the electricity | **estimated** " in text or "| Carbon of the electricity | " in text
    grams_told = float(text.partition("emissions: ")[2].split()[0])
    (path,) = folder.glob("record.json")
    zone = asked[1] if asked[0] == "--zone" else None
    found = footprint(
        read_record(path), zone=zone, pue="1.1..1.3@survey" if "--pue" in asked else None,
        intensity="53@letter" if zone is None else None,
    )  # fmt: skip
    assert grams_told == pytest.approx(found.carbon_g.value, rel=1e-3)
    checked = CliRunner().invoke(cli, ["verify", str(folder), "--card", str(readme)])
    assert checked.exit_code == 0, checked.output
    again = CliRunner().invoke(cli, ["card", str(readme), str(folder), *asked])
    assert "Unchanged: " in again.output
    assert CliRunner().invoke(cli, ["card", str(readme), "--remove"]).exit_code == 0
    assert readme.read_text() == "# Model\n"


def test_a_forged_footprint_is_found(published):
    folder, readme = published
    CliRunner().invoke(cli, ["card", str(readme), str(folder), "--zone", "FRA"])
    text = readme.read_text()
    (line,) = (one for one in text.splitlines() if one.startswith("| Water of the electricity"))
    readme.write_text(text.replace(line, line.replace("**estimated** ", "")))
    checked = CliRunner().invoke(cli, ["verify", str(folder), "--card", str(readme)])
    assert checked.exit_code == 1
    assert "Water of the electricity" in checked.output


def test_inference_gets_a_footprint_and_no_emissions_in_the_metadata(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Model\n")
    result = CliRunner().invoke(cli, ["card", str(readme), str(EXAMPLE), "--zone", "FRA"])
    assert result.exit_code == 0, result.output
    text = readme.read_text()
    assert "co2_eq_emissions" not in text
    assert "| Per request | **estimated** " in text
    assert "operational carbon per request" in text


def test_data_of_a_card_that_ask_for_what_there_is_not_are_told(published):
    folder, readme = published
    CliRunner().invoke(cli, ["card", str(readme), str(folder), "--zone", "FRA"])
    readme.write_text(readme.read_text().replace('"measurement": "run"', '"colour": "green"'))
    checked = CliRunner().invoke(cli, ["verify", str(folder), "--card", str(readme)])
    assert checked.exit_code == 1
    assert "colour" in checked.output


# ---------------------------------------------------------------------------------------------------- the spreadsheet


def test_a_row_of_the_spreadsheet_holds_what_it_comes_to_and_by_which_factors():
    from energy_rating.publishing.exports.csv import table

    header, row = csv.reader(table([a_record()], zone="aws:us-west-1").splitlines())
    cells = dict(zip(header, row, strict=True))
    found = footprint(a_record(), zone="aws:us-west-1")
    assert (cells["zone"], cells["factors"], cells["factor_year"]) == ("aws:us-west-1", "egrid-2023", "2023")
    assert float(cells["carbon_g"]) == found.carbon_g.value
    assert float(cells["embodied_g_sigma"]) == found.embodied_g.sigma
    assert float(cells["emissions"]) == pytest.approx(found.carbon_g.value / 1000)
    assert (cells["country_iso_code"], cells["country_name"]) == ("USA", "United States")
    _, row = csv.reader(table([a_record()]).splitlines())
    assert dict(zip(header, row, strict=True))["carbon_g"] == ""


def test_the_card_of_one_training_says_that_it_is_one_run_of_many(published):
    folder, readme = published
    CliRunner().invoke(cli, ["card", str(readme), str(folder)])
    assert (
        "| Runs | final run only, as far as is told; searches, ablations and failed runs of the model are not in it |"
        in readme.read_text()
    )
