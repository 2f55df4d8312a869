"""Whether a record follows from its journal: asked before a record is used, and by ``verify``, with one comparison.

A record is a claim. Where its journal lies beside it, ``load`` makes the record again and refuses one that says something else; what
it could not ask it says in ``Record.checked``, and whatever is made from the record says so too.

**Records of another version.** A version may word its findings otherwise, know rules that an older one did not, and have mended some.
So of a record that another version made, or of an older schema, figures (to 1e-9, what another machine's arithmetic may leave),
channels, surroundings, and codes and severities of findings are compared; sentences are not. What today's rules *add* is no
difference: the older version could not say it. A finding that the older version's rules knew, or that the journal notes, and that the
record lacks, is one: it was taken out. What today's rules *no longer say* is none either, if the older version had such a rule and
the finding kept nobody from a rating; one that disqualifies decides whether a figure may be used at all, and has to be agreed on.
What the journal itself says of the run (its load, its place, how it ended) every version that can read the journal knows, and wrote:
where that is missing, it was taken out. Only what is worked out anew may be unsaid, and is then taken from today's record.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from energy_rating.files import line_blocks, reading
from energy_rating.files import record as files_record
from energy_rating.files.journal import JOURNAL_NAMES
from energy_rating.files.nodes import NODES, has_nodes, node_folders
from energy_rating.files.opening import opened, read_beginning
from energy_rating.files.reading import Journal
from energy_rating.files.record import RECORD_NAME
from energy_rating.judging.checks import GAIN_CORRECTED, gain_corrected
from energy_rating.judging.summary import corrected_journal, summarise_journal, with_gains
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Record, plain, validity

# About a second's work: a journal of 3.9 MB with 2,000 windows takes half of one (0.17 s to read, 0.38 s to sum up, one core of a
# cloud machine). Of longer ones the hash is compared, up to what takes about a second to unpack. Bytes, not seconds, so that the same
# files get the same answer on every machine.
LARGEST_CHECKED = 8 << 20
LARGEST_HASHED = 256 << 20

# What the arithmetic of another machine may leave of a figure, relative: its compiler, its mathematical functions.
OTHER_ARITHMETIC = 1e-9

# The release whose findings had no data. A gain stands in its sentence, in six digits.
ONLY_WORDS = "0.1.0"
TOLD_GAIN = 1e-5

# What a sensor that works may show of what a meter shows, taken on trust: the worst of 15 cards was off by 12.7 % (Yang, Adamek, Armour,
# "Part-time Power Measurements"); beyond twice that the file itself is asked for.
LEAST_GAIN, MOST_GAIN = 0.8, 1.25

_GAIN = re.compile(
    r"the readings of (?P<device>.+) were divided by (?P<gain>\d[0-9.e+-]*), its gain against .*"
    r"carry its doubt of (?P<doubt>\d[0-9.]*%) ",
    re.DOTALL,
)

MOST_DIFFERENCES = 1000

# The rules of the first release: the codes of findings that it drew from a journal. Later versions know them too.
FIRST_RULES = frozenset(
    {
        *("partly-measured", "window-too-short", "doubtful", "summed-from-power", "nothing-measured"),
        *("counter-reset", "counter-stuck", "implausible-readings", "counter-disagrees-with-power"),
        *("throttled", "power-limit-changed", "clocks-changed", "temperature-drift", "shared-gpu"),
        *("not-steady", "in-step", "interrupted", "journal-damaged", "gain-corrected"),
    }
)

# Of these, rules that have come to see more since: a record of the first release may lack such a finding honestly.
WIDENED = frozenset({"counter-reset", "counter-disagrees-with-power"})

# Mappings whose keys are no keys of a schema: what is missing there was taken out, whatever the version.
_FREE = (
    *("measurements", "channels", "quality", "work", "energy_by_channel_j", "energy_j", "idle_j", "coverage"),
    *("doubt_from", "software", "settings", "files"),
)

# What a version works out from the readings, and an older one may have known less of. All else is as the journal's own lines have it.
_WORKED_OUT = ("measurements", "provenance")


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


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """How a record stands to the one that its journal gives today.

    ``differences`` are places in it; ``added``: findings of rules that the record's version did not have; ``dropped``: findings that
    its version had and today's rules no longer say; ``reworded``: the same finding as the record and as today's rules word it;
    ``unsaid``: keys that the record's version did not write.
    """

    differences: tuple[Difference, ...] = ()
    added: tuple[Finding, ...] = ()
    dropped: tuple[Finding, ...] = ()
    reworded: tuple[tuple[Finding, Finding], ...] = ()
    unsaid: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------ before it is used


def load(path: str | Path) -> Record:
    """The record in a file or in a run's folder, checked against the journal beside it; ``checked`` says how.

    ``journal``: it was made again, and agrees. ``sha256``: the journal is long, and only its hash was compared. ``too-long``: not even
    that. ``needs-calibration``: it was corrected with a file that is not here. ``no-journal``: none lies beside it. A record that another
    version made has the findings that today's rules make of its journal.

    Args:
        path: a ``record.json``, the folder of a run, or a file of another tool's, such as CodeCarbon's emissions.csv, that holds one run.

    Raises:
        BadInput: there is none, it cannot be read, or it does not follow from its journal.
    """
    path = Path(path)
    if (record := _imported(path)) is not None:
        return record
    record = files_record.load(path)
    file = path / RECORD_NAME if path.is_dir() else path
    if record.origin == "merged":
        return _held_against_hosts(record, file)
    beside = (file.with_name(name) for name in JOURNAL_NAMES)
    journal = next((one for one in beside if one.is_file()), None)
    if journal is None:
        return replace(record, checked="no-journal")
    return held_against(record, file, journal)


def _held_against_hosts(record: Record, file: Path) -> Record:
    """A record that was merged, held against the folders of its hosts where they lie beside it and are few.

    Raises:
        BadInput: it does not follow from them.
    """
    from energy_rating.judging.merging import folders  # here, since most records are of one host

    place = file.parent
    if file.name != RECORD_NAME or not has_nodes(place):
        return replace(record, checked="no-journal")
    journals = [
        one / name for one in node_folders(place).values() for name in JOURNAL_NAMES if (one / name).is_file()
    ]
    if sum(one.stat().st_size for one in journals) > LARGEST_CHECKED:
        return replace(record, checked="too-long")
    again = folders.merged(
        place, lambda one: folders.record_in(one) if not (one / RECORD_NAME).is_file() else load(one)
    )
    found = compared(record, again, None)
    if found.differences:
        raise _does_not_follow(file, place / NODES, found.differences[0])
    return replace(as_loaded(record, again), checked="journal")


def _is_ours(path: Path) -> bool:
    """Whether a file says in its first words that it is a record of this package; what it is worth is seen when it is read."""
    try:
        return (
            re.match(rb'\s*\{\s*"schema"\s*:\s*"energy-rating/record/', read_beginning(path, 200)) is not None
        )
    except BadInput:
        return False


def _imported(path: Path) -> Record | None:
    """The run in a file of another tool's; None where it is none.

    Raises:
        BadInput: it holds several runs, or cannot be read.
    """
    if not path.is_file() or _is_ours(path):
        return None
    from energy_rating.files import imports  # here, since most of what is read is our own

    if imports.recognised(path) is None:
        return None
    records = imports.imported(path)
    if len(records) != 1:
        raise BadInput(
            f"holds {len(records):,} runs, and one is asked for",
            f"Take them apart with: energy-rating import {path} -o DIR",
            place=path,
        )
    return records[0]


def held_against(
    record: Record,
    file: Path,
    journal_file: Path,
    *,
    largest_checked: int = LARGEST_CHECKED,
    largest_hashed: int = LARGEST_HASHED,
) -> Record:
    """A record from a file, held against a journal. Of one with more than so many bytes the hash is compared, or not even that.

    Raises:
        BadInput: it does not follow from it.
    """
    named = file.name == RECORD_NAME  # whatever else lies in a folder may be of another run
    sha256 = record.provenance.journal_sha256
    if not _is_longer(journal_file, largest_checked):
        journal = reading.read_journal(journal_file)
        if not named and journal.sha256 != sha256 and journal.run_id != record.run_id:
            return replace(record, checked="no-journal")
        if gains_of(record) is not None:
            if journal.sha256 != sha256:
                raise _does_not_follow(file, journal_file, _of_hash(sha256, journal.sha256))
            apart = _apart_from_claimed(record, journal, file)
            if apart is not None:
                raise _does_not_follow(file, journal_file, apart)
            return replace(record, checked="needs-calibration")
        again = made_again(journal)
        found = compared(record, again, journal, tolerance=OTHER_ARITHMETIC)
        if found.differences:
            raise _does_not_follow(file, journal_file, found.differences[0])
        record = as_loaded(record, again)
        return replace(record, checked="journal")
    hashed = _hashed(journal_file, largest_hashed)
    if hashed is not None and hashed != sha256:
        if named:
            raise _does_not_follow(file, journal_file, _of_hash(sha256, hashed))
        return replace(record, checked="no-journal")
    return replace(record, checked="too-long" if hashed is None else "sha256")


def _apart_from_claimed(record: Record, journal: Journal, file: Path) -> Difference | None:
    """Where a record does not follow from its journal and the gains that it says it was corrected with.

    Whether these are those of the cards is in the file that is not here; that they are those of working sensors, and are in all its
    figures, and that nothing else was changed, is in the record and its journal.

    Raises:
        BadInput: it does not say by what its readings were divided, or by more than a working sensor is off.
    """
    said = [finding for finding in record.findings if finding.code == GAIN_CORRECTED]
    gains: dict[str, tuple[float, float]] = {}
    for finding in said:
        told = _claimed(finding, record)
        if told is None or not LEAST_GAIN <= told.gain <= MOST_GAIN:
            raise BadInput(
                f"{file.name} was corrected with a gain that is not between {LEAST_GAIN:g} and {MOST_GAIN:g}, or that it does not tell",
                f"Check it with: energy-rating verify {file.parent} --calibration FILE",
                place=file,
            )
        gains[told.device] = (told.gain, told.doubt)
    if not said:
        name = f"findings.{GAIN_CORRECTED} (calibration/{gains_of(record)})"
        return Difference(file=RECORD_NAME, path=name, published=None, recomputed="that a gain was applied")
    exact = all(finding.data for finding in said)
    again = summarise_journal(with_gains(journal, gains))
    files = {name: sha for name, sha in record.provenance.files.items() if name.startswith("calibration/")}
    again = replace(
        again,
        findings=(*([_said_again(one) for one in said] if exact else said), *again.findings),
        provenance=replace(again.provenance, files={**again.provenance.files, **files}),
    )
    if not exact:
        # In a sentence a gain has six digits, and so other sentences may round another way.
        known = _by_kind(record.findings)
        worded = {
            key: replace(one, message=known[key].message) if key in known else one
            for key, one in _by_kind(again.findings).items()
        }
        again = replace(again, findings=tuple(worded.values()))
    found = compared(record, again, journal, tolerance=OTHER_ARITHMETIC if exact else TOLD_GAIN)
    return found.differences[0] if found.differences else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gain:
    """By what the readings of a card were divided, and its relative doubt (1 σ)."""

    device: str
    gain: float
    doubt: float


def _claimed(finding: Finding, record: Record) -> _Gain | None:
    """The gain that a finding says was applied; None where it does not say it."""
    if not finding.data:
        return _claimed_in_words(finding, record) if record.provenance.version == ONLY_WORDS else None
    device, gain, doubt = (finding.data.get(name) for name in ("device", "gain", "doubt"))
    if not isinstance(device, str) or not isinstance(gain, float) or not isinstance(doubt, float):
        return None
    return _Gain(device=device, gain=gain, doubt=doubt) if 0 <= doubt <= 1 else None


def _said_again(finding: Finding) -> Finding:
    """What is to be said of a gain by its data; that of other data than such a finding has is none of its sentences."""
    try:
        return gain_corrected(**finding.data)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return replace(finding, message="")


def _claimed_in_words(finding: Finding, record: Record) -> _Gain | None:
    """The same of the first release, whose findings had no data: the one sentence that is read, as that release wrote it."""
    told = _GAIN.match(finding.message)
    if told is None:
        return None
    # Its doubt stands in the channels with all its digits.
    of_card = (one for one in record.channels if one.device == told["device"])
    doubts = {one.accuracy for one in of_card if f"{one.accuracy:.2%}" == told["doubt"]}
    try:
        gain = float(told["gain"])
    except ValueError:
        return None
    return _Gain(device=told["device"], gain=gain, doubt=doubts.pop()) if len(doubts) == 1 else None


def gains_in_words(record: Record) -> tuple[str, ...]:
    """By what the readings of which card were divided, as a record says itself."""
    told = (_claimed(one, record) for one in record.findings if one.code == GAIN_CORRECTED)
    return tuple(
        f"the readings of {one.device} were divided by {one.gain:g}" for one in told if one is not None
    )


def _of_hash(published: str, found: str) -> Difference:
    return Difference(
        file=RECORD_NAME, path="provenance.journal_sha256", published=published, recomputed=found
    )


def _does_not_follow(file: Path, journal: Path, found: Difference) -> BadInput:
    return BadInput(
        f"{file.name} does not follow from {journal.name}: {found.path} is {_shown(found.published)}, the journal gives "
        f"{_shown(found.recomputed)}",
        f"See all that differs with: energy-rating verify {file.parent}; or replace it with: "
        f"energy-rating summarise --force {file.parent}",
        place=file,
    )


def refuse_to_replace(path: Path, again: Record, *, corrected: bool = False) -> None:
    """Raises where the record in this file is of the same journal and says something else: what somebody changed is not lost in silence.

    One of an earlier state of the journal, or one that can no longer be read, stands in nobody's way. ``corrected``: gains were asked for.

    Raises:
        BadInput: it would be lost.
    """
    try:
        there = files_record.load(path) if path.is_file() else None
    except BadInput:
        return
    if there is None or there.provenance.journal_sha256 != again.provenance.journal_sha256 or corrected:
        return
    if gains_of(there) is not None:
        raise BadInput(
            f"was corrected with the gains in {gains_of(there)}, which would be lost",
            "Give that file with --calibration, or replace the record with --force",
            place=path,
        )
    comparing = _Comparing(
        file=path.name, other_version=is_of_another_version(there, again), tolerance=OTHER_ARITHMETIC
    )
    entries = [_by_name(plain(record)) for record in (there, again)]
    if comparing.other_version:
        # What another version found is its own affair: today's record has today's findings.
        for entry in entries:
            del entry["schema"], entry["findings"]
            for measurement in entry["measurements"].values():
                del measurement["validity"]
    comparing.compare("", *entries)
    if comparing.differences:
        found = comparing.differences[0]
        raise BadInput(
            f"says something else than its journal, and was not replaced: {found.path} is {_shown(found.published)}, the journal gives "
            f"{_shown(found.recomputed)}",
            f"Replace it with --force, or see all that differs with: energy-rating verify {path.parent}",
            place=path,
        )


def by_todays_rules(record: Record, added: Sequence[Finding]) -> Record:
    """The record, with what today's rules say besides."""
    return _with_findings(record, (*record.findings, *added)) if added else record


