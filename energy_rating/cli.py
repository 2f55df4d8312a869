"""The command line: parse, call one function, print. Exit codes: 0 done, 1 an error in one line, 2 wrong usage."""

from __future__ import annotations

import contextlib
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
      energy-rating benchmark model.gguf          measure and rate a model
      energy-rating card README.md RUN            put the result into a model card
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
@click.option(
    "--zone", metavar="FRA", help="Country whose carbon factor to use. Without it no carbon is told."
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
    zone: str | None,
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
    from energy_rating.command import run_command
    from energy_rating.counts import parse_count

    if zone is not None:
        from energy_rating.impact import check_zone

        check_zone(zone)
    _free_folder(output_dir)
    run = meter.measure(stage, model=model, task=task, output_dir=output_dir, period_s=period, resume=resume)
    code = run_command(
        command,
        run,
        counts=dict(parse_count(count, place="--count") for count in counts),
        count_from=count_from,
    )
    record = _record_or_none(run)
    if zone is not None and record is not None:
        _tell_carbon(record, zone)
    if as_json and record is not None:
        with contextlib.suppress(BrokenPipeError):  # the reader went away; the command's own exit code stands
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


def _tell_carbon(record: Record, zone: str) -> None:
    from energy_rating.impact import footprint
    from energy_rating.publishers import text

    try:
        _tell(text.impact(footprint(record, zone=zone)).replace("\n", " "))
    except EnergyRatingError as error:
        _tell(str(error))  # the command has run and is measured; its own exit code stands


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
@click.argument("model")
@click.option("--task", "task_name", help="The task. Default: text-generation.", default="text-generation")
@click.option("--protocol", help="The protocol of the task. Default: the task's own.")
@click.option(
    "--workload", help="How to run the model: llama_cpp, diffusers, command. Default: what suits MODEL."
)
@click.option(
    "--command",
    "command_line",
    help="For --workload command: the program, started once a batch; it gets the items on its standard input.",
)
@click.option("--model-id", help="The model's id for the record, such as org/name. Default: what MODEL says.")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the run. Default: one under the state folder.",
)
@click.option(
    "--items",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Items, one a line, in place of the protocol's.",
)
@click.option(
    "--repeats", type=click.IntRange(1, 1000), help="Exactly so many repeats, in place of the protocol's."
)
@click.option(
    "--min-duration",
    type=click.FloatRange(0.0, 86400.0),
    metavar="S",
    help="Seconds that one repeat takes at least.",
)
@click.option(
    "--budget", type=click.FloatRange(1.0), metavar="S", help="Seconds after which no repeat is begun."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the model's sampler.")
@click.option(
    "--zone", metavar="FRA", help="Country whose carbon factor to use. Without it no carbon is told."
)
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
@click.option("--strict", is_flag=True, help="Exit with 1 when the result is not rated.")
@json_option
def benchmark(
    model: str,
    task_name: str,
    protocol: str | None,
    workload: str | None,
    command_line: str | None,
    model_id: str | None,
    output_dir: Path | None,
    items: Path | None,
    repeats: int | None,
    min_duration: float | None,
    budget: float | None,
    seed: int,
    zone: str | None,
    scheme: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Runs a protocol with a model on this machine, and rates the result.

    MODEL is a GGUF file (llama_cpp), the folder of a pipeline (diffusers), or a name (command). The run's folder gets journal,
    record, trace, label and the section for a model card.
    """
    import shlex
    from dataclasses import replace

    from energy_rating import benchmark as benchmarking
    from energy_rating.impact import check_zone, footprint
    from energy_rating.publishers import text
    from energy_rating.publishers.folder import publish
    from energy_rating.rating import load_scheme, rate
    from energy_rating.tasks import load_task
    from energy_rating.workloads import prepare

    task = load_task(task_name)
    plan = benchmarking.planned(
        task,
        protocol=protocol,
        items=items,
        repeats=repeats,
        min_duration_s=min_duration,
        budget_s=budget,
        seed=seed,
    )
    rules = load_scheme(scheme)
    if zone is not None:
        check_zone(zone)
    settings = replace(plan.settings, command=tuple(shlex.split(command_line or "")))
    name = workload or benchmarking.default_workload(task, model)
    prepared, described = prepare(name, model, settings)
    if model_id is not None:
        described = replace(described, id=model_id)
    _free_folder(output_dir)
    run = benchmarking.benchmark(
        prepared, plan, model=described, output_dir=output_dir, progress=progress_line(), report=None
    )
    record = run.record
    rating = rate(record, scheme=rules)
    impact = footprint(record, zone=zone) if zone else None
    written = publish(run.folder, record, rating) if run.folder else ()
    if as_json:
        _print_record(record)
    else:
        _print(text.record(record))
        _print("")
        _print(text.rating(rating))
        if impact is not None:
            _print("")
            _print(text.impact(impact))
        _print("")
        _print(text.files(written))
    if strict and rating.stars is None:
        _tell("--strict: the result is not rated")
        sys.exit(1)


def _free_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadInput("is a file, not a folder", "Name a folder for the run", place=folder)


def progress_line() -> Callable[[Any], None]:
    """A line on standard error that moves; quiet when that is no terminal."""
    if not sys.stderr.isatty():
        return lambda _: None
    width = 24

    def show(now: Any) -> None:
        bar = "#" * round(width * now.share)
        minutes, seconds = divmod(int(now.elapsed_s), 60)
        line = f"  {now.phase:<14} [{bar:<{width}}] {now.share:4.0%}  {minutes}:{seconds:02d}"
        last = now.phase == "idle-after" and now.share >= 1
        click.echo(f"\r{'' if last else line:<70}" + ("\r" if last else ""), nl=False, err=True)

    return show


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
@json_option
def rate(record: Path, scheme: str | None, as_json: bool) -> None:
    """The stars of a record, or every reason why it has none."""
    from energy_rating.formats import read_record
    from energy_rating.publishers import text
    from energy_rating.rating import rate as rated
    from energy_rating.rating import rating_to_json

    found = rated(read_record(record), scheme=scheme)
    _print(_dumped(rating_to_json(found)) if as_json else text.rating(found))


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--zone", required=True, metavar="FRA", help="Country whose carbon factor to use, by its three letters."
)
@json_option
def impact(record: Path, zone: str, as_json: bool) -> None:
    """The carbon of a record's energy, location-based, by a country's yearly factor."""
    from energy_rating.formats import plain, read_record
    from energy_rating.impact import footprint
    from energy_rating.publishers import text

    found = footprint(read_record(record), zone=zone)
    _print(_dumped(plain(found)) if as_json else text.impact(found))


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("label.svg"),
    show_default=True,
    help="label.svg or label.png.",
)
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
def label(record: Path, output: Path, scheme: str | None) -> None:
    """Draws the label of a record, as SVG or PNG."""
    from energy_rating.formats import read_record, write_whole
    from energy_rating.publishers import label as labels
    from energy_rating.rating import rate as rated

    if output.suffix not in (".svg", ".png"):
        raise BadInput("is neither .svg nor .png", "Name the file label.svg or label.png", place=output)
    found = read_record(record)
    rating = rated(found, scheme=scheme)
    if output.suffix == ".svg":
        write_whole(output, labels.svg(found, rating).encode())
    else:
        write_whole(output, labels.png(found, rating))
    _print(f"Label: {output}")


@cli.command()
@click.argument("readme", type=click.Path(path_type=Path))
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@click.option("--label", help="Path of the label's picture as the card is to link it, such as label.png.")
@click.option(
    "--zone", metavar="FRA", help="Country of a training run: writes co2_eq_emissions into the metadata."
)
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
@click.option(
    "--overwrite", is_flag=True, help="Replace a co2_eq_emissions that was not written by this tool."
)
@click.option(
    "--remove", is_flag=True, help="Take our section and metadata out again; the rest is as it was."
)
def card(
    readme: Path,
    records: Sequence[Path],
    label: str | None,
    zone: str | None,
    scheme: str | None,
    overwrite: bool,
    remove: bool,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is."""
    from energy_rating.formats import read_record
    from energy_rating.impact import check_zone, footprint
    from energy_rating.publishers.card import remove_card_file, update_card_file
    from energy_rating.rating import TRAINING
    from energy_rating.rating import rate as rated

    if remove:
        changed = remove_card_file(readme)
    else:
        if not records:
            raise BadInput(
                "there is no record to write from", "Name a record.json or the folder of a run", place=readme
            )
        found = [read_record(path) for path in records]
        carbon = None
        if zone is not None:
            check_zone(zone)
            for record in found:
                if record.stage in TRAINING:
                    carbon = footprint(record, zone=zone)
        changed = update_card_file(
            readme,
            found,
            ratings=[rated(record, scheme=scheme) for record in found],
            impact=carbon,
            label=label,
            overwrite=overwrite,
        )
    _print(f"{'Written' if changed else 'Unchanged'}: {readme}")


@cli.command()
@click.argument("name", required=False)
@json_option
def tasks(name: str | None, as_json: bool) -> None:
    """The tasks that ship, with their protocols; with NAME, one of them in full."""
    from energy_rating.formats import plain
    from energy_rating.publishers import text
    from energy_rating.tasks import load_task
    from energy_rating.tasks import tasks as known

    if name is not None:
        one = load_task(name)
        _print(_dumped(plain(one)) if as_json else text.task(one))
        return
    found = [load_task(key) for key in known()]
    _print(_dumped(plain(found)) if as_json else text.tasks(found))


@cli.command()
@click.argument("name", required=False)
@json_option
def profiles(name: str | None, as_json: bool) -> None:
    """The hardware profiles that ship; with NAME, one of them in full, each figure with its source."""
    from energy_rating.formats import plain
    from energy_rating.profiles import load_profile
    from energy_rating.profiles import profiles as known
    from energy_rating.publishers import text

    if name is not None:
        one = load_profile(name)
        _print(_dumped(plain(one)) if as_json else text.profile(one))
        return
    found = known()
    _print(_dumped(plain(found)) if as_json else text.profiles(found))


@cli.command()
@click.argument("name", required=False)
@json_option
def schemes(name: str | None, as_json: bool) -> None:
    """The rating schemes that ship; with NAME, one of them in full, each class with its source."""
    from energy_rating.formats import plain
    from energy_rating.publishers import text
    from energy_rating.rating import load_scheme
    from energy_rating.rating import schemes as known

    if name is not None:
        one = load_scheme(name)
        _print(_dumped(plain(one)) if as_json else text.scheme(one))
        return
    found = [load_scheme(key) for key in known()]
    _print(_dumped(plain(found)) if as_json else text.schemes(found))


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
    from energy_rating.publishers.strangers import for_terminal

    click.echo(for_terminal(text))


def _tell(line: str) -> None:
    from energy_rating.publishers.strangers import for_terminal

    click.echo(f"energy-rating: {for_terminal(line)}", err=True)


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
        _tell(f"error: {error}")
        sys.exit(1)
    except (ArithmeticError, ValueError) as error:
        # A figure that nobody thought of: the type tells whoever mends it where to look.
        said = " ".join(str(error).split())[:300]
        _tell(f"error: unexpected {type(error).__name__}: {said or 'no more is known'}. Please report it")
        sys.exit(1)
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
