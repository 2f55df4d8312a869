"""A model card's section on energy, and its ``co2_eq_emissions``. Where they go is ``splice``'s; how they read is told here.

What was measured and what was estimated never look alike, and no figure stands without its doubt. Whatever comes from a
record is a stranger's: it is text in a table cell and nothing else, neither Markdown nor HTML nor a second cell.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, AnyStr
from urllib.parse import quote, urlsplit

from energy_rating.judging.footprint.carbon import Choices, Impact, footprint, missing
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import (
    CONFIDENCE,
    JOULES_PER_WH,
    duration,
    rounded,
    significant,
    with_doubt,
)
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
    Place,
    Rating,
    Record,
    Validity,
    validity,
)
from energy_rating.publishing import data, dia, overview, runs, splice, trainings, words
from energy_rating.publishing import label as labels
from energy_rating.publishing.base_share import BaseShare
from energy_rating.publishing.facts import Facts, Remark, facts_of
from energy_rating.publishing.footprint import rows as footprint_rows
from energy_rating.publishing.links import MEANING, NO_LINKS, Links
from energy_rating.publishing.names import Origin
from energy_rating.publishing.overview import hardware as hardware
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.words import NAMES, TO_95, grams

KEY = "co2_eq_emissions"
HEADING = "## Energy rating"

LARGEST_CARD = 16 << 20  # bytes

# A whole year of the world's emissions is 6e16 g; what is larger is a slip of units.
MOST_EMISSIONS_G = 1e16

_SENSED: Mapping[str, str] = {"counter": "energy counter", "power": "power register"}
_VALIDITY: Mapping[Validity, str] = {
    "valid": "valid",
    "degraded": "**degraded**: usable, with the reservations below",
    "invalid": "**invalid**: shown, and not fit for a rating",
}
_PLURALS = {"request": "requests", "token": "tokens", "image": "images", "item": "items", "step": "steps"}

# The picture is 400 pixels wide and two to three times as high: at full size it would fill the screen before the first word.
PICTURE_PX = 300


# -------------------------------------------------------------------------------------------------------- the section


def section(
    records: Sequence[tuple[Record, Rating | None]],
    *,
    label: str | None = None,
    heading: str = HEADING,
    emissions_g: float | None = None,
    impact: Impact | Sequence[Impact] | None = None,
    location: str | None = None,
    links: Links = NO_LINKS,
    footprints: Sequence[Footprinted | None] = (),
    section_only: bool = False,
    base: BaseShare | None = None,
) -> str:
    """The section in Markdown, without its markers. The same records give the same text.

    Args:
        records: each with its rating, if it has one.
        label: where the label's picture lies, as the card is to link it: a relative path or an https address. It is
            described as the first record's.
        heading: the line that the section begins with.
        emissions_g: grams of CO2e of the one training run among the records; shown with it.
        impact: the same, worked out by ``footprint``; shown with its doubt, its factor and what is in it. Of several training runs one of
            each, in the order of the records: their sum is shown with what each was for.
        location: where that was.
        links: where the journal lies, and where it is told what the stars mean.
        footprints: as many as records, or none: what each comes to, told as a table of its own.
        section_only: it stands in a file without metadata.
        base: what making the base model took (``base_cards.share_in``), shown beside and added to nothing.

    Raises:
        BadInput: there is no record, the label is no such path, or the emissions are of no one training run.
    """
    return (
        "\n\n".join(
            parts(
                records,
                label=label,
                heading=heading,
                emissions_g=emissions_g,
                impact=impact,
                location=location,
                links=links,
                footprints=footprints,
                section_only=section_only,
                base=base,
            )
        )
        + "\n"
    )


def parts(
    records: Sequence[tuple[Record, Rating | None]],
    *,
    label: str | None,
    heading: str,
    emissions_g: float | None,
    impact: Impact | Sequence[Impact] | None,
    location: str | None,
    links: Links,
    footprints: Sequence[Footprinted | None] = (),
    beside: Sequence[Mapping[str, int]] | None = None,
    section_only: bool = False,
    base: BaseShare | None = None,
) -> list[str]:
    """The section in parts, between which an empty line stands, and in none of which there is one.

    That is: the heading; the picture, if there is one; of several records a table of all, and of several trainings their sums; for each
    record its table, that of its footprint, if it has one, and how to check it, which of several are behind a sentence; what holds of
    all; and the data. ``beside``: of each training how many other runs of its model there are, by role; by default those among the
    records. ``base``: what making the base model took. See ``section`` for the rest.
    """
    if not records:
        raise BadInput("there is no record to write a section from", "Name at least one record")
    given = _given([record for record, _ in records], impact, emissions_g)
    several = _several([record for record, _ in records], given)
    one_impact = next((one for one in given.values() if isinstance(one, Impact)), None)
    besides = [_beside(record, records) for record, _ in records] if beside is None else list(beside)
    told_of = [facts_of(record, rating) for record, rating in records]
    energies = overview.energies_of(told_of)
    found = [heading]
    if label is not None:
        found.append(_picture(*records[0], label, besides[0]))
    if len(records) > 1:
        found.append(overview.table(told_of))
    if len(energies) > 1:
        found.append(overview.sum_table(energies))
    if several:
        found.append(trainings.table(several))
    for number, facts in enumerate(told_of):
        told = footprints[number] if number < len(footprints) else None
        if len(records) > 1:
            found.append(overview.opening(number + 1, facts))
        rows = _rows(facts, given.get(number), location, besides[number], base)
        found.append("\n".join([*TABLE, *(f"| {name} | {text} |" for name, text in rows)]))
        if told is not None:
            found.append(_footprint(told.impact))
        found.append(_check(facts, links))
        if len(records) > 1:
            found.append(overview.CLOSING)
    found.append(_foot(links, imported=all(record.origin == "imported" for record, _ in records)))
    found.append(
        data.of_section(
            [data.of_run(record, rating) for record, rating in records],
            links,
            label=label,
            impact=one_impact if not several else None,
            location=location if given else None,
            emissions_g=emissions_g if given and one_impact is None else None,
            footprints=tuple(None if one is None else one.asked for one in footprints),
            trainings=several,
            beside=tuple(besides),
            energies=energies,
            section_only=section_only,
            base=base,
        )
    )
    return found


def _beside(record: Record, records: Sequence[tuple[Record, Rating | None]]) -> dict[str, int]:
    """The runs in one section that went before a training without being it: of the same model, by role."""
    if record.stage not in TRAINING or record.model is None:
        return {}
    return runs.development(
        [
            other
            for other, _ in records
            if other.run_id != record.run_id and other.model is not None and other.model.id == record.model.id
        ]
    )


def _several(
    records: Sequence[Record], given: Mapping[int, Impact | float]
) -> tuple[trainings.TrainingData, ...]:
    """What is told of the sum of several trainings; () of one."""
    if len(given) < 2:
        return ()
    return tuple(
        training_of(records[number], impact) for number, impact in given.items() if isinstance(impact, Impact)
    )


def training_of(record: Record, impact: Impact) -> trainings.TrainingData:
    """What is told of one training of several."""
    facts = facts_of(record)
    return trainings.training_of(record, impact, facts, hardware(facts.machine))


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprinted:
    """What a run comes to, and what that was asked with: from both it can be made again."""

    impact: Impact
    choices: Choices

    @property
    def asked(self) -> dict[str, Any]:
        """As the section's data hold it: with the vintage, so that a later default changes nothing."""
        choices = self.choices
        if self.impact.vintage is not None:
            choices = replace(choices, factors=self.impact.vintage)
        said = {"measurement": self.impact.measurement, **choices.said()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


def footprinted(record: Record, choices: Choices, measurement: str = RUN) -> Footprinted:
    """What a measurement comes to, as ``card`` tells it.

    Raises:
        BadInput: what is asked for cannot be.
        NotMeasured: nothing was measured in it.
    """
    return Footprinted(impact=footprint(record, measurement=measurement, choices=choices), choices=choices)


def footprinted_again(record: Record, asked: Mapping[str, Any]) -> Footprinted:
    """The same from the data of a section.

    Raises:
        BadInput: they ask for what there is not.
    """
    said: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()
    }
    measurement = str(said.pop("measurement", RUN))
    known = {item.name for item in fields(Choices)}
    if unknown := sorted(set(said) - known):
        raise BadInput(f"there is nothing called {unknown[0][:40]!r} to ask for", place="footprints")
    return footprinted(record, Choices(**said), measurement)


