"""One record from those of the hosts of a job. Pure.

**Energy.** Each device counts once, whoever measured it: by its UUID, or, where an id means something on its host alone (a processor's
zone), by host and id. Devices of one model share their gain's error wherever they stand, so their systematic doubts add up; those of
different models add in quadrature, as in a record of one host (``sums``).

**Work** of hosts adds up where each counted its own; where each counted what all did (``counts="all-ranks"``) it is taken once.

**Time.** A window that hosts have in common is one window, open on all of them. The clocks of hosts differ: what a job that begins its steps
together does at one moment stands in its records at several. Energy does not hang on that, since each host's is that of its own windows; the
time from the first host's start to the last one's end does, and is corrected by what windows of one name tell.

**What is missing** is said, and lowers the coverage: hosts that nobody has a record of, hosts that ended early, components that some
hosts alone measured.
"""

from __future__ import annotations

import calendar
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from energy_rating.judging.merging.clocks import compare_clocks
from energy_rating.judging.merging.energy import Whole
from energy_rating.judging.merging.parts import NOT_TOLD, HostRun, Named, by_place, in_order, names_of
from energy_rating.judging.merging.said import MOST_NAMED, of_hosts
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import (
    RUN,
    Channel,
    Environment,
    Finding,
    Outcome,
    Provenance,
    Record,
    component_methods,
    validity,
)
from energy_rating.version import __version__

CREATED = "%Y-%m-%dT%H:%M:%SZ"

# Runs of which nothing but their time says that they are of one job may lie so far apart: some hosts take minutes to begin.
APART_S = 600.0


