"""Figures that others published, as they stand there: *published by others, not verified here*. Never rated, and none of our stars.

A table a publication (``*.csv``, joules per unit of work, four digits) beside what is to be known of all its rows (``*.toml``: who, when, how, source,
licence). The folder is the registry: a new table is two files. They say what was measured already, and what a device can be calibrated
against; what they were measured under stands in each figure, so that nobody compares across protocols.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.files.strict import read_toml, validated
from energy_rating.nouns.entries import refuse_unless_above_zero
from energy_rating.nouns.errors import STRICT, BadInput

FOLDER = Path(__file__).parent
LARGEST_TABLE = 4 << 20  # bytes; the largest that ships has a twentieth of it

# What is to be said wherever one of these figures is shown.
NOT_VERIFIED = "published by others, not verified here"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """What all figures of a table have in common. ``protocol``: the name that we have for how they were measured; empty where we have none."""

    __pydantic_config__ = STRICT

    title: str
    publisher: str
    measured: str
    protocol: str
    scope: str
    how: str
    source: str
    licence: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OthersFigure:
    """What one model needed, as others say. None: it is not told.

    ``unit`` is what ``j_per_unit`` is for; ``batch`` the most at once, ``mean_batch`` what was reached. ``settings`` are by name, such as
    ``{"engine": "vLLM", "tp": "2"}``.

    Raises:
        ValueError: an energy or a number is not above zero.
    """

    table: str
    publication: PublishedTable
    model: str
    task: str
    gpu: str
    unit: str
    j_per_unit: float
    gpus: int | None = None
    batch: int | None = None
    mean_batch: float | None = None
    precision: str | None = None
    settings: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("j_per_unit", "gpus", "batch", "mean_batch"):
            refuse_unless_above_zero(name, getattr(self, name))


def tables(folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of all tables. Reads none of them."""
    return tuple(sorted(path.stem for path in folder.glob("*.csv")))


@functools.cache
def figures(table: str | None = None, folder: Path = FOLDER) -> tuple[OthersFigure, ...]:
    """All figures of a table, or of all tables, in the order in which they stand.

    Raises:
        BadInput: there is no such table, or it cannot be read.
    """
    known = tables(folder)
    if table is not None and table not in known:
        raise BadInput(
            f"there is no table {table[:80]!r}", f"Tables are: {', '.join(known)}", place="published"
        )
    return tuple(one for name in known if table in (None, name) for one in _read(folder / f"{name}.csv"))


def of_model(model: str, folder: Path = FOLDER) -> tuple[OthersFigure, ...]:
    """What is published of a model, by its id or by what stands behind the last slash of it; upper and lower case are one."""
    wanted = model.casefold()
    return tuple(
        one
        for one in figures(None, folder)
        if wanted in (one.model.casefold(), one.model.casefold().rpartition("/")[2])
    )


def _read(path: Path) -> Iterator[OthersFigure]:
    about = validated(PublishedTable, read_toml(path.with_suffix(".toml")), path.with_suffix(".toml"))
    text = read_whole(path, LARGEST_TABLE).decode()
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
        try:
            yield OthersFigure(
                table=path.stem,
                publication=about,
                model=row["model"],
                task=row["task"],
                gpu=row["gpu"],
                unit=row["unit"],
                j_per_unit=float(row["j_per_unit"]),
                gpus=int(row["gpus"]) if row["gpus"] else None,
                batch=int(row["batch"]) if row["batch"] else None,
                mean_batch=float(row["mean_batch"]) if row["mean_batch"] else None,
                precision=row["precision"] or None,
                settings=tuple(_pair(word) for word in row["settings"].split()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"line {number} is no figure: {error}"[:200], place=path) from None


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} is no setting")
    return name, value
