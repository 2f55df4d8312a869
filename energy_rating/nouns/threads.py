"""Threads of the system, and what they wait for each other with, also in a program whose own threads are none.

gevent and eventlet put functions of their own in the place of Python's (``monkey.patch_all``): what ``threading`` starts is then a task in
the program's one thread, which runs whenever no other does. A driver that hangs would hang the program with it, and readings would come
when the program happens to wait for something. Where that is so, Python's own functions are taken from a second copy of its module
``_thread``; else from ``threading``, as anybody would.
"""

from __future__ import annotations

import _thread
import functools
import importlib.util
import threading
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any, Protocol


class AnyEvent(Protocol):
    """As those of ``threading``, of which nobody here clears any."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class AnyThread(Protocol):
    """As those of ``threading``."""

    def start(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...
    def is_alive(self) -> bool: ...


def are_replaced() -> bool:
    """Whether a library has put something else in the place of threads."""
    return not isinstance(_thread.start_new_thread, BuiltinFunctionType)


def start_new(function: Callable[[], object]) -> None:
    """Calls a function in a thread that nobody knows of.

    Raises:
        RuntimeError, MemoryError: no thread can be started.
    """
    start: Callable[..., object] = _own().start_new_thread if are_replaced() else _thread.start_new_thread
    start(function, ())


def thread(target: Callable[[], object], *, name: str, daemon: bool = True) -> AnyThread:
    """A thread that has not been started. Where threads are replaced no thread keeps the process from ending."""
    return (
        _SystemThread(target) if are_replaced() else threading.Thread(target=target, name=name, daemon=daemon)
    )


def lock() -> _thread.LockType:
    made: _thread.LockType = _own().allocate_lock() if are_replaced() else threading.Lock()
    return made


def rlock() -> _thread.RLock:
    """One that the thread that holds it may take again; tasks that share a thread share it, and none of them may wait inside."""
    made: _thread.RLock = _own().RLock() if are_replaced() else threading.RLock()
    return made


def event() -> AnyEvent:
    return _SystemEvent() if are_replaced() else threading.Event()


@functools.cache
def _own() -> Any:
    spec = importlib.util.find_spec("_thread")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _SystemEvent:
    def __init__(self) -> None:
        self._gate = _own().allocate_lock()
        self._gate.acquire()
        self._set = False
        self._setting = _own().allocate_lock()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        with self._setting:
            if not self._set:
                self._set = True
                self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set and self._gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._gate.release()  # for whoever waits beside this one
        return self._set


class _SystemThread:
    def __init__(self, target: Callable[[], object]) -> None:
        self._target = target
        self._started = False
        self._ended = _SystemEvent()

    def start(self) -> None:
        start_new(self._run)
        self._started = True

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        return self._started and not self._ended.is_set()
