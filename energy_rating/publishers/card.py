"""A model card's section on energy, and its ``co2_eq_emissions``. Where they go is ``splice``'s; how they read is told here.

What was measured and what was estimated never look alike, and no figure stands without its doubt. Whatever comes from a
record is a stranger's: it is text in a table cell and nothing else, neither Markdown nor HTML nor a second cell.
"""

from __future__ import annotations

import math
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import AnyStr
from urllib.parse import quote, urlsplit

from energy_rating.errors import BadInput
from energy_rating.formats import write_whole
from energy_rating.publishers import splice
from energy_rating.quantities import (
    CONFIDENCE,
    JOULES_PER_KWH,
    JOULES_PER_WH,
    Estimate,
    rounded,
    significant,
)
from energy_rating.records import (
    COMPONENTS,
    MEASURED,
    RUN,
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

KEY = "co2_eq_emissions"
HEADING = "## Energy rating"
TRAINING = ("pre-training", "fine-tuning")
MOST_STARS = 5

LARGEST_CARD = 16 << 20  # bytes

# A whole year of the world's emissions is 6e16 g; what is larger is a slip of units.
MOST_EMISSIONS_G = 1e16

LONGEST = 300  # characters of one string of a record's

_NAMES = {"gpu": "GPU", "cpu": "CPU", "dram": "memory", "module": "module", "host": "host", "wall": "wall"}
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
    location: str | None = None,
) -> str:
    """The section in Markdown, without its markers. The same records give the same text.

    Args:
        records: each with its rating, if it has one.
        label: where the label's picture lies, as the card is to link it: a relative path or an https address. It is
            described as the first record's.
        heading: the line that the section begins with; those within it are one level deeper.
        emissions_g: grams of CO2e of the one training run among the records; shown with it.
        location: where that was.

    Raises:
        BadInput: there is no record, the label is no such path, or the emissions are of no one training run.
    """
    if not records:
        raise BadInput("there is no record to write a section from", "Name at least one record")
    training = _training([record for record, _ in records], emissions_g)
    parts = [heading]
    if label is not None:
        parts.append(f"![{_cell(_alternative(*records[0]), 1000)}]({_link(label)})")
    deeper = "#" * min(len(heading) - len(heading.lstrip("#")) + 1, 6)
    for record, rating in records:
        if len(records) > 1:
            parts.append(f"{deeper} {_title(record)}")
        given = emissions_g if record is training else None
        rows = _rows(record, rating, given, location)
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
    about = [_model(record), record.stage, _cell(record.task.name) if record.task else None]
    return ", ".join(part for part in about if part)


def _model(record: Record) -> str:
    if record.model is None:
        return "model not named"
    name = _clean(record.model.id)
    return _cell(name) if _MODEL_ID.fullmatch(name) else f"<code>{_cell(name)}</code>"


def _rows(
    record: Record, rating: Rating | None, emissions_g: float | None, location: str | None
) -> Iterator[tuple[str, str]]:
    shown = _shown(record)
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
            text = _energy(energy.times(1 / JOULES_PER_KWH), "kWh", _estimated(record, run, component))
            yield f"Total energy, {_NAMES.get(component, component)}", text
        yield "Duration", _duration(run.duration_s)
    if emissions_g is not None:
        where = f", {_cell(location)}" if location else ""
        yield "Emissions of the training", f"{splice.decimal(emissions_g)} g CO2e{where} (as given)"
    yield "Hardware", _cell(hardware(record.environment)) or "not recorded"
    software = [f"{_cell(name)} {_cell(version)}" for name, version in record.environment.software.items()]
    if software:
        yield "Software", ", ".join(software)
    yield from _how(record, shown)
    concerned = [m.name for m in record if m is shown or (m.name == RUN and record.stage in TRAINING)]
    found = [f for f in record.findings if f.measurement is None or f.measurement in concerned]
    yield "Validity", _VALIDITY[validity(found)]
    for finding in dict.fromkeys(finding for finding in found if finding.severity != "note"):
        yield _finding_name(finding), _finding(finding)
    for quality in record.quality:
        text = f"{splice.decimal(quality.value)} (source: {_cell(quality.source)})"
        yield f"Quality, {_cell(quality.metric)}", text
    yield "Date", _cell(record.created)
    yield "Run", f"{_cell(record.run_id)}, energy-rating {_cell(record.provenance.version)}"


def _about_model(record: Record) -> str:
    model = record.model
    parts = [_model(record)]
    if model is not None:
        parts.append(f"revision {_cell(model.revision)}" if model.revision else "revision not recorded")
        if model.parameters:
            active = f" ({model.active_parameters:,} active)" if model.active_parameters else ""
            parts.append(f"{model.parameters:,} parameters{active}")
        if model.dtype:
            parts.append(_cell(model.dtype))
    return ", ".join(parts)


