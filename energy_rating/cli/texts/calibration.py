"""What came of a calibration, as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_rating.benchmarking.calibration.points import point_to_text
from energy_rating.nouns.quantities import significant

if TYPE_CHECKING:
    from energy_rating.benchmarking.calibration.points import Calibration
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
