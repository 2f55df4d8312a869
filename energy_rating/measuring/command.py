"""Any program inside a run: started, watched, its signals and its exit code passed through. Measures nothing itself."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from energy_rating.measuring.counts import read_counts
from energy_rating.measuring.run import JournalRun
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Number, Outcome

# A terminal sends these to the whole foreground group: the program has them already, and a second one would be one too many.
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)

# What is not passed on. Nobody can catch the first two. Job control stops and continues this process as it does the program, which is
# in the same group; a child's end is this process's own affair. The rest say that this process itself did something: wrote to a pipe
# that nobody reads or beyond a file's largest size, or made a fault, from which a handler would return into the same fault for ever.
OWN = frozenset(
    (
        *(signal.SIGKILL, signal.SIGSTOP),
        *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD),
        *(signal.SIGPIPE, signal.SIGXFSZ),
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
    )
)


def run_command(
    argv: Sequence[str],
    run: JournalRun,
    *,
    counts: Mapping[str, Number],
    count_from: Path | None = None,
    ended: Callable[[], None] = lambda: None,
) -> int:
    """Runs a program inside ``run`` and returns its exit code; 128 + n where signal n ended it, as shells do.

    Args:
        argv: the program and its arguments; no shell is involved.
        run: a run that has not been started; it is stopped when this returns.
        counts: work to be counted when the program has ended.
        count_from: a file of further counts that the program writes: a JSON object, or lines of ``unit=number``.
        ended: called once the program has ended, before the run does.

    Raises:
        BadInput: the program cannot be started.
    """
    if shutil.which(argv[0]) is None:  # known before anything is measured
        raise _forbidden(argv[0]) if Path(argv[0]).exists() else _missing(argv[0])
    with _signals_passed_on() as passing:
        with _kept_from_new_threads():
            run.start()
        with run:
            process = _started(argv)
            passing.to(process)
            code = _waited(process)
            ended()
            run.ended_as(_outcome(code))
            run.count(**counts)
            if count_from is not None:
                try:
                    run.count(**read_counts(count_from))
                except BadInput as error:
                    # The program has done its work and its energy is measured; only the count is missing.
                    run.tell(
                        "count-refused",
                        str(error),
                        remedy="Write a JSON object, or lines of unit=number",
                    )
    return code if code >= 0 else 128 - code


def _outcome(code: int) -> Outcome:
    """What ``wait`` returned, in words: -n where signal n ended the program."""
    if code >= 0:
        return Outcome(exit_code=code)
    try:
        return Outcome(signal=signal.Signals(-code).name)
    except ValueError:  # one of the real-time signals between the first and the last has no name
        return Outcome(signal=f"SIG{-code}")


def _waited(process: subprocess.Popen[bytes]) -> int:
    """What ``wait`` returns, once the program has ended; meanwhile handlers of signals are run as soon as these come.

    A signal that comes between Python's last look for it and the system call that waits, or to another thread, would be seen only after the
    next one, or after the program's end. So what is waited for is the program or a byte that Python writes from the signal itself.
    """
    try:
        ended = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # before Linux 5.3
        return process.wait()
    came, told = os.pipe()
    os.set_blocking(came, False)
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        either = select.poll()
        either.register(ended, select.POLLIN)
        either.register(came, select.POLLIN)
        while ended not in (ready := dict(either.poll())):
            if came in ready:
                os.read(came, 4096)
    finally:
        signal.set_wakeup_fd(before)
        for descriptor in (ended, came, told):
            os.close(descriptor)
    return process.wait()


def _missing(program: str) -> BadInput:
    return BadInput("there is no such program", "Check the name and the PATH", place=program)


def _forbidden(program: str) -> BadInput:
    return BadInput("may not be executed", "Make it executable: chmod +x", place=program)


def _started(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    # That which was found, and no other of its name further down the PATH, to which subprocess would go on.
    found = shutil.which(argv[0])
    try:
        return subprocess.Popen(list(argv), executable=found)
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except PermissionError:
        raise _forbidden(argv[0]) from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOEXEC and found is not None:
            # A script that does not say what runs it: shells, and execvp (POSIX), give it to a shell.
            return subprocess.Popen(["/bin/sh", found, *argv[1:]])
        raise BadInput(f"cannot be started ({error})", place=argv[0]) from error


class _Passing:
    """Passes signals on to a program; those that come before it has been started, as soon as it has."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._previous: dict[int, Any] = {}

    def take(self, numbers: Iterable[int]) -> None:
        """From now on these signals are passed on."""
        for number in numbers:
            self._previous[number] = signal.signal(number, self._pass_on)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        """To that program, which has just been started. It was to inherit what is ignored here (nohup): only now is that taken."""
        self.take(number for number in _passed_on() if number not in self._previous)
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def give_back(self) -> None:
        for number, handler in self._previous.items():
            # None: what was there was not put there by Python, and cannot be put back by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif number not in FROM_THE_TERMINAL or not _in_foreground():
            self._process.send_signal(number)


def _passed_on() -> set[int]:
    return {int(number) for number in signal.valid_signals()} - OWN


@contextmanager
def _signals_passed_on() -> Iterator[_Passing]:
    """Until the record is made: a second signal, such as a scheduler's, would else end this process before that."""
    passing = _Passing()
    try:
        passing.take(number for number in _passed_on() if signal.getsignal(number) != signal.SIG_IGN)
        yield passing
    finally:
        passing.give_back()


@contextmanager
def _kept_from_new_threads() -> Iterator[None]:
    """Threads that are started meanwhile get none of the signals that are passed on.

    A handler runs in the main thread only, which waits for the program in the kernel: a signal that the kernel gives to another
    thread (as it does while the main one still has one to handle) would not wake it.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, _passed_on())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _in_foreground() -> bool:
    """Whether this process group is the one that the terminal talks to."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
