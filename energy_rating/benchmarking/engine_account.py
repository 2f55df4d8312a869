"""What an engine says of how it ran, as one finding: what nobody asked for, and only it can tell. Asks none.

The names are those of the record's ``operating_point``: ``engine``, ``engine_version``, ``engine_core`` (vLLM's V0 or V1), ``attention``,
``compiled``, ``tensor_parallel``, ``pipeline_parallel``, ``data_parallel``, ``expert_parallel``, ``speculative`` (the method, or false),
``speculative_accepted`` (tokens that one pass of the model wrote, on average), ``prefix_cache``, ``prefix_cache_hits`` (share of the
prompts' tokens), ``cache_dtype``, ``mean_running`` and ``most_running`` (requests that were computed at once, as the engine counted them,
not as they were sent), ``mean_waiting``. What it does not tell is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from energy_rating.judging.operating_point import OPERATING_POINT
from energy_rating.nouns.entries import LONGEST_WORD
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import Finding, Setting

MEANS = ("mean_running", "mean_waiting", "prefix_cache_hits", "speculative_accepted")
MOST = "most_running"

# Told in the sentence, in this order; the others stand in the data alone.
_SAID: Mapping[str, str] = {
    "attention": "attention {}",
    "tensor_parallel": "tensor parallelism {}",
    "pipeline_parallel": "pipeline parallelism {}",
    "data_parallel": "data parallelism {}",
    "expert_parallel": "expert parallelism {}",
    "speculative": "speculative decoding {}",
    "prefix_cache": "prefix cache {}",
}


def account(told: Mapping[str, Setting | None]) -> Finding | None:
    """The finding with what an engine told; None where that is nothing."""
    data = {name: value for name, value in told.items() if value is not None and _fits(value)}
    if not data:
        return None
    words = [
        " ".join(str(data[name]) for name in ("engine", "engine_version", "engine_core") if name in data)
    ]
    words += [text.format(_word(data[name])) for name, text in _SAID.items() if name in data]
    if "mean_running" in data:
        words.append(f"{_word(data['mean_running'])} requests at once on average")
    return Finding.of(
        OPERATING_POINT, f"the engine says how it ran: {', '.join(word for word in words if word)}", data=data
    )


class Account:
    """What an engine told over all that it was asked to do: of what is a mean, the mean over the repeats; of the rest the last."""

    def __init__(self) -> None:
        self._told: dict[str, Setting] = {}
        self._over: dict[str, list[float]] = {}

    def hear(self, told: Mapping[str, Setting], *, counts: bool) -> None:
        """``counts``: it is of a repeat, and not of warming up, whose numbers of requests say nothing."""
        for name, value in told.items():
            if name not in MEANS and name != MOST:
                self._told[name] = value
            elif counts and not isinstance(value, str):
                self._over.setdefault(name, []).append(float(value))

    def finding(self) -> Finding | None:
        """All of it; None where nothing was told."""
        means = {
            name: _short(max(several) if name == MOST else sum(several) / len(several))
            for name, several in self._over.items()
        }
        return account({**self._told, **means})


def _short(value: float) -> float:
    """Four digits: more would say more than a count once a second knows."""
    return float(f"{value:.4g}")


def _fits(value: Setting) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST_WORD and value.isprintable() and value == value.strip()
    return math.isfinite(value)


def _word(value: Setting) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return significant(value, 3) if isinstance(value, float) else str(value)
