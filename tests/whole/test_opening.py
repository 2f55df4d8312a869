"""A file is asked what it is before it is opened, wherever a command or a function takes its name: nothing waits, nothing never ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from energy_rating import BadInput
from energy_rating.cli import cli
from energy_rating.files.opening import opened, read_whole, refuse_to_write_over, refuse_what_waits
from energy_rating.files.whole import write_whole

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "reports" / "example-gpu"

# The interfaces of the kernel and the files that come with the package, which are what they are. All else goes by the one door.
OF_THE_KERNEL = (
    *("measuring/sensors/rapl.py", "measuring/sensors/codecarbon.py", "measuring/hwmon.py", "measuring/processes.py"),
    *("measuring/sensors/nvml/__init__.py", "measuring/sensors/nvml/library.py", "measuring/environment.py"),
    *("benchmarking/addresses.py", "benchmarking/at_work.py", "files/libraries.py"),
)  # fmt: skip
THAT_SHIP = (
    *("judging/profiles.py", "benchmarking/calibration/points.py", "publishing/checking.py"),
    *("publishing/folder.py", "judging/footprint/factors.py", "publishing/label/letters.py"),
    "publishing/report/page.py",
    "measuring/sensors/__init__.py",
)

# What all its tests look at is tried once.
pytestmark = pytest.mark.xdist_group("opening")


def test_files_are_opened_by_one_door():
    package = TOP / "energy_rating"
    opens = re.compile(r"\.open\(\"r|(?<![\w.])(?<!def )open\((?!\))|\.read_bytes\(\)|\.read_text\(")
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if opens.search(path.read_text(encoding="utf-8"))
    }
    assert found - set(OF_THE_KERNEL) - set(THAT_SHIP) == set()


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def _device(path):
    path.symlink_to("/dev/zero")


def _folder(path):
    path.mkdir()


def _huge(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a file with a hole: no block of it is on the disk


KINDS = {"pipe": _pipe, "socket": _socket, "endless device": _device, "folder": _folder, "huge file": _huge}


def _place(tmp_path, name: str) -> Path:
    # The name of a socket has 107 bytes at most.
    return tmp_path / name


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_is_no_file_of_a_sensible_size_is_refused_at_once(tmp_path, make):
    path = _place(tmp_path, "f")
    make(path)
    with pytest.raises(BadInput) as caught:
        read_whole(path, 1 << 20)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_what_is_no_name_is_refused_like_any_other(name):
    with pytest.raises(BadInput):
        opened(Path(name))


def test_a_file_that_becomes_a_pipe_between_the_question_and_the_opening_does_not_wait(tmp_path):
    path = tmp_path / "f"
    path.write_text("x")
    asked = path.stat()

    class Swapped(type(path)):
        def stat(self, **_):
            path.unlink()
            os.mkfifo(path)
            return asked

    with pytest.raises(BadInput, match="got a pipe"):
        opened(Swapped(path))


def test_a_folder_for_a_library_holds_nothing_that_waits(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    refuse_what_waits(tmp_path)
    os.mkfifo(tmp_path / "deep" / "tokenizer.json")
    with pytest.raises(BadInput, match=r"tokenizer\.json: must be a regular file; got a pipe"):
        refuse_what_waits(tmp_path)


@pytest.mark.parametrize("make", [_pipe, _socket, _device, _folder])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path, make):
    path = _place(tmp_path, "f")
    make(path)
    before = path.lstat().st_ino
    with pytest.raises(BadInput, match="cannot be written"):
        write_whole(path, b"x")
    assert path.lstat().st_ino == before
    assert [one.name for one in tmp_path.iterdir()] == ["f"]
    refuse_to_write_over(tmp_path / "not there yet")


# ---------------------------------------------------------------------------------------- every parameter that is a path


def _commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    return {name: cli.get_command(context, name) for name in cli.list_commands(context)}


# What a command must be given beside the path that is tried. RUN is a folder with a run, CARD a card.
BESIDE = {
    "benchmark": ["--task", "text-generation"],
    "compare": [],
    "export": ["--format", "csv"],
    "find": ["org/name"],
    "impact": ["--zone", "FRA"],
    "leaderboard": ["--output", "site"],
}

# Options that name a folder which is made, and what a command writes itself, which is read after it: its counts (tests/measuring/test_counts)
# and its results. Its own exit code stands; what is no file is a finding.
APART = {("measure", "count_from"), ("measure", "quality_from")}


def _places() -> list[tuple[str, str]]:
    return [
        (name, parameter.name or "")
        for name, command in _commands().items()
        for parameter in command.params
        if isinstance(parameter.type, click.Path) and (name, parameter.name) not in APART
    ]


def _given(command: click.Command, name: str, tried: str, path: Path, run: Path, card: Path) -> list[str]:
    """The words of a command with one of its paths as it is tried."""
    words: list[str] = list(BESIDE.get(name, ()))
    arguments: list[str] = []
    for one in command.params:
        is_tried = one.name == tried
        if isinstance(one, click.Argument):
            value = path if is_tried else card if one.name == "readme" else run
            if isinstance(one.type, click.Path):
                arguments.append(str(value))
            elif one.required:
                arguments.append("true")
            elif name == "benchmark" and tried != "batch":
                arguments.append("tiny-random")
        elif is_tried:
            words += [one.opts[0], str(path)]
    if name == "benchmark":
        words += ["--workload", "command", "--command", "cat"] if tried != "batch" else []
        words += ["--output-dir", str(run.parent / "batch")] if tried == "batch" else []
    if name == "calibrate":
        words += ["--trial", "--cooldown", "0"]
    return [*words, "--", *arguments]


# One process for all, which ends itself with a traceback where one of them waits.
TRYING = """
import contextlib, faulthandler, io, json, sys
from energy_rating.cli import main

