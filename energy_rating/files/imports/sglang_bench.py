"""The results of ``python -m sglang.bench_serving --output-file``, one JSON object a line, with a log of power beside them.

Keys from sglang/bench_serving.py: ``duration``, ``completed``, totals of tokens, ``total_output_tokens_retokenized`` (the answers counted by the
benchmark's own tokenizer), ``server_info``. None tells when it ran, so that the log must be of the benchmark alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    ForeignPart,
    Import,
    amount,
    model_name,
    of_import,
    seconds,
    text,
)
from energy_rating.files.imports import power_log, vllm_bench
from energy_rating.nouns.entries import RUN, Finding, Model, Task
from energy_rating.nouns.errors import BadInput

NAME = "SGLang (bench_serving)"

# The two counts of the same answers may differ by what tokenizing a text again does.
ALIKE = 0.1


def is_mine(file: Foreign) -> bool:
    return file.beginning.lstrip().startswith("{") and all(
        f'"{key}"' in file.beginning for key in ("total_output_tokens_retokenized", "completed", "duration")
    )


def read(file: Foreign) -> Iterator[Import]:
    entries = [entry for _, entry in file.json_lines()]
    for entry in entries:
        duration = seconds(entry.get("duration"))
        if not duration:
            raise BadInput("must tell a duration above 0 s", "Name the file that --output-file wrote")
        found = (
            power_log.beside(file, None, None, duration, zoned=False)
            if len(entries) == 1
            else power_log.Beside(
                says=(
                    of_import(
                        "nothing-measured",
                        f"{len(entries)} results stand in this file, and none tells when it ran: no log can be shared out among them",
                        "Write each result and its log into a folder of its own",
                    ),
                )
            )
        )
        model = model_name(at(entry, "server_info", "model_path") or entry.get("model"))
        version = text(at(entry, "server_info", "version"), 40)
        yield Import(
            tool="SGLang bench",
            version=version,
            stage="inference",
            model=None if model is None else Model(id=model),
            task=Task(name="text-generation", unit="token"),
            load=vllm_bench.load_of(entry),
            parts=(
                ForeignPart(
                    name=RUN,
                    duration_s=duration,
                    energies=found.energies,
                    work=vllm_bench.work_of(entry),
                    coverage=found.coverage or {},
                ),
            ),
            devices=found.devices,
            software={"engine": text(entry.get("backend"), 40) or ""},
            says=(*found.says, *vllm_bench.said_of(entry), *_retokenized(entry)),
        )


def _retokenized(entry: Mapping[str, Any]) -> Iterator[Finding]:
    told, again = (amount(entry.get(f"total_output_tokens{end}"), 1e18) for end in ("", "_retokenized"))
    if told and again is not None and abs(told - again) > ALIKE * told:
        yield of_import(
            "imported-incomplete",
            f"{told:,.0f} tokens were asked for or told, and the answers have {again:,.0f} when they are counted again",
            severity="degrades",
        )
