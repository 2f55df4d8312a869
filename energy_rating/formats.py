"""Files to values and back: journals, records and their schemas. The only user of pydantic, which is loaded when needed.

Reading is strict: unknown or misspelt keys, doubled keys, NaN and infinities are refused with the place where they stand.
Writing is deterministic and atomic: the same value gives the same bytes, and a file is there whole or not at all.

The history of the schemas is in ``docs/files.md``: what is in ``/1`` means the same in ``/2``, which adds keys. A journal is of the
newest schema among its sessions; a record is always made in the newest one.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import io
import json
import math
import operator
import os
import re
import tomllib
import zlib
from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast, overload

from energy_rating import records
from energy_rating.columns import Column
from energy_rating.entries import LEAST_WORK, refuse_unless_said_well
from energy_rating.errors import STRICT, BadInput
from energy_rating.journal import (
    JOURNAL_NAMES,
    JOURNAL_SCHEMA,
    JOURNAL_SCHEMAS,
    LONGEST_LINE,
    being_written,
    decoded,
)
from energy_rating.quantities import Estimate
from energy_rating.records import (
    RECORD_SCHEMA,
    RECORD_SCHEMAS,
    RUN,
    SINCE_2,
    Channel,
    Condition,
    Device,
    Environment,
    Finding,
    Lineage,
    Load,
    Model,
    Number,
    Origin,
    Outcome,
    Place,
    Quality,
    Record,
    Samples,
    Setting,
    Stage,
    Task,
    component_methods,
    plain,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

RECORD_NAME = "record.json"

# What a stranger's file may be at most. A record of a million windows of one name is a few kilobytes, one of 20,000 names 15 MB;
# the values are counted before they are parsed, because an empty list takes 20 times the memory of its text.
LARGEST_RECORD = 16 << 20  # bytes
MOST_VALUES = 1_000_000
LARGEST_TOML = 256 << 10  # bytes; the largest that ships has a tenth of it
MOST_DOTS = 2_000  # in one line of TOML: the time for a dotted key grows with the square of its length

# Journals shrink to a tenth or so; deflate can make a thousandth of zeros. Beyond so many bytes, what grows more is no journal.
MOST_GROWTH = 200
GROWS_FREELY = 64 << 20

# Seconds, joules, watts and units of work of a journal: the squares of what is larger could not be added up. Work goes to 2⁶³.
MOST = 1e20

# Numbers of windows count up from 0. Whole numbers up to here are the same as doubles.
MOST_WHOLE = 1 << 53

# A journal is read so many bytes at a time.
BLOCK_BYTES = 1 << 18

# Readings of the same channels that come in a row are taken together, once so many have come one by one. Each set of channels has a
# pattern of its own; of a journal with more sets than this, the lines of the others are taken one by one.
ALIKE_FROM = 16
MOST_PATTERNS = 64

# The digits of a number as JSON has it; one with more is for the parser to refuse.
_NUMBER = r"(-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][-+]?[0-9]{1,9})?)"

# A sum is the same sum in any order of adding, up to what floating point leaves; a doubt that follows from others likewise.
SAME_SUM = 1e-6
JUST_BELOW = 0.999

# The readings of one channel stand in their order. A little disorder does little harm; more is no trace of one run.
MOST_BACKWARDS_S = 5.0

T = TypeVar("T")


# ---------------------------------------------------------------------------------------------------------- records


def record_to_json(record: Record) -> str:
    """The text of ``record.json``: two spaces of indentation, keys in the order of the schema, one line end at the end."""
    return json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def record_from_json(text: str | bytes, *, place: str | Path = "record") -> Record:
    """The record in a text.

    Raises:
        BadInput: it is no record of a schema that can be read; names the place in the file.
    """
    if len(text) > LARGEST_RECORD:
        raise BadInput(f"the file is larger than {LARGEST_RECORD >> 20} MiB", place=place)
    entry = json_object(text, place)
    schema = entry.get("schema")
    if schema in JOURNAL_SCHEMAS:
        raise BadInput(
            "this is a journal, not a record", "Make the record with: energy-rating summarise", place=place
        )
    if schema not in RECORD_SCHEMAS:
        raise BadInput(
            f"schema {str(schema)[:80]!r} is not {RECORD_SCHEMA!r}, nor one before it",
            "A newer version of energy-rating may read it",
            place=place,
        )
    if schema != RECORD_SCHEMA:
        for key in SINCE_2:
            if key in entry:
                raise BadInput(f"{key!r} is not a known key of {schema}", place=f"{place}: {key}")
    record: Record = validated(Record, entry, place)
    _refuse_contradictions(record, place)
    return replace(
        record,
        measurements=tuple(
            replace(measurement, methods=component_methods(measurement.energy_by_channel_j, record.channels))
            for measurement in record.measurements
        ),
    )


def _refuse_contradictions(record: Record, place: str | Path) -> None:
    """What stands twice in a record must say the same. Several channels of one device may: a resumed run may have found others."""
    _refuse_doubles("channel", [channel.id for channel in record.channels], f"{place}: channels")
    # A resumed run may find another machine, or another power limit, under the same id; that is told twice, and is no double.
    _refuse_doubles("device", list(record.environment.devices), f"{place}: environment.devices")
    names = [measurement.name for measurement in record.measurements]
    _refuse_doubles("measurement", names, f"{place}: measurements")
    if not names or names[0] != RUN:
        raise BadInput(f"the first measurement must be {RUN!r}", place=f"{place}: measurements")
    channels = {channel.id: channel for channel in record.channels}
    for measurement in record.measurements:
        where = f"{place}: measurements.{measurement.name}"
        parts: dict[str, list[Estimate]] = {}
        for channel_id, energy in measurement.energy_by_channel_j.items():
            if channel_id not in channels:
                raise BadInput(
                    f"channel {channel_id!r} is not among the record's channels",
                    place=f"{where}.energy_by_channel_j",
                )
            channel = channels[channel_id]
            if energy.systematic < JUST_BELOW * channel.accuracy * energy.value:
                raise BadInput(
                    f"the systematic doubt of {channel_id} is less than its accuracy leaves",
                    place=f"{where}.energy_by_channel_j",
                )
            parts.setdefault(channel.component, []).append(energy)
        if set(parts) != set(measurement.energy_j):
            raise BadInput("energy_j is not of the components of its channels", place=f"{where}.energy_j")
        for component, energies in parts.items():
            _refuse_unless_sum(measurement.energy_j[component], energies, f"{where}.energy_j.{component}")


def _refuse_doubles(noun: str, values: Sequence[Hashable], place: str) -> None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            name = value.id if isinstance(value, Device) else value
            raise BadInput(f"the {noun} {str(name)[:80]!r} stands twice", place=place)
        seen.add(value)


def _refuse_unless_sum(energy: Estimate, parts: Sequence[Estimate], place: str) -> None:
    if not math.isclose(energy.value, sum(part.value for part in parts), rel_tol=SAME_SUM):
        raise BadInput("energy_j is not the sum of its channels", place=place)
    # However the doubts of several channels hang together, they never become less than if nothing tied them.
    for name in ("random", "systematic"):
        if getattr(energy, name) < JUST_BELOW * math.hypot(*(getattr(part, name) for part in parts)):
            raise BadInput(f"the {name} doubt is less than its channels leave", place=place)


def read_record(path: str | Path) -> Record:
    """The record in a file, or in the folder of a run.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / RECORD_NAME
    if path.name == RECORD_NAME and not path.exists():
        refuse_journal_alone(path.parent)
    return record_from_json(_read_bytes(path, LARGEST_RECORD), place=path)


