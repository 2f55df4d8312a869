"""What a device turned out to be like: tried for some seconds, and remembered for the next run. Standard library only.

The memory is one small file, ``$XDG_CACHE_HOME/energy-rating/probe.json`` (else under ``~/.cache``). It is never needed: where it is
missing, damaged or cannot be written, everything is found out again. It names no device: an entry stands under a hash of UUID and
driver version, so a new driver is asked anew.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from energy_rating.files.opening import read_whole
from energy_rating.measuring.digests import keyed
from energy_rating.nouns.errors import BadInput, SensorFailed

if TYPE_CHECKING:
    from energy_rating.measuring.sensors import Sensor

CACHE_SCHEMA = "energy-rating/probe/1"

# A large cluster's login node sees a few hundred GPUs; the oldest entries make room.
MOST_ENTRIES = 256
LARGEST_FILE = 1 << 18  # bytes

# Counters are refreshed every 20 to 100 ms (measured: V100 and A100, SC24 data); anything else is no period.
SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 0.001, 10.0

# A hash that is keyed with the purpose tells nothing to whoever holds a list of UUIDs hashed otherwise.
_PURPOSE = b"energy-rating/probe/1"


class Remembered(NamedTuple):
    """What is remembered of a device under a driver. None, or absent from ``sources``: not known.

    ``period_s`` is how often its energy counter ticks, ``agreement`` its counter over its integrated power, ``sources`` what
    answered which question.
    """

    period_s: float | None = None
    agreement: float | None = None
    sources: Mapping[str, str] = MappingProxyType({})


def recall(uuid: str, driver: str | None, *, environ: Mapping[str, str] = os.environ) -> Remembered | None:
    """What is remembered of that device under that driver; None if nothing is. Raises nothing."""
    place = _place(environ)
    entry = _entries(place).get(_key(uuid, driver)) if place is not None else None
    return _known(entry) if entry is not None else None


def remember(
    uuid: str,
    driver: str | None,
    period_s: float | None = None,
    agreement: float | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Remembers this beside what is known already; None leaves that as it is. Raises nothing."""
    place = _place(environ)
    if place is None:
        return
    entries = _entries(place)
    before = _known(entries.pop(_key(uuid, driver), {}))
    entries[_key(uuid, driver)] = {
        "period_s": _within(period_s, SHORTEST_PERIOD_S, LONGEST_PERIOD_S) or before.period_s,
        "agreement": _within(agreement, 0.0, 100.0) or before.agreement,
        "sources": {**before.sources, **(sources or {})},
    }
    kept = dict(list(entries.items())[-MOST_ENTRIES:])  # the newest stand last
    text = json.dumps({"schema": CACHE_SCHEMA, "devices": kept}, indent=1) + "\n"
    # What cannot be remembered is found out again.
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        name = place.with_name(f".{place.name}.{os.urandom(6).hex()}")
        try:
            name.write_text(text, encoding="utf-8")
            name.replace(place)
        finally:
            name.unlink(missing_ok=True)


def _place(environ: Mapping[str, str]) -> Path | None:
    # XDG Base Directory Specification: a relative path is to be ignored.
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):
        cache = Path(environ["XDG_CACHE_HOME"])
    elif environ.get("HOME", "").startswith("/"):
        cache = Path(environ["HOME"]) / ".cache"
    else:
        return None
    return cache / "energy-rating" / "probe.json"


def _key(uuid: str, driver: str | None) -> str:
    return keyed(f"{uuid}\n{driver or ''}".encode(errors="replace"), _PURPOSE, 16)


def _entries(place: Path) -> dict[str, Any]:
    try:
        whole = json.loads(read_whole(place, LARGEST_FILE))
    except (BadInput, ValueError, RecursionError):
        return {}
    if not isinstance(whole, dict) or whole.get("schema") != CACHE_SCHEMA:
        return {}
    devices = whole.get("devices")
    return devices if isinstance(devices, dict) else {}


