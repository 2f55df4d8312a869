"""What the documents show is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from fake_nvml import Device, FakeNvml
from forked import energy_rating
from hosts import run_host
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.benchmarking.tasks import tasks
from energy_rating.cli import cli
from energy_rating.judging.comparison import Verdict
from energy_rating.judging.normalisation import WorkloadClass
from energy_rating.nouns.entries import Counts, Stage, State
from energy_rating.nouns.findings import SUBJECTS
from energy_rating.nouns.reasons import REASON_SUBJECTS
from energy_rating.nouns.records import Checked

TOP = Path(__file__).parents[2]
DOCUMENTS = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
FOLDERS = ("benchmarks", "docs", "energy_rating", "examples", "hardware_profiles", "reports", "tests")
LINKING = sorted({*TOP.glob("*.md"), *(path for folder in FOLDERS for path in (TOP / folder).rglob("*.md"))})

CARD = "---\nlicense: mit\nlanguage: no\n---\n\n# A model\n"


def named(document: Path) -> str:
    return str(document.relative_to(TOP))


def in_language(language: str, document: Path) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def lines_in(language: str, document: Path) -> list[str]:
    """What a shell takes for one line: a backslash at its end goes on with the next."""
    return "\n".join(in_language(language, document)).replace("\\\n", " ").splitlines()


def blocks(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{named(document)}-{number}")
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
    # In a clone, which is where the reader stands, the published example is there.
    shutil.copytree(TOP / "reports" / "example-gpu", folder / "reports" / "example-gpu")
    # A file of another tool's, as readers have them.
    others = TOP / "tests" / "data" / "imports" / "codecarbon" / "3.3.2" / "emissions.csv"
    (folder / "emissions.csv").write_bytes(others.read_bytes())
    # The run of the first example, which is Python and is run by the test above; and two runs of the reader's to be compared.
    for name, stage, watts in (
        ("run-1", "fine-tuning", 300),
        ("before", "inference", 300),
        ("after", "inference", 290),
    ):
        clock = VirtualClock()
        power, energy = constant(watts)
        gpu = FakeDevice(clock=clock, power=power, energy=energy)
        with measure(
            stage, output_dir=folder / "reports" / name, sensors=[gpu], clock=clock, report=None
        ) as run:
            clock.sleep(10)
            run.count(token=10_000)
    # What the hosts of two jobs left: of one on a disk that they share, of the other each by itself.
    for place in range(2):
        run_host(folder / "reports" / "job", place, 2)
    for place in range(3):
        run_host(folder / f"node{place}", place, 3)
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_in_the_documents_run(document, workplace):
    for line in lines_in("bash", document):
        words = shlex.split(line, comments=True)
        if not words or words[0] != "energy-rating":
            continue  # make is what runs this very test
        words = [sys.executable if word == "python" else word for word in words[1:]]
        done = energy_rating(*words, cwd=workplace)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if "--remove" in words:
            assert (workplace / "README.md").read_text() == CARD


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_that_need_a_model_or_a_meter_are_spelt_as_they_are_understood(document):
    for line in lines_in("console", document):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "energy-rating", line
        cli.get_command(None, words[1]).make_context(words[1], words[2:])


def without_code(document: Path) -> str:
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)


def anchor(heading: str) -> str:
    """What a heading is called in a link, as forges do it."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return "".join(sign for sign in words if sign.isalnum() or sign in " -_").replace(" ", "-")


FILES = [named(path) for folder in FOLDERS for path in (TOP / folder).rglob("*.py")]


@pytest.mark.parametrize("document", LINKING, ids=named)
def test_a_file_of_the_code_that_a_document_names_is_there(document):
    for name in re.findall(r"`([\w./-]+\.py)`", without_code(document)):
        if name not in ("train.py", "generate.py"):  # the reader's own
            assert any(f"/{file}".endswith(f"/{name}") for file in FILES), name


CODES = {code for kinds in (*SUBJECTS.values(), *REASON_SUBJECTS.values()) for code in kinds}
# Words with a dash that are no codes: closed sets of words, programs, and an option that is only an example.
DASHED = {
    *(word for words in (Counts, Stage, State, Checked, Verdict, WorkloadClass) for word in get_args(words)),
    *("single-pass", "idle-before", "idle-after", "warm-up", "a-better", "b-better", "drafted-tokens"),
    *(
        "nvidia-smi",
        "libnvidia-ml",
        "zeus-apple-silicon",
        "applications-clocks",
        "display-clock",
        "sync-boost",
    ),
    *("hw-power-brake", "hw-slowdown", "hw-thermal", "sw-power-cap", "sw-thermal"),
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_code_that_a_document_names_is_one(document):
    if document.name in ("api.md", "faults.md"):
        return  # they are made, from docstrings and from the codes that are raised
    for word in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", without_code(document)):
        assert word in CODES | DASHED | set(tasks()), word


def test_every_wing_of_the_package_stands_in_the_architecture():
    told = (TOP / "docs" / "architecture.md").read_text()
    for folder in (TOP / "energy_rating").iterdir():
        if (folder / "__init__.py").is_file():
            assert f"| `{folder.name}/` |" in told, folder.name


# What is looked up in, and a report that the tests write.
LOOKED_UP = ("faults.md", "findings.md", "api.md", "cli.md", "variables.md", "guideline.md", "glossary.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_long_page_says_first_what_it_says(document):
    text = without_code(document)
    if document.name == "README.md":
        assert len(text.split()) < 900
    elif len(text.split()) > 1500 and document.name not in LOOKED_UP:
        points = [line for line in text.splitlines()[:40] if line.startswith("> - ")]
        assert 4 <= len(points) <= 15, "it begins with a box of about five lines"


def test_every_document_stands_in_the_list_of_documents():
    told = (TOP / "docs" / "README.md").read_text()
    for document in (TOP / "docs").glob("*.md"):
        if document.name != "README.md":
            assert f"({document.name})" in told or f"({document.name}#" in told, document.name


@pytest.mark.parametrize("document", LINKING, ids=named)
def test_links_in_the_documents_lead_somewhere(document):
    text = without_code(document)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, place = target.partition("#")
        path = document.parent / file if file else document
        assert path.exists(), target
        if place and path.suffix == ".md":
            assert place in map(anchor, re.findall(r"^#+ (.+)$", without_code(path), re.M)), target


def targets(document: Path) -> list[Path]:
    """The files that a document leads to, in this repository."""
    text = without_code(document)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    files = [target.partition("#")[0] for target in found if not re.match(r"https?:|mailto:", target)]
    return [(document.parent / file).resolve() for file in files if file]


def test_what_the_documents_lead_to_is_in_the_source_distribution_too():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    included = [TOP / name for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]]

    def ships(path: Path) -> bool:
        return any(path == one or one in path.parents for one in included)

    for document in filter(ships, LINKING):
        for path in targets(document):
            assert ships(path), f"{named(document)} leads to {path.relative_to(TOP)}"
