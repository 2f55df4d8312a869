"""Which readings of a quiet time are kept: a line a second, and both sides of every change."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

QUIET_LINE_S = 1.0
QUIET_POWER_S = 10.0


class Quiet:
    """The readings of one sensor in quiet times: whole for a second, then thinned to the last counters and mean powers."""

    def __init__(self, methods: Mapping[str, str]) -> None:
        self._counters = [name for name, method in methods.items() if method == "counter"]
        self._registers = [name for name, method in methods.items() if method != "counter"]
        self._power_s = QUIET_POWER_S if self._counters else QUIET_LINE_S
        self._lines: list[dict[str, Any]] = []
        self._areas: dict[str, tuple[float, float]] = {}  # joules over seconds, by channel
        self._since_s: float | None = None  # when the means began
        self._until_s = 0.0

    def withhold(self, line: dict[str, Any]) -> None:
        self._lines.append(line)

    def thinned(self, now_s: float) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The last second's counters as one line and, every so often, the powers' means as another."""
        if not self._lines:
            return None, None
        last = self._lines[-1]
        values = {name: last["r"][name] for name in self._counters if name in last["r"]}
        counters = {"t": last["t"], "dt": last["dt"], "r": values} if values else None
        self._add_up()
        self._lines = []
        due = self._since_s is not None and now_s - self._since_s >= self._power_s - QUIET_LINE_S / 2
        return counters, self._means() if due else None

    def whole(self) -> list[dict[str, Any]]:
        """All that is withheld: the means until the last second, and that second as it was read."""
        means = self._means()
        lines, self._lines = self._lines, []
        return [means, *lines] if means else lines

    def _add_up(self) -> None:
        first, last = self._lines[0], self._lines[-1]
        if self._since_s is None:
            self._since_s = first["t"]
        self._until_s = last["t"] + last["dt"]
        for name in self._registers:
            told = [(line["t"], line["dt"], line["r"][name]) for line in self._lines if name in line["r"]]
            area, seconds = self._areas.get(name, (0.0, 0.0))
            for (t, dt, p), following in itertools.zip_longest(told, told[1:]):
                # A register's reading stands until the next one; a model's is the mean of its own span.
                width = following[0] - t if following is not None and dt < QUIET_LINE_S / 4 else dt
                power = (p + following[2]) / 2 if following is not None and dt < QUIET_LINE_S / 4 else p
                area, seconds = area + power * width, seconds + width
            if told and seconds == 0:
                area, seconds = told[0][2] * 1e-6, 1e-6
            if told:
                self._areas[name] = area, seconds

    def _means(self) -> dict[str, Any] | None:
        if self._since_s is None:
            return None
        means = {name: round(area / seconds, 3) for name, (area, seconds) in sorted(self._areas.items())}
        line = {"t": self._since_s, "dt": round(self._until_s - self._since_s, 6), "r": means}
        self._since_s, self._areas = None, {}
        return line if means else None