def as_loaded(record: Record, again: Record) -> Record:
    """A record that agrees with the one that its journal gives today, as ``load`` hands it out.

    Of another version: what today's rules find, and what it left unsaid; nobody has compared its sentences.
    """
    if not is_of_another_version(record, again):
        return record
    return replace(
        again,
        schema=record.schema,
        provenance=replace(again.provenance, version=record.provenance.version),
    )


def _with_findings(record: Record, findings: Sequence[Finding]) -> Record:
    """The record with these findings, and the validity that follows from them."""
    record = replace(record, findings=tuple(findings))
    return replace(
        record,
        measurements=tuple(
            replace(one, validity=validity(record.findings_on(one.name))) for one in record.measurements
        ),
    )


def gains_of(record: Record) -> str | None:
    """The name of the file of gains that a record was corrected with, if it was.

    It is not looked for: gains are what somebody says of a card, and who takes them has to name them.
    """
    names = (name.partition("/") for name in record.provenance.files)
    return next((rest for kind, _, rest in names if kind == "calibration"), None)


def made_again(journal: Journal, calibration: str | Path | None = None) -> Record:
    """The record of a journal, corrected by the gains of a calibration if there is one."""
    if calibration is None:
        return summarise_journal(journal)
    corrected, of_gain = corrected_journal(journal, Path(calibration))
    record = summarise_journal(corrected)
    return replace(record, findings=(*of_gain, *record.findings))


