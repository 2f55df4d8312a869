"""Many windows reckoned at once say what each of them says by itself."""

from __future__ import annotations

import io
import json
import math
import random
from typing import Any

import numpy
import pytest

from energy_rating.files import windows as files_windows
from energy_rating.files.journal import encoded
from energy_rating.files.reading import read_journal_from
from energy_rating.files.record import record_to_json
from energy_rating.judging import sums
from energy_rating.judging.integration import many_windows
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.gaps import Energy
from energy_rating.judging.integration.many_windows import Energies
from energy_rating.judging.integration.register import Register
from energy_rating.judging.summary import summarise_journal
from energy_rating.nouns.records import Samples

SAME = 1e-11  # of the larger of energy and doubt; in the energies themselves the sums up to both edges leave as much


def a_load(chance: random.Random, length_s: float) -> list[tuple[float, float]]:
    """When the power changes, and to what."""
    calm = chance.choice([0.05, 0.5, 5.0, 1e9])
    found, at = [(0.0, 250.0)], 0.0
    while at < length_s:
        at += chance.expovariate(1 / calm) if calm < 1e6 else length_s
        found.append((at, chance.choice([chance.uniform(60, 600), 250.0, 400.0])))
    return found


def readings(chance: random.Random) -> tuple[Samples, Samples]:
    """What a counter and a register of one device show, read as a busy machine lets it: with noise, late calls, holes and resets."""
    length_s = chance.choice([3.0, 20.0, 60.0])
    load = a_load(chance, length_s)
    period_s = chance.choice([0.02, 0.1, 0.1, 0.5])
    ticks, energy, at, place = [], 0.0, 0.0, 0
    while at < length_s:
        tick_s = period_s * chance.uniform(0.95, 1.05)
        end = at + tick_s
        while at < end:
            until = min(end, load[place + 1][0]) if place + 1 < len(load) else end
            energy += load[place][1] * (until - at)
            at = until
            if place + 1 < len(load) and at >= load[place + 1][0]:
                place += 1
        ticks.append((at, energy + chance.gauss(0, 0.02)))
    spacing_s, busy = chance.choice([0.004, 0.03, 0.11]), chance.choice([0.0, 0.02, 0.2])
    columns: tuple[list[float], list[float], list[float], list[float]] = ([], [], [], [])
    now, tick, load_at, lost_j = 0.3 * chance.random(), 0, 0, 0.0
    while now < length_s:
        took_s = chance.uniform(1e-4, 3e-4) + (chance.uniform(0, 0.3) if chance.random() < busy else 0.0)
        while tick + 1 < len(ticks) and ticks[tick + 1][0] <= now + took_s / 2:
            tick += 1
        while load_at + 1 < len(load) and load[load_at + 1][0] <= now:
            load_at += 1
        if chance.random() < 0.001:
            lost_j = ticks[tick][1] * chance.choice([1.0, 0.5])
        for column, value in zip(
            columns,
            (
                round(now, 6),
                round(now + took_s, 6),
                round(max(ticks[tick][1] - lost_j, 0.0), 3),
                round(load[load_at][1] + chance.gauss(0, 2), 3),
            ),
            strict=True,
        ):
            column.append(value)
        now += took_s + spacing_s * chance.uniform(0.2, 1.8)
        if chance.random() < 0.002:
            now += chance.choice([0.5, 2.0, 6.0])
    starts, ends, joules, watts = columns
    return Samples(start_s=starts, end_s=ends, values=joules), Samples(
        start_s=starts, end_s=ends, values=watts
    )


def windows(chance: random.Random, length_s: float) -> tuple[list[float], list[float]]:
    """Windows of all lengths, also before the first reading and after the last, many of them within one tick."""
    starts, ends, at = [], [], -1.0
    while at < length_s + 1 and len(starts) < 400:
        took_s = chance.choice([0.0, 1e-6, 1e-4, 0.003, 0.05, 0.3, 1.0, 4.0])
        starts.append(round(at, 6))
        ends.append(round(at + took_s, 6))
        at += took_s * chance.choice([0.3, 1.0]) + chance.choice([0.0, 1e-5, 0.02, 0.2])
    return starts, ends


def short_windows(chance: random.Random) -> tuple[list[float], list[float]]:
    """Hundreds of windows, some within others, some of which overlap."""
    starts, ends, at = [], [], chance.choice([0.0, 0.5])
    for _ in range(600):
        took_s = chance.choice([0.0, 1e-4, 0.003, 0.003, 0.02, chance.choice([0.002, 0.7])])
        starts.append(round(at, 6))
        ends.append(round(at + took_s, 6))
        at += took_s * chance.choice([0.5, 1.0, 1.0]) + chance.choice([1e-5, 1e-5, 0.01])
    return starts, ends


def assert_same(found: Energies, singly: list[Energy | None]) -> int:
    asked = 0
    for place, one in enumerate(singly):
        if found.singly[place]:
            asked += 1
            continue
        assert found.known[place] == (one is not None), place
        if one is None:
            continue
        energy = one.energy
        figures = (
            (found.values_j[place], energy.value),
            (found.randoms_j[place], energy.random),
            (found.systematics_j[place], energy.systematic),
            (found.covered_s[place], one.covered_s),
        )
        for many_say, one_says in figures:
            size = max(abs(energy.value), energy.random, 1e-3)
            assert math.isclose(many_say, one_says, rel_tol=1e-12, abs_tol=SAME * size), (place, figures)
    return asked


