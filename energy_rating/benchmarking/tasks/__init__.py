"""The tasks: one TOML a task, with the protocols it may be run under. Data and their reading; running them is ``benchmarking``'s.

A protocol fixes what a figure may be compared with: the items, how long the answers are, how many at a time, how often it is
repeated. A published protocol is not changed; a new one gets a new name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from energy_rating.benchmarking.settings import OperatingPoint
from energy_rating.benchmarking.tasks.synthetic import picture, sound
from energy_rating.benchmarking.work import LARGEST_FILE, Item
from energy_rating.files.opening import read_whole
from energy_rating.files.shipped import TASKS
from energy_rating.files.strict import LARGEST_TOML, json_schema, read_toml, validated
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import STRICT

TASK_SCHEMA = "energy-rating/task/1"
FOLDER = TASKS

LARGEST_ITEM = 1 << 20  # bytes of one line
LARGEST_LIST = 256 << 20  # bytes of a file of items
MOST_ITEMS = 100_000

# What an item can carry, and the kinds of file that hold it.
Role = Literal["text", "second", "image", "audio", "answer"]
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")

# The keys of a line that say the same, the first that is there counts.
KEYS: Mapping[Role, tuple[str, ...]] = {
    "text": ("text", "prompt", "question", "sentence1"),
    "second": ("context", "sentence2"),
    "image": ("image",),
    "audio": ("audio",),
    "answer": ("answer",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Where a protocol's items come from, where they do not ship with the package.

    ``columns`` are taken for what their names say, or for ``roles`` in the same order. ``config`` is one of several parts that
    a data set may have. ``revision`` None: as it is on the day; the record tells the hash of the items.
    """

    __pydantic_config__ = STRICT

    id: str
    columns: tuple[str, ...]
    roles: tuple[Role, ...] = ()
    config: str | None = None
    split: str = "train"
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.roles and len(self.roles) != len(self.columns):
            raise ValueError("there is not one role for each column")


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthetic:
    """Pictures or sounds that are drawn when they are needed: the same bytes for the same numbers, on every machine."""

    __pydantic_config__ = STRICT

    kind: Literal["image", "audio"]
    count: int
    seed: int = 0
    width: int = 640
    height: int = 480
    seconds: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol(OperatingPoint):
    """How a task is run. What a protocol can fix of the operating point, it has from there.

    ``items_file`` and ``synthetic`` ship with the package; ``dataset`` is what a hub has. Where a protocol has both, those that
    ship stand in for those of the hub, and the record says so. ``repeats`` windows of at least ``shortest_s`` make up
    ``measured``; a window is as many rounds over the items as that takes. Warming up takes ``warm_up_items`` and
    ``warm_up_s`` at least, and goes on until the power is steady, but no longer than ``warm_up_cap_s`` (0: not asked).
    """

    __pydantic_config__ = STRICT

    title: str
    source: str
    repeats: int = 5
    shortest_s: float = 60.0
    warm_up_items: int = 10
    warm_up_s: float = 3.0
    warm_up_cap_s: float = 300.0
    idle_s: float = 12.0
    items: int | None = None
    items_file: str | None = None
    synthetic: Synthetic | None = None
    dataset: Dataset | None = None
    differs: str = ""

    @property
    def ships(self) -> bool:
        """Whether there are items for it in the package."""
        return self.items_file is not None or self.synthetic is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFile:
    """A task: what it is called, the unit it is rated by, its protocols by name, and which of them is the default.

    ``hub_task`` is the hub's name for what the model does, where that is not the task's own. ``inputs``: what each item has.
    """

    __pydantic_config__ = STRICT

    schema: str
    name: str
    unit: str
    default_protocol: str
    protocols: Mapping[str, Protocol]
    title: str = ""
    hub_task: str = ""
    inputs: tuple[Role, ...] = ("text",)
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.default_protocol not in self.protocols:
            raise ValueError(f"there is no protocol {self.default_protocol!r}")

    @property
    def kind(self) -> str:
        """The hub's name of the task."""
        return self.hub_task or self.name

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
    return replace(task, sha256=hashlib.sha256(read_whole(path, LARGEST_TOML)).hexdigest())


