"""A site is built apart, and put in its place when it is whole: whoever reads has the old one or the new one. The same collection gives the same bytes.

Whatever is in it stands in the index. Of a million runs no more than one ranking, or one shard of models, is in memory at a time.
"""

from __future__ import annotations

import csv
import ctypes
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_rating.files.opening import read_whole
from energy_rating.files.published import figures
from energy_rating.nouns.errors import BadInput, NoRoom
from energy_rating.publishing.collection_tables import as_csv, shown_folder
from energy_rating.publishing.leaderboard import pages, rows, words
from energy_rating.publishing.leaderboard.pages import BoardInList, SiteFacts
from energy_rating.publishing.strangers import for_plain_text, for_spreadsheet
from energy_rating.storage.index import Index
from energy_rating.version import __version__

SITE_SCHEMA = "energy-rating/site/1"
MARK = "site.json"
LARGEST_MARK = 1 << 24

# Of a ranking so many rows are in one file.
ROWS_TOGETHER = 1_000
# The whole collection as one CSV, up to a size that a spreadsheet opens; beyond it each ranking has its own.
MOST_IN_ONE_CSV = 200_000
MOST_CHANGES = 1_000
# Names in one question to the index.
_NAMES_TOGETHER = 500

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux (renameat2, linux/fs.h)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltSite:
    """What was built."""

    folder: Path
    boards: int
    models: int
    runs: int
    files: int


