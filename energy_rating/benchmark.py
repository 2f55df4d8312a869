"""A task, a workload and the meter: load, idle, warm up, repeat until it is sure enough, idle again. Judges nothing but that.

The windows are ``load``, ``idle-before``, ``warm-up``, ``measured`` (one a repeat), ``idle-after``. Every repeat does the same work,
so that their scatter tells how repeatable the figure is. Idle is measured with the model loaded: a context that is open draws
more than a device asleep.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from energy_rating.errors import BadInput, EnergyRatingError
from energy_rating.formats import read_journal
from energy_rating.meter import Run, measure
from energy_rating.records import MEASURED, Load, Model, Task
from energy_rating.sampler import Clock
from energy_rating.sensors import Detection, Sensor
from energy_rating.summary import STUDENT, window_energies
from energy_rating.tasks import FOLDER, Protocol, TaskFile, read_items
from energy_rating.workloads import Settings, Workload

# Enough: half the 95 % interval of the mean, from the repeats' scatter alone; the sensor's gain is 8 % (NVML) and stays.
SURE_ENOUGH = 0.005

# The doubt of the mean has stopped falling when one more repeat improves it by less.
STILL_FALLING = 0.05

# Beyond the protocol's number of repeats, at most so many times as many.
MOST_REPEATS_SHARE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a benchmark is: the phase, how much of it is done (0 to 1), and since when it runs."""

    phase: str
    share: float
    elapsed_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be done: a protocol with the caller's wishes, and the items. ``exactly``: no repeats beyond its number."""

    task: TaskFile
    protocol_name: str
    protocol: Protocol
    items: tuple[str, ...]
    items_sha256: str
    own_items: bool
    exactly: bool = False
    seed: int = 0
    budget_s: float = math.inf

    @property
    def settings(self) -> Settings:
        """What the workload has to know."""
        return Settings(
            max_new_tokens=self.protocol.max_new_tokens,
            min_new_tokens=self.protocol.min_new_tokens,
            batch_size=self.protocol.batch_size,
            seed=self.seed,
            dtype=self.protocol.dtype,
        )


def planned(
    task: TaskFile,
    *,
    protocol: str | None = None,
    items: Path | None = None,
    repeats: int | None = None,
    min_duration_s: float | None = None,
    budget_s: float | None = None,
    seed: int = 0,
) -> Plan:
    """A plan from a task's protocol and the caller's wishes.

    Raises:
        BadInput: there is no such protocol, its items are not here, or a wish cannot be granted.
    """
    import hashlib

    name, found = task.protocol(protocol)
    path = items if items is not None else (FOLDER / found.items_file if found.items_file else None)
    if path is None:
        source = f"the data set {found.dataset.id}" if found.dataset else "a data set"
        raise BadInput(
            f"the items of {name} are {source}, which does not ship with the package",
            "Give them with --items FILE, one a line (JSON Lines or plain text)",
            place="--items",
        )
    texts = read_items(path)
    if found.items is not None and len(texts) > found.items:
        texts = texts[: found.items]
    if repeats is not None:
        found = replace(found, repeats=repeats)
    if min_duration_s is not None:
        found = replace(found, shortest_s=min_duration_s)
    return Plan(
        task=task,
        protocol_name=name,
        protocol=found,
        items=texts,
        items_sha256=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        own_items=items is not None,
        exactly=repeats is not None,
        seed=seed,
        budget_s=math.inf if budget_s is None else budget_s,
    )


def benchmark(
    workload: Workload,
    plan: Plan,
    *,
    model: Model,
    output_dir: Path | None = None,
    sensors: Sequence[str | Sensor | Detection] | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[Progress], None] = lambda _: None,
    report: Callable[[str], None] | None = None,
) -> Run:
    """Runs a plan and returns the run, which has ended and holds the record.

    Raises:
        EnergyRatingError: the workload failed; what was measured until then is in the run's folder, marked.
    """
    protocol = plan.protocol
    load = Load(
        items=len(plan.items),
        batch_size=protocol.batch_size,
        concurrency=protocol.concurrency,
        max_new_tokens=protocol.max_new_tokens,
        seed=plan.seed,
    )
    run = measure(
        "inference",
        model=model,
        task=Task(name=plan.task.name, protocol=plan.protocol_name, unit=plan.task.unit),
        load=load,
        files={
            f"tasks/{plan.task.name}.toml": plan.task.sha256,
            "items" if plan.own_items else f"tasks/{protocol.items_file}": plan.items_sha256,
        },
        output_dir=output_dir,
        sensors=sensors,
        clock=clock,
        report=report,
    )
    with run, contextlib.closing(_Closing(workload)):
        _Benchmark(run, workload, plan, sleep, progress).go()
    return run


