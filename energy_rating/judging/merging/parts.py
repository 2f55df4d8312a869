"""The records that one is made of, in their order, and what their channels and devices are called in the whole."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from energy_rating.nouns.records import (
    RUN,
    Channel,
    Device,
    Finding,
    Job,
    Measurement,
    Outcome,
    Provenance,
)

# The UUID of an NVIDIA device is the same for whoever asks, in whatever container; ids of others mean something on their host alone.
UNIQUE = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-")

# Two runs of one host that share less of their time, as by the seconds that ``created`` leaves out, followed each other.
SHARED_S = 2.0

# The place of a host whose launcher told nothing of the job; it gets one in the order of the runs.
NOT_TOLD = -1


@dataclass(slots=True)
class HostRun:
    """One of the records, as far as it is needed: of many thousands not everything is kept."""

    name: str
    place: int
    run_id: str
    began_s: float  # by its own clock, since 1970
    ended: bool
    outcome: Outcome | None
    ranks: int | None
    job: Job | None
    measured: tuple[
        Channel, ...
    ]  # its channels and devices, as it calls them; until they have names in the whole
    described: tuple[Device, ...]
    measurements: dict[str, Measurement]
    findings: tuple[Finding, ...]
    provenance: Provenance
    offset_s: float = 0.0  # its clock before that of the first host
    channels: dict[str, Channel] = field(
        default_factory=dict
    )  # as the whole calls them, by what they are called here
    names: dict[str, str] = field(
        default_factory=dict
    )  # of the devices, by what they are called in the whole

    def start_s(self, measurement: Measurement) -> float:
        """By the first host's clock."""
        return self.began_s + measurement.start_s - self.offset_s

    @property
    def run(self) -> Measurement:
        return self.measurements[RUN]

    def shares_time_with(self, other: HostRun) -> bool:
        start_s, other_s = self.start_s(self.run), other.start_s(other.run)
        both_s = min(start_s + self.run.duration_s, other_s + other.run.duration_s) - max(start_s, other_s)
        return both_s > min(SHARED_S, 0.5 * self.run.duration_s, 0.5 * other.run.duration_s)


class Named:
    """All devices and channels of the parts by names of the whole: those of one host begin with it."""

    def __init__(self, parts: Sequence[HostRun]) -> None:
        self.devices: dict[Device, None] = {}
        self.channels: dict[str, Channel] = {}
        for part in parts:
            called: dict[str, str] = {}
            for device in part.described:
                name = _called(device.id, part, called)
                known = replace(device, id=name, name=sys.intern(device.name))
                part.names.setdefault(name, known.name)
                self.devices.setdefault(known)
            part.described = ()
            for channel in part.measured:
                self._add(channel, part, _called(channel.device, part, called))
            part.measured = ()

    def _add(self, channel: Channel, part: HostRun, device: str) -> None:
        name = f"host{part.place}/{channel.id}"
        known = replace(channel, id=name, device=device)
        # A host that was started again has another record, in which a channel of that name may be another one.
        while name in self.channels and replace(self.channels[name], period_s=known.period_s) != known:
            name = f"{name}+"
            known = replace(known, id=name)
        part.channels[channel.id] = self.channels.setdefault(name, known)


def _called(name: str, part: HostRun, called: dict[str, str]) -> str:
    """What a device is called in the whole."""
    found = called.get(name)
    if found is None:
        found = called[name] = name if UNIQUE.match(name) else f"host{part.place}/{name}"
    return found


def in_order(parts: Sequence[HostRun]) -> list[HostRun]:
    """By their places, and the parts of one host in the order of time. Hosts that nobody gave a place get the next ones."""
    ordered = sorted(parts, key=lambda part: (part.place == NOT_TOLD, part.place, part.began_s, part.run_id))
    taken = {part.place for part in parts}
    free = (place for place in range(2 * len(parts) + 1) if place not in taken)
    for part in ordered:
        if part.place == NOT_TOLD:
            part.place = next(free)
    return sorted(ordered, key=lambda part: (part.place, part.began_s, part.run_id))


def by_place(parts: Sequence[HostRun]) -> dict[int, list[HostRun]]:
    found: dict[int, list[HostRun]] = {}
    for part in parts:
        found.setdefault(part.place, []).append(part)
    return found


def names_of(parts: Sequence[HostRun]) -> list[str]:
    return list(dict.fromkeys((RUN, *(name for part in parts for name in part.measurements))))
