"""``energy-rating calibrate``: this device's own factors, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, progress_line, say, tell

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        budget_s=budget,
        cooldown_s=cooldown,
        seed=seed,
        tell=tell,
        progress=progress_line(),
    )
    if as_json:
        say(as_json_text(calibrate.calibration_to_json(found)))
    else:
        say(calibration.calibration_to_text(found))
