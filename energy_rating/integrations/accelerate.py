"""Accelerate: ``accelerator = Accelerator(log_with=EnergyTracker("reports/run"))``.

``init_trackers`` begins the run, ``end_training`` ends it, and what ``accelerator.log({"token": n})`` says was done since the last time is
counted. Accelerate calls trackers on the main process alone, whatever they ask for. So the energy is that of the devices of its host, and
the work is that of one process, which the record says; unless it was gathered before it is logged, and ``counts="all-ranks"`` says so.

``energy.window("epoch")`` and ``energy.steps(loader)`` are the run's, and do nothing in other processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from accelerate.tracking import GeneralTracker

from energy_rating.integrations.framework_run import OF_MEASURE, Conducted, FrameworkRun
from energy_rating.integrations.guard import hook
from energy_rating.meter import Run, measure
from energy_rating.nouns.errors import BadInput

T = TypeVar("T")

# Names under which nobody logs a loss, or a total: those of what is counted.
UNITS = ("token", "sample", "image")


# Between accelerator.log and a tracker's: the guards of ours, and decorators.
_CALLERS = 8


class EnergyTracker(Conducted, GeneralTracker):  # type: ignore[misc]
    """Measures from ``init_trackers`` to ``end_training``. ``record`` is there after that; ``tracker`` is the run.

    As a ``with`` block around the training it also tells what broke that off.

    Args:
        output_dir: the run's folder, as ``measure`` takes it.
        stage: ``pre-training`` or ``fine-tuning``.
        units: what of all that is logged is work that was done since the last time.
        settings: what else ``measure`` takes (``model``, ``task``, ``counts``, ``place``, …).

    Raises:
        BadInput: an argument is wrong: at once, and not when the training begins.
    """

    name = "energy-rating"
    requires_logging_directory = False

    def __init__(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        *,
        stage: str = "fine-tuning",
        units: Collection[str] = UNITS,
        **settings: Any,
    ) -> None:
        unknown = sorted(settings.keys() - OF_MEASURE)
        if unknown:
            raise BadInput(
                "must be an argument of measure", "See help(energy_rating.measure)", place=unknown[0]
            )
        self.energy = FrameworkRun(output_dir, stage=stage, **settings)
        self.units = tuple(units)
        # Where accelerate calls no tracker: its windows and counts do nothing, and say nothing.
        self._elsewhere = measure(report=None)
        self._call = 0  # of those that one call of accelerator.log makes
        super().__init__()

    @property
    def tracker(self) -> Run:
        """The run; in other processes one that does nothing."""
        return self.energy.run or self._elsewhere

    @hook
    def start(self) -> None:
        self._call = 0
        self.energy.begin()

    @hook
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Nothing of a configuration goes into a record: it may hold paths and keys."""

    @hook
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        # A second init_trackers of one accelerator enters its trackers again and keeps those of before: what is logged then comes twice.
        self._call = (self._call + 1) % max(1, self._entries())
        work = {unit: _plain(values[unit]) for unit in self.units if unit in values}
        if work and self._call == 0:
            self.energy.count(**work)

    @hook
    def finish(self) -> None:
        self.energy.end()

    def _entries(self) -> int:
        """How many times the accelerator that logs has this tracker; 1 where the program calls it by itself."""
        frame = sys._getframe(1)
        for _ in range(_CALLERS):
            if frame.f_back is None:
                break
            frame = frame.f_back
            if (
                frame.f_code.co_name == "log"
                and frame.f_globals.get("__name__", "").partition(".")[0] == "accelerate"
            ):
                trackers = getattr(frame.f_locals.get("self"), "trackers", ())
                return sum(one is self for one in trackers)
        return 1

    def window(self, name: str, sync: bool | None = None) -> Any:
        """A window of the run, as ``run.window``."""
        return self.tracker.window(name, sync)

    def steps(self, items: Iterable[T], /, **work: Any) -> Iterable[T]:
        """The items of a loop, each in a window, as ``run.steps``."""
        return self.tracker.steps(items, **work) if self.energy.run is not None else items

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.guard.call("__exit__", self.energy.end, raised)


def _plain(value: Any) -> Any:
    """A number, of a tensor as well."""
    return value.item() if hasattr(value, "item") else value
