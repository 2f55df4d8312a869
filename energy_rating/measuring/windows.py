"""The windows of a run: what opens and leaves them, what is counted into them, and the lines that the journal has of that.

The user's thread only notes times: an *edge* is a timestamp, and one line in the journal, which the sampler's thread makes of it within
``WAITS_S``: as long as a reading waits for its own. So an edge costs the program some microseconds, also in the middle of work that has
pushed us out of the processor's caches, and a process that is killed loses no more edges than readings. The program's thread makes the
lines itself where nobody would come by in time, where many wait, and at the end of a window of a second or more, whose work is worth it.

Nothing in here raises into the program that is measured: what goes wrong is a finding. In a forked child a run is inert.
"""

from __future__ import annotations

import enum
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Self

from energy_rating.files.packed import WAITS_S
from energy_rating.measuring import nesting, queues
from energy_rating.measuring.lags import Lags
from energy_rating.measuring.place import Placed
from energy_rating.measuring.quiet import QUIET_LINE_S
from energy_rating.measuring.reaching import SAME_COUNT, Reached
from energy_rating.measuring.sampler import Sampler
from energy_rating.measuring.settings import RunSettings
from energy_rating.nouns import threads
from energy_rating.nouns.entries import MOST_FAULTS, RUN, Finding, Number, Window
from energy_rating.nouns.interruptions import Living, is_interruption, pass_on

if TYPE_CHECKING:
    import mmap

    from energy_rating.measuring.progress import ProgressLines

LONGEST_NAME = 200  # of a window
MOST_TOLD = 100  # kinds of misuse and names of windows of which that is told

# So many edges wait for the sampler's thread at most, and none of a window that was open for so long.
MOST_EDGES = 64
LONG_S = 1.0
MOST_NAMES = 1000  # of windows, that are known to be in order

# What drains a device's queue, and may fail at that.
QUEUES = ("torch", "jax", "jaxlib", "cupy", "cupy_backends")

# Runs of this process, or, in a forked child, of its parent.
BEGUN: Living[Windowed] = Living()


class State(enum.Enum):
    """How far a run has come."""

    NEW = "it has not begun"
    FAILED = "it did not come to its start, and nothing is measured"
    OPEN = "it is being measured"
    STOPPED = "it has ended"
    ELSEWHERE = "it is measured in the process in which it began; what is here came by a pipe"


_OPEN = State.OPEN  # looked up at every edge

# A window that was opened or closed, and when on the run's clock; of one that was opened also which others were open where that was,
# and in which thread; of one that was closed whether that waited for the devices.
Opened = tuple[Window, float, tuple[Window, ...], int]
Closed = tuple[Window, float, bool]


