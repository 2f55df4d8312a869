"""All that a run's folder shows, made from its journal and its record: trace, label, and the section for a model card."""

from __future__ import annotations

from pathlib import Path

from energy_rating.formats import RECORD_NAME, journal_in, read_journal, write_whole
from energy_rating.publishers import card, label, trace
from energy_rating.records import Rating, Record


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
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return (*(folder / name for name in contents), folder / RECORD_NAME, journal)
