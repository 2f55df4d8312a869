"""The seam between the halves: the journal's lines to bytes and back, and its file. Standard library only.

A journal is JSON Lines, UTF-8. Every line ends in a checksum of itself, so that a reader can tell where a file that was
cut or damaged stops being true::

    {"t":1.2,"dt":0.0001,"r":{"gpu0.energy":512.2},"crc":"5f0c1a2b"}

``crc`` is the CRC-32 (zlib) of the UTF-8 bytes of the same object without its last key, as eight hexadecimal digits.

The kinds of line, told apart by their first key:

=============  =====================================================================================================
``schema``     the first line of a session: run, stage, model, task, load, channels, environment, start in UTC, and what
               else was said of the run (origin, place, role, lineage, ranks, nodes, operating point)
``t``          a reading: seconds since the session's start, the span it took, joules or watts by channel
``open``       a window was entered: its number and name
``count``      work counted so far into a window that is still open, written once a second while it changes
``close``      a window was left, with its work
``finding``    something to be told
``condition``  how hot, fast and throttled each device is, and who else uses it: when the run opens, every 10 s, at its end
``quality``    how good the answers were, and who says so
``channels``   channels and devices that answered only after the session had begun
``end``        the session ended in order, and how the program ended
=============  =====================================================================================================

A resumed run appends another session, which starts again at ``t`` 0.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from energy_rating.errors import BadInput

JOURNAL_SCHEMA = "energy-rating/journal/2"
JOURNAL_SCHEMAS = ("energy-rating/journal/1", JOURNAL_SCHEMA)  # those that can be read, the oldest first
JOURNAL_NAMES = ("journal.jsonl", "journal.jsonl.gz")

# No honest line is longer; a longer one is refused before it is parsed.
LONGEST_LINE = 1 << 20


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


_STRICT = json.JSONDecoder(parse_constant=_no_constant)  # one for all lines: making it costs more than a line
_scan: Callable[[str, int], tuple[Any, int]] = _STRICT.scan_once  # type: ignore[attr-defined]


def _parsed(text: str) -> Any:
    try:
        # As ``decode`` does it, without looking for blanks around it.
        entry, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return entry if end == len(text) else _STRICT.decode(text)


# Made once, as above; what is written are trees, so that circles need not be looked for.
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False
).encode


def encoded(entry: Mapping[str, Any]) -> bytes:
    """One line, with its checksum and its line end.

    Raises:
        ValueError: a number in it is not finite.
    """
    text = _encode(entry).encode()
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)


def decoded(line: bytes, *, place: str) -> dict[str, Any]:
    """The entry on one line, without its checksum.

    Raises:
        BadInput: the line is cut, changed, or no object.
    """
    if not line.endswith(b"\n"):
        raise BadInput("the line is cut short", place=place)
    if len(line) > LONGEST_LINE:
        raise BadInput(f"the line is longer than {LONGEST_LINE} bytes", place=place)
    body, mark, rest = line.rstrip(b"\r\n").rpartition(b',"crc":"')
    if not mark or len(rest) != 10 or not rest.endswith(b'"}'):
        raise BadInput("the line has no checksum", place=place)
    body += b"}"
    if rest[:8] != b"%08x" % zlib.crc32(body):
        raise BadInput("the line does not match its checksum", place=place)
    try:
        entry = _parsed(body.decode())
        if (
            b"\\ud" in body or b"\\uD" in body
        ):  # half a pair of surrogates is no text, and could not be written again
            json.dumps(entry, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the line is not JSON ({type(error).__name__})", place=place) from error
    if not isinstance(entry, dict) or not entry:
        raise BadInput("the line is not a JSON object", place=place)
    return entry


# Lines kept in memory while the disk refuses them (about 12 MB).
MOST_LINES_IN_MEMORY = 100_000
THINNED_TO = 20  # beyond that, one reading of so many is kept


# A forked child lets go of its parent's journals: its descriptor would keep the parent's lock alive after the parent.
_OPEN: weakref.WeakSet[JournalFile] = weakref.WeakSet()


def _let_go() -> None:
    for journal in list(_OPEN):
        journal.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class _Written(io.RawIOBase):
    """The first ``size`` bytes of a file, and then what still waits to be written to it. The descriptor is its own."""

    def __init__(self, descriptor: int, size: int, waiting: bytes) -> None:
        self._descriptor = descriptor
        self._size, self._waiting = size, waiting
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size + len(self._waiting)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = b""
        if self._at < self._size:
            part = os.pread(self._descriptor, min(len(buffer), self._size - self._at), self._at)
            if not part:  # somebody has cut the file
                self._at = self._size
        if not part:
            since = self._at - self._size
            part = self._waiting[since : since + len(buffer)]
        self._at += len(part)
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class JournalFile:
    """The journal on disk, line by line as it comes; in memory while the disk refuses it.

    A line is one ``write`` of a whole line, so a process that is killed leaves at most a torn last line. Lines are not forced
    to the disk one by one (that costs milliseconds each): they survive the death of the process, not of the machine.
    """

    def __init__(self, path: Path | None, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._size = os.fstat(descriptor).st_size if descriptor is not None else 0
        self.trouble: str | None = None
        self.dropped = 0
        _OPEN.add(self)

    def write(self, *entries: Mapping[str, Any]) -> None:
        """Appends the entries, in one write."""
        block = encoded(entries[0]) if len(entries) == 1 else b"".join(map(encoded, entries))
        # Readings may be thinned out where there is no room; windows, findings and the end may not.
        only_readings = all("r" in entry for entry in entries)
        with self._lock:
            if self._waiting or self._descriptor is None:
                self._keep(block, only_readings)
                self._flush()
            elif not self._append(block):
                self._keep(block, only_readings)

    def _append(self, block: bytes) -> bool:
        assert self._descriptor is not None
        try:
            written = os.write(self._descriptor, block)
            if written == len(block):
                self._size += written
                return True
            os.ftruncate(self._descriptor, self._size)  # no torn line in the middle
            self.trouble = "the disk is full"
        except OSError as error:
            self.trouble = error.strerror or type(error).__name__
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
        return False

    def _keep(self, block: bytes, only_readings: bool) -> None:
        if only_readings and len(self._waiting) >= MOST_LINES_IN_MEMORY:
            self.dropped += 1
            if self.dropped % THINNED_TO:  # the counters among those that are kept bridge the rest
                return
        self._waiting.append(block)

    def _flush(self) -> None:
        if self._descriptor is None:
            return
        while self._waiting and self._append(self._waiting[0]):
            self._waiting.popleft()

    def let_go(self) -> None:
        """Closes the file without writing, and without the lock: its owner may be a thread that is not in this process."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def in_place(self) -> bool:
        """Whether the path still leads to the file that is written: a folder may be deleted, and made again by another run."""
        if self._descriptor is None or self.path is None:
            return True
        try:
            there, own = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)

    def move(self, path: Path | None, descriptor: int | None) -> None:
        """Goes on in another file, into which everything written so far is copied; without one, in memory.

        Raises:
            OSError: it cannot be copied; the journal is as it was.
        """
        with self._lock:
            if self._descriptor is None:
                return
            blocks: deque[bytes] = deque()
            size = 0
            while block := os.pread(self._descriptor, 1 << 20, size):
                size += len(block)
                if descriptor is None:
                    blocks.append(block)
                elif os.write(descriptor, block) != len(block):
                    raise OSError("the disk is full")
            self._waiting.extendleft(reversed(blocks))
            os.close(self._descriptor)
            self.path, self._descriptor, self._size = path, descriptor, size

    def close(self) -> None:
        """Writes what still can be written, and closes the file. May be called twice."""
        with self._lock:
            self._flush()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def stream(self) -> IO[bytes]:
        """Everything written so far, wherever it is; what is written later is not in it."""
        with self._lock:
            waiting = b"".join(self._waiting)
            # By the descriptor and not by the path, which may lead to another run's by now.
            if self._descriptor is not None:
                return io.BufferedReader(_Written(os.dup(self._descriptor), self._size, waiting))
            if self.path is not None:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                return io.BufferedReader(_Written(descriptor, os.fstat(descriptor).st_size, waiting))
            return io.BytesIO(waiting)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def whole_on_disk(self) -> bool:
        return self.path is not None and not self._waiting


