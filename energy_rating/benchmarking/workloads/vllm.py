"""vLLM's offline engine: all requests are given to it at once, and it keeps as many of them going as it was told to.

Not tried here on a real engine: there was no GPU that vLLM could be installed beside. It is written against the documented classes
(``LLM``, ``SamplingParams``, ``RequestOutput``: https://docs.vllm.ai/en/v0.26.0/api/vllm/entrypoints/llm/, read 2026-11-22) and tested against a
stand-in that has what the documentation names.

Prefix caching is off unless ``prompt_cache`` is set. Tokens are counted from the token ids that the engine returns. When a request had
its first and its last token is what the engine's own metrics say (``first_token_ts``, ``last_token_ts``); they are believed where they
are times of this machine's monotonic clock within the call, and otherwise there is no steady part, with a finding.
"""

from __future__ import annotations

import gc
import importlib.util
import io
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.answers import UNANSWERED, broken_off
from energy_rating.benchmarking.engine_account import account
from energy_rating.benchmarking.serving import Answered, mean_at_once, served
from energy_rating.benchmarking.work import Done, Item, Settings, Workload, refuse
from energy_rating.benchmarking.workloads.transformers.checkpoint import refuse_code_of_others
from energy_rating.files.opening import refuse_what_waits
from energy_rating.measuring.queues import drain_queues
from energy_rating.nouns.errors import BadInput, EnergyRatingError, EngineFailed, first_line
from energy_rating.nouns.records import Finding, Model, Number, Setting
from energy_rating.nouns.work import Work

INSTALL = "Run: pip install vllm (on a machine with a GPU that it knows)"
TASKS = ("text-generation", "summarization", "image-text-to-text")
DTYPES = ("float32", "float16", "bfloat16")
MAX_NEW_TOKENS = 64  # where nobody says; vLLM's own default is 16

# How often a bar of progress that nobody sees is drawn.
BAR_EVERY_S = 0.5


HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
PINNED = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})", re.ASCII)

# Arguments of LLM that this module sets itself: an option must not say otherwise behind the record's back.
_OURS = frozenset(
    (
        *(
            "model",
            "tokenizer",
            "revision",
            "code_revision",
            "tokenizer_revision",
            "trust_remote_code",
            "dtype",
        ),
        *(
            "quantization",
            "seed",
            "max_num_seqs",
            "enable_prefix_caching",
            "disable_log_stats",
            "load_format",
        ),
        *("enforce_eager", "allowed_local_media_path"),
    )
)

