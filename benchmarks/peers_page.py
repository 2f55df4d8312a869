"""The page about us and the peers, written wholly from the figures that ``accuracy.py`` and ``overhead.py`` left."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec

OURS = "energy-rating"
RMS_GOAL, BIAS_GOAL = 0.005, 0.002
IMPORT_MS, FIRST_MS, MIB = 60.0, 15.0, 20.0
MEDIAN_US, P99_US = 20.0, 200.0
CPU_ONE, CPU_MANY = 0.005, 0.02
SLOW_DOWN = 0.003
WEEK_MB, GROWTH_MIB = 200.0, 5.0

# One hue for what this project is about, greys for the rest; labels stand at the lines, so colour carries nothing alone.
INK, GREY, PALE = "#0b6e4f", "#6f7782", "#c9ced6"
SHADES = {"zeus": "#3d4652", "codecarbon": "#7a828d", "carbontracker": "#a9765a"}


def percent(value: float, digits: int = 2, sign: bool = False) -> str:
    text = f"{100 * value:+.{digits}f}" if sign else f"{100 * value:.{digits}f}"
    return text.replace("-", "−") + " %"


def short(value: float) -> str:
    """Two or three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        [
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )


def verdict(met: bool) -> str:
    return "met" if met else "**missed**"


class Results:
    """The figures, with the few questions that the page asks them."""

    def __init__(
        self, accuracy: Mapping[str, Any], overhead: Mapping[str, Any], ends: Mapping[str, Any] | None = None
    ) -> None:
        self.accuracy = accuracy
        self.ends = ends
        self.overhead = overhead
        self.real = accuracy["real"]
        self.peers = [label for label in self.real if label != OURS]

    def at(self, label: str, scenario: str, length: str = "1") -> Mapping[str, Any]:
        found: Mapping[str, Any] = (
            self.real.get(label, {}).get(scenario, {}).get("by_length", {}).get(length, {})
        )
        return found if found.get("n") else {}

    def of_peers(self, text: Callable[[str], str | None]) -> str:
        said = [(label, text(label)) for label in self.peers]
        return "; ".join(f"{label} {one}" for label, one in said if one) or "not measured"


