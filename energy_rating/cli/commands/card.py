"""``energy-rating card``: the section in a model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import (
    footprint_options,
    link_options,
    provisional_option,
    scheme_option,
    zone_option,
)
from energy_rating.cli.output import say, tell
from energy_rating.nouns.errors import BadInput, EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from energy_rating.judging.footprint.carbon import Choices, Impact
    from energy_rating.nouns.records import Record
    from energy_rating.publishing.card import Footprinted


@click.command()
@click.argument("readme", type=click.Path(path_type=Path))
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@click.option("--label", help="Path of the label's picture as the card is to link it, such as label.png.")
@zone_option(
    "Where it ran, such as FRA, US-CA or aws:eu-west-3: the footprint goes into the section, and that of a training run's "
    "electricity into the metadata as co2_eq_emissions. Default: where the record says that it ran."
)
@footprint_options
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
    **asked: Any,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is.

    README is the model card, and each of RECORDS a record.json or the folder of a run.
    """
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import Choices, check_zone
    from energy_rating.judging.rating import rate as rated
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishing.card import remove_card_file, update_card_file
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
        choices = Choices(zone=zone, **asked)
        if zone is not None:
            check_zone(zone)
        told = [_footprint(record, choices) for record in found]
        carbon: list[Impact] = []
        trainings = [one for record, one in zip(found, told, strict=True) if record.stage in TRAINING]
        for one in trainings:
            impact = None if one is None else one.impact
            if impact is not None and zone is None:
                impact = _emissions(impact, readme, overwrite=overwrite)
            if impact is not None:
                carbon.append(impact)
        if 0 < len(carbon) < len(trainings):
            tell(
                f"no emissions are written: of {len(trainings)} training runs only {len(carbon)} have them, and their sum would be too "
                "small. Say with --zone where they ran, or leave the others out"
            )
            carbon = []
        if zone is not None and not trainings:
            tell(
                f"--zone {zone}: no emissions are written, since co2_eq_emissions is for training runs, and these are of "
                f"{', '.join(dict.fromkeys(record.stage for record in found))}; their footprint stands "
                f"in the section, and all of it: energy-rating impact {records[0]} --zone {zone}"
            )
        changed = update_card_file(
            readme,
            found,
            ratings=[rated(record, scheme=scheme, provisional=provisional) for record in found],
            impact=carbon or None,
            label=label,
            links=links,
            overwrite=overwrite,
            footprints=told,
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


def _footprint(record: Record, choices: Choices) -> Footprinted | None:
    """What a record comes to: of a training the whole run, else what its headline is of. None where nobody says where it ran.

    Where it is the record that says so, what cannot be told is one line, and the card is written without it.
    """
    from energy_rating.judging.footprint.carbon import zone_of
    from energy_rating.nouns.records import RUN, TRAINING
    from energy_rating.publishing.card import footprinted
    from energy_rating.publishing.facts import facts_of

    if choices.zone is None and choices.intensity is None and zone_of(record) is None:
        return None
    figure = facts_of(record).figure
    measurement = RUN
    if record.stage not in TRAINING and figure is not None and figure.window in record:
        measurement = figure.window
        if choices.per is None and figure.unit is not None and record[measurement].work.divisor(figure.unit):
            choices = replace(choices, per=figure.unit)
    try:
        return footprinted(record, choices, measurement)
    except EnergyRatingError as error:
        if choices.zone is not None or choices.intensity is not None:
            raise
        tell(f"no emissions are written: {error}")
        return None


def _emissions(found: Impact, readme: Path, *, overwrite: bool) -> Impact | None:
    """The carbon of a training at the place that its record says, unless somebody else has written emissions, or it is invalid."""
    from energy_rating.publishing.card import emissions_of_others

    if not overwrite and emissions_of_others(readme):
        return None
    if found.validity == "invalid":
        tell(f"no emissions are written: the measurement {found.measurement!r} is invalid")
        return None
    if found.factor.vintage is None:
        tell(f"emissions are those of {found.intensity_g_per_kwh:g} g/kWh ({found.source}), as given")
    else:
        tell(f"emissions are those of {found.zone_name} ({found.zone}), where the record says that it ran")
    return found
