"""What stands in the tables of the site: the rankings, the rows of each, the runs of a model. Values and words; pages and files are elsewhere.

**A ranking is of one kind of figure.** What was done, under which protocol, per which unit, of which component: two that differ in any of
it never stand in one order. **A row is a setting, and told by its median.** Who measures ten times and publishes the best would else stand
before who measures once: runs of one model on the same hardware, engine, precision and load are one row, and the best stands beside it.
**Stars and a rank** have figures that were verified here; nothing else, and a device that does not exist has no rank.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from energy_rating.files.published import OthersFigure, figures
from energy_rating.nouns.quantities import Estimate, scaled, significant, with_doubt
from energy_rating.publishing.collection_tables import SAID
from energy_rating.publishing.collection_tables import energy as energy_in_wh
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.storage.index import Index, IndexedRun

Cell = str | int | float | None

LONGEST_SLUG = 80
_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

# The places of a row of a ranking, for the script that sorts and filters.
RANKED = (
    *("rank", "model", "energy", "energy_j", "best", "runs", "stars", "doubt", "class", "hardware", "basis"),
    *("engine", "load", "at_once", "precision", "size", "size_told", "quality", "quality_told", "metric"),
    *("day", "run", "checked"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """One ranking. ``slug`` is its name in addresses, which follows from what it is of, so that an old link leads to it."""

    stage: str
    task: str
    protocol: str
    unit: str
    component: str
    runs: int = 0

    @property
    def slug(self) -> str:
        told: tuple[str, ...] = (
            self.task or self.stage,
            self.protocol or "no-protocol",
            self.unit,
            self.component,
        )
        if self.task and self.stage != "inference":
            told = (self.stage, *told)
        text = "_".join(told)
        words = "_".join(re.sub(r"[^a-z0-9]+", "-", one.casefold()).strip("-") or "x" for one in told)
        if words == text and len(words) <= LONGEST_SLUG:
            return words
        # What was changed or cut is told apart by all that it was.
        return f"{words[:LONGEST_SLUG].rstrip('-_')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def title(self) -> str:
        return for_plain_text(f"{self.task or self.stage}", 60)

    @property
    def rule(self) -> str:
        """Under which protocol, per which unit, of what."""
        protocol = for_plain_text(self.protocol, 60) if self.protocol else "no protocol"
        return f"{protocol}; energy of the {NAMED.get(self.component, self.component)} per {for_plain_text(self.unit, 40)}"


NAMED = {
    "gpu": "GPU",
    "cpu": "CPU",
    "dram": "memory",
    "module": "module",
    "host": "whole machine",
    "wall": "whole machine, at the plug",
}

_COLUMNS = ("run_stage", "run_task", "run_protocol", "run_figure_unit", "run_figure_component")
# What is shown: runs with a figure, each once, that nothing was found against.
_SHOWN = (
    "r.run_figure_j > 0 AND r.twice_of IS NULL AND r.verdict <> 'differs' AND (r.verdict <> 'matches' OR r.good = 1) "
    "AND r.run_waste = '' AND r.run_kind <> 'invalid'"
)
_SETTING = (
    *(
        "run_model",
        "run_hardware",
        "run_hardware_count",
        "run_engine",
        "run_dtype",
        "run_batch",
        "run_concurrency",
    ),
    *("run_tokens", "run_kind", "run_basis", "run_example"),
)


def boards(index: Index) -> tuple[Board, ...]:
    """All rankings that have a row, the largest first."""
    columns = ", ".join(f"r.{name}" for name in _COLUMNS)
    with index.reading() as connection:
        rows = connection.execute(
            f"SELECT {columns}, count(*) FROM runs r WHERE {_SHOWN} GROUP BY {columns}"  # noqa: S608
        ).fetchall()
    found = [
        Board(stage=stage, task=task, protocol=protocol, unit=unit, component=component, runs=count)
        for stage, task, protocol, unit, component, count in rows
    ]
    # One without a protocol cannot be compared with anything that others did.
    return tuple(sorted(found, key=lambda one: (not one.protocol, -one.runs, one.slug)))


def ranking(index: Index, board: Board) -> list[tuple[Cell, ...]]:
    """The rows of a ranking in its order: what was verified by its energy, then what was not, which has no rank."""
    where = " AND ".join((_SHOWN, *(f"r.{name} = ?" for name in _COLUMNS)))
    given = (board.stage, board.task, board.protocol, board.unit, board.component)
    order = ", ".join(f"r.{name}" for name in _SETTING)
    runs = index.runs(where, *given, order=f"{order}, r.run_figure_j, r.folder")
    found = [_row(list(group)) for _, group in groupby(runs, key=_setting)]
    found.sort(key=lambda pair: (pair[0], pair[1][RANKED.index("energy_j")], str(pair[1][1]), str(pair[1])))
    return [(number if last == 0 else 0, *row[1:]) for number, (last, row) in enumerate(found, start=1)]


def _setting(one: IndexedRun) -> tuple[Any, ...]:
    return tuple(getattr(one.run, name.removeprefix("run_")) for name in _SETTING)


def _row(some: Sequence[IndexedRun]) -> tuple[int, tuple[Cell, ...]]:
    """A row, and where it may stand: 0 among the ranked, 1 behind them."""
    good = [one for one in some if one.good]
    counted = good or list(some)
    # Of an even number the run above the middle: it is one that was measured, and never the luckier one.
    middle = counted[len(counted) // 2]
    run = middle.run
    rated = bool(good) and run.kind == "measured"
    ranked = rated and not run.example  # what does not exist needs neither more nor less than anything
    quality = run.quality[0] if run.quality else None
    load = ", ".join(
        part
        for part in (
            f"batch {run.batch}" if run.batch else "",
            f"{run.concurrency} at once" if run.concurrency else "",
            f"{run.tokens} tokens" if run.tokens else "",
        )
        if part
    )
    row: tuple[Cell, ...] = (
        0,
        run.model or "no model named",
        figure(middle),
        run.figure_j,
        scaled(counted[0].run.figure_j or 0.0, "J"),
        len(some),
        run.stars if rated and run.stars is not None else 0,
        doubt_of_stars(middle) if rated else "",
        run.class_,
        hardware(middle),
        basis(middle),
        run.engine,
        load,
        max(run.concurrency or 0, run.batch or 0),
        run.dtype,
        run.parameters or 0,
        size(run.parameters),
        quality[1] if quality else None,
        f"{quality[0]} {significant(quality[1], 3)}" if quality else "",
        quality[0] if quality else "",
        run.created[:10],
        run.run_id,
        checked(middle),
    )
    return (0 if ranked else 1), row


def figure(one: IndexedRun) -> str:
    """Energy per unit with its 95 % interval; what a model said is marked."""
    run = one.run
    value = Estimate(
        value=run.figure_j or 0.0, random=run.figure_random_j, systematic=run.figure_systematic_j
    )
    return f"{'≈ ' if run.figure_origin == 'estimated' else ''}{with_doubt(value, 'J')}"


def doubt_of_stars(one: IndexedRun) -> str:
    """What else they could be."""
    run = one.run
    if run.stars is None or run.could_be_low == run.could_be_high:
        return ""
    return f"could be {run.could_be_low}–{run.could_be_high}"


def hardware(one: IndexedRun) -> str:
    run = one.run
    return f"{run.hardware_count} × {run.hardware}" if run.hardware else "not told"


def basis(one: IndexedRun) -> str:
    """What a figure rests on, in a word; one of an example device says so."""
    if one.run.example:
        return "example"
    return one.run.basis if one.run.kind in ("measured", "incomplete") else SAID[one.run.kind]


def checked(one: IndexedRun) -> str:
    """Whether it was verified here."""
    if one.run.kind == "imported":
        return "no journal"
    if one.good:
        return "verified"
    return "cannot be checked" if one.verdict == "cannot be checked" else "not verified"


def size(parameters: int | None) -> str:
    """``7.24 B`` parameters; nothing where they are not known."""
    if not parameters:
        return ""
    for factor, sign in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= factor:
            return f"{significant(parameters / factor, 3)} {sign}"
    return str(parameters)


# ------------------------------------------------------------------------------------------------------ of one model

OF_MODEL = (
    *(
        "run",
        "day",
        "board",
        "title",
        "rule",
        "energy",
        "energy_j",
        "whole",
        "stars",
        "doubt",
        "class",
        "why_not",
    ),
    *("hardware", "basis", "engine", "load", "at_once", "precision", "size_told", "quality_told", "place"),
    *("took_s", "checked", "ending", "stage", "scheme", "folder", "findings"),
)


def models(index: Index) -> tuple[tuple[str, int], ...]:
    """The names of all models that have a run, and how many."""
    with index.reading() as connection:
        rows = connection.execute(
            "SELECT r.run_model, count(*) FROM runs r WHERE r.run_run_id IS NOT NULL AND r.run_model <> '' "
            "AND r.twice_of IS NULL GROUP BY r.run_model ORDER BY r.run_model"
        ).fetchall()
    return tuple((name, count) for name, count in rows)


def runs_of(
    index: Index, names: Iterable[str], folder_of: Any
) -> Iterator[tuple[str, list[tuple[Cell, ...]]]]:
    """All runs of each of these models, also those that are in no ranking: for nothing, not verified, doubted."""
    wanted = list(names)
    marks = ", ".join("?" * len(wanted))
    runs = index.runs(
        f"r.run_model COLLATE NOCASE IN ({marks}) AND r.twice_of IS NULL",
        *wanted,
        order="r.run_model, r.run_created DESC, r.folder",
    )
    known = set(wanted)
    for name, group in groupby(runs, key=lambda one: one.run.model):
        if name in known:
            yield name, [_run_row(one, folder_of(one.folder)) for one in group]


def _run_row(one: IndexedRun, folder: str) -> tuple[Cell, ...]:
    run = one.run
    board = Board(
        stage=run.stage,
        task=run.task,
        protocol=run.protocol,
        unit=run.figure_unit,
        component=run.figure_component,
    )
    shown = run.figure_j is not None and one.verdict != "differs" and (one.good or one.verdict != "matches")
    in_board = shown and not run.waste and run.kind != "invalid"
    whole = ""
    if run.measured_j is not None:
        amount = Estimate(
            value=run.measured_j, random=run.measured_random_j, systematic=run.measured_systematic_j
        )
        whole = energy_in_wh(amount, least=run.kind == "incomplete")
    elif run.estimated_j is not None:
        whole = f"≈ {scaled(run.estimated_j / 3600, 'Wh')}"
    rated = one.good and run.kind == "measured"
    why_not = "" if run.stars is not None and rated else "; ".join(run.reasons[:3])
    if not one.good and run.kind != "imported":
        why_not = one.why or "it was not verified here"
    row = _row([one])[1]
    told = dict(zip(RANKED, row, strict=True))
    return (
        *(run.run_id, run.created[:10], board.slug if in_board else "", board.title, board.rule),
        *(figure(one) if shown else "", run.figure_j if shown else None, whole),
        *(told["stars"], told["doubt"], run.class_, why_not, told["hardware"], basis(one), run.engine),
        *(told["load"], told["at_once"], run.dtype, told["size_told"], told["quality_told"], run.place),
        *(round(run.duration_s, 1), "differs" if one.verdict == "differs" else checked(one)),
        *(run.ending or run.waste, run.stage, run.scheme, folder, " ".join(run.findings)),
    )


# ------------------------------------------------------------------------------------------------- what others published

PUBLISHED = (
    "model",
    "task",
    "protocol",
    "energy",
    "energy_j",
    "unit",
    "hardware",
    "load",
    "precision",
    "settings",
    "whose",
)


def published() -> list[tuple[Cell, ...]]:
    """All figures of others that are known, table by table."""
    return [_published_row(one) for one in figures()]


def _published_row(one: OthersFigure) -> tuple[Cell, ...]:
    return (
        *(
            one.model,
            one.task,
            one.publication.protocol,
            scaled(one.j_per_unit, "J"),
            one.j_per_unit,
            one.unit,
        ),
        *(f"{one.gpus or '?'} × {one.gpu}", f"batch {one.batch}" if one.batch else "", one.precision or ""),
        *(", ".join(f"{name} {value}" for name, value in one.settings), one.publication.title),
    )


def is_plain(slug: object) -> bool:
    """Whether it can be the name of a page: what an older site says is not believed."""
    return (
        isinstance(slug, str)
        and len(slug) <= 2 * LONGEST_SLUG
        and all(_PLAIN.fullmatch(part) for part in slug.split("_"))
    )
