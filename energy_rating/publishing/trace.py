"""A journal's readings as a table and as a picture: the power of every device over time.

How ticks become power is ``courses``'s.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_rating.files.reading import Journal
from energy_rating.files.windows import times
from energy_rating.judging.integration import many
from energy_rating.nouns.quantities import duration, significant
from energy_rating.nouns.records import COMPONENTS, METHODS, RUN, Channel, Component
from energy_rating.publishing.courses import Bins, PowerCourse, added_up, of_channel, power_of_readings
from energy_rating.publishing.names import NAMES, Origin, origin_of
from energy_rating.publishing.paper import COLOURS, LANE, QUIET_INK, RULE, SHADES, Form, Paper
from energy_rating.publishing.strangers import for_plain_text

if TYPE_CHECKING:
    import pandas

NAN = math.nan


def table(journal: Journal) -> pandas.DataFrame:
    """One row a reading of a channel, by time: ``time_s, channel, component, device, method, value, power_w``.

    ``time_s`` is the middle of the reading, in seconds since the start of its session; ``value`` is in joules for a counter, in
    watts else. ``power_w`` of a counter is the energy of the tick that the reading saw, or saw coming, over the time since the tick
    before; NaN where there is none yet or something is missing in between. Of a register it is the value; NaN where no device can
    draw that. A journal of several sessions has a column ``session`` more, counted from 1.
    """
    import numpy
    import pandas

    words: dict[str, list[str]] = {name: [] for name in ("channel", "component", "device", "method")}
    numbers: dict[str, list[many.Array]] = {name: [] for name in ("time_s", "value", "power_w", "session")}
    for number, session in enumerate(journal.sessions, start=1):
        for channel in session.channels:
            samples = session.samples[channel.id]
            start_s, end_s, values = many.arrays(samples.start_s, samples.end_s, samples.values)
            numbers["time_s"].append((start_s + end_s) / 2)
            numbers["value"].append(values)
            numbers["power_w"].append(power_of_readings(session, channel))
            numbers["session"].append(numpy.full(len(samples), number, numpy.float64))
            words["channel"] += [channel.id] * len(samples)
            for name in ("component", "device", "method"):
                words[name] += [getattr(channel, name)] * len(samples)
    together = {name: numpy.concatenate([numpy.empty(0), *parts]) for name, parts in numbers.items()}
    frame = pandas.DataFrame({"time_s": together.pop("time_s"), **words, **together})
    frame = frame.astype({"session": "int64"})
    frame = frame.sort_values(["session", "time_s"], kind="stable", ignore_index=True)
    return frame if len(journal.sessions) > 1 else frame.drop(columns="session")


# --------------------------------------------------------------------------------------------------------- the picture

# Positions are in pixels from the lower left corner.
WIDTH_PX, HEIGHT_PX = 1200, 600
LEFT_PX, RIGHT_PX, BOTTOM_PX, TITLE_PX = 84, 1176, 98, 50
LEGEND_PX, LANE_PX, LANE_GAP_PX, WIDE_PX = 28, 20, 3, 4

MOST_LINES = 8  # of one component; more devices are drawn as their sum
MOST_LANES = 5
MOST_PIECES = 1500  # of one line; what is too dense to be seen apart is drawn as means and ranges
BINS = (RIGHT_PX - LEFT_PX) // 2

Kind = tuple[Component, Origin]
Place = Callable[[float], float]  # from seconds or watts to pixels


@dataclass(frozen=True, slots=True)
class _PowerLine:
    """The power of one device over time, in one session; without a course where nothing is known of it."""

    kind: Kind
    session: int
    course: PowerCourse


@dataclass(frozen=True, slots=True)
class _Name:
    """The windows of one name, by their start."""

    name: str
    spans: Sequence[tuple[float, float]]


def plot(journal: Journal, *, title: str | None = None) -> bytes:
    """A PNG of 1200 × 600 pixels: power over time in steps, with the windows shaded and named above.

    A device that has a counter and a register is drawn by its counter. What is modelled is dashed and called estimated. Sessions
    stand one after another. The same journal gives the same bytes under one version of matplotlib; nothing of the user's own
    matplotlib figures is touched.
    """
    return _drawn(journal, title, "png")[0].png()


def svg(journal: Journal, *, title: str | None = None) -> str:
    """The same picture as an SVG that stands in a page; what is seen on it is in its words."""
    paper, words = _drawn(journal, title, "svg")
    return paper.svg(title=title or "Power over time", words=words)


def _drawn(journal: Journal, title: str | None, form: Form) -> tuple[Paper, str]:
    starts_s = list(itertools.accumulate((session.last_s for session in journal.sessions), initial=0.0))
    end_s = starts_s.pop() or 1.0
    lines = _lines(journal, starts_s)
    groups = _groups(lines)
    paper = Paper(WIDTH_PX, HEIGHT_PX, form)

    def x_px(time_s: float) -> float:
        return LEFT_PX + (RIGHT_PX - LEFT_PX) * min(max(time_s / end_s, 0.0), 1.0)

    paper.text(LEFT_PX, HEIGHT_PX - 34, title or "Power over time", size=14, bold=True)
    top = _draw_legend(paper, groups, HEIGHT_PX - TITLE_PX)
    names = _names(journal, starts_s)
    top, unnamed = _draw_windows(paper, names, x_px, top)
    notes = _draw_power(paper, groups, x_px, top, end_s)
    _draw_time(paper, x_px, end_s)
    for start_s in starts_s[1:]:
        paper.line([(x_px(start_s), BOTTOM_PX), (x_px(start_s), top)], QUIET_INK, width=1.2, dashed=True)
    if len(starts_s) > 1:
        notes.append(f"{len(starts_s)} sessions, one after another")
    if unnamed:
        notes.append(f"{unnamed} more names of windows are only shaded")
    dark = {line.kind[0] for line in lines} - {component for component, _ in groups}
    if groups and dark:
        notes.append("no power is known of " + ", ".join(NAMES[c] for c in COMPONENTS if c in dark))
    if not groups:
        readings = any(len(samples) for session in journal.sessions for samples in session.samples.values())
        words = (
            "The readings are too few to tell a power" if readings else "No sensor gave a reading in this run"
        )
        middle = (LEFT_PX + RIGHT_PX) / 2, (BOTTOM_PX + top) / 2
        paper.text(*middle, words, size=14, colour=QUIET_INK, across="center")
    model = [journal.model.id] if journal.model else []
    facts = " · ".join([f"run {journal.run_id}", journal.stage, *model])
    paper.text(LEFT_PX, 32, facts, size=9, colour=QUIET_INK)
    paper.text(LEFT_PX, 14, " · ".join(notes), size=9, colour=QUIET_INK)
    return paper, _in_words(groups, names, end_s, notes)


def _in_words(
    groups: Mapping[Kind, Sequence[_PowerLine]], names: Sequence[_Name], end_s: float, notes: Sequence[str]
) -> str:
    """What is seen, for who does not see it: the highest and the mean power of each kind of device, and which windows there are."""
    told: list[str] = []
    for (component, origin), lines in groups.items():
        courses = [line.course for line in lines if len(line.course)]
        known_s = sum(course.known_s for course in courses) / max(map(len, _by_session(lines)))
        joules = sum(float((course.watts * (course.ends_s - course.starts_s)).sum()) for course in courses)
        highest = max(float(course.watts.max()) for course in courses)
        told.append(
            f"{_called(component, lines)}, {origin}: {significant(joules / known_s, 3)} W on average, "
            f"{'of all together' if len(lines) > 1 else f'at most {significant(highest, 3)} W'}"
        )
    windows = [
        for_plain_text(item.name, 60) + (f" ({len(item.spans):,})" if len(item.spans) > 1 else "")
        for item in names[:MOST_LANES]
    ]
    told.append(f"{duration(end_s)} in all")
    if windows:
        told.append(f"windows: {', '.join(windows)}")
    return "; ".join([*told, *notes])


def _lines(journal: Journal, starts_s: Sequence[float]) -> list[_PowerLine]:
    """A line a device and session, from its counter; from its register where that saw more than twice as much."""
    lines: list[_PowerLine] = []
    for number, (session, start_s) in enumerate(zip(journal.sessions, starts_s, strict=True)):
        devices: dict[tuple[Component, str], list[Channel]] = {}
        for channel in sorted(session.channels, key=lambda channel: METHODS.index(channel.method)):
            devices.setdefault((channel.component, channel.device), []).append(channel)
        for (component, _), channels in devices.items():
            found = [(channel, of_channel(session, channel)) for channel in channels]
            most_s = max(course.known_s for _, course in found)
            channel, course = next(item for item in found if item[1].known_s >= most_s / 2)
            origin = origin_of(channel.method)
            lines.append(_PowerLine((component, origin), number, course.placed(start_s, session.last_s)))
    return lines


def _groups(lines: Iterable[_PowerLine]) -> dict[Kind, list[_PowerLine]]:
    """The lines that are drawn alike, as the components are ordered; without those of which nothing is known."""
    groups: dict[Kind, list[_PowerLine]] = {}
    for line in sorted(lines, key=lambda line: (COMPONENTS.index(line.kind[0]), line.kind[1] == "estimated")):
        groups.setdefault(line.kind, []).append(line)
    return {kind: group for kind, group in groups.items() if any(len(line.course) for line in group)}


def _by_session(group: Iterable[_PowerLine]) -> list[list[_PowerLine]]:
    sessions: dict[int, list[_PowerLine]] = {}
    for line in group:
        sessions.setdefault(line.session, []).append(line)
    return list(sessions.values())


def _names(journal: Journal, starts_s: Sequence[float]) -> list[_Name]:
    """The windows by name, what begins first before what it holds; without the run itself."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for session, start_s in zip(journal.sessions, starts_s, strict=True):
        for name, since, to, _ in times(session.spans):
            if name != RUN:
                spans.setdefault(name, []).append((start_s + since, start_s + to))
    names = [_Name(name, sorted(found)) for name, found in spans.items()]
    return sorted(names, key=lambda item: (item.spans[0][0], -item.spans[0][1], item.name))


