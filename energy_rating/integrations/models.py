"""What a model is, from the model itself: how many parameters it has, how many of them a training changes, and their format.

Of PyTorch (transformers, PEFT, Lightning, wrapped or not), of Keras, and of JAX (a tree of arrays). None of them is imported: whoever has
such a model has loaded what it is made of.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from energy_rating.nouns.entries import Model
from energy_rating.nouns.errors import BadInput

# A name as the Hub gives it. Anything else may be a path on somebody's machine, and stands in no record.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)

# Around a model: what trains it on several devices, what compiles it, what adapts it.
_WRAPPED_IN = ("_orig_mod", "module", "_fsdp_wrapped_module")

# Mixtures of experts, as transformers names their parts: "…mlp.experts.3.up_proj", or all of them in one tensor "…mlp.experts.gate_up_proj".
# Experts that every token uses are called shared_experts, and are none of these.
_EXPERTS = re.compile(r"^(.*\.experts)\.(?:(\d+)\.)?")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "num_selected_experts")

# Towers that see and hear: no token of a text goes through them.
_TOWERS = re.compile(r"(?:^|\.)(?:vision\w*|visual|image_encoder|audio\w*)\.")

# Quantised on the fly, as bitsandbytes has it: two weights in a byte, whose number is not that of the elements.
_FOUR_BITS = "Params4bit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of a model: its name, how many numbers it is, whether they are trained, in which format."""

    name: str
    size: int
    trained: bool
    dtype: str
    shape: tuple[int, ...] = ()


class Half(NamedTuple):
    """An encoder, or a decoder: how many parameters its tokens go through, and how many of these are trained."""

    size: int
    trained: int


def model_of(model: object, id: str | None = None, *, trained: object = None) -> Model:
    """The facts of a model for its record: ``measure("fine-tuning", model=model_of(model, "org/name"))``.

    Take it once adapters are on and layers are frozen, as the training has them. Parameters that two layers share count once, quantised ones
    as many as they stand for. ``active_parameters`` are those that one token goes through: of a mixture of experts those that are chosen for
    it (one of each, where the model does not say how many); of a model that sees or hears not its towers; of an encoder and decoder the
    smaller of both, since a token goes through one of them.

    Args:
        model: a module of PyTorch, a model of Keras, or a tree of arrays of JAX or NumPy.
        id: its name; by default the one that it came by from the Hub, else that of its class. Never a path.
        trained: of a tree of arrays, that of those that are trained; by default all.

    Raises:
        BadInput: it is nothing of that.
    """
    if hasattr(model, "trainable_weights") and hasattr(model, "non_trainable_weights"):
        parts = list(_of_keras(model))
    elif callable(getattr(model, "named_parameters", None)):
        parts = list(_of_torch(model))
    else:
        parts = list(_of_tree(model, trained))
    if not parts:
        raise BadInput(
            f"must be a model with parameters; got {type(model).__name__}",
            "Give a torch.nn.Module, a Keras model, or a tree of arrays",
            place="model",
        )
    inner = unwrapped(model)
    total = sum(part.size for part in parts)
    active = _active(parts, inner)
    trainable = sum(part.size for part in parts if part.trained)
    return Model(
        id=id or _name(inner),
        revision=_revision(inner),
        parameters=total or None,
        active_parameters=active if 0 < active < total else None,
        trainable_parameters=trainable or None,
        dtype=_dtype(parts),
    )


def parts_of(module: Any) -> list[Parameter]:
    """The parameters of a module of PyTorch, each once."""
    return list(_of_torch(module))


def _of_torch(module: Any) -> Iterator[Parameter]:
    seen: set[int] = set()
    for name, parameter in module.named_parameters():
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        kind = type(parameter).__name__
        try:
            # DeepSpeed's third stage leaves an empty tensor where another rank has the numbers.
            size = int(getattr(parameter, "ds_numel", None) or parameter.numel())
            shape = tuple(getattr(parameter, "ds_shape", None) or parameter.shape)
        except (RuntimeError, ValueError):  # a lazy one, which has no shape yet
            continue
        dtype = _plain(parameter.dtype)
        if kind == _FOUR_BITS:
            storage = getattr(parameter, "quant_storage", None)
            size *= 2 * int(getattr(storage, "itemsize", 1) or 1)
            dtype = str(getattr(parameter, "quant_type", None) or "4-bit")
        yield Parameter(name=name, size=size, trained=bool(parameter.requires_grad), dtype=dtype, shape=shape)
    yield from _packed(module)


def _packed(module: Any) -> Iterator[Parameter]:
    """Weights that are no parameters, since several are packed into one integer (GPTQ, AWQ)."""
    bits = _bits(unwrapped(module))
    if bits is None or not callable(getattr(module, "named_buffers", None)):
        return
    for name, buffer in module.named_buffers():
        if name.endswith("qweight"):
            size = int(buffer.numel()) * int(buffer.element_size()) * 8 // bits
            yield Parameter(name=name, size=size, trained=False, dtype=f"int{bits}")


def _bits(model: Any) -> int | None:
    quantised = getattr(getattr(model, "config", None), "quantization_config", None)
    found = quantised.get("bits") if isinstance(quantised, Mapping) else getattr(quantised, "bits", None)
    return found if isinstance(found, int) and 0 < found <= 8 else None


