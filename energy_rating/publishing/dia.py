"""A card's ``dia_report`` (Data and Impact Accounting, schema 0.1): what making this model took, of its own runs alone.

Keys and words from ``schema/dia_schema.json`` of the package ai-impact-accounting 0.1.0 (Vector Institute, Apache-2.0, 2026-07). ``scope`` is
always ``incremental``: what the ancestors took stands in their own cards. A figure with a doubt is told as the ends of its 95 % interval,
which the schema allows, and which their readers add up as they are. All runs of the model that are there count. What is not known is
left out: their own tool writes zeros for it. Keys beside the schema's, which it allows: ``dia_version``, ``components``, ``runs``, ``pue``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from energy_rating.files.imports.dia import report_in as report_in
from energy_rating.judging.footprint.carbon import Impact, components_of
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate, significant, total
from energy_rating.nouns.records import RUN, TRAINING, Record
from energy_rating.publishing.facts import facts_of
from energy_rating.publishing.splice import Item
from energy_rating.publishing.strangers import for_plain_text

KEY = "dia_report"
VERSION = "0.1"
DIGITS = 4


def report(records: Sequence[Record], impacts: Sequence[Impact | None] = ()) -> dict[str, Item]:
    """What one model's trainings took in all, as the card's ``dia_report``.

    Args:
        records: runs of one model; those that are no training are left out.
        impacts: as many as records, or none: carbon and water stand in the report where every training has them.

    Raises:
        BadInput: there is no training among them, they are of several models or bases, one is there twice or is invalid.
    """
    told = list(impacts) or [None] * len(records)
    pairs = [
        (record, impact) for record, impact in zip(records, told, strict=True) if record.stage in TRAINING
    ]
    trainings = [record for record, _ in pairs]
    _refuse(trainings)
    energies = [_energy(record) for record in trainings]
    energy = total((one for one, _ in energies), same_sensor=True)
    measured = all(sensed for _, sensed in energies)
    footprint: dict[str, Item] = {
        "energy_kwh": _metric(
            energy.times(1 / JOULES_PER_KWH), "measured" if measured else "estimated-from-hardware"
        )
    }
    context: dict[str, Item] = {
        "components": list(dict.fromkeys(name for one in trainings for name in _components(one)))
    }
    found = [impact for _, impact in pairs if impact is not None]
    if len(found) == len(pairs):
        footprint["carbon_kgco2eq"] = _metric(
            total((one.carbon_g for one in found), same_sensor=True).times(1e-3), "estimated-from-region"
        )
        water = [one.water_l for one in found if one.water_l is not None]
        if len(water) == len(found):
            footprint["water_liters"] = _metric(total(water, same_sensor=True), "estimated-from-region")
        context |= _context(found)
    version = re.sub(r"[\s,]+", "-", for_plain_text(trainings[0].provenance.version, 40)) or "unknown"
    more = f" and {len(trainings) - 1} more" if len(trainings) > 1 else ""
    entry: dict[str, Item] = {"dia_version": VERSION, "scope": "incremental"}
    lineage = next((record.lineage for record in trainings if record.lineage is not None), None)
    if lineage is not None and lineage.base_model is not None:
        made = {"relation": str(lineage.relation)} if lineage.relation is not None else {}
        entry["lineage"] = [{"model": for_plain_text(lineage.base_model, 200), **made}]
    entry["compute"] = _compute(trainings)
    entry["footprint"] = footprint
    entry["context"] = context
    entry["runs"] = len(trainings)
    entry["tool"] = f"energy-rating {version}, run {for_plain_text(trainings[0].run_id, 80)}{more}"
    return {name: value for name, value in entry.items() if value}


def _refuse(trainings: Sequence[Record]) -> None:
    if not trainings:
        raise BadInput(
            "a dia_report tells what making a model took, and no training is among the runs",
            "Name the record of a training",
            place="--dia-report",
        )
    models = {record.model.id if record.model is not None else None for record in trainings}
    bases = {
        record.lineage.base_model
        for record in trainings
        if record.lineage is not None and record.lineage.base_model is not None
    }
    for what, named in (("model", models), ("base", bases)):
        if len(named) > 1:
            listed = ", ".join(sorted("none" if one is None else repr(one[:60]) for one in named))
            raise BadInput(
                f"a dia_report is of one model with one {what}; the trainings name {listed[:300]}"
                if what == "base"
                else f"a dia_report is of one model; the trainings are of {listed[:300]}",
                "Write a card for each",
                place="--dia-report",
            )
    (twice,) = Counter(record.run_id for record in trainings).most_common(1)
    if twice[1] > 1:
        raise BadInput(f"the run {twice[0]} is there twice", "Name each run once", place="--dia-report")
    for record in trainings:
        if RUN not in record or not _components(record):
            raise BadInput(
                f"no energy was measured in the run {record.run_id}",
                "Leave it out, or measure it again",
                place="--dia-report",
            )
        if record[RUN].validity == "invalid":
            raise BadInput(
                f"the run {record.run_id} is invalid: its energy is a part of what it took, or none",
                "Leave it out, or measure it again",
                place="--dia-report",
            )


def _components(record: Record) -> tuple[str, ...]:
    return components_of(record[RUN]) if RUN in record else ()


def _energy(record: Record) -> tuple[Estimate, bool]:
    """The energy of a whole run, and whether all of it came from sensors of ours."""
    run = record[RUN]
    names = _components(record)
    row = next((one for one in facts_of(record).rows if one.measurement.name == RUN), None)
    parts = [row.part(name) if row is not None else None for name in names]
    sensed = all(part is not None and part.method is not None and part.origin == "measured" for part in parts)
    return total((run.energy_j[name] for name in names), same_sensor=False), sensed


def _metric(estimate: Estimate, quality: str) -> dict[str, Item]:
    low, high = estimate.interval()
    ends = (_number(max(low, 0.0)), _number(high))
    value: Item = _number(estimate.value) if ends[0] == ends[1] else list(ends)
    return {"value": value, "quality": quality}


def _number(value: float) -> float:
    return float(significant(value, DIGITS)) if value else 0.0


def _compute(trainings: Iterable[Record]) -> dict[str, Item]:
    """Cards and their hours; nothing of runs without one."""
    hours, most, names = 0.0, 0, Counter[str]()
    for record in trainings:
        used = {channel.device for channel in record.channels if channel.component == "gpu"}
        hours += record[RUN].duration_s / 3600 * len(used)
        most = max(most, len(used))
        names.update(device.name for device in record.environment.devices if device.id in used)
    if not most:
        return {}
    kinds = [for_plain_text(name, 80) for name, _ in sorted(names.items(), key=lambda one: (-one[1], one[0]))]
    hardware: dict[str, Item] = {**({"gpu": "; ".join(kinds[:4])} if kinds else {}), "count": most}
    return {"hardware": hardware, "duration_gpu_hours": _number(hours)}


def _context(impacts: Sequence[Impact]) -> dict[str, Item]:
    zones = list(dict.fromkeys(impact.zone for impact in impacts))
    entry: dict[str, Item] = {"region": "; ".join(zones[:8])}
    if len({impact.intensity_g_per_kwh for impact in impacts}) == 1:
        entry["carbon_intensity"] = _number(impacts[0].intensity_g_per_kwh / 1000)
    pues = {impact.pue for impact in impacts}
    if len(pues) == 1 and None not in pues:
        entry["pue"] = _number(impacts[0].pue or 0.0)
    # Theirs is both: what the site and what the making of the electricity consume.
    each = {
        _number(impact.water_l.value / (impact.energy_j.value / JOULES_PER_KWH))
        for impact in impacts
        if impact.water_l is not None and impact.energy_j.value
    }
    if len(each) == 1:
        entry["wue_l_per_kwh"] = each.pop()
    return entry
