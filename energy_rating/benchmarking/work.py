"""What a workload is, what it is asked and what it has done. Runs none, so that whoever runs one can know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Number


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
    work: Mapping[str, Number] = field(default_factory=dict)


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


class Workload(Protocol):
    """A model that can be asked to work.

    One that is given many items at once may also have an attribute ``tell``, None at first. Who wants to know puts a function there;
    it is called twice a second or so with how many of the items are done, from the thread that called ``run``.
    """

    def load(self) -> None:
        """Loads the model; returns when it is ready."""

    def run(self, items: Sequence[Item]) -> Done | Mapping[str, Number]:
        """Does the items and returns the work when it is really done: device queues are drained.

        Where the settings ask for a concurrency or a request rate, it is given all the items at once and keeps so many of
        them going; else it is given ``batch_size`` of them at a time.
        """

    def close(self) -> None:
        """Lets go of everything. May be called twice, and also while or after ``load`` or ``run`` failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a protocol and the user want the model run. None: the workload's own default.

    What a workload cannot do and is asked for, it refuses in ``prepared`` with ``refuse(settings, …)``; it never ignores it.

    ``task`` is the hub's name of the task. ``max_input_tokens``: longer inputs are cut there. ``concurrency``: requests that
    are under way at once. ``request_rate``: requests a second, sent at the times of a Poisson process of ``seed``.
    ``max_num_seqs``: how many the engine takes at once. ``quantisation``: as the engine names it. ``attention``: likewise.
    ``random_weights``: a configuration; the model is built from it with random weights. ``trust_remote_code``:
    ``ORG/NAME@COMMIT``, the one model at the one commit whose own code may run. ``endpoint``: the URL of a server.
    ``prompt_cache``: what was computed for one request may serve another. ``download``: the network may be used to fetch the
    model. ``options``: further arguments of the engine, by its own names.
    """

    task: str = "text-generation"
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    max_input_tokens: int | None = None
    batch_size: int = 1
    concurrency: int = 1
    request_rate: float | None = None
    max_num_seqs: int | None = None
    seed: int = 0
    dtype: str | None = None
    quantisation: str | None = None
    attention: str | None = None
    device_map: str | None = None
    compile: bool = False
    reasoning: bool | None = None
    steps: int | None = None
    height: int | None = None
    width: int | None = None
    frames: int | None = None
    random_weights: Path | None = None
    trust_remote_code: str | None = None
    endpoint: str | None = None
    streaming: bool = True
    prompt_cache: bool = False
    download: bool = False
    command: tuple[str, ...] = ()
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def serves(self) -> bool:
        """Whether requests overlap, so that the workload is given all items at once."""
        return self.concurrency > 1 or self.request_rate is not None


# What a workload need not understand: these have no effect where nothing is asked of them, or are the benchmark's own affair.
_HARMLESS = ("task", "batch_size", "seed", "streaming", "download", "max_new_tokens", "options")


def refuse(
    settings: Settings,
    workload: str,
    *,
    understands: Sequence[str],
    options: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
) -> None:
    """Refuses what was asked for and this workload has no way to do.

    ``understands``: the fields of ``Settings`` that it heeds, beside those that every workload does. ``options``: the engine's
    own arguments that it takes; None: it looks at them itself. ``tasks``: what it can do, as the hub calls it; None: likewise.

    Raises:
        BadInput: another field is not at its default, or another task or option is asked for.
    """
    if tasks is not None and settings.task not in tasks:
        raise BadInput(
            f"the workload {workload} does no {settings.task[:80]}",
            f"It does: {', '.join(tasks)}; name another workload with --workload",
            place="--task",
        )
    for option in settings.options if options is not None else ():
        if option not in (options or ()):
            raise BadInput(
                f"the workload {workload} has no option {option[:80]!r}",
                f"There are: {', '.join(options)}" if options else "Leave it out",
                place="--option",
            )
    plain = Settings()
    for name in Settings.__dataclass_fields__:
        if name in understands or name in _HARMLESS or getattr(settings, name) == getattr(plain, name):
            continue
        option = f"--{name.replace('_', '-')}"
        raise BadInput(
            f"the workload {workload} has no {name.replace('_', ' ')}",
            "Leave it out, or name another workload",
            place=option,
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
    try:
        if source.stat().st_size > LARGEST_FILE:
            raise BadInput(f"is larger than {LARGEST_FILE >> 20} MiB", "Make it smaller", place=source)
        return source.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or type(error).__name__})", place=source) from error