FOOTPRINT_TABLE = ("| Footprint | Amount | Rests on |", "|---|---|---|")


def _footprint(impact: Impact) -> str:
    """A compact table: what is told, each with its doubt; and in one line what is not, and why."""
    told = footprint_rows(impact)
    lines = [
        f"| {for_markdown(row.name)} | {'' if row.known == 'known' else '**estimated** '}{for_markdown(row.amount)} | {for_markdown(row.rests_on, 500)} |"
        for row in told
        if row.amount is not None
    ]
    left_out = "; ".join(
        f"{row.name} ({row.rests_on.partition('. ')[0]})" for row in told if row.amount is None
    )
    if left_out:
        lines.append(f"| Not told | | {for_markdown(left_out, 2000)} |")
    return "\n".join([*FOOTPRINT_TABLE, *lines])


TABLE = ("| What | Value |", "|---|---|")


def _picture(record: Record, rating: Rating | None, label: str, beside: Mapping[str, int]) -> str:
    # References mean the same in an attribute, and nothing to Markdown.
    alt = for_markdown(labels.alt(record, rating, beside), 1000).replace('"', "&#34;")
    return f'<img src="{html.escape(_link(label))}" width="{PICTURE_PX}" alt="{alt}">'


def _rows(
    facts: Facts,
    emissions: Impact | float | None,
    location: str | None,
    beside: Mapping[str, int],
    base: BaseShare | None,
) -> Iterator[tuple[str, str]]:
    record, rating = facts.record, facts.rating
    if facts.example:
        yield "**Example**", "this device does not exist, and this is no rating of anything real"
    yield "Model", _about_model(record)
    made = trainings.made_from(record)
    if made is not None:
        yield "Made from", f"{for_markdown(made)} (scope: incremental, this model's own runs alone)"
    if base is not None and record.stage in TRAINING:
        yield "Its base took", for_markdown(base.said, 600)
    if record.role is not None:
        yield "Role of this run", for_markdown(record.role)
    yield "Task", _about_task(record)
    if (which := runs.in_full(record, beside)) is not None:
        yield "Runs", for_markdown(which)
    yield "Rating", _stars(facts)
    if rating is not None:
        yield from _rests_on(rating)
    if facts.component is not None:
        yield "Energy of", f"{words.HOLDS[facts.component]}; electricity, {words.NOT_CARBON}"
    for part in facts.total:
        yield (
            f"Total energy, {part.name}",
            overview.with_origin(part.energy_j.times(1 / JOULES_PER_WH), "Wh", part.origin),
        )
    yield from _energies(facts)
    if facts.total_s is not None:
        yield "Duration", duration(facts.total_s)
    if isinstance(emissions, Impact):
        yield "Emissions of the training", _impact(emissions, location)
    elif emissions is not None:
        where = f", {for_markdown(location)}" if location else ""
        yield "Emissions of the training", f"{splice.decimal(emissions)} g CO2e{where} (as given)"
    yield "Hardware", (for_markdown(hardware(facts.machine)) or "not recorded") + words.on_hosts(record)
    if facts.place is not None:
        yield "Place", _place(facts.place)
    software = [
        f"{for_markdown(name)} {for_markdown(version)}"
        for name, version in record.environment.software.items()
    ]
    if software:
        yield "Software", ", ".join(software)
    yield from _how(facts)
    if facts.outcome is not None:
        yield "Program", for_markdown(facts.outcome)
    yield "Validity", _VALIDITY[facts.validity]
    for finding in facts.findings:
        if finding.severity != "note":
            yield _finding_name(finding), f"{for_markdown(finding.code)}: {for_markdown(finding.said, 500)}"
    for quality in record.quality:
        text = f"{splice.decimal(quality.value)} (source: {for_markdown(quality.source)})"
        yield f"Quality, {for_markdown(quality.metric)}", text
    yield "Date", for_markdown(record.created)
    yield "Run", f"{for_markdown(record.run_id)}, energy-rating {for_markdown(record.provenance.version)}"


