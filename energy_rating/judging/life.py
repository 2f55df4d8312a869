"""What a model's whole life takes: all its runs joined by model and revision, the share of each stage, and when a costlier training pays back.

**All runs count.** Failed runs, searches and ablations are energy of the model too (SCI for AI, 7.2), so what is summed are all records that
are named, by stage and by role. A model's own runs alone: what its base took stands in the base's own records, and is never added here.

**A run counts once.** Two records of one run id are refused, and so are two that measured one device at one time under different ids.

**The doubt of a sum** adds linearly over devices of one name, whose sensors may share one error, and in quadrature otherwise. In a
ratio of two such sums what they share cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from energy_rating.judging.footprint.carbon import Choices, Impact, footprint, zone_of
from energy_rating.nouns.entries import Relation
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import LEADING, MEASURED, RUN, STAGES, Component, Measurement, Record, Stage

# Runs that made the model what it is; inference is what it does then.
BEFORE: tuple[Stage, ...] = ("pre-training", "fine-tuning", "other")

# A figure per request of answers that are longer or shorter than this many times is another figure.
ALIKE_LENGTH = 2.0
# Further than this a request's length says nothing of another's, also per token.
LONGEST_STRETCH = 10.0

DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """What some of a life's runs took: how many, their energy and its share (0 to 1) of all that was measured."""

    name: str
    runs: int
    energy_j: Estimate
    share: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class PerRequest:
    """What a unit of work takes when the model is used, and what it takes with its part of all that went before.

    ``tokens`` is how many tokens a unit had where it was measured; None where they were not counted. ``amortised_j`` is the energy before use
    divided by ``requests``, and ``whole_j`` both. ``carbon_g`` and ``water_off_site_l`` are those of a unit's electricity, of all components that
    were measured; None where it is not known where it ran.
    """

    unit: str
    energy_j: Estimate
    tokens: float | None
    requests: float | None
    amortised_j: Estimate | None
    whole_j: Estimate | None
    carbon_g: Estimate | None = None
    water_off_site_l: Estimate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """All runs of one model. ``component``: whose energy, the same in every run. ``notes``: what a reader of the figures has to know.

    ``before_j``: all runs that are no inference. ``carbon_g`` and ``embodied_g`` are sums of the runs' footprints, where each has one;
    ``carbon_of`` names the components whose electricity that is: all that were measured, and not ``component`` alone. ``before_carbon_g`` and
    ``before_water_l`` are the parts of what went before use (water where the electricity is made).
    """

    model: str
    revision: str | None
    base_model: str | None
    relation: Relation | None
    component: Component
    runs: tuple[str, ...]
    stages: tuple[Portion, ...]
    roles: tuple[Portion, ...]
    energy_j: Estimate
    before_j: Estimate
    use: PerRequest | None
    carbon_g: Estimate | None
    embodied_g: Estimate | None
    zones: tuple[str, ...]
    carbon_of: tuple[str, ...]
    notes: tuple[str, ...]
    # What the doubts of its energies are made of, for ratios in which they cancel: by device's name.
    gains: Mapping[str, tuple[Estimate, Estimate]] = field(default_factory=dict)
    before_carbon_g: Estimate | None = None
    before_water_l: Estimate | None = None
    devices: tuple[str, ...] = ()
    # Whether a model told the energy of a run, its findings leave nothing of it, or it was taken over from another tool's file.
    estimated: bool = False
    invalid: bool = False
    imported: bool = False

    @property
    def final_run_only(self) -> bool:
        """Whether nothing but the run that made the model is among them: development is mostly the larger part."""
        return not any(
            portion.name in ("failed", "ablation", "search", "evaluation") for portion in self.roles
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakEven:
    """After how many requests the model that cost more before use has made up for it; ``never`` where its saving may be none.

    ``price_j`` is what it cost more, ``saving_j`` what it needs less for each. ``requests`` None: never; ``why`` says the reason.
    ``interval_95``: of the number; its upper end may be infinite.
    """

    costlier: str
    cheaper: str
    unit: str
    saving_j: Estimate
    price_j: Estimate
    requests: float | None
    interval_95: tuple[float, float] | None
    never: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What a service of so many requests takes, planned from a measured figure.

    ``carbon_g`` is that of use and of what went before it. ``zone``: where the service is planned, with the carbon and water of its use
    worked out for there; ``elsewhere``: that is another place than the one where the figure was measured, or that one is not told.
    """

    model: str
    requests: float
    tokens: float | None
    months: float | None
    use_j: Estimate
    before_j: Estimate
    whole_j: Estimate
    carbon_g: Estimate | None
    basis: Literal["per request", "per token"]
    zone: str | None = None
    elsewhere: bool = False
    use_carbon_g: Estimate | None = None
    before_carbon_g: Estimate | None = None
    use_water_l: Estimate | None = None


# ---------------------------------------------------------------------------------------------------- the runs, once


def lives(
    records: Sequence[Record], *, component: Component | None = None, **asked: object
) -> tuple[Life, ...]:
    """The life of each model among the records, in the order in which their first ones stand.

    Raises:
        BadInput: as ``life``; or a run counts twice.
    """
    refuse_twice(records)
    found: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        if record.model is None:
            raise BadInput(
                f"the run {record.run_id} names no model, and joins no life",
                "Name it when it is measured: --model org/name",
            )
        found.setdefault((record.model.id, record.model.revision), []).append(record)
    return tuple(life(its, component=component, **asked) for its in found.values())  # type: ignore[arg-type]


def life(
    records: Sequence[Record],
    *,
    component: Component | None = None,
    unit: str = "request",
    requests: float | None = None,
    zone: str | None = None,
    else_in: str | None = None,
) -> Life:
    """The life of one model from all of its runs.

    Args:
        records: of one model and revision, in any order.
        component: whose energy is summed; by default the first that every run measured.
        unit: of work that inference is told by.
        requests: how many of them what went before is spread over.
        zone: where all of it ran; by default where each record says.
        else_in: where the runs ran that do not say it.

    Raises:
        BadInput: there are none, they are of several models or bases, a run counts twice, or no component is in all of them.
    """
    records = sorted(records, key=lambda record: (record.created, record.run_id))
    if not records:
        raise BadInput("there is no run of which a life could be made", "Name at least one record")
    refuse_twice(records)
    model, revision = _one_model(records)
    base, relation = _one_base(records)
    chosen = _component(records, component)
    if requests is not None and not 0 < requests < math.inf:
        raise BadInput(f"must be a number of requests above 0; got {requests:g}", place="--requests")
    whole = _energy(records, chosen)
    before = [record for record in records if record.stage in BEFORE]
    inference = [record for record in records if record.stage == "inference"]
    impacts = _impacts(records, zone, else_in)
    spent = _energy(before, chosen)
    return Life(
        model=model,
        revision=revision,
        base_model=base,
        relation=relation,
        component=chosen,
        runs=tuple(record.run_id for record in records),
        stages=tuple(
            _portion(stage, [record for record in records if record.stage == stage], chosen, whole)
            for stage in STAGES
            if any(record.stage == stage for record in records)
        ),
        roles=tuple(
            _portion(role, [record for record in records if _role(record) == role], chosen, whole)
            for role in dict.fromkeys(_role(record) for record in records)
        ),
        energy_j=whole,
        before_j=spent,
        use=_use(inference, chosen, unit, requests, spent, zone, else_in) if inference else None,
        carbon_g=_carbon(impacts),
        embodied_g=_embodied(impacts),
        zones=tuple(dict.fromkeys(impact.zone for impact in impacts or ())),
        carbon_of=tuple(dict.fromkeys(name for impact in impacts or () for name in impact.components)),
        notes=tuple(_notes(records, before, inference, base, impacts)),
        gains=_gains(before, inference, chosen, unit),
        before_carbon_g=_carbon(of_before := _impacts(before, zone, else_in)),
        before_water_l=_water(of_before),
        estimated=any(record[RUN].methods.get(chosen) == "model" for record in records),
        imported=any(record.origin == "imported" for record in records),
        invalid=any(record[RUN].validity == "invalid" for record in records),
        devices=tuple(
            sorted(
                {
                    channel.device
                    for record in records
                    for channel in record.channels
                    if channel.component == chosen
                }
            )
        ),
    )


def refuse_twice(records: Sequence[Record]) -> None:
    """Raises ``BadInput`` where one run, or one device at one time, is in two of the records."""
    seen: dict[str, Record] = {}
    for record in records:
        if record.run_id in seen:
            raise BadInput(
                f"the run {record.run_id} is there twice, and would be counted twice", "Name each run once"
            )
        seen[record.run_id] = record
    busy: dict[str, list[tuple[datetime, datetime, str]]] = {}
    for record in records:
        span = _span(record)
        if span is None:
            continue
        for device in {channel.device for channel in record.channels if channel.method != "model"}:
            for start, end, other in busy.setdefault(device, []):
                # Starts are told in whole seconds.
                if min(end, span[1]) - max(start, span[0]) > timedelta(seconds=2):
                    raise BadInput(
                        f"the runs {other} and {record.run_id} measured one device at one time: its energy would be counted twice",
                        "Name one of them, or the merged record",
                    )
            busy[device].append((*span, record.run_id))


def _span(record: Record) -> tuple[datetime, datetime] | None:
    """From when to when it ran; None where that, or on which machine, is not told."""
    if record.environment.host is None or RUN not in record:
        return None
    try:
        start = datetime.fromisoformat(record.created)
    except ValueError:
        return None
    run = record[RUN]
    return start, start + timedelta(seconds=run.start_s + run.duration_s)


def _one_model(records: Sequence[Record]) -> tuple[str, str | None]:
    named = {
        (record.model.id, record.model.revision) if record.model is not None else None for record in records
    }
    if len(named) > 1 or None in named:
        told = ", ".join(sorted("no model" if one is None else "@".join(filter(None, one)) for one in named))
        raise BadInput(
            f"a life is that of one model and revision; the runs are of {told[:200]}", "See each apart"
        )
    (one,) = named
    assert one is not None
    return one


def _one_base(records: Sequence[Record]) -> tuple[str | None, Relation | None]:
    said = [record.lineage for record in records if record.lineage is not None]
    bases = sorted({one.base_model for one in said if one.base_model is not None})
    if len(bases) > 1:
        raise BadInput(
            f"one model has one base; the runs name {' and '.join(bases[:3])}",
            "Say the same base of all of its runs",
        )
    relations = sorted({one.relation for one in said if one.relation is not None})
    return (bases[0] if bases else None), (relations[0] if len(relations) == 1 else None)


def _component(records: Sequence[Record], wanted: Component | None) -> Component:
    for one in (wanted,) if wanted is not None else LEADING:
        if all(RUN in record and one in record[RUN].energy_j for record in records):
            return one
    lacking = next(
        (record for record in records if RUN not in record or (wanted or "gpu") not in record[RUN].energy_j),
        records[0],
    )
    raise BadInput(
        f"{wanted or 'no component'} is in {'not all' if wanted else 'all'} of the runs: see {lacking.run_id}",
        "Sum runs that measured the same",
        place="--component",
    )


def common_component(records: Sequence[Record]) -> Component:
    """The first component that every run measured.

    Raises:
        BadInput: there is none.
    """
    return _component(records, None)


def _role(record: Record) -> str:
    if record.outcome is not None and record.outcome.failed:
        return "failed"
    return record.role if record.role is not None else "not told"


# ------------------------------------------------------------------------------------------------------- the energy


def _names(record: Record, component: str) -> str:
    """The devices of a component by name: those whose sensors may share one error."""
    names = {device.id: device.name for device in record.environment.devices}
    used = {channel.device for channel in record.channels if channel.component == component}
    return ", ".join(sorted({names.get(device, device) for device in used}))


def _energy(records: Iterable[Record], component: str) -> Estimate:
    """The sum over whole runs: systematic doubts linear over devices of one name, in quadrature over the others."""
    groups: dict[str, Estimate] = {}
    for record in records:
        name = _names(record, component)
        energy = record[RUN].energy_j[component]
        groups[name] = groups[name].plus(energy, same_sensor=True) if name in groups else energy
    return _sum(groups.values())


def _sum(parts: Iterable[Estimate]) -> Estimate:
    """In an order of their own, so that the order in which runs are named changes no digit."""
    found = Estimate(value=0.0)
    for part in sorted(parts, key=lambda one: (one.value, one.random, one.systematic)):
        found = found.plus(part, same_sensor=False)
    return found


def _portion(name: str, records: Sequence[Record], component: Component, whole: Estimate) -> Portion:
    part = _energy(records, component)
    # A part of its own whole: of the doubt nothing is left but the noise, where one kind of sensor saw all.
    share = part.over(whole, same_sensor=True) if whole.value else Estimate(value=0.0)
    return Portion(name=name, runs=len(records), energy_j=part, share=share)


def _window(record: Record, unit: str) -> Measurement:
    """What stands for the use of a model: the repeats of a benchmark, else the whole run."""
    if MEASURED in record and record[MEASURED].work.divisor(unit) is not None:
        return record[MEASURED]
    return record[RUN]


def _use(
    records: Sequence[Record],
    component: Component,
    unit: str,
    requests: float | None,
    before: Estimate,
    zone: str | None = None,
    else_in: str | None = None,
    *,
    with_carbon: bool = True,
) -> PerRequest | None:
    windows = [_window(record, unit) for record in records]
    amounts = [window.work.divisor(unit) for window in windows]
    counted = [
        (record, window, float(amount))
        for record, window, amount in zip(records, windows, amounts, strict=True)
        if amount is not None and component in window.energy_j
    ]
    if not counted:
        return None
    groups: dict[str, Estimate] = {}
    for record, window, _ in counted:
        name = _names(record, component)
        energy = window.energy_j[component]
        groups[name] = groups[name].plus(energy, same_sensor=True) if name in groups else energy
    number = sum(amount for _, _, amount in counted)
    energy = _sum(groups.values()).times(1 / number)
    tokens = [window.work.divisor("token") for _, window, _ in counted]
    told = sum(float(one) for one in tokens if one is not None) / number if None not in tokens else None
    amortised = before.times(1 / requests) if requests is not None else None
    impacts = (
        _impacts(
            [record for record, _, _ in counted], zone, else_in, [window.name for _, window, _ in counted]
        )
        if with_carbon
        else None
    )
    carbon, water = _carbon(impacts), _water(impacts)
    return PerRequest(
        unit=unit,
        energy_j=energy,
        tokens=told,
        requests=requests,
        amortised_j=amortised,
        whole_j=energy.plus(amortised, same_sensor=True) if amortised is not None else None,
        carbon_g=carbon.times(1 / number) if carbon is not None else None,
        water_off_site_l=water.times(1 / number) if water is not None else None,
    )


def _gains(
    before: Sequence[Record], inference: Sequence[Record], component: Component, unit: str
) -> dict[str, tuple[Estimate, Estimate]]:
    """By the devices' name: the energy before use, and that of one request."""
    found: dict[str, tuple[Estimate, Estimate]] = {}
    nothing = Estimate(value=0.0)
    for name in dict.fromkeys(_names(record, component) for record in (*before, *inference)):
        own = [record for record in before if _names(record, component) == name]
        used = _use(
            [record for record in inference if _names(record, component) == name],
            component,
            unit,
            None,
            nothing,
            with_carbon=False,
        )
        found[name] = (_energy(own, component), used.energy_j if used is not None else nothing)
    return found


# ------------------------------------------------------------------------------------------------------ the footprint


def _impacts(
    records: Sequence[Record], zone: str | None, else_in: str | None = None, windows: Sequence[str] = ()
) -> tuple[Impact, ...] | None:
    """The footprint of each run, or of one window of each; None where one of them has none."""
    found: list[Impact] = []
    for record, window in zip(records, windows or [RUN] * len(records), strict=True):
        there = zone if zone is not None else else_in if zone_of(record) is None else None
        if there is None and zone_of(record) is None:
            return None
        try:
            found.append(footprint(record, measurement=window, choices=Choices(zone=there)))
        except EnergyRatingError:
            if there is not None:
                raise
            return None
    return tuple(found)


def _carbon(impacts: Sequence[Impact] | None) -> Estimate | None:
    """Grams of all runs: the doubt of one place's factor is the same in each of its runs."""
    if impacts is None:
        return None
    energy = _sum(impact.carbon_energy_g for impact in impacts)
    factors: dict[str, float] = {}
    for impact in impacts:
        factors[impact.zone] = factors.get(impact.zone, 0.0) + impact.carbon_factor_g.systematic
    return Estimate(
        value=energy.value,
        random=energy.random,
        systematic=math.hypot(energy.systematic, *(factors[zone] for zone in sorted(factors))),
    )


def _water(impacts: Sequence[Impact] | None) -> Estimate | None:
    """Litres where the electricity is made: what is doubtful in a place's factor is so in each of its runs."""
    told = [impact.water_off_site_l for impact in impacts] if impacts is not None else [None]
    whole = [one for one in told if one is not None]
    return total(whole, same_sensor=True) if len(whole) == len(told) else None


def _embodied(impacts: Sequence[Impact] | None) -> Estimate | None:
    parts = [impact.embodied_g for impact in impacts or ()]
    if not parts or None in parts:
        return None
    whole = [part for part in parts if part is not None]
    # Whatever is wrong with what is published of a device is wrong in all of its runs.
    return Estimate(
        value=math.fsum(sorted(part.value for part in whole)),
        systematic=math.fsum(sorted(part.systematic for part in whole)),
    )


def _notes(
    records: Sequence[Record],
    before: Sequence[Record],
    inference: Sequence[Record],
    base: str | None,
    impacts: Sequence[Impact] | None,
) -> Iterable[str]:
    roles = {_role(record) for record in before}
    if before and not roles & {"failed", "ablation", "search", "evaluation"}:
        yield (
            "final run only: no failed run, search or ablation is among them, which are mostly the larger part "
            "(of Olmo 3, 82 % of the compute; arXiv 2605.01158)"
        )
    if "not told" in roles:
        yield "some runs do not say what they were for: say it when they are measured (--role final, search, failed …)"
    if base is not None:
        yield f"incremental: what making {base} took is not in it, and stands in its own records"
    if not before:
        yield "no training is among them: what went before use is not known here"
    if not inference:
        yield "no inference is among them: what a request takes is not known here"
    if any(record.origin == "imported" for record in records):
        yield "some runs were taken over from other tools' files, and not measured"
    for record in records:
        if record[RUN].validity == "invalid":
            yield f"the run {record.run_id} is invalid: its energy is a part of what it really took, or none"
    protocols = {record.task.protocol for record in inference if record.task is not None}
    if len(protocols) > 1:
        yield "the inference is of several protocols, whose requests differ: see each apart"
    yield from _of_carbon(impacts or ())
    if impacts is None:
        yield "no carbon: not every run says where it ran (or name one place for all: --zone FRA)"


def _of_carbon(impacts: Sequence[Impact]) -> Iterable[str]:
    """What makes the carbon of one run other than that of the next, so that nobody takes the sum for one thing."""
    if len({impact.components for impact in impacts}) > 1:
        yield "the carbon is of whatever each run measured, and not all measured the same"
    tables = {impact.vintage: impact.factor.basis for impact in impacts if impact.vintage is not None}
    if len(tables) > 1:
        told = ", ".join(f"{name} ({tables[name]})" for name in sorted(tables))
        yield f"the carbon rests on factors of several tables, which count differently: {told}"


# ---------------------------------------------------------------------------------------------- what a choice costs


def break_even(one: Life, other: Life) -> BreakEven:
    """After how many requests the one that cost more before use has made up for it by needing less for each.

    Raises:
        BadInput: one of them has no inference, or they are told by different units or components.
    """
    for its in (one, other):
        if its.use is None:
            raise BadInput(
                f"no inference of {its.model} is there, so nothing can be paid back",
                "Name a record of its use",
            )
    assert one.use is not None
    assert other.use is not None
    if (one.use.unit, one.component) != (other.use.unit, other.component):
        raise BadInput(
            "both must be told by one unit of work and one component", "Name them: --unit, --component"
        )
    costlier, cheaper = (one, other) if one.before_j.value >= other.before_j.value else (other, one)
    assert costlier.use is not None
    assert cheaper.use is not None
    price = _difference(costlier, cheaper, 0)
    saving = _difference(cheaper, costlier, 1)
    unit = one.use.unit
    never = saving.interval()[0] <= 0
    if never and saving.value <= 0:
        why = f"{costlier.model} needs no less for a {unit} than {cheaper.model}"
    elif never:
        why = f"the saving of {costlier.model} for a {unit} may be none: its 95 % interval reaches 0"
    elif price.interval()[0] <= 0:
        why = "what both cost before use may be the same: it may pay from the first one on"
    else:
        why = ""
    number, least, most = (0.0, 0.0, 0.0) if never else _ratio(costlier, cheaper)
    return BreakEven(
        costlier=costlier.model,
        cheaper=cheaper.model,
        unit=unit,
        saving_j=saving,
        price_j=price,
        requests=None if never else number,
        interval_95=None if never else (max(least, 0.0), most),
        never=never,
        why=why,
    )


def _difference(one: Life, other: Life, which: int) -> Estimate:
    """The difference of energy before use (0) or of one request (1): a gain that devices of one name share acts on it alone."""
    value = random = shared = 0.0
    for name in sorted({*one.gains, *other.gains}):
        nothing = (Estimate(value=0.0), Estimate(value=0.0))
        a, b = one.gains.get(name, nothing)[which], other.gains.get(name, nothing)[which]
        value += a.value - b.value
        random = math.hypot(random, a.random, b.random)
        shared = math.hypot(shared, a.systematic - b.systematic)
    return Estimate(value=value, random=random, systematic=abs(shared))


def _ratio(costlier: Life, cheaper: Life) -> tuple[float, float, float]:
    """Price over saving, and the ends of its 95 % interval: of noise alone where one kind of sensor saw everything (Fieller).

    A gain that all four energies share is in price and saving alike, and cancels; what they do not share is as independent as noise.
    """
    price, saving = _difference(costlier, cheaper, 0), _difference(cheaper, costlier, 1)
    sigmas = []
    names = {*costlier.gains, *cheaper.gains}
    for estimate in (price, saving):
        sigmas.append(estimate.random if len(names) == 1 else estimate.sigma)
    z = 1.959963984540054  # the 97.5 % point of the normal law
    value = price.value / saving.value
    g = (z * sigmas[1] / saving.value) ** 2
    if g >= 1:
        return value, 0.0, math.inf
    inner = sigmas[0] ** 2 * (1 - g) + value**2 * sigmas[1] ** 2
    half = z / saving.value * math.sqrt(max(inner, 0.0))
    return value, (value - half) / (1 - g), (value + half) / (1 - g)


def planned(
    found: Life,
    *,
    requests: float,
    tokens: float | None = None,
    months: float | None = None,
    there: Life | None = None,
    zone: str | None = None,
) -> Service:
    """What a service takes: so many requests (a month, for so many months), each with so many tokens in its answer.

    ``there`` is the same life as if all of it had run in ``zone``, where the service is planned: its use has that place's carbon and water,
    and what went before has that of the place where it ran. None: the service runs where its figure was measured.

    Raises:
        BadInput: the model's use was not measured, or with requests of another length than these.
    """
    use = found.use
    if use is None:
        raise BadInput(
            f"no inference of {found.model} is among the records", "Measure its use: energy-rating benchmark"
        )
    for name, amount in (("--requests", requests), ("--tokens", tokens), ("--months", months)):
        if amount is not None and not 0 < amount < math.inf:
            raise BadInput(f"must be above 0; got {amount:g}", place=name)
    number = requests * (months if months is not None else 1.0)
    factor, basis = 1.0, "per request"
    if tokens is not None:
        if use.tokens is None:
            raise BadInput(
                f"how many tokens a {use.unit} had was not counted where {found.model} was measured",
                "Measure it with requests of your length, counted: token=…",
                place="--tokens",
            )
        stretch = tokens / use.tokens
        if not 1 / LONGEST_STRETCH <= stretch <= LONGEST_STRETCH:
            raise BadInput(
                f"a {use.unit} had {use.tokens:.3g} tokens where {found.model} was measured, and yours have {tokens:g}: "
                "such a figure says nothing of the other",
                "Measure with requests of that length, under load: energy-rating benchmark --protocol … --max-new-tokens",
                place="--tokens",
            )
        if not 1 / ALIKE_LENGTH <= stretch <= ALIKE_LENGTH:
            factor, basis = stretch, "per token"
    per_unit = use.energy_j.times(factor)
    used = per_unit.times(number)
    at = there.use if there is not None and there.use is not None else use
    use_carbon = at.carbon_g.times(factor * number) if at.carbon_g is not None else None
    water = at.water_off_site_l.times(factor * number) if at.water_off_site_l is not None else None
    carbon = None
    if use_carbon is not None and found.before_carbon_g is not None:
        carbon = use_carbon.plus(found.before_carbon_g, same_sensor=True)
    return Service(
        model=found.model,
        requests=number,
        tokens=tokens,
        months=months,
        use_j=used,
        before_j=found.before_j,
        whole_j=used.plus(found.before_j, same_sensor=True),
        carbon_g=carbon,
        basis="per token" if basis == "per token" else "per request",
        zone=zone if there is not None else None,
        elsewhere=there is not None and found.zones != there.zones,
        use_carbon_g=use_carbon,
        before_carbon_g=found.before_carbon_g,
        use_water_l=water,
    )
