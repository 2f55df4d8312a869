"""What making the hardware took, by share of its lifetime: carbon, primary energy and metals (ADPe) of accelerators and server.

The share is that of the Software Carbon Intensity (ISO/IEC 21031): TE × TiR/EL × RR/ToR, the time that the hardware was reserved over its
expected life, times the share of it that was. Published figures of one device differ by up to 3.5 times: the middle is told, and an
interval that holds them all, also where every one lies at the same end, as whoever publishes takes them. A device without a published figure makes the whole absent, and is named.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from energy_rating.judging.footprint.factors import FACTS, read_table
from energy_rating.judging.footprint.given import Given, ranged
from energy_rating.judging.footprint.impact import Assumption, NotTold
from energy_rating.judging.profiles import Profile, profile_for, profiles_naming
from energy_rating.nouns.quantities import Estimate
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
    """The share of making the hardware. ``sigma_without_…``: the doubt that would be left of the carbon, if that were known."""

    carbon_g: Estimate | None
    primary_energy_j: Estimate | None
    adpe_kg_sb: Estimate | None
    lifetime: Given
    sigma_without_maker_g: float
    sigma_without_lifetime_g: float
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
    if lifetime is None:
        lifetime, said = published_lifetime()
    else:
        said = Assumption(
            name="lifetime of the hardware",
            value=lifetime.value,
            unit="years",
            source=lifetime.source,
            lowest=lifetime.lowest,
            highest=lifetime.highest,
        )
    accelerators = _accelerators(record)
    devices = [device for device in record.environment.devices if device.id in accelerators]
    found = [(device, _profile(device)) for device in devices]
    in_servers = bool(found) and all(
        profile is not None and _sits_in_a_server(profile) for _, profile in found
    )
    amounts: dict[str, Estimate] = {}
    absent: list[NotTold] = []
    without_maker = without_lifetime = 0.0
    for indicator, factor in INDICATORS.items():
        parts = _parts(found, indicator, server if indicator == "carbon" else None, in_servers=in_servers)
        if isinstance(parts, str):
            absent.append(NotTold(figure=_FIGURES[indicator], reason=parts, remedy=_REMEDIES[indicator]))
            continue
        whole = _Published.total(parts).times(factor * duration_s / SECONDS_PER_YEAR)
        amounts[indicator] = whole.over(lifetime).estimate
        if indicator == "carbon":
            without_maker = whole.known.over(lifetime).estimate.sigma
            without_lifetime = whole.times(1 / lifetime.value).estimate.sigma
    if found and not in_servers and server is None and "carbon" in amounts:
        absent.append(
            NotTold(
                figure="embodied_server_g",
                reason="no figure is published of a host for such cards; theirs alone are in it",
                remedy="Give that of the host: --server 1300kg@SOURCE",
            )
        )
    return Made(
        carbon_g=amounts.get("carbon"),
        primary_energy_j=amounts.get("primary-energy"),
        adpe_kg_sb=amounts.get("adpe"),
        lifetime=lifetime,
        sigma_without_maker_g=without_maker,
        sigma_without_lifetime_g=without_lifetime,
        devices=tuple(dict.fromkeys(device.name for device in devices)),
        assumptions=(said, *_told(found, server, in_servers=in_servers)),
        absent=tuple(absent),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Published:
    """A figure and the ends of what is published of it. Ends meet ends: whoever publishes takes all of them from one side."""

    value: float
    lowest: float
    highest: float

    @classmethod
    def total(cls, parts: Sequence[_Published]) -> _Published:
        return cls(
            value=sum(part.value for part in parts),
            lowest=sum(part.lowest for part in parts),
            highest=sum(part.highest for part in parts),
        )

    def times(self, factor: float) -> _Published:
        return _Published(
            value=self.value * factor, lowest=self.lowest * factor, highest=self.highest * factor
        )

    def over(self, years: Given) -> _Published:
        """Divided by a lifetime: the longest one gives the lowest."""
        longest = years.value if years.highest is None else years.highest
        shortest = years.value if years.lowest is None else years.lowest
        return _Published(
            value=self.value / years.value, lowest=self.lowest / longest, highest=self.highest / shortest
        )

    @property
    def known(self) -> _Published:
        """The same without a doubt."""
        return _Published(value=self.value, lowest=self.value, highest=self.value)

    @property
    def estimate(self) -> Estimate:
        return ranged(self.value, self.lowest, self.highest)


def _parts(
    found: Sequence[tuple[Device, Profile | None]], indicator: str, server: Given | None, *, in_servers: bool
) -> list[_Published] | str:
    """What each device and their host took; or why that cannot be told."""
    if not found and server is None:
        return "the record names no accelerator"
    parts: list[_Published] = []
    for device, profile in found:
        accounts = _of_device(device, profile, indicator)
        if not accounts:
            return _why(device, profile, indicator)
        parts.append(_span(accounts))
    if server is not None:
        # In kilograms, as what is published.
        own = _Published(
            value=server.value,
            lowest=server.value if server.lowest is None else server.lowest,
            highest=server.value if server.highest is None else server.highest,
        )
        parts.append(own.times(1 / INDICATORS["carbon"]))
    elif in_servers:
        parts.append(_span(_accounts(SERVER, indicator)).times(len(found) / PER_SERVER))
    if not parts:
        return "the record names no accelerator"
    return parts


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


def _span(accounts: Sequence[PublishedFigure]) -> _Published:
    """The middle of what is published, and its ends."""
    values = [one.value for one in accounts]
    return _Published(value=(min(values) + max(values)) / 2, lowest=min(values), highest=max(values))


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
    found: Sequence[tuple[Device, Profile | None]], server: Given | None, *, in_servers: bool
) -> list[Assumption]:
    told: list[Assumption] = []
    kinds = Counter(profile.key for _, profile in found if profile is not None)
    by_key = {profile.key: (device, profile) for device, profile in found if profile is not None}
    for key, count in kinds.items():
        device, profile = by_key[key]
        accounts = _of_device(device, profile, "carbon")
        if accounts:
            name = f"making {count} × {profile.name}, each"
            told.append(_assumption(name, accounts, _span(accounts).value, "kgCO2e"))
    if server is not None:
        told.append(
            Assumption(name="making the host", value=server.value / 1e3, unit="kgCO2e", source=server.source)
        )
    elif in_servers:
        accounts = _accounts(SERVER, "carbon")
        name = f"making the server of eight without its GPUs, of which {len(found)} of 8 parts count"
        told.append(_assumption(name, accounts, _span(accounts).value, "kgCO2e"))
    return told
