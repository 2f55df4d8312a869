"""A report of the Software Carbon Intensity (ISO/IEC 21031) and of SCI for AI: the score, and everything that they demand beside it.

It is worked out in the footprint and printed here. A score bears the standard's name only where every *shall* holds; otherwise it is
called what it is, and the report says which demand does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from energy_rating.judging.footprint.impact import Impact, PerUnit
from energy_rating.nouns.quantities import JOULES_PER_WH, with_doubt
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.subject import JOULES_PER_KWH, Exported, FormGap, Subject, fixed, json_text
from energy_rating.version import __version__

VARIANTS = ("markdown", "json")
MANY = True


def export(subjects: Sequence[Subject], variant: str) -> Exported:
    """A section, or an object, for each record."""
    gaps: list[FormGap] = []
    if variant == "json":
        content = json_text([_entry(subject, gaps) for subject in subjects])
        return Exported(content=content, gaps=tuple(gaps))
    lines = ["# Software Carbon Intensity", ""]
    for subject in subjects:
        lines += [*_section(subject, gaps), ""]
    lines.append(
        f"“±” is half the 95 % interval. Location-based; offsets, certificates and contracts are in no score. Made by energy-rating {__version__}."
    )
    return Exported(content="\n".join(lines) + "\n", gaps=tuple(gaps))


def _score(subject: Subject, gaps: list[FormGap]) -> tuple[Impact, PerUnit] | None:
    impact = subject.impact
    if impact is None:
        gaps.append(FormGap(field="I, the grid's carbon intensity", fill=subject.why_no_impact))
        return None
    if impact.per_unit is None:
        gaps.append(
            FormGap(
                field="R, the functional unit",
                fill="work that was counted, as requests or tokens: --count, or --per UNIT",
            )
        )
        return None
    gaps += [
        FormGap(field=demand.what, fill=demand.why)
        for demand in impact.per_unit.conditions
        if not demand.held
    ]
    return impact, impact.per_unit


def _section(subject: Subject, gaps: list[FormGap]) -> Iterator[str]:
    run = for_markdown(subject.record.run_id, 80)
    yield f"## {for_markdown(subject.name or 'model not named')}, {subject.record.stage}, run {run}"
    yield ""
    if subject.facts.example:
        yield "**An example: this device does not exist.**"
        yield ""
    before = len(gaps)
    found = _score(subject, gaps)
    if found is None:
        yield f"No score: {for_markdown(str(gaps[before]), 500)}."
        return
    impact, per = found
    drawn = subject.energy
    yield "| What | Value |"
    yield "|---|---|"
    yield f"| **{for_markdown(per.name)}** | {with_doubt(per.carbon_g, 'g')} CO2e per {for_markdown(per.unit)} |"
    yield f"| Functional unit (R) | {for_markdown(per.unit)}, of which {fixed(per.amount)} |"
    yield f"| Rationale | {for_markdown(per.rationale, 500) if per.rationale else 'not told: --because'} |"
    yield f"| Gross or effective | {per.counting or 'not told: --counting'} |"
    yield f"| Energy (E) | {with_doubt(impact.energy_j.times(1 / JOULES_PER_WH), 'Wh')}{f' ({for_markdown(drawn.said())})' if drawn is not None else ''} |"
    yield f"| Carbon intensity (I) | {fixed(impact.intensity_g_per_kwh)} g/kWh, location-based, {for_markdown(impact.zone_name or impact.zone)} ({for_markdown(impact.source, 500)}) |"
    yield f"| PUE | {fixed(impact.pue) if impact.pue is not None else 'not in it'} |"
    yield f"| Operational carbon (E × I) | {with_doubt(impact.carbon_g, 'g')} |"
    made = (
        with_doubt(impact.embodied_g, "g")
        if impact.embodied_g is not None
        else "not in it: " + for_markdown(impact.why_absent("embodied_g") or "not known", 500)
    )
    yield f"| Embodied carbon (M) | {made} |"
    yield f"| Software boundary | {for_markdown(per.boundary, 1000)} |"
    for demand in per.conditions:
        yield f"| {'Holds' if demand.held else '**Does not hold**'}: {for_markdown(demand.what)} | {for_markdown(demand.why, 500)} |"
    if subject.record.origin != "imported":
        yield f"| Journal, SHA-256 | <code>{for_markdown(subject.record.provenance.journal_sha256)}</code> |"


def _entry(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    before = len(gaps)
    found = _score(subject, gaps)
    told: dict[str, Any] = {
        "run": for_plain_text(subject.record.run_id, 80),
        "model": subject.name,
        "stage": subject.record.stage,
        "example": subject.facts.example,
    }
    if found is None:
        return {**told, "score": None, "why_not": str(gaps[before])}
    impact, per = found
    return {
        **told,
        "score": {
            "name": per.name,
            "g_co2e_per_unit": per.carbon_g.value,
            "half_width_95": per.carbon_g.half_width(),
        },
        "functional_unit": {"unit": per.unit, "amount": per.amount, "rationale": per.rationale},
        "counting": per.counting,
        "energy_kwh": impact.energy_j.value / JOULES_PER_KWH,
        "intensity_g_per_kwh": impact.intensity_g_per_kwh,
        "intensity_basis": "location-based",
        "zone": impact.zone,
        "pue": impact.pue,
        "operational_g": impact.carbon_g.value,
        "embodied_g": impact.embodied_g.value if impact.embodied_g is not None else None,
        "boundary": per.boundary,
        "demands": [{"what": one.what, "held": one.held, "why": one.why} for one in per.conditions],
    }
