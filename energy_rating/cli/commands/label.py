"""``energy-rating label``: the label of a record, as SVG or PNG."""

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
    from collections.abc import Sequence

    from energy_rating.publishing.names import LookName, Size


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
@look_option
@click.option(
    "--small", is_flag=True, help="Only what has to be legible at 100 pixels: stars, figure, how it was had."
)
@click.option(
    "--width",
    type=click.IntRange(100, 4000),
    help="Width of a PNG in pixels. Default: 800, of a small label 200.",
)
@link_options
@scheme_option
@provisional_option
def label(
    record: Path,
    output: Path | None,
    others: Sequence[Path],
    look: LookName,
    small: bool,
    width: int | None,
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

    output = output_beside(record, output, "label.svg", "label.png")
    links = Links(journal=journal_url, meaning=meaning_url)
    if width is not None and output.suffix == ".svg":
        raise click.UsageError("'--width' is of a PNG; an SVG has any width. Name a file that ends in .png.")
    size: Size = "small" if small else "full"
    found = load(record)
    beside_it = runs.beside(found, [load(path) for path in others])
    rating = rated(found, scheme=scheme, provisional=provisional)
    if output.suffix == ".svg":
        write_whole(output, label.svg(found, rating, links, beside_it, look=look, size=size).encode())
    else:
        width = width or (200 if small else 800)
        write_whole(
            output, picture.png(found, rating, links, beside_it, look=look, size=size, width_px=width)
        )
    say(f"Label: {output}")
    print_unchecked(found)
