"""``energy-rating compare``: which of two records needs less, if the doubt allows saying so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import json_option, two_records
from energy_rating.cli.output import as_json_text, say, tell

if TYPE_CHECKING:
    from energy_rating.nouns.records import Component


def _parsed_share(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A share: ``5%``, ``5 %`` or ``0.05``."""
    if value is None:
        return None
    try:
        share = float(value.strip().removesuffix("%")) / (100 if value.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1000:
        raise click.BadParameter(f"must be a share such as 5% or 0.05; got {value[:40]!r}", ctx, param)
    return share


@click.command()
@two_records
@click.option(
    "--fail-if-worse",
    "limit",
    callback=_parsed_share,
    metavar="5%",
    help="Exit with 1 when B needs more than A by more than this share, with 95 % confidence. Without a verdict nothing fails.",
)
@json_option
def compare(
    a: Path, b: Path, unit: str | None, component: Component | None, limit: float | None, as_json: bool
) -> None:
    """Which of two records needs less energy, by how much, and whether the doubt allows saying so.

    A and B are records or the folders of runs, of the same task under the same protocol. For a build: A is the one before.
    """
    from energy_rating.judging import comparison
    from energy_rating.judging.evidence import load
    from energy_rating.publishing.terminal import ratings

    read = load(a), load(b)
    found = comparison.compare(*read, unit=unit, component=component)
    if as_json:
        checked = {"a": read[0].checked, "b": read[1].checked}
        say(as_json_text({**comparison.comparison_to_json(found), "checked": checked}))
    else:
        say(ratings.comparison(found))
        for letter, record in zip("AB", read, strict=True):
            print_unchecked(record, f"{letter}: ")
    if limit is not None and found.notes:
        tell(f"--fail-if-worse: there is no verdict, and without one nothing fails: {found.notes[0]}")
    if limit is not None and found.worse_by(limit):
        tell(
            f"--fail-if-worse: B is worse than A by more than {100 * limit:g} %: "
            f"at least {100 * (found.interval_95[0] - 1):.1f} % with 95 % confidence"
        )
        sys.exit(1)
