"""A wall meter through a CSV file that another program writes: what the whole machine draws, supply and fans included.

The file is named by the environment variable ``ENERGY_RATING_WALL``, or by ``measure(sensors=[detect("meter.csv"), …])``::

    # accuracy=0.01
    time,power_w,energy_j
    1795310043.250,412.7,1893021.4
    2026-11-22T01:14:04.250Z,415.2,1893436.0

``time`` is seconds since 1970 or ISO 8601 with its zone, of the clock of this machine; beside it stands ``power_w`` (watts, at that
time or the mean since the line before), or ``energy_j`` (joules that only grow), or both. Other columns are left alone. A line counts
once it ends with a line break, so that a line that is being written is never half read. ``# accuracy=`` before the header is the
meter's relative standard uncertainty (0.01: ±1 % at 1 σ). ``# pue=1.3`` says that the meter stands in front of the site's cooling, so
that what it shows holds the site's PUE already; ``# pue=included`` where that is not known as a number.

A file that comes only after the run is put into a copy of its journal by ``added_afterwards``. A journal tells its start in whole
seconds, and its time begins within some two seconds of that: so well, and no better, the lines can be placed then.

The line's own time tells how old it is: a meter that fell silent, or whose clock is ahead of this machine's, gives no reading rather
than an old one. The component is ``wall``, which is never added to its parts.
"""

from __future__ import annotations

import io
import itertools
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from energy_rating.files.journal import JOURNAL_NAMES, decoded, encoded, rank_files
from energy_rating.files.opening import opened, read_whole
from energy_rating.files.packed import Unpacker
from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.nouns.entries import Channel, Component, Device, Finding, plain
from energy_rating.nouns.errors import BadInput, HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("wall",)
WHAT = "a wall meter"
SIGNS = ("$ENERGY_RATING_WALL",)

VARIABLE = "ENERGY_RATING_WALL"

# Of a meter of which nothing is known. An assumption, 1 σ, and the record says so.
ACCURACY_UNKNOWN = 0.05

# A meter that has missed so many of its lines, and at least so many seconds, has fallen silent.
SILENT_LINES, SILENT_S = 3, 3.0
# Clocks that are kept by NTP agree to milliseconds; a line from further in the future is of another clock.
AHEAD_S = 1.0

# The start in the header is cut to whole seconds, and the sensors are waited for, for a second, before the time begins.
PLACED_WITHIN_S = 2.0
# Lines from so long before and after a session are taken in, for its edges.
MARGIN_S = 5.0

# A line is a few numbers; what is longer without a line break is no CSV.
LONGEST_LINE = 4096
# So much of a file that is there already is looked at.
TAIL_BYTES = 65536

# Of a meter's file that comes afterwards (a week of lines ten times a second), and of the journal that it is put into.
LARGEST_METER = 512 << 20
LARGEST_JOURNAL = 2 << 30

MAX_POWER_W = 1e8

WALL = Device(id="wall", name="wall meter")

REMEDY = (
    f"Set {VARIABLE} to a CSV file with the columns time,power_w or time,energy_j (docs/adding-a-sensor.md)"
)


