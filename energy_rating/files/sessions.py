"""What a journal says once it is read: its sessions, their readings, windows and findings. How it is read is ``reading``'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from energy_rating.files.journal import JOURNAL_SCHEMA
from energy_rating.files.windows import Checkpoint, Counted, Span
from energy_rating.nouns.records import (
    Channel,
    Condition,
    Counts,
    Environment,
    Finding,
    Job,
    Lineage,
    Load,
    Model,
    Number,
    Origin,
    Outcome,
    Place,
    Quality,
    Rank,
    Samples,
    Setting,
    Stage,
    Task,
)
from energy_rating.nouns.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """From one start to one end, orderly or not. Times are seconds since the session's start.

    ``last_s`` is the time of the last line; ``ended`` is False when the process died before it could say so.
    """

    started: str
    channels: tuple[Channel, ...]
    environment: Environment
    samples: Mapping[str, Samples]
    spans: Sequence[Span]
    findings: tuple[Finding, ...]
    last_s: float
    ended: bool
    found_s: tuple[float, ...] = ()  # when each of the findings was noted
    quality: tuple[Quality, ...] = ()
    # Of each device, when it was in what condition, oldest first.
    conditions: Mapping[str, Sequence[tuple[float, Condition]]] = field(default_factory=dict)
    # How the program ended. None: the session did not end, or is of a schema that tells nothing of it.
    outcome: Outcome | None = None
    schema: str = JOURNAL_SCHEMA
    # Where a window's work at its end does not follow from what it had counted.
    counted: tuple[Counted, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    # The step of the checkpoint from which it goes on, and when that was said.
    resumed_from: Number | None = None
    # Whose process wrote it, where its job has several on one host; and whose work it counts.
    rank: Rank | None = None
    counts: Counts = "each-rank"
    run_id: str = ""  # its own: that of the first session is the journal's
    # What other ranks counted in it, by the names of their files, where that is in its windows.
    of_others: Mapping[str, Work] = field(default_factory=dict)
    # Of the files of other ranks, how many bytes had been written when this session ended.
    sealed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """A whole journal. ``damage`` tells where it is damaged, if it is; ``reads_on``: what stands behind the hole was read."""

    run_id: str
    stage: Stage
    model: Model | None
    task: Task | None
    load: Load | None
    sessions: tuple[Session, ...]
    sha256: str
    files: Mapping[str, str] = field(default_factory=dict)
    damage: str | None = None
    reads_on: bool = False
    schema: str = JOURNAL_SCHEMA
    origin: Origin = "measured"
    place: Place | None = None
    role: str | None = None
    lineage: Lineage | None = None
    ranks: int | None = None
    nodes: int | None = None
    job: Job | None = None
    operating_point: Mapping[str, Setting] = field(default_factory=dict)
    # What the other ranks of its host wrote beside it, by the names of their files.
    others: Mapping[str, Journal] = field(default_factory=dict)
