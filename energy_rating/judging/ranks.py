"""What the ranks of a host did, as one run: work that others counted, and GPUs that they alone could measure. Pure.

The energy of a window is that of all devices, so its work has to be that of all ranks. Work of another rank's window goes into the window of
the same name that was open beside it for longest: the steps of ranks that wait for each other begin and end together, but not to
the millisecond. A window that only another rank had counts by itself. What is counted at the run, and the work of the run, adds up.

Where the ranks say that each of them counts what all did (``counts="all-ranks"``), nothing is added.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from energy_rating.files.columns import Column
from energy_rating.files.reading import Journal, Session
from energy_rating.files.windows import Checkpoint, Span, Windows, named
from energy_rating.judging.checks import UNCOUNTED
from energy_rating.nouns.records import RUN, Finding, Number, Samples
from energy_rating.nouns.work import Work

# Counts of windows that are open are written once a second: so much of a rank that was killed may be missing.
COUNTED_EVERY_S = 1.0

# Windows of one name follow each other, or a few of them overlap: so many before some times may reach into them.
MOST_OPEN = 16

# Sums of the same numbers in another order.
ALIKE = 1e-9

_Key = tuple[str, float]  # a window: its name and its start


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A journal with what all ranks did in its sessions, what is to be said of that, and how many ranks are in it (None: it was alone)."""

    journal: Journal
    findings: tuple[Finding, ...] = ()
    ranks: int | None = None


def joined(journal: Journal) -> Joined:
    """The journal of the rank that measured, with what the others wrote beside it. One of a run that was alone is as it was."""
    if not journal.others:
        return Joined(journal=journal, findings=(*_of_lost_files(journal), *_of_missing(journal)))
    sessions = []
    findings: list[Finding] = []
    for session in journal.sessions:
        parts = {
            name: part
            for name, other in journal.others.items()
            for part in other.sessions
            if part.run_id == session.run_id
        }
        sessions.append(_joined(session, parts))
    whole = replace(
        journal,
        sessions=tuple(sessions),
        files={**journal.files, **{name: other.sha256 for name, other in journal.others.items()}},
    )
    findings += _of_lost_files(journal)
    findings += _of_missing(journal)
    findings += _of_unfinished(journal)
    findings += _of_devices(whole, journal.others)
    for name, other in journal.others.items():
        if other.damage is not None:
            findings.append(
                Finding.of(
                    "journal-damaged",
                    f"{name} is damaged at {other.damage}; it was read up to there",
                    severity="degrades",
                )
            )
    return Joined(journal=whole, findings=tuple(findings), ranks=1 + len(journal.others))


def _joined(session: Session, parts: Mapping[str, Session]) -> Session:
    for part in parts.values():
        session = _with_devices(session, part)
    if session.counts == "all-ranks" or not parts:
        return session
    found = _WorkOfAll(session)
    works: dict[str, Work] = {}
    points: list[dict[str, Checkpoint]] = [{} for _ in session.checkpoints]
    said = _findings(session, parts)
    for name, part in parts.items():
        added = found.add(part)
        works[name] = added.of_run
        said += ((one, session.last_s) for one in _of_unmeasured(part, added))
        for place, checkpoint in enumerate(session.checkpoints):
            points[place][name] = added.by(checkpoint, session)
    return replace(
        session,
        spans=found.spans(),
        of_others=works,
        findings=(*session.findings, *(one for one, _ in said)),
        found_s=(*session.found_s, *(at_s for _, at_s in said)),
        quality=tuple(
            dict.fromkeys((*session.quality, *(one for part in parts.values() for one in part.quality)))
        ),
        checkpoints=tuple(
            replace(checkpoint, others=others)
            for checkpoint, others in zip(session.checkpoints, points, strict=True)
        ),
    )


