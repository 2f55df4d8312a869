"""Sees when the first token of an answer comes, and ends the answer where it is to end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from energy_rating.measuring.queues import drain_queues

# ------------------------------------------------------------------------------------------------- watching a generation


class _Watch:
    """When the first logits were there, and what was written, seen from within the library's loop. Reads no device while it runs."""

    def __init__(self, torch: Any, most: Sequence[int], ends: Sequence[int]) -> None:
        self._torch = torch
        self._most = most
        self._ends = frozenset(ends)
        self._limits: Any = None
        self._prompt = 0
        self._last: Any = None
        self.first_s = 0.0
        self.scores: Any = None
        self.tokens: Any = None

    def scored(self, input_ids: Any, scores: Any) -> Any:
        """Called with the logits of each step: the first time the prefill is over."""
        if self._limits is None:
            drain_queues()
            self.first_s = time.monotonic()
            self._prompt = input_ids.shape[1]
            self._limits = self._torch.tensor(self._most, device=input_ids.device)
        return scores

    def written(self, input_ids: Any) -> Any:
        """Called with all tokens after each step: which rows have as many as they may."""
        self._last = input_ids
        return self._limits <= input_ids.shape[1] - self._prompt

    def counted(self) -> tuple[list[int], list[list[int]]]:
        """Of each row how many tokens were written, up to the first end mark and with it, and those tokens."""
        if self._last is None:
            return [], []
        rows = []
        for row, most in zip(self._last[:, self._prompt :].tolist(), self._most, strict=True):
            row = row[:most]
            end = next((place for place, token in enumerate(row) if token in self._ends), len(row) - 1)
            rows.append(row[: end + 1])
        return [len(row) for row in rows], rows


def watch_for(torch: Any, most: Sequence[int], ends: Sequence[int]) -> _Watch:
    """A watch with the two objects that the library calls, of its own kinds."""
    from transformers import LogitsProcessor, StoppingCriteria

    watch = _Watch(torch, most, ends)

    class Scores(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return watch.scored(input_ids, scores)

    class Tokens(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
            return watch.written(input_ids)

    watch.scores, watch.tokens = Scores(), Tokens()
    return watch


def end_tokens(ids: Any) -> list[int]:
    if ids is None:
        return []
    return [int(one) for one in ids] if isinstance(ids, list | tuple) else [int(ids)]
