"""``energy-rating profiles``: the hardware profiles that ship."""

from __future__ import annotations

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say


@click.command()
@click.argument("name", required=False)
@json_option
def profiles(name: str | None, as_json: bool) -> None:
    """The hardware profiles that ship; with NAME, one of them in full, each figure with its source."""
    from energy_rating.judging.profiles import load_profile
    from energy_rating.judging.profiles import profiles as known
    from energy_rating.nouns.records import plain
    from energy_rating.publishing.terminal import catalogue

    if name is not None:
        one = load_profile(name)
        say(as_json_text(plain(one)) if as_json else catalogue.profile(one))
        return
    found = known()
    say(as_json_text(plain(found)) if as_json else catalogue.profiles(found))
