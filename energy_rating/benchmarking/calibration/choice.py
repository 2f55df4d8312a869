"""Which published models a device is calibrated with: those that fit it and span its use, what is fetched, and how long it takes. Runs none."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.benchmarking.calibration.published import Candidate, PublishedList
from energy_rating.judging.operating_point import weight_bits
from energy_rating.judging.profiles import WorkloadClass
from energy_rating.nouns.records import Device

FEWEST, USUAL, MOST = 2, 3, 4  # models of a class: tier 2 rests on one to four

# What a model needs beyond its weights: AI Energy Score's own rule is a fifth of them. A context of the driver is some 0.5 GB beside it.
BEYOND_WEIGHTS = 1.2
CONTEXT_GB = 0.5

# Formats that a device of any age can compute in, and those that it must know how to.
NEEDS_AMPERE = ("bfloat16",)

# For the time that a run takes: the energy that was published, drawn at half of this device's limit; and within twice that.
LIKELY_USE = 0.5
WITHIN = 2.0

# Tokens of an answer in ML.ENERGY v3's chat on one H100: 389 to 931, over its models, the median 503.
ANSWER_TOKENS = 500

# Loading, warming up, resting and idling before and after, in seconds.
AROUND_S = 150.0

# A model that is repeated ten times in more than this is repeated five times: the fewest that any rating takes.
LONG_S = 1200.0
REPEATS, FEWEST_REPEATS = 10, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A model that is not run here, and why."""

    id: str
    task: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What is fetched from a hub: a model or an item set. ``gb`` None: not known."""

    id: str
    gb: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What is run with a device: ``models``, in the order in which they are run; ``others``, which stand in for what turns out not to run.

    ``local``: folders of models that are on disk. ``fetched``: what has to be fetched for the ``models``.
    """

    models: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    local: Mapping[str, Path]
    fetched: tuple[Fetched, ...]
    limit_w: float | None

    def seconds(self, candidate: Candidate) -> float:
        """About how long it takes: within twice as long and half as long."""
        return self._repeats_and_seconds(candidate)[1]

    def repeats(self, candidate: Candidate) -> int:
        return self._repeats_and_seconds(candidate)[0]

    def _repeats_and_seconds(self, candidate: Candidate) -> tuple[int, float]:
        limit_w = self.limit_w or 300.0  # a driver that tells none: that of a card of the middle
        items = candidate.set.take or candidate.set.items
        units = items * (ANSWER_TOKENS if candidate.set.unit == "token" else 1)
        each_s = candidate.model.j_per_unit * units / (LIKELY_USE * limit_w)
        repeats = REPEATS if each_s * REPEATS <= LONG_S else FEWEST_REPEATS
        return repeats, each_s * repeats + AROUND_S

    @property
    def all_seconds(self) -> float:
        return math.fsum(self.seconds(one) for one in self.models)

    @property
    def gb(self) -> float:
        """Of what is to be fetched, as far as its size is known."""
        return math.fsum(one.gb or 0.0 for one in self.fetched)


def needs_gb(candidate: Candidate) -> float:
    """The device memory that a model needs, in 10⁹ bytes."""
    bits = weight_bits(candidate.set.dtype) or 32
    weights = candidate.model.parameters * bits / 8 / 1e9
    return max(candidate.model.needs_gb or 0.0, weights * BEYOND_WEIGHTS + CONTEXT_GB)


