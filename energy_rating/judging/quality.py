"""How good a model's answers are, as somebody else found out: ``accuracy=0.62@source``, or a result file of lm-evaluation-harness."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.files.strict import json_object
from energy_rating.judging.outcomes import share_solved
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Quality

SUCH_AS = "Such as accuracy=0.62@arc_easy, 5-shot, lm-evaluation-harness 0.4.9"
LARGEST_RESULTS = 16 << 20  # bytes
LONGEST = 200

# Of a result file, more would hide what matters.
MOST_METRICS = 40

# Since lm_eval 0.4.0 (2023-12) a metric is called ``metric,filter``, and what has no comma is none. Before, all numbers of a task were
# metrics, but for what some versions and tools put beside them: counts of questions, and versions.
NO_METRICS = frozenset(
    {
        *(
            "sample_len",
            "sample_count",
            "samples",
            "num_samples",
            "n_samples",
            "n",
            "total",
            "original",
            "effective",
        ),
        *("version", "task_version", "num_fewshot", "n-shot", "n_shot", "limit", "seed", "batch_size"),
    }
)

# Metrics that are the share of answers that are right.
ACCURACIES = ("accuracy", "acc", "acc_norm", "exact_match", "em", "pass@1")


def parse_quality(text: str, *, place: str) -> Quality:
    """A quality from ``metric=value@source``.

    Raises:
        BadInput: it is none; a figure without its source is refused.
    """
    metric, equals, rest = text.partition("=")
    value, at, source = rest.partition("@")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (equals and at and metric.strip() and source.strip() and math.isfinite(number)):
        raise BadInput(f"must be metric=value@source; got {text[:80]!r}", SUCH_AS, place=place)
    return Quality(metric=metric.strip()[:LONGEST], value=number, source=source.strip()[:LONGEST])


def read_results(path: Path) -> tuple[Quality, ...]:
    """What a result file of lm-evaluation-harness (``results_*.json``) says: every metric of every task, no standard errors, no counts.

    The format: https://github.com/EleutherAI/lm-evaluation-harness, ``results`` by task, a key ``metric,filter`` for each figure. Of
    an agent's log (``outcomes``) the share of the tasks that it solved.

    Raises:
        BadInput: it cannot be read, or holds no figures.
    """
    content = read_whole(path, LARGEST_RESULTS)
    if (solved := share_solved(content, path)) is not None:
        return (solved,)
    results = json_object(content, path, gaps=True).get("results")
    if not isinstance(results, dict):
        raise BadInput("has no 'results'", "Name a results_*.json of lm-evaluation-harness", place=path)
    source = f"lm-evaluation-harness, results file {hashlib.sha256(content).hexdigest()[:12]}"
    found = [
        Quality(metric=f"{task} {key.removesuffix(',none')}"[:LONGEST], value=float(value), source=source)
        for task, figures in results.items()
        if isinstance(figures, dict)
        for key, value in _metrics(figures)
    ]
    if not found:
        raise BadInput("holds no figures", "Name a results_*.json of lm-evaluation-harness", place=path)
    if len(found) > MOST_METRICS:
        raise BadInput(
            f"must hold at most {MOST_METRICS} figures, so that what matters is seen; got {len(found)}",
            "Name those that matter with --quality",
            place=path,
        )
    return tuple(found)


def _metrics(figures: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """The metrics of one task that are numbers. One that could not be worked out (NaN) takes nothing from the others."""
    named = any("," in key for key in figures)
    for key, value in figures.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or "_stderr" in key:
            continue
        if ("," in key) if named else (key not in NO_METRICS):
            with contextlib.suppress(OverflowError):  # a whole number of 400 digits
                if math.isfinite(value):
                    yield key, float(value)


def is_accuracy(quality: Quality) -> bool:
    """Whether it is a share of right answers."""
    return is_outcome(quality, ACCURACIES)


def is_outcome(quality: Quality, called: Collection[str]) -> bool:
    """Whether it is the share of what came out right, by one of these names."""
    name = quality.metric.lower().split()[-1:]
    return bool(name) and name[0].split(",")[0] in called and 0 < quality.value <= 1
