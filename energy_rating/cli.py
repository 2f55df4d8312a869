"""The command line: parse, call one function, print. Exit codes: 0 done, 1 an error in one line, 2 wrong usage."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import COMPONENTS, STAGES, Component, Place, Record
from energy_rating.version import __version__

if TYPE_CHECKING:
    from energy_rating.judging.footprint.carbon import Impact

EXPORTS = ("csv",)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text.")
provisional_option = click.option(
    "--provisional",
    is_flag=True,
    help="Where only a better measurement is missing, say what the stars would be. It stays not rated.",
)


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
@click.option(
    "--probe",
    is_flag=True,
    help="Try each sensor for a few seconds: how often it is refreshed, whether counter and power agree, µs a reading.",
)
@json_option
def sensors(as_json: bool, probe: bool) -> None:
    """What can be measured here; for the rest, why not, and the remedy."""
    from energy_rating.measuring.probe import TRIED_S
    from energy_rating.measuring.survey import survey
    from energy_rating.publishers import text

    with _strays_apart():
        found = survey(probe_s=TRIED_S if probe else 0.0)
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
    "--zone",
    metavar="FRA",
    help="Country where it runs: goes into the record, and its carbon factor is used. Without it no carbon is told.",
)
@click.option(
    "--region",
    metavar="europe-west9",
    help="Region as the cloud calls it: goes into the record, as it is said.",
)
@click.option("--provider", metavar="gcp", help="Whose cloud it is: goes into the record, as it is said.")
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
    region: str | None,
    provider: str | None,
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
    from energy_rating.measuring.command import run_command
    from energy_rating.measuring.counts import parse_count

    if zone is not None:
        from energy_rating.judging.footprint.carbon import check_zone

        check_zone(zone)
    _free_folder(output_dir)
    run = meter.measure(
        stage,
        model=model,
        task=task,
        output_dir=output_dir,
        period_s=period,
        resume=resume,
        place=_place(zone, region, provider),
    )
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
        try:
            _print_record(record)
        except BrokenPipeError:
            _let_go_of_output()  # the reader went away; the command's own exit code stands
        except EnergyRatingError as error:
            _tell(f"error: {error}")
            code = code or 1
    if strict and code == 0 and (record is None or not _clean(record)):
        _tell("--strict: the figures are degraded; see the findings in the record")
        code = 1
    sys.exit(code)


def _place(zone: str | None, region: str | None, provider: str | None) -> Place | None:
    """Where it runs, as far as that was said."""
    if zone is None and region is None and provider is None:
        return None
    try:
        return Place(zone=zone, region=region, provider=provider)
    except ValueError as error:
        raise BadInput(
            str(error), "Say it as the cloud does, such as --region europe-west9 --provider gcp"
        ) from None


def _record_or_none(run: Any) -> Record | None:
    try:
        record: Record = run.record
    except EnergyRatingError:
        return None  # the run has said why; the command's own exit code stands
    return record


def _tell_carbon(record: Record, zone: str) -> None:
    from energy_rating.judging.footprint.carbon import footprint
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
@click.option(
    "--wall",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="File of a wall meter: its lines go into a copy of the run, in a folder with the ending -wall.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hardware profile with the gains of single cards, found with a meter ([[meter]]): corrects the readings of those cards.",
)
@json_option
def summarise(
    journal: Path, output: Path | None, wall: Path | None, calibration: Path | None, as_json: bool
) -> None:
    """The record of a journal, also of one cut short by a crash.

    JOURNAL is a journal.jsonl, also compressed, or the folder of a run. In a folder the record is written beside the journal, once
    the run has ended.
    """
    from energy_rating.files.journal import quiet_s
    from energy_rating.files.reading import journal_in
    from energy_rating.files.record import RECORD_NAME, write_record
    from energy_rating.judging.summary import summarise as summarised
    from energy_rating.publishers import text

    if wall is not None:
        from energy_rating.measuring.sensors.wall import added_afterwards

        folder = journal.resolve() if journal.is_dir() else journal.resolve().parent
        journal = added_afterwards(journal_in(journal), wall, folder.with_name(f"{folder.name}-wall")).parent
    record = summarised(journal, calibration=calibration)
    going_on = record.outcome is not None and record.outcome.state == "running"
    if output is None and journal.is_dir() and not as_json and not going_on:
        output = journal / RECORD_NAME
    if output is not None:
        write_record(record, output)
    if as_json:
        _print_record(record)
    else:
        _print(text.record(record))
        if output is not None:
            _print(f"Record: {output}")
        elif going_on:
            _print(text.still_running(quiet_s(journal_in(journal))))


@cli.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("trace.png"), show_default=True)
def trace(journal: Path, output: Path) -> None:
    """Draws the power over time, with the windows shaded."""
    from energy_rating.files.reading import read_journal
    from energy_rating.files.whole import write_whole
    from energy_rating.publishers.trace import plot

    write_whole(output, plot(read_journal(journal)))
    _print(f"Trace: {output}")


def setting_options(function: Any) -> Any:
    """The options of ``benchmark`` that are fields of ``Settings``; None is the protocol's, or the workload's own."""
    whole, above = click.IntRange(1), click.FloatRange(0.0, min_open=True)
    options = [
        ("--batch-size", whole, "Items at a time."),
        ("--concurrency", whole, "Requests that are under way at once."),
        ("--request-rate", above, "Requests a second, at the times of a Poisson process."),
        ("--max-num-seqs", whole, "Requests that the engine takes at once."),
        ("--max-new-tokens", whole, "Tokens of an answer at most."),
        ("--min-new-tokens", whole, "Tokens of an answer at least."),
        ("--max-input-tokens", whole, "Tokens of an input at most; longer ones are cut."),
        ("--dtype", str, "Type of the weights, such as bfloat16."),
        ("--quantisation", str, "As the engine names it, such as awq or bitsandbytes-4bit."),
        ("--attention", str, "As the engine names it, such as sdpa."),
        ("--device-map", str, "As transformers names it, such as auto."),
        ("--steps", whole, "Steps of denoising."),
        ("--height", whole, "Of images, in pixels."),
        ("--width", whole, "Of images, in pixels."),
        ("--frames", whole, "Of a video."),
        (
            "--trust-remote-code",
            str,
            "ORG/NAME@COMMIT: the one model whose own code may run, at the one commit.",
        ),
        ("--endpoint", str, "URL of an OpenAI-compatible server on this machine."),
    ]
    for name, kind, text in reversed(options):
        function = click.option(name, type=kind, help=text)(function)
    for name, text in (
        ("--compile", "Compile the model first."),
        ("--prompt-cache", "What was computed for one request may serve another."),
        ("--download", "The model and the items may be fetched from a hub. Without it, no network is used."),
    ):
        function = click.option(name, is_flag=True, default=None, help=text)(function)
    for name, text in (
        ("--reasoning/--no-reasoning", "Ask the model to think first, or not to; two records of one model."),
        ("--streaming/--no-streaming", "Have answers streamed, to know when the first token came."),
    ):
        function = click.option(name, default=None, help=text)(function)
    return click.option(
        "--random-weights",
        type=click.Path(path_type=Path),
        metavar="CONFIG",
        help="Build the model from this configuration (a config.json, or one that ships, such as llama-3.1-8b) with random "
        "weights: the energy of its architecture. MODEL may then be left out.",
    )(function)


@cli.command()
@click.argument("model", required=False)
@click.option("--task", "task_name", help="The task. Default: text-generation.", default="text-generation")
@click.option("--protocol", help="The protocol of the task. Default: the task's own.")
@click.option("--workload", help="How to run the model, such as llama_cpp. Default: what suits MODEL.")
@click.option(
    "--command",
    "command_line",
    help="For --workload command: the program, started once a batch; it gets the items on its standard input.",
)
@click.option("--model-id", help="The model's id for the record, such as org/name. Default: what MODEL says.")
@click.option(
    "--parameters",
    type=click.IntRange(1),
    metavar="N",
    help="How many parameters the model has. Default: what MODEL says; most servers do not.",
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the run. Default: one under the state folder.",
)
@click.option(
    "--items",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Items in place of the protocol's: JSON Lines, lines of text, or a folder of images or sounds.",
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
    "--budget",
    type=click.FloatRange(1.0),
    metavar="S",
    help="Seconds that the whole may take. The first repeat is made in any case.",
)
@click.option(
    "--cooldown",
    type=click.FloatRange(0.0, 3600.0),
    metavar="S",
    help="Seconds of rest between two repeats, at most: until the devices are as warm as at the start, where they tell that. "
    "Default: 120, and none where no temperature is told.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0.0, 3600.0),
    metavar="S",
    help="Seconds of idle before and after. Below 10 nothing is told of the idle power.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the model's sampler, of arrival times, of the choice of items.",
)
@click.option(
    "--quality",
    "qualities",
    multiple=True,
    metavar="METRIC=VALUE@SOURCE",
    help="How good the answers are, and who says so. May be repeated.",
)
@click.option(
    "--quality-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Result file of lm-evaluation-harness.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Further argument of the engine, by its name.",
)
@setting_options
@click.option(
    "--sweep",
    metavar="NAME=V1,V2,…",
    help="One run for each value of an option, such as concurrency=1,8,64; draws energy over it.",
)
@click.option(
    "--batch",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Runs of a TOML or CSV file, in place of MODEL; one process each. Started again, it does what is missing.",
)
@click.option(
    "--zone",
    metavar="FRA",
    help="Country where it runs: goes into the record, and its carbon factor is used. Without it no carbon is told.",
)
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
@click.option("--strict", is_flag=True, help="Exit with 1 when the result is not rated.")
@json_option
def benchmark(
    model: str | None,
    task_name: str,
    protocol: str | None,
    workload: str | None,
    command_line: str | None,
    model_id: str | None,
    parameters: int | None,
    output_dir: Path | None,
    items: Path | None,
    repeats: int | None,
    min_duration: float | None,
    budget: float | None,
    cooldown: float | None,
    idle: float | None,
    seed: int,
    qualities: Sequence[str],
    quality_from: Path | None,
    options: Sequence[str],
    sweep: str | None,
    batch: Path | None,
    zone: str | None,
    scheme: str | None,
    strict: bool,
    as_json: bool,
    **wishes: Any,
) -> None:
    """Runs a protocol with a model on this machine, and rates the result.

    MODEL is a GGUF file (llama_cpp), the folder of a model or of a pipeline (transformers, diffusers), what a server calls it
    (--endpoint), or a name (--workload command). The run's folder gets journal, record, trace, label and the section for a
    model card.
    """
    import shlex
    from dataclasses import replace

    from energy_rating import benchmarking
    from energy_rating.judging.footprint.carbon import check_zone, footprint
    from energy_rating.judging.quality import parse_quality, read_results
    from energy_rating.judging.rating import judge
    from energy_rating.judging.schemes import load_scheme
    from energy_rating.publishers import text
    from energy_rating.publishers.folder import publish
    from energy_rating.tasks import load_task
    from energy_rating.workloads import parse_options, prepare

    if batch is not None or sweep is not None:
        _many(model, batch, sweep, output_dir, seed, strict, as_json)
        return
    if model is None and wishes["random_weights"] is not None:
        model = f"random/{wishes['random_weights'].stem}"
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    task = load_task(task_name)
    quality = [parse_quality(one, place="--quality") for one in qualities]
    plan = benchmarking.planned(
        task,
        protocol=protocol,
        items=items,
        repeats=repeats,
        min_duration_s=min_duration,
        budget_s=budget,
        cooldown_s=cooldown,
        idle_s=idle,
        seed=seed,
        wishes={
            **wishes,
            "command": tuple(shlex.split(command_line or "")),
            "options": parse_options(options),
        },
        quality=[*quality, *(read_results(quality_from) if quality_from is not None else ())],
    )
    name = workload or benchmarking.default_workload(task, model, endpoint=wishes["endpoint"])
    plan = replace(plan, workload=name)
    rules = load_scheme(scheme)
    if zone is not None:
        check_zone(zone)
    prepared, described = prepare(name, model, plan.settings, plan.items)
    if model_id is not None:
        described = replace(described, id=model_id)
    if parameters is not None:
        described = replace(described, parameters=parameters)
    _free_folder(output_dir)
    said: list[str] = []
    try:
        with _ended_in_order():
            run = benchmarking.run_plan(
                prepared,
                plan,
                model=described,
                output_dir=output_dir,
                progress=progress_line(),
                report=said.append,
                place=zone,
            )
    except (EnergyRatingError, KeyboardInterrupt, SystemExit) as error:
        if not isinstance(error, EnergyRatingError):
            _tell("cancelled; the figures are what was measured until then")
        for line in said:  # what was measured until then
            _tell(line)
        raise
    record = run.record
    judged = judge(record, scheme=rules)
    impact = footprint(record, zone=zone) if zone else None
    written = publish(run.folder, record, judged.rating) if run.folder else ()
    if as_json:
        _print_record(record)
    else:
        _print(text.record(record))
        _print("")
        _print(text.judgement(judged))
        if impact is not None:
            _print("")
            _print(text.impact(impact))
        _print("")
        _print(text.files(written))
    if strict and judged.rating.stars is None:
        _tell("--strict: the result is not rated")
        sys.exit(1)


# What a run of a batch is not asked for: the batch does it.
_OF_THE_BATCH = ("model", "sweep", "batch", "output_dir", "as_json", "strict", "help")


def _many(
    model: str | None,
    batch: Path | None,
    sweep: str | None,
    output_dir: Path | None,
    seed: int,
    strict: bool,
    as_json: bool,
) -> None:
    """A batch or a sweep: runs it, writes the tables and the curve, prints the table."""
    from energy_rating import batches
    from energy_rating.files.whole import write_whole
    from energy_rating.publishers import batch as publisher

    if output_dir is None:
        raise BadInput(
            "a batch needs a folder for its runs", "Name it with --output-dir", place="--output-dir"
        )
    if batch is not None and (model is not None or sweep is not None):
        raise BadInput(
            "a batch names its models and settings itself", "Leave MODEL and --sweep out", place="--batch"
        )
    _free_folder(output_dir)
    context = click.get_current_context()
    known = {
        option.opts[0].lstrip("-").replace("-", "_"): option
        for option in context.command.params
        if isinstance(option, click.Option) and option.name not in _OF_THE_BATCH
    }
    given = {
        name: context.params[option.name or ""]
        for name, option in known.items()
        if context.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
    }
    swept = ""
    if batch is not None:
        if set(given) - {"seed"}:
            raise BadInput(
                "the settings of a batch are in its file",
                "Put them under [defaults]",
                place=f"--{min(set(given) - {'seed'})}",
            )
        entries = batches.read_batch(batch, known)
    else:
        if model is None:
            raise click.UsageError("Missing argument 'MODEL'.")
        swept, _, values = (sweep or "").replace(" ", "").partition("=")
        swept = swept.lstrip("-").replace("-", "_")
        if swept not in known:
            raise BadInput(
                f"{swept[:80]!r} is no option of benchmark", "Such as concurrency=1,8,64", place="--sweep"
            )
        entries = batches.swept(model, given, swept, [value for value in values.split(",") if value])
    with _ended_in_order():
        outcomes = batches.run_batch(entries, output_dir, seed=seed, tell=_tell)
    output_dir.mkdir(parents=True, exist_ok=True)
    written = {
        "table.csv": publisher.as_csv(outcomes).encode(),
        "table.md": publisher.as_markdown(outcomes).encode(),
    }
    if swept and publisher.can_be_drawn(outcomes, swept):
        for kind in ("png", "svg"):
            written[f"{swept}.{kind}"] = publisher.load_curve(outcomes, swept, kind=kind)
    for name, content in written.items():
        write_whole(output_dir / name, content)
    if as_json:
        header, rows = publisher.rows(outcomes)
        _print(_dumped([dict(zip(header, row, strict=True)) for row in rows]))
    else:
        _print(publisher.as_text(outcomes))
        _print("")
        _print("\n".join(f"{output_dir / name}" for name in written))
    failed = sum(outcome.record is None for outcome in outcomes)
    if failed:
        _tell(f"error: {failed} of {len(outcomes)} runs failed; started again, the batch tries them again")
        sys.exit(1)
    if strict and any(not _clean(outcome.record) for outcome in outcomes if outcome.record):
        _tell("--strict: figures are degraded; see the remarks in the table")
        sys.exit(1)


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Meanwhile a request to end, such as a scheduler's, ends it like Ctrl-C: with a record of what was measured until then."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # it is ending already
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What nohup or a parent had ignored, stays so.
    heard = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _free_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadInput("is a file, not a folder", "Name a folder for the run", place=folder)


def progress_line() -> Callable[[Any], None] | None:
    """A line on standard error that moves; none where that is no terminal."""
    if not sys.stderr.isatty():
        return None
    import shutil

    from energy_rating import benchmarking

    width = max(min(shutil.get_terminal_size().columns, 80) - 2, 20)
    shown = ""

    def show(now: Any) -> None:
        nonlocal shown
        over = not now.phase or (now.phase == "idle-after" and now.share >= 1)
        line = "" if over else benchmarking.progress_line(now, width)
        if line != shown:
            shown = line
            click.echo(f"\r{line:<{width}}" + ("" if line else "\r"), nl=False, err=True)

    return show


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--scheme",
    "names",
    multiple=True,
    help="Scheme to rate under; may be repeated. Default: the newest.",
)
@click.option("--all-schemes", is_flag=True, help="Rate under every scheme that ships, the newest first.")
@provisional_option
@click.option("--explain", is_flag=True, help="Print the arithmetic line by line, with its sources.")
@json_option
def rate(
    record: Path, names: Sequence[str], all_schemes: bool, provisional: bool, explain: bool, as_json: bool
) -> None:
    """The stars of a record, or every reason why it has none.

    RECORD is a record.json or the folder of a run; it is held against the journal beside it first.

    With several schemes, --json prints a list with one rating of each.
    """
    from energy_rating.judging import rating, schemes
    from energy_rating.judging.evidence import load
    from energy_rating.publishers import text

    read = load(record)
    chosen: Sequence[str | None] = (
        tuple(reversed(schemes.schemes())) if all_schemes else tuple(dict.fromkeys(names)) or (None,)
    )
    found = [rating.judge(read, scheme=name, provisional=provisional) for name in chosen]
    if as_json:
        entries = [{**rating.rating_to_json(item.rating), "checked": read.checked} for item in found]
        _print(_dumped(entries[0] if len(entries) == 1 else entries))
        return
    for number, item in enumerate(found):
        if number:
            _print("")
        _print(text.judgement(item))
        if explain:
            _print("")
            _print(text.explanation(item))
    _print_unchecked(read)


def _share(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A share: ``5%``, ``5 %`` or ``0.05``."""
    if value is None:
        return None
    try:
        share = float(value.strip().removesuffix("%")) / (100 if value.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1000:
        raise click.BadParameter(f"{value[:40]!r} is no share such as 5% or 0.05", ctx, param)
    return share


@cli.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--unit", help="Unit of work to compare by. Default: the one that the task is rated by.")
@click.option(
    "--component", type=click.Choice(COMPONENTS), help="Whose energy. Default: the first that both measured."
)
@click.option(
    "--fail-if-worse",
    "limit",
    callback=_share,
    metavar="5%",
    help="Exit with 1 when B needs more than A by more than this share, with 95 % confidence. Without a verdict nothing fails.",
)
@json_option
def compare(
    a: Path, b: Path, unit: str | None, component: Component | None, limit: float | None, as_json: bool
) -> None:
    """Which of two records needs less energy, by how much, and whether the doubt allows saying so.

    A and B are records or the folders of runs, of the same task under the same protocol. For a build: A is the one before.
    """
    from energy_rating.judging import comparison
    from energy_rating.judging.evidence import load
    from energy_rating.publishers import text

    read = load(a), load(b)
    found = comparison.compare(*read, unit=unit, component=component)
    if as_json:
        checked = {"a": read[0].checked, "b": read[1].checked}
        _print(_dumped({**comparison.comparison_to_json(found), "checked": checked}))
    else:
        _print(text.comparison(found))
        for letter, record in zip("AB", read, strict=True):
            _print_unchecked(record, f"{letter}: ")
    if limit is not None and found.notes:
        _tell(f"--fail-if-worse: there is no verdict, and without one nothing fails: {found.notes[0]}")
    if limit is not None and found.worse_by(limit):
        _tell(
            f"--fail-if-worse: B is worse than A by more than {100 * limit:g} %: "
            f"at least {100 * (found.interval_95[0] - 1):.1f} % with 95 % confidence"
        )
        sys.exit(1)


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--to", metavar="PROFILE", help="Hardware profile. Default: the scheme's reference device.")
@click.option("--unit", help="Unit of work, such as token. Default: the task's.")
@json_option
def normalise(record: Path, to: str | None, unit: str | None, as_json: bool) -> None:
    """What a record's energy would be on another device, or every reason why that cannot be told.

    What was measured stays the headline; the normalised figure stands second, with its tier and a 90 % interval.
    """
    from energy_rating.judging.evidence import load
    from energy_rating.judging.normalisation import normalise as normalised
    from energy_rating.judging.normalisation import normalised_to_json
    from energy_rating.publishers import text

    read = load(record)
    found = normalised(read, to, unit=unit)
    if as_json:
        _print(_dumped({**normalised_to_json(found), "checked": read.checked}))
    else:
        _print(text.normalised(found))
        _print_unchecked(read)


@cli.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder that the device's profile is written to. Default: that of your own profiles, which all commands read.",
)
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the runs; what is done there is not done again. Default: calibration under the state folder.",
)
@click.option(
    "--reference", metavar="PROFILE", help="Hardware profile. Default: the scheme's reference device."
)
@click.option(
    "--as-reference",
    is_flag=True,
    help="This is the reference device: write its energies, for others to compare with.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="CLASS",
    help="Only this class of workloads; may be repeated.",
)
@click.option(
    "--trial",
    is_flag=True,
    help="The smallest models, in a minute, to see the road; no factor is made of them.",
)
@click.option("--again", is_flag=True, help="Measure also what is done.")
@click.option(
    "--budget",
    type=click.FloatRange(1.0),
    default=600.0,
    show_default=True,
    metavar="S",
    help="Seconds after which no model is begun; started again, it goes on.",
)
@click.option(
    "--cooldown",
    type=click.FloatRange(0.0, 3600.0),
    default=5.0,
    show_default=True,
    metavar="S",
    help="Seconds of rest between two models.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the models.")
