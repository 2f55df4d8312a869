"""A run's journal as a data set in schema.org's words and Croissant's (1.0): what was measured stands as its variables.

Neither has a field for a model's energy. Both describe data sets, which the journal of a run is: its energies are values of
``variableMeasured``, with unit, bounds of the 95 % interval and how they were had. Licence, address and owner are not a record's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import Exported, FormGap, Subject, json_text, utc, word
from energy_rating.version import __version__

VARIANTS = ("json-ld",)
MANY = False

# The context of Croissant 1.0 (mlcommons/croissant, docs/croissant-spec.md), as far as it is used here.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "sc": "https://schema.org/",
}
_UNIT_CODES = {"J": "JOU", "s": "SEC", "g": "GRM"}  # UN/CEFACT recommendation 20


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """The description of one run."""
    (subject,) = subjects
    record = subject.record
    gaps = [
        FormGap(field="license", fill="under which licence the journal may be used: write it into the file"),
        FormGap(field="url", fill="where the journal can be had: write it into the file"),
        FormGap(field="creator", fill="who measured it: write it into the file"),
    ]
    run = for_plain_text(record.run_id, 80)
    only = f" ({subject.of_which})" if subject.of_which is not None else ""
    content: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": word(f"energy-{run}"),
        "description": (
            f"Energy of {for_plain_text(subject.name or 'a model that is not named')}, {record.stage}{only}, as run {run} of energy-rating "
            f"tells it{'; an example: this device does not exist' if subject.facts.example else ''}."
        ),
        "version": record.provenance.version,
        **({"datePublished": utc(subject.started)} if subject.started is not None else {}),
        "distribution": list(_files(subject, gaps)),
        "variableMeasured": list(_variables(subject, gaps)),
        "sdPublisher": f"energy-rating {__version__}",
    }
    return Exported(content=json_text(content), gaps=tuple(gaps))


def _files(subject: Subject, gaps: list[FormGap]) -> Iterator[dict[str, Any]]:
    if subject.record.origin == "imported":
        gaps.append(
            FormGap(field="distribution", fill="a journal: what was taken over from another tool has none")
        )
        return
    yield {
        "@type": "cr:FileObject",
        "@id": "journal.jsonl",
        "name": "journal.jsonl",
        "contentUrl": "journal.jsonl",
        "encodingFormat": "application/jsonlines",
        "sha256": subject.record.provenance.journal_sha256,
    }


def _variables(subject: Subject, gaps: list[FormGap]) -> Iterator[dict[str, Any]]:
    measurement = subject.measurement
    row = next((row for row in subject.facts.rows if row.measurement is measurement), None)
    if measurement is None or row is None or not row.parts:
        gaps.append(FormGap(field="variableMeasured", fill="an energy: none was measured in this run"))
        return
    for part in row.parts:
        low, high = part.energy_j.interval()
        yield {
            "@type": "PropertyValue",
            "name": f"energy of the {part.name}",
            "value": part.energy_j.value,
            "minValue": max(low, 0.0),
            "maxValue": high,
            "unitCode": _UNIT_CODES["J"],
            "unitText": "J",
            "measurementTechnique": f"{part.origin}, {part.method or 'method not told'}, {100 * part.coverage:.3g} % of the time seen",
        }
    yield _value("duration", measurement.duration_s, "s")
    for unit, amount in measurement.work.items():
        yield _value(f"work: {for_plain_text(unit)}", float(amount), for_plain_text(unit))
    if subject.impact is not None:
        yield _value("CO2-equivalent of the electricity, location-based", subject.impact.carbon_g.value, "g")
    else:
        gaps.append(FormGap(field="variableMeasured, CO2-equivalent", fill=subject.why_no_impact))


def _value(name: str, value: float, unit: str) -> dict[str, Any]:
    code = _UNIT_CODES.get(unit)
    return {
        "@type": "PropertyValue",
        "name": name,
        "value": value,
        **({"unitCode": code} if code is not None else {}),
        "unitText": unit,
    }
