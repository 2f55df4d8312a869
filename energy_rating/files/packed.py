"""Readings in few bytes: a line that tells only by how much they differ from those before. Standard library only.

A reading of the same channels as one before can be told by whole numbers: how many microseconds and thousandths (or millionths) of a joule or
watt lie between the two. A line of them holds many, as text of letters, digits, ``+`` and ``/``: base 64 VLQ, as in the source maps of browsers
(ECMA-426, 6.2): five bits a letter, the least first, a sixth says that more follow, and the lowest bit of the number is its sign::

    {"t":1.2,"dt":0.0001,"r":{"gpu0.energy":512.2},"n":[0,0,1,3],"crc":"…"}     tells all, and how the next are told
    {"d":"CAg+BA2jC","crc":"…"}

``n`` holds the line's number, the number of the channels' set, the order of the differences, and the decimals of each value. Of order 1 they
are those to the reading before; of order 2 those to where it would be had time and values gone on as they did from the two before (``dt`` as of
order 1). ``d`` holds the line's number, and of each reading the number of its set and the differences of ``t``, ``dt`` and the values.

Lines are numbered from 0, by 1024 in turns, so that one that is missing is noticed; -1 begins anew, where lines could not be written. Set 0 is
told in full once a minute, and with it all that was told before is forgotten: whoever lost a line reads on from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from energy_rating.nouns.errors import LineMissing

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NUMBERED = 1024

# Seconds are told to the microsecond; joules and watts mostly to the thousandth, RAPL's joules to the millionth.
TIME_DECIMALS = 6
DECIMALS = (0, 3, 6)

# The number of a line with which all begins anew: the writer knows that lines before it were lost.
ANEW = -1

# Whole numbers up to here are the same as doubles. No number has more letters.
MOST = 1 << 53
MOST_LETTERS = 12

# What damage costs at most, and how long a reading waits for others to share a line with: that much is lost when the process is killed.
WHOLE_EVERY_S = 60.0
WAITS_S = 0.05

# No minute has more sets of channels.
MOST_SETS = 1024

# Readings that are further apart come at an even pace, with counters that grow evenly.
EVEN_FROM_S = 0.5

_OF_LETTER = {letter: value for value, letter in enumerate(DIGITS)}


# Two letters at a time: those of ten bits that more follow, and of up to ten bits that end a number.
_TWO: list[str] = [first + second for second in DIGITS[32:] for first in DIGITS[32:]]
_LAST: list[str] = [*DIGITS[:32], *(first + second for second in DIGITS[1:32] for first in DIGITS[32:])]


def _letters(number: int) -> str:
    value = -number << 1 | 1 if number < 0 else number << 1
    found = ""
    while value > 1023:
        found += _TWO[value & 1023]
        value >>= 10
    return found + _LAST[value]


# Most differences are small.
_SMALL = {
    -(value >> 1) if value & 1 else value >> 1: letters for value, letters in enumerate(_LAST) if value != 1
}


def packed(numbers: Sequence[int]) -> str:
    """Whole numbers as text."""
    return "".join([_SMALL.get(number) or _letters(number) for number in numbers])


def unpacked(text: str) -> list[int]:
    """The whole numbers that a text holds.

    Raises:
        ValueError: it is not such a text.
    """
    found: list[int] = []
    value = shift = 0
    for letter in text:
        digit = _OF_LETTER.get(letter, -1)
        if digit < 0 or shift >= 5 * MOST_LETTERS:
            raise ValueError("no text of packed numbers")
        value |= (digit & 31) << shift
        if digit & 32:
            shift += 5
            continue
        found.append(-(value >> 1) if value & 1 else value >> 1)
        value = shift = 0
    if shift:
        raise ValueError("a packed number is cut short")
    return found


class Unpacked:
    """The latest reading of some channels, in whole numbers: ``t``, ``dt`` and the values."""

    __slots__ = ("channels", "decimals", "moved", "number", "order", "units", "values")

    def __init__(
        self, number: int, channels: tuple[str, ...], order: int, decimals: Sequence[int], values: list[int]
    ) -> None:
        self.number, self.channels, self.order = number, channels, order
        self.decimals = tuple(decimals)
        self.units = tuple(10**one for one in (TIME_DECIMALS, TIME_DECIMALS, *decimals))
        self.values = values
        self.moved = [0] * len(values)  # by how much each differed from the one before

    def copy(self) -> Unpacked:
        other = Unpacked(self.number, self.channels, self.order, self.decimals, self.values)
        other.moved = self.moved
        return other

    def follow(self, differences: Sequence[int]) -> None:
        """Goes on to the next reading."""
        if self.order == 2:
            self.moved = [before + more for before, more in zip(self.moved, differences, strict=True)]
            self.moved[1] = differences[1]  # how long a reading takes follows nothing
        else:
            self.moved = list(differences)
        self.values = [value + moved for value, moved in zip(self.values, self.moved, strict=True)]

    def to(self, told: Sequence[float]) -> list[int] | None:
        """Goes on to a reading, and says by which differences ``follow`` does; None where it has more decimals than are told."""
        values: list[int] = []
        moved: list[int] = []
        for value, unit, before in zip(told, self.units, self.values, strict=True):
            whole = round(value * unit)
            if whole / unit != value or not -MOST <= whole <= MOST:
                return None
            values.append(whole)
            moved.append(whole - before)
        differences = moved
        if self.order == 2:
            differences = [now - before for now, before in zip(moved, self.moved, strict=True)]
            differences[1] = moved[1]  # how long a reading takes follows nothing
        self.values, self.moved = values, moved
        return differences

    def reading(self) -> dict[str, Any]:
        t, took, *values = (value / unit for value, unit in zip(self.values, self.units, strict=True))
        return {"t": t, "dt": took, "r": dict(zip(self.channels, values, strict=True))}


class Unpacker:
    """Reads the packed lines of a session.

    ``is_lost``: a line is missing; what rests upon it is passed over (``LineMissing``) until all is told anew.
    """

    def __init__(self) -> None:
        self._sets: dict[int, Unpacked] = {}
        self.next_number = 0
        self.has_begun = False
        self.is_lost = False

    def lose(self) -> None:
        """A line was lost, of whatever kind."""
        self._sets, self.is_lost = {}, True

    def of_entry(self, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The readings that a line of a journal tells, one that is packed or not.

        Raises:
            ValueError, TypeError, KeyError: it does not hold what it should, or a line is missing before it.
        """
        if "schema" in entry:
            self._sets, self.next_number, self.has_begun, self.is_lost = {}, 0, False, False
        if "d" in entry:
            return list(self.readings(entry["d"]))
        if "n" in entry:
            self.begin(entry)
        return [entry] if "r" in entry else []

    def begin(self, entry: Mapping[str, Any]) -> Unpacked:
        """A reading that tells all, with ``n``.

        Raises:
            ValueError, TypeError, KeyError: it does not hold what it should, or a line is missing before it.
        """
        number, name, order, *decimals = _wholes(entry["n"])
        channels = tuple(entry["r"])
        if order not in (1, 2) or len(decimals) != len(channels) or not set(decimals) <= set(DECIMALS):
            raise ValueError("not how readings are packed")
        if not 0 <= name < MOST_SETS or not ANEW <= number < NUMBERED:
            raise ValueError("not how lines are numbered")
        units = (TIME_DECIMALS, TIME_DECIMALS, *decimals)
        told = entry["t"], entry["dt"], *entry["r"].values()
        values = [_whole(value, decimal) for value, decimal in zip(told, units, strict=True)]
        if None in values:
            raise ValueError("a number has more decimals than are told")
        if number == ANEW or (name == 0 and self.is_lost):
            self._sets, self.next_number, self.is_lost = {}, (number + 1) % NUMBERED, False
        else:
            self._count(number)
            if name == 0:
                self._sets = {}
        self.has_begun = True
        one = Unpacked(name, channels, order, decimals, [value for value in values if value is not None])
        self._sets[name] = one
        return one

    def known(self, name: int) -> Unpacked | None:
        """The latest reading of a set."""
        return self._sets.get(name)

    def copy(self) -> Unpacker:
        """Another one that has come as far."""
        other = Unpacker()
        other._sets = {name: one.copy() for name, one in self._sets.items()}
        other.next_number, other.has_begun, other.is_lost = self.next_number, self.has_begun, self.is_lost
        return other

    def readings(self, text: object) -> Iterator[dict[str, Any]]:
        """The readings on a packed line, as they would have been told in full.

        Raises:
            ValueError, TypeError: it is none, or one is missing before it.
        """
        if not isinstance(text, str):
            raise TypeError("packed readings are a text")
        numbers = unpacked(text)
        if len(numbers) < 2:
            raise ValueError("no packed reading")
        self._count(numbers[0])
        place = 1
        while place < len(numbers):
            one = self._sets.get(numbers[place])
            end = place + 1 + (len(one.values) if one is not None else 0)
            if one is None or end > len(numbers):
                raise ValueError("no packed reading of channels that were told")
            one.follow(numbers[place + 1 : end])
            if not all(-MOST <= value <= MOST for value in one.values):
                raise ValueError("a number beyond all measure")
            yield one.reading()
            place = end

    def _count(self, number: int) -> None:
        if self.is_lost or number != self.next_number:
            raise LineMissing("a line is missing before it")
        self.next_number = (number + 1) % NUMBERED