def refuse_journal_alone(folder: Path) -> None:
    """Raises where a folder holds a journal: its record can be made."""
    for name in JOURNAL_NAMES:
        if (folder / name).is_file():
            if being_written(folder / name):
                raise BadInput(
                    "the run is still going on, and has no record yet",
                    f"Wait for its end, or see what it comes to so far with: energy-rating summarise {folder}",
                    place=folder,
                )
            raise BadInput(
                "the folder holds a journal but no record",
                f"Make it with: energy-rating summarise {folder}",
                place=folder,
            )


def write_record(record: Record, path: Path) -> None:
    """Writes ``record.json``, whole or not at all."""
    write_whole(path, record_to_json(record).encode())


def record_schema() -> dict[str, Any]:
    """The JSON Schema of a record, as published in ``docs/``."""
    schema = json_schema(Record, RECORD_SCHEMA)
    # How a component was had follows from the channels and is not stored; nor is what a reader found.
    del schema["$defs"]["Measurement"]["properties"]["methods"]
    del schema["properties"]["checked"]
    return schema


def json_schema(kind: Any, name: str) -> dict[str, Any]:
    """The JSON Schema of a class; ``name`` is what its files say that they are."""
    schema = {**_adapter(kind).json_schema(), "$id": name}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def condition_schema() -> dict[str, Any]:
    """The JSON Schema of what a journal's ``condition`` line holds for each device, as published in ``docs/``."""
    schema = _adapter(Condition).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, even if the machine dies.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        # Not mkstemp: its 0600 would have to be widened again, and asking for the umask sets it for all threads of the program.
        name = path.parent / f".{path.name[:40]}.{os.urandom(6).hex()}"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            name.replace(path)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror or error})",
            "Choose a folder that can be written to",
            place=path,
        ) from error


