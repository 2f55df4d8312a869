"""The face of both halves: a run is measured, and its record is made from its journal. Neither half knows of it.

What a run is, and what it leaves alone in the program that is measured, is ``measuring.run``'s; what its figures are worth is judged in
``judging``, and only once somebody may wait for it.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from energy_rating.files.libraries import has_room
from energy_rating.measuring import sensors
from energy_rating.measuring.clock import Clock, MonotonicClock
from energy_rating.measuring.errands import Errand
from energy_rating.measuring.run import JournalRun
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.settings import RunSettings
from energy_rating.measuring.steps import REQUEST
from energy_rating.measuring.windows import State
from energy_rating.nouns import threads
from energy_rating.nouns.entries import (
    ROLES,
    Counts,
    Lineage,
    Load,
    Model,
    Place,
    Task,
    refuse_unless_word,
    stage_of,
)
from energy_rating.nouns.errors import BadInput, EnergyRatingError, NotMeasured
from energy_rating.nouns.interruptions import pass_on

if TYPE_CHECKING:
    import pandas

    from energy_rating.judging.shares import EnergyShare
    from energy_rating.nouns.records import Record

PERIOD_S = 0.1
SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 0.005, 60.0

# Beyond this, too, making the record takes more than a few seconds, and is left to whoever asks for it.
LARGEST_AT_ONCE = 64 << 20  # bytes of journal

# The slowest counters are refreshed every 100 ms (measured: A100, RTX 3090, SC24 data), and read just after.
ONE_UPDATE_S = 0.12

# What the judging half reads files with, and what makes tables: what these fail with, as for want of memory, is not the program's.
JUDGING = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
TABLES = (*JUDGING, "pandas", "numpy", "dateutil", "pytz", "tzdata", "six", "pyarrow")
KINDS = sensors.names()


class Run(JournalRun):
    """One measured run; made by ``measure``. A context manager, a decorator, or ``start()`` and ``stop()``.

    What is measured is written down by the measuring half; the record is made from that by the judging half. ``folder`` is where it
    writes (None: in memory only), ``run_id`` its name, both once it has started.
    """

    _record: Record | None = None

    def __repr__(self) -> str:
        run_id = getattr(self, "run_id", None)
        return f"<Run{f' {run_id!r}' if run_id else ''}: {self._state.value}>"

    def _repr_html_(self) -> str | None:
        """As a notebook shows it: its record, so far or at the end; before it begins, its line."""
        try:
            shown = self.so_far()._repr_html_()
        except NotMeasured:
            return None
        going_on = "<p>so far: this run is going on</p>\n" if self._state is State.OPEN else ""
        return None if shown is None else going_on + shown

    def _ended(self) -> None:
        if self._only_counts:
            return
        if self._is_large():
            self._lines.append(
                f"the journal is large; make the record with: energy-rating summarise {self.folder or ''}".rstrip()
            )
            return
        if not has_room():
            self._lines.append(
                "the limit of address space (ulimit -v) leaves no room to make the record here; make it with: "
                f"energy-rating summarise {self.folder or ''}".rstrip()
            )
            return
        self._judge()

    def _is_large(self) -> bool:
        """Whether making the record would hold up the end of the measured program noticeably."""
        return self._next > self.settings.windows_at_once or self._journal_file.size > LARGEST_AT_ONCE

    def _judge(self) -> None:
        """Makes the record, where the judging half is at hand."""
        try:
            from energy_rating.files.reading import read_journal, read_journal_from
            from energy_rating.judging.summary import summarise_journal

            if self._journal_file.whole_on_disk:
                journal = read_journal(self._journal_file.path or "")
            else:
                with self._journal_file.stream() as stream:
                    journal = read_journal_from(stream, place="the journal in memory")
            self._record = summarise_journal(journal)
            if self.folder is not None:
                from energy_rating.files.record import RECORD_NAME, write_record

                write_record(self._record, self.folder / RECORD_NAME)
        except ModuleNotFoundError as error:
            self._trouble = EnergyRatingError(
                f"the record needs {error.name}, which is not installed here",
                f"Make it on any machine with: energy-rating summarise {self._journal_file.path}",
            )
            self._lines.append(str(self._trouble))
        except EnergyRatingError as error:
            pass_on(error, called=JUDGING)
            self._trouble = error
            self._lines.append(str(error))
        except Exception as error:  # the journal is there; the measured program's own outcome stands
            pass_on(error, called=JUDGING)
            self._trouble = EnergyRatingError(
                f"the record could not be made ({type(error).__name__}: {error})",
                f"The journal is in {self._journal_file.path}",
            )
            self._lines.append(str(self._trouble))
        if self._record is not None:
            from energy_rating.publishing.facts import one_line

            where = str(self.folder) if self.folder is not None else "memory only"
            self._lines.append(one_line(self._record, where))

    @classmethod
    def _elsewhere(cls, settings: RunSettings, run_id: str) -> Self:
        """What stands in another process for a run that is measured where it began."""
        run = cls(settings)
        run.run_id = run_id
        run._state = State.ELSEWHERE
        return run

    def __reduce__(self) -> tuple[Callable[[str], Run], tuple[str]]:
        """In another process there is nothing of a run but its methods, which do nothing: it is measured where it began."""
        return _inert, (self.run_id,)

    @property
    def record(self) -> Record:
        """The record, after the end.

        Raises:
            NotMeasured: the run has not ended, or no record could be made; says why.
        """
        if self._ending is not None:
            self._ending.result()  # whoever stopped it may have been called away meanwhile
        if (
            self._record is None
            and self._state is State.STOPPED
            and self._trouble is None
            and not self._only_counts
        ):
            self._refuse_without_room("the record")
            Errand(self._judge, here=self._is_inside()).result()
            self._say()
        if self._record is None:
            if self._trouble is not None:
                raise NotMeasured(self._trouble.message, self._trouble.remedy) from self._trouble
            if self._state is State.NEW:
                raise NotMeasured(
                    "the run has not begun",
                    "Call start(), or use it with the with statement; ask after its end",
                )
            if self._state is State.ELSEWHERE or not self._is_own_process():
                raise NotMeasured(
                    "this run is measured in the process in which it began", "Ask for the record there"
                )
            if self._only_counts:
                raise self._of_another_rank()
            raise NotMeasured(
                "the run has not ended yet", "Ask for the record after the with block, or after stop()"
            )
        return self._record

    def _of_another_rank(self) -> NotMeasured:
        number = self._rank.number if self._rank is not None else 0
        where = f"; its folder is {self.folder}" if self.folder is not None else ""
        return NotMeasured(
            f"this is rank {number}, whose counts are in the record of the first rank of its host",
            f"Ask for it there (if run.makes_record){where}",
        )

    def so_far(self) -> Record:
        """The record up to now, while the run goes on: what was measured of its closed windows, and of the open ones.

        Waits at most one update of the sensors, so that what was drawn before the last edge is counted. It is worked out anew from the
        journal each time (about a second for an hour of one GPU); for every step of a training, look at the record afterwards.

        Raises:
            NotMeasured: the run has not started, or the record cannot be made here; says why.
        """
        if self._state is State.STOPPED:
            return self.record
        if self._state is not State.OPEN:
            raise NotMeasured("the run has not started", "Call start(), or use it with the with statement")
        if self._only_counts:
            raise self._of_another_rank()
        if isinstance(self.settings.clock, MonotonicClock):
            threads.event().wait(ONE_UPDATE_S)

        def summed_up() -> Record:
            from energy_rating.files.reading import read_journal_from, with_other_ranks
            from energy_rating.judging.summary import summarise_journal

            # A reading that is being written at this moment is there whole or not at all.
            self._write_what_waits()
            with self._journal_file.stream() as stream:
                journal = read_journal_from(stream, place="the journal")
            if self.folder is not None:
                journal = with_other_ranks(journal, self.folder)
            return summarise_journal(journal, going_on=True)

        return self._asked_for("the record", summed_up, JUDGING)

    def shares(self, name: str = REQUEST) -> tuple[EnergyShare, ...]:
        """What of the energy of windows that were open side by side falls to each: an equal share at each moment, and no measurement of it.

        Of closed windows only. While the run goes on it is worked out from the journal each time, as ``so_far()`` is.

        Raises:
            NotMeasured: the run has not started, there is no such window, or this cannot be made here; says why.
        """
        record = self.so_far()
        if name not in record:
            raise NotMeasured(
                f"there is no window {name!r}", "Windows are opened with run.request() or run.window()"
            )

        def divided() -> tuple[EnergyShare, ...]:
            from energy_rating.files.reading import read_journal_from
            from energy_rating.judging.shares import shares_of

            with self._journal_file.stream() as stream:
                return shares_of(read_journal_from(stream, place="the journal"), record[name])

        return self._asked_for("the shares", divided, JUDGING)

    def trace(self) -> pandas.DataFrame:
        """The readings so far as a table: one row a reading of a channel, power in watts beside it.

        Columns: ``time_s``, ``channel``, ``component``, ``device``, ``method``, ``value`` (joules or watts), ``power_w``.

        Raises:
            NotMeasured: the run has not started, or the table cannot be made here; says why.
        """
        if self._state not in (State.OPEN, State.STOPPED):
            raise NotMeasured("the run has not started", "Call start(), or use it with the with statement")
        if self._only_counts:
            raise self._of_another_rank()

        def read() -> pandas.DataFrame:
            from energy_rating.files.reading import read_journal_from
            from energy_rating.publishing.trace import table

            self._write_what_waits()
            with self._journal_file.stream() as stream:
                return table(read_journal_from(stream, place="the journal"))

        return self._asked_for("the trace", read, TABLES)


def to_stderr(line: str) -> None:
    """Says a line on standard error, where there is one."""
    if sys.stderr is None:
        return
    print(f"energy-rating: {line}", file=sys.stderr, flush=True)


def measure(
    stage: str = "other",
    *,
    model: str | Model | None = None,
    task: str | Task | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    sensors: Sequence[str | Sensor | Detection] | None = None,
    period_s: float = PERIOD_S,
    resume: bool = False,
    sync: bool = False,
    progress: float | None = None,
    counts: Counts = "each-rank",
    load: Load | None = None,
    files: Mapping[str, str] | None = None,
    place: str | Place | None = None,
    role: str | None = None,
    lineage: str | Lineage | None = None,
    clock: Clock | None = None,
    report: Callable[[str], None] | None = to_stderr,
) -> Run:
    """Measures what runs inside it: ``with measure("fine-tuning") as run:``, ``@measure("inference")``, or start and stop.

    Args:
        stage: ``pre-training``, ``fine-tuning``, ``inference`` or ``other``.
        model: the model's id, such as ``org/name``.
        task: the task's name, such as ``text-generation``.
        output_dir: the run's folder; a sibling is taken where it holds another run. By default a folder under
            ``$XDG_STATE_HOME/energy-rating``.
        sensors: kinds of sensor by name (``"nvml"``), sensors, or what was detected; by default all that answer.
        period_s: seconds between readings of a sensor that has no ticks to follow (0.005 to 60).
        resume: go on with the run in ``output_dir``, such as a job that was requeued.
        sync: windows and steps wait at their edges until the devices have done what they were asked to (torch, jax, cupy), which is what
            their figures are worth in a program that runs ahead of its devices. The end of the run waits in any case.
        progress: seconds between lines that say how far the run has come (at least 1; later every fiftieth of its time): the share that is
            done, the energy so far, what it will come to with its interval, and the time left. The total comes from ``run.steps`` or
            ``run.expect``. They go where ``report`` says. None: no such lines.
        counts: whose work is counted here, in a job of several processes on one host: ``each-rank``: each process counts its own,
            and all is added up; ``all-ranks``: what is counted is that of all of them already, as the totals of many trainers are,
            and what other ranks count is not added.
        load: the operating point, where it is known.
        files: SHA-256 of the data files that were used, by name, for the record's provenance.
        place: where it runs, for the record: a zone (``FRA``), or a ``Place`` with zone, region and provider.
        role: what the run is for, for the record: ``final``, ``failed``, ``ablation``, ``search``, ``evaluation`` or another short word.
            All runs that a model took are part of what it cost.
        lineage: what the model comes from, for the record: the id of its base model, or a ``Lineage`` with base model, relation and parents.
        clock: for tests.
        report: what to do with the one line after the end; by default it goes to standard error. None: nothing.

    Raises:
        BadInput: an argument is wrong. Nothing is raised after that: what goes wrong is a finding in the record.
    """
    if not isinstance(period_s, int | float) or not SHORTEST_PERIOD_S <= period_s <= LONGEST_PERIOD_S:
        raise BadInput(
            f"must be from {SHORTEST_PERIOD_S} to {LONGEST_PERIOD_S} s; got {period_s!r}", place="period_s"
        )
    if progress is not None and not (
        isinstance(progress, int | float) and not isinstance(progress, bool) and 1 <= progress < math.inf
    ):
        raise BadInput(
            f"must be the seconds between lines, at least 1; got {progress!r}", "Such as 60", place="progress"
        )
    if counts not in get_args(Counts):
        raise BadInput(
            f"must be one of {', '.join(get_args(Counts))}; got {str(counts)[:40]!r}", place="counts"
        )
    for item in sensors or ():
        if isinstance(item, str) and item not in KINDS:
            raise BadInput(
                f"must be kinds of sensors; got {item!r}", f"Kinds are: {', '.join(KINDS)}", place="sensors"
            )
    if output_dir is not None and not os.fspath(output_dir):
        raise BadInput(
            "must be the name of a folder; got an empty text", "Name one, or leave it out", place="output_dir"
        )
    model = os.fspath(model) if isinstance(model, os.PathLike) else model
    for argument, value, kinds in (
        ("model", model, str | Model | None),
        ("task", task, str | Task | None),
        ("load", load, Load | None),
        ("files", files, Mapping | None),
        ("place", place, str | Place | None),
        ("role", role, str | None),
        ("lineage", lineage, str | Lineage | None),
    ):
        if not isinstance(value, kinds):
            raise BadInput(
                f"{type(value).__name__} is not what it takes", "See help(measure)", place=argument
            )
    if isinstance(model, Model) and not all(
        isinstance(count, int | None) for count in (model.parameters, model.active_parameters)
    ):
        raise BadInput("parameters must be a whole number", "Such as int(135e6)", place="model")
    settings = RunSettings(
        stage=stage_of(stage),
        model=Model(id=_printable(model)) if isinstance(model, str) else model,
        task=Task(name=_printable(task)) if isinstance(task, str) else task,
        load=load,
        files=files or {},
        place=_place_of(place) if isinstance(place, str) else place,
        output_dir=None if output_dir is None else Path(output_dir),
        sensors=sensors,
        period_s=float(period_s),
        resume=resume,
        sync=bool(sync),
        progress_s=None if progress is None else float(progress),
        clock=clock or MonotonicClock(),
        report=report,
        environ=os.environ,
        role=_role_of(role),
        lineage=_lineage_of(lineage) if isinstance(lineage, str) else lineage,
        counts=counts,
    )
    return Run(settings)


def _role_of(role: str | None) -> str | None:
    try:
        if role is not None:
            refuse_unless_word("role", role)
    except ValueError as error:
        raise BadInput(str(error), f"Such as {ROLES[0]} or {ROLES[3]}", place="role") from None
    return role


def _lineage_of(base_model: str) -> Lineage:
    try:
        return Lineage(base_model=base_model)
    except ValueError as error:
        raise BadInput(str(error), "Name the base model, such as org/base", place="lineage") from None


def _place_of(zone: str) -> Place:
    try:
        return Place(zone=zone)
    except ValueError as error:
        raise BadInput(str(error), "Name a zone such as FRA", place="place") from None


def _printable(text: str) -> str:
    """A text that UTF-8 can hold, whatever it came from."""
    return text.encode("utf-8", "replace").decode()


@functools.cache  # one a process, so that it says once what it has to say
def _inert(run_id: str) -> Run:
    return Run._elsewhere(measure().settings, run_id)


def text_of(record: Record) -> str:
    """A record as its file has it: what one host sends to another."""
    from energy_rating.files.record import record_to_json

    return record_to_json(record)


def job_of_hosts(texts: Mapping[int, str], folder: Path | None) -> Record:
    """The record of a job from what its hosts sent, by their places; with a folder also that of the hosts that left one there and sent
    nothing. It is written into the folder.

    Raises:
        BadInput: what was sent is of no one job, or it cannot be written.
    """
    from energy_rating.files.nodes import node_folders
    from energy_rating.files.record import RECORD_NAME, record_from_json, write_record
    from energy_rating.judging.merging import merge
    from energy_rating.judging.merging.folders import record_in

    records = [
        (record_from_json(text, place=f"host {place}"), f"host {place}") for place, text in texts.items()
    ]
    there = {one.run_id for one, _ in records}
    for place, path in node_folders(folder).items() if folder is not None else ():
        if place in texts:
            continue
        try:
            record = record_in(path)
        except EnergyRatingError:
            continue  # it goes on, or left nothing: a host that is missing is told
        if record.run_id not in there:
            records.append((record, str(path)))
    whole = merge(records)
    if folder is not None:
        write_record(whole, folder / RECORD_NAME)
    return whole
