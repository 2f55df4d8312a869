"""What a report says, as sections of text, tables, lists and pictures: made once, laid out by the page and by Markdown.

Facts come from ``facts``; nothing is cleaned for a sink but of what hides or turns text, which no sink wants. Pictures are SVG and made here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from energy_rating.files.reading import Journal
from energy_rating.judging.courses import courses
from energy_rating.judging.explanation import Explanation, explain
from energy_rating.judging.footprint.impact import Impact
from energy_rating.judging.life import Life, break_even, lives
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.quantities import duration, reaches_zero, scaled, significant, with_doubt
from energy_rating.nouns.records import Component, Rating, Record
from energy_rating.publishing import explanation, label, trace, words
from energy_rating.publishing import life as lives_shown
from energy_rating.publishing.facts import Facts, Remark, Row, doubts_of, energy_by_device, facts_of
from energy_rating.publishing.footprint import rows as footprint_rows
from energy_rating.publishing.label.said import CHECK, Said
from energy_rating.publishing.links import MEANING, Links
from energy_rating.publishing.names import LookName, Size
from energy_rating.publishing.report import charts
from energy_rating.publishing.strangers import for_plain_text

MOST_COURSES = 4  # curves of windows of one run
MOST_PICTURED = 12  # runs of which the power over time is drawn: of more, only the figures stand in the page
PARTS = ("prefill", "decode")
_LOOKS: tuple[LookName, ...] = ("light", "dark")


# ---------------------------------------------------------------------------------------------------------- the values


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell of a table; ``value`` is what it is sorted by, where that is a number."""

    text: str
    value: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextBlock:
    kind: ClassVar[str] = "text"
    text: str
    strong: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemsBlock:
    kind: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBlock:
    """A command to be copied."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TableBlock:
    """``caption`` says what it is of, also to who hears it among others. The first cell of a row names it."""

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureBlock:
    """An SVG that was made here, with the words that say what is seen."""

    kind: ClassVar[str] = "picture"
    svg: str
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelBlock:
    """The label, in light and in dark, as addresses that hold the picture itself."""

    kind: ClassVar[str] = "label"
    light: str
    dark: str
    width_px: int
    alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkBlock:
    """Where something lies; ``href`` None: nobody gave an address, and ``text`` says so."""

    kind: ClassVar[str] = "link"
    name: str
    text: str
    href: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldedBlock:
    """What not everybody wants to read."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: tuple[Block, ...]


Block = TextBlock | ItemsBlock | CodeBlock | TableBlock | PictureBlock | LabelBlock | LinkBlock | FoldedBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """Everything about one run, or about all of them together. ``key`` is its address within the page."""

    key: str
    title: str
    lead: str
    sections: tuple[Section, ...]
    stars: str = ""
    example: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    title: str
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """What a report is made from: a record, its rating, its journal and its footprint, as far as they are there."""

    record: Record
    rating: Rating | None = None
    journal: Journal | None = None
    impact: Impact | None = None


# ---------------------------------------------------------------------------------------------------------- all of it


def report(runs: Sequence[Reported], links: Links) -> Report:
    """The report of these runs, in their order."""
    told = [facts_of(run.record, run.rating) for run in runs]
    chapters: list[Chapter] = []
    if len(runs) > 1:
        together = tuple(section for section in _together(runs, told) if section.blocks)
        lead = f"{len(runs)} runs, side by side. Each is told on its own below."
        if len(runs) > MOST_PICTURED:
            lead += f" Curves are drawn in reports of at most {MOST_PICTURED} runs."
        chapters.append(Chapter(key="together", title="All runs", lead=lead, sections=together))
    pictured = len(runs) <= MOST_PICTURED
    for number, (run, facts) in enumerate(zip(runs, told, strict=True), start=1):
        chapters.append(_chapter(run, facts, links, number, alone=len(runs) == 1, pictured=pictured))
    names = list(dict.fromkeys(_model(facts) for facts in told))
    title = names[0] if len(names) == 1 else f"{len(runs)} runs of {len(names)} models"
    return Report(title=f"Energy report: {title}", chapters=tuple(chapters))


def _model(facts: Facts) -> str:
    model = facts.record.model
    return for_plain_text(model.id, 120) if model is not None else "a model that is not named"


