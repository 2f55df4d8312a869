"""A model of ``transformers`` as a workload: loaded, asked, let go. What it is asked with is made in ``inputs``."""

from __future__ import annotations

import contextlib
import gc
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking import gguf
from energy_rating.benchmarking.work import Done, Item, Settings, Stretch
from energy_rating.benchmarking.workloads.transformers.checkpoint import (
    ModelFiles,
    parameters_in,
    refuse_code_of_others,
    trusted_commit,
)
from energy_rating.benchmarking.workloads.transformers.heads import HEADS, T5_HEAD, Head, class_for
from energy_rating.benchmarking.workloads.transformers.inputs import MAX_NEW_TOKENS, Processor, real, second
from energy_rating.benchmarking.workloads.transformers.library import (
    DTYPES,
    account_of,
    is_device,
    libraries,
    loading_error,
    need,
    no_bar,
    offline,
    quiet,
    running_error,
    torch_device,
)
from energy_rating.benchmarking.workloads.transformers.stand_ins import stand_in
from energy_rating.benchmarking.workloads.transformers.watch import end_tokens, watch_for
from energy_rating.measuring.queues import drain_queues
from energy_rating.nouns.errors import BadInput, EnergyRatingError, ModelFailed
from energy_rating.nouns.records import Finding, Model, Number

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

# What the T5 family was trained to be asked (AI Energy Score does the same, see the protocol).
T5_FAMILY = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
T5_PROMPTS = {
    "summarization": "summarize: {text}",
    "question-answering": "question: {text} context: {second}",
    "text-classification": "sst2 sentence: {text}",
}
T5_NEW_TOKENS = 10


