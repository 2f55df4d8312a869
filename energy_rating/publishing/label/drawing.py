"""Where everything stands on a label. Letters and shapes are made by ``sheet``."""

from __future__ import annotations

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import NEXT_TO_NO_DOUBT, Estimate, reaches_zero, with_doubt_in_parts
from energy_rating.nouns.records import WouldBe
from energy_rating.publishing import words
from energy_rating.publishing.facts import RatedAs
from energy_rating.publishing.label.said import BADGES, Said
from energy_rating.publishing.label.sheet import (
    LIGHT,
    MARGIN_PX,
    ROOM_PX,
    WIDTH_PX,
    Colours,
    Sheet,
    box_at,
    closed,
    hatching,
    shape_of,
    star,
)
from energy_rating.publishing.strangers import for_picture

MOST_REASONS = 3


# ---------------------------------------------------------------------------------------------------------- drawing


def draw(said: Said, data: str, look: Colours = LIGHT) -> str:
    """The label as SVG; ``data`` is what it was made with, for programs."""
    sheet = Sheet(look)
    _draw_head(sheet, said)
    _draw_name(sheet, said)
    if said.rating is None or said.rating.stars is None:
        _draw_reasons(sheet, said)
    else:
        _draw_stars(sheet, said)
    _draw_energy(sheet, said)
    _draw_rows(sheet, said)
    sheet.rule()
    sheet.move(16)
    for line in sheet.letters.wrapped(said.seal, size=10.5, room=ROOM_PX, most=4):
        sheet.text(MARGIN_PX, line, size=10.5, colour=sheet.look.quiet_ink)
        sheet.move(14)
    sheet.move(4)
    return sheet.document(
        title=f"Energy rating of {said.model}",
        description=said.description,
        example=said.facts.example,
        data=data,
    )


def _draw_head(sheet: Sheet, said: Said) -> None:
    sheet.shape(
        f"M0.75 64V12.75a12 12 0 0 1 12-12H{WIDTH_PX - 12.75}a12 12 0 0 1 12 12V64Z", fill=sheet.look.head
    )
    if sheet.look.head == sheet.look.paper:
        sheet.shape(f"M0.75 64H{WIDTH_PX - 0.75}", stroke=sheet.look.rule, width=1.5)
    right = WIDTH_PX - MARGIN_PX
    sheet.y = 41
    sheet.text(MARGIN_PX, "Energy rating", size=24, bold=True, colour=sheet.look.on_head, room=210)
    rating = said.rating
    if rating is not None and rating.scheme:
        sheet.y = 38
        sheet.text(
            right,
            f"scheme {for_picture(rating.scheme)}",
            size=11,
            colour=sheet.look.on_head,
            across="end",
            room=150,
        )
    sheet.y = 64
    if said.facts.example:
        sheet.box(0.75, 64, WIDTH_PX - 1.5, 26, fill=sheet.look.ink)
        sheet.y = 82
        sheet.text(WIDTH_PX / 2, words.EXAMPLE, size=13, bold=True, colour=sheet.look.paper, across="middle")
        sheet.y = 90


def _draw_name(sheet: Sheet, said: Said) -> None:
    sheet.move(28)
    # In one line if that is possible; a long name is set smaller before it is cut.
    for size, most in ((17.0, 1), (14.5, 1), (17.0, 2), (13.0, 3)):
        lines = sheet.letters.wrapped(said.model, size=size, room=ROOM_PX, most=most, bold=True)
        if not lines[-1].endswith("…"):
            break
    for number, line in enumerate(lines):
        sheet.move(size + 4 if number else 0)
        sheet.text(MARGIN_PX, line, size=size, bold=True)
    sheet.move(18)
    sheet.text(MARGIN_PX, f"revision {said.revision}", size=11.5, colour=sheet.look.quiet_ink)
    sheet.move(16)
    sheet.text(MARGIN_PX, said.task, size=11.5, colour=sheet.look.quiet_ink)


STAR_PX, STAR_STEP_PX = 27.0, 64.0


