"""Label and card as 0.1.0 made them. What was published then is checked against these; nothing new is made with them, and nothing is
edited here: a label and a card of that version say by which scheme they were rated only in their words."""

from __future__ import annotations

from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing.first_release.drawing import draw
from energy_rating.publishing.first_release.facts import facts_of


def svg(record: Record, rating: Rating) -> str:
    """The label that 0.1.0 drew of a record under a rating."""
    return draw(facts_of(record, rating))


def alt(record: Record, rating: Rating | None) -> str:
    """The words that 0.1.0 put in the place of the picture."""
    return facts_of(record, rating or _UNRATED).sentence


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
