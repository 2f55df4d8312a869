"""What was found on the hosts, said once, with how many of them found it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from energy_rating.judging.merging.clocks import COMPARED
from energy_rating.judging.merging.parts import HostRun, by_place
from energy_rating.nouns.records import Finding

MOST_NAMED = 4

# Of a host by itself, whose work is that of all; of the whole it is told by which hosts are there.
MISSING = "hosts-missing"


def of_hosts(parts: Sequence[HostRun]) -> Iterator[Finding]:
    """What was found on the hosts: what many of them found, once, with how many they are."""
    groups: dict[tuple[str, str, str | None, str | None], list[tuple[HostRun, Finding]]] = {}
    for part in parts:
        for one in part.findings:
            if one.code in (COMPARED, MISSING):  # said anew of the whole
                continue
            channel = part.channels.get(one.channel) if one.channel is not None else None
            key = (
                one.code,
                one.severity,
                one.measurement,
                channel.component if channel is not None else one.channel,
            )
            groups.setdefault(key, []).append((part, one))
    of = len(by_place(parts))
    for several in groups.values():
        part, one = several[0]
        channel = part.channels.get(one.channel) if one.channel is not None else None
        places = sorted({other.place for other, _ in several})
        messages = {other.message for _, other in several}
        if of == 1 and len(several) == 1:
            message = one.message
        elif len(places) == 1:
            more = f" (and {len(messages) - 1} more there)" if len(messages) > 1 else ""
            message = f"host {part.place}: {one.message}{more}"
        else:
            such = "" if len(messages) == 1 else f", as on host {part.place}"
            message = f"on {len(places)} of {of} hosts{such}: {one.message}"
        yield replace(
            one,
            message=message,
            channel=channel.id if channel is not None else one.channel,
            data=one.data if len(several) == 1 else {},
        )


def several_of(places: Sequence[int]) -> str:
    more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
    return ", ".join(map(str, places[:MOST_NAMED])) + more


def hosts_of(places: Sequence[int]) -> str:
    return f"{'host' if len(places) == 1 else 'hosts'} {several_of(sorted(set(places)))}"
