"""What a workload is, what it is asked and what it has done. Runs none, so that whoever runs one can know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from energy_rating.benchmarking.options import not_default
from energy_rating.benchmarking.settings import OperatingPoint as OperatingPoint
from energy_rating.benchmarking.settings import Settings as Settings
from energy_rating.files.opening import read_whole
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Number
from energy_rating.nouns.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing to be done: what the model is given, and what is known of the answer.

    ``text`` is the prompt, the question or the first sentence; ``second`` the context of a question or the second sentence.
    ``image`` and ``audio`` are a file, or its bytes (PNG, JPEG; WAV, FLAC). ``answer`` is the right one, where somebody knows it.
    ``max_new_tokens`` holds for this item in place of the settings'.
    """

    text: str = ""
    second: str | None = None
    image: Path | bytes | None = None
    audio: Path | bytes | None = None
    answer: str | None = None
    max_new_tokens: int | None = None

    def image_bytes(self) -> bytes:
        """The content of the image's file.

        Raises:
            BadInput: there is no image, or it cannot be read.
        """
        return _content(self.image, "image")

    def audio_bytes(self) -> bytes:
        """The content of the sound's file.

        Raises:
            BadInput: there is no sound, or it cannot be read.
        """
        return _content(self.audio, "audio")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of the time that is noted when it is over, in seconds of ``time.monotonic()``, and the work that was done in it."""

    name: str
    start_s: float
    end_s: float
    work: Mapping[str, Number] = field(default_factory=Work)

    def __post_init__(self) -> None:
        object.__setattr__(self, "work", Work(self.work))


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What one call of ``run`` did.

    ``work`` is all of it, by unit. ``spans`` are parts of it that are worth a figure of their own: ``prefill``, ``decode``,
    ``denoising`` …; those of one name are added up. ``steady`` is the part in which a server was kept full: where it is
    given, the figure that is rated is that of this part and of its own work. ``findings`` travel with the record.
    """

    work: Mapping[str, Number]
    spans: Sequence[Stretch] = ()
    steady: Stretch | None = None
    findings: Sequence[Finding] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "work", Work(self.work))


class Workload(Protocol):
    """A model that can be asked to work. One that is given many items at once may be ``Telling`` as well."""

    def load(self) -> None:
        """Loads the model; returns when it is ready."""

    def run(self, items: Sequence[Item]) -> Done | Mapping[str, Number]:
        """Does the items and returns the work when it is really done: device queues are drained.

        Where the settings ask for a concurrency or a request rate, it is given all the items at once and keeps so many of
        them going; else it is given ``batch_size`` of them at a time.
        """

    def close(self) -> None:
        """Lets go of everything. May be called twice, and also while or after ``load`` or ``run`` failed."""


@runtime_checkable
class Telling(Protocol):
    """A workload that says how far it is, if it is asked to.

    ``tell`` is None at first. Who wants to know puts a function there; it is called twice a second or so with how many of the items are
    done, from the thread that called ``run``.
    """

    tell: Callable[[int], None] | None


def refuse(
    settings: Settings,
    workload: str,
    *,
    understands: Sequence[str],
    options: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    others: Callable[[str], Sequence[str]] | None = None,
) -> None:
    """Refuses what was asked for and this workload has no way to do.

    ``understands``: the fields of ``Settings`` that it heeds, beside those that every workload does. ``options``: the engine's
    own arguments that it takes; None: it looks at them itself. ``tasks``: what it can do, as the hub calls it; None: likewise.
    ``others`` says which workloads understand an option.

    Raises:
        BadInput: another field is not at its default, or another task or option is asked for.
    """
    if tasks is not None and settings.task not in tasks:
        raise BadInput(
            f"the workload {workload} does not do {settings.task[:80]}",
            f"It does: {', '.join(tasks)}; name another workload with --workload",
            place="--task",
        )
    for name in settings.options if options is not None else ():
        if name not in (options or ()):
            raise BadInput(
                f"the workload {workload} has no option {name[:80]!r}",
                f"There are: {', '.join(options)}" if options else "Leave it out",
                place="--option",
            )
    for one, _ in not_default(settings):
        if one.name not in understands and not one.option.by_all:
            able = others(one.name) if others is not None else ()
            raise BadInput(
                f"the workload {workload} does not understand {one.words}",
                f"Leave it out, or name a workload that does: {', '.join(able)}" if able else "Leave it out",
                place=one.flag,
            )


def text_of(item: Item | str) -> str:
    """The text of an item, also of one that is given as a text."""
    return item if isinstance(item, str) else item.text


# Of one image or sound. A minute of 48 kHz stereo is 11 MB.
LARGEST_FILE = 64 << 20


def _content(source: Path | bytes | None, what: str) -> bytes:
    if isinstance(source, bytes):
        return source
    if source is None:
        raise BadInput(f"the item has no {what}", "Give items that the task is about", place="item")
    return read_whole(source, LARGEST_FILE)
