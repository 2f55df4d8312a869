"""A grid's carbon intensity over time, matched with when a run drew its energy. What does not cover the run is refused.

Each value of a series holds from its time to the next one's. The energy of each stretch is that of the trace, and so comes from the
journal: a record alone knows one sum. Over a constant series the result is that constant, whatever the trace.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.files.reading import Journal, Session
from energy_rating.files.windows import named
from energy_rating.judging.curves import Curves
from energy_rating.nouns.errors import BadInput, NotMeasured

LARGEST_SERIES = (
    16 << 20
)  # bytes: a year of five minutes has 7 MB where each line says all that Electricity Maps says
MOST_INTENSITY = 5000.0  # g/kWh; the dirtiest grid that is published has 1,400, and kg in place of g is a slip of a thousand
LONGEST_STEP_S = 31 * 86400.0
# A stretch that is as long as this many steps is a hole.
MOST_STEPS = 1.5

_TIMES = ("time", "datetime", "timestamp", "start", "datetime (utc)", "from")
_ZONES = ("zone id", "zone_id", "zone", "zone_key", "zonekey")
_VALUES = ("g_per_kwh", "intensity", "carbon_intensity", "carbonintensity", "carbon intensity", "value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Intensities in g/kWh, each from its time (seconds since 1970, UTC) on; the last one for one more step.

    Raises:
        ValueError: there are none, they are not in order, one is no amount, or there is a hole.
    """

    times_s: tuple[float, ...]
    g_per_kwh: tuple[float, ...]
    source: str
    alone_s: float | None = None  # how long the one value of a series of one holds
    zone: str | None = None  # whose grid it is, as Electricity Maps calls it, where the file says so

    def __post_init__(self) -> None:
        least = 2 if self.alone_s is None else 1
        if len(self.times_s) < least or len(self.times_s) != len(self.g_per_kwh):
            raise ValueError("a series must have two values at least, each with its time")
        for one in self.g_per_kwh:
            if not 0 <= one <= MOST_INTENSITY:
                raise ValueError(f"an intensity must be from 0 to {MOST_INTENSITY:g} g/kWh; got {one:g}")
        steps = [later - earlier for earlier, later in itertools.pairwise(self.times_s)] or [self.step_s]
        if min(steps) <= 0:
            raise ValueError("the times must grow from line to line")
        if max(steps) > MOST_STEPS * self.step_s:
            at = self.times_s[steps.index(max(steps))]
            raise ValueError(
                f"there is a hole of {max(steps):g} s after {_told(at)}; its steps are {self.step_s:g} s"
            )

    @property
    def step_s(self) -> float:
        """The shortest step: over what time each value is a mean."""
        if len(self.times_s) == 1:
            return self.alone_s or 0.0
        return min(later - earlier for earlier, later in itertools.pairwise(self.times_s))

    @property
    def granularity(self) -> str:
        step = self.step_s
        return "hourly" if step == 3600 else "daily" if step == 86400 else f"every {step / 60:g} min"

    def pieces(self, start_s: float, end_s: float) -> Iterator[tuple[float, float, float]]:
        """The stretches of a time, in order: from, to, and the intensity in between.

        Raises:
            BadInput: the series does not cover it.
        """
        last = self.times_s[-1] + self.step_s
        if start_s < self.times_s[0] or end_s > last:
            raise BadInput(
                f"the series from {_told(self.times_s[0])} to {_told(last)} does not cover the run, from {_told(start_s)} to {_told(end_s)}",
                "Give one that does",
                place=self.source,
            )
        first = bisect_right(self.times_s, start_s) - 1
        at = start_s
        for number in range(first, len(self.times_s)):
            until = self.times_s[number + 1] if number + 1 < len(self.times_s) else last
            upto = min(until, end_s)
            if upto > at or start_s == end_s:
                yield at, upto, self.g_per_kwh[number]
            at = upto
            if at >= end_s:
                return


def read_series(path: Path) -> Series:
    """A series from a CSV file: a column of times (ISO 8601 with its zone), and one of g/kWh. Electricity Maps' own files are such.

    Raises:
        BadInput: it cannot be read, or is none; with the line.
    """
    text = read_whole(path, LARGEST_SERIES)
    try:
        rows = csv.reader(io.StringIO(text.decode("utf-8-sig")))
        header = [cell.strip().casefold() for cell in next(rows, [])]
        when, column = _column(header, _TIMES, path), _column(header, _VALUES, path)
        where = next((number for number, cell in enumerate(header) if cell in _ZONES), None)
        zone: str | None = None
        times: list[float] = []
        values: list[float] = []
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{path}: line {rows.line_num}"
            if len(cells) != len(header):
                raise BadInput("the line has more or fewer cells than the first one", place=place)
            if where is not None and (here := cells[where].strip()):
                if zone is not None and here != zone:
                    raise BadInput(
                        f"the series is of several zones, {zone[:40]!r} and {here[:40]!r}",
                        "Give the lines of one",
                        place=place,
                    )
                zone = here
            times.append(_time(cells[when], "utc" in header[when], place))
            values.append(_value(cells[column], place))
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place=path) from error
    except csv.Error as error:
        raise BadInput(f"is not CSV: {error}", place=path) from error
    try:
        return Series(times_s=tuple(times), g_per_kwh=tuple(values), source=path.name, zone=zone)
    except ValueError as error:
        raise BadInput(str(error), place=path) from None


