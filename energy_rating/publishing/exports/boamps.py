"""A report in the form of BoAmps (Boavizta): what a task drew, on what, with which data.

Its validator takes any key, so that a misspelt one is lost in silence: the keys here are held against its schemas, strictly, by a test.
Energy is in kWh under the name *powerConsumption*, parameters in billions, shares and accuracies from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from energy_rating.judging.quality import is_accuracy
from energy_rating.nouns.records import Component, Stage
from energy_rating.publishing.facts import Part
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import JOULES_PER_KWH, Exported, FormGap, Subject, json_text, work_of

VARIANTS = ("json",)
MANY = False

STAGES: dict[Stage, str] = {
    "pre-training": "training",
    "fine-tuning": "finetuning",
    "inference": "inference",
    "other": "other",
}
# What was counted, as BoAmps calls the kind of data.
DATA_TYPES = {
    "token": "token",
    "image": "image",
    "audio_second": "audio",
    "video_second": "video",
    "row": "tabular",
}
HARDWARE: dict[Component, str] = {"gpu": "gpu", "cpu": "cpu", "dram": "ram", "module": "module"}

# Its description of ``quality``: within 10 %, within 25 %, worse.
HIGH, MEDIUM = 0.10, 0.25
BILLION = 1e9


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """The report of one record; empty where no energy was measured."""
    (subject,) = subjects
    gaps: list[FormGap] = []
    measures = list(_measures(subject, gaps))
    if not measures:  # the form has no report without an energy, and a zero would be one
        return Exported(content="", gaps=tuple(gaps))
    content = {
        "header": _header(subject, gaps),
        "task": _task(subject, gaps),
        "measures": measures,
        **_software(subject),
        "infrastructure": _infrastructure(subject, gaps),
        **_environment(subject, gaps),
        **_quality(subject),
    }
    return Exported(content=json_text(content), gaps=tuple(gaps))


def _header(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    gaps.append(
        FormGap(
            field="header.publisher",
            fill="who publishes it, and how confidential it is: write it into the file",
        )
    )
    told: dict[str, Any] = {
        "formatVersionSpecificationUri": "https://github.com/Boavizta/BoAmps/tree/main/model",
        "reportId": str(subject.uuid("boamps")),
        "reportStatus": "draft",
    }
    started = subject.started
    told["reportDatetime"] = started.strftime("%Y-%m-%d %H:%M:%S") if started is not None else "not known"
    if started is None:
        gaps.append(FormGap(field="header.reportDatetime", fill="a time: the record tells none"))
    return told


def _task(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    record = subject.record
    if record.task is None:
        gaps.append(FormGap(field="task.taskFamily", fill="the task: --task NAME when it is measured"))
    told: dict[str, Any] = {
        "taskStage": STAGES[record.stage],
        "taskFamily": record.task.name if record.task is not None else "not said",
        "algorithms": [_algorithm(subject, gaps)],
        "dataset": list(_datasets(subject, gaps)),
    }
    work = work_of(subject)
    if record.stage == "inference":
        if "request" in work:
            told["nbRequest"] = _number(work["request"])
        else:
            gaps.append(FormGap(field="task.nbRequest", fill="the requests that were served: --count"))
    accuracy = next((one for one in record.quality if is_accuracy(one)), None)
    if accuracy is not None and 0 <= accuracy.value <= 1:
        told["measuredAccuracy"] = accuracy.value
    told["taskDescription"] = (
        f"run {for_plain_text(record.run_id, 80)}"
        + (f", {subject.of_which}" if subject.of_which is not None else "")
        + (", an example: this device does not exist" if subject.facts.example else "")
    )
    return told


def _algorithm(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    model = subject.record.model
    if model is None:
        gaps.append(
            FormGap(field="task.algorithms[].foundationModelName", fill="the model's name: --model ORG/NAME")
        )
        return {}
    told: dict[str, Any] = {"foundationModelName": model.id}
    if model.parameters:
        told["parametersNumber"] = model.parameters / BILLION
    else:
        gaps.append(
            FormGap(field="task.algorithms[].parametersNumber", fill="the model's number of parameters")
        )
    if model.dtype:
        told["quantization"] = model.dtype
    framework = next(
        (
            name
            for name in ("vllm", "transformers", "torch", "jax", "keras", "tensorflow")
            if name in subject.record.environment.software
        ),
        None,
    )
    if framework is not None:
        told |= {"framework": framework, "frameworkVersion": subject.record.environment.software[framework]}
    return told


def _datasets(subject: Subject, gaps: list[FormGap]) -> Iterator[dict[str, Any]]:
    """What went in or came out, of what was counted. A task without any has one of a kind that is not known."""
    gaps.append(FormGap(field="task.dataset[].source", fill="where the data came from: no record tells it"))
    work = work_of(subject)
    found = False
    for unit, amount in work.items():
        kind = DATA_TYPES.get(unit.removeprefix("input_").removeprefix("cached_"))
        if kind is None or unit.startswith(("cached_", "reasoning_", "unanswered_", "empty_")):
            continue
        found = True
        usage: Literal["input", "output"] = (
            "output" if subject.record.stage == "inference" and unit == "token" else "input"
        )
        yield {"dataUsage": usage, "dataType": kind, "dataQuantity": _number(amount)}
    if not found:
        gaps.append(
            FormGap(
                field="task.dataset[].dataType",
                fill="what was worked on: count its tokens, images or rows (--count)",
            )
        )
        yield {"dataUsage": "input", "dataType": "other"}


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _measures(subject: Subject, gaps: list[FormGap]) -> Iterator[dict[str, Any]]:
    drawn, measurement, record = subject.energy, subject.measurement, subject.record
    if drawn is None or measurement is None:
        gaps.append(
            FormGap(field="measures[].powerConsumption", fill="an energy: none was measured in this run")
        )
        return
    told: dict[str, Any] = {
        "measurementMethod": "energy-rating"
        if record.origin != "imported"
        else "another tool, taken over by energy-rating",
        "version": record.provenance.version,
        "powerConsumption": drawn.joules.value / JOULES_PER_KWH,
        "measurementDuration": measurement.duration_s,
    }
    modes = {part.component: _mode(part) for part in drawn.parts}
    if mode := modes.get("cpu"):
        told["cpuTrackingMode"] = mode
    if mode := modes.get("gpu"):
        told["gpuTrackingMode"] = mode
    for name in drawn.missing:
        gaps.append(
            FormGap(field="measures[].powerConsumption", fill=f"{name} was not measured, and is not in it")
        )
    if subject.started is not None:
        told["measurementDateTime"] = subject.started.strftime("%Y-%m-%d %H:%M:%S")
    if measurement.idle_j:
        idle = [
            measurement.idle_j[part.component].value
            for part in drawn.parts
            if part.component in measurement.idle_j
        ]
        if len(idle) == len(drawn.parts):
            told["powerCalibrationMeasurement"] = sum(idle) / JOULES_PER_KWH
            told["durationCalibrationMeasurement"] = measurement.duration_s
    yield told


def _mode(part: Part) -> str:
    if part.origin == "estimated":
        return "estimated by a model"
    if part.imported:
        return "as the other tool did"
    return {"counter": "energy counter", "power": "power register"}.get(part.method or "", "sensor")


def _software(subject: Subject) -> dict[str, Any]:
    software = subject.record.environment.software
    told: dict[str, Any] = {}
    if "linux" in software:
        told["system"] = {"os": "linux", "distributionVersion": software["linux"]}
    if "python" in software:
        told["software"] = {"language": "python", "version": software["python"]}
    return told


def _infrastructure(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    record, place = subject.record, subject.record.place
    kinds: dict[tuple[str, str, float | None], int] = {}
    component_of = {channel.device: channel.component for channel in record.channels}
    for device in record.environment.devices:
        component = component_of.get(device.id)
        kind = HARDWARE.get(component, "other") if component is not None else "other"
        key = (kind, for_plain_text(device.name), device.memory_gb)
        kinds[key] = kinds.get(key, 0) + 1
    if not kinds:
        gaps.append(FormGap(field="infrastructure.components", fill="the devices: the record describes none"))
        # The form wants one at least: none of it is known, its number least.
        kinds["other", "not recorded", None] = 0
    told: dict[str, Any] = {
        "infraType": "publicCloud" if place is not None and place.provider else "other",
        "components": [
            {
                "componentName": name,
                "componentType": kind,
                "nbComponent": count,
                **({"memorySize": memory} if memory is not None else {}),
            }
            for (kind, name, memory), count in kinds.items()
        ],
    }
    if place is not None and place.provider:
        told["cloudProvider"] = place.provider
    else:
        gaps.append(
            FormGap(field="infrastructure.infraType", fill="on premise or whose cloud: --provider NAME")
        )
    return told


def _environment(subject: Subject, gaps: list[FormGap]) -> dict[str, Any]:
    impact, place = subject.impact, subject.record.place
    if impact is None or not impact.zone:
        gaps.append(
            FormGap(field="environment.country", fill=subject.why_no_impact or "the country: --zone FRA")
        )
        return {}
    told: dict[str, Any] = {
        "country": impact.zone_name or impact.zone,
        "powerSourceCarbonIntensity": impact.intensity_g_per_kwh,
    }
    if place is not None and place.region:
        told["location"] = place.region
    return {"environment": told}


def _quality(subject: Subject) -> dict[str, Any]:
    """By the doubt of the energy; an energy that lacks a part of the machine is of no high quality."""
    drawn = subject.energy
    if drawn is None or not drawn.joules.value:
        return {}
    share = drawn.joules.half_width() / drawn.joules.value
    if drawn.origin != "measured" or subject.validity == "invalid":
        return {"quality": "low"}
    if share <= HIGH and not drawn.missing:
        return {"quality": "high"}
    return {"quality": "medium" if share <= MEDIUM else "low"}
