"""A bill of materials of a model in CycloneDX 1.6 or 1.7, with what its training and use drew as environmental considerations.

Energy is in kWh and carbon in tonnes, which is all that the form knows. Who made the electricity is not known to a record: the list of
providers is empty, and a property says so. Doubt, boundary and evidence have no place of their own and stand as properties. Added to
somebody's bill (``into``), the JSON tree is edited and nothing else of it: CycloneDX's own library drops model cards.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from energy_rating.files.strict import json_object
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Stage
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import (
    GRAMS_PER_TONNE,
    JOULES_PER_KWH,
    Exported,
    FormGap,
    Subject,
    fixed,
    json_text,
    utc,
    word,
)
from energy_rating.version import __version__

VARIANTS = ("1.6", "1.7")
MANY = True

ACTIVITIES: dict[Stage, str] = {
    "pre-training": "training",
    "fine-tuning": "fine-tuning",
    "inference": "inference",
    "other": "other",
}
RUN_PROPERTY = "energy-rating:run"
MODEL_TYPE = "machine-learning-model"


def export(subjects: Sequence[Subject], variant: str) -> Exported:
    """A bill of the models of these records, each a component."""
    gaps: list[FormGap] = []
    components = [_component(name, some, gaps) for name, some in _by_model(subjects, gaps)]
    first = subjects[0]
    content = {
        "$schema": f"http://cyclonedx.org/schema/bom-{variant}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": variant,
        "serialNumber": f"urn:uuid:{first.uuid('cyclonedx', *(one.record.run_id for one in subjects))}",
        "version": 1,
        "metadata": {
            **({"timestamp": utc(first.started)} if first.started is not None else {}),
            "tools": {
                "components": [{"type": "application", "name": "energy-rating", "version": __version__}]
            },
        },
        "components": components,
    }
    return Exported(content=json_text(content), gaps=tuple(gaps))


def into(bom: bytes, subjects: Sequence[Subject], place: str) -> Exported:
    """Somebody's bill with these records' energies; all else of it as it was. ``version`` goes up by one, as the form asks for.

    A run that it tells of already is told anew. A model that it does not hold is added.

    Raises:
        BadInput: it is no bill of 1.6 or 1.7, or signed.
    """
    tree = json_object(bom, place)
    if tree.get("bomFormat") != "CycloneDX" or tree.get("specVersion") not in VARIANTS:
        raise BadInput(
            f"must be CycloneDX {' or '.join(VARIANTS)} in JSON; got {for_plain_text(str(tree.get('specVersion')), 40)!r}",
            "Convert it first: earlier versions have no place for energy",
            place=place,
        )
    if "signature" in tree:
        raise BadInput(
            "is signed, and would no longer fit its signature",
            "Take the signature out, and sign it again",
            place=place,
        )
    gaps: list[FormGap] = []
    before = copy.deepcopy(tree)
    held = tree.setdefault("components", [])
    if not isinstance(held, list):
        raise BadInput("must be a list", place=f"{place}: components")
    for name, some in _by_model(subjects, gaps):
        ours = _component(name, some, gaps)
        there = next((one for one in _models(held) if one.get("name") == name), None)
        if there is None:
            held.append(ours)
        else:
            _merge(there, ours, place)
    if tree != before and isinstance(tree.get("version", 1), int):
        tree["version"] = tree.get("version", 1) + 1
    return Exported(content=json_text(tree, _indent(bom)), gaps=tuple(gaps))


def _models(components: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The models among these and in these: components hold components."""
    for one in components:
        if isinstance(one, dict):
            if one.get("type") == MODEL_TYPE:
                yield one
            inner = one.get("components")
            if isinstance(inner, list):
                yield from _models(inner)


def _merge(there: dict[str, Any], ours: dict[str, Any], place: str) -> None:
    considerations = "considerations"
    steps = ("modelCard", considerations, "environmentalConsiderations")
    target: dict[str, Any] = there
    for step in steps:
        target = target.setdefault(step, {})
        if not isinstance(target, dict):
            raise BadInput("must be an object", place=f"{place}: {step}")
    added = ours["modelCard"][considerations]["environmentalConsiderations"]["energyConsumptions"]
    entries = target.setdefault("energyConsumptions", [])
    if not isinstance(entries, list):
        raise BadInput("must be a list", place=f"{place}: energyConsumptions")
    for one in added:
        same = next((place for place, entry in enumerate(entries) if _run_of(entry) == _run_of(one)), None)
        if same is None:
            entries.append(one)
        else:
            entries[same] = one


