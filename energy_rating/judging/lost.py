"""Work that was lost: done after the checkpoint from which a run went on, and done again. Pure; reads a journal's own lines.

What is useful is what was trained: up to the last checkpoint before a crash, and from there on in the session that went on from it. The
joules of what was lost stay in the run, whose price per unit they raise; they are told apart, and so is its work. Windows that lie
after the checkpoint are part of what was lost, those that lie across it are divided there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from energy_rating.files.journal import JOURNAL_SCHEMAS
from energy_rating.files.reading import Journal, Session
from energy_rating.files.windows import Checkpoint, Span, named
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import RUN, Finding, Measurement, Number
from energy_rating.nouns.work import Work

# What the windows of lost work are called in a record; of a run that has such a name itself, the second.
LOST, LOST_TOO = "lost", "lost-work"

TRAINING = ("pre-training", "fine-tuning")

ITSELF = ""  # the rank that measured, among those of its host

# Sums of the same numbers in another order.
ALIKE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What of one session was lost: all from ``from_s`` on. ``useful`` is what was trained before it."""

    from_s: float
    useful: Work
    work: Work
    checkpoint: Checkpoint | None = None

    def cut(self, span: Span) -> tuple[Span | None, Span | None]:
        """The useful part of a window, and the lost one."""
        if span.end_s <= self.from_s:
            return span, None
        if span.start_s >= self.from_s:
            return None, span
        key = span.name, span.start_s
        done = self.checkpoint.windows.get(key) if self.checkpoint is not None else None
        if done is not None and self.checkpoint is not None:
            others = (one.windows.get(key, Work()) for one in self.checkpoint.others.values())
            done = least(Work.total((done, *others)), span.work)
        if done is None:  # nobody noted what it had done: it counts where most of it lies
            late = span.end_s - self.from_s > self.from_s - span.start_s
            return (None, span) if late else (span, None)
        return (
            replace(span, end_s=self.from_s, work=done, closed=True),
            replace(span, start_s=self.from_s, work=less(span.work, done)),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """What of which session was lost, by its place in the journal; and the sessions of which that is not known."""

    of: Mapping[int, Loss]
    unknown: tuple[int, ...] = ()
    name: str = LOST

    def spans(self, number: int, session: Session) -> Iterator[Span]:
        """The windows of a session as they count in the record, what was lost under a name of its own."""
        loss = self.of.get(number)
        if loss is None:
            yield from session.spans
            return
        for span in session.spans:
            useful, lost = loss.cut(span)
            if span.name == RUN:
                yield replace(span, work=loss.useful)
                if lost is not None and lost.end_s > lost.start_s:
                    yield Span(name=self.name, start_s=lost.start_s, end_s=lost.end_s, work=loss.work)
            elif useful is not None:
                yield useful


def losses_of(journal: Journal) -> Losses:
    """What was lost of a journal's sessions, by their checkpoints and by what each says it goes on from."""
    sessions = journal.sessions
    kept: list[tuple[int, Checkpoint]] = []  # what it could go on from, the latest last
    cuts: dict[int, Checkpoint | None] = {}
    unknown: list[int] = []
    for number, session in enumerate(sessions):
        if number:
            base = _base(session, kept)
            before = sessions[number - 1]
            if base is not None:
                kept = kept[:base]
                first, checkpoint = kept[-1] if kept else (0, None)
                if checkpoint is None or not math.isinf(checkpoint.at_s):
                    cuts[first] = checkpoint
                for lost in range(first + 1, number):
                    cuts[lost] = None
            elif before.schema != JOURNAL_SCHEMAS[0] and _is_broken_off(before) and _work_of(before):
                unknown.append(number - 1)
        kept += [(number, checkpoint) for checkpoint in session.checkpoints]
        if not _is_broken_off(session):
            kept.append((number, Checkpoint(at_s=math.inf)))
    found: dict[int, Loss] = {}
    trained: dict[str, Work] = {}  # what each rank had trained in the sessions before
    for number, session in enumerate(sessions):
        done = _work_of(session)
        parts = {ITSELF: less(done, Work.total(session.of_others.values())), **session.of_others}
        useful = done
        if number in cuts:
            checkpoint = cuts[number]
            points = {ITSELF: checkpoint, **(checkpoint.others if checkpoint is not None else {})}
            parts = {
                name: _useful(point, trained.get(name, Work()), work)
                for name, work in parts.items()
                if (point := points.get(name)) is not None
            }
            useful = Work.total(parts.values())
            loss = Loss(
                from_s=-math.inf if checkpoint is None else checkpoint.at_s,
                useful=useful,
                work=less(done, useful),
                checkpoint=checkpoint,
            )
            found[number] = replace(loss, work=_all_lost(loss, session))
        for name, work in parts.items():
            trained[name] = trained.get(name, Work()) + work
    taken = bool(found) and any(named(session.spans, LOST) for session in sessions)
    return Losses(of=found, unknown=tuple(unknown), name=LOST_TOO if taken else LOST)


def _base(session: Session, kept: list[tuple[int, Checkpoint]]) -> int | None:
    """How many of what was kept is still good where this session begins; None where nobody knows."""
    if session.resumed_from is None:
        # Where nothing is said it goes on from the last one.
        return len(kept) or None
    for place in range(len(kept), 0, -1):
        step = kept[place - 1][1].step
        if step is not None and math.isclose(step, session.resumed_from, rel_tol=ALIKE):
            return place
    return 0 if session.resumed_from == 0 else None


def _is_broken_off(session: Session) -> bool:
    return not session.ended or (session.outcome is not None and session.outcome.failed)


def _work_of(session: Session) -> Work:
    """What a session counted, useful or not."""
    return Work.total(span.work for span in named(session.spans, RUN))


def _all_lost(loss: Loss, session: Session) -> Work:
    """What was lost, by whatever knew most of it: of a process that was killed the run itself may be a second behind its windows."""
    by_name: dict[str, dict[str, Number]] = {}
    for span in session.spans:
        lost = loss.cut(span)[1]
        if lost is not None and span.name != RUN:
            amounts = by_name.setdefault(span.name, {})
            for unit, amount in lost.work.items():
                amounts[unit] = amounts.get(unit, 0) + amount
    most = dict(loss.work)
    for amounts in by_name.values():
        for unit, amount in amounts.items():
            most[unit] = max(amount, most.get(unit, 0))
    return Work(most)


def _useful(checkpoint: Checkpoint, before: Work, done: Work) -> Work:
    """What of a session's work a checkpoint holds; ``before``: what was trained in the sessions before it."""
    found = dict(checkpoint.of_run)
    for unit, said in checkpoint.said.items():
        own = said - before.get(unit, 0)
        # No more than was counted by then, nor less than nothing: else it is counted from elsewhere, and says nothing here.
        if 0 <= own <= found.get(unit, 0) * (1 + ALIKE):
            found[unit] = own
    return least(found, done)


def least(work: Mapping[str, Number], most: Mapping[str, Number]) -> Work:
    """Of each unit no more than there is."""
    return Work({unit: min(amount, most.get(unit, 0)) for unit, amount in work.items()})


def less(work: Mapping[str, float], done: Mapping[str, float]) -> Work:
    """What is left of work when some was done; what floating point leaves of a difference is none."""
    rest = {unit: amount - done.get(unit, 0) for unit, amount in work.items()}
    return Work({unit: amount for unit, amount in rest.items() if amount > ALIKE * work[unit]})


# --------------------------------------------------------------------------------------------------- what is said of it


def of_losses(losses: Losses, journal: Journal, lost: Measurement | None) -> Iterator[Finding]:
    """What is to be told of lost work; ``lost`` is the measurement of it."""
    if lost is not None:
        amounts = ", ".join(f"{amount:,.12g} {unit}" for unit, amount in lost.work.items()) or "no work"
        joules = {name: energy.value for name, energy in lost.energy_j.items()}
        told = ", ".join(f"{name} {significant(value, 3)} J" for name, value in joules.items()) or "no energy"
        yield Finding.of(
            "work-lost",
            f"{amounts} counted after the checkpoint from which the run went on: lost, and in no figure of work. It took "
            f"{lost.duration_s:.4g} s and {told}, which are in those of the run",
            measurement=RUN,
            data={**lost.work, **{f"{name}_j": value for name, value in joules.items()}},
        )
    for number in losses.unknown:
        done = ", ".join(
            f"{amount:,.12g} {unit}" for unit, amount in _work_of(journal.sessions[number]).items() if amount
        )
        if done:
            yield Finding.of(
                "lost-work-unknown",
                f"session {number + 1} of {len(journal.sessions)} was broken off when it had counted {done}; which of it the next one "
                "did again is not known, since it named no checkpoint",
                severity="degrades" if journal.stage in TRAINING else "note",
                measurement=RUN,
            )
