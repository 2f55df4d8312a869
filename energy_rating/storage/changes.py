"""What of a collection was published when, and why it changed: one line a change, oldest first, in a file that only grows.

From its lines alone it can be said what was published last of every run. So an index that is made anew still knows what has changed, and
no figure moves without a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from energy_rating.files.opening import opened
from energy_rating.nouns.errors import STRICT, BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH
from energy_rating.storage.runs import CollectedRun, from_line, to_line

LONGEST_BECAUSE = 300
LONGEST_CHANGE = 1 << 16  # bytes of a line

What = Literal["added", "changed", "withdrawn"]
Figures = Mapping[str, str | float | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureChange:
    """One change of what is published of one run. ``version`` is that of the collection which it led to, ``date`` the day in UTC."""

    __pydantic_config__ = STRICT

    version: int
    date: str
    run: str
    what: What
    reason: str
    model: str = ""
    before: Figures | None = None
    after: Figures | None = None


def figures_of(run: CollectedRun, verdict: str) -> dict[str, str | float | int]:
    """What of a run is a published figure, with what it rests on. What is not known is left out."""
    told: dict[str, str | float | int | None] = {
        "energy_kwh": _rounded(run.measured_j, JOULES_PER_KWH),
        "kind": run.kind,
        "j_per_unit": _rounded(run.figure_j),
        "unit": run.figure_unit,
        "component": run.figure_component,
        "stars": run.stars,
        "basis": run.basis,
        "scheme": run.scheme,
        "verdict": verdict,
        "journal": run.journal_sha256[:16],
        "worked_out_by": run.worked_out_by,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def _rounded(value: float | None, unit: float = 1.0) -> float | None:
    """To nine digits: what another machine's arithmetic leaves is no change."""
    return None if value is None else float(f"{value / unit:.9g}")


# What changes without any figure: it is kept, and no line says it.
_BESIDE = ("worked_out_by", "journal", "scheme", "verdict")


def is_change(before: Figures, after: Figures) -> bool:
    """Whether a reader sees another figure, other stars, or another word on whether it was verified."""
    # That something was verified at last is no change of a figure; that it no longer matches is.
    doubted = after.get("verdict") not in ("matches", before.get("verdict"))
    names = set(before) | set(after)
    return doubted or any(before.get(name) != after.get(name) for name in names if name not in _BESIDE)


def reason_of(before: Figures, after: Figures) -> str:
    """Why a figure is another one, as far as that can be seen from what it rests on."""
    if before.get("journal") != after.get("journal"):
        return "its journal is another one"
    if before.get("verdict") != after.get("verdict") and after.get("verdict") in (
        "differs",
        "cannot be checked",
    ):
        return f"verification says: {after.get('verdict')}"
    if before.get("scheme") != after.get("scheme"):
        return f"rated under {after.get('scheme', 'no scheme')}, before under {before.get('scheme', 'none')}"
    if before.get("worked_out_by") != after.get("worked_out_by"):
        return f"worked out by version {after.get('worked_out_by')}, before by {before.get('worked_out_by')}"
    if before.get("verdict") != after.get("verdict"):
        return "worked out from its journal, before as its record said"
    return "its record says something else than before, of the same journal"


class ChangeLog:
    """The file. Lines are added whole; what a killed process left of its last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """In bytes; 0 where there is none yet."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self) -> Iterator[FigureChange]:
        """All changes, the oldest first.

        Raises:
            BadInput: a line is none, or versions run backwards.
        """
        if not self.path.exists():
            return
        version = 0
        with opened(self.path) as file:
            for number in count(1):
                line = file.readline(LONGEST_CHANGE + 1)
                if len(line) > LONGEST_CHANGE:
                    raise BadInput(
                        f"the line is longer than {LONGEST_CHANGE:,} bytes",
                        place=f"{self.path}: line {number}",
                    )
                if not line.endswith(b"\n"):
                    return  # a killed process left it
                place = f"{self.path}: line {number}"
                change: FigureChange = from_line(FigureChange, line, place)
                if change.version < version:
                    raise BadInput(
                        f"version {change.version} must not stand behind {version}",
                        "Put the lines back into their order",
                        place=place,
                    )
                version = change.version
                yield change

    def append(self, changes: Iterable[FigureChange]) -> None:
        """Adds lines, and returns when they are on the disk.

        Raises:
            BadInput: they cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                end = _whole_lines(descriptor)
                try:
                    os.lseek(descriptor, end, os.SEEK_SET)
                    with os.fdopen(os.dup(descriptor), "wb") as file:
                        for change in changes:
                            file.write(to_line(change).encode() + b"\n")
                except OSError:
                    os.ftruncate(descriptor, end)  # a full disk: no line, rather than half of one
                    raise
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadInput(
                f"cannot be written ({error.strerror or error})",
                "Make room, or choose another place",
                place=self.path,
            ) from error


def _whole_lines(descriptor: int) -> int:
    """Where the last whole line ends; what stands behind it is cut off."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 1 << 20, max(0, size - (1 << 20)))
    if tail and not tail.endswith(b"\n"):
        size = size - len(tail) + tail.rfind(b"\n") + 1
        os.ftruncate(descriptor, size)
    return size


def figures_text(figures: Figures) -> str:
    """As they are kept beside the index."""
    return json.dumps(dict(figures), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
