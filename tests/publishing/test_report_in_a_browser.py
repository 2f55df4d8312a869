"""A report as people meet it: in a real browser, by keyboard, aloud, narrow, dark, on paper, without its script, with hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs_to_show import answered, trained
from test_report import HOSTILE, hostile, reported

from energy_rating.judging.evidence import load
from energy_rating.judging.rating import rate
from energy_rating.publishing import badge, label
from energy_rating.publishing.links import NO_LINKS
from energy_rating.publishing.report import html, report

EXAMPLE = Path(__file__).parents[2] / "reports/example-gpu"

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of one run, of several, and of one with every hostile name at once."""
    top = tmp_path_factory.mktemp("pages")
    trained(top / "train", place="FRA", card=1)
    answered(top / "one", place="FRA", card=2)
    answered(top / "many", at_a_time=16, watts=650.0, card=3)
    runs = {name: reported(top / name) for name in ("train", "one", "many")}
    made = {
        "one": [runs["one"]],
        "several": list(runs.values()),
        "hostile": [hostile(runs["one"], name) for name in HOSTILE],
    }
    for name, its in made.items():
        (top / f"{name}.html").write_text(html(report(its, NO_LINKS)))
    return {name: top / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["one", "several", "hostile"])
def test_it_opens_without_a_complaint_and_asks_nobody(page, pages, name):
    page.open(pages[name])
    assert page.run("document.querySelectorAll('main h2').length") >= 1
    assert not page.errors
    assert not page.asked_elsewhere()
    assert not page.dialogs
    assert [one for one in page.requests if not one.startswith("data:")] == [pages[name].resolve().as_uri()]


