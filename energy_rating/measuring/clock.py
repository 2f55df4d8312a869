"""The clock of a run and what is done in step with it. Reads no device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from energy_rating.measuring.errands import begin
from energy_rating.nouns import threads


class Ticker(Protocol):
    """A step that a clock repeats. ``step(now)`` returns when it wants to be called next, or None to end."""

    def finish(self, patience_s: float) -> bool:
        """Calls the step now, goes on as it asks, and waits until it has ended; False if it did not within the patience."""


class Clock(Protocol):
    """Time as a run sees it; tests put a virtual one in its place."""

    def now(self) -> float:
        """Monotonic seconds."""

    def asleep(self) -> float:
        """Seconds that this machine has been suspended since it was started."""

    def repeat(self, step: Callable[[float], float | None], patience_s: float) -> Ticker:
        """Calls ``step`` at once and then whenever it asks for; returns after the first call or the patience."""


class _Thread:
    """A ticker on a daemon thread of its own."""

    def __init__(self, step: Callable[[float], float | None], patience_s: float) -> None:
        self._step = step
        # A lock that nobody gives back until the end: waiting for it costs half of what waiting for an event does.
        self._ended = threads.lock()
        self._ended.acquire()
        self._stepped = threads.event()
        self._thread: threads.AnyThread | None = None
        begin(self._made)
        self._stepped.wait(patience_s)

    def _made(self) -> threads.AnyThread:
        self._thread = thread = threads.thread(self._loop, name="energy-rating")
        return thread

    def _loop(self) -> None:
        due = self._step(time.monotonic())
        self._stepped.set()  # once: it costs as much as a tenth of a step
        while True:
            if due is None:
                self._thread = None  # gone here, and not where the run is dropped (see ``errands.begin``)
                return
            self._ended.acquire(timeout=max(0.0, due - time.monotonic()))
            due = self._step(time.monotonic())

    def finish(self, patience_s: float) -> bool:
        with contextlib.suppress(RuntimeError):  # given back before
            self._ended.release()
        thread = self._thread
        if thread is None:
            return True
        thread.join(patience_s)
        return not thread.is_alive()


class MonotonicClock:
    """The machine's own clock. It does not run while the machine is suspended and is never set."""

    now = staticmethod(time.monotonic)  # no function of ours around it: an edge waits for it

    if hasattr(time, "CLOCK_BOOTTIME"):

        def asleep(self) -> float:
            return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

    else:

        def asleep(self) -> float:
            return 0.0

    def repeat(self, step: Callable[[float], float | None], patience_s: float) -> Ticker:
        return _Thread(step, patience_s)
