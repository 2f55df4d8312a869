"""What a benchmark is going to do, worked out before anything is measured. Conducted in ``conduct``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.tasks import (
    Protocol,
    TaskFile,
    check_items,
    items_sha256,
    read_items,
    shipped_items,
)
from energy_rating.benchmarking.withheld import HIDDEN, is_secret, shown
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Load, Quality

# What Load says by itself, what the record must not say, and what is said of the model.
_NOT_SETTINGS = (
    *(
        "task",
        "max_new_tokens",
        "batch_size",
        "concurrency",
        "request_rate",
        "max_num_seqs",
        "seed",
        "reasoning",
    ),
    *("command", "endpoint", "download", "dtype", "options"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done: a protocol with the caller's wishes, and the items. ``exactly``: no repeats beyond its number.

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

    @property
    def own_items(self) -> bool:
        """Whether the items are the caller's."""
        return "items" in self.files


def planned(
    task: TaskFile,
    *,
    protocol: str | None = None,
    items: Path | None = None,
    repeats: int | None = None,
    min_duration_s: float | None = None,
    budget_s: float | None = None,
    cooldown_s: float | None = None,
    idle_s: float | None = None,
    seed: int = 0,
    wishes: Mapping[str, object] | None = None,
    quality: Sequence[Quality] = (),
    workload: str | None = None,
) -> Plan:
    """A plan from a task's protocol and the caller's wishes.

    Args:
        task: the task.
        protocol: one of its protocols; by default its own.
        items: a file or a folder of items, in place of the protocol's.
        repeats: exactly so many, in place of the protocol's.
        min_duration_s: that one repeat takes at least.
        budget_s: that the whole may take. The first repeat is made in any case; another one only if it will be over in time.
        cooldown_s: rest between two repeats, at most: it ends when all devices are within 2 °C of what the first repeat began with;
            where none tells its temperature, it is that long. By default 120 s, and none where no temperature is told.
        idle_s: idle before and after, in place of the protocol's.
        seed: of the model's sampler, of arrival times and of the choice of items.
        wishes: fields of ``Settings`` that are to differ from the protocol's, by name; ``download`` also lets the items be
            fetched from a hub.
        quality: how good the model's answers are, and who says so.
        workload: the name of the engine, for the record.

    Raises:
        BadInput: there is no such protocol, its items are not here, or a wish cannot be granted.
    """
    name, found = task.protocol(protocol)
    for option, value in (
        ("--min-duration", min_duration_s),
        ("--budget", budget_s),
        ("--cooldown", cooldown_s),
        ("--idle", idle_s),
    ):
        if value is not None and not 0 <= value < math.inf:
            raise BadInput(f"{value!r} is not a time", "Give seconds", place=option)
    settings = _settings(task, found, seed, wishes or {})
    chosen, files, findings = _chosen_items(task, name, found, items, settings)
    check_items(chosen, task, str(items) if items is not None else name)
    if repeats is not None:
        found = replace(found, repeats=repeats)
    if min_duration_s is not None:
        found = replace(found, shortest_s=min_duration_s)
    if idle_s is not None:
        found = replace(found, idle_s=idle_s)
    if settings.random_weights is not None:
        findings.append(
            Finding(
                code="random-weights",
                message="the model was built from a configuration with random weights: the energy is that of its architecture",
                remedy="Its answers mean nothing and no quality is told; name a trained model for a figure of one",
                severity="degrades",
            )
        )
        quality = ()
    return Plan(
        task=task,
        protocol_name=name,
        protocol=found,
        items=chosen,
        files={f"tasks/{task.name}.toml": task.sha256, **files},
        settings=settings,
        findings=tuple(findings),
        quality=tuple(quality),
        workload=workload,
        exactly=repeats is not None,
        budget_s=math.inf if budget_s is None else budget_s,
        cooldown_s=cooldown_s,
    )


def _settings(task: TaskFile, protocol: Protocol, seed: int, wishes: Mapping[str, object]) -> Settings:
    of_protocol = {
        name: getattr(protocol, name)
        for name in (
            *(
                "batch_size",
                "concurrency",
                "request_rate",
                "max_num_seqs",
                "max_new_tokens",
                "min_new_tokens",
            ),
            *("max_input_tokens", "reasoning", "dtype"),
        )
    }
    known = {one.name for one in fields(Settings)}
    for name in wishes:
        if name not in known:
            raise BadInput(f"{name[:80]!r} is nothing that can be set", place="settings")
    wanted = {name: value for name, value in wishes.items() if value is not None}
    settings = replace(Settings(task=task.kind, seed=seed, **of_protocol), **wanted)  # type: ignore[arg-type]
    for name in (
        "batch_size",
        "concurrency",
        "request_rate",
        "max_num_seqs",
        "max_new_tokens",
        "max_input_tokens",
    ):
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise BadInput(f"{value!r} is not above 0", place=f"--{name.replace('_', '-')}")
    if (settings.min_new_tokens or 0) > (settings.max_new_tokens or math.inf):
        raise BadInput("more new tokens at least than at most", place="--min-new-tokens")
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
        told = Finding(
            code="items-fetched",
            message=f"{len(items)} items of the data set {dataset.id}, split {dataset.split}, at commit {dataset.revision or 'unknown'}",
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
            Finding(
                code="items-stand-in",
                message=f"{len(items)} items that ship with the package stand in for the data set {protocol.dataset.id}",
                remedy="Give the data set's own with --items FILE, or allow fetching them with --download",
            )
        )
    drawn = protocol.synthetic
    if drawn is not None:
        what = "pictures" if drawn.kind == "image" else "sounds"
        findings.append(
            Finding(
                code="items-synthetic",
                message=f"the {what} were drawn from a number ({drawn.count} of them, seed {drawn.seed}); they show nothing",
                remedy="Give real ones with --items",
            )
        )
    # The hash of the texts stands under the name of their file, as long as there is nothing else.
    file = protocol.items_file if drawn is None else f"{task.name}.{name}.items"
    return items[:most], {f"tasks/{file}": items_sha256(items)}, findings


def load(plan: Plan) -> Load:
    settings, usual = plan.settings, Settings()
    told: dict[str, str | int | float | bool] = {}
    for one in fields(Settings):
        value = getattr(settings, one.name)
        if one.name not in _NOT_SETTINGS and value != getattr(usual, one.name):
            told[one.name] = value.name if isinstance(value, Path) else value
    told |= {f"option.{name}": _shown(name, value) for name, value in settings.options.items()}
    if plan.workload is not None:
        told["workload"] = plan.workload
    return Load(
        items=len(plan.items),
        batch_size=settings.batch_size,
        concurrency=settings.concurrency,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        request_rate=settings.request_rate,
        max_num_seqs=settings.max_num_seqs,
        reasoning=settings.reasoning,
        settings=told,
    )


def _shown(name: str, value: str | int | float | bool) -> str | int | float | bool:
    """An engine's own argument as the record may tell it."""
    if isinstance(value, str):
        return shown(name, value)
    return HIDDEN if is_secret(name) and not isinstance(value, bool) else value
