"""Records and surveys as plain text for a terminal of 80 columns."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

from energy_rating.judging.comparison import OF_GAIN, Comparison
from energy_rating.judging.footprint.carbon import Impact
from energy_rating.judging.normalisation import Normalised, hardware_interval
from energy_rating.judging.profiles import Figure, Figures, Kind, Profile
from energy_rating.judging.rating import Judgement, next_star_j
from energy_rating.judging.schemes import OPERATING_POINT, Scheme
from energy_rating.measuring.probe import Tried
from energy_rating.measuring.survey import Survey
from energy_rating.nouns.quantities import (
    JOULES_PER_WH,
    Estimate,
    duration,
    reaches_zero,
    rounded,
    scaled,
    significant,
    with_doubt,
    with_doubt_in_parts,
)
from energy_rating.nouns.records import Channel, Checked, Finding, Measurement, Rating, Record
from energy_rating.publishers import words
from energy_rating.publishing.facts import one_line, per_right_answer, units
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
            lines += _item(
                f"{', '.join(refusal.components)} ({refusal.sensor})", refusal.reason, refusal.remedy
            )
        lines.append("")
    absent = [refusal.what for refusal in found.refusals if refusal.absent]
    if absent:
        lines += [*textwrap.wrap(f"Looked for, and not here: {', '.join(absent)}", WIDTH), ""]
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
    for quality, energy in per_right_answer(value):
        origin = f"{energy.component}, estimated" if energy.estimated else energy.component
        told = f"{with_doubt(energy, 'J')} per right answer ({origin}), at {quality.metric} {quality.value:g}"
        lines += ["", *textwrap.wrap(f"{told} by {quality.source}", WIDTH)]
        lines.append("")
    lines += _findings(value.findings)
    return "\n".join(lines).rstrip()


def still_running(quiet_s: float) -> str:
    """What is said of a run that goes on, beside what it comes to so far."""
    ago = f"{quiet_s:.0f} s ago" if quiet_s >= 1 else "just now"
    return (
        f"The run is still going on (its last line was written {ago}): no record was written into its folder."
    )


def rating(
    value: Rating,
    next_j: float | None = None,
    measured_j: Estimate | None = None,
    *,
    estimated: bool = False,
    example: bool = False,
) -> str:
    """Stars, or every reason why there are none.

    ``next_j``: joules per unit at which the next star begins. ``measured_j``: as measured, to stand before what was normalised.
    ``estimated``: the energy is a model's. ``example``: the device does not exist.
    """
    lines: list[str] = [words.EXAMPLE] if example else []
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
    else:
        lines += ["Not rated", f"  {what}"]
    if value.energy_per_unit_j is not None:
        normalised = " normalised" if value.basis == "normalised" else ""
        if normalised and measured_j is not None:
            lines.append(f"  {with_doubt(measured_j, 'J')} per {value.unit} as measured")
        figure = f"{'estimated ≈ ' if estimated else ''}{with_doubt(value.energy_per_unit_j, 'J')} per {value.unit}{normalised}"
        if value.stars is not None and value.index is not None:
            figure += f": {rounded(value.index.value, value.index.half_width())} of the reference, {words.change(value.index.value)}"
        lines.append(f"  {figure}")
    if value.stars is not None and next_j is not None:
        lines.append(f"  the next star begins at {scaled(_rounded_down(next_j), 'J')} per {value.unit}")
    for reason in value.reasons:
        lines += textwrap.wrap(
            reason, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
    if value.would_be is not None:
        lines += [f"  {words.would_be(value.would_be)}", f"  {words.NO_RATING}"]
    return "\n".join(lines)


def judgement(value: Judgement) -> str:
    """A rating with what of it the record alone tells: the figure as measured, an estimate, an example."""
    return rating(
        value.rating,
        next_star_j(value.rating, value.scheme),
        value.measured_j,
        estimated=value.estimated,
        example=value.example,
    )


def _rounded_down(value: float) -> float:
    """To three digits: who reaches what is printed must have reached what it stands for."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.floor(value / step) * step


