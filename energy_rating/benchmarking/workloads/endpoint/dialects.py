"""How servers differ in what they call things. Talks to none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What one kind of server understands, beyond what all do. ``name`` empty: nobody knows which it is.

    ``uncached``: what is sent so that no prompt is answered from a cache; ``salted``: a salt of its own with each request does
    that. ``least``: it can be told how many tokens there must be; ``exactly``: it can be told not to end by itself. ``thinks``:
    how it is told to think or not to. ``cuts``: it can cut inputs. ``fills``: it takes what comes after (a suffix).
    ``metrics``: it counts about itself (``/metrics``). ``cache_off``: how its cache is switched off when it is started.
    """

    name: str = ""
    uncached: Mapping[str, object] = field(default_factory=dict)
    salted: bool = False
    least: bool = False
    exactly: bool = False
    thinks: Literal["template", "effort"] | None = None
    cuts: bool = False
    fills: bool = False
    metrics: bool = False
    cache_off: str = "See how the server's prompt cache is switched off"


VLLM = Dialect(
    name="vLLM",
    salted=True,
    least=True,
    exactly=True,
    thinks="template",
    cuts=True,
    metrics=True,
    cache_off="Start vLLM with --no-enable-prefix-caching",
)
SGLANG = Dialect(
    name="SGLang",
    salted=True,
    least=True,
    exactly=True,
    thinks="template",
    fills=True,
    metrics=True,
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
