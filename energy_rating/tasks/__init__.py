"""The tasks: one TOML a task, with the protocols it may be run under. Data and their reading; running them is ``benchmark``'s.

A protocol fixes what a figure may be compared with: the items, how long the answers are, how many at a time, how often it is
repeated. A published protocol is not changed; a new one gets a new name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from energy_rating.errors import BadInput
from energy_rating.formats import read_toml, validated
from energy_rating.quantities import STRICT

TASK_SCHEMA = "energy-rating/task/1"
FOLDER = Path(__file__).parent

LARGEST_ITEM = 1 << 20  # bytes of one line
MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Where a protocol's items come from, where they do not ship with the package."""

    __pydantic_config__ = STRICT

    id: str
    columns: tuple[str, ...]
    split: str = "train"
    revision: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How a task is run. ``items_file`` ships with the package; ``dataset`` is what a hub would have to give.

    ``repeats`` windows of at least ``shortest_s`` make up ``measured``; a window is as many rounds over the items as that takes.
    """

    __pydantic_config__ = STRICT

    title: str
    source: str
    batch_size: int = 1
    concurrency: int = 1
    repeats: int = 5
    shortest_s: float = 60.0
    warm_up_items: int = 10
    idle_s: float = 12.0
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    items: int | None = None
    items_file: str | None = None
    dataset: Dataset | None = None
    dtype: str | None = None
    differs: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFile:
    """A task: what it is called, the unit it is rated by, its protocols by name, and which of them is the default."""

    __pydantic_config__ = STRICT

    schema: str
    name: str
    unit: str
    default_protocol: str
    protocols: Mapping[str, Protocol]
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.default_protocol not in self.protocols:
            raise ValueError(f"there is no protocol {self.default_protocol!r}")

    def protocol(self, name: str | None = None) -> tuple[str, Protocol]:
        """Name and content of a protocol; the default for None.

        Raises:
            BadInput: the task has none of that name.
        """
        name = name or self.default_protocol
        if name not in self.protocols:
            raise BadInput(
                f"the task {self.name!r} has no protocol {name[:80]!r}",
                f"It has: {', '.join(self.protocols)}",
                place="--protocol",
            )
        return name, self.protocols[name]


def tasks(folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of all tasks."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_task(name: str, folder: Path = FOLDER) -> TaskFile:
    """The task of that name.

    Raises:
        BadInput: there is none (names the nearest), or its file cannot be read.
    """
    known = tasks(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise BadInput(
            f"there is no task {name[:80]!r}",
            f"{'Did you mean' if near else 'There are'}: {', '.join(near or known)}",
            place="--task",
        )
    path = folder / f"{name}.toml"
    entry = read_toml(path)
    if entry.get("schema") != TASK_SCHEMA:
        raise BadInput(f"schema {str(entry.get('schema'))[:80]!r} is not {TASK_SCHEMA!r}", place=path)
    task = validated(TaskFile, entry, path)
    if task.name != name:
        raise BadInput(f"a task is called like its file, not {task.name[:80]!r}", place=f"{path}: name")
    return replace(task, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def read_items(path: Path) -> tuple[str, ...]:
    """Items from JSON Lines: strings, or objects with a ``text`` or ``prompt``. Plain lines of text are taken as they are.

    Raises:
        BadInput: the file cannot be read, or a line is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place=path) from error
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or type(error).__name__})", place=path) from error
    items: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > LARGEST_ITEM or len(items) >= MOST_ITEMS:
            raise BadInput("there are too many items, or one is too long", place=f"{path}: line {number}")
        items.append(_item(line, f"{path}: line {number}"))
    if not items:
        raise BadInput("holds no items", "One item a line: JSON Lines, or plain text", place=path)
    return tuple(items)


def _item(line: str, place: str) -> str:
    if not line.lstrip().startswith(("{", '"')):
        return line
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise BadInput("the line is not JSON", place=place) from error
    if isinstance(entry, dict):
        entry = entry.get("text", entry.get("prompt"))
    if not isinstance(entry, str) or not entry.strip():
        raise BadInput("the line has no 'text' or 'prompt'", place=place)
    return entry
