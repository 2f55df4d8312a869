"""A collection as tables for people and programs: one row a run, sums of each kind apart, what was left out. Forms only; sums are storage's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate, duration, scaled, significant, with_doubt
from energy_rating.nouns.records import plain
from energy_rating.publishing.strangers import for_plain_text, for_spreadsheet
from energy_rating.publishing.terminal.layout import shortened
from energy_rating.publishing.workbook import Cell, workbook
from energy_rating.storage.index import IndexedRun, LeftOut
from energy_rating.storage.runs import Kind
from energy_rating.storage.sums import Amount, By, Collected, Unlike
from energy_rating.storage.tables import RUN_FIELDS

COLLECTION_SCHEMA = "energy-rating/collection/1"
MOST_NAMED = 20

# How each kind is told, and what is said of its energy.
SAID: Mapping[Kind, str] = {
    "measured": "measured",
    "incomplete": "with gaps",
    "estimated": "estimated",
    "imported": "imported",
    "invalid": "invalid",
}

COLUMNS = (
    *(one.name.rstrip("_") for one in RUN_FIELDS if one.name != "devices"),
    *("figure_half_95_j", "verdict", "verified", "counted", "folder"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """All that is told of a collection beside its runs. ``root``: what its folders are told from."""

    version: int
    whole: Collected
    groups: tuple[Collected, ...]
    by: tuple[By, ...]
    twice: tuple[IndexedRun, ...]
    inside: tuple[IndexedRun, ...]
    beside: tuple[IndexedRun, ...]
    doubted: tuple[IndexedRun, ...]
    left_out: tuple[LeftOut, ...]
    unlike: tuple[Unlike, ...]
    root: str


def cells(one: IndexedRun, root: str) -> tuple[Cell, ...]:
    """The row of a run: what is not known is empty, a list is one text."""
    row: list[Cell] = []
    for item in RUN_FIELDS:
        if item.name == "devices":
            continue
        value = getattr(one.run, item.name)
        if item.name == "quality":
            value = " ".join(f"{metric}={number:g}" for metric, number in value)
        elif isinstance(value, tuple):
            value = "; ".join(value) if item.name == "reasons" else " ".join(value)
        row.append(None if value == "" else value)
    half = one.run.figure_half_j if one.run.figure_j is not None else None
    return (*row, half, one.verdict, one.good, counted(one), shown_folder(one.folder, root))


def counted(one: IndexedRun) -> str:
    """Whether its energy stands in the sums, and else why not."""
    if one.twice_of:
        return "no: the same run is there twice"
    if one.inside_of:
        return f"no: in the energy of {one.inside_of}"
    return "no: invalid" if one.run.kind == "invalid" else "yes"


def shown_folder(folder: str, root: str) -> str:
    """A run's folder as it is told: from the collection's own on, so that no path of a machine gets into what is passed on."""
    path = Path(folder)
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name


def as_csv(runs: Iterable[IndexedRun], root: str) -> Iterator[str]:
    """The lines of a CSV file. A text that a spreadsheet would take for a formula is led by an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in runs:
        writer.writerow(
            [
                for_spreadsheet(value) if isinstance(value, str) else _plainly(value)
                for value in cells(one, root)
            ]
        )
        if file.tell() > 1 << 16:
            yield file.getvalue()
            file.seek(0)
            file.truncate()
    yield file.getvalue()


def _plainly(value: Cell) -> Cell:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def as_json(runs: Iterable[IndexedRun], told: Gathered) -> Iterator[str]:
    """The text of a JSON file, in pieces."""
    yield f'{{"schema": {json.dumps(COLLECTION_SCHEMA)}, "collection_version": {told.version},\n"runs": ['
    first = True
    for one in runs:
        entry: dict[str, Any] = {
            item.name.rstrip("_"): getattr(one.run, item.name)
            for item in RUN_FIELDS
            if item.name != "devices"
        }
        entry |= {"verdict": one.verdict, "verified": one.good, "why": one.why, "counted": counted(one)}
        entry |= {"folder": shown_folder(one.folder, told.root)}
        yield ("\n" if first else ",\n") + json.dumps(entry, ensure_ascii=False)
        first = False
    rest = {
        "sums": plain(told.whole),
        "by": told.by,
        "groups": [plain(one) for one in told.groups],
        "twice": [_named(one, told.root) for one in told.twice],
        "inside_another": [_named(one, told.root) for one in told.inside],
        "at_one_time_on_one_device": [_named(one, told.root) for one in told.beside],
        "outliers": [plain(one) | {"folder": shown_folder(one.folder, told.root)} for one in told.unlike],
        "left_out": [plain(one) | {"folder": shown_folder(one.folder, told.root)} for one in told.left_out],
    }
    yield "],\n" + json.dumps(rest, ensure_ascii=False, indent=1)[2:] + "\n"


