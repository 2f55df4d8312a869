"""Where the runs of the hosts of one job lie: a folder each, ``DIR/nodes/<place>``, on a disk that they share. Reads names, no files."""

from __future__ import annotations

from pathlib import Path

from energy_rating.files.journal import JOURNAL_NAMES, RECORD_NAME
from energy_rating.nouns.errors import BadInput

NODES = "nodes"


def node_folder(folder: Path, place: int) -> Path:
    """The folder of a host in that of its job; ``place`` is what tells it from the others."""
    return folder / NODES / str(place)


def has_nodes(folder: Path) -> bool:
    """Whether a folder is that of a job of several hosts, and not of a run by itself."""
    return (folder / NODES).is_dir() and not any((folder / name).exists() for name in JOURNAL_NAMES)


def node_folders(folder: Path) -> dict[int, Path]:
    """The folders of the hosts of a job, by their places, in their order; empty where there are none.

    Raises:
        BadInput: they are of several runs: where a host finds its folder taken, it takes a sibling (``3-2``).
    """
    found: dict[int, Path] = {}
    siblings: list[str] = []
    place = folder / NODES
    for path in place.iterdir() if place.is_dir() else ():
        number, dash, _ = path.name.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) < 9 and path.is_dir()):
            continue
        if not any((path / name).is_file() for name in (*JOURNAL_NAMES, RECORD_NAME)):
            continue
        if dash:
            siblings.append(path.name)
        else:
            found[int(number)] = path
    if siblings and found:
        raise BadInput(
            f"holds the hosts of several runs: {', '.join(sorted(siblings)[:3])} beside {', '.join(map(str, sorted(found)[:3]))}",
            "Name the folders of one run, each by itself",
            place=place,
        )
    return dict(sorted(found.items()))
