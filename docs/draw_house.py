"""Draws the house from its imports: ``python docs/draw_house.py`` writes docs/plots/house.svg.

A box is a wing, or a file that stands beside the wings, with its folders under its name. An arrow says that one uses the other; where it
does so through a third as well, the arrow is left out, so that the picture shows the fewest arrows from which all others follow.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "energy_rating"
PICTURE = TOP / "docs" / "plots" / "house.svg"

# What stands beside the wings; the version alone is used by all, and not drawn.
BESIDE = {"meter": "meter.py", "__init__": "the public names"}

WIDTH_PX, BOX_PX, HIGH_PX, GAP_PX, MARGIN_PX = 760, 300, 62, 34, 20
INK, QUIET, PANEL, LINE = "#16202e", "#465264", "#edf1f7", "#8593a8"


def rooms() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found[".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")] = (
            ast.parse(path.read_text(encoding="utf-8"))
        )
    return found


def uses() -> dict[str, set[str]]:
    """Which wing uses which, wherever in a file the import stands."""
    every = rooms()
    wings = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} | set(BESIDE)
    found: dict[str, set[str]] = {wing: set() for wing in wings}
    for name, tree in every.items():
        wing = name.split(".")[0]
        for node in ast.walk(tree):
            if (
                wing in wings
                and isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("energy_rating")
            ):
                for alias in node.names:
                    words = f"{node.module}.{alias.name}".split(".")
                    found[wing] |= {words[1]} & wings - {wing, "__init__"}
    return found


def beyond(wing: str, graph: dict[str, set[str]]) -> set[str]:
    """All that a wing uses, also through others."""
    return graph[wing] | {far for near in graph[wing] for far in beyond(near, graph)}


def fewest(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows from which all others follow."""
    return {
        wing: {near for near in used if not any(near in beyond(other, graph) for other in used - {near})}
        for wing, used in graph.items()
    }


def floors(graph: dict[str, set[str]]) -> list[list[str]]:
    """The wings by how many stand below them at most; the ground floor first."""
    height: dict[str, int] = {}

    def of(wing: str) -> int:
        if wing not in height:
            height[wing] = 1 + max((of(near) for near in graph[wing]), default=-1)
        return height[wing]

    for wing in graph:
        of(wing)
    rows: list[list[str]] = [[] for _ in range(max(height.values()) + 1)]
    for wing in sorted(graph):
        rows[height[wing]].append(wing)
    return rows


def doors(wing: str) -> str:
    """The folders inside a wing."""
    folder = PACKAGE / wing
    inside = (
        sorted(path.name for path in folder.glob("*/") if path.name != "__pycache__")
        if folder.is_dir()
        else []
    )
    return " · ".join(inside)


def drawn() -> str:
    """The picture, as SVG."""
    graph = uses()
    rows = floors(graph)
    high = len(rows) * (HIGH_PX + GAP_PX) - GAP_PX + 2 * MARGIN_PX
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(reversed(rows)):
        for place, wing in enumerate(row):
            middle = WIDTH_PX * (2 * place + 1) / (2 * len(row))
            places[wing] = (middle, MARGIN_PX + number * (HIGH_PX + GAP_PX))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {high}" width="{WIDTH_PX}" height="{high}" '
        'font-family="Verdana, Geneva, sans-serif" role="img">',
        "<title>The wings of energy-rating: an arrow points to what is used</title>",
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker></defs>',
        f'<rect width="{WIDTH_PX}" height="{high}" fill="#ffffff"/>',
    ]
    for wing, used in sorted(fewest(graph).items()):
        for near in sorted(used):
            (x, y), (to_x, to_y) = places[wing], places[near]
            # Past the boxes of the floors between, if there are any.
            side = BOX_PX / 2 * (0.7 if to_x >= x else -0.7) if to_y - y > 2 * (HIGH_PX + GAP_PX) - 1 else 0.0
            points = [(x + side, y + HIGH_PX), (to_x + side, to_y - 2)]
            path = " ".join(
                f"{one[0]:g},{one[1]:g} L{other[0]:g},{other[1]:g}" for one, other in pairwise(points)
            )
            lines.append(
                f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#tip)"/>'
            )
    for wing, (x, y) in sorted(places.items()):
        name, inside = BESIDE.get(wing, f"{wing}/"), doors(wing)
        lines += [
            f'<rect x="{x - BOX_PX / 2:g}" y="{y:g}" width="{BOX_PX}" height="{HIGH_PX}" rx="8" fill="{PANEL}" stroke="{LINE}"/>',
            f'<text x="{x:g}" y="{y + (26 if inside else 37):g}" text-anchor="middle" font-size="16" font-weight="bold" '
            f'fill="{INK}">{escape(name)}</text>',
        ]
        if inside:
            lines.append(
                f'<text x="{x:g}" y="{y + 46:g}" text-anchor="middle" font-size="11" fill="{QUIET}">{escape(inside)}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(drawn(), encoding="utf-8")
