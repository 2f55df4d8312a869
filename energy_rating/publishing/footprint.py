"""A footprint as rows that people read: what, how much, known or estimated, and what it rests on. Terminal and card lay them out.

Within a table a quantity has one unit, so that figures can be compared by their size. What is not told stands there with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from energy_rating.judging.footprint.impact import Gap, Impact, NotTold
from energy_rating.nouns.quantities import Estimate, duration, reaches_zero, rounded, significant
from energy_rating.publishing.words import factor_in_words

_PREFIXES = ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"), (1e-9, "ng"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FootprintRow:
    """One figure: its name, the amount with its doubt and unit, whether it is known, and what it rests on. ``amount`` None: absent."""

    name: str
    amount: str | None
    known: str | None
    rests_on: str


def rows(impact: Impact) -> tuple[FootprintRow, ...]:
    """All figures of a footprint, those that are told first; then those that are not, with the reason."""
    told = [row for row in _told(impact) if row.amount is not None]
    return (*told, *(_absent(one) for one in impact.absent))


def _told(impact: Impact) -> Iterator[FootprintRow]:
    factor = impact.factor
    of_carbon = [
        impact.carbon_g,
        impact.carbon_overhead_g,
        impact.carbon_market_g,
        impact.embodied_g,
        impact.total_g,
    ]
    gram = _scale(of_carbon, _GRAMS)
    grid = f"location-based, {significant(factor.intensity_g_per_kwh, 3)} g/kWh, {impact.zone_name}, {factor_in_words(impact)}"
    if factor.stands_for is not None:
        grid += f"; {factor.stands_for}"
    if impact.energy_holds_pue is not None:
        grid += f"; the energy holds the PUE already ({impact.energy_holds_pue})"

    def carbon(name: str, field: str, rests_on: str) -> FootprintRow:
        return _row(impact, name, field, getattr(impact, field), gram, rests_on, " CO2e")

    yield carbon("Carbon of the electricity", "carbon_g", grid)
    if impact.pue is not None:
        source = next((one.source for one in impact.assumptions if one.name == "PUE"), "")
        yield carbon("… of it cooling and losses", "carbon_overhead_g", f"PUE {impact.pue:g}: {source}")
    yield carbon("Carbon, market-based (apart)", "carbon_market_g", "from the figure that was given")
    if impact.lifetime_years is not None:
        years = significant(impact.lifetime_years, 2)
        share = f"{duration(impact.duration_s)} of {years} years of the hardware's life"
        yield carbon("Making the hardware", "embodied_g", share)
    yield carbon("Electricity and hardware", "total_g", "location-based and embodied together")
    litres = _scale([impact.water_on_site_l, impact.water_off_site_l, impact.water_l], _prefixed("L"))
    if impact.wue_l_per_kwh is not None:
        wue = next((one.source for one in impact.assumptions if one.name == "WUE"), "")
        yield _row(impact, "Water at the site", "water_on_site_l", impact.water_on_site_l, litres,
                   f"WUE {impact.wue_l_per_kwh:g} L/kWh: {wue}")  # fmt: skip
    yield _row(
        impact,
        "Water of the electricity",
        "water_off_site_l",
        impact.water_off_site_l,
        litres,
        _mix(impact, "water"),
    )
    yield _row(impact, "Water, both", "water_l", impact.water_l, litres, "")
    joules = _scale([impact.primary_energy_j, impact.embodied_primary_energy_j], _prefixed("J"))
    yield _row(
        impact,
        "Primary energy, electricity",
        "primary_energy_j",
        impact.primary_energy_j,
        joules,
        _mix(impact, "the electricity's primary"),
    )
    yield _row(
        impact,
        "Primary energy, hardware",
        "embodied_primary_energy_j",
        impact.embodied_primary_energy_j,
        joules,
        "by share of lifetime",
    )
    metals = _scale([_in_grams(impact.adpe_kg_sb), _in_grams(impact.embodied_adpe_kg_sb)], _GRAMS)
    yield _row(
        impact,
        "Metals (ADPe), electricity",
        "adpe_kg_sb",
        _in_grams(impact.adpe_kg_sb),
        metals,
        _mix(impact, "the electricity's metals"),
        " Sb-eq",
    )
    yield _row(
        impact,
        "Metals (ADPe), hardware",
        "embodied_adpe_kg_sb",
        _in_grams(impact.embodied_adpe_kg_sb),
        metals,
        "by share of lifetime",
        " Sb-eq",
    )
    if impact.cost is not None:
        price = next((one for one in impact.assumptions if one.name == "price of electricity"), None)
        rests_on = f"{price.value:g} {price.unit}: {price.source}" if price is not None else ""
        yield _row(
            impact, "Cost of the electricity", "cost", impact.cost, (1.0, impact.currency or ""), rests_on
        )
    unit = impact.per_unit
    if unit is not None:
        scale = _scale([unit.carbon_g], _GRAMS)
        yield FootprintRow(
            name=f"Per {unit.unit}",
            amount=f"{_amount(unit.carbon_g, scale)} CO2e per {unit.unit}",
            known="estimated",
            rests_on=f"{unit.name}; {unit.boundary}; of {unit.amount:,.6g} {unit.unit}"
            + (f", {unit.counting}" if unit.counting else "")
            + (f"; because: {unit.rationale}" if unit.rationale else ""),
        )
    for one in impact.offsets:
        amount = (
            f"{significant(one.amount, 4)} {one.unit}"
            if one.unit == "kWh"
            else _amount(Estimate(value=one.amount), _scale([Estimate(value=one.amount)], _GRAMS)) + " CO2e"
        )
        yield FootprintRow(
            name=f"{one.kind.capitalize()} (apart)",
            amount=amount,
            known="known",
            rests_on=f"{one.source}; never subtracted",
        )
    for same in impact.equivalents:
        yield FootprintRow(
            name="As much as",
            amount=f"{_figure(same.amount)} {same.what}",
            known="estimated",
            rests_on=same.source,
        )


def _mix(impact: Impact, begins: str) -> str:
    found = next((one for one in impact.assumptions if one.name.startswith(begins)), None)
    return f"{found.value:.3g} {found.unit}, {found.name.rpartition(', ')[2]}" if found is not None else ""


def _in_grams(kilograms: Estimate | None) -> Estimate | None:
    return None if kilograms is None else kilograms.times(1e3)


def _row(
    impact: Impact,
    name: str,
    field: str,
    amount: Estimate | None,
    scale: tuple[float, str],
    rests_on: str,
    of: str = "",
) -> FootprintRow:
    told = None if amount is None else f"{_amount(amount, scale)}{of}"
    known = impact.known.get(field) or (
        "estimated" if field != "water_l" else impact.known.get("water_off_site_l")
    )
    return FootprintRow(name=name, amount=told, known=known, rests_on=rests_on)


_NAMES = {
    "pue": "Cooling and losses",
    "carbon_market_g": "Carbon, market-based",
    "embodied_g": "Making the hardware",
    "embodied_server_g": "Making the host",
    "embodied_primary_energy_j": "Primary energy, hardware",
    "embodied_adpe_kg_sb": "Metals (ADPe), hardware",
    "water_on_site_l": "Water at the site",
    "water_off_site_l": "Water of the electricity",
    "primary_energy_j": "Primary energy, electricity",
    "adpe_kg_sb": "Metals (ADPe), electricity",
    "total_g": "Electricity and hardware",
    "cost": "Cost of the electricity",
}


def _absent(one: NotTold) -> FootprintRow:
    remedy = f". {one.remedy}" if one.remedy else ""
    return FootprintRow(
        name=_NAMES.get(one.figure, one.figure), amount=None, known=None, rests_on=f"{one.reason}{remedy}"
    )


def gaps_in_words(gaps: Sequence[Gap]) -> tuple[str, ...]:
    """Who could make a footprint surer, the largest part of the doubt first, those last of which nothing can be said."""
    ordered = sorted(gaps, key=lambda gap: -(gap.share_of_doubt if gap.share_of_doubt is not None else -1.0))
    found = []
    for gap in ordered:
        if gap.share_of_doubt is None:
            found.append(
                f"{gap.who}: {gap.what} (in no figure so far)"
                if gap.of.startswith(("water", "embodied", "carbon_market"))
                else f"{gap.who}: {gap.what}"
            )
        elif gap.share_of_doubt >= 0.005:
            found.append(f"{gap.who}: {gap.what} ({100 * gap.share_of_doubt:.0f} % of the doubt)")
    return tuple(found)


# -------------------------------------------------------------------------------------------------------- one unit


def _prefixed(unit: str) -> tuple[tuple[float, str], ...]:
    return tuple((factor, f"{prefix}{unit}") for factor, prefix in _PREFIXES)


def _scale(amounts: Iterable[Estimate | None], units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """The one unit for all: such that the largest is told in one to three digits before the point."""
    largest = max((abs(one.value) for one in amounts if one is not None), default=0.0)
    return next(
        ((factor, unit) for factor, unit in units if largest >= factor),
        units[-1] if largest else (1.0, dict(units)[1.0]),
    )


def _amount(amount: Estimate, scale: tuple[float, str]) -> str:
    factor, unit = scale
    return f"{_figure(amount.times(1 / factor))} {unit}"


def _figure(amount: Estimate) -> str:
    half = amount.half_width()
    if reaches_zero(amount):
        return f"below {significant(amount.value + half, 2)}"
    if half < 1e-4 * abs(amount.value) or not half:
        return significant(amount.value, 3)
    return f"{rounded(amount.value, half)} ± {significant(half, 2)}"
