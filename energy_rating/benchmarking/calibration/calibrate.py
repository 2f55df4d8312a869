"""A device's own factor to the reference: small models of random weights, run here and compared with their energies there.

Every point of the protocol (a configuration at one load) is one benchmark; its record stays in the folder of the calibration. What
is sound enough goes as ``[[calibration]]`` energies into the device's own profile, and where the reference's profile has energies of
the same points, the median of the ratios goes beside it as a factor of tier 2 (``normalisation``). Nothing is made of energies that
are not there: a reference that was never measured is said, and what was measured here is kept until it is.

What is left out, with its reason: what failed, was shared, held down by heat, not steady or too uncertain; what used less of the device
than factors hold for; and points of trial, which show the road on machines without a GPU.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.calibration.factors import compared, profile_from, write
from energy_rating.benchmarking.calibration.points import (
    CLASSES,
    POINTS,
    PROTOCOL,
    TRIAL_POINTS,
    Calibration,
    Point,
    PointResult,
    in_record,
    point_to_text,
)
from energy_rating.benchmarking.calibration.soundness import as_before, judged, set_aside
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.progress import Progress
from energy_rating.benchmarking.work import Done, Item, Settings, Workload
from energy_rating.benchmarking.workloads import prepare as prepare_workload
from energy_rating.files.journal import state_folder
from energy_rating.files.opening import refuse_no_folder
from energy_rating.judging.evidence import load
from energy_rating.judging.profiles import (
    PROFILE_SCHEMA,
    CalibrationEnergy,
    Driver,
    Factor,
    Figures,
    Profile,
    Source,
    SourcedFigure,
    load_profile,
    profile_for,
    profiles,
    user_profiles,
)
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.survey import look
from energy_rating.nouns.errors import BadInput, EnergyRatingError, NotOnDevice
from energy_rating.nouns.reasons import Reason, codes
from energy_rating.nouns.records import Device, Model, plain
from energy_rating.version import __version__

BUDGET_S = 600.0
COOLDOWN_S = 5.0

# What was begun with less of the budget left would be broken off before its fifth repeat, and be for nothing.
BEGUN_S = 90.0

Prepare = Callable[[str, str, Settings, Sequence[Item]], tuple[Workload, Model]]


def calibrate(
    output: Path | None = None,
    *,
    records: Path | None = None,
    reference: str | None = None,
    as_reference: bool = False,
    classes: Sequence[str] = (),
    trial: bool = False,
    again: bool = False,
    budget_s: float = BUDGET_S,
    cooldown_s: float = COOLDOWN_S,
    seed: int = 0,
    points: Sequence[Point] | None = None,
    sensors: Sequence[Sensor | Detection] | None = None,
    prepare: Prepare = prepare_workload,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] | None = None,
) -> Calibration:
    """Runs the points of the protocol on this machine's GPU and writes its own profile.

    Args:
        output: folder of the profile; by default the user's own profiles (``profiles.user_profiles``).
        records: folder of the runs; by default one under the state folder. What is done there already is not done again, as
            long as device, driver, power limit and version are the same.
        reference: key of the profile to compare with; by default the reference device of the newest scheme.
        as_reference: this is the reference device: write its energies, and compare with nothing.
        classes: of workloads; by default all.
        trial: points of seconds, of which no factor is made.
        again: measure also what is done.
        budget_s: seconds after which no point is begun; one that was begun is given a minute and a half.
        cooldown_s: rest between two points.
        seed: of the order of the points.
        points: in place of the protocol's; for tests, as are ``sensors``, ``prepare``, ``clock`` and ``sleep``.
        tell: told a line at the beginning and the end of each point.
        progress: told where the benchmark of a point is.

    Raises:
        BadInput: there is no such reference or class, this is not a device that can be calibrated, or what is named for a folder is none.
        EnergyRatingError: no point could be measured at all, or the models do not run on the device that is measured.
    """
    refuse_other_classes(classes)
    for folder in (output, records):
        if folder is not None:  # before an hour is measured that could not be written down
            refuse_no_folder(folder)
    target = load_profile(reference or _reference())
    device, no_device = device_here(sensors)
    base = described_by(device) if device is not None else None
    if as_reference:
        _refuse_other_device(device, base, target)
    energies = {entry.point: entry for entry in target.calibration if entry.protocol == PROTOCOL}
    reasons = _why_no_factor(device, no_device, target, energies=bool(energies) or as_reference)
    for reason in reasons:
        tell(str(reason))
    chosen = _chosen(points, classes, trial=trial or device is None)
    going = _Going(
        folder=records or state_folder() / "calibration",
        device=device,
        energies=energies,
        compare=not as_reference,
        again=again,
        budget_s=budget_s,
        cooldown_s=cooldown_s,
        sensors=sensors,
        prepare=prepare,
        clock=clock,
        sleep=sleep,
        tell=tell,
        progress=progress,
    )
    by_name = going.all(_order(chosen, seed))
    outcomes = tuple(by_name[point.name] for point in chosen)
    _refuse_nothing(outcomes)
    written, factors, left = write_profile(base, device, target, outcomes, output or user_profiles())
    return Calibration(
        device=device,
        reference=target.key,
        outcomes=outcomes,
        factors=factors,
        profile=written,
        records=going.folder,
        why_not=(*reasons, *left),
    )


def refuse_other_classes(classes: Sequence[str], known: Sequence[str] = CLASSES) -> None:
    for name in classes:
        if name not in known:
            raise BadInput(
                f"{name[:80]!r} is not calibrated", f"There are: {', '.join(known)}", place="--class"
            )


def _refuse_other_device(device: Device | None, base: Profile | None, target: Profile) -> None:
    """Energies of the reference come from that device alone."""
    if base is None or base.key != target.key:
        here = device.name if device is not None else "a machine without a measured GPU"
        raise BadInput(
            f"this is {here}, and the reference is {target.name}",
            "Name another with --reference, or run this on that device",
            place="--as-reference",
        )


def _why_no_factor(
    device: Device | None, no_device: str, target: Profile, *, energies: bool
) -> tuple[Reason, ...]:
    """Why no factor can be made of what is measured; nothing where one can."""
    if device is None:
        return (Reason.of("no-gpu", no_device),)
    if energies:
        return ()
    return (
        Reason.of(
            "no-reference-energies",
            f"the profile of {target.key} holds no energies of {PROTOCOL} yet, so that no factor can be told; what was measured here "
            "is kept",
            "Calibrate against published energies: energy-rating calibrate --published. Or run energy-rating calibrate --as-reference "
            "on that device, put the profile that it writes into "
            f"{user_profiles()}, and run this again",
        ),
    )


def _chosen(points: Sequence[Point] | None, classes: Sequence[str], *, trial: bool) -> list[Point]:
    """The points of these classes (none named: of all); a trial's are short."""
    these = points if points is not None else TRIAL_POINTS if trial else POINTS
    return [point for point in these if not classes or point.workload_class in classes]