def goals(results: Results) -> str:
    virtual = results.accuracy["virtual"]
    over = results.overhead
    rows: list[list[str]] = []

    of_clock, in_time = virtual["steps"]["1"], results.at(OURS, "steps")
    rms = max(of_clock["rms"], in_time.get("rms", 0.0))
    rows.append(
        [
            "power steps at the edges of a window of 1 s: error, rms",
            f"≤ {percent(RMS_GOAL, 1)}",
            f"{percent(of_clock['rms'])} on the virtual clock (n = {of_clock['n']})"
            + (
                f", {percent(in_time['rms'])} in real time (n = {in_time['n']})"
                if in_time
                else ", none in real time"
            ),
            verdict(rms <= RMS_GOAL and bool(in_time)),
            results.of_peers(
                lambda label: (
                    percent(results.at(label, "steps")["rms"], 1) if results.at(label, "steps") else None
                )
            ),
        ]
    )
    of_clock, in_time = virtual["job"]["1"], results.at(OURS, "job")
    bias = max(abs(of_clock["bias"]), abs(in_time.get("bias", 0.0)))
    rows.append(
        [
            "a job of 1 s that starts from idle: bias",
            f"≤ {percent(BIAS_GOAL, 1)}",
            f"{percent(of_clock['bias'], sign=True)} on the virtual clock"
            + (
                f", {percent(in_time['bias'], sign=True)} ± {percent(in_time['bias_error'])} in real time"
                if in_time
                else ", none in real time"
            ),
            verdict(bias <= BIAS_GOAL and bool(in_time)),
            results.of_peers(
                lambda label: (
                    percent(results.at(label, "job")["bias"], 1, sign=True)
                    if results.at(label, "job")
                    else None
                )
            ),
        ]
    )

    start = over["start_up"]
    ours = start[OURS]
    others = {name: row for name, row in start.items() if not name.startswith(OURS)}
    for what, key, goal, unit in (
        ("importing `measure`, over bare Python", "import_ms", IMPORT_MS, "ms"),
        ("entering the first `with`", "first_ms", FIRST_MS, "ms"),
        ("memory after both, over bare Python", "first_mib", MIB, "MiB"),
    ):
        value = ours[key]
        narrow = start.get(f"{OURS}, nvml and rapl only")
        rows.append(
            [
                what,
                f"≤ {goal:.0f} {unit}",
                f"{short(value)} {unit}"
                + (f' ({short(narrow[key])} with `sensors=["nvml", "rapl"]`)' if narrow else ""),
                verdict(value <= goal),
                "; ".join(f"{name} {short(row[key])} {unit}" for name, row in others.items())
                or "not measured",
            ]
        )

    for kind, count, state, words in (
        ("edges_in_a_row", "1", "calm", ", one after the other"),
        ("edges_in_a_row", "64", "calm", ", one after the other"),
        ("edges", "1", "calm", ", after a pause of 2 ms"),
        ("edges", "64", "calm", ", after a pause of 2 ms"),
        ("edges", "1", "hanging", ", the same while a driver call hangs"),
        ("edges", "64", "hanging", ", the same while a driver call hangs"),
    ):
        edges = over.get(kind, {})
        if edges:
            found = edges.get(OURS, {}).get(count, {}).get(state, {})
            if not found.get("n"):
                continue
            rows.append(
                [
                    f"one edge, {count} GPU{'s' if count != '1' else ''}{words}",
                    f"median ≤ {MEDIAN_US:.0f} µs, p99 ≤ {P99_US:.0f} µs",
                    f"{short(found['median'])} µs, p99 {short(found['p99'])} µs (n = {found['n']})",
                    verdict(found["median"] <= MEDIAN_US and found["p99"] <= P99_US),
                    "; ".join(
                        f"{label} "
                        + (
                            f"{duration(row[count]['calm']['median'])}"
                            if state == "calm"
                            else f"up to {duration(row[count]['hanging']['max'])}"
                        )
                        for label, row in edges.items()
                        if label != OURS and row.get(count, {}).get(state, {}).get("n")
                    )
                    or "not measured",
                ]
            )

    one, by_gpus = over["cpu"].get(OURS, {}).get("1"), over["cpu_by_gpus"]
    if one is not None:
        rows.append(
            [
                "sampler, one GPU, beside a main thread that sleeps",
                f"≤ {percent(CPU_ONE, 1)} of a core",
                percent(one),
                verdict(one <= CPU_ONE),
                "; ".join(
                    f"{label} {percent(row['1'])}"
                    for label, row in over["cpu"].items()
                    if label not in (OURS, "nothing")
                )
                or "not measured",
            ]
        )
    rows.append(
        [
            "sampler, 64 GPUs",
            f"≤ {percent(CPU_MANY, 0)} of a core, linear",
            percent(by_gpus["64"])
            + " ("
            + ", ".join(f"{n}: {percent(value)}" for n, value in by_gpus.items())
            + ")",
            verdict(by_gpus["64"] <= CPU_MANY),
            "",
        ]
    )

    slow = over["slow_down"]
    if OURS in slow:
        found, null = slow[OURS], slow["nothing"]
        blurred = found["error"] > SLOW_DOWN / 2 and abs(found["median"]) <= 3 * found["error"]
        rows.append(
            [
                "slow-down of a loop in pure Python",
                f"< {percent(SLOW_DOWN, 1)}",
                f"{percent(found['median'], sign=True)} ± {percent(found['error'])} (control {percent(null['median'], sign=True)} "
                f"± {percent(null['error'])}; {found['n']} pairs); in CPU time {percent(found['cpu_median'], sign=True)} ± {percent(found['cpu_error'])}",
                "not to be told on a machine as restless as this"
                if blurred
                else verdict(abs(found["median"]) < SLOW_DOWN),
                "; ".join(
                    f"{label} {percent(row['median'], sign=True)} ± {percent(row['error'])}"
                    for label, row in slow.items()
                    if label not in (OURS, "nothing")
                )
                or "not measured",
            ]
        )

    week = over["week"]
    rows.append(
        [
            "a week on 8 GPUs, one window of a minute an hour: journal",
            f"≤ {WEEK_MB:.0f} MB",
            f"{short(week['week_mb'])} MB",
            verdict(week["week_mb"] <= WEEK_MB),
            "they keep none",
        ]
    )
    # The first window may fill caches that stay; from then on nothing may come to it.
    growth = week["resident_mib"][-1] - week["resident_mib"][0]
    rows.append(
        [
            "the same: memory",
            "constant",
            f"{growth:+.1f} MiB from the first minute to the end of {week['hours']:g} h".replace("-", "−"),
            verdict(growth <= GROWTH_MIB),
            "see below",
        ]
    )
    return table(["what", "goal", "energy-rating", "", "peers"], rows)


