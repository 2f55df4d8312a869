"""Columns of numbers that may be longer than memory: arrays, and long ones on files without a name. Standard library only.

A mapped file is memory that the system may take back, so a journal of any size is summed up in little of its own. Where there is
no room for the file either, the column stays in memory.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

# 1 MiB of a column; of 64 GPUs there are some 900.
SPILLS_FROM = 1 << 17
ITEM_BYTES = 8


class Column(Sequence[float]):
    """Doubles, appended one by one. ``spills_from``: so many stay in memory (by default ``SPILLS_FROM``)."""

    def __init__(self, spills_from: int | None = None) -> None:
        self._values: array[float] | memoryview[float] = array("d")
        self._length = 0
        self._room = (
            SPILLS_FROM if spills_from is None else spills_from
        )  # values that fit before something has to be done

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[float]: ...
    def __getitem__(self, place: int | slice) -> float | Sequence[float]:
        if isinstance(place, slice):
            return self.values()[place]
        if place < 0:
            place += self._length
        if not 0 <= place < self._length:
            raise IndexError(place)
        return self._values[place]

    def __setitem__(self, place: int, value: float) -> None:
        self._values[place] = value

    def __iter__(self) -> Iterator[float]:
        return iter(self.values())

    def append(self, value: float) -> None:
        """Adds one value."""
        if self._length == self._room:
            self._make_room()
        if isinstance(self._values, array):
            self._values.append(value)
        else:
            self._values[self._length] = value
        self._length += 1

    def cut(self, length: int) -> None:
        """Leaves only so many."""
        if isinstance(self._values, array):
            del self._values[length:]
        self._length = min(self._length, length)

    def values(self) -> Sequence[float]:
        """All of them, as what is fastest to read. Nothing may be appended while this is in use."""
        return self._values if isinstance(self._values, array) else self._values[: self._length]

    def _make_room(self) -> None:
        room = 2 * self._length
        try:
            grown = _on_file(room)
        except (OSError, ValueError, AttributeError):
            if not isinstance(self._values, array):
                self._values = array("d", self._values[: self._length])
        else:
            grown[: self._length] = memoryview(self._values)[: self._length]
            self._values = grown
        self._room = room


class _Segment:
    """A file without a name that many columns share, since each mapped file takes a descriptor of the process."""

    def __init__(self, count: int) -> None:
        with tempfile.TemporaryFile(prefix="energy-rating-") as file:
            # Reserved, since a page of a mapped file that finds no room on the disk ends the process.
            os.posix_fallocate(file.fileno(), 0, count * ITEM_BYTES)
            self._mapped = weakref.ref(mapped := mmap.mmap(file.fileno(), count * ITEM_BYTES))
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


# A segment is so large at least (doubles): a column of the first size takes an eighth of it.
SEGMENT = 8 * 2 * SPILLS_FROM

_latest: _Segment | None = None
_lock = threading.Lock()


def _on_file(count: int) -> memoryview[float]:
    """Room for so many doubles on a file, which goes when nobody uses it any more.

    Raises:
        OSError: there is no room on the disk.
    """
    global _latest
    with _lock:
        taken = _latest.take(count) if _latest is not None else None
        if taken is None:
            # Larger columns come in larger segments, so there are never many.
            _latest = _Segment(max(SEGMENT, 4 * count))
            taken = _latest.take(count)
            _latest.first.release()
        assert taken is not None
        return taken
