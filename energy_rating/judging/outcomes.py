"""What an agent's log says of its tasks: how many it was given, and how many of them somebody found solved. Runs nothing.

Known are, by what is in them and not by their name:

- SWE-bench's report of a run (``submitted_instances``, ``resolved_instances``),
- Terminal-Bench's ``results.json`` (``results``: a list with ``is_resolved``),
- tau-bench's results (a list with ``task_id`` and ``reward``, where 1 is solved),
- JSON Lines with one task a line, and whether it was solved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from energy_rating.files.opening import read_whole
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Quality

# How the word is called that says whether a task was solved. Of a reward, all of it: a part of a solution is none.
SOLVED_BY = ("is_resolved", "resolved", "is_solved", "solved", "success", "passed")
REWARD, WHOLE = "reward", 1.0
METRIC = "solved"
LARGEST_LOG = 16 << 20  # bytes


def share_solved(content: bytes, path: Path) -> Quality | None:
    """The share of the tasks that were solved, 0 to 1; None where this is no log of an agent's.

    Raises:
        BadInput: it is one, and a task does not say whether it was solved.
    """
    found = _counted(content, path)
    if found is None:
        return None
    name, solved, tasks = found
    if not tasks:
        raise BadInput("must tell the outcome of one task at least; got none", place=path)
    source = f"{name}, {solved:,} of {tasks:,} tasks, file {hashlib.sha256(content).hexdigest()[:12]}"
    return Quality(metric=METRIC, value=solved / tasks, source=source)


def tasks_in(path: Path) -> int | None:
    """How many tasks an agent's log tells the outcome of; None where it is none.

    Raises:
        BadInput: it cannot be read, or a task does not say whether it was solved.
    """
    found = _counted(read_whole(path, LARGEST_LOG), path)
    return found[2] if found is not None else None


def _counted(content: bytes, path: Path) -> tuple[str, int, int] | None:
    """What kind of log it is, how many tasks were solved, and of how many."""
    try:
        whole = json.loads(content)
    except ValueError:
        tasks = _lines(content)
        return ("agent's log", *_of_tasks(tasks, path)) if tasks else None
    if isinstance(whole, Mapping):
        resolved, submitted = whole.get("resolved_instances"), whole.get("submitted_instances")
        if _is_count(resolved) and _is_count(submitted):
            if resolved > submitted:
                raise BadInput(
                    f"resolved_instances must be at most submitted_instances, {submitted}; got {resolved}",
                    place=path,
                )
            return "SWE-bench report", resolved, submitted
        results = whole.get("results")
        if isinstance(results, list) and results and _tells(results[0]):
            return ("Terminal-Bench results", *_of_tasks(results, path))
        return ("agent's log", *_of_tasks([whole], path)) if _tells(whole) else None
    if isinstance(whole, list) and whole and _tells(whole[0]):
        name = "tau-bench results" if REWARD in whole[0] else "agent's log"
        return (name, *_of_tasks(whole, path))
    return None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _lines(content: bytes) -> list[object]:
    """The objects of JSON Lines; none where the first line tells no outcome."""
    found: list[object] = []
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except ValueError:
            return []
        if len(found) == 1 and not _tells(found[0]):
            return []
    return found


def _tells(task: object) -> bool:
    return isinstance(task, Mapping) and any(name in task for name in (*SOLVED_BY, REWARD))


def _of_tasks(tasks: Sequence[object], path: Path) -> tuple[int, int]:
    solved = 0
    for number, task in enumerate(tasks, start=1):
        outcome = _outcome(task) if isinstance(task, Mapping) else None
        if outcome is None:
            raise BadInput(
                f"task {number:,} must say whether it was solved, by one of {', '.join((*SOLVED_BY, REWARD))}",
                place=path,
            )
        solved += outcome
    return solved, len(tasks)


def _outcome(task: Mapping[str, object]) -> bool | None:
    for name in SOLVED_BY:
        if isinstance(value := task.get(name), bool):
            return value
    reward = task.get(REWARD)
    if isinstance(reward, int | float) and not isinstance(reward, bool):
        return reward >= WHOLE
    return None
