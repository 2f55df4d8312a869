"""The seam between the halves: the journal's lines to bytes and back, and its file. Standard library only.

A journal is JSON Lines, UTF-8. Every line ends in a checksum of itself, so that a reader can tell where a file that was
cut or damaged stops being true::

    {"t":1.2,"dt":0.0001,"r":{"gpu0.energy":512.2},"crc":"5f0c1a2b"}

``crc`` is the CRC-32 (zlib) of the UTF-8 bytes of the same object without its last key, as eight hexadecimal digits.

The kinds of line, told apart by their first key:

=============  =====================================================================================================
``schema``     the first line of a session: run, stage, model, task, load, channels, environment, start in UTC, and what
               else was said of the run (origin, place, role, lineage, ranks, nodes, job, operating point)
``t``          a reading: seconds since the session's start, the span it took, joules or watts by channel
``d``          readings, told by how much they differ from those before (see ``packed``)
``open``       a window was entered: its number and name
``count``      work counted so far into a window that is still open, written once a second while it changes
``close``      a window was left, with its work
``checkpoint`` what is safe: the work of every open window by then, and how the program calls it
``resumed``    the step of the checkpoint from which the session goes on
``finding``    something to be told
``condition``  how hot, fast and throttled each device is, and who else uses it: when the run opens, every 10 s, at its end
``quality``    how good the answers were, and who says so
``channels``   channels and devices that answered only after the session had begun
``end``        the session ended in order, and how the program ended
=============  =====================================================================================================

A resumed run appends another session, which starts again at ``t`` 0.
"""

from __future__ import annotations

import errno
import functools
import io
import itertools
import json
import math
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

from energy_rating.files.descriptors import identity
from energy_rating.files.opening import opened
from energy_rating.nouns import threads
from energy_rating.nouns.errors import BadInput, CutShort
from energy_rating.nouns.interruptions import Living, is_interruption

JOURNAL_SCHEMA = "energy-rating/journal/2"
JOURNAL_SCHEMAS = ("energy-rating/journal/1", JOURNAL_SCHEMA)  # those that can be read, the oldest first
JOURNAL_NAMES = ("journal.jsonl", "journal.jsonl.gz")
RECORD_NAME = "record.json"  # what is made of it, beside it

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


_quoted = json.encoder.encode_basestring


def encoded(entry: Mapping[str, Any]) -> bytes:
    """One line, with its checksum and its line end.

    Raises:
        ValueError: a number in it is not finite.
    """
    if len(entry) == 1 and type(entry.get("d")) is str:  # packed: letters and digits
        return _checked(f'{{"d":{_quoted(entry["d"])}}}')
    values = entry.get("r")
    if type(values) is dict and len(entry) == 3 and all(type(one) is float for one in values.values()):
        # A reading, as most lines are, in a quarter of the time.
        since, took = entry["t"], entry["dt"]
        if type(since) is float and type(took) is float and math.isfinite(sum(values.values(), since + took)):
            told = ",".join([f"{_quoted_id(name)}:{value!r}" for name, value in values.items()])
            return _checked(f'{{"t":{since!r},"dt":{took!r},"r":{{{told}}}}}')
    return _checked(_encode(entry))


