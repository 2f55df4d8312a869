"""``energy-rating comment``: what a pull request is told of its energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.output import say, write

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--before",
    multiple=True,
    metavar="RECORD",
    type=click.Path(path_type=Path),
    help="The record or folder that is compared with: one for each of RECORDS, in the same order.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
def comment(records: Sequence[Path], before: Sequence[Path], output: Path | None) -> None:
    """What a pull request is told of its energy, as Markdown for GitHub: a sentence, a table, a plot.

    \b
    energy-rating comment run-now --before run-before -o comment.md

    Nothing is sent. examples/github/energy.yml is a workflow that measures a pull request and comments it.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.publishing.comment import comment as told

    text = told([load(path) for path in records], [load(path) for path in before])
    if output is None:
        write(text)
    else:
        write_whole(output, text.encode())
        say(f"Written: {output}")
