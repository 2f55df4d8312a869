"""Many records in one section: side by side in a table of few words, the details of each behind one sentence, and the sum of the trainings.

A screen reader reads a summary as a sentence, and opens what is asked for; a sighted reader sees four columns. What is told of each
record in full is the card's. All of it is text in cells and sentences, neither Markdown nor HTML of a stranger's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import (
    JOULES_PER_WH,
    Estimate,
    reaches_zero,
    significant,
    total,
    with_doubt,
)
from energy_rating.nouns.records import COMPONENTS, RUN, TRAINING, Device, Record, validity
from energy_rating.publishing import splice
from energy_rating.publishing.facts import Facts
from energy_rating.publishing.names import NAMES, Origin
from energy_rating.publishing.strangers import for_markdown, for_plain_text

TABLE = ("| No. | Run | Hardware | Energy | Rating |", "|---|---|---|---|---|")
SUM_TABLE = ("| Energy of all trainings | Amount | Of which runs |", "|---|---|---|")
CLOSING = "</details>"

# Of each amount as it is kept: more than any doubt leaves, and the same on every machine.
DIGITS = 6
LARGEST_J = 1e18

# A name as the Hub allows it, with or without its owner; anything else is shown as code.
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)


# ---------------------------------------------------------------------------------------------------------- side by side


def table(runs: Sequence[Facts]) -> str:
    """One row a record, in as few words as tell them apart."""
    return "\n".join([*TABLE, *(row(number, facts) for number, facts in enumerate(runs, start=1))])


def row(number: int, facts: Facts) -> str:
    """The row of one record; ``number`` is its place, from 1."""
    cells = (
        str(number),
        title(facts.record),
        for_markdown(hardware(facts.machine)) or "not recorded",
        energy(facts),
        stars(facts),
    )
    return f"| {' | '.join(cells)} |"


def opening(number: int, facts: Facts) -> str:
    """What the details of one record stand behind: a sentence that says what they come to."""
    devices = for_markdown(hardware(facts.machine))
    on = f" on {devices}" if devices else ""
    sentence = (
        f"{number}. {title(facts.record)}{on}: {energy(facts, plain=True)}; {stars(facts, plain=True)}."
    )
    return f"<details>\n<summary>{sentence}</summary>"


def title(record: Record) -> str:
    """What one record is of: model, stage, task, what it was for."""
    about = [
        model(record),
        record.stage,
        for_markdown(record.task.name) if record.task else None,
        for_markdown(record.role) if record.role else None,
    ]
    return ", ".join(part for part in about if part)


def model(record: Record) -> str:
    if record.model is None:
        return "model not named"
    name = for_plain_text(record.model.id)
    return for_markdown(name) if _MODEL_ID.fullmatch(name) else f"<code>{for_markdown(name)}</code>"


def hardware(devices: Sequence[Device]) -> str:
    """The devices, alike ones together: ``8 × NVIDIA H100 80GB HBM3 (power limit 700 W)``. Not escaped."""
    counts: dict[tuple[str, float | None], int] = {}
    for device in devices:
        kind = (for_plain_text(device.name), device.power_limit_w)
        counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(
        f"{count} × {name}" + (f" (power limit {splice.decimal(limit)} W)" if limit is not None else "")
        for (name, limit), count in counts.items()
    )


def energy(facts: Facts, *, plain: bool = False) -> str:
    """The figure that stands for a record, whose it is and how it was had. ``plain``: without emphasis, as HTML wants it."""
    figure = facts.figure
    if figure is None:
        return "no energy was measured"
    amount = (
        with_origin(figure.energy_j.times(1 / JOULES_PER_WH), "Wh", figure.origin)
        if figure.unit is None
        else f"{with_origin(figure.energy_j, 'J', figure.origin)} per {for_markdown(figure.unit)}"
    )
    told = [amount, figure.part.name]
    if figure.origin == "measured":
        told.append("measured")
    if facts.example:
        told.append("**an example: this device does not exist**")
    if facts.validity != "valid":
        told.append(f"**{facts.validity}**")
    text = ", ".join(told)
    return text.replace("**", "") if plain else text


def stars(facts: Facts, *, plain: bool = False) -> str:
    """The stars in digits, and what they could be; why there are none stands with the details."""
    rating = facts.rating
    if rating is None or rating.stars is None:
        return "not rated"
    text = f"**{rating.stars} of {MOST_STARS} stars**"
    if rating.could_be is not None and rating.could_be[0] != rating.could_be[1]:
        text += f", could be {rating.could_be[0]}–{rating.could_be[1]}"
    if rating.basis == "normalised":
        text += ", **converted** from another device"
    elif rating.basis == "indicative":
        text += ", **only a hint**"
    return text.replace("**", "") if plain else text


def with_origin(amount: Estimate, unit: str, origin: Origin) -> str:
    """An amount with its doubt, and before it whether a model or another tool had it."""
    mark = "" if origin == "measured" else f"**{origin}** "
    mark += "≈ " if origin == "estimated" and not reaches_zero(amount) else ""
    return f"{mark}{with_doubt(amount, unit)}"


# ------------------------------------------------------------------------------------------------- the sum over trainings


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnInTraining:
    """What one component drew in a training, with both doubts, and how that was had."""

    joules: float
    random: float
    systematic: float
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEnergy:
    """What one training drew, by component. ``sound``: nothing makes its figures invalid."""

    run: str
    sound: bool
    drawn: Mapping[str, DrawnInTraining]


def energy_of(facts: Facts) -> TrainingEnergy:
    return TrainingEnergy(
        run=for_plain_text(facts.record.run_id),
        sound=validity(facts.record.findings_on(RUN)) != "invalid",
        drawn={
            part.component: DrawnInTraining(
                joules=_rounded(part.energy_j.value),
                random=_rounded(part.energy_j.random),
                systematic=_rounded(part.energy_j.systematic),
                origin=part.origin,
            )
            for part in facts.total
        },
    )


def energies_of(runs: Iterable[Facts]) -> tuple[TrainingEnergy, ...]:
    """Of each training among these, once whatever the number of times it is named."""
    found = {facts.record.run_id: energy_of(facts) for facts in runs if facts.record.stage in TRAINING}
    return tuple(found.values())


def sum_table(energies: Sequence[TrainingEnergy]) -> str:
    """What all trainings drew. What is invalid is in no sum; whose sum it is, is said of each component.

    Systematic doubt adds up linearly: the sensors are of one kind.
    """
    lines = []
    sound = [one for one in energies if one.sound]
    for component in COMPONENTS:
        had = [one.drawn[component] for one in sound if component in one.drawn]
        if not had:
            continue
        amount = total(
            (Estimate(value=one.joules, random=one.random, systematic=one.systematic) for one in had),
            same_sensor=True,
        )
        kinds = {one.origin for one in had}
        origin = next(
            (one for one in ("estimated", "imported", "measured") if one in kinds),
            "measured",
        )
        mark = "partly " if len(kinds) > 1 else ""
        text = with_origin(amount.times(1 / JOULES_PER_WH), "Wh", _origin(origin))
        lines.append(
            f"| {NAMES[component]} | {text.replace('**', f'**{mark}', 1) if mark else text} | {_of(len(had), sound, energies)} |"
        )
    if not lines:
        lines.append(f"| nothing | | {_of(0, sound, energies)} |")
    return "\n".join([*SUM_TABLE, *lines])


def _of(had: int, sound: Sequence[TrainingEnergy], all_: Sequence[TrainingEnergy]) -> str:
    told = f"all {len(all_)}" if had == len(all_) else f"{had} of {len(all_)}"
    if had < len(sound):
        told += "; not measured in the others" if len(sound) == len(all_) else "; not measured in others"
    invalid = len(all_) - len(sound)
    if invalid:
        told += f"; {invalid} {'is' if invalid == 1 else 'are'} invalid and left out"
    return told


def stored(energies: Sequence[TrainingEnergy]) -> list[dict[str, Any]]:
    """As they stand in the data of a section."""
    return [asdict(one) for one in energies]


def read(entry: object, runs: Sequence[str]) -> tuple[TrainingEnergy, ...]:
    """The same from the data of a section, whose runs these are.

    Raises:
        ValueError: it is none, or of a run that is not there, or of one twice.
    """
    if not isinstance(entry, list):
        raise ValueError("energies must be a list")
    found: list[TrainingEnergy] = []
    for one in entry:
        if not isinstance(one, dict) or one.keys() != TrainingEnergy.__dataclass_fields__.keys():
            raise ValueError("each energy must be an object with the keys of an energy")
        if one["run"] not in runs or any(one["run"] == other.run for other in found):
            raise ValueError(f"there is no run {str(one['run'])[:80]!r} for an energy")
        if not isinstance(one["drawn"], dict) or not isinstance(one["sound"], bool):
            raise ValueError("drawn must be an object, and sound true or false")
        drawn = {}
        for component, amount in one["drawn"].items():
            if component not in COMPONENTS or not isinstance(amount, dict):
                raise ValueError(f"no component is called {str(component)[:40]!r}")
            if amount.keys() != DrawnInTraining.__dataclass_fields__.keys() or amount[
                "origin"
            ] not in get_args(Origin):
                raise ValueError("what was drawn must have joules, both doubts and an origin")
            for name in ("joules", "random", "systematic"):
                value = amount[name]
                if (
                    isinstance(value, bool)
                    or not isinstance(value, int | float)
                    or not 0 <= value < LARGEST_J
                ):
                    raise ValueError(f"{name} of an energy cannot be {value!r:.80}")
            drawn[component] = DrawnInTraining(**amount)
        found.append(TrainingEnergy(run=one["run"], sound=one["sound"], drawn=drawn))
    return tuple(found)


def _origin(word: str) -> Origin:
    return next(one for one in get_args(Origin) if one == word)


def _rounded(value: float) -> float:
    return float(significant(value, DIGITS)) if value else 0.0
