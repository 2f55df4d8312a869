"""Files that are written whole or not at all. What stands in them is for others to say."""

from __future__ import annotations

import os
from pathlib import Path

from energy_rating.files.opening import refuse_to_write_over
from energy_rating.nouns.errors import BadInput


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, even if the machine dies.

    Raises:
        BadInput: it cannot be written.
    """
    refuse_to_write_over(path)
    try:
        # Not mkstemp: its 0600 would have to be widened again, and asking for the umask sets it for all threads of the program.
        name = path.parent / f".{path.name[:40]}.{os.urandom(6).hex()}"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            name.replace(path)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror or error})",
            "Choose a folder that can be written to",
            place=path,
        ) from error
