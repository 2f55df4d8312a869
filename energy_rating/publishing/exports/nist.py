"""A table for NIST's AI risk management: MEASURE 2.12 of the AI RMF 1.0, and its actions in AI 600-1 (July 2024), filled with evidence.

Each row says what the record answers, on which evidence, and what is still open. ``oscal`` are assessment results of OSCAL 1.0.6. What is
no matter of energy is said to be out of scope, and what only people can answer (decisions, trade-offs) stays open.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from energy_rating.nouns.quantities import JOULES_PER_WH, with_doubt
from energy_rating.publishing.footprint import rows as footprint_rows
from energy_rating.publishing.strangers import for_markdown, for_plain_text, for_spreadsheet
from energy_rating.publishing.subject import Exported, FormGap, Subject, digits, json_text, utc
from energy_rating.version import __version__

VARIANTS = ("markdown", "csv", "oscal")
MANY = True

State = Literal["answered", "partly answered", "open", "out of scope"]

OSCAL_VERSION = "1.0.6"
_PROFILE = "https://doi.org/10.6028/NIST.AI.600-1"

# The actions' own words (NIST AI 600-1, July 2024, MEASURE 2.12; AI RMF 1.0, January 2023, table 3).
MEASURE_2_12 = (
    "Environmental impact and sustainability of AI model training and management activities – as identified in the MAP function – are "
    "assessed and documented."
)
ACTIONS = {
    "MS-2.12-001": "Assess safety to physical environments when deploying GAI systems.",
    "MS-2.12-002": "Document anticipated environmental impacts of model development, maintenance, and deployment in product design decisions.",
    "MS-2.12-003": (
        "Measure or estimate environmental impacts (e.g., energy and water consumption) for training, fine tuning, and deploying models: "
        "Verify tradeoffs between resources used at inference time versus additional resources required at training time."
    ),
    "MS-2.12-004": (
        "Verify effectiveness of carbon capture or offset programs for GAI training and applications, and address green-washing concerns."
    ),
}
NUMBERS = (
    "Numbers are those of the final text (July 2024), in which MEASURE 2.12 has the actions -001 to -004. Papers that cite MS-2.12-005 "
    "cite a draft that was not to be had here; the final text asks of the environment in MS-2.12-001 to -004. MS-2.11-005 is of synthetic training data in the final "
    "text, and of no energy: a figure of energy is no evidence for it."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NistRow:
    """One action: what the records answer, by which evidence, and what is open."""

    action: str
    asks: str
    state: State
    answers: tuple[str, ...]
    open_points: tuple[str, ...]


def export(subjects: Sequence[Subject], variant: str) -> Exported:
    """The table of these records."""
    rows = tuple(table(subjects))
    gaps = tuple(FormGap(field=row.action, fill=point) for row in rows for point in row.open_points)
    if variant == "csv":
        return Exported(content=_csv(subjects, rows), gaps=gaps)
    if variant == "oscal":
        return Exported(content=_oscal(subjects, rows), gaps=gaps)
    return Exported(content=_markdown(subjects, rows), gaps=gaps)


def table(subjects: Sequence[Subject]) -> Iterator[NistRow]:
    """The rows, in the order of the text."""
    energies = [told for subject in subjects for told in _energy(subject)]
    stages = {subject.record.stage for subject in subjects if subject.energy is not None}
    missing = [
        f"no record of {stage} is among these: measure one"
        for stage in ("pre-training", "fine-tuning", "inference")
        if stage not in stages
    ]
    water = [told for subject in subjects for told in _footprint(subject, "water")]
    impacts = [told for subject in subjects for told in _footprint(subject, "")]
    places = [f"{_whose(subject)}: {subject.why_no_impact}" for subject in subjects if subject.impact is None]
    yield NistRow(
        action="MEASURE 2.12",
        asks=MEASURE_2_12,
        state="partly answered" if energies else "open",
        answers=tuple(energies),
        open_points=("which impacts the MAP function has identified: name them", *missing),
    )
    yield NistRow(
        action="MS-2.12-001",
        asks=ACTIONS["MS-2.12-001"],
        state="out of scope",
        answers=("no matter of energy",),
        open_points=(),
    )
    yield NistRow(
        action="MS-2.12-002",
        asks=ACTIONS["MS-2.12-002"],
        state="partly answered" if impacts or energies else "open",
        answers=tuple(impacts or energies),
        open_points=("which design decision rests on these figures: name it", *places),
    )
    open_003 = [*missing]
    if not water:
        open_003.append("water: it follows from the place (--zone) and the site's litres per kWh (--wue)")
    open_003.append(
        "the trade-off between training and use: energy-rating life shows from which number of requests a training pays back"
    )
    yield NistRow(
        action="MS-2.12-003",
        asks=ACTIONS["MS-2.12-003"],
        state="partly answered" if energies else "open",
        answers=(*energies, *water),
        open_points=tuple(open_003),
    )
    offsets = [
        f"{_whose(subject)}: {digits(one.amount, 4)} {one.unit} ({one.kind}; {one.source})"
        for subject in subjects
        if subject.impact is not None
        for one in subject.impact.offsets
    ]
    yield NistRow(
        action="MS-2.12-004",
        asks=ACTIONS["MS-2.12-004"],
        state="partly answered" if offsets else "open",
        answers=(
            *offsets,
            "all carbon here is location-based; offsets and captures stand apart and are taken from nothing",
        ),
        open_points=(
            "whether the offsets are effective: their registry's proof"
            if offsets
            else "which offsets or captures are claimed: name them with --offset or --capture, or say that there are none",
        ),
    )


def _whose(subject: Subject) -> str:
    name = for_plain_text(subject.name or "model not named", 120)
    only = f", {subject.of_which}" if subject.of_which is not None else ""
    return f"{name}, {subject.record.stage}{only} (run {for_plain_text(subject.record.run_id, 80)})"


def _energy(subject: Subject) -> Iterator[str]:
    drawn, measurement = subject.energy, subject.measurement
    if drawn is None or measurement is None:
        return
    text = f"{_whose(subject)}: {with_doubt(drawn.joules.times(1 / JOULES_PER_WH), 'Wh')}, {drawn.said()}"
    unit = subject.unit
    amount = measurement.work.divisor(unit) if unit is not None else None
    if amount is not None and not subject.training:
        text += f"; {with_doubt(drawn.joules.times(1 / float(amount)), 'J')} per {for_plain_text(str(unit))}"
    if subject.facts.example:
        text += "; an example: this device does not exist"
    if subject.validity != "valid":
        text += f"; {subject.validity}"
    yield text


def _footprint(subject: Subject, about: str) -> Iterator[str]:
    if subject.impact is None:
        return
    for row in footprint_rows(subject.impact):
        if row.amount is not None and about in row.name.lower():
            mark = "estimated " if row.known != "known" else ""
            yield f"{_whose(subject)}: {row.name}: {mark}{row.amount} ({row.rests_on})"


def _evidence(subjects: Sequence[Subject]) -> Iterator[tuple[str, str, str, str]]:
    for subject in subjects:
        for name, what, sha256 in subject.evidence:
            yield (
                for_plain_text(subject.record.run_id, 80),
                for_plain_text(name, 120),
                what,
                for_plain_text(sha256, 80),
            )


def _markdown(subjects: Sequence[Subject], rows: Sequence[NistRow]) -> str:
    lines = ["# NIST AI RMF, MEASURE 2.12, and AI 600-1", "", NUMBERS, ""]
    lines += ["| Action | What it asks | State | What the records answer | Open |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.action} | {for_markdown(row.asks, 500)} | {row.state} | {_listed(row.answers)} | {_listed(row.open_points)} |"
        for row in rows
    ]
    lines += ["", "## Evidence", "", "| Run | File | What it is | SHA-256 |", "|---|---|---|---|"]
    lines += [
        f"| {for_markdown(run)} | {for_markdown(name)} | {for_markdown(what)} | {f'<code>{for_markdown(sha)}</code>' if sha else ''} |"
        for run, name, what, sha in _evidence(subjects)
    ]
    lines += [
        "",
        "“±” is half the 95 % interval. Check a run by its journal: `energy-rating verify FOLDER`. "
        f"Made by energy-rating {__version__}; it is no certificate and no endorsement by NIST.",
    ]
    return "\n".join(lines) + "\n"


def _listed(texts: Sequence[str]) -> str:
    return "<br>".join(for_markdown(text, 1000) for text in texts)


def _csv(subjects: Sequence[Subject], rows: Sequence[NistRow]) -> str:
    """A line for each answer and each open point; then one for each piece of evidence."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("action", "asks", "state", "kind", "text", "sha256"))
    for row in rows:
        for kind, texts in (("answer", row.answers), ("open", row.open_points)):
            for text in texts:
                writer.writerow(
                    [*(for_spreadsheet(cell) for cell in (row.action, row.asks, row.state, kind, text)), ""]
                )
    for run, name, what, sha256 in _evidence(subjects):
        writer.writerow(
            [
                *("", "", "", "evidence"),
                for_spreadsheet(f"run {run}: {name}, {what}"),
                for_spreadsheet(sha256),
            ]
        )
    return file.getvalue()


