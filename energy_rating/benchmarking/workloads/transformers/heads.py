"""The tasks that models of ``transformers`` are asked, and the class that each takes. Imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "pair", "image", "audio", "image-text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A way to do a task: the automatic class that has the head, what goes in, and whether tokens are written."""

    auto: str
    takes: Kind
    writes: bool = False
    bare: bool = False  # no head of its own that could be missing


HEADS: Mapping[str, tuple[Head, ...]] = {
    "text-generation": (Head(auto="AutoModelForCausalLM", takes="text", writes=True),),
    "summarization": (
        Head(auto="AutoModelForSeq2SeqLM", takes="text", writes=True),
        Head(auto="AutoModelForCausalLM", takes="text", writes=True),
    ),
    "question-answering": (Head(auto="AutoModelForQuestionAnswering", takes="pair"),),
    "text-classification": (Head(auto="AutoModelForSequenceClassification", takes="text"),),
    "sentence-similarity": (Head(auto="AutoModel", takes="text", bare=True),),
    "feature-extraction": (Head(auto="AutoModel", takes="text", bare=True),),
    "automatic-speech-recognition": (
        Head(auto="AutoModelForSpeechSeq2Seq", takes="audio", writes=True),
        Head(auto="AutoModelForCTC", takes="audio"),
    ),
    "image-classification": (Head(auto="AutoModelForImageClassification", takes="image"),),
    "object-detection": (Head(auto="AutoModelForObjectDetection", takes="image"),),
    "image-to-text": (Head(auto="AutoModelForImageTextToText", takes="image-text", writes=True),),
    "image-text-to-text": (Head(auto="AutoModelForImageTextToText", takes="image-text", writes=True),),
}
T5_HEAD = Head(auto="AutoModelForSeq2SeqLM", takes="text", writes=True)


def class_for(transformers: Any, head: Head, config: Any) -> str | None:
    """The name of the class with that head for that architecture; None if it has none."""
    mapping = getattr(transformers, head.auto)._model_mapping
    try:
        found = mapping[type(config)]
    except KeyError:
        return None
    found = found[0] if isinstance(found, list | tuple) else found
    return str(found.__name__)
