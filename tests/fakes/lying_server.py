"""What a server may say that is not so, or not as most servers say it: each with what is to become of it.

The honest answer is one of seven tokens in six pieces, to a prompt of forty tokens, and may have sixteen. A lie is that answer with something
else in it; it is told as a whole or in a stream. ``docs/servers.md`` has a row for each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chat_server import Talk

MAY_HAVE = 16
PIECES = ("It ", "is ", "scattered ", "by ", "the ", "air.")
HONEST = {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}
COUNTED = {"request": 1, "token": 7, "input_token": 40}

Fate = Literal["counted", "told", "no tokens", "degrades", "disqualifies", "left out", "fails"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer as a server gives it. ``usage_with``: in an event of its own, in that of the reason, or in each. ``whole``: of one that is not streamed."""

    pieces: Sequence[Any] = PIECES
    key: str = "content"
    reason: object = "stop"
    usage: Any = field(default_factory=lambda: dict(HONEST))
    usage_with: Literal["none", "reason", "each"] = "none"
    first_usage: Any = None
    ends: Literal["[DONE]", "in order", "cut"] = "[DONE]"
    choices: Any = None
    error: Any = None
    status: int = 200

    def told(self, talk: Talk) -> None:
        """Sends it, in the way that was asked for."""
        if self.status != 200:
            talk.whole({"error": {"message": "out of memory"}}, self.status)
        elif talk.body["stream"]:
            self._streamed(talk)
        else:
            self._whole(talk)

    def _whole(self, talk: Talk) -> None:
        said = self.pieces[0] if len(self.pieces) == 1 else "".join(map(str, self.pieces)) or None
        message = {"role": "assistant", "content": None, self.key: said}
        choices = self.choices
        if choices is None:
            choices = [{"index": 0, "message": message, "finish_reason": self.reason}]
        reply = {"choices": choices, "usage": self.usage}
        if self.error is not None:
            reply["error"] = self.error
        content = json.dumps(reply).encode()
        if self.ends == "cut":
            talk.send_response(200)
            talk.send_header("Content-Type", "application/json")
            talk.send_header("Content-Length", str(len(content) + 50))
            talk.end_headers()
            talk.close_connection = True
            talk.wfile.write(content)
            return
        talk.whole(content)

    def _streamed(self, talk: Talk) -> None:
        talk.start()
        more = {"usage": self.usage} if self.usage_with == "each" else {"usage": None}
        if self.first_usage is not None:
            talk.event({"choices": [], "usage": self.first_usage})
        for piece in self.pieces if self.choices is None else ():
            talk.event({"choices": [{"index": 0, "delta": {self.key: piece}, "finish_reason": None}]} | more)
        if self.error is not None:
            talk.event({"error": self.error})
        last = (
            [{"index": 0, "delta": {}, "finish_reason": self.reason}]
            if self.choices is None
            else self.choices
        )
        with_reason = {"usage": self.usage} if self.usage_with != "none" else {}
        talk.event({"choices": last} | with_reason)
        if self.usage_with == "none" and self.usage is not None:
            talk.event({"choices": [], "usage": self.usage})
        talk.leave_before_last()
        if self.ends == "cut":
            talk.close_connection = True
            return
        if self.ends == "[DONE]":
            talk.event(b"[DONE]")
        talk.chunk(b"")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lie:
    """What a server says, what is to become of the answer, and the finding that says so.

    ``row``: as ``docs/servers.md`` has it. ``work``: what one such answer counts; None: it fails. ``only``: where it can be told in one way only.
    """

    row: str
    answer: Answer
    fate: Fate
    code: str = ""
    work: Mapping[str, int] | None = field(default_factory=lambda: dict(COUNTED))
    only: Literal["streamed", "whole"] | None = None
    says: str = ""
    may_have: int = MAY_HAVE


def usage(**changes: Any) -> Answer:
    """The honest answer with other counts; None: without that one. The sum is right unless it is told."""
    told = {key: value for key, value in (HONEST | changes).items() if value is not None}
    if "total_tokens" not in changes:
        told.pop("total_tokens", None)
    return Answer(usage=told)


def nothing(**changes: Any) -> Answer:
    return Answer(pieces=(), **changes)


REQUEST = {"request": 1}
NOT_ANSWERED = {"unanswered_request": 1}
NO_INPUT = {"request": 1, "token": 7}
EMPTY = {"request": 1, "empty_request": 1, "input_token": 40}

