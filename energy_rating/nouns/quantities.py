"""A value and its two kinds of doubt, and how doubt travels through sums and ratios.

*Random* doubt (noise, edges, repeats) is independent from reading to reading: it adds in quadrature and shrinks with
repetition. *Systematic* doubt (a sensor's gain, a model's error) is the same in every reading of one sensor: it never
shrinks by repeating, adds linearly between readings of one sensor, and cancels in their ratio. Both are one standard
deviation, in the unit of the value (GUM, JCGM 100:2008, section 5).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from energy_rating.nouns.errors import STRICT as STRICT

JOULES_PER_KWH = 3.6e6
JOULES_PER_WH = 3.6e3

# A ratio of two floats may come out a few units of the last digit above a threshold that it exactly meets.
ROUNDING = 1e-9

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
            raise ValueError(
                f"random and systematic must be at least 0; got {self.random}, {self.systematic}"
            )

    @property
    def sigma(self) -> float:
        """Both doubts together, 1 σ."""
        return math.hypot(self.random, self.systematic)

    def half_width(self, confidence: float = CONFIDENCE) -> float:
        """Half the width of the interval that holds the truth with this confidence (normal law)."""
        return quantile(confidence) * self.sigma

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Lower and upper end of the interval that holds the truth with this confidence."""
        half = self.half_width(confidence)
        return self.value - half, self.value + half

    def reaching(self, other: Estimate) -> Estimate:
        """The same value with a systematic doubt so large that its interval at 95 % holds all of another's."""
        half = abs(other.value - self.value) + other.half_width()
        sigma = max(self.sigma, half / quantile(CONFIDENCE))
        return replace(self, systematic=math.sqrt(max(sigma**2 - self.random**2, self.systematic**2)))

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


@functools.cache
def quantile(confidence: float) -> float:
    """Half the width of an interval of that confidence, in standard deviations (normal law)."""
    # Imported here: a run that is only measured never asks, and the module takes longer to load than this package.
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + confidence / 2)


def total(estimates: Iterable[Estimate], *, same_sensor: bool) -> Estimate:
    """The sum of all; zero, exactly, for none."""
    result = Estimate(value=0.0)
    for estimate in estimates:
        result = result.plus(estimate, same_sensor=same_sensor)
    return result


# Figures beyond these are written in powers of ten: three hundred digits tell nobody anything.
SMALLEST_PLAIN, LARGEST_PLAIN = 1e-15, 1e21


def significant(value: float, digits: int) -> str:
    """A plain decimal with so many significant digits (``0.00004``, ``1200``); in powers of ten only far beyond any use."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not _is_plain(value):
        return f"{value:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    value = round(value, places)
    # Rounding may have carried into a new digit: 0.0996 to two digits is 0.10.
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(places, 0)}f}"


def rounded(value: float, doubt: float) -> str:
    """A value written to the second significant digit of its doubt; four digits where there is no doubt."""
    if doubt <= 0 or not math.isfinite(doubt):
        return significant(value, 4)
    if not _is_plain(max(abs(value), doubt)) or doubt < SMALLEST_PLAIN:
        apart = math.log10(max(abs(value), doubt)) - math.log10(doubt)
        return significant(value, min(2 + math.floor(apart), 15))
    places = 1 - math.floor(math.log10(doubt))
    places = 1 - math.floor(math.log10(round(doubt, places)))
    return f"{round(value, places):.{max(places, 0)}f}"


def _is_plain(value: float) -> bool:
    return SMALLEST_PLAIN <= abs(value) < LARGEST_PLAIN


_PREFIXES = (
    *((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
    *((1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p")),
)


def scaled(value: float, unit: str, digits: int = 3) -> str:
    """A figure for a person: ``3.02 kJ``, ``41.0 mJ``; beyond ``p`` and ``E`` in powers of ten."""
    size = abs(value)
    for factor, prefix in _PREFIXES:
        # 0.9995 rounds up to the next prefix, so that 1000 J is never printed for 1.00 kJ.
        if factor * 0.9995 <= size < 1e3 * _PREFIXES[0][0]:
            return f"{significant(value / factor, digits)} {prefix}{unit}"
    return f"{value:.{digits - 1}e} {unit}" if size and math.isfinite(size) else f"{value:g} {unit}"


# Half the interval, as a share of the value, from which on it is written as 100 %.
_ALL_OF_IT = 0.995

NEXT_TO_NO_DOUBT = "± less than 0.01 %"


def reaches_zero(amount: Estimate) -> bool:
    """Whether the 95 % interval of an amount that cannot be negative reaches down to zero: only its upper end says anything."""
    half = amount.half_width()
    return half > 0 and half >= _ALL_OF_IT * amount.value


def with_doubt(amount: Estimate, unit: str) -> str:
    """An amount that cannot be negative, for a person, with its 95 % interval: ``2.40 ± 0.20 J``; ``below 32 J``.

    Where the interval reaches down to zero, its upper end alone is told. One prefix is taken for both; ``unit`` carries none.
    """
    value, doubt, unit = with_doubt_in_parts(amount, unit)
    parts = (value, unit, doubt) if doubt == NEXT_TO_NO_DOUBT else (value, doubt, unit)
    return " ".join(part for part in parts if part)


def with_doubt_in_parts(amount: Estimate, unit: str) -> tuple[str, str, str]:
    """The figure, its doubt and its unit: ``("2.40", "± 0.20", "J")``, ``("below 32", "", "J")``."""
    value, half = amount.value, amount.half_width()
    size = max(abs(value), half)
    # Up to 9,999 J the joules stay whole ones, and from 0.1 J on.
    factor, prefix = next(
        (
            (factor, prefix)
            for factor, prefix in _PREFIXES
            if factor * (10 if factor > 1 else 0.1) <= size < 1e4 * _PREFIXES[0][0]
        ),
        (1.0, ""),
    )
    value, half, unit = value / factor, half / factor, f"{prefix}{unit}"
    if half <= 0:
        return _short(value), "", unit
    if reaches_zero(amount):
        return f"below {_raised(max(value + half, 0.0))}", "", unit
    if half < 1e-4 * abs(value):
        # Nothing that is known so well is measured by a sensor; it is told, and not in a dozen digits.
        return _short(value, 5), NEXT_TO_NO_DOUBT, unit
    return rounded(value, half), f"± {significant(half, 2)}", unit


def _short(value: float, digits: int = 4) -> str:
    """Without the zeros at the end."""
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _raised(value: float) -> str:
    """To two digits upwards: what is below 1.94 is not said to be below 1.9."""
    if not _is_plain(value):
        return significant(value, 2)
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return significant(math.ceil(value / step - 1e-9) * step, 2)


def duration(seconds: float) -> str:
    """A time for a person: ``840 µs``, ``41.0 ms``, ``61.2 s``, ``5 min 32 s``, ``1 h 30 min``."""
    if seconds < 119.5:
        # Seconds have no k, and a thousandth of a prefix rounds up as in ``scaled``.
        return scaled(seconds, "s") if seconds < 0.9995 else f"{significant(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 1e6:
        return f"{significant(seconds / 3600, 3)} h"
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
