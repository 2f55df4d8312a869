"""From the energy on one device to the energy on another, with the doubt of that step, or every reason why not. Pure.

    E_to = E_measured × k × u^e

k is a *measured* factor of a device and a class of workloads (``[[factors]]`` of its hardware profile), u the mean measured GPU
power over the enforced power limit, and e the factor's exponent: +γ where the other device has the smaller power limit, −γ where
it has the larger, with γ = 0.5 for language models and 0.25 for diffusion. In words: a small GPU that is left under-used would be
even more under-used on a big one. Data sheets are no help: on the public pairs every rule made from them is further off than
doing nothing (``benchmarks/normalisation.py``, docs/normalisation.md).

A *tier* says what a figure rests on, and carries a 90 % interval of its own, ×/÷ f:

==== ================================================================ ==========================================
M    measured on the device asked for                                 the measurement's own
1    a shipped factor from at least five models, by the use           the factor's: 1.2 to 1.5
2    a calibration on this device with one to four models             1.3; serving language models 1.5
3    no data; both HBM, Ampere or later, native format: k = 1         1.25; serving language models 1.5
4    no data; GDDR or Volta: k = ratio of bandwidth per watt          1.5; never rated
==== ================================================================ ==========================================

Anything else is refused. A device whose factor leads to a third one goes on from there, and one that is no factor's end comes
back from it by the inverse; the logarithms of the intervals add in quadrature, and the worst tier is the tier of the whole.

**Doubt.** ln f / 1.645 is the factor's σ in logarithms. The measurement's relative σ stands beside it, times |1 + e|, since u
comes from the same energy. ``interval_90`` is value ×/÷ exp(1.645 σ). The Estimate is symmetric about the same value, with that σ
times the value; the factor's part is systematic: it is the same for all records of a device and class, and no repeat shrinks it.

**What a rating may do with it** is the scheme's matter: it names the tiers that it rates (``normalised_tiers``; tier 4 is in none), and
what was converted is *normalised* and provisional, whatever its tier. ``Normalised.interval`` gives the interval that decides, at any confidence.
The measured figure stays the headline everywhere; this one stands second and is called *normalised*.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from energy_rating.judging.eligibility import limit_held_nothing, of_origin, of_unknown_devices
from energy_rating.judging.operating_point import spread_over, weight_bits
from energy_rating.judging.profiles import (
    Factor,
    Profile,
    WorkloadClass,
    is_same_limit,
    load_profile,
    nearest,
    profile_for,
)
from energy_rating.judging.profiles import profiles as all_profiles
from energy_rating.judging.roads import (
    ARCHITECTURES,
    TIERS,
    Converted,
    Step,
    Tier,
    emulates,
    find_road,
    formats_in,
    hardware_interval,
    measured_in_format,
)
from energy_rating.judging.vintages import (
    FIRST,
    ConversionVintage,
    MeasuredFactor,
    load_vintage,
    vintage_version,
)
from energy_rating.nouns import records
from energy_rating.nouns.quantities import Estimate, significant
from energy_rating.nouns.reasons import Reason, codes
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
    Device,
    Load,
    Measurement,
    Record,
    worst_method,
)

if TYPE_CHECKING:
    from energy_rating.judging.schemes import Scheme

ASSUMED: tuple[Tier, ...] = ("3", "4")  # no model was measured on both devices

INTERVAL = 0.90
Z_90 = NormalDist().inv_cdf(0.5 + INTERVAL / 2)  # 1.645

# The intervals and bounds of the first vintage (``vintages``); what calibrates a device keeps to them.
CALIBRATED, CALIBRATED_SERVING = 1.3, 1.5
LEAST_USE, MOST_USE = 0.15, 0.99

# Requests at once from which on the weights are read for many of them.
SERVING_FROM = 8

# Beyond these a file was made up, or its sensor was broken; and numbers overflow.
LEAST_J, MOST_J, MOST_DOUBT = 1e-100, 1e100, 100.0

# What a task asks of a device, by its name on the Hub or in the ML.ENERGY benchmark. What generates text is told by its load.
LANGUAGE = (
    *("text-generation", "text2text-generation", "summarization", "translation", "conversational"),
    *("image-to-text", "image-text-to-text", "video-text-to-text", "any-to-any", "visual-question-answering"),
    *("chat", "lm-arena-chat", "gpqa", "code", "sourcegraph-fim", "image-chat", "video-chat", "mllm-chat"),
)
CLASS_OF: Mapping[str, WorkloadClass] = {
    **dict.fromkeys(
        (
            *("text-to-image", "text-to-video", "image-to-image", "image-to-video"),
            "unconditional-image-generation",
        ),
        "diffusion",
    ),
    **dict.fromkeys(
        (
            *("image-classification", "object-detection", "image-segmentation", "depth-estimation"),
            *("zero-shot-image-classification", "zero-shot-object-detection", "video-classification"),
        ),
        "vision",
    ),
    **dict.fromkeys(("automatic-speech-recognition", "audio-classification", "text-to-speech"), "speech"),
    **dict.fromkeys(
        (
            *("feature-extraction", "sentence-similarity", "text-classification", "token-classification"),
            *("question-answering", "fill-mask", "zero-shot-classification", "text-ranking"),
        ),
        "embedding",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalised:
    """What a record's energy would be on another device, or every reason why that cannot be told.

    ``reference`` is the key of the profile normalised to. ``energy_per_unit_j`` is joules per ``unit`` there, ``interval_90`` its
    90 % interval, ``factor`` that over the measured figure; None where it is refused, and ``reasons`` says why.
    ``measured_per_unit_j`` is the figure as measured, on ``device``; ``use`` the mean power over the power limit. ``steps`` is the
    way there; ``versions`` are the profiles on it, each with a hash of what it says, and so is the file of the ``vintage`` whose
    rules and factors these are, but for the first, which has none of its own.
    """

    energy_per_unit_j: Estimate | None
    unit: str | None
    factor: float | None
    interval_90: tuple[float, float] | None
    tier: Tier | None
    workload_class: WorkloadClass | None
    reference: str
    reasons: tuple[str, ...] = ()
    measured_per_unit_j: Estimate | None = None
    device: str | None = None
    use: float | None = None
    steps: tuple[Step, ...] = ()
    versions: Mapping[str, str]
    vintage: str = FIRST
    why_not: tuple[Reason, ...] = ()

    def interval(self, confidence: float) -> tuple[float, float]:
        """Joules per unit between which the truth lies with this confidence: the measurement's own for tier M, else ×/÷.

        Raises:
            ValueError: there is no figure.
        """
        if self.energy_per_unit_j is None:
            raise ValueError("what is refused has no interval")
        return _interval(self.energy_per_unit_j, self.tier, confidence)


def normalise(
    record: Record,
    to: str | Profile | None = None,
    *,
    unit: str | None = None,
    profiles: Sequence[Profile] | None = None,
    calibration: Sequence[Factor] = (),
    vintage: str | ConversionVintage | None = None,
) -> Normalised:
    """What a record's GPU energy per unit of work would be on another device, or every reason why that cannot be told.

    Args:
        record: whose GPU energy.
        to: a hardware profile or its key. Default: the reference device of the newest scheme.
        unit: the unit of work. Default: the task's; without a task, the only one that was counted.
        profiles: the devices that are known. Default: those that ship.
        calibration: factors measured with this very device, on models whose energy on the factor's reference is published.
        vintage: by which rules and factors. Default: those of the newest scheme.

    Raises:
        BadInput: there is no such profile or vintage, or one cannot be read.
    """
    by = (
        vintage
        if isinstance(vintage, ConversionVintage)
        else load_vintage(vintage or _newest().normalisation)
    )
    known = tuple(all_profiles() if profiles is None else profiles)
    target = to if isinstance(to, Profile) else _target(to, known)
    if others := tuple(of_origin(record)):
        return _concluded(target, _Basis(unit=unit), None, (), others, known, by)
    found = _measured(record, unit, known, by)
    reasons = [*_of_stage(record), *found.reasons]
    workload, why_no_class = _workload_class(record, found.unit)
    steps: Sequence[Step] = ()
    # Its own device at its own limit is the identity: nothing more has to be known.
    if found.origin is None or found.origin.key != target.key or found.other_limit:
        reasons += why_no_class
        wrong, steps = _way_to(record, target, found, workload, known, calibration, by)
        reasons += wrong
    return _concluded(target, found, workload, steps, reasons, known, by)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Basis:
    """What a figure is converted from: joules per unit as measured, on which device, how far that was used; or why it is not known.

    ``other_limit``: the device was held at another power limit than its profile's. ``free_limit``: it has another, which held nothing.
    """

    unit: str | None = None
    measured: Estimate | None = None
    device: Device | None = None
    origin: Profile | None = None
    use: float | None = None
    devices: int = 1
    other_limit: bool = False
    free_limit: bool = False
    reasons: tuple[Reason, ...] = ()


def _measured(
    record: Record, unit: str | None, known: Sequence[Profile], vintage: ConversionVintage
) -> _Basis:
    """The energy per unit of the GPU as measured, and the profile of the device that it was measured on."""
    name = MEASURED if MEASURED in record else RUN
    if name not in record:
        said = Reason.of("no-run", f"the record must hold the measurement {MEASURED!r} or {RUN!r}")
        return _Basis(unit=unit, reasons=(said,))
    measurement = record[name]
    reasons = list(_of_energy(record, measurement))
    unit, wrong = _unit(record, measurement, unit)
    reasons += wrong
    energy = measurement.energy_j.get("gpu")
    measured: Estimate | None = None
    if energy is not None and unit is not None:
        measured = energy.times(1 / measurement.work[unit])
        reasons += _of_figure(measured, unit)
    devices, wrong = _devices(record, measurement)
    reasons += wrong
    if not devices:
        return _Basis(unit=unit, measured=measured, reasons=tuple(reasons))
    device = devices[0]
    origin = profile_for(device.name, device.memory_gb, among=known)
    if origin is None:
        reasons.append(_unknown(device, known))
    is_other = origin is not None and _other_limit(device, origin)
    is_free = is_other and vintage.rules.limit_must_bind and limit_held_nothing(record, measurement)
    sheet = origin.figures.power_limit_w if origin is not None else None
    return _Basis(
        unit=unit,
        measured=measured,
        device=device,
        origin=origin,
        # The factors were measured at the limit of the profile.
        use=_use(measurement, devices, sheet.value if is_free and sheet is not None else None),
        devices=len(devices),
        other_limit=is_other and not is_free,
        free_limit=is_free,
        reasons=tuple(reasons),
    )


def _of_stage(record: Record) -> Iterator[Reason]:
    if record.stage in TRAINING:
        yield Reason.of(
            "training-not-converted",
            f"{record.stage} is not converted: the factors between devices were measured on inference",
        )


def _way_to(
    record: Record,
    target: Profile,
    found: _Basis,
    workload: WorkloadClass | None,
    known: Sequence[Profile],
    calibration: Sequence[Factor],
    vintage: ConversionVintage,
) -> tuple[list[Reason], Sequence[Step]]:
    """The steps to another device, and what speaks against taking them."""
    origin, device = found.origin, found.device
    if origin is None or device is None:
        return [], ()
    in_format = _in_format(record, origin, target, found, workload, vintage)
    reasons = [*_of_use(device, found.use, vintage)]
    if in_format is None:
        reasons += _of_format(record, (origin, target))
    spread = spread_over(record, found.devices)
    reasons += _of_memory(record, (origin, target), workload, spread, vintage)
    if workload is None or found.use is None:
        return reasons, ()
    asked = Converted(
        name=workload,
        use=found.use,
        device=device,
        limit_w=None if found.free_limit else device.power_limit_w,
        spread_over=spread,
        is_video=found.unit == "video",
        in_format=in_format,
        other_limit=found.other_limit,
    )
    road = find_road(origin, target, asked, vintage, known, calibration)
    return ([*reasons, road], ()) if isinstance(road, Reason) else (reasons, road)


def _in_format(
    record: Record,
    origin: Profile,
    target: Profile,
    found: _Basis,
    workload: WorkloadClass | None,
    vintage: ConversionVintage,
) -> tuple[MeasuredFactor, bool] | None:
    """The factor of the record's number format, where one of the devices has no units for that."""
    dtype = record.model.dtype if record.model is not None else None
    if workload is None or found.other_limit:
        return None
    for name in formats_in(dtype):
        if any(_is_emulated(item, dtype) for item in (origin, target)):
            return measured_in_format(origin, target, workload, name, vintage)
    return None


