"""Any program as a workload: items come to it as JSON Lines on standard input, and its last line says what it did.

The program is started once for each ``run()``, without a shell, in a session of its own; whatever of it is left when it ends,
takes too long, or loses the process that started it, is killed. What it counts is believed and checked for form only.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO

from energy_rating.benchmarking.guard import guard
from energy_rating.benchmarking.work import Item, Settings, Workload, refuse
from energy_rating.measuring.counts import parse_counts
from energy_rating.nouns.errors import BadInput, CommandFailed
from energy_rating.nouns.records import Model, Number

LONGEST_LINE = 1 << 16  # bytes; of what the program prints only the end is kept
LONGEST_QUOTE = 200
LARGEST_PIPE = 1 << 20  # bytes that a pipe may hold at most (pipe(7))

# Where the kernel cannot say that a process has ended (pidfd_open(2)), it is looked at that often.
LOOKS_EVERY_S = 0.05
LONGEST_WAIT_S = 3600.0  # for one call of select; epoll counts milliseconds in 32 bits


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = (
    "command",
    "dtype",
    "min_new_tokens",
    "max_input_tokens",
    "reasoning",
    "concurrency",
    "max_num_seqs",
)


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a program, found already; of its model nothing is known but the name that it is given here.

    Raises:
        BadInput: no program is named, there is none of that name, or it may not be executed.
    """
    if not settings.command:
        raise BadInput("no program is named", "Name it with --command", place="--command")
    # What a program does with its settings is its own affair; it is told them on its command line, by whoever writes that.
    refuse(
        settings,
        "command",
        understands=UNDERSTANDS,
        options=(),
    )
    workload = Command(settings.command)
    workload.load()
    return workload, Model(id=Path(model).name if Path(model).exists() else model)


