"""A run as a contribution to a collection: a folder that can be verified, the text of a pull request, and the workflow by which a collection verifies.

Nothing is sent. Whoever contributes sees all that would be public before it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from energy_rating.files.journal import rank_files
from energy_rating.files.opening import opened, read_whole
from energy_rating.files.reading import journal_in
from energy_rating.files.record import RECORD_NAME
from energy_rating.files.whole import write_whole
from energy_rating.judging.evidence import load
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record
from energy_rating.publishing.facts import Facts, facts_of, one_line
from energy_rating.publishing.folder import publish
from energy_rating.publishing.strangers import for_markdown, for_plain_text
from energy_rating.publishing.verification import verify
from energy_rating.version import __version__

TEXT_NAME = "PULL_REQUEST.md"
WORKFLOW = Path(__file__).parent / "contributions.yml"
LARGEST_WORKFLOW = 1 << 16
# What the places where collections are kept take of one file (100 MB), with room.
LARGEST_JOURNAL = 90_000_000

_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """What was prepared: ``folder`` goes into the collection, ``text`` is the pull request's. ``title`` is its first line."""

    folder: Path
    text: Path
    title: str
    files: tuple[Path, ...]


def prepare(run: Path, output: Path, *, collection: str = "reports") -> Submission:
    """Makes a contribution of a run's folder in a new one, after it was verified there.

    Raises:
        BadInput: the run has no journal, does not match it, was imported, or is too large; or there is something in the way.
    """
    checked_collection(collection)
    journal = journal_in(run)
    record = load(run)
    _refuse(record, run, journal)
    facts = facts_of(record, rate(record))
    name = _name(record)
    folder = output / collection / name
    if folder.exists():
        raise BadInput(
            "there is something already", "Remove it, or name another folder with -o", place=folder
        )
    folder.mkdir(parents=True)
    # What other ranks counted is part of what the record follows from.
    for source in (journal, run / RECORD_NAME, *rank_files(run).values()):
        with opened(source) as file:
            write_whole(folder / source.name, file.read())
    publish(folder, record, rate(record))
    found = verify(folder, strict=True)
    if not found.agrees or not found.plausible:
        doubts = [f"{one.code}: {one.message}" for one in found.findings if one.severity != "note"]
        why = [*(str(one) for one in found.differences[:3]), *doubts[:3]] or [found.cannot]
        raise BadInput(
            f"what was prepared would not be taken: {'; '.join(why)}",
            f"See: energy-rating verify --strict {run}",
            place=folder,
        )
    files = tuple(sorted(path for path in folder.iterdir() if path.is_file()))
    title = _title(facts)
    text = output / TEXT_NAME
    write_whole(text, _text(facts, title, f"{collection}/{name}", files).encode())
    return Submission(folder=folder, text=text, title=title, files=files)


def _refuse(record: Record, run: Path, journal: Path) -> None:
    if record.origin == "imported":
        raise BadInput("an imported run has no journal that anybody could check", "Measure it", place=run)
    size = journal.stat().st_size
    if size > LARGEST_JOURNAL:
        raise BadInput(
            f"the journal has {size / 1e6:,.0f} MB; a contribution may have {LARGEST_JOURNAL / 1e6:,.0f}",
            f"Pack it: gzip {journal}",
            place=journal,
        )


def checked_collection(name: str) -> str:
    """The name of a collection's folder inside its repository.

    Raises:
        BadInput: it is none.
    """
    if _COLLECTION.fullmatch(name) is None:
        raise BadInput("must be a folder's name inside a repository, such as reports", place="--collection")
    return name


def workflow(collection: str) -> str:
    """The text of the workflow that verifies contributions to such a collection, with this version."""
    text = read_whole(WORKFLOW, LARGEST_WORKFLOW).decode()
    return text.replace("COLLECTION", checked_collection(collection)).replace("VERSION", __version__)


def _name(record: Record) -> str:
    """From the model's name and the run's id: the same run has the same place everywhere."""
    model = record.model.id if record.model is not None else record.stage
    words = re.sub(r"[^a-z0-9]+", "-", model.casefold()).strip("-")[:60].strip("-")
    run = re.sub(r"[^A-Za-z0-9-]+", "-", record.run_id)[:60].strip("-")
    return "-".join(part for part in (words, run) if part)


def _title(facts: Facts) -> str:
    record = facts.record
    model = (
        for_plain_text(record.model.id, 80) if record.model is not None else "a run without a model's name"
    )
    what = record.task.name if record.task is not None else record.stage
    return for_plain_text(f"Add {model}, {what}")


def _text(facts: Facts, title: str, place: str, files: Sequence[Path]) -> str:
    record, rating = facts.record, facts.rating
    devices = ", ".join(dict.fromkeys(for_markdown(device.name) for device in facts.machine))
    if rating is not None and rating.stars is not None:
        low, high = rating.could_be or (rating.stars, rating.stars)
        rated = f"{rating.stars} of 5 stars under scheme {rating.scheme}" + (
            f", could be {low} to {high}" if low != high else ""
        )
    else:
        rated = "not rated: " + (
            "; ".join(for_markdown(one.said) for one in facts.reasons) or "the record does not say why"
        )
    software = ", ".join(
        f"{for_markdown(name)} {for_markdown(version)}"
        for name, version in sorted(record.environment.software.items())
    )
    return "\n".join(
        (
            f"# {for_markdown(title)}",
            "",
            f"- Run: `{for_plain_text(record.run_id).replace('`', '')}`, {for_markdown(record.created)}",
            f"- In short: {for_markdown(one_line(facts), 600)}",
            f"- Rating: {rated}",
            f"- Devices: {devices or 'not told'}",
            f"- Place: {for_markdown(_place(record)) or 'not told'}",
            "",
            "## What becomes public with it",
            "",
            *(f"- `{place}/{path.name}` ({path.stat().st_size:,} bytes)" for path in files),
            "",
            f"The files say: the devices with their identifiers, a hash of the machine's name "
            f"({'there' if record.environment.host else 'not told'}), the software ({software or 'not told'}), every reading of the "
            "sensors with its time, and the work that was counted. No text that a model read or wrote, no user's name, no path.",
            "",
            "## Checked before it was sent",
            "",
            f"- `energy-rating verify --strict {place}` (version {__version__}): it matches its journal.",
            "- The collection makes all of it again, and does not ask for this verdict.",
            "- [ ] This is one of ___ runs of this model that were made (all of them count; say how many, and why this one).",
            "- [ ] I may publish it, and agree that it is published under the collection's licence.",
            "",
        )
    )


def _place(record: Record) -> str:
    place = record.place
    return ", ".join(filter(None, (place.zone, place.region, place.provider))) if place is not None else ""
