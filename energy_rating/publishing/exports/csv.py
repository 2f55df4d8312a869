"""Records as CSV: one row a run, in columns that never change: CodeCarbon's first, then ours. What was not measured is an empty cell.

The first columns are those of ``emissions.csv`` as CodeCarbon 3.3 writes it, in its order and units (kWh, W, s, kg), so that what
reads that file reads this one. Water and the machine are not a record's to know, and stay empty; nothing is told of people. The
other columns are in joules and seconds. The columns are the same for every record, so that tables can be joined, and rows added up.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from energy_rating.judging.footprint.carbon import check_zone, footprint, zone_of
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import COMPONENTS, RUN, Measurement, Record
from energy_rating.publishing.emissions_csv import HEADER, EmissionsAssumed, emissions_of
from energy_rating.publishing.facts import Facts, Row, facts_of, units
from energy_rating.publishing.strangers import for_spreadsheet

CODECARBON = HEADER

# Of a window inside a run these would be counted twice by whoever adds up a column.
_ADDED_UP = (
    *("emissions", "emissions_rate", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    "water_consumed",
)

# What no record knows; CodeCarbon's defaults would be taken for knowledge.
_NOT_KNOWN = ("water_consumed", "wue", "os")

Cell = str | int | float


def _ours() -> Iterator[str]:
    yield from ("run_started", "measurement", "stage", "origin", "model", "n", "start_s")
    for component in COMPONENTS:
        for figure in ("energy_j", "random_j", "systematic_j", "method", "coverage"):
            yield f"{component}_{figure}"
    # ``work`` is in the unit that the energy is told by; all that was counted stands in ``all_work``.
    yield from ("work_unit", "work", "all_work")
    yield from ("headline_component", "headline_origin", "headline_unit", "headline_energy_j")
    # What it comes to at its place, and by which factors; of the doubts, 1 σ. Empty where no place is known.
    yield from ("zone", "factors", "factor_year", "intensity_g_per_kwh")
    for figure in _FOOTPRINT:
        yield from (figure, f"{figure}_sigma")
    yield from ("validity", "findings", "checked")


_FOOTPRINT = ("carbon_g", "embodied_g", "water_off_site_l")
COLUMNS = (*CODECARBON, *_ours())


def export(record: Record) -> str:
    """The text of a CSV file: a header, and the row of the run."""
    return table([record])


def table(
    records: Sequence[Record],
    *,
    windows: bool = False,
    only: str | None = None,
    zone: str | None = None,
    header: bool = True,
) -> str:
    """The text of a CSV file of many records: a header, and a row for each run.

    ``energy_consumed`` is the sum of those of gpu, cpu and dram that were measured or estimated; the power of a component is its
    energy over the duration; ``pue`` is 1.0, since none is in the figures. ``timestamp`` is the end of the row's time and
    ``run_started`` the start of the run, both in UTC. ``emissions`` are told where a zone is known. ``checked`` is how far the record
    was held against its journal. The columns ``headline_…`` tell what stands for the run. A text that a spreadsheet would take for a
    formula is led by an apostrophe.

    Args:
        records: of runs.
        windows: a row for every measurement, not the run's alone. Theirs leave CodeCarbon's energies empty, which are a part of the
            run's: added up, that column stays right.
        only: the row of this measurement alone, in CodeCarbon's columns alone: what reads its files reads nothing else here.
        zone: the country for the emissions, by three letters. Default: where each record says that it ran.
        header: whether the first line names the columns.

    Raises:
        BadInput: there is no factor for the zone; or both ``windows`` and ``only`` are asked for.
        NotMeasured: a record has no measurement of the name ``only``.
    """
    if zone is not None:
        check_zone(zone)
    if windows and only is not None:
        raise BadInput("--windows and --only contradict each other", "Give one of them", place="--only")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = COLUMNS if only is None else CODECARBON
    if header:
        writer.writerow(columns)
    for record in records:
        facts = facts_of(record)
        for row in facts.rows:
            if row.measurement.name != (only or RUN) and not windows:
                continue
            cells = _codecarbon_cells(record, row.measurement, zone, pure=only is not None)
            if only is None:
                cells |= _our_cells(facts, row) | _footprint_cells(record, row.measurement, zone)
            writer.writerow([cells.get(column, "") for column in columns])
        if only is not None:
            record[only]  # says which there are
    return file.getvalue()


def _codecarbon_cells(
    record: Record, measurement: Measurement, zone: str | None, *, pure: bool
) -> dict[str, Cell]:
    """The cells of CodeCarbon's columns. ``pure``: there are no others."""
    name = measurement.name
    place = record.place
    assumed = EmissionsAssumed(
        timestamp=_end(record.created, measurement, zoned=not pure),
        project_name=record.model.id if record.model else "",
        # A window by itself is no second run of the same name.
        run_id=record.run_id if name == RUN or not pure else f"{record.run_id}:{name}",
        experiment_id="",
        os="",
        python_version=record.environment.software.get("python", ""),
        cpu_count=None,
        ram_total_gib=math.nan,
        zone=zone if zone is not None else zone_of(record),
        cloud_provider=place.provider if place else None,
        cloud_region=place.region if place else None,
    )
    told = emissions_of(record, assumed, name).values
    cells = {
        column: for_spreadsheet(cell) if isinstance(cell, str) else cell
        for column, cell in told.items()
        if cell is not None and not (isinstance(cell, float) and math.isnan(cell))
    }
    for column in _NOT_KNOWN:
        cells.pop(column, None)
    if not assumed.cloud_provider:
        cells.pop("on_cloud", None)  # not said is not no
    if not pure:
        if not cells.get("gpu_count"):
            cells.pop("gpu_count", None)
        if name != RUN:
            cells = {column: cell for column, cell in cells.items() if column not in _ADDED_UP}
    return cells


