"""The CSV: what CodeCarbon's readers expect, in their units; nothing where nothing is known; and no formulas."""

from __future__ import annotations

import csv
import dataclasses
import io
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating.files.record import record_from_json, record_to_json
from energy_rating.meter import measure
from energy_rating.nouns.errors import BadInput, NotMeasured
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Measurement,
    Model,
    Place,
    Provenance,
    Record,
)
from energy_rating.publishing.exports.csv import CODECARBON, COLUMNS, export, table


def a_record() -> Record:
    gpus = [
        Channel(id=f"gpu{n}.energy", component="gpu", device=f"GPU-{n}", method="counter", accuracy=0.04)
        for n in range(2)
    ]
    cpu = Channel(id="cpu.model", component="cpu", device="cpu", method="model", accuracy=0.04)
    energy = Estimate(value=3.6e6, random=36.0, systematic=144000.0)
    run = Measurement(
        name="run",
        n=1,
        start_s=0.0,
        duration_s=7200.0,
        work={"token": 1000},
        energy_by_channel_j={"gpu0.energy": energy, "gpu1.energy": energy, "cpu.model": energy},
        energy_j={"gpu": energy.plus(energy, same_sensor=True), "cpu": energy},
        coverage={"gpu": 1.0, "cpu": 0.5},
        validity="degraded",
        methods={"gpu": "counter", "cpu": "model"},
    )
    idle = replace(
        run, name="idle", duration_s=10.0, work={}, energy_by_channel_j={}, energy_j={}, coverage={"gpu": 0.0}
    )
    return Record(
        run_id="20261121T091403Z-6f1c",
        created="2026-11-21T09:14:03Z",
        stage="inference",
        model=Model(id="org/name"),
        environment=Environment(
            devices=(
                Device(id="GPU-0", name="NVIDIA H100 80GB HBM3"),
                Device(id="GPU-1", name="NVIDIA H100 80GB HBM3"),
                Device(id="cpu", name="AMD EPYC 9454"),
            ),
            software={"python": "3.11.9"},
        ),
        channels=(*gpus, cpu),
        measurements=(run, idle),
        findings=(
            Finding(code="cpu-estimated", message="…"),
            Finding(code="counter-reset", message="…", severity="degrades", measurement="run"),
        ),
        provenance=Provenance(version="0.1.0", journal_sha256="…"),
    )


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_first_columns_are_those_of_the_installed_codecarbon() -> None:
    from codecarbon.output_methods.emissions_data import EmissionsData

    assert tuple(field.name for field in dataclasses.fields(EmissionsData)) == CODECARBON
    header = export(a_record()).splitlines()[0].split(",")
    assert tuple(header[: len(CODECARBON)]) == CODECARBON
    assert len(set(header)) == len(header)


def test_a_reader_of_emissions_csv_finds_its_units() -> None:
    frame = pandas.read_csv(io.StringIO(export(a_record())), parse_dates=["timestamp"])
    run = frame.iloc[0]
    assert run.run_id == "20261121T091403Z-6f1c"
    assert run.project_name == "org/name"
    assert run.timestamp == pandas.Timestamp(
        "2026-11-21T11:14:03Z"
    )  # the end, as CodeCarbon's rows are written
    assert run.run_started == "2026-11-21T09:14:03Z"
    assert run.duration == 7200.0
    assert run.gpu_energy == pytest.approx(2.0)
    assert run.cpu_energy == pytest.approx(1.0)
    assert run.energy_consumed == pytest.approx(3.0)
    assert run.gpu_power == pytest.approx(1000.0)
    assert run.cpu_power == pytest.approx(
        500.0
    )  # energy over duration: both fit, though half of the time was seen
    assert run.pue == 1.0
    assert run.gpu_count == 2
    assert run.gpu_model == "2 x NVIDIA H100 80GB HBM3"
    assert run.cpu_model == "AMD EPYC 9454"
    assert run.tracking_mode == "machine"


