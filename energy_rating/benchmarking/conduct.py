"""A task, a workload and the meter: load, idle, warm up, repeat until it is sure enough, idle again. Judges nothing but that.

The windows are ``load``, ``idle-before``, ``warm-up``, ``measured`` (one a repeat), ``idle-after``. Every repeat does the same work,
so that their scatter tells how repeatable the figure is. Idle is measured with the model loaded: a context that is open draws
more than a device asleep.

Where requests overlap, a repeat is one stream of them, in a window ``serving``, and ``measured`` is the part of it in which the
server was kept full (``serving.served``).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from energy_rating.benchmarking.earlier import earlier_runs
from energy_rating.benchmarking.engine_account import Account
from energy_rating.benchmarking.plan import Plan, load
from energy_rating.benchmarking.progress import Progress
from energy_rating.benchmarking.steadiness import BLOCKS, StepBlocks, drifts, not_steady_yet, slope
from energy_rating.benchmarking.tally import LOOKS, Look, Tally
from energy_rating.benchmarking.work import Done, Telling, Workload
from energy_rating.files.reading import read_journal
from energy_rating.judging.operating_point import OPERATING_POINT
from energy_rating.judging.summary import energies_between, window_energies
from energy_rating.judging.sums import STUDENT
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.meter import Run, measure
from energy_rating.nouns.errors import SILENT, EnergyRatingError, WorkloadFailed, first_line
from energy_rating.nouns.records import LEADING, MEASURED, Finding, Lineage, Model, Place, Task

# Enough: half the 95 % interval of the mean, from the repeats' scatter alone; the sensor's gain is 8 % (NVML) and stays.
SURE_ENOUGH = 0.005

# The doubt of the mean has stopped falling when one more repeat improves it by less.
STILL_FALLING = 0.05

# Beyond the protocol's number of repeats, at most so many times as many.
MOST_REPEATS_SHARE = 2

# How much more of it there must be before it is looked at again: reading the journal takes time in which nothing works.
LOOKS_AGAIN = 1.2

# A device climbs while it does so faster (our measuring rules, warm-up). Temperatures are told in whole degrees every ten seconds:
# one degree a minute shows over seven of them, not over fewer.
CLIMBS_C_PER_S = 1.0 / 60

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

# A server is full for long enough where there are so many requests for each that is under way at once.
ROUNDS_OF_FULL = 4


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
    place: str | Place | None = None,
    role: str | None = None,
    lineage: Lineage | None = None,
    tally: Tally | None = None,
) -> Run:
    """Runs a plan and returns the run, which has ended and holds the record. The workload is closed, whatever happens.

    Raises:
        BadInput: something that the run was to be told is wrong.
        EnergyRatingError: the workload failed; what was measured until then is in the run's folder, marked.
    """
    with contextlib.closing(workload):
        run = measure(
            "inference",
            model=model,
            task=Task(name=plan.task.name, protocol=plan.protocol_name, unit=plan.task.unit),
            load=load(plan),
            files=plan.files,
            place=place,
            role=role,
            lineage=lineage,
            output_dir=output_dir,
            sensors=sensors,
            clock=clock,
            report=report,
        )
        now = clock.now if clock is not None else time.monotonic
        benchmark = _Benchmark(run, workload, plan, sleep, progress, model.id, now, tally or Tally())
        with run:
            try:
                benchmark.conduct()
            except EnergyRatingError as error:
                benchmark.failed(error)
                raise
            except Exception as error:
                # A framework raises what it likes; it is told in one line, with its cause behind it.
                benchmark.failed(error)
                raise WorkloadFailed(
                    f"the workload failed in {benchmark.phase!r}: {type(error).__name__}: {first_line(error, SILENT)}",
                    f"What was measured until then is in {run.folder}" if run.folder else "",
                ) from error
            except BaseException:  # Ctrl-C, or somebody asked the process to end
                benchmark.cancelled()
                raise
            finally:
                benchmark.close()
                workload.close()  # before the run ends: what a device draws once it is let go belongs to it
    return run


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
        tally: Tally,
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
        self._tally = tally
        self._account = Account()
        self._repeat_s: list[float] = []
        self._cooldown_s: list[float] = []
        self._start_c: dict[str, float] = {}  # what each device had when the first repeat began

    def conduct(self) -> None:
        for finding in self.plan.findings:
            self._find(finding)
        if (earlier := earlier_runs(self.run.folder)) is not None:
            self._find(earlier)
        for quality in self.plan.quality:
            self.run.judged(quality)
        with self._phase("load"):
            self.workload.load()
        self._idle("idle-before", self.plan.protocol.idle_s)
        self._warm_up()
        self._repeat()
        self._conclude()
        self._idle("idle-after", self.plan.protocol.idle_s)
        self._over = True

    def _tell_account(self) -> None:
        """What the engine said of how it ran, once for all."""
        if (told := self._account.finding()) is not None:
            self._find(told)

    def _conclude(self) -> None:
        """What the workload has to say of all that it did, where it has something of that kind."""
        self._tell_account()
        conclude = getattr(self.workload, "conclude", None)
        for finding in conclude() if conclude is not None else ():
            self._find(finding)

    def close(self) -> None:
        """Closes what it reads along, and tells if nothing more will come; the run is another's."""
        self._tally.close()
        if self.tell is not None and not self._over:
            self.tell(Progress(phase="", share=1.0, elapsed_s=self.run.elapsed_s(), model=self.model))

    def failed(self, error: Exception) -> None:
        """Says in the record where it broke off."""
        self._tell_account()
        self.run.tell(
            "workload-failed",
            f"the workload failed in {self.phase!r} ({type(error).__name__}); the figures are what was measured until then",
            measurement=self._broken_off(),
        )

    def cancelled(self) -> None:
        """Says in the record that somebody ended it, and where."""
        self._tell_account()
        self.run.tell(
            "cancelled",
            f"it was cancelled in {self.phase!r}; the figures are what was measured until then",
            measurement=self._broken_off(),
        )

    def _broken_off(self) -> str | None:
        """What a break concerns: what is measured, if there is any of it yet; a stream of requests has to be over first."""
        begun = self.phase.startswith(MEASURED) and not self.plan.settings.serves
        return MEASURED if self._repeat_s or begun else None

    def _find(self, finding: Finding) -> None:
        if finding.code not in self._told:
            self._told.add(finding.code)
            self.run.tell_finding(finding)

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
        self, items: Sequence[Any], *, counts: bool = True, on_progress: Callable[[int], None] | None = None
    ) -> Done:
        """One call of the workload. ``on_progress`` is told now and then how many of the items are done, if the workload tells.

        ``counts``: this is what is measured, and its parts go into the journal; else they are left out, as they would be mixed with
        those under the same name, and so is what it says of the measured part.
        """
        workload = self.workload
        telling = workload if isinstance(workload, Telling) and self.tell is not None else None
        if telling is not None:
            telling.tell = on_progress
        try:
            found = workload.run(items)
        finally:
            if telling is not None:
                telling.tell = None
        done = found if isinstance(found, Done) else Done(work=found)
        for finding in done.findings:
            if finding.code == OPERATING_POINT:
                self._account.hear(finding.data, counts=counts)
            elif counts or finding.measurement != MEASURED:
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
        blocks = StepBlocks()
        looked = 0
        changes = ""
        done, start, steady = 0, self.run.elapsed_s(), False
        # The idle after it is paid for from the same budget.
        budget_s = max(0.0, WARM_UP_SHARE * (self.plan.budget_s - start - protocol.idle_s))
        cap_s = min(protocol.warm_up_cap_s, budget_s)

        def on_progress(answered: int) -> None:
            of = len(batch)
            answered = min(answered, of)  # a stranger's model says it
            self._progress("warm-up", min(answered / of, 0.99), requests=(answered, of))

        self._progress("warm-up", 0.0)
        with self.run.window("warm-up") as window:
            while not steady:
                before = self.run.elapsed_s()
                window.count(**self._do(batch, counts=False, on_progress=on_progress).work)
                now = self.run.elapsed_s()
                whole = blocks.add(before, now)
                done += len(batch)
                enough = done >= protocol.warm_up_items and now - start >= protocol.warm_up_s
                of_time = (now - start) / protocol.warm_up_s if protocol.warm_up_s else 1.0
                self._progress("warm-up", min(done / max(protocol.warm_up_items, 1), of_time, 0.99))
                if not enough and now - start < budget_s:
                    continue
                if not enough:
                    self._find(not_steady_yet(now - start, 0, ""))
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
                    self._find(not_steady_yet(now - start, n, changes))
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
                        f"the budget of {self.plan.budget_s:.0f} s allowed {number} of {protocol.repeats} repeats",
                        measurement=MEASURED,
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
                Finding.of(
                    "not-cooled",
                    f"after {passed_s:.0f} s of rest between two repeats {warm}",
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
                    share = self._share_done(done + of_round, rounds, self.run.elapsed_s() - start)
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

    def _share_done(self, done: float, rounds: int | None, elapsed_s: float) -> float:
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
                    Finding.of(
                        "items-repeated",
                        f"{len(self.plan.items)} items were asked several times each to keep the server full",
                    )
                )
            self._progress_of_repeat(number, most, 0.0)
            with self.run.window("serving") as window:
                before = self.now()
                done = self._do(
                    stream,
                    counts=False,
                    on_progress=self._tell_progress_of(number, most, len(stream), before),
                )
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

    def _tell_progress_of(self, number: int, most: int, n: int, begun_s: float) -> Callable[[int], None]:
        """What is to be told when so many requests of a stream are answered."""

        def on_progress(answered: int) -> None:
            answered = min(answered, n)
            passed_s = self.now() - begun_s
            # A first stream that turns out too short is asked again, and longer.
            repeat_s = max(passed_s * n / answered, self.plan.protocol.shortest_s) if answered else None
            self._progress_of_repeat(number, most, answered / n, requests=(answered, n), repeat_s=repeat_s)

        return on_progress

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
                remedy="Warm up longer, or let it cool down between repeats with --cooldown",
                measurement=MEASURED,
            )


# Of the items, in one stream of requests.
MOST_ROUNDS = 10_000
