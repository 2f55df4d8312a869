"""How much work a batch is: its tokens without padding, from the tensors that a model is given. Waits for no device.

What is counted is tokens *processed*: a sample that a sampler repeats counts each time, and so does each answer of a preference pair.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from energy_rating.nouns.entries import Number

# Where 1 stands for a token and 0 for padding: "attention_mask" itself, and one for each text of several, as "anchor_attention_mask".
# A mask of an image's pixels is none.
_MASK = re.compile(r"(?:(?!pixel_|image_|decoder_)\w+_)?attention_mask|(?:prompt|completion|response)_mask")
_IDS = re.compile(r"(?:(?!decoder_)\w+_)?input_ids|(?:prompt|completion|response)_ids")

# Positions that do not count for the loss; after the last token of a target they are its padding (torch.nn.CrossEntropyLoss, ignore_index).
IGNORED = -100

# Without padding several samples lie in one row, one after the other.
_PACKED = ("position_ids", "cu_seq_lens_q", "seq_idx")


@dataclass(kw_only=True, slots=True)
class BatchWork:
    """What a batch is: ``tokens`` through the model (of an encoder its own), ``target_tokens`` through a decoder beside it.

    Amounts are numbers, or tensors of one number on a device that may still be computing it. ``padded``: padding could not be told from
    tokens and is among them. ``samples``: rows of the batch; None where it has no tensors.
    """

    tokens: list[Any] = field(default_factory=list)
    target_tokens: list[Any] = field(default_factory=list)
    padded: bool = False
    samples: int | None = None


@functools.lru_cache(maxsize=64)
def _kinds(names: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Of these names those of masks, and those of ids; a training gives the same ones at every step."""
    return (
        frozenset(name for name in names if _MASK.fullmatch(name)),
        frozenset(name for name in names if _IDS.fullmatch(name)),
    )


def work_of(inputs: Mapping[str, Any], *, pad: int | None = None, has_decoder: bool = False) -> BatchWork:
    """The work of what a model is given for one step, by the names that transformers, TRL and Sentence Transformers give its parts.

    Args:
        inputs: tensors by name.
        pad: the token that fills up rows, for batches without a mask.
        has_decoder: the model is an encoder with a decoder, whose tokens are those of the target.
    """
    found = BatchWork()
    tensors = {str(name): value for name, value in inputs.items() if hasattr(value, "shape")}
    for value in tensors.values():
        if len(value.shape):
            found.samples = int(value.shape[0])
            break
    named_masks, named_ids = _kinds(tuple(tensors))
    masks = {name: tensors[name] for name in named_masks if _is_mask(name, tensors[name], tensors)}
    for value in masks.values():
        found.tokens.append((value != 0).sum())
    masked = {name.replace("attention_mask", "input_ids").replace("_mask", "_ids") for name in masks}
    for name in named_ids:
        if name not in masked:
            value = tensors[name]
            amount, padded = _without_mask(value, pad, packed=any(key in tensors for key in _PACKED))
            found.tokens.append(amount)
            found.padded = found.padded or padded
    if has_decoder:
        found.target_tokens += _targets(tensors)
    return found


def _is_mask(name: str, value: Any, tensors: Mapping[str, Any]) -> bool:
    """Whether it tells tokens from padding: one number for each token. What says who may look at whom has two dimensions more."""
    if len(value.shape) != 2:
        return False
    # TRL names "completion_mask" a part of what "attention_mask" tells already.
    return name.endswith("attention_mask") or "input_ids" not in tensors


def _without_mask(ids: Any, pad: int | None, *, packed: bool) -> tuple[Any, bool]:
    if packed or pad is None:
        return _size(ids), not packed
    return (ids != pad).sum(), False


def _size(tensor: Any) -> int:
    size = 1
    for length in tensor.shape:
        size *= int(length)
    return size


def _targets(tensors: Mapping[str, Any]) -> Iterator[Any]:
    if "decoder_attention_mask" in tensors:
        yield (tensors["decoder_attention_mask"] != 0).sum()
    elif "labels" in tensors and len(tensors["labels"].shape) == 2:
        yield (tensors["labels"] != IGNORED).sum()


class Uncounted:
    """Amounts that a device may still be computing, until they are read; reading one waits for it."""

    def __init__(self) -> None:
        self._amounts: list[tuple[str, Any, float]] = []
        self._older = 0

    def add(self, unit: str, amount: Any, times: float = 1) -> None:
        """An amount of a unit, as a number or as a tensor of one number; ``times`` is what one of it stands for."""
        self._amounts.append((unit, amount, times))

    def read(self, *, older: bool = False) -> dict[str, Number]:
        """All amounts by unit, and forgets them. ``older``: only those that were there when this was last asked for, whose device has gone
        on since, so that nobody waits."""
        taken = self._older if older else len(self._amounts)
        amounts, self._amounts = self._amounts[:taken], self._amounts[taken:]
        self._older = len(self._amounts)
        found: dict[str, Number] = {}
        for unit, amount, times in amounts:
            number = amount if isinstance(amount, int | float) else amount.item()
            found[unit] = found.get(unit, 0) + (number * times if times != 1 else number)
        return found