def _draw_legend(paper: Paper, groups: Mapping[Kind, Sequence[_PowerLine]], top: float) -> float:
    """A row, or more where one is too short. Returns what is left below."""
    if not groups:
        return top - LEGEND_PX / 2
    x, y = float(LEFT_PX), top - LEGEND_PX / 2
    for (component, origin), lines in groups.items():
        label = f"{_called(component, lines)}, {origin}"
        width = 36 + paper.width(label, size=11)
        if x + width > RIGHT_PX and x > LEFT_PX:
            x, y = float(LEFT_PX), y - LEGEND_PX
        paper.line([(x, y), (x + 28, y)], COLOURS[component], width=2.2, dashed=origin == "estimated")
        paper.text(x + 36, y, label, size=11)
        x += width + 28
    return y - LEGEND_PX / 2


def _called(component: Component, lines: Sequence[_PowerLine]) -> str:
    """As the legend calls them: ``GPU``, ``GPU ×8 (one line each)``, ``GPU ×16 (sum)``; and how many of them are seen."""
    sessions = _by_session(lines)
    there = max(len(session) for session in sessions)
    seen = max(sum(len(line.course) > 0 for line in session) for session in sessions)
    if there == 1:
        return NAMES[component]
    how = "sum" if there > MOST_LINES else "one line each"
    return f"{NAMES[component]} ×{there} ({how}{f', {there - seen} unseen' if seen < there else ''})"