# --------------------------------------------------------------------------------------------------------- journals


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A window as the journal tells it. ``end_s`` is where the journal stops if it was never closed."""

    name: str
    start_s: float
    end_s: float
    work: Mapping[str, Number] = field(default_factory=dict)
    closed: bool = True


@dataclass(frozen=True, slots=True)
class _Kind:
    """What many windows have in common: name, units of work, which of these were counted in whole numbers; whether it was closed.

    ``work`` stands here where an amount is no double.
    """

    name: str
    units: tuple[str, ...]
    whole: tuple[bool, ...]
    closed: bool
    work: Mapping[str, Number] | None = None


class Spans(Sequence[Span]):
    """The windows of one session, the earliest first; as many as there may be, in columns. Each is made when it is asked for."""

    def __init__(
        self,
        kinds: Sequence[_Kind],
        order: Sequence[int],
        columns: tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float], Sequence[float]],
    ) -> None:
        self._kinds, self._order = kinds, order
        self._kind_of, self._starts, self._ends, self._places, self._amounts = columns

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Span: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Span, ...]: ...
    def __getitem__(self, place: int | slice) -> Span | tuple[Span, ...]:
        if isinstance(place, slice):
            return tuple(self._span(row) for row in self._order[place])
        return self._span(self._order[place])

    def __iter__(self) -> Iterator[Span]:
        return map(self._span, self._order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def named(self, *names: str) -> list[Span]:
        """The windows of these names."""
        wanted = {number for number, kind in enumerate(self._kinds) if kind.name in names}
        kind_of = self._kind_of
        return [self._span(row) for row in self._order if kind_of[row] in wanted] if wanted else []

    def _span(self, row: int) -> Span:
        kind = self._kinds[int(self._kind_of[row])]
        work = kind.work
        if work is None:
            first = int(self._places[row])
            amounts = self._amounts[first : first + len(kind.units)]
            work = {
                unit: int(amount) if whole else amount
                for unit, whole, amount in zip(kind.units, kind.whole, amounts, strict=True)
            }
        return Span(
            name=kind.name, start_s=self._starts[row], end_s=self._ends[row], work=work, closed=kind.closed
        )


def named(spans: Sequence[Span], *names: str) -> list[Span]:
    """Those of these names."""
    if isinstance(spans, Spans):
        return spans.named(*names)
    return [span for span in spans if span.name in names]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What a window had counted of a unit at its last count before its end, and what it told at its end, ``after_s`` later.

    ``counts`` had come before, and ``most`` was the most that came from one of them to the next.
    """

    name: str
    unit: str
    before: Number
    work: Number
    after_s: float
    counts: int
    most: Number


class _Counts:
    """The counts of a window that is open: the last of each unit, how many came, and the most that came at once."""

    __slots__ = ("last", "most", "number", "t")

    def __init__(self) -> None:
        self.last: dict[str, Number] = {}
        self.most: dict[str, Number] = {}
        self.number = 0
        self.t = 0.0

    def add(self, t: float, work: Mapping[str, Number]) -> None:
        for unit, amount in work.items():
            self.most[unit] = max(self.most.get(unit, 0), amount - self.last.get(unit, 0))
        self.last = dict(work)
        self.number += 1
        self.t = t

    def at_the_end(self, name: str, t: float, work: Mapping[str, Number]) -> Iterator[Counted]:
        for unit, before in self.last.items():
            now = work.get(unit, 0)
            if now < before or now - before > self.most[unit]:
                yield Counted(
                    name=name,
                    unit=unit,
                    before=before,
                    work=now,
                    after_s=t - self.t,
                    counts=self.number,
                    most=self.most[unit],
                )


# Of so many windows it is kept that their end told another thing than their counts.
MOST_COUNTED = 100


