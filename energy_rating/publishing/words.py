"""What is put into words in the same way wherever a person reads it. Values in, words out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from energy_rating.files.imported import OWN
from energy_rating.judging.evidence import gains_in_words
from energy_rating.judging.footprint.carbon import Impact
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.findings import NOT_MEASURED
from energy_rating.nouns.quantities import Estimate, scaled, significant, with_doubt
from energy_rating.nouns.records import Checked, Conversion, Own, Record, WouldBe, Yardstick
from energy_rating.publishing.names import NAMES as NAMES

# What a figure holds, for who does not know the short names.
HOLDS: Mapping[str, str] = {
    "gpu": "graphics card (GPU) only",
    "cpu": "processor (CPU) only",
    "dram": "memory only",
    "module": "the whole module, processor and memory with it",
    "host": "the whole machine",
    "wall": "the whole machine, at the wall plug",
}
NOT_CARBON = "not carbon"

# What a machine has beside the component whose energy is told.
LEAVES_OUT: Mapping[str, str] = {"gpu": "graphics card", "cpu": "processor", "dram": "memory"}

SENSED: Mapping[str, str] = {
    "counter": "by its energy counter",
    "power": "by power readings",
    "model": "estimated by a model",
}

EXAMPLE = "EXAMPLE: this device does not exist"

# What is to be said wherever a record is used that was not made again from its journal.
UNCHECKED: Mapping[Checked, str] = {
    "no-journal": "not checked against a journal",
    "needs-calibration": "not checked against its journal, for which its calibration file is needed",
    "sha256": "not made again from its journal, which is long; its SHA-256 agrees",
    "too-long": "not checked against its journal, which is too long for that",
}

# From half the width of a 90 % interval to that of a 95 % one, of a normal distribution: all intervals that are told are 95 %.
TO_95 = NormalDist().inv_cdf(0.975) / NormalDist().inv_cdf(0.95)

NO_REASON = "the record does not say why"

GRAMS_PER_TONNE = 1e6
TONNES_FROM_G = 1e7


def plural(unit: str, count: float = 2) -> str:
    """The unit as it stands after a number: ``requests``, ``queries``, and ``request`` after a one."""
    if count == 1:
        return unit
    return f"{unit[:-1]}ies" if re.search("[^aeiou]y$", unit) else f"{unit}s"


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
    rests_on = {"normalised": ", converted from another device", "indicative": ", on test items of its own"}
    return f"would be {value.stars} of {MOST_STARS} stars{open_}{rests_on.get(value.basis, '')}"


# ------------------------------------------------------------------------------------------------- what stars rest on


def compared_with(value: Yardstick) -> str:
    """How many models make the class, and which: ``24 models of up to 20 billion parameters``."""
    about = value.about.removeprefix("models ") if value.about.startswith("models ") else f"({value.about})"
    few = "only " if value.few else ""
    return f"{few}{value.models} models {about}"


def population(value: Yardstick) -> str:
    """How well the class is known; what of it is provisional is that only few models were measured."""
    return f"few models to compare with: {value.models}" if value.few else f"based on {value.models} models"


def converted(value: Conversion) -> str:
    """From what, to what, by what factor, and whether that was measured or assumed."""
    how = "assumed" if value.assumed else "measured"
    return f"converted from {value.origin} to {value.target} by × {significant(value.factor, 3)} ({how}: {value.why})"


_OWN: Mapping[Own, str] = {"items": "own test items", "options": "options of the engine's own"}


def measured_on(own: Sequence[Own]) -> str:
    """Why nobody else can compare with a figure: ``measured on own test items, which nobody else can compare with``."""
    if "example" in own:
        return "measured on a device that does not exist"
    told = " and ".join(_OWN[one] for one in own if one in _OWN) or _OWN["items"]
    return f"measured on {told}, which nobody else can compare with"


def against_typical(index: Estimate, yardstick: Yardstick | None) -> str:
    """``32 % less energy than the typical model of its kind``; without a class to name, than the reference."""
    kind = "run" if yardstick is not None and yardstick.unit == "flop" else "model"
    whose = "the reference" if yardstick is None else f"the typical {kind} of its kind"
    told = change(index.value)
    if told == "the same energy":
        return f"as much energy as {whose}"
    return f"{told} {'of' if 'times' in told else 'than'} {whose}"


def typical(yardstick: Yardstick) -> str:
    """``30 J per request``."""
    return f"{scaled(yardstick.typical_j, 'J', 2)} per {yardstick.unit}"


def change_between(low: float, high: float) -> str:
    """An interval of the index as a change of the energy: ``27 to 38 % less``, ``12 % less to 3 % more``."""
    if high >= 10:
        return f"{significant(max(low, 0.0), 3)} to {significant(high, 3)} times the energy"
    percents = [round(100 * (end - 1)) for end in (max(low, 0.0), high)]
    # No run needs no energy: what is rounded to it is not.
    least, most = ("over 99" if percent <= -100 else str(abs(percent)) for percent in percents)
    if percents[1] <= 0:
        return f"{least} % less" if least == most else f"{most} to {least} % less"
    if percents[0] >= 0:
        return f"{most} % more" if least == most else f"{least} to {most} % more"
    return f"{least} % less to {most} % more"


def grams(carbon_g: Estimate) -> str:
    """``1.63 ± 0.13 g``, and tonnes for what is weighed in tonnes."""
    if carbon_g.value >= TONNES_FROM_G:
        return with_doubt(carbon_g.times(1 / GRAMS_PER_TONNE), "t")
    return with_doubt(carbon_g, "g")


def whose_doubt(impact: Impact) -> str:
    """Whose the ± of an amount of carbon is: the energy's, the factor's, the PUE's; and what of it is not known."""
    energy, factor = _share_in_words(impact.carbon_energy_g), impact.factor
    unknown = "how far off the factor is, is not known and not in it"
    if not impact.carbon_factor_g.sigma:
        return f"{energy} is the energy's alone: {unknown}"
    others = [
        *(["the factor's"] if factor.spread_known else []),
        *(["the PUE's"] if _pue_has_range(impact) else []),
    ]
    whole, rest = _share_in_words(impact.carbon_g), _share_in_words(impact.carbon_factor_g)
    parts = f"{whole}: the energy's {energy}, {' and '.join(others)} {rest}"
    if not factor.spread_known:
        return f"{parts}; {unknown}"
    ends = f"{significant(factor.lowest, 3)} to {significant(factor.highest, 3)} g/kWh"
    of = "published are" if factor.vintage is not None else "the range given is"
    return f"{parts} ({of} {ends})"


