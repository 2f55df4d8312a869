"""``energy-rating`` as a process of its own, forked from an interpreter that has already loaded the package.

Exit code, output, working directory, environment and descriptors are those of a real process, and Python ends it as any other.
Only its start is saved, which takes many times longer than most commands. Where the start matters (what is loaded, what the
loader or Python reads from the environment) or the tree of processes does (signals, groups), tests start a Python of their own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

# Read once, when a process starts: here that was long ago.
TOO_LATE = ("PYTHON", "LD_", "OPENBLAS_", "OMP_", "MALLOC_", "MPL")
# A request and its descriptors come as one message.
LONGEST = 1 << 18


class _Server:
    """The interpreter that waits; it is started with the first command."""

    def __init__(self) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LONGEST)
        self.socket = mine
        with its:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        self.environment = {name: value for name, value in os.environ.items() if name.startswith(TOO_LATE)}

    def close(self) -> None:
        self.socket.close()  # which it takes for the end
        self.process.wait(timeout=60)


_server: _Server | None = None
_alone = threading.Lock()


def energy_rating(
    *arguments: object,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | None = None,
    timeout: float = 110.0,
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end. ``env``: as for ``subprocess.run``; ``stdout``: a descriptor, otherwise it is returned.

    Raises:
        ValueError: the environment says something that only a Python of its own would heed.
        subprocess.TimeoutExpired: it was killed after ``timeout`` seconds.
    """
    global _server
    environment = dict(os.environ if env is None else env)
    words = [str(word) for word in arguments]
    with (
        _alone,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open() as nothing,
    ):
        if _server is None:
            _server = _Server()
        late = {name: value for name, value in environment.items() if name.startswith(TOO_LATE)}
        if late != _server.environment:
            raise ValueError(
                f"only a Python of its own would heed {dict(late.items() ^ _server.environment.items())}"
            )
        request = json.dumps({"arguments": words, "cwd": str(cwd or Path.cwd()), "environment": environment})
        files = [nothing.fileno(), out.fileno() if stdout is None else stdout, err.fileno()]
        socket.send_fds(_server.socket, [request.encode()], files)
        pid = int(_server.socket.recv(32))
        _server.socket.settimeout(timeout)
        try:
            code = int(_server.socket.recv(32))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            _server.socket.settimeout(10)
            _server.socket.recv(32)
            raise subprocess.TimeoutExpired(words, timeout) from None
        finally:
            _server.socket.settimeout(None)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(words, code, *texts)


def close() -> None:
    """Lets the waiting interpreter go."""
    global _server
    if _server is not None:
        _server.close()
        _server = None


def _load() -> None:
    """What commands load while they work, what pydantic builds for files that are refused, and what pictures are drawn with."""
    from energy_rating import load, rate
    from energy_rating.benchmarking.tasks import TaskFile
    from energy_rating.cli import commands
    from energy_rating.files import reading, strict
    from energy_rating.judging.profiles import Profile, profiles
    from energy_rating.judging.schemes import Scheme
    from energy_rating.nouns.records import Record
    from energy_rating.publishing.trace import plot
    from energy_rating.publishing.verification import verify

    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    example = Path(__file__).parents[2] / "reports" / "example-gpu"
    verify(example)
    rate(load(example))
    profiles()
    plot(reading.read_journal(example))
    for kind in (Record, Profile, Scheme, TaskFile):
        strict.adapter(kind)


def _wait(end: socket.socket) -> list[str]:
    """Forks for each request; returns in the child, with what is to be run. Ends with the one who asks."""
    while True:
        message, files, *_ = socket.recv_fds(end, LONGEST, 3)
        if not message:
            sys.exit(0)
        pid = os.fork()
        if pid:
            for file in files:
                os.close(file)
            end.send(str(pid).encode())
            end.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
            continue
        end.close()
        request = json.loads(message)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.path[0] = request["cwd"]  # as for ``python -m``
        return request["arguments"]


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    _load()
    gc.freeze()  # what is loaded stays shared with the child
    words = _wait(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = ["energy-rating", *words]
    runpy.run_module("energy_rating", run_name="__main__", alter_sys=True)