def _findings(session: Session, parts: Mapping[str, Session]) -> list[tuple[Finding, float]]:
    """What other ranks found that the one that measured did not: all run the same program, and find the same."""
    known = {(one.code, one.measurement, one.channel) for one in session.findings}
    found: list[tuple[Finding, float]] = []
    for part in parts.values():
        offset_s = _offset_s(part)
        for one, at_s in zip(part.findings, part.found_s, strict=True):
            key = one.code, one.measurement, one.channel
            if key not in known:
                known.add(key)
                found.append((one, at_s + offset_s))
    return found


def _offset_s(part: Session) -> float:
    return part.rank.offset_s if part.rank is not None else 0.0


# ---------------------------------------------------------------------------------------------------------------- devices


def _with_devices(session: Session, part: Session) -> Session:
    """The session with the devices that another rank measured and it did not."""
    measured = {(channel.component, channel.device) for channel in session.channels}
    own = [channel for channel in part.channels if (channel.component, channel.device) not in measured]
    if not own:
        return session
    offset_s = _offset_s(part)
    devices = {channel.device for channel in own}
    known = {device.id for device in session.environment.devices}
    return replace(
        session,
        channels=(*session.channels, *own),
        samples={**session.samples, **{one.id: _shifted(part.samples[one.id], offset_s) for one in own}},
        environment=replace(
            session.environment,
            devices=(
                *session.environment.devices,
                *(one for one in part.environment.devices if one.id in devices and one.id not in known),
            ),
        ),
        conditions={
            **session.conditions,
            **{
                device: [(at_s + offset_s, condition) for at_s, condition in told]
                for device, told in part.conditions.items()
                if device in devices
            },
        },
    )


def _shifted(samples: Samples, offset_s: float) -> Samples:
    starts, ends = Column(), Column()
    starts.extend(value + offset_s for value in samples.start_s)
    ends.extend(value + offset_s for value in samples.end_s)
    return Samples(start_s=starts.values(), end_s=ends.values(), values=samples.values)


# ---------------------------------------------------------------------------------------------------------------- windows


@dataclass(slots=True)
class _Added:
    """What one rank added to a session: its work, when which of it was done, and in which windows."""

    part: Session
    of_run: Work
    before: Work = field(default_factory=Work)  # what it had done before anything was measured
    unmeasured: Work = field(default_factory=Work)  # and with that also what it did afterwards
    windows: dict[_Key, _Key] = field(
        default_factory=dict
    )  # its windows at checkpoints, and those beside them
    # Of the windows of the one that measures that were open at its checkpoints: what was done in them here, and there.
    into: dict[_Key, dict[str, Number]] = field(default_factory=dict)
    wholes: dict[_Key, Work] = field(default_factory=dict)
    # Of each name: what was done by which checkpoint of the session (the last place: after all of them).
    done: dict[str, list[dict[str, Number]]] = field(default_factory=dict)

    def by(self, checkpoint: Checkpoint, session: Session) -> Checkpoint:
        """What this rank had done when the other one noted a checkpoint."""
        own = self._own(checkpoint)
        if own is not None:
            windows = {self.windows.get(key, key): work for key, work in own.windows.items() if key[0] != RUN}
            run = {(RUN, 0.0): _less(own.of_run, self.before)}
            return replace(own, at_s=checkpoint.at_s, windows={**windows, **run})
        place = session.checkpoints.index(checkpoint)
        done: dict[str, Number] = {}
        for unit, total in self.of_run.items():
            names = [
                sum(step.get(unit, 0) for step in steps[: place + 1])
                for steps in self.done.values()
                if abs(sum(step.get(unit, 0) for step in steps) - total) <= ALIKE * total
            ]
            # Where its windows do not hold all that it counted, it had done as much of it as the one that measures had of its own.
            of_all = sum(span.work.get(unit, 0) for span in named(session.spans, RUN))
            done[unit] = max(names) if names else _part(total, checkpoint.of_run.get(unit, 0), of_all)
        windows = {
            key: Work(
                {
                    unit: _part(amount, work.get(unit, 0), self.wholes.get(key, Work()).get(unit, 0))
                    for unit, amount in self.into.get(key, {}).items()
                }
            )
            for key, work in checkpoint.windows.items()
        }
        run = {(RUN, 0.0): Work(done)}
        return Checkpoint(at_s=checkpoint.at_s, step=checkpoint.step, windows={**windows, **run})

    def _own(self, checkpoint: Checkpoint) -> Checkpoint | None:
        """Its own checkpoint of that step; of several the nearest."""
        if checkpoint.step is None:
            return None
        same = [one for one in self.part.checkpoints if one.step == checkpoint.step]
        offset_s = _offset_s(self.part)
        return min(same, key=lambda one: abs(one.at_s + offset_s - checkpoint.at_s), default=None)


