"""Any program inside a run: started, watched, its signals and its exit code passed through. Measures nothing itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from energy_rating.counts import read_counts
from energy_rating.errors import BadInput
from energy_rating.meter import Run
from energy_rating.records import Number, Outcome

# A terminal sends these to the whole foreground group: the program has them already, and a second one would be one too many.
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (
    *FROM_THE_TERMINAL,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGWINCH,
)


def run_command(
    argv: Sequence[str], run: Run, *, counts: Mapping[str, Number], count_from: Path | None = None
) -> int:
    """Runs a program inside ``run`` and returns its exit code; 128 + n where signal n ended it, as shells do.

    Args:
        argv: the program and its arguments; no shell is involved.
        run: a run that has not been started; it is stopped when this returns.
        counts: work to be counted when the program has ended.
        count_from: a file of further counts that the program writes: a JSON object, or lines of ``unit=number``.

    Raises:
        BadInput: the program cannot be started.
    """
    with run:
        process = _started(argv)
        with _signals_passed_to(process):
            code = process.wait()
        run.ended_as(_outcome(code))
        run.count(**counts)
        if count_from is not None:
            try:
                run.count(**read_counts(count_from))
            except BadInput as error:
                # The program has done its work and its energy is measured; only the count is missing.
                run.tell(
                    "count-refused", str(error), "Write a JSON object, or lines of unit=number", "degrades"
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


def _started(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(argv))
    except FileNotFoundError:
        raise BadInput("there is no such program", "Check the name and the PATH", place=argv[0]) from None
    except PermissionError:
        raise BadInput("may not be executed", "Make it executable: chmod +x", place=argv[0]) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be started ({error})", place=argv[0]) from error


@contextmanager
def _signals_passed_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        if number in FROM_THE_TERMINAL and _in_foreground():
            return
        process.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
