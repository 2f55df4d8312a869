"""What was measured of a model already, in words and as JSON: what it needed, on what, under which protocol, and why it has stars or none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from energy_rating.files.published import NOT_VERIFIED, OthersFigure
from energy_rating.files.withheld import without_secrets
from energy_rating.judging.profiles import Profile, profiles
from energy_rating.nouns.quantities import Estimate, scaled, with_doubt
from energy_rating.nouns.records import plain
from energy_rating.publishing.collection_tables import SAID
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.storage.index import IndexedRun
from energy_rating.storage.search import MeasuredAlready, Nearness, words_of

FIND_SCHEMA = "energy-rating/found/1"
MOST_TOLD = 12

# How far devices are from one another: the same name, its words, its profile; then by what their energy follows from first.
_SAME, _NAMED, _UNKNOWN = 0.0, 0.1, 100.0
_OTHER_ARCHITECTURE, _OTHER_VENDOR = 10.0, 30.0


def nearness(hardware: str) -> Nearness:
    """How far each device is from one that is named: its own name or some words of it, or a profile's."""
    known = profiles()
    words = words_of(hardware)
    base = _profile(hardware, known)
    seen: dict[str, float] = {}

    def far(name: str) -> float:
        if name not in seen:
            seen[name] = _far(name, hardware, words, base, known)
        return seen[name]

    return far


def _far(
    name: str, hardware: str, words: list[str], base: Profile | None, known: tuple[Profile, ...]
) -> float:
    if name.casefold() == hardware.casefold():
        return _SAME
    if words and set(words) <= set(words_of(name)):
        return _NAMED
    other = _profile(name, known)
    if base is None or other is None:
        return _UNKNOWN
    if other.key == base.key:
        return _NAMED
    apart = abs(math.log2(_bandwidth(other) / _bandwidth(base)))
    apart += _OTHER_ARCHITECTURE if other.architecture != base.architecture else 1.0
    return apart + (_OTHER_VENDOR if other.vendor != base.vendor else 0.0)


def _profile(name: str, known: tuple[Profile, ...]) -> Profile | None:
    """The profile that is meant: by its key or name, by what the driver calls it, or by words that only one has."""
    folded = name.casefold()
    for one in known:
        if folded in (one.key, one.name.casefold(), *(other.casefold() for other in one.driver.names)):
            return one
    words = set(words_of(name))
    found = [
        one
        for one in known
        if words
        and any(
            words <= set(words_of(other)) or set(words_of(other)) <= words
            for other in (one.name, *one.driver.names)
        )
    ]
    return found[0] if found else None


def _bandwidth(profile: Profile) -> float:
    figure = profile.figures.bandwidth_gb_s
    return figure.value if figure is not None and figure.value > 0 else 1000.0


# ------------------------------------------------------------------------------------------------------------ in words


def as_text(found: MeasuredAlready, model: str) -> str:
    """A paragraph for each run, then the figures that others published."""
    lines: list[str] = []
    if not found.runs and not found.published:
        lines.append(
            f"Nothing is known of {for_plain_text(without_secrets(model))}: nobody has measured it, as far as this machine knows."
        )
    shown, hidden = found.runs[:MOST_TOLD], len(found.runs) - MOST_TOLD + found.more
    if shown:
        lines.append("Measured already:")
        lines += [f"  {run_line(one)}" for one in shown]
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more: see --json")
    if found.published:
        lines += (
            ["", f"Of others ({NOT_VERIFIED}; no stars of ours):"]
            if lines
            else [f"Of others ({NOT_VERIFIED}; no stars of ours):"]
        )
        lines += [f"  {published_line(one)}" for one in found.published[:MOST_TOLD]]
        if len(found.published) > MOST_TOLD:
            lines.append(f"  … and {len(found.published) - MOST_TOLD:,} more: see --json")
        lines.append("  Figures of different protocols are not to be compared.")
    if found.names:
        named = ", ".join(for_plain_text(name) for name in found.names[:5])
        lines.append(f"Names like it: {named}{', …' if len(found.names) > 5 else ''}")
    return "\n".join(lines)


