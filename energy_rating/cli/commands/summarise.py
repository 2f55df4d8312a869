"""``energy-rating summarise``: the record of a journal."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import print_record, say


@click.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the record to this file.")
@click.option(
    "--wall",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="File of a wall meter: its lines go into a copy of the run, in a folder with the ending -wall.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hardware profile with the gains of single cards, found with a meter ([[meter]]): corrects the readings of those cards.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace a record.json that says something else than the same journal does.",
)
@json_option
def summarise(
    journal: Path,
    output: Path | None,
    wall: Path | None,
    calibration: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """The record of a journal, also of one cut short by a crash.

    JOURNAL is a journal.jsonl, also compressed, or the folder of a run. In a folder the record is written beside the journal, once
    the run has ended; one that was changed since it was made is replaced only with --force.
    """
    from energy_rating.files.journal import quiet_s
    from energy_rating.files.reading import journal_in
    from energy_rating.files.record import RECORD_NAME, write_record
    from energy_rating.judging.evidence import refuse_to_replace
    from energy_rating.judging.summary import summarise as summarised
    from energy_rating.publishing.terminal import records

    if wall is not None:
        from energy_rating.measuring.sensors.wall import added_afterwards

        folder = journal.resolve() if journal.is_dir() else journal.resolve().parent
        journal = added_afterwards(journal_in(journal), wall, folder.with_name(f"{folder.name}-wall")).parent
    record = summarised(journal, calibration=calibration)
    going_on = record.outcome is not None and record.outcome.state == "running"
    if output is None and journal.is_dir() and not as_json and not going_on:
        output = journal / RECORD_NAME
        if not force:
            refuse_to_replace(output, record, corrected=calibration is not None)
    if output is not None:
        write_record(record, output)
    if as_json:
        print_record(record)
    else:
        say(records.record(record))
        if output is not None:
            say(f"Record: {output}")
        elif going_on:
            say(records.still_running(quiet_s(journal_in(journal))))
