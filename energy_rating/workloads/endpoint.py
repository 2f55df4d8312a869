"""Any OpenAI-compatible server on this machine: vLLM, SGLang, TGI, llama.cpp, Ollama, or one that nobody has heard of.

What is counted is what the server itself says it did (``usage``), never the pieces of a stream: a piece may hold several tokens, or
half a letter. It is the server's machine whose energy is measured, so a server elsewhere is refused. Standard library only.

What each server understands beyond the common part (read 2026-11-22):

* vLLM, ``vllm/entrypoints/openai/*/protocol.py``: ``cache_salt`` (requests share cached prompts only under one salt), ``min_tokens``,
  ``ignore_eos``, ``truncate_prompt_tokens``, ``chat_template_kwargs``; it leaves ``prompt_tokens_details`` out where nothing was cached.
* SGLang, ``python/sglang/srt/entrypoints/openai/protocol.py``: ``cache_salt``, ``min_tokens``, ``ignore_eos``, ``chat_template_kwargs``.
* llama.cpp, ``tools/server/README.md``: ``cache_prompt``, ``ignore_eos``, ``chat_template_kwargs``; ``/v1/models`` tells size and type.
* Ollama, https://docs.ollama.com/api/openai-compatibility: ``stream_options``, ``reasoning_effort``; no way to leave the cache out.
* TGI: its prefix cache is switched off at its start (huggingface/text-generation-inference#2676); ``/info``, which TEI has too,
  tells type and commit.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import math
import os
import re
import socket
import time
import urllib.parse
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from energy_rating.addresses import PROC, is_here, listener
from energy_rating.exchanges import LARGEST_REPLY, LOOK, EndpointFailed, Exchange, Server, Stream, quoted
from energy_rating.measuring import processes
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import Finding, Model, Number
from energy_rating.workloads import (
    Answered,
    Done,
    Item,
    Settings,
    Stretch,
    Workload,
    poisson_times,
    refuse,
    served,
    text_of,
)

ABOUT_S = 10.0  # each question about the server itself
SILENCE_S = 600.0  # without a byte; a long prompt in a long queue
ANSWER_S = 3600.0  # 32,768 tokens at 9 a second

LARGEST_ABOUT = 4 << 20  # /get_server_info of SGLang is some 100 kB
LARGEST_REFUSAL = 64 << 10
MOST_TOKENS = 1_000_000_000  # of one answer: more is no number of tokens


# Requests at a rate that are sent later than planned by more, on average, are not the arrivals that were asked for.
LATE_S = 0.05

GENERATES = ("text-generation", "image-text-to-text")
EMBEDS = ("feature-extraction", "sentence-similarity")

# Processes that only pass on what comes to them. ssh leads to another machine for certain; the others may stay on this one.
TUNNELS = ("ssh", "sshd", "sshd-session", "autossh")
PASSES_ON = (
    *(
        "kubectl",
        "socat",
        "chisel",
        "cloudflared",
        "ngrok",
        "stunnel",
        "stunnel4",
        "frpc",
        "frps",
        "tailscaled",
    ),
    *("nginx", "haproxy", "envoy", "caddy", "traefik", "litellm"),
)

OURS = ("api", "api_key_env", "unique_prefix", "timeout_s", "answer_timeout_s", "server_pid")

# What the benchmark sets itself, by its own options; and what would make one request several.
TAKEN: Mapping[str, str] = {
    **dict.fromkeys(("model", "messages", "prompt", "input"), "It is what is benchmarked"),
    **dict.fromkeys(("stream", "stream_options"), "Use --streaming or --no-streaming"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "Use --max-new-tokens"),
    **dict.fromkeys(("min_tokens", "ignore_eos"), "Use --min-new-tokens"),
    **dict.fromkeys(("cache_prompt", "cache_salt"), "Use --prompt-cache"),
    **dict.fromkeys(("seed",), "Use --seed"),
    **dict.fromkeys(("n", "best_of"), "Each request is to have one answer"),
    **dict.fromkeys(
        ("api_key", "key", "token", "password", "authorization"),
        "Options are written into the record: put the key into a variable and name that, with --option api_key_env=NAME",
    ),
}

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What one kind of server understands, beyond what all do. ``name`` empty: nobody knows which it is.

    ``uncached``: what is sent so that no prompt is answered from a cache; ``salted``: a salt of its own with each request does
    that. ``least``: it can be told how many tokens there must be; ``exactly``: it can be told not to end by itself. ``thinks``:
    how it is told to think or not to. ``cuts``: it can cut inputs. ``fills``: it takes what comes after (a suffix).
    ``cache_off``: how its cache is switched off when it is started.
    """

    name: str = ""
    uncached: Mapping[str, object] = field(default_factory=dict)
    salted: bool = False
    least: bool = False
    exactly: bool = False
    thinks: Literal["template", "effort"] | None = None
    cuts: bool = False
    fills: bool = False
    cache_off: str = "See how the server's prompt cache is switched off"


