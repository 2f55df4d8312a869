"""Any Python function as a workload. How it is measured is left to ``conduct``."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
import textwrap
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.options import asked_for, known, refuse_unknown
from energy_rating.benchmarking.plan import Plan, with_conduct
from energy_rating.benchmarking.progress import Progress
from energy_rating.benchmarking.settings import Conduct, Settings
from energy_rating.benchmarking.tasks import MOST_ITEMS, Protocol, TaskFile, items_sha256, load_task, tasks
from energy_rating.benchmarking.work import Done, Item
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.queues import drain_queues
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Model, Number, Quality, Record, Setting
from energy_rating.nouns.work import Work, is_amount, is_unit, why_not

# ------------------------------------------------------------------------------------------------------- any callable


class _Function:
    """Any Python function as a workload; it is given what the caller gave."""

    def __init__(self, function: Callable[[Any], object], batched: bool) -> None:
        self._function = function
        self._batched = batched

    def load(self) -> None:
        """Nothing: the caller has loaded what there is."""

    def run(self, items: Sequence[Any]) -> Done | Mapping[str, Number]:
        """Calls the function, waits until the devices are done, and returns what it says it did, or only the requests."""
        told = [self._function(list(items))] if self._batched else [self._function(item) for item in items]
        drain_queues()
        work = Work.total(_counted(found) for found in told)
        dones = [found for found in told if isinstance(found, Done)]
        return Done(
            work={"request": len(items), **work},
            spans=[span for done in dones for span in done.spans],
            findings=[finding for done in dones for finding in done.findings],
        )

    def close(self) -> None:
        """Nothing: it is the caller's."""


def _counted(told: object) -> Mapping[str, Number]:
    """What a function says that it did; what it returns beside that is its own affair."""
    if isinstance(told, Coroutine | Generator | AsyncGenerator):
        if isinstance(told, Coroutine):
            told.close()  # it never began
        kind = "asynchronous" if not isinstance(told, Generator) else "a generator"
        raise BadInput(
            f"the function is {kind}: when it returns, nothing is done yet",
            "Give one that returns when the work is done, such as lambda item: asyncio.run(function(item)), "
            "or list(function(item))",
            place="function",
        )
    found = told.work if isinstance(told, Done) else told if isinstance(told, Mapping) else {}
    for unit, amount in found.items():
        if not (is_unit(unit) and is_amount(amount)):
            raise BadInput(
                f"must return what it did, by unit, and {why_not(unit, amount)}",
                'Return such as {"token": 212}, or None',
                place="function",
            )
    return found


# What whoever measures a function of his own may say of how it was run: the record tells it, and a protocol asks for it.
OF_A_FUNCTION = tuple(
    name
    for name, one in known(Settings).items()
    if one.option.of_function and name not in ("batch_size", "seed")
)

F = TypeVar("F", bound=Callable[..., Any])


def _documented(function: F) -> F:
    """Has ``help()`` and editors show the keywords that follow from the declarations, each with its sentence."""
    shown = inspect.signature(function)
    keywords = [known(Settings)[name] for name in OF_A_FUNCTION]
    own = [one for one in shown.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    more = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=f"{one.kind.__name__} | None"
        )
        for one in keywords
    ]
    function.__signature__ = shown.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    if function.__doc__ is not None:  # python -OO has none
        for mark, some in (("{conduct}", known(Conduct).values()), ("{settings}", keywords)):
            lines = [
                textwrap.fill(f"{one.name}: {one.option.help}", 120, subsequent_indent=" " * 12)
                for one in some
            ]
            function.__doc__ = function.__doc__.replace(mark, f"\n{' ' * 8}".join(lines))
    return function


