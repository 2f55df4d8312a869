"""How many runs of the same lie beside one when it begins: who publishes the best of ten has left nine, as far as they were not deleted.

Only the first line of each journal is read, and only a number is kept. Written into the journal while it is measured, the number is a part
of the run: the same files give the same record, whatever lies beside them later.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from energy_rating.files.journal import JOURNAL_NAMES, decoded
from energy_rating.files.opening import read_beginning
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding

# So many folders are looked at, and so much of each journal: a first line has some thousand bytes.
MOST_FOLDERS = 1000
BEGINNING = 1 << 16

# What makes two runs attempts at the same: whoever changes any of it measures something else.
_SAME = ("stage", "model", "task", "load")


def earlier_runs(folder: Path | None) -> Finding | None:
    """What is to be said of other runs of the same beside this one; None where there are none, or where it cannot be known."""
    own = None if folder is None else _first_line(folder)
    if folder is None or own is None:
        return None
    same = sum(
        all(header.get(key) == own.get(key) for key in _SAME) and header.get("run_id") != own.get("run_id")
        for header in _beside(folder)
    )
    if not same:
        return None
    return Finding.of(
        "earlier-runs",
        f"when this run began, {same} earlier {'run' if same == 1 else 'runs'} of the same model, task and settings lay beside it",
        data={"runs": same},
    )


def _beside(folder: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with os.scandir(folder.resolve().parent) as entries:
            others = [Path(one.path) for one in islice(entries, MOST_FOLDERS) if one.is_dir()]
    except OSError:
        return
    for other in others:
        if other != folder.resolve() and (header := _first_line(other)) is not None:
            yield header


def _first_line(folder: Path) -> Mapping[str, Any] | None:
    """What the journal in a folder begins with; None where there is none, or it cannot be read."""
    for name in JOURNAL_NAMES:
        path = folder / name
        try:
            content = read_beginning(path, BEGINNING)
            if name.endswith(".gz"):
                content = zlib.decompressobj(wbits=31).decompress(content, BEGINNING)
            line, end, _ = content.partition(b"\n")
            return decoded(line + end, place=str(path))
        except (BadInput, zlib.error):
            continue
    return None
