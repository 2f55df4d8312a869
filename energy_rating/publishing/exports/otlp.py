"""Records as OpenTelemetry metrics: the JSON of an OTLP export request, as a collector takes it.

Energies are ``hw.energy`` by ``hw.type``, and ``hw.host.energy`` of a whole machine (semantic conventions, stability: development). What
these have no name for is ours, led by ``energy_rating.``. Sums are cumulative and monotonic, from the start of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from energy_rating.publishing.metric_names import HW_TYPES, METRICS, MetricName
from energy_rating.publishing.metric_points import MetricPoint, about_run, points_of
from energy_rating.publishing.subject import Exported, FormGap, Subject, json_text
from energy_rating.version import __version__

VARIANTS = ("json",)
MANY = True

CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE (opentelemetry-proto, metrics/v1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """The request, with a resource for each record."""
    gaps: list[FormGap] = []
    content = {"resourceMetrics": [_resource(subject, gaps) for subject in subjects]}
    return Exported(content=json_text(content), gaps=tuple(gaps))


def _resource(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    points = list(points_of(subject, gaps))
    start, end = _nanoseconds(subject.started), _nanoseconds(subject.ended)
    if subject.started is None:
        gaps.append(
            FormGap(field="dataPoints[].timeUnixNano", fill="a time: the record tells none that is one")
        )
    metrics = [
        _metric(metric, [point for point in points if point.name is metric], start, end)
        for metric in METRICS
        if any(point.name is metric for point in points)
    ]
    run = about_run(subject)
    return {
        "resource": {
            "attributes": _attributes(
                {
                    "service.name": "energy-rating",
                    **{f"energy_rating.{key}": value for key, value in run.items()},
                }
            )
        },
        "scopeMetrics": [{"scope": {"name": "energy_rating", "version": __version__}, "metrics": metrics}],
    }


def _metric(metric: MetricName, points: Sequence[MetricPoint], start: str, end: str) -> dict[str, Any]:
    told = [
        {
            "attributes": _attributes(_about(point)),
            "startTimeUnixNano": start,
            "timeUnixNano": end,
            "asDouble": point.value,
        }
        for point in points
    ]
    kind = (
        {"sum": {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": told}}
        if metric.kind == "counter"
        else {"gauge": {"dataPoints": told}}
    )
    return {
        "name": metric.opentelemetry or metric.openmetrics,
        "description": metric.help,
        "unit": metric.ucum,
        **kind,
    }


def _about(point: MetricPoint) -> dict[str, str]:
    told = {f"energy_rating.{key}": value for key, value in point.about.items()}
    if point.component is not None:
        kind = HW_TYPES.get(point.component)
        if kind is not None:
            # The devices of a kind are summed up: its name stands for them.
            told |= {"hw.id": point.component, "hw.type": kind}
    return told


def _attributes(told: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in told.items()]


def _nanoseconds(time: datetime | None) -> str:
    """Since 1970, as text: JSON's numbers are too short. 0 is *unknown* (opentelemetry-proto)."""
    if time is None or time < _EPOCH:
        return "0"
    passed = time - _EPOCH
    return str(((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000)
