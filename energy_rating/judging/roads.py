"""The way from one device to another: step by step along factors that were measured, or by a rule where none was. Pure.

Each factor leads from its device to a reference. A way follows them from both ends until they meet; what is missing between their
ends is bridged by a rule of tier 3 or 4, or there is no way. By which factors and rules is the vintage's matter (``vintages``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from energy_rating.judging.profiles import Factor, Profile, WorkloadClass, is_same_limit
from energy_rating.judging.vintages import ConversionVintage, MeasuredFactor, UseForm
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import Device

Tier = Literal["M", "1", "2", "3", "4"]
TIERS: tuple[Tier, ...] = get_args(Tier)  # worst last

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

# Blackwell Ultra is Blackwell with more memory: one generation, as far as energy is concerned (GB200 → GB300, docs/normalisation.md).
_GENERATION_OF = {"Blackwell Ultra": "Blackwell"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step from a device to another: its factor, ×/÷ its interval, what it rests on, and the exponent of the use (0: none).

    ``by``: the formula of the factor, of one that is a curve over the use or depends on more than that.
    """

    origin: str
    target: str
    factor: float
    interval: float
    tier: Tier
    why: str
    exponent: float = 0.0
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """What of a record decides a factor.

    ``use``: mean power over the power limit that the factors were measured at. ``limit_w``: the power limit that factors must hold
    at; None: that of the profile. ``spread_over``: the devices that one copy of the model is spread over. ``in_format``: the factor that
    was measured in its number format, where one of the two devices has no units for that. ``other_limit``: the device was held at another limit than its profile's.
    """

    name: WorkloadClass
    use: float
    device: Device
    limit_w: float | None = None
    spread_over: int = 1
    is_video: bool = False
    in_format: tuple[MeasuredFactor, bool] | None = None
    other_limit: bool = False


def find_road(
    origin: Profile,
    target: Profile,
    workload: Converted,
    vintage: ConversionVintage,
    known: Sequence[Profile],
    calibration: Sequence[Factor],
) -> list[Step] | Reason:
    """The steps from a device to another, or why there are none."""
    if workload.in_format is not None:
        factor, is_back = workload.in_format
        ends = (target, origin) if is_back else (origin, target)
        return [_along(*ends, factor, workload, vintage, is_measured=True, is_back=is_back)]
    if workload.other_limit:
        # Of the profile's factors only those hold that a calibration found at this very limit.
        if origin.key == target.key:
            return [
                _step(
                    origin,
                    target,
                    1.0,
                    _alike(workload.name, vintage),
                    "3",
                    "the same device at another power limit",
                )
            ]
        calibration = ()
    own = _held(origin, vintage, workload.limit_w, is_other=workload.other_limit)
    up = _way(origin, workload.name, known, (*own, *calibration), vintage)
    down = _way(target, workload.name, known, _held(target, vintage), vintage)
    keys_up, keys_down = [item.key for item in up.profiles], [item.key for item in down.profiles]
    steps: list[Step] = []
    meets = next((key for key in keys_up if key in keys_down), None)
    last = keys_up.index(meets) if meets is not None else len(keys_up) - 1
    for place in range(last):
        steps.append(_forth(up, place, workload, vintage, is_measured=not steps))
    if meets is None:
        bridge = _bridge(up.profiles[-1], down.profiles[-1], workload, vintage, is_measured=last == 0)
        if isinstance(bridge, Reason):
            return bridge
        steps.append(bridge)
    first = keys_down.index(meets) if meets is not None else len(keys_down) - 1
    for place in range(first - 1, -1, -1):
        steps.append(_back(down, place, workload, vintage, is_measured=not steps))
    return steps


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """From a device along its factor to the factor's reference, and on: each factor leads from its profile to the next."""

    profiles: tuple[Profile, ...]
    factors: tuple[Factor | MeasuredFactor, ...]


def _way(
    start: Profile,
    workload: WorkloadClass,
    known: Sequence[Profile],
    own: Sequence[Factor | MeasuredFactor],
    vintage: ConversionVintage,
) -> _Way:
    profiles: list[Profile] = [start]
    factors: list[Factor | MeasuredFactor] = []
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
        own = _held(following, vintage)


