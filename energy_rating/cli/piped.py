"""The command line with its arguments from standard input, one JSON list of texts: whoever lists the processes sees none of them.

How ``benchmark`` starts the runs of a batch: a batch's file may be its owner's alone, and a command line is everybody's (proc(5)).
"""

from __future__ import annotations

import json
import os
import sys

from energy_rating.cli import main


def arguments() -> list[str]:
    """The arguments; standard input is at its end from then on."""
    told = sys.stdin.buffer.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        sys.exit("energy-rating: error: standard input must hold the arguments, a JSON list of texts")
    return found


if __name__ == "__main__":
    main(arguments())
