"""``emissions.csv`` as CodeCarbon 3.3.2 writes it: the same columns, order, units and form, from a record. Text in, text out.

What was not measured is an empty cell there, and ``nan`` here: never zero, and never an error in the sums of whoever reads it. Who opens
and writes the file is somebody else.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from energy_rating.judging.footprint.carbon import footprint
from energy_rating.judging.footprint.factors import country_of
from energy_rating.nouns.errors import EnergyRatingError, NotMeasured
from energy_rating.nouns.quantities import JOULES_PER_KWH
from energy_rating.nouns.records import RUN, Component, Measurement, Record
from energy_rating.publishing.facts import energy_by_device
from energy_rating.publishing.strangers import for_spreadsheet
from energy_rating.version import __version__

# Whose columns these are, and who filled them: a version as PEP 440 has it, with a local part, so that what compares versions can.
VERSION = f"3.3.2+energy.rating.{__version__}"

_THEIRS: Mapping[Component, str] = {"cpu": "cpu", "gpu": "gpu", "dram": "ram"}
NOT_KNOWN = math.nan

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EmissionsData:
    """One row: kilograms of CO2e, kWh, watts, seconds, litres. The fields are CodeCarbon's (emissions_data.py of 3.3.2), in its order."""

    timestamp: str
    project_name: str
    run_id: str
    experiment_id: str
    duration: float
    emissions: float
    emissions_rate: float
    cpu_power: float
    gpu_power: float
    ram_power: float
    cpu_energy: float
    gpu_energy: float
    ram_energy: float
    energy_consumed: float
    water_consumed: float
    country_name: str | None
    country_iso_code: str | None
    region: str | None
    cloud_provider: str
    cloud_region: str
    os: str
    python_version: str
    codecarbon_version: str
    cpu_count: int | None
    cpu_model: str
    gpu_count: int
    gpu_model: str
    longitude: float | None
    latitude: float | None
    ram_total_size: float
    tracking_mode: str
    cpu_utilization_percent: float = NOT_KNOWN
    gpu_utilization_percent: float = NOT_KNOWN
    ram_utilization_percent: float = NOT_KNOWN
    ram_used_gb: float = NOT_KNOWN
    on_cloud: str = "N"
    pue: float = 1.0
    wue: float = 0.0

    @property
    def values(self) -> OrderedDict[str, Cell]:
        """The cells by column."""
        return OrderedDict(asdict(self))

    def toJSON(self) -> str:
        """The cells as JSON."""
        return json.dumps(asdict(self), sort_keys=True, indent=4)


# What a file of tasks lacks (TaskEmissionsData of 3.3.2).
_OF_RUNS_ONLY = ("experiment_id", "pue", "wue")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskEmissionsData:
    """One task: its name, and the cells of a row."""

    task_name: str
    row: EmissionsData

    @property
    def values(self) -> OrderedDict[str, Cell]:
        """The cells by column."""
        cells = {key: cell for key, cell in self.row.values.items() if key not in _OF_RUNS_ONLY}
        return OrderedDict(task_name=self.task_name, **cells)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "row"), name)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmissionsAssumed:
    """What a row says that no record knows: names, place, factors and the machine, as whoever measured gave them.

    ``zone`` is the country by three letters; ``intensity_g_per_kwh`` goes before it. ``pue`` multiplies energies and powers, as there;
    ``wue`` is litres per kWh. ``gpus``: the devices (by id) whose energy counts; None: all.
    """

    timestamp: str
    project_name: str
    run_id: str
    experiment_id: str
    os: str
    python_version: str
    cpu_count: int | None
    ram_total_gib: float
    zone: str | None = None
    region: str | None = None
    cloud_provider: str | None = None
    cloud_region: str | None = None
    intensity_g_per_kwh: float | None = None
    pue: float = 1.0
    wue: float = 0.0
    gpus: Sequence[str] | None = None
    cpu_utilization_percent: float = NOT_KNOWN


def emissions_of(record: Record, assumed: EmissionsAssumed, measurement: str = RUN) -> EmissionsData:
    """The row of one measurement of a record.

    ``energy_consumed`` is the sum of those of cpu, gpu and ram that were measured or estimated; the power of a component is its energy
    over the duration, so that both fit. Without a zone, or an intensity, the emissions are not known.

    Raises:
        NotMeasured: there is no such measurement.
    """
    measured = record[measurement]
    kwh = dict.fromkeys(_THEIRS.values(), NOT_KNOWN)
    watts = dict(kwh)
    for component, theirs in _THEIRS.items():
        joules = _joules(record, measured, component, assumed.gpus)
        if joules is None:
            continue
        kwh[theirs] = joules * assumed.pue / JOULES_PER_KWH
        if measured.duration_s > 0:
            watts[theirs] = joules * assumed.pue / measured.duration_s
    known = [energy for energy in kwh.values() if not math.isnan(energy)]
    consumed = math.fsum(known) if known else NOT_KNOWN
    name, intensity = _place(record, assumed, measurement)
    kg = consumed * intensity / 1000
    gpus = [device for device in _devices(record, "gpu") if assumed.gpus is None or device in assumed.gpus]
    names = {device.id: for_spreadsheet(device.name) for device in record.environment.devices}
    models = Counter(names[gpu] for gpu in gpus if gpu in names)
    return EmissionsData(
        timestamp=assumed.timestamp,
        project_name=assumed.project_name,
        run_id=assumed.run_id,
        experiment_id=assumed.experiment_id,
        duration=measured.duration_s,
        emissions=kg,
        emissions_rate=kg / measured.duration_s if measured.duration_s else NOT_KNOWN,
        cpu_power=watts["cpu"],
        gpu_power=watts["gpu"],
        ram_power=watts["ram"],
        cpu_energy=kwh["cpu"],
        gpu_energy=kwh["gpu"],
        ram_energy=kwh["ram"],
        energy_consumed=consumed,
        water_consumed=consumed * assumed.wue,
        country_name=name,
        country_iso_code=_country(assumed.zone)[0],
        region=assumed.region,
        cloud_provider=assumed.cloud_provider or "",
        cloud_region=assumed.cloud_region or "",
        os=assumed.os,
        python_version=assumed.python_version,
        codecarbon_version=VERSION,
        cpu_count=assumed.cpu_count,
        cpu_model=", ".join(dict.fromkeys(names[cpu] for cpu in _devices(record, "cpu") if cpu in names)),
        gpu_count=len(gpus),
        gpu_model="".join(f"{count} x {model}" for model, count in models.items()),
        longitude=None,
        latitude=None,
        ram_total_size=assumed.ram_total_gib,
        tracking_mode="machine",
        cpu_utilization_percent=assumed.cpu_utilization_percent if measurement == RUN else NOT_KNOWN,
        on_cloud="Y" if assumed.cloud_provider else "N",
        pue=assumed.pue,
        wue=assumed.wue,
    )