def called(facts: Facts) -> str:
    """A run by its model, stage and task: ``org/name, inference, text-generation``."""
    record = facts.record
    about = [
        _model(facts),
        record.stage,
        for_plain_text(record.task.name, 60) if record.task else "",
        for_plain_text(record.role, 60) if record.role else "",
    ]
    return ", ".join(part for part in about if part)


def _chapter(
    run: Reported, facts: Facts, links: Links, number: int, *, alone: bool, pictured: bool
) -> Chapter:
    said = Said(facts=facts, links=links)
    sections = (
        Section(title="Result", blocks=tuple(_result(run, facts, said, links, pictured=pictured))),
        Section(title="Energy by component", blocks=tuple(_components(facts))),
        Section(title="Power over time", blocks=tuple(_power(run, pictured=pictured))),
        Section(title="One after another", blocks=tuple(_courses(run, facts, pictured=pictured))),
        Section(title="Prefill and decode", blocks=tuple(_parts(facts))),
        Section(title="How sure it is", blocks=tuple(_doubt(facts))),
        Section(title="Footprint", blocks=tuple(_footprint(run))),
        Section(title="Findings", blocks=tuple(_findings(facts))),
        Section(title="On what it ran", blocks=tuple(_surroundings(said, facts))),
        Section(title="How to check it", blocks=tuple(_check(facts, said))),
        Section(title="What it does not say", blocks=tuple(_unsaid(run, facts, said))),
    )
    stars = ""
    if run.rating is not None and run.rating.stars is not None:
        stars = "★" * run.rating.stars + "☆" * (MOST_STARS - run.rating.stars)
    return Chapter(
        key=f"run-{number}",
        # Of several runs some may be called alike.
        title=called(facts) if alone else f"{number}. {called(facts)}",
        lead=f"{said.verdict[0].upper()}{said.verdict[1:]}; {said.figure}.",
        sections=tuple(section for section in sections if section.blocks),
        stars=stars,
        example=facts.example,
    )


# ------------------------------------------------------------------------------------------------------------ one run


def _result(run: Reported, facts: Facts, said: Said, links: Links, *, pictured: bool) -> Iterator[Block]:
    if facts.example:
        yield TextBlock(text=f"{words.EXAMPLE}. This is no rating of anything real.", strong=True)
    if facts.unchecked:
        yield TextBlock(text=f"This record was {facts.unchecked}.", strong=True)
    if facts.outcome is not None:
        yield TextBlock(text=f"The program {for_plain_text(facts.outcome)}.", strong=True)
    if run.rating is not None:
        # Of many runs, only what has to be legible: the page stays small.
        size: Size = "full" if pictured else "small"
        light, dark = (
            _inside(label.svg(run.record, run.rating, links, look=look, size=size)) for look in _LOOKS
        )
        yield LabelBlock(light=light, dark=dark, width_px=300 if pictured else 150, alt=said.sentence)
    if facts.validity != "valid":
        yield TextBlock(text=_VALIDITIES[facts.validity], strong=True)
    if (against := said.against()) is not None:
        yield TextBlock(text=f"That is {against[0]}, {against[1]}.")
    # What was said of where it comes from stands above.
    resting = [text for text in said.rests_on() if text != facts.unchecked]
    if resting:
        yield ItemsBlock(items=tuple(resting))
    if said.reasons():
        yield TextBlock(text="Why there are no stars:")
        yield ItemsBlock(items=said.reasons())
    others = list(said.others())
    if others:
        yield TextBlock(text="The same energy in other units:")
        yield ItemsBlock(items=tuple(others))