def _draw_stars(sheet: Sheet, said: Said) -> None:
    rating = said.rating
    assert rating is not None
    sheet.move(44)
    centres = [WIDTH_PX / 2 + (number - 2) * STAR_STEP_PX for number in range(MOST_STARS)]
    for number, x in enumerate(centres, start=1):
        _draw_star(sheet, x, sheet.y, said.rated_as if number <= (rating.stars or 0) else None)
    sheet.move(STAR_PX)
    if said.could_be and rating.could_be is not None:
        # An error bar under the stars, from the fewest to the most that the interval allows.
        first, last = (centres[max(1, min(MOST_STARS, stars)) - 1] for stars in rating.could_be)
        y = sheet.y + 5
        sheet.shape(
            f"M{first:g} {y - 4:g}v8M{first:g} {y:g}H{last:g}M{last:g} {y - 4:g}v8",
            stroke=sheet.look.blue,
            width=2,
        )
        sheet.move(8)
    sheet.move(18)
    stars = f"{rating.stars} of {MOST_STARS} stars" + (f", {said.could_be}" if said.could_be else "")
    sheet.text(WIDTH_PX / 2, stars, size=14, bold=True, across="middle")
    if (against := said.against()) is not None:
        sheet.move(5)
        for line in sheet.letters.wrapped(against[0], size=12.5, room=ROOM_PX, most=2):
            sheet.move(15)
            sheet.text(WIDTH_PX / 2, line, size=12.5, across="middle")
        sheet.move(15)
        sheet.text(WIDTH_PX / 2, against[1], size=10.5, colour=sheet.look.quiet_ink, across="middle")
    for text in said.rests_on():
        sheet.move(3)
        for line in sheet.letters.wrapped(text, size=10.5, room=ROOM_PX, most=3, bold=True):
            sheet.move(14)
            sheet.text(WIDTH_PX / 2, line, size=10.5, bold=True, across="middle")


def _draw_star(sheet: Sheet, x: float, y: float, origin: RatedAs | None) -> None:
    """Solid if measured, solid within an outline if normalised or indicative, hatched if estimated; an outline if not earned."""
    outline = star(x, y, STAR_PX)
    kind = "filled" if origin else "empty"
    solid = origin == "measured"
    sheet.shape(
        closed(outline),
        fill=sheet.look.blue if solid else sheet.look.paper,
        stroke=sheet.look.blue,
        width=1.8,
        kind=f"star {kind}",
    )
    if origin in ("normalised", "indicative"):
        sheet.shape(closed(star(x, y, STAR_PX * 0.74)), fill=sheet.look.blue)
    elif origin == "estimated":
        sheet.shape(hatching(outline, 5.5), stroke=sheet.look.blue, width=2)


def _draw_reasons(sheet: Sheet, said: Said) -> None:
    reasons = said.reasons()
    sheet.move(40)
    sheet.text(MARGIN_PX, "NOT RATED", size=26, bold=True, colour=sheet.look.blue)
    sheet.move(8)
    for text in reasons[:MOST_REASONS] or ("no reason is stated",):
        sheet.move(15)
        sheet.box(MARGIN_PX + 1, sheet.y - 6.5, 5, 5, fill=sheet.look.blue)
        lines = sheet.letters.wrapped(text, size=11.5, room=ROOM_PX - 16, most=3)
        for number, line in enumerate(lines):
            sheet.move(15 if number else 0)
            sheet.text(MARGIN_PX + 16, line, size=11.5)
        sheet.move(3)
    more = len(reasons) - MOST_REASONS
    if more > 0:
        sheet.move(16)
        sheet.text(MARGIN_PX + 16, f"+ {more} more in the card", size=11.5, bold=True)
    if said.rating is not None and said.rating.would_be is not None:
        _draw_would_be(sheet, said.rating.would_be)


def _draw_would_be(sheet: Sheet, would_be: WouldBe) -> None:
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
        sheet.text(WIDTH_PX / 2, line, size=10.5, colour=sheet.look.quiet_ink, across="middle")
    sheet.move(10)
    sheet.behind(
        place, box_at(MARGIN_PX, top, ROOM_PX, sheet.y - top, stroke=sheet.look.ink, line_px=1.2, dashed=True)
    )


