"""llama.cpp: a GGUF file behind a real OpenAI-compatible HTTP server, in a process of its own on this machine's loopback.

What is counted is what the server itself says it did (``usage``). The server is a child process, so that whatever happens to
it does not happen to the meter; it dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import math
import os
import secrets
import select
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from energy_rating.benchmarking import gguf
from energy_rating.benchmarking.answers import (
    EMPTY,
    NONE_IN_A_ROW,
    UNANSWERED,
    Request,
    heard_whole,
    judged,
)
from energy_rating.benchmarking.child import die_with_parent, environment_of_a_model
from energy_rating.benchmarking.work import Item, Settings, Workload, refuse, text_of
from energy_rating.nouns.errors import BadInput, EnergyRatingError, ServerFailed
from energy_rating.nouns.records import Model, Number

HOST = "127.0.0.1"

# -P: no module of the working directory stands in for one of Python's own.
SERVER = (sys.executable, "-P", "-m", "energy_rating.benchmarking.workloads.llama_cpp")

INSTALL = 'Run: pip install "energy-rating[llama-cpp]"'
UPGRADE = 'Run: pip install --upgrade "energy-rating[llama-cpp]"'

# The server only looks after its parent that often, beside the end of its standard input; it costs nothing to speak of.
LOOKS_AFTER_PARENT_S = 1.0

# What it takes of the engine's own arguments (--option), and what it does: each item is one text, and the answer another.
OPTIONS: Mapping[str, Any] = {
    "n_threads": int,
    "n_ctx": int,
    "n_gpu_layers": int,
    "load_timeout_s": int | float,
    "answer_timeout_s": int | float,
}
TASKS = ("text-generation", "summarization")

USUAL_CONTEXT = 2048  # tokens

LONGEST_QUOTE = 200
LARGEST_REPLY = 64 << 20  # bytes


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = ("min_new_tokens", "dtype")


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a GGUF file, and what the file says of its model.

    Raises:
        BadInput: there is no such file, or it is no GGUF file.
        EnergyRatingError: xllamacpp is not installed.
    """
    path = Path(model)
    described = gguf.described(path)
    if importlib.util.find_spec("xllamacpp") is None:
        raise EnergyRatingError("xllamacpp is not installed", INSTALL)
    # Its type is what the file's quantisation is, whatever a protocol names.
    refuse(settings, "llama_cpp", understands=UNDERSTANDS, options=tuple(OPTIONS), tasks=TASKS)
    wanted: dict[str, Any] = {}
    for name, value in settings.options.items():
        if isinstance(value, bool) or not isinstance(value, OPTIONS[name]):
            raise BadInput(
                f"{name} must be a number; got {str(value)[:40]!r}", "Such as n_ctx=4096", place="--option"
            )
        wanted[name] = value
    if settings.max_new_tokens is not None:
        wanted["max_new_tokens"] = settings.max_new_tokens
        # The answer is to find room beside the question; what is cut off by the context is a shorter answer than was asked for.
        wanted.setdefault("n_ctx", max(USUAL_CONTEXT, settings.max_new_tokens + USUAL_CONTEXT // 2))
    if settings.min_new_tokens not in (None, settings.max_new_tokens):
        raise BadInput(
            "llama.cpp can be held to a number of new tokens, not to at least some",
            "Ask for as many at least as at most",
            place="--min-new-tokens",
        )
    exactly = settings.min_new_tokens is not None
    return LlamaCpp(path, seed=settings.seed, exactly=exactly, **wanted), described


class LlamaCpp:
    """A workload whose items are texts; each is answered on its own, one after the other.

    The same item gives the same answer: temperature 0, a fixed seed, and no prompt cache from one request to the next.
    ``answers`` holds the texts of the last ``run``, ``arguments`` what the server is started with. ``device`` says where the model runs, once it is loaded: ``gpu`` only
    with a build of xllamacpp for one.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        n_threads: int = 1,
        max_new_tokens: int = 64,
        n_ctx: int = USUAL_CONTEXT,
        n_gpu_layers: int = -1,
        seed: int = 0,
        exactly: bool = False,
        load_timeout_s: float = 300.0,
        answer_timeout_s: float = 300.0,
        server: Sequence[str] = SERVER,
    ) -> None:
        """Loads nothing yet.

        Args:
            model: the GGUF file.
            n_threads: CPU threads. One is the slowest and by far the steadiest.
            max_new_tokens: an answer ends there at the latest.
            n_ctx: tokens that an item and its answer may have together.
            n_gpu_layers: layers on the GPU, where there is one and a build for it; -1 all that fit, 0 none.
            seed: of the sampler.
            exactly: an answer has so many tokens as it may have; it does not end where the model would end it.
            load_timeout_s: how long loading may take.
            answer_timeout_s: how long the answer to one item may take.
            server: the command that serves; for tests.

        Raises:
            BadInput: a number is out of its range.
        """
        for name, value in (("n_threads", n_threads), ("max_new_tokens", max_new_tokens), ("n_ctx", n_ctx)):
            if value < 1:
                raise BadInput(f"must be at least 1; got {value!r}", place=name)
        for name, value_s in (("load_timeout_s", load_timeout_s), ("answer_timeout_s", answer_timeout_s)):
            if not 0 < value_s < math.inf:
                raise BadInput(f"must be a time above 0, in seconds; got {value_s!r}", place=name)
        self._model = Path(model)
        self.arguments = {"n_threads": n_threads, "n_ctx": n_ctx, "n_gpu_layers": n_gpu_layers}
        self._asked = {
            "max_tokens": max_new_tokens,
            "temperature": 0,
            "seed": seed,
            "cache_prompt": False,
            "stream": False,
            **({"ignore_eos": True} if exactly else {}),
        }
        self._load_timeout_s = load_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._server = tuple(server)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._log_start = 0
        self._port = 0
        self._key = ""
        self.device = ""
        self.answers: tuple[str, ...] = ()
        self._unanswered = 0  # in a row

    # -- the three members

    def load(self) -> None:
        """Starts the server and returns when the model is loaded. Starts anew if there is one already.

        Raises:
            BadInput: there is no such file, or it is no GGUF.
            EnergyRatingError: xllamacpp is not installed.
            ServerFailed: the server did not come up.
        """
        self.close()
        gguf.described(self._model)
        self._key = secrets.token_hex(16)  # other users of this machine reach its loopback too
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        self._log_start = 0
        try:
            self._process = subprocess.Popen(
                self._server,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
                env=environment_of_a_model(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            )
            self._greet(self._process)
        except BaseException:
            self.close()
            raise

    def run(self, items: Sequence[Item | str]) -> Mapping[str, Number]:
        """Answers the items and returns when the last answer is there.

        Returns:
            ``request``; ``token``, those generated; ``input_token``, those of the prompts; ``cached_token``, the part of the
            prompts that was not computed again, only if there was any; ``unanswered_request`` and ``empty_request`` likewise.

        Raises:
            BadInput: nothing is loaded, or the server refuses an item, such as one that is too long.
            ServerFailed: the server died, did not answer in time, or does not say how many tokens there were.
        """
        if self._process is None:
            raise BadInput("no model is loaded", "Call load() first")
        work: dict[str, Number] = {"request": 0, "token": 0, "input_token": 0}
        answers = []
        for number, item in enumerate(items, start=1):
            reply = self._ask(item, number)
            answers.append(_text(reply))
            found = judged(heard_whole(reply), Request())
            self._unanswered = self._unanswered + 1 if found.outcome == "unanswered" else 0
            if self._unanswered >= NONE_IN_A_ROW:
                raise self._failed(
                    f"llama.cpp's server answered none of {self._unanswered} requests, one after the other: the last one {found.why}",
                    UPGRADE,
                )
            if found.outcome == "unanswered":
                work[UNANSWERED] = work.get(UNANSWERED, 0) + 1
                continue
            if found.outcome == "empty":
                work[EMPTY] = work.get(EMPTY, 0) + 1
            usage = _usage(reply)
            if usage is None:  # counting the pieces of an answer would be counting something else
                raise self._failed(
                    f"llama.cpp's server does not say how many tokens item {number} took, so nothing can be counted",
                    UPGRADE,
                )
            for unit, amount in usage.items():
                work[unit] = work.get(unit, 0) + amount
        self.answers = tuple(answers)
        return work

    def close(self) -> None:
        """Stops the server, if there is one, and waits until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it holds nothing that is worth an orderly end
            with contextlib.suppress(subprocess.TimeoutExpired):  # held up in the kernel, by a driver
                process.wait(10.0)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        log, self._log = self._log, None
        if log is not None:
            log.close()

    # -- talking to the server

    def _greet(self, process: subprocess.Popen[bytes]) -> None:
        """Tells the server what to load, and waits for its one line on standard output."""
        assert process.stdin is not None
        assert process.stdout is not None
        settings = {
            **self.arguments,
            "model": str(self._model.absolute()),
            "key": self._key,
            "tied": threading.current_thread() is threading.main_thread(),
        }
        with contextlib.suppress(BrokenPipeError):  # it is dead; why is found out below
            process.stdin.write(json.dumps(settings).encode() + b"\n")
        line = _line(process.stdout, self._load_timeout_s)
        if line is None:
            raise self._failed(
                f"llama.cpp did not load {self._model.name} within {self._load_timeout_s:g} s",
                "Raise load_timeout_s, or take a smaller model",
            )
        try:
            hello = json.loads(line)
        except ValueError:
            raise self._failed(
                f"llama.cpp could not load {self._model.name}: {self._how_it_ended(process)}",
                "Check that the file is whole, and that there is memory enough for it",
            ) from None
        if "missing" in hello:
            raise EnergyRatingError(f"{hello['missing']} is not installed", INSTALL)
        if "trouble" in hello:
            raise self._failed(
                f"llama.cpp could not load {self._model.name}: {self._said() or hello['trouble']}",
                "Check that the file is whole, and that there is memory enough for it",
            )
        self._port, self.device = hello["port"], hello["device"]

    def _ask(self, item: Item | str, number: int) -> dict[str, Any]:
        assert self._process is not None
        assert self._log is not None
        self._log_start = os.fstat(self._log.fileno()).st_size
        asked = {"messages": [{"role": "user", "content": text_of(item)}], **self._asked}
        if isinstance(item, Item) and item.max_new_tokens is not None:
            asked["max_tokens"] = item.max_new_tokens
        # A connection each: the server drops idle ones, and one on the loopback costs a tenth of a millisecond.
        connection = http.client.HTTPConnection(HOST, self._port, timeout=self._answer_timeout_s)
        try:
            connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(asked).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            )
            with connection.getresponse() as response:
                content = response.read(LARGEST_REPLY)
        except TimeoutError:
            raise self._failed(
                f"llama.cpp's server did not answer item {number} within {self._answer_timeout_s:g} s",
                "Raise answer_timeout_s, or ask for fewer tokens",
            ) from None
        except (OSError, http.client.HTTPException):
            raise self._failed(
                f"llama.cpp's server ended at item {number}: {self._how_it_ended(self._process)}",
                "Look in the kernel log whether memory ran out; load() starts it again",
            ) from None
        finally:
            connection.close()
        reply = parsed(content)
        if reply is None:
            raise self._failed(
                f"llama.cpp's server answered item {number} with something that is not JSON", UPGRADE
            )
        if 400 <= response.status < 500:
            raise BadInput(
                f"llama.cpp's server refuses it ({_refusal(reply)})",
                "Shorten it, or raise n_ctx",
                place=f"item {number}",
            )
        if response.status != 200:
            raise self._failed(
                f"llama.cpp's server failed at item {number} ({_refusal(reply)})", "load() starts it again"
            )
        return reply

    def _failed(self, message: str, remedy: str) -> ServerFailed:
        """The error, once the server is stopped."""
        self.close()
        return ServerFailed(message, remedy)

    def _how_it_ended(self, process: subprocess.Popen[bytes]) -> str:
        """What has become of a server that no longer talks, in its own last words where it had any."""
        try:
            code = process.wait(1.0)
        except subprocess.TimeoutExpired:
            fate = "it broke off the connection"
        else:
            fate = f"killed by {_signal_name(-code)}" if code < 0 else f"it exited with status {code}"
        said = self._said()
        return f"{fate}, having said {said!r}" if said else fate

    def _said(self) -> str:
        """The first error that the server wrote since it was last asked something, or else its last line."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 1 << 16, max(self._log_start, size - (1 << 16)))
        lines = [line.strip() for line in tail.decode(errors="replace").splitlines() if line.strip()]
        # llama.cpp's lines begin with the time and a letter for the level; the cause comes first, its consequences follow.
        errors = [line.partition(" E ")[2].strip() for line in lines if " E " in line[:20]]
        return next(iter([*errors, *reversed(lines)]), "")[:LONGEST_QUOTE]


def _line(pipe: IO[bytes], patience_s: float) -> bytes | None:
    """One line, or what came of it before the end of the pipe; None if neither came in time."""
    until = time.monotonic() + patience_s
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, until - time.monotonic())):
                return None
            part = os.read(pipe.fileno(), 4096)
            if not part:
                break
            line += part
    return line


def parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object in a reply; None if there is none."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None


def _usage(reply: Mapping[str, Any]) -> dict[str, int] | None:
    """The work that the server says it did; None if it does not say it."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    told = {
        "token": usage.get("completion_tokens"),
        "input_token": usage.get("prompt_tokens"),
        "cached_token": details.get("cached_tokens", 0) if isinstance(details, dict) else 0,
    }
    work = {
        "request": 1,
        **{unit: amount for unit, amount in told.items() if type(amount) is int and amount >= 0},
    }
    if len(work) <= len(told):
        return None
    if not work["cached_token"]:
        del work["cached_token"]
    return work


