"""A rating as a label: one picture that can stand alone, as SVG, as PNG, and in words for who cannot see it.

A label states what it rests on: stars and the doubt of them, energy with its interval, boundary, hardware, software, load, protocol,
scheme, day, and the journal that it can be recomputed from. Measured, normalised and estimated figures differ in form, not only in
word; nothing is told by colour alone. Names are strangers' text: cleaned, measured, shortened to the room, and escaped.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from energy_rating.judging.profiles import is_example
from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import (
    JOULES_PER_WH,
    NEXT_TO_NO_DOUBT,
    Estimate,
    reaches_zero,
    significant,
    with_doubt,
    with_doubt_in_parts,
)
from energy_rating.nouns.records import (
    MEASURED,
    RUN,
    TRAINING,
    Component,
    Device,
    Measurement,
    Method,
    Rating,
    Record,
    WouldBe,
    worst_method,
)
from energy_rating.publishers import words
from energy_rating.publishers.strangers import for_picture
from energy_rating.publishing.facts import headline, lead, units

Origin = Literal["measured", "normalised", "indicative", "estimated"]
Point = tuple[float, float]

WIDTH_PX = 400
MARGIN_PX = 24
ROOM_PX = WIDTH_PX - 2 * MARGIN_PX
NARROWEST_PX, WIDEST_PX = 100, 4000  # of a PNG
SHADED_OTHERWISE = 0.2  # of the way from black to white

# One dark blue and greys: on white and on the panel all text has a contrast of 6:1 or more (WCAG 2.2, 1.4.3 asks for 4.5:1).
BLUE, INK, QUIET_INK = "#12305a", "#16202e", "#465264"
PAPER, PANEL, RULE, HATCH = "#ffffff", "#edf1f7", "#c3ccd9", "#d8dee7"

# The DejaVu fonts come with matplotlib and are the same everywhere. Verdana, which most machines have, is as wide.
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
FAMILIES = "'DejaVu Sans', Verdana, Geneva, sans-serif"

MOST_REASONS = 3
HASH_DIGITS = 12
REVISION_DIGITS = 12

NO_SEAL = "A self-declared rating, not a government or certification label."
RECOMPUTE = "It can be recomputed from its journal."


def svg(record: Record, rating: Rating) -> str:
    """The label of a record under a rating, as an SVG document that needs nothing else."""
    return _draw(_facts(record, rating))


def png(record: Record, rating: Rating, *, width_px: int = 2 * WIDTH_PX) -> bytes:
    """The same label as a PNG of this width, in pixels; by default for a screen of double density.

    Raises:
        BadInput: the width is not from 100 to 4000 pixels.
    """
    if not NARROWEST_PX <= width_px <= WIDEST_PX:
        raise BadInput(
            f"a label of {width_px} pixels", f"Take {NARROWEST_PX} to {WIDEST_PX}", place="width_px"
        )
    import resvg_py

    # Without a font it would draw no text at all, and a system's own would make another picture on every machine.
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg(record, rating),
            skip_system_fonts=True,
            font_files=[str(_font_folder() / name) for name in FONTS],
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
            width=width_px,
        )
    )


def png_width(content: bytes) -> int | None:
    """The width of a PNG in pixels, from its header; None if it has none (RFC 2083, 3.2 and 4.1.1)."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 24:
        return None
    return int.from_bytes(content[16:20], "big")


def looks_like(content: bytes, drawn: bytes) -> bool:
    """Whether two PNG show the same picture. Another version of the renderer may shade an edge a little otherwise.

    A digit that was exchanged changes some pixels from paper to ink; what an edge is shaded by is a small part of that.
    """
    # Of one size by their headers, before anything is unpacked: a few bytes can say that they are gigabytes.
    if content == drawn or content[:24] != drawn[:24]:
        return content == drawn
    import io

    import numpy
    from matplotlib.image import imread

    try:
        one, other = (numpy.asarray(imread(io.BytesIO(item), format="png")) for item in (content, drawn))
    except (ValueError, SyntaxError, OSError, EOFError):
        return False  # it calls itself a PNG and is none
    return one.shape == other.shape and bool(numpy.abs(one - other).max(initial=0.0) <= SHADED_OTHERWISE)


def alt(record: Record, rating: Rating | None) -> str:
    """The label in one sentence of plain text: what stands in for the picture. To be escaped where it is put."""
    return _facts(record, rating or _UNRATED).sentence


# What has not been rated, under whatever scheme.
_UNRATED = Rating(
    stars=None,
    could_be=None,
    index=None,
    energy_per_unit_j=None,
    unit=None,
    basis=None,
    status=None,
    scheme="",
    class_=None,
    protocol=None,
)


