"""Texts and pictures as a model takes them, with its own processor."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads.transformers.checkpoint import ModelFiles
from energy_rating.benchmarking.workloads.transformers.heads import Head
from energy_rating.benchmarking.workloads.transformers.sounds import resampled, samples
from energy_rating.nouns.errors import BadInput, first_line
from energy_rating.nouns.records import Finding, Number

MAX_NEW_TOKENS = 64  # where nobody says
CAPTION = "Describe this image."  # for a model that is to be told to


# ------------------------------------------------------------------------------------------------------------ the inputs


class Processor:
    """Items to tensors, with the work that they are: ``input_token``, ``audio_second``."""

    def __init__(
        self,
        inputs_of: Callable[[Sequence[Item]], dict[str, Any]],
        *,
        tokenizer: Any = None,
        chats: bool = False,
        audio: bool = False,
    ) -> None:
        self._inputs_of = inputs_of
        self._tokenizer = tokenizer
        self._audio = audio
        self.chats = chats
        self.findings: list[Finding] = []

    def __call__(self, items: Sequence[Item]) -> tuple[dict[str, Any], dict[str, Number]]:
        inputs = self._inputs_of(items)
        work: dict[str, Number] = {}
        if "attention_mask" in inputs and "input_ids" in inputs:
            work["input_token"] = int(inputs["attention_mask"].sum())
        elif "input_ids" in inputs:
            work["input_token"] = int(inputs["input_ids"].numel())
        if self._audio:
            work["audio_second"] = float(inputs.pop("seconds"))
        return inputs, work

    @property
    def pad_id(self) -> int | None:
        pad = getattr(self._tokenizer, "pad_token_id", None)
        return int(pad) if pad is not None else None

    def decoded(self, rows: Sequence[Sequence[int]]) -> list[str]:
        if self._tokenizer is None:
            return []
        return [self._tokenizer.decode(list(row), skip_special_tokens=True) for row in rows]

    def thoughts(self, rows: Sequence[Sequence[int]]) -> int | None:
        """Tokens up to the end mark of a thought; None for a model that has no such mark."""
        vocabulary = {} if self._tokenizer is None else self._tokenizer.get_added_vocab()
        begin, end = vocabulary.get("<think>"), vocabulary.get("</think>")
        if end is None:
            return None
        total = 0
        for row in rows:
            if end in row:
                total += row.index(end) + 1
            elif begin in row:  # cut short in the middle of it
                total += len(row)
        return total


def real(
    transformers: Any,
    source: ModelFiles,
    config: Any,
    head: Head,
    settings: Settings,
    prompt: str | None,
    trusted: bool,
) -> Processor:
    """The processor that was saved with the model."""
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trusted}
    folder = str(source.folder)
    if head.takes == "image":
        images = transformers.AutoImageProcessor.from_pretrained(folder, **where)
        return Processor(
            lambda items: dict(images([picture_of(item) for item in items], return_tensors="pt"))
        )
    if head.takes == "audio":
        return hearing(
            transformers.AutoFeatureExtractor.from_pretrained(folder, **where),
            _tokenizer(transformers, source, where),
        )
    if head.takes == "image-text":
        return _seeing(transformers, folder, where, settings)
    tokenizer = _tokenizer(transformers, source, where)
    decoder_only = head.writes and not config.is_encoder_decoder
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left" if decoder_only else tokenizer.padding_side
    chats = head.writes and prompt is None and _chats(tokenizer, settings)
    limit = longest_input(config, tokenizer, settings, head)
    template = {} if settings.reasoning is None else {"enable_thinking": settings.reasoning}
    found: list[Finding] = []

    def inputs_of(items: Sequence[Item]) -> dict[str, Any]:
        pairs = [second(item, "context") for item in items] if head.takes == "pair" else None
        texts = [prompted(item, prompt) for item in items]
        if chats:
            texts = [
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}],
                    add_generation_prompt=True,
                    tokenize=False,
                    **template,
                )
                for text in texts
            ]
        encoded = tokenizer(
            texts,
            pairs,
            padding=len(items) > 1,
            truncation=False if limit is None else ("only_second" if pairs else True),
            max_length=limit,
            add_special_tokens=not chats,  # the template has them
            return_tensors="pt",
        )
        encoded.pop("token_type_ids", None) if decoder_only else None
        if not found and limit is not None and encoded["input_ids"].shape[1] >= limit:
            whole = max(
                len(ids) for ids in tokenizer(texts, pairs, add_special_tokens=not chats)["input_ids"]
            )
            if whole > limit:
                found.append(cut(limit, settings.max_input_tokens == limit))
        return dict(encoded)

    processor = Processor(inputs_of, tokenizer=tokenizer, chats=chats)
    processor.findings = found
    return processor


def _tokenizer(transformers: Any, source: ModelFiles, where: Mapping[str, Any]) -> Any:
    of_file = {"gguf_file": source.gguf.name} if source.gguf is not None else {}
    return transformers.AutoTokenizer.from_pretrained(str(source.folder), **where, **of_file)


def _chats(tokenizer: Any, settings: Settings) -> bool:
    """Whether texts are put to the model as a user's turn.

    So it is where the model has a template for it and its answer may end by itself. Where its length is fixed the text goes in as it
    is, as AI Energy Score does it. ``--option chat=true`` or ``false`` decides otherwise.
    """
    wished = settings.options.get("chat")
    has = getattr(tokenizer, "chat_template", None) is not None
    if wished and not has:
        raise BadInput("the model has no chat template", "Leave it out", place="--option chat")
    if wished is not None:
        return bool(wished)
    fixed = settings.min_new_tokens is not None and settings.min_new_tokens == settings.max_new_tokens
    return has and (not fixed or settings.reasoning is not None)


def longest_input(config: Any, tokenizer: Any, settings: Settings, head: Head) -> int | None:
    """How many tokens may go in: as asked for, and as many as the model can take beside what it is to write."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    if tokenizer is not None and tokenizer.model_max_length < 1 << 30:
        context = min(tokenizer.model_max_length, context or tokenizer.model_max_length)
    if context is not None and head.writes and not config.is_encoder_decoder:
        context = context - (settings.max_new_tokens or MAX_NEW_TOKENS)
        if context < 1:
            raise BadInput(
                f"the model's context has no room for {settings.max_new_tokens} new tokens",
                "Ask for fewer",
                place="--max-new-tokens",
            )
    limits = [limit for limit in (settings.max_input_tokens, context) if limit is not None]
    return min(limits, default=None)


