"""What a launcher tells a process of its place among the others of its host. What a rank measures is left to ``run``."""

from __future__ import annotations

import os
from collections.abc import Mapping


def local_rank(environ: Mapping[str, str] = os.environ) -> int:
    """This process's place among those of its host, as torchrun, Slurm or Open MPI tell it; 0 if nobody does."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"):
        if environ.get(name, "").isdigit():
            return int(environ[name])
    return 0


def local_ranks(environ: Mapping[str, str] = os.environ) -> int:
    """How many processes of this job run on this host, as their launcher tells it; 1 if nobody does."""
    for name in (
        "LOCAL_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_NTASKS_PER_NODE",
    ):
        if environ.get(name, "").isdigit():
            return int(environ[name])
    return 1
