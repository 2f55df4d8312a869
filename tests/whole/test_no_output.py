"""Where what a command has to say or to write finds no place, one line says so, whichever command it is: full, closed, or read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from forked import energy_rating

from energy_rating.cli import cli

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "reports" / "example-gpu"
EMISSIONS = (
    "timestamp,project_name,run_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,cpu_energy,"
    "gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,cloud_provider,cloud_region,os,"
    "python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,"
    "tracking_mode,on_cloud,pue\n"
    "2026-01-01T00:00:00,p,5b0fa12a-3dd7-45bb-9766-cc326314d9f1,60.0,0.001,1e-05,10.0,200.0,5.0,0.0001,0.003,0.0001,"
    "0.0032,France,FRA,,,,Linux,3.11.7,3.3.2,8,AMD EPYC,1,1 x NVIDIA A100,,,64.0,machine,N,1.0\n"
)

# What each command prints to standard output, as it is asked for there. RUN is a folder with a run, CARD a card.
PRINTS: dict[str, list[list[str]]] = {
    "badge": [["badge", "RUN", "-o", "badge.svg"]],
    "benchmark": [
        [
            *(
                "benchmark",
                "org/name",
                "--task",
                "text-generation",
                "--workload",
                "command",
                "--command",
                "cat",
            ),
            *("--repeats", "3", "--idle", "0", "--cooldown", "0", "--output-dir", "out"),
        ]
    ],
    "calibrate": [],  # measures for minutes before it prints
    "card": [],  # prints nothing there
    "collect": [["collect", "RUN"], ["collect", "RUN", "--format", "json"]],
    "comment": [["comment", "RUN", "--before", "RUN"]],
    "compare": [["compare", "RUN", "RUN"], ["compare", "RUN", "RUN", "--json"]],
    "explain": [["explain", "RUN", "RUN"], ["explain", "RUN", "RUN", "--json"]],
    "export": [["export", "RUN", "--format", "csv"]],
    "find": [["find", "example-model", "RUN"], ["find", "example-model", "RUN", "--json"]],
    "impact": [["impact", "RUN", "--zone", "FRA"], ["impact", "RUN", "--zone", "FRA", "--json"]],
    "import": [["import", "emissions.csv", "-o", "imported"]],
    "label": [["label", "RUN", "-o", "-"]],
    "leaderboard": [["leaderboard", "RUN", "-o", "site", "--no-verify"]],
    "life": [["life", "RUN"], ["life", "RUN", "--json"]],
    "measure": [["measure", "--json", "--output-dir", "out", "--", "true"]],
    "merge": [["merge", "RUN", "-o", "whole"], ["merge", "RUN", "--json"]],
    "normalise": [["normalise", "RUN"], ["normalise", "RUN", "--json"]],
    "profiles": [["profiles"], ["profiles", "nvidia-l4-24gb", "--json"]],
    "rate": [["rate", "RUN"], ["rate", "RUN", "--json"], ["rate", "RUN", "--explain"]],
    "report": [["report", "RUN", "-o", "report.html"]],
    "schemes": [["schemes"], ["schemes", "2026.1", "--json"]],
    "sensors": [["sensors"], ["sensors", "--json"]],
    "submit": [["submit", "RUN", "-o", "submission"]],
    "summarise": [["summarise", "RUN", "--force"], ["summarise", "RUN", "--force", "--json"]],
    "tasks": [["tasks"], ["tasks", "text-generation", "--json"]],
    "trace": [["trace", "RUN", "-o", "trace.png"]],
    "verify": [["verify", "RUN"], ["verify", "RUN", "--json"]],
}

# What each command writes into a folder that takes nothing.
WRITES: dict[str, list[list[str]]] = {
    "badge": [["badge", "RUN", "-o", "LOCKED/badge.svg"], ["badge", "RUN", "-o", "LOCKED/badge.json"]],
    "benchmark": [],  # what cannot be written there goes under the state folder, and is told
    "calibrate": [["calibrate", "--trial", "--output", "LOCKED/new"], ["calibrate", "--trial", "--records", "LOCKED/new"]],
    "card": [["card", "LOCKED/README.md", "RUN"]],
    "collect": [["collect", "RUN", "--format", "csv", "-o", "LOCKED/runs.csv"]],
    "comment": [["comment", "RUN", "--before", "RUN", "-o", "LOCKED/comment.md"]],
    "compare": [],
    "explain": [["explain", "RUN", "RUN", "--plot", "LOCKED/both.svg"]],
    "export": [["export", "RUN", "--format", "csv", "-o", "LOCKED/a.csv"]],
    "find": [],
    "impact": [],
    "import": [["import", "emissions.csv", "-o", "LOCKED/new"]],
    "label": [["label", "RUN", "-o", "LOCKED/label.svg"], ["label", "RUN", "-o", "LOCKED/label.png"]],
    "leaderboard": [["leaderboard", "RUN", "-o", "LOCKED/site", "--no-verify"]],
    "life": [["life", "RUN", "--plot", "LOCKED/life.svg"]],
    "measure": [],
    "merge": [["merge", "RUN", "-o", "LOCKED/whole"], ["merge", "RUN", "-o", "LOCKED/whole.json"]],
    "normalise": [],
    "profiles": [],
    "rate": [],
    "report": [["report", "RUN", "-o", "LOCKED/report.html"], ["report", "RUN", "-o", "LOCKED/report.md"]],
    "schemes": [],
    "sensors": [],
    "submit": [["submit", "RUN", "-o", "LOCKED/submission"]],
    "summarise": [["summarise", "LOCKED/run", "--force"], ["summarise", "RUN", "-o", "LOCKED/record.json"]],
    "tasks": [],
    "trace": [["trace", "RUN", "-o", "LOCKED/trace.png"]],
    "verify": [],
}  # fmt: skip


def _all(of: dict[str, list[list[str]]]) -> list[list[str]]:
    return [words for several in of.values() for words in several]


def _name(words: list[str]) -> str:
    return " ".join(words[:3] + [word for word in words[3:] if word.startswith("--")])


def test_every_command_is_tried():
    context = click.Context(cli)
    assert set(cli.list_commands(context)) == set(PRINTS) == set(WRITES)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder to work in, with a run, a card, somebody's file, and a folder that takes nothing."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(EXAMPLE, folder / "run")
    (folder / "README.md").write_text("# a model\n")
    (folder / "emissions.csv").write_text(EMISSIONS)
    locked = folder / "locked"
    locked.mkdir()
    shutil.copytree(EXAMPLE, locked / "run")
    (locked / "README.md").write_text("# a model\n")
    return folder


# Root may write anywhere; without these capabilities it may what its files say (capabilities(7): CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
# CAP_FOWNER; PR_CAPBSET_DROP is 24).
AS_ANYBODY = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None)
    for capability in (1, 2, 3):
        libc.prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "energy_rating", *sys.argv[1:]])
"""