VLLM = Dialect(
    name="vLLM",
    salted=True,
    least=True,
    exactly=True,
    thinks="template",
    cuts=True,
    cache_off="Start vLLM with --no-enable-prefix-caching",
)
SGLANG = Dialect(
    name="SGLang",
    salted=True,
    least=True,
    exactly=True,
    thinks="template",
    fills=True,
    cache_off="Start SGLang with --disable-radix-cache",
)
LLAMA_CPP = Dialect(
    name="llama.cpp",
    uncached={"cache_prompt": False},
    exactly=True,
    thinks="template",
    cache_off="Start llama-server with --no-cache-prompt",
)
OLLAMA = Dialect(
    name="Ollama",
    thinks="effort",
    fills=True,
    cache_off="Ollama cannot switch it off; --option unique_prefix=true makes every prompt begin differently",
)
TGI = Dialect(
    name="TGI", cache_off="Start TGI with USE_PREFIX_CACHING=0 and PREFIX_CACHING=0 in its environment"
)
TEI = Dialect(name="TEI")
UNKNOWN = Dialect()

# What they write into ``owned_by`` of their models.
OWNERS: Mapping[str, Dialect] = {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMA_CPP, "library": OLLAMA}


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a model that a server on this machine has, and what the server says of it. Asks it nothing to compute.

    Raises:
        BadInput: the server is elsewhere or does not answer, it has no such model, or it cannot do what is asked for.
        EndpointFailed: it answers, but cannot be understood.
    """
    refuse(
        settings,
        "endpoint",
        understands=(
            *("endpoint", "concurrency", "request_rate", "min_new_tokens", "max_input_tokens", "reasoning"),
            *("prompt_cache", "dtype"),
        ),
    )
    if settings.endpoint is None:
        raise BadInput("no server is named", "Such as http://127.0.0.1:8000/v1", place="--endpoint")
    if settings.task not in (*GENERATES, *EMBEDS):
        raise BadInput(
            f"a server is not asked for {settings.task[:80]!r} here",
            f"What can be asked for: {', '.join((*GENERATES, *EMBEDS))}",
            place="--task",
        )
    if settings.task in GENERATES and settings.batch_size > 1:
        raise BadInput(
            "a server takes requests, and makes its batches itself",
            "Use --concurrency",
            place="--batch-size",
        )
    for name, remedy in TAKEN.items():
        if name in settings.options:
            raise BadInput("is not to be set in this way", remedy, place=f"--option {name}")
    server = found_server(settings.endpoint, key=_key(settings.options))
    known = _asked_about(server, model)
    _check(settings, known.dialect)
    return Endpoint(server, known, settings), known.model


# ------------------------------------------------------------------------------------------------------------ the server


def found_server(url: str, *, key: str | None = None, proc: Path = PROC) -> Server:
    """The server of that URL, if it is on this machine.

    Raises:
        BadInput: this is no such URL, there is no such host, or it is not this machine.
    """
    place = "--endpoint"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"is no URL ({error})", "Such as http://127.0.0.1:8000/v1", place=place) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise BadInput("is no URL of a server", "Such as http://127.0.0.1:8000/v1", place=place)
    if parts.username is not None or parts.password is not None:
        raise BadInput(
            "holds a name or a password",
            "Name the variable of a key with --option api_key_env=NAME",
            place=place,
        )
    if parts.query or parts.fragment:
        raise BadInput("has something behind its path", "Such as http://127.0.0.1:8000/v1", place=place)
    path = parts.path.rstrip("/")
    for ending in ("/chat/completions", "/completions", "/embeddings", "/models"):
        path = path.removesuffix(ending)
    if not re.fullmatch(r"v\d+", path.rpartition("/")[2]):
        path += "/v1"
    secure = parts.scheme == "https"
    port = port or (443 if secure else 80)
    places = _places(parts.hostname, port)
    return Server(
        host=parts.hostname,
        port=port,
        base=path,
        secure=secure,
        places=places,
        key=key,
        findings=tuple(_who_answers(places, port, proc)),
    )


def _places(host: str, port: int) -> tuple[tuple[Any, ...], ...]:
    """The socket addresses of a host, which are all this machine's."""
    try:
        # Servers are started with 0.0.0.0 and named so; nobody can be called under it everywhere.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound to
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(
            f"there is no host {host[:80]!r} ({reason})", "Check the name", place="--endpoint"
        ) from None
    places = tuple(dict.fromkeys(place for *_, place in found))
    if not places or not all(is_here(str(place[0]), place[3] if len(place) > 3 else 0) for place in places):
        raise BadInput(
            "the server is not on this machine, and only the energy of this one can be measured here",
            "Run this on the server's machine, or there: energy-rating measure -- COMMAND; a container of this machine is reached "
            "by a published port of 127.0.0.1",
            place="--endpoint",
        )
    return places


