"""What ``gpu_evidence.py`` found, as a short report in Markdown; and its journals as published runs.

    python benchmarks/read_evidence.py evidence > docs/gpu-evidence.md
    python benchmarks/read_evidence.py evidence --reports reports --prefix nvidia-h200-

The judging half: needs no GPU. The same evidence gives the same report.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import energy_rating
from energy_rating.files.reading import read_journal
from energy_rating.files.record import RECORD_NAME, write_record
from energy_rating.judging.integration.counter import Counter
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import RUN, Record

SCHEMA = "energy-rating/gpu-evidence/1"

# nvml.h, NVML_DEVICE_ARCH_*
ARCHITECTURES = {5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper", 10: "Blackwell", 13: "Rubin"}

Json = Mapping[str, Any]


def number(value: object, digits: int = 3) -> str:
    """A number as a person reads it; a dash where there is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float) or not math.isfinite(value):
        return "–"
    return significant(value, digits) if value else "0"


def scaled(value: float, unit: str) -> str:
    """With the prefix that makes it readable, from pico to peta: ``491 pJ/flop``, ``790 Tflop``."""
    if not value:
        return f"0 {unit}"
    power = max(-4, min(5, math.floor(math.log10(abs(value)) / 3)))
    prefix = {0: "", **dict(enumerate("kMGTP", start=1)), **dict(zip(range(-1, -5, -1), "mµnp", strict=True))}
    return f"{significant(value / 1e3**power, 3)} {prefix[power]}{unit}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell if isinstance(cell, str) else number(cell) for cell in row) + " |"
    yield ""


def dig(value: Any, *keys: str | int) -> Any:
    """What is found there, or None."""
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


class Evidence:
    """The file of answers, and the journals beside it."""

    def __init__(self, folder: Path) -> None:
        self.content: Json = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
        if self.content.get("schema") != SCHEMA:
            raise energy_rating.BadInput(f"schema {self.content.get('schema')!r} is not {SCHEMA!r}")
        self.journals = sorted((folder / "journals").glob("*.jsonl.gz"))

    def part(self, name: str) -> Any:
        return dig(self.content, "parts", name, "result")


def report(evidence: Evidence) -> str:
    lines: list[str] = []
    for section in (
        card,
        refreshes,
        full_time,
        integrals,
        steps,
        ring,
        stamps,
        scopes,
        costs,
        sampler,
        slow_down,
        edges,
        forks,
        workloads,
        missing,
    ):
        lines += section(evidence)
    return "\n".join(lines).rstrip() + "\n"


def card(evidence: Evidence) -> Iterator[str]:
    found, torch = evidence.part("identity") or {}, evidence.part("torch") or {}
    yield f"# What the sensors of one {found.get('name', 'GPU')} are like"
    yield ""
    yield (
        f"Measured {evidence.content.get('started', '')[:10]} with energy-rating {evidence.content.get('version')}, "
        f"driver {found.get('driver')}, Python {evidence.content.get('python')}"
        + (f", torch {torch['torch']}" if torch.get("torch") else "")
        + f"; {number(evidence.content.get('elapsed_s'))} s in all. Loads: {evidence.content.get('load')}."
    )
    yield ""
    for note in evidence.content.get("notes", ()):
        yield f"> {note}"
        yield ""
    limits = found.get("power_limit_range_mw")
    rows = [
        ("architecture", ARCHITECTURES.get(found.get("architecture", 0), str(found.get("architecture")))),
        ("power limit", f"{number(milli(found.get('power_limit_enforced_mw')))} W"),
        (
            "range of the limit",
            f"{number(milli(limits[0]))}–{number(milli(limits[1]))} W" if isinstance(limits, list) else "–",
        ),
        (
            "SM clock now, at most",
            f"{number(found.get('sm_clock_mhz'), 4)}, {number(found.get('sm_clock_max_mhz'), 4)} MHz",
        ),
        ("persistence mode", switch(found.get("persistence_mode"))),
        ("ECC", switch(dig(found, "ecc_mode", 0))),
        ("MIG", switch(dig(found, "mig_mode", 0))),
        ("temperature at the start", f"{number(found.get('temperature_c'))} °C"),
    ]
    yield from table(("card", ""), rows)


def milli(value: object) -> float | None:
    return value / 1000 if isinstance(value, int | float) else None


def switch(value: object) -> str:
    return {0: "off", 1: "on"}.get(value, "–") if isinstance(value, int) else "–"


