"""Pictures and sounds that nobody took: drawn from a number, the same bytes on every machine. They stand in where no data set is.

A model spends on them what it spends on any picture or sound of their size; what it says of them means nothing. Only whole
numbers are reckoned with, and the files are not compressed, so that no library's version changes a byte.
"""

from __future__ import annotations

import random
import struct
import zlib

RATE_HZ = 16_000  # what speech models hear at

# Samples in which a syllable rises and falls: 40 ms, half of the shortest.
RISE = 640

# RFC 1951, 3.2.4: a block that is stored as it is holds at most so many bytes.
LARGEST_BLOCK = 0xFFFF


def picture(seed: int, width: int, height: int) -> bytes:
    """A PNG, 8-bit RGB, of ``width`` × ``height`` pixels: a gradient with a dozen rectangles on it.

    The format: W3C, Portable Network Graphics, third edition (2025-06-24), sections 5 and 9; zlib: RFC 1950.
    """
    source = random.Random(f"picture {seed}")  # noqa: S311  no secret
    red, green, blue = (source.randrange(256) for _ in range(3))
    reds = bytes((red + 96 * x // width) % 256 for x in range(width))
    rows = []
    for y in range(height):
        row = bytearray(3 * width)
        row[0::3], row[2::3] = reds, bytes([blue]) * width
        row[1::3] = bytes([(green + 96 * y // height) % 256]) * width
        rows.append(row)
    for _ in range(12):
        left, top = source.randrange(width), source.randrange(height)
        wide, high = 1 + source.randrange(max(1, width // 3)), 1 + source.randrange(max(1, height // 3))
        colour = bytes(source.randrange(256) for _ in range(3))
        right = min(width, left + wide)
        for row in rows[top : top + high]:
            row[3 * left : 3 * right] = colour * (right - left)
    raw = b"".join(b"\0" + bytes(row) for row in rows)  # each row unfiltered
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(raw)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _stored(raw: bytes) -> bytes:
    """A zlib stream of blocks that are stored as they are."""
    starts = range(0, len(raw), LARGEST_BLOCK)
    blocks = []
    for start in starts:
        block = raw[start : start + LARGEST_BLOCK]
        last = start + LARGEST_BLOCK >= len(raw)
        blocks.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(raw))


def sound(seed: int, seconds: float) -> bytes:
    """A WAV, 16-bit mono at 16 kHz: syllables of a voice-like tone (three triangle waves) with pauses between them.

    The format: RIFF WAVE, Multimedia Programming Interface and Data Specifications 1.0 (1991-08), chapter 3.
    """
    source = random.Random(f"sound {seed}")  # noqa: S311  no secret
    samples: list[int] = []
    wanted = round(seconds * RATE_HZ)
    while len(samples) < wanted:
        period = RATE_HZ // (90 + source.randrange(160))
        # Three waves that fit into one period, the higher ones lower.
        wave = [sum(_triangle(rank * n, period) // rank for rank in (1, 3, 7)) for n in range(period)]
        length = RATE_HZ * (80 + source.randrange(220)) // 1000
        syllable = (wave * (length // period + 1))[:length]
        for n in range(RISE):
            syllable[n] = syllable[n] * n // RISE
            syllable[-1 - n] = syllable[-1 - n] * n // RISE
        samples += syllable
        samples += [0] * (RATE_HZ * source.randrange(120) // 1000)
    content = struct.pack(f"<{wanted}h", *samples[:wanted])
    header = struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _triangle(n: int, period: int) -> int:
    """Between -8000 and 8000."""
    place = n % period
    return abs(32_000 * place // period - 16_000) - 8_000