def _refuse_nothing(outcomes: Sequence[PointResult]) -> None:
    if not any(outcome.joules_per_unit is not None for outcome in outcomes):
        why = next((outcome.left_out for outcome in outcomes if outcome.left_out), "there are no points")
        raise EnergyRatingError(f"nothing could be measured: {why}")


def write_profile(
    base: Profile | None,
    device: Device | None,
    target: Profile,
    outcomes: Sequence[PointResult],
    folder: Path,
    of: str = PROTOCOL,
) -> tuple[Path | None, tuple[Factor, ...], tuple[Reason, ...]]:
    """The profile's file, the factors in it, and why it was left as it is, where it was."""
    if device is None or base is None:
        return None, (), ()
    profile, factors = profile_from(base, device, target.key, outcomes, of=of)
    if profile is None:
        left = Reason.of(
            "no-sound-point", "no point was good enough to be kept; the profile is left as it is"
        )
        return None, factors, (left,)
    return write(profile, folder), factors, ()


def _reference() -> str:
    from energy_rating.judging.schemes import load_scheme

    return load_scheme().reference_device


def now(clock: Clock | None) -> float:
    return clock.now() if clock is not None else time.monotonic()


def _order(points: Sequence[Point], seed: int) -> list[Point]:
    """In an order that is drawn, so that heat and the hour fall on all alike; but one of each class before the second of any."""
    drawn = list(points)
    random.Random(seed).shuffle(drawn)  # noqa: S311  no secret
    seen: dict[str, int] = {}
    rank: dict[str, int] = {}
    for point in drawn:
        rank[point.name] = seen.get(point.workload_class, 0)
        seen[point.workload_class] = rank[point.name] + 1
    return sorted(drawn, key=lambda point: rank[point.name])


