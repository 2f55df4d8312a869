"""What a label of 0.1.0 tells of a record and its rating: gathered here, put into words in ``said``, drawn in ``drawing``."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from energy_rating.judging.profiles import is_example
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    RUN,
    TRAINING,
    Component,
    Device,
    Measurement,
    Method,
    Rating,
    Record,
    worst_method,
)
from energy_rating.publishing.facts import headline, lead, units
from energy_rating.publishing.first_release.said import COMPONENTS, FirstFacts, Origin, plain
from energy_rating.publishing.strangers import for_picture

HASH_DIGITS = 12
REVISION_DIGITS = 12


def facts_of(record: Record, rating: Rating) -> FirstFacts:
    # Of training the run is rated, wherever in it the work was counted.
    of_run = record.stage in TRAINING and RUN in record and rating.energy_per_unit_j is not None
    measurement = record[RUN] if of_run else headline(record)
    component = _component(measurement, rating)
    unit = _unit(record, rating, measurement)
    own = None
    if measurement is not None and component is not None:
        own = measurement.energy_j[component]
        amount = measurement.work.get(unit or "")
        own = own.times(1 / amount) if amount else None if unit else own
    # What was measured is the headline, whatever it was normalised to for the stars.
    normalised = rating.energy_per_unit_j if rating.basis == "normalised" and own is not None else None
    energy = own if normalised is not None else rating.energy_per_unit_j or own
    return FirstFacts(
        rating=rating,
        example=is_example(record),
        model=for_picture(record.model.id) if record.model else "a model that is not named",
        revision=_revision(record),
        task=_task(record, unit),
        window=for_picture(measurement.name, most=40) if measurement is not None else None,
        component=component,
        origin=_origin(record, rating, measurement, component) if energy is not None else None,
        energy=energy,
        unit=for_picture(unit, most=24) if unit else None,
        normalised=normalised,
        beside=tuple(_beside(measurement, unit, energy)),
        quality=_quality(record),
        boundary=_boundary(record, measurement, component),
        hardware=_hardware(record, measurement, component),
        power_limit=_power_limit(record, measurement, component),
        software=_software(record, measurement, component),
        load=_load(record),
        day=for_picture(record.created[:10]),
        journal=for_picture(record.provenance.journal_sha256[:HASH_DIGITS]),
    )


def _component(measurement: Measurement | None, rating: Rating) -> Component | None:
    """Whose energy is shown: the component that was rated, by its figure; else the one that is told first."""
    if measurement is None or not measurement.energy_j:
        return None
    had: list[Component] = [name for name in COMPONENTS if name in measurement.energy_j]
    amount = measurement.work.get(rating.unit or "")
    if amount and rating.energy_per_unit_j is not None:
        for name in had:
            each = measurement.energy_j[name].value / amount
            if math.isclose(each, rating.energy_per_unit_j.value, rel_tol=1e-9):
                return name
    return lead(measurement)


def _unit(record: Record, rating: Rating, measurement: Measurement | None) -> str | None:
    if rating.energy_per_unit_j is not None:
        return rating.unit
    made = units(measurement) if measurement is not None else ()
    wanted = (rating.unit, record.task.unit if record.task else None, *made)
    return next((unit for unit in wanted if unit in made), None)


def _origin(
    record: Record, rating: Rating, measurement: Measurement | None, component: Component | None
) -> Origin:
    if measurement and component and _method(record, measurement, component) == "model":
        return "estimated"
    return "indicative" if is_example(record) else rating.basis or "measured"


def _beside(
    measurement: Measurement | None, unit: str | None, energy: Estimate | None
) -> Iterator[tuple[str, Estimate]]:
    """The energy per token, image and so on, beside that per unit."""
    if measurement is None or energy is None or not unit or not measurement.work.get(unit):
        return
    for other in units(measurement)[:8]:
        if other != unit:
            per = measurement.work[unit] / measurement.work[other]
            yield for_picture(other, most=24), energy.times(per)


def _revision(record: Record) -> str | None:
    revision = record.model.revision if record.model else None
    if not revision:
        return None
    # A commit by its first digits; a branch or a tag by its name.
    is_hash = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) is not None
    return revision[:REVISION_DIGITS] if is_hash else for_picture(revision, most=40)


def _task(record: Record, unit: str | None) -> str:
    name = for_picture(record.task.name) if record.task else record.stage
    return f"{name}, per {for_picture(unit, most=24)}" if unit else name


_PARTS: Mapping[Component, str] = {"gpu": "GPU", "cpu": "CPU", "dram": "RAM"}
_HOW = {"counter": "by energy counter", "power": "by power readings", "model": "estimated by a model"}


def _boundary(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    """What the figure holds and how it was had, and what it leaves out."""
    if measurement is None or component is None:
        return "nothing was measured"
    how = _method(record, measurement, component)
    left_out = [
        part + (" (estimated)" if _method(record, measurement, name) == "model" else "")
        for name, part in _PARTS.items()
        if component in _PARTS and name != component
    ]
    told = f", {_HOW[how]}" if how else ""
    return f"{COMPONENTS[component]}{told}; not in it: {', '.join([*left_out, 'cooling (PUE)'])}"


def _method(record: Record, measurement: Measurement, component: Component) -> Method | None:
    """How the component's energy was had: the least direct of the ways."""
    methods = [
        channel.method
        for channel in record.channels
        if channel.component == component and channel.id in measurement.energy_by_channel_j
    ]
    if component in measurement.methods:
        methods.append(measurement.methods[component])
    return worst_method(methods)


