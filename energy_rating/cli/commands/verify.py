"""``energy-rating verify``: a run's folder made again from its journal, and what differs."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option, strict_option
from energy_rating.cli.output import as_json_text, say
from energy_rating.publishing.terminal.layout import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@strict_option("Also ask whether the journal itself can be true.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0.0, 1.0, max_open=True),
    default=0.0,
    show_default=True,
    help="By how much numbers may differ, relative; for what another version made.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hardware profile with whose gains the record was made (summarise --calibration).",
)
@click.option(
    "--card",
    type=click.Path(path_type=Path),
    metavar="README.md",
    help="A model card that lies elsewhere: its section and its co2_eq_emissions are held against this run.",
)
@click.option(
    "--items",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The items that the run is said to have asked (a file or a folder, as of benchmark): their hash is held against the run's.",
)
@json_option
def verify(
    folder: Path,
    strict: bool,
    tolerance: float,
    calibration: Path | None,
    card: Path | None,
    items: Path | None,
    as_json: bool,
) -> None:
    """Makes record, rating, label and card again from the journal, and says what differs.

    FOLDER is that of a run. Exit code 0: all agrees; 1: something differs, is missing or cannot be checked, or, with --strict, is not plausible.
    """
    from energy_rating.publishing import verification

    asked = None
    if items is not None:
        from energy_rating.benchmarking.tasks import items_sha256, read_items

        given = read_items(items)
        asked = lambda count: items_sha256(given[:count])  # noqa: E731
    found = verification.verify(
        folder, strict=strict, tolerance=tolerance, calibration=calibration, card=card, items=asked
    )
    if as_json:
        say(as_json_text(verification.verification_to_json(found)))
    else:
        say("\n".join(_to_a_terminal(verification.verification_to_text(found))))
    sys.exit(0 if found.agrees and found.plausible else 1)


def _to_a_terminal(text: str) -> Iterator[str]:
    """Its lines, folded; what is one word (a path, a checksum) stays whole."""
    for line in text.splitlines():
        yield from textwrap.wrap(
            line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]
