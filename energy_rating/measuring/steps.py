"""Windows that open and close by themselves: the steps of a loop, and the requests of a server or an agent.

**Steps.** The first window opens when the first item is there; each ends where the next begins, which is when the next item is there. So
next to nothing lies between them, and what is misplaced at an edge of one is in the other. A step is the work on an item, and the wait
for the next one.

**Requests.** Each is a window by itself; many are under way at the same time, and what they need is the energy of the time in which any
of them was: that of their union.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from energy_rating.measuring.windows import Windowed
from energy_rating.nouns.entries import Number, Window
from energy_rating.nouns.interruptions import pass_on

if TYPE_CHECKING:
    from energy_rating.measuring.progress import Loop

T = TypeVar("T")

STEP, REQUEST = "step", "request"


class Steps(Generic[T]):
    """What ``run.steps`` gives: the items of what it was given, each in a window. Each loop over it is one over what it was given."""

    def __init__(
        self, run: Stepped, items: Iterable[T], name: str, sync: bool, work: Mapping[str, Any]
    ) -> None:
        self._run = run
        self._items = items
        self._name = name
        self._sync = sync
        self._work = work

    def __len__(self) -> int:
        """How many items there are.

        Raises:
            TypeError: what was given does not know its length.
        """
        return len(self._items)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        """As that of what was given."""
        return bool(self._items)

    def __iter__(self) -> Iterator[T]:
        run, sync = self._run, self._sync
        loop = run.loop_begins(self._name, self._items)
        alike, asked = self._alike()
        window: Window | None = None
        entered: Window | None = None
        try:
            for item in self._items:  # it is waited for in the window of the item before
                if window is not None and loop is not None:
                    loop.done += 1
                entered = Window(self._name, alike)
                run.turn(window, entered, sync)
                window = entered
                if asked:
                    self._count(window, item, asked)
                yield item
            if not sync:
                run.drain(self._name)
        finally:  # also where the loop is left by break, by an exception, or as somebody drops it
            run.turn(window, None, sync)
            if entered is not window:  # something of the program came in between
                run.turn(entered, None, sync)
            if loop is not None:
                run.loop_ends(loop)

    def _alike(self) -> tuple[Window, dict[str, Any]]:
        """What is the same in each step, counted once; and what each is to be asked for."""
        alike, asked = Window(self._name), {}
        for unit, amount in self._work.items():
            one = Window(self._name)
            if type(amount) is int or type(amount) is float:
                one.count(**{unit: amount})
            if one.work:
                alike.count(**{unit: amount})
            else:
                asked[unit] = amount
        return alike, asked

    def _count(self, window: Window, item: T, asked: Mapping[str, Any]) -> None:
        for unit, amount in asked.items():
            try:
                window.count(**{unit: amount(item) if callable(amount) else amount})
            except Exception as error:  # of a function that was handed in: the program's loop goes on
                pass_on(error, called=None)
                self._run._misused(
                    "count-refused",
                    self._name,
                    f"could not be given its {unit!r}: the function that counts it raised {type(error).__name__}",
                )


class RequestWindow:
    """What ``run.request`` gives: a request while it is under way. For ``with``, or ``open()`` here and ``close(token=212)`` there.

    It is counted as one request, with its work, where it ends in order. One of which the block raises, and one that ``failed()``, is in
    the energy and is no request.
    """

    __slots__ = ("_window", "_work")

    def __init__(self, run: Windowed, name: str, work: Mapping[str, Number]) -> None:
        self._window = run.window(name)
        self._work = {REQUEST: 1, **work}

    def open(self) -> Self:
        """The request is under way from now on. Returns itself."""
        self._window.open()
        return self

    def count(self, /, **work: Number) -> None:
        """Adds work to the request while it is under way."""
        self._window.count(**work)

    def close(self, /, **work: Number) -> None:
        """The request was answered: it counts as one, with this work."""
        self._window.close(**{**self._work, **work})

    def failed(self) -> None:
        """The request was not answered: its energy counts, and it is no request."""
        self._window.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.failed()


class Stepped(Windowed):
    """A run as far as its loops and requests go."""

    def steps(
        self,
        items: Iterable[T],
        /,
        *,
        name: str = STEP,
        sync: bool | None = None,
        **work: Number | Callable[[T], Any],
    ) -> Steps[T]:
        """The items of a loop, each in a window: ``for batch in run.steps(loader, token=lambda batch: batch["input_ids"].numel()):``.

        A step is the work on an item and the wait for the next one. Its window is closed however the loop is left: at its end (once the
        devices have done what they were asked to), by ``break``, by an exception. ``len()`` is that of ``items``.

        Args:
            items: anything that a ``for`` loop takes.
            name: of the windows.
            sync: drain the devices' queues at each step; by default as the run does.
            work: what each step does, by unit: a number, or a function of the item. It is asked when the item is there, and a step that is
                broken off counts whole.
        """
        return Steps(self, items, str(name), self.settings.sync if sync is None else sync, work)

    def expect(self, /, **windows: int) -> None:
        """Says how many windows of a name are to come in the whole run: ``run.expect(step=30_000)``, for ``measure(progress=60)``.

        Loops of ``run.steps`` say so by themselves. Of several names the last stands.
        """
        for name, total in windows.items():
            if self._progress is not None and isinstance(total, int | float) and 0 < total < math.inf:
                self._progress.expect(name, int(total))

    def loop_begins(self, name: str, items: object) -> Loop | None:
        """A loop begins, of which it can be said how far it has come. Of those in threads beside the run's own nothing is said."""
        if self._progress is None or threading.get_ident() != self._thread or not self._is_own_process():
            return None
        try:
            total = len(items)  # type: ignore[arg-type]
        except Exception as error:  # it does not know, or will not say: that is nobody's trouble
            pass_on(error, called=None)
            return None
        return self._progress.enter(name, total) if total > 0 else None

    def loop_ends(self, loop: Loop) -> None:
        """It has ended, by itself or not."""
        if self._progress is not None:
            self._progress.leave(loop)

    def request(self, /, *, name: str = REQUEST, **work: Number) -> RequestWindow:
        """A request to a server or an agent, while it is under way: ``with run.request() as request: … request.count(token=212)``.

        Requests may be under way side by side, in threads and tasks. ``run.record["request"]`` has the energy of the time in which any of
        them was. Of a single one there is only its share of that: ``run.shares()``.
        """
        return RequestWindow(self, name, work)
