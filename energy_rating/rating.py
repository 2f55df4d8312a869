"""From a record to stars under one scheme, or to every reason why there are none. Pure; reads scheme files and profiles.

Index = gross energy per unit of the component that the scheme names / the class's reference energy. The stars are those of the
point value; what its 95 % interval allows stands beside them. Inference is rated under a protocol and at an operating point that
the scheme knows, as measured on the reference device, or as normalised to it where the scheme allows that. Items that nobody can
compare with the protocol's leave a rating *indicative*. Of training the run is rated, whatever it ran on: its energy per
floating-point operation that the model's training needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from energy_rating.checks import LEAST_COVERAGE, ONLY_ESTIMATED, is_only_estimated
from energy_rating.files import strict
from energy_rating.files.shipped import hardware_profiles
from energy_rating.nouns import records
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import CONFIDENCE, ROUNDING, STRICT, Estimate, significant
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    Basis,
    Checked,
    Component,
    Device,
    Finding,
    Load,
    Measurement,
    Model,
    Rating,
    Record,
    Stage,
    Status,
    Validity,
    WouldBe,
    validity,
    worst_method,
)
from energy_rating.profiles import (
    EXAMPLE_DEVICE,
    Profile,
    is_same_limit,
    load_profile,
    profile_for,
)
from energy_rating.profiles import profiles as all_profiles
from energy_rating.work import COVERS, Work, counted, percent

if TYPE_CHECKING:
    from energy_rating.normalisation import Normalised

SCHEME_SCHEMA = "energy-rating/scheme/1"
RATING_SCHEMA = "energy-rating/rating/1"
SCHEMES = Path(__file__).parent / "schemes"
TRAINING: tuple[Stage, ...] = ("pre-training", "fine-tuning")

MOST_STARS = 5

WORST_LAST: tuple[Validity, ...] = ("valid", "degraded", "invalid")

# How a record's provenance calls items that did not ship with the package.
OWN_ITEMS = "items"

# How a record's settings call the engine's own options (``--option NAME=VALUE``).
ENGINES_OWN = "option."

# And how it calls those of a data set.
DATASETS = "datasets/"

# Weights, and a fifth on top for activations and buffers: the rule by which the AI Energy Score divides text generation.
MEMORY_PER_WEIGHT = 1.2

# What a finding calls a device that others used at the same time: the energy is not the model's alone, however much that was.
NOT_ALONE = ("shared-gpu",)

# Operations of a training, by parameter and token: two (a multiplication, an addition) forwards, two for the gradient of what
# flows through, two for that of the weight itself, which a frozen weight does not need. 6 N T in all; arXiv 2204.02311 (PaLM),
# appendix B, counts so, and leaves recomputation out. The operations of attention itself are left out here too.
FLOP_THROUGH, FLOP_TRAINED = 4, 2

# Weights come in these numbers of bits; any other number in the name of a format means something else.
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 16, 32, 64)


# ---------------------------------------------------------------------------------------------------------- schemes


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What may be rated at all: seconds, samples and repeats of the measurement, its coverage, how many stars its interval may
    touch, and how many models a class is made of."""

    __pydantic_config__ = STRICT

    shortest_s: float
    fewest_samples: int
    fewest_repeats: int
    least_coverage: float
    widest_stars: int
    fewest_models: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """A way of measuring that a scheme knows.

    ``devices``: on how many it measures; None: on as many as the model needs. ``whole_rounds``: every repeat takes all items a
    whole number of times; a steady state is cut out of a stream of them, and does not. ``unset``: settings by which the work itself
    would be another one (inputs cut short, fewer steps, smaller images); a record that has one of them set is outside the protocol.
    """

    __pydantic_config__ = STRICT

    name: str
    title: str
    url: str
    devices: int | None = None
    whole_rounds: bool = True
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeClass:
    """The class of models that need at most so much memory, or have at most so many parameters; without bounds, all others.

    ``writes_tokens``: only models that write their answer token by token, as counted; or only those that do not.
    """

    __pydantic_config__ = STRICT

    protocol: str
    task: str
    name: str
    largest_gb: float | None = None
    largest_parameters: int | None = None
    writes_tokens: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingClass:
    """What is compared with what. ``name`` None: the task has one class.

    ``e_ref_j`` is the frozen constant, joules per ``unit`` with two significant digits; ``centre_j``, ``lowest_j``,
    ``highest_j`` and ``n`` describe the population that it came from. ``operating_point``: the lowest and highest value of
    each of ``items``, ``max_new_tokens``, ``in_flight`` (requests at once: batch × concurrency) and ``bits`` (of the weights).
    ``tokens_per_request``: the fewest and the most that must have been counted; None: any number, and none at all.
    ``items_sha256``: of the protocol's items, where it is known; what ran on others is indicative. ``dataset``: where they come
    from; what ran on those that ship with the package, or on a file of one's own, is indicative. ``reasoning``: whether the model
    must have been asked to think first, or not to; None: either.
    """

    __pydantic_config__ = STRICT

    protocol: str
    task: str
    unit: str
    e_ref_j: float
    centre_j: float
    lowest_j: float
    highest_j: float
    n: int
    status: Status
    operating_point: Mapping[str, tuple[int, int]]
    population: str
    source: str
    url: str
    name: str | None = None
    tokens_per_request: tuple[int, int] | None = None
    items_sha256: str | None = None
    dataset: str | None = None
    reasoning: bool | None = None

    def __post_init__(self) -> None:
        if not 0 < self.lowest_j <= self.centre_j <= self.highest_j or self.e_ref_j <= 0:
            raise ValueError("energies must be above zero, and the centre between the lowest and the highest")
        for key, (low, high) in self.operating_point.items():
            if key not in OPERATING_POINT:
                raise ValueError(f"{key!r} is no part of an operating point: {', '.join(OPERATING_POINT)}")
            _refuse_reversed(key, low, high)
        if self.tokens_per_request is not None:
            _refuse_reversed("tokens_per_request", *self.tokens_per_request)


