"""One rank of a job that is measured: ``python tests/fakes/ranked.py FOLDER TOLD KEY=VALUE …``. Used by test_ranks_of_processes.py.

It writes TOLD/<local>.<try>.json: what it counted itself, step by step, and when its run was, on the clock of the machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from energy_rating import measure

STEP_S = 0.25


def launched_by_itself(options: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    """As Lightning does: the first process has no variable, sets some, and starts the script again for each of the others."""
    if options.get("launcher") != "lightning" or "LOCAL_RANK" in os.environ:
        return None
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29512",
        "NODE_RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
    }
    return subprocess.Popen([sys.executable, *sys.argv], env=os.environ | {"LOCAL_RANK": "1"})


def local() -> int:
    for name in ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "RANK"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def wait_for_all(told: Path, step: int, ranks: int) -> None:
    """A barrier: all ranks go on together, as in a training whose gradients are averaged."""
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", os.environ.get("TRY", "0"))
    (told / f"at-{attempt}-{step}-{local()}").touch()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if all((told / f"at-{attempt}-{step}-{rank}").exists() for rank in range(ranks)):
            return
        time.sleep(0.002)
    sys.exit("a rank did not come")


def write(path: Path, entry: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(entry))
    scratch.replace(path)


def main(folder: Path, told: Path, options: dict[str, Any]) -> None:
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", os.environ.get("TRY", "0"))
    ranks, first, last = (
        int(options.get("ranks", 2)),
        int(options.get("first", 1)),
        int(options.get("last", 8)),
    )
    counted: list[tuple[int, int]] = []
    run = measure("fine-tuning", output_dir=folder, resume=bool(options.get("resume")))
    with run:
        start = time.monotonic()
        other = launched_by_itself(options)
        me = local()
        for step in range(first, last + 1):
            wait_for_all(told, step, ranks)
            with run.window("step") as window:
                tokens = 100 * (me + 1) + step
                time.sleep(STEP_S)
                window.count(token=tokens)
            counted.append((step, tokens))
            entry = {"start": start, "end": time.monotonic(), "counted": counted, "pid": os.getpid()}
            write(told / f"{me}.{attempt}.json", entry)
            if step == int(options.get("save", 0)):
                run.checkpoint(step=step)
            if step == int(options.get("kill", 0)) and me == int(options.get("who", 0)) and attempt == "0":
                # What happened in the last 50 ms is lost with the process; that is tried in test_edges.
                _ = run.journal
                os.kill(os.getpid(), signal.SIGKILL)
            if step == int(options.get("stay", 0)) and attempt == "0":
                time.sleep(60)
        entry = {"start": start, "end": time.monotonic(), "counted": counted, "pid": os.getpid()}
        if other is not None and other.wait(30):
            sys.exit("the other rank failed")
    entry["record"] = run.record["run"].validity if run.makes_record else None
    write(told / f"{me}.{attempt}.json", entry)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        dict(argument.split("=", 1) for argument in sys.argv[3:]),
    )
