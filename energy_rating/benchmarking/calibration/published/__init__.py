"""Models whose energy on the reference device was published under a protocol that can be repeated here. Data and their reading; runs none.

A list a publication (``*.toml``): who published it, under which licence, when, with which engine; the item sets, each with its task, its
length and its number format; the models with their energies; and what of the publication cannot be repeated, each with the reason. The
folder is the registry: a new list is one file. Every energy stands also in the table of that publication (``files.published``), and a test
holds the two together.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from energy_rating.files.strict import read_toml, validated
from energy_rating.judging.profiles import WorkloadClass
from energy_rating.nouns.entries import refuse_unless_above_zero
from energy_rating.nouns.errors import STRICT, BadInput

LIST_SCHEMA = "energy-rating/published-models/1"
FOLDER = Path(__file__).parent

# In what a run here may differ from the published one, so that its factor says less.
Apart = Literal["engine-version", "attention", "answers"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Widening:
    """By what the 90 % interval of a factor is wider (×/÷ ``factor``, in quadrature) where something is unknown or another, and why."""

    __pydantic_config__ = STRICT

    apart: Apart
    factor: float
    why: str
    source: str

    def __post_init__(self) -> None:
        if not 1 < self.factor < 10:
            raise ValueError(f"a widening must be a factor above 1; got {self.factor}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemSet:
    """How the models of one task were run: the items, and what a run here is asked for beyond the task's own protocol.

    ``protocol`` is one of the task's file. ``take``: so many of the items, evenly drawn, are enough, since all of them cost the same;
    None: all. ``items`` is how many there are.
    """

    __pydantic_config__ = STRICT

    task: str
    protocol: str
    workload_class: WorkloadClass
    workload: str
    unit: str
    dataset: str
    items: int
    dtype: str
    take: int | None = None
    max_new_tokens: int | None = None
    max_model_len: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("items", "take", "max_new_tokens", "max_model_len"):
            refuse_unless_above_zero(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedModel:
    """What one model took there, joules per unit of its task's item set.

    ``parameters`` as its card tells; ``file_gb`` what is fetched of it. ``revision`` None: not published, so that the newest is taken.
    ``gated``: its publisher wants an agreement before it can be fetched. ``concurrency``: requests at once. ``needs_gb``: device memory,
    where it is more than what the parameters alone tell.
    """

    __pydantic_config__ = STRICT

    id: str
    task: str
    j_per_unit: float
    parameters: int
    file_gb: float
    licence: str
    revision: str | None = None
    gated: bool = False
    concurrency: int = 1
    needs_gb: float | None = None

    def __post_init__(self) -> None:
        for name in ("j_per_unit", "parameters", "file_gb", "concurrency", "needs_gb"):
            refuse_unless_above_zero(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRepeatable:
    """What was published and cannot be repeated. ``id`` is a model, or a word for all of a kind; ``tasks``: of what, none for all."""

    __pydantic_config__ = STRICT

    id: str
    why: str
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedList:
    """One publication. ``engine`` and ``engine_version``: of what ran the models; ``attention`` None: not published.

    ``table`` is the name of its table in ``files.published``; ``read`` the day on which it was looked at.
    """

    __pydantic_config__ = STRICT

    schema: str
    name: str
    title: str
    publisher: str
    source: str
    url: str
    licence: str
    measured: str
    read: str
    table: str
    reference: str
    engine: str
    how: str
    engine_version: str | None = None
    attention: str | None = None
    sets: tuple[ItemSet, ...] = ()
    models: tuple[PublishedModel, ...] = ()
    widenings: tuple[Widening, ...] = ()
    not_repeatable: tuple[NotRepeatable, ...] = ()

    def __post_init__(self) -> None:
        tasks = [one.task for one in self.sets]
        if len(set(tasks)) != len(tasks):
            raise ValueError("there is more than one item set of a task")
        for model in self.models:
            if model.task not in tasks:
                raise ValueError(f"there is no item set of the task {model.task!r}")

    def set_of(self, model: PublishedModel) -> ItemSet:
        return next(one for one in self.sets if one.task == model.task)

    def widening(self, apart: Apart) -> Widening | None:
        return next((one for one in self.widenings if one.apart == apart), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A published model with all that is known of how it was run."""

    list: PublishedList
    set: ItemSet
    model: PublishedModel

    @property
    def key(self) -> str:
        """A name that can be that of a folder."""
        at_once = f"-{self.model.concurrency}-at-once" if self.model.concurrency > 1 else ""
        return f"{self.list.name}.{self.set.task}.{self.model.id.replace('/', '--')}{at_once}"


@functools.cache
def lists(folder: Path = FOLDER) -> tuple[PublishedList, ...]:
    """All lists, by name.

    Raises:
        BadInput: one cannot be read; says which and where.
    """
    return tuple(_read(path) for path in sorted(folder.glob("*.toml")))


def candidates(folder: Path = FOLDER) -> Iterator[Candidate]:
    """Every model of every list, in the order in which they stand."""
    for one in lists(folder):
        for model in one.models:
            yield Candidate(list=one, set=one.set_of(model), model=model)


def _read(path: Path) -> PublishedList:
    entry = read_toml(path)
    if entry.get("schema") != LIST_SCHEMA:
        raise BadInput(f"schema {str(entry.get('schema'))[:80]!r} is not {LIST_SCHEMA!r}", place=path)
    found = validated(PublishedList, entry, path)
    if found.name != path.stem:
        raise BadInput(f"a list is called like its file, not {found.name[:80]!r}", place=f"{path}: name")
    return found
