"""The models and loads that a calibration runs, and what came of each. Runs none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from energy_rating.benchmarking.calibration.published import Widening
from energy_rating.benchmarking.plan import Plan
from energy_rating.benchmarking.tasks import FOLDER, Protocol, TaskFile, items_sha256
from energy_rating.benchmarking.tasks.synthetic import picture
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.judging.profiles import Factor, WorkloadClass
from energy_rating.nouns.quantities import EnergyPerUnit, significant, with_doubt
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import Device, Finding, Record

# The points below, as they stand. Once energies of a reference are published, a change of any of them is a new protocol.
PROTOCOL = "calibration-2026.1"
CONFIGS = FOLDER / "configs"

# The one format that the matrix units of all GPUs since Volta compute in (normalisation.NATIVE_IN tells which lack the others).
DTYPE = "float16"

# Whether power is steady is told from ten steps, and those of a large model on a small device take ten seconds.
LONGEST_WARM_UP_S = 120.0

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
        finding = Finding.of(
            "random-weights",
            f"a point of {PROTOCOL}: the model has random weights, and serves to compare devices",
            remedy="It is no figure of a model that anybody uses",
        )
        return Plan(
            task=task,
            protocol_name=PROTOCOL,
            protocol=rules,
            items=self.items,
            files={in_record(self): self.sha256, f"tasks/configs/{self.config}.json": self.config_sha256},
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
class PublishedPoint:
    """A published model at its load, as a point. ``config`` is the model's id."""

    name: str
    workload_class: WorkloadClass
    config: str
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PointResult:
    """What became of a point: joules per its unit, the mean power over the limit, the reference's figure, and there over here.

    ``left_out`` says why nothing was made of it, where nothing was. ``apart``: in what the run here is not like the one there, or not
    known to be.
    """

    point: Point | PublishedPoint
    folder: Path
    record: Record | None = None
    joules_per_unit: EnergyPerUnit | None = None
    use: float | None = None
    reference_j: float | None = None
    ratio: float | None = None
    left_out: str | None = None
    was_done: bool = False
    apart: tuple[Widening, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """All of it. ``device`` None: no GPU that a sensor measures. ``profile`` None: nothing was written, and ``reasons`` say why."""

    device: Device | None
    reference: str
    outcomes: tuple[PointResult, ...]
    factors: tuple[Factor, ...]
    profile: Path | None
    records: Path
    why_not: tuple[Reason, ...] = ()
    protocol: str = PROTOCOL

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why no factor can be told, in words."""
        return tuple(str(reason) for reason in self.why_not)


def in_record(point: Point) -> str:
    return f"calibration-points/{point.name}"


def point_to_text(outcome: PointResult) -> str:
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
