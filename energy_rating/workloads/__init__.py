"""The workloads: one file a way to run a model. Also the one place that knows how to wait for devices' queues.

To add a way, put a module here that has::

    def prepared(model: str, settings: Settings) -> tuple[Workload, Model]: ...

which checks the model, describes it, loads nothing yet, and raises ``BadInput`` with the remedy where it cannot be run.

Units of work, so that they mean the same everywhere: ``request`` (an item that was answered), ``token`` (of the output, the thought
ones among them), ``reasoning_token`` (those of them that were thought), ``input_token`` (of the prompts, as the model sees them),
``cached_token`` (those of them that were not computed again), ``image`` and ``video_second`` (made), ``audio_second`` (heard or
made). A unit that was not counted is left out, never guessed.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Model, Number


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


# ------------------------------------------------------------------------------------------------------------ serving


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One request as its log tells it: when it was sent, when its first token and its last one came (``time.monotonic()``).

    ``work`` is what the server says that it did (never counted from chunks). ``token_s``: when each piece came, where it was
    streamed; the tokens of ``work`` are then spread over the pieces, else evenly from the first to the last.
    """

    sent_s: float
    first_s: float
    end_s: float
    work: Mapping[str, Number]
    token_s: Sequence[float] = ()

    def tokens_between(self, start_s: float, end_s: float) -> float:
        """How many of its tokens came in that time."""
        tokens = self.work.get("token", 0)
        if self.token_s:
            return tokens * sum(start_s < time_s <= end_s for time_s in self.token_s) / len(self.token_s)
        if self.end_s <= self.first_s:
            return tokens if start_s < self.end_s <= end_s else 0
        inside_s = min(end_s, self.end_s) - max(start_s, self.first_s)
        return tokens * max(0.0, inside_s) / (self.end_s - self.first_s)


# Where requests come by themselves, the first and the last tenth of them are the coming up and the running down.
ARRIVING_SHARE = 0.1


def served(
    answered: Sequence[Answered], *, concurrency: int | None, findings: Sequence[Finding] = ()
) -> Done:
    """All the work of a stream of requests, and the part of it in which the server was kept full.

    ML.ENERGY's rule (v3, ``benchmark.py``): the steady part begins when ``concurrency`` requests have had their first token, and
    ends when all but ``concurrency + 1`` are done. Its tokens are those that came in it; its requests are its tokens over the
    mean output of a request, so that what is half done at an edge counts half. Requests without tokens count when they end.

    Args:
        answered: the log, in any order.
        concurrency: how many are under way at once; None where they come by themselves, at a rate.
        findings: what else is to be said.

    Returns:
        ``steady`` is None, with a finding, where there were too few requests for it (fewer than about 2 × concurrency + 2).
    """
    work: dict[str, Number] = {}
    for one in answered:
        for unit, amount in one.work.items():
            work[unit] = work.get(unit, 0) + amount
    edges = _steady_edges(answered, concurrency)
    if edges is None:
        asked = f"{len(answered)} requests" + (f" of which {concurrency} at once" if concurrency else "")
        too_few = Finding(
            code="no-steady-part",
            message=f"{asked} are too few for a part in which the server was kept full; the figure is that of the whole",
            remedy="Give at least four times as many items as requests at once",
            severity="degrades",
            measurement="measured",
        )
        return Done(work=work, findings=(*findings, too_few))
    start_s, end_s = edges
    steady = Stretch(
        name="steady", start_s=start_s, end_s=end_s, work=_work_between(answered, work, start_s, end_s)
    )
    return Done(work=work, steady=steady, findings=findings)


def _steady_edges(answered: Sequence[Answered], concurrency: int | None) -> tuple[float, float] | None:
    n = len(answered)
    if concurrency is None:
        edge = math.ceil(ARRIVING_SHARE * n)
        sent = sorted(one.sent_s for one in answered)
        found = (sent[edge], sent[n - edge - 1]) if n > 2 * edge + 1 else None
    else:
        last = n - concurrency - 2
        firsts, ends = sorted(one.first_s for one in answered), sorted(one.end_s for one in answered)
        found = (firsts[concurrency - 1], ends[last]) if last >= 0 and concurrency <= n else None
    return found if found is not None and found[0] < found[1] else None


