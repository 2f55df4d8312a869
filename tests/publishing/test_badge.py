"""A badge and a small label say in words and in form what they rest on, and are legible where they are shown."""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from test_label import CASES, SVG, a_rating, a_record, contrast, drawn_width, estimated, not_rated

from energy_rating.cli import cli
from energy_rating.nouns.errors import BadInput
from energy_rating.publishing import badge, label
from energy_rating.publishing.label import picture
from energy_rating.publishing.label.sheet import LOOKS
from energy_rating.publishing.links import Links

NARROWEST_PX = 100  # of a small label
LEAST_LETTERS_PX = 9  # of a letter's size that is read without effort on a screen
LOOK_NAMES = list(LOOKS)


def texts(svg: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(svg).iter(f"{SVG}text") if not one.get("transform")]


def seen(svg: str) -> str:
    return " ".join(one.text or "" for one in texts(svg))


def stars(svg: str) -> list[str]:
    return [
        kind
        for one in ET.fromstring(svg).iter(f"{SVG}path")
        if (kind := one.get("class", "").removeprefix("star ")) in ("filled", "empty", "open")
    ]


# -------------------------------------------------------------------------------------------------------- the badge


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("look", LOOK_NAMES)
def test_a_badge_is_about_200_by_28_pixels_and_its_words_are_inside(name, look):
    svg = badge.svg(*CASES[name], look=look)
    tree = ET.fromstring(svg)
    assert tree.get("height") == "28"
    width = float(tree.get("width", "0"))
    assert 170 <= width <= 280
    for one in texts(svg):
        length = drawn_width(
            one.text or "", float(one.get("font-size", "0")), one.get("font-weight") == "700"
        )
        x = float(one.get("x", "0")) - (length / 2 if one.get("text-anchor") == "middle" else 0.0)
        assert x >= 2
        assert x + length <= width - 2
        assert float(one.get("font-size", "0")) >= LEAST_LETTERS_PX


def test_a_badge_says_stars_what_they_could_be_the_figure_and_how_it_was_had():
    assert seen(badge.svg(*CASES["rated"])) == "4 of 5 stars 18.0 J per request measured, GPU only"
    assert "4, could be 3–4" in seen(badge.svg(*CASES["in doubt"]))
    assert "converted, GPU only" in seen(badge.svg(*CASES["normalised"]))
    guessed = seen(badge.svg(estimated(), not_rated("it is estimated")))
    assert "energy not rated ≈ 18.0 J per request estimated, GPU only" in guessed
    assert "EXAMPLE" in seen(badge.svg(*CASES["example"]))


def test_a_service_that_draws_badges_gets_the_same_words():
    """Only the fields of an endpoint badge: it refuses others."""
    told = json.loads(badge.shields(*CASES["in doubt"]))
    assert told == {
        "schemaVersion": 1,
        "label": "energy",
        "message": "4 of 5 stars (could be 3–4), 18.0 J per request, measured, GPU only",
        "color": "12305a",
        "cacheSeconds": 3600,
    }
    colours = {name: json.loads(badge.shields(*CASES[name]))["color"] for name in CASES}
    # No colour says more than a word beside it does, and white letters are read on each.
    assert all(contrast(f"#{colour}", "#ffffff") >= 4.5 for colour in colours.values())


# ------------------------------------------------------------------------------------------------------ small labels


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("look", LOOK_NAMES)
def test_a_small_label_is_legible_at_100_pixels(name, look):
    svg = label.svg(*CASES[name], look=look, size="small")
    tree = ET.fromstring(svg)
    width, height = float(tree.get("width", "0")), float(tree.get("height", "0"))
    for one in texts(svg):
        size = float(one.get("font-size", "0"))
        assert size * NARROWEST_PX / width >= LEAST_LETTERS_PX
        assert (one.text or "")[-1:] != "…"
        length = drawn_width(one.text or "", size, one.get("font-weight") == "700")
        assert float(one.get("x", "0")) - length / 2 >= 4
        assert float(one.get("y", "0")) <= height - 8


def test_stars_that_the_doubt_could_change_are_drawn_so():
    """Sure ones full, those that may be lost half and dashed, those that may be won dashed and empty, the others empty."""
    record = a_record()
    for draw in (
        lambda rating: label.svg(record, rating, size="small"),
        lambda rating: badge.svg(record, rating),
    ):
        assert stars(draw(a_rating(stars=4, could_be=(4, 4)))) == ["filled"] * 4 + ["empty"]
        assert stars(draw(a_rating(stars=3, could_be=(2, 4)))) == ["filled"] * 2 + ["open"] * 2 + ["empty"]
        assert not stars(draw(not_rated("too short")))


def in_grey(svg: str, width_px: int) -> list[list[float]]:
    import matplotlib.image

    drawn = matplotlib.image.imread(io.BytesIO(picture.drawn(svg, width_px=width_px)))
    return drawn[..., :3] @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("look", LOOK_NAMES)
