"""What measuring costs the program that is measured: start-up, edges, CPU time, slow-down, and a week's journal; peers beside it.

Times are ratios or medians of one run on one machine; none is asserted anywhere. Every process works on the fake NVML, whose calls take
20 µs, about what an awake GPU's driver takes.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import contestants
from fake_nvml import Device, FakeNvml
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure

WEEK_S = 7 * 86400.0
LATENCY_US = 20

# ------------------------------------------------------------------------------------------------------------ start-up

# {place} is an empty folder. What is timed is what a program's first lines do: the import, then everything until work may start.
FIRST_LINES = {
    "energy-rating": ("from energy_rating import measure", "measure(output_dir={place!r}).start()"),
    "energy-rating, nvml and rapl only": (
        "from energy_rating import measure",
        "measure(output_dir={place!r}, sensors=['nvml', 'rapl']).start()",
    ),
    "zeus": (
        "from zeus.monitor import ZeusMonitor",
        "ZeusMonitor().begin_window('all', sync_execution=False)",
    ),
    "codecarbon": (
        "from codecarbon import OfflineEmissionsTracker",
        "OfflineEmissionsTracker(country_iso_code='USA', output_methods=[], log_level='critical').start()",
    ),
    "carbontracker": (
        "from carbontracker.tracker import CarbonTracker",
        "CarbonTracker(epochs=1, components='gpu', verbose=0).epoch_start()",
    ),
}

# VmHWM is this program's own peak; getrusage's would be its parent's, where that is larger.
TIMED = """
import json, os, time
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
bare = peak()
a = time.perf_counter()
{first}
b = time.perf_counter()
imported = peak()
c = time.perf_counter()
{second}
d = time.perf_counter()
with open({answer!r}, "w") as file:
    json.dump([b - a, d - c, bare, imported, peak()], file)