def _who_answers(places: Sequence[tuple[Any, ...]], port: int, proc: Path) -> Iterator[Finding]:
    """Looks who listens; that process's work on the devices is then no stranger's.

    Raises:
        BadInput: it is a tunnel to another machine.
    """
    # One name may be several addresses (::1 and 127.0.0.1), which are tried in this order.
    who = next(filter(None, (listener(str(place[0]), port, proc=proc) for place in places)), None)
    if who is not None and who.name in TUNNELS:
        raise BadInput(
            f"behind this port is a tunnel ({who.name}): the server is on another machine, and only the energy of this one can be "
            "measured here",
            "Run this on the server's machine, or there: energy-rating measure -- COMMAND",
            place="--endpoint",
        )
    for pid in who.pids if who is not None else ():
        processes.declare(pid)
    if who is not None and who.name in PASSES_ON:
        yield Finding(
            code="server-may-be-elsewhere",
            message=f"behind the endpoint is {who.name}, which passes requests on; whether the model runs on this machine cannot be told",
            remedy="Name the server's own address",
            severity="degrades",
        )
    elif who is None or not who.pids:
        yield Finding(
            code="server-process-unknown",
            message="which process answers cannot be told (another user's, or a container's): its work counts as a stranger's, and "
            "whether it is on this machine is believed",
            remedy="Run this as the user of the server, or name its process with --option server_pid=NUMBER",
        )


def _key(options: Mapping[str, object]) -> str | None:
    name = options.get("api_key_env")
    if name is None:
        return None
    place = "--option api_key_env"
    key = os.environ.get(str(name), "").strip()
    if not key:
        raise BadInput(
            f"there is no variable {str(name)[:80]!r}", "Name the one that holds the key", place=place
        )
    if not (key.isascii() and key.isprintable()):
        raise BadInput(
            "what is in the variable is no key", "A key is one line of letters and digits", place=place
        )
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What a server says of itself and of the model. ``served_as``: what it calls the model. ``slots``: requests at once."""

    dialect: Dialect
    served_as: str
    model: Model
    version: str = ""
    slots: int | None = None


def _asked_about(server: Server, model: str) -> Known:
    """Asks for the server's models, and then by its own ways what it is."""
    status, about = _told(server, f"{server.base}/models")
    listed = about.get("data") if status == 200 else None
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if status in (401, 403):
        raise BadInput(
            "the server wants a key",
            "Name the variable that holds it: --option api_key_env=NAME",
            place="--endpoint",
        )
    if status not in (200, 404, 405, 501):
        raise EndpointFailed(
            f"the server is not ready: it answers with status {status} ({quoted(_reason(about), server.key)})",
            "Wait until it has loaded its model, or look at its log",
        )
    found = _chosen(entries, model)
    served_as = str(found.get("id", model))
    dialect = OWNERS.get(str(found.get("owned_by")), UNKNOWN)
    described = Model(id=_plain_name(model))
    version, slots = "", None
    if dialect is LLAMA_CPP:
        meta = found.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        described = replace(
            described, parameters=_whole(meta.get("n_params")), dtype=_word(meta.get("ftype")).lower() or None
        )
        props = _perhaps_told(server, "/props")
        version, slots = _word(props.get("build_info")), _whole(props.get("total_slots"))
    elif dialect is VLLM:
        version = _word(_perhaps_told(server, "/version").get("version"))
    elif dialect is SGLANG:
        version = _word(_perhaps_told(server, "/get_server_info").get("version"))
    elif dialect is OLLAMA:
        version = _word(_perhaps_told(server, "/api/version").get("version"))
        _refuse_cloud(server, served_as)
    else:
        info = _perhaps_told(server, "/info")
        if "model_id" in info and ("max_total_tokens" in info or "auto_truncate" in info):
            dialect, version = TGI if "max_total_tokens" in info else TEI, _word(info.get("version"))
            dtype = _word(str(info.get("model_dtype") or "").removeprefix("torch."))
            described = replace(described, dtype=dtype or None, revision=_word(info.get("model_sha")) or None)
    return Known(dialect=dialect, served_as=served_as, model=described, version=version, slots=slots)