def _about_model(record: Record) -> str:
    model = record.model
    told = [overview.model(record)]
    if model is not None:
        told.append(f"revision {for_markdown(model.revision)}" if model.revision else "revision not recorded")
        if model.parameters:
            active = f" ({model.active_parameters:,} active)" if model.active_parameters else ""
            told.append(f"{model.parameters:,} parameters{active}")
        if model.dtype:
            told.append(for_markdown(model.dtype))
    return ", ".join(told)


def _about_task(record: Record) -> str:
    told = [for_markdown(record.task.name) if record.task else "not named", f"stage: {record.stage}"]
    if record.task and record.task.protocol:
        told.append(f"protocol: {for_markdown(record.task.protocol)}")
    if record.load is not None:
        load = record.load
        settings = {
            "items": load.items,
            "batch size": load.batch_size,
            "concurrency": load.concurrency,
            "new tokens at most": load.max_new_tokens,
        }
        told += [f"{name}: {value}" for name, value in settings.items() if value is not None]
    return ", ".join(told)


def _stars(facts: Facts) -> str:
    rating = facts.rating
    if rating is None:
        return "**not rated**: no rating was made"
    if rating.stars is None:
        reasons = [for_markdown(reason.said, 500) for reason in facts.reasons]
        told = f"**not rated**: {_listed(reasons) or 'no reason was given'}"
        if rating.would_be is not None:
            # In digits, and behind the reasons: nobody who looks for stars, or for the first words, finds any here.
            told += f" *{words.would_be(rating.would_be)}: {words.NO_RATING}*"
        return told
    # Stars as signs would be read out one by one.
    text = f"**{rating.stars} of {MOST_STARS} stars**"
    if rating.could_be is not None and rating.could_be[0] != rating.could_be[1]:
        text += f", could be {rating.could_be[0]}–{rating.could_be[1]}"
    if rating.index is not None:
        text += f": {words.against_typical(rating.index, rating.yardstick)}"
        if rating.index.sigma or rating.interval_95:
            low_high = rating.interval_95 or rating.index.interval()
            text += f" (95 % interval: {words.change_between(*low_high)})"
    return text


