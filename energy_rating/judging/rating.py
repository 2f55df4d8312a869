"""From a record to stars under one scheme, or to every reason why there are none. Pure; reads scheme files and profiles.

Index = gross energy per unit of the component that the scheme names / the class's reference energy. The stars are those of the
point value; what its 95 % interval allows stands beside them. Inference is rated under a protocol and at an operating point that
the scheme knows, as measured on the reference device, or as normalised to it where the scheme allows that. Items that nobody can
compare with the protocol's leave a rating *indicative*. Of training the run is rated, whatever it ran on: its energy per
floating-point operation that the model's training needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from energy_rating.files import strict
from energy_rating.files.shipped import hardware_profiles
from energy_rating.judging.checks import is_only_estimated
from energy_rating.judging.classes import find_class, find_training, yardstick
from energy_rating.judging.eligibility import (
    has_options,
    is_estimated,
    knows_items,
    not_the_reference,
    of_devices,
    of_measurement,
    of_origin,
    of_repeats,
    of_work,
    protocol_of,
)
from energy_rating.judging.normalisation import ASSUMED, Normalised, normalise
from energy_rating.judging.operating_point import of_operating_point, of_settings
from energy_rating.judging.profiles import (
    EXAMPLE_DEVICE,
    Profile,
    is_example,
    profile_for,
    profiles_naming,
    read_profile,
)
from energy_rating.judging.profiles import profiles as all_profiles
from energy_rating.judging.quality import is_outcome
from energy_rating.judging.roads import hardware_interval
from energy_rating.judging.schemes import MOST_STARS, RatingClass, Scheme, TrainingClass, load_scheme
from energy_rating.judging.training import TrainingWork, of_training_devices, training_flop
from energy_rating.nouns import records
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.quantities import CONFIDENCE, Estimate
from energy_rating.nouns.reasons import Reason, codes
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
    AlsoPer,
    Basis,
    Checked,
    Component,
    Conversion,
    Measurement,
    Own,
    Rating,
    Record,
    WouldBe,
)

RATING_SCHEMA = "energy-rating/rating/1"


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

    Args:
        record: what is rated.
        scheme: a scheme or its name. Default: the newest.
        profiles: the devices that are known. Default: those that ship, and the user's own.
        provisional: where it has none only because the measurement falls short (too brief, too few repeats, degraded), say in
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
    known = _known(record, scheme) if profiles is None else profiles
    if record.origin == "imported":
        return _conclude(record, scheme, _imported(record), provisional=False)
    examine = examine_training if record.stage in TRAINING else examine_inference
    return _conclude(record, scheme, examine(record, scheme, known), provisional=provisional)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Examined:
    """What there is to be rated of a record, and every reason why it is not, but for the width of its doubt.

    ``done`` is the work in the unit that is rated, ``measured`` the energy per unit as measured, ``normalised`` what was made of it.
    """

    class_name: str | None
    rated: RatingClass | TrainingClass | None
    unit: str | None
    measurement: Measurement | None
    done: TrainingWork
    measured: Estimate | None
    normalised: Normalised | None
    basis: Basis
    reasons: tuple[Reason, ...]

    @property
    def energy(self) -> Estimate | None:
        """The energy per unit that is rated."""
        normalised = self.normalised
        return normalised.energy_per_unit_j if normalised and normalised.energy_per_unit_j else self.measured

    @property
    def mendable(self) -> bool:
        """Whether a better measurement would take all the reasons away."""
        return all(reason.mendable for reason in self.reasons)


def _imported(record: Record) -> _Examined:
    """Of what was taken over from others nothing is rated, and no further reason would help: there is no journal to judge by."""
    return _Examined(
        class_name=None,
        rated=None,
        unit=record.task.unit if record.task else None,
        measurement=None,
        done=TrainingWork(),
        measured=None,
        normalised=None,
        basis="measured",
        reasons=tuple(of_origin(record)),
    )


def examine_training(record: Record, scheme: Scheme, known: Sequence[Profile]) -> _Examined:
    """A training: the run as a whole, on whatever devices, per operation that its model needed."""
    found = find_training(record, scheme)
    measurement = _named(record, RUN)
    reasons = [*found.reasons, *_of_estimates(record, measurement, scheme)]
    done = TrainingWork()
    basis: Basis = "measured"
    if measurement is None:
        reasons.append(_of_nothing(record, RUN))
    else:
        reasons += of_measurement(record, measurement, scheme)
        if found.rated is not None:
            done = training_flop(record, measurement)
            wrong, basis = of_training_devices(record, measurement, scheme, known, done.amount)
            reasons += [*done.reasons, *wrong]
    return _Examined(
        class_name=found.name,
        rated=found.rated,
        unit=found.rated.unit if found.rated else record.task.unit if record.task else None,
        measurement=measurement,
        done=done,
        measured=_per_unit(measurement, done.amount, scheme),
        normalised=None,
        basis=basis,
        reasons=tuple(reasons),
    )


def examine_inference(record: Record, scheme: Scheme, known: Sequence[Profile]) -> _Examined:
    """A benchmark: its repeats, under the protocol of a class, on the reference device or normalised to it."""
    found = find_class(record, scheme)
    rated = found.rated
    unit = rated.unit if rated else record.task.unit if record.task else None
    measurement = _named(record, MEASURED)
    reasons = list(_of_estimates(record, measurement, scheme))
    done = TrainingWork()
    basis: Basis = "measured"
    normalised: Normalised | None = None
    if measurement is None:
        reasons.append(_of_nothing(record, MEASURED))
    else:
        reasons += of_measurement(record, measurement, scheme)
        reasons += of_repeats(measurement, scheme)
        wrong, elsewhere, basis = of_devices(record, measurement, scheme, known)
        reasons += wrong
        if elsewhere and scheme.normalised_tiers and not found.reasons:
            wrong, normalised = _normalised(record, scheme, unit, known, elsewhere[0].name)
            reasons += wrong
            basis = "normalised" if normalised else basis
        else:
            reasons += [not_the_reference(device, scheme, known) for device in elsewhere]
        if unit is not None:
            done = TrainingWork(amount=measurement.work.get(unit) or None, method=f"counted in {MEASURED!r}")
            if not done.amount and scheme.component in measurement.energy_j:
                reasons.append(
                    Reason.of(
                        "nothing-counted",
                        f"the energy is rated per {unit}, and no {unit!r} was counted in {MEASURED!r}",
                        f"Count it: window.count({unit}=…)" if unit.isidentifier() else None,
                    )
                )
    reasons += found.reasons
    if isinstance(rated, RatingClass):
        reasons += _of_protocol(record, measurement, scheme, rated)
        if not knows_items(record, rated) or has_options(record):
            if normalised:
                # One step away from what the class was measured as can be told by its basis; two would look like one.
                reasons.append(
                    Reason.of(
                        "own-items-elsewhere",
                        "it ran neither on the protocol's items without options of the engine's own, nor on the reference device; one of "
                        "both is needed",
                    )
                )
            basis = "indicative"
    return _Examined(
        class_name=found.name,
        rated=rated,
        unit=unit,
        measurement=measurement,
        done=done,
        measured=_per_unit(measurement, done.amount, scheme),
        normalised=normalised,
        basis=basis,
        reasons=tuple(reasons),
    )


def _conclude(record: Record, scheme: Scheme, found: _Examined, *, provisional: bool) -> Judgement:
    """Stars, where nothing speaks against them."""
    energy, rated = found.energy, found.rated
    reasons = list(dict.fromkeys(found.reasons))
    index = energy.times(1 / rated.e_ref_j) if energy and rated and found.mendable else None
    interval: tuple[float, float] | None = None
    could_be: tuple[int, int] | None = None
    too_wide = False
    if index is not None and rated is not None:
        interval = _interval(index, found.normalised, rated.e_ref_j)
        could_be = scheme.stars(interval[1]), scheme.stars(interval[0])
        too_wide = could_be[1] - could_be[0] >= scheme.rules.widest_stars
    only_too_wide = too_wide and not reasons
    if too_wide and could_be is not None:
        reasons.append(
            Reason.of(
                "too-uncertain",
                f"the uncertainty is too large: it could be {could_be[0]} to {could_be[1]} stars, and at most "
                f"{scheme.rules.widest_stars} may be open",
            )
        )
    stars = scheme.stars(index.value) if index is not None and not reasons else None
    would_be: WouldBe | None = None
    if provisional and stars is None and index is not None and could_be is not None:
        would_be = WouldBe(stars=scheme.stars(index.value), could_be=could_be, index=index, basis=found.basis)
    is_rated = stars is not None
    firm = rated is not None and rated.status == "firm" and found.basis == "measured" and not scheme.draft
    rating = Rating(
        stars=stars,
        could_be=could_be if is_rated else None,
        index=index if is_rated or only_too_wide else None,
        energy_per_unit_j=energy if is_rated else found.measured,
        unit=found.unit,
        basis=found.basis if is_rated else None,
        status=("firm" if firm else "provisional") if is_rated else None,
        scheme=scheme.name,
        class_=found.class_name,
        protocol=_protocol_name(record, rated),
        reasons=tuple(str(reason) for reason in reasons),
        why_not=tuple(reasons),
        would_be=would_be,
        interval_95=interval if found.normalised is not None else None,
        component=scheme.component,
        yardstick=yardstick(scheme, rated) if rated is not None else None,
        conversion=_conversion(found.normalised),
        own=tuple(_own(record, rated)) if found.basis == "indicative" else (),
        beside=tuple(_beside(record, scheme, found)) if is_rated else (),
    )
    measurement = found.measurement
    return Judgement(
        rating=rating,
        scheme=scheme,
        component=scheme.component,
        measurement=measurement,
        energy_j=measurement.energy_j.get(scheme.component) if measurement else None,
        work=found.done.amount,
        work_method=found.done.method,
        measured_j=found.measured,
        normalised=found.normalised,
        rated=rated,
        interval=interval,
        estimated=measurement is not None and is_estimated(record, measurement, scheme.component),
        example=is_example(record),
        checked=record.checked,
    )


def _beside(record: Record, scheme: Scheme, found: _Examined) -> Iterator[AlsoPer]:
    """The energy that was rated in the units that the scheme has beside it, as far as they were counted or verified."""
    energy, done, measurement = found.energy, found.done.amount, found.measurement
    if energy is None or not done or measurement is None or record.stage in TRAINING:
        return
    work = measurement.work
    for unit in scheme.beside:
        counted = [work.get(name) for name in unit.sum]
        amount = math.fsum(one or 0 for one in counted)
        # A sum of which a part was not counted is another one.
        if amount and None not in counted and unit.sum != (found.unit,):
            yield AlsoPer(unit=unit.unit, energy_per_unit_j=energy.times(done / amount))
        each = next((work[name] for name in unit.each if work.get(name)), None)
        for quality in record.quality if each else ():
            if is_outcome(quality, unit.outcomes) and each:
                yield AlsoPer(
                    unit=unit.unit,
                    energy_per_unit_j=energy.times(done / (each * quality.value)),
                    of=f"{quality.metric} {quality.value:g}, {quality.source}",
                )


def _named(record: Record, name: str) -> Measurement | None:
    return record[name] if name in record else None  # noqa: SIM401 - a record has no ``get``


def _of_estimates(record: Record, measurement: Measurement | None, scheme: Scheme) -> Iterator[Reason]:
    if is_only_estimated(record) and (measurement is None or scheme.component not in measurement.energy_j):
        yield Reason.of(
            "only-estimated",
            "it is only an estimate: no sensor measured anything, and estimates are not rated",
        )


def _of_nothing(record: Record, name: str) -> Reason:
    """That there is not the measurement that is rated."""
    there = ", ".join(repr(item.name) for item in record) or "nothing"
    if name == MEASURED:
        as_a_whole = "; this run was measured as a whole" if RUN in record else ""
        return Reason.of(
            "not-benchmarked", f"only a benchmark can be rated{as_a_whole} (needed is {name!r}; got {there})"
        )
    return Reason.of("no-run", f"the record must hold the measurement {name!r}; got {there}")


def _of_protocol(
    record: Record, measurement: Measurement | None, scheme: Scheme, rated: RatingClass
) -> Iterator[Reason]:
    """Whether it ran at the class's operating point, and did all of the protocol's work."""
    protocol = protocol_of(record, scheme)
    yield from of_operating_point(record, rated)
    yield from of_settings(record, rated, protocol.unset if protocol is not None else ())
    if measurement is not None:
        whole_rounds = protocol is None or protocol.whole_rounds
        yield from of_work(record, measurement, rated, whole_rounds=whole_rounds)


def _per_unit(measurement: Measurement | None, amount: float | None, scheme: Scheme) -> Estimate | None:
    if measurement is None or not amount or scheme.component not in measurement.energy_j:
        return None
    return measurement.energy_j[scheme.component].times(1 / amount)


def _conversion(normalised: Normalised | None) -> Conversion | None:
    """From which device to which, by what: of a figure that was converted at all."""
    if normalised is None or normalised.factor is None or not normalised.steps:
        return None
    steps = normalised.steps
    return Conversion(
        origin=steps[0].origin,
        target=steps[-1].target,
        factor=normalised.factor,
        interval=hardware_interval(steps),
        assumed=normalised.tier in ASSUMED,
        why="; ".join(step.why for step in steps),
    )


def _own(record: Record, rated: RatingClass | TrainingClass | None) -> Iterator[Own]:
    """Why nobody else can compare with an indicative figure."""
    if is_example(record):
        yield "example"
    if isinstance(rated, RatingClass) and not knows_items(record, rated):
        yield "items"
    if has_options(record):
        yield "options"


def _known(record: Record, scheme: Scheme) -> tuple[Profile, ...]:
    """The profiles that ship and the user's own. Of the reference device only the one that ships counts: what everybody is
    compared with must be the same on every machine.

    Where nothing is converted, and no other device is looked for, it is those of the record's devices alone: no other is asked about.
    """
    known = _of_the_reference(scheme, profiles_naming({one.name for one in record.environment.devices}))
    rated = {channel.device for channel in record.channels if channel.component == scheme.component}
    is_known_to_suffice = record.stage in TRAINING or all(
        device.name == EXAMPLE_DEVICE
        or (
            ((profile := profile_for(device.name, device.memory_gb, among=known)) is not None)
            and profile.key == scheme.reference_device
        )
        for device in record.environment.devices
        if device.id in rated
    )
    return known if is_known_to_suffice else _of_the_reference(scheme, all_profiles())


def _of_the_reference(scheme: Scheme, profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    key = scheme.reference_device
    return tuple(
        read_profile(hardware_profiles() / f"{key}.toml") if profile.key == key else profile
        for profile in profiles
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
        "reason_codes": list(codes(rating.why_not)),
    }
    if rating.beside:
        entry["beside"] = records.plain(rating.beside)
    if rating.would_be is not None:
        entry["would_be"] = records.plain(rating.would_be)
    return entry


def rating_schema() -> dict[str, Any]:
    """The JSON Schema of what ``rate --json`` prints and ``rating.json`` holds, as published in ``docs/``."""
    schema = strict.json_schema(Rating, RATING_SCHEMA)
    properties = schema["properties"]
    for name in ("interval_95", "component", "yardstick", "conversion", "own", "why_not", "beside"):
        del properties[name]
    for name in ("Yardstick", "Conversion", "Reason"):
        schema["$defs"].pop(name, None)
    properties["beside"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/AlsoPer"},
        "description": "the same energy in other units, where the scheme has some and they were counted or verified",
    }
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
    properties["reason_codes"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "the codes of the reasons, in their order: docs/findings.md; not in what 0.1.0 wrote",
    }
    # What is there only where it was asked for is never null.
    properties["would_be"] = {"$ref": "#/$defs/WouldBe"}
    schema["required"] = [*("class" if name == "class_" else name for name in schema["required"]), "reasons"]
    schema["additionalProperties"] = False
    return schema


def _normalised(
    record: Record, scheme: Scheme, unit: str | None, known: Sequence[Profile], device: str
) -> tuple[list[Reason], Normalised | None]:
    """The figure on the reference device, or why there is none."""
    try:
        found = normalise(
            record, to=scheme.reference_device, unit=unit, profiles=known, vintage=scheme.normalisation
        )
    except EnergyRatingError as error:
        reasons = [Reason.of("not-converted", error.message, error.remedy)]
    else:
        if found.factor is None or found.energy_per_unit_j is None:
            reasons = list(found.why_not)
        elif found.tier not in scheme.normalised_tiers:
            reasons = [
                Reason.of(
                    "tier-not-rated",
                    f"the factor is of tier {found.tier}, and {scheme.name} rates tiers {', '.join(scheme.normalised_tiers)}",
                )
            ]
        else:
            return [], found
    told = f"it was measured on {device}, which cannot be converted to the reference device"
    return [replace(reason, message=f"{told}: {reason.message}") for reason in reasons], None


def _interval(index: Estimate, normalised: Normalised | None, e_ref_j: float) -> tuple[float, float]:
    """The 95 % interval of the index; that of a normalised figure is a factor up and down."""
    if normalised is None:
        return index.interval()
    low_j, high_j = normalised.interval(CONFIDENCE)
    return low_j / e_ref_j, high_j / e_ref_j