def _chosen(entries: Sequence[Mapping[str, Any]], model: str) -> Mapping[str, Any]:
    """The entry of that model; empty where the server lists none.

    Raises:
        BadInput: it lists others.
    """
    if not entries:
        return {}
    for same in (
        lambda name: name == model,
        lambda name: name == f"{model}:latest",  # Ollama's
        lambda name: name.rpartition("/")[2] in (model, f"{model}.gguf"),  # llama.cpp's: the path of the file
    ):
        for entry in entries:
            if same(str(entry.get("id"))):
                return entry
    names = ", ".join(repr(_plain_name(str(entry.get("id")))[:80]) for entry in entries[:8])
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    raise BadInput(f"the server has no model {model[:80]!r}", f"It has: {names}{more}", place="MODEL")


def _refuse_cloud(server: Server, model: str) -> None:
    """Ollama also passes requests on to its maker's servers, for models that it marks so (https://docs.ollama.com/cloud).

    Raises:
        BadInput: this is one of them.
    """
    listed = _perhaps_told(server, "/api/tags").get("models")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("name") == model and one.get("remote_host"):
            break
    else:
        if not re.search(r"[:-]cloud$", model):
            return
    raise BadInput(
        "this model runs in a cloud, and only the energy of this machine can be measured here",
        "Take a model that runs here",
        place="MODEL",
    )


def _plain_name(model: str) -> str:
    """The name for the record, which has no paths."""
    path = model.startswith(("/", "./", "../", "~")) or "\\" in model
    with contextlib.suppress(OSError, ValueError):  # too long, or with a zero in it: no path
        path = path or Path(model).exists()
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1] or model if path else model


def _word(value: object) -> str:
    """A version, a type: one plain word, or nothing."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 60 else None


def _check(settings: Settings, dialect: Dialect) -> None:
    """Refuses what this kind of server has no way to do."""
    who = dialect.name or "this server"
    if settings.min_new_tokens is not None and not dialect.least:
        if not dialect.exactly:
            raise BadInput(
                f"{who} cannot be told how many new tokens there must be",
                "Leave it out; vLLM, SGLang and llama.cpp can",
                place="--min-new-tokens",
            )
        if settings.min_new_tokens != settings.max_new_tokens:
            raise BadInput(
                f"{who} can be held to a number of new tokens, not to at least some",
                "Ask for as many at least as at most",
                place="--min-new-tokens",
            )
    if settings.reasoning is not None and dialect.thinks is None:
        raise BadInput(
            f"{who} cannot be told whether to think",
            "Leave it out, and say in its own settings",
            place="--reasoning" if settings.reasoning else "--no-reasoning",
        )
    if settings.max_input_tokens is not None and not dialect.cuts and settings.task in GENERATES:
        raise BadInput(
            f"{who} cannot be told to cut its inputs", "Leave it out; vLLM can", place="--max-input-tokens"
        )
    api = settings.options.get("api", "chat")
    if api not in ("chat", "completions"):
        raise BadInput(f"{str(api)[:80]!r} is neither chat nor completions", place="--option api")
    if api == "completions" and settings.task != "text-generation":
        raise BadInput(f"is only for text-generation, not for {settings.task}", place="--option api")
    for name in ("timeout_s", "answer_timeout_s"):
        value = settings.options.get(name, 1)
        if isinstance(value, str | bool) or not 0 < value < math.inf:
            raise BadInput(f"{value!r} is no time above 0", place=f"--option {name}")
    pid = settings.options.get("server_pid")
    if pid is not None:
        if not isinstance(pid, int) or pid < 2:
            raise BadInput(f"{pid!r} is no number of a process", place="--option server_pid")
        processes.declare(pid)


# -------------------------------------------------------------------------------------------------------- the workload


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer: the log of the request, and what the server says it did; ``told`` None: it does not say."""

    sent_s: float
    first_s: float
    end_s: float
    told: Mapping[str, int] | None
    piece_s: Sequence[float] = ()


