"""Files to values and back: journals, records and their schemas. The only user of pydantic, which is loaded when needed.

Reading is strict: unknown or misspelt keys, doubled keys, NaN and infinities are refused with the place where they stand.
Writing is deterministic and atomic: the same value gives the same bytes, and a file is there whole or not at all.

Schema history: ``energy-rating/record/1`` and ``energy-rating/journal/1`` are the first.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import json
import math
import os
import tomllib
import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from energy_rating import records
from energy_rating.columns import Column
from energy_rating.entries import LEAST_WORK
from energy_rating.errors import BadInput
from energy_rating.journal import JOURNAL_NAMES, JOURNAL_SCHEMA, LONGEST_LINE, decoded
from energy_rating.quantities import Estimate
from energy_rating.records import (
    RECORD_SCHEMA,
    RUN,
    Channel,
    Condition,
    Device,
    Environment,
    Finding,
    Load,
    Model,
    Number,
    Quality,
    Record,
    Samples,
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
    if schema == JOURNAL_SCHEMA:
        raise BadInput(
            "this is a journal, not a record", "Make the record with: energy-rating summarise", place=place
        )
    if schema != RECORD_SCHEMA:
        raise BadInput(
            f"schema {str(schema)[:80]!r} is not {RECORD_SCHEMA!r}",
            "A newer version of energy-rating may read it",
            place=place,
        )
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
    return record_from_json(_read_bytes(path, LARGEST_RECORD), place=path)


def write_record(record: Record, path: Path) -> None:
    """Writes ``record.json``, whole or not at all."""
    write_whole(path, record_to_json(record).encode())


def record_schema() -> dict[str, Any]:
    """The JSON Schema of a record, as published in ``docs/``."""
    schema = json_schema(Record, RECORD_SCHEMA)
    # How a component was had follows from the channels and is not stored.
    del schema["$defs"]["Measurement"]["properties"]["methods"]
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """From one start to one end, orderly or not. Times are seconds since the session's start.

    ``last_s`` is the time of the last line; ``ended`` is False when the process died before it could say so.
    """

    started: str
    channels: tuple[Channel, ...]
    environment: Environment
    samples: Mapping[str, Samples]
    spans: tuple[Span, ...]
    findings: tuple[Finding, ...]
    last_s: float
    ended: bool
    found_s: tuple[float, ...] = ()  # when each of the findings was noted
    quality: tuple[Quality, ...] = ()
    # Of each device, when it was in what condition, oldest first.
    conditions: Mapping[str, Sequence[tuple[float, Condition]]] = field(default_factory=dict)


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
    digest = hashlib.sha256()
    damage: str | None = None
    number = 0
    try:
        for number, line in _numbered_lines(stream, packed, place):
            digest.update(line)
            reading.take(decoded(line, place=f"{place}: line {number}"), number)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        damage = f"line {number + 1}: the compressed file is cut short or damaged"
    except BadInput as error:
        if number <= 1 or isinstance(error, _Bomb):
            raise
        # A torn last line is what a killed process leaves; the session says by itself that it did not end.
        try:
            rest = line + stream.read(1)
        except (EOFError, zlib.error, gzip.BadGzipFile):  # the packing is damaged too, right behind the line
            rest = line
        torn = error.message == "the line is cut short" and rest == line
        damage = None if torn else f"line {number}: {error.message}"
        digest.update(rest[len(line) :])
        _feed(digest, stream, packed, place)
    if reading.header is None:
        raise BadInput("the file is empty", "A journal begins with its header", place=place)
    return reading.journal(sha256=digest.hexdigest(), damage=damage)


def _feed(digest: Any, stream: IO[bytes], packed: IO[bytes] | None, place: str | Path) -> None:
    size = 0
    try:
        while block := stream.read(1 << 20):
            size += len(block)
            _refuse_bomb(size, packed, place)
            digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return  # what cannot be unpacked has no bytes to add


def _numbered_lines(
    stream: IO[bytes], packed: IO[bytes] | None, place: str | Path
) -> Iterator[tuple[int, bytes]]:
    number = size = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        size += len(line)
        if packed is not None:
            _refuse_bomb(size, packed, place)
        yield number, line


class _Bomb(BadInput):
    """A packed file that is not worth unpacking to its end."""


def _refuse_bomb(size: int, packed: IO[bytes] | None, place: str | Path) -> None:
    """Raises where so many bytes came out of a packed file that has been read up to here."""
    if packed is not None and size > GROWS_FREELY and size > MOST_GROWTH * packed.tell():
        raise _Bomb(f"unpacked, the file grows more than {MOST_GROWTH}-fold, as no journal does", place=place)


class _Reading:
    """A journal half read: lines go in, sessions come out."""

    def __init__(self, *, place: str) -> None:
        self.place = place
        self.header: dict[str, Any] | None = None
        self._sessions: list[Session] = []
        self._begin()

    def _begin(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._devices: list[Device] = []
        self._columns: dict[str, tuple[Column, Column, Column]] = {}
        self._open: dict[int, tuple[str, float, dict[str, Number]]] = {}
        self._spans: list[tuple[float, int, Span]] = []
        self._findings: list[Finding] = []
        self._found_s: list[float] = []
        self._quality: list[Quality] = []
        self._conditions: dict[str, list[tuple[float, Condition]]] = {}
        self._last_s = 0.0
        self._ended = False

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
                self._open[_whole(entry["open"])] = (_word(entry["name"]), self._time(entry["t"]), {})
            elif kind == "count":
                key, work = _whole(entry["count"]), _work(entry["work"])
                if key in self._open:  # a count that comes after its window was left tells nothing new
                    name, start, _ = self._open[key]
                    self._open[key] = (name, start, work)
                self._time(entry["t"])
            elif kind == "close":
                key = _whole(entry["close"])
                name, start, _ = self._open.pop(key)
                end = self._time(entry["t"])
                if end < start:
                    raise ValueError(f"closed at {end} s, before it was opened at {start} s")
                span = Span(name=name, start_s=start, end_s=end, work=_work(entry["work"]))
                self._spans.append((start, key, span))
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
        readings = [(self._columns[channel_id], _finite(value)) for channel_id, value in entry["r"].items()]
        for (starts, _, _), _ in readings:
            if starts and start < starts[-1] - MOST_BACKWARDS_S:
                raise ValueError(f"{start} s, after a reading at {starts[-1]} s")
        # A line counts as a whole or not at all.
        self._last_s = max(self._last_s, end)
        for (starts, ends, values), value in readings:
            starts.append(start)
            ends.append(end)
            values.append(value)

    def _session(self, entry: dict[str, Any], place: str) -> None:
        if entry["schema"] != JOURNAL_SCHEMA:
            raise BadInput(
                f"schema {str(entry['schema'])[:80]!r} is not {JOURNAL_SCHEMA!r}",
                "This is no journal, or one of a newer version",
                place=place,
            )
        allowed = {
            *("schema", "run_id", "stage", "model", "task", "load", "channels", "environment", "started"),
            "files",
        }
        for key in entry:
            if key not in allowed:
                raise BadInput(_unknown_key(key, allowed), place=f"{place}: {key}"[:200])
        if self.header is not None:
            self._close_session()
        for key in ("run_id", "stage", "started"):
            _word(entry[key])
        if self.header is None:
            self.header = entry
        self._begin()
        self._environment = validated(Environment, entry["environment"], f"{place}: environment")
        self._started = entry["started"]
        self._add_channels(entry["channels"], [], place)

    def _add_channels(self, channels: list[Any], devices: list[Any], place: str) -> None:
        for item in channels:
            channel = validated(Channel, item, f"{place}: channels")
            self._channels[channel.id] = channel
            self._columns[channel.id] = (Column(), Column(), Column())
        self._devices += [validated(Device, item, f"{place}: devices") for item in devices]

    def _close_session(self) -> None:
        for key, (name, start, work) in self._open.items():
            end = max(start, self._last_s)
            span = Span(name=name, start_s=start, end_s=end, work=work, closed=False)
            self._spans.append((start, key, span))
        self._spans.sort(key=lambda item: item[:2])
        self._sessions.append(
            Session(
                started=self._started,
                channels=tuple(self._channels.values()),
                environment=replace(self._environment, devices=(*self._environment.devices, *self._devices)),
                samples={
                    channel_id: Samples(start_s=starts.values(), end_s=ends.values(), values=values.values())
                    for channel_id, (starts, ends, values) in self._columns.items()
                },
                spans=tuple(span for _, _, span in self._spans),
                findings=tuple(self._findings),
                found_s=tuple(self._found_s),
                quality=tuple(self._quality),
                conditions=self._conditions,
                last_s=self._last_s,
                ended=self._ended,
            )
        )

    def journal(self, *, sha256: str, damage: str | None) -> Journal:
        assert self.header is not None
        self._close_session()
        place = f"{self.place}: line 1"
        header = self.header
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


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"not a whole number: {value!r}")
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
        _refuse_stored_methods(entry, place)
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


def _refuse_stored_methods(entry: dict[str, Any], place: str | Path) -> None:
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
    return keys - {"methods"} | {"value", "random", "systematic"}


def _unknown_key(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key[:80]!r} is not a known key{hint}"


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
    """The record in a file or in a run's folder; of a folder that holds only a journal, its summary.

    Raises:
        BadInput: there is neither, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir() and not (path / RECORD_NAME).is_file():
        for name in JOURNAL_NAMES:
            if (path / name).is_file():
                raise BadInput(
                    "the folder holds a journal but no record",
                    f"Make it with: energy-rating summarise {path}",
                    place=path,
                )
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
