"""What came of a calibration, as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_rating.benchmarking.calibration.points import point_to_text
from energy_rating.nouns.quantities import significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_rating.benchmarking.calibration.against import PublishedPlan
    from energy_rating.benchmarking.calibration.choice import Refused
    from energy_rating.benchmarking.calibration.points import Calibration
    from energy_rating.benchmarking.calibration.published import Candidate
    from energy_rating.judging.profiles import Factor

# ---------------------------------------------------------------------------------------------------------- in words


def _rests_on(factor: Factor) -> str:
    models, points = ("s" if number > 1 else "" for number in (factor.models, factor.rows))
    return f"{factor.models} model{models}, {factor.rows} point{points}"


def calibration_to_text(found: Calibration) -> str:
    """The same in lines for a person."""
    device = found.device
    lines = []
    if device is not None:
        limit = f", limit {device.power_limit_w:g} W" if device.power_limit_w is not None else ""
        lines.append(
            f"{device.name}, driver {device.driver or 'not known'}{limit}; reference {found.reference}"
        )
    width = max(len(outcome.point.name) for outcome in found.outcomes)
    for workload_class in dict.fromkeys(outcome.point.workload_class for outcome in found.outcomes):
        lines += ["", workload_class]
        for outcome in found.outcomes:
            if outcome.point.workload_class != workload_class:
                continue
            said = point_to_text(outcome) if outcome.joules_per_unit is not None else "not measured"
            lines.append(f"  {outcome.point.name:<{width}}  {said}")
            if outcome.left_out is not None:
                lines.append(f"  {'':<{width}}  left out: {outcome.left_out}")
        for factor in found.factors:
            if factor.workload_class == workload_class:
                models = _rests_on(factor)
                lines.append(
                    f"  factor to {factor.reference}: {significant(factor.value, 3)} ×/÷ {factor.interval:.3g} "
                    f"(90 %, tier 2, {models})"
                )
    lines.append("")
    lines += [f"No factor: {reason}" for reason in found.reasons]
    lines.append(f"Records: {found.records}")
    if found.profile is not None:
        lines.append(f"Profile: {found.profile}")
    return "\n".join(lines).lstrip("\n")


# From here on it is said how to have less.
LONG_S = 7200.0

# ---------------------------------------------------------------------------------------- what would be done, beforehand


def plan_to_text(plan: PublishedPlan) -> str:
    """What a calibration against published energies would run, fetch and refuse, and how long it takes."""
    device, picked = plan.device, plan.chosen
    memory = f", {device.memory_gb:.0f} GB" if device.memory_gb is not None else ""
    limit = f", limit {device.power_limit_w:g} W" if device.power_limit_w is not None else ""
    lines = [f"{device.name}{memory}{limit}"]
    rows = [(one, _row(plan, one)) for one in picked.models]
    widths = [max(len(row[column]) for _, row in rows) for column in range(4)] if rows else []
    for workload_class in plan.classes:
        lines += ["", workload_class]
        for one, row in rows:
            if one.set.workload_class == workload_class:
                cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
                lines.append("  " + "  ".join([*cells, *row[4:]]).rstrip())
    there = dict.fromkeys(one.list.reference for one in picked.models)
    if there:
        lines += ["", f"There: {', '.join(there)}"]
    for name, several in _lists(plan).items():
        lines.append(f"{name}: {several}")
    lines.append("")
    if picked.models:
        seconds = picked.all_seconds
        lines.append(
            f"Time: about {_time(seconds)} ({_time(seconds / 2)} to {_time(seconds * 2)}); killed and started again, it goes on with the "
            "model that it was at"
        )
        if seconds > LONG_S and len(plan.classes) > 1:
            lines.append(
                "Shorter: one class with --class or one task with --task, two models of each with --models 2"
            )
        sizes = [f"{one.id}{f' {one.gb:g} GB' if one.gb is not None else ''}" for one in picked.fetched]
        lines.append(
            f"Fetched: {', '.join(sizes) or 'nothing'}" + (f"; {picked.gb:.1f} GB of models" if sizes else "")
        )
        if plan.wants_download:
            lines.append("Nothing of it is here, and nothing is fetched without --download.")
    else:
        lines.append("No published model can be run here as things are.")
    lines += _refusals("Not here", picked.refused)
    lines += _refusals("Cannot be repeated anywhere", plan.not_repeatable)
    return "\n".join(lines)


def _row(plan: PublishedPlan, one: Candidate) -> tuple[str, ...]:
    model, picked = one.model, plan.chosen
    return (
        model.id,
        one.set.task,
        f"{significant(model.j_per_unit, 4)} J per {one.set.unit} there",
        f"{picked.repeats(one)} repeats, about {_time(picked.seconds(one))}",
        f"licence {model.licence}",
    )


def _lists(plan: PublishedPlan) -> dict[str, str]:
    found = {}
    for one in plan.chosen.models:
        each = one.list
        engine = f"{each.engine} {each.engine_version or 'of a version that is not published'}"
        found[each.title] = f"{each.how}; {engine}. {each.publisher}, {each.measured}. {each.licence}"
    return found


def _refusals(title: str, refused: Sequence[Refused]) -> Iterator[str]:
    if not refused:
        return
    yield ""
    yield f"{title}:"
    by_reason: dict[str, list[str]] = {}
    for one in refused:
        by_reason.setdefault(one.why, []).append(one.id)
    for why, ids in by_reason.items():
        yield f"  {', '.join(dict.fromkeys(ids))}: {why}"


def _time(seconds: float) -> str:
    """``25 min``, ``1 h 20 min``."""
    minutes = max(1, round(seconds / 60))
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{hours} h"
