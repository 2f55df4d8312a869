"""The section of a model card as 0.1.0 wrote it, so that one that was published then can still be checked to the digit. Never edited."""

from __future__ import annotations

import re
from collections.abc import Iterator

from energy_rating.judging.footprint.carbon import Impact, missing
from energy_rating.judging.profiles import is_example
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import (
    CONFIDENCE,
    JOULES_PER_WH,
    Estimate,
    duration,
    rounded,
    significant,
)
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
    Environment,
    Finding,
    Measurement,
    Method,
    Rating,
    Record,
    Validity,
    component_methods,
    validity,
)
from energy_rating.publishing import splice
from energy_rating.publishing.facts import headline, units
from energy_rating.publishing.first_release import alt, words
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.words import NAMES, grams, why_not_measured

_SENSED = {"counter": "energy counter", "power": "power register"}
_VALIDITY: dict[Validity, str] = {
    "valid": "valid",
    "degraded": "**degraded**: usable, with the reservations below",
    "invalid": "**invalid**: shown, and not fit for a rating",
}
_PLURALS = {"request": "requests", "token": "tokens", "image": "images", "item": "items", "step": "steps"}

# A name as the Hub allows it, with or without its owner; anything else is shown as code.
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def section(
    record: Record,
    rating: Rating | None,
    *,
    label: str | None,
    heading: str,
    impact: Impact | None = None,
) -> str:
    """The section that 0.1.0 wrote of one record, without its markers; ``label``: the link to the picture, as it stands there."""
    parts = [heading]
    if label is not None:
        parts.append(f"![{for_markdown(alt(record, rating), 1000)}]({label})")
    rows = _rows(record, rating, impact)
    parts.append(
        "\n".join(["| What | Value |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])
    )
    parts.append(_recompute(record))
    parts.append(
        f"“±” is half the {100 * CONFIDENCE:.0f} % interval. These figures are self-declared by whoever ran the measurement; "
        "the journal lets anyone recompute them."
    )
    return "\n\n".join(parts) + "\n"


def _model(record: Record) -> str:
    if record.model is None:
        return "model not named"
    name = for_plain_text(record.model.id)
    return for_markdown(name) if _MODEL_ID.fullmatch(name) else f"<code>{for_markdown(name)}</code>"


def _rows(record: Record, rating: Rating | None, emissions: Impact | None) -> Iterator[tuple[str, str]]:
    shown = headline(record)
    if is_example(record):
        yield "**Example**", "this device does not exist, and this is no rating of anything real"
    yield "Model", _about_model(record)
    yield "Task", _about_task(record)
    yield "Rating", _stars(rating)
    if rating is not None:
        yield "Scheme", _scheme(rating)
    if shown is not None:
        yield from _energies(record, shown)
    if record.stage in TRAINING and RUN in record:
        run = record[RUN]
        for component, energy in run.energy_j.items():
            text = _energy(energy.times(1 / JOULES_PER_WH), "Wh", _estimated(record, run, component))
            yield f"Total energy, {NAMES.get(component, component)}", text
        yield "Duration", duration(run.duration_s)
    if emissions is not None:
        yield "Emissions of the training", _impact(emissions)
    yield "Hardware", for_markdown(hardware(record.environment)) or "not recorded"
    software = [
        f"{for_markdown(name)} {for_markdown(version)}"
        for name, version in record.environment.software.items()
    ]
    if software:
        yield "Software", ", ".join(software)
    yield from _how(record, shown)
    concerned = [m.name for m in record if m is shown or (m.name == RUN and record.stage in TRAINING)]
    found = [f for f in record.findings if f.measurement is None or f.measurement in concerned]
    yield "Validity", _VALIDITY[validity(found)]
    for finding in dict.fromkeys(finding for finding in found if finding.severity != "note"):
        yield _finding_name(finding), _finding(finding)
    for quality in record.quality:
        text = f"{splice.decimal(quality.value)} (source: {for_markdown(quality.source)})"
        yield f"Quality, {for_markdown(quality.metric)}", text
    yield "Date", for_markdown(record.created)
    yield "Run", f"{for_markdown(record.run_id)}, energy-rating {for_markdown(record.provenance.version)}"


def _about_model(record: Record) -> str:
    model = record.model
    parts = [_model(record)]
    if model is not None:
        parts.append(
            f"revision {for_markdown(model.revision)}" if model.revision else "revision not recorded"
        )
        if model.parameters:
            active = f" ({model.active_parameters:,} active)" if model.active_parameters else ""
            parts.append(f"{model.parameters:,} parameters{active}")
        if model.dtype:
            parts.append(for_markdown(model.dtype))
    return ", ".join(parts)


def _about_task(record: Record) -> str:
    parts = [for_markdown(record.task.name) if record.task else "not named", f"stage: {record.stage}"]
    if record.task and record.task.protocol:
        parts.append(f"protocol: {for_markdown(record.task.protocol)}")
    if record.load is not None:
        load = record.load
        told = {
            "items": load.items,
            "batch size": load.batch_size,
            "concurrency": load.concurrency,
            "new tokens at most": load.max_new_tokens,
        }
        parts += [f"{name}: {value}" for name, value in told.items() if value is not None]
    return ", ".join(parts)


def _stars(rating: Rating | None) -> str:
    if rating is None:
        return "**not rated**: no rating was made"
    if rating.stars is None:
        reasons = [for_markdown(reason) for reason in rating.reasons] or ["no reason was given"]
        told = f"**not rated**: {'; '.join(reasons)}"
        if rating.would_be is not None:
            # In digits, and behind the reasons: nobody who looks for stars, or for the first words, finds any here.
            told += f". *{words.would_be(rating.would_be)}: {words.NO_RATING}*"
        return told
    text = f"{'★' * rating.stars} {rating.stars} of {MOST_STARS} stars"
    if rating.could_be is not None and rating.could_be[0] != rating.could_be[1]:
        text += f", could be {rating.could_be[0]}–{rating.could_be[1]}"
    if rating.index is not None:
        text += f"; index {_ratio(rating)} (energy over the class's reference)"
    if rating.basis is not None and rating.basis != "measured":
        text += f"; **{rating.basis}**"
    return text + ("; provisional" if rating.status == "provisional" else "")


def _scheme(rating: Rating) -> str:
    parts = [for_markdown(rating.scheme)]
    if rating.class_ is not None:
        parts.append(f"class {for_markdown(rating.class_)}")
    if rating.protocol is not None:
        parts.append(f"protocol {for_markdown(rating.protocol)}")
    # Only the figure that stars rest on; all others stand below, with what they are of.
    if rating.energy_per_unit_j is not None and rating.unit is not None and rating.stars is not None:
        parts.append(
            f"rated: {words.with_doubt(rating.energy_per_unit_j, 'J')} per {for_markdown(rating.unit)} ({rating.basis or 'basis not told'})"
        )
    return ", ".join(parts)


def _energies(record: Record, shown: Measurement) -> Iterator[tuple[str, str]]:
    window = "" if shown.name in (MEASURED, RUN) else f", window {for_markdown(shown.name)}"
    for component in shown.energy_j:
        estimated = _estimated(record, shown, component)
        for unit in units(shown):
            each = shown.energy_per(unit, component)
            thousand = each.times(1000 / JOULES_PER_WH)
            many = _PLURALS.get(unit, f"× {for_markdown(unit)}")
            name = f"Energy per {for_markdown(unit)}, {NAMES.get(component, component)}{window}"
            yield (
                name,
                f"{_energy(each, 'J', estimated)}; {_energy(thousand, 'Wh', estimated)} per 1,000 {many}",
            )


def _energy(energy: Estimate, unit: str, estimated: bool) -> str:
    return f"{'**estimated** ≈ ' if estimated else ''}{words.with_doubt(energy, unit)}"


def _ratio(rating: Rating) -> str:
    index = rating.index
    if index is None:
        return "not known"
    half = index.half_width()
    if rating.interval_95 is not None:
        low, high = (rounded(end, half) for end in rating.interval_95)
        return f"{rounded(index.value, half)}, between {low} and {high} with 95 % confidence"
    return f"{rounded(index.value, half)} ± {significant(half, 2)}"


def _impact(impact: Impact) -> str:
    """The grams with their doubt, what they are of, by what factor, and what is not in them."""
    whose = ", ".join(
        f"{NAMES[name]}, **estimated**" if name in impact.estimated else NAMES[name]
        for name in impact.components
    )
    about = [
        f"{whose} only" if impact.missing and len(impact.components) == 1 and not impact.estimated else whose,
        f"{for_markdown(impact.zone_name)}, {impact.intensity_g_per_kwh:.0f} g/kWh, mean of {impact.year}",
        f"not in it: {', '.join([*(NAMES[name] for name in impact.missing), 'cooling'])}",
        *(f"{NAMES[name]}: {100 * seen:.3g} % of the time seen" for name, seen in impact.partly_seen.items()),
        *([f"**{impact.validity}**"] if impact.validity != "valid" else []),
    ]
    mark = "**estimated** ≈ " if impact.estimated else ""
    # The doubt of the energy alone, as that release told it.
    return f"{mark}{grams(impact.carbon_energy_g)} CO2e ({'; '.join(about)})"


def _how(record: Record, shown: Measurement | None) -> Iterator[tuple[str, str]]:
    """What was measured, estimated and left out, and why."""
    methods = _methods(record, shown) if shown is not None else {}
    measured, estimated = [], []
    for component, method in methods.items():
        if shown is None or component not in shown.energy_j:
            continue
        seen = shown.coverage.get(component, 1.0)
        part = "" if seen >= 1 else f", {100 * seen:.1f} % of the time"
        name = NAMES.get(component, component)
        if method == "model":
            estimated.append(f"{name} (by a model{part})")
        else:
            measured.append(f"{name} ({_SENSED[method]}{part})")
    yield "Measured", ", ".join(measured) or "nothing"
    if estimated:
        yield "**Estimated**", ", ".join(estimated)
    left_out = missing(shown.energy_j if shown is not None else ())
    if left_out:
        yield (
            "Not measured",
            "; ".join(f"{NAMES[name]} ({for_markdown(why_not_measured(record, name))})" for name in left_out),
        )


def _finding_name(finding: Finding) -> str:
    return "Not fit for a rating" if finding.severity == "disqualifies" else "Reservation"


def _finding(finding: Finding) -> str:
    return f"{for_markdown(finding.code)}: {for_markdown(finding.message, 500)}"


def _recompute(record: Record) -> str:
    sha256 = for_markdown(record.provenance.journal_sha256)
    return (
        "Recompute these figures from the run's journal with `energy-rating summarise journal.jsonl`; the SHA-256 of the "
        f"journal, uncompressed, is <code>{sha256}</code>."
    )


def _methods(record: Record, measurement: Measurement) -> dict[str, Method]:
    if measurement.methods:
        return dict(measurement.methods)
    known = {channel.id for channel in record.channels}
    return component_methods(known & set(measurement.energy_by_channel_j), record.channels)


def _estimated(record: Record, measurement: Measurement, component: str) -> bool:
    return _methods(record, measurement).get(component) == "model"


def hardware(environment: Environment) -> str:
    """The devices, alike ones together: ``8 × NVIDIA H100 80GB HBM3 (power limit 700 W)``. Not escaped."""
    counts: dict[tuple[str, float | None], int] = {}
    for device in environment.devices:
        kind = (for_plain_text(device.name), device.power_limit_w)
        counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(
        f"{count} × {name}" + (f" (power limit {splice.decimal(limit)} W)" if limit is not None else "")
        for (name, limit), count in counts.items()
    )
