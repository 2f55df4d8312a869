"""A journal's file as blocks of whole lines, packed or not. What stands on the lines is ``reading``'s."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any, cast

from energy_rating.files.journal import LONGEST_LINE
from energy_rating.nouns.errors import UnpacksTooFar

# Journals shrink to a tenth or so; deflate can make a thousandth of zeros. Beyond so many bytes, what grows more is no journal.
MOST_GROWTH = 200
GROWS_FREELY = 64 << 20

# A journal is read so many bytes at a time.
BLOCK_BYTES = 1 << 18


class Beginning(io.RawIOBase):
    """The first bytes of a file, as if it ended there."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size, self._at = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("it is read from its start")
        self._at = self._file.seek(0)
        return 0

    def readinto(self, buffer: Any) -> int:
        part = self._file.read(min(len(buffer), self._size - self._at))
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def feed(digest: Any, stream: IO[bytes], packed: IO[bytes] | None, place: str | Path) -> None:
    size = 0
    try:
        # Piece by piece: of a file that was cut short, everything that can be unpacked.
        while block := cast(io.BufferedReader, stream).read1(BLOCK_BYTES):
            size += len(block)
            _refuse_bomb(size, packed, place)
            digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return  # what cannot be unpacked has no bytes to add


class LineBlocks:
    """A journal's lines, many at once: each block ends with a line end, but for what follows the last one, and a line too long.

    ``rest`` is what was read beyond the block that was given last.
    """

    def __init__(self, stream: IO[bytes], packed: IO[bytes] | None, place: str | Path) -> None:
        self._read = cast(io.BufferedReader, stream).read1
        self._packed, self._place = packed, place
        self._size = 0
        self.rest = b""

    def next(self) -> bytes:
        """The next block; nothing at the end.

        Raises:
            BadInput: it is not worth unpacking.
            EOFError, zlib.error, gzip.BadGzipFile: its packing is damaged.
        """
        pieces = [self.rest]
        size = len(self.rest)
        while size <= LONGEST_LINE and (piece := self._read(BLOCK_BYTES)):
            self._size += len(piece)
            _refuse_bomb(self._size, self._packed, self._place)
            end = piece.rfind(b"\n") + 1
            if end:
                self.rest = piece[end:]
                return b"".join((*pieces, piece[:end]))
            pieces.append(piece)
            size += len(piece)
        block = b"".join(pieces)
        block, self.rest = block[: LONGEST_LINE + 1], block[LONGEST_LINE + 1 :]
        return block


def _refuse_bomb(size: int, packed: IO[bytes] | None, place: str | Path) -> None:
    """Raises where so many bytes came out of a packed file that has been read up to here."""
    if packed is not None and size > GROWS_FREELY and size > MOST_GROWTH * packed.tell():
        raise UnpacksTooFar(
            f"unpacked, the file grows more than {MOST_GROWTH}-fold, as no journal does", place=place
        )
