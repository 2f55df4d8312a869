"""Whether what a run's folder shows follows from its journal: everything is made again, and compared to the last digit.

The record is compared by ``evidence``; recomputed are also the rating under the scheme that the rating, the label or the card itself names, the words of the label
and its picture, and each row of the card. What cannot be made from a journal is said and not judged: the picture of the trace, and
grams of carbon whose country is not told. With ``strict`` the journal is asked whether it can be true at all (``plausibility``).

The files of a folder are strangers' data: none is opened through a link, none is read beyond a bound, and a name that stands in one of
them is never taken for a path.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from xml.etree import ElementTree

from energy_rating.files import reading
from energy_rating.files.journal import JOURNAL_NAMES
from energy_rating.files.reading import Journal
from energy_rating.files.record import RECORD_NAME, record_from_json, refuse_journal_alone
from energy_rating.files.shipped import TASKS
from energy_rating.files.strict import json_object
from energy_rating.judging.evidence import (
    MOST_DIFFERENCES,
    OTHER_ARITHMETIC,
    Difference,
    Following,
    by_todays_rules,
    compared,
    differences_between,
    gains_of,
    is_list,
    is_of_another_version,
    made_again,
)
from energy_rating.judging.footprint.carbon import Impact, footprint, zone_named
from energy_rating.judging.plausibility import implausible
from energy_rating.judging.profiles import profile_files
from energy_rating.judging.profiles import profiles as all_profiles
from energy_rating.judging.rating import RATING_SCHEMA, rate, rating_to_json
from energy_rating.judging.schemes import SCHEMES
from energy_rating.judging.summary import window_energies
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import MEASURED, Finding, Rating, Record, plain
from energy_rating.publishing import card, label, splice, words
from energy_rating.publishing.folder import RATING_NAME
from energy_rating.publishing.label import picture
from energy_rating.version import __version__

LARGEST_FILE = 16 << 20  # bytes of a label, a card or a rating
MOST_TOLD = 10  # files that are not judged, sentences that read otherwise
MOST_WORDS = 1000  # of a label, which has some fifty

CARD_NAME, README_NAME, LABEL_NAME, PICTURE_NAME = "card.md", "README.md", "label.svg", "label.png"
# What is made from a record: where one of these is there, a record that is not is missing.
SHOWN = (RATING_NAME, LABEL_NAME, PICTURE_NAME, CARD_NAME)

# Where the files that a record or a rating rests on are found, by the folder that their names begin with.
SHIPPED = {"tasks": TASKS, "schemes": SCHEMES, "hardware_profiles": None}

# What the first release wrote into a rating: no version leaves it out.
FIRST_KEYS = frozenset(
    (
        *("stars", "could_be", "index", "energy_per_unit_j", "unit", "basis", "status"),
        *("scheme", "class", "protocol", "reasons"),
    )
)

Verdict = Literal["matches", "differs", "cannot be checked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What came of it. ``checked``: the files that were compared; ``not_checked``: what nobody can tell from them; ``notes``: the rest.

    ``findings`` are reasons to doubt the journal itself, where those were asked for. ``added`` and ``dropped``: what today's rules say
    of a record that another version made and it does not, and the reverse; ``stricter``: what follows from the former. ``cannot``: why
    nothing could be made again, where it could not.
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
) -> Verification:
    """Makes everything in a run's folder again from its journal, and says what differs.

    Args:
        folder: of a run, with a ``journal.jsonl`` or ``.jsonl.gz``.
        strict: also say what speaks against the journal itself.
        tolerance: by how much numbers may differ, relative to the larger (0 to 1); 0 is not at all.
        calibration: the hardware profile with whose gains the record was made (``summarise --calibration``), if it was.

    Raises:
        BadInput: there is no journal, or nothing yet that was made from it, or not even its first line can be read; or the calibration is of no card of it.
    """
    if not 0 <= tolerance < 1:
        raise BadInput(f"{tolerance} is no tolerance from 0 to 1", place="tolerance")
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput("is no folder", "Name the folder of a run", place=folder)
    present = {name: _kind(folder / name) for name in sorted(path.name for path in folder.iterdir())}
    journal_name = next((name for name in JOURNAL_NAMES if name in present), None)
    if journal_name is None:
        raise BadInput(
            "cannot be checked: the folder holds no journal",
            f"A run's folder holds {' or '.join(JOURNAL_NAMES)}; ask for it whoever published the figures",
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
    checking = _Checking(folder, present, journal, made_again(journal, gains), tolerance, gains)
    checking.all()
    findings: tuple[Finding, ...] = ()
    if strict:
        energies = window_energies(journal, MEASURED)
        findings = implausible(journal, checking.record, all_profiles(), energies)
    return Verification(
        folder=str(folder),
        made_by=checking.made_by,
        recomputed_by=__version__,
        journal_sha256=journal.sha256,
        checked=tuple(checking.checked),
        differences=tuple(checking.differences[:MOST_DIFFERENCES]),
        notes=tuple(dict.fromkeys(checking.notes)),
        findings=findings,
        strict=strict,
        added=checking.added,
        dropped=checking.dropped,
        stricter=tuple(_stricter(checking.record, checking.added)),
        not_checked=tuple(_not_checked(checking)),
        cannot=checking.cannot,
    )


def _stricter(record: Record, added: Sequence[Finding]) -> Iterator[str]:
    """What today's rules make of each measurement, where that is less than it was."""
    for was, now in zip(record, by_todays_rules(record, added), strict=True):
        if was.validity != now.validity:
            yield f"{was.name!r}: {was.validity} as published, {now.validity} by today's rules"