def _held(
    profile: Profile, vintage: ConversionVintage, limit_w: float | None = None, *, is_other: bool = False
) -> tuple[Factor | MeasuredFactor, ...]:
    """The factors of a device that hold at a power limit; None: that of its profile.

    What a calibration found holds at the limit that it was run at, all others at the profile's. From the second vintage on a profile
    adds what was calibrated, and whatever its vintage does not name.
    """
    own = profile.figures.power_limit_w
    at_w = limit_w if limit_w is not None else own.value if own is not None else None
    shipped = () if is_other else vintage.of(profile.key)
    named = {one.workload_class for one in vintage.factors if one.device == profile.key}
    held: list[Factor | MeasuredFactor] = list(shipped)
    for factor in profile.factors:
        if factor.tier == "1" and factor.workload_class in named:
            continue
        measured_w = factor.power_limit_w or (own.value if own is not None else None)
        if at_w is None or measured_w is None or is_same_limit(at_w, measured_w):
            held.append(factor)
    return tuple(held)


def measured_in_format(
    origin: Profile, target: Profile, workload: WorkloadClass, name: str, vintage: ConversionVintage
) -> tuple[MeasuredFactor, bool] | None:
    """The factor between two devices that was measured in a format which one of them has no units for; and whether it is taken back."""
    for device, reference, is_back in ((origin, target, False), (target, origin, True)):
        factor = vintage.in_format(device.key, workload, name)
        if factor is not None and factor.reference == reference.key:
            return factor, is_back
    return None


def _forth(
    way: _Way, place: int, workload: Converted, vintage: ConversionVintage, *, is_measured: bool
) -> Step:
    """Along a factor. The use is known of the measured device only."""
    factor = way.factors[place]
    origin, target = way.profiles[place], way.profiles[place + 1]
    if isinstance(factor, MeasuredFactor):
        return _along(origin, target, factor, workload, vintage, is_measured=is_measured, is_back=False)
    value, exponent = factor.value, 0.0
    if is_measured and factor.value_at_full_use is not None and factor.use_exponent is not None:
        exponent = factor.use_exponent
        value = factor.value_at_full_use * workload.use**exponent
    return _step(origin, target, value, _of_tier(factor, vintage), factor.tier, _rests_on(factor), exponent)


def _back(
    way: _Way, place: int, workload: Converted, vintage: ConversionVintage, *, is_measured: bool
) -> Step:
    """Against a factor, with the use of its reference where that is the measured device."""
    factor = way.factors[place]
    origin, target = way.profiles[place + 1], way.profiles[place]
    if isinstance(factor, MeasuredFactor):
        return _along(target, origin, factor, workload, vintage, is_measured=is_measured, is_back=True)
    value, exponent = factor.value, 0.0
    if is_measured and factor.value_at_full_reference_use is not None and factor.use_exponent is not None:
        exponent = -factor.use_exponent
        value = factor.value_at_full_reference_use * workload.use**factor.use_exponent
    return _step(
        origin, target, 1 / value, _of_tier(factor, vintage), factor.tier, _rests_on(factor), exponent
    )


def _along(
    device: Profile,
    reference: Profile,
    factor: MeasuredFactor,
    workload: Converted,
    vintage: ConversionVintage,
    *,
    is_measured: bool,
    is_back: bool,
) -> Step:
    """A step by a factor of the vintage, from its device to its reference or back."""
    form = factor.back if is_back else factor.there
    value, exponent, interval, by = _at(form, workload, is_measured=is_measured, is_back=is_back)
    if factor.tier == "2":
        interval = max(interval, _prescribed(workload.name, vintage))
    ends = (reference, device) if is_back else (device, reference)
    return _step(*ends, value, interval, factor.tier, _rests_on(factor), exponent, by)


def _at(
    form: UseForm, workload: Converted, *, is_measured: bool, is_back: bool
) -> tuple[float, float, float, str]:
    """The factor of a step, the exponent of the use, the interval, and the formula."""
    use = workload.use if is_measured else None
    value, exponent = form.at(use, workload.spread_over, is_video=workload.is_video)
    by = form.told(use, workload.spread_over, is_video=workload.is_video)
    if is_back:
        return 1 / value, -exponent, form.interval, f"1 / ({by})"
    return value, exponent, form.interval, by


def _of_tier(factor: Factor, vintage: ConversionVintage) -> float:
    if factor.tier == "1":
        return factor.interval
    return max(factor.interval, _prescribed(factor.workload_class, vintage))


