"""The section in the README that a framework writes and writes again: put there, and put back where it was lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from energy_rating.files.opening import read_beginning
from energy_rating.files.whole import write_whole
from energy_rating.judging.footprint.carbon import Impact, footprint, zone_of
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import TRAINING, Record
from energy_rating.publishing import card, card_files, splice


def put(path: Path, records: Sequence[Record], *, before: str | None = None) -> bool:
    """The section of these records into a card; without a record, that which the card held before. Says whether one stands there now.

    Raises:
        BadInput: the card cannot be changed without touching anything else; it is then as it was.
    """
    if records:
        card_files.update_card_file(
            path, records, ratings=[rate(record) for record in records], impact=_carbon(path, records)
        )
        return True
    text = read(path)
    if text is None:
        return False
    if splice.section_of(text) is not None:
        return True
    if before is None or splice.section_of(before) is None:
        return False
    write_whole(path, card.put_back(text, before).encode())
    return True


def read(path: Path) -> str | None:
    """What a card holds; None where there is none that can be read."""
    try:
        return read_beginning(path, card.LARGEST_CARD).decode() if path.is_file() else None
    except (OSError, UnicodeDecodeError):
        return None


def _carbon(path: Path, records: Sequence[Record]) -> list[Impact] | None:
    """The carbon of the trainings among them, where each says in which zone it ran, and nobody else has written emissions."""
    training = [record for record in records if record.stage in TRAINING]
    if not training or any(zone_of(one) is None for one in training) or card_files.emissions_of_others(path):
        return None
    try:
        found = [footprint(one) for one in training]
    except (BadInput, EnergyRatingError):  # of a place without a factor nothing is said
        return None
    return None if any(one.validity == "invalid" for one in found) else found
