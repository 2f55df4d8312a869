"""A rating as a label: one picture that can stand alone, as SVG, as PNG, and in words for who cannot see it.

A label states what it rests on: stars and the doubt of them, energy with its interval, what is in it and what is not, hardware,
software, load, protocol, scheme, day, where its journal is and how to check it. Measured, converted and estimated figures differ in
form, not only in word; nothing is told by colour alone. Names are strangers' text: cleaned, measured, shortened to the room, and escaped.
"""

from __future__ import annotations

from collections.abc import Mapping

from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing import data
from energy_rating.publishing.facts import facts_of
from energy_rating.publishing.label.drawing import draw
from energy_rating.publishing.label.said import Said
from energy_rating.publishing.label.sheet import LOOKS
from energy_rating.publishing.label.small import draw_small
from energy_rating.publishing.links import NO_LINKS, Links
from energy_rating.publishing.names import LookName, Size


def svg(
    record: Record,
    rating: Rating,
    links: Links = NO_LINKS,
    beside: Mapping[str, int] | None = None,
    *,
    look: LookName = "light",
    size: Size = "full",
) -> str:
    """The label of a record under a rating, as an SVG document that needs nothing else.

    Args:
        record: what was measured.
        rating: its stars, or why it has none.
        links: where the journal lies, and where it is told what the stars mean.
        beside: the other runs of a training's model, by role.
        look: for a light or a dark page, or for print in black alone.
        size: all that it rests on, or (``small``) only what has to be legible at 100 pixels.
    """
    beside = beside or {}
    said = Said(facts=facts_of(record, rating), links=links, beside=beside)
    made_with = data.of_label(record, rating, links, beside, look=look, size=size)
    return (draw_small if size == "small" else draw)(said, made_with, LOOKS[look])


def alt(record: Record, rating: Rating | None, beside: Mapping[str, int] | None = None) -> str:
    """The label in one sentence of plain text: what stands in for the picture. To be escaped where it is put."""
    return Said(facts=facts_of(record, rating), beside=beside or {}).sentence
