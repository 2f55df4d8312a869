"""Whether what a run's folder shows follows from its journal: everything is made again, and compared to the last digit and letter.

The record is compared by ``evidence``; made again are also the rating under the scheme that the rating, the label or the card itself
names, the label with its words and its picture, and the whole section of a card, also one that lies elsewhere. What cannot be made from a
journal is said and not judged: the picture of the trace, and who made it all. With ``strict`` the journal is asked whether it can be true
at all (``plausibility``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from energy_rating.files import reading
from energy_rating.files.journal import JOURNAL_NAMES, rank_files
from energy_rating.files.nodes import NODES, has_nodes, node_folders
from energy_rating.files.record import RECORD_NAME, refuse_imported, refuse_journal_alone, which_run
from energy_rating.judging.evidence import MOST_DIFFERENCES, Difference, by_todays_rules, made_again
from energy_rating.judging.items import apart_from, cannot_be_checked
from energy_rating.judging.plausibility import implausible
from energy_rating.judging.profiles import profiles as all_profiles
from energy_rating.judging.summary import window_energies
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import MEASURED, Finding, Record, plain
from energy_rating.publishing.checking import MOST_TOLD, Checking, kind_of
from energy_rating.publishing.checking_shown import (
    CARD_NAME,
    LABEL_NAME,
    PICTURE_NAME,
    README_NAME,
    asks_for,
    check_cards,
    check_label,
    check_picture,
)
from energy_rating.publishing.folder import RATING_NAME
from energy_rating.version import __version__

# What is made from a record: where one of these is there, a record that is not is missing.
SHOWN = (RATING_NAME, LABEL_NAME, PICTURE_NAME, CARD_NAME)

# Findings that say that the journal itself is not whole. Whatever else agrees, they are told beside the verdict.
NOT_WHOLE = ("journal-damaged",)

# How what was asked is called among the files that were compared.
ITEMS = "items"

Verdict = Literal["matches", "differs", "cannot be checked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What came of it. ``checked``: the files that were compared; ``not_checked``: what nobody can tell from them; ``notes``: the rest.

    ``findings`` are reasons to doubt the journal itself, where those were asked for. ``added`` and ``dropped``: what today's rules say
    of a record that another version made and it does not, and the reverse; ``stricter``: what follows from the former. ``cannot``: why
    nothing could be made again, where it could not. ``damaged``: what of the journal could not be read.
    """

    folder: str
    made_by: str | None
    recomputed_by: str
    journal_sha256: str
    checked: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    strict: bool = False
    added: tuple[Finding, ...] = ()
    dropped: tuple[Finding, ...] = ()
    stricter: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    cannot: str = ""
    damaged: tuple[str, ...] = ()
    # As whoever makes something of it today is handed it; None where it does not follow from the journal. Not told in JSON.
    record: Record | None = field(default=None, compare=False, repr=False)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, nothing is missing, and all could be made again."""
        return not self.differences and not self.cannot

    @property
    def verdict(self) -> Verdict:
        """All in three words."""
        return "differs" if self.differences else "cannot be checked" if self.cannot else "matches"

    @property
    def plausible(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.severity == "note" for finding in self.findings)


def verify(
    folder: str | Path,
    *,
    strict: bool = False,
    tolerance: float = 0.0,
    calibration: str | Path | None = None,
    card: str | Path | None = None,
    items: Callable[[int | None], str] | None = None,
) -> Verification:
    """Makes everything in a run's folder again from its journal, and says what differs.

    Args:
        folder: of a run, with a ``journal.jsonl`` or ``.jsonl.gz``.
        strict: also say what speaks against the journal itself.
        tolerance: by how much numbers may differ, relative to the larger (0 to 1); 0 is not at all.
        calibration: the hardware profile with whose gains the record was made (``summarise --calibration``), if it was.
        card: a README.md elsewhere, whose section and ``co2_eq_emissions`` are to be held against this run.
        items: the hash of so many of the items that the run is said to have asked, from the first on, or of all of them (None), by whoever
            has them.

    Raises:
        BadInput: there is no journal, or nothing yet that was made from it, or not even its first line can be read; or the calibration is of no card of it.
    """
    if not 0 <= tolerance < 1:
        raise BadInput(f"must be from 0 to below 1; got {tolerance}", place="tolerance")
    folder = Path(folder)
    if not folder.is_dir():
        raise _no_run(folder)
    present = {name: kind_of(folder / name) for name in sorted(path.name for path in folder.iterdir())}
    journal_name = next((name for name in JOURNAL_NAMES if name in present), None)
    if journal_name is None and has_nodes(folder):
        return _verify_job(
            folder, present, strict=strict, tolerance=tolerance, calibration=calibration, card=card
        )
    if journal_name is None:
        refuse_imported(folder)
        shown = (
            folder / name for name in (CARD_NAME, README_NAME, LABEL_NAME, PICTURE_NAME) if name in present
        )
        named = next((told for path in shown if (told := asks_for(path))), "")
        raise BadInput(
            "cannot be checked: the folder holds no journal" + (f"; {named}" if named else ""),
            which_run(folder)
            or f"A run's folder holds {' or '.join(JOURNAL_NAMES)}; ask for it whoever published the figures",
            place=folder,
        )
    if present[journal_name] != "file":
        raise BadInput(
            f"is a {present[journal_name]}, not a file",
            "Put the file itself there",
            place=folder / journal_name,
        )
    if present.keys().isdisjoint((RECORD_NAME, *SHOWN)):
        try:
            refuse_journal_alone(folder)
        except BadInput as error:
            raise BadInput(f"cannot be checked: {error.message}", error.remedy, place=error.place) from None
    journal = reading.read_journal(folder / journal_name)
    gains = None if calibration is None else Path(calibration)
    readme = _readme(card)
    checking = Checking(folder, present, journal, made_again(journal, gains), tolerance, gains)
    _check_all(checking, readme)
    if items is not None and not checking.cannot:
        apart = apart_from(journal, items)
        if apart is None:
            checking.checked.append(ITEMS)
        else:
            checking.differs(ITEMS, *apart)
    findings: tuple[Finding, ...] = ()
    if strict:
        energies = window_energies(journal, MEASURED)
        findings = implausible(journal, checking.record, all_profiles(), energies)
        # What keeps a run from being used by today's rules does so whatever the version of the record that lacks it; it may be made up.
        barred = [one for one in checking.added if one.severity == "disqualifies" and one not in findings]
        findings = (*findings, *barred)
    return _verification(
        checking,
        sha256=journal.sha256,
        strict=strict,
        findings=findings,
        not_checked=_not_checked(checking, journal_name, items_given=items is not None),
    )


def _readme(card: str | Path | None) -> Path | None:
    readme = None if card is None else Path(card)
    if readme is not None and not readme.is_file():
        raise BadInput("is not a file", "Name the README.md that holds the section", place=readme)
    return readme


def _verify_job(
    folder: Path,
    present: Mapping[str, str],
    *,
    strict: bool,
    tolerance: float,
    calibration: str | Path | None,
    card: str | Path | None,
) -> Verification:
    """The folder of a job: each of its hosts by itself, and the whole from what their journals give.

    Raises:
        BadInput: nothing was made of it yet, or what was made of a host's journal cannot be checked.
    """
    from energy_rating.judging.merging import merge

    if calibration is not None:
        raise BadInput("gains are of single hosts", "Verify these each by itself", place=folder)
    if RECORD_NAME not in present:
        raise BadInput(
            "cannot be checked: no record of the whole is there",
            f"Make it with: energy-rating merge {folder}",
            place=folder,
        )
    hosts = node_folders(folder)
    again = [(made_again(reading.read_journal(place)), str(place)) for place in hosts.values()]
    whole = merge(again)
    checking = Checking(folder, present, None, whole, tolerance, None)
    _check_all(checking, _readme(card))
    findings: list[Finding] = []
    for place in hosts.values():
        name = f"{NODES}/{place.name}"
        if not (place / RECORD_NAME).is_file():
            checking.notes.append(f"{name} has a journal only: the host was killed before it had a record")
            continue
        found = verify(place, strict=strict, tolerance=tolerance)
        checking.checked.append(f"{name} ({', '.join(found.checked)})")
        checking.differences += [replace(one, file=f"{name}/{one.file}") for one in found.differences]
        checking.notes += [f"{name}: {one}" for one in found.notes]
        findings += [replace(one, message=f"{name}: {one.message}") for one in found.findings]
        if found.cannot and not checking.cannot:
            checking.cannot = f"{name}: {found.cannot}"
    return _verification(
        checking,
        sha256=whole.provenance.journal_sha256,
        strict=strict,
        findings=tuple(findings),
        not_checked=_not_checked(checking, NODES, items_given=False),
    )


def _verification(
    checking: Checking,
    *,
    sha256: str,
    strict: bool,
    findings: tuple[Finding, ...],
    not_checked: Iterator[str],
) -> Verification:
    return Verification(
        folder=str(checking.folder),
        made_by=checking.made_by,
        recomputed_by=__version__,
        journal_sha256=sha256,
        checked=tuple(checking.checked),
        differences=tuple(checking.differences[:MOST_DIFFERENCES]),
        notes=tuple(dict.fromkeys(checking.notes)),
        findings=findings,
        strict=strict,
        added=checking.added,
        dropped=checking.dropped,
        stricter=tuple(_stricter(checking.record, checking.added)),
        not_checked=tuple(dict.fromkeys(not_checked)),
        cannot=checking.cannot,
        damaged=tuple(one.message for one in checking.record.findings if one.code in NOT_WHOLE),
        record=checking.as_today if not checking.differences and not checking.cannot else None,
    )


def _no_run(path: Path) -> BadInput:
    """What stands in the place of a run's folder: a label or a card alone is a claim, and says at most what it was made from."""
    if path.is_file() and (named := asks_for(path)):
        more = f" --card {path}" if path.suffix == ".md" else ""
        return BadInput(
            f"cannot be checked alone: {named}",
            f"Put journal and record of that run into a folder, and run: energy-rating verify FOLDER{more}",
            place=path,
        )
    return BadInput("is not a folder", "Name the folder of a run", place=path)


