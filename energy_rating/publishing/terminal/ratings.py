"""Ratings, comparisons and normalised figures, as text for a terminal."""

from __future__ import annotations

import math
import textwrap

from energy_rating.judging.comparison import OF_GAIN, Comparison
from energy_rating.judging.normalisation import Normalised
from energy_rating.judging.rating import Judgement, next_star_j
from energy_rating.judging.roads import hardware_interval
from energy_rating.nouns.quantities import (
    CONFIDENCE,
    Estimate,
    duration,
    reaches_zero,
    rounded,
    scaled,
    significant,
    with_doubt,
)
from energy_rating.nouns.records import Checked, Rating
from energy_rating.publishing import words
from energy_rating.publishing.facts import Facts, reasons_of
from energy_rating.publishing.terminal.layout import WIDTH, entry_lines, listed, shortened


def rating(
    value: Rating,
    next_j: float | None = None,
    measured_j: Estimate | None = None,
    *,
    estimated: bool = False,
    example: bool = False,
) -> str:
    """Stars, or every reason why there are none.

    ``next_j``: joules per unit at which the next star begins. ``measured_j``: as measured, to stand before what was converted.
    ``estimated``: the energy is a model's. ``example``: the device does not exist.
    """
    lines: list[str] = [words.EXAMPLE] if example else []
    what = " · ".join(
        part
        for part in (
            f"class {value.class_}" if value.class_ else "",
            value.protocol or "",
            f"scheme {value.scheme}" if value.scheme else "",
            words.population(value.yardstick) if value.yardstick and value.stars is not None else "",
        )
        if part
    )
    if value.stars is not None:
        could_be = value.could_be or (value.stars, value.stars)
        open_ = f"  could be {could_be[0]}–{could_be[1]}" if could_be[0] != could_be[1] else ""
        lines.append(f"{'★' * value.stars}{'☆' * (5 - value.stars)}  {value.stars} of 5 stars{open_}")
    else:
        lines.append("Not rated")
    lines += _wrapped(what, "  ")
    if value.energy_per_unit_j is not None:
        whose = f", {words.HOLDS[value.component]}" if value.component is not None else ""
        converted = " converted to the reference device" if value.basis == "normalised" else ""
        if converted and measured_j is not None:
            lines.append(f"  {with_doubt(measured_j, 'J')} per {value.unit} as measured")
        mark = (
            "" if not estimated else "estimated " if reaches_zero(value.energy_per_unit_j) else "estimated ≈ "
        )
        lines += _wrapped(
            f"{mark}{with_doubt(value.energy_per_unit_j, 'J')} per {value.unit}{converted}{whose}", "  "
        )
    if value.stars is not None and value.index is not None:
        told = words.against_typical(value.index, value.yardstick)
        if value.yardstick is not None:
            told += f" ({words.typical(value.yardstick)})"
        if value.index.sigma or value.interval_95:
            low_high = value.interval_95 or value.index.interval()
            told += f"\n95 % interval: {words.change_between(*low_high)}"
        lines += [line for part in told.splitlines() for line in _wrapped(part, "  ")]
        lines.append(
            f"  index {rounded(value.index.value, value.index.half_width())}: energy over the typical one's"
        )
    if value.stars is not None:
        if value.conversion is not None:
            lines += _wrapped(words.converted(value.conversion), "  ")
        if value.basis == "indicative":
            lines += _wrapped(f"only a hint: {words.measured_on(value.own)}", "  ")
    for other in value.beside:
        of = f" ({other.of})" if other.of else ""
        lines += _wrapped(f"{with_doubt(other.energy_per_unit_j, 'J')} per {other.unit}{of}", "  ")
    if value.stars is not None and next_j is not None:
        lines.append(f"  the next star begins at {scaled(_rounded_down(next_j), 'J')} per {value.unit}")
    lines += _reasons(value)
    if value.would_be is not None:
        lines += _wrapped(f"{words.would_be(value.would_be)}; {words.NO_RATING}", "  ")
    return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )


def _reasons(value: Rating | Normalised) -> list[str]:
    """Each reason, and under it what to do about it."""
    lines: list[str] = []
    for reason in reasons_of(value):
        lines += textwrap.wrap(
            reason.text, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
        if reason.remedy:
            lines += textwrap.wrap(
                reason.remedy,
                WIDTH,
                initial_indent="    → ",
                subsequent_indent="      ",
                break_on_hyphens=False,
            )
    return lines


def judgement(value: Judgement, facts: Facts) -> str:
    """A rating with what the facts tell beside it: the figure as measured, an estimate, an example."""
    return rating(
        value.rating,
        next_star_j(value.rating, value.scheme),
        value.measured_j,
        estimated=facts.estimated and facts.component == value.component,
        example=facts.example,
    )


def _rounded_down(value: float) -> float:
    """To three digits: who reaches what is printed must have reached what it stands for."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.floor(value / step) * step


def comparison(value: Comparison) -> str:
    """Which one is better, by how much, whether the doubt allows saying so, and what differs."""
    verdicts = {
        "b-better": "B needs less energy than A",
        "a-better": "B needs more energy than A",
        "undecided": "No clear difference: it is smaller than the uncertainty",
    }
    if value.notes:
        verdicts["undecided"] = f"No verdict: {value.notes[0]}"
    per = f" per {value.unit}" if value.unit else ""
    lines = [
        *textwrap.wrap(verdicts[value.verdict], WIDTH, break_on_hyphens=False),
        f"  A  {with_doubt(value.a_j, 'J')}{per} ({value.component}, {value.measurement!r})",
        f"  B  {with_doubt(value.b_j, 'J')}{per} ({value.component}, {value.measurement!r})",
    ]
    if value.unit is not None:  # else it would be a ratio of energies of different work
        lines.append(f"  B / A  {value.ratio:.4g}, {words.change(value.ratio)}{_interval_of(value)}")
        lines += _wrapped(OF_GAIN[value.gain], "  ")
    lines += [line for note in value.notes[1:] for line in listed("note", note, "")]
    lines += [
        line
        for remark in value.remarks
        for line in textwrap.wrap(remark, WIDTH, initial_indent="  ", subsequent_indent="  ")
    ]
    if not value.differences:
        lines += ["", "No recorded setting differs"]
        return "\n".join(lines)
    lines += ["", "What differs"]
    wide = max(len(item.what) for item in value.differences)
    for item in value.differences:
        a, b = (shortened(text if text is not None else "not recorded", 40) for text in (item.a, item.b))
        lines.append(f"  {item.what:<{wide}}  {a}  →  {b}")
    return "\n".join(lines)


def _interval_of(value: Comparison) -> str:
    """The interval, where it decided; beside *no verdict* it would be taken for one."""
    if value.notes:
        return ""
    low, high = value.interval_95
    return f"; 95 % interval {low:.4g} to {high:.4g}"


def explanation(value: Judgement) -> str:
    """The arithmetic of a rating, line by line, each with where it comes from."""
    rating_, rated, scheme_ = value.rating, value.rated, value.scheme
    unit = rating_.unit or "unit"
    lines = [f"How {scheme_.name} comes to this"]
    if value.energy_j is not None and value.measurement is not None:
        measured = value.measurement
        lines += entry_lines(
            "energy",
            f"{'estimated ≈ ' if value.estimated else ''}{with_doubt(value.energy_j, 'J')} of {value.component} in {measured.name!r} "
            f"({duration(measured.duration_s)}, {_times(measured.n)}); the record, {_origin(value.checked)}",
        )
    else:
        lines += entry_lines("energy", f"that of the {words.NAMES[value.component]} was not measured")
    if value.work is not None:
        lines += entry_lines(
            "work", f"{value.work:,.6g} {words.plural(unit, value.work)}; {value.work_method}"
        )
    if value.measured_j is not None:
        lines += entry_lines(
            f"per {unit}",
            f"{'estimated ≈ ' if value.estimated else ''}{with_doubt(value.measured_j, 'J')}"
            f"{'' if value.estimated else ' as measured'}: energy over work; ± is the 95 % interval",
        )
    found = value.normalised
    if found is not None and found.energy_per_unit_j is not None:
        for step in found.steps:
            exponent = (
                f" = {step.by}"
                if step.by
                else f", use {found.use:.2f} ^ {step.exponent:+g} in it"
                if found.use and step.exponent
                else ""
            )
            lines += entry_lines(
                "factor",
                f"× {step.factor:.4g}{exponent if step.by else ''}, from {step.origin} to {step.target}{'' if step.by else exponent}; 95 % within ×/÷ {significant(step.interval**words.TO_95, 3)}; "
                f"tier {step.tier}: {step.why}",
            )
        profiles_ = ", ".join(f"{key} {version}" for key, version in found.versions.items())
        lines += entry_lines("profiles", profiles_)
        lines += entry_lines(
            f"per {unit}", f"{with_doubt(found.energy_per_unit_j, 'J')} converted to {found.reference}"
        )
    if rated is None:
        lines += entry_lines("reference", "none: the record belongs to no class that is rated")
    else:
        lines += entry_lines(
            "E_ref", f"{rated.e_ref_j:g} J per {rated.unit}, frozen with the scheme; n = {rated.n}"
        )
        lines += entry_lines(
            "population",
            f"{rated.population}; n = {rated.n}, {rated.lowest_j:g} to {rated.highest_j:g} J, centre {rated.centre_j:g} J",
        )
        lines += entry_lines("source", f"{rated.source}: {rated.url}")
    index = rating_.index or (rating_.would_be.index if rating_.would_be else None)
    used = value.normalised.energy_per_unit_j if value.normalised else value.measured_j
    if index is not None and value.interval is not None and rated is not None and used is not None:
        low, high = value.interval
        lines += entry_lines(
            "index",
            f"{used.value:.4g} J / {rated.e_ref_j:g} J = {index.value:.4g}: {words.change(index.value)}",
        )
        lines += entry_lines("interval", f"{max(low, 0.0):.4g} to {high:.4g} (95 %)")
        steps = ", ".join(
            f"{stars}★ ≤ {highest:.4g}" for stars, highest in zip((5, 4, 3, 2), scheme_.ladder, strict=True)
        )
        lines += entry_lines("ladder", f"{steps}, else 1★: half the energy, one more star")
        lines += entry_lines(
            "stars",
            f"{scheme_.stars(index.value)} by the measured value; "
            + (
                f"{scheme_.stars(high)} to {scheme_.stars(low)} with its uncertainty"
                if scheme_.stars(high) != scheme_.stars(low)
                else "the same within its uncertainty"
            )
            + ("" if rating_.stars is not None else "; not rated, for the reasons above"),
        )
    for protocol in scheme_.protocols:
        if protocol.name == rating_.protocol:
            lines += entry_lines("protocol", f"{protocol.name}: {protocol.title}: {protocol.url}")
    return "\n".join(lines)


def _origin(checked: Checked | None) -> str:
    """Where a record's figures come from, as far as anybody looked."""
    if checked == "journal":
        return "from its journal"
    return words.UNCHECKED[checked] if checked is not None else "as it was given"


def _times(count: int) -> str:
    return "one window" if count == 1 else f"{count} windows"


def normalised(value: Normalised) -> str:
    """What was measured, and after it what that would be on another device, or every reason why that cannot be told."""
    lines: list[str] = []
    if value.measured_per_unit_j is not None:
        on = f", {value.device}" if value.device else ""
        lines += _said(
            "measured", f"{with_doubt(value.measured_per_unit_j, 'J')} per {value.unit} of the GPU{on}"
        )
    if value.energy_per_unit_j is None or value.interval_90 is None or value.factor is None:
        lines += _said("not normalised", f"to {value.reference}")
        return "\n".join([*lines, *_reasons(value)])
    low, high = (scaled(end, "J") for end in value.interval(CONFIDENCE))
    lines += _said(
        "normalised",
        f"to {value.reference}: {scaled(value.energy_per_unit_j.value, 'J')} per {value.unit}, 95 % interval {low} to {high}",
    )
    about = [f"tier {value.tier}", f"factor {significant(value.factor, 3)}"]
    if value.steps:
        about.append(
            f"95 % within ×/÷ {significant(hardware_interval(value.steps) ** words.TO_95, 3)} for the hardware"
        )
        about.append(value.workload_class or "")
    if value.use is not None:
        about.append(f"{significant(100 * value.use, 3)} % of the power limit")
    lines += _said("", " · ".join(part for part in about if part))
    for step in value.steps:
        lines += _said(
            "",
            f"{step.origin} → {step.target}: {significant(step.factor, 3)}, ×/÷ {significant(step.interval**words.TO_95, 3)}, tier {step.tier} ({step.why})",
        )
    lines += _said("profiles", ", ".join(f"{key}@{known}" for key, known in value.versions.items()))
    return "\n".join(lines)


def _said(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{name:<15}" if name else " " * 15,
        subsequent_indent=" " * 15,
        break_on_hyphens=False,
    )
