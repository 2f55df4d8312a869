"""How far a program runs ahead of its devices: where work was still queued when a window was closed, and for how long.

A framework that works asynchronously returns at once, and the device does the work later: in the next window, or after the run. Whether
something is queued can be asked without waiting for it. That is done at the edges of windows that do not wait (``sync``), at most once a
second for each name, and asked again until it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from energy_rating.measuring import queues

EVERY_S = 1.0
LOOKED_AT_FIRST = 3  # windows of a name, whenever they come
MOST_NAMES = 100

# As a share of a window: below, next to nothing is on the wrong side of an edge; above, the window is not to be used as it stands.
NOTED, GRAVE = 0.001, 0.05

# Windows with less than this share of time between them: what one edge takes the next one gives (as in judging).
CONTIGUOUS = 0.05


@dataclass(slots=True)
class _WindowsOfName:
    closed: int = 0
    looked: int = 0
    looked_s: float = 0.0
    open_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    longest_s: float = 0.0  # that work of a window went on after it
    waiting: tuple[Callable[[], bool], float] | None = None


class Lags:
    """Of the windows of one run, by name. Nothing in here is exact, and nothing needs to be: threads may come between."""

    def __init__(self) -> None:
        self._names: dict[str, _WindowsOfName] = {}
        self.waiting = False  # for something to be done

    def closed(self, name: str, opened_s: float, now_s: float) -> None:
        """A window that did not wait was closed at some time."""
        of = self._of(name)
        if of is None:
            return
        if not of.closed:
            of.first_s = opened_s
        of.closed += 1
        of.open_s += now_s - opened_s
        of.last_s = now_s

    def is_due(self, name: str, now_s: float) -> bool:
        """Whether it is time to look what is queued where such a window is closed, or whether what was queued is done by now."""
        of = self._names.get(name)
        if of is None:
            return len(self._names) < MOST_NAMES
        if of.waiting is not None:
            return True
        return of.looked < LOOKED_AT_FIRST or now_s - of.looked_s >= EVERY_S

    def mark(self, name: str, now_s: float) -> None:
        """Looks what is queued, in the thread that closes such a window."""
        of = self._of(name)
        if of is not None and of.waiting is None:
            of.looked, of.looked_s = of.looked + 1, now_s
            is_done = queues.mark()
            if is_done is not None:
                of.waiting = is_done, now_s
                self.waiting = True

    def _of(self, name: str) -> _WindowsOfName | None:
        of = self._names.get(name)
        if of is None and len(self._names) < MOST_NAMES:
            of = self._names[name] = _WindowsOfName()
        return of

    def look(self, now_s: float) -> None:
        """Is what was queued done by now?"""
        if not self.waiting:
            return
        self.waiting = False
        for of in tuple(self._names.values()):
            waiting = of.waiting
            if waiting is not None and waiting[0]():
                of.longest_s = max(of.longest_s, now_s - waiting[1])
                of.waiting = None
            elif waiting is not None:
                self.waiting = True

    def found(self, now_s: float) -> Iterator[tuple[str, float, bool]]:
        """At the end: the windows of which work was still queued, for how long at most, and whether that is grave."""
        self.look(now_s)
        for name, of in tuple(self._names.items()):
            lag_s = max(of.longest_s, now_s - of.waiting[1] if of.waiting is not None else 0.0)
            if not of.closed:
                continue
            span_s = of.last_s - of.first_s
            contiguous = of.closed > 1 and of.open_s >= (1 - CONTIGUOUS) * span_s
            measured_s = span_s if contiguous else of.open_s / of.closed
            if lag_s > NOTED * measured_s:
                yield name, lag_s, lag_s > GRAVE * measured_s
