"""A base model's card, read for what making that model took: our section of it, else its ``dia_report``."""

from __future__ import annotations

from pathlib import Path

from energy_rating.files.imports import dia
from energy_rating.files.opening import read_whole
from energy_rating.judging.footprint.carbon import among
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate, significant, total
from energy_rating.publishing import data, splice
from energy_rating.publishing.base_share import LONGEST, BaseShare, Ends
from energy_rating.publishing.strangers import for_plain_text

LARGEST_CARD = 16 << 20  # bytes


def share_in(path: str | Path, model: str) -> BaseShare:
    """What making a base model took, by its card.

    Args:
        path: its README.md.
        model: what it is called, as the derived model's runs name it.

    Raises:
        BadInput: it cannot be read, or says nothing of it that could be taken.
    """
    path = Path(path)
    try:
        card = read_whole(path, LARGEST_CARD).decode()
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", "Name the base model's README.md", place=path) from None
    try:
        found = _of_section(card, model) or _of_report(card, model)
    except ValueError as error:
        raise BadInput(f"holds a section of ours that cannot be read ({error})", place=path) from None
    except BadInput as error:
        place = f"{path}: {error.place}" if error.place else path
        raise BadInput(error.message, error.remedy, place=place) from None
    if found is None:
        raise BadInput(
            "says nothing of what making the model took that could be read: it has neither our section with a training nor a dia_report",
            "Ask its maker, or leave --base-card out",
            place=path,
        )
    return found


def _of_section(card: str, model: str) -> BaseShare | None:
    text = splice.section_of(card)
    section = data.section_data(text) if text is not None else None
    trainings = [one for one in section.energies if one.sound] if section is not None else []
    if section is None or not trainings:
        return None
    drawn = [[one.drawn[name] for name in among(one.drawn)] for one in trainings]
    energies = [
        total(
            (Estimate(value=one.joules, random=one.random, systematic=one.systematic) for one in parts),
            same_sensor=False,
        )
        for parts in drawn
    ]
    energy = total(energies, same_sensor=True).times(1 / JOULES_PER_KWH)
    carbon = None
    if section.trainings:
        carbon = total((one.carbon_g for one in section.trainings), same_sensor=True)
    elif not splice.is_of_others(card, "co2_eq_emissions"):
        # The metadata's figure has no doubt of its own.
        told = (splice.value_of(card, "co2_eq_emissions") or {}).get("emissions")
        carbon = Estimate(value=float(told)) if told is not None else None
    components = list(dict.fromkeys(name for one in trainings for name in among(one.drawn)))
    measured = all(one.origin == "measured" for parts in drawn for one in parts)
    left_out = len(section.energies) - len(trainings)
    return BaseShare(
        model=for_plain_text(model, LONGEST),
        by="energy-rating",
        quality=f"{'measured' if measured else 'estimated in part'} of {', '.join(components)}"
        + (f", {left_out} invalid runs left out" if left_out else ""),
        energy_kwh=_ends(energy),
        carbon_kg=_ends(carbon.times(1e-3)) if carbon is not None else None,
        tool=None,
        runs=len(trainings),
    )


def _of_report(card: str, model: str) -> BaseShare | None:
    report = dia.report_in(card)
    if report is None:
        return None
    energy, carbon = dia.ends_of(report, "energy_kwh"), dia.ends_of(report, "carbon_kgco2eq")
    if energy is None and carbon is None:
        return None
    tool = report.get("tool")
    runs = report.get("runs")
    return BaseShare(
        model=for_plain_text(model, LONGEST),
        by="dia_report",
        quality=for_plain_text(energy[2] if energy is not None else "not told", 60),
        energy_kwh=None if energy is None else energy[:2],
        carbon_kg=None if carbon is None else carbon[:2],
        tool=for_plain_text(tool, LONGEST) if isinstance(tool, str) else None,
        runs=runs if isinstance(runs, int) and not isinstance(runs, bool) and 0 < runs < 10**6 else 1,
    )


def _ends(estimate: Estimate) -> Ends:
    low, high = estimate.interval()
    return _number(max(low, 0.0)), _number(high)


def _number(value: float) -> float:
    return float(significant(value, 4)) if value else 0.0
