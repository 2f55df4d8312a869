"""What a server of many requests counts about itself: how many it computes at once, and what it has done so far.

Read from its Prometheus metrics (``/metrics``, text format 0.0.4) once a second while it answers, over a connection of its own. vLLM has
them always; SGLang where it was started with ``--enable-metrics``. Names as of

- vLLM: ``vllm/v1/metrics/loggers.py`` (0.8 to 0.12), ``vllm/engine/metrics.py`` (V0, until 0.10): ``vllm:num_requests_running``,
  ``vllm:num_requests_waiting``, ``vllm:prompt_tokens_total``, ``vllm:generation_tokens_total``; V0 alone has ``vllm:num_requests_swapped`` and
  ``vllm:gpu_prefix_cache_hit_rate``; V1's ``vllm:gpu_prefix_cache_queries`` lost its ``gpu_`` in 0.10; speculative decoding counts its tokens
  (``vllm:spec_decode_num_…``) and, since 0.9, its passes (``vllm:spec_decode_num_drafts``).
- SGLang: ``python/sglang/srt/metrics/collector.py``: ``sglang:num_running_reqs``, ``sglang:num_queue_reqs``, ``sglang:cache_hit_rate``,
  ``sglang:spec_accept_length``, each once for every rank that reports.

Counters carry ``_total`` in some versions and not in others. What a version does not have is absent, never zero.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from energy_rating.nouns.records import Setting

EVERY_S = 1.0
GIVES_UP_AFTER = 3  # answers that did not come, one after the other
LARGEST_METRICS = 8 << 20  # bytes; a server with many adapters has some 300 kB
MOST_LINES = 100_000

# One rank of several that work on the same requests tells what all of them do; of others, each counts its own.
SAME_REQUESTS = ("tp_rank", "pp_rank", "moe_ep_rank")

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*,?')

RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
WRITTEN = ("vllm:generation_tokens", "sglang:generation_tokens")
ASKED_OF_CACHE = ("vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries")
FOUND_IN_CACHE = ("vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits")
DRAFTS = ("vllm:spec_decode_num_drafts",)
DRAFTED = ("vllm:spec_decode_num_draft_tokens",)
ACCEPTED = ("vllm:spec_decode_num_accepted_tokens",)
CACHE_HIT_RATE = ("sglang:cache_hit_rate", "vllm:gpu_prefix_cache_hit_rate")
ACCEPT_LENGTH = ("sglang:spec_accept_length",)
ONLY_V0 = ("vllm:num_requests_swapped", "vllm:cpu_cache_usage_perc")
CONFIGURED = "vllm:cache_config_info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One line: a name, its labels, a number."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples_in(text: str) -> list[Sample]:
    """The lines of a page of metrics that can be read; comments and all others are left out."""
    found = []
    for line in text.split("\n", MOST_LINES)[:MOST_LINES]:
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = {one[1]: one[2].replace('\\"', '"') for one in _LABEL.finditer(match[2] or "")}
        # Some scrapers' proxies write the colon, which a name may have, as an underscore.
        name = re.sub(r"^(vllm|sglang)_", r"\1:", match[1]).removesuffix("_total")
        found.append(Sample(name=name, labels=labels, value=value))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineCounts:
    """What the server's metrics say at one moment. None: it has no such number."""

    at_s: float
    running: float | None = None
    waiting: float | None = None
    written: float | None = None
    asked_of_cache: float | None = None
    found_in_cache: float | None = None
    cache_hit_rate: float | None = None
    drafts: float | None = None
    drafted: float | None = None
    accepted: float | None = None
    accept_length: float | None = None
    core: str | None = None
    configured: Mapping[str, str] = field(default_factory=dict)


def counted(text: str, at_s: float) -> EngineCounts:
    """What a page of metrics says."""
    samples = samples_in(text)
    names = {one.name for one in samples}
    cache = _total(samples, ASKED_OF_CACHE)
    core = "V0" if names & set(ONLY_V0) else "V1" if cache is not None else None
    return EngineCounts(
        at_s=at_s,
        running=_total(samples, RUNNING),
        waiting=_total(samples, WAITING),
        written=_total(samples, WRITTEN),
        asked_of_cache=cache,
        found_in_cache=_total(samples, FOUND_IN_CACHE),
        cache_hit_rate=_largest(samples, CACHE_HIT_RATE),
        drafts=_total(samples, DRAFTS),
        drafted=_total(samples, DRAFTED),
        accepted=_total(samples, ACCEPTED),
        accept_length=_largest(samples, ACCEPT_LENGTH),
        core=core,
        configured=next((one.labels for one in samples if one.name == CONFIGURED), {}),
    )


def _total(samples: Sequence[Sample], names: Sequence[str]) -> float | None:
    """The sum over engines that have requests of their own; ranks that share theirs count once. Of several names the first that is there."""
    for name in names:
        groups: dict[tuple[tuple[str, str], ...], float] = {}
        for one in samples:
            if one.name == name and math.isfinite(one.value):
                key = tuple(sorted((k, v) for k, v in one.labels.items() if k not in SAME_REQUESTS))
                groups[key] = max(groups.get(key, 0.0), one.value)
        if groups:
            return math.fsum(groups.values())
    return None


