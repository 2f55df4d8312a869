"""``energy-rating life``: all runs of a model, and when a choice pays back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energy_rating.cli.options import json_option, plan_of, planning_options, runs_below, zone_option
from energy_rating.cli.output import as_json_text, say, tell
from energy_rating.nouns.choices import COMPONENTS
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_rating.judging.life import Life
    from energy_rating.nouns.records import Component
    from energy_rating.publishing.base_share import BaseShare


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--component",
    type=click.Choice(COMPONENTS),
    help="Whose energy. Default: the first that every run measured.",
)
@click.option("--unit", default="request", show_default=True, help="Unit of work that inference is told by.")
@planning_options
@zone_option(
    "Where all of it ran; default: where each record says. With --requests: where the service is planned, and the runs stay where they ran."
)
@click.option(
    "--base-card",
    type=click.Path(path_type=Path),
    metavar="README.md",
    help="Card of the base model: what making it took, by our section or its dia_report there, is shown beside, and added to nothing.",
)
@click.option(
    "--plot",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Draw the energy over the requests.",
)
@json_option
def life(
    records: Sequence[Path],
    component: Component | None,
    unit: str,
    requests: tuple[float, bool] | None,
    tokens: float | None,
    months: float | None,
    zone: str | None,
    base_card: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """All runs of a model: the share of each stage, a request with its part of the training, and when a choice pays back.

    \b
    energy-rating life reports/
    energy-rating life train/ infer/ distilled-train/ distilled-infer/ --requests 10M/month --tokens 300 --months 12
    energy-rating life train/ infer/ --requests 10M/month --months 12 --zone SWE

    RECORDS are records, folders of runs, or folders of such folders. Of two models the break-even is told.
    """
    import itertools

    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import check_zone
    from energy_rating.judging.life import break_even, lives, planned
    from energy_rating.nouns.records import plain
    from energy_rating.publishing import life as shown

    if zone is not None:
        check_zone(zone)
    plan = plan_of(requests, tokens, months)
    found = [load(path) for path in dict.fromkeys(one for path in records for one in runs_below(path))]
    asked: dict[str, Any] = {
        "component": component,
        "unit": unit,
        "requests": plan.number if plan is not None else None,
    }
    # What is planned may run elsewhere than what has been.
    here: dict[str, Any] = {"else_in": zone} if plan is not None else {"zone": zone}
    all_lives = lives(found, **asked, **here)
    bases = _bases(all_lives, base_card)
    used = [one for one in all_lives if one.use is not None]
    breaks = [break_even(one, other) for one, other in itertools.combinations(used, 2)]
    services = []
    if plan is not None and (tokens is not None or months is not None or zone is not None):
        there = {one.runs: one for one in lives(found, **asked, zone=zone)} if zone is not None else {}
        services = [
            planned(
                one,
                requests=plan.requests,
                tokens=plan.tokens,
                months=plan.months,
                there=there.get(one.runs),
                zone=zone,
            )
            for one in used
        ]
        if not services:
            raise BadInput(
                "no inference is among the records, so no service can be planned",
                "Measure it: energy-rating benchmark",
            )
    over = plan.number if plan is not None else None
    if output is not None:
        write_whole(output, shown.plot(all_lives, breaks, requests=over).encode())
    if as_json:
        told = {
            "lives": plain(all_lives),
            "break_even": plain(tuple(breaks)),
            "service": plain(tuple(services)),
            "bases": plain(tuple(bases)),
        }
        say(as_json_text(told))
        return
    lines: list[str] = []
    for one in all_lives:
        lines += ["", *shown.told(one)] if lines else list(shown.told(one))
        lines += [f"beside it, its base {base.said}" for base in bases if base.model == one.base_model]
    lines += ["", *(shown.break_even_told(one) for one in breaks)] if breaks else []
    for one, service in zip(used, services, strict=False):
        lines += ["", f"{one.model}: {shown.service_told(service)}"]
    say("\n".join(_wrapped(lines)))
    if output is not None:
        tell(f"drawn: {output}")


def _wrapped(lines: Sequence[str]) -> Iterator[str]:
    import textwrap

    for line in lines:
        yield from textwrap.wrap(line, 80, subsequent_indent="  ", break_on_hyphens=False) or [""]


def _bases(all_lives: Sequence[Life], card: Path | None) -> list[BaseShare]:
    """What making the base of a life took, by that model's own card."""
    if card is None:
        return []
    from energy_rating.publishing.base_cards import share_in

    bases = {one.base_model for one in all_lives if one.base_model is not None}
    if len(bases) != 1:
        said = "no training says what it was made from" if not bases else f"the runs name {len(bases)} bases"
        raise BadInput(
            f"{said}, so whose card this is cannot be told",
            "Say it when it is measured: --base org/base --relation lora",
            place="--base-card",
        )
    return [share_in(card, bases.pop())]
