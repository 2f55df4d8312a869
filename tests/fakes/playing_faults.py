"""Plays one cell of the fault matrix: a run on a machine with a fault, and an oracle that knows the truth and says what came of it."""

from __future__ import annotations

import functools
import inspect
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import virtual_machine
from virtual import FakeDevice, VirtualClock, constant
from virtual_machine import (
    ASLEEP_S,
    DRAM_SHARE,
    END_S,
    WINDOWS,
    ZERO_S,
    BadOs,
    Model,
    Nvml,
    Power,
    Refused,
    Strike,
    break_gpu,
    break_rapl,
    energy_j,
    power_w,
    powercap,
)

from energy_rating import measure
from energy_rating.files import journal
from energy_rating.files import whole as files_whole
from energy_rating.files.reading import read_journal
from energy_rating.files.record import read_record, record_from_json, record_to_json
from energy_rating.measuring.sensors import Detection, Sensor, nvml, rapl
from energy_rating.measuring.sensors.rapl import MIRROR_WAIT_S
from energy_rating.nouns.errors import NotMeasured
from energy_rating.nouns.records import Record

# A figure is right where the truth lies in its own 95 % interval, and near; an interval as wide as the figure would hold anything.
NEAR = 0.05
WIDEST = 0.15

ORDER = ("right", "marked", "partial", "absent")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a cell: ``right``, ``marked`` (right, and a finding degrades it), ``partial`` or
    ``absent``; and all findings."""

    word: str
    codes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What one component drew: ``share`` of the profile, and when nobody saw ``part`` of it."""

    share: float = 1.0
    hole: tuple[float, float] | None = None
    part: float = 1.0
    edge_s: float = 0.35  # how long before and after the hole readings may be missing too

    def seen_j(self, start: float, end: float) -> float:
        return self.share * (energy_j(end) - energy_j(start) - self.part * self._in_hole_j(start, end))

    def seen(self, start: float, end: float) -> float:
        low, high = self._hole(start, end)
        return 1 - self.part * (high - low) / (end - start)

    def _hole(self, start: float, end: float) -> tuple[float, float]:
        if self.hole is None:
            return start, start
        low, high = max(start, self.hole[0]), min(end, self.hole[1])
        return (low, high) if low < high else (start, start)

    def _in_hole_j(self, start: float, end: float) -> float:
        low, high = self._hole(start, end)
        return energy_j(high) - energy_j(low)


@dataclass(kw_only=True)
class Played:
    """A run that was played: its record, when its windows were, and how long the end took."""

    record: Record
    edges: Mapping[str, tuple[float, float]]
    went_on: bool
    end_took_s: float
    folder: Path


def body(
    run: Any, clock: VirtualClock, at: Mapping[float, Callable[..., None]] | None = None
) -> dict[str, Any]:
    """What the user's program does: idles, works in two windows, idles. ``at``: what else happens when."""
    moments = sorted((at or {}).items())
    edges: dict[str, tuple[float, float]] = {}

    def until(t: float) -> None:
        while moments and moments[0][0] <= t:
            when, happens = moments.pop(0)
            clock.sleep(max(0.0, ZERO_S + when - clock.time))
            happens(*([run] if inspect.signature(happens).parameters else []))
        clock.sleep(max(0.0, ZERO_S + t - clock.time))

    for name, (start, end) in WINDOWS.items():
        until(start)
        with run.window(name) as window:
            since = clock.time - ZERO_S
            until(end)
            window.count(token=1000)
        edges[name] = since, clock.time - ZERO_S
    until(END_S)
    return edges


def play(
    folder: Path,
    clock: VirtualClock,
    sensors: Sequence[str | Sensor | Detection],
    at: Mapping[float, Callable[..., None]] | None = None,
    *,
    whole: bool = True,
    **options: Any,
) -> Played:
    """One run of the user's program, to its end and read back. ``whole``: its journal must have come to the disk to its end."""
    went_on = False
    with measure("inference", output_dir=folder, sensors=sensors, clock=clock, report=None, **options) as run:
        edges = body(run, clock, at)
        went_on = True
        end_s = clock.time
    took_s = clock.time - end_s
    edges["run"] = 0.0, end_s - ZERO_S
    record = run.record
    assert record_from_json(record_to_json(record)) == record
    if whole:
        assert run.journal is not None
        trace = read_journal(run.journal)
        assert trace.damage is None
        assert trace.sessions[-1].ended
        assert read_record(run.journal.parent) == record
    return Played(record=record, edges=edges, went_on=went_on, end_took_s=took_s, folder=run.folder or folder)


