"""Prints what pip is to install for the lowest versions that pyproject.toml allows: ``make test-lowest`` tries whether it says the truth."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirements: list[str]) -> list[str]:
    """``name>=1.2,<2`` as ``name==1.2``. Raises ValueError where a requirement names no lowest version."""
    found = []
    for requirement in requirements:
        bound = re.match(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)", requirement)
        if not bound:
            raise ValueError(
                f"a dependency must name its lowest version as name>=version; got {requirement!r}"
            )
        found.append(f"{bound[1]}=={bound[2]}")
    return found


if __name__ == "__main__":
    print(*lowest(tomllib.loads(PROJECT.read_text())["project"]["dependencies"]))