def _check_all(checking: Checking, readme: Path | None) -> None:
    checking.check_record()
    if checking.cannot:
        return
    checking.check_rating()
    check_label(checking)
    check_cards(checking, readme)
    check_picture(checking)


def _stricter(record: Record, added: Sequence[Finding]) -> Iterator[str]:
    """What today's rules make of each measurement, where that is less than it was."""
    for was, now in zip(record, by_todays_rules(record, added), strict=True):
        if was.validity != now.validity:
            yield f"{was.name!r}: {was.validity} as published, {now.validity} by today's rules"


def _not_checked(checking: Checking, journal_name: str, *, items_given: bool) -> Iterator[str]:
    """``journal_name``: of two journals, the one that was read; of a job the folder of its hosts."""
    # What other ranks counted is part of what the record was made again from.
    journal = checking.journal
    ranks = {
        path.name
        for name, path in rank_files(Path(checking.folder)).items()
        if journal is not None and name in journal.others
    }
    known = {journal_name, RECORD_NAME, RATING_NAME, LABEL_NAME, PICTURE_NAME, CARD_NAME, README_NAME, *ranks}
    others = [name for name in checking.present if name not in known and not name.startswith(".")]
    if others and not checking.cannot:
        yield ", ".join(others[:MOST_TOLD]) + (", …" if len(others) > MOST_TOLD else "")
    yield from checking.not_checked
    if (
        journal is not None
        and not checking.cannot
        and not items_given
        and (told := cannot_be_checked(journal))
    ):
        yield told
    yield from ("who made it", "whether the measurement took place")