def chosen(
    known: Sequence[Candidate],
    device: Device,
    *,
    classes: Collection[WorkloadClass] = (),
    tasks: Collection[str] = (),
    models: int = USUAL,
    local: Mapping[str, Path],
    on_disk: Collection[str] = (),
    items_here: Collection[str] = (),
    emulated: Collection[str] = (),
    download: bool = False,
) -> Chosen:
    """Of each class so many models as are asked for, from the hungriest that fits to the least hungry.

    Args:
        known: the published models.
        device: where they are to run.
        classes, tasks: only these; none named: all.
        models: of each class.
        local: folders of models that are on disk, by their ids: these come first.
        on_disk: ids of models that an earlier download left on disk.
        items_here: tasks whose items are given.
        emulated: number formats that the device emulates.
        download: whether what is not on disk may be fetched.
    """
    wanted = [
        one
        for one in known
        if (not tasks or one.set.task in tasks) and (not classes or one.set.workload_class in classes)
    ]
    fit: dict[str, list[Candidate]] = {}
    refused: list[Refused] = []
    for one in wanted:
        needs = needs_gb(one)
        if device.memory_gb is not None and needs > device.memory_gb:
            why: str | None = f"more memory than the device has ({device.memory_gb:.1f} GB)"
            named = f"{one.model.id} {needs:.1f} GB"
        else:
            why = _why_not(one, local, on_disk, items_here, emulated, download=download)
            named = one.model.id
        if why is None:
            fit.setdefault(one.set.workload_class, []).append(one)
        else:
            refused.append(Refused(id=named, task=one.set.task, why=why))
    picked: list[Candidate] = []
    others: list[Candidate] = []
    for several in fit.values():
        these = _spanning(several, models, first=local)
        picked += these
        others += [one for one in several if one not in these]
    here = {*local, *on_disk}
    fetched = [Fetched(id=one.model.id, gb=one.model.file_gb) for one in picked if one.model.id not in here]
    sets = {one.set.dataset: one.set for one in picked if one.set.task not in items_here}
    fetched += [Fetched(id=f"{name} ({one.items:,} items)", gb=None) for name, one in sets.items()]
    return Chosen(
        models=tuple(picked),
        others=tuple(others),
        refused=tuple(refused),
        local=local,
        fetched=tuple(fetched),
        limit_w=device.power_limit_w,
    )


def _why_not(
    one: Candidate,
    local: Mapping[str, Path],
    on_disk: Collection[str],
    items_here: Collection[str],
    emulated: Collection[str],
    *,
    download: bool,
) -> str | None:
    """Why a model is not run here; None where it is."""
    model, asked = one.model, one.set
    if asked.dtype in emulated:
        return f"published in {asked.dtype}, which this device emulates: the ratio would not be that of the device"
    if model.id not in local and model.id not in on_disk:
        if model.gated and not download:
            return (
                "is not on disk, and its publisher wants an agreement first: get it, and give it with --model"
            )
        if not download:
            return "not on disk: allow fetching it with --download, or give it with --model NAME=FOLDER"
        if model.gated:
            return "the publisher wants an agreement before anything is fetched: get it, and give it with --model NAME=FOLDER"
    if asked.task not in items_here and not download:
        return (
            f"the {asked.items:,} items ({asked.dataset}) are not here: allow fetching them with --download, or give them with "
            f"--items {asked.task}=FILE"
        )
    return None


def _spanning(fit: Sequence[Candidate], count: int, first: Collection[str]) -> list[Candidate]:
    """So many of them, evenly over the logarithm of what they took, both ends among them; those named first go before all others."""
    given = [one for one in fit if one.model.id in first]
    if len(given) >= count:
        fit = given
        given = []
    left = sorted(
        (one for one in fit if one not in given), key=lambda one: (one.model.j_per_unit, one.model.id)
    )
    picked = list(given)
    # The ends first (the hungrier one before: it uses the device most), then each time the one that is furthest from all that are picked.
    while left and len(picked) < count:
        if not picked:
            best = left[-1]
        else:
            best = max(left, key=lambda one: min(_apart(one, other) for other in picked))
        picked.append(best)
        left.remove(best)
    return sorted(picked, key=lambda one: (one.model.j_per_unit, one.model.id))


def standing_in(candidate: Candidate, others: Sequence[Candidate], *, hungrier: bool) -> Candidate | None:
    """The one of its class that is nearest to it by what it took; ``hungrier``: of those that took more."""
    same = [one for one in others if one.set.workload_class == candidate.set.workload_class]
    if hungrier:
        same = [one for one in same if one.model.j_per_unit > candidate.model.j_per_unit]
    return min(same, key=lambda one: _apart(one, candidate), default=None)


def _apart(one: Candidate, other: Candidate) -> float:
    return abs(math.log(one.model.j_per_unit / other.model.j_per_unit))


def not_repeatable(known: Sequence[PublishedList], tasks: Collection[str] = ()) -> list[Refused]:
    """What was published and can be run nowhere, with the reasons."""
    return [
        Refused(id=item.id, task=one.name, why=item.why)
        for one in known
        for item in one.not_repeatable
        if not tasks or not item.tasks or set(item.tasks) & set(tasks)
    ]