# Arguments that name another model, or change what the configuration names: the engine would trust that code too.
_NAME_OTHERS = ("hf_config_path", "hf_overrides", "speculative_config")


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = (
    *("min_new_tokens", "max_input_tokens", "concurrency", "max_num_seqs", "dtype", "quantisation"),
    *("compile", "reasoning", "trust_remote_code", "prompt_cache"),
)


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a model in a folder or in the hub's cache.

    Raises:
        BadInput: there is no such model here, or something is asked for that the engine cannot do.
        EnergyRatingError: vllm is not installed.
    """
    if not _installed():
        raise EnergyRatingError("vllm is not installed", INSTALL)
    refuse(
        settings,
        "vllm",
        understands=UNDERSTANDS,
    )
    if settings.task not in TASKS:
        raise BadInput(
            f"vllm does not do {settings.task} here", f"It does: {', '.join(TASKS)}", place="--task"
        )
    if settings.dtype is not None and settings.dtype not in DTYPES:
        raise BadInput(
            f"dtype must be one of {', '.join(DTYPES)}; got {settings.dtype!r}",
            "Name one of these, or leave it out for the type of the weights on disk",
            place="--dtype",
        )
    for name in settings.options:
        if name in _OURS:
            raise BadInput(
                f"{name} is not set that way", "The options of this command say it", place=f"--option {name}"
            )
        if settings.trust_remote_code is not None and name in _NAME_OTHERS:
            raise BadInput(
                f"{name} may bring the code of another repository, at no fixed commit",
                "Only code at the commit that was allowed is run",
                place=f"--option {name}",
            )
    if settings.max_num_seqs is not None and settings.concurrency > settings.max_num_seqs:
        raise BadInput(
            f"{settings.concurrency} requests at once are more than the engine takes ({settings.max_num_seqs})",
            "Raise --max-num-seqs, or leave it out",
            place="--max-num-seqs",
        )
    commit = None
    if settings.trust_remote_code is not None:
        found = PINNED.fullmatch(settings.trust_remote_code)
        if found is None or found[1] != model:
            raise BadInput(
                f"{settings.trust_remote_code[:80]!r} is not this model at a commit",
                "Such as ORG/NAME@0123456789abcdef0123456789abcdef01234567",
                place="--trust-remote-code",
            )
        commit = found[2]
    source = _source(model, commit, settings.download)
    name = Path(model).absolute().name if Path(model).is_dir() else model
    described = Model(id=name, revision=commit, dtype=settings.quantisation or settings.dtype)
    return Vllm(source, settings, commit=commit), described


class Vllm:
    """A workload whose items are texts, or texts and images. ``answers`` holds the first few of the last ``run``."""

    KEPT_ANSWERS = 16

    def __init__(self, source: str, settings: Settings, *, commit: str | None = None) -> None:
        """Loads nothing yet. ``source``: a folder, or an id on the hub that may be downloaded."""
        self._source = source
        self._settings = settings
        self._commit = commit
        self._engine: Any = None
        self.tell: Callable[[int], None] | None = None
        self.answers: tuple[str, ...] = ()

    @property
    def _at_once(self) -> int:
        settings = self._settings
        if settings.max_num_seqs is not None:
            return settings.max_num_seqs
        return settings.concurrency if settings.serves else settings.batch_size

    def load(self) -> None:
        """Starts the engine and returns when it is ready.

        Raises:
            EngineFailed: it did not start.
        """
        self.close()
        settings = self._settings
        arguments: dict[str, Any] = {
            "model": self._source,
            "dtype": settings.dtype or "auto",
            "quantization": settings.quantisation,
            "seed": settings.seed,
            "max_num_seqs": self._at_once,
            "enable_prefix_caching": settings.prompt_cache,
            "enforce_eager": not settings.compile,
            "disable_log_stats": False,  # else RequestOutput.metrics is None
            "load_format": "safetensors",
            "trust_remote_code": self._commit is not None,
            **settings.options,
        }
        if self._commit is not None:
            arguments |= {
                "revision": self._commit,
                "code_revision": self._commit,
                "tokenizer_revision": self._commit,
            }
        try:
            vllm = importlib.import_module("vllm")
            self._engine = vllm.LLM(**arguments)
        except Exception as error:  # drivers, memory, architectures: it raises what it likes
            raise EngineFailed(
                f"vLLM could not load the model: {first_line(error)}",
                "Look at what it printed; --option gpu_memory_utilization=… and --option max_model_len=… often help",
            ) from error

    def run(self, items: Sequence[Item]) -> Done:
        """Gives the engine the items and returns when the last answer is there.

        Returns:
            ``request``; ``token`` and ``input_token`` from the ids that it returns; ``cached_token`` where it says so and there were any.
            With a concurrency also the part in which it was kept full.

        Raises:
            BadInput: nothing is loaded.
            EngineFailed: it broke off, or did not do what it was asked to.
        """
        if self._engine is None:
            raise BadInput("no model is loaded", "Call load() first")
        vllm = sys.modules["vllm"]
        asked = [self._sampling(vllm, item) for item in items]
        start_s = time.monotonic()
        try:
            outputs = self._ask(items, asked)
        except Exception as error:
            raise EngineFailed(
                f"vLLM broke off: {type(error).__name__}: {first_line(error)}", "Look at what it printed"
            ) from error
        drain_queues()
        end_s = time.monotonic()
        if len(outputs) != len(items) or not all(output.finished for output in outputs):
            raise EngineFailed(
                f"vLLM answered {sum(output.finished for output in outputs)} of {len(items)} requests",
                "Look at what it printed",
            )
        self.answers = tuple(output.outputs[0].text for output in outputs[: self.KEPT_ANSWERS])
        works = [_work(output) for output in outputs]
        if works and not any("request" in work for work in works):
            raise EngineFailed(
                f"vLLM broke off all of {len(works)} requests ({outputs[-1].outputs[0].finish_reason})",
                "Look at what it printed",
            )
        least = self._settings.min_new_tokens or 0
        for work, item in zip(works, items, strict=True):
            if "token" in work and work["token"] < min(least, item.max_new_tokens or least):
                raise EngineFailed(
                    f"{work['token']} tokens were written where {least} were asked for",
                    "Ask for fewer: it may be longer than the model's context allows",
                )
        if not self._settings.serves:
            return Done(work=Work.total(works), findings=self._findings())
        answered = [
            _answered(output, work, start_s, end_s) for output, work in zip(outputs, works, strict=True)
        ]
        known = [one for one in answered if one is not None]
        if len(known) < len(answered):
            unknown = Finding.of(
                "no-steady-part",
                "vLLM does not say when each request was answered; the figure is that of the whole stream",
                remedy="Take a version whose RequestOutput has metrics, or measure its server with --endpoint",
                measurement="measured",
            )
            return Done(work=Work.total(works), findings=(*self._findings(), unknown))
        done = served(known, concurrency=self._settings.concurrency)
        at_once = mean_at_once(known, done.steady)
        return replace(done, findings=(*self._findings(at_once), *done.findings))

    def close(self) -> None:
        """Lets go of the engine and of the device's memory."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        core: Any = getattr(getattr(engine, "llm_engine", None), "engine_core", None)
        if hasattr(core, "shutdown"):
            core.shutdown()  # its process holds the device's memory
        del engine
        gc.collect()

    # -- asking

    def _sampling(self, vllm: Any, item: Item) -> Any:
        settings = self._settings
        most = item.max_new_tokens or settings.max_new_tokens or MAX_NEW_TOKENS
        least = min(settings.min_new_tokens or 0, most)
        return vllm.SamplingParams(
            temperature=0.0,
            seed=settings.seed,
            max_tokens=most,
            min_tokens=least,
            ignore_eos=least == most,
            truncate_prompt_tokens=settings.max_input_tokens,
        )

    def _ask(self, items: Sequence[Item], asked: Sequence[Any]) -> Sequence[Any]:
        """As a user's turn where the answer may end by itself; where its length is fixed the text as it is (as transformers' workload)."""
        settings = self._settings
        fixed = settings.min_new_tokens is not None and settings.min_new_tokens == settings.max_new_tokens
        pictures = settings.task == "image-text-to-text"
        if fixed and not pictures and settings.reasoning is None:
            outputs: Sequence[Any] = self._engine.generate(
                [item.text for item in items], list(asked), use_tqdm=self._bar()
            )
            return outputs
        turns = [[{"role": "user", "content": _content(item) if pictures else item.text}] for item in items]
        thinking = (
            {}
            if settings.reasoning is None
            else {"chat_template_kwargs": {"enable_thinking": settings.reasoning}}
        )
        outputs = self._engine.chat(turns, list(asked), use_tqdm=self._bar(), **thinking)
        return outputs  # noqa: RET504  a name gives it a type

    def _bar(self) -> Any:
        """What the engine takes for its bar of progress: it is moved on with each answer, and is not seen; False if nobody wants it.

        ``use_tqdm`` may be something that makes a bar: vllm/entrypoints/llm.py since v0.9, which also asks the bar for its speed.
        """
        if self.tell is None:
            return False
        tell: Callable[[int], None] = self.tell
        tqdm = importlib.import_module("tqdm").tqdm  # vLLM has brought it

        class Bar(tqdm):  # type: ignore[misc, valid-type]
            def __init__(self, *given: Any, **more: Any) -> None:
                super().__init__(*given, **{**more, "file": io.StringIO(), "mininterval": BAR_EVERY_S})

            def update(self, n: float | None = 1) -> Any:
                moved = super().update(n)
                if self.iterable is None:  # not that of the requests being taken in
                    tell(int(self.n))
                return moved

        return Bar

    def _findings(self, mean_running: float | None = None) -> tuple[Finding, ...]:
        """What is to be said, the engine's account of itself among it."""
        told = account({**_account_of(self._engine, sys.modules["vllm"]), "mean_running": mean_running})
        accounts = () if told is None else (told,)
        if not self._settings.prompt_cache:
            return accounts
        return (
            *accounts,
            Finding.of(
                "prompt-cache",
                "what was computed for one prompt could serve another (prefix caching was on)",
            ),
        )