class Transformers:
    """A workload whose items are what the task takes. ``answers`` holds the first few texts that were written last.

    ``device`` says where the model runs, once it is loaded: ``gpu`` or ``cpu``; ``net`` is the library's, None before.
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
        self._commit = trusted_commit(model, settings)
        self._folder: Path | None = None
        self._config: Any = None
        self._head: Head | None = None
        self._prompt: str | None = None
        self.net: Any = None
        self._device: Any = None
        self._processor: Processor | None = None
        self._findings: list[Finding] = []
        self._account: tuple[Finding, ...] = ()
        self.device = ""
        self.answers: tuple[str, ...] = ()
        self._source = ModelFiles.of(model, settings, self._commit)
        if self._source is not None:
            self._decide(self._source)

    def _check_settings(self) -> None:
        settings = self._settings
        if settings.task not in HEADS:
            raise BadInput(
                f"the workload transformers cannot do {settings.task}",
                f"It does: {', '.join(HEADS)}",
                place="--task",
            )
        if settings.dtype is not None and settings.dtype not in DTYPES:
            raise BadInput(
                f"dtype must be one of {', '.join(DTYPES)}; got {settings.dtype!r}",
                "Name one of these, or leave it out for the type of the weights on disk",
                place="--dtype",
            )
        if settings.quantisation is not None:
            if settings.quantisation not in QUANTISATIONS:
                raise BadInput(
                    f"there is no quantisation {settings.quantisation[:80]!r} here",
                    f"There are: {', '.join(QUANTISATIONS)}; a checkpoint that is quantised already needs none",
                    place="--quantisation",
                )
            if settings.random_weights is not None:
                raise BadInput(
                    "random weights are not quantised", "Name a type with --dtype", place="--quantisation"
                )
            need("bitsandbytes", "Run: pip install bitsandbytes accelerate", "--quantisation")
            need("accelerate", "Run: pip install accelerate", "--quantisation")
        if settings.device_map is not None and not is_device(settings.device_map):
            if settings.random_weights is not None:
                raise BadInput(
                    "random weights are made on one device", "Name one, such as cuda:0", place="--device-map"
                )
            need(
                "accelerate",
                "Run: pip install accelerate, or name one device, such as cuda:0",
                "--device-map",
            )
        for name in settings.options:
            if name not in (*GENERATION_OPTIONS, "chat"):
                raise BadInput(
                    f"there is no option {name[:80]!r}",
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
        torch, transformers = libraries()
        assert self._head is not None
        with quiet(), torch.device("meta"):
            net = getattr(transformers, self._head.auto).from_config(self._config, dtype=torch.float32)
        return int(sum(weights.numel() for weights in net.parameters()))

    def _decide(self, source: ModelFiles) -> None:
        """The configuration, the head for the task, and whether they go together."""
        _, transformers = libraries()
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
            self._head, self._prompt = T5_HEAD, T5_PROMPTS[task]
            return
        for head in HEADS[task]:
            theirs = class_for(transformers, head, config)
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
            for name, heads in HEADS.items()
            if any(class_for(transformers, head, config) in architectures for head in heads)
            or (
                source.random
                and any(class_for(transformers, head, config) for head in heads if not head.bare)
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
        torch, transformers = libraries()
        if self._source is None:
            self._source = ModelFiles.downloaded(self._model, self._commit)
            self._decide(self._source)
        source, head = self._source, self._head
        assert head is not None
        placed = self._settings.device_map
        device = torch_device(
            placed if placed is not None and is_device(placed) else self._device_name, torch
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
        self._account = account_of(net, transformers, compiled=self._settings.compile)
        self.net, self._device = net, net.device
        self.device = "cpu" if self._device.type == "cpu" else "gpu"
        if self._settings.reasoning is not None and not self._processor.chats:
            self.close()
            raise BadInput(
                f"{source.name} has no chat template that could ask it to think or not",
                "Leave it out, or name a model that has one",
                place="--reasoning",
            )

    def _read(self, torch: Any, transformers: Any, source: ModelFiles, head: Head, device: Any) -> Any:
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
                Finding.of(
                    "gguf-dequantised",
                    f"transformers computes with the file's weights dequantised to {settings.dtype or DTYPES[0]}",
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
        elif settings.device_map is not None and not is_device(settings.device_map):
            arguments["device_map"] = settings.device_map
            moved = False
        with no_bar() if source.gguf is not None else contextlib.nullcontext():
            net, info = getattr(transformers, head.auto).from_pretrained(str(source.folder), **arguments)
        missing = sorted(info.get("missing_keys") or ())
        if missing and not head.bare:
            raise BadInput(
                f"{source.name} lacks weights for {settings.task} ({missing[0]} and {len(missing) - 1} more)",
                "They would be random numbers; name a model that was trained for it",
                place="--task",
            )
        return net.to(device) if moved else net

    def _random(self, torch: Any, transformers: Any, head: Head, device: Any) -> Any:
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
        if self.net is None:
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
        told, self._account = self._account, ()  # once is enough: it stays as it is
        return Done(work=work, spans=spans, findings=(*self._findings, *self._processor.findings, *told))

    def close(self) -> None:
        """Lets go of the model and of the device's memory."""
        had, self.net, self._processor = self.net is not None, None, None
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
            seconds = [replace(item, text=second(item, "sentence")) for item in items]
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
        kind = self.net.dtype if value.is_floating_point() else None
        return value.to(self._device, kind)

    def _forward(self, inputs: Mapping[str, Any]) -> None:
        output = self.net(**inputs)
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
        ends = end_tokens(getattr(self.net.generation_config, "eos_token_id", None))
        watch = watch_for(torch, most, ends)
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
        if self.net.generation_config.pad_token_id is None:
            arguments["pad_token_id"] = (
                processor.pad_id if processor.pad_id is not None else next(iter(ends), 0)
            )
        if self._config.model_type == "whisper":
            arguments["force_unique_generate_call"] = True  # not again at another temperature
        if settings.options.get("do_sample"):
            torch.manual_seed(settings.seed)
        drain_queues()
        start_s = time.monotonic()
        self.net.generate(**inputs, **arguments)
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

    def _processor_for(self, transformers: Any, source: ModelFiles, head: Head) -> Processor:
        if source.random:
            return stand_in(transformers, self._config, head, self._settings, self._prompt)
        return real(
            transformers, source, self._config, head, self._settings, self._prompt, self._commit is not None
        )