@json_option
def calibrate(
    output: Path | None,
    records: Path | None,
    reference: str | None,
    as_reference: bool,
    classes: Sequence[str],
    trial: bool,
    again: bool,
    budget: float,
    cooldown: float,
    seed: int,
    as_json: bool,
) -> None:
    """Measures this GPU's own factors to the reference device, and writes them into a profile of its own.

    Small models of random weights are run, in a random order, and their energies compared with those that the reference took.
    """
    from energy_rating import calibration

    found = calibration.calibrate(
        output,
        records=records,
        reference=reference,
        as_reference=as_reference,
        classes=classes,
        trial=trial,
        again=again,
        budget_s=budget,
        cooldown_s=cooldown,
        seed=seed,
        tell=_tell,
        progress=progress_line(),
    )
    if as_json:
        _print(_dumped(calibration.calibration_to_json(found)))
    else:
        _print(calibration.calibration_to_text(found))


@cli.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--zone",
    metavar="FRA",
    help="Country whose carbon factor to use, by its three letters. Default: where the record says that it ran.",
)
@json_option
def impact(record: Path, zone: str | None, as_json: bool) -> None:
    """The carbon of a record's energy, location-based, by a country's yearly factor."""
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import footprint, zone_of
    from energy_rating.judging.profiles import is_example
    from energy_rating.nouns.records import plain
    from energy_rating.publishers import text

    measured = load(record)
    if zone is None and zone_of(measured) is None:
        raise click.UsageError(
            "Missing option '--zone': the record does not say where it ran. Name the country, such as --zone FRA."
        )
    with _strays_apart():
        found = footprint(measured, zone=zone)
    if as_json:
        _print(_dumped({**plain(found), "checked": measured.checked}))
    else:
        _print(text.impact(found, example=is_example(measured)))
        _print_unchecked(measured)


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
@provisional_option
def label(record: Path, output: Path, scheme: str | None, provisional: bool) -> None:
    """Draws the label of a record, as SVG or PNG."""
    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.rating import rate as rated
    from energy_rating.publishers import label as labels

    if output.suffix not in (".svg", ".png"):
        raise BadInput("is neither .svg nor .png", "Name the file label.svg or label.png", place=output)
    found = load(record)
    rating = rated(found, scheme=scheme, provisional=provisional)
    if output.suffix == ".svg":
        write_whole(output, labels.svg(found, rating).encode())
    else:
        write_whole(output, labels.png(found, rating))
    _print(f"Label: {output}")
    _print_unchecked(found)


