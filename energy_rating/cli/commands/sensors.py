"""``energy-rating sensors``: what can be measured here, and what not."""

from __future__ import annotations

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say, strays_apart


@click.command()
@click.option(
    "--probe",
    is_flag=True,
    help="Try each sensor for a few seconds: how often it is refreshed, whether counter and power agree, µs a reading.",
)
@json_option
def sensors(as_json: bool, probe: bool) -> None:
    """What can be measured here; for the rest, why not, and the remedy."""
    from energy_rating.cli.texts.survey import survey_to_text
    from energy_rating.measuring.probe import TRIED_S
    from energy_rating.measuring.survey import survey

    with strays_apart():
        found = survey(probe_s=TRIED_S if probe else 0.0)
    say(as_json_text(found.as_json()) if as_json else survey_to_text(found))
