"""What a benchmark is going to do, worked out before anything is measured. Conducted in ``conduct``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.options import asked_for, known, not_default, refuse_unknown
from energy_rating.benchmarking.settings import Conduct, OperatingPoint, Settings
from energy_rating.benchmarking.tasks import (
    Protocol,
    TaskFile,
    check_items,
    items_sha256,
    name_of_shipped,
    read_items,
    shipped_items,
)
from energy_rating.benchmarking.work import Item
from energy_rating.files.withheld import HIDDEN, is_secret, shown
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Load, Quality, Setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done: a protocol with what the caller asks for, and the items. ``exactly``: no repeats beyond its number.

    ``cooldown_s``: rest between two repeats, at most; a device that tells its temperature rests until it has that of the start, any
    other for the whole time. None: 120 s for the first kind, and no rest for the other. ``protocol_name`` None: the caller's own
    rules, which nothing compares with. ``files``: hashes of what the items came from.
    ``workload``: the name of the engine, where it has one.
    """

    task: TaskFile
    protocol_name: str | None
    protocol: Protocol
    items: tuple[Any, ...]
    files: Mapping[str, str]
    settings: Settings
    findings: tuple[Finding, ...] = ()
    quality: tuple[Quality, ...] = ()
    workload: str | None = None
    exactly: bool = False
    budget_s: float = math.inf
    cooldown_s: float | None = 0.0


def planned(
    task: TaskFile,
    *,
    protocol: str | None = None,
    items: Path | None = None,
    quality: Sequence[Quality] = (),
    workload: str | None = None,
    **asked: object,
) -> Plan:
    """A plan from a task's protocol and what the caller asks for.

    Args:
        task: the task.
        protocol: one of its protocols; by default its own.
        items: a file or a folder of items, in place of the protocol's.
        quality: how good the model's answers are, and who says so.
        workload: the name of the engine, for the record.
        asked: options that are to differ from the protocol's: the fields of ``Conduct`` and ``Settings``, by name; None asks for
            nothing. ``download`` also lets the items be fetched from a hub.

    Raises:
        BadInput: there is no such protocol or option, the protocol's items are not here, or what is asked for cannot be.
    """
    refuse_unknown(asked, [*known(Conduct), *known(Settings)], "settings")
    name, found = task.protocol(protocol)
    conduct = asked_for(Conduct(), asked)
    settings = _settings(task, found, asked)
    chosen, files, findings = _chosen_items(task, name, found, items, settings)
    check_items(chosen, task, str(items) if items is not None else name)
    if settings.random_weights is not None:
        findings.append(
            Finding.of(
                "random-weights",
                "the model was built from a configuration with random weights: the energy is that of its architecture",
            )
        )
        quality = ()
    return Plan(
        task=task,
        protocol_name=name,
        protocol=with_conduct(found, conduct),
        items=chosen,
        files={f"tasks/{task.name}.toml": task.sha256, **files},
        settings=settings,
        findings=tuple(findings),
        quality=tuple(quality),
        workload=workload,
        exactly=conduct.repeats is not None,
        budget_s=math.inf if conduct.budget_s is None else conduct.budget_s,
        cooldown_s=conduct.cooldown_s,
    )


def with_conduct(protocol: Protocol, conduct: Conduct) -> Protocol:
    """The protocol with the caller's numbers in place of its own."""
    given = {"repeats": conduct.repeats, "shortest_s": conduct.min_duration_s, "idle_s": conduct.idle_s}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(protocol, **changes)


def _settings(task: TaskFile, protocol: Protocol, asked: Mapping[str, object]) -> Settings:
    of_protocol = {name: getattr(protocol, name) for name in known(OperatingPoint)}
    settings = asked_for(asked_for(Settings(task=task.kind), of_protocol), asked)
    if (settings.min_new_tokens or 0) > (settings.max_new_tokens or math.inf):
        raise BadInput(
            f"min new tokens must be at most max new tokens ({settings.max_new_tokens}); got {settings.min_new_tokens}",
            "Lower the one or raise the other",
            place="--min-new-tokens",
        )
    if settings.batch_size > 1 and settings.serves:
        raise BadInput(
            "a batch size and a concurrency or a request rate are asked for",
            "Ask for one of them",
            place="--batch-size",
        )
    return settings


def _chosen_items(
    task: TaskFile, name: str, protocol: Protocol, path: Path | None, settings: Settings
) -> tuple[tuple[Item, ...], dict[str, str], list[Finding]]:
    """The items, the hashes of what they came from, and what is to be said of them."""
    most = protocol.items
    if path is not None:
        items = read_items(path)[:most]
        return items, {"items": items_sha256(items)}, []
    if protocol.dataset is not None and settings.download:
        from energy_rating.benchmarking.tasks.hub import at_commit, fetched

        dataset = at_commit(protocol.dataset)
        items = fetched(dataset, most, settings.seed)
        told = Finding.of(
            "items-fetched",
            f"{len(items)} items of the data set {dataset.id}, split {dataset.split}, at commit {dataset.revision or 'unknown'}",
        )
        return items, {f"datasets/{dataset.id}": items_sha256(items)}, [told]
    if not protocol.ships:
        source = f"the data set {protocol.dataset.id}" if protocol.dataset else "a data set"
        raise BadInput(
            f"the items of {name} are {source}, which does not ship with the package",
            "Give them with --items FILE (JSON Lines), or allow fetching them with --download",
            place="--items",
        )
    items = shipped_items(protocol)
    findings = []
    if protocol.dataset is not None:
        findings.append(
            Finding.of(
                "items-stand-in",
                f"{len(items)} items that ship with the package stand in for the data set {protocol.dataset.id}",
            )
        )
    drawn = protocol.synthetic
    if drawn is not None:
        what = "pictures" if drawn.kind == "image" else "sounds"
        findings.append(
            Finding.of(
                "items-synthetic",
                f"the {what} were drawn from a number ({drawn.count} of them, seed {drawn.seed}); they show nothing",
            )
        )
    return items[:most], {str(name_of_shipped(task, name)): items_sha256(items)}, findings


def load(plan: Plan) -> Load:
    """What the record tells of the settings: what it has a key for by that, all else by its name where it was asked for."""
    settings = plan.settings
    keys = {one.name for one in fields(Load)}
    own: dict[str, Any] = {
        name: getattr(settings, name)
        for name, one in known(type(settings)).items()
        if one.option.recorded and name in keys
    }
    if settings.max_new_tokens is not None:
        # What an item allows for itself holds for it; the bound of all is the highest.
        of_items = (getattr(item, "max_new_tokens", None) or 0 for item in plan.items)
        own["max_new_tokens"] = max((settings.max_new_tokens, *of_items))
    told: dict[str, Setting] = {
        one.name: value.name if isinstance(value, Path) else value
        for one, value in not_default(settings)
        if one.option.recorded and one.name not in keys
    }
    told |= {f"option.{name}": _shown(name, value) for name, value in settings.options.items()}
    if plan.workload is not None:
        told["workload"] = plan.workload
    return Load(**own, items=len(plan.items), settings=told)


def _shown(name: str, value: Setting) -> Setting:
    """An engine's own argument as the record may tell it."""
    if isinstance(value, str):
        return shown(name, value)
    return HIDDEN if is_secret(name) and not isinstance(value, bool) else value
