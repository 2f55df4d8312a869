"""The result of ``vllm bench serve --save-result`` with a log of power beside it.

Keys from vllm/benchmarks/serve.py (0.11.0, lines 680 to 720 and 1286 to 1309): ``duration`` in seconds, ``completed`` requests, the totals of
their tokens, ``date``, the clock of the machine without a zone, taken after the last answer. Failed requests are in no total, but their
energy is in the log; without a tokenizer each answer counts as one token. InferenceX's fork tells ``benchmark_start_time_unix`` too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from energy_rating.files.foreign import Foreign
from energy_rating.files.imported import (
    ForeignPart,
    Import,
    amount,
    count,
    model_name,
    of_import,
    seconds,
    since_epoch,
    text,
    work,
)
from energy_rating.files.imports import power_log
from energy_rating.nouns.entries import RUN, Finding, Load, Model, Task
from energy_rating.nouns.errors import BadInput

NAME = "vLLM (bench serve)"

# It is written within a second of the last answer, as a whole number of seconds.
LATE_S = 1.0


def is_mine(file: Foreign) -> bool:
    return file.holds("date", "duration", "completed", "total_input_tokens", "model_id") and not file.holds(
        "total_output_tokens_retokenized"
    )


def read(file: Foreign) -> Iterator[Import]:
    entry = file.object
    duration = seconds(entry.get("duration"))
    if not duration:
        raise BadInput(
            "must tell a duration above 0 s",
            "Name the file that --save-result wrote",
            place=f"{file.path}: duration",
        )
    start, end = (seconds(entry.get(f"benchmark_{edge}_time_unix")) for edge in ("start", "end"))
    zoned = start is not None and end is not None and end > start
    if not zoned:
        end = _clock(entry.get("date"))
        start = None if end is None else end - duration
    found = power_log.beside(file, start, end, duration, zoned=zoned)
    says = [*found.says, *said_of(entry)]
    if not zoned and found.energies:
        says.append(
            of_import(
                "imported-scope",
                f"the time is the one at which the result was written, to a second, less its duration of {duration:.1f} s",
            )
        )
    model = model_name(entry.get("model_id"))
    when = since_epoch(start)
    yield Import(
        tool="vLLM bench",
        when=when if zoned else (when or "").removesuffix("Z"),
        stage="inference",
        model=None if model is None else Model(id=model),
        task=Task(name="text-generation", unit="token"),
        load=load_of(entry),
        parts=(
            ForeignPart(
                name=RUN,
                duration_s=duration,
                energies=found.energies,
                work=work_of(entry),
                coverage=found.coverage or {},
            ),
        ),
        devices=found.devices,
        software={"engine": text(entry.get("backend") or entry.get("endpoint_type"), 40) or ""},
        says=tuple(says),
    )


def _clock(date: object) -> float | None:
    """``20261130-203518``, as if it were UTC; the middle of what the whole seconds leave."""
    try:
        return datetime.strptime(str(date)[:20], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def work_of(entry: Mapping[str, Any]) -> dict[str, int | float]:
    """Requests and tokens that were answered."""
    return work(
        {
            "request": entry.get("completed"),
            "token": entry.get("total_output_tokens"),
            "input_token": entry.get("total_input_tokens"),
        }
    )


def load_of(entry: Mapping[str, Any]) -> Load:
    """What was asked for. ``inf`` is no rate: all at once."""
    rate = amount(entry.get("request_rate"), 1e9)
    return Load(
        items=count(entry.get("num_prompts")) or count(entry.get("completed")),
        concurrency=count(entry.get("max_concurrency")),
        max_new_tokens=count(entry.get("random_output_len")) or count(entry.get("osl")),
        request_rate=rate or None,
    )


def said_of(entry: Mapping[str, Any]) -> Iterator[Finding]:
    """What any result of a benchmark of a server leaves open, and what speaks against its totals."""
    completed, asked = count(entry.get("completed")) or 0, count(entry.get("num_prompts"))
    failed = count(entry.get("failed")) or (asked - completed if asked and asked > completed else 0)
    if not completed:
        yield of_import("imported-incomplete", "no request was answered", severity="disqualifies")
    elif failed:
        yield of_import(
            "imported-incomplete",
            f"{failed:,} of {completed + failed:,} requests failed: their energy is in the log, and their tokens in no total",
            severity="degrades",
        )
    outputs = entry.get("output_lens")
    tokens = amount(entry.get("total_output_tokens"), 1e18)
    ones = isinstance(outputs, list) and len(outputs) > 1 and all(one == 1 for one in outputs)
    if ones or (completed > 1 and tokens == completed):
        yield of_import(
            "imported-incomplete",
            "each answer counts as one token, as where the benchmark had no tokenizer and the server told no usage",
            severity="disqualifies",
        )
    yield of_import(
        "imported-batch",
        "how many requests the server really took at once, and how much of the prompts came from its cache, is not told",
    )
