"""What a device can draw at most: by its own limit, else by its data sheet, else by what any device of its kind draws today. Pure.

What a counter or a register tells beyond that is a fault of the sensor, whatever else speaks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from energy_rating.files.reading import Session
from energy_rating.nouns.records import Channel, Component, Device, Samples

# Over seconds a card keeps its limit; the tenth is for the gain of its sensor, which NVIDIA states as 5 %. Between two readings
# it may exceed it: ATX 3.1 asks power supplies to bear twice their rating for 0.1 ms, and less for longer.
SUSTAINED, TRANSIENT = 1.1, 1.5

# What no device of a kind draws, where nothing is known of the one at hand. Boards: the largest is a GB200 module, 2.7 kW by its power
# limit for two of them and their CPU. CPU packages: 500 W (AMD EPYC 9965, Intel Xeon 6980P, by their data sheets), which turbo exceeds by
# 1.2 times (Intel's default of PL2). Memory of a package: 24 modules at some 15 W. Modules: that GB200, and half more for moments. What a node
# or a wall meter can have behind it is a rack at most: 120 kW (GB200 NVL72, by its data sheet), and a quarter more.
GENERAL_W: Mapping[Component, float] = {
    "gpu": 2000.0,
    "cpu": 1000.0,
    "dram": 500.0,
    "module": 4000.0,
    "host": 150_000.0,
    "wall": 150_000.0,
}

# Of these the limit that the device itself tells is one of what is measured.
LIMITED: frozenset[Component] = frozenset({"gpu", "cpu", "dram"})

# A rack's limit says little of a desktop. No machine draws, within one tick, both more than two kilowatts and so many times what it draws at
# most for nine tenths of the time: servers that can draw ten idle at one or two. Our choice.
JUMPS_BY, JUMPS_ABOVE_W = 10.0, 2000.0

# So long are the stretches whose mean power tells that, and fewer tell nothing.
STRETCH_S, FEWEST_STRETCHES = 1.0, 4

# A package that draws more than its limit over spans of so many seconds, for so many in all, is not held to it: of a package's two limits
# the higher is for 2.44 ms (Intel's default), and holds within any of them. One span alone may be a counter that jumped; two in a row are not.
ABOVE_OVER_S, ABOVE_FOR_S = 0.2, 1.0

# Nothing that answers draws less than this share of its limit: idle cards draw 5 % (RTX 3090) to 15 % (H100 NVL) of it, by their profiles.
LEAST_SHARE = 0.01


def told_w(session: Session) -> dict[tuple[Component, str], float]:
    """What each device of a session may draw for long, where that is known: of a GPU the highest limit that it was set to in the run."""
    devices = {device.id: device for device in session.environment.devices}
    found: dict[tuple[Component, str], float] = {}
    for channel in session.channels:
        key = channel.component, channel.device
        if key not in found and channel.component in LIMITED:
            limit_w = _limit_w(session, channel.component, devices.get(channel.device))
            if limit_w is not None and not _goes_on_above(session, key, limit_w):
                found[key] = limit_w
    return found


def limits_w(session: Session) -> dict[tuple[Component, str], float]:
    """The same, but for a limit that most of the device's own power readings exceed: some drivers tell the limit of another part."""
    return {key: limit_w for key, limit_w in told_w(session).items() if _is_kept(session, key, limit_w)}


def peak_w(channel: Channel, limits: Mapping[tuple[Component, str], float]) -> float:
    """What the device of a channel draws at most, were it for a moment."""
    general_w = GENERAL_W.get(channel.component, math.inf)
    limit_w = limits.get((channel.component, channel.device))
    if limit_w is None:
        return general_w
    return TRANSIENT * limit_w if channel.component == "gpu" else min(general_w, TRANSIENT * limit_w)


def counted_w(channel: Channel, limits: Mapping[tuple[Component, str], float], samples: Samples) -> float:
    """What the device of a counter draws at most, were it for a moment: of a whole machine also by what the counter itself mostly tells."""
    most_w = peak_w(channel, limits)
    if channel.component not in ("host", "wall"):
        return most_w
    powers: list[float] = []
    since: tuple[float, float] | None = None
    for time_s, value in zip(samples.end_s, samples.values, strict=True):
        if since is not None and value >= since[1] and time_s < since[0] + STRETCH_S:
            continue
        if since is not None and value >= since[1]:
            powers.append((value - since[1]) / (time_s - since[0]))
        since = time_s, value
    if len(powers) < FEWEST_STRETCHES:
        return most_w
    usual_w = sorted(powers)[min(int(len(powers) * 0.9), len(powers) - 2)]
    return min(most_w, max(JUMPS_BY * usual_w, JUMPS_ABOVE_W))


def _limit_w(session: Session, component: Component, device: Device | None) -> float | None:
    if device is None:
        return None
    set_to = [device.power_limit_w] if device.power_limit_w else []
    set_to += [told.power_limit_w for _, told in session.conditions.get(device.id, ()) if told.power_limit_w]
    if set_to or component != "gpu":
        return max(set_to, default=None)
    from energy_rating.judging.profiles import shipped_profile  # here, since most devices tell their limit

    profile = shipped_profile(device.name, device.memory_gb)
    sheet = profile.figures.power_limit_w if profile is not None else None
    return sheet.value if sheet is not None else None


def _goes_on_above(session: Session, key: tuple[Component, str], limit_w: float) -> bool:
    """Whether a CPU package, or its memory, by its own counter drew more than its limit for seconds, as those do that nobody limits.

    The limit of a card is kept by its firmware; that of a package is raised or left aside by many boards. A counter that jumps does so once, and
    not in each of several spans that follow each other.
    """
    if key[0] == "gpu":
        return False
    for channel in session.channels:
        if (channel.component, channel.device) != key or channel.method != "counter":
            continue
        samples = session.samples[channel.id]
        above_s, was_above = 0.0, False
        started_s: float | None = None
        gained_j = previous = 0.0
        for start_s, value in zip(samples.start_s, samples.values, strict=True):
            if started_s is not None:
                step_j = value - previous
                gained_j += step_j + channel.wraps_at_j if step_j < 0 and channel.wraps_at_j else step_j
                took_s = start_s - started_s
                if took_s < ABOVE_OVER_S:
                    previous = value
                    continue
                above = SUSTAINED * limit_w * took_s < gained_j <= GENERAL_W[key[0]] * took_s
                if above and was_above:
                    above_s += took_s
                    if above_s >= ABOVE_FOR_S:
                        return True
                was_above = above
            started_s, gained_j, previous = start_s, 0.0, value
    return False


def _is_kept(session: Session, key: tuple[Component, str], limit_w: float) -> bool:
    return all(
        median(samples.values[: 1 << 16]) <= TRANSIENT * limit_w
        for channel in session.channels
        if (channel.component, channel.device) == key and channel.method == "power"
        if len(samples := session.samples[channel.id])
    )