def _listed(texts: Sequence[str]) -> str:
    """Several are numbered: a semicolon stands inside of some."""
    return (
        texts[0]
        if len(texts) == 1
        else " ".join(f"({number}) {text}" for number, text in enumerate(texts, start=1))
    )


def _rests_on(rating: Rating) -> Iterator[tuple[str, str]]:
    """What the stars rest on: the class, a conversion, items of one's own, the figure that is rated."""
    told = [f"scheme {for_markdown(rating.scheme)}"]
    if rating.class_ is not None:
        told.append(f"class {for_markdown(rating.class_)}")
    if rating.protocol is not None:
        told.append(f"protocol {for_markdown(rating.protocol)}")
    yield "Rated under", ", ".join(told)
    if rating.stars is None:
        return
    # Only the figure that stars rest on; all others stand below, with what they are of.
    if rating.energy_per_unit_j is not None and rating.unit is not None:
        figure = f"{with_doubt(rating.energy_per_unit_j, 'J')} per {for_markdown(rating.unit)}"
        index = (
            f"; index {_ratio(rating)} (energy over the typical one's)" if rating.index is not None else ""
        )
        yield "Rated figure", f"{figure}{index}"
    if rating.yardstick is not None:
        yield (
            "Compared with",
            f"{for_markdown(words.compared_with(rating.yardstick))}; the typical one needs {words.typical(rating.yardstick)}",
        )
    if rating.conversion is not None:
        within = significant(rating.conversion.interval**TO_95, 3)
        yield (
            "**Converted**",
            f"{for_markdown(words.converted(rating.conversion), 500)}; true to within ×/÷ {within} with 95 % confidence",
        )
    elif rating.basis == "normalised":
        yield "**Converted**", "from another device"
    if rating.basis == "indicative":
        yield "**Only a hint**", words.measured_on(rating.own)