class Lines:
    """The lines of a file that grows, each once; a file that was replaced or cut short begins anew."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self.path = path
        self._whole = whole  # from its beginning, not only what it grows by
        self.columns: dict[str, int] = {}
        self.accuracy: float | None = None
        self.pue: float | str | None = None  # what of the site's cooling is in it
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._rest = b""

    def new(self) -> list[str]:
        """The complete lines of data since the last call, the newest last.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no such CSV.
        """
        try:
            opened_file = opened(self.path)
        except BadInput as error:
            why = error.__cause__
            raise why if isinstance(why, OSError) else ValueError(error.message) from error
        with opened_file as file:
            status = os.fstat(file.fileno())
            identity = status.st_dev, status.st_ino
            if identity != self._file or status.st_size < self._offset:
                self._file, self._offset, self._rest = identity, 0, b""
                self.columns, self.accuracy, self.pue = {}, None, None
            if not self.columns:
                self._begin(file.read(TAIL_BYTES))
                if self.columns and not self._whole and status.st_size - self._offset > TAIL_BYTES:
                    self._offset = status.st_size - TAIL_BYTES
                    file.seek(self._offset)
                    self._offset += len(file.readline())  # the first may be half a line
            if not self.columns:
                return []
            file.seek(self._offset)
            grown = file.read()
        self._offset += len(grown)
        whole, found, self._rest = (self._rest + grown).rpartition(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ValueError("it has a line without an end")
        lines = whole.decode("utf-8", "replace").splitlines() if found else []
        return [line for line in lines if line.strip() and not line.startswith("#")]

    def _begin(self, start: bytes) -> None:
        """Takes in what stands before the data, once its last line is complete."""
        read = 0
        for line in start.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            read += len(line)
            told = line.decode("utf-8", "replace").strip().lstrip("\ufeff")
            if told.startswith("#"):
                key, _, value = told.lstrip("# ").partition("=")
                if key.strip() == "accuracy":
                    self.accuracy = _share_above_0(value)
                elif key.strip() == "pue":
                    self.pue = _pue(value)
            elif told:
                names = [name.strip().lower() for name in told.split(",")]
                if "time" not in names or not {"power_w", "energy_j"} & set(names):
                    raise ValueError(f"its header is {told[:60]!r}, not time with power_w or energy_j")
                self.columns = {name: place for place, name in enumerate(names)}
                self._offset = read
                return
        if len(start) >= TAIL_BYTES:
            raise ValueError("it has no header")


class WallMeter:
    """One meter, read by the newest lines of its file."""

    def __init__(self, lines: Lines, now: Callable[[], float]) -> None:
        self._lines: Lines | None = lines
        self._now = now
        self._newest: float | None = None
        self._spacing_s = 0.0
        self._values: dict[str, float] = {}
        self._fault = ""
        self.rows: list[tuple[float, dict[str, float]]] = []
        self._take(lines.new())
        self._channels = tuple(
            Channel(
                id=f"wall.{kind}",
                component="wall",
                device="wall",
                method="counter" if kind == "energy" else "power",
                accuracy=ACCURACY_UNKNOWN if lines.accuracy is None else lines.accuracy,
                period_s=round(self._spacing_s, 6) or None,
            )
            for kind, column in (("energy", "energy_j"), ("power", "power_w"))
            if column in lines.columns
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        """Joules as of the newest line, and the mean watts of the lines since the last reading (or those of the newest line).

        Raises:
            SensorLost: the sensor was closed.
            SensorFailed: the file or its newest line cannot be read, or the meter fell silent.
        """
        if self._lines is None:
            raise SensorLost("the wall meter is closed")
        try:
            self._take(self._lines.new())
        except FileNotFoundError as error:
            raise SensorFailed("the wall meter's file is gone") from error
        except OSError as error:
            raise SensorFailed(f"the wall meter's file cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SensorFailed(f"the wall meter's file cannot be understood: {error}") from error
        if self._fault:
            raise SensorFailed(f"a line of the wall meter cannot be understood: {self._fault}")
        if self._newest is None:
            raise SensorFailed("the wall meter has not written a line yet")
        age_s = self._now() - self._newest
        if age_s < -AHEAD_S:
            raise SensorFailed(
                f"the wall meter's clock is {-age_s:.0f} s ahead of this machine's", "Set both clocks by NTP"
            )
        if age_s > max(SILENT_LINES * self._spacing_s, SILENT_S):
            raise SensorFailed(
                f"the newest line of the wall meter is {age_s:.0f} s old",
                "Let the meter's program write each line at once; set both clocks by NTP",
            )
        return {
            channel.id: self._values[channel.id] for channel in self._channels if channel.id in self._values
        }

    def close(self) -> None:
        self._lines = None

    def _take(self, lines: list[str]) -> None:
        powers: list[float] = []
        taken: list[tuple[float, dict[str, float]]] = []
        for line in lines:
            try:
                when_s, values = self._parsed(line)
            except ValueError as error:
                self._fault = str(error)
                continue
            self._fault = ""
            if self._newest is not None and when_s > self._newest:
                # The latest spacing; a meter may change its rate, and pauses are not its rate.
                spacing = when_s - self._newest
                self._spacing_s = min(spacing, 2 * self._spacing_s) if self._spacing_s else spacing
            self._newest = when_s
            self._values.update(values)
            taken.append((when_s, values))
            if "wall.power" in values:
                powers.append(values["wall.power"])
        if powers:
            self._values["wall.power"] = sum(powers) / len(powers)
        self.rows = taken  # those of the last call only

    def _parsed(self, line: str) -> tuple[float, dict[str, float]]:
        """The time and the values of a line.

        Raises:
            ValueError: it is not understood.
        """
        assert self._lines is not None
        columns = self._lines.columns
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < len(columns):
            raise ValueError(f"{len(cells)} of {len(columns)} columns")
        when_s = unix_s(cells[columns["time"]])
        if self._newest is not None and when_s < self._newest:
            raise ValueError("its time goes back")
        values: dict[str, float] = {}
        for column, channel, most in (
            ("power_w", "wall.power", MAX_POWER_W),
            ("energy_j", "wall.energy", float("inf")),
        ):
            if column in columns:
                value = float(cells[columns[column]])
                if not 0 <= value < most:
                    raise ValueError(f"{column} is {cells[columns[column]][:20]}")
                values[channel] = value
        return when_s, values


def unix_s(told: str) -> float:
    """Seconds since 1970 of a time that is told as such, or as ISO 8601 with its zone.

    Raises:
        ValueError: it is neither.
    """
    try:
        seconds = float(told)
    except ValueError:
        from datetime import datetime

        moment = datetime.fromisoformat(told)
        if moment.tzinfo is None:
            raise ValueError(f"the time {told[:40]!r} has no zone") from None
        return moment.timestamp()
    # From 1990 on, and not in milliseconds.
    if not 6e8 < seconds < 6e10:
        raise ValueError(f"the time {told[:40]!r} is not in seconds since 1970")
    return seconds


def detect(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], float] = time.time,
) -> Detection:
    """The meter that writes to this file, or to that which the environment names.

    Raises:
        HardwareAbsent: none is named.
        SensorUnavailable: the file is not there, or is no such CSV.
    """
    named = path if path is not None else environ.get(VARIABLE, "").strip()
    if not named:
        raise HardwareAbsent(f"no wall meter is named ({VARIABLE})", REMEDY)
    lines = Lines(Path(named))
    try:
        meter = WallMeter(lines, now)
    except OSError as error:
        raise SensorUnavailable(f"the wall meter's file cannot be read: {error.strerror}", REMEDY) from error
    except ValueError as error:
        raise SensorUnavailable(f"the wall meter's file cannot be understood: {error}", REMEDY) from error
    if not meter.channels:
        raise SensorUnavailable("the wall meter's file has no header yet", REMEDY)
    findings: tuple[Finding, ...] = ()
    if lines.accuracy is None:
        findings = (
            Finding.of(
                "wall-accuracy-assumed",
                f"how exact the wall meter is was not told; {ACCURACY_UNKNOWN:.0%} (1 σ) was assumed",
                channel=meter.channels[0].id,
            ),
        )
    if lines.pue is not None:
        findings = (*findings, _holds_pue(lines.pue, meter.channels[0].id))
    return Detection(sensors=(meter,), devices=(WALL,), findings=findings)


def _holds_pue(pue: float | str, channel: str) -> Finding:
    told = f", a PUE of {pue:g}" if isinstance(pue, float) else ""
    return Finding.of(
        "energy-holds-pue",
        f"the wall meter stands in front of the site's cooling and losses{told}",
        channel=channel,
        data={"pue": pue} if isinstance(pue, float) else None,
    )


def added_afterwards(journal: Path, meter: Path, folder: Path) -> Path:
    """A copy of a run's journal in ``folder`` that has the lines of a meter's file in it; what was there stays byte for byte.

    A line is placed somewhere in two seconds, which is the refresh period that its channel gets: the doubt of the energy has it. Joules
    become the mean watts between two lines.

    Raises:
        BadInput: the journal or the file cannot be read, they do not overlap, or the folder holds a run already.
    """
    import gzip
    import hashlib

    if any((folder / name).exists() for name in JOURNAL_NAMES):
        raise BadInput("holds a run already", "Name another folder", place=folder)
    told = read_whole(meter, LARGEST_METER)
    held = read_whole(journal, LARGEST_JOURNAL)
    if held.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(held)) as unpacked:
                held = unpacked.read(LARGEST_JOURNAL + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput("the compressed journal is cut short or damaged", place=journal) from error
        if len(held) > LARGEST_JOURNAL:
            raise BadInput(f"the journal is larger than {LARGEST_JOURNAL >> 20} MiB", place=journal)
    source = _Afterwards(meter, hashlib.sha256(told).hexdigest())
    lines = list(_with_meter(held, source, journal))
    if not source.placed:
        raise BadInput(
            "must have lines from the time of the run; it has none",
            "Compare the clocks of both machines",
            place=meter,
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL_NAMES[0]
    path.write_bytes(b"".join(lines))
    for other in rank_files(journal.parent).values():  # what other ranks counted goes with it
        (folder / other.name).write_bytes(read_whole(other, LARGEST_JOURNAL))
    return path


def _with_meter(held: bytes, source: _Afterwards, journal: Path) -> Iterator[bytes]:
    started: float | None = None
    last_s = 0.0
    unpacker = Unpacker()
    for number, line in enumerate(held.splitlines(keepends=True), start=1):
        try:
            entry = decoded(line, place=f"{journal}: line {number}")
        except BadInput:
            if number == 1:
                raise
            break  # a killed process leaves a torn last line; what follows damage counts for nothing anyhow
        kind = next(iter(entry))
        if kind in ("schema", "end") and started is not None:
            yield from source.lines(started, last_s)
            started = None
        if any(str(channel.get("id", "")).startswith("wall.") for channel in entry.get("channels", ())):
            raise BadInput("holds the readings of a wall meter already", place=journal)
        if kind == "schema":
            started, last_s = unix_s(str(entry["started"])), 0.0
        elif isinstance(entry.get("t"), int | float):
            last_s = max(last_s, entry["t"])
        try:
            last_s = max((last_s, *(reading["t"] for reading in unpacker.of_entry(entry))))
        except (ValueError, TypeError, KeyError):
            break
        yield line
    if started is not None:
        yield from source.lines(started, last_s)


class _Afterwards:
    """The lines of a whole file as lines of a journal."""

    def __init__(self, meter: Path, digest: str) -> None:
        self.placed = 0
        self._digest = digest
        lines = Lines(meter, whole=True)
        try:
            self._meter = WallMeter(lines, time.time)
        except (OSError, ValueError) as error:
            raise BadInput(f"cannot be understood: {error}", place=meter) from error
        self._pue = lines.pue

    def lines(self, started_s: float, last_s: float) -> Iterator[bytes]:
        rows = [
            (round(when_s - started_s, 6), values)
            for when_s, values in self._meter.rows
            if -MARGIN_S <= when_s - started_s <= last_s + PLACED_WITHIN_S + MARGIN_S
        ]
        if not rows:
            return
        self.placed += len(rows)
        counted = "wall.energy" in rows[0][1]
        times = [when for when, _ in rows]
        # The period is how late a value may stand, which the doubt at the edges follows from.
        channel = replace(
            self._meter.channels[0],
            id="wall.power",
            method="power",
            period_s=round(PLACED_WITHIN_S + (0.0 if counted else _typical(times)), 6),
        )
        yield encoded({"channels": [plain(channel)], "devices": [plain(WALL)], "t": last_s})
        if counted:
            # An error in the placing has both edges of a window wrong by the same, which two ticks would not know of each other.
            for (since, before), (when, after) in itertools.pairwise(rows):
                spent_j = after["wall.energy"] - before["wall.energy"]
                if when > since and spent_j >= 0:  # a meter that started again: that span is not known
                    mean_w = round(spent_j / (when - since), 6)
                    yield encoded({"t": since, "dt": round(when - since, 6), "r": {channel.id: mean_w}})
        else:
            for when, values in rows:
                yield encoded({"t": when, "dt": 0.0, "r": {channel.id: round(values["wall.power"], 6)}})
        finding = Finding.of(
            "wall-added-afterwards",
            f"{len(rows)} lines of a wall meter were added after the run and are placed within {PLACED_WITHIN_S:g} s "
            f"(SHA-256 of the file {self._digest[:16]}…)",
            remedy=f"Name the file before the run: {VARIABLE}",
            channel=channel.id,
        )
        yield encoded({"finding": plain(finding), "t": last_s})
        if self._pue is not None:
            yield encoded({"finding": plain(_holds_pue(self._pue, channel.id)), "t": last_s})


def _typical(times: Sequence[float]) -> float:
    """The middle spacing; 0 of a single time."""
    spacings = sorted(b - a for a, b in itertools.pairwise(times))
    return spacings[len(spacings) // 2] if spacings else 0.0


def _share_above_0(told: str) -> float:
    """Raises ValueError unless it is a share above 0."""
    value = float(told)
    if not 0 < value <= 1:
        raise ValueError(f"its accuracy must be a share such as 0.01; got {told.strip()[:20]}")
    return value


def _pue(told: str) -> float | str:
    """Raises ValueError unless it is a number of at least 1, or the word ``included``."""
    if told.strip() == "included":
        return "included"
    value = float(told)
    if not 1 <= value < float("inf"):
        raise ValueError(f"its pue must be at least 1, such as 1.3, or included; got {told.strip()[:20]}")
    return value
