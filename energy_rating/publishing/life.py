"""The life of a model in words and as a picture: what goes before use, what each request adds, and where two lives meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape

from energy_rating.judging.choice import Choice
from energy_rating.judging.life import BreakEven, Life, Portion, Service
from energy_rating.nouns.quantities import Estimate, significant, with_doubt
from energy_rating.publishing.axes import short, ticks
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.words import grams

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 400, 80, 40, 40, 60
# Okabe and Ito's colours, which also people tell apart who do not see all colours (jfly.uni-koeln.de/color); lines differ by dashes too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_JOULES = ((1e12, "TJ"), (1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"))
_WATT_HOURS = ((3.6e12, "GWh"), (3.6e9, "MWh"), (3.6e6, "kWh"), (3600.0, "Wh"), (3.6, "mWh"))
_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"))
_LITRES = ((1e3, "m³"), (1.0, "L"), (1e-3, "mL"))
_DASHES = ("", "8 4", "2 4", "12 4 2 4", "4 2", "1 3")


def told(found: Life) -> Iterator[str]:
    """A life in lines: what was summed, each stage and role, a request, and what is to be said of it."""
    name = for_plain_text(found.model, 80)
    yield f"{name}{f' @ {for_plain_text(found.revision, 40)}' if found.revision else ''}: {_runs(len(found.runs))}, energy of {found.component}"
    if found.base_model is not None:
        relation = f" ({found.relation})" if found.relation is not None else ""
        yield f"made from {for_plain_text(found.base_model, 80)}{relation}; scope: incremental, its own runs alone"
    yield f"{'all runs':<16} {with_doubt(found.energy_j, 'J')}"
    for portion in found.stages:
        yield _portion(portion)
    if len(found.roles) > 1 or found.roles[0].name != "not told":
        yield "by what the runs were for"
        for portion in found.roles:
            yield _portion(portion)
    use = found.use
    if use is not None:
        tokens = f", of {significant(use.tokens, 3)} tokens" if use.tokens is not None else ""
        yield f"a {use.unit}: {with_doubt(use.energy_j, 'J')}{tokens}"
        if use.requests is not None and use.amortised_j is not None and use.whole_j is not None:
            yield (
                f"with its part of what went before, over {number(use.requests)}: {with_doubt(use.whole_j, 'J')} "
                f"({with_doubt(use.amortised_j, 'J')} of it)"
            )
    if found.carbon_g is not None:
        of = f" of {', '.join(found.carbon_of)}" if found.carbon_of != (found.component,) else ""
        yield f"carbon of the electricity{of}: {grams(found.carbon_g)} CO2e, location-based ({', '.join(found.zones)})"
    if found.embodied_g is not None:
        yield f"making the hardware, by share of its life: {grams(found.embodied_g)} CO2e"
    for note in found.notes:
        yield f"note: {note}"


def _portion(portion: Portion) -> str:
    share, half = 100 * portion.share.value, 100 * portion.share.half_width()
    told_share = f"{share:.3g} %" + (f" ± {half:.2g}" if half >= 0.005 * max(share, 1) else "")
    return f"  {portion.name:<14} {with_doubt(portion.energy_j, 'J')}, {told_share}, {_runs(portion.runs)}"


def _runs(number: int) -> str:
    return f"{number} run" + ("s" if number != 1 else "")


def break_even_told(found: BreakEven) -> str:
    """After how many requests, with the interval; or never, and why."""
    costlier, cheaper = for_plain_text(found.costlier, 60), for_plain_text(found.cheaper, 60)
    if found.requests is None or found.interval_95 is None:
        return f"{costlier} never pays back what it costs more than {cheaper}: {found.why}"
    low, high = found.interval_95
    upto = number(high) if math.isfinite(high) else "no end"
    text = (
        f"{costlier} costs {with_doubt(found.price_j, 'J')} more before use than {cheaper}, needs {with_doubt(found.saving_j, 'J')} less "
        f"for each {found.unit}, and pays back after {number(found.requests)} (95 %: {number(low)} to {upto})"
    )
    return f"{text}; {found.why}" if found.why else text


def service_told(found: Service) -> str:
    """What a service takes, and on what figure that rests."""
    length = f" of {found.tokens:g} tokens" if found.tokens is not None else ""
    months = f" in {found.months:g} months" if found.months is not None else ""
    text = (
        f"{number(found.requests)} requests{length}{months}: {_kwh(found.use_j)} for use"
        f"{f', and {_kwh(found.before_j)} before it' if found.before_j.value else ''} (by the figure {found.basis})"
    )
    if found.zone is not None and found.use_carbon_g is not None:
        planned = "planned elsewhere than it was measured, in" if found.elsewhere else "in"
        before = ""
        if found.before_j.value and found.before_carbon_g is not None:
            before = f", and {grams(found.before_carbon_g)} before it, where that ran"
        water = (
            f"; {with_doubt(found.use_water_l, 'L')} of water where the electricity is made"
            if found.use_water_l is not None
            else ""
        )
        return f"{text}; {planned} {for_plain_text(found.zone, 40)}: {grams(found.use_carbon_g)} CO2e for use{before}{water}"
    if found.carbon_g is not None:
        text += f"; {grams(found.carbon_g)} CO2e, all of it"
    return text


def choice_told(found: Choice) -> Iterator[str]:
    """What a choice costs over a life: both services, the difference, and when the dearer training pays back."""
    verdicts = {
        "b-better": "over this life B takes less energy than A",
        "a-better": "over this life B takes more energy than A",
        "undecided": "no clear difference over this life: it is smaller than the uncertainty",
    }
    forbidden = [note for note in found.notes if "no verdict" in note]
    yield f"No verdict: {forbidden[0]}" if forbidden else f"{verdicts[found.verdict]}"
    of = found.a
    length = f" of {of.tokens:g} tokens" if of.tokens is not None else ""
    yield (
        f"{number(of.requests)} {found.unit}s{length}{f' in {of.months:g} months' if of.months is not None else ''}, "
        f"energy of {found.component}"
    )
    yield from _side_by_side(found)
    low, high = found.interval_95
    difference = found.difference_j
    more = "more" if difference.value > 0 else "less"
    apart = replace(difference, value=abs(difference.value))
    amount = with_doubt(apart.times(1 / 3600), "Wh")
    told = f"B takes {amount} {more} than A" if found.verdict != "undecided" else f"between A and B: {amount}"
    yield f"{told}; B / A {found.ratio:.4g}, 95 % interval {low:.4g} to {high:.4g}"
    if found.a.zone is not None:
        planned = " elsewhere than it was measured" if found.a.elsewhere or found.b.elsewhere else ""
        yield f"carbon and water of use are planned{planned}, in {for_plain_text(found.a.zone, 40)}; what went before has those of where it ran"
    if found.break_even is not None:
        yield break_even_told(found.break_even)
    for note in found.notes:
        if note not in forbidden[:1]:
            yield f"note: {note}"


def _side_by_side(found: Choice) -> Iterator[str]:
    """Both services as a table in which a quantity has one unit."""
    rows: list[tuple[str, Estimate | None, Estimate | None, tuple[tuple[float, str], ...]]] = [
        ("before use", found.a.before_j, found.b.before_j, _WATT_HOURS),
        ("use", found.a.use_j, found.b.use_j, _WATT_HOURS),
        ("all", found.a.whole_j, found.b.whole_j, _WATT_HOURS),
        ("CO2e before use", found.a.before_carbon_g, found.b.before_carbon_g, _GRAMS),
        ("CO2e of use", found.a.use_carbon_g, found.b.use_carbon_g, _GRAMS),
        ("water of use", found.a.use_water_l, found.b.use_water_l, _LITRES),
    ]
    cells: list[tuple[str, str, str]] = [("", _name("A", found.a), _name("B", found.b))]
    for units in (_WATT_HOURS, _GRAMS, _LITRES):
        told = [row for row in rows if row[3] is units and (row[1] is not None or row[2] is not None)]
        most = max((one.value for row in told for one in row[1:3] if one is not None), default=0.0)
        size, unit = next((one for one in units if most >= one[0]), units[-1])
        cells += [(row[0], _cell(row[1], size, unit), _cell(row[2], size, unit)) for row in told]
    wide = [max(len(row[column]) for row in cells) for column in range(2)]
    for row in cells:
        yield f"  {row[0]:<{wide[0]}}  {row[1]:<{wide[1]}}  {row[2]}".rstrip()


def _name(letter: str, service: Service) -> str:
    return f"{letter}, {for_plain_text(service.model, 24)}"


def _cell(amount: Estimate | None, size: float, unit: str) -> str:
    if amount is None:
        return "not known"
    if not amount.value:
        return f"0 {unit}"
    half = amount.half_width() / size
    digits = 0 if not half else max(0, 1 - math.floor(math.log10(half)))
    value = amount.value / size
    return f"{value:,.{digits}f} ± {half:,.{digits}f} {unit}" if half else f"{value:,.4g} {unit}"


def _kwh(energy: Estimate) -> str:
    return with_doubt(energy.times(1 / 3600), "Wh")


def number(amount: float) -> str:
    """``1.2 million``, ``350 thousand``, ``42``."""
    for size, name in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1e4, "")):
        if amount >= size:
            return f"{significant(amount / size, 3)}{name}" if name else f"{amount:,.0f}"
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


# ------------------------------------------------------------------------------------------------------- the picture


def plot(lives: Sequence[Life], breaks: Sequence[BreakEven] = (), *, requests: float | None = None) -> str:
    """Energy over requests as SVG: a line for each model, its 95 % interval shaded, and where two lines meet. The same lives, the same bytes."""
    shown = [one for one in lives if one.use is not None]
    met = [one.requests for one in breaks if one.requests is not None and one.requests > 0]
    most = max([*(1.6 * one for one in met), requests or 0.0]) or 1000.0
    ends = [_at(one, most).interval()[1] for one in shown] or [one.energy_j.interval()[1] for one in lives]
    top = max([*ends, 1e-9]) * 1.05
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(amount: float) -> float:
        return _LEFT + across * amount / most

    def y(joules: float) -> float:
        return _TOP + up * (1 - min(max(joules / top, 0.0), 1.0))

    title = "Energy of a model's life over the requests that it answers"
    words = "; ".join(for_plain_text(one.model, 60) for one in lives)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d" '
        'font-family="Verdana, DejaVu Sans, sans-serif" font-size="12">',
        f'<title id="t">{title}</title>',
        f'<desc id="d">{escape(words + "".join(f". {break_even_told(one)}" for one in breaks))}</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{title}</text>',
    ]
    size, prefix = next(((size, unit) for size, unit in _JOULES if top >= size), _JOULES[-1])
    for at in ticks(top / size):
        parts.append(
            f'<line x1="{_LEFT}" y1="{y(at * size):.1f}" x2="{_WIDTH - _RIGHT}" y2="{y(at * size):.1f}" stroke="#ddd"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y(at * size) + 4:.1f}" text-anchor="end">{at:g} {prefix}</text>'
        )
    for at in ticks(most):
        parts.append(
            f'<text x="{x(at):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{short(at)}</text>'
        )
    unit = next((one.use.unit for one in shown if one.use is not None), "request")
    parts.append(
        f'<text x="{_LEFT + across / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">number of {escape(unit)}s</text>'
    )
    for place, one in enumerate(shown):
        colour, dash = _COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]
        start, end = _at(one, 0.0), _at(one, most)
        corners = [
            (0.0, start.interval()[0]),
            (most, end.interval()[0]),
            (most, end.interval()[1]),
            (0.0, start.interval()[1]),
        ]
        points = " ".join(f"{x(amount):.1f},{y(joules):.1f}" for amount, joules in corners)
        parts.append(f'<polygon points="{points}" fill="{colour}" opacity="0.15"/>')
        parts.append(
            f'<line x1="{x(0):.1f}" y1="{y(start.value):.1f}" x2="{x(most):.1f}" y2="{y(end.value):.1f}" stroke="{colour}" '
            f'stroke-width="2"{f" stroke-dasharray={chr(34)}{dash}{chr(34)}" if dash else ""}/>'
        )
        parts.append(
            f'<text x="{_LEFT + 10}" y="{_TOP + 14 + 16 * place}" fill="{colour}">{escape(for_plain_text(one.model, 60))}</text>'
        )
    for at in met:
        if at <= most:
            parts.append(
                f'<line x1="{x(at):.1f}" y1="{_TOP}" x2="{x(at):.1f}" y2="{_HEIGHT - _BOTTOM}" stroke="#555" stroke-dasharray="3 3"/>'
            )
            parts.append(f'<text x="{x(at) + 4:.1f}" y="{_HEIGHT - _BOTTOM - 6}">{number(at)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _at(one: Life, requests: float) -> Estimate:
    assert one.use is not None
    return one.before_j.plus(one.use.energy_j.times(requests), same_sensor=True)
