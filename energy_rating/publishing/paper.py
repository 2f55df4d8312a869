"""A sheet on which pictures of curves are drawn: text, lines and boxes by matplotlib's renderers, as PNG or as SVG.

Drawn without a figure of matplotlib's, whose axes and projections take longer to load than a picture to be drawn. All that can be seen is
set here, so that the user's own matplotlib settings do not show. What is drawn where is left to others.

An SVG of it stands inside a page: without styles of its own (a strict page lets none in), its colours by the names of ``THEME``, which the
page gives light and dark values; its identifiers are none, so that many stand on one page.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from energy_rating.nouns.records import Component

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.font_manager import FontProperties

Form = Literal["png", "svg"]
DPI = 100
POINTS_PER_INCH = 72

# Okabe and Ito, Color Universal Design, 2008 (jfly.uni-koeln.de/color): told apart with any colour vision.
COLOURS: Mapping[Component, str] = {
    "gpu": "#0072B2",
    "cpu": "#D55E00",
    "dram": "#009E73",
    "module": "#CC79A7",
    "host": "#E69F00",
    "wall": "#000000",
}
INK, QUIET_INK, RULE, LANE = "#1f2328", "#57606a", "#d3d9e0", "#c9d3df"
SHADES = ("#f1f4f8", "#e5eaf1", "#d9e0ea", "#cdd6e3")  # by how many windows of different names are open
LONGEST_TEXT = 300  # characters; no sheet is so wide

# Black is what SVG fills with where nothing is said, and matplotlib says nothing then.
_NEARLY_BLACK = "#010101"

# What a page calls the colours, so that it can give each a value for light, dark and print.
THEME: Mapping[str, str] = {
    **{colour.lower(): name for name, colour in COLOURS.items()},
    _NEARLY_BLACK: "wall",
    INK: "ink",
    QUIET_INK: "quiet",
    RULE: "rule",
    LANE: "lane",
    **{colour: f"shade-{number}" for number, colour in enumerate(SHADES, start=1)},
    "#ffffff": "paper",
}


class Paper:
    """A sheet of so many pixels to draw on; places are in pixels from its lower left corner."""

    def __init__(self, width_px: int, height_px: int, form: Form = "png") -> None:
        import matplotlib
        from matplotlib.backends.backend_agg import RendererAgg
        from matplotlib.font_manager import FontProperties

        self.width_px, self.height_px, self.form = width_px, height_px, form
        # A point is a pixel to the renderer of SVG.
        self._scale = DPI / POINTS_PER_INCH if form == "svg" else 1.0
        self._renderer = RendererAgg(width_px, height_px, DPI)  # type: ignore[no-untyped-call]
        self._artists: list[Artist] = []
        # The fonts that come with matplotlib are the same everywhere.
        folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
        self._fonts = [
            FontProperties(fname=str(folder / name)) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
        ]

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int,
        colour: str = INK,
        bold: bool = False,
        across: Literal["left", "center", "right"] = "left",
        upright: bool = False,
    ) -> None:
        """Text as it is written, without markup, about the height ``y``; cut where it would leave the sheet."""
        from matplotlib.text import Text
        from matplotlib.transforms import IdentityTransform

        artist = Text(
            x,
            y,
            self.fitting(text, size=size, room=self.width_px - x, bold=bold) if across == "left" else text,
            color=self._colour(colour),
            fontproperties=self._font(size * self._scale, bold),
            horizontalalignment=across,
            verticalalignment="center_baseline",
            rotation=90 if upright else 0,
            rotation_mode="anchor",
            parse_math=False,
            usetex=False,
            antialiased=True,
        )
        artist.set_figure(_Resolution(POINTS_PER_INCH if self.form == "svg" else DPI))  # type: ignore[arg-type]
        artist.set_transform(IdentityTransform())
        self._artists.append(artist)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        *,
        width: float,
        dashed: bool = False,
        opacity: float = 1.0,
    ) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.transforms import IdentityTransform

        artist = Line2D(
            [x for x, _ in points],
            [y for _, y in points],
            color=self._colour(colour),
            linewidth=width * self._scale,
            linestyle=(0, (4 / width, 2.5 / width)) if dashed else "-",
            alpha=opacity,
            antialiased=True,
            marker="none",
            solid_capstyle="projecting",
            solid_joinstyle="miter",
            dash_capstyle="butt",
            dash_joinstyle="miter",
        )
        artist.set_transform(IdentityTransform())
        self._artists.append(artist)

    def box(
        self, left: float, bottom: float, right: float, top: float, colour: str, *, opacity: float = 1.0
    ) -> None:
        from matplotlib.patches import Rectangle
        from matplotlib.transforms import IdentityTransform

        artist = Rectangle(
            (left, bottom),
            right - left,
            top - bottom,
            facecolor=self._colour(colour),
            linewidth=0,
            alpha=opacity,
        )
        artist.set_transform(IdentityTransform())
        self._artists.append(artist)

    def boxes(
        self, places: Iterable[tuple[float, float, float, float]], colour: str, *, opacity: float = 1.0
    ) -> None:
        """Many boxes of one colour (left, bottom, right, top); in an SVG they are one shape."""
        if self.form == "png":
            for place in places:
                self.box(*place, colour, opacity=opacity)
            return
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Shape
        from matplotlib.transforms import IdentityTransform

        corners: list[tuple[float, float]] = []
        for left, bottom, right, top in places:
            corners += [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        if not corners:
            return
        codes = [Shape.MOVETO, Shape.LINETO, Shape.LINETO, Shape.LINETO, Shape.CLOSEPOLY] * (
            len(corners) // 5
        )
        artist = PathPatch(Shape(corners, codes), facecolor=self._colour(colour), linewidth=0, alpha=opacity)
        artist.set_transform(IdentityTransform())
        self._artists.append(artist)

    def _colour(self, colour: str) -> str:
        return _NEARLY_BLACK if self.form == "svg" and colour == COLOURS["wall"] else colour

    def width(self, text: str, *, size: int, bold: bool = False) -> float:
        font = self._font(size, bold)
        extent = self._renderer.get_text_width_height_descent(text, font, ismath=False)  # type: ignore[no-untyped-call]
        return float(extent[0])

    def fitting(self, text: str, *, size: int, room: float, bold: bool = False) -> str:
        """The text in one line, cut to the room, with a box for what the font does not have."""
        text = "".join(self._drawable(character, bold) for character in text[:LONGEST_TEXT])
        if self.width(text, size=size, bold=bold) <= room:
            return text
        cut = bisect_right(
            range(len(text)), room, key=lambda count: self.width(f"{text[:count]}…", size=size, bold=bold)
        )
        return f"{text[: max(cut - 1, 0)]}…"

    def _drawable(self, character: str, bold: bool) -> str:
        from matplotlib.font_manager import get_font

        if not character.isprintable():
            return " "
        return (
            character if get_font(str(self._fonts[bold].get_file())).get_char_index(ord(character)) else "□"
        )

    def _font(self, size: float, bold: bool) -> FontProperties:
        font = self._fonts[bold].copy()
        font.set_size(size)
        return font

    def png(self) -> bytes:
        """What was drawn, on white; text over lines over boxes, as matplotlib's own figures have it."""
        from matplotlib.patches import Rectangle
        from PIL import Image, PngImagePlugin

        paper = Rectangle(
            (0, 0), self.width_px, self.height_px, facecolor="white", linewidth=0, antialiased=False
        )
        for artist in (paper, *sorted(self._artists, key=lambda one: one.get_zorder())):
            artist.draw(self._renderer)
        pixels = self._renderer.buffer_rgba()  # type: ignore[no-untyped-call]
        picture = Image.frombuffer("RGBA", (self.width_px, self.height_px), pixels, "raw", "RGBA", 0, 1)
        file = io.BytesIO()
        picture.save(file, format="png", pnginfo=PngImagePlugin.PngInfo(), dpi=(DPI, DPI))
        return file.getvalue()

    def svg(self, *, title: str, words: str) -> str:
        """What was drawn as an SVG to stand in a page: its title and its words are what is read out in its place."""
        import matplotlib
        from matplotlib.backends.backend_svg import RendererSVG

        file = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "", "path.simplify": False}):
            renderer = RendererSVG(  # type: ignore[no-untyped-call]
                self.width_px, self.height_px, file, image_dpi=DPI, metadata={"Date": None}
            )
            for artist in sorted(self._artists, key=lambda one: one.get_zorder()):
                artist.draw(renderer)
            renderer.finalize()  # type: ignore[no-untyped-call]
        drawn = "".join(_plain(found) for found in _ELEMENT.finditer(file.getvalue()))
        return (
            f'<svg viewBox="0 0 {self.width_px} {self.height_px}" role="img" aria-label="{escape(f"{title}. {words}")}">'
            f"{drawn}</svg>"
        )


