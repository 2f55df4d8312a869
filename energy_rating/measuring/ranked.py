"""A run beside the other ranks of its host: one of them measures, the others count, and each GPU is measured once.

**Who measures.** The first rank of a host measures in the run's folder: the host, the GPUs that it sees, and those that another rank says
it uses and the driver tells of here too. A GPU that the driver tells of in another rank alone, as where each has a part of the
machine to itself, that rank measures. The others write what they count (and what they measure) into ``rank<number>.jsonl`` beside the
journal. They have no record, and say nothing at their end.

**Nobody waits.** What a rank counts before it has found the run's folder is kept in memory; it looks for it beside its work, and at
its end for a moment. The one that measures waits at its end, for a moment too, until the others have written what they counted; how
many bytes of their files it has seen stands in the journal's last line, so that the record stays what it is whatever they write later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.files.journal import (
    LONGEST_LINE,
    claim_rank,
    decoded,
    is_locked,
    rank_files,
)
from energy_rating.files.opening import opened
from energy_rating.measuring.checkpoints import Checkpointed
from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.settings import RunSettings
from energy_rating.nouns import threads
from energy_rating.nouns.entries import Outcome, plain
from energy_rating.nouns.errors import BadInput, EnergyRatingError, SensorUnavailable
from energy_rating.nouns.interruptions import pass_on

# How often a rank looks for the run that its counts belong to: in the first seconds, and later.
SOON_S, SOON_EVERY_S, LATER_EVERY_S = 10.0, 0.1, 1.0

# For so long GPUs are read of which no rank has said yet that it uses them.
CLAIMED_UNTIL_S = 600.0

# At its end a rank waits so long for the run that it belongs to, and the one that measures for the others to end.
PATIENCE_S, OTHERS_PATIENCE_S = 1.0, 2.0
STEP_S = 0.01

# For so long the start of a run has the processor to itself that knows of no other ranks.
GIVE_WAY_S = 0.1

# In a run that was over sooner the others may still be on their way; in a longer one those that have not come will not.
YOUNG_S = 5.0

# The kinds of sensor of which different processes may see different devices.
OF_A_PROCESS = ("nvml", "amdsmi", "intel")
SHOWN = "CUDA_VISIBLE_DEVICES"


class Ranked(Checkpointed):
    """A run as far as the other ranks of its host go."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__(settings)
        self._looked_s = -math.inf
        # Of the one that measures: its invitation, and the others that came.
        self._invitation: Path | None = None
        self._is_inviting = False
        self._others: dict[str, Path] = {}
        self._sizes: dict[str, int] = {}  # how much the others had written before this session
        # Of one that counts: the first line of its file, and whether it is written.
        self._header: dict[str, Any] = {}
        self._joining = threads.lock()
        self._joined = False

    @property
    def _only_counts(self) -> bool:
        return self._rank is not None and not self._rank.measures

    def _tick(self, now: float) -> None:
        """Beside every step of the sampler."""
        try:
            self._meet(now)
        except Exception as error:  # what ranks have to tell each other is no reason to end anything
            pass_on(error)
            self._tell_unmet(error)
        self._note_counts(now)

    def _tell_unmet(self, error: Exception) -> None:
        self._tell_once(
            "ranks-unmet",
            f"what other processes of the job do could not be found out ({type(error).__name__}): their work or GPUs may be missing",
        )

    def _meet(self, now: float) -> None:
        since_s = now - (self._zero if self._zero is not None else now)
        if now - self._looked_s < (SOON_EVERY_S if since_s < SOON_S else LATER_EVERY_S):
            return
        if self._only_counts:
            if not self._joined and self._header and self._sampler is not None and self._sampler.is_settled:
                self._looked_s = now
                late = self._join() or since_s > SOON_S
                self._sampler.latest_s = LATER_EVERY_S if late else SOON_EVERY_S
                if since_s > CLAIMED_UNTIL_S:
                    self._sampler.let_go()
        elif self._invitation is None:
            self._invite()
        elif self._expects_others() and now - self._looked_s >= LATER_EVERY_S:
            self._looked_s = now
            self._look_for_others()
            if since_s > CLAIMED_UNTIL_S and self._sampler is not None:
                self._sampler.let_go()

    # -- what is measured by whom

    def _kinds_of_a_process(self) -> list[str]:
        """The kinds of sensor that this run asks for and of which another process may see other devices."""
        asked = self.settings.sensors
        return [kind for kind in OF_A_PROCESS if asked is None or kind in asked]

    def _reads_aside(self) -> Callable[[Detection], Detection] | None:
        """What is to be read until it is known whose it is: of a rank that counts its own GPUs, of the one that measures those that it
        is not shown."""
        if self._only_counts:
            return lambda _: self._own_devices()
        alone = self._rank is None or self._rank.of == 1
        hidden = self.settings.environ.get(SHOWN, "").strip()
        return None if alone or not hidden or "nvml" not in self._kinds_of_a_process() else self._hidden_from

    def _own_devices(self) -> Detection:
        from energy_rating.measuring.survey import look

        rank = self._rank
        if rank is None or not (kinds := self._kinds_of_a_process()):
            return Detection()
        found, _ = look(kinds)
        return replace(found, sensors=tuple(_OfRank(sensor, rank.number) for sensor in found.sensors))

    def _hidden_from(self, detection: Detection) -> Detection:
        from energy_rating.measuring.sensors import nvml

        try:
            return nvml.detect_hidden(_gpus(detection), self.settings.environ)
        except SensorUnavailable:
            return Detection()

    # -- the one that measures

    def _expects_others(self) -> bool:
        """Whether ranks of this host are still to come."""
        return self._rank is not None and (self._rank.of is None or len(self._others) < self._rank.of - 1)

    def _invite(self) -> None:
        """Tells the other ranks where this run is, once it is known which devices it measures."""
        sampler = self._sampler
        if sampler is None or self._zero is None or self.folder is None:
            return
        # Where no launcher told of others there is hardly any, and the program's first steps do not wait for what is loaded for them.
        if self._rank is None and self._now() < GIVE_WAY_S:
            return
        if sampler.detection is None or not sampler.is_settled or self._is_inviting:
            return
        from energy_rating.measuring.meeting import Invitation, clear

        self._is_inviting = True  # once, whatever comes of it
        caller = self._caller()
        aside = sampler.aside or Detection()
        for place in self._places:
            clear(caller, place, self.folder)
            invitation = Invitation(
                run=self._record_id,
                session=self.run_id,
                folder=str(self.folder),
                zero_s=self._zero,
                by=caller,
                devices=(*_gpus(sampler.detection), *_gpus(aside)),
            )
            try:
                self._invitation = invitation.write(place)
            except OSError:  # the other one may take it
                continue
            return

    def _look_for_others(self) -> None:
        """Finds the ranks that have come meanwhile, and takes over what they use and this one can read."""
        if self.folder is None or self._sampler is None:
            return
        for name, path in rank_files(self.folder).items():
            if name in self._others:
                continue
            header = _header_of(path, self.run_id, self._sizes.get(name, 0))
            if header is not None:
                self._others[name] = path
                self._sampler.claim(header.get("rank", {}).get("devices") or ())

    def _await_others(self, patience_s: float = OTHERS_PATIENCE_S) -> None:
        """Waits until the other ranks have written what they counted, for so long at most."""
        if self._only_counts or self._invitation is None:
            return
        until_s = time.monotonic() + patience_s
        pause = threads.event()
        while True:
            try:
                self._look_for_others()
                waits = any(not _is_over(path) for path in self._others.values())
            except Exception as error:  # as above
                pass_on(error)
                self._tell_unmet(error)
                return
            young = self._now() < YOUNG_S
            missing = self._rank is not None and self._rank.of is not None and self._expects_others()
            if not waits and not (missing and (young or self._others)):
                return
            if time.monotonic() >= until_s:
                return
            pause.wait(STEP_S)

    def _sealed(self) -> dict[str, int]:
        """Of the files of other ranks: how many bytes there are now."""
        found: dict[str, int] = {}
        if self.folder is not None and not self._only_counts:
            with suppress(OSError):
                for name, path in rank_files(self.folder).items():
                    found[name] = path.stat().st_size
        return found

    def _leave_meeting(self, outcome: Outcome | None = None) -> None:
        """Nobody comes to this run any more. Where a launcher may start the job again, a failed one leaves word for that."""
        from energy_rating.measuring.ranks import RESTARTS

        path, self._invitation = self._invitation, None
        if path is None or (outcome is not None and outcome.failed and RESTARTS in self.settings.environ):
            return
        with suppress(OSError):
            path.unlink()

    # -- those that count

    def _join(self) -> bool:
        """Looks for the run that this rank's counts belong to; True once it is found, and what was counted so far stands beside it."""
        with self._joining:
            return self._joined or self._found()

    def _found(self) -> bool:
        from energy_rating.measuring.meeting import find

        sampler, rank = self._sampler, self._rank
        if sampler is None or rank is None or self._zero is None or self._journal is None:
            return False
        if not self._header or not sampler.is_settled:
            return False
        one = find(self._caller(), self._places)
        if one is None:
            return False
        claimed = claim_rank(Path(one.folder), rank.number, one.run)
        if claimed is None:
            return False
        own = self._devices_used(sampler.aside or Detection())
        said = replace(rank, run=one.run, offset_s=round(self._zero - one.zero_s, 6), devices=own)
        path, descriptor = claimed
        self._journal.begin_in(path, descriptor, {**self._header, "run_id": one.session, "rank": plain(said)})
        sampler.claim(set(own or ()).difference(one.devices))
        sampler.let_go()
        self.folder, self._joined = Path(one.folder), True
        return True

    def _devices_used(self, found: Detection) -> tuple[str, ...] | None:
        """The GPUs that this rank can use; None where some are named and none is found."""
        own = tuple(dict.fromkeys((*_gpus(found), *(one.id for one in found.devices if ":" not in one.id))))
        return own if own or not self.settings.environ.get(SHOWN, "").strip() else None

    def _await_run(self, patience_s: float = PATIENCE_S) -> None:
        """At its end, a rank that has not found the run it belongs to looks once more, for a moment."""
        until_s = time.monotonic() + patience_s
        pause = threads.event()
        while not self._join() and time.monotonic() < until_s:
            pause.wait(STEP_S)
        if not self._joined:
            self._trouble = EnergyRatingError(
                f"nothing was measured for rank {self._rank.number if self._rank else 0}: the first process of its host measures nothing "
                "in this folder, and what was counted here is in no figure",
                "Call measure() in every process of the job, with the same folder",
            )
            self._lines.append(str(self._trouble))


