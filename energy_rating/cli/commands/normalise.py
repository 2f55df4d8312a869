"""``energy-rating normalise``: a record's energy on another device."""

from __future__ import annotations

from pathlib import Path

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--to", metavar="PROFILE", help="Hardware profile. Default: the scheme's reference device.")
@click.option("--unit", help="Unit of work, such as token. Default: the task's.")
@click.option("--vintage", help="By which rules and factors. Default: those of the newest scheme.")
@json_option
def normalise(record: Path, to: str | None, unit: str | None, vintage: str | None, as_json: bool) -> None:
    """What a record's energy would be on another device, or every reason why that cannot be told.

    What was measured stays the headline; the normalised figure stands second, with its tier and its 95 % interval (in JSON the 90 % interval).
    """
    from energy_rating.files.withheld import without_secrets
    from energy_rating.judging.evidence import load
    from energy_rating.judging.normalisation import normalise as normalised
    from energy_rating.judging.normalisation import normalised_to_json
    from energy_rating.publishing.terminal import ratings

    read = load(record)
    found = normalised(
        read, to, unit=unit and without_secrets(unit), vintage=vintage
    )  # a unit that was not counted is quoted
    if as_json:
        say(as_json_text({**normalised_to_json(found), "checked": read.checked}))
    else:
        say(ratings.normalised(found))
        print_unchecked(read)
