"""Closed sets of words: what a field of a noun may say. Apart from the nouns, which take longer to make than an option needs them."""

from __future__ import annotations

from typing import Literal, get_args

Stage = Literal["pre-training", "fine-tuning", "inference", "other"]
STAGES: tuple[Stage, ...] = get_args(Stage)

Component = Literal["gpu", "cpu", "dram", "module", "host", "wall"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
# What does the work comes first: a figure for memory alone says little, however large it is.
LEADING: tuple[Component, ...] = ("gpu", "module", "cpu", "host", "wall", "dram")

# Worst last: a component read by several methods is as good as the worst of them.
Method = Literal["counter", "power", "model"]
METHODS: tuple[Method, ...] = get_args(Method)

Origin = Literal["measured", "imported", "merged"]
State = Literal["ended", "killed", "running"]

# What the Hub calls them (huggingface/hub-docs, docs/hub/model-cards.md, base_model_relation: finetune, adapter, quantized, merge), and two
# that its list lacks.
Relation = Literal["finetune", "lora", "adapter", "quantized", "merge", "distill"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)

# Whose work a process counts: its own, as each of its ranks does, or that of all of them.
Counts = Literal["each-rank", "all-ranks"]

# How grave a finding is.
Severity = Literal["note", "degrades", "disqualifies"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the gravest last
