"""Models of the ``transformers`` library, run in this process: the model and its processor, without the pipelines around them.

Batch, devices and lengths are what was asked for, and nothing else. Where a model writes, its prefill (until the logits of the first
token are there) and its decoding are stretches of their own; the device is drained at the edge between them. Tokens are counted in
the tensors: those of the prompts without what they were padded with, and those that were written, each row up to its first end mark
and with it. Decoding is greedy unless an option says otherwise.

Weights are read from safetensors or GGUF, never from pickles; code that comes with a model runs only for ``ORG/NAME@COMMIT``, where
exactly that was allowed; nothing is fetched unless the settings allow downloading. A GGUF file's weights are dequantised by the
library: what is measured then is the model in that type, and a finding says so.

``random_weights`` builds the architecture of a ``config.json`` with random weights, on the device and in the type asked for. It needs
no other files: texts become random numbers of tokens in place of words (``TOKENS_PER_WORD``), images and sounds go through
the processor of that architecture with its defaults.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import io
import json
import math
import random
import re
import sys
import time
import warnings
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from energy_rating import gguf
from energy_rating.measuring.queues import drain_queues
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import Finding, Model, Number
from energy_rating.workloads import Done, Item, Settings, Stretch, Workload, refuse

DTYPES = ("float32", "float16", "bfloat16")
INSTALL = 'Run: pip install "energy-rating[transformers]"'

# bitsandbytes' ways, as transformers' BitsAndBytesConfig names them.
# https://huggingface.co/docs/transformers/quantization/bitsandbytes
QUANTISATIONS: Mapping[str, Mapping[str, object]] = {
    "int8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
}

# What of a generation may be set with --option; anything that makes more than one answer, or calls the model in another
# rhythm, would make the counts mean something else.
GENERATION_OPTIONS = (
    *("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "no_repeat_ngram_size"),
    *("cache_implementation", "prefill_chunk_size", "use_cache"),
)

MAX_NEW_TOKENS = 64  # where nobody says

# An assumption, stated where it is used: English comes to about four tokens for three words. Nothing is measured from it; a
# random model is as heavy for any number of tokens of that size.
TOKENS_PER_WORD = 1.3

LONGEST_QUOTE = 200
LARGEST_CONFIG = 1 << 22  # bytes
LARGEST_HEADER = 100_000_000  # bytes, of a safetensors file; the format's own limit

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
PINNED = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})", re.ASCII)

# What the T5 family was trained to be asked (AI Energy Score does the same, see the protocol).
T5_FAMILY = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
T5_PROMPTS = {
    "summarization": "summarize: {text}",
    "question-answering": "question: {text} context: {second}",
    "text-classification": "sst2 sentence: {text}",
}
T5_NEW_TOKENS = 10

CAPTION = "Describe this image."  # for a model that is to be told to

Kind = Literal["text", "pair", "image", "audio", "image-text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """A way to do a task: the automatic class that has the head, what goes in, and whether tokens are written."""

    auto: str
    takes: Kind
    writes: bool = False
    bare: bool = False  # no head of its own that could be missing


_HEADS: Mapping[str, tuple[_Head, ...]] = {
    "text-generation": (_Head(auto="AutoModelForCausalLM", takes="text", writes=True),),
    "summarization": (
        _Head(auto="AutoModelForSeq2SeqLM", takes="text", writes=True),
        _Head(auto="AutoModelForCausalLM", takes="text", writes=True),
    ),
    "question-answering": (_Head(auto="AutoModelForQuestionAnswering", takes="pair"),),
    "text-classification": (_Head(auto="AutoModelForSequenceClassification", takes="text"),),
    "sentence-similarity": (_Head(auto="AutoModel", takes="text", bare=True),),
    "feature-extraction": (_Head(auto="AutoModel", takes="text", bare=True),),
    "automatic-speech-recognition": (
        _Head(auto="AutoModelForSpeechSeq2Seq", takes="audio", writes=True),
        _Head(auto="AutoModelForCTC", takes="audio"),
    ),
    "image-classification": (_Head(auto="AutoModelForImageClassification", takes="image"),),
    "object-detection": (_Head(auto="AutoModelForObjectDetection", takes="image"),),
    "image-to-text": (_Head(auto="AutoModelForImageTextToText", takes="image-text", writes=True),),
    "image-text-to-text": (_Head(auto="AutoModelForImageTextToText", takes="image-text", writes=True),),
}
_T5_HEAD = _Head(auto="AutoModelForSeq2SeqLM", takes="text", writes=True)


class ModelFailed(EnergyRatingError):
    """The model could not be loaded, or broke off. It stays loaded if it was."""


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a model in a folder, in the hub's cache or in a GGUF file, or for a configuration with random weights.

    Raises:
        BadInput: there is no such model here, it cannot do the task, or something cannot be had with it.
        EnergyRatingError: a package is missing.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise EnergyRatingError(f"{package} is not installed", INSTALL)
    refuse(
        settings,
        "transformers",
        understands=(
            *("min_new_tokens", "max_input_tokens", "dtype", "quantisation", "attention", "device_map"),
            *("compile", "reasoning", "random_weights", "trust_remote_code"),
        ),
    )
    workload = Transformers(model, settings)
    return workload, workload.described()


class Transformers:
    """A workload whose items are what the task takes. ``answers`` holds the first few texts that were written last.

    ``device`` says where the model runs, once it is loaded: ``gpu`` or ``cpu``.
    """

    KEPT_ANSWERS = 16

    def __init__(self, model: str, settings: Settings, *, device: str | None = None) -> None:
        """Checks what can be checked without loading.

        Args:
            model: a folder, an id on the hub, or a GGUF file; with random weights only a name.
            settings: as the benchmark gives them.
            device: as torch names it; by default ``cuda`` if there is one, else ``cpu``; ``device_map`` goes before.

        Raises:
            BadInput: see ``prepared``.
            EnergyRatingError: a package is missing.
        """
        self._settings = settings
        self._model = model
        self._device_name = device
        self._check_settings()
        self._commit = _trusted_commit(model, settings)
        self._folder: Path | None = None
        self._config: Any = None
        self._head: _Head | None = None
        self._prompt: str | None = None
        self._net: Any = None
        self._device: Any = None
        self._processor: _Processor | None = None
        self._findings: list[Finding] = []
        self.device = ""
        self.answers: tuple[str, ...] = ()
        self._source = _Source.of(model, settings, self._commit)
        if self._source is not None:
            self._decide(self._source)

    def _check_settings(self) -> None:
        settings = self._settings
        if settings.task not in _HEADS:
            raise BadInput(
                f"the workload transformers cannot do {settings.task}",
                f"It does: {', '.join(_HEADS)}",
                place="--task",
            )
        if settings.dtype is not None and settings.dtype not in DTYPES:
            raise BadInput(
                f"{settings.dtype!r} is not a type", f"Types are: {', '.join(DTYPES)}", place="--dtype"
            )
        if settings.quantisation is not None:
            if settings.quantisation not in QUANTISATIONS:
                raise BadInput(
                    f"{settings.quantisation[:80]!r} is no quantisation here",
                    f"There are: {', '.join(QUANTISATIONS)}; a checkpoint that is quantised already needs none",
                    place="--quantisation",
                )
            if settings.random_weights is not None:
                raise BadInput(
                    "random weights are not quantised", "Name a type with --dtype", place="--quantisation"
                )
            _need("bitsandbytes", "Run: pip install bitsandbytes accelerate", "--quantisation")
            _need("accelerate", "Run: pip install accelerate", "--quantisation")
        if settings.device_map is not None and not _is_device(settings.device_map):
            if settings.random_weights is not None:
                raise BadInput(
                    "random weights are made on one device", "Name one, such as cuda:0", place="--device-map"
                )
            _need(
                "accelerate",
                "Run: pip install accelerate, or name one device, such as cuda:0",
                "--device-map",
            )
        for name in settings.options:
            if name not in (*GENERATION_OPTIONS, "chat"):
                raise BadInput(
                    f"{name[:80]!r} is nothing that can be set here",
                    f"There are: chat, {', '.join(GENERATION_OPTIONS)}",
                    place="--option",
                )

    # -- what it is

    def described(self) -> Model:
        """What is known of the model before it is loaded."""
        if self._source is None:  # to be downloaded
            return Model(id=self._model, revision=self._commit, dtype=self._settings.dtype)
        if self._source.gguf is not None:
            return replace(gguf.described(self._source.gguf), dtype=self._settings.dtype or DTYPES[0])
        dtype = self._dtype_name(self._config)
        if self._source.random:
            name = self._source.config_file.stem
            if name == "config":
                name = self._source.config_file.absolute().parent.name
            parameters, dtype = self._parameters_of_architecture(), dtype or DTYPES[0]
            return Model(id=f"random/{name}", parameters=parameters, dtype=dtype)
        folder = self._source.folder
        commit = folder.name if re.fullmatch("[0-9a-f]{40}", folder.name) else self._commit
        name = folder.absolute().name if Path(self._model).is_dir() else self._model
        return Model(
            id=name,
            revision=commit,
            parameters=parameters_in(folder),
            dtype=self._settings.quantisation or dtype,
        )

    def _dtype_name(self, config: Any) -> str | None:
        own = getattr(config, "dtype", None)
        return self._settings.dtype or (str(own).removeprefix("torch.") if own is not None else None)

    def _parameters_of_architecture(self) -> int:
        """Of the architecture, without making any of them: on torch's ``meta`` device."""
        torch, transformers = _libraries()
        assert self._head is not None
        with quiet(), torch.device("meta"):
            net = getattr(transformers, self._head.auto).from_config(self._config, dtype=torch.float32)
        return int(sum(weights.numel() for weights in net.parameters()))

    def _decide(self, source: _Source) -> None:
        """The configuration, the head for the task, and whether they go together."""
        _, transformers = _libraries()
        task = self._settings.task
        if self._commit is not None:
            refuse_code_of_others(source.folder)  # before the library reads any of it: reading is running
        with quiet(), offline():
            try:
                config = source.config(transformers, trusted=self._commit is not None)
            except EnergyRatingError:
                raise
            except Exception as error:  # a stranger's file raises what it likes
                raise loading_error(error, source.name) from error
        self._config = config
        auto_map = getattr(config, "auto_map", None) or {}
        architectures = tuple(getattr(config, "architectures", None) or ())
        t5 = config.model_type in T5_FAMILY and not any(
            name.endswith(("ForSequenceClassification", "ForQuestionAnswering")) for name in architectures
        )
        if t5 and task in T5_PROMPTS:
            self._head, self._prompt = _T5_HEAD, T5_PROMPTS[task]
            return
        for head in _HEADS[task]:
            theirs = _class_for(transformers, head, config)
            if theirs is None and not (self._commit is not None and head.auto in auto_map):
                continue
            # A head that was not saved would be made of random numbers.
            saved = [name for name in architectures if hasattr(transformers, name)]
            if not (
                source.random or head.bare or source.gguf or theirs is None or not saved or theirs in saved
            ):
                continue
            self._head = head
            return
        can = [
            name
            for name, heads in _HEADS.items()
            if any(_class_for(transformers, head, config) in architectures for head in heads)
            or (
                source.random
                and any(_class_for(transformers, head, config) for head in heads if not head.bare)
            )
        ]
        what = architectures[0] if architectures else config.model_type
        raise BadInput(
            f"{source.name} ({what}) cannot do {task}",
            f"It can do: {', '.join(can)}" if can else "Name a model that was trained for it",
            place="--task",
        )

    # -- the three members

    def load(self) -> None:
        """Reads the model and moves it to the device; anew if it was loaded already.

        Raises:
            BadInput: there is no such model or device, or it cannot do the task.
            ModelFailed: it could not be read, or does not fit on the device.
        """
        self.close()
        torch, transformers = _libraries()
        if self._source is None:
            self._source = _Source.downloaded(self._model, self._commit)
            self._decide(self._source)
        source, head = self._source, self._head
        assert head is not None
        placed = self._settings.device_map
        device = torch_device(
            placed if placed is not None and _is_device(placed) else self._device_name, torch
        )
        try:
            with quiet(), offline():
                if source.random:
                    net = self._random(torch, transformers, head, device)
                else:
                    net = self._read(torch, transformers, source, head, device)
                self._processor = self._processor_for(transformers, source, head)
        except EnergyRatingError:
            raise
        except (
            Exception
        ) as error:  # broken files, missing libraries and full devices raise whatever they like
            raise loading_error(error, source.name) from error
        net.eval()
        if self._settings.compile:
            net.forward = torch.compile(net.forward)
        drain_queues()
        self._net, self._device = net, net.device
        self.device = "cpu" if self._device.type == "cpu" else "gpu"
        if self._settings.reasoning is not None and not self._processor.chats:
            self.close()
            raise BadInput(
                f"{source.name} has no chat template that could ask it to think or not",
                "Leave it out, or name a model that has one",
                place="--reasoning",
            )

    def _read(self, torch: Any, transformers: Any, source: _Source, head: _Head, device: Any) -> Any:
        settings = self._settings
        arguments: dict[str, Any] = {
            "dtype": "auto" if settings.dtype is None else getattr(torch, settings.dtype),
            "local_files_only": True,
            "trust_remote_code": self._commit is not None,
            "output_loading_info": True,
        }
        if source.gguf is not None:
            arguments |= {"gguf_file": source.gguf.name, "dtype": getattr(torch, settings.dtype or DTYPES[0])}
            self._findings.append(
                Finding(
                    code="gguf-dequantised",
                    message=f"transformers computes with the file's weights dequantised to {settings.dtype or DTYPES[0]}",
                    remedy="For the energy of the quantised model take the workload llama_cpp",
                )
            )
        else:
            arguments["use_safetensors"] = True
        if settings.attention is not None:
            arguments["attn_implementation"] = settings.attention
        moved = True
        if settings.quantisation is not None:
            arguments["quantization_config"] = transformers.BitsAndBytesConfig(
                **QUANTISATIONS[settings.quantisation]
            )
            arguments["device_map"] = settings.device_map or {"": device}
            moved = False
        elif settings.device_map is not None and not _is_device(settings.device_map):
            arguments["device_map"] = settings.device_map
            moved = False
        with _no_bar() if source.gguf is not None else contextlib.nullcontext():
            net, info = getattr(transformers, head.auto).from_pretrained(str(source.folder), **arguments)
        missing = sorted(info.get("missing_keys") or ())
        if missing and not head.bare:
            raise BadInput(
                f"{source.name} lacks weights for {settings.task} ({missing[0]} and {len(missing) - 1} more)",
                "They would be random numbers; name a model that was trained for it",
                place="--task",
            )
        return net.to(device) if moved else net

    def _random(self, torch: Any, transformers: Any, head: _Head, device: Any) -> Any:
        settings = self._settings
        arguments: dict[str, Any] = {"dtype": getattr(torch, self._dtype_name(self._config) or DTYPES[0])}
        if settings.attention is not None:
            arguments["attn_implementation"] = settings.attention
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.device(device):
            torch.manual_seed(settings.seed)
            return getattr(transformers, head.auto).from_config(self._config, **arguments)

    def run(self, items: Sequence[Item]) -> Done:
        """Does the items, a batch at a time, and returns when the device has done everything it was asked to.

        Returns:
            ``request``; ``input_token`` of a model that reads tokens; ``token`` of one that writes them, and ``reasoning_token`` where
            the model marks its thoughts; ``audio_second`` that was heard; ``image`` is not counted: none is made.

        Raises:
            BadInput: nothing is loaded, or an item cannot be taken.
            ModelFailed: the model broke off, or did not write as much as it was asked to.
        """
        if self._net is None:
            raise BadInput("no model is loaded", "Call load() first")
        torch = sys.modules["torch"]
        self.answers = ()
        work: dict[str, Number] = {"request": 0}
        spans: list[Stretch] = []
        size = self._settings.batch_size
        with quiet(), torch.inference_mode():
            for start in range(0, len(items), size):
                batch = items[start : start + size]
                which = (
                    f"item {start + 1}" if len(batch) == 1 else f"items {start + 1} to {start + len(batch)}"
                )
                try:
                    done, stretches = self._one_batch(torch, batch)
                except EnergyRatingError as error:
                    raise type(error)(f"{which}: {error.message}", error.remedy) from error
                except Exception as error:
                    raise running_error(error, which) from error
                for unit, amount in done.items():
                    work[unit] = work.get(unit, 0) + amount
                spans += stretches
            drain_queues()
        assert self._processor is not None
        return Done(work=work, spans=spans, findings=(*self._findings, *self._processor.findings))

    def close(self) -> None:
        """Lets go of the model and of the device's memory."""
        had, self._net, self._processor = self._net is not None, None, None
        self._findings = []
        if not had:
            return
        gc.collect()
        torch = sys.modules["torch"]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    # -- one batch

    def _one_batch(self, torch: Any, items: Sequence[Item]) -> tuple[Mapping[str, Number], list[Stretch]]:
        assert self._processor is not None
        assert self._head is not None
        inputs, work = self._processor(items)
        inputs = {name: self._moved(torch, value) for name, value in inputs.items()}
        if self._settings.task == "sentence-similarity":
            seconds = [replace(item, text=_second(item, "sentence")) for item in items]
            others, more = self._processor(seconds)
            work = {unit: amount + more[unit] for unit, amount in work.items()}
            self._forward(inputs)
            self._forward({name: self._moved(torch, value) for name, value in others.items()})
            return {"request": len(items), **work}, []
        if not self._head.writes:
            self._forward(inputs)
            return {"request": len(items), **work}, []
        rows = next(iter(inputs.values())).shape[0] if self._head.takes == "audio" else len(items)
        written, spans = self._write(torch, inputs, items, rows, work.get("input_token"))
        return {"request": len(items), **work, **written}, spans

    def _moved(self, torch: Any, value: Any) -> Any:
        """On the device; floats (of images and sounds) in the type of the network."""
        if not isinstance(value, torch.Tensor):
            return value
        kind = self._net.dtype if value.is_floating_point() else None
        return value.to(self._device, kind)

    def _forward(self, inputs: Mapping[str, Any]) -> None:
        output = self._net(**inputs)
        if self._settings.task in ("sentence-similarity", "feature-extraction"):
            # One vector for a text: the mean over its own tokens, as sentence embeddings are made.
            states, mask = output[0], inputs["attention_mask"].unsqueeze(-1)
            (states * mask).sum(dim=1).div(mask.sum(dim=1).clamp(min=1)).float().cpu()
        else:
            output[0].float().cpu()  # the answer is wanted here, not on the device

    def _write(
        self,
        torch: Any,
        inputs: Mapping[str, Any],
        items: Sequence[Item],
        rows: int,
        prompt_tokens: Number | None,
    ) -> tuple[Mapping[str, Number], list[Stretch]]:
        settings, processor = self._settings, self._processor
        assert processor is not None
        usual = settings.max_new_tokens or (T5_NEW_TOKENS if self._prompt else MAX_NEW_TOKENS)
        most = [item.max_new_tokens or usual for item in items]
        most = most if rows == len(items) else [usual] * rows  # long sounds are several rows
        least = min(settings.min_new_tokens or 0, *most) if settings.min_new_tokens else 0
        ends = _ends(getattr(self._net.generation_config, "eos_token_id", None))
        watch = _watch(torch, most, ends)
        options = {name: value for name, value in settings.options.items() if name != "chat"}
        plain = {} if options.get("do_sample") else {"temperature": None, "top_p": None, "top_k": None}
        arguments: dict[str, Any] = {
            "max_new_tokens": max(most),
            "do_sample": False,
            "num_beams": 1,
            "num_return_sequences": 1,
            "return_dict_in_generate": False,
            **plain,
            **options,
            "logits_processor": [watch.scores],
            "stopping_criteria": [watch.tokens],
        }
        if least:
            arguments["min_new_tokens"] = least
        if self._net.generation_config.pad_token_id is None:
            arguments["pad_token_id"] = (
                processor.pad_id if processor.pad_id is not None else next(iter(ends), 0)
            )
        if self._config.model_type == "whisper":
            arguments["force_unique_generate_call"] = True  # not again at another temperature
        if settings.options.get("do_sample"):
            torch.manual_seed(settings.seed)
        drain_queues()
        start_s = time.monotonic()
        self._net.generate(**inputs, **arguments)
        drain_queues()
        end_s = time.monotonic()
        counts, texts = watch.counted()
        if len(counts) != rows or min(counts) < least:
            raise ModelFailed(
                f"{min(counts, default=0)} tokens were written where {least} were asked for",
                "Ask for fewer: it may be longer than the model's context allows",
            )
        self.answers = (*self.answers, *processor.decoded(texts))[: self.KEPT_ANSWERS]
        written: dict[str, Number] = {"token": sum(counts)}
        thoughts = processor.thoughts(texts)
        if thoughts:  # energy per none of them is no figure
            written["reasoning_token"] = thoughts
        before: dict[str, Number] = {"token": rows}
        if prompt_tokens is not None:
            before["input_token"] = prompt_tokens
        spans = [Stretch(name="prefill", start_s=start_s, end_s=watch.first_s, work=before)]
        if sum(counts) > rows:
            after = {"token": sum(counts) - rows}
            spans.append(Stretch(name="decode", start_s=watch.first_s, end_s=end_s, work=after))
        return written, spans

    # -- inputs

    def _processor_for(self, transformers: Any, source: _Source, head: _Head) -> _Processor:
        if source.random:
            return _stand_in(transformers, self._config, head, self._settings, self._prompt)
        return _real(
            transformers, source, self._config, head, self._settings, self._prompt, self._commit is not None
        )