class _Closing:
    """Closes a workload when the run is over, also when it failed."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def close(self) -> None:
        self._workload.close()


class _Benchmark:
    def __init__(
        self,
        run: Run,
        workload: Workload,
        plan: Plan,
        sleep: Callable[[float], None],
        progress: Callable[[Progress], None],
    ) -> None:
        self.run = run
        self.workload = workload
        self.plan = plan
        self.sleep = sleep
        self.tell = progress
        self.start_s = run.elapsed_s()

    def go(self) -> None:
        with self._phase("load"):
            self.workload.load()
        self._idle("idle-before")
        self._warm_up()
        self._repeat()
        self._idle("idle-after")

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._progress(name, 0.0)
        with self.run.window(name):
            yield
        self._progress(name, 1.0)

    def _progress(self, phase: str, share: float) -> None:
        self.tell(Progress(phase=phase, share=min(share, 1.0), elapsed_s=self.run.elapsed_s()))

    def _idle(self, name: str) -> None:
        wanted = self.plan.protocol.idle_s
        with self._phase(name):
            end = self.run.elapsed_s() + wanted
            while (left := end - self.run.elapsed_s()) > 0:
                self.sleep(min(left, 0.5))
                self._progress(name, 1 - (end - self.run.elapsed_s()) / wanted)

    def _warm_up(self) -> None:
        wanted = self.plan.protocol.warm_up_items
        with self.run.window("warm-up") as window:
            done = 0
            while done < wanted:
                batch = self.plan.items[: self.plan.protocol.batch_size]
                window.count(**self.workload.run(batch))
                done += len(batch)
                self._progress("warm-up", done / wanted)

    def _repeat(self) -> None:
        protocol = self.plan.protocol
        most = protocol.repeats if self.plan.exactly else MOST_REPEATS_SHARE * protocol.repeats
        rounds: int | None = None
        doubts: list[float] = []
        for number in range(1, most + 1):
            rounds = self._measured(rounds, number, most)
            over_budget = self.run.elapsed_s() - self.start_s > self.plan.budget_s
            if number >= protocol.repeats:
                doubts.append(self._doubt())
                if self._sure_enough(doubts):
                    return
            if over_budget:
                if number < protocol.repeats:
                    self.run.tell(
                        "budget-spent",
                        f"the budget of {self.plan.budget_s:.0f} s allowed {number} repeats of {protocol.repeats}",
                        "Raise --budget",
                        "degrades",
                        MEASURED,
                    )
                return

    def _measured(self, rounds: int | None, number: int, most: int) -> int:
        """One repeat: so many rounds over the items, or, in the first, as many as the shortest time asks for."""
        protocol, items = self.plan.protocol, self.plan.items
        size = protocol.batch_size
        done = 0
        with self.run.window(MEASURED) as window:
            start = self.run.elapsed_s()
            while (
                done < rounds
                if rounds is not None
                else (done == 0 or self.run.elapsed_s() - start < protocol.shortest_s)
            ):
                for first in range(0, len(items), size):
                    window.count(**self.workload.run(items[first : first + size]))
                    of_round = (first + size) / len(items)
                    share = self._share(done + of_round, rounds, self.run.elapsed_s() - start)
                    # The protocol's repeats are what is expected; more are the exception.
                    expected = protocol.repeats if number <= protocol.repeats else most
                    self._progress(f"{MEASURED} {number}/{expected}", (number - 1 + share) / expected)
                done += 1
        return done

    def _share(self, done: float, rounds: int | None, elapsed_s: float) -> float:
        if rounds is not None:
            return min(done / rounds, 1.0)
        shortest = self.plan.protocol.shortest_s
        return min(done, elapsed_s / shortest if shortest > 0 else 1.0, 1.0)

    def _doubt(self) -> float:
        """Half the 95 % interval of the mean energy of a repeat, relative, from the scatter; infinite if nothing is known."""
        if self.run.journal is None:
            return math.inf
        try:
            energies = window_energies(read_journal(self.run.journal), MEASURED)
        except EnergyRatingError:
            return math.inf  # no disk: then the protocol's number of repeats it is
        values = next(iter(energies.values()), [])
        if len(values) < 2 or mean(values) <= 0:
            return math.inf
        student = 1.96 * STUDENT.get(len(values) - 1, 1.1)
        return student * stdev(values) / math.sqrt(len(values)) / mean(values)

    def _sure_enough(self, doubts: Sequence[float]) -> bool:
        if not math.isfinite(doubts[-1]) or doubts[-1] <= SURE_ENOUGH:
            return True
        return len(doubts) >= 2 and doubts[-1] > (1 - STILL_FALLING) * doubts[-2]


def default_workload(task: TaskFile, model: str) -> str:
    """The workload that suits a model where none was named.

    Raises:
        BadInput: none does by itself.
    """
    if model.endswith(".gguf"):
        return "llama_cpp"
    if task.name == "text-to-image":
        return "diffusers"
    raise BadInput(
        f"no workload runs {model[:80]!r} by itself",
        "Name a GGUF file, or a workload with --workload",
        place="MODEL",
    )
