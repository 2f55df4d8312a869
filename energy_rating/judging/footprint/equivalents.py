"""An amount of carbon as things of every day. Off unless asked for: they say how large something is, and nothing of how good it is."""

from __future__ import annotations

from dataclasses import dataclass

from energy_rating.judging.footprint.given import ranged
from energy_rating.judging.footprint.impact import Equivalent
from energy_rating.nouns.quantities import Estimate

_EPA = "https://www.epa.gov/energy/greenhouse-gas-equivalencies-calculator-calculations-and-references"
_KM_PER_MILE = 1.609344


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    what: str
    grams: float
    lowest: float
    highest: float
    source: str


# US EPA, Greenhouse Gas Equivalencies Calculator, Calculations and References, as quoted in 2024 to 2026; the ends are what the same page
# said in earlier years. Both are means of the United States.
_THINGS = (
    _Thing(
        what="km in an average passenger car of the United States",
        grams=393 / _KM_PER_MILE,
        lowest=393 / _KM_PER_MILE,
        highest=403 / _KM_PER_MILE,
        source="US EPA: 3.93e-4 t CO2e a mile (earlier 4.03e-4)",
    ),
    _Thing(
        what="charges of a smartphone on the grid of the United States",
        grams=12.4,
        lowest=8.22,
        highest=12.4,
        source="US EPA: 1.24e-5 t CO2 a charge (earlier 8.22e-6)",
    ),
)


def equivalents(carbon_g: Estimate) -> tuple[Equivalent, ...]:
    """The same amount in each of the things, with the doubt of both."""
    return tuple(
        Equivalent(
            amount=carbon_g.over(ranged(one.grams, one.lowest, one.highest), same_sensor=False),
            what=one.what,
            source=one.source,
            link=_EPA,
        )
        for one in _THINGS
    )