# ------------------------------------------------------------------------------------------------------------ the inputs


class _Processor:
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


def _real(
    transformers: Any,
    source: _Source,
    config: Any,
    head: _Head,
    settings: Settings,
    prompt: str | None,
    trusted: bool,
) -> _Processor:
    """The processor that was saved with the model."""
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trusted}
    folder = str(source.folder)
    if head.takes == "image":
        images = transformers.AutoImageProcessor.from_pretrained(folder, **where)
        return _Processor(lambda items: dict(images([_picture(item) for item in items], return_tensors="pt")))
    if head.takes == "audio":
        return _hearing(
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
    limit = _longest(config, tokenizer, settings, head)
    template = {} if settings.reasoning is None else {"enable_thinking": settings.reasoning}
    found: list[Finding] = []

    def inputs_of(items: Sequence[Item]) -> dict[str, Any]:
        pairs = [_second(item, "context") for item in items] if head.takes == "pair" else None
        texts = [_prompted(item, prompt) for item in items]
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
                found.append(_cut(limit, settings.max_input_tokens == limit))
        return dict(encoded)

    processor = _Processor(inputs_of, tokenizer=tokenizer, chats=chats)
    processor.findings = found
    return processor


def _tokenizer(transformers: Any, source: _Source, where: Mapping[str, Any]) -> Any:
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


def _longest(config: Any, tokenizer: Any, settings: Settings, head: _Head) -> int | None:
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


def _cut(limit: int, asked: bool) -> Finding:
    return Finding(
        code="input-cut",
        message=f"inputs were longer than {limit} tokens and were cut there, "
        + ("as was asked for" if asked else "where the model's context ends"),
        remedy="" if asked else "Take a model with a longer context, or shorter items",
    )


def _prompted(item: Item, prompt: str | None) -> str:
    if prompt is None:
        return item.text
    return prompt.format(text=item.text, second=item.second or "")


def _second(item: Item, what: str) -> str:
    if item.second is None:
        raise BadInput(f"it has no second text ({what})", "Give it as context or sentence2")
    return item.second


def _picture(item: Item) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(item.image_bytes())).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise BadInput(f"the image cannot be read ({_reason(error)})", "Give a PNG or a JPEG") from error


