"""Lines of readings taken many at once: their checksums, their form and their numbers. What is not exactly as it was written is
left to ``reading``, which takes it line by line and says what is wrong with it.

A line consists of a frame (keys and punctuation) and of numbers. The frames of many lines are compared at once, and their numbers
parsed as one array.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from energy_rating.files.journal import decoded
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

# What stands before the checksum of a line, and how long the rest is.
MARK, BEHIND = b',"crc":"', len('01234567"}\n')

# Readings of one line stand in their order: so many are fewer than fit a line of the longest.
IN_A_LINE = 1 << 20

# Of a journal with more sets of channels than this, the lines of the others are taken one by one.
MOST_FRAMES = 256


@functools.cache
def loader() -> Callable[[bytes], Any]:
    """What parses JSON; loaded when there is much of it."""
    try:
        loads: Callable[[bytes], Any] = importlib.import_module("orjson").loads
    except ImportError:  # there is none for this machine: the standard library's takes three times as long
        loads = json.loads
    return loads


class Rows(NamedTuple):
    """Readings of the same channels: where their lines stand among those that were given, and per line t, dt and the values."""

    channels: tuple[str, ...]
    places: NDArray[numpy.intp]
    numbers: NDArray[numpy.float64]


class Frames:
    """The frames of a session's lines of readings, as they come."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, ...] | None] = {}

    def rows(self, text: bytes) -> list[Rows] | None:
        """The readings on some whole lines, by their channels; None where a line is not as it was written."""
        import numpy

        letters = numpy.frombuffer(text, numpy.uint8)
        ends = numpy.flatnonzero(letters == ord("\n"))
        if not checksums_hold(text, letters, ends):
            return None
        numbers, frames = _parts(text, letters, ends)
        first = frames[: frames.index(b"\n") + 1]
        if frames == first * len(ends):
            kinds = [first[:-1]]
            kind_of = None
        else:
            each = frames.split(b"\n")
            del each[-1]
            kinds = list(dict.fromkeys(each))
            numbers_of = {kind: number for number, kind in enumerate(kinds)}
            kind_of = numpy.fromiter(map(numbers_of.__getitem__, each), numpy.intp, len(each))
        channels = []
        for number, kind in enumerate(kinds):
            place = 0 if kind_of is None else int(numpy.argmax(kind_of == number))
            start = int(ends[place - 1]) + 1 if place else 0
            found = self._channels(kind, text[start : int(ends[place]) + 1])
            if found is None:
                return None
            channels.append(found)
        values = _parsed(numbers)
        if values is None:
            return None
        return _by_kind(channels, kind_of, values, len(ends))

    def _channels(self, frame: bytes, line: bytes) -> tuple[str, ...] | None:
        """The channels of the lines that have this frame, as one of them tells; None where they are not as they are written."""
        if frame not in self._known:
            if len(self._known) >= MOST_FRAMES:
                return None
            self._known[frame] = _channels_of(frame, line)
        return self._known[frame]


def _channels_of(frame: bytes, line: bytes) -> tuple[str, ...] | None:
    try:
        entry = decoded(line, place="")
    except BadInput:
        return None
    readings = entry.get("r")
    if list(entry) != ["t", "dt", "r"] or not isinstance(readings, dict):
        return None
    names = ",".join(f"{json.dumps(name, ensure_ascii=False)}:" for name in readings)
    if not readings or f'{{"t":,"dt":,"r":{{{names}}},"crc":""}}'.encode() != frame:
        return None
    return tuple(readings)


def begins_with(
    letters: NDArray[numpy.uint8], starts: NDArray[numpy.intp], word: bytes
) -> NDArray[numpy.bool_]:
    """Which lines, that start there, begin with a word."""
    import numpy

    found: NDArray[numpy.bool_] = numpy.ones(len(starts), numpy.bool_)
    for place, letter in enumerate(word):
        found &= letters[numpy.minimum(starts + place, len(letters) - 1)] == letter
    return found