def _energies(facts: Facts) -> Iterator[tuple[str, str]]:
    row = facts.shown
    if row is None:
        return
    shown = row.measurement
    window = "" if shown.name in (MEASURED, RUN) else f", window {for_markdown(shown.name)}"
    for part in row.parts:
        for unit in row.units:
            each = row.per(unit, part)
            thousand = each.times(1000 / JOULES_PER_WH)
            many = _PLURALS.get(unit, f"× {for_markdown(unit)}")
            name = f"Energy per {for_markdown(unit)}, {part.name}{window}"
            text = overview.with_origin(each, "J", part.origin)
            # Both figures are one estimate: it is marked once.
            yield name, f"{text}; {with_doubt(thousand, 'Wh')} per 1,000 {many}"


def _ratio(rating: Rating) -> str:
    index = rating.index
    if index is None:
        return "not known"
    half = index.half_width()
    if rating.interval_95 is not None:
        low, high = (rounded(end, half) for end in rating.interval_95)
        return f"{rounded(index.value, half)}, between {low} and {high} with 95 % confidence"
    return f"{rounded(index.value, half)} ± {significant(half, 2)}"


def _impact(impact: Impact, location: str | None) -> str:
    """The grams with their doubt and whose that is, what they are of, by what factor, and what is not in them."""
    whose = ", ".join(
        f"{NAMES[name]}, **estimated**" if name in impact.estimated else NAMES[name]
        for name in impact.components
    )
    about = [
        f"{whose} only" if impact.missing and len(impact.components) == 1 and not impact.estimated else whose,
        f"{for_markdown(location or impact.zone_name)}, {impact.intensity_g_per_kwh:.0f} g/kWh, "
        f"{for_markdown(words.factor_in_words(impact))}",
        *([f"× PUE {impact.pue:g}"] if impact.pue is not None else []),
        *_left_out(impact),
        words.whose_doubt(impact),
        *(f"{NAMES[name]}: {100 * seen:.3g} % of the time seen" for name, seen in impact.partly_seen.items()),
        *([f"**{impact.validity}**"] if impact.validity != "valid" else []),
    ]
    mark = "**estimated** ≈ " if impact.estimated else ""
    return f"{mark}{grams(impact.carbon_g)} CO2e ({'; '.join(about)})"


def _left_out(impact: Impact) -> list[str]:
    left = [NAMES[name] for name in impact.missing]
    if impact.pue is None and impact.energy_holds_pue is None:
        left.append("cooling")
    return [f"not in it: {', '.join(left)}"] if left else []


def _place(place: Place) -> str:
    told = [place.zone, place.region, place.provider]
    return ", ".join(for_markdown(one) for one in told if one) + " (as whoever ran it said)"


