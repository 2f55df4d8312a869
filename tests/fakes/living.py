"""A program that is measured and to which something happens: ``python tests/fakes/living.py WHAT FOLDER``. Used by test_faults.py.

It writes FOLDER/told.json: what it reckoned, how long the end of the run took, and the run's energy if there is a record.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from energy_rating import measure
from energy_rating.nouns.records import Channel

WATTS = 300.0
TICK_S = 0.02
WINDOW_S = 1.0


class Gpu:
    """A counter of 300 W in real time, refreshed every 20 ms. ``hangs``: from when to when a reading does not come back."""

    channels = (Channel(id="gpu0.energy", component="gpu", device="GPU-0", method="counter", accuracy=0.04),)

    def __init__(self, hangs: tuple[float, float] = (math.inf, math.inf)) -> None:
        self.start = time.monotonic()
        self.hangs = hangs

    def read(self) -> dict[str, float]:
        t = time.monotonic() - self.start
        if self.hangs[0] <= t < self.hangs[1]:
            threading.Event().wait(None if math.isinf(self.hangs[1]) else self.hangs[1] - t)
        return {"gpu0.energy": 1e6 + WATTS * math.floor(time.monotonic() / TICK_S) * TICK_S}

    def close(self) -> None:
        pass


def step(work: tuple[Any, int]) -> int:
    """What a worker does, with the run of its parent in its hands."""
    run, number = work
    with run.window("in a worker") as window:
        window.count(token=1000)
        run.count(token=1000)
        time.sleep(0.05)
    return number * number


HANGS = {
    "hangs before the run": (0.0, math.inf),
    "hangs in a window": (0.6, math.inf),
    "hangs for half a second": (0.6, 1.1),
}


def happen(what: str, run: Any) -> object:
    """Happens in the middle of a window; returns what the program reckons."""
    pid = os.getpid()
    if what in ("SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"):
        os.kill(pid, getattr(signal, what))
    elif what == "os._exit":
        os._exit(5)
    elif what == "SIGUSR1, handled by the program":
        got: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
        os.kill(pid, signal.SIGUSR1)
        return len(got)
    elif what == "SIGALRM every 10 ms":
        rings: list[int] = []
        signal.signal(signal.SIGALRM, lambda number, frame: rings.append(number))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        time.sleep(0.3)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return bool(rings)
    elif what == "stopped and continued":
        subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {pid}"])
        os.kill(pid, signal.SIGSTOP)
        os.wait()
    elif what == "raises":
        raise ValueError("the program's own")
    elif what == "sys.exit(3)":
        sys.exit(3)
    elif what.startswith("pool of workers"):
        method = {"forked": "fork", "spawned": "spawn", "from a fork server": "forkserver"}[
            what.partition(", ")[2]
        ]
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(step, [(run, number) for number in range(4)])
    elif what == "workers that live on":
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
    elif what == "a thread that lives on":

        def keep_on() -> None:
            for _ in range(200):
                with run.window("late"):
                    run.count(token=1)
                    time.sleep(0.01)

        threading.Thread(target=keep_on, daemon=True).start()
    return None


def main(what: str, folder: Path) -> None:
    if what == "journal at the limit of file sizes":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))
    if what == "stdout and stderr closed":
        os.close(1)
        os.close(2)
    run = measure(output_dir=folder / "run", sensors=[Gpu(HANGS.get(what, (math.inf, math.inf)))]).start()
    reckoned: object = None
    end = time.monotonic()
    try:
        with run.window("work") as window:
            time.sleep(0.4)
            reckoned = happen(what, run)
            window.count(token=10)
            time.sleep(WINDOW_S - 0.4)
        end = time.monotonic()
    except BaseException as raised:
        end = time.monotonic()
        run.stop(raised)
        raise
    finally:
        run.stop()
        told: dict[str, Any] = {"reckoned": reckoned, "end_took_s": time.monotonic() - end}
        measured = run.record["run"]
        told["duration_s"] = measured.duration_s
        told["codes"] = sorted({finding.code for finding in run.record.findings})
        told["validity"] = measured.validity
        told["windows"] = [one.name for one in run.record]
        if "gpu" in measured.energy_j:
            told["gpu_j"], told["random_j"] = measured.energy_j["gpu"].value, measured.energy_j["gpu"].random
            told["coverage"] = measured.coverage["gpu"]
        (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
