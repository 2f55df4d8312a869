"""Options that several commands share, and what has to hold of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from typing import Any

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text.")
provisional_option = click.option(
    "--provisional",
    is_flag=True,
    help="Where only a better measurement is missing, say what the stars would be. It stays not rated.",
)


def setting_options(function: Any) -> Any:
    """The options of ``benchmark`` that are fields of ``Settings``; None is the protocol's, or the workload's own."""
    whole, above = click.IntRange(1), click.FloatRange(0.0, min_open=True)
    options = [
        ("--batch-size", whole, "Items at a time."),
        ("--concurrency", whole, "Requests that are under way at once."),
        ("--request-rate", above, "Requests a second, at the times of a Poisson process."),
        ("--max-num-seqs", whole, "Requests that the engine takes at once."),
        ("--max-new-tokens", whole, "Tokens of an answer at most."),
        ("--min-new-tokens", whole, "Tokens of an answer at least."),
        ("--max-input-tokens", whole, "Tokens of an input at most; longer ones are cut."),
        ("--dtype", str, "Type of the weights, such as bfloat16."),
        ("--quantisation", str, "As the engine names it, such as awq or bitsandbytes-4bit."),
        ("--attention", str, "As the engine names it, such as sdpa."),
        ("--device-map", str, "As transformers names it, such as auto."),
        ("--steps", whole, "Steps of denoising."),
        ("--height", whole, "Of images, in pixels."),
        ("--width", whole, "Of images, in pixels."),
        ("--frames", whole, "Of a video."),
        (
            "--trust-remote-code",
            str,
            "ORG/NAME@COMMIT: the one model whose own code may run, at the one commit.",
        ),
        ("--endpoint", str, "URL of an OpenAI-compatible server on this machine."),
    ]
    for name, kind, text in reversed(options):
        function = click.option(name, type=kind, help=text)(function)
    for name, text in (
        ("--compile", "Compile the model first."),
        ("--prompt-cache", "What was computed for one request may serve another."),
        ("--download", "The model and the items may be fetched from a hub. Without it, no network is used."),
    ):
        function = click.option(name, is_flag=True, default=None, help=text)(function)
    for name, text in (
        ("--reasoning/--no-reasoning", "Ask the model to think first, or not to; two records of one model."),
        ("--streaming/--no-streaming", "Have answers streamed, to know when the first token came."),
    ):
        function = click.option(name, default=None, help=text)(function)
    return click.option(
        "--random-weights",
        type=click.Path(path_type=Path),
        metavar="CONFIG",
        help="Build the model from this configuration (a config.json, or one that ships, such as llama-3.1-8b) with random "
        "weights: the energy of its architecture. MODEL may then be left out.",
    )(function)


def refuse_a_file(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadInput("is a file, not a folder", "Name a folder for the run", place=folder)
