"""What a label and a section were made with, as data inside them: what ``verify`` makes them again from, and other programs read.

Nothing of it has to be found in a sentence. It is JSON in ASCII, in a form that neither HTML nor Markdown sees anything in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from energy_rating.judging.footprint.carbon import Impact
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing import overview, runs, words
from energy_rating.publishing import trainings as trained
from energy_rating.publishing.base_share import BaseShare, share_from
from energy_rating.publishing.links import NO_LINKS, Links
from energy_rating.publishing.names import LOOK_NAMES, SIZES, LookName, Size
from energy_rating.publishing.strangers import for_plain_text

LABEL_SCHEMA = "energy-rating/label/1"
SECTION_SCHEMA = "energy-rating/section/1"
COMMENT = "energy-rating:data"

# The wording and drawing of labels and sections, counted up whenever a release words or draws anything of them otherwise (then run
# `make shown`): what is of another form was made by another version, and its words are not compared. 0.1.0's was the first, without data.
FORM = 2
FIRST_FORM = 2  # of those that hold data
# Characters of the data of one label or section: a training among the most runs takes some 900.
LONGEST = 1 << 20
MOST_RUNS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """One run as it was published: its journal, the scheme that it was rated under (None: not rated at all), and what came of it.

    ``would_be``: the stars that it would have were asked for. ``checked``: what kept the record from being held against its journal
    then; None: nothing.
    """

    run: str
    journal_sha256: str
    scheme: str | None
    stars: int | None
    would_be: bool
    checked: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelData:
    """What a label was made with. ``beside``: how many runs of which role its model's training had beside the one that is rated; ``look`` and
    ``size``: which of its forms it is."""

    form: int
    run: RunData
    links: Links
    beside: Mapping[str, int] = field(default_factory=dict)
    look: LookName = "light"
    size: Size = "full"


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionData:
    """What a section was made with. ``zone``: the place whose factor made the carbon, of the vintage ``factors``; ``emissions_g``: grams that
    were given. ``footprints``: of each run what its footprint was asked for, with the measurement that it is of; None where it has none.
    ``trainings``: where there are several, what each of them emitted, of which the sum is told; ``energies``: what each of them drew.
    ``beside``: of each run how many others of its model the section tells of, by role, where there are any. ``section_only``: the file
    has no metadata of ours. ``base``: what making the base model took, by that model's own card.
    """

    form: int
    runs: tuple[RunData, ...]
    links: Links
    label: str | None
    zone: str | None
    location: str | None
    emissions_g: float | None
    factors: str | None = None
    footprints: tuple[Mapping[str, Any] | None, ...] = ()
    trainings: tuple[trained.TrainingData, ...] = ()
    beside: tuple[Mapping[str, int], ...] = ()
    energies: tuple[overview.TrainingEnergy, ...] = ()
    section_only: bool = False
    base: BaseShare | None = None

    def beside_of(self, number: int) -> Mapping[str, int]:
        return self.beside[number] if number < len(self.beside) else {}

    def footprint_of(self, number: int) -> Mapping[str, Any] | None:
        return self.footprints[number] if number < len(self.footprints) else None


def of_run(record: Record, rating: Rating | None) -> RunData:
    return RunData(
        run=for_plain_text(record.run_id),
        journal_sha256=for_plain_text(record.provenance.journal_sha256),
        scheme=(for_plain_text(rating.scheme) or None) if rating is not None else None,
        stars=rating.stars if rating is not None else None,
        would_be=rating is not None and rating.would_be is not None,
        checked=record.checked if record.checked in words.UNCHECKED else None,
    )


def of_label(
    record: Record,
    rating: Rating,
    links: Links,
    beside: Mapping[str, int] | None = None,
    *,
    look: LookName = "light",
    size: Size = "full",
) -> str:
    return _written(
        {
            "schema": LABEL_SCHEMA,
            "form": FORM,
            **asdict(of_run(record, rating)),
            **_of_links(links),
            **({"beside": dict(beside)} if beside else {}),
            # Only what is not usual.
            **({"look": look} if look != "light" else {}),
            **({"size": size} if size != "full" else {}),
        }
    )


def of_section(
    runs: list[RunData],
    links: Links,
    *,
    label: str | None,
    impact: Impact | None,
    location: str | None,
    emissions_g: float | None,
    footprints: tuple[Mapping[str, Any] | None, ...] = (),
    trainings: tuple[trained.TrainingData, ...] = (),
    beside: tuple[Mapping[str, int], ...] = (),
    energies: tuple[overview.TrainingEnergy, ...] = (),
    section_only: bool = False,
    base: BaseShare | None = None,
) -> str:
    """The data of a section, as a comment of HTML."""
    told = impact is not None or emissions_g is not None or bool(trainings)
    return written_again(
        SectionData(
            form=FORM,
            runs=tuple(runs),
            links=links,
            label=label,
            zone=impact.zone if impact is not None else None,
            location=for_plain_text(location) if location is not None and told else None,
            emissions_g=emissions_g,
            factors=impact.vintage if impact is not None else None,
            footprints=footprints if any(footprints) else (),
            trainings=trainings,
            beside=beside if any(beside) else (),
            energies=energies,
            section_only=section_only,
            base=base,
        )
    )


def written_again(section: SectionData) -> str:
    """The comment that holds these data."""
    text = _written(
        {
            "schema": SECTION_SCHEMA,
            "form": section.form,
            "runs": [asdict(run) for run in section.runs],
            **_of_links(section.links),
            "label": section.label,
            "zone": section.zone,
            "location": section.location,
            "emissions_g": section.emissions_g,
            **({"factors": section.factors} if section.factors is not None else {}),
            **({"footprints": section.footprints} if section.footprints else {}),
            **({"trainings": trained.stored(section.trainings)} if section.trainings else {}),
            **({"beside": [dict(one) for one in section.beside]} if section.beside else {}),
            **({"energies": overview.stored(section.energies)} if section.energies else {}),
            **({"section_only": True} if section.section_only else {}),
            **({"base": asdict(section.base)} if section.base is not None else {}),
        }
    )
    return f"<!-- {COMMENT} {text} -->"


def _of_links(links: Links) -> dict[str, str | None]:
    return {"journal_url": links.journal, "meaning_url": links.meaning}


def _written(content: Mapping[str, Any]) -> str:
    """JSON that ends no comment and opens no tag: what could is written as an escape, which is the same text."""
    text = json.dumps(content)
    for char in "<>&`|*~$@()!#":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.replace("--", "-\\u002d").replace("://", ":\\u002f/")


# ---------------------------------------------------------------------------------------------------------------- reading


def label_data(text: str) -> LabelData | None:
    """The data of a label, from the text of its element; None where it is none.

    Raises:
        ValueError: it says that it is, and is not whole.
    """
    entry = _read(text, LABEL_SCHEMA)
    if entry is None:
        return None
    looks: dict[str, LookName] = {name: name for name in LOOK_NAMES}
    sizes: dict[str, Size] = {name: name for name in SIZES}
    look, size = _maybe(entry, "look") or "light", _maybe(entry, "size") or "full"
    if look not in looks or size not in sizes:
        raise ValueError(f"look and size must be of a label; got {look[:40]!r}, {size[:40]!r}")
    return LabelData(
        form=_number(entry, "form"),
        run=_run(entry),
        links=_links(entry),
        beside=runs.read(entry.get("beside", {})),
        look=looks[look],
        size=sizes[size],
    )


def section_data(text: str) -> SectionData | None:
    """The data of a section, from the whole section; None where it holds none.

    Raises:
        ValueError: it holds what calls itself so, and is not whole, or holds it twice.
    """
    opening = f"<!-- {COMMENT} "
    if opening not in text:
        return None
    _, _, rest = text.partition(opening)
    content, end, after = rest.partition(" -->")
    if not end or opening in after:
        raise ValueError("its data must stand in it once, in one comment")
    entry = _read(content, SECTION_SCHEMA)
    if entry is None:
        raise ValueError(f"its data must be {SECTION_SCHEMA}")
    of_runs = entry.get("runs")
    if not isinstance(of_runs, list) or not 0 < len(of_runs) <= MOST_RUNS:
        raise ValueError(f"its data must name 1 to {MOST_RUNS} runs")
    emissions = entry.get("emissions_g")
    if emissions is not None and (isinstance(emissions, bool) or not isinstance(emissions, int | float)):
        raise ValueError("emissions_g must be a number")
    named = tuple(_run(run) for run in of_runs)
    beside = entry.get("beside", [])
    if not isinstance(beside, list) or len(beside) not in (0, len(of_runs)):
        raise ValueError("beside must be as many as there are runs")
    return SectionData(
        form=_number(entry, "form"),
        runs=named,
        links=_links(entry),
        label=_maybe(entry, "label"),
        zone=_maybe(entry, "zone"),
        location=_maybe(entry, "location"),
        emissions_g=emissions,
        factors=_maybe(entry, "factors"),
        footprints=_footprints(entry.get("footprints", []), len(of_runs)),
        trainings=trained.read(entry.get("trainings", []), [run.run for run in named]),
        beside=tuple(runs.read(one) for one in beside),
        energies=overview.read(entry.get("energies", []), [run.run for run in named]),
        section_only=entry.get("section_only") is True,
        base=share_from(entry.get("base")),
    )


def _footprints(entry: object, runs: int) -> tuple[Mapping[str, Any] | None, ...]:
    """What each run's footprint was asked for: names, and texts, lists of texts or yes and no."""
    if not isinstance(entry, list) or len(entry) not in (0, runs):
        raise ValueError("footprints must be as many as there are runs")
    for one in entry:
        if one is not None and not isinstance(one, dict):
            raise ValueError("each footprint must be an object")
        for name, value in (one or {}).items():
            texts = value if isinstance(value, list) else [value]
            if not all(isinstance(text, str | bool | int | float) for text in texts):
                raise ValueError(f"{name[:40]} must be text; got {value!r:.80}")
    return tuple(entry)


