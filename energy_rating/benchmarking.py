"""A task, a workload and the meter: load, idle, warm up, repeat until it is sure enough, idle again. Judges nothing but that.

The windows are ``load``, ``idle-before``, ``warm-up``, ``measured`` (one a repeat), ``idle-after``. Every repeat does the same work,
so that their scatter tells how repeatable the figure is. Idle is measured with the model loaded: a context that is open draws
more than a device asleep.

Where requests overlap, a repeat is one stream of them, in a window ``serving``, and ``measured`` is the part of it in which the
server was kept full (``workloads.served``).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import IO, Any

from energy_rating.files.journal import decoded
from energy_rating.files.reading import read_journal
from energy_rating.judging.summary import energies_between, window_energies
from energy_rating.judging.sums import STUDENT
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.queues import drain_queues
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.meter import Run, measure
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import scaled
from energy_rating.nouns.records import (
    LEADING,
    MEASURED,
    METHODS,
    Finding,
    Load,
    Model,
    Number,
    Quality,
    Record,
    Task,
)
from energy_rating.tasks import (
    MOST_ITEMS,
    Protocol,
    TaskFile,
    check_items,
    items_sha256,
    load_task,
    read_items,
    shipped_items,
    tasks,
)
from energy_rating.withheld import HIDDEN, is_secret, shown
from energy_rating.workloads import Done, Item, Settings, Workload, workloads

# Enough: half the 95 % interval of the mean, from the repeats' scatter alone; the sensor's gain is 8 % (NVML) and stays.
SURE_ENOUGH = 0.005

# The doubt of the mean has stopped falling when one more repeat improves it by less.
STILL_FALLING = 0.05

# Beyond the protocol's number of repeats, at most so many times as many.
MOST_REPEATS_SHARE = 2

# A drift that would change the figure by less over the time that is measured is none (our measuring rules, warm-up).
DRIFTS = 0.005

# Drift is looked for in so many blocks of at least so long: ten refreshes of a counter of 100 ms.
BLOCKS = 10
BLOCK_S = 1.0

# How much more of it there must be before it is looked at again: reading the journal takes time in which nothing works.
LOOKS_AGAIN = 1.2

# A device climbs while it does so faster (our measuring rules, warm-up). Temperatures are told in whole degrees every ten seconds:
# one degree a minute shows over seven of them, not over fewer.
CLIMBS_C_PER_S = 1.0 / 60
LOOKS = 7

# A warm-up that may not last so long says nothing of temperatures: they climb for a minute or two, and seven looks take another.
TELLS_HEAT_S = 150.0

# A device that has told nothing for so long is gone; nobody waits for it.
GONE_S = 35.0

# Of a budget, warming up takes at most so much.
WARM_UP_SHARE = 0.5

# Between repeats it cools until it is within so much of what the first one began with (our measuring rules, repeats) …
AS_AT_THE_START_C = 2.0
# … but no longer than this, unless --cooldown says how long. Our choice: twelve looks of the sampler's.
COOLS_AT_MOST_S = 120.0

# Kendall's test for a trend, two-sided at 95 % (normal law; Kendall, Biometrika 30 (1938) 81, for its variance).
TREND = 1.96

# A server is full for long enough where there are so many requests for each that is under way at once.
ROUNDS_OF_FULL = 4

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
class Progress:
    """Where a benchmark is: the phase, how much of it is done (0 to 1), and since when it runs.

    ``energy_j`` is what the ``component`` that does the work has taken so far, roughly; ``left_s`` how long it will still take.
    ``requests``: how many of a stream of them are answered, and how many there are. None: nobody knows. An empty ``phase``: it
    broke off.
    """

    phase: str
    share: float
    elapsed_s: float
    task: str = ""
    model: str = ""
    energy_j: float | None = None
    component: str = ""
    left_s: float | None = None
    requests: tuple[int, int] | None = None


def progress_line(now: Progress, width: int) -> str:
    """Where a benchmark is, in one line: task, model, phase, energy so far, time passed and time left."""
    passed = _clock(now.elapsed_s)
    energy = "" if now.energy_j is None else f"{now.component} {scaled(now.energy_j, 'J')}"
    left = "" if now.left_s is None else f"{_clock(now.left_s)} left"
    answered = "" if now.requests is None else f"{now.requests[0]:,}/{now.requests[1]:,}"
    # On a narrow terminal the bar goes first, then the time that has passed where the other is known; half a figure is a wrong one.
    for bar, parts in (
        (12, (answered, passed, energy, left)),
        (0, (answered, passed, energy, left)),
        (0, (answered, "" if left else passed, energy, left)),
        (0, (answered, "" if left else passed, left)),
        (0, (left or passed,)),
        (0, ()),
    ):
        drawn = f" [{'#' * round(bar * now.share):<{bar}}]" if bar else ""
        line = " · ".join([f"{now.phase}{drawn} {now.share:4.0%}", *filter(None, parts)])
        if len(line) <= width:
            break
    about = " · ".join(part for part in (now.task, now.model.rpartition("/")[2]) if part)
    room = width - len(line) - 2
    if room < 8:
        return line[:width]
    return f"{about if len(about) <= room else about[: room - 1] + '…'}  {line}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


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
        from energy_rating.tasks.hub import at_commit, fetched

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


class WorkloadFailed(EnergyRatingError):
    """What was to be measured broke off. What was measured until then is in the run's folder, marked."""


