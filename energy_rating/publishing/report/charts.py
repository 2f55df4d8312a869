"""The pictures of a report beside the trace: bars with their intervals, courses of windows, a doubt in its parts, figures over the load.

Each returns an SVG that stands in the page, with its words for who does not see it. Bars begin at zero; what is estimated is hollow and
dashed, and said so; nothing is told by colour alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from energy_rating.judging.courses import WindowCourse
from energy_rating.nouns.quantities import Estimate, scaled, significant, with_doubt
from energy_rating.nouns.records import Component
from energy_rating.publishing.axes import short, ticks
from energy_rating.publishing.names import NAMES, Origin
from energy_rating.publishing.paper import COLOURS, INK, QUIET_INK, RULE, Paper
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.words import plural

WIDTH_PX = 1200
LEFT_PX, RIGHT_PX = 110, 1170
_JOULES = ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyBar:
    """One bar: what it is of, how much with its doubt, and how that was had. ``words`` is what stands beside it."""

    name: str
    amount: Estimate
    unit: str
    component: Component
    origin: Origin

    @property
    def words(self) -> str:
        return f"{with_doubt(self.amount, self.unit)}, {self.origin}"


ROW_PX = 44


def bars(title: str, rows: Sequence[EnergyBar]) -> str:
    """A bar a row, all on one scale from zero, each with its 95 % interval."""
    names_px = 250
    height = ROW_PX * len(rows) + 20
    paper = Paper(WIDTH_PX, height, "svg")
    most = max((max(row.amount.interval()[1], row.amount.value) for row in rows), default=0.0) or 1.0
    room = 560

    def x_px(amount: float) -> float:
        return names_px + room * min(max(amount / most, 0.0), 1.0)

    for number, row in enumerate(rows):
        y = height - 10 - ROW_PX * number - ROW_PX / 2
        colour = COLOURS[row.component]
        paper.text(8, y, paper.fitting(row.name, size=12, room=names_px - 20), size=12)
        right = x_px(row.amount.value)
        if row.origin == "measured":
            paper.box(names_px, y - 11, right, y + 11, colour)
        else:
            corners = [(names_px, y - 11), (right, y - 11), (right, y + 11), (names_px, y + 11)]
            paper.line([*corners, corners[0]], colour, width=1.6, dashed=row.origin == "estimated")
        low, high = row.amount.interval()
        if high > low:
            ends = x_px(max(low, 0.0)), x_px(high)
            paper.line([(ends[0], y), (ends[1], y)], INK, width=1.2)
            for end in ends:
                paper.line([(end, y - 6), (end, y + 6)], INK, width=1.2)
        paper.text(names_px + room + 20, y, row.words, size=12)
    words = "; ".join(f"{for_plain_text(row.name, 60)}: {row.words}" for row in rows)
    return paper.svg(title=title, words=f"{words}. The lines are 95 % intervals")


# ---------------------------------------------------------------------------------------------- one window after another

_TOP, _BOTTOM, _HEIGHT = 300, 56, 340
MOST_BARS = 60


def course(found: WindowCourse) -> str:
    """The energy of each window of a name in its order; of many their mean, within the lowest and the highest of each block."""
    title = f"Energy of each {for_plain_text(found.name, 60)}"
    paper = Paper(WIDTH_PX, _HEIGHT, "svg")
    top_j = max(block.high_j for block in found.blocks) or 1.0
    size, unit = next(((size, unit) for size, unit in _JOULES if top_j >= size), _JOULES[-1])
    y_px = _with_axis(paper, 1.05 * top_j / size, f"Energy ({unit})")
    colour = COLOURS[found.component]

    def x_px(window: float) -> float:
        return LEFT_PX + (RIGHT_PX - LEFT_PX) * (window - 0.5) / found.n

    if found.n <= MOST_BARS:
        gap = 0.12
        paper.boxes(
            (
                (x_px(one.first - 0.5 + gap), y_px(0), x_px(one.last + 0.5 - gap), y_px(one.mean_j / size))
                for one in found.blocks
            ),
            colour,
        )
    else:
        paper.boxes(
            (
                (x_px(one.first - 0.5), y_px(one.low_j / size), x_px(one.last + 0.5), y_px(one.high_j / size))
                for one in found.blocks
                if one.high_j > one.low_j
            ),
            colour,
            opacity=0.25,
        )
        points: list[tuple[float, float]] = []
        before = None
        for one in found.blocks:
            if before is not None and one.first != before + 1:
                points.append((math.nan, math.nan))
            points.append((x_px((one.first + one.last) / 2), y_px(one.mean_j / size)))
            before = one.last
        paper.line(points, colour, width=1.4)
    for at in ticks(found.n):
        if at >= 1 and at == int(at):
            paper.text(x_px(at), _BOTTOM - 16, short(at), size=10, across="center")
    paper.text(
        (LEFT_PX + RIGHT_PX) / 2,
        _BOTTOM - 40,
        f"{paper.fitting(found.name, size=11, room=500)}, in their order",
        size=11,
        across="center",
    )
    return paper.svg(title=title, words=course_in_words(found))


def course_in_words(found: WindowCourse) -> str:
    """``5 windows, 20.1 kJ to 20.5 kJ, 20.4 kJ on average``; and what is to be known of the picture."""
    known = sum(one.last - one.first + 1 for one in found.blocks)
    mean_j = math.fsum(one.mean_j * (one.last - one.first + 1) for one in found.blocks) / known
    low_j, high_j = min(one.low_j for one in found.blocks), max(one.high_j for one in found.blocks)
    told = [
        f"{found.n:,} windows, {scaled(mean_j, 'J')} each on average, from {scaled(low_j, 'J')} to {scaled(high_j, 'J')}"
    ]
    if len(found.blocks) < known:
        block = found.blocks[0]
        told.append(
            f"the line is the mean of {block.last - block.first + 1} windows at a time, the band their lowest and highest"
        )
    if not found.exact:
        told.append("single windows are read off the sensor's course, and are less sure than their sum")
    if found.unseen:
        told.append(f"{found.unseen:,} windows were not seen well enough and are left out")
    return "; ".join(told)


def _with_axis(paper: Paper, top: float, name: str) -> Callable[[float], float]:
    """Lines at round numbers from zero up. Returns where a number stands."""

    def y_px(amount: float) -> float:
        return _BOTTOM + (_TOP - _BOTTOM) * amount / top

    for at in ticks(top):
        y = y_px(at)
        paper.line([(LEFT_PX, y), (RIGHT_PX, y)], QUIET_INK if at == 0 else RULE, width=0.8)
        paper.text(LEFT_PX - 8, y, f"{at:g}", size=10, across="right")
    paper.text(24, (_TOP + _BOTTOM) / 2, name, size=11, across="center", upright=True)
    return y_px


# ---------------------------------------------------------------------------------------------------- parts of a whole


def parts(title: str, shares: Sequence[tuple[str, float]]) -> str:
    """One bar in parts, each with its share in words below it; the parts differ in shade, and a line stands between them."""
    told = [
        f"{name}: {_percent(share / (math.fsum(each for _, each in shares) or 1.0))}"
        for name, share in shares
    ]
    # Words that do not fit beside one another stand below one another.
    measure = Paper(WIDTH_PX, 1, "svg")
    is_wide = sum(measure.width(text, size=11) + 24 for text in told) > WIDTH_PX
    height = 60 + 24 * (len(told) if is_wide else 1)
    paper = Paper(WIDTH_PX, height, "svg")
    x, left, width = 8.0, 8.0, WIDTH_PX - 16
    low, high = height - 38, height - 8
    whole = math.fsum(share for _, share in shares) or 1.0
    edges: list[float] = []
    for number, (_, share) in enumerate(shares):
        to = x + width * share / whole
        paper.box(x, low, to, high, COLOURS["gpu"], opacity=(0.9, 0.45, 0.2)[number % 3])
        edges.append(x)
        x = to
    frame = [(left, low), (left + width, low), (left + width, high), (left, high), (left, low)]
    paper.line(frame, INK, width=1.0)
    for edge in edges[1:]:
        paper.line([(edge, low - 6), (edge, high + 4)], INK, width=1.6)
    taken = left
    for number, (edge, text) in enumerate(zip(edges, told, strict=True)):
        if is_wide:
            paper.text(left, low - 22 - 24 * number, f"{number + 1}. {text}", size=11)
            continue
        start = max(taken, min(edge, WIDTH_PX - 8 - paper.width(text, size=11)))
        paper.text(start, low - 22, text, size=11)
        taken = start + paper.width(text, size=11) + 24
    return paper.svg(title=title, words="; ".join(told))


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "below 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


# ------------------------------------------------------------------------------------------------------- over the load


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadPoint:
    """The energy of a unit of work at some load: so many requests at a time."""

    at_a_time: int
    energy_j: Estimate
    origin: Origin


def over_load(points: Sequence[LoadPoint], unit: str, component: Component) -> str:
    """Energy per unit over how much is done at a time, on a scale on which each doubling takes the same room."""
    points = sorted(points, key=lambda one: one.at_a_time)
    paper = Paper(WIDTH_PX, _HEIGHT, "svg")
    top_j = max(one.energy_j.interval()[1] for one in points) or 1.0
    size, name = next(((size, name) for size, name in _JOULES if top_j >= size), _JOULES[-1])
    y_px = _with_axis(paper, 1.05 * top_j / size, f"{name} per {for_plain_text(unit, 24)}")
    low, high = math.log2(points[0].at_a_time), math.log2(points[-1].at_a_time)

    def x_px(number: int) -> float:
        return LEFT_PX + 40 + (RIGHT_PX - LEFT_PX - 80) * (math.log2(number) - low) / (high - low or 1.0)

    colour = COLOURS[component]
    paper.line([(x_px(one.at_a_time), y_px(one.energy_j.value / size)) for one in points], colour, width=1.6)
    for one in points:
        x = x_px(one.at_a_time)
        ends = [y_px(max(end, 0.0) / size) for end in one.energy_j.interval()]
        paper.line([(x, ends[0]), (x, ends[1])], INK, width=1.2)
        y = y_px(one.energy_j.value / size)
        if one.origin == "measured":
            paper.box(x - 4, y - 4, x + 4, y + 4, colour)
        else:
            corners = [(x - 5, y - 5), (x + 5, y - 5), (x + 5, y + 5), (x - 5, y + 5)]
            paper.line([*corners, corners[0]], colour, width=1.4)
    for number in dict.fromkeys(one.at_a_time for one in points):
        paper.text(x_px(number), _BOTTOM - 16, f"{number:,}", size=10, across="center")
    paper.text(
        (LEFT_PX + RIGHT_PX) / 2, _BOTTOM - 40, "requests at a time (each doubling takes the same room)",
        size=11, across="center",
    )  # fmt: skip
    words = "; ".join(
        f"{one.at_a_time:,} at a time: {with_doubt(one.energy_j, 'J')} per {for_plain_text(unit, 24)}, {one.origin}"
        for one in points
    )
    return paper.svg(title="Energy over the load", words=f"{NAMES[component]}. {words}")


# ----------------------------------------------------------------------------------------------- two runs on one scale


def two_courses(component: Component, sides: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """The power of two runs over the time since the start of each; B is dashed, so that both are told apart without colours."""
    paper = Paper(WIDTH_PX, _HEIGHT, "svg")
    longest_s = max((at for _, its in sides for at, _ in its), default=0.0) or 1.0
    top_w = max((watts for _, its in sides for _, watts in its), default=0.0) or 1.0
    y_px = _with_axis(paper, 1.05 * top_w, "Power (W)")

    def x_px(time_s: float) -> float:
        return LEFT_PX + (RIGHT_PX - LEFT_PX) * time_s / longest_s

    said: list[str] = []
    x = float(LEFT_PX)
    for (name, its), colour, dashed in zip(
        sides, (COLOURS["gpu"], COLOURS["cpu"]), (False, True), strict=True
    ):
        paper.line([(x_px(at), y_px(watts)) for at, watts in its], colour, width=1.4, dashed=dashed)
        paper.line([(x, _TOP + 20), (x + 36, _TOP + 20)], colour, width=2.0, dashed=dashed)
        label = paper.fitting(name, size=11, room=420)
        paper.text(x + 44, _TOP + 20, label, size=11)
        x += 44 + paper.width(label, size=11) + 40
        mean_w = _mean_w(its)
        said.append(f"{for_plain_text(name, 80)}: {significant(mean_w, 3)} W on average")
    for at in ticks(longest_s):
        paper.text(x_px(at), _BOTTOM - 16, f"{short(at)} s", size=10, across="center")
    return paper.svg(title=f"Power of the {NAMES[component]}, both runs on one scale", words="; ".join(said))


@dataclass(frozen=True, kw_only=True, slots=True)
class LifeLine:
    """A model's energy over the requests that it answers: what went before, and what each adds."""

    name: str
    before_j: Estimate
    each_j: Estimate


