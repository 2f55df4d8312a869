"""Whether a device is what it is called: its profile held against what was seen of it. Pure.

A name is a string in a journal. What a data sheet says of the device that bears it is in its profile, and a run shows some of the same:
memory, power limit, clocks, power at work, and what work it did with that power. Bounds are so wide that no sound run that we know of
comes near them, and each says from where it is; all the same a sound card may be unlike its data sheet, so that nothing here disqualifies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from energy_rating.files.reading import Journal
from energy_rating.judging.operating_point import weight_bits
from energy_rating.judging.profiles import Figures, Profile, profile_for
from energy_rating.nouns.records import Device, Finding, Load, Measurement, Record

# NVIDIA's drivers let a card be limited to no less than a quarter of its default (A100 SXM: 100 of 400 W; H100 SXM: 200 of 700 W; T4: 60 of
# 70 W; "Min Power Limit" of nvidia-smi -q). Modules for the edge have modes of a few watts, and are not asked.
LEAST_LIMIT = 0.2

# The clocks of NVIDIA's cards for data centres end at their data sheet's boost clock: the driver offers none above. The rest is for how they are told.
CLOCK_TOLERANCE = 1.05

# Cards for data centres draw from 9 % (V100 PCIe) to 16 % (H100 NVL) of their limit with nothing to do, by their profiles. At work the least of
# 2,592 published runs on V100, A40, A100, H100 and B200 (ML.ENERGY v1 to v3) drew 15 % of it.
LEAST_AT_WORK = 0.1

# Of the same, in 1,112 runs of language models the share of its power that a card drew was never below 0.77 of the share of its bandwidth, or of
# its peak, that reading the weights and computing the tokens ask for, 0.96 without models of which a part rests at each token. More than three
# times as much work as power is so far off that parts of a model that rest, such as tables of embeddings, do not explain it.
WORK_OVER_POWER = 3.0

# Below that share even three times as much would be within what nobody can tell.
LEAST_WORK = 0.15

# A driver tells a little less memory than is there.
MEMORY_TOLERANCE = 1.05

# Shorter windows draw what came before them.
SHORTEST_S = 1.0


def of_devices(journal: Journal, record: Record, profiles: Sequence[Profile]) -> Iterator[Finding]:
    """Memory, limit and clocks of each GPU against those of the device that bears its name."""
    gpus = {channel.device for channel in record.channels if channel.component == "gpu"}
    clocks: dict[str, float] = {}
    for session in journal.sessions:
        for device_id, told in session.conditions.items():
            highest = max((one.sm_clock_mhz or 0.0 for _, one in told), default=0.0)
            clocks[device_id] = max(highest, clocks.get(device_id, 0.0))
    for device in record.environment.devices:
        if device.id not in gpus or device.mig:
            continue
        profile = profile_for(device.name, device.memory_gb, among=profiles)
        if profile is None:
            yield from _of_memory(device, profiles)
        else:
            yield from _of_limit(device, profile)
            yield from _of_clock(device, profile, max(clocks.get(device.id, 0.0), device.clock_mhz or 0.0))


def _of_memory(device: Device, profiles: Sequence[Profile]) -> Iterator[Finding]:
    named = [profile for profile in profiles if device.name in profile.driver.names]
    sizes = [one.figures.memory_gb.value for one in named if one.figures.memory_gb is not None]
    if device.memory_gb is not None and sizes and len(sizes) == len(named):
        known = " or ".join(f"{size:g}" for size in sizes)
        if not any(profile.may_have(device.memory_gb) for profile in named):
            yield Finding.of(
                "device-memory-differs",
                f"{device.name} has {known} GB of memory; this one is told to have {device.memory_gb:.3g} GB",
            )


def _of_limit(device: Device, profile: Profile) -> Iterator[Finding]:
    sheet = profile.figures.power_limit_w
    if sheet is None or device.power_limit_w is None or profile.vendor != "NVIDIA" or profile.kind == "edge":
        return
    if device.power_limit_w < LEAST_LIMIT * sheet.value:
        yield Finding.of(
            "limit-under-the-data-sheet",
            f"{device.name} is said to have been limited to {device.power_limit_w:.0f} W, of {sheet.value:.0f} W by its data sheet; "
            "its driver lets it be limited to a quarter at least",
        )


def _of_clock(device: Device, profile: Profile, clock_mhz: float) -> Iterator[Finding]:
    highest = profile.figures.clock_mhz
    if highest is not None and clock_mhz > CLOCK_TOLERANCE * highest.value:
        yield Finding.of(
            "clock-above-the-data-sheet",
            f"{device.name} is told to have run at {clock_mhz:,.0f} MHz; its clocks end at {highest.value:,.0f} MHz",
        )


def of_power_at_work(record: Record, measured: Measurement, profiles: Sequence[Profile]) -> Iterator[Finding]:
    """A card for data centres that drew at work what such a card does not fall to with nothing to do."""
    if measured.duration_s < SHORTEST_S:
        return
    devices = {device.id: device for device in record.environment.devices}
    for channel in record.channels:
        energy, device = measured.energy_by_channel_j.get(channel.id), devices.get(channel.device)
        if energy is None or device is None or device.mig or channel.component != "gpu":
            continue
        profile = profile_for(device.name, device.memory_gb, among=profiles)
        sheet = profile.figures.power_limit_w if profile is not None else None
        if profile is None or sheet is None or profile.kind != "data-centre" or channel.method == "model":
            continue
        power_w = (energy.value + 2 * energy.random) / measured.duration_s
        if power_w < LEAST_AT_WORK * sheet.value:
            yield Finding.of(
                "hardly-any-power",
                f"{channel.id}: {energy.value / measured.duration_s:.3g} W on average at work, "
                f"{energy.value / measured.duration_s / sheet.value:.1%} of the {sheet.value:.0f} W that {device.name} may draw",
                measurement=measured.name,
                channel=channel.id,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What the tokens of a measurement ask of its GPUs. None where that is not known.

    ``read_share`` and ``compute_share``: of their bandwidth and of their peak; ``power_share``: what they drew, of what they may draw.
    """

    devices: tuple[Device, ...]
    tokens_s: float
    flop_s: float
    peak_flop_s: float | None = None
    most_tokens_s: float | None = None
    power_share: float | None = None

    @property
    def read_share(self) -> float | None:
        return self.tokens_s / self.most_tokens_s if self.most_tokens_s else None

    @property
    def compute_share(self) -> float | None:
        return self.flop_s / self.peak_flop_s if self.peak_flop_s else None


