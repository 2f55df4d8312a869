"""A device's own factor to the reference: small models of random weights, run here and compared with their energies there.

Every point of the protocol (a configuration at one load) is one benchmark; its record stays in the folder of the calibration. What
is sound enough goes as ``[[calibration]]`` energies into the device's own profile, and where the reference's profile has energies of
the same points, the median of the ratios goes beside it as a factor of tier 2 (``normalisation``). Nothing is made of energies that
are not there: a reference that was never measured is said, and what was measured here is kept until it is.

What is left out, with its reason: what failed, was shared, held down by heat, not steady or too uncertain; what used less of the device
than factors hold for; and points of trial, which show the road on machines without a GPU.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, stdev
from typing import Any

from energy_rating.benchmarking import Plan, Progress, run_plan
from energy_rating.files.journal import state_folder
from energy_rating.files.whole import write_whole
from energy_rating.judging.checks import random_half_width
from energy_rating.judging.evidence import load
from energy_rating.judging.normalisation import CALIBRATED, CALIBRATED_SERVING, LEAST_USE, MOST_USE, Z_90
from energy_rating.judging.profiles import (
    FEWEST_MODELS,
    PROFILE_SCHEMA,
    CalibrationEnergy,
    Driver,
    Factor,
    Figure,
    Figures,
    Profile,
    Source,
    WorkloadClass,
    cited,
    load_profile,
    profile_for,
    profile_to_toml,
    profiles,
    user_profiles,
)
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.survey import look
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import EnergyPerUnit, significant, with_doubt
from energy_rating.nouns.records import MEASURED, Device, Finding, Measurement, Model, Record, plain
from energy_rating.tasks import FOLDER, Protocol, TaskFile, items_sha256
from energy_rating.tasks.synthetic import picture
from energy_rating.version import __version__
from energy_rating.workloads import Done, Item, Settings, Workload
from energy_rating.workloads import prepare as prepare_workload

# The points below, as they stand. Once energies of a reference are published, a change of any of them is a new protocol.
PROTOCOL = "calibration-2026.1"

CONFIGS = FOLDER / "configs"

# The one format that the matrix units of all GPUs since Volta compute in (normalisation.NATIVE_IN tells which lack the others).
DTYPE = "float16"

BUDGET_S = 600.0
COOLDOWN_S = 5.0

# What was begun with less of the budget left would be broken off before its fifth repeat, and be for nothing.
BEGUN_S = 90.0

# Whether power is steady is told from ten steps, and those of a large model on a small device take ten seconds.
LONGEST_WARM_UP_S = 120.0

# Half the 95 % interval of the random doubt, as a share: a tenth of what the interval of a factor (×/÷ 1.3) allows for.
WIDEST = 0.03

# What a calibration can live with: random weights are what it is made of, and a GPU without a counter has its wider doubt.
_BEARABLE = ("random-weights", "summed-from-power")

# Long enough that what a point asks for is cut from it: 128 tokens are some hundred words.
_TEXT = (
    "The river was high that spring and the ferry could not cross until the wind had turned to the west. "
    * 20
)
_PROMPT = "A lighthouse on a rocky coast at dusk, painted in oil"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A configuration at one load, of one class of workloads. ``trial``: too small to stand for its class."""

    name: str
    workload_class: WorkloadClass
    config: str
    workload: str = "transformers"
    task: str = "text-generation"
    unit: str = "token"
    batch_size: int = 1
    input_tokens: int | None = None
    new_tokens: int | None = None
    steps: int | None = None
    pixels: int | None = None
    dtype: str = DTYPE
    trial: bool = False

    @property
    def config_file(self) -> Path:
        return CONFIGS / f"{self.config}.json"

    @property
    def config_sha256(self) -> str:
        """Of what the configuration says, however it is laid out."""
        said = json.loads(self.config_file.read_bytes())
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def items(self) -> tuple[Item, ...]:
        """One batch of them."""
        if self.workload_class == "vision":
            side = self.pixels or 224
            return tuple(Item(image=picture(number, side, side)) for number in range(self.batch_size))
        return (Item(text=_PROMPT if self.workload_class == "diffusion" else _TEXT),) * self.batch_size

    @property
    def sha256(self) -> str:
        """Of all that is asked for: two energies of one point may only be compared where this is the same."""
        asked = {
            **asdict(self),
            "config_sha256": self.config_sha256,
            "items": items_sha256(self.items),
            "protocol": PROTOCOL,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def settings(self) -> Settings:
        is_diffusion = self.workload_class == "diffusion"
        return Settings(
            task=self.task,
            batch_size=self.batch_size,
            max_new_tokens=self.new_tokens,
            min_new_tokens=self.new_tokens,
            max_input_tokens=self.input_tokens,
            dtype=self.dtype,
            steps=self.steps,
            height=self.pixels if is_diffusion else None,
            width=self.pixels if is_diffusion else None,
            random_weights=self.config_file,
        )

    def plan(self, budget_s: float) -> Plan:
        """Five repeats of four seconds at least, after a warm-up until the power is steady."""
        rules = Protocol(
            title="A model of random weights, to compare devices",
            source="energy-rating, docs/calibration.md",
            batch_size=self.batch_size,
            repeats=5,
            shortest_s=1.0 if self.trial else 4.0,
            warm_up_items=self.batch_size,
            warm_up_s=0.0 if self.trial else 5.0,
            warm_up_cap_s=0.0 if self.trial else LONGEST_WARM_UP_S,
            idle_s=0.0,
        )
        task = TaskFile(
            schema="", name=self.task, unit=self.unit, default_protocol=PROTOCOL, protocols={PROTOCOL: rules}
        )
        finding = Finding(
            code="random-weights",
            message=f"a point of {PROTOCOL}: the model has random weights, and serves to compare devices",
            remedy="It is no figure of a model that anybody uses",
            severity="degrades",
        )
        return Plan(
            task=task,
            protocol_name=PROTOCOL,
            protocol=rules,
            items=self.items,
            files={_in_record(self): self.sha256, f"tasks/configs/{self.config}.json": self.config_sha256},
            settings=self.settings,
            findings=(finding,),
            workload=self.workload,
            budget_s=budget_s,
        )


def _language(config: str, *, batch_size: int) -> Point:
    serving = batch_size > 1
    return Point(
        name=f"{config}-{'serving' if serving else 'small-batch'}",
        workload_class="llm-serving" if serving else "llm-small-batch",
        config=config,
        batch_size=batch_size,
        input_tokens=128,
        new_tokens=64,
    )


def _images(config: str, pixels: int) -> Point:
    return Point(
        name=f"{config}-{pixels}",
        workload_class="diffusion",
        config=config,
        workload="diffusers",
        task="text-to-image",
        unit="image",
        steps=10,
        pixels=pixels,
    )


POINTS: tuple[Point, ...] = (
    *(_language(name, batch_size=1) for name in ("smollm2-135m", "llama-3.2-1b", "llama-3.1-8b")),
    *(_language(name, batch_size=32) for name in ("smollm2-135m", "llama-3.2-1b", "llama-3.1-8b")),
    *(_images("sdxl", pixels) for pixels in (512, 1024)),
    *(
        Point(
            name=f"vit-large-{batch_size}",
            workload_class="vision",
            config="vit-large",
            task="image-classification",
            unit="request",
            batch_size=batch_size,
            pixels=224,
        )
        for batch_size in (1, 32)
    ),
    Point(
        name="detr-resnet-50-8",
        workload_class="vision",
        config="detr-resnet-50",
        task="object-detection",
        unit="request",
        batch_size=8,
        pixels=640,
    ),
)

# Seconds each, also on a CPU.
TRIAL_POINTS: tuple[Point, ...] = tuple(
    replace(point, dtype="float32", trial=True)
    for point in (
        replace(_language("tiny-llama", batch_size=1), new_tokens=8),
        replace(_language("tiny-llama", batch_size=8), new_tokens=8),
        replace(_images("tiny-diffusion", 16), steps=2),
        replace(POINTS[-3], name="tiny-vit-1", config="tiny-vit", pixels=32),
    )
)

CLASSES: tuple[WorkloadClass, ...] = tuple(dict.fromkeys(point.workload_class for point in POINTS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a point: joules per its unit, the mean power over the limit, the reference's figure, and there over here.

    ``left_out`` says why nothing was made of it, where nothing was.
    """

    point: Point
    folder: Path
    record: Record | None = None
    joules_per_unit: EnergyPerUnit | None = None
    use: float | None = None
    reference_j: float | None = None
    ratio: float | None = None
    left_out: str | None = None
    was_done: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """All of it. ``device`` None: no GPU that a sensor measures. ``profile`` None: nothing was written, and ``reasons`` say why."""

    device: Device | None
    reference: str
    outcomes: tuple[Outcome, ...]
    factors: tuple[Factor, ...]
    profile: Path | None
    records: Path
    reasons: tuple[str, ...] = ()


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
        BadInput: there is no such reference or class, or this is not a device that can be calibrated.
        EnergyRatingError: no point could be measured at all, or the models do not run on the device that is measured.
    """
    for name in classes:
        if name not in CLASSES:
            raise BadInput(
                f"{name[:80]!r} is not calibrated", f"There are: {', '.join(CLASSES)}", place="--class"
            )
    target = load_profile(reference or _reference())
    device, no_device = _device_here(sensors)
    base = _base(device) if device is not None else None
    if as_reference and (base is None or base.key != target.key):
        here = device.name if device is not None else "a machine without a measured GPU"
        raise BadInput(
            f"this is {here}, and the reference is {target.name}",
            "Name another with --reference, or run this on that device",
            place="--as-reference",
        )
    chosen = points if points is not None else TRIAL_POINTS if trial or device is None else POINTS
    chosen = [point for point in chosen if not classes or point.workload_class in classes]
    folder = records or state_folder() / "calibration"
    reasons = [no_device] if device is None else []
    energies = {entry.point: entry for entry in target.calibration if entry.protocol == PROTOCOL}
    if device is not None and not as_reference and not energies:
        reasons.append(
            f"the profile of {target.key} holds no energies of {PROTOCOL} yet, so that no factor can be told: run "
            "energy-rating calibrate --as-reference on that device, put the profile that it writes into "
            f"{user_profiles()}, and run this again; what was measured here is kept"
        )
    for reason in reasons:
        tell(reason)

    going = _Going(
        folder=folder,
        device=device,
        again=again,
        sensors=sensors,
        prepare=prepare,
        clock=clock,
        sleep=sleep,
        progress=progress,
    )
    outcomes: dict[str, Outcome] = {}
    started = _now(clock)
    order = _order(chosen, seed)
    for number, point in enumerate(order, start=1):
        about = f"[{number}/{len(order)}] {point.name}"
        done = going.done(point)
        left_s = budget_s - (_now(clock) - started)
        if done is None and left_s <= 0:
            outcomes[point.name] = Outcome(
                point=point,
                folder=folder / point.name,
                left_out=f"the budget of {budget_s:.0f} s was spent; run it again, and it goes on",
            )
            continue
        if done is None:
            if any(not one.was_done for one in outcomes.values()):
                sleep(cooldown_s)
            tell(about)
            done = going.run(point, max(left_s, BEGUN_S))
        outcome = _compared(done, device, energies, compare=not as_reference)
        outcomes[point.name] = outcome
        again_said = " (done before)" if outcome.was_done else ""
        tell(f"{about}: {outcome.left_out or _told(outcome)}{again_said}")
    found = tuple(outcomes[point.name] for point in chosen)
    if not any(outcome.joules_per_unit is not None for outcome in found):
        why = next((outcome.left_out for outcome in found if outcome.left_out), "there are no points")
        raise EnergyRatingError(f"nothing could be measured: {why}")
    written: Path | None = None
    factors: tuple[Factor, ...] = ()
    if device is not None and base is not None:
        profile, factors = _profile(base, device, target.key, found)
        if profile is None:
            reasons.append("no point was sound enough to be kept; the profile is left as it is")
        else:
            written = _write(profile, output or user_profiles())
    return Calibration(
        device=device,
        reference=target.key,
        outcomes=found,
        factors=factors,
        profile=written,
        records=folder,
        reasons=tuple(reasons),
    )


def _reference() -> str:
    from energy_rating.judging.schemes import load_scheme

    return load_scheme().reference_device


def _now(clock: Clock | None) -> float:
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


def _device_here(sensors: Sequence[Sensor | Detection] | None) -> tuple[Device | None, str]:
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
            f"no sensor measures a GPU here; {what}, and no factor is made of that: only the road is shown, with the smallest models"
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


def _base(device: Device) -> Profile:
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

    def figure(value: float | None) -> Figure | None:
        return None if value is None else Figure(value=value, source=source)

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


class _NotHere(EnergyRatingError):
    """No point is worth another try before something is installed."""


class _OnDevice:
    """A workload that is not to run on the CPU while the GPU is what is measured."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def load(self) -> None:
        self._workload.load()
        if getattr(self._workload, "device", "gpu") == "cpu":
            raise _NotHere(
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
    again: bool
    sensors: Sequence[Sensor | Detection] | None
    prepare: Prepare
    clock: Clock | None
    sleep: Callable[[float], None]
    progress: Callable[[Progress], None] | None

    def done(self, point: Point) -> Outcome | None:
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
            *(_as_before(device, self.device) for device in record.environment.devices),
        )
        if record.provenance.files.get(_in_record(point)) != point.sha256 or not same:
            return None
        outcome = _judged(Outcome(point=point, folder=folder, record=record, was_done=True))
        return outcome if outcome.left_out is None else None

    def run(self, point: Point, budget_s: float) -> Outcome:
        folder = self.folder / point.name
        _set_aside(folder)
        try:
            workload, model = self.prepare(point.workload, point.config, point.settings, point.items)
            run = run_plan(
                workload if point.trial else _OnDevice(workload),
                point.plan(budget_s),
                model=model,
                output_dir=folder,
                sensors=self.sensors,
                clock=self.clock,
                sleep=self.sleep,
                progress=self.progress,
                report=lambda _: None,
            )
            return _judged(Outcome(point=point, folder=folder, record=run.record))
        except _NotHere:
            raise
        except EnergyRatingError as error:
            return Outcome(point=point, folder=folder, left_out=str(error))


def _in_record(point: Point) -> str:
    return f"calibration-points/{point.name}"


def _as_before(device: Device, now: Device | None) -> Device | None:
    """The device of now, where a record's is the same one under the same driver and limit."""
    if now is None or (device.id, device.driver) != (now.id, now.driver):
        return device
    return now if device.power_limit_w == now.power_limit_w else device


def _set_aside(folder: Path) -> None:
    """What an earlier call left keeps its files under another name."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.before-{number}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))


def _judged(outcome: Outcome) -> Outcome:
    """With its energy, or why it is left out whatever is compared with it."""
    record, point = outcome.record, outcome.point
    assert record is not None
    if MEASURED not in record:
        return replace(outcome, left_out="it broke off before anything was measured")
    measurement = record[MEASURED]
    component = "gpu" if "gpu" in measurement.energy_j else next(iter(measurement.energy_j), None)
    if component is None or not measurement.work.get(point.unit):
        return replace(outcome, left_out="no energy was measured, or nothing was done")
    energy = measurement.energy_per(point.unit, component)
    outcome = replace(
        outcome,
        joules_per_unit=energy,
        use=_use(record, measurement) if component == "gpu" else None,
    )
    return replace(outcome, left_out=_unsound(record, measurement, component))


def _unsound(record: Record, measurement: Measurement, component: str) -> str | None:
    for finding in record.findings_on(MEASURED):
        if finding.severity != "note" and finding.code not in _BEARABLE:
            return f"{finding.code}: {finding.message}"
    half = random_half_width(measurement.energy_j[component])
    if half > WIDEST:
        return f"too uncertain: ±{half:.1%} from repeat to repeat, and at most {WIDEST:.0%} may be"
    return None


def _use(record: Record, measurement: Measurement) -> float | None:
    gpus = {channel.device for channel in record.channels if channel.component == "gpu"}
    limits = [
        device.power_limit_w
        for device in record.environment.devices
        if device.power_limit_w and device.id in gpus
    ]
    seen_s = measurement.duration_s * measurement.coverage.get("gpu", 1.0)
    if len(limits) != 1 or seen_s <= 0:
        return None
    return measurement.energy_j["gpu"].value / seen_s / limits[0]


def _compared(
    outcome: Outcome, device: Device | None, energies: Mapping[str, CalibrationEnergy], *, compare: bool
) -> Outcome:
    """Beside the reference's energy, where there is one that it may stand beside."""
    mine, point = outcome.joules_per_unit, outcome.point
    if mine is None or (outcome.left_out is not None and device is not None):
        return outcome
    if device is None:
        origin = "estimated by a model" if mine.estimated else f"that of the {mine.component}"
        return replace(outcome, left_out=f"the energy is {origin}, and calibrates nothing")
    if outcome.use is not None and not LEAST_USE <= outcome.use <= MOST_USE:
        return replace(
            outcome,
            left_out=f"it drew {outcome.use:.0%} of the power limit; factors hold from {LEAST_USE:.0%} to {MOST_USE:.0%}",
        )
    if point.trial:
        return replace(outcome, left_out="a point of trial: too small to stand for its class")
    if not compare or not energies:
        return outcome
    there = energies.get(point.name)
    if there is None:
        return outcome
    if there.point_sha256 != point.sha256:
        return replace(
            outcome, left_out="the reference's energy is of another configuration or other settings"
        )
    return replace(outcome, reference_j=there.joules_per_unit, ratio=there.joules_per_unit / mine.value)


# ------------------------------------------------------------------------------------------------------- the profile


def factors_of(
    outcomes: Sequence[Outcome], reference: str, *, source: str, device: Device
) -> tuple[Factor, ...]:
    """One factor a class: the median over models of each model's median ratio.

    Its 90 % interval is what tier 2 prescribes (``normalisation``), or what the spread between the models asks for, exp(1.645 s),
    whichever is wider.
    """
    factors = []
    for workload_class in dict.fromkeys(outcome.point.workload_class for outcome in outcomes):
        ratios: dict[str, list[float]] = {}
        told = []
        for outcome in outcomes:
            if outcome.ratio is not None and outcome.point.workload_class == workload_class:
                ratios.setdefault(outcome.point.config, []).append(outcome.ratio)
                told.append(f"{outcome.point.name} {significant(outcome.ratio, 3)}")
        if not ratios:
            continue
        models = [median(several) for several in ratios.values()]
        spread = stdev(math.log(value) for value in models) if len(models) > 1 else None
        prescribed = CALIBRATED_SERVING if workload_class == "llm-serving" else CALIBRATED
        factors.append(
            Factor(
                workload_class=workload_class,
                reference=reference,
                value=_four(median(models)),
                interval=_four(max(prescribed, math.exp(Z_90 * (spread or 0.0)))),
                # More than that would claim a tier that no calibration has.
                models=min(len(models), FEWEST_MODELS - 1),
                rows=len(told),
                tier="2",
                evidence=f"{PROTOCOL}, there over here: {', '.join(told)}",
                source=source,
                spread=_four(spread) if spread else None,
                instrument=f"energy-rating {__version__}",
                driver=device.driver,
                power_limit_w=device.power_limit_w,
            )
        )
    return tuple(factors)


def _four(value: float) -> float:
    """With four significant digits: more would say more than is known."""
    return float(f"{value:.4g}")


def _profile(
    base: Profile, device: Device, reference: str, outcomes: Sequence[Outcome]
) -> tuple[Profile | None, tuple[Factor, ...]]:
    """The device's profile with what was found; None where nothing was."""
    kept = [
        outcome for outcome in outcomes if outcome.left_out is None and outcome.joules_per_unit is not None
    ]
    if not kept:
        return None, ()
    described = _source(kept, device)
    name = f"calibration-{described.date}"
    for number in itertools.count(2):
        if base.sources.get(name, described) == described:
            break
        name = f"calibration-{described.date}-{number}"
    energies = {(entry.protocol, entry.point): entry for entry in base.calibration} | {
        (PROTOCOL, outcome.point.name): _energy(outcome, name) for outcome in kept
    }
    factors = factors_of(kept, reference, source=name, device=device)
    replaced = {(factor.workload_class, factor.reference) for factor in factors}
    others = [
        factor
        for factor in base.factors
        if factor.tier != "2" or (factor.workload_class, factor.reference) not in replaced
    ]
    all_factors, all_energies = (*others, *factors), tuple(energies.values())
    used = cited((base.driver, base.dtypes), base.known_figures().values(), base.embodied, base.meter)
    used |= cited(all_factors, all_energies)
    sources = {key: value for key, value in {**base.sources, name: described}.items() if key in used}
    return replace(base, factors=all_factors, calibration=all_energies, sources=sources), factors


def _energy(outcome: Outcome, source: str) -> CalibrationEnergy:
    point, energy = outcome.point, outcome.joules_per_unit
    assert energy is not None
    low, high = energy.interval()
    return CalibrationEnergy(
        protocol=PROTOCOL,
        point=point.name,
        point_sha256=point.sha256,
        workload_class=point.workload_class,
        config=point.config,
        config_sha256=point.config_sha256,
        dtype=point.dtype,
        unit=point.unit,
        joules_per_unit=_four(energy.value),
        interval_95=(min(_four(max(low, 0.0)), _four(energy.value)), max(_four(high), _four(energy.value))),
        source=source,
        use=None if outcome.use is None else round(outcome.use, 3),
    )


def _source(outcomes: Sequence[Outcome], device: Device) -> Source:
    """Who says so: the calibration's own records, by the hashes of their journals."""
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    digest = hashlib.sha256(
        "".join(sorted(record.provenance.journal_sha256 for record in records)).encode()
    ).hexdigest()
    software = {name: version for record in records for name, version in record.environment.software.items()}
    made_of = [
        f"{name} {software[name]}" for name in ("torch", "transformers", "diffusers") if name in software
    ]
    limit = f"{device.power_limit_w:g} W" if device.power_limit_w is not None else "not known"
    return Source(
        title=", ".join(
            (
                f"{PROTOCOL} with energy-rating {__version__}",
                *made_of,
                f"driver {device.driver or 'not known'}",
                f"power limit {limit}: {len(records)} records, whose journals' SHA-256 have together {digest[:16]}",
            )
        ),
        date=max(record.created for record in records)[:10],
    )


def _write(profile: Profile, folder: Path) -> Path:
    path = folder / f"{profile.key}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot be made ({error.strerror or error})", "Name another folder with --output", place=folder
        ) from error
    comment = f"{profile.name}, with what energy-rating calibrate found (docs/calibration.md)."
    write_whole(path, profile_to_toml(profile, comment).encode())
    return path


# ---------------------------------------------------------------------------------------------------------- in words


def _rests_on(factor: Factor) -> str:
    models, points = ("s" if number > 1 else "" for number in (factor.models, factor.rows))
    return f"{factor.models} model{models}, {factor.rows} point{points}"


def _told(outcome: Outcome) -> str:
    assert outcome.joules_per_unit is not None
    energy = outcome.joules_per_unit
    told = [f"{with_doubt(energy, 'J')} per {energy.unit}"]
    if energy.component != "gpu":
        told.append(f"{energy.component}{', estimated' if energy.estimated else ''}")
    if outcome.use is not None:
        told.append(f"{outcome.use:.0%} of the limit")
    if outcome.ratio is not None:
        told.append(f"there over here {significant(outcome.ratio, 3)}")
    return ", ".join(told)


def calibration_to_json(found: Calibration) -> dict[str, Any]:
    """What ``calibrate --json`` prints."""
    return {
        "protocol": PROTOCOL,
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
            }
            for outcome in found.outcomes
        ],
        "factors": [plain(factor) for factor in found.factors],
        "profile": None if found.profile is None else str(found.profile),
        "records": str(found.records),
        "reasons": list(found.reasons),
    }


