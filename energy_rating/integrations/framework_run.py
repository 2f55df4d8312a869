"""The run of a training that a framework conducts: begun, counted into and ended by its hooks, in whichever order and however often they come.

A framework leaves hooks out where it is broken off, calls some twice, and tells of ends that had no begin. So everything in here may be
called at any time: what is open already stays open, what is not open is not closed, what has ended has ended.
"""

from __future__ import annotations

import inspect
import os
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

# What is no work: the arguments of measure.
OF_MEASURE = frozenset(inspect.signature(measure).parameters)

# While a training goes on, its record is made again from the journal for a card that is written meanwhile: up to this size that takes
# about a second.
LARGEST_ON_THE_WAY = 8 << 20  # bytes of journal


# A mean power over less says more of the counter's ticks (0.1 s) than of the training.
SHORTEST_MEAN_S = 0.5


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
        self.settings = {"stage": stage, "output_dir": output_dir, **settings}
        self._report = measure(**self.settings).settings.report
        self.guard = Guard(self.failed)
        self.run: Run | None = None
        self._began_with: dict[str, Any] = {}
        self._going_on = False
        self._windows: dict[str, Any] = {}
        self._untold: list[str] = []
        self._told: set[str] = set()
        self._logged: dict[
            str, tuple[float, float]
        ] = {}  # joules and time of the readings that were logged last

    def __reduce__(self) -> tuple[type[FrameworkRun], tuple[Any, ...], dict[str, Any]]:
        """A copy, in this or another process, is a run of its own that has not begun."""
        settings = {key: value for key, value in self.settings.items() if key not in ("output_dir", "report")}
        return FrameworkRun, (self.settings["output_dir"],), {"settings": settings}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.settings.update(state["settings"])

    @property
    def is_going_on(self) -> bool:
        """Whether it is being measured now."""
        return self._going_on

    def begin(self, *, model: Model | None = None, resume: bool = False, **settings: Any) -> Run:
        """Begins to measure; what goes on already is left as it is. ``model`` stands for one that was given as an argument without figures."""
        if self.run is not None and self._going_on:
            return self.run
        wanted = {**self.settings, **settings, "resume": resume or bool(self.settings.get("resume"))}
        if model is not None:
            wanted["model"] = _named(model, self.settings.get("model"))
        self._began_with = wanted
        self.run = measure(**wanted)
        self._going_on = True
        self._windows, self._logged, self._told = {}, {}, set()
        self.run.__enter__()
        untold, self._untold = self._untold, []
        for message in untold:
            self.run.tell("hook-failed", message)
        return self.run

    def begin_again(self) -> None:
        """What went on is given up, and the training begins anew: in the same folder, with what was done so far as lost work."""
        if self.run is None or not self._going_on:
            return
        folder = self.run.folder
        self.end()
        self._windows, self._logged = {}, {}
        self.run = measure(**{**self._began_with, "resume": True, "output_dir": folder})
        self._going_on = True
        self.run.__enter__()
        self.run.resumed_from(step=0)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of these arguments that the user has given."""
        return {name: self.settings[name] for name in names if self.settings.get(name) is not None}

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

    def tell_once(self, code: str, message: str, **more: Any) -> None:
        """Says it once in a run."""
        if code not in self._told:
            self._told.add(code)
            self.tell(code, message, **more)

    def failed(self, message: str) -> None:
        """A hook of ours failed: the training goes on, and what it counts may be missing."""
        if self.run is not None and self._going_on:
            self.run.tell("hook-failed", message)
        else:
            self._untold.append(message)
            self.say(f"{message}; the training goes on")

    def say(self, message: str) -> None:
        """Says it where a run says what it measured."""
        if self._report is not None:
            self._report(message)

    def joules(self) -> dict[str, float]:
        """Joules since the run began, by component; ``cpu_estimated`` where no sensor measures it. {} where nothing is known."""
        return {name: joules for name, (joules, _) in self._read().items()}

    def _read(self) -> dict[str, tuple[float, float]]:
        """Joules by component, and when it was last read."""
        if self.run is None or not self._going_on:
            return {}
        return {
            f"{component}_estimated" if known.method == "model" else component: (known.joules, known.read_s)
            for component, known in self.run.energy_so_far().items()
        }

    def figures(self) -> dict[str, float]:
        """What is logged beside a loss: joules since the run began, and watts since the last call, by component; {} where nothing is known.

        ``gpu_energy_j``, ``gpu_power_w``; a component that is only estimated says so: ``cpu_estimated_energy_j``. As new as the last
        reading of a sensor (about 0.1 s; of an estimate 1 s), and to look at: what was measured is in the record.
        """
        found = {}
        for name, (joules, read_s) in self._read().items():
            found[f"{name}_energy_j"] = rounded(joules)
            before = self._logged.get(name)
            if before is not None and read_s - before[1] >= SHORTEST_MEAN_S:
                found[f"{name}_power_w"] = rounded((joules - before[0]) / (read_s - before[1]))
            if before is None or read_s - before[1] >= SHORTEST_MEAN_S:
                self._logged[name] = joules, read_s
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
        self,
        readme: str | os.PathLike[str],
        *,
        before: str | None = None,
        others: Sequence[Record] = (),
        so_far: bool = True,
    ) -> bool:
        """Puts the section into a model card that a framework has just written. Says whether it stands there now.

        Args:
            readme: the card; where there is none, none is made.
            before: what the card was before the framework wrote it: a section that it held is put back where there is no newer one.
            others: records that are told beside this one.
            so_far: while the training goes on, tell what was measured so far; else only what the card was before is put back.
        """
        path = Path(readme)
        if not path.is_file():
            return False
        record = self.record() if so_far or not self._going_on else None
        return readmes.put(path, [record, *others] if record is not None else [], before=before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        self.end(raised)


class Conducted:
    """What a callback or a tracker of a framework has of its run: ``energy``, set by whoever is one."""

    energy: FrameworkRun

    @property
    def guard(self) -> Guard:
        return self.energy.guard

    @property
    def record(self) -> Record | None:
        """The record: after the end; while it goes on, of what was measured so far. None where there is none."""
        return self.energy.record()


def _named(model: Model, given: object) -> Model:
    """The model as the framework has it, under the name that the user has given."""
    from dataclasses import replace

    if isinstance(given, Model):
        return given
    return replace(model, id=given) if isinstance(given, str) else model


def rounded(number: float) -> float:
    """For a log: more digits than a sensor has would be none."""
    return float(f"{number:.6g}")
