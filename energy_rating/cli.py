"""The command line: parse, call one function, print. Exit codes: 0 done, 1 an error in one line, 2 wrong usage."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from energy_rating import __version__
from energy_rating.errors import BadInput, EnergyRatingError
from energy_rating.records import STAGES, Record

EXPORTS = ("csv",)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96})
@click.version_option(__version__, prog_name="energy-rating")
def cli() -> None:
    """Measures what AI models cost in energy, and says how sure it is.

    \b
    First steps:
      energy-rating sensors                       what can be measured on this machine
      energy-rating measure -- python train.py    measure any program
      energy-rating summarise RUN                 look at a run again
    """


@cli.command()
@json_option
def sensors(as_json: bool) -> None:
    """What can be measured here; for the rest, why not, and the remedy."""
    from energy_rating.publishers import text
    from energy_rating.survey import survey

    found = survey()
    _print(_dumped(found.as_json()) if as_json else text.survey(found))


@cli.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the run. Default: one under the state folder.",
)
@click.option(
    "--stage", type=click.Choice(STAGES), default="other", show_default=True, help="What kind of run it is."
)
@click.option("--model", help="The model's id, such as org/name.")
@click.option("--task", help="The task, such as text-generation.")
@click.option(
    "--count",
    "counts",
    multiple=True,
    metavar="UNIT=N",
    help="Work done, such as token=51200. May be repeated.",
)
@click.option(
    "--count-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File that the command writes: a JSON object of counts, or lines of unit=number.",
)
@click.option(
    "--period",
    type=click.FloatRange(0.005, 60.0),
    default=0.1,
    show_default=True,
    help="Seconds between readings.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --output-dir.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a finding degrades the figures.")
@json_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def measure(
    output_dir: Path | None,
    stage: str,
    model: str | None,
    task: str | None,
    counts: Sequence[str],
    count_from: Path | None,
    period: float,
    resume: bool,
    strict: bool,
    as_json: bool,
    command: Sequence[str],
) -> None:
    """Measures any command; its exit code and signals pass through.

    \b
    energy-rating measure --count token=51200 -- python generate.py
    """
    from energy_rating import meter
    from energy_rating.command import parse_count, run_command

    if output_dir is not None and output_dir.exists() and not output_dir.is_dir():
        raise BadInput("is a file, not a folder", "Name a folder for the run", place=output_dir)
    run = meter.measure(stage, model=model, task=task, output_dir=output_dir, period_s=period, resume=resume)
    code = run_command(
        command,
        run,
        counts=dict(parse_count(count, place="--count") for count in counts),
        count_from=count_from,
    )
    record = _record_or_none(run)
    if as_json and record is not None:
        _print_record(record)
    if strict and code == 0 and (record is None or not _clean(record)):
        _tell("--strict: the figures are degraded; see the findings in the record")
        code = 1
    sys.exit(code)


def _record_or_none(run: Any) -> Record | None:
    try:
        record: Record = run.record
    except EnergyRatingError:
        return None  # the run has said why; the command's own exit code stands
    return record


def _clean(record: Record) -> bool:
    return all(finding.severity == "note" for finding in record.findings)


@cli.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the record to this file.")
@json_option
def summarise(journal: Path, output: Path | None, as_json: bool) -> None:
    """The record of a journal, also of one cut short by a crash.

    JOURNAL is a journal.jsonl, also compressed, or the folder of a run. In a folder the record is written beside the journal.
    """
    from energy_rating.formats import RECORD_NAME, write_record
    from energy_rating.publishers import text
    from energy_rating.summary import summarise as summarised

    record = summarised(journal)
    if output is None and journal.is_dir() and not as_json:
        output = journal / RECORD_NAME
    if output is not None:
        write_record(record, output)
    if as_json:
        _print_record(record)
    else:
        _print(text.record(record))
        if output is not None:
            _print(f"Record: {output}")


@cli.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("trace.png"), show_default=True)
def trace(journal: Path, output: Path) -> None:
    """Draws the power over time, with the windows shaded."""
    from energy_rating.formats import read_journal, write_whole
    from energy_rating.publishers.trace import plot

    write_whole(output, plot(read_journal(journal)))
    _print(f"Trace: {output}")


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(EXPORTS), required=True, help="The form to write.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
def export(record: Path, form: str, output: Path | None) -> None:
    """A record in another form, for audits and spreadsheets.

    csv: one row a measurement, beginning with the columns of CodeCarbon's emissions.csv; what was not measured is empty.
    """
    import importlib

    from energy_rating.formats import read_record, write_whole

    exported: Callable[[Record], str] = importlib.import_module(f"energy_rating.publishers.{form}").export
    content = exported(read_record(record))
    if output is None:
        click.echo(content, nl=False)
    else:
        write_whole(output, content.encode())
        _print(f"Written: {output}")


def _print_record(record: Record) -> None:
    from energy_rating.formats import record_to_json

    click.echo(record_to_json(record), nl=False)


def _dumped(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _print(text: str) -> None:
    """Prints to a terminal that may be anyone's: without control characters that strangers could have put into names."""
    click.echo("".join(char if char.isprintable() or char == "\n" else "�" for char in text))


def _tell(line: str) -> None:
    click.echo(f"energy-rating: {line}", err=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits."""
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="energy-rating", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except EnergyRatingError as error:
        _tell(f"error: {''.join(char if char.isprintable() else '�' for char in str(error))}")
        sys.exit(1)
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
