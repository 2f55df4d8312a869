"""What a run is of, where it writes and what measures it: all that is settled before it begins. Checks nothing; ``meter`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns.entries import Load, Model, Place, Stage, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """The arguments of ``energy_rating.measure``, checked; ``environ`` is the environment that ranks and folders are found by.

    ``sensors`` None: all that answer. ``report`` None: nothing is said at the end. ``period_s`` is that of sensors without ticks.
    """

    stage: Stage
    model: Model | None
    task: Task | None
    load: Load | None
    files: Mapping[str, str]
    place: Place | None
    output_dir: Path | None
    sensors: Sequence[str | Sensor | Detection] | None
    period_s: float
    resume: bool
    clock: Clock
    report: Callable[[str], None] | None
    environ: Mapping[str, str]
