"""Sentence embeddings with the ``sentence-transformers`` library: a saved model, run in this process.

One vector for each text, as the library makes it (its own pooling and normalisation). Of a pair both sentences are embedded. Tokens are
those that the library's own tokenizer gives the network, without what they were padded with. Weights are read from safetensors
only; code that comes with a model is never run.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.parts import refuse_missing
from energy_rating.benchmarking.work import Done, Item, Settings, Workload, refuse
from energy_rating.benchmarking.workloads.transformers.checkpoint import HUB_ID, cached, parameters_in
from energy_rating.benchmarking.workloads.transformers.library import (
    DTYPES,
    account_of,
    loading_error,
    offline,
    quiet,
    running_error,
    torch_device,
)
from energy_rating.files.opening import refuse_what_waits
from energy_rating.measuring.queues import drain_queues
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import Finding, Model

INSTALL = (
    "Run: pip install sentence-transformers, or take --workload transformers, which needs only transformers"
)
TASKS = ("feature-extraction", "sentence-similarity")


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = ("dtype", "max_input_tokens", "attention", "device_map", "compile")


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a saved model, and what its files say of it.

    Raises:
        BadInput: there is no such model here, or something is asked for that cannot be done.
        EnergyRatingError: a package is missing.
    """
    if settings.random_weights is not None:  # there is nothing of this library in an architecture
        raise BadInput(
            "sentence_transformers has no random weights",
            "Take --workload transformers",
            place="--random-weights",
        )
    for package in ("torch", "transformers", "sentence_transformers"):
        if importlib.util.find_spec(package) is None:
            raise EnergyRatingError(f"{package.replace('_', '-')} is not installed", INSTALL)
    refuse(
        settings,
        "sentence_transformers",
        understands=UNDERSTANDS,
    )
    if settings.task not in TASKS:
        raise BadInput(
            f"sentence_transformers does not do {settings.task}",
            f"It does: {', '.join(TASKS)}",
            place="--task",
        )
    if settings.dtype is not None and settings.dtype not in DTYPES:
        raise BadInput(
            f"dtype must be one of {', '.join(DTYPES)}; got {settings.dtype!r}",
            "Name one of these, or leave it out for the type of the weights on disk",
            place="--dtype",
        )
    for name in settings.options:
        raise BadInput(f"there is no option {name[:80]!r}", "Leave it out", place="--option")
    folder = _folder(model)
    if folder is None and not settings.download:
        raise BadInput(
            "there is no such folder, and no such download from the hub",
            "Name the folder of a saved model, or allow fetching it with --download",
            place=model,
        )
    name = Path(model).absolute().name if Path(model).is_dir() else model
    parameters = None if folder is None else parameters_in(folder)
    importlib.import_module("sentence_transformers")  # takes seconds, and is no part of loading a model
    described = Model(id=name, parameters=parameters, dtype=settings.dtype or DTYPES[0])
    return SentenceTransformers(model, settings), described


