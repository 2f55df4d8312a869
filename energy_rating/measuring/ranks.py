"""What launchers tell a process of its place among the others of its job. What a rank measures is left to ``run``.

Each launcher has variables of its own, and sets some of them only: all that is known is taken from *one* launcher, the innermost, so
that a job of Slurm's that starts torchrun is torchrun's. What none of them tells is worked out where that can be done, else not known.

* torchrun, ``accelerate launch``, DeepSpeed, Ray Train and Lightning speak as torch.distributed does. Lightning's own launcher leaves out
  ``RANK``, and its first process, which starts the others, has no variable at all; ``accelerate launch`` of one process neither.
* Open MPI; MPICH and Intel MPI (``MPI_LOCALRANKID`` beside ``PMI_RANK``); MVAPICH; Horovod; PALS (Cray), jsrun (IBM), Flux.
* Slurm last. It tells the batch script itself that it is task 0 of as many as the job has: only what ``srun`` started is a task.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from energy_rating.nouns import threads
from energy_rating.nouns.entries import MOST_RANKS, Job, Rank

PORT = "MASTER_PORT"

# What launchers tell jobs apart by. torchrun's own name for a job is "none" where nobody gave one.
JOB_VARIABLES = (
    *("TORCHELASTIC_RUN_ID", PORT, "SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE"),
    *("OMPI_MCA_ess_base_jobid", "PALS_APID", "FLUX_JOB_ID", "LSB_JOBID", "PBS_JOBID", "JOB_ID"),
)
NO_NAME = "none"

# Where all hosts of a job of torch.distributed meet: with the port it tells jobs of one user apart, where nothing else does.
MEETING = "MASTER_ADDR"
ID_DIGITS = 16

LOOPBACK = ("localhost", "127.0.0.1", "::1")

# What Slurm sets for the tasks of a step, and not for the batch script (src/common/env.c, env_array_for_step).
OF_A_STEP = ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_STEP_NUM_NODES")

# How often torchrun has started the processes again; they find the port and the folder of before.
RESTARTS = "TORCHELASTIC_RESTART_COUNT"


class _Launcher(NamedTuple):
    """How a launcher calls the place on the host, how many there are on it, the place among all, how many these are, the host's place,
    and how many hosts there are; of several names the first that is set."""

    local: tuple[str, ...]
    of: tuple[str, ...]
    number: tuple[str, ...]
    size: tuple[str, ...]
    host: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


LAUNCHERS = (
    _Launcher(
        ("LOCAL_RANK",),
        ("LOCAL_WORLD_SIZE", "LOCAL_SIZE"),
        ("RANK",),
        ("WORLD_SIZE",),
        ("GROUP_RANK", "NODE_RANK"),
        ("GROUP_WORLD_SIZE", "NNODES"),
    ),
    _Launcher(
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
        ("OMPI_COMM_WORLD_LOCAL_SIZE",),
        ("OMPI_COMM_WORLD_RANK", "PMIX_RANK"),
        ("OMPI_COMM_WORLD_SIZE",),
    ),
    _Launcher(("MPI_LOCALRANKID",), ("MPI_LOCALNRANKS",), ("PMI_RANK", "PMIX_RANK"), ("PMI_SIZE",)),
    _Launcher(
        ("MV2_COMM_WORLD_LOCAL_RANK",),
        ("MV2_COMM_WORLD_LOCAL_SIZE",),
        ("MV2_COMM_WORLD_RANK",),
        ("MV2_COMM_WORLD_SIZE",),
    ),
    _Launcher(("HOROVOD_LOCAL_RANK",), ("HOROVOD_LOCAL_SIZE",), ("HOROVOD_RANK",), ("HOROVOD_SIZE",)),
    _Launcher(
        ("PALS_LOCAL_RANKID",), ("PALS_LOCAL_SIZE",), ("PALS_RANKID",), ("PALS_SIZE",), ("PALS_NODEID",)
    ),
    _Launcher(
        ("JSM_NAMESPACE_LOCAL_RANK",),
        ("JSM_NAMESPACE_LOCAL_SIZE",),
        ("JSM_NAMESPACE_RANK",),
        ("JSM_NAMESPACE_SIZE",),
    ),
    _Launcher(("FLUX_TASK_LOCAL_ID",), (), ("FLUX_TASK_RANK",), ("FLUX_JOB_SIZE",), (), ("FLUX_JOB_NNODES",)),
    _Launcher(
        ("SLURM_LOCALID",),
        ("SLURM_NTASKS_PER_NODE",),
        ("SLURM_PROCID",),
        ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
        ("SLURM_NODEID",),
        ("SLURM_STEP_NUM_NODES", "SLURM_NNODES"),
    ),
)


def rank_of(environ: Mapping[str, str] = os.environ) -> Rank | None:
    """This process's place, as its launcher tells it; None where no launcher says that there are others."""
    started_by = _started_by(environ)
    return started_by[1] if started_by is not None else None


