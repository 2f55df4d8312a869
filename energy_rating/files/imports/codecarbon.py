"""CodeCarbon's ``emissions.csv`` of every version since 1.0, and ``emissions_base_*.csv``, where the tasks of a run stand.

Seen by running it (1.2.0 to 3.3.2): rows of one run are totals so far, one for each ``flush()``; the powers are means of samples and do
not fit the energies; all energies are multiplied by ``pue``, also those of tasks, beside which no ``pue`` stands; with tasks the row of
the run has the energy of all tasks and the duration of the last; without a network the country is Canada, quebec; ``emissions_rate``
was in g/s until 2.1.4. Nothing tells RAPL from a constant. Written by this package in CodeCarbon's columns, it is known by its version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from energy_rating.files.foreign import Foreign, Row
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    id_of,
    joules,
    not_taken,
    of_import,
    seconds,
    text,
)
from energy_rating.nouns.entries import RUN, Component, Device, Finding
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH

NAME = "CodeCarbon"

# Columns of 1.2.0 that every later version has too: codecarbon/output.py, EmissionsData (1.2.0), and
# codecarbon/output_methods/emissions_data.py (3.3.2).
ALWAYS = frozenset({"timestamp", "project_name", "duration", "emissions", "energy_consumed"})
OF_TASKS = frozenset({"task_name", "run_id", "duration", "energy_consumed"})
# What only our own larger table has, which ``energy_rating_csv`` reads.
OURS = "run_started"
# How this package says that it wrote a table of CodeCarbon's columns (publishing/emissions_csv.py).
WRITER = "+energy.rating."

# What it calls the components, and whether a sensor stands behind them: GPUs are read through the driver and are nothing without it;
# of processor and memory the file tells neither RAPL from a constant nor a reading from a guess.
_PARTS: Mapping[str, Component] = {"gpu": "gpu", "cpu": "cpu", "ram": "dram"}

# By this a footprint knows that it must not multiply by a PUE (judging/footprint/pue.py).
PUE_NOT_KNOWN = {"pue": "not known"}

# How far its total may be from the sum of its parts, relative: all are doubles, and a table that went through a spreadsheet was rounded.
TOTAL_STRAYS = 0.02

# Where it says that it is when nobody answers: the province of its authors.
_NOWHERE = ("CAN", "quebec")


def is_mine(file: Foreign) -> bool:
    columns = frozenset(file.columns)
    return columns >= OF_TASKS or (columns >= ALWAYS and OURS not in columns)


def read(file: Foreign) -> Iterator[Import]:
    if "task_name" in file.columns:
        yield from _of_tasks(file)
        return
    tasks = {run: rows for one in _bases(file) for run, rows in _by_run(one).items()}
    for run, rows in _by_run(file).items():
        yield _run(run, rows, tasks.get(run, ()))


def _bases(file: Foreign) -> Iterator[Foreign]:
    """The files of tasks beside it; their names are CodeCarbon's, but it is the columns that count."""
    for other in file.beside():
        if other.path.suffix == ".csv" and frozenset(other.columns) >= OF_TASKS:
            yield other


def _by_run(file: Foreign) -> dict[str, list[Row]]:
    """The rows of each run, in their order."""
    runs: dict[str, list[Row]] = {}
    for _, row in file.rows():
        # Until 2.0 the run had no name but that of its experiment, which since 3 is the same for everybody.
        name = row.get("run_id" if "run_id" in row else "experiment_id") or id_of(sorted(row.items()))
        of_run = runs.setdefault(name.strip(), [])
        if row not in of_run[-1:]:  # tables that were joined may hold a run twice
            of_run.append(row)
    if not runs:
        raise BadInput("holds no run", "CodeCarbon writes a row when a run ends or flush() is called")
    return runs


def _run(name: str, rows: list[Row], tasks: list[Row] | tuple[Row, ...]) -> Import:
    whole = [row for row in rows if _is_whole(row)]
    if not whole:
        raise BadInput(f"the run {name[:60]!r} has no row with an energy and a duration", "Look at the file")
    row = whole[-1]
    says = [*_of_rows(rows, whole), *_of_figures([row, *tasks]), *_of_pue(row), *_of_total(row)]
    pue = _pue(row)
    if pue != 1:
        says.append(
            of_import(
                "imported-converted",
                f"the energies in the file hold a PUE of {pue:g} (cooling and losses of the building); it was taken out",
            )
        )
    duration = seconds(row.get("duration")) or 0.0
    parts = [ForeignPart(name=RUN, duration_s=duration, energies=_energies(row, pue))]
    if any(_is_whole(task) for task in tasks):
        parts = list(_tasks(tasks, pue))
        says.append(
            of_import(
                "imported-converted",
                "it was measured in tasks: time and energy are those of the tasks together, since CodeCarbon writes the duration of "
                "the last task beside the energy of all; what ran between tasks is not in it",
            )
        )
    return _import(name, row, parts, says)


def _is_whole(row: Row) -> bool:
    """Whether a row has what a run must have; a line that was cut short has not."""
    return joules(row.get("energy_consumed")) is not None and seconds(row.get("duration")) is not None


