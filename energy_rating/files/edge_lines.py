"""Lines that open and close windows taken many at a time: their checksums, their form and their numbers. What is not exactly as it was
written is left to ``reading``, which takes it line by line and says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from energy_rating.files.journal import decoded
from energy_rating.files.rows import checksums_hold, frames_of, numbers_of
from energy_rating.files.windows import MOST_WHOLE, Pairs
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.work import LEAST_WORK, Number, is_unit

if TYPE_CHECKING:
    from energy_rating.files.windows import Flags

# Fewer lines are taken one by one.
FEWEST = 64

# None of these lines is longer: a name of a hundred letters, and some units of work.
LONGEST = 1 << 13

# Of fewer windows that follow each other each is taken by itself.
FEWEST_PAIRS = 8
MOST_PAIRS = 1 << 14

# Of so many forms it is kept what their lines are.
MOST_FORMS = 1 << 12


class Edge(NamedTuple):
    """What a line of some form does: it opens a window of a name, or closes one whose work is of some units, and tells that of the run.

    ``numbers``: so many stand on it.
    """

    name: str | None
    units: tuple[str, ...]
    of_run: tuple[str, ...] | None
    numbers: int


class EdgeLines:
    """The forms of a session's lines that open and close windows, as they come. The form of a line is what is left without its numbers."""

    def __init__(self) -> None:
        self._known: dict[bytes, Edge | None] = {}

    def told(self, lines: Sequence[bytes]) -> ToldEdges | None:
        """What some whole lines say; None where they are to be taken one by one."""
        import numpy

        if len(lines) < FEWEST or max(map(len, lines)) > LONGEST:
            return None
        text = b"".join(lines)
        letters = numpy.frombuffer(text, numpy.uint8)
        ends = numpy.flatnonzero(letters == ord("\n"))
        if len(ends) != len(lines) or not checksums_hold(text, letters, ends):
            return None
        edges = list(map(self._edge, frames_of(text, letters, ends).split(b"\n"), lines))
        if None in edges:
            text = b"".join([line for line, edge in zip(lines, edges, strict=True) if edge is not None])
        numbers = numbers_of(text)
        if numbers is None or len(numbers) != sum(edge.numbers for edge in edges if edge is not None):
            return None
        return ToldEdges(edges, numbers)

    def _edge(self, form: bytes, line: bytes) -> Edge | None:
        if form not in self._known:
            if len(self._known) >= MOST_FORMS:
                return None
            self._known[form] = _edge_of(form, line)
        return self._known[form]


class ToldEdges:
    """What some lines that follow each other do, and their numbers; a line of another kind does nothing here."""

    def __init__(self, edges: list[Edge | None], numbers: list[Number]) -> None:
        import numpy

        self.edges, self.numbers = edges, numbers
        counts = numpy.array([0 if edge is None else edge.numbers for edge in edges])
        self._starts = numpy.cumsum(counts) - counts
        self._firsts: list[int] = self._starts.tolist()
        self._values = numpy.array(numbers, numpy.float64)
        self._whole = numpy.array([type(one) is int for one in numbers], numpy.bool_)
        opens = numpy.array([edge is not None and edge.name is not None for edge in edges], numpy.bool_)
        closes = numpy.array([edge is not None and edge.name is None for edge in edges], numpy.bool_)
        # Where a window is opened that the next line closes.
        self._pairs: Flags = numpy.append(opens[:-1] & closes[1:], False)
        places = numpy.flatnonzero(self._pairs)
        of_open, of_close = self._starts[places], self._starts[places + 1]
        keys, t = self._values[of_open], self._values
        self._pairs[places] = (
            self._whole[of_open]
            & self._whole[of_close]
            & (keys == t[of_close])
            & (abs(keys) <= MOST_WHOLE)
            & (t[of_open + 1] <= t[of_close + 1])
        )

    def others(self, lines: Sequence[bytes]) -> list[bytes]:
        """Those of the lines that open and close nothing."""
        return [line for line, edge in zip(lines, self.edges, strict=True) if edge is None]

    def of(self, place: int) -> tuple[Edge | None, Sequence[Number]]:
        """What one of the lines does, and its numbers."""
        edge, first = self.edges[place], self._firsts[place]
        return edge, () if edge is None else self.numbers[first : first + edge.numbers]

    def pairs_from(self, place: int) -> Pairs | None:
        """The windows that are opened and closed from a line on with nothing between, told alike of the run; None of few."""
        import numpy

        some = self._pairs[place : place + 2 * MOST_PAIRS : 2]
        if not some[:FEWEST_PAIRS].all() or len(some) < FEWEST_PAIRS:
            return None
        few = {
            edge.of_run for edge in self.edges[place + 1 : place + 2 * FEWEST_PAIRS : 2] if edge is not None
        }
        if len(few - {None}) > 1:
            return None
        count = len(some) if some.all() else int(numpy.argmin(some))
        opens = self.edges[place : place + 2 * count : 2]
        closes = self.edges[place + 1 : place + 2 * count : 2]
        told = [edge.of_run for edge in closes if edge is not None]
        first_told = next((one for one in told if one is not None), None)
        unlike = next((at for at, one in enumerate(told) if one is not None and one != first_told), count)
        return Pairs(
            names=[edge.name for edge in opens[:unlike] if edge is not None and edge.name is not None],
            units=[edge.units for edge in closes[:unlike] if edge is not None],
            told=numpy.array([one is not None for one in told[:unlike]], numpy.bool_),
            of_run=first_told or (),
            firsts=self._starts[place : place + 2 * unlike : 2],
            values=self._values,
            whole=self._whole,
        )


def _edge_of(form: bytes, line: bytes) -> Edge | None:
    """What lines of a form do, as one of them tells; None where they are not as they are written."""
    try:
        entry = decoded(line, place="")
    except BadInput:
        return None
    if list(entry) == ["open", "name", "t"] and isinstance(entry["name"], str):
        told = f'{{"open":,"name":{_quoted(entry["name"])},"t":'
        edge = Edge(entry["name"], (), None, 2)
    elif list(entry) in (["close", "t", "work"], ["close", "t", "work", "run"]):
        works = {key: entry[key] for key in ("work", "run") if key in entry}
        if not all(isinstance(work, dict) and all(map(is_unit, work)) for work in works.values()):
            return None
        amounts = (
            f'"{key}":{{{",".join(f"{_quoted(unit)}:" for unit in work)}}}' for key, work in works.items()
        )
        told = f'{{"close":,"t":,{",".join(amounts)}'
        units, of_run = tuple(entry["work"]), tuple(entry["run"]) if "run" in entry else None
        edge = Edge(None, units, of_run, 2 + sum(map(len, works.values())))
    else:
        return None
    return edge if f'{told},"crc":""}}'.encode() == form else None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def is_of_a_window(key: Number) -> TypeGuard[int]:
    """Whether it can be the number of a window."""
    return type(key) is int and -MOST_WHOLE <= key <= MOST_WHOLE


def are_amounts(amounts: Iterable[Number]) -> bool:
    """Whether these are amounts that a double holds, whole or not."""
    for one in amounts:
        if not LEAST_WORK <= one <= MOST_WHOLE and (one != 0 or type(one) is not int):
            return False
    return True
