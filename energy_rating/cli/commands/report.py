"""``energy-rating report``: all that is known of runs, as one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import (
    footprint_options,
    journal_beside,
    link_options,
    output_beside,
    provisional_option,
    scheme_option,
    zone_option,
)
from energy_rating.cli.output import say, tell
from energy_rating.nouns.errors import EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from energy_rating.judging.footprint.carbon import Choices
    from energy_rating.judging.footprint.impact import Impact
    from energy_rating.nouns.records import Record


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="report.html or report.md. Default: report.html beside the first record.",
)
@zone_option(
    "Where it ran, such as FRA, US-CA or aws:eu-west-3: its footprint stands in the report. Default: where each record says that it ran."
)
@footprint_options
@link_options
@scheme_option
@provisional_option
def report(
    records: Sequence[Path],
    output: Path | None,
    zone: str | None,
    journal_url: str | None,
    meaning_url: str | None,
    scheme: str | None,
    provisional: bool,
    **asked: Any,
) -> None:
    """All that is known of one run or of several, as one page that needs nothing else.

    \b
    energy-rating report reports/run-1 -o report.html
    energy-rating report reports/before reports/after -o report.html
    energy-rating report reports/* -o report.md

    Each of RECORDS is a record.json or the folder of a run. Of two runs of the same task the page says why they differ; of one model at
    several loads, what each takes; of trainings and use of one model, its life.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import Choices, check_zone
    from energy_rating.judging.rating import rate as rated
    from energy_rating.publishing import report as made
    from energy_rating.publishing.links import Links

    output = output_beside(records[0], output, "report.html", "report.md")
    if zone is not None:
        check_zone(zone)
    choices = Choices(zone=zone, **asked)
    runs: list[made.Reported] = []
    for path in dict.fromkeys(records):
        record = load(path)
        runs.append(
            made.Reported(
                record=record,
                rating=rated(record, scheme=scheme, provisional=provisional),
                journal=journal_beside(path) if record.origin != "imported" else None,
                impact=_footprint(record, choices),
            )
        )
    found = made.report(runs, Links(journal=journal_url, meaning=meaning_url))
    write_whole(output, (made.html if output.suffix == ".html" else made.markdown)(found).encode())
    say(f"Report: {output}")
    for run in runs:
        print_unchecked(run.record, f"{run.record.run_id}: " if len(runs) > 1 else "")


def _footprint(record: Record, choices: Choices) -> Impact | None:
    """What the figure that stands for a record comes to; None where nobody says where it ran.

    Where it is the record that says so, what cannot be told is one line, and the report is written without it.
    """
    from energy_rating.judging.footprint.carbon import footprint, zone_of
    from energy_rating.publishing.facts import facts_of

    figure = facts_of(record).figure
    if figure is None or (choices.zone is None and choices.intensity is None and zone_of(record) is None):
        return None
    if choices.per is None and figure.unit is not None:
        choices = replace(choices, per=figure.unit)
    try:
        return footprint(record, measurement=figure.window, choices=choices)
    except EnergyRatingError as error:
        if choices.zone is not None or choices.intensity is not None:
            raise
        tell(f"no footprint is told of {record.run_id}: {error}")
        return None
