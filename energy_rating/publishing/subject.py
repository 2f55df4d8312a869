"""What an export is made of: a record's facts, what they come to at a place, whose runs they are, and what a form asks for and nobody told.

Every form of ``exports`` is a function from these to text. What is asked for by a form and is not known becomes a ``FormGap``: the field of
the form, and what would fill it. Nothing is guessed, and no zero stands for what was not measured.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from energy_rating.judging.footprint.carbon import (
    PARTS,
    WHOLES,
    Choices,
    Impact,
    footprint,
    missing,
    zone_of,
)
from energy_rating.judging.training import training_flop
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import JOULES_PER_WH, Estimate, total
from energy_rating.nouns.records import RUN, TRAINING, Measurement, Record, Validity
from energy_rating.publishing import runs
from energy_rating.publishing.facts import Facts, Part, facts_of
from energy_rating.publishing.names import NAMES, Origin
from energy_rating.publishing.strangers import for_plain_text

JOULES_PER_KWH = 1000 * JOULES_PER_WH
JOULES_PER_MWH = 1000 * JOULES_PER_KWH
GRAMS_PER_TONNE = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class FormGap:
    """A field of a form that cannot be filled, and what would fill it."""

    field: str
    fill: str

    def __str__(self) -> str:
        return f"{self.field}: {self.fill}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file in somebody else's form, and what it could not say."""

    content: str | bytes
    gaps: tuple[FormGap, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyDrawn:
    """What a run, or the windows that stand for it, drew: the whole machine where that was seen, else the sum of its parts.

    ``parts`` are those that are in it, ``missing`` those that were not measured.
    """

    joules: Estimate
    parts: tuple[Part, ...]
    missing: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        """The least direct of the ways that its parts were had."""
        kinds = {part.origin for part in self.parts}
        return next(one for one in ORIGINS_WORST_FIRST if one in kinds)

    @property
    def kwh(self) -> float:
        return self.joules.value / JOULES_PER_KWH

    def said(self) -> str:
        """Whose it is and how it was had: ``GPU (measured), CPU (estimated); memory not measured``."""
        told = ", ".join(f"{part.name} ({part.origin})" for part in self.parts)
        left = ", ".join(NAMES[name] for name in self.missing)
        return f"{told}; {left} not measured" if left else told


ORIGINS_WORST_FIRST: tuple[Origin, ...] = ("estimated", "imported", "measured")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One record as the exports see it. ``impact`` None: nobody says where it ran, or nothing is known of that place (``why_no_impact``)."""

    facts: Facts
    impact: Impact | None
    why_no_impact: str

    @property
    def record(self) -> Record:
        return self.facts.record

    @property
    def training(self) -> bool:
        return self.record.stage in TRAINING

    @property
    def measurement(self) -> Measurement | None:
        """What the figures are of: of a training the run, else the windows that stand for the record."""
        name = measurement_of(self.facts)
        return self.record[name] if name is not None else None

    @property
    def energy(self) -> EnergyDrawn | None:
        measurement = self.measurement
        if measurement is None:
            return None
        row = next(row for row in self.facts.rows if row.measurement is measurement)
        whole = next((name for name in WHOLES if name in measurement.energy_j), None)
        names = (
            (whole,) if whole is not None else tuple(name for name in PARTS if name in measurement.energy_j)
        )
        parts = tuple(part for name in names if (part := row.part(name)) is not None)
        if not parts:
            return None
        joules = total((part.energy_j for part in parts), same_sensor=False)
        return EnergyDrawn(joules=joules, parts=parts, missing=missing(names))

    @property
    def validity(self) -> Validity:
        return self.facts.validity

    @property
    def unit(self) -> str | None:
        """The unit of work that the record is told by, where it was counted in the measurement."""
        measurement, figure = self.measurement, self.facts.figure
        if measurement is None:
            return None
        wanted = figure.unit if figure is not None else None
        if wanted is not None and measurement.work.divisor(wanted):
            return wanted
        row = next(row for row in self.facts.rows if row.measurement is measurement)
        return next(iter(row.units), None)

    @property
    def flop(self) -> tuple[float, str] | None:
        """The operations of a training, and how they were had; None where they do not follow from the record."""
        if not self.training or RUN not in self.record:
            return None
        found = training_flop(self.record, self.record[RUN])
        return (found.amount, found.method) if found.amount is not None else None

    @property
    def of_which(self) -> str | None:
        """``final run only``, and what else it may be; None of what is no training."""
        return runs.of_which(self.record, {})

    @property
    def name(self) -> str | None:
        """The model's, as one line; None where nobody named it."""
        return (for_plain_text(self.record.model.id) or None) if self.record.model is not None else None

    @property
    def started(self) -> datetime | None:
        """In UTC; None where the record tells no time that is one."""
        try:
            time = datetime.fromisoformat(self.record.created)
        except ValueError:
            return None
        try:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except OverflowError:
            return None

    @property
    def ended(self) -> datetime | None:
        measurement, started = self.measurement, self.started
        if measurement is None or started is None:
            return None
        try:
            return started + timedelta(seconds=measurement.start_s + measurement.duration_s)
        except OverflowError:
            return None

    def uuid(self, *what: str) -> uuid.UUID:
        """The same for the same run and thing, on every machine (RFC 9562, version 5)."""
        run = (self.record.run_id, self.record.provenance.journal_sha256)
        return uuid.uuid5(_NAMESPACE, "\n".join(for_plain_text(one) for one in (*run, *what)))

    @property
    def evidence(self) -> tuple[tuple[str, str, str], ...]:
        """Each piece of evidence: its name, what it is, its SHA-256."""
        record = self.record
        if record.origin == "imported":
            return (("(none)", "taken over from another tool's file, behind which no journal stands", ""),)
        told = [("journal.jsonl", "journal of the run, uncompressed", record.provenance.journal_sha256)]
        told += [
            (name, "data that the record rests on", sha) for name, sha in record.provenance.files.items()
        ]
        return tuple(told)


_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "energy-rating")