@cli.command()
@click.argument("readme", type=click.Path(path_type=Path))
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@click.option("--label", help="Path of the label's picture as the card is to link it, such as label.png.")
@click.option(
    "--zone",
    metavar="FRA",
    help="Country of a training run: writes co2_eq_emissions into the metadata. Default: where the record says that it ran.",
)
@click.option("--scheme", help="Scheme to rate under. Default: the newest.")
@provisional_option
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
    provisional: bool,
    overwrite: bool,
    remove: bool,
) -> None:
    """Writes or refreshes the section in a model card; every other byte stays as it is."""
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import check_zone, footprint
    from energy_rating.judging.rating import rate as rated
    from energy_rating.nouns.records import TRAINING
    from energy_rating.publishers.card import emissions_of_others, remove_card_file, update_card_file

    found: list[Record] = []
    if remove:
        changed = remove_card_file(readme)
    else:
        if not records:
            raise BadInput(
                "there is no record to write from", "Name a record.json or the folder of a run", place=readme
            )
        found = [load(path) for path in records]
        carbon = None
        if zone is not None:
            check_zone(zone)
            for record in found:
                if record.stage in TRAINING:
                    carbon = footprint(record, zone=zone)
        elif overwrite or not emissions_of_others(readme):
            for record in found:
                if record.stage in TRAINING:
                    carbon = _carbon_where_it_ran(record) or carbon
        changed = update_card_file(
            readme,
            found,
            ratings=[rated(record, scheme=scheme, provisional=provisional) for record in found],
            impact=carbon,
            label=label,
            overwrite=overwrite,
        )
    _print(f"{'Written' if changed else 'Unchanged'}: {readme}")
    for record in found:
        _print_unchecked(record, f"{record.run_id}: " if len(found) > 1 else "")


