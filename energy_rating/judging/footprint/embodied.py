"""What making the hardware took, by share of its lifetime: carbon, primary energy and metals (ADPe) of accelerators and server.

The share is that of the Software Carbon Intensity (ISO/IEC 21031): TE × TiR/EL × RR/ToR, the time that the hardware was reserved over its
expected life, times the share of it that was. Published figures of one device differ by up to 3.5 times: the middle is told, and an
interval that holds them all. A device without a published figure makes the whole absent, and is named.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from energy_rating.judging.footprint.factors import FACTS, read_table
from energy_rating.judging.footprint.given import Given, product, ranged
from energy_rating.judging.footprint.impact import Assumption, NotTold
from energy_rating.judging.profiles import Profile, profile_for, profiles_naming
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import Device, Record

HARDWARE_SCHEMA = "energy-rating/hardware/1"
SECONDS_PER_YEAR = 365 * 24 * 3600.0  # as the SCI counts: 365 days of 24 hours
SERVER = "server-8"
PER_SERVER = 8
# How the published units come to those in the names of the figures: kg to g, MJ to J.
INDICATORS = {"carbon": 1e3, "primary-energy": 1e6, "adpe": 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFigure:
    """One published figure."""

    value: float
    unit: str
    title: str
    link: str | None
    read: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """The share of making the hardware. ``of_maker`` and ``of_lifetime``: the parts of the carbon's doubt that each would take away."""

    carbon_g: Estimate | None
    primary_energy_j: Estimate | None
    adpe_kg_sb: Estimate | None
    lifetime: Given
    of_maker: float
    of_lifetime: float
    devices: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    absent: tuple[NotTold, ...]


@functools.cache
def _accounts(subject: str, indicator: str) -> tuple[PublishedFigure, ...]:
    _, rows = read_table(FACTS / "hardware.csv", HARDWARE_SCHEMA)
    return tuple(
        PublishedFigure(
            value=float(row["value"]),
            unit=row["unit"],
            title=row["title"],
            link=row["link"],
            read=row["read"],
        )
        for row in rows
        if row["subject"] == subject and row["indicator"] == indicator
    )


def published_lifetime() -> tuple[Given, Assumption]:
    """How long hardware lasts, in years: the middle of the shares of a day in it that are published, and their range."""
    found = _accounts("lifetime", "lifetime")
    years = [one.value for one in found]
    # A share of a life is one over it: the middle of the shares is what divides the doubt evenly.
    middle = 2 / (1 / min(years) + 1 / max(years))
    titles = "; ".join(f"{one.value:g} years: {one.title}" for one in found)
    given = Given(value=middle, source=titles, lowest=min(years), highest=max(years))
    return given, _assumption("lifetime of the hardware", found, middle, "years")


def made(
    record: Record, duration_s: float, *, lifetime: Given | None = None, server: Given | None = None
) -> Made:
    """What of making the record's hardware falls to a time.

    Args:
        record: whose devices.
        duration_s: how long they were reserved.
        lifetime: how long they last, in years; by default the range that is published.
        server: grams of CO2e that making the host took, without its accelerators; by default the share of a published server of
            eight where the accelerators are such as sit in one.
    """
    assumptions: list[Assumption] = []
    if lifetime is None:
        lifetime, said = published_lifetime()
        assumptions.append(said)
    else:
        assumptions.append(
            Assumption(
                name="lifetime of the hardware",
                value=lifetime.value,
                unit="years",
                source=lifetime.source,
                lowest=lifetime.lowest,
                highest=lifetime.highest,
            )
        )
    share = _share(duration_s, lifetime)
    devices = [device for device in record.environment.devices if device.id in _accelerators(record)]
    found = [(device, _profile(device)) for device in devices]
    in_servers = [profile for _, profile in found if profile is not None and _sits_in_a_server(profile)]
    amounts: dict[str, Estimate | None] = {}
    absent: list[NotTold] = []
    for indicator, factor in INDICATORS.items():
        parts: list[Estimate] = []
        missing = "" if devices or server else "the record names no accelerator"
        for device, profile in found:
            accounts = _of_device(device, profile, indicator)
            if not accounts:
                missing = _why(device, profile, indicator)
                break
            parts.append(_range(accounts).times(factor))
        if server is not None and indicator == "carbon":
            parts.append(server.estimate)
        elif devices and not missing:
            if len(in_servers) == len(devices):
                parts.append(_range(_accounts(SERVER, indicator)).times(factor * len(devices) / PER_SERVER))
            elif indicator == "carbon":
                absent.append(
                    NotTold(
                        figure="embodied_server_g",
                        reason="no figure is published of a host for such cards; theirs alone are in it",
                        remedy="Give that of the host: --server 1300kg@SOURCE",
                    )
                )
        if missing:
            amounts[indicator] = None
            absent.append(NotTold(figure=_FIGURES[indicator], reason=missing, remedy=_REMEDIES[indicator]))
            continue
        # Cards of one kind share one account: its error is the same in each.
        whole = total(parts[: len(devices)], same_sensor=True)
        for part in parts[len(devices) :]:
            whole = whole.plus(part, same_sensor=False)
        amounts[indicator] = product(whole, share)
        if indicator == "carbon":
            maker, span = whole.sigma * share.value, whole.value * share.sigma
    if amounts["carbon"] is None:
        maker = span = 0.0
    assumptions += _told(found, in_servers if len(in_servers) == len(devices) else [], server)
    return Made(
        carbon_g=amounts["carbon"],
        primary_energy_j=amounts["primary-energy"],
        adpe_kg_sb=amounts["adpe"],
        lifetime=lifetime,
        of_maker=maker,
        of_lifetime=span,
        devices=tuple(dict.fromkeys(device.name for device in devices)),
        assumptions=tuple(assumptions),
        absent=tuple(absent),
    )


