"""What a machine is asked for: each joule by one kind of sensor, and no word about hardware that it does not have."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from energy_rating.cli.texts.survey import survey_to_text
from energy_rating.measuring import sensors, survey
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.errors import HardwareAbsent, SensorUnavailable
from energy_rating.nouns.records import Channel, Finding

FOREIGN = ("amdsmi", "apple", "cray", "grace", "intel", "jetson", "perf", "wall")


class Meter:
    """A sensor of one component."""

    def __init__(self, name: str, component: str, method: str = "counter") -> None:
        self.channels = (
            Channel(id=f"{name}.{component}", component=component, device=name, method=method, accuracy=0.0),
        )
        self.closed = False

    def read(self):
        return {self.channels[0].id: 42.0}

    def close(self):
        self.closed = True


@pytest.fixture
def machine(monkeypatch):
    """Says what each kind of sensor finds: sensors, or an error. A kind that is not named is absent."""

    def equip(**found) -> None:
        for name in sensors.names():
            what = found.get(name, HardwareAbsent(f"no {name}"))

            def detect(what=what):
                if isinstance(what, Exception):
                    raise what
                return Detection(sensors=tuple(what))

            monkeypatch.setattr(sensors.kind(name), "detect", detect)

    return equip


def ids(found: Detection) -> list[str]:
    return [channel.id for sensor in found.sensors for channel in sensor.channels]


def test_hardware_that_is_not_there_is_not_told_in_a_record(machine):
    machine(nvml=[Meter("nvml", "gpu")], rapl=SensorUnavailable("no RAPL", "Look elsewhere"))
    told = survey.detect().findings
    assert [(f.code, f.message) for f in told] == [
        ("cpu-not-measured", "no RAPL"),
        ("dram-not-measured", "no RAPL"),
    ]


def test_where_no_gpu_answers_the_reason_is_that_of_the_hardware_that_is_there(machine):
    machine(nvml=SensorUnavailable("no NVIDIA driver"), rapl=[Meter("rapl", "cpu"), Meter("rapl", "dram")])
    assert [(f.code, f.message) for f in survey.detect().findings] == [
        ("gpu-not-measured", "no NVIDIA driver")
    ]
    machine(
        nvml=SensorUnavailable("no NVIDIA driver"),
        amdsmi=SensorUnavailable("AMD's library is missing", "Install it"),
        rapl=[Meter("rapl", "cpu"), Meter("rapl", "dram")],
    )
    assert [(f.message, f.remedy) for f in survey.detect().findings] == [
        ("AMD's library is missing", "Install it")
    ]


def test_a_wall_meter_that_is_named_and_cannot_be_read_is_told(machine):
    machine(wall=SensorUnavailable("the wall meter's file cannot be read", "See the page"))
    assert "wall-not-measured" in {finding.code for finding in survey.detect().findings}


def test_a_module_that_nvml_measures_is_not_measured_by_hwmon_again(machine):
    again, socket = Meter("grace", "module", "power"), Meter("grace", "cpu", "power")
    machine(nvml=[Meter("nvml", "gpu"), Meter("nvml", "module")], grace=[again, socket])
    assert ids(survey.look()[0]) == ["nvml.gpu", "nvml.module", "grace.cpu"]
    assert again.closed
    assert not socket.closed


def test_of_two_models_of_one_component_the_first_is_taken(machine):
    machine(apple=[Meter("apple", "cpu", "model")], codecarbon=[Meter("codecarbon", "cpu", "model")])
    assert len(ids(survey.look()[0])) == 1


def test_what_was_not_tried_on_its_hardware_says_so_in_the_record(machine):
    machine(nvml=[Meter("nvml", "gpu")], grace=[Meter("grace", "cpu", "power")])
    found, _ = survey.look()
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("sensor-untried", "note")
    assert "grace" in finding.message
    assert "NVIDIA Grace" in finding.message


def test_what_is_absent_is_named_in_one_line_and_marked_for_programs(machine):
    machine(nvml=SensorUnavailable("no NVIDIA driver", "Install one"))
    found = survey.survey()
    shown = survey_to_text(found)
    head, _, tail = shown.partition("Looked for, and not here: ")
    assert "nvml" in head
    assert "AMD GPUs" not in head
    assert {"AMD GPUs", "Intel GPUs", "NVIDIA Jetson"} <= set(
        " ".join(tail.split()).split("Nothing")[0].split(", ")
    )
    assert max(map(len, shown.splitlines())) <= 80
    marks = {entry["sensor"]: entry["absent"] for entry in found.as_json()["unavailable"]}
    assert marks["amdsmi"] is True
    assert marks["nvml"] is False


@pytest.mark.parametrize("name", FOREIGN)
def test_every_foreign_kind_says_what_it_is_and_whether_it_was_tried(name):
    module = sensors.kind(name)
    assert module.WHAT
    assert module.COMPONENTS
    assert getattr(module, "UNTRIED", False) is (name != "wall")


def test_looking_for_hardware_that_is_not_there_loads_nothing():
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from energy_rating.measuring import sensors\n"
        "from energy_rating.nouns.errors import HardwareAbsent\n"
        "nowhere = Path('/nowhere')\n"
        "arguments = {'amdsmi': (nowhere, nowhere), 'apple': ('linux',), 'cray': (nowhere,), 'grace': (nowhere,), 'intel': (nowhere,),\n"
        "             'jetson': (nowhere,), 'perf': (nowhere,), 'wall': (None,)}\n"
        "for name, given in arguments.items():\n"
        "    options = {'environ': {}} if name == 'wall' else {'older': nowhere} if name == 'jetson' else {}\n"
        "    try:\n"
        "        sensors.kind(name).detect(*given, **options)\n"
        "    except HardwareAbsent:\n"
        "        continue\n"
        "    raise SystemExit(name)\n"
        "heavy = ('amdsmi', 'zeus_apple_silicon', 'ctypes', 'csv', 'logging', 'datetime', 'pynvml', 'pydantic')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_finding_of_a_sensor_that_is_left_out_goes_with_it(machine, monkeypatch):
    machine(nvml=[Meter("nvml", "module")])
    dropped = Meter("grace", "module", "power")
    about = Finding(code="about", message="the module", channel="grace.module")
    monkeypatch.setattr(
        sensors.kind("grace"), "detect", lambda: Detection(sensors=(dropped,), findings=(about,))
    )
    found, _ = survey.look()
    assert ids(found) == ["nvml.module"]
    assert not found.findings