os._exit(0)
"""


def start_up(ready: contestants.Bench, names: Sequence[str], repeats: int) -> dict[str, Any]:
    """Fresh processes, the tools in turn; the first of each, which fills caches, is left out."""
    fake = FakeNvml(devices=[Device(latency_us=LATENCY_US)])
    homes = {name: ready.place() for name in names}
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for repeat in range(repeats + 1):
        for name in names:
            answer = homes[name] / f"{repeat}.json"
            first, second = FIRST_LINES[name]
            second = second.format(place=str(homes[name] / f"run-{repeat}"))
            code = TIMED.format(first=first, second=second, answer=str(answer))
            done = subprocess.run(
                [str(ready.pythons.get(name, sys.executable)), "-c", code],
                cwd=homes[name],
                env=ready.variables(fake, homes[name], ours=name not in ready.pythons),
                capture_output=True,
                text=True,
            )
            if not answer.exists():
                print(f"{name}: {done.stderr[-300:]}")
            elif repeat:
                found[name].append(json.loads(answer.read_text()))
    return {
        name: {
            "n": len(rows),
            "import_ms": 1e3 * median(row[0] for row in rows),
            "first_ms": 1e3 * median(row[1] for row in rows),
            "import_mib": median(row[3] - row[2] for row in rows),
            "first_mib": median(row[4] - row[2] for row in rows),
        }
        for name, rows in found.items()
        if rows
    }


# --------------------------------------------------------------------------------------------------------------- edges


def edges(
    ready: contestants.Bench,
    who: Sequence[contestants.Contestant],
    gpus: Sequence[int],
    calm_s: float,
    pause_s: float = 0.002,
    most: int = 1_000_000,
) -> dict[str, Any]:
    """Each tool alone, one edge after another with a pause between; for the last two seconds but one, the driver hangs.

    After a pause the processor's caches hold somebody else's things, and all that is touched first is slow; without one an edge costs
    what its instructions cost.
    """
    hangs_s = 2.0
    found: dict[str, Any] = {}
    for contestant in who:
        for count in gpus:
            began = time.monotonic()
            since = began + 3.0 + calm_s
            hang = f"hang@{since - began:.3f}..{since - began + hangs_s:.3f}"
            devices = [Device(latency_us=LATENCY_US, faults=(hang,)) for _ in range(count)]
            started = ready.start(
                contestant,
                FakeNvml(devices=devices, epoch=began),
                "edges",
                {"until": since + hangs_s + 0.5, "pause_s": pause_s, "most": most},
            )
            answer = started.wait(60)
            if answer is None:
                continue
            calm = [took for at, took in answer["calls"] if at + took < since]
            hanging = [took for at, took in answer["calls"] if at + took >= since and at < since + hangs_s]
            found.setdefault(contestant.label, {})[str(count)] = {
                "calm": spread_us(calm),
                "hanging": spread_us(hanging),
            }
    return found


def spread_us(took: Sequence[float]) -> dict[str, float]:
    if len(took) < 2:
        return {
            "n": len(took),
            **({"median": took[0] * 1e6, "p99": took[0] * 1e6, "max": took[0] * 1e6} if took else {}),
        }
    return {
        "n": len(took),
        "median": 1e6 * median(took),
        "p99": 1e6 * quantiles(took, n=100, method="inclusive")[-1],
        "max": 1e6 * max(took),
    }


# ------------------------------------------------------------------------------------------------------------ CPU time

NOTHING = contestants.Contestant(label="nothing", tool="nothing", environment=None, why="the control")
CODECARBON_15 = contestants.Contestant(
    label="codecarbon 15 s", tool="codecarbon-tracker", environment="codecarbon", why="its default"
)


def cpu(
    ready: contestants.Bench,
    who: Sequence[contestants.Contestant],
    gpus: Sequence[int],
    seconds: float,
    repeats: int,
) -> dict[str, Any]:
    """Share of a core that the tool uses beside a main thread that only sleeps, less the share of that main thread alone."""
    took: dict[tuple[str, int], list[float]] = {}
    for _ in range(repeats):
        for count in gpus:
            # Counters that tick together would be read in one go; on real cards they do not.
            rng = random.Random(count)
            devices = [
                Device(latency_us=LATENCY_US, counter_phase_s=rng.uniform(0, 0.1), counter_jitter_s=0.002)
                for _ in range(count)
            ]
            fake = FakeNvml(devices=devices)
            # One at a time: side by side they take each other's caches.
            for one in (NOTHING, *who):
                process = ready.start(one, fake, "cpu_time", {"settle_s": 6.0, "seconds": seconds})
                if (answer := process.wait(seconds + 60)) is not None:
                    share = answer["cpu_s"] / answer["wall_s"]
                    took.setdefault((process.contestant.label, count), []).append(share)
    found: dict[str, Any] = {}
    for (label, count), shares in took.items():
        alone = median(took["nothing", count])
        found.setdefault(label, {})[str(count)] = median(shares) - (alone if label != "nothing" else 0.0)
    return found


# ----------------------------------------------------------------------------------------------------------- slow-down


BLOCK_S = 0.25
ROUNDS_A_SET = 16


def slow_down(ready: contestants.Bench, who: Sequence[contestants.Contestant], pairs: int) -> dict[str, Any]:
    """How much longer a block of pure Python takes beside each tool than in a process without any.

    One process each, which work one at a time; a block of a tool stands between two of the bare process and is divided by their mean, so that
    what drifts falls out. A second bare process is the control. All processes are made anew every few rounds: two
    of the same programme differ by a per cent or so for as long as they live.

    Medians, with their standard errors from the middle half (1.2533 · σ / √n, σ = interquartile range / 1.349).
    """
    ratios: dict[str, list[tuple[float, float]]] = {one.label: [] for one in (NOTHING, *who)}
    rng = random.Random(0)
    for done in range(0, pairs, ROUNDS_A_SET):
        one_set(ready, who, min(ROUNDS_A_SET, pairs - done), ratios, rng)
    found = {}
    for label, taken in ratios.items():
        if len(taken) < 4:
            continue
        middle, error = middle_half([wall for wall, _ in taken])
        cpu_middle, cpu_error = middle_half([cpu for _, cpu in taken])
        found[label] = {
            "n": len(taken),
            "median": middle,
            "error": error,
            "cpu_median": cpu_middle,
            "cpu_error": cpu_error,
            "ratios": contestants.rounded([wall for wall, _ in taken], 4),
        }
        contestants.say(f"slow-down, {label}: {100 * middle:+.2f} ± {100 * error:.2f} %")
    return found


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """The median and its standard error."""
    low, _, high = quantiles(values, n=4)
    return median(values), 1.2533 * (high - low) / 1.349 / math.sqrt(len(values))


def one_set(
    ready: contestants.Bench,
    who: Sequence[contestants.Contestant],
    rounds: int,
    ratios: Mapping[str, list[tuple[float, float]]],
    rng: random.Random,
) -> None:
    fake = FakeNvml(devices=[Device(latency_us=LATENCY_US)])

    def begin(contestant: contestants.Contestant) -> subprocess.Popen[bytes]:
        return ready.start(contestant, fake, "blocks", {"settle_s": 2.0}, talks=True).process

    bare = begin(NOTHING)
    others = [(one.label, begin(one)) for one in (NOTHING, *who)]
    try:
        for process in (bare, *(other for _, other in others)):
            assert process.stdout is not None
            while process.stdout.readline() not in (b"ready\n", b""):
                pass  # what a tool says before it has begun
        turns = 200_000
        turns = round(turns * BLOCK_S / min(block(bare, turns)[0] for _ in range(4)))
        for _ in range(rounds):
            rng.shuffle(others)
            before = block(bare, turns)
            for label, process in others:
                took = block(process, turns)
                after = block(bare, turns)
                wall, cpu = (
                    2 * with_tool / (a + b) - 1 for with_tool, a, b in zip(took, before, after, strict=True)
                )
                ratios[label].append((wall, cpu))
                before = after
    finally:
        for process in (bare, *(other for _, other in others)):
            process.kill()
            process.communicate()


def block(process: subprocess.Popen[bytes], turns: int) -> tuple[float, float]:
    """Seconds of the wall clock and of CPU time that a block takes in a process."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"%d\n" % turns)
    process.stdin.flush()
    wall, cpu = process.stdout.readline().split()
    return float(wall), float(cpu)


