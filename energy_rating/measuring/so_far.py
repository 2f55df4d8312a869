"""The energy of a run so far, added up as its readings come. Figures to plan with; what was measured is in the record.

Apart from ``progress``, which makes forecasts of it: each run adds up, and few say how far they have come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from energy_rating.nouns.choices import LEADING, METHODS, Method
from energy_rating.nouns.entries import Channel

# A reading that comes to more than this is a counter that jumped.
MOST_W = 20_000.0


class ComponentSoFar(NamedTuple):
    """Joules of a component since the run began, how the least sure of them was had, and when it was last read (seconds of the run's clock)."""

    joules: float
    method: Method
    read_s: float

    def plus(self, other: ComponentSoFar) -> ComponentSoFar:
        """Both together."""
        return ComponentSoFar(
            self.joules + other.joules,
            max(self.method, other.method, key=METHODS.index),
            max(self.read_s, other.read_s),
        )


class _OfChannel:
    """What was heard of one channel: its latest time and value, and the joules since the first."""

    __slots__ = ("channel", "is_beside_counter", "joules", "read_s", "value")

    def __init__(self, channel: Channel, read_s: float, value: float, is_beside_counter: bool) -> None:
        self.channel = channel
        self.read_s, self.value = read_s, value
        self.joules = 0.0
        self.is_beside_counter = is_beside_counter  # which tells better what it would tell


class EnergySoFar:
    """The energy so far, by device, from readings as they come. Heard by one thread, and asked for by any."""

    def __init__(self) -> None:
        self._heard: dict[str, _OfChannel] = {}

    def heard(
        self, channels: Sequence[Channel], start_s: float, end_s: float, values: Mapping[str, float]
    ) -> None:
        """A reading of a sensor. That of a model is the mean since ``start_s``."""
        for channel in channels:
            value = values.get(channel.id)
            if value is None:
                continue
            so_far = self._heard.get(channel.id)
            if so_far is None:
                beside = any(
                    (one.method, one.component, one.device) == ("counter", channel.component, channel.device)
                    for one in (heard.channel for heard in self._heard.values())
                )
                so_far = self._heard[channel.id] = _OfChannel(channel, end_s, value, beside)
            if so_far.is_beside_counter:
                continue
            if channel.method == "counter":
                joules = value - so_far.value
                if joules < 0 and channel.wraps_at_j:
                    joules += channel.wraps_at_j
            elif channel.method == "model":
                joules = value * (end_s - start_s)
            else:
                joules = (value + so_far.value) / 2 * (end_s - so_far.read_s)
            if 0 <= joules <= MOST_W * max(end_s - so_far.read_s, end_s - start_s, 1.0):
                so_far.joules += joules
            so_far.read_s, so_far.value = end_s, value

    def by_component(self) -> dict[str, ComponentSoFar]:
        """What is known of each component; of each device by its counter, where it has one."""
        best: dict[tuple[str, str], _OfChannel] = {}
        for one in list(self._heard.values()):  # at once, since more may come meanwhile
            key = one.channel.component, one.channel.device
            if key not in best or METHODS.index(one.channel.method) < METHODS.index(best[key].channel.method):
                best[key] = one
        found: dict[str, ComponentSoFar] = {}
        for (component, _), one in best.items():
            own = ComponentSoFar(one.joules, one.channel.method, one.read_s)
            before = found.get(component)
            found[component] = own if before is None else before.plus(own)
        return found

    def so_far(self) -> tuple[str, float] | None:
        """The component that leads, and its joules."""
        found = self.by_component()
        return next(
            ((component, found[component].joules) for component in LEADING if component in found), None
        )
