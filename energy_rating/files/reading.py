"""Journals as they are read: sessions, windows and columns, up to the first damage. How strictly JSON is taken is ``strict``'s.

Reading is strict: unknown or misspelt keys, doubled keys, NaN and infinities are refused with the place where they stand.

The history of the schemas is in ``docs/files.md``: what is in ``/1`` means the same in ``/2``, which adds keys. A journal is of the
newest schema among its sessions; a record is always made in the newest one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

from energy_rating.files.columns import Column
from energy_rating.files.edge_lines import Edge, EdgeLines, are_amounts, is_of_a_window
from energy_rating.files.journal import (
    JOURNAL_NAMES,
    JOURNAL_SCHEMA,
    JOURNAL_SCHEMAS,
    LONGEST_LINE,
    decoded,
    rank_files,
)
from energy_rating.files.line_blocks import Beginning, LineBlocks, feed
from energy_rating.files.opening import opened, why_not_open
from energy_rating.files.packed import Unpacker
from energy_rating.files.record import refuse_imported, which_run
from energy_rating.files.rows import (
    IN_A_LINE,
    Frames,
    Kinds,
    Rows,
    are_apart,
    are_in_time,
    at_lines,
    in_order,
    kinds_of,
)
from energy_rating.files.sessions import Journal as Journal
from energy_rating.files.sessions import Session as Session
from energy_rating.files.strict import optional, unknown_key, validated
from energy_rating.files.unpacking import rows_of
from energy_rating.files.windows import MOST_WHOLE, Checkpoint, Pairs, Windows
from energy_rating.nouns import records
from energy_rating.nouns.entries import refuse_unless_said_well
from energy_rating.nouns.errors import STRICT, BadInput, CutShort, LineMissing, UnpacksTooFar
from energy_rating.nouns.records import (
    Channel,
    Condition,
    Counts,
    Device,
    Environment,
    Finding,
    Job,
    Lineage,
    Load,
    Model,
    Number,
    Origin,
    Outcome,
    Place,
    Quality,
    Rank,
    Samples,
    Setting,
    Task,
)
from energy_rating.nouns.work import Work

# Seconds, joules and watts of a journal: the squares of what is larger could not be added up. Work has a bound of its own (``nouns.work``).
MOST = 1e20

# Lines are taken together where there are so many bytes of them: for fewer numpy is not worth loading.
TOGETHER_FROM = 1 << 16
_CHANGING = b'{"schema":', b'{"channels":'
_OTHERS = tuple(
    f'{{"{kind}":'.encode()
    for kind in ("open", "close", "count", "finding", "quality", "condition", "checkpoint", "resumed", "end")
)
_OF_HEADERS = b'"schema"', b'"run_id"', b"energy-rating/journal"

# The readings of one channel stand in their order. A little disorder does little harm; more is no trace of one run.
MOST_BACKWARDS_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _HeaderExtras:
    """What a header says of the run, beside what every header has."""

    __pydantic_config__ = STRICT

    origin: Origin = "measured"
    place: Place | None = None
    role: str | None = None
    lineage: Lineage | None = None
    ranks: int | None = None
    nodes: int | None = None
    job: Job | None = None
    operating_point: Mapping[str, Setting] = field(default_factory=dict)
    rank: Rank | None = None
    counts: Counts = "each-rank"

    def __post_init__(self) -> None:
        refuse_unless_said_well(self.role, self.ranks, self.nodes, self.operating_point)


_SAID = tuple(item.name for item in fields(_HeaderExtras))


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
    refuse_imported(path)
    raise BadInput(
        "the folder holds no journal",
        which_run(path) or f"A run's folder holds {' or '.join(JOURNAL_NAMES)}",
        place=path,
    )


def read_journal(path: str | Path) -> Journal:
    """The journal in a file (``.gz`` or not) or in a run's folder, up to its end or to the first damage.

    Raises:
        BadInput: it cannot be opened, or not even its first line can be read; or a file beside it that other ranks of its host wrote
            is of another run.
    """
    path = journal_in(path)
    try:
        with opened(path) as file:
            journal = read_journal_from(file, place=path)
    except BadInput as error:
        raise _of_another_tool(path) or error from None
    except OSError as error:
        raise BadInput(*why_not_open(error), place=path) from error
    return with_other_ranks(journal, path.parent) if path.name in JOURNAL_NAMES else journal


def with_other_ranks(journal: Journal, folder: Path) -> Journal:
    """The journal with what other ranks of its host wrote beside it: as much of that as there was when the run ended.

    Raises:
        BadInput: one of these files is of another run, or cannot be read.
    """
    last = journal.sessions[-1]
    found: dict[str, Journal] = {}
    for name, path in rank_files(folder).items():
        if last.ended and name not in last.sealed:
            continue  # it came when the run had ended
        try:
            if not (last.sealed[name] if name in last.sealed else path.stat().st_size):
                continue  # nothing was written to it by then: the disk was full, or that rank was killed as it began
            with opened(path) as file:
                packed = path.name != name and name in last.sealed
                stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
                if name in last.sealed:
                    stream = cast(IO[bytes], io.BufferedReader(Beginning(stream, last.sealed[name])))
                other = read_journal_from(stream, place=path)
        except (OSError, EOFError, zlib.error) as error:
            reason = why_not_open(error) if isinstance(error, OSError) else ("is cut short or damaged",)
            raise BadInput(*reason, place=path) from error
        rank = other.sessions[0].rank
        if rank is None or rank.run != journal.run_id:
            raise BadInput(
                f"is not of this run ({journal.run_id}), but "
                + (f"of {rank.run}" if rank is not None and rank.run else "of none that it names"),
                "Take it out of the folder, or put it beside the journal of its own run",
                place=path,
            )
        found[name] = other
    return replace(journal, others=found) if found else journal


def _of_another_tool(path: Path) -> BadInput | None:
    """Whose file it is, where it is no journal but one that can be imported."""
    from energy_rating.files.imports import (
        recognised,
    )  # here: a run that is measured reads no strangers' files

    found = recognised(path)
    if found is None:
        return None
    return BadInput(
        f"is a file of {found.name}, not a journal",
        f"Take it over with: energy-rating import {path} -o DIR",
        place=path,
    )


def read_journal_from(file: IO[bytes], *, place: str | Path) -> Journal:
    """The journal in an open binary file. Compressed or not is seen from its first bytes."""
    start = file.read(2)
    file.seek(0)
    stream: IO[bytes] = file
    if start == b"\x1f\x8b":
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file))
    packed = file if stream is not file else None
    reading = _Reading(place=str(place))
    blocks = LineBlocks(stream, packed, place)
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
        if reading.number <= 1 or isinstance(error, UnpacksTooFar):
            raise
        # A torn last line is what a killed process leaves; the session says by itself that it did not end.
        try:
            rest = blocks.rest or stream.read(1)
        except (EOFError, zlib.error, gzip.BadGzipFile):  # the packing is damaged too, right behind the line
            rest = b""
        torn = isinstance(error, CutShort) and not rest
        damage = None if torn else f"line {reading.number}: {error.message}"
        digest.update(block)
        digest.update(rest)
        feed(digest, stream, packed, place)
    if reading.header is None:
        raise BadInput("the file is empty", "A journal begins with its header", place=place)
    lost = reading.lost_at
    reads_on = lost is not None and damage is None
    damage = "; ".join(said for said in (lost, damage) if said is not None) or None
    return reading.journal(sha256=digest.hexdigest(), damage=damage, reads_on=reads_on)


class _ReadTimes:
    """When some channels were read that always were read together."""

    def __init__(self, channels: set[str]) -> None:
        self.starts, self.ends = Column(), Column()
        self.channels = channels

    def apart(self, channels: set[str]) -> _ReadTimes:
        """Some of the channels, which from now on have times of their own."""
        other = _ReadTimes(channels)
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
        self.lost_at: str | None = None  # where the first line was lost behind which reading went on
        self._begin()

    def _begin(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._devices: list[Device] = []
        self._times: dict[str, _ReadTimes] = {}
        self._values: dict[str, Column] = {}
        self._frames = Frames()
        self._edge_lines = EdgeLines()
        self._unpacker = Unpacker()
        self._has_lost = False  # lines of this session
        self._windows = Windows()
        self._findings: list[Finding] = []
        self._found_s: list[float] = []
        self._quality: list[Quality] = []
        self._conditions: dict[str, list[tuple[float, Condition]]] = {}
        self._last_s = 0.0
        self._ended = False
        self._outcome: Outcome | None = None
        self._checkpoints: list[Checkpoint] = []
        self._resumed_from: Number | None = None
        self._said = _HeaderExtras()
        self._sealed: dict[str, int] = {}
        self._schema = JOURNAL_SCHEMA

    def take_lines(self, block: bytes) -> None:
        """Takes lines, all but the last of which end with a line end.

        Raises:
            BadInput: one of them is none of a journal; those before it count.
        """
        end = block.rfind(b"\n") + 1
        if end >= TOGETHER_FROM:
            self._take_long(block[:end])
        elif end:
            self._take_singly(block[: end - 1].split(b"\n"))
        if end < len(block):
            self._take_line(block[end:])

    def _take_singly(self, lines: Sequence[bytes]) -> None:
        """Takes lines that are given without their ends."""
        for line in lines:
            self._take_line(line + b"\n")

    def _take_long(self, text: bytes) -> None:
        """Takes whole lines: those between two that change which channels there are together, as far as they are readings.

        Where lines of a session were lost, what follows is looked at one by one.
        """
        if self._has_lost:
            self._take_singly(text[:-1].split(b"\n"))
            return
        if self.header is None:
            end = text.index(b"\n") + 1
            self._take_line(text[:end])
            text = text[end:]
            if not text:
                return
        kinds = kinds_of(text)
        others = (~(kinds.are_readings | kinds.are_packed)).nonzero()[0].tolist()
        starts = kinds.starts[others].tolist()
        changing = [
            number for number, start in zip(others, starts, strict=True) if text.startswith(_CHANGING, start)
        ]
        is_old = self._schema == JOURNAL_SCHEMAS[0]
        is_packed = bool(kinds.are_packed.any()) or (not is_old and b',"n":[' in text)
        if changing:
            lines = text[:-1].split(b"\n")
            for first, end in pairwise((0, *changing, len(lines))):
                some = lines[first:end]
                if some and first in changing:
                    self._take_singly(some[:1])
                    del some[0]
                if some:
                    self._take_long(b"\n".join((*some, b"")))
        elif is_packed:
            self._take_packed(text, kinds, others)
        else:
            self._take_plain(text, kinds, others)

    def _take_plain(self, text: bytes, kinds: Kinds, others: list[int]) -> None:
        """Takes lines whose channels are known, none of them packed: readings together."""
        ends = [*kinds.starts[1:].tolist(), len(text)] if others else []
        starts = kinds.starts[others].tolist()
        lines = {number: text[start : ends[number]] for number, start in zip(others, starts, strict=True)}
        found: list[Rows] | None = []
        if len(others) < len(kinds.starts):
            borders = [
                0,
                *(at for number, start in zip(others, starts, strict=True) for at in (start, ends[number])),
                len(text),
            ]
            found = self._frames.rows(
                b"".join([text[since:to] for since, to in zip(borders[::2], borders[1::2], strict=True)])
                if others
                else text
            )
            if found is not None:
                found = at_lines(found, kinds.are_readings.nonzero()[0])
        if found is None or not self._can_take(found):
            self._take_singly(text[:-1].split(b"\n"))
        else:
            self._take_among(text, found, lines, len(kinds.starts), self._unpacker, [])

    def _take_packed(self, text: bytes, kinds: Kinds, others: list[int]) -> None:
        """Takes lines whose channels are known, readings together, packed ones and others."""
        lines = text[:-1].split(b"\n")
        packed = kinds.are_packed.copy()
        for number in kinds.are_readings.nonzero()[0].tolist():
            packed[number] = b',"n":[' in lines[number]
        of_packed = packed.nonzero()[0].tolist()
        plain = (kinds.are_readings & ~packed).nonzero()[0]
        found: list[Rows] = []
        unpacker = self._unpacker.copy()
        rows: list[Rows] | None = []
        if len(plain):
            rows = self._frames.rows(b"\n".join((*(lines[number] for number in plain), b"")))
            if rows is not None:
                found += at_lines(rows, plain)
        if rows is not None and of_packed:
            is_old = self._schema == JOURNAL_SCHEMAS[0]
            rows = None if is_old else rows_of(unpacker, [lines[number] for number in of_packed], of_packed)
            if rows is not None:
                found += rows
        if rows is None or not self._can_take(found):
            self._take_singly(lines)
            return
        self._take_among(
            text, found, {number: lines[number] + b"\n" for number in others}, len(lines), unpacker, of_packed
        )

    def _take_among(
        self,
        text: bytes,
        found: list[Rows],
        others: Mapping[int, bytes],
        count: int,
        unpacker: Unpacker,
        of_packed: list[int],
    ) -> None:
        """Takes readings that are sound, and the other lines among them one by one."""
        numbers, lines = [*others], [*others.values()]
        told = self._edge_lines.told(lines)
        unlike = lines if told is None else told.others(lines)
        if not all(line.startswith(_OTHERS) for line in unlike):
            self._take_singly(
                text[:-1].split(b"\n")
            )  # a reading that is written in another way would not stand in its place
            return
        before, self._unpacker = self._unpacker, unpacker
        first, good, is_whole = self.number, count, True
        at = singly_to = 0
        try:
            while at < len(lines):
                pairs = told.pairs_from(at) if told is not None and at >= singly_to else None
                if pairs is not None:
                    if self._take_pairs(pairs):
                        at += 2 * len(pairs)
                        continue
                    singly_to = at + 2 * len(pairs)
                self.number, good = first + numbers[at] + 1, numbers[at]
                line, at = lines[at], at + 1
                if told is not None and self._take_edge(*told.of(at - 1)):
                    continue
                try:
                    entry = decoded(line, place=f"{self.place}: line {self.number}")
                except BadInput:
                    is_whole = False
                    break
                self.take(entry, self.number)
            else:
                self.number, good = first + count, count
        finally:
            self._take_rows(found, good * IN_A_LINE)
        if not is_whole:  # what follows may rest upon what is lost
            self._unpacker = before
            before.has_begun |= bool(of_packed) and of_packed[0] < good
            self.number = first + good
            self._take_singly(text[:-1].split(b"\n")[good:])

    def _take_pairs(self, pairs: Pairs) -> bool:
        """Takes windows that follow each other. Whether it did: where one of them is not as usual, they are to be taken one by one."""
        is_told = self._schema != JOURNAL_SCHEMAS[0]
        if self._has_lost or not pairs.can_be(MOST) or not self._windows.take(pairs, is_told=is_told):
            return False
        self._last_s = max(self._last_s, float(pairs.ends_s.max()))
        return True

    def _take_edge(self, edge: Edge | None, numbers: Sequence[Number]) -> bool:
        """Opens or closes a window, as a line that is as usual tells. Whether it did: what is not, is left to ``take``."""
        if edge is None or self._has_lost:
            return False
        key, t = numbers[0], float(numbers[1])
        if not is_of_a_window(key) or not -MOST < t < MOST:
            return False
        if edge.name is not None:
            self._windows.open(key, edge.name, t)
        else:
            if not self._windows.can_close(key, t) or not are_amounts(numbers[2:]):
                return False
            work = Work.again(dict(zip(edge.units, numbers[2:], strict=False)))
            self._windows.close(key, t, work)
            if edge.of_run is not None and self._schema != JOURNAL_SCHEMAS[0]:
                run = dict(zip(edge.of_run, numbers[2 + len(edge.units) :], strict=True))
                self._windows.tell(0, Work.again(run), work)
        self._last_s = max(self._last_s, t)
        return True

    def _take_line(self, line: bytes) -> None:
        self.number += 1
        try:
            entry = decoded(line, place=f"{self.place}: line {self.number}")
        except BadInput as error:
            if not self._goes_on_behind(line):
                raise
            self._lose(error.message)
        else:
            self.take(entry, self.number)

    def _goes_on_behind(self, line: bytes) -> bool:
        """Whether reading goes on behind a line that is damaged: where all is told anew once a minute, and no session may have begun in it."""
        return (
            self._unpacker.has_begun
            and line.endswith(b"\n")
            and len(line) <= LONGEST_LINE
            and not any(said in line for said in _OF_HEADERS)
        )

    def _lose(self, reason: str) -> None:
        """A line is lost. What rests upon it is passed over; windows that are open may have ended in it."""
        if self.lost_at is None:
            self.lost_at = f"line {self.number}: {reason}"
        self._has_lost = True
        self._unpacker.lose()
        self._windows.lose(self._last_s)

    def _can_take(self, found: list[Rows]) -> bool:
        """Whether ``_take_rows`` may take them: in the order of time also where channels are in several of them."""
        return all(map(self._can_follow, found)) and (are_apart(found) or are_in_time(found))

    def _can_follow(self, rows: Rows) -> bool:
        """Whether these readings are of channels that there are, in the order of time, and none of their numbers is beyond all measure.

        What is not so is left to ``_reading``, which refuses it or not.
        """
        if not all(channel_id in self._times for channel_id in rows.channels):
            return False
        starts, tooks = rows.numbers[:, 0].copy(), rows.numbers[:, 1].copy()
        newest_s = max(
            (times.starts[-1] for one in rows.channels if len((times := self._times[one]).starts)),
            default=-math.inf,
        )
        return bool(
            starts[0] >= newest_s
            and (starts[1:] >= starts[:-1]).all()
            and (tooks >= 0).all()
            and rows.numbers.max() < MOST
            and rows.numbers.min() > -MOST
            and (starts + tooks).max() < MOST
        )

    def _take_rows(self, found: list[Rows], good: int) -> None:
        """Takes the first so many readings. Those of channels of which some are in several rows, in the order of their lines."""
        for rows in found if are_apart(found) else in_order(found):
            numbers = rows.numbers[: int(rows.places.searchsorted(good))]
            if not len(numbers):
                continue
            columns = numbers.T.copy()
            columns[1] += columns[0]
            self._last_s = max(self._last_s, float(columns[1].max()))
            for times in self._together(rows.channels):
                times.starts.extend(memoryview(columns[0]))
                times.ends.extend(memoryview(columns[1]))
            for channel_id, values in zip(rows.channels, columns[2:], strict=True):
                self._values[channel_id].extend(memoryview(values))

    def _together(self, channels: Sequence[str]) -> list[_ReadTimes]:
        """The times of these channels, none of which are those of another one as well."""
        found: list[_ReadTimes] = []
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
                missing = None
                if "n" in entry and self._schema != JOURNAL_SCHEMAS[0]:
                    try:
                        self._unpacker.begin(entry)
                    except LineMissing as error:  # it is told in full itself
                        missing = error
                self._reading(entry)
                if missing is not None:
                    raise missing
            elif kind == "d" and self._schema != JOURNAL_SCHEMAS[0]:
                for reading in list(self._unpacker.readings(entry["d"])):
                    self._reading(reading)
            elif kind == "schema":
                self._session(entry, place)
            elif kind == "open":
                self._windows.open(_whole(entry["open"]), _word(entry["name"]), self._time(entry["t"]))
            elif kind == "count":
                self._windows.count(_whole(entry["count"]), _work(entry["work"]), self._time(entry["t"]))
            elif kind == "close":
                key = _whole(entry["close"])
                if self._has_lost and not self._windows.knows(key):
                    return  # it was opened in a line that is lost
                start, end = self._windows.opened(key), self._time(entry["t"])
                if end < start:
                    raise ValueError(f"closed at {end} s, before it was opened at {start} s")
                work = _work(entry["work"])
                self._windows.close(key, end, work)
                if "run" in entry and self._schema != JOURNAL_SCHEMAS[0]:
                    self._windows.tell(0, _work(entry["run"]), work)
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
            elif kind == "checkpoint":
                self._checkpoints.append(self._checkpoint(entry))
            elif kind == "resumed":
                self._time(entry["t"])
                self._resumed_from = _amount(entry["resumed"])
            elif kind == "end":
                self._time(entry["end"])
                self._sealed = {_word(name): _whole(size) for name, size in entry.get("ranks", {}).items()}
                if self._schema != JOURNAL_SCHEMAS[0]:
                    self._outcome = validated(Outcome, entry.get("outcome", {}), f"{place}: outcome")
                    if self._outcome.state != "ended":
                        raise ValueError("what has an end has ended")
                self._ended = True
            else:
                raise BadInput(f"{kind[:80]!r} is no kind of line", place=place)
        except LineMissing as error:
            if not self._unpacker.is_lost:
                self._lose(error.message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, BadInput):
                raise
            why = f": {error}" if "work" in entry and str(error) else ""
            raise BadInput(f"the {kind!r} line does not hold what it should{why}", place=place) from error

    def _checkpoint(self, entry: dict[str, Any]) -> Checkpoint:
        windows: dict[tuple[str, float], Work] = {}
        for key, work in entry["windows"].items():
            called = self._windows.called(int(key))
            if called is not None:  # one that is not open tells nothing new
                windows[called] = _work(work)
                self._windows.reached(int(key), windows[called])
        return Checkpoint(
            at_s=self._time(entry["t"]),
            step=_amount(entry["step"]) if "step" in entry else None,
            said=_work(entry.get("work", {})),
            windows=windows,
        )

    def _time(self, value: object) -> float:
        time = _finite(value)
        self._refuse_another_session(time)
        self._last_s = max(self._last_s, time)
        return time

    def _refuse_another_session(self, time: float) -> None:
        if self._has_lost and time < self._last_s - MOST_BACKWARDS_S:
            raise ValueError("another session began in a line that is lost")

    def _reading(self, entry: dict[str, Any]) -> None:
        start, took = _finite(entry["t"]), _finite(entry["dt"])
        if took < 0:
            raise ValueError("a reading cannot end before it began")
        self._refuse_another_session(start)
        end = _finite(start + took)
        readings = {channel_id: _finite(value) for channel_id, value in entry["r"].items()}
        channels = tuple(readings)
        for channel_id in channels:
            starts = self._times[channel_id].starts
            if starts and start < starts[-1] - MOST_BACKWARDS_S:
                raise ValueError(f"{start} s, after a reading at {starts[-1]} s")
        # A line counts as a whole or not at all.
        self._last_s = max(self._last_s, end)
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
                raise BadInput(unknown_key(key, allowed), place=f"{place}: {key}"[:200])
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
        self._said = validated(_HeaderExtras, {key: entry[key] for key in _SAID if key in entry}, place)
        self._run_id = entry["run_id"]
        self._environment = validated(Environment, entry["environment"], f"{place}: environment")
        self._started = entry["started"]
        self._add_channels(entry["channels"], [], place)

    def _add_channels(self, channels: list[Any], devices: list[Any], place: str) -> None:
        times = _ReadTimes(set())
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
                checkpoints=tuple(self._checkpoints),
                resumed_from=self._resumed_from,
                run_id=self._run_id,
                rank=self._said.rank,
                counts=self._said.counts,
                sealed=self._sealed,
            )
        )

    def journal(self, *, sha256: str, damage: str | None, reads_on: bool = False) -> Journal:
        assert self.header is not None
        self._close_session()
        place = f"{self.place}: line 1"
        header = self.header
        said = validated(_HeaderExtras, {key: header[key] for key in _SAID if key in header}, place)
        return Journal(
            run_id=str(header["run_id"]),
            stage=records.stage_of(str(header["stage"])),
            model=optional(Model, header.get("model"), f"{place}: model"),
            task=optional(Task, header.get("task"), f"{place}: task"),
            load=optional(Load, header.get("load"), f"{place}: load"),
            sessions=tuple(self._sessions),
            sha256=sha256,
            files=_files(header.get("files", {}), place),
            damage=damage,
            reads_on=reads_on,
            schema=max((session.schema for session in self._sessions), key=JOURNAL_SCHEMAS.index),
            origin=said.origin,
            place=said.place,
            role=said.role,
            lineage=said.lineage,
            ranks=said.ranks,
            nodes=said.nodes,
            job=said.job,
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


def _amount(value: object) -> Number:
    """A number that is not below zero."""
    if _finite(value) < 0:
        raise ValueError("an amount below zero")
    return cast(Number, value)


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


def _work(value: object) -> Work:
    if not isinstance(value, dict):
        raise ValueError(f"work must be an object of amounts by unit; got {type(value).__name__}")
    try:
        return Work(value)
    except BadInput as error:  # the place is the line's
        raise ValueError(error.message) from None
