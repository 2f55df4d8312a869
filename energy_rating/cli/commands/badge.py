"""``energy-rating badge``: a record's rating in a line, for the top of a README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import (
    link_options,
    look_option,
    output_beside,
    provisional_option,
    scheme_option,
)
from energy_rating.cli.output import say

if TYPE_CHECKING:
    from energy_rating.publishing.names import LookName


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="badge.svg, or badge.json for a service that draws badges (shields.io's endpoint). Default: badge.svg beside the record.",
)
@look_option
@link_options
@scheme_option
@provisional_option
def badge(
    record: Path,
    output: Path | None,
    look: LookName,
    journal_url: str | None,
    meaning_url: str | None,
    scheme: str | None,
    provisional: bool,
) -> None:
    """Draws a badge of about 200 × 28 pixels: stars, what they could be, the figure, and how it was had.

    RECORD is a record.json or the folder of a run.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.rating import rate as rated
    from energy_rating.publishing import badge as drawn
    from energy_rating.publishing.links import Links

    output = output_beside(record, output, "badge.svg", "badge.json")
    links = Links(journal=journal_url, meaning=meaning_url)
    found = load(record)
    rating = rated(found, scheme=scheme, provisional=provisional)
    content = (
        drawn.shields(found, rating)
        if output.suffix == ".json"
        else drawn.svg(found, rating, links, look=look)
    )
    write_whole(output, content.encode())
    say(f"Badge: {output}")
    if output.suffix == ".svg":
        say(f"In a README: {drawn.in_markdown(found, rating, output.name, links)}")
    print_unchecked(found)
