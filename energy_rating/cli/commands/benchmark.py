"""``energy-rating benchmark``: a protocol with a model, one run or many, and the rating of each."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.benchmarking.settings import Conduct, Settings
from energy_rating.cli.options import (
    declared_options,
    json_option,
    lineage_of,
    output_dir_option,
    place_of,
    refuse_a_file,
    scheme_option,
    strict_option,
    told_options,
    zone_option,
)
from energy_rating.cli.output import as_json_text, is_clean, print_record, progress_line, say, tell
from energy_rating.nouns.errors import BadInput, EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from energy_rating.benchmarking.batches import BatchEntry, BatchResult
    from energy_rating.benchmarking.plan import Plan
    from energy_rating.judging.schemes import Scheme
    from energy_rating.meter import Run
    from energy_rating.nouns.choices import Relation


@click.command()
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
@output_dir_option
@click.option(
    "--items",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Items in place of the protocol's: JSON Lines, lines of text, or a folder of images or sounds.",
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
    help="Result file of lm-evaluation-harness, or an agent's log of the tasks that it solved.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Further argument of the engine, by its name.",
)
@declared_options(Conduct, Settings)
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
@zone_option()
@told_options
@scheme_option
@strict_option("Exit with 1 when the result is not rated.")
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
    qualities: Sequence[str],
    quality_from: Path | None,
    options: Sequence[str],
    sweep: str | None,
    batch: Path | None,
    zone: str | None,
    region: str | None,
    provider: str | None,
    role: str | None,
    base: str | None,
    relation: Relation | None,
    scheme: str | None,
    strict: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Runs a protocol with a model on this machine, and rates the result.

    MODEL is a GGUF file (llama_cpp), the folder of a model or of a pipeline (transformers, diffusers), what a server calls it
    (--endpoint), or a name (--workload command). The run's folder gets journal, record, trace, label and the section for a
    model card.
    """
    import shlex
    from dataclasses import replace

    from energy_rating.benchmarking import workloads
    from energy_rating.benchmarking.plan import planned
    from energy_rating.benchmarking.tasks import load_task
    from energy_rating.benchmarking.workloads import parse_options
    from energy_rating.judging.footprint.carbon import check_zone
    from energy_rating.judging.quality import parse_quality, read_results
    from energy_rating.judging.schemes import load_scheme

    if batch is not None or sweep is not None:
        _many(model, batch, sweep, output_dir, asked["seed"] or 0, strict, as_json)
        return
    if model is None and asked["random_weights"] is not None:
        model = f"random/{asked['random_weights'].stem}"
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    task = load_task(task_name)
    quality = [parse_quality(one, place="--quality") for one in qualities]
    plan = planned(
        task,
        protocol=protocol,
        items=items,
        quality=[*quality, *(read_results(quality_from) if quality_from is not None else ())],
        command=tuple(shlex.split(command_line or "")),
        options=parse_options(options),
        **asked,
    )
    name = workload or workloads.default_workload(task, model, endpoint=asked["endpoint"])
    plan = replace(plan, workload=name)
    rules = load_scheme(scheme)
    if zone is not None:
        check_zone(zone)
    refuse_a_file(output_dir)
    told: dict[str, Any] = {
        "place": place_of(zone, region, provider),
        "role": role,
        "lineage": lineage_of(base, relation),
    }
    run = _conducted(name, model, plan, {"id": model_id, "parameters": parameters}, output_dir, told)
    _tell_result(run, rules, zone, strict=strict, as_json=as_json)


def _conducted(
    workload: str,
    model: str,
    plan: Plan,
    known: Mapping[str, object],
    output_dir: Path | None,
    told: Mapping[str, Any],
) -> Run:
    """The run of a plan. ``known``: what the user says of the model, in place of what its workload does; ``told``: of the run."""
    from dataclasses import replace

    from energy_rating.benchmarking import conduct
    from energy_rating.benchmarking.workloads import prepare

    said: list[str] = []
    _tell_what_is_known(str(known["id"] or model), plan.task.name)
    # From here on there may be a process that only its workload's end ends.
    prepared, described = prepare(workload, model, plan.settings, plan.items)
    try:
        with contextlib.closing(prepared), _ended_in_order():
            changes: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
            return conduct.run_plan(
                prepared,
                plan,
                model=replace(described, **changes),
                output_dir=output_dir,
                progress=progress_line(),
                report=said.append,
                **told,
            )
    except (EnergyRatingError, KeyboardInterrupt, SystemExit) as error:
        if not isinstance(error, EnergyRatingError):
            tell("cancelled; the figures are what was measured until then")
        for line in said:  # what was measured until then
            tell(line)
        raise


