"""A rating as a badge of about 200 × 28 pixels for the top of a README: as SVG, or as the JSON that a badge service draws one from.

It says how many stars, what they could be, the figure, whose, and how it was had: in words, so that neither colour nor a picture is needed.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing import data, words
from energy_rating.publishing.facts import RatedAs, facts_of
from energy_rating.publishing.label.said import Said
from energy_rating.publishing.label.sheet import LOOKS, Sheet
from energy_rating.publishing.label.small import dashes, figure, stars
from energy_rating.publishing.links import NO_LINKS, Links
from energy_rating.publishing.names import LookName
from energy_rating.publishing.strangers import for_markdown

HEIGHT_PX = 28
_STAR_PX, _STEP_PX = 6.2, 13.5
_LEFT_PX = 88

# In words what was done, as it is said in the middle of a line.
_HAD: dict[RatedAs, str] = {
    "measured": "measured",
    "estimated": "estimated",
    "normalised": "converted",
    "indicative": "own test items",
    "imported": "imported",
}

# Of the fields of an endpoint badge (shields.io/badges/endpoint-badge, read 2026-11): no colour means good or bad.
_COLOURS: dict[RatedAs | None, str] = {"measured": "12305a", "normalised": "5a4a12"}
_OTHER_COLOUR = "555555"


def svg(record: Record, rating: Rating, links: Links = NO_LINKS, *, look: LookName = "light") -> str:
    """The badge of a record under a rating, as an SVG document that needs nothing else."""
    said = Said(facts=facts_of(record, rating), links=links)
    colours = LOOKS[look]
    sheet = Sheet(colours, margin_px=4)
    lines = _figure(said), _had(said)
    letters = sheet.letters
    sizes = (10.5, True), (9.5, False)
    needed = max(
        letters.width(line, size=size, bold=bold) for line, (size, bold) in zip(lines, sizes, strict=True)
    )
    sheet.width_px = round(_LEFT_PX + needed + 18)
    right = sheet.width_px - 0.75
    sheet.shape(
        f"M4.75 0.75H{_LEFT_PX}V{HEIGHT_PX - 0.75}H4.75a4 4 0 0 1-4-4V4.75a4 4 0 0 1 4-4Z", fill=colours.head
    )
    if colours.head == colours.paper:
        sheet.shape(f"M{_LEFT_PX} 0.75V{HEIGHT_PX - 0.75}", stroke=colours.rule, width=1)
    middle = _LEFT_PX / 2 + 0.5
    if said.rating is None or said.rating.stars is None:
        for y, line in ((12.0, "energy"), (23.0, "not rated")):
            sheet.y = y
            sheet.text(
                middle, line, size=10, bold=True, colour=colours.on_head, across="middle", room=_LEFT_PX
            )
    else:
        centres = [middle + (number - 2) * _STEP_PX for number in range(MOST_STARS)]
        stars(sheet, said, centres, 8.8, _STAR_PX, ink=colours.on_head)
        sheet.y = 23.6
        count = said.rating.stars
        told = f"{count}, {said.could_be}" if said.could_be else f"{count} of {MOST_STARS} stars"
        sheet.text(middle, told, size=9.5, colour=colours.on_head, across="middle", room=_LEFT_PX)
    x = _LEFT_PX + 9
    for y, line, (size, bold) in zip((11.9, 22.4), lines, sizes, strict=True):
        sheet.y = y
        sheet.text(x, line, size=size, bold=bold, room=needed + 1)
    if said.rated_as != "measured":
        # What was not measured here has a frame of dashes, so that it differs where no word can be read.
        inner = 2.2
        corners = [
            (_LEFT_PX + inner, inner), (right - inner, inner),
            (right - inner, HEIGHT_PX - inner), (_LEFT_PX + inner, HEIGHT_PX - inner),
        ]  # fmt: skip
        sheet.shape(dashes(corners, 4.0, 3.0), stroke=colours.ink, width=1)
    sheet.y = HEIGHT_PX
    return sheet.document(
        title=f"Energy: {words_of(said)}",
        description=said.sentence,
        example=False,
        data=data.of_label(record, rating, links, look=look),
        corner_px=4,
    )


def _figure(said: Said) -> str:
    if said.shown is None:
        return "no energy measured"
    return f"{figure(said)} {said.per}"


def _had(said: Said) -> str:
    """How it was had, and whose energy it is: ``measured, GPU only``."""
    facts = said.facts
    if facts.example:
        return "EXAMPLE, no real device"
    component = facts.component
    if component is None or said.rated_as is None:
        return "nothing was measured"
    only = "" if component in ("wall", "host", "module") else " only"
    return f"{_HAD[said.rated_as]}, {words.NAMES[component]}{only}"


def words_of(said: Said) -> str:
    """All of it in one line: ``4 of 5 stars (could be 3–4), 20.4 J per request, measured, GPU only``."""
    rating = said.rating
    verdict = said.verdict if rating is not None and rating.stars is not None else "not rated"
    return f"{verdict}, {_figure(said)}, {_had(said)}"


def in_markdown(record: Record, rating: Rating, name: str, links: Links = NO_LINKS) -> str:
    """The badge as a README shows it: its words for who does not see it, and a link to the journal, else to what the stars mean."""
    said = Said(facts=facts_of(record, rating), links=links)
    shown = f"![Energy: {for_markdown(words_of(said))}](<{quote(name)}>)"
    href = links.journal_href or links.meaning_href
    return shown if href is None else f"[{shown}](<{href}>)"


def shields(record: Record, rating: Rating) -> str:
    """The same for a service that draws badges: the JSON of an endpoint badge, schema version 1."""
    said = Said(facts=facts_of(record, rating))
    return (
        json.dumps(
            {
                "schemaVersion": 1,
                "label": "energy",
                "message": words_of(said),
                "color": _COLOURS.get(said.rated_as, _OTHER_COLOUR),
                "cacheSeconds": 3600,
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )
