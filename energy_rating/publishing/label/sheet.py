"""A sheet of SVG: text that fits its room, boxes, stars, hatching. Knows nothing of ratings."""

from __future__ import annotations

import functools
import importlib.util
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from energy_rating.publishing.label.letters import font
from energy_rating.publishing.names import LookName

Point = tuple[float, float]
WIDTH_PX = 400
MARGIN_PX = 24
ROOM_PX = WIDTH_PX - 2 * MARGIN_PX

# One dark blue and greys: on white and on the panel all text has a contrast of 6:1 or more (WCAG 2.2, 1.4.3 asks for 4.5:1).
BLUE, INK, QUIET_INK = "#12305a", "#16202e", "#465264"
PAPER, PANEL, RULE, HATCH = "#ffffff", "#edf1f7", "#c3ccd9", "#d8dee7"


@dataclass(frozen=True, kw_only=True, slots=True)
class Colours:
    """The colours of a label. On paper and on the panel all text has a contrast of 6:1 or more; ``head`` is what the name of the label stands on."""

    blue: str
    ink: str
    quiet_ink: str
    paper: str
    panel: str
    rule: str
    hatch: str
    head: str
    on_head: str


# Print has no grey that a copier could lose, and no large dark surface.
LOOKS: Mapping[LookName, Colours] = {
    "light": Colours(
        blue=BLUE,
        ink=INK,
        quiet_ink=QUIET_INK,
        paper=PAPER,
        panel=PANEL,
        rule=RULE,
        hatch=HATCH,
        head=BLUE,
        on_head=PAPER,
    ),
    "dark": Colours(
        blue="#a9cbff",
        ink="#edf2f8",
        quiet_ink="#b8c4d3",
        paper="#10161f",
        panel="#1c2634",
        rule="#475467",
        hatch="#2b3747",
        head="#24446f",
        on_head="#ffffff",
    ),
    "print": Colours(
        blue="#000000",
        ink="#000000",
        quiet_ink="#222222",
        paper="#ffffff",
        panel="#ffffff",
        rule="#000000",
        hatch="#bbbbbb",
        head="#ffffff",
        on_head="#000000",
    ),
}
LIGHT = LOOKS["light"]

# The DejaVu fonts come with matplotlib and are the same everywhere. Verdana, which most machines have, is as wide.
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
_FONTS_INSIDE = "mpl-data/fonts/ttf"
FAMILIES = "'DejaVu Sans', Verdana, Geneva, sans-serif"


# ------------------------------------------------------------------------------------------------------------ sheet


class Sheet:
    """A sheet of fixed width that grows downwards; ``y`` is the base line of what is written next."""

    def __init__(
        self, look: Colours = LIGHT, *, width_px: int = WIDTH_PX, margin_px: int = MARGIN_PX
    ) -> None:
        self.look = look
        self.width_px, self.margin_px = width_px, margin_px
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

    def linked(self, place: int, href: str) -> None:
        """Makes what was drawn since that place a link, for who opens the picture itself."""
        self._elements.insert(place, f'<a href="{escape(href)}">\n')
        self._elements.append("</a>\n")

    def text(
        self,
        x: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        colour: str | None = None,
        across: Literal["start", "middle", "end"] = "start",
        room: float | None = None,
    ) -> None:
        """One line of text on the base line, shortened to the room (by default, all that there is)."""
        room = (
            room
            or {
                "start": self.width_px - self.margin_px - x,
                "middle": self.width_px - 2 * self.margin_px,
                "end": x - self.margin_px,
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
            f'<text x="{_px(x)}" y="{_px(self.y)}" font-size="{_px(size)}" fill="{colour or self.look.ink}"{more}>{escape(text)}</text>\n'
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
        self._elements.append(shape_of(path, fill=fill, stroke=stroke, width=width, kind=kind))

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
        self._elements.append(box_at(x, y, width, height, fill=fill, stroke=stroke, round_px=round_px))

    def rule(self) -> None:
        self.move(12)
        self.shape(f"M{MARGIN_PX} {_px(self.y)}h{ROOM_PX}", stroke=self.look.rule)

    def document(
        self, *, title: str, description: str, example: bool, data: str = "", corner_px: float = 12
    ) -> str:
        """The whole, as it is written to a file; ``data`` is for programs, and not drawn."""
        height = math.ceil(self.y)
        frame = (0.75, 0.75, self.width_px - 1.5, height - 1.5)
        across = ""
        if example:
            angle = -math.degrees(math.atan2(height, self.width_px))
            across = (
                f'<text x="{self.width_px / 2:g}" y="{_px(height / 2)}" dy="36" font-size="104" font-weight="700" fill="{self.look.ink}" '
                f'fill-opacity="0.13" text-anchor="middle" transform="rotate({_px(angle)} {self.width_px / 2:g} {_px(height / 2)})"'
                f' aria-hidden="true">EXAMPLE</text>\n'
            )
        metadata = f"<metadata>{escape(data)}</metadata>\n" if data else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width_px}" height="{height}" '
            f'viewBox="0 0 {self.width_px} {height}" role="img" aria-labelledby="t d" xml:lang="en" '
            f'font-family="{escape(FAMILIES)}">\n'
            f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n{metadata}'
            f"{box_at(*frame, fill=self.look.paper, round_px=corner_px)}{''.join(self._elements)}{across}"
            f"{box_at(*frame, stroke=self.look.blue, line_px=1.5, round_px=corner_px)}</svg>\n"
        )


class _Letters:
    """How wide text is, in the fonts that it is drawn with."""

    def __init__(self) -> None:
        folder = font_folder()
        self._fonts = [font(folder / name) for name in FONTS]
        self._widths: dict[tuple[str, bool], float] = {}

    def width(self, text: str, *, size: float, bold: bool = False) -> float:
        """Pixels from the start to the end of a line."""
        return size * sum(self._width(character, bold) for character in text)

    def has(self, text: str, *, bold: bool = False) -> bool:
        """Whether the font has all the letters."""
        return all(self._fonts[bold].has(character) for character in text)

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
            # What the font does not have is mostly as wide as high (Chinese, Japanese, Korean).
            width = self._fonts[bold].width(character)
            self._widths[character, bold] = 1.0 if width is None else width
        return self._widths[character, bold]


@functools.cache
def font_folder() -> Path:
    """Where the fonts lie; matplotlib itself is loaded only where it keeps its data elsewhere than in its package."""
    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / _FONTS_INSIDE
        if all((folder / name).is_file() for name in FONTS):
            return folder
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts/ttf"


def escape(text: str) -> str:
    """Text as it stands in XML between tags."""
    return text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")


def shape_of(
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


def box_at(
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


def star(x: float, y: float, radius: float) -> list[Point]:
    """The ten corners of a star about a centre, from its upper tip on."""
    return [
        (
            x + radius * (0.45 if number % 2 else 1.0) * math.sin(number * math.pi / 5),
            y - radius * (0.45 if number % 2 else 1.0) * math.cos(number * math.pi / 5),
        )
        for number in range(10)
    ]


def closed(corners: Sequence[Point]) -> str:
    return f"M{'L'.join(f'{_px(x)} {_px(y)}' for x, y in corners)}Z"


def hatching(corners: Sequence[Point], step_px: float) -> str:
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