# ------------------------------------------------------------------------------------------------------------ facts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
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
    unchecked: str

    @property
    def verdict(self) -> str:
        """The stars in words: ``4 of 5 stars (could be 3–4)``."""
        if self.rating.stars is None:
            would_be = self.rating.would_be
            return "not rated" + (f" ({words.would_be(would_be)}; {words.NO_RATING})" if would_be else "")
        doubt = _could_be(self.rating)
        return f"{self.rating.stars} of {MOST_STARS} stars" + (f" ({doubt})" if doubt else "")

    @property
    def figure(self) -> str:
        """The energy in words: ``2.40 ± 0.20 J per request``."""
        if self.energy is None:
            return "no energy was measured"
        told = "" if self.origin in ("measured", "normalised") else f"{self.origin} "
        whose = f" ({_COMPONENTS[self.component]})" if self.component not in (None, "gpu") else ""
        text = f"{told}{with_doubt(self.energy, 'J')} {self.per}{whose}"
        if self.normalised is not None:
            text += f" as measured, {with_doubt(self.normalised, 'J')} normalised to the reference device"
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
            f"{done} {self.day}" + (f"; {self.unchecked}" if self.unchecked else "")
        )

    @property
    def seal(self) -> str:
        return f"{NO_SEAL} It was {self.unchecked}." if self.unchecked else f"{NO_SEAL} {RECOMPUTE}"

    @property
    def description(self) -> str:
        """All facts."""
        facts = [self.sentence]
        if self.rating.reasons:
            facts.append(
                "Reasons: " + "; ".join(for_picture(reason, most=400) for reason in self.rating.reasons)
            )
        if self.rating.stars is not None and self.rating.index is not None:
            facts.append(f"Index: {_in_words(self.rating.index)}, {_interval(self.rating)}")
        facts += [f"Also {figure}" for figure in self.others()]
        facts += [f"{label}: {value}" for label, value in self.rows()]
        facts += [f"Quality: {self.quality}", f"Revision: {self.revision or 'not stated'}", self.seal]
        return " ".join(f"{fact.rstrip('.')}." for fact in facts)

    def others(self) -> Iterator[str]:
        """The same energy in other units."""
        if self.energy is None:
            return
        if self.normalised is not None:
            yield f"{with_doubt(self.normalised, 'J')} {self.per} normalised to the reference"
        if self.unit:
            yield f"{self.about}{with_doubt(self.energy.times(1000 / JOULES_PER_WH), 'Wh')} per 1,000 {_plural(self.unit)}"
        else:
            yield f"{self.about}{with_doubt(self.energy.times(1 / JOULES_PER_WH), 'Wh')} {self.per}"
        for unit, energy in self.beside:
            yield f"{self.about}{with_doubt(energy, 'J')} per {unit}"

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


def _facts(record: Record, rating: Rating) -> _Facts:
    # Of training the run is rated, wherever in it the work was counted.
    of_run = record.stage in TRAINING and RUN in record and rating.energy_per_unit_j is not None
    measurement = record[RUN] if of_run else headline(record)
    component = _component(measurement, rating)
    unit = _unit(record, rating, measurement)
    own = None
    if measurement is not None and component is not None:
        own = measurement.energy_j[component]
        amount = measurement.work.get(unit or "")
        own = own.times(1 / amount) if amount else None if unit else own
    # What was measured is the headline, whatever it was normalised to for the stars.
    normalised = rating.energy_per_unit_j if rating.basis == "normalised" and own is not None else None
    energy = own if normalised is not None else rating.energy_per_unit_j or own
    return _Facts(
        rating=rating,
        example=is_example(record),
        model=for_picture(record.model.id) if record.model else "a model that is not named",
        revision=_revision(record),
        task=_task(record, unit),
        window=for_picture(measurement.name, most=40) if measurement is not None else None,
        component=component,
        origin=_origin(record, rating, measurement, component) if energy is not None else None,
        energy=energy,
        unit=for_picture(unit, most=24) if unit else None,
        normalised=normalised,
        beside=tuple(_beside(measurement, unit, energy)),
        quality=_quality(record),
        boundary=_boundary(record, measurement, component),
        hardware=_hardware(record, measurement, component),
        power_limit=_power_limit(record, measurement, component),
        software=_software(record, measurement, component),
        load=_load(record),
        day=for_picture(record.created[:10]),
        journal=for_picture(record.provenance.journal_sha256[:HASH_DIGITS]),
        unchecked=words.unchecked(record),
    )


def _component(measurement: Measurement | None, rating: Rating) -> Component | None:
    """Whose energy is shown: the component that was rated, by its figure; else the one that is told first."""
    if measurement is None or not measurement.energy_j:
        return None
    had: list[Component] = [name for name in _COMPONENTS if name in measurement.energy_j]
    amount = measurement.work.get(rating.unit or "")
    if amount and rating.energy_per_unit_j is not None:
        for name in had:
            each = measurement.energy_j[name].value / amount
            if math.isclose(each, rating.energy_per_unit_j.value, rel_tol=1e-9):
                return name
    return lead(measurement)


