"""A journal as a sensor: what was read then is read again now, at the same pace. For demonstrations, tests and studies.

The values are those that were written; between two lines the earlier one holds, as a register's does. Not looked for by itself:
``measure(sensors=replay.sensors("reports/run-1"))``.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from energy_rating.files.reading import read_journal
from energy_rating.measuring.sensors import Reading
from energy_rating.nouns.errors import SensorFailed, SensorLost
from energy_rating.nouns.records import Channel, Samples

COMPONENTS: tuple[str, ...] = ()


def sensors(
    journal: str | Path, *, session: int = 0, now: Callable[[], float] = time.monotonic
) -> tuple[Replay, ...]:
    """One sensor for each device in a session of a journal. Their common time starts with the first reading.

    Args:
        journal: a journal's file, or the folder of a run.
        session: which session of a resumed run, from 0.
        now: the clock to replay by, in seconds.

    Raises:
        BadInput: the journal cannot be read.
    """
    recorded = read_journal(journal).sessions[session]
    start = _Start(now, min((s.start_s[0] for s in recorded.samples.values() if len(s)), default=0.0))
    devices = dict.fromkeys(channel.device for channel in recorded.channels)
    return tuple(
        Replay(
            [channel for channel in recorded.channels if channel.device == device], recorded.samples, start
        )
        for device in devices
    )


class _Start:
    """The common beginning of all devices: the time of the first reading that anybody makes."""

    def __init__(self, now: Callable[[], float], first_s: float) -> None:
        self._now = now
        self._first_s = first_s
        self._zero: float | None = None

    def elapsed_s(self) -> float:
        now = self._now()
        if self._zero is None:
            self._zero = now
        return now - self._zero + self._first_s


class Replay:
    """One device of a journal."""

    def __init__(self, channels: Sequence[Channel], samples: Mapping[str, Samples], start: _Start) -> None:
        self._channels = tuple(channels)
        self._samples = {channel.id: samples[channel.id] for channel in channels}
        self._start = start
        self._closed = False

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        if self._closed:
            raise SensorLost("the replay was closed")
        elapsed = self._start.elapsed_s()
        values: dict[str, float | SensorFailed] = {}
        for channel_id, samples in self._samples.items():
            index = bisect_right(samples.start_s, elapsed) - 1
            if index < 0:
                values[channel_id] = SensorFailed("the journal has no reading yet at this time")
            elif index == len(samples) - 1 and elapsed > samples.end_s[-1] + 1.0:
                values[channel_id] = SensorLost("the journal has ended")
            else:
                values[channel_id] = samples.values[index]
        return values

    def close(self) -> None:
        self._closed = True