def judged(played: Played, truths: Mapping[str, Truth]) -> Mapping[str, Outcome]:
    """What came of each component, by an oracle that knows the truth. Raises AssertionError where a figure is wrong or unmarked."""
    record = played.record
    assert played.went_on
    assert played.end_took_s <= 1.0, "the end of the program was held up"
    assert set(record["run"].energy_j) <= set(truths), "a component was invented"
    codes = frozenset(finding.code for finding in record.findings)
    worst: dict[str, Outcome] = {}
    for component, truth in truths.items():
        words = [_judged_one(record, name, component, truth, *edges) for name, edges in played.edges.items()]
        word = max(words, key=ORDER.index)
        if word == "absent" and set(words) != {"absent"}:
            word = "partial"
        worst[component] = Outcome(word=word, codes=codes)
    return worst


def _judged_one(record: Record, name: str, component: str, truth: Truth, start: float, end: float) -> str:
    measurement = record[name]
    assert abs(measurement.duration_s - (end - start)) < 1e-3
    where = f"{component} of {name!r}"
    energy, coverage = measurement.energy_j.get(component), measurement.coverage.get(component)
    if energy is None:
        assert not coverage, f"{where} is absent, though it was covered"
        assert truth.seen(start, end) < 0.1, f"{where} is absent, though it was there to be seen"
        assert any(f.measurement in (None, name) or name != "run" for f in record.findings), (
            f"{where}: no reason"
        )
        return "absent"
    assert coverage is not None
    truth_j, seen = truth.seen_j(start, end), truth.seen(start, end)
    low, high = energy.interval()
    # Where the hole begins is known to a reading or two.
    slack_j = truth.share * 2 * truth.edge_s * 400.0 if truth.hole is not None and seen < 1 else 1e-6
    assert low - slack_j <= truth_j <= high + slack_j, f"{where}: {energy} J, truly {truth_j:.1f} J"
    assert abs(energy.value - truth_j) <= max(NEAR * truth_j, 3 * energy.random) + slack_j, (
        f"{where}: {energy} J, truly {truth_j:.1f} J"
    )
    assert measurement.validity != "valid" or energy.random <= WIDEST * max(truth_j, 1.0) + slack_j, (
        f"{where}: ± {energy.random} J says nothing"
    )
    if coverage < 0.99:
        assert abs(coverage - seen) <= 2 * truth.edge_s / (end - start) + 0.01, (
            f"{where}: coverage {coverage}, truly {seen:.2f}"
        )
        assert measurement.validity != "valid", f"{where} is partial and not marked"
        return "partial"
    assert seen > 0.93, f"{where} says that it is whole"
    return "right" if measurement.validity == "valid" else "marked"


def last(seconds: float, monkeypatch: Any) -> float:
    """Lets the run of a cell take so long, all its times in proportion; returns by how much."""
    by = seconds / END_S
    windows = {name: (by * start, by * end) for name, (start, end) in WINDOWS.items()}
    for module in (sys.modules[__name__], virtual_machine):
        monkeypatch.setattr(module, "WINDOWS", windows)
        monkeypatch.setattr(module, "END_S", seconds)
    return by


def none_is_valid_and_wrong(played: Played, truths: Mapping[str, Truth]) -> None:
    """Raises AssertionError where a figure that is valid misses the truth, or one is there that nobody measured."""
    record = played.record
    assert played.went_on
    assert played.end_took_s <= 1.0, "the end of the program was held up"
    assert set(record["run"].energy_j) <= set(truths), "a component was invented"
    for name, (start, end) in played.edges.items():
        measurement = record[name]
        for component, truth in truths.items():
            energy, where = measurement.energy_j.get(component), f"{component} of {name!r}"
            if energy is None:
                assert not measurement.coverage.get(component), f"{where} is absent, though it was covered"
                assert record.findings, f"{where}: no reason"
            elif measurement.validity == "valid":
                low, high = energy.interval()
                slack_j = truth.share * 2 * truth.edge_s * 400.0 if truth.seen(start, end) < 1 else 1e-6
                truth_j = truth.seen_j(start, end)
                assert low - slack_j <= truth_j <= high + slack_j, (
                    f"{where}: {energy} J, truly {truth_j:.1f} J"
                )


# ---------------------------------------------------------------------------------------------------------- the machines


GPU_KINDS = {
    "GPU": ("", 1),
    "GPU, counter only": ("power", 1),
    "GPU, power only": ("energy", 1),
    "one of 4 GPUs": ("", 4),
}


