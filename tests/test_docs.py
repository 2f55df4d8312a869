"""What the documents show is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure

TOP = Path(__file__).parents[1]
DOCUMENTS = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


CARD = "---\nlicense: mit\nlanguage: no\n---\n\n# A model\n"


def in_language(language: str, document: Path) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def blocks(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{document.name}-{number}")
        for document in DOCUMENTS
        for number, text in enumerate(in_language(language, document))
    ]


# What the reader has and the documents do not show.
GIVEN = """
def train_one_epoch():
    import time
    time.sleep(0.5)
    return 1000
"""


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_documents_runs(code, tmp_path):
    machine = FakeNvml(devices=[Device(power="constant:300")])  # the reader has a GPU
    done = subprocess.run(
        [sys.executable, "-c", GIVEN + code],
        cwd=tmp_path,
        env=os.environ | machine.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "train.py").write_text("import time\ntime.sleep(1)\n")
    (folder / "generate.py").write_text(
        "import sys, time\nsys.stdin.read()\ntime.sleep(0.1)\nprint('token=20')\n"
    )
    (folder / "README.md").write_text(CARD)
    # The run of the first example, which is Python and is run by the test above.
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(
        "fine-tuning", output_dir=folder / "reports" / "run-1", sensors=[gpu], clock=clock, report=None
    ):
        clock.sleep(10)
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_commands_in_the_documents_run(document, workplace):
    for line in "\n".join(in_language("bash", document)).splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] != "energy-rating":
            continue  # make is what runs this very test
        words = [sys.executable if word == "python" else word for word in words[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "energy_rating", *words],
            cwd=workplace,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if "--remove" in words:
            assert (workplace / "README.md").read_text() == CARD


def test_links_in_the_documents_lead_somewhere():
    for document in [*DOCUMENTS, TOP / "CONTRIBUTING.md", TOP / "SECURITY.md"]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
