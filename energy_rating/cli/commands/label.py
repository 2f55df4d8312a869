"""``energy-rating label``: the label of a record, as SVG or PNG."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import provisional_option, scheme_option
from energy_rating.cli.output import say
from energy_rating.nouns.errors import BadInput


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("label.svg"),
    show_default=True,
    help="label.svg or label.png.",
)
@scheme_option
@provisional_option
def label(record: Path, output: Path, scheme: str | None, provisional: bool) -> None:
    """Draws the label of a record, as SVG or PNG."""
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.rating import rate as rated
    from energy_rating.publishing import label
    from energy_rating.publishing.label import picture

    if output.suffix not in (".svg", ".png"):
        raise BadInput("is neither .svg nor .png", "Name the file label.svg or label.png", place=output)
    found = load(record)
    rating = rated(found, scheme=scheme, provisional=provisional)
    if output.suffix == ".svg":
        write_whole(output, label.svg(found, rating).encode())
    else:
        write_whole(output, picture.png(found, rating))
    say(f"Label: {output}")
    print_unchecked(found)
