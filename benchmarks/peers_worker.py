"""One tool in one process: what ``accuracy.py`` and ``overhead.py`` start in the environment of each tool.

Called as ``peers_worker.py FILE``, where FILE holds one JSON object that names the tool, its settings and the job; the answer is
written to the path it gives. Needs nothing but the standard library and the tool itself. Every tool is used through its public names,
as its own documents show; where a private one is needed to get at a figure, the line says so.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

JOULES_PER_KWH = 3.6e6


class Tool(Protocol):
    def prepare(self) -> None: ...
    def begin(self, name: str, /) -> None: ...
    def end(self, name: str, /) -> None: ...
    def finish(self) -> dict[str, list[float]]: ...


class Nothing:
    """The control: no tool at all."""

    def __init__(self, **_: Any) -> None:
        pass

    def prepare(self) -> None:
        pass

    def begin(self, _name: str) -> None:
        pass

    def end(self, _name: str) -> None:
        pass

    def finish(self) -> dict[str, list[float]]:
        return {}


class EnergyRating:
    """One run, one window a trial. The windows' energies are worked out after the end, from the journal."""

    def __init__(self, *, folder: str, sensors: list[str] | None = None, period_s: float = 0.1) -> None:
        from energy_rating import measure

        self._run = measure(
            output_dir=Path(folder) / "run", sensors=sensors, period_s=period_s, report=None
        ).start()
        self._window: Any = None

    def prepare(self) -> None:
        pass

    def begin(self, name: str) -> None:
        self._window = self._run.window(name)
        self._window.__enter__()

    def end(self, _name: str) -> None:
        self._window.__exit__(None, None, None)

    def finish(self) -> dict[str, list[float]]:
        time.sleep(0.6)  # an honest program ends a little after its last window
        self._run.stop()
        found = {}
        for measurement in self._run.record.measurements if self._run.record else ():
            if "gpu" in measurement.energy_j:
                energy = measurement.energy_j["gpu"]
                found[measurement.name] = [energy.value, *energy.interval()]
        return found


class EnergyRatingBlock:
    """A run for the block alone: ``with measure():``. It tells itself when it opened and how long it was."""

    def __init__(self, *, folder: str, sensors: list[str] | None = None) -> None:
        from energy_rating import measure

        self._run = measure(output_dir=Path(folder) / "run", sensors=sensors, report=None)
        self.edges_s: tuple[float, float, float, float] | None = None
        self._opened_s = 0.0

    def prepare(self) -> None:
        pass

    def begin(self, _name: str) -> None:
        self._run.__enter__()
        self._opened_s = time.monotonic() - self._run.elapsed_s()

    def end(self, _name: str) -> None:
        self._run.__exit__(None, None, None)

    def finish(self) -> dict[str, list[float]]:
        measurement = self._run.record["run"]
        closed_s = self._opened_s + measurement.duration_s
        self.edges_s = (self._opened_s, self._opened_s, closed_s, closed_s)
        energy = measurement.energy_j["gpu"]
        return {"block": [energy.value, *energy.interval()]}


class Zeus:
    """One monitor; a window reads the energy counter at its two edges. There is no sampling to make faster."""

    def __init__(self, **_: Any) -> None:
        from zeus.monitor import ZeusMonitor

        self._monitor = ZeusMonitor()
        self._found: dict[str, list[float]] = {}

    def prepare(self) -> None:
        pass

    def begin(self, name: str) -> None:
        # Nothing is queued on a device here, and torch is not installed.
        self._monitor.begin_window(name, sync_execution=False)

    def end(self, name: str) -> None:
        measured = self._monitor.end_window(name, sync_execution=False)
        self._found[name] = [sum(measured.gpu_energy.values())]

    def finish(self) -> dict[str, list[float]]:
        return self._found


def _codecarbon(measure_power_secs: float | None) -> Any:
    from codecarbon import OfflineEmissionsTracker

    chosen = {} if measure_power_secs is None else {"measure_power_secs": measure_power_secs}
    return OfflineEmissionsTracker(country_iso_code="USA", output_methods=[], log_level="critical", **chosen)


class CodecarbonTasks:
    """One tracker, one task a trial: start_task and stop_task."""

    def __init__(self, *, measure_power_secs: float | None = None, **_: Any) -> None:
        self._tracker = _codecarbon(measure_power_secs)
        self._found: dict[str, list[float]] = {}
        self._tracker.start_task("warm-up")  # the first start takes more than a second
        self._tracker.stop_task("warm-up")

    def prepare(self) -> None:
        pass

    def begin(self, name: str) -> None:
        self._tracker.start_task(name)

    def end(self, name: str) -> None:
        data = self._tracker.stop_task(name)
        self._found[name] = [data.gpu_energy * JOULES_PER_KWH]

    def finish(self) -> dict[str, list[float]]:
        return self._found


class CodecarbonTracker:
    """A tracker of its own for each trial: start and stop."""

    def __init__(self, *, measure_power_secs: float | None = None, **_: Any) -> None:
        self._measure_power_secs = measure_power_secs
        self._found: dict[str, list[float]] = {}
        self._tracker: Any = None
        self.prepare()
        self._tracker.start()
        self._tracker.stop()
        self.prepare()

    def prepare(self) -> None:
        self._tracker = _codecarbon(self._measure_power_secs)

    def begin(self, _name: str) -> None:
        self._tracker.start()

    def end(self, name: str) -> None:
        self._tracker.stop()
        self._found[name] = [self._tracker.final_emissions_data.gpu_energy * JOULES_PER_KWH]

    def finish(self) -> dict[str, list[float]]:
        return self._found


