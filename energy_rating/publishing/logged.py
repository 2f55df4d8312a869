"""A run as trackers of experiments take it (MLflow, W&B): figures by name, words, the curve of power, and files. Talks to nobody.

Names are ``energy/WINDOW/COMPONENT_j``, with half of its 95 % interval beside it (``…_j_plus_minus``), and ``…_j_per_UNIT``. What is only
estimated is called so (``cpu_estimated_j``); what was not measured is absent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.files.reading import journal_in, read_journal
from energy_rating.files.record import RECORD_NAME, record_to_json
from energy_rating.judging.evidence import load
from energy_rating.judging.footprint.carbon import footprint, zone_of
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import MEASURED, RUN, Rating, Record
from energy_rating.publishing import label, trace
from energy_rating.publishing.facts import Facts, facts_of
from energy_rating.publishing.names import ORIGINS

# Points of a curve: more than that no screen shows, and each is a call, or a row in somebody's database.
MOST_POINTS = 1000
MOST_WINDOWS = 50  # names of windows
LARGEST_JOURNAL = 64 << 20  # bytes; a larger one stays where it is

# What MLflow takes as a name: https://mlflow.org/docs/latest (validate_metric_name), 2026-11-30.
_NO_NAME = re.compile(r"[^\w\-. ]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The power of one channel: ``time_s`` since the start of the run, watts."""

    channel: str
    time_s: Sequence[float]
    watts: Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRun:
    """All that goes to a tracker; ``started_s`` is the start of the run, in seconds since 1970, as far as it is known."""

    run_id: str
    figures: Mapping[str, float]
    words: Mapping[str, str]
    curves: tuple[Curve, ...]
    files: Mapping[str, bytes]
    started_s: float


def of_folder(folder: Path) -> LoggedRun:
    """A run that has ended, from its folder.

    Raises:
        BadInput: there is no record in it, or it cannot be read.
    """
    return of_record(load(folder), folder)


def of_record(record: Record, folder: Path | None = None) -> LoggedRun:
    """A run that has ended; without its folder there is neither its curve nor its journal."""
    rating = rate(record)
    facts = facts_of(record, rating)
    files = {
        RECORD_NAME: record_to_json(record).encode(),
        "label.svg": label.svg(record, rating).encode(),
    }
    curves: tuple[Curve, ...] = ()
    used = record[RUN].energy_by_channel_j if RUN in record else {}
    if folder is not None:
        try:
            path = journal_in(folder)
            if path.stat().st_size <= LARGEST_JOURNAL:
                files[path.name] = read_whole(path, LARGEST_JOURNAL)
                curves = tuple(_curves(path, used))
        except (BadInput, OSError):  # the record tells what there is
            pass
    return LoggedRun(
        run_id=record.run_id,
        figures=dict(_figures(record, facts, rating)),
        words=dict(_words(record, facts, rating)),
        curves=curves,
        files=files,
        started_s=_seconds(record.created),
    )


def _figures(record: Record, facts: Facts, rating: Rating) -> Iterator[tuple[str, float]]:
    for row in facts.rows[:MOST_WINDOWS]:
        measurement = row.measurement
        window = f"energy/{_NO_NAME.sub('-', measurement.name)[:80]}"
        yield f"{window}/duration_s", measurement.duration_s
        for part in row.parts:
            origin = "" if part.origin == "measured" else f"_{part.origin}"
            name = f"{window}/{part.component}{origin}_j"
            yield name, part.energy_j.value
            yield f"{name}_plus_minus", part.energy_j.half_width()
            for unit in measurement.work:
                if measurement.work.divisor(unit) is not None:
                    yield (
                        f"{name}_per_{_NO_NAME.sub('-', unit)[:40]}",
                        row.per(unit, part).value,
                    )
        for unit, amount in measurement.work.items():
            yield f"{window}/work_{_NO_NAME.sub('-', unit)[:40]}", float(amount)
    if rating.stars is not None:
        yield "energy/stars", float(rating.stars)
    if zone_of(record) is not None:
        try:
            impact = footprint(record)
        except EnergyRatingError:  # a place without a factor
            return
        if impact.validity != "invalid":
            yield "energy/carbon_g", impact.carbon_g.value


def _words(record: Record, facts: Facts, rating: Rating) -> Iterator[tuple[str, str]]:
    name = MEASURED if MEASURED in record else RUN
    yield "energy/run_id", record.run_id
    yield "energy/stage", record.stage
    for row in facts.rows:
        if row.measurement.name == name:
            yield "energy/validity", row.measurement.validity
            for origin in ORIGINS:
                found = [part.component for part in row.parts if part.origin == origin]
                if found or origin != "imported":
                    yield f"energy/{origin}", ", ".join(found) or "nothing"
    yield (
        "energy/findings",
        ", ".join(dict.fromkeys(one.code for one in record.findings if one.severity != "note")) or "none",
    )
    yield "energy/scheme", rating.scheme
    yield "energy/rating", "not rated" if rating.stars is None else f"{rating.stars} stars"


def _curves(path: Path, channels: Collection[str]) -> Iterator[Curve]:
    frame = trace.table(read_journal(path))
    frame = frame[frame["power_w"].notna() & frame["channel"].isin(list(channels))]
    if "session" in frame.columns:  # times begin again with each
        frame = frame[frame["session"] == frame["session"].max()]
    for channel, part in frame.groupby("channel", sort=True):
        time_s, watts = [float(one) for one in part["time_s"]], [float(one) for one in part["power_w"]]
        each = -(-len(time_s) // MOST_POINTS)
        yield Curve(
            channel=str(channel),
            time_s=[_mean(time_s[at : at + each]) for at in range(0, len(time_s), each)],
            watts=[_mean(watts[at : at + each]) for at in range(0, len(watts), each)],
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _seconds(created: str) -> float:
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0
