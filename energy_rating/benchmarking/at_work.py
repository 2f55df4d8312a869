"""Whether processes work while they are asked: they hold a GPU, or keep a processor busy. Reads ``/proc``; standard library only.

What listens at a port may only pass requests on, to a machine whose energy nobody measures. By its name that cannot be known: there are
hundreds of such programs, and any name can be given. What computes here can be seen: it, or a process that it has started, holds a GPU's
device, or takes as much of a processor as computing does. Passing on takes some per cent of one.

What this cannot see: a router that computes something of its own (in Python, at very many requests a second, passing on alone may keep half a
processor busy), and processes of another user or of another namespace of process ids. The first is a limit that the documents name, the second is told.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

PROC = Path("/proc")

# What a process opens to compute on a device: CUDA's unified memory (nvidia-uvm; who only reads the driver's numbers opens nvidia0 and nvidiactl),
# ROCm (kfd, amdgpu's kernel driver), Vulkan, OpenCL and Level Zero (the render nodes of drm), drivers/accel, Ascend, and WSL's dxg.
GPU_DEVICE = re.compile(r"/dev/(nvidia-uvm|kfd|dri/renderD\d+|accel/accel\d+|davinci\d+|dxg)")

# So much of one processor all through, counted with the time in which it waited for one, so that others who keep the machine busy change nothing;
# and so much without that, since whoever is woken for every piece waits too. Threads that have ended take with them how long they waited: where the
# machine left less than half a processor idle, the second is enough.
BUSY, AT_LEAST, SPARE = 0.5, 0.1, 0.5

# Times in /proc/PID/stat are told in hundredths of a second; over less nothing can be said.
TELLS_FROM_S = 0.2
LOOKS_AFTER_S = 1.0

LONGEST_CHAIN = 200

Doing = Literal["gpu", "cpu", "idle", "unknown"]


class Effort(NamedTuple):
    """What a tree of processes has done so far: on a processor, and waiting for one. ``hidden``: what it holds is not all told to this user.

    ``idle_s``: how long all processors of the machine together had nothing to do, until ``at_s``; infinite where that is not told.
    """

    at_s: float
    cpu_s: float
    waited_s: float
    idle_s: float
    holds_gpu: bool
    hidden: bool


def effort(pids: Iterable[int], proc: Path = PROC) -> Effort | None:
    """What these processes and those that they started have done; None where none of them is there."""
    stats = dict(_stats(proc))
    parents = {pid: stat.parent for pid, stat in stats.items()}
    roots = set(pids)
    tree = [pid for pid in stats if _descends(pid, roots, parents)]
    if not tree:
        return None
    holdings = [_holds_gpu(proc / str(pid) / "fd") for pid in tree]
    return Effort(
        at_s=time.monotonic(),
        idle_s=_idle_s(proc),
        cpu_s=sum(stats[pid].cpu_s for pid in tree),
        waited_s=sum(_waited_s(proc / str(pid) / "task") for pid in tree),
        holds_gpu=True in holdings,
        hidden=None in holdings,
    )


@dataclass(kw_only=True, slots=True)
class Onlooker:
    """Looks at processes before and after they are asked, as seldom as will do, and not any more once a GPU was seen."""

    pids: tuple[int, ...]
    proc: Path = PROC
    _first: Effort | None = field(default=None, init=False)
    _last: Effort | None = field(default=None, init=False)
    _answering_s: float = field(default=0.0, init=False)  # at the last look
    _since_s: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """Before something is asked."""
        if self._first is None:
            self._first = self._last = effort(self.pids, self.proc)

    def answered(self, seconds: float) -> None:
        """They were asked, and at least one answer was under way for so long."""
        self._since_s += seconds
        # Each look costs some milliseconds of what may be measured: the next one comes after as long again as it has answered so far.
        if self.doing == "gpu" or (
            self._answering_s and self._since_s < max(LOOKS_AFTER_S, self._answering_s)
        ):
            return
        now = effort(self.pids, self.proc)
        if now is not None:
            self._last = now
            self._answering_s += self._since_s
            self._since_s = 0.0

    @property
    def doing(self) -> Doing:
        """What they did while they answered, as far as can be known."""
        if self._first is None or self._last is None:
            return "unknown"
        if self._last.holds_gpu:
            return "gpu"
        if self._answering_s < TELLS_FROM_S:
            return "unknown"
        share = (self._last.cpu_s - self._first.cpu_s) / self._answering_s
        waited = (self._last.waited_s - self._first.waited_s) / self._answering_s
        passed_s = self._last.at_s - self._first.at_s
        spare = self._last.idle_s - self._first.idle_s  # NaN where it is not told
        if share >= AT_LEAST and (share + waited >= BUSY or spare < SPARE * passed_s):
            return "cpu"
        return "unknown" if self._last.hidden else "idle"


class _ProcessTimes(NamedTuple):
    parent: int
    cpu_s: float


def _stats(proc: Path) -> Iterator[tuple[int, _ProcessTimes]]:
    """Of every process its parent and the time that it, and those that it has seen end, spent on processors (proc_pid_stat(5))."""
    ticks = os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError):
        for entry in proc.iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name, in brackets, may hold blanks and brackets; what follows the last one is fields 3 and on.
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                fields = text.rpartition(")")[2].split()
                yield (
                    int(entry.name),
                    _ProcessTimes(parent=int(fields[1]), cpu_s=sum(map(int, fields[11:15])) / ticks),
                )


def _descends(pid: int, roots: set[int], parents: Mapping[int, int]) -> bool:
    for _ in range(LONGEST_CHAIN):
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
        if pid <= 0:
            return False
    return False


def _waited_s(tasks: Path) -> float:
    """How long the threads of a process were ready to run and had no processor (kernel documents, scheduler/sched-stats: the second number)."""
    total = 0
    with contextlib.suppress(OSError):
        for task in tasks.iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                total += int((task / "schedstat").read_text(encoding="ascii").split()[1])
    return total / 1e9


def _idle_s(proc: Path) -> float:
    """proc_stat(5): the fourth and fifth number of the first line are idle, and idle while something waits for a disk."""
    try:
        first = (proc / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        return sum(map(int, first[4:6])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return math.inf


def _holds_gpu(folder: Path) -> bool | None:
    """Whether one of the open files is a GPU's; None where another user's process does not say."""
    try:
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                if GPU_DEVICE.fullmatch(str(entry.readlink())):
                    return True
    except PermissionError:
        return None
    except OSError:  # it has just ended
        return False
    return False