def _draw_windows(paper: Paper, names: Sequence[_Name], x_px: Place, top: float) -> tuple[float, int]:
    """Shades all windows and gives each name a bar in a lane above, so that no two labels meet.

    Returns what is left below, and how many names found no lane.
    """
    depth = [0] * WIDTH_PX
    lanes: list[list[tuple[float, float]]] = []
    bars: list[tuple[int, _Name, list[tuple[int, int]], float, str]] = []
    for item in names:
        runs = _pixel_runs(item.spans, x_px)
        for since, to in runs:
            for column in range(since, to):
                depth[column] += 1
        count = f" ×{len(item.spans)}" if len(item.spans) > 1 else ""
        label = paper.fitting(item.name, size=10, room=(RIGHT_PX - LEFT_PX) / 3) + count
        width = paper.width(label, size=10)
        x = runs[0][0] + 5.0
        if x + width > RIGHT_PX:
            x = runs[0][0] - 5.0 - width
        taken = min(runs[0][0], x), max(runs[-1][1], x + width + 8)
        free = (
            number
            for number, others in enumerate(lanes)
            if all(taken[0] >= to or taken[1] <= since for since, to in others)
        )
        lane = next(free, len(lanes))
        if lane == MOST_LANES:
            continue
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append(taken)
        bars.append((lane, item, runs, x, label))
    bottom = top - (LANE_PX + LANE_GAP_PX) * len(lanes)
    for open_windows, columns in itertools.groupby(range(WIDTH_PX), lambda x: min(depth[x], len(SHADES))):
        across = list(columns)
        if open_windows:
            paper.box(across[0], BOTTOM_PX, across[-1] + 1, bottom, SHADES[open_windows - 1])
    for lane, item, runs, _, _ in bars:
        high = top - (LANE_PX + LANE_GAP_PX) * lane
        paper.boxes(((since, high - LANE_PX, to, high) for since, to in runs), LANE)
        starts = [round(x_px(start_s)) for start_s, _ in item.spans]
        # Windows that touch are told apart where they are wide enough.
        wide = [
            column
            for column, (_, end_s) in zip(starts, item.spans, strict=True)
            if x_px(end_s) - column > WIDE_PX
        ]
        paper.boxes(
            (
                (column, low, column + 1, up)
                for column in wide
                for low, up in ((high - LANE_PX, high), (BOTTOM_PX, bottom))
            ),
            "white",
        )
    for lane, _, _, x, label in bars:
        paper.text(x, top - (LANE_PX + LANE_GAP_PX) * lane - LANE_PX / 2, label, size=10)
    return bottom, len(names) - len(bars)


