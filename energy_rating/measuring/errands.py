"""Longer work of ours, done in a thread of our own: the program's thread only waits for it, and may be called away meanwhile.

What is raised in the program's thread while it waits (see ``interruptions``) so never meets code that reads files and takes errors as
they come, and goes on at once; the work is brought to its end all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from energy_rating.nouns import threads
from energy_rating.nouns.interruptions import in_handler, pass_on

T = TypeVar("T")


def begin(made: Callable[[], threads.AnyThread]) -> None:
    """Makes and starts a thread, from yet another one: ``Thread.start`` forgets a thread that has begun where it is called away in the middle.

    Python notes its threads in a collection that calls a function of Python's where one of them is gone; made and dropped in here, that
    is not the program's thread, in which a signal's handler may raise something just then.

    Raises:
        RuntimeError, MemoryError: no thread can be started.
    """
    failed: list[BaseException] = []
    tried = threads.lock()
    tried.acquire()

    def start() -> None:
        try:
            made().start()
        except BaseException as error:
            failed.append(error)  # raised again below
        finally:
            tried.release()

    threads.start_new(start)
    tried.acquire()
    if failed:
        raise failed[0]


class Errand(Generic[T]):
    """Work that is done once, from the first ``result()`` on, however often and by whomever that is asked for.

    ``here``: in the thread that asks. So it is done also where no thread can be had, and where a signal's handler asks: that has
    interrupted its thread somewhere, perhaps where it holds a lock that another thread would wait for.
    """

    def __init__(self, work: Callable[[], T], *, here: bool = False) -> None:
        self._here = here
        self._to_do = [work]  # whoever takes it out does it
        self._done = threads.event()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def result(self) -> T:
        """What came of it, once it is done. What the work raised is raised here."""
        try:
            self._begin()
            self._done.wait()
        except BaseException:  # of the program
            self._begin()
            raise
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _begin(self) -> None:
        if not self._to_do:
            return
        if not self._here and not in_handler():
            try:
                # The process waits for it before it ends: a record is made, also if nobody waits for that any more.
                begin(self._made)
            except (RuntimeError, MemoryError) as error:  # no room for a thread, or the interpreter is ending
                pass_on(error)
            else:
                return
        self._run()

    def _made(self) -> threads.AnyThread:
        return threads.thread(self._run, name="energy-rating-errand", daemon=False)

    def _run(self) -> None:
        try:
            work = self._to_do.pop()
        except IndexError:  # another thread was started for it as well
            return
        try:
            self._result.append(work())
        except BaseException as error:
            self._error = error  # raised again to whoever asks
        finally:
            self._done.set()