def _not_checked(checking: _Checking) -> Iterator[str]:
    if checking.unjudged:
        yield checking.unjudged
    yield from ("who made it", "whether the measurement took place")


def verification_to_json(found: Verification) -> dict[str, Any]:
    """What ``verify --json`` prints."""
    entry: dict[str, Any] = plain(found)
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
    told = f"Matches its journal: {', '.join(found.checked)}"
    if found.strict and not found.plausible:
        doubts = sum(finding.severity != "note" for finding in found.findings)
        told += f". But the journal itself is hard to believe: {doubts} finding{'s' if doubts > 1 else ''}"
    return told


def _said(finding: Finding) -> str:
    remedy = f". {finding.remedy}" if finding.remedy else ""
    return f"{finding.severity}: {finding.code}: {finding.message}{remedy}"


def _kind(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "device"


@dataclass(slots=True)
class _Checking:
    """One folder being compared: what was made again from the journal, and what has been found so far."""

    folder: Path
    present: Mapping[str, str]
    journal: Journal
    record: Record
    tolerance: float
    calibration: Path | None
    made_by: str | None = None
    other_version: bool = False
    cannot: str = ""
    added: tuple[Finding, ...] = ()
    dropped: tuple[Finding, ...] = ()
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    unjudged: str = ""

    def all(self) -> None:
        self._record()
        if self.cannot:
            return
        self._rating()
        self._label()
        self._cards()
        self._picture()
        known = {*JOURNAL_NAMES, RECORD_NAME, RATING_NAME, LABEL_NAME, PICTURE_NAME, CARD_NAME, README_NAME}
        others = [name for name in self.present if name not in known and not name.startswith(".")]
        if others:
            self.unjudged = ", ".join(others[:MOST_TOLD]) + (", …" if len(others) > MOST_TOLD else "")

    def differs(self, file: str, path: str, published: Any, recomputed: Any) -> None:
        self.differences.append(Difference(file=file, path=path, published=published, recomputed=recomputed))

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none, or it is none that may be read, which is then said."""
        kind = self.present.get(name)
        if kind is None:
            return None
        if kind != "file":
            self.differs(name, "", f"a {kind}", "a file")
            return None
        try:
            with (self.folder / name).open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            self.differs(name, "", f"cannot be read ({error.strerror or error})", "a file")
            return None
        if len(content) > LARGEST_FILE:
            self.differs(name, "", f"more than {LARGEST_FILE >> 20} MiB", "a file of some kilobytes")
            return None
        self.checked.append(name)
        self.contents[name] = content
        return content

    def text(self, name: str) -> str | None:
        content = self.read(name)
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError:
            self.differs(name, "", "not UTF-8 text", "text")
            return None

    # -- the record

    def _record(self) -> None:
        if RECORD_NAME not in self.present:
            self.differs(RECORD_NAME, "", None, "the record of the journal")
            return
        content = self.read(RECORD_NAME)
        if content is None:
            return
        try:
            published = record_from_json(content, place=RECORD_NAME)
        except BadInput as error:
            self.differs(RECORD_NAME, "", str(error), "a record")
            return
        gains = gains_of(published)
        if self.calibration is None and gains is not None:
            self.cannot = f"{RECORD_NAME} was corrected with the gains in {gains[:80]}; give that file with --calibration"
        self.made_by = published.provenance.version
        self._shipped(published.provenance.files, RECORD_NAME)
        if self.cannot:
            return
        self.other_version = is_of_another_version(published, self.record)
        found = compared(published, self.record, self.journal, tolerance=self.tolerance)
        self.differences += found.differences
        if self.other_version:
            self._of_another_version(published, found)
        # What other version it was is said; on card and label it stands as it was, and so do the findings that it drew.
        self.record = (
            published
            if self.other_version and not found.differences
            else replace(self.record, provenance=replace(self.record.provenance, version=self.made_by))
        )

    def _of_another_version(self, published: Record, found: Following) -> None:
        """What is to be said where versions differ."""
        self.added, self.dropped = found.added, found.dropped
        self.notes.append(
            f"the record ({published.schema}) was made by energy-rating {self.made_by} and recomputed by {__version__}: "
            "figures, codes and severities are compared, sentences are not"
        )
        self.notes += [
            f"{RECORD_NAME} does not say {path}, as {self.made_by} did not"
            for path in found.unsaid[:MOST_TOLD]
        ]
        self.notes += [
            f"{RECORD_NAME}: {was.code} reads otherwise today: {now.message!r}; published: {was.message!r}"
            for was, now in found.reworded[:MOST_TOLD]
        ]

    def _compare(self, file: str, published: Any, recomputed: Any) -> None:
        self.differences += differences_between(file, published, recomputed, self._tolerance)

    @property
    def _tolerance(self) -> float:
        return max(self.tolerance, OTHER_ARITHMETIC) if self.other_version else self.tolerance

    def _shipped(self, files: Mapping[str, str], file: str) -> None:
        """Whether the tasks, schemes and profiles that were used are those that this version ships."""
        for name, sha256 in files.items():
            folder, _, rest = name.partition("/")
            if folder not in SHIPPED or not rest.endswith(".toml"):
                continue  # items: their hash is part of the journal, and what a scheme expects stands in the scheme
            shipped = SHIPPED[folder]
            files_here = profile_files().values() if shipped is None else shipped.glob("*.toml")
            here = {path.name: path for path in files_here}
            if rest not in here:
                self.notes.append(f"{file}: {name[:80]} does not ship with energy-rating {__version__}")
            elif hashlib.sha256(here[rest].read_bytes()).hexdigest() != sha256:
                if folder == "schemes" and "draft" not in rest:
                    # A published scheme is never edited: whoever has another one has a forged one, or forged its hash.
                    self.differs(
                        file, f"files.{name}", sha256, hashlib.sha256(here[rest].read_bytes()).hexdigest()
                    )
                else:
                    self.notes.append(
                        f"{file}: {name} has changed since; what follows from it was recomputed with the file of today"
                        + ("; who calibrates a device has a profile of their own" if shipped is None else "")
                    )

    # -- the rating

    def _rating(self) -> None:
        content = self.read(RATING_NAME)
        if content is None:
            return
        try:
            published = json_object(content, RATING_NAME)
        except BadInput as error:
            self.differs(RATING_NAME, "", str(error), "a rating")
            return
        provenance = published.pop("provenance", None)
        schema = published.pop("schema", None)
        # As printed it names no schema, and says how far the record was checked then.
        printed = schema is None and provenance is None
        if printed:
            published.pop("checked", None)
        elif schema != RATING_SCHEMA:
            self.differs(RATING_NAME, "schema", schema, RATING_SCHEMA)
            return
        rating = self._rated(RATING_NAME, published.get("scheme"), "would_be" in published)
        if rating is None:
            return
        recomputed = json.loads(json.dumps(rating_to_json(rating)))
        unsaid = [key for key in recomputed if key not in published and key not in FIRST_KEYS]
        if unsaid:
            self.notes.append(f"{RATING_NAME} does not say: {', '.join(unsaid)}; an older version wrote it")
        recomputed = {key: recomputed[key] for key in recomputed if key not in unsaid}
        self._reasons(published, recomputed)
        self._compare(RATING_NAME, published, recomputed)
        if printed or not isinstance(provenance, dict) or not isinstance(provenance.get("files"), dict):
            self.notes.append(
                f"{RATING_NAME} does not say by which files it was rated; "
                + ("it is what rate --json prints" if printed else "an older version wrote it")
            )
            return
        sha256 = self.record.provenance.journal_sha256
        if provenance.get("journal_sha256") != sha256:
            self.differs(RATING_NAME, "provenance.journal_sha256", provenance.get("journal_sha256"), sha256)
        files = provenance["files"]
        self._shipped({str(name): str(files[name]) for name in files}, RATING_NAME)

    def _reasons(self, published: dict[str, Any], recomputed: dict[str, Any]) -> None:
        """The reasons of another version, which may word them otherwise: taken as they are where as many were given, or none."""
        was, now = published.get("reasons"), recomputed.get("reasons")
        if not self.other_version or was == now or not is_list(was) or bool(was) is not bool(now):
            return
        self.notes.append(f"{RATING_NAME}: the reasons read otherwise today: {'; '.join(now or ())[:600]}")
        self.reasons[str(recomputed.get("scheme"))] = tuple(str(reason) for reason in was or ())
        recomputed["reasons"] = was

    def _rated(self, file: str, scheme: object, provisional: bool) -> Rating | None:
        """The rating under the scheme that a file names; None, and said, where there is no such scheme.

        ``provisional``: with the stars that it would have, as the file tells them too.
        """
        try:
            named = str(scheme) if scheme is not None else ""
            rating = rate(self.record, scheme=named, provisional=provisional)
            return replace(rating, reasons=self.reasons.get(rating.scheme, rating.reasons))
        except EnergyRatingError as error:
            self.differs(file, "scheme", scheme, str(error))
            return None

    # -- the label

    def _label(self) -> None:
        published = self.text(LABEL_NAME)
        if published is None:
            return
        try:
            texts = _words(published)
        except (ElementTree.ParseError, ValueError, RecursionError) as error:
            self.differs(LABEL_NAME, "", f"is no SVG ({error})", "a label")
            return
        named = re.search(r"\bscheme ([\w.-]*\w)", " ".join(texts))
        told = words.NO_RATING in " ".join(texts)
        rating = self._rated(LABEL_NAME, named[1] if named else None, told)
        if rating is None:
            return
        # One that was drawn without its journal says so, and is none the less right.
        checked = words.checked_as(" ".join(texts))
        expected = label.svg(replace(self.record, checked=checked), rating)
        if published == expected:
            return
        again = _words(expected)
        if len(texts) > MOST_WORDS:
            self.differs(LABEL_NAME, "", f"{len(texts)} texts", f"{len(again)} texts")
            return
        for what, start, end, again_start, again_end in SequenceMatcher(
            None, texts, again, autojunk=False
        ).get_opcodes():
            if what != "equal":
                self.differs(
                    LABEL_NAME,
                    "text",
                    " ".join(texts[start:end]) or None,
                    " ".join(again[again_start:again_end]) or None,
                )
        if texts == again and not self.other_version:
            self.differs(LABEL_NAME, "drawing", "drawn otherwise", "the same words")
        elif texts == again:
            self.notes.append(f"{LABEL_NAME} says the same and is drawn otherwise, as versions may")

    def _picture(self) -> None:
        content = self.read(PICTURE_NAME)
        if content is None:
            return
        width = picture.png_width(content)
        if width is None or not picture.NARROWEST_PX <= width <= picture.WIDEST_PX:
            self.differs(PICTURE_NAME, "", "is no PNG of a label's size", "a label")
            return
        schemes = self._schemes_named()
        for scheme in schemes:
            for provisional in (False, True):
                rating = self._rated(PICTURE_NAME, scheme, provisional)
                if rating is None or any(
                    picture.looks_like(
                        content, picture.png(replace(self.record, checked=checked), rating, width_px=width)
                    )
                    for checked in (None, *words.UNCHECKED)
                ):
                    return
        self.differs(
            PICTURE_NAME,
            "",
            "another picture",
            f"the label under {' or '.join(schemes) or 'a scheme that is named'}",
        )

    def _schemes_named(self) -> tuple[str, ...]:
        """A picture cannot be asked for its scheme: it is that of the rating or of the label beside it."""
        found = []
        for name, pattern in (
            (RATING_NAME, r'"scheme": "([^"]*)"'),
            (LABEL_NAME, r"\bscheme ([\w.-]*\w)"),
            (CARD_NAME, _SCHEME_ROW),
        ):
            found += re.findall(pattern, self.contents.get(name, b"").decode(errors="replace"), re.M)[:1]
        return tuple(dict.fromkeys(found)) or (rate(self.record).scheme,)

    # -- the cards

    def _cards(self) -> None:
        for name in (CARD_NAME, README_NAME):
            text = self.text(name)
            if text is None:
                continue
            if name == README_NAME:
                text = _between(text)
                if text is None:
                    self.checked.remove(name)  # a card of somebody's own, without a section of ours
                    continue
            self._card(name, text)

    def _card(self, name: str, text: str) -> None:
        tables = [rows for rows in _tables(text) if rows.get("Run", "").partition(",")[0] == self._run_cell()]
        if not tables:
            self.differs(name, "Run", None, self.record.run_id)
        for rows in tables:
            scheme = rows.get("Scheme", "").partition(",")[0] or None
            unrated = rows.get("Rating", "").endswith("no rating was made")
            told = words.NO_RATING in rows.get("Rating", "")
            rating = None if unrated else self._rated(name, scheme, told)
            if rating is None and not unrated:
                continue
            impact = self._impact(name, rows.get("Emissions of the training"))
            (again,) = _tables(card.section([(self.record, rating)], impact=impact))
            if impact is None:
                rows = {key: value for key, value in rows.items() if key != "Emissions of the training"}
            for key in dict.fromkeys([*rows, *again]):
                if rows.get(key) != again.get(key):
                    self.differs(name, key, rows.get(key), again.get(key))
            self._sentences(name, text, rating)
        sha256 = self.record.provenance.journal_sha256
        stated = re.findall(r"<code>([0-9a-f]{64})</code>", text)
        if sha256 not in stated:
            self.differs(name, "SHA-256 of the journal", stated[0] if stated else None, sha256)

    def _sentences(self, name: str, text: str, rating: Rating | None) -> None:
        """All of a section that is no row of its table: its heading, the words that stand in for the label, what is said below."""
        if len(_tables(text)) > 1:
            self.notes.append(
                f"{name} tells of several runs; of its sentences only the rows of this one's table were compared"
            )
            return
        lines = _sentences(text)
        linked = next((found for line in lines if (found := _PICTURE.fullmatch(line))), None)
        try:
            again = card.section(
                [(replace(self.record, checked=words.checked_as(text)), rating)],
                label=linked[1] if linked else None,
                heading=lines[0] if lines else card.HEADING,
            )
        except BadInput as error:
            self.differs(name, "label", linked[1] if linked else None, str(error))
            return
        if (
            linked
            and not urlsplit(linked[1]).scheme
            and "/" not in linked[1]
            and linked[1] not in self.present
        ):
            self.notes.append(f"{name} shows {linked[1][:80]}, which is not here")
        theirs, ours = lines, _sentences(again)
        for what, start, end, again_start, again_end in SequenceMatcher(
            None, theirs[:MOST_WORDS], ours, autojunk=False
        ).get_opcodes():
            if what == "equal":
                continue
            published, recomputed = " ".join(theirs[start:end]), " ".join(ours[again_start:again_end])
            if self.other_version and _claims(published) == _claims(recomputed):
                self.notes.append(
                    f"{name} reads otherwise today: {recomputed[:300]!r}; published: {published[:300]!r}"
                )
            else:
                self.differs(name, "text", published or None, recomputed or None)

    def _run_cell(self) -> str:
        (rows,) = _tables(card.section([(self.record, None)]))
        return rows["Run"].partition(",")[0]

    def _impact(self, name: str, row: str | None) -> Impact | None:
        """The carbon of the training that a card tells, made again for the country that it names."""
        if row is None:
            return None
        named = re.search(r"; ([^;]+), \d+ g/kWh, mean of \d+", row)
        zone = zone_named(named[1]) if named else None
        if zone is None:
            self.notes.append(
                f"{name}: the emissions were given by whoever wrote the card; no journal tells them"
            )
            return None
        try:
            return footprint(self.record, zone=zone)
        except EnergyRatingError as error:
            self.differs(name, "Emissions of the training", row, str(error))
            return None


_SCHEME_ROW = r"^\| Scheme \| ([\w.-]+)"
_PICTURE = re.compile(r"!\[.*\]\(([^()]*)\)")
_ROW = re.compile(r"^\| (.+?) \| (.*) \|$")


def _words(svg: str) -> list[str]:
    """All texts of an SVG, in their order.

    Raises:
        ParseError: it is none.
        ValueError: it has entities of its own, which could unfold without end.
    """
    if "<!" in re.sub(r"<!--.*?-->", "", svg, flags=re.S):
        raise ValueError("it declares a type or entities")
    return [
        text
        for element in ElementTree.fromstring(svg).iter()  # noqa: S314  without entities it is harmless
        if (text := " ".join((element.text or "").split()))
    ]


def _between(text: str) -> str | None:
    """The section between our markers, if there is one."""
    _, start, rest = text.partition(splice.START)
    inside, end, _ = rest.partition(splice.END)
    return inside if start and end else None


def _sentences(text: str) -> list[str]:
    """The lines of a section that are neither empty nor of a table."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("|")]


def _claims(text: str) -> list[str]:
    """What a text claims, whatever its sentences: its numbers, and the words that grade."""
    return re.findall(
        r"\d[\d.,]*|★+|\b(?:stars?|not rated|firm|provisional|measured|normalised|indicative|estimated|certif\w*|accredit\w*)\b",
        text.lower(),
    )


def _tables(text: str) -> list[dict[str, str]]:
    """The tables of a section: rows by their first cell. Rows of one name, such as several reservations, are counted."""
    tables: list[dict[str, str]] = []
    open_ = False
    for line in text.splitlines():
        found = _ROW.match(line)
        if found is None:
            open_ = open_ and line == "|---|---|"
        elif found[1] == "What" and found[2] == "Value":
            tables.append({})
            open_ = True
        elif open_:
            name, number = found[1], 2
            while name in tables[-1]:
                name = f"{found[1]} #{number}"
                number += 1
            tables[-1][name] = found[2]
    return tables
