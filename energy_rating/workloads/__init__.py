"""The workloads: one file a way to run a model. Also the one place that knows how to wait for devices' queues.

To add a way, put a module here that has::

    def prepared(model: str, settings: Settings) -> tuple[Workload, Model]: ...

which checks the model, describes it, loads nothing yet, and raises ``BadInput`` with the remedy where it cannot be run.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from energy_rating.errors import BadInput
from energy_rating.records import Model, Number


class Workload(Protocol):
    """A model that can be asked to work."""

    def load(self) -> None:
        """Loads the model; returns when it is ready."""

    def run(self, items: Sequence[str]) -> Mapping[str, Number]:
        """Does the items and returns the work, by unit, when it is really done: device queues are drained."""

    def close(self) -> None:
        """Lets go of everything. May be called twice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a protocol wants the model run. None: the workload's own default."""

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    batch_size: int = 1
    seed: int = 0
    dtype: str | None = None
    command: tuple[str, ...] = ()


def workloads() -> tuple[str, ...]:
    """The names of all workloads."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def prepare(name: str, model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload of that name for a model, and what the model is. Nothing is loaded yet.

    Raises:
        BadInput: there is no such workload, or it cannot run this model.
    """
    if name not in workloads():
        raise BadInput(
            f"there is no workload {name[:80]!r}", f"There are: {', '.join(workloads())}", place="--workload"
        )
    found: tuple[Workload, Model] = importlib.import_module(f"{__name__}.{name}").prepared(model, settings)
    return found


def drain_queues() -> None:
    """Waits until the devices have done what this process asked of them, in the frameworks it has already loaded.

    Imports nothing and creates no context: only devices that this process uses are waited for.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            # A device without memory of ours has no context of ours; synchronising would create one.
            if torch.cuda.memory_reserved(index) or index == torch.cuda.current_device():
                torch.cuda.synchronize(index)
    jax = sys.modules.get("jax")
    if jax is not None:
        jax.effects_barrier()
        for array in jax.live_arrays():
            array.block_until_ready()
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        cupy.cuda.runtime.deviceSynchronize()
