"""A stranger's file as the formats of ``imports`` read it: opened once if it is a regular one, bounded, and taken apart only when asked.

What it is, a format tells by what stands in it, never by its name alone. Spreadsheets' formulas are text here and stay it: nothing is
reckoned, followed or loaded that a file names.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from energy_rating.files.opening import read_beginning, read_whole
from energy_rating.files.strict import json_object
from energy_rating.nouns.errors import BadInput

# A day of eight cards, read three times a second, is 250 MB of AIPerf's lines; a year of a team's runs is 10 MB of emissions.csv.
LARGEST = 256 << 20  # bytes
LARGEST_OBJECT = 64 << 20  # bytes of one JSON object; results with every latency in them are some megabytes
# Latencies of 13 characters fill such an object with five million values (vLLM's --save-detailed: one for each token).
MOST_VALUES_OF_OBJECT = 8_000_000
BEGINNING = 64 << 10  # bytes by which a file is known
MOST_ROWS = 2_000_000
MOST_COLUMNS = 2_000
LONGEST_CELL = 100_000
# In a folder, so many files are looked at for what belongs to a file.
MOST_BESIDE = 200

Row = Mapping[str, str]


class Foreign:
    """One file. ``named`` are the other files that were named with it; ``beside()`` also looks into its folder.

    A class and not a frozen value, since it reads on demand and keeps what it has read.
    """

    def __init__(self, path: Path, named: Sequence[Path] = ()) -> None:
        self.path = path
        self._named = tuple(named)
        self.taken: list[
            Path
        ] = []  # what a format has read of what lies beside it, so that it is not read once more by itself

    @cached_property
    def beginning(self) -> str:
        """The first 64 KiB as text; what is no UTF-8 is replaced."""
        return read_beginning(self.path, BEGINNING).decode("utf-8-sig", "replace")

    @cached_property
    def content(self) -> bytes:
        return read_whole(self.path, LARGEST)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def text(self) -> str:
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput("is not UTF-8 text", place=self.path) from None

    @cached_property
    def first_line(self) -> str:
        """The first line that is not empty."""
        return next((line for line in self.beginning.splitlines() if line.strip()), "")

    @cached_property
    def _head(self) -> str:
        """The line that names the columns: the first, but for that in which a spreadsheet says what stands between cells."""
        if _SAYS.fullmatch(self.first_line.strip()) is None:
            return self.first_line
        lines = [line for line in self.beginning.splitlines() if line.strip()]
        return lines[1] if len(lines) > 1 else ""

    @cached_property
    def delimiter(self) -> str:
        """What stands between the cells of a table: a comma, or what a spreadsheet wrote in its place, a semicolon or a tab."""
        counts = {mark: self._head.count(mark) for mark in (",", ";", "\t")}
        return max(counts, key=lambda mark: counts[mark])

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The cells of the first line, if that may be the head of a table."""
        line = self._head
        if self.delimiter not in line or len(line) >= BEGINNING:
            return ()
        try:
            cells = next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return ()
        return tuple(cell.strip() for cell in cells[: MOST_COLUMNS + 1])

    @cached_property
    def is_json(self) -> bool:
        """Whether it begins as a JSON object does."""
        return self.beginning.lstrip()[:1] == "{"

    @cached_property
    def object(self) -> dict[str, Any]:
        """The JSON object that the file is. NaN and infinities, which others write, are None."""
        return json_object(self.content, self.path, gaps=True, most=MOST_VALUES_OF_OBJECT)

    def refuse_too_large_to_tell(self) -> None:
        """Raises ``BadInput`` where it is JSON that nobody looked into for its size: it may be one of those that are known."""
        if not self.is_json:
            return
        if self.path.stat().st_size > LARGEST_OBJECT:
            raise BadInput(
                f"must have at most {LARGEST_OBJECT >> 20} MiB as one JSON object",
                "Leave lists of single latencies out",
                place=self.path,
            )
        values = sum(self.text.count(mark) for mark in ",[{")
        if values > MOST_VALUES_OF_OBJECT:
            raise BadInput(
                f"must hold at most {MOST_VALUES_OF_OBJECT:,} values; there are more",
                "Leave lists of single latencies out",
                place=self.path,
            )

    def holds(self, *keys: str) -> bool:
        """Whether it is a JSON object with all these keys at its top."""
        if not self.is_json or self.path.stat().st_size > LARGEST_OBJECT:
            return False
        if len(self.beginning) < BEGINNING // 4 and not all(f'"{key}"' in self.beginning for key in keys):
            return False  # it is in memory whole: not worth parsing
        try:
            return all(key in self.object for key in keys)
        except BadInput:
            return False

    def rows(self) -> Iterator[tuple[int, Row]]:
        """The rows of a table with a head, and the line of each. A row that is cut short has no more cells than it has.

        Tables that were joined (``cat``) hold the head of each, and each head names the columns of the rows below it: other versions of
        a tool have other columns, or the same in another order.

        Raises:
            BadInput: it is too large, or no table.
        """
        head: list[str] = []
        for line, cells in self.table():
            if not head or _is_head(cells, head):
                joined = bool(head)
                head = [cell.strip().removeprefix(_MARK) for cell in cells]
                if len(set(head)) < len(head):
                    raise BadInput(
                        "holds the head of a table and something else in one line"
                        if joined
                        else "has a column twice",
                        "Where tables are joined, each must end with a line break"
                        if joined
                        else "Name the file as the tool wrote it",
                        place=f"{self.path}: line {line:,}" if joined else self.path,
                    )
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(head) or len(cells) == 1:
                self._refuse_other_cells(cells, head, line)
            if self.delimiter != ",":
                cells = [self._with_point(cell, line) for cell in cells]
            yield line, dict(zip(head, cells, strict=False))

    def _refuse_other_cells(self, cells: list[str], head: list[str], line: int) -> None:
        """Raises ``BadInput`` where a row has more cells than there are columns, or other marks between them: decimal commas between
        commas, and tables of two kinds that were joined."""
        place = f"{self.path}: line {line:,}"
        if any(cell.strip() for cell in cells[len(head) :]):
            raise BadInput(
                f"has {len(cells)} cells under {len(head)} columns"
                + (": numbers with decimal commas, between commas?" if self.delimiter == "," else ""),
                "Name the file as the tool wrote it",
                place=place,
            )
        others = {",", ";", "\t"} - {self.delimiter}
        if (
            len(cells) == 1
            and len(head) > 2
            and any(cells[0].count(mark) >= len(head) // 2 for mark in others)
        ):
            raise BadInput(
                f"must have {_NAMES[self.delimiter]} between its cells, as the table's first line has",
                "Join tables that were written alike, or name each file",
                place=place,
            )

    def _with_point(self, cell: str, line: int) -> str:
        """A number with a decimal comma, as spreadsheets write it between semicolons, with a point in its place; any other cell as it is.

        Raises:
            BadInput: it has marks of thousands, so that nobody can tell what it was.
        """
        if _THOUSANDS.fullmatch(cell.strip()) is not None:
            raise BadInput(
                f"must be a number without marks of thousands; got {cell.strip()[:40]!r}",
                "Name the file as the tool wrote it, or write numbers such as 1234,5",
                place=f"{self.path}: line {line:,}",
            )
        return cell.replace(",", ".", 1) if _WITH_COMMA.fullmatch(cell.strip()) is not None else cell

    def table(self) -> Iterator[tuple[int, list[str]]]:
        """The rows of a table as they stand, counted from 1.

        Raises:
            BadInput: it is too large, or no table.
        """
        try:
            lines = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)
            for number, cells in enumerate(lines, start=1):
                if number == 1 and self._head is not self.first_line:
                    continue  # says what stands between cells
                if number > MOST_ROWS:
                    raise BadInput(
                        f"must have at most {MOST_ROWS:,} rows; there are more", "Split it", place=self.path
                    )
                if len(cells) > MOST_COLUMNS:
                    raise BadInput(
                        f"must have at most {MOST_COLUMNS:,} columns; line {number:,} has more",
                        place=self.path,
                    )
                yield number, cells
        except csv.Error as error:
            raise BadInput(
                f"is not a table of comma-separated values: {error}"[:200],
                place=f"{self.path}: line {lines.line_num:,}",
            ) from None

    def json_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The JSON objects of a file of one a line. A last line that is cut short, as a killed process leaves it, is left out.

        Raises:
            BadInput: another line is no JSON object.
        """
        lines = self.text.split("\n")
        if len(lines) > MOST_ROWS:
            raise BadInput(
                f"must have at most {MOST_ROWS:,} lines; there are more", "Split it", place=self.path
            )
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, json_object(line, f"{self.path}: line {number}", gaps=True)
            except BadInput:
                if number >= len(lines) and number > 1:
                    return
                raise

    def beside(self) -> Iterator[Foreign]:
        """The other files that were named, then the regular files of its folder, by name: what may belong to it."""
        seen = {same_file(self.path)}
        folder: list[Path] = []
        with contextlib.suppress(OSError):  # a folder that may not be listed: what was named is all there is
            folder = sorted(self.path.absolute().parent.iterdir())[:MOST_BESIDE]
        for path in (*self._named, *folder):
            if same_file(path) not in seen and path.is_file():
                seen.add(same_file(path))
                yield Foreign(path)


_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}

# What a spreadsheet writes before a table to say what stands between its cells.
_SAYS = re.compile(r"sep=(.)", re.IGNORECASE)
# A number with a decimal comma, and perhaps a unit (412,34 W); one with marks of thousands.
_WITH_COMMA = re.compile(r"[+-]?\d{1,60},\d{1,60}(?:[eE][+-]?\d{1,4})?(?:\s*[A-Za-z%]{1,12})?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[.\u2019'\u00a0\u202f ]\d{3})+,\d{1,60}(?:\s*[A-Za-z%]{1,12})?")

# What stands at the beginning of each of several files that spreadsheets wrote (the byte order mark of UTF-8).
_MARK = "\ufeff"


def _is_head(cells: Sequence[str], head: Sequence[str]) -> bool:
    """Whether a row names columns: at least two, and half as many as the shorter of both rows has, are names of the head above it."""
    names = sum(cell.strip().removeprefix(_MARK) in head for cell in cells if cell.strip())
    return names >= 2 and 2 * names >= min(len(cells), len(head))


def same_file(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):
        return str(path.absolute())


def at(entry: object, *keys: str) -> Any:
    """What stands under these keys, one inside the other; None where there is nothing."""
    for key in keys:
        if not isinstance(entry, Mapping):
            return None
        entry = entry.get(key)
    return entry


def under(entry: object, *keys: str) -> list[Any]:
    """The values of the object that stands under these keys; none where there is no object, whatever else a stranger put there."""
    found = at(entry, *keys)
    return list(found.values()) if isinstance(found, Mapping) else []


def number_in(cell: str | None) -> float | None:
    """A number as tables write it, a unit behind it left out (``412.34 W``); None for ``[N/A]``, an empty cell, or what is no number."""
    if cell is None:
        return None
    words = cell.split()
    if not words or len(words) > 2:
        return None
    try:
        value = float(words[0][:60])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def dumps(value: object) -> str:
    """A value in one line, for a hash: the same value, the same text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