def run_plan(
    workload: Workload,
    plan: Plan,
    *,
    model: Model,
    output_dir: Path | None = None,
    sensors: Sequence[str | Sensor | Detection] | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[Progress], None] | None = None,
    report: Callable[[str], None] | None = None,
    place: str | None = None,
) -> Run:
    """Runs a plan and returns the run, which has ended and holds the record.

    Raises:
        EnergyRatingError: the workload failed; what was measured until then is in the run's folder, marked.
    """
    run = measure(
        "inference",
        model=model,
        task=Task(name=plan.task.name, protocol=plan.protocol_name, unit=plan.task.unit),
        load=_load(plan),
        files=plan.files,
        place=place,
        output_dir=output_dir,
        sensors=sensors,
        clock=clock,
        report=report,
    )
    now = clock.now if clock is not None else time.monotonic
    going = _Benchmark(run, workload, plan, sleep, progress, model.id, now)
    with run:
        try:
            going.go()
        except EnergyRatingError as error:
            going.failed(error)
            raise
        except (
            Exception
        ) as error:  # a framework raises what it likes; it is told in one line, with its cause behind it
            going.failed(error)
            raise WorkloadFailed(
                f"the workload failed in {going.phase!r}: {type(error).__name__}: {_first_line(error)}",
                f"What was measured until then is in {run.folder}" if run.folder else "",
            ) from error
        except BaseException:  # Ctrl-C, or somebody asked the process to end
            going.cancelled()
            raise
        finally:
            going.close()
            workload.close()
    return run


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "it does not say why")[
        :200
    ]


def _load(plan: Plan) -> Load:
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


