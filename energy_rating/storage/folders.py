"""Which folders hold runs, and whether one has changed since it was looked at. Reads no record; follows no link out of a collection."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.files.journal import JOURNAL_NAMES
from energy_rating.files.opening import opened
from energy_rating.files.record import RECORD_NAME
from energy_rating.nouns.errors import BadInput

# Deeper than any tree that a person makes; a link that leads to itself is not followed anyway.
DEEPEST = 32
NAMES = (RECORD_NAME, *JOURNAL_NAMES)
# What ``merge`` puts into a run's folder is a part of it, and no run beside it.
PARTS = "nodes"
_BLOCK = 1 << 20
# Of one file: the journal of a month of 64 devices has a tenth of it.
LARGEST_FILE = 16 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    """A folder with a run, or a file that another tool wrote of one. ``stamp`` is another one after any change of what is in it."""

    path: str
    stamp: str


def found(places: Sequence[Path]) -> Iterator[RunFolder]:
    """All folders of runs at and below these places, each once, in the order of their names.

    Raises:
        BadInput: there is no such place, or it cannot be looked into.
    """
    seen: set[str] = set()
    for place in places:
        root = resolved(place)
        if root.is_file():
            told = _stamp_of(root.stat())
            runs: Iterator[RunFolder] = iter((RunFolder(path=str(root), stamp=told),))
        elif root.is_dir():
            runs = _below(str(root), 0)
        else:
            raise BadInput(
                "there is no such folder", "Name a folder that holds the folders of runs", place=place
            )
        for one in runs:
            if one.path not in seen:
                seen.add(one.path)
                yield one


def resolved(place: Path) -> Path:
    """Where a place really is.

    Raises:
        BadInput: its name can be no path, or leads to itself.
    """
    try:
        return place.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(
            "must be a path that the system can open", "Check the path", place=str(place)
        ) from error


def _below(folder: str, depth: int) -> Iterator[RunFolder]:
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda one: one.name)
    except OSError as error:
        if depth:
            return  # it may have been removed meanwhile, or be nobody else's to look into
        raise BadInput(
            f"cannot be looked into ({error.strerror})", "Check its permissions", place=folder
        ) from error
    files = [one for one in there if not _is_folder(one) and not one.name.startswith(".")]
    is_run = any(one.name in NAMES for one in files)
    if is_run:
        stamps: list[str] = []
        for one in files:
            try:
                stamps.append(f"{one.name}:{_stamp_of(one.stat())}")
            except OSError:
                continue
        stamps += _stamps_of_parts(Path(folder))
        text = "\n".join(stamps)
        yield RunFolder(path=folder, stamp=hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32])
    if depth >= DEEPEST:
        return
    for one in there:
        if _is_folder(one) and not one.name.startswith(".") and not (is_run and one.name == PARTS):
            yield from _below(one.path, depth + 1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _stamp_of(status: os.stat_result) -> str:
    # The time of the last change of a file's state is the system's: who sets back the time of a file's content changes that one.
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _stamps_of_parts(root: Path) -> list[str]:
    """Those of the files of a run's nodes, which its verdict rests on as well."""
    stamps: list[str] = []
    for file in sorted(_parts(root)):
        try:
            stamps.append(f"{file.relative_to(root).as_posix()}:{_stamp_of(file.stat())}")
        except OSError:
            continue
    return stamps


def content_of(path: str) -> str:
    """The SHA-256 over names and contents of all files of a run: what a verdict is about.

    Raises:
        BadInput: one of them cannot be read.
    """
    whole = hashlib.sha256()
    root = Path(path)
    for file in [root] if root.is_file() else sorted(_files(root)):
        name = file.relative_to(root).as_posix() if file != root else file.name
        digest = hashlib.sha256()
        if file.stat().st_size > LARGEST_FILE:
            raise BadInput(f"the file is larger than {LARGEST_FILE >> 30} GiB", place=file)
        with opened(file) as content:
            while block := content.read(_BLOCK):
                digest.update(block)
        whole.update(f"{name}\0{digest.hexdigest()}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    """The files of a run: its own, and those of its nodes."""
    yield from (one for one in root.iterdir() if not one.name.startswith(".") and one.is_file())
    yield from _parts(root)


def _parts(root: Path) -> Iterator[Path]:
    """The files of a run's nodes. What a link leads to is a part too where it is read as one: a node, or all of them."""
    nodes = root / PARTS
    try:
        places = [nodes, *nodes.iterdir()] if nodes.is_dir() else []
    except OSError:
        return  # nobody else's to look into
    for place in places:
        if place.is_dir():
            below = place.iterdir() if place == nodes or place.is_symlink() else place.rglob("*")
            yield from (one for one in below if one.is_file())
