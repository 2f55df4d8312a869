"""The windows of a run: what opens and leaves them, what is counted into them, and the lines that the journal has of that.

The user's thread only notes times: an *edge* is a timestamp and one line in the journal. Nothing in here raises into the program that is
measured: what goes wrong is a finding. In a forked child a run is inert.
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

    __slots__ = ("__weakref__", "_in_with", "_keys", "_name", "_run", "_sync")

    def __init__(self, run: Windowed, name: str, sync: bool) -> None:
        self._run = run
        self._name = name
        self._sync = sync
        self._in_with = False
        self._keys: list[tuple[int | None, Window]] = []

    def open(self) -> Self:
        """Opens the window until ``close()``, for hooks that are called at the begin and at the end of something. Returns itself.

        A window that is open already ends here, and a finding says so; one that is never closed ends with the run.
        """
        if self._keys:
            self._run._misused(
                "window-reopened", self._name, "was opened again before it was closed; it ended there"
            )
            self.leave()
        self._enter_one(None)
        return self

    def count(self, /, **work: Number) -> None:
        """Adds work to the window that is open."""
        try:
            window = self._keys[-1][1]
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
            key = self._run._enter(window, self._sync, holder)
            self._keys.append((key, window))
            if key is not None:
                nesting.enter(window)
            return window
        except BaseException:  # of the program: the block is not entered, and nobody will leave it
            self._keys = [entry for entry in self._keys if entry[1] is not window]
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
                key, window = self._keys.pop()
            except IndexError:
                return False
            if work:
                window.count(**work)
            if key is not None:
                nesting.leave(window)
                self._run._leave(key, self._sync)
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
        self._open: dict[int, Window] = {}
        self._opened: dict[int, float] = {}  # when
        self._lags = Lags()
        self._next = 0
        # Who will leave each of the open windows; and those of them who are gone without having done so, called away before they could.
        self._holders: dict[int, weakref.KeyedRef[int, OpenWindow]] = {}
        self._gone: deque[weakref.KeyedRef[int, OpenWindow]] = deque()
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
            top = own[0]
            while top.above is not None:
                top = top.above
            top.count_through(work)
            return
        self._whole.count(**work)
        if not (inside or threading.get_ident() == self._thread) and len(self._open) > 1:
            self._tell_once(
                "counted-into-the-run",
                "a thread without a window of its own counted work while windows were open elsewhere; it is in the run's work "
                "and in none of theirs",
            )

    def _work_of_run(self) -> tuple[dict[str, Number], list[str]]:
        """The run's work up to now, and what was told twice and differently (see ``reaching``)."""
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
                now, zero = self._edge(), self._zero or 0.0
                if not start_s <= end_s < math.inf:
                    raise ValueError("a window ends after it began")
                start = min(max(round(start_s - zero, 6), 0.0), now)
                end = min(max(round(end_s - zero, 6), start), now)
                if end_s < zero or start_s - zero > now or (start == end and start_s < end_s):
                    self._note_outside(window.name)
                    return
                try:
                    key = self._open_window(window, sync=False, at=start)
                    if key is not None:
                        self._close(key, end)
                except BaseException:  # of the program; what is begun is brought to its end
                    self._undo(window, end)
                    raise
        except Exception as error:  # as below
            pass_on(error)
            self._note_failure(str(name), error)

    def _note_outside(self, name: str) -> None:
        self._tell_once(
            "noted-outside-the-run",
            f"a window {name[:LONGEST_NAME]!r} was noted that lies wholly before the run or in its future; it is in no figure",
        )

    def _enter(self, window: Window, sync: bool, holder: OpenWindow | None) -> int | None:
        if self._state is not State.OPEN:
            if self._state is State.ELSEWHERE:
                window.closed(lambda _: self._unmeasured("what is counted is in no figure"))
            else:
                self._unmeasured("a window of it is not measured")
            return None
        if not self._is_own_process():
            window.closed(lambda _: self._counted_elsewhere())
            return None
        try:
            return self._open_window(window, sync, holder=holder)
        except Exception as error:  # a window that cannot be noted is no reason to end a training
            pass_on(error)
            self._note_failure(window.name, error)
            return None

    def _undo(self, window: Window, at: float | None = None) -> None:
        """Leaves a window, if it is open: something of the program came between."""
        with self._lock:
            for key, one in tuple(self._open.items()):
                if one is window and self._sampler is not None:
                    self._close(key, self._edge() if at is None else at)

    def _leave_deserted(self) -> None:
        """Leaves the windows that nobody will leave any more: whoever was to do so is gone."""
        with self._lock:
            while self._gone:
                key = self._gone[0].key
                if key in self._open:
                    self._undo(self._open[key])
                self._holders.pop(key, None)
                del self._gone[0]

    def _open_window(
        self, window: Window, sync: bool, at: float | None = None, holder: OpenWindow | None = None
    ) -> int | None:
        if sync:
            self.drain(window.name)
        name = window.name
        if not name.isprintable() or len(name) > LONGEST_NAME or name != name.strip():
            name = "".join(character if character.isprintable() else " " for character in name)
            name = name[:LONGEST_NAME].strip()
        with self._lock:
            if self._state is not State.OPEN or self._sampler is None:
                return None
            if name != window.name or not name or name == RUN:
                window.name = f"{name}-window" if name == RUN else name or "window"
                self.tell(
                    "window-renamed",
                    f"a window had to be called {window.name!r}",
                )
            if self._gone:
                self._leave_deserted()
            key, self._next = self._next, self._next + 1
            now = self._edge() if at is None else at
            window.of, window.key = self._whole, key
            if at is None:
                self._place(window)
            above = window.above
            own = above is not None and above is self._reached.own
            if holder is not None:
                self._holders[key] = weakref.KeyedRef(holder, self._gone.append, key)
            journal = self._journal_file
            self._opened[key] = now
            block, put = journal.opening(key, window.name, now), journal.put
            # All or nothing: Python looks for signals after a call, where a function begins and where it jumps back, and so nothing of
            # the program's can come between these.
            self._open[key] = window
            if above is not None:
                self._rising[key] = window
                above.holding += 1
                self._reached.own_open += own
            put(block)
            journal.flush()
        return key

    def _place(self, window: Window) -> None:
        """Where a window stands that is opened here: inside which others, and in whose thread or task.

        One that was noted afterwards stands nowhere: its work may have been counted by the windows of its time.
        """
        inside, around = nesting.here(self._whole)
        self._reached.place(window, around, own=inside or threading.get_ident() == self._thread)

    def _edge(self) -> float:
        """The time now, since the run's start; readings around it are kept."""
        assert self._sampler is not None
        now = self.settings.clock.now()
        self._sampler.edge(now)
        return round(now - (now if self._zero is None else self._zero), 6)

    def _leave(self, key: int, sync: bool) -> None:
        if self._state is not State.OPEN or not self._is_own_process() or key not in self._open:
            return
        try:
            if sync:
                self.drain(self._open[key].name)
            with self._lock:
                if self._state is not State.OPEN or self._sampler is None or key not in self._open:
                    return
                now = self._edge()
                window, opened = self._open[key], self._opened.get(key, now)
                self._close(key, now)
            if not sync and (self._lags.waiting or queues.are_any()):
                self._look_at_queues(window.name, opened, now)
        except Exception as error:  # as above
            pass_on(error)
            self._note_failure("a window", error)

    def _look_at_queues(self, name: str, opened: float, now: float) -> None:
        """Whether the devices still have work that was asked for in a window that did not wait for them."""
        try:
            self._lags.closed(name, opened, now)
            self._lags.look(now)
        except (
            Exception
        ) as error:  # of a framework that is otherwise than it was: what it does not tell is not known
            pass_on(error, called=QUEUES)

    def _close(self, key: int, now: float) -> None:
        window = self._open[key]
        window.closed(self._counted_late)
        apart: list[str] = []
        if window is self._whole:
            work, apart = self._work_of_run()
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
        run = self._work_of_run()[0] if above is not None and above.of is None and work else None
        block, put = journal.closing(key, now, work, run), journal.put
        # All or nothing, as above.
        del self._open[key]
        self._reached.own_open -= own
        if rises and above is not None and waits is not None:
            if waits[0]:
                above.waiting[key] = waits
            above.holding -= 1
            del self._rising[key]
        put(block)
        self._counted.pop(key, None)
        self._opened.pop(key, None)
        self._holders.pop(key, None)
        if above is not None:
            self._rise(above)
            for unit, here, inside in window.contradicted():
                if inside <= here * (1 + SAME_COUNT):
                    continue
                differs = (
                    f"{unit}: {here:,.12g} in a window {window.name!r}, {inside:,.12g} in windows inside it"
                )
                self._reached.tell_apart(differs)
        journal.flush()
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
        while window.key in self._rising and window.left and not window.holding and window.above is not None:
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
            self._lags.look(now - (self._zero or 0.0))
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
            work = self._work_of_run()[0] if window is self._whole else window.figure()
            if work and self._counted.get(key) != work:
                with self._lock:
                    if key in self._open:
                        self._counted[key] = work
                        self._journal_file.write({"count": key, "t": self._now(), "work": work})
