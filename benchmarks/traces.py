"""Real cards beside a real meter: recorded sensor readings go through our instrument, and its figure is held against the meter's.

python benchmarks/traces.py                      # from the excerpts in tests/data/traces; writes docs/real-traces.md
python benchmarks/traces.py --data FOLDER        # from the full logs
python benchmarks/traces.py --data FOLDER --excerpt     # makes the excerpts anew
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from peers_page import GREY, INK, PALE, figure_with, save, styled
from virtual import VirtualClock

from energy_rating import measure
from energy_rating.nouns.errors import SensorFailed
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Channel

TOP = Path(__file__).parents[1]
DATA = TOP / "tests" / "data" / "traces"
PAGE = TOP / "docs" / "real-traces.md"

# What the cards are, and what their logs show.
TRACES = {
    "k40m_transient": "Tesla K40m (Kepler): idle, 6 s of full load, idle",
    "a5000_transient": "RTX A5000 (Ampere): idle, 6 s of full load, idle",
    "rtx3090_transient": "GeForce RTX 3090 (Ampere): idle, 6 s of full load, idle",
    "rtx3090_square": "GeForce RTX 3090 (Ampere): full load half of the time, in turns of about 50 ms",
}

# A kept row of the meter's is the mean of so many of the log's, which are means of 2 ms.
METER_ROWS = 10

# As nvml.py has it, where it says why.
ACCURACY = 0.04

# Kepler cards have one register only; what the other two cards say is the momentary power, field 186, where there is one.
REGISTERS = ("instant_w", "power_draw_w")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One log: readings of the sensor when they changed, means of the meter, and when the load was switched."""

    name: str
    sensor_s: tuple[float, ...]
    sensor_w: Mapping[str, tuple[float, ...]]
    meter_s: tuple[float, ...]
    meter_w: tuple[float, ...]
    load_s: tuple[float, ...]

    @property
    def register(self) -> str:
        return next(name for name in REGISTERS if name in self.sensor_w)

    def meter_j(self, start_s: float, end_s: float) -> float:
        """What the meter counted from ``start_s`` to ``end_s``: each row is a mean up to its own time."""
        total = 0.0
        for (since, to), watts in zip(pairwise(self.meter_s), self.meter_w[1:], strict=True):
            total += watts * max(0.0, min(to, end_s) - max(since, start_s))
        return total

    def register_j(self, register: str, start_s: float, end_s: float) -> float:
        """The plain sum of a register, each value held until the next."""
        total = 0.0
        for (since, to), watts in zip(pairwise(self.sensor_s), self.sensor_w[register], strict=False):
            total += watts * max(0.0, min(to, end_s) - max(since, start_s))
        return total


def rows(path: Path) -> tuple[list[str], list[list[float]]]:
    with path.open() as file:
        lines = [line for line in csv.reader(file) if line]
    return lines[0], [[float(cell) for cell in line] for line in lines[1:] if all(line)]


def read(name: str, folder: Path) -> Trace:
    head, sensor = rows(folder / f"{name}_sensor.csv")
    _, meter = rows(folder / f"{name}_meter.csv")
    _, load = rows(folder / f"{name}_load.csv")
    return Trace(
        name=name,
        sensor_s=tuple(row[0] for row in sensor),
        sensor_w={column: tuple(row[place] for row in sensor) for place, column in enumerate(head) if place},
        meter_s=tuple(row[0] for row in meter),
        meter_w=tuple(row[1] for row in meter),
        load_s=tuple(sorted({row[0] for row in load})),
    )