# -------------------------------------------------------------------------------------------------------- the device


def device_here(sensors: Sequence[Sensor | Detection] | None) -> tuple[Device | None, str]:
    """The one GPU that is measured here; None, and why, where there is none.

    Raises:
        BadInput: there are several, or a part of one.
    """
    if sensors is None:
        found = [look()[0]]
        for sensor in found[0].sensors:
            with suppress(Exception):  # it was only looked at; the run opens its own, and tells what is wrong
                sensor.close()
    else:
        found = [item if isinstance(item, Detection) else Detection(sensors=(item,)) for item in sensors]
    channels = [channel for one in found for sensor in one.sensors for channel in sensor.channels]
    gpus = dict.fromkeys(c.device for c in channels if c.component == "gpu" and c.method != "model")
    if not gpus:
        by_model = any(c.component == "cpu" and c.method == "model" for c in channels)
        what = (
            "the power of the CPU is estimated by a model" if by_model else "what is measured here is no GPU"
        )
        return None, (
            f"no sensor measures a GPU here; {what}, and no factor follows from that: this only tries out the steps, with the smallest models"
        )
    if len(gpus) > 1:
        raise BadInput(
            f"{len(gpus)} GPUs are measured here, and a calibration is of one",
            "Choose one: CUDA_VISIBLE_DEVICES=0 energy-rating calibrate",
            place="calibrate",
        )
    (name,) = gpus
    device = next((item for one in found for item in one.devices if item.id == name), None)
    if device is None:
        raise BadInput("the GPU's driver does not say what it is", place="calibrate")
    if device.mig:
        raise BadInput(
            f"{device.name} is divided (MIG), and a part has no factor",
            "Calibrate a whole one",
            place="calibrate",
        )
    return device, ""


def described_by(device: Device) -> Profile:
    """The device's profile as it is known; for one that nobody has described, what its driver says.

    Raises:
        BadInput: the device is only a part of what its name says.
    """
    known = profiles()
    found = profile_for(device.name, device.memory_gb, among=known)
    if found is not None:
        return found
    alike = [profile.key for profile in known if device.name in profile.driver.names]
    if alike:
        raise BadInput(
            f"{device.name} has another memory than {' and '.join(alike)}: it is a part or a variant of it",
            "Calibrate a whole one, or write a profile of its own first (hardware_profiles/README.md)",
            place="calibrate",
        )
    memory = f"-{device.memory_gb:.0f}gb" if device.memory_gb is not None else ""
    key = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-") + memory
    source = "driver"

    def figure(value: float | None) -> SourcedFigure | None:
        return None if value is None else SourcedFigure(value=value, source=source)

    return Profile(
        key=key,
        schema=PROFILE_SCHEMA,
        name=device.name,
        vendor=device.name.split()[0],
        architecture="not known",
        memory_kind="not known",
        driver=Driver(names=(device.name,), source=source),
        figures=Figures(memory_gb=figure(device.memory_gb), power_limit_w=figure(device.power_limit_w)),
        sources={
            source: Source(title=f"what the device's driver ({device.driver}) reports", date=f"{_today()}")
        },
    )


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


# -------------------------------------------------------------------------------------------------------- the points


