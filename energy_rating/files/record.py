"""A record to JSON and back, and the contradictions that keep one from being read. How it came about is left to others.

Writing is deterministic and atomic: the same value gives the same bytes, and a file is there whole or not at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.files.journal import JOURNAL_NAMES, JOURNAL_SCHEMAS, being_written
from energy_rating.files.journal import RECORD_NAME as RECORD_NAME
from energy_rating.files.opening import read_beginning, read_whole
from energy_rating.files.strict import MOST_VALUES, adapter, json_object, json_schema, validated
from energy_rating.files.whole import write_whole
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    RECORD_SCHEMA,
    RECORD_SCHEMAS,
    RUN,
    SINCE_2,
    Condition,
    Device,
    Measurement,
    Record,
    component_methods,
    plain,
)

# What a stranger's file may be at most. A record of a million windows of one name is a few kilobytes, one of 20,000 names 15 MB;
# the values are counted before they are parsed, because an empty list takes 20 times the memory of its text.
LARGEST_RECORD = 16 << 20  # bytes

# One that was merged from ten thousand hosts of eight devices is 45 MB, and holds 1.4 million values.
LARGEST_MERGED = 64 << 20
MOST_OF_MERGED = 2_500_000

# As many as one line of an error can name.
MOST_NAMED = 3

# A sum is the same sum in any order of adding, up to what floating point leaves; a doubt that follows from others likewise.
SAME_SUM = 1e-6
JUST_BELOW = 0.999


# ---------------------------------------------------------------------------------------------------------- records


def record_to_json(record: Record) -> str:
    """The text of ``record.json``: two spaces of indentation, keys in the order of the schema, one line end at the end.

    Of a merged one, which may tell of a hundred thousand devices, each device, channel and energy is on a line of its own.
    """
    if record.origin == "merged":
        return "".join(_in_lines(record))
    return json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _in_lines(record: Record) -> Iterator[str]:
    """The text of a record piece by piece: of what there may be many, one a line, so that they are never all in memory as plain values."""
    few = replace(record, channels=(), measurements=(), environment=replace(record.environment, devices=()))
    opening = "{\n"
    for key, value in plain(few).items():
        yield f"{opening}  {json.dumps(key)}: "
        opening = ",\n"
        if key == "channels":
            yield from _listed((plain(one) for one in record.channels), "  ")
        elif key == "environment":
            yield '{\n    "devices": '
            yield from _listed((plain(one) for one in record.environment.devices), "    ")
            yield from (
                f",\n    {json.dumps(name)}: {_text(one, '    ')}"
                for name, one in value.items()
                if name != "devices"
            )
            yield "\n  }"
        elif key == "measurements":
            yield "[\n"
            for number, measurement in enumerate(record.measurements):
                yield from _of_measurement(measurement)
                yield ",\n" if number + 1 < len(record.measurements) else "\n"
            yield "  ]"
        else:
            yield _text(value, "  ")
    yield "\n}\n"


def _of_measurement(measurement: Measurement) -> Iterator[str]:
    opening = "    {\n"
    for key, value in plain(replace(measurement, energy_by_channel_j={})).items():
        yield f"{opening}      {json.dumps(key)}: "
        opening = ",\n"
        if key == "energy_by_channel_j":
            lines = (
                f'        {json.dumps(name)}: {{"value": {energy.value!r}, "random": {energy.random!r}, '
                f'"systematic": {energy.systematic!r}}}'
                for name, energy in measurement.energy_by_channel_j.items()
            )
            yield from _between("{", lines, "      }")
        else:
            yield _text(value, "      ")
    yield "\n    }"


def _listed(entries: Iterable[Any], indent: str) -> Iterator[str]:
    lines = (f"{indent}  {json.dumps(entry, ensure_ascii=False, allow_nan=False)}" for entry in entries)
    return _between("[", lines, f"{indent}]")


def _between(opening: str, lines: Iterable[str], closing: str) -> Iterator[str]:
    yield opening
    separator = "\n"
    for line in lines:
        yield separator + line
        separator = ",\n"
    yield f"\n{closing}" if separator != "\n" else closing.strip()


def _text(value: Any, indent: str) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).replace("\n", f"\n{indent}")


def record_from_json(text: str | bytes, *, place: str | Path = "record") -> Record:
    """The record in a text.

    Raises:
        BadInput: it is no record of a schema that can be read; names the place in the file.
    """
    largest, most = (LARGEST_MERGED, MOST_OF_MERGED) if _is_merged(text) else (LARGEST_RECORD, MOST_VALUES)
    if len(text) > largest:
        raise BadInput(f"the file is larger than {largest >> 20} MiB", place=place)
    entry = json_object(text, place, most=most)
    schema = entry.get("schema")
    if schema in JOURNAL_SCHEMAS:
        raise BadInput(
            "this is a journal, not a record", "Make the record with: energy-rating summarise", place=place
        )
    if schema not in RECORD_SCHEMAS:
        raise BadInput(
            f"schema {str(schema)[:80]!r} is not {RECORD_SCHEMA!r}, nor one before it",
            "A newer version of energy-rating may read it",
            place=place,
        )
    if schema != RECORD_SCHEMA:
        for key in SINCE_2:
            if key in entry:
                raise BadInput(f"{key!r} is not a known key of {schema}", place=f"{place}: {key}")
    record: Record = validated(Record, entry, place)
    _refuse_contradictions(record, place)
    return replace(
        record,
        measurements=tuple(
            replace(measurement, methods=component_methods(measurement.energy_by_channel_j, record.channels))
            for measurement in record.measurements
        ),
    )


def _is_merged(text: str | bytes) -> bool:
    """Whether a record says so in its first lines, where it stands behind the schema."""
    return (b'"origin": "merged"' if isinstance(text, bytes) else '"origin": "merged"') in text[:400]  # type: ignore[operator]


def _refuse_contradictions(record: Record, place: str | Path) -> None:
    """What stands twice in a record must say the same. Several channels of one device may: a resumed run may have found others."""
    _refuse_doubles("channel", [channel.id for channel in record.channels], f"{place}: channels")
    # A resumed run may find another machine, or another power limit, under the same id; that is told twice, and is no double.
    _refuse_doubles("device", list(record.environment.devices), f"{place}: environment.devices")
    names = [measurement.name for measurement in record.measurements]
    _refuse_doubles("measurement", names, f"{place}: measurements")
    if not names or names[0] != RUN:
        raise BadInput(f"the first measurement must be {RUN!r}", place=f"{place}: measurements")
    channels = {channel.id: channel for channel in record.channels}
    for measurement in record.measurements:
        where = f"{place}: measurements.{measurement.name}"
        parts: dict[str, list[Estimate]] = {}
        for channel_id, energy in measurement.energy_by_channel_j.items():
            if channel_id not in channels:
                raise BadInput(
                    f"channel {channel_id!r} is not among the record's channels",
                    place=f"{where}.energy_by_channel_j",
                )
            channel = channels[channel_id]
            if energy.systematic < JUST_BELOW * channel.accuracy * energy.value:
                raise BadInput(
                    f"the systematic uncertainty of {channel_id} must be at least what its accuracy leaves",
                    place=f"{where}.energy_by_channel_j",
                )
            parts.setdefault(channel.component, []).append(energy)
        if set(parts) != set(measurement.energy_j):
            raise BadInput("energy_j must be of the components of its channels", place=f"{where}.energy_j")
        for component, energies in parts.items():
            _refuse_unless_sum(measurement.energy_j[component], energies, f"{where}.energy_j.{component}")


def _refuse_doubles(noun: str, values: Sequence[Hashable], place: str) -> None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            name = value.id if isinstance(value, Device) else value
            raise BadInput(f"the {noun} {str(name)[:80]!r} must be there once; it stands twice", place=place)
        seen.add(value)


def _refuse_unless_sum(energy: Estimate, parts: Sequence[Estimate], place: str) -> None:
    if not math.isclose(energy.value, sum(part.value for part in parts), rel_tol=SAME_SUM):
        raise BadInput("energy_j must be the sum of its channels", place=place)
    # However the doubts of several channels hang together, they never become less than if nothing tied them.
    for name in ("random", "systematic"):
        if getattr(energy, name) < JUST_BELOW * math.hypot(*(getattr(part, name) for part in parts)):
            raise BadInput(f"the {name} uncertainty must be at least what its channels leave", place=place)


def read_record(path: str | Path) -> Record:
    """The record in a file, or in the folder of a run.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / RECORD_NAME
    if path.name == RECORD_NAME and not path.exists():
        refuse_journal_alone(path.parent)
        if path.parent.is_dir():
            raise BadInput(
                "the folder holds neither a record nor a journal",
                which_run(path.parent) or "Name the folder of a run",
                place=path.parent,
            )
    largest = LARGEST_RECORD
    if path.is_file() and path.stat().st_size > LARGEST_RECORD and _is_merged(read_beginning(path, 400)):
        largest = LARGEST_MERGED
    return record_from_json(read_whole(path, largest), place=path)


