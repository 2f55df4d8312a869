"""``energy-rating export``: records in another form."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import zone_option
from energy_rating.cli.output import say, write
from energy_rating.nouns.errors import BadInput
from energy_rating.publishing import exports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_rating.nouns.records import Record


class _Form(click.Choice[str]):
    """The forms that there are; while there is one, click would say that *xlsx* is not *csv*."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002
        return f"must be {' or '.join(self.choices)}; got {str(value)[:80]!r}"


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=_Form(exports.names()), required=True, help="The form to write.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
@click.option("--windows", is_flag=True, help="csv: a row for every window too, not for the runs alone.")
@click.option(
    "--only",
    metavar="run",
    help="csv: the row of this window alone (run: the whole run), in CodeCarbon's columns and no others.",
)
@zone_option("csv: country for the emissions, by three letters. Default: where each record says that it ran.")
@click.option(
    "--no-header", is_flag=True, help="csv: leave the line with the columns' names out, to append to a table."
)
def export(
    records: Sequence[Path],
    form: str,
    output: Path | None,
    windows: bool,
    only: str | None,
    zone: str | None,
    no_header: bool,
) -> None:
    """Records in another form, for audits and spreadsheets.

    \b
    energy-rating export reports/* --format csv -o runs.csv
    energy-rating export run-1 --format csv --only run --zone FRA -o emissions.csv

    csv: one row a run, beginning with the columns of CodeCarbon's emissions.csv; what was not measured is empty. The columns are the
    same for every record.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load

    found = [load(path) for path in records]
    asked = {
        "--windows": windows,
        "--only": only is not None,
        "--zone": zone is not None,
        "--no-header": no_header,
    }
    if form == "csv":
        from energy_rating.publishing.exports.csv import table

        # Whoever adds up a column would count it twice.
        runs = Counter(record.run_id for record in found)
        if twice := next((run for run, times in runs.items() if times > 1), None):
            raise BadInput(f"the run {twice} is there twice", "Name each run once", place="RECORDS")
        content = table(found, windows=windows, only=only, zone=zone, header=not no_header)
    else:
        if wrong := [name for name, given in asked.items() if given]:
            raise BadInput(f"is an option of csv, not of {form}", "Leave it out", place=wrong[0])
        if len(found) > 1:
            raise BadInput(f"{form} is of one record; got {len(found)}", "Name one", place="RECORDS")
        exported: Callable[[Record], str] = exports.form(form)
        content = exported(found[0])
    if output is None:
        write(content)
    else:
        write_whole(output, content.encode())
        say(f"Written: {output}")