def measurement_of(facts: Facts) -> str | None:
    """The name of the measurement that the figures of an export are of."""
    if facts.record.stage in TRAINING:
        return RUN if RUN in facts.record else None
    return facts.figure.window if facts.figure is not None else None


def subject_of(record: Record, choices: Choices | None = None) -> Subject:
    """A record with what it comes to, where it or ``choices`` say where it ran.

    Raises:
        BadInput: a place was asked for that there is not.
    """
    facts = facts_of(record)
    name = measurement_of(facts)
    asked = choices is not None and (choices.zone is not None or choices.intensity is not None)
    if name is None:
        return Subject(facts=facts, impact=None, why_no_impact="no energy was measured")
    if not asked and zone_of(record) is None:
        return Subject(
            facts=facts, impact=None, why_no_impact="nobody says where it ran: name it with --zone"
        )
    wanted = choices or Choices()
    unit = Subject(facts=facts, impact=None, why_no_impact="").unit
    if wanted.per is None and unit is not None:
        wanted = replace(wanted, per=unit)
    try:
        impact = footprint(record, measurement=name, choices=wanted)
    except BadInput as error:
        if asked:
            raise
        return Subject(facts=facts, impact=None, why_no_impact=str(error))
    except EnergyRatingError as error:
        return Subject(facts=facts, impact=None, why_no_impact=str(error))
    return Subject(facts=facts, impact=impact, why_no_impact="")


def summed(subjects: Sequence[Subject]) -> Estimate | None:
    """The energy of several runs, each once; None where one of them has none, since the sum would be too small."""
    drawn = [subject.energy for subject in subjects]
    if not drawn or any(one is None for one in drawn):
        return None
    return total((one.joules for one in drawn if one is not None), same_sensor=True)


# ------------------------------------------------------------------------------------------------------------- their words


def fixed(value: float) -> str:
    """A number in full, never in powers of ten."""
    text = format(Decimal(repr(float(value))), "f")
    return text.removesuffix(".0") if text.endswith(".0") else text


def digits(value: float, count: int = 2) -> str:
    """A number with so many significant digits, never in powers of ten: ``0.0012``, ``340``."""
    if value == 0:
        return "0"
    return format(Decimal(f"{value:.{count - 1}e}"), "f")


def json_text(content: object, indent: int | None = 2) -> str:
    """JSON for people and programs: half a pair of surrogates, which a stranger's name may hold, is no text, and becomes ``?``."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    return f"{text.encode('utf-8', 'replace').decode()}\n"


def utc(time: datetime) -> str:
    return (
        time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time.year >= 1000 else "1970-01-01T00:00:00Z"
    )


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def word(text: str) -> str:
    """A name of letters, digits, points and lines, as identifiers want it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-") or "unnamed"


def work_of(subject: Subject) -> Mapping[str, float]:
    """What was done in the measurement that the figures are of, of what was counted."""
    measurement = subject.measurement
    if measurement is None:
        return {}
    return {unit: float(amount) for unit, amount in measurement.work.items() if amount}