def _pue_has_range(impact: Impact) -> bool:
    return any(one.name == "PUE" and one.lowest is not None for one in impact.assumptions)


def _share_in_words(amount: Estimate) -> str:
    half, value = amount.half_width(), amount.value
    return f"± {significant(100 * half / value, 2)} %" if value and half else "±"


def factor_in_words(impact: Impact) -> str:
    """What the factor is a mean over: ``mean of 2023``, ``hourly``, ``as given``."""
    if impact.year is not None:
        return f"mean of {impact.year}"
    return "yearly mean" if impact.granularity == "yearly mean" else impact.granularity


def unchecked(record: Record) -> str:
    """What is to be said of a record that was read from a file and not made again from its journal; nothing of any other.

    One that was taken over from another tool's file says so wherever it came from.
    """
    if record.origin == "imported":
        return imported(record)
    if record.checked is None:
        return ""
    said = UNCHECKED.get(record.checked, "")
    if record.checked == "needs-calibration":
        said = "; ".join((said, *gains_in_words(record)))
    return said


def on_hosts(record: Record) -> str:
    """On how many hosts it ran, where it is a record of several: ``, on 4 hosts``."""
    return f", on {record.nodes:,} host{'s' if record.nodes > 1 else ''}" if record.nodes else ""


def imported(record: Record) -> str:
    """From what a record was taken over: ``taken over from a file of CodeCarbon 3.3.2, not measured by energy-rating; …``."""
    told = next((one.data for one in record.findings if one.code == "imported"), {})
    whose = " ".join(str(told[name]) for name in ("tool", "version") if name in told)
    if told.get("tool") == OWN:
        return f"taken over from a table that {whose} exported; no journal stands behind it"
    whose = f"a file of {whose}" if whose else "another tool's file"
    return f"taken over from {whose}, not measured by energy-rating; no journal stands behind it"


def why_not_measured(record: Record, component: str) -> str:
    """Why a component was not measured, in a stranger's words; or that the record does not say."""
    channels = {channel.id for channel in record.channels if channel.component == component}
    for finding in record.findings:
        if finding.code == NOT_MEASURED.get(component) or finding.channel in channels:
            return finding.message
    return NO_REASON