def _carbon_where_it_ran(record: Record) -> Impact | None:
    """The carbon at the place that a record says; None, and a line, where it says one of which nothing can be told."""
    from energy_rating.judging.footprint.carbon import footprint, zone_of

    if zone_of(record) is None:
        return None
    try:
        found = footprint(record)
    except EnergyRatingError as error:
        _tell(f"no emissions are written: {error}")
        return None
    if found.validity == "invalid":
        _tell(f"no emissions are written: the measurement {found.measurement!r} is invalid")
        return None
    _tell(f"emissions are those of {found.zone_name} ({found.zone}), where the record says that it ran")
    return found


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Also ask whether the journal itself can be true.")
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
@json_option
def verify(folder: Path, strict: bool, tolerance: float, calibration: Path | None, as_json: bool) -> None:
    """Makes record, rating, label and card again from the journal, and says what differs.

    FOLDER is that of a run. Exit code 0: all agrees; 1: something differs, is missing or cannot be checked, or, with --strict, is not plausible.
    """
    from energy_rating import verification

    found = verification.verify(folder, strict=strict, tolerance=tolerance, calibration=calibration)
    if as_json:
        _print(_dumped(verification.verification_to_json(found)))
    else:
        _print(verification.verification_to_text(found))
    sys.exit(0 if found.agrees and found.plausible else 1)


