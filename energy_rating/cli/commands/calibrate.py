"""``energy-rating calibrate``: this device's own factors, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, progress_line, say, tell
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


@click.command()
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
    help="The smallest models, in a minute, to try it out; no factor is made of them.",
)
@click.option("--again", is_flag=True, help="Measure also what is done.")
@click.option(
    "--budget",
    type=click.FloatRange(1.0),
    metavar="S",
    help="Seconds after which no model is begun; started again, it goes on. Default: 600, and with --published none.",
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
@click.option(
    "--published",
    is_flag=True,
    help="Against public models whose energy on the reference device was published, under the same protocol. Says first what it "
    "would run, fetch and refuse, and how long that takes.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="TASK",
    help="With --published: only models of this task; may be repeated.",
)
@click.option(
    "--models",
    type=click.IntRange(2, 4),
    default=3,
    show_default=True,
    metavar="N",
    help="With --published: so many of each class, 2 to 4.",
)
@click.option(
    "--model",
    "local",
    multiple=True,
    metavar="NAME=FOLDER",
    help="With --published: this model is on disk, in that folder; may be repeated.",
)
@click.option(
    "--items",
    "items",
    multiple=True,
    metavar="TASK=FILE",
    help="With --published: the published items of a task, where no hub can be reached; may be repeated.",
)
@click.option(
    "--download", is_flag=True, help="With --published: models and items may be fetched from a hub."
)
@click.option("--dry-run", is_flag=True, help="With --published: only say what would be done.")
@click.option("--yes", is_flag=True, help="With --published: do not ask before it starts.")
@json_option
def calibrate(
    output: Path | None,
    records: Path | None,
    reference: str | None,
    as_reference: bool,
    classes: Sequence[str],
    trial: bool,
    again: bool,
    budget: float | None,
    cooldown: float,
    seed: int,
    published: bool,
    tasks: Sequence[str],
    models: int,
    local: Sequence[str],
    items: Sequence[str],
    download: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Measures this GPU's own factors to the reference device, and writes them into a profile of its own.

    Small models of random weights are run, in a random order, and their energies compared with those that the reference took. With
    --published, public models are run as they were published for the reference device, and compared with that.
    """
    if published:
        _refuse_beside_published(reference, as_reference=as_reference, trial=trial)
        _published(
            {
                "classes": classes,
                "tasks": tasks,
                "models": models,
                "local": _paths(local, "--model", "NAME=FOLDER"),
                "items": _paths(items, "--items", "TASK=FILE"),
                "download": download,
            },
            {
                "output": output,
                "records": records,
                "again": again,
                "budget_s": budget,
                "cooldown_s": cooldown,
                "seed": seed,
            },
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
        return
    for flag, given in {
        "--task": tasks,
        "--model": local,
        "--items": items,
        "--download": download,
        "--dry-run": dry_run,
    }.items():
        if given:
            raise click.UsageError(f"{flag} goes with --published.")
    from energy_rating.benchmarking.calibration import calibrate
    from energy_rating.cli.texts import calibration

    found = calibrate.calibrate(
        output,
        records=records,
        reference=reference,
        as_reference=as_reference,
        classes=classes,
        trial=trial,
        again=again,
        budget_s=calibrate.BUDGET_S if budget is None else budget,
        cooldown_s=cooldown,
        seed=seed,
        tell=tell,
        progress=progress_line(),
    )
    if as_json:
        say(as_json_text(calibrate.calibration_to_json(found)))
    else:
        say(calibration.calibration_to_text(found))


def _refuse_beside_published(reference: str | None, *, as_reference: bool, trial: bool) -> None:
    for flag, given in (("--reference", reference), ("--as-reference", as_reference), ("--trial", trial)):
        if given:
            raise click.UsageError(f"{flag} and --published exclude each other.")


def _paths(given: Sequence[str], flag: str, form: str) -> dict[str, Path]:
    found = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"must be of the form {form}; got {one[:80]!r}", param_hint=flag)
        found[name] = Path(path)
    return found


def _published(
    wishes: dict[str, Any], conduct: dict[str, Any], *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    from energy_rating.benchmarking.calibration import against, calibrate
    from energy_rating.cli.texts import calibration

    plan = against.published_plan(**wishes)
    if as_json and dry_run:
        say(as_json_text(against.plan_to_json(plan)))
        return
    (tell if as_json else say)(calibration.plan_to_text(plan))
    if dry_run:
        return
    if plan.chosen.models and not yes:
        if not sys.stdin.isatty():
            raise BadInput(
                "nobody can be asked whether to start",
                "Say --yes to start, or --dry-run to see only what would be done",
                place="calibrate --published",
            )
        if not click.confirm("Start?", err=True):
            return
    found = against.calibrate_published(plan, tell=tell, progress=progress_line(), **conduct)
    if as_json:
        say(as_json_text(calibrate.calibration_to_json(found)))
    else:
        say("")
        say(calibration.calibration_to_text(found))
