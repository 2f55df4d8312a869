"""The options of ``benchmark``: each is declared here, once, with its type, its default, its bounds, its help and who is told of it.

What follows from a declaration, and how, is ``options``'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from energy_rating.benchmarking.options import option


@dataclass(frozen=True, kw_only=True, slots=True)
class Conduct:
    """The options that say how it is measured, whatever it is. None: as the protocol says.

    ``repeats``: exactly so many. ``budget_s``: the first repeat is made in any case; another one only if it will be over in time.
    ``cooldown_s``: the rest ends when all devices are within 2 °C of what the first repeat began with; where none tells its
    temperature, it is that long.
    """

    repeats: int | None = field(
        default=None,
        metadata=option(
            help="Exactly so many repeats, in place of the protocol's.", at_least=1, at_most=1000
        ),
    )
    min_duration_s: float | None = field(
        default=None,
        metadata=option(
            help="Seconds that one repeat takes at least.", at_least=0, at_most=86400, metavar="S"
        ),
    )
    budget_s: float | None = field(
        default=None,
        metadata=option(
            help="Seconds that the whole may take. The first repeat is made in any case.",
            above=0,
            metavar="S",
        ),
    )
    cooldown_s: float | None = field(
        default=None,
        metadata=option(
            help="Seconds of rest between two repeats, at most: until the devices are as warm as at the start, where they tell that. "
            "Default: 120, and none where no temperature is told.",
            at_least=0,
            at_most=3600,
            metavar="S",
        ),
    )
    idle_s: float | None = field(
        default=None,
        metadata=option(
            help="Seconds of idle before and after. Below 10 nothing is told of the idle power.",
            at_least=0,
            at_most=3600,
            metavar="S",
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatingPoint:
    """The options that a protocol can fix, too: keys of a task's file as they are fields of ``Settings``. None: not fixed."""

    batch_size: int = field(default=1, metadata=option(help="Items at a time.", at_least=1, by_all=True))
    concurrency: int = field(
        default=1, metadata=option(help="Requests that are under way at once.", at_least=1, of_function=False)
    )
    request_rate: float | None = field(
        default=None,
        metadata=option(
            help="Requests a second, at the times of a Poisson process.", above=0, of_function=False
        ),
    )
    max_num_seqs: int | None = field(
        default=None, metadata=option(help="Requests that the engine takes at once.", at_least=1)
    )
    max_input_tokens: int | None = field(
        default=None, metadata=option(help="Tokens of an input at most; longer ones are cut.", at_least=1)
    )
    max_new_tokens: int | None = field(
        default=None, metadata=option(help="Tokens of an answer at most.", at_least=1, by_all=True)
    )
    min_new_tokens: int | None = field(
        default=None, metadata=option(help="Tokens of an answer at least.", at_least=1)
    )
    reasoning: bool | None = field(
        default=None,
        metadata=option(help="Ask the model to think first, or not to; two records of one model."),
    )
    # Of a model, which tells it in the record; what a workload made of it may be another.
    dtype: str | None = field(
        default=None,
        metadata=option(help="Type of the weights, such as bfloat16.", recorded=False, of_function=False),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(OperatingPoint):
    """How a protocol and the user want the model run. None: the workload's own default.

    What a workload cannot do and is asked for, it refuses in ``prepared`` with ``refuse(settings, …)``; it never ignores it. To add an
    option, add a field, and read it in the workload that heeds it: ``docs/adding-a-workload.md``.

    ``task`` is the hub's name of the task. ``command`` is the program of the workload of that name. ``options``: further arguments of
    the engine, by its own names. The record tells no URL, no command line and no engine's argument that may hold a secret.
    """

    task: str = field(
        default="text-generation", metadata=option(recorded=False, by_all=True, of_function=False)
    )
    seed: int = field(
        default=0,
        metadata=option(
            help="Seed of the model's sampler, of arrival times and of the choice of items. Default: 0.",
            by_all=True,
        ),
    )
    quantisation: str | None = field(
        default=None, metadata=option(help="As the engine names it, such as awq or bitsandbytes-4bit.")
    )
    attention: str | None = field(default=None, metadata=option(help="As the engine names it, such as sdpa."))
    device_map: str | None = field(
        default=None, metadata=option(help="As transformers names it, such as auto.")
    )
    compile: bool = field(default=False, metadata=option(help="Compile the model first."))
    steps: int | None = field(default=None, metadata=option(help="Steps of denoising.", at_least=1))
    height: int | None = field(default=None, metadata=option(help="Height of images, in pixels.", at_least=1))
    width: int | None = field(default=None, metadata=option(help="Width of images, in pixels.", at_least=1))
    frames: int | None = field(default=None, metadata=option(help="Frames of a video.", at_least=1))
    streaming: bool = field(
        default=True,
        metadata=option(help="Have answers streamed, to know when the first token came.", by_all=True),
    )
    prompt_cache: bool = field(
        default=False, metadata=option(help="What was computed for one request may serve another.")
    )
    random_weights: Path | None = field(
        default=None,
        metadata=option(
            help="Build the model from this configuration (a config.json, or one that ships, such as llama-3.1-8b) with random "
            "weights: the energy of its architecture. MODEL may then be left out.",
            metavar="CONFIG",
            of_function=False,
        ),
    )
    trust_remote_code: str | None = field(
        default=None,
        metadata=option(
            help="ORG/NAME@COMMIT: the one model whose own code may run, at the one commit.",
            of_function=False,
        ),
    )
    endpoint: str | None = field(
        default=None,
        metadata=option(
            help="URL of an OpenAI-compatible server on this machine.", recorded=False, of_function=False
        ),
    )
    download: bool = field(
        default=False,
        metadata=option(
            help="The model and the items may be fetched from a hub. Without it, no network is used.",
            recorded=False,
            by_all=True,
            of_function=False,
        ),
    )
    command: tuple[str, ...] = field(default=(), metadata=option(recorded=False, of_function=False))
    options: Mapping[str, str | int | float | bool] = field(
        default_factory=dict, metadata=option(recorded=False, by_all=True, of_function=False)
    )

    @property
    def serves(self) -> bool:
        """Whether requests overlap, so that the workload is given all items at once."""
        return self.concurrency > 1 or self.request_rate is not None