@pytest.mark.parametrize("width_px", [100, 300, 800])
def test_what_was_converted_never_looks_like_what_was_measured(look, width_px):
    """In grey, at every width: its stars are lighter or darker in clearly more places than an edge is shaded by, and so is its foot."""
    measured, converted = (
        in_grey(label.svg(*CASES[name], look=look, size="small"), width_px)
        for name in ("rated", "normalised")
    )
    assert measured.shape == converted.shape
    apart = abs(measured - converted) > 0.3
    height = len(apart)
    for part in (slice(round(0.18 * height), round(0.42 * height)), slice(round(0.75 * height), height)):
        assert apart[part].mean() > 0.04


@pytest.mark.parametrize("size", ["full", "small", "badge"])
@pytest.mark.parametrize("look", LOOK_NAMES)
@pytest.mark.parametrize("name", CASES)
def test_every_letter_stands_out_from_what_is_behind_it(name, look, size):
    """By the contrast ratio of WCAG 2.2 (1.4.3: 4.5:1), of each text with the surface that it is drawn on; lines and stars 3:1 (1.4.11)."""
    colours = LOOKS[look]
    svg = (
        badge.svg(*CASES[name], look=look)
        if size == "badge"
        else label.svg(*CASES[name], look=look, size=size)
    )
    grounds = {
        colours.on_head: (colours.head,),
        colours.ink: (colours.paper, colours.panel, colours.hatch),
        colours.quiet_ink: (colours.paper, colours.panel, colours.hatch),
        colours.blue: (colours.paper, colours.panel, colours.hatch),
        colours.paper: (colours.ink,),
    }
    dark_on_ink = {one.get("fill") for one in texts(svg)}
    assert dark_on_ink <= set(grounds)
    for colour in dark_on_ink:
        assert min(contrast(colour, ground) for ground in grounds[colour]) >= 4.5
    for line in re.findall(r'class="star [^>]*stroke="(#[0-9a-f]{6})"', svg):
        assert contrast(line, colours.head if size == "badge" else colours.paper) >= 3


def test_print_is_black_alone_without_a_dark_surface():
    colours = LOOKS["print"]
    assert colours.head == colours.paper == colours.panel == "#ffffff"
    assert {colours.blue, colours.ink, colours.on_head} == {"#000000"}
    # Where the name of the label stands on dark blue otherwise, there are letters alone.
    shares = {
        look: (in_grey(label.svg(*CASES["rated"], look=look), 400)[8:60] < 0.5).mean()
        for look in ("light", "print")
    }
    assert shares["light"] > 0.8
    assert shares["print"] < 0.2


def test_the_usual_label_is_the_light_one_to_the_byte():
    for name in CASES:
        assert label.svg(*CASES[name]) == label.svg(*CASES[name], look="light", size="full")
        assert '"look"' not in label.svg(*CASES[name])


@pytest.mark.parametrize("look", LOOK_NAMES)
def test_a_label_of_any_look_keeps_its_words_and_addresses_as_a_png(look):
    links = Links(journal="https://example.org/run/journal.jsonl.gz", meaning="https://example.org/stars")
    content = picture.png(*CASES["in doubt"], links, look=look, size="small", width_px=100)
    told = picture.texts(content)[picture.WORDS]
    assert picture.png_width(content) == 100
    for text in ("4 of 5 stars (could be 3–4)", "18.0 ± 1.4 J per request", *(links.journal, links.meaning)):
        assert text in told


# ------------------------------------------------------------------------------------------------------ the commands


@pytest.fixture
def run(tmp_path):
    import shutil
    from pathlib import Path

    shutil.copytree(Path(__file__).parents[2] / "reports/example-gpu", tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("options", [["--look", "dark"], ["--look", "print", "--small"], ["--small"]])
@pytest.mark.parametrize("name", ["label.svg", "label.png"])
def test_a_label_of_any_form_is_verified_by_what_it_was_made_with(run, options, name):
    (run / "label.png").unlink()
    (run / "label.svg").unlink()
    done = CliRunner().invoke(cli, ["label", str(run), "-o", str(run / name), *options])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(cli, ["verify", str(run)])
    assert done.exit_code == 0, done.output
    if name == "label.svg":
        content = (run / name).read_text()
        (run / name).write_text(content.replace("4 of 5 stars", "5 of 5 stars"))
        done = CliRunner().invoke(cli, ["verify", str(run)])
        assert done.exit_code == 1
        assert "5 of 5 stars" in done.output


def test_the_badge_command_writes_both_forms(run):
    runner = CliRunner()
    told = runner.invoke(cli, ["badge", str(run), "--journal-url", "https://example.org/j"]).output
    assert told.startswith(
        f"Badge: {run / 'badge.svg'}\nIn a README: [![Energy: 4 of 5 stars (could be 3–4), "
    )
    assert told.endswith("](<badge.svg>)](<https://example.org/j>)\n")
    assert runner.invoke(cli, ["badge", str(run), "-o", str(run / "badge.json")]).exit_code == 0
    assert "4 of 5 stars (could be 3–4)" in json.loads((run / "badge.json").read_text())["message"]
    done = runner.invoke(cli, ["badge", str(run), "-o", "badge.png"])
    assert isinstance(done.exception, BadInput)
    assert "must end in .svg or .json" in str(done.exception)