@cli.command()
@click.argument("name", required=False)
@json_option
def tasks(name: str | None, as_json: bool) -> None:
    """The tasks that ship, with their protocols; with NAME, one of them in full."""
    from energy_rating.nouns.records import plain
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
    from energy_rating.judging.profiles import load_profile
    from energy_rating.judging.profiles import profiles as known
    from energy_rating.nouns.records import plain
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
    from energy_rating.judging.schemes import load_scheme
    from energy_rating.judging.schemes import schemes as known
    from energy_rating.nouns.records import plain
    from energy_rating.publishers import text

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

    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load

    exported: Callable[[Record], str] = importlib.import_module(f"energy_rating.publishers.{form}").export
    content = exported(load(record))
    if output is None:
        _write(content)
    else:
        write_whole(output, content.encode())
        _print(f"Written: {output}")


def _print_unchecked(record: Record, whose: str = "") -> None:
    """A line, where what was just printed rests on a record that nobody held against its journal."""
    from energy_rating.publishers import words

    if told := words.unchecked(record):
        _print(f"{whose}{told[0].upper()}{told[1:]}" if not whose else f"{whose}{told}")


def _print_record(record: Record) -> None:
    from energy_rating.files.record import record_to_json
    from energy_rating.publishers.strangers import in_json

    _write(in_json(record_to_json(record)))


