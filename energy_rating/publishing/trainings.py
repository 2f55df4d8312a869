"""Several trainings in one card: what each emitted and what it was for, and their sum, which is what the Hub's field asks for.

All of it is made from what the section holds as data, so that whoever has the folder of one of the runs can make the table again, and
check the line that is its own. Emissions add up with their doubt: what is systematic in them is of the same sensors and factors, and
adds up linearly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from energy_rating.judging.footprint.carbon import Impact
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate, significant, total
from energy_rating.nouns.records import Record
from energy_rating.publishing import words
from energy_rating.publishing.facts import Facts
from energy_rating.publishing.names import Origin
from energy_rating.publishing.strangers import for_markdown, for_plain_text

# Of each amount as it is kept: more than any doubt leaves, and the same on every machine.
DIGITS = 6
LONGEST = 200  # of a text that a record brings
NO_ROLE = "not said"

TABLE = ("| Trainings | Model | Runs | Emissions of electricity |", "|---|---|---|---|")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """One training of several: ``grams`` of CO2e with both doubts; ``had`` is whether each component was measured or estimated.

    ``relation`` and ``base``: what it made of which model. ``zone`` and ``factors`` (a vintage) are what its carbon was made with.
    """

    run: str
    stage: str
    role: str | None
    model: str | None
    relation: str | None
    base: str | None
    zone: str
    zone_name: str
    factors: str | None
    grams: float
    random: float
    systematic: float
    had: Mapping[str, str]
    missing: tuple[str, ...]
    validity: str
    hardware: str
    version: str

    @property
    def carbon_g(self) -> Estimate:
        return Estimate(value=self.grams, random=self.random, systematic=self.systematic)


def training_of(record: Record, impact: Impact, facts: Facts, hardware: str) -> TrainingData:
    """What is kept of a training among others."""
    lineage = record.lineage
    origins: dict[str, Origin] = {part.component: part.origin for part in facts.total}
    return TrainingData(
        run=for_plain_text(record.run_id),
        stage=record.stage,
        role=_text(record.role),
        model=_text(record.model.id if record.model is not None else None),
        relation=_text(lineage.relation if lineage is not None else None),
        base=_text(lineage.base_model if lineage is not None else None),
        zone=for_plain_text(impact.zone),
        zone_name=for_plain_text(impact.zone_name),
        factors=_text(impact.vintage),
        grams=rounded(impact.carbon_g.value),
        random=rounded(impact.carbon_g.random),
        systematic=rounded(impact.carbon_g.systematic),
        had={component: origins.get(component, "measured") for component in impact.components},
        missing=tuple(impact.missing),
        validity=impact.validity,
        hardware=for_plain_text(hardware),
        version=for_plain_text(record.provenance.version, 40),
    )


def made_from(record: Record) -> str | None:
    """What a run made of which model, in words: ``adapter of org/base``. Not escaped."""
    lineage = record.lineage
    if lineage is None or lineage.base_model is None:
        return None
    return f"{lineage.relation or 'made'} {'of' if lineage.relation else 'from'} {for_plain_text(lineage.base_model)}"


def table(trainings: Sequence[TrainingData]) -> str:
    """Their sum, and its parts: by what they were for, and by model, so that neither a sweep nor an adapter hides in another's line."""
    kinds: dict[tuple[str, str], list[TrainingData]] = {}
    for one in trainings:
        kinds.setdefault((one.role or NO_ROLE, _model(one)), []).append(one)
    lines = [
        f"| {for_markdown(role)} | {for_markdown(model)} | {_runs(some)} | {_emissions(some)} |"
        for (role, model), some in kinds.items()
    ]
    return "\n".join([*TABLE, *lines, f"| **All** | | {len(trainings)} runs | **{_emissions(trainings)}** |"])


def summed_g(trainings: Sequence[TrainingData]) -> Estimate:
    """The grams of all of them."""
    return total((one.carbon_g for one in trainings), same_sensor=True)