def refreshes(evidence: Evidence) -> Iterator[str]:
    rows = []
    for when in ("idle", "loaded"):
        for name, entry in (evidence.part(f"periods-{when}") or {}).items():
            interval = dig(entry, "interval_ms")
            if not isinstance(interval, Mapping):
                continue
            rows.append(
                (
                    name,
                    when,
                    interval["n"],
                    interval.get("median"),
                    f"{number(interval.get('p5'))}–{number(interval.get('p95'))}",
                    interval.get("max"),
                    entry.get("steps_gcd"),
                    f"{entry.get('zeros', 0)} zeros, {entry.get('failures', 0)} failures in {entry.get('reads', 0)}",
                )
            )
    if rows:
        yield "## How often a number changes"
        yield ""
        yield from table(
            ("number", "card", "n", "median ms", "5–95 %", "longest ms", "steps are multiples of", "reads"),
            rows,
        )


def full_time(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("square-waves")
    if not found:
        return
    yield "## Does the counter see all of the time?"
    yield ""
    rows = []
    for name in ("counter", "instant"):
        entry = found.get(name, {})
        rows.append(
            (
                name,
                str(entry.get("verdict", entry.get("error", "–"))),
                entry.get("n", 0),
                str(entry.get("best_width", "–")),
                dig(entry, "best", "delay_s"),
                dig(entry, "best", "r2"),
                dig(entry, "interval", "r2"),
            )
        )
    yield from table(
        ("number", "verdict", "n", "follows the last", "ended s ago", "R²", "R², whole interval"), rows
    )
    waves = [
        (
            name,
            dig(entry, "on_s", "median"),
            ", ".join(number(block.get("mean_w"), 4) for block in entry.get("blocks", ())),
            entry.get("spread_percent"),
            entry.get("expected_spread_percent"),
            entry.get("worst_block_error_percent"),
            above(dig(entry, "balance", "counter_over_integral", "instant")),
        )
        for name, entry in found.get("waves", {}).items()
    ]
    yield from table(
        (
            "period",
            "on for s",
            "W by phase",
            "spread %",
            "expected of a full-time counter %",
            "worst error %",
            "counter above summed-up instant power by %",
        ),
        waves,
    )


def integrals(evidence: Evidence) -> Iterator[str]:
    rows = []
    for when in ("idle", "loaded"):
        balance = dig(evidence.part(f"integral-{when}"), "balance") or {}
        for name, ratio in balance.get("counter_over_integral", {}).items():
            rows.append(
                (
                    when,
                    name,
                    balance["seconds"],
                    balance["counter_mean_w"],
                    balance["mean_w"][name],
                    above(ratio),
                )
            )
    if rows:
        yield "## The counter against summed-up power"
        yield ""
        yield from table(("card", "power", "s", "counter W", "power W", "counter above power by %"), rows)


def above(ratio: object) -> float | None:
    return 100 * (ratio - 1) if isinstance(ratio, float) else None


def steps(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("step-response")
    if not found:
        return
    rows = []
    for direction in ("rise", "fall"):
        for name, entries in found.get(direction, {}).items():
            good = [entry for entry in entries if entry.get("rise_s") is not None]
            if good:
                rows.append(
                    (
                        name,
                        direction,
                        len(good),
                        f"{number(good[0]['from_w'])} → {number(good[0]['to_w'])}",
                        *(
                            number(1e3 * statistics.median(entry[key] for entry in good))
                            for key in ("after_10_percent_s", "after_90_percent_s", "rise_s")
                        ),
                    )
                )
    if rows:
        yield "## A step of the load"
        yield ""
        yield from table(("number", "step", "n", "W", "10 % after ms", "90 % after ms", "10–90 % ms"), rows)


def ring(evidence: Evidence) -> Iterator[str]:
    rows = []
    for when in ("idle", "loaded"):
        for name, entry in (evidence.part(f"ring-{when}") or {}).items():
            if "error" in entry:
                rows.append((name, when, f"error {entry['error']}", *["–"] * 6))
                continue
            rows.append(
                (
                    name,
                    when,
                    "live" if entry.get("live") else "stale",
                    entry.get("length"),
                    entry.get("span_s"),
                    dig(entry, "spacing_ms", "median"),
                    dig(entry, "newest_behind_later_s", "median"),
                    entry.get("new_mean_w"),
                    dig(entry, "polled", "counter_mean_w"),
                )
            )
    if rows:
        yield "## The driver's ring of samples"
        yield ""
        yield from table(
            ("ring", "card", "", "length", "span s", "spacing ms", "newest is old s", "mean W", "counter W"),
            rows,
        )


def stamps(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("field-timestamps")
    if not found:
        return
    yield "## What a field's time stamp means"
    yield ""
    yield from table(
        ("field", "time of the", "reads", "time stamps", "values", "behind the query µs", "latency µs"),
        (
            (
                name,
                str(entry["meaning"]),
                entry["reads"],
                entry["distinct_timestamps"],
                entry["distinct_values"],
                dig(entry, "behind_query_us", "median"),
                dig(entry, "latency_us", "median"),
            )
            for name, entry in found.items()
            if name != "refused"
        ),
    )


def scopes(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("scopes")
    if not found:
        return
    names = list(dict.fromkeys(entry["scope"] for entry in found.values()))
    yield "## Which scopes answer"
    yield ""
    fields = dict.fromkeys(key.partition("/")[0] for key in found)
    rows = []
    for field in fields:
        cells = []
        for place in range(len(names)):
            entry = found.get(f"{field}/{place}", {})
            values = entry.get("values")
            refusal = entry.get("return", entry.get("call", "–"))
            cells.append(number(values[-1] / 1e3, 9) if values else f"error {refusal}")
        rows.append((f"{field} ({found[f'{field}/0']['field']})", *cells))
    yield from table(("field, J or W", *names), rows)


def costs(evidence: Evidence) -> Iterator[str]:
    idle, loaded = evidence.part("costs-idle") or {}, evidence.part("costs-loaded") or {}
    names = list(dict.fromkeys([*idle, *loaded]))
    if names:
        yield "## What a call costs, in µs"
        yield ""
        yield from table(
            ("call", "idle median", "idle 99 %", "loaded median", "loaded 99 %", "longest", "failures"),
            (
                (
                    name,
                    dig(idle, name, "us", "median"),
                    dig(idle, name, "us", "p99"),
                    dig(loaded, name, "us", "median"),
                    dig(loaded, name, "us", "p99"),
                    max((dig(one, name, "us", "max") or 0.0 for one in (idle, loaded)), default=0.0),
                    (dig(idle, name, "failures") or 0) + (dig(loaded, name, "failures") or 0),
                )
                for name in names
            ),
        )


def sampler(evidence: Evidence) -> Iterator[str]:
    found = dict(evidence.part("sampler-ticks") or {})
    followed = dig(evidence.part("slow-down"), "followed_in_last_round")
    if followed:
        found["small training (short)"] = followed
    if not found:
        return
    yield "## How closely the sampler knows the counter's ticks"
    yield ""
    yield from table(
        ("main thread", "ticks", "bracket ms", "95 %", "below 10 ms", "readings a second", "a reading µs"),
        (
            (
                name,
                entry["ticks"],
                dig(entry, "bracket_ms", "median"),
                dig(entry, "bracket_ms", "p95"),
                percent(entry.get("share_below_10_ms")),
                entry.get("readings_a_second"),
                dig(entry, "reading_us", "median"),
            )
            for name, entry in found.items()
        ),
    )


def percent(share: object) -> str:
    return f"{100 * share:.0f} %" if isinstance(share, int | float) else "–"


def slow_down(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("slow-down")
    if not found:
        return
    yield "## What the sampler slows a training of small kernels down by"
    yield ""
    yield (
        f"Blocks of {number(found['block_s'])} s in random order within each round, a step takes "
        f"{number(dig(found, 'step_us', 'median'))} µs without it."
    )
    yield ""
    yield from table(
        ("sampler reads", "rounds", "mean %", "standard error %", "median %"),
        (
            (name, entry["n"], entry.get("mean"), entry.get("standard_error"), entry.get("median"))
            for name, entry in found["slow_down_percent"].items()
        ),
    )


def edges(evidence: Evidence) -> Iterator[str]:
    found = evidence.part("edges")
    if not found:
        return
    yield "## What the program itself waits for"
    yield ""
    rows = [
        (label, dig(found, key, "median"), dig(found, key, "p99"), dig(found, key, "n"))
        for label, key in (
            ("entering a window, µs", "enter_us"),
            ("leaving a window, µs", "leave_us"),
            ("an edge, one after the other, µs", "back_to_back_us"),
        )
    ]
    for label, key in (("start(), ms", "start_ms"), ("stop(), ms", "stop_ms")):
        values = found.get(key) or [math.nan]
        rows.append((label, statistics.median(values), max(values), len(values)))
    yield from table(("", "median", "99 % (start, stop: longest)", "n"), rows)


def forks(evidence: Evidence) -> Iterator[str]:
    rows = []
    for name in ("fork", "fork-with-cuda"):
        for what, entry in dig(evidence.part(name), "child").items() if evidence.part(name) else ():
            if isinstance(entry, Mapping):
                rows.append((name, what, str(entry.get("error", "works")), entry.get("ms")))
    reopened = evidence.part("reopening")
    if rows or reopened:
        yield "## After a fork, and after NVML was shut down"
        yield ""
    if rows:
        yield from table(("", "in the child", "", "ms"), rows)
    if reopened:
        said = {True: "was reset", False: "went on"}.get(reopened.get("counter_reset"), "did not answer")
        yield (
            f"nvmlInit took {number(reopened.get('first_init_ms'))} ms at first and {number(reopened.get('init_ms'))} ms "
            f"after a shutdown ({number(reopened.get('shutdown_ms'))} ms); the counter {said}."
        )
        yield ""


def repeats(path: Path) -> list[tuple[str, float, float, Mapping[str, float]]]:
    """Every closed window but the run: name, seconds, joules by the first GPU counter, and its work."""
    found = []
    for session in read_journal(path).sessions:
        channel = next((c for c in session.channels if c.component == "gpu" and c.method == "counter"), None)
        if channel is None:
            continue
        counter = Counter(session.samples[channel.id], accuracy=channel.accuracy, period_s=channel.period_s)
        for span in session.spans:
            energy = counter.between(span.start_s, span.end_s)
            if span.closed and span.name != RUN and energy is not None:
                found.append((span.name, span.end_s - span.start_s, energy.energy.value, span.work))
    return found


def name_of(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


def workloads(evidence: Evidence) -> Iterator[str]:
    if not evidence.journals:
        return
    yield "## Workloads"
    yield ""
    rows: list[Sequence[object]] = []
    spreads: list[Sequence[object]] = []
    findings: list[str] = []
    for path in evidence.journals:
        record = energy_rating.summarise(path)
        name = name_of(path)
        rows += measurement_rows(name, record)
        findings += [
            f"- {name}: {finding.severity}: `{finding.code}` {finding.message}" for finding in record.findings
        ]
        measured = [one for one in repeats(path) if one[0] == "measured"]
        seconds = sum(one[1] for one in measured)
        watts = sum(one[2] for one in measured) / seconds if seconds else None
        for unit in dict.fromkeys(unit for one in measured for unit in one[3]):
            each = [joules / work[unit] for _, _, joules, work in measured if work.get(unit)]
            if len(each) > 1:
                mean = statistics.fmean(each)
                rate = sum(work.get(unit, 0) for *_, work in measured) / seconds
                spreads.append(
                    (
                        name,
                        scaled(rate, f"{unit}/s"),
                        watts,
                        dig(evidence.part(name), "step_ms", "median"),
                        len(each),
                        scaled(mean, f"J/{unit}"),
                        100 * statistics.stdev(each) / mean,
                    )
                )
    yield from table(
        ("run", "window", "n", "s", "gpu J", "±95 % J", "W", "idle J", "work", "J per unit", "validity"), rows
    )
    if spreads:
        yield "How far repeats differ:"
        yield ""
        yield from table(
            ("run", "rate", "W", "until the queue was drained ms", "n", "mean", "standard deviation %"),
            spreads,
        )
    if findings:
        yield "Findings:"
        yield ""
        yield from dict.fromkeys(findings)
        yield ""


def measurement_rows(name: str, record: Record) -> Iterator[Sequence[object]]:
    for measurement in record:
        energy = measurement.energy_j.get("gpu")
        idle = (measurement.idle_j or {}).get("gpu")
        units = [unit for unit, amount in measurement.work.items() if amount]
        yield (
            name,
            measurement.name,
            measurement.n,
            measurement.duration_s,
            energy.value if energy else "–",
            energy.half_width() if energy else "–",
            energy.value / measurement.duration_s if energy and measurement.duration_s else "–",
            idle.value if idle else "–",
            ", ".join(scaled(measurement.work[unit], unit) for unit in units) or "–",
            ", ".join(scaled(energy.value / measurement.work[unit], f"J/{unit}") for unit in units)
            if energy and units
            else "–",
            measurement.validity,
        )


def missing(evidence: Evidence) -> Iterator[str]:
    rows = [
        (name, str(entry.get("error") or entry.get("skipped")))
        for name, entry in evidence.content.get("parts", {}).items()
        if "error" in entry or "skipped" in entry
    ]
    if rows:
        yield "## Not answered"
        yield ""
        yield from table(("part", "why"), rows)


def publish(evidence: Evidence, folder: Path, prefix: str) -> list[Path]:
    """Each journal as a run's folder with its record. Returns the folders."""
    made = []
    for path in evidence.journals:
        run = folder / f"{prefix}{name_of(path)}"
        run.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, run / "journal.jsonl.gz")
        write_record(energy_rating.summarise(run), run / RECORD_NAME)
        made.append(run)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("evidence", type=Path, help="the folder that gpu_evidence.py wrote")
    parser.add_argument("--reports", type=Path, help="copy the journals there, each with its record")
    parser.add_argument("--prefix", default="", help="in front of the names of those folders")
    options = parser.parse_args(arguments)
    try:
        evidence = Evidence(options.evidence)
        print(report(evidence), end="")
        if options.reports:
            for folder in publish(evidence, options.reports, options.prefix):
                print(f"wrote {folder}", file=sys.stderr)
    except (OSError, ValueError, EnergyRatingError) as error:
        print(f"read_evidence: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