@_documented
def benchmark(
    function: Callable[[Any], object],
    items: Iterable[Any],
    *,
    task: str = "other",
    protocol: str | None = None,
    model: str | Model = "a-function",
    unit: str | None = None,
    batch_size: int | None = None,
    repeats: int | None = None,
    min_duration_s: float | None = None,
    warm_up_s: float | None = None,
    idle_s: float | None = None,
    budget_s: float | None = None,
    cooldown_s: float | None = None,
    seed: int = 0,
    quality: Sequence[Quality] = (),
    output_dir: str | Path | None = None,
    sensors: Sequence[str | Sensor | Detection] | None = None,
    progress: Callable[[Progress], None] | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
    **settings: Setting | None,
) -> Record:
    """Benchmarks any Python function, as the command does with a model: idle, warm up, repeat until sure enough, idle.

    Without a protocol there are 5 repeats of 60 s, and up to 10 until the figure is sure to 0.5 %.

    What the function was asked for beyond its items nobody can see. Say it, or the record does not know it: a protocol that fixes the
    length of an answer rates only what says ``max_new_tokens``, and one that fixes the bits of a weight only a model with a ``dtype``.

    Args:
        function: called with one item after the other, or with a list of them if ``batch_size`` is given. It may return what it
            did, by unit (``{"token": 212}``), or a ``work.Done``; each item counts as a ``request`` by itself. It returns when
            the work is really done; the queues of torch, jax and cupy are drained for it.
        items: whatever the function takes; they are all taken before it begins, 100,000 at most.
        task: what is done, as the hub calls it (``text-classification``), or any other word.
        protocol: one of the task's; without it, nothing compares with the record, and it is not rated.
        model: the model's id, or what is known of it.
        unit: the unit of the figure; by default the task's, or ``request``.
        batch_size: items at a time.
        {conduct}
        warm_up_s: at least so long, in seconds; 0 also does without waiting until the power is steady.
        seed: for the record; seed what the function uses yourself.
        quality: how good the answers are, and who says so.
        output_dir: the run's folder, as for ``measure``.
        sensors: as for ``measure``.
        progress: told where it is.
        clock: for tests.
        sleep: for tests.
        {settings}

    Returns:
        The record. The run's folder holds it too, with its journal.

    Raises:
        BadInput: an argument is wrong.
        WorkloadFailed: the function raised something; that is its cause.
    """
    if not callable(function):
        raise BadInput(f"must be a function of one item; got {type(function).__name__}", place="function")
    conduct = asked_for(
        Conduct(),
        {
            "repeats": repeats,
            "min_duration_s": min_duration_s,
            "idle_s": idle_s,
            "budget_s": budget_s,
            "cooldown_s": cooldown_s,
        },
        python=True,
    )
    asked = {**settings, "seed": seed} | ({} if batch_size is None else {"batch_size": batch_size})
    refuse_unknown(settings, OF_A_FUNCTION, "benchmark()", see=f"There are: {', '.join(OF_A_FUNCTION)}")
    found, name, rules = _rules_of(task, protocol)
    plan = _planned(
        found, name, _warmed_up(with_conduct(rules, conduct), warm_up_s), items, unit, conduct, asked
    )
    run = run_plan(
        _Function(function, batched=batch_size is not None),
        replace(plan, quality=tuple(quality)),
        model=model if isinstance(model, Model) else Model(id=model),
        output_dir=None if output_dir is None else Path(output_dir),
        sensors=sensors,
        clock=clock,
        sleep=sleep,
        progress=progress,
    )
    return run.record


def _rules_of(task: str, protocol: str | None) -> tuple[TaskFile, str | None, Protocol]:
    """The task, and the protocol of it that is asked for by its name; without one, rules of the caller's own."""
    if task in tasks():
        found = load_task(task)
    else:
        own = {"own": _OWN_RULES}
        found = TaskFile(schema="", name=task, unit="request", default_protocol="own", protocols=own)
    return (found, *(found.protocol(protocol) if protocol is not None else (None, _OWN_RULES)))


def _warmed_up(rules: Protocol, warm_up_s: float | None) -> Protocol:
    """The rules with a warm-up of so many seconds; 0 leaves it out."""
    if warm_up_s is None:
        return rules
    if not 0 <= warm_up_s < math.inf:
        raise BadInput(f"must be a time of at least 0; got {warm_up_s!r}", place="warm_up_s")
    return replace(rules, warm_up_s=warm_up_s, warm_up_cap_s=0.0 if warm_up_s == 0 else rules.warm_up_cap_s)


def _planned(
    task: TaskFile,
    name: str | None,
    rules: Protocol,
    items: Iterable[Any],
    unit: str | None,
    conduct: Conduct,
    asked: Mapping[str, object],
) -> Plan:
    """The plan of a function: the rules, the items that it is given, and the settings that it was run with."""
    chosen = _all_of(items)
    sha256 = _sha256_of(chosen)
    return Plan(
        task=replace(task, unit=unit or task.unit),
        protocol_name=name,
        protocol=rules,
        items=chosen,
        files={
            **({f"tasks/{task.name}.toml": task.sha256} if name is not None else {}),
            **({"items": sha256} if sha256 else {}),
        },
        settings=asked_for(Settings(task=task.kind), {"batch_size": rules.batch_size, **asked}, python=True),
        exactly=conduct.repeats is not None,
        budget_s=math.inf if conduct.budget_s is None else conduct.budget_s,
        cooldown_s=conduct.cooldown_s,
    )


_OWN_RULES = Protocol(title="The caller's own items and rules", source="the caller")


def _all_of(items: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise BadInput(
            f"must be a list of items; got {type(items).__name__}",
            "Give a list of what the function takes",
            place="items",
        )
    chosen = tuple(itertools.islice(items, MOST_ITEMS + 1))
    if not chosen:
        raise BadInput("there are no items", "Give a list of what the function takes", place="items")
    if len(chosen) > MOST_ITEMS:
        raise BadInput(f"there are more than {MOST_ITEMS:,} items", "Give fewer", place="items")
    return chosen


def _sha256_of(items: Sequence[Any]) -> str | None:
    """A hash of items that have a written form; None for those that have none."""
    if all(isinstance(item, Item) for item in items):
        return items_sha256(items)
    if all(isinstance(item, str) for item in items):
        return items_sha256([Item(text=item) for item in items])
    try:
        return hashlib.sha256(json.dumps(list(items), sort_keys=True).encode()).hexdigest()
    except (TypeError, ValueError):
        return None
