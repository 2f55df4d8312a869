"""Where a run writes, which devices its rank measures, and the lines that say something of the run itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from energy_rating.files.journal import JOURNAL_NAMES, JournalFile, claim, state_folder
from energy_rating.measuring.sampler import Models
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.measuring.settings import RunSettings
from energy_rating.nouns.entries import Finding, Rank, Severity, plain
from energy_rating.nouns.errors import LONGEST_QUOTE, EnergyRatingError
from energy_rating.nouns.interruptions import is_interruption, pass_on


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
        self._lines: list[str] = []  # what is to be said at the end
        self._said: set[str] = set()
        self._told: set[str] = set()
        self._untold: list[Finding] = []  # what the journal did not take when it was found
        self._trouble: EnergyRatingError | None = None

    def _for_rank(self, place: Rank | None) -> tuple[Callable[[], Detection], Models | None, list[Finding]]:
        """What this rank of a host's ranks measures, and what is to be said of that.

        The first one measures all that it sees. Another one measures nothing, unless Slurm has given each task GPUs of its own,
        which the first does not see.
        """
        from energy_rating.measuring.survey import InTurn  # no import of ours waits for it

        rank = place.local if place is not None else 0

        of_its_own = (
            "SLURM_GPUS_PER_TASK" in self.settings.environ and "SLURM_LOCALID" in self.settings.environ
        )
        if rank > 0 and of_its_own:
            in_turn = InTurn(["nvml", "amdsmi", "intel"])
            return (
                in_turn.measuring,
                in_turn,
                [
                    Finding.of(
                        "another-rank-measures",
                        f"this is local rank {rank}: it measures its own GPUs, local rank 0 the rest of the host",
                    )
                ],
            )
        if rank > 0:
            return (
                Detection,
                None,
                [
                    Finding.of(
                        "another-rank-measures",
                        f"this is local rank {rank}; local rank 0 measures the devices of this host",
                        remedy="Its energy is in the folder of local rank 0, without the ending -rank",
                    )
                ],
            )
        ranks = (place.of if place is not None else None) or 1
        findings = []
        if ranks > 1 and not of_its_own and self.settings.counts == "each-rank":
            findings.append(
                Finding.of(
                    "other-ranks-count-apart",
                    f"{ranks} ranks run on this host: the energy is that of all, the counted work only this rank's",
                    remedy=f"Count the work of all ranks here (this rank's times {ranks}, if they share it evenly)",
                )
            )
        if self.settings.sensors is not None:
            names = [item for item in self.settings.sensors if isinstance(item, str)]
            given = _given(self.settings.sensors)
            if not names:
                return lambda: given, None, findings
            in_turn = InTurn(names, given)
        else:
            in_turn = InTurn()
        return in_turn.measuring, in_turn, findings

    def _open_journal(self, rank: int) -> tuple[JournalFile, list[Finding]]:
        findings: list[Finding] = []
        wanted = self.settings.output_dir
        if wanted is not None and rank > 0:
            wanted = wanted.resolve()
            wanted = wanted.with_name(f"{wanted.name or 'run'}-rank{rank}")
        places: list[Path] = [] if wanted is None else [wanted]
        try:
            places.append(state_folder(self.settings.environ) / self.run_id)
        except RuntimeError as error:  # nobody's home is known
            if is_interruption(error):
                raise
        for place in places:
            try:
                resume = self.settings.resume and place is wanted
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
            return JournalFile(folder / JOURNAL_NAMES[0], descriptor, self.settings.lines_in_memory), findings
        findings.append(
            Finding.of(
                "journal-in-memory",
                "no folder could be written to; the journal is kept in memory and dies with the process",
            )
        )
        return JournalFile(None, None, self.settings.lines_in_memory), findings

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
        """Says what is to be said, in the program's own thread: what it is told by may be bound to that."""
        lines, self._lines = self._lines, []
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