# -------------------------------------------------------------------------------------------------------------- a week


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def virtual_week(hours: float) -> dict[str, Any]:
    """Some hours on 8 GPUs with one window of a minute in each, on the virtual clock; the rest of the week is extrapolated."""
    clock = VirtualClock()
    power, energy = constant(321.0)
    devices = [
        FakeDevice(
            clock=clock,
            power=power,
            energy=energy,
            device=f"GPU-{n}",
            number=n,
            phase_s=0.0123 * n,
            cost_s=0.0001,
        )
        for n in range(8)
    ]
    sizes, resident = [], []
    with tempfile.TemporaryDirectory() as folder:
        run = measure(output_dir=Path(folder) / "run", sensors=devices, clock=clock, report=None).start()
        journal = Path(folder) / "run" / "journal.jsonl"
        for minute in range(round(60 * hours)):
            if minute % 60 == 10:
                with run.window("rare"):
                    clock.sleep(60)
            else:
                clock.sleep(60)
            sizes.append(journal.stat().st_size)
            resident.append(_resident_mib())
    # Quiet from minute 15 of each hour on: the window and the minute after it are over, whatever was buffered is written.
    quiet = [b - a for m, (a, b) in enumerate(pairwise(sizes), 1) if m % 60 >= 15]
    a_minute = sum(quiet) / len(quiet)
    of_windows = [
        sizes[start + 14] - sizes[start + 9] - 5 * a_minute for start in range(0, len(sizes) - 14, 60)
    ]
    a_window = sum(of_windows) / len(of_windows)
    return {
        "hours": hours,
        "quiet_bytes_s": a_minute / 60,
        "window_bytes": a_window,
        "week_mb": (WEEK_S / 60 * a_minute + WEEK_S / 3600 * a_window) / 1e6,
        "resident_mib": [round(mib, 1) for mib in (resident[0], resident[len(resident) // 2], resident[-1])],
    }


def memory(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], at_s: Sequence[float]
) -> dict[str, Any]:
    """How the memory that Python holds grows on 8 GPUs: slope of a straight line and its standard error, in bytes a second."""
    fake = FakeNvml(devices=[Device(latency_us=LATENCY_US) for _ in range(8)])
    started = [ready.start(one, fake, "memory", {"at_s": list(at_s)}) for one in who]
    found = {}
    for process in started:
        if (answer := process.wait(max(at_s) + 60)) is None:
            continue
        held = answer["held"]
        n, x0, y0 = len(held), sum(at_s) / len(at_s), sum(held) / len(held)
        square = sum((x - x0) ** 2 for x in at_s)
        slope = sum((x - x0) * (y - y0) for x, y in zip(at_s, held, strict=True)) / square
        left = sum((y - y0 - slope * (x - x0)) ** 2 for x, y in zip(at_s, held, strict=True))
        found[process.contestant.label] = {
            "bytes_s": slope,
            "error": math.sqrt(left / max(n - 2, 1) / square),
            "seconds": max(at_s),
        }
    return found


# ----------------------------------------------------------------------------------------------------------------- all


def measured(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], *, quick: bool = False
) -> Mapping[str, Any]:
    by_label = {one.label: one for one in who}

    def those(*labels: str) -> list[contestants.Contestant]:
        return [by_label[label] for label in labels if label in by_label]

    with_peers = len(who) > 1
    of_machine = contestants.machine()
    names = [name for name in FIRST_LINES if with_peers or name.startswith("energy-rating")]
    contestants.say("start-up")
    found: dict[str, Any] = {"start_up": start_up(ready, names, 2 if quick else 10)}
    contestants.say("edges")
    of_edges = those("energy-rating", "zeus", "codecarbon task", "carbontracker")
    found["edges"] = edges(ready, of_edges, (1, 64), 2.0 if quick else 5.0)
    found["edges_in_a_row"] = edges(ready, of_edges, (1, 64), 1.0 if quick else 3.0, 0.0, 20_000)
    contestants.say("CPU time")
    steady = [*those("energy-rating", "zeus", "codecarbon 0.1 s", "carbontracker", "carbontracker 0.1 s")]
    if with_peers:
        steady.append(CODECARBON_15)
    found["cpu"] = cpu(ready, steady, (1,), 5.0 if quick else 10.0, 1)
    ours = cpu(ready, those("energy-rating"), (1, 8, 64), 5.0 if quick else 10.0, 1)
    found["cpu_by_gpus"] = ours["energy-rating"]
    found["slow_down"] = slow_down(
        ready,
        those("energy-rating", "codecarbon 0.1 s", "carbontracker 0.1 s"),
        8 if quick else 64,
    )
    contestants.say("a week")
    with ProcessPoolExecutor(1) as pool:
        week = pool.submit(virtual_week, 1.0 if quick else 2.0)
        at_s = range(5, 16, 5) if quick else range(32, 63, 2)
        of_memory = [*those("energy-rating", "zeus", "codecarbon 0.1 s", "carbontracker")]
        if with_peers:
            of_memory.append(CODECARBON_15)
        found["memory"] = memory(ready, of_memory, list(at_s))
        found["week"] = week.result()
    return {
        "versions": contestants.versions(ready.pythons),
        "machine": of_machine,
        "latency_us": LATENCY_US,
        **found,
        "quick": quick,
    }


if __name__ == "__main__":
    contestants.main(__doc__, "overhead", measured)
