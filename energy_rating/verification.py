"""Whether what a run's folder shows follows from its journal: everything is made again, and compared to the last digit.

Recomputed are the record, the rating under the scheme that the rating, the label or the card itself names, the words of the label
and its picture, and each row of the card. What cannot be made from a journal is said and not judged: the picture of the trace, and
grams of carbon whose country is not told. With ``strict`` the journal is asked whether it can be true at all (``plausibility``).

The files of a folder are strangers' data: none is opened through a link, none is read beyond a bound, and a name that stands in one of
them is never taken for a path.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from energy_rating import __version__, formats
from energy_rating.errors import BadInput, EnergyRatingError
from energy_rating.formats import RECORD_NAME, plain
from energy_rating.impact import Impact, footprint, zone_named
from energy_rating.journal import JOURNAL_NAMES
from energy_rating.plausibility import implausible
from energy_rating.profiles import profile_files
from energy_rating.profiles import profiles as all_profiles
from energy_rating.publishers import card, label, splice, words
from energy_rating.publishers.folder import RATING_NAME
from energy_rating.rating import RATING_SCHEMA, SCHEMES, rate, rating_to_json
from energy_rating.records import Finding, Rating, Record
from energy_rating.summary import corrected_journal, summarise_journal
from energy_rating.tasks import FOLDER as TASKS

LARGEST_FILE = 16 << 20  # bytes of a label, a card or a rating
MOST_DIFFERENCES = 1000
MOST_WORDS = 1000  # of a label, which has some fifty

CARD_NAME, README_NAME, LABEL_NAME, PICTURE_NAME = "card.md", "README.md", "label.svg", "label.png"
NOT_JUDGED = ("trace.png",)

# Where the files that a record or a rating rests on are found, by the folder that their names begin with.
SHIPPED = {"tasks": TASKS, "schemes": SCHEMES, "hardware_profiles": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What a file says, and what its journal says instead; None is nothing. ``path`` is the place in the file."""

    file: str
    path: str
    published: Any
    recomputed: Any

    def __str__(self) -> str:
        place = f"{self.file}: {self.path}" if self.path else self.file
        return f"{place}: published {_shown(self.published)}, recomputed {_shown(self.recomputed)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What came of it. ``checked``: the files that were compared; ``notes``: what was not judged, and why.

    ``findings`` are reasons to doubt the journal itself, where those were asked for.
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

    @property
    def agrees(self) -> bool:
        """Whether nothing differs and nothing is missing."""
        return not self.differences

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
        BadInput: there is no journal, or not even its first line can be read; or the calibration is of no card of it.
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
            "the folder holds no journal, so nothing in it can be checked",
            f"A run's folder holds {' or '.join(JOURNAL_NAMES)}",
            place=folder,
        )
    if present[journal_name] != "file":
        raise BadInput(
            f"is a {present[journal_name]}, not a file",
            "Put the file itself there",
            place=folder / journal_name,
        )
    journal = formats.read_journal(folder / journal_name)
    if calibration is None:
        record = summarise_journal(journal)
    else:
        corrected, of_gain = corrected_journal(journal, Path(calibration))
        record = summarise_journal(corrected)
        record = replace(record, findings=(*of_gain, *record.findings))
    checking = _Checking(folder, present, record, tolerance)
    checking.all()
    findings = implausible(journal, checking.record, all_profiles()) if strict else ()
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
    )


def verification_to_json(found: Verification) -> dict[str, Any]:
    """What ``verify --json`` prints."""
    entry: dict[str, Any] = plain(found)
    return {"agrees": found.agrees, "plausible": found.plausible if found.strict else None, **entry}


