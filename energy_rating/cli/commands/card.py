"""``energy-rating card``: the section in a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import provisional_option, scheme_option, zone_option
from energy_rating.cli.output import say, tell
from energy_rating.nouns.errors import BadInput, EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_rating.judging.footprint.carbon import Impact
    from energy_rating.nouns.records import Record


@click.command()
@click.argument("readme", type=click.Path(path_type=Path))
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@click.option("--label", help="Path of the label's picture as the card is to link it, such as label.png.")
@zone_option(
    "Country of a training run, by three letters: writes co2_eq_emissions into the metadata. "
    "Default: where the record says that it ran."
)
@scheme_option
@provisional_option
@click.option(
    "--overwrite", is_flag=True, help="Replace a co2_eq_emissions that was not written by this tool."
)
@click.option(
    "--remove", is_flag=True, help="Take our section and metadata out again; the rest is as it was."
)
def card(
    readme: Path,
    records: Sequence[Path],
    label: str | None,
    zone: str | None,
    scheme: str | None,
    provisional: bool,
    overwrite: bool,
    remove: bool,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is."""
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import check_zone, footprint
    from energy_rating.judging.rating import rate as rated
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishing.card import emissions_of_others, remove_card_file, update_card_file

    found: list[Record] = []
    if remove:
        changed = remove_card_file(readme)
    else:
        if not records:
            raise BadInput(
                "there is no record to write from", "Name a record.json or the folder of a run", place=readme
            )
        found = [load(path) for path in records]
        carbon = None
        if zone is not None:
            check_zone(zone)
            for record in found:
                if record.stage in TRAINING:
                    carbon = footprint(record, zone=zone)
        elif overwrite or not emissions_of_others(readme):
            for record in found:
                if record.stage in TRAINING:
                    carbon = _carbon_where_it_ran(record) or carbon
        changed = update_card_file(
            readme,
            found,
            ratings=[rated(record, scheme=scheme, provisional=provisional) for record in found],
            impact=carbon,
            label=label,
            overwrite=overwrite,
        )
    say(f"{'Written' if changed else 'Unchanged'}: {readme}")
    for record in found:
        print_unchecked(record, f"{record.run_id}: " if len(found) > 1 else "")


def _carbon_where_it_ran(record: Record) -> Impact | None:
    """The carbon at the place that a record says; None, and a line, where it says one of which nothing can be told."""
    from energy_rating.judging.footprint.carbon import footprint, zone_of

    if zone_of(record) is None:
        return None
    try:
        found = footprint(record)
    except EnergyRatingError as error:
        tell(f"no emissions are written: {error}")
        return None
    if found.validity == "invalid":
        tell(f"no emissions are written: the measurement {found.measurement!r} is invalid")
        return None
    tell(f"emissions are those of {found.zone_name} ({found.zone}), where the record says that it ran")
    return found
