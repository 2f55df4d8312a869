"""``energy-rating collect``: many runs in one table, each once, verified apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import strict_option
from energy_rating.cli.output import say, tell, write
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from energy_rating.publishing.collection_tables import Gathered
    from energy_rating.storage.index import Index, IndexedRun
    from energy_rating.storage.sums import By

FORMATS = ("table", "csv", "xlsx", "json", "parquet")
# One file of these is no text.
_TO_A_FILE = ("xlsx", "parquet")


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[By, ...]:
    from energy_rating.storage.sums import BYS

    wanted = [one.strip() for one in (value or "").split(",") if one.strip()]
    for one in wanted:
        if one not in BYS:
            raise click.BadParameter(f"must be some of {','.join(BYS)}; got {one[:40]!r}", ctx, param)
    return tuple(dict.fromkeys(wanted))  # type: ignore[arg-type]


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "--by",
    callback=_names,
    metavar="model,stage",
    help="Sums by these: model, stage, month, place, task, hardware, protocol, engine, role.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="The form to write.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
@click.option(
    "--verify", is_flag=True, help="Verify what is new or has changed: all is made again from the journals."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=512),
    help="How many are read or verified at a time. Default: one a core.",
)
@click.option("--anew", is_flag=True, help="Make the index anew from the folders. What was verified is kept.")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of what was published when and why it changed, such as one in the collection. Default: beside the index.",
)
@click.option(
    "--because",
    default="",
    metavar="TEXT",
    help="Why figures have changed, for the log. Default: what can be seen.",
)
@strict_option("Exit with 1 where a record cannot be read, or was verified and does not match its journal.")
def collect(
    folders: Sequence[Path],
    by: tuple[By, ...],
    form: str,
    output: Path | None,
    verify: bool,
    jobs: int | None,
    anew: bool,
    log: Path | None,
    because: str,
    strict: bool,
) -> None:
    """Many runs in one table: each once, sums of what was measured, estimated and imported apart.

    \b
    energy-rating collect reports/
    energy-rating collect reports/ --by model,stage --verify
    energy-rating collect reports/ --format csv -o runs.csv

    DIR is a folder with the folders of runs, or a run's own; what is new or has changed since the last time is read. A run without a
    record has one made in memory. What cannot be read is named and left out.
    """
    import shutil

    from energy_rating.files.opening import refuse_to_write_over
    from energy_rating.publishing import collection_tables as tables

    if form in _TO_A_FILE and output is None:
        raise BadInput(f"{form} is a file, not a text", f"Name it: -o runs.{form}", place="--format")
    if output is not None:
        refuse_to_write_over(output)
    index = brought_up_to_date(
        folders, verify=verify, jobs=jobs, anew=anew, log=log, because=because, told=form == "table"
    )
    told = gathered(index, folders, by)
    if form == "table":
        width = max(shutil.get_terminal_size((110, 24)).columns, 80)
        shown = [] if by else list(index.runs(order="r.run_created DESC, r.folder LIMIT 200"))[::-1]
        _out(output, iter([tables.as_text(shown, told, width) + "\n"]))
    elif form == "csv":
        _out(output, tables.as_csv(index.runs(), told.root))
    elif form == "json":
        _out(output, tables.as_json(index.runs(), told))
    elif output is not None:
        _file(output, form, index, told)
    if strict and (told.left_out or told.doubted):
        tell(
            f"--strict: {len(told.left_out)} could not be read, and {len(told.doubted)} were verified and do not match their journals"
        )
        sys.exit(1)


def brought_up_to_date(
    folders: Sequence[Path],
    *,
    verify: bool = False,
    jobs: int | None = None,
    anew: bool = False,
    log: Path | None = None,
    because: str = "",
    told: bool = False,
) -> Index:
    """The index of these folders, as they are now; verified where that is asked for."""
    from energy_rating.publishing import collected
    from energy_rating.storage import collection
    from energy_rating.storage.folders import resolved

    index = collection.collection(folders, log=log)
    workers = jobs if jobs is not None else collection.cores()
    brought = collection.bring_up_to_date(
        index,
        folders,
        collected.read,
        workers=workers,
        anew=anew,
        because=because,
        progress=progress_of_many(),
    )
    refused = {one.folder: one.why for one in index.left_out()} if brought.left_out else {}
    for place in folders:
        if why := refused.get(str(resolved(place))):
            raise BadInput(why, place=place)  # it was named itself
    if not brought.runs:
        raise BadInput(
            "no run lies below",
            "Name a folder with the folders of runs: each holds a record.json or a journal",
            place=", ".join(map(str, folders)),
        )
    if told and brought.changes and brought.version > 1:
        tell(f"{brought.changes:,} published figures are others than before: see {index.log.path}")
    if verify:
        found = collection.verify_all(
            index, collected.check, workers=workers, because=because, progress=progress_of_many()
        )
        if found.asked:
            tell(f"verified: {found.good:,} of {found.asked:,} match their journals")
    return index


def gathered(index: Index, folders: Sequence[Path], by: Sequence[By] = ()) -> Gathered:
    """All that is told of a collection beside its runs."""
    from energy_rating.publishing.collection_tables import Gathered
    from energy_rating.storage.folders import resolved
    from energy_rating.storage.sums import added_up, outliers

    whole, groups = added_up(index.runs(), by)
    return Gathered(
        version=index.version,
        whole=whole,
        groups=groups,
        by=tuple(by),
        twice=tuple(index.runs("r.twice_of IS NOT NULL")),
        inside=tuple(index.runs("r.inside_of IS NOT NULL")),
        beside=tuple(index.runs("r.beside_of IS NOT NULL AND r.inside_of IS NULL")),
        doubted=tuple(
            index.runs(
                "r.verdict IN ('differs', 'cannot be checked') AND r.run_origin <> 'imported' OR r.verdict = 'matches' AND r.good = 0"
            )
        ),
        left_out=index.left_out(),
        unlike=tuple(outliers(index)),
        root=str(resolved(folders[0])) if len(folders) == 1 else "",
    )


def progress_of_many() -> Callable[[str, int, int], None] | None:
    """A line on a terminal that moves, for what takes long."""
    if not sys.stderr.isatty():
        return None
    import time

    last = time.monotonic()

    def show(what: str, done: int, of: int) -> None:
        nonlocal last
        if done == of or time.monotonic() - last > 0.5:
            last = time.monotonic()
            click.echo(f"\r{what}: {done:,} of {of:,}" + ("\n" if done == of else ""), nl=False, err=True)

    return show


def _out(output: Path | None, pieces: Iterator[str]) -> None:
    if output is None:
        from energy_rating.publishing.strangers import for_terminal

        for piece in pieces:
            write(for_terminal(piece))
        return
    from energy_rating.files.whole import write_whole

    write_whole(output, "".join(pieces).encode())
    say(f"Written: {output}")


def _file(output: Path, form: str, index: Index, told: Gathered) -> None:
    from energy_rating.files.whole import write_whole
    from energy_rating.publishing import collection_tables as tables
    from energy_rating.storage import parquet

    runs: Iterator[IndexedRun] = index.runs()
    if form == "parquet":
        parquet.write(output, runs, schema_name=tables.COLLECTION_SCHEMA)
    else:
        try:
            content = tables.as_workbook(runs, told)
        except ValueError as error:
            raise BadInput(str(error), place="--format xlsx") from error
        write_whole(output, content)
    say(f"Written: {output}")
