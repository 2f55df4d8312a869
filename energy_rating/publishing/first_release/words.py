"""What 0.1.0 put into words in the same way on label and card."""

from __future__ import annotations

from energy_rating.nouns import quantities
from energy_rating.nouns.quantities import Estimate, significant
from energy_rating.nouns.records import WouldBe

EXAMPLE = "EXAMPLE: this device does not exist"
NO_RATING = "this is no rating: it says what the same energy would earn if nothing were missing"


def change(index: float) -> str:
    """What an index says of the energy, against the reference's: ``40 % less energy``."""
    percent = round(100 * (index - 1))
    if percent == 0:
        return "the same energy"
    if percent > 0:
        return f"{percent} % more energy" if index < 10 else f"{significant(index, 3)} times the energy"
    return f"{-percent} % less energy" if percent > -100 else "over 99 % less energy"


def would_be(value: WouldBe) -> str:
    """What the stars of what is not rated would be, in digits."""
    low, high = value.could_be
    open_ = f" (could be {low}–{high})" if low != high else ""
    rests_on = f", {value.basis}" if value.basis != "measured" else ""
    return f"provisional — would be {value.stars} of 5 stars{open_}{rests_on}"


def with_doubt(amount: Estimate, unit: str) -> str:
    """``2.40 ± 0.20 J``; of an interval that reaches down to zero its upper end: ``under 32 J``."""
    text = quantities.with_doubt(amount, unit)
    return f"under {text.removeprefix('below ')}" if text.startswith("below ") else text


def with_doubt_in_parts(amount: Estimate, unit: str) -> tuple[str, str, str]:
    value, doubt, unit = quantities.with_doubt_in_parts(amount, unit)
    return (f"under {value.removeprefix('below ')}" if value.startswith("below ") else value), doubt, unit