for line in sys.stdin:
    words = json.loads(line)
    faulthandler.dump_traceback_later(30, exit=True)
    told, said = io.StringIO(), io.StringIO()
    code = None
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, told.getvalue(), said.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """What became of each command with each of its paths being each of what is no file: code, output, errors, and whether it is there."""
    folder = tmp_path_factory.mktemp("t")
    run, card = folder / "run", folder / "README.md"
    shutil.copytree(EXAMPLE, run)
    card.write_text("# a model\n")
    tries = []
    for number, (name, place) in enumerate(_places()):
        for kind, make in KINDS.items():
            if kind in ("folder", "huge file") and place in ("output", "output_dir", "records", "workflow"):
                continue  # may be written into, or over
            path = folder / f"{number}{kind[0]}"
            make(path)
            words = [name, *_given(_commands()[name], name, place, path, run, card)]
            tries.append(((name, place, kind), words, path, path.lstat().st_ino))
    done = subprocess.run(
        [sys.executable, "-c", TRYING],
        input="\n".join(json.dumps(words) for _, words, _, _ in tries),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=os.environ | {"XDG_STATE_HOME": str(folder / "state")},
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    if len(told) < len(tries):
        pytest.fail(f"{tries[len(told)][1]} waits, or ended all: {done.stderr}")
    return {
        what: (*one, path.lstat().st_ino == inode)
        for (what, _, path, inode), one in zip(tries, told, strict=True)
    }


@pytest.mark.parametrize(("name", "place"), _places())
def test_no_command_waits_for_a_path_or_replaces_what_is_no_file(tried, name, place):
    of_place = {kind: found for (*where, kind), found in tried.items() if where == [name, place]}
    assert of_place
    for kind, (code, told, said, is_there) in of_place.items():
        assert code in (1, 2), (kind, told, said)
        assert "Traceback" not in said, (kind, said)
        assert "rror" in said or (name == "verify" and "match its journal" in told), (kind, told, said)
        assert is_there, kind


INSIDE = ["record.json", "journal.jsonl", "journal.jsonl.gz", "card.md", "label.svg", "rating.json"]
IN_A_FOLDER = {"pipe": _pipe, "device": _device, "folder": _folder}


@pytest.fixture(scope="module")
def tried_inside(tmp_path_factory):
    """What became of each command with a run's folder in which something else stands in a file's place: code, output, errors."""
    tries = []
    for kind, make in IN_A_FOLDER.items():
        for inside in INSIDE:
            folder = tmp_path_factory.mktemp("f")
            run = folder / "run"
            shutil.copytree(EXAMPLE, run)
            (run / inside).unlink(missing_ok=True)
            make(run / inside)
            for words in (["rate"], ["verify"], ["summarise", "-o", str(folder / "again.json")]):
                tries.append(((kind, inside), [words[0], str(run), *words[1:]]))
    done = subprocess.run(
        [sys.executable, "-c", TRYING],
        input="\n".join(json.dumps(words) for _, words in tries),
        capture_output=True,
        text=True,
        timeout=100,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    if len(told) < len(tries):
        pytest.fail(f"{tries[len(told)][1]} waits, or ended all: {done.stderr}")
    return [(what, one) for (what, _), one in zip(tries, told, strict=True)]


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("kind", IN_A_FOLDER)
def test_no_file_in_a_runs_folder_lets_a_command_wait(tried_inside, inside, kind):
    told = [one for what, one in tried_inside if what == (kind, inside)]
    assert [code in (0, 1, None) for code, _, _ in told] == [True] * 3, told
    assert not any("Traceback" in said for _, _, said in told)


@pytest.mark.parametrize("kind", KINDS)
def test_results_that_are_no_file_are_a_finding_of_a_run_that_waits_for_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "results"
    KINDS[kind](path)
    before = path.lstat().st_ino
    words = ["measure", "--output-dir", str(tmp_path / "run"), "--quality-from", str(path), "--", "true"]
    done = subprocess.run(
        [sys.executable, "-m", "energy_rating", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "run" / "record.json").read_text())["findings"]
    assert "quality-refused" in [one["code"] for one in told]
    assert path.lstat().st_ino == before
