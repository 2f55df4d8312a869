"""What was measured with others' tools: one file a format, which reads it into imports. The folder is the registry.

A format is a module with ``NAME`` (whose file it is), ``is_mine(file)``, which tells it by what stands in it and never by its name
alone, and ``read(file)``, which gives an ``Import`` for each run in it. It may raise ``BadInput``, and nothing else. What a format
needs it has from here; what all records of imports have in common is in ``imported``.

Two formats never claim one file: what several could read is decided by ``is_mine``, and a test tries each file on all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from energy_rating.files.foreign import Foreign as Foreign
from energy_rating.files.imported import Import as Import
from energy_rating.files.imported import to_record
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record

# One import writes a folder a run.
MOST_RUNS = 10_000


class Format(Protocol):
    """What a module of this folder has."""

    NAME: str

    def is_mine(self, file: Foreign) -> bool: ...

    def read(self, file: Foreign) -> Iterable[Import]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """Whose file it is. ``form`` is the name of the module that reads it."""

    form: str
    name: str


def formats() -> tuple[str, ...]:
    """The names of all formats. Loads none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def format_of(name: str) -> Format:
    """The format of that name."""
    found: Format = importlib.import_module(f"{__name__}.{name}")
    return found


def recognised(path: str | Path) -> Recognised | None:
    """Whose file this is; None where no format knows it, or where it cannot be read at all."""
    try:
        form = _form_of(Foreign(Path(path)))
    except BadInput:
        return None
    return None if form is None else Recognised(form=form, name=format_of(form).NAME)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadFile:
    """The records of one file, and what lay beside it and was read with it."""

    records: tuple[Record, ...]
    taken: tuple[Path, ...] = ()


def imported(path: str | Path, *, named: Sequence[str | Path] = ()) -> tuple[Record, ...]:
    """The records of all runs in a file of another tool's; arguments and errors are those of ``found_in``."""
    return found_in(path, named=named).records


def found_in(path: str | Path, *, named: Sequence[str | Path] = ()) -> ReadFile:
    """The records of all runs in a file of another tool's, and the files that were read with it.

    Args:
        path: the file.
        named: the other files that belong to it, such as a log of power. What lies in its folder is looked at after these.

    Raises:
        BadInput: no format knows it, or what stands in it cannot be read or cannot be.
    """
    file = Foreign(Path(path), [Path(one) for one in named])
    form = _form_of(file)
    if form is None:
        file.refuse_too_large_to_tell()
        names = ", ".join(dict.fromkeys(format_of(one).NAME for one in formats()))
        raise BadInput("is no file that can be imported", f"Known are files of: {names}", place=file.path)
    records = tuple(_records(file, form))
    return ReadFile(records=records, taken=tuple(file.taken))


def _records(file: Foreign, form: str) -> Iterator[Record]:
    try:
        for number, found in enumerate(format_of(form).read(file)):
            if number >= MOST_RUNS:
                raise BadInput(f"must hold at most {MOST_RUNS:,} runs; there are more", "Split it")
            yield replace(
                to_record(found, sha256=file.sha256, form=form, number=number), checked="no-journal"
            )
    except BadInput as error:
        if error.place:
            raise
        raise BadInput(error.message, error.remedy, place=file.path) from None


def _form_of(file: Foreign) -> str | None:
    return next((name for name in formats() if format_of(name).is_mine(file)), None)
