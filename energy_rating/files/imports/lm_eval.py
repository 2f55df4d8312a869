"""lm-eval's ``results_*.json``: how good a model is, and no energy.

Seen by running 0.4.13: among the results stand groups beside their tasks, texts and ``"N/A"`` beside numbers; ``model_name`` is made up where the
arguments name the model by no word that it knows, and the device is ``cuda:0`` without a GPU. So tasks are those of ``n-samples``, a metric is
taken by its name (``acc,none``), the model from the arguments alone, and no hardware at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    ForeignPart,
    Import,
    amount,
    count,
    model_name,
    not_taken,
    of_import,
    seconds,
    since_epoch,
    text,
)
from energy_rating.nouns.entries import RUN, Finding, Model, Quality

NAME = "lm-eval"

# lm_eval/loggers/evaluation_tracker.py (0.4.13): by these words the arguments name a model, of which a name is made; by any other one is made up.
_NAMED_BY = ("pretrained", "model", "path", "engine")
# ``metric,filter``; errors of metrics stand under names of their own.
_METRIC = re.compile(r"([\w.@+-]{1,60}),([\w.@+-]{1,60})")
MOST_TASKS = 10_000
MOST_QUALITIES = 1_000


def is_mine(file: Foreign) -> bool:
    return file.holds("results", "versions", "n-samples", "config") and file.holds("lm_eval_version")


def read(file: Foreign) -> Iterator[Import]:
    entry = file.object
    model = _model(entry)
    told_name = model_name(entry.get("model_name"))
    version = text(entry.get("lm_eval_version"), 40)
    qualities = tuple(_qualities(entry, version))
    says = list(_said(entry, model, told_name))
    if len(qualities) > MOST_QUALITIES:
        says.append(
            of_import(
                "imported-incomplete",
                f"it tells {len(qualities):,} figures, of which the first {MOST_QUALITIES:,} are taken",
                severity="degrades",
            )
        )
    yield Import(
        tool=NAME,
        version=version,
        when=since_epoch(entry.get("date")),
        stage="inference",
        model=None if model is None else Model(id=model),
        parts=(ForeignPart(name=RUN, duration_s=seconds(entry.get("total_evaluation_time_seconds")) or 0.0),),
        software={"transformers": text(entry.get("transformers_version"), 40) or ""},
        quality=qualities[:MOST_QUALITIES],
        says=tuple(says),
    )


def _model(entry: Mapping[str, Any]) -> str | None:
    """The model as the arguments name it: a mapping, or ``pretrained=org/name,dtype=…``."""
    args = at(entry, "config", "model_args")
    if isinstance(args, str):
        pairs = (pair.partition("=") for pair in args[:5000].split(","))
        args = {name.strip(): value.strip() for name, _, value in pairs}
    if not isinstance(args, Mapping):
        return None
    return next((name for word in _NAMED_BY if (name := model_name(args.get(word)))), None)


def _qualities(entry: Mapping[str, Any], version: str | None) -> Iterator[Quality]:
    samples, results = entry.get("n-samples"), entry.get("results")
    if not isinstance(samples, Mapping) or not isinstance(results, Mapping):
        return
    for task in list(samples)[:MOST_TASKS]:
        figures = results.get(task)
        effective = count(at(samples, task, "effective"))
        for key, value in figures.items() if isinstance(figures, Mapping) else ():
            found = _METRIC.fullmatch(str(key))
            number = amount(value, 1e12) if not isinstance(value, str) else None
            if found is None or number is None or found[1].endswith("_stderr"):
                continue
            label = text(f"{task}: {found[1]}" + ("" if found[2] == "none" else f" ({found[2]})"), 120)
            of = f" of {effective:,} samples" if effective else ""
            yield Quality(
                metric=label or "metric",
                value=number,
                source=f"{NAME} {version or ''}".strip() + f"{of}, taken over, not checked",
            )


def _said(entry: Mapping[str, Any], model: str | None, told_name: str | None) -> Iterator[Finding]:
    yield of_import(
        "nothing-measured",
        "it tells how good the answers are, and no energy",
        "Give it to a measurement of the same model: energy-rating benchmark MODEL --quality-from FILE",
    )
    if model is None and told_name is not None:
        yield not_taken(
            f"the model's name {told_name!r}",
            "where the arguments do not name the model in a way that lm-eval knows, it makes one up",
        )
    groups = entry.get("groups")
    if isinstance(groups, Mapping) and groups:
        yield not_taken(
            f"{len(groups)} group{'s' if len(groups) > 1 else ''} among the results",
            "they are means of the tasks, which are taken",
        )
    if text(at(entry, "config", "device"), 20):
        yield not_taken("the device", "lm-eval writes cuda:0 where there is no GPU")
    limit = at(entry, "config", "limit")
    if limit is not None:
        yield of_import(
            "imported-incomplete",
            f"only a part of each task was asked (limit {str(limit)[:20]})",
            severity="degrades",
        )
