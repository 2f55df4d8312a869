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
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Measurement,
    Model,
    Provenance,
    Record,
)
from energy_rating.publishing.exports.csv import CODECARBON, export


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
    assert run.timestamp == pandas.Timestamp("2026-11-21T09:14:03")
    assert run.duration == 7200.0
    assert run.gpu_energy == pytest.approx(2.0)
    assert run.cpu_energy == pytest.approx(1.0)
    assert run.energy_consumed == pytest.approx(3.0)
    assert run.gpu_power == pytest.approx(1000.0)
    assert run.cpu_power == pytest.approx(1000.0)  # half of the time was seen
    assert run.gpu_count == 2
    assert run.gpu_model == "2 x NVIDIA H100 80GB HBM3"
    assert run.cpu_model == "AMD EPYC 9454"
    assert run.tracking_mode == "machine"


def test_what_was_not_measured_is_missing_and_not_zero() -> None:
    frame = pandas.read_csv(io.StringIO(export(a_record())))
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
        "work_token",
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
    run, idle = rows(export(a_record()))
    assert (run["measurement"], run["stage"], run["n"], run["start_s"]) == ("run", "inference", "1", "0.0")
    assert float(run["gpu_energy_j"]) == 7.2e6
    assert float(run["gpu_systematic_j"]) == 288000.0
    assert float(run["cpu_random_j"]) == 36.0
    assert (run["gpu_method"], run["cpu_method"]) == ("counter", "model")
    assert run["cpu_coverage"] == "0.5"
    assert run["work_token"] == "1000"
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
    text = export(replace(record, run_id=evil, model=Model(id=evil), measurements=(run,)))
    row = rows(text)[0]
    for column in ("project_name", "run_id", "measurement"):
        assert row[column] == "'" + evil.replace("\t", " ").replace("\r", " ")


@given(st.text(max_size=40), st.text(min_size=1, max_size=20).filter(str.isprintable))
def test_whatever_the_names_are_the_table_keeps_its_shape(name: str, unit: str) -> None:
    record = a_record()
    run = replace(record["run"], name=name, work={unit: 0.5})
    text = export(replace(record, model=Model(id=name), measurements=(run, run)))
    table = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in table] == [len(table[0])] * 3
    work = next(at for at, column in enumerate(table[0]) if column.startswith("work_"))
    assert table[1][work] == "0.5"  # a number is a number
    for at, cell in enumerate(table[1]):
        assert at == work or not cell.startswith(("=", "+", "-", "@"))


def test_a_run_from_the_meter_comes_out_as_it_was(tmp_path: Path) -> None:
    clock = VirtualClock()
    device = FakeDevice(clock, *constant(300.0))
    with measure("other", output_dir=tmp_path / "run", sensors=[device], clock=clock, report=None) as run:
        clock.sleep(3)
        with run.window("w") as window:
            clock.sleep(10)
            window.count(token=7)
    frame = pandas.read_csv(io.StringIO(export(run.record))).set_index("measurement")
    assert frame.loc["w", "gpu_energy"] * 3.6e6 == pytest.approx(3000, rel=0.01)
    assert frame.loc["w", "gpu_power"] == pytest.approx(300, rel=0.01)
    assert frame.loc["w", "work_token"] == 7
    assert frame.loc["run", "duration"] == pytest.approx(13)
    assert frame.cpu_energy.isna().all()
