"""How the ranks of a host find the run that one of them measures: by a small file in the folder that all of them were told.

The first rank of a host measures, in a folder that only it knows (the one that was asked for, or a sibling, where that is taken). It
leaves an *invitation* where the others will look; they look for it beside their work, and wait for nothing. An invitation counts
if the process that wrote it is alive (it holds the lock of its journal) and belongs to the same job: the variables that launchers
tell jobs apart by agree, or, where none is told, both come from one process, or one from the other.

A program may measure several runs one after the other. All ranks run the same program, so the n-th run of one belongs to the n-th of
the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from energy_rating.files.journal import JOURNAL_NAMES, decoded, encoded, is_locked
from energy_rating.files.opening import read_beginning
from energy_rating.measuring.processes import PROC, chain_of
from energy_rating.measuring.ranks import PORT, restarts, told_of_job
from energy_rating.nouns.errors import BadInput

BOOT = PROC / "sys/kernel/random/boot_id"
PREFIX, SUFFIX = ".ranks-", ".json"
SCHEMA = "energy-rating/ranks/1"
LARGEST = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """What the first rank of a host says to the others.

    ``run`` is whose record their counts will be in, ``session`` what is measured now, ``folder`` where, ``zero_s`` its time 0 on the
    monotonic clock. ``by`` is who says it. ``devices``: the GPUs that it measures, or will for whoever uses them.
    """

    run: str
    session: str
    folder: str
    zero_s: float
    by: Caller
    devices: tuple[str, ...]

    @property
    def journal(self) -> Path:
        return Path(self.folder) / JOURNAL_NAMES[0]

    def write(self, place: Path) -> Path:
        """Puts it there, whole.

        Raises:
            OSError: it cannot be written.
        """
        entry: dict[str, Any] = {"schema": SCHEMA}
        for part in (self, self.by):
            entry |= {item.name: getattr(part, item.name) for item in fields(part) if item.name != "by"}
        entry["job"] = dict(self.by.job)
        path = place / f"{PREFIX}{self.session}{SUFFIX}"
        scratch = path.with_name(f"{path.name}.{self.by.pid}")
        scratch.write_bytes(encoded(entry))
        scratch.replace(path)
        return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who looks for an invitation, or writes one: a run of a process of a job.

    ``asked`` is the folder that was asked for (empty: none), ``call`` which of its process's runs for that this is, ``attempt`` how often
    the job was started again.
    """

    asked: str
    call: int
    pid: int
    chain: tuple[int, ...]
    pids: str
    boot: str
    job: Mapping[str, str]
    attempt: int

    @classmethod
    def here(cls, asked: Path | None, call: int, environ: Mapping[str, str], *, proc: Path = PROC) -> Caller:
        """This process, with its ``call``-th run for that folder."""
        chain = chain_of(os.getpid(), proc)
        return cls(
            asked="" if asked is None else str(asked),
            call=call,
            pid=chain[0],
            chain=tuple(chain),
            pids=_namespace(proc),
            boot=boot_id(),
            job=told_of_job(environ),
            attempt=restarts(environ),
        )

    def is_of(self, one: Invitation, *, again: bool = False) -> bool:
        """Whether an invitation is from this job, of this host, for this folder. ``again``: from before the launcher started it again,
        which may have taken another port."""
        if one.by.boot != self.boot or one.by.asked != self.asked:
            return False
        both = [key for key in self.job if key in one.by.job and not (again and key == PORT)]
        if any(self.job[key] != one.by.job[key] for key in both):
            return False
        if both or one.by.pid in self.chain:
            return True
        # The first process of a container has started everything in it; as a parent it may be a launcher all the same.
        shared = set(self.chain[1:]).intersection(one.by.chain[1:]) - {1}
        return bool(shared) or self.chain[1:2] == one.by.chain[1:2] != ()


def _namespace(proc: Path) -> str:
    """In which namespace the ids of processes mean something: a container has its own."""
    try:
        return str((proc / "self" / "ns" / "pid").readlink())
    except OSError:
        return ""


def boot_id() -> str:
    """What tells this start of this machine from all others."""
    try:
        return read_beginning(BOOT, 100).decode("ascii", "replace").strip()
    except BadInput:
        return ""


def find(caller: Caller, places: Mapping[Path, None] | list[Path]) -> Invitation | None:
    """The invitation to the run that belongs to this rank's; None where there is none, or none yet."""
    found = [
        one
        for one in invitations(places)
        if caller.is_of(one)
        and one.by.attempt == caller.attempt
        and one.by.call >= caller.call
        and is_alive(one, caller)
    ]
    return min(found, key=lambda one: one.by.call, default=None)


def left_behind(caller: Caller, places: list[Path]) -> Invitation | None:
    """What an earlier try of this job left, which was started again since and finds the folder of before."""
    if not caller.attempt:
        return None
    found = [
        one
        for one in invitations(places)
        if caller.is_of(one, again=True)
        and one.by.attempt < caller.attempt
        and one.by.call == caller.call
        and not is_alive(one, caller)
    ]
    return max(found, key=lambda one: one.by.attempt, default=None)


def clear(caller: Caller, place: Path, folder: Path) -> None:
    """Takes away what runs left that ended without doing so; also all that leads to this folder, which is one's own by now."""
    for path in _files(place):
        one = _read(path)
        if one is None or one.by.asked != caller.asked or one.by.boot != caller.boot:
            continue
        if is_alive(one, caller) and Path(one.folder) != folder:
            continue
        with suppress(OSError):
            path.unlink()


def is_alive(one: Invitation, caller: Caller) -> bool:
    """Whether the run still goes on: its process is there, as far as that can be seen from here, and holds the lock of its journal."""
    seen = one.by.pids == caller.pids != ""
    if seen and not (PROC / str(one.by.pid)).exists():
        return False
    locked = is_locked(one.journal)
    return seen if locked is None else locked


def invitations(places: Mapping[Path, None] | list[Path]) -> Iterator[Invitation]:
    for place in places:
        for path in _files(place):
            if (one := _read(path)) is not None:
                yield one


def _files(place: Path) -> list[Path]:
    try:
        return sorted(place.glob(f"{PREFIX}*{SUFFIX}"))
    except OSError:
        return []


def _read(path: Path) -> Invitation | None:
    """The invitation in a file; None where it is none, as of another version, or no longer there."""
    try:
        entry = decoded(read_beginning(path, LARGEST), place=path.name)
        if entry.pop("schema", None) != SCHEMA:
            return None
        return Invitation(
            run=_text(entry["run"]),
            session=_text(entry["session"]),
            folder=_text(entry["folder"]),
            zero_s=float(entry["zero_s"]),
            by=Caller(
                asked=str(entry["asked"]),
                call=int(entry["call"]),
                pid=int(entry["pid"]),
                chain=tuple(int(pid) for pid in entry["chain"]),
                pids=str(entry["pids"]),
                boot=str(entry["boot"]),
                job={str(key): str(value) for key, value in entry["job"].items()},
                attempt=int(entry["attempt"]),
            ),
            devices=tuple(_text(device) for device in entry["devices"]),
        )
    except (OSError, BadInput, KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value
