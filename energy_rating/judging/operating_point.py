"""The operating point of a run: what it is, and how far it may be from that of a class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from energy_rating.judging.schemes import OPERATING_POINT, RatingClass
from energy_rating.nouns.records import Load, Record

# Weights come in these numbers of bits; any other number in the name of a format means something else.
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 16, 32, 64)


def weight_bits(dtype: str | None) -> int | None:
    """The bits of one weight in a format by its name: 16 of ``bfloat16``, 4 of ``q4_1`` or ``nf4``; None if it does not say."""
    number = re.search(r"\d+", dtype or "")
    bits = int(number.group()) if number else None
    return bits if bits in WIDTHS else None


def requests_in_flight(load: Load) -> int | None:
    # Where requests come by themselves, nobody keeps their number.
    return load.at_once if load.request_rate is None else None


def of_operating_point(record: Record, rated: RatingClass) -> Iterator[str]:
    load = record.load or Load()
    found = {
        "items": load.items,
        "in_flight": requests_in_flight(load),
        "max_new_tokens": load.max_new_tokens,
        "bits": weight_bits(record.model.dtype) if record.model else None,
    }
    for key, (low, high) in rated.operating_point.items():
        value, asked = found[key], f"{low:,}" if low == high else f"{low:,} to {high:,}"
        if value is None:
            yield f"outside the protocol: the record does not say the {OPERATING_POINT[key]}; {rated.protocol} has {asked}"
        elif not low <= value <= high:
            yield f"outside the protocol: {value:,} {OPERATING_POINT[key]}; {rated.protocol} has {asked}"


def of_settings(record: Record, rated: RatingClass, unset: Sequence[str]) -> Iterator[str]:
    """Settings that make another work of it than the protocol's, by which nearly any energy could be had."""
    load = record.load or Load()
    for name in unset:
        if value := load.settings.get(name):
            yield (
                f"outside the protocol: {name.replace('_', ' ')} was set to {_told_value(value)}; "
                f"{rated.protocol} leaves it alone"
            )
    if rated.reasoning is not None and load.reasoning is not rated.reasoning:
        was = {
            None: "does not say whether the model was",
            True: "says that the model was",
            False: "says that the model was not",
        }
        asked = "think first" if rated.reasoning else "answer without thinking first"
        yield (
            f"outside the protocol: the record {was[load.reasoning]} asked to think first; in this class it is asked to {asked}"
        )


def _told_value(value: str | float | bool) -> str:
    return "on" if value is True else str(value)[:80]
