"""Whole commands and whole ``with`` blocks of random lengths: how far each tool is from the truth at the ends of a run.

A length that is a multiple of the counter's tick flatters whoever subtracts two readings: what is missed at one end comes in at
the other. So lengths, the phase of the counter and that of the power are drawn anew for each trial; all tools get the same ones, in turns.

*level* draws 300 W all the time, *wave* 100 and 400 W, in turns of 0.73 s. A command notes itself when it began and ended; a tool says how long
its run lasted, and what that is longer is counted where it suits the tool best. Of a block each edge is counted where, within the tool's
call for it, it suits the tool best; ours tells its edges.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import contestants
from accuracy import JITTER_S, TICK_S, kindest_error, statistics
from fake_nvml import Device, FakeNvml, compiler

LENGTHS_S = (2.6, 3.4)
LOADS = {"level": "constant:300", "wave": "square:100,400,0.73,0.4"}
OURS, LANDAUER = "energy-rating", "landauer-gap"

# The time that a run lasted longer than the command was alive is given to its two ends in so many ways.
SPLITS = 20

# The command: says when it began, waits, says when it ended. No interpreter, whose start is part of nobody's job.
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int main(int count, char **words) {
    double began = now(), until = began + atof(words[1]);
    struct timespec end = { (time_t)until, (long)(1e9 * (until - (time_t)until)) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL)) {}
    FILE *file = fopen(words[2], "w");
    fprintf(file, "%.9f %.9f", began, now());
    return count == 3 ? fclose(file) : 1;
}
"""


def machine_of(load: str, rng: random.Random) -> FakeNvml:
    """A machine whose power is somewhere in its course, and whose counter and register are somewhere between two ticks."""
    return FakeNvml(
        devices=[
            Device(
                power=LOADS[load],
                counter_phase_s=rng.uniform(0, TICK_S),
                counter_jitter_s=JITTER_S,
                power_phase_s=rng.uniform(0, TICK_S),
                power_jitter_s=JITTER_S,
                seed=rng.randrange(1000),
                latency_us=20,
            )
        ],
        epoch=time.monotonic() - rng.uniform(5, 10),
    )


def built(folder: Path) -> Path:
    source, program = folder / "job.c", folder / "job"
    source.write_text(SOURCE)
    subprocess.run([compiler(), "-O1", str(source), "-o", str(program)], check=True)
    return program


def stretched_error(found_j: float, fake: FakeNvml, began: float, ended: float, duration_s: float) -> float:
    """The relative error of a run that lasted so long and held a command from ``began`` to ``ended``, the rest where it suits best."""
    rest_s = max(0.0, duration_s - (ended - began))
    errors = []
    for part in range(SPLITS + 1):
        start = began - rest_s * part / SPLITS
        truth_j = fake.truth_j(0, start, start + max(duration_s, ended - began))
        errors.append(found_j / truth_j - 1)
    return 0.0 if min(errors) <= 0 <= max(errors) else min(errors, key=abs)


def by_ours(
    ready: contestants.Bench, fake: FakeNvml, place: Path, command: Sequence[str]
) -> tuple[float, float, float]:
    """Joules, seconds, and the random doubt (1 σ)."""
    tool = [sys.executable, "-m", "energy_rating", "measure", "--output-dir", str(place / "run"), "--"]
    variables = ready.variables(fake, place, ours=True)
    subprocess.run([*tool, *command], cwd=place, env=variables, check=True, capture_output=True, timeout=60)
    (run,) = json.loads((place / "run" / "record.json").read_text())["measurements"]
    return run["energy_j"]["gpu"]["value"], run["duration_s"], run["energy_j"]["gpu"]["random"]


def by_landauer(
    ready: contestants.Bench, fake: FakeNvml, place: Path, command: Sequence[str]
) -> tuple[float, float, None]:
    tool = [str(ready.pythons[LANDAUER].with_name("joules")), "run", "--no-track", "--no-cpu", "--out"]
    variables = ready.variables(fake, place, ours=False)
    answer = place / "answer.json"
    subprocess.run(
        [*tool, str(answer), "--", *command],
        cwd=place,
        env=variables,
        check=True,
        capture_output=True,
        timeout=60,
    )
    report = json.loads(answer.read_text())
    return sum(one["energy_j"] for one in report["devices"]), report["duration_s"], None


COMMANDS: Mapping[str, Callable[..., tuple[float, float, float | None]]] = {
    OURS: by_ours,
    LANDAUER: by_landauer,
}


def commands(ready: contestants.Bench, trials: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By tool and load: the statistics and all errors of so many commands."""
    program = built(ready.folder)
    errors: dict[str, dict[str, list[float]]] = {}
    doubts: dict[str, list[float]] = {load: [] for load in LOADS}
    for load in LOADS:
        for trial in range(trials):
            for name, tool in COMMANDS.items():
                if name != OURS and name not in ready.pythons:
                    continue
                rng = random.Random(f"command {load} {trial}")  # the same for all
                fake, place = machine_of(load, rng), ready.place()
                times = place / "times"
                command = [str(program), f"{rng.uniform(*LENGTHS_S):.6f}", str(times)]
                found_j, duration_s, doubt_j = tool(ready, fake, place, command)
                began, ended = map(float, times.read_text().split())
                error = stretched_error(found_j, fake, began, ended, duration_s)
                errors.setdefault(name, {}).setdefault(load, []).append(error)
                if doubt_j is not None:
                    doubts[load].append(doubt_j / found_j)
        contestants.say(f"commands, {load}: {trials} of each tool")
    return {
        name: {
            load: statistics(found)
            | {"errors": contestants.rounded(found)}
            | ({"doubts": contestants.rounded(doubts[load])} if name == OURS else {})
            for load, found in of_tool.items()
        }
        for name, of_tool in errors.items()
    }


def blocks(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], trials: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """The same of whole ``with`` blocks, each in a fresh process."""
    errors: dict[str, dict[str, list[float]]] = {}
    missing: dict[str, int] = {}
    for load in LOADS:
        for trial in range(trials):
            for contestant in who:
                rng = random.Random(f"block {load} {trial}")
                fake = machine_of(load, rng)
                if contestant.tool == OURS:
                    contestant = replace(contestant, tool="energy-rating-block")
                process = ready.start(contestant, fake, "whole", {"length": rng.uniform(*LENGTHS_S)})
                answer = process.wait(60)
                if answer is None or answer["found"] is None:
                    missing[contestant.label] = missing.get(contestant.label, 0) + 1
                    continue
                error = kindest_error(answer["found"][0], fake, answer["edges"])
                errors.setdefault(contestant.label, {}).setdefault(load, []).append(error)
        contestants.say(f"blocks, {load}: {trials} of each tool")
    return {
        label: {
            load: statistics(found) | {"errors": contestants.rounded(found), "missing": missing.get(label, 0)}
            for load, found in of_tool.items()
        }
        for label, of_tool in errors.items()
    }


def measured(
    ready: contestants.Bench, who: Sequence[contestants.Contestant], *, quick: bool = False
) -> Mapping[str, Any]:
    trials = 2 if quick else 16
    of_machine = contestants.machine()
    return {
        "versions": contestants.versions(ready.pythons),
        "machine": of_machine,
        "commands": commands(ready, trials),
        "blocks": blocks(ready, who, trials),
        "quick": quick,
    }


if __name__ == "__main__":
    contestants.main(__doc__, "ends", measured)