def _about_task(record: Record) -> str:
    parts = [_cell(record.task.name) if record.task else "not named", f"stage: {record.stage}"]
    if record.task and record.task.protocol:
        parts.append(f"protocol: {_cell(record.task.protocol)}")
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
        reasons = [_cell(reason) for reason in rating.reasons] or ["no reason was given"]
        return f"**not rated**: {'; '.join(reasons)}"
    text = f"{'★' * rating.stars} {rating.stars} of {MOST_STARS} stars"
    if rating.could_be is not None and rating.could_be[0] != rating.could_be[1]:
        text += f", could be {rating.could_be[0]}–{rating.could_be[1]}"
    if rating.index is not None:
        text += f"; index {_plus_minus(rating.index)} (energy over the class's reference)"
    if rating.basis is not None and rating.basis != "measured":
        text += f"; **{rating.basis}**, not measured on the reference device"
    return text + ("; provisional" if rating.status == "provisional" else "")


def _scheme(rating: Rating) -> str:
    parts = [_cell(rating.scheme)]
    if rating.class_ is not None:
        parts.append(f"class {_cell(rating.class_)}")
    if rating.protocol is not None:
        parts.append(f"protocol {_cell(rating.protocol)}")
    if rating.energy_per_unit_j is not None and rating.unit is not None:
        basis = f" ({rating.basis})" if rating.basis else ""
        parts.append(f"rated: {_plus_minus(rating.energy_per_unit_j)} J per {_cell(rating.unit)}{basis}")
    return ", ".join(parts)


def _energies(record: Record, shown: Measurement) -> Iterator[tuple[str, str]]:
    window = "" if shown.name in (MEASURED, RUN) else f", window {_cell(shown.name)}"
    for component in shown.energy_j:
        estimated = _estimated(record, shown, component)
        for unit, amount in shown.work.items():
            if not amount:
                continue
            each = shown.energy_per(unit, component)
            thousand = each.times(1000 / JOULES_PER_WH)
            many = _PLURALS.get(unit, f"× {_cell(unit)}")
            name = f"Energy per {_cell(unit)}, {_NAMES.get(component, component)}{window}"
            yield (
                name,
                f"{_energy(each, 'J', estimated)}; {_energy(thousand, 'Wh', estimated)} per 1,000 {many}",
            )


def _energy(energy: Estimate, unit: str, estimated: bool) -> str:
    return f"{'**estimated** ≈ ' if estimated else ''}{_plus_minus(energy)} {unit}"


def _plus_minus(energy: Estimate) -> str:
    half = energy.half_width()
    return f"{rounded(energy.value, half)} ± {significant(half, 2)}"


def _how(record: Record, shown: Measurement | None) -> Iterator[tuple[str, str]]:
    """What was measured, estimated and left out, and why."""
    methods = _methods(record, shown) if shown is not None else {}
    measured, estimated = [], []
    for component, method in methods.items():
        if shown is None or component not in shown.energy_j:
            continue
        seen = shown.coverage.get(component, 1.0)
        part = "" if seen >= 1 else f", {100 * seen:.1f} % of the time"
        name = _NAMES.get(component, component)
        if method == "model":
            estimated.append(f"{name} (by a model{part})")
        else:
            measured.append(f"{name} ({_SENSED[method]}{part})")
    yield "Measured", ", ".join(measured) or "nothing"
    if estimated:
        yield "**Estimated**", ", ".join(estimated)
    had = set(shown.energy_j) if shown is not None else set()
    # A whole module, host or wall socket holds its parts.
    expected = () if had & {"module", "host", "wall"} else ("gpu", "cpu", "dram")
    missing = [component for component in COMPONENTS if component in expected and component not in had]
    if missing:
        yield "Not measured", "; ".join(_missing(record, component) for component in missing)


def _missing(record: Record, component: str) -> str:
    name = _NAMES.get(component, component)
    why = next((f.message for f in record.findings if f.code == f"{component}-not-measured"), None)
    return f"{name} ({_cell(why)})" if why else name


def _finding_name(finding: Finding) -> str:
    return "Not fit for a rating" if finding.severity == "disqualifies" else "Reservation"


def _finding(finding: Finding) -> str:
    return f"{_cell(finding.code)}: {_cell(finding.message, 500)}"


def _recompute(record: Record) -> str:
    sha256 = _cell(record.provenance.journal_sha256)
    return (
        "Recompute these figures from the run's journal with `energy-rating summarise journal.jsonl`; the SHA-256 of the "
        f"journal, uncompressed, is <code>{sha256}</code>."
    )


def _alternative(record: Record, rating: Rating | None) -> str:
    """The label in one sentence, for who cannot see it."""
    name = _clean(record.model.id) if record.model else "a model that is not named"
    task = f" for {_clean(record.task.name)}" if record.task else ""
    if rating is None or rating.stars is None:
        reasons = "; ".join(_clean(reason).rstrip(".") for reason in rating.reasons) if rating else ""
        verdict = f"not rated ({reasons})" if reasons else "not rated"
    else:
        verdict = f"{rating.stars} of {MOST_STARS} stars"
        if rating.could_be is not None and rating.could_be[0] != rating.could_be[1]:
            verdict += f" (could be {rating.could_be[0]} to {rating.could_be[1]})"
        verdict += f" under scheme {_clean(rating.scheme)}"
        if rating.basis is not None and rating.basis != "measured":
            verdict += f", {rating.basis}"
    parts = [f"Energy rating of {name}{task}: {verdict}"]
    shown = _shown(record)
    if shown is not None:
        unit = next((unit for unit, amount in shown.work.items() if amount), None)
        component = next(iter(shown.energy_j), None)
        if unit is not None and component is not None:
            each = shown.energy_per(unit, component)
            how = "estimated" if _estimated(record, shown, component) else "measured"
            energy = f"{_plus_minus(each)} J per {_clean(unit)}"
            parts.append(f"{how} {_NAMES.get(component, component)} energy {energy}")
    if devices := hardware(record.environment):
        parts.append(f"on {devices}")
    return ", ".join(parts) + "."


