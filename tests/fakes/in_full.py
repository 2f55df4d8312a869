"""A journal's entries with every reading told in full, for those who look at single readings or change them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from energy_rating.files.journal import decoded
from energy_rating.files.packed import Unpacker


def in_full(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    unpacker, found = Unpacker(), []
    for line in lines:
        entry = decoded(line, place="journal")
        readings = [dict(reading) for reading in unpacker.of_entry(entry)]
        for reading in readings:
            reading.pop("n", None)
        found += readings or [entry]
    return found
