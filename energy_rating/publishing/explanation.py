"""Why two runs differ, as a paragraph for a colleague and as both courses of power on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from energy_rating.judging.explanation import Explanation, RunSide
from energy_rating.nouns.quantities import duration, significant
from energy_rating.publishing.axes import short, ticks
from energy_rating.publishing.strangers import for_plain_text

_COLOURS, _DASHES = ("#0072B2", "#D55E00"), ("", "6 3")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 340, 70, 40, 30, 50


def paragraph(found: Explanation) -> str:
    """One paragraph: by how much, whether by power or by time, and what is recorded that may have done it."""
    low, high = found.comparison.interval_95
    each = f" for each {found.unit}" if found.unit is not None else " in all"
    sentences = [
        f"B needed {_times(found.ratio)} the energy of A{each} (between {significant(low, 3)} and {significant(high, 3)} with 95 % confidence)"
    ]
    if math.isfinite(found.by_time) and math.isfinite(found.by_power):
        sentences.append(
            f"It took {_times(found.by_time)} the time{each} at {_times(found.by_power)} the power: "
            f"{found.b.mean_w:.4g} W where A drew {found.a.mean_w:.4g} W"
        )
    if found.a.units_per_s and found.b.units_per_s:
        sentences.append(
            f"B did {significant(found.b.units_per_s, 3)} {found.unit} a second, A {significant(found.a.units_per_s, 3)}"
        )
    causes = [cause for cause in found.causes if cause.weight > 1.0]
    settings = [cause for cause in found.causes if cause.weight <= 1.0]
    if causes:
        sentences.append(f"In B {'; '.join(for_plain_text(cause.text, 200) for cause in causes)}")
    if settings:
        told = "; ".join(for_plain_text(cause.text, 120) for cause in settings[:5])
        more = f"; and {len(settings) - 5} more" if len(settings) > 5 else ""
        sentences.append(f"What was set otherwise: {told}{more}")
    if not causes and not settings:
        sentences.append(
            "Nothing that was recorded differs: what made the difference is not in these records"
        )
    unknown = list(_not_recorded(found))
    if unknown:
        sentences.append(f"Not recorded: {', '.join(unknown)}")
    return ". ".join(sentences) + "."


def _times(ratio: float) -> str:
    return f"{significant(ratio, 3)} times"


def _not_recorded(found: Explanation) -> Iterator[str]:
    for what, name in (
        ("clock_mhz", "clocks"),
        ("temperature_c", "temperature"),
        ("throttled_share", "throttling"),
        ("shared_share", "other programs on the device"),
    ):
        lacking = [letter for letter, side in (("A", found.a), ("B", found.b)) if getattr(side, what) is None]
        if lacking:
            yield name if len(lacking) == 2 else f"{name} of {lacking[0]}"


def rows(found: Explanation) -> Iterator[tuple[str, str, str]]:
    """What is known of both, side by side."""
    unit = found.unit or "work"
    yield "run", found.a.run_id, found.b.run_id
    yield "time", duration(found.a.duration_s), duration(found.b.duration_s)
    yield "mean power", f"{found.a.mean_w:.4g} W", f"{found.b.mean_w:.4g} W"
    for name, field, form in (
        (f"{unit} a second", "units_per_s", "{:.4g}"),
        ("clock", "clock_mhz", "{:.0f} MHz"),
        ("temperature", "temperature_c", "{:.0f} °C"),
        ("power limit", "power_limit_w", "{:.0f} W"),
        ("clocks held down", "throttled_share", "{:.0%} of the time"),
        ("others on the device", "shared_share", "{:.0%} of the time"),
    ):
        values = [getattr(side, field) for side in (found.a, found.b)]
        if values != [None, None]:
            a, b = ("not recorded" if value is None else form.format(value) for value in values)
            yield name, a, b


def plot(found: Explanation) -> str:
    """Both courses of power over the time since their start, on one scale, as SVG. The same runs, the same bytes."""
    sides = (found.a, found.b)
    longest = max([side.duration_s for side in sides] + [1e-9])
    top = max([watts for side in sides for _, watts in side.course] + [1e-9]) * 1.05
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    title = f"Power of the {found.component}, both runs on one scale"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d" '
        'font-family="Verdana, DejaVu Sans, sans-serif" font-size="12">',
        f'<title id="t">{title}</title>',
        f'<desc id="d">{escape(paragraph(found))}</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{title}</text>',
    ]
    for watts in ticks(top):
        y = _TOP + up * (1 - watts / top)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{watts:g} W</text>')
    for seconds in ticks(longest):
        x = _LEFT + across * seconds / longest
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{short(seconds)} s</text>'
        )
    for letter, side, colour, dash in zip("AB", sides, _COLOURS, _DASHES, strict=True):
        parts.append(_line(side, colour, dash, longest, top))
        words = escape(f"{letter}: {for_plain_text(side.run_id, 60)}")
        parts.append(
            f'<text x="{_LEFT + 10 + 300 * (letter == "B")}" y="{_TOP - 6}" fill="{colour}">{words}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _line(side: RunSide, colour: str, dash: str, longest: float, top: float) -> str:
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    points = " ".join(
        f"{_LEFT + across * at / longest:.1f},{_TOP + up * (1 - min(max(watts / top, 0.0), 1.0)):.1f}"
        for at, watts in side.course
    )
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'
