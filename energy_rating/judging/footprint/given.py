"""What a user brings to a footprint: figures with their source, as they are written (``1.2@operator's report 2025``), and amounts with a unit.

A figure that decides what is told needs its source; where none is named, it is said that there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from energy_rating.files.withheld import without_secrets
from energy_rating.nouns.entries import LONGEST_WORD
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import CONFIDENCE, Estimate, quantile

UNSOURCED = "as the user says, no source named"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_GRAMS = {"g": 1.0, "kg": 1e3, "t": 1e6}
_CURRENCY = re.compile(r"[A-Z]{3}")

# No amount, price or factor of this world is larger, in any of the units that are taken.
MOST = 1e15


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A figure with its source, and where one is told, the range that it stands for."""

    value: float
    source: str
    lowest: float | None = None
    highest: float | None = None

    @property
    def estimate(self) -> Estimate:
        """The figure, with a doubt whose 95 % interval holds its range; without a range, none is known."""
        return ranged(self.value, self.value if self.lowest is None else self.lowest, self.highest)

    @property
    def is_sourced(self) -> bool:
        return self.source != UNSOURCED


def ranged(value: float, lowest: float, highest: float | None = None) -> Estimate:
    """A figure whose 95 % interval holds all from ``lowest`` to ``highest``."""
    half = max(value - lowest, (value if highest is None else highest) - value, 0.0)
    return Estimate(value=value, systematic=half / quantile(CONFIDENCE))


def product(one: Estimate, other: Estimate) -> Estimate:
    """The product of two figures that know nothing of each other, to first order."""
    value = one.value * other.value
    return Estimate(
        value=value,
        random=((one.random * other.value) ** 2 + (other.random * one.value) ** 2) ** 0.5,
        systematic=((one.systematic * other.value) ** 2 + (other.systematic * one.value) ** 2) ** 0.5,
    )


def figure(
    text: str | float | Given,
    *,
    place: str,
    least: float = 0.0,
    most: float = MOST,
    what: str,
    sourced: bool = False,
) -> Given:
    """A figure as it is written: ``1.2``, ``1.2@source``, ``1.1..1.3@source`` (its middle, and the range as its doubt).

    Raises:
        BadInput: it is no number, lies outside of what it can be, or names no source where one is needed.
    """
    if isinstance(text, Given):
        found = text
    elif isinstance(text, str):
        found = _written(text, place, what)
    elif isinstance(text, int | float) and not isinstance(text, bool):
        found = Given(value=float(text), source=UNSOURCED)
    else:
        raise BadInput(f"must be {what}; got {type(text).__name__}", "Such as 53@source", place=place)
    for value in (found.value, found.lowest, found.highest):
        if value is not None and not least <= value <= most:
            bounds = (
                f"at least {least:g}" if most == MOST and value < least else f"from {least:g} to {most:g}"
            )
            raise BadInput(f"{what} must be {bounds}; got {value:g}", place=place)
    if found.lowest is not None and found.highest is not None and found.lowest > found.highest:
        raise BadInput(f"a range must begin with its lower end; got {text}", place=place)
    if sourced and not found.is_sourced:
        raise BadInput(
            f"{what} must name its source; got {found.value:g} alone",
            f"Write {found.value:g}@SOURCE",
            place=place,
        )
    return found


def _written(text: str, place: str, what: str) -> Given:
    number, at, source = text.partition("@")
    said = _source(source, place) if at else UNSOURCED
    first, dots, last = number.partition("..")
    ends = [one.strip() for one in ((first, last) if dots else (first,))]
    if not all(_NUMBER.fullmatch(one) for one in ends):
        raise BadInput(
            f"must be {what}, a number with its source; got {text[:60]!r}",
            "Such as 1.2@SOURCE, or as a range 1.1..1.3@SOURCE",
            place=place,
        )
    if not dots:
        return Given(value=float(ends[0]), source=said)
    lowest, highest = float(ends[0]), float(ends[1])
    return Given(value=(lowest + highest) / 2, source=said, lowest=lowest, highest=highest)


def _source(text: str, place: str) -> str:
    said = without_secrets(" ".join(text.split()))
    if not said or not said.isprintable() or len(said) > LONGEST_WORD:
        raise BadInput(
            f"a source must be a short text; got {text[:40]!r}",
            "Such as 53@our supplier's letter of 2026",
            place=place,
        )
    return said


def grams(text: str, *, place: str) -> Given:
    """An amount of carbon with its unit and source: ``1.2kg@registry entry``.

    Raises:
        BadInput: it has no unit, no source, or is below zero.
    """
    amount, _, _ = text.partition("@")
    unit = next((unit for unit in ("kg", "g", "t") if amount.strip().endswith(unit)), None)
    if unit is None:
        raise BadInput(
            f"must be an amount in g, kg or t; got {text[:60]!r}", "Such as 1.2kg@SOURCE", place=place
        )
    number = amount.strip()[: -len(unit)].strip()
    found = figure(number + text[len(amount) :], place=place, what="an amount of carbon", sourced=True)
    return Given(value=found.value * _GRAMS[unit], source=found.source)


def price(text: str, *, place: str = "--price") -> tuple[Given, str]:
    """The price of a kilowatt-hour, and its currency: ``0.25EUR``, ``0.25 EUR@contract``.

    Raises:
        BadInput: it names no currency by three letters, or is below zero.
    """
    amount, at, source = text.partition("@")
    amount = amount.strip()
    currency = amount[-3:]
    if not _CURRENCY.fullmatch(currency):
        raise BadInput(
            f"a price must name its currency by three letters (ISO 4217); got {amount[:40]!r}",
            "Such as 0.25EUR, the price of a kilowatt-hour",
            place=place,
        )
    return figure(f"{amount[:-3].strip()}{at}{source}", place=place, what="a price per kWh"), currency
