"""What many benchmarks came to: a table as text, CSV or Markdown, and energy per unit over the load as a picture.

A run that failed keeps its row and says why; it has no figures, and never zeros.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.batches import BatchResult, asked, differing
from energy_rating.files.withheld import shown
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput, NotMeasured
from energy_rating.nouns.quantities import EnergyPerUnit, Estimate, with_doubt
from energy_rating.nouns.records import MEASURED, Measurement, Record
from energy_rating.publishing.facts import facts_of, lead
from energy_rating.publishing.strangers import for_markdown, for_spreadsheet

LONGEST_MODEL = 40

# What is told of each run, behind the settings in which they differ.
FIGURES = ("energy", "of", "per token", "power", "tokens/s", "stars", "remarks")


def rows(outcomes: Sequence[BatchResult]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and a row for each run: model, the settings that differ, figures with their 95 % intervals, stars, remarks."""
    entries = [outcome.entry for outcome in outcomes]
    settings = tuple(differing(entries))
    columns = [asked(entries, setting) for setting in settings]
    header = ("model", *(name.replace("_", " ") for name in settings), *FIGURES)
    found = []
    for number, outcome in enumerate(outcomes):
        name = (
            outcome.record.model.id
            if outcome.record and outcome.record.model
            else Path(outcome.entry.model).name
        )
        settled = (column[number] for column in columns)
        found.append((name[-LONGEST_MODEL:], *settled, *_figures(outcome)))
    return header, found


def _figures(outcome: BatchResult) -> tuple[str, ...]:
    record = outcome.record
    if record is None:
        return ("",) * (len(FIGURES) - 1) + (f"failed: {outcome.failure}",)
    measured = record[MEASURED]
    component = lead(measured)
    rating = rate(record)
    stars = "not rated" if rating.stars is None else "★" * rating.stars
    remarks = ", ".join(dict.fromkeys(f.code for f in record.findings_on(MEASURED) if f.severity != "note"))
    if component is None:
        return ("", "", "", "", _speed(measured), stars, remarks or "nothing was measured")
    energy = figure(record)
    per_token = _per(measured, "token", component)
    power = measured.energy_j[component].times(1 / measured.duration_s) if measured.duration_s else None
    return (
        with_doubt(energy, f"J/{energy.unit}") if energy else "",
        f"{component}{', estimated' if facts_of(record).estimated else ''}",
        with_doubt(per_token, "J") if per_token else "",
        with_doubt(power, "W") if power else "",
        _speed(measured),
        stars,
        remarks,
    )


def figure(record: Record) -> EnergyPerUnit | None:
    """Joules per unit of the task, of the component that did the work; None if that was not measured."""
    if MEASURED not in record:
        return None
    component = lead(record[MEASURED])
    unit = record.task.unit if record.task and record.task.unit else "request"
    return _per(record[MEASURED], unit, component) if component is not None else None


def _per(measured: Measurement, unit: str, component: str) -> EnergyPerUnit | None:
    try:
        return measured.energy_per(unit, component)
    except NotMeasured:
        return None


def _speed(measured: Measurement) -> str:
    tokens = measured.work.get("token")
    return f"{tokens / measured.duration_s:.4g}" if tokens and measured.duration_s else ""


def as_csv(outcomes: Sequence[BatchResult]) -> str:
    """The table as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header, found = rows(outcomes)
    writer.writerows([for_spreadsheet(cell) for cell in row] for row in (header, *found))
    return file.getvalue()


def as_markdown(outcomes: Sequence[BatchResult]) -> str:
    """The table as Markdown."""
    header, found = rows(outcomes)
    lines = [header, tuple("---" for _ in header), *found]
    return "".join(f"| {' | '.join(for_markdown(cell) for cell in line)} |\n" for line in lines)


def as_text(outcomes: Sequence[BatchResult]) -> str:
    """The table for a terminal; columns without anything in them are left out."""
    header, found = rows(outcomes)
    kept = [i for i in range(len(header)) if any(row[i] for row in found)]
    lines = [[row[i] for i in kept] for row in (header, *found)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(kept))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


# ------------------------------------------------------------------------------------------------------------- picture

WIDTH_IN, HEIGHT_IN, DPI = 8.0, 4.5, 150
INK, PALE = "#1f4e79", "#9db7d1"


def load_curve(outcomes: Sequence[BatchResult], name: str, *, kind: str = "png") -> bytes:
    """Energy per unit over a swept option, with 95 % intervals, as PNG or SVG. The same records give the same bytes.

    Raises:
        BadInput: fewer than two of the runs have a figure, or a value of the option is no number.
    """
    points = _points(outcomes, name)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "svg.hashsalt": "energy-rating",
        "svg.fonttype": "path",
        "axes.formatter.use_locale": False,
    }
    with rc_context(settings):
        paper = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI, facecolor="white", layout="constrained")
        FigureCanvasAgg(paper)
        axes = paper.add_subplot()
        unit = points[0][2]
        xs, values = [x for x, _, _ in points], [energy.value for _, energy, _ in points]
        axes.errorbar(
            xs,
            values,
            yerr=[energy.half_width() for _, energy, _ in points],
            color=INK,
            ecolor=PALE,
            marker="o",
            capsize=4,
            linewidth=1.5,
        )
        if min(xs) > 0 and max(xs) / min(xs) >= 4:
            axes.set_xscale("log", base=2)
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(name.replace("_", " "))
        axes.set_ylabel(f"J per {unit}, with 95 % interval")
        axes.set_title(_title(outcomes), loc="left", parse_math=False)
        axes.grid(axis="y", color="#dddddd")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        file = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        paper.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()


def can_be_drawn(outcomes: Sequence[BatchResult], name: str) -> bool:
    """Whether there are two figures at least, and the option's values are numbers."""
    try:
        _points(outcomes, name)
    except BadInput:
        return False
    return True


def _points(outcomes: Sequence[BatchResult], name: str) -> list[tuple[float, Estimate, str]]:
    found = []
    for outcome in outcomes:
        energy = figure(outcome.record) if outcome.record is not None else None
        if energy is None:
            continue
        try:
            value = float(str(outcome.entry.options.get(name)))
        except ValueError:
            raise BadInput(
                f"{name} must be a number to be drawn over; got {shown(name, outcome.entry.options.get(name))!r}",
                place="--sweep",
            ) from None
        origin = f"{energy.component}, estimated" if energy.estimated else energy.component
        found.append((value, energy, f"{energy.unit} ({origin})"))
    if len(found) < 2:
        raise BadInput(
            "fewer than two runs have a figure", "Look at the table for what failed", place="--sweep"
        )
    return sorted(found, key=lambda point: point[0])


def _title(outcomes: Sequence[BatchResult]) -> str:
    for outcome in outcomes:
        record = outcome.record
        if record is not None:
            device = next((d.name for d in record.environment.devices), "")
            parts = (record.model.id if record.model else "", record.task.name if record.task else "", device)
            return " · ".join(part for part in parts if part)[:90]
    return ""
