"""A sensor that hangs while it is found costs itself alone: the rest is measured, and it is told by its name."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from test_survey import Meter

from energy_rating import load, measure
from energy_rating.measuring import sensors, survey
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.errors import HardwareAbsent


@pytest.fixture
def hangs(monkeypatch):
    """Each kind of sensor is absent, but for those that find a meter, and those that hang until the end."""
    over = threading.Event()

    def equip(*hanging, **found):
        for name in sensors.names():

            def detect(name=name):
                if name in hanging:
                    over.wait(60)
                if name in found:
                    return Detection(sensors=tuple(found[name]))
                raise HardwareAbsent(f"no {name}")

            monkeypatch.setattr(sensors.kind(name), "detect", detect)
        return over

    yield equip
    over.set()


@pytest.mark.parametrize("hanging", ["wall", "perf", "intel", "grace", "jetson", "rapl"])
def test_what_answers_is_measured_beside_what_hangs(hangs, hanging):
    hangs(hanging, nvml=[Meter("nvml", "gpu")])
    in_turn = survey.InTurn()
    assert [sensor.channels[0].id for sensor in in_turn.measuring().sensors] == ["nvml.gpu"]
    told = {finding.code: finding.message for finding in in_turn.modelling().findings}
    component = sensors.kind(hanging).COMPONENTS[0]
    if component != "gpu":
        assert "did not answer" in told[f"{component}-not-measured"]


def test_what_answers_late_is_taken_in_then(hangs):
    over = hangs("rapl", nvml=[Meter("nvml", "gpu")], rapl=[Meter("rapl", "cpu")])
    in_turn = survey.InTurn()
    in_turn.measuring()
    in_turn.modelling()
    over.set()
    (late,) = in_turn.belated()
    assert late.sensors[0].channels[0].id == "rapl.cpu"
    assert [finding.code for finding in late.findings] == ["sensors-late"]


@pytest.mark.parametrize("hanging", ["wall", "intel", "amdsmi", "jetson", "perf", "grace"])
def test_what_has_answered_is_read_within_the_patience_of_one_turn(hangs, hanging):
    over = hangs(hanging, nvml=[Meter("nvml", "gpu")], rapl=[Meter("rapl", "cpu"), Meter("rapl", "dram")])
    began_s = time.monotonic()
    found = survey.InTurn(patience_s=4.0).measuring()
    took_s = time.monotonic() - began_s
    assert {sensor.channels[0].id for sensor in found.sensors} == {"nvml.gpu", "rapl.cpu", "rapl.dram"}
    assert took_s < 1.5 * 4.0, "one deadline for all turns"
    over.set()


def test_what_hangs_elsewhere_does_not_hold_up_the_next_turn(hangs, monkeypatch):
    asked = []
    hangs("wall", nvml=[Meter("nvml", "gpu")])

    def detect():
        asked.append(time.monotonic())
        return Detection(sensors=(Meter("perf", "cpu"),))

    monkeypatch.setattr(sensors.kind("perf"), "detect", detect)
    began_s = time.monotonic()
    found = survey.InTurn(patience_s=4.0).measuring()
    assert [sensor.channels[0].id for sensor in found.sensors] == ["nvml.gpu", "perf.cpu"]
    assert asked[0] - began_s < 2.0, "perf does not wait for a wall meter"


def test_what_comes_late_does_not_wait_for_what_hangs_on(hangs):
    over = threading.Event()
    hangs("amdsmi", nvml=[Meter("nvml", "gpu")])
    sensors_of_nvml = sensors.kind("nvml").detect

    def detect():
        over.wait(60)
        return sensors_of_nvml()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensors.kind("nvml"), "detect", detect)
        in_turn = survey.InTurn()
        in_turn.measuring()
        in_turn.modelling()
        over.set()
        began_s = time.monotonic()
        late = next(in_turn.belated())
    assert late.sensors[0].channels[0].id == "nvml.gpu"
    assert time.monotonic() - began_s < survey.KIND_PATIENCE_S / 2
    assert "persistence" in late.findings[-1].remedy


def test_what_hangs_beside_another_that_measures_the_same_is_told_by_its_name(hangs):
    hangs("amdsmi", nvml=[Meter("nvml", "gpu")])
    found = survey.InTurn().measuring()
    (told,) = [finding for finding in found.findings if finding.code == "sensors-late"]
    assert "'amdsmi'" in told.message
    assert "persistence" not in told.remedy


def test_kinds_that_are_asked_for_by_name_wait_for_none_that_hangs(hangs, tmp_path):
    hangs("wall", nvml=[Meter("nvml", "gpu", "power")])
    began_s = time.monotonic()
    with measure(output_dir=tmp_path / "run", sensors=["nvml", "wall"], report=None) as run:
        waited_s = time.monotonic() - began_s
        time.sleep(0.5)
    assert waited_s < survey.KIND_PATIENCE_S / 2
    told = {finding.code: finding.message for finding in run.record.findings}
    assert "'wall'" in told["wall-not-measured"]
    assert "gpu" in run.record["run"].energy_j


def test_two_that_hang_do_not_add_up(hangs):
    over = hangs("rapl", "perf", nvml=[Meter("nvml", "gpu")])
    began_s = time.monotonic()
    found, _ = survey.look(patience_s=2.0)
    assert [sensor.channels[0].id for sensor in found.sensors] == ["nvml.gpu"]
    assert time.monotonic() - began_s < 4.0
    over.set()


def test_what_comes_when_nobody_waits_any_more_is_let_go(hangs):
    meter = Meter("wall", "wall")
    over = hangs("wall", wall=[meter])
    _, refusals = survey.look(patience_s=0.1)
    assert "did not answer" in next(r.reason for r in refusals if r.sensor == "wall")
    over.set()
    until = time.monotonic() + 30
    while not meter.closed and time.monotonic() < until:
        time.sleep(0.01)
    assert meter.closed


def test_a_pipe_for_a_wall_meter_costs_nothing_else_and_the_process_ends(tmp_path):
    os.mkfifo(tmp_path / "wall.csv")
    script = (
        "import time\n"
        "from energy_rating import measure\n"
        "with measure(output_dir='run', report=None): time.sleep(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "ENERGY_RATING_WALL": str(tmp_path / "wall.csv")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    record = load(tmp_path / "run")
    assert "wall-not-measured" in [finding.code for finding in record.findings]


def test_a_search_for_what_comes_late_that_fails_is_told(hangs, monkeypatch, tmp_path):
    hangs(nvml=[Meter("nvml", "gpu")])

    def fails(self):
        raise RuntimeError("a defect")

    monkeypatch.setattr(survey.InTurn, "belated", fails)
    with measure(output_dir=tmp_path / "run", report=None) as run:
        until_s = time.monotonic() + 20
        while "models-failed" not in run.journal.read_text() and time.monotonic() < until_s:
            time.sleep(0.05)
    told = {finding.code: finding.message for finding in run.record.findings}
    assert told["models-failed"] == "looking for models failed with RuntimeError"