def _unit(record: Record, rating: Rating, measurement: Measurement | None) -> str | None:
    if rating.energy_per_unit_j is not None:
        return rating.unit
    made = units(measurement) if measurement is not None else ()
    wanted = (rating.unit, record.task.unit if record.task else None, *made)
    return next((unit for unit in wanted if unit in made), None)


def _origin(
    record: Record, rating: Rating, measurement: Measurement | None, component: Component | None
) -> Origin:
    if measurement and component and _method(record, measurement, component) == "model":
        return "estimated"
    return "indicative" if is_example(record) else rating.basis or "measured"


def _beside(
    measurement: Measurement | None, unit: str | None, energy: Estimate | None
) -> Iterator[tuple[str, Estimate]]:
    """The energy per token, image and so on, beside that per unit."""
    if measurement is None or energy is None or not unit or not measurement.work.get(unit):
        return
    for other in units(measurement)[:8]:
        if other != unit:
            per = measurement.work[unit] / measurement.work[other]
            yield for_picture(other, most=24), energy.times(per)


def _revision(record: Record) -> str | None:
    revision = record.model.revision if record.model else None
    if not revision:
        return None
    # A commit by its first digits; a branch or a tag by its name.
    is_hash = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) is not None
    return revision[:REVISION_DIGITS] if is_hash else for_picture(revision, most=40)


def _task(record: Record, unit: str | None) -> str:
    name = for_picture(record.task.name) if record.task else record.stage
    return f"{name}, per {for_picture(unit, most=24)}" if unit else name


_COMPONENTS: Mapping[Component, str] = {
    "gpu": "GPU only",
    "cpu": "CPU only",
    "dram": "RAM only",
    "module": "whole module",
    "host": "whole host",
    "wall": "at the wall plug",
}
_PARTS: Mapping[Component, str] = {"gpu": "GPU", "cpu": "CPU", "dram": "RAM"}
_HOW = {"counter": "by energy counter", "power": "by power readings", "model": "estimated by a model"}