class _Windows:
    """The windows of a session while it is read, in columns: a row is made when a window is opened, and filled when it is closed."""

    _NEVER = -1.0  # what a window is whose number was given to another one while it was open

    def __init__(self) -> None:
        self._kinds: list[_Kind] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._kind_of, self._starts, self._ends = Column(), Column(), Column()
        self._places, self._amounts, self._keys = Column(), Column(), Column()
        self._open: dict[int, tuple[int, str, float, dict[str, Number]]] = {}
        self._latest = -math.inf, -1
        self._in_order = True
        self._counts: dict[int, _Counts] = {}
        self.counted: list[Counted] = []

    def open(self, key: int, name: str, start_s: float) -> None:
        self._in_order = self._in_order and key not in self._open and self._latest <= (start_s, key)
        self._latest = start_s, key
        self._open[key] = len(self._starts), name, start_s, {}
        self._counts.pop(key, None)
        self._kind_of.append(self._NEVER)
        self._starts.append(start_s)
        self._ends.append(start_s)
        self._places.append(0.0)
        self._keys.append(key)

    def count(self, key: int, work: dict[str, Number], t: float) -> None:
        if key in self._open:  # a count that comes after its window was left tells nothing new
            row, name, start_s, _ = self._open[key]
            self._open[key] = row, name, start_s, work
            self._counts.setdefault(key, _Counts()).add(t, work)

    def tell(self, key: int, work: dict[str, Number]) -> None:
        """What a window has counted by now, told beside another's end."""
        if key in self._open:
            row, name, start_s, _ = self._open[key]
            self._open[key] = row, name, start_s, work

    def opened(self, key: int) -> float:
        """When a window was opened that is open now."""
        return self._open[key][2]

    def close(self, key: int, end_s: float, work: dict[str, Number]) -> None:
        row, name, _, _ = self._open.pop(key)
        counts = self._counts.pop(key, None)
        if counts is not None and len(self.counted) < MOST_COUNTED:
            self.counted += counts.at_the_end(name, end_s, work)
        self._fill(row, name, end_s, work, closed=True)

    def _fill(self, row: int, name: str, end_s: float, work: dict[str, Number], *, closed: bool) -> None:
        key = name, closed, *work, *map(type, work.values())
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._kinds)
            whole = tuple(isinstance(amount, int) for amount in work.values())
            self._kinds.append(_Kind(name, tuple(work), whole, closed))
        if any(amount > MOST_WHOLE and isinstance(amount, int) for amount in work.values()):
            number = len(self._kinds)
            self._kinds.append(_Kind(name, (), (), closed, work))
        self._kind_of[row] = number
        self._ends[row] = end_s
        self._places[row] = len(self._amounts)
        for amount in work.values():
            self._amounts.append(amount)

    def spans(self, last_s: float) -> Spans:
        """All of them; those that are open end where the session does."""
        for row, name, start_s, work in self._open.values():
            self._fill(row, name, max(start_s, last_s), work, closed=False)
        columns = tuple(
            one.values() for one in (self._kind_of, self._starts, self._ends, self._places, self._amounts)
        )
        kind_of, starts, keys = columns[0], columns[1], self._keys.values()
        order: Sequence[int] = range(len(starts))
        if not self._in_order:
            rows = [row for row in order if kind_of[row] != self._NEVER]
            rows.sort(key=keys.__getitem__)
            rows.sort(key=starts.__getitem__)
            order = array("q", rows)
        return Spans(self._kinds, order, cast(Any, columns))


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """From one start to one end, orderly or not. Times are seconds since the session's start.

    ``last_s`` is the time of the last line; ``ended`` is False when the process died before it could say so.
    """

    started: str
    channels: tuple[Channel, ...]
    environment: Environment
    samples: Mapping[str, Samples]
    spans: Sequence[Span]
    findings: tuple[Finding, ...]
    last_s: float
    ended: bool
    found_s: tuple[float, ...] = ()  # when each of the findings was noted
    quality: tuple[Quality, ...] = ()
    # Of each device, when it was in what condition, oldest first.
    conditions: Mapping[str, Sequence[tuple[float, Condition]]] = field(default_factory=dict)
    # How the program ended. None: the session did not end, or is of a schema that tells nothing of it.
    outcome: Outcome | None = None
    schema: str = JOURNAL_SCHEMA
    # Where a window's work at its end does not follow from what it had counted.
    counted: tuple[Counted, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """A whole journal. ``damage`` tells where reading had to stop, if it had to."""

    run_id: str
    stage: Stage
    model: Model | None
    task: Task | None
    load: Load | None
    sessions: tuple[Session, ...]
    sha256: str
    files: Mapping[str, str] = field(default_factory=dict)
    damage: str | None = None
    schema: str = JOURNAL_SCHEMA
    origin: Origin = "measured"
    place: Place | None = None
    role: str | None = None
    lineage: Lineage | None = None
    ranks: int | None = None
    nodes: int | None = None
    operating_point: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What a header says of the run, beside what every header has."""

    __pydantic_config__ = STRICT

    origin: Origin = "measured"
    place: Place | None = None
    role: str | None = None
    lineage: Lineage | None = None
    ranks: int | None = None
    nodes: int | None = None
    operating_point: Mapping[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unless_said_well(self.role, self.ranks, self.nodes, self.operating_point)


_SAID = tuple(item.name for item in fields(_Said))


def journal_in(path: str | Path) -> Path:
    """The journal's file: the path itself, or the journal in the folder of a run.

    Raises:
        BadInput: there is none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in JOURNAL_NAMES:
        if (path / name).is_file():
            return path / name
    raise BadInput(
        "the folder holds no journal", f"A run's folder holds {' or '.join(JOURNAL_NAMES)}", place=path
    )


def read_journal(path: str | Path) -> Journal:
    """The journal in a file (``.gz`` or not) or in a run's folder, up to its end or to the first damage.

    Raises:
        BadInput: it cannot be opened, or not even its first line can be read.
    """
    path = journal_in(path)
    try:
        with path.open("rb") as file:
            return read_journal_from(file, place=path)
    except OSError as error:
        raise BadInput(*_why_not_open(error), place=path) from error


def read_journal_from(file: IO[bytes], *, place: str | Path) -> Journal:
    """The journal in an open binary file. Compressed or not is seen from its first bytes."""
    start = file.read(2)
    file.seek(0)
    stream: IO[bytes] = file
    if start == b"\x1f\x8b":
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file))
    packed = file if stream is not file else None
    reading = _Reading(place=str(place))
    blocks = _Blocks(stream, packed, place)
    digest = hashlib.sha256()
    damage: str | None = None
    block = b""
    try:
        while block := blocks.next():
            reading.take_lines(block)
            digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        damage = f"line {reading.number + 1}: the compressed file is cut short or damaged"
    except BadInput as error:
        if reading.number <= 1 or isinstance(error, _Bomb):
            raise
        # A torn last line is what a killed process leaves; the session says by itself that it did not end.
        try:
            rest = blocks.rest or stream.read(1)
        except (EOFError, zlib.error, gzip.BadGzipFile):  # the packing is damaged too, right behind the line
            rest = b""
        torn = error.message == "the line is cut short" and not rest
        damage = None if torn else f"line {reading.number}: {error.message}"
        digest.update(block)
        digest.update(rest)
        _feed(digest, stream, packed, place)
    if reading.header is None:
        raise BadInput("the file is empty", "A journal begins with its header", place=place)
    return reading.journal(sha256=digest.hexdigest(), damage=damage)