def _opened(file: IO[bytes]) -> IO[bytes]:
    start = file.read(2)
    file.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if start == b"\x1f\x8b" else file


def _blocks(path: Path) -> Iterator[bytes]:
    """A journal's bytes, uncompressed, as far as they can be unpacked."""
    try:
        with opened(path) as file:
            stream = _opened(file)
            while block := stream.read(line_blocks.BLOCK_BYTES):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or error})", place=path) from error


def _is_longer(path: Path, most: int) -> bool:
    size = 0
    for block in _blocks(path):
        size += len(block)
        if size > most:
            return True
    return False


def _hashed(path: Path, most: int) -> str | None:
    """The SHA-256 of a journal's uncompressed bytes; None where it is too long to ask."""
    digest, size = hashlib.sha256(), 0
    for block in _blocks(path):
        size += len(block)
        if size > most:
            return None
        digest.update(block)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------ the comparison


def compared(
    published: Record, again: Record, journal: Journal | None, *, tolerance: float = 0.0
) -> Following:
    """A record beside the one that its journal gives today.

    Args:
        tolerance: by how much numbers may differ, relative to the larger; of another version's record 1e-9 at least.
    """
    comparing = _Comparing(
        file=RECORD_NAME, other_version=is_of_another_version(published, again), tolerance=tolerance
    )
    entries = [_by_name(plain(record)) for record in (published, again)]
    if not comparing.other_version:
        comparing.compare("", *entries)
        return Following(differences=tuple(comparing.differences))
    comparing.tolerance = max(tolerance, OTHER_ARITHMETIC)
    for entry in entries:
        del entry["schema"], entry["findings"]
        for measurement in entry["measurements"].values():
            del measurement["validity"]
    comparing.compare("", *entries)
    sessions = journal.sessions if journal is not None else ()
    noted = {finding.code for session in sessions for finding in session.findings}
    comparing.findings(published, again, noted)
    for measurement in published.measurements:
        if measurement.validity != validity(published.findings_on(measurement.name)):
            now = again[measurement.name].validity if measurement.name in again else None
            comparing.differs(f"measurements.{measurement.name}.validity", measurement.validity, now)
    return Following(
        differences=tuple(comparing.differences),
        added=tuple(comparing.added),
        dropped=tuple(comparing.dropped),
        reworded=tuple(comparing.reworded),
        unsaid=tuple(comparing.unsaid),
    )


