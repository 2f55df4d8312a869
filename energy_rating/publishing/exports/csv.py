"""A record as CSV: one row a measurement, CodeCarbon's columns first, then ours. What was not measured is an empty cell.

The first columns are those of ``emissions.csv`` as CodeCarbon 3.3 writes it, in its order and units (kWh, W, s, kg), so that what
reads that file reads this one. Emissions, water and place are not a record's to know, and stay empty; nothing is told of people. The
other columns are in joules and seconds.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from energy_rating.nouns.quantities import JOULES_PER_KWH
from energy_rating.nouns.records import COMPONENTS, Component, Record
from energy_rating.publishing.facts import Facts, Row, facts_of

# codecarbon 3.3.2, codecarbon/output_methods/emissions_data.py, the fields of EmissionsData.
CODECARBON = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region"),
    *("os", "python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model"),
    *("longitude", "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent"),
    *("gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)

# What CodeCarbon calls the components that it knows.
_THEIRS: Mapping[Component, str] = {"cpu": "cpu", "gpu": "gpu", "dram": "ram"}

# A spreadsheet takes a cell that begins so for a formula (OWASP ASVS 5.0, requirement 1.2.10, 2026-11-21; a tab or a NUL too, which
# are not let in), and where Japanese is written perhaps one that begins with their wide forms.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

Cell = str | int | float


def export(record: Record) -> str:
    """The text of a CSV file: a header, and a row for each measurement of the record.

    ``energy_consumed`` is the sum of those of gpu, cpu and dram that were measured or estimated; the power of a component is its
    energy over the time that its sensors saw. ``timestamp`` is the start of the run, UTC, written as CodeCarbon does. Units of
    work are columns ``work_UNIT``. ``checked`` is how far the record was held against its journal. The columns ``headline_…`` have
    their cells in one row, that of the measurement that stands for the run: whose energy, whether measured or estimated, joules per
    what. A text that a spreadsheet would take for a formula is led by an apostrophe.
    """
    units = tuple(dict.fromkeys(unit for measurement in record.measurements for unit in measurement.work))
    columns = (
        *CODECARBON,
        *_our_columns(),
        *(f"work_{unit}" for unit in units),
        *_HEADLINE,
        "validity",
        "findings",
        "checked",
    )
    facts = facts_of(record)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(defused(column) for column in columns)
    for row in facts.rows:
        cells = {**_codecarbon_cells(facts, row), **_our_cells(facts, row), **_headline_cells(facts, row)}
        writer.writerow([cells.get(column, "") for column in columns])
    return file.getvalue()


def _our_columns() -> Iterator[str]:
    yield from ("measurement", "stage", "n", "start_s")
    for component in COMPONENTS:
        for figure in ("energy_j", "random_j", "systematic_j", "method", "coverage"):
            yield f"{component}_{figure}"


_HEADLINE = ("headline_component", "headline_origin", "headline_unit", "headline_energy_j")


def _headline_cells(facts: Facts, row: Row) -> dict[str, Cell]:
    figure = facts.figure
    if figure is None or figure.window != row.measurement.name:
        return {}
    cells: tuple[Cell, ...] = (
        figure.component,
        figure.origin,
        defused(figure.unit or ""),
        figure.energy_j.value,
    )
    return dict(zip(_HEADLINE, cells, strict=True))


def _codecarbon_cells(facts: Facts, row: Row) -> dict[str, Cell]:
    record, measurement = facts.record, row.measurement
    names = {device.id: device.name for device in record.environment.devices}
    cells: dict[str, Cell] = {
        "timestamp": defused(_timestamp(record.created)),
        "project_name": defused(record.model.id if record.model else ""),
        "run_id": defused(record.run_id),
        "duration": measurement.duration_s,
        "python_version": defused(record.environment.software.get("python", "")),
        "tracking_mode": "machine",
    }
    energies = []
    for component, theirs in _THEIRS.items():
        energy = measurement.energy_j.get(component)
        if energy is None:
            continue
        energies.append(energy.value)
        cells[f"{theirs}_energy"] = energy.value / JOULES_PER_KWH
        seen_s = measurement.duration_s * measurement.coverage.get(component, 1.0)
        if seen_s > 0:
            cells[f"{theirs}_power"] = energy.value / seen_s
    if energies:
        cells["energy_consumed"] = sum(energies) / JOULES_PER_KWH
    gpus = facts.devices_of("gpu")
    if gpus:
        cells["gpu_count"] = len(gpus)
    # As CodeCarbon writes them: "8 x NVIDIA H100 80GB HBM3".
    models = Counter(names[gpu] for gpu in gpus if gpu in names)
    cells["gpu_model"] = defused(", ".join(f"{count} x {name}" for name, count in models.items()))
    models = Counter(names[cpu] for cpu in facts.devices_of("cpu") if cpu in names)
    cells["cpu_model"] = defused(", ".join(models))
    return cells


def _our_cells(facts: Facts, row: Row) -> dict[str, Cell]:
    record, measurement = facts.record, row.measurement
    cells: dict[str, Cell] = {
        "measurement": defused(measurement.name),
        "stage": record.stage,
        "n": measurement.n,
        "start_s": measurement.start_s,
        "validity": measurement.validity,
        "findings": defused(" ".join(row.codes)),
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
    for unit, amount in measurement.work.items():
        cells[f"work_{unit}"] = amount
    return cells


def _timestamp(created: str) -> str:
    """As CodeCarbon writes times, without a zone: readers that meet both kinds in one column fail."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{time.astimezone(UTC) if time.tzinfo else time:%Y-%m-%dT%H:%M:%S}"


def defused(text: str) -> str:
    """The text in one line, led by an apostrophe where a spreadsheet would take it for a formula."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
