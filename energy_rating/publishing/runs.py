"""Which of a model's runs a figure is of: the one that made it is mostly the smaller part of what was spent (SCI for AI counts all).

A rating, a label and a row of a card are of one run. Until the failed runs, ablations and searches of the model are told beside it, it is
the final run only, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import TRAINING, Record

# What is no final run.
DEVELOPMENT = ("failed", "ablation", "search", "evaluation")
ONLY = "final run only"


def role_of(record: Record) -> str | None:
    """What a run was for; one whose program failed is a failed one, whatever its role says."""
    if record.outcome is not None and record.outcome.failed:
        return "failed"
    return record.role


def beside(record: Record, others: Sequence[Record]) -> dict[str, int]:
    """How many runs of each role stand beside a training, of the same model. Those whose role nobody told are left out.

    Raises:
        BadInput: one is of another model, or the run itself or one run twice is among them.
    """
    seen = {record.run_id}
    for other in others:
        if other.run_id in seen:
            raise BadInput(f"the run {other.run_id} is there twice", "Name each run once", place="--beside")
        seen.add(other.run_id)
        if record.model is None or other.model is None or other.model.id != record.model.id:
            named = "no model" if other.model is None else repr(other.model.id[:80])
            raise BadInput(
                f"the run {other.run_id} must be of the same model as the label; it is of {named}",
                "Name runs of this model alone",
                place="--beside",
            )
    return development(others)


def development(records: Sequence[Record]) -> dict[str, int]:
    """The runs among these that made no model: how many of each role, in the order of the roles."""
    roles = [role_of(record) for record in records]
    return {role: roles.count(role) for role in DEVELOPMENT if role in roles}


def of_which(record: Record, others: Mapping[str, int]) -> str | None:
    """``final run only``, or what else it is; None of what is no training."""
    if record.stage not in TRAINING:
        return None
    role = role_of(record)
    if role not in (None, "final"):
        return f"a run of the role {role} only"
    if others:
        return f"the final run; beside it {_told(others)}"
    return ONLY if role is not None else f"{ONLY}, as far as is told"


def in_full(record: Record, others: Mapping[str, int]) -> str | None:
    """The same with what is not in it."""
    told = of_which(record, others)
    if told is None:
        return None
    if others and role_of(record) in (None, "final"):
        return f"{told}, whose energy is not in this figure"
    return f"{told}; searches, ablations and failed runs of the model are not in it"


def _told(others: Mapping[str, int]) -> str:
    return ", ".join(
        f"{number} {role}{' runs' if number != 1 else ' run'}" for role, number in others.items()
    )


def read(entry: object) -> dict[str, int]:
    """The runs beside one, from the data of a label.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(entry, dict) or any(
        role not in DEVELOPMENT or not isinstance(number, int) or isinstance(number, bool) or number < 1
        for role, number in entry.items()
    ):
        raise ValueError("beside must tell how many runs of which roles stand beside this one")
    return {role: entry[role] for role in DEVELOPMENT if role in entry}