def comparison(value: Comparison) -> str:
    """Which one is better, by how much, whether the doubt allows saying so, and what differs."""
    verdicts = {
        "b-better": "B needs less energy than A",
        "a-better": "B needs more energy than A",
        "undecided": "Undecided: the doubt does not allow saying which one needs less energy",
    }
    if value.notes:
        verdicts["undecided"] = f"No verdict: {value.notes[0]}"
    low, high = value.interval_95
    per = f" per {value.unit}" if value.unit else ""
    lines = [
        *textwrap.wrap(verdicts[value.verdict], WIDTH, break_on_hyphens=False),
        f"  A  {with_doubt(value.a_j, 'J')}{per} ({value.component}, {value.measurement!r})",
        f"  B  {with_doubt(value.b_j, 'J')}{per} ({value.component}, {value.measurement!r})",
    ]
    if value.unit is not None:  # else it would be a ratio of energies of different work
        lines += [
            f"  B / A  {value.ratio:.4g}, {words.change(value.ratio)}; 95 % interval {low:.4g} to {high:.4g}",
            f"  {OF_GAIN[value.gain]}",
        ]
    lines += [line for note in value.notes[1:] for line in _item("note", note, "")]
    lines += [
        line
        for remark in value.remarks
        for line in textwrap.wrap(remark, WIDTH, initial_indent="  ", subsequent_indent="  ")
    ]
    if not value.differences:
        lines += ["", "No recorded setting differs"]
        return "\n".join(lines)
    lines += ["", "What differs"]
    wide = max(len(item.what) for item in value.differences)
    for item in value.differences:
        a, b = (_short(text if text is not None else "not recorded", 40) for text in (item.a, item.b))
        lines.append(f"  {item.what:<{wide}}  {a}  →  {b}")
    return "\n".join(lines)


def explanation(value: Judgement) -> str:
    """The arithmetic of a rating, line by line, each with where it comes from."""
    rating_, rated, scheme_ = value.rating, value.rated, value.scheme
    unit = rating_.unit or "unit"
    lines = [f"How {scheme_.name} comes to this"]
    if value.energy_j is not None and value.measurement is not None:
        measured = value.measurement
        lines += _entry(
            "energy",
            f"{'estimated ≈ ' if value.estimated else ''}{with_doubt(value.energy_j, 'J')} of {value.component} in {measured.name!r} "
            f"({duration(measured.duration_s)}, {_times(measured.n)}); the record, {_origin(value.checked)}",
        )
    else:
        lines += _entry("energy", f"none of {value.component} was measured")
    if value.work is not None:
        lines += _entry("work", f"{value.work:,.6g} {unit}; {value.work_method}")
    if value.measured_j is not None:
        lines += _entry(
            f"per {unit}",
            f"{'estimated ≈ ' if value.estimated else ''}{with_doubt(value.measured_j, 'J')}"
            f"{'' if value.estimated else ' as measured'}: energy over work; ± is the 95 % interval",
        )
    found = value.normalised
    if found is not None and found.energy_per_unit_j is not None:
        for step in found.steps:
            exponent = (
                f", use {found.use:.2f} ^ {step.exponent:+g} in it" if found.use and step.exponent else ""
            )
            lines += _entry(
                "factor",
                f"× {step.factor:.4g}, from {step.origin} to {step.target}{exponent}; 90 % within ×/÷ {step.interval:g}; "
                f"tier {step.tier}: {step.why}",
            )
        profiles_ = ", ".join(f"{key} {version}" for key, version in found.versions.items())
        lines += _entry("profiles", profiles_)
        lines += _entry(
            f"per {unit}", f"{with_doubt(found.energy_per_unit_j, 'J')} normalised to {found.reference}"
        )
    if rated is None:
        lines += _entry("reference", "none: the record belongs to no class that is rated")
    else:
        lines += _entry(
            "E_ref", f"{rated.e_ref_j:g} J per {rated.unit}, frozen with the scheme ({rated.status})"
        )
        lines += _entry(
            "population",
            f"{rated.population}; n = {rated.n}, {rated.lowest_j:g} to {rated.highest_j:g} J, centre {rated.centre_j:g} J",
        )
        lines += _entry("source", f"{rated.source}: {rated.url}")
    index = rating_.index or (rating_.would_be.index if rating_.would_be else None)
    used = value.normalised.energy_per_unit_j if value.normalised else value.measured_j
    if index is not None and value.interval is not None and rated is not None and used is not None:
        low, high = value.interval
        lines += _entry(
            "index",
            f"{used.value:.4g} J / {rated.e_ref_j:g} J = {index.value:.4g}: {words.change(index.value)}",
        )
        lines += _entry("interval", f"{max(low, 0.0):.4g} to {high:.4g} (95 %)")
        steps = ", ".join(
            f"{stars}★ ≤ {highest:.4g}" for stars, highest in zip((5, 4, 3, 2), scheme_.ladder, strict=True)
        )
        lines += _entry("ladder", f"{steps}, else 1★: half the energy, one more star")
        lines += _entry(
            "stars",
            f"{scheme_.stars(index.value)} by the point, "
            + (
                f"{scheme_.stars(high)} to {scheme_.stars(low)} by the interval"
                if scheme_.stars(high) != scheme_.stars(low)
                else "and by the whole interval"
            )
            + ("" if rating_.stars is not None else "; not rated, for the reasons above"),
        )
    for protocol in scheme_.protocols:
        if protocol.name == rating_.protocol:
            lines += _entry("protocol", f"{protocol.name}: {protocol.title}: {protocol.url}")
    return "\n".join(lines)