def _pixel_runs(spans: Iterable[tuple[float, float]], x_px: Place) -> list[tuple[int, int]]:
    """The columns of pixels that the spans cover, each at least one, as runs."""
    runs: list[tuple[int, int]] = []
    # Of windows that are narrower than a pixel, most cover the same ones.
    columns = dict.fromkeys((round(x_px(start_s)), round(x_px(end_s))) for start_s, end_s in spans)
    for first, last in columns:
        since = min(first, RIGHT_PX - 1)
        to = max(last, since + 1)
        if runs and since <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(to, runs[-1][1])
        else:
            runs.append((since, to))
    return runs


def _draw_power(
    paper: Paper, groups: Mapping[Kind, Sequence[_PowerLine]], x_px: Place, top: float, end_s: float
) -> list[str]:
    """The lines and their axis. Returns what is to be said of them."""
    bin_s = end_s / BINS
    courses: list[tuple[Kind, PowerCourse]] = []
    bands: list[tuple[Kind, Bins]] = []
    dense = summed = False
    for kind, group in groups.items():
        sessions = _by_session(group)
        if max(len(session) for session in sessions) > MOST_LINES:
            summed = True
            for session in sessions:
                courses.append(
                    (kind, added_up([Bins.of(line.course, bin_s, BINS) for line in session], bin_s))
                )
            continue
        for line in group:
            if len(line.course) <= MOST_PIECES:
                courses.append((kind, line.course))
                continue
            dense = True
            bins = Bins.of(line.course, bin_s, BINS)
            courses.append((kind, added_up([bins], bin_s)))
            if len(group) == 1:
                bands.append((kind, bins))
    drawn = [course.watts for _, course in courses] + [bins.highs_w[bins.known] for _, bins in bands]
    highest = max((float(watts.max()) for watts in drawn if len(watts)), default=0.0) or 1.0
    room = (top - BOTTOM_PX) / (1.06 * highest)

    def y_px(watts: float) -> float:
        return BOTTOM_PX + room * watts

    for watts, label in _ticks(1.06 * highest, most=6) if groups else ((0.0, ""),):
        y = round(y_px(watts)) + 0.5
        paper.line([(LEFT_PX, y), (RIGHT_PX, y)], QUIET_INK if watts == 0 else RULE, width=0.8)
        paper.text(LEFT_PX - 8, y, label, size=10, across="right")
    paper.text(24, (BOTTOM_PX + top) / 2, "Power (W)", size=11, across="center", upright=True)
    for (component, _), bins in bands:
        ranges = zip(bins.known.tolist(), bins.lows_w.tolist(), bins.highs_w.tolist(), strict=True)
        paper.boxes(
            (
                (x_px(number * bin_s), y_px(low_w), x_px((number + 1) * bin_s), y_px(high_w))
                for number, (is_known, low_w, high_w) in enumerate(ranges)
                if is_known
            ),
            COLOURS[component],
            opacity=0.22,
        )
    for (component, origin), course in courses:
        alone = len(groups[component, origin]) == 1 or summed
        points = [(x_px(time_s), y_px(watts)) for time_s, watts in _corners(course)]
        paper.line(
            points,
            COLOURS[component],
            width=1.6 if alone else 1.0,
            dashed=origin == "estimated",
            opacity=1.0 if alone else 0.85,
        )
    if not (dense or summed):
        return []
    return [f"lines: means of {significant(bin_s, 2)} s{', bands: lowest to highest' if bands else ''}"]


