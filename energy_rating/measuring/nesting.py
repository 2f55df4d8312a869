"""Which windows are open where the program is just now: in this thread, in this task, and in what these were started from.

A context variable holds them. A task of asyncio, ``asyncio.to_thread`` and ``copy_context().run`` begin with a copy of the context in
which they were made, so that the windows open there are known. A plain thread begins with an empty context (from Python 3.14 on it
may be told to inherit one): where it was started is not known, and nothing is patched to find out.

A window may be left in another context than it was entered in, as by generators and callbacks: one that was left counts no longer,
wherever it still stands.
"""

from __future__ import annotations

from contextvars import ContextVar

from energy_rating.nouns.entries import Window

HERE: ContextVar[tuple[Window, ...]] = ContextVar("energy_rating_windows", default=())


def enter(window: Window) -> None:
    """From now on the window is open here, and in what is started from here."""
    here = HERE.get()
    if here and here[-1].left:
        here = tuple([one for one in here if not one.left])
    HERE.set((*here, window))


def leave(window: Window) -> None:
    """The window is no longer open here."""
    here = HERE.get()
    if here and here[-1] is window:
        HERE.set(here[:-1])
    elif window in here:
        HERE.set(tuple(one for one in here if one is not window))


def without(left: Window | None) -> tuple[Window, ...]:
    """The windows that are open here beside one, and beside those that were left elsewhere."""
    here = HERE.get()
    if here and here[-1] is left:
        return here[:-1]
    return tuple([one for one in here if one is not left and not one.left])


def here(run: Window) -> tuple[bool, list[Window]]:
    """Whether this was started inside the run that ``run`` is the window of, and that run's windows that are open here.

    The outermost window comes first; the run's own is not among them.
    """
    inside, found = False, []
    for window in HERE.get():
        if window is run:
            inside = True
        elif window.of is run and not window.left:
            found.append(window)
    return inside, found