def test_what_was_not_measured_is_missing_and_not_zero() -> None:
    frame = pandas.read_csv(io.StringIO(table([a_record()], windows=True)))
    run, idle = frame.iloc[0], frame.iloc[1]
    for name in (
        "emissions",
        "emissions_rate",
        "water_consumed",
        "ram_energy",
        "ram_power",
        "dram_energy_j",
        "wall_energy_j",
    ):
        assert pandas.isna(run[name]), name
    for name in (
        "gpu_energy",
        "cpu_energy",
        "energy_consumed",
        "gpu_power",
        "gpu_energy_j",
        "gpu_method",
        "work",
        "work_unit",
    ):
        assert pandas.isna(idle[name]), name
    assert idle.gpu_coverage == 0.0


def test_nothing_is_told_of_people_and_places() -> None:
    for name in (
        "country_name",
        "country_iso_code",
        "region",
        "cloud_provider",
        "cloud_region",
        "longitude",
        "latitude",
        "on_cloud",
    ):
        assert rows(export(a_record()))[0][name] == ""


def test_our_columns_hold_the_figures_with_their_doubt() -> None:
    run, idle = rows(table([a_record()], windows=True))
    assert (run["measurement"], run["stage"], run["n"], run["start_s"]) == ("run", "inference", "1", "0.0")
    assert float(run["gpu_energy_j"]) == 7.2e6
    assert float(run["gpu_systematic_j"]) == 288000.0
    assert float(run["cpu_random_j"]) == 36.0
    assert (run["gpu_method"], run["cpu_method"]) == ("counter", "model")
    assert run["cpu_coverage"] == "0.5"
    assert (run["work_unit"], run["work"], run["all_work"]) == ("token", "1000", "token=1000")
    assert (run["origin"], run["model"]) == ("measured", "org/name")
    assert run["validity"] == "degraded"
    assert run["findings"] == "cpu-estimated counter-reset"
    assert idle["findings"] == "cpu-estimated"


def test_a_record_without_measurements_is_a_header() -> None:
    text = export(replace(a_record(), measurements=(), channels=(), environment=Environment(), model=None))
    assert text.count("\n") == 1
    assert text.startswith("timestamp,project_name,run_id,")


def test_a_record_from_its_file_gives_the_same_text() -> None:
    record = a_record()
    assert export(record_from_json(record_to_json(record))) == export(record) == export(record)
    assert "\r" not in export(record)


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("http://x","y")']
)
def test_no_text_is_a_formula(evil: str) -> None:
    record = a_record()
    run = replace(record["run"], name=evil)
    text = table([replace(record, run_id=evil, model=Model(id=evil), measurements=(run,))], windows=True)
    row = rows(text)[0]
    for column in ("project_name", "run_id", "measurement", "model"):
        assert row[column] == "'" + evil.replace("\t", " ").replace("\r", " ")


@given(st.text(max_size=40), st.text(min_size=1, max_size=20).filter(str.isprintable))
def test_whatever_the_names_are_the_table_keeps_its_shape(name: str, unit: str) -> None:
    record = a_record()
    run = replace(record["run"], name=name, work={unit: 0.5})
    text = table([replace(record, model=Model(id=name), measurements=(run, run))], windows=True)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in lines] == [len(COLUMNS)] * 3
    work = lines[0].index("work")
    assert lines[1][work] == "0.5"  # a number is a number
    for at, cell in enumerate(lines[1]):
        assert at == work or not cell.startswith(("=", "+", "-", "@"))


def test_a_run_from_the_meter_comes_out_as_it_was(tmp_path: Path) -> None:
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0))
    with measure("other", output_dir=tmp_path / "run", sensors=[device], clock=clock, report=None) as run:
        clock.sleep(3)
        with run.window("w") as window:
            clock.sleep(10)
            window.count(token=7)
    frame = pandas.read_csv(io.StringIO(table([run.record], windows=True))).set_index("measurement")
    assert frame.loc["w", "gpu_energy_j"] == pytest.approx(3000, rel=0.01)
    assert frame.loc["w", "gpu_power"] == pytest.approx(300, rel=0.01)
    assert frame.loc["w", "work"] == 7
    assert frame.loc["run", "duration"] == pytest.approx(13)
    assert frame.cpu_energy.isna().all()


