"""The pages of the site: templates that escape whatever they are given, with what stands in them. No file is written here."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_rating.files.opening import read_whole
from energy_rating.files.published import NOT_VERIFIED, PublishedTable
from energy_rating.files.shipped import PACKAGE
from energy_rating.publishing.leaderboard.rows import PUBLISHED, RANKED, Board, Cell

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = PACKAGE / "publishing" / "leaderboard"
LARGEST = 1 << 20
# So many rows stand in a page itself, for who has no script, and to be seen at once.
FIRST_ROWS = 100
MOST_BOARDS, MOST_LEFT_OUT = 300, 50

# Scripts and styles of the site itself, and nothing else: whatever a name might bring is dead, and nothing can be sent anywhere.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"

BOARD_COLUMNS = (
    *(("Rank", "rank", "number"), ("Model", "model", ""), ("Energy (median)", "energy_j", "number")),
    *(("Stars", "stars", ""), ("Class", "class", ""), ("Hardware", "hardware", ""), ("Basis", "basis", "")),
    *(("Engine", "engine", ""), ("Load", "at_once", ""), ("Precision", "precision", "")),
    *(("Parameters", "size", "number"), ("Quality", "quality", ""), ("Runs", "runs", "number")),
    *(("Best", "best", "number"), ("Day", "day", ""), ("Verified", "checked", "")),
)
PUBLISHED_COLUMNS = (
    *(
        ("Model", "model", ""),
        ("Task", "task", ""),
        ("Protocol", "protocol", ""),
        ("Energy", "energy_j", "number"),
    ),
    *(
        ("Per", "unit", ""),
        ("Hardware", "hardware", ""),
        ("Load", "load", ""),
        ("Precision", "precision", ""),
    ),
    *(("Settings", "settings", ""), ("Whose", "whose", "")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteFacts:
    """What every page says of the whole. ``stamp`` is another one for other content, so that no browser mixes two builds."""

    title: str
    stamp: str
    shards: int
    version: int
    runs: int
    models: int
    verified: int
    made_by: str
    runs_url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardInList:
    """A ranking as the first page names it. ``first``: its first row, where one is ranked."""

    slug: str
    title: str
    rule: str
    rows: int
    runs: int
    first: tuple[Cell, ...] | None


def resource(name: str) -> bytes:
    """A file of the site that is as it ships."""
    return read_whole(HERE / name, LARGEST)


def index(
    site: SiteFacts,
    boards: Sequence[BoardInList],
    downloads: Sequence[tuple[str, str]],
    left_out: Sequence[tuple[str, str]],
) -> str:
    return _page(
        "index.html",
        site,
        "Rankings",
        boards=boards[:MOST_BOARDS],
        hidden=max(len(boards) - MOST_BOARDS, 0),
        downloads=downloads,
        left_out=left_out[:MOST_LEFT_OUT],
        left_out_count=len(left_out),
    )


def board(site: SiteFacts, one: Board, rows: Sequence[tuple[Cell, ...]], parts: int) -> str:
    return _page(
        "board.html",
        site,
        f"{one.title}: {one.rule}",
        up="../",
        page="board",
        more={"board": one.slug, "parts": str(parts), "rows": str(len(rows))},
        board=one,
        columns=BOARD_COLUMNS,
        count=len(rows),
        rows=[dict(zip(RANKED, row, strict=True)) for row in rows[:FIRST_ROWS]],
    )


def gone(site: SiteFacts) -> str:
    """In the place of a ranking that is no more."""
    return _page("gone.html", site, "Nothing here any more", up="../")


def model(site: SiteFacts) -> str:
    return _page("model.html", site, "A model", page="model")


def search(site: SiteFacts) -> str:
    return _page("search.html", site, "Models found", page="search")


def about(site: SiteFacts) -> str:
    return _page("about.html", site, "What this is not")


def changes(site: SiteFacts, told: Sequence[Mapping[str, Any]], *, downloads: bool) -> str:
    return _page("changes.html", site, "Changes", changes=told, downloads=downloads)


def published(site: SiteFacts, rows: Sequence[tuple[Cell, ...]], tables: Sequence[PublishedTable]) -> str:
    return _page(
        "published.html",
        site,
        "Published by others",
        page="published",
        warning=f"These figures were {NOT_VERIFIED}.",
        tables=tables,
        columns=PUBLISHED_COLUMNS,
        count=len(rows),
        rows=[dict(zip(PUBLISHED, row, strict=True)) for row in rows[:FIRST_ROWS]],
    )


def _page(name: str, site: SiteFacts, title: str, *, up: str = "", page: str = "", **given: Any) -> str:
    found: str = (
        _templates()
        .get_template(name)
        .render(site=site, title=title, up=up, page=page, policy=POLICY, **{"more": {}, **given})
    )
    return found


@functools.cache
def _templates() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(lambda name: resource(name).decode()),
    )
