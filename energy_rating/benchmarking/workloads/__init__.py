"""The workloads: one file a way to run a model. What they are and are asked stands in ``work``.

To add a way, put a module here that has::

    UNDERSTANDS = ("max_input_tokens", "dtype")  # the options that it heeds, beside those that every workload does

    def prepared(model: str, settings: Settings) -> tuple[Workload, Model]: ...

which checks the model, describes it, loads nothing yet, and raises ``BadInput`` with the remedy where it cannot be run. The module
itself loads no engine: that is looked at also by those who run another workload.

Units of work, so that they mean the same everywhere: ``request`` (an item that was answered), ``token`` (of the output, the thought
ones among them), ``reasoning_token`` (those of them that were thought), ``input_token`` (of the prompts, as the model sees them),
``cached_token`` (those of them that were not computed again), ``image`` and ``video_second`` (made), ``audio_second`` (heard or
made). A unit that was not counted is left out, never guessed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from energy_rating.benchmarking.tasks import TaskFile
from energy_rating.benchmarking.work import Item, Settings, Workload, refuse
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Model

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
    module = _module(name)
    # The workload refuses it too, by itself; here it can be said which of the others would do it.
    refuse(settings, name, understands=module.UNDERSTANDS, others=understood_by)
    if name not in ELSEWHERE:
        from energy_rating.benchmarking import child  # here, since few need it

        return child.prepared(name, model, settings, items)
    found: tuple[Workload, Model] = module.prepared(model, settings)
    return found


def understood_by(option: str) -> tuple[str, ...]:
    """The workloads that understand an option, by the name of its field; all of them understand some."""
    return tuple(name for name in workloads() if option in _module(name).UNDERSTANDS)


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def parse_options(options: Sequence[str]) -> dict[str, str | int | float | bool]:
    """An engine's own arguments from ``name=value``: numbers and true and false are what they look like.

    Raises:
        BadInput: one of them has no name or no value.
    """
    found: dict[str, str | int | float | bool] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not (equals and name.strip()):
            raise BadInput(
                f"must be of the form name=value; got {option[:80]!r}", "Such as n_ctx=4096", place="--option"
            )
        value: str | int | float | bool = text
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            break
        found[name.strip()] = {"true": True, "false": False}.get(text.lower(), value)
    return found


def default_workload(task: TaskFile, model: str, *, endpoint: str | None = None) -> str:
    """The workload that suits a model where none was named.

    Raises:
        BadInput: none does by itself.
    """
    if endpoint is not None:
        name = "endpoint"
    elif model.endswith(".gguf"):
        name = "llama_cpp"
    elif task.kind in ("text-to-image", "text-to-video"):
        name = "diffusers"
    elif task.kind in ("feature-extraction", "sentence-similarity"):
        name = "sentence_transformers"
    else:
        name = "transformers"
    if name not in workloads():
        raise BadInput(
            f"no workload runs {model[:80]!r} by itself",
            "Name a GGUF file, or a workload with --workload",
            place="MODEL",
        )
    return name
