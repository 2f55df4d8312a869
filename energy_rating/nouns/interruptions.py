"""Whose an exception is that was caught in one of our frames: our own, or one of the program that is measured.

A signal's handler runs between any two instructions of whatever the main thread is at, and what it raises (a timeout that
``signal.alarm`` guards) comes out there; another thread may have something raised in this one (``PyThreadState_SetAsyncExc``). Where
that meets one of our frames it is the program's all the same, and goes on to it. What our own code fails with stays with us, and is
told. Told apart are they by where and what was raised:

- a handler is a function of the program: some frame between ours and the place of the error is neither ours nor Python's own;
- what another thread sends is a class, of which Python makes an instance without arguments, raised by no frame but ours. What our code
  or Python raises says what is wrong, and is of one of Python's own types or of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Collection, Iterator
from types import CodeType, TracebackType
from typing import Generic, TypeVar

from energy_rating.nouns.errors import EnergyRatingError

T = TypeVar("T")

# The package, whichever of its folders a file is in; pathlib would make a thing of it that is not needed.
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120
_PYTHON = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

# What Python and a bare ``assert`` raise without a word.
_WORDLESS = (AssertionError, MemoryError, StopIteration, StopAsyncIteration)

LONGEST_CHAIN = 20


def is_interruption(error: BaseException, *, called: Collection[str] | None = ()) -> bool:
    """Whether an exception, caught in one of our frames, is the program's.

    Args:
        error: what was caught.
        called: packages of which functions were called, such as torch: what they fail with is not the program's. None: any, such as a
            function that was handed in.
    """
    if not isinstance(error, Exception):
        return True  # KeyboardInterrupt, SystemExit, a timeout of gevent's: nobody here raises such
    frames = list(_frames(error.__traceback__))
    handlers = set(_handlers())
    if any(code in handlers for code, _ in frames):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        # What the system refuses has its number, also where a library has put functions of its own in the place of os.write (eventlet).
        return False
    foreign = [_root(module) for code, module in frames if not _is_own(code.co_filename)]
    if called is None:
        if foreign:
            return False
        called = ()
    if any(root not in called for root in foreign):
        return True
    if isinstance(error, EnergyRatingError):
        return False
    root = _root(type(error).__module__)
    if root in called:
        return False
    if root != "builtins" and root not in sys.stdlib_module_names:
        return True
    return not error.args and not isinstance(error, _WORDLESS)


def interruption_in(error: BaseException, *, called: Collection[str] | None = ()) -> BaseException | None:
    """The program's exception that one of ours was made from, or which it is itself; None where there is none.

    Where a file cannot be read we say so with an error of our own; a timeout of the program that landed there is what it came from.
    """
    seen: BaseException | None = error
    for _ in range(LONGEST_CHAIN):
        # What the program itself was handling when it called us did not go through our frames.
        if seen is None or not _began_here(seen.__traceback__):
            return None
        if is_interruption(seen, called=called):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def in_handler() -> bool:
    """Whether this thread is in a signal's handler of the program: what it interrupted, and the locks held there, wait for it."""
    handlers = set(_handlers())
    frame = sys._getframe() if handlers else None
    while frame is not None:
        if frame.f_code in handlers:
            return True
        frame = frame.f_back
    return False


def pass_on(error: BaseException, *, called: Collection[str] | None = ()) -> None:
    """Raises the program's exception that this one is or was made from; does nothing where it is ours alone."""
    theirs = interruption_in(error, called=called)
    if theirs is not None:
        raise theirs


class Living(Generic[T]):
    """What somebody still holds of what was added.

    Not one of ``weakref``'s own collections: these call a function of Python's where a thing is gone, in whatever thread that is, and what
    a signal's handler raises in there is lost.
    """

    def __init__(self) -> None:
        self._kept: list[weakref.ref[T]] = []

    def add(self, one: T) -> None:
        for kept in tuple(self._kept):
            if kept() is None:
                with contextlib.suppress(ValueError):  # another thread came first
                    self._kept.remove(kept)
        self._kept.append(weakref.ref(one))

    def __iter__(self) -> Iterator[T]:
        return iter([one for kept in tuple(self._kept) if (one := kept()) is not None])


def _frames(trace: TracebackType | None) -> Iterator[tuple[CodeType, str]]:
    while trace is not None:
        yield trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next


def _began_here(trace: TracebackType | None) -> bool:
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS)


def _is_own(filename: str) -> bool:
    """Whether a frame is ours or Python's own."""
    if filename.startswith((_OURS, "<frozen ")):
        return True
    return filename.startswith(_PYTHON) and not any(part in filename for part in _INSTALLED)


def _root(module: str) -> str:
    return module.partition(".")[0]


def _handlers() -> Iterator[CodeType]:
    """The code of the program's handlers of signals, as far as it is Python's."""
    signal = sys.modules.get("signal")
    if signal is None:  # nobody has loaded what sets them
        return
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            handler = getattr(handler, "func", handler)  # functools.partial
            function = getattr(handler, "__func__", handler)
            code = getattr(function, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
            if isinstance(code, CodeType):
                yield code
