"""The tasks that ship and their protocols, as text for a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from energy_rating.benchmarking.options import known
from energy_rating.benchmarking.settings import OperatingPoint
from energy_rating.publishing.terminal.layout import WIDTH, entry_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_rating.benchmarking.tasks import TaskFile


def tasks_to_text(values: Iterable[TaskFile]) -> str:
    """Tasks and their protocols."""
    lines: list[str] = []
    for task in values:
        lines.append(f"{task.name}  (rated per {task.unit})")
        for name, protocol in task.protocols.items():
            default = " (default)" if name == task.default_protocol else ""
            lines += textwrap.wrap(
                f"{name}{default}: {protocol.title}",
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def task_to_text(value: TaskFile) -> str:
    """One task in full."""
    lines = [f"{value.name}  (rated per {value.unit})"]
    for name, protocol in value.protocols.items():
        lines += ["", f"{name}{' (default)' if name == value.default_protocol else ''}"]
        told = [("title", protocol.title), ("source", protocol.source)]
        told += [(key.replace("_", " "), getattr(protocol, key)) for key in _OF_PROTOCOL]
        if protocol.dataset is not None:
            data = protocol.dataset
            revision = f", revision {data.revision}" if data.revision else ""
            told.append(("data set", f"{data.id} ({data.split}; {', '.join(data.columns)}){revision}"))
        for key, text in told:
            if text not in (None, ""):
                lines += entry_lines(key, f"{text}")
    return "\n".join(lines)


_OF_PROTOCOL = (
    *("items", "items_file", *known(OperatingPoint)),
    *("warm_up_items", "warm_up_s", "warm_up_cap_s", "repeats", "shortest_s", "idle_s", "differs"),
)