def task_schema() -> dict[str, Any]:
    """The JSON Schema of a task's file, as published in ``docs/``."""
    schema = json_schema(TaskFile, TASK_SCHEMA)
    # The hash is that of the file itself.
    del schema["properties"]["sha256"]
    return schema


# ---------------------------------------------------------------------------------------------------------------- items


def shipped_items(protocol: Protocol, folder: Path = FOLDER) -> tuple[Item, ...]:
    """The items of a protocol that ship with the package; pictures and sounds are drawn here.

    Raises:
        BadInput: it has none.
    """
    if not protocol.ships:
        raise BadInput("no items of this protocol ship with the package", place=protocol.title)
    texts = read_items(folder / protocol.items_file) if protocol.items_file else ()
    drawn = protocol.synthetic
    if drawn is None:
        return texts
    items = texts or (Item(),) * drawn.count
    if drawn.kind == "audio":
        sounds = [sound(drawn.seed + number, drawn.seconds) for number in range(drawn.count)]
        return tuple(replace(item, audio=sounds[number % drawn.count]) for number, item in enumerate(items))
    pictures = [picture(drawn.seed + number, drawn.width, drawn.height) for number in range(drawn.count)]
    return tuple(replace(item, image=pictures[number % drawn.count]) for number, item in enumerate(items))


def name_of_shipped(task: TaskFile, name: str) -> str | None:
    """How a journal calls the items of a protocol that ship; None where none do."""
    protocol = task.protocols[name]
    if not protocol.ships:
        return None
    # The hash of the texts stands under the name of their file, as long as there is nothing else.
    return f"tasks/{protocol.items_file if protocol.synthetic is None else f'{task.name}.{name}.items'}"


def read_items(path: Path) -> tuple[Item, ...]:
    """Items from a file or a folder.

    A file holds JSON Lines: texts, or objects with ``text`` (also ``prompt``, ``question`` with ``context``, ``sentence1`` with
    ``sentence2``), ``image``, ``audio``, ``answer``, ``max_new_tokens``; lines that are no JSON are texts. Paths of images
    and sounds are relative to the file and stay within its folder. A folder's images and sounds are an item each, by name.

    Raises:
        BadInput: it cannot be read, or a line holds nothing that could be an item; names the place.
    """
    if path.is_dir():
        return _items_of_folder(path)
    if path.suffix.lower() in (*IMAGES, *SOUNDS):
        return (_item_of_file(path),)
    items: list[Item] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        if len(line) > LARGEST_ITEM or len(items) >= MOST_ITEMS:
            raise BadInput("there are too many items, or one is too long", place=f"{path}: line {number}")
        items.append(_item_of_line(line, path.parent, f"{path}: line {number}"))
    if not items:
        raise BadInput("holds no items", "One item a line: JSON Lines, or plain text", place=path)
    return tuple(items)


def _lines(path: Path) -> list[str]:
    """Lines end with a line feed and nowhere else: JSON may hold all the other characters that Python's lines end with."""
    try:
        return read_whole(path, LARGEST_LIST).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", "Give JSON Lines or plain text in UTF-8", place=path) from error


def _items_of_folder(folder: Path) -> tuple[Item, ...]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*IMAGES, *SOUNDS))
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or type(error).__name__})", place=folder) from error
    if not paths:
        raise BadInput(
            "holds no images and no sounds", f"Such as {', '.join((*IMAGES, *SOUNDS))}", place=folder
        )
    if len(paths) > MOST_ITEMS:
        raise BadInput("there are too many items", place=folder)
    return tuple(_item_of_file(path) for path in paths)


def _item_of_file(path: Path) -> Item:
    found = _within(path.name, path.parent, str(path))
    return Item(image=found) if path.suffix.lower() in IMAGES else Item(audio=found)


