"""A stranger's model in a process of its own: what it gets to see of this one's environment, and how it is talked to.

A model is a stranger's: its files may have been made by anybody, and some bring code of their own. A list of what is let through of the
environment is kept, not one of what is held back: of the names that carry secrets, somebody invents a new one every week. What
is not let through is missed at once (a library that is not found), what was forgotten to be held back is not. The user's own
command, measured or given as a workload, gets the environment as it is: it is the user's.

The two processes write lines of JSON to each other. What comes from the child is bounded and checked like any stranger's file. The
child ends with the process that started it, and so does all that it started; what becomes of it, a crash or an end by the
kernel when memory runs out, is one error here, and what was measured until then is kept.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import importlib
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, TypeVar

from energy_rating.benchmarking.guard import guard
from energy_rating.benchmarking.hub import limit_silence_of_hubs
from energy_rating.benchmarking.options import from_entry, to_entry
from energy_rating.benchmarking.work import Done, Item, Settings, Stretch, Telling, Workload
from energy_rating.nouns.choices import SEVERITIES
from energy_rating.nouns.errors import (
    LONGEST_QUOTE,
    SILENT,
    BadInput,
    EnergyRatingError,
    ModelFailed,
    first_line,
    kind_of,
    of_kind,
)
from energy_rating.nouns.records import Finding, Model, Number, Setting
from energy_rating.nouns.work import Work

NAMES = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SHELL", "TERM", "LOGNAME", "USER"),
        *(
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "DYLD_LIBRARY_PATH",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "XDG_CACHE_HOME",
        ),
        *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "HF_HOME"),
        # Where models are kept, and what compiles kernels.
        *(
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "TOKENIZERS_PARALLELISM",
            "CC",
            "CXX",
            "CPATH",
            "LIBRARY_PATH",
        ),
    )
)

# Of the drivers and of the libraries that compute: https://docs.nvidia.com/cuda/cuda-programming-guide/ (CUDA_),
# https://rocm.docs.amd.com (HIP_, ROCR_, HSA_), ggml (GGML_), OpenMP and the BLAS libraries.
PREFIXES = (
    *(
        "LC_",
        "CUDA_",
        "NVIDIA_",
        "NCCL_",
        "NVML_",
        "HIP_",
        "ROCR_",
        "ROCM_",
        "HSA_",
        "GPU_",
        "ZE_",
        "ONEAPI_",
        "SYCL_",
    ),
    *(
        "GGML_",
        "LLAMA_",
        "OMP_",
        "KMP_",
        "GOMP_",
        "MKL_",
        "OPENBLAS_",
        "BLIS_",
        "VK_",
        "MESA_",
        "VLLM_",
        "TORCH_",
        "TORCHINDUCTOR_",
        "TRITON_",
        "PYTORCH_",
    ),
    *("SLURM_LOCALID", "LOCAL_RANK"),
)

# None of the above is to carry a secret; this is for the name that does all the same (NVIDIA_API_KEY).
SECRET = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|SESSION|LICENSE|PROXY|URL|WEBHOOK", re.IGNORECASE
)

# What was loaded is on the disk: nothing is to be asked of a hub while it is measured. And where something is fetched, the token that
# a login has left in a file does not go with each request (huggingface_hub, HF_HUB_DISABLE_IMPLICIT_TOKEN).
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
}


# Where the user allowed fetching: how the network is reached, if that does not need a password.
OF_THE_NETWORK = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "HF_ENDPOINT",
)


def environment_of_a_model(
    environ: Mapping[str, str], *, online: bool = False, **more: str
) -> dict[str, str]:
    """The environment for a process in which a stranger's model runs: what is let through of ``environ``, and ``more``.

    ``online``: the user allowed fetching the model. No token is let through for that either: what only its owner may fetch, is
    fetched before.
    """
    let_through = {
        name: value
        for name, value in environ.items()
        if ((name in NAMES or name.startswith(PREFIXES)) and not SECRET.search(name))
        or (online and name in OF_THE_NETWORK and "@" not in value)
    }
    of_the_hub = {name: value for name, value in OFFLINE.items() if not (online and name == "HF_HUB_OFFLINE")}
    return {**let_through, **of_the_hub, **more}


# ------------------------------------------------------------------------------------------------------ the parent's side

# -P: no module of the working directory stands in for one of Python's own.
PROGRAM = (sys.executable, "-P", "-m", "energy_rating.benchmarking.child")

LARGEST_REPLY = 64 << 20  # bytes: 20,000 requests of a stream with the times of their tokens joined
LARGEST_NUMBER = 1e18  # of seconds, of items and of parameters
MOST_UNITS = 64
MOST_SPANS = 100_000
MOST_FINDINGS = 100
LONGEST_NAME = 80
LONGEST_TEXT = 600
LARGEST_LOG = 16 << 20  # bytes of what libraries print

# A child whose pipe is held open by what it left behind is noticed by looking; a model that works is not disturbed by that.
LOOKS_EVERY_S = 1.0

# How often whoever wants to know is told how many items are done.
TELLS_EVERY_S = 0.5

# Windows that are the benchmark's own: a child that noted one of them would change what is rated.
RESERVED = frozenset(
    ("run", "load", "idle-before", "warm-up", "measured", "idle-after", "serving", "cooldown")
)

T = TypeVar("T")


def prepared(
    name: str,
    model: str,
    settings: Settings,
    items: Sequence[Item] = (),
    *,
    module: str | None = None,
    program: Sequence[str] = PROGRAM,
) -> tuple[Workload, Model]:
    """A workload in a process of its own, and what the model is. The libraries that it needs are loaded there, the model is not.

    Args:
        name: of the workload, for messages.
        model: as for the workload.
        settings: likewise.
        items: what it will be asked; they are sent when it loads, and not while it is measured.
        module: where the workload is; by default the package's own of that name.
        program: what is started; for tests.

    Raises:
        BadInput: as the workload's own ``prepared``.
        EnergyRatingError: likewise.
        ModelFailed: its process ended.
    """
    child = Child(
        name,
        model,
        settings,
        items,
        module=module or f"energy_rating.benchmarking.workloads.{name}",
        program=program,
    )
    return child, child.described


class Child:
    """A workload of another module, run in a process of its own.

    ``described`` is what it says of its model; ``device`` where that runs, once it is loaded, if the workload tells: ``gpu`` or ``cpu``.
    """

    def __init__(
        self,
        name: str,
        model: str,
        settings: Settings,
        items: Sequence[Item],
        *,
        module: str,
        program: Sequence[str],
    ) -> None:
        """Starts the process and has it prepare the workload; see ``prepared``."""
        self._name = name
        self._first = {"module": module, "model": model, "settings": to_entry(settings)}
        self._online = settings.download
        self._items = tuple(items)
        self._program = tuple(program)
        self._numbers: dict[Item, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._rest = b""
        self._held = contextlib.ExitStack()
        self.device = ""  # cpu, where the workload says so once it is loaded
        self.tell: Callable[[int], None] | None = None
        self.described = self._start()

    # -- the three members

    def load(self) -> None:
        """Has it load the model; in another process, if the last one ended.

        Raises:
            EnergyRatingError: as the workload's own ``load``.
            ModelFailed: the process ended.
        """
        if self._process is None:
            self._start()
        reply = self._ask({"do": "load", "new": self._new(self._items)})
        self.device = "cpu" if reply.get("device") == "cpu" else ""

    def run(self, items: Sequence[Item]) -> Done:
        """Has it do the items.

        Raises:
            EnergyRatingError: as the workload's own ``run``.
            ModelFailed: the process ended, or what it says it did cannot be.
        """
        if self._process is None:
            raise BadInput("no model is loaded", "Call load() first")
        new = self._new(items)
        numbers = [self._numbers[item] for item in items]
        reply = self._ask({"do": "run", "new": new, "items": numbers, "tell": self.tell is not None})
        try:
            return _done(reply)
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed(
                f"what {self._name} says it did cannot be: {first_line(error, SILENT)}", "Please report it"
            ) from error

    def close(self) -> None:
        """Ends the process and all that it started, and waits until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # held up in the kernel, by a driver
                process.wait(10.0)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._held.close()
        self._numbers.clear()
        self._rest = b""
        log, self._log = self._log, None
        if log is not None:
            log.close()

    # -- talking

    def _start(self) -> Model:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        # So that it can be cut while the child goes on writing.
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        try:
            self._process = subprocess.Popen(
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
                env=environment_of_a_model(
                    os.environ, online=self._online, PYTHONPATH=os.pathsep.join(filter(None, sys.path))
                ),
                # Its own group can be ended as a whole, and Ctrl-C reaches it through this process alone.
                start_new_session=True,
            )
            self._held.enter_context(guard(self._process.pid))
            tied = threading.current_thread() is threading.main_thread()
            reply = self._ask({**self._first, "tied": tied})
            try:
                return _model(reply["model"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._failed(
                    f"what {self._name} says of its model cannot be: {first_line(error, SILENT)}",
                    "Please report it",
                ) from error
        except BaseException:
            self.close()
            raise

    def _new(self, items: Sequence[Item]) -> list[dict[str, object]]:
        """The items that the child was not given yet; each is sent once."""
        new = [item for item in dict.fromkeys(items) if item not in self._numbers]
        for item in new:
            self._numbers[item] = len(self._numbers)
        return [_item_entry(item) for item in new]

    def _ask(self, message: Mapping[str, object]) -> dict[str, Any]:
        """Its answer; an error that it tells of is raised here."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        line = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # it is dead; why is found out below
            while line:
                line = line[os.write(process.stdin.fileno(), line) :]
        while True:
            try:
                reply = json.loads(self._line(process))
            except (ValueError, RecursionError):
                raise self._failed(*self._how_it_ended(process)) from None
            done = reply.get("done") if isinstance(reply, dict) and len(reply) == 1 else None
            if done is None or self.tell is None:
                break
            if isinstance(done, int) and 0 <= done <= LARGEST_NUMBER:
                self.tell(done)
        if not isinstance(reply, dict):
            raise self._failed(
                f"{self._name} must answer with an object; got {type(reply).__name__}", "Please report it"
            )
        self._trim()
        error = reply.get("error")
        if error is not None:
            raise _error(error, self._name)
        return reply

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """One line, or what came of it before the process ended."""
        assert process.stdout is not None
        line, feed, rest = self._rest.partition(b"\n")
        if feed:
            self._rest = rest
            return line
        parts, size = [self._rest], len(self._rest)
        self._rest = b""
        while True:
            readable = select.select([process.stdout], [], [], LOOKS_EVERY_S)[0]
            if not readable:
                if process.poll() is not None:
                    return b"".join(parts)
                continue
            part = os.read(process.stdout.fileno(), 1 << 20)
            line, feed, rest = part.partition(b"\n")
            parts.append(line)
            size += len(line)
            if feed:
                self._rest = rest
                return b"".join(parts)
            if not part:
                return b"".join(parts)
            if size > LARGEST_REPLY:
                raise self._failed(f"the answer of {self._name} is too long", "Please report it")

    def _failed(self, message: str, remedy: str) -> ModelFailed:
        """The error, once the process is stopped."""
        self.close()
        return ModelFailed(message, remedy)

    def _how_it_ended(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """How a process ended that no longer talks, in its own last words where it had any; and the remedy."""
        said = self._said()
        quoted = f", having said {said!r}" if said else ""
        try:
            code = process.wait(2.0)
        except subprocess.TimeoutExpired:
            return f"the process of {self._name} broke off the connection{quoted}", "Please report it"
        if code >= 0:
            return f"the process of {self._name} exited with status {code}{quoted}", "Look at what it said"
        if -code == signal.SIGKILL:
            return (
                f"the process of {self._name} was killed (SIGKILL), as the kernel does when memory runs out",
                "Look in the kernel log; take a smaller model, type or batch, or give it more memory",
            )
        with contextlib.suppress(ValueError):
            return (
                f"the process of {self._name} crashed ({signal.Signals(-code).name}){quoted}",
                "Look whether its libraries, the driver and the device go together",
            )
        return f"the process of {self._name} was ended by signal {-code}{quoted}", "Look at what it said"

    def _said(self) -> str:
        """The last line that it printed."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 1 << 14, max(0, size - (1 << 14)))
        lines = [line.strip() for line in tail.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:LONGEST_QUOTE] if lines else ""

    def _trim(self) -> None:
        if self._log is not None and os.fstat(self._log.fileno()).st_size > LARGEST_LOG:
            os.ftruncate(self._log.fileno(), 0)


# -- what is said, and what is believed of it


def _item_entry(item: Item) -> dict[str, object]:
    """Files by their full names; pictures and sounds that are none, as base64."""
    entry: dict[str, object] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if isinstance(value, bytes):
            value = {"bytes": base64.b64encode(value).decode()}
        elif isinstance(value, Path):
            value = {"path": str(value.absolute())}
        if value not in (None, ""):
            entry[one.name] = value
    return entry


def _item(entry: dict[str, Any]) -> Item:
    for name in ("image", "audio"):
        source = entry.get(name)
        if source is not None:
            entry[name] = base64.b64decode(source["bytes"]) if "bytes" in source else Path(source["path"])
    return Item(**entry)


def _done_entry(found: Done | Mapping[str, Number]) -> dict[str, object]:
    if not isinstance(found, Done):  # what cannot be is refused by the parent, which has to look at it anyway
        return {"work": dict(found), "spans": [], "steady": None, "findings": []}
    return {
        "work": dict(found.work),
        "spans": [_stretch_entry(span) for span in found.spans],
        "steady": None if found.steady is None else _stretch_entry(found.steady),
        "findings": [
            [one.code, one.message, one.remedy, one.severity, one.measurement, dict(one.data)]
            for one in found.findings
        ],
    }


def _stretch_entry(span: Stretch) -> list[object]:
    return [span.name, span.start_s, span.end_s, dict(span.work)]


def _done(entry: Mapping[str, Any]) -> Done:
    """What it did, if that can be.

    Raises:
        KeyError, TypeError, ValueError: it cannot.
    """
    if len(entry["spans"]) > MOST_SPANS or len(entry["findings"]) > MOST_FINDINGS:
        raise ValueError(f"must be at most {MOST_SPANS:,} spans and {MOST_FINDINGS} findings")
    return Done(
        work=_work(entry["work"]),
        spans=tuple(_stretch(span) for span in entry["spans"]),
        steady=None if entry["steady"] is None else _stretch(entry["steady"]),
        findings=tuple(_finding(*finding) for finding in entry["findings"]),
    )


def _work(entry: Mapping[str, Any]) -> Work:
    if not isinstance(entry, dict) or len(entry) > MOST_UNITS:
        raise ValueError(f"work must be a table of at most {MOST_UNITS} units; got {type(entry).__name__}")
    return Work(entry)


def _stretch(entry: Sequence[Any]) -> Stretch:
    name, start_s, end_s, work = entry
    start, end = float(_number(start_s)), float(_number(end_s))
    if end < start or name in RESERVED:
        raise ValueError(
            f"a span must end after it begins and not be one of the benchmark's own; got {str(name)[:LONGEST_NAME]!r}"
        )
    return Stretch(name=_name(name), start_s=start, end_s=end, work=_work(work))


def _finding(
    code: object,
    message: object,
    remedy: object,
    severity: object,
    measurement: object,
    data: object = None,
) -> Finding:
    if severity not in SEVERITIES:
        raise ValueError(
            f"a severity must be one of {', '.join(SEVERITIES)}; got {str(severity)[:LONGEST_NAME]!r}"
        )
    return Finding(
        code=_name(code),
        message=_text(message),
        remedy=_text(remedy),
        severity=severity,
        measurement=None if measurement is None else _name(measurement),
        data=_data(data or {}),
    )


def _data(entry: object) -> dict[str, Setting]:
    if not isinstance(entry, dict) or len(entry) > MOST_UNITS:
        raise ValueError(
            f"data of a finding must be a table of at most {MOST_UNITS}; got {type(entry).__name__}"
        )
    found: dict[str, Setting] = {}
    for name, value in entry.items():
        if not isinstance(value, str | bool | int | float):
            raise TypeError(f"a figure of a finding must be a text or a number; got {type(value).__name__}")
        found[_name(name)] = _text(value) if isinstance(value, str) else value
    return found


def _model(entry: Mapping[str, Any]) -> Model:
    return Model(
        id=_text(entry["id"]),
        revision=_optional(_text, entry["revision"]),
        parameters=_optional(_whole, entry["parameters"]),
        active_parameters=_optional(_whole, entry["active_parameters"]),
        dtype=_optional(_text, entry["dtype"]),
    )


def _optional(kind: Callable[[object], T], value: object) -> T | None:
    return None if value is None else kind(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_NUMBER:
        raise ValueError(f"must be a whole number above 0; got {str(value)[:LONGEST_NAME]}")
    return value


def _number(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_NUMBER:
        raise ValueError(f"must be a number of at least 0; got {str(value)[:LONGEST_NAME]}")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise ValueError(
            f"a name must be a text of 1 to {LONGEST_NAME} letters; got {str(value)[:LONGEST_NAME]!r}"
        )
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text; got {type(value).__name__}")
    return " ".join(value.split())[:LONGEST_TEXT]


def _error(entry: object, name: str) -> EnergyRatingError:
    """The error that the child told of."""
    told = entry if isinstance(entry, dict) else {}
    message, remedy, place, kind = (
        str(told.get(key) or "") for key in ("message", "remedy", "place", "kind")
    )
    message, remedy = _text(message), _text(remedy)
    if told.get("ours") is True:
        return of_kind(kind, message, remedy, place=place)
    if kind in ("MemoryError", "OutOfMemoryError"):
        return ModelFailed(
            f"memory ran out in {name}: {message}",
            "Take a smaller model, type or batch, or give it more memory",
        )
    return ModelFailed(
        f"{name} failed: {kind[:LONGEST_NAME]}: {message}", "Look whether the model suits the task"
    )


# ------------------------------------------------------------------------------------------------------ the child's side


def serve() -> None:
    """Does what the lines of its standard input ask for, and ends when that does."""
    asked, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # no library waits for somebody's answer
    os.close(nothing)
    os.dup2(2, 1)  # whatever else is printed goes to the log
    workload: Workload | None = None
    items: list[Item] = []
    for line in asked:
        message = json.loads(line)
        try:
            if workload is None:
                if message["tied"]:
                    die_with_parent()
                settings = from_entry(Settings, message["settings"])
                if settings.download:
                    limit_silence_of_hubs()
                module = importlib.import_module(message["module"])
                workload, model = module.prepared(message["model"], settings)
                reply: dict[str, object] = {
                    "model": {one.name: getattr(model, one.name) for one in fields(model)}
                }
            else:
                items += [_item(entry) for entry in message["new"]]
                if message["do"] == "load":
                    workload.load()
                    reply = {"device": str(getattr(workload, "device", ""))}
                else:
                    if isinstance(workload, Telling):
                        workload.tell = _telling(told) if message.get("tell") else None
                    reply = _done_entry(workload.run([items[number] for number in message["items"]]))
            text = json.dumps(reply, allow_nan=False)
        except Exception as error:  # told to the parent, which raises it
            text = json.dumps({"error": _error_entry(error)})
        told.write(text.encode() + b"\n")
        told.flush()
    os._exit(0)  # nothing in here is worth an orderly end


def _telling(told: IO[bytes]) -> Callable[[int], None]:
    """Writes how many items are done, now and then, in lines of their own before the answer's."""
    last_s = -math.inf

    def tell(done: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= TELLS_EVERY_S:
            last_s = time.monotonic()
            told.write(json.dumps({"done": done}).encode() + b"\n")
            told.flush()

    return tell


def _error_entry(error: Exception) -> dict[str, object]:
    if isinstance(error, EnergyRatingError):
        place = error.place if isinstance(error, BadInput) else ""
        return {
            "ours": True,
            "kind": kind_of(error),
            "message": error.message,
            "remedy": error.remedy,
            "place": place,
        }
    return {"kind": type(error).__name__, "message": first_line(error, SILENT)}


def die_with_parent() -> None:
    """Has the kernel kill this process with the thread that started it (prctl(2), PR_SET_PDEATHSIG).

    While a model is loaded or works, nothing in here could notice the parent's death. It is the *thread* that the kernel
    watches: only for a parent's main thread is its end that of the parent.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    serve()
