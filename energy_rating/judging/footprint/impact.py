"""What a record's energy and machines come to: values only. What is not in them says why, and who could tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from energy_rating.judging.footprint.factors import GridFactor
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import FULL_COVERAGE, Validity

Known = Literal["known", "estimated"]
Whom = Literal["maker", "operator", "supplier", "grid", "user"]

SOURCE = "Our World in Data (Ember, Energy Institute) as shipped with CodeCarbon"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumption:
    """A figure that no sensor gave: what it is, its value and range, whose it is, and where it stands."""

    name: str
    value: float
    unit: str
    source: str
    lowest: float | None = None
    highest: float | None = None
    link: str | None = None
    read: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotTold:
    """A figure that is not told, and why."""

    figure: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A figure that somebody could publish: who, what, and by which share (0 to 1) the doubt of ``of`` would shrink.

    ``share_of_doubt`` None: what it concerns is not in the figures at all, so nothing can be said of its size.
    """

    whom: Whom
    who: str
    what: str
    of: str
    share_of_doubt: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """What was bought or captured elsewhere. It stands beside the carbon, and is never taken from it."""

    kind: Literal["offset", "capture", "certificate"]
    amount: float
    unit: Literal["g", "kWh"]
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a standard asks for before a figure may bear its name, and whether it is so."""

    what: str
    held: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PerUnit:
    """Carbon per functional unit. ``name`` is a standard's where all of its conditions hold, else what it is in plain words."""

    name: str
    unit: str
    carbon_g: Estimate
    amount: float
    embodied: bool
    boundary: str
    rationale: str | None
    counting: Literal["gross", "effective"] | None
    conditions: tuple[Demand, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Equivalent:
    """An amount of carbon as something of every day; ``source`` tells the figure behind it."""

    amount: Estimate
    what: str
    source: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """A service that was asked for the grid's carbon intensity, and whether it answered; if not, the stored figure was taken."""

    service: str
    zone: str
    answered: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """What an amount of energy, and the time of its machines, come to. Assumptions are fields, never folded into the energy.

    ``carbon_g`` is grams of CO2-equivalent of the electricity, location-based: energy, times the PUE where one is given, times the factor.
    Its doubt is that of all three; ``carbon_energy_g`` and ``carbon_factor_g`` are the same grams with the energy's doubt alone, and with
    the factor's and the PUE's. ``carbon_overhead_g`` is the part that cooling and losses of the data centre have in it.
    ``carbon_market_g`` is market-based, from the user's own figure; ``offsets`` stand apart. ``embodied_g`` is the share of making the
    hardware by time; ``total_g`` that and ``carbon_g``. Water is consumed at the site and where the electricity is made.
    ``primary_energy_j`` and ``adpe_kg_sb`` are the electricity's, ``embodied_…`` the hardware's.

    ``components`` are those whose energy is in it, ``missing`` those that were not measured. ``coverage`` is the share (0 to 1)
    of the time that each component's sensors saw, ``validity`` what the findings leave of the measurement. ``zone_from``: whether the
    zone was given, or is the one that the record says it ran in. What is None stands in ``absent`` with its reason.
    """

    measurement: str
    energy_j: Estimate
    components: tuple[str, ...]
    estimated: tuple[str, ...]
    missing: tuple[str, ...]
    carbon_g: Estimate
    intensity_g_per_kwh: float
    zone: str
    zone_name: str
    year: int | None
    coverage: Mapping[str, float]
    validity: Validity
    source: str = SOURCE
    zone_from: Literal["given", "record"] = "given"
    pue: float | None = None
    duration_s: float = 0.0
    factor: GridFactor
    carbon_energy_g: Estimate
    carbon_factor_g: Estimate
    carbon_overhead_g: Estimate | None = None
    carbon_market_g: Estimate | None = None
    offsets: tuple[Offset, ...] = ()
    facility_energy_j: Estimate | None = None
    energy_holds_pue: str | None = None
    wue_l_per_kwh: float | None = None
    water_on_site_l: Estimate | None = None
    water_off_site_l: Estimate | None = None
    water_l: Estimate | None = None
    primary_energy_j: Estimate | None = None
    adpe_kg_sb: Estimate | None = None
    embodied_g: Estimate | None = None
    embodied_primary_energy_j: Estimate | None = None
    embodied_adpe_kg_sb: Estimate | None = None
    lifetime_years: float | None = None
    total_g: Estimate | None = None
    cost: Estimate | None = None
    currency: str | None = None
    per_unit: PerUnit | None = None
    equivalents: tuple[Equivalent, ...] = ()
    known: Mapping[str, Known] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()
    absent: tuple[NotTold, ...] = ()
    gaps: tuple[Gap, ...] = ()
    live: Live | None = None

    @property
    def partly_seen(self) -> Mapping[str, float]:
        """The components of which less than 99 % of the time was seen."""
        return {name: share for name, share in self.coverage.items() if share < FULL_COVERAGE}

    @property
    def vintage(self) -> str | None:
        """The name of the factors' vintage; None where the factor came from the user or a service."""
        return self.factor.vintage

    @property
    def granularity(self) -> str:
        """Over what time the factor is a mean."""
        return self.factor.granularity

    def why_absent(self, figure: str) -> str | None:
        """Why a figure is not told; None where it is, or where nobody asked for it."""
        return next((one.reason for one in self.absent if one.figure == figure), None)

    def stored(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As JSON: the vintage and the granularity stand beside the factor's figure."""
        order = (
            "measurement",
            "energy_j",
            "components",
            "estimated",
            "missing",
            "carbon_g",
            "intensity_g_per_kwh",
        )
        first = {key: entry.pop(key) for key in order}
        return {**first, "granularity": self.granularity, "vintage": self.vintage, **entry}
