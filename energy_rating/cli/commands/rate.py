"""``energy-rating rate``: the stars of a record, or why it has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option, provisional_option
from energy_rating.cli.output import as_json_text, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_rating.nouns.records import Record


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--scheme",
    "names",
    multiple=True,
    help="Scheme to rate under; may be repeated. Default: the newest.",
)
@click.option("--all-schemes", is_flag=True, help="Rate under every scheme that ships, the newest first.")
@provisional_option
@click.option("--explain", is_flag=True, help="Print the arithmetic line by line, with its sources.")
@json_option
def rate(
    record: Path, names: Sequence[str], all_schemes: bool, provisional: bool, explain: bool, as_json: bool
) -> None:
    """The stars of a record, or every reason why it has none.

    RECORD is a record.json or the folder of a run; it is held against the journal beside it first.

    With several schemes, --json prints a list with one rating of each.
    """
    from energy_rating.judging import rating, schemes
    from energy_rating.judging.evidence import load
    from energy_rating.publishing.facts import facts_of
    from energy_rating.publishing.terminal import ratings

    read = load(record)
    chosen: Sequence[str | None] = (
        tuple(reversed(schemes.schemes())) if all_schemes else tuple(dict.fromkeys(names)) or (None,)
    )
    found = [rating.judge(read, scheme=name, provisional=provisional) for name in chosen]
    if as_json:
        entries = [{**rating.rating_to_json(item.rating), "checked": read.checked} for item in found]
        say(as_json_text(entries[0] if len(entries) == 1 else entries))
        return
    for number, item in enumerate(found):
        if number:
            say("")
        say(ratings.judgement(item, facts_of(read, item)))
        if explain:
            say("")
            say(ratings.explanation(item))
    print_unchecked(read)


def print_unchecked(record: Record, whose: str = "") -> None:
    """A line, where what was just printed rests on a record that nobody held against its journal."""
    from energy_rating.publishing import words

    if told := words.unchecked(record):
        say(f"{whose}{told[0].upper()}{told[1:]}" if not whose else f"{whose}{told}")