def claim(folder: Path, *, resume: bool) -> tuple[Path, int, bool]:
    """A folder for one run: the folder itself, or a sibling where it is taken. Returns folder, descriptor and siblinghood.

    The journal is created exclusively, so of two runs that ask for one folder at the same time each gets its own.
    """
    folder = folder.resolve()
    for number in range(1, 10_000):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        candidate.mkdir(parents=True, exist_ok=True)
        path = candidate / JOURNAL_NAMES[0]
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        # Through a link, lines would go to a file outside the folder.
        if resume and number == 1 and path.is_file() and not path.is_symlink():
            descriptor = _opened(path, flags)
            if _lock(descriptor):
                _drop_torn_line(descriptor)
                if _is_sound(path):
                    return candidate, descriptor, False
            os.close(descriptor)
            continue
        if any((candidate / name).exists() for name in (*JOURNAL_NAMES, "record.json")):
            continue
        try:
            descriptor = _opened(path, flags | os.O_EXCL)
        except FileExistsError:
            continue
        _lock(descriptor)
        return candidate, descriptor, number > 1
    raise OSError(f"{folder} and all its siblings are taken")


def _opened(path: Path, flags: int) -> int:
    """Opens above the standard streams: where one of those is closed, its number would go to the journal."""
    descriptor = os.open(path, flags, 0o644)
    if descriptor > 2:
        return descriptor
    import fcntl

    above = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return above


def _is_sound(path: Path) -> bool:
    """Whether a journal can be read to its end: what is appended behind damage would never be read."""
    with path.open("rb") as file:
        try:
            for line in iter(lambda: file.readline(LONGEST_LINE + 1), b""):
                decoded(line, place=path.name)
        except BadInput:
            return False
    return True


def _lock(descriptor: int) -> bool:
    """Whether this process now owns the journal. The kernel lets go when the process dies, so no lock goes stale."""
    try:
        import fcntl
    except ImportError:  # not on this platform: nothing else measures there either
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _drop_torn_line(descriptor: int) -> None:
    """Cuts what a killed process left of its last line, so that the next session begins on a line of its own."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 1 << 20, max(0, size - (1 << 20)))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(descriptor, size - len(tail) + tail.rfind(b"\n") + 1)


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where runs go that name no folder: ``$XDG_STATE_HOME/energy-rating``, by default under ``~/.local/state``."""
    root = environ.get("XDG_STATE_HOME", "")
    return (Path(root) if root.startswith("/") else Path.home() / ".local" / "state") / "energy-rating"
