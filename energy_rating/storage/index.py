"""The index over many runs: an SQLite file that can be thrown away and made anew from the folders at any time.

It lies in the user's own state folder and nowhere else, and only one that this user wrote is opened: an index is made, never taken over.
What cannot be made anew lies beside it as lines of text: what was verified, and what was published when (``changes``).

Whoever writes holds a lock. A first filling is made under another name and put in its place when it is whole; later ones are one
transaction. So a reader, and whoever comes after a process that was killed or ran out of disk, has the old index or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from energy_rating.files.journal import state_folder
from energy_rating.files.opening import opened
from energy_rating.nouns.errors import BadInput, EnergyRatingError, NoRoom
from energy_rating.storage import settling
from energy_rating.storage.changes import LONGEST_BECAUSE, ChangeLog
from energy_rating.storage.runs import Checkup, CollectedRun, KeptFolder, from_line, to_line
from energy_rating.storage.tables import APPLICATION, INDEXES, LAYOUT, RUN_COLUMNS, SCHEMA, row_of, run_in

COLLECTIONS = "collections"
INDEX_NAME, CHECKS_NAME, CHANGES_NAME, LOCK_NAME = "index.sqlite", "checks.jsonl", "changes.jsonl", "lock"

# Another process may be filling it: a first index of a million runs takes minutes.
PATIENCE_S = 900.0
_ASK_AGAIN_S = 0.2
_CACHE_KIB = 65_536

_OURS = ("folder", "stamp", "content", "error", "verdict", "good", "why", "verified_by")
_INSERT = (  # of names that stand in this package
    f"INSERT INTO runs ({', '.join((*_OURS, *RUN_COLUMNS))}) "  # noqa: S608
    f"VALUES ({', '.join('?' * (len(_OURS) + len(RUN_COLUMNS)))})"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedRun:
    """A run as it lies in the index. ``twice_of``: the folder that stands for the same run; ``inside_of`` and ``beside_of``: run ids."""

    id: int
    folder: str
    run: CollectedRun
    verdict: str
    good: bool
    why: str
    verified_by: str
    twice_of: str = ""
    inside_of: str = ""
    beside_of: str = ""

    @property
    def counts(self) -> bool:
        """Whether its energy stands in sums: once for each run, and not where another's holds it."""
        return not self.twice_of and not self.inside_of


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A folder that holds no run that can be read, and why."""

    folder: str
    why: str


def folder_of(places: Sequence[Path]) -> Path:
    """Where the index over these places lies: in the state folder, by a name that follows from theirs."""
    text = "\n".join(sorted({str(place) for place in places}))
    last = max((place.name for place in places), key=len, default="") if len(places) == 1 else "several"
    word = "".join(char if char.isalnum() and char.isascii() else "-" for char in last)[:24].strip("-")
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
    return state_folder() / COLLECTIONS / f"{word or 'runs'}-{digest}"


def indexes() -> tuple[Path, ...]:
    """The folders of all indexes that this user has."""
    try:
        return tuple(sorted(one.parent for one in (state_folder() / COLLECTIONS).glob(f"*/{INDEX_NAME}")))
    except OSError:
        return ()


class Index:
    """The index in a folder of the user's. ``log``: the file of changes, by default beside the index."""

    def __init__(self, folder: Path, *, log: Path | None = None) -> None:
        self.folder = folder
        self.log = ChangeLog(log if log is not None else folder / CHANGES_NAME)
        self._filling: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        return self.folder / INDEX_NAME

    # ------------------------------------------------------------------------------------------------- reading

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that changes nothing. Within ``writing`` it is the writer's own.

        Raises:
            BadInput: there is no index, or it is none of this user's.
        """
        if self._filling is not None:
            yield self._filling
            return
        refuse_strangers(self.path)
        if not self.path.is_file():
            raise BadInput(
                "there is no index yet", "Make it with: energy-rating collect DIR", place=self.path
            )
        with contextlib.closing(_connected(self.path, write=False)) as connection, _told(self.path):
            yield connection

    def runs(
        self, where: str = "", *given: Any, order: str = "r.run_created, r.folder"
    ) -> Iterator[IndexedRun]:
        """Runs that could be read, by a condition on ``r``."""
        with self.reading() as connection:
            columns = ", ".join(f"r.{name}" for name in RUN_COLUMNS)
            rows = connection.execute(
                f"SELECT r.id, r.folder, r.verdict, r.good, r.why, r.verified_by, t.folder, i.run_run_id, b.run_run_id, {columns} "  # noqa: S608
                "FROM runs r LEFT JOIN runs t ON t.id = r.twice_of LEFT JOIN runs i ON i.id = r.inside_of "
                "LEFT JOIN runs b ON b.id = r.beside_of "
                f"WHERE r.run_run_id IS NOT NULL {f'AND ({where})' if where else ''} ORDER BY {order}",
                given,
            )
            for id_, folder, verdict, good, why, by, twice, inside, beside, *row in rows:
                yield IndexedRun(
                    id=id_,
                    folder=folder,
                    run=run_in(tuple(row)),
                    verdict=verdict,
                    good=bool(good),
                    why=why,
                    verified_by=by,
                    twice_of=twice or "",
                    inside_of=inside or "",
                    beside_of=beside or "",
                )

    def left_out(self) -> tuple[LeftOut, ...]:
        """Folders that could not be read."""
        with self.reading() as connection:
            rows = connection.execute("SELECT folder, error FROM runs WHERE error <> '' ORDER BY folder")
            return tuple(LeftOut(folder=folder, why=why) for folder, why in rows)

    def told(self, name: str) -> str:
        with self.reading() as connection:
            return _told_in(connection, name)

    @property
    def version(self) -> int:
        """Of the collection: one more whenever anything that is published has changed."""
        return int(self.told("collection_version") or 0)

    def stamps(self) -> dict[str, str]:
        """The stamp of each folder, as it was when it was read."""
        with self.reading() as connection:
            return dict(connection.execute("SELECT folder, stamp FROM runs"))

    def unverified(self, version: str) -> Iterator[tuple[str, str, str]]:
        """Folder, stamp and content of what this version has not verified: new ones, changed ones, and what another version did.

        Each run is named once: of one that is there twice, its copies are asked too, since they may differ.
        """
        with self.reading() as connection:
            yield from connection.execute(
                "SELECT folder, stamp, content FROM runs WHERE run_run_id IS NOT NULL AND run_origin <> 'imported' "
                "AND (verdict = 'not verified' OR verified_by <> ?) ORDER BY folder",
                (version,),
            ).fetchall()

    # ------------------------------------------------------------------------------------------------- writing

    @contextlib.contextmanager
    def writing(self, *, anew: bool = False, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """All that is written within it is there afterwards, or nothing of it. ``anew``: the index is made from nothing.

        Raises:
            BadInput: it is somebody else's, or another process writes for longer than anybody waits.
            NoRoom: the disk is full.
        """
        _make_own_folder(self.folder)
        with _locked(self.folder / LOCK_NAME, patience_s), _told(self.path):
            refuse_strangers(self.path)
            for left in self.folder.glob(f"{INDEX_NAME}.new-*"):
                left.unlink(missing_ok=True)  # whoever wrote it held the lock, and is gone
            if anew or not self._usable():
                yield from self._whole()
            else:
                yield from self._in_place()

    def _whole(self) -> Iterator[None]:
        """A new file, put in its place when it is whole."""
        name = self.folder / f"{INDEX_NAME}.new-{os.urandom(6).hex()}"
        connection = _connected(name, write=True)
        try:
            # What breaks off is thrown away, so nothing has to be kept for going back.
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            connection.executescript(SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {LAYOUT}")
            connection.execute("BEGIN")
            connection.execute("INSERT INTO told VALUES ('fresh', '1')")
            self._load_checks(connection)
            self._filling = connection
            yield
            _run(connection, INDEXES)
            connection.execute("DELETE FROM told WHERE name = 'fresh'")
            connection.execute("COMMIT")
            connection.close()
            with opened(name) as file:
                os.fsync(file.fileno())
            name.chmod(0o600)
            name.replace(self.path)
        except BaseException:
            connection.close()
            name.unlink(missing_ok=True)
            raise
        finally:
            self._filling = None

    def _in_place(self) -> Iterator[None]:
        connection = _connected(self.path, write=True)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            if int(_told_in(connection, "checks_size") or 0) != self._checks_size():
                self._load_checks(connection)
            self._filling = connection
            yield
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            self._filling = None
            connection.close()

    def _usable(self) -> bool:
        """Whether there is an index that this version wrote, and that can be read."""
        if not self.path.is_file():
            return False
        try:
            with contextlib.closing(_connected(self.path, write=False)) as connection:
                (application,) = connection.execute("PRAGMA application_id").fetchone()
                (layout,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT count(*) FROM told").fetchone()
        except sqlite3.DatabaseError:
            return False
        return bool((application, layout) == (APPLICATION, LAYOUT))

    def put(self, entries: Iterable[KeptFolder]) -> settling.Touched:
        """Takes entries into the index, in the place of what it held of their folders. Within ``writing``, before ``settle``."""
        connection = self._writer()
        touched = settling.Touched()
        fresh = _told_in(connection, "fresh") == "1"
        known: set[str] | None = set() if fresh else None
        for entry in entries:
            if known is not None:
                if entry.folder in known:
                    raise BadInput("the folder stands there twice", place=entry.folder)
                known.add(entry.folder)
            else:
                settling.forget(connection, entry.folder, touched)
            checkup = entry.checkup or self._check_of(connection, entry.content)
            run = checkup.run if checkup.run is not None and entry.run is not None else entry.run
            settled = (checkup.verdict, int(checkup.good), checkup.why, checkup.version)
            row = (entry.folder, entry.stamp, entry.content, entry.error, *settled, *row_of(run))
            number = connection.execute(_INSERT, row).lastrowid or 0
            if run is not None:
                settling.enter(connection, number, run, touched, fresh=fresh)
        return touched

    def drop(self, folders: Iterable[str], touched: settling.Touched) -> None:
        """Takes what is gone out of the index."""
        connection = self._writer()
        for folder in folders:
            settling.forget(connection, folder, touched)

    def settle(self, touched: settling.Touched, *, because: str = "", today: str | None = None) -> int:
        """Says of what was touched which run counts once, and writes what has changed into the log. Returns how many changes.

        ``because``: why, as whoever publishes it says; by default what can be seen.
        """
        connection = self._writer()
        if len(because) > LONGEST_BECAUSE:
            raise BadInput(f"must have at most {LONGEST_BECAUSE} characters", place="--because")
        day = today if today is not None else datetime.now(UTC).date().isoformat()
        fresh = _told_in(connection, "fresh") == "1"
        if fresh:
            _run(connection, INDEXES)
        settling.settle(connection, touched, fresh=fresh)
        if _told_in(connection, "log") != f"{self.log.path}:{self.log.size}":
            settling.load_published(connection, self.log)
        count = settling.publish(connection, touched, self.log, because=because, day=day, every=fresh)
        _tell(connection, "log", f"{self.log.path}:{self.log.size}")
        return count

    def verified(self, checked: Sequence[tuple[str, str, Checkup, CollectedRun | None]]) -> settling.Touched:
        """Takes verdicts in: of each its folder, its stamp, what was found, and the line that its journal gives. Within ``writing``."""
        connection = self._writer()
        entries: list[KeptFolder] = []
        checkups: list[Checkup] = []
        for folder, stamp, checkup, run in checked:
            kept = next(self.runs("r.folder = ? AND r.stamp = ?", folder, stamp), None)
            if kept is None or not checkup.version:
                continue  # it has changed meanwhile, and is asked again
            checkup = replace(checkup, run=run if run != kept.run else None)
            checkups.append(checkup)
            _keep(connection, checkup)
            content = checkup.content
            entries.append(
                KeptFolder(folder=folder, stamp=stamp, content=content, run=kept.run, checkup=checkup)
            )
        _append(self.folder / CHECKS_NAME, [to_line(checkup) for checkup in checkups])
        touched = self.put(entries)
        _tell(connection, "checks_size", str(self._checks_size()))
        return touched

    def tell(self, name: str, value: str) -> None:
        _tell(self._writer(), name, value)

    def _writer(self) -> sqlite3.Connection:
        if self._filling is None:
            raise EnergyRatingError("an index is written to within its writing()")
        return self._filling

    def _checks_size(self) -> int:
        try:
            return (self.folder / CHECKS_NAME).stat().st_size
        except OSError:
            return 0

    def _load_checks(self, connection: sqlite3.Connection) -> None:
        """What was verified is kept in a file of its own, and never lost with an index."""
        path = self.folder / CHECKS_NAME
        refuse_strangers(path)
        if path.exists():
            with opened(path) as file:
                for number, line in enumerate(file, start=1):
                    if line.endswith(b"\n"):
                        with contextlib.suppress(
                            BadInput
                        ):  # of a verdict that cannot be read another is made
                            _keep(connection, from_line(Checkup, line, f"{path}: line {number}"))
        _tell(connection, "checks_size", str(self._checks_size()))

    def _check_of(self, connection: sqlite3.Connection, content: str) -> Checkup:
        row = connection.execute(
            "SELECT verdict, version, journal_sha256, plausible, why, run FROM checks WHERE content = ?",
            (content,),
        ).fetchone()
        if row is None:
            return Checkup(content=content, verdict="not verified", version="")
        verdict, version, sha256, plausible, why, run = row
        return Checkup(
            content=content,
            verdict=verdict,
            version=version,
            journal_sha256=sha256,
            plausible=None if plausible is None else bool(plausible),
            why=why,
            run=None if run is None else from_line(CollectedRun, run, str(self.path)),
        )


def _run(connection: sqlite3.Connection, statements: Sequence[str]) -> None:
    for one in statements:
        connection.execute(one)


def _keep(connection: sqlite3.Connection, checkup: Checkup) -> None:
    row = (
        *(checkup.content, checkup.verdict, checkup.version, checkup.journal_sha256),
        *(checkup.plausible, checkup.why, None if checkup.run is None else to_line(checkup.run)),
    )
    connection.execute("INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _told_in(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM told WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row is not None else ""


def _tell(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (name, value))


def _append(path: Path, lines: Sequence[str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # A line that a killed process left without its end is closed, so that the next one is whole.
        content = "".join(f"{line}\n" for line in lines).encode()
        if os.fstat(descriptor).st_size and not _ends_with_a_line(path):
            content = b"\n" + content
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_with_a_line(path: Path) -> bool:
    with opened(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


# ------------------------------------------------------------------------------------------------------ whose it is


def refuse_strangers(path: Path) -> None:
    """Raises where a file of the index is not this user's own: an index holds verdicts, and is believed.

    Raises:
        BadInput: somebody else wrote it, or could.
    """
    for one in (path, path.parent):
        try:
            status = one.lstat()
        except OSError:
            continue
        foreign = status.st_uid != os.geteuid()
        if foreign or stat.S_ISLNK(status.st_mode) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise BadInput(
                "an index must be this user's own, and nobody else may write to it",
                f"Remove it, and let it be made anew: {path.parent}",
                place=one,
            )


def _make_own_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadInput(
            f"the index cannot be kept there ({error.strerror or error})",
            "Let XDG_STATE_HOME name a folder that can be written to",
            place=folder,
        ) from error


def _connected(path: Path, *, write: bool) -> sqlite3.Connection:
    mode = "rwc" if write else "ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30
    )
    # What stands in a file is data: no function of it is called by what stands in its tables.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


@contextlib.contextmanager
def _locked(path: Path, patience_s: float) -> Iterator[None]:
    """Alone among all that write. The lock goes with its process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise BadInput(
                        "another energy-rating is writing to this index",
                        "Wait for its end, and try again",
                        place=path.parent,
                    ) from None
                time.sleep(_ASK_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite or the system says, in one line with its remedy."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise NoRoom(
                f"{path}: the index could not be written ({error})", "Make room on that disk"
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise BadInput(f"the index cannot be used ({error})", "Try again", place=path) from error
        raise BadInput(
            f"the index is damaged ({error})",
            "Make it anew with: energy-rating collect --anew DIR",
            place=path,
        ) from error
