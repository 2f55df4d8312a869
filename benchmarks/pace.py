"""How long people wait: a commit of before and this working tree side by side, in CPU time and peak memory.

Each row is a piece of Python, or a command, that both run in processes of their own, in turns, so that what else the machine does strikes
both; told is the least of the turns. Both use the Python and the libraries that run this. The rows are in ``pace_journals`` and ``pace_starts``.

    python benchmarks/pace.py                            # all but the longest, in the terminal
    python benchmarks/pace.py --rows summarise-8 trace-8 # some rows
    python benchmarks/pace.py --full --scratch /data     # also 10 GB (half an hour, and 40 GB of room)
    python benchmarks/pace.py --write                    # also into results/pace.json and docs/pace.md, where other rows stay as they were
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pace_journals
import pace_starts
from pace_rows import FACTORS, SIDES, Row, Side, once

TOP = Path(__file__).resolve().parents[1]
PUBLISHED = "eb64db0"
RESULTS = TOP / "benchmarks" / "results" / "pace.json"
PAGE = TOP / "docs" / "pace.md"
ROWS: tuple[Row, ...] = (*pace_journals.ROWS, *pace_starts.ROWS)

# Sums in another order differ by so much.
SAME = 1e-12


def tree_of(commit: str, folder: Path) -> Path:
    """The files of a commit, in a folder of their own."""
    tree = folder / commit
    if not tree.exists():
        held = subprocess.run(
            ["git", "archive", "--format=tar", commit], cwd=TOP, capture_output=True, check=True
        )
        part = folder / f"{commit}.part"
        with tarfile.open(fileobj=io.BytesIO(held.stdout)) as files:
            files.extractall(part, filter="data")
        part.rename(tree)
    return tree


def measured(row: Row, trees: Mapping[Side, Path], folder: Path) -> dict[str, Any]:
    """Both sides of a row in turns: the least of each, and whether they say the same."""
    sides = [side for side in SIDES if side == "now" or not row.is_new]
    found: dict[Side, list[dict[str, Any]]] = {side: [] for side in sides}
    for turn in range(row.turns):
        for side in sides if turn % 2 else reversed(sides):
            found[side].append(once(row, side, trees[side], folder))
            print(f"  {row.name} {side}: {found[side][-1]['figure']:.4g} {row.unit}", flush=True)
    told: dict[str, Any] = {
        side: {
            "figure": min(one["figure"] for one in every),
            "mib": max(one["mib"] for one in every),
            "turns": len(every),
        }
        for side, every in found.items()
    }
    if row.unit in FACTORS and "before" in found:
        told["same"] = is_same(found["before"][0]["says"], found["now"][0]["says"])
    return told


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float):
        return isinstance(other, float) and math.isclose(one, other, rel_tol=SAME, abs_tol=SAME)
    return bool(one == other)


def short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def goal_of(row: Row) -> str:
    goals = []
    if row.times_less is not None:
        goals.append(f"≥ {row.times_less:g} times less")
    if row.most is not None:
        goals.append(f"≤ {row.most:g} {row.unit}")
    if row.most_mib is not None:
        goals.append(f"≤ {row.most_mib:g} MiB")
    return ", ".join(goals) or "none"


def is_met(row: Row, told: Mapping[str, Any]) -> bool:
    now = told["now"]
    return (
        (row.times_less is None or told["before"]["figure"] >= row.times_less * now["figure"])
        and (row.most is None or now["figure"] <= row.most)
        and (row.most_mib is None or now["mib"] <= row.most_mib)
        and told.get("same", True)
    )


def line_of(row: Row, told: Mapping[str, Any]) -> list[str]:
    def said(side: Side) -> str:
        one = told.get(side)
        if one is None:
            return "–"
        memory = f", {one['mib']:.0f} MiB" if row.unit in FACTORS else ""
        return f"{short(one['figure'])} {row.unit}{memory}"

    before, now = told.get("before"), told["now"]
    times = f"{before['figure'] / now['figure']:.1f}" if before and now["figure"] else "–"
    return [
        row.what,
        said("before"),
        said("now"),
        times,
        goal_of(row),
        "yes" if is_met(row, told) else "**no**",
    ]


HEADINGS = ["what", "before", "now", "times less", "goal", "met"]


def table(results: Mapping[str, Any]) -> str:
    rows = [line_of(row, results["rows"][row.name]) for row in ROWS if row.name in results["rows"]]
    lines = [HEADINGS, ["---", "--:", "--:", "--:", "---", "---"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missed(results: Mapping[str, Any]) -> str:
    """The goals that are still missed, in one sentence."""
    found = [
        row.what for row in ROWS if row.name in results["rows"] and not is_met(row, results["rows"][row.name])
    ]
    return f"**Still missed**: {'; '.join(found)}." if found else "No goal is missed."


def page(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return f"""# Pace

> - **How long people wait**: a commit of November 2026 (`{results["commit"]}`, before 0.2.0) and this version side by side, in CPU time and peak memory.
> - **Each row** was run by both in processes of their own, in turns, with the same Python and the same libraries; told is the least of the turns.
> - **Made by** `python benchmarks/pace.py --write`; no figure is typed by hand. "Met" also means that both say the same, to 10⁻¹².

{table(results)}

{missed(results)}

CPU time is that of the process between its imports and its result, for commands that of the whole process. Memory is the most that the process ever had (VmHWM), its
libraries and what it shares with files included. Times are those of {machine["cores"]} cores ({machine["processor"]}) and Python {machine["python"]}, which other work may
have shared; the ratios hold elsewhere, the seconds do not. The journals have two readings a tick of 0.1 s, counter and power of each GPU, with the noise of a real card.
"""


def machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else ())
        if line.startswith("model name")
    ]
    return {
        "cores": os.cpu_count(),
        "processor": names[0] if names else platform.machine(),
        "python": platform.python_version(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", choices=[row.name for row in ROWS], metavar="ROW", help="only these"
    )
    parser.add_argument(
        "--turns", type=int, help="how often each side is run, in place of what each row says"
    )
    parser.add_argument("--full", action="store_true", help="also the longest")
    parser.add_argument(
        "--scratch", type=Path, help="a folder for journals and the files of before, which are kept there"
    )
    parser.add_argument("--against", default=PUBLISHED, metavar="COMMIT", help="what is before")
    parser.add_argument("--write", action="store_true", help="write results/pace.json and docs/pace.md")
    parser.add_argument(
        "--page-only", action="store_true", help="write docs/pace.md from the figures that are there"
    )
    options = parser.parse_args(arguments)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    if not options.page_only:
        rows = [
            row
            for row in ROWS
            if (row.name in options.rows if options.rows else options.full or not row.is_long)
        ]
        with tempfile.TemporaryDirectory(prefix="pace-") as own:
            folder = (options.scratch or Path(own)).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            trees: dict[Side, Path] = {"before": tree_of(options.against, folder), "now": TOP}
            found = {}
            for row in rows:
                chosen = replace(row, turns=options.turns or row.turns)
                found[row.name] = measured(chosen, trees, folder)
        results = {"commit": options.against, "machine": machine(), "rows": results["rows"] | found}
        print(table({"rows": found}))
        if options.write:
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if options.write or options.page_only:
        PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
