"""The instruments that are compared, each in an environment of its own, and the machine that they are shown. Compares none."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_nvml import FakeNvml

TOP = Path(__file__).parents[1]

WORKER = Path(__file__).with_name("peers_worker.py")
RESULTS = Path(__file__).with_name("results")
PAGE = TOP / "docs" / "against-the-peers.md"

# The newest at the time of writing (November 2026), each in an environment of its own: carbontracker asks for the package pynvml,
# which owns the same module as the nvidia-ml-py of the others.
PINNED = {
    "zeus": "zeus==0.16.0",
    "codecarbon": "codecarbon==3.3.2",
    "carbontracker": "carbontracker==2.4.7",
    "landauer-gap": "landauer-gap==0.8.0",
}


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One tool in one setting."""

    label: str
    tool: str
    environment: str | None  # None: the Python that runs this
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: str


CONTESTANTS = (
    Contestant(
        label="energy-rating",
        tool="energy-rating",
        environment=None,
        settings={"sensors": ["nvml"]},
        why="as it comes (10 Hz); `run.window` for each trial",
    ),
    Contestant(
        label="zeus",
        tool="zeus",
        environment="zeus",
        why="`ZeusMonitor()`, `begin_window`, `end_window(sync_execution=False)`; it reads the counter at the edges, so there "
        "is no sampling that could be made faster",
    ),
    Contestant(
        label="codecarbon task",
        tool="codecarbon-tasks",
        environment="codecarbon",
        why="one `OfflineEmissionsTracker` with its own 15 s, `start_task` and `stop_task` for each trial",
    ),
    Contestant(
        label="codecarbon 0.1 s",
        tool="codecarbon-tracker",
        environment="codecarbon",
        settings={"measure_power_secs": 0.1},
        why="`measure_power_secs=0.1`, a tracker with `start` and `stop` for each trial: its fastest",
    ),
    Contestant(
        label="carbontracker",
        tool="carbontracker",
        environment="carbontracker",
        why='`CarbonTracker(components="gpu")` with its own 1 s, one epoch for each trial; without the PUE it multiplies by',
    ),
    Contestant(
        label="carbontracker 0.1 s",
        tool="carbontracker",
        environment="carbontracker",
        settings={"update_interval": 0.1},
        why="`update_interval=0.1`: its fastest here",
    ),
)


