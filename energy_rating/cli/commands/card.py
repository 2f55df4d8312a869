"""``energy-rating card``: the section in a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import link_options, provisional_option, scheme_option, zone_option
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
@link_options
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
    journal_url: str | None,
    meaning_url: str | None,
    scheme: str | None,
    provisional: bool,
    overwrite: bool,
    remove: bool,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is.

    README is the model card, and each of RECORDS a record.json or the folder of a run.
    """
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import check_zone, footprint
    from energy_rating.judging.rating import rate as rated
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishing.card import emissions_of_others, remove_card_file, update_card_file
    from energy_rating.publishing.links import Links

    found: list[Record] = []
    links = Links(journal=journal_url, meaning=meaning_url)
    _refuse_a_run(readme)
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
            if carbon is None:
                tell(
                    f"--zone {zone}: no emissions are written, since co2_eq_emissions is for training runs, and these are of "
                    f"{', '.join(dict.fromkeys(record.stage for record in found))}; "
                    f"see them with: energy-rating impact {records[0]} --zone {zone}"
                )
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
            links=links,
            overwrite=overwrite,
        )
    say(f"{'Written' if changed else 'Unchanged'}: {readme}")
    for record in found:
        print_unchecked(record, f"{record.run_id}: " if len(found) > 1 else "")


def _refuse_a_run(readme: Path) -> None:
    """A run in the place of the card: the card was left out. Or a folder that may hold the card."""
    from energy_rating.files.journal import JOURNAL_NAMES
    from energy_rating.files.record import RECORD_NAME

    if readme.is_dir() and not any((readme / name).is_file() for name in (RECORD_NAME, *JOURNAL_NAMES)):
        raise BadInput(
            "is a folder, where the model card must stand",
            f"Name the file: {readme / 'README.md'}",
            place=readme,
        )
    if readme.is_dir() or readme.suffix == ".json":
        kind = "the folder of a run" if readme.is_dir() else "a record"
        raise BadInput(
            f"is {kind}, where the model card must stand",
            f"Name the card first: energy-rating card README.md {readme}",
            place=readme,
        )


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
