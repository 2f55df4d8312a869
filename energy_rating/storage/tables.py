"""How the lines of runs lie in the index: its tables, made from the fields of the values, and the way from a value to a row and back."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, Field, fields
from typing import Any

from energy_rating.storage.runs import Checkup, CollectedRun

# Raised whenever the tables change: an index of another number is made anew.
LAYOUT = 1
# "ERcx": by it a file is known to be an index of this package (PRAGMA application_id).
APPLICATION = 0x45526378

RUN_FIELDS: tuple[Field[Any], ...] = fields(CollectedRun)
RUN_COLUMNS = tuple(f"run_{one.name}" for one in RUN_FIELDS)
CHECK_FIELDS: tuple[Field[Any], ...] = fields(Checkup)

_HINTS = typing.get_type_hints(CollectedRun)


def kind_of(name: str) -> str:
    """``text``, ``real``, ``integer``, ``truth`` or ``list``: what a field of a run holds."""
    hint = _HINTS[name]
    kinds = {one for one in typing.get_args(hint) if one is not types.NoneType}
    if isinstance(hint, types.UnionType) and len(kinds) == 1:
        (hint,) = kinds
    if typing.get_origin(hint) is tuple:
        return "list"
    return {float: "real", int: "integer", bool: "truth"}.get(hint, "text")


KINDS_OF = {one.name: kind_of(one.name) for one in RUN_FIELDS}
_SQL = {"text": "TEXT", "real": "REAL", "integer": "INTEGER", "truth": "INTEGER", "list": "TEXT"}

# One row a folder. ``run_run_id`` NULL: it could not be read, and ``error`` says why. ``twice_of``: the row that stands for the same run;
# ``inside_of``: the run whose energy holds this one's; ``beside_of``: one that measured the same device for a part of the time. ``good``: 1 where it was verified and nothing speaks against it.
SCHEMA = f"""
CREATE TABLE told (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  folder TEXT NOT NULL UNIQUE,
  stamp TEXT NOT NULL,
  content TEXT NOT NULL,
  error TEXT NOT NULL,
  verdict TEXT NOT NULL,
  good INTEGER NOT NULL,
  why TEXT NOT NULL,
  verified_by TEXT NOT NULL,
  twice_of INTEGER,
  inside_of INTEGER,
  beside_of INTEGER,
  {", ".join(f"run_{one.name} {_SQL[KINDS_OF[one.name]]}" for one in RUN_FIELDS)}
);
CREATE TABLE checks (content TEXT PRIMARY KEY, verdict TEXT, version TEXT, journal_sha256 TEXT, plausible INTEGER, why TEXT, run TEXT) WITHOUT ROWID;
CREATE TABLE spans (device TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, run INTEGER NOT NULL);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(name, content='names', content_rowid='id', tokenize="unicode61 remove_diacritics 2");
CREATE TABLE published (run_id TEXT PRIMARY KEY, figures TEXT NOT NULL) WITHOUT ROWID;
"""

# Made after the rows of a first filling, which is faster than beside them.
INDEXES = (
    "CREATE INDEX IF NOT EXISTS by_run_id ON runs (run_run_id)",
    "CREATE INDEX IF NOT EXISTS by_model ON runs (run_model COLLATE NOCASE)",
    "CREATE INDEX IF NOT EXISTS by_content ON runs (content)",
    "CREATE INDEX IF NOT EXISTS by_error ON runs (error) WHERE error <> ''",
    "CREATE INDEX IF NOT EXISTS by_twice ON runs (twice_of) WHERE twice_of IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS by_beside ON runs (beside_of) WHERE beside_of IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS by_inside ON runs (inside_of) WHERE inside_of IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS by_device ON spans (device, start_s)",
    "CREATE INDEX IF NOT EXISTS by_span ON spans (run)",
    "CREATE INDEX IF NOT EXISTS by_name ON names (folded)",
)

_LISTS = frozenset(number for number, one in enumerate(RUN_FIELDS) if KINDS_OF[one.name] == "list")
_TRUTHS = frozenset(number for number, one in enumerate(RUN_FIELDS) if KINDS_OF[one.name] == "truth")
_EMPTY = "[]"


def row_of(run: CollectedRun | None) -> tuple[Any, ...]:
    """The columns of a run; all empty for none."""
    if run is None:
        return (None,) * len(RUN_FIELDS)
    found = [getattr(run, one.name) for one in RUN_FIELDS]
    for number in _LISTS:
        value = found[number]
        found[number] = json.dumps(value, ensure_ascii=False) if value else _EMPTY
    return tuple(found)


def run_in(row: tuple[Any, ...]) -> CollectedRun:
    """The run in the columns of a row."""
    values: dict[str, Any] = {}
    for number, (one, value) in enumerate(zip(RUN_FIELDS, row, strict=True)):
        if number in _LISTS:
            items = json.loads(value) if value != _EMPTY else ()
            values[one.name] = tuple(tuple(item) if isinstance(item, list) else item for item in items)
        elif number in _TRUTHS:
            values[one.name] = bool(value)
        elif value is None and one.default is not MISSING and one.default is not None:
            values[one.name] = one.default
        else:
            values[one.name] = value
    return CollectedRun(**values)