# What matplotlib writes of a sheet: paths and lines of text, in groups without a meaning.
_ELEMENT = re.compile(r"<path (?P<path>[^>]*)/>|<text (?P<text>[^>]*)>(?P<words>[^<]*)</text>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
_KEPT = ("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity")


def _plain(found: re.Match[str]) -> str:
    """An element of matplotlib's with attributes in the place of a style, colours by name, and no more digits than are seen."""
    said = dict(_ATTRIBUTE.findall(found["path"] or found["text"]))
    style = {
        name.strip(): value.strip()
        for name, _, value in (part.partition(":") for part in said.pop("style", "").split(";"))
        if value
    }
    told: dict[str, Any] = {}
    for name in _KEPT:
        if name in style:
            value = style[name]
            told[name] = f"var(--{THEME[value]})" if value in THEME else value
    if "opacity" in told and float(told["opacity"]) >= 1:
        del told["opacity"]
    if found["path"]:
        course = "".join(_NUMBER.sub(_short, part) for part in said["d"].split("\n"))
        told["d"] = re.sub(r" ?([MLzZ]) ?", r"\1", course).strip()
        return f"<path {_attributes(told)}/>"
    told["x"], told["y"] = (_NUMBER.sub(_short, said[name]) for name in ("x", "y"))
    # Only as much is said of the font as is not that of matplotlib: ``font: 700 19px 'DejaVu Sans'``, or its parts.
    font = f"{style.get('font-weight', '')} {style.get('font-size', '')} {style.get('font', '')}"
    told["font-size"] = _NUMBER.sub(_short, next(re.finditer(r"[\d.]+(?=px)", font))[0])
    if re.search(r"\b(bold|700)\b", font):
        told["font-weight"] = "700"
    if "text-anchor" in style:
        told["text-anchor"] = style["text-anchor"]
    if not said.get("transform", "rotate(-0").startswith("rotate(-0"):
        told["transform"] = _NUMBER.sub(_short, said["transform"])
    return f"<text {_attributes(told)}>{found['words']}</text>"


def _attributes(told: Mapping[str, str]) -> str:
    return " ".join(f'{name}="{value}"' for name, value in told.items())


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


class _Resolution:
    """What text asks its figure for, where there is none."""

    def __init__(self, dpi: int) -> None:
        self.dpi = dpi

    def get_figure(self, root: bool | None = None) -> _Resolution:  # noqa: ARG002
        return self
