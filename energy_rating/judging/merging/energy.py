"""The measurements of all hosts, added up by name: energy, work, time, and how much of it was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from energy_rating.judging.merging.parts import HostRun, by_place
from energy_rating.judging.merging.said import hosts_of, several_of
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import COMPONENTS, RUN, Component, Doubt, Finding, Measurement, Number
from energy_rating.nouns.work import Work

# Where hosts count what all did, they count the same, but for what was done while one of them ended.
SAME_WORK = 0.01


@dataclass(slots=True)
class _OneModel:
    """The devices of one model, added up: they share their gain's error."""

    value: float = 0.0
    random2: float = 0.0
    systematic: float = 0.0

    def add(self, energy: Estimate) -> None:
        self.value += energy.value
        self.random2 += energy.random * energy.random
        self.systematic += energy.systematic

    @property
    def estimate(self) -> Estimate:
        return Estimate(value=self.value, random=self.random2**0.5, systematic=self.systematic)


class Whole:
    """The measurements of all hosts, by name."""

    def __init__(self, parts: Sequence[HostRun], *, counts: str) -> None:
        self._parts = parts
        self._counts = counts
        self._hosts = by_place(parts)
        of = max(
            (part.job.of for part in parts if part.job is not None and part.job.of is not None), default=0
        )
        self._of = max(of, len(self._hosts))
        self._zero_s = min(part.began_s - part.offset_s for part in parts)
        self._end_s = max(part.start_s(part.run) + part.run.duration_s for part in parts)
        # Devices that several records measured, and by which of them.
        by: dict[str, list[int]] = {}
        for number, part in enumerate(parts):
            for device in dict.fromkeys(channel.device for channel in part.channels.values()):
                by.setdefault(device, []).append(number)
        self._shared = {device: numbers for device, numbers in by.items() if len(numbers) > 1}
        self._lacking: dict[str, dict[Component, list[int]]] = {}
        self._twice: dict[str, tuple[int, int]] = {}
        self._unequal: list[str] = []

    def measurement(self, name: str) -> Measurement:
        having = [(number, part) for number, part in enumerate(self._parts) if name in part.measurements]
        hosts = by_place([part for _, part in having])
        durations_s = {
            place: sum(part.measurements[name].duration_s for part in several)
            for place, several in hosts.items()
        }
        starts_s = [part.start_s(part.measurements[name]) for _, part in having]
        start_s = max(min(starts_s) - self._zero_s, 0.0)
        duration_s = max(durations_s.values())
        if name == RUN:
            duration_s = max(duration_s, self._end_s - min(starts_s))
        energies: dict[str, Estimate] = {}
        cards: dict[Component, dict[str, _OneModel]] = {}
        seen = _Covered()
        doubts: dict[Component, tuple[float, Doubt]] = {}
        left_out = self._counted_elsewhere(name)
        for number, part in having:
            one = part.measurements[name]
            for channel_id, energy in one.energy_by_channel_j.items():
                channel = part.channels[channel_id]
                if (channel.device, number) in left_out:
                    continue
                called = channel.id
                before = energies.get(called)
                energies[called] = energy if before is None else before.plus(energy, same_sensor=True)
                card = part.names.get(channel.device, channel.device)
                cards.setdefault(channel.component, {}).setdefault(card, _OneModel()).add(energy)
            for component, doubt in one.doubt_from.items():
                size = one.energy_j[component].sigma if component in one.energy_j else 0.0
                key = _component(component)
                if key not in doubts or size > doubts[key][0]:
                    doubts[key] = (size, doubt)
            seen.add(part, one, self._wanted_s(part, one, duration_s), left_out, number)
        self._lacking[name] = seen.lacking(self._of, set(self._hosts))
        energy_j: dict[str, Estimate] = {
            component: total((card.estimate for card in cards[component].values()), same_sensor=False)
            for component in COMPONENTS
            if component in cards
        }
        return Measurement(
            name=name,
            n=max(sum(part.measurements[name].n for part in several) for several in hosts.values()),
            start_s=round(start_s, 6),
            duration_s=duration_s,
            work=self._work(name, hosts),
            energy_by_channel_j=energies,
            energy_j=energy_j,
            coverage=seen.coverage(),
            validity="valid",
            idle_j=_idle(name, [part for _, part in having], energy_j) if not left_out else None,
            doubt_from={
                component: doubts[component][1]
                for component in COMPONENTS
                if component in doubts and component in energy_j
            },
        )

    def _wanted_s(self, part: HostRun, one: Measurement, duration_s: float) -> float:
        """For how long a host should have been seen: its own time where it ended in order, else until the job did."""
        if part.ended or part is not self._hosts[part.place][-1]:
            return one.duration_s
        if one.name == RUN:
            return max(one.duration_s, self._end_s - part.start_s(one))
        return max(one.duration_s, duration_s)

    def _counted_elsewhere(self, name: str) -> set[tuple[str, int]]:
        """Of devices that several records measured at one time, where they do not count: in all but the one that saw most of it."""
        found: set[tuple[str, int]] = set()
        for device, numbers in self._shared.items():
            measured = [(self._seen_s(device, number, name), number) for number in numbers]
            kept: list[int] = []
            for seen_s, number in sorted(measured, key=lambda one: (-one[0], one[1])):
                if seen_s <= 0:
                    continue
                if any(self._parts[number].shares_time_with(self._parts[other]) for other in kept):
                    found.add((device, number))
                    self._twice.setdefault(device, (self._parts[kept[0]].place, self._parts[number].place))
                else:
                    kept.append(number)
        return found

    def _seen_s(self, device: str, number: int, name: str) -> float:
        part = self._parts[number]
        one = part.measurements.get(name)
        if one is None:
            return 0.0
        return one.duration_s * max(
            (
                one.coverage.get(channel.component, 0.0)
                for channel_id, channel in part.channels.items()
                if channel.device == device and channel_id in one.energy_by_channel_j
            ),
            default=0.0,
        )

    def _work(self, name: str, hosts: Mapping[int, Sequence[HostRun]]) -> Work:
        by_host = {
            place: Work.total(part.measurements[name].work for part in several)
            for place, several in hosts.items()
        }
        if self._counts != "all-ranks":
            return Work.total(by_host.values())
        most: dict[str, Number] = {}
        least: dict[str, Number] = {}
        for work in by_host.values():
            for unit, amount in work.items():
                most[unit] = max(amount, most.get(unit, amount))
                least[unit] = min(amount, least.get(unit, amount))
        if any(most[unit] - least[unit] > SAME_WORK * most[unit] for unit in most):
            self._unequal.append(name)
        return Work(most)

    # -- what is to be said

    def findings(self) -> Iterator[Finding]:
        missing = self._of - len(self._hosts)
        if missing:
            places = sorted(set(range(self._of)).difference(self._hosts))
            known = all(part.job is not None and part.job.node is not None for part in self._parts)
            named = f" ({hosts_of(places)})" if known else ""
            yield Finding.of(
                "hosts-missing",
                f"{missing} of the {self._of} hosts of the job {'has' if missing == 1 else 'have'} no record here{named}: "
                f"what {'it' if missing == 1 else 'they'} drew is in no figure",
                data={"missing": missing, "of": self._of},
            )
        cut = [part for several in self._hosts.values() if not (part := several[-1]).ended]
        if cut:
            yield Finding.of(
                "host-cut-short",
                f"{hosts_of([part.place for part in cut])} did not end in order: what was drawn there until the end of the job is in no figure",
            )
        if self._twice:
            by = sorted({place for places in self._twice.values() for place in places})
            yield Finding.of(
                "measured-twice",
                f"{len(self._twice)} device{'s were' if len(self._twice) > 1 else ' was'} measured by several hosts ({several_of(by)}), and "
                f"count once",
            )
        for name, by_component in self._lacking.items():
            for component, places in by_component.items():
                yield Finding.of(
                    "on-some-hosts",
                    f"the {component} was measured on {len(self._hosts) - len(places)} of {len(self._hosts)} hosts while {name!r} was open, not "
                    f"on {hosts_of(places)}: the figure is that of the others",
                    measurement=name,
                    severity="note" if component not in ("gpu", "wall", "host", "module") else "degrades",
                )
        for name in self._unequal:
            yield Finding.of(
                "hosts-differ",
                f"the hosts say that they count what all did in {name!r}, and count differently: the largest is taken",
                'Say counts="each-rank" where each counts its own',
                severity="degrades",
                measurement=name,
            )


