"""How far the clocks of the hosts are apart: what they told each other, else when windows began that they began together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from energy_rating.judging.merging.parts import HostRun, by_place
from energy_rating.nouns.records import RUN, Finding

# ``created`` is told to the second.
CREATED_S = 1.0

# Clocks that agree to this are told nothing of: no figure changes by what they differ.
CLOCKS_AGREE_S = 1.0


COMPARED = "clocks-compared"


def compare_clocks(parts: Sequence[HostRun]) -> list[Finding]:
    """Puts the offsets of the hosts' clocks into the parts, and says how far they are apart."""
    told: dict[int, float] = {}
    drifts: list[float] = []
    for place, part in enumerate(parts):
        seen = [
            (float(one.data["at_s"]), float(one.data["offset_s"]))
            for one in part.findings
            if one.code == COMPARED and {"at_s", "offset_s"} <= one.data.keys()
        ]
        if seen:
            told[place] = seen[0][1]
            (first_s, first), (last_s, last) = seen[0], seen[-1]
            if last_s > first_s:
                drifts.append((last - first) / (last_s - first_s))
    if told:
        # The first one is what they are compared with. A host that came late to that has told nothing, and stays where it is.
        how = "as they told each other"
        for place, offset_s in told.items():
            parts[place].offset_s = offset_s
    else:
        name = _common(parts)
        if name is None:
            return []
        how = f"by when their first {name!r} began"
        # The parts of one host, which was started again, have one clock.
        hosts = by_place(parts)
        starts_s = {
            place: several[0].start_s(several[0].measurements[name]) for place, several in hosts.items()
        }
        middle_s = median(starts_s.values())
        for place, several in hosts.items():
            # What may be the seconds that a record leaves out, or who came first, is no offset.
            apart_s = starts_s[place] - middle_s
            for part in several:
                part.offset_s = apart_s if abs(apart_s) > CREATED_S else 0.0
    first_s = parts[0].offset_s
    for part in parts:
        part.offset_s -= first_s
    least = min(parts, key=lambda part: part.offset_s)
    most = max(parts, key=lambda part: part.offset_s)
    apart_s = most.offset_s - least.offset_s
    if apart_s < CLOCKS_AGREE_S and not drifts:
        return []
    drift = f", and drift by up to {1e6 * max(map(abs, drifts)):.0f} millionths" if drifts else ""
    return [
        Finding.of(
            "clocks-differ",
            f"the clocks of the hosts differ by up to {apart_s:.3g} s ({how}; host {most.place} is ahead, host {least.place} behind)"
            f"{drift}; times are those of host {parts[0].place}, and no energy changes by it",
            data={"apart_s": round(apart_s, 6), **({"drift": max(drifts, key=abs)} if drifts else {})},
        )
    ]


def _common(parts: Sequence[HostRun]) -> str | None:
    """The windows that all hosts have, those of which there are most: hosts that train together begin their steps together."""
    if len(parts) < 2:
        return None
    shared = set(parts[0].measurements).difference((RUN,))
    for part in parts:
        shared &= part.measurements.keys()
    return max(shared, key=lambda name: (parts[0].measurements[name].n, name), default=None)
