"""A run from its start to its end: sensors, a clock, a sampler and windows make a journal. Touches the machine; judges nothing.

The user's thread only notes times (``windows``). One daemon thread (``sampler``) is alone in talking to devices. It reads everything
before the run opens and after it closes.

Nothing in here raises into the program that is measured: what goes wrong is a finding. In a forked child a run is inert.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from energy_rating.files.journal import JOURNAL_SCHEMA
from energy_rating.files.libraries import has_room
from energy_rating.measuring import nesting, queues
from energy_rating.measuring.clock import Ticker
from energy_rating.measuring.errands import Errand
from energy_rating.measuring.outcomes import outcome_of
from energy_rating.measuring.ranked import OTHERS_PATIENCE_S, Ranked, sizes_of
from energy_rating.measuring.ranks import job_of, rank_of
from energy_rating.measuring.sampler import Sampler
from energy_rating.measuring.settings import RunSettings
from energy_rating.measuring.windows import BEGUN, QUEUES, State
from energy_rating.nouns.entries import (
    RUN,
    Device,
    Environment,
    Finding,
    Job,
    Outcome,
    Quality,
    Rank,
    plain,
)
from energy_rating.nouns.errors import EnergyRatingError, NotMeasured
from energy_rating.nouns.interruptions import Living, in_handler, is_interruption, pass_on

if TYPE_CHECKING:
    from energy_rating.measuring.so_far import ComponentSoFar, EnergySoFar

# How long the user's program ever waits for a device: once at the start, once at the end.
PATIENCE_S = 1.0

# A counter's period that differs by less from what is remembered is the same.
SAME_PERIOD = 0.02
P = ParamSpec("P")
R = TypeVar("R")


def _remembered_s(device: Device) -> float | None:
    """How often an earlier run found this device's counter to tick."""
    from energy_rating.measuring import probe

    known = probe.recall(device.id, device.driver)
    return known.period_s if known is not None else None


def _remember(device: Device, period_s: float) -> None:
    from energy_rating.measuring import probe

    probe.remember(device.id, device.driver, period_s)


# Runs that were begun with start(): whoever runs a cell of a notebook twice has two of them, and only one in hand.
_STARTED: Living[JournalRun] = Living()


