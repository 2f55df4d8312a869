"""What of a training is safe: checkpoints, and from which of them it goes on. What was lost is worked out by whoever judges.

A checkpoint is one line of the journal: how much every open window had counted by then, so that each can be divided there later.
"""

from __future__ import annotations

from typing import Any

from energy_rating.measuring.steps import Stepped
from energy_rating.measuring.windows import State
from energy_rating.nouns.entries import Number, Window
from energy_rating.nouns.interruptions import pass_on

STEP = "step"


class Checkpointed(Stepped):
    """A run as far as its checkpoints go."""

    def checkpoint(self, /, step: Number | None = None, **work: Number) -> None:
        """Says that what was done up to now is safe: ``run.checkpoint(step=500)`` where the checkpoint is written.

        Should the run be broken off and go on (``resume=True``), what came after the checkpoint from which it goes on was *lost*: its
        joules stay in the run and are told apart as ``record["lost"]``, and the run's work is what was trained.

        Every rank may call it, with the same ``step``; of one that does not, what it had done by then is told by its windows.

        Args:
            step: names the checkpoint, for ``resumed_from``; as the program counts its steps.
            work: how much of what this run counts is in the checkpoint, by unit, since the run first began (also over resumptions).
                By default all that was counted until now, which is right unless the checkpoint is older than this call, as one
                that is written in the background is.
        """
        if self._state is not State.OPEN:
            self._unmeasured("a checkpoint of it is not noted")
            return
        if not self._is_own_process():
            self._counted_elsewhere()
            return
        try:
            said, named = Window("checkpoint"), _named(step)
            said.count(**work)
            with self._lock:
                if self._state is not State.OPEN or self._sampler is None:
                    return
                self._make_edges()
                now = self._edge()
                windows = {
                    str(key): self._work_of_run()[0] if window is self._whole else window.figure()
                    for key, window in self._open.items()
                }
                entry: dict[str, Any] = {"checkpoint": self._checkpoints, "t": now, "windows": windows}
                if named is not None:
                    entry["step"] = named
                if said.work:
                    entry["work"] = said.figure()
                self._checkpoints += 1
                self._journal_file.write(entry)
            if said.faults() or (step is not None and named is None):
                self._tell_once(
                    "count-refused",
                    "amounts of a checkpoint must be finite numbers of at least 0; others are left out",
                )
        except Exception as error:  # a checkpoint that cannot be noted is no reason to end a training
            pass_on(error)
            self._note_failure("a checkpoint", error)

    def resumed_from(self, /, step: Number) -> None:
        """Says which checkpoint a resumed run goes on from: that of this ``step``; 0 where it begins again.

        Without it that is the last one before the run was broken off. Where the run was not resumed, this says nothing.
        """
        if self._state is not State.OPEN:
            self._unmeasured("where it goes on from is not noted")
            return
        named = _named(step)
        if not self._is_own_process() or named is None:
            return
        try:
            with self._lock:
                self._make_edges()
                self._journal_file.write({"resumed": named, "t": self._now()})
        except Exception as error:  # as above
            pass_on(error)
            self._note_failure("where it goes on from", error)


def _named(step: object) -> Number | None:
    """A step as a number; None of what is none."""
    if step is None:
        return None
    window = Window(STEP)
    window.count(**{STEP: step})  # type: ignore[arg-type]
    return 0 if not window.faults() and STEP not in window.work else window.work.get(STEP)
