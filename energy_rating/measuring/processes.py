"""Whose processes those on a device are: this run's, or somebody else's. Reads ``/proc``; standard library only.

A run's own are the process that measures, those that started it, and those that it started; where it is one rank of several on
this host, also the other ranks (whatever its launcher started). What else belongs to the work, such as a server that it talks to,
is said by ``declare``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from energy_rating.measuring.ranks import rank_of

PROC = Path("/proc")

# include/linux/proc_ns.h: PROC_PID_INIT_INO, the number of the first namespace of process ids. A driver tells ids of this one;
# in any other (a container's) they name other processes or none.
FIRST_NAMESPACE = "pid:[4026531836]"

# No chain of parents is longer; a loop, which ids that are given again could make, ends here.
LONGEST_CHAIN = 200

_declared: set[int] = set()


def declare(pid: int) -> None:
    """That process, and what it starts, belongs to the work that is measured (a server that was there before)."""
    _declared.add(pid)


def foreign(
    pids: Iterable[int],
    *,
    proc: Path = PROC,
    pid: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int | None:
    """How many of these processes are not this run's; None where that cannot be told.

    ``pid`` is the process that measures (default: this one).
    """
    try:
        if str((proc / "self" / "ns" / "pid").readlink()) != FIRST_NAMESPACE:
            return None
    except OSError:
        return None
    chain = chain_of(os.getpid() if pid is None else pid, proc)
    own = set(chain)
    roots = {chain[0], *_declared}
    rank = rank_of(environ)
    if len(chain) > 1 and rank is not None and rank.of != 1:
        roots.add(chain[1])
    # The first process of a machine or a container has started everything; that makes nothing this run's.
    roots.discard(1)
    return sum(1 for one in set(pids) if one not in own and not roots.intersection(chain_of(one, proc)))


def chain_of(pid: int, proc: Path) -> list[int]:
    """The process, its parent, that one's parent, and so on. A process that has just ended has no parent any more."""
    chain = [pid]
    while len(chain) < LONGEST_CHAIN:
        try:
            # proc_pid_stat(5): the name, in brackets, may hold blanks and brackets; state and parent follow the last one.
            fields = (proc / str(chain[-1]) / "stat").read_text(encoding="utf-8", errors="replace")
            parent = int(fields.rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        if parent <= 0:
            break
        chain.append(parent)
    return chain
