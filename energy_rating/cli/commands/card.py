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
    from energy_rating.publishing.base_share import BaseShare
    from energy_rating.publishing.card import Footprinted


@click.command()
@click.argument("readme", required=False, type=click.Path(path_type=Path))
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@click.option("--label", help="Path of the label's picture as the card is to link it, such as label.png.")
@zone_option(
    "Where it ran, such as FRA, US-CA or aws:eu-west-3: the footprint goes into the section, and that of a training run's "
    "electricity into the metadata as co2_eq_emissions. Default: where the record says that it ran."
)
@footprint_options
@click.option(
    "--dia-report",
    is_flag=True,
    help="Write what the trainings took as dia_report too: the metadata of Data and Impact Accounting, schema 0.1.",
)
@click.option(
    "--base-card",
    type=click.Path(path_type=Path),
    metavar="README.md",
    help="Card of the base model: what making it took, by our section or its dia_report there, is shown beside, and added to nothing.",
)
@link_options
@scheme_option
@provisional_option
@click.option(
    "--overwrite", is_flag=True, help="Replace a co2_eq_emissions that was not written by this tool."
)
@click.option(
    "--section-only",
    is_flag=True,
    help="Leave the metadata alone: for a README on GitHub, which shows them as a table before the first word.",
)
@click.option(
    "--remove", is_flag=True, help="Take our section and metadata out again; the rest is as it was."
)
@click.option(
    "--from",
    "earlier",
    metavar="OLD.md",
    type=click.Path(path_type=Path),
    help="Put back the section and metadata that an earlier copy of the card holds, as after a framework has written it anew.",
)
@click.option(
    "--push",
    metavar="ORG/NAME",
    help="Show what would be sent to this model on the Hub, and stop. Without README it is the Hub's own card that is changed.",
)
@click.option("--yes", is_flag=True, help="With --push: send it.")
@click.option(
    "--create-pr", is_flag=True, help="With --push: send it as a pull request, to a model of somebody else."
)
@click.option(
    "--with",
    "beside",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --push: a file to send with the card, such as label.png. Repeat for several; no other file is sent.",
)
def card(
    readme: Path | None,
    records: Sequence[Path],
    remove: bool,
    earlier: Path | None,
    push: str | None,
    yes: bool,
    create_pr: bool,
    beside: Sequence[Path],
    **asked: Any,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is.

    \b
    energy-rating card README.md RUN...                 write the section
    energy-rating card --push ORG/NAME RUN...           what the card on the Hub would become
    energy-rating card --push ORG/NAME RUN... --yes     send it

    README is the model card, and each of RECORDS a record.json or the folder of a run. Of several there is one section: a table of all,
    the sum of the trainings, and the details of each behind a line.
    """
    paths = [path for path in (readme, *records) if path is not None]
    if push is None:
        if wrong := next(
            (n for n, given in (("--yes", yes), ("--create-pr", create_pr), ("--with", beside)) if given),
            None,
        ):
            raise click.UsageError(f"{wrong} goes with --push ORG/NAME")
        if readme is None:
            raise click.UsageError("name the card: energy-rating card README.md RUN")
        _refuse_a_run(readme)
        _written(readme, records, remove=remove, earlier=earlier, **asked)
        return
    from energy_rating.publishing import hub

    local = paths[0] if paths and not _is_a_run(paths[0]) else None
    runs = paths if local is None else paths[1:]
    if earlier is not None:
        raise BadInput(
            "--from and --push contradict each other", "Put it back first, then push", place="--from"
        )
    if not runs and not remove and local is None:
        raise BadInput(
            "there is no record to write from", "Name a record.json or the folder of a run", place="--push"
        )
    files = {path.name: _to_send(path) for path in beside}
    if hub.CARD in files or len(files) < len(beside):
        raise BadInput(
            "the card goes by itself, and each file once",
            f"Name it before the runs: energy-rating card {hub.CARD} RUN --push {push}",
            place="--with",
        )
    shown = asked["label"]
    linked = shown if shown is not None and "/" not in shown and shown not in files else None
    held = hub.held_on_hub(push, (hub.CARD, *files, *([linked] if linked is not None else [])))
    if linked is not None and held.files[linked] is None:
        raise BadInput(
            f"the card would show {shown}, which {push} does not hold",
            f"Send it with the card: --with {shown}",
            place="--label",
        )
    if local is not None:
        if runs or remove:
            _written(local, runs, remove=remove, earlier=None, **asked)
        content = _to_send(local)
    elif remove:
        from energy_rating.publishing.card import remove_card

        content = hub.edited(held, remove_card)
    else:
        found = _loaded(runs)
        content = hub.edited(held, lambda before: _updated(before, found, **asked))
        _print_unchecked(found)
    what = hub.offer(held, {hub.CARD: content, **files})
    if not what.files:
        say(f"Unchanged: {push} holds all of it as it is")
        return
    say("\n".join(hub.shown(what)))
    if local is not None and what.lost_lines:
        tell(
            f"{what.lost_lines} lines of the card on the Hub are not in {local}, and would be gone. To change the section alone, leave "
            f"{local} out"
        )
    if not yes:
        say("Nothing was sent. To send it, add --yes; to propose it to its owner, --yes --create-pr")
        return
    sent = hub.send(what, create_pr=create_pr)
    how = "Proposed" if sent.pull_request else "Sent"
    say(f"{how}, read back and the same: {', '.join(sent.files)}: {sent.address}")


def _is_a_run(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".json"


def _to_send(path: Path) -> bytes:
    from energy_rating.publishing.card_files import content_of

    return content_of(path)


def _loaded(paths: Sequence[Path]) -> list[Record]:
    from energy_rating.judging.evidence import load

    return [load(path) for path in paths]


def _written(
    readme: Path, records: Sequence[Path], *, remove: bool, earlier: Path | None, **asked: Any
) -> None:
    """The card on this machine."""
    from energy_rating.publishing.card_files import (
        content_of,
        put_back_in_file,
        remove_card_file,
        update_card_file,
    )

    found: list[Record] = []
    if remove:
        changed = remove_card_file(readme)
    elif earlier is not None:
        if records:
            raise BadInput("--from and records contradict each other", "Give one of them", place="--from")
        changed = put_back_in_file(readme, earlier)
    else:
        if not records:
            raise BadInput(
                "there is no record to write from", "Name a record.json or the folder of a run", place=readme
            )
        found = _loaded(records)
        changed = update_card_file(readme, found, **_told(content_of(readme), found, **asked))
    say(f"{'Written' if changed else 'Unchanged'}: {readme}")
    _print_unchecked(found)


def _print_unchecked(found: Sequence[Record]) -> None:
    for record in found:
        print_unchecked(record, f"{record.run_id}: " if len(found) > 1 else "")


def _updated(before: bytes, found: Sequence[Record], **asked: Any) -> bytes:
    from energy_rating.publishing.card import update_card

    return update_card(before, found, **_told(before, found, **asked))


def _told(
    before: bytes,
    found: Sequence[Record],
    *,
    label: str | None,
    zone: str | None,
    journal_url: str | None,
    meaning_url: str | None,
    scheme: str | None,
    provisional: bool,
    overwrite: bool,
    section_only: bool,
    dia_report: bool,
    base_card: Path | None,
    **asked: Any,
) -> dict[str, Any]:
    """What a card is written with: ratings, footprints, emissions, links."""
    from energy_rating.judging.footprint.carbon import Choices, check_zone
    from energy_rating.judging.rating import rate as rated
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishing.links import Links

    links = Links(journal=journal_url, meaning=meaning_url)
    choices = Choices(zone=zone, **asked)
    if zone is not None:
        check_zone(zone)
    told = [_footprint(record, choices) for record in found]
    carbon: list[Impact] = []
    trainings = [one for record, one in zip(found, told, strict=True) if record.stage in TRAINING]
    for one in trainings:
        impact = None if one is None else one.impact
        if impact is not None and zone is None:
            impact = _emissions(impact, before, overwrite=overwrite)
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
            f"in the section, and all of it: energy-rating impact RECORD --zone {zone}"
        )
    return {
        "ratings": [rated(record, scheme=scheme, provisional=provisional) for record in found],
        "impact": carbon or None,
        "label": label,
        "links": links,
        "overwrite": overwrite,
        "footprints": told,
        "section_only": section_only,
        "base": None if base_card is None else _base(found, base_card),
        "dia_report": dia_report,
    }


def _base(records: Sequence[Record], card: Path) -> BaseShare:
    """What making the model took that these were made from."""
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishing.base_cards import share_in

    bases = {
        record.lineage.base_model
        for record in records
        if record.stage in TRAINING and record.lineage is not None and record.lineage.base_model is not None
    }
    if len(bases) != 1:
        said = (
            "no training says what it was made from"
            if not bases
            else f"the trainings name {len(bases)} bases"
        )
        raise BadInput(
            f"{said}, so whose card this is cannot be told",
            "Say it when it is measured: --base org/base --relation lora",
            place="--base-card",
        )
    return share_in(card, bases.pop())


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


def _emissions(found: Impact, readme: bytes, *, overwrite: bool) -> Impact | None:
    """The carbon of a training at the place that its record says, unless somebody else has written emissions, or it is invalid."""
    from energy_rating.publishing.card_files import emissions_of_others

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