class _OfRank:
    """A sensor of another rank than the one that measures: its channels are called after the rank."""

    def __init__(self, sensor: Any, number: int) -> None:
        self._sensor = sensor
        self._names = {channel.id: _renamed(channel.id, number) for channel in sensor.channels}
        self.channels = tuple(replace(channel, id=self._names[channel.id]) for channel in sensor.channels)
        for name in ("condition", "users", "appeared"):
            if hasattr(sensor, name):
                setattr(self, name, getattr(sensor, name))

    def read(self) -> dict[str, Any]:
        return {self._names.get(name, name): value for name, value in self._sensor.read().items()}

    def close(self) -> None:
        self._sensor.close()


def _renamed(name: str, number: int) -> str:
    """``gpu0.energy`` of rank 3 is ``gpu0-rank3.energy``."""
    device, dot, quantity = name.partition(".")
    return f"{device}-rank{number}{dot}{quantity}"


def _gpus(detection: Detection) -> tuple[str, ...]:
    """The GPUs that are measured by these sensors."""
    return tuple(
        dict.fromkeys(
            channel.device
            for sensor in detection.sensors
            for channel in sensor.channels
            if channel.component == "gpu"
        )
    )


def _is_over(path: Path) -> bool:
    """Whether nobody writes to a rank's file any more; without locks to ask for, whether its last line is that of an end."""
    locked = is_locked(path)
    if locked is not None:
        return not locked
    try:
        with opened(path) as file:
            file.seek(max(0, path.stat().st_size - LONGEST_LINE))
            return file.read().rstrip(b"\n").rpartition(b"\n")[2].startswith(b'{"end":')
    except (OSError, BadInput):
        return True


def _header_of(path: Path, session: str, offset: int) -> dict[str, Any] | None:
    """The first line of a session in a rank's file, which begins somewhere after so many bytes; None where it is not there yet."""
    try:
        with opened(path) as file:
            file.seek(offset)
            while line := file.readline(LONGEST_LINE):
                if line.startswith(b'{"schema":'):
                    entry = decoded(line, place=path.name)
                    if entry.get("run_id") == session:
                        return entry
    except (OSError, BadInput):
        return None
    return None


def sizes_of(folder: Path) -> dict[str, int]:
    """How long the files of other ranks are."""
    with suppress(OSError):
        return {name: path.stat().st_size for name, path in rank_files(folder).items()}
    return {}
