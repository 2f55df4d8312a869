"""One figure for a model's ``.eval_results/energy.yaml`` on the Hub: energy per unit of work, of a benchmark that is registered there.

The form has one value, without unit or interval: unit, doubt and whose energy it is stand in the notes. The Hub knows no benchmark of
energy as yet: whoever has one names it (``--dataset ORG/NAME``), and nobody else should write this file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from energy_rating.nouns.quantities import JOULES_PER_WH, with_doubt
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import Exported, FormGap, Subject, fixed

VARIANTS = ("yaml",)
MANY = False
NEEDS_DATASET = True


def export(subjects: Sequence[Subject], variant: str, dataset: str = "") -> Exported:  # noqa: ARG001
    """The entry of one record, in YAML; empty where there is no figure per unit."""
    (subject,) = subjects
    record, drawn, measurement, unit = subject.record, subject.energy, subject.measurement, subject.unit
    if not dataset:
        gap = FormGap(
            field="dataset.id",
            fill="the benchmark's data set as it is registered on the Hub: --dataset ORG/NAME",
        )
        return Exported(content="", gaps=(gap,))
    amount = measurement.work.divisor(unit) if measurement is not None and unit is not None else None
    if drawn is None or amount is None:
        return Exported(
            content="",
            gaps=(FormGap(field="value", fill="an energy, and work to divide it by: --count"),),
        )
    gaps = (
        [] if subject.started is not None else [FormGap(field="date", fill="a time: the record tells none")]
    )
    each = drawn.joules.times(1000 / float(amount) / JOULES_PER_WH)
    task = record.task.name if record.task is not None else "energy"
    notes = (
        f"Wh per 1,000 {for_plain_text(str(unit))}: {with_doubt(each, 'Wh')} (95 % interval), {drawn.origin}; {drawn.said()}; "
        f"{subject.validity}; run {for_plain_text(record.run_id, 80)}"
        + ("; an example: this device does not exist" if subject.facts.example else "")
        + (
            ""
            if record.origin == "imported"
            else f"; journal SHA-256 {for_plain_text(record.provenance.journal_sha256, 80)}"
        )
    )
    lines = [
        "- dataset:",
        f"    id: {_text(dataset)}",
        f"    task_id: {_text(task)}",
        f"  value: {fixed(each.value)}",
        *([f"  date: {_text(subject.started.strftime('%Y-%m-%d'))}"] if subject.started is not None else []),
        f"  notes: {_text(notes)}",
    ]
    return Exported(content="\n".join(lines) + "\n", gaps=tuple(gaps))


def _text(text: str) -> str:
    """YAML takes a text of JSON in ASCII as it is."""
    return json.dumps(text)