def _tell_what_is_known(model: str, task: str) -> None:
    """Says before anything is measured what was measured of this model already. Nothing waits for it, and nothing fails for it."""
    from energy_rating.cli.commands.find import known_indexes
    from energy_rating.publishing import found
    from energy_rating.storage.search import Wanted, find

    # A file or a folder goes by its own name. What stands behind the dot of Llama-3.1-8B is no ending.
    path = Path(model)
    name = path.stem if path.suffix == ".gguf" or path.is_file() else path.name if path.is_dir() else model
    try:
        told = found.before_a_benchmark(find(Wanted(model=name), known_indexes(())), name, task)
    except EnergyRatingError:
        return
    if told:
        tell(f"{told}. See: energy-rating find {name}")


def _tell_result(run: Run, rules: Scheme, zone: str | None, *, strict: bool, as_json: bool) -> None:
    """Rates a run, writes what is made of it into its folder, and prints it."""
    from energy_rating.judging.footprint.carbon import footprint
    from energy_rating.judging.rating import judge
    from energy_rating.publishing.facts import facts_of
    from energy_rating.publishing.folder import publish
    from energy_rating.publishing.terminal import ratings, records

    record = run.record
    judged = judge(record, scheme=rules)
    impact = footprint(record, zone=zone) if zone else None
    written = publish(run.folder, record, judged.rating) if run.folder else ()
    if as_json:
        print_record(record)
    else:
        say(records.record(record))
        say("")
        say(ratings.judgement(judged, facts_of(record, judged)))
        if impact is not None:
            say("")
            say(records.impact(impact))
        say("")
        say(records.files(written))
    if strict and judged.rating.stars is None:
        tell("--strict: the result is not rated")
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
    from energy_rating.benchmarking import batches
    from energy_rating.benchmarking import tables as publisher

    if output_dir is None:
        raise BadInput(
            "a batch needs a folder for its runs", "Name it with --output-dir", place="--output-dir"
        )
    if batch is not None and (model is not None or sweep is not None):
        raise BadInput(
            "a batch names its models and settings itself", "Leave MODEL and --sweep out", place="--batch"
        )
    refuse_a_file(output_dir)
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
    entries, swept = _entries(model, batch, sweep, known, given)
    with _ended_in_order():
        outcomes = batches.run_batch(entries, output_dir, seed=seed, tell=tell)
    written = _tables(outcomes, output_dir, swept)
    if as_json:
        header, rows = publisher.rows(outcomes)
        say(as_json_text([dict(zip(header, row, strict=True)) for row in rows]))
    else:
        say(publisher.as_text(outcomes))
        say("")
        say("\n".join(str(path) for path in written))
    failed = sum(outcome.record is None for outcome in outcomes)
    if failed:
        tell(f"error: {failed} of {len(outcomes)} runs failed; started again, the batch tries them again")
        sys.exit(1)
    if strict and any(not is_clean(outcome.record) for outcome in outcomes if outcome.record):
        tell("--strict: figures are degraded; see the remarks in the table")
        sys.exit(1)


def _entries(
    model: str | None,
    batch: Path | None,
    sweep: str | None,
    known: Mapping[str, click.Option],
    given: Mapping[str, Any],
) -> tuple[Sequence[BatchEntry], str]:
    """The runs of a batch's file, or of a sweep; and the option that is swept."""
    from energy_rating.benchmarking import batches
    from energy_rating.benchmarking.options import refuse_unknown

    if batch is not None:
        if set(given) - {"seed"}:
            raise BadInput(
                "the settings of a batch are in its file",
                "Put them under [defaults]",
                place=f"--{min(set(given) - {'seed'})}",
            )
        return batches.read_batch(batch, known), ""
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    swept, _, values = (sweep or "").replace(" ", "").partition("=")
    swept = swept.lstrip("-").replace("-", "_")
    refuse_unknown([swept], known, "--sweep")
    return batches.swept(model, given, swept, [value for value in values.split(",") if value]), swept


def _tables(outcomes: Sequence[BatchResult], folder: Path, swept: str) -> list[Path]:
    """Writes the table of a batch, of a sweep also the curve; returns where."""
    from energy_rating.benchmarking import tables as publisher
    from energy_rating.files.whole import write_whole

    written = {
        "table.csv": publisher.as_csv(outcomes).encode(),
        "table.md": publisher.as_markdown(outcomes).encode(),
    }
    if swept and publisher.can_be_drawn(outcomes, swept):
        for kind in ("png", "svg"):
            written[f"{swept}.{kind}"] = publisher.load_curve(outcomes, swept, kind=kind)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in written.items():
        write_whole(folder / name, content)
    return [folder / name for name in written]


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
    caught = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