class _Covered:
    """For how long the devices of hosts were seen, of the time that they should have been."""

    def __init__(self) -> None:
        self._covered_s: dict[Component, float] = {}
        self._wanted_s: dict[Component, float] = {}
        self._places: dict[Component, set[int]] = {}

    def add(
        self, part: HostRun, one: Measurement, wanted_s: float, left_out: set[tuple[str, int]], number: int
    ) -> None:
        devices: dict[Component, set[str]] = {}
        for channel in part.channels.values():
            if (channel.device, number) not in left_out:
                devices.setdefault(channel.component, set()).add(channel.device)
            elif channel.component in one.coverage:
                # Its devices count where somebody else measured them: they lack nothing here.
                self._places.setdefault(channel.component, set()).add(part.place)
        for component, names in devices.items():
            share = one.coverage.get(component)
            if share is None:
                continue
            self._covered_s[component] = (
                self._covered_s.get(component, 0.0) + len(names) * share * one.duration_s
            )
            self._wanted_s[component] = self._wanted_s.get(component, 0.0) + len(names) * max(wanted_s, 1e-9)
            self._places.setdefault(component, set()).add(part.place)

    def lacking(self, of: int, hosts: set[int]) -> dict[Component, list[int]]:
        """Which hosts lack which component; they, and those that are missing, count as hosts like the others that were not seen."""
        found: dict[Component, list[int]] = {}
        for component in COMPONENTS:
            places = self._places.get(component)
            if not places:
                continue
            self._wanted_s[component] *= of / len(places)
            if lacking := sorted(hosts - places):
                found[component] = lacking
        return found

    def coverage(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for component in COMPONENTS:
            if self._wanted_s.get(component):
                share = self._covered_s[component] / self._wanted_s[component]
                found[component] = 1.0 if share > 0.999999 else round(max(share, 0.0), 6)
        return found


def _component(name: str) -> Component:
    return next(one for one in COMPONENTS if one == name)


def _idle(
    name: str, parts: Sequence[HostRun], energy_j: Mapping[str, Estimate]
) -> dict[str, Estimate] | None:
    """What the devices would have drawn idle, where all hosts that measured a component know it."""
    found: dict[str, Estimate] = {}
    for component in energy_j:
        several = [part.measurements[name] for part in parts if component in part.measurements[name].energy_j]
        idle = [
            one.idle_j[component] for one in several if one.idle_j is not None and component in one.idle_j
        ]
        if several and len(idle) == len(several):
            found[component] = total(idle, same_sensor=True)
    return found or None