def _seeing(transformers: Any, folder: str, where: Mapping[str, Any], settings: Settings) -> _Processor:
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
        pictures = [_picture(item) for item in items]
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

    return _Processor(inputs_of, tokenizer=tokenizer, chats=template is not None)


def _hearing(extractor: Any, tokenizer: Any) -> _Processor:
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

    return _Processor(inputs_of, tokenizer=tokenizer, audio=True)


def samples(content: bytes) -> tuple[Any, int]:
    """Samples from −1 to 1 of all channels together, and their rate in Hz: of a WAV file, or of what soundfile can read.

    Raises:
        BadInput: it is no such file, or soundfile is not installed.
    """
    import numpy as np

    if content[:4] == b"RIFF":
        try:
            with wave.open(io.BytesIO(content)) as file:
                if file.getsampwidth() == 2:
                    raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
                    sound = raw.reshape(-1, file.getnchannels()).mean(axis=1) / 32768.0
                    return sound.astype(np.float32), file.getframerate()
        except (wave.Error, EOFError, ValueError):
            pass  # a kind of WAV that Python does not know
    _need("soundfile", "Give 16-bit WAV files, or run: pip install soundfile", "audio")
    import soundfile

    try:
        sound, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise BadInput(f"the sound cannot be read ({_reason(error)})", "Give a WAV or a FLAC file") from error
    return sound.mean(axis=1), int(rate)