def _known(entry: object) -> Remembered:
    """What an entry says, as far as it makes sense."""
    if not isinstance(entry, dict):
        return Remembered()
    sources = entry.get("sources")
    return Remembered(
        period_s=_within(entry.get("period_s"), SHORTEST_PERIOD_S, LONGEST_PERIOD_S),
        agreement=_within(entry.get("agreement"), 0.0, 100.0),
        sources={str(name)[:80]: str(value)[:80] for name, value in list(sources.items())[:40]}
        if isinstance(sources, dict)
        else {},
    )


def _within(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if low < value <= high else None


# ------------------------------------------------------------------------------------------------------------- trying

# So long a counter that ticks every 100 ms ticks some 25 times.
TRIED_S = 2.5
STEP_S = 0.002

# A period is the median of at least so many changes; two numbers are compared over at least so many ticks.
FEWEST_CHANGES = 5


class Tried(NamedTuple):
    """What a sensor was like: the periods of its channels in s, energy counted over energy integrated, µs a reading takes.

    A channel that did not change often enough has no period. ``agreement`` None: there are not both, or too few ticks.
    ``sources`` is what the sensor says it is read from.
    """

    device: str
    channels: tuple[str, ...]
    periods_s: Mapping[str, float]
    agreement: float | None
    call_us: float
    failures: int = 0
    sources: Mapping[str, str] = MappingProxyType({})


def tried(
    sensor: Sensor,
    seconds: float = TRIED_S,
    *,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> Tried:
    """Reads one sensor over and over and says what it is like.

    Raises:
        SensorLost: the device is gone for good.
    """
    channels = {channel.id: channel for channel in sensor.channels}
    traces: dict[str, list[tuple[float, float]]] = {name: [] for name in channels}
    costs: list[float] = []
    failures = 0
    start = now()
    while True:
        before = now()
        reading = sensor.read()
        after = now()
        costs.append(after - before)
        for name, value in reading.items():
            if isinstance(value, SensorFailed):
                failures += 1
            elif name in traces:
                traces[name].append(((before + after) / 2, value))
        if after - start >= seconds:
            break
        sleep(STEP_S)
    periods = {name: period for name, trace in traces.items() if (period := _period_s(trace)) is not None}
    first = sensor.channels[0]
    counter = next((c.id for c in sensor.channels if c.method == "counter"), None)
    register = next(
        (c.id for c in sensor.channels if c.method == "power" and c.component == first.component), None
    )
    return Tried(
        device=first.device,
        channels=tuple(channels),
        periods_s=periods,
        agreement=_agreement(traces[counter], traces[register]) if counter and register else None,
        call_us=1e6 * _median(costs),
        failures=failures,
        sources=dict(getattr(sensor, "sources", {})),
    )


def _median(values: Iterable[float]) -> float:
    from statistics import median  # here, since a run that is only measured never asks

    return median(values)


def _changes(trace: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """When the number changed, half-way between the readings around it, and what it became."""
    return [((s + t) / 2, y) for (s, x), (t, y) in pairwise(trace) if x != y]


def _period_s(trace: Sequence[tuple[float, float]]) -> float | None:
    times = [moment for moment, _ in _changes(trace)]
    if len(times) < FEWEST_CHANGES:
        return None
    spacing = _median(b - a for a, b in pairwise(times))
    # What changes with nearly every reading is refreshed faster than it was read.
    step = _median(t - s for (s, _), (t, _) in pairwise(trace))
    return round(spacing, 4) if spacing > 1.5 * step else None


def _agreement(
    counter: Sequence[tuple[float, float]], register: Sequence[tuple[float, float]]
) -> float | None:
    """Energy counted over energy integrated, from the counter's first tick to its last."""
    ticks = _changes(counter)
    if len(ticks) < FEWEST_CHANGES:
        return None
    (start, first), (end, last) = ticks[0], ticks[-1]
    area = 0.0
    for (s, watts), (t, _) in pairwise(register):
        area += watts * max(0.0, min(t, end) - max(s, start))
    return round((last - first) / area, 4) if area > 0 else None