class OnDevice:
    """A workload that is not to run on the CPU while the GPU is what is measured."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def load(self) -> None:
        self._workload.load()
        if getattr(self._workload, "device", "gpu") == "cpu":
            raise NotOnDevice(
                "the model runs on the CPU, and the GPU is what is measured",
                "Install a build of torch for this GPU",
            )

    def run(self, items: Sequence[Item]) -> Done | Mapping[str, int | float]:
        return self._workload.run(items)

    def close(self) -> None:
        self._workload.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Going:
    """Where and how the points are run."""

    folder: Path
    device: Device | None
    energies: Mapping[str, CalibrationEnergy]  # of the reference, by point
    compare: bool
    again: bool
    budget_s: float
    cooldown_s: float
    sensors: Sequence[Sensor | Detection] | None
    prepare: Prepare
    clock: Clock | None
    sleep: Callable[[float], None]
    tell: Callable[[str], None]
    progress: Callable[[Progress], None] | None

    def all(self, order: Sequence[Point]) -> dict[str, PointResult]:
        """What became of each point, by its name: those that an earlier call has done are not done again."""
        results: dict[str, PointResult] = {}
        started_s = now(self.clock)
        for number, point in enumerate(order, start=1):
            about = f"[{number}/{len(order)}] {point.name}"
            done = self.done(point)
            left_s = self.budget_s - (now(self.clock) - started_s)
            if done is None and left_s <= 0:
                results[point.name] = self._not_begun(point)
                continue
            if done is None:
                if any(not one.was_done for one in results.values()):
                    self.sleep(self.cooldown_s)
                self.tell(about)
                done = self.run(point, max(left_s, BEGUN_S))
            result = compared(done, self.device, self.energies, compare=self.compare)
            results[point.name] = result
            before = " (done before)" if result.was_done else ""
            self.tell(f"{about}: {result.left_out or point_to_text(result)}{before}")
        return results

    def _not_begun(self, point: Point) -> PointResult:
        return PointResult(
            point=point,
            folder=self.folder / point.name,
            left_out=f"the budget of {self.budget_s:.0f} s was spent; run it again, and it goes on",
        )

    def done(self, point: Point) -> PointResult | None:
        """What an earlier call measured soundly, of the same point, device and version; else None."""
        folder = self.folder / point.name
        if self.again:
            return None
        try:
            record = load(folder)
        except EnergyRatingError:
            return None
        same = record.provenance.version == __version__ and self.device in (
            None,
            *(as_before(device, self.device) for device in record.environment.devices),
        )
        if record.provenance.files.get(in_record(point)) != point.sha256 or not same:
            return None
        outcome = judged(PointResult(point=point, folder=folder, record=record, was_done=True))
        return outcome if outcome.left_out is None else None

    def run(self, point: Point, budget_s: float) -> PointResult:
        folder = self.folder / point.name
        set_aside(folder)
        try:
            workload, model = self.prepare(point.workload, point.config, point.settings, point.items)
            run = run_plan(
                workload if point.trial else OnDevice(workload),
                point.plan(budget_s),
                model=model,
                output_dir=folder,
                sensors=self.sensors,
                clock=self.clock,
                sleep=self.sleep,
                progress=self.progress,
                report=lambda _: None,
            )
            return judged(PointResult(point=point, folder=folder, record=run.record))
        except NotOnDevice:
            raise
        except EnergyRatingError as error:
            return PointResult(point=point, folder=folder, left_out=str(error))


def calibration_to_json(found: Calibration) -> dict[str, Any]:
    """What ``calibrate --json`` prints."""
    return {
        "protocol": found.protocol,
        "device": plain(found.device),
        "reference": found.reference,
        "points": [
            {
                "point": outcome.point.name,
                "workload_class": outcome.point.workload_class,
                "unit": outcome.point.unit,
                "energy_per_unit_j": plain(outcome.joules_per_unit),
                "use": outcome.use,
                "reference_j": outcome.reference_j,
                "ratio": outcome.ratio,
                "left_out": outcome.left_out,
                "apart": [one.apart for one in outcome.apart],
            }
            for outcome in found.outcomes
        ],
        "factors": [plain(factor) for factor in found.factors],
        "profile": None if found.profile is None else str(found.profile),
        "records": str(found.records),
        "reasons": list(found.reasons),
        "reason_codes": list(codes(found.why_not)),
    }