def resampled(sound: Any, rate: int, wanted: int) -> Any:
    """The sound at another rate, with the frequencies that both can carry (its Fourier series, cut off or filled up with zeros)."""
    import numpy as np

    if rate == wanted or len(sound) == 0:
        return sound
    n = max(1, round(len(sound) * wanted / rate))
    series = np.fft.rfft(sound)
    kept = np.zeros(n // 2 + 1, dtype=series.dtype)
    common = min(len(series), len(kept))
    kept[:common] = series[:common]
    return (np.fft.irfft(kept, n) * (n / len(sound))).astype(np.float32)


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


def _stand_in(
    transformers: Any, config: Any, head: _Head, settings: Settings, prompt: str | None
) -> _Processor:
    """A processor made from the configuration alone."""
    if settings.options.get("chat"):
        raise BadInput("random weights have no chat template", "Leave it out", place="--option chat")
    if head.takes == "audio":
        return _hearing(_feature_extractor(transformers, config), None)
    if head.takes == "image":
        images = _image_processor(transformers, config)
        return _Processor(lambda items: dict(images([_picture(item) for item in items], return_tensors="pt")))
    text = config.get_text_config()
    image_token = next(
        (
            value
            for name in ("image_token_id", "image_token_index")
            if (value := getattr(config, name, None)) is not None
        ),
        None,
    )
    special: list[int | None] = [*_ends(getattr(text, "eos_token_id", None)), image_token]
    special += [getattr(text, name, None) for name in ("bos_token_id", "pad_token_id")]
    words = WordCounter(text.vocab_size, special=special, seed=settings.seed)
    limit = _longest(config, None, settings, head)
    pad = getattr(text, "pad_token_id", None) or 0
    left = head.writes and not config.is_encoder_decoder
    found: list[Finding] = []

    def encoded(rows: Sequence[list[int]]) -> dict[str, Any]:
        torch = sys.modules["torch"]
        if not found and limit is not None and any(len(row) > limit for row in rows):
            found.append(_cut(limit, settings.max_input_tokens == limit))
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
            pictures = dict(images([_picture(item) for item in items], return_tensors="pt"))
            if not asks:  # a captioner that writes by itself
                return pictures
            return {**pictures, **encoded([[*places, *words(item.text or CAPTION)] for item in items])}

        processor = _Processor(seen)
    elif head.takes == "pair":
        processor = _Processor(
            lambda items: encoded([[*words(item.text), *words(_second(item, "context"))] for item in items])
        )
    else:
        processor = _Processor(lambda items: encoded([words(_prompted(item, prompt)) for item in items]))
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


# ------------------------------------------------------------------------------------------------- watching a generation


class _Watch:
    """When the first logits were there, and what was written, seen from within the library's loop. Reads no device while it runs."""

    def __init__(self, torch: Any, most: Sequence[int], ends: Sequence[int]) -> None:
        self._torch = torch
        self._most = most
        self._ends = frozenset(ends)
        self._limits: Any = None
        self._prompt = 0
        self._last: Any = None
        self.first_s = 0.0
        self.scores: Any = None
        self.tokens: Any = None

    def scored(self, input_ids: Any, scores: Any) -> Any:
        """Called with the logits of each step: the first time the prefill is over."""
        if self._limits is None:
            drain_queues()
            self.first_s = time.monotonic()
            self._prompt = input_ids.shape[1]
            self._limits = self._torch.tensor(self._most, device=input_ids.device)
        return scores

    def written(self, input_ids: Any) -> Any:
        """Called with all tokens after each step: which rows have as many as they may."""
        self._last = input_ids
        return self._limits <= input_ids.shape[1] - self._prompt

    def counted(self) -> tuple[list[int], list[list[int]]]:
        """Of each row how many tokens were written, up to the first end mark and with it, and those tokens."""
        if self._last is None:
            return [], []
        rows = []
        for row, most in zip(self._last[:, self._prompt :].tolist(), self._most, strict=True):
            row = row[:most]
            end = next((place for place, token in enumerate(row) if token in self._ends), len(row) - 1)
            rows.append(row[: end + 1])
        return [len(row) for row in rows], rows


def _watch(torch: Any, most: Sequence[int], ends: Sequence[int]) -> _Watch:
    """A watch with the two objects that the library calls, of its own kinds."""
    from transformers import LogitsProcessor, StoppingCriteria

    watch = _Watch(torch, most, ends)

    class Scores(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return watch.scored(input_ids, scores)

    class Tokens(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
            return watch.written(input_ids)

    watch.scores, watch.tokens = Scores(), Tokens()
    return watch


def _ends(ids: Any) -> list[int]:
    if ids is None:
        return []
    return [int(one) for one in ids] if isinstance(ids, list | tuple) else [int(ids)]


# ------------------------------------------------------------------------------------------------------------ the files


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where a model is read from on this machine."""

    name: str
    folder: Path
    config_file: Path
    gguf: Path | None = None
    random: bool = False

    @staticmethod
    def of(model: str, settings: Settings, commit: str | None) -> _Source | None:
        """The files; None for a model that is to be downloaded first."""
        if settings.random_weights is not None:
            path = _config_file(settings.random_weights)
            return _Source(name=path.name, folder=path.parent, config_file=path, random=True)
        path = Path(model)
        if path.suffix == ".gguf":
            gguf.described(path)
            if settings.task != "text-generation":
                raise BadInput(
                    f"a GGUF file does no {settings.task} here", "Take its safetensors", place="--task"
                )
            for package in ("gguf", "accelerate"):
                _need(package, "Run: pip install gguf accelerate, or take the workload llama_cpp", model)
            return _Source(name=path.name, folder=path.absolute().parent, config_file=path, gguf=path)
        if path.is_dir():
            return _Source.in_folder(path, path.absolute().name)
        if not HUB_ID.fullmatch(model):
            raise BadInput("there is no such folder", "Name the folder of a saved model", place=model)
        folder = cached(model, commit)
        if folder is not None:
            return _Source.in_folder(folder, model)
        if settings.download:
            return None
        raise BadInput(
            "there is no such folder, and no such download from the hub",
            "Name the folder of a saved model, or allow fetching it with --download",
            place=model,
        )

    @staticmethod
    def in_folder(folder: Path, name: str) -> _Source:
        if not (folder / "config.json").is_file():
            raise BadInput(
                "holds no model (config.json is not there)",
                "Save it there with save_pretrained()",
                place=name,
            )
        if not any(folder.glob("*.safetensors")):
            pickles = sorted(
                path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"))
            )
            raise BadInput(
                f"its weights are pickled ({pickles[0]}), and opening a pickle runs what is in it"
                if pickles
                else "holds no weights",
                "Save it as safetensors: save_pretrained(), on a machine where you trust it"
                if pickles
                else "Fetch it again",
                place=name,
            )
        return _Source(name=name, folder=folder, config_file=folder / "config.json")

    @staticmethod
    def downloaded(model: str, commit: str | None) -> _Source:
        """The files, fetched from the hub: weights as safetensors only, code only where it was allowed at this commit."""
        from huggingface_hub import snapshot_download

        wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", *(["*.py"] if commit else [])]
        try:
            with quiet():
                folder = snapshot_download(model, revision=commit, allow_patterns=wanted)
        except Exception as error:  # no network, no such model, no access: all are told by what they say
            raise ModelFailed(
                f"{model} could not be fetched: {_reason(error)}", "Check the name and the network"
            ) from error
        return _Source.in_folder(Path(folder), model)

    def config(self, transformers: Any, *, trusted: bool) -> Any:
        """The configuration as the library understands it."""
        if self.gguf is not None:
            return transformers.AutoConfig.from_pretrained(str(self.folder), gguf_file=self.gguf.name)
        if not self.random:
            return transformers.AutoConfig.from_pretrained(
                str(self.folder), local_files_only=True, trust_remote_code=trusted
            )
        content = json.loads(self.config_file.read_text(encoding="utf-8"))
        kind = content.pop("model_type", None)
        content = {name: value for name, value in content.items() if not name.startswith("_")}
        if content.pop("auto_map", None) or kind not in transformers.CONFIG_MAPPING:
            raise BadInput(
                f"{str(kind)[:80]!r} is no architecture of transformers {transformers.__version__}",
                "model_type names it, such as llama",
                place=self.config_file,
            )
        content.pop("quantization_config", None)
        return transformers.AutoConfig.for_model(kind, **content)


def shipped_configurations() -> Mapping[str, Path]:
    """The configurations that ship with the package, by name."""
    folder = Path(__file__).parent.parent / "tasks" / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def _config_file(path: Path) -> Path:
    """The file; also one that ships with the package, by its name alone."""
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file():
        shipped = shipped_configurations()
        # A name alone may have been made a path since.
        if path.name in shipped and path.absolute().parent == Path.cwd():
            return shipped[path.name]
        raise BadInput(
            "there is no such configuration",
            f"Name a config.json, or one of: {', '.join(shipped)}",
            place="--random-weights",
        )
    try:
        if path.stat().st_size > LARGEST_CONFIG or not isinstance(
            json.loads(path.read_text(encoding="utf-8")), dict
        ):
            raise ValueError("not an object of JSON of a sensible size")
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"is no configuration ({_reason(error)})", "Name a config.json", place=path) from error
    return path


def cached(model: str, commit: str | None = None) -> Path | None:
    """The folder where an earlier download from the hub is kept; None if there is none. Asks no network.

    (The libraries' own search sends something even where it finds the files.)
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(model, "config.json", revision=commit)
    except ValueError:  # this is no id
        return None
    return Path(config).parent if isinstance(config, str) else None


def code_of_others(folder: Path) -> bool:
    """Whether one of a model's files names code of another repository (``ORG/NAME--module.Class``), or may hide that it does.

    The library looks for code in the configurations of the model, of its tokenizer and of its processors, and fetches from wherever
    they say.
    """
    named: list[object] = []

    def noted(one: dict[str, object]) -> dict[str, object]:
        named.append(one.get("auto_map"))
        return one

    for path in folder.glob("*.json"):
        try:
            if path.stat().st_size > LARGEST_CONFIG:
                # Vocabularies are as large as that; configurations, also those of one version (config.4.0.0.json), are not.
                if "config" in path.name:
                    return True
                continue
            json.loads(path.read_text(encoding="utf-8"), object_hook=noted)
            if "--" in json.dumps(named):
                return True
        except RecursionError:
            return True  # the library may go deeper
        except (OSError, ValueError):
            continue  # the library cannot read it either, and says so
    return False


def refuse_code_of_others(folder: Path) -> None:
    """Raises BadInput where code of another repository would be run too: only one commit was allowed."""
    if code_of_others(folder):
        raise BadInput(
            "its code is in another repository, at no fixed commit",
            "Only code at the commit that was allowed is run",
            place="--trust-remote-code",
        )


def _trusted_commit(model: str, settings: Settings) -> str | None:
    if settings.trust_remote_code is None:
        return None
    found = PINNED.fullmatch(settings.trust_remote_code)
    if found is None:
        raise BadInput(
            f"{settings.trust_remote_code[:80]!r} does not name a model at a commit",
            "Such as ORG/NAME@0123456789abcdef0123456789abcdef01234567",
            place="--trust-remote-code",
        )
    if model != found[1]:
        raise BadInput(
            f"the code of {found[1]} was allowed, and {model[:80]} is another model",
            "Name the model by the same id; code in a folder is at no known commit",
            place="--trust-remote-code",
        )
    return found[2]


def parameters_in(folder: Path) -> int | None:
    """The weights, by the headers of their files; None if one of them cannot be understood.

    The format: eight bytes with the length of a JSON object, in which each tensor has its shape.
    https://github.com/huggingface/safetensors#format
    """
    total = 0
    index = folder / "model.safetensors.index.json"
    try:
        if index.is_file():
            files = sorted(
                {folder / name for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
            )
        elif (folder / "model.safetensors").is_file():
            files = [folder / "model.safetensors"]
        else:
            return None
        for path in files:
            with path.open("rb") as file:
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER)))
            shapes = [entry for name, entry in header.items() if name != "__metadata__"]
            if any(entry["dtype"] in ("U8", "I8", "I32") and len(entry["shape"]) > 1 for entry in shapes):
                return None  # packed: several weights in one number
            total += sum(math.prod(entry["shape"]) for entry in shapes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return total or None


def _class_for(transformers: Any, head: _Head, config: Any) -> str | None:
    """The name of the class with that head for that architecture; None if it has none."""
    mapping = getattr(transformers, head.auto)._model_mapping
    try:
        found = mapping[type(config)]
    except KeyError:
        return None
    found = found[0] if isinstance(found, list | tuple) else found
    return str(found.__name__)


# ---------------------------------------------------------------------------------------------------------- the library


@functools.cache
def _imported() -> tuple[Any, Any]:
    import torch  # isort: skip  first: the other looks for it
    import transformers

    return torch, transformers


def _libraries() -> tuple[Any, Any]:
    """torch and transformers."""
    try:
        return _imported()
    except ModuleNotFoundError as error:
        raise EnergyRatingError(f"{error.name} is not installed", INSTALL) from error
    except ImportError as error:
        raise EnergyRatingError(f"transformers cannot be imported ({_reason(error)})", INSTALL) from error


def _need(package: str, remedy: str, place: str) -> None:
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
def _no_bar() -> Iterator[None]:
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


def _is_device(name: str) -> bool:
    return re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", name) is not None


def torch_device(name: str | None, torch: Any) -> Any:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(
            f"{name!r} is no device", "Such as cpu, cuda or cuda:1", place="--device-map"
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
            f"there is not enough memory for {name} ({_reason(error)})",
            "Take a smaller type (--dtype), a quantisation, several devices (--device-map auto), or a smaller model",
        )
    if "trust_remote_code" in str(error):
        return ModelFailed(
            f"{name} brings code of its own, which is not run",
            "If you have read it: --trust-remote-code ORG/NAME@COMMIT",
        )
    return ModelFailed(
        f"transformers could not load {name}: {_reason(error)}",
        "Check that it is whole, and that this version of transformers knows its architecture",
    )


def running_error(error: Exception, which: str) -> ModelFailed:
    if _is_full(error):
        return ModelFailed(
            f"the memory ran out at {which} ({_reason(error)})",
            "Lower --batch-size, --max-input-tokens or --max-new-tokens, or take a smaller type",
        )
    return ModelFailed(
        f"the model broke off at {which}: {type(error).__name__}: {_reason(error)}",
        "Try a smaller batch, or another item; the same item in the library alone shows its cause",
    )


def _reason(error: Exception) -> str:
    """The first line of what a library says."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:LONGEST_QUOTE]
