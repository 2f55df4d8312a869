"""``energy-rating impact``: what a record's energy and machines come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import footprint_options, journal_beside, json_option, zone_option
from energy_rating.cli.output import as_json_text, say

if TYPE_CHECKING:
    from energy_rating.files.reading import Journal
    from energy_rating.nouns.records import Record


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@zone_option(
    "Where it ran: a country by three letters (FRA), a part of one (US-CA, USA/california, CAN/quebec) or a cloud's region "
    "(aws:eu-west-3). Default: where the record says that it ran."
)
@click.option("--measurement", default="run", show_default=True, help="Which measurement of the record.")
@click.option(
    "--series",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="The grid's intensity over time (time,g_per_kwh), matched with the trace hour by hour.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Ask Electricity Maps for the hours of the run; the stored factor where it tells nothing. Token: $ELECTRICITY_MAPS_TOKEN.",
)
@footprint_options
@json_option
def impact(
    record: Path,
    zone: str | None,
    measurement: str,
    series: Path | None,
    live: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """The footprint of a record: carbon, water, hardware, money; each with its doubt, its source, or why it is absent."""
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import Choices, footprint, zone_of
    from energy_rating.judging.profiles import is_example
    from energy_rating.nouns.records import plain
    from energy_rating.publishing.terminal import records

    measured = load(record)
    said = zone if zone is not None else zone_of(measured)
    if said is None and asked["intensity"] is None and series is None:
        raise click.UsageError(
            "Missing option '--zone': the record does not say where it ran. Name the country, such as --zone FRA."
        )
    if live and (asked["intensity"] is not None or series is not None):
        raise click.UsageError("'--live' asks for what --intensity and --series give. Name one of them.")
    journal = journal_beside(record) if live or series is not None else None
    told: Any = series
    answer = None
    if live and said is not None:
        told, answer = _asked(measured, journal, said, measurement)
    found = footprint(
        measured,
        measurement=measurement,
        choices=Choices(zone=zone, **asked),
        series=told,
        journal=journal,
        live=answer,
    )
    if as_json:
        say(as_json_text({**plain(found), "checked": measured.checked}))
    else:
        say(records.footprint(found, example=is_example(measured), created=measured.created))
        print_unchecked(measured)


def _asked(record: Record, journal: Journal | None, zone: str, measurement: str) -> tuple[Any, Any]:
    """What a service says of the hours of a run, and what came of asking it."""
    from energy_rating.judging.footprint.factors import factor_of
    from energy_rating.judging.footprint.impact import Live
    from energy_rating.judging.footprint.series import span_of
    from energy_rating.publishing import grid_service

    asked = factor_of(
        zone
    ).asked  # before anybody is asked: a zone that there is not is an error here as anywhere
    if journal is None:
        why = "the hours of a run stand in its journal, and the record is alone"
        return None, Live(service=grid_service.SERVICE, zone=zone, answered=False, why=why)
    record[measurement]  # says which there are, where there is none of that name
    return grid_service.asked(asked, *span_of(journal, measurement))