def _of_memory(
    record: Record,
    profiles: Sequence[Profile],
    workload: WorkloadClass | None,
    spread: int,
    vintage: ConversionVintage,
) -> Iterator[Reason]:
    """Where the weights fill one of the devices and not the other, fewer requests run at once on it than were asked for."""
    model, most = record.model, vintage.rules.most_filled
    bits = weight_bits(model.dtype) if model is not None else None
    if most is None or workload != "llm-serving" or model is None or not model.parameters or bits is None:
        return
    weights_gb = model.parameters * bits / 8 / 1e9
    memories = [item.figures.memory_gb for item in profiles]
    filled = [weights_gb / (memory.value * spread) for memory in memories if memory is not None]
    if len(filled) == len(memories) and min(filled) <= most < max(filled):
        full = profiles[filled.index(max(filled))]
        yield Reason.of(
            "memory-filled",
            f"the weights take {_percent(max(filled))} of the memory of {full.name} (× {spread}) and {_percent(min(filled))} of the "
            f"other's; above {_percent(most)} fewer requests run at once than are asked for",
        )


def _concluded(
    target: Profile,
    found: _Basis,
    workload: WorkloadClass | None,
    steps: Sequence[Step],
    reasons: Sequence[Reason],
    known: Sequence[Profile],
    vintage: ConversionVintage,
) -> Normalised:
    """The figure on the other device with what the steps leave open, where nothing speaks against it."""
    versions = {profile.key: version(profile) for profile in _on_the_way(found.origin, target, steps, known)}
    if vintage.factors_of == "vintage":
        versions[f"vintage {vintage.name}"] = vintage_version(vintage.name)
    plain: dict[str, Any] = {
        "unit": found.unit,
        "workload_class": workload,
        "reference": target.key,
        "measured_per_unit_j": found.measured,
        "device": found.device.name if found.device is not None else None,
        "use": found.use,
        "versions": versions,
        "vintage": vintage.name,
    }
    if reasons or found.measured is None:
        why_not = tuple(dict.fromkeys(reasons))
        return Normalised(
            energy_per_unit_j=None,
            factor=None,
            interval_90=None,
            tier=None,
            reasons=tuple(str(reason) for reason in why_not),
            why_not=why_not,
            **plain,
        )
    factor = math.prod(step.factor for step in steps)
    tier = max((step.tier for step in steps), key=TIERS.index, default=TIERS[0])
    energy = _scaled(found.measured, factor, steps)
    return Normalised(
        energy_per_unit_j=energy,
        factor=factor,
        interval_90=_interval(energy, tier, INTERVAL),
        tier=tier,
        steps=tuple(steps),
        **plain,
    )