class _Merging:
    """Records of the hosts of a job, one after the other. ``add`` refuses what does not belong to those before; ``record`` is the whole."""

    def __init__(self) -> None:
        self._parts: list[HostRun] = []
        self._first: Record | None = None
        self._by_run: dict[str, str] = {}
        self._software: dict[str, set[str]] = {}
        self._parameters: set[tuple[int | None, int | None]] = set()
        self._quality: dict[Any, None] = {}
        self._places: set[Any] = set()
        self._points: dict[str, Any] | None = None
        self._known: dict[Finding, Finding] = {}

    def add(self, record: Record, name: str) -> None:
        """One more host's record; ``name`` is what an error calls it.

        Raises:
            BadInput: it is no host's own record, or one that is in already, or of another job, model or protocol.
        """
        _refuse_unless_own(record, name)
        if record.run_id in self._by_run:
            raise BadInput(
                f"is the same run as {self._by_run[record.run_id]}", "Name each host once", place=name
            )
        first = self._first
        if first is None:
            self._first = first = record
        else:
            _refuse_another_job(record, first, name, self._parts[0].name)
        self._by_run[record.run_id] = name
        self._parts.append(self._part(record, name))
        for key, value in record.environment.software.items():
            self._software.setdefault(key, set()).add(value)
        if record.model is not None:
            self._parameters.add((record.model.parameters, record.model.active_parameters))
        self._quality.update(dict.fromkeys(record.quality))
        self._places.add(record.place)
        point = dict(record.operating_point)
        self._points = (
            point
            if self._points is None
            else {key: value for key, value in self._points.items() if point.get(key) == value}
        )

    def _part(self, record: Record, name: str) -> HostRun:
        return HostRun(
            name=name,
            place=record.job.place if record.job is not None else NOT_TOLD,
            run_id=record.run_id,
            began_s=float(calendar.timegm(time.strptime(record.created, CREATED))),
            ended=record.outcome is None or (record.outcome.state == "ended" and not record.outcome.failed),
            outcome=record.outcome,
            ranks=record.ranks,
            job=record.job,
            measured=tuple(_used(record)),
            described=record.environment.devices,
            measurements={one.name: one for one in record.measurements},
            # Hosts of a job find the same: of ten thousand that say so one sentence is kept.
            findings=tuple(self._known.setdefault(one, one) for one in record.findings),
            provenance=record.provenance,
        )

    # -- the whole

    def record(self) -> Record:
        """The record of all hosts that were added.

        Raises:
            BadInput: there are none, or two of them are one host at one time.
        """
        first = self._first
        if first is None:
            raise BadInput("no record was named", "Name those of the hosts, or the folder of their job")
        parts = in_order(self._parts)
        named = Named(parts)
        _refuse_one_host_twice(parts)
        clocks = compare_clocks(parts)
        whole = Whole(parts, counts=first.job.counts if first.job is not None else "each-rank")
        measurements = [whole.measurement(name) for name in names_of(parts)]
        findings = [
            *clocks,
            *whole.findings(),
            *of_hosts(parts),
            *self._differing(first),
        ]
        channels = tuple(named.channels.values())
        measurements = [
            replace(
                one,
                methods=component_methods(one.energy_by_channel_j, channels),
                validity=validity(finding for finding in findings if finding.measurement in (None, one.name)),
            )
            for one in measurements
        ]
        model = first.model
        if model is not None and len(self._parameters) > 1:
            model = replace(model, parameters=None, active_parameters=None)
        began_s = min(part.began_s - part.offset_s for part in parts)
        return Record(
            run_id=_run_id(parts, began_s),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_s)),
            stage=first.stage,
            environment=Environment(
                devices=tuple(named.devices),
                software={key: ", ".join(sorted(told)) for key, told in sorted(self._software.items())},
            ),
            channels=channels,
            measurements=tuple(measurements),
            findings=tuple(dict.fromkeys(findings)),
            provenance=_provenance(parts),
            model=model,
            task=first.task,
            load=first.load,
            quality=tuple(self._quality),
            origin="merged",
            outcome=_outcome(parts),
            place=first.place if len(self._places) == 1 else None,
            role=first.role,
            lineage=first.lineage,
            ranks=_ranks(parts),
            nodes=len(by_place(parts)),
            job=replace(first.job, node=None, rank=0) if first.job is not None else None,
            operating_point=self._points or {},
        )

    def _differing(self, first: Record) -> Iterator[Finding]:
        """What the hosts tell differently of what should be one."""
        if first.model is not None and len(self._parameters) > 1:
            yield Finding.of(
                "hosts-differ",
                "the hosts tell different numbers of parameters, as where each holds a part of the model: the number of the whole is not known",
                "Tell it: measure(model=Model(…, parameters=N))",
                severity="degrades",
            )
        if len(self._places) > 1:
            yield Finding.of(
                "hosts-differ",
                f"the hosts stand in {len(self._places)} places: the whole has none, and no factor of a grid",
                "Work out the carbon of each host's record",
                severity="note",
            )
        several = [key for key, told in sorted(self._software.items()) if len(told) > 1]
        if several:
            yield Finding.of(
                "hosts-differ",
                f"the hosts have different versions of {', '.join(several[:MOST_NAMED])}{' …' if len(several) > MOST_NAMED else ''}",
                severity="note",
            )


def _used(record: Record) -> Iterator[Channel]:
    """The channels of a record that its energies come from, or that something is said of; of a device that has none, all."""
    used = {name for one in record.measurements for name in one.energy_by_channel_j}
    told = {one.channel for one in record.findings}
    beside = {(one.component, one.device) for one in record.channels if one.id in used}
    for channel in record.channels:
        if channel.id in used or channel.id in told or (channel.component, channel.device) not in beside:
            yield channel


def merge(records: Iterable[tuple[Record, str]]) -> Record:
    """The record of a job from those of its hosts, each with what an error is to call it; the order changes nothing.

    Raises:
        BadInput: there is none, one is no host's own, or they are not of one job.
    """
    merging = _Merging()
    for record, name in records:
        merging.add(record, name)
    return merging.record()


# ------------------------------------------------------------------------------------------------------ what belongs together


def _refuse_unless_own(record: Record, name: str) -> None:
    if record.origin == "imported":
        raise BadInput(
            "it was taken over from another file (imported), and no device in it is known to be counted once",
            "Merge what this package measured",
            place=name,
        )
    if record.origin == "merged":
        raise BadInput(
            "it is merged already", "Name the records that it was made of, with the new ones", place=name
        )


