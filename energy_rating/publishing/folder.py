"""All that a run's folder shows, made from its journal and its record: trace, label, rating, and the section for a model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from energy_rating.files.reading import journal_in, read_journal
from energy_rating.files.record import RECORD_NAME
from energy_rating.files.whole import write_whole
from energy_rating.judging.profiles import profile_files, profile_for, profiles_naming
from energy_rating.judging.rating import RATING_SCHEMA, rating_to_json
from energy_rating.judging.schemes import SCHEMES, load_scheme
from energy_rating.judging.vintages import FIRST, VINTAGES
from energy_rating.nouns.records import Rating, Record
from energy_rating.publishing import card, label, trace
from energy_rating.publishing.label import picture
from energy_rating.version import __version__

RATING_NAME = "rating.json"


def publish(folder: Path, record: Record, rating: Rating) -> tuple[Path, ...]:
    """Writes what is missing beside journal and record; returns all files, those to be looked at first.

    Raises:
        BadInput: the folder holds no journal, or cannot be written to.
    """
    journal = journal_in(folder)
    contents = {
        "label.png": picture.png(record, rating),
        "label.svg": label.svg(record, rating).encode(),
        "card.md": card.section([(record, rating)], label="label.png").encode(),
        "trace.png": trace.plot(read_journal(journal)),
        RATING_NAME: _rating(record, rating).encode(),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return (*(folder / name for name in contents), folder / RECORD_NAME, journal)


def _rating(record: Record, rating: Rating) -> str:
    """What ``rate --json`` prints, led by its schema and followed by what it can be made again from."""
    content = {
        "schema": RATING_SCHEMA,
        **rating_to_json(rating),
        "provenance": {
            "version": __version__,
            "journal_sha256": record.provenance.journal_sha256,
            "files": dict(_rests_on(record, rating)),
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _rests_on(record: Record, rating: Rating) -> Iterator[tuple[str, str]]:
    """The files that a rating rests on beside its record, and their SHA-256: the scheme, the vintage that it was converted by, and
    the profiles of the devices."""
    scheme = load_scheme(rating.scheme)
    yield f"schemes/{scheme.name}.toml", _sha256(SCHEMES / f"{scheme.name}.toml")
    if rating.conversion is not None and scheme.normalisation != FIRST:
        yield f"vintages/{scheme.normalisation}.toml", _sha256(VINTAGES / f"{scheme.normalisation}.toml")
    devices, files = record.environment.devices, profile_files()
    known = profiles_naming({device.name for device in devices})
    found = [profile_for(device.name, device.memory_gb, among=known) for device in devices]
    keys = {scheme.reference_device, *(profile.key for profile in found if profile is not None)}
    for key in sorted(keys):
        yield f"hardware_profiles/{key}.toml", _sha256(files[key])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