def _item_of_line(line: str, folder: Path, place: str) -> Item:
    line = line.removesuffix("\r")
    if _is_list(line):
        raise BadInput(
            "is a JSON list, and not JSON Lines",
            "Write one object a line, without the list around them",
            place=place,
        )
    if not line.lstrip().startswith(("{", '"')):
        return Item(text=line)
    try:
        entry = json.loads(line)
        if "\\ud" in line.lower():  # half a pair of surrogates is no text: it can neither be sent nor hashed
            json.dumps(entry, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadInput("the line is not JSON", place=place) from error
    return item_from(entry if isinstance(entry, dict) else {"text": entry}, place, folder)


def _is_list(line: str) -> bool:
    """Whether a list of JSON stands or begins in a line, which nobody would want answered."""
    if line.strip() == "[":
        return True
    try:
        return line.lstrip().startswith("[") and isinstance(json.loads(line), list)
    except (ValueError, RecursionError):
        return False


def item_from(entry: Mapping[str, object], place: str, folder: Path | None = None) -> Item:
    """An item from what a line or a row holds. ``folder``: where its files are; without it, it names none.

    Raises:
        BadInput: there is nothing in it to be done, or something is not what it should be.
    """
    found: dict[str, Any] = {}
    for role, keys in KEYS.items():
        key = next((key for key in keys if entry.get(key) is not None), None)
        if key is None:
            continue
        value = entry[key]
        if role in ("image", "audio"):
            if isinstance(value, bytes):
                found[role] = value
            elif isinstance(value, str) and folder is not None:
                found[role] = _within(value, folder, f"{place}: {key}")
            else:
                raise BadInput(
                    f"must be the name of a file; got {str(value)[:40]!r}", place=f"{place}: {key}"
                )
        elif not isinstance(value, str) or (role == "text" and not value.strip()):
            raise BadInput(
                "the line has no 'text' or 'prompt'"
                if role == "text"
                else f"must be a text; got {str(value)[:40]!r}",
                place=f"{place}: {key}",
            )
        else:
            found[role] = value
    if not {"text", "image", "audio"} & set(found):
        raise BadInput("the line has no 'text' or 'prompt', no 'image' and no 'audio'", place=place)
    longest = entry.get("max_new_tokens")
    if longest is not None:
        if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
            raise BadInput(
                f"must be a whole number above 0; got {longest!r:.40}", place=f"{place}: max_new_tokens"
            )
        found["max_new_tokens"] = longest
    return Item(**found)


def _within(name: str, folder: Path, place: str) -> Path:
    """The file of that name inside the folder; links that lead out of it are refused too."""
    path = folder / name
    try:
        real = path.resolve(strict=True)
        size = real.stat().st_size
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"there is no such file ({name[:80]!r})", place=place) from error
    if Path(name).is_absolute() or not real.is_relative_to(folder.resolve()):
        raise BadInput("leads out of the folder of the items", "Put the files beside the list", place=place)
    if not real.is_file() or size > LARGEST_FILE:
        raise BadInput(f"must be a file of at most {LARGEST_FILE >> 20} MiB", place=place)
    return path


def check_items(items: Sequence[Item], task: TaskFile, place: str) -> None:
    """Refuses items that lack what the task is about.

    Raises:
        BadInput: one does; says which and what.
    """
    for number, item in enumerate(items, start=1):
        for role in task.inputs:
            if not getattr(item, role):
                raise BadInput(
                    f"{task.name} needs {' and '.join(task.inputs)}, and item {number} has no {role}",
                    f"Give each item {' or '.join(repr(key) for key in KEYS[role])}",
                    place=place,
                )


def items_sha256(items: Sequence[Item]) -> str:
    """What the items are, as a hash: of their texts, one a line; where there is more than text, of canonical JSON lines.

    Images and sounds count with the hash of their content, not with their name.
    """
    plain = Item()
    only_text = all(replace(item, text="") == plain for item in items)
    lines = [item.text if only_text else _canonical(item) for item in items]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(item: Item) -> str:
    entry: dict[str, object] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if one.name in ("image", "audio") and value is not None:
            content = item.image_bytes() if one.name == "image" else item.audio_bytes()
            value = hashlib.sha256(content).hexdigest()
        if value not in (None, ""):
            entry[one.name] = value
    return json.dumps(entry, sort_keys=True, ensure_ascii=False)
