"""What a benchmark has seen so far of its energy and of the devices' warmth. Decides nothing."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from energy_rating.files.journal import decoded
from energy_rating.files.opening import opened
from energy_rating.files.packed import Unpacker
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.records import LEADING, METHODS

LOOKS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a device was like at a time of the run, as the sampler saw it. None: it did not tell."""

    t: float
    temperature_c: float | None
    throttled_by: frozenset[str] | None


# For the eye, a second is soon enough.
EVERY_S = 1.0


class Tally:
    """The journal, read along as it grows: what was taken so far, for the eye, and what the devices are like.

    Figures are the record's; and nobody asks a device twice. ``every_s``: no more often is the journal read for the eye.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._file: IO[bytes] | None = None
        self._looked_s = -math.inf
        self._components: dict[str, tuple[str, str]] = {}  # component and method of each channel
        self._last: dict[str, tuple[float, float]] = {}  # time and value of its last reading
        self._joules: dict[str, dict[str, float]] = {}  # by component and method
        self._rest = b""
        self._unpacker = Unpacker()
        self._named: dict[str, str] = {}  # what the readings of each device are called
        self._told: dict[str, deque[Look]] = {}

    def looks(self, path: Path | None) -> Mapping[str, Sequence[Look]]:
        """The last looks at each device, oldest first, by what its readings are called; none where there is no journal."""
        if path is not None:
            with contextlib.suppress(OSError, EnergyRatingError):
                self._read(path)
        return {name: tuple(told) for name, told in self._told.items()}

    def so_far(self, path: Path | None) -> tuple[float | None, str]:
        """Joules and component; None where nothing was read."""
        now = time.monotonic()
        if path is not None and now - self._looked_s >= self._every_s:
            self._looked_s = now
            with contextlib.suppress(OSError, EnergyRatingError):
                self._read(path)
        component = next((name for name in LEADING if name in self._joules), "")
        by_method = self._joules.get(component, {})
        method = next((name for name in METHODS if name in by_method), None)
        if method is None:
            return None, component
        return by_method[method], f"{component}, estimated" if method == "model" else component

    def _read(self, path: Path) -> None:
        if self._file is None:
            self._file = opened(path)
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            entry = decoded(line + b"\n", place=path.name)
            for channel in entry.get("channels") or ():
                self._components[channel["id"]] = (channel["component"], channel["method"])
                self._named.setdefault(channel["device"], channel["id"].partition(".")[0])
            for device, told in (entry.get("condition") or {}).items():
                reasons = None if told.get("idle") else told.get("throttled_by")
                self._told.setdefault(self._named.get(device, device), deque(maxlen=LOOKS)).append(
                    Look(
                        t=entry["t"],
                        temperature_c=told.get("temperature_c"),
                        throttled_by=None if reasons is None else frozenset(reasons),
                    )
                )
            for reading in self._unpacker.of_entry(entry):
                self._add(reading["t"], reading["r"])

    def _add(self, t: float, values: Mapping[str, float]) -> None:
        for channel_id, value in values.items():
            before_s, before = self._last.get(channel_id, (t, value))
            self._last[channel_id] = (t, value)
            component, method = self._components[channel_id]
            more = value - before if method == "counter" else value * (t - before_s)
            by_method = self._joules.setdefault(component, {})
            by_method[method] = by_method.get(method, 0.0) + max(0.0, more)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