def refuse_journal_alone(folder: Path) -> None:
    """Raises where a folder holds a journal: its record can be made."""
    for name in JOURNAL_NAMES:
        if (folder / name).is_file():
            if being_written(folder / name):
                raise BadInput(
                    "the run is still going on, and has no record yet",
                    f"Wait for its end, or see what it comes to so far with: energy-rating summarise {folder}",
                    place=folder,
                )
            raise BadInput(
                "the folder holds a journal but no record",
                f"Make it with: energy-rating summarise {folder}",
                place=folder,
            )


def refuse_imported(folder: Path) -> None:
    """Raises where a folder holds a record that was taken over from another tool's file, and so has no journal."""
    path = folder / RECORD_NAME
    if not path.is_file():
        return
    # It stands behind the schema; a record of many megabytes is not read for that.
    if b'"origin": "imported"' in read_beginning(path, 400):
        raise BadInput(
            "the record was taken over from another file, and no journal stands behind it: it can be shown, added up and "
            "compared, and neither checked nor drawn",
            "Look at the file that it was imported from",
            place=folder,
        )


def which_run(folder: Path) -> str | None:
    """The remedy where a folder was named that only holds the folders of runs; None where it holds none."""
    runs = sorted(
        str(found.parent)
        for name in (RECORD_NAME, *JOURNAL_NAMES)
        for found in folder.glob(f"*/{name}")
        if found.is_file()
    )
    named = tuple(dict.fromkeys(runs))
    if not named:
        return None
    more = f" (and {len(named) - MOST_NAMED} more)" if len(named) > MOST_NAMED else ""
    return f"Name one of the runs in it: {', '.join(named[:MOST_NAMED])}{more}"


def write_record(record: Record, path: Path) -> None:
    """Writes ``record.json``, whole or not at all."""
    write_whole(path, record_to_json(record).encode())


def record_schema() -> dict[str, Any]:
    """The JSON Schema of a record, as published in ``docs/``."""
    schema = json_schema(Record, RECORD_SCHEMA)
    # How a component was had follows from the channels and is not stored; nor is what a reader found.
    del schema["$defs"]["Measurement"]["properties"]["methods"]
    del schema["properties"]["checked"]
    return schema


def condition_schema() -> dict[str, Any]:
    """The JSON Schema of what a journal's ``condition`` line holds for each device, as published in ``docs/``."""
    schema = adapter(Condition).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def load(path: str | Path) -> Record:
    """The record in a file or in a run's folder, as it stands there: ``evidence.load`` holds it against its journal too.

    Raises:
        BadInput: there is none, or it cannot be read; of a folder that holds only a journal, how to make it.
    """
    return read_record(path)
