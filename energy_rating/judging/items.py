"""Whether the items of a run are those that it says, as far as that can be told here. Pure, but for the table that comes with the package.

A journal says by a hash what it asked. Of items that ship, and of pictures and sounds that are drawn from a number, the hash is known
beforehand: another one under their name is a contradiction. What a hub has, and anybody's own file, can be recomputed only by who has it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from energy_rating.files import strict
from energy_rating.files.opening import read_whole
from energy_rating.files.reading import Journal
from energy_rating.files.shipped import TASKS
from energy_rating.nouns.quantities import STRICT
from energy_rating.nouns.records import Finding
from energy_rating.version import __version__

SCHEMA = "energy-rating/items/1"
TABLE = "items.json"
LARGEST_TABLE = 1 << 20

# How a journal calls what it asked: a file of the tasks, a data set of a hub, or a file of the user's own.
OF_TASKS, OF_DATASETS, OWN = "tasks/", "datasets/", "items"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownItems:
    """The items of one protocol. ``file``: how a journal calls those that ship; ``sha256``: every hash that they ever had under that name, the
    newest last; ``count``: how many they are. ``dataset``: what a hub calls those that it has."""

    __pydantic_config__ = STRICT

    file: str | None = None
    sha256: tuple[str, ...] = ()
    count: int | None = None
    dataset: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    __pydantic_config__ = STRICT

    schema: str
    tasks: Mapping[str, Mapping[str, KnownItems]] = field(default_factory=dict)


@functools.cache
def known_items() -> Mapping[str, Mapping[str, KnownItems]]:
    """By task and protocol, what ships with this version."""
    path = TASKS / TABLE
    return strict.validated(_Table, strict.json_object(read_whole(path, LARGEST_TABLE), path), path).tasks


def names_of_items(files: Mapping[str, str]) -> dict[str, str]:
    """The hashes of what was asked, among those of all files that a run rests on."""
    return {
        name: sha256
        for name, sha256 in files.items()
        if name == OWN
        or name.startswith(OF_DATASETS)
        or (name.startswith(OF_TASKS) and not name.endswith(".toml"))
    }


def of_items(journal: Journal) -> Iterator[Finding]:
    """Where the items that a run names are others than those of its task."""
    task = journal.task
    if task is None or task.protocol is None or _is_newer(journal):
        return
    known = known_items().get(task.name, {}).get(task.protocol)
    if known is None:
        return
    named = names_of_items(journal.files)
    if len(named) > 1:
        yield Finding.of("items-differ", f"a run asks one set of items; this one names {_listed(named)}")
    for name, sha256 in named.items():
        if name.startswith(OF_TASKS) and name != known.file:
            yield Finding.of(
                "items-differ",
                f"{name[:80]} is no file of items of {task.name} under {task.protocol}; {_has(known)}",
            )
        elif name.startswith(OF_TASKS) and sha256 not in known.sha256:
            yield Finding.of(
                "items-differ",
                f"the items that were asked are not those of {name[:80]}: their SHA-256 is {sha256[:12]}…, and not {known.sha256[-1][:12]}…",
            )
        elif name.startswith(OF_DATASETS) and name != f"{OF_DATASETS}{known.dataset}":
            yield Finding.of(
                "items-differ",
                f"{name[:80]} is not the data set of {task.name} under {task.protocol}; {_has(known)}",
            )
        elif name == known.file and known.count is not None and journal.load is not None:
            items = journal.load.items
            if items is not None and items > known.count:
                yield Finding.of(
                    "items-differ",
                    f"{name[:80]} has {known.count:,} items; {items:,} are said to have been asked",
                )


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(name[:80] for name in sorted(names)[:5])


def _has(known: KnownItems) -> str:
    has = [known.file or "", f"the data set {known.dataset}" if known.dataset else ""]
    return f"it has {' and '.join(one for one in has if one)}"


# What came after this version may have items that it does not know.
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


def _is_newer(journal: Journal) -> bool:
    written_by = journal.sessions[0].environment.software.get("energy-rating", "") if journal.sessions else ""
    theirs, ours = _VERSION.match(written_by), _VERSION.match(__version__)
    if theirs is None or ours is None:
        return False
    return tuple(int(part or 0) for part in theirs.groups()) > tuple(int(part or 0) for part in ours.groups())


def cannot_be_checked(journal: Journal) -> str:
    """What of the items only somebody else can tell, in a few words; empty where their hash is known here, or none is told."""
    task = journal.task
    known = known_items().get(task.name, {}).get(task.protocol or "") if task is not None else None
    for name in names_of_items(journal.files):
        if name == OWN:
            return "the items, which are the publisher's own (give them with --items FILE)"
        if name.startswith(OF_DATASETS):
            return f"whether the items are those of {name.removeprefix(OF_DATASETS)[:80]}, which a hub has (give them with --items FILE)"
        if known is None or _is_newer(journal):
            return f"the items {name[:80]}, which this version does not know"
    return ""


def apart_from(journal: Journal, sha256_of: Callable[[int | None], str]) -> tuple[str, str, str] | None:
    """Where the items that somebody has are others than those that were asked: how the run calls them, their hash in it, and the one found.

    ``sha256_of`` gives the hash of so many of them from the first on, or of all (None).
    """
    named = names_of_items(journal.files)
    count = journal.load.items if journal.load is not None else None
    found = [sha256_of(None)] if count is None else [sha256_of(count), sha256_of(None)]
    for name, sha256 in named.items():
        if sha256 not in found:
            return f"files.{name}", sha256, found[0]
    return None if named else ("files.items", "nothing", found[0])
