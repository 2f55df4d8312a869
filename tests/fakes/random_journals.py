"""Journals of chance: sessions that were resumed, wrap-around, holes, readings of changing devices, digits that cannot be packed, damage."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from energy_rating.files.journal import JOURNAL_SCHEMAS, encoded
from energy_rating.files.packed import Packer
from energy_rating.nouns.records import Channel, plain

CHANNELS = [
    Channel(
        id=f"gpu{gpu}.{kind}",
        component="gpu",
        device=f"GPU-{gpu}",
        method="counter" if kind == "energy" else "power",
        accuracy=0.04,
        wraps_at_j=65_536.0 if (gpu, kind) == (2, "energy") else None,
    )
    for gpu in range(3)
    for kind in ("energy", "power")
]


def header(schema: str, number: int = 0, channels: Sequence[Channel] = CHANNELS) -> dict[str, Any]:
    return {
        "schema": schema,
        "run_id": f"20260101T000000Z-{number:04x}",
        "stage": "other",
        "model": None,
        "task": None,
        "load": None,
        "channels": [plain(channel) for channel in channels],
        "environment": {"devices": [], "software": {}, "host": None},
        "started": "2026-01-01T00:00:00Z",
    }


def some_entries(chance: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Readings of changing sets of GPUs, close together and a second apart, with windows, counts, findings and conditions between them."""
    t, joules, open_, number = 0.0, [1e6, 2e6, 60_000.0], [], 0
    yield {"open": 0, "name": "run", "t": 0.0}
    for place in range(count):
        pace = 1.0 if place // 100 % 2 else 0.02
        t = round(t + pace * (0.9 + 0.2 * chance.random()) + (30 if chance.random() < 0.01 else 0), 6)
        gpus = range(3) if pace == 1.0 else chance.sample(range(3), chance.choice([1, 1, 2]))
        values = {}
        for gpu in gpus:
            joules[gpu] = round(joules[gpu] + 300 * pace * chance.random(), chance.choice([0, 3, 3, 3, 6]))
            if gpu == 2 and joules[gpu] >= 65_536:
                joules[gpu] = round(joules[gpu] - 65_536, 3)
            if chance.random() < 0.005:
                joules[gpu] = 0.0  # the driver was loaded again
            values[f"gpu{gpu}.energy"] = joules[gpu]
            if pace < 1.0:
                watts = 300 * chance.random()
                values[f"gpu{gpu}.power"] = watts if chance.random() < 0.02 else round(watts, 3)
        yield {"t": t, "dt": round(1e-4 * chance.random(), 6), "r": values}
        what = chance.random()
        if what < 0.05:
            number += 1
            open_.append((number, t))
            yield {"open": number, "name": chance.choice("ab"), "t": t}
        elif what < 0.1 and open_:
            key, _ = open_.pop(chance.randrange(len(open_)))
            work = {"token": chance.choice([3, 0.5, (1 << 60) + 1, 1 << 70])}
            yield {"close": key, "t": t, "work": work}
        elif what < 0.12 and open_:
            yield {"count": open_[-1][0], "t": t, "work": {"token": 1}}
        elif what < 0.13:
            yield {"condition": {"GPU-0": {"temperature_c": 50.0}}, "t": t}
    for key, _ in open_:
        yield {"close": key, "t": t, "work": {}}
    if chance.random() < 0.7:
        yield {"close": 0, "t": t, "work": {}}
        yield {"end": t}


def lines_of(
    seed: int, *, schema: str = JOURNAL_SCHEMAS[-1], is_packed: bool = True, most: int = 150
) -> list[bytes]:
    """The lines of a journal of one to three sessions."""
    chance = random.Random(seed)
    lines: list[bytes] = []
    for session in range(chance.choice([1, 1, 2, 3])):
        packer = Packer()
        entries: list[Any] = [header(schema, session)]
        for entry in some_entries(chance, chance.randrange(5, most)):
            if is_packed:
                entries += packer.add(entry) if "r" in entry else [*packer.flush(), entry]
            else:
                entries.append(entry)
        lines += map(encoded, [*entries, *packer.flush()])
    return lines


def damaged(lines: list[bytes], chance: random.Random) -> bytes:
    """Lines are lost, doubled, exchanged, changed, cut."""
    some = list(lines)
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.randrange(1, len(some))
        what = chance.randrange(6)
        if what == 0:
            del some[place : place + chance.choice([1, 1, 5, 50])]
        elif what == 1:
            some.insert(place, some[place])
        elif what == 2:
            some[place - 1], some[place] = some[place], some[place - 1]
        elif what == 3:
            at = chance.randrange(len(some[place]))
            some[place] = (
                some[place][:at] + bytes([some[place][at] ^ 1 << chance.randrange(8)]) + some[place][at + 1 :]
            )
        elif what == 4:
            some[place] = some[place][: chance.randrange(len(some[place]))]
        else:
            del some[place:]
        if len(some) < 2:
            break
    return b"".join(some)
