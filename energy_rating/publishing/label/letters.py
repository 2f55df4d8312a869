"""How wide the letters of a font are, from its file: what a line of text needs of it, without the library that draws with it.

Tables of a TrueType font, by the OpenType specification 1.9.1 (learn.microsoft.com/typography/opentype/spec): ``cmap`` tells the glyph of a
character, ``hmtx`` how far a glyph goes on, ``hhea`` and ``head`` what those need. Outlines, kerning and hints are left alone: an SVG's
text is laid out by whoever shows it. Only the fonts that come with matplotlib are read with it, so that little is checked.
"""

from __future__ import annotations

import functools
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path

# The Unicode tables of characters, the fuller one first: platform and encoding (3 is Windows, 10 and 1 are all of Unicode and its first plane).
_UNICODE = ((3, 10), (3, 1))


class Font:
    """The letters of one font."""

    def __init__(self, content: bytes) -> None:
        self._tables = _tables(content)
        (self._units_per_em,) = struct.unpack_from(">H", self._tables["head"], 18)
        (self._widths,) = struct.unpack_from(">H", self._tables["hhea"], 34)
        self._glyphs = _glyphs(self._tables["cmap"])

    def has(self, character: str) -> bool:
        """Whether the font has this character."""
        return ord(character) in self._glyphs

    def width(self, character: str) -> float | None:
        """How far the character goes on, as a share of the font's size; None where the font does not have it."""
        glyph = self._glyphs.get(ord(character))
        if glyph is None:
            return None
        # What comes after the last width is as wide as that.
        (units,) = struct.unpack_from(">H", self._tables["hmtx"], 4 * min(glyph, self._widths - 1))
        return float(units / self._units_per_em)

    @property
    def characters(self) -> Mapping[int, int]:
        """The glyph's number for each character's code that the font has."""
        return self._glyphs


@functools.lru_cache(maxsize=4)
def font(path: Path) -> Font:
    """The font of a file that comes with a package, which does not change."""
    return Font(path.read_bytes())


def _tables(content: bytes) -> dict[str, memoryview]:
    (count,) = struct.unpack_from(">H", content, 4)
    whole = memoryview(content)
    tables: dict[str, memoryview] = {}
    for number in range(count):
        tag, _, offset, length = struct.unpack_from(">4s3I", content, 12 + 16 * number)
        tables[tag.decode("latin-1")] = whole[offset : offset + length]
    return tables


def _glyphs(cmap: memoryview) -> dict[int, int]:
    (count,) = struct.unpack_from(">H", cmap, 2)
    places: dict[tuple[int, int], int] = {}
    for number in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", cmap, 4 + 8 * number)
        places[platform, encoding] = offset
    table = cmap[next(places[kind] for kind in _UNICODE if kind in places) :]
    (format_,) = struct.unpack_from(">H", table)
    glyphs = _of_groups(table) if format_ == 12 else _of_segments(table)
    return {code: glyph for code, glyph in glyphs.items() if glyph}


def _of_groups(table: memoryview) -> dict[int, int]:
    """Format 12: groups of characters that follow each other, as do their glyphs."""
    (count,) = struct.unpack_from(">I", table, 12)
    glyphs: dict[int, int] = {}
    for first, last, glyph in struct.iter_unpack(">3I", table[16 : 16 + 12 * count]):
        glyphs.update(zip(range(first, last + 1), range(glyph, glyph + last - first + 1), strict=True))
    return glyphs


def _of_segments(table: memoryview) -> dict[int, int]:
    """Format 4: as format 12, or with the number of each glyph in a list behind the table."""
    length, _, doubled = struct.unpack_from(">3H", table, 2)
    numbers = array("H", table[14:length].tobytes()[: (length - 14) // 2 * 2])
    if struct.pack("=H", 1) != struct.pack(">H", 1):
        numbers.byteswap()
    count = doubled // 2
    ends, starts = numbers[:count], numbers[count + 1 : 2 * count + 1]
    deltas, offsets = numbers[2 * count + 1 : 3 * count + 1], numbers[3 * count + 1 : 4 * count + 1]
    glyphs: dict[int, int] = {}
    for at, (first, last, delta, offset) in enumerate(zip(starts, ends, deltas, offsets, strict=True)):
        for code in range(first, last + 1):
            if not offset:
                glyphs[code] = (code + delta) & 0xFFFF
                continue
            # Counted from the place of the offset itself, in bytes.
            glyph = numbers[3 * count + 1 + at + offset // 2 + code - first]
            glyphs[code] = (glyph + delta) & 0xFFFF if glyph else 0
    return glyphs
