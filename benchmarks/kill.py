"""Kills a thousand measured runs with SIGKILL at random moments, and says what was lost.

    python benchmarks/kill.py --kills 1000

Each run reads a counter of 300 W in real time and opens windows at a high pace (``tests/fakes/nursery.py``). Of every killed one the journal must be
readable, give the energy up to its last line, and say that it was interrupted. How late the last line was when the process died is
a figure of this machine; the rest is asserted, and the exit code says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from energy_rating import BadInput
from energy_rating.files.reading import read_journal
from energy_rating.judging.summary import summarise_journal

NURSERY = Path(__file__).parents[1] / "tests" / "fakes" / "nursery.py"
WATTS = 300.0
# A run needs some ticks of its counter (20 ms) before its energy is more than edges.
JUDGED_FROM_S = 0.15


def judge(told: dict[str, object]) -> tuple[str, float | None, float | None]:
    """What became of one run: a word, the seconds between its last line and its death, and by how many seconds of power it is off."""
    folder = Path(str(told["folder"]))
    try:
        journal = read_journal(folder)
    except BadInput:
        return ("LOST" if told["opened"] else "died before its run was open"), None, None
    session = journal.sessions[-1]
    record = summarise_journal(journal)
    run = record["run"]
    if journal.damage is not None:
        return "DAMAGED", None, None
    if session.ended or not any(finding.code == "interrupted" for finding in record.findings):
        return "NOT CALLED INTERRUPTED", None, None
    lived_s = told["lived_s"]
    lost_s = max(float(lived_s) - session.last_s, 0.0) if isinstance(lived_s, float) else None
    if run.duration_s < JUDGED_FROM_S or "gpu" not in run.energy_j:
        return "interrupted, too young to tell energy", lost_s, None
    energy = run.energy_j["gpu"]
    truth_j = WATTS * run.coverage["gpu"] * run.duration_s
    if abs(energy.value - truth_j) > max(0.01 * truth_j, 4 * energy.random):
        return "WRONG", lost_s, (energy.value - truth_j) / WATTS
    return "interrupted, energy up to its last line", lost_s, (energy.value - truth_j) / WATTS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    words: Counter[str] = Counter()
    lost: list[float] = []
    errors: list[float] = []
    top = Path(tempfile.mkdtemp(prefix="killed-"))
    try:
        with subprocess.Popen(
            [sys.executable, str(NURSERY), str(top), str(options.kills), str(options.seed)],
            env=os.environ | {"XDG_STATE_HOME": str(top / "state")},
            stdout=subprocess.PIPE,
            text=True,
        ) as nursery:
            assert nursery.stdout is not None
            for line in nursery.stdout:
                told = json.loads(line)
                word, lost_s, error = judge(told)
                words[word] += 1
                lost += [lost_s] if lost_s is not None else []
                errors += [error] if error is not None else []
                shutil.rmtree(told["folder"], ignore_errors=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    for word, count in words.most_common():
        print(f"{count:6}  {word}")
    if lost:
        lost.sort()
        print(
            f"last line before death: median {lost[len(lost) // 2] * 1e3:.1f} ms, "
            f"95 % within {lost[int(0.95 * len(lost))] * 1e3:.1f} ms, longest {lost[-1] * 1e3:.1f} ms"
        )
    if errors:
        errors = sorted(map(abs, errors))
        print(
            f"energy up to the last line: off by what is drawn in {errors[len(errors) // 2] * 1e3:.1f} ms (median), "
            f"{errors[int(0.95 * len(errors))] * 1e3:.1f} ms (95 %), {errors[-1] * 1e3:.1f} ms (worst); the counter ticks every 20 ms"
        )
    sys.exit(any(word.isupper() for word in words))


if __name__ == "__main__":
    main()
