"""Columns of numbers that may be longer than memory: arrays, and long ones on files without a name. Standard library only.

A mapped file is memory that the system may take back, so a journal of any size is summed up in little of its own. Where there is
no room for the file either, the column stays in memory, up to a bound.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from energy_rating.nouns import threads
from energy_rating.nouns.errors import NoRoom

# 512 KiB of a column; of 64 GPUs there are some 900.
SPILLS_FROM = 1 << 16
ITEM_BYTES = 8

# What is appended is put in place so many at a time.
BLOCK = 1 << 10

# Arrays are copied so many at a time.
PIECE = 1 << 16

# When so many bytes of files were written or read through, what is on them leaves this process's memory.
PUT_AWAY_BYTES = 1 << 23

# Without room for files a column stays in memory while it is shorter than this (bytes). A journal of a gigabyte has columns of 100 MB.
MOST_IN_MEMORY = 256 << 20

# Where temporary files may be large and are on a disk (Filesystem Hierarchy Standard 3.0, 5.15); /tmp often is memory.
LARGE_FILES = "/var/tmp"  # noqa: S108


class _Segment:
    """A file without a name that many columns share, since each mapped file takes a descriptor of the process."""

    def __init__(self, mapped: mmap.mmap, count: int) -> None:
        self._mapped = weakref.ref(mapped)
        self._count = count
        self._taken = 0
        self.first = self._slice(mapped, 0)

    def _slice(self, mapped: mmap.mmap, count: int) -> memoryview[float]:
        start, self._taken = self._taken, self._taken + count
        return memoryview(mapped).cast("B").cast("d")[start : self._taken]

    def take(self, count: int) -> memoryview[float] | None:
        """So many doubles of it; None where there is no room, or nobody uses it any more."""
        mapped = self._mapped()
        if mapped is None or self._taken + count > self._count:
            return None
        return self._slice(mapped, count)


# A segment is so large at least (doubles): a column of the first size takes a sixteenth of it. The largest columns have one of their own.
SEGMENT = 16 * 2 * SPILLS_FROM
LARGE = 1 << 24


class Room:
    """Where long columns go.

    Args:
        large_files: the folder for them, unless the user names another (TMPDIR).
        reserve: sees to it that so many bytes from a place on belong to a file; by default ``os.posix_fallocate``, where there is one.
        most_in_memory: bytes of a column that finds no room on a disk.
    """

    def __init__(
        self,
        *,
        large_files: str = LARGE_FILES,
        reserve: Callable[[int, int, int], None] | None = None,
        most_in_memory: int = MOST_IN_MEMORY,
    ) -> None:
        self._large_files = large_files
        self._reserve = reserve
        self.most_in_memory = most_in_memory
        self._latest: _Segment | None = None
        self._files: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._touched = 0
        self._lock = threads.lock()

    def folders(self) -> list[str]:
        """Where files may go, the best first: where the user says; else where large files belong, and where all others go."""
        chosen = tempfile.gettempdir()
        if tempfile.tempdir != "/tmp" or os.environ.get("TMPDIR"):  # noqa: S108
            return [chosen]
        return [self._large_files, chosen]

    def on_file(self, count: int) -> memoryview[float]:
        """Room for so many doubles on a file, which goes when nobody uses it any more.

        Raises:
            OSError: there is no room on the disk.
        """
        with self._lock:
            taken = self._latest.take(count) if self._latest is not None else None
            if taken is None:
                # Larger columns come in larger segments, so there are never many.
                wanted = count if count >= LARGE else max(SEGMENT, 4 * count)
                self._latest = _Segment(self._mapped(wanted * ITEM_BYTES), wanted)
                taken = self._latest.take(count)
                self._latest.first.release()
            assert taken is not None
            return taken

    def _mapped(self, size: int) -> mmap.mmap:
        *others, last = self.folders()
        for folder in others:
            try:
                return self._mapped_in(folder, size)
            except OSError:
                continue
        return self._mapped_in(last, size)

    def _mapped_in(self, folder: str, size: int) -> mmap.mmap:
        with tempfile.TemporaryFile(prefix="energy-rating-", dir=folder) as file:
            # Reserved, since a page of a mapped file that finds no room on the disk ends the process.
            reserve = os.posix_fallocate if self._reserve is None else self._reserve
            reserve(file.fileno(), 0, size)
            mapped = mmap.mmap(file.fileno(), size)
        self._files.add(mapped)
        return mapped

    def touched(self, count: int) -> None:
        """So many bytes more were written, or read through: now and then what is on files is put away."""
        self._touched += count
        if self._touched >= PUT_AWAY_BYTES:
            self.put_away()

    def put_away(self) -> None:
        """Takes what is on files out of this process's memory until it is asked for again: what is read through once need not stay."""
        self._touched = 0
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if advice is not None:
            for mapped in tuple(self._files):
                mapped.madvise(
                    advice
                )  # of a file that is shared, the pages stay the system's, with what was written to them

    def none(self, reason: str) -> NoRoom:
        """The error where there is none."""
        return NoRoom(
            f"the journal is long, and its readings find no room in {' or '.join(self.folders())} ({reason})",
            "Name a folder on a disk with twice the journal's size free (TMPDIR=FOLDER), and set no limit to mapped memory (ulimit -v)",
        )


