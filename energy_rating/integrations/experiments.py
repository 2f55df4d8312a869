"""What MLflow and W&B have in common: whose run is meant, and that nothing fails, nor waits for long, where nobody answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from energy_rating.integrations.guard import Guard
from energy_rating.meter import Run
from energy_rating.nouns import threads
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record
from energy_rating.publishing.logged import LoggedRun, of_folder, of_record

# A server that does not answer is asked again and again by the libraries themselves, for minutes.
PATIENCE_S = 60.0


def say(line: str) -> None:
    """One line on standard error."""
    if sys.stderr is not None:
        print(f"energy-rating: {line}", file=sys.stderr, flush=True)


def logged_of(of: Any) -> LoggedRun:
    """What is to be logged of a run: of what ``measure`` gave, of a callback or tracker of ours, of a record, or of a run's folder.

    Raises:
        BadInput: it is nothing of that.
        NotMeasured: it has not ended.
    """
    if isinstance(of, Record):
        return of_record(of)
    if isinstance(of, str | os.PathLike):
        return of_folder(Path(of))
    run = _run_of(of)
    if run is None:
        raise BadInput(
            f"must be a run, its record or its folder; got {type(of).__name__}", "Log it after its end"
        )
    return of_record(run.record, run.folder)


def _run_of(of: Any) -> Run | None:
    for _ in range(3):
        if isinstance(of, Run):
            return of
        of = getattr(of, "run", None) or getattr(of, "energy", None)
    return None


def without_failing(what: str, work: Callable[[], None], patience_s: float) -> bool:
    """Does it in a thread of its own, and waits so long. Whether it was done; if not, a line says why."""
    done: list[bool] = []

    def all_of_it() -> None:
        work()
        done.append(True)

    def at_work() -> None:
        Guard(lambda told: say(f"{told}; nothing else is affected")).call(what, all_of_it)

    thread = threads.thread(at_work, name="energy-rating-log")
    thread.start()
    thread.join(patience_s)
    if thread.is_alive():
        say(f"{what} took longer than {patience_s:g} s and is not waited for")
    return bool(done)