def _draw_energy(sheet: Sheet, said: Said) -> None:
    """The panel of the energy: plain if measured, framed twice if converted or indicative, hatched and dashed if estimated, dashed if
    imported."""
    sheet.move(20)
    top, behind, left = sheet.y, sheet.place(), MARGIN_PX + 14
    room = ROOM_PX - 28
    sheet.move(23)
    rated_as = said.rated_as
    badge = BADGES[rated_as] if rated_as is not None else ""
    # The figure is as measured; what was converted is what the stars rest on.
    badge = "STARS CONVERTED" if said.facts.normalised_j is not None and rated_as == "normalised" else badge
    badge = "EXAMPLE" if said.facts.example and rated_as == "indicative" else badge
    width = sheet.letters.width(badge, size=10.5, bold=True) + 16 if badge else 0
    sheet.text(left, said.head, size=12.5, bold=True, room=room - width - 8)
    if badge:
        marked = rated_as != "measured"
        sheet.box(
            left + room - width,
            sheet.y - 13,
            width,
            18,
            fill=sheet.look.ink if marked else sheet.look.paper,
            stroke=sheet.look.ink if marked else sheet.look.blue,
            round_px=2 if marked else 9,
        )
        sheet.text(
            left + room - 8,
            badge,
            size=10.5,
            bold=True,
            colour=sheet.look.paper if marked else sheet.look.blue,
            across="end",
        )
    if said.shown is None:
        sheet.move(34)
        sheet.text(left, "not measured", size=24, bold=True, colour=sheet.look.blue, room=room)
    else:
        sheet.move(40)
        _draw_figure(sheet, *said.shown, said.about, left, room)
        sheet.move(5)
        for other in list(said.others())[:4]:
            sheet.move(16)
            sheet.text(left, other, size=11.5, room=room)
    sheet.move(10)
    sheet.shape(f"M{left} {sheet.y:g}h{room}", stroke=sheet.look.rule, width=1)
    sheet.move(2)
    for line in sheet.letters.wrapped(f"Quality: {said.quality}", size=11.5, room=room, most=2):
        sheet.move(15)
        sheet.text(left, line, size=11.5, room=room)
    sheet.move(11)
    sheet.behind(behind, _panel(sheet.look, top, sheet.y - top, rated_as))


def _draw_figure(sheet: Sheet, energy: Estimate, unit: str, about: str, left: float, room: float) -> None:
    """The figure itself: large the value, smaller its doubt and unit, and what the doubt is."""
    value, doubt, unit = with_doubt_in_parts(energy, unit)
    value = f"{about}{value}"
    told = "95 % interval" if doubt else "doubt not stated"
    if reaches_zero(energy):
        told = "upper end of the 95 % interval"
    doubt = f"{unit} {doubt}" if doubt == NEXT_TO_NO_DOUBT else f"{doubt} {unit}".strip()
    large, small = 34.0, 18.0
    letters = sheet.letters
    while letters.width(value, size=large, bold=True) + letters.width(doubt, size=small) + 8 > room:
        large, small = large * 0.94, small * 0.94
    sheet.text(left, value, size=large, bold=True, colour=sheet.look.blue)
    x = left + letters.width(value, size=large, bold=True) + 8
    sheet.text(x, doubt, size=small, colour=sheet.look.blue)
    if x + letters.width(doubt, size=small) + 10 + letters.width(told, size=10.5) <= left + room:
        sheet.text(left + room, told, size=10.5, colour=sheet.look.quiet_ink, across="end")
    else:
        sheet.move(16)
        sheet.text(left, told, size=10.5, colour=sheet.look.quiet_ink)


def _panel(look: Colours, top: float, height: float, origin: RatedAs | None) -> str:
    box = (MARGIN_PX, top, ROOM_PX, height)
    if origin == "estimated":
        x, y, width, _ = box
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        return (
            box_at(*box, fill=look.paper)
            + shape_of(hatching(corners, 10), stroke=look.hatch, width=1)
            + box_at(*box, stroke=look.ink, line_px=1.8, dashed=True)
        )
    if origin == "imported":
        return box_at(*box, fill=look.paper) + box_at(*box, stroke=look.ink, line_px=1.8, dashed=True)
    if origin in ("normalised", "indicative"):
        inner = (MARGIN_PX + 4, top + 4, ROOM_PX - 8, height - 8)
        return box_at(*box, fill=look.paper, stroke=look.blue, line_px=1.4) + box_at(
            *inner, stroke=look.blue, line_px=1.4
        )
    framed = look.rule if look.panel == look.paper else None
    return box_at(*box, fill=look.panel, stroke=framed, round_px=8)


LABELS_PX = 76


def _draw_rows(sheet: Sheet, said: Said) -> None:
    sheet.move(8)
    hrefs = {"Journal": said.links.journal_href, "Stars": said.links.meaning_href}
    for label, value in said.rows():
        if label == "Task":
            continue  # it stands under the name
        sheet.move(17)
        sheet.text(MARGIN_PX, label, size=11, colour=sheet.look.quiet_ink)
        lines = sheet.letters.wrapped(value, size=11, room=ROOM_PX - LABELS_PX, most=3)
        place = sheet.place()
        for number, line in enumerate(lines):
            sheet.move(14 if number else 0)
            sheet.text(MARGIN_PX + LABELS_PX, line, size=11)
        href = hrefs.get(label)
        if href is not None:
            sheet.linked(place, href)
