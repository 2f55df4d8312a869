"""``energy-rating export``: a record in another form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.output import say, write
from energy_rating.publishing import exports

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_rating.nouns.records import Record


class _Form(click.Choice[str]):
    """The forms that there are; while there is one, click would say that *xlsx* is not *csv*."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002
        return f"must be {' or '.join(self.choices)}; got {str(value)[:80]!r}"


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--format", "form", type=_Form(exports.names()), required=True, help="The form to write.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
def export(record: Path, form: str, output: Path | None) -> None:
    """A record in another form, for audits and spreadsheets.

    csv: one row a measurement, beginning with the columns of CodeCarbon's emissions.csv; what was not measured is empty.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load

    exported: Callable[[Record], str] = exports.form(form)
    content = exported(load(record))
    if output is None:
        write(content)
    else:
        write_whole(output, content.encode())
        say(f"Written: {output}")
