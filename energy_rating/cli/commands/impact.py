"""``energy-rating impact``: the carbon of a record's energy."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import json_option, zone_option
from energy_rating.cli.output import as_json_text, say, strays_apart


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@zone_option(
    "Country whose carbon factor to use, by three letters. Default: where the record says that it ran."
)
@json_option
def impact(record: Path, zone: str | None, as_json: bool) -> None:
    """The carbon of a record's energy, location-based, by a country's yearly factor."""
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import footprint, zone_of
    from energy_rating.judging.profiles import is_example
    from energy_rating.nouns.records import plain
    from energy_rating.publishing.terminal import records

    measured = load(record)
    if zone is None and zone_of(measured) is None:
        raise click.UsageError(
            "Missing option '--zone': the record does not say where it ran. Name the country, such as --zone FRA."
        )
    with strays_apart():
        found = footprint(measured, zone=zone)
    if as_json:
        say(as_json_text({**plain(found), "checked": measured.checked}))
    else:
        say(records.impact(found, example=is_example(measured)))
        print_unchecked(measured)
