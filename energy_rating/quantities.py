"""A value and its two kinds of doubt, and how doubt travels through sums and ratios.

*Random* doubt (noise, edges, repeats) is independent from reading to reading: it adds in quadrature and shrinks with
repetition. *Systematic* doubt (a sensor's gain, a model's error) is the same in every reading of one sensor: it never
shrinks by repeating, adds linearly between readings of one sensor, and cancels in their ratio. Both are one standard
deviation, in the unit of the value (GUM, JCGM 100:2008, section 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

JOULES_PER_KWH = 3.6e6
JOULES_PER_WH = 3.6e3

# Read by pydantic in ``formats``: without it, a dataclass takes unknown keys in silence.
STRICT = {"extra": "forbid", "allow_inf_nan": False}

CONFIDENCE = 0.95  # of every interval that is printed or that decides


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A value with its random and its systematic doubt, both 1 σ in the unit of the value.

    Raises:
        ValueError: a part is not finite, or a doubt is negative.
    """

    __pydantic_config__ = STRICT

    value: float
    random: float = 0.0
    systematic: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.random) and math.isfinite(self.systematic)):
            raise ValueError(f"an estimate must be finite: {self.value}, {self.random}, {self.systematic}")
        if self.random < 0 or self.systematic < 0:
            raise ValueError(f"a doubt cannot be negative: {self.random}, {self.systematic}")

    @property
    def sigma(self) -> float:
        """Both doubts together, 1 σ."""
        return math.hypot(self.random, self.systematic)

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """Half the width of the interval that holds the truth with this confidence (normal law)."""
        return NormalDist().inv_cdf(0.5 + confidence / 2) * self.sigma

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Lower and upper end of the interval that holds the truth with this confidence."""
        half = self.half_width(confidence)
        return self.value - half, self.value + half

    def plus(self, other: Estimate, *, same_sensor: bool) -> Estimate:
        """The sum. ``same_sensor``: both share one gain, so their systematic doubts add linearly."""
        return Estimate(
            value=self.value + other.value,
            random=math.hypot(self.random, other.random),
            systematic=self.systematic + other.systematic
            if same_sensor
            else math.hypot(self.systematic, other.systematic),
        )

    def minus(self, other: Estimate, *, same_sensor: bool) -> Estimate:
        """The difference. With one sensor the shared gain acts on the difference only."""
        return Estimate(
            value=self.value - other.value,
            random=math.hypot(self.random, other.random),
            systematic=abs(self.systematic - other.systematic)
            if same_sensor
            else math.hypot(self.systematic, other.systematic),
        )

    def times(self, factor: float) -> Estimate:
        """The product with an exact number, such as a count."""
        return Estimate(
            value=self.value * factor,
            random=self.random * abs(factor),
            systematic=self.systematic * abs(factor),
        )

    def over(self, other: Estimate, *, same_sensor: bool) -> Estimate:
        """The ratio, to first order. With one sensor the shared relative gain cancels.

        Raises:
            ZeroDivisionError: ``other`` is zero.
        """
        value = self.value / other.value
        relative = self.systematic / other.value, value * other.systematic / other.value
        return Estimate(
            value=value,
            random=math.hypot(self.random / other.value, value * other.random / other.value),
            systematic=abs(relative[0] - relative[1]) if same_sensor else math.hypot(*relative),
        )

    def __str__(self) -> str:
        return f"{rounded(self.value, self.half_width())} ± {significant(self.half_width(), 2)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyPerUnit(Estimate):
    """Joules per unit of work, of one component; prints as ``0.0312 ± 0.0026 J (gpu)``."""

    unit: str
    component: str
    estimated: bool = False

    def __str__(self) -> str:
        origin = f"{self.component}, estimated" if self.estimated else self.component
        return f"{Estimate.__str__(self)} J ({origin})"


def total(estimates: Iterable[Estimate], *, same_sensor: bool) -> Estimate:
    """The sum of all; zero, exactly, for none."""
    result = Estimate(value=0.0)
    for estimate in estimates:
        result = result.plus(estimate, same_sensor=same_sensor)
    return result


def significant(value: float, digits: int) -> str:
    """A plain decimal with so many significant digits; never in powers of ten (``0.00004``, ``1200``)."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    value = round(value, places)
    # Rounding may have carried into a new digit: 0.0996 to two digits is 0.10.
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(places, 0)}f}"


def rounded(value: float, doubt: float) -> str:
    """A value written to the second significant digit of its doubt; four digits where there is no doubt."""
    if doubt <= 0 or not math.isfinite(doubt):
        return significant(value, 4)
    places = 1 - math.floor(math.log10(doubt))
    places = 1 - math.floor(math.log10(round(doubt, places)))
    return f"{round(value, places):.{max(places, 0)}f}"


_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


def scaled(value: float, unit: str, digits: int = 3) -> str:
    """A figure for a person: ``3.02 kJ``, ``41 mJ``."""
    size = abs(value)
    for factor, prefix in _PREFIXES:
        # 0.9995 rounds up to the next prefix, so that 1000 J is never printed for 1.00 kJ.
        if size >= factor * 0.9995:
            return f"{significant(value / factor, digits)} {prefix}{unit}"
    return f"{significant(value, digits)} {unit}"