def differences_between(
    file: str, published: Any, recomputed: Any, tolerance: float
) -> tuple[Difference, ...]:
    """Where a file of plain values says something else."""
    comparing = _Comparing(file=file, other_version=False, tolerance=tolerance)
    comparing.compare("", published, recomputed)
    return tuple(comparing.differences)


def is_of_another_version(published: Record, again: Record) -> bool:
    """Whether another version, or one of another schema, made it."""
    return (published.provenance.version, published.schema) != (again.provenance.version, again.schema)


@dataclass(slots=True)
class _Comparing:
    file: str
    other_version: bool
    tolerance: float
    differences: list[Difference] = field(default_factory=list)
    added: list[Finding] = field(default_factory=list)
    dropped: list[Finding] = field(default_factory=list)
    reworded: list[tuple[Finding, Finding]] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)

    def differs(self, path: str, published: Any, recomputed: Any) -> None:
        self.differences.append(
            Difference(file=self.file, path=path, published=published, recomputed=recomputed)
        )

    def compare(self, path: str, published: Any, recomputed: Any) -> None:
        if len(self.differences) > MOST_DIFFERENCES:
            return
        if isinstance(published, Mapping) and isinstance(recomputed, Mapping):
            free = path.rpartition(".")[2] in _FREE
            for key in dict.fromkeys([*published, *recomputed]):
                inner = f"{path}.{key}" if path else str(key)
                worked_out = inner.partition(".")[0] in _WORKED_OUT
                if self.other_version and key not in published and worked_out and not free:
                    self.unsaid.append(inner)
                    continue
                self.compare(inner, published.get(key), recomputed.get(key))
        elif is_list(published) and is_list(recomputed):
            if len(published) != len(recomputed):
                self.differs(path, published, recomputed)
                return
            for number, (one, other) in enumerate(zip(published, recomputed, strict=True)):
                self.compare(f"{path}.{number}", one, other)
        elif not same(published, recomputed, self.tolerance):
            self.differs(path, published, recomputed)

    def findings(self, published: Record, again: Record, noted: set[str]) -> None:
        ours, theirs = (_by_kind(record.findings) for record in (again, published))
        for kind in dict.fromkeys([*theirs, *ours]):
            was, now = theirs.get(kind), ours.get(kind)
            if was is None and now is not None:
                known = now.code in noted or (now.code in FIRST_RULES and now.code not in WIDENED)
                self.differs(f"findings.{kind}", None, plain(now)) if known else self.added.append(now)
            elif now is None and was is not None:
                if was.code in FIRST_RULES and was.severity != "disqualifies":
                    self.dropped.append(was)
                else:
                    self.differs(f"findings.{kind}", plain(was), None)
            elif was is not None and now is not None:
                if was.severity != now.severity:
                    self.differs(f"findings.{kind}.severity", was.severity, now.severity)
                if (was.message, was.remedy) != (now.message, now.remedy):
                    self.reworded.append((was, now))


