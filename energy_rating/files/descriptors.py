"""What a descriptor that is kept leads to. A number, no more: a program may close it by mistake (twice, or ``os.closerange``), and the
next file that it opens has that number. Whoever keeps one looks before each use, and leaves alone what is no longer its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from energy_rating.nouns.interruptions import is_interruption

PROC = Path("/proc/self/fd")


def identity(number: int) -> tuple[int, int] | None:
    """The file behind a descriptor; None where there is none."""
    try:
        status = os.fstat(number)
    except OSError as error:
        if is_interruption(error):
            raise
        return None
    return status.st_dev, status.st_ino


def name(number: int) -> str:
    """What the kernel calls it: all that tells things apart that are no files, since those share one inode. Empty if nobody says."""
    try:
        return str((PROC / str(number)).readlink())
    except OSError as error:
        if is_interruption(error):
            raise
        return ""