def excerpt(trace: Trace, folder: Path) -> None:
    """Writes what is needed of a log: the sensor's readings where one differs from the last, the meter's means of 20 ms."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(trace.sensor_w)
    kept: list[tuple[float, ...]] = []
    for index, time in enumerate(trace.sensor_s):
        row = tuple(trace.sensor_w[column][index] for column in columns)
        if not kept or row != kept[-1][1:] or index == len(trace.sensor_s) - 1:
            kept.append((time, *row))
    write(folder / f"{trace.name}_sensor.csv", ["t_s", *columns], kept)
    count = len(trace.meter_s) // METER_ROWS * METER_ROWS
    # The first row only tells when the metering begins.
    means: list[tuple[float, ...]] = [(trace.meter_s[0], trace.meter_w[0])]
    for first in range(1, count - METER_ROWS, METER_ROWS):
        last = first + METER_ROWS - 1
        start, end = trace.meter_s[first - 1], trace.meter_s[last]
        means.append((end, round(trace.meter_j(start, end) / (end - start), 3)))
    write(folder / f"{trace.name}_meter.csv", ["t_s", "power_w"], means)
    write(folder / f"{trace.name}_load.csv", ["edge_t_s"], [(edge,) for edge in trace.load_s])


def write(path: Path, head: Sequence[str], lines: Sequence[Sequence[float]]) -> None:
    text = [
        ",".join(head),
        *(",".join(f"{cell:g}" if abs(cell) < 1e5 else str(cell) for cell in line) for line in lines),
    ]
    path.write_text("\n".join(text) + "\n")


class Recorded:
    """The log as a sensor on a virtual clock: a power register that shows what it showed then."""

    def __init__(self, trace: Trace, clock: VirtualClock, zero_s: float) -> None:
        self._clock = clock
        self._zero_s = zero_s
        self._times = trace.sensor_s
        self._watts = trace.sensor_w[trace.register]
        self.channels = (
            Channel(
                id="gpu0.power",
                component="gpu",
                device="GPU-recorded",
                method="power",
                accuracy=ACCURACY,
                period_s=0.1,
            ),
        )

    def read(self) -> Mapping[str, float | SensorFailed]:
        self._clock.time += 0.0001
        index = bisect_right(self._times, self._clock.now() - self._zero_s) - 1
        if index < 0:
            return {"gpu0.power": SensorFailed("the log has not begun")}
        return {"gpu0.power": self._watts[min(index, len(self._watts) - 1)]}

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One window: what our instrument says, what the meter says, and what the plain registers come to."""

    window: str
    start_s: float
    end_s: float
    ours: Estimate
    meter_j: float
    registers_j: Mapping[str, float]

    @property
    def error(self) -> float:
        return self.ours.value / self.meter_j - 1

    @property
    def within(self) -> bool:
        low, high = self.ours.interval()
        return low <= self.meter_j <= high


def windows(trace: Trace) -> dict[str, tuple[float, float]]:
    """The metered time, and the loaded part of it."""
    whole = trace.meter_s[0] + 0.1, trace.meter_s[-1] - 0.1
    if trace.name.endswith("_square"):
        return {"all": whole, "load": (trace.load_s[0], trace.load_s[-1])}
    # A load was switched on at the first edge and off at the second.
    return {
        "all": whole,
        "load": (trace.load_s[0], trace.load_s[1]),
        "idle after": (trace.load_s[1] + 1.0, whole[1]),
    }


def compare(trace: Trace) -> tuple[Compared, ...]:
    """One run of our instrument over the log, a window for each of ``windows``."""
    clock = VirtualClock()
    zero_s = clock.time - trace.sensor_s[0]
    chosen = windows(trace)
    edges = sorted(
        [(start, name, True) for name, (start, _) in chosen.items()]
        + [(end, name, False) for name, (_, end) in chosen.items()]
    )
    with tempfile.TemporaryDirectory() as folder:
        sensor = Recorded(trace, clock, zero_s)
        with measure(output_dir=Path(folder) / "run", sensors=[sensor], clock=clock, report=None) as run:
            opened: dict[str, Any] = {}
            for moment, name, opens in edges:
                clock.sleep(zero_s + moment - clock.time)
                if opens:
                    opened[name] = run.window(name)
                    opened[name].__enter__()
                else:
                    opened[name].__exit__(None, None, None)
            clock.sleep(0.5)
        record = run.record
    return tuple(
        Compared(
            window=name,
            start_s=start,
            end_s=end,
            ours=record[name].energy_j["gpu"],
            meter_j=trace.meter_j(start, end),
            registers_j={column: trace.register_j(column, start, end) for column in trace.sensor_w},
        )
        for name, (start, end) in chosen.items()
    )