def _boundary(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    """What the figure holds and how it was had, and what it leaves out."""
    if measurement is None or component is None:
        return "nothing was measured"
    how = _method(record, measurement, component)
    left_out = [
        part + (" (estimated)" if _method(record, measurement, name) == "model" else "")
        for name, part in _PARTS.items()
        if component in _PARTS and name != component
    ]
    told = f", {_HOW[how]}" if how else ""
    return f"{_COMPONENTS[component]}{told}; not in it: {', '.join([*left_out, 'cooling (PUE)'])}"


def _method(record: Record, measurement: Measurement, component: Component) -> Method | None:
    """How the component's energy was had: the least direct of the ways."""
    methods = [
        channel.method
        for channel in record.channels
        if channel.component == component and channel.id in measurement.energy_by_channel_j
    ]
    if component in measurement.methods:
        methods.append(measurement.methods[component])
    return worst_method(methods)


def _devices(
    record: Record, measurement: Measurement | None, component: Component | None
) -> list[Device | None]:
    """The devices that the shown energy came from; None for one that the record does not describe."""
    if measurement is None or component is None:
        return list(record.environment.devices)
    by_id = {device.id: device for device in record.environment.devices}
    used = dict.fromkeys(
        channel.device
        for channel in record.channels
        if channel.component == component and channel.id in measurement.energy_by_channel_j
    )
    return [by_id.get(name) for name in used]


def _hardware(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    kinds = Counter(
        "device that is not named"
        if device is None
        else for_picture(device.name) + (" (a part of it, MIG)" if device.mig else "")
        for device in _devices(record, measurement, component)
    )
    told = [f"{count} × {name}" for name, count in kinds.items()]
    return "; ".join(told[:4]) or "hardware that is not named"


def _power_limit(record: Record, measurement: Measurement | None, component: Component | None) -> str | None:
    devices = _devices(record, measurement, component)
    limits_w = [device.power_limit_w for device in devices if device and device.power_limit_w]
    if not limits_w:
        return None
    ends = dict.fromkeys((_plain(min(limits_w)), _plain(max(limits_w))))
    return f"power limit {'–'.join(ends)} W"


# What a workload may run in, before what it is built on. The rest of an environment is the instrument's own.
_ENGINES = ("vllm", "sglang", "llama.cpp", "xllamacpp", "diffusers", "transformers", "torch", "jax")
_INSTRUMENT = ("energy-rating", "pynvml", "codecarbon", "linux", "darwin", "windows", "numpy")


def _software(record: Record, measurement: Measurement | None, component: Component | None) -> str:
    software = record.environment.software
    names = [name for name in _ENGINES if name in software]
    names = names or [name for name in software if name not in _INSTRUMENT]
    told = [f"{for_picture(name, most=24)} {for_picture(software[name], most=24)}" for name in names[:3]]
    devices = _devices(record, measurement, component)
    drivers = dict.fromkeys(device.driver for device in devices if device and device.driver)
    told += [f"driver {for_picture(driver, most=24)}" for driver in list(drivers)[:1]]
    return ", ".join(told) or "not stated"


def _load(record: Record) -> str:
    load, told = record.load, []
    if record.model and record.model.dtype:
        told.append(for_picture(record.model.dtype, most=24))
    if load is not None:
        told += [f"batch {load.batch_size:,}"] if load.batch_size is not None else []
        told += [f"concurrency {load.concurrency:,}"] if load.concurrency is not None else []
        told += [f"{load.items:,} items"] if load.items is not None else []
        told += [f"at most {load.max_new_tokens:,} new tokens"] if load.max_new_tokens is not None else []
    return ", ".join(told) or "not stated"


def _quality(record: Record) -> str:
    told = [
        f"{for_picture(item.metric, most=40)} {_plain(item.value)} ({for_picture(item.source, most=60)})"
        for item in record.quality[:2]
    ]
    if len(record.quality) > len(told):
        told.append(f"{len(record.quality) - len(told)} more in the card")
    return "; ".join(told) or "not stated"


def _could_be(rating: Rating) -> str | None:
    if rating.could_be is None or rating.could_be[0] == rating.could_be[1]:
        return None
    return f"could be {rating.could_be[0]}–{rating.could_be[1]}"


def _in_words(index: Estimate) -> str:
    """``0.60 of the reference: 40 % less energy``."""
    if index.value >= 10:
        return f"{_share(index.value)} times the reference energy"
    return f"{_share(index.value)} of the reference: {words.change(index.value)}"


def _interval(rating: Rating) -> str:
    index = rating.index
    if index is None or not index.sigma:
        return "doubt not stated"
    low, high = rating.interval_95 or index.interval()
    return f"95 % interval {_share(max(low, 0.0))} to {_share(high)}"


def _share(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 10 else _plain(value, 3)


# ---------------------------------------------------------------------------------------------------------- figures


def _plain(value: float, digits: int = 4) -> str:
    """A number to so many digits, without the zeros at its end; in powers of ten where it would be longer than a line."""
    if value and not 1e-6 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plural(unit: str) -> str:
    return f"{unit[:-1]}ies" if re.search("[^aeiou]y$", unit) else f"{unit}s"


# ---------------------------------------------------------------------------------------------------------- drawing


def _draw(facts: _Facts) -> str:
    sheet = _Sheet()
    _draw_head(sheet, facts)
    _draw_name(sheet, facts)
    if facts.rating.stars is None:
        _draw_reasons(sheet, facts.rating)
    else:
        _draw_stars(sheet, facts)
    _draw_energy(sheet, facts)
    _draw_rows(sheet, facts)
    sheet.rule()
    sheet.move(16)
    for line in sheet.letters.wrapped(facts.seal, size=10.5, room=ROOM_PX, most=3):
        sheet.text(MARGIN_PX, line, size=10.5, colour=QUIET_INK)
        sheet.move(14)
    sheet.move(4)
    return sheet.document(
        title=f"Energy rating of {facts.model}", description=facts.description, example=facts.example
    )


def _draw_head(sheet: _Sheet, facts: _Facts) -> None:
    sheet.shape(f"M0.75 64V12.75a12 12 0 0 1 12-12H{WIDTH_PX - 12.75}a12 12 0 0 1 12 12V64Z", fill=BLUE)
    right = WIDTH_PX - MARGIN_PX
    sheet.y = 41
    sheet.text(MARGIN_PX, "Energy rating", size=24, bold=True, colour=PAPER, room=210)
    sheet.y = 29 if facts.rating.status else 38
    sheet.text(
        right, f"scheme {for_picture(facts.rating.scheme)}", size=11, colour=PAPER, across="end", room=150
    )
    if facts.rating.status:
        width = sheet.letters.width(facts.rating.status, size=11, bold=True) + 16
        sheet.box(right - width, 36, width, 18, stroke=PAPER, round_px=9)
        sheet.y = 49
        sheet.text(right - 8, facts.rating.status, size=11, bold=True, colour=PAPER, across="end")
    sheet.y = 64
    if facts.example:
        sheet.box(0.75, 64, WIDTH_PX - 1.5, 26, fill=INK)
        sheet.y = 82
        sheet.text(WIDTH_PX / 2, words.EXAMPLE, size=13, bold=True, colour=PAPER, across="middle")
        sheet.y = 90


def _draw_name(sheet: _Sheet, facts: _Facts) -> None:
    sheet.move(28)
    # In one line if that is possible; a long name is set smaller before it is cut.
    for size, most in ((17.0, 1), (14.5, 1), (17.0, 2), (13.0, 3)):
        lines = sheet.letters.wrapped(facts.model, size=size, room=ROOM_PX, most=most, bold=True)
        if not lines[-1].endswith("…"):
            break
    for number, line in enumerate(lines):
        sheet.move(size + 4 if number else 0)
        sheet.text(MARGIN_PX, line, size=size, bold=True)
    sheet.move(18)
    revision = f"revision {facts.revision}" if facts.revision else "revision not stated"
    sheet.text(MARGIN_PX, revision, size=11.5, colour=QUIET_INK)
    sheet.move(16)
    sheet.text(MARGIN_PX, facts.task, size=11.5, colour=QUIET_INK)


STAR_PX, STAR_STEP_PX = 27.0, 64.0


def _draw_stars(sheet: _Sheet, facts: _Facts) -> None:
    rating = facts.rating
    sheet.move(44)
    centres = [WIDTH_PX / 2 + (number - 2) * STAR_STEP_PX for number in range(MOST_STARS)]
    for number, x in enumerate(centres, start=1):
        _draw_star(sheet, x, sheet.y, facts.origin if number <= (rating.stars or 0) else None)
    doubt = _could_be(rating)
    sheet.move(STAR_PX)
    if doubt and rating.could_be is not None:
        # An error bar under the stars, from the fewest to the most that the interval allows.
        first, last = (centres[max(1, min(MOST_STARS, stars)) - 1] for stars in rating.could_be)
        y = sheet.y + 5
        sheet.shape(
            f"M{first:g} {y - 4:g}v8M{first:g} {y:g}H{last:g}M{last:g} {y - 4:g}v8", stroke=BLUE, width=2
        )
        sheet.move(8)
    sheet.move(18)
    said = f"{rating.stars} of {MOST_STARS} stars" + (f", {doubt}" if doubt else "")
    sheet.text(WIDTH_PX / 2, said, size=14, bold=True, across="middle")
    if rating.index is not None:
        sheet.move(19)
        sheet.text(WIDTH_PX / 2, _in_words(rating.index), size=12.5, across="middle")
        sheet.move(15)
        sheet.text(WIDTH_PX / 2, _interval(rating), size=10.5, colour=QUIET_INK, across="middle")


def _draw_star(sheet: _Sheet, x: float, y: float, origin: Origin | None) -> None:
    """Solid if measured, solid within an outline if normalised or indicative, hatched if estimated; an outline if not earned."""
    outline = _star(x, y, STAR_PX)
    kind = "filled" if origin else "empty"
    solid = origin == "measured"
    sheet.shape(_closed(outline), fill=BLUE if solid else PAPER, stroke=BLUE, width=1.8, kind=f"star {kind}")
    if origin in ("normalised", "indicative"):
        sheet.shape(_closed(_star(x, y, STAR_PX * 0.74)), fill=BLUE)
    elif origin == "estimated":
        sheet.shape(_hatching(outline, 5.5), stroke=BLUE, width=2)


def _draw_reasons(sheet: _Sheet, rating: Rating) -> None:
    sheet.move(40)
    sheet.text(MARGIN_PX, "NOT RATED", size=26, bold=True, colour=BLUE)
    sheet.move(8)
    for reason in rating.reasons[:MOST_REASONS] or ("no reason is stated",):
        sheet.move(15)
        sheet.box(MARGIN_PX + 1, sheet.y - 6.5, 5, 5, fill=BLUE)
        text = for_picture(reason, most=400)
        lines = sheet.letters.wrapped(text, size=11.5, room=ROOM_PX - 16, most=3)
        for number, line in enumerate(lines):
            sheet.move(15 if number else 0)
            sheet.text(MARGIN_PX + 16, line, size=11.5)
        sheet.move(3)
    more = len(rating.reasons) - MOST_REASONS
    if more > 0:
        sheet.move(16)
        sheet.text(MARGIN_PX + 16, f"+ {more} more in the card", size=11.5, bold=True)
    if rating.would_be is not None:
        _draw_would_be(sheet, rating.would_be)


def _draw_would_be(sheet: _Sheet, would_be: WouldBe) -> None:
    """What is no rating looks like none: a dashed frame under NOT RATED, the figure in words, and not one star drawn."""
    sheet.move(14)
    place, top = sheet.place(), sheet.y
    for line in sheet.letters.wrapped(
        words.would_be(would_be), size=13, room=ROOM_PX - 24, most=2, bold=True
    ):
        sheet.move(18)
        sheet.text(WIDTH_PX / 2, line, size=13, bold=True, across="middle")
    sheet.move(2)
    for line in sheet.letters.wrapped(words.NO_RATING, size=10.5, room=ROOM_PX - 24, most=2):
        sheet.move(14)
        sheet.text(WIDTH_PX / 2, line, size=10.5, colour=QUIET_INK, across="middle")
    sheet.move(10)
    sheet.behind(place, _box(MARGIN_PX, top, ROOM_PX, sheet.y - top, stroke=INK, line_px=1.2, dashed=True))


def _draw_energy(sheet: _Sheet, facts: _Facts) -> None:
    """The panel of the energy: plain if measured, framed twice if normalised or indicative, hatched and dashed if estimated."""
    sheet.move(20)
    top, behind, left = sheet.y, sheet.place(), MARGIN_PX + 14
    room = ROOM_PX - 28
    sheet.move(23)
    badge = facts.origin.upper() if facts.origin else ""
    badge = "RATED AS NORMALISED" if facts.normalised is not None else badge
    width = sheet.letters.width(badge, size=10.5, bold=True) + 16 if badge else 0
    window = "" if facts.window in (MEASURED, None) else f", in {facts.window}"
    window = ", whole run" if facts.window == RUN else window
    head = f"Energy {facts.per}{window}" if facts.unit else "Energy of the run" if facts.energy else "Energy"
    sheet.text(left, head, size=12.5, bold=True, room=room - width - 8)
    if badge:
        marked = facts.origin != "measured"
        sheet.box(
            left + room - width,
            sheet.y - 13,
            width,
            18,
            fill=INK if marked else PAPER,
            stroke=INK if marked else BLUE,
            round_px=2 if marked else 9,
        )
        sheet.text(
            left + room - 8,
            badge,
            size=10.5,
            bold=True,
            colour=PAPER if marked else BLUE,
            across="end",
        )
    if facts.energy is None:
        sheet.move(34)
        sheet.text(left, "not measured", size=24, bold=True, colour=BLUE, room=room)
    else:
        sheet.move(40)
        _draw_figure(sheet, facts.energy, facts.about, left, room)
        sheet.move(5)
        for other in list(facts.others())[:3]:
            sheet.move(16)
            sheet.text(left, other, size=11.5, room=room)
    sheet.move(10)
    sheet.shape(f"M{left} {sheet.y:g}h{room}", stroke=RULE, width=1)
    sheet.move(2)
    for line in sheet.letters.wrapped(f"Quality: {facts.quality}", size=11.5, room=room, most=2):
        sheet.move(15)
        sheet.text(left, line, size=11.5, room=room)
    sheet.move(11)
    sheet.behind(behind, _panel(top, sheet.y - top, facts.origin))


def _draw_figure(sheet: _Sheet, energy: Estimate, about: str, left: float, room: float) -> None:
    """The figure itself: large the value, smaller its doubt and unit, and what the doubt is."""
    value, doubt, unit = with_doubt_in_parts(energy, "J")
    value = f"{about}{value}"
    told = "95 % interval" if doubt else "doubt not stated"
    if reaches_zero(energy):
        told = "upper end of the 95 % interval"
    doubt = f"{unit} {doubt}" if doubt == NEXT_TO_NO_DOUBT else f"{doubt} {unit}".strip()
    large, small = 34.0, 18.0
    letters = sheet.letters
    while letters.width(value, size=large, bold=True) + letters.width(doubt, size=small) + 8 > room:
        large, small = large * 0.94, small * 0.94
    sheet.text(left, value, size=large, bold=True, colour=BLUE)
    x = left + letters.width(value, size=large, bold=True) + 8
    sheet.text(x, doubt, size=small, colour=BLUE)
    if x + letters.width(doubt, size=small) + 10 + letters.width(told, size=10.5) <= left + room:
        sheet.text(left + room, told, size=10.5, colour=QUIET_INK, across="end")
    else:
        sheet.move(16)
        sheet.text(left, told, size=10.5, colour=QUIET_INK)


def _panel(top: float, height: float, origin: Origin | None) -> str:
    box = (MARGIN_PX, top, ROOM_PX, height)
    if origin == "estimated":
        x, y, width, _ = box
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        return (
            _box(*box, fill=PAPER)
            + _shape(_hatching(corners, 10), stroke=HATCH, width=1)
            + _box(*box, stroke=INK, line_px=1.8, dashed=True)
        )
    if origin in ("normalised", "indicative"):
        inner = (MARGIN_PX + 4, top + 4, ROOM_PX - 8, height - 8)
        return _box(*box, fill=PAPER, stroke=BLUE, line_px=1.4) + _box(*inner, stroke=BLUE, line_px=1.4)
    return _box(*box, fill=PANEL, round_px=8)


LABELS_PX = 76


def _draw_rows(sheet: _Sheet, facts: _Facts) -> None:
    sheet.move(8)
    for label, value in facts.rows():
        if label == "Task":
            continue  # it stands under the name
        sheet.move(17)
        sheet.text(MARGIN_PX, label, size=11, colour=QUIET_INK)
        lines = sheet.letters.wrapped(value, size=11, room=ROOM_PX - LABELS_PX, most=2)
        for number, line in enumerate(lines):
            sheet.move(14 if number else 0)
            sheet.text(MARGIN_PX + LABELS_PX, line, size=11)


# ------------------------------------------------------------------------------------------------------------ sheet


class _Sheet:
    """A sheet of fixed width that grows downwards; ``y`` is the base line of what is written next."""

    def __init__(self) -> None:
        self.letters = _Letters()
        self.y = 0.0
        self._elements: list[str] = []

    def move(self, by_px: float) -> None:
        self.y += by_px

    def place(self) -> int:
        """Where something may later be put behind all that follows."""
        return len(self._elements)

    def behind(self, place: int, element: str) -> None:
        self._elements.insert(place, element)

    def text(
        self,
        x: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        colour: str = INK,
        across: Literal["start", "middle", "end"] = "start",
        room: float | None = None,
    ) -> None:
        """One line of text on the base line, shortened to the room (by default, all that there is)."""
        room = (
            room
            or {
                "start": WIDTH_PX - MARGIN_PX - x,
                "middle": ROOM_PX,
                "end": x - MARGIN_PX,
            }[across]
        )
        # Boxes of text are rounded to a hundredth of a pixel, and what just fitted must still fit.
        text = self.letters.fitted(text, size=size, room=room + 0.01, bold=bold)
        more = f' text-anchor="{across}"' if across != "start" else ""
        more += ' font-weight="700"' if bold else ""
        if not self.letters.has(text, bold=bold):
            # Another font will step in, of which only the width is known: the one it is given.
            width = self.letters.width(text, size=size, bold=bold)
            more += f' textLength="{_px(width)}" lengthAdjust="spacingAndGlyphs"'
        self._elements.append(
            f'<text x="{_px(x)}" y="{_px(self.y)}" font-size="{_px(size)}" fill="{colour}"{more}>{escape(text)}</text>\n'
        )

    def shape(
        self,
        path: str,
        *,
        fill: str = "none",
        stroke: str | None = None,
        width: float = 1.0,
        kind: str | None = None,
    ) -> None:
        self._elements.append(_shape(path, fill=fill, stroke=stroke, width=width, kind=kind))

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        stroke: str | None = None,
        round_px: float = 0.0,
    ) -> None:
        self._elements.append(_box(x, y, width, height, fill=fill, stroke=stroke, round_px=round_px))

    def rule(self) -> None:
        self.move(12)
        self.shape(f"M{MARGIN_PX} {_px(self.y)}h{ROOM_PX}", stroke=RULE)

    def document(self, *, title: str, description: str, example: bool) -> str:
        """The whole, as it is written to a file."""
        height = math.ceil(self.y)
        frame = (0.75, 0.75, WIDTH_PX - 1.5, height - 1.5)
        across = ""
        if example:
            angle = -math.degrees(math.atan2(height, WIDTH_PX))
            across = (
                f'<text x="{WIDTH_PX / 2:g}" y="{_px(height / 2)}" dy="36" font-size="104" font-weight="700" fill="{INK}" '
                f'fill-opacity="0.13" text-anchor="middle" transform="rotate({_px(angle)} {WIDTH_PX / 2:g} {_px(height / 2)})"'
                f' aria-hidden="true">EXAMPLE</text>\n'
            )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{height}" '
            f'viewBox="0 0 {WIDTH_PX} {height}" role="img" aria-labelledby="t d" xml:lang="en" '
            f"font-family={quoteattr(FAMILIES)}>\n"
            f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n'
            f"{_box(*frame, fill=PAPER, round_px=12)}{''.join(self._elements)}{across}"
            f"{_box(*frame, stroke=BLUE, line_px=1.5, round_px=12)}</svg>\n"
        )


class _Letters:
    """How wide text is, in the fonts that it is drawn with."""

    def __init__(self) -> None:
        from matplotlib.ft2font import FT2Font

        self._fonts = [FT2Font(str(_font_folder() / name)) for name in FONTS]
        for font in self._fonts:
            font.set_size(100, 72)
        self._widths: dict[tuple[str, bool], float] = {}

    def width(self, text: str, *, size: float, bold: bool = False) -> float:
        """Pixels from the start to the end of a line."""
        return size * sum(self._width(character, bold) for character in text)

    def has(self, text: str, *, bold: bool = False) -> bool:
        """Whether the font has all the letters."""
        return all(self._fonts[bold].get_char_index(ord(character)) for character in text)

    def fitted(self, text: str, *, size: float, room: float, bold: bool = False) -> str:
        """The line, with its end cut off where it is wider than the room."""
        if self.width(text, size=size, bold=bold) <= room:
            return text
        while text and self.width(f"{text}…", size=size, bold=bold) > room:
            text = text[:-1].rstrip(" ,;:")
        return f"{text}…"

    def wrapped(self, text: str, *, size: float, room: float, most: int, bold: bool = False) -> list[str]:
        """At most so many lines; the last is cut where there is more."""
        lines = [""]
        for piece in self._pieces(text, size, room, bold):
            if lines[-1] and self.width((lines[-1] + piece).rstrip(), size=size, bold=bold) > room:
                lines.append("")
            lines[-1] += piece
        if len(lines) > most:
            lines[most - 1 :] = ["".join(lines[most - 1 :])]
        return [self.fitted(line.rstrip(), size=size, room=room, bold=bold) for line in lines]

    def _pieces(self, text: str, size: float, room: float, bold: bool) -> Iterator[str]:
        """What a line may end after: words; in words that are wider than the room, strokes and dots, else any letter."""
        for word in re.findall(r"\S+\s*", text):
            if self.width(word.rstrip(), size=size, bold=bold) <= room:
                yield word
                continue
            for part in re.findall(r"[^/_.-]*[/_.-]\s*|[^/_.-]+", word):
                if self.width(part.rstrip(), size=size, bold=bold) <= room:
                    yield part
                else:
                    yield from part

    def _width(self, character: str, bold: bool) -> float:
        if (character, bold) not in self._widths:
            from matplotlib.ft2font import LoadFlags

            code = ord(character)
            font = self._fonts[bold]
            # What the font does not have is mostly as wide as high (Chinese, Japanese, Korean).
            known = font.get_char_index(code) != 0
            glyph = font.load_char(code, flags=LoadFlags.NO_HINTING) if known else None
            self._widths[character, bold] = glyph.linearHoriAdvance / 65536 / 100 if glyph else 1.0
        return self._widths[character, bold]


def _font_folder() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts/ttf"


def _shape(
    path: str,
    *,
    fill: str = "none",
    stroke: str | None = None,
    width: float = 1.0,
    kind: str | None = None,
) -> str:
    line = f' stroke="{stroke}" stroke-width="{_px(width)}" stroke-linejoin="round"' if stroke else ""
    called = f' class="{kind}"' if kind else ""
    return f'<path{called} d="{path}" fill="{fill}"{line}/>\n'


def _box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = "none",
    stroke: str | None = None,
    line_px: float = 1.2,
    dashed: bool = False,
    round_px: float = 0.0,
) -> str:
    line = f' stroke="{stroke}" stroke-width="{_px(line_px)}"' if stroke else ""
    line += ' stroke-dasharray="7 4"' if dashed else ""
    corner = f' rx="{_px(round_px)}"' if round_px else ""
    return f'<rect x="{_px(x)}" y="{_px(y)}" width="{_px(width)}" height="{_px(height)}"{corner} fill="{fill}"{line}/>\n'


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _star(x: float, y: float, radius: float) -> list[Point]:
    """The ten corners of a star about a centre, from its upper tip on."""
    return [
        (
            x + radius * (0.45 if number % 2 else 1.0) * math.sin(number * math.pi / 5),
            y - radius * (0.45 if number % 2 else 1.0) * math.cos(number * math.pi / 5),
        )
        for number in range(10)
    ]


def _closed(corners: Sequence[Point]) -> str:
    return f"M{'L'.join(f'{_px(x)} {_px(y)}' for x, y in corners)}Z"


def _hatching(corners: Sequence[Point], step_px: float) -> str:
    """Parallel lines upwards to the right, as far as they lie inside a polygon: where x + y is a multiple of the step."""
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    sums = [x + y for x, y in corners]
    path = ""
    for number in range(math.ceil(min(sums) / step_px), math.ceil(max(sums) / step_px)):
        level = number * step_px
        cuts = sorted(
            x1 + (level - x1 - y1) / (x2 + y2 - x1 - y1) * (x2 - x1)
            for (x1, y1), (x2, y2) in edges
            if (x1 + y1 < level) != (x2 + y2 < level)
        )
        for start, end in zip(cuts[::2], cuts[1::2], strict=True):
            path += f"M{_px(start)} {_px(level - start)}L{_px(end)} {_px(level - end)}"
    return path
