"""A run's folder as a line of a collection: what its record says, worked out from the facts that every form tells.

Two ways. ``read`` takes a record as it stands, and makes a missing one in memory: quick, and a claim. ``check`` makes all of it again from
the journal and gives the line that follows from that: what another's verdict was is never asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from energy_rating.files import record as files_record
from energy_rating.files.journal import JOURNAL_NAMES
from energy_rating.files.reading import read_journal
from energy_rating.judging import evidence
from energy_rating.judging.footprint.carbon import footprint, zone_of
from energy_rating.judging.rating import rate
from energy_rating.judging.summary import summarise_journal
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import Estimate, total
from energy_rating.nouns.records import FULL_COVERAGE, RUN, Component, Record
from energy_rating.publishing.facts import Facts, Part, facts_of
from energy_rating.publishing.names import origin_of
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.verification import verify
from energy_rating.storage.runs import Checkup, CollectedRun, Kind
from energy_rating.version import __version__

# Energies that are apart from each other, and so may be added; of the others, which hold these, one stands for all.
_APART: tuple[Component, ...] = ("gpu", "cpu", "dram")
_WHOLE: tuple[Component, ...] = ("wall", "host", "module")

# What a run that did not bring anything is called; of a folder that another run went on in, the last session counts.
_WASTE_ROLES = ("failed",)

# By what a run's engine is known among its software, the most telling first: what serves stands on what computes.
_ENGINES = (
    *("vllm", "sglang", "tensorrt-llm", "xllamacpp", "llama.cpp", "llama-cpp-python", "diffusers"),
    *("sentence-transformers", "transformers", "mlx-lm", "onnxruntime", "torch", "jax", "tensorflow"),
)

LONGEST_TEXT = 200
MOST_REASONS, MOST_CODES, MOST_DEVICES, MOST_QUALITY = 8, 24, 4096, 16


def read(folder: Path) -> CollectedRun:
    """The line of a run's folder as its record says it; without a record, as its journal gives it.

    Raises:
        BadInput: it holds neither, or what it holds cannot be read.
    """
    return run_of(_record(folder))


def check(folder: Path, content: str) -> tuple[Checkup, CollectedRun | None]:
    """What verification finds of a folder, and the line that its journal gives; none where that cannot be told. ``content``: its SHA-256."""
    try:
        if not (folder / files_record.RECORD_NAME).is_file():
            # Nothing is claimed that its journal does not say.
            record = summarise_journal(read_journal(folder))
            return _checkup(content, "matches", sha256=record.provenance.journal_sha256), run_of(record)
        found = verify(folder, strict=True)
    except EnergyRatingError as error:
        return _checkup(content, "cannot be checked", why=str(error)), None
    doubts = [one for one in found.findings if one.severity != "note"]
    why = (
        str(found.differences[0])
        if found.differences
        else found.cannot or (f"hard to believe: {doubts[0].code}: {doubts[0].message}" if doubts else "")
    )
    checkup = _checkup(content, found.verdict, sha256=found.journal_sha256, plausible=not doubts, why=why)
    if found.verdict != "matches":
        return checkup, None
    return checkup, None if found.record is None else run_of(found.record)


def _checkup(
    content: str, verdict: str, *, sha256: str = "", plausible: bool | None = None, why: str = ""
) -> Checkup:
    return Checkup(
        content=content,
        verdict=verdict,  # type: ignore[arg-type]
        version=__version__,
        journal_sha256=sha256,
        plausible=plausible,
        why=for_plain_text(why),
    )


def _record(folder: Path) -> Record:
    if folder.is_file():
        return evidence.load(folder)
    if (folder / files_record.RECORD_NAME).exists():
        return files_record.load(folder)
    if any((folder / name).exists() for name in JOURNAL_NAMES):
        return summarise_journal(read_journal(folder))
    raise BadInput("holds neither a record nor a journal", "Name the folder of a run", place=folder)


def run_of(record: Record) -> CollectedRun:
    """The line of a record, with its rating under the newest scheme."""
    rating = rate(record)
    facts = facts_of(record, rating)
    run = next((row for row in facts.rows if row.measurement.name == RUN), None)
    summed = _summed(run.parts if run is not None else ())
    measured = [part for part in summed if part.origin != "estimated"]
    modelled = [part for part in summed if part.origin == "estimated"]
    start_s = _seconds(record.created)
    duration_s = run.measurement.start_s + run.measurement.duration_s if run is not None else 0.0
    energy = _total(measured)
    beside = _total(modelled)
    figure, unit, origin, component = _figure(facts)
    could_be = rating.could_be or (None, None)
    load, model, task = record.load, record.model, record.task
    names = [device.name for device in facts.devices if device is not None]
    coverage = min((part.coverage for part in measured or modelled), default=None)
    return CollectedRun(
        run_id=_text(record.run_id),
        created=_utc(record.created),
        start_s=start_s,
        end_s=start_s + duration_s if start_s is not None else None,
        duration_s=duration_s,
        stage=record.stage,
        role=_text(record.role),
        origin=record.origin,
        kind=_kind(record, measured, modelled, coverage),
        waste=_waste(record),
        ending=_text(facts.outcome),
        model=_text(model.id if model else None),
        revision=_text(model.revision if model else None),
        dtype=_text(model.dtype if model else None),
        base_model=_text(record.lineage.base_model if record.lineage else None),
        parameters=model.parameters if model else None,
        task=_text(task.name if task else None),
        # That of a training's rating is of its floating-point operations, and its figure here is of what was counted.
        protocol=_text(
            (rating.protocol if record.stage == "inference" else None) or (task.protocol if task else None)
        ),
        engine=_engine(record),
        items=load.items if load else None,
        batch=load.batch_size if load else None,
        concurrency=load.concurrency if load else None,
        tokens=load.max_new_tokens if load else None,
        place=_text(zone_of(record)),
        hardware=_text(" + ".join(dict.fromkeys(names))),
        hardware_count=len(facts.devices),
        devices=_devices(record),
        components="+".join(part.component for part in measured),
        measured_j=energy.value if energy is not None else None,
        measured_random_j=energy.random if energy is not None else 0.0,
        measured_systematic_j=energy.systematic if energy is not None else 0.0,
        estimated_j=beside.value if beside is not None else None,
        estimated_sigma_j=beside.sigma if beside is not None else 0.0,
        coverage=coverage,
        validity=run.measurement.validity if run is not None else "invalid",
        figure_j=figure.value if figure is not None else None,
        figure_random_j=figure.random if figure is not None else 0.0,
        figure_systematic_j=figure.systematic if figure is not None else 0.0,
        figure_unit=_text(unit),
        figure_component=component,
        figure_origin=origin,
        carbon_g=_carbon(record),
        stars=rating.stars,
        could_be_low=could_be[0],
        could_be_high=could_be[1],
        index=rating.index.value if rating.index is not None else None,
        class_=_text(rating.class_),
        scheme=rating.scheme,
        basis=facts.rated_as or "",
        status=rating.status or "",
        reasons=tuple(_text(one.said) for one in facts.reasons[:MOST_REASONS]),
        reason_codes=tuple(dict.fromkeys(one.code for one in facts.reasons[:MOST_CODES])),
        findings=tuple(dict.fromkeys(_text(one.code) for one in facts.findings if one.severity != "note"))[
            :MOST_CODES
        ],
        quality=tuple((_text(one.metric), float(one.value)) for one in record.quality[:MOST_QUALITY]),
        example=facts.example,
        journal_sha256=_text(record.provenance.journal_sha256),
        made_by=_text(record.provenance.version),
        worked_out_by=__version__,
    )


def _summed(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Of a run's parts those that may be added: nothing that holds another."""
    found = {part.component: part for part in parts}
    apart = tuple(found[one] for one in _APART if one in found)
    if any(part.origin != "estimated" for part in apart):
        return apart
    whole = next((found[one] for one in _WHOLE if one in found), None)
    return (whole,) if whole is not None else apart