def cut(limit: int, asked: bool) -> Finding:
    return Finding.of(
        "input-cut",
        f"inputs were longer than {limit} tokens and were cut there, "
        + ("as was asked for" if asked else "where the model's context ends"),
        remedy="" if asked else "Take a model with a longer context, or shorter items",
    )


def prompted(item: Item, prompt: str | None) -> str:
    if prompt is None:
        return item.text
    return prompt.format(text=item.text, second=item.second or "")


def second(item: Item, what: str) -> str:
    if item.second is None:
        raise BadInput(f"it has no second text ({what})", "Give it as context or sentence2")
    return item.second


def picture_of(item: Item) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(item.image_bytes())).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise BadInput(f"the image cannot be read ({first_line(error)})", "Give a PNG or a JPEG") from error


def _seeing(transformers: Any, folder: str, where: Mapping[str, Any], settings: Settings) -> Processor:
    """Images and texts together, through the template of the model where it has one."""
    processor = transformers.AutoProcessor.from_pretrained(folder, **where)
    tokenizer = getattr(processor, "tokenizer", None)
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)
    thinking = {} if settings.reasoning is None else {"enable_thinking": settings.reasoning}
    if tokenizer is not None:
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None and tokenizer.eos_token is not None:
            tokenizer.pad_token = tokenizer.eos_token
    asks = settings.task == "image-text-to-text"

    def inputs_of(items: Sequence[Item]) -> dict[str, Any]:
        pictures = [picture_of(item) for item in items]
        if template is None:
            texts = [item.text for item in items] if asks else None
            given = {} if texts is None else {"text": texts, "padding": True}
            return dict(processor(images=pictures, return_tensors="pt", **given))
        turns = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": picture},
                        {"type": "text", "text": item.text or CAPTION},
                    ],
                }
            ]
            for picture, item in zip(pictures, items, strict=True)
        ]
        return dict(
            processor.apply_chat_template(
                turns,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"padding": True},
                **thinking,
            )
        )

    return Processor(inputs_of, tokenizer=tokenizer, chats=template is not None)


def hearing(extractor: Any, tokenizer: Any) -> Processor:
    """Sounds to features; those longer than the model's window in several rows."""
    rate = int(extractor.sampling_rate)
    window = getattr(extractor, "n_samples", None)

    def inputs_of(items: Sequence[Item]) -> dict[str, Any]:
        sounds, seconds = [], 0.0
        for item in items:
            sound, theirs = samples(item.audio_bytes())
            seconds += len(sound) / theirs
            sound = resampled(sound, theirs, rate)
            steps = window or max(len(sound), 1)
            sounds += [sound[start : start + steps] for start in range(0, max(len(sound), 1), steps)]
        padding = {} if window else {"padding": True}
        features = extractor(sounds, sampling_rate=rate, return_tensors="pt", **padding)
        return {**features, "seconds": seconds}

    return Processor(inputs_of, tokenizer=tokenizer, audio=True)
