"""A model in SPDX 3.0.1 (JSON-LD), AI profile, with the energy of its training, fine-tuning and inference.

A quantity is text in fixed point whatever its size: its schema takes no powers of ten. The form has no place for energy per request, for
doubt, for carbon, nor for whether a figure was measured: what of these can stand in a comment does, and the rest is told as a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from energy_rating.nouns.records import Stage
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import JOULES_PER_KWH, Exported, FormGap, Subject, fixed, json_text, utc
from energy_rating.version import __version__

VARIANTS = ("3.0.1",)
MANY = True

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_KEYS: dict[Stage, str] = {
    "pre-training": "ai_trainingEnergyConsumption",
    "fine-tuning": "ai_finetuningEnergyConsumption",
    "inference": "ai_inferenceEnergyConsumption",
}


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """A document with a package for each model."""
    gaps: list[FormGap] = []
    first = subjects[0]
    base = f"urn:uuid:{first.uuid('spdx', *(one.record.run_id for one in subjects))}"
    when = next(
        (one.started for one in subjects if one.started is not None), datetime(1970, 1, 1, tzinfo=UTC)
    )
    models: dict[str, list[Subject]] = {}
    for subject in subjects:
        models.setdefault(subject.name or "model not named", []).append(subject)
        if subject.name is None:
            gaps.append(
                FormGap(
                    field="ai_AIPackage.name", fill="the model's name: --model ORG/NAME when it is measured"
                )
            )
    packages = [
        _package(f"{base}#model-{number}", name, some, gaps)
        for number, (name, some) in enumerate(models.items(), start=1)
    ]
    gaps += [
        FormGap(
            field="ai_EnergyConsumption",
            fill="per request or token, doubt, carbon, measured or estimated: SPDX 3.0.1 has no place for these; they stand in the comment or in the record",
        )
    ]
    graph: list[dict[str, Any]] = [
        {
            "type": "CreationInfo",
            "@id": "_:creation",
            "specVersion": "3.0.1",
            "created": utc(when),
            "createdBy": [f"{base}#maker"],
        },
        {
            "type": "SoftwareAgent",
            "spdxId": f"{base}#maker",
            "creationInfo": "_:creation",
            "name": f"energy-rating {__version__}",
        },
        {
            "type": "SpdxDocument",
            "spdxId": f"{base}#document",
            "creationInfo": "_:creation",
            "name": "Energy of AI models",
            "profileConformance": ["core", "software", "ai"],
            "rootElement": [package["spdxId"] for package in packages],
            "element": [f"{base}#maker", *(package["spdxId"] for package in packages)],
        },
        *packages,
    ]
    content = {"@context": CONTEXT, "@graph": graph}
    return Exported(content=json_text(content), gaps=tuple(gaps))


def _package(spdx_id: str, name: str, subjects: Sequence[Subject], gaps: list[FormGap]) -> dict[str, Any]:
    energies: dict[str, list[dict[str, str]]] = {}
    comments = []
    for subject in subjects:
        drawn = subject.energy
        run = for_plain_text(subject.record.run_id, 80)
        key = _KEYS.get(subject.record.stage)
        if key is None:
            gaps.append(
                FormGap(
                    field="ai_EnergyConsumption",
                    fill=f"a stage: run {run} is of the stage {subject.record.stage}, and SPDX knows training, fine-tuning and inference",
                )
            )
            continue
        if drawn is None:
            gaps.append(FormGap(field=key, fill=f"an energy: run {run} measured none"))
            continue
        energies.setdefault(key, []).append(
            {
                "type": "ai_EnergyConsumptionDescription",
                "ai_energyQuantity": quantity(drawn.joules.value),
                "ai_energyUnit": "kilowattHour",
            }
        )
        half = fixed(float(f"{drawn.joules.half_width() / JOULES_PER_KWH:.2g}"))
        sha = (
            ""
            if subject.record.origin == "imported"
            else f"; journal SHA-256 {for_plain_text(subject.record.provenance.journal_sha256, 80)}"
        )
        only = f"; {subject.of_which}" if subject.of_which is not None else ""
        example = "; an example: this device does not exist" if subject.facts.example else ""
        comments.append(
            f"{key} of run {run}: {drawn.origin}, {drawn.said()}; ± {half} kWh (95 % interval); {subject.validity}{only}{example}{sha}"
        )
    model = subjects[0].record.model
    return {
        "type": "ai_AIPackage",
        "spdxId": spdx_id,
        "creationInfo": "_:creation",
        "name": name,
        **({"software_packageVersion": model.revision} if model is not None and model.revision else {}),
        **({"comment": "\n".join(comments)} if comments else {}),
        **({"ai_energyConsumption": {"type": "ai_EnergyConsumption", **energies}} if energies else {}),
    }


def quantity(joules: float) -> str:
    """Kilowatt-hours in fixed point, with all digits."""
    return format((Decimal(repr(joules)) / Decimal(JOULES_PER_KWH)).normalize(), "f")
