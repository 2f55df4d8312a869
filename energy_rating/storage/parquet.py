"""The lines of a collection as a Parquet file, for whoever goes on with DuckDB, Polars or Spark. The library is the extra ``[collection]``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from energy_rating.files.opening import refuse_to_write_over
from energy_rating.nouns.errors import BadInput
from energy_rating.storage.index import IndexedRun
from energy_rating.storage.tables import KINDS_OF, RUN_FIELDS

# So many rows are held at a time.
ROWS_TOGETHER = 20_000


def write(path: Path, runs: Iterable[IndexedRun], *, schema_name: str) -> None:
    """Writes all runs, whole or not at all.

    Raises:
        BadInput: the library is missing, or the file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BadInput(
            "Parquet needs the library pyarrow",
            "Install it with: pip install 'energy-rating[collection]'",
            place="--format parquet",
        ) from error
    refuse_to_write_over(path)
    types: dict[str, Any] = {
        "text": pa.string(),
        "real": pa.float64(),
        "integer": pa.int64(),
        "truth": pa.bool_(),
    }
    pair = pa.struct([("metric", pa.string()), ("value", pa.float64())])
    lists = {"quality": pa.list_(pair)}
    columns = [
        (one.name, lists.get(one.name) or types.get(KINDS_OF[one.name]) or pa.list_(pa.string()))
        for one in RUN_FIELDS
    ]
    columns += [
        ("folder", pa.string()),
        ("verdict", pa.string()),
        ("verified", pa.bool_()),
        ("counts_once", pa.bool_()),
    ]
    schema = pa.schema(columns, metadata={"schema": schema_name})
    name = path.parent / f".{path.name[:40]}.{os.urandom(6).hex()}"
    try:
        with pq.ParquetWriter(name, schema, compression="zstd") as writer:
            for some in _some(runs):
                writer.write_table(pa.Table.from_pylist([_row(one) for one in some], schema=schema))
        name.replace(path)
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror or error})",
            "Choose a folder that can be written to",
            place=path,
        ) from error
    finally:
        name.unlink(missing_ok=True)


def _some(runs: Iterable[IndexedRun]) -> Iterator[list[IndexedRun]]:
    each = iter(runs)
    while some := list(islice(each, ROWS_TOGETHER)):
        yield some


def _row(one: IndexedRun) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in RUN_FIELDS:
        value = getattr(one.run, item.name)
        if item.name == "quality":
            value = [{"metric": metric, "value": number} for metric, number in value]
        elif value == "" and KINDS_OF[item.name] == "text":
            value = None
        row[item.name] = list(value) if isinstance(value, tuple) else value
    return row | {
        "folder": one.folder,
        "verdict": one.verdict,
        "verified": one.good,
        "counts_once": one.counts,
    }