def _how(facts: Facts) -> Iterator[tuple[str, str]]:
    """What was measured, estimated and left out, and why."""
    measured, estimated = [], []
    imported = facts.record.origin == "imported"
    if imported:
        yield "**Imported**", for_markdown(words.imported(facts.record))
    for part in facts.parts:
        seen = "" if part.coverage >= 1 else f", {100 * part.coverage:.1f} % of the time"
        if part.estimated:
            estimated.append(f"{part.name} (by a model{seen})")
        else:
            how = _SENSED.get(part.method or "", "a sensor that is not named")
            measured.append(
                f"{part.name} ({how if not imported else 'from a sensor, by the other tool'}{seen})"
            )
    yield ("Read by the other tool" if imported else "Measured"), ", ".join(measured) or "nothing"
    if estimated:
        yield "**Estimated**", ", ".join(estimated)
    if facts.missing:
        yield (
            "Not measured",
            "; ".join(f"{NAMES[name]} ({for_markdown(why)})" for name, why in facts.missing),
        )


def _finding_name(finding: Remark) -> str:
    return "Not fit for a rating" if finding.severity == "disqualifies" else "Reservation"


def _check(facts: Facts, links: Links) -> str:
    """Where the journal is, and the command that makes all this again from it."""
    if facts.record.origin == "imported":
        return f"There is nothing to check it with: it was {for_markdown(words.imported(facts.record))}."
    sha256 = for_markdown(facts.record.provenance.journal_sha256)
    if links.journal_href is not None:
        where = f"Its journal is [here]({links.journal_href})"
    else:
        where = "The address of its journal is not given: ask whoever published this for it"
    told = f" When this was written these figures were {facts.unchecked}." if facts.unchecked else ""
    if facts.record.origin == "merged":
        return (
            f"{where}; they are {facts.record.nodes or 'several'}, one of each host, and the SHA-256 of their SHA-256s is <code>{sha256}</code>. To "
            "check this section, put the record into a folder and what each host left into its `nodes/`, and run "
            f"`energy-rating verify FOLDER --card README.md`.{told}"
        )
    return (
        f"{where}; its SHA-256, uncompressed, is <code>{sha256}</code>. To check this section, put the journal and the record of the "
        f"run into one folder and run `energy-rating verify FOLDER --card README.md`.{told}"
    )


def _foot(links: Links, *, imported: bool) -> str:
    whose = (
        "These figures are another tool's, and nobody can recompute them."
        if imported
        else "These figures are self-declared by whoever ran the measurement; the journal lets anyone recompute them."
    )
    meaning = f"[here]({links.meaning_href})" if links.meaning_href else f"in `{MEANING}` of energy-rating"
    return (
        f"“±” is half the {100 * CONFIDENCE:.0f} % interval. What the stars mean is told {meaning}. {whose}"
    )


def _link(path: str) -> str:
    parts = urlsplit(path)
    if not path or parts.scheme not in ("", "https", "http"):
        raise BadInput(
            f"{for_plain_text(path, 80)!r} cannot be linked as a label",
            "Give a path relative to the card, as label.svg",
        )
    return quote(path, safe="/:%?=&+,;~@#")


# ------------------------------------------------------------------------------------------------------- the metadata


def metadata(
    record: Record, emissions: Impact | float | None, location: str | None = None
) -> dict[str, str | float] | None:
    """What ``co2_eq_emissions`` is to map to; None where the record is of no training, or its emissions are not known.

    The Hub counts grams of CO2e, of training only (hub-docs, model-cards-co2.md). As YAML they are a plain decimal: of an impact
    with four digits, of a number as it was given.

    Raises:
        BadInput: the emissions are no positive number, or those of an invalid measurement.
    """
    if record.stage not in TRAINING or emissions is None:
        return None
    emissions_g: float
    if isinstance(emissions, Impact):
        if emissions.validity == "invalid":
            raise BadInput(
                f"the measurement {emissions.measurement!r} is invalid, and its emissions are not written",
                "Measure again, or write the card without --zone; see the findings in the record",
                place="emissions",
            )
        emissions_g = float(significant(emissions.carbon_g.value, 4))
        location = location or (emissions.zone_name if emissions.zone else None)
    else:
        emissions_g = emissions
    _check_emissions(emissions_g)
    facts = facts_of(record)
    value: dict[str, str | float] = {
        "emissions": emissions_g,
        "source": _source(facts, emissions if isinstance(emissions, Impact) else None),
        "training_type": record.stage,
    }
    if location and for_plain_text(location):
        value["geographical_location"] = for_plain_text(location)
    devices = hardware(facts.machine)
    if devices:
        value["hardware_used"] = devices
    return value


