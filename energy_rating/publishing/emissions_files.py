"""CodeCarbon's files on the disk: rows that go into its ``emissions.csv``, and its configuration. What stands in a row is ``emissions_csv``'s."""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from pathlib import Path

from energy_rating.files.opening import opened, read_beginning, read_whole
from energy_rating.files.whole import write_whole
from energy_rating.judging.footprint.carbon import check_zone as check_zone
from energy_rating.judging.footprint.factors import region_of
from energy_rating.nouns.errors import BadInput, first_line
from energy_rating.publishing import emissions_csv
from energy_rating.publishing.emissions_csv import EmissionsData, TaskEmissionsData

LARGEST_CONFIG = 1 << 20  # bytes
LARGEST_FILE = 256 << 20  # bytes of a file that is written anew
LONGEST_HEADER = 1 << 16  # bytes


def put_row(path: Path, row: EmissionsData, *, update: bool = False) -> Path | None:
    """Adds a row to the file, in a folder that is made where there is none. With ``update`` it takes the place of the one of its run.

    A file of other columns is put aside first, as CodeCarbon does: where it is now, else None.

    Raises:
        BadInput: what is there cannot be read.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if update and path.is_file():
        after = emissions_csv.updated(read_whole(path, LARGEST_FILE).decode("utf-8", "replace"), row)
        if after is not None:
            write_whole(path, after.encode())
            return None
    first = read_beginning(path, LONGEST_HEADER).decode("utf-8", "replace") if path.is_file() else ""
    text = emissions_csv.added(first.splitlines()[0] if first else None, row)
    aside = None
    if text is None:
        aside = _put_aside(path)
        text = emissions_csv.added(None, row) or ""
    # Several trackers may write to one file: what is added goes there in one piece, and nothing is written over.
    with path.open("ab") as file:
        # A file that somebody has edited may lack its last line end.
        begins = file.tell() == 0 or _ends_a_line(path, file.tell())
        file.write((text if begins else "\n" + text).encode())
    return aside


def put_tasks(folder: Path, tasks: Sequence[TaskEmissionsData], experiment: str, run_id: str) -> None:
    """Writes the file of a run's tasks.

    Raises:
        OSError: it cannot be written.
    """
    name = f"emissions_{experiment}_{run_id}.csv".replace("/", "_")
    write_whole(folder / name, emissions_csv.of_tasks(tasks).encode())


def text_of(path: Path) -> str:
    """A small file that somebody has named.

    Raises:
        BadInput: there is none, it cannot be read, or it is not UTF-8.
    """
    try:
        return read_whole(path, LARGEST_CONFIG).decode()
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", "Save it as UTF-8", place=path) from None


def read_config(path: Path) -> dict[str, str]:
    """What a configuration of CodeCarbon says; nothing where there is none.

    Raises:
        BadInput: it cannot be read.
    """
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text_of(path))
        return dict(parser["codecarbon"]) if parser.has_section("codecarbon") else {}
    except configparser.Error as error:
        raise BadInput(
            f"is no configuration ({first_line(error, type(error).__name__)})", "Mend it", place=path
        ) from error


def _put_aside(path: Path) -> Path:
    """As CodeCarbon does: emissions.csv.bak, emissions.csv_0.bak, …"""
    aside, number = path.with_name(f"{path.name}.bak"), 0
    while aside.exists():
        aside, number = path.with_name(f"{path.name}_{number}.bak"), number + 1
    path.rename(aside)
    return aside


def _ends_a_line(path: Path, size: int) -> bool:
    with opened(path) as file:
        file.seek(size - 1)
        return file.read(1) in (b"\n", b"\r")


def cloud_place(zone: str) -> str | None:
    """The place of a cloud's region, such as ``Iowa``; None where it is told of none."""
    found = region_of(zone)
    return found.place if found is not None else None
