"""What a data centre adds to the energy of its equipment (PUE), and the water that it takes (WUE): assumptions with a source, applied once.

The power usage effectiveness (ISO/IEC 30134-2) is the energy of the whole site over that of its IT equipment, 1 at least. It multiplies
energy that was measured at the equipment, visibly and once. Energy that holds it already, such as that of a meter in front of the cooling
or of a file in which it was multiplied, is never multiplied again.
"""

from __future__ import annotations

from dataclasses import dataclass

from energy_rating.judging.footprint.factors import CloudRegion, clouds_source
from energy_rating.judging.footprint.given import Given, figure
from energy_rating.judging.footprint.impact import Assumption
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record

HOLDS_PUE = "energy-holds-pue"  # the code of the finding, as of a wall meter behind which the cooling hangs
PUBLISHED = "published"
# What a finding of an import says of a PUE that may be in the energies (files/imports/codecarbon.py).
NOT_KNOWN = "not known"

MOST_PUE = 5.0  # 3 is what the worst sites of the surveys have; beyond that it is a slip
MOST_WUE = 50.0  # L/kWh


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldPue:
    """That an energy holds the PUE already: why, and which it is, where that is known."""

    why: str
    pue: float | None


def held(record: Record, measurement: str, said: str | None = None) -> HeldPue | None:
    """Whether a measurement's energy holds the PUE: as the user says, or as a finding of the record does."""
    if said is not None:
        return HeldPue(why=said, pue=None)
    for finding in record.findings_on(measurement):
        if finding.code == HOLDS_PUE:
            pue = finding.data.get("pue")
            known = isinstance(pue, int | float) and not isinstance(pue, bool) and 1 <= pue <= MOST_PUE
            return HeldPue(why=finding.message, pue=float(pue) if known else None)  # type: ignore[arg-type]
        if finding.data.get("pue") == NOT_KNOWN:
            # Twice would be worse than not at all, and which of both it is, is said.
            return HeldPue(why=f"or may hold it: {finding.message}", pue=None)
    return None


def pue_of(asked: str | float | Given | None, region: CloudRegion | None) -> tuple[Given, Assumption] | None:
    """The PUE that was asked for, ``published`` being what the operator of a cloud's region says of it.

    Raises:
        BadInput: it is below 1, or none is published.
    """
    if asked is None:
        return None
    if asked == PUBLISHED:
        published = region.pue if region is not None else None
        return _published(
            region, published, region.pue_year if region is not None else None, "PUE", "1", "--pue"
        )
    given = figure(asked, place="--pue", least=1.0, most=MOST_PUE, what="a PUE")
    return given, _assumed("PUE", given, "1")


def wue_of(asked: str | float | Given | None, region: CloudRegion | None) -> tuple[Given, Assumption] | None:
    """The water usage effectiveness in litres per kWh of the IT equipment; else as ``pue_of``."""
    if asked is None:
        return None
    if asked == PUBLISHED:
        published = region.wue_l_per_kwh if region is not None else None
        return _published(
            region, published, region.wue_year if region is not None else None, "WUE", "L/kWh", "--wue"
        )
    given = figure(asked, place="--wue", most=MOST_WUE, what="a WUE in L/kWh")
    return given, _assumed("WUE", given, "L/kWh")


def _published(
    region: CloudRegion | None, value: float | None, year: int | None, name: str, unit: str, place: str
) -> tuple[Given, Assumption]:
    if region is None:
        raise BadInput(
            f"a {name} is published of a cloud's region, and none is named",
            "Name it, such as --zone aws:eu-west-1, or give the figure: 1.2@SOURCE",
            place=place,
        )
    if value is None:
        raise BadInput(
            f"{region.operator} publishes no {name} of {region.region} that is known here",
            "Give it: 1.2@SOURCE",
            place=place,
        )
    _, link, read = clouds_source()
    source = f"{region.operator}, {region.region}, {year}"
    given = Given(value=value, source=source)
    return given, Assumption(name=name, value=value, unit=unit, source=source, link=link, read=read)


def _assumed(name: str, given: Given, unit: str) -> Assumption:
    return Assumption(
        name=name,
        value=given.value,
        unit=unit,
        source=given.source,
        lowest=given.lowest,
        highest=given.highest,
    )