def _feed(digest: Any, stream: IO[bytes], packed: IO[bytes] | None, place: str | Path) -> None:
    size = 0
    try:
        # Piece by piece: of a file that was cut short, everything that can be unpacked.
        while block := cast(io.BufferedReader, stream).read1(BLOCK_BYTES):
            size += len(block)
            _refuse_bomb(size, packed, place)
            digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return  # what cannot be unpacked has no bytes to add


class _Blocks:
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


class _Bomb(BadInput):
    """A packed file that is not worth unpacking to its end."""


def _refuse_bomb(size: int, packed: IO[bytes] | None, place: str | Path) -> None:
    """Raises where so many bytes came out of a packed file that has been read up to here."""
    if packed is not None and size > GROWS_FREELY and size > MOST_GROWTH * packed.tell():
        raise _Bomb(f"unpacked, the file grows more than {MOST_GROWTH}-fold, as no journal does", place=place)


class _Times:
    """When some channels were read that always were read together."""

    def __init__(self, channels: set[str]) -> None:
        self.starts, self.ends = Column(), Column()
        self.channels = channels

    def apart(self, channels: set[str]) -> _Times:
        """Some of the channels, which from now on have times of their own."""
        other = _Times(channels)
        other.starts, other.ends = self.starts.copy(), self.ends.copy()
        self.channels -= channels
        return other


