"""A sensor that hangs while it is found costs itself alone: the rest is measured, and it is told by its name."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from test_survey import Meter

from energy_rating import load, sensors, survey
from energy_rating.errors import HardwareAbsent
from energy_rating.sensors import Detection


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