def _of_rows(rows: list[Row], whole: list[Row]) -> Iterator[Finding]:
    if len(whole) < len(rows):
        yield of_import(
            "imported-incomplete",
            f"{len(rows) - len(whole)} of {len(rows)} rows of this run cannot be read and were left out",
            severity="degrades",
        )
    totals = [joules(row.get("energy_consumed")) or 0.0 for row in whole]
    if len(whole) > 1:
        yield of_import(
            "imported-converted",
            f"{len(whole)} rows are of this run: each is its total so far (flush()), and the last is taken, not their sum",
        )
    if any(after < before for before, after in pairwise(totals)):
        yield of_import(
            "imported-incomplete",
            "the totals of this run fall from one row to the next, which no total does: several trackers may have used one id",
            severity="degrades",
        )


def _of_figures(rows: Sequence[Row]) -> Iterator[Finding]:
    """Energies that are none: they are left out, and nobody shall take that for nothing that was drawn."""
    for theirs in _PARTS:
        wrong = [cell for row in rows if _is_wrong(cell := row.get(f"{theirs}_energy"))]
        if wrong:
            yield of_import(
                "imported-incomplete",
                f"the file's {theirs}_energy is no energy (such as {(text(wrong[0], 30) or '')!r}) and was left out",
                "Look at the file: a comma for the decimal point, or a value that was edited",
                severity="degrades",
            )


def _is_wrong(cell: str | None) -> bool:
    return cell is not None and bool(cell.strip()) and joules(cell) is None


def _of_total(row: Row) -> Iterator[Finding]:
    """Its total is the sum of its parts, in every version that tells the parts. Where it is not, somebody else wrote in the file."""
    parts = [joules(row.get(f"{theirs}_energy")) for theirs in _PARTS]
    told = joules(row.get("energy_consumed")) or 0.0
    if any(cell is None for cell in (row.get(f"{theirs}_energy") for theirs in _PARTS)):
        return
    total = math.fsum(part or 0.0 for part in parts)
    if abs(total - told) > TOTAL_STRAYS * max(total, told):
        yield of_import(
            "imported-incomplete",
            f"the parts add up to {total:.4g} kWh, and the file's total (energy_consumed) is {told:.4g} kWh: the parts are taken",
            "Look at the file: CodeCarbon's total is the sum of its parts",
            severity="degrades",
        )


def _of_pue(row: Row) -> Iterator[Finding]:
    told = (row.get("pue") or "").strip()
    if "pue" in row and _told_pue(row) is None:
        yield of_import(
            "imported-incomplete",
            f"the file's pue ({text(told, 30) or 'empty'}) is no PUE: whether the energies hold one is not known, and nothing was taken out",
            "Look at the file: a PUE is a number of at least 1, with a decimal point",
            severity="degrades",
            data=PUE_NOT_KNOWN,
        )


def _of_tasks(file: Foreign) -> Iterator[Import]:
    """Of a file of tasks alone: what the row of the run says of it is looked for beside it."""
    beside = {}
    for other in file.beside():
        if other.path.suffix == ".csv" and is_mine(other) and "task_name" not in other.columns:
            beside.update(_by_run(other))
    for name, rows in _by_run(file).items():
        if name in beside:
            yield _run(name, beside[name], rows)
            continue
        says = [
            *_of_figures(rows),
            of_import(
                "imported-incomplete",
                "the row of this run (emissions.csv) is not beside its tasks: whether the energies hold a PUE is not known, nor the place",
                "Name both files, or keep them in one folder",
                severity="degrades",
                data=PUE_NOT_KNOWN,
            ),
        ]
        yield _import(name, rows[-1], list(_tasks(rows, 1.0)), says)


def _tasks(rows: list[Row] | tuple[Row, ...], pue: float) -> Iterator[ForeignPart]:
    """The run as the sum of its tasks, then each of them."""
    tasks = [
        ForeignPart(
            name=text(row.get("task_name"), 60) or "task",
            duration_s=seconds(row.get("duration")) or 0.0,
            energies=_energies(row, pue),
        )
        for row in rows
        if _is_whole(row)
    ]
    yield ForeignPart(
        name=RUN,
        duration_s=math.fsum(task.duration_s for task in tasks),
        energies=tuple(energy for task in tasks for energy in task.energies),
    )
    yield from (task for task in tasks if task.name != RUN)


def _told_pue(row: Row) -> float | None:
    pue = amount(row.get("pue"), 100.0)
    return pue if pue is not None and pue >= 1 else None


def _pue(row: Row) -> float:
    return _told_pue(row) or 1.0


