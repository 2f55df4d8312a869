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
import http.client
import itertools
import json
import math
import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.alike import AllAnswers
from energy_rating.benchmarking.answers import (
    EMPTY,
    NONE_IN_A_ROW,
    UNANSWERED,
    Heard,
    Request,
    choices_of,
    heard_whole,
    judged,
    judged_vectors,
    name_in,
    shows,
    shrinks,
    text_in,
)
from energy_rating.benchmarking.at_work import Onlooker
from energy_rating.benchmarking.engine_account import account
from energy_rating.benchmarking.exchanges import (
    LARGEST_REPLY,
    LOOK,
    TELLS_EVERY_S,
    Exchange,
    Server,
    Stream,
    quoted,
)
from energy_rating.benchmarking.serving import Answered, poisson_times, served
from energy_rating.benchmarking.work import Done, Item, Settings, Stretch, Workload, refuse, text_of
from energy_rating.benchmarking.workloads.endpoint.metrics import (
    LARGEST_METRICS,
    Onlooking,
    account_of,
    written,
)
from energy_rating.benchmarking.workloads.endpoint.server import (
    GENERATES,
    Reply,
    ServedModel,
    asked_about,
    found_server,
    key_from,
    page_of,
    parsed,
    reason_told,
    refuse_unfit,
    told_by,
)
from energy_rating.nouns.errors import BadInput, EndpointFailed, EnergyRatingError
from energy_rating.nouns.records import Finding, Model, Number

SILENCE_S = 600.0  # without a byte; a long prompt in a long queue
ANSWER_S = 3600.0  # 32,768 tokens at 9 a second
LARGEST_REFUSAL = 64 << 10

# A machine that has one of these has a GPU that computes, whoever may use it.
GPU_NODES = ("/dev/nvidia-uvm", "/dev/kfd")

# Requests at a rate that are sent later than planned by more, on average, are not the arrivals that were asked for.
LATE_S = 0.05