def is_list(value: Any) -> bool:
    """Whether it is what JSON writes in square brackets."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two plain values are the same; numbers to within a relative tolerance, whole ones too."""
    numbers = [type(value) in (int, float) for value in (one, other)]
    if all(numbers) and tolerance:
        return math.isclose(one, other, rel_tol=tolerance)
    return bool(one == other) and all(numbers) == any(numbers)


def _by_name(entry: dict[str, Any]) -> dict[str, Any]:
    """A record whose lists are mappings, so that what is missing in the middle does not shift the rest."""
    entry = dict(entry)
    del entry["provenance"]["version"]
    for key, name in (("measurements", "name"), ("channels", "id")):
        entry[key] = {item[name]: item for item in entry[key]}
    for key in ("findings", "quality"):
        entry[key] = _counted(entry[key])
    return entry


def _counted(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    count: Counter[str] = Counter()
    found = {}
    for item in items:
        kind = "/".join(
            str(item.get(part)) for part in ("code", "metric", "measurement", "channel") if item.get(part)
        )
        count[kind] += 1
        found[f"{kind}#{count[kind]}" if count[kind] > 1 else kind] = item
    return found


def _by_kind(findings: Sequence[Finding]) -> dict[str, Finding]:
    entries = _counted([{**plain(finding), "finding": finding} for finding in findings])
    return {kind: entry["finding"] for kind, entry in entries.items()}