# ------------------------------------------------------------------------------------------------------------ the page


def percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def section(trace: Trace, found: Sequence[Compared]) -> str:
    lines = [
        "| window | s | our figure, 95 % interval | meter | ours − meter | interval holds the meter | the 1 s average says |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        low, high = one.ours.interval()
        average = one.registers_j.get("average_w")
        lines.append(
            f"| {one.window} | {one.end_s - one.start_s:.2f} | {one.ours.value:.0f} J ({low:.0f}–{high:.0f}) | {one.meter_j:.0f} J | "
            f"{percent(one.error)} | {'yes' if one.within else '**no**'} | {percent(average / one.meter_j - 1) if average else '–'} |"
        )
    return f"""## {TRACES[trace.name]}

Register: `{trace.register.removesuffix("_w")}`.

{chr(10).join(lines)}

![{TRACES[trace.name]}](plots/trace-{trace.name.replace("_", "-")}.svg)
"""


def page(all_found: Mapping[str, tuple[Trace, Sequence[Compared]]]) -> str:
    every = [one for _, found in all_found.values() for one in found]
    outside = [
        f"{name.replace('_', ' ')}, {one.window} ({percent(one.error)})"
        for name, (_, found) in all_found.items()
        for one in found
        if not one.within
    ]
    gains = [
        f"{TRACES[name].partition(' (')[0]} {percent(one.error)}"
        for name, (_, found) in all_found.items()
        for one in found
        if one.window == "idle after"
    ]
    of_average = [
        one.registers_j["average_w"] / one.meter_j - 1
        for _, found in all_found.values()
        for one in found
        if one.window == "load" and "average_w" in one.registers_j
    ]
    beyond_gain = sum(abs(one.error) > 1.96 * ACCURACY for one in every)
    misses = (
        f" Outside: {'; '.join(outside)}: no doubt that we state covers that, and we do not stretch it until it does."
        if outside
        else ""
    )
    return f"""# Real cards beside a real meter

Readings of real cards' sensors, recorded together with a power meter on the card's supply lines, are played to our instrument as it is:
its sampler reads the register at its own pace on a virtual clock, and the record says what it found. The meter has the last word here, though
it has an error of its own that nobody has told us, and its clock agrees with the sensor's to some tens of milliseconds only.

The logs are those of "Part-time Power Measurements: nvidia-smi's Lack of Attention" (SC24, arXiv 2312.02741; repository
JimZeyuYang/GPU_Power_Benchmark, MIT licence; excerpts in `tests/data/traces`). They hold power only: the energy counters that newer cards have are not in them, so this
is the harder road, on which our doubt is larger. This page is written by `python benchmarks/traces.py`.

**{sum(one.within for one in every)} of {len(every)} intervals hold the meter's figure.** Our figures are {percent(min(one.error for one in every))} to {percent(max(one.error for one in every))} off.{misses}

Three things are at work. A sensor has a *gain*: the cards are off from the meter even at rest, where little else can go wrong ({"; ".join(gains)}),
and no software can know by how much. We state {100 * ACCURACY:.0f} % (1 σ) for it; of the {len(every)} figures, {beyond_gain or "none"} {"are" if beyond_gain > 1 else "is"} further off than that alone allows at
95 %. A register *misses* what happens between its samples, and nothing but a counter could check it; that is the rest of the width of the
intervals. And a register is *late*: at the edges of a load it shows the old power for a tenth of a second, which we allow for. The average over one second
that `nvidia-smi` shows by default is later still: summed up over the loaded part alone, it is off by {percent(min(of_average))} to {percent(max(of_average))}.

A wide interval is easily right. What these three cards show is that the gain's share of the width is needed: their own error is as large as
what we state for it, and it does not shrink by measuring longer. Whether the rest is, three cards under plain loads cannot tell.

{chr(10).join(section(trace, found) for trace, found in all_found.values())}"""


@styled
def plot(trace: Trace, found: Sequence[Compared], path: Path) -> None:
    meter, late = "#3d4652", "#a9765a"
    square = trace.name.endswith("_square")
    figure, axes = figure_with(8.6, 3.0, 2)
    left, right = axes
    left.step(trace.meter_s, trace.meter_w, where="pre", color=meter, lw=0.8 if square else 1.1)
    left.step(trace.sensor_s, trace.sensor_w[trace.register], where="post", color=INK, lw=1.5)
    if "average_w" in trace.sensor_w:
        left.step(trace.sensor_s, trace.sensor_w["average_w"], where="post", color=late, lw=1.1)
    end = trace.meter_s[-1]
    shown = (trace.load_s[0] - 0.4, trace.load_s[0] + 2.1) if square else (0.0, end)
    left.set_xlim(*shown)
    left.set_ylim(0, None)
    left.set_xlabel("s" if not square else "s (the first two seconds of the load)")
    left.set_ylabel("W")
    left.set_title("Power")
    left.grid(axis="y", color=PALE, lw=0.5)
    words = [("meter", meter), (f"register ({trace.register.removesuffix('_w').replace('_', '.')})", INK)]
    if "average_w" in trace.sensor_w:
        words.append(("its average over 1 s", late))
    for place, (text, colour) in enumerate(words):
        left.annotate(
            text,
            # Where the picture is empty: the square wave never comes near zero.
            (0.985, (0.27 if square else 0.96) - 0.085 * place),
            xycoords="axes fraction",
            color=colour,
            fontsize=8,
            ha="right",
            va="top",
        )
    for place, one in enumerate(reversed(found)):
        low, high = (100 * (edge / one.meter_j - 1) for edge in one.ours.interval())
        colour = INK if one.within else "#b3261e"
        right.plot([low, high], [place, place], color=colour, lw=2)
        right.plot([100 * one.error], [place], marker="o", color=colour, ms=5)
        right.annotate(
            f"{one.window}: {percent(one.error)}",
            (100 * one.error, place),
            xytext=(-6 if one.error > 0 else 6, 7),
            textcoords="offset points",
            ha="left" if one.error > 0 else "right",  # away from the meter's line
            fontsize=8,
            color=colour,
        )
    right.axvline(0, color=meter, lw=1)
    right.annotate(
        "meter", (0, len(found) - 0.42), xytext=(4, 0), textcoords="offset points", color=meter, fontsize=8
    )
    right.set_ylim(-0.6, len(found) - 0.2)
    right.set_yticks([])
    right.spines["left"].set_visible(False)
    right.set_xlabel("our figure and its 95 % interval, % from the meter's")
    right.set_title("Energy")
    right.tick_params(colors=GREY)
    figure.subplots_adjust(left=0.07, right=0.98, wspace=0.12, bottom=0.17, top=0.9)
    save(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="a folder of traces (default: the excerpts)")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="the page; its plots go into plots/ beside it"
    )
    parser.add_argument(
        "--excerpt",
        action="store_true",
        help="write excerpts of the traces in --data into tests/data/traces instead",
    )
    chosen = parser.parse_args(arguments)
    if not chosen.data.is_dir():
        sys.exit(f"there is no folder of traces at {chosen.data}: name one with --data")
    traces = [read(name, chosen.data) for name in TRACES]
    if chosen.excerpt:
        for trace in traces:
            excerpt(trace, DATA)
        return
    found = {trace.name: (trace, compare(trace)) for trace in traces}
    for name, (_, compared) in found.items():
        for one in compared:
            low, high = one.ours.interval()
            print(
                f"{name:18s} {one.window:10s} {one.end_s - one.start_s:6.2f} s  ours {one.ours.value:7.1f} J ({low:.0f} to {high:.0f})"
                f"  meter {one.meter_j:7.1f} J  {percent(one.error)}  {'within' if one.within else 'OUTSIDE'}"
            )
    for trace, compared in found.values():
        plot(trace, compared, chosen.page.parent / "plots" / f"trace-{trace.name.replace('_', '-')}.svg")
    chosen.page.write_text(page(found))


if __name__ == "__main__":
    main()
