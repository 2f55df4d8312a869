"""What the EU's AI Act asks of a general-purpose model: Annex XI, section 1, point 2 (d) and (e), and the energy part of the form for it.

The Model Documentation Form is that of the Code of Practice's transparency chapter (2025-07-10): energy in MWh and computation in FLOP,
each with two significant digits, and the method in words. Its own wording has to be taken from the form: here its items are named. All
runs of a model count; of one run it is said that it is the final run only. Whether the figure is known or estimated stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from energy_rating.nouns.quantities import duration
from energy_rating.nouns.records import Record
from energy_rating.publishing import runs
from energy_rating.publishing.overview import hardware
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.subject import (
    JOULES_PER_MWH,
    Exported,
    FormGap,
    Subject,
    digits,
    fixed,
    json_text,
    summed,
)
from energy_rating.version import __version__

VARIANTS = ("markdown", "json")
MANY = True

SECONDS_PER_DAY = 86_400
TITLE = "# Annex XI of the EU's AI Act, and the Model Documentation Form: energy and computation"

# Regulation (EU) 2024/1689, Annex XI, section 1, point 2.
POINT_D = (
    "the computational resources used to train the model (e.g. number of floating point operations), training time, and other relevant "
    "details related to the training"
)
POINT_E = "known or estimated energy consumption of the model"


@dataclass(frozen=True, kw_only=True, slots=True)
class FormItem:
    """One item: ``value`` in its ``unit``, two digits (None: not known); ``known`` or estimated; how it was had."""

    point: str
    item: str
    value: str | None
    unit: str
    known: str
    method: str
    exact: float | None = None


def export(subjects: Sequence[Subject], variant: str) -> Exported:
    """The items, filled; what is not known is named with what would fill it."""
    gaps: list[FormGap] = []
    items = tuple(_items(subjects, gaps))
    whose = _whose(subjects)
    if variant == "json":
        content = json_text(
            {
                "form": "EU AI Act (Regulation (EU) 2024/1689), Annex XI, section 1, point 2; Model Documentation Form of 2025-07-10",
                "runs": whose,
                "items": [
                    {
                        "point": one.point,
                        "item": one.item,
                        "value": one.value,
                        "unit": one.unit,
                        "known_or_estimated": one.known,
                        "method": one.method,
                        "exact": one.exact,
                    }
                    for one in items
                ],
                "evidence": [
                    {"run": subject.record.run_id, "file": name, "what": what, "sha256": sha}
                    for subject in subjects
                    for name, what, sha in subject.evidence
                ],
                "not_known": [str(gap) for gap in gaps],
            }
        )
        return Exported(content=content, gaps=tuple(gaps))
    return Exported(content=_markdown(subjects, items, whose, gaps), gaps=tuple(gaps))


def _trainings(subjects: Sequence[Subject]) -> list[Subject]:
    return [subject for subject in subjects if subject.training]


def _whose(subjects: Sequence[Subject]) -> str:
    """All runs, or of which."""
    trainings = _trainings(subjects)
    if not trainings:
        return "no run of the training is among these"
    if len(trainings) == 1:
        return trainings[0].of_which or runs.ONLY
    roles = [runs.role_of(subject.record) or "not said" for subject in trainings]
    told = ", ".join(f"{roles.count(role)} {for_plain_text(role, 40)}" for role in dict.fromkeys(roles))
    return f"{len(trainings)} runs: {told}; whether these are all is for their owner to say"


def _known(subjects: Sequence[Subject]) -> str:
    """A figure is known where all of it was measured and nothing is missing; else it is estimated, in the form's words."""
    drawn = [subject.energy for subject in subjects]
    whole = all(one is not None and one.origin == "measured" and not one.missing for one in drawn)
    return "known" if whole and all(subject.validity == "valid" for subject in subjects) else "estimated"


def _items(subjects: Sequence[Subject], gaps: list[FormGap]) -> Iterator[FormItem]:
    trainings = _trainings(subjects)
    others = [subject for subject in subjects if subject.record.stage == "inference"]
    yield from _time(trainings, gaps)
    yield _computation(trainings, gaps)
    yield _training_energy(trainings, gaps)
    yield from _inference(others, gaps)


def _time(trainings: Sequence[Subject], gaps: list[FormGap]) -> Iterator[FormItem]:
    seconds = [one.measurement.duration_s for one in trainings if one.measurement is not None]
    if not seconds or len(seconds) < len(trainings):
        gaps.append(
            FormGap(field="Annex XI 1 (2)(d), training time", fill="a record of the training: measure it")
        )
        yield FormItem(point="(d)", item="Training time", value=None, unit="days", known="", method="")
        return
    devices = [
        max(len([one for one in subject.facts.devices if one is not None]), 1) * second
        for subject, second in zip(trainings, seconds, strict=True)
    ]
    yield FormItem(
        point="(d)",
        item="Training time, wall clock",
        value=digits(sum(seconds) / SECONDS_PER_DAY),
        unit="days",
        known="known",
        method=f"clock of the run; of several runs the sum ({duration(sum(seconds))})",
        exact=sum(seconds) / SECONDS_PER_DAY,
    )
    yield FormItem(
        point="(d)",
        item="Training time, hardware",
        value=digits(sum(devices) / SECONDS_PER_DAY),
        unit="device-days",
        known="known",
        method=f"on {_hardware(trainings)}",
        exact=sum(devices) / SECONDS_PER_DAY,
    )


def _hardware(subjects: Sequence[Subject]) -> str:
    told = dict.fromkeys(hardware(subject.facts.machine) or "hardware not recorded" for subject in subjects)
    return "; ".join(told)