def duration(us: float) -> str:
    return f"{short(us)} µs" if us < 1000 else f"{short(us / 1e3)} ms" if us < 1e6 else f"{us / 1e6:.1f} s"


def by_length(results: Results, scenario: str) -> str:
    lengths = list(results.accuracy["virtual"][scenario])
    rows = [
        [
            f"{OURS}, virtual clock",
            *(cell(results.accuracy["virtual"][scenario][length]) for length in lengths),
        ]
    ]
    for label in results.real:
        rows.append([label, *(cell(results.at(label, scenario, length)) for length in lengths)])
    return table(["", *(f"{length} s" for length in lengths)], rows)


def cell(found: Mapping[str, Any]) -> str:
    if not found:
        return "none"
    digits = 2 if found["rms"] < 0.01 else 1
    return f"{percent(found['bias'], digits, sign=True)}, rms {percent(found['rms'], digits)} ({found['n']})"


def whole_runs(results: Results) -> str:
    """What ``ends.py`` found of whole commands and blocks; nothing where it has not been run."""
    if results.ends is None:
        return ""
    of_machine = results.ends["machine"]
    named = ", ".join(f"{name} {version}" for name, version in results.ends["versions"].items())
    rows = [
        [what, label, *(cell(of_tool.get(load, {})) for load in ("level", "wave"))]
        for kind, what in (("commands", "a command"), ("blocks", "a `with` block"))
        for label, of_tool in results.ends[kind].items()
    ]
    doubts = [
        doubt
        for of_load in results.ends["commands"].get(OURS, {}).values()
        for doubt in of_load.get("doubts", ())
    ]
    own = (
        f"The random doubt that our records state of these commands is {percent(sorted(doubts)[len(doubts) // 2])} (median, 1 σ)."
        if doubts
        else ""
    )
    return f"""
## Whole runs

Commands (`energy-rating measure -- COMMAND`, `joules run -- COMMAND`) and whole blocks that last 2.6 to 3.4 s, drawn at random like the phases of the counter
and of the power, the same for all tools and in turns. A length that is a multiple of the tick would flatter whoever subtracts one reading from another. *level*
is 300 W all the time, *wave* 100 and 400 W in turns of 0.73 s. At its end a run of ours waits for one update of the counter (0.12 s at most).
Taken apart from the rest, with a load of {of_machine["load"][0]:g} on {of_machine["cores"]} cores before it began: {named}.

{table(["", "", "level", "wave"], rows)}

{own} {results.ends.get("note", "")}
"""


def memory(results: Results) -> str:
    weeks = 7 * 86400 / 2**20
    rows = []
    for label, row in results.overhead.get("memory", {}).items():
        clear = row["bytes_s"] > 3 * row["error"]
        rows.append(
            [
                label,
                f"{row['bytes_s']:+.0f} ± {row['error']:.0f} B/s".replace("-", "−"),
                f"{row['bytes_s'] * weeks:+.0f} ± {row['error'] * weeks:.0f} MiB".replace("-", "−")
                if clear
                else "no growth to be told from none",
            ]
        )
    return table(["tool", "growth", "would be, in a week"], rows)


def held(results: Results) -> str:
    virtual = results.accuracy["virtual"]
    shares = [row["held"] for by in virtual.values() for row in by.values()]
    real = [by["held"] for by in results.real.get(OURS, {}).values() if by.get("held") is not None]
    text = f"{percent(sum(shares) / len(shares), 0)} of the windows on the virtual clock"
    return text + (f" and {percent(sum(real) / len(real), 0)} of those in real time" if real else "")


def in_short(results: Results) -> str:
    """Five lines, from the same figures as the rest of the page."""
    lines = goals(results).splitlines()[2:]
    names = [line.split("|")[1].strip() for line in lines if "**missed**" in line]
    steps = results.at(OURS, "steps")
    peers = results.of_peers(
        lambda label: percent(results.at(label, "steps")["rms"], 1) if results.at(label, "steps") else None
    )
    ours = percent(steps["rms"]) if steps else "not measured"
    return "\n".join(
        [
            f"> - **Error where power steps at the edges of a window of 1 s** (rms, in real time): {ours}; {peers}.",
            f"> - **The 95 % intervals** held the truth in {held(results)}; no other tool here tells one.",
            f"> - **{sum('| met |' in line for line in lines)} of {len(lines)} goals are met.** Missed: {'; '.join(names) or 'none'}.",
            "> - **The GPU is a fake** whose truth is known. What it cannot show is the gain of a real sensor, the larger part of any figure's doubt.",
            "> - **To repeat it**: `python benchmarks/peers.py`; what real cards beside a meter say: [real traces](real-traces.md).",
        ]
    )


