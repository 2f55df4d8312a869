"""What an answer is worth: whether it is one, and which of the counts in it can be true. Pure: what was asked and what came go in.

A server is a stranger. Its form is looked at where it is read; here what it says is held against what else is known: what was asked for,
the text that came, and its own other numbers. What was not answered is no request, and a count that cannot be is no count.
``docs/servers.md`` has the outcome of each case.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Outcome = Literal["answered", "empty", "unanswered"]

# How an answer ends that is whole: OpenAI's interface, and the words that text-generation-inference and Anthropic's interface have.
WHOLE = frozenset(("stop", "length", "tool_calls", "function_call"))
WHOLE |= {"eos", "eos_token", "stop_sequence", "end_turn", "max_tokens"}

# Parts of the words for one that was broken off: abort (vLLM, SGLang), error (vLLM), content_filter (OpenAI), and the like.
BROKEN_OFF = (
    *("abort", "cancel", "error", "evict", "fail", "filter", "interrupt", "kill", "preempt", "refus"),
    *("reject", "safety", "shut", "timeout", "timed", "unload"),
)

# What is counted beside requests: those that were not answered, and those whose answer is empty (they count as requests too).
UNANSWERED, EMPTY = "unanswered_request", "empty_request"

# So many requests one after the other that are not answered: then there is nothing to measure. Our choice.
NONE_IN_A_ROW = 10

MOST_TOKENS = 1_000_000_000  # of one answer: more is no number of tokens

# A token is a byte of text at least, but for those that are not shown: an end mark, and what a server takes for marks of a thought or a call.
HIDDEN_TOKENS = 16

# What a chat template and a system prompt of the server's own put around a prompt. Our choice: the longest that are known are some 3,000 tokens.
TEMPLATE_TOKENS = 8192

_TEXTS = ("text", "content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")
_PARTS = ("text", "content", "function", "name", "arguments", "thinking")
_DEEPEST = 6  # a call in a list in a message


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What came of one answer. ``shows``: its text has a letter that can be seen. ``pieces`` of text in a stream; ``text_sum``: a checksum of the text; ``reason``: why it ended, as the server says; ``usage``: all that it said of its counts."""

    pieces: int = 0
    text_bytes: int = 0
    text_sum: int = 0
    reason: object = None
    usage: Sequence[object] = ()
    model: str = ""
    shows: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What an answer is held against. ``most``: tokens that it may have; ``exactly``: it was told not to end by itself.

    ``sent_bytes``: of the prompt's text; None where it has a picture too. ``made``: it is text that is made, and no vector.
    """

    most: int | None = None
    exactly: bool = False
    sent_bytes: int | None = None
    made: bool = True


class Fault(NamedTuple):
    """A finding's code and what is wrong with an answer, as the end of a sentence that begins with its name."""

    code: str
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What an answer is. ``why``: of one that is none. ``work``: the counts that can be true; ``told``: the units that the server speaks of.

    ``distrusted``: units that are not to be counted, since this one's are wrong and the sum of the others would pass for all of them.
    """

    outcome: Outcome
    why: str = ""
    work: Mapping[str, int]
    told: frozenset[str]
    faults: tuple[Fault, ...] = ()
    distrusted: frozenset[str] = frozenset()


NOTHING_TOLD: frozenset[str] = frozenset()


def heard_whole(reply: Mapping[str, Any]) -> Heard:
    """What came of an answer that was not streamed."""
    reason: object = None
    said = ""
    for source, why in choices_of(reply):
        reason = why if why is not None else reason
        said += text_in(source)
    text = said.encode("utf-8", "replace")
    return Heard(
        shows=shows(said),
        text_bytes=len(text),
        text_sum=zlib.crc32(text),
        reason=reason,
        usage=(reply.get("usage"),),
        model=name_in(reply),
    )


def shows(text: str) -> bool:
    """Whether there is anything to be seen in a text: blanks, line ends and what has no width are none."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def name_in(reply: Mapping[str, Any]) -> str:
    """What a server calls the model that answered; empty where it does not say."""
    name = reply.get("model")
    return name if isinstance(name, str) else ""


