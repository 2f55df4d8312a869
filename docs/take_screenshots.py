"""The screenshots of these documents: ``python docs/take_screenshots.py``, with Debian's Chromium. To be looked at whenever what is shown has changed.

Runs are made on a virtual clock, so that nothing of any machine is in them; the label is of the published example.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parent
sys.path[:0] = [str(TOP), str(TOP / "tests/fakes")]

import browser  # noqa: E402
from PIL import Image  # noqa: E402
from runs_to_show import answered, trained  # noqa: E402

from energy_rating.files.reading import read_journal  # noqa: E402
from energy_rating.judging.evidence import load  # noqa: E402
from energy_rating.judging.footprint.carbon import footprint  # noqa: E402
from energy_rating.judging.rating import rate  # noqa: E402
from energy_rating.publishing import badge, label  # noqa: E402
from energy_rating.publishing.links import NO_LINKS  # noqa: E402
from energy_rating.publishing.report import Reported, html, report  # noqa: E402

PICTURES = HERE / "pictures"
EXAMPLE = TOP / "reports/example-gpu"

# As GitHub shows a README to who prefers the dark (its own colours of text and ground).
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>README</title>
<style>:root {{ color-scheme: light dark }} body {{ margin: 24px; font: 16px/1.5 "DejaVu Sans", sans-serif; background: #fff; color: #1f2328 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0d1117; color: #f0f6fc }} }} img {{ vertical-align: middle }}</style>
<main><h1>org/name</h1><p>{badge}</p><p>A model that answers questions.</p><h2>Energy rating</h2><p>{small} {full}</p></main></html>"""


def shown(folder: Path, *, place: str | None = None) -> Reported:
    record = load(folder)
    name = "run" if record.stage != "inference" else "measured"
    impact = footprint(record, zone=place, measurement=name) if place else None
    return Reported(record=record, rating=rate(record), journal=read_journal(folder), impact=impact)


def both(name: str, width: int) -> str:
    """A picture for light and for dark, as a README has it."""
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">'
    return f'<picture>{dark}<img src="{name}.svg" width="{width}" alt="the {name}"></picture>'


def readme(folder: Path) -> Path:
    """A README with badge and labels in light and dark, beside these."""
    record = load(EXAMPLE)
    rating = rate(record)
    for look, ending in (("light", ""), ("dark", "-dark")):
        (folder / f"badge{ending}.svg").write_text(badge.svg(record, rating, look=look))
        (folder / f"small{ending}.svg").write_text(label.svg(record, rating, look=look, size="small"))
        (folder / f"label{ending}.svg").write_text(label.svg(record, rating, look=look))
    width = int(badge.svg(record, rating).partition('width="')[2].partition('"')[0])
    page = folder / "readme.html"
    page.write_text(
        _PAGE.format(badge=both("badge", width), small=both("small", 100), full=both("label", 300))
    )
    return page


def keep(name: str, content: bytes, *, crop: tuple[int, int] | None = None) -> None:
    """In few colours, as small files."""
    with Image.open(io.BytesIO(content)) as picture:
        plain = picture.convert("RGB")
        if crop is not None:
            plain = plain.crop((0, crop[0], plain.width, min(crop[1], plain.height)))
        plain.quantize(128).save(PICTURES / name, optimize=True)
    print(f"{name}: {(PICTURES / name).stat().st_size:,} bytes")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trained(folder / "train", card=1)
        answered(folder / "one", card=2)
        answered(folder / "many", at_a_time=16, watts=650.0, card=3)
        runs = [shown(folder / "train", place="FRA"), shown(folder / "one"), shown(folder / "many")]
        (folder / "one.html").write_text(html(report([shown(EXAMPLE)], NO_LINKS)))
        (folder / "several.html").write_text(html(report(runs, NO_LINKS)))
        taking = browser.Browser()
        try:
            with taking.page(width=960, height=1000) as page:
                page.open(folder / "one.html")
                keep("report.png", page.screenshot(whole=True), crop=(0, 1750))
                page.prefers(scheme="dark")
                page.open(folder / "several.html")
                keep("report-of-several-dark.png", page.screenshot(whole=True), crop=(0, 1100))
                page.prefers(scheme="light")
                page.resize(360, 800)
                page.open(folder / "one.html")
                keep("report-narrow.png", page.screenshot(whole=True), crop=(0, 1100))
                page.resize(640, 760)
                where = readme(folder)
                for scheme in ("light", "dark"):
                    page.prefers(scheme=scheme)
                    page.open(where)
                    keep(f"readme-{scheme}.png", page.screenshot(whole=True))
                page.in_grey()
                page.prefers(scheme="light")
                page.open(where)
                keep("readme-grey.png", page.screenshot(whole=True))
        finally:
            taking.close()


if __name__ == "__main__":
    main()
