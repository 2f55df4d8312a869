"""How far the figures are from the truth: our instrument on a virtual clock, and side by side with the peers in real time.

Two scenarios, the same for all. *job*: a device idles at 100 W, draws 400 W from the moment the window opens until it closes, and
idles again. *steps*: the power before, inside and after the window is drawn at random from 60 to 600 W, and steps at the edges. Windows
fall at random into the 100 ms in which the energy counter ticks; in *steps* their lengths too, by up to half a tick.

The truth is the exact integral. In real time a tool is given the benefit of the doubt: each edge is counted where, within the tool's own
call for it, it suits the tool best.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import contestants
from fake_nvml import Device, FakeNvml
from virtual import FakeDevice, VirtualClock, steps

from energy_rating import measure

LENGTHS_S = (0.5, 1.0, 2.0, 5.0)
SCENARIOS = ("job", "steps")
TICK_S = 0.1

# On an A100 the intervals between ticks are 99 to 104 ms, 5th to 95th percentile (logs of the SC24 paper, arXiv 2312.02741).
JITTER_S = 0.002

IDLE_W, BUSY_W = 100.0, 400.0
LOWEST_W, HIGHEST_W = 60.0, 600.0

# Between two trials: a carbontracker that looks once a second is waiting again by then.
PAUSES_S = (1.05, 1.35)

# On a busy machine a process may not be there in time for a window; one that opened later than so is not counted for anybody.
LATEST_S = 0.1

# A profile of the fake has at most 64 pieces, two a trial.
MOST_TRIALS = 30


class Schedule:
    """When the windows of one process open, how long they last, and what the device draws."""

    def __init__(self, scenario: str, lengths_s: Sequence[float], rng: random.Random, first_s: float) -> None:
        def level() -> float:
            return round(rng.uniform(LOWEST_W, HIGHEST_W), 1)

        self.starts: list[float] = []
        self.lengths: list[float] = []
        self.changes: list[tuple[float, float]] = []
        self.before_w = IDLE_W if scenario == "job" else level()
        now = first_s
        for nominal in lengths_s:
            now += rng.uniform(*PAUSES_S)
            length = nominal if scenario == "job" else nominal + rng.uniform(-TICK_S / 2, TICK_S / 2)
            self.starts.append(now)
            self.lengths.append(length)
            self.changes.append((now, BUSY_W if scenario == "job" else level()))
            now += length
            self.changes.append((now, IDLE_W if scenario == "job" else level()))
        self.end_s = now

    def profile(self) -> str:
        pieces = ",".join(f"{watts},{at:.9f}" for at, watts in self.changes)
        # P0, then P1 from T1 on, …
        return f"step:{self.before_w},{pieces}"


def mixed(trials: int, rng: random.Random) -> list[float]:
    lengths = [length for length in LENGTHS_S for _ in range(trials)]
    rng.shuffle(lengths)
    return lengths


# ------------------------------------------------------------------------------------------------------ virtual clock


class UnsteadyDevice(FakeDevice):
    """A GPU whose counter ticks a little early or late, each time anew."""

    def tick_before(self, now: float) -> float:
        number = math.floor((now - self.phase_s) / self.tick_s) + 1
        return next(tick for n in (number, number - 1, number - 2) if (tick := self._tick(n)) <= now)

    def _tick(self, number: int) -> float:
        unsteady = random.Random(number).uniform(-JITTER_S, JITTER_S)
        return number * self.tick_s + self.phase_s + unsteady


def virtual_run(job: tuple[str, int, int]) -> list[list[Any]]:
    """One run on a virtual clock. Rows: length, relative error, whether the 95 % interval holds the truth."""
    scenario, seed, trials = job
    rng = random.Random(f"virtual {scenario} {seed}")
    lengths = mixed(trials, rng)
    clock = VirtualClock()
    clock.late_s = 0.0005
    schedule = Schedule(scenario, lengths, rng, clock.time + 2)
    power, energy = steps((-math.inf, schedule.before_w), *schedule.changes)
    device = UnsteadyDevice(
        clock=clock,
        power=power,
        energy=energy,
        tick_s=TICK_S,
        phase_s=rng.uniform(0, TICK_S),
        cost_s=0.0001,
    )
    with tempfile.TemporaryDirectory() as folder:
        with measure(output_dir=Path(folder) / "run", sensors=[device], clock=clock, report=None) as run:
            for number, (start, length) in enumerate(zip(schedule.starts, schedule.lengths, strict=True)):
                clock.sleep(start - clock.time)
                with run.window(f"trial {number}"):
                    clock.sleep(start + length - clock.time)
            clock.sleep(0.6)
        rows = []
        for number, nominal in enumerate(lengths):
            start = schedule.starts[number]
            truth = energy(start + schedule.lengths[number]) - energy(start)
            found = run.record[f"trial {number}"].energy_j["gpu"]
            low, high = found.interval()
            rows.append([nominal, found.value / truth - 1, low <= truth <= high])
    return rows


def virtual(trials: int, *, processes: int | None = None) -> dict[str, Any]:
    """``trials`` windows of each length in each scenario, in runs of a few windows each."""
    a_run = min(trials, 5)
    jobs = [(scenario, seed, a_run) for scenario in SCENARIOS for seed in range(math.ceil(trials / a_run))]
    found: dict[str, list[list[Any]]] = {scenario: [] for scenario in SCENARIOS}
    if processes == 0:
        answers = [virtual_run(job) for job in jobs]
    else:
        with ProcessPoolExecutor(processes) as pool:
            answers = list(pool.map(virtual_run, jobs))
    for (scenario, _, _), rows in zip(jobs, answers, strict=True):
        found[scenario] += rows
    return {
        scenario: {
            f"{length:g}": statistics([row[1] for row in rows if row[0] == length])
            | {"held": mean(bool(row[2]) for row in rows if row[0] == length)}
            for length in LENGTHS_S
        }
        for scenario, rows in found.items()
    }


def statistics(errors: Sequence[float]) -> dict[str, Any]:
    """Of relative errors: number, mean with its standard error, root of the mean square, median, worst."""
    n = len(errors)
    if n == 0:
        return {"n": 0}
    middle = mean(errors)
    spread = math.sqrt(sum((error - middle) ** 2 for error in errors) / max(n - 1, 1))
    return {
        "n": n,
        "bias": middle,
        "bias_error": spread / math.sqrt(n),
        "rms": math.sqrt(mean(error**2 for error in errors)),
        "median_size": median(abs(error) for error in errors),
        "worst": max(errors, key=abs),
    }


# ----------------------------------------------------------------------------------------------------------- real time


def kindest_error(found_j: float, fake: FakeNvml, edges: Sequence[float]) -> float:
    """The relative error, each edge taken where within the tool's call for it suits the tool best."""
    opening, opened, closing, closed = edges
    low, high = fake.truth_j(0, opened, closing), fake.truth_j(0, opening, closed)
    if low <= found_j <= high:
        return 0.0
    return found_j / low - 1 if found_j < low else found_j / high - 1