def between(before: EmissionsData | None, now: EmissionsData) -> EmissionsData:
    """What came after an earlier row of the same run, as CodeCarbon hands it to outputs beside the total."""
    if before is None:
        return now
    cells = asdict(now)
    for name in _ADDED_UP:
        cells[name] = cells[name] - getattr(before, name)
    cells["emissions_rate"] = cells["emissions"] / cells["duration"] if cells["duration"] > 0 else 0.0
    return EmissionsData(**cells)


_ADDED_UP = (
    *("duration", "emissions", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    "water_consumed",
)


def _joules(
    record: Record, measured: Measurement, component: Component, gpus: Sequence[str] | None
) -> float | None:
    if component not in measured.energy_j:
        return None
    if component != "gpu" or gpus is None:
        return measured.energy_j[component].value
    wanted = [
        energy.value for device, energy in energy_by_device(record, measured, component) if device in gpus
    ]
    return math.fsum(wanted) if wanted else None


def _devices(record: Record, component: Component) -> list[str]:
    return list(
        dict.fromkeys(channel.device for channel in record.channels if channel.component == component)
    )


def _country(zone: str | None) -> tuple[str | None, str | None]:
    """The country of a zone by three letters and by name: a part of one, or a cloud's region, is none."""
    found = country_of(zone) if zone is not None else None
    return found if found is not None else (zone, None)


def _place(record: Record, assumed: EmissionsAssumed, measurement: str) -> tuple[str | None, float]:
    """The country's name, and grams of CO2e for each kWh there."""
    name, intensity = None, NOT_KNOWN
    if assumed.zone is not None:
        try:
            impact = footprint(record, zone=assumed.zone, measurement=measurement)
        except EnergyRatingError:  # no such zone, which was said at the start, or no energy
            pass
        else:
            name, intensity = _country(assumed.zone)[1] or impact.zone_name, impact.intensity_g_per_kwh
    return name, intensity if assumed.intensity_g_per_kwh is None else assumed.intensity_g_per_kwh


# --------------------------------------------------------------------------------------------------------------- the file

HEADER = tuple(field.name for field in fields(EmissionsData))


def added(header: str | None, row: EmissionsData) -> str | None:
    """What goes to the end of a file that begins with this line; None where its columns are others, and it must be put aside first.

    ``header`` is empty or None where there is no file, or an empty one. Columns in another order stay in theirs.
    """
    if not header:
        return _lines([HEADER, _cells(row, HEADER)])
    columns = next(csv.reader([header]), [])
    return _lines([_cells(row, columns)]) if sorted(columns) == sorted(HEADER) else None


def updated(text: str, row: EmissionsData) -> str | None:
    """The file with this row at its end, in the place of the one that it had of this run; where it had several, they stay.

    None where its columns are others.
    """
    columns, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    if sorted(columns) != sorted(HEADER):
        return None
    at = columns.index("run_id")
    own = [cells for cells in rows if len(cells) > at and cells[at] == row.run_id]
    kept = [cells for cells in rows if len(own) != 1 or cells is not own[0]]
    return _lines([columns, *kept, _cells(row, columns)])


def of_tasks(tasks: Sequence[TaskEmissionsData]) -> str:
    """The file of a run's tasks. Columns in which nothing stands are left out, as CodeCarbon leaves them out.

    Raises:
        NotMeasured: there is no task.
    """
    told = [task.values for task in tasks]
    if not told:
        raise NotMeasured("there is no task", "Tasks are opened with start_task()")
    columns = [column for column in told[0] if any(not _is_empty(cells[column]) for cells in told)]
    return _lines([columns, *([_cell(cells[column]) for column in columns] for cells in told)])


def _cells(row: EmissionsData, header: Sequence[str]) -> list[str]:
    values = row.values
    return [_cell(values[column]) for column in header]


def _is_empty(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(value: Cell) -> str:
    return "" if _is_empty(value) else value if isinstance(value, str) else repr(value)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