def _devices(
    record: Record, measurement: Measurement | None, component: Component | None
) -> list[Device | None]:
    """The devices that the shown energy came from; None for one that the record does not describe."""
    if measurement is None or component is None:
        return list(record.environment.devices)
    by_id = {device.id: device for device in record.environment.devices}
    used = dict.fromkeys(
        channel.device
        for channel in record.channels
        if channel.component == component and channel.id in measurement.energy_by_channel_j
    )
    return [by_id.get(name) for name in used]


def _hardware(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    kinds = Counter(
        "device that is not named"
        if device is None
        else for_picture(device.name) + (" (a part of it, MIG)" if device.mig else "")
        for device in _devices(record, measurement, component)
    )
    told = [f"{count} × {name}" for name, count in kinds.items()]
    return "; ".join(told[:4]) or "hardware that is not named"


def _power_limit(record: Record, measurement: Measurement | None, component: Component | None) -> str | None:
    devices = _devices(record, measurement, component)
    limits_w = [device.power_limit_w for device in devices if device and device.power_limit_w]
    if not limits_w:
        return None
    ends = dict.fromkeys((plain(min(limits_w)), plain(max(limits_w))))
    return f"power limit {'–'.join(ends)} W"


# What a workload may run in, before what it is built on. The rest of an environment is the instrument's own.
_ENGINES = ("vllm", "sglang", "llama.cpp", "xllamacpp", "diffusers", "transformers", "torch", "jax")
_INSTRUMENT = ("energy-rating", "pynvml", "codecarbon", "linux", "darwin", "windows", "numpy")


def _software(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    software = record.environment.software
    names = [name for name in _ENGINES if name in software]
    names = names or [name for name in software if name not in _INSTRUMENT]
    told = [f"{for_picture(name, most=24)} {for_picture(software[name], most=24)}" for name in names[:3]]
    devices = _devices(record, measurement, component)
    drivers = dict.fromkeys(device.driver for device in devices if device and device.driver)
    told += [f"driver {for_picture(driver, most=24)}" for driver in list(drivers)[:1]]
    return ", ".join(told) or "not stated"


def _load(record: Record) -> str:
    load, told = record.load, []
    if record.model and record.model.dtype:
        told.append(for_picture(record.model.dtype, most=24))
    if load is not None:
        told += [f"batch {load.batch_size:,}"] if load.batch_size is not None else []
        told += [f"concurrency {load.concurrency:,}"] if load.concurrency is not None else []
        told += [f"{load.items:,} items"] if load.items is not None else []
        told += [f"at most {load.max_new_tokens:,} new tokens"] if load.max_new_tokens is not None else []
    return ", ".join(told) or "not stated"


def _quality(record: Record) -> str:
    told = [
        f"{for_picture(item.metric, most=40)} {plain(item.value)} ({for_picture(item.source, most=60)})"
        for item in record.quality[:2]
    ]
    if len(record.quality) > len(told):
        told.append(f"{len(record.quality) - len(told)} more in the card")
    return "; ".join(told) or "not stated"
