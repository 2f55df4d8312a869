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
from energy_rating.publishing.links import NO_LINKS, Links


def svg(
    record: Record, rating: Rating, links: Links = NO_LINKS, beside: Mapping[str, int] | None = None
) -> str:
    """The label of a record under a rating, as an SVG document that needs nothing else. ``beside``: the other runs of a training's model,
    by role."""
    beside = beside or {}
    said = Said(facts=facts_of(record, rating), links=links, beside=beside)
    return draw(said, data.of_label(record, rating, links, beside))


def alt(record: Record, rating: Rating | None, beside: Mapping[str, int] | None = None) -> str:
    """The label in one sentence of plain text: what stands in for the picture. To be escaped where it is put."""
    return Said(facts=facts_of(record, rating), beside=beside or {}).sentence
