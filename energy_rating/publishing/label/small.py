"""The small label: what has to be legible when it is 100 pixels wide. Stars, whether they are sure, the figure, and how it was had.

All its letters are 9 pixels high or more at that width; everything else that a label says is in its words for who cannot see it, in its
data, and on the label itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from energy_rating.judging.schemes import MOST_STARS
from energy_rating.nouns.quantities import reaches_zero, with_doubt_in_parts
from energy_rating.publishing.label.said import BADGES, Said
from energy_rating.publishing.label.sheet import LIGHT, Colours, Point, Sheet, closed, hatching, star

WIDTH_PX, MARGIN_PX = 200, 10
_STAR_PX, _STEP_PX = 17.0, 36.0


def draw_small(said: Said, data: str, look: Colours = LIGHT) -> str:
    """The small label as SVG; ``data`` is what it was made with, for programs."""
    sheet = Sheet(look, width_px=WIDTH_PX, margin_px=MARGIN_PX)
    middle = WIDTH_PX / 2
    sheet.shape(f"M0.75 36V12.75a12 12 0 0 1 12-12H{WIDTH_PX - 12.75}a12 12 0 0 1 12 12V36Z", fill=look.head)
    if look.head == look.paper:
        sheet.shape(f"M0.75 36H{WIDTH_PX - 0.75}", stroke=look.rule, width=1.5)
    sheet.y = 25
    head = "EXAMPLE" if said.facts.example else "Energy rating"
    sheet.text(middle, head, size=19, bold=True, colour=look.on_head, across="middle")
    sheet.y = 36
    rating = said.rating
    if rating is None or rating.stars is None:
        sheet.move(34)
        sheet.text(middle, "NOT RATED", size=26, bold=True, colour=look.blue, across="middle")
    else:
        sheet.move(24)
        centres = [middle + (number - 2) * _STEP_PX for number in range(MOST_STARS)]
        stars(sheet, said, centres, sheet.y, _STAR_PX)
        sheet.move(_STAR_PX + 20)
        sheet.text(middle, f"{rating.stars} of {MOST_STARS} stars", size=20, bold=True, across="middle")
        if said.could_be:
            sheet.move(22)
            sheet.text(middle, said.could_be, size=19, across="middle")
    if said.shown is None:
        sheet.move(34)
        sheet.text(middle, "no energy", size=24, bold=True, across="middle")
        sheet.move(22)
        sheet.text(middle, "was measured", size=19, across="middle")
    else:
        sheet.move(34)
        sheet.text(middle, figure(said), size=26, bold=True, colour=look.blue, across="middle")
        sheet.move(22)
        sheet.text(middle, said.per, size=19, across="middle")
    sheet.move(12)
    _mark(sheet, said)
    sheet.move(8)
    return sheet.document(
        title=f"Energy rating of {said.model}",
        description=said.description,
        example=False,  # it stands in the head: across so small a label nothing could be read through it
        data=data,
    )


def figure(said: Said) -> str:
    """The figure without its doubt, which is in the words: there is no room for both. ``≈ 20.4 J``, ``below 3 J``."""
    assert said.shown is not None
    energy, unit = said.shown
    value, _, unit = with_doubt_in_parts(energy, unit)
    return f"{'' if reaches_zero(energy) else said.about}{value} {unit}"


# What stands at the foot: in the words of the label, cut to its room.
_MARKS = {"OWN TEST ITEMS": "OWN ITEMS"}


def mark_of(said: Said) -> str:
    """``MEASURED``, ``CONVERTED``, ``ESTIMATED`` …; empty where there is nothing that was."""
    mark = BADGES[said.rated_as] if said.rated_as is not None else ""
    return "EXAMPLE" if said.facts.example else _MARKS.get(mark, mark)


def _mark(sheet: Sheet, said: Said) -> None:
    """Measured in a round frame; converted and on own items white on dark, with corners; estimated and imported dashed."""
    look, mark = sheet.look, mark_of(said)
    if not mark:
        return
    x, width, height = MARGIN_PX + 6, WIDTH_PX - 2 * MARGIN_PX - 12, 28
    top = sheet.y
    if said.rated_as == "measured":
        sheet.box(x, top, width, height, stroke=look.blue, round_px=14)
        colour = look.blue
    elif said.rated_as in ("estimated", "imported"):
        corners = [(x, top), (x + width, top), (x + width, top + height), (x, top + height)]
        sheet.shape(dashes(corners), stroke=look.ink, width=2)
        colour = look.ink
    else:
        sheet.box(x, top, width, height, fill=look.ink)
        colour = look.paper
    sheet.move(20.5)
    sheet.text(WIDTH_PX / 2, mark, size=18.5, bold=True, colour=colour, across="middle", room=width - 8)
    sheet.y = top + height


def dashes(corners: Sequence[Point], dash_px: float = 7.0, gap_px: float = 4.0) -> str:
    """The outline of a shape in dashes, each a stroke of its own."""
    path = ""
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        at = 0.0
        while at < length:
            end = min(at + dash_px, length)
            a, b = at / length, end / length
            path += f"M{x1 + a * (x2 - x1):.2f} {y1 + a * (y2 - y1):.2f}L{x1 + b * (x2 - x1):.2f} {y1 + b * (y2 - y1):.2f}"
            at = end + gap_px
    return path


# ------------------------------------------------------------------------------------------------------------ the stars


def stars(
    sheet: Sheet, said: Said, centres: Sequence[float], y: float, radius: float, *, ink: str | None = None
) -> None:
    """Each star as sure as it is: solid or empty where nothing else can be; half and dashed where the doubt could take or give it."""
    rating = said.rating
    assert rating is not None
    earned = rating.stars or 0
    low, high = rating.could_be or (earned, earned)
    colour = ink or sheet.look.blue
    for number, x in enumerate(centres, start=1):
        _star(sheet, x, y, radius, colour, said, earned=number <= earned, open_=low < number <= high)


def _star(
    sheet: Sheet, x: float, y: float, radius: float, colour: str, said: Said, *, earned: bool, open_: bool
) -> None:
    outline = star(x, y, radius)
    kind = f"star {'open' if open_ else 'filled' if earned else 'empty'}"
    thin = max(radius / 11, 0.8)
    # What was converted is a smaller star within an outline, however sure it is.
    inner = 0.68 if said.rated_as in ("normalised", "indicative") else 1.0
    if open_:
        if earned:
            half = [(min(px, x), py) for px, py in star(x, y, radius * inner)]
            sheet.shape(closed(half), fill=colour)
        sheet.shape(dashes(outline, radius / 5, radius / 7), stroke=colour, width=thin, kind=kind)
        return
    solid = earned and inner == 1.0 and said.rated_as == "measured"
    sheet.shape(closed(outline), fill=colour if solid else "none", stroke=colour, width=thin, kind=kind)
    if not earned or solid:
        return
    if said.rated_as == "estimated":
        sheet.shape(hatching(outline, radius / 4), stroke=colour, width=thin)
    else:
        sheet.shape(closed(star(x, y, radius * inner)), fill=colour)
