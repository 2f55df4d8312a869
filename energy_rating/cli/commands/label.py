"""``energy-rating label``: the label of a record, as SVG or PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import beside, link_options, provisional_option, scheme_option
from energy_rating.cli.output import say
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="label.svg or label.png. Default: label.svg beside the record.",
)
@click.option(
    "--beside",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Another run of a training's model (failed, ablation, search, evaluation): without one the label says 'final run only'. May be "
    "repeated.",
)
@link_options
@scheme_option
@provisional_option
def label(
    record: Path,
    output: Path | None,
    others: Sequence[Path],
    journal_url: str | None,
    meaning_url: str | None,
    scheme: str | None,
    provisional: bool,
) -> None:
    """Draws the label of a record, as SVG or PNG.

    RECORD is a record.json or the folder of a run.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.rating import rate as rated
    from energy_rating.publishing import label, runs
    from energy_rating.publishing.label import picture
    from energy_rating.publishing.links import Links

    output = beside(record, "label.svg") if output is None else output
    links = Links(journal=journal_url, meaning=meaning_url)
    if output.suffix not in (".svg", ".png"):
        raise BadInput("must end in .svg or .png", "Name the file label.svg or label.png", place=output)
    found = load(record)
    beside_it = runs.beside(found, [load(path) for path in others])
    rating = rated(found, scheme=scheme, provisional=provisional)
    if output.suffix == ".svg":
        write_whole(output, label.svg(found, rating, links, beside_it).encode())
    else:
        write_whole(output, picture.png(found, rating, links, beside_it))
    say(f"Label: {output}")
    print_unchecked(found)
