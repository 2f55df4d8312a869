"""The records of hosts from their files: those of a job's folder, of runs, and of runs that left a journal only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from energy_rating.files import record as files_record
from energy_rating.files.journal import JOURNAL_NAMES, being_written
from energy_rating.files.nodes import has_nodes, node_folders
from energy_rating.files.reading import read_journal
from energy_rating.files.record import RECORD_NAME
from energy_rating.judging import merging
from energy_rating.judging.summary import summarise_journal
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record


def hosts_in(path: Path) -> Iterator[Path]:
    """The folders or records that a path leads to: itself, or those of the hosts of a job."""
    if path.is_dir() and has_nodes(path):
        folders = node_folders(path)
        if not folders:
            raise BadInput(
                "holds no run of a host",
                "A run lies there once measure() has begun on that host",
                place=path / "nodes",
            )
        yield from folders.values()
    else:
        yield path


def record_in(path: Path) -> Record:
    """The record of a host as it stands there; made of its journal where the host was killed before it could write one.

    Raises:
        BadInput: there is neither, it cannot be read, or the run goes on.
    """
    if path.is_dir() and not (path / RECORD_NAME).is_file():
        journal = next((path / name for name in JOURNAL_NAMES if (path / name).is_file()), None)
        if journal is not None:
            if being_written(journal):
                raise BadInput("the run is still going on", "Wait for its end", place=path)
            return summarise_journal(read_journal(journal))
    return files_record.load(path)


def merged(path: Path, read: Callable[[Path], Record] = record_in) -> Record:
    """The record of a job from the folders of its hosts in ``path/nodes/``."""
    return merging.merge((read(one), str(one)) for one in hosts_in(path))


def merge(records: Iterable[Record | str | Path] | str | Path) -> Record:
    """One record of a job from those of its hosts: each device once, work once, and what is missing in findings.

    Args:
        records: records, files of records, folders of runs, or the folder of a job (``DIR/nodes/…``). One of them is enough.

    Raises:
        BadInput: there is none, one cannot be read, is no host's own, stands twice, or is of another job, model or protocol.
    """
    named: list[tuple[Record, str]] = []
    for one in [records] if isinstance(records, str | Path) else records:
        if isinstance(one, Record):
            named.append((one, one.run_id))
        else:
            named += [(record_in(path), str(path)) for path in hosts_in(Path(one))]
    return merging.merge(named)
