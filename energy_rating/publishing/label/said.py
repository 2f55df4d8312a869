"""All that a label says, in words, from the facts alone. Where it stands on the sheet is left to ``drawing``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import (
    JOULES_PER_WH,
    Estimate,
    duration,
    reaches_zero,
    significant,
    with_doubt,
)
from energy_rating.nouns.records import MEASURED, RUN, Rating
from energy_rating.publishing import runs, words
from energy_rating.publishing.facts import Facts, RatedAs
from energy_rating.publishing.links import MEANING, NO_LINKS, Links
from energy_rating.publishing.strangers import for_picture

NO_SEAL = "A self-declared rating, not a government or certification label."
HASH_DIGITS = 12
REVISION_DIGITS = 12
CHECK = "energy-rating verify FOLDER"

# What is to be seen at a glance of what a figure, or the stars, rest on.
BADGES: dict[RatedAs, str] = {
    "measured": "MEASURED",
    "estimated": "ESTIMATED",
    "normalised": "CONVERTED",
    "indicative": "OWN TEST ITEMS",
    "imported": "IMPORTED",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A label's words, made from facts. Nothing in here is escaped or shortened to its room."""

    facts: Facts
    links: Links = NO_LINKS
    beside: Mapping[str, int] = field(default_factory=dict)

    # -- what it is of

    @property
    def model(self) -> str:
        model = self.facts.record.model
        return for_picture(model.id) if model else "a model that is not named"

    @property
    def revision(self) -> str:
        model = self.facts.record.model
        revision = model.revision if model else None
        if not revision:
            return "not stated"
        # A commit by its first digits; a branch or a tag by its name.
        is_hash = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) is not None
        return revision[:REVISION_DIGITS] if is_hash else for_picture(revision, most=40)

    @property
    def task(self) -> str:
        record = self.facts.record
        name = for_picture(record.task.name) if record.task else record.stage
        return f"{name}, per {self.unit}" if self.unit else name

    @property
    def day(self) -> str:
        return for_picture(self.facts.record.created[:10])

    # -- the stars

    @property
    def rating(self) -> Rating | None:
        return self.facts.rating

    @property
    def rated_as(self) -> RatedAs | None:
        return self.facts.rated_as

    @property
    def could_be(self) -> str | None:
        return stars_it_could_be(self.rating)

    @property
    def verdict(self) -> str:
        """The stars in words: ``4 of 5 stars (could be 3–4)``."""
        rating = self.rating
        if rating is None or rating.stars is None:
            would_be = rating.would_be if rating is not None else None
            return "not rated" + (f" ({words.would_be(would_be)}; {words.NO_RATING})" if would_be else "")
        return f"{rating.stars} of {MOST_STARS} stars" + (f" ({self.could_be})" if self.could_be else "")

    def against(self) -> tuple[str, str] | None:
        """How the energy stands to that of the class, and within what it does with 95 % confidence."""
        rating = self.rating
        if rating is None or rating.stars is None or rating.index is None:
            return None
        low_high = rating.interval_95 or rating.index.interval()
        known = rating.index.sigma or rating.interval_95
        interval = f"95 % interval: {words.change_between(*low_high)}" if known else "doubt not stated"
        if rating.yardstick is not None:
            interval = f"which needs {for_picture(words.typical(rating.yardstick))}; {interval}"
        return words.against_typical(rating.index, rating.yardstick), interval

    def rests_on(self) -> Iterator[str]:
        """What the stars rest on, where that is not simply the measurement: a conversion, own items, few models."""
        rating = self.rating
        if self.facts.record.origin == "imported":
            yield for_picture(words.imported(self.facts.record), most=400)
        if rating is None or rating.stars is None:
            return
        if (which := runs.of_which(self.facts.record, self.beside)) is not None:
            yield for_picture(which)
        if rating.conversion is not None:
            yield for_picture(words.converted(rating.conversion), most=400)
        elif rating.basis == "normalised":
            yield "converted from another device"
        if rating.basis == "indicative":
            yield words.measured_on(rating.own)
        if rating.yardstick is not None and rating.yardstick.few:
            yield words.population(rating.yardstick)

    def reasons(self) -> tuple[str, ...]:
        return tuple(for_picture(reason.said, most=400) for reason in self.facts.reasons)

    # -- the energy

    @property
    def unit(self) -> str | None:
        figure = self.facts.figure
        return for_picture(figure.unit, most=24) if figure is not None and figure.unit else None

    @property
    def per(self) -> str:
        return f"per {self.unit}" if self.unit else "in all"

    @property
    def about(self) -> str:
        """The sign of what is not measured, before a figure that has a value."""
        figure = self.facts.figure
        return (
            "≈ " if self.facts.estimated and figure is not None and not reaches_zero(figure.energy_j) else ""
        )

    @property
    def shown(self) -> tuple[Estimate, str] | None:
        """The figure and its unit: joules per unit of work, watt-hours of a whole training."""
        figure = self.facts.figure
        if figure is None:
            return None
        if figure.unit is None and self.facts.total:
            return figure.energy_j.times(1 / JOULES_PER_WH), "Wh"
        return figure.energy_j, "J"

    @property
    def figure(self) -> str:
        """The energy in words: ``2.40 ± 0.20 J per request, graphics card (GPU) only, not carbon``."""
        figure = self.facts.figure
        if figure is None or self.shown is None:
            return "no energy was measured"
        told = "" if self.facts.origin == "measured" else f"{self.facts.origin} "
        text = f"{told}{with_doubt(*self.shown)} {self.per}"
        if self.facts.normalised_j is not None:
            text += (
                f" as measured, {with_doubt(self.facts.normalised_j, 'J')} converted to the reference device"
            )
        return f"{text}, {words.HOLDS[figure.component]}, {words.NOT_CARBON}"

    @property
    def head(self) -> str:
        """What stands above the figure."""
        figure = self.facts.figure
        if figure is None:
            return "Energy"
        if self.facts.total:
            return "Energy of the whole training"
        if figure.unit is None:
            return "Energy of the run"
        if figure.window == RUN:
            return f"Energy {self.per}, whole run"
        return f"Energy {self.per}" + (
            "" if figure.window == MEASURED else f", in {for_picture(figure.window, most=40)}"
        )

    def others(self) -> Iterator[str]:
        """The same energy in other units; and what the stars rest on, where that is another figure."""
        figure = self.facts.figure
        if figure is None:
            return
        if self.facts.normalised_j is not None:
            yield f"{with_doubt(self.facts.normalised_j, 'J')} {self.per}, converted: what is rated"
        if self.unit:
            yield f"{self._about(figure.energy_j)}{with_doubt(figure.energy_j.times(1000 / JOULES_PER_WH), 'Wh')} per 1,000 {words.plural(self.unit)}"
        elif self.facts.total:
            yield f"in {duration(figure.duration_s)}"
        else:
            yield f"{self._about(figure.energy_j)}{with_doubt(figure.energy_j.times(1 / JOULES_PER_WH), 'Wh')} {self.per}"
        window = (
            ""
            if figure.others_window in (figure.window, None)
            else f", in {for_picture(figure.others_window, most=40)}"
        )
        for unit, energy in figure.others[:8]:
            yield f"{self._about(energy)}{with_doubt(energy, 'J')} per {for_picture(unit, most=24)}{window}"
        if self.facts.rated is not None:
            energy, unit = self.facts.rated
            yield f"rated: {self._about(energy)}{with_doubt(energy, 'J')} per {_operation(unit)}"

    def _about(self, energy: Estimate) -> str:
        return "≈ " if self.facts.estimated and not reaches_zero(energy) else ""

    # -- the rows

    def rows(self) -> Iterator[tuple[str, str]]:
        yield "Task", self.task
        if (which := runs.in_full(self.facts.record, self.beside)) is not None:
            yield "Runs", for_picture(which, most=400)
        yield self.facts.origin.capitalize(), self.holds
        yield "Left out", self.left_out
        told = f", {self.power_limit}" if self.power_limit else ""
        yield "Hardware", f"{self.hardware}{told}{words.on_hosts(self.facts.record)}"
        yield "Software", self.software
        yield "Load", self.load
        yield "Compared", self.compared
        yield "Protocol", self.protocol
        yield "Date", f"{self.day}, self-declared"
        yield "Journal", self.journal
        yield "Stars", f"what they mean: {self.links.meaning or f'{MEANING} of energy-rating'}"
        yield (
            "Check",
            CHECK if self.facts.record.origin != "imported" else "not possible: there is no journal",
        )

    @property
    def holds(self) -> str:
        figure = self.facts.figure
        if figure is None:
            return "nothing"
        how = words.SENSED.get(figure.part.method or "", "")
        if figure.part.imported:
            how = "by a model, or not told" if figure.part.estimated else "from a sensor, by the other tool"
        return f"{words.HOLDS[figure.component]}{f', {how}' if how else ''}"

    @property
    def left_out(self) -> str:
        figure = self.facts.figure
        if figure is None:
            return "everything"
        parts = {part.component: part for part in self.facts.parts}
        others = [
            name
            + (" (an estimate is in the card)" if component in parts and parts[component].estimated else "")
            for component, name in words.LEAVES_OUT.items()
            if figure.component in words.LEAVES_OUT and component != figure.component
        ]
        return ", ".join([*others, "cooling (PUE)", "making the hardware"])

    @property
    def hardware(self) -> str:
        kinds = Counter(
            "device that is not named"
            if device is None
            else for_picture(device.name) + (" (a part of it, MIG)" if device.mig else "")
            for device in self.facts.devices
        )
        told = [f"{count} × {name}" for name, count in kinds.items()]
        return "; ".join(told[:4]) or "hardware that is not named"

    @property
    def power_limit(self) -> str | None:
        limits_w = [device.power_limit_w for device in self.facts.devices if device and device.power_limit_w]
        if not limits_w:
            return None
        ends = dict.fromkeys((plain(min(limits_w)), plain(max(limits_w))))
        return f"power limit {'–'.join(ends)} W"

    @property
    def software(self) -> str:
        software = self.facts.record.environment.software
        names = [name for name in _ENGINES if name in software]
        names = names or [name for name in software if name not in _INSTRUMENT]
        told = [f"{for_picture(name, most=24)} {for_picture(software[name], most=24)}" for name in names[:3]]
        drivers = dict.fromkeys(device.driver for device in self.facts.devices if device and device.driver)
        told += [f"driver {for_picture(driver, most=24)}" for driver in list(drivers)[:1]]
        return ", ".join(told) or "not stated"

    @property
    def load(self) -> str:
        record, told = self.facts.record, []
        load = record.load
        if load is not None:
            told += (
                [at_a_time(load.batch_size, load.concurrency)] if load.batch_size or load.concurrency else []
            )
            told += [f"{load.items:,} items"] if load.items is not None else []
            told += (
                [f"answers of at most {load.max_new_tokens:,} tokens"]
                if load.max_new_tokens is not None
                else []
            )
        if record.model and record.model.dtype:
            told.append(f"weights in {for_picture(record.model.dtype, most=24)}")
        return ", ".join(told) or "not stated"

    @property
    def compared(self) -> str:
        rating = self.rating
        if rating is None or rating.stars is None:
            return "with nothing, since it is not rated"
        if rating.yardstick is None:
            return f"with the class {for_picture(rating.class_)}" if rating.class_ else "not told"
        return for_picture(f"with {words.compared_with(rating.yardstick)}", most=400)

    @property
    def protocol(self) -> str:
        rating = self.rating
        parts = [
            for_picture(rating.protocol) if rating is not None and rating.protocol else "none named",
            f"scheme {for_picture(rating.scheme)}" if rating is not None and rating.scheme else None,
            f"class {for_picture(rating.class_)}" if rating is not None and rating.class_ else None,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def quality(self) -> str:
        quality = self.facts.record.quality
        told = [
            f"{for_picture(item.metric, most=40)} {plain(item.value)} ({for_picture(item.source, most=60)})"
            for item in quality[:2]
        ]
        if len(quality) > len(told):
            told.append(f"{len(quality) - len(told)} more in the card")
        return "; ".join(told) or "not stated"

    @property
    def journal(self) -> str:
        if self.facts.record.origin == "imported":
            return "none: taken over from another file"
        sha256 = for_picture(self.facts.record.provenance.journal_sha256[:HASH_DIGITS])
        return f"{self.links.journal or 'address not given'}; SHA-256 {sha256}…"

    # -- in whole sentences

    @property
    def sentence(self) -> str:
        """The facts that stand in for the picture."""
        start = (
            "Example, not a rating of anything real: energy rating" if self.facts.example else "Energy rating"
        )
        done = self.facts.origin if self.facts.figure is not None else "recorded"
        rests_on = "".join(f", {text}" for text in self.rests_on())
        rating = self.rating
        scheme = f", scheme {for_picture(rating.scheme)}" if rating is not None and rating.scheme else ""
        unchecked = f"; {self.facts.unchecked}" if self.facts.unchecked else ""
        return (
            f"{start} of {self.model}: {self.verdict}{rests_on}; {self.figure}; on {self.hardware}{scheme}, "
            f"{done} {self.day}{unchecked}"
        )

    @property
    def seal(self) -> str:
        if self.facts.unchecked:
            return f"{NO_SEAL} It was {self.facts.unchecked}."
        return f"{NO_SEAL} It says nothing of carbon. Whoever has its journal can make it again."

    @property
    def description(self) -> str:
        """All of it."""
        told = [self.sentence]
        if self.reasons():
            told.append(f"Reasons: {'; '.join(self.reasons())}")
        if (against := self.against()) is not None:
            told.append(f"Compared with its kind: {against[0]}; {against[1]}")
        told += [f"Also {figure}" for figure in self.others()]
        told += [f"{label}: {value}" for label, value in self.rows()]
        told += [f"Quality: {self.quality}", f"Revision: {self.revision}", self.seal]
        return " ".join(f"{text.rstrip('.')}." for text in told)


# What a workload may run in, before what it is built on. The rest of an environment is the instrument's own.
_ENGINES = ("vllm", "sglang", "llama.cpp", "xllamacpp", "diffusers", "transformers", "torch", "jax")
_INSTRUMENT = ("energy-rating", "pynvml", "codecarbon", "linux", "darwin", "windows", "numpy")


def at_a_time(batch_size: int | None, concurrency: int | None) -> str:
    """``one request at a time``; ``batches of 8``; ``4 batches of 8 at a time``."""
    batch, beside = batch_size or 1, concurrency or 1
    if batch == 1:
        return "one request at a time" if beside == 1 else f"{beside:,} requests at a time"
    return f"{batch:,} requests at a time" if beside == 1 else f"{beside:,} batches of {batch:,} at a time"


def stars_it_could_be(rating: Rating | None) -> str | None:
    if rating is None or rating.could_be is None or rating.could_be[0] == rating.could_be[1]:
        return None
    return f"could be {rating.could_be[0]}–{rating.could_be[1]}"


def plain(value: float, digits: int = 4) -> str:
    """A number to so many digits, without the zeros at its end; in powers of ten where it would be longer than a line."""
    if value and not 1e-6 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _operation(unit: str) -> str:
    return "floating-point operation" if unit == "flop" else for_picture(unit, most=24)
