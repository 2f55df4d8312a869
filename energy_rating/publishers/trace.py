"""A journal's readings as a table and as a picture: the power of every device over time.

How readings become energy is ``integration``'s; here its ticks become power. A tick of a counter is known to lie in a bracket, and
the brackets leave the power between two ticks open by a few per cent: noise of when it was looked, not of what was drawn. So of
all the courses through the brackets the straightest is taken: power changes where the brackets say that it did, and nowhere else.
"""

from __future__ import annotations

import io
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from energy_rating.formats import Journal, Session
from energy_rating.integration import Counter, Register, Tick
from energy_rating.quantities import significant
from energy_rating.records import COMPONENTS, METHODS, RUN, Channel, Component
from energy_rating.summary import PLAUSIBLE_SHARE_OF_LIMIT, PLAUSIBLE_W

if TYPE_CHECKING:
    import pandas
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text

NAN = math.nan

# A straight course is sought over so many ticks at once; longer ones only take longer to find.
REACH = 64


def table(journal: Journal) -> pandas.DataFrame:
    """One row a reading of a channel, by time: ``time_s, channel, component, device, method, value, power_w``.

    ``time_s`` is the middle of the reading, in seconds since the start of its session; ``value`` is in joules for a counter, in
    watts else. ``power_w`` of a counter is the energy of the tick that the reading saw, or saw coming, over the time since the tick
    before; NaN where there is none yet or something is missing in between. Of a register it is the value; NaN where no device can
    draw that. A journal of several sessions has a column ``session`` more, counted from 1.
    """
    import pandas

    columns: dict[str, list[Any]] = {
        name: []
        for name in ("time_s", "channel", "component", "device", "method", "value", "power_w", "session")
    }
    for number, session in enumerate(journal.sessions, start=1):
        for channel in session.channels:
            samples = session.samples[channel.id]
            columns["time_s"] += [(a + b) / 2 for a, b in zip(samples.start_s, samples.end_s, strict=True)]
            columns["value"] += samples.values
            columns["power_w"] += _power_of_readings(session, channel)
            for name in ("component", "device", "method"):
                columns[name] += [getattr(channel, name)] * len(samples)
            columns["channel"] += [channel.id] * len(samples)
            columns["session"] += [number] * len(samples)
    frame = pandas.DataFrame(columns).astype(
        {"time_s": "float64", "value": "float64", "power_w": "float64", "session": "int64"}
    )
    frame = frame.sort_values(["session", "time_s"], kind="stable", ignore_index=True)
    return frame if len(journal.sessions) > 1 else frame.drop(columns="session")


def _power_of_readings(session: Session, channel: Channel) -> list[float]:
    samples, limit_w = session.samples[channel.id], _limit_w(session, channel)
    if channel.method != "counter":
        return [value if 0 <= value <= limit_w else NAN for value in samples.values]
    counter = _counter(session, channel)
    powers = [NAN, *(piece.watts for piece in _between_ticks(counter, limit_w))]
    seen_s = [tick.latest_s for tick in counter.ticks]
    # What a reading between two ticks says is told by the tick that comes; after the last tick it is not known.
    indices = (bisect_left(seen_s, end) for end in samples.end_s)
    return [powers[index] if index < len(seen_s) else NAN for index in indices]


# ------------------------------------------------------------------------------------------------------ power over time


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one power; NaN: it is not known."""

    start_s: float
    end_s: float
    watts: float


def _limit_w(session: Session, channel: Channel) -> float:
    """The bound that the summary takes, so that both leave out the same readings."""
    if channel.component not in ("gpu", "cpu", "dram"):
        return math.inf
    limits = (device.power_limit_w for device in session.environment.devices if device.id == channel.device)
    return max(PLAUSIBLE_W, *(PLAUSIBLE_SHARE_OF_LIMIT * (limit or 0.0) for limit in limits), 0.0)


def _counter(session: Session, channel: Channel) -> Counter:
    return Counter(
        session.samples[channel.id],
        accuracy=channel.accuracy,
        period_s=channel.period_s,
        wraps_at_j=channel.wraps_at_j,
        limit_w=_limit_w(session, channel),
    )


def _pieces(session: Session, channel: Channel) -> list[_Piece]:
    """The power of one channel over time, where it is known."""
    limit_w = _limit_w(session, channel)
    if channel.method == "counter":
        pieces = _between_ticks(_counter(session, channel), limit_w)
    else:
        register = Register(
            session.samples[channel.id],
            accuracy=channel.accuracy,
            period_s=channel.period_s,
            limit_w=limit_w,
        )
        pieces = _held(register)
    return [piece for piece in pieces if piece.end_s > piece.start_s and not math.isnan(piece.watts)]


def _held(register: Register) -> Iterator[_Piece]:
    """A register's reading holds until the next; before a gap and at the end for as long as it is refreshed."""
    gaps = {since for since, _ in register.gaps}
    ends = [*register.times[1:], math.inf]
    for start, end, watts in zip(register.times, ends, register.watts, strict=True):
        held = min(end, start + register.period_s) if start in gaps or end == math.inf else end
        yield _Piece(start, held, watts)