LIES: Mapping[str, Lie] = {
    # ---- counts
    "more than asked": Lie(
        row="more output tokens than the request allowed",
        answer=usage(completion_tokens=19_503),
        fate="disqualifies",
        code="more-tokens-than-asked",
        work={"request": 1, "input_token": 40},
    ),
    "one more than asked": Lie(
        row="one output token more than the request allowed",
        answer=usage(completion_tokens=MAY_HAVE + 1),
        fate="disqualifies",
        code="more-tokens-than-asked",
        work={"request": 1, "input_token": 40},
    ),
    "beyond numbers": Lie(
        row="an impossible number of output tokens (above 10⁹)",
        answer=usage(completion_tokens=10**30),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "negative": Lie(
        row="a negative number of tokens",
        answer=usage(completion_tokens=-1),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "a word": Lie(
        row="a word in place of a number of tokens",
        answer=usage(completion_tokens="7"),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "true": Lie(
        row="`true` in place of the input tokens",
        answer=usage(prompt_tokens=True),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "half a token": Lie(
        row="half a token",
        answer=usage(completion_tokens=6.5),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "with a point": Lie(
        row="whole numbers written with a point (`8.0`)",
        answer=usage(prompt_tokens=40.0, completion_tokens=7.0),
        fate="counted",
    ),
    "all zero": Lie(
        row="zero for all counts, beside text",
        answer=usage(prompt_tokens=0, completion_tokens=0, total_tokens=0),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "zero out": Lie(
        row="zero output tokens, beside text",
        answer=usage(completion_tokens=0),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "zero in": Lie(
        row="zero input tokens",
        answer=usage(prompt_tokens=0),
        fate="told",
        code="input-tokens-untold",
        work=NO_INPUT,
    ),
    "no in": Lie(
        row="no number of input tokens",
        answer=usage(prompt_tokens=None),
        fate="told",
        code="input-tokens-untold",
        work=NO_INPUT,
    ),
    "no out": Lie(
        row="no number of output tokens",
        answer=usage(completion_tokens=None),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "no usage": Lie(
        row="no usage", answer=Answer(usage=None), fate="no tokens", code="no-usage", work=REQUEST
    ),
    "usage is a list": Lie(
        row="a usage that is a list or a word",
        answer=Answer(usage=[40, 7]),
        fate="no tokens",
        code="no-usage",
        work=REQUEST,
    ),
    "thoughts above": Lie(
        row="more thought tokens than output tokens",
        answer=usage(completion_tokens_details={"reasoning_tokens": 11}),
        fate="degrades",
        code="usage-contradicts",
    ),
    "cache above": Lie(
        row="more cached tokens than input tokens",
        answer=usage(prompt_tokens_details={"cached_tokens": 44}),
        fate="degrades",
        code="prompt-cache-used",
        work={**COUNTED, "cached_token": 40},
    ),
    "other total": Lie(
        row="a total that is not the sum",
        answer=usage(total_tokens=400),
        fate="degrades",
        code="usage-contradicts",
    ),
    "fewer than pieces": Lie(
        row="fewer output tokens than pieces of text",
        answer=usage(completion_tokens=3),
        fate="degrades",
        code="usage-contradicts",
        work={"request": 1, "token": 3, "input_token": 40},
        only="streamed",
    ),
    "more than text": Lie(
        row="more output tokens than its text has bytes, and 16 that may be hidden",
        answer=Answer(pieces=("I",), usage=HONEST | {"completion_tokens": 60, "total_tokens": 100}),
        fate="degrades",
        code="tokens-without-text",
        work={"request": 1, "token": 60, "input_token": 40},
        may_have=64,
    ),
    "more in than sent": Lie(
        row="thousands of input tokens more than were sent",
        answer=usage(prompt_tokens=100_000),
        fate="degrades",
        code="usage-contradicts",
        work={"request": 1, "token": 7},
    ),
    "shrinking": Lie(
        row="counts that become smaller while the answer comes",
        answer=Answer(first_usage=HONEST | {"completion_tokens": 9}),
        fate="degrades",
        code="usage-contradicts",
        only="streamed",
    ),
    "usage with the reason": Lie(
        row="usage in an event that still has choices",
        answer=Answer(usage_with="reason"),
        fate="counted",
        only="streamed",
    ),
    "usage with each": Lie(
        row="usage in each event", answer=Answer(usage_with="each"), fate="counted", only="streamed"
    ),
    # ---- how it ended
    "aborted": Lie(
        row="text, ended with `abort`",
        answer=Answer(reason="abort"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "aborted at once": Lie(
        row="no text, ended with `abort`",
        answer=nothing(reason="abort"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "error as reason": Lie(
        row="ended with `error`",
        answer=Answer(reason="error"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "filtered": Lie(
        row="ended with `content_filter`",
        answer=Answer(reason="content_filter"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "timed out": Lie(
        row="ended with another word for a failure (`timeout`, `cancelled` …)",
        answer=Answer(reason="request_timeout"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "reason is a number": Lie(
        row="a number as the reason why it ended",
        answer=Answer(reason=7),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "nothing": Lie(
        row="no text and no reason",
        answer=nothing(reason=None),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "nothing, full usage": Lie(
        row="no text and no reason, and a usage as of a long answer",
        answer=nothing(reason=None, usage=HONEST | {"completion_tokens": 16, "total_tokens": 56}),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "no choices": Lie(
        row="an empty list of choices",
        answer=nothing(choices=[]),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "choices are words": Lie(
        row="choices that are none (words, numbers)",
        answer=nothing(choices=["stop", 3, None]),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "unknown reason": Lie(
        row="text, ended with a word that nobody knows",
        answer=Answer(reason="satisfied"),
        fate="degrades",
        code="finish-reason-unknown",
    ),
    "unknown reason, nothing": Lie(
        row="no text, ended with a word that nobody knows",
        answer=nothing(reason="load"),
        fate="left out",
        code="answer-left-out",
        work=NOT_ANSWERED,
    ),
    "cut short": Lie(
        row="ended for its length before it had the tokens that it was allowed",
        answer=Answer(reason="length"),
        fate="degrades",
        code="answers-cut-short",
    ),
    "ends at once": Lie(
        row="no text, ended by the model at once (`stop`, one token or none)",
        answer=nothing(usage=HONEST | {"completion_tokens": 1, "total_tokens": 41}),
        fate="counted",
        work={**EMPTY, "token": 1},
    ),
    "ends at once, no token": Lie(
        row="the same, with a count of zero",
        answer=nothing(usage=HONEST | {"completion_tokens": 0, "total_tokens": 40}),
        fate="counted",
        work=EMPTY,
    ),
    "blanks": Lie(
        row="blanks, line ends and letters without width alone",
        answer=Answer(pieces=(" ", "\n", "\t\u00a0", "\u200b", "\u2060 ", "\n", "\n")),
        fate="counted",
        work={**EMPTY, "token": 7},
    ),
    "hidden": Lie(
        row="no text, and tokens all the same (thoughts that are not shown)",
        answer=nothing(reason="length", usage=HONEST | {"completion_tokens": 16, "total_tokens": 56}),
        fate="counted",
        work={**EMPTY, "token": 16},
    ),
    # ---- how it came
    "no [DONE]": Lie(
        row="a stream that ends in order, with a reason and without `[DONE]`",
        answer=Answer(ends="in order", usage_with="reason"),
        fate="counted",
        only="streamed",
    ),
    "no [DONE], no reason": Lie(
        row="a stream that ends in order, without a reason and without `[DONE]`",
        answer=Answer(ends="in order", reason=None),
        fate="fails",
        work=None,
        only="streamed",
        says=r"neither \[DONE\] nor why",
    ),
    "no [DONE], empty reason": Lie(
        row="the same, with an empty word as the reason",
        answer=Answer(ends="in order", reason=""),
        fate="fails",
        work=None,
        only="streamed",
        says=r"neither \[DONE\] nor why",
    ),
    "cut": Lie(
        row="an answer that is broken off on the way",
        answer=Answer(ends="cut"),
        fate="fails",
        work=None,
        says="ended or broke off",
    ),
    "error inside": Lie(
        row="status 200 and an error in the answer",
        answer=Answer(error={"message": "out of memory"}),
        fate="fails",
        work=None,
        says="out of memory",
    ),
    "status 500": Lie(
        row="status 500", answer=Answer(status=500), fate="fails", work=None, says="status 500"
    ),
    "thoughts alone": Lie(
        row="thoughts and no answer", answer=Answer(key="reasoning_content"), fate="counted"
    ),
    "a call": Lie(
        row="a call of a tool and no text",
        answer=Answer(
            key="tool_calls",
            reason="tool_calls",
            pieces=([{"index": 0, "function": {"name": "look", "arguments": '{"at": "sky"}'}}],),
        ),
        fate="counted",
    ),
    "text in parts": Lie(
        row="the text as a list of parts",
        answer=Answer(pieces=([{"type": "text", "text": "It is scattered by the air."}],)),
        fate="counted",
    ),
}


def telling(name: str, *, every: int = 1) -> Callable[[Talk], None]:
    """A server whose every so-many-th answer is that lie, by the number at the end of the question."""

    def behave(talk: Talk) -> None:
        number = int("".join(c for c in talk.body["messages"][0]["content"] if c.isdigit()))
        (LIES[name].answer if number % every == 0 else Answer()).told(talk)

    return behave


def vectors(found: Any, *, told: Any = None) -> Callable[[Talk], None]:
    """A server of embeddings that gives these for each text."""

    def behave(talk: Talk) -> None:
        n = len(talk.body["input"])
        data = found(n) if callable(found) else [{"embedding": found}] * n
        talk.whole({"data": data, "usage": told or {"prompt_tokens": 10 * n, "total_tokens": 10 * n}})

    return behave


NO_NUMBERS = [math.nan, math.nan]
