"""Makes label, picture and card of every published report again, from its journal: after their words have changed, and before a release.

Journal, record and rating stay as they are, to the byte; what follows from them is checked before and after. Run:
python benchmarks/shown_again.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from energy_rating.files.whole import write_whole
from energy_rating.judging.evidence import load
from energy_rating.judging.rating import rate
from energy_rating.publishing import card, label
from energy_rating.publishing.label import picture
from energy_rating.publishing.verification import verify

TOP = Path(__file__).parents[1]


def shown_again(folder: Path) -> list[str]:
    """The files that read otherwise now."""
    if not verify(folder).agrees:
        sys.exit(f"{folder}: what is published does not follow from its journal; nothing was written")
    record = load(folder)
    rating = rate(record)
    contents = {
        "label.svg": label.svg(record, rating).encode(),
        "label.png": picture.png(record, rating),
        "card.md": card.section([(record, rating)], label="label.png").encode(),
    }
    changed = [name for name, content in contents.items() if (folder / name).read_bytes() != content]
    for name in changed:
        write_whole(folder / name, contents[name])
    if not verify(folder, strict=True).agrees:
        sys.exit(f"{folder}: what was written does not follow from its journal")
    return changed


def main() -> None:
    for record in sorted((TOP / "reports").glob("*/record.json")):
        if record.parent.name != "demo":
            print(f"{record.parent.relative_to(TOP)}: {', '.join(shown_again(record.parent)) or 'unchanged'}")


if __name__ == "__main__":
    main()