class _Reading:
    """A journal half read: lines go in, sessions come out."""

    def __init__(self, *, place: str) -> None:
        self.place = place
        self.header: dict[str, Any] | None = None
        self.number = 0  # of the line that was read last, or could not be
        self._sessions: list[Session] = []
        self._began: set[str] = set()  # the sessions' run_ids: each start of a run draws its own
        self._begin()

    def _begin(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._devices: list[Device] = []
        self._times: dict[str, _Times] = {}
        self._values: dict[str, Column] = {}
        self._newest_s = -math.inf  # of all readings, when the latest began
        self._read: tuple[str, ...] = ()  # the channels of the latest reading
        self._alike = 0  # readings of these channels in a row
        self._patterns: dict[tuple[str, ...], re.Pattern[str]] = {}
        self._windows = _Windows()
        self._findings: list[Finding] = []
        self._found_s: list[float] = []
        self._quality: list[Quality] = []
        self._conditions: dict[str, list[tuple[float, Condition]]] = {}
        self._last_s = 0.0
        self._ended = False
        self._outcome: Outcome | None = None
        self._schema = JOURNAL_SCHEMA

    def take_lines(self, block: bytes) -> None:
        """Takes lines, all but the last of which end with a line end.

        Raises:
            BadInput: one of them is none of a journal; those before it count.
        """
        lines = [line + b"\n" for line in block.split(b"\n")]
        lines[-1] = lines[-1][:-1]
        if not lines[-1]:
            del lines[-1]
        place, count = 0, len(lines)
        while place < count:
            if self._alike >= ALIKE_FROM:
                end = place
                while end < count and lines[end].startswith(b'{"t":'):
                    end += 1
                if end - place >= ALIKE_FROM and self._take_alike(lines[place:end]):
                    self.number += end - place
                    place = end
                    continue
            # One by one, until there is another row of readings.
            end = max(place + 1, end if self._alike >= ALIKE_FROM else place + ALIKE_FROM)
            for line in lines[place:end]:
                self.number += 1
                self.take(decoded(line, place=f"{self.place}: line {self.number}"), self.number)
            place = end

    def _take_alike(self, lines: Sequence[bytes]) -> bool:
        """Takes readings of the same channels as the latest one, as its line was written; False, and none, where one is not so.

        What ``decoded`` and ``_reading`` refuse is not taken here: the pattern is that of whole lines, the checksums are compared,
        and numbers that are too large, or not in the order of time, are left to those.
        """
        pattern = self._patterns.get(self._read)
        if pattern is None:
            if len(self._patterns) >= MOST_PATTERNS or not self._read:
                self._alike = 0
                return False
            pattern = self._patterns[self._read] = _pattern(self._read)
        try:
            found = pattern.findall(b"".join(lines).decode())
        except UnicodeDecodeError:
            return False
        if len(found) != len(lines):
            return False
        *texts, sums = zip(*found, strict=True)
        crc32, cut = zlib.crc32, -len(',"crc":"01234567"}\n')
        if [crc32(line[:cut] + b"}") for line in lines] != [int(text, 16) for text in sums]:
            return False
        starts, tooks, *values = (list(map(float, column)) for column in texts)
        ends = list(map(operator.add, starts, tooks))
        latest_s = max(ends)
        if (
            starts[0] < self._newest_s
            or starts != sorted(starts)
            or min(tooks) < 0
            or not (starts[0] > -MOST and latest_s < MOST and max(tooks) < MOST)
            or not all(min(column) > -MOST and max(column) < MOST for column in values)
        ):
            return False
        self._last_s, self._newest_s = max(self._last_s, latest_s), starts[-1]
        for times in self._together(self._read):
            times.starts.extend(starts)
            times.ends.extend(ends)
        for channel_id, column in zip(self._read, values, strict=True):
            self._values[channel_id].extend(column)
        return True

    def _together(self, channels: Sequence[str]) -> list[_Times]:
        """The times of these channels, none of which are those of another one as well."""
        found: list[_Times] = []
        for channel_id in channels:
            times = self._times[channel_id]
            if any(times is one for one in found):
                continue
            here = times.channels.intersection(channels)
            if len(here) < len(times.channels):
                times = times.apart(here)
                self._times |= dict.fromkeys(here, times)
            found.append(times)
        return found

    def take(self, entry: dict[str, Any], number: int) -> None:
        place = f"{self.place}: line {number}"
        kind = next(iter(entry))
        if self.header is None and kind != "schema":
            raise BadInput("the file does not begin with a journal's header", place=place)
        try:
            if kind == "t":
                self._reading(entry)
            elif kind == "schema":
                self._session(entry, place)
            elif kind == "open":
                self._windows.open(_whole(entry["open"]), _word(entry["name"]), self._time(entry["t"]))
            elif kind == "count":
                self._windows.count(_whole(entry["count"]), _work(entry["work"]), self._time(entry["t"]))
            elif kind == "close":
                key = _whole(entry["close"])
                start, end = self._windows.opened(key), self._time(entry["t"])
                if end < start:
                    raise ValueError(f"closed at {end} s, before it was opened at {start} s")
                self._windows.close(key, end, _work(entry["work"]))
                if "run" in entry and self._schema != JOURNAL_SCHEMAS[0]:
                    self._windows.tell(0, _work(entry["run"]))
            elif kind == "finding":
                found_s = self._time(entry["t"])
                self._findings.append(validated(Finding, entry["finding"], place))
                self._found_s.append(found_s)
            elif kind == "quality":
                self._time(entry["t"])
                self._quality.append(validated(Quality, entry["quality"], place))
            elif kind == "condition":
                now = self._time(entry["t"])
                for device, told in entry["condition"].items():
                    condition = validated(Condition, told, f"{place}: condition")
                    self._conditions.setdefault(device, []).append((now, condition))
            elif kind == "channels":
                self._time(entry["t"])
                self._add_channels(entry["channels"], entry.get("devices", []), place)
            elif kind == "end":
                self._time(entry["end"])
                if self._schema != JOURNAL_SCHEMAS[0]:
                    self._outcome = validated(Outcome, entry.get("outcome", {}), f"{place}: outcome")
                    if self._outcome.state != "ended":
                        raise ValueError("what has an end has ended")
                self._ended = True
            else:
                raise BadInput(f"{kind[:80]!r} is no kind of line", place=place)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"the {kind!r} line does not hold what it should", place=place) from error

    def _time(self, value: object) -> float:
        time = _finite(value)
        self._last_s = max(self._last_s, time)
        return time

    def _reading(self, entry: dict[str, Any]) -> None:
        start, took = _finite(entry["t"]), _finite(entry["dt"])
        if took < 0:
            raise ValueError("a reading cannot end before it began")
        end = _finite(start + took)
        readings = {channel_id: _finite(value) for channel_id, value in entry["r"].items()}
        channels = tuple(readings)
        for channel_id in channels:
            starts = self._times[channel_id].starts
            if starts and start < starts[-1] - MOST_BACKWARDS_S:
                raise ValueError(f"{start} s, after a reading at {starts[-1]} s")
        # A line counts as a whole or not at all.
        self._last_s = max(self._last_s, end)
        self._newest_s = max(self._newest_s, start)
        self._alike = self._alike + 1 if channels == self._read else 0
        self._read = channels
        for times in self._together(channels):
            times.starts.append(start)
            times.ends.append(end)
        for channel_id, value in readings.items():
            self._values[channel_id].append(value)

    def _session(self, entry: dict[str, Any], place: str) -> None:
        if entry["schema"] not in JOURNAL_SCHEMAS:
            raise BadInput(
                f"schema {str(entry['schema'])[:80]!r} is not {JOURNAL_SCHEMA!r}, nor one before it",
                "This is no journal, or one of a newer version",
                place=place,
            )
        allowed = {
            *("schema", "run_id", "stage", "model", "task", "load", "channels", "environment", "started"),
            "files",
            *(_SAID if entry["schema"] != JOURNAL_SCHEMAS[0] else ()),
        }
        for key in entry:
            if key not in allowed:
                raise BadInput(_unknown_key(key, allowed), place=f"{place}: {key}"[:200])
        if _word(entry["run_id"]) in self._began:
            # As of files that were put together twice: it would count twice.
            raise BadInput("the session that begins here stands in the journal before", place=place)
        self._began.add(entry["run_id"])
        if self.header is not None:
            self._close_session()
        for key in ("stage", "started"):
            _word(entry[key])
        if self.header is None:
            self.header = entry
        self._begin()
        self._schema = entry["schema"]
        validated(_Said, {key: entry[key] for key in _SAID if key in entry}, place)
        self._environment = validated(Environment, entry["environment"], f"{place}: environment")
        self._started = entry["started"]
        self._add_channels(entry["channels"], [], place)

    def _add_channels(self, channels: list[Any], devices: list[Any], place: str) -> None:
        times = _Times(set())
        for item in channels:
            channel = validated(Channel, item, f"{place}: channels")
            self._channels[channel.id] = channel
            if channel.id in self._times:
                self._times[channel.id].channels.discard(channel.id)
            self._times[channel.id], self._values[channel.id] = times, Column()
            times.channels.add(channel.id)
        self._devices += [validated(Device, item, f"{place}: devices") for item in devices]

    def _close_session(self) -> None:
        self._sessions.append(
            Session(
                started=self._started,
                channels=tuple(self._channels.values()),
                environment=replace(self._environment, devices=(*self._environment.devices, *self._devices)),
                samples={
                    channel_id: Samples(
                        start_s=times.starts.values(), end_s=times.ends.values(), values=values.values()
                    )
                    for (channel_id, values), times in zip(
                        self._values.items(), self._times.values(), strict=True
                    )
                },
                spans=self._windows.spans(self._last_s),
                findings=tuple(self._findings),
                found_s=tuple(self._found_s),
                quality=tuple(self._quality),
                conditions=self._conditions,
                counted=tuple(self._windows.counted),
                last_s=self._last_s,
                ended=self._ended,
                outcome=self._outcome,
                schema=self._schema,
            )
        )

    def journal(self, *, sha256: str, damage: str | None) -> Journal:
        assert self.header is not None
        self._close_session()
        place = f"{self.place}: line 1"
        header = self.header
        said = validated(_Said, {key: header[key] for key in _SAID if key in header}, place)
        return Journal(
            run_id=str(header["run_id"]),
            stage=records.stage_of(str(header["stage"])),
            model=_optional(Model, header.get("model"), f"{place}: model"),
            task=_optional(Task, header.get("task"), f"{place}: task"),
            load=_optional(Load, header.get("load"), f"{place}: load"),
            sessions=tuple(self._sessions),
            sha256=sha256,
            files=_files(header.get("files", {}), place),
            damage=damage,
            schema=max((session.schema for session in self._sessions), key=JOURNAL_SCHEMAS.index),
            origin=said.origin,
            place=said.place,
            role=said.role,
            lineage=said.lineage,
            ranks=said.ranks,
            nodes=said.nodes,
            operating_point=said.operating_point,
        )


