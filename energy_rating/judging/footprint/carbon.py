"""From energy to what it comes to: location-based carbon by a place's factor, and beside it what else is known of its cost.

Each figure is worked out once and stands by itself: carbon of the electricity, location-based and, apart, market-based; water; what making
the hardware took; money. Nothing is netted, no assumption is folded into the energy, and what is not known is absent and says why.
Without a zone nothing is guessed, and nothing is asked of the network.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from energy_rating.files.reading import Journal
from energy_rating.judging.footprint import embodied, equivalents, factors, pue, sci, water
from energy_rating.judging.footprint.factors import CloudRegion, GridFactor, factor_of
from energy_rating.judging.footprint.given import Given, figure, grams, product, ranged
from energy_rating.judging.footprint.given import price as price_of
from energy_rating.judging.footprint.impact import SOURCE as SOURCE
from energy_rating.judging.footprint.impact import Assumption, Gap, Known, Live, NotTold, Offset, PerUnit
from energy_rating.judging.footprint.impact import Impact as Impact
from energy_rating.nouns.errors import BadInput, NotMeasured
from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate, total
from energy_rating.nouns.records import RUN, Measurement, Record, Validity, validity

# What adds up to what was seen of a machine. A wall meter, a host or a module figure holds its parts already, and stands alone.
WHOLES = ("wall", "host", "module")
PARTS = ("gpu", "cpu", "dram")

MOST_INTENSITY = 5000.0  # g/kWh: the dirtiest grid that is published has 1,400
Figure = str | float | Given


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What a footprint was asked for, as it was written: the same choices give the same footprint again.

    ``factors`` names a vintage. Figures are numbers with their source (``1.2@source``), ``pue`` and ``wue`` also ``published``.
    ``market`` is a market-based factor in g/kWh; ``offsets``, ``captures`` (``1.2kg@source``) and ``certificates`` (``5kWh@source``)
    stand apart. ``lifetime`` in years, ``server`` what making the host took. ``pue_in_energy`` says why the energy holds the PUE already.
    """

    zone: str | None = None
    factors: str | None = None
    intensity: Figure | None = None
    pue: Figure | None = None
    pue_in_energy: str | None = None
    wue: Figure | None = None
    market: Figure | None = None
    offsets: tuple[str, ...] = ()
    captures: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    price: str | None = None
    lifetime: Figure | None = None
    server: str | None = None
    per: str | None = None
    because: str | None = None
    counting: sci.Counting | None = None
    equivalents: bool = False

    def said(self) -> dict[str, Any]:
        """What was asked for, by name, without what was not."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in told.items() if value not in (None, (), False)}


def zone_of(record: Record) -> str | None:
    """The zone that a record says it ran in, else its cloud's region; None where it says neither."""
    place = record.place
    if place is None or place.zone is not None:
        return place.zone if place is not None else None
    if place.provider is not None and place.region is not None:
        return f"{place.provider}:{place.region}"
    return None


def footprint(
    record: Record,
    *,
    zone: str | None = None,
    measurement: str = RUN,
    choices: Choices | None = None,
    series: Any = None,
    journal: Journal | None = None,
    live: Live | None = None,
    **asked: Any,
) -> Impact:
    """What a measurement's energy comes to in a zone: a country (``FRA``), a part of one (``US-CA``) or a cloud's region (``aws:eu-west-3``).

    Args:
        record: whose energy.
        zone: by default the one that the record says it ran in; which of both it was is ``Impact.zone_from``.
        measurement: its measurement; by default the whole run.
        choices: all else that can be asked for; or the same by name, such as ``pue="1.2@source"``.
        series: the grid's intensity over time (``series.read_series``, or the path of such a file), matched with the trace.
        journal: the run's journal (``read_journal``), which a series needs.
        live: what a service was asked, where a series came from it.
        asked: what else is asked for, by name. Figures are numbers with their source (``"1.2@source"``, a range ``"1.1..1.3@source"``):
            ``factors`` (a vintage by name), ``intensity`` (g/kWh), ``pue``, ``wue`` (both also ``"published"``), ``pue_in_energy`` (why the
            energy holds it already), ``market`` (g/kWh), ``offsets``, ``captures`` (such as ``("1.2kg@source",)``), ``certificates``
            (``("5kWh@source",)``), ``price`` (``"0.25EUR"``), ``lifetime`` (years), ``server`` (``"1300kg@source"``), ``per`` (a unit of
            work), ``because``, ``counting`` (``"gross"``, ``"effective"``), ``equivalents``.

    Raises:
        BadInput: there is no factor for the zone, neither the caller nor the record says one, or what was asked for cannot be.
        NotMeasured: there is no such measurement, or no energy in it.
    """
    wanted = _wanted(choices, zone, asked)
    measured = record[measurement]
    components = components_of(measured)
    if not components:
        raise NotMeasured(
            f"no energy was measured in {measurement!r}",
            "See what can be measured with: energy-rating sensors",
        )
    energy = total((measured.energy_j[name] for name in components), same_sensor=False)
    said = wanted.zone if wanted.zone is not None else zone_of(record)
    place = "--zone" if wanted.zone is not None else "place.zone of the record"
    factor = _factor(wanted, said, place, series, journal, measurement, components)
    return _Reckoning(
        record=record,
        measured=measured,
        wanted=wanted,
        components=components,
        energy_j=energy,
        factor=factor,
        region=factors.region_of(said) if said is not None else None,
        said=said,
        live=live,
    ).impact()


