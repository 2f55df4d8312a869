"""Where a run writes, which devices its rank measures, and the lines that say something of the run itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energy_rating.files.journal import JOURNAL_NAMES, JournalFile, claim, first_run_id, state_folder
from energy_rating.files.nodes import node_folder
from energy_rating.measuring.ranks import nth_run, restarts
from energy_rating.measuring.sampler import Models
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.settings import RunSettings
from energy_rating.nouns.entries import Finding, Job, Rank, Severity, plain
from energy_rating.nouns.errors import LONGEST_QUOTE, EnergyRatingError
from energy_rating.nouns.interruptions import is_interruption, pass_on

if TYPE_CHECKING:
    from energy_rating.measuring.meeting import Caller


def _given(items: Sequence[str | Sensor | Detection]) -> Detection:
    """The sensors among them, less those that are to be looked for by their kind's name."""
    found: list[Detection] = []
    for item in items:
        if isinstance(item, Detection):
            found.append(item)
        elif not isinstance(item, str):
            found.append(Detection(sensors=(item,)))
    return Detection(
        sensors=tuple(sensor for one in found for sensor in one.sensors),
        devices=tuple(device for one in found for device in one.devices),
        findings=tuple(finding for one in found for finding in one.findings),
    )


class Placed:
    """Where a run writes, what its rank measures, and what it says of itself while it writes."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.folder: Path | None = None
        self.run_id = ""
        self._zero: float | None = None
        self._journal: JournalFile | None = None
        self._rank: Rank | None = None  # as it was when the run began
        self._job: Job | None = None  # where it runs on several hosts
        self._record_id = ""  # the run_id of its record: that of the first session, where it was resumed
        # Which of its process's runs for which folder this is, and where the ranks of its host look for each other.
        self._asked: Path | None = None
        self._call = 0
        self._places: list[Path] = []
        self._is_called: Caller | None = None
        self._lines: list[str] = []  # what is to be said at the end
        self._said: set[str] = set()
        self._told: set[str] = set()
        self._untold: list[Finding] = []  # what the journal did not take when it was found
        self._trouble: EnergyRatingError | None = None

    def _detecting(self) -> tuple[Callable[[], Detection], Models | None]:
        """What measures here for certain: all that answers, or what was asked for. Of the ranks of a host that is the first one's."""
        from energy_rating.measuring.survey import InTurn  # no import of ours waits for it

        if self._rank is not None and not self._rank.measures:
            return Detection, None
        if self.settings.sensors is not None:
            names = [item for item in self.settings.sensors if isinstance(item, str)]
            given = _given(self.settings.sensors)
            if not names:
                return lambda: given, None
            in_turn = InTurn(names, given)
        else:
            in_turn = InTurn()
        return in_turn.measuring, in_turn

    @property
    def _wanted(self) -> Path | None:
        """The folder that was asked for; of a job on several hosts, which may share a disk, this host's in it."""
        asked = self.settings.output_dir
        return asked if asked is None or self._job is None else node_folder(asked, self._job.place)

    def _meet_where(self) -> None:
        """Where the ranks of a host look for each other: in the folder that was asked for, and in that of runs that name none."""
        asked = self._wanted
        try:
            self._asked = None if asked is None else asked.resolve()
            self._places = [] if self._asked is None else [self._asked]
            self._places.append(state_folder(self.settings.environ))
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # a name that can be none; nobody's home is known
            if is_interruption(error):
                raise
        self._call = nth_run(self._asked, self._rank.local if self._rank is not None else 0)

    def _caller(self) -> Caller:
        """Who this is among the processes of its job."""
        from energy_rating.measuring.meeting import Caller  # beside the program's own start

        if self._is_called is None:
            self._is_called = Caller.here(self._asked, self._call, self.settings.environ)
        return self._is_called

    def _open_journal(self) -> tuple[JournalFile, list[Finding]]:
        findings: list[Finding] = []
        if self._rank is not None and not self._rank.measures:
            # What it counts goes beside the journal of the one that measures, once that is found.
            return JournalFile(None, None, self.settings.lines_in_memory), findings
        wanted = self._wanted
        places: list[Path] = [] if wanted is None else [wanted]
        try:
            places.append(state_folder(self.settings.environ) / self.run_id)
        except RuntimeError as error:  # nobody's home is known
            if is_interruption(error):
                raise
        before = self._before_restart()
        if before is not None:
            places.insert(0, before)
        for place in places:
            try:
                resume = (self.settings.resume and place is wanted) or place is before
                folder, descriptor, sibling = claim(place, resume=resume)
            except (OSError, ValueError) as error:
                if is_interruption(error):
                    raise
                findings.append(
                    Finding.of(
                        "folder-refused",
                        "the folder asked for could not be used "
                        f"({getattr(error, 'strerror', None) or type(error).__name__})",
                    )
                )
                continue
            if sibling:
                findings.append(
                    Finding.of(
                        "folder-occupied",
                        "the run that is there is still going on, or its journal is damaged; this one is in a sibling"
                        if resume
                        else "the folder asked for holds another run; this one is in a sibling of it",
                        remedy="Take both records together"
                        if resume
                        else "Name another folder (--output-dir); a run of measure goes on in its own with --resume, or resume=True",
                    )
                )
            self.folder = folder
            self._record_id = first_run_id(descriptor) or self.run_id
            return JournalFile(folder / JOURNAL_NAMES[0], descriptor, self.settings.lines_in_memory), findings
        findings.append(
            Finding.of(
                "journal-in-memory",
                "no folder could be written to; the journal is kept in memory and dies with the process",
            )
        )
        return JournalFile(None, None, self.settings.lines_in_memory), findings

    def _before_restart(self) -> Path | None:
        """The folder in which this job goes on, where its launcher has started it again since."""
        if not restarts(self.settings.environ):
            return None
        from energy_rating.measuring.meeting import left_behind

        left = left_behind(self._caller(), self._places)
        return Path(left.folder) if left is not None and left.journal.is_file() else None

    @property
    def _journal_file(self) -> JournalFile:
        assert self._journal is not None
        return self._journal

    def _move_journal(self, journal: JournalFile) -> None:
        """The folder was deleted, moved or replaced: what was measured goes to where runs go that name no folder."""
        place = "kept in memory, and dies with the process"
        try:
            folder, descriptor, _ = claim(state_folder(self.settings.environ) / self.run_id, resume=False)
        except (OSError, ValueError, RuntimeError):
            journal.move(None, None)
            self.folder = None
        else:
            try:
                journal.move(folder / JOURNAL_NAMES[0], descriptor)
            except OSError:
                os.close(descriptor)
                raise
            self.folder = folder
            place = "copied to where runs go that name no folder"
        self.tell(
            "folder-gone",
            f"the run's folder was deleted, moved or replaced while it was measured; the journal was {place}",
        )

    def _fail(self, what: str, error: Exception) -> None:
        self._trouble = EnergyRatingError(
            f"{what}: {type(error).__name__}: {error}", "The program goes on without being measured"
        )
        self._lines.append(str(self._trouble))

    def _say(self) -> None:
        """Says what is to be said, in the program's own thread: what it is told by may be bound to that.

        Of the ranks of a host only the first one speaks, unless another one has something of its own to say.
        """
        lines, self._lines = self._lines, []
        if self._rank is not None and not self._rank.measures and self._trouble is None:
            return
        for line in lines:
            try:
                if self.settings.report is not None:
                    self.settings.report(line)
            except Exception as error:  # a closed stderr is no reason to end a training
                if is_interruption(error, called=None):
                    raise

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._lines.append(line)
            self._say()

    def _now(self) -> float:
        return round(self.settings.clock.now() - self._zero, 6) if self._zero is not None else 0.0

    def _note_failure(self, name: str, error: Exception) -> None:
        reason = f"{name[:LONGEST_QUOTE]!r} could not be noted ({type(error).__name__}); it is in no figure"
        self._tell_or_keep(Finding.of("window-failed", reason))

    def _tell_once(self, code: str, message: str) -> None:
        """A note that is told once in a run."""
        if code not in self._told:
            self._told.add(code)
            self._tell_or_keep(Finding.of(code, message))

    def _tell_or_keep(self, finding: Finding) -> None:
        """Says it, or keeps it until the end: a window or a count is no place to fail in, and what spoils a figure must not be lost."""
        try:
            self.tell_finding(finding)
        except Exception as error:  # the journal itself may be what failed
            pass_on(error)
            self._untold.append(finding)

    def tell(
        self,
        code: str,
        message: str,
        remedy: str | None = None,
        severity: Severity | None = None,
        measurement: str | None = None,
    ) -> None:
        """Says something of a code that the table of findings knows."""
        self.tell_finding(Finding.of(code, message, remedy, severity, measurement=measurement))

    def tell_finding(self, finding: Finding) -> None:
        """Says what somebody else found, whatever its code."""
        if self._journal is not None:
            self._journal.write({"finding": plain(finding), "t": self._now()})