def starting(ready: contestants.Bench, who: Sequence[contestants.Contestant]) -> float:
    """How long one process of each takes to start and end, all at once, as busy as the machine is now."""
    began = time.monotonic()
    for process in [ready.start(one, FakeNvml(), "accuracy", {"starts": [], "lengths": []}) for one in who]:
        process.wait(120)
    return time.monotonic() - began


def real(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], trials: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By contestant and scenario: the statistics and all errors of each length."""
    parts = max(1, math.ceil(trials * len(LENGTHS_S) / MOST_TRIALS))
    per_part = math.ceil(trials / parts)
    results: dict[str, dict[str, dict[str, Any]]] = {}
    to_start_s = starting(ready, who)
    for scenario in SCENARIOS:
        # All start together, and begin when the slowest has been imported.
        patience_s = 5.0 + 1.3 * to_start_s * parts
        began = time.monotonic()
        started = []
        for part in range(parts):
            for contestant in who:
                rng = random.Random(f"real {scenario} {part}")  # the same windows for all
                lengths = mixed(per_part, rng)
                schedule = Schedule(scenario, lengths, rng, patience_s)
                device = Device(
                    power=schedule.profile(),
                    counter_phase_s=rng.uniform(0, TICK_S),
                    counter_jitter_s=JITTER_S,
                    power_jitter_s=JITTER_S,
                    seed=part + 1,
                    power_phase_s=rng.uniform(0, TICK_S),
                    latency_us=20,
                )
                fake = FakeNvml(devices=[device], epoch=began)
                starts = [began + start for start in schedule.starts]
                process = ready.start(
                    contestant, fake, "accuracy", {"starts": starts, "lengths": schedule.lengths}
                )
                started.append((process, lengths, starts, schedule.end_s))
        contestants.say(
            f"{scenario}: {len(started)} processes, {per_part * parts} windows of each length, for "
            f"{max(end for *_, end in started):.0f} s"
        )
        errors: dict[str, dict[float, list[float]]] = {}
        held: dict[str, list[bool]] = {}
        slowest: dict[str, float] = {}
        missing: dict[str, int] = {}
        late: dict[str, int] = {}
        for process, lengths, starts, end_s in started:
            answer = process.wait(began + end_s + 60 - time.monotonic())
            if answer is None:
                continue
            label = process.contestant.label
            of_tool = errors.setdefault(label, {length: [] for length in LENGTHS_S})
            for nominal, start, edges, found in zip(
                lengths, starts, answer["edges"], answer["found"], strict=True
            ):
                if edges[0] > start + LATEST_S:
                    late[label] = late.get(label, 0) + 1
                    continue
                slowest[label] = max(slowest.get(label, 0.0), edges[1] - edges[0], edges[3] - edges[2])
                if found is None:
                    missing[label] = missing.get(label, 0) + 1
                    continue
                of_tool[nominal].append(kindest_error(found[0], process.fake, edges))
                if len(found) == 3:
                    truth = process.fake.truth_j(0, edges[1], edges[2])
                    held.setdefault(label, []).append(found[1] <= truth <= found[2])
        for label, by_length in errors.items():
            results.setdefault(label, {})[scenario] = {
                "by_length": {f"{length:g}": statistics(found) for length, found in by_length.items()},
                "errors": {f"{length:g}": contestants.rounded(found) for length, found in by_length.items()},
                "slowest_edge_s": slowest[label],
                "missing": missing.get(label, 0),
                "late": late.get(label, 0),
                "held": mean(held[label]) if label in held else None,
            }
    return results


def measured(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], *, quick: bool = False
) -> Mapping[str, Any]:
    trials, virtual_trials = (2, 10) if quick else (42, 500)
    of_machine = contestants.machine()
    in_real_time = real(ready, who, trials)
    contestants.say(f"virtual clock: {virtual_trials} windows of each length")
    return {
        "versions": contestants.versions(ready.pythons),
        "machine": of_machine,
        "settings": {contestant.label: contestant.why for contestant in who},
        "virtual": virtual(virtual_trials),
        "real": in_real_time,
        "quick": quick,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = contestants.options(__doc__, "accuracy")
    parser.add_argument(
        "--virtual-only", type=int, metavar="TRIALS", help="only our instrument, only the virtual clock"
    )
    chosen = parser.parse_args(arguments)
    if chosen.virtual_only:
        for scenario, by_length in virtual(chosen.virtual_only).items():
            for length, found in by_length.items():
                print(
                    f"{scenario:6s} {length:>4s} s  bias {100 * found['bias']:+.2f} ± {100 * found['bias_error']:.2f} %"
                    f"  rms {100 * found['rms']:.2f} %  within 95 % interval {100 * found['held']:.0f} %"
                )
        return
    contestants.compare(chosen, measured)


if __name__ == "__main__":
    main()
