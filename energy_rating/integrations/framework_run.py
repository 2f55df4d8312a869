"""The run of a training that a framework conducts: begun, counted into and ended by its hooks, in whichever order and however often they come.

A framework leaves hooks out where it is broken off, calls some twice, and tells of ends that had no begin. So everything in here may be
called at any time: what is open already stays open, what is not open is not closed, what has ended has ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from energy_rating.integrations.guard import Guard
from energy_rating.meter import Run, measure
from energy_rating.nouns.entries import Model, Number
from energy_rating.nouns.errors import NotMeasured
from energy_rating.nouns.records import Record
from energy_rating.publishing import readme as readmes

STEP, EPOCH, EVALUATION = "step", "epoch", "evaluation"

# While a training goes on, its record is made again from the journal for a card that is written meanwhile: up to this size that takes
# about a second.
LARGEST_ON_THE_WAY = 8 << 20  # bytes of journal


class FrameworkRun:
    """The run of one training, and of those that follow upon it with the same object of the framework.

    Args:
        output_dir: the run's folder, as ``measure`` takes it.
        stage: what ``measure`` takes.
        settings: what else ``measure`` takes, such as ``task``, ``place``, ``progress``.

    Raises:
        BadInput: an argument is wrong: at once, and not when the training begins.
    """

    def __init__(
        self, output_dir: str | os.PathLike[str] | None, *, stage: str = "fine-tuning", **settings: Any
    ) -> None:
        self._settings = {"stage": stage, "output_dir": output_dir, **settings}
        self._report = measure(**self._settings).settings.report
        self.guard = Guard(self.failed)
        self.run: Run | None = None
        self._going_on = False
        self._windows: dict[str, Any] = {}
        self._untold: list[str] = []
        self._last: tuple[float, dict[str, float]] | None = None

    def __reduce__(self) -> tuple[type[FrameworkRun], tuple[Any, ...], dict[str, Any]]:
        """A copy, in this or another process, is a run of its own that has not begun."""
        settings = {
            key: value for key, value in self._settings.items() if key not in ("output_dir", "report")
        }
        return FrameworkRun, (self._settings["output_dir"],), {"settings": settings}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._settings.update(state["settings"])

    @property
    def is_going_on(self) -> bool:
        """Whether it is being measured now."""
        return self._going_on

    def begin(self, *, model: Model | None = None, resume: bool = False, **settings: Any) -> Run:
        """Begins to measure; what goes on already is left as it is. ``model`` stands for one that was given as an argument without figures."""
        if self.run is not None and self._going_on:
            return self.run
        wanted = {**self._settings, **settings, "resume": resume}
        given = self._settings.get("model")
        if model is not None:
            wanted["model"] = _named(model, given)
        self.run = measure(**wanted)
        self._going_on = True
        self._windows, self._last = {}, None
        self.run.__enter__()
        untold, self._untold = self._untold, []
        for message in untold:
            self.run.tell("hook-failed", message)
        return self.run

    def end(self, raised: BaseException | None = None) -> None:
        """Ends what goes on, with its open windows. ``raised``: what the training was broken off by."""
        if self.run is None or not self._going_on:
            return
        self._going_on = False
        try:
            for name in reversed(tuple(self._windows)):
                self.close(name)
        finally:
            self.run.stop(raised)

    def open(self, name: str) -> None:
        """Opens a window; one of this name that is open stays open."""
        if self.run is not None and self._going_on and name not in self._windows:
            self._windows[name] = self.run.window(name).open()

    def is_open(self, name: str) -> bool:
        """Whether a window of this name is open."""
        return name in self._windows

    def close(self, name: str, **work: Number) -> None:
        """Closes the window of this name, with what was done in it; where none is open, what was done is counted into the run."""
        window = self._windows.pop(name, None)
        if window is not None:
            window.close(**work)
        elif work:
            self.count(**work)

    def count(self, **work: Number) -> None:
        """Counts work into the windows that are open, and so into the run."""
        if self.run is not None and self._going_on:
            self.run.count(**work)

    def tell(self, code: str, message: str, **more: Any) -> None:
        """Says something of a code that the table of findings knows; before the run has begun, once it has."""
        if self.run is not None and self._going_on:
            self.run.tell(code, message, **more)

    def failed(self, message: str) -> None:
        """A hook of ours failed: the training goes on, and what it counts may be missing."""
        if self.run is not None and self._going_on:
            self.run.tell("hook-failed", message)
        else:
            self._untold.append(message)
            if self._report is not None:
                self._report(f"{message}; the training goes on")

    def figures(self) -> dict[str, float]:
        """What is logged beside a loss: joules since the run's begin, and watts since the last call, by component; {} where nothing is known.

        ``gpu_energy_j``, ``gpu_power_w``; a component that is only estimated says so: ``cpu_estimated_energy_j``. As new as the last
        reading of a sensor (about 0.1 s), and to look at: what was measured is in the record.
        """
        if self.run is None or not self._going_on:
            return {}
        now, found = time.monotonic(), {}
        joules = {}
        for component, (amount, method) in self.run.energy_so_far().items():
            joules[f"{component}{'_estimated' if method == 'model' else ''}"] = amount
        for name, amount in joules.items():
            found[f"{name}_energy_j"] = amount
            if self._last is not None and name in self._last[1] and now > self._last[0]:
                found[f"{name}_power_w"] = (amount - self._last[1][name]) / (now - self._last[0])
        if self._last is None or now - self._last[0] >= 0.5:
            self._last = now, joules
        return found

    def record(self) -> Record | None:
        """The record: after the end; while it goes on, of what was measured so far, if that is quickly said. None where there is none."""
        if self.run is None:
            return None
        try:
            if not self._going_on:
                return self.run.record
            journal = self.run.journal
            if journal is not None and journal.stat().st_size > LARGEST_ON_THE_WAY:
                return None
            return self.run.so_far()
        except (NotMeasured, OSError):
            return None

    def into_card(
        self, readme: str | os.PathLike[str], *, before: str | None = None, others: Sequence[Record] = ()
    ) -> bool:
        """Puts the section into a model card that a framework has just written. Says whether it stands there now.

        Args:
            readme: the card; where there is none, none is made.
            before: what the card was before the framework wrote it: a section that it held is put back where there is no newer one.
            others: records that are told beside this one.
        """
        path = Path(readme)
        if not path.is_file():
            return False
        record = self.record()
        return readmes.put(path, [record, *others] if record is not None else [], before=before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        self.end(raised)


def _named(model: Model, given: object) -> Model:
    """The model as the framework has it, under the name that the user has given."""
    from dataclasses import replace

    if isinstance(given, Model):
        return given
    return replace(model, id=given) if isinstance(given, str) else model