def _origin(checked: Checked | None) -> str:
    """Where a record's figures come from, as far as anybody looked."""
    if checked == "journal":
        return "from its journal"
    return words.UNCHECKED[checked] if checked is not None else "as it was given"


def _times(count: int) -> str:
    return "one window" if count == 1 else f"{count} windows"


def impact(value: Impact, *, example: bool = False) -> str:
    """Grams, by what factor, and what is in it. ``example``: the device does not exist."""
    energies = ", ".join(
        f"{name} (estimated)" if name in value.estimated else name for name in value.components
    )
    missing = f"; not measured: {', '.join(value.missing)}" if value.missing else ""
    where = ", as the record says" if value.zone_from == "record" else ""
    text = (
        f"{words.grams(value.carbon_g)} CO2e: {with_doubt(value.energy_j.times(1 / JOULES_PER_WH), 'Wh')} of {energies}{missing}, at "
        f"{value.intensity_g_per_kwh:.0f} g/kWh ({value.zone_name}{where}, mean of {value.year}, location-based; {value.source}). "
        "Energy only: no cooling of a data centre, no share of making the hardware."
    )
    if value.partly_seen:
        seen = ", ".join(f"{name} {100 * share:.3g} %" for name, share in value.partly_seen.items())
        text += f" Of the time only a part was seen, and the figure is that part's: {seen}."
    if value.validity != "valid":
        fit = "usable, with reservations" if value.validity == "degraded" else "not to be relied on"
        text += f" The measurement {value.measurement!r} is {value.validity}: {fit}; its findings say why."
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False)
    return "\n".join([words.EXAMPLE, *lines] if example else lines)


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


def normalised(value: Normalised) -> str:
    """What was measured, and after it what that would be on another device, or every reason why that cannot be told."""
    lines: list[str] = []
    if value.measured_per_unit_j is not None:
        on = f", {value.device}" if value.device else ""
        lines += _said(
            "measured", f"{with_doubt(value.measured_per_unit_j, 'J')} per {value.unit} of the GPU{on}"
        )
    if value.energy_per_unit_j is None or value.interval_90 is None or value.factor is None:
        lines += _said("not normalised", f"to {value.reference}")
        for reason in value.reasons:
            lines += textwrap.wrap(
                reason, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
            )
        return "\n".join(lines)
    low, high = (scaled(end, "J") for end in value.interval_90)
    lines += _said(
        "normalised",
        f"to {value.reference}: {scaled(value.energy_per_unit_j.value, 'J')} per {value.unit}, 90 % interval {low} to {high}",
    )
    about = [f"tier {value.tier}", f"factor {significant(value.factor, 3)}"]
    if value.steps:
        about.append(f"×/÷ {significant(hardware_interval(value.steps), 3)} for the hardware")
        about.append(value.workload_class or "")
    if value.use is not None:
        about.append(f"{significant(100 * value.use, 3)} % of the power limit")
    lines += _said("", " · ".join(part for part in about if part))
    for step in value.steps:
        lines += _said(
            "",
            f"{step.origin} → {step.target}: {significant(step.factor, 3)}, ×/÷ {step.interval:g}, tier {step.tier} ({step.why})",
        )
    lines += _said("profiles", ", ".join(f"{key}@{known}" for key, known in value.versions.items()))
    return "\n".join(lines)