def _run_of(entry: object) -> str | None:
    """Whose run an entry of ours is of; None of somebody else's."""
    properties = entry.get("properties") if isinstance(entry, dict) else None
    for one in properties if isinstance(properties, list) else []:
        if isinstance(one, dict) and one.get("name") == RUN_PROPERTY:
            return str(one.get("value"))
    return None


def _indent(text: bytes) -> int | None:
    """As it was indented; None for a text of one line."""
    lines = text.decode(errors="replace").splitlines()
    if len(lines) < 3:
        return None
    return max(len(lines[1]) - len(lines[1].lstrip(" ")), 1)


def _by_model(subjects: Sequence[Subject], gaps: list[FormGap]) -> list[tuple[str, list[Subject]]]:
    found: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.name is None:
            gaps.append(
                FormGap(
                    field="components[].name", fill="the model's name: --model ORG/NAME when it is measured"
                )
            )
        found.setdefault(subject.name or "model not named", []).append(subject)
    return list(found.items())


def _component(name: str, subjects: Sequence[Subject], gaps: list[FormGap]) -> dict[str, Any]:
    model = subjects[0].record.model
    entries = [entry for subject in subjects for entry in _consumption(subject, gaps)]
    return {
        "type": MODEL_TYPE,
        "bom-ref": f"model-{word(name)}",
        "name": name,
        **({"version": model.revision} if model is not None and model.revision else {}),
        "modelCard": {"considerations": {"environmentalConsiderations": {"energyConsumptions": entries}}},
    }


def _consumption(subject: Subject, gaps: list[FormGap]) -> Iterator[dict[str, Any]]:
    drawn, record = subject.energy, subject.record
    where = "energyConsumptions[]"
    run = for_plain_text(record.run_id, 80)
    if drawn is None:
        gaps.append(FormGap(field=f"{where}.activityEnergyCost", fill=f"an energy: run {run} measured none"))
        return
    gaps.append(
        FormGap(
            field=f"{where}.energyProviders", fill="who made the electricity, and of what: ask the supplier"
        )
    )
    entry: dict[str, Any] = {
        "activity": ACTIVITIES[record.stage],
        "energyProviders": [],
        "activityEnergyCost": {"value": drawn.joules.value / JOULES_PER_KWH, "unit": "kWh"},
    }
    impact = subject.impact
    if impact is None:
        gaps.append(FormGap(field=f"{where}.co2CostEquivalent", fill=subject.why_no_impact))
    else:
        entry["co2CostEquivalent"] = {"value": impact.carbon_g.value / GRAMS_PER_TONNE, "unit": "tCO2eq"}
        offsets = [one.amount for one in impact.offsets if one.unit == "g"]
        if offsets:
            entry["co2CostOffset"] = {"value": sum(offsets) / GRAMS_PER_TONNE, "unit": "tCO2eq"}
    entry["properties"] = [{"name": name, "value": value} for name, value in _properties(subject) if value]
    yield entry


def _properties(subject: Subject) -> Iterator[tuple[str, str]]:
    """What the form has no place for."""
    record, drawn, impact = subject.record, subject.energy, subject.impact
    assert drawn is not None
    half = drawn.joules.half_width() / JOULES_PER_KWH
    yield RUN_PROPERTY, record.run_id
    yield "energy-rating:energyProviders", "unknown"
    yield "energy-rating:known-or-estimated", drawn.origin
    yield "energy-rating:boundary", drawn.said()
    yield "energy-rating:half-width-95-kwh", fixed(half)
    yield "energy-rating:validity", subject.validity
    yield "energy-rating:runs", subject.of_which or ""
    yield (
        "energy-rating:journal-sha256",
        "" if record.origin == "imported" else record.provenance.journal_sha256,
    )
    if subject.facts.example:
        yield "energy-rating:example", "this device does not exist"
    unit, measurement = subject.unit, subject.measurement
    if measurement is not None and unit is not None and not subject.training:
        yield f"energy-rating:work:{word(unit)}", fixed(float(measurement.work.divisor(unit) or 0))
    if impact is not None:
        yield "energy-rating:carbon-basis", "location-based"
        yield "energy-rating:intensity-g-per-kwh", fixed(impact.intensity_g_per_kwh)
        yield "energy-rating:zone", impact.zone
        yield "energy-rating:pue", fixed(impact.pue) if impact.pue is not None else "not in it"
