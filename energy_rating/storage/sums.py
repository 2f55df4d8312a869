"""What many runs come to: measured, with gaps, estimated and imported apart, each run once; what was for nothing; and which run is unlike its like.

The doubt of a sum: random doubts add in quadrature; the systematic ones of one kind of device, whose sensors may share one error, add
linearly, and those of different kinds in quadrature.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, get_args

from energy_rating.nouns.quantities import Estimate
from energy_rating.storage.index import Index, IndexedRun
from energy_rating.storage.runs import KINDS, Kind

By = Literal["model", "stage", "month", "place", "task", "hardware", "protocol", "engine", "role"]
BYS: tuple[By, ...] = get_args(By)
NOT_TOLD = "not told"

# A run is named where its figure is so far from the middle of its like: more than what runs of it differ by (3.5 times the median
# absolute deviation, scaled to a standard deviation: Iglewicz and Hoaglin, "How to detect and handle outliers", 1993, page 11), by more
# than its own doubt, and by at least a fifth, below which nobody would look.
OUTLYING = 3.5
MAD_TO_SIGMA = 1.4826
LEAST_APART = 0.2
LEAST_ALIKE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """So many runs and their energy in joules; None where none of them has one."""

    runs: int
    energy_j: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """The sums of some runs, each run once. ``group`` are the values that they have in common.

    ``parts`` are apart by kind, and never added: of ``incomplete`` runs the energy is a lower bound, and ``invalid`` ones stand in no sum.
    ``beside``: what a model said of other components of measured runs. ``waste``: those of all of these that were for nothing, which
    stand in ``parts`` too. ``boundaries``: of how many measured runs the energy is of which components.
    """

    group: tuple[str, ...]
    runs: int
    parts: Mapping[Kind, Amount]
    beside: Amount
    waste: Amount
    verified: int
    carbon_g: float | None
    carbon_runs: int
    boundaries: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unlike:
    """A run whose figure is far from the middle of ``alike`` runs of the same: ``times`` that. ``why`` is what else differs."""

    run_id: str
    folder: str
    model: str
    figure_j: float
    unit: str
    median_j: float
    times: float
    alike: int
    why: str


@dataclass(slots=True)
class _Adding:
    """Sums that grow run by run, in the memory of one."""

    runs: int = 0
    verified: int = 0
    carbon_g: float = 0.0
    carbon_runs: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    randoms: dict[str, list[float]] = field(default_factory=dict)
    systematics: dict[str, dict[str, float]] = field(default_factory=dict)
    boundaries: dict[str, int] = field(default_factory=dict)

    def add(self, one: IndexedRun) -> None:
        run = one.run
        self.runs += 1
        self.verified += one.good
        if run.carbon_g is not None:
            self.carbon_g += run.carbon_g
            self.carbon_runs += 1
        measured = run.measured_j is not None
        value = run.measured_j if run.measured_j is not None else run.estimated_j
        random = run.measured_random_j if measured else 0.0
        systematic = run.measured_systematic_j if measured else run.estimated_sigma_j
        whose = run.hardware or NOT_TOLD
        self._add(run.kind, value, random, systematic, whose)
        if measured and run.kind == "measured":
            self.boundaries[run.components] = self.boundaries.get(run.components, 0) + 1
        if measured and run.estimated_j is not None:
            self._add("beside", run.estimated_j, 0.0, run.estimated_sigma_j, whose)
        if run.waste:
            self._add("waste", value if run.kind != "invalid" else None, random, systematic, whose)

    def _add(self, name: str, value: float | None, random: float, systematic: float, whose: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        if value is None:
            return
        self.values.setdefault(name, [0.0, 0.0])
        total, squares = self.values[name]
        self.values[name] = [total + value, squares + random * random]
        by_kind = self.systematics.setdefault(name, {})
        by_kind[whose] = by_kind.get(whose, 0.0) + systematic

    def amount(self, name: str) -> Amount:
        found = self.values.get(name)
        energy = None
        if found is not None:
            energy = Estimate(
                value=found[0],
                random=math.sqrt(found[1]),
                systematic=math.hypot(*self.systematics[name].values()),
            )
        return Amount(runs=self.counts.get(name, 0), energy_j=energy)

    def told(self, group: tuple[str, ...]) -> Collected:
        return Collected(
            group=group,
            runs=self.runs,
            parts={kind: self.amount(kind) for kind in KINDS if kind in self.counts},
            beside=self.amount("beside"),
            waste=self.amount("waste"),
            verified=self.verified,
            carbon_g=self.carbon_g if self.carbon_runs else None,
            carbon_runs=self.carbon_runs,
            boundaries=dict(sorted(self.boundaries.items())),
        )


def added_up(runs: Iterable[IndexedRun], by: Sequence[By] = ()) -> tuple[Collected, tuple[Collected, ...]]:
    """All of them, and each group of them. Runs that are there twice, or inside another's energy, are left out."""
    whole = _Adding()
    groups: dict[tuple[str, ...], _Adding] = {}
    for one in runs:
        if not one.counts:
            continue
        whole.add(one)
        if by:
            groups.setdefault(tuple(value_of_group(one, name) for name in by), _Adding()).add(one)
    return whole.told(()), tuple(groups[key].told(key) for key in sorted(groups))


