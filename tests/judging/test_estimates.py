"""What was only estimated is never simply valid, and what is invalid is not to be added up in silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import load, measure, rate, verify
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.errors import SensorFailed, SensorLost
from energy_rating.nouns.records import Channel, Finding, Record
from energy_rating.publishing.facts import one_line

UNSEEN = Finding(code="gpu-not-measured", message="the driver did not load", remedy="Load it")


@dataclass
class Guess:
    """A model of a CPU: 40 W, whatever is done; or what ``fault`` says of a time."""

    fault: Callable[[], Exception | None] = lambda: None

    def __post_init__(self) -> None:
        self.channels = (
            Channel(
                id="cpu.model", component="cpu", device="cpus", method="model", accuracy=0.5, period_s=1.0
            ),
        )

    def read(self) -> Mapping[str, float | SensorFailed]:
        failure = self.fault()
        if failure is not None:
            raise failure
        return {"cpu.model": 40.0}

    def close(self) -> None:
        pass


def recorded(
    folder: Path, *sensors: object, findings: tuple[Finding, ...] = (), clock: VirtualClock
) -> Record:
    found = Detection(sensors=sensors, findings=findings)  # type: ignore[arg-type]
    run = measure("inference", output_dir=folder, sensors=[found], clock=clock, report=None)
    with run, run.window("answers") as window:
        clock.sleep(30)
        window.count(request=10)
    return load(folder)


def gpu(clock: VirtualClock, **more: object) -> FakeDevice:
    power, energy = constant(300)
    return FakeDevice(clock=clock, power=power, energy=energy, **more)  # type: ignore[arg-type]


def test_a_run_of_estimates_alone_is_degraded_in_every_window_and_says_why(tmp_path: Path) -> None:
    record = recorded(tmp_path, Guess(), clock=VirtualClock())
    (finding,) = [finding for finding in record.findings if finding.code == "estimated-only"]
    assert finding.severity == "degrades"
    assert "models estimated: cpu" in finding.message
    assert {measurement.validity for measurement in record} == {"degraded"}
    assert "degraded: estimated-only" in one_line(record)
    assert verify(tmp_path, strict=True).agrees


def test_a_gpu_that_is_there_and_was_not_seen_is_told_with_it(tmp_path: Path) -> None:
    record = recorded(tmp_path, Guess(), findings=(UNSEEN,), clock=VirtualClock())
    (finding,) = [finding for finding in record.findings if finding.code == "estimated-only"]
    assert "of a GPU: the driver did not load" in finding.message


def test_a_figure_beside_which_something_was_measured_is_no_estimate_alone(tmp_path: Path) -> None:
    clock = VirtualClock()
    record = recorded(tmp_path, Guess(), gpu(clock), clock=clock)
    assert "estimated-only" not in {finding.code for finding in record.findings}
    assert record["run"].validity == "valid"


def test_that_it_is_an_estimate_is_among_the_reasons_against_a_rating(tmp_path: Path) -> None:
    rating = rate(recorded(tmp_path, Guess(), clock=VirtualClock()), provisional=True)
    assert rating.stars is rating.would_be is None
    assert [reason for reason in rating.reasons if "only an estimate" in reason], rating.reasons
    assert not [reason for reason in rating.reasons if "degraded" in reason], "which says less"


def test_the_closing_line_keeps_an_invalid_run_out_of_sums(tmp_path: Path) -> None:
    clock = VirtualClock()
    lost = gpu(clock, fault=lambda t, kind: SensorLost("gone") if t > 1004 else None)
    record = recorded(tmp_path, lost, clock=clock)
    assert record["run"].validity == "invalid"
    assert "leave it out of sums" in one_line(record)
    sound = recorded(tmp_path / "sound", gpu(clock), clock=clock)
    assert "sums" not in one_line(sound)


@pytest.mark.parametrize("window", ["run", "answers"])
def test_an_estimate_keeps_its_figure(tmp_path: Path, window: str) -> None:
    record = recorded(tmp_path, Guess(), clock=VirtualClock())
    assert record[window].energy_j["cpu"].value == pytest.approx(1200, rel=0.05)


@pytest.mark.parametrize("since", ["late", "lost", "never"])
def test_an_estimate_that_comes_late_or_ends_early_takes_nothing_from_a_measured_gpu(
    tmp_path: Path, since: str
) -> None:
    clock = VirtualClock()

    def fault() -> Exception | None:
        if since == "lost":
            return SensorLost("the model ended") if clock.now() > 1012 else None
        return SensorFailed("the model is not loaded yet") if since == "never" or clock.now() < 1012 else None

    record = recorded(tmp_path, Guess(fault), gpu(clock), clock=clock)
    assert {measurement.validity for measurement in record} == {"valid"}
    assert record["run"].energy_j["gpu"].value == pytest.approx(9000, rel=0.01)
    assert record["run"].coverage["gpu"] == 1.0
    if since != "never":
        assert record["run"].coverage["cpu"] < 0.9, "and it is said of the estimate how much it saw"
    assert verify(tmp_path, strict=True).agrees


@pytest.mark.parametrize("since", ["late", "lost"])
def test_of_an_estimate_alone_what_it_missed_counts(tmp_path: Path, since: str) -> None:
    clock = VirtualClock()

    def fault() -> Exception | None:
        if since == "lost":
            return SensorLost("the model ended") if clock.now() > 1012 else None
        return SensorFailed("the model is not loaded yet") if clock.now() < 1012 else None

    assert recorded(tmp_path, Guess(fault), clock=clock)["run"].validity == "invalid"