def _inside(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _components(facts: Facts) -> Iterator[Block]:
    figure = facts.figure
    row = next(
        (one for one in facts.rows if figure is not None and one.measurement.name == figure.window), None
    )
    if row is None or not row.parts:
        yield TextBlock(text="No energy was measured.")
    else:
        name = for_plain_text(row.measurement.name, 60)
        bars = [
            charts.EnergyBar(
                name=part.name,
                amount=part.energy_j,
                unit="J",
                component=part.component,
                origin=part.origin,
            )
            for part in row.parts
        ]
        yield PictureBlock(
            svg=charts.bars(f"Energy by component in “{name}”", bars),
            caption=f"Energy in “{name}”, {duration(row.measurement.duration_s)}. Filled is measured; hollow is not. The lines are 95 % intervals.",
        )
        yield from _devices(facts, row)
    wholes = [part.name for part in facts.parts if part.component in ("wall", "host", "module")]
    if wholes and len(facts.parts) > 1:
        yield TextBlock(
            text=f"{' and '.join(wholes)} {'hold' if len(wholes) > 1 else 'holds'} the other components: never add them up."
        )
    if facts.missing:
        yield TextBlock(text="Not measured:")
        yield ItemsBlock(
            items=tuple(
                f"{words.NAMES[component]}: {for_plain_text(why, 400)}" for component, why in facts.missing
            )
        )
    rows = tuple(cells for row in facts.rows for cells in _rows(row))
    if rows:
        head = ("Window", "Number", "Duration", "Component", "Energy", "Seen", "Per unit of work")
        yield FoldedBlock(
            summary="All measurements of this run",
            blocks=(TableBlock(caption="All measurements", head=head, rows=rows, sortable=True),),
        )


def _devices(facts: Facts, row: Row) -> Iterator[Block]:
    """Each device of a component on its own, where there are several: one that is idle is seen here."""
    names = {device.id: device.name for device in facts.machine}
    rows: list[tuple[Cell, ...]] = []
    for part in row.parts:
        its = list(energy_by_device(facts.record, row.measurement, part.component))
        if len(its) < 2:
            continue
        for device, energy in its:
            name = for_plain_text(names.get(device, ""), 80)
            rows.append(
                (
                    Cell(text=for_plain_text(device, 80)),
                    Cell(text=f"{part.name}{f', {name}' if name else ''}"),
                    Cell(text=f"{with_doubt(energy, 'J')}, {part.origin}", value=energy.value),
                )
            )
    if rows:
        yield TableBlock(
            caption="Energy of each device",
            head=("Device", "What it is", "Energy"),
            rows=tuple(rows),
            sortable=True,
        )


def _rows(row: Row) -> Iterator[tuple[Cell, ...]]:
    measurement = row.measurement
    start = (
        Cell(text=for_plain_text(measurement.name, 60)),
        Cell(text=f"{measurement.n:,}", value=measurement.n),
        Cell(text=duration(measurement.duration_s), value=measurement.duration_s),
    )
    if not row.parts:
        yield (*start, Cell(text="none"), Cell(text="not measured"), Cell(text=""), Cell(text=""))
    for part in row.parts:
        per = "; ".join(
            with_doubt(row.per(unit, part), f"J/{for_plain_text(unit, 24)}") for unit in row.units
        )
        yield (
            *start,
            Cell(text=f"{part.name}, {part.origin}"),
            Cell(text=with_doubt(part.energy_j, "J"), value=part.energy_j.value),
            Cell(text=f"{100 * part.coverage:.3g} %", value=part.coverage),
            Cell(text=per),
        )


def _power(run: Reported, *, pictured: bool) -> Iterator[Block]:
    if not pictured:
        return
    if run.journal is None:
        if run.record.origin != "imported":
            yield TextBlock(
                text="No journal lies beside the record, and the power over time stands in it alone."
            )
        return
    yield PictureBlock(
        svg=trace.svg(run.journal),
        caption="The power of each device over time; above it the windows of the run, by their names. Where the line breaks, nothing is known.",
    )


def _courses(run: Reported, facts: Facts, *, pictured: bool) -> Iterator[Block]:
    """The windows of each name one by one: steps, epochs, repeats, requests."""
    component = facts.component
    if run.journal is None or component is None or not pictured:
        return
    found = courses(run.journal, run.record, component)
    for one in found[:MOST_COURSES]:
        told = charts.course_in_words(one)
        yield PictureBlock(
            svg=charts.course(one),
            caption=f"{words.NAMES[component]}, each “{for_plain_text(one.name, 60)}”: {told}.",
        )
    if len(found) > MOST_COURSES:
        rest = ", ".join(for_plain_text(one.name, 40) for one in found[MOST_COURSES:][:20])
        yield TextBlock(text=f"Not drawn: {rest}.")


def _parts(facts: Facts) -> Iterator[Block]:
    """Reading the question and writing the answer, where the engine told when one ended."""
    rows = {row.measurement.name: row for row in facts.rows}
    found = [(name, rows[name], rows[name].lead) for name in PARTS if name in rows]
    shares = [(name, part.energy_j.value) for name, _, part in found if part is not None]
    if len(shares) < len(PARTS) or not any(share for _, share in shares):
        return
    yield PictureBlock(
        svg=charts.parts("Energy of prefill and decode", shares),
        caption="Prefill is reading the question, decode is writing the answer, one token after another.",
    )
    yield TableBlock(
        caption="Prefill and decode",
        head=("Part", "Duration", "Energy", "Per unit of work"),
        rows=tuple(
            (
                Cell(text=name),
                Cell(text=duration(row.measurement.duration_s), value=row.measurement.duration_s),
                Cell(text=f"{with_doubt(part.energy_j, 'J')}, {part.origin}", value=part.energy_j.value),
                Cell(
                    text="; ".join(
                        with_doubt(
                            row.measurement.energy_per(unit, part.component), f"J/{for_plain_text(unit, 24)}"
                        )
                        for unit, amount in row.measurement.work.items()
                        if amount
                    )
                ),
            )
            for name, row, part in found
            if part is not None
        ),
    )


def _doubt(facts: Facts) -> Iterator[Block]:
    figure, shares = facts.figure, doubts_of(facts)
    if figure is None:
        return
    if not shares:
        yield TextBlock(text="How far the figure may be off is not stated.")
        return
    energy = figure.energy_j
    if reaches_zero(energy) or not energy.value:
        yield TextBlock(text="The interval reaches down to zero: only its upper end is told.")
    else:
        percent = significant(100 * energy.half_width() / energy.value, 2)
        yield TextBlock(
            text=f"In 19 of 20 such measurements the true value lies within ± {percent} % of what was {facts.origin}. What that comes from:"
        )
    yield PictureBlock(
        svg=charts.parts("What the doubt comes from", [(one.name, one.share) for one in shares]),
        caption="Shares of the squares of the parts, in which independent doubts add up.",
    )
    rating = facts.rating
    if rating is not None and rating.conversion is not None:
        yield TextBlock(
            text=f"The stars rest on a conversion beside it: {for_plain_text(words.converted(rating.conversion), 400)}; "
            f"that leaves open a factor of {significant(rating.conversion.interval, 3)} up and down, with 90 % confidence."
        )


def _footprint(run: Reported) -> Iterator[Block]:
    if run.impact is None:
        return
    yield TableBlock(
        caption=f"Footprint in {for_plain_text(run.impact.zone_name, 80)}",
        head=("What", "Amount", "Rests on"),
        rows=tuple(
            (
                Cell(text=row.name),
                Cell(text="not told" if row.amount is None else f"{row.amount}, {row.known}"),
                Cell(text=for_plain_text(row.rests_on, 400)),
            )
            for row in footprint_rows(run.impact)
        ),
    )
    yield TextBlock(text=f"The ± of the carbon: {words.whose_doubt(run.impact)}.")


_VALIDITIES = {
    "degraded": "Degraded: usable, with the reservations that stand below under Findings.",
    "invalid": "Invalid: shown, and not fit for a rating. Why stands below under Findings.",
}
_SEVERITIES = {
    "disqualifies": "Keeps it from being rated",
    "degrades": "To be held against the figures",
    "note": "Good to know",
}


def _findings(facts: Facts) -> Iterator[Block]:
    if not facts.findings:
        yield TextBlock(text="Nothing was found that speaks against the figures.")
    for severity, title in _SEVERITIES.items():
        its = tuple(_finding(one) for one in facts.findings if one.severity == severity)
        if not its:
            continue
        if severity == "note":
            yield FoldedBlock(summary=f"{title} ({len(its)})", blocks=(ItemsBlock(items=its),))
        else:
            yield TextBlock(text=f"{title}:", strong=True)
            yield ItemsBlock(items=its)


def _finding(remark: Remark) -> str:
    remedy = f" {for_plain_text(remark.remedy, 400)}." if remark.remedy else ""
    return f"{for_plain_text(remark.said, 600).rstrip('.')}.{remedy} ({for_plain_text(remark.code, 40)})"


def _surroundings(said: Said, facts: Facts) -> Iterator[Block]:
    rows = [
        ("Model", f"{said.model}, revision {said.revision}"),
        ("Task", said.task),
        ("Hardware", said.hardware + (f", {said.power_limit}" if said.power_limit else "")),
        ("Software", said.software),
        ("Load", said.load),
        ("Quality", said.quality),
        ("Protocol", said.protocol),
        ("Compared", said.compared),
        ("Date", f"{said.day}, self-declared"),
        ("Run", for_plain_text(facts.record.run_id, 80)),
    ]
    yield TableBlock(
        caption="Model, hardware, software and load",
        head=("What", "Value"),
        rows=tuple((Cell(text=name), Cell(text=text)) for name, text in rows),
    )


def _check(facts: Facts, said: Said) -> Iterator[Block]:
    record = facts.record
    if record.origin == "imported":
        yield TextBlock(text=f"It cannot be checked: {words.imported(record)}.")
        return
    yield TextBlock(
        text="Everything here follows from the run's journal, on any machine and without a GPU. Whoever has the folder makes it again with:"
    )
    yield CodeBlock(text=CHECK)
    yield ItemsBlock(
        items=(
            f"SHA-256 of the journal, uncompressed: {for_plain_text(record.provenance.journal_sha256, 80)}",
            f"Record made by energy-rating {for_plain_text(record.provenance.version, 40)}",
        )
    )
    yield LinkBlock(
        name="Journal",
        text=said.links.journal or "its address is not given; ask who published this",
        href=said.links.journal_href,
    )
    yield LinkBlock(
        name="What the stars mean",
        text=said.links.meaning or f"{MEANING} of energy-rating",
        href=said.links.meaning_href,
    )
    yield TextBlock(
        text="A journal that was made up from the start is not found out by this: it says who could not have, not who did."
    )


def _unsaid(run: Reported, facts: Facts, said: Said) -> Iterator[Block]:
    record = facts.record
    told = [said.seal]
    if facts.figure is not None:
        told.append(f"Left out of the figure: {said.left_out}.")
    told.append(
        "Nothing of how good the answers are: nobody stated a quality."
        if not record.quality
        else f"How good the answers are is only what was stated: {said.quality}."
    )
    if run.impact is None:
        told.append("Nothing of carbon, water or cost: where it ran was not told. Energy is not carbon.")
    if facts.total:
        told.append("This run only: searches, ablations and failed runs that the model took are not in it.")
    else:
        told.append(
            "Nothing of other hardware, another load or longer answers: with each of these the energy is another."
        )
    yield ItemsBlock(items=tuple(told))


# ------------------------------------------------------------------------------------------------------------ all runs


def _together(runs: Sequence[Reported], told: Sequence[Facts]) -> Iterator[Section]:
    yield Section(title="Side by side", blocks=(_side_by_side(told),))
    yield Section(title="Over the load", blocks=tuple(_load_sweep(told)))
    if len(runs) == 2:
        yield Section(title="Why they differ", blocks=tuple(_explained(runs, told)))
    yield Section(title="The life of the model", blocks=tuple(_life(runs)))


def _side_by_side(told: Sequence[Facts]) -> TableBlock:
    rows: list[tuple[Cell, ...]] = []
    for number, facts in enumerate(told, start=1):
        said = Said(facts=facts)
        figure, shown = facts.figure, said.shown
        stars = facts.rating.stars if facts.rating is not None else None
        energy = with_doubt(*shown) if shown is not None else "not measured"
        rows.append(
            (
                Cell(text=f"{number}. {called(facts)}", value=number),
                Cell(text=f"{said.verdict}", value=stars),
                Cell(
                    text=f"{energy} {said.per}, {facts.origin}",
                    value=figure.energy_j.value if figure is not None else None,
                ),
                Cell(text=words.NAMES[figure.component] if figure is not None else "none"),
                Cell(text=said.hardware),
                Cell(text=said.load),
                Cell(text=said.day),
            )
        )
    return TableBlock(
        caption="All runs; figures of unlike tasks, loads or components must not be compared",
        head=("Run", "Stars", "Energy", "Of", "Hardware", "Load", "Date"),
        rows=tuple(rows),
        sortable=True,
    )


def _load_sweep(told: Sequence[Facts]) -> Iterator[Block]:
    """The same model and task at several loads: what it takes to answer one at a time, and many."""
    groups: dict[tuple[str, str, str, Component], list[charts.LoadPoint]] = {}
    for facts in told:
        record, figure = facts.record, facts.figure
        load = record.load
        if figure is None or figure.unit is None or load is None or record.task is None:
            continue
        at_a_time = (load.batch_size or 1) * (load.concurrency or 1)
        key = (_model(facts), record.task.name, figure.unit, figure.component)
        groups.setdefault(key, []).append(
            charts.LoadPoint(at_a_time=at_a_time, energy_j=figure.energy_j, origin=figure.origin)
        )
    for (model, _, unit, component), points in groups.items():
        if len({point.at_a_time for point in points}) > 1:
            yield PictureBlock(
                svg=charts.over_load(points, unit, component),
                caption=f"{model}: energy per {for_plain_text(unit, 24)} over how many requests are worked on at a time.",
            )


def _explained(runs: Sequence[Reported], told: Sequence[Facts]) -> Iterator[Block]:
    a, b = runs
    try:
        found = explain(a.record, b.record, (a.journal, b.journal))
    except EnergyRatingError as error:
        yield TextBlock(text=f"They are not compared: {for_plain_text(error.message, 400)}.")
        return
    yield TextBlock(text=f"A is run 1 ({called(told[0])}), B is run 2 ({called(told[1])}).")
    yield TextBlock(text=explanation.paragraph(found))
    yield from _two_powers(found)
    yield TableBlock(
        caption="Both runs",
        head=("What", "A", "B"),
        rows=tuple(
            tuple(Cell(text=for_plain_text(text, 120)) for text in row) for row in explanation.rows(found)
        ),
    )


def _two_powers(found: Explanation) -> Iterator[Block]:
    if not (found.a.course and found.b.course):
        return
    sides = [(f"{letter}: {side.run_id}", side.course) for letter, side in (("A", found.a), ("B", found.b))]
    yield PictureBlock(
        svg=charts.two_courses(found.component, sides),
        caption="The power of both since the start of what is compared, on one scale.",
    )


def _life(runs: Sequence[Reported]) -> Iterator[Block]:
    """All runs of each model, where they are more than one of it."""
    named = [run.record for run in runs if run.record.model is not None]
    if len(named) < 2:
        return
    try:
        found = [one for one in lives(named) if len(one.runs) > 1]
    except EnergyRatingError as error:
        yield TextBlock(text=f"They are not summed up: {for_plain_text(error.message, 400)}.")
        return
    for one in found:
        yield from _of_life(one)
    lines = [
        charts.LifeLine(name=one.model, before_j=one.before_j, each_j=one.use.energy_j)
        for one in found
        if one.use is not None and one.before_j.value
    ]
    used = [one for one in found if one.use is not None]
    pair = break_even(*used) if len(used) == 2 else None
    if 0 < len(lines) <= 2:
        unit = next(one.use.unit for one in found if one.use is not None)
        yield PictureBlock(
            svg=charts.over_requests(
                lines,
                for_plain_text(unit, 24),
                pair.requests if pair is not None and len(lines) == 2 else None,
            ),
            caption="What went before use stands at the left; each line rises by what every use adds.",
        )
    if pair is not None:
        yield TextBlock(text=lives_shown.break_even_told(pair) + ".")


def _of_life(one: Life) -> Iterator[Block]:
    first, *lines = (line.strip() for line in lives_shown.told(one))
    if len(one.stages) > 1:
        yield PictureBlock(
            svg=charts.parts(
                "Energy of each stage", [(part.name, part.energy_j.value) for part in one.stages]
            ),
            caption=f"{for_plain_text(one.model, 80)}: energy of {words.NAMES[one.component]} in each stage that is among these runs; {scaled(one.energy_j.value, 'J')} in all.",
        )
    yield TextBlock(text=f"{first}.")
    yield ItemsBlock(items=tuple(lines))
