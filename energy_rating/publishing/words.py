"""What is put into words in the same way wherever a person reads it. Values in, words out."""

from __future__ import annotations

from collections.abc import Mapping

from energy_rating.judging.evidence import gains_in_words
from energy_rating.nouns.findings import NOT_MEASURED
from energy_rating.nouns.quantities import Estimate, significant, with_doubt
from energy_rating.nouns.records import Checked, Record, WouldBe

NAMES = {"gpu": "GPU", "cpu": "CPU", "dram": "memory", "module": "module", "host": "host", "wall": "wall"}

EXAMPLE = "EXAMPLE: this device does not exist"

# What is to be said wherever a record is used that was not made again from its journal.
UNCHECKED: Mapping[Checked, str] = {
    "no-journal": "not checked against a journal",
    "needs-calibration": "not checked against its journal, for which its calibration file is needed",
    "sha256": "not made again from its journal, which is long; its SHA-256 agrees",
    "too-long": "not checked against its journal, which is too long for that",
}

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


def unchecked(record: Record) -> str:
    """What is to be said of a record that was read from a file and not made again from its journal; nothing of any other."""
    if record.checked is None:
        return ""
    said = UNCHECKED.get(record.checked, "")
    if record.checked == "needs-calibration":
        said = "; ".join((said, *gains_in_words(record)))
    return said


def checked_as(text: str) -> Checked | None:
    """What a text that was made from a record says of how that was checked; None where it says nothing."""
    return next((checked for checked, told in UNCHECKED.items() if told in text), None)


def why_not_measured(record: Record, component: str) -> str:
    """Why a component was not measured, in a stranger's words; or that the record does not say."""
    channels = {channel.id for channel in record.channels if channel.component == component}
    for finding in record.findings:
        if finding.code == NOT_MEASURED.get(component) or finding.channel in channels:
            return finding.message
    return NO_REASON