def _account_of(engine: Any, vllm: Any) -> dict[str, Setting | None]:
    """How vLLM says that it runs: what its configuration has become once the engine stands.

    Read from ``LLM.llm_engine.vllm_config`` (vllm/config, since 0.8). Which attention it took stands there since 0.12
    (``attention_config.backend``); before, only where the environment names one.
    """
    inner = getattr(engine, "llm_engine", None)
    config = getattr(inner, "vllm_config", None)

    def of(*path: str) -> Any:
        found = config
        for name in path:
            found = getattr(found, name, None)
        return found

    backend = of("attention_config", "backend")
    backend = getattr(backend, "name", backend) or os.environ.get("VLLM_ATTENTION_BACKEND")
    speculative = of("speculative_config")
    method = getattr(speculative, "method", None) if speculative is not None else None
    core = type(inner).__module__
    experts = of("parallel_config", "enable_expert_parallel")
    return {
        "engine": "vLLM",
        "engine_version": _word(getattr(vllm, "__version__", None)),
        "engine_core": "V1"
        if core.startswith("vllm.v1.")
        else "V0"
        if core.startswith("vllm.engine.")
        else None,
        "attention": _word(backend),
        "compiled": None if (eager := of("model_config", "enforce_eager")) is None else not eager,
        "tensor_parallel": _whole(of("parallel_config", "tensor_parallel_size")),
        "pipeline_parallel": _whole(of("parallel_config", "pipeline_parallel_size")),
        "data_parallel": _whole(of("parallel_config", "data_parallel_size")),
        "expert_parallel": experts if isinstance(experts, bool) else None,
        "speculative": None if config is None else _word(method) or speculative is not None,
        "prefix_cache": cache
        if isinstance(cache := of("cache_config", "enable_prefix_caching"), bool)
        else None,
        "cache_dtype": _word(of("cache_config", "cache_dtype")),
    }


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _content(item: Item) -> list[dict[str, Any]]:
    """A picture and a text as the chat format has them: https://docs.vllm.ai/en/latest/features/multimodal_inputs/"""
    import base64

    picture = item.image_bytes()
    kind = "png" if picture[:4] == b"\x89PNG" else "jpeg"
    url = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": item.text}]


