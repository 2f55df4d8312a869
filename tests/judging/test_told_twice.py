"""What stands twice in a journal has to say the same: beside the end of each outermost window the run's work up to then is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import Run, measure, summarise
from energy_rating.files.journal import decoded, encoded

Line = dict[str, Any]
Program = Callable[[Run, VirtualClock], None]

PAUSE_S = 0.3  # shorter than a line of counts


def measured(folder: Path, program: Program) -> Path:
    clock = VirtualClock()
    power, energy = constant(300.0)
    with measure(
        output_dir=folder, sensors=[FakeDevice(clock, power, energy)], clock=clock, report=None
    ) as run:
        clock.sleep(PAUSE_S)
        program(run, clock)
        clock.sleep(PAUSE_S)
    return folder / "journal.jsonl"


def steps(run: Run, clock: VirtualClock) -> None:
    for _ in range(3):
        with run.window("step") as window:
            clock.sleep(PAUSE_S)
            window.count(token=100)


def beside(run: Run, clock: VirtualClock) -> None:
    """Windows that lie beside each other tell what they tell, and the run all of it."""
    one, other = run.window("one"), run.window("other")
    for window in (one, other):
        window.__enter__().count(token=10)
        clock.sleep(PAUSE_S)
    for window in (one, other):
        window.__exit__(None, None, None)


def at_the_run(run: Run, clock: VirtualClock) -> None:
    """The same work at the run and in windows: the larger of both stands, and does not rise with each window."""
    run.count(token=1000)
    steps(run, clock)


def codes(journal: Path) -> set[str]:
    return {finding.code for finding in summarise(journal).findings}


@pytest.mark.parametrize("program", [steps, beside, at_the_run])
def test_what_a_run_tells_of_itself_does_not_contradict_its_windows(tmp_path: Path, program: Program) -> None:
    assert "counts-contradict" not in codes(measured(tmp_path / "run", program))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("more", [101, 150, 1000])
def test_a_window_to_which_work_was_added_afterwards_contradicts_its_run(
    tmp_path: Path, which: int, more: int
) -> None:
    journal = measured(tmp_path / "run", steps)

    def change(closes: list[Line]) -> None:
        closes[which]["work"]["token"] = more

    edited(journal, change)
    assert "counts-contradict" in codes(journal)
    assert summarise(journal)["run"].validity == "invalid"


def test_a_run_from_which_work_was_taken_contradicts_its_windows(tmp_path: Path) -> None:
    journal = measured(tmp_path / "run", steps)

    def change(closes: list[Line]) -> None:
        closes[-1]["work"]["token"] = 299

    edited(journal, change)
    assert "counts-contradict" in codes(journal)


def test_what_is_told_of_a_run_only_grows(tmp_path: Path) -> None:
    journal = measured(tmp_path / "run", steps)

    def change(closes: list[Line]) -> None:
        closes[0]["run"]["token"] = 301

    edited(journal, change)
    assert "counts-contradict" in codes(journal)


def edited(journal: Path, change: Callable[[list[Line]], None]) -> None:
    """Changes the lines that close windows, with their checksums."""
    lines = [decoded(line, place="journal") for line in journal.read_bytes().splitlines(keepends=True)]
    change([line for line in lines if "close" in line])
    journal.write_bytes(b"".join(map(encoded, lines)))