def run_line(one: IndexedRun) -> str:
    """``2026-11-30 · 1 × NVIDIA H100 · 10.6 ± 2.8 J a request · not rated, because …``."""
    run = one.run
    parts = [run.created[:10] or "day not told", for_plain_text(run.model)]
    parts.append(
        f"{run.hardware_count} × {for_plain_text(run.hardware)}" if run.hardware else "device not told"
    )
    what = " ".join(word for word in (run.task, run.protocol) if word)
    parts.append(what or run.stage)
    if run.figure_j is not None:
        energy = Estimate(value=run.figure_j, random=run.figure_random_j, systematic=run.figure_systematic_j)
        parts.append(
            f"{with_doubt(energy, f'J/{run.figure_unit}')} ({run.figure_component}, {run.figure_origin})"
        )
    elif run.measured_j is not None:
        parts.append(f"{scaled(run.measured_j / 3600, 'Wh')} in all ({SAID[run.kind]})")
    parts += [
        f"{name} {value}" for name, value in (("batch", run.batch), ("concurrency", run.concurrency)) if value
    ]
    parts.append(_rated(one))
    parts.append(_checked(one))
    parts.append(one.folder)
    return " · ".join(parts)


def _rated(one: IndexedRun) -> str:
    run = one.run
    if run.kind == "imported":
        return "imported, never rated"
    if run.stars is not None:
        doubt = (
            f", could be {run.could_be_low}–{run.could_be_high}"
            if run.could_be_low != run.could_be_high
            else ""
        )
        basis = f", {run.basis}" if run.basis not in ("", "measured") else ""
        return f"{'★' * run.stars} (scheme {run.scheme}{doubt}{basis})"
    reasons = "; ".join(run.reasons[:2]) or "the record does not say why"
    return f"not rated, because {reasons}" + (
        f" (and {len(run.reasons) - 2} more)" if len(run.reasons) > 2 else ""
    )


def _checked(one: IndexedRun) -> str:
    if one.good:
        return "verified"
    if one.verdict == "not verified":
        return "not verified"
    return f"{one.verdict}: {one.why}"


def published_line(one: OthersFigure) -> str:
    """One figure of somebody else's table."""
    settings = ", ".join(f"{name} {value}" for name, value in one.settings)
    parts = [
        one.publication.measured,
        one.model,
        f"{one.gpus or '?'} × {one.gpu}",
        f"{one.task}{f' {one.publication.protocol}' if one.publication.protocol else ''}",
        f"{scaled(one.j_per_unit, 'J')}/{one.unit}",
        *([f"batch {one.batch}"] if one.batch else []),
        *([one.precision] if one.precision else []),
        *([settings] if settings else []),
        one.publication.title,
    ]
    return " · ".join(parts)


def as_json(found: MeasuredAlready) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": FIND_SCHEMA,
        "runs": [
            {key: value for key, value in plain(one.run).items() if key != "devices"}
            | {"folder": one.folder, "verdict": one.verdict, "verified": one.good, "why": one.why}
            for one in found.runs
        ],
        "published": list(_published(found)),
        "more": found.more,
        "names": list(found.names),
    }


def _published(found: MeasuredAlready) -> Iterator[dict[str, Any]]:
    for one in found.published:
        entry = plain(one)
        yield entry | {"settings": dict(one.settings), "said_of_it": NOT_VERIFIED}


class _Same:
    """A model by its id, or by what stands behind the slash of it where one of two names has none."""

    def __init__(self, model: str) -> None:
        self._name = model.casefold()

    def is_called(self, name: str) -> bool:
        name = name.casefold()
        if "/" in name and "/" in self._name:
            return name == self._name
        return name.rpartition("/")[2] == self._name.rpartition("/")[2]


def before_a_benchmark(found: MeasuredAlready, model: str, task: str) -> str | None:
    """One line for whoever is about to measure: that it was done, and where to see it. None where it was not, or not of this very model."""
    same = _Same(model)
    runs = [
        one
        for one in found.runs
        if one.run.task == task and one.run.stage == "inference" and same.is_called(one.run.model)
    ]
    others = [one for one in found.published if one.task == task and same.is_called(one.model)]
    if not runs and not others:
        return None
    parts = []
    if runs:
        newest = max(runs, key=lambda one: one.run.created)
        parts.append(
            f"{len(runs)} run{'s' if len(runs) > 1 else ''} of this model and task, the last one {run_line(newest)}"
        )
    if others:
        parts.append(f"{len(others)} published by others")
    return f"measured already: {'; '.join(parts)}"
