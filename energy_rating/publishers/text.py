"""Records and surveys as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from energy_rating.impact import Impact
from energy_rating.profiles import Figures, Profile
from energy_rating.publishers import words
from energy_rating.quantities import (
    JOULES_PER_WH,
    duration,
    reaches_zero,
    rounded,
    scaled,
    significant,
    with_doubt,
    with_doubt_in_parts,
)
from energy_rating.rating import OPERATING_POINT, Scheme
from energy_rating.records import Channel, Finding, Measurement, Rating, Record
from energy_rating.summary import one_line, units
from energy_rating.survey import Survey
from energy_rating.tasks import TaskFile

WIDTH = 80

_HOW = {"counter": "energy counter", "power": "power register", "model": "estimated"}


def survey(found: Survey) -> str:
    """What can be measured here, and for the rest reason and remedy."""
    lines: list[str] = []
    names = {device.id: device.name for device in found.detection.devices}
    measured = [channel for channel in found.channels if channel.method != "model"]
    modelled = [channel for channel in found.channels if channel.method == "model"]
    if measured:
        lines += ["Measured here", *_channels(measured, names, found), ""]
    if modelled:
        lines += [
            "Estimated here, by CodeCarbon's models (never rated)",
            *_channels(modelled, names, found),
            "",
        ]
    refusals = [refusal for refusal in found.refusals if refusal.components]
    if refusals:
        lines.append("Not measured here")
        for refusal in refusals:
            lines += _item(
                f"{', '.join(refusal.components)} ({refusal.sensor})", refusal.reason, refusal.remedy
            )
        lines.append("")
    lines += _findings(found.detection.findings)
    if not found.channels:
        lines += ["Nothing can be measured here.", ""]
    return "\n".join(lines).rstrip()


def _channels(channels: Iterable[Channel], names: dict[str, str], found: Survey) -> Iterator[str]:
    for channel in channels:
        reading = found.readings.get(channel.id, "not read")
        value = (
            reading
            if isinstance(reading, str)
            else scaled(reading, "J" if channel.method == "counter" else "W")
        )
        name = names.get(channel.device, channel.device)
        yield f"  {channel.id:<14} {_short(name, 36):<36} {_HOW[channel.method]:<14} {value}"[:WIDTH].rstrip()


def record(value: Record) -> str:
    """What was measured, window by window, and what is to be said of it."""
    lines = [*textwrap.wrap(one_line(value), WIDTH), ""]
    about = [value.stage, value.model.id if value.model else None, value.task.name if value.task else None]
    lines += [*textwrap.wrap(f"{value.run_id}  {' · '.join(part for part in about if part)}", WIDTH), ""]
    if value.measurements:
        lines += _table(value.measurements)
        if any("model" in measurement.methods.values() for measurement in value.measurements):
            lines.append("* estimated by a model, not measured")
        lines.append("")
    lines += _findings(value.findings)
    return "\n".join(lines).rstrip()


def rating(value: Rating) -> str:
    """Stars, or every reason why there are none."""
    lines: list[str] = []
    what = " · ".join(
        part
        for part in (
            f"class {value.class_}" if value.class_ else "",
            value.protocol or "",
            f"scheme {value.scheme}",
            value.status or "",
            f"basis {value.basis}" if value.basis else "",
        )
        if part
    )
    if value.stars is not None:
        could_be = value.could_be or (value.stars, value.stars)
        open_ = f"  could be {could_be[0]}–{could_be[1]}" if could_be[0] != could_be[1] else ""
        lines.append(f"{'★' * value.stars}{'☆' * (5 - value.stars)}  {value.stars} of 5 stars{open_}")
        lines.append(f"  {what}")
        if value.index is not None and value.energy_per_unit_j is not None:
            lines.append(
                f"  {with_doubt(value.energy_per_unit_j, 'J')} per {value.unit}: "
                f"{rounded(value.index.value, value.index.half_width())} of the reference, {words.change(value.index.value)}"
            )
    else:
        lines += ["Not rated", f"  {what}"]
        if value.energy_per_unit_j is not None:
            lines.append(f"  {with_doubt(value.energy_per_unit_j, 'J')} per {value.unit}")
    for reason in value.reasons:
        lines += textwrap.wrap(
            reason, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
    return "\n".join(lines)


def impact(value: Impact) -> str:
    """Grams, by what factor, and what is in it."""
    energies = ", ".join(
        f"{name} (estimated)" if name in value.estimated else name for name in value.components
    )
    missing = f"; not measured: {', '.join(value.missing)}" if value.missing else ""
    text = (
        f"{words.grams(value.carbon_g)} CO2e: {with_doubt(value.energy_j.times(1 / JOULES_PER_WH), 'Wh')} of {energies}{missing}, at "
        f"{value.intensity_g_per_kwh:.0f} g/kWh ({value.zone_name}, mean of {value.year}, location-based; {value.source}). "
        "Energy only: no cooling of a data centre, no share of making the hardware."
    )
    if value.partly_seen:
        seen = ", ".join(f"{name} {100 * share:.3g} %" for name, share in value.partly_seen.items())
        text += f" Of the time only a part was seen, and the figure is that part's: {seen}."
    if value.validity != "valid":
        fit = "usable, with reservations" if value.validity == "degraded" else "not to be relied on"
        text += f" The measurement {value.measurement!r} is {value.validity}: {fit}; its findings say why."
    return "\n".join(textwrap.wrap(text, WIDTH, break_on_hyphens=False))


def files(paths: Iterable[Path]) -> str:
    """What a benchmark left behind."""
    about = {
        "label.png": "the label",
        "label.svg": "the label, to be scaled",
        "card.md": "the section for a model card",
        "trace.png": "power over time",
        "rating.json": "the stars, or why there are none",
        "record.json": "every figure, with its doubt and its findings",
        "journal.jsonl": "what the sensors said, line by line",
    }
    found = list(paths)
    width = max((len(str(path)) for path in found), default=0)
    return "\n".join(f"  {path!s:<{width}}  {about.get(path.name, '')}".rstrip() for path in found)


def tasks(values: Iterable[TaskFile]) -> str:
    """Tasks and their protocols."""
    lines: list[str] = []
    for task in values:
        lines.append(f"{task.name}  (rated per {task.unit})")
        for name, protocol in task.protocols.items():
            default = " (default)" if name == task.default_protocol else ""
            lines += textwrap.wrap(
                f"{name}{default}: {protocol.title}",
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def profiles(values: Iterable[Profile]) -> str:
    """Hardware profiles, a line each."""
    lines = [f"{'profile':<36}{'memory':>10}{'limit':>9}  device"]
    for profile in values:
        limit = profile.figures.power_limit_w
        lines.append(
            f"{profile.key:<36}{profile.figures.memory_gb.value:>7g} GB"
            f"{f'{limit.value:g} W' if limit else '?':>9}  {profile.name}"[:WIDTH]
        )
    return "\n".join(lines)


def schemes(values: Iterable[Scheme]) -> str:
    """Schemes and their classes."""
    lines: list[str] = []
    for scheme in values:
        draft = ", a draft" if scheme.draft else ""
        lines.append(
            f"{scheme.name}{draft}: {scheme.component} energy on {scheme.reference_device}, {scheme.date}"
        )
        for rated in scheme.classes:
            name = f"{rated.task} {rated.name or ''}".strip()
            lines.append(
                f"  {rated.protocol:<14}{name:<26}{rated.e_ref_j:>10g} J per {rated.unit:<8} n={rated.n:<3} {rated.status}"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def task(value: TaskFile) -> str:
    """One task in full."""
    lines = [f"{value.name}  (rated per {value.unit})"]
    for name, protocol in value.protocols.items():
        lines += ["", f"{name}{' (default)' if name == value.default_protocol else ''}"]
        told = [("title", protocol.title), ("source", protocol.source)]
        told += [(key.replace("_", " "), getattr(protocol, key)) for key in _OF_PROTOCOL]
        if protocol.dataset is not None:
            data = protocol.dataset
            revision = f", revision {data.revision}" if data.revision else ""
            told.append(("data set", f"{data.id} ({data.split}; {', '.join(data.columns)}){revision}"))
        for key, text in told:
            if text not in (None, ""):
                lines += _entry(key, f"{text}")
    return "\n".join(lines)


_OF_PROTOCOL = (
    *("items", "items_file", "batch_size", "concurrency", "max_new_tokens", "min_new_tokens", "dtype"),
    *("warm_up_items", "repeats", "shortest_s", "idle_s", "differs"),
)


# How the figures of a profile are called, and in which unit they are.
_FIGURES = {
    "memory_gb": ("memory", "GB"),
    "bandwidth_gb_s": ("bandwidth", "GB/s"),
    "bf16_tflops": ("BF16, dense", "TFLOPS"),
    "fp16_tflops": ("FP16, dense", "TFLOPS"),
    "fp8_tflops": ("FP8, dense", "TFLOPS"),
    "power_limit_w": ("power limit", "W"),
    "idle_w": ("idle", "W"),
    "process_nm": ("process", "nm"),
}


def profile(value: Profile) -> str:
    """One hardware profile in full: every figure with its source."""
    lines = [f"{value.key}: {value.name}"]
    if value.example:
        lines += _entry("example", "this device does not exist")
    lines += _entry("made by", f"{value.vendor}, {value.architecture}, {value.memory_kind}")
    lines += _entry("driver says", f"{', '.join(value.driver.names)} [{value.driver.source}]")
    for item in fields(Figures):
        figure = getattr(value.figures, item.name)
        name, unit = _FIGURES.get(item.name, (item.name, ""))
        if figure is None:
            lines += _entry(name, "not known")
        else:
            note = f"; {figure.note}" if figure.note else ""
            lines += _entry(name, f"{figure.value:,g} {unit} [{figure.source}]{note}")
    for factor in value.factors:
        lines += _entry(
            "factor",
            f"{factor.value:g} to {factor.reference} for {factor.workload_class} (tier {factor.tier}; {factor.models} models, "
            f"{factor.rows} rows, spread {factor.spread:g}; {factor.evidence}) [{factor.source}]",
        )
    lines += ["", "Sources"]
    for name, source in value.sources.items():
        lines += _item(f"[{name}]", f"{source.title}, {source.date}", "")
        if source.url:
            lines.append(f"    {source.url}")
    return "\n".join(lines)


def scheme(value: Scheme) -> str:
    """One scheme in full: ladder, rules, protocols, and every class with its source."""
    draft = ", a draft: every rating under it is provisional" if value.draft else ""
    rules = value.rules
    lines = [f"{value.name}{draft}"]
    lines += _entry("date", value.date)
    lines += _entry("rates", f"{value.component} energy on {value.reference_device}")
    steps = ", ".join(
        f"{stars} stars up to {highest:.3g}"
        for stars, highest in zip((5, 4, 3, 2), value.ladder, strict=True)
    )
    lines += _entry("ladder", f"index (energy over the class's reference): {steps}")
    lines += _entry(
        "asks for",
        f"{rules.shortest_s:g} s, {rules.fewest_samples} samples, {rules.fewest_repeats} repeats, sensors that saw "
        f"{100 * rules.least_coverage:g} % of the time, and an interval that touches at most {rules.widest_stars} stars",
    )
    for protocol in value.protocols:
        lines += ["", protocol.name]
        lines += _entry("title", protocol.title)
        lines += _entry("url", protocol.url)
    for rated in value.classes:
        name = f"{rated.task} {rated.name or ''}".strip()
        lines += ["", f"{rated.protocol}: {name}, {rated.status}"]
        lines += _entry("reference", f"{rated.e_ref_j:g} J per {rated.unit}")
        lines += _entry(
            "population",
            f"{rated.population} (n = {rated.n}; {rated.lowest_j:g} to {rated.highest_j:g} J, centre {rated.centre_j:g} J)",
        )
        for size in value.sizes:
            if (size.protocol, size.task, size.name) == (rated.protocol, rated.task, rated.name):
                bounds = [f"{size.largest_gb:g} GB"] if size.largest_gb is not None else []
                bounds += [f"{size.largest_parameters:,} parameters"] if size.largest_parameters else []
                lines += _entry("models of", f"at most {' or '.join(bounds)}" if bounds else "any size")
        for key, (low, high) in rated.operating_point.items():
            asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            lines += _entry("runs with", f"{asked} {OPERATING_POINT[key]}")
        lines += _entry("source", rated.source)
        lines += _entry("url", rated.url)
    if value.unrated:
        lines += ["", "Not rated"]
        for item in value.unrated:
            name = " ".join(part for part in (item.protocol, item.task, item.name) if part)
            lines += _item(name, item.reason, "")
    return "\n".join(lines)


def _entry(name: str, text: str) -> list[str]:
    """A line of an entry in full; it goes on below where it is longer."""
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=f"  {name:<17} ",
        subsequent_indent=" " * 20,
        break_long_words=False,
        break_on_hyphens=False,
    )


_HEAD = ("window", "n", "time", "component", "energy", "±95 %", "per unit")


def _table(measurements: Iterable[Measurement]) -> list[str]:
    """A line for each component of each measurement. Columns are as wide as what stands in them; what a line cannot hold goes
    on below."""
    rows = [_HEAD, *(row for measurement in measurements for row in _rows(measurement))]
    columns = len(_HEAD) - 1
    widths = [max(len(row[number]) for row in rows if len(row) > columns) for number in range(columns)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if number in (0, 3) else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row[:columns], widths, strict=False))
        ]
        line = "  ".join(cells)
        for part in row[columns:]:
            if len(f"{line}  {part}".rstrip()) > WIDTH:
                lines.append(line.rstrip())
                line = " " * (widths[0] + 2)
                line += _short(part, WIDTH - len(line))
            else:
                line += f"  {part}"
        lines.append(line.rstrip())
    return lines


def _rows(measurement: Measurement) -> Iterator[tuple[str, ...]]:
    """The cells of a measurement's lines, in the order of ``_HEAD``; after them whatever is to be said of it."""
    start = (_short(measurement.name, 16), str(measurement.n), duration(measurement.duration_s))
    mark = () if measurement.validity == "valid" else (f"({measurement.validity})",)
    if not measurement.energy_j:
        yield (*start, "", "", "", "no energy was measured", *mark)
    for component, energy in measurement.energy_j.items():
        shown = f"{component}*" if measurement.methods.get(component) == "model" else component
        made = units(measurement)
        per = ""
        if made:
            # The doubt stands in its own column.
            figure, _, unit = with_doubt_in_parts(measurement.energy_per(made[0], component), f"J/{made[0]}")
            per = f"{figure} {unit}"
        if reaches_zero(energy):
            told, doubt = with_doubt(energy, "J"), ""
        else:
            told = scaled(energy.value, "J")
            doubt = f"{significant(100 * energy.half_width() / energy.value, 2)} %" if energy.value else ""
        yield (*start, shown, told, doubt, per, *mark)
        start, mark = ("", "", ""), ()


def _findings(findings: Iterable[Finding]) -> list[str]:
    lines: list[str] = []
    titles = {"disqualifies": "Not fit for a rating", "degrades": "Degraded by", "note": "Notes"}
    found = list(findings)
    for severity, title in titles.items():
        of_severity = [finding for finding in found if finding.severity == severity]
        if of_severity:
            lines.append(title)
            # What has one reason for several components is said once.
            told: dict[tuple[str, str], list[str]] = {}
            for finding in of_severity:
                told.setdefault((finding.message, finding.remedy), []).append(finding.code)
            for (message, remedy), codes in told.items():
                lines += _item(", ".join(dict.fromkeys(codes)), message, remedy)
            lines.append("")
    return lines


def _item(name: str, message: str, remedy: str) -> list[str]:
    text = f"{name}: {message.rstrip('.')}." + (f" {remedy.rstrip('.')}." if remedy else "")
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