def page(results: Results) -> str:
    accuracy, over = results.accuracy, results.overhead
    named = ", ".join(f"{name} {version}" for name, version in accuracy["versions"].items())
    of_machine = accuracy["machine"]
    settings = "\n".join(f"* **{label}**: {why}" for label, why in accuracy["settings"].items())
    quick = (
        "\n> Made with `--quick`: a few trials of everything. Such figures show that the programme works, not who is better.\n"
        if accuracy.get("quick") or over.get("quick")
        else ""
    )
    slowest = "; ".join(
        f"{label} {duration(1e6 * max(by['slowest_edge_s'] for by in found.values()))}"
        for label, found in results.real.items()
    )
    missing = [
        f"{label} {sum(by['missing'] for by in found.values())}"
        for label, found in results.real.items()
        if any(by["missing"] for by in found.values())
    ]
    late = [
        f"{label} {sum(by['late'] for by in found.values())}"
        for label, found in results.real.items()
        if any(by["late"] for by in found.values())
    ]
    left_out = ""
    if missing:
        left_out += f" Windows that a tool gave no figure for: {'; '.join(missing)}."
    if late:
        left_out += (
            f" Windows left out because the machine was too busy to open them in time: {'; '.join(late)}."
        )
    return f"""# Against the peers

What this instrument gets wrong and what it costs, beside three others, on one machine in one run: {named}. This page is written by
`python benchmarks/peers.py` from the figures in `benchmarks/results/`; nothing on it is typed by hand.

{in_short(results)}
{quick}
The GPU is a fake: a `libnvidia-ml` whose power is a known function of time, under each tool's own unmodified binding
(`tests/fakes/fake_nvml`). Its energy counter ticks every 100 ms, a little early or late as a real one does, its power register shows a mean of
the last second as on an H100, and each call takes {over["latency_us"]} µs. What it cannot show is the gain of a real sensor, which no
software sees and which is the larger part of any single figure's doubt: see [how it is measured](how-it-is-measured.md). The rest was
taken on {of_machine["cores"]} cores, Python {of_machine["python"]}, {of_machine["system"]}, with a load of {of_machine["load"][0]} before it began.

## The goals, and where we are

{goals(results)}

## Accuracy

*A job*: 100 W until the window opens, 400 W inside, 100 W from when it closes. *Steps*: power before, inside and after drawn from 60 to
600 W. Windows begin anywhere within the counter's tick. The truth is the exact integral. Every tool gets the benefit of the doubt: an edge
counts where, within its own call, it suits it best. In real time all saw the same windows at the same moment.

![Errors by length of the window](plots/peers-accuracy.svg)

**A job from idle**: bias, rms (number of windows)

{by_length(results, "job")}

**Steps at the edges**

{by_length(results, "steps")}

Why they differ: zeus and codecarbon take the counter's last tick at each edge, so they charge the tick before the window and miss the last one
inside; a job from idle comes out low by half a tick of what the power rose. carbontracker multiplies a mean of samples of the register
by the time; the register itself trails by a second. We note the times of the ticks, and share the one at an edge out by the power before
and after it. Our 95 % intervals held the truth in {held(results)}; they allow for the sensor's gain, which has no error here, so
they should hold nearly always.

The slowest single edge during these windows: {slowest}.{left_out}
{whole_runs(results)}
## Start-up

Medians of {over["start_up"][OURS]["n"]} fresh processes each, in turn, after one that filled the caches; the time is taken inside the process, from its
first line, and memory is the process's own peak.

![Start-up](plots/peers-start-up.svg)

## Slow-down

Blocks of a quarter of a second of pure Python, in a process with the tool and in one without it, in turn; a block of the tool is divided by the
mean of the two bare ones around it ({over["slow_down"]["nothing"]["n"]} times each, in sets of fresh processes). The control is a second bare process. Dots are such
ratios, the bar is their median with twice its standard error. CPU time, that of the whole process, leaves out what other processes of the machine take
and what is spent waiting for Python's lock. zeus has no thread that could slow anything.

![Slow-down](plots/peers-slow-down.svg)

## A week

On the virtual clock {over["week"]["hours"]:g} h pass on 8 GPUs, with a window of a minute in each hour. From a minute after its last edge a journal gets
{short(over["week"]["quiet_bytes_s"])} bytes a second; a window and the minute around it add {short(over["week"]["window_bytes"] / 1e3)} kB. The week is these two, times 604 800 s and 168
windows. The memory of the process was {", ".join(f"{mib:.0f}" for mib in over["week"]["resident_mib"])} MiB at its beginning, middle and end.

What Python holds in memory, in real time on 8 GPUs, as a straight line through {max([row["seconds"] for row in over.get("memory", {}).values()], default=0):.0f} s; a week of it is an extrapolation and no more:

{memory(results)}

## Settings

{settings}

The start-up of codecarbon and its 15 s of the CPU row are those of `OfflineEmissionsTracker(country_iso_code="USA")` as it comes; the offline one spares it a
look at the network. `nvidia-smi`, which it looks for before it looks at GPUs, is an empty script here. carbontracker gives sums over epochs
only, so single epochs are taken from its thread by its own method; its look at the network fails at once here. Its documents tell users to
measure epochs, that is, minutes: windows of a second are not what it is for.
"""


