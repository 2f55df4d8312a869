"""``energy-rating leaderboard``: a collection as a static site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.collect import brought_up_to_date, gathered, progress_of_many
from energy_rating.cli.options import strict_option
from energy_rating.cli.output import say, tell

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="SITE",
    help="Folder of the site.",
)
@click.option("--title", default="Energy of AI models", show_default=True, help="Title of the site.")
@click.option(
    "--runs-url",
    default="",
    metavar="URL/",
    help="Address under which the folders of the runs can be had. Without it none is linked.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Verify first what has not been. What is not verified has no rank and no stars.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=512),
    help="How many are verified at a time. Default: one a core.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of what was published when and why it changed. Default: beside the index.",
)
@click.option(
    "--because",
    default="",
    metavar="TEXT",
    help="Why figures have changed, for the log. Default: what can be seen.",
)
@strict_option(
    "Exit with 1 where a record cannot be read, or does not match its journal; the site is built all the same."
)
def leaderboard(
    folders: Sequence[Path],
    output: Path,
    title: str,
    runs_url: str,
    verify: bool,
    jobs: int | None,
    log: Path | None,
    because: str,
    strict: bool,
) -> None:
    """A static site of a collection: rankings by task and protocol, a page for each model, what others published apart.

    \b
    energy-rating leaderboard reports/ -o site
    python -m http.server --directory site

    Sorts, filters and searches in the browser; nothing is asked of any other place. The old site stays until the new one is whole.
    """
    from energy_rating.publishing.leaderboard.site import build

    index = brought_up_to_date(folders, verify=verify, jobs=jobs, log=log, because=because)
    told = gathered(index, folders)
    made = build(index, output, title=title, root=told.root, runs_url=runs_url, progress=progress_of_many())
    told_of = ((made.boards, "ranking"), (made.models, "model"), (made.runs, "run"))
    counts = ", ".join(f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in told_of)
    say(f"{counts}: {made.folder / 'index.html'}")
    for one in (*told.left_out[:20],):
        tell(f"left out: {one.folder}: {one.why}")
    for doubted in told.doubted[:20]:
        tell(f"not ranked: {doubted.folder}: {doubted.verdict}: {doubted.why}")
    if strict and (told.left_out or told.doubted):
        tell(
            f"--strict: {len(told.left_out)} could not be read, and {len(told.doubted)} do not match their journals"
        )
        sys.exit(1)