class _Exit:
    """``__exit__`` of a window, which knows whether a ``with`` statement took hold of it: that does so before it enters."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def __get__(self, window: OpenWindow | None, _: type | None = None) -> Callable[..., None]:
        if window is None:
            return self._function
        window._in_with = True
        return MethodType(self._function, window)


class OpenWindow:
    """A window to be opened: with ``with``, or by ``open()`` and ``close()``, in one function and another; each use is a window of its own."""

    __slots__ = ("__weakref__", "_entered", "_in_with", "_name", "_run", "_sync")

    def __init__(self, run: Windowed, name: str, sync: bool) -> None:
        self._run = run
        self._name = name
        self._sync = sync
        self._in_with = False
        self._entered: list[tuple[bool, Window]] = []  # and whether they are measured

    def open(self) -> Self:
        """Opens the window until ``close()``, for hooks that are called at the begin and at the end of something. Returns itself.

        A window that is open already ends here, and a finding says so; one that is never closed ends with the run.
        """
        if self._entered:
            self._run._misused(
                "window-reopened", self._name, "was opened again before it was closed; it ended there"
            )
            self.leave()
        self._enter_one(None)
        return self

    def count(self, /, **work: Number) -> None:
        """Adds work to the window that is open."""
        try:
            window = self._entered[-1][1]
        except IndexError:
            self._run._misused(
                "count-refused", self._name, "was not open when work was counted into it; it is in no figure"
            )
            return
        window.count(**work)

    def close(self, /, **work: Number) -> None:
        """Counts the work, and closes the window; from any function, thread or task. One that is not open is told as a finding."""
        if self.leave(work):
            return
        if work:
            self._run._misused(
                "count-refused", self._name, "was not open when it was closed with work; it is in no figure"
            )
        else:
            self._run._misused("window-not-open", self._name, "was closed when it was not open")

    def __enter__(self) -> Window:
        return self._enter_one(self if self._in_with else None)

    def _enter_one(self, holder: OpenWindow | None) -> Window:
        window = Window(self._name)
        try:
            measured = self._run._enter(window, self._sync, holder)
            self._entered.append((measured, window))
            if measured:
                nesting.enter(window)
            return window
        except BaseException:  # of the program: the block is not entered, and nobody will leave it
            self._entered = [entry for entry in self._entered if entry[1] is not window]
            self._run._undo(window)
            raise

    @_Exit
    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self, work: Mapping[str, Number] | None = None) -> bool:
        """Leaves the window that was entered last, with what is still to be counted; False where none was."""
        window = None
        try:
            try:
                measured, window = self._entered.pop()
            except IndexError:
                return False
            if work:
                window.count(**work)
            if measured:
                nesting.leave(window)
                self._run._leave(window, self._sync)
            return True
        except BaseException:  # likewise: the block is left all the same
            if window is not None:
                self._run._undo(window)
            raise


class Windowed(Placed):
    """A run as far as its windows go. What begins and ends it is ``run``'s."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__(settings)
        self._pid = os.getpid()
        self._lock = threads.rlock()  # windows: what is open, and the order of their lines in the journal
        self._state = State.NEW
        self._sampler: Sampler | None = None
        self._thread: int | None = None  # the one in which it began
        self._forked: mmap.mmap | None = None  # a byte that forked children share with this process
        self._clock = settings.clock.now
        self._open: dict[int, Window] = {}
        # Edges of which the journal has no line yet. Whoever holds the lock makes them, the first first, and takes each out once it is
        # made: one that was called away in the middle is made again, which changes nothing where it was done.
        self._edges: deque[Opened | Closed] = deque()
        self._names: set[str] = set()  # of windows, as they are written
        self._late_count = self._counted_late
        self._lags = Lags()
        self._next = 0
        # Who will leave each of the open windows; and those of them who are gone without having done so, called away before they could.
        self._holders: dict[Window, weakref.KeyedRef[Window, OpenWindow]] = {}
        self._gone: deque[weakref.KeyedRef[Window, OpenWindow]] = deque()
        # Windows of which the work has not gone up yet: those that are open, and those that others inside them have outlived.
        self._rising: dict[int, Window] = {}
        self._whole = Window(RUN)  # what was counted at the run itself
        self._reached = Reached()  # and in its windows
        self._refused: dict[str, None] = {}  # counts that its windows did not take
        self._counted: dict[int, dict[str, Number]] = {}
        self._counted_s = -math.inf
        self._told_late: set[str] = set()
        self._checkpoints = 0
        self._progress: ProgressLines | None = None  # where it was asked for

    def _counted_elsewhere(self) -> None:
        """Work was counted in a forked child: the parent is to know it, whose journal the child has no way to write to."""
        if self._forked is not None:
            self._forked[0] = 1

    def _is_own_process(self) -> bool:
        """False in a forked child: the run belongs to the parent, and its locks may be held by threads that are not here."""
        return os.getpid() == self._pid

    def _is_inside(self) -> bool:
        """Whether this thread holds a lock of ours: something of the program runs in one of our frames (a finaliser)."""
        locks: tuple[Any, ...] = (self._lock, self._journal_file.lock)
        return any(lock._is_owned() for lock in locks)

    def _unmeasured(self, what: str) -> None:
        """Something was asked of a run that is not open here; it is said once, where anybody can see it."""
        if self._state is State.STOPPED:
            self._say_once(f"this run has ended: {what}")
        elif self._state is State.NEW:
            self._say_once(f"this run has not begun: {what}. Call start(), or use it with the with statement")
        elif self._state is State.ELSEWHERE:
            # What came by a pipe into a forked child finds there the run that it was made from.
            original = next((run for run in BEGUN if run.run_id == self.run_id), None)
            if original is not None and not original._is_own_process():
                original._counted_elsewhere()
                return
            self._say_once(f"this run is measured in the process in which it began: {what}")

    def _misused(self, code: str, name: str, what: str) -> None:
        """A window was not used as it is meant to be: told once of each name, of so many names."""
        if self._state is not State.OPEN:
            self._unmeasured("a window of it is not measured")
            return
        if not self._is_own_process():
            self._counted_elsewhere()
            return
        name = name[:LONGEST_NAME]
        told = f"{code} {name}"
        if told not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(told)
            self._tell_or_keep(Finding.of(code, f"a window {name!r} {what}"))

    def window(self, name: str, sync: bool | None = None) -> OpenWindow:
        """A window, for ``with``, or for hooks: ``open()`` here and ``close(token=512)`` there.

        ``sync``: the devices' queues (torch, jax, cupy) are drained at both edges; by default as the run does.
        """
        wanted = self.settings.sync if sync is None else sync
        return OpenWindow(self, name if isinstance(name, str) else str(name), wanted)

    def count(self, /, **work: Number) -> None:
        """Counts work into the windows that are open in this thread or task, and so into the run.

        Of windows of one name inside each other it is the innermost. A thread or task without a window of its own counts into
        those open where it was started, if that is known (tasks of asyncio, ``asyncio.to_thread``); a plain thread counts into the
        run alone, and a finding says so where windows are open elsewhere.
        """
        if self._state is not State.OPEN:
            self._unmeasured("what is counted is in no figure")
            return
        if not self._is_own_process():
            self._counted_elsewhere()
            return
        inside, own = nesting.here(self._whole)
        if own:
            names: set[str] = set()
            for window in reversed(own):
                if window.name not in names:
                    names.add(window.name)
                    window.count_through(work)
            top = own[0].outermost()
            if top is own[0]:  # the journal has no line of it yet, and so it has no place
                self._make_edges()
                top = own[0].outermost()
            if top is own[0]:  # it could not be noted, which was told
                self._whole.count(**work)
            else:
                top.count_through(work)
            return
        self._whole.count(**work)
        if inside or threading.get_ident() == self._thread:
            return
        if self._edges:
            self._make_edges()
        if len(self._open) > 1:
            self._tell_once(
                "counted-into-the-run",
                "a thread without a window of its own counted work while windows were open elsewhere; it is in the run's work "
                "and in none of theirs",
            )

    def _work_of_run(self) -> tuple[dict[str, Number], list[str]]:
        """The run's work up to now, and what was told twice and differently (see ``reaching``)."""
        with self._lock:
            if self._edges:
                self._make_edges()
            return self._work_by_now()

    def _work_by_now(self) -> tuple[dict[str, Number], list[str]]:
        """The same, of the edges that the journal has a line of."""
        with self._lock:
            work, apart = self._reached.work_of_run(self._whole, self._rising)
            # Sums of the same fractions in another order differ in the last digit; a count only grows.
            for unit, before in self._counted.get(0, {}).items():
                if before * (1 - SAME_COUNT) <= work.get(unit, 0) < before:
                    work[unit] = before
        return work, apart

    def note(self, name: str, start_s: float, end_s: float, work: Mapping[str, Number] | None = None) -> None:
        """A window that is over: what somebody else timed, such as the server of a model.

        ``start_s`` and ``end_s`` are seconds of the run's clock (``time.monotonic()``, which is the same in every process of a
        machine). Times before the run or in the future become those of the run; a window that has no part in the run is in no figure. Readings are dense for a minute after an
        edge; a window that is noted later than that is known as well as one reading a second tells.

        ``work`` is that of the window alone, and does not reach the run: whatever was noted afterwards stands inside no other window, and
        the same work may have been counted by those of its time. Count it at the run too (``run.count``), if nobody else does.
        """
        if self._state is not State.OPEN or not self._is_own_process():
            return
        try:
            window = Window(name if isinstance(name, str) else str(name))
            window.count(**(work or {}))
            with self._lock:
                self._make_edges()
                now, zero = self._edge(), self._zero or 0.0
                if not start_s <= end_s < math.inf:
                    raise ValueError("a window ends after it began")
                start = min(max(round(start_s - zero, 6), 0.0), now)
                end = min(max(round(end_s - zero, 6), start), now)
                if end_s < zero or start_s - zero > now or (start == end and start_s < end_s):
                    self._note_outside(window.name)
                    return
                try:
                    if self._state is _OPEN and self._sampler is not None:
                        self._name_in_order(window)
                        self._open_window(window, start, None)
                        self._close(window.key, end)
                except BaseException:  # of the program; what is begun is brought to its end
                    self._undo(window, end)
                    raise
                self._journal_file.flush()
        except Exception as error:  # as below
            pass_on(error)
            self._note_failure(str(name), error)

    def _note_outside(self, name: str) -> None:
        self._tell_once(
            "noted-outside-the-run",
            f"a window {name[:LONGEST_NAME]!r} was noted that lies wholly before the run or in its future; it is in no figure",
        )

    def _enter(self, window: Window, sync: bool, holder: OpenWindow | None) -> bool:
        sampler = self._sampler
        if self._state is not _OPEN or sampler is None or os.getpid() != self._pid:
            self._enter_unmeasured(window)
            return False
        try:
            if sync:
                self.drain(window.name)
            if window.name not in self._names:
                self._name_in_order(window)
            if self._gone:
                self._leave_deserted()
            if holder is not None:
                self._holders[window] = weakref.KeyedRef(holder, self._gone.append, window)
            window.of = self._whole
            window.since_s = now = self._clock()
            self._edges.append((window, now, nesting.HERE.get(), threading.get_ident()))
            sampler.last_edge_s = now
            if sampler.comes_s - now > WAITS_S or len(self._edges) > MOST_EDGES:
                self._write_edges()
        except Exception as error:  # a window that cannot be noted is no reason to end a training
            pass_on(error)
            self._note_failure(window.name, error)
            return False
        return True

    def _enter_unmeasured(self, window: Window) -> None:
        if self._state is State.ELSEWHERE:
            window.closed(lambda _: self._unmeasured("what is counted is in no figure"))
        elif self._state is not _OPEN:
            self._unmeasured("a window of it is not measured")
        elif not self._is_own_process():
            window.closed(lambda _: self._counted_elsewhere())

    def _undo(self, window: Window, at: float | None = None) -> None:
        """Leaves a window, if it is open: something of the program came between."""
        with self._lock:
            if self._edges:
                self._make_edges()
            for key, one in tuple(self._open.items()):
                if one is window and self._sampler is not None:
                    self._close(key, self._edge() if at is None else at)
        self._journal_file.flush()

    def _leave_deserted(self) -> None:
        """Leaves the windows that nobody will leave any more: whoever was to do so is gone."""
        with self._lock:
            while self._gone:
                window = self._gone[0].key
                self._undo(window)
                self._holders.pop(window, None)
                del self._gone[0]

    def _name_in_order(self, window: Window) -> None:
        """A window is called what can stand on a line, and is not called as the run is."""
        name = window.name
        if not name.isprintable() or len(name) > LONGEST_NAME or name != name.strip():
            name = "".join(character if character.isprintable() else " " for character in name)
            name = name[:LONGEST_NAME].strip()
        if name != window.name or not name or name == RUN:
            window.name = f"{name}-window" if name == RUN else name or "window"
            self.tell(
                "window-renamed",
                f"a window had to be called {window.name!r}",
            )
        elif len(self._names) < MOST_NAMES:
            self._names.add(name)

    # -- what the journal gets of edges

    def _write_edges(self) -> None:
        """Whatever was opened and closed stands in the journal."""
        self._make_edges()
        self._journal_file.flush()

    def _edges_in_passing(self) -> None:
        """The same, by the sampler's thread, which waits for nobody: who holds the lock makes them as well, or comes by again."""
        if self._edges and self._lock.acquire(blocking=False):
            try:
                self._make_edges(passing=True)
            finally:
                self._lock.release()
        self._journal_file.flush()

    def _make_edges(self, *, passing: bool = False) -> None:
        """Puts lines of the edges that wait in line to be written."""
        if not self._is_own_process():  # a forked child has its parent's
            return
        with self._lock:
            edges = self._edges
            while edges:
                edge = edges[0]
                window, now = edge[0], edge[1]
                try:
                    at = round(now - (now if self._zero is None else self._zero), 6)
                    if len(edge) == 4:
                        self._open_window(window, at, edge[2], edge[3])
                    elif window.key:  # one that could not be noted has none, and 0 is the run's
                        self._close(window.key, at)
                        if not edge[2] and queues.are_any():
                            self._lags.closed(window.name, window.since_s, now)
                except Exception as error:  # as above; of the program nothing comes into the sampler's thread
                    if not passing:
                        pass_on(error)
                    self._note_failure(window.name, error)
                if edges and edges[0] is edge:
                    del edges[0]

    def _open_window(
        self, window: Window, at: float, here: tuple[Window, ...] | None, thread: int = 0
    ) -> None:
        """``here``: the windows that were open where it was opened; None: it was noted afterwards and stands nowhere, since its work may
        have been counted by the windows of its time."""
        if window.key:
            return
        if here is not None:
            open_then, inside = self._open, self._whole in here
            around = [one for one in here if one.key and open_then.get(one.key) is one]
            self._reached.place(window, around, own=inside or thread == self._thread)
        key, self._next = self._next, self._next + 1
        above = window.above
        own = above is not None and above is self._reached.own
        journal = self._journal_file
        block, put = journal.opening(key, window.name, at), journal.put
        # All or nothing: Python looks for signals after a call, where a function begins and where it jumps back, and so nothing of
        # the program's can come between these. A handler that came before them may have done it.
        if window.key:
            return
        window.key = key
        self._open[key] = window
        if above is not None:
            self._rising[key] = window
            above.holding += 1
            self._reached.own_open += own
        put(block)

    def _edge(self) -> float:
        """The time now, since the run's start; readings around it are kept."""
        assert self._sampler is not None
        self._sampler.last_edge_s = now = self._clock()
        return round(now - (now if self._zero is None else self._zero), 6)

    def _leave(self, window: Window, sync: bool) -> None:
        sampler = self._sampler
        if self._state is not _OPEN or sampler is None or window.left or os.getpid() != self._pid:
            return
        try:
            if sync:
                self.drain(window.name)
            now = self._clock()
            window.closed(self._late_count)
            self._edges.append((window, now, sync))
            self._holders.pop(window, None)
            sampler.last_edge_s = now
            if (
                sampler.comes_s - now > WAITS_S
                or len(self._edges) > MOST_EDGES
                or now - window.since_s >= LONG_S
            ):
                self._write_edges()
            if not sync and queues.are_any() and (self._lags.waiting or self._lags.is_due(window.name, now)):
                self._look_at_queues(window.name, now)
        except Exception as error:  # as above
            pass_on(error)
            self._note_failure(window.name, error)

    def turn(self, left: Window | None, entered: Window | None, sync: bool) -> None:
        """Leaves a window and enters another at the same moment, as a loop does from step to step."""
        try:
            sampler = self._sampler
            if self._state is not _OPEN or sampler is None or os.getpid() != self._pid:
                if left is not None:
                    nesting.leave(left)
                if entered is not None:
                    self._enter_unmeasured(entered)
                return
            name = (entered or left or self._whole).name
            if sync:
                self.drain(name)
            if name not in self._names and entered is not None:
                self._name_in_order(entered)
            if self._gone:
                self._leave_deserted()
            here = nesting.without(left)
            now = self._clock()
            if left is not None and not left.left and left.of is self._whole:
                left.closed(self._late_count)
                self._edges.append((left, now, sync))
            if entered is not None:
                entered.of = self._whole
                entered.since_s = now
                self._edges.append((entered, now, here, threading.get_ident()))
                here = (*here, entered)
            nesting.HERE.set(here)
            sampler.last_edge_s = now
            if (
                sampler.comes_s - now > WAITS_S
                or len(self._edges) > MOST_EDGES
                or (left is not None and now - left.since_s >= LONG_S)
            ):
                self._write_edges()
            if not sync and queues.are_any() and (self._lags.waiting or self._lags.is_due(name, now)):
                self._look_at_queues(name, now)
        except Exception as error:  # as in _enter
            self._undo_turn(left, entered)
            pass_on(error)
            self._note_failure((entered or left or self._whole).name, error)
        except BaseException:  # of the program; the loop is left
            self._undo_turn(left, entered)
            raise

    def _undo_turn(self, *windows: Window | None) -> None:
        for window in windows:
            if window is not None:
                self._undo(window)

    def _look_at_queues(self, name: str, now: float) -> None:
        """Whether the devices still have work that was asked for in a window that did not wait for them."""
        try:
            if self._lags.is_due(name, now):
                self._lags.mark(name, now)
            self._lags.look(now)
        except (
            Exception
        ) as error:  # of a framework that is otherwise than it was: what it does not tell is not known
            pass_on(error, called=QUEUES)

    def _close(self, key: int, now: float) -> None:
        window = self._open.get(key)
        if window is None:
            return
        window.closed(self._late_count)
        apart: list[str] = []
        if window is self._whole:
            work, apart = self._work_by_now()
            self._refused.update(dict.fromkeys(self._reached.faults()))
        else:
            work = window.figure()
        above = window.above
        # Windows inside that outlive it still have work to hand up.
        rises = above is not None and not window.holding
        waits = (window.rises(), not window.holds_name_around) if rises else None
        own = above is not None and above is self._reached.own
        journal = self._journal_file
        # Should the process be killed after an outermost one, its run knows no less than its windows do.
        run = self._work_by_now()[0] if above is not None and above.of is None and work else None
        block, put = journal.closing(key, now, work, run), journal.put
        # All or nothing, as above.
        if key not in self._open:
            return
        del self._open[key]
        self._reached.own_open -= own
        if rises and above is not None and waits is not None:
            if waits[0]:
                above.waiting[key] = waits
            above.holding -= 1
            del self._rising[key]
        put(block)
        self._counted.pop(key, None)
        self._holders.pop(window, None)
        if above is not None:
            self._rise(above)
            for unit, here, inside in window.contradicted():
                if inside <= here * (1 + SAME_COUNT):
                    continue
                differs = (
                    f"{unit}: {here:,.12g} in a window {window.name!r}, {inside:,.12g} in windows inside it"
                )
                self._reached.tell_apart(differs)
        if self._progress is not None:
            self._progress.closed(window.name)
        if apart:
            self.tell(
                "counts-disagree",
                f"the same unit was counted twice, and differently ({'; '.join(apart[:3])})",
                measurement=RUN,
            )
        faults = window.faults()
        if window is self._whole:  # what did not reach a window did not reach the run
            faults = tuple(dict.fromkeys((*faults, *self._refused)))
        elif above is not None and len(self._refused) < MOST_FAULTS:
            self._refused.update(dict.fromkeys(faults))
        if faults:
            self.tell(
                "count-refused",
                f"counts must be finite numbers of at least 0; left out: {', '.join(faults[:3])}",
                remedy="Count finite numbers, not below zero",
                measurement=window.name,
            )

    def _rise(self, window: Window) -> None:
        """Hands up the work of windows that were left before those inside them, now that these were left as well."""
        while (
            window.key in self._rising
            and window.key not in self._open
            and not window.holding
            and window.above is not None
        ):
            above, waits = window.above, (window.rises(), not window.holds_name_around)
            # All or nothing, as above.
            above.waiting[window.key] = waits
            above.holding -= 1
            del self._rising[window.key]
            window = above

    def _counted_late(self, window: Window) -> None:
        """Somebody counted into a window that was left already."""
        if self._state is State.OPEN and self._is_own_process() and window.name not in self._told_late:
            self._told_late.add(window.name)
            self.tell(
                "count-refused",
                f"work was counted into {window.name!r} after it was left; it is in no figure",
                remedy="Count inside the with block",
                measurement=window.name,
            )

    def drain(self, name: str) -> None:
        """Waits until the devices have done what they were asked to; where that fails it is told of the windows of this name."""
        from energy_rating.measuring.queues import drain_queues  # here, since few ask for it

        try:
            drain_queues()
        except Exception as error:  # it is the user's own failure, and the user's next call will raise it
            if is_interruption(error, called=QUEUES):
                raise
            self.tell(
                "sync-failed",
                f"draining the devices' queues failed ({type(error).__name__})",
                measurement=name,
            )

    def _look_again(self, now: float) -> None:
        try:
            self._lags.look(now)
        except Exception as error:  # as above
            pass_on(error, called=QUEUES)

    def _note_counts(self, now: float) -> None:
        """Once a second, what open windows have counted so far, so that a killed run still knows its work."""
        if self._progress is not None and self._state is State.OPEN:
            self._progress.tick(now)
        if self._lags.waiting and self._state is State.OPEN:
            self._look_again(now)
        if now - self._counted_s < QUIET_LINE_S or self._state is not State.OPEN:
            return
        self._counted_s = now
        if self._gone:
            self._leave_deserted()
        for key, window in tuple(self._open.items()):
            work = self._work_by_now()[0] if window is self._whole else window.figure()
            if work and self._counted.get(key) != work:
                with self._lock:
                    if key in self._open:
                        self._counted[key] = work
                        self._journal_file.write({"count": key, "t": self._now(), "work": work})