# A multiplication and an addition for each token and weight (Kaplan 2020, arXiv 2001.08361, 2.1).
FLOP_PER_PARAMETER = 2


def use_of(record: Record, measurement: Measurement, profiles: Sequence[Profile]) -> Use | None:
    """What was done with the GPUs whose energy is in a measurement; None without tokens, weights, or a profile of each device."""
    model, load = record.model, record.load or Load()
    work = measurement.work
    tokens = work.get("token", 0)
    parameters = (model.active_parameters or model.parameters) if model is not None else None
    if model is None or parameters is None or not tokens or measurement.duration_s <= 0:
        return None
    energies = {
        channel.device: measurement.energy_by_channel_j[channel.id]
        for channel in record.channels
        if channel.component == "gpu" and channel.id in measurement.energy_by_channel_j
    }
    devices = tuple(device for device in record.environment.devices if device.id in energies)
    known = [profile_for(device.name, device.memory_gb, among=profiles) for device in devices]
    figures = [profile.figures for profile in known if profile is not None]
    if not figures or len(figures) < len(known):
        return None
    bits, at_once = weight_bits(model.dtype), load.at_once
    bandwidths = [item.bandwidth_gb_s.value for item in figures if item.bandwidth_gb_s is not None]
    # Each step of decoding reads the weights once, and gives one token to each request that is under way.
    most = (
        at_once * sum(bandwidths) * 1e9 / (parameters * bits / 8)
        if bits and at_once is not None and len(bandwidths) == len(figures)
        else None
    )
    peaks = [_peak_flop_s(item) for item in figures]
    done = tokens + max(0, work.get("input_token", 0) - work.get("cached_token", 0))
    limits = [_limit_w(device, item) for device, item in zip(devices, figures, strict=True)]
    drew_w = sum(energy.value + 2 * energy.random for energy in energies.values()) / measurement.duration_s
    known_limits = [limit for limit in limits if limit]
    return Use(
        devices=devices,
        tokens_s=tokens / measurement.duration_s,
        flop_s=FLOP_PER_PARAMETER * parameters * done / measurement.duration_s,
        peak_flop_s=sum(peaks) if all(peaks) else None,
        most_tokens_s=most,
        power_share=drew_w / sum(known_limits) if len(known_limits) == len(limits) == len(energies) else None,
    )


