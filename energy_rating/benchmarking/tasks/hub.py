"""A protocol's items from its data set on a hub, by the ``datasets`` library. Only where the user asked for it: this needs the network."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from energy_rating.benchmarking.hub import dataset_commit, limit_silence_of_hubs
from energy_rating.benchmarking.tasks import MOST_ITEMS, Dataset, Role, item_from
from energy_rating.benchmarking.work import Item
from energy_rating.nouns.errors import BadInput, DatasetFailed, EnergyRatingError, first_line

INSTALL = 'Run: pip install "energy-rating[transformers]"'


def at_commit(dataset: Dataset) -> Dataset:
    """The data set at the commit that its revision (by default the newest) stands for today: what was fetched can be fetched again.

    Raises:
        DatasetFailed: the hub does not say.
        EnergyRatingError: the package ``huggingface_hub`` is missing.
    """
    try:
        commit = dataset_commit(dataset.id, dataset.revision)
    except ModuleNotFoundError as error:
        raise EnergyRatingError(f"{error.name} is not installed", INSTALL) from error
    except Exception as error:  # the library raises whatever the network or the hub gave
        raise _not_fetched(dataset, error) from error
    return replace(dataset, revision=commit or dataset.revision)


def fetched(dataset: Dataset, most: int | None, seed: int) -> tuple[Item, ...]:
    """The items of a data set: all of them in their order, or, where there are more, ``most`` chosen by ``seed``.

    Images and sounds stay the bytes that they are. Rows that hold nothing to be done are left out.

    Raises:
        DatasetFailed: it cannot be fetched, or lacks a column.
        EnergyRatingError: the package ``datasets`` is missing.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise EnergyRatingError(f"{error.name} is not installed", INSTALL) from error
    limit_silence_of_hubs()
    try:
        table = datasets.load_dataset(
            dataset.id, dataset.config, split=dataset.split, revision=dataset.revision
        )
    except Exception as error:  # the library raises whatever the network, the hub or a file gave
        raise _not_fetched(dataset, error) from error
    return items_of(table, dataset, most, seed)


def _not_fetched(dataset: Dataset, error: Exception) -> DatasetFailed:
    return DatasetFailed(
        f"the data set {dataset.id} could not be fetched: {first_line(error)}",
        "Check the network, or give the items with --items FILE",
    )


def items_of(table: Any, dataset: Dataset, most: int | None, seed: int) -> tuple[Item, ...]:
    """The items of a table of ``datasets``.

    Raises:
        DatasetFailed: a column is missing, or no row holds anything to be done.
    """
    import datasets

    missing = [column for column in dataset.columns if column not in table.column_names]
    if missing:
        raise DatasetFailed(
            f"the data set {dataset.id} has no column {missing[0]!r}",
            f"It has: {', '.join(table.column_names)}",
        )
    for column in dataset.columns:
        kind = table.features[column]
        if isinstance(kind, datasets.Image | datasets.Audio):
            table = table.cast_column(column, type(kind)(decode=False))
    order = list(range(min(len(table), MOST_ITEMS)))
    if most is not None and len(table) > most:
        order = sorted(random.Random(seed).sample(range(len(table)), most))  # noqa: S311  no secret
    items = []
    for number in order:
        try:
            items.append(item_from(_entry(table[number], dataset), f"{dataset.id}: row {number}"))
        except BadInput:
            continue  # an empty row; that there are any at all is checked below
    if not items:
        raise DatasetFailed(f"the data set {dataset.id} holds no items", "Give the items with --items FILE")
    return tuple(items)


def _entry(row: Mapping[str, object], dataset: Dataset) -> dict[str, object]:
    """What a row holds, by the names that lines of items have."""
    roles: tuple[Role | str, ...] = dataset.roles or dataset.columns
    return {role: _value(row[column]) for column, role in zip(dataset.columns, roles, strict=True)}


def _value(value: object) -> object:
    """A text, or the bytes of a file; of a conversation its first turn; of several answers the first."""
    if isinstance(value, Mapping):
        if value.get("bytes") is not None:
            return value["bytes"]
        if "content" in value:
            return _value(value["content"])
        if "text" in value:
            return _value(value["text"])
        return None
    if isinstance(value, list):
        return _value(value[0]) if value else None
    return value