class Endpoint:
    """A workload whose items are answered by a server that was there before and stays."""

    def __init__(self, server: Server, known: Known, settings: Settings) -> None:
        """Asks nothing yet."""
        self._server = server
        self._known = known
        self._settings = settings
        options = settings.options
        self._more = {name: value for name, value in options.items() if name not in OURS}
        self._silence_s = float(options.get("timeout_s", SILENCE_S))
        self._answer_s = float(options.get("answer_timeout_s", max(ANSWER_S, self._silence_s)))
        self._numbers = itertools.count(1)
        self._ready = False
        # Whether the server says what it did, as the first answer showed; all others must then do likewise.
        self._tells: bool | None = None
        self.tell: Callable[[int], None] | None = None

    # -- the three members

    def load(self) -> None:
        """Sees that the server is there. The model is loaded already, or by the first request (Ollama).

        Raises:
            EndpointFailed: it no longer is.
        """
        try:
            _told(self._server, f"{self._server.base}/models")
        except BadInput as error:  # it was there when this was prepared
            raise EndpointFailed(error.message, error.remedy) from None
        self._ready = True

    def run(self, items: Sequence[Item | str]) -> Done:
        """Answers the items and returns when the last answer is whole.

        Returns:
            ``request``; ``token``, ``input_token``, ``cached_token``, ``reasoning_token``, as far as the server tells them.

        Raises:
            BadInput: nothing is loaded, or the server refuses an item.
            EndpointFailed: it failed, was silent for too long, or broke off.
        """
        if not self._ready:
            raise BadInput("the server was not looked for", "Call load() first")
        settings = self._settings
        whole = [item if isinstance(item, Item) else Item(text=item) for item in items]
        size = 1 if settings.serves else settings.batch_size
        groups = [whole[first : first + size] for first in range(0, len(whole), size)]
        times = None
        if settings.request_rate is not None:
            times = poisson_times(len(groups), settings.request_rate, settings.seed)
        tell = self.tell
        stream = Stream(
            lambda number, exchange: self._answer(groups[number], number * size + 1, exchange),
            len(groups),
            width=settings.concurrency,
            times=times,
            silence_s=self._silence_s,
            answer_s=self._answer_s,
            tell=None if tell is None else lambda done: tell(min(done * size, len(whole))),
        )
        replies = stream.go()
        answered = self._counted(replies, [len(group) for group in groups])
        findings = (*self._findings(groups, replies), *_lateness(stream.late_s))
        if settings.serves:
            return served(
                answered, concurrency=None if times is not None else settings.concurrency, findings=findings
            )
        work: dict[str, Number] = {"request": 0}
        for one in answered:
            for unit, amount in one.work.items():
                work[unit] = work.get(unit, 0) + amount
        return Done(work=work, spans=_parts(answered), findings=findings)

    def close(self) -> None:
        """Forgets the server, which stays. Nothing is under way between two calls of ``run``."""
        self._ready = False

    # -- what is asked

    def _answer(self, items: Sequence[Item], number: int, exchange: Exchange) -> Reply:
        place = f"item {number}"
        path, body = self._request(items)
        content = json.dumps(body).encode()
        exchange.name = place
        sent_s = time.monotonic()
        response = exchange.asked("POST", f"{self._server.base}/{path}", self._server, content)
        if response.status != 200:
            raise self._refusal(response, exchange, path)
        if body.get("stream") and "json" not in (response.headers.get("Content-Type") or ""):
            return self._streamed(response, exchange, sent_s)
        reply = _parsed(exchange.whole(response, LARGEST_REPLY))
        end_s = time.monotonic()
        if reply is None:
            raise EndpointFailed(f"the server answered {place} with something that is not JSON", LOOK)
        if reply.get("error"):
            raise self._failed(reply, place)
        return Reply(
            sent_s=sent_s, first_s=end_s, end_s=end_s, told=_usage(reply.get("usage"), path == "embeddings")
        )

    def _request(self, items: Sequence[Item]) -> tuple[str, dict[str, Any]]:
        """Where it is sent, and what."""
        settings, dialect = self._settings, self._known.dialect
        number = next(self._numbers)  # of one process's counter: no two requests have the same
        begins = f"[{settings.seed}.{number}] " if settings.options.get("unique_prefix") is True else ""
        body: dict[str, Any] = {"model": self._known.served_as}
        if not settings.prompt_cache:
            body |= dialect.uncached
            if dialect.salted:
                body["cache_salt"] = f"{os.getpid()}-{time.monotonic_ns()}-{number}"
        if settings.max_input_tokens is not None and dialect.cuts:
            body["truncate_prompt_tokens"] = settings.max_input_tokens
        if settings.task in EMBEDS:
            texts = [begins + text_of(item) for item in items]
            if settings.task == "sentence-similarity":
                texts += [begins + (item.second or "") for item in items]
            body.pop("cache_prompt", None)
            return "embeddings", body | {"input": texts, "encoding_format": "float"} | self._more
        (item,) = items
        body |= {"temperature": 0, "seed": settings.seed, "stream": settings.streaming}
        if settings.streaming:
            body["stream_options"] = {"include_usage": True}
        most = item.max_new_tokens or settings.max_new_tokens
        if most is not None:
            body["max_tokens"] = most
        if settings.min_new_tokens is not None:
            least = min(settings.min_new_tokens, most or settings.min_new_tokens)
            if dialect.least:
                body["min_tokens"] = least
            if least == most:
                body["ignore_eos"] = True
        if settings.reasoning is not None:
            if dialect.thinks == "effort":
                body["reasoning_effort"] = "medium" if settings.reasoning else "none"
            else:
                body["chat_template_kwargs"] = {"enable_thinking": settings.reasoning}
        body |= self._more
        if settings.options.get("api") == "completions":
            if item.second is not None and dialect.fills:
                body["suffix"] = item.second
            return "completions", body | {"prompt": begins + item.text}
        said: str | list[dict[str, Any]] = begins + item.text
        if item.image is not None:
            url = f"data:{_kind(content := item.image_bytes())};base64,{base64.b64encode(content).decode()}"
            said = [{"type": "text", "text": said}, {"type": "image_url", "image_url": {"url": url}}]
        return "chat/completions", body | {"messages": [{"role": "user", "content": said}]}

    # -- what is answered

    def _streamed(self, response: http.client.HTTPResponse, exchange: Exchange, sent_s: float) -> Reply:
        """Reads the events of an answer (server-sent events, as OpenAI's interface has them: one line of JSON each)."""
        piece_s = array("d")
        told: object = None
        ended = False
        for data, now in exchange.events(response):
            if data == b"[DONE]":
                ended = True
                break
            event = _parsed(data)
            if event is None:
                raise EndpointFailed(
                    f"the server answered {exchange.name} with an event that is not JSON ({quoted(data, self._server.key)})",
                    LOOK,
                )
            if event.get("error"):
                raise self._failed(event, exchange.name)
            told = event.get("usage") or told
            if _has_text(event.get("choices")):
                piece_s.append(now)
        end_s = time.monotonic()
        if not ended:
            raise EndpointFailed(f"the server broke off in the middle of the answer to {exchange.name}", LOOK)
        return Reply(
            sent_s=sent_s,
            first_s=piece_s[0] if piece_s else end_s,
            end_s=end_s,
            told=_usage(told, False),
            piece_s=piece_s,
        )

    def _counted(self, replies: Sequence[Reply], sizes: Sequence[int]) -> list[Answered]:
        """The log of the requests with what was done; only requests where the server does not say it."""
        for reply in replies:
            if self._tells is None:
                self._tells = reply.told is not None
            if self._tells is not (reply.told is not None):
                raise EndpointFailed(
                    "the server says for some answers how many tokens there were, and for others not: nothing can be counted",
                    LOOK,
                )
        return [
            Answered(
                sent_s=reply.sent_s,
                first_s=reply.first_s,
                end_s=reply.end_s,
                work={"request": size, **(reply.told or {})},
                token_s=reply.piece_s,
            )
            for reply, size in zip(replies, sizes, strict=True)
        ]

    def _refusal(
        self, response: http.client.HTTPResponse, exchange: Exchange, path: str
    ) -> EnergyRatingError:
        """The error that a status is."""
        status = response.status
        if 300 <= status < 400:
            return EndpointFailed(
                f"the server sends {exchange.name} elsewhere (status {status}), which is not followed",
                "Name the address of the server itself",
            )
        reply = _parsed(exchange.whole(response, LARGEST_REFUSAL, cut=True)) or {}
        said = quoted(_reason(reply), self._server.key)
        if status in (401, 403):
            return BadInput(
                f"the server wants a key, or another one ({said})",
                "Name the variable that holds it: --option api_key_env=NAME",
                place="--endpoint",
            )
        if status in (404, 405, 501):
            other = "completions" if path == "chat/completions" else "chat"
            remedy = "Take a server of embeddings" if path == "embeddings" else f"Try --option api={other}"
            return BadInput(f"the server has no {path} for this model ({said})", remedy, place=exchange.name)
        if status == 429:
            return EndpointFailed(
                f"the server has too much to do at {exchange.name} ({said})", "Lower --concurrency"
            )
        if status < 500:
            return BadInput(
                f"the server refuses it ({said})", "Give it what it can take", place=exchange.name
            )
        return EndpointFailed(f"the server failed at {exchange.name} with status {status} ({said})", LOOK)

    def _failed(self, reply: Mapping[str, Any], place: str) -> EndpointFailed:
        return EndpointFailed(
            f"the server failed in the middle of {place} ({quoted(_reason(reply), self._server.key)})", LOOK
        )

    # -- what is to be said

    def _findings(self, groups: Sequence[Sequence[Item]], replies: Sequence[Reply]) -> Iterator[Finding]:
        settings, dialect = self._settings, self._known.dialect
        name = " ".join(
            filter(None, (dialect.name or "a server that does not say what it is", self._known.version))
        )
        yield Finding(
            code="served-by",
            message=f"the model was served by {name}; measured were all devices that this command sees, not only the server's",
            remedy="Where others are at work too, name the server's GPUs in CUDA_VISIBLE_DEVICES",
        )
        yield from self._server.findings
        if self._tells is False:
            yield Finding(
                code="no-usage",
                message="the server does not say how many tokens there were: requests are counted, and nothing is told per token",
                remedy="Take a version that has stream_options.include_usage, or --no-streaming",
            )
        yield from self._of_the_cache(replies)
        if settings.dtype is not None and self._known.model.dtype != settings.dtype:
            runs = self._known.model.dtype
            yield Finding(
                code="dtype-not-as-asked",
                message=f"{settings.dtype} is asked for, and the server {'runs ' + runs if runs else 'does not say what it runs'}",
                remedy="The type is chosen when the server is started",
                severity="degrades",
            )
        slots = self._known.slots
        if slots is not None and settings.concurrency > slots and settings.request_rate is None:
            yield Finding(
                code="server-queues",
                message=f"{settings.concurrency} requests were under way at once, and the server works on {slots} at a time",
                remedy=f"Start it with --parallel {settings.concurrency}",
            )
        if settings.options.get("unique_prefix") is True:
            yield Finding(
                code="unique-prefix",
                message="every prompt began with a number of its own, so that no cache could answer it; it is some tokens longer for that",
            )
        if (
            settings.options.get("api") == "completions"
            and not dialect.fills
            and any(g[0].second for g in groups)
        ):
            yield Finding(
                code="suffix-left-out",
                message="the items say what comes after the answer, which this server cannot be told",
                remedy="SGLang and Ollama can",
            )
        yield from self._of_the_lengths(groups, replies)

    def _of_the_cache(self, replies: Sequence[Reply]) -> Iterator[Finding]:
        settings, dialect = self._settings, self._known.dialect
        if settings.prompt_cache:
            return
        cached = sum((reply.told or {}).get("cached_token", 0) for reply in replies)
        if cached:
            inputs = sum((reply.told or {}).get("input_token", 0) for reply in replies)
            yield Finding(
                code="prompt-cache-used",
                message=f"{cached / inputs:.1%} of the input tokens came from the server's cache and were not computed",
                remedy=dialect.cache_off,
                severity="degrades",
            )
        elif settings.task in GENERATES and not (
            dialect.uncached or dialect.salted or settings.options.get("unique_prefix") is True
        ):
            yield Finding(
                code="prompt-cache-unknown",
                message="the server says of no token that it came from a cache; items that are asked again may have",
                remedy=f"{dialect.cache_off}; or --option unique_prefix=true",
            )

    def _of_the_lengths(
        self, groups: Sequence[Sequence[Item]], replies: Sequence[Reply]
    ) -> Iterator[Finding]:
        settings = self._settings
        most = settings.max_input_tokens
        if most is not None and not self._known.dialect.cuts:
            told = [
                ((reply.told or {}).get("input_token"), len(group))
                for reply, group in zip(replies, groups, strict=True)
            ]
            if not told or any(n is None or n > most for n, _ in told):
                yield Finding(
                    code="inputs-not-cut",
                    message=f"inputs should be cut at {most} tokens, which this server cannot be told: it takes them as it does",
                    remedy="Give items that are short enough",
                )
        least = settings.min_new_tokens
        if least is None or not self._tells:
            return
        short = 0
        for reply, (item, *_) in zip(replies, groups, strict=True):
            short += (reply.told or {}).get("token", 0) < min(least, item.max_new_tokens or least)
        if short:
            yield Finding(
                code="answers-too-short",
                message=f"{short} of {len(replies)} answers had fewer than the {least} tokens that were asked for at least",
                remedy="See that the server heeds ignore_eos and min_tokens, and that its context is long enough",
                severity="degrades",
            )


