"""Which server answers, what it is and what it serves, asked before anything is measured."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import socket
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.addresses import PROC, Listener, is_here, listener
from energy_rating.benchmarking.answers import Judged
from energy_rating.benchmarking.exchanges import Exchange, Server, Stream, quoted
from energy_rating.benchmarking.work import Settings
from energy_rating.benchmarking.workloads.endpoint.dialects import (
    LLAMA_CPP,
    OLLAMA,
    OWNERS,
    SGLANG,
    TEI,
    TGI,
    UNKNOWN,
    VLLM,
    Dialect,
)
from energy_rating.benchmarking.workloads.endpoint.metrics import of_server_info
from energy_rating.measuring import processes
from energy_rating.nouns.errors import BadInput, EndpointFailed, EnergyRatingError
from energy_rating.nouns.records import Finding, Model, Setting

PAGE_S = 2.0  # a page that is read while it answers
ABOUT_S = 10.0  # each question about the server itself
TRIES_S = 300.0  # a first small request, which may load the model
LARGEST_ABOUT = 4 << 20  # /get_server_info of SGLang is some 100 kB
GENERATES = ("text-generation", "image-text-to-text")

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
PART_MARK = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$|$)", re.ASCII)  # of a GGUF file in parts
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


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
    who = _who_answers(places, port, proc)
    return Server(
        host=parts.hostname,
        port=port,
        base=path,
        secure=secure,
        places=places,
        key=key,
        findings=tuple(_of_its_name(who)),
        pids=who.pids if who is not None else (),
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


def _who_answers(places: Sequence[tuple[Any, ...]], port: int, proc: Path) -> Listener | None:
    """Who listens; that process's work on the devices is then no stranger's.

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
    return who


def _of_its_name(who: Listener | None) -> Iterator[Finding]:
    """What is known to pass requests on; whether others do is seen while they answer (``at_work``)."""
    if who is not None and who.name in PASSES_ON:
        yield Finding.of(
            "server-may-be-elsewhere",
            f"behind the endpoint is {who.name}, which passes requests on; whether the model runs on this machine cannot be told",
        )


def key_from(options: Mapping[str, object]) -> str | None:
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
        raise BadInput("what is in the variable must be a key: one line of letters and digits", place=place)
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """What a server says of itself and of the model. ``served_as``: what it calls the model. ``slots``: requests at once.

    ``findings``: what is to be said of how it was found. ``account``: how it says that it runs.
    """

    dialect: Dialect
    served_as: str
    model: Model
    account: Mapping[str, Setting | None] = field(default_factory=dict)
    version: str = ""
    slots: int | None = None
    findings: tuple[Finding, ...] = ()


def asked_about(server: Server, model: str, task: str) -> ServedModel:
    """Asks for the server's models, and then by its own ways what it is."""
    status, about = told_by(server, f"{server.base}/models")
    listed = about.get("data") if status == 200 else None
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if status in (401, 403):
        raise BadInput(
            "the server wants a key",
            "Name the variable that holds it: --option api_key_env=NAME",
            place="--endpoint",
        )
    findings: tuple[Finding, ...] = ()
    if status not in (200, 404, 405, 501):
        # Where only the list fails, the server may answer all the same. 429 and 503 say themselves that it does not now.
        if status in (429, 503) or not _answers(server, model, task):
            raise EndpointFailed(
                f"the server is not ready: it answers with status {status} ({quoted(reason_told(about), server.key)})",
                "Wait until it has loaded its model, or look at its log",
            )
        findings = (
            Finding.of(
                "models-not-listed",
                f"the server answers requests, and fails with status {status} when it is asked for its models",
            ),
        )
    found = _chosen(entries, model)
    served_as = str(found.get("id", model))
    dialect = OWNERS.get(str(found.get("owned_by")), UNKNOWN)
    described = Model(id=_plain_name(model))
    version, slots = "", None
    account: Mapping[str, Setting | None] = {}
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
        # Called otherwise since 0.5, and the old name goes.
        info = next(
            (
                found
                for path in ("/get_server_info", "/server_info")
                if "version" in (found := _perhaps_told(server, path))
            ),
            {},
        )
        version, account = _word(info.get("version")), of_server_info(info)
    elif dialect is OLLAMA:
        version = _word(_perhaps_told(server, "/api/version").get("version"))
        _refuse_cloud(server, served_as)
    else:
        info = _perhaps_told(server, "/info")
        if "model_id" in info and ("max_total_tokens" in info or "auto_truncate" in info):
            dialect, version = TGI if "max_total_tokens" in info else TEI, _word(info.get("version"))
            dtype = _word(str(info.get("model_dtype") or "").removeprefix("torch."))
            described = replace(described, dtype=dtype or None, revision=_word(info.get("model_sha")) or None)
    return ServedModel(
        dialect=dialect,
        served_as=served_as,
        model=described,
        version=version,
        slots=slots,
        findings=findings,
        account=account,
    )