def _column(header: Sequence[str], names: Sequence[str], path: Path) -> int:
    # Electricity Maps writes "Carbon intensity gCO₂eq/kWh (Life cycle)", and one beside it for the combustion alone.
    exact = [number for number, cell in enumerate(header) if cell in names]
    near = [
        number
        for number, cell in enumerate(header)
        if cell.startswith(tuple(names)) and ("life" in cell or "lca" in cell or cell.startswith("datetime"))
    ]
    if not exact and not near:
        raise BadInput(
            f"the first line must name a column {names[0]}; got {', '.join(header)[:80]!r}",
            "Such as: time,g_per_kwh",
            place=f"{path}: line 1",
        )
    return (exact or near)[0]


def _time(cell: str, is_utc: bool, place: str) -> float:
    try:
        found = datetime.fromisoformat(cell.strip())
    except ValueError:
        raise BadInput(
            f"must be a time; got {cell[:40]!r}", "Such as 2026-11-30T14:00Z (ISO 8601)", place=place
        ) from None
    if found.tzinfo is None:
        if not is_utc:
            raise BadInput(
                f"a time must say its zone; got {cell[:40]!r}",
                "Write 2026-11-30T14:00Z or +01:00",
                place=place,
            )
        found = found.replace(tzinfo=UTC)
    return found.timestamp()


def _value(cell: str, place: str) -> float:
    try:
        found = float(cell)
    except ValueError:
        found = math.nan
    if not 0 <= found <= MOST_INTENSITY:
        raise BadInput(
            f"an intensity must be a number of g/kWh from 0 to {MOST_INTENSITY:g}; got {cell.strip()[:40]!r}",
            place=place,
        )
    return found


def _told(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def started_s(session: Session) -> float:
    """When a session started, in seconds since 1970.

    Raises:
        BadInput: its journal does not say it in a way that can be understood.
    """
    try:
        found = datetime.fromisoformat(session.started)
    except ValueError:
        raise BadInput(f"the journal's start must be a time; got {session.started[:40]!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def span_of(journal: Journal, measurement: str) -> tuple[float, float]:
    """From when to when a measurement's windows were open, in seconds since 1970.

    Raises:
        NotMeasured: there is no such window.
    """
    found = [
        (started_s(session) + span.start_s, started_s(session) + span.end_s)
        for session in journal.sessions
        for span in named(session.spans, measurement)
    ]
    if not found:
        raise NotMeasured(f"there is no window {measurement!r} in the journal")
    return min(start for start, _ in found), max(end for _, end in found)


def matched(
    journal: Journal, measurement: str, components: Sequence[str], series: Series
) -> tuple[float, list[tuple[float, float, float]]]:
    """The mean intensity of a measurement, weighted by when its energy was drawn; and the stretches: start, joules, g/kWh.

    Raises:
        BadInput: the series does not cover it.
        NotMeasured: nothing was measured in it.
    """
    pieces: list[tuple[float, float, float]] = []
    for number, session in enumerate(journal.sessions, start=1):
        spans = _joined([(span.start_s, span.end_s) for span in named(session.spans, measurement)])
        if not spans:
            continue
        curves, began = Curves(session, number), started_s(session)
        channels = [
            candidates[0] for (component, _), candidates in curves.devices.items() if component in components
        ]
        for start, end in spans:
            for from_s, to_s, intensity in series.pieces(began + start, began + end):
                joules = 0.0
                for channel in channels:
                    energy, _ = curves.energy_between(channel, from_s - began, to_s - began)
                    joules += energy.value if energy is not None else 0.0
                pieces.append((from_s, joules, intensity))
    whole = sum(joules for _, joules, _ in pieces)
    if whole <= 0:
        raise NotMeasured(f"no energy was measured in {measurement!r} that could be matched with a series")
    # As a deviation from the first one, so that a constant series gives that constant to the last digit.
    base = pieces[0][2]
    mean = base + sum(joules * (intensity - base) for _, joules, intensity in pieces) / whole
    return mean, pieces


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Windows that overlap, as one: no joule counts twice."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
