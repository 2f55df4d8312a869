"""The work that frameworks have put into the queues of devices: waits for it, or asks whether it is done. Imports none of them."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

FRAMEWORKS = ("torch", "jax", "cupy")


def are_any() -> bool:
    """Whether a framework is loaded that may have queues."""
    modules = sys.modules
    return "torch" in modules or "jax" in modules or "cupy" in modules


def drain_queues() -> None:
    """Waits until the devices have done what this process asked of them, in the frameworks it has already loaded.

    Imports nothing and creates no context: only devices that this process uses are waited for.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        for index in _devices_of(torch):
            torch.cuda.synchronize(index)
    jax = sys.modules.get("jax")
    if jax is not None:
        jax.effects_barrier()
        for array in jax.live_arrays():
            array.block_until_ready()
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        cupy.cuda.runtime.deviceSynchronize()


def _devices_of(torch: Any) -> Iterator[int]:
    """The CUDA devices that this process uses."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            # A device without memory of ours has no context of ours; synchronising would create one.
            if torch.cuda.memory_reserved(index) or index == torch.cuda.current_device():
                yield index


def mark() -> Callable[[], bool] | None:
    """Whether something is queued now: None if nothing is, else what tells whether it is done by then. Neither waits.

    What a framework does not tell is not known, and counts as done.
    """
    found: list[Callable[[], bool]] = []
    for name, look in (("torch", _of_torch), ("jax", _of_jax), ("cupy", _of_cupy)):
        module = sys.modules.get(name)
        if module is not None:
            found += look(module)
    if not found:
        return None

    def is_done() -> bool:
        found[:] = [one for one in found if not one()]
        return not found

    return is_done


def _of_torch(torch: Any) -> list[Callable[[], bool]]:
    found = []
    for index in _devices_of(torch):
        stream = torch.cuda.current_stream(index)
        if not stream.query():
            found.append(stream.record_event().query)
    return found


def _of_jax(jax: Any) -> list[Callable[[], bool]]:
    late = [weakref.ref(array) for array in jax.live_arrays() if not _is_ready(array)]
    return [lambda: all(_is_ready(array()) for array in late)] if late else []


def _is_ready(array: Any) -> bool:
    """Whether it is computed; one that was deleted or donated meanwhile cannot be asked any more."""
    if array is None:
        return True
    with contextlib.suppress(RuntimeError):
        return bool(array.is_ready())
    return True


def _of_cupy(cupy: Any) -> list[Callable[[], bool]]:
    stream = cupy.cuda.get_current_stream()
    if stream.done:
        return []
    event = stream.record()
    return [lambda: bool(event.done)]
