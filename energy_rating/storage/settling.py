"""What follows for the whole of a collection when some of its runs change: which counts once, whose energy is in another's, what is published.

Works on the rows of the index, within the transaction of whoever writes. Of a collection of a million, a thousand new runs touch some
thousand rows; a first filling goes through all of them once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby

from energy_rating.storage.changes import (
    ChangeLog,
    FigureChange,
    figures_of,
    figures_text,
    is_change,
    reason_of,
)
from energy_rating.storage.runs import CollectedRun
from energy_rating.storage.tables import RUN_COLUMNS, run_in

# Starts are told in whole seconds.
TOLERANCE_S = 2.0

_BATCH = 500


@dataclass(slots=True)
class Touched:
    """What has changed: the ids of runs, the rows that are new, and those that ran while one that is gone did."""

    run_ids: set[str] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)

    def join(self, other: Touched) -> None:
        self.run_ids |= other.run_ids
        self.rows |= other.rows
        self.gone |= other.gone


def forget(connection: sqlite3.Connection, folder: str, touched: Touched) -> None:
    """Takes a folder's row out, and notes what that touches."""
    row = connection.execute(
        "SELECT id, run_run_id, run_model FROM runs WHERE folder = ?", (folder,)
    ).fetchone()
    if row is None:
        return
    number, run_id, model = row
    if run_id is not None:
        touched.run_ids.add(run_id)
        touched.gone[run_id] = model
        for column in ("twice_of", "inside_of", "beside_of"):
            found = connection.execute(
                f"SELECT id, run_run_id FROM runs WHERE {column} = ?",  # noqa: S608
                (number,),
            ).fetchall()
            touched.rows |= {other for other, _ in found}
            connection.execute(f"UPDATE runs SET {column} = NULL WHERE {column} = ?", (number,))  # noqa: S608
        connection.execute("DELETE FROM spans WHERE run = ?", (number,))
    touched.rows.discard(number)
    connection.execute("DELETE FROM runs WHERE id = ?", (number,))


def enter(
    connection: sqlite3.Connection, number: int, run: CollectedRun, touched: Touched, *, fresh: bool
) -> None:
    """Notes of a new row what is searched for: when it measured which device, and the name of its model."""
    if not fresh:
        touched.run_ids.add(run.run_id)
        touched.rows.add(number)
    if run.start_s is not None and run.end_s is not None and run.kind != "imported":
        connection.executemany(
            "INSERT INTO spans VALUES (?, ?, ?, ?)",
            [(device, run.start_s, run.end_s, number) for device in run.devices],
        )
    enter_name(connection, run.model)


def enter_name(connection: sqlite3.Connection, name: str) -> None:
    """A model's name, so that its words are found."""
    if not name:
        return
    told = connection.execute(
        "INSERT OR IGNORE INTO names (name, folded) VALUES (?, ?)", (name, name.casefold())
    )
    if told.rowcount:
        connection.execute("INSERT INTO words (rowid, name) VALUES (?, ?)", (told.lastrowid, name))


def settle(connection: sqlite3.Connection, touched: Touched, *, fresh: bool) -> None:
    """Which row stands for its run, and whose energy is in another's."""
    _count_once(connection, None if fresh else touched.run_ids)
    if fresh:
        _all_spans(connection)
        return
    # Which of several stands for its run may be another one now; and whatever was held by one that does no longer is free.
    rows = touched.rows | {
        row
        for run_id in touched.run_ids
        for (row,) in connection.execute("SELECT id FROM runs WHERE run_run_id = ?", (run_id,)).fetchall()
    }
    for column in ("inside_of", "beside_of"):
        for row in sorted(rows):
            held = connection.execute(f"SELECT id FROM runs WHERE {column} = ?", (row,)).fetchall()  # noqa: S608
            rows |= {other for (other,) in held}
    _spans_of(connection, rows)


def _count_once(connection: sqlite3.Connection, run_ids: Iterable[str] | None) -> None:
    """Of several folders with one run the best one stands for it: verified before not, longer before shorter, then by name."""
    if run_ids is None:
        twice: Sequence[str] = [
            row[0]
            for row in connection.execute(
                "SELECT run_run_id FROM runs WHERE run_run_id IS NOT NULL GROUP BY run_run_id HAVING count(*) > 1"
            ).fetchall()
        ]
    else:
        twice = sorted(run_ids)
    for run_id in twice:
        rows = connection.execute(
            "SELECT id FROM runs WHERE run_run_id = ? ORDER BY good DESC, (verdict = 'differs'), run_duration_s DESC, folder",
            (run_id,),
        ).fetchall()
        for place, (number,) in enumerate(rows):
            connection.execute(
                "UPDATE runs SET twice_of = ? WHERE id = ?", (None if not place else rows[0][0], number)
            )