def metadata(trainings: Sequence[TrainingData], location: str | None) -> dict[str, str | float]:
    """What ``co2_eq_emissions`` is to map to.

    Raises:
        BadInput: one of them is invalid, or one stands there twice.
    """
    runs = [one.run for one in trainings]
    for one in trainings:
        if one.validity == "invalid":
            raise BadInput(
                f"the run {one.run} is invalid, and its emissions are not written",
                "Measure it again, or leave it out of the card; see the findings in its record",
                place="emissions",
            )
        if runs.count(one.run) > 1:
            raise BadInput(
                f"the run {one.run} is there more than once, and would count more than once",
                "Name each run once",
                place="emissions",
            )
    version = re.sub(r"[\s,]+", "-", trainings[0].version) or "unknown"
    told = [f"energy-rating {version}", f"run {runs[0][:80]} and {len(runs) - 1} more"]
    had: dict[str, set[str]] = {}
    for one in trainings:
        for component, origin in one.had.items():
            had.setdefault(component, set()).add(origin)
        for component in one.missing:
            had.setdefault(component, set()).add("not measured")
    told += [f"{component} {' or '.join(sorted(origins))}" for component, origins in had.items()]
    if any(one.validity != "valid" for one in trainings):
        told.append("degraded")
    value: dict[str, str | float] = {
        "emissions": float(significant(summed_g(trainings).value, 4)),
        "source": ", ".join(told),
        "training_type": " and ".join(dict.fromkeys(one.stage for one in trainings)),
    }
    where = for_plain_text(location) if location else " and ".join(_each(one.zone_name for one in trainings))
    if where:
        value["geographical_location"] = where
    devices = "; ".join(_each(one.hardware for one in trainings))
    if devices:
        value["hardware_used"] = devices
    return value


def stored(trainings: Sequence[TrainingData]) -> list[dict[str, Any]]:
    """As they stand in the data of a section."""
    return [{**asdict(one), "missing": list(one.missing)} for one in trainings]


def read(entry: object, runs: Sequence[str]) -> tuple[TrainingData, ...]:
    """The same from the data of a section, whose runs these are.

    Raises:
        ValueError: it is none, or of a run that is not there.
    """
    if not isinstance(entry, list):
        raise ValueError("trainings must be a list")
    found = []
    for one in entry:
        if not isinstance(one, dict) or one.keys() != TrainingData.__dataclass_fields__.keys():
            raise ValueError("each training must be an object with the keys of a training")
        for name, value in one.items():
            if name in ("grams", "random", "systematic"):
                fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
            elif name == "had":
                fits = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
            elif name == "missing":
                fits = isinstance(value, list) and all(isinstance(text, str) for text in value)
            else:
                fits = isinstance(value, str) or (
                    value is None and name in ("role", "model", "relation", "base", "factors")
                )
            if not fits:
                raise ValueError(f"{name} of a training cannot be {value!r:.80}")
        if one["run"] not in runs:
            raise ValueError(f"there is no run {one['run'][:80]!r} for a training")
        found.append(TrainingData(**{**one, "missing": tuple(one["missing"])}))
    return tuple(found)


def _model(one: TrainingData) -> str:
    made = f" ({one.relation or 'made'} {'of' if one.relation else 'from'} {one.base})" if one.base else ""
    return f"{one.model or 'not named'}{made}"


def _runs(some: Sequence[TrainingData]) -> str:
    return for_markdown(some[0].run) if len(some) == 1 else f"{len(some)} runs"


def _emissions(some: Sequence[TrainingData]) -> str:
    estimated = any(origin == "estimated" for one in some for origin in one.had.values())
    return f"{'estimated ≈ ' if estimated else ''}{words.grams(summed_g(some))} CO2e"


def _each(texts: Any) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _text(text: str | None) -> str | None:
    return for_plain_text(text, LONGEST) if text else None


def rounded(value: float) -> float:
    return float(significant(value, DIGITS)) if value else 0.0