def _wholes(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(one) is int and abs(one) <= MOST for one in value):
        raise ValueError("not whole numbers")
    return value


def _whole(value: float, decimals: int) -> int | None:
    """The value in units of its last decimal; None where it has more of them."""
    if isinstance(value, bool):
        raise ValueError("not a number")
    if not abs(value) <= MOST:
        return None
    whole = round(value * 10**decimals)
    return whole if abs(whole) <= MOST and whole / 10**decimals == value else None


class Packer:
    """Makes few bytes of a session's readings. What it gives back is to be written in that order."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, ...], Unpacked] = {}
        self._even: set[tuple[str, ...]] = set()  # those that were told evenly, further apart
        self._told = 0  # sets since all was told anew
        self._since_s = -math.inf
        self._number = 0
        self._anew = False
        # Those whose differences stand in the line that is being made.
        self._waiting: list[Mapping[str, Any]] = []
        self._numbers: list[int] = []
        self._busy = False

    @property
    def waits_since(self) -> float | None:
        """When the oldest reading was that is not given back yet; None without one."""
        return float(self._waiting[0]["t"]) if self._waiting else None

    def restart(self) -> list[Mapping[str, Any]]:
        """Lines were lost, or a call was broken off: all is told anew, beginning with what waits."""
        waiting = self._waiting
        self._waiting, self._numbers, self._busy = [], [], False
        self._since_s, self._anew = -math.inf, True
        return [line for entry in waiting for line in self.add(entry)]

    def tell_anew(self) -> None:
        """What comes next is told in full, as once a minute."""
        self._since_s = -math.inf

    def add(self, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Takes a reading."""
        before = self.restart() if self._busy else []
        self._busy = True
        lines = self._add(entry)
        self._busy = False
        return [*before, *lines]

    def _add(self, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        readings = entry["r"]
        channels = tuple(sorted(readings))  # the same ones are read in another order at another time
        told = entry["t"], entry["dt"], *map(readings.__getitem__, channels)
        lines: list[Mapping[str, Any]] = []
        if entry["t"] - self._since_s >= WHOLE_EVERY_S or self._told >= MOST_SETS:
            lines = self.flush()
            self._begin(entry["t"])
        one = self._sets.get(channels)
        if one is not None and (differences := one.to(told)) is not None:
            self._waiting.append(entry)
            self._numbers += one.number, *differences
            return self.flush() if entry["t"] - self._waiting[0]["t"] >= WAITS_S else []
        return [*lines, *self.flush(), self._whole(entry, channels, told)]

    def _begin(self, now_s: float) -> None:
        """All is told anew from here on."""
        for channels, one in self._sets.items():
            if one.moved[0] >= EVEN_FROM_S * 10**TIME_DECIMALS:
                self._even.add(channels)
            elif one.moved[0]:
                self._even.discard(channels)
        self._sets, self._told, self._since_s = {}, 0, now_s

    def _whole(
        self, entry: Mapping[str, Any], channels: tuple[str, ...], told: Sequence[float]
    ) -> Mapping[str, Any]:
        self._sets.pop(channels, None)
        decimals = [
            next((one for one in DECIMALS[1:] if _whole(value, one) is not None), None) for value in told[2:]
        ]
        known = [one for one in decimals if one is not None]
        times = [_whole(value, TIME_DECIMALS) for value in told[:2]]
        if len(known) < len(decimals) or None in times:
            return entry  # with digits that only all of them can tell
        wholes = [_whole(value, one) for value, one in zip(told[2:], known, strict=True)]
        values = [value for value in (*times, *wholes) if value is not None]
        name, self._told = self._told, self._told + 1
        order = 2 if channels in self._even else 1
        self._sets[channels] = Unpacked(name, channels, order, known, values)
        number, self._number = self._number, (self._number + 1) % NUMBERED
        if self._anew:
            number, self._number, self._anew = ANEW, 0, False
        ordered = {channel: entry["r"][channel] for channel in channels}
        return {**entry, "r": ordered, "n": [number, name, order, *known]}

    def flush(self) -> list[Mapping[str, Any]]:
        """What waits, as a line."""
        if not self._waiting:
            return []
        number, self._number = self._number, (self._number + 1) % NUMBERED
        numbers, self._waiting, self._numbers = self._numbers, [], []
        return [{"d": packed([number, *numbers])}]
