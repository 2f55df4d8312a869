"""What the ranks of a job told of themselves, in a file for each rank and try: what they counted, step by step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class WhatRanksTold:
    """A job whose ranks write to ``told``."""

    told: Path

    def of(self, rank: int, attempt: int = 0) -> Any:
        return json.loads((self.told / f"{rank}.{attempt}.json").read_text())

    def tokens(self, ranks: int, attempts: Sequence[int] = (0,)) -> int:
        """What all ranks counted, each by itself; of a step that was done twice the later one."""
        return sum(
            sum(dict(step for attempt in attempts for step in self.of(rank, attempt)["counted"]).values())
            for rank in range(ranks)
        )