def _check_emissions(emissions_g: float) -> None:
    number = isinstance(emissions_g, int | float) and not isinstance(emissions_g, bool)
    if not number or not math.isfinite(emissions_g) or not 0 < emissions_g < MOST_EMISSIONS_G:
        raise BadInput(
            f"must be above 0 g; got {emissions_g!r}",
            "Give positive grams of CO2e, or none",
            place="emissions",
        )


def _source(facts: Facts, impact: Impact | None) -> str:
    """What the figure rests on. Says that the key is ours: ``splice`` knows it by the first words."""
    record = facts.record
    version = re.sub(r"[\s,]+", "-", for_plain_text(record.provenance.version, 40)) or "unknown"
    had = impact.components if impact is not None else tuple(part.component for part in facts.total)
    told = [f"energy-rating {version}", f"run {for_plain_text(record.run_id, 80)}"]
    origins: dict[str, Origin] = {part.component: part.origin for part in facts.total}
    told += [f"{component} {origins.get(component, 'measured')}" for component in had]
    told += [f"{component} not measured" for component in missing(had)]
    sound = impact.validity if impact is not None else validity(record.findings_on(RUN))
    return ", ".join([*told, sound] if sound != "valid" else told)


# ----------------------------------------------------------------------------------------------------------- the card


def update_card(
    readme: AnyStr,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
    impact: Impact | Sequence[Impact] | None = None,
    location: str | None = None,
    label: str | None = None,
    links: Links = NO_LINKS,
    overwrite: bool = False,
    footprints: Sequence[Footprinted | None] = (),
    section_only: bool = False,
    base: BaseShare | None = None,
    dia_report: bool = False,
) -> AnyStr:
    """The card with our section, and for training runs our metadata, written or refreshed; all else byte for byte.

    Args:
        readme: the whole file, text or UTF-8.
        records: what the section tells, in this order.
        ratings: as many as records; None for one that was not rated.
        emissions_g: grams of CO2e of the one training run among the records. Without it, or without a training run,
            ``co2_eq_emissions`` is not written, and removed if it is ours.
        impact: the same, worked out by ``footprint``: told with its doubt, its factor and what is in it. Of several training runs one of
            each, in the order of the records: ``co2_eq_emissions`` is their sum.
        location: where that was, for example ``"Quebec, Canada"``.
        label: where the label's picture lies.
        links: where the journal lies, and where it is told what the stars mean.
        overwrite: replace a ``co2_eq_emissions`` that somebody else wrote; ``remove_card`` restores it.
        footprints: as many as records, or none (``footprinted``): what each comes to, told as a table of its own.
        section_only: leave the metadata alone, as in a README of GitHub, which shows them as a table before the first word.
        base: what making the base model took, by its own card (``base_cards.share_in``): shown beside, and added to nothing.
        dia_report: write what the trainings took as ``dia_report`` too, the metadata of Data and Impact Accounting; without it one of ours
            is removed.

    Raises:
        BadInput: the card cannot be changed without touching anything else, or an argument is wrong.
    """
    text = as_text(readme)
    if ratings is not None and len(ratings) != len(records):
        raise BadInput(
            f"there are {len(ratings)} ratings for {len(records)} records", "Give one, or None, for each"
        )
    level = splice.level_above(text)
    given = _given(records, impact, emissions_g)
    several = _several(records, given)
    value = None
    if several:
        value = trainings.metadata(several, location)
    elif given:
        number, emissions = next(iter(given.items()))
        value = metadata(records[number], emissions, location)
    if section_only:
        pass
    elif value is None:
        text = splice.remove_key(text, KEY)
    else:
        text = splice.put_key(text, KEY, value, overwrite=overwrite)
    if section_only:
        pass
    elif dia_report:
        impacts = [given.get(number) for number in range(len(records))]
        told = [one if isinstance(one, Impact) else None for one in impacts]
        text = splice.put_key(text, dia.KEY, dia.report(records, told), overwrite=overwrite)
    else:
        text = splice.remove_key(text, dia.KEY)
    content = section(
        list(zip(records, ratings or [None] * len(records), strict=True)),
        label=label,
        heading=HEADING if level is None else f"{'#' * min(level + 1, 6)} Energy",
        emissions_g=None if value is None else emissions_g,
        impact=None if value is None else impact,
        location=location,
        links=links,
        footprints=footprints,
        section_only=section_only,
        base=base,
    )
    return _like(readme, splice.put_section(text, content))


