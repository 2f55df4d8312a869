"""Journals of windows for ``fuzz``: read and judged many windows at once and one by one, both must say the same."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from unittest import mock

from energy_rating.files import edge_lines, reading, windows
from energy_rating.files.journal import JOURNAL_SCHEMA, encoded
from energy_rating.files.reading import read_journal_from
from energy_rating.files.record import record_to_json
from energy_rating.judging import sums
from energy_rating.judging.summary import summarise_journal
from energy_rating.nouns import errors

NEVER = 1 << 60
SINGLY: Mapping[tuple[Any, str], int] = {(reading, "TOGETHER_FROM"): NEVER, (windows, "MANY"): NEVER}
TOGETHER: Mapping[tuple[Any, str], int] = {
    (reading, "TOGETHER_FROM"): 1,
    (edge_lines, "FEWEST"): 1,
    (edge_lines, "FEWEST_PAIRS"): 1,
    (windows, "MANY"): 1,
    (sums, "FEW"): 1,
}


class TwoAnswers(Exception):
    """A journal that says one thing at once and another one by one."""


def a_journal_of_windows(schema: str = JOURNAL_SCHEMA) -> bytes:
    """A second of a run on one GPU: windows that follow each other, some within another, some counted into, one never closed."""
    channels = [
        {
            "id": f"gpu0.{kind}",
            "component": "gpu",
            "device": "GPU-0",
            "method": method,
            "accuracy": 0.04,
            "period_s": None if method == "counter" else 0.1,
            "wraps_at_j": None,
        }
        for kind, method in (("energy", "counter"), ("power", "power"))
    ]
    lines: list[dict[str, Any]] = [
        {
            "schema": schema,
            "run_id": "20260101T000000Z-0000",
            "stage": "other",
            "model": None,
            "task": None,
            "load": None,
            "channels": channels,
            "environment": {"devices": [], "software": {}},
            "started": "2026-01-01T00:00:00Z",
        },
        {"open": 0, "name": "run", "t": 0.0},
    ]
    for tick in range(12):
        t = round(0.1 * tick + 0.01, 6)
        lines.append({"t": t, "dt": 0.0002, "r": {"gpu0.energy": 1000.0 + 30.0 * tick, "gpu0.power": 300.0}})
        if tick == 4:
            lines.append({"open": 90, "name": "epoch", "t": t})
        key = tick + 1
        lines.append({"open": key, "name": "step", "t": round(t + 0.02, 6)})
        if tick == 6:
            lines.append({"count": key, "t": round(t + 0.03, 6), "work": {"token": 1}})
        told = {"run": {"token": 3 * key}} if tick < 4 and schema == JOURNAL_SCHEMA else {}
        lines.append({"close": key, "t": round(t + 0.05, 6), "work": {"token": 3}, **told})
    lines += [
        {"close": 90, "t": 1.2, "work": {"token": 24, "loss": 0.5}},
        {"open": 91, "name": "step", "t": 1.2},
        {"close": 0, "t": 1.25, "work": {"token": 36}},
        {"end": 1.25},
    ]
    return b"".join(map(encoded, lines))


def read_windows(content: bytes) -> None:
    """Raises where both ways say another thing."""
    singly, together = _told(content, SINGLY), _told(content, TOGETHER)
    if not _alike(singly, together):
        raise TwoAnswers


def _told(content: bytes, how: Mapping[tuple[Any, str], int]) -> Any:
    with ExitStack() as stack:
        for (room, name), value in how.items():
            stack.enter_context(mock.patch.object(room, name, value))
        try:
            journal = read_journal_from(io.BytesIO(content), place="journal.jsonl")
            spans = [
                [(span, [*map(type, span.work.values())]) for span in session.spans]
                for session in journal.sessions
            ]
            counted = [session.counted for session in journal.sessions]
            return str(spans), str(counted), json.loads(record_to_json(summarise_journal(journal)))
        except errors.EnergyRatingError as error:
            return str(error)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and list(one) == list(other)
            and all(_alike(one[key], other[key]) for key in one)
        )
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
