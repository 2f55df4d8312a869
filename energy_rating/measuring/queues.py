"""Waits for the work that frameworks have put into the queues of devices. Imports none of them."""

from __future__ import annotations

import sys


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
