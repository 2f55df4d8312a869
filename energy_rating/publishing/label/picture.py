"""The label as PNG, and whether two pictures show the same."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing.label import svg
from energy_rating.publishing.label.sheet import FONTS, WIDTH_PX, font_folder
from energy_rating.publishing.links import NO_LINKS, Links
from energy_rating.publishing.names import LookName, Size

NARROWEST_PX, WIDEST_PX = 100, 4000  # of a PNG
SHADED_OTHERWISE = 0.2  # of the way from black to white


# What a PNG says of itself beside what is drawn, so that a label that is passed on keeps its words (PNG, third edition, 11.3.3).
WORDS, DATA = "Description", "energy-rating"
LONGEST_TEXT = 1 << 20  # bytes of one text


def png(
    record: Record,
    rating: Rating,
    links: Links = NO_LINKS,
    beside: Mapping[str, int] | None = None,
    *,
    width_px: int = 2 * WIDTH_PX,
    look: LookName = "light",
    size: Size = "full",
) -> bytes:
    """The same label as a PNG of this width, in pixels; by default for a screen of double density. Its words are in it as text.

    Raises:
        BadInput: the width is not from 100 to 4000 pixels.
    """
    return drawn(svg(record, rating, links, beside, look=look, size=size), width_px=width_px)


def drawn(content: str, *, width_px: int = 2 * WIDTH_PX) -> bytes:
    """A label's SVG as PNG, with its words and data as text in it.

    Raises:
        BadInput: the width is not from 100 to 4000 pixels.
    """
    picture = drawn_alone(content, width_px=width_px)
    tree = ElementTree.fromstring(content)  # noqa: S314  it was made here
    told = {WORDS: tree.findtext(f"{_SVG}desc"), DATA: tree.findtext(f"{_SVG}metadata")}
    # Behind the header, which is the first chunk and has 13 bytes.
    return (
        picture[:_HEADER]
        + b"".join(_chunk(key, text) for key, text in told.items() if text)
        + picture[_HEADER:]
    )


def drawn_alone(content: str, *, width_px: int) -> bytes:
    """The same as a picture and nothing else, as 0.1.0 made it.

    Raises:
        BadInput: as ``drawn``.
    """
    if not NARROWEST_PX <= width_px <= WIDEST_PX:
        raise BadInput(
            f"a label of {width_px} pixels", f"Take {NARROWEST_PX} to {WIDEST_PX}", place="width_px"
        )
    import resvg_py

    # Without a font it would draw no text at all, and a system's own would make another picture on every machine.
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=content,
            skip_system_fonts=True,
            font_files=[str(font_folder() / name) for name in FONTS],
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
            width=width_px,
        )
    )


_HEADER = 8 + 12 + 13  # bytes of the signature and of the first chunk
_SVG = "{http://www.w3.org/2000/svg}"


def _chunk(key: str, text: str) -> bytes:
    """An iTXt chunk, not compressed: key, two zero flags, no language, no translated key, UTF-8."""
    content = b"iTXt" + key.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def texts(content: bytes) -> dict[str, str]:
    """The texts that a PNG carries in chunks that are not compressed, by their keys."""
    return dict(_texts(content))


def _texts(content: bytes) -> Iterator[tuple[str, str]]:
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            return
        if kind == b"iTXt" and length <= LONGEST_TEXT:
            key, _, rest = body.partition(b"\0")
            if rest[:2] == b"\0\0" and rest.count(b"\0") >= 4:
                text = rest[2:].split(b"\0", 2)[2]
                yield key.decode("latin-1"), text.decode(errors="replace")
        at += 12 + length


def _kinds(content: bytes) -> list[bytes]:
    """The kinds of chunks of a PNG in their order, those of the picture itself as one; at the end what is no chunk."""
    found: list[bytes] = []
    at = 8
    while at + 12 <= len(content) and found[-1:] != [b"IEND"]:
        kind = content[at + 4 : at + 8]
        found += [] if found[-1:] == [b"IDAT"] == [kind] else [kind]
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return [*found, content[at:]] if at != len(content) else found


def png_width(content: bytes) -> int | None:
    """The width of a PNG in pixels, from its header; None if it has none (RFC 2083, 3.2 and 4.1.1)."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 24:
        return None
    return int.from_bytes(content[16:20], "big")


def looks_like(content: bytes, drawn: bytes) -> bool:
    """Whether two PNG show the same picture. Another version of the renderer may shade an edge a little otherwise.

    A digit that was exchanged changes some pixels from paper to ink; what an edge is shaded by is a small part of that.
    """
    # Of one size and kind by their headers, before anything is unpacked: a few bytes can say that they are gigabytes.
    if content == drawn or content[:_HEADER] != drawn[:_HEADER]:
        return content == drawn
    # Nothing beside the picture: a browser would play the frames of an animation, or dye it by a profile, that are not looked at here.
    if _kinds(content) != _kinds(drawn):
        return False
    import io

    import numpy
    from matplotlib.image import imread

    try:
        one, other = (numpy.asarray(imread(io.BytesIO(item), format="png")) for item in (content, drawn))
    except (ValueError, SyntaxError, OSError, EOFError):
        return False  # it calls itself a PNG and is none
    return one.shape == other.shape and bool(numpy.abs(one - other).max(initial=0.0) <= SHADED_OTHERWISE)