def play_gpu(
    kind: str, fault: str, strike: Strike, hole: bool, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    folder, monkeypatch = where
    lacks, count = GPU_KINDS[kind]
    clock = VirtualClock(ZERO_S)
    binding = Nvml(clock, count)
    break_gpu(binding, fault, strike, count - 1, lacks)
    _use_nvml(monkeypatch, binding, folder)
    played = play(folder / "run", clock, ["nvml"], _asleep(clock, fault, strike))
    assert binding.initialised == 0, "NVML was not shut down"
    if count > 1 and hole and strike.since_s < 0:
        # What cannot be had from the beginning is not among what is measured, and told so.
        assert any(f.code == "gpu-not-measured" for f in played.record.findings)
        return played, {"gpu": Truth(share=count - 1)}
    gone = (max(strike.since_s, 0.0), min(strike.until_s, END_S)) if hole else None
    return played, {"gpu": Truth(share=count, hole=gone, part=1 / count)}


def _asleep(clock: VirtualClock, fault: str, strike: Strike) -> Mapping[float, Callable[[], None]]:
    """The machine is suspended for an hour: the monotonic clock stands still meanwhile, and what it drew is in its counters."""

    def sleep() -> None:
        clock.slept += ASLEEP_S

    return {strike.since_s: sleep} if fault.startswith("suspended") else {}


def _use_nvml(monkeypatch: Any, binding: Nvml, folder: Path) -> None:
    detect = functools.partial(nvml.detect, {}, lambda: binding, pci=folder / "pci", proc=folder / "proc")
    monkeypatch.setattr(nvml, "detect", detect)


def play_call(
    call: str, code: int, strike: Strike, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    """Every call to the driver of that name is refused."""
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    binding = Nvml(clock)

    def answer(asked: str, gpu: int, kind: str, milli: float) -> float | Refused:
        return Refused(code) if asked == call and strike.at(binding.now()) else milli

    binding.fault = answer
    _use_nvml(monkeypatch, binding, folder)
    played = play(folder / "run", clock, ["nvml"])
    assert binding.initialised == 0, "NVML was not shut down"
    hole = None
    if call == "nvmlDeviceGetFieldValues" and strike.since_s > 0:
        hole = (strike.since_s, END_S)
    if call in (
        "nvmlInit",
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetHandleByUUID",
        "nvmlDeviceGetUUID",
    ):
        hole = (0.0, END_S)
    return played, {"gpu": Truth(hole=hole)}


def play_rapl(
    kind: str, fault: str, strike: Strike, hole: bool, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    # Near its end where it is to wrap: it holds what is missing to the strike.
    share = 1.0 if kind == "RAPL package" else DRAM_SHARE
    tree = powercap(clock, folder)
    start = 1_000_000_000
    if fault == "wraps":
        start = 262_143_328_850 - round(share * energy_j(max(strike.since_s, 0.0)) * 1e6) - 1
    try:
        zone = tree.package(0, Power(), dram=Power(DRAM_SHARE))
        struck = zone if kind == "RAPL package" else tree.named("intel-rapl:0:2")
        struck.start_uj = start
        break_rapl(tree, struck, fault, strike)
        detect = functools.partial(
            rapl.detect, tree.root, cpuinfo=tree.cpuinfo, files=tree.files, sleep=lambda s: None
        )
        monkeypatch.setattr(rapl, "detect", detect)
        played = play(folder / "run", clock, ["rapl"], _asleep(clock, fault, strike))
        assert not tree.files.paths, "a file was left open"
    finally:
        tree.close()
    gone = (max(strike.since_s, 0.0), min(strike.until_s, END_S)) if hole else None
    return played, {
        "cpu": Truth(hole=gone if kind == "RAPL package" else None),
        "dram": Truth(share=DRAM_SHARE, hole=gone if kind != "RAPL package" else None),
    }


def play_model(
    kind: str, fault: str, strike: Strike, hole: bool, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    folder, _ = where
    clock = VirtualClock(ZERO_S)
    model = Model(clock, fault, strike)
    played = play(folder / "run", clock, [model], _asleep(clock, fault, strike))
    assert model.closed
    # A reading tells of the second before it: what fails takes that second along.
    gone = (max(strike.since_s - 1.0, 0.0), min(strike.until_s, END_S)) if hole else None
    return played, {"cpu": Truth(hole=gone, edge_s=1.35)}


def play_sensor(
    kind: str, fault: str, strike: Strike, hole: bool, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    play_one = play_gpu if kind in GPU_KINDS else play_rapl if kind.startswith("RAPL") else play_model
    return play_one(kind, fault, strike, hole, where)


# -------------------------------------------------------------------------------------------------------- the file system


def a_gpu(clock: VirtualClock) -> Sensor:
    """A sound GPU that draws what the profile says."""
    return FakeDevice(
        clock=clock, power=lambda t: power_w(t - ZERO_S), energy=lambda t: energy_j(t - ZERO_S), phase_s=0.037
    )


def play_disk(fault: str, strike: Strike, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """The disk refuses what the journal writes, for a time or to the end."""
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    refusing = BadOs(clock, fault, strike)
    monkeypatch.setattr(journal, "os", refusing)
    monkeypatch.setattr(files_whole, "os", refusing)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    played = play(
        folder / "run", clock, [a_gpu(clock)], whole=strike.until_s < END_S and fault not in OPENING
    )
    return played, {"gpu": Truth()}


OPENING = ("EACCES", "EMFILE")


def play_folder(fault: str, since_s: float, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """Somebody does something to the folder of the run while it goes on."""
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    run = folder / "run"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))

    def happens() -> None:
        match fault:
            case "deleted":
                shutil.rmtree(run)
            case "moved":
                run.rename(folder / "elsewhere")
            case "deleted, and made again by another run":
                shutil.rmtree(run)
                other = VirtualClock(0.0)
                watts, joules = constant(7.0)
                sensor = FakeDevice(clock=other, power=watts, energy=joules)
                with measure(output_dir=run, sensors=[sensor], clock=other, report=None):
                    other.sleep(3)
            case "deleted, nowhere to write":
                shutil.rmtree(run)
                (folder / "state").write_text("no folder")
            case "emptied":
                (run / "journal.jsonl").write_bytes(b"")
            case "made a file":
                shutil.rmtree(run)
                run.write_text("a file")

    played = play(run, clock, [a_gpu(clock)], {since_s: happens}, whole=False)
    if fault == "deleted, and made again by another run":
        assert read_record(run)["run"].energy_j["gpu"].value < 22, "the other run's record was written over"
        assert read_journal(run).run_id != played.record.run_id
    return played, {"gpu": Truth()}


# ---------------------------------------------------------------------------------------------------------- ways of use


COUNTS: Mapping[str, object] = {
    "0": 0,
    "10^15": 10**15,
    "10^400": 10**400,
    "NaN": math.nan,
    "infinite": math.inf,
    "-1": -1,
    "'many'": "many",
    "None": None,
    "True": True,
    "a list": [1],
}


def play_count(value: str, into: str, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """Work that is no number, or none that divides."""
    folder, _ = where
    clock = VirtualClock(ZERO_S)

    def count(run: Any) -> None:
        run.count(request=COUNTS[value])

    played = play(folder / "run", clock, [a_gpu(clock)], {6.0 if into == "in a window" else 10.0: count})
    record = played.record
    assert record["first"].work == {"token": 1000} or into == "in a window"
    for name in ("run", "first") if into == "in a window" else ("run",):
        if value == "10^15":
            per = record[name].energy_per("request").value
            assert math.isclose(per * 1e15, record[name].energy_j["gpu"].value)
        else:
            try:
                per = record[name].energy_per("request")
            except NotMeasured:
                assert record[name].work.get("request", 0) == 0
            else:
                raise AssertionError(f"{per} of nothing")
    return played, {"gpu": Truth()}


LAUNCHERS: Mapping[str, Callable[[int], Mapping[str, str]]] = {
    "torchrun": lambda rank: {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "8"},
    "Slurm": lambda rank: {"SLURM_LOCALID": str(rank), "SLURM_NTASKS_PER_NODE": "8"},
    "Open MPI": lambda rank: {"OMPI_COMM_WORLD_LOCAL_RANK": str(rank), "OMPI_COMM_WORLD_LOCAL_SIZE": "8"},
    "MPICH": lambda rank: {"MPI_LOCALRANKID": str(rank), "MPI_LOCALNRANKS": "8"},
}


def play_ranks(launcher: str, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """Eight ranks on one GPU, all asked to measure into one folder: together they count it once, and their work is that of all."""
    folder, monkeypatch = where

    def begin(rank: int) -> None:
        for name, value in LAUNCHERS[launcher](rank).items():
            monkeypatch.setenv(name, value)

    clock = VirtualClock(ZERO_S)

    def others(_: Any) -> None:
        for rank in range(1, 8):
            begin(rank)
            own = VirtualClock(clock.time)
            with measure(
                "inference", output_dir=folder / "run", sensors=[a_gpu(own)], clock=own, report=None
            ) as run:
                with run.window("first") as window:
                    own.sleep(1)
                    window.count(token=10)
                own.sleep(1)
            assert run.folder == (folder / "run").resolve()
            assert not run.makes_record

    begin(0)
    played = play(folder / "run", clock, [a_gpu(clock)], {6.0: others})
    assert [path.name for path in folder.iterdir() if path.is_dir() and path.name != "state"] == ["run"]
    assert played.record["first"].work == {"token": 1000 + 7 * 10}
    assert played.record.ranks == 8
    return played, {"gpu": Truth()}


def play_two_runs(how: str, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """Two runs that ask for one folder: both are whole, and neither is in the other's."""
    folder, _ = where
    clock = VirtualClock(ZERO_S)
    resume = how.startswith("both resumed")
    one = measure(output_dir=folder / "run", sensors=[a_gpu(clock)], clock=clock, report=None, resume=resume)
    one.start()
    if how == "one after the other":
        clock.sleep(5)
        one.stop()
        clock.time = ZERO_S
    second = VirtualClock(ZERO_S)
    played = play(folder / "run", second, [a_gpu(second)], {3.0: lambda: clock.sleep(5)}, resume=resume)
    one.stop()
    assert one.record["run"].energy_j["gpu"].value > 0
    assert one.record.run_id != played.record.run_id
    assert (one.folder, played.folder) == ((folder / "run").resolve(), (folder / "run-2").resolve())
    return played, {"gpu": Truth()}


def play_fork(when_s: float, child: str, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """A child that is forked meanwhile and does with the run what it should not."""
    folder, _ = where
    clock = VirtualClock(ZERO_S)
    codes: list[int] = []

    def fork(run: Any) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if child == "counts and opens windows":
                    with run.window("in the child") as window:
                        window.count(token=7)
                    run.count(token=7)
                elif child == "stops the run":
                    run.stop()
                elif child == "measures by itself":
                    own = VirtualClock(ZERO_S)
                    with measure(
                        output_dir=folder / "run", sensors=[a_gpu(own)], clock=own, report=None
                    ) as mine:
                        own.sleep(2)
                    assert mine.record["run"].n == 1
                code = 0
            finally:
                os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    played = play(folder / "run", clock, [a_gpu(clock)], {when_s: fork})
    assert codes == [0]
    assert {m.name for m in played.record} == {"run", "first", "second"}
    mine = {
        unit: sum(one.work.get(unit, 0) for one in played.record if one.name != "run")
        for unit in ("token", "request")
    }
    assert played.record["run"].work == {unit: amount for unit, amount in mine.items() if amount}
    return played, {"gpu": Truth()}


def play_wall_clock(
    step_s: float, since_s: float, where: tuple[Path, Any]
) -> tuple[Played, Mapping[str, Truth]]:
    """Somebody sets the clock on the wall."""
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    real, real_ns = time.time, time.time_ns

    def step() -> None:
        monkeypatch.setattr(time, "time", lambda: real() + step_s)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(step_s * 1e9))

    return play(folder / "run", clock, [a_gpu(clock)], {since_s: step}), {"gpu": Truth()}


def play_machine(what: str, where: tuple[Path, Any]) -> tuple[Played, Mapping[str, Truth]]:
    """A machine that is unusual from the beginning."""
    folder, monkeypatch = where
    clock = VirtualClock(ZERO_S)
    if what == "MIG is on":
        binding = Nvml(clock)
        binding.mig = True
        _use_nvml(monkeypatch, binding, folder)
        return play(folder / "run", clock, ["nvml"]), {"gpu": Truth()}
    if what == "no sensor at all":
        return play(folder / "run", clock, []), {"gpu": Truth(hole=(0.0, END_S))}
    tree = powercap(clock, folder)
    try:
        zone = tree.package(0, Power(), parts=False)
        if what == "RAPL shows one counter twice":
            tree.package(0, Power(), die=1, parts=False)
            clock.time -= MIRROR_WAIT_S  # the sensor waits so long to see that they move together
        elif what == "RAPL's range is hidden":
            tree.hide_range(zone)
        elif what == "RAPL's range is hidden, and it wraps":
            tree.hide_range(zone)
            zone.start_uj = 262_143_328_850 - round(energy_j(6.0) * 1e6) - 1
        elif what == "RAPL is there twice (MSR and MMIO)":
            tree.package(0, Power(), mmio=True, parts=False)
        elif what == "the platform's counter holds all others":
            tree.psys(Power(3.0))
        detect = functools.partial(
            rapl.detect, tree.root, cpuinfo=tree.cpuinfo, files=tree.files, sleep=_pass(clock)
        )
        monkeypatch.setattr(rapl, "detect", detect)
        return play(folder / "run", clock, ["rapl"]), {"cpu": Truth()}
    finally:
        tree.close()


def _pass(clock: VirtualClock) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        clock.time += seconds

    return sleep
