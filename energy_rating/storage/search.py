"""What was measured of a model already: runs of one's own collections and figures that others published, the nearest hardware first.

A model is found by its id, by what stands behind the slash of it, or by words of its name. Which device is near another is worked out by
whoever asks (``nearness``), since profiles are no business of an index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.files.published import OthersFigure, figures
from energy_rating.storage.index import Index, IndexedRun

# More than these nobody reads; how many there are is told.
MOST_RUNS, MOST_NAMES = 5_000, 200

# How far the hardware of a figure is from the one that is asked for; 0 is the same.
Nearness = Callable[[str], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is looked for. Empty: any. ``since`` is a day (``2026-11``, ``2026-11-30``)."""

    model: str
    task: str = ""
    hardware: str = ""
    protocol: str = ""
    since: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredAlready:
    """What there is: runs and others' figures, the nearest first. ``more``: runs that are not told; ``names``: other models that are meant perhaps."""

    runs: tuple[IndexedRun, ...]
    published: tuple[OthersFigure, ...]
    more: int = 0
    names: tuple[str, ...] = ()


def words_of(text: str) -> list[str]:
    """The words of a name, as the index cuts it."""
    return re.findall(r"\w+", text.casefold().replace("_", " "))


def find(
    wanted: Wanted, indexes: Iterable[Index], *, nearness: Nearness | None = None, published: bool = True
) -> MeasuredAlready:
    """All that is known of a model.

    Raises:
        BadInput: an index is none of this user's, or cannot be read.
    """
    runs: dict[str, IndexedRun] = {}
    names: dict[str, None] = {}
    more = 0
    for index in indexes:
        found = names_like(index, wanted.model)
        names |= dict.fromkeys(found)
        for one in _runs(index, wanted, found):
            there = runs.get(one.run.run_id)
            if there is not None and (there.good, there.counts) >= (one.good, one.counts):
                continue
            if there is None and len(runs) >= MOST_RUNS:
                more += 1
                continue
            runs[one.run.run_id] = one
    others = _others(wanted) if published else ()
    exact = [name for name in names if _is(name, wanted.model)]
    shown = [one for one in runs.values() if not exact or one.run.model in exact]
    hidden = tuple(name for name in names if exact and name not in exact)
    near = nearness or (lambda name: 0.0)  # noqa: ARG005
    shown.sort(
        key=lambda one: (
            near(one.run.hardware),
            not one.good,
            one.run.model,
            _later(one.run.created),
            one.folder,
        )
    )
    return MeasuredAlready(
        runs=tuple(shown),
        published=tuple(
            sorted(others, key=lambda one: (near(one.gpu), one.table, one.model, one.batch or 0))
        ),
        more=more,
        names=hidden,
    )


def _later(created: str) -> tuple[int, ...]:
    """For sorting: the latest first."""
    return tuple(-ord(char) for char in created)


def _is(name: str, wanted: str) -> bool:
    name, wanted = name.casefold(), wanted.casefold()
    return wanted in (name, name.rpartition("/")[2])


def names_like(index: Index, text: str) -> tuple[str, ...]:
    """Names of models that are meant by a text: that very name, else those that hold all of its words."""
    folded = text.casefold()
    with index.reading() as connection:
        exact = connection.execute("SELECT name FROM names WHERE folded = ?", (folded,)).fetchall()
        if exact:
            return tuple(name for (name,) in exact)
        words = words_of(text)
        if not words:
            return ()
        # Each word is quoted, so that nothing in it is taken for the language of searches.
        asked = " AND ".join(f'"{word}"*' for word in words)
        rows = connection.execute(
            "SELECT n.name FROM words w JOIN names n ON n.id = w.rowid WHERE words MATCH ? ORDER BY rank, n.name LIMIT ?",
            (asked, MOST_NAMES),
        ).fetchall()
        return tuple(name for (name,) in rows)


def _runs(index: Index, wanted: Wanted, names: Sequence[str]) -> Iterable[IndexedRun]:
    if not names:
        return
    marks = ", ".join("?" * len(names))
    where = [f"r.run_model COLLATE NOCASE IN ({marks})", "r.twice_of IS NULL"]
    given: list[str] = list(names)
    for column, value in (("run_task", wanted.task), ("run_protocol", wanted.protocol)):
        if value:
            where.append(f"r.{column} = ?")
            given.append(value)
    if wanted.since:
        where.append("r.run_created >= ?")
        given.append(wanted.since)
    yield from index.runs(" AND ".join(where), *given, order="r.run_created DESC, r.folder")


def _others(wanted: Wanted) -> tuple[OthersFigure, ...]:
    """Figures that others published, of this model or of names with all of these words."""
    known = figures()
    same = [one for one in known if _is(one.model, wanted.model)]
    if not same:
        words = words_of(wanted.model)
        same = [
            one
            for one in known
            if words and all(any(part.startswith(word) for part in words_of(one.model)) for word in words)
        ]
    return tuple(
        one
        for one in same
        if wanted.task in ("", one.task)
        and wanted.protocol in ("", one.publication.protocol)
        and (not wanted.since or one.publication.measured[-7:] >= wanted.since[:7])
    )


def open_indexes(folders: Iterable[Path]) -> tuple[Index, ...]:
    """Those of these folders."""
    return tuple(Index(folder) for folder in folders)