class SentenceTransformers:
    """A workload whose items are texts or pairs of them. ``vectors`` holds the first few of the last ``run``, as the library gives them.

    ``device`` says where the model runs, once it is loaded: ``gpu`` or ``cpu``; ``net`` is the library's, None before.
    """

    KEPT_VECTORS = 16

    def __init__(self, model: str, settings: Settings) -> None:
        """Loads nothing yet."""
        self._model = model
        self._settings = settings
        self.net: Any = None
        self._account: tuple[Finding, ...] = ()
        self.device = ""
        self.vectors: tuple[Any, ...] = ()

    def load(self) -> None:
        """Reads the model and moves it to the device.

        Raises:
            BadInput: there is no such device.
            ModelFailed: it could not be read, or does not fit on the device.
        """
        self.close()
        import torch
        from sentence_transformers import SentenceTransformer

        settings = self._settings
        device = torch_device(settings.device_map, torch)
        arguments: dict[str, Any] = {
            "use_safetensors": True,
            "dtype": getattr(torch, settings.dtype or DTYPES[0]),
        }
        if settings.attention is not None:
            arguments["attn_implementation"] = settings.attention
        folder = _folder(self._model)
        try:
            with quiet(), offline(folder is not None):
                net = SentenceTransformer(
                    str(folder or self._model),
                    device=str(device),
                    trust_remote_code=False,
                    local_files_only=folder is not None,
                    model_kwargs=arguments,
                )
        except Exception as error:  # broken files and full devices raise whatever they like
            raise loading_error(error, self._model) from error
        if settings.max_input_tokens is not None:
            net.max_seq_length = min(
                settings.max_input_tokens, net.max_seq_length or settings.max_input_tokens
            )
        if settings.compile:
            net.compile()
        drain_queues()
        self._account = account_of(net, sys.modules["sentence_transformers"], compiled=settings.compile)
        self.net = net
        self.device = "cpu" if device.type == "cpu" else "gpu"

    def run(self, items: Sequence[Item]) -> Done:
        """Embeds the items, a batch at a time, and returns when all vectors are there.

        Returns:
            ``request``, the items, and ``input_token``, those of all their texts.

        Raises:
            BadInput: nothing is loaded, or an item has no second sentence where one is needed.
            ModelFailed: it broke off.
        """
        if self.net is None:
            raise BadInput("no model is loaded", "Call load() first")
        size, pairs = self._settings.batch_size, self._settings.task == "sentence-similarity"
        for number, item in enumerate(items, start=1):
            if pairs and item.second is None:
                raise BadInput("it has no second sentence", "Give it as sentence2", place=f"item {number}")
        tokens = 0
        kept: list[Any] = []
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            sides = [[item.text for item in batch]]
            if pairs:
                sides.append([item.second or "" for item in batch])
            for texts in sides:
                try:
                    with quiet():
                        found, read = self._embed(texts)
                except Exception as error:
                    raise running_error(error, f"items {start + 1} to {start + len(batch)}") from error
                tokens += read
                kept += list(found[: self.KEPT_VECTORS - len(kept)])
        drain_queues()
        self.vectors = tuple(kept)
        told, self._account = self._account, ()  # once is enough: it stays as it is
        return Done(work={"request": len(items), "input_token": tokens}, findings=told)

    def _embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """The vectors, and the tokens that the network was given, seen where they go in."""
        read = 0

        def given(_: Any, arguments: Sequence[Any]) -> None:
            nonlocal read
            read += int(arguments[0]["attention_mask"].sum())

        hook = self.net[0].register_forward_pre_hook(given)
        try:
            vectors = self.net.encode(list(texts), batch_size=len(texts), show_progress_bar=False)
        finally:
            hook.remove()
        return vectors, read

    def close(self) -> None:
        """Lets go of the model and of the device's memory."""
        if self.net is None:
            return
        self.net = None
        gc.collect()
        torch = sys.modules["torch"]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def _folder(model: str) -> Path | None:
    """Where it is on this machine; None if it is not."""
    folder = Path(model)
    if folder.is_dir():
        found: Path | None = folder
    elif not HUB_ID.fullmatch(model):
        raise BadInput("there is no such folder", "Name the folder of a saved model", place=model)
    else:
        found = cached(model) or cached(f"sentence-transformers/{model}")
    if found is not None and not any(found.rglob("*.safetensors")):
        pickled = any(found.rglob("*.bin"))
        raise BadInput(
            "its weights are pickled, and opening a pickle runs what is in it"
            if pickled
            else "holds no weights",
            "Save it as safetensors, on a machine where you trust it"
            if pickled
            else "Name the folder of a saved model",
            place=model,
        )
    if found is not None:
        refuse_what_waits(found)
        for file in found.rglob("*.safetensors"):
            refuse_missing(file.parent, model)
    return found
