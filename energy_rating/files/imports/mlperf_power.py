"""MLPerf Inference with power: ``spl.txt`` of SPEC's PTDaemon, with the load generator's two logs beside it.

The meter's lines, ``Time,07-23-2024 17:08:50.389,Watts,183.9,Volts,…,Mark,…``, are those of the whole machine at the wall, a second apart. From
``mlperf_log_detail.txt`` come ``power_begin`` and ``power_end``, from ``mlperf_log_summary.txt`` the scenario, whether the result is valid, and the rate. Both
clocks tell no zone, and those of meter and machine may differ by one: the zone is the only one in which the window lies within the
meter's log, or that of both as they stand. Rules of the benchmark: a meter of at most 1 % uncertainty, clocks within 0.8 s (power_measurement.adoc, 2026-07-23).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from energy_rating.files.foreign import Foreign
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    of_import,
    since_epoch,
    text,
    work,
)
from energy_rating.files.imports import power_log
from energy_rating.nouns.entries import RUN, Finding, Load, Task
from energy_rating.nouns.errors import BadInput

NAME = "MLPerf Power"

_LINE = re.compile(r"Time,(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d\.\d{3}),Watts,(-?\d{1,7}(?:\.\d{1,9})?),")
_EVENT = re.compile(r'"key": "(power_begin|power_end)", "value": "(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d\.\d{3})"')
_SUMMARY = re.compile(r"^([A-Za-z][\w ()./-]{2,60}?)\s*:\s*(.{1,80})$", re.MULTILINE)
_RATES = {
    "Samples per second": "sample",
    "Scheduled samples per second": "sample",
    "Completed samples per second": "sample",
    "Tokens per second": "token",
    "Completed tokens per second": "token",
}
_PROCESSED = re.compile(r"Processed at least \d+ queries \((\d{1,15})\)")

# Twice the 1 % that the rules allow the meter.
DOUBT = 0.02
CLOCKS_S = 0.8
MOST_READINGS = 1_000_000


def is_mine(file: Foreign) -> bool:
    return _LINE.match(file.first_line) is not None


def read(file: Foreign) -> Iterator[Import]:
    meter = _meter(file)
    detail, summary = _beside(file)
    events = dict(_EVENT.findall(detail.text)) if detail is not None else {}
    says: list[Finding] = []
    start, end = (_clock(events.get(f"power_{edge}")) for edge in ("begin", "end"))
    if start is None or end is None or end <= start:
        start, end = meter.start_s, meter.end_s
        says.append(
            of_import(
                "imported-incomplete",
                "mlperf_log_detail.txt with power_begin and power_end is not beside it: taken is all that the meter saw",
                severity="degrades",
            )
        )
    else:
        # Where the clocks agree as they stand, they are of one zone, however long the meter's log is.
        agree = meter.start_s - CLOCKS_S <= start and end <= meter.end_s + CLOCKS_S
        shift = 0.0 if agree else meter.shifted(start, end)
        if shift is None:
            raise BadInput(
                "no zone brings power_begin and power_end into the meter's log, or several do",
                "Keep the three files of one run in one folder",
            )
        start, end = start + shift, end + shift
    energies, share = meter.between(start, end)
    told = dict(_SUMMARY.findall(summary.text)) if summary is not None else {}
    duration = end - start
    says += _said(told, summary, share)
    yield Import(
        tool=NAME,
        when=(since_epoch(start) or "").removesuffix("Z"),
        stage="inference",
        task=Task(name=f"mlperf {text(told.get('Scenario'), 30) or 'scenario not told'}"),
        load=Load(items=None),
        parts=(
            ForeignPart(
                name=RUN,
                duration_s=duration,
                energies=tuple(
                    ForeignEnergy(
                        component="wall", joules=one.joules, had="meter", doubt=DOUBT, period_s=CLOCKS_S
                    )
                    for one in energies
                ),
                work=_work(told, summary, duration),
                coverage={"wall": share},
            ),
        ),
        says=tuple(says),
        data={"system": text(told.get("SUT name"), 60) or "not told"},
    )


def _meter(file: Foreign) -> power_log.PowerLog:
    times: list[float] = []
    watts: list[float] = []
    for line in file.text.splitlines()[:MOST_READINGS]:
        found = _LINE.match(line)
        time = _clock(found[1]) if found else None
        power = float(found[2]) if found else -1.0
        if time is None or power < 0 or (times and time <= times[-1]):
            continue
        times.append(time)
        watts.append(power)
    if len(times) < 2:
        raise BadInput("holds no two readings of the meter", "Name the spl.txt of the performance run")
    meter = power_log.PowerOf(device="meter", name=None, times_s=times, watts=watts)
    return power_log.PowerLog(devices=(meter,), zoned=False)


def _clock(told: str | None) -> float | None:
    try:
        return datetime.strptime(told or "", "%m-%d-%Y %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _beside(file: Foreign) -> tuple[Foreign | None, Foreign | None]:
    detail = summary = None
    for other in file.beside():
        if other.first_line.startswith(":::MLLOG"):
            detail = detail or other
        elif "MLPerf Results Summary" in other.beginning[:400]:
            summary = summary or other
    file.taken += [one.path for one in (detail, summary) if one is not None]
    return detail, summary


def _work(told: Mapping[str, str], summary: Foreign | None, duration_s: float) -> dict[str, int | float]:
    """Samples, and tokens where they are told: the rate times the duration, or the queries times their samples."""
    found: dict[str, object] = {}
    for name, unit in _RATES.items():
        rate = amount(told.get(name), 1e15)
        if rate and unit not in found:
            found[unit] = round(rate * duration_s)
    processed = _PROCESSED.search(summary.text) if summary is not None else None
    each = amount(told.get("samples_per_query"), 1e9)
    if "sample" not in found and processed is not None and each:
        found["sample"] = int(processed[1]) * int(each)
    return work(
        {name: value for name, value in found.items() if isinstance(value, int) and math.isfinite(value)}
    )


def _said(told: Mapping[str, str], summary: Foreign | None, share: float) -> Iterator[Finding]:
    yield of_import(
        "imported-scope",
        "it is the whole machine at the wall plug, fans and losses included; the result and its power were not checked against MLCommons' rules",
    )
    if summary is None:
        yield of_import(
            "imported-incomplete",
            "mlperf_log_summary.txt is not beside it: what work was done is not told",
            severity="degrades",
        )
    elif (verdict := text(told.get("Result is"), 20)) != "VALID":
        yield of_import(
            "imported-incomplete",
            f"the load generator calls its result {verdict or 'nothing'}, not VALID",
            severity="disqualifies",
        )
    if summary is not None:
        yield of_import(
            "imported-batch",
            "work is the rate of the summary times the time of the power; batches and precision are not told here",
        )
    yield from power_log.of_coverage(share)