def _footprint_cells(record: Record, measurement: Measurement, zone: str | None) -> dict[str, Cell]:
    """What a measurement comes to; nothing where no place is known, or nothing was measured in it."""
    if zone is None and zone_of(record) is None:
        return {}
    try:
        found = footprint(record, zone=zone, measurement=measurement.name)
    except (
        EnergyRatingError
    ):  # of a place that a record says there may be no factor; one that was asked for was looked at before
        return {}
    cells: dict[str, Cell] = {
        "zone": for_spreadsheet(found.zone),
        "factors": found.vintage or "",
        "factor_year": found.year or "",
        "intensity_g_per_kwh": found.intensity_g_per_kwh,
    }
    for name in _FOOTPRINT:
        amount = getattr(found, name)
        if amount is not None:
            cells |= {name: amount.value, f"{name}_sigma": amount.sigma}
    return cells


def _our_cells(facts: Facts, row: Row) -> dict[str, Cell]:
    record, measurement = facts.record, row.measurement
    figure = facts.figure
    unit = next(iter(units(measurement)), None) or next(iter(measurement.work), None)
    if figure is not None and figure.unit in measurement.work:
        unit = figure.unit
    cells: dict[str, Cell] = {
        "run_started": for_spreadsheet(_start(record.created)),
        "measurement": for_spreadsheet(measurement.name),
        "stage": record.stage,
        "origin": record.origin,
        "model": for_spreadsheet(record.model.id if record.model else ""),
        "n": measurement.n,
        "start_s": measurement.start_s,
        "all_work": for_spreadsheet(
            " ".join(f"{name}={amount}" for name, amount in measurement.work.items())
        ),
        "validity": measurement.validity,
        "findings": for_spreadsheet(" ".join(row.codes)),
        "checked": record.checked or "",
    }
    for component in COMPONENTS:
        part = row.part(component)
        if part is not None:
            cells[f"{component}_energy_j"] = part.energy_j.value
            cells[f"{component}_random_j"] = part.energy_j.random
            cells[f"{component}_systematic_j"] = part.energy_j.systematic
            cells[f"{component}_method"] = part.method or ""
        if component in measurement.coverage:
            cells[f"{component}_coverage"] = measurement.coverage[component]
    if unit is not None:
        cells |= {"work_unit": for_spreadsheet(unit), "work": measurement.work[unit]}
    if figure is not None and (measurement.name == RUN or figure.window == measurement.name):
        cells |= {
            "headline_component": figure.component,
            "headline_origin": figure.origin,
            "headline_unit": for_spreadsheet(figure.unit or ""),
            "headline_energy_j": figure.energy_j.value,
        }
    return cells


def _start(created: str) -> str:
    """With its zone, ``Z``, where the record tells one; nothing where it tells no time."""
    try:
        time = datetime.fromisoformat(created)
        return _iso(time) if time.tzinfo is None else f"{_iso(time.astimezone(UTC).replace(tzinfo=None))}Z"
    except (ValueError, OverflowError):
        return ""


def _end(created: str, measurement: Measurement, *, zoned: bool) -> str:
    """When the row's time was over, as CodeCarbon's rows are written. Its own have no zone, and what reads several fails on a mixture."""
    try:
        time = datetime.fromisoformat(_start(created))
        time += timedelta(seconds=round(measurement.start_s + measurement.duration_s))
    except (ValueError, OverflowError):
        return ""
    known = time.tzinfo is not None
    return _iso(time.replace(tzinfo=None)) + ("Z" if zoned and known else "")


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