def _largest(samples: Sequence[Sample], names: Sequence[str]) -> float | None:
    found = [
        one.value for one in samples if one.name in names and math.isfinite(one.value) and one.value >= 0
    ]
    return max(found, default=None)


class Onlooking:
    """Reads the metrics once a second from ``begin`` to ``end``, in a thread of its own. What fails is given up, and never told as zero.

    ``ask`` returns the page, or raises whatever it likes.
    """

    def __init__(
        self,
        ask: Callable[[], str],
        *,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._every_s = every_s
        self._now = now
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = 0
        self._last_s = -math.inf
        self.seen: list[EngineCounts] = []
        self.missed = 0  # looks since ``begin`` that were not answered

    @property
    def answers(self) -> bool:
        """Whether it has metrics at all, as far as it was asked."""
        return self._failed < GIVES_UP_AFTER

    def begin(self) -> None:
        """Nothing is seen of what begins within a second after the last look: single requests are not slowed down by questions."""
        self.seen, self.missed = [], 0
        self._over.clear()
        if self._now() - self._last_s < self._every_s:
            return
        if self.answers:
            self._look()
        if self.answers and self.seen:
            self._thread = threading.Thread(target=self._go, name="metrics", daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._look()

    def _go(self) -> None:
        while not self._over.wait(self._every_s) and self.answers:
            self._look()

    def _look(self) -> None:
        try:
            page = self._ask()
        except Exception:  # it has none, is too busy for it, or is gone: whoever asks it for work will say so
            self._failed += 1
            self.missed += 1
            return
        found = counted(page, self._now())
        if found.running is None and found.written is None:  # some other page
            self._failed = GIVES_UP_AFTER
            return
        self._failed = 0
        self._last_s = found.at_s
        self.seen.append(found)


def account_of(
    seen: Sequence[EngineCounts], between: tuple[float, float] | None
) -> dict[str, Setting | None]:
    """What the metrics of one stream of requests tell of the operating point.

    ``between``: the part in which the server was kept full, in seconds of ``time.monotonic()``; requests at once are those in it.
    """
    if not seen:
        return {}
    inside = [one for one in seen if between is None or between[0] <= one.at_s <= between[1]]
    running = [one.running for one in inside if one.running is not None]
    waiting = [one.waiting for one in inside if one.waiting is not None]
    first, last = seen[0], seen[-1]
    hits = _share(
        _grown(first.found_in_cache, last.found_in_cache), _grown(first.asked_of_cache, last.asked_of_cache)
    )
    drafts, accepted = _grown(first.drafts, last.drafts), _grown(first.accepted, last.accepted)
    per_pass = _share(accepted, drafts)
    configured = last.configured.get("enable_prefix_caching", "").lower()
    return {
        "engine_core": last.core,
        "mean_running": sum(running) / len(running) if running else None,
        "most_running": max(running, default=None),
        "mean_waiting": sum(waiting) / len(waiting) if waiting else None,
        "prefix_cache": {"true": True, "false": False}.get(configured),
        "prefix_cache_hits": hits if hits is not None else last.cache_hit_rate,
        "speculative": True if _grown(first.drafted, last.drafted) else None,
        # A pass writes one token of its own beside those that were guessed right.
        "speculative_accepted": 1 + per_pass if per_pass is not None else last.accept_length or None,
        "cache_dtype": last.configured.get("cache_dtype") or None,
    }


def written(seen: Sequence[EngineCounts]) -> float | None:
    """How many tokens the server wrote from the first to the last look, for whomever; None where it does not say."""
    return _grown(seen[0].written, seen[-1].written) if len(seen) > 1 else None


def _grown(before: float | None, after: float | None) -> float | None:
    """What was added; None where one is missing, or the server was started anew in between."""
    return None if before is None or after is None or after < before else after - before


def _share(part: float | None, of: float | None) -> float | None:
    return None if part is None or not of else part / of


# ------------------------------------------------------------------------------------------------- what SGLang says itself


def of_server_info(info: Mapping[str, Any]) -> dict[str, Setting | None]:
    """What SGLang's ``/get_server_info`` (``/server_info`` since 0.5) tells of how it was started, and what became of that."""
    algorithm = info.get("speculative_algorithm")
    off = info.get("disable_radix_cache")
    parts = [info.get(f"{part}_attention_backend") for part in ("prefill", "decode")]
    named = [one for one in parts if isinstance(one, str) and one]
    attention = info.get("attention_backend")
    return {
        "attention": ", ".join(dict.fromkeys(named)) if len(named) == 2 else _word(attention),
        "tensor_parallel": _whole(info.get("tp_size")),
        "pipeline_parallel": _whole(info.get("pp_size")),
        "data_parallel": _whole(info.get("dp_size")),
        "expert_parallel": _whole(info.get("ep_size")),
        "speculative": _word(algorithm) or (False if "speculative_algorithm" in info else None),
        "prefix_cache": not off if isinstance(off, bool) else None,
        "cache_dtype": _word(info.get("kv_cache_dtype")),
        "compiled": compiled if isinstance(compiled := info.get("enable_torch_compile"), bool) else None,
    }


def _word(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20 else None