@pytest.mark.parametrize("width", [1000, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_and_weak_eyes_can_use_it(page, pages, scheme, width):
    """Without a violation of what axe-core knows, with everything unfolded."""
    page.resize(width, 800)
    page.prefers(scheme=scheme)
    for name in ("several", "hostile"):
        page.open(pages[name])
        page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert not page.violations()


def test_pictures_say_what_is_seen_on_them(page, pages):
    page.open(pages["several"])
    told = page.run("Array.from(document.querySelectorAll('svg')).map(one => one.getAttribute('aria-label'))")
    assert len(told) > 10
    assert all(len(text) > 30 for text in told)
    assert "★" not in " ".join(told)
    # Stars as signs are not read out: the words beside them are.
    assert page.run("Array.from(document.querySelectorAll('.stars')).every(one => one.ariaHidden === 'true')")


def order(page) -> list[str]:
    return page.run(
        "Array.from(document.querySelector('table.sortable').tBodies[0].rows).map(row => row.cells[0].innerText)"
    )


def test_by_keyboard_alone_one_gets_to_the_content_sorts_and_unfolds(page, pages):
    page.open(pages["several"])
    page.press("Tab")
    assert page.focused() == "To the content"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "content"
    before = order(page)
    assert [row[0] for row in before] == ["1", "2", "3"]
    for _ in range(60):
        page.press("Tab")
        if page.focused() == "Energy":
            break
    assert page.focused() == "Energy"
    page.press("Enter")
    # By the figures in joules, the smallest first: many at a time, one at a time, the whole training.
    assert [row[0] for row in order(page)] == ["3", "2", "1"]
    assert page.run("document.activeElement.parentElement.getAttribute('aria-sort')") == "ascending"
    page.press("Space")
    assert [row[0] for row in order(page)] == ["1", "2", "3"]
    assert page.run("document.activeElement.parentElement.getAttribute('aria-sort')") == "descending"
    for _ in range(60):
        page.press("Tab")
        if page.focused() == "All measurements of this run":
            break
    assert not page.run("document.activeElement.parentElement.open")
    page.press("Enter")
    assert page.run("document.activeElement.parentElement.open")
    # Where the focus is can be seen.
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert not page.errors


def test_all_is_unfolded_by_one_button(page, pages):
    page.open(pages["several"])
    page.run("document.querySelector('.tools button').click()")
    assert page.run("Array.from(document.querySelectorAll('details')).every(one => one.open)")
    assert page.run("document.querySelector('.tools button').innerText") == "Fold everything"


def test_a_narrow_screen_is_not_scrolled_sideways(page, pages):
    page.resize(320, 700)
    for name in ("several", "hostile"):
        page.open(pages[name])
        assert page.run("document.documentElement.scrollWidth") == 320


def test_it_reads_without_its_script(page, pages):
    page.open(pages["several"])
    with_script = page.run("document.querySelector('main').textContent.replace(/\\s+/g, ' ')")
    page.without_script()
    page.open(pages["several"])
    assert page.run("document.querySelector('.tools') === null")
    assert page.run("document.querySelector('main').textContent.replace(/\\s+/g, ' ')") == with_script
    page.run("document.querySelector('summary').click()")
    assert page.run("document.querySelector('details').open")


def test_on_paper_everything_stands_unfolded_in_black_on_white(page, pages):
    page.open(pages["several"])
    page.prefers(scheme="dark", media="print")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run(
        "document.querySelector('.label img').currentSrc === document.querySelector('.label img').src"
    )
    content = page.pdf()
    assert content.startswith(b"%PDF")
    # All chapters, each on a page of its own at least.
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") >= 4


def test_colours_are_those_of_the_page(page, pages):
    """Lines of the pictures take the page's colours, which differ in the dark."""
    found = {}
    for scheme in ("light", "dark"):
        page.prefers(scheme=scheme)
        page.open(pages["one"])
        found[scheme] = (
            page.run("getComputedStyle(document.querySelector('svg path[stroke=\"var(--gpu)\"]')).stroke"),
            page.run("document.querySelector('.label img').currentSrc"),
        )
    assert found["light"][0] == "rgb(0, 114, 178)"
    assert found["dark"][0] == "rgb(86, 180, 233)"
    assert found["light"][1] != found["dark"][1]


def test_in_the_colours_of_a_system_everything_is_seen(page, pages):
    """Who sets high contrast gets lines and letters in the system's own colours, on its own ground."""
    page.prefers(forced_colors="active")
    page.open(pages["one"])
    letters = page.run("getComputedStyle(document.querySelector('svg text')).fill")
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    line = page.run("getComputedStyle(document.querySelector('svg path[stroke=\"var(--gpu)\"]')).stroke")
    assert len({letters, ground, line}) == 3


def test_a_readme_shows_the_badge_and_the_label_that_fit_the_reader(page, tmp_path):
    """As in a page of GitHub's: a picture with a source for the dark, of files that lie beside it."""
    record = load(EXAMPLE)
    rating = rate(record)
    for ending, look in (("", "light"), ("-dark", "dark")):
        (tmp_path / f"badge{ending}.svg").write_text(badge.svg(record, rating, look=look))
        (tmp_path / f"label{ending}.svg").write_text(label.svg(record, rating, look=look, size="small"))
    pictures = "".join(
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg"><img src="{name}.svg" alt="{name}"></picture>'
        for name in ("badge", "label")
    )
    where = tmp_path / "readme.html"
    where.write_text(f"<!doctype html><html lang=en><title>README</title><main><h1>A</h1>{pictures}</main>")
    for scheme, ending in (("light", ""), ("dark", "-dark")):
        page.prefers(scheme=scheme)
        page.open(where)
        shown = page.run(
            "Array.from(document.images).map(one => [one.currentSrc.split('/').pop(), one.naturalWidth, one.naturalHeight])"
        )
        assert [name for name, _, _ in shown] == [f"badge{ending}.svg", f"label{ending}.svg"]
        assert shown[0][2] == 28
        assert all(width > 100 for _, width, _ in shown)
    assert not page.errors


def test_hostile_names_do_nothing(page, pages):
    page.open(pages["hostile"])
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.run("document.scripts.length") == 1
    assert page.run("document.querySelectorAll('main img').length") == len(HOSTILE)
    assert page.run("document.querySelectorAll('iframe, object, form, base').length") == 0
    assert "<script>alert(1)</script>" in page.run("document.querySelector('main').innerText")
    assert "{{ 7 * 7 }}" in page.run("document.querySelector('main').innerText")
    assert not page.dialogs
    assert not page.asked_elsewhere()
    # What a name might still bring in is refused by the page's own policy, and the browser says that it refused it.
    page.run(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'https://example.org/x.png'}))"
    )
    page.run("new Promise(done => setTimeout(done, 50))")
    assert page.errors
    assert not [one for one in page.requests if "example.org" in one and one.startswith("blob")]
