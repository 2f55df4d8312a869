"""Whether the tests give one verdict whatever else the machine does: their runs beside busy processes, each counted.

    .venv/bin/python benchmarks/verdicts.py                  # three runs of all tests, ten of those that use real time
    .venv/bin/python benchmarks/verdicts.py --whole 0 --hours 1 tests/whole/test_faults.py

Tells which tests failed in how many runs. Ends with 1 where a run failed, and when the time is over with what it has by then. The busy
processes end with this one, whatever ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

TOP = Path(__file__).parents[1]

# Those that measure in real time, or wait for other processes.
IN_REAL_TIME = tuple(
    f"tests/{name}"
    for name in (
        "whole/test_in_real_time.py",
        "whole/test_faults.py",
        "whole/test_hard_use.py",
        "benchmarking/test_child.py",
        "measuring/test_fake_nvml.py",
        "measuring/test_following.py",
        "measuring/test_interruptions.py",
        "measuring/test_descriptors.py",
        "measuring/test_hanging_sensors.py",
        "whole/test_little_room.py",
        "whole/test_outcome.py",
        "whole/test_gpu_evidence.py",
    )
)

# Each looks whether its parent is still there, and is over after that many seconds in any case.
BUSY = "import os, sys, time\nend, parent = time.monotonic() + float(sys.argv[1]), int(sys.argv[2])\n" + (
    "while time.monotonic() < end and os.getppid() == parent:\n    for _ in range(100_000): pass\n"
)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+(?: [^-]\S*)*)", re.M)


@contextlib.contextmanager
def busy(number: int, seconds: float) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    started = [
        subprocess.Popen([sys.executable, "-c", BUSY, str(seconds), str(os.getpid())]) for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(arguments: Sequence[str], seconds: float) -> tuple[bool | None, str]:
    """One run of pytest: whether it passed (None: its time was over), and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(
        command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        said = ""
    finally:
        with contextlib.suppress(ProcessLookupError):  # with the workers and what they started
            os.killpg(process.pid, signal.SIGKILL)
    return (process.wait() == 0 if said else None), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", nargs="*", default=IN_REAL_TIME, help="those of the repeated runs")
    parser.add_argument("--whole", type=int, default=3, help="runs of all tests")
    parser.add_argument("--repeats", type=int, default=10, help="runs of those that use real time")
    parser.add_argument("--busy", type=int, default=4, help="processes beside them")
    parser.add_argument("--hours", type=float, default=6.0, help="at most so long")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    until = time.monotonic() + 3600 * options.hours
    workers = ["-n", "2", "--dist", "loadgroup"]
    plan = [("all tests", workers)] * options.whole
    plan += [("those in real time", [*workers, *options.tests])] * options.repeats
    failed: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    with busy(options.busy, 3600 * options.hours):
        for number, (name, arguments) in enumerate(plan, start=1):
            begun = time.monotonic()
            passed, said = run(arguments, until - begun)
            told = {True: "passed", False: "FAILED", None: "not over in its time"}[passed]
            verdicts[told] += 1
            print(f"{number} of {len(plan)}, {name}: {told} in {time.monotonic() - begun:.0f} s", flush=True)
            for test in _FAILED.findall(said):
                failed[test] += 1
                print(f"    {test}", flush=True)
            if passed is None:
                break
    print(", ".join(f"{count} × {told}" for told, count in verdicts.most_common()))
    for test, count in failed.most_common():
        print(f"  {count:>3} × {test}")
    sys.exit(0 if set(verdicts) <= {"passed"} else 1)


if __name__ == "__main__":
    main()