def _outside(part: Session, since_s: float, until_s: float) -> tuple[Work, Work]:
    """What a rank did in windows that had ended before these times of its own, and in those that began after them: of that no energy is known.

    A unit is looked for in the windows of one name that hold all that was counted of it, the shortest of these, so that what is
    counted in an epoch and its steps is seen at the steps. What was counted in no window has no time, and a window that reaches into the
    measured time counts whole, as the steps of ranks that wait for each other do.
    """
    whole = Work.total(span.work for span in named(part.spans, RUN))
    sums: dict[str, dict[str, Number]] = {}
    early: dict[str, dict[str, Number]] = {}
    late: dict[str, dict[str, Number]] = {}
    numbers: dict[str, int] = {}
    for span in part.spans:
        if span.name == RUN:
            continue
        numbers[span.name] = numbers.get(span.name, 0) + 1
        into = [sums]
        if span.end_s < since_s:
            into.append(early)
        elif span.start_s >= until_s:
            into.append(late)
        for totals in into:
            of = totals.setdefault(span.name, {})
            for unit, amount in span.work.items():
                of[unit] = of.get(unit, 0) + amount
    before: dict[str, Number] = {}
    after: dict[str, Number] = {}
    for unit, total in whole.items():
        holding = [name for name, of in sums.items() if abs(of.get(unit, 0) - total) <= ALIKE * total]
        if holding:
            finest = max(holding, key=lambda name: numbers[name])
            for found, side in ((before, early), (after, late)):
                if amount := side.get(finest, {}).get(unit, 0):
                    found[unit] = amount
    return Work(before), Work(after)


def _less(work: Work, taken: Mapping[str, Number]) -> Work:
    """What is left of it; never less than nothing."""
    if not taken:
        return work
    return Work({unit: max(0, amount - taken.get(unit, 0)) for unit, amount in work.items()})


def _part(amount: Number, done: Number, whole: Number) -> Number:
    """As large a part of an amount as was done of the whole; of what is counted in whole numbers a whole number."""
    if not whole:
        return 0
    part = amount * min(1.0, done / whole)
    return round(part) if isinstance(amount, int) else part


