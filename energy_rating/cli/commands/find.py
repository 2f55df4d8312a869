"""``energy-rating find``: what was measured of a model already, so that nobody measures it twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_rating.storage.index import Index

_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def _day(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    if value is not None and _DAY.fullmatch(value) is None:
        raise click.BadParameter(
            f"must be a day such as 2026-11-30, or a month; got {value[:40]!r}", ctx, param
        )
    return value or ""


@click.command()
@click.argument("model")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR...]")
@click.option("--task", default="", help="Of this task alone, such as text-generation.")
@click.option("--hardware", default="", metavar="H100", help="The nearest to this device first.")
@click.option("--protocol", default="", help="Under this protocol alone, such as aes-2025-02.")
@click.option("--since", callback=_day, metavar="2026-11", help="Measured on this day, or after it.")
@json_option
def find(
    model: str, folders: Sequence[Path], task: str, hardware: str, protocol: str, since: str, as_json: bool
) -> None:
    """What was measured of a model already, by you or by others: on what, under which protocol, and why it is rated or not.

    \b
    energy-rating find example-model reports/
    energy-rating find Llama-3.1-8B --task text-generation --hardware H100

    MODEL is its id, what stands behind the slash of it, or words of its name. Searched are DIR, what you collected before, the runs of
    the state folder, and the tables that others have published.
    """
    from energy_rating.publishing import found as shown
    from energy_rating.storage.search import Wanted
    from energy_rating.storage.search import find as found_in

    wanted = Wanted(model=model, task=task, hardware=hardware, protocol=protocol, since=since)
    near = shown.nearness(hardware) if hardware else None
    found = found_in(wanted, known_indexes(folders), nearness=near)
    say(as_json_text(shown.as_json(found)) if as_json else shown.as_text(found, model))


def known_indexes(folders: Sequence[Path], *, refresh: bool = True) -> list[Index]:
    """Those of the folders that are named and of the state folder, as they are now; and all others as they were when they were collected."""
    from energy_rating.files.journal import state_folder
    from energy_rating.nouns.errors import EnergyRatingError
    from energy_rating.publishing import collected
    from energy_rating.storage import collection
    from energy_rating.storage.index import Index, indexes

    found: list[Index] = []
    for place in folders:
        index = collection.collection([place])
        collection.bring_up_to_date(index, [place], collected.read, workers=collection.cores())
        found.append(index)
    own = state_folder()
    if refresh and own.is_dir():
        try:
            index = collection.collection([own])
            collection.bring_up_to_date(index, [own], collected.read)
            found.append(index)
        except EnergyRatingError:
            if not folders:  # it cannot be written to: then there is nothing to be found in it
                found = []
    known = {one.folder for one in found}
    found += [Index(folder) for folder in indexes() if folder not in known]
    return found
