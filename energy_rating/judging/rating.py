"""From a record to stars under one scheme, or to every reason why there are none. Pure; reads scheme files and profiles.

Index = gross energy per unit of the component that the scheme names / the class's reference energy. The stars are those of the
point value; what its 95 % interval allows stands beside them. Inference is rated under a protocol and at an operating point that
the scheme knows, as measured on the reference device, or as normalised to it where the scheme allows that. Items that nobody can
compare with the protocol's leave a rating *indicative*. Of training the run is rated, whatever it ran on: its energy per
floating-point operation that the model's training needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from energy_rating.files import strict
from energy_rating.files.shipped import hardware_profiles
from energy_rating.judging.checks import is_only_estimated
from energy_rating.judging.classes import find_class, find_training, yardstick
from energy_rating.judging.eligibility import (
    Shortfall,
    has_options,
    is_estimated,
    knows_items,
    of_devices,
    of_measurement,
    of_repeats,
    of_work,
    protocol_of,
)
from energy_rating.judging.normalisation import ASSUMED, Normalised, hardware_interval, normalise
from energy_rating.judging.operating_point import of_operating_point, of_settings
from energy_rating.judging.profiles import Profile, is_example, load_profile
from energy_rating.judging.profiles import profiles as all_profiles
from energy_rating.judging.schemes import MOST_STARS, RatingClass, Scheme, TrainingClass, load_scheme
from energy_rating.judging.training import TrainingWork, of_training_devices, training_flop
from energy_rating.nouns import records
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.quantities import CONFIDENCE, Estimate
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
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
    known = _known(scheme) if profiles is None else profiles
    training = record.stage in TRAINING
    found = find_training(record, scheme) if training else find_class(record, scheme)
    rated = found.rated
    unit = rated.unit if rated else record.task.unit if record.task else None
    reasons: list[str] = list(found.reasons) if training else []
    measurement = record[name] if (name := RUN if training else MEASURED) in record else None
    done = TrainingWork()
    measured: Estimate | None = None
    normalised: Normalised | None = None
    basis: Basis = "measured"

    if is_only_estimated(record) and (measurement is None or scheme.component not in measurement.energy_j):
        reasons.append("it is only an estimate: nothing was measured, and what models say is not rated")
    if measurement is None:
        there = ", ".join(repr(item.name) for item in record) or "none"
        reasons.append(f"there is no measurement {name!r}, which is what is rated; there is: {there}")
    else:
        reasons += of_measurement(record, measurement, scheme)
        if training and rated:
            done = training_flop(record, measurement)
            reasons += done.reasons
            wrong, basis = of_training_devices(record, measurement, scheme, known, done.amount)
            reasons += wrong
        elif not training:
            reasons += of_repeats(measurement, scheme)
            wrong, elsewhere, basis = of_devices(record, measurement, scheme, known)
            reasons += wrong
            if elsewhere and scheme.normalised_tiers and not found.reasons:
                refused, normalised = _normalised(record, scheme, unit, known)
                reasons += [f"{elsewhere[0].partition(';')[0]}; {reason}" for reason in refused]
                basis = "normalised" if normalised else basis
            else:
                reasons += elsewhere
            if unit is not None:
                done = TrainingWork(amount=measurement.work.get(unit) or None, method=f"counted in {name!r}")
                if not done.amount and scheme.component in measurement.energy_j:
                    reasons.append(f"no {unit!r} was counted in {name!r}, the unit that is rated")
        if done.amount and scheme.component in measurement.energy_j:
            measured = measurement.energy_j[scheme.component].times(1 / done.amount)
    if not training:
        reasons += found.reasons
    if isinstance(rated, RatingClass):
        reasons += of_operating_point(record, rated)
        protocol = protocol_of(record, scheme)
        reasons += of_settings(record, rated, protocol.unset if protocol is not None else ())
        if measurement is not None:
            whole_rounds = protocol is None or protocol.whole_rounds
            reasons += of_work(record, measurement, rated, whole_rounds=whole_rounds)
        if not knows_items(record, rated) or has_options(record):
            if normalised:
                # One step away from what the class was measured as can be told by its basis; two would look like one.
                reasons.append(
                    Shortfall(
                        "it did not run on the protocol's items, or with options of the engine's own, and not on the reference; one "
                        "of both is asked for"
                    )
                )
            basis = "indicative"

    energy = normalised.energy_per_unit_j if normalised and normalised.energy_per_unit_j else measured
    mendable = all(isinstance(reason, Shortfall) for reason in reasons)
    index = energy.times(1 / rated.e_ref_j) if energy and rated and mendable else None
    interval: tuple[float, float] | None = None
    could_be: tuple[int, int] | None = None
    stars: int | None = None
    if index is not None and rated is not None:
        interval = _interval(index, normalised, rated.e_ref_j)
        could_be = scheme.stars(interval[1]), scheme.stars(interval[0])
        if could_be[1] - could_be[0] >= scheme.rules.widest_stars:
            reasons.append(
                Shortfall(
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
        component=scheme.component,
        yardstick=yardstick(scheme, rated) if rated is not None else None,
        conversion=_conversion(normalised),
        own=tuple(_own(record, rated)) if basis == "indicative" else (),
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
        estimated=measurement is not None and is_estimated(record, measurement, scheme.component),
        example=is_example(record),
        checked=record.checked,
    )


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


def rating_schema() -> dict[str, Any]:
    """The JSON Schema of what ``rate --json`` prints and ``rating.json`` holds, as published in ``docs/``."""
    schema = strict.json_schema(Rating, RATING_SCHEMA)
    properties = schema["properties"]
    for name in ("interval_95", "component", "yardstick", "conversion", "own"):
        del properties[name]
    for name in ("Yardstick", "Conversion"):
        schema["$defs"].pop(name, None)
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


def _normalised(
    record: Record, scheme: Scheme, unit: str | None, known: Sequence[Profile]
) -> tuple[list[str], Normalised | None]:
    """The figure on the reference device, or why there is none."""
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