def _refuse_reversed(key: str, low: int, high: int) -> None:
    if low > high:
        raise ValueError(f"{key}: {low} is above {high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingClass:
    """What the training runs of one stage are compared with: joules per floating-point operation that the model needs.

    ``e_ref_j`` has two significant digits; ``centre_j``, ``lowest_j`` and ``highest_j`` are of ``n`` published runs on the
    reference device, taken at its power limit.
    """

    __pydantic_config__ = STRICT

    stage: Stage
    protocol: str
    e_ref_j: float
    centre_j: float
    lowest_j: float
    highest_j: float
    n: int
    status: Status
    population: str
    source: str
    url: str
    unit: str = "flop"
    name: str | None = None

    def __post_init__(self) -> None:
        if self.stage not in TRAINING:
            raise ValueError(f"{self.stage} is no training")
        if not 0 < self.lowest_j <= self.centre_j <= self.highest_j or self.e_ref_j <= 0:
            raise ValueError("energies must be above zero, and the centre between the lowest and the highest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unrated:
    """What a scheme knows and does not rate. ``task`` or ``name`` None: all of them."""

    __pydantic_config__ = STRICT

    protocol: str
    reason: str
    task: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One vintage of the rating, as its file says. ``ladder``: the highest index of 5, 4, 3 and 2 stars.

    ``normalised_tiers``: of a record from another device than the reference, the tiers of normalisation that are rated.
    """

    __pydantic_config__ = STRICT

    schema: str
    name: str
    draft: bool
    date: str
    component: Component
    reference_device: str
    ladder: tuple[float, float, float, float]
    rules: Rules
    protocols: tuple[Protocol, ...]
    classes: tuple[RatingClass, ...]
    sizes: tuple[SizeClass, ...] = ()
    unrated: tuple[Unrated, ...] = ()
    training: tuple[TrainingClass, ...] = ()
    normalised_tiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ladder[0] <= 0 or list(self.ladder) != sorted(set(self.ladder)):
            raise ValueError(f"a ladder's steps must rise from above zero: {self.ladder}")
        known = {protocol.name for protocol in self.protocols}
        used = [item.protocol for item in self.classes] + [item.protocol for item in self.sizes]
        used += [item.protocol for item in self.training]
        for name in used:
            if name not in known:
                raise ValueError(f"protocol {name!r} is not among the scheme's protocols")
        for item in self.classes:
            if item.n < self.rules.fewest_models:
                raise ValueError(
                    f"a class of {item.n} models is too small; fewest_models asks for {self.rules.fewest_models}"
                )
        keys = [(item.protocol, item.task, item.name) for item in self.classes]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the class {' '.join(part for part in key if part)} stands twice")
        stages = [item.stage for item in self.training]
        if len(set(stages)) < len(stages):
            raise ValueError(f"a stage stands twice: {', '.join(stages)}")

    def stars(self, index: float) -> int:
        """The stars of an index, 1 to 5; fewer for more energy."""
        for stars, highest in zip(range(MOST_STARS, 1, -1), self.ladder, strict=True):
            if index <= highest * (1 + ROUNDING):
                return stars
        return 1

    def highest_index(self, stars: int) -> float:
        """The highest index that earns so many stars (2 to 5)."""
        return self.ladder[MOST_STARS - stars]


def schemes(folder: Path = SCHEMES) -> tuple[str, ...]:
    """The names of the schemes that ship, oldest first; a draft stands before what it became."""
    return tuple(sorted((path.stem for path in folder.glob("*.toml")), key=_vintage))


def load_scheme(name: str | None = None, folder: Path = SCHEMES) -> Scheme:
    """The scheme of that name; without one, the newest that is published, or the newest draft where none is.

    Raises:
        BadInput: there is none (names those there are), or its file cannot be read.
    """
    names = schemes(folder)
    if name is None and names:
        name = next((item for item in reversed(names) if not item.endswith("-draft")), names[-1])
    if name not in names:
        raise BadInput(
            f"there is no scheme {str(name)[:80]!r}",
            f"There are: {', '.join(names) or 'none'}",
            place="scheme",
        )
    path = folder / f"{name}.toml"
    entry = strict.read_toml(path)
    if entry.get("schema") != SCHEME_SCHEMA:
        raise BadInput(f"schema {str(entry.get('schema'))[:80]!r} is not {SCHEME_SCHEMA!r}", place=path)
    scheme = strict.validated(Scheme, entry, path)
    if scheme.name != name:
        raise BadInput(
            f"the file calls itself {scheme.name!r}", "A scheme is called like its file", place=path
        )
    return scheme


def _vintage(name: str) -> tuple[list[int], bool, str]:
    return [int(number) for number in re.findall(r"\d+", name)], not name.endswith("-draft"), name


# ----------------------------------------------------------------------------------------------------------- rating


class _Shortfall(str):
    """A reason that measuring the same once more, and better, takes away: what it would be can be said. Others cannot."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A rating, and what it was worked out from. None: it was not there, or it came not so far.

    ``work`` is in the unit that is rated, and ``work_method`` says how it was had. ``measured_j`` is energy per unit as measured;
    ``normalised`` what normalisation made of it. ``estimated``: the energy is a model's, not a sensor's; ``example``: the device does
    not exist. ``checked``: how far the record was held against its journal.
    """

    rating: Rating
    scheme: Scheme
    component: Component
    measurement: Measurement | None
    energy_j: Estimate | None
    work: float | None
    work_method: str
    measured_j: Estimate | None
    normalised: Normalised | None
    rated: RatingClass | TrainingClass | None
    interval: tuple[float, float] | None
    estimated: bool
    example: bool
    checked: Checked | None = None


def rate(
    record: Record,
    *,
    scheme: str | Scheme | None = None,
    profiles: Sequence[Profile] | None = None,
    provisional: bool = False,
) -> Rating:
    """The stars of a record under a scheme (by default the newest), or every reason why it has none.

    ``provisional``: where it has none only because the measurement falls short (too brief, too few repeats, degraded), say in
    ``would_be`` what they would be. It stays not rated.

    Raises:
        BadInput: there is no such scheme, or its file or a profile cannot be read.
    """
    return judge(record, scheme=scheme, profiles=profiles, provisional=provisional).rating


def judge(
    record: Record,
    *,
    scheme: str | Scheme | None = None,
    profiles: Sequence[Profile] | None = None,
    provisional: bool = False,
) -> Judgement:
    """What ``rate`` says, and all that it follows from.

    Raises:
        BadInput: there is no such scheme, or its file or a profile cannot be read.
    """
    if not isinstance(scheme, Scheme):
        scheme = load_scheme(scheme)
    known = _known(scheme) if profiles is None else profiles
    training = record.stage in TRAINING
    found = _find_training(record, scheme) if training else _find_class(record, scheme)
    rated = found.rated
    unit = rated.unit if rated else record.task.unit if record.task else None
    reasons: list[str] = list(found.reasons) if training else []
    measurement = record[name] if (name := RUN if training else MEASURED) in record else None
    done = _Work()
    measured: Estimate | None = None
    normalised: Normalised | None = None
    basis: Basis = "measured"

    if is_only_estimated(record) and (measurement is None or scheme.component not in measurement.energy_j):
        reasons.append("it is only an estimate: nothing was measured, and what models say is not rated")
    if measurement is None:
        there = ", ".join(repr(item.name) for item in record) or "none"
        reasons.append(f"there is no measurement {name!r}, which is what is rated; there is: {there}")
    else:
        reasons += _of_measurement(record, measurement, scheme)
        if training and rated:
            done = _training_flop(record, measurement)
            reasons += done.reasons
            wrong, basis = _of_training_devices(record, measurement, scheme, known, done.amount)
            reasons += wrong
        elif not training:
            reasons += _of_repeats(measurement, scheme)
            wrong, elsewhere, basis = _of_devices(record, measurement, scheme, known)
            reasons += wrong
            if elsewhere and scheme.normalised_tiers and not found.reasons:
                refused, normalised = _normalised(record, scheme, unit, known)
                reasons += [f"{elsewhere[0].partition(';')[0]}; {reason}" for reason in refused]
                basis = "normalised" if normalised else basis
            else:
                reasons += elsewhere
            if unit is not None:
                done = _Work(amount=measurement.work.get(unit) or None, method=f"counted in {name!r}")
                if not done.amount and scheme.component in measurement.energy_j:
                    reasons.append(f"no {unit!r} was counted in {name!r}, the unit that is rated")
        if done.amount and scheme.component in measurement.energy_j:
            measured = measurement.energy_j[scheme.component].times(1 / done.amount)
    if not training:
        reasons += found.reasons
    if isinstance(rated, RatingClass):
        reasons += _of_operating_point(record, rated)
        protocol = _protocol(record, scheme)
        reasons += _of_settings(record, rated, protocol.unset if protocol is not None else ())
        if measurement is not None:
            whole_rounds = protocol is None or protocol.whole_rounds
            reasons += _of_work(record, measurement, rated, whole_rounds=whole_rounds)
        if not _knows_items(record, rated) or _has_options(record):
            if normalised:
                # One step away from what the class was measured as can be told by its basis; two would look like one.
                reasons.append(
                    _Shortfall(
                        "it did not run on the protocol's items, or with options of the engine's own, and not on the reference; one "
                        "of both is asked for"
                    )
                )
            basis = "indicative"

    energy = normalised.energy_per_unit_j if normalised and normalised.energy_per_unit_j else measured
    mendable = all(isinstance(reason, _Shortfall) for reason in reasons)
    index = energy.times(1 / rated.e_ref_j) if energy and rated and mendable else None
    interval: tuple[float, float] | None = None
    could_be: tuple[int, int] | None = None
    stars: int | None = None
    if index is not None and rated is not None:
        interval = _interval(index, normalised, rated.e_ref_j)
        could_be = scheme.stars(interval[1]), scheme.stars(interval[0])
        if could_be[1] - could_be[0] >= scheme.rules.widest_stars:
            reasons.append(
                _Shortfall(
                    f"the doubt is too wide: it could be {could_be[0]} to {could_be[1]} stars, and at most "
                    f"{scheme.rules.widest_stars} may be open; measure longer, or with a better sensor"
                )
            )
        if not reasons:
            stars = scheme.stars(index.value)
    would_be: WouldBe | None = None
    if provisional and stars is None and index is not None and could_be is not None:
        would_be = WouldBe(stars=scheme.stars(index.value), could_be=could_be, index=index, basis=basis)
    firm = rated is not None and rated.status == "firm" and basis == "measured" and not scheme.draft
    too_wide = bool(reasons) and reasons[-1].startswith("the doubt is too wide") and len(reasons) == 1
    rating = Rating(
        stars=stars,
        could_be=could_be if stars is not None else None,
        index=index if stars is not None or too_wide else None,
        energy_per_unit_j=energy if stars is not None else measured,
        unit=unit,
        basis=basis if stars is not None else None,
        status=("firm" if firm else "provisional") if stars is not None else None,
        scheme=scheme.name,
        class_=found.name,
        protocol=_protocol_name(record, rated),
        reasons=tuple(dict.fromkeys(str(reason) for reason in reasons)),
        would_be=would_be,
        interval_95=interval if normalised is not None else None,
    )
    return Judgement(
        rating=rating,
        scheme=scheme,
        component=scheme.component,
        measurement=measurement,
        energy_j=measurement.energy_j.get(scheme.component) if measurement else None,
        work=done.amount,
        work_method=done.method,
        measured_j=measured,
        normalised=normalised,
        rated=rated,
        interval=interval,
        estimated=measurement is not None and _is_estimated(record, measurement, scheme.component),
        example=is_example(record),
        checked=record.checked,
    )


def _known(scheme: Scheme) -> tuple[Profile, ...]:
    """The profiles that ship and the user's own. Of the reference device only the one that ships counts: what everybody is
    compared with must be the same on every machine."""
    return tuple(
        load_profile(profile.key, hardware_profiles()) if profile.key == scheme.reference_device else profile
        for profile in all_profiles()
    )


def _protocol_name(record: Record, rated: RatingClass | TrainingClass | None) -> str | None:
    if isinstance(rated, TrainingClass):
        return rated.protocol
    return record.task.protocol if record.task is not None else None


def next_star_j(rating: Rating, scheme: Scheme) -> float | None:
    """Joules per unit at which the next star begins; None at five stars, or where there are none."""
    if rating.stars is None or rating.stars >= MOST_STARS or not rating.index or not rating.energy_per_unit_j:
        return None
    e_ref_j = rating.energy_per_unit_j.value / rating.index.value
    return scheme.highest_index(rating.stars + 1) * e_ref_j


def rating_to_json(rating: Rating) -> dict[str, Any]:
    """What ``rate --json`` prints. ``would_be`` is there only where ``--provisional`` asked for it and ``stars`` is null."""
    entry = {
        "stars": rating.stars,
        "could_be": None if rating.could_be is None else list(rating.could_be),
        "index": records.plain(rating.index),
        "energy_per_unit_j": records.plain(rating.energy_per_unit_j),
        "unit": rating.unit,
        "basis": rating.basis,
        "status": rating.status,
        "scheme": rating.scheme,
        "class": rating.class_,
        "protocol": rating.protocol,
        "reasons": list(rating.reasons),
    }
    if rating.would_be is not None:
        entry["would_be"] = records.plain(rating.would_be)
    return entry


def scheme_schema() -> dict[str, Any]:
    """The JSON Schema of a scheme's file, as published in ``docs/``."""
    return strict.json_schema(Scheme, SCHEME_SCHEMA)


def rating_schema() -> dict[str, Any]:
    """The JSON Schema of what ``rate --json`` prints and ``rating.json`` holds, as published in ``docs/``."""
    schema = strict.json_schema(Rating, RATING_SCHEMA)
    properties = schema["properties"]
    del properties["interval_95"]
    properties["class"] = properties.pop("class_") | {"title": "Class"}
    properties["schema"] = {"const": RATING_SCHEMA, "description": "in a file; what is printed goes without"}
    hashes = {"type": "object", "additionalProperties": {"type": "string"}}
    properties["provenance"] = {
        "type": "object",
        "description": "in a file: what made it, from which journal, and the SHA-256 of the scheme and the profiles",
        "properties": {"version": {"type": "string"}, "journal_sha256": {"type": "string"}, "files": hashes},
    }
    properties["provenance"] = {
        "type": "object",
        "description": "in a file: the version that rated, and the SHA-256 of the journal and of the files that the rating rests on",
        "properties": {
            "version": {"type": "string"},
            "journal_sha256": {"type": "string"},
            "files": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["version", "journal_sha256", "files"],
        "additionalProperties": False,
    }
    properties["checked"] = {
        "enum": list(get_args(Checked)),
        "description": "where it was printed: how far the record was held against the journal beside it",
    }
    # What is there only where it was asked for is never null.
    properties["would_be"] = {"$ref": "#/$defs/WouldBe"}
    schema["required"] = [*("class" if name == "class_" else name for name in schema["required"]), "reasons"]
    schema["additionalProperties"] = False
    return schema


def is_example(record: Record) -> bool:
    """Whether the record names the device that does not exist: it shows what a rating looks like, and must say so."""
    return any(device.name == EXAMPLE_DEVICE for device in record.environment.devices)


# ------------------------------------------------------------------------------------------------- what was measured


def _of_measurement(record: Record, measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    """What is wrong with the measurement itself."""
    component, rules = scheme.component, scheme.rules
    channels = record.channels_of(measurement, component)
    energy = measurement.energy_j.get(component)
    if energy is None or not channels:
        had = ", ".join(
            _told(record, measurement, item) for item in measurement.energy_j if item != component
        )
        yield f"the {component} was not measured, and {scheme.name} rates its energy; there is: {had or 'none'}"
    else:
        if _is_estimated(record, measurement, component):
            yield f"the energy of the {component} is estimated by a model, not measured"
        if energy.value <= 0:
            yield f"the {component} is said to have used {energy.value:g} J: the sensor told nothing"
        share = measurement.coverage.get(component, 0.0)
        if share < rules.least_coverage:
            said = f"sensors saw {_percent(share)} of the time; at least {_percent(rules.least_coverage)} are asked for"
            yield _Shortfall(said) if share >= LEAST_COVERAGE else said
        for channel in channels:
            if channel.method == "model":
                continue
            if channel.period_s is None:
                yield (
                    f"{channel.id}: the readings came too late or too seldom to tell how often the sensor refreshes, as they do while "
                    "other programs keep the processors busy; measure again with a core left free, for a minute or longer"
                )
            elif measurement.duration_s / channel.period_s < rules.fewest_samples:
                yield _Shortfall(
                    f"{channel.id} gave about {int(measurement.duration_s / channel.period_s)} samples; "
                    f"at least {rules.fewest_samples} are asked for"
                )
        for device in dict.fromkeys(channel.device for channel in channels):
            several = [channel.id for channel in channels if channel.device == device]
            if len(several) > 1:
                yield (
                    f"the energy of one device comes from several channels: {', '.join(several)}; "
                    "a resumed run that changed its sensors is not rated"
                )
    yield from _of_validity(record, measurement, component)
    if measurement.duration_s < rules.shortest_s:
        yield _Shortfall(
            f"{int(measurement.duration_s * 100) / 100:.2f} s were measured; at least {rules.shortest_s:.0f} s are asked for"
        )


def _of_validity(record: Record, measurement: Measurement, component: str) -> Iterator[str]:
    """What findings say of this component. What befell another component's sensors says nothing about its energy."""
    components = {channel.id: channel.component for channel in record.channels}
    own: list[Finding] = []
    others: list[Finding] = []
    for finding in record.findings_on(measurement.name):
        # A channel that the record does not know may have been this component's.
        concerned = component if finding.channel is None else components.get(finding.channel, component)
        (own if concerned == component else others).append(finding)
    found, stored = validity(own), measurement.validity
    worst = found
    if WORST_LAST.index(stored) > max(WORST_LAST.index(found), WORST_LAST.index(validity(others))):
        worst = stored
    if worst != "valid":
        codes = dict.fromkeys(item.code for item in own if item.severity != "note")
        said = f"the measurement is {worst}: {', '.join(codes) or 'no finding says why'}"
        # That it is an estimate is a reason of its own, which measuring longer does not take away.
        if worst != "degraded" or list(codes) != [ONLY_ESTIMATED]:
            yield _Shortfall(said) if worst == "degraded" and codes else said
    for item in own:
        if item.code in NOT_ALONE and item.severity != "disqualifies":
            yield f"the device was not used by this run alone ({item.code}): {item.message}"


def _of_repeats(measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    if measurement.n < scheme.rules.fewest_repeats:
        yield _Shortfall(
            f"there are {measurement.n} repeats; at least {scheme.rules.fewest_repeats} are asked for"
        )


def _of_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile]
) -> tuple[list[str], list[str], Basis]:
    """What is wrong with what it was measured on; that it is not the reference; and what the rating would rest on."""
    names = dict.fromkeys(channel.device for channel in record.channels_of(measurement, scheme.component))
    described = {device.id for device in record.environment.devices}
    reasons = [f"the record does not say what device {name!r} is" for name in names if name not in described]
    # A resumed run may describe one device twice, the second time with another limit: all that it says must hold.
    devices = [device for device in record.environment.devices if device.id in names]
    protocol = _protocol(record, scheme)
    if protocol is not None and protocol.devices is not None and len(names) not in (0, protocol.devices):
        reasons.append(
            f"outside the protocol: measured on {len(names)} devices; {protocol.name} has {protocol.devices}"
        )
    kinds = list(dict.fromkeys(device.name for device in devices))
    if len(kinds) > 1:
        reasons.append(f"measured on devices of more than one kind: {', '.join(kinds)}")
    basis: Basis = "measured"
    elsewhere: list[str] = []
    for device in devices:
        profile = profile_for(device.name, device.memory_gb, among=known)
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        elif profile is None or profile.key != scheme.reference_device:
            elsewhere.append(_other_device(device, scheme, known))
        else:
            reasons += _of_reference(device, profile)
    return reasons, elsewhere, basis


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """The work that the energy is divided by, how it was had, and what is missing where there is none."""

    amount: float | None = None
    method: str = ""
    reasons: Sequence[str] = field(default_factory=list)


def _training_flop(record: Record, measurement: Measurement) -> _Work:
    """The floating-point operations that the model's training needed: those counted as ``flop``, else from its tokens.

    (4 N + 2 N_trained) T, with N the active parameters: 6 N T where all are trained, 4 N T where next to none is (adapters).
    Where a fine-tuning does not say how many it trained, the fewest operations are taken, so that nobody gains by silence.
    """
    found = counted(record, measurement)
    whole = {unit: work for unit, work in found.items() if work.covers}
    if flop_counted := whole.get("flop"):
        by = "the run itself" if flop_counted.window is None else _inside(flop_counted)
        return _Work(amount=float(flop_counted.amount), method=f"counted as 'flop' by {by}")
    tokens_counted = whole.get("token")
    tokens = tokens_counted.amount if tokens_counted is not None else None
    model = record.model
    active = (model.active_parameters or model.parameters) if model is not None else None
    reasons = []
    if not tokens:
        inner = next((found[unit] for unit in ("flop", "token") if unit in found), None)
        reasons.append(
            "no 'flop' and no 'token' was counted in 'run'; training is rated per floating-point operation"
            if inner is None
            else f"{inner} were counted; windows that cover at least {percent(COVERS)} of the run are asked for, or "
            f"run.count({inner.unit}=…): training is rated as a whole"
        )
    if model is None or active is None:
        reasons.append(
            "the record does not say how many parameters the model has, from which its operations would follow"
        )
    if reasons or model is None or active is None or not tokens:
        return _Work(reasons=reasons)
    if model.trainable_parameters is not None:
        trained = min(model.trainable_parameters, active)
        whose = "all trained" if trained == active else f"{trained:,} of them trained"
    elif record.stage == "fine-tuning":
        trained, whose = 0, "how many of them were trained is not said, so none is counted"
    else:
        trained, whose = active, "all trained"
    flop = (FLOP_THROUGH * active + FLOP_TRAINED * trained) * tokens
    formula = (
        f"{FLOP_THROUGH + FLOP_TRAINED} N T"
        if trained == active
        else f"({FLOP_THROUGH} N + {FLOP_TRAINED} N_trained) T"
    )
    return _Work(
        amount=float(flop),
        method=f"{formula}: N = {active:,} parameters, {whose}; T = {_count(tokens)} tokens"
        + (f", counted in {_inside(tokens_counted)}" if tokens_counted and tokens_counted.window else ""),
    )


def _inside(work: Work) -> str:
    return f"{work.window!r}, which covers {percent(work.share)} of the run"


def _of_training_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile], flop: float | None
) -> tuple[list[str], Basis]:
    """What is wrong with the devices of a training run. Any may be used: the choice of the device is part of what is rated."""
    names = list(
        dict.fromkeys(channel.device for channel in record.channels_of(measurement, scheme.component))
    )
    devices = {device.id: device for device in record.environment.devices}
    reasons = [f"the record does not say what device {name!r} is" for name in names if name not in devices]
    basis: Basis = "measured"
    peak_flop_s = 0.0
    for device in (devices[name] for name in names if name in devices):
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        if device.mig:
            reasons.append(f"{device.name} was divided (MIG); its energy is not that of this run alone")
        profile = profile_for(device.name, device.memory_gb, among=known)
        figures = profile.figures if profile is not None else None
        peaks = (figures.bf16_tflops, figures.fp16_tflops, figures.fp8_tflops) if figures is not None else ()
        most = max((figure.value for figure in peaks if figure is not None), default=None)
        if most is None and basis == "measured":
            reasons.append(
                f"no hardware profile says how many operations {device.name} can do, so that what was counted cannot be checked"
            )
        peak_flop_s += 1e12 * (most or 0.0)
    if flop and not reasons and basis == "measured" and measurement.duration_s > 0:
        done_s = flop / measurement.duration_s
        if done_s > peak_flop_s:
            reasons.append(
                f"{done_s / 1e12:,.0f} TFLOP/s would have been done, and the devices can do {peak_flop_s / 1e12:,.0f}: "
                "was work counted that other devices did?"
            )
    return reasons, basis


def _normalised(
    record: Record, scheme: Scheme, unit: str | None, known: Sequence[Profile]
) -> tuple[list[str], Normalised | None]:
    """The figure on the reference device, or why there is none."""
    # Beside this room, not below it: loaded when it is needed.
    from energy_rating.normalisation import normalise

    try:
        found = normalise(record, to=scheme.reference_device, unit=unit, profiles=known)
    except EnergyRatingError as error:
        return [f"it cannot be normalised: {error}"], None
    if found.factor is None or found.energy_per_unit_j is None:
        return [f"it cannot be normalised: {reason}" for reason in found.reasons], None
    if found.tier not in scheme.normalised_tiers:
        return [f"normalised by tier {found.tier}, which {scheme.name} does not rate"], None
    return [], found


def _interval(index: Estimate, normalised: Normalised | None, e_ref_j: float) -> tuple[float, float]:
    """The 95 % interval of the index; that of a normalised figure is a factor up and down."""
    if normalised is None:
        return index.interval()
    low_j, high_j = normalised.interval(CONFIDENCE)
    return low_j / e_ref_j, high_j / e_ref_j


def _of_reference(device: Device, profile: Profile) -> Iterator[str]:
    """What keeps a device that is called like the reference from being the reference."""
    if device.mig:
        yield f"{device.name} was divided (MIG); a part of the reference device is not the whole"
    if device.mig is None and device.memory_gb is None:
        yield f"{device.name}: the record does not say whether the whole device was used"
    limit = profile.figures.power_limit_w
    if device.power_limit_w is None or limit is None:
        return
    if not is_same_limit(device.power_limit_w, limit.value):
        yield (
            f"{device.name} was limited to {significant(device.power_limit_w, 3)} W; "
            f"the reference has {significant(limit.value, 3)} W"
        )


def _protocol(record: Record, scheme: Scheme) -> Protocol | None:
    name = record.task.protocol if record.task is not None else None
    return next((item for item in scheme.protocols if item.name == name), None)


def _other_device(device: Device, scheme: Scheme, known: Sequence[Profile]) -> str:
    reference = next((item for item in known if item.key == scheme.reference_device), None)
    reference = reference or load_profile(scheme.reference_device)
    memory = reference.figures.memory_gb
    if device.name in reference.driver.names and device.memory_gb is not None and memory is not None:
        return (
            f"measured on {device.name} with {significant(device.memory_gb, 3)} GB; this scheme's reference, "
            f"{reference.name}, has {memory.value:g} GB"
        )
    return (
        f"measured on {device.name}; this scheme's reference is {reference.name}; normalisation is needed, "
        f"and {scheme.name} rates only what was measured on the reference"
    )


def _is_estimated(record: Record, measurement: Measurement, component: str) -> bool:
    return worst_method(channel.method for channel in record.channels_of(measurement, component)) == "model"


def _told(record: Record, measurement: Measurement, component: str) -> str:
    return f"{component} (estimated)" if _is_estimated(record, measurement, component) else component


def _percent(share: float) -> str:
    # Rounded down: 98.96 % must not read as the 99 % that it misses.
    return f"{int(share * 1000) / 10:g} %"


# -------------------------------------------------------------------------------------------- what it compares with


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """The class that a record belongs to, or why it belongs to none. ``name`` may be known without a rated class."""

    rated: RatingClass | TrainingClass | None = None
    name: str | None = None
    reasons: Sequence[str] = field(default_factory=list)


def _find_class(record: Record, scheme: Scheme) -> _Class:
    task = record.task
    if task is None:
        return _Class(reasons=["the record names no task and no protocol; only runs of one protocol compare"])
    protocol = task.protocol
    if protocol is None:
        return _Class(reasons=["the record names no protocol; only runs of one protocol compare"])
    for item in scheme.unrated:
        if item.protocol == protocol and item.task is None:
            return _Class(reasons=[item.reason])
    names = [item.name for item in scheme.protocols]
    if protocol not in names:
        return _Class(
            reasons=[f"{scheme.name} does not know the protocol {protocol!r}; it knows: {', '.join(names)}"]
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
            return _Class(reasons=[f"the class cannot be told: the record does not say {missing}"])
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
            return _Class(name=name, reasons=[item.reason])
    tasks = dict.fromkeys(item.task for item in scheme.classes if item.protocol == protocol)
    return _Class(
        name=name,
        reasons=[
            f"{scheme.name} has no class for {task.name!r} under {protocol}; it has: {', '.join(tasks)}"
        ],
    )


def _at_operating_point(record: Record, candidates: Sequence[RatingClass]) -> _Class:
    """Of the classes of one task, which differ in how many requests were in flight, the one that the record ran at."""
    in_flight = _in_flight(record.load or Load())
    points = [item.operating_point["in_flight"] for item in candidates if "in_flight" in item.operating_point]
    for item, (low, high) in zip(candidates, points, strict=True):
        if in_flight is not None and low <= in_flight <= high:
            return _Class(rated=item, name=item.name)
    there = ", ".join(f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in points)
    what, protocol = OPERATING_POINT["in_flight"], candidates[0].protocol
    said = f"the record does not say the {what}" if in_flight is None else f"{in_flight:,} {what}"
    return _Class(reasons=[f"outside the protocol: {said}; {protocol} has reference energies for {there}"])


def _find_training(record: Record, scheme: Scheme) -> _Class:
    for rated in scheme.training:
        if rated.stage == record.stage:
            return _Class(rated=rated, name=rated.name)
    return _Class(reasons=[f"{record.stage} is not rated yet: {scheme.name} has no classes for training"])


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


def weight_bits(dtype: str | None) -> int | None:
    """The bits of one weight in a format by its name: 16 of ``bfloat16``, 4 of ``q4_1`` or ``nf4``; None if it does not say."""
    number = re.search(r"\d+", dtype or "")
    bits = int(number.group()) if number else None
    return bits if bits in WIDTHS else None


def _in_flight(load: Load) -> int | None:
    if load.request_rate is not None or (load.batch_size is None and load.concurrency is None):
        return None  # where requests come by themselves, nobody keeps their number
    return (load.batch_size or 1) * (load.concurrency or 1)


# What an operating point may be bounded by, and how a person calls it.
OPERATING_POINT = {
    "items": "items",
    "in_flight": "requests at once (batch × concurrency)",
    "max_new_tokens": "new tokens at most",
    "bits": "bits per weight",
}


def _of_operating_point(record: Record, rated: RatingClass) -> Iterator[str]:
    load = record.load or Load()
    found = {
        "items": load.items,
        "in_flight": _in_flight(load),
        "max_new_tokens": load.max_new_tokens,
        "bits": weight_bits(record.model.dtype) if record.model else None,
    }
    for key, (low, high) in rated.operating_point.items():
        value, asked = found[key], f"{low:,}" if low == high else f"{low:,} to {high:,}"
        if value is None:
            yield f"outside the protocol: the record does not say the {OPERATING_POINT[key]}; {rated.protocol} has {asked}"
        elif not low <= value <= high:
            yield f"outside the protocol: {value:,} {OPERATING_POINT[key]}; {rated.protocol} has {asked}"


def _of_settings(record: Record, rated: RatingClass, unset: Sequence[str]) -> Iterator[str]:
    """Settings that make another work of it than the protocol's, by which nearly any energy could be had."""
    load = record.load or Load()
    for name in unset:
        if value := load.settings.get(name):
            yield (
                f"outside the protocol: {name.replace('_', ' ')} was set to {_told_value(value)}; "
                f"{rated.protocol} leaves it alone"
            )
    if rated.reasoning is not None and load.reasoning is not rated.reasoning:
        was = {
            None: "does not say whether the model was",
            True: "says that the model was",
            False: "says that the model was not",
        }
        asked = "think first" if rated.reasoning else "answer without thinking first"
        yield (
            f"outside the protocol: the record {was[load.reasoning]} asked to think first; in this class it is asked to {asked}"
        )


def _told_value(value: str | float | bool) -> str:
    return "on" if value is True else str(value)[:80]


def _of_work(
    record: Record, measurement: Measurement, rated: RatingClass, *, whole_rounds: bool
) -> Iterator[str]:
    """Whether what was counted is what the protocol does: every item, in every repeat, and answers of its length."""
    n, items = measurement.n, record.load.items if record.load is not None else None
    amount = measurement.work.get(rated.unit)
    if whole_rounds and amount and items is not None and n and (amount < n * items or amount % (n * items)):
        yield (
            f"outside the protocol: counted {_count(amount)} {rated.unit}s in {n} repeats of {items:,} items; "
            "each repeat takes all of them"
        )
    requests, tokens = measurement.work.get("request"), measurement.work.get("token")
    if rated.tokens_per_request is None or not requests:
        return
    low, high = rated.tokens_per_request
    asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if not tokens:
        yield f"outside the protocol: no tokens were counted; {rated.protocol} has {asked} a request"
    elif not low <= tokens / requests <= high:
        each = f"{tokens / requests:.4g}"
        yield f"outside the protocol: {each} tokens a request; {rated.protocol} has {asked}"


def _count(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,}"


def _has_options(record: Record) -> bool:
    """Whether the engine was given options of its own, of which nobody knows whether they change the work."""
    settings = record.load.settings if record.load is not None else {}
    return any(name.startswith(ENGINES_OWN) for name in settings)


def _knows_items(record: Record, rated: RatingClass) -> bool:
    """Whether it ran on the protocol's items, or on some that ship with the package; anybody's own lines are not those."""
    files = record.provenance.files
    hashes = {
        name: sha256
        for name, sha256 in files.items()
        if name == OWN_ITEMS or (name.startswith("tasks/") and not name.endswith(".toml"))
    }
    if rated.items_sha256 is not None:
        return bool(hashes) and set(hashes.values()) == {rated.items_sha256}
    if rated.dataset is not None:
        return not hashes and f"{DATASETS}{rated.dataset}" in files
    return bool(hashes) and OWN_ITEMS not in hashes