def _of_keras(model: Any) -> Iterator[Parameter]:
    for weights, trained in ((model.trainable_weights, True), (model.non_trainable_weights, False)):
        for weight in weights:
            shape = tuple(int(length) for length in weight.shape)
            size = 1
            for length in shape:
                size *= length
            name = str(getattr(weight, "path", None) or getattr(weight, "name", ""))
            yield Parameter(name=name, size=size, trained=trained, dtype=_plain(weight.dtype), shape=shape)


def _of_tree(tree: object, trained: object) -> Iterator[Parameter]:
    own = None if trained is None else {id(leaf) for leaf in _leaves(trained)}
    seen: set[int] = set()
    # Trained ones may be a tree of their own, as those of an adapter beside the frozen ones.
    for leaf in (*_leaves(tree), *(_leaves(trained) if trained is not None else ())):
        if id(leaf) not in seen:
            seen.add(id(leaf))
            yield Parameter(
                name="",
                size=int(leaf.size),
                trained=own is None or id(leaf) in own,
                dtype=_plain(leaf.dtype),
                shape=tuple(leaf.shape),
            )


def _leaves(tree: object) -> Iterable[Any]:
    """The arrays of a tree: as jax walks it, where that is loaded and the tree is one of its kinds."""
    found: list[Any] = []
    jax = sys.modules.get("jax")
    if jax is not None:
        found = list(jax.tree_util.tree_leaves(tree))
    else:
        todo: list[object] = [tree]
        while todo:
            one = todo.pop()
            if isinstance(one, Mapping):
                todo += one.values()
            elif isinstance(one, list | tuple):
                todo += one
            else:
                found.append(one)
    return [leaf for leaf in found if hasattr(leaf, "dtype") and isinstance(getattr(leaf, "size", None), int)]


def _plain(dtype: object) -> str:
    return str(getattr(dtype, "name", None) or dtype).removeprefix("torch.")


def _active(parts: list[Parameter], inner: Any) -> int:
    """How many of them one token goes through."""
    config = getattr(inner, "config", None)
    text = getattr(config, "text_config", None) or config
    if getattr(config, "is_encoder_decoder", False):
        halves = halves_of(inner)
        if halves is not None:
            return min(half.size for half in halves)
    sees = getattr(config, "text_config", None) is not None
    chosen = next((found for key in _CHOSEN if isinstance(found := getattr(text, key, None), int)), 1)
    number: dict[str, int] = {}  # of the experts of each layer
    size: dict[str, int] = {}  # and of their parameters
    active: int = 0
    for part in parts:
        match = _EXPERTS.match(part.name)
        if match is not None:
            fused = part.shape[0] if len(part.shape) > 2 else 1
            many = fused if match[2] is None else int(match[2]) + 1
            number[match[1]] = max(number.get(match[1], 1), many)
            size[match[1]] = size.get(match[1], 0) + part.size
        elif not (sees and _TOWERS.search(part.name)):
            active += part.size
    return active + sum(size[name] * min(chosen, many) // many for name, many in number.items())


def halves_of(inner: Any) -> tuple[Half, Half] | None:
    """The parameters that the tokens of an encoder go through, and those of its decoder; what both share counts in both. None where it has no such halves."""
    try:
        encoder = inner.get_encoder()
        within = {id(parameter) for parameter in encoder.parameters()}
        shared = {id(parameter) for parameter in inner.get_input_embeddings().parameters()}
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return None
    own = {id(parameter): parameter for parameter in inner.parameters()}
    first = [parameter for key, parameter in own.items() if key in within]
    second = [parameter for key, parameter in own.items() if key not in within or key in shared]
    return (_half(first), _half(second)) if first and second else None


def _half(parameters: list[Any]) -> Half:
    return Half(
        size=sum(int(one.numel()) for one in parameters),
        trained=sum(int(one.numel()) for one in parameters if one.requires_grad),
    )


def unwrapped(model: Any) -> Any:
    """The model inside of what wraps it; of an adapted one the one that it adapts."""
    for _ in range(10):
        base = getattr(model, "get_base_model", None)
        inner = next((found for key in _WRAPPED_IN if (found := getattr(model, key, None)) is not None), None)
        if callable(base):
            inner = base()
        if inner is None or inner is model or not hasattr(inner, "named_parameters"):
            return model
        model = inner
    return model


def _name(inner: Any) -> str:
    """The name on the Hub that the model or the first of its parts that has one came by; else its class's."""
    for one in (inner, *_children(inner)):
        name = getattr(getattr(one, "config", None), "_name_or_path", None)
        if isinstance(name, str) and _HUB_ID.fullmatch(name) and not Path(name).exists():
            return name
    return "unnamed" if isinstance(inner, Mapping | list | tuple) else type(inner).__name__


def _children(inner: Any, most: int = 20) -> Iterator[Any]:
    modules = getattr(inner, "modules", None)
    if callable(modules):
        for number, one in enumerate(modules()):
            if number >= most:
                return
            yield one


def _revision(inner: Any) -> str | None:
    found = getattr(getattr(inner, "config", None), "_commit_hash", None)
    return found if isinstance(found, str) else None


def _dtype(parts: list[Parameter]) -> str | None:
    """The format of most of them."""
    by_dtype: dict[str, int] = {}
    for part in parts:
        by_dtype[part.dtype] = by_dtype.get(part.dtype, 0) + part.size
    most = max(by_dtype, key=lambda name: by_dtype[name], default=None)
    return most or None