@pytest.mark.parametrize("seed", range(60))
def test_many_windows_of_a_counter_and_a_register_say_what_each_says_alone(seed: int) -> None:
    chance = random.Random(seed)
    of_counter, of_register = readings(chance)
    first_reckoning = chance.random() < 0.3
    register = Register(
        of_register,
        accuracy=0.05,
        accuracy_w=chance.choice([0.0, 2.0]),
        period_s=chance.choice([None, 0.1]),
        lag_s=chance.choice([0.0, 0.05]),
        limit_w=700.0,
        first_reckoning=first_reckoning,
    )
    counter = Counter(
        of_counter,
        accuracy=0.04,
        accuracy_w=chance.choice([0.0, 1.0]),
        limit_w=700.0,
        first_reckoning=first_reckoning,
    )
    starts, ends = windows(chance, of_counter.end_s[-1])
    arrays = numpy.array(starts), numpy.array(ends)
    spans = list(zip(starts, ends, strict=True))
    asked = 0
    for beside in (register, None):
        found = many_windows.of_counter(counter, *arrays, beside)
        asked += assert_same(found, [counter.between(*span, None, beside) for span in spans])
    asked += assert_same(
        many_windows.of_register(register, *arrays), [register.between(*span) for span in spans]
    )
    told = many_windows.resolutions_s(counter, *arrays)
    assert told.tolist() == [counter.resolution_s(*span) for span in spans]
    if not counter.gaps and not register.gaps and of_counter.end_s[0] > 10:
        assert asked < len(spans)


def test_nothing_is_known_of_windows_where_nothing_was_read() -> None:
    none = Samples(start_s=[], end_s=[], values=[])
    edges = numpy.array([0.0, 1.0]), numpy.array([1.0, 2.0])
    for found in (
        many_windows.of_counter(Counter(none, accuracy=0.04), *edges, None),
        many_windows.of_register(Register(none, accuracy=0.04), *edges),
    ):
        assert not found.known.any()
        assert not found.singly.any()


CHANNELS = [
    {
        "id": f"gpu{number}.{kind}",
        "component": "gpu",
        "device": f"GPU-{number}",
        "method": method,
        "accuracy": 0.04,
        "period_s": period_s,
        "wraps_at_j": None,
    }
    for number in range(2)
    for kind, method, period_s in (("energy", "counter", None), ("power", "power", 0.1))
]


def a_journal(chance: random.Random) -> bytes:
    """A run of hundreds of windows of several names, that nest and overlap, with all kinds of work; some sessions are broken off."""
    schema = chance.choice(["energy-rating/journal/1", "energy-rating/journal/2"])
    lines: list[dict[str, Any]] = []
    for session in range(chance.choice([1, 1, 2])):
        header = {
            "schema": schema,
            "run_id": f"20260101T000000Z-000{session}",
            "stage": chance.choice(["inference", "fine-tuning"]),
            "model": None,
            "task": {"name": "text-generation", "protocol": None, "unit": "request"},
            "load": None,
            "channels": CHANNELS,
            "environment": {"devices": [], "software": {}},
            "started": "2026-01-01T00:00:00Z",
        }
        samples = [readings(chance) for _ in range(2)]
        length_s = min(of_counter.end_s[-1] for of_counter, _ in samples)
        found: list[tuple[float, dict[str, Any]]] = [(0.0, {"open": 0, "name": "run", "t": 0.0})]
        for number, (counted, shown) in enumerate(samples):
            for start, end, joules, watts in zip(
                counted.start_s, counted.end_s, counted.values, shown.values, strict=True
            ):
                told = {f"gpu{number}.energy": joules, f"gpu{number}.power": watts}
                if start < length_s:
                    found.append((start, {"t": start, "dt": round(end - start, 6), "r": told}))
        names = chance.choice([["step"], ["step", "evaluation", "measured"], ["measured", "idle"]])
        key = 1
        for start, end in zip(*short_windows(chance), strict=True):
            if start < 0 or end > length_s:
                continue
            work: dict[str, Any] = chance.choice(
                [{"token": 3}, {"token": 3}, {"token": 2.5, "request": 1}, {"request": 1}, {}, {"token": 0}]
            )
            if chance.random() < 0.002:
                work = {"token": (1 << 60) + 1}
            found.append((start, {"open": key, "name": chance.choice(names), "t": start}))
            if chance.random() < 0.995:
                found.append((end, {"close": key, "t": end, "work": work}))
            key += 1
        found.sort(key=lambda item: (item[0], next(iter(item[1])) == "close"))
        lines += [header, *(line for _, line in found)]
        if chance.random() < 0.7:
            lines += [{"close": 0, "t": length_s, "work": {"token": 1000}}, {"end": length_s}]
    return b"".join(map(encoded, lines))


def as_told(content: bytes) -> Any:
    return json.loads(
        record_to_json(summarise_journal(read_journal_from(io.BytesIO(content), place="journal")))
    )


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return bool(one == other)


@pytest.mark.parametrize("seed", range(40))
def test_a_record_of_many_windows_is_what_it_is_window_by_window(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1000 + seed)
    content = a_journal(chance)
    monkeypatch.setattr(files_windows, "MANY", 10**9)
    monkeypatch.setattr(files_windows, "SOME", 1)
    singly = as_told(content)
    monkeypatch.setattr(files_windows, "MANY", 1)
    monkeypatch.setattr(files_windows, "AT_ONCE", chance.choice([5, 64, 1 << 14]))
    monkeypatch.setattr(sums, "FEW", chance.choice([1, 10]))
    together = as_told(content)
    assert alike(together, singly)
