"""Many benchmarks one after the other: a file of models × settings, each in a process of its own. Resumable; a failure stays one.

What is finished is known by its record: a batch that is started again does what is missing. What failed has a ``failure.json`` in its
folder that says why; it is tried again the next time.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from energy_rating.benchmarking.guard import guard
from energy_rating.benchmarking.options import known, refuse_unknown
from energy_rating.benchmarking.settings import Conduct, Settings
from energy_rating.files.opening import read_whole
from energy_rating.files.record import RECORD_NAME
from energy_rating.files.strict import json_object, read_toml
from energy_rating.files.whole import write_whole
from energy_rating.files.withheld import secrets_of, shown, without
from energy_rating.judging.evidence import load
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import MEASURED, Record

FAILURE_NAME = "failure.json"
FAILURE_SCHEMA = "energy-rating/failure/1"

MOST_RUNS = 10_000
LARGEST_BATCH = 1 << 20  # bytes of a CSV file
LONGEST_QUOTE = 400

# A run that was asked to end, by Ctrl-C, still writes its record; after that long it is ended.
PATIENCE_S = 20.0

# It reads its arguments from a pipe.
BENCHMARK = (sys.executable, "-P", "-m", "energy_rating.cli.piped")

# What is declared of the options, by the names that a batch calls them by.
DECLARED = {
    one.flag[2:].replace("-", "_"): one for kind in (Conduct, Settings) for one in known(kind).values()
}

# Options for which "no" is something else than nothing.
NEGATABLE = tuple(name for name, one in DECLARED.items() if one.is_switch)

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEntry:
    """One run of a batch: the model, the options of ``benchmark`` by name, which of several times it is, and its name."""

    model: str
    options: Mapping[str, Value]
    time: int = 1

    @property
    def name(self) -> str:
        """The name of its folder: what a person recognises, and a hash of all that is asked for."""
        asked = json.dumps([self.model, dict(self.options)], sort_keys=True, default=str)
        told = (
            re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.model).stem or self.model).strip("-.")[:60] or "model"
        )
        return f"{told}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}-{self.time}"

    def argv(self, folder: Path) -> tuple[str, ...]:
        """The arguments of ``benchmark`` that run it."""
        options: list[str] = []
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            if value is True:
                options.append(option)
            elif value is False:
                options += [f"--no-{option[2:]}"] if name in NEGATABLE else []
            else:
                for one in value if isinstance(value, tuple) else (value,):
                    options += [option, str(one)]
        return (*options, "--output-dir", str(folder), "--", self.model)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """What became of an entry: its record, or why there is none."""

    entry: BatchEntry
    folder: Path
    record: Record | None = None
    failure: str | None = None
    was_done: bool = False


# ------------------------------------------------------------------------------------------------------ what is asked for


def read_batch(path: Path, options: Iterable[str]) -> tuple[BatchEntry, ...]:
    """The runs of a file: TOML with ``[[runs]]``, ``[defaults]`` and ``times``; or CSV with a column an option.

    Where an option of a run is a list, each of its values is a run; of several lists, each combination.

    Args:
        path: the file.
        options: the names that ``benchmark`` knows, without dashes at the front, ``_`` for others.

    Raises:
        BadInput: it cannot be read, a run names no model, or an option is unknown.
    """
    names = list(options)
    rows, times = _rows_of_csv(path) if path.suffix.lower() == ".csv" else _rows_of_toml(path)
    entries: list[BatchEntry] = []
    for number, row in enumerate(rows, start=1):
        place = f"{path}: run {number}"
        asked = {str(name).replace("-", "_"): value for name, value in row.items()}
        model = asked.pop("model", None)
        if not isinstance(model, str) or not model:
            raise BadInput("names no model", 'Such as model = "org/name"', place=place)
        refuse_unknown(asked, names, place)
        for name, value in asked.items():
            if not all(isinstance(one, str | int | float) for one in _several(value)) or value == []:
                raise BadInput(
                    f"must be a text, a number or a list of them; got {str(value)[:80]!r}",
                    place=f"{place}: {name}",
                )
            for one in _several(value):
                _check(name, one, f"{place}: {name}")
        for values in itertools.product(*(_several(value) for value in asked.values())):
            entries += [
                BatchEntry(model=model, options=dict(zip(asked, values, strict=True)), time=time)
                for time in range(1, times + 1)
            ]
            if len(entries) > MOST_RUNS:
                raise BadInput(f"there are more than {MOST_RUNS:,} runs", place=path)
    if not entries:
        raise BadInput("holds no runs", "A run begins with [[runs]]", place=path)
    return _without_doubles(entries)


def _check(name: str, value: Value, place: str) -> None:
    """Refuses what the command would refuse later, in each of the runs."""
    declared = DECLARED.get(name)
    if declared is not None:
        declared.check_written(value, place)


def _without_doubles(entries: Iterable[BatchEntry]) -> tuple[BatchEntry, ...]:
    return tuple({entry.name: entry for entry in entries}.values())


def _several(value: object) -> Sequence[Value]:
    return value if isinstance(value, list) else [value]  # type: ignore[list-item]


def _rows_of_toml(path: Path) -> tuple[list[dict[str, object]], int]:
    entry = read_toml(path)
    for key in entry:
        if key not in ("defaults", "runs", "times"):
            raise BadInput(f"there is no key {key[:80]!r}", "There are: times, defaults, runs", place=path)
    defaults, runs, times = entry.get("defaults", {}), entry.get("runs", []), entry.get("times", 1)
    if (
        not isinstance(defaults, dict)
        or not isinstance(runs, list)
        or not all(isinstance(run, dict) for run in runs)
    ):
        raise BadInput(
            "defaults are a table and runs a list of tables", "Write [defaults] and [[runs]]", place=path
        )
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= 1000:
        raise BadInput(f"must be a whole number from 1 to 1000; got {times!r:.40}", place=f"{path}: times")
    return [{**defaults, **run} for run in runs], times


def _rows_of_csv(path: Path) -> tuple[list[dict[str, object]], int]:
    try:
        text = read_whole(path, LARGEST_BATCH).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place=path) from error
    rows: list[dict[str, object]] = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in row or None in row.values():
            raise BadInput(
                "the line has more or fewer cells than the first one", place=f"{path}: line {number}"
            )
        cells = {name: _cell(value.strip()) for name, value in row.items() if value.strip()}
        rows.append({name.strip(): value for name, value in cells.items()})
    return rows, 1


def _cell(text: str) -> Value:
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)


def swept(
    model: str, options: Mapping[str, Value], name: str, values: Sequence[str]
) -> tuple[BatchEntry, ...]:
    """The runs of a sweep: one model, one option at several values.

    Raises:
        BadInput: there are fewer than two values.
    """
    if len(set(values)) < 2:
        raise BadInput("a sweep needs two values at least", "Such as concurrency=1,8,64", place="--sweep")
    for value in values:
        _check(name, _cell(value), "--sweep")
    return _without_doubles(
        BatchEntry(model=model, options={**options, name: _cell(value)}) for value in values
    )


# ------------------------------------------------------------------------------------------------------------- running


def run_batch(
    entries: Sequence[BatchEntry],
    folder: Path,
    *,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
    command: Sequence[str] = BENCHMARK,
) -> tuple[BatchResult, ...]:
    """Runs what is not done yet, in an order drawn from ``seed``, and returns what became of all, in the order they were given.

    Random order keeps what drifts, such as the temperature of the room, from being taken for a difference between models.
    """
    outcomes = {entry.name: finished(entry, folder / entry.name) for entry in entries}
    waiting = [entry for entry in entries if outcomes[entry.name].record is None]
    random.Random(seed).shuffle(waiting)  # noqa: S311  no secret
    if len(waiting) < len(entries):
        tell(f"{len(entries) - len(waiting)} of {len(entries)} are done already")
    for number, entry in enumerate(waiting, start=1):
        tell(f"[{number}/{len(waiting)}] {entry.name}")
        outcome = _run(entry, folder / entry.name, command)
        outcomes[entry.name] = outcome
        tell(f"[{number}/{len(waiting)}] {entry.name}: {outcome.failure or 'done'}")
    return tuple(outcomes[entry.name] for entry in entries)


# Findings of a record that did not come to its end.
_UNFINISHED = (
    "workload-failed",
    "cancelled",
    "body-raised",
    "program-failed",
    "interrupted",
    "still-running",
)


def finished(entry: BatchEntry, folder: Path) -> BatchResult:
    """What is known of an entry from its folder; without a record of a run that came to its end, it is not done."""
    failure = None
    with contextlib.suppress(EnergyRatingError):
        content = read_whole(folder / FAILURE_NAME, LARGEST_BATCH)
        said = json_object(content, folder / FAILURE_NAME).get("message")
        failure = str(said)[:LONGEST_QUOTE]
    if failure is None and (folder / RECORD_NAME).is_file():
        try:
            record = load(folder / RECORD_NAME)
        except EnergyRatingError as error:
            return BatchResult(entry=entry, folder=folder, failure=str(error))
        if MEASURED in record and not any(finding.code in _UNFINISHED for finding in record.findings):
            return BatchResult(entry=entry, folder=folder, record=record, was_done=True)
        failure = "it was broken off"
    return BatchResult(entry=entry, folder=folder, failure=failure or "not run yet")


def _run(entry: BatchEntry, folder: Path, command: Sequence[str]) -> BatchResult:
    _set_aside(folder)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            with guard(process.pid):
                _tell_arguments(process, ("benchmark", *entry.argv(folder)))
                code = process.wait()
        except BaseException:
            _end(process)
            raise
        size = os.fstat(said.fileno()).st_size
        message = _last_error(os.pread(said.fileno(), 1 << 16, max(0, size - (1 << 16))))
    # It may quote what was asked for; cut before, half of a secret would not be known for one.
    message = without(message, secrets_of(entry.options))[:LONGEST_QUOTE]
    outcome = replace(finished(entry, folder), was_done=False)
    if code == 0 and outcome.record is not None:
        return outcome
    if not message:
        message = f"it was ended by signal {-code}" if code < 0 else f"it exited with status {code}"
    folder.mkdir(parents=True, exist_ok=True)
    told = {"schema": FAILURE_SCHEMA, "model": Path(entry.model).name, "exit_code": code, "message": message}
    write_whole(folder / FAILURE_NAME, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return BatchResult(entry=entry, folder=folder, failure=message)


def _tell_arguments(process: subprocess.Popen[bytes], arguments: Sequence[str]) -> None:
    """Gives a run its arguments where nobody else sees them: on a command line everybody would, while it runs."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # it is dead; why is found out below
        pipe.write(json.dumps(arguments).encode())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks a run to end as Ctrl-C would, so that it writes its record; then, or at a second Ctrl-C, ends all that is left of it."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _set_aside(folder: Path) -> None:
    """What an earlier try left keeps its files under another name."""
    if not folder.exists():
        return
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}.failed-{number}")
        if not aside.exists():
            folder.rename(aside)
            return


def _last_error(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error: " in line]
    last = next(iter([*reversed(errors), *reversed(lines)]), "")
    return (last.partition("error: ")[2] or last)[: 1 << 12]


def differing(entries: Sequence[BatchEntry]) -> Iterator[str]:
    """The names of the options in which the entries differ: the columns that a table of them needs."""
    names = dict.fromkeys(name for entry in entries for name in entry.options)
    for name in names:
        if len({str(entry.options.get(name)) for entry in entries}) > 1:
            yield name


def asked(entries: Sequence[BatchEntry], name: str) -> tuple[str, ...]:
    """The value of an option in each entry, as a table may show it; values that differ and would look the same are numbered."""
    values = [str(entry.options.get(name, "")) for entry in entries]
    looks = {value: shown(name, value) for value in values}
    alike: dict[str, list[str]] = {}
    for value, look in looks.items():
        alike.setdefault(look, []).append(value)
    numbers = {
        value: f"{look} ({number})".strip() if len(same) > 1 else look
        for look, same in alike.items()
        for number, value in enumerate(same, start=1)
    }
    return tuple(numbers[value] for value in values)
