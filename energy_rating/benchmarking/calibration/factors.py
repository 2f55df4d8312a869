"""From the energies of a calibration to the factors and energies of a profile. Measures nothing."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, stdev

from energy_rating.benchmarking.calibration.points import PROTOCOL, Point, PointResult
from energy_rating.benchmarking.calibration.published import Widening
from energy_rating.files.whole import write_whole
from energy_rating.judging.normalisation import CALIBRATED, CALIBRATED_SERVING, LEAST_USE, MOST_USE, Z_90
from energy_rating.judging.profiles import (
    FEWEST_MODELS,
    CalibrationEnergy,
    Factor,
    Profile,
    Source,
    cited,
    profile_to_toml,
)
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import Device
from energy_rating.version import __version__


def compared(
    outcome: PointResult, device: Device | None, energies: Mapping[str, CalibrationEnergy], *, compare: bool
) -> PointResult:
    """Beside the reference's energy, where there is one that it may stand beside."""
    outcome = of_device(outcome, device)
    mine, point = outcome.joules_per_unit, outcome.point
    if mine is None or outcome.left_out is not None:
        return outcome
    assert isinstance(point, Point)
    if point.trial:
        return replace(outcome, left_out="a point of trial: too small to stand for its class")
    there = energies.get(point.name) if compare else None
    if there is None:
        return outcome
    if there.point_sha256 != point.sha256:
        return replace(
            outcome, left_out="the reference's energy is of another configuration or other settings"
        )
    return replace(outcome, reference_j=there.joules_per_unit, ratio=there.joules_per_unit / mine.value)


def of_device(outcome: PointResult, device: Device | None) -> PointResult:
    """With the reason why it calibrates nothing, where it is none of a GPU, or used less of it than factors hold for."""
    mine = outcome.joules_per_unit
    if mine is None or (outcome.left_out is not None and device is not None):
        return outcome
    if device is None:
        origin = "estimated by a model" if mine.estimated else f"that of the {mine.component}"
        return replace(outcome, left_out=f"the energy is {origin}, and calibrates nothing")
    if outcome.use is not None and not LEAST_USE <= outcome.use <= MOST_USE:
        return replace(
            outcome,
            left_out=f"it drew {outcome.use:.0%} of the power limit; factors hold from {LEAST_USE:.0%} to {MOST_USE:.0%}",
        )
    return outcome


# ------------------------------------------------------------------------------------------------------- the profile


def factors_of(
    outcomes: Sequence[PointResult], reference: str, *, source: str, device: Device, of: str = PROTOCOL
) -> tuple[Factor, ...]:
    """One factor a class: the median over models of each model's median ratio.

    Its 90 % interval is what tier 2 prescribes (``normalisation``), or what the spread between the models asks for, exp(1.645 s),
    whichever is wider. What is not alike between here and there (``PointResult.apart``) widens the first in quadrature of logarithms.
    ``of``: what it was calibrated against, in words.
    """
    factors = []
    for workload_class in dict.fromkeys(outcome.point.workload_class for outcome in outcomes):
        ratios: dict[str, list[float]] = {}
        told, uses = [], []
        apart: dict[str, Widening] = {}
        for outcome in outcomes:
            if outcome.ratio is not None and outcome.point.workload_class == workload_class:
                ratios.setdefault(outcome.point.config, []).append(outcome.ratio)
                told.append(f"{outcome.point.name} {significant(outcome.ratio, 3)}")
                uses += [] if outcome.use is None else [outcome.use]
                apart |= {one.apart: one for one in outcome.apart}
        if not ratios:
            continue
        models = [median(several) for several in ratios.values()]
        spread = stdev(math.log(value) for value in models) if len(models) > 1 else None
        prescribed = _wider(
            CALIBRATED_SERVING if workload_class == "llm-serving" else CALIBRATED, apart.values()
        )
        wider = "".join(
            f"; wider by ×/÷ {significant(one.factor, 3)}: {_UNLIKE[one.apart]}" for one in apart.values()
        )
        factors.append(
            Factor(
                workload_class=workload_class,
                reference=reference,
                value=_four(median(models)),
                interval=_four(max(prescribed, math.exp(Z_90 * (spread or 0.0)))),
                # More than that would claim a tier that no calibration has.
                models=min(len(models), FEWEST_MODELS - 1),
                rows=len(told),
                tier="2",
                evidence=f"{of}, there over here: {', '.join(told)}{wider}",
                source=source,
                spread=_four(spread) if spread else None,
                median_use=round(median(uses), 3) if uses else None,
                instrument=f"energy-rating {__version__}",
                driver=device.driver,
                power_limit_w=device.power_limit_w,
            )
        )
    return tuple(factors)


