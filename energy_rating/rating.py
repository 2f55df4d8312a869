"""From a record to stars under one scheme, or to every reason why there are none. Pure; reads scheme files and profiles.

Index = gross energy per unit of the component that the scheme names / the class's reference energy. The stars are those of the
point value; what its 95 % interval allows stands beside them. Nothing is rated that was not measured on the reference device,
under a protocol and at an operating point that the scheme knows. Items that nobody can compare with the protocol's leave a
rating *indicative*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energy_rating import formats
from energy_rating.errors import BadInput
from energy_rating.profiles import (
    EXAMPLE_DEVICE,
    Profile,
    load_profile,
    profile_for,
)
from energy_rating.profiles import profiles as all_profiles
from energy_rating.quantities import STRICT, Estimate, significant
from energy_rating.records import (
    MEASURED,
    RUN,
    Basis,
    Channel,
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
    validity,
    worst_method,
)

SCHEME_SCHEMA = "energy-rating/scheme/1"
SCHEMES = Path(__file__).parent / "schemes"
TRAINING: tuple[Stage, ...] = ("pre-training", "fine-tuning")

MOST_STARS = 5

WORST_LAST: tuple[Validity, ...] = ("valid", "degraded", "invalid")

# How a record's provenance calls items that did not ship with the package.
OWN_ITEMS = "items"

# A ratio of two floats may come out a few units of the last digit above a threshold that it exactly meets.
ROUNDING = 1e-9

# Weights, and a fifth on top for activations and buffers: the rule by which the AI Energy Score divides text generation.
MEMORY_PER_WEIGHT = 1.2

# A card with a lower limit runs at lower clocks and uses less energy for the same work: it is another device than the reference.
POWER_LIMIT_TOLERANCE = 0.05

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
    """A way of measuring that a scheme knows. ``devices``: on how many it measures; None: on as many as the model needs."""

    __pydantic_config__ = STRICT

    name: str
    title: str
    url: str
    devices: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeClass:
    """The class of models that need at most so much memory, or have at most so many parameters; without bounds, all others."""

    __pydantic_config__ = STRICT

    protocol: str
    task: str
    name: str
    largest_gb: float | None = None
    largest_parameters: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingClass:
    """What is compared with what. ``name`` None: the task has one class.

    ``e_ref_j`` is the frozen constant, joules per ``unit`` with two significant digits; ``centre_j``, ``lowest_j``,
    ``highest_j`` and ``n`` describe the population that it came from. ``operating_point``: the lowest and highest value of
    each of ``items``, ``max_new_tokens``, ``in_flight`` (requests at once: batch × concurrency) and ``bits`` (of the weights).
    ``tokens_per_request``: the fewest and the most that must have been counted; None: any number, and none at all.
    ``items_sha256``: of the protocol's items, where it is known; what ran on others is indicative.
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
class Unrated:
    """What a scheme knows and does not rate. ``task`` or ``name`` None: all of them."""

    __pydantic_config__ = STRICT

    protocol: str
    reason: str
    task: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One vintage of the rating, as its file says. ``ladder``: the highest index of 5, 4, 3 and 2 stars."""

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

    def __post_init__(self) -> None:
        if self.ladder[0] <= 0 or list(self.ladder) != sorted(set(self.ladder)):
            raise ValueError(f"a ladder's steps must rise from above zero: {self.ladder}")
        known = {protocol.name for protocol in self.protocols}
        used = [item.protocol for item in self.classes] + [item.protocol for item in self.sizes]
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
    entry = formats.read_toml(path)
    if entry.get("schema") != SCHEME_SCHEMA:
        raise BadInput(f"schema {str(entry.get('schema'))[:80]!r} is not {SCHEME_SCHEMA!r}", place=path)
    scheme = formats.validated(Scheme, entry, path)
    if scheme.name != name:
        raise BadInput(
            f"the file calls itself {scheme.name!r}", "A scheme is called like its file", place=path
        )
    return scheme


def _vintage(name: str) -> tuple[list[int], bool, str]:
    return [int(number) for number in re.findall(r"\d+", name)], not name.endswith("-draft"), name


# ----------------------------------------------------------------------------------------------------------- rating


def rate(
    record: Record,
    *,
    scheme: str | Scheme | None = None,
    profiles: Sequence[Profile] | None = None,
) -> Rating:
    """The stars of a record under a scheme (by default the newest), or every reason why it has none.

    Raises:
        BadInput: there is no such scheme, or its file or a profile cannot be read.
    """
    if not isinstance(scheme, Scheme):
        scheme = load_scheme(scheme)
    known = all_profiles() if profiles is None else profiles
    training = record.stage in TRAINING
    found = _Class() if training else _find_class(record, scheme)
    unit = found.rated.unit if found.rated else record.task.unit if record.task else None
    reasons: list[str] = []
    energy: Estimate | None = None
    basis: Basis = "measured"

    name = RUN if training else MEASURED
    if training:
        reasons.append(f"{record.stage} is not rated yet: {scheme.name} has no classes for training")
    if name not in record:
        there = ", ".join(repr(item.name) for item in record) or "none"
        reasons.append(f"there is no measurement {name!r}, which is what is rated; there is: {there}")
    else:
        measurement = record[name]
        reasons += _of_measurement(record, measurement, scheme)
        if not training:
            reasons += _of_repeats(measurement, scheme)
        wrong, basis = _of_devices(record, measurement, scheme, known)
        reasons += wrong
        if unit is not None:
            energy = _energy_per(measurement, unit, scheme.component)
            if energy is None and not training and scheme.component in measurement.energy_j:
                reasons.append(f"no {unit!r} was counted in {name!r}, the unit that is rated")
    reasons += found.reasons
    if found.rated:
        reasons += _of_operating_point(record, found.rated)
        if name in record:
            reasons += _of_work(record, record[name], found.rated)
        if not _knows_items(record, found.rated):
            basis = "indicative"

    index = energy.times(1 / found.rated.e_ref_j) if energy and found.rated and not reasons else None
    could_be: tuple[int, int] | None = None
    stars: int | None = None
    if index is not None:
        low, high = index.interval()
        could_be = scheme.stars(high), scheme.stars(low)
        if could_be[1] - could_be[0] >= scheme.rules.widest_stars:
            reasons.append(
                f"the doubt is too wide: it could be {could_be[0]} to {could_be[1]} stars, and at most "
                f"{scheme.rules.widest_stars} may be open; measure longer, or with a better sensor"
            )
        else:
            stars = scheme.stars(index.value)
    rated = found.rated if stars is not None else None
    return Rating(
        stars=stars,
        could_be=could_be if rated else None,
        index=index,
        energy_per_unit_j=energy,
        unit=unit,
        basis=basis if rated else None,
        status=("provisional" if scheme.draft else rated.status) if rated else None,
        scheme=scheme.name,
        class_=found.name,
        protocol=record.task.protocol if record.task else None,
        reasons=tuple(dict.fromkeys(reasons)),
    )


def next_star_j(rating: Rating, scheme: Scheme) -> float | None:
    """Joules per unit at which the next star begins; None at five stars, or where there are none."""
    if rating.stars is None or rating.stars >= MOST_STARS or not rating.index or not rating.energy_per_unit_j:
        return None
    e_ref_j = rating.energy_per_unit_j.value / rating.index.value
    return scheme.highest_index(rating.stars + 1) * e_ref_j


def rating_to_json(rating: Rating) -> dict[str, Any]:
    """What ``rate --json`` prints."""
    return {
        "stars": rating.stars,
        "could_be": None if rating.could_be is None else list(rating.could_be),
        "index": formats.plain(rating.index),
        "energy_per_unit_j": formats.plain(rating.energy_per_unit_j),
        "unit": rating.unit,
        "basis": rating.basis,
        "status": rating.status,
        "scheme": rating.scheme,
        "class": rating.class_,
        "protocol": rating.protocol,
        "reasons": list(rating.reasons),
    }


def is_example(record: Record) -> bool:
    """Whether the record names the device that does not exist: it shows what a rating looks like, and must say so."""
    return any(device.name == EXAMPLE_DEVICE for device in record.environment.devices)


# ------------------------------------------------------------------------------------------------- what was measured


def _of_measurement(record: Record, measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    """What is wrong with the measurement itself."""
    component, rules = scheme.component, scheme.rules
    channels = _channels(record, measurement, component)
    energy = measurement.energy_j.get(component)
    if energy is None or not channels:
        had = ", ".join(
            _told(record, measurement, item) for item in measurement.energy_j if item != component
        )
        yield f"the {component} was not measured, and {scheme.name} rates its energy; there is: {had or 'none'}"
    else:
        if worst_method(channel.method for channel in channels) == "model":
            yield f"the energy of the {component} is estimated by a model, not measured"
        if energy.value <= 0:
            yield f"the {component} is said to have used {energy.value:g} J: the sensor told nothing"
        share = measurement.coverage.get(component, 0.0)
        if share < rules.least_coverage:
            yield f"sensors saw {_percent(share)} of the time; at least {_percent(rules.least_coverage)} are asked for"
        for channel in channels:
            if channel.method == "model":
                continue
            if channel.period_s is None:
                yield f"{channel.id}: the record does not say how often the sensor refreshes"
            elif measurement.duration_s / channel.period_s < rules.fewest_samples:
                yield (
                    f"{channel.id} gave about {measurement.duration_s / channel.period_s:.0f} samples; "
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
        yield (
            f"{significant(measurement.duration_s, 3)} s were measured; at least {rules.shortest_s:.0f} s are asked for"
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
        yield f"the measurement is {worst}: {', '.join(codes) or 'no finding says why'}"


def _of_repeats(measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    if measurement.n < scheme.rules.fewest_repeats:
        yield f"there are {measurement.n} repeats; at least {scheme.rules.fewest_repeats} are asked for"


def _of_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile]
) -> tuple[list[str], Basis]:
    """What is wrong with what it was measured on, and what the rating would rest on."""
    names = dict.fromkeys(channel.device for channel in _channels(record, measurement, scheme.component))
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
    for device in devices:
        profile = profile_for(device.name, device.memory_gb, among=known)
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        elif profile is None or profile.key != scheme.reference_device:
            reasons.append(_other_device(device, scheme, known))
        else:
            reasons += _of_reference(device, profile)
    return reasons, basis


def _of_reference(device: Device, profile: Profile) -> Iterator[str]:
    """What keeps a device that is called like the reference from being the reference."""
    if device.mig:
        yield f"{device.name} was divided (MIG); a part of the reference device is not the whole"
    if device.mig is None and device.memory_gb is None:
        yield f"{device.name}: the record does not say whether the whole device was used"
    limit = profile.figures.power_limit_w
    if device.power_limit_w is None or limit is None:
        return
    if abs(device.power_limit_w - limit.value) > POWER_LIMIT_TOLERANCE * limit.value * (1 + ROUNDING):
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
    if device.name in reference.driver.names and device.memory_gb is not None:
        return (
            f"measured on {device.name} with {significant(device.memory_gb, 3)} GB; this scheme's reference, "
            f"{reference.name}, has {reference.figures.memory_gb.value:g} GB"
        )
    return (
        f"measured on {device.name}; this scheme's reference is {reference.name}; normalisation is needed, "
        f"and {scheme.name} rates only what was measured on the reference"
    )


def _channels(record: Record, measurement: Measurement, component: str) -> list[Channel]:
    """The channels that the component's energy came from."""
    return [
        channel
        for channel in record.channels
        if channel.component == component and channel.id in measurement.energy_by_channel_j
    ]