_STATES = {"answered": "satisfied", "partly answered": "not-satisfied", "open": "not-satisfied"}


def _oscal(subjects: Sequence[Subject], rows: Sequence[NistRow]) -> str:
    """Assessment results: an observation for each row with its evidence, and a finding with what is open.

    OSCAL knows *satisfied* and *not-satisfied*: what has an open point is not satisfied.
    """
    first = subjects[0]
    started = min((one.started for one in subjects if one.started is not None), default=None)
    when = utc(started) if started is not None else "1970-01-01T00:00:00Z"
    observations, findings, controls = [], [], []
    for row in rows:
        if row.state == "out of scope":
            continue
        name = f"{row.action.lower().replace(' ', '-')}"
        controls.append({"control-id": name})
        observation = str(first.uuid("observation", row.action))
        observations.append(
            {
                "uuid": observation,
                "title": row.action,
                "description": "\n\n".join([row.asks, *row.answers]),
                "methods": ["TEST" if any(one.energy is not None for one in subjects) else "EXAMINE"],
                "relevant-evidence": [
                    {
                        "description": f"run {run}: {file}, {what}" + (f"; SHA-256 {sha}" if sha else ""),
                    }
                    for run, file, what, sha in _evidence(subjects)
                ],
                "collected": when,
            }
        )
        findings.append(
            {
                "uuid": str(first.uuid("finding", row.action)),
                "title": row.action,
                "description": "\n\n".join(
                    [f"State: {row.state}.", *(f"Open: {point}." for point in row.open_points)]
                ),
                "target": {
                    "type": "objective-id",
                    "target-id": name,
                    "status": {"state": _STATES[row.state] if not row.open_points else "not-satisfied"},
                },
                "related-observations": [{"observation-uuid": observation}],
            }
        )
    content = {
        "assessment-results": {
            "uuid": str(first.uuid("oscal")),
            "metadata": {
                "title": "Energy of an AI model: NIST AI RMF MEASURE 2.12 and AI 600-1",
                "last-modified": when,
                "version": first.record.provenance.version or "unknown",
                "oscal-version": OSCAL_VERSION,
                "remarks": NUMBERS,
            },
            "import-ap": {
                "href": _PROFILE,
                "remarks": "There is no assessment plan in OSCAL: the actions of this document are it.",
            },
            "results": [
                {
                    "uuid": str(first.uuid("result")),
                    "title": "Energy as measured or estimated",
                    "description": f"Made by energy-rating {__version__} from {len(subjects)} record(s).",
                    "start": when,
                    "reviewed-controls": {"control-selections": [{"include-controls": controls}]},
                    "observations": observations,
                    "findings": findings,
                }
            ],
        }
    }
    return json_text(content)