def _work_between(
    answered: Sequence[Answered], work: Mapping[str, Number], start_s: float, end_s: float
) -> dict[str, Number]:
    tokens = work.get("token", 0)
    if tokens:
        share = sum(one.tokens_between(start_s, end_s) for one in answered) / tokens
        return {unit: share * amount for unit, amount in work.items()}
    inside: dict[str, Number] = {}
    for one in answered:
        if start_s < one.end_s <= end_s:
            for unit, amount in one.work.items():
                inside[unit] = inside.get(unit, 0) + amount
    return inside


def poisson_times(n: int, rate: float, seed: int) -> tuple[float, ...]:
    """When each of n requests is sent, in seconds from the start: gaps of a Poisson process, the same for the same seed."""
    import random

    source = random.Random(seed)  # noqa: S311  no secret
    now, times = 0.0, []
    for _ in range(n):
        times.append(now)
        now += source.expovariate(rate)
    return tuple(times)


# ------------------------------------------------------------------------------------------------------------ the folder


def workloads() -> tuple[str, ...]:
    """The names of all workloads."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


# They start a process of their own, or talk to one; all others would run a stranger's model in this one, beside its secrets.
ELSEWHERE = ("command", "endpoint", "llama_cpp")


def prepare(name: str, model: str, settings: Settings, items: Sequence[Item] = ()) -> tuple[Workload, Model]:
    """The workload of that name for a model, and what the model is. Nothing is loaded yet.

    A model that would run in this process runs in one of its own, which sees no secrets of this one's environment (``child``).
    ``items``: what it will be asked, if that is known; they are then handed over before anything is measured.

    Raises:
        BadInput: there is no such workload, or it cannot run this model.
    """
    if name not in workloads():
        raise BadInput(
            f"there is no workload {name[:80]!r}", f"There are: {', '.join(workloads())}", place="--workload"
        )
    if name not in ELSEWHERE:
        from energy_rating import child  # here, since it needs this module

        return child.prepared(name, model, settings, items)
    found: tuple[Workload, Model] = importlib.import_module(f"{__name__}.{name}").prepared(model, settings)
    return found


# A hub answers at once, or not at all: it only hands out files.
HUB_SILENCE_S = 30.0


def limit_silence_of_hubs(silence_s: float = HUB_SILENCE_S) -> None:
    """Has the hub's library give up on a hub that says nothing for ``silence_s``; by itself it waits for ever.

    Its requests name no time, or None, which overrides what its client was made with (huggingface_hub 2.4.0, ``utils/_http.py`` and
    ``hf_api.py``): so the times are put into each request before it is sent. Does nothing where the library is missing.
    """
    try:
        from huggingface_hub import set_client_factory
        from huggingface_hub.utils._http import default_client_factory
    except ImportError:  # whoever needs it says so
        return

    def in_time(request: Any) -> None:
        named = request.extensions.get("timeout", {})
        times = {name: named.get(name) or silence_s for name in ("connect", "read", "write", "pool")}
        request.extensions = {**request.extensions, "timeout": times}

    def client() -> Any:
        made = default_client_factory()
        hooks = made.event_hooks
        made.event_hooks = {**hooks, "request": [*hooks.get("request", []), in_time]}
        return made

    set_client_factory(client)


def dataset_commit(name: str, revision: str | None = None) -> str | None:
    """The commit that a revision of a data set stands for today; by default the newest. Asks the hub, for ``HUB_SILENCE_S`` at most.

    Raises:
        ModuleNotFoundError: the hub's library is missing. And whatever else it raises where the hub cannot be reached.
    """
    import huggingface_hub

    limit_silence_of_hubs()
    told = huggingface_hub.HfApi().dataset_info(name, revision=revision, timeout=HUB_SILENCE_S)
    commit: str | None = told.sha
    return commit


def parse_options(options: Sequence[str]) -> dict[str, str | int | float | bool]:
    """An engine's own arguments from ``name=value``: numbers and true and false are what they look like.

    Raises:
        BadInput: one of them has no name or no value.
    """
    found: dict[str, str | int | float | bool] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not (equals and name.strip()):
            raise BadInput(f"{option[:80]!r} is not name=value", "Such as n_ctx=4096", place="--option")
        value: str | int | float | bool = text
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            break
        found[name.strip()] = {"true": True, "false": False}.get(text.lower(), value)
    return found


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
