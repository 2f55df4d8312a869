"""Which class a record is compared in. What comes of it is said by ``rating``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from energy_rating.judging.operating_point import CALLED, requests_in_flight, weight_bits
from energy_rating.judging.schemes import RatingClass, Scheme, SizeClass, TrainingClass
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import MEASURED, Load, Model, Record, Yardstick

# Weights, and a fifth on top for activations and buffers: the rule by which the AI Energy Score divides text generation.
MEMORY_PER_WEIGHT = 1.2


# -------------------------------------------------------------------------------------------- what it compares with


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """The class that a record belongs to, or why it belongs to none. ``name`` may be known without a rated class."""

    rated: RatingClass | TrainingClass | None = None
    name: str | None = None
    reasons: Sequence[Reason] = field(default_factory=list)


def find_class(record: Record, scheme: Scheme) -> _Class:
    task = record.task
    if task is None:
        return _without(
            "no-task",
            "the record names no task and no protocol, and only runs of one protocol can be compared",
        )
    protocol = task.protocol
    if protocol is None:
        return _without(
            "no-protocol", "the record names no protocol, and only runs of one protocol can be compared"
        )
    for item in scheme.unrated:
        if item.protocol == protocol and item.task is None:
            return _without("never-rated", item.reason)
    names = [item.name for item in scheme.protocols]
    if protocol not in names:
        return _without(
            "protocol-unknown",
            f"the protocol must be one that {scheme.name} knows: {', '.join(names)}; got {protocol!r}",
        )
    sizes = [item for item in scheme.sizes if (item.protocol, item.task) == (protocol, task.name)]
    name: str | None = None
    if sizes:
        size = _size_class(record, sizes)
        if size is None:
            missing = (
                "what the model did in 'measured'"
                if any(item.writes_tokens is not None for item in sizes)
                else "how many parameters the model has"
                if not _parameters(record.model)
                else "in which format its weights are"
            )
            return _without("class-unknown", f"the class cannot be told: the record does not say {missing}")
        name = size.name
    candidates = [
        item
        for item in scheme.classes
        if (item.protocol, item.task) == (protocol, task.name) and (not sizes or item.name == name)
    ]
    if len(candidates) == 1:
        return _Class(rated=candidates[0], name=candidates[0].name)
    if candidates:
        return _at_operating_point(record, candidates)
    for item in scheme.unrated:
        if (item.protocol, item.task) == (protocol, task.name) and item.name in (None, name):
            return _without("never-rated", item.reason, name)
    tasks = dict.fromkeys(item.task for item in scheme.classes if item.protocol == protocol)
    return _without(
        "task-not-rated",
        f"{scheme.name} has no class for the task {task.name!r} under {protocol}; it has: {', '.join(tasks)}",
        name,
    )


def _without(code: str, message: str, name: str | None = None) -> _Class:
    return _Class(name=name, reasons=[Reason.of(code, message)])


def _at_operating_point(record: Record, candidates: Sequence[RatingClass]) -> _Class:
    """Of the classes of one task, which differ in how many requests were in flight, the one that the record ran at."""
    in_flight = requests_in_flight(record.load or Load())
    points = [item.operating_point["in_flight"] for item in candidates if "in_flight" in item.operating_point]
    for item, (low, high) in zip(candidates, points, strict=True):
        if in_flight is not None and low <= in_flight <= high:
            return _Class(rated=item, name=item.name)
    there = ", ".join(f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in points)
    must = f"the {CALLED['in_flight']} must be one of {there} under {candidates[0].protocol}"
    if in_flight is None:
        return _without("setting-unknown", f"{must}; the record does not say it")
    return _without("setting-outside", f"{must}; got {in_flight:,}")


def find_training(record: Record, scheme: Scheme) -> _Class:
    for rated in scheme.training:
        if rated.stage == record.stage:
            return _Class(rated=rated, name=rated.name)
    return _without(
        "stage-not-rated", f"{record.stage} is not rated yet: {scheme.name} has no classes for training"
    )


def _parameters(model: Model | None) -> int | None:
    return model.parameters if model is not None else None


def _size_class(record: Record, sizes: Sequence[SizeClass]) -> SizeClass | None:
    """The first class whose bounds the model keeps, or None where the record does not say enough to tell."""
    if any(size.writes_tokens is not None for size in sizes):
        if MEASURED not in record:
            return None
        # What a model writes is counted as it runs: the journal shows it, and no name and no declaration has to be believed.
        writes = bool(record[MEASURED].work.get("token"))
        return next((size for size in sizes if size.writes_tokens in (None, writes)), None)
    model, parameters = record.model, _parameters(record.model)
    if model is None or not parameters:
        return None
    bits = weight_bits(model.dtype)
    for size in sizes:
        if size.largest_parameters is not None and parameters <= size.largest_parameters:
            return size
        if size.largest_gb is None:
            if size.largest_parameters is None:
                return size
            continue
        if bits is None:
            return None
        if parameters * bits / 8 * MEMORY_PER_WEIGHT / 1e9 <= size.largest_gb:
            return size
    return None


# ------------------------------------------------------------------------------------------------------ what it is made of


def yardstick(scheme: Scheme, rated: RatingClass | TrainingClass) -> Yardstick:
    """What a record of the class is compared with, as it is told to people."""
    about = (
        f"{rated.stage} of large language models"
        if isinstance(rated, TrainingClass)
        else _about(scheme, rated)
    )
    return Yardstick(
        typical_j=rated.e_ref_j, unit=rated.unit, models=rated.n, few=rated.status != "firm", about=about
    )


def _about(scheme: Scheme, rated: RatingClass) -> str:
    sizes = [size for size in scheme.sizes if (size.protocol, size.task) == (rated.protocol, rated.task)]
    for number, size in enumerate(sizes):
        if size.name != rated.name:
            continue
        if size.writes_tokens is not None:
            return f"models that {'write their answer token by token' if size.writes_tokens else 'answer in one pass'}"
        if size.largest_parameters is not None:
            return f"models of up to {size.largest_parameters / 1e9:g} billion parameters"
        largest = sizes[number - 1].largest_parameters if number else None
        return f"models of more than {largest / 1e9:g} billion parameters" if largest else "all other models"
    if "in_flight" in rated.operating_point and rated.name is not None:
        low, high = rated.operating_point["in_flight"]
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        return f"models with {span} request{'s' if high > 1 else ''} at a time"
    return "all models of this task"
