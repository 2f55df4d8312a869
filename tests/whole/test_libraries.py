"""What others print while they are loaded does not reach the program's standard output, nor a command's answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPORTS = Path(__file__).parents[2] / "reports"

# As amdsmi 7.0.2 (amdsmi_wrapper.py) where ROCm is not installed: two lines on standard output, then a KeyError.
BINDING = """
print("/opt/rocm/lib/libamd_smi.so: cannot open shared object file: No such file or directory")
print("Unable to find libamd_smi.so library try installing amd-smi-lib from your package manager")
functions = {}["libamd_smi.so"]
"""


@pytest.fixture
def with_binding(tmp_path):
    """The environment of a process in which that binding is installed, and its library is not."""
    (tmp_path / "site" / "amdsmi").mkdir(parents=True)
    (tmp_path / "site" / "amdsmi" / "__init__.py").write_text(BINDING)
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "XDG_STATE_HOME": str(tmp_path / "state")}


def said(with_binding, *words):
    done = subprocess.run(
        [sys.executable, *words], env=with_binding, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sensors_as_json_stay_json(with_binding):
    assert "channels" in json.loads(said(with_binding, "-m", "energy_rating", "sensors", "--json"))


def test_the_impact_as_json_stays_json(with_binding):
    record = next(REPORTS.rglob("record.json"))
    answer = said(with_binding, "-m", "energy_rating", "impact", str(record), "--zone", "FRA", "--json")
    assert json.loads(answer)


def test_a_measured_program_has_its_standard_output_for_itself(with_binding):
    script = (
        "import sys, time\n"
        "from energy_rating import measure\n"
        "stdout = sys.stdout\n"
        "with measure(report=None) as run:\n"
        "    until = time.monotonic() + 30\n"
        "    while not any(f.name == 'energy-rating-models' for f in __import__('threading').enumerate()): time.sleep(0.01)\n"
        "    while any(f.name == 'energy-rating-models' for f in __import__('threading').enumerate()):\n"
        "        assert sys.stdout is stdout and time.monotonic() < until\n"
        "        time.sleep(0.01)\n"
        "print('mine')\n"
    )
    assert said(with_binding, "-c", script) == "mine\n"


def test_only_the_thread_that_loads_does_without_the_package(with_binding):
    script = (
        "import threading\n"
        "from energy_rating.files.libraries import without_stray_prints\n"
        "def load(into):\n"
        "    try: import amdsmi\n"
        "    except Exception as error: into.append(type(error).__name__)\n"
        "mine, other = [], []\n"
        "with without_stray_prints(['/nowhere/libamd_smi.so'], {}):\n"
        "    load(mine)\n"
        "    thread = threading.Thread(target=load, args=(other,)); thread.start(); thread.join()\n"
        "after = []\n"
        "load(after)\n"
        "print(mine, other, after)\n"
    )
    lines = said(with_binding, "-c", script).splitlines()
    assert lines[-1] == "['ModuleNotFoundError'] ['KeyError'] ['KeyError']"


def test_what_a_library_prints_in_a_command_does_not_reach_its_answer(tmp_path):
    (tmp_path / "loud.py").write_text("import os\nprint('from Python')\nos.write(1, b'from C\\n')\n")
    script = "from energy_rating.cli import output\nwith output.strays_apart(): import loud\noutput.say('the answer')\n"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "the answer\n"
    assert "from Python" in done.stderr
    assert "from C" in done.stderr
