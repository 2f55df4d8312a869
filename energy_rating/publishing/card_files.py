"""A model card on a disk: read if it is a regular file, written whole or not at all, and left as it was where anything of it is refused.

A card that cannot be read is never replaced by a new one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from energy_rating.files.opening import read_beginning
from energy_rating.files.whole import write_whole
from energy_rating.judging.footprint.carbon import Impact
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing import splice
from energy_rating.publishing.base_share import BaseShare
from energy_rating.publishing.card import (
    KEY,
    LARGEST_CARD,
    Footprinted,
    as_text,
    put_back,
    remove_card,
    update_card,
)
from energy_rating.publishing.links import NO_LINKS, Links


def emissions_of_others(readme: Path | bytes) -> bool:
    """Whether a card holds emissions that somebody else has written; False also where it cannot be told."""
    try:
        return splice.is_of_others(as_text(readme if isinstance(readme, bytes) else content_of(readme)), KEY)
    except BadInput:
        return False


def update_card_file(
    path: str | Path,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
    impact: Impact | Sequence[Impact] | None = None,
    location: str | None = None,
    label: str | None = None,
    links: Links = NO_LINKS,
    overwrite: bool = False,
    footprints: Sequence[Footprinted | None] = (),
    section_only: bool = False,
    base: BaseShare | None = None,
    dia_report: bool = False,
) -> bool:
    """``update_card`` on a file, written whole or not at all. Says whether anything changed.

    Raises:
        BadInput: as ``update_card``, or the file cannot be read or written; it is then as it was.
    """
    path = Path(path)
    before = content_of(path)
    try:
        after = update_card(
            before,
            records,
            ratings=ratings,
            emissions_g=emissions_g,
            impact=impact,
            location=location,
            label=label,
            links=links,
            overwrite=overwrite,
            footprints=footprints,
            section_only=section_only,
            base=base,
            dia_report=dia_report,
        )
    except BadInput as error:
        raise _in_file(path, error) from error
    return _write(path, before, after)


def remove_card_file(path: str | Path) -> bool:
    """``remove_card`` on a file, written whole or not at all. Says whether anything changed.

    Raises:
        BadInput: as ``remove_card``, or the file cannot be read or written; it is then as it was.
    """
    path = Path(path)
    before = content_of(path)
    try:
        after = remove_card(before)
    except BadInput as error:
        raise _in_file(path, error) from error
    return _write(path, before, after)


def put_back_in_file(path: str | Path, earlier: str | Path) -> bool:
    """``put_back`` on files; the card is written whole or not at all. Says whether anything changed.

    Raises:
        BadInput: as ``put_back``, or a file cannot be read or written; the card is then as it was.
    """
    path, earlier = Path(path), Path(earlier)
    before, copy = content_of(path), content_of(earlier)
    try:
        if splice.section_of(as_text(copy)) is None:
            put_back(b"", copy)  # says so
    except BadInput as error:
        raise _in_file(earlier, error) from error
    try:
        after = put_back(before, copy)
    except BadInput as error:
        raise _in_file(path, error) from error
    return _write(path, before, after)


def _in_file(path: Path, error: BadInput) -> BadInput:
    return BadInput(error.message, error.remedy, place=f"{path}: {error.place}" if error.place else path)


def content_of(path: Path) -> bytes:
    """What stands in a file, at most a byte more than a card may have.

    Raises:
        BadInput: it is a link, no file, or cannot be read.
    """
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            # Through a link, the Hub's cache or another project's card would be changed.
            raise BadInput("is a link", f"Name the file itself: {path.resolve()}", place=path)
        if not stat.S_ISREG(kind):
            raise BadInput("is not a file", "Name the card's README.md", place=path)
        content = read_beginning(path, LARGEST_CARD + 1)
    except FileNotFoundError as error:
        raise BadInput("there is no such file", "Check the path", place=path) from error
    except (OSError, RuntimeError) as error:
        told = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(f"cannot be read ({told})", "Check the permissions", place=path) from error
    return content


def _write(path: Path, before: bytes, after: bytes) -> bool:
    if after == before:
        return False
    if not os.access(path, os.W_OK):
        raise BadInput("may not be written", "Check the permissions", place=path)
    mode = stat.S_IMODE(path.stat().st_mode)
    write_whole(path, after)
    path.chmod(mode)
    return True
