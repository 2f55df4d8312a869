"""One thing that people wait for, and how long it takes in a process of its own: CPU time and peak memory. What the things are is left to
``pace_journals`` and ``pace_starts``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Side = Literal["before", "now"]
SIDES: tuple[Side, ...] = ("before", "now")

# What a process runs around a row's code: its own CPU time of what lies between, and the most memory that it ever had (VmHWM, which a
# process does not inherit from its parent as ru_maxrss does). The code may set ``count``, by which the time is divided.
MOULD = """
import json, sys, time
says = count = None
{given}
{before}
_cpu = time.process_time()
{code}
_cpu = time.process_time() - _cpu
_mib = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({{"cpu_s": _cpu / (count or 1), "mib": _mib, "says": says}}))
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that people wait for.

    Attributes:
        name: what ``--rows`` calls it.
        what: what the table calls it, with what it is reckoned by ("per window").
        code: Python that is timed, for both or for each side; it may set ``says``, which has to be the same on both sides, and
            ``count``, by which the time is divided. What ``prepare`` gave stands in variables.
        command: the arguments of a command that is timed instead, with ``{…}`` for what ``prepare`` gave.
        before: Python that is run first, in the same process, and not timed.
        prepare: makes what is needed in a folder; it may say for each side what that is.
        unit: of the figure: ``s``, ``ms``, ``µs``, or ``MB`` where ``says`` is the figure and not the time.
        times_less: the goal, in comparison with before; ``most``: the goal in the unit; ``most_mib``: the goal of memory.
        turns: how often each side is run; the least counts.
        is_long: only with ``--full``.
        is_new: what was before cannot do it.
    """

    name: str
    what: str
    code: str | Mapping[Side, str] = ""
    command: tuple[str, ...] = ()
    before: str | Mapping[Side, str] = ""
    prepare: Callable[[Path, Side], Mapping[str, Any]] = lambda _folder, _side: {}
    unit: str = "s"
    times_less: float | None = None
    most: float | None = None
    most_mib: float | None = None
    turns: int = 3
    is_long: bool = False
    is_new: bool = False


FACTORS = {"s": 1.0, "ms": 1e3, "µs": 1e6}


def once(row: Row, side: Side, tree: Path, folder: Path) -> dict[str, Any]:
    """Runs a row of one side, whose package stands in ``tree``: figure (in the row's unit), MiB, and what it says."""
    given = row.prepare(folder, side)
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(tree),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    if row.command:
        command = [part.format(**given) for part in row.command]
        return _command([sys.executable, "-m", "energy_rating", *command], environment, folder, row)
    code, before = (text if isinstance(text, str) else text.get(side, "") for text in (row.code, row.before))
    script = MOULD.format(
        given="\n".join(f"{name} = {value!r}" for name, value in given.items()), before=before, code=code
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{row.name} ({side}) failed: {done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    figure = told["says"] if row.unit not in FACTORS else told["cpu_s"] * FACTORS[row.unit]
    return {"figure": figure, "mib": told["mib"], "says": told["says"]}


def _command(command: list[str], environment: Mapping[str, str], folder: Path, row: Row) -> dict[str, Any]:
    """A command: the CPU time of its whole life, and the memory that the kernel says it had at most."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{row.name} failed: {(folder / 'said').read_text()[-2000:]}")
    figure = (used.ru_utime + used.ru_stime) * FACTORS[row.unit]
    return {"figure": figure, "mib": used.ru_maxrss / 1024, "says": None}