class _Benchmark:
    def __init__(
        self,
        run: Run,
        workload: Workload,
        plan: Plan,
        sleep: Callable[[float], None],
        progress: Callable[[Progress], None] | None,
        model: str,
        now: Callable[[], float],
    ) -> None:
        self.run = run
        self.now = now  # what the workload's spans are in
        self.workload = workload
        self.plan = plan
        self.sleep = sleep
        self.tell = progress
        self.model = model
        self.phase = "load"
        self._over = False
        self._told: set[str] = set()
        self._tally = _Tally()
        self._repeat_s: list[float] = []
        self._cooldown_s: list[float] = []
        self._start_c: dict[str, float] = {}  # what each device had when the first repeat began

    def go(self) -> None:
        for finding in self.plan.findings:
            self._find(finding)
        for quality in self.plan.quality:
            self.run.judged(quality)
        with self._phase("load"):
            self.workload.load()
        self._idle("idle-before", self.plan.protocol.idle_s)
        self._warm_up()
        self._repeat()
        self._idle("idle-after", self.plan.protocol.idle_s)
        self._over = True

    def close(self) -> None:
        """Closes what it reads along, and tells if nothing more will come; the run is another's."""
        self._tally.close()
        if self.tell is not None and not self._over:
            self.tell(Progress(phase="", share=1.0, elapsed_s=self.run.elapsed_s(), model=self.model))

    def failed(self, error: Exception) -> None:
        """Says in the record where it broke off."""
        self.run.tell(
            "workload-failed",
            f"the workload failed in {self.phase!r} ({type(error).__name__}); the figures are what was measured until then",
            "Look at what it said, and run it again",
            "disqualifies",
            self._broken_off(),
        )

    def cancelled(self) -> None:
        """Says in the record that somebody ended it, and where."""
        self.run.tell(
            "cancelled",
            f"it was cancelled in {self.phase!r}; the figures are what was measured until then",
            "Run it again",
            "disqualifies",
            self._broken_off(),
        )

    def _broken_off(self) -> str | None:
        """What a break concerns: what is measured, if there is any of it yet; a stream of requests has to be over first."""
        begun = self.phase.startswith(MEASURED) and not self.plan.settings.serves
        return MEASURED if self._repeat_s or begun else None

    def _find(self, finding: Finding) -> None:
        if finding.code not in self._told:
            self._told.add(finding.code)
            self.run.tell(
                finding.code, finding.message, finding.remedy, finding.severity, finding.measurement
            )

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._progress(name, 0.0)
        with self.run.window(name):
            yield
        self._progress(name, 1.0)

    def _progress(
        self,
        phase: str,
        share: float,
        *,
        requests: tuple[int, int] | None = None,
        left_s: float | None = None,
    ) -> None:
        self.phase = phase
        if self.tell is None:
            return
        energy_j, component = self._tally.so_far(self.run.journal)
        self.tell(
            Progress(
                phase=phase,
                share=min(share, 1.0),
                elapsed_s=self.run.elapsed_s(),
                task=self.plan.task.name,
                model=self.model,
                energy_j=energy_j,
                component=component,
                left_s=self._left_s(phase, share) if left_s is None else left_s,
                requests=requests,
            )
        )

    def _looks(self) -> Mapping[str, Sequence[Look]]:
        """The last looks at each device that still tells what it is like, by what its readings are called, oldest first."""
        known_s = self.run.elapsed_s() - GONE_S
        return {
            name: looks
            for name, looks in self._tally.looks(self.run.journal).items()
            if looks and looks[-1].t >= known_s
        }

    def _left_s(self, phase: str, share: float) -> float | None:
        """By the repeats so far; more of them than the protocol's are the exception."""
        idle_s = self.plan.protocol.idle_s
        if phase == "idle-after":
            return max(0.0, idle_s * (1 - share))
        if not self._repeat_s or not phase.startswith((MEASURED, "cooldown")):
            return None
        repeats = self.plan.protocol.repeats
        to_come = max(
            0.0, repeats * (1 - share) if phase.startswith(MEASURED) else repeats - len(self._repeat_s)
        )
        cooldown_s = mean(self._cooldown_s) if self._cooldown_s else self.plan.cooldown_s or 0.0
        return to_come * (mean(self._repeat_s) + cooldown_s) + idle_s

    def _idle(self, name: str, wanted_s: float) -> None:
        with self._phase(name):
            end = self.run.elapsed_s() + wanted_s
            while (left := end - self.run.elapsed_s()) > 0:
                self.sleep(min(left, 0.5))
                self._progress(name, 1 - (end - self.run.elapsed_s()) / wanted_s)

    # -- work

    def _do(
        self, items: Sequence[Any], *, counts: bool = True, heard: Callable[[int], None] | None = None
    ) -> Done:
        """One call of the workload. ``heard`` is told now and then how many of the items are done, if the workload tells.

        ``counts``: this is what is measured, and its parts go into the journal; else they are left out, as they would be mixed with
        those under the same name, and so is what it says of the measured part.
        """
        tells = heard is not None and self.tell is not None and hasattr(self.workload, "tell")
        if tells:
            self.workload.tell = heard  # type: ignore[attr-defined]
        try:
            found = self.workload.run(items)
        finally:
            if tells:
                self.workload.tell = None  # type: ignore[attr-defined]
        done = found if isinstance(found, Done) else Done(work=found)
        for finding in done.findings:
            if counts or finding.measurement != MEASURED:
                self._find(finding)
        if counts:
            self._note(done)
        return done

    def _note(self, done: Done) -> None:
        for span in done.spans:
            self.run.note(span.name, span.start_s, span.end_s, span.work)

    def _warm_up(self) -> None:
        protocol, settings = self.plan.protocol, self.plan.settings
        batch = self.plan.items[: settings.batch_size]
        if settings.serves:
            batch = self._stream(1)[: max(protocol.warm_up_items, 2 * settings.concurrency)]
        blocks = _Blocks()
        looked = 0
        changes = ""
        done, start, steady = 0, self.run.elapsed_s(), False
        # The idle after it is paid for from the same budget.
        budget_s = max(0.0, WARM_UP_SHARE * (self.plan.budget_s - start - protocol.idle_s))
        cap_s = min(protocol.warm_up_cap_s, budget_s)

        def heard(answered: int) -> None:
            of = len(batch)
            answered = min(answered, of)  # a stranger's model says it
            self._progress("warm-up", min(answered / of, 0.99), requests=(answered, of))

        self._progress("warm-up", 0.0)
        with self.run.window("warm-up") as window:
            while not steady:
                before = self.run.elapsed_s()
                window.count(**self._do(batch, counts=False, heard=heard).work)
                now = self.run.elapsed_s()
                whole = blocks.add(before, now)
                done += len(batch)
                enough = done >= protocol.warm_up_items and now - start >= protocol.warm_up_s
                of_time = (now - start) / protocol.warm_up_s if protocol.warm_up_s else 1.0
                self._progress("warm-up", min(done / max(protocol.warm_up_items, 1), of_time, 0.99))
                if not enough and now - start < budget_s:
                    continue
                if not enough:
                    self._find(_not_steady_yet(now - start, 0, ""))
                    break
                if settings.serves or protocol.warm_up_cap_s <= 0:
                    steady = True
                    continue
                n = len(blocks.whole)
                if whole and n >= BLOCKS:
                    changes = self._condition_changes(start) if cap_s >= TELLS_HEAT_S else ""
                    if not changes and n >= LOOKS_AGAIN * looked:
                        looked = n
                        steady = not self._drifts(blocks.whole[-BLOCKS:])
                if not steady and now - start >= cap_s:
                    self._find(_not_steady_yet(now - start, n, changes))
                    break
        self._progress("warm-up", 1.0)

    def _condition_changes(self, since_s: float) -> str:
        """What still changes of the devices' temperatures, and of what holds their clocks down; empty where nothing does.

        What a device does not tell is not waited for.
        """
        for name, told in self._looks().items():
            looks = [look for look in told if look.t >= since_s]
            known = [(look.t, look.temperature_c) for look in looks if look.temperature_c is not None]
            if len(looks) < LOOKS and any(look.temperature_c is not None for look in told):
                return f"how the temperature of {name} changes was not known yet"
            # One that fails now and then is known by the others.
            if len(known) > LOOKS // 2:
                times, degrees = zip(*known, strict=True)
                if abs(slope(times, degrees)) >= CLIMBS_C_PER_S:
                    return f"{name} went from {degrees[0]:.0f} to {degrees[-1]:.0f} °C in the last {times[-1] - times[0]:.0f} s"
            # A limit that is just about reached is felt at one look and not at the next: halves are compared.
            reasons = [look.throttled_by for look in looks if look.throttled_by is not None]
            half = len(reasons) // 2
            if half and frozenset().union(*reasons[:half]) != frozenset().union(*reasons[half:]):
                return f"what holds the clocks of {name} down still changed"
        return ""

    def _drifts(self, blocks: Sequence[tuple[float, float, int]]) -> bool:
        """Whether energy a step, or power, goes up or down over these blocks by more than would matter later."""
        if self.run.journal is None or len(blocks) < BLOCKS:
            return False
        try:
            found = energies_between(
                read_journal(self.run.journal), [(start, end) for start, end, _ in blocks]
            )
        except EnergyRatingError:
            return False
        energies = next((found[name] for name in LEADING if name in found), [])
        if len(energies) != len(blocks):
            return False
        middles = [(start + end) / 2 for start, end, _ in blocks]
        protocol = self.plan.protocol
        planned_s = max(protocol.repeats * protocol.shortest_s, blocks[-1][1] - blocks[0][0])
        per_step = [energy / n for energy, (_, _, n) in zip(energies, blocks, strict=True)]
        power_w = [energy / (end - start) for energy, (start, end, _) in zip(energies, blocks, strict=True)]
        return drifts(middles, per_step, planned_s) or drifts(middles, power_w, planned_s)

    def _repeat(self) -> None:
        protocol = self.plan.protocol
        most = protocol.repeats if self.plan.exactly else MOST_REPEATS_SHARE * protocol.repeats
        rounds: int | None = None
        doubts: list[float] = []
        one = self._served if self.plan.settings.serves else self._measured
        for number in range(1, most + 1):
            if number == 1:
                self._start_c = self._temperatures()
            else:
                self._cool_down(max(1, protocol.repeats - number + 1))
            begun = self.run.elapsed_s()
            rounds = one(rounds, number, most)
            self._repeat_s.append(self.run.elapsed_s() - begun)
            if number >= protocol.repeats:
                doubts.append(self._doubt())
                if self._sure_enough(doubts):
                    break
            if number < most and not self._another_fits():
                if number < protocol.repeats:
                    self.run.tell(
                        "budget-spent",
                        f"the budget of {self.plan.budget_s:.0f} s allowed {number} repeats of {protocol.repeats}",
                        "Raise --budget",
                        "degrades",
                        MEASURED,
                    )
                break
        self._look_for_drift()

    def _temperatures(self) -> dict[str, float]:
        """The last temperature that each device told, if that is not long ago."""
        known_s = self.run.elapsed_s() - GONE_S
        return {
            name: look.temperature_c
            for name, looks in self._looks().items()
            for look in looks
            if look.temperature_c is not None and look.t >= known_s
        }

    def _cool_down(self, to_come: int) -> None:
        """Rests until the devices are as warm as when the first repeat began, or, where none tells, for the time that was asked for.

        ``to_come``: how many repeats still are, which share what the budget leaves for rest. A device that is as warm already does not rest: it would only begin colder than before.
        """
        wanted_s = self.plan.cooldown_s
        if not self._start_c:
            if wanted_s:
                self._idle("cooldown", wanted_s)
                self._cooldown_s.append(wanted_s)
            return
        most_s = COOLS_AT_MOST_S if wanted_s is None else wanted_s
        # The rest is not to cost the repeats that it is for.
        before = self.run.elapsed_s()
        spare_s = (
            self.plan.budget_s - before - to_come * self._repeat_s[-1] - self.plan.protocol.idle_s
        ) / to_come
        most_s = max(0.0, min(most_s, spare_s))
        if self._too_warm() and most_s > 0:
            with self._phase("cooldown"):
                while (passed_s := self.run.elapsed_s() - before) < most_s and self._too_warm():
                    self.sleep(min(0.5, most_s - passed_s))
                    self._progress("cooldown", passed_s / most_s)
        passed_s = self.run.elapsed_s() - before
        self._cooldown_s.append(passed_s)
        warm = self._too_warm()
        if warm and wanted_s != 0:
            self._find(
                Finding(
                    code="not-cooled",
                    message=f"after {passed_s:.0f} s of rest between two repeats {warm}",
                    remedy="Allow more time with --cooldown (and --budget), or warm up longer",
                    measurement=MEASURED,
                )
            )

    def _too_warm(self) -> str:
        """Which device is too warm for another repeat; empty where none is, or it no longer tells."""
        for name, now_c in self._temperatures().items():
            start_c = self._start_c.get(name, math.inf)
            if now_c > start_c + AS_AT_THE_START_C:
                return f"{name} was still at {now_c:.0f} °C; the first one began at {start_c:.0f} °C"
        return ""

    def _another_fits(self) -> bool:
        """Whether one more repeat, which takes as long as the last one, and the idle after it are over within the budget."""
        # A rest that goes by temperature is cut short by the budget itself.
        rest_s = 0.0 if self._start_c else self.plan.cooldown_s or 0.0
        to_come = rest_s + self._repeat_s[-1] + self.plan.protocol.idle_s
        return self.run.elapsed_s() + to_come <= self.plan.budget_s

    def _spent(self) -> bool:
        """Whether a repeat that lasts until now leaves the budget no more than the idle after it."""
        return self.run.elapsed_s() + self.plan.protocol.idle_s >= self.plan.budget_s

    def _measured(self, rounds: int | None, number: int, most: int) -> int:
        """One repeat: so many rounds over the items, or, in the first, as many as the shortest time asks for."""
        protocol, items = self.plan.protocol, self.plan.items
        size = self.plan.settings.batch_size
        done = 0
        with self.run.window(MEASURED) as window:
            start = self.run.elapsed_s()
            while (
                done < rounds
                if rounds is not None
                else done == 0 or (self.run.elapsed_s() - start < protocol.shortest_s and not self._spent())
            ):
                for first in range(0, len(items), size):
                    window.count(**self._do(items[first : first + size]).work)
                    of_round = (first + size) / len(items)
                    share = self._share(done + of_round, rounds, self.run.elapsed_s() - start)
                    self._progress_of_repeat(number, most, share)
                done += 1
        return done

    def _progress_of_repeat(
        self,
        number: int,
        most: int,
        share: float,
        *,
        requests: tuple[int, int] | None = None,
        repeat_s: float | None = None,
    ) -> None:
        """``requests``: of this repeat. ``repeat_s``: how long it will take, where that is known before it is over."""
        # The protocol's repeats are what is expected; more are the exception.
        expected = self.plan.protocol.repeats if number <= self.plan.protocol.repeats else most
        left_s = None
        if repeat_s is not None:
            others_s = (expected - number) * (repeat_s + (self.plan.cooldown_s or 0.0))
            left_s = (1 - share) * repeat_s + others_s + self.plan.protocol.idle_s
        self._progress(
            f"{MEASURED} {number}/{expected}",
            (number - 1 + share) / expected,
            requests=requests,
            left_s=left_s,
        )

    def _share(self, done: float, rounds: int | None, elapsed_s: float) -> float:
        if rounds is not None:
            return min(done / rounds, 1.0)
        shortest = self.plan.protocol.shortest_s
        return min(done, elapsed_s / shortest if shortest > 0 else 1.0, 1.0)

    # -- serving

    def _stream(self, rounds: int) -> tuple[Any, ...]:
        """The items, so often that a server is kept full by them for a while."""
        items = self.plan.items
        least = (
            ROUNDS_OF_FULL * self.plan.settings.concurrency if self.plan.settings.request_rate is None else 1
        )
        return tuple(items) * max(rounds, math.ceil(least / len(items)))

    def _served(self, rounds: int | None, number: int, most: int) -> int:
        """One repeat: a stream of requests. While it turns out too short, it warms up, and the next one is longer."""
        shortest_s = self.plan.protocol.shortest_s
        rounds = rounds or 1
        while True:
            stream = self._stream(rounds)
            rounds = len(stream) // len(self.plan.items)
            if rounds > 1:
                self._find(
                    Finding(
                        code="items-repeated",
                        message=f"{len(self.plan.items)} items were asked several times each to keep the server full",
                        remedy="Give more items; see that nothing answers from a cache",
                    )
                )
            self._progress_of_repeat(number, most, 0.0)
            with self.run.window("serving") as window:
                before = self.now()
                done = self._do(stream, counts=False, heard=self._hearing(number, most, len(stream), before))
                after = self.now()
                window.count(**done.work)
            start, end, work = before, after, done.work
            if done.steady is not None:
                start, end, work = done.steady.start_s, done.steady.end_s, done.steady.work
            lasted_s = end - start
            left_s = self.plan.budget_s - self.run.elapsed_s() - self.plan.protocol.idle_s
            # So many rounds are over within the budget.
            within = math.floor(min(rounds * left_s / max(after - before, 1e-6), MOST_ROUNDS))
            if number == 1 and lasted_s < shortest_s and rounds < within:
                # The coming up and the running down take the same time, however long the stream.
                longer = 1.1 * shortest_s / lasted_s if lasted_s > 0 else 2.0
                rounds = min(math.ceil(rounds * min(max(longer, 1.5), 20.0)), within)
                self.run.note("warm-up", start, end, work)
                continue
            self.run.note(MEASURED, start, end, work)
            self._note(done)
            for finding in done.findings:
                self._find(finding)
            self._progress_of_repeat(number, most, 1.0)
            return rounds

    def _hearing(self, number: int, most: int, n: int, begun_s: float) -> Callable[[int], None]:
        """What is to be told when so many requests of a stream are answered."""

        def heard(answered: int) -> None:
            answered = min(answered, n)
            passed_s = self.now() - begun_s
            # A first stream that turns out too short is asked again, and longer.
            repeat_s = max(passed_s * n / answered, self.plan.protocol.shortest_s) if answered else None
            self._progress_of_repeat(number, most, answered / n, requests=(answered, n), repeat_s=repeat_s)

        return heard

    # -- when it is enough

    def _energies(self) -> list[float]:
        if self.run.journal is None:
            return []
        try:
            found = window_energies(read_journal(self.run.journal), MEASURED)
        except EnergyRatingError:
            return []  # no disk: then the protocol's number of repeats it is
        return next((found[name] for name in LEADING if name in found), [])

    def _doubt(self) -> float:
        """Half the 95 % interval of the mean energy of a repeat, relative, from the scatter; infinite if nothing is known."""
        values = self._energies()
        if len(values) < 2 or mean(values) <= 0:
            return math.inf
        student = 1.96 * STUDENT.get(len(values) - 1, 1.1)
        return student * stdev(values) / math.sqrt(len(values)) / mean(values)

    def _sure_enough(self, doubts: Sequence[float]) -> bool:
        if not math.isfinite(doubts[-1]) or doubts[-1] <= SURE_ENOUGH:
            return True
        return len(doubts) >= 2 and doubts[-1] > (1 - STILL_FALLING) * doubts[-2]

    def _look_for_drift(self) -> None:
        values = self._energies()
        if self.plan.protocol.warm_up_cap_s > 0 and drifts(range(len(values)), values, len(values) - 1):
            change = slope(range(len(values)), values) * (len(values) - 1) / mean(values)
            self.run.tell(
                "not-steady",
                f"from the first repeat to the last the energy went {'up' if change > 0 else 'down'} by {abs(change):.1%}, "
                "more than chance does",
                "Warm up longer, or let it cool down between repeats with --cooldown",
                "degrades",
                MEASURED,
            )