def _total(parts: Iterable[Part]) -> Estimate | None:
    energies = [part.energy_j for part in parts]
    return total(energies, same_sensor=False) if energies else None


def _kind(record: Record, measured: list[Part], modelled: list[Part], coverage: float | None) -> Kind:
    if record.origin == "imported":
        return "imported"
    if not measured:
        return "estimated" if modelled else "incomplete"
    if record.outcome is not None and record.outcome.state == "running":
        return "incomplete"
    if coverage is not None and coverage < FULL_COVERAGE:
        return "incomplete"
    valid = [record.validity_of(RUN, part.component) for part in measured]
    return "invalid" if "invalid" in valid else "measured"


def _waste(record: Record) -> str:
    outcome = record.outcome
    if outcome is not None and outcome.state == "killed":
        return "killed"
    if outcome is not None and outcome.failed:
        return "failed"
    return "said so" if record.role in _WASTE_ROLES else ""


def _figure(facts: Facts) -> tuple[Estimate | None, str, str, str]:
    """Energy per unit of work: of a training, whose figure is its energy in all, by what was counted in it."""
    figure = facts.figure
    if figure is None:
        return None, "", "", ""
    if figure.unit is not None:
        return figure.energy_j, figure.unit, figure.origin, figure.component
    if figure.others:
        unit, energy = figure.others[0]
        return energy, unit, figure.origin, figure.component
    return None, "", figure.origin, figure.component


def _carbon(record: Record) -> float | None:
    if zone_of(record) is None:
        return None
    try:
        return footprint(record).carbon_g.value
    except EnergyRatingError:  # of a place that a record says there may be no factor
        return None


def _devices(record: Record) -> tuple[str, ...]:
    """What sensors told of, with its machine: without one it cannot be known which device that was."""
    host = record.environment.host
    if host is None:
        return ()
    used = dict.fromkeys(one.device for one in record.channels if origin_of(one.method) != "estimated")
    return tuple(_text(f"{host}/{device}") for device in used)[:MOST_DEVICES]


def _engine(record: Record) -> str:
    told: Mapping[str, object] = {**record.operating_point, **(record.load.settings if record.load else {})}
    said = told.get("engine") or told.get("workload")
    if isinstance(said, str):
        return _text(said)
    software = {name.casefold(): (name, version) for name, version in record.environment.software.items()}
    for name in _ENGINES:
        if name in software:
            return _text(" ".join(filter(None, software[name])))
    return ""


def _text(text: str | None) -> str:
    return for_plain_text(text, LONGEST_TEXT) if text else ""


def _utc(created: str) -> str:
    """A record's start in UTC, to the second; nothing where it tells no time."""
    seconds = _seconds(created)
    if seconds is None:
        return ""
    return datetime.fromtimestamp(math.floor(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(created: str) -> float | None:
    try:
        time = datetime.fromisoformat(created)
        time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        seconds = time.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 32503680000.0 else None  # up to the year 3000