def _energies(row: Row, pue: float) -> tuple[ForeignEnergy, ...]:
    found = []
    for theirs, component in _PARTS.items():
        energy = joules(row.get(f"{theirs}_energy"), JOULES_PER_KWH / pue)
        if energy is None or (theirs == "gpu" and not energy):
            continue  # 0 J of a GPU is no GPU, or one that it could not see
        if not energy and not (amount(row.get(f"{theirs}_power"), 1e9) or 0):
            continue
        found.append(
            ForeignEnergy(component=component, joules=energy, had="sensor" if theirs == "gpu" else "untold")
        )
    if not found and not any(f"{theirs}_energy" in row for theirs in _PARTS):
        # Before 2.0 the parts were not told: graphics cards, processor and memory, as far as it saw them.
        energy = joules(row.get("energy_consumed"), JOULES_PER_KWH / pue)
        if energy:
            found.append(ForeignEnergy(component="host", joules=energy, had="untold"))
    return tuple(found)


def _import(name: str, row: Row, parts: list[ForeignPart], says: list[Finding]) -> Import:
    version = text(row.get("codecarbon_version"), 40)
    ours = WRITER in (version or "")
    devices = []
    gpus, gpu_model = count(row.get("gpu_count")), text(row.get("gpu_model"))
    if any(energy.component == "gpu" for part in parts for energy in part.energies):
        devices.append(Device(id="gpu, as a whole", name=_together(gpu_model)))
    if cpu := text(row.get("cpu_model")):
        devices.append(Device(id="cpu, as a whole", name=cpu))
    says = [
        *says,
        *_missing(parts, gpus, gpu_model, wrong=_is_wrong(row.get("gpu_energy"))),
        *_left_out(row),
        *_scope(row),
    ]
    duration = seconds(row.get("duration")) or 0.0
    return Import(
        tool="energy-rating" if ours else NAME,
        version=(version or "").partition(WRITER)[2] if ours else version,
        own_id=name,
        run_id=name if ours else None,
        when=_start(row.get("timestamp"), duration, utc=ours),
        parts=tuple(parts),
        devices=tuple(devices),
        software={"python": text(row.get("python_version"), 40) or ""},
        says=tuple(says),
        data={
            key: value
            for key, value in {"project": text(row.get("project_name")), "gpus": gpus}.items()
            if value is not None
        },
    )


def _together(gpus: str | None) -> str:
    """``2 x NVIDIA H100`` as the name of one device, since the energy is told of all together."""
    number, _, model = (gpus or "not told").partition(" x ")
    if not model:
        return number
    return model if number == "1" else f"{model} ({number} together)"


def _start(timestamp: str | None, duration_s: float, *, utc: bool) -> str | None:
    """Rows are written at the end; of others' the zone is not told, and ours are in UTC."""
    try:
        end = datetime.fromisoformat((timestamp or "").strip()[:40])
        start = end - timedelta(seconds=round(duration_s))
    except (ValueError, OverflowError):
        return None
    return start.isoformat() + ("Z" if utc and start.tzinfo is None else "")


def _missing(
    parts: list[ForeignPart], gpus: int | None, gpu_model: str | None, *, wrong: bool
) -> Iterator[Finding]:
    if any(energy.component in ("gpu", "host") for part in parts for energy in part.energies):
        return
    if wrong:
        yield of_import(
            "gpu-not-measured",
            "the file's energy of the GPU is none that can be read: what it drew is not known",
            "Measure it with energy-rating",
            severity="degrades",
        )
    elif gpus or gpu_model:
        yield of_import(
            "gpu-not-measured",
            f"{gpu_model or f'{gpus} GPUs'} stood in the machine, and the file tells 0 kWh of it: CodeCarbon did not see it",
            "Measure it with energy-rating",
            severity="degrades",
        )
    else:
        yield of_import(
            "gpu-not-measured",
            "CodeCarbon saw no GPU (gpu_count 0): whether there was one is not known",
            "Measure it with energy-rating",
            severity="note",
        )


def _left_out(row: Row) -> Iterator[Finding]:
    emissions = amount(row.get("emissions"), 1e12)
    code = text(row.get("country_iso_code"), 10)
    country = text(row.get("country_name"), 60)
    region = text(row.get("region"), 60)
    where = ", ".join(part for part in (country or code, region) if part)
    if emissions is not None or where:
        told = " and ".join(
            part
            for part in (
                f"emissions of {emissions:g} kg" if emissions is not None else "",
                f"the place ({where})" if where else "",
            )
            if part
        )
        yield not_taken(
            told,
            "work the carbon out from the energy and the country where it really ran: energy-rating impact RECORD --zone FRA",
        )
    if (code or "").upper() == _NOWHERE[0] and (region or "").casefold() == _NOWHERE[1]:
        yield of_import(
            "imported-place",
            "Canada, quebec is what CodeCarbon writes where it reaches no network: it may have run anywhere",
        )


def _scope(row: Row) -> Iterator[Finding]:
    mode = text(row.get("tracking_mode"), 20)
    if WRITER in (row.get("codecarbon_version") or ""):
        return
    if mode == "process":
        yield of_import(
            "imported-scope",
            "memory is that of one process (tracking_mode process), GPUs are whole devices, whoever used them",
        )
    else:
        yield of_import(
            "imported-scope",
            "it is the energy of the whole machine as far as CodeCarbon saw it, whatever else ran there; which of its GPUs were meant, "
            "is not told",
        )