def verification_to_text(found: Verification) -> str:
    """The same in lines for a person."""
    lines = [str(difference) for difference in found.differences]
    if found.agrees:
        lines.append(f"All agrees: {', '.join(found.checked)}")
    else:
        lines.append(f"{len(found.differences)} differences")
    lines.append(f"Journal, uncompressed: SHA-256 {found.journal_sha256}")
    lines += [f"note: {note}" for note in found.notes]
    for finding in found.findings:
        lines.append(
            f"{finding.severity}: {finding.code}: {finding.message}"
            + (f". {finding.remedy}" if finding.remedy else "")
        )
    if found.strict and found.plausible:
        lines.append("Nothing in the journal speaks against it")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


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
    record: Record
    tolerance: float
    made_by: str | None = None
    checked: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)

    def all(self) -> None:
        self._record()
        self._rating()
        self._label()
        self._cards()
        self._picture()
        known = {*JOURNAL_NAMES, RECORD_NAME, RATING_NAME, LABEL_NAME, PICTURE_NAME, CARD_NAME, README_NAME}
        others = [name for name in self.present if name not in known and not name.startswith(".")]
        if others:
            shown = ", ".join(others[:10]) + (", …" if len(others) > 10 else "")
            self.notes.append(f"not judged, since no figure of theirs is compared: {shown}")

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
            published = formats.record_from_json(content, place=RECORD_NAME)
        except BadInput as error:
            self.differs(RECORD_NAME, "", str(error), "a record")
            return
        self.made_by = published.provenance.version
        if self.made_by != __version__:
            self.notes.append(
                f"the record was made by energy-rating {self.made_by} and recomputed by {__version__}: where only the "
                "reckoning has changed, that version gives the published digits, or --tolerance allows for the change"
            )
        # What other version it was is said above; on card and label it stands as it was.
        self.record = replace(
            self.record,
            provenance=replace(self.record.provenance, version=self.made_by),
            schema=published.schema,  # a record of before has the same figures; what its schema had no key for is said below
        )
        self._compare(RECORD_NAME, "", _by_name(plain(published)), _by_name(plain(self.record)))
        self._shipped(published.provenance.files, RECORD_NAME)
        used = [name for name in published.provenance.files if name.startswith("calibration/")]
        if used and used[0] not in self.record.provenance.files:
            self.notes.append(
                f"{RECORD_NAME} was corrected by the gains in {used[0].partition('/')[2][:80]}; give that file with --calibration"
            )

    def _compare(self, file: str, path: str, published: Any, recomputed: Any) -> None:
        if len(self.differences) > MOST_DIFFERENCES:
            return
        if isinstance(published, Mapping) and isinstance(recomputed, Mapping):
            for key in dict.fromkeys([*published, *recomputed]):
                inner = f"{path}.{key}" if path else str(key)
                if key not in published and self.made_by not in (None, __version__):
                    self.notes.append(f"{file} does not say {key}, as {self.made_by} did not")
                    continue
                self._compare(file, inner, published.get(key), recomputed.get(key))
        elif (
            isinstance(published, Sequence)
            and isinstance(recomputed, Sequence)
            and not isinstance(published, str)
        ):
            if len(published) != len(recomputed):
                self.differs(file, path, published, recomputed)
                return
            for number, (one, other) in enumerate(zip(published, recomputed, strict=True)):
                self._compare(file, f"{path}.{number}", one, other)
        elif not self._same(published, recomputed):
            self.differs(file, path, published, recomputed)

    def _same(self, one: Any, other: Any) -> bool:
        numbers = [type(value) in (int, float) for value in (one, other)]
        if all(numbers) and self.tolerance:
            return math.isclose(one, other, rel_tol=self.tolerance)
        return bool(one == other) and all(numbers) == any(numbers)

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
            published = formats.json_object(content, RATING_NAME)
        except BadInput as error:
            self.differs(RATING_NAME, "", str(error), "a rating")
            return
        if published.pop("schema", None) != RATING_SCHEMA:
            self.differs(RATING_NAME, "schema", None, RATING_SCHEMA)
            return
        provenance = published.pop("provenance", None)
        rating = self._rated(RATING_NAME, published.get("scheme"), "would_be" in published)
        if rating is None:
            return
        recomputed = json.loads(json.dumps(rating_to_json(rating)))
        unsaid = [key for key in recomputed if key not in published]
        if unsaid:
            self.notes.append(f"{RATING_NAME} does not say: {', '.join(unsaid)}; an older version wrote it")
        self._compare(
            RATING_NAME, "", published, {key: recomputed[key] for key in recomputed if key not in unsaid}
        )
        if not isinstance(provenance, dict) or not isinstance(provenance.get("files"), dict):
            self.notes.append(
                f"{RATING_NAME} does not say by which files it was rated; an older version wrote it"
            )
            return
        sha256 = self.record.provenance.journal_sha256
        if provenance.get("journal_sha256") != sha256:
            self.differs(RATING_NAME, "provenance.journal_sha256", provenance.get("journal_sha256"), sha256)
        files = provenance["files"]
        self._shipped({str(name): str(files[name]) for name in files}, RATING_NAME)

    def _rated(self, file: str, scheme: object, provisional: bool) -> Rating | None:
        """The rating under the scheme that a file names; None, and said, where there is no such scheme.

        ``provisional``: with the stars that it would have, as the file tells them too.
        """
        try:
            named = str(scheme) if scheme is not None else ""
            return rate(self.record, scheme=named, provisional=provisional)
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
        expected = label.svg(self.record, rating)
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
        if texts == again and self.made_by == __version__:
            self.differs(LABEL_NAME, "drawing", "drawn otherwise", "the same words")
        elif texts == again:
            self.notes.append(f"{LABEL_NAME} says the same and is drawn otherwise, as versions may")

    def _picture(self) -> None:
        content = self.read(PICTURE_NAME)
        if content is None:
            return
        width = label.png_width(content)
        if width is None or not label.NARROWEST_PX <= width <= label.WIDEST_PX:
            self.differs(PICTURE_NAME, "", "is no PNG of a label's size", "a label")
            return
        schemes = self._schemes_named()
        for scheme in schemes:
            for provisional in (False, True):
                rating = self._rated(PICTURE_NAME, scheme, provisional)
                if rating is None or label.looks_like(
                    content, label.png(self.record, rating, width_px=width)
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
        sha256 = self.record.provenance.journal_sha256
        stated = re.findall(r"<code>([0-9a-f]{64})</code>", text)
        if sha256 not in stated:
            self.differs(name, "SHA-256 of the journal", stated[0] if stated else None, sha256)

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
_ROW = re.compile(r"^\| (.+?) \| (.*) \|$")


def _by_name(entry: dict[str, Any]) -> dict[str, Any]:
    """A record whose lists are mappings, so that what is missing in the middle does not shift the rest."""
    entry = dict(entry)
    del entry["provenance"]["version"]
    for key, name in (("measurements", "name"), ("channels", "id")):
        entry[key] = {item[name]: item for item in entry[key]}
    for key in ("findings", "quality"):
        count: Counter[str] = Counter()
        found = {}
        for item in entry[key]:
            kind = "/".join(
                str(item.get(part)) for part in ("code", "metric", "measurement", "channel") if item.get(part)
            )
            count[kind] += 1
            found[f"{kind}#{count[kind]}" if count[kind] > 1 else kind] = item
        entry[key] = found
    return entry


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
