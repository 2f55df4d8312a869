"""Where files are opened that a user or a stranger names: each is asked what it is first. What stands in it is for others to say.

A pipe to which nobody writes would wait for ever, a device may never end, or do something when it is opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from energy_rating.nouns.errors import BadInput

# Without it, the opening of a pipe that has come into a file's place since it was asked would wait.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file", "Name the file in it"),
    (stat.S_ISFIFO, "must be a regular file; got a pipe", "Write it to a file first"),
    (stat.S_ISSOCK, "must be a regular file; got a socket", "Write it to a file first"),
    (stat.S_ISCHR, "must be a regular file; got a device", "Write it to a file first"),
    (stat.S_ISBLK, "must be a regular file; got a device", "Write it to a file first"),
)


def opened(path: Path) -> IO[bytes]:
    """The file, open for reading, if it is a regular one. Never waits.

    Raises:
        BadInput: it is something else, there is none, or it may not be read.
    """
    try:
        # Looked at first, since opening a device may set something going; and again, since another may have come into its place.
        _refuse(path.stat().st_mode, path)
        descriptor = os.open(path, _FLAGS)
        try:
            _refuse(os.fstat(descriptor).st_mode, path)
            # Some files of the kernel call themselves regular and wait for what happens (/proc/kmsg): those have no first byte.
            if hasattr(os, "pread"):
                os.pread(descriptor, 1, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(*why_not_open(error), place=path) from error
    except ValueError as error:  # a zero byte in its name
        raise BadInput(
            "must be a path that the system can open", "Check the path", place=repr(str(path))[:200]
        ) from error


def read_beginning(path: Path, most: int) -> bytes:
    """The first ``most`` bytes of a regular file.

    Raises:
        BadInput: it is something else, there is none, or it cannot be read.
    """
    with opened(path) as file:
        try:
            return file.read(most)
        except OSError as error:
            raise BadInput(*why_not_open(error), place=path) from error


def read_whole(path: Path, most: int) -> bytes:
    """A regular file of at most so many bytes.

    Raises:
        BadInput: it is larger, or something else, there is none, or it cannot be read.
    """
    content = read_beginning(path, most + 1)
    if len(content) > most:
        raise BadInput(f"the file is larger than {_size(most)}", place=path)
    return content


def refuse_what_waits(folder: Path) -> None:
    """Raises where a folder that a library is to read holds something that would let it wait, or never end.

    Raises:
        BadInput: it holds a pipe, a socket or a device.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                mode = path.stat().st_mode
            except OSError:
                continue  # a link that leads nowhere: the library says what it misses
            _refuse(mode, path)


def refuse_to_write_over(path: Path) -> None:
    """Raises where what stands in a file's place is none: a device or a pipe is not replaced by a file.

    Raises:
        BadInput: it is something else.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # nothing there, or whoever writes is told why not
    if not stat.S_ISREG(mode):
        what = "is a folder" if stat.S_ISDIR(mode) else "is a pipe, a socket or a device"
        raise BadInput(f"cannot be written: it {what}", "Name a file", place=path)


def refuse_no_folder(path: Path) -> None:
    """Raises where something that is no folder stands in a folder's place, or nothing may be written into it. There may be nothing yet.

    Raises:
        BadInput: it is a file, or something else, or it takes nothing from this user.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        # What is to be made is made in the nearest folder that is there.
        if path.parent != path:
            refuse_no_folder(path.parent)
        return
    except (OSError, ValueError):
        return  # whoever makes it is told why not
    if not stat.S_ISDIR(mode):
        what = "a file" if stat.S_ISREG(mode) else "a pipe, a socket or a device"
        raise BadInput(f"must be a folder; got {what}", "Name another place", place=path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadInput(
            "nothing may be written there", "Check its permissions, or name another place", place=path
        )


def why_not_open(error: OSError) -> tuple[str, str]:
    """What is to be said of a file that could not be opened, and the remedy."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file", "Check the path"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file", "Name the file in it"
    if isinstance(error, PermissionError):
        return "may not be read", "Check the permissions"
    return f"cannot be read ({error.strerror or type(error).__name__})", ""


def _refuse(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    for is_kind, what, remedy in _KINDS:
        if is_kind(mode):
            raise BadInput(what, remedy, place=path)
    raise BadInput("must be a regular file", "Write it to a file first", place=path)


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
