"""The metrics of a record: which, with what about them, and their values. Their spelling is the forms' (``openmetrics``, ``otlp``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from energy_rating.nouns.records import Component
from energy_rating.publishing.metric_names import (
    CARBON,
    DURATION,
    ENERGY,
    ENERGY_DOUBT,
    MACHINE_ENERGY,
    WHOLES,
    WORK,
    MetricName,
)
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import FormGap, Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPoint:
    """One value: of which metric, about what. ``component`` None: it is of no component."""

    name: MetricName
    about: Mapping[str, str]
    value: float
    component: Component | None = None


def about_run(subject: Subject) -> dict[str, str]:
    """What all points of a record have in common."""
    record = subject.record
    told = {"run_id": for_plain_text(record.run_id, 120), "stage": record.stage, "origin": record.origin}
    if record.model is not None:
        told["model"] = for_plain_text(record.model.id)
    if record.task is not None:
        told["task"] = for_plain_text(record.task.name)
    if subject.facts.example:
        told["example"] = "true"
    return told


def points_of(subject: Subject, gaps: list[FormGap]) -> Iterator[MetricPoint]:
    """Of every measurement: energy by component with its doubt, work by unit, time; and the carbon of what stands for the record."""
    names: dict[str, int] = {}
    for row in subject.facts.rows:
        measurement = row.measurement
        name = for_plain_text(measurement.name)
        # Two names of strangers may look the same once they are clean, and one set of labels has one value.
        names[name] = names.get(name, 0) + 1
        about = {"measurement": name if names[name] == 1 else f"{name} #{names[name]}"}
        yield MetricPoint(name=DURATION, about=about, value=measurement.duration_s)
        for part in row.parts:
            kind = MACHINE_ENERGY if part.component in WHOLES else ENERGY
            whose = {
                **about,
                "component": part.component,
                "method": part.method or "unknown",
                "had": part.origin,
            }
            yield MetricPoint(name=kind, about=whose, value=part.energy_j.value, component=part.component)
            for doubt in ("random", "systematic"):
                value = float(getattr(part.energy_j, doubt))
                if math.isfinite(value):
                    whose = {**about, "component": part.component, "kind": doubt}
                    yield MetricPoint(name=ENERGY_DOUBT, about=whose, value=value, component=part.component)
        units: dict[str, int] = {}
        for unit, amount in measurement.work.items():
            clean = for_plain_text(unit)
            units[clean] = units.get(clean, 0) + 1
            told = clean if units[clean] == 1 else f"{clean} #{units[clean]}"
            yield MetricPoint(name=WORK, about={**about, "unit": told}, value=float(amount))
    if not any(row.parts for row in subject.facts.rows):
        gaps.append(FormGap(field=ENERGY.openmetrics, fill="an energy: none was measured in this run"))
    impact = subject.impact
    if impact is None:
        gaps.append(FormGap(field=CARBON.openmetrics, fill=subject.why_no_impact))
    else:
        zone = {"measurement": for_plain_text(impact.measurement), "zone": for_plain_text(impact.zone)}
        yield MetricPoint(name=CARBON, about=zone, value=impact.carbon_g.value)