def _parts(answered: Sequence[Answered]) -> tuple[Stretch, ...]:
    """Prefill and decode of one answer that was streamed: until its first piece came, and from then on."""
    if len(answered) != 1 or not answered[0].token_s or "token" not in answered[0].work:
        return ()
    (one,) = answered
    return (
        Stretch(
            name="prefill",
            start_s=one.sent_s,
            end_s=one.first_s,
            work={"request": one.work["request"], "input_token": one.work["input_token"]},
        ),
        Stretch(name="decode", start_s=one.first_s, end_s=one.end_s, work={"token": one.work["token"]}),
    )


def _lateness(late_s: Sequence[float]) -> Iterator[Finding]:
    if late_s and sum(late_s) / len(late_s) > LATE_S:
        yield Finding(
            code="requests-sent-late",
            message=f"requests were sent {sum(late_s) / len(late_s):.2f} s later than planned on average: this machine was too busy",
            remedy="Lower --request-rate, or leave more processor time to this command",
        )


def _usage(told: object, embeds: bool) -> dict[str, int] | None:
    """The work that the server says it did; None if it does not say it, or says what cannot be."""
    if not isinstance(told, dict):
        return None
    work: dict[str, int] = {}
    wanted = (("input_token", "prompt_tokens"), *(() if embeds else (("token", "completion_tokens"),)))
    for unit, key in wanted:
        amount = _amount(told.get(key), MOST_TOKENS)
        if amount is None:
            return None
        work[unit] = amount
    for unit, key, part in (
        ("cached_token", "prompt_tokens_details", "cached_tokens"),
        ("reasoning_token", "completion_tokens_details", "reasoning_tokens"),
    ):
        details = told.get(key)
        of = work.get("input_token" if unit == "cached_token" else "token", 0)
        amount = _amount(details.get(part), of) if isinstance(details, dict) else None
        if amount:
            work[unit] = amount
    return work