# Of the items, in one stream of requests.
MOST_ROUNDS = 10_000


class _Blocks:
    """Steps one after the other, put together until they take ``BLOCK_S``: start, end, number."""

    def __init__(self) -> None:
        self.whole: list[tuple[float, float, int]] = []
        self._start_s = 0.0
        self._n = 0

    def add(self, before_s: float, after_s: float) -> bool:
        """Takes in a step; says whether a block is whole by it."""
        if self._n == 0:
            self._start_s = before_s
        self._n += 1
        if after_s - self._start_s < BLOCK_S:
            return False
        self.whole.append((self._start_s, after_s, self._n))
        self._n = 0
        return True


def _not_steady_yet(lasted_s: float, blocks: int, changes: str) -> Finding:
    """``changes``: what of the devices' conditions did, if it was that."""
    seen = changes or (
        "its power still changed"
        if blocks >= BLOCKS
        else "too few steps were done to tell whether its power is steady"
    )
    return Finding(
        code="not-steady",
        message=f"warming up was ended after {lasted_s:.0f} s; {seen}",
        remedy="See that nothing else runs on the device, and that it is cooled",
        severity="degrades",
        measurement=MEASURED,
    )


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil's and Sen's slope: the median of those of all pairs (Sen, J. Am. Stat. Assoc. 63 (1968) 1379)."""
    pairs = itertools.combinations(zip(times, values, strict=True), 2)
    return median((b - a) / (t - s) for (s, a), (t, b) in pairs)


def drifts(times: Sequence[float], values: Sequence[float], over_s: float) -> bool:
    """Whether values go up or down by more than 0.5 % over that time, and by more than chance does.

    A slope of ten noisy blocks, drawn out over minutes, is always more than 0.5 %; so it counts only where Kendall's test tells
    a trend from none.
    """
    n = len(values)
    if n < 3 or mean(values) <= 0:
        return False
    ups = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    z = (abs(ups) - 1) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return z > TREND and abs(slope(times, values)) * over_s / mean(values) > DRIFTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a device was like at a time of the run, as the sampler saw it. None: it did not tell."""

    t: float
    temperature_c: float | None
    throttled_by: frozenset[str] | None