# Tokens that the server counts over those that its answers here tell: more than rounding and what was under way at the edges.
MOST_FOR_US = 1.05
EMBEDS = ("feature-extraction", "sentence-similarity")
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


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = (
    *("endpoint", "concurrency", "request_rate", "min_new_tokens", "max_input_tokens", "reasoning"),
    *("prompt_cache", "dtype"),
)


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a model that a server on this machine has, and what the server says of it.

    It is asked to compute nothing, or one token where it cannot list its models.

    Raises:
        BadInput: the server is elsewhere or does not answer, it has no such model, or it cannot do what is asked for.
        EndpointFailed: it answers, but cannot be understood.
    """
    refuse(
        settings,
        "endpoint",
        understands=UNDERSTANDS,
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
    server = found_server(settings.endpoint, key=key_from(settings.options))
    known = asked_about(server, model, settings.task)
    refuse_unfit(settings, known.dialect)
    return Endpoint(server, known, settings), known.model


class Endpoint:
    """A workload whose items are answered by a server that was there before and stays."""

    def __init__(self, server: Server, known: ServedModel, settings: Settings) -> None:
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
        # The units of which the server says how many there were, as the first answer showed; all others must then do likewise.
        self._tells: frozenset[str] | None = None
        self._distrusted: set[str] = set()
        self._unanswered_in_a_row = 0
        self.tell: Callable[[int], None] | None = None
        pid = options.get("server_pid")
        self._all = AllAnswers()
        self._metrics = Onlooking(lambda: page_of(server, "/metrics", LARGEST_METRICS))
        self._watch = Onlooker(pids=(*server.pids, *([pid] if isinstance(pid, int) else [])))
        self.tells_every_s = TELLS_EVERY_S

    # -- the three members

    def load(self) -> None:
        """Sees that the server is there. The model is loaded already, or by the first request (Ollama).

        Raises:
            EndpointFailed: it no longer is.
        """
        try:
            told_by(self._server, f"{self._server.base}/models")
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
            tells_every_s=self.tells_every_s,
            tell=None if tell is None else lambda done: tell(min(done * size, len(whole))),
        )
        self._watch.begin()
        if self._known.dialect.metrics:
            self._metrics.begin()
        try:
            replies = stream.go()
        finally:
            self._metrics.end()
        for reply, group in zip(replies, groups, strict=True):
            if reply.judged.outcome == "answered":
                self._all.note(
                    question=hash(tuple((item.text, item.second, item.image) for item in group)),
                    text=reply.text_sum,
                    took_s=reply.end_s - reply.sent_s,
                    model=reply.model,
                )
        self._watch.answered(_length_of_union((reply.sent_s, reply.end_s) for reply in replies))
        answered = self._counted(replies, [len(group) for group in groups])
        findings = (*self._findings(groups, replies), *_lateness(stream.late_s))
        if settings.serves:
            done = served(
                answered, concurrency=None if times is not None else settings.concurrency, findings=findings
            )
            return replace(done, findings=(*done.findings, *self._account(answered, done.steady)))
        work: dict[str, Number] = {}
        for one in answered:
            for unit, amount in one.work.items():
                work[unit] = work.get(unit, 0) + amount
        return Done(work=work, spans=_parts(answered), findings=(*findings, *self._account(answered, None)))

    def conclude(self) -> Iterator[Finding]:
        """What all answers together show, and where the work was done, as far as could be seen meanwhile."""
        yield from self._all.findings()
        named = bool(self._watch.pids)
        if not named or self._watch.doing == "unknown":
            why = (
                "what its processes do is not told to this user, or it answered for too short a time"
                if named
                else "which process answers is not told to this user (another user's, or a container's)"
            )
            yield Finding.of(
                "server-process-unknown",
                f"whether the server computes on this machine cannot be seen: {why}; its work counts as a stranger's",
            )
        elif self._watch.doing == "idle":
            yield Finding.of(
                "server-may-be-elsewhere",
                "while it answered, neither the process behind the endpoint nor one that it started held a GPU or kept a processor "
                "busy: it passes requests on, and the model may run on another machine",
            )
        elif self._watch.doing == "cpu" and any(Path(node).exists() for node in GPU_NODES):
            yield Finding.of(
                "server-without-gpu",
                "the server's processes hold no GPU and kept a processor busy: what is told of GPUs is not their work",
            )

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
            return self._streamed(response, exchange, sent_s, self._asked(items, body))
        reply = parsed(exchange.whole(response, LARGEST_REPLY))
        end_s = time.monotonic()
        if reply is None:
            raise EndpointFailed(f"the server answered {place} with something that is not JSON", LOOK)
        if reply.get("error"):
            raise self._failed(reply, place)
        if path == "embeddings":
            came, found = judged_vectors(reply, len(body["input"]))
            answered = came * len(items) // len(body["input"])
        else:
            heard = heard_whole(reply)
            found = judged(heard, self._asked(items, body))
            answered = 0 if found.outcome == "unanswered" else len(items)
        return Reply(
            sent_s=sent_s,
            first_s=end_s,
            end_s=end_s,
            judged=found,
            answered=answered,
            text_sum=None if path == "embeddings" else heard.text_sum,
            model=name_in(reply),
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

    @staticmethod
    def _asked(items: Sequence[Item], body: Mapping[str, Any]) -> Request:
        return Request(
            most=body.get("max_tokens"),
            exactly=body.get("ignore_eos") is True,
            sent_bytes=None if items[0].image is not None else len(json.dumps(body).encode()),
        )

    def _streamed(
        self, response: http.client.HTTPResponse, exchange: Exchange, sent_s: float, asked: Request
    ) -> Reply:
        """Reads the events of an answer (server-sent events, as OpenAI's interface has them: one line of JSON each)."""
        piece_s = array("d")
        usage: list[object] = []
        reason: object = None
        size = text_sum = 0
        name = ""
        ended = seen = False
        for data, now in exchange.events(response):
            if data == b"[DONE]":
                ended = True
                break
            event = parsed(data)
            if event is None:
                raise EndpointFailed(
                    f"the server answered {exchange.name} with an event that is not JSON ({quoted(data, self._server.key)})",
                    LOOK,
                )
            if event.get("error"):
                raise self._failed(event, exchange.name)
            if told := event.get("usage"):
                # Some say it with each piece; the last one is kept, and one that is smaller than the one before beside it.
                if usage and not shrinks(usage[-1], told):
                    usage.pop()
                usage.append(told)
            said = ""
            for source, why in choices_of(event):
                reason = why if why is not None else reason
                said += text_in(source)
            if text := said.encode("utf-8", "replace"):
                seen = seen or shows(said)
                piece_s.append(now)
                size, text_sum = size + len(text), zlib.crc32(text, text_sum)
                name = name or name_in(event)
        end_s = time.monotonic()
        # Not every server sends [DONE]: where the body ended as HTTP says and the answer has its reason, it is whole.
        if not ended and reason is None:
            raise EndpointFailed(
                f"the server broke off in the middle of the answer to {exchange.name} "
                "(it sent neither [DONE] nor why the answer ended)",
                LOOK,
            )
        found = judged(
            Heard(pieces=len(piece_s), text_bytes=size, reason=reason, usage=tuple(usage), shows=seen), asked
        )
        return Reply(
            sent_s=sent_s,
            first_s=piece_s[0] if piece_s else end_s,
            end_s=end_s,
            judged=found,
            answered=0 if found.outcome == "unanswered" else 1,
            piece_s=piece_s,
            text_sum=text_sum,
            model=name,
        )

    def _counted(self, replies: Sequence[Reply], sizes: Sequence[int]) -> list[Answered]:
        """The log of the requests with what was done; only requests where the server does not say it.

        Raises:
            EndpointFailed: it answered nothing, or says only of some answers how many tokens there were.
        """
        self._refuse_silence(replies)
        for reply in replies:
            if reply.judged.outcome != "answered":
                continue
            if self._tells is None:
                self._tells = reply.judged.told
            if self._tells != reply.judged.told:
                raise EndpointFailed(
                    "the server says for some answers how many tokens there were, and for others not: nothing can be counted",
                    LOOK,
                )
        self._distrusted.update(*(reply.judged.distrusted for reply in replies))
        found = []
        for reply, size in zip(replies, sizes, strict=True):
            work = {"request": reply.answered} if reply.answered else {}
            if reply.answered < size:
                work[UNANSWERED] = size - reply.answered
            if reply.judged.outcome == "empty":
                work[EMPTY] = reply.answered
            work |= {unit: n for unit, n in reply.judged.work.items() if unit not in self._distrusted}
            found.append(
                Answered(
                    sent_s=reply.sent_s,
                    first_s=reply.first_s,
                    end_s=reply.end_s,
                    work=work,
                    token_s=reply.piece_s,
                )
            )
        return found

    def _refuse_silence(self, replies: Sequence[Reply]) -> None:
        """Raises EndpointFailed where nothing is answered: a server that does no work has no figure."""
        for reply in replies:
            self._unanswered_in_a_row = 0 if reply.answered else self._unanswered_in_a_row + 1
            if self._unanswered_in_a_row >= NONE_IN_A_ROW:
                break
        else:
            if len(replies) < 2 or any(reply.answered for reply in replies):
                return
        n = max(self._unanswered_in_a_row, 1)
        raise EndpointFailed(
            f"the server answered none of {n} requests, one after the other: the last one {reply.judged.why}",
            LOOK,
        )

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
        reply = parsed(exchange.whole(response, LARGEST_REFUSAL, cut=True)) or {}
        said = quoted(reason_told(reply), self._server.key)
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
            f"the server failed in the middle of {place} ({quoted(reason_told(reply), self._server.key)})",
            LOOK,
        )

    # -- what is to be said

    def _account(self, answered: Sequence[Answered], steady: Stretch | None) -> Iterator[Finding]:
        """How the server says that it ran, and whether it worked for others meanwhile."""
        seen = self._metrics.seen
        told = account(
            {
                "engine": self._known.dialect.name or None,
                "engine_version": self._known.version or None,
                **self._known.account,
                **{
                    name: value
                    for name, value in account_of(
                        seen, None if steady is None else (steady.start_s, steady.end_s)
                    ).items()
                    if value is not None
                },
            }
        )
        if told is not None:
            yield told
        if seen and self._metrics.missed:
            missed = self._metrics.missed
            yield Finding.of(
                "metrics-silent",
                f"the server's metrics did not answer {missed} of {missed + len(seen)} times: what they tell is of the other times",
                measurement="measured",
            )
        wrote, ours = written(seen), sum(one.work.get("token", 0) for one in answered)
        if wrote is not None and ours and wrote > MOST_FOR_US * ours:
            yield Finding.of(
                "server-served-others",
                f"the server wrote {wrote:,.0f} tokens meanwhile, and {ours:,.0f} of them here: it worked for others too",
                measurement="measured",
            )

    def _findings(self, groups: Sequence[Sequence[Item]], replies: Sequence[Reply]) -> Iterator[Finding]:
        settings, dialect = self._settings, self._known.dialect
        name = " ".join(
            filter(None, (dialect.name or "a server that does not say what it is", self._known.version))
        )
        yield Finding.of(
            "served-by",
            f"the model was served by {name}; measured were all devices that this command sees, not only the server's",
        )
        if (
            "server_pid" not in settings.options
        ):  # who names the process that computes knows what is before it
            yield from self._server.findings
        yield from self._known.findings
        makes = settings.task in GENERATES
        if self._tells is not None and ("token" if makes else "input_token") not in self._tells:
            yield Finding.of(
                "no-usage",
                "the server does not say how many tokens there were: requests are counted, and nothing is told per token",
            )
        elif makes and self._tells is not None and "input_token" not in self._tells:
            yield Finding.of(
                "input-tokens-untold",
                "the server does not say how many tokens the prompts had; those of the answers are counted",
            )
        yield from _of_the_answers(replies)
        yield from self._of_the_cache(replies)
        if settings.dtype is not None and self._known.model.dtype != settings.dtype:
            runs = self._known.model.dtype
            yield Finding.of(
                "dtype-not-as-asked",
                f"{settings.dtype} is asked for, and the server {'runs ' + runs if runs else 'does not say what it runs'}",
            )
        slots = self._known.slots
        if slots is not None and settings.concurrency > slots and settings.request_rate is None:
            yield Finding.of(
                "server-queues",
                f"{settings.concurrency} requests were under way at once, and the server works on {slots} at a time",
                remedy=f"Start it with --parallel {settings.concurrency}",
            )
        if settings.options.get("unique_prefix") is True:
            yield Finding.of(
                "unique-prefix",
                "every prompt began with a number of its own, so that no cache could answer it; it is some tokens longer for that",
            )
        if (
            settings.options.get("api") == "completions"
            and not dialect.fills
            and any(g[0].second for g in groups)
        ):
            yield Finding.of(
                "suffix-left-out",
                "the items say what comes after the answer, which this server cannot be told",
            )
        yield from self._of_the_lengths(groups, replies)

    def _of_the_cache(self, replies: Sequence[Reply]) -> Iterator[Finding]:
        settings, dialect = self._settings, self._known.dialect
        if settings.prompt_cache:
            return
        cached = sum(reply.judged.work.get("cached_token", 0) for reply in replies)
        inputs = sum(reply.judged.work.get("input_token", 0) for reply in replies)
        if cached and inputs:
            yield Finding.of(
                "prompt-cache-used",
                f"{cached / inputs:.1%} of the input tokens came from the server's cache and were not computed",
                remedy=dialect.cache_off,
            )
        elif settings.task in GENERATES and not (
            dialect.uncached or dialect.salted or settings.options.get("unique_prefix") is True
        ):
            yield Finding.of(
                "prompt-cache-unknown",
                "the server says of no token that it came from a cache; items that are asked again may have",
                remedy=f"{dialect.cache_off}; or --option unique_prefix=true",
            )

    def _of_the_lengths(
        self, groups: Sequence[Sequence[Item]], replies: Sequence[Reply]
    ) -> Iterator[Finding]:
        settings = self._settings
        most = settings.max_input_tokens
        if most is not None and not self._known.dialect.cuts:
            told = [
                (reply.judged.work.get("input_token"), len(group))
                for reply, group in zip(replies, groups, strict=True)
                if reply.answered
            ]
            if not told or any(n is None or n > most for n, _ in told):
                yield Finding.of(
                    "inputs-not-cut",
                    f"inputs should be cut at {most} tokens, which this server cannot be told: it takes them as it does",
                )
        least = settings.min_new_tokens
        if least is None or self._tells is None or "token" not in self._tells or "token" in self._distrusted:
            return
        short = 0
        for reply, (item, *_) in zip(replies, groups, strict=True):
            tokens = reply.judged.work.get("token", 0)
            short += reply.answered > 0 and tokens < min(least, item.max_new_tokens or least)
        if short:
            yield Finding.of(
                "answers-too-short",
                f"{short} of {len(replies)} answers had fewer than the {least} tokens that were asked for at least",
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
            work={unit: one.work[unit] for unit in ("request", "input_token") if unit in one.work},
        ),
        Stretch(name="decode", start_s=one.first_s, end_s=one.end_s, work={"token": one.work["token"]}),
    )


