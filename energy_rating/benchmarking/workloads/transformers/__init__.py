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

import importlib.util

from energy_rating.benchmarking.work import Settings, Workload, refuse
from energy_rating.benchmarking.workloads.transformers.library import INSTALL
from energy_rating.benchmarking.workloads.transformers.workload import Transformers
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.nouns.records import Model

# The options that it heeds, beside those that every workload does.
UNDERSTANDS = (
    *("min_new_tokens", "max_input_tokens", "dtype", "quantisation", "attention", "device_map"),
    *("compile", "reasoning", "random_weights", "trust_remote_code"),
)


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
        understands=UNDERSTANDS,
    )
    workload = Transformers(model, settings)
    return workload, workload.described()