def _words(words: list[str], work: Path) -> list[str]:
    places = {"RUN": str(work / "run"), "CARD": str(work / "README.md")}
    return [places.get(word, word.replace("LOCKED", str(work / "locked"))) for word in words]


def _environment(work: Path) -> dict[str, str]:
    return os.environ | {"XDG_STATE_HOME": str(work / "state"), "XDG_CONFIG_HOME": str(work / "config")}


def _done(words: list[str], work: Path, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=work,
        text=True,
        timeout=120,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=_environment(work),
        **how,
    )


def _is_one_line(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("output", ["full", "closed"])
@pytest.mark.parametrize("words", _all(PRINTS), ids=_name)
def test_where_nothing_can_be_printed_one_line_says_so(work, words, output):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no file that is always full")
    words = _words(words, work)
    if output == "full":
        with Path("/dev/full").open("w") as full:
            _is_one_line(energy_rating(*words, cwd=work, env=_environment(work), stdout=full.fileno()))
    else:  # what Python does without the descriptor, it does as it starts
        _is_one_line(
            _done(["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "energy_rating", *words], work)
        )


@pytest.mark.parametrize("words", _all(WRITES), ids=_name)
def test_where_nothing_can_be_written_one_line_says_so_and_what_was_there_stays(work, words):
    locked = work / "locked"
    before = {path: path.read_bytes() for path in locked.rglob("*") if path.is_file()}
    for folder in (locked, locked / "run"):
        folder.chmod(0o555)
    try:
        done = _done(
            [sys.executable, "-c", AS_ANYBODY, *_words(words, work)], work, stdout=subprocess.DEVNULL
        )
    finally:
        for folder in (locked, locked / "run"):
            folder.chmod(0o755)
    _is_one_line(done)
    assert str(locked) in done.stderr
    assert {path: path.read_bytes() for path in locked.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["measure", "benchmark"])
def test_what_cannot_be_written_where_it_was_asked_for_is_written_elsewhere_and_told(work, name):
    words = {"measure": ["measure", "--json", "--output-dir", "LOCKED/new", "--", "true"]}.get(
        name, [*PRINTS["benchmark"][0][:-1], "LOCKED/new", "--json"]
    )
    (work / "locked").chmod(0o555)
    try:
        done = _done([sys.executable, "-c", AS_ANYBODY, *_words(words, work)], work, stdout=subprocess.PIPE)
    finally:
        (work / "locked").chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert '"folder-refused"' in done.stdout
    assert "Traceback" not in done.stderr
    assert not (work / "locked" / "new").exists()