class Carbontracker:
    """One tracker, one epoch a trial; only the GPU, whose figure is not multiplied by a PUE here."""

    def __init__(self, *, update_interval: float = 1, epochs: int = 10_000, **_: Any) -> None:
        from carbontracker.tracker import CarbonTracker

        self._tracker = CarbonTracker(
            epochs=epochs,
            epochs_before_pred=0,
            monitor_epochs=-1,
            components="gpu",
            update_interval=update_interval,
            ignore_errors=True,
            verbose=0,
        )
        self._names: list[str] = []

    def prepare(self) -> None:
        pass

    def begin(self, name: str) -> None:
        self._names.append(name)
        self._tracker.epoch_start()

    def end(self, _name: str) -> None:
        self._tracker.epoch_end()

    def finish(self) -> dict[str, list[float]]:
        # Its documents give sums over all epochs only; the single epochs are taken from its thread, by its own method.
        thread = self._tracker.tracker
        thread.stop()
        (gpu,) = thread.components
        energies = gpu.energy_usage(thread.epoch_times)
        return {name: [float(kwh) * JOULES_PER_KWH] for name, kwh in zip(self._names, energies, strict=False)}


TOOLS: dict[str, Any] = {
    "nothing": Nothing,
    "energy-rating": EnergyRating,
    "energy-rating-block": EnergyRatingBlock,
    "zeus": Zeus,
    "codecarbon-tasks": CodecarbonTasks,
    "codecarbon-tracker": CodecarbonTracker,
    "carbontracker": Carbontracker,
}


def sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def accuracy(tool: Tool, *, starts: list[float], lengths: list[float]) -> dict[str, Any]:
    """Windows at given monotonic times; each edge with the times before and after the call that made it."""
    edges = []
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        name = f"trial {number}"
        tool.prepare()
        sleep_until(start)
        opening = time.monotonic()
        tool.begin(name)
        opened = time.monotonic()
        sleep_until(start + length)
        closing = time.monotonic()
        tool.end(name)
        edges.append([opening, opened, closing, time.monotonic()])
    found = tool.finish()
    return {
        "edges": edges,
        "found": [found.get(f"trial {number}") for number in range(len(starts))],
    }


def whole(tool: Tool, *, length: float) -> dict[str, Any]:
    """One block from the tool's start to its end: the times before and after the call that made each edge, and what was found."""
    tool.prepare()
    opening = time.monotonic()
    tool.begin("block")
    opened = time.monotonic()
    sleep_until(opened + length)
    closing = time.monotonic()
    tool.end("block")
    closed = time.monotonic()
    found = tool.finish()
    told = getattr(tool, "edges_s", None)
    return {"edges": list(told) if told else [opening, opened, closing, closed], "found": found.get("block")}


def edges(tool: Tool, *, until: float, pause_s: float, most: int) -> dict[str, Any]:
    """One window after another until a monotonic time, or so many: when each edge began, and how long its call took, in seconds."""
    calls: list[tuple[float, float]] = []
    number = 0
    clock = time.perf_counter
    while (now := time.monotonic()) < until and number < most:
        number += 1
        name = f"edge {number}"
        tool.prepare()
        before = clock()
        tool.begin(name)
        middle = clock()
        calls.append((now, middle - before))
        if pause_s:
            time.sleep(pause_s)
        now = time.monotonic()
        before = clock()
        tool.end(name)
        calls.append((now, clock() - before))
        if pause_s:
            time.sleep(pause_s)
    return {"calls": calls}


def cpu_time(tool: Tool, *, settle_s: float, seconds: float) -> dict[str, Any]:
    """CPU seconds of this process, in nanosecond steps, while the main thread sleeps in steps of 10 ms."""
    tool.begin("all")
    _sleeping_loop(settle_s)
    before, started = time.process_time(), time.monotonic()
    _sleeping_loop(seconds)
    return {"cpu_s": time.process_time() - before, "wall_s": time.monotonic() - started}


def _sleeping_loop(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def _work(turns: int) -> float:
    total = 0
    start = time.perf_counter()
    for number in range(turns):
        total += number & 7
    return time.perf_counter() - start


def blocks(tool: Tool, *, settle_s: float) -> None:
    """A block of pure Python for each line on standard input, which tells how many turns; its seconds go to standard output.

    Those of the wall clock, and those of CPU time of the whole process, which a busy neighbour does not lengthen as much.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tool prints is no answer
    tool.begin("all")
    _sleeping_loop(settle_s)
    _work(100_000)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        before = time.process_time()
        took = _work(int(line))
        print(took, time.process_time() - before, file=answers, flush=True)


def memory(tool: Tool, *, at_s: list[float]) -> dict[str, Any]:
    """Bytes that Python holds at some times after the start, as tracemalloc counts them."""
    import gc
    import tracemalloc

    tracemalloc.start()
    tool.begin("all")
    started = time.monotonic()
    held = []
    for moment in at_s:
        sleep_until(started + moment)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    return {"held": held}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    settings = job["settings"]
    make = TOOLS[job["tool"]]
    tool = make(**settings, folder=job["folder"])
    answer = globals()[job["job"]](tool, **job["arguments"])
    Path(job["answer"]).write_text(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # a driver that hangs, or a thread that is no daemon, holds nobody up


if __name__ == "__main__":
    main()
