"""A device that is read while nobody knows yet whether it belongs to the run: what it says is kept, in so much room and no more.

Other ranks of a host may use GPUs that the one that measures was told not to see. It reads them from the start, and once a rank says
that one of them is its own, all that was read of it is written as if it had been known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from energy_rating.measuring.sensors import Detection, Sensor

# Of more readings than this every second one is dropped, but for the first: an hour of them takes no more room than some minutes.
MOST_KEPT, FIRST_KEPT = 5000, 1000


class Aside:
    """One sensor read aside: what it is, and what it said so far."""

    __slots__ = ("detection", "devices", "lines")

    def __init__(self, detection: Detection) -> None:
        self.detection = detection
        self.devices = frozenset(
            channel.device for sensor in detection.sensors for channel in sensor.channels
        )
        self.lines: list[dict[str, Any]] = []

    @classmethod
    def of(cls, sensor: Sensor, detection: Detection) -> Aside:
        """What a detection says of one of its sensors."""
        ids = {channel.id for channel in sensor.channels}
        devices = {channel.device for channel in sensor.channels}
        return cls(
            replace(
                detection,
                sensors=(sensor,),
                devices=tuple(one for one in detection.devices if one.id in devices),
                findings=tuple(one for one in detection.findings if one.channel in ids),
            )
        )

    def keep(self, line: dict[str, Any]) -> None:
        """Keeps a reading."""
        self.lines.append(line)
        if len(self.lines) > MOST_KEPT:
            del self.lines[FIRST_KEPT::2]
