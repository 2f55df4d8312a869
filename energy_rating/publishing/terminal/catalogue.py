"""The profiles and schemes that ship, as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import get_args

from energy_rating.judging.profiles import Figures, Kind, Profile, SourcedFigure
from energy_rating.judging.schemes import OPERATING_POINT, Scheme
from energy_rating.nouns.records import Status
from energy_rating.publishing.terminal.layout import entry_lines, listed


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


def _figure(figure: SourcedFigure | None, unit: str, absent: str = "?") -> str:
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
                f"  {rated.protocol:<15}{name:<31}{rated.e_ref_j:>5g} J/{rated.unit:<7} n={rated.n}{_few(rated.status)}"
            )
        for of in scheme.training:
            lines.append(
                f"  {of.protocol:<18}{of.stage:<28}{of.e_ref_j:>5g} J/{of.unit:<7} n={of.n}{_few(of.status)}"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


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
    "clock_mhz": ("highest clock", "MHz"),
    "idle_w": ("idle", "W"),
    "process_nm": ("process", "nm"),
    "die_mm2": ("die", "mm²"),
    "year": ("year", ""),
}


def profile(value: Profile) -> str:
    """One hardware profile in full: every figure with its source."""
    lines = [f"{value.key}: {value.name}"]
    if value.example:
        lines += entry_lines("example", "this device does not exist")
    lines += entry_lines("made by", f"{value.vendor}, {value.architecture}, {value.memory_kind}")
    if value.kind and not value.example:
        lines += entry_lines("kind", value.kind)
    names = [f"{', '.join(value.driver.names)} [{value.driver.source}]"] if value.driver.names else []
    lines += entry_lines(
        "driver says", "; ".join([*names, *([value.driver.note] if value.driver.note else [])])
    )
    known = value.known_figures()
    absent: list[str] = []
    for item in fields(Figures):
        name, unit = _FIGURES.get(item.name, (item.name, ""))
        figure = known.get(item.name)
        if figure is None:
            if item.name == "memory_gb":
                lines += entry_lines(name, "chosen with the device")
            else:
                absent.append(name.split(",")[0])
            continue
        number = "{:.0f}" if item.name == "year" else "{:,.7g}"
        ends = [figure.value if end is None else end for end in (figure.lowest, figure.highest)]
        span = f" ({' to '.join(number.format(end) for end in ends)})" if ends[0] < ends[1] else ""
        note = f"; {figure.note}" if figure.note else ""
        lines += entry_lines(name, f"{number.format(figure.value)} {unit}{span} [{figure.source}]{note}")
    if value.dtypes is None:
        absent.append("native dtypes")
    else:
        note = f"; {value.dtypes.note}" if value.dtypes.note else ""
        lines += entry_lines(
            "native dtypes", f"{', '.join(value.dtypes.native)} [{value.dtypes.source}]{note}"
        )
    if not value.embodied:
        absent.append("embodied")
    for account in value.embodied:
        lines += entry_lines(
            "embodied",
            f"{account.kg_co2e:g} kg CO₂e ({account.kind}; {account.scope}; {account.method}) [{account.source}]",
        )
    if absent:
        lines += entry_lines("not known", ", ".join(absent))
    for factor in value.factors:
        lines += entry_lines(
            "factor",
            f"{factor.value:g} to {factor.reference} for {factor.workload_class} (tier {factor.tier}; {factor.models} models, "
            f"{factor.rows} pairs, 90 % within ×/÷ {factor.interval:g}; {factor.evidence}) [{factor.source}]",
        )
    lines += ["", "Sources"]
    for name, source in value.sources.items():
        lines += listed(f"[{name}]", f"{source.title}, {source.date}", "")
        if source.url:
            lines.append(f"    {source.url}")
    return "\n".join(lines)


def scheme(value: Scheme) -> str:
    """One scheme in full: ladder, rules, protocols, and every class with its source."""
    draft = ", a draft: it may still change" if value.draft else ""
    rules = value.rules
    lines = [f"{value.name}{draft}"]
    lines += entry_lines("date", value.date)
    lines += entry_lines("rates", f"{value.component} energy on {value.reference_device}")
    steps = ", ".join(
        f"{stars} stars up to {highest:.3g}"
        for stars, highest in zip((5, 4, 3, 2), value.ladder, strict=True)
    )
    lines += entry_lines("ladder", f"index (energy over the class's reference): {steps}")
    lines += entry_lines(
        "asks for",
        f"{rules.shortest_s:g} s, {rules.fewest_samples} samples, {rules.fewest_repeats} repeats, sensors that saw "
        f"{100 * rules.least_coverage:g} % of the time, and an interval that touches at most {rules.widest_stars} stars",
    )
    if value.normalised_tiers:
        lines += entry_lines(
            "other devices",
            f"converted, where the factor is of tier {', '.join(value.normalised_tiers)}, by the rules and factors of the vintage "
            f"{value.normalisation}",
        )
    if value.limit_must_bind:
        lines += entry_lines(
            "power limits", "another limit than the data sheet's counts only where it held the clocks down"
        )
    if value.beside:
        lines += entry_lines("beside", f"joules per {', per '.join(one.unit for one in value.beside)}")
    for protocol in value.protocols:
        lines += ["", protocol.name]
        lines += entry_lines("title", protocol.title)
        lines += entry_lines("url", protocol.url)
    for rated in value.classes:
        name = f"{rated.task} {rated.name or ''}".strip()
        lines += ["", f"{rated.protocol}: {name}{_few(rated.status, ', few models')}"]
        lines += entry_lines("reference", f"{rated.e_ref_j:g} J per {rated.unit}")
        lines += entry_lines(
            "population",
            f"{rated.population} (n = {rated.n}; {rated.lowest_j:g} to {rated.highest_j:g} J, centre {rated.centre_j:g} J)",
        )
        for size in value.sizes:
            if (size.protocol, size.task, size.name) == (rated.protocol, rated.task, rated.name):
                bounds = [f"{size.largest_gb:g} GB"] if size.largest_gb is not None else []
                bounds += [f"{size.largest_parameters:,} parameters"] if size.largest_parameters else []
                if size.writes_tokens is not None:
                    lines += entry_lines(
                        "models that", "write tokens" if size.writes_tokens else "write no tokens"
                    )
                else:
                    lines += entry_lines(
                        "models of", f"at most {' or '.join(bounds)}" if bounds else "any size"
                    )
        for key, (low, high) in rated.operating_point.items():
            asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            lines += entry_lines("runs with", f"{asked} {OPERATING_POINT[key]}")
        for key, words in rated.engine.items():
            lines += entry_lines("runs with", f"{key.replace('_', ' ')} {' or '.join(map(str, words))}")
        lines += entry_lines("source", rated.source)
        lines += entry_lines("url", rated.url)
    for of in value.training:
        lines += ["", f"{of.protocol}: {of.stage}{_few(of.status, ', few models')}"]
        lines += entry_lines("reference", f"{of.e_ref_j:g} J per {of.unit}")
        lines += entry_lines(
            "population", f"{of.population} (n = {of.n}; {of.lowest_j:g} to {of.highest_j:g} J)"
        )
        lines += entry_lines("source", of.source)
        lines += entry_lines("url", of.url)
    if value.unrated:
        lines += ["", "Not rated"]
        for item in value.unrated:
            name = " ".join(part for part in (item.protocol, item.task, item.name) if part)
            lines += listed(name, item.reason, "")
    return "\n".join(lines)


def _few(status: Status, told: str = ", few") -> str:
    """What is said of a class that few models make."""
    return told if status == "provisional" else ""
