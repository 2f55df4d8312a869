"""A model card's section on energy, and its ``co2_eq_emissions``. Where they go is ``splice``'s; how they read is told here.

What was measured and what was estimated never look alike, and no figure stands without its doubt. Whatever comes from a
record is a stranger's: it is text in a table cell and nothing else, neither Markdown nor HTML nor a second cell.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import AnyStr
from urllib.parse import quote, urlsplit

from energy_rating.files.whole import write_whole
from energy_rating.judging.footprint.carbon import Impact, missing
from energy_rating.judging.profiles import is_example
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import (
    CONFIDENCE,
    JOULES_PER_WH,
    Estimate,
    duration,
    rounded,
    significant,
    with_doubt,
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
from energy_rating.publishing import label as labels
from energy_rating.publishing import splice, words
from energy_rating.publishing.facts import headline, outcome_of, units
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.words import NAMES, grams, why_not_measured

KEY = "co2_eq_emissions"
HEADING = "## Energy rating"

LARGEST_CARD = 16 << 20  # bytes

# A whole year of the world's emissions is 6e16 g; what is larger is a slip of units.
MOST_EMISSIONS_G = 1e16

_SENSED = {"counter": "energy counter", "power": "power register"}
_VALIDITY: dict[Validity, str] = {
    "valid": "valid",
    "degraded": "**degraded**: usable, with the reservations below",
    "invalid": "**invalid**: shown, and not fit for a rating",
}
_PLURALS = {"request": "requests", "token": "tokens", "image": "images", "item": "items", "step": "steps"}

# A name as the Hub allows it, with or without its owner; anything else is shown as code.
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)


# -------------------------------------------------------------------------------------------------------- the section


def section(
    records: Sequence[tuple[Record, Rating | None]],
    *,
    label: str | None = None,
    heading: str = HEADING,
    emissions_g: float | None = None,
    impact: Impact | None = None,
    location: str | None = None,
) -> str:
    """The section in Markdown, without its markers. The same records give the same text.

    Args:
        records: each with its rating, if it has one.
        label: where the label's picture lies, as the card is to link it: a relative path or an https address. It is
            described as the first record's.
        heading: the line that the section begins with; those within it are one level deeper.
        emissions_g: grams of CO2e of the one training run among the records; shown with it.
        impact: the same, worked out by ``footprint``; shown with its doubt, its factor and what is in it.
        location: where that was.

    Raises:
        BadInput: there is no record, the label is no such path, or the emissions are of no one training run.
    """
    if not records:
        raise BadInput("there is no record to write a section from", "Name at least one record")
    given = impact if impact is not None else emissions_g
    training = _training([record for record, _ in records], given)
    parts = [heading]
    if label is not None:
        parts.append(f"![{for_markdown(labels.alt(*records[0]), 1000)}]({_link(label)})")
    deeper = "#" * min(len(heading) - len(heading.lstrip("#")) + 1, 6)
    for record, rating in records:
        if len(records) > 1:
            parts.append(f"{deeper} {_title(record)}")
        rows = _rows(record, rating, given if record is training else None, location)
        parts.append(
            "\n".join(["| What | Value |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])
        )
        parts.append(_recompute(record))
    parts.append(
        f"“±” is half the {100 * CONFIDENCE:.0f} % interval. These figures are self-declared by whoever ran the measurement; "
        "the journal lets anyone recompute them."
    )
    return "\n\n".join(parts) + "\n"


def _title(record: Record) -> str:
    about = [_model(record), record.stage, for_markdown(record.task.name) if record.task else None]
    return ", ".join(part for part in about if part)


def _model(record: Record) -> str:
    if record.model is None:
        return "model not named"
    name = for_plain_text(record.model.id)
    return for_markdown(name) if _MODEL_ID.fullmatch(name) else f"<code>{for_markdown(name)}</code>"


def _rows(
    record: Record, rating: Rating | None, emissions: Impact | float | None, location: str | None
) -> Iterator[tuple[str, str]]:
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
    if isinstance(emissions, Impact):
        yield "Emissions of the training", _impact(emissions, location)
    elif emissions is not None:
        where = f", {for_markdown(location)}" if location else ""
        yield "Emissions of the training", f"{splice.decimal(emissions)} g CO2e{where} (as given)"
    yield "Hardware", for_markdown(hardware(record.environment)) or "not recorded"
    software = [
        f"{for_markdown(name)} {for_markdown(version)}"
        for name, version in record.environment.software.items()
    ]
    if software:
        yield "Software", ", ".join(software)
    yield from _how(record, shown)
    if (told := outcome_of(record)) is not None:
        yield "Program", for_markdown(told)
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
            f"rated: {with_doubt(rating.energy_per_unit_j, 'J')} per {for_markdown(rating.unit)} ({rating.basis or 'basis not told'})"
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
    return f"{'**estimated** ≈ ' if estimated else ''}{with_doubt(energy, unit)}"


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
    """The grams with their doubt, what they are of, by what factor, and what is not in them."""
    whose = ", ".join(
        f"{NAMES[name]}, **estimated**" if name in impact.estimated else NAMES[name]
        for name in impact.components
    )
    about = [
        f"{whose} only" if impact.missing and len(impact.components) == 1 and not impact.estimated else whose,
        f"{for_markdown(location or impact.zone_name)}, {impact.intensity_g_per_kwh:.0f} g/kWh, "
        f"mean of {impact.year}",
        f"not in it: {', '.join([*(NAMES[name] for name in impact.missing), 'cooling'])}",
        *(f"{NAMES[name]}: {100 * seen:.3g} % of the time seen" for name, seen in impact.partly_seen.items()),
        *([f"**{impact.validity}**"] if impact.validity != "valid" else []),
    ]
    mark = "**estimated** ≈ " if impact.estimated else ""
    return f"{mark}{grams(impact.carbon_g)} CO2e ({'; '.join(about)})"


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
        + (f" When this was written they were {told}." if (told := words.unchecked(record)) else "")
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
        location = location or emissions.zone_name
    else:
        emissions_g = emissions
    _check_emissions(emissions_g)
    value: dict[str, str | float] = {
        "emissions": emissions_g,
        "source": _source(record, emissions if isinstance(emissions, Impact) else None),
        "training_type": record.stage,
    }
    if location and for_plain_text(location):
        value["geographical_location"] = for_plain_text(location)
    devices = hardware(record.environment)
    if devices:
        value["hardware_used"] = devices
    return value


def _check_emissions(emissions_g: float) -> None:
    number = isinstance(emissions_g, int | float) and not isinstance(emissions_g, bool)
    if not number or not math.isfinite(emissions_g) or not 0 < emissions_g < MOST_EMISSIONS_G:
        raise BadInput(
            f"{emissions_g!r} g is no amount of emissions",
            "Give positive grams of CO2e, or none",
            place="emissions",
        )


def _source(record: Record, impact: Impact | None) -> str:
    """What the figure rests on. Says that the key is ours: ``splice`` knows it by the first words."""
    version = re.sub(r"[\s,]+", "-", for_plain_text(record.provenance.version, 40)) or "unknown"
    run = next((measurement for measurement in record if measurement.name == RUN), None)
    had = impact.components if impact is not None else tuple(run.energy_j) if run is not None else ()
    parts = [f"energy-rating {version}", f"run {for_plain_text(record.run_id, 80)}"]
    for component in had:
        estimated = run is not None and _estimated(record, run, component)
        parts.append(f"{component} {'estimated' if estimated else 'measured'}")
    parts += [f"{component} not measured" for component in missing(had)]
    sound = impact.validity if impact is not None else validity(record.findings_on(RUN))
    return ", ".join([*parts, sound] if sound != "valid" else parts)


# ----------------------------------------------------------------------------------------------------------- the card


def update_card(
    readme: AnyStr,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
    impact: Impact | None = None,
    location: str | None = None,
    label: str | None = None,
    overwrite: bool = False,
) -> AnyStr:
    """The card with our section, and for training runs our metadata, written or refreshed; all else byte for byte.

    Args:
        readme: the whole file, text or UTF-8.
        records: what the section tells, in this order.
        ratings: as many as records; None for one that was not rated.
        emissions_g: grams of CO2e of the one training run among the records. Without it, or without a training run,
            ``co2_eq_emissions`` is not written, and removed if it is ours.
        impact: the same, worked out by ``footprint``: told with its doubt, its factor and what is in it.
        location: where that was, for example ``"Quebec, Canada"``.
        label: where the label's picture lies.
        overwrite: replace a ``co2_eq_emissions`` that somebody else wrote; ``remove_card`` restores it.

    Raises:
        BadInput: the card cannot be changed without touching anything else, or an argument is wrong.
    """
    text = _text(readme)
    if ratings is not None and len(ratings) != len(records):
        raise BadInput(
            f"there are {len(ratings)} ratings for {len(records)} records", "Give one, or None, for each"
        )
    level = splice.level_above(text)
    given = impact if impact is not None else emissions_g
    training = _training(records, given)
    value = metadata(training, given, location) if training is not None else None
    if value is None:
        text = splice.remove_key(text, KEY)
    else:
        text = splice.put_key(text, KEY, value, overwrite=overwrite)
    content = section(
        list(zip(records, ratings or [None] * len(records), strict=True)),
        label=label,
        heading=HEADING if level is None else f"{'#' * min(level + 1, 6)} Energy",
        emissions_g=None if value is None else emissions_g,
        impact=None if value is None else impact,
        location=location,
    )
    return _like(readme, splice.put_section(text, content))


def remove_card(readme: AnyStr) -> AnyStr:
    """The card as it was before ``update_card``.

    Raises:
        BadInput: what is ours cannot be told from the rest.
    """
    return _like(readme, splice.remove_section(splice.remove_key(_text(readme), KEY)))


def _training(records: Sequence[Record], emissions: Impact | float | None) -> Record | None:
    """The record that the emissions are of."""
    if emissions is None:
        return None
    training = [record for record in records if record.stage in TRAINING]
    if len(training) > 1:
        raise BadInput(
            f"one figure of emissions was given for {len(training)} training runs",
            "Give the emissions with one training run at a time",
            place="emissions",
        )
    return training[0] if training else None


def _text(readme: AnyStr) -> str:
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


def emissions_of_others(path: str | Path) -> bool:
    """Whether a card holds emissions that somebody else has written; False also where it cannot be told."""
    try:
        return splice.is_of_others(_text(_read(Path(path))), KEY)
    except BadInput:
        return False


def update_card_file(
    path: str | Path,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
    impact: Impact | None = None,
    location: str | None = None,
    label: str | None = None,
    overwrite: bool = False,
) -> bool:
    """``update_card`` on a file, written whole or not at all. Says whether anything changed.

    Raises:
        BadInput: as ``update_card``, or the file cannot be read or written; it is then as it was.
    """
    path = Path(path)
    before = _read(path)
    try:
        after = update_card(
            before,
            records,
            ratings=ratings,
            emissions_g=emissions_g,
            impact=impact,
            location=location,
            label=label,
            overwrite=overwrite,
        )
    except BadInput as error:
        raise _in_file(path, error) from error
    return _write(path, before, after)


def remove_card_file(path: str | Path) -> bool:
    """``remove_card`` on a file, written whole or not at all. Says whether anything changed.

    Raises:
        BadInput: as ``remove_card``, or the file cannot be read or written; it is then as it was.
    """
    path = Path(path)
    before = _read(path)
    try:
        after = remove_card(before)
    except BadInput as error:
        raise _in_file(path, error) from error
    return _write(path, before, after)


def _in_file(path: Path, error: BadInput) -> BadInput:
    return BadInput(error.message, error.remedy, place=f"{path}: {error.place}" if error.place else path)


def _read(path: Path) -> bytes:
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            # Through a link, the Hub's cache or another project's card would be changed.
            raise BadInput("is a link", f"Name the file itself: {path.resolve()}", place=path)
        if not stat.S_ISREG(kind):
            raise BadInput("is not a file", "Name the card's README.md", place=path)
        with path.open("rb") as file:
            content = file.read(LARGEST_CARD + 1)
    except FileNotFoundError as error:
        raise BadInput("there is no such file", "Check the path", place=path) from error
    except (OSError, RuntimeError) as error:
        told = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(f"cannot be read ({told})", "Check the permissions", place=path) from error
    return content


def _write(path: Path, before: bytes, after: bytes) -> bool:
    if after == before:
        return False
    if not os.access(path, os.W_OK):
        raise BadInput("may not be written", "Check the permissions", place=path)
    mode = stat.S_IMODE(path.stat().st_mode)
    write_whole(path, after)
    path.chmod(mode)
    return True
