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
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

from energy_rating.judging.eligibility import of_origin, of_unknown_devices
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

Tier = Literal["M", "1", "2", "3", "4"]
TIERS: tuple[Tier, ...] = get_args(Tier)  # worst last
ASSUMED: tuple[Tier, ...] = ("3", "4")  # no model was measured on both devices

INTERVAL = 0.90
Z_90 = NormalDist().inv_cdf(0.5 + INTERVAL / 2)  # 1.645

# The tiers' 90 % intervals, ×/÷, from the errors on models that were left out of the fit (docs/normalisation.md). Those of tier 1
# stand in the profiles, with their factors.
CALIBRATED, CALIBRATED_SERVING = 1.3, 1.5
ALIKE, ALIKE_SERVING = 1.25, 1.5
BY_BANDWIDTH = 1.5

# What the pairs of the public data were used at. Below, the host holds the GPU up, and a factor between GPUs says nothing.
LEAST_USE, MOST_USE = 0.15, 0.99

# Requests at once from which on the weights are read for many of them.
SERVING_FROM = 8

# Beyond these a file was made up, or its sensor was broken; and numbers overflow.
LEAST_J, MOST_J, MOST_DOUBT = 1e-100, 1e100, 100.0

# In which architectures the matrix units compute in a format; in the others it is emulated, which costs up to 8 times the energy.
# NVIDIA, Transformer Engine, "Datatype and hardware support matrix", https://nvidia.github.io/TransformerEngine/support_matrix.html,
# and TensorRT-RTX, "Support Matrix", https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/getting-started/support-matrix.html,
# both read 2026-11-22. Formats that are not here (float32, float16, integers, weights that are only stored in few bits) run as
# themselves on all of these.
_BLACKWELL = ("Blackwell", "Blackwell Ultra")
NATIVE_IN: Mapping[str, tuple[str, ...]] = {
    "bf16": ("Ampere", "Ada Lovelace", "Hopper", *_BLACKWELL),
    "fp8": ("Ada Lovelace", "Hopper", *_BLACKWELL),
    "fp4": _BLACKWELL,
}
_SPELLINGS = (
    ("fp8", r"fp8|float8|e4m3|e5m2"),
    ("fp4", r"fp4|float4|e2m1"),
    ("bf16", r"bf16|bfloat16"),
)
ARCHITECTURES = ("Volta", "Turing", *NATIVE_IN["bf16"])
AMPERE_OR_LATER = NATIVE_IN["bf16"]

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
class Step:
    """One step from a device to another: its factor, ×/÷ its interval, what it rests on, and the exponent of the use (0: none)."""

    origin: str
    target: str
    factor: float
    interval: float
    tier: Tier
    why: str
    exponent: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalised:
    """What a record's energy would be on another device, or every reason why that cannot be told.

    ``reference`` is the key of the profile normalised to. ``energy_per_unit_j`` is joules per ``unit`` there, ``interval_90`` its
    90 % interval, ``factor`` that over the measured figure; None where it is refused, and ``reasons`` says why.
    ``measured_per_unit_j`` is the figure as measured, on ``device``; ``use`` the mean power over the power limit. ``steps`` is the
    way there; ``versions`` are the profiles on it, each with a hash of what it says.
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
) -> Normalised:
    """What a record's GPU energy per unit of work would be on another device, or every reason why that cannot be told.

    Args:
        record: whose GPU energy.
        to: a hardware profile or its key. Default: the reference device of the newest scheme.
        unit: the unit of work. Default: the task's; without a task, the only one that was counted.
        profiles: the devices that are known. Default: those that ship.
        calibration: factors measured with this very device, on models whose energy on the factor's reference is published.

    Raises:
        BadInput: there is no such profile, or one cannot be read.
    """
    known = tuple(all_profiles() if profiles is None else profiles)
    target = to if isinstance(to, Profile) else _target(to, known)
    if others := tuple(of_origin(record)):
        return _concluded(target, _Basis(unit=unit), None, (), others, known)
    found = _measured(record, unit, known)
    reasons = [*_of_stage(record), *found.reasons]
    workload, why_no_class = _workload_class(record, found.unit)
    steps: Sequence[Step] = ()
    # Its own device at its own limit is the identity: nothing more has to be known.
    if found.origin is None or found.origin.key != target.key or _other_limit(found.device, found.origin):
        reasons += why_no_class
        wrong, steps = _way_to(record, target, found, workload, known, calibration)
        reasons += wrong
    return _concluded(target, found, workload, steps, reasons, known)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Basis:
    """What a figure is converted from: joules per unit as measured, on which device, how far that was used; or why it is not known."""

    unit: str | None = None
    measured: Estimate | None = None
    device: Device | None = None
    origin: Profile | None = None
    use: float | None = None
    reasons: tuple[Reason, ...] = ()


def _measured(record: Record, unit: str | None, known: Sequence[Profile]) -> _Basis:
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
    return _Basis(
        unit=unit,
        measured=measured,
        device=device,
        origin=origin,
        use=_use(measurement, devices),
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
) -> tuple[list[Reason], Sequence[Step]]:
    """The steps to another device, and what speaks against taking them."""
    origin, device = found.origin, found.device
    if origin is None or device is None:
        return [], ()
    reasons = [*_of_use(device, found.use), *_of_format(record, (origin, target))]
    if workload is None or found.use is None:
        return reasons, ()
    road = _road(origin, target, workload, device, found.use, known, calibration)
    return ([*reasons, road], ()) if isinstance(road, Reason) else (reasons, road)


def _concluded(
    target: Profile,
    found: _Basis,
    workload: WorkloadClass | None,
    steps: Sequence[Step],
    reasons: Sequence[Reason],
    known: Sequence[Profile],
) -> Normalised:
    """The figure on the other device with what the steps leave open, where nothing speaks against it."""
    versions = {profile.key: version(profile) for profile in _on_the_way(found.origin, target, steps, known)}
    plain: dict[str, Any] = {
        "unit": found.unit,
        "workload_class": workload,
        "reference": target.key,
        "measured_per_unit_j": found.measured,
        "device": found.device.name if found.device is not None else None,
        "use": found.use,
        "versions": versions,
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
    """What ``normalise --json`` prints."""
    return {
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


def hardware_interval(steps: Sequence[Step]) -> float:
    """f of the 90 % interval ×/÷ f of all steps together, without the measurement's doubt; 1 for no step."""
    return math.exp(math.hypot(*(math.log(step.interval) for step in steps)))


