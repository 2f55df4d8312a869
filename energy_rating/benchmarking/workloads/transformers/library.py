"""What the libraries of Hugging Face need before and while they are used: quiet, offline, a device, an error in one line."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from energy_rating.benchmarking.engine_account import account
from energy_rating.nouns.errors import BadInput, EnergyRatingError, ModelFailed, first_line
from energy_rating.nouns.records import Finding

DTYPES = ("float32", "float16", "bfloat16")
INSTALL = 'Run: pip install "energy-rating[transformers]"'


# ---------------------------------------------------------------------------------------------------------- the library


@functools.cache
def _imported() -> tuple[Any, Any]:
    import torch  # isort: skip  first: the other looks for it
    import transformers

    return torch, transformers


def libraries() -> tuple[Any, Any]:
    """torch and transformers."""
    try:
        return _imported()
    except ModuleNotFoundError as error:
        raise EnergyRatingError(f"{error.name} is not installed", INSTALL) from error
    except ImportError as error:
        raise EnergyRatingError(f"transformers cannot be imported ({first_line(error)})", INSTALL) from error


def need(package: str, remedy: str, place: str) -> None:
    try:
        found = importlib.util.find_spec(package) is not None
    except ValueError:  # a module that somebody put there without a spec
        found = True
    if not found:
        raise BadInput(f"{package} is not installed", remedy, place=place)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Meanwhile without the library's progress bars and advice; what fails is raised all the same."""
    from transformers.utils import logging

    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def no_bar() -> Iterator[None]:
    """Meanwhile without the bar of the GGUF reader, which asks nobody whether it is wanted."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = reader.tqdm
    reader.tqdm = functools.partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar


@contextlib.contextmanager
def offline(wanted: bool = True) -> Iterator[None]:
    """Meanwhile the hub's library asks nobody: some of what is read from a folder it would look up on the network even so."""
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = wanted or before
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def is_device(name: str) -> bool:
    return re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", name) is not None


def torch_device(name: str | None, torch: Any) -> Any:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(
            f"there is no device {name!r}", "Such as cpu, cuda or cuda:1", place="--device-map"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("torch finds no CUDA device here", "Leave it out, or take cpu", place="--device-map")
    return device


# CPUs have no error of their own for it.
_FULL = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def _is_full(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and _FULL.search(str(error)) is not None


def loading_error(error: Exception, name: str) -> ModelFailed:
    """The error, in words of ours where those of the library would lead astray."""
    if _is_full(error):
        return ModelFailed(
            f"there is not enough memory for {name} ({first_line(error)})",
            "Take a smaller type (--dtype), a quantisation, several devices (--device-map auto), or a smaller model",
        )
    if "trust_remote_code" in str(error):
        return ModelFailed(
            f"{name} brings code of its own, which is not run",
            "If you have read it: --trust-remote-code ORG/NAME@COMMIT",
        )
    return ModelFailed(
        f"transformers could not load {name}: {first_line(error)}",
        "Check that it is whole, and that this version of transformers knows its architecture",
    )


def running_error(error: Exception, which: str) -> ModelFailed:
    if _is_full(error):
        return ModelFailed(
            f"the memory ran out at {which} ({first_line(error)})",
            "Lower --batch-size, --max-input-tokens or --max-new-tokens, or take a smaller type",
        )
    return ModelFailed(
        f"the model broke off at {which}: {type(error).__name__}: {first_line(error)}",
        "Try a smaller batch, or another item; the same item in the library alone shows its cause",
    )


def attention_of(net: Any) -> str | None:
    """Which attention a network computes with, by the library's own name (``sdpa``, ``eager``, ``flash_attention_2``); None: not told.

    Parts of a network may have others: then all of them, in the order of their names.
    """
    configs = [getattr(net, "config", None)]
    if (modules := getattr(net, "modules", None)) is not None:
        configs += [getattr(module, "config", None) for module in modules()]
    names = {getattr(config, "_attn_implementation", None) for config in configs}
    told = sorted(name for name in names if isinstance(name, str) and name)
    return ", ".join(told) or None


def account_of(net: Any, engine: Any, *, compiled: bool) -> tuple[Finding, ...]:
    """How a library says that it runs a network, as the record's operating point. ``engine``: the library's module."""
    found = account(
        {
            "engine": engine.__name__,
            "engine_version": str(engine.__version__),
            "attention": attention_of(net),
            "compiled": compiled,
        }
    )
    return () if found is None else (found,)
