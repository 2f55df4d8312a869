"""``energy-rating compare``: which of two records needs less, if the doubt allows saying so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import (
    Planned,
    json_option,
    plan_of,
    planning_options,
    runs_below,
    two_records,
    zone_option,
)
from energy_rating.cli.output import as_json_text, say, tell

if TYPE_CHECKING:
    from energy_rating.judging.choice import Choice
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
@planning_options
@zone_option(
    "With --requests: where the service is planned; carbon and water are told. Default: where the records say."
)
@json_option
def compare(
    a: Path,
    b: Path,
    unit: str | None,
    component: Component | None,
    limit: float | None,
    requests: tuple[float, bool] | None,
    tokens: float | None,
    months: float | None,
    zone: str | None,
    as_json: bool,
) -> None:
    """Which of two records needs less energy, by how much, and whether the doubt allows saying so.

    \b
    energy-rating compare before/ after/ --fail-if-worse 5%
    energy-rating compare fp16/ int4/ --requests 10M/month --tokens 300 --months 12

    A and B are records or the folders of runs, of the same task under the same protocol. For a build: A is the one before. With
    --requests each is all runs of a model, or of a way to run it (a folder of runs): what the choice costs over that life, and when a
    costlier training pays back.
    """
    plan = plan_of(requests, tokens, months)
    if plan is None and zone is not None:
        raise click.UsageError("'--zone' goes with '--requests': where the service is planned.")
    if plan is not None:
        found_choice = _choice(a, b, plan, unit, component, zone)
        _tell_choice(found_choice, limit, as_json=as_json)
        return

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


def _choice(
    a: Path, b: Path, plan: Planned, unit: str | None, component: Component | None, zone: str | None
) -> Choice:
    """What B takes more or less than A over a planned life."""
    from energy_rating.judging.choice import choice
    from energy_rating.judging.comparison import refuse_unlike
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import check_zone
    from energy_rating.judging.life import common_component, life
    from energy_rating.nouns.errors import BadInput

    if zone is not None:
        check_zone(zone)
    sides = [[load(path) for path in runs_below(side)] for side in (a, b)]
    used = [[record for record in side if record.stage == "inference"] for side in sides]
    for letter, side, inference in zip("AB", sides, used, strict=True):
        if not inference:
            raise BadInput(
                f"{letter} has no inference among its {len(side)} runs, so a request of it is not known",
                "Measure its use: energy-rating benchmark",
            )
    refuse_unlike(used[0][0], used[1][0])
    same = {record.run_id for record in sides[0]} & {record.run_id for record in sides[1]}
    if len(same) == len(sides[0]) == len(sides[1]):
        raise BadInput("A and B are the same runs", "Name another one to compare with")
    if component is None:
        component = common_component([*sides[0], *sides[1]])
    here = {"component": component, "unit": unit or "request", "requests": plan.number}
    lives = [life(side, **here, else_in=zone) for side in sides]  # type: ignore[arg-type]
    there = [life(side, **here, zone=zone) for side in sides] if zone is not None else None  # type: ignore[arg-type]
    return choice(
        lives[0],
        lives[1],
        requests=plan.requests,
        tokens=plan.tokens,
        months=plan.months,
        there=None if there is None else (there[0], there[1]),
        zone=zone,
    )


def _tell_choice(found: Choice, limit: float | None, *, as_json: bool) -> None:
    from energy_rating.nouns.records import plain
    from energy_rating.publishing.life import choice_told

    if as_json:
        say(as_json_text(plain(found)))
    else:
        say(
            "\n".join(
                line
                for told in choice_told(found)
                for line in ([told] if told.startswith("  ") else _folded(told))
            )
        )
    if limit is not None and found.worse_by(limit):
        tell(
            f"--fail-if-worse: B is worse than A by more than {100 * limit:g} % over this life: "
            f"at least {100 * (found.interval_95[0] - 1):.1f} % with 95 % confidence"
        )
        sys.exit(1)


def _folded(told: str) -> list[str]:
    import textwrap

    return textwrap.wrap(told, 80, subsequent_indent="  ", break_on_hyphens=False)