# ------------------------------------------------------------------------------------------------------------ many runs


def several() -> list[Record]:
    """Runs that differ in all that made the columns differ: work, components, windows."""
    first = a_record()
    second = replace(
        first,
        run_id="20261122T000000Z-0001",
        measurements=(replace(first["run"], work={"request": 8, "image": 2}),),
    )
    third = replace(first, run_id="20261123T000000Z-0002", measurements=(replace(first["run"], work={}),))
    return [first, second, third]


def test_the_sum_of_a_column_is_the_energy_of_the_runs_with_or_without_their_windows() -> None:
    truth = sum(record["run"].energy_j[name].value for record in several() for name in ("gpu", "cpu")) / 3.6e6
    for windows in (False, True):
        frame = pandas.read_csv(io.StringIO(table(several(), windows=windows)))
        assert frame.energy_consumed.sum() == pytest.approx(truth)
        assert len(frame) == (3 if not windows else 4)


def test_the_columns_are_the_same_for_every_record_so_that_tables_can_be_put_behind_each_other() -> None:
    headers = {
        table([record], windows=windows).splitlines()[0] for record in several() for windows in (False, True)
    }
    assert headers == {",".join(COLUMNS)}
    joined = table([several()[0]]) + "".join(table([one], header=False) for one in several()[1:])
    assert joined == table(several())
    frame = pandas.read_csv(io.StringIO(joined))
    assert list(frame.work_unit[:2]) == ["token", "request"]
    assert list(frame.validity) == ["degraded"] * 3


def test_with_only_and_a_zone_it_is_codecarbons_table() -> None:
    text = table(several(), only="run", zone="FRA")
    frame = pandas.read_csv(io.StringIO(text))
    assert tuple(frame.columns) == CODECARBON
    assert (frame.pue == 1.0).all()
    for theirs in ("gpu", "cpu"):
        fits = frame[f"{theirs}_power"] * frame.duration / 3.6e6
        assert list(fits) == pytest.approx(list(frame[f"{theirs}_energy"]))
    assert set(frame.country_iso_code) == {"FRA"}
    assert list(frame.emissions / frame.energy_consumed) == pytest.approx([0.056039] * 3, rel=0.01)
    assert list(frame.emissions_rate * frame.duration) == pytest.approx(list(frame.emissions))
    assert not frame.timestamp.str.endswith("Z").any()  # as its own, so that both can stand in one table
    assert frame.wue.isna().all()  # what nobody knows is not zero


def test_codecarbons_own_reader_adds_our_runs_up(tmp_path: Path) -> None:
    data = pytest.importorskip("codecarbon.viz.data")
    path = tmp_path / "emissions.csv"
    path.write_text(table(several(), only="run", zone="FRA"))
    frame = pandas.read_csv(path)
    told = data.Data().get_project_summary(frame.to_dict("records"))
    assert told["total"]["energy_consumed"] == pytest.approx(frame.energy_consumed.sum())
    assert told["total"]["emissions"] == pytest.approx(frame.emissions.sum())


def test_the_emissions_are_those_of_where_a_record_says_that_it_ran() -> None:
    record = replace(a_record(), place=Place(zone="POL", region="europe-central2", provider="gcp"))
    (row,) = rows(export(record))
    assert (row["country_iso_code"], row["cloud_region"], row["cloud_provider"]) == (
        "POL",
        "europe-central2",
        "gcp",
    )
    assert float(row["emissions"]) > 0
    (row,) = rows(table([record], zone="FRA"))
    assert row["country_iso_code"] == "FRA"


def test_what_contradicts_itself_or_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="--windows and --only"):
        table([a_record()], windows=True, only="run")
    with pytest.raises(NotMeasured, match="no measurement is called 'epoch'"):
        table([a_record()], only="epoch")
    with pytest.raises(BadInput, match="FRX"):
        table([a_record()], zone="FRX")