def normalised_to_json(value: Normalised) -> dict[str, Any]:
    """What ``normalise --json`` prints. The first vintage is not named: what was printed under it stays what it was."""
    entry = {
        "energy_per_unit_j": records.plain(value.energy_per_unit_j),
        "unit": value.unit,
        "factor": value.factor,
        "interval_90": None if value.interval_90 is None else list(value.interval_90),
        "tier": value.tier,
        "workload_class": value.workload_class,
        "reference": value.reference,
        "reasons": list(value.reasons),
        "reason_codes": list(codes(value.why_not)),
    }
    return entry if value.vintage == FIRST else entry | {"vintage": value.vintage}


def version(profile: Profile) -> str:
    """Eight digits that change with anything that a profile says."""
    text = json.dumps(records.plain(profile), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


# ------------------------------------------------------------------------------------------------------------ doubt


def _scaled(measured: Estimate, factor: float, steps: Sequence[Step]) -> Estimate:
    """The figure times the factor. Both doubts of the measurement act once as energy and once in the use."""
    if not steps:
        return measured
    value = measured.value * factor
    acts = abs(1 + math.fsum(step.exponent for step in steps)) * factor
    sigma = math.log(hardware_interval(steps)) / Z_90
    return Estimate(
        value=value,
        random=measured.random * acts,
        systematic=math.hypot(measured.systematic * acts, sigma * value),
    )


def _interval(energy: Estimate, tier: Tier | None, confidence: float) -> tuple[float, float]:
    if tier == "M":
        return energy.interval(confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    times = math.exp(
        min(z * energy.sigma / energy.value, 600.0)
    )  # a larger doubt says nothing, and overflows
    return energy.value / times, energy.value * times


# ------------------------------------------------------------------------------------------------- what was measured


def _newest() -> Scheme:
    from energy_rating.judging.schemes import load_scheme  # it may ask this module for normalised figures

    return load_scheme()


def _target(key: str | None, known: Sequence[Profile]) -> Profile:
    wanted = _newest().reference_device if key is None else key
    return next((profile for profile in known if profile.key == wanted), None) or load_profile(wanted)


def _of_energy(record: Record, measurement: Measurement) -> Iterator[Reason]:
    energy = measurement.energy_j.get("gpu")
    if energy is None:
        there = ", ".join(measurement.energy_j) or "nothing"
        whole = any(name in measurement.energy_j for name in ("wall", "host", "module"))
        yield Reason.of(
            "gpu-alone",
            f"the GPU alone must be measured; measured was: {there}"
            + (
                "; a factor between GPUs does not hold for what else draws from the same supply"
                if whole
                else ""
            ),
        )
        return
    channels = record.channels_of(measurement, "gpu")
    if worst_method(channel.method for channel in channels) == "model":
        yield Reason.of(
            "estimated",
            "the energy of the GPU is only an estimate: a model's, not a measurement's",
            "Measure with a sensor of the GPU",
        )
    if energy.value <= 0:
        yield Reason.of(
            "no-energy", f"the energy of the GPU must be above 0 J; its sensor told {energy.value:g} J"
        )


def _of_figure(measured: Estimate, unit: str) -> Iterator[Reason]:
    if not (LEAST_J < measured.value < MOST_J and measured.sigma <= MOST_DOUBT * measured.value):
        yield Reason.of(
            "no-figure",
            f"{measured.value:.3g} J per {unit} with an uncertainty of {measured.sigma:.3g} J (1 σ) say nothing",
        )


def _unit(record: Record, measurement: Measurement, asked: str | None) -> tuple[str | None, list[Reason]]:
    counted = [name for name, amount in measurement.work.items() if amount]
    there = ", ".join(counted) or "nothing"
    unit = asked or (record.task.unit if record.task is not None else None)
    if unit is not None:
        if unit in counted:
            return unit, []
        said = f"the unit of work must be one that was counted in {measurement.name!r}: {there}; got {unit!r}"
        return None, [Reason.of("nothing-counted", said, "Name one with --unit" if counted else None)]
    if len(counted) == 1:
        return counted[0], []
    said = f"the unit of work is not known: the task names none, and these were counted: {there}"
    return None, [
        Reason.of("unit-unknown", said, None if counted else "Count the work, as with --count token=N")
    ]


def _devices(record: Record, measurement: Measurement) -> tuple[list[Device], list[Reason]]:
    """The devices that the energy is of, each once, and what is wrong with them."""
    names = dict.fromkeys(channel.device for channel in record.channels_of(measurement, "gpu"))
    described = [device for device in record.environment.devices if device.id in names]
    missing = [name for name in names if name not in {device.id for device in described}]
    reasons = list(of_unknown_devices(missing, len(names)))
    kinds = dict.fromkeys(device.name for device in described)
    if len(kinds) > 1:
        reasons.append(
            Reason.of(
                "mixed-devices", f"it was measured on devices of more than one kind: {', '.join(kinds)}"
            )
        )
    if any(device.mig for device in described):
        reasons.append(Reason.of("device-divided", "the GPU was divided (MIG), and a part has no factor"))
    by_id = {device.id: device for device in described}
    if any(device.power_limit_w != by_id[device.id].power_limit_w for device in described):
        reasons.append(Reason.of("limit-changed", "the power limit changed between the sessions of this run"))
    if len({(device.memory_gb, device.power_limit_w) for device in by_id.values()}) > 1 and not reasons:
        reasons.append(Reason.of("devices-differ", "the devices differ in memory or power limit"))
    return list(by_id.values()), reasons


def _use(measurement: Measurement, devices: Sequence[Device], limit_w: float | None) -> float | None:
    """Mean power over the enforced power limit, or over this one, of all devices together, while their sensors saw them."""
    limits = [device.power_limit_w if limit_w is None else limit_w for device in devices]
    energy = measurement.energy_j.get("gpu")
    seen_s = measurement.duration_s * measurement.coverage.get("gpu", 1.0)
    if energy is None or seen_s <= 0:
        return None
    total_w = math.fsum(limit for limit in limits if limit is not None)
    if total_w <= 0 or None in limits:
        return None
    return energy.value / seen_s / total_w


def _of_use(device: Device, use: float | None, vintage: ConversionVintage) -> Iterator[Reason]:
    least, most = vintage.rules.least_use, vintage.rules.most_use
    if device.power_limit_w is None:
        yield Reason.of(
            "limit-unknown",
            f"the power limit of {device.name} is not known, and without it not how much the device was used",
        )
    elif use is None:
        yield Reason.of("power-unknown", "the mean power is not known: no time was seen by the GPU's sensors")
    elif use < least:
        yield Reason.of(
            "used-too-little",
            f"the GPU must draw {_percent(least)} to {_percent(most)} of its power limit; got {_percent(use)}, at which the "
            "host sets the pace",
        )
    elif use > most:
        yield Reason.of(
            "used-too-much",
            f"the GPU must draw {_percent(least)} to {_percent(most)} of its power limit; got {_percent(use)}",
        )


def _percent(share: float) -> str:
    return f"{significant(100 * share, 3)} %"


def _unknown(device: Device, known: Sequence[Profile]) -> Reason:
    alike = [profile.key for profile in known if device.name in profile.driver.names]
    if alike and device.memory_gb is None:
        return Reason.of(
            "memory-unknown",
            f"{device.name} may be any of {', '.join(alike)}, and the record does not say its memory",
        )
    if alike and device.memory_gb is not None:
        return Reason.of(
            "variant",
            f"{device.name} with {significant(device.memory_gb, 3)} GB is not the device of its profile, but a part or a "
            "variant of it",
        )
    near = nearest(device.name, among=known)
    return Reason.of(
        "no-profile",
        f"no hardware profile names {device.name!r}"
        + (f" (the nearest are {', '.join(near)})" if near else ""),
    )


def _other_limit(device: Device | None, profile: Profile) -> bool:
    """Whether the enforced power limit is another than the one that the profile's factors were measured at."""
    limit = profile.figures.power_limit_w
    if device is None or device.power_limit_w is None or limit is None:
        return False
    return not is_same_limit(device.power_limit_w, limit.value)


def _of_format(record: Record, profiles: Sequence[Profile]) -> Iterator[Reason]:
    dtype = record.model.dtype if record.model is not None else None
    for profile in profiles:
        if dtype is None and profile.architecture in ARCHITECTURES[:2]:
            yield Reason.of(
                "format-unknown",
                f"the record does not say the format of the weights, and {profile.name} emulates bfloat16",
            )
        elif _is_emulated(profile, dtype):
            yield Reason.of(
                "format-emulated",
                f"{profile.name} has no matrix units for {dtype} and emulates it; a factor from native formats does not hold",
            )


def _is_emulated(profile: Profile, dtype: str | None) -> bool:
    """By the formats that the profile names as native; what it does not tell, by its architecture."""
    return any(
        emulates(profile.architecture, name) if (native := profile.is_native(name)) is None else not native
        for name in formats_in(dtype)
    )


def _workload_class(record: Record, unit: str | None) -> tuple[WorkloadClass | None, list[Reason]]:
    """The class of workloads, or why it cannot be told."""
    task = record.task.name if record.task is not None else None
    if task is not None and task in CLASS_OF:
        return CLASS_OF[task], []
    if task not in LANGUAGE and unit == "video":
        return "diffusion", []
    if task not in LANGUAGE and unit != "token":
        said = (
            "the record names no task"
            if task is None
            else f"the task {task!r} belongs to no class of workloads"
        )
        return None, [Reason.of("task-unknown", f"{said}, so that no factor can be chosen")]
    load = record.load or Load()
    at_once = load.at_once
    if at_once is None:
        return None, [
            Reason.of(
                "in-flight-unknown",
                "the record does not say how many requests ran at once (batch × concurrency), on which the factor of a language "
                "model depends",
            )
        ]
    return ("llm-serving" if at_once >= SERVING_FROM else "llm-small-batch"), []


def _on_the_way(
    origin: Profile | None, target: Profile, steps: Sequence[Step], known: Sequence[Profile]
) -> tuple[Profile, ...]:
    between = {key for step in steps for key in (step.origin, step.target)}
    found = [origin, *(profile for profile in known if profile.key in between), target]
    return tuple({profile.key: profile for profile in found if profile is not None}.values())
