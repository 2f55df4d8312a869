"""Packed lines of readings many at a time, in arrays; what they say one by one is ``packed``'s, which is asked wherever one is not sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energy_rating.files.journal import decoded
from energy_rating.files.packed import ANEW, DIGITS, MOST, MOST_LETTERS, NUMBERED, Unpacked, Unpacker
from energy_rating.files.rows import IN_A_LINE, Rows, begins_with, checksums_hold
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

BEGIN, END = b'{"d":"', b'","crc":"01234567"}'

_VALUES = bytes(DIGITS.encode().index(one) if one in DIGITS.encode() else 255 for one in range(256))


# Of fewer lines between two that are told in full, one after the other is walked through.
FEW = 24


def rows_of(unpacker: Unpacker, lines: Sequence[bytes], numbers: Sequence[int]) -> list[Rows] | None:
    """The readings on some packed lines, by their channels; ``numbers`` are where the lines stand. None where one is not sound.

    ``unpacker`` goes on to the last of them. A reading's place is its line's number times ``IN_A_LINE`` and how many are before it on the line.
    """
    import numpy

    text = b"\n".join((*lines, b""))
    letters = numpy.frombuffer(text, numpy.uint8)
    ends = numpy.flatnonzero(letters == ord("\n"))
    if unpacker.is_lost or not checksums_hold(text, letters, ends):
        return None
    if (letters[ends - 2] != ord('"')).any() or (letters[ends - 1] != ord("}")).any():
        return None
    starts = numpy.concatenate(([0], ends[:-1] + 1))
    differ = begins_with(letters, starts, BEGIN)
    found = _integers(letters, starts[differ] + len(BEGIN), ends[differ] - len(END))
    if found is None:
        return None
    integers, stops = found
    orders = numpy.array(numbers)[differ] * IN_A_LINE
    chains = _Chains(unpacker, integers, stops, orders)
    first = 0
    for place in numpy.flatnonzero(~differ).tolist():
        end = int(place) - chains.told_in_full
        if not chains.walk(first, end):
            return None
        try:
            entry = decoded(lines[place] + b"\n", place="")
            if list(entry) != ["t", "dt", "r", "n"]:
                return None
            chains.begin(
                unpacker.begin(entry),
                numbers[place] * IN_A_LINE,
                anew=entry["n"][0] == ANEW or entry["n"][1] == 0,
            )
        except (BadInput, ValueError, TypeError, KeyError, AttributeError):
            return None
        first = end
    return chains.rows() if chains.walk(first, len(stops)) else None


def _integers(
    letters: NDArray[numpy.uint8], begins: NDArray[numpy.intp], ends: NDArray[numpy.intp]
) -> tuple[NDArray[numpy.int64], NDArray[numpy.intp]] | None:
    """All whole numbers of some texts, and of each text how many there are up to its end."""
    import numpy

    if not len(begins):
        return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.intp)
    if (ends <= begins).any() or (letters[ends] != ord('"')).any():
        return None
    inside: NDArray[numpy.int8] = numpy.zeros(len(letters), numpy.int8)
    inside[begins] = 1
    inside[ends] = -1
    digits = numpy.frombuffer(_VALUES, numpy.uint8)[
        letters[numpy.cumsum(inside, dtype=numpy.int8).view(numpy.bool_)]
    ]
    if digits.max() > 63:
        return None
    lasts = numpy.flatnonzero(digits < 32)
    stops = numpy.cumsum(ends - begins) - 1
    if (digits[stops] > 31).any():
        return None
    starts = numpy.concatenate(([0], lasts[:-1] + 1))
    lengths = lasts - starts + 1
    longest = int(lengths.max())
    if longest > MOST_LETTERS:
        return None
    values = (digits[starts] & 31).astype(numpy.int64)
    for place in range(1, longest):  # most have few letters
        longer = numpy.flatnonzero(lengths > place)
        values[longer] |= (digits[starts[longer] + place] & 31).astype(numpy.int64) << (5 * place)
    signs: NDArray[numpy.int64] = values & 1
    counts: NDArray[numpy.intp] = numpy.searchsorted(lasts, stops) + 1
    return (values >> 1) * (1 - 2 * signs), counts


class _Chain:
    """The readings of one set from one that was told in full to the next: where their differences stand among the numbers."""

    __slots__ = ("base", "is_told", "orders", "places", "width")

    def __init__(self, base: Unpacked, order: int | None) -> None:
        self.base = base
        self.width = len(base.values)
        self.is_told = order is not None
        self.orders = [order] if order is not None else []
        self.places: list[int] = []


class _Chains:
    """The readings on packed lines as they follow each other, set by set.

    ``integers`` are all numbers on the lines, ``stops`` how many there are up to the end of each, ``orders`` the places of the lines.
    """

    def __init__(
        self,
        unpacker: Unpacker,
        integers: NDArray[numpy.int64],
        stops: NDArray[numpy.intp],
        orders: NDArray[numpy.intp],
    ) -> None:
        self._unpacker = unpacker
        self._integers, self._stops, self._orders = integers, stops, orders
        self._parts: list[_Chain] = []
        self._open: dict[int, _Chain] = {}
        self.told_in_full = 0

    def begin(self, base: Unpacked, order: int, *, anew: bool) -> None:
        self.told_in_full += 1
        if anew:
            self._open.clear()
        self._open[base.number] = part = _Chain(base, order)
        self._parts.append(part)

    def _go_on(self, name: int) -> _Chain | None:
        """The readings of a set that was told before these lines; None where it is not known."""
        base = self._unpacker.known(name)
        if base is None:
            return None
        self._open[name] = part = _Chain(base, None)
        self._parts.append(part)
        return part

    def walk(self, first: int, end: int) -> bool:
        """Goes through some lines, between which none is told in full. Whether they are as they should be."""
        if first >= end:
            return True
        return self._walk_one_by_one(first, end) if end - first < FEW else self._walk_together(first, end)

    def _walk_one_by_one(self, first: int, end: int) -> bool:
        at = since = int(self._stops[first - 1]) if first else 0
        stops = self._stops[first:end].tolist()
        told = self._integers[since : stops[-1]].tolist()
        expected = self._unpacker.next_number
        for stop, order in zip(stops, self._orders[first:end].tolist(), strict=True):
            if stop - at < 2 or told[at - since] != expected:
                return False
            expected = (expected + 1) % NUMBERED
            at += 1
            while at < stop:
                name = told[at - since]
                chain = self._open.get(name) or self._go_on(name)
                if chain is None:
                    return False
                at += 1
                chain.places.append(at)
                chain.orders.append(order)
                at += chain.width
                order += 1
            if at > stop:
                return False
        self._unpacker.next_number = expected
        return True

    def _walk_together(self, first: int, end: int) -> bool:
        """The first reading of each line, then the second of those that have one, and so on."""
        import numpy

        integers, stops, orders = self._integers, self._stops[first:end], self._orders[first:end]
        at = numpy.concatenate((self._stops[first - 1 : first] if first else [0], stops[:-1]))
        expected = self._unpacker.next_number
        numbers: NDArray[numpy.intp] = (expected + numpy.arange(end - first)) % NUMBERED
        if (stops - at < 2).any() or (integers[at] != numbers).any():
            return False
        at = at + 1
        found: dict[int, list[tuple[NDArray[numpy.intp], NDArray[numpy.intp]]]] = {}
        while len(at):
            names = integers[at]
            at = at + 1
            for name in set(names.tolist()):
                chain = self._open.get(name) or self._go_on(name)
                if chain is None:
                    return False
                of_name = numpy.flatnonzero(names == name)
                found.setdefault(name, []).append((at[of_name], orders[of_name]))
                at[of_name] += chain.width
            if (at > stops).any():
                return False
            more = numpy.flatnonzero(at < stops)
            at, stops, orders = at[more], stops[more], orders[more] + 1
        for name, some in found.items():
            places, their_orders = (numpy.concatenate(one) for one in zip(*some, strict=True))
            if len(some) > 1:
                sorting = their_orders.argsort()
                places, their_orders = places[sorting], their_orders[sorting]
            self._open[name].places += places.tolist()
            self._open[name].orders += their_orders.tolist()
        self._unpacker.next_number = int(numbers[-1] + 1) % NUMBERED
        return True

    def rows(self) -> list[Rows] | None:
        import numpy

        integers = self._integers
        together: dict[tuple[str, ...], tuple[list[NDArray[numpy.float64]], list[int]]] = {}
        for part in self._parts:
            base = part.base
            values = numpy.array([base.values], numpy.int64)
            if part.places:
                width = len(base.values)
                places = numpy.array(part.places)[:, None] + numpy.arange(width)
                if places[-1, -1] >= len(integers):
                    return None
                moved = integers[places]
                # Far below where sums of whole numbers of the machine would overflow.
                if float(numpy.abs(moved).max()) * len(moved) ** base.order > MOST:
                    return None
                if base.order == 2:
                    took = moved[:, 1].copy()
                    moved = numpy.cumsum(moved, axis=0) + numpy.array(base.moved)
                    moved[:, 1] = took
                values = numpy.concatenate((values, values + numpy.cumsum(moved, axis=0)))
                if numpy.abs(values).max() > MOST:
                    return None
                base.values, base.moved = values[-1].tolist(), moved[-1].tolist()
            told = (values if part.is_told else values[1:]) / numpy.array(base.units, numpy.float64)
            numbers, orders = together.setdefault(base.channels, ([], []))
            numbers.append(told)
            orders += part.orders
        return [
            Rows(channels, numpy.array(orders), numpy.concatenate(numbers))
            for channels, (numbers, orders) in together.items()
        ]