def judged(heard: Heard, asked: Request) -> Judged:
    """Whether that is an answer, and what it counts."""
    why = _why_none(heard)
    if why:
        return Judged(outcome="unanswered", why=why, work={}, told=NOTHING_TOLD)
    counts = _counts(heard, asked)
    faults = tuple(_faults(heard, asked, counts))
    codes = {fault.code for fault in faults}
    work = {unit: amount for unit, amount in counts.known.items() if unit not in counts.wrong}
    # Who was told not to end goes on with whatever comes, and that may be blanks.
    if heard.text_bytes == 0 or not (heard.shows or asked.exactly):
        # A model may end at once. Then there is one token, its end mark, or none; more are not to be seen.
        return Judged(
            outcome="empty",
            work={unit: amount for unit, amount in work.items() if amount},
            told=NOTHING_TOLD,
            faults=tuple(fault for fault in faults if fault.code != "tokens-without-text"),
            distrusted=counts.wrong if "more-tokens-than-asked" in codes else frozenset(),
        )
    told = frozenset(counts.known) & {"token", "input_token"}
    return Judged(outcome="answered", work=work, told=told, faults=faults, distrusted=counts.wrong)


def judged_vectors(reply: Mapping[str, Any], wanted: int) -> tuple[int, Judged]:
    """How many of so many vectors came, and what was counted for them."""
    found = reply.get("data")
    vectors = (
        [one.get("embedding") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    )
    came = min(sum(map(_is_vector, vectors)), wanted)
    if came == 0:
        return 0, Judged(outcome="unanswered", why="came without a vector", work={}, told=NOTHING_TOLD)
    heard = Heard(text_bytes=1, usage=(reply.get("usage"),))
    return came, judged(heard, Request(made=False))


def _is_vector(value: object) -> bool:
    """Numbers, not all of them zero; or text, which is how they are packed."""
    if isinstance(value, str):
        return bool(value)
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        return False
    try:
        total = sum(value)  # NaN where one of them is
    except OverflowError:  # a whole number beyond all that a vector's numbers can be
        return False
    return total - total == 0 and any(value)


def text_in(source: object, depth: int = 0) -> str:
    """The text that a message or a piece of one brings: of the answer, of the thoughts, or of a call."""
    if not isinstance(source, dict) or depth > _DEEPEST:
        return ""
    return "".join(_text(source.get(key), depth) for key in (_TEXTS if depth == 0 else _PARTS))


def _text(value: object, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(one, depth + 1) for one in value) if depth <= _DEEPEST else ""
    return text_in(value, depth + 1)


def choices_of(event: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], object]]:
    """Of each choice in an answer or an event of one, where its text stands, and why it ended."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        reason = choice.get("finish_reason")
        reason = None if reason == "" else reason  # as some write that there is none yet
        for source in (choice, choice.get("delta"), choice.get("message")):
            if isinstance(source, dict):
                yield source, reason


def broken_off(reason: object) -> bool:
    """Whether the reason why an answer ended is a word for a failure."""
    word = reason.lower() if isinstance(reason, str) else ""
    return word not in WHOLE and any(part in word for part in BROKEN_OFF)


def _why_none(heard: Heard) -> str:
    """Why that is no answer; empty where it is one."""
    reason = heard.reason
    if reason is not None and not isinstance(reason, str):
        return "ended with a reason that is no word"
    word = (reason or "").lower()
    if broken_off(reason):
        return f"was ended by the server with {reason!r}"
    if heard.text_bytes == 0:
        if not word:
            return "ended in nothing"
        if word not in WHOLE:
            return f"ended in nothing, with {reason!r}"
    return ""


class _Usage(NamedTuple):
    """``known``: units and amounts that are told and have the form of one. ``wrong``: units whose amount cannot be."""

    known: Mapping[str, int]
    wrong: frozenset[str]
    faults: tuple[Fault, ...]


def _counts(heard: Heard, asked: Request) -> _Usage:
    usages = [one for one in heard.usage if isinstance(one, dict) and one]
    usage = usages[-1] if usages else {}
    known: dict[str, int] = {}
    faults: list[Fault] = []
    wrong: set[str] = set()
    said_in = _amount(usage.get("prompt_tokens"))
    said_out = _amount(usage.get("completion_tokens")) if asked.made else 0
    if said_in is None and usage.get("prompt_tokens") is not None:
        return _Usage({}, frozenset(), ())  # no number of tokens: whoever says so is not believed the rest
    # A prompt has a token, and so has a text: where there is none, none was counted.
    if said_in:
        known["input_token"] = said_in
    if asked.made and said_out is not None and (said_out or not heard.text_bytes):
        known["token"] = said_out
    if asked.made and "token" not in known:
        return _Usage({}, frozenset(), ())
    out = known.get("token", 0)
    if asked.most is not None and out > asked.most:
        wrong.add("token")
        faults.append(
            Fault("more-tokens-than-asked", f"is told to have {out:,} tokens, and was allowed {asked.most:,}")
        )
    if said_in and asked.sent_bytes is not None and said_in > asked.sent_bytes + TEMPLATE_TOKENS:
        wrong.add("input_token")
        faults.append(
            Fault(
                "usage-contradicts",
                f"is told to have had {said_in:,} input tokens for {asked.sent_bytes:,} bytes of text",
            )
        )
    total = _amount(usage.get("total_tokens"))
    if total and said_in and said_out is not None and total != said_in + said_out:
        faults.append(
            Fault(
                "usage-contradicts",
                f"is told to have taken {total:,} tokens in all, and {said_in:,} and {said_out:,} of both kinds",
            )
        )
    if any(shrinks(before, usage) for before in usages[:-1]):
        faults.append(Fault("usage-contradicts", "has counts that became smaller while it came"))
    cached = _part(usage, "prompt_tokens_details", "cached_tokens")
    if cached and said_in:
        if cached > said_in:
            # A part of the prompt came from the cache for certain; how large it was is not known, and all of it is the safe side.
            faults.append(
                Fault(
                    "usage-contradicts",
                    f"is told to have had {cached:,} of {said_in:,} input tokens from a cache",
                )
            )
        known["cached_token"] = min(cached, said_in)
    thought = _part(usage, "completion_tokens_details", "reasoning_tokens") if asked.made else None
    if thought:
        known["reasoning_token"] = thought
        if thought > out:
            wrong.add("reasoning_token")
            faults.append(
                Fault("usage-contradicts", f"is told to have {thought:,} thought tokens among {out:,}")
            )
    if "input_token" in wrong and "cached_token" in known:
        wrong.add("cached_token")
    if "token" in wrong and "reasoning_token" in known:
        wrong.add("reasoning_token")
    return _Usage(known, frozenset(wrong), tuple(faults))


def _faults(heard: Heard, asked: Request, counts: _Usage) -> Iterator[Fault]:
    yield from counts.faults
    reason = heard.reason
    if isinstance(reason, str) and reason and reason.lower() not in WHOLE:
        yield Fault(
            "finish-reason-unknown", f"ended with {reason[:40]!r}, which is no word for a whole answer"
        )
    out = counts.known.get("token")
    if out is None or "token" in counts.wrong:
        return
    if heard.pieces > out:
        yield Fault(
            "usage-contradicts", f"came in {heard.pieces:,} pieces and is told to have {out:,} tokens"
        )
    if not asked.exactly and out > heard.text_bytes + HIDDEN_TOKENS:
        yield Fault(
            "tokens-without-text",
            f"is told to have {out:,} tokens, and is a text of {heard.text_bytes:,} bytes",
        )
    # Some count the end mark, and some do not.
    if reason == "length" and asked.most is not None and out < asked.most - 1:
        yield Fault(
            "answers-cut-short",
            f"ended for its length after {out:,} tokens of the {asked.most:,} that it was allowed",
        )


def shrinks(before: object, after: object) -> bool:
    """Whether a count of the one is smaller in the other, which came later."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return False
    for key in ("prompt_tokens", "completion_tokens"):
        told, later = _amount(before.get(key)), _amount(after.get(key))
        if told is not None and later is not None and later < told:
            return True
    return False


def _part(usage: Mapping[str, Any], key: str, part: str) -> int | None:
    details = usage.get(key)
    return _amount(details.get(part)) if isinstance(details, dict) else None


def _amount(value: object) -> int | None:
    """A number of tokens; some servers write it with a point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None