def _read(text: str, schema: str) -> dict[str, Any] | None:
    if len(text) > LONGEST:
        raise ValueError(f"its data must have at most {LONGEST:,} characters; got {len(text):,}")
    if schema not in text:
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its data must be JSON") from None
    return entry if isinstance(entry, dict) and entry.get("schema") == schema else None


def _run(entry: object) -> RunData:
    if not isinstance(entry, dict):
        raise ValueError("each run must be an object")
    stars = entry.get("stars")
    return RunData(
        run=_text(entry, "run"),
        journal_sha256=_text(entry, "journal_sha256"),
        scheme=_maybe(entry, "scheme"),
        stars=stars if isinstance(stars, int) and not isinstance(stars, bool) else None,
        would_be=entry.get("would_be") is True,
        checked=_maybe(entry, "checked"),
    )


def _links(entry: dict[str, Any]) -> Links:
    journal, meaning = _maybe(entry, "journal_url"), _maybe(entry, "meaning_url")
    return Links(journal=journal, meaning=meaning) if journal or meaning else NO_LINKS


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be text; got {value!r:.80}")
    return value


def _number(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} must be a whole number; got {value!r:.80}")
    return value


def _maybe(entry: dict[str, Any], key: str) -> str | None:
    return None if entry.get(key) is None else _text(entry, key)
