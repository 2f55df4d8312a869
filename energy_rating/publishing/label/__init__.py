"""A rating as a label: one picture that can stand alone, as SVG, as PNG, and in words for who cannot see it.

A label states what it rests on: stars and the doubt of them, energy with its interval, boundary, hardware, software, load, protocol,
scheme, day, and the journal that it can be recomputed from. Measured, normalised and estimated figures differ in form, not only in
word; nothing is told by colour alone. Names are strangers' text: cleaned, measured, shortened to the room, and escaped.
"""

from __future__ import annotations

from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing.label.drawing import draw
from energy_rating.publishing.label.facts import facts_of


def svg(record: Record, rating: Rating) -> str:
    """The label of a record under a rating, as an SVG document that needs nothing else."""
    return draw(facts_of(record, rating))


def alt(record: Record, rating: Rating | None) -> str:
    """The label in one sentence of plain text: what stands in for the picture. To be escaped where it is put."""
    return facts_of(record, rating or _UNRATED).sentence


# What has not been rated, under whatever scheme.
_UNRATED = Rating(
    stars=None,
    could_be=None,
    index=None,
    energy_per_unit_j=None,
    unit=None,
    basis=None,
    status=None,
    scheme="",
    class_=None,
    protocol=None,
)
