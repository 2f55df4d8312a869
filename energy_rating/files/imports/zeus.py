"""The CSV that Zeus's ``ZeusMonitor(log_file=…)`` writes: a row a window, in joules, GPUs only.

Columns from zeus/monitor/energy.py (0.16.0, lines 236 and 431): start_time (seconds since 1970), window_name, elapsed_time, gpuN_energy.
Windows may hold each other, so rows are never added up as they stand: a window that holds all others is the run; where none does, those
that lie one after the other are added, and of others no total can be made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from energy_rating.files.foreign import Foreign
from energy_rating.files.imported import (
    ForeignEnergy,
    ForeignPart,
    Import,
    joules,
    of_import,
    seconds,
    since_epoch,
    text,
)
from energy_rating.nouns.entries import RUN, Finding
from energy_rating.nouns.errors import BadInput

NAME = "Zeus"

COLUMNS = ("start_time", "window_name", "elapsed_time")
_GPU = re.compile(r"gpu(\d{1,5})_energy")

# The energy counters of the boards that Zeus supports move every tenth of a second (judging/integration).
PERIOD_S = 0.1
# Times of one clock that are written in full digits: windows that touch may seem to overlap by less.
TOUCH_S = 1e-3
MOST_WINDOWS = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _ZeusWindow:
    name: str
    start_s: float
    duration_s: float
    energies: tuple[ForeignEnergy, ...]

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


def is_mine(file: Foreign) -> bool:
    return file.columns[:3] == COLUMNS


def read(file: Foreign) -> Iterator[Import]:
    windows = sorted(_windows(file), key=lambda one: (one.start_s, -one.duration_s))
    if not windows:
        raise BadInput("tells of no window that was closed", "Zeus writes a row when a window ends")
    names = dict.fromkeys(one.name for one in windows)
    says: list[Finding] = []
    first = windows[0].start_s
    run = _run(windows, says)
    if not any(_GPU.fullmatch(column) for column in file.columns):
        says.append(
            of_import(
                "gpu-not-measured",
                "Zeus saw no GPU, and writes no processor's energy into this file",
                severity="note",
            )
        )
    says.append(
        of_import(
            "imported-scope",
            "it is the energy of whole GPUs by their index, whatever else ran on them; processor and memory are not in this file",
        )
    )
    yield Import(
        tool=NAME,
        when=since_epoch(first),
        parts=(run, *(_together(name, windows, first) for name in names if name != run.name)),
        says=tuple(says),
        data={"windows": len(windows)},
    )


def _windows(file: Foreign) -> Iterator[_ZeusWindow]:
    gpus = [column for column in file.columns if _GPU.fullmatch(column)]
    for number, (_, row) in enumerate(file.rows()):
        if number >= MOST_WINDOWS:
            raise BadInput(f"must tell of at most {MOST_WINDOWS:,} windows; there are more", "Split it")
        if any(_GPU.fullmatch(column) and column not in gpus for column in row):
            raise BadInput(
                "holds tables of different GPUs, one below the other",
                "Name the files as Zeus wrote them, one by one",
            )
        start, duration = seconds(row.get("start_time")), seconds(row.get("elapsed_time"))
        told = {gpu: joules(row.get(gpu)) for gpu in gpus}
        if start is None or duration is None or None in told.values():
            continue  # a row that was cut short, or a head that stands in the middle
        yield _ZeusWindow(
            name=text(row.get("window_name"), 80) or "window",
            start_s=start,
            duration_s=duration,
            energies=tuple(
                ForeignEnergy(
                    component="gpu",
                    joules=energy,
                    had="sensor",
                    device=gpu.removesuffix("_energy"),
                    period_s=PERIOD_S,
                )
                for gpu, energy in told.items()
                if energy is not None
            ),
        )


def _run(windows: Sequence[_ZeusWindow], says: list[Finding]) -> ForeignPart:
    end_s = max(one.end_s for one in windows)
    whole = next(
        (one for one in windows if one.start_s <= windows[0].start_s and one.end_s >= end_s - TOUCH_S), None
    )
    if whole is not None:
        if len(windows) > 1:
            says.append(
                of_import(
                    "imported-converted",
                    f"the window {whole.name!r} holds all others, and stands for the run; rows are not added up",
                )
            )
        return ForeignPart(name=RUN, duration_s=whole.duration_s, energies=whole.energies)
    apart = all(before.end_s <= after.start_s + TOUCH_S for before, after in pairwise(windows))
    if not apart:
        says.append(
            of_import(
                "imported-incomplete",
                "its windows overlap, and none holds all others: there is no total of the run",
                severity="degrades",
            )
        )
        return ForeignPart(name=RUN, duration_s=end_s - windows[0].start_s)
    says.append(
        of_import(
            "imported-converted",
            f"the run is its {len(windows)} windows, one after the other; what ran between them is not in it",
        )
    )
    return ForeignPart(
        name=RUN,
        duration_s=math.fsum(one.duration_s for one in windows),
        energies=tuple(energy for one in windows for energy in one.energies),
    )


def _together(name: str, windows: Sequence[_ZeusWindow], first_s: float) -> ForeignPart:
    """All windows of one name."""
    alike = [one for one in windows if one.name == name]
    return ForeignPart(
        name=name,
        n=len(alike),
        start_s=alike[0].start_s - first_s,
        duration_s=math.fsum(one.duration_s for one in alike),
        energies=tuple(energy for one in alike for energy in one.energies),
    )
