"""The label as PNG, and whether two pictures show the same."""

from __future__ import annotations

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing.label import svg
from energy_rating.publishing.label.sheet import FONTS, WIDTH_PX, font_folder

NARROWEST_PX, WIDEST_PX = 100, 4000  # of a PNG
SHADED_OTHERWISE = 0.2  # of the way from black to white


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
            font_files=[str(font_folder() / name) for name in FONTS],
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
