"""All that a label of 0.1.0 says, in words. Where it stands on the sheet is left to ``drawing``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import JOULES_PER_WH, Estimate, significant
from energy_rating.nouns.records import Component, Rating
from energy_rating.publishing.first_release import words
from energy_rating.publishing.strangers import for_picture

Origin = Literal["measured", "normalised", "indicative", "estimated"]
NO_SEAL = "A self-declared rating, not a government or certification label."
RECOMPUTE = "It can be recomputed from its journal."


# ------------------------------------------------------------------------------------------------------------ facts


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstFacts:
    """All that a label says, cleaned and in words; nothing here is escaped or shortened to its room."""

    rating: Rating
    example: bool
    model: str
    revision: str | None
    task: str
    window: str | None
    component: Component | None
    origin: Origin | None
    energy: Estimate | None
    unit: str | None
    beside: tuple[tuple[str, Estimate], ...]
    normalised: (
        Estimate | None
    )  # what is rated where the hardware that is named is not the reference; never the headline
    quality: str
    boundary: str
    hardware: str
    power_limit: str | None
    software: str
    load: str
    day: str
    journal: str

    @property
    def verdict(self) -> str:
        """The stars in words: ``4 of 5 stars (could be 3–4)``."""
        if self.rating.stars is None:
            would_be = self.rating.would_be
            return "not rated" + (f" ({words.would_be(would_be)}; {words.NO_RATING})" if would_be else "")
        doubt = stars_it_could_be(self.rating)
        return f"{self.rating.stars} of {MOST_STARS} stars" + (f" ({doubt})" if doubt else "")

    @property
    def figure(self) -> str:
        """The energy in words: ``2.40 ± 0.20 J per request``."""
        if self.energy is None:
            return "no energy was measured"
        told = "" if self.origin in ("measured", "normalised") else f"{self.origin} "
        whose = f" ({COMPONENTS[self.component]})" if self.component not in (None, "gpu") else ""
        text = f"{told}{words.with_doubt(self.energy, 'J')} {self.per}{whose}"
        if self.normalised is not None:
            text += (
                f" as measured, {words.with_doubt(self.normalised, 'J')} normalised to the reference device"
            )
        return text

    @property
    def per(self) -> str:
        return f"per {self.unit}" if self.unit else "in all"

    @property
    def about(self) -> str:
        """The sign of what is not measured, before a figure."""
        return "≈ " if self.origin == "estimated" else ""

    @property
    def scheme(self) -> str:
        parts = [
            for_picture(self.rating.scheme),
            self.rating.status,
            self.origin if self.rating.basis else None,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def protocol(self) -> str:
        parts = [
            for_picture(self.rating.protocol) if self.rating.protocol else "none named",
            f"class {for_picture(self.rating.class_)}" if self.rating.class_ else None,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def sentence(self) -> str:
        """The facts that stand in for the picture."""
        status = f", {self.rating.status}" if self.rating.status else ""
        start = "Example, not a rating of anything real: energy rating" if self.example else "Energy rating"
        done = "estimated" if self.origin == "estimated" else "measured" if self.energy else "recorded"
        scheme = f", scheme {for_picture(self.rating.scheme)}" if self.rating.scheme else ""
        return (
            f"{start} of {self.model}: {self.verdict}{status}; {self.figure} on {self.hardware}{scheme}, "
            f"{done} {self.day}"
        )

    @property
    def seal(self) -> str:
        return f"{NO_SEAL} {RECOMPUTE}"

    @property
    def description(self) -> str:
        """All facts."""
        facts = [self.sentence]
        if self.rating.reasons:
            facts.append(
                "Reasons: " + "; ".join(for_picture(reason, most=400) for reason in self.rating.reasons)
            )
        if self.rating.stars is not None and self.rating.index is not None:
            facts.append(f"Index: {in_words(self.rating.index)}, {interval_in_words(self.rating)}")
        facts += [f"Also {figure}" for figure in self.others()]
        facts += [f"{label}: {value}" for label, value in self.rows()]
        facts += [f"Quality: {self.quality}", f"Revision: {self.revision or 'not stated'}", self.seal]
        return " ".join(f"{fact.rstrip('.')}." for fact in facts)

    def others(self) -> Iterator[str]:
        """The same energy in other units."""
        if self.energy is None:
            return
        if self.normalised is not None:
            yield f"{words.with_doubt(self.normalised, 'J')} {self.per} normalised to the reference"
        if self.unit:
            yield f"{self.about}{words.with_doubt(self.energy.times(1000 / JOULES_PER_WH), 'Wh')} per 1,000 {_plural(self.unit)}"
        else:
            yield f"{self.about}{words.with_doubt(self.energy.times(1 / JOULES_PER_WH), 'Wh')} {self.per}"
        for unit, energy in self.beside:
            yield f"{self.about}{words.with_doubt(energy, 'J')} per {unit}"

    def rows(self) -> Iterator[tuple[str, str]]:
        yield "Task", self.task
        yield "Boundary", self.boundary
        yield "Hardware", self.hardware + (f", {self.power_limit}" if self.power_limit else "")
        yield "Software", self.software
        yield "Load", self.load
        yield "Protocol", self.protocol
        yield "Scheme", self.scheme
        yield "Date", f"{self.day}, self-declared"
        yield "Journal", f"{self.journal} (SHA-256)"


COMPONENTS: Mapping[Component, str] = {
    "gpu": "GPU only",
    "cpu": "CPU only",
    "dram": "RAM only",
    "module": "whole module",
    "host": "whole host",
    "wall": "at the wall plug",
}


def stars_it_could_be(rating: Rating) -> str | None:
    if rating.could_be is None or rating.could_be[0] == rating.could_be[1]:
        return None
    return f"could be {rating.could_be[0]}–{rating.could_be[1]}"


def in_words(index: Estimate) -> str:
    """``0.60 of the reference: 40 % less energy``."""
    if index.value >= 10:
        return f"{_share(index.value)} times the reference energy"
    return f"{_share(index.value)} of the reference: {words.change(index.value)}"


def interval_in_words(rating: Rating) -> str:
    index = rating.index
    if index is None or not index.sigma:
        return "doubt not stated"
    low, high = rating.interval_95 or index.interval()
    return f"95 % interval {_share(max(low, 0.0))} to {_share(high)}"


def _share(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 10 else plain(value, 3)


# ---------------------------------------------------------------------------------------------------------- figures


def plain(value: float, digits: int = 4) -> str:
    """A number to so many digits, without the zeros at its end; in powers of ten where it would be longer than a line."""
    if value and not 1e-6 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plural(unit: str) -> str:
    return f"{unit[:-1]}ies" if re.search("[^aeiou]y$", unit) else f"{unit}s"
