"""A record as a notebook shows it: one line, a table of its windows, what is to be said of it, and its label where it is rated."""

from __future__ import annotations

import base64
import contextlib
import html
from collections.abc import Iterable

from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.quantities import duration, with_doubt
from energy_rating.nouns.records import Record
from energy_rating.publishing import label
from energy_rating.publishing.facts import Row, facts_of, one_line

MOST_ROWS, MOST_REMARKS = 50, 20
LABEL_PX = 420
ESTIMATED = "*"


def of_record(record: Record) -> str:
    """A record as HTML. Names and findings are strangers' text, and are escaped."""
    rating = None
    with contextlib.suppress(EnergyRatingError, ModuleNotFoundError):  # it is shown without stars
        rating = rate(record)
    facts = facts_of(record, rating)
    parts = [f"<p><b>{_text(one_line(facts))}</b></p>", _table(facts.rows)]
    if any(part.estimated for row in facts.rows for part in row.parts):
        parts.append(f"<p>{ESTIMATED} estimated by a model, not measured</p>")
    remarks = [f"{one.severity}: {one.said}" for one in facts.findings[:MOST_REMARKS]]
    if len(facts.findings) > MOST_REMARKS:
        remarks.append(f"… and {len(facts.findings) - MOST_REMARKS} more: record.findings")
    if remarks:
        parts.append(f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in remarks)}</ul>")
    if rating is not None and rating.stars is not None:
        picture = base64.b64encode(label.svg(record, rating).encode()).decode()
        parts.append(
            f'<img src="data:image/svg+xml;base64,{picture}" width="{LABEL_PX}" alt="{_text(label.alt(record, rating))}">'
        )
    return "\n".join(parts)


def _table(rows: Iterable[Row]) -> str:
    shown = list(rows)
    components = list(dict.fromkeys(part.component for row in shown for part in row.parts))
    lines = [_line("th", ["window", "times", "duration", *components, "per unit", "validity"])]
    for row in shown[:MOST_ROWS]:
        measurement = row.measurement
        energies = []
        for component in components:
            part = row.part(component)
            energies.append(
                "not measured"
                if part is None
                else f"{with_doubt(part.energy_j, 'J')}{ESTIMATED if part.estimated else ''}"
            )
        lead = row.lead
        per = (
            [] if lead is None else [f"{with_doubt(row.per(unit, lead), 'J')} / {unit}" for unit in row.units]
        )
        told = [measurement.name, f"{measurement.n:,}", duration(measurement.duration_s), *energies]
        lines.append(_line("td", [*told, "; ".join(per), measurement.validity]))
    if len(shown) > MOST_ROWS:
        lines.append(_line("td", [f"… and {len(shown) - MOST_ROWS} more"]))
    return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
