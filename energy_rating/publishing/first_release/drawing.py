"""Where everything stands on a label of 0.1.0. Letters and shapes are made by ``sheet``."""

from __future__ import annotations

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import NEXT_TO_NO_DOUBT, Estimate, reaches_zero
from energy_rating.nouns.records import MEASURED, RUN, Rating, WouldBe
from energy_rating.publishing.first_release import words
from energy_rating.publishing.first_release.said import (
    FirstFacts,
    Origin,
    in_words,
    interval_in_words,
    stars_it_could_be,
)
from energy_rating.publishing.label.sheet import (
    BLUE,
    HATCH,
    INK,
    MARGIN_PX,
    PANEL,
    PAPER,
    QUIET_INK,
    ROOM_PX,
    RULE,
    WIDTH_PX,
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


def draw(facts: FirstFacts) -> str:
    sheet = Sheet()
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


def _draw_head(sheet: Sheet, facts: FirstFacts) -> None:
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


def _draw_name(sheet: Sheet, facts: FirstFacts) -> None:
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


def _draw_stars(sheet: Sheet, facts: FirstFacts) -> None:
    rating = facts.rating
    sheet.move(44)
    centres = [WIDTH_PX / 2 + (number - 2) * STAR_STEP_PX for number in range(MOST_STARS)]
    for number, x in enumerate(centres, start=1):
        _draw_star(sheet, x, sheet.y, facts.origin if number <= (rating.stars or 0) else None)
    doubt = stars_it_could_be(rating)
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
        sheet.text(WIDTH_PX / 2, in_words(rating.index), size=12.5, across="middle")
        sheet.move(15)
        sheet.text(WIDTH_PX / 2, interval_in_words(rating), size=10.5, colour=QUIET_INK, across="middle")


def _draw_star(sheet: Sheet, x: float, y: float, origin: Origin | None) -> None:
    """Solid if measured, solid within an outline if normalised or indicative, hatched if estimated; an outline if not earned."""
    outline = star(x, y, STAR_PX)
    kind = "filled" if origin else "empty"
    solid = origin == "measured"
    sheet.shape(closed(outline), fill=BLUE if solid else PAPER, stroke=BLUE, width=1.8, kind=f"star {kind}")
    if origin in ("normalised", "indicative"):
        sheet.shape(closed(star(x, y, STAR_PX * 0.74)), fill=BLUE)
    elif origin == "estimated":
        sheet.shape(hatching(outline, 5.5), stroke=BLUE, width=2)


def _draw_reasons(sheet: Sheet, rating: Rating) -> None:
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
        sheet.text(WIDTH_PX / 2, line, size=10.5, colour=QUIET_INK, across="middle")
    sheet.move(10)
    sheet.behind(place, box_at(MARGIN_PX, top, ROOM_PX, sheet.y - top, stroke=INK, line_px=1.2, dashed=True))


def _draw_energy(sheet: Sheet, facts: FirstFacts) -> None:
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


def _draw_figure(sheet: Sheet, energy: Estimate, about: str, left: float, room: float) -> None:
    """The figure itself: large the value, smaller its doubt and unit, and what the doubt is."""
    value, doubt, unit = words.with_doubt_in_parts(energy, "J")
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
            box_at(*box, fill=PAPER)
            + shape_of(hatching(corners, 10), stroke=HATCH, width=1)
            + box_at(*box, stroke=INK, line_px=1.8, dashed=True)
        )
    if origin in ("normalised", "indicative"):
        inner = (MARGIN_PX + 4, top + 4, ROOM_PX - 8, height - 8)
        return box_at(*box, fill=PAPER, stroke=BLUE, line_px=1.4) + box_at(*inner, stroke=BLUE, line_px=1.4)
    return box_at(*box, fill=PANEL, round_px=8)


LABELS_PX = 76


def _draw_rows(sheet: Sheet, facts: FirstFacts) -> None:
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
