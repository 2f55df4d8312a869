"""The work that a measurement's energy is divided by: what was counted into it, or into windows inside it that cover it. Pure.

Works on records alone, so that the same record is judged alike with its journal and without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from energy_rating.nouns.records import RUN, Measurement, Number, Record

# Windows that leave less of a run than this are the run, but for its start and its end: their work is the run's, and what the rest
# took is a part of its price. A share, not a time, because what is divided is the energy of the whole.
COVERS = 0.95

# Starts and durations are noted to the microsecond, and added up.
ADDED_UP = 1e-6

# Windows of one name that overlap do not cover what their durations add up to.
OVERLAP = "windows-overlap"


@dataclass(frozen=True, kw_only=True, slots=True)
class Divisor:
    """So much work of one unit. ``window``: the name of the inner windows that it was counted in, which are so large a ``share``
    of the measurement's time; None where it was counted into the measurement itself."""

    unit: str
    amount: Number
    window: str | None = None
    share: float = 1.0

    @property
    def covers(self) -> bool:
        """Whether it is the work of the whole measurement."""
        return self.window is None or self.share >= COVERS

    def __str__(self) -> str:
        amount = f"{self.amount:,}" if isinstance(self.amount, int) else f"{self.amount:,.6g}"
        where = "" if self.window is None else f" in {self.window!r}"
        return f"{amount} {self.unit}{where}" + (
            "" if self.covers else f" ({percent(self.share)} of the time)"
        )


def percent(share: float) -> str:
    """A share in words, rounded down: 94.98 % must not read as the 95 % that it misses."""
    return f"{math.floor(share * 1000 + ADDED_UP) / 10:g} %"


def counted(record: Record, measurement: Measurement) -> Mapping[str, Divisor]:
    """What was counted of each unit: into the measurement itself, else, of the run, into the windows inside it that cover most of it.

    Windows of one name stand for the run if they lie in it one after the other (as far as a record tells: their durations do not
    exceed the run's, the first begins with it where they cover it, and no finding says that they overlap). Where several names cover
    it and tell different amounts of one unit, that unit is not known.
    """
    found = {unit: Divisor(unit=unit, amount=amount) for unit, amount in measurement.work.items() if amount}
    if measurement.name != RUN or measurement.duration_s <= 0:
        return found
    inner: dict[str, list[Divisor]] = {}
    for window in record:
        if window.name == RUN or any(
            finding.code == OVERLAP and finding.measurement == window.name for finding in record.findings
        ):
            continue
        share = window.duration_s / measurement.duration_s
        late = (window.start_s - measurement.start_s) / measurement.duration_s
        if share > 1 + ADDED_UP or (share >= COVERS and late > 1 - share + ADDED_UP):
            continue
        for unit, amount in window.work.items():
            if amount and unit not in found:
                inner.setdefault(unit, []).append(
                    Divisor(unit=unit, amount=amount, window=window.name, share=min(share, 1.0))
                )
    for unit, several in inner.items():
        covering = [work for work in several if work.covers]
        alike = all(math.isclose(work.amount, covering[0].amount, rel_tol=1e-9) for work in covering)
        if alike or not covering:
            found[unit] = max(covering or several, key=lambda work: work.share)
    return found


def work_of(record: Record, measurement: Measurement) -> Mapping[str, Divisor]:
    """Of ``counted``, what is the work of the whole measurement."""
    return {unit: work for unit, work in counted(record, measurement).items() if work.covers}