def _dumped(value: object) -> str:
    from energy_rating.publishers.strangers import in_json

    return in_json(json.dumps(value, indent=2, ensure_ascii=False))


def _print(text: str) -> None:
    """Prints to a terminal that may be anyone's: without control characters that strangers could have put into names."""
    from energy_rating.publishers.strangers import for_terminal

    _write(for_terminal(text) + "\n")


def _write(text: str) -> None:
    """Writes to standard output.

    Raises:
        BrokenPipeError: the reader went away.
        EnergyRatingError: it is closed or full.
    """
    if sys.stdout is None:
        raise EnergyRatingError("standard output is closed", "Leave it open, or name a file")
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        _let_go_of_output()
        raise EnergyRatingError(
            f"standard output cannot be written to: {error.strerror or type(error).__name__}",
            "Make room, or write elsewhere",
        ) from error


@contextlib.contextmanager
def _strays_apart() -> Iterator[None]:
    """What libraries print meanwhile, from Python or from C, goes to standard error: standard output is the command's answer."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # one of the streams is closed
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def _let_go_of_output() -> None:
    """What could not be written would be tried once more at the very end, and fail with a traceback."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(line: str) -> None:
    try:
        from energy_rating.publishers.strangers import for_terminal
    except (ImportError, MemoryError):
        # Where memory is short, not even this may load: the letters that harm no terminal.

        def for_terminal(text: str) -> str:
            return "".join(letter if " " <= letter <= "~" else "?" for letter in text)

    with contextlib.suppress(
        OSError
    ):  # standard error is full: then nothing can be said, and the exit code has to do
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
        error.__traceback__ = None  # as for want of memory
        _tell(f"error: {error}")
        sys.exit(1)
    except MemoryError as error:
        error.__traceback__ = None  # lets go of what was half read, and leaves room to say so
        _tell("error: there is not enough memory. Use a machine with more, or see what limits it: ulimit -v")
        sys.exit(1)
    except (ArithmeticError, ValueError) as error:
        # A figure that nobody thought of: the type tells whoever mends it where to look.
        said = " ".join(str(error).split())[:300]
        _tell(f"error: unexpected {type(error).__name__}: {said or 'no more is known'}. Please report it")
        sys.exit(1)
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, and nothing more can be said.
        _let_go_of_output()
        sys.exit(0)
    except OSError as error:
        written = error.filename is None and _is_of_click(error)
        _let_go_of_output()
        why = error.strerror or type(error).__name__
        if written:  # click itself has printed: --help, --version
            _tell(f"error: standard output cannot be written to: {why}. Make room, or write elsewhere")
        elif error.filename:
            _tell(f"error: {error.filename}: {why}. See whether it has room, and may be used")
        else:
            _tell(f"error: a file could not be read or written: {why}. See whether its disk has room")
        sys.exit(1)


def _is_of_click(error: OSError) -> bool:
    """Whether it was raised where click prints."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(module).partition(".")[0] == "click"