def _between_ticks(counter: Counter, limit_w: float) -> list[_Piece]:
    """The power from each tick to the next. Over a gap, and where no device can draw that, it is not known."""
    ticks = counter.ticks
    cut = [_any_overlap(a.time_s, b.time_s, counter.gaps) for a, b in itertools.pairwise(ticks)]
    pieces: list[_Piece] = []
    first = 0
    for last in range(len(ticks)):
        if last < len(cut) and not cut[last]:
            continue
        part = ticks[first : last + 1]
        times = _straightest(part)
        for (a, b), (since, to) in zip(itertools.pairwise(part), itertools.pairwise(times), strict=True):
            watts = (b.energy_j - a.energy_j) / (to - since) if to > since else NAN
            pieces.append(_Piece(since, to, watts if watts <= limit_w else NAN))
        if last < len(cut):
            pieces.append(_Piece(ticks[last].time_s, ticks[last + 1].time_s, NAN))
        first = last + 1
    return pieces


def _any_overlap(start_s: float, end_s: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(since < end_s and to > start_s for since, to in spans)


def _straightest(ticks: Sequence[Tick]) -> list[float]:
    """When each tick was, within its bracket, so that the power changes as little as the brackets allow.

    The taut string (Davies and Kovac, Annals of Statistics 29, 2001) of time over energy: from a tick, the steepest and the
    flattest course through all brackets ahead are narrowed until a bracket lies outside; there the string bends, at the bracket that
    it touches.
    """
    times = [tick.time_s for tick in ticks]
    if len(ticks) < 3:
        # The brackets of a counter's first readings are as wide as its period.
        known = len(ticks) == 2 and times[1] - times[0] >= 2 * max(tick.width_s for tick in ticks)
        return times if known else [NAN] * len(ticks)
    at = 1  # the first tick's bracket is wide; it is fitted to the others
    slope: float | None = None
    first_slope: float | None = None
    while at < len(ticks) - 1:
        origin_s, origin_j = times[at], ticks[at].energy_j
        low, high = -math.inf, math.inf
        low_at = high_at = end = at
        bent: float | None = None
        for index in range(at + 1, min(at + 1 + REACH, len(ticks))):
            joules = ticks[index].energy_j - origin_j
            if joules <= 0:
                break  # a reset bridged with nothing: the string starts again
            earliest = (ticks[index].earliest_s - origin_s) / joules
            latest = (ticks[index].latest_s - origin_s) / joules
            if earliest > high:
                bent, end = high, high_at
                break
            if latest < low:
                bent, end = low, low_at
                break
            if earliest >= low:
                low, low_at = earliest, index
            if latest <= high:
                high, high_at = latest, index
            end = index
        if end == at:
            at, slope = at + 1, None
            continue
        if bent is None:
            ahead = (times[end] - origin_s) / (ticks[end].energy_j - origin_j)
            bent = min(max(ahead if slope is None else slope, low), high)
        slope = bent
        first_slope = slope if first_slope is None else first_slope
        for index in range(at + 1, end + 1):
            times[index] = origin_s + slope * (ticks[index].energy_j - origin_j)
        at = end
    if first_slope is not None:
        reached = times[1] - first_slope * (ticks[1].energy_j - ticks[0].energy_j)
        times[0] = min(max(reached, ticks[0].earliest_s), ticks[0].latest_s)
    return times


# ---------------------------------------------------------------------------------------------------------- the picture

WIDTH_PX, HEIGHT_PX, DPI = 1200, 600, 100
LEFT_PX, RIGHT_PX, BOTTOM_PX = 84, 24, 84
TITLE_PX, LEGEND_ROW_PX, LANE_PX, LANE_GAP_PX = 52, 24, 18, 4

# Okabe and Ito, Color Universal Design (jfly.uni-koeln.de/color), 2008: told apart with any colour vision. Its yellow and sky blue
# are too faint for a thin line on white.
COLOURS: Mapping[Component, str] = {
    "gpu": "#0072B2",
    "cpu": "#D55E00",
    "dram": "#009E73",
    "module": "#CC79A7",
    "host": "#E69F00",
    "wall": "#000000",
}
NAMES: Mapping[str, str] = {"gpu": "GPU", "cpu": "CPU", "dram": "DRAM"}
INK, QUIET_INK, RULE, LANE = "#1f2328", "#57606a", "#e4e7eb", "#dfe3e8"

MOST_LINES = 8  # of one component; more devices are drawn as their sum
MOST_LANES = 5
MOST_PIECES = 1500  # more than a line of that many pixels can show; means and ranges are drawn instead
BINS = 530  # of two pixels each

Origin = Literal["measured", "estimated"]


@dataclass(frozen=True, slots=True)
class _Line:
    """The power of one device over time, or of several together (``devices``)."""

    component: Component
    origin: Origin
    pieces: Sequence[_Piece]


@dataclass(frozen=True, slots=True)
class _Shade:
    """The windows of one name."""

    name: str
    count: int
    spans: Sequence[tuple[float, float]]


def plot(journal: Journal, *, title: str | None = None) -> bytes:
    """A PNG of 1200 × 600 pixels: power over time in steps, windows shaded and named above.

    A device that has a counter and a register is drawn by its counter. What is modelled is dashed and called estimated. Sessions
    stand one after another, each begun by a dotted line. The same journal gives the same bytes under one version of matplotlib; the
    user's own matplotlib settings and figures are neither used nor touched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white", layout="none")
    canvas = FigureCanvasAgg(figure)
    _Picture(journal, figure, canvas).draw(title or "Power over time")
    file = io.BytesIO()
    canvas.print_png(file, metadata={"Software": None})
    return file.getvalue()


class _Picture:
    """One journal being drawn. Positions are in pixels from the lower left corner, times in seconds."""

    def __init__(self, journal: Journal, figure: Figure, canvas: FigureCanvasAgg) -> None:
        self.journal = journal
        self.figure = figure
        self.renderer = canvas.get_renderer()
        self.fonts = {weight: _font(weight) for weight in ("regular", "bold")}
        self.starts_s = [0.0, *itertools.accumulate(session.last_s for session in journal.sessions)]
        self.end_s = self.starts_s.pop() or 1.0
        self.unit_s, self.unit = _unit(self.end_s)
        self.lines = _lines(journal, self.starts_s)
        self.shades = _shades(journal, self.starts_s)
        self.notes: list[str] = []

    def draw(self, title: str) -> None:
        groups = self._groups()
        binned = any(len(lines) > MOST_LINES for lines in groups.values()) or any(
            len(line.pieces) > MOST_PIECES for line in self.lines
        )
        legend_rows = math.ceil(len(groups) / 4)
        top = HEIGHT_PX - TITLE_PX - LEGEND_ROW_PX * legend_rows
        lanes = self._lanes()
        high = top - (LANE_PX + LANE_GAP_PX) * len(lanes) - (LANE_GAP_PX if lanes else 0)
        self._text(LEFT_PX, HEIGHT_PX - 30, title, size=15, weight="bold", room=WIDTH_PX - LEFT_PX - RIGHT_PX)
        axes = self.figure.add_axes(
            (
                LEFT_PX / WIDTH_PX,
                BOTTOM_PX / HEIGHT_PX,
                (WIDTH_PX - LEFT_PX - RIGHT_PX) / WIDTH_PX,
                (high - BOTTOM_PX) / HEIGHT_PX,
            ),
            facecolor="white",
        )
        axes.set_axis_off()
        ...