_FIGURES = {
    "carbon": "embodied_g",
    "primary-energy": "embodied_primary_energy_j",
    "adpe": "embodied_adpe_kg_sb",
}
_REMEDIES = {
    "carbon": "Add an [[embodied]] entry with its source to the device's hardware profile",
    "primary-energy": "",
    "adpe": "",
}


def _share(duration_s: float, lifetime: Given) -> Estimate:
    """The share of a lifetime that a time is; a longer life is a smaller share."""

    def of(years: float) -> float:
        return duration_s / (years * SECONDS_PER_YEAR)

    lowest = of(lifetime.highest if lifetime.highest is not None else lifetime.value)
    highest = of(lifetime.lowest if lifetime.lowest is not None else lifetime.value)
    return ranged(of(lifetime.value), lowest, highest)


def _range(accounts: Sequence[PublishedFigure]) -> Estimate:
    """The middle of what is published, with an interval that holds all of it."""
    values = [one.value for one in accounts]
    return ranged((min(values) + max(values)) / 2, min(values), max(values))


def _accelerators(record: Record) -> set[str]:
    return {channel.device for channel in record.channels if channel.component in ("gpu", "module")}


def _profile(device: Device) -> Profile | None:
    return profile_for(device.name, device.memory_gb, among=profiles_naming([device.name]))


def _sits_in_a_server(profile: Profile) -> bool:
    """Whether it is one of eight in a server, as those whose server is published: modules on a common board, in a data centre."""
    return profile.kind == "data-centre" and "-sxm" in profile.key


def _of_device(device: Device, profile: Profile | None, indicator: str) -> tuple[PublishedFigure, ...]:
    if profile is None or device.mig:
        return ()
    if indicator != "carbon":
        family = "-".join(profile.key.split("-")[:2])
        return _accounts(family, indicator)
    return tuple(
        PublishedFigure(
            value=one.kg_co2e,
            unit="kgCO2e",
            title=profile.sources[one.source].title,
            link=profile.sources[one.source].url,
            read=profile.sources[one.source].date,
        )
        for one in profile.embodied
    )


def _why(device: Device, profile: Profile | None, indicator: str) -> str:
    name = device.name[:80]
    if device.mig:
        return f"{name} is a slice of a card, and which share of it is not recorded"
    if profile is None:
        return f"no hardware profile names {name}"
    what = {
        "carbon": "what making it emits",
        "primary-energy": "the primary energy of making it",
        "adpe": "the metals in it (ADPe)",
    }
    return f"{what[indicator]} is not published of {profile.name}"


def _assumption(name: str, accounts: Sequence[PublishedFigure], value: float, unit: str) -> Assumption:
    values = [one.value for one in accounts]
    links = [one.link for one in accounts if one.link]
    return Assumption(
        name=name,
        value=value,
        unit=unit,
        source="; ".join(f"{one.value:g} {unit}: {one.title}" for one in accounts),
        lowest=min(values),
        highest=max(values),
        link=links[0] if links else None,
        read=accounts[0].read,
    )


def _told(
    found: Iterable[tuple[Device, Profile | None]], in_servers: Sequence[Profile], server: Given | None
) -> list[Assumption]:
    told: list[Assumption] = []
    kinds = Counter(profile.key for _, profile in found if profile is not None)
    by_key = {profile.key: (device, profile) for device, profile in found if profile is not None}
    for key, count in kinds.items():
        device, profile = by_key[key]
        accounts = _of_device(device, profile, "carbon")
        if accounts:
            name = f"making {count} × {profile.name}, each"
            told.append(_assumption(name, accounts, _range(accounts).value, "kgCO2e"))
    if server is not None:
        told.append(
            Assumption(name="making the host", value=server.value / 1e3, unit="kgCO2e", source=server.source)
        )
    elif in_servers:
        accounts = _accounts(SERVER, "carbon")
        name = f"making the server of eight without its GPUs, of which {len(in_servers)} of 8 parts count"
        told.append(_assumption(name, accounts, _range(accounts).value, "kgCO2e"))
    return told
