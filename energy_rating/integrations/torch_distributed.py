"""torch.distributed on several hosts: ``with measure_job("pre-training", output_dir="reports/run") as job: …``, in every process.

``job.run`` is the run of this process, with its windows, steps and counts.

The first process of each host measures it, as ``measure`` does; at the end the first of all has the record of the whole job
(``job.record``), and writes it where all hosts' folders lie.

**What the hosts say goes through the store** that torch.distributed has met in (a ``TCPStore``, or a file), and through no collective: a
group of gloo connects each host with each, and one process that has died makes its call fail in all others. What a host says is there for
whoever asks, so that a host that died costs its part, and one that is late a few seconds (``patience_s``) and then its part.

**Clocks** are compared at the start and at the end: each host notes its time when all have come, so that the record tells how far they are
apart, and how they drift. A start that not all hosts come to within a second is not waited for.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from energy_rating.integrations.guard import Guard
from energy_rating.meter import Run, job_of_hosts, measure, text_of
from energy_rating.nouns.records import Finding, Record

# How long the end of a run waits in all for the hosts that have said nothing yet; making the record comes on top.
PATIENCE_S = 4.0

# How long hosts wait for each other to compare their clocks, and how often they look.
TOGETHER_S = 1.0
LOOK_EVERY_S = 0.001
ARRIVED_EVERY_S = 0.02

RESTARTS = "TORCHELASTIC_RESTART_COUNT"

# Which of its process's jobs this is: all processes run the same program.
_calls: dict[str, int] = {}


class MeasuredJob:
    """A run on each host, and one record of all. ``record`` is there after the end, in the first process of all; elsewhere None."""

    def __init__(self, run: Run, *, patience_s: float = PATIENCE_S) -> None:
        self.run = run
        self.patience_s = patience_s
        self.record: Record | None = None
        self.guard = Guard(self._failed)
        self._store: Any = None
        self._hosts = 1
        self._place = 0
        self._began_s: float | None = None
        self._until_s = 0.0

    def __enter__(self) -> Self:
        self.run.__enter__()
        self._began_s = time.monotonic()
        if self.run.makes_record:
            self.guard.call("meet", self._meet)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # From here on: one that has died is not waited for twice.
        self._until_s = time.monotonic() + self.patience_s
        # Whoever was broken off does not wait for others.
        if self._store is not None and error is None:
            self.guard.call("compare", self._compare, "end")
        self.run.__exit__(kind, error, trace)
        if self._store is not None:
            self.guard.call("gather", self._gather)

    def say(self, step: int | None = None) -> None:
        """Tells the others what this host has drawn by now, such as at every hundredth step; waits for nothing."""
        if self._store is not None:
            self.guard.call("say", self._say, step)

    def energy_so_far(self) -> dict[str, Any]:
        """What the hosts have said by now: the ``joules`` of each component, of how many ``hosts``, and the first and last ``step`` said.

        Without its doubt; waits for nothing. {} where nobody has said anything.
        """
        found = self.guard.call("energy_so_far", self._heard)
        return found or {}

    # -- through the store

    def _meet(self) -> None:
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return
        job = self.run.job
        if job is None or job.of is None or job.of < 2:
            return
        name = f"{self.run.settings.output_dir}"
        number = _calls[name] = _calls.get(name, 0) + 1
        prefix = f"energy-rating/{os.environ.get(RESTARTS, '0')}/{zlib.crc32(name.encode()):x}/{number}"
        # The one that the default group has met in; there is no public name for it (torch 2.13).
        store = dist.distributed_c10d._get_default_store()
        self._store = dist.PrefixStore(prefix, store)
        self._hosts, self._place = job.of, job.place
        self._compare("start")

    def _compare(self, when: str) -> None:
        """Notes how far this host's clock is before that of the first one."""
        if self._wait_for_all(f"ready-{when}", TOGETHER_S, LOOK_EVERY_S) < self._hosts:
            return
        now_s = time.time()
        self._store.set(f"clock-{when}/{self._place}", repr(now_s))
        if self._place == 0:
            return
        self._store.wait([f"clock-{when}/0"], timedelta(seconds=TOGETHER_S))
        offset_s = now_s - float(self._store.get(f"clock-{when}/0"))
        since_s = time.monotonic() - (self._began_s or 0.0)
        self.run.tell_finding(
            Finding.of(
                "clocks-compared",
                f"this host's clock was {offset_s:+.3f} s from that of the first one",
                data={"offset_s": round(offset_s, 6), "at_s": round(since_s, 3)},
            )
        )

    def _wait_for_all(self, name: str, patience_s: float, every_s: float) -> int:
        """How many hosts have come to a point; waits for all of them, so long."""
        come = int(self._store.add(name, 1))
        until = time.monotonic() + patience_s
        while come < self._hosts and time.monotonic() < until:
            time.sleep(every_s)
            come = int(self._store.add(name, 0))
        return come

    def _say(self, step: int | None) -> None:
        joules = {name: one.joules for name, one in self.run.energy_so_far().items()}
        self._store.set(f"so-far/{self._place}", json.dumps({"joules": joules, "step": step}))

    def _heard(self) -> dict[str, Any]:
        if self._store is None:
            return {}
        joules: dict[str, float] = {}
        steps: list[int] = []
        hosts = 0
        for place in range(self._hosts):
            text = self._told(f"so-far/{place}")
            if text is None:
                continue
            hosts += 1
            said = json.loads(text)
            for name, amount in said["joules"].items():
                joules[name] = joules.get(name, 0.0) + amount
            if said["step"] is not None:
                steps.append(said["step"])
        if not hosts:
            return {}
        return {"joules": joules, "hosts": hosts, "steps": (min(steps), max(steps)) if steps else None}

    def _told(self, name: str) -> bytes | None:
        return bytes(self._store.get(name)) if self._store.check([name]) else None

    def _gather(self) -> None:
        """Says what this host has measured; the first one takes what all have said."""
        own = text_of(self.run.record)
        if self._place != 0:
            self._store.set(f"record/{self._place}", zlib.compress(own.encode()))
            self._store.add("records", 1)
            return
        while int(self._store.add("records", 0)) < self._hosts - 1 and time.monotonic() < self._until_s:
            time.sleep(ARRIVED_EVERY_S)
        texts = {0: own}
        for place in range(1, self._hosts):
            content = self._told(f"record/{place}")
            if content is not None:
                texts[place] = zlib.decompress(content).decode()
        self.record = job_of_hosts(texts, self._folder())

    def _folder(self) -> Path | None:
        """Where the folders of all hosts lie, where they share a disk."""
        folder = self.run.folder
        wanted = self.run.settings.output_dir
        if folder is None or wanted is None or folder.parent.resolve() != (wanted / "nodes").resolve():
            return None
        return wanted

    def _failed(self, message: str) -> None:
        # After the end nothing goes into the journal any more.
        if self.run.settings.report is not None:
            self.run.settings.report(f"energy-rating: {message}")
        self.run.tell("hook-failed", message)


def measure_job(
    stage: str = "pre-training", *, patience_s: float = PATIENCE_S, **settings: Any
) -> MeasuredJob:
    """Measures a job on several hosts: to be used in every process, after ``init_process_group``, with ``with``.

    Args:
        stage: what ``measure`` takes, as all other ``settings``.
        patience_s: how long the end waits for hosts that have said nothing.

    Raises:
        BadInput: an argument is wrong.
    """
    return MeasuredJob(measure(stage, **settings), patience_s=patience_s)