def _shown(record: Record) -> Measurement | None:
    """The measurement that a reader wants: ``measured`` of a benchmark, else the run, else what counted work."""
    if record.stage not in TRAINING and MEASURED in record:
        return record[MEASURED]
    # The first of a record is its run.
    counted = (m for m in record.measurements if m.energy_j and any(m.work.values()))
    return next(counted, next(iter(record.measurements), None))


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
        kind = (_clean(device.name), device.power_limit_w)
        counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(
        f"{count} × {name}" + (f" (power limit {splice.decimal(limit)} W)" if limit is not None else "")
        for (name, limit), count in counts.items()
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{significant(seconds, 3)} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


# ------------------------------------------------------------------------------------------------- strangers' strings


def _clean(text: str, longest: int = LONGEST) -> str:
    """One line without controls, marks of direction and what else is not seen."""
    kept = (
        char if not char.isspace() else " " for char in text[: 4 * longest] if char.isspace() or _seen(char)
    )
    line = " ".join("".join(kept).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _seen(char: str) -> bool:
    if char in "\u200c\u200d":  # joiners, which Persian, Hindi and emoji are written with
        return True
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co") and ord(char) & 0xFFFE != 0xFFFE


# Whatever means something in Markdown (GFM), in HTML or as the Hub's mathematics. As references they mean nothing anywhere,
# not even to a parser that cuts a table into cells first.
_SPECIAL = re.compile(r"[&<>|`\\*\[\]~$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.")


def _cell(text: str, longest: int = LONGEST) -> str:
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", _clean(text, longest))


def _link(path: str) -> str:
    parts = urlsplit(path)
    if not path or parts.scheme not in ("", "https", "http"):
        raise BadInput(
            f"{_clean(path, 80)!r} cannot be linked as a label",
            "Give a path relative to the card, as label.svg",
        )
    return quote(path, safe="/:%?=&+,;~@#")


# ------------------------------------------------------------------------------------------------------- the metadata


def metadata(
    record: Record, emissions_g: float | None, location: str | None = None
) -> dict[str, str | float] | None:
    """What ``co2_eq_emissions`` is to map to; None where the record is of no training, or its emissions are not known.

    The Hub counts grams of CO2e, of training only (hub-docs, model-cards-co2.md). As YAML they are a plain decimal.

    Raises:
        BadInput: the emissions are no positive number.
    """
    if record.stage not in TRAINING or emissions_g is None:
        return None
    _check_emissions(emissions_g)
    value: dict[str, str | float] = {
        "emissions": emissions_g,
        "source": _source(record),
        "training_type": record.stage,
    }
    if location and _clean(location):
        value["geographical_location"] = _clean(location)
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


def _source(record: Record) -> str:
    """Says that the key is ours: ``splice`` knows it by these words."""
    version = re.sub(r"[\s,]+", "-", _clean(record.provenance.version, 40)) or "unknown"
    energies = [
        f"{component} {'estimated' if _estimated(record, record[RUN], component) else 'measured'}"
        for component in (record[RUN].energy_j if RUN in record else ())
    ]
    return ", ".join([f"energy-rating {version}", f"run {_clean(record.run_id, 80)}", *energies])


# ----------------------------------------------------------------------------------------------------------- the card


def update_card(
    readme: AnyStr,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
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
    training = _training(records, emissions_g)
    value = metadata(training, emissions_g, location) if training is not None else None
    if value is None:
        text = splice.remove_key(text, KEY)
    else:
        text = splice.put_key(text, KEY, value, overwrite=overwrite)
    content = section(
        list(zip(records, ratings or [None] * len(records), strict=True)),
        label=label,
        heading=HEADING if level is None else f"{'#' * min(level + 1, 6)} Energy",
        emissions_g=None if value is None else emissions_g,
        location=location,
    )
    return _like(readme, splice.put_section(text, content))


def remove_card(readme: AnyStr) -> AnyStr:
    """The card as it was before ``update_card``.

    Raises:
        BadInput: what is ours cannot be told from the rest.
    """
    return _like(readme, splice.remove_section(splice.remove_key(_text(readme), KEY)))


def _training(records: Sequence[Record], emissions_g: float | None) -> Record | None:
    """The record that the emissions are of."""
    if emissions_g is None:
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


def update_card_file(
    path: str | Path,
    records: Sequence[Record],
    *,
    ratings: Sequence[Rating | None] | None = None,
    emissions_g: float | None = None,
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
