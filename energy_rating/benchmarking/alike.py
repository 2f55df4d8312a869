"""What only many answers together show: that a cache answers, that one text answers everything, that several models do. Pure.

A cache of whole answers costs nothing, and each item of a benchmark is asked many times. A server that has lost its engine, and says so in words to whoever asks, is
as cheap. Neither shows in any single answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from energy_rating.nouns.records import Finding

# Of so many different questions. Our choice.
FEWEST = 5

# The second time so much faster than the first: ten times is more than what a prefix cache, a warm cache of the processor or higher clocks do. What is
# compiled anew for each length of a prompt does it too.
FASTER = 0.1

MOST_NAMES = 8


@dataclass(kw_only=True, slots=True)
class _Question:
    first_s: float
    later_s: list[float] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class AllAnswers:
    """The answers so far: how long each question took the first time and later, which texts came, and which models the server named."""

    _questions: dict[int, _Question] = field(default_factory=dict)
    _texts: set[int] = field(default_factory=set)
    _models: dict[str, None] = field(default_factory=dict)

    def note(self, *, question: int, text: int | None, took_s: float, model: str) -> None:
        """One answer. ``question`` and ``text`` are any numbers that differ where those do; ``model``: as the server calls it, empty where it does not."""
        known = self._questions.get(question)
        if known is None:
            self._questions[question] = _Question(first_s=took_s)
        else:
            known.later_s.append(took_s)
        if text is not None and len(self._texts) < FEWEST:
            self._texts.add(text)
        if model and len(self._models) < MOST_NAMES:
            self._models[model] = None

    def findings(self) -> Iterator[Finding]:
        """What is to be said of them."""
        again = [one for one in self._questions.values() if one.later_s]
        if len(again) >= FEWEST:
            first_s = median(one.first_s for one in again)
            later_s = median(median(one.later_s) for one in again)
            if later_s < FASTER * first_s:
                yield Finding.of(
                    "answers-from-a-cache",
                    f"asked for the first time, an item took {first_s:.3g} s, and {later_s:.3g} s when it was asked again: a cache may have answered",
                )
        if len(self._questions) >= FEWEST and len(self._texts) == 1:
            yield Finding.of(
                "answers-alike",
                f"all {len(self._questions)} different items were answered with the same text: nothing shows that a model has read them",
            )
        if len(self._models) > 1:
            names = ", ".join(repr(name[:80]) for name in self._models)
            yield Finding.of("several-models", f"the answers were given by several models: {names}")