def _text(reply: Mapping[str, Any]) -> str:
    try:
        return str(reply["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        return ""


def _refusal(reply: Mapping[str, Any]) -> str:
    error = reply.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or "without saying why")[:LONGEST_QUOTE]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# ---------------------------------------------------------------------------------------------------- the child's side


def serve() -> None:
    """Reads its settings from the first line of standard input, serves, and ends when that input does."""
    parent = os.getppid()
    hello = os.dup(1)
    os.dup2(2, 1)  # whatever else is printed goes to the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent as well, and it decides
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return
    settings = json.loads(line)
    if settings["tied"]:
        die_with_parent()
    server, answer = _started(settings)
    os.write(hello, json.dumps(answer).encode() + b"\n")
    os.close(hello)
    while server is not None and os.getppid() == parent:
        if select.select([0], [], [], LOOKS_AFTER_PARENT_S)[0] and not os.read(0, 4096):
            break
    os._exit(0)  # without the server's orderly end, which would wait for an answer that nobody reads


def _started(settings: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        return None, {"missing": error.name}
    except ImportError as error:
        return None, {"trouble": f"xllamacpp cannot be imported ({error})"}
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.n_ctx = settings["n_ctx"]
    params.n_gpu_layers = settings["n_gpu_layers"]
    params.n_parallel = 1
    params.cpuparams.n_threads = settings["n_threads"]
    params.cpuparams_batch.n_threads = settings["n_threads"]
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.warmup = False  # warming up is the benchmark's, in a window of its own
    params.hostnames = [HOST]
    params.port = 0  # any that is free; the server then says which
    params.n_threads_http = 2
    params.api_keys = [settings["key"]]
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 2  # warnings and errors
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # told to the parent, which raises it
        return None, {"trouble": str(error)}
    kinds = {device["type"].name.rpartition("_")[2] for device in xllamacpp.get_device_info()}
    on_gpu = settings["n_gpu_layers"] != 0 and bool(kinds & {"GPU", "IGPU"})
    port = int(server.listening_address.rpartition(":")[2])
    return server, {"port": port, "device": "gpu" if on_gpu else "cpu"}


if __name__ == "__main__":
    serve()
