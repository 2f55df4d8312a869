"""Writes the pages that are made from the code: ``python docs/make_reference.py`` (``--check``: only say which are out of date).

==================  ===================================================================================================
docs/cli.md         the commands and their options, from the help that they print
docs/api.md         the public names, from their signatures and docstrings
docs/variables.md   the measured, judged and derived variables, from the nouns and schemas and ``reference/variables.toml``
docs/findings.md    what each code of a finding means, how grave it is and what to do, from the table of codes
docs/guideline.md   what has to be stated of each task and stage, from tasks, schemes and ``reference/guideline.toml``
==================  ===================================================================================================

They are the same bytes on every machine and at every width of a terminal. ``tests/whole/test_reference.py`` fails where a page differs
from what this makes, or where something has no word of documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from reference import commands, findings, guideline, interface, variables

from energy_rating.files.whole import write_whole

FOLDER = Path(__file__).parent
PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands.page,
    "api.md": interface.page,
    "findings.md": findings.page,
    "variables.md": variables.page,
    "guideline.md": guideline.page,
}
FIRST_LINE = (
    "<!-- Made by a script: change what it is made from, then run: python docs/make_reference.py -->\n\n"
)


def made(name: str) -> str:
    """The page of that name."""
    return FIRST_LINE + PAGES[name]()


def stale() -> list[str]:
    """The pages that differ from what is made now, or are not there."""
    return [
        name
        for name in PAGES
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != made(name)
    ]


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in stale():
            print(f"docs/{name} is out of date; run: python docs/make_reference.py")
        return 1 if stale() else 0
    for name in PAGES:
        write_whole(FOLDER / name, made(name).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