def _said(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{name:<15}" if name else " " * 15,
        subsequent_indent=" " * 15,
        break_on_hyphens=False,
    )


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
    """Hardware profiles, a line each, by vendor and kind."""
    groups: dict[tuple[str, str], list[Profile]] = {}
    for profile in values:
        groups.setdefault((profile.vendor, profile.kind or "other"), []).append(profile)
    kinds = (*get_args(Kind), "other")
    # Who does not exist comes last.
    ordered = sorted(
        groups, key=lambda group: (group[1] == "example", group[0].casefold(), kinds.index(group[1]))
    )
    lines: list[str] = []
    for vendor, kind in ordered:
        lines += ["", f"{f'{vendor}, {kind}':<39}{'memory':>9}{'bandwidth':>13}{'limit':>9}{'year':>7}"]
        for profile in sorted(groups[vendor, kind], key=lambda profile: _counted(profile.key)):
            figures = profile.figures
            year = f"{figures.year.value:.0f}" if figures.year else "?"
            lines.append(
                f"  {profile.key:<37}{_figure(figures.memory_gb, 'GB', 'chosen'):>9}"
                f"{_figure(figures.bandwidth_gb_s, 'GB/s'):>13}{_figure(figures.power_limit_w, 'W'):>9}{year:>7}"
                f"{'' if profile.driver.names else '  *'}"
            )
    if any(not profile.driver.names for group in groups.values() for profile in group):
        lines += ["", "* no driver name could be checked: such a device is not recognised by itself"]
    return "\n".join(lines[1:])