@dataclass(frozen=True, slots=True)
class _DeviceTime:
    start_s: float
    end_s: float
    row: int

    def holds(self, other: _DeviceTime) -> bool:
        """Whether the other ran within it; of two alike the one that was entered first holds the other."""
        inside = self.start_s <= other.start_s + TOLERANCE_S and self.end_s >= other.end_s - TOLERANCE_S
        longer = (self.end_s - self.start_s, -self.row) > (other.end_s - other.start_s, -other.row)
        return inside and longer

    def meets(self, other: _DeviceTime) -> bool:
        return min(self.end_s, other.end_s) - max(self.start_s, other.start_s) > TOLERANCE_S


def _all_spans(connection: sqlite3.Connection) -> None:
    """Goes along each device's time once, with what runs on it just then."""
    holders: dict[int, list[set[int]]] = {}
    beside: dict[int, int] = {}
    rows = connection.execute(
        "SELECT s.device, s.start_s, s.end_s, s.run FROM spans s JOIN runs r ON r.id = s.run "
        "WHERE r.twice_of IS NULL ORDER BY s.device, s.start_s, s.end_s DESC, s.run"
    )
    for _, group in groupby(rows, key=lambda row: row[0]):
        going: list[_DeviceTime] = []
        found: dict[int, set[int]] = {}
        for _, start_s, end_s, row in group:
            one = _DeviceTime(start_s, end_s, row)
            going = [other for other in going if other.end_s > start_s - TOLERANCE_S]
            for other in going:
                if other.holds(one):
                    found.setdefault(row, set()).add(other.row)
                elif one.holds(other):
                    found.setdefault(other.row, set()).add(row)
                elif one.meets(other):
                    beside[row] = other.row
            going.append(one)
        for row, holds in found.items():
            holders.setdefault(row, []).append(holds)
    for row, sets in holders.items():
        _enter_inside(connection, row, sets)
    connection.executemany(
        "UPDATE runs SET beside_of = ? WHERE id = ?", [(other, row) for row, other in beside.items()]
    )


def _enter_inside(connection: sqlite3.Connection, row: int, sets: list[set[int]]) -> None:
    """A run is inside another where that held it on every device of its own."""
    (devices,) = connection.execute("SELECT count(*) FROM spans WHERE run = ?", (row,)).fetchone()
    common = set.intersection(*sets) if len(sets) == devices else set()
    inside = _longest(connection, common) if common else None
    beside = None if inside is not None else min(chain(*sets))
    connection.execute(
        "UPDATE runs SET inside_of = ?, beside_of = coalesce(?, beside_of) WHERE id = ?",
        (inside, beside, row),
    )


def _longest(connection: sqlite3.Connection, rows: set[int]) -> int:
    """The outermost of several."""
    marks = ", ".join("?" * len(rows))
    (found,) = connection.execute(
        f"SELECT id FROM runs WHERE id IN ({marks}) ORDER BY run_duration_s DESC, id LIMIT 1",  # noqa: S608
        sorted(rows),
    ).fetchone()
    return int(found)


def _spans_of(connection: sqlite3.Connection, rows: set[int]) -> None:
    """The same for some rows, and for what ran while they did."""
    (longest,) = connection.execute("SELECT coalesce(max(end_s - start_s), 0) FROM spans").fetchone()
    near = set(rows)
    for row in sorted(rows):
        near |= {other.row for _, _, other in _meeting(connection, row, longest)}
    for row in sorted(near):
        connection.execute("UPDATE runs SET inside_of = NULL, beside_of = NULL WHERE id = ?", (row,))
        sets: dict[str, set[int]] = {}
        beside: int | None = None
        for device, own, other in _meeting(connection, row, longest):
            if other.holds(own):
                sets.setdefault(device, set()).add(other.row)
            elif not own.holds(other) and other.row < row:
                beside = other.row
        if sets:
            _enter_inside(connection, row, list(sets.values()))
        elif beside is not None:
            connection.execute("UPDATE runs SET beside_of = ? WHERE id = ?", (beside, row))