# The files of this process. Whatever is read in it shares them.
ROOM = Room()


class Column(Sequence[float]):
    """Doubles, appended one by one or many at once. ``spills_from``: so many stay in memory (by default ``SPILLS_FROM``).

    ``room`` is where more of them go.
    """

    __slots__ = ("_files", "_kept", "_length", "_room", "_tail")

    def __init__(self, spills_from: int | None = None, room: Room = ROOM) -> None:
        self._files = room
        self._kept: array[float] | memoryview[float] = array("d")
        self._length = 0  # of what is kept; the tail comes behind it
        self._tail = array("d")
        # Values that fit before something has to be done.
        self._room = SPILLS_FROM if spills_from is None else spills_from

    def __len__(self) -> int:
        return self._length + len(self._tail)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[float]: ...
    def __getitem__(self, place: int | slice) -> float | Sequence[float]:
        if isinstance(place, slice):
            return self.values()[place]
        if place < 0:
            place += self._length + len(self._tail)
        if 0 <= place < self._length:
            return self._kept[place]
        if not self._length <= place < self._length + len(self._tail):
            raise IndexError(place)
        return self._tail[place - self._length]

    def put(self, first: int, values: array[float]) -> None:
        """Puts others in the place of some that there are, from ``first`` on."""
        self._settle()
        memoryview(self._kept)[first : first + len(values)] = memoryview(values)

    def __setitem__(self, place: int, value: float) -> None:
        if place < self._length:
            self._kept[place] = value
        else:
            self._tail[place - self._length] = value

    def __iter__(self) -> Iterator[float]:
        return iter(self.values())

    def append(self, value: float) -> None:
        """Adds one value.

        Raises:
            NoRoom: it is long, there is no room for it on any disk, and it has become too large for memory.
        """
        self._tail.append(value)
        if len(self._tail) >= BLOCK:
            self._settle()

    def extend(self, values: Iterable[float]) -> None:
        """Adds many; raises as ``append`` does."""
        if isinstance(values, array | memoryview):
            # Piece by piece, so that what was mapped of both need not be in memory at once.
            for first in range(0, len(values), PIECE):
                self._settle()
                self._put_behind(memoryview(values[first : first + PIECE]))
            return
        rest = iter(values)
        while some := tuple(islice(rest, 8 * BLOCK)):
            self._tail.extend(some)
            if len(self._tail) >= BLOCK:
                self._settle()

    def cut(self, length: int) -> None:
        """Leaves only so many."""
        self._settle()
        if isinstance(self._kept, array):
            del self._kept[length:]
        self._length = min(self._length, length)

    def values(self) -> Sequence[float]:
        """All of them, as what is fastest to read. Nothing may be appended while this is in use."""
        self._settle()
        return self._kept if isinstance(self._kept, array) else self._kept[: self._length]

    def copy(self) -> Column:
        """Another one of the same values."""
        other = Column(room=self._files)
        other.extend(self.values())
        return other

    def _settle(self) -> None:
        """Puts the tail where the rest is kept."""
        if self._tail:
            tail, self._tail = self._tail, array("d")
            self._put_behind(memoryview(tail))

    def _put_behind(self, tail: memoryview[float]) -> None:
        length = self._length + len(tail)
        try:
            while length > self._room:
                self._make_room(length)
            if isinstance(self._kept, array):
                self._kept.frombytes(tail.cast("B"))
            else:
                self._kept[self._length : length] = tail
                self._files.touched(len(tail) * ITEM_BYTES)
        except MemoryError:
            raise self._files.none(
                "no memory is left either, or mapped files count against a limit"
            ) from None
        self._length = length

    def _make_room(self, length: int) -> None:
        room = max(2 * self._room, length)
        try:
            grown = self._files.on_file(room)
        except (OSError, ValueError, AttributeError) as error:
            if room * ITEM_BYTES > self._files.most_in_memory:
                reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                raise self._files.none(reason) from error
            if not isinstance(self._kept, array):
                self._kept = array("d", self._kept[: self._length])
        else:
            kept = memoryview(self._kept)
            for first in range(0, self._length, PIECE):
                end = min(first + PIECE, self._length)
                grown[first:end] = kept[first:end]
                self._files.touched(2 * (end - first) * ITEM_BYTES)
            self._kept = grown
        self._room = room