def _checked(text: str) -> bytes:
    content = text.encode()
    return content[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(content)


@functools.lru_cache(1024)  # names and units come again and again
def _quoted_kept(text: str) -> str:
    """A text as it is written, without secrets."""
    from energy_rating.files.withheld import without_secrets  # here, as in ``block``

    return _quoted(without_secrets(text))


_quoted_id = functools.lru_cache(1024)(_quoted)  # of a channel


def _work(work: Mapping[str, float]) -> str:
    told = {
        _quoted_kept(unit): amount for unit, amount in work.items()
    }  # two may look alike without their secrets
    return ",".join([f"{unit}:{amount!r}" for unit, amount in told.items()])


def decoded(line: bytes, *, place: str) -> dict[str, Any]:
    """The entry on one line, without its checksum.

    Raises:
        BadInput: the line is cut, changed, or no object.
    """
    if not line.endswith(b"\n"):
        raise CutShort("the line is cut short", place=place)
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


# When a lock that another process holds is asked for again; such a one that only looks holds it for some microseconds.
LOCK_AGAIN_S = (0.0, 0.01, 0.05)

# So many blocks that wait are written at once, and of more than one so many bytes.
MOST_AT_ONCE, MOST_BYTES_AT_ONCE = 256, 1 << 16

# Lines kept in memory while the disk refuses them (about 12 MB).
MOST_LINES_IN_MEMORY = 100_000
THINNED_TO = 20  # beyond that, one reading of so many is kept


# A forked child lets go of its parent's journals: its descriptor would keep the parent's lock alive after the parent.
_OPEN: Living[JournalFile] = Living()


def _let_go() -> None:
    for journal in _OPEN:
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


class _WrittenAtOnce:
    """Lines that are written at once. Two that read the same are two."""

    __slots__ = ("content", "number", "only_readings")

    def __init__(self, content: bytes, only_readings: bool) -> None:
        self.content = content
        self.only_readings = only_readings
        self.number = math.inf  # in the order in which they are written; given anew at each attempt


class JournalFile:
    """The journal on disk, line by line as it comes; in memory while the disk refuses it.

    A line is one ``write`` of a whole line, so a process that is killed leaves at most a torn last line. Lines are not forced
    to the disk one by one (that costs milliseconds each): they survive the death of the process, not of the machine.

    Lines are written by the thread that makes them, also the program's own, and there an exception of the program may come out
    between any two instructions (see ``interruptions``). So a line counts as written from the moment it is put in line
    (``_waiting``), and whoever comes next goes on where another was interrupted: what was written stands in one value
    (``_written``), and where that is behind, the size of the file tells.

    A descriptor is a number, which the program may close by mistake (twice, or ``os.closerange``) and get for a file of its own. Before
    each write it is looked whether it still leads to the journal; where it does not it is left alone, and the journal opened again.
    """

    def __init__(
        self, path: Path | None, descriptor: int | None, lines_in_memory: int = MOST_LINES_IN_MEMORY
    ) -> None:
        self.path = path
        self._lines_in_memory = lines_in_memory
        self._descriptor = descriptor
        self._own = identity(descriptor) if descriptor is not None else None
        # A signal's handler may write too, and finds its own thread inside.
        self.lock = threads.rlock()
        self._writer: int | None = None  # the thread that writes
        self._waiting: deque[_WrittenAtOnce] = deque()
        self.unwritten: Collection[object] = (
            self._waiting
        )  # for who looks whether there is something to be flushed
        # Has a block written by the next ``flush``, whoever calls it. No function of Python's, so that nothing can be raised within.
        self.put: Callable[[_WrittenAtOnce], None] = self._waiting.append
        size = os.fstat(descriptor).st_size if descriptor is not None else 0
        self._written: tuple[int, float] = (
            size,
            0,
        )  # bytes on disk, and the number of the last block among them
        self._one_by_one = False  # the disk did not take several blocks at once
        self._first: bytes | None = None
        self.trouble: str | None = None
        self.dropped = 0
        self.lost = 0  # how often lines went that later ones may rest upon
        self.taken = 0  # how often the descriptor's number was no longer the journal's
        _OPEN.add(self)

    def write(self, *entries: Mapping[str, Any]) -> None:
        """Appends the entries, in one write."""
        block = self.block(*entries)
        if block.only_readings and len(self._waiting) >= self._lines_in_memory:
            self.dropped += 1
            self.lost += 1
            if self.dropped % THINNED_TO:  # the counters among those that are kept bridge the rest
                return
        if self._first is None:
            self._first = block.content
        self.put(block)
        self.flush()

    def block(self, *entries: Mapping[str, Any]) -> _WrittenAtOnce:
        """The entries as they will be written: this is the gate that every text of a record goes through."""
        if all("r" in entry or "d" in entry for entry in entries):
            # They hold numbers alone, also those that look like letters. They may be thinned out where there is no room;
            # windows, findings and the end may not.
            return _WrittenAtOnce(b"".join(map(encoded, entries)), only_readings=True)
        from energy_rating.files.withheld import kept  # here: importing ``measure`` is not to wait for it

        lines = (encoded(entry if "r" in entry or "d" in entry else kept(entry)) for entry in entries)
        return _WrittenAtOnce(b"".join(lines), only_readings=False)

    def opening(self, key: int, name: str, t: float) -> _WrittenAtOnce:
        """The block of a window that opens. It comes at every edge, as does the next, so that both are put together at once."""
        return _WrittenAtOnce(
            _checked(f'{{"open":{key},"name":{_quoted_kept(name)},"t":{t!r}}}'), only_readings=False
        )

    def closing(
        self, key: int, t: float, work: Mapping[str, float], run: Mapping[str, float] | None
    ) -> _WrittenAtOnce:
        """The block of a window that closes; ``run`` is the work of the run by then, where it is to be told."""
        of_run = "" if run is None else f',"run":{{{_work(run)}}}'
        return _WrittenAtOnce(
            _checked(f'{{"close":{key},"t":{t!r},"work":{{{_work(work)}}}{of_run}}}'), only_readings=False
        )

    def flush(self) -> None:
        """Writes what waits, as far as the disk takes it. Where another thread is at it, that one writes it.

        Nobody waits here for a thread that writes: a handler may have come into it, and wait for a lock of the run that this one holds.
        """
        me = threading.get_ident()
        while self._waiting:
            inside = self._writer == me
            try:
                # Nothing can come between the question and the answer (see ``_write_next``).
                if self._writer is None or inside:
                    self._writer = me
                else:
                    return  # it looks again once it has noted that it is done
                with self.lock:
                    if not self._write_next():
                        return
            finally:
                if not inside and self._writer == me:
                    self._writer = None

    def _write_all(self) -> None:
        """What ``flush`` does, for whoever holds the lock and needs it done."""
        while self._waiting and self._write_next():
            pass

    def _write_next(self) -> bool:
        """Writes the blocks that have waited longest; False if they cannot be written."""
        written = self._written
        blocks = self._next_blocks(written[1])
        if blocks:
            descriptor, size = self._descriptor, written[0]
            if descriptor is None:
                return self._own is not None and self._open_again()
            content = blocks[0].content if len(blocks) == 1 else b"".join([one.content for one in blocks])
            last = blocks[-1].number
            try:
                found = os.fstat(descriptor)
                if (found.st_dev, found.st_ino) != self._own:
                    return self._open_again()
                if found.st_size != size and not self._mend(descriptor, content, size, found.st_size, last):
                    return True
                # A handler that wrote meanwhile has written these first. From here to the write nothing can come between:
                # Python runs handlers after a call, at the beginning of a function and where it jumps back.
                if self._written is not written or self._descriptor != descriptor:
                    return True
                count = os.write(descriptor, content)
                if count != len(content):
                    self._cut(descriptor, size)  # no torn line in the middle
                    return self._refuses("the disk is full", len(blocks))
            except OSError as error:
                if is_interruption(error):
                    raise
                if error.errno == errno.EBADF and identity(descriptor) != self._own:
                    return self._open_again()
                self._cut(descriptor, size)
                return self._refuses(error.strerror or type(error).__name__, len(blocks))
            if self._written is written:
                self._written = size + len(content), last
            self._one_by_one = False
        waiting = self._waiting
        while waiting and waiting[0].number <= self._written[1]:
            del waiting[0]
        return True

    def _next_blocks(self, number: float) -> list[_WrittenAtOnce]:
        """The blocks that are written next, numbered on from the last one that was."""
        waiting = self._waiting
        if len(waiting) == 1 and (block := waiting[0]).number > number:  # as most often
            block.number = number + 1
            return [block]
        blocks: list[_WrittenAtOnce] = []
        size = 0
        for block in list(itertools.islice(waiting, MOST_AT_ONCE)):  # at once, since more may come
            if block.number > number:
                if blocks and (self._one_by_one or size + len(block.content) > MOST_BYTES_AT_ONCE):
                    break
                blocks.append(block)
                size += len(block.content)
        for block in blocks:
            number += 1
            block.number = number
        return blocks

    def _refuses(self, why: str, blocks: int) -> bool:
        """The disk did not take them; of several it may yet take the first."""
        self.trouble = why
        self._one_by_one = True
        return blocks > 1

    def _mend(self, descriptor: int, content: bytes, size: int, found: int, last: float) -> bool:
        """The file is not as long as it should be. False: what was to be written is in it already, or another way is to be gone."""
        if found < size:  # somebody has cut it
            self.lost += 1
            self._written = found, self._written[1]
            return False
        there = os.pread(descriptor, min(found - size, len(content) + 1), size)
        if there == content:  # written by somebody who was interrupted before that was noted
            self._written = found, last
            return False
        if content.startswith(there):  # likewise, where the disk took only a part, or more has come since
            self._cut(descriptor, size)
            return True
        self._written = found, self._written[1]  # a stranger's
        return False

    def _cut(self, descriptor: int, size: int) -> None:
        try:
            if identity(descriptor) == self._own:
                os.ftruncate(descriptor, size)
        except (
            OSError
        ) as error:  # the disk may refuse that as well; the next line begins in the middle of this one
            if is_interruption(error):
                raise

    def _open_again(self) -> bool:
        """The number leads elsewhere and is left alone. True: the journal is open again, by its path."""
        self.taken += self._descriptor is not None
        self._descriptor = None
        if self.path is None:
            return False
        try:
            descriptor = _opened(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            if is_interruption(error):
                raise
            self.trouble = error.strerror or type(error).__name__
            return False
        if identity(descriptor) == self._own and _lock(descriptor):
            self._descriptor = descriptor
            return True
        os.close(descriptor)  # another file, or another run's by now
        self.trouble = "its descriptor was closed, and another file is in its place"
        return False

    def let_go(self) -> None:
        """Closes the file without writing, and without the lock: its owner may be a thread that is not in this process."""
        descriptor, own = self._descriptor, self._own
        self._descriptor = self._own = None
        if descriptor is not None and identity(descriptor) == own:
            os.close(descriptor)

    def in_place(self) -> bool:
        """Whether the path still leads to the file that is written: a folder may be deleted, and made again by another run."""
        if self._own is None or self.path is None:
            return True
        try:
            there = self.path.stat()
        except OSError:
            return False
        return self._descriptor is not None and (there.st_dev, there.st_ino) == self._own

    def move(self, path: Path | None, descriptor: int | None) -> None:
        """Goes on in another file, into which everything written so far is copied; without one, in memory.

        Raises:
            OSError: it cannot be copied; the journal is as it was.
        """
        with self.lock:
            self._write_all()
            size = 0
            waiting: list[_WrittenAtOnce] = []
            old = self._descriptor
            if old is not None:
                while content := os.pread(old, 1 << 20, size):
                    size += len(content)
                    if descriptor is None:
                        waiting.append(_WrittenAtOnce(content, False))
                    elif os.write(descriptor, content) != len(content):
                        raise OSError("the disk is full")
            elif self._own is None:
                return  # it was in memory from the start
            elif self._first is not None:
                # The file is gone with all that was in it; without its beginning nothing of what came later could be read.
                waiting.append(_WrittenAtOnce(self._first, False))
                self.lost += 1
            self._waiting.extendleft(reversed(waiting))
            self.path, self._descriptor = path, descriptor
            self._own = identity(descriptor) if descriptor is not None else None
            self._written = size, self._written[1]
            if old is not None:
                os.close(old)

    def begin_in(self, path: Path, descriptor: int, header: Mapping[str, Any]) -> None:
        """A journal that was in memory from its start goes to a file: this is its first line, what was written so far comes after it."""
        with self.lock:
            block = self.block(header)
            self._waiting.appendleft(block)
            self._first = block.content
            self._written = os.fstat(descriptor).st_size, self._written[1]
            self.path, self._own, self._descriptor = path, identity(descriptor), descriptor
        self.flush()

    def close(self) -> None:
        """Writes what still can be written, and closes the file. May be called twice."""
        with self.lock:
            self._write_all()
            self.let_go()

    def stream(self) -> IO[bytes]:
        """Everything written so far, wherever it is; what is written later is not in it."""
        with self.lock:
            self._write_all()
            waiting = b"".join(block.content for block in self._waiting)
            # By the descriptor and not by the path, which may lead to another run's by now.
            if self._descriptor is not None:
                return io.BufferedReader(_Written(os.dup(self._descriptor), self._written[0], waiting))
            if self.path is not None:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                return io.BufferedReader(_Written(descriptor, os.fstat(descriptor).st_size, waiting))
            return io.BytesIO(waiting)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._written[0]

    @property
    def whole_on_disk(self) -> bool:
        return self.path is not None and not self._waiting


def being_written(path: Path) -> bool:
    """Whether a process that lives is writing this journal: it holds a lock, which the kernel takes from it when it dies."""
    return bool(is_locked(path))


def is_locked(path: Path) -> bool | None:
    """The same; None on a file system without locks, where that cannot be told."""
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def quiet_s(path: Path) -> float:
    """How long ago the last line was written, in seconds."""
    return max(0.0, time.time() - path.stat().st_mtime)


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
            if _lock(descriptor, patiently=True):
                _drop_torn_line(descriptor)
                if _is_sound(path):
                    return candidate, descriptor, False
            os.close(descriptor)
            continue
        # What other ranks left there would be taken for this run's.
        if rank_files(candidate) or any(
            (candidate / name).exists() for name in (*JOURNAL_NAMES, RECORD_NAME)
        ):
            continue
        try:
            descriptor = _opened(path, flags | os.O_EXCL)
        except FileExistsError:
            continue
        _lock(descriptor)
        return candidate, descriptor, number > 1
    raise OSError(f"{folder} and all its siblings are taken")


def rank_name(number: int) -> str:
    """What the file of a rank that only counts is called, beside the journal of the one that measures."""
    return f"rank{number}.jsonl"


def rank_files(folder: Path) -> dict[str, Path]:
    """The files of other ranks in a folder, in the order of these, by what they are called uncompressed."""
    found: dict[int, Path] = {}
    for path in folder.glob("rank*.jsonl*"):
        number, suffix = path.name.removeprefix("rank").partition(".jsonl")[::2]
        if (
            number.isascii()
            and number.isdigit()
            and len(number) < 9
            and suffix in ("", ".gz")
            and path.is_file()
        ):
            if suffix and int(number) in found:
                continue  # as of the journal itself, the one that is not compressed counts
            found[int(number)] = path
    return {rank_name(number): found[number] for number in sorted(found)}


def claim_rank(folder: Path, number: int, run_id: str) -> tuple[Path, int] | None:
    """The file of a rank beside the journal of its run, to be written to; None where it is another run's, or somebody writes to it.

    Raises:
        OSError: it cannot be opened.
    """
    path = folder / rank_name(number)
    if path.is_symlink():
        return None
    descriptor = _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    try:
        if _lock(descriptor, patiently=True):
            _drop_torn_line(descriptor)
            if not os.fstat(descriptor).st_size or _run_of_rank(path) == run_id:
                return path, descriptor
    except BadInput:
        pass  # damaged: what is appended would not be read
    os.close(descriptor)
    return None


def _run_of_rank(path: Path) -> object:
    """Whose record a rank's file says that its counts are in."""
    with opened(path) as file:
        rank = decoded(file.readline(LONGEST_LINE + 1), place=path.name).get("rank")
    return rank.get("run") if isinstance(rank, dict) and _is_sound(path) else None


def first_run_id(descriptor: int) -> str | None:
    """The ``run_id`` that a journal begins with, which is its record's; None where nothing stands in it yet."""
    try:
        line, end, _ = os.pread(descriptor, LONGEST_LINE, 0).partition(b"\n")
        run_id = decoded(line + end, place="the journal").get("run_id")
    except (OSError, BadInput):
        return None
    return run_id if isinstance(run_id, str) else None


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
    with opened(path) as file:
        try:
            for line in iter(lambda: file.readline(LONGEST_LINE + 1), b""):
                decoded(line, place=path.name)
        except BadInput:
            return False
    return True


def _lock(descriptor: int, *, patiently: bool = False) -> bool:
    """Whether this process now owns the journal. The kernel lets go when the process dies, so no lock goes stale.

    ``patiently``: who asks whether it is being written holds it for a moment, too.
    """
    try:
        import fcntl
    except ImportError:  # not on this platform: nothing else measures there either
        return True
    for wait_s in LOCK_AGAIN_S if patiently else (0.0,):
        time.sleep(wait_s)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:
            return True  # a file system without locks
        return True
    return False


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
