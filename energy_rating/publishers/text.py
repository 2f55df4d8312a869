"""Records and surveys as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from energy_rating.impact import Impact
from energy_rating.profiles import Profile
from energy_rating.quantities import rounded, scaled, significant
from energy_rating.rating import Scheme
from energy_rating.records import Channel, Finding, Measurement, Rating, Record
from energy_rating.summary import one_line
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
    lines += [f"{value.run_id}  {' · '.join(part for part in about if part)}", ""]
    rows = [row for measurement in value.measurements for row in _rows(measurement)]
    if rows:
        lines.append(
            f"{'window':<18}{'n':>5}{'time':>10}  {'component':<10}{'energy':>11}{'±95 %':>8}  {'per unit'}"
        )
        lines += rows
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
                f"  {value.energy_per_unit_j} J per {value.unit}: {rounded(value.index.value, value.index.half_width())} of the "
                f"reference{_in_words(value.index.value)}"
            )
    else:
        lines += ["Not rated", f"  {what}"]
        if value.energy_per_unit_j is not None:
            lines.append(f"  {value.energy_per_unit_j} J per {value.unit}")
    for reason in value.reasons:
        lines += textwrap.wrap(
            reason, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _in_words(index: float) -> str:
    change = round(100 * (index - 1))
    return f", {abs(change)} % {'more' if change > 0 else 'less'} energy" if change else ""


def impact(value: Impact) -> str:
    """Grams, by what factor, and what is in it."""
    energies = ", ".join(
        f"{name} (estimated)" if name in value.estimated else name for name in value.components
    )
    missing = f"; not measured: {', '.join(value.missing)}" if value.missing else ""
    text = (
        f"{value.carbon_g} g CO2e: {scaled(value.energy_j.value / 3600, 'Wh')} of {energies}{missing}, at "
        f"{value.intensity_g_per_kwh:.0f} g/kWh ({value.zone_name}, mean of {value.year}, location-based; {value.source}). "
        "Energy only: no cooling of a data centre, no share of making the hardware."
    )
    return "\n".join(textwrap.wrap(text, WIDTH, break_on_hyphens=False))


def files(paths: Iterable[Path]) -> str:
    """What a benchmark left behind."""
    about = {
        "label.png": "the label",
        "label.svg": "the label, to be scaled",
        "card.md": "the section for a model card",
        "trace.png": "power over time",
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


def _rows(measurement: Measurement) -> Iterator[str]:
    start = (
        f"{_short(measurement.name, 17):<18}{measurement.n:>5}{significant(measurement.duration_s, 3):>8} s"
    )
    mark = "" if measurement.validity == "valid" else f"  ({measurement.validity})"
    if not measurement.energy_j:
        yield f"{start}  no energy was measured{mark}"
    for component, energy in measurement.energy_j.items():
        doubt = f"{significant(100 * energy.half_width() / energy.value, 2)} %" if energy.value else "?"
        units = [unit for unit, amount in measurement.work.items() if amount]
        each = measurement.energy_per(units[0], component) if units else None
        per = f"{rounded(each.value, each.half_width())} J/{units[0]}" if each else ""
        shown = f"{component}*" if measurement.methods.get(component) == "model" else component
        yield f"{start}  {shown:<10}{scaled(energy.value, 'J'):>11}{doubt:>8}  {per}{mark}".rstrip()
        start, mark = " " * len(start), ""


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
