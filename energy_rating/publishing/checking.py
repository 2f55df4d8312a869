"""One folder held against its journal: its record and its rating, made again and compared. What is shown of them is ``checking_shown``'s.

The files of a folder are strangers' data: none is opened through a link, none is read beyond a bound, and a name that stands in one of
them is never taken for a path.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from energy_rating.files.opening import read_beginning
from energy_rating.files.reading import Journal
from energy_rating.files.record import RECORD_NAME, record_from_json
from energy_rating.files.shipped import TASKS
from energy_rating.files.strict import json_object
from energy_rating.judging.evidence import (
    OTHER_ARITHMETIC,
    Difference,
    Following,
    as_loaded,
    compared,
    differences_between,
    gains_of,
    is_list,
    is_of_another_version,
)
from energy_rating.judging.profiles import profile_files
from energy_rating.judging.rating import RATING_SCHEMA, rate, rating_to_json
from energy_rating.judging.schemes import SCHEMES
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import Finding, Rating, Record
from energy_rating.publishing.folder import RATING_NAME
from energy_rating.version import __version__

LARGEST_FILE = 16 << 20  # bytes of a label, a card or a rating
MOST_TOLD = 10  # files that are not judged, sentences that read otherwise

# Where the files that a record or a rating rests on are found, by the folder that their names begin with.
SHIPPED = {"tasks": TASKS, "schemes": SCHEMES, "hardware_profiles": None}

# What the first release wrote into a rating: no version leaves it out.
FIRST_KEYS = frozenset(
    (
        *("stars", "could_be", "index", "energy_per_unit_j", "unit", "basis", "status"),
        *("scheme", "class", "protocol", "reasons"),
    )
)


def kind_of(path: Path) -> str:
    """What a path is, without following it: a file, a folder, a link, a device."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "device"


@dataclass(slots=True)
class Checking:
    """One folder being compared: what was made again from the journal, and what has been found so far."""

    folder: Path
    present: Mapping[str, str]
    journal: Journal | None  # None: the record was merged from those of several hosts
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
    not_checked: list[str] = field(default_factory=list)
    # The record as whoever makes something of it today is handed it.
    today: Record | None = None

    def differs(self, file: str, path: str, published: Any, recomputed: Any) -> None:
        self.differences.append(Difference(file=file, path=path, published=published, recomputed=recomputed))

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none, or it is none that may be read, which is then said."""
        kind = self.present.get(name)
        return None if kind is None else self.read_at(self.folder / name, name, kind)

    def read_at(self, path: Path, name: str, kind: str) -> bytes | None:
        """The content of the file at this place, which is of that kind; it is told by its name."""
        if kind != "file":
            self.differs(name, "", f"a {kind}", "a file")
            return None
        try:
            content = read_beginning(path, LARGEST_FILE + 1)
        except BadInput as error:
            self.differs(name, "", error.message, "a file")
            return None
        if len(content) > LARGEST_FILE:
            self.differs(name, "", f"more than {LARGEST_FILE >> 20} MiB", "a file of some kilobytes")
            return None
        self.checked.append(name)
        self.contents[name] = content
        return content

    def text(self, name: str) -> str | None:
        content = self.read(name)
        return None if content is None else self.decoded(name, content)

    def decoded(self, name: str, content: bytes) -> str | None:
        try:
            return content.decode()
        except UnicodeDecodeError:
            self.differs(name, "", "not UTF-8 text", "text")
            return None

    # -- the record

    def check_record(self) -> None:
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
        if not found.differences:
            self.today = replace(as_loaded(published, self.record), checked=None)
        # What other version it was is said; on card and label it stands as it was, and so do the findings that it drew.
        self.record = (
            published
            if self.other_version and not found.differences
            else replace(self.record, provenance=replace(self.record.provenance, version=self.made_by))
        )

    @property
    def as_today(self) -> Record:
        return self.today if self.today is not None else self.record

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

    def check_rating(self) -> None:
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
        rating = self.rated(RATING_NAME, published.get("scheme"), "would_be" in published)
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

    def rated(self, file: str, scheme: object, provisional: bool, *, today: bool = False) -> Rating | None:
        """The rating under the scheme that a file names, or today's where it names none; None, and said, where there is no such scheme.

        ``provisional``: with the stars that it would have, as the file tells them too. ``today``: of the record as it is handed out
        today, with today's reasons.
        """
        try:
            named = str(scheme) if scheme is not None else None
            rating = rate(self.as_today if today else self.record, scheme=named, provisional=provisional)
            return (
                rating if today else replace(rating, reasons=self.reasons.get(rating.scheme, rating.reasons))
            )
        except EnergyRatingError as error:
            self.differs(file, "scheme", scheme, str(error))
            return None
