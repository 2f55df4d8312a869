"""Asks Electricity Maps for a grid's carbon intensity at the hours of a run: only where the user says so (``--live``).

Nothing else of a footprint talks to a network, and nothing that judges does. It waits a few seconds at most; where nothing usable
comes, the stored figure is taken, and the result says so. The token comes from the environment and is written nowhere.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from energy_rating.judging.footprint.countries import THREE_OF_TWO
from energy_rating.judging.footprint.factors import region_of
from energy_rating.judging.footprint.impact import Live
from energy_rating.judging.footprint.series import Series

SERVICE = "Electricity Maps"
HOST = "https://api.electricitymaps.com"
TOKEN = "ELECTRICITY_MAPS_TOKEN"  # noqa: S105 - the name of the variable, and no token
ADDRESS = "ELECTRICITY_MAPS_URL"  # where else to ask: a mirror, or a stand-in on this machine
WAIT_S = 10.0
LARGEST_ANSWER = 4 << 20
LONGEST_RANGE_S = (
    10 * 86400.0
)  # what the service gives at once: "The maximum duration is 10 days" (its own error)
HOUR_S = 3600.0

# What the network, and reading an answer that may be anything, can fail with.
_WRONG = (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def zone_for(zone: str) -> str | None:
    """What the service calls a zone: two letters of a country, or a part of one; None where that is not known."""
    region = region_of(zone)
    if region is not None:
        return region.grid
    code = zone.upper()
    two = next((two for two, three in THREE_OF_TWO.items() if three == code), None)
    return two or (code if "-" in code else None)


def asked(
    zone: str,
    start_s: float,
    end_s: float,
    *,
    environ: Mapping[str, str] = os.environ,
    wait_s: float = WAIT_S,
) -> tuple[Series | None, Live]:
    """The intensity hour by hour from the service, and what came of asking. Raises nothing: the stored figure is the way on."""
    called = zone_for(zone)
    if called is None:
        return None, Live(
            service=SERVICE, zone=zone, answered=False, why=f"what it calls {zone} is not known"
        )
    token = environ.get(TOKEN, "").strip()
    if not token:
        return None, Live(service=SERVICE, zone=called, answered=False, why=f"{TOKEN} is not set")
    if end_s - start_s > LONGEST_RANGE_S:
        return None, Live(
            service=SERVICE,
            zone=called,
            answered=False,
            why="it tells ten days at once, and the run is longer",
        )
    first = math.floor(start_s / HOUR_S) * HOUR_S
    last = max(math.ceil(end_s / HOUR_S) * HOUR_S, first + HOUR_S)
    query = urlencode({"zone": called, "start": _time(first), "end": _time(last + HOUR_S)})
    base = environ.get(ADDRESS, "").rstrip("/") or HOST
    try:
        series = _series(_fetched(f"{base}/v3/carbon-intensity/past-range?{query}", token, wait_s))
        next(iter(series.pieces(start_s, end_s)))
    except _WRONG as error:  # whatever a stranger's service does: the stored figure stands in for it
        why = _why(error)
        return None, Live(service=SERVICE, zone=called, answered=False, why=why)
    return series, Live(service=SERVICE, zone=called, answered=True, why="")


def _fetched(address: str, token: str, wait_s: float) -> bytes:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{ADDRESS} must be an address of http or https")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    until = time.monotonic() + wait_s
    connection = kind(parts.hostname, parts.port, timeout=wait_s)
    try:
        # No redirection is followed: the token is for this host alone.
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"auth-token": token})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"it answered with status {answer.status}")
        content = bytearray()
        # Each reading has the time that is left: an answer that comes a byte a second would never end else.
        while piece := answer.read1(1 << 16):
            content += piece
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if len(content) > LARGEST_ANSWER:
                raise ValueError("its answer is too long")
            if connection.sock is not None:
                connection.sock.settimeout(left_s)
    finally:
        connection.close()
    return bytes(content)


def _series(content: bytes) -> Series:
    told = json.loads(content)
    entries = told.get("data") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        raise ValueError("its answer holds no data")
    found: dict[float, float] = {}
    for entry in entries:
        value = entry.get("carbonIntensity")
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        found[datetime.fromisoformat(str(entry["datetime"])).astimezone(UTC).timestamp()] = float(value)
    times = sorted(found)
    return Series(
        times_s=tuple(times), g_per_kwh=tuple(found[time] for time in times), source=SERVICE, alone_s=HOUR_S
    )


def _time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _why(error: Exception) -> str:
    """In a few words, and none of a stranger's."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError):
        return "it could not be reached"
    if isinstance(error, ValueError) and str(error).startswith(("it ", "its ", ADDRESS)):
        return str(error)
    return "its answer does not cover the run, or cannot be read"