def _computation(trainings: Sequence[Subject], gaps: list[FormGap]) -> FormItem:
    found = [subject.flop for subject in trainings]
    told = [one for one in found if one is not None]
    if not told or len(told) < len(found):
        gaps.append(
            FormGap(
                field="Annex XI 1 (2)(d), computation used for training",
                fill="the model's parameters and the tokens that were trained on (--count), or operations counted as flop",
            )
        )
        return FormItem(
            point="(d)", item="Computation used for training", value=None, unit="FLOP", known="", method=""
        )
    amount = sum(flop for flop, _ in told)
    return FormItem(
        point="(d)",
        item="Computation used for training",
        value=f"{amount:.1e}",
        unit="FLOP",
        known="known" if all("counted" in method for _, method in told) else "estimated",
        method="; ".join(dict.fromkeys(method for _, method in told)),
        exact=amount,
    )


def _training_energy(trainings: Sequence[Subject], gaps: list[FormGap]) -> FormItem:
    energy = summed(trainings)
    if energy is None:
        gaps.append(
            FormGap(
                field="Annex XI 1 (2)(e), energy used for training",
                fill="a record of each training with an energy: energy-rating measure --stage pre-training -- COMMAND",
            )
        )
        return FormItem(
            point="(e)", item="Energy used for training", value=None, unit="MWh", known="", method=""
        )
    for subject in trainings:
        drawn = subject.energy
        if drawn is not None and drawn.missing:
            gaps.append(
                FormGap(
                    field="Annex XI 1 (2)(e), energy used for training",
                    fill=f"{', '.join(drawn.missing)} of run {for_plain_text(subject.record.run_id, 80)} was not measured, and is not in it: a meter at the wall would hold it",
                )
            )
    half = energy.half_width() / JOULES_PER_MWH
    return FormItem(
        point="(e)",
        item="Energy used for training",
        value=digits(energy.value / JOULES_PER_MWH),
        unit="MWh",
        known=_known(trainings),
        method=f"{_method(trainings)}; ± {digits(half)} MWh (95 % interval)" if half else _method(trainings),
        exact=energy.value / JOULES_PER_MWH,
    )


def _method(subjects: Sequence[Subject]) -> str:
    """In some hundred words at most: what was read, what was modelled, what is not in it."""
    told = [
        f"{drawn.said()}, by {_tool(subject.record)}"
        for subject in subjects
        if (drawn := subject.energy) is not None
    ]
    pue = {subject.impact.pue for subject in subjects if subject.impact is not None}
    cooling = (
        "cooling and losses of the data centre are not in it"
        if not pue or pue == {None}
        else f"without the data centre's PUE of {', '.join(fixed(one) for one in sorted(one for one in pue if one is not None))}"
    )
    return f"{'; '.join(dict.fromkeys(told))}; {cooling}"


def _tool(record: Record) -> str:
    if record.origin == "imported":
        return "another tool, whose file was taken over"
    return f"energy-rating {for_plain_text(record.provenance.version, 40)}, integrated over the run from the sensors' readings"


def _inference(subjects: Sequence[Subject], gaps: list[FormGap]) -> Iterator[FormItem]:
    gaps.append(
        FormGap(
            field="Model Documentation Form, benchmarked computation used for inference",
            fill="FLOP of a benchmark, which no record counts at inference: 2 × active parameters × tokens is the usual estimate",
        )
    )
    yield FormItem(
        point="form",
        item="Benchmarked computation used for inference",
        value=None,
        unit="FLOP",
        known="",
        method="",
    )
    for subject in subjects:
        drawn, measurement = subject.energy, subject.measurement
        if drawn is None or measurement is None:
            continue
        done = ", ".join(
            f"{fixed(float(n))} {for_plain_text(unit)}" for unit, n in measurement.work.items() if n
        )
        yield FormItem(
            point="(e)",
            item=f"Energy of inference, run {for_plain_text(subject.record.run_id, 80)}",
            value=digits(drawn.joules.value / JOULES_PER_MWH),
            unit="MWh",
            known=_known([subject]),
            method=f"for {done or 'work that was not counted'} on {_hardware([subject])}; {_method([subject])}",
            exact=drawn.joules.value / JOULES_PER_MWH,
        )


def _markdown(
    subjects: Sequence[Subject], items: Sequence[FormItem], whose: str, gaps: Sequence[FormGap]
) -> str:
    models = ", ".join(dict.fromkeys(subject.name or "not named" for subject in subjects))
    lines = [
        TITLE,
        "",
        f"Model: {for_markdown(models, 500)}. Training: **{for_markdown(whose)}**.",
        "",
        f"Point 2 (d): “{POINT_D}”. Point 2 (e): “{POINT_E}”.",
        "",
        "| Point | Item | Value | Known or estimated | Method |",
        "|---|---|---|---|---|",
    ]
    for one in items:
        value = f"{one.value} {one.unit}" if one.value is not None else "not known"
        lines.append(
            f"| {one.point} | {for_markdown(one.item)} | {value} | {one.known} | {for_markdown(one.method, 1500)} |"
        )
    if gaps:
        lines += ["", "## Not known", "", *(f"- {for_markdown(str(gap), 800)}" for gap in gaps)]
    lines += ["", "## Evidence", "", "| Run | File | SHA-256 |", "|---|---|---|"]
    lines += [
        f"| {for_markdown(subject.record.run_id)} | {for_markdown(name)} ({for_markdown(what)}) | {f'<code>{for_markdown(sha)}</code>' if sha else ''} |"
        for subject in subjects
        for name, what, sha in subject.evidence
    ]
    lines += [
        "",
        "The Commission has adopted no method for measuring (Article 53 (5)). "
        f"Made by energy-rating {__version__}; no body of the EU has looked at it.",
    ]
    return "\n".join(lines) + "\n"
