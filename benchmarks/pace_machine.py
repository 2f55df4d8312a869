"""A GPU of 300 W whose counter ticks every 0.1 s, for both sides of ``pace``: what a sensor is has not changed between them."""

from __future__ import annotations

import time

try:
    from energy_rating.measuring.sensors import Channel, Reading
except ModuleNotFoundError:  # as it was before
    from energy_rating.sensors import Channel, Reading  # type: ignore[import-not-found,no-redef]

WATTS = 300.0


class Machine:
    """One GPU in real time."""

    def __init__(self, number: int) -> None:
        self.channels = tuple(
            Channel(
                id=f"gpu{number}.{kind}",
                component="gpu",
                device=f"GPU-{number:08d}",
                method="counter" if kind == "energy" else "power",
                accuracy=0.04,
                period_s=None if kind == "energy" else 0.1,
            )
            for kind in ("energy", "power")
        )
        self._since_s = time.monotonic()

    def read(self) -> Reading:
        ticks = int((time.monotonic() - self._since_s) / 0.1)
        return {self.channels[0].id: 1e6 + WATTS * 0.1 * ticks, self.channels[1].id: WATTS}

    def close(self) -> None:
        """Nothing to close."""
