"""All that a run's folder shows, made from its journal and its record: trace, label, rating, and the section for a model card."""

from __future__ import annotations

import json
from pathlib import Path

from energy_rating.formats import RECORD_NAME, journal_in, read_journal, write_whole
from energy_rating.publishers import card, label, trace
from energy_rating.rating import rating_to_json
from energy_rating.records import Rating, Record

RATING_NAME = "rating.json"
RATING_SCHEMA = "energy-rating/rating/1"


def publish(folder: Path, record: Record, rating: Rating) -> tuple[Path, ...]:
    """Writes what is missing beside journal and record; returns all files, those to be looked at first.

    Raises:
        BadInput: the folder holds no journal, or cannot be written to.
    """
    journal = journal_in(folder)
    contents = {
        "label.png": label.png(record, rating),
        "label.svg": label.svg(record, rating).encode(),
        "card.md": card.section([(record, rating)], label="label.png").encode(),
        "trace.png": trace.plot(read_journal(journal)),
        RATING_NAME: _rating(rating).encode(),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return (*(folder / name for name in contents), folder / RECORD_NAME, journal)


def _rating(rating: Rating) -> str:
    """What ``rate --json`` prints, led by its schema."""
    content = {"schema": RATING_SCHEMA, **rating_to_json(rating)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