def value_of_group(one: IndexedRun, by: By) -> str:
    """What a run is grouped by."""
    run = one.run
    told = {
        "model": run.model,
        "stage": run.stage,
        "month": run.created[:7],
        "place": run.place,
        "task": run.task,
        "hardware": f"{run.hardware_count} × {run.hardware}" if run.hardware else "",
        "protocol": run.protocol,
        "engine": run.engine,
        "role": "failed" if run.waste else run.role,
    }
    return told[by] or NOT_TOLD


# ------------------------------------------------------------------------------------------------------ unlike its like

_ALIKE = (
    *("run_model", "run_revision", "run_stage", "run_task", "run_protocol", "run_figure_unit"),
    *("run_figure_component", "run_figure_origin", "run_hardware", "run_hardware_count", "run_batch"),
    *("run_concurrency", "run_tokens", "run_dtype"),
)


def outliers(index: Index) -> Iterator[Unlike]:
    """Runs whose energy per unit is far from that of their like: same model, work, hardware and load."""
    order = ", ".join(f"r.{name}" for name in _ALIKE)
    runs = index.runs(
        "r.run_figure_j > 0 AND r.twice_of IS NULL AND r.run_kind IN ('measured', 'incomplete') AND r.run_model <> ''",
        order=f"{order}, r.run_created, r.folder",
    )
    for _, group in groupby(runs, key=_alike):
        some = list(group)
        if len(some) >= LEAST_ALIKE:
            yield from _unlike(some)


def _alike(one: IndexedRun) -> tuple[object, ...]:
    return tuple(getattr(one.run, name.removeprefix("run_")) for name in _ALIKE)


def _unlike(some: Sequence[IndexedRun]) -> Iterator[Unlike]:
    # In logarithms: half and twice are equally far.
    logs = [math.log(one.run.figure_j or 1.0) for one in some]
    middle = statistics.median(logs)
    spread = MAD_TO_SIGMA * statistics.median(abs(one - middle) for one in logs)
    median_j = math.exp(middle)
    for one, log in zip(some, logs, strict=True):
        own = one.run.figure_half_j / (one.run.figure_j or 1.0)
        far = abs(log - middle)
        if far > max(OUTLYING * spread, math.log1p(own), math.log1p(LEAST_APART)):
            yield Unlike(
                run_id=one.run.run_id,
                folder=one.folder,
                model=one.run.model,
                figure_j=one.run.figure_j or 0.0,
                unit=one.run.figure_unit,
                median_j=median_j,
                times=math.exp(log - middle),
                alike=len(some),
                why=_why(one, some),
            )


def _why(one: IndexedRun, some: Sequence[IndexedRun]) -> str:
    """What else is unlike in it: how long it took, what its findings are, how much of it was seen."""
    others = [other.run for other in some if other is not one]
    told = []
    longer = one.run.duration_s / (statistics.median(other.duration_s for other in others) or 1.0)
    if not 1 / (1 + LEAST_APART) < longer < 1 + LEAST_APART:
        told.append(f"it took {longer:.2g} times as long")
    common = set.intersection(*(set(other.findings) for other in others))
    told += [code for code in one.run.findings if code not in common]
    if one.run.engine != others[0].engine and len({other.engine for other in others}) == 1:
        told.append(f"{one.run.engine or 'no engine told'}, the others {others[0].engine or 'none told'}")
    if one.run.waste:
        told.append(f"the program {one.run.ending or 'failed'}")
    return "; ".join(told)