def calibration_to_text(found: Calibration) -> str:
    """The same in lines for a person."""
    device = found.device
    lines = []
    if device is not None:
        limit = f", limit {device.power_limit_w:g} W" if device.power_limit_w is not None else ""
        lines.append(
            f"{device.name}, driver {device.driver or 'not known'}{limit}; reference {found.reference}"
        )
    width = max(len(outcome.point.name) for outcome in found.outcomes)
    for workload_class in dict.fromkeys(outcome.point.workload_class for outcome in found.outcomes):
        lines += ["", workload_class]
        for outcome in found.outcomes:
            if outcome.point.workload_class != workload_class:
                continue
            said = _told(outcome) if outcome.joules_per_unit is not None else "not measured"
            lines.append(f"  {outcome.point.name:<{width}}  {said}")
            if outcome.left_out is not None:
                lines.append(f"  {'':<{width}}  left out: {outcome.left_out}")
        for factor in found.factors:
            if factor.workload_class == workload_class:
                models = _rests_on(factor)
                lines.append(
                    f"  factor to {factor.reference}: {significant(factor.value, 3)} ×/÷ {factor.interval:.3g} "
                    f"(90 %, tier 2, {models})"
                )
    lines.append("")
    lines += [f"No factor: {reason}" for reason in found.reasons]
    lines.append(f"Records: {found.records}")
    if found.profile is not None:
        lines.append(f"Profile: {found.profile}")
    return "\n".join(lines).lstrip("\n")