_UNLIKE: Mapping[str, str] = {
    "engine-version": "the engine has another version than there, or one that is not known",
    "attention": "which attention ran is not known of both",
    "answers": "the answers are of other lengths",
}


def _wider(prescribed: float, apart: Iterable[Widening]) -> float:
    """A 90 % interval (×/÷) with what is unknown beside it: logarithms add in quadrature, as those of independent steps do."""
    return math.exp(math.hypot(math.log(prescribed), *(math.log(one.factor) for one in apart)))


def _four(value: float) -> float:
    """With four significant digits: more would say more than is known."""
    return float(f"{value:.4g}")


def profile_from(
    base: Profile, device: Device, reference: str, outcomes: Sequence[PointResult], *, of: str = PROTOCOL
) -> tuple[Profile | None, tuple[Factor, ...]]:
    """The device's profile with what was found; None where nothing was. ``of``: what it was calibrated against."""
    kept = [
        outcome for outcome in outcomes if outcome.left_out is None and outcome.joules_per_unit is not None
    ]
    if not kept:
        return None, ()
    described = _source(kept, device, of)
    name = f"calibration-{described.date}"
    for number in itertools.count(2):
        if base.sources.get(name, described) == described:
            break
        name = f"calibration-{described.date}-{number}"
    energies = {(entry.protocol, entry.point): entry for entry in base.calibration} | {
        (PROTOCOL, outcome.point.name): _energy(outcome, outcome.point, name)
        for outcome in kept
        if isinstance(outcome.point, Point)
    }
    factors = factors_of(kept, reference, source=name, device=device, of=of)
    replaced = {(factor.workload_class, factor.reference) for factor in factors}
    others = [
        factor
        for factor in base.factors
        if factor.tier != "2" or (factor.workload_class, factor.reference) not in replaced
    ]
    all_factors, all_energies = (*others, *factors), tuple(energies.values())
    used = cited((base.driver, base.dtypes), base.known_figures().values(), base.embodied, base.meter)
    used |= cited(all_factors, all_energies)
    sources = {key: value for key, value in {**base.sources, name: described}.items() if key in used}
    return replace(base, factors=all_factors, calibration=all_energies, sources=sources), factors


def _energy(outcome: PointResult, point: Point, source: str) -> CalibrationEnergy:
    energy = outcome.joules_per_unit
    assert energy is not None
    low, high = energy.interval()
    return CalibrationEnergy(
        protocol=PROTOCOL,
        point=point.name,
        point_sha256=point.sha256,
        workload_class=point.workload_class,
        config=point.config,
        config_sha256=point.config_sha256,
        dtype=point.dtype,
        unit=point.unit,
        joules_per_unit=_four(energy.value),
        interval_95=(min(_four(max(low, 0.0)), _four(energy.value)), max(_four(high), _four(energy.value))),
        source=source,
        use=None if outcome.use is None else round(outcome.use, 3),
    )


def _source(outcomes: Sequence[PointResult], device: Device, of: str) -> Source:
    """Who says so: the calibration's own records, by the hashes of their journals."""
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    digest = hashlib.sha256(
        "".join(sorted(record.provenance.journal_sha256 for record in records)).encode()
    ).hexdigest()
    software = {name: version for record in records for name, version in record.environment.software.items()}
    made_of = [
        f"{name} {software[name]}"
        for name in ("torch", "transformers", "diffusers", "vllm")
        if name in software
    ]
    limit = f"{device.power_limit_w:g} W" if device.power_limit_w is not None else "not known"
    return Source(
        title=", ".join(
            (
                f"{of} with energy-rating {__version__}",
                *made_of,
                f"driver {device.driver or 'not known'}",
                f"power limit {limit}: {len(records)} records, whose journals' SHA-256 have together {digest[:16]}",
            )
        ),
        date=max(record.created for record in records)[:10],
    )


def write(profile: Profile, folder: Path) -> Path:
    path = folder / f"{profile.key}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot be made ({error.strerror or error})", "Name another folder with --output", place=folder
        ) from error
    comment = f"{profile.name}, with what energy-rating calibrate found (docs/calibration.md)."
    write_whole(path, profile_to_toml(profile, comment).encode())
    return path