def _told(record: Record, measurement: Measurement, component: str) -> str:
    method = worst_method(channel.method for channel in _channels(record, measurement, component))
    return f"{component} (estimated)" if method == "model" else component


def _energy_per(measurement: Measurement, unit: str, component: str) -> Estimate | None:
    energy, amount = measurement.energy_j.get(component), measurement.work.get(unit)
    return energy.times(1 / amount) if energy is not None and amount else None


def _percent(share: float) -> str:
    # Rounded down: 98.96 % must not read as the 99 % that it misses.
    return f"{int(share * 1000) / 10:g} %"


# -------------------------------------------------------------------------------------------- what it compares with


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """The class that a record belongs to, or why it belongs to none. ``name`` may be known without a rated class."""

    rated: RatingClass | None = None
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
        size = _size_class(record.model, sizes)
        if size is None:
            return _Class(
                reasons=[
                    "the class cannot be told: the record does not say "
                    + (
                        "how many parameters the model has"
                        if not _parameters(record.model)
                        else "in which format its weights are"
                    )
                ]
            )
        name = size.name
    for rated in scheme.classes:
        if (rated.protocol, rated.task, rated.name) == (protocol, task.name, name):
            return _Class(rated=rated, name=name)
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


def _parameters(model: Model | None) -> int | None:
    return model.parameters if model is not None else None


def _size_class(model: Model | None, sizes: Sequence[SizeClass]) -> SizeClass | None:
    """The first class whose bounds the model keeps, or None where the record does not say enough to tell."""
    parameters = _parameters(model)
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
    if load.batch_size is None and load.concurrency is None:
        return None
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


def _of_work(record: Record, measurement: Measurement, rated: RatingClass) -> Iterator[str]:
    """Whether what was counted is what the protocol does: every item, in every repeat, and answers of its length."""
    n, items = measurement.n, record.load.items if record.load is not None else None
    amount = measurement.work.get(rated.unit)
    if amount and items is not None and n and (amount < n * items or amount % (n * items)):
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
    return bool(hashes) and OWN_ITEMS not in hashes