def _refuse_another_job(record: Record, first: Record, name: str, first_name: str) -> None:
    """Raises where a record cannot be of the job that the first one is of."""
    ids = [one.job.id if one.job is not None else None for one in (record, first)]
    if None not in ids and ids[0] != ids[1]:
        raise BadInput(f"it is of another job than {first_name}", "Merge the hosts of one job", place=name)
    asked: tuple[tuple[str, Callable[[Record], Any]], ...] = (
        ("stage", lambda one: one.stage),
        ("model", lambda one: (one.model.id, one.model.revision) if one.model is not None else None),
        ("task", lambda one: (one.task.name, one.task.unit) if one.task is not None else None),
        ("protocol", lambda one: one.task.protocol if one.task is not None else None),
        ("load", lambda one: one.load),
        ("role", lambda one: one.role),
        ("base", lambda one: one.lineage),
        ("way of counting", lambda one: one.job.counts if one.job is not None else "each-rank"),
    )
    for noun, of in asked:
        if of(record) != of(first):
            raise BadInput(
                f"its {noun} is not that of {first_name}: {_shown(of(record))}, and {_shown(of(first))} there",
                "Merge the hosts of one job",
                place=name,
            )
    if None in ids:
        began_s, first_s = (_epoch_s(one) for one in (record, first))
        if (
            began_s > first_s + first[RUN].duration_s + APART_S
            or first_s > began_s + record[RUN].duration_s + APART_S
        ):
            raise BadInput(
                f"it ran at another time than {first_name}, and nothing says that both are of one job",
                "Merge the hosts of one job",
                place=name,
            )


def _epoch_s(record: Record) -> float:
    return float(calendar.timegm(time.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ"))) + record[RUN].start_s


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return " ".join(str(one) for one in value if one is not None)[:80]
    return str(value)[:80]


def _refuse_one_host_twice(parts: Sequence[HostRun]) -> None:
    for several in by_place(parts).values():
        for one, other in itertools.pairwise(several):
            if one.shares_time_with(other):
                raise BadInput(
                    f"is host {one.place} of the job, and so is {one.name}, at the same time",
                    "Name each host once",
                    place=other.name,
                )


def _outcome(parts: Sequence[HostRun]) -> Outcome | None:
    """How the job ended: as the host did that ended worst; of one that was started again the last time counts."""
    last = [several[-1].outcome for several in by_place(parts).values()]
    known = [one for one in last if one is not None]
    for worse in (
        [one for one in known if one.state == "running"],
        [one for one in known if one.state == "killed"],
        [one for one in known if one.failed],
    ):
        if worse:
            return worse[0]
    return known[0] if len(known) == len(last) and known else None


def _ranks(parts: Sequence[HostRun]) -> int | None:
    """How many processes are in it; None where no host tells of several."""
    by_host = [max((part.ranks or 1) for part in several) for several in by_place(parts).values()]
    return sum(by_host) if any(part.ranks is not None for part in parts) or len(by_host) > 1 else None


def _run_id(parts: Sequence[HostRun], began_s: float) -> str:
    digest = hashlib.sha256("\n".join(sorted(part.run_id for part in parts)).encode()).hexdigest()
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(began_s))}-{digest[:4]}"


def _provenance(parts: Sequence[HostRun]) -> Provenance:
    """The hash of the hosts' hashes, in the order of their places, and each of them; data files that all used once."""
    files: dict[str, str] = {}
    for several in by_place(parts).values():
        for number, part in enumerate(several):
            place = f"nodes/{part.place}" + (f"-{number + 1}" if number else "")
            files[f"{place}/journal"] = part.provenance.journal_sha256
            for name, sha256 in part.provenance.files.items():
                is_its_own = name.startswith("rank") or files.get(name, sha256) != sha256
                files[f"{place}/{name}" if is_its_own else name] = sha256
    digest = hashlib.sha256("\n".join(part.provenance.journal_sha256 for part in parts).encode())
    return Provenance(
        version=__version__, journal_sha256=digest.hexdigest(), files=dict(sorted(files.items()))
    )
