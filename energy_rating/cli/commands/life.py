"""``energy-rating life``: all runs of a model, and when a choice pays back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option, zone_option
from energy_rating.cli.output import as_json_text, say, tell
from energy_rating.nouns.choices import COMPONENTS
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_rating.nouns.records import Component

_SIZES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}


def _number(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, bool] | None:
    """An amount such as ``10M``, and whether it is one of each month: ``10M/month``."""
    if value is None:
        return None
    text, slash, each = value.strip().partition("/")
    size = _SIZES.get(text[-1:], 1.0)
    try:
        amount = float(text[:-1] if size != 1.0 else text) * size
    except ValueError:
        amount = -1.0
    if not 0 < amount < 1e18 or (slash and each.strip() != "month"):
        raise click.BadParameter(f"must be a number such as 10M or 10M/month; got {value[:40]!r}", ctx, param)
    return amount, bool(slash)


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--component",
    type=click.Choice(COMPONENTS),
    help="Whose energy. Default: the first that every run measured.",
)
@click.option("--unit", default="request", show_default=True, help="Unit of work that inference is told by.")
@click.option(
    "--requests",
    callback=_number,
    metavar="10M[/month]",
    help="Spread what went before use over so many, and plan a service of them.",
)
@click.option(
    "--tokens", type=click.FloatRange(min=0, min_open=True), help="Tokens in each answer of the service."
)
@click.option(
    "--months",
    type=click.FloatRange(min=0, min_open=True),
    help="How long the service runs (--requests N/month).",
)
@zone_option("Where all of it ran. Default: where each record says.")
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
    output: Path | None,
    as_json: bool,
) -> None:
    """All runs of a model: the share of each stage, a request with its part of the training, and when a choice pays back.

    \b
    energy-rating life reports/
    energy-rating life train/ infer/ distilled-train/ distilled-infer/ --requests 10M/month --tokens 300 --months 12

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
    amount, monthly = requests if requests is not None else (None, False)
    if monthly and months is None:
        raise click.UsageError("'--requests N/month' needs '--months': for how long.")
    if (tokens is not None or months is not None) and amount is None:
        raise click.UsageError("'--tokens' and '--months' plan a service: name '--requests' too.")
    over = amount * (months if monthly and months is not None else 1.0) if amount is not None else None
    found = [load(path) for path in dict.fromkeys(one for path in records for one in _runs(path))]
    all_lives = lives(found, component=component, unit=unit, requests=over, zone=zone)
    used = [one for one in all_lives if one.use is not None]
    breaks = [break_even(one, other) for one, other in itertools.combinations(used, 2)]
    services = []
    if amount is not None and (tokens is not None or months is not None):
        services = [
            planned(one, requests=amount, tokens=tokens, months=months if monthly else None) for one in used
        ]
        if not services:
            raise BadInput(
                "no inference is among the records, so no service can be planned",
                "Measure it: energy-rating benchmark",
            )
    if output is not None:
        write_whole(output, shown.plot(all_lives, breaks, requests=over).encode())
    if as_json:
        told = {
            "lives": plain(all_lives),
            "break_even": plain(tuple(breaks)),
            "service": plain(tuple(services)),
        }
        say(as_json_text(told))
        return
    lines: list[str] = []
    for one in all_lives:
        lines += ["", *shown.told(one)] if lines else list(shown.told(one))
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


def _runs(path: Path) -> Iterator[Path]:
    """The runs that a path leads to: itself, or the runs below a folder that is none."""
    from energy_rating.files.record import RECORD_NAME

    if not path.is_dir() or (path / RECORD_NAME).exists():
        yield path
        return
    below = sorted(one.parent for one in (*path.glob(f"*/{RECORD_NAME}"), *path.glob(f"*/*/{RECORD_NAME}")))
    if not below:
        yield path  # says what is missing
    yield from below
