"""``energy-rating export``: records in another form."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import footprint_options, zone_option
from energy_rating.cli.output import say, tell, write
from energy_rating.nouns.errors import BadInput
from energy_rating.publishing import exports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from energy_rating.nouns.records import Record


class _Form(click.Choice[str]):
    """The forms that there are; an error says it as others do."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002
        return f"must be {', '.join(self.choices[:-1])} or {self.choices[-1]}; got {str(value)[:80]!r}"


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=_Form(exports.names()), required=True, help="The form to write.")
@click.option("--as", "variant", help="Which variant of the form: see below. Default: the first.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
@zone_option(
    "Where it ran, for the carbon; for csv by three letters. Default: where each record says that it ran."
)
@footprint_options
@click.option(
    "--into",
    metavar="BOM.json",
    type=click.Path(path_type=Path),
    help="cyclonedx: somebody's bill of materials, to which this is added; all else of it stays.",
)
@click.option(
    "--dataset", metavar="ORG/NAME", help="eval-results: the benchmark's data set, as the Hub knows it."
)
@click.option("--windows", is_flag=True, help="csv: a row for every window too, not for the runs alone.")
@click.option(
    "--only",
    metavar="run",
    help="csv: the row of this window alone (run: the whole run), in CodeCarbon's columns and no others.",
)
@click.option(
    "--no-header", is_flag=True, help="csv: leave the line with the columns' names out, to append to a table."
)
def export(
    records: Sequence[Path],
    form: str,
    variant: str | None,
    output: Path | None,
    zone: str | None,
    into: Path | None,
    dataset: str | None,
    windows: bool,
    only: str | None,
    no_header: bool,
    **asked: Any,
) -> None:
    """Records in another form, for audits, procurement and other programs.

    \b
    energy-rating export reports/* --format csv -o runs.csv
    energy-rating export reports/* --format xlsx -o runs.xlsx
    energy-rating export run-1 --format nist --zone FRA -o nist.md
    energy-rating export run-1 --format cyclonedx --into bom.json -o bom.json

    \b
    nist          NIST AI RMF MEASURE 2.12 and AI 600-1: markdown, csv, oscal
    eu            EU AI Act, Annex XI, and the Model Documentation Form: markdown, json
    cyclonedx     ML bill of materials: 1.6, 1.7
    spdx          SPDX with its AI profile: 3.0.1
    boamps        the report of BoAmps
    sci           Software Carbon Intensity, and SCI for AI: markdown, json
    openmetrics   text for Prometheus
    otlp          metrics of OpenTelemetry, as JSON
    croissant     the journal as a data set, in schema.org's words
    eval-results  an entry for .eval_results on the Hub
    xlsx          a spreadsheet, one row a record
    csv           one row a run, beginning with the columns of CodeCarbon's emissions.csv

    What a form asks for and the records do not tell is said in one line each, with what would fill it.
    """
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load

    found = [load(path) for path in records]
    _refuse_doubles(found)
    if form == "csv":
        # What of the footprint's options csv has no column for.
        if wrong := next((name for name, value in asked.items() if value not in (None, (), False)), None):
            raise BadInput("is no option of csv", "Leave it out", place=f"--{wrong.replace('_', '-')}")
        for name, given in (("--as", variant), ("--into", into), ("--dataset", dataset)):
            if given is not None:
                raise BadInput("is no option of csv", "Leave it out", place=name)
        from energy_rating.publishing.exports.csv import table

        content: str | bytes = table(found, windows=windows, only=only, zone=zone, header=not no_header)
    else:
        of_csv = {"--windows": windows, "--only": only is not None, "--no-header": no_header}
        if wrong := next((name for name, given in of_csv.items() if given), None):
            raise BadInput(f"is an option of csv, not of {form}", "Leave it out", place=wrong)
        content = _exported(found, form, variant, into, dataset, zone, **asked)
    if output is not None:
        write_whole(output, content if isinstance(content, bytes) else content.encode())
        say(f"Written: {output}")
    elif isinstance(content, bytes):
        raise BadInput(f"{form} is no text for a terminal", f"Name a file: -o runs.{form}", place="--output")
    else:
        write(content)


def _refuse_doubles(found: Sequence[Record]) -> None:
    """Whoever adds up would count it twice."""
    runs = Counter(record.run_id for record in found)
    if twice := next((run for run, times in runs.items() if times > 1), None):
        raise BadInput(f"the run {twice} is there twice", "Name each run once", place="RECORDS")


def _exported(
    found: Sequence[Record],
    form: str,
    variant: str | None,
    into: Path | None,
    dataset: str | None,
    zone: str | None,
    **asked: Any,
) -> str | bytes:
    from energy_rating.judging.footprint.carbon import Choices, check_zone
    from energy_rating.publishing.subject import subject_of

    known = exports.export_form(form)
    if variant is not None and variant not in known.variants:
        raise BadInput(
            f"{form} is written as {' or '.join(known.variants)}; got {variant[:40]!r}", place="--as"
        )
    if len(found) > 1 and not known.many:
        raise BadInput(f"{form} is of one record; got {len(found)}", "Name one", place="RECORDS")
    if zone is not None:
        check_zone(zone)
    for name, given, whose in (("--into", into, "cyclonedx"), ("--dataset", dataset, "eval-results")):
        if given is not None and form != whose:
            raise BadInput(f"is an option of {whose}, not of {form}", "Leave it out", place=name)
    choices = Choices(zone=zone, **asked)
    subjects = [subject_of(record, choices) for record in found]
    if into is not None:
        from energy_rating.publishing.card_files import content_of
        from energy_rating.publishing.exports.cyclonedx import into as added

        if variant is not None:
            raise BadInput("--into and --as contradict each other", "The bill has a version", place="--as")
        done = added(content_of(into), subjects, str(into))
    elif dataset is not None:
        from energy_rating.publishing.exports.eval_results import export as entry

        done = entry(subjects, known.variants[0], dataset)
    else:
        done = known.export(subjects, variant or known.variants[0])
    for gap in dict.fromkeys(done.gaps):
        tell(f"{form}: not filled: {gap}")
    if not done.content:
        raise BadInput(f"there is nothing to write as {form}", "See what it asks for", place="--format")
    return done.content