def _wanted(choices: Choices | None, zone: str | None, asked: dict[str, Any]) -> Choices:
    known = [item.name for item in fields(Choices) if item.name != "zone"]
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise BadInput(
            f"there is nothing called {unknown[0]!r} to ask for",
            f"There are: {', '.join(known)}",
            place="footprint",
        )
    if choices is not None and asked:
        raise BadInput("must be asked for by name or as choices, not both", place="footprint")
    found = choices if choices is not None else Choices(**asked)
    for name in ("offsets", "captures", "certificates"):
        if isinstance(getattr(found, name), str):
            raise BadInput("must be a list of amounts", f'Such as {name}=("1.2kg@source",)', place=name)
    said = zone if zone is not None else found.zone
    if said is not None and not isinstance(said, str):
        raise BadInput(f"must be text; got {type(said).__name__}", "Such as FRA", place="zone")
    if zone is not None:
        return Choices(**{**{item.name: getattr(found, item.name) for item in fields(found)}, "zone": zone})
    return found


def _factor(
    wanted: Choices,
    said: str | None,
    place: str,
    series: Any,
    journal: Journal | None,
    measurement: str,
    components: Sequence[str],
) -> GridFactor:
    """The factor: the user's own, that of a series, or the stored one."""
    if wanted.intensity is not None and series is not None:
        raise BadInput("is one figure, and a series was given too", "Give one of both", place="--intensity")
    if wanted.intensity is None and series is None:
        if said is None:
            raise BadInput(
                "the record does not say where it ran",
                "Name the country with --zone, such as FRA",
                place="zone",
            )
        return factor_of(said, vintage_name=wanted.factors, place=place)
    stored = factor_of(said, vintage_name=wanted.factors, place=place) if said is not None else None
    zone = stored.asked if stored is not None else ""
    name = stored.name if stored is not None else "a place that is not told"
    if wanted.intensity is not None:
        given = figure(
            wanted.intensity,
            place="--intensity",
            most=MOST_INTENSITY,
            what="an intensity in g/kWh",
            sourced=True,
        )
        return GridFactor(
            zone=zone, name=name, asked=zone, intensity_g_per_kwh=given.value, year=None, vintage=None,
            lowest=given.value if given.lowest is None else given.lowest,
            highest=given.value if given.highest is None else given.highest,
            source=given.source, link="", licence="", basis="as the user says", granularity="as given",
        )  # fmt: skip
    from energy_rating.judging.footprint.series import (
        matched,
        read_series,
    )  # they read a trace: a stored factor does without

    told = read_series(Path(series)) if isinstance(series, str | Path) else series
    if journal is None:
        raise BadInput(
            "a series is matched with the trace, and the record alone has none",
            "Name the folder of the run, with its journal",
            place=told.source,
        )
    if said is not None and told.zone is not None and factors.is_elsewhere(told.zone, said):
        raise BadInput(
            f"the series is of the zone {told.zone[:40]!r}, and the run was in {said}",
            "Give that of the place where it ran, or name its zone: --zone",
            place=told.source,
        )
    mean, _ = matched(journal, measurement, components, told)
    return GridFactor(
        zone=zone, name=name, asked=zone, intensity_g_per_kwh=mean, lowest=mean, highest=mean, year=None, vintage=None,
        source=told.source, link="", licence="", basis="as its source says", granularity=told.granularity,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reckoning:
    """All that a footprint is worked out from."""

    record: Record
    measured: Measurement
    wanted: Choices
    components: tuple[str, ...]
    energy_j: Estimate
    factor: GridFactor
    region: CloudRegion | None
    said: str | None
    live: Live | None

    def impact(self) -> Impact:
        wanted, measured, factor, energy = self.wanted, self.measured, self.factor, self.energy_j
        absent: list[NotTold] = []
        assumptions: list[Assumption] = []
        estimated = tuple(name for name in self.components if measured.methods.get(name) == "model")
        lacking = missing(self.components)
        intensity = ranged(factor.intensity_g_per_kwh, factor.lowest, factor.highest)

        holds = pue.held(self.record, measured.name, wanted.pue_in_energy)
        site = pue.pue_of(wanted.pue, self.region) if holds is None else None
        if holds is not None and wanted.pue is not None:
            absent.append(
                NotTold(
                    figure="pue",
                    reason=f"the energy holds it already ({holds.why}); it is not multiplied again",
                )
            )
        elif site is None and holds is None:
            absent.append(self._no_pue())
        ratio = site[0].estimate if site is not None else Estimate(value=1.0)
        facility = product(energy, ratio)
        # Of energy that holds a PUE that is known, the part of the equipment.
        of_equipment = energy.times(1 / holds.pue) if holds is not None and holds.pue else energy
        carbon = product(facility, intensity).times(1 / JOULES_PER_KWH)
        apart_energy = energy.times(ratio.value * intensity.value / JOULES_PER_KWH)
        apart_factor = product(Estimate(value=energy.value), product(ratio, intensity)).times(
            1 / JOULES_PER_KWH
        )
        if site is not None:
            assumptions.append(site[1])

        market = self._market(facility, absent)
        wet = pue.wue_of(wanted.wue, self.region)
        on_site = water.on_site_l(of_equipment, wet[0]) if wet is not None else None
        if wet is None:
            absent.append(self._no_wue())
        else:
            assumptions.append(wet[1])
        if wet is not None and wet[0].value and holds is not None and holds.pue is None:
            on_site = None
            absent.append(
                NotTold(
                    figure="water_on_site_l",
                    reason="a WUE is of the equipment's energy, and which part of this one is the equipment's is not known",
                )
            )
        off_site, primary, metals = self._of_mix(facility, absent, assumptions)

        made = embodied.made(
            self.record,
            measured.duration_s,
            lifetime=None
            if wanted.lifetime is None
            else figure(
                wanted.lifetime, place="--lifetime", least=0.1, most=50.0, what="a lifetime in years"
            ),
            server=None if wanted.server is None else grams(wanted.server, place="--server"),
        )
        absent += made.absent
        if made.carbon_g is not None:
            assumptions += made.assumptions
        whole = carbon.plus(made.carbon_g, same_sensor=False) if made.carbon_g is not None else None
        if whole is None:
            absent.append(
                NotTold(figure="total_g", reason="a part of it is not known: what making the hardware took")
            )

        cost, currency = self._cost(facility, absent, assumptions)
        known = self._known(estimated, market, cost, on_site)
        return Impact(
            measurement=measured.name,
            energy_j=energy,
            components=self.components,
            estimated=estimated,
            missing=lacking,
            carbon_g=carbon,
            intensity_g_per_kwh=factor.intensity_g_per_kwh,
            zone=factor.asked,
            zone_name=self._zone_name(),
            year=factor.year,
            coverage={name: measured.coverage.get(name, 1.0) for name in self.components},
            validity=_worse(measured.validity, validity(self.record.findings_on(measured.name))),
            source=factor.source,
            zone_from="given" if wanted.zone is not None or self.said is None else "record",
            pue=site[0].value if site is not None else None,
            duration_s=measured.duration_s,
            factor=factor,
            carbon_energy_g=apart_energy,
            carbon_factor_g=apart_factor,
            carbon_overhead_g=carbon.times(1 - 1 / ratio.value) if site is not None else None,
            carbon_market_g=market,
            offsets=self._offsets(),
            facility_energy_j=facility if site is not None or holds is not None else None,
            energy_holds_pue=holds.why if holds is not None else None,
            wue_l_per_kwh=wet[0].value if wet is not None else None,
            water_on_site_l=on_site,
            water_off_site_l=off_site,
            water_l=on_site.plus(off_site, same_sensor=True)
            if on_site is not None and off_site is not None
            else None,
            primary_energy_j=primary,
            adpe_kg_sb=metals,
            embodied_g=made.carbon_g,
            embodied_primary_energy_j=made.primary_energy_j,
            embodied_adpe_kg_sb=made.adpe_kg_sb,
            lifetime_years=made.lifetime.value if made.carbon_g is not None else None,
            total_g=whole,
            cost=cost,
            currency=currency,
            per_unit=self._per_unit(
                carbon, made.carbon_g, lacking, has_pue=site is not None or holds is not None
            ),
            equivalents=equivalents.equivalents(whole or carbon) if wanted.equivalents else (),
            known=known,
            assumptions=tuple(assumptions),
            absent=tuple(absent),
            gaps=self._gaps(
                whole or carbon,
                "total_g" if whole else "carbon_g",
                apart_energy,
                made,
                ratio,
                intensity,
                lacking,
            ),
            live=self.live,
        )

    # ------------------------------------------------------------------------------------------------ the parts

    def _zone_name(self) -> str:
        if self.region is not None and self.factor.asked != self.factor.zone:
            return f"{self.region.place}: {self.factor.name}"
        return self.factor.name

    def _no_pue(self) -> NotTold:
        remedy = "Give the site's: --pue 1.2@SOURCE"
        if self.region is not None and self.region.pue is not None:
            remedy = f"{self.region.operator} publishes {self.region.pue:g} ({self.region.pue_year}): --pue published"
        return NotTold(
            figure="pue",
            reason="no PUE was given: cooling and losses of a data centre are in no figure",
            remedy=remedy,
        )

    def _no_wue(self) -> NotTold:
        remedy = "Give the site's: --wue 0.2@SOURCE"
        if self.region is not None and self.region.wue_l_per_kwh is not None:
            remedy = f"{self.region.operator} publishes {self.region.wue_l_per_kwh:g} L/kWh ({self.region.wue_year}): --wue published"
        return NotTold(figure="water_on_site_l", reason="no WUE was given", remedy=remedy)

    def _market(self, facility: Estimate, absent: list[NotTold]) -> Estimate | None:
        if self.wanted.market is None:
            absent.append(
                NotTold(
                    figure="carbon_market_g",
                    reason="no market-based factor was given; none is ever assumed",
                    remedy="Give your supplier's: --market 0@CONTRACT",
                )
            )
            return None
        given = figure(
            self.wanted.market,
            place="--market",
            most=MOST_INTENSITY,
            what="a market-based factor in g/kWh",
            sourced=True,
        )
        return product(facility, given.estimate).times(1 / JOULES_PER_KWH)

    def _of_mix(
        self, facility: Estimate, absent: list[NotTold], assumptions: list[Assumption]
    ) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
        """Water, primary energy and metals of the electricity, by its country."""
        found = factors.mix_of(self.said) if self.said is not None else None
        names = {
            "water_off_site_l": "water where the electricity is made",
            "primary_energy_j": "the electricity's primary energy",
            "adpe_kg_sb": "the electricity's metals (ADPe)",
        }
        if found is None:
            where = self.factor.name if self.said is not None else "a place that is not told"
            absent += [
                NotTold(figure=name, reason=f"no factor of {what} is published for {where}")
                for name, what in names.items()
            ]
            return None, None, None
        source, row = found
        kwh = facility.times(1 / JOULES_PER_KWH)
        figures = {
            "water_off_site_l": (row.water_l_per_kwh, 1.0, "L/kWh"),
            "primary_energy_j": (row.primary_energy_mj_per_kwh, 1e6, "MJ/kWh"),
            "adpe_kg_sb": (row.adpe_kg_sb_per_kwh, 1.0, "kgSbe/kWh"),
        }
        results: list[Estimate | None] = []
        for name, (per_kwh, unit, written) in figures.items():
            if per_kwh is None:
                absent.append(
                    NotTold(figure=name, reason=f"no factor of {names[name]} is published for {row.name}")
                )
                results.append(None)
                continue
            assumptions.append(
                Assumption(
                    name=f"{names[name]}, {row.name}",
                    value=per_kwh,
                    unit=written,
                    source=source.title,
                    link=source.link,
                    read=source.read,
                )
            )
            amount = (
                water.off_site_l(facility, per_kwh)
                if name == "water_off_site_l"
                else kwh.times(per_kwh * unit)
            )
            results.append(amount)
        return results[0], results[1], results[2]

    def _cost(
        self, facility: Estimate, absent: list[NotTold], assumptions: list[Assumption]
    ) -> tuple[Estimate | None, str | None]:
        if self.wanted.price is None:
            absent.append(
                NotTold(
                    figure="cost",
                    reason="no price was given",
                    remedy="Give it with its currency: --price 0.25EUR",
                )
            )
            return None, None
        given, currency = price_of(self.wanted.price)
        assumptions.append(
            Assumption(
                name="price of electricity",
                value=given.value,
                unit=f"{currency}/kWh",
                source=given.source,
                lowest=given.lowest,
                highest=given.highest,
            )
        )
        return product(facility.times(1 / JOULES_PER_KWH), given.estimate), currency

    def _offsets(self) -> tuple[Offset, ...]:
        found: list[Offset] = []
        kinds: tuple[tuple[Literal["offset", "capture"], tuple[str, ...]], ...] = (
            ("offset", self.wanted.offsets),
            ("capture", self.wanted.captures),
        )
        for kind, amounts in kinds:
            for text in amounts:
                given = grams(text, place=f"--{kind}")
                found.append(Offset(kind=kind, amount=given.value, unit="g", source=given.source))
        for text in self.wanted.certificates:
            amount, at, source = text.partition("@")
            number = amount.strip()
            if not number.endswith("kWh"):
                raise BadInput(
                    f"must be an amount in kWh; got {text[:60]!r}",
                    "Such as 5kWh@SOURCE",
                    place="--certificate",
                )
            given = figure(
                f"{number[:-3].strip()}{at}{source}",
                place="--certificate",
                what="an amount of energy",
                sourced=True,
            )
            found.append(Offset(kind="certificate", amount=given.value, unit="kWh", source=given.source))
        return tuple(found)

    def _known(
        self,
        estimated: Sequence[str],
        market: Estimate | None,
        cost: Estimate | None,
        on_site: Estimate | None,
    ) -> dict[str, Known]:
        """Of each figure whether it is known: measured energy, times nothing but what the user gave with its source."""
        measured = not estimated
        own = self.wanted.intensity is not None
        is_sourced = {
            # What an operator publishes is a mean of its year, and not of this run.
            name: value is not None
            and value != pue.PUBLISHED
            and figure(value, place=name, what="a figure").is_sourced
            for name, value in (("pue", self.wanted.pue), ("wue", self.wanted.wue))
        }
        site = self.wanted.pue is None or is_sourced["pue"]
        found: dict[str, bool] = {"energy_j": measured, "carbon_g": measured and own and site}
        if market is not None:
            found["carbon_market_g"] = measured and site
        if on_site is not None:
            found["water_on_site_l"] = measured and is_sourced["wue"]
        if cost is not None:
            found["cost"] = measured and site and "@" in (self.wanted.price or "")
        told = (
            "water_off_site_l",
            "primary_energy_j",
            "adpe_kg_sb",
            "embodied_g",
            "embodied_primary_energy_j",
        )
        found |= dict.fromkeys((*told, "embodied_adpe_kg_sb", "total_g"), False)
        return {name: "known" if one else "estimated" for name, one in found.items()}

    def _per_unit(
        self, carbon: Estimate, made: Estimate | None, lacking: Sequence[str], *, has_pue: bool
    ) -> PerUnit | None:
        wanted = self.wanted
        if wanted.per is None:
            for name, value in (("--because", wanted.because), ("--counting", wanted.counting)):
                if value is not None:
                    raise BadInput(
                        "is said of a functional unit, and none was named",
                        "Name it: --per request",
                        place=name,
                    )
            return None
        return sci.sci(
            self.record,
            self.measured,
            unit=wanted.per,
            operational_g=carbon,
            embodied_g=made,
            components=self.components,
            missing=lacking,
            has_pue=has_pue,
            intensity_g_per_kwh=self.factor.intensity_g_per_kwh,
            rationale=wanted.because,
            counting=wanted.counting,
        )

    def _gaps(
        self,
        whole: Estimate,
        of: str,
        apart_energy: Estimate,
        made: embodied.Made,
        ratio: Estimate,
        intensity: Estimate,
        lacking: Sequence[str],
    ) -> tuple[Gap, ...]:
        """What makers and operators could publish, and how much narrower the figure would be then."""

        def share(sigma: float) -> float | None:
            if not whole.sigma:
                return None
            return 1 - math.sqrt(max(1 - min(sigma / whole.sigma, 1.0) ** 2, 0.0))

        def without(left: float) -> float | None:
            """Where the hardware's doubt would shrink to what is left of it."""
            made_sigma = made.carbon_g.sigma if made.carbon_g is not None else 0.0
            others = max(whole.sigma**2 - made_sigma**2, 0.0)
            return 1 - math.sqrt(others + left**2) / whole.sigma if whole.sigma else None

        found: list[Gap] = []
        kwh = self.energy_j.value / JOULES_PER_KWH
        if self.factor.granularity == "yearly mean":
            by_factor = kwh * ratio.value * intensity.sigma
            found.append(
                Gap(
                    whom="grid",
                    who=f"the grid of {self.factor.name}",
                    what=f"its carbon intensity hour by hour, in place of a yearly mean{f' of {self.factor.year}' if self.factor.year else ''}",
                    of=of,
                    share_of_doubt=share(by_factor) if self.factor.spread_known else None,
                )
            )
        operator = self.region.operator if self.region is not None else "the operator of the data centre"
        if (
            self.wanted.pue is None
            and pue.held(self.record, self.measured.name, self.wanted.pue_in_energy) is None
        ):
            found.append(Gap(whom="operator", who=operator, what="the PUE of the site", of=of))
        elif ratio.sigma:
            by_pue = kwh * ratio.sigma * intensity.value
            found.append(
                Gap(
                    whom="operator",
                    who=operator,
                    what="the PUE of the site, of the hour",
                    of=of,
                    share_of_doubt=share(by_pue),
                )
            )
        if self.wanted.wue is None:
            found.append(Gap(whom="operator", who=operator, what="the WUE of the site", of="water_on_site_l"))
        if self.wanted.market is None:
            found.append(
                Gap(
                    whom="supplier",
                    who="the supplier of the electricity",
                    what="its market-based factor",
                    of="carbon_market_g",
                )
            )
        names = " and ".join(made.devices) or "the accelerators"
        if made.carbon_g is None:
            what = "a product carbon footprint (ISO 14067)"
            found.append(Gap(whom="maker", who=f"the maker of {names}", what=what, of="embodied_g"))
        else:
            what = "a product carbon footprint (ISO 14067) of card and server"
            found.append(
                Gap(
                    whom="maker",
                    who=f"the maker of {names}",
                    what=what,
                    of=of,
                    share_of_doubt=without(made.sigma_without_maker_g),
                )
            )
            what = "how long the hardware is used"
            found.append(
                Gap(
                    whom="operator",
                    who=operator,
                    what=what,
                    of=of,
                    share_of_doubt=without(made.sigma_without_lifetime_g),
                )
            )
        if made.adpe_kg_sb is None:
            what = "the metals (ADPe) and the primary energy of making it"
            found.append(Gap(whom="maker", who=f"the maker of {names}", what=what, of="embodied_adpe_kg_sb"))
        if apart_energy.sigma:
            what = "the error of its power sensor, card by card"
            found.append(
                Gap(
                    whom="maker",
                    who=f"the maker of {names}",
                    what=what,
                    of=of,
                    share_of_doubt=share(apart_energy.sigma),
                )
            )
        found += [
            Gap(
                whom="maker",
                who="the maker of the machine",
                what=f"a sensor of {name} that may be read",
                of=of,
            )
            for name in lacking
        ]
        return tuple(found)


def check_zone(zone: str) -> None:
    """Raises ``BadInput`` where there is no factor for the zone: better before a long run than after it."""
    factor_of(zone)


def zone_named(name: str) -> str | None:
    """The zone (three letters) of a country by the name that ``Impact.zone_name`` gives; None if there is none."""
    return next((zone for zone, known in factors.countries().items() if known == name), None)


def years_apart(impact: Impact, created: str) -> int | None:
    """How many years lie between the factor and a run; None where one of them is not known."""
    try:
        ran = datetime.fromisoformat(created).year
    except ValueError:
        return None
    return abs(ran - impact.year) if impact.year is not None else None


def missing(components: Collection[str]) -> tuple[str, ...]:
    """The parts of a machine that are not among these; none where a whole is, since it holds its parts."""
    return () if set(components) & set(WHOLES) else tuple(name for name in PARTS if name not in components)


def _worse(one: Validity, other: Validity) -> Validity:
    order: tuple[Validity, ...] = get_args(Validity)
    return max(one, other, key=order.index)


def components_of(measured: Measurement) -> tuple[str, ...]:
    """The components whose energies add up to what was seen of a machine: a whole alone, else its parts."""
    return among(measured.energy_j)


def among(components: Collection[str]) -> tuple[str, ...]:
    """Those of some components whose energies add up: a whole alone, else the parts."""
    for whole in WHOLES:
        if whole in components:
            return (whole,)
    return tuple(name for name in PARTS if name in components)