def _corners(course: PowerCourse) -> Iterator[tuple[float, float]]:
    """The corners of the steps; a corner of NaN where the line is broken."""
    last_s: float | None = None
    columns = course.starts_s.tolist(), course.ends_s.tolist(), course.watts.tolist()
    for start_s, end_s, watts in zip(*columns, strict=True):
        if last_s is not None and start_s > last_s:
            yield NAN, NAN
        yield start_s, watts
        yield end_s, watts
        last_s = end_s


def _draw_time(paper: Paper, x_px: Place, end_s: float) -> None:
    unit_s, unit = next(item for item in _UNITS if end_s <= item[0] * 200 or item == _UNITS[-1])
    for time, label in _ticks(end_s / unit_s, most=11):
        x = x_px(time * unit_s)
        paper.line([(x, BOTTOM_PX), (x, BOTTOM_PX - 5)], QUIET_INK, width=0.8)
        paper.text(x, BOTTOM_PX - 16, label, size=10, across="center")
    paper.text((LEFT_PX + RIGHT_PX) / 2, BOTTOM_PX - 38, f"Time ({unit})", size=11, across="center")


_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))


def _ticks(highest: float, *, most: int) -> Iterator[tuple[float, str]]:
    """Round numbers from 0 to the highest, at most so many steps, as they are written."""
    scale = 10.0 ** math.floor(math.log10(highest / most))
    step = next(step for step in (scale, 2 * scale, 5 * scale, 10 * scale) if step * most >= highest)
    for number in range(math.floor(highest / step + 1e-9) + 1):
        yield number * step, f"{number * step:.10g}"
