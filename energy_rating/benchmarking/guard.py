"""Sees to it that programs that were started do not outlive this process, however that ends."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

# It does nothing until its standard input ends, which is when the process that holds the other end is gone.
GUARD = ("/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "guard")


# ---------------------------------------------------------------------------------------------------- processes


@contextlib.contextmanager
def guard(group: int) -> Iterator[None]:
    """Meanwhile the group does not outlive this process, however that ends (where there is a /bin/sh to see to it)."""
    try:
        watching = subprocess.Popen(
            (*GUARD, str(group)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        yield
        return
    try:
        yield
    finally:
        watching.kill()  # before its standard input is closed, and before the number of the group can be another's
        watching.wait()
        assert watching.stdin is not None
        watching.stdin.close()