def build(
    index: Index,
    folder: Path,
    *,
    title: str = "Energy of AI models",
    root: str = "",
    runs_url: str = "",
    progress: Progress | None = None,
) -> BuiltSite:
    """Builds the site of a collection in a folder, in the place of the one that is there.

    Args:
        index: the collection's, up to date.
        folder: of the site; nothing that is no such site is replaced.
        title: of the site.
        root: the collection's own folder, from which the folders of runs are told.
        runs_url: address under which these folders can be had, with a slash at its end. Without it none is linked.
        progress: is told what is written, how much of it, and of how much.

    Raises:
        BadInput: something else stands there, or it cannot be written.
        NoRoom: the disk is full.
    """
    if runs_url and not (runs_url.startswith(("https://", "http://")) and runs_url.endswith("/")):
        raise BadInput("must be an address (https://…) with a slash at its end", place="--runs-url")
    folder = folder.absolute()
    before = _site_before(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    made = folder.parent / f".{folder.name[:40]}.building-{os.urandom(6).hex()}"
    try:
        made.mkdir()
        with _InTheMaking(made):
            told = _Building(index, made, for_plain_text(title), root, runs_url, progress).all(before)
            _swap(made, folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoRoom(
                f"{folder}: the site could not be written ({error.strerror})", "Make room there"
            ) from error
        raise BadInput(
            f"cannot be written ({error.strerror or error})",
            "Choose a folder that can be written to",
            place=folder,
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    boards, models, runs, files = told
    return BuiltSite(folder=folder, boards=boards, models=models, runs=runs, files=files)


class _Building:
    """One build: what is written where."""

    def __init__(
        self, index: Index, made: Path, title: str, root: str, runs_url: str, progress: Progress | None
    ) -> None:
        self.index, self.made, self.root, self.progress = index, made, root, progress
        self.files = 0
        self.models = rows.models(index)
        with index.reading() as connection:
            (runs, verified) = connection.execute(
                "SELECT count(*), coalesce(sum(good), 0) FROM runs WHERE run_run_id IS NOT NULL AND twice_of IS NULL"
            ).fetchone()
        self.runs = int(runs)
        shards = words.shards_for(self.runs)
        stamped = hashlib.sha256(f"{__version__}\n{shards}\n".encode())
        with index.reading() as connection:
            # Of all that any page is made of: other content, another stamp.
            for row in connection.execute(
                "SELECT folder, content, verdict, good FROM runs ORDER BY run_run_id, content, folder"
            ):
                stamped.update(f"{shown_folder(row[0], root)}\0{row[1:]}\n".encode(errors="replace"))
        self.site = SiteFacts(
            title=title,
            stamp=stamped.hexdigest()[:12],
            shards=shards,
            version=index.version,
            runs=self.runs,
            models=len(self.models),
            verified=int(verified),
            made_by=__version__,
            runs_url=runs_url,
        )

    def all(self, before: Sequence[str]) -> tuple[int, int, int, int]:
        for name in ("data/boards", "data/models", "data/search", "boards", "downloads"):
            (self.made / name).mkdir(parents=True)
        for name in ("style.css", "site.js"):
            self.write(name, pages.resource(name))
        boards = rows.boards(self.index)
        listed = [self.board(one) for one in self._each("rankings", boards)]
        slugs = {one.slug for one in boards}
        for slug in sorted(set(before) - slugs):
            self.write(f"boards/{slug}.html", pages.gone(self.site).encode())
        self._models()
        for name, value in words.search_files(self.models):
            self.data(f"search/{name}", value)
        published = rows.published()
        self.data("published", {"columns": rows.PUBLISHED, "rows": published})
        tables = list({one.table: one.publication for one in figures()}.values())
        self.write("published.html", pages.published(self.site, published, tables).encode())
        lines = self._changes()
        downloads = [(f"{one.slug}.csv", f"{one.title}; {one.rule}") for one in boards[: pages.MOST_BOARDS]]
        if self.runs <= MOST_IN_ONE_CSV:
            self.write_pieces("downloads/collection.csv", as_csv(self.index.runs(), self.root))
            downloads.insert(0, ("collection.csv", "all runs, one row each"))
        left_out = [(shown_folder(one.folder, self.root), one.why) for one in self.index.left_out()]
        doubted = self.index.runs("r.verdict = 'differs' OR (r.verdict = 'matches' AND r.good = 0)")
        left_out += [(shown_folder(one.folder, self.root), f"{one.verdict}: {one.why}") for one in doubted]
        told = [(for_plain_text(name), for_plain_text(why)) for name, why in left_out]
        self.write("index.html", pages.index(self.site, listed, downloads, told).encode())
        for name, page in (("model", pages.model), ("search", pages.search), ("about", pages.about)):
            self.write(f"{name}.html", page(self.site).encode())
        mark = {"schema": SITE_SCHEMA, "collection_version": self.site.version, "runs": self.runs}
        mark |= {
            "models": len(self.models),
            "shards": self.site.shards,
            "made_by": __version__,
            "changes": lines,
        }
        mark["boards"] = sorted(slugs | set(before))
        self.write(MARK, (json.dumps(mark, indent=1) + "\n").encode())
        return len(boards), len(self.models), self.runs, self.files

    def board(self, one: rows.Board) -> BoardInList:
        found = rows.ranking(self.index, one)
        parts = [found[start : start + ROWS_TOGETHER] for start in range(0, len(found), ROWS_TOGETHER)]
        for number, some in enumerate(parts):
            self.data(f"boards/{one.slug}-{number}", {"columns": rows.RANKED, "rows": some})
        self.write(f"boards/{one.slug}.html", pages.board(self.site, one, found, len(parts)).encode())
        self.write_pieces(f"downloads/{one.slug}.csv", _csv(rows.RANKED, found))
        return BoardInList(
            slug=one.slug,
            title=one.title,
            rule=one.rule,
            rows=len(found),
            runs=one.runs,
            first=found[0] if found and found[0][0] else None,
        )

    def _models(self) -> None:
        shards: dict[str, list[str]] = {}
        for name, _ in self.models:
            shards.setdefault(words.shard_of(name, self.site.shards), []).append(name)
        # All of them, so that no browser asks for one that is not there.
        every = [f"{number:05x}" for number in range(self.site.shards)]
        for shard in self._each("models", every):
            found: list[tuple[str, Any]] = []
            names = shards.get(shard, [])
            for start in range(0, len(names), _NAMES_TOGETHER):
                some = names[start : start + _NAMES_TOGETHER]
                found.extend(rows.runs_of(self.index, some, lambda path: shown_folder(path, self.root)))
            self.data(f"models/{shard}", {"columns": rows.OF_MODEL, "models": sorted(found)})

    def _changes(self) -> int:
        """Changes of what was published before: additions are no changes of a figure."""
        last: list[dict[str, Any]] = []
        count = 0
        with (self.made / "downloads/changes.jsonl").open("w", encoding="utf-8") as file:
            for one in self.index.log.read():
                if one.what == "added":
                    continue
                count += 1
                what = one.what
                if one.before is not None and one.after is not None:
                    names = sorted(set(one.before) | set(one.after))
                    moved = [name for name in names if one.before.get(name) != one.after.get(name)]
                    what = "; ".join(
                        f"{name}: {one.before.get(name, 'none')} → {one.after.get(name, 'none')}"
                        for name in moved
                        if name not in ("journal", "worked_out_by")
                    )  # type: ignore[assignment]
                entry = {"version": one.version, "day": one.date, "run": one.run, "model": one.model}
                entry |= {"what": for_plain_text(what), "reason": for_plain_text(one.reason)}
                file.write(
                    json.dumps({**entry, "before": one.before, "after": one.after}, ensure_ascii=False) + "\n"
                )
                last = [*last[-MOST_CHANGES + 1 :], entry]
        self.files += 1
        told = list(reversed(last))
        self.write("changes.html", pages.changes(self.site, told, downloads=count > 0).encode())
        return count

    def _each(self, what: str, some: Sequence[Any]) -> Iterator[Any]:
        for number, one in enumerate(some, start=1):
            yield one
            if self.progress is not None:
                self.progress(what, number, len(some))

    def data(self, name: str, value: object) -> None:
        """Data that a page asks for by a name that it reckons. ASCII alone: nothing in a string ends a line of a script."""
        # Names are never keys: in a script ``__proto__`` is none.
        text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        self.write(f"data/{name}.js", f"energyRating({json.dumps(name)},{text})\n".encode())

    def write(self, name: str, content: bytes) -> None:
        self.write_pieces(name, [content])

    def write_pieces(self, name: str, pieces: Iterable[bytes | str]) -> None:
        with (self.made / name).open("wb") as file:
            for piece in pieces:
                file.write(piece.encode() if isinstance(piece, str) else piece)
        self.files += 1


def _csv(head: Sequence[str], found: Iterable[Sequence[rows.Cell]]) -> Iterator[str]:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    for row in found:
        writer.writerow([for_spreadsheet(cell) if isinstance(cell, str) else cell for cell in row])
    yield file.getvalue()


# --------------------------------------------------------------------------------------------------- in the place of the old


def _site_before(folder: Path) -> tuple[str, ...]:
    """The names of the rankings that an older build had, so that old links lead somewhere.

    Raises:
        BadInput: what stands there is no site of ours, and is not replaced.
    """
    if not folder.exists() and not folder.is_symlink():
        return ()
    if not folder.is_dir() or folder.is_symlink():
        raise BadInput("must be a folder; got something else", "Name another place", place=folder)
    if not any(folder.iterdir()):
        return ()
    with suppress(BadInput, ValueError, RecursionError):
        entry = json.loads(read_whole(folder / MARK, LARGEST_MARK))
        if isinstance(entry, dict) and entry.get("schema") == SITE_SCHEMA:
            named = entry.get("boards")
            return tuple(slug for slug in named if rows.is_plain(slug)) if isinstance(named, list) else ()
    raise BadInput(
        "holds something that is no site of energy-rating, and is not replaced",
        "Name an empty folder, or remove it",
        place=folder,
    )


class _InTheMaking:
    """A folder in the making, whose maker lives: whoever sweeps leaves it alone."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __enter__(self) -> None:
        self.descriptor = os.open(self.made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _sweep(folder: Path) -> None:
    """Removes what killed builds have left."""
    for left in folder.parent.glob(f".{folder.name[:40]}.building-*"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def _swap(made: Path, folder: Path) -> None:
    """Puts a whole site in the place of the old one, in one step where the system can."""
    made.chmod(0o755)
    _on_the_disk(made)
    try:
        made.rename(folder)  # into nothing, or into an empty folder
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if _exchanged(made, folder):
        return  # what was there is what is thrown away now
    aside = made.with_name(f"{made.name}-old")
    folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _on_the_disk(made: Path) -> None:
    """Returns when all that was written is: a machine that dies has the old site or the new one. That disk alone is waited for."""
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            os.sync()
    except (OSError, AttributeError):
        os.sync()
    finally:
        os.close(descriptor)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether both have changed places at once (``renameat2`` of Linux 3.15)."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
