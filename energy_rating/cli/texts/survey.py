"""What can be measured here, and what not, as text for a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from energy_rating.nouns.quantities import scaled
from energy_rating.publishing.terminal.layout import WIDTH, listed, shortened
from energy_rating.publishing.terminal.records import findings_listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from energy_rating.measuring.probe import Tried
    from energy_rating.measuring.survey import Survey
    from energy_rating.nouns.records import Channel

_HOW = {"counter": "energy counter", "power": "power register", "model": "estimated"}


def survey_to_text(found: Survey) -> str:
    """What can be measured here, and for the rest reason and remedy."""
    lines: list[str] = []
    names = {device.id: device.name for device in found.detection.devices}
    measured = [channel for channel in found.channels if channel.method != "model"]
    modelled = [channel for channel in found.channels if channel.method == "model"]
    if measured:
        lines += ["Measured here", *_channels(measured, names, found), ""]
    if modelled:
        lines += [
            "Estimated here, by models (never rated)",
            *_channels(modelled, names, found),
            "",
        ]
    if found.probes:
        lines += ["Tried", *_probes(found.probes), ""]
    refusals = [refusal for refusal in found.refusals if refusal.components and not refusal.absent]
    if refusals:
        lines.append("Not measured here")
        for refusal in refusals:
            lines += listed(
                f"{', '.join(refusal.components)} ({refusal.sensor})", refusal.reason, refusal.remedy
            )
        lines.append("")
    absent = [refusal.what for refusal in found.refusals if refusal.absent]
    if absent:
        lines += [*textwrap.wrap(f"Looked for, and not here: {', '.join(absent)}", WIDTH), ""]
    lines += findings_listed(found.detection.findings)
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
        yield f"  {channel.id:<14} {shortened(name, 36):<36} {_HOW[channel.method]:<14} {value}"[
            :WIDTH
        ].rstrip()


def _probes(probes: Iterable[Tried]) -> Iterator[str]:
    for one in probes:
        name = ", ".join(one.channels)
        told = [f"{channel} changed every {1e3 * period:.3g} ms" for channel, period in one.periods_s.items()]
        told.append(f"{one.call_us:.3g} µs a reading")
        if one.agreement is not None:
            told.append(f"counter over integrated power {one.agreement:.3f}")
        if one.failures:
            told.append(f"{one.failures} readings failed")
        yield from listed(name, "; ".join(told), "")
        for source, answer in one.sources.items():
            yield from textwrap.wrap(
                f"{source}: {answer}", WIDTH, initial_indent="    ", subsequent_indent="      "
            )
