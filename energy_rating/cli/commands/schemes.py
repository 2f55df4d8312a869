"""``energy-rating schemes``: the schemes that ship."""

from __future__ import annotations

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say


@click.command()
@click.argument("name", required=False)
@json_option
def schemes(name: str | None, as_json: bool) -> None:
    """The rating schemes that ship; with NAME, one of them in full, each class with its source."""
    from energy_rating.judging.schemes import load_scheme
    from energy_rating.judging.schemes import schemes as known
    from energy_rating.nouns.records import plain
    from energy_rating.publishing.terminal import catalogue

    if name is not None:
        one = load_scheme(name)
        say(as_json_text(plain(one)) if as_json else catalogue.scheme(one))
        return
    found = [load_scheme(key) for key in known()]
    say(as_json_text(plain(found)) if as_json else catalogue.schemes(found))
