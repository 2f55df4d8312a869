"""A record and what follows from its energy, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from energy_rating.judging.footprint.carbon import Impact
from energy_rating.nouns.quantities import (
    JOULES_PER_WH,
    duration,
    reaches_zero,
    scaled,
    significant,
    with_doubt,
    with_doubt_in_parts,
)
from energy_rating.nouns.records import Finding, Record
from energy_rating.publishing import words
from energy_rating.publishing.facts import Row, facts_of, one_line
from energy_rating.publishing.footprint import gaps_in_words, rows
from energy_rating.publishing.terminal.layout import WIDTH, listed, shortened


def record(value: Record) -> str:
    """What was measured, window by window, and what is to be said of it."""
    facts = facts_of(value)
    lines = [*textwrap.wrap(one_line(facts), WIDTH), ""]
    about = [value.stage, value.model.id if value.model else None, value.task.name if value.task else None]
    about += [f"{value.nodes:,} host{'s' if value.nodes > 1 else ''}" if value.nodes else None]
    lines += [*textwrap.wrap(f"{value.run_id}  {' · '.join(part for part in about if part)}", WIDTH), ""]
    if facts.rows:
        lines += _table(facts.rows)
        if any(part.estimated for row in facts.rows for part in row.parts):
            lines.append("* estimated by a model, not measured")
    for quality, energy in facts.by_right_answer:
        origin = f"{energy.component}, estimated" if energy.estimated else energy.component
        told = (
            f"{with_doubt(energy, 'J')} per {energy.unit} ({origin}), at {quality.metric} {quality.value:g}"
        )
        lines += ["", *textwrap.wrap(f"{told} by {quality.source}", WIDTH)]
        lines.append("")
    lines += findings_listed(value.findings)
    return "\n".join(lines).rstrip()


def still_running(quiet_s: float) -> str:
    """What is said of a run that goes on, beside what it comes to so far."""
    ago = f"{quiet_s:.0f} s ago" if quiet_s >= 1 else "just now"
    return (
        f"The run is still going on (its last line was written {ago}): no record was written into its folder."
    )


def impact(value: Impact, *, example: bool = False) -> str:
    """Grams, by what factor, and what is in it. ``example``: the device does not exist."""
    energies = ", ".join(
        f"{name} (estimated)" if name in value.estimated else name for name in value.components
    )
    missing = f"; not measured: {', '.join(value.missing)}" if value.missing else ""
    where = ", as the record says" if value.zone_from == "record" else ""
    text = (
        f"{words.grams(value.carbon_g)} CO2e: {with_doubt(value.energy_j.times(1 / JOULES_PER_WH), 'Wh')} of {energies}{missing}, at "
        f"{significant(value.intensity_g_per_kwh, 3)} g/kWh ({value.zone_name}{where}, {words.factor_in_words(value)}, location-based; "
        f"{value.source}). The {words.whose_doubt(value)}. {_scope(value)}"
    )
    if value.factor.stands_for is not None:
        text += f" Note: {value.factor.stands_for}."
    if value.live is not None and not value.live.answered:
        text += (
            f" {value.live.service} was asked and told nothing ({value.live.why}): this is the stored figure."
        )
    if value.partly_seen:
        seen = ", ".join(f"{name} {100 * share:.3g} %" for name, share in value.partly_seen.items())
        text += f" Of the time only a part was seen, and the figure is that part's: {seen}."
    if value.validity != "valid":
        fit = "usable, with reservations" if value.validity == "degraded" else "not to be relied on"
        text += f" The measurement {value.measurement!r} is {value.validity}: {fit}; its findings say why."
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
    return "\n".join([words.EXAMPLE, *lines] if example else lines)


def _scope(value: Impact) -> str:
    if value.pue is not None:
        return f"The electricity alone, with cooling and losses (× PUE {value.pue:g}); no share of making the hardware."
    if value.energy_holds_pue is not None:
        return "The electricity alone; cooling and losses are in the energy. No share of making the hardware."
    return "Energy only: no cooling of a data centre, no share of making the hardware."


def footprint(value: Impact, *, example: bool = False, created: str = "") -> str:
    """The whole footprint: the carbon in a paragraph, all figures as a table, what is not told, and who could make it surer."""
    lines = [impact(value, example=example), ""]
    told = rows(value)
    width = max(len(row.name) for row in told)
    if created[:4].isdigit() and value.year is not None and abs(int(created[:4]) - value.year) > 1:
        lines += [*textwrap.wrap(f"The factor is of {value.year}, and the run of {created[:4]}.", WIDTH), ""]
    for row in told:
        if row.amount is None:
            continue
        indent = " " * (width + 2)
        line = f"{row.name:<{width}}  {row.amount}  ({row.known})"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
        lines += textwrap.wrap(
            row.rests_on, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
    if any(row.amount is None for row in told):
        lines += ["", "Not told"]
        lines += _bullets(f"{row.name}: {row.rests_on}" for row in told if row.amount is None)
    if value.per_unit is not None:
        unmet = [one for one in value.per_unit.conditions if not one.held]
        missed = "; for a standard's name is missing" if unmet else ""
        lines += ["", *textwrap.wrap(f"It is called {value.per_unit.name!r}{missed}", WIDTH)]
        lines += _bullets(f"{one.what} ({one.why})" for one in unmet)
    lines += ["", "Who could make it surer, and what is missing"]
    lines += _bullets(gaps_in_words(value.gaps))
    return "\n".join(lines)


def _bullets(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )


def files(paths: Iterable[Path]) -> str:
    """What a benchmark left behind."""
    about = {
        "label.png": "the label",
        "label.svg": "the label, to be scaled",
        "card.md": "the section for a model card",
        "trace.png": "power over time",
        "rating.json": "the stars, or why there are none",
        "record.json": "every figure, its uncertainty, and findings",
        "journal.jsonl": "what the sensors said, line by line",
    }
    found = list(paths)
    lines: list[str] = []
    for folder in dict.fromkeys(path.parent for path in found):
        names = [path.name for path in found if path.parent == folder]
        width = max(len(name) for name in names)
        lines.append(f"Written to {folder}")
        lines += [f"  {name:<{width}}  {about.get(name, '')}".rstrip() for name in names]
    return "\n".join(lines)


_HEAD = ("window", "n", "time", "component", "energy", "±95 %", "mostly from", "per unit")


# Where the columns do not fit beside each other, this one goes below, with its name.
_MOSTLY = _HEAD.index("mostly from")


def _table(shown: Iterable[Row]) -> list[str]:
    """A line for each component of each measurement. Columns are as wide as what stands in them; what a line cannot hold goes
    on below."""
    rows = [_HEAD, *(row for one in shown for row in _rows(one))]
    columns = len(_HEAD) - 1
    widths = _widths(rows, columns)
    if sum(widths) + 2 * (columns - 1) > WIDTH:
        columns = _MOSTLY
        rows = [
            (*row[:columns], f"mostly from {row[columns]}" if row[columns] else "", *row[columns + 1 :])
            for row in rows
        ]
        rows[0] = _HEAD[:columns]
        widths = _widths(rows, columns)
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if number in (0, 3, _MOSTLY) else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row[:columns], widths, strict=False))
        ]
        line = "  ".join(cells)
        for part in row[columns:]:
            if not part:
                continue
            if len(f"{line}  {part}".rstrip()) > WIDTH:
                lines.append(line.rstrip())
                line = " " * (widths[0] + 2)
                line += shortened(part, WIDTH - len(line))
            else:
                line += f"  {part}"
        lines.append(line.rstrip())
    return lines


def _widths(rows: Iterable[tuple[str, ...]], columns: int) -> list[int]:
    whole = [row for row in rows if len(row) >= columns]
    return [max(len(row[number]) for row in whole) for number in range(columns)]


def _rows(row: Row) -> Iterator[tuple[str, ...]]:
    """The cells of a measurement's lines, in the order of ``_HEAD``; after them whatever is to be said of it."""
    measurement = row.measurement
    start = (shortened(measurement.name, 16), str(measurement.n), duration(measurement.duration_s))
    mark = () if measurement.validity == "valid" else (f"({measurement.validity})",)
    if not row.parts:
        yield (*start, "", "", "", "", "no energy was measured", *mark)
    for part in row.parts:
        shown = f"{part.component}*" if part.estimated else part.component
        per = ""
        if row.units:
            # The doubt stands in its own column.
            figure, _, unit = with_doubt_in_parts(row.per(row.units[0], part), f"J/{row.units[0]}")
            per = f"{figure} {unit}"
        energy = part.energy_j
        if reaches_zero(energy):
            told, doubt = with_doubt(energy, "J"), ""
        else:
            told = scaled(energy.value, "J")
            doubt = f"{significant(100 * energy.half_width() / energy.value, 2)} %" if energy.value else ""
        mostly = measurement.doubt_from.get(part.component, "") if doubt else ""
        yield (*start, shown, told, doubt, mostly, per, *mark)
        start, mark = ("", "", ""), ()


def findings_listed(findings: Iterable[Finding]) -> list[str]:
    lines: list[str] = []
    titles = {"disqualifies": "Not fit for a rating", "degrades": "Degraded by", "note": "Notes"}
    found = list(findings)
    for severity, title in titles.items():
        of_severity = [finding for finding in found if finding.severity == severity]
        if of_severity:
            lines.append(title)
            # What has one reason for several components is said once.
            told: dict[tuple[str, str], list[str]] = {}
            for finding in of_severity:
                told.setdefault((finding.message, finding.remedy), []).append(finding.code)
            for (message, remedy), codes in told.items():
                lines += listed(", ".join(dict.fromkeys(codes)), message, remedy)
            lines.append("")
    return lines