def over_requests(lines: Sequence[LifeLine], unit: str, meet: float | None) -> str:
    """The energy of each model's life over how often it is used; ``meet``: where two of them have taken as much."""
    paper = Paper(WIDTH_PX, _HEIGHT, "svg")
    # As far as use has taken as much as all before it, or well beyond where two meet.
    doubled = [one.before_j.value / one.each_j.value for one in lines if one.each_j.value > 0]
    most = 1.6 * meet if meet else 1.2 * max(doubled, default=0.0) or 1000.0
    ends_j = [one.before_j.value + most * one.each_j.value for one in lines]
    top_j = max(ends_j) or 1.0
    size, name = next(((size, name) for size, name in _JOULES if top_j >= size), _JOULES[-1])
    y_px = _with_axis(paper, 1.05 * top_j / size, f"Energy ({name})")

    def x_px(amount: float) -> float:
        return LEFT_PX + (RIGHT_PX - LEFT_PX) * amount / most

    x = float(LEFT_PX)
    told: list[str] = []
    for one, end_j, (colour, dashed) in zip(lines, ends_j, itertools.cycle(_LINES)):
        points = [(x_px(0), y_px(one.before_j.value / size)), (x_px(most), y_px(end_j / size))]
        paper.line(points, colour, width=1.8, dashed=dashed)
        paper.line([(x, _TOP + 20), (x + 36, _TOP + 20)], colour, width=2.0, dashed=dashed)
        label = paper.fitting(one.name, size=11, room=420)
        paper.text(x + 44, _TOP + 20, label, size=11)
        x += 44 + paper.width(label, size=11) + 40
        told.append(
            f"{for_plain_text(one.name, 80)}: {with_doubt(one.before_j, 'J')} before use, {with_doubt(one.each_j, 'J')} for each {unit}"
        )
    if meet:
        paper.line([(x_px(meet), y_px(0)), (x_px(meet), _TOP)], QUIET_INK, width=1.0, dashed=True)
        told.append(f"they have taken as much after {short(meet)}")
    for at in ticks(most):
        paper.text(x_px(at), _BOTTOM - 16, short(at), size=10, across="center")
    paper.text((LEFT_PX + RIGHT_PX) / 2, _BOTTOM - 40, f"number of {plural(unit)}", size=11, across="center")
    return paper.svg(title="Energy of a model's life over its use", words="; ".join(told))


_LINES = ((COLOURS["gpu"], False), (COLOURS["cpu"], True))


def _mean_w(points: Sequence[tuple[float, float]]) -> float:
    return math.fsum(_joules(points)) / ((points[-1][0] - points[0][0]) or 1.0) if len(points) > 1 else 0.0


def _joules(points: Sequence[tuple[float, float]]) -> Iterator[float]:
    for (a_s, a_w), (b_s, b_w) in itertools.pairwise(points):
        yield (b_s - a_s) * (a_w + b_w) / 2