def _answers(server: Server, model: str, task: str) -> bool:
    """Whether the server answers one small request for that model."""
    if task in GENERATES:
        path, key = "chat/completions", "choices"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    else:
        path, key, body = "embeddings", "data", {"input": ["Hi"]}
    try:
        status, reply = told_by(server, f"{server.base}/{path}", {"model": model, **body})
    except EnergyRatingError:
        return False
    return status == 200 and isinstance(reply.get(key), list)


def _chosen(entries: Sequence[Mapping[str, Any]], model: str) -> Mapping[str, Any]:
    """The entry of that model; empty where the server lists none.

    Raises:
        BadInput: it lists others.
    """
    if not entries:
        return {}
    plain = PART_MARK.sub("", model)
    for same in (
        lambda name: name == model,
        lambda name: name == f"{model}:latest",  # Ollama's
        # llama.cpp's: the path of the file, or of the first of several
        lambda name: PART_MARK.sub("", name.rpartition("/")[2]) in (plain, f"{plain}.gguf"),
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
    found = re.split(r"[/\\]", model.rstrip("/\\"))[-1] or model if path else model
    return PART_MARK.sub("", found)


def _word(value: object) -> str:
    """A version, a type: one plain word, or nothing."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 60 else None


def refuse_unfit(settings: Settings, dialect: Dialect) -> None:
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
        raise BadInput(f"must be chat or completions; got {str(api)[:80]!r}", place="--option api")
    if api == "completions" and settings.task != "text-generation":
        raise BadInput(f"is only for text-generation, not for {settings.task}", place="--option api")
    for name in ("timeout_s", "answer_timeout_s"):
        value = settings.options.get(name, 1)
        if isinstance(value, str | bool) or not 0 < value < math.inf:
            raise BadInput(f"must be a time above 0, in seconds; got {value!r}", place=f"--option {name}")
    pid = settings.options.get("server_pid")
    if pid is not None:
        if not isinstance(pid, int) or pid < 2:
            raise BadInput(f"must be the number of a process; got {pid!r}", place="--option server_pid")
        processes.declare(pid)


# -------------------------------------------------------------------------------------------------------- the workload


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer: the log of the request, and what it is worth. ``answered``: of so many items as were in the request.

    ``text_sum``: a checksum of its text; ``model``: what the server calls the one that answered.
    """

    sent_s: float
    first_s: float
    end_s: float
    judged: Judged
    answered: int
    piece_s: Sequence[float] = ()
    text_sum: int | None = None
    model: str = ""


def parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object in it; None if there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def reason_told(reply: Mapping[str, Any]) -> object:
    """What a server says of a failure, in the ways that there are."""
    error = reply.get("error") or reply.get("detail") or reply.get("message")
    found = error.get("message") if isinstance(error, dict) else error
    return found or "it does not say why"


def told_by(server: Server, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """What a server says about itself there: the status, and what it says, empty where that is no JSON.

    ``body``: of a request, where one is sent.
    """

    def ask(_: int, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        exchange.name = path
        content = None if body is None else json.dumps(body).encode()
        response = exchange.asked("GET" if body is None else "POST", path, server, content)
        return response.status, parsed(exchange.whole(response, LARGEST_ABOUT)) or {}

    patience_s = ABOUT_S if body is None else TRIES_S
    (found,) = Stream(ask, 1, silence_s=patience_s, answer_s=patience_s).go()
    return found


def page_of(server: Server, path: str, most: int) -> str:
    """A page of text of the server beside its interface.

    Raises:
        EnergyRatingError: it has none, or says nothing for two seconds.
    """

    def ask(_: int, exchange: Exchange) -> str:
        exchange.name = path
        response = exchange.asked("GET", f"{server.root}{path}", server, None)
        content = exchange.whole(response, most)
        if response.status != 200:
            raise EndpointFailed(f"the server answers {path} with status {response.status}")
        return content.decode("utf-8", "replace")

    (found,) = Stream(ask, 1, silence_s=PAGE_S, answer_s=PAGE_S).go()
    return found


def _perhaps_told(server: Server, path: str) -> dict[str, Any]:
    """What a server says there beside its interface; a proxy in front of it may let through nothing of that."""
    try:
        return told_by(server, f"{server.root}{path}")[1]
    except EnergyRatingError:
        return {}
