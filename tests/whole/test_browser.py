"""The browser of the tests sees what it is there for: a page that asks elsewhere, that complains, that nobody can read."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")


def test_a_bad_page_is_seen_to_be_bad(page, tmp_path):
    """Else no test of a good one would say anything."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<title>bad</title><button>one</button><img src='https://example.org/x.png'>"
        "<script>document.querySelector('button').onclick = () => { throw Error('no') }</script>"
    )
    page.open(bad)
    assert page.asked_elsewhere() == ["https://example.org/x.png"]
    page.press("Tab")
    assert page.focused() == "one"
    page.press("Enter")
    assert any("Error: no" in error for error in page.errors)
    assert {"image-alt", "html-has-lang"} <= {told.partition(":")[0] for told in page.violations()}
    assert page.pdf().startswith(b"%PDF")


def test_pages_share_nothing(running_browser, tmp_path):
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><html lang=en><title>empty</title><main><h1>Empty</h1></main>")
    with running_browser.page() as one, running_browser.page(width=320) as other:
        one.open(empty)
        other.open(empty)
        one.run("window.seen = 1")
        assert other.run("typeof window.seen") == "undefined"
        assert (one.run("innerWidth"), other.run("innerWidth")) == (1000, 320)
        assert not one.errors
        assert not one.violations()