def version(profile: Profile) -> str:
    """Eight digits that change with anything that a profile says."""
    text = json.dumps(records.plain(profile), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def emulates(architecture: str, dtype: str | None) -> bool:
    """Whether a device of this architecture has no matrix units for a format and computes it by a detour."""
    return architecture in ARCHITECTURES and any(
        architecture not in NATIVE_IN[name] for name in _formats(dtype)
    )


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


def _target(key: str | None, known: Sequence[Profile]) -> Profile:
    if key is None:
        from energy_rating.judging.schemes import load_scheme  # it may ask this module for normalised figures

        key = load_scheme().reference_device
    return next((profile for profile in known if profile.key == key), None) or load_profile(key)


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


def _use(measurement: Measurement, devices: Sequence[Device]) -> float | None:
    """Mean power over the enforced power limit, of all devices together, while their sensors saw them."""
    limits = [device.power_limit_w for device in devices]
    energy = measurement.energy_j.get("gpu")
    seen_s = measurement.duration_s * measurement.coverage.get("gpu", 1.0)
    if energy is None or seen_s <= 0:
        return None
    total_w = math.fsum(limit for limit in limits if limit is not None)
    if total_w <= 0 or None in limits:
        return None
    return energy.value / seen_s / total_w


def _of_use(device: Device, use: float | None) -> Iterator[Reason]:
    if device.power_limit_w is None:
        yield Reason.of(
            "limit-unknown",
            f"the power limit of {device.name} is not known, and without it not how much the device was used",
        )
    elif use is None:
        yield Reason.of("power-unknown", "the mean power is not known: no time was seen by the GPU's sensors")
    elif use < LEAST_USE:
        yield Reason.of(
            "used-too-little",
            f"the GPU must draw {_percent(LEAST_USE)} to {_percent(MOST_USE)} of its power limit; got {_percent(use)}, at which the "
            "host sets the pace",
        )
    elif use > MOST_USE:
        yield Reason.of(
            "used-too-much",
            f"the GPU must draw {_percent(LEAST_USE)} to {_percent(MOST_USE)} of its power limit; got {_percent(use)}",
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


def _at_limit(profile: Profile, limit_w: float | None = None) -> tuple[Factor, ...]:
    """A profile's factors that hold at a power limit; None: that of the profile.

    What a calibration found holds at the limit that it was run at, all others at the profile's.
    """
    own = profile.figures.power_limit_w
    at_w = limit_w if limit_w is not None else own.value if own is not None else None
    held = []
    for factor in profile.factors:
        measured_w = factor.power_limit_w or (own.value if own is not None else None)
        if at_w is None or measured_w is None or is_same_limit(at_w, measured_w):
            held.append(factor)
    return tuple(held)


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
        for name in _formats(dtype)
    )


def _formats(dtype: str | None) -> list[str]:
    """Those of the formats above that a name names: fp8 of ``float8_e4m3fn``, fp4 of ``mxfp4``."""
    return [name for name, spelling in _SPELLINGS if re.search(spelling, (dtype or "").lower())]


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


# --------------------------------------------------------------------------------------------------------- the road


def _road(
    origin: Profile,
    target: Profile,
    workload: WorkloadClass,
    device: Device,
    use: float,
    known: Sequence[Profile],
    calibration: Sequence[Factor],
) -> list[Step] | Reason:
    """The steps from a device to another, or why there are none."""
    if _other_limit(device, origin):
        # Of the profile's factors only those hold that a calibration found at this very limit.
        if origin.key == target.key:
            return [
                _step(origin, target, 1.0, _alike(workload), "3", "the same device at another power limit")
            ]
        calibration = ()
    up = _way(origin, workload, known, (*_at_limit(origin, device.power_limit_w), *calibration))
    down = _way(target, workload, known, _at_limit(target))
    keys_up, keys_down = [item.key for item in up.profiles], [item.key for item in down.profiles]
    steps: list[Step] = []
    meets = next((key for key in keys_up if key in keys_down), None)
    last = keys_up.index(meets) if meets is not None else len(keys_up) - 1
    for place in range(last):
        steps.append(_forth(up, place, use if not steps else None))
    if meets is None:
        bridge = _bridge(up.profiles[-1], down.profiles[-1], workload, device if last == 0 else None)
        if isinstance(bridge, Reason):
            return bridge
        steps.append(bridge)
    first = keys_down.index(meets) if meets is not None else len(keys_down) - 1
    for place in range(first - 1, -1, -1):
        steps.append(_back(down, place, use if not steps else None))
    return steps


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """From a device along its factor to the factor's reference, and on: each factor leads from its profile to the next."""

    profiles: tuple[Profile, ...]
    factors: tuple[Factor, ...]


def _way(
    start: Profile,
    workload: WorkloadClass,
    known: Sequence[Profile],
    own: Sequence[Factor],
) -> _Way:
    profiles: list[Profile] = [start]
    factors: list[Factor] = []
    while True:
        fitting = [factor for factor in own if factor.workload_class == workload]
        factor = min(fitting, key=lambda item: TIERS.index(item.tier), default=None)
        following = next(
            (item for item in known if factor is not None and item.key == factor.reference), None
        )
        if factor is None or following is None or following in profiles:
            return _Way(profiles=tuple(profiles), factors=tuple(factors))
        profiles.append(following)
        factors.append(factor)
        own = _at_limit(following)


def _forth(way: _Way, place: int, use: float | None) -> Step:
    """Along a factor. The use is known of the measured device only."""
    factor = way.factors[place]
    value, exponent = factor.value, 0.0
    if use is not None and factor.value_at_full_use is not None and factor.use_exponent is not None:
        exponent = factor.use_exponent
        value = factor.value_at_full_use * use**exponent
    return _step(
        way.profiles[place],
        way.profiles[place + 1],
        value,
        _of_tier(factor),
        factor.tier,
        _rests_on(factor),
        exponent,
    )


def _back(way: _Way, place: int, use: float | None) -> Step:
    """Against a factor, with the use of its reference where that is the measured device."""
    factor = way.factors[place]
    value, exponent = factor.value, 0.0
    if use is not None and factor.value_at_full_reference_use is not None and factor.use_exponent is not None:
        exponent = -factor.use_exponent
        value = factor.value_at_full_reference_use * use**factor.use_exponent
    return _step(
        way.profiles[place + 1],
        way.profiles[place],
        1 / value,
        _of_tier(factor),
        factor.tier,
        _rests_on(factor),
        exponent,
    )


def _of_tier(factor: Factor) -> float:
    if factor.tier == "1":
        return factor.interval
    return max(factor.interval, CALIBRATED_SERVING if factor.workload_class == "llm-serving" else CALIBRATED)


def _rests_on(factor: Factor) -> str:
    return f"{factor.models} model{'s' if factor.models > 1 else ''}, {factor.rows} pairs"


def _bridge(
    origin: Profile, target: Profile, workload: WorkloadClass, device: Device | None
) -> Step | Reason:
    """Between two devices of which nothing was measured. ``device``: the measured one, where the origin is it."""
    if origin.example or target.example:
        return Reason.of(
            "example-device", "a device that does not exist has no factor; this record is an example"
        )
    both = (origin, target)
    if all(item.has_hbm and item.architecture in AMPERE_OR_LATER for item in both):
        return _step(origin, target, 1.0, _alike(workload), "3", "no data; both HBM, Ampere or later")
    for item in both:
        # Memory beside the chip: what shares the processor's is a module, and was never in the data.
        if item.architecture not in ARCHITECTURES or not item.memory_kind.startswith(("HBM", "GDDR")):
            return Reason.of(
                "no-data",
                f"there are no data between {origin.name} and {target.name}, and {item.name} ({item.architecture}, "
                f"{item.memory_kind}) is like no device that there are data of",
            )
    rates = []
    for item in both:
        bandwidth, limit = item.figures.bandwidth_gb_s, item.figures.power_limit_w
        limit_w = device.power_limit_w if item is origin and device is not None else limit and limit.value
        if bandwidth is None or not limit_w:
            return Reason.of(
                "profile-incomplete", f"the profile of {item.name} does not know its bandwidth or power limit"
            )
        rates.append(bandwidth.value / limit_w)
    return _step(
        origin, target, rates[0] / rates[1], BY_BANDWIDTH, "4", "no data; by bandwidth per watt, never rated"
    )


def _alike(workload: WorkloadClass) -> float:
    return ALIKE_SERVING if workload == "llm-serving" else ALIKE


def _step(
    origin: Profile,
    target: Profile,
    factor: float,
    interval: float,
    tier: Tier,
    why: str,
    exponent: float = 0.0,
) -> Step:
    return Step(
        origin=origin.key,
        target=target.key,
        factor=factor,
        interval=interval,
        tier=tier,
        why=why,
        exponent=exponent,
    )


def _on_the_way(
    origin: Profile | None, target: Profile, steps: Sequence[Step], known: Sequence[Profile]
) -> tuple[Profile, ...]:
    between = {key for step in steps for key in (step.origin, step.target)}
    found = [origin, *(profile for profile in known if profile.key in between), target]
    return tuple({profile.key: profile for profile in found if profile is not None}.values())
