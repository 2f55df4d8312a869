"""Runs that are killed: ``nursery.py FOLDER COUNT SEED`` kills COUNT of them at random moments, and tells of each in a line.

``nursery.py resume FOLDER SECONDS`` is one that goes on with the run in FOLDER for so long. Used by the tests and by
``benchmarks/kill.py``. The children are forked, so that Python and this package start once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from living import Gpu

from energy_rating import measure

AT_ONCE = 5
LONGEST_S = 0.6


def live(folder: Path, *, resume: bool, seconds: float = 1e9, period_s: float = 0.01, tell=print) -> None:
    """Measures, counts and opens windows at a high pace."""
    with measure(
        "inference", output_dir=folder, sensors=[Gpu()], resume=resume, period_s=period_s, report=None
    ) as run:
        tell("open")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with run.window("step") as window:
                time.sleep(0.004)
                window.count(token=10)
            run.count(token=10)


def born(folder: Path) -> tuple[int, int]:
    """A child that measures; its id and the pipe that says when its run is open, and by which clock."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            live(folder, resume=False, tell=lambda _: os.write(writer, b"%r\n" % time.monotonic()))
        finally:
            os._exit(9)
    os.close(writer)
    return pid, reader


def main(top: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    alive: list[tuple[float, int, int, Path]] = []
    number = 0
    while number < count or alive:
        while number < count and len(alive) < AT_ONCE:
            folder = top / f"run-of-{number}"
            pid, reader = born(folder)
            # Some die before their run is open.
            dies_s = rng.random() * (0.02 if rng.random() < 0.1 else LONGEST_S)
            alive.append((time.monotonic() + dies_s, pid, reader, folder))
            number += 1
        alive.sort()
        dies_s, pid, reader, folder = alive.pop(0)
        time.sleep(max(0.0, dies_s - time.monotonic()))
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said = os.read(reader, 100).decode().strip()
        os.close(reader)
        told = {
            "folder": str(folder),
            "opened": bool(said),
            "lived_s": killed_s - float(said) if said else None,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "resume":
        live(
            Path(sys.argv[2]),
            resume=True,
            seconds=float(sys.argv[3]),
            tell=lambda word: print(word, flush=True),
        )
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