class _WorkOfAll:
    """The windows of a session, and what other ranks did in them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._end_s = session.last_s
        self._more: dict[int, dict[str, Number]] = {}
        self._own: list[Span] = []
        self._places: dict[str, list[int]] = {}
        self._starts: dict[str, array[float]] = {}
        self._ends: dict[str, array[float]] = {}
        self._reach: dict[str, int] = {}
        self._across = {key for checkpoint in session.checkpoints for key in checkpoint.windows}
        self._cuts = [checkpoint.at_s for checkpoint in session.checkpoints]
        for place, span in enumerate(session.spans):
            self._places.setdefault(span.name, []).append(place)
            self._starts.setdefault(span.name, array("d")).append(span.start_s)
            self._ends.setdefault(span.name, array("d")).append(span.end_s)
            if span.name == RUN:
                self._end_s = span.end_s

    def add(self, part: Session) -> _Added:
        """Adds what one rank counted."""
        offset_s = _offset_s(part)
        added = _Added(part=part, of_run=Work())
        marked = {key for checkpoint in part.checkpoints for key in checkpoint.windows}
        before, after = _outside(part, -offset_s, self._end_s - offset_s)
        added.before, added.unmeasured = before, before + after
        for span in part.spans:
            start_s, end_s = span.start_s + offset_s, span.end_s + offset_s
            if span.name == RUN:
                measured = _less(_less(span.work, before), after)
                added.of_run = added.of_run + measured
                self._put(self._places.get(RUN, [None])[0], measured)
                continue
            if start_s >= self._end_s or end_s < 0:
                continue  # of what was done then nothing was measured
            found = self._beside(span.name, start_s, end_s)
            place: int | None = None
            if found is None:
                until_s = min(end_s, self._end_s)
                own = Span(
                    name=span.name,
                    start_s=max(start_s, 0.0),
                    end_s=max(until_s, start_s, 0.0),
                    work=span.work,
                )
                self._own.append(own)
                key, until_s = (own.name, own.start_s), own.end_s
            else:
                place = self._places[span.name][found]
                key, until_s = (span.name, self._starts[span.name][found]), self._ends[span.name][found]
                self._put(place, span.work)
            if place is not None and key in self._across:
                added.wholes[key] = self._session.spans[place].work
                within = added.into.setdefault(key, {})
                for unit, amount in span.work.items():
                    within[unit] = within.get(unit, 0) + amount
            if (span.name, span.start_s) in marked:
                added.windows[span.name, span.start_s] = key
            if self._cuts and span.work:
                steps = added.done.setdefault(span.name, [{} for _ in range(len(self._cuts) + 1)])
                step = steps[bisect_left(self._cuts, until_s)]
                for unit, amount in span.work.items():
                    step[unit] = step.get(unit, 0) + amount
        return added

    def _put(self, place: int | None, work: Mapping[str, Number]) -> None:
        if place is not None and work:
            more = self._more.setdefault(place, {})
            for unit, amount in work.items():
                more[unit] = more.get(unit, 0) + amount

    def _beside(self, name: str, start_s: float, end_s: float) -> int | None:
        """Which of the windows of that name was open beside these times for longest; None where none was."""
        if name not in self._places:
            return None
        starts, ends = self._starts[name], self._ends[name]
        best, longest_s = -1, 0.0
        first = max(bisect_right(starts, start_s) - self._open_at_once(name), 0)
        for place in range(first, bisect_left(starts, end_s)):
            both_s = min(ends[place], end_s) - max(starts[place], start_s)
            if both_s > longest_s:
                best, longest_s = place, both_s
        return best if best >= 0 else None

    def _open_at_once(self, name: str) -> int:
        """How many windows of that name before some times may reach into them: one where each ends before the next begins."""
        found = self._reach.get(name)
        if found is None:
            later = zip(self._ends[name], self._starts[name][1:], strict=False)
            found = self._reach[name] = 1 if all(end_s <= start_s for end_s, start_s in later) else MOST_OPEN
        return found

    def spans(self) -> Sequence[Span]:
        """All of them with their work."""
        windows = Windows()
        key = 0
        for place, span in enumerate(self._session.spans):
            more = self._more.get(place)
            _put_in(windows, key, replace(span, work=span.work + more) if more else span)
            key += 1
        for span in self._own:
            _put_in(windows, key, span)
            key += 1
        return windows.spans(self._session.last_s)


def _put_in(windows: Windows, key: int, span: Span) -> None:
    windows.open(key, span.name, span.start_s)
    if span.closed:
        windows.close(key, span.end_s, span.work)
    else:
        windows.count(key, span.work, span.end_s)


# ------------------------------------------------------------------------------------------------------ what is to be said


def _expected(journal: Journal) -> int | None:
    """How many ranks ran on the host, as their launcher told; None where it did not."""
    told = [one.rank.of for one in journal.sessions if one.rank is not None and one.rank.of is not None]
    return max(told, default=None)


def _work_of(session: Session) -> Work:
    return Work.total(span.work for span in named(session.spans, RUN))


def _of_lost_files(journal: Journal) -> Iterator[Finding]:
    """Files of ranks that a session has seen at its end, and that are not there."""
    sizes: dict[str, int] = {}
    for session in journal.sessions:
        for name, size in session.sealed.items():
            sizes[name] = max(size, sizes.get(name, 0))
    for name, size in sizes.items():
        if name not in journal.others:
            yield Finding.of(
                "journal-damaged",
                f"{name}, which was there when the run ended, is missing: what that rank counted, or measured, is in no figure"
                if size
                else f"{name} was empty when the run ended, as on a disk that is full: what that rank counted, or measured, is in no figure",
                "Put it back beside the journal" if size else "Make room, and measure again",
                severity="disqualifies",
            )


def _of_missing(journal: Journal) -> Iterator[Finding]:
    """Ranks whose work is not in the figures, though somebody counted some."""
    counting = [one for one in journal.sessions if one.counts == "each-rank" and any(_work_of(one).values())]
    expected = _expected(journal)
    if not counting:
        return
    others = {
        name: sum((_work_of(one) for one in other.sessions), Work()) for name, other in journal.others.items()
    }
    silent = [
        name.removesuffix(".jsonl").removeprefix("rank")
        for name, work in others.items()
        if not any(work.values())
    ]
    absent = max(0, (expected or 1) - 1 - len(others))
    if not absent and not silent:
        return
    told = [f"{absent} of them said nothing"] if absent else []
    if silent:
        told.append(f"{'rank' if len(silent) == 1 else 'ranks'} {', '.join(silent)} counted nothing")
    yield Finding.of(
        "other-ranks-count-apart",
        f"{max(expected or 0, 1 + len(others))} ranks ran on this host, and {' and '.join(told)}: the energy is that of all, the counted "
        "work is not",
    )


def _of_unfinished(journal: Journal) -> Iterator[Finding]:
    """Ranks that were killed, or still counted, when the run ended."""
    last = journal.sessions[-1]
    if not last.ended or last.counts == "all-ranks":
        return
    late = [
        part.rank.number
        for other in journal.others.values()
        for part in other.sessions
        if part.run_id == last.run_id
        and not part.ended
        and part.rank is not None
        and any(_work_of(part).values())
    ]
    if late:
        few = UNCOUNTED * last.last_s >= COUNTED_EVERY_S
        yield Finding.of(
            "rank-unfinished",
            f"{'rank' if len(late) == 1 else 'ranks'} {', '.join(map(str, late))} had not ended when the run did: what was counted there "
            f"in the last {COUNTED_EVERY_S:.0f} s may be missing",
            severity="note" if few else "degrades",
            measurement=RUN,
        )


def _of_unmeasured(part: Session, added: _Added) -> Iterator[Finding]:
    """Work that a rank did while the one that measures had not begun yet, or had ended."""
    left_out = {unit: amount for unit, amount in added.unmeasured.items() if amount}
    if left_out and part.rank is not None:
        whole = added.of_run + added.unmeasured
        few = all(amount <= UNCOUNTED * whole[unit] for unit, amount in left_out.items())
        amounts = ", ".join(f"{amount:,} {unit}" for unit, amount in left_out.items())
        yield Finding.of(
            "rank-unmeasured",
            f"rank {part.rank.number} did {amounts} before the first process of its host began to measure, or after that had ended: no "
            "energy is known of it, and it is in no figure",
            severity="note" if few else "degrades",
            measurement=RUN,
        )


def _of_devices(whole: Journal, others: Mapping[str, Journal]) -> Iterator[Finding]:
    """GPUs that a rank used and nobody measured."""
    for session in whole.sessions:
        measured = {channel.device for channel in session.channels if channel.component == "gpu"}
        for other in others.values():
            for part in other.sessions:
                if part.run_id != session.run_id or part.rank is None:
                    continue
                number = part.rank.number
                if part.rank.devices is None:
                    yield _not_measured(f"which GPUs rank {number} used could not be found out there")
                for device in part.rank.devices or ():
                    if device not in measured:
                        yield _not_measured(
                            f"{device}, which rank {number} could use, was measured by nobody"
                        )


def _not_measured(message: str) -> Finding:
    return Finding.of(
        "gpu-not-measured",
        message,
        "See what each rank can measure with: energy-rating sensors",
        "degrades",
    )