def _files(value: object, place: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise BadInput("files are names and their SHA-256", place=f"{place}: files")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    if not -MOST < number < MOST:  # nor is NaN
        raise ValueError("not a finite number, or beyond all measure")
    return number


def _pattern(channels: Sequence[str]) -> re.Pattern[str]:
    """Whole lines of readings of these channels, as they are written; the groups are its numbers and its checksum."""
    number = _NUMBER
    values = ",".join(f"{re.escape(json.dumps(one, ensure_ascii=False))}:{number}" for one in channels)
    return re.compile(
        rf'^\{{"t":{number},"dt":{number},"r":\{{{values}\}},"crc":"([0-9a-f]{{8}})"\}}\n', re.MULTILINE
    )


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"not a whole number: {value!r}")
    if not -MOST_WHOLE <= value <= MOST_WHOLE:
        raise ValueError("no number of a window")
    return value


def _work(value: object) -> dict[str, Number]:
    if not isinstance(value, dict):
        raise ValueError("work is an object")
    for amount in value.values():
        if _finite(amount) != 0 and amount < LEAST_WORK:
            raise ValueError("work cannot be negative, nor next to nothing")
    return value


# ------------------------------------------------------------------------------------------- JSON to values, strictly


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file of plain values says.

    Raises:
        BadInput: it cannot be read, is not TOML, or holds what no JSON could (a bare date).
    """
    content = _read_bytes(path, LARGEST_TOML)
    if len(content) > LARGEST_TOML:
        raise BadInput(f"the file is larger than {LARGEST_TOML >> 10} KiB", place=path)
    try:
        # As text files are read: TOML knows no line end but a line feed, with or without a carriage return before it.
        text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
        if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
            raise BadInput(f"a line has more than {MOST_DOTS} dots", place=path)
        entry = tomllib.loads(text)
        _refuse_dates(entry, path, "")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place=path) from error
    except BadInput:
        raise
    except (
        ValueError,
        RecursionError,
    ) as error:  # besides what is no TOML: a number of thousands of digits, deep nesting
        raise BadInput(f"is not TOML: {str(error)[:200]}", place=path) from None
    return entry


def _refuse_dates(value: object, path: Path, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_dates(item, path, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_dates(item, path, f"{where}.{number}")
    elif not isinstance(value, str | int | float):
        raise BadInput("dates are written as text, in quotes", place=f"{path}: {where}")


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def validated(kind: type[T], entry: object, place: str | Path) -> T:
    """A value of this package from what JSON or TOML held.

    Raises:
        BadInput: a key is unknown or missing, or a value is not what it should be; names the place.
    """
    from pydantic import ValidationError

    if kind is Record and isinstance(entry, dict):
        _refuse_what_is_not_stored(entry, place)
    try:
        text = json.dumps(entry, allow_nan=False)
    except ValueError:  # 1e999 is a number to JSON, and infinite to a float
        where = ".".join(_not_finite(entry))
        raise BadInput("a number is not finite", place=f"{place}: {where}"[:300]) from None
    except RecursionError:
        raise BadInput("is nested too deeply", place=place) from None
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as error:
        raise _bad_input(error, kind, place) from None


def _not_finite(value: object) -> tuple[str, ...]:
    """The way to the first number that is not finite; there is one."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if isinstance(inner, float) and not math.isfinite(inner):
            return (str(key),)
        if isinstance(inner, dict | list) and (found := _not_finite(inner)):
            return (str(key), *found)
    return ()