def of_work_and_power(
    record: Record, measurement: Measurement, profiles: Sequence[Profile]
) -> Iterator[Finding]:
    """Far more work than the power that was drawn is good for."""
    use = use_of(record, measurement, profiles)
    if use is None or use.power_share is None or measurement.duration_s < SHORTEST_S:
        return
    shares = {"bandwidth": use.read_share or 0.0, "peak": use.compute_share or 0.0}
    what = max(shares, key=lambda name: shares[name])
    if shares[what] > LEAST_WORK and shares[what] > WORK_OVER_POWER * use.power_share:
        yield Finding.of(
            "more-work-than-power",
            f"the tokens of {measurement.name!r} ask for {shares[what]:.0%} of the {what} of {len(use.devices)} × {use.devices[0].name}, "
            f"which drew {use.power_share:.0%} of what they may draw",
            measurement=measurement.name,
        )


def of_model(record: Record, profiles: Sequence[Profile]) -> Iterator[Finding]:
    """Weights that do not fit into the memory of the GPUs that are measured."""
    model = record.model
    bits = weight_bits(model.dtype) if model is not None else None
    gpus = {channel.device for channel in record.channels if channel.component == "gpu"}
    devices = [device for device in record.environment.devices if device.id in gpus]
    memory = [_memory_gb(device, profiles) for device in devices]
    if model is None or model.parameters is None or not bits or not memory or not all(memory):
        return
    have_gb = sum(size for size in memory if size)
    need_gb = model.parameters * bits / 8 / 1e9
    if need_gb > MEMORY_TOLERANCE * have_gb:
        yield Finding.of(
            "model-larger-than-memory",
            f"{model.parameters:,} weights of {bits} bits are {need_gb:,.3g} GB; the GPUs that were measured have {have_gb:,.3g} GB of memory: "
            "a part of the work is done elsewhere, or it is another model, or another device",
        )


def _memory_gb(device: Device, profiles: Sequence[Profile]) -> float | None:
    if device.memory_gb is not None:
        return device.memory_gb
    profile = profile_for(device.name, None, among=profiles)
    return profile.figures.memory_gb.value if profile is not None and profile.figures.memory_gb else None


def _limit_w(device: Device, figures: Figures) -> float | None:
    sheet = figures.power_limit_w.value if figures.power_limit_w is not None else None
    return min((limit for limit in (device.power_limit_w, sheet) if limit), default=None)


PEAKS = ("fp32_tflops", "tf32_tflops", "bf16_tflops", "fp16_tflops", "fp8_tflops", "fp4_tflops", "int8_tops")


def _peak_flop_s(figures: Figures) -> float:
    """The highest of all peaks, whatever the type (weights of 8 bits may be multiplied as whole numbers): a bound, not an estimate."""
    known: Mapping[str, float] = {
        name: value.value
        for name in (
            *("fp32_tflops", "tf32_tflops", "bf16_tflops", "fp16_tflops"),
            "fp8_tflops",
            "fp4_tflops",
        )
        if (value := getattr(figures, name)) is not None
    }
    return max(known.values(), default=0.0) * 1e12