def _prescribed(workload: WorkloadClass, vintage: ConversionVintage) -> float:
    rules = vintage.rules
    return rules.calibrated_serving if workload == "llm-serving" else rules.calibrated


def _rests_on(factor: Factor | MeasuredFactor) -> str:
    if isinstance(factor, Factor) and factor.tier == "2":
        return (
            f"calibrated on this kind of device with {factor.models} model{'s' if factor.models > 1 else ''}"
        )
    return f"{factor.models} model{'s' if factor.models > 1 else ''}, {factor.rows} pairs"


def _bridge(
    origin: Profile, target: Profile, workload: Converted, vintage: ConversionVintage, *, is_measured: bool
) -> Step | Reason:
    """Between two devices of which nothing was measured. ``is_measured``: the origin is the measured device."""
    if origin.example or target.example:
        return Reason.of(
            "example-device", "a device that does not exist has no factor; this record is an example"
        )
    both = (origin, target)
    if all(item.has_hbm and item.architecture in AMPERE_OR_LATER for item in both):
        return _assumed(origin, target, workload, vintage, is_measured=is_measured)
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
        limit_w = workload.device.power_limit_w if item is origin and is_measured else limit and limit.value
        if bandwidth is None or not limit_w:
            return Reason.of(
                "profile-incomplete", f"the profile of {item.name} does not know its bandwidth or power limit"
            )
        rates.append(bandwidth.value / limit_w)
    return _step(
        origin,
        target,
        rates[0] / rates[1],
        vintage.rules.by_bandwidth,
        "4",
        "no data; by bandwidth per watt, never rated",
    )


def _assumed(
    origin: Profile, target: Profile, workload: Converted, vintage: ConversionVintage, *, is_measured: bool
) -> Step | Reason:
    """Tier 3. In the first vintage all such devices are taken for alike; from the second on those of one generation are."""
    ends = [_GENERATION_OF.get(item.architecture, item.architecture) for item in (origin, target)]
    alike = _alike(workload.name, vintage)
    if vintage.factors_of == "profiles":
        return _step(origin, target, 1.0, alike, "3", "no data; both HBM, Ampere or later")
    if ends[0] == ends[1]:
        return _step(origin, target, 1.0, alike, "3", f"no data; both HBM, {ends[0]}")
    found = vintage.between(ends[0], ends[1], workload.name)
    if found is None:
        return Reason.of(
            "no-data",
            f"there are no data between {origin.name} and {target.name}, nor between any two devices of {ends[0]} and {ends[1]}",
        )
    generation, is_back = found
    form = generation.back if is_back else generation.there
    value, exponent, interval, by = _at(form, workload, is_measured=is_measured, is_back=is_back)
    why = f"no data of this device; what was seen from {ends[0]} to {ends[1]}"
    return _step(origin, target, value, interval, "3", why, exponent, by)


def _alike(workload: WorkloadClass, vintage: ConversionVintage) -> float:
    return vintage.rules.alike_serving if workload == "llm-serving" else vintage.rules.alike


def _step(
    origin: Profile,
    target: Profile,
    factor: float,
    interval: float,
    tier: Tier,
    why: str,
    exponent: float = 0.0,
    by: str = "",
) -> Step:
    return Step(
        origin=origin.key,
        target=target.key,
        factor=factor,
        interval=interval,
        tier=tier,
        why=why,
        exponent=exponent,
        by=by,
    )


def hardware_interval(steps: Sequence[Step]) -> float:
    """f of the 90 % interval ×/÷ f of all steps together, without the measurement's doubt; 1 for no step."""
    return math.exp(math.hypot(*(math.log(step.interval) for step in steps)))


def formats_in(dtype: str | None) -> list[str]:
    """Those of the formats above that a name names: fp8 of ``float8_e4m3fn``, fp4 of ``mxfp4``."""
    return [name for name, spelling in _SPELLINGS if re.search(spelling, (dtype or "").lower())]


def emulates(architecture: str, dtype: str | None) -> bool:
    """Whether a device of this architecture has no matrix units for a format and computes it by a detour."""
    return architecture in ARCHITECTURES and any(
        architecture not in NATIVE_IN[name] for name in formats_in(dtype)
    )
