"""Records as OpenMetrics 1.0 text, which Prometheus and its likes read: conventional names, base units, counters.

Joules per token are a quotient of two counters. What is measured and what is estimated is a label (``had``) of each energy.
"""

from __future__ import annotations

from collections.abc import Sequence

from energy_rating.publishing.metric_names import METRICS
from energy_rating.publishing.metric_points import MetricPoint, about_run, points_of
from energy_rating.publishing.subject import Exported, FormGap, Subject, fixed

VARIANTS = ("text",)
MANY = True


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """The text, metric by metric as the form wants it; ends with ``# EOF``."""
    gaps: list[FormGap] = []
    found = [(about_run(subject), point) for subject in subjects for point in points_of(subject, gaps)]
    lines: list[str] = []
    for metric in METRICS:
        of_it = [(run, point) for run, point in found if point.name is metric]
        if not of_it:
            continue
        lines.append(f"# TYPE {metric.openmetrics} {metric.kind}")
        if metric.unit:
            lines.append(f"# UNIT {metric.openmetrics} {metric.unit}")
        lines.append(f"# HELP {metric.openmetrics} {metric.help}")
        suffix = "_total" if metric.kind == "counter" else ""
        lines += [
            f"{metric.openmetrics}{suffix}{_labels(run, point)} {fixed(point.value)}" for run, point in of_it
        ]
    return Exported(content="\n".join([*lines, "# EOF"]) + "\n", gaps=tuple(gaps))


def _labels(run: dict[str, str], point: MetricPoint) -> str:
    told = {**run, **point.about}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in told.items()) + "}"


def _escaped(text: str) -> str:
    """As a label's value is written (OpenMetrics 1.0, "escaped-string")."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
