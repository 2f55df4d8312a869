"""A collection: the runs below some folders, brought up to date in the index, and verified apart, several at a time.

How a folder becomes a line, and what verification finds of it, is worked out by whoever publishes, and handed in: ``read`` and ``check``
are functions that another process can be given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from energy_rating.nouns.errors import BadInput, EnergyRatingError, first_line
from energy_rating.storage.folders import RunFolder, content_of, found, resolved
from energy_rating.storage.index import Index, folder_of
from energy_rating.storage.runs import Checkup, CollectedRun, KeptFolder
from energy_rating.storage.settling import Touched
from energy_rating.version import __version__

T = TypeVar("T")
R = TypeVar("R")

Read = Callable[[Path], CollectedRun]
Check = Callable[[Path, str], tuple[Checkup, CollectedRun | None]]
Progress = Callable[[str, int, int], None]

# Fewer are read sooner than another process has started.
MOST_ALONE = 64
# Of those that are given to other processes: so many lie ready for each.
_AHEAD = 8
# Verdicts are kept as they come, so that whatever ends it loses no more than these.
_KEPT_TOGETHER = 32
# Folders that a killed process or a broken pool leaves behind are tried once more, one at a time.
_ALONE_WHY = "the process that looked at it was ended; it may need more memory than there is"


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """What came of bringing a collection up to date. ``changes``: figures that are others than were published last."""

    runs: int
    read: int
    gone: int
    left_out: int
    changes: int
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedAll:
    """What came of verifying: how many were asked now, how many of them match, and what another answer came of."""

    asked: int
    good: int
    changes: int


def collection(places: Sequence[Path], *, log: Path | None = None) -> Index:
    """The index over these folders, there or not.

    Raises:
        BadInput: there is no such folder.
    """
    roots = [resolved(place) for place in places]
    for place, root in zip(places, roots, strict=True):
        if not root.exists():
            raise BadInput(
                "there is no such folder", "Name a folder that holds the folders of runs", place=place
            )
    return Index(folder_of(roots), log=log)


def bring_up_to_date(
    index: Index,
    places: Sequence[Path],
    read: Read,
    *,
    workers: int = 1,
    anew: bool = False,
    because: str = "",
    today: str | None = None,
    progress: Progress | None = None,
) -> Brought:
    """Reads what is new or has changed, and takes out what is gone.

    Raises:
        BadInput: there is no such folder, or another process writes to the index.
        NoRoom: the disk is full.
    """
    with index.writing(anew=anew):
        known = index.stamps()
        gone = set(known)
        wanted: list[RunFolder] = []
        count = 0
        for one in found(places):
            count += 1
            gone.discard(one.path)
            if known.get(one.path) != one.stamp:
                wanted.append(one)
        touched = Touched()
        index.drop(sorted(gone), touched)
        entries = _entries(wanted, read, workers, progress)
        touched.join(index.put(entries))
        changes = index.settle(touched, because=because, today=today)
        for number, place in enumerate(places):
            index.tell(f"place-{number:04}", str(resolved(place)))
        return Brought(
            runs=count,
            read=len(wanted),
            gone=len(gone),
            left_out=len(index.left_out()),
            changes=changes,
            version=index.version,
        )


def _entries(
    wanted: Sequence[RunFolder], read: Read, workers: int, progress: Progress | None
) -> Iterator[KeptFolder]:
    jobs = [(one.path, one.stamp, read) for one in wanted]
    done = _spread(_entry, jobs, workers if len(jobs) > MOST_ALONE else 1)
    for number, (job, entry) in enumerate(done, start=1):
        if isinstance(entry, BaseException):
            path, stamp, _ = job
            entry = KeptFolder(folder=path, stamp=stamp, content="", run=None, error=first_line(entry))
        if progress is not None:
            progress("read", number, len(jobs))
        yield entry


def _entry(job: tuple[str, str, Read]) -> KeptFolder:
    path, stamp, read = job
    try:
        run = read(Path(path))  # first, since it refuses at once what is no run
        return KeptFolder(folder=path, stamp=stamp, content=content_of(path), run=run)
    except (EnergyRatingError, ArithmeticError, ValueError, OSError, RecursionError) as error:
        # One broken record keeps nobody from the rest; which it is, and why, is told.
        return KeptFolder(folder=path, stamp=stamp, content="", run=None, error=_said(path, error))


def _said(path: str, error: BaseException) -> str:
    told = str(error) if isinstance(error, EnergyRatingError) else first_line(error)
    return told.removeprefix(f"{path}/").removeprefix(f"{path}: ")[:400] or type(error).__name__


def verify_all(
    index: Index,
    check: Check,
    *,
    workers: int = 1,
    because: str = "",
    today: str | None = None,
    progress: Progress | None = None,
) -> CheckedAll:
    """Verifies what this version has not verified yet, several at a time. What is broken off goes on where it was.

    Raises:
        BadInput: another process writes to the index.
        NoRoom: the disk is full.
    """
    todo = [(folder, stamp, content, check) for folder, stamp, content in index.unverified(__version__)]
    good = changes = 0
    done = _spread(_checked, todo, workers if len(todo) > 1 else 1)
    number = 0
    while some := list(islice(done, _KEPT_TOGETHER)):
        kept: list[tuple[str, str, Checkup, CollectedRun | None]] = []
        for (folder, stamp, content, _), found_ in some:
            if isinstance(found_, BaseException):
                why = first_line(found_)
                found_ = (
                    Checkup(content=content, verdict="cannot be checked", version=__version__, why=why),
                    None,
                )
            checkup, run = found_
            kept.append((folder, stamp, checkup, run))
            good += checkup.good
            number += 1
            if progress is not None:
                progress("verified", number, len(todo))
        with index.writing():
            changes += index.settle(index.verified(kept), because=because, today=today)
    return CheckedAll(asked=len(todo), good=good, changes=changes)


def _checked(job: tuple[str, str, str, Check]) -> tuple[Checkup, CollectedRun | None]:
    folder, _, content, check = job
    # What was read and what is verified must be the same files.
    if content_of(folder) != content:
        why = "it changed while it was looked at; collect again"
        return Checkup(content=content, verdict="not verified", version="", why=why), None
    try:
        return check(Path(folder), content)
    except (EnergyRatingError, ArithmeticError, ValueError, OSError, RecursionError, MemoryError) as error:
        why = _said(folder, error)
        return Checkup(content=content, verdict="cannot be checked", version=__version__, why=why), None


# ------------------------------------------------------------------------------------------------------ several at a time


def _spread(work: Callable[[T], R], jobs: Iterable[T], workers: int) -> Iterator[tuple[T, R | BaseException]]:
    """Each job with what came of it, in their order. A process that dies takes its job with it, and no other."""
    if workers <= 1:
        for job in jobs:
            yield job, work(job)
        return
    todo = iter(jobs)
    waiting: list[tuple[T, Future[R]]] = []
    pool = _pool(workers)
    try:
        while True:
            for job in islice(todo, workers * _AHEAD - len(waiting)):
                waiting.append((job, pool.submit(work, job)))
            if not waiting:
                return
            job, future = waiting.pop(0)
            try:
                yield job, future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                yield from ((one, _alone(work, one)) for one in (job, *(other for other, _ in waiting)))
                waiting = []
                pool = _pool(workers)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _alone(work: Callable[[T], R], job: T) -> R | BaseException:
    """In a process of its own, so that who ends it is known."""
    with _pool(1) as pool:
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            return BadInput(_ALONE_WHY)


def _pool(workers: int) -> ProcessPoolExecutor:
    # A process that is forked with threads may hang; one that is started anew loads the package once.
    return ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"))


def cores() -> int:
    """How many processes there is room for."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return max(1, os.cpu_count() or 1)