class JournalRun(Ranked):
    """A run while it is measured: it writes a journal, and nothing else."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__(settings)
        self._ticker: Ticker | None = None
        self._prepared = self._called_off = False
        self._ending: Errand[None] | None = None
        self._outcome: Outcome | None = None
        # By whoever took its items one by one: that is no failure, whatever tells of it.
        self._was_left = False
        self._tally: EnergySoFar | None = None  # of readings as they come

    # -- life

    def start(self) -> Self:
        """Opens the run, until ``stop()``. Returns itself; a second call does nothing, and says so, as does one after the end."""
        if self._state is State.OPEN and self._is_own_process():
            self._say_once("this run is going on already; start() does nothing")
        for other in _STARTED:
            if self._state is State.NEW and other._state is State.OPEN and other._is_own_process():
                self._say_once(
                    f"another run that was begun with start() goes on beside this one, until its stop(): {other.folder}"
                )
        self._start()
        if self._state is State.OPEN:
            _STARTED.add(self)
        return self

    def _start(self) -> Self:
        if self._state is State.STOPPED:
            self._say_once(
                "this run has ended and is not begun again: nothing is measured. Make another with measure()"
            )
        if self._state is not State.NEW:
            return self
        self._state = State.FAILED
        try:
            # Python's own functions take some errors of the system as they come, and the program's timeout may be of that type.
            Errand(self._prepare).result()
            self._thread = threading.get_ident()
            nesting.enter(self._whole)
            self._state = State.OPEN
        except Exception as error:  # the program that is to be measured goes on unmeasured, and is told
            self._call_off(error)
            pass_on(error, called=None)  # sensors may have been handed in
            self._fail("could not start", error)
            self._say()
        except BaseException as error:
            self._call_off(error)
            raise
        return self

    def _prepare(self) -> None:
        try:
            if not self._called_off:
                self._begin()
        finally:
            with self._lock:
                self._prepared = True
                if self._called_off:
                    self._release()

    def _call_off(self, error: BaseException) -> None:
        """The run does not come to its start. What is still being prepared is let go once it is there."""
        with self._lock:
            self._called_off = True
            self._trouble = EnergyRatingError(
                f"the run did not begin: its start was interrupted ({type(error).__name__})",
                "Make another with measure()",
            )
            if self._prepared:
                self._release()

    def _release(self) -> None:
        """Ends the sampler and closes the journal of a run that did not come to a start."""
        self._leave_meeting()
        if self._sampler is not None:
            self._sampler.close()
            self._sampler.abandon()
        if self._ticker is not None:
            self._ticker.finish(0.0)
        if self._journal is not None:
            try:
                self._journal.close()
            except OSError as error:
                if is_interruption(error):
                    raise

    def _begin(self) -> None:
        # What only a run needs, and no import of ours waits for.
        from energy_rating.measuring import environment
        from energy_rating.measuring.so_far import EnergySoFar

        self._pid = os.getpid()
        started = time.gmtime()
        self.run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', started)}-{os.urandom(2).hex()}"
        self._rank = rank_of(self.settings.environ)
        self._job = job_of(self.settings.environ)
        self._meet_where()
        self._journal, findings = self._open_journal()
        if self.folder is not None:
            self._sizes = sizes_of(self.folder)
        detecting, models = self._detecting()
        sampler = Sampler(
            detect=detecting,
            models=models,
            write=self._journal.write,
            clock=self.settings.clock,
            period_s=self.settings.period_s,
            hint=_remembered_s,
            beside=self._reads_aside(),
            lost=lambda: self._journal_file.lost,
        )
        sampler.tick = self._tick
        sampler.in_passing, sampler.unwritten = self._edges_in_passing, (self._edges, self._journal.unwritten)
        self._tally = EnergySoFar()
        sampler.heard = self._tally.heard
        report = None if self._only_counts else self.settings.report
        if self.settings.progress_s is not None and report is not None:
            from energy_rating.measuring.progress import ProgressLines

            self._progress = ProgressLines(
                self.settings.progress_s, report, self.settings.clock.now(), self._tally
            )
        self._sampler = sampler
        self._ticker = self.settings.clock.repeat(sampler.step, PATIENCE_S)
        self._zero = self.settings.clock.now()
        detection = sampler.open(self._zero)
        if sampler.detection is None:
            findings.append(
                Finding.of(
                    "sensors-late",
                    f"no sensor could be read within {PATIENCE_S:.0f} s of the start, and the program did not wait longer",
                )
            )
        described = Environment() if self._only_counts else environment.describe(detection.devices)
        header: dict[str, Any] = {
            "schema": JOURNAL_SCHEMA,
            "run_id": self.run_id,
            "stage": self.settings.stage,
            "model": plain(self.settings.model),
            "task": plain(self.settings.task),
            "load": plain(self.settings.load),
            "channels": [plain(channel) for sensor in detection.sensors for channel in sensor.channels],
            "environment": plain(described),
            **({"files": dict(self.settings.files)} if self.settings.files else {}),
            **({"place": plain(self.settings.place)} if self.settings.place is not None else {}),
            **({"role": self.settings.role} if self.settings.role is not None else {}),
            **({"lineage": plain(self.settings.lineage)} if self.settings.lineage is not None else {}),
            **({"job": plain(self._job)} if self._job is not None else {}),
            **({"rank": plain(self._rank)} if self._rank is not None else {}),
            **({"counts": self.settings.counts} if self.settings.counts != "each-rank" else {}),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
        }
        if not self._only_counts:
            self._journal.write(header)
        self._journal.write(
            *({"finding": plain(finding), "t": 0.0} for finding in (*findings, *detection.findings)),
            {"open": 0, "name": RUN, "t": 0.0},
        )
        self._header = header
        sampler.release()
        self._open[0] = self._whole
        self._next = 1
        BEGUN.add(self)
        try:
            import mmap

            self._forked = mmap.mmap(-1, 1)
        except (ImportError, OSError, ValueError) as error:
            # No memory for it: what a child counts goes unnoticed.
            if is_interruption(error):
                raise

    def stop(self, raised: BaseException | None = None) -> None:
        """Closes the run, makes its record and says in one line what was measured. A second call does nothing."""
        if self._state not in (State.OPEN, State.STOPPED) or not self._is_own_process():
            return
        if self._ending is None and self._state is State.OPEN:
            self._settle(raised)
        if self._ending is None:
            ending = Errand(functools.partial(self._finish, raised), here=self._is_inside())
            with self._lock:
                self._ending = self._ending or ending
        self._ending.result()
        self._say()

    def _settle(self, raised: BaseException | None) -> None:
        """The devices finish what they were asked to before the run ends.

        Not where the program was broken off: whoever leaves by Ctrl-C does not wait, and a device that failed may never finish.
        """
        if raised is None and not in_handler() and not self._is_inside():
            self.drain(RUN)
        try:
            from energy_rating.nouns.quantities import duration

            self._make_edges()
            for name, lag_s, is_grave in self._lags.found(self._clock()):
                self.tell(
                    "work-still-queued",
                    f"the devices went on for up to {duration(lag_s)} with work of {name!r} after such a window was closed",
                    severity="degrades" if is_grave else "note",
                    measurement=name,
                )
            if raised is not None and queues.are_any() and queues.mark() is not None:
                self.tell(
                    "work-still-queued",
                    "the run was broken off while the devices still had work of it",
                    severity="note",
                    measurement=RUN,
                )
        except Exception as error:  # of a framework: what it does not tell is not known
            pass_on(error, called=QUEUES)

    def _finish(self, raised: BaseException | None) -> None:
        try:
            self._end(raised)
        except Exception as error:  # the measured program's own outcome stands
            pass_on(error)
            self._fail("could not end the run", error)
            return
        finally:
            self._state = State.STOPPED
            self._release()
        self._ended()

    def _refuse_without_room(self, what: str) -> None:
        """Nothing more is loaded where next to no address space is left.

        With 23 to 27 MiB left, loading pydantic's binary part aborted the process (x86-64, glibc 2.36), and a thread's heap takes 64 more.
        """
        if not has_room():
            made = f"Make it with: energy-rating summarise {self.folder or ''}".rstrip()
            raise NotMeasured(
                f"the limit of address space (ulimit -v) leaves no room to make {what} here",
                made if what == "the record" else f"The journal is in {self._journal_file.path or 'memory'}",
            )

    def _asked_for(self, what: str, work: Callable[[], R], called: Sequence[str]) -> R:
        """What the judging half makes of the journal so far; ``called`` are others' packages that it uses.

        Raises:
            NotMeasured: it could not be made here.
        """
        self._refuse_without_room(what)
        try:
            return Errand(work, here=self._is_inside()).result()
        except EnergyRatingError as error:
            pass_on(error, called=called)
            raise
        except Exception as error:  # where the journal is, it can be made elsewhere
            pass_on(error, called=called)
            missing = isinstance(error, ModuleNotFoundError)
            why = f"needs {error.name}, which is not installed here" if missing else ""  # type: ignore[attr-defined]
            raise NotMeasured(
                f"{what} {why or f'could not be made ({type(error).__name__}: {error})'}",
                f"The journal is in {self._journal_file.path or 'memory'}",
            ) from error

    def _write_what_waits(self) -> None:
        """Edges and readings of which the journal has no line yet."""
        if self._sampler is not None and self._state is State.OPEN:
            self._write_edges()
            self._sampler.flush()

    def ended_as(self, outcome: Outcome) -> None:
        """Says how a program ended that is measured from outside; what is raised in a ``with`` block says it by itself."""
        self._outcome = outcome

    def _ended(self) -> None:
        """What is done once the journal is closed. Nothing, where nobody is there to judge it."""

    def _end(self, raised: BaseException | None) -> None:
        assert self._sampler is not None
        assert self._ticker is not None
        with self._lock:
            self._make_edges()
            self._leave_deserted()
            for finding in self._untold:
                self.tell_finding(finding)
            now = self._now()
            left_open: dict[str, int] = {}
            for key in sorted(self._open, reverse=True):
                if key != 0:
                    name = self._open[key].name
                    left_open[name] = left_open.get(name, 0) + 1
                self._close(key, now)
            self._journal_file.flush()
            for name, number in left_open.items():
                self.tell(
                    "window-left-open",
                    f"window {name!r} was still open when the run ended"
                    if number == 1
                    else f"{number} windows {name!r} were still open when the run ended",
                    measurement=name,
                )
        if self._forked is not None and self._forked[0]:
            self.tell(
                "counted-in-a-fork",
                "work was counted in a process that was forked from this one; it is in no figure",
                measurement=RUN,
            )
        in_a_hurry = raised is not None or in_handler()
        if self._only_counts:
            self._await_run(0.0 if in_a_hurry else PATIENCE_S)
        else:
            self._await_others(0.0 if in_a_hurry else OTHERS_PATIENCE_S)
        learned = self._sampler.learned()
        self._sampler.close()
        if not self._ticker.finish(PATIENCE_S):
            self.tell(
                "driver-hangs",
                f"a device did not answer within {PATIENCE_S:.0f} s of the end; the last readings are missing",
            )
        self._sampler.abandon()
        journal = self._journal_file
        if journal.taken:
            self.tell(
                "descriptor-closed",
                f"the program closed the journal's descriptor {'once' if journal.taken == 1 else f'{journal.taken} times'}; nothing was written to what came in its place",
            )
        if journal.trouble or journal.dropped:
            lost = f"; {journal.dropped} readings were thinned out" if journal.dropped else ""
            self.tell(
                "disk-refuses",
                f"the journal could not be written for a time ({journal.trouble or 'no folder'}){lost}",
                severity="degrades" if journal.dropped else "note",
            )
        outcome = self._outcome if raised is None and self._outcome is not None else outcome_of(raised)
        self._write_edges()  # of threads that went on meanwhile
        end: dict[str, Any] = {"end": self._now(), "outcome": plain(outcome)}
        if self._only_counts:
            journal.write(end)
            return
        if not journal.in_place():
            self._move_journal(journal)
        if sealed := self._sealed():
            end["ranks"] = sealed
        journal.write(end)
        self._leave_meeting(outcome)
        for device, period_s in learned:
            known_s = _remembered_s(device)
            if known_s is None or abs(known_s - period_s) > SAME_PERIOD * period_s:
                _remember(device, period_s)

    def __enter__(self) -> Self:
        return self._start()

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        self.stop(None if self._was_left else raised)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorates a function: each call is a run of its own, and the latest is the function's ``run``: ``function.run.record``."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._fresh(measured_async):
                    return await function(*args, **kwargs)

            return measured_async  # type: ignore[return-value]

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def measured_stream(*args: P.args, **kwargs: P.kwargs) -> Any:
                run = self._fresh(measured_stream)
                with run:
                    async for item in function(*args, **kwargs):
                        try:
                            yield item
                        except BaseException as error:
                            # Nothing is going on in here but that somebody has the last item: who closes it then, or has it closed
                            # when the loop ends (which cancels that), has left it.
                            run._was_left = not isinstance(error, Exception | KeyboardInterrupt | SystemExit)
                            raise

            return measured_stream

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def measured_generator(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._fresh(measured_generator):
                    return (yield from function(*args, **kwargs))

            return measured_generator

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._fresh(measured):
                return function(*args, **kwargs)

        return measured

    def _fresh(self, function: object) -> Self:
        run = type(self)(self.settings)
        vars(function)["run"] = run
        return run

    def judged(self, quality: Quality) -> None:
        """Writes down how good the answers were, for the record; nothing here finds that out."""
        if self._state is State.OPEN and self._is_own_process() and self._journal is not None:
            self._journal.write({"quality": plain(quality), "t": self._now()})

    # -- where it stands

    @property
    def rank(self) -> Rank | None:
        """This process's place in its job, as its launcher told it when the run began; None where there are no others."""
        return rank_of(self.settings.environ) if self._state is State.NEW else self._rank

    @property
    def job(self) -> Job | None:
        """The job on several hosts that this process is a part of, as its launcher told it; None where there is no other host."""
        return job_of(self.settings.environ) if self._state is State.NEW else self._job

    @property
    def makes_record(self) -> bool:
        """Whether ``record`` will be here: of the processes of a job the first one of each host makes it, for all of these.

        What is counted in the others is in that record; they have none of their own, and say nothing at their end.
        """
        return self._state is not State.ELSEWHERE and (self.rank is None or self.rank.measures)

    def elapsed_s(self) -> float:
        """Seconds since the run opened; 0 before."""
        return self._now() if self._state in (State.OPEN, State.STOPPED) else 0.0

    def energy_so_far(self) -> dict[str, ComponentSoFar]:
        """The ``joules`` of each component since the run opened, by which ``method`` they were had, and when it was last read (``read_s``).

        Costs next to nothing and waits for nothing, so that it can be logged at every step: as new as the last reading (some 0.1 s), of this
        session alone, and without its doubt. What was measured is in the record. {} before the run, and where nothing is measured.
        """
        return self._tally.by_component() if self._tally is not None else {}

    @property
    def journal(self) -> Path | None:
        """The journal's file, with all that was read by now; None while there is none, or when it is only in memory."""
        self._write_what_waits()
        return self._journal_file.path if self._state in (State.OPEN, State.STOPPED) else None
