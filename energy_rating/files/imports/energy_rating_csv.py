"""Our own table (``energy-rating export --format csv``): what a record said, without its journal. Energies and their doubt as they stand.

One row a run, or with ``--windows`` one for every window. A run that stands in it twice, as in tables that were joined, is one run.
"""

from __future__ import annotations

from collections.abc import Iterator

from energy_rating.files.foreign import Foreign, Row
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    joules,
    model_name,
    of_import,
    seconds,
    text,
    work,
)
from energy_rating.nouns.entries import COMPONENTS, RUN, STAGES, Device, Finding, Model, Place, Stage
from energy_rating.nouns.errors import BadInput

NAME = "energy-rating (CSV)"

# publishing/exports/csv.py, COLUMNS.
OURS = frozenset({"run_started", "measurement", "run_id", "stage", "gpu_energy_j", "all_work"})
# What stands before a text that a spreadsheet would take for a formula (publishing/strangers.py).
APOSTROPHE = "'"


def is_mine(file: Foreign) -> bool:
    return frozenset(file.columns) >= OURS


def read(file: Foreign) -> Iterator[Import]:
    runs: dict[str, dict[str, Row]] = {}
    for _, row in file.rows():
        if row.get("measurement") == "measurement":
            continue  # the head of the next table, as ``cat`` leaves it
        name = _cell(row, "run_id") or "run"
        runs.setdefault(name, {}).setdefault(_cell(row, "measurement") or "window", row)
    for name, windows in runs.items():
        if RUN not in windows:
            raise BadInput(f"has no row of the whole run {name[:60]!r}", "Export it again without --only")
        yield _run(name, windows)


def _run(name: str, windows: dict[str, Row]) -> Import:
    row = windows.pop(RUN)
    stage: Stage = next((one for one in STAGES if one == row.get("stage")), "other")
    model = model_name(_cell(row, "model"))
    return Import(
        tool="energy-rating",
        version=(row.get("codecarbon_version") or "").partition("+energy.rating.")[2] or None,
        run_id=name,
        when=row.get("run_started"),
        stage=stage,
        model=None if model is None else Model(id=model),
        place=_place(row),
        parts=(_part(RUN, row), *(_part(window, one) for window, one in windows.items())),
        devices=tuple(_devices(row)),
        software={"python": _cell(row, "python_version") or ""},
        says=tuple(_says(row)),
    )


def _place(row: Row) -> Place | None:
    """The zone of its emissions: one that whoever made the run, or the table, said."""
    zone = text(_cell(row, "zone"), 40)
    return None if zone is None else Place(zone=zone)


def _cell(row: Row, column: str) -> str | None:
    """A text as it was before it was made harmless for a spreadsheet."""
    cell = row.get(column)
    return None if cell is None else cell.removeprefix(APOSTROPHE)


def _part(name: str, row: Row) -> ForeignPart:
    return ForeignPart(
        name=name,
        n=count(row.get("n")) or 1,
        start_s=seconds(row.get("start_s")) or 0.0,
        duration_s=seconds(row.get("duration")) or 0.0,
        energies=tuple(_energies(row)),
        work=_work(row),
        coverage={
            component: share
            for component in COMPONENTS
            if (share := amount(row.get(f"{component}_coverage"), 1.0)) is not None
        },
    )


def _energies(row: Row) -> Iterator[ForeignEnergy]:
    for component in COMPONENTS:
        energy = joules(row.get(f"{component}_energy_j"))
        if energy is None:
            continue
        method = row.get(f"{component}_method")
        yield ForeignEnergy(
            component=component,
            joules=energy,
            had="sensor" if method in ("counter", "power") else "model" if method == "model" else "untold",
            random_j=joules(row.get(f"{component}_random_j")) or 0.0,
            systematic_j=joules(row.get(f"{component}_systematic_j")) or 0.0,
        )


def _work(row: Row) -> dict[str, int | float]:
    pairs = (word.rpartition("=") for word in (_cell(row, "all_work") or "").split(" ")[:1000])
    return work({unit: number for unit, _, number in pairs})


def _devices(row: Row) -> Iterator[Device]:
    if gpu := text(_cell(row, "gpu_model")):
        number, _, model = gpu.partition(" x ")
        name = gpu if not model else model if number == "1" else f"{model} ({number} together)"
        yield Device(id="gpu, as a whole", name=name)
    if cpu := text(_cell(row, "cpu_model")):
        yield Device(id="cpu, as a whole", name=cpu)


def _says(row: Row) -> Iterator[Finding]:
    codes = text(_cell(row, "findings"), 500)
    if codes:
        yield of_import(
            "imported-scope", f"the findings of the run stand in the table by their codes alone: {codes}"
        )
    if row.get("validity") == "invalid":
        yield of_import(
            "imported-incomplete",
            "the table says that the run was invalid, and not why",
            severity="disqualifies",
        )
