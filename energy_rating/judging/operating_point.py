"""The operating point of a run: what it is, and how far it may be from that of a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from energy_rating.judging.schemes import RatingClass
from energy_rating.nouns.entries import MOST_SETTINGS, refuse_unless_said_well
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import Finding, Load, Record, Setting

# Weights come in these numbers of bits; any other number in the name of a format means something else.
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 16, 32, 64)


# The finding in whose data an engine's own account of itself stands: what nobody asked for, and only it can say.
OPERATING_POINT = "operating-point"

# How the bounds of an operating point are called in a sentence.
CALLED = {
    "items": "number of items",
    "in_flight": "number of requests at once (batch × concurrency)",
    "max_new_tokens": "limit of the answers (new tokens)",
    "bits": "number of bits per weight",
    "mean_running": "number of requests that the engine computed at once, on average",
    "tensor_parallel": "tensor parallelism (devices that share each layer)",
    "data_parallel": "data parallelism (copies of the model)",
}

# Of those the engine's own account tells.
OF_ENGINE = ("mean_running", "tensor_parallel", "data_parallel")


def told_by_engine(findings: Iterable[Finding]) -> dict[str, Setting]:
    """What the engine said of how it ran, by name: ``engine``, ``engine_version``, ``attention``, ``mean_running`` …

    Of what it said more than once, the last counts. What cannot stand in a record (a text that is too long, say) is left out.
    """
    told: dict[str, Setting] = {}
    for finding in findings:
        if finding.code == OPERATING_POINT:
            told |= {name: value for name, value in finding.data.items() if _can_stand(name, value)}
    return dict(list(told.items())[:MOST_SETTINGS])


def _can_stand(name: str, value: Setting) -> bool:
    try:
        refuse_unless_said_well(None, None, None, {name: value})
    except ValueError:
        return False
    return True


def weight_bits(dtype: str | None) -> int | None:
    """The bits of one weight in a format by its name: 16 of ``bfloat16``, 4 of ``q4_1`` or ``nf4``; None if it does not say."""
    number = re.search(r"\d+", dtype or "")
    bits = int(number.group()) if number else None
    return bits if bits in WIDTHS else None


def requests_in_flight(load: Load) -> int | None:
    # Where requests come by themselves, nobody keeps their number.
    return load.at_once if load.request_rate is None else None


# How the number of devices that one copy of the model is spread over is called, where it is asked of an engine.
SPREAD_BY = ("tensor_parallel_size", "option.tensor_parallel_size")


def spread_over(record: Record, devices: int) -> int:
    """The devices that one copy of the model is spread over: what the engine says or was told, or else all that were measured."""
    asked = record.load.settings if record.load is not None else {}
    for value in (record.operating_point.get("tensor_parallel"), *(asked.get(name) for name in SPREAD_BY)):
        number = number_of(value)
        if number is not None and 1 <= number <= devices:
            return int(number)
    return devices


def of_operating_point(record: Record, rated: RatingClass) -> Iterator[Reason]:
    load = record.load or Load()
    found = {
        "items": load.items,
        "in_flight": requests_in_flight(load),
        "max_new_tokens": load.max_new_tokens,
        "bits": weight_bits(record.model.dtype) if record.model else None,
        **{key: number_of(record.operating_point.get(key)) for key in OF_ENGINE},
    }
    for key, (low, high) in rated.operating_point.items():
        value, asked = found[key], f"{low:,}" if low == high else f"{low:,} to {high:,}"
        got = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if value is not None else ""
        if value is None:
            yield Reason.of(
                "setting-unknown",
                f"the {CALLED[key]} must be {asked} under {rated.protocol}; the record does not say it",
                f"Use --max-new-tokens {low}" if key == "max_new_tokens" and low == high else None,
            )
        elif not low <= value <= high:
            yield Reason.of(
                "setting-outside", f"the {CALLED[key]} must be {asked} under {rated.protocol}; got {got}"
            )
    yield from _of_words(record, rated)


def number_of(value: Setting | None) -> int | float | None:
    return None if isinstance(value, str | bool) else value


def _of_words(record: Record, rated: RatingClass) -> Iterator[Reason]:
    """What the engine must say of itself in this class, such as which engine it is, or that nothing was guessed ahead."""
    for key, allowed in rated.engine.items():
        value = record.operating_point.get(key)
        what = key.replace("_", " ")
        asked = " or ".join(_as_word(one) for one in allowed)
        if value is None:
            yield Reason.of(
                "setting-unknown",
                f"the {what} must be {asked} in this class; the engine does not say it",
                "Measure with an engine that tells it, through its workload or --endpoint",
            )
        elif _as_word(value) not in [_as_word(one) for one in allowed]:
            yield Reason.of(
                "setting-outside", f"the {what} must be {asked} in this class; got {_as_word(value)}"
            )


def _as_word(value: Setting) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)[:80]


def of_settings(record: Record, rated: RatingClass, unset: Sequence[str]) -> Iterator[Reason]:
    """Settings that make another work of it than the protocol's, by which nearly any energy could be had."""
    load = record.load or Load()
    for name in unset:
        if value := load.settings.get(name):
            yield Reason.of(
                "setting-added",
                f"{name.replace('_', ' ')} must be left alone under {rated.protocol}; got {_told_value(value)}",
            )
    if rated.reasoning is not None and load.reasoning is not rated.reasoning:
        was = {
            None: "the record does not say whether it was",
            True: "it was asked to",
            False: "it was not asked to",
        }
        asked = "must" if rated.reasoning else "must not"
        yield Reason.of(
            "reasoning",
            f"in this class the model {asked} be asked to think first; {was[load.reasoning]}",
            "Use --reasoning" if rated.reasoning else "Use --no-reasoning",
        )


def _told_value(value: str | float | bool) -> str:
    return "on" if value is True else str(value)[:80]