def _meeting(
    connection: sqlite3.Connection, row: int, longest: float
) -> Iterator[tuple[str, _DeviceTime, _DeviceTime]]:
    """What measured a device of this row's while it did: the device, its own span, the other's."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ? AND twice_of IS NOT NULL", (row,)).fetchone():
        return
    for device, start_s, end_s in connection.execute(
        "SELECT device, start_s, end_s FROM spans WHERE run = ?", (row,)
    ).fetchall():
        own = _DeviceTime(start_s, end_s, row)
        for other_start, other_end, other in connection.execute(
            "SELECT s.start_s, s.end_s, s.run FROM spans s JOIN runs r ON r.id = s.run WHERE s.device = ? "
            "AND s.start_s BETWEEN ? AND ? AND s.end_s > ? AND s.run <> ? AND r.twice_of IS NULL",
            (device, start_s - longest - TOLERANCE_S, end_s, start_s, row),
        ).fetchall():
            span = _DeviceTime(other_start, other_end, other)
            if own.meets(span) or own.holds(span) or span.holds(own):
                yield device, own, span


# ------------------------------------------------------------------------------------------------------ what is published


def load_published(connection: sqlite3.Connection, log: ChangeLog) -> None:
    """What was published last of each run, from the lines of the log."""
    connection.execute("DELETE FROM published")
    version = 0
    for change in log.read():
        version = change.version
        if change.after is None:
            connection.execute("DELETE FROM published WHERE run_id = ?", (change.run,))
        else:
            connection.execute(
                "INSERT OR REPLACE INTO published VALUES (?, ?)", (change.run, figures_text(change.after))
            )
    connection.execute("INSERT OR REPLACE INTO told VALUES ('collection_version', ?)", (str(version),))


def publish(
    connection: sqlite3.Connection, touched: Touched, log: ChangeLog, *, because: str, day: str, every: bool
) -> int:
    """Writes a line for each run whose figures are others than were published last. Returns how many."""
    row = connection.execute("SELECT value FROM told WHERE name = 'collection_version'").fetchone()
    version = int(row[0]) + 1 if row is not None else 1
    count = 0

    def lines() -> Iterator[FigureChange]:
        nonlocal count
        for change in _changes(connection, touched, version, day, because, every=every):
            count += 1
            yield change

    changes = lines()
    first = next(changes, None)
    if first is None:
        return 0
    log.append(chain((first,), changes))
    connection.execute("INSERT OR REPLACE INTO told VALUES ('collection_version', ?)", (str(version),))
    return count


def _changes(
    connection: sqlite3.Connection, touched: Touched, version: int, day: str, because: str, *, every: bool
) -> Iterator[FigureChange]:
    columns = ", ".join(f"r.{name}" for name in RUN_COLUMNS)
    select = (
        f"SELECT r.verdict, p.figures, {columns} FROM runs r LEFT JOIN published p ON p.run_id = r.run_run_id "  # noqa: S608
        "WHERE r.run_run_id IS NOT NULL AND r.twice_of IS NULL"
    )
    if every:
        gone = connection.execute(
            "SELECT run_id, figures FROM published WHERE run_id NOT IN "
            "(SELECT run_run_id FROM runs WHERE run_run_id IS NOT NULL) ORDER BY run_id"
        ).fetchall()
        found: Iterable[tuple[str | None, ...]] = connection.execute(f"{select} ORDER BY r.run_run_id")
    else:
        found, gone = [], []
        ids = sorted(touched.run_ids)
        for some in (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)):
            marks = ", ".join("?" * len(some))
            rows = connection.execute(f"{select} AND r.run_run_id IN ({marks}) ORDER BY r.run_run_id", some)
            here = rows.fetchall()
            found.extend(here)
            there = {row[2] for row in here}  # the run's id is its first column
            gone += [
                row
                for row in connection.execute(
                    f"SELECT run_id, figures FROM published WHERE run_id IN ({marks}) ORDER BY run_id",  # noqa: S608
                    some,
                ).fetchall()
                if row[0] not in there
            ]
    # Apart, since what is read is not written to meanwhile.
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS news (run_id TEXT PRIMARY KEY, figures TEXT NOT NULL)"
    )
    connection.execute("DELETE FROM news")
    written = connection.cursor()
    for verdict, before_text, *row in found:
        run = run_in(tuple(row))
        after = figures_of(run, str(verdict))
        before = json.loads(before_text) if before_text is not None else None
        told = before is None or is_change(before, after)
        if before is None or figures_text(before) != figures_text(after):
            written.execute("INSERT INTO news VALUES (?, ?)", (run.run_id, figures_text(after)))
        if told:
            yield FigureChange(
                version=version,
                date=day,
                run=run.run_id,
                model=run.model,
                what="added" if before is None else "changed",
                reason=because or ("a new run" if before is None else reason_of(before, after)),
                before=before,
                after=after,
            )
    connection.execute("INSERT OR REPLACE INTO published SELECT run_id, figures FROM news")
    connection.execute("DELETE FROM news")
    for run_id, figures in gone:
        written.execute("DELETE FROM published WHERE run_id = ?", (run_id,))
        yield FigureChange(
            version=version,
            date=day,
            run=run_id,
            model=touched.gone.get(run_id, ""),
            what="withdrawn",
            reason=because or "its folder is gone, or holds no run that can be read",
            before=json.loads(figures),
        )
