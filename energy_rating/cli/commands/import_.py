"""``energy-rating import``: runs that were measured with other tools, as records that say what they do not know."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option, refuse_a_file, strict_option, zone_option
from energy_rating.cli.output import as_json_text, say, tell
from energy_rating.nouns.choices import STAGES
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_rating.files.imports import ReadFile
    from energy_rating.nouns.records import Record, Stage


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Folder for the records, one folder a run.",
)
@click.option(
    "--model",
    help="The model's id, such as org/name, of all these runs: what their files say of it gives way.",
)
@click.option("--stage", type=click.Choice(STAGES), help="What kind of runs they are.")
@zone_option("Country where they ran, by three letters, as you say it: no place is taken from the files.")
@strict_option("Exit with 1 when a file was left out; the others are imported all the same.")
@json_option
def import_(
    files: Sequence[Path],
    output: Path,
    model: str | None,
    stage: Stage | None,
    zone: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Runs measured with other tools, as records: shown, added up and compared, never rated.

    \b
    energy-rating import emissions.csv -o imported
    energy-rating import bench.json gpu_power.csv -o imported

    FILES are CodeCarbon's emissions.csv, logs of carbontracker, results of benchmarks with a log of power beside them, and others:
    docs/imports.md has the table. What belongs to a file is looked for among FILES, then in its folder. A run that was imported
    before is there once. A file that cannot be read is named, and the others are imported.
    """
    from energy_rating.files.foreign import same_file
    from energy_rating.files.imports import ReadFile
    from energy_rating.files.record import RECORD_NAME, record_to_json
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.footprint.carbon import check_zone
    from energy_rating.publishing.facts import one_line

    if zone is not None:
        check_zone(zone)
    refuse_a_file(output)
    found: dict[str, Record] = {}
    left_out: dict[Path, BadInput] = {}
    read = {path: _read(path, files) for path in _each_once(files)}
    used = {
        same_file(one) for result in read.values() if isinstance(result, ReadFile) for one in result.taken
    }
    for path, result in read.items():
        if same_file(path) in used:
            continue  # it belongs to another of these, with which it was read
        if isinstance(result, ReadFile):
            for record in result.records:
                other = found.get(record.run_id)
                if other is None or _is_later(record, other):
                    found[record.run_id] = _said(record, model, stage, zone)
        elif any(isinstance(other, ReadFile) for other in read.values()):
            left_out[path] = result
            tell(f"left out: {result}")
        else:
            raise result
    entries: list[dict[str, str | None]] = []
    for run_id, record in found.items():
        folder = output / run_id
        state = _state(folder / RECORD_NAME, record)
        if state in ("new", "replaced"):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(
                    f"cannot be made ({error.strerror or error})", "Choose another folder", place=folder
                ) from error
            write_whole(folder / RECORD_NAME, record_to_json(record).encode())
        entries.append({"run_id": run_id, "record": str(folder / RECORD_NAME), "state": state})
        if not as_json:
            say(f"{one_line(record)} · {folder} ({_STATES[state]})")
    entries += [
        {"run_id": None, "record": None, "state": "left-out", "file": str(path), "why": str(error)}
        for path, error in left_out.items()
    ]
    if as_json:
        say(as_json_text(entries))
    else:
        counts = ", ".join(
            f"{sum(entry['state'] == state for entry in entries)} {told}"
            for state, told in _STATES.items()
            if any(entry["state"] == state for entry in entries)
        )
        say(f"{len(found)} run{'s' if len(found) != 1 else ''} in {output}: {counts}")
        say(
            "Imported: not measured by energy-rating, and never rated; each record says what its file does not tell"
        )
    if left_out:
        files_left = (
            f"{len(left_out)} of {len(read)} files {'was' if len(left_out) == 1 else 'were'} left out"
        )
        tell(f"{files_left}{'' if strict else '; with --strict that is an error'}")
        if strict:
            sys.exit(1)


_STATES = {
    "new": "new",
    "same": "there already, counted once",
    "replaced": "there already, with other figures: replaced",
    "later": "there already from a later moment of the run, which was kept",
    "kept": "there already as a run of ours, which was kept",
}


def _is_later(record: Record, other: Record) -> bool:
    """Of two files of one run, such as a copy and what it grew to: totals only grow, and the longer one was written later."""
    return _duration(record) > _duration(other)


def _duration(record: Record) -> float:
    return record.measurements[0].duration_s if record.measurements else 0.0


def _each_once(files: Sequence[Path]) -> Iterator[Path]:
    """A file that is named twice is read once."""
    seen = set()
    for path in files:
        where = path.absolute()
        if where not in seen:
            seen.add(where)
            yield path


def _read(path: Path, files: Sequence[Path]) -> ReadFile | BadInput:
    """The runs in a file, or why there are none."""
    from energy_rating.files.imports import found_in

    try:
        return found_in(path, named=[one for one in files if one != path])
    except BadInput as error:
        return error


def _said(record: Record, model: str | None, stage: Stage | None, zone: str | None) -> Record:
    """The record with what the user says of it."""
    from energy_rating.nouns.records import Model, Place

    if model is not None:
        record = replace(record, model=replace(record.model, id=model) if record.model else Model(id=model))
    if stage is not None:
        record = replace(record, stage=stage)
    if zone is not None:
        try:
            record = replace(record, place=Place(zone=zone))
        except ValueError as error:
            raise BadInput(str(error), place="--zone") from None
    return record


def _state(path: Path, record: Record) -> str:
    """What writing this record does to what is there."""
    from energy_rating.files.journal import JOURNAL_NAMES
    from energy_rating.files.record import read_record, record_to_json

    if any((path.parent / name).exists() for name in JOURNAL_NAMES):
        return "kept"
    if not path.exists():
        return "new"
    try:
        there = read_record(path)
    except BadInput as error:
        tell(f"{error}; it is replaced")
        return "replaced"
    if there.origin != "imported":
        return "kept"
    if _is_later(there, record):
        return "later"
    return "same" if record_to_json(there) == record_to_json(replace(record, checked=None)) else "replaced"