def _named(one: IndexedRun, root: str) -> dict[str, str]:
    other = shown_folder(one.twice_of, root) if one.twice_of else one.inside_of or one.beside_of
    return {"run_id": one.run.run_id, "folder": shown_folder(one.folder, root), "of": other}


def as_workbook(runs: Iterable[IndexedRun], told: Gathered) -> bytes:
    """Sheets: runs, sums, what is unlike its like, what was left out."""
    head = (*(told.by or ("all",)), "kind", "runs", "energy_kwh", "half_width_95_kwh")
    sums = [
        (*(one.group or ("all",)), *row)
        for one in ((told.whole, *told.groups) if not told.by else told.groups)
        for row in _sum_rows(one)
    ]
    unlike = [
        (one.run_id, one.model, one.figure_j, one.unit, one.median_j, one.times, one.alike, one.why)
        for one in told.unlike
    ]
    left_out = [(shown_folder(one.folder, told.root), one.why) for one in told.left_out]
    return workbook(
        [
            ("runs", COLUMNS, (cells(one, told.root) for one in runs)),
            ("sums", head, sums),
            ("outliers", ("run", "model", "figure_j", "unit", "median_j", "times", "alike", "why"), unlike),
            ("left out", ("folder", "why"), left_out),
        ]
    )


def _sum_rows(one: Collected) -> Iterator[tuple[Cell, ...]]:
    named: list[tuple[str, Amount]] = [(SAID[kind], amount) for kind, amount in one.parts.items()]
    named += [("estimated beside measured", one.beside)] if one.beside.runs else []
    named += [("for nothing (in the above)", one.waste)] if one.waste.runs else []
    for name, amount in named:
        energy = amount.energy_j if name != SAID["invalid"] else None
        kwh = energy.value / JOULES_PER_KWH if energy is not None else None
        half = energy.half_width() / JOULES_PER_KWH if energy is not None else None
        yield name, amount.runs, kwh, half


# ------------------------------------------------------------------------------------------------------ for a terminal


def energy(amount: Estimate, *, least: bool = False) -> str:
    """In Wh or kWh, with its doubt; ``least``: a lower bound."""
    told = with_doubt(amount.times(1 / 3600), "Wh")
    return f"at least {scaled(amount.value / 3600, 'Wh')}" if least else told


def sums(one: Collected) -> str:
    """``24 measured, 0.31 kWh; 7 with gaps, at least 0.03 kWh; 3 estimated, 2 Wh``: never added to each other."""
    parts = []
    for kind, amount in one.parts.items():
        told = f"{amount.runs:,} {SAID[kind]}"
        if kind == "invalid":
            told += " and in no sum"
        elif amount.energy_j is not None:
            told += f", {energy(amount.energy_j, least=kind == 'incomplete')}"
        parts.append(told)
    if one.beside.energy_j is not None:
        parts.append(f"beside them estimated, {energy(one.beside.energy_j)}")
    if one.waste.runs:
        told = f"for nothing: {one.waste.runs:,}"
        parts.append(f"{told}, {energy(one.waste.energy_j)}" if one.waste.energy_j is not None else told)
    return "; ".join(parts) or "no run"


def as_text(runs: Sequence[IndexedRun], told: Gathered, width: int) -> str:
    """A table for a terminal: a row for each group, or each run; then the sums, and all that a reader has to know of them."""
    lines = _group_table(told, width) if told.by else _run_table(runs, width)
    hidden = told.whole.runs + len(told.twice) + len(told.inside) - len(runs)
    if not told.by and hidden > 0:
        lines.insert(
            1, f"… {hidden:,} older runs are not shown: sum up with --by, or see all with --format csv"
        )
    lines += ["", f"In all: {sums(told.whole)}."]
    if len(told.whole.boundaries) > 1:
        named = ", ".join(f"{count} of {name}" for name, count in told.whole.boundaries.items())
        lines.append(f"What was measured differs: {named}.")
    if told.whole.carbon_g is not None:
        lines.append(
            f"Carbon: {scaled(told.whole.carbon_g, 'g')} CO2e of electricity, of the {told.whole.carbon_runs:,} runs that say where they ran."
        )
    if examples := sum(one.run.example for one in runs):
        lines.append(f"Of these {examples:,} on devices that do not exist: examples.")
    unasked = told.whole.runs - told.whole.verified
    if unasked:
        lines.append(
            f"Verified: {told.whole.verified:,} of {told.whole.runs:,}; ask the others with --verify."
        )
    else:
        lines.append(f"Verified: all {told.whole.runs:,}.")
    lines += [
        f"Does not match its journal: {one.run.run_id} ({shown_folder(one.folder, told.root)}): {one.why}"
        for one in told.doubted[:MOST_NAMED]
    ]
    lines += _counted_once(told)
    for unlike in told.unlike[:MOST_NAMED]:
        why = f": {unlike.why}" if unlike.why else ""
        lines.append(
            f"Unlike its like: {unlike.run_id} ({unlike.model}) takes {significant(unlike.times, 2)} times the median of {unlike.alike} "
            f"such runs, {scaled(unlike.figure_j, 'J')} instead of {scaled(unlike.median_j, 'J')} per {unlike.unit}{why}"
        )
    for left in told.left_out[:MOST_NAMED]:
        lines.append(f"Left out: {shown_folder(left.folder, told.root)}: {left.why}")
    for name, some in (("outliers", told.unlike), ("left out", told.left_out)):
        if len(some) > MOST_NAMED:
            lines.append(f"… and {len(some) - MOST_NAMED:,} more {name}: see --format json")
    return "\n".join(lines)