class Command:
    """A workload whose items are texts or mappings, each given to the program as one line of JSON, in UTF-8.

    The last line that the program prints may say what it did: ``{"token": 512, "request": 8}`` or ``token=512 request=8``.
    """

    def __init__(self, argv: Sequence[str], *, timeout_s: float = 600.0) -> None:
        """Starts nothing yet.

        Args:
            argv: the program and its arguments.
            timeout_s: how long one ``run`` may take.

        Raises:
            BadInput: there is no program among the arguments, or the time is out of its range.
        """
        if isinstance(argv, str):
            raise BadInput(
                "must be a list of arguments; got one text", "Take shlex.split of it", place="argv"
            )
        if not argv or not argv[0]:
            raise BadInput("no program is named", 'Such as ["python", "generate.py"]', place="argv")
        if not 0 < timeout_s < math.inf:
            raise BadInput(f"must be a time above 0, in seconds; got {timeout_s!r}", place="timeout_s")
        self._argv = tuple(argv)
        self._name = Path(argv[0]).name
        self._timeout_s = timeout_s
        self._program: str | None = None

    # -- the three members

    def load(self) -> None:
        """Finds the program; starts nothing.

        Raises:
            BadInput: there is no such program, or it may not be executed.
        """
        found = shutil.which(self._argv[0])
        if found is None:
            if Path(self._argv[0]).exists() and os.sep in self._argv[0]:
                raise BadInput("may not be executed", "Make it executable: chmod +x", place=self._name)
            raise BadInput("there is no such program", "Check the name and the PATH", place=self._name)
        self._program = str(Path(found).absolute())

    def run(self, items: Sequence[Item | str | Mapping[str, object]]) -> Mapping[str, Number]:
        """Runs the program once, with all the items, and returns when it has ended.

        Returns:
            What its last line says; ``request`` is the number of items if it does not say that.

        Raises:
            BadInput: ``load`` was not called, an item is no JSON, the program cannot be started, or its counts are no counts.
            CommandFailed: it ended with an error or was killed, or did not end in time.
        """
        if self._program is None:
            raise BadInput("the program was not looked for", "Call load() first", place=self._name)
        lines = [_line(item, number) for number, item in enumerate(items, start=1)]
        # Files, not pipes: a program that reads late, or never, then blocks nobody, and neither does one that complains much.
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaints:
            asked.writelines(lines)
            asked.seek(0)
            code, last = self._watched(self._started(self._program, asked, complaints))
            said = _last_line(_end_of(complaints)) or last
        if code is None:
            raise CommandFailed(
                f"{self._name} did not end within {self._timeout_s:g} s{_quoted(said)} and was stopped",
                "Raise timeout_s, or give it fewer items at a time",
            )
        if code:
            fate = (
                f"exited with status {code}"
                if code > 0
                else f"was ended by signal {-code} ({_signal(-code)})"
            )
            raise CommandFailed(
                f"{self._name} {fate}{_quoted(said)}", "Run it by hand to see the whole of it"
            )
        return {"request": len(items), **parse_counts(last, place=f"{self._name}, last line")}

    def close(self) -> None:
        """Forgets the program. Between two calls of ``run`` nothing is running."""
        self._program = None

    # -- one run of the program

    def _started(self, program: str, asked: IO[bytes], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._argv,
                executable=program,
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=complaints,
                bufsize=0,
                # Its own group can be killed as a whole; without a terminal it cannot wait for someone's answer.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(f"cannot be started ({reason})", place=self._name) from error

    def _watched(self, process: subprocess.Popen[bytes]) -> tuple[int | None, str]:
        """The exit code, None if the time was up; and the last line of its standard output."""
        assert process.stdout is not None
        try:
            with guard(process.pid):
                in_time, printed = self._read(process.stdout.fileno(), process.pid)
        finally:
            _kill_group(process.pid)
            process.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # held up in the kernel, by a driver
                process.wait(10.0)
        return (process.returncode if in_time else None), _last_line(printed)

    def _read(self, out: int, pid: int) -> tuple[bool, bytes]:
        """Reads until the program ends or the time is up. What it started and left behind is not waited for but killed."""
        until = time.monotonic() + self._timeout_s
        kept = b""
        with _end_signal(pid) as end, selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            if end is not None:
                selector.register(end, selectors.EVENT_READ)
            while not (ended := _has_ended(pid)) and (left := until - time.monotonic()) > 0:
                for key, _ in selector.select(min(left, LOOKS_EVERY_S if end is None else LONGEST_WAIT_S)):
                    if key.fd == out:
                        part = os.read(out, LONGEST_LINE)
                        kept = _kept(kept, part)
                        if not part:
                            selector.unregister(out)
        _kill_group(pid)
        os.set_blocking(out, False)
        with contextlib.suppress(BlockingIOError):  # held open by something that left the group
            for _ in range(LARGEST_PIPE // LONGEST_LINE):
                kept = _kept(kept, os.read(out, LONGEST_LINE))
        return ended, kept


@contextlib.contextmanager
def _end_signal(pid: int) -> Iterator[int | None]:
    """A descriptor that can be read once the process has ended; None where the kernel has no such thing."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _has_ended(pid: int) -> bool:
    """Whether it has, without burying it: until then its number, and its group's, is nobody else's."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # this process ignores SIGCHLD, and the kernel buries its children
        return True


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


# -------------------------------------------------------------------------------------------------------- lines


def _entry(item: Item) -> str | Mapping[str, object]:
    """An item as the line that the program is given: its text, or an object of all that it has; files by their full names.

    A picture or a sound that is no file comes as base64, as in a data URL.
    """
    if item == Item(text=item.text):
        return item.text
    entry: dict[str, object] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if isinstance(value, bytes):
            kind = "image/png" if one.name == "image" else "audio/wav"
            value = f"data:{kind};base64,{base64.b64encode(value).decode()}"
        elif isinstance(value, Path):
            value = str(value.absolute())
        if value not in (None, ""):
            entry[one.name] = value
    return entry


def _line(item: object, number: int) -> bytes:
    if isinstance(item, Item):
        item = _entry(item)
    if not isinstance(item, str | Mapping):
        raise BadInput(f"must be a text or a mapping; got {type(item).__name__}", place=f"item {number}")
    try:
        text = json.dumps(item if isinstance(item, str) else dict(item), ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot be written as JSON ({error})", place=f"item {number}") from error


def _kept(before: bytes, part: bytes) -> bytes:
    """The end of both, and no more of it than one line may be long; blank lines after it count as one."""
    text = before + part
    body = text.rstrip()
    blank = text[len(body) :]
    return body[-LONGEST_LINE:] + (b"\n" if b"\n" in blank or b"\r" in blank else blank[:1])


def _end_of(file: IO[bytes]) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), LONGEST_LINE, max(0, size - LONGEST_LINE))


def _last_line(text: bytes) -> str:
    lines = (line.strip().decode(errors="replace") for line in reversed(text.splitlines()))
    return next((line for line in lines if line), "")


def _quoted(said: str) -> str:
    return f", having said {said[:LONGEST_QUOTE]!r}" if said else ""


def _signal(number: int) -> str:
    return signal.strsignal(number) or "unknown"
