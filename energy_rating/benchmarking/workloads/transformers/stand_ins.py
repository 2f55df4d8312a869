"""What stands in for a processor where a model has random weights and none of its own."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads.transformers.heads import Head
from energy_rating.benchmarking.workloads.transformers.inputs import (
    CAPTION,
    Processor,
    cut,
    hearing,
    longest_input,
    picture_of,
    prompted,
    second,
)
from energy_rating.benchmarking.workloads.transformers.watch import end_tokens
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding

# An assumption, stated where it is used: English comes to about four tokens for three words. Nothing is measured from it; a
# random model is as heavy for any number of tokens of that size.
TOKENS_PER_WORD = 1.3


# ---------------------------------------------------------------------------------------------- stand-ins, without files


class WordCounter:
    """Stands in for a tokenizer where there are no files: a text becomes random tokens, ``TOKENS_PER_WORD`` for each word.

    The same text gives the same tokens. They mean nothing; the number of them is what costs energy.
    """

    def __init__(self, vocabulary: int, *, special: Sequence[int | None] = (), seed: int = 0) -> None:
        """Args: the size of the vocabulary; tokens that a text never holds (ends, pads, places for images); the seed."""
        kept_back = {one for one in special if one is not None}
        self._ids = [one for one in range(min(vocabulary, 1 << 16)) if one not in kept_back] or [0]
        self._seed = seed

    def __call__(self, text: str) -> list[int]:
        n = max(1, math.ceil(TOKENS_PER_WORD * len(text.split())))
        source = random.Random(f"{self._seed} {text}")  # noqa: S311  no secret
        return [source.choice(self._ids) for _ in range(n)]


def stand_in(transformers: Any, config: Any, head: Head, settings: Settings, prompt: str | None) -> Processor:
    """A processor made from the configuration alone."""
    if settings.options.get("chat"):
        raise BadInput("random weights have no chat template", "Leave it out", place="--option chat")
    if head.takes == "audio":
        return hearing(_feature_extractor(transformers, config), None)
    if head.takes == "image":
        images = _image_processor(transformers, config)
        return Processor(
            lambda items: dict(images([picture_of(item) for item in items], return_tensors="pt"))
        )
    text = config.get_text_config()
    image_token = next(
        (
            value
            for name in ("image_token_id", "image_token_index")
            if (value := getattr(config, name, None)) is not None
        ),
        None,
    )
    special: list[int | None] = [*end_tokens(getattr(text, "eos_token_id", None)), image_token]
    special += [getattr(text, name, None) for name in ("bos_token_id", "pad_token_id")]
    words = WordCounter(text.vocab_size, special=special, seed=settings.seed)
    limit = longest_input(config, None, settings, head)
    pad = getattr(text, "pad_token_id", None) or 0
    left = head.writes and not config.is_encoder_decoder
    found: list[Finding] = []

    def encoded(rows: Sequence[list[int]]) -> dict[str, Any]:
        torch = sys.modules["torch"]
        if not found and limit is not None and any(len(row) > limit for row in rows):
            found.append(cut(limit, settings.max_input_tokens == limit))
        rows = [row[:limit] for row in rows]
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), pad)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for number, row in enumerate(rows):
            place = slice(longest - len(row), longest) if left else slice(0, len(row))
            ids[number, place] = torch.tensor(row)
            mask[number, place] = 1
        return {"input_ids": ids, "attention_mask": mask}

    if head.takes == "image-text":
        images = _image_processor(transformers, config)
        places = [] if image_token is None else [image_token] * _image_tokens(config)
        asks = settings.task == "image-text-to-text" or image_token is not None

        def seen(items: Sequence[Item]) -> dict[str, Any]:
            pictures = dict(images([picture_of(item) for item in items], return_tensors="pt"))
            if not asks:  # a captioner that writes by itself
                return pictures
            return {**pictures, **encoded([[*places, *words(item.text or CAPTION)] for item in items])}

        processor = Processor(seen)
    elif head.takes == "pair":
        processor = Processor(
            lambda items: encoded([[*words(item.text), *words(second(item, "context"))] for item in items])
        )
    else:
        processor = Processor(lambda items: encoded([words(prompted(item, prompt)) for item in items]))
    processor.findings = found
    return processor


def _image_tokens(config: Any) -> int:
    """How many places an image takes in a prompt of LLaVA's kind: a place for each patch.

    https://huggingface.co/docs/transformers/model_doc/llava (``vision_feature_select_strategy`` "default" leaves the class token out).
    """
    vision = getattr(config, "vision_config", None)
    size, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    if config.model_type not in ("llava",) or not (size and patch):
        raise BadInput(
            f"how many tokens an image is to a {config.model_type} cannot be told from its configuration",
            "Take a saved model with its processor, or a configuration of the kind llava",
            place="--random-weights",
        )
    whole = getattr(config, "vision_feature_select_strategy", "default") == "full"
    return (int(size) // int(patch)) ** 2 + int(whole)


def _image_processor(transformers: Any, config: Any) -> Any:
    """The one of the architecture with its defaults, at the size that the configuration names."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    names = IMAGE_PROCESSOR_MAPPING_NAMES.get(config.model_type)
    if not names:
        raise BadInput(
            f"there is no image processor for a {config.model_type}",
            "Take the configuration of another architecture",
            place="--random-weights",
        )
    name = names.get("pil") or next(iter(names.values())) if isinstance(names, Mapping) else names
    made = getattr(transformers, name)()
    size = getattr(config, "image_size", None) or getattr(
        getattr(config, "vision_config", None), "image_size", None
    )
    if size:
        high, wide = size if isinstance(size, list | tuple) else (size, size)
        arguments: dict[str, Any] = {"size": {"height": high, "width": wide}}
        if getattr(made, "crop_size", None):
            arguments["crop_size"] = {"height": high, "width": wide}
        made = getattr(transformers, name)(**arguments)
    return made


def _feature_extractor(transformers: Any, config: Any) -> Any:
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES

    name = FEATURE_EXTRACTOR_MAPPING_NAMES.get(config.model_type)
    if name is None:
        raise BadInput(
            f"there is no feature extractor for a {config.model_type}",
            "Take the configuration of another architecture",
            place="--random-weights",
        )
    bins = getattr(config, "num_mel_bins", None)
    # Two steps of its first layers' window; the spectrum has a frame each 10 ms.
    frames = getattr(config, "max_source_positions", None)
    arguments: dict[str, Any] = {"feature_size": bins} if bins else {}
    if config.model_type == "whisper" and frames:
        arguments["chunk_length"] = max(1, 2 * frames // 100)
    return getattr(transformers, name)(**arguments)
