"""``energy-rating measure``: any command inside a run; its exit code and its signals pass through."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import (
    json_option,
    lineage_of,
    output_dir_option,
    place_of,
    refuse_a_file,
    strict_option,
    told_options,
    zone_option,
)
from energy_rating.cli.output import is_clean, let_go_of_output, print_record, tell
from energy_rating.nouns.choices import STAGES
from energy_rating.nouns.errors import EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from energy_rating.nouns.choices import Relation
    from energy_rating.nouns.records import Record


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@output_dir_option
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
    "--quality-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File that the command writes: results of lm-evaluation-harness, or an agent's log of the tasks that it solved.",
)
@click.option(
    "--period",
    type=click.FloatRange(0.005, 60.0),
    default=0.1,
    show_default=True,
    help="Seconds between readings.",
)
@zone_option()
@told_options
@click.option("--resume", is_flag=True, help="Go on with the run in --output-dir.")
@strict_option("Exit with 1 when a finding degrades the figures.")
@json_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def measure(
    output_dir: Path | None,
    stage: str,
    model: str | None,
    task: str | None,
    counts: Sequence[str],
    count_from: Path | None,
    quality_from: Path | None,
    period: float,
    zone: str | None,
    region: str | None,
    provider: str | None,
    role: str | None,
    base: str | None,
    relation: Relation | None,
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
    refuse_a_file(output_dir)
    last_lines = _LastLines(meter.to_stderr)
    run = meter.measure(
        stage,
        model=model,
        task=task,
        output_dir=output_dir,
        period_s=period,
        resume=resume,
        place=place_of(zone, region, provider),
        role=role,
        lineage=lineage_of(base, relation),
        report=last_lines.say,
    )
    counted = dict(parse_count(count, place="--count") for count in counts)

    def ended() -> None:
        if as_json:
            last_lines.wait()
        if quality_from is not None:
            _judge(run, quality_from, counts_tasks="task" not in counted)

    with last_lines:
        code = run_command(command, run, counts=counted, count_from=count_from, ended=ended)
        record = _record_or_none(run)
        if zone is not None and record is not None:
            _tell_carbon(record, zone)
        if as_json and record is not None:
            try:
                print_record(record)
            except BrokenPipeError:
                let_go_of_output()  # the reader went away; the command's own exit code stands
            except EnergyRatingError as error:
                last_lines.end_with(f"error: {error}")
                code = code or 1
    if strict and code == 0 and run.makes_record and (record is None or not is_clean(record)):
        tell("--strict: the figures are degraded; see the findings in the record")
        code = 1
    sys.exit(code)


class _LastLines:
    """Says what a run says. What it says at its end waits for whether its record can be printed, so that this is one line with it."""

    def __init__(self, to_stderr: Callable[[str], None]) -> None:
        self._to_stderr = to_stderr
        self._kept: list[str] | None = None

    def say(self, line: str) -> None:
        if self._kept is None:
            self._to_stderr(line)
        else:
            self._kept.append(line)

    def wait(self) -> None:
        self._kept = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.end_with("")

    def end_with(self, more: str) -> None:
        """Says what was kept, and this behind it."""
        kept, self._kept = self._kept or [], None
        if more:
            kept = [*kept[:-1], "; ".join((*kept[-1:], more))]
        with contextlib.suppress(OSError):  # standard error is full: the exit code has to do
            for line in kept:
                self._to_stderr(line)


def _judge(run: Any, path: Path, *, counts_tasks: bool) -> None:
    """How good the answers were, by what the command wrote. It has done its work and is measured: what cannot be read is a finding."""
    from energy_rating.judging.outcomes import tasks_in
    from energy_rating.judging.quality import read_results

    try:
        found = read_results(path)
        tasks = tasks_in(path)
    except EnergyRatingError as error:
        # No path: it would stand in the record.
        run.tell("quality-refused", error.message, remedy=error.remedy or "Name the file with --quality-from")
        return
    for quality in found:
        run.judged(quality)
    if tasks and counts_tasks:
        run.count(task=tasks)


def _record_or_none(run: Any) -> Record | None:
    try:
        record: Record = run.record
    except EnergyRatingError:
        return None  # the run has said why; the command's own exit code stands
    return record


def _tell_carbon(record: Record, zone: str) -> None:
    from energy_rating.judging.footprint.carbon import footprint
    from energy_rating.publishing.terminal import records

    try:
        tell(records.impact(footprint(record, zone=zone)).replace("\n", " "))
    except EnergyRatingError as error:
        tell(str(error))  # the command has run and is measured; its own exit code stands