def _counted(key: str) -> list[str | int]:
    """What to sort by so that 2 comes before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", key)]


def _figure(figure: Figure | None, unit: str, absent: str = "?") -> str:
    return absent if figure is None else f"{figure.value:,.0f} {unit}"


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
                f"  {rated.protocol:<15}{name:<40}{rated.e_ref_j:>6g} J per {rated.unit:<8} n={rated.n:<3} {rated.status}"
            )
        for of in scheme.training:
            lines.append(
                f"  {of.protocol:<18}{of.stage:<37}{of.e_ref_j:>6g} J per {of.unit:<8} n={of.n:<3} {of.status}"
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
    *("items", "items_file", "batch_size", "concurrency", "request_rate", "max_num_seqs", "max_input_tokens"),
    *(
        "max_new_tokens",
        "min_new_tokens",
        "reasoning",
        "dtype",
        "warm_up_items",
        "warm_up_s",
        "warm_up_cap_s",
    ),
    *("repeats", "shortest_s", "idle_s", "differs"),
)


# How the figures of a profile are called, and in which unit they are.
_FIGURES = {
    "memory_gb": ("memory", "GB"),
    "bandwidth_gb_s": ("bandwidth", "GB/s"),
    "fp32_tflops": ("FP32, vector", "TFLOPS"),
    "tf32_tflops": ("TF32, dense", "TFLOPS"),
    "bf16_tflops": ("BF16, dense", "TFLOPS"),
    "fp16_tflops": ("FP16, dense", "TFLOPS"),
    "fp8_tflops": ("FP8, dense", "TFLOPS"),
    "fp4_tflops": ("FP4, dense", "TFLOPS"),
    "int8_tops": ("INT8, dense", "TOPS"),
    "power_limit_w": ("power limit", "W"),
    "idle_w": ("idle", "W"),
    "process_nm": ("process", "nm"),
    "die_mm2": ("die", "mm²"),
    "year": ("year", ""),
}


def profile(value: Profile) -> str:
    """One hardware profile in full: every figure with its source."""
    lines = [f"{value.key}: {value.name}"]
    if value.example:
        lines += _entry("example", "this device does not exist")
    lines += _entry("made by", f"{value.vendor}, {value.architecture}, {value.memory_kind}")
    if value.kind and not value.example:
        lines += _entry("kind", value.kind)
    names = [f"{', '.join(value.driver.names)} [{value.driver.source}]"] if value.driver.names else []
    lines += _entry("driver says", "; ".join([*names, *([value.driver.note] if value.driver.note else [])]))
    known = value.known_figures()
    absent: list[str] = []
    for item in fields(Figures):
        name, unit = _FIGURES.get(item.name, (item.name, ""))
        figure = known.get(item.name)
        if figure is None:
            if item.name == "memory_gb":
                lines += _entry(name, "chosen with the device")
            else:
                absent.append(name.split(",")[0])
            continue
        number = "{:.0f}" if item.name == "year" else "{:,.7g}"
        ends = [figure.value if end is None else end for end in (figure.lowest, figure.highest)]
        span = f" ({' to '.join(number.format(end) for end in ends)})" if ends[0] < ends[1] else ""
        note = f"; {figure.note}" if figure.note else ""
        lines += _entry(name, f"{number.format(figure.value)} {unit}{span} [{figure.source}]{note}")
    if value.dtypes is None:
        absent.append("native dtypes")
    else:
        note = f"; {value.dtypes.note}" if value.dtypes.note else ""
        lines += _entry("native dtypes", f"{', '.join(value.dtypes.native)} [{value.dtypes.source}]{note}")
    if not value.embodied:
        absent.append("embodied")
    for account in value.embodied:
        lines += _entry(
            "embodied",
            f"{account.kg_co2e:g} kg CO₂e ({account.kind}; {account.scope}; {account.method}) [{account.source}]",
        )
    if absent:
        lines += _entry("not known", ", ".join(absent))
    for factor in value.factors:
        lines += _entry(
            "factor",
            f"{factor.value:g} to {factor.reference} for {factor.workload_class} (tier {factor.tier}; {factor.models} models, "
            f"{factor.rows} pairs, 90 % within ×/÷ {factor.interval:g}; {factor.evidence}) [{factor.source}]",
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
    if value.normalised_tiers:
        lines += _entry(
            "other devices", f"by normalisation of tier {', '.join(value.normalised_tiers)}; provisional"
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
                if size.writes_tokens is not None:
                    lines += _entry(
                        "models that", "write tokens" if size.writes_tokens else "write no tokens"
                    )
                else:
                    lines += _entry("models of", f"at most {' or '.join(bounds)}" if bounds else "any size")
        for key, (low, high) in rated.operating_point.items():
            asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            lines += _entry("runs with", f"{asked} {OPERATING_POINT[key]}")
        lines += _entry("source", rated.source)
        lines += _entry("url", rated.url)
    for of in value.training:
        lines += ["", f"{of.protocol}: {of.stage}, {of.status}"]
        lines += _entry("reference", f"{of.e_ref_j:g} J per {of.unit}")
        lines += _entry("population", f"{of.population} (n = {of.n}; {of.lowest_j:g} to {of.highest_j:g} J)")
        lines += _entry("source", of.source)
        lines += _entry("url", of.url)
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


_HEAD = ("window", "n", "time", "component", "energy", "±95 %", "mostly from", "per unit")


def _table(measurements: Iterable[Measurement]) -> list[str]:
    """A line for each component of each measurement. Columns are as wide as what stands in them; what a line cannot hold goes
    on below."""
    rows = [_HEAD, *(row for measurement in measurements for row in _rows(measurement))]
    columns = len(_HEAD) - 1
    widths = [max(len(row[number]) for row in rows if len(row) > columns) for number in range(columns)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if number in (0, 3, 6) else f"{cell:>{width}}"
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
        yield (*start, "", "", "", "", "no energy was measured", *mark)
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
        mostly = measurement.doubt_from.get(component, "") if doubt else ""
        yield (*start, shown, told, doubt, mostly, per, *mark)
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


def _probes(probes: Iterable[Tried]) -> Iterator[str]:
    for one in probes:
        name = ", ".join(one.channels)
        told = [f"{channel} changed every {1e3 * period:.3g} ms" for channel, period in one.periods_s.items()]
        told.append(f"{one.call_us:.3g} µs a reading")
        if one.agreement is not None:
            told.append(f"counter over integrated power {one.agreement:.3f}")
        if one.failures:
            told.append(f"{one.failures} readings failed")
        yield from _item(name, "; ".join(told), "")
        for source, answer in one.sources.items():
            yield from textwrap.wrap(
                f"{source}: {answer}", WIDTH, initial_indent="    ", subsequent_indent="      "
            )


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
