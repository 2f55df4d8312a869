"""What is put into words in the same way wherever a person reads it. Values in, words out."""

from __future__ import annotations

from energy_rating.quantities import Estimate, significant, with_doubt
from energy_rating.records import Record, WouldBe

NAMES = {"gpu": "GPU", "cpu": "CPU", "dram": "memory", "module": "module", "host": "host", "wall": "wall"}

EXAMPLE = "EXAMPLE: this device does not exist"

NO_REASON = "the record does not say why"

GRAMS_PER_TONNE = 1e6
TONNES_FROM_G = 1e7


def change(index: float) -> str:
    """What an index says of the energy, against the reference's: ``40 % less energy``."""
    percent = round(100 * (index - 1))
    if percent == 0:
        return "the same energy"
    if percent > 0:
        return f"{percent} % more energy" if index < 10 else f"{significant(index, 3)} times the energy"
    # No run needs no energy: what is rounded to it is not.
    return f"{-percent} % less energy" if percent > -100 else "over 99 % less energy"


NO_RATING = "this is no rating: it says what the same energy would earn if nothing were missing"


def would_be(value: WouldBe) -> str:
    """What the stars of what is not rated would be. In digits: stars are drawn only for what is rated."""
    low, high = value.could_be
    open_ = f" (could be {low}–{high})" if low != high else ""
    rests_on = f", {value.basis}" if value.basis != "measured" else ""
    return f"provisional — would be {value.stars} of 5 stars{open_}{rests_on}"


def grams(carbon_g: Estimate) -> str:
    """``1.63 ± 0.13 g``, and tonnes for what is weighed in tonnes."""
    if carbon_g.value >= TONNES_FROM_G:
        return with_doubt(carbon_g.times(1 / GRAMS_PER_TONNE), "t")
    return with_doubt(carbon_g, "g")


def why_not_measured(record: Record, component: str) -> str:
    """Why a component was not measured, in a stranger's words; or that the record does not say."""
    channels = {channel.id for channel in record.channels if channel.component == component}
    for finding in record.findings:
        if finding.code == f"{component}-not-measured" or finding.channel in channels:
            return finding.message
    return NO_REASON
