"""``energy-rating submit``: a run as a contribution to a collection."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.output import say


@click.command()
@click.argument("record", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("submission"),
    show_default=True,
    help="Folder to prepare it in.",
)
@click.option(
    "--collection",
    default="reports",
    show_default=True,
    help="Folder of the runs in the collection's repository.",
)
@click.option(
    "--workflow",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the workflow by which a collection verifies every contribution, such as .github/workflows/contributions.yml.",
)
def submit(record: Path | None, output: Path, collection: str, workflow: Path | None) -> None:
    """Prepares a run as a contribution to a collection: a verified folder, and the text of a pull request. Nothing is sent.

    \b
    energy-rating submit reports/example-gpu
    energy-rating submit --workflow contributions.yml

    RECORD is the folder of a run, with its journal.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.publishing import submission

    if record is None and workflow is None:
        raise click.UsageError("Missing argument 'RECORD', or option '--workflow'.")
    if workflow is not None:
        write_whole(workflow, submission.workflow(collection).encode())
        say(f"Written: {workflow}")
    if record is not None:
        run = record if record.is_dir() or record.name != "record.json" else record.parent
        made = submission.prepare(run, output, collection=collection)
        say(f"Verified, and prepared: {made.folder}")
        say(f"Text of the pull request: {made.text}")
        say(
            f"Copy {made.folder.parent.name}/ into a clone of the collection, and open a pull request named: {made.title}"
        )
