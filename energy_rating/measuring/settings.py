"""What a run is of, where it writes and what measures it: all that is settled before it begins. Checks nothing; ``meter`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.files.journal import MOST_LINES_IN_MEMORY
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns.entries import Counts, Lineage, Load, Model, Place, Stage, Task

# Beyond this, making the record takes more than a few seconds.
MOST_WINDOWS_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """The arguments of ``energy_rating.measure``, checked; ``environ`` is the environment that ranks and folders are found by.

    ``sync``: windows wait for the devices at their edges. ``progress_s``: how often a line says how far it has come. ``sensors`` None: all that answer. ``counts``: whose work is counted here. ``report`` None: nothing is said at the end. ``period_s`` is that of sensors without ticks.
    While no disk takes the journal, ``lines_in_memory`` of its lines are kept; of more, readings are thinned out. With more than
    ``windows_at_once`` windows the record is made by whoever asks for it, and not at the end of the program.
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
    sync: bool
    progress_s: float | None
    clock: Clock
    report: Callable[[str], None] | None
    environ: Mapping[str, str]
    role: str | None = None
    lineage: Lineage | None = None
    counts: Counts = "each-rank"
    lines_in_memory: int = MOST_LINES_IN_MEMORY
    windows_at_once: int = MOST_WINDOWS_AT_ONCE