def _amount(value: object, most: int) -> int | None:
    return value if type(value) is int and 0 <= value <= most else None


def _has_text(choices: object) -> bool:
    """Whether an event brings a piece of the answer, of the thoughts, or of a call."""
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        for source in (choice, delta if isinstance(delta, dict) else {}):
            if any(
                source.get(key) for key in ("text", "content", "reasoning_content", "reasoning", "tool_calls")
            ):
                return True
    return False


def _kind(content: bytes) -> str:
    """The type of a picture, by its first bytes (the file formats' own definitions)."""
    for start, kind in ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"BM", "bmp")):
        if content.startswith(start):
            return f"image/{kind}"
    return "image/webp" if content[8:12] == b"WEBP" else "application/octet-stream"


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object in it; None if there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _reason(reply: Mapping[str, Any]) -> object:
    """What a server says of a failure, in the ways that there are."""
    error = reply.get("error") or reply.get("detail") or reply.get("message")
    found = error.get("message") if isinstance(error, dict) else error
    return found or "it does not say why"


def _told(server: Server, path: str) -> tuple[int, dict[str, Any]]:
    """What a server says about itself there: the status, and what it says, empty where that is no JSON."""
    found: list[tuple[int, dict[str, Any]]] = []

    def ask(_: int, exchange: Exchange) -> Reply:
        exchange.name = path
        response = exchange.asked("GET", path, server)
        found.append((response.status, _parsed(exchange.whole(response, LARGEST_ABOUT)) or {}))
        return Reply(sent_s=0.0, first_s=0.0, end_s=0.0, told=None)

    Stream(ask, 1, silence_s=ABOUT_S, answer_s=ABOUT_S).go()
    return found[0]


def _perhaps_told(server: Server, path: str) -> dict[str, Any]:
    """What a server says there beside its interface; a proxy in front of it may let through nothing of that."""
    try:
        return _told(server, f"{server.root}{path}")[1]
    except EnergyRatingError:
        return {}