class Kinds(NamedTuple):
    """Whole lines: where each begins, and which of them are readings, plain, with what packed ones rest upon, or packed."""

    starts: NDArray[numpy.intp]
    are_readings: NDArray[numpy.bool_]
    are_packed: NDArray[numpy.bool_]


def kinds_of(text: bytes) -> Kinds:
    """What kinds of line there are in a text of whole lines."""
    import numpy

    letters = numpy.frombuffer(text, numpy.uint8)
    starts = numpy.concatenate(([0], numpy.flatnonzero(letters == ord("\n"))[:-1] + 1))
    readings = begins_with(letters, starts, b'{"t":')
    packed: NDArray[numpy.bool_] = numpy.zeros(len(starts), numpy.bool_)
    if b'{"d":"' in text:
        packed = begins_with(letters, starts, b'{"d":"')
    return Kinds(starts, readings, packed)


def checksums_hold(text: bytes, letters: NDArray[numpy.uint8], ends: NDArray[numpy.intp]) -> bool:
    """Whether each line ends in the checksum of itself."""
    import numpy

    starts = numpy.concatenate(([0], ends[:-1] + 1))
    stops = ends - len(MARK) - BEHIND + 1
    if (stops < starts).any() or not begins_with(letters, stops, MARK).all():
        return False
    if (letters[ends - 2] != ord('"')).any() or (letters[ends - 1] != ord("}")).any():
        return False
    view = memoryview(text)
    bodies = [view[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    sums = ~numpy.fromiter(map(zlib.crc32, bodies), numpy.uint32, len(bodies))
    # The brace that closes the line without its checksum is one step more for all of them.
    table = numpy.frombuffer(_CRC_STEPS, numpy.uint32)
    sums = ~(table[(sums ^ ord("}")) & 0xFF] ^ (sums >> 8))
    told: NDArray[numpy.uint32] = numpy.zeros(len(ends), numpy.uint32)
    digits = numpy.frombuffer(_DIGITS, numpy.uint8)
    for place in range(-10, -2):
        digit = digits[letters[ends + place]]
        if digit.max() > 15:
            return False
        told = told * 16 + digit
    return bool((told == sums).all())


# The table of CRC-32 (IEEE 802.3, reflected): what each byte adds to the register.
_CRC_STEPS = b"".join(
    (zlib.crc32(bytes([one ^ 0xFF])) ^ 0xFFFFFFFF ^ 0x00FFFFFF).to_bytes(4, sys.byteorder)
    for one in range(256)
)

# What each byte is as a digit of a checksum; more than 15 for one that is none.
_DIGITS = bytes(b"0123456789abcdef".index(one) if one in b"0123456789abcdef" else 255 for one in range(256))

# Which bytes belong to numbers, and which part them, where they stand in no text.
_NUMERIC, _PARTING = 1, 2
_KINDS = bytes(
    _NUMERIC if one in b"0123456789.-+eE" else _PARTING if one == ord(",") else 0 for one in range(256)
)


def _parts(
    text: bytes, letters: NDArray[numpy.uint8], ends: NDArray[numpy.intp]
) -> tuple[NDArray[numpy.uint8], bytes]:
    """The numbers with commas between them, and blanks for the rest; and the frames, without numbers and the digits of the checksums."""
    import numpy

    kinds = _kinds_of_letters(text)
    # A comma follows each number: its own, or that before the checksum.
    numbers = numpy.maximum(letters * (kinds != 0), ord(" "))
    return numbers, _framed(letters, kinds, ends)


def frames_of(text: bytes, letters: NDArray[numpy.uint8], ends: NDArray[numpy.intp]) -> bytes:
    """Lines without their numbers and the digits of their checksums."""
    return _framed(letters, _kinds_of_letters(text), ends)


def numbers_of(text: bytes) -> list[int | float] | None:
    """All numbers of some lines of JSON, but for those in texts, whole ones as such; None where one is none."""
    import numpy

    are = _kinds_of_letters(text) == _NUMERIC
    letters = numpy.where(are, numpy.frombuffer(text, numpy.uint8), numpy.uint8(ord(" ")))
    letters[1:][are[:-1] & ~are[1:]] = ord(",")
    try:
        found: list[int | float] = loader()(b"[%b0]" % letters.tobytes())
    except ValueError:
        return None
    return found[:-1]


def _kinds_of_letters(text: bytes) -> NDArray[numpy.uint8]:
    """Which letters of a text belong to numbers, and which part them; those that stand in a JSON text do neither."""
    import numpy

    quotes = text
    if b"\\" in text:  # a quote that belongs to a name ends none
        quotes = text.replace(rb"\\", b"..").replace(rb"\"", b"..")
    places = numpy.flatnonzero(numpy.frombuffer(quotes, numpy.uint8) == ord('"'))
    outside: NDArray[numpy.uint8] = numpy.zeros(len(places) + 1, numpy.uint8)
    outside[::2] = 3
    kinds = numpy.frombuffer(text.translate(_KINDS), numpy.uint8)
    return kinds & numpy.repeat(outside, numpy.diff(places, prepend=0, append=len(text)))


def _framed(letters: NDArray[numpy.uint8], kinds: NDArray[numpy.uint8], ends: NDArray[numpy.intp]) -> bytes:
    # A zero byte stands in no line that was written: JSON has another way to say it.
    framed = letters * (kinds != _NUMERIC)
    for place in range(-10, -2):
        framed[ends + place] = 0
    return bytes(framed.tobytes()).translate(None, b"\0")


def _parsed(numbers: NDArray[numpy.uint8]) -> NDArray[numpy.float64] | None:
    """All numbers, as JSON has them, in their order; None where one is none."""
    import numpy

    try:
        return numpy.array(loader()(b"[%b0]" % numbers.tobytes())[:-1], numpy.float64)
    except (ValueError, OverflowError):
        return None


def _by_kind(
    channels: list[tuple[str, ...]],
    kind_of: NDArray[numpy.intp] | None,
    values: NDArray[numpy.float64],
    count: int,
) -> list[Rows] | None:
    import numpy

    widths = numpy.array([2 + len(some) for some in channels])
    if kind_of is None:
        if len(values) != count * widths[0]:
            return None
        return [Rows(channels[0], numpy.arange(count), values.reshape(count, widths[0]))]
    of_line = widths[kind_of]
    if len(values) != of_line.sum():
        return None
    starts = numpy.cumsum(of_line) - of_line
    rows = []
    for kind, some in enumerate(channels):
        places = numpy.flatnonzero(kind_of == kind)
        rows.append(Rows(some, places, values[starts[places][:, None] + numpy.arange(2 + len(some))]))
    return rows


def at_lines(found: list[Rows], numbers: NDArray[numpy.intp]) -> list[Rows]:
    """Readings, each on a line of its own, with the places of these lines among others."""
    places = numbers * IN_A_LINE
    return [Rows(rows.channels, places[rows.places], rows.numbers) for rows in found]


def are_apart(found: list[Rows]) -> bool:
    """Whether no channel is in two of them."""
    names = [name for rows in found for name in rows.channels]
    return len(names) == len(set(names))


def are_in_time(found: list[Rows]) -> bool:
    """Whether all of them, in the order of their places, are in the order of time."""
    import numpy

    places = numpy.concatenate([rows.places for rows in found])
    starts = numpy.concatenate([rows.numbers[:, 0] for rows in found])[places.argsort()]
    return bool((starts[1:] >= starts[:-1]).all())


def in_order(found: list[Rows]) -> Iterator[Rows]:
    """Rows in pieces, each of which stands before the next."""
    import numpy

    kinds = numpy.concatenate([numpy.full(len(rows.places), kind) for kind, rows in enumerate(found)])
    places = numpy.concatenate([rows.places for rows in found])
    order = places.argsort()
    kinds, places = kinds[order], places[order]
    borders = [0, *(numpy.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), len(kinds)]
    taken = [0] * len(found)
    for first, end in pairwise(borders):
        kind = int(kinds[first])
        piece = slice(taken[kind], taken[kind] + end - first)
        taken[kind] = piece.stop
        yield Rows(found[kind].channels, found[kind].places[piece], found[kind].numbers[piece])
