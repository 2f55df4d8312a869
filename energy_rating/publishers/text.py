"""Records and surveys as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from energy_rating.quantities import rounded, scaled, significant
from energy_rating.records import Channel, Finding, Measurement, Record
from energy_rating.summary import one_line
from energy_rating.survey import Survey

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