def _refuse_what_is_not_stored(entry: dict[str, Any], place: str | Path) -> None:
    if "checked" in entry:
        raise BadInput("'checked' is not a known key", place=place)
    measurements = entry.get("measurements")
    for measurement in measurements if isinstance(measurements, list) else ():
        if isinstance(measurement, dict) and "methods" in measurement:
            raise BadInput("'methods' is not a known key", place=f"{place}: measurements")


def _bad_input(error: ValidationError, kind: type, place: str | Path) -> BadInput:
    errors = error.errors(include_url=False, include_input=True)
    # A misspelt key is also a missing one; the misspelling is what the reader wants to see.
    first = min(errors, key=lambda item: item["type"] != "unexpected_keyword_argument")
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        message = _unknown_key(str(first["loc"][-1]), _known_keys(kind))
    elif first["type"] in ("missing", "missing_argument"):
        message = "a key is missing"
    elif not isinstance(first["input"], dict | list):
        message = f"{message[0].lower()}{message[1:]}, not {str(first['input'])[:60]!r}"
    return BadInput(message, place=f"{place}: {where}"[:300] if where else place)


def _known_keys(kind: type) -> set[str]:
    """The keys of this value and of all values inside it."""
    keys: set[str] = set()
    todo: list[Any] = [kind]
    nouns = {name: noun for name, noun in vars(records).items() if is_dataclass(noun)}
    if kind is Record:
        todo += nouns.values()
    for noun in todo:
        if is_dataclass(noun):
            keys |= {item.name for item in fields(noun)}
    return keys - {"methods", "checked"} | {"value", "random", "systematic"}


def _unknown_key(key: str, known: set[str]) -> str:
    # A key that is known, but not in this place, is not meant by itself.
    near = difflib.get_close_matches(key, sorted(known - {key}), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key[:80]!r} is not a known key{' here' if key in known else ''}{hint}"


def _optional(kind: type[T], entry: object, place: str) -> T | None:
    return None if entry is None else validated(kind, entry, place)


def json_object(text: str | bytes, place: str | Path) -> dict[str, Any]:
    """A JSON object without doubled keys, NaN or infinities.

    Raises:
        BadInput: it is none, or has more than a million values.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput("is not UTF-8 text", place=place) from None
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise BadInput(f"there are more than {MOST_VALUES:,} values", place=place)

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        for key, value in pairs:
            if key in entry:
                raise BadInput(f"the key {key[:80]!r} stands twice", place=place)
            entry[key] = value
        return entry

    def no_constant(name: str) -> None:
        raise BadInput(f"{name} is not a number", place=place)

    try:
        entry = json.loads(text, object_pairs_hook=no_doubles, parse_constant=no_constant)
    except BadInput:
        raise
    except json.JSONDecodeError as error:
        raise BadInput(
            f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}", place=place
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not JSON ({type(error).__name__})", place=place) from None
    if not isinstance(entry, dict):
        raise BadInput("is not a JSON object", place=place)
    return entry


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise BadInput(*_why_not_open(error), place=path) from error


def _why_not_open(error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "there is no such file", "Check the path"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file", "Name the file in it"
    if isinstance(error, PermissionError):
        return "may not be read", "Check the permissions"
    return f"cannot be read ({error.strerror or type(error).__name__})", ""


def load(path: str | Path) -> Record:
    """The record in a file or in a run's folder, as it stands there: ``evidence.load`` holds it against its journal too.

    Raises:
        BadInput: there is none, or it cannot be read; of a folder that holds only a journal, how to make it.
    """
    return read_record(path)


__all__ = [
    "Journal",
    "Session",
    "Span",
    "journal_in",
    "load",
    "plain",
    "read_journal",
    "read_journal_from",
    "read_record",
    "read_toml",
    "record_from_json",
    "record_schema",
    "record_to_json",
    "validated",
    "write_record",
    "write_whole",
]
