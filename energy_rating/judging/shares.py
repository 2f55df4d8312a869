"""What of the energy of windows that were open side by side falls to each of them: an equal share, at each moment.

What one request of many needed by itself nobody can measure: the device draws one power for all that it does. Shares add up to the energy
of the time in which any of them was open, and are called shares wherever they are told.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energy_rating.files.reading import Journal
from energy_rating.files.windows import Span, named
from energy_rating.judging.curves import Curves
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Measurement
from energy_rating.nouns.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyShare:
    """The share of one window in the energy of all of its name, which were open side by side.

    At each moment the energy is divided equally among those that were open. It is no measurement of this window: what it would have
    needed alone is not known. ``energy_share_j``: by component; its uncertainty is that of the energy that is divided, and not of the
    division. ``share``: of the component that leads, 0 to 1.
    """

    name: str
    start_s: float
    duration_s: float
    work: Work
    share: float
    energy_share_j: Mapping[str, Estimate]


def shares_of(journal: Journal, measurement: Measurement) -> tuple[EnergyShare, ...]:
    """The shares of all closed windows of a measurement, in the order in which they were opened."""
    found: list[tuple[Span, dict[str, float]]] = []
    for number, session in enumerate(journal.sessions, start=1):
        spans = [span for span in named(session.spans, measurement.name) if span.closed]
        if spans:
            found += zip(spans, _joules(Curves(session, number), spans, measurement), strict=True)
    whole = {component: sum(joules[component] for _, joules in found) for component in measurement.energy_j}
    fractions = [
        {component: joules[component] / whole[component] for component in whole if whole[component]}
        for _, joules in found
    ]
    return tuple(
        EnergyShare(
            name=span.name,
            start_s=span.start_s,
            duration_s=span.end_s - span.start_s,
            work=span.work,
            share=next(iter(fraction.values()), 0.0),
            energy_share_j={
                component: measurement.energy_j[component].times(part) for component, part in fraction.items()
            },
        )
        for (span, _), fraction in zip(found, fractions, strict=True)
    )


def _joules(part: Curves, spans: Sequence[Span], measurement: Measurement) -> list[dict[str, float]]:
    """Of each window the joules that fall to it, by component."""
    changes: dict[float, int] = {}
    for span in spans:
        changes[span.start_s] = changes.get(span.start_s, 0) + 1
        changes[span.end_s] = changes.get(span.end_s, 0) - 1
    times = sorted(changes)
    place = {time_s: number for number, time_s in enumerate(times)}
    shares: list[dict[str, float]] = [{} for _ in spans]
    for component in measurement.energy_j:
        devices = [candidates[0] for (one, _), candidates in part.devices.items() if one == component]
        open_now, until = 0, [0.0]  # what fell to one that was open all along
        for start_s, end_s in itertools.pairwise(times):
            open_now += changes[start_s]
            joules = 0.0
            for channel in devices if open_now else ():
                energy, _ = part.energy_between(channel, start_s, end_s)
                joules += energy.value if energy is not None else 0.0
            until.append(until[-1] + joules / max(open_now, 1))
        for span, share in zip(spans, shares, strict=True):
            share[component] = until[place[span.end_s]] - until[place[span.start_s]]
    return shares