def _counted_once(told: Gathered) -> Iterator[str]:
    def named(some: Sequence[IndexedRun]) -> str:
        shown = ", ".join(shown_folder(one.folder, told.root) for one in some[:3])
        return f"{shown}, …" if len(some) > 3 else shown

    if told.twice:
        yield f"There twice, and counted once: {named(told.twice)}"
    if told.inside:
        yield f"In the energy of another run that measured the same devices meanwhile, and not added: {named(told.inside)}"
    if told.beside:
        yield (
            f"Measured a device at the same time as another run, so that the sum may hold its energy twice: {named(told.beside)}"
        )


def _run_table(runs: Sequence[IndexedRun], width: int) -> list[str]:
    head = ("day", "model", "stage", "on", "took", "energy", "per unit", "stars", "verified")
    rows = [_run_row(one) for one in runs]
    return _set_out(head, rows, width, flexible=(1, 3))


def _run_row(one: IndexedRun) -> tuple[str, ...]:
    run = one.run
    if run.measured_j is not None:
        measured = Estimate(
            value=run.measured_j, random=run.measured_random_j, systematic=run.measured_systematic_j
        )
        told = energy(measured, least=run.kind == "incomplete")
    elif run.estimated_j is not None:
        told = f"≈ {scaled(run.estimated_j / 3600, 'Wh')}"
    else:
        told = "not measured"
    kind = "" if run.kind == "measured" else f" {SAID[run.kind]}"
    waste = f" {run.waste}" if run.waste else ""
    twice = "" if one.counts else " (not added)"
    return (
        run.created[:10] or "?",
        for_plain_text(run.model) or "?",
        run.stage,
        f"{run.hardware_count} × {for_plain_text(run.hardware)}" if run.hardware else "?",
        duration(run.duration_s),
        f"{told}{kind}{waste}{twice}",
        f"{scaled(run.figure_j, 'J')}/{run.figure_unit}" if run.figure_j is not None else "",
        stars(one),
        {"matches": "yes" if one.good else "hard to believe", "not verified": "no"}.get(
            one.verdict, one.verdict
        ),
    )


def stars(one: IndexedRun) -> str:
    """In a table: filled ones and their doubt; nothing where it is not rated."""
    run = one.run
    if run.stars is None:
        return ""
    open_ = (
        f" ({run.could_be_low}–{run.could_be_high})"
        if run.could_be_low != run.could_be_high and run.could_be_low is not None
        else ""
    )
    return f"{'★' * run.stars}{open_}"


def _group_table(told: Gathered, width: int) -> list[str]:
    head = (*told.by, "runs", "energy")
    rows = [
        (*(for_plain_text(name) for name in one.group), f"{one.runs:,}", sums(one)) for one in told.groups
    ]
    return _set_out(head, rows, width, flexible=tuple(range(len(told.by))))


def _set_out(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, flexible: Sequence[int]
) -> list[str]:
    """In columns; what is too long for the terminal is shortened in the flexible ones."""
    widths = [max(len(row[number]) for row in (head, *rows)) for number in range(len(head))]
    while sum(widths) + 2 * (len(widths) - 1) > width:
        longest = max(flexible, key=lambda number: widths[number])
        if widths[longest] <= 12:
            break
        widths[longest] -= 1
    lines = [head, *rows]
    return [
        "  ".join(
            shortened(cell, widths[number]).ljust(widths[number]) for number, cell in enumerate(line)
        ).rstrip()
        for line in lines
    ]
