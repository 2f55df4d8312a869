"""``energy-rating merge``: one record of a job from those of its hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import print_record, say, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from energy_rating.nouns.records import Record


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="Write the record here. Default: into the job's folder, where one was named.",
)
@click.option(
    "--copy",
    "is_copying",
    is_flag=True,
    help="Copy what each host left into DIR/nodes/, so that the whole can be verified from one folder.",
)
@json_option
def merge(records: Sequence[Path], output: Path | None, is_copying: bool, as_json: bool) -> None:
    """One record of a job from those of its hosts: each device once, counts once, and what is missing told.

    \b
    energy-rating merge reports/job/                       (all of reports/job/nodes/)
    energy-rating merge node0/ node1/ node2/ -o reports/job/ --copy

    RECORDS are records, folders of runs, or the folder of a job. A host that was killed has left its journal, which is enough.
    The records are taken as they stand; verify makes each of them again from its journal, and the whole from these.
    """
    from energy_rating.files.nodes import has_nodes
    from energy_rating.files.record import RECORD_NAME, write_record
    from energy_rating.judging.merging import merge as merged
    from energy_rating.judging.merging.folders import hosts_in, record_in
    from energy_rating.nouns.errors import BadInput
    from energy_rating.publishing.terminal import records as shown

    hosts = [one for path in records for one in hosts_in(path)]
    places: dict[Path, int] = {}

    def read() -> Iterator[tuple[Record, str]]:
        for number, host in enumerate(hosts):
            record = record_in(host)
            places[host] = record.job.place if record.job is not None else number
            yield record, str(host)

    whole = merged(read())
    if output is None and len(records) == 1 and has_nodes(records[0]) and not as_json:
        output = records[0]
    if is_copying and (output is None or output.suffix == ".json"):
        raise click.UsageError("'--copy' needs a folder: '-o DIR'.")
    if output is not None:
        is_folder = output.is_dir() or output.suffix != ".json"
        path = output / RECORD_NAME if is_folder else output
        if any(path.resolve() == (host / RECORD_NAME).resolve() for host in hosts):
            raise BadInput("is the record of a host, which would be lost", "Name another folder", place=path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"cannot be made ({error.strerror})", "Name another folder", place=path.parent
            ) from error
        if is_copying:
            _copy(places, output)
        write_record(whole, path)
    if as_json:
        print_record(whole)
        return
    say(shown.record(whole))
    if output is not None:
        say(f"Record: {path}")
        if is_folder and not has_nodes(output):
            tell("The hosts' journals are not beside it, so it cannot be verified: --copy puts them there")


def _copy(places: Mapping[Path, int], folder: Path) -> None:
    """Copies the files of each host into its folder in that of the job; what is there already stays."""
    import shutil

    from energy_rating.files.nodes import node_folder
    from energy_rating.nouns.errors import BadInput

    for host, place in places.items():
        target = node_folder(folder, place)
        source = host if host.is_dir() else host.parent
        if target.exists():
            if target.resolve() == source.resolve():
                continue
            raise BadInput("is there already", "Name a new folder", place=target)
        try:
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(".*"))
        except (OSError, shutil.Error) as error:
            raise BadInput(f"cannot be copied ({error})"[:200], "Copy it by hand", place=source) from error