# --------------------------------------------------------------------------------------------------------------- plots


def _colour(label: str) -> str:
    if label.startswith(OURS):
        return INK
    return next((shade for name, shade in SHADES.items() if label.startswith(name)), GREY)


STYLE = {
    "svg.hashsalt": "energy-rating",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

P = ParamSpec("P")


def styled(draw: Callable[P, None]) -> Callable[P, None]:
    """The drawing in this page's style, whatever matplotlib's settings are, which stay as they were."""

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **more: P.kwargs) -> None:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            draw(*arguments, **more)

    return drawn


def figure_with(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """A figure of this size in inches, and its axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def spread_apart(places: Sequence[float], least: float) -> list[float]:
    """The places moved apart, in their order, so that no two labels are nearer than ``least``."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for _ in range(200):
        for a, b in pairwise(order):
            lack = least - (moved[b] - moved[a])
            if lack > 1e-9:
                moved[a] -= lack / 2
                moved[b] += lack / 2
    return moved


@styled
def plot_accuracy(results: Results, path: Path) -> None:
    import math

    figure, axes = figure_with(9.6, 3.9, 2)
    lengths = list(results.accuracy["virtual"]["job"])
    for axis, scenario, title in zip(
        axes, ("job", "steps"), ("A job that starts from idle", "Power steps at the edges"), strict=True
    ):
        lines = [(f"{OURS}, virtual", results.accuracy["virtual"][scenario])]
        lines += [
            (label, {length: results.at(label, scenario, length) for length in lengths})
            for label in results.real
        ]
        lines = [(label, row) for label, row in lines if all(row[length].get("rms") for length in lengths)]
        ends = spread_apart([math.log10(row[lengths[-1]]["rms"]) for _, row in lines], 0.23)
        for (label, row), end in zip(lines, ends, strict=True):
            ours = label.startswith(OURS)
            axis.plot(
                range(len(lengths)),
                [100 * row[length]["rms"] for length in lengths],
                color=_colour(label),
                lw=2.2 if ours else 1.4,
                ls=":" if "virtual" in label else "--" if "0.1 s" in label else "-",
                marker="o",
                ms=3.5,
            )
            axis.annotate(
                label,
                (len(lengths) - 1, 100 * row[lengths[-1]]["rms"]),
                xytext=(len(lengths) - 0.85, 100 * 10**end),
                color=_colour(label),
                fontsize=8,
                va="center",
                fontweight="bold" if ours else "normal",
                annotation_clip=False,
            )
        if scenario == "steps":
            axis.plot([lengths.index("1")], [100 * RMS_GOAL], marker="_", ms=14, mew=1.6, color="#b3261e")
            axis.annotate(
                "goal", (lengths.index("1") + 0.17, 100 * RMS_GOAL), color="#b3261e", fontsize=8, va="center"
            )
        axis.set_yscale("log")
        least = min(100 * row[length]["rms"] for _, row in lines for length in lengths)
        axis.set_ylim(min(0.008, max(0.0015, 0.7 * least)), 130)
        axis.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100 %"])
        axis.minorticks_off()
        axis.set_xticks(range(len(lengths)), [f"{length} s" for length in lengths])
        axis.set_xlim(-0.2, len(lengths) - 1 + 0.1)
        axis.grid(axis="y", color=PALE, lw=0.5)
        axis.set_title(title)
        axis.set_xlabel("length of the window")
    axes[0].set_ylabel("error, rms")
    figure.subplots_adjust(left=0.08, right=0.84, wspace=0.62, bottom=0.14, top=0.91)
    save(figure, path)


@styled
def plot_start_up(results: Results, path: Path) -> None:
    start = results.overhead["start_up"]
    names = list(start)[::-1]
    figure, axes = figure_with(8.0, 0.9 + 0.42 * len(names), 2)
    for axis, title, parts, goal, unit in (
        (axes[0], "Import + first edge", ("import_ms", "first_ms"), IMPORT_MS + FIRST_MS, "ms"),
        (axes[1], "Memory over bare Python", ("first_mib",), MIB, "MiB"),
    ):
        for place, name in enumerate(names):
            left = 0.0
            for part, alpha in zip(parts, (1.0, 0.55), strict=False):
                axis.barh(
                    place, start[name][part], left=left, height=0.55, color=_colour(name), alpha=alpha, lw=0
                )
                left += start[name][part]
            text = " + ".join(short(start[name][part]) for part in parts) + f" {unit}"
            axis.annotate(
                text,
                (left, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=_colour(name),
            )
        widest = max(sum(start[name][part] for part in parts) for name in names)
        axis.axvline(goal, color="#b3261e", lw=0.9)
        axis.annotate(
            f"goal {goal:.0f}",
            (goal, len(names) - 0.45),
            xytext=(3, 0),
            textcoords="offset points",
            color="#b3261e",
            fontsize=7.5,
        )
        axis.set_xlim(0, widest * 1.5)
        axis.set_ylim(-0.6, len(names) - 0.1)
        axis.set_yticks(
            range(len(names)),
            [name.replace(", ", ",\n") for name in names] if axis is axes[0] else [""] * len(names),
        )
        axis.tick_params(length=0)
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.set_title(title, pad=10)
    figure.subplots_adjust(left=0.18, right=0.98, wspace=0.08, bottom=0.04, top=0.84)
    save(figure, path)


@styled
def plot_slow_down(results: Results, path: Path) -> None:
    import random

    slow = results.overhead["slow_down"]
    names = list(slow)[::-1]
    figure, (axis,) = figure_with(8.0, 0.9 + 0.5 * len(names))
    rng = random.Random(0)
    reach = (
        1.4
        * sorted(abs(100 * ratio) for row in slow.values() for ratio in row["ratios"])[
            int(0.9 * sum(len(row["ratios"]) for row in slow.values()))
        ]
    )
    for place, name in enumerate(names):
        row, colour = slow[name], _colour(name)
        axis.scatter(
            [100 * ratio for ratio in row["ratios"]],
            [place + rng.uniform(-0.22, 0.22) for _ in row["ratios"]],
            s=6,
            color=colour,
            alpha=0.3,
            lw=0,
        )
        low, high = row["median"] - 2 * row["error"], row["median"] + 2 * row["error"]
        axis.plot([100 * low, 100 * high], [place, place], color=colour, lw=3, solid_capstyle="butt")
        axis.plot([100 * row["median"]] * 2, [place - 0.25, place + 0.25], color=colour, lw=2)
        axis.annotate(
            f"{percent(row['median'], sign=True)} ± {percent(row['error'])}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=colour,
        )
    axis.axvline(0, color=GREY, lw=0.7, zorder=0)
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_yticks(range(len(names)), ["control: no tool" if name == "nothing" else name for name in names])
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("longer by, % (what lies beyond the frame counts all the same)")
    figure.subplots_adjust(left=0.18, right=0.82, bottom=0.2, top=0.97)
    save(figure, path)


def write_page(folder: Path, path: Path) -> None:
    """Writes the page and, in ``plots`` beside it, its pictures."""
    results = Results(
        json.loads((folder / "accuracy.json").read_text()),
        json.loads((folder / "overhead.json").read_text()),
        json.loads((folder / "ends.json").read_text()) if (folder / "ends.json").exists() else None,
    )
    plots = path.parent / "plots"
    plot_accuracy(results, plots / "peers-accuracy.svg")
    plot_start_up(results, plots / "peers-start-up.svg")
    plot_slow_down(results, plots / "peers-slow-down.svg")
    path.write_text(page(results))