def remove_card(readme: AnyStr) -> AnyStr:
    """The card as it was before ``update_card``.

    Raises:
        BadInput: what is ours cannot be told from the rest.
    """
    return _like(
        readme, splice.remove_section(splice.remove_key(splice.remove_key(as_text(readme), dia.KEY), KEY))
    )


def put_back(readme: AnyStr, earlier: AnyStr) -> AnyStr:
    """The card with the section and the metadata that an earlier copy of it held, as after a framework has written it anew.

    A ``co2_eq_emissions`` that somebody else has written since stays.

    Raises:
        BadInput: the earlier copy holds no section, or the card cannot be changed without touching anything else.
    """
    text, before = as_text(readme), as_text(earlier)
    kept = splice.section_of(before)
    if kept is None:
        raise BadInput(
            f"holds no section between {splice.START} and {splice.END}",
            "Name a copy of the card that holds one",
        )
    value = splice.value_of(before, KEY)
    if value is not None and splice.source_is_ours(value.get("source", "")):
        if not splice.is_of_others(text, KEY):
            text = splice.put_key(text, KEY, {**value, "emissions": float(value["emissions"])})
    else:
        text = splice.remove_key(text, KEY)
    report = dia.report_in(before)
    if report is None or not splice.source_is_ours(str(report.get("tool", ""))):
        text = splice.remove_key(text, dia.KEY)
    elif not splice.is_of_others(text, dia.KEY):
        text = splice.put_key(text, dia.KEY, report)
    return _like(readme, splice.put_section(text, kept.replace("\r\n", "\n").replace("\r", "\n")))


def _given(
    records: Sequence[Record], impact: Impact | Sequence[Impact] | None, emissions_g: float | None
) -> dict[int, Impact | float]:
    """The emissions of the training runs among the records, by their place; {} where none are known, or there is no training."""
    training = [number for number, record in enumerate(records) if record.stage in TRAINING]
    told: list[Impact | float] = []
    if isinstance(impact, Impact):
        told = [impact]
    elif impact is not None:
        told = list(impact)
    elif emissions_g is not None:
        told = [emissions_g]
    if not told or not training:
        return {}
    if len(told) != len(training):
        figures = "one figure" if len(told) == 1 else f"{len(told)} figures"
        raise BadInput(
            f"{figures} of emissions {'was' if len(told) == 1 else 'were'} given for {len(training)} training runs",
            "Give the impact of each of them, and their sum is told",
            place="emissions",
        )
    return dict(zip(training, told, strict=True))


def as_text(readme: AnyStr) -> str:
    """A card as text. Raises ``BadInput`` where it is too large or no UTF-8."""
    if len(readme) > LARGEST_CARD:
        raise BadInput(f"the card is larger than {LARGEST_CARD >> 20} MiB")
    if isinstance(readme, str):
        return readme
    try:
        return readme.decode()
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", readme[: error.start])) + 1
        raise BadInput("the card is not UTF-8", "Save it as UTF-8 first", place=f"line {line}") from None


def _like(readme: AnyStr, text: str) -> AnyStr:
    return text if isinstance(readme, str) else text.encode()