def environments(folder: Path) -> dict[str, Path]:
    """The Python of each peer's environment under ``folder``; what is there already is used again."""
    pythons = {}
    for name, requirement in PINNED.items():
        python = folder / name / "bin" / "python"
        if not python.exists():
            print(f"installing {requirement} into {folder / name}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
            subprocess.run(
                [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement],
                check=True,
            )
        pythons[name] = python
    return pythons


def versions(pythons: Mapping[str, Path]) -> dict[str, str]:
    """What was really measured."""
    found = {}
    for name, python in {"energy-rating": Path(sys.executable), **pythons}.items():
        code = f"from importlib.metadata import version; print(version({name!r}))"
        found[name] = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
    return found


def machine() -> dict[str, Any]:
    """What the figures were taken on, as far as that matters to them."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": [round(load, 2) for load in os.getloadavg()],
    }


class Bench:
    """A folder to work in, the peers' environments, and processes started in them on a fake machine."""

    def __init__(self, pythons: Mapping[str, Path], folder: Path) -> None:
        self.pythons = pythons
        self.folder = folder
        self._started = 0
        # codecarbon looks for GPUs only where there is a programme of this name.
        stub = folder / "bin" / "nvidia-smi"
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)

    def python(self, contestant: Contestant) -> Path:
        return self.pythons[contestant.environment] if contestant.environment else Path(sys.executable)

    def place(self) -> Path:
        self._started += 1
        place = self.folder / str(self._started)
        place.mkdir()
        return place

    def variables(self, fake: FakeNvml | None, place: Path, *, ours: bool) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "SLURM_LOCALID", "PYTHONPATH")
        }
        kept["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{kept.get('PATH', '')}"
        kept["HOME"] = str(place)  # settings, caches and logs of every tool stay in here
        kept["XDG_STATE_HOME"] = str(place / "state")
        if ours:
            kept["PYTHONPATH"] = str(TOP)  # the tree that this file belongs to
        return kept | (fake.environment(place) if fake is not None else {})

    def start(
        self,
        contestant: Contestant,
        fake: FakeNvml,
        job: str,
        arguments: Mapping[str, Any],
        *,
        talks: bool = False,
    ) -> Started:
        """``talks``: its standard input and output are pipes to this process."""
        place = self.place()
        answer = place / "answer.json"
        description = {
            "tool": contestant.tool,
            "settings": dict(contestant.settings),
            "folder": str(place),
            "answer": str(answer),
            "job": job,
            "arguments": dict(arguments),
        }
        (place / "job.json").write_text(json.dumps(description))
        with (place / "said").open("w") as said:
            process = subprocess.Popen(
                [str(self.python(contestant)), str(WORKER), str(place / "job.json")],
                cwd=place,
                env=self.variables(fake, place, ours=contestant.environment is None),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else said,
                stderr=said,
            )
        return Started(process=process, answer=answer, said=place / "said", contestant=contestant, fake=fake)


@dataclass(frozen=True, kw_only=True)
class Started:
    process: subprocess.Popen[bytes]
    answer: Path
    said: Path
    contestant: Contestant
    fake: FakeNvml

    def wait(self, timeout: float) -> dict[str, Any] | None:
        """Its answer; None, with a line on the screen, if there is none."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.answer.exists():
            found: dict[str, Any] = json.loads(self.answer.read_text())
            return found
        print(f"{self.contestant.label}: no answer: {self.said.read_text()[-500:]}", flush=True)
        return None


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Measured(Protocol):
    """What a comparison measures of its contestants, as JSON holds it."""

    def __call__(self, ready: Bench, who: Sequence[Contestant], *, quick: bool) -> Mapping[str, Any]: ...


def main(told: str, name: str, measured: Measured, arguments: Sequence[str] | None = None) -> None:
    """A comparison as a command: ``told`` is its docstring, ``name`` that of its file of results."""
    compare(options(told, name).parse_args(arguments), measured)


def compare(chosen: argparse.Namespace, measured: Measured) -> None:
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as scratch:
        ready = bench(chosen, scratch)
        write(chosen.out, measured(ready, contestants(chosen.without_peers), quick=chosen.quick))


def options(told: str, name: str = "") -> argparse.ArgumentParser:
    """Those of all comparisons; with a ``name``, where its file of results goes, too."""
    parser = argparse.ArgumentParser(
        description=told.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    if name:
        out = RESULTS / f"{name}.json"
        parser.add_argument("--out", type=Path, default=out, help="where the figures (JSON) are written")
    parser.add_argument(
        "--venv",
        type=Path,
        help="where the peers' environments are or shall be (default: a temporary folder)",
    )
    parser.add_argument("--without-peers", action="store_true", help="only energy-rating")
    parser.add_argument("--quick", action="store_true", help="few trials, to see that it works")
    return parser


def contestants(without_peers: bool) -> tuple[Contestant, ...]:
    return tuple(one for one in CONTESTANTS if not without_peers or one.environment is None)


def bench(chosen: argparse.Namespace, scratch: str) -> Bench:
    pythons = {} if chosen.without_peers else environments((chosen.venv or Path(scratch) / "venv").resolve())
    folder = Path(scratch) / "work"
    folder.mkdir()
    return Bench(pythons, folder)


def write(path: Path, results: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    say(f"wrote {path}")


def rounded(values: Iterable[float], digits: int = 6) -> list[float]:
    return [round(value, digits) for value in values]