def _work(output: Any) -> dict[str, Number]:
    """What was done for a request; one that the engine broke off is none."""
    if any(broken_off(getattr(one, "finish_reason", None)) for one in output.outputs):
        return {UNANSWERED: 1}
    work: dict[str, Number] = {
        "request": 1,
        "token": sum(len(one.token_ids) for one in output.outputs),
    }
    if output.prompt_token_ids is not None:
        work["input_token"] = len(output.prompt_token_ids)
    if getattr(output, "num_cached_tokens", None):
        work["cached_token"] = output.num_cached_tokens
    return work


def _answered(output: Any, work: dict[str, Number], start_s: float, end_s: float) -> Answered | None:
    """The request's times by the engine's metrics; None where it has none, or they are of another clock."""
    metrics = getattr(output, "metrics", None)
    first = getattr(metrics, "first_token_ts", None)
    last = getattr(metrics, "last_token_ts", None)
    if not isinstance(first, float) or not isinstance(last, float) or not start_s <= first <= last <= end_s:
        return None
    sent = getattr(metrics, "scheduled_ts", None)
    if not isinstance(sent, float) or not start_s <= sent <= first:
        sent = start_s
    return Answered(sent_s=sent, first_s=first, end_s=last, work=work)


# ------------------------------------------------------------------------------------------------------------ the model


def _installed() -> bool:
    if "vllm" in sys.modules:
        return sys.modules["vllm"] is not None
    return importlib.util.find_spec("vllm") is not None


def _source(model: str, commit: str | None, download: bool) -> str:
    if Path(model).is_dir():
        if not (Path(model) / "config.json").is_file():
            raise BadInput("holds no model (config.json is not there)", "Name the folder of one", place=model)
        refuse_what_waits(Path(model))
        return model
    if not HUB_ID.fullmatch(model):
        raise BadInput("there is no such folder", "Name the folder of a saved model", place=model)
    from huggingface_hub import try_to_load_from_cache

    if commit is not None and download:
        _fetch_configurations(model, commit)
    config = try_to_load_from_cache(model, "config.json", revision=commit)
    if isinstance(config, str):
        if commit is not None:
            refuse_code_of_others(Path(config).parent)
        return str(Path(config).parent) if commit is None else model
    if not download:
        raise BadInput(
            "there is no such folder, and no such download from the hub",
            "Name the folder of a saved model, or allow fetching it with --download",
            place=model,
        )
    return model


def _fetch_configurations(model: str, commit: str) -> None:
    """All that names code is fetched before the engine does: what it fetches, it runs."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(model, revision=commit, allow_patterns=["*.json"])
    except Exception as error:  # no network, no such model, no access: all are told by what they say
        raise EngineFailed(
            f"{model} could not be fetched: {first_line(error)}", "Check the name and the network"
        ) from error