def _of_the_answers(replies: Sequence[Reply]) -> Iterator[Finding]:
    """What is wrong with answers: of each kind how many, and the first one in words."""
    for number, reply in enumerate(replies, start=1):
        if not reply.answered:
            yield Finding.of(
                "answer-left-out", f"the answer to request {number} {reply.judged.why}: it is no request"
            )
            break
    told: dict[str, list[str]] = {}
    for number, reply in enumerate(replies, start=1):
        for code in dict.fromkeys(fault.code for fault in reply.judged.faults):
            says = next(fault.says for fault in reply.judged.faults if fault.code == code)
            told.setdefault(code, []).append(f"the answer to request {number} {says}")
    for code, all_of_them in told.items():
        more = f"; {len(all_of_them)} of {len(replies)} answers are so" if len(replies) > 1 else ""
        yield Finding.of(code, all_of_them[0] + more)


def _length_of_union(intervals: Iterable[tuple[float, float]]) -> float:
    """For how long at least one of them lasted."""
    total, until = 0.0, -math.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _lateness(late_s: Sequence[float]) -> Iterator[Finding]:
    if late_s and sum(late_s) / len(late_s) > LATE_S:
        yield Finding.of(
            "requests-sent-late",
            f"requests were sent {sum(late_s) / len(late_s):.2f} s later than planned on average: this machine was too busy",
        )


def _kind(content: bytes) -> str:
    """The type of a picture, by its first bytes (the file formats' own definitions)."""
    for start, kind in ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"BM", "bmp")):
        if content.startswith(start):
            return f"image/{kind}"
    return "image/webp" if content[8:12] == b"WEBP" else "application/octet-stream"
