"""GPUs for both sides of ``pace``: what a sensor is has not changed between them. As the driver tells them: joules and watts to the thousandth,
refreshed every 0.1 s.
"""

from __future__ import annotations

import random
import time
from typing import Any

try:
    from energy_rating.measuring.sensors import Channel, Reading
except ModuleNotFoundError:  # as it was before
    from energy_rating.sensors import Channel, Reading  # type: ignore[import-not-found,no-redef]

WATTS = 300.0
TICK_S = 0.1


class Machine:
    """A GPU of always the same power, in real time."""

    def __init__(self, number: int) -> None:
        self.channels = tuple(
            Channel(
                id=f"gpu{number}.{kind}",
                component="gpu",
                device=f"GPU-{number:08d}",
                method="counter" if kind == "energy" else "power",
                accuracy=0.04,
                period_s=None if kind == "energy" else TICK_S,
            )
            for kind in ("energy", "power")
        )
        self._since_s = self.now()

    def now(self) -> float:
        return time.monotonic()

    def read(self) -> Reading:
        ticks = int((self.now() - self._since_s) / TICK_S)
        return {self.channels[0].id: 1e6 + round(WATTS * TICK_S * ticks, 3), self.channels[1].id: WATTS}

    def close(self) -> None:
        """Nothing to close."""


class Card(Machine):
    """A GPU under load on a virtual clock: its power walks, what it says has noise, a read takes 0.1 to 0.2 ms."""

    def __init__(self, number: int, clock: Any) -> None:
        self._clock = clock
        self._chance = random.Random(number)
        self._joules, self._watts = 1e6 + 1000.0 * number, WATTS
        self._ticks = 0
        super().__init__(number)
        self._since_s -= 0.0123 * number % TICK_S

    def now(self) -> float:
        return float(self._clock.now())

    def read(self) -> Reading:
        self._clock.time += 1e-4 * (1 + self._chance.random())
        ticks = int((self.now() - self._since_s) / TICK_S)
        while self._ticks < ticks:
            self._ticks += 1
            self._watts = min(max(self._watts + self._chance.gauss(0, 5), 80.0), 650.0)
            self._joules += self._watts * TICK_S
        return {
            self.channels[0].id: round(self._joules, 3),
            self.channels[1].id: round(self._watts + self._chance.gauss(0, 2), 3),
        }


def week_mb(folder: str, hours: int = 1) -> float:
    """Megabytes of the journal of a week on 8 GPUs with a window of a minute an hour, reckoned from some hours on a virtual clock."""
    from pathlib import Path

    from virtual import VirtualClock

    from energy_rating import measure

    clock = VirtualClock()
    cards = [Card(number, clock) for number in range(8)]
    run = measure(output_dir=Path(folder) / "week", sensors=cards, clock=clock, report=None).start()
    journal = Path(folder) / "week" / "journal.jsonl"
    sizes = []
    for _ in range(hours + 1):
        clock.sleep(600)
        sizes.append(journal.stat().st_size)
        with run.window("rare"):
            clock.sleep(60)
        clock.sleep(3600 - 660)
    run.stop()
    return (sizes[-1] - sizes[0]) / hours * 24 * 7 / 1e6
