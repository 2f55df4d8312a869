"""``energy-rating trace``: a journal's power over time, drawn."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.options import beside
from energy_rating.cli.output import say


@click.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the picture (PNG) to this file. Default: trace.png beside the journal.",
)
def trace(journal: Path, output: Path | None) -> None:
    """Draws the power over time, with the windows shaded.

    JOURNAL is a journal.jsonl, also compressed, or the folder of a run.
    """
    from energy_rating.files.reading import read_journal
    from energy_rating.files.whole import write_whole
    from energy_rating.publishing.trace import plot

    output = beside(journal, "trace.png") if output is None else output
    write_whole(output, plot(read_journal(journal)))
    say(f"Trace: {output}")