class _Tally:
    """The journal, read along as it grows: what was taken so far, for the eye, and what the devices are like.

    Figures are the record's; and nobody asks a device twice.
    """

    EVERY_S = 1.0

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._looked_s = -math.inf
        self._components: dict[str, tuple[str, str]] = {}  # component and method of each channel
        self._last: dict[str, tuple[float, float]] = {}  # time and value of its last reading
        self._joules: dict[str, dict[str, float]] = {}  # by component and method
        self._rest = b""
        self._named: dict[str, str] = {}  # what the readings of each device are called
        self._told: dict[str, deque[Look]] = {}

    def looks(self, path: Path | None) -> Mapping[str, Sequence[Look]]:
        """The last looks at each device, oldest first, by what its readings are called; none where there is no journal."""
        if path is not None:
            with contextlib.suppress(OSError, EnergyRatingError):
                self._read(path)
        return {name: tuple(told) for name, told in self._told.items()}

    def so_far(self, path: Path | None) -> tuple[float | None, str]:
        """Joules and component; None where nothing was read."""
        now = time.monotonic()
        if path is not None and now - self._looked_s >= self.EVERY_S:
            self._looked_s = now
            with contextlib.suppress(OSError, EnergyRatingError):
                self._read(path)
        component = next((name for name in LEADING if name in self._joules), "")
        by_method = self._joules.get(component, {})
        method = next((name for name in METHODS if name in by_method), None)
        if method is None:
            return None, component
        return by_method[method], f"{component}, estimated" if method == "model" else component

    def _read(self, path: Path) -> None:
        if self._file is None:
            self._file = path.open("rb")
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            entry = decoded(line + b"\n", place=path.name)
            for channel in entry.get("channels") or ():
                self._components[channel["id"]] = (channel["component"], channel["method"])
                self._named.setdefault(channel["device"], channel["id"].partition(".")[0])
            for device, told in (entry.get("condition") or {}).items():
                reasons = None if told.get("idle") else told.get("throttled_by")
                self._told.setdefault(self._named.get(device, device), deque(maxlen=LOOKS)).append(
                    Look(
                        t=entry["t"],
                        temperature_c=told.get("temperature_c"),
                        throttled_by=None if reasons is None else frozenset(reasons),
                    )
                )
            for channel_id, value in (entry.get("r") or {}).items():
                before_s, before = self._last.get(channel_id, (entry["t"], value))
                self._last[channel_id] = (entry["t"], value)
                component, method = self._components[channel_id]
                more = value - before if method == "counter" else value * (entry["t"] - before_s)
                by_method = self._joules.setdefault(component, {})
                by_method[method] = by_method.get(method, 0.0) + max(0.0, more)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def default_workload(task: TaskFile, model: str, *, endpoint: str | None = None) -> str:
    """The workload that suits a model where none was named.

    Raises:
        BadInput: none does by itself.
    """
    if endpoint is not None:
        name = "endpoint"
    elif model.endswith(".gguf"):
        name = "llama_cpp"
    elif task.kind in ("text-to-image", "text-to-video"):
        name = "diffusers"
    elif task.kind in ("feature-extraction", "sentence-similarity"):
        name = "sentence_transformers"
    else:
        name = "transformers"
    if name not in workloads():
        raise BadInput(
            f"no workload runs {model[:80]!r} by itself",
            "Name a GGUF file, or a workload with --workload",
            place="MODEL",
        )
    return name


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
        work: dict[str, Number] = {}
        for found in told:
            for unit, amount in _counted(found).items():
                work[unit] = work.get(unit, 0) + amount
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
        if not isinstance(unit, str) or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise BadInput(
                f"the function returns a mapping in which {str(unit)[:40]!r} is a {type(amount).__name__}, no count",
                'Return what it did, such as {"token": 212}, or None',
                place="function",
            )
    return found


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
) -> Record:
    """Benchmarks any Python function, as the command does with a model: idle, warm up, repeat until sure enough, idle.

    Args:
        function: called with one item after the other, or with a list of them if ``batch_size`` is given. It may return what it
            did, by unit (``{"token": 212}``), or a ``workloads.Done``; each item counts as a ``request`` by itself. It returns when
            the work is really done; the queues of torch, jax and cupy are drained for it.
        items: whatever the function takes; they are all taken before it begins, 100,000 at most.
        task: what is done, as the hub calls it (``text-classification``), or any other word.
        protocol: one of the task's; without it, nothing compares with the record, and it is not rated.
        model: the model's id, or what is known of it.
        unit: the unit of the figure; by default the task's, or ``request``.
        batch_size: items at a time.
        repeats: exactly so many; by default 5, and up to 10 until the figure is sure to 0.5 %.
        min_duration_s: that one repeat takes at least, in seconds; by default 60, or as the protocol says.
        warm_up_s: at least so long, in seconds; 0 also does without waiting until the power is steady.
        idle_s: seconds of idle before and after.
        budget_s: seconds that the whole may take. The first repeat is made in any case; another one only if it will be over
            in time.
        cooldown_s: rest between two repeats, at most: it ends when all devices are within 2 °C of what the first repeat began with;
            where none tells its temperature, it is that long. By default 120 s, and none where no temperature is told.
        seed: for the record; seed what the function uses yourself.
        quality: how good the answers are, and who says so.
        output_dir: the run's folder, as for ``measure``.
        sensors: as for ``measure``.
        progress: told where it is.
        clock: for tests.
        sleep: for tests.

    Returns:
        The record. The run's folder holds it too, with its journal.

    Raises:
        BadInput: an argument is wrong.
        WorkloadFailed: the function raised something; that is its cause.
    """
    if not callable(function):
        raise BadInput(
            f"{type(function).__name__} cannot be called", "Give a function of one item", place="function"
        )
    chosen = _all_of(items)
    for argument, whole in (("batch_size", batch_size), ("repeats", repeats)):
        if whole is not None and (isinstance(whole, bool) or not isinstance(whole, int) or whole < 1):
            raise BadInput(f"{whole!r} is not a whole number of at least 1", place=argument)
    if budget_s is not None and not budget_s > 0:
        raise BadInput(f"{budget_s!r} is not a time above 0", place="budget_s")
    if cooldown_s is not None and not 0 <= cooldown_s < math.inf:
        raise BadInput(f"{cooldown_s!r} is not a time of at least 0", place="cooldown_s")
    if task in tasks():
        found = load_task(task)
    else:
        own = {"own": _OWN_RULES}
        found = TaskFile(schema="", name=task, unit="request", default_protocol="own", protocols=own)
    name, rules = found.protocol(protocol) if protocol is not None else (None, _OWN_RULES)
    given = {
        "repeats": repeats,
        "shortest_s": min_duration_s,
        "warm_up_s": warm_up_s,
        "warm_up_cap_s": 0.0 if warm_up_s == 0 else None,
        "idle_s": idle_s,
    }
    rules = replace(rules, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    for argument, value in (
        ("min_duration_s", rules.shortest_s),
        ("warm_up_s", rules.warm_up_s),
        ("idle_s", rules.idle_s),
    ):
        if not 0 <= value < math.inf:
            raise BadInput(f"{value!r} is not a time of at least 0", place=argument)
    sha256 = _sha256_of(chosen)
    plan = Plan(
        task=replace(found, unit=unit or found.unit),
        protocol_name=name,
        protocol=rules,
        items=chosen,
        files={
            **({f"tasks/{task}.toml": found.sha256} if name is not None else {}),
            **({"items": sha256} if sha256 else {}),
        },
        settings=Settings(task=found.kind, batch_size=batch_size or rules.batch_size, seed=seed),
        quality=tuple(quality),
        exactly=repeats is not None,
        budget_s=math.inf if budget_s is None else budget_s,
        cooldown_s=cooldown_s,
    )
    run = run_plan(
        _Function(function, batched=batch_size is not None),
        plan,
        model=model if isinstance(model, Model) else Model(id=model),
        output_dir=None if output_dir is None else Path(output_dir),
        sensors=sensors,
        clock=clock,
        sleep=sleep,
        progress=progress,
    )
    return run.record


_OWN_RULES = Protocol(title="The caller's own items and rules", source="the caller")


def _all_of(items: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise BadInput(
            f"{type(items).__name__} is no list of items",
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