def _started_by(environ: Mapping[str, str]) -> tuple[_Launcher, Rank] | None:
    """The innermost launcher that tells this process's place, and what it tells."""
    for launcher in LAUNCHERS:
        if launcher.local[0] == "SLURM_LOCALID" and _is_batch_script(environ):
            continue
        found = _told(launcher, environ)
        if found is not None:
            return launcher, found
    return None


def told_of_job(environ: Mapping[str, str]) -> dict[str, str]:
    """What the launcher tells this job apart from others by."""
    return {
        key: environ[key]
        for key in JOB_VARIABLES
        if environ.get(key) and not (key == "TORCHELASTIC_RUN_ID" and environ[key] == NO_NAME)
    }


def job_of(environ: Mapping[str, str] = os.environ) -> Job | None:
    """The job on several hosts that this process is a part of; None where its launcher tells of no other host."""
    started_by = _started_by(environ)
    if started_by is None:
        return None
    launcher, rank = started_by
    node, of = _number(environ, launcher.host), _number(environ, launcher.hosts)
    size = _number(environ, launcher.size)
    if of is None and size is not None and rank.of is not None:
        of = -(-size // rank.of)
    if of is None or of < 2:
        return None
    if node is not None and node >= of:
        node = None
    told = told_of_job(environ)
    if told and environ.get(MEETING):
        told[MEETING] = environ[MEETING]
    text = "\n".join(f"{key}={value}" for key, value in sorted(told.items()))
    return Job(
        id=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:ID_DIGITS] if told else None,
        node=node,
        of=of,
        rank=max(0, rank.number - rank.local),
    )


# How many runs this process has begun, by what folder they asked for, and as which of its host's ranks.
_begun: dict[tuple[Path | None, int], int] = {}
_counting = threads.lock()


def nth_run(asked: Path | None, local: int) -> int:
    """One more run of this process for that folder: which one it is. All ranks run the same program, so that these belong together."""
    with _counting:
        _begun[asked, local] = number = _begun.get((asked, local), 0) + 1
    return number


def restarts(environ: Mapping[str, str] = os.environ) -> int:
    """How often torchrun has started this job's processes again."""
    return _number(environ, (RESTARTS,)) or 0


def _told(launcher: _Launcher, environ: Mapping[str, str]) -> Rank | None:
    local = _number(environ, launcher.local)
    number, size = _number(environ, launcher.number), _number(environ, launcher.size)
    host, hosts = _number(environ, launcher.host), _number(environ, launcher.hosts)
    of = _number(environ, launcher.of)
    if of is None and launcher.local[0] == "SLURM_LOCALID":
        of = _tasks_per_node(environ)
    if size is not None and (size == 1 or hosts == 1 or environ.get("MASTER_ADDR", "") in LOOPBACK):
        of = of or size
    if local is None and number is None and of is not None and launcher.local[0] != "SLURM_LOCALID":
        local = 0  # that there are others is all that is told
    if local is None:
        if (
            number is None
            or size is None
            or (size > 1 and hosts is None and of is None and _is_elsewhere(environ))
        ):
            return None
        # All on one host, or the same number on each.
        local = number % of if of else number
    if number is None:
        each = of or (size // hosts if size and hosts else None)
        number = (host or 0) * (each or 0) + local
    of = None if of is None or of <= local else of
    return Rank(number=number, local=local, of=of)


def _is_elsewhere(environ: Mapping[str, str]) -> bool:
    """Whether the processes meet at another host, so that not all of them are on this one."""
    return environ.get("MASTER_ADDR", "localhost") not in LOOPBACK


def _is_batch_script(environ: Mapping[str, str]) -> bool:
    return "SLURM_JOB_ID" in environ and not any(name in environ for name in OF_A_STEP)


def _tasks_per_node(environ: Mapping[str, str]) -> int | None:
    """How many tasks are on this node: ``4(x2),3`` is four each on the first two, and three on the third."""
    text = environ.get("SLURM_STEP_TASKS_PER_NODE", environ.get("SLURM_TASKS_PER_NODE", ""))
    counts: list[int] = []
    for part in text.split(",") if text else ():
        count, _, times = part.strip().removesuffix(")").partition("(x")
        if not count.isdigit() or not (times or "1").isdigit() or len(count + times) > 12:
            return None
        counts += [int(count)] * min(int(times or "1"), MOST_NODES)
    node = _number(environ, ("SLURM_NODEID",)) or 0
    return counts[node] if node < len(counts) else None


MOST_NODES = 100_000


def _number(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        text = environ.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < MOST_RANKS:
            return int(text)
    return None
