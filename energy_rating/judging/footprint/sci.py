"""Carbon per functional unit, and whether it may bear a standard's name: the Software Carbon Intensity (ISO/IEC 21031), and SCI for AI.

A score is called so only where everything that its standard demands ("shall") is there; otherwise it is what it is: operational carbon per
request. Sources: SCI specification (github.com/Green-Software-Foundation/sci, SPEC.md at 29cab98), SCI for AI
(github.com/Green-Software-Foundation/sci-ai, SPEC.md at 4b7c0f7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from energy_rating.judging.footprint.impact import Demand, PerUnit
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import MEASURED, TRAINING, Measurement, Record

Counting = Literal["gross", "effective"]
COUNTINGS: tuple[Counting, ...] = ("gross", "effective")

SCI, SCI_CONSUMER, SCI_PROVIDER = "SCI (ISO/IEC 21031)", "SCI for AI, consumer", "SCI for AI, provider"

# SPEC.md of SCI for AI, 8.1 and 8.2, by the names under which work is counted here.
CONSUMER_UNITS = (
    *("token", "image", "second", "audio_second", "video_second", "request", "inference", "workflow", "page"),
    *("character", "item"),
)
PROVIDER_UNITS = ("flop", "token", "training_token", "parameter")


def sci(
    record: Record,
    measured: Measurement,
    *,
    unit: str,
    operational_g: Estimate,
    embodied_g: Estimate | None,
    components: Sequence[str],
    missing: Sequence[str],
    has_pue: bool,
    intensity_g_per_kwh: float | None = None,
    rationale: str | None = None,
    counting: Counting | None = None,
) -> PerUnit:
    """Grams of CO2e for each unit of work, with the name that they may bear.

    ``operational_g`` is location-based; market-based figures and offsets have no way in. An intensity of 0 g/kWh, which the user gave as
    that of the grid, is a contract's: no grid has it, since life cycles are in it, and the standard's name is not for it.

    Raises:
        BadInput: no such unit was counted, or ``counting`` is no word of the standard.
    """
    if counting is not None and counting not in COUNTINGS:
        raise BadInput(f"must be gross or effective; got {counting!r:.40}", place="--counting")
    amount, known = _amount(record, measured, unit)
    training = record.stage in TRAINING
    embodied = embodied_g is not None
    carbon = operational_g.plus(embodied_g, same_sensor=False) if embodied_g is not None else operational_g
    iso = (
        Demand(
            what="embodied emissions are in it",
            held=embodied,
            why="the share of making the hardware"
            if embodied
            else "no figure of making this hardware is published",
        ),
        Demand(
            what="the grid's intensity is location-based",
            held=intensity_g_per_kwh != 0,
            why="market-based figures stand apart"
            if intensity_g_per_kwh != 0
            else "no grid's mean is 0 g/kWh: the figure of a contract is --market",
        ),
        Demand(
            what="all that draws much is inside its boundary",
            held=not missing,
            why=f"not measured: {', '.join(missing)}"
            if missing
            else "the whole machine, or all of its parts",
        ),
        Demand(
            what="the functional unit and the reason for it are told",
            held=rationale is not None,
            why=rationale or "say why this unit: --because",
        ),
    )
    units = PROVIDER_UNITS if training else CONSUMER_UNITS
    ai = (
        Demand(
            what="the functional unit is one of the standard's for this stage",
            held=unit in units and record.stage != "other",
            why=f"{unit}, stage {record.stage}",
        ),
        Demand(
            what="gross or effective is said",
            held=counting is not None,
            why=counting or "say which the amount is: --counting gross or effective",
        ),
        Demand(
            what="all runs are in it",
            held=not training,
            why="one run of a training: see all of them with: energy-rating life"
            if training
            else "training belongs to the provider's score",
        ),
    )
    name = (
        f"operational carbon per {known}" if not embodied else f"operational and embodied carbon per {known}"
    )
    if all(one.held for one in iso):
        name = SCI
        if all(one.held for one in ai):
            name = SCI_PROVIDER if training else SCI_CONSUMER
    parts = f"{', '.join(components)} of the machine"
    left_out = ["cooling and losses of the data centre (no PUE)"] if not has_pue else []
    left_out += [f"{one} (not measured)" for one in missing]
    left_out += ["storage and network outside of it"]
    return PerUnit(
        name=name,
        unit=known,
        carbon_g=carbon.times(1 / amount),
        amount=amount,
        embodied=embodied,
        boundary=f"{parts}; not in it: {', '.join(left_out)}",
        rationale=rationale,
        counting=counting,
        conditions=(*iso, *ai),
    )


def _amount(record: Record, measured: Measurement, unit: str) -> tuple[float, str]:
    """How many units were counted, and their name. Parameters are the model's, and not counted while it runs."""
    if unit == "parameter" and record.model is not None and record.model.parameters:
        return float(record.model.parameters), unit
    counted = "token" if unit == "training_token" else unit
    amount = measured.work.divisor(counted)
    if amount is None:
        names = ", ".join(name for name, number in measured.work.items() if number)
        others = [one.name for one in record if one.work.divisor(counted) is not None]
        elsewhere = MEASURED if MEASURED in others else next(iter(others), None)
        remedy = f"Counted are: {names or 'none'}"
        if elsewhere is not None:
            remedy = f"It was in {elsewhere!r}: --measurement {elsewhere}"
        raise BadInput(f"no {unit[:40]!r} was counted in {measured.name!r}", remedy, place="--per")
    return float(amount), unit