def verification_to_json(found: Verification) -> dict[str, Any]:
    """What ``verify --json`` prints."""
    entry: dict[str, Any] = plain(replace(found, record=None))
    del entry["record"]
    told = {"agrees": found.agrees, "verdict": found.verdict}
    return {**told, "plausible": found.plausible if found.strict else None, **entry}


def verification_to_text(found: Verification) -> str:
    """The same in lines for a person, the verdict last."""
    lines = [str(difference) for difference in found.differences]
    lines += [f"note: {note}" for note in found.notes]
    lines += [_said(finding) for finding in found.findings]
    for what, findings in (("add", found.added), ("no longer say", found.dropped)):
        told = "; ".join(f"{item.code} ({item.severity}): {item.message}" for item in findings)
        lines += [f"Today's rules {what}: {told}"] if told else []
    lines += [f"By today's rules {stricter}" for stricter in found.stricter]
    lines.append(f"Journal, uncompressed: SHA-256 {found.journal_sha256}")
    if found.strict and found.plausible:
        lines.append(NO_CONTRADICTION)
    lines += [f"The journal is damaged: {told}" for told in found.damaged]
    lines.append(_verdict(found))
    lines.append(f"Not checked: {'; '.join(found.not_checked)}")
    return "\n".join(lines)


NO_CONTRADICTION = "No physical contradiction found. This does not prove that the measurement took place"


def _verdict(found: Verification) -> str:
    """One line for people."""
    if found.verdict == "cannot be checked":
        return f"Cannot be checked: {found.cannot}"
    if found.verdict == "differs":
        several = f"{len(found.differences)} differences" if len(found.differences) > 1 else "1 difference"
        return f"Does not match its journal: {several}"
    which = ", as far as that can be read" if found.damaged else ""
    told = f"Matches its journal{which}: {', '.join(found.checked)}"
    if found.strict and not found.plausible:
        doubts = sum(finding.severity != "note" for finding in found.findings)
        told += f". But the journal itself is hard to believe: {doubts} finding{'s' if doubts > 1 else ''}"
    return told


def _said(finding: Finding) -> str:
    remedy = f". {finding.remedy}" if finding.remedy else ""
    return f"{finding.severity}: {finding.code}: {finding.message}{remedy}"
