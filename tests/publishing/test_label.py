"""What a label shows, what it never shows, and that strangers' names can do nothing to it."""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import (
    Channel,
    Conversion,
    Device,
    Environment,
    Load,
    Measurement,
    Model,
    Provenance,
    Quality,
    Rating,
    Record,
    Task,
    WouldBe,
    Yardstick,
)
from energy_rating.publishing import label, words
from energy_rating.publishing.label import drawing, letters, sheet
from energy_rating.publishing.label.picture import png, texts
from energy_rating.publishing.links import Links

SVG = "{http://www.w3.org/2000/svg}"
ENERGY = Estimate(value=90_000.0, random=400.0, systematic=3600.0)  # of 5,000 requests
H100 = Device(
    id="GPU-1", name="NVIDIA H100 80GB HBM3", driver="560.35.03", power_limit_w=700.0, memory_gb=85.52
)
REASONS = (
    "the energies of question answering span 3,215× (14 models): the task mixes architectures and must be divided",
    "sensors saw 93.1 % of the time; at least 99 % are asked for",
    "outside the protocol: 32 requests at once; aes-2025-02 has 1",
    "there are 2 repeats; at least 5 are asked for",
    "12 s were measured; at least 60 s are asked for",
)


def a_record(**changes: Any) -> Record:
    plain: dict[str, Any] = {
        "run_id": "20261121T091403Z-6f1c",
        "created": "2026-11-21T09:14:03Z",
        "stage": "inference",
        "environment": Environment(
            devices=(H100, Device(id="cpu", name="a CPU")),
            software={"python": "3.11.7", "torch": "2.9.1", "transformers": "5.0.0"},
        ),
        "channels": (
            Channel(id="gpu0.energy", component="gpu", device="GPU-1", method="counter", accuracy=0.04),
            Channel(id="cpu.model", component="cpu", device="cpu", method="model", accuracy=0.5),
        ),
        "measurements": (
            Measurement(
                name="measured",
                n=5,
                start_s=40.0,
                duration_s=300.0,
                work={"request": 5000, "input_token": 900_000, "token": 50_000},
                energy_by_channel_j={"gpu0.energy": ENERGY, "cpu.model": ENERGY.times(0.1)},
                energy_j={"gpu": ENERGY, "cpu": ENERGY.times(0.1)},
                coverage={"gpu": 1.0, "cpu": 1.0},
                validity="valid",
            ),
        ),
        "findings": (),
        "provenance": Provenance(version="0.1.0", journal_sha256="3f2a9c1b22aa" + "0" * 52),
        "model": Model(id="org/name", revision="9c1b22aa77e0" + "0" * 28, dtype="float16"),
        "task": Task(name="text-generation", protocol="aes-2025-02", unit="request"),
        "load": Load(items=1000, batch_size=1, concurrency=1, max_new_tokens=10, seed=0),
        "quality": (Quality(metric="accuracy", value=0.62, source="MMLU"),),
    }
    return Record(**(plain | changes))


YARDSTICK = Yardstick(
    typical_j=30.0, unit="request", models=24, few=False, about="models of up to 20 billion parameters"
)
FROM_A100 = Conversion(
    origin="nvidia-a100-sxm-80gb",
    target="nvidia-h100-sxm-80gb",
    factor=1.0,
    interval=1.25,
    assumed=True,
    why="no data; both HBM, Ampere or later",
)


def a_rating(**changes: Any) -> Rating:
    energy = ENERGY.times(1 / 5000)
    plain: dict[str, Any] = {
        "stars": 4,
        "could_be": (4, 4),
        "index": energy.times(1 / 30),
        "energy_per_unit_j": energy,
        "unit": "request",
        "basis": "measured",
        "status": "provisional",
        "scheme": "2026.0-draft",
        "class_": "A",
        "protocol": "aes-2025-02",
        "component": "gpu",
        "yardstick": YARDSTICK,
    }
    return Rating(**(plain | changes))


def not_rated(*reasons: str, **changes: Any) -> Rating:
    none = {"stars": None, "could_be": None, "index": None, "basis": None, "status": None}
    return a_rating(**none, reasons=reasons, **changes)


def estimated() -> Record:
    record = a_record()
    return replace(record, channels=(replace(record.channels[0], method="model"), record.channels[1]))


def an_example() -> Record:
    return a_record(environment=Environment(devices=(replace(H100, name="Example GPU"),)))


CASES: dict[str, tuple[Record, Rating]] = {
    "rated": (a_record(), a_rating()),
    "in doubt": (a_record(), a_rating(could_be=(3, 4))),
    "not rated": (a_record(), not_rated(*REASONS)),
    "estimated": (estimated(), a_rating()),
    "normalised": (
        a_record(),
        a_rating(basis="normalised", energy_per_unit_j=Estimate(value=14.2, random=1), conversion=FROM_A100),
    ),
    "example": (an_example(), a_rating(basis="indicative")),
    "bare": (
        a_record(
            environment=Environment(),
            channels=(),
            measurements=(),
            model=None,
            task=None,
            load=None,
            quality=(),
        ),
        not_rated(energy_per_unit_j=None, unit=None, protocol=None, class_=None),
    ),
    "long": (
        a_record(
            model=Model(id="an-organisation/" + "A-Name-That-Does-Not-End-" * 9, dtype="float16" * 9),
            environment=Environment(
                devices=tuple(
                    replace(H100, id=f"GPU-{n}", name=f"NVIDIA {n} Superchip" * 5) for n in range(1, 9)
                ),
                software={"vllm": "0.9.1+" + "a1b2" * 20},
            ),
            task=Task(name="automatic-speech-recognition" * 4, protocol="p" * 90, unit="request"),
            quality=tuple(Quality(metric="m" * 60, value=1 / 3, source="s" * 200) for _ in range(5)),
        ),
        a_rating(
            stars=1, could_be=(1, 2), scheme="2026.0-draft-of-a-long-name-that-goes-on", class_="C" * 90
        ),
    ),
}


def root(record: Record, rating: Rating) -> ET.Element:
    return ET.fromstring(label.svg(record, rating))


def shown(record: Record, rating: Rating) -> str:
    """What a reader sees, line by line joined."""
    return " ".join(element.text or "" for element in root(record, rating).iter(f"{SVG}text"))


def pixels(record: Record, rating: Rating, width_px: int = 800) -> Any:
    import matplotlib.image

    return matplotlib.image.imread(io.BytesIO(png(record, rating, width_px=width_px)))


def stars(tree: ET.Element) -> list[str]:
    return [
        path.get("class", "") for path in tree.iter(f"{SVG}path") if path.get("class", "").startswith("star")
    ]


# ----------------------------------------------------------------------------------------------------- what it shows


@pytest.mark.parametrize("count", range(1, 6))
def test_as_many_stars_are_filled_as_were_earned_and_five_are_drawn(count: int) -> None:
    tree = root(a_record(), a_rating(stars=count, could_be=(count, count)))
    assert stars(tree) == ["star filled"] * count + ["star empty"] * (5 - count)
    assert f"{count} of 5 stars" in shown(a_record(), a_rating(stars=count))
    paths = [path for path in tree.iter(f"{SVG}path") if path.get("class")]
    assert {path.get("fill") for path in paths[:count]} == {sheet.BLUE}
    assert {path.get("fill") for path in paths[count:]} <= {sheet.PAPER}
    assert {path.get("stroke") for path in paths} == {sheet.BLUE}


def test_a_label_says_what_it_rests_on() -> None:
    text = shown(*CASES["rated"])
    for part in (
        "Energy rating",
        "org/name",
        "revision 9c1b22aa77e0",
        "text-generation, per request",
        "scheme 2026.0-draft",
        "40 % less energy than the typical model of its kind",
        "which needs 30 J per request; 95 % interval: 35 to 45 % less",
        "Energy per request MEASURED 18.0 ± 1.4 J 95 % interval",
        "5.00 ± 0.39 Wh per 1,000 requests",
        "1.80 ± 0.14 J per token",
        "accuracy 0.62 (MMLU)",
        "Measured graphics card (GPU) only, by its energy counter",
        "Left out processor (an estimate is in the card), memory, cooling (PUE), making the hardware",
        "1 × NVIDIA H100 80GB HBM3, power limit 700 W",
        "transformers 5.0.0, torch 2.9.1, driver 560.35.03",
        "one request at a time, 1,000 items, answers of at most 10 tokens, weights in float16",
        "with 24 models of up to 20 billion parameters",
        "aes-2025-02, scheme 2026.0-draft, class A",
        "2026-11-21, self-declared",
        "Journal address not given; SHA-256 3f2a9c1b22aa…",
        "what they mean: docs/what-the-stars-mean.md of energy-rating",
        "Check energy-rating verify FOLDER",
        "says nothing of carbon",
        "not a government or certification label",
    ):
        assert part in text
    assert "input_token" not in text


def test_an_address_that_was_given_stands_on_the_label_and_no_other_does() -> None:
    links = Links(journal="https://example.org/run/journal.jsonl.gz", meaning="https://example.org/stars")
    text = " ".join(e.text or "" for e in ET.fromstring(label.svg(*CASES["rated"], links)).iter(f"{SVG}text"))
    assert "https://example.org/run/journal.jsonl.gz" in text.replace(" ", "")
    assert "what they mean: https://example.org/stars" in text
    for wrong in ("ftp://a/b", "example.org", "https://a b", "https://me@example.org/", "javascript:x"):
        with pytest.raises(BadInput, match="must begin with https://"):
            Links(journal=wrong)


def test_whoever_opens_a_label_follows_its_addresses() -> None:
    """Links to both, and to nothing else; without addresses there is none."""
    record, rating = CASES["rated"]
    links = Links(journal="https://example.org/j?a=1&b=2", meaning="https://example.org/stars")
    tree = ET.fromstring(label.svg(record, rating, links))
    assert [one.get("href") for one in tree.iter(f"{SVG}a")] == [links.journal, links.meaning]
    assert all("https://example.org" in "".join(one.itertext()) for one in tree.iter(f"{SVG}a"))


def test_what_few_models_make_says_so_and_what_many_make_does_not() -> None:
    few = replace(YARDSTICK, models=7, few=True)
    assert "few models to compare with: 7" in shown(a_record(), a_rating(yardstick=few))
    assert "few models" not in shown(*CASES["rated"])
    assert "provisional" not in shown(*CASES["rated"]) + shown(a_record(), a_rating(yardstick=few))


def test_a_reason_is_shown_by_its_sentence_whether_its_code_is_known_or_not() -> None:
    few = Reason.of("too-few-samples", "all 200 GPUs: about 54 samples; 60 are needed")
    text = shown(a_record(), not_rated(str(few), why_not=(few,)))
    assert "all 200 GPUs: about 54 samples; 60 are needed" in text
    assert "Measure longer" not in text, "what to do is for whoever measures, not for whoever reads a label"
    # What another version published is texts alone.
    assert "there are 2 repeats" in shown(a_record(), not_rated("there are 2 repeats", why_not=(few,)))


def test_a_training_shows_its_energy_in_all() -> None:
    run = replace(a_record().measurements[0], name="run", work={"token": 5_000_000})
    record = a_record(stage="fine-tuning", measurements=(run,))
    per_flop = Estimate(value=2.2e-12, random=1e-14, systematic=9e-14)
    rating = a_rating(energy_per_unit_j=per_flop, unit="flop")
    text = shown(record, rating)
    assert "Energy of the whole training MEASURED 25.0 ± 2.0 Wh 95 % interval" in text
    assert "rated: 2.20 ± 0.18 pJ per floating-point operation" in text
    assert "25.0 ± 2.0 Wh in all, graphics card (GPU) only, not carbon" in label.alt(record, rating)
    assert "pWh" not in text


def test_the_label_of_one_training_says_that_it_is_the_final_run_only_until_the_others_are_told() -> None:
    run = replace(a_record().measurements[0], name="run", work={"token": 5_000_000})
    record = a_record(stage="fine-tuning", measurements=(run,), role="final")
    assert "final run only" in shown(record, a_rating())
    assert "final run only" in label.alt(record, a_rating())
    assert "searches, ablations and failed runs of the model are not in it" in label.svg(record, a_rating())
    assert "final run only" in shown(replace(record, role=None), a_rating()), "nobody told of any other"
    assert "a run of the role search only" in shown(replace(record, role="search"), a_rating())
    told = label.svg(record, a_rating(), beside={"search": 2, "failed": 1})
    assert "final run only" not in told
    assert "beside it 2 search runs, 1 failed run" in told
    assert "final run only" not in shown(a_record(), a_rating()), "a request is no run of a training"


def test_who_cannot_see_it_is_told_the_same() -> None:
    tree = root(*CASES["in doubt"])
    assert tree.get("role") == "img"
    assert tree.get("aria-labelledby") == "t d"
    named = {element.get("id"): element for element in tree}
    assert named["t"].tag == f"{SVG}title"
    assert named["t"].text == "Energy rating of org/name"
    assert named["d"].tag == f"{SVG}desc"
    told = named["d"].text or ""
    for part in (
        "4 of 5 stars (could be 3–4)",
        "18.0 ± 1.4 J per request",
        "graphics card (GPU) only",
        "H100",
    ):
        assert part in told
    reasons = root(*CASES["not rated"]).findtext(f"{SVG}desc") or ""
    assert all(reason in reasons for reason in REASONS)


def test_stars_that_doubt_could_change_say_so() -> None:
    assert "4 of 5 stars, could be 3–4" in shown(*CASES["in doubt"])
    assert "could be" not in shown(*CASES["rated"])


def test_what_is_not_rated_has_no_stars_and_says_why() -> None:
    record, rating = CASES["not rated"]
    text = shown(record, rating)
    assert "NOT RATED" in text
    assert stars(root(record, rating)) == []
    assert all(reason in text for reason in REASONS[:3])
    assert not any(reason in text for reason in REASONS[3:])
    assert "+ 2 more in the card" in text
    assert "more in the card" not in shown(record, not_rated(*REASONS[:3]))
    assert "18.0" in text  # what was measured is shown all the same


def test_measured_normalised_and_estimated_never_look_alike() -> None:
    for name in ("rated", "normalised", "estimated"):
        tree = root(*CASES[name])
        words = " ".join(element.text or "" for element in tree.iter(f"{SVG}text"))
        word = {"rated": "MEASURED", "normalised": "CONVERTED"}.get(name, name.upper())
        assert [mark for mark in ("MEASURED", "CONVERTED", "ESTIMATED") if mark in words] == [word]
        fills = {path.get("fill") for path in tree.iter(f"{SVG}path") if path.get("class") == "star filled"}
        assert fills == ({sheet.BLUE} if name == "rated" else {sheet.PAPER})
    assert "stroke-dasharray" in label.svg(*CASES["estimated"])
    assert "stroke-dasharray" not in label.svg(*CASES["rated"]) + label.svg(*CASES["normalised"])
    drawn = [pixels(*CASES[name]) for name in ("rated", "normalised", "estimated")]
    first = [picture[300:600, 100:].mean(axis=2) for picture in drawn]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(np.abs(first[one] - first[other]) > 0.05) > 0.03


def test_an_estimate_is_never_called_measured() -> None:
    text = shown(*CASES["estimated"])
    assert "ESTIMATED" in text
    assert "≈ 18.0" in text
    assert "estimated by a model" in text
    assert "measured" not in text.lower()
    assert "estimated 18.0 ± 1.4 J per request" in label.alt(*CASES["estimated"])


def test_what_was_measured_is_the_headline_and_what_it_was_normalised_to_stands_second() -> None:
    tree = root(*CASES["normalised"])
    large = max(tree.iter(f"{SVG}text"), key=lambda element: float(element.get("font-size", "0")))
    assert large.text == "18.0"
    assert "14.2 ± 2.0 J per request, converted: what is rated" in shown(*CASES["normalised"])
    alt = label.alt(*CASES["normalised"])
    assert "18.0 ± 1.4 J per request as measured, 14.2 ± 2.0 J converted to the reference device" in alt
    by = "converted from nvidia-a100-sxm-80gb to nvidia-h100-sxm-80gb by × 1.00 (assumed: no data; both HBM, Ampere or later)"
    assert by in alt
    assert by in shown(*CASES["normalised"])


def test_what_would_be_is_never_drawn_as_stars() -> None:
    would_be = WouldBe(stars=3, could_be=(2, 3), index=Estimate(value=1.2, random=0.1), basis="measured")
    case = a_record(), not_rated("59.9 s were measured; at least 60 s are asked for", would_be=would_be)
    text = shown(*case)
    assert "NOT RATED" in text
    assert "would be 3 of 5 stars (could be 2–3)" in text
    assert "this is no rating" in text
    assert "★" not in label.svg(*case)
    assert not [p for p in root(*case).iter(f"{SVG}path") if "star" in (p.get("class") or "")]
    assert "not rated (would be 3 of 5 stars" in label.alt(*case)


def test_an_example_says_so_across_the_label() -> None:
    tree = root(*CASES["example"])
    across = [element for element in tree.iter(f"{SVG}text") if element.get("transform")]
    assert [element.text for element in across] == ["EXAMPLE"]
    assert words.EXAMPLE in shown(*CASES["example"])
    assert label.alt(*CASES["example"]).startswith("Example, ")
    assert "EXAMPLE" not in label.svg(*CASES["rated"])


def test_the_alternative_text_is_one_sentence() -> None:
    assert label.alt(*CASES["in doubt"]) == (
        "Energy rating of org/name: 4 of 5 stars (could be 3–4); 18.0 ± 1.4 J per request, graphics card (GPU) only, "
        "not carbon; on 1 × NVIDIA H100 80GB HBM3, scheme 2026.0-draft, measured 2026-11-21"
    )
    assert "not rated" in label.alt(*CASES["not rated"])
    assert "no energy was measured" in label.alt(*CASES["bare"])


def test_what_was_not_measured_is_no_zero() -> None:
    text = shown(*CASES["bare"])
    assert "not measured" in text
    assert not re.search(r"\b0(\.0+)? (m|k)?(J|Wh)\b", text)


def test_a_component_that_was_not_the_gpu_is_named() -> None:
    record = a_record()
    only_cpu = replace(
        record.measurements[0], energy_j={"cpu": ENERGY}, energy_by_channel_j={"cpu.model": ENERGY}
    )
    text = shown(replace(record, measurements=(only_cpu,)), not_rated("no", energy_per_unit_j=None))
    assert "Estimated processor (CPU) only, estimated by a model Left out graphics card, memory" in text
    assert "1 × a CPU" in text


def test_a_label_goes_with_a_rating_as_it_is_worked_out() -> None:
    record = a_record()
    assert "NOT RATED" in shown(record, rate(record, scheme="2026.0-draft"))


def test_an_interval_through_zero_is_told_by_its_upper_end() -> None:
    wide = Estimate(value=10_000.0, systematic=20_000.0)
    record = a_record()
    only_cpu = replace(
        record.measurements[0], energy_j={"cpu": wide}, energy_by_channel_j={"cpu.model": wide}
    )
    text = shown(replace(record, measurements=(only_cpu,)), not_rated("no", energy_per_unit_j=None))
    assert "below 9.9 J upper end of the 95 % interval" in text
    assert "below 2.8 Wh per 1,000 requests" in text
    assert "±" not in text
    assert "≈" not in text  # below is enough


def test_the_label_shows_what_the_card_and_the_one_line_show() -> None:
    record = a_record()
    warm_up = replace(record.measurements[0], name="warm-up", duration_s=1.0, work={"request": 1})
    run = replace(record.measurements[0], name="run", duration_s=400.0, work={})
    epoch = replace(record.measurements[0], name="epoch", duration_s=200.0)
    text = shown(replace(record, measurements=(run, warm_up, epoch)), not_rated("no", energy_per_unit_j=None))
    assert "Energy per request, in epoch" in text
    assert "18.0 ± 1.4 J" in text


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (0.6, "40 % less energy than the typical model of its kind"),
        (1.8, "80 % more energy than the typical model of its kind"),
        (1.001, "as much energy as the typical model of its kind"),
        (0.0012, "over 99 % less energy than the typical model of its kind"),
        (23.4, "23.4 times the energy of the typical model of its kind"),
    ],
)
def test_an_index_is_told_in_words(index: float, words: str) -> None:
    assert words in shown(a_record(), a_rating(index=Estimate(value=index)))


# ----------------------------------------------------------------------------------------------- what it never shows


@pytest.mark.parametrize("name", CASES)
def test_nobodys_seal_is_worn_and_nothing_is_fetched_or_run(name: str) -> None:
    text = label.svg(*CASES[name])
    assert not re.search("energy.?star|certified", text, re.IGNORECASE)
    assert not re.search(r"<(script|style|image|foreignObject|use|a)\b|@import|url\(|href|\son\w+=", text)
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", CASES)
def test_text_stands_out_from_what_is_behind_it(name: str) -> None:
    for element in root(*CASES[name]).iter(f"{SVG}text"):
        if element.get("transform"):
            continue
        colour = element.get("fill", "")
        behind = (sheet.BLUE, sheet.INK) if colour == sheet.PAPER else (sheet.PAPER, sheet.PANEL, sheet.HATCH)
        assert min(contrast(colour, other) for other in behind) >= 4.5
    assert contrast(sheet.BLUE, sheet.PAPER) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# ------------------------------------------------------------------------------------------------ names of strangers

NASTY = [
    "<script>alert(1)</script>",
    "a&b<c>\"d'e",
    "]]><!-- x --><![CDATA[",
    "evil\u202etxt.exe\u2066\u200b",
    "שלום עולם/مرحبا",
    "🌟⭐★★★★★ five stars",
    "组织/" + "模型" * 200,
    "W" * 500,
    "Z̷̙̅a̴̧̛l̵̡̾g̶̢̈o̵" + "\u0301" * 300,
    "a\x00b\x1b[31mc\ud800\uffff\ue000",
    "",
    " \n\t\u2028 ",
    "\ufdfd\ufdfa" * 30,
    "1234567890-" * 30,
]
NAMES = st.one_of(
    st.sampled_from(NASTY),
    st.text(alphabet=st.characters(), max_size=150),
    st.text(alphabet="W/-_. <&é漢", max_size=200),
)


@settings(max_examples=80, deadline=None)
@given(model=NAMES, device=NAMES, other=NAMES)
@example(model=NASTY[0], device=NASTY[1], other=NASTY[2])
@example(model=NASTY[0], device=NASTY[0], other="\u00a800")
@example(model=NASTY[3], device=NASTY[5], other=NASTY[9])
def test_strangers_names_can_do_nothing_to_a_label(model: str, device: str, other: str) -> None:
    record = a_record(
        model=Model(id=model, revision=other, dtype=other),
        environment=Environment(
            devices=(replace(H100, name=device, driver=other),), software={other: other, "torch": other}
        ),
        task=Task(name=other, protocol=other, unit="request"),
        quality=(Quality(metric=other, value=1.0, source=other),),
        provenance=Provenance(version=other, journal_sha256=other),
        created=other,
    )
    rating = a_rating(scheme=other, class_=other, protocol=other, could_be=(3, 4))
    for made in (rating, not_rated(other, device, model, other, other, scheme=other)):
        text = label.svg(record, made)
        tree = ET.fromstring(text.encode())
        tags = {element.tag.removeprefix(SVG) for element in tree.iter()}
        assert tags <= {"svg", "title", "desc", "metadata", "rect", "path", "text"}
        attributes = {name for element in tree.iter() for name in element.attrib}
        assert not any(name.startswith("on") or "href" in name for name in attributes)
        assert len(text) < 40_000
        read = [element.text or "" for element in tree.iter() if element.text and element.text.strip()]
        for line in [*read, label.alt(record, made)]:
            assert all(unicodedata.category(character)[0] != "C" for character in line), line
            assert not set(line) & set("★☆⭐🌟✩✪")
        overflow(tree)


@pytest.mark.parametrize("name", CASES)
def test_text_stays_within_the_margins(name: str) -> None:
    tree = root(*CASES[name])
    overflow(tree)
    if name == "example":
        return
    # The same, as it is really drawn: beside the text there is nothing but paper.
    picture = pixels(*CASES[name], width_px=400)
    for side in (picture[70:-16, 3:22], picture[70:-16, -22:-3]):
        assert side[..., :3].min() > 0.99


def overflow(tree: ET.Element) -> None:
    """Every line lies within the margins and above the lower edge, as matplotlib lays it out (not by our own sum)."""
    height, base = float(tree.get("height", "0")), 0.0
    for element in tree.iter(f"{SVG}text"):
        if element.get("transform"):
            continue
        x, y, size = (float(element.get(name, "nan")) for name in ("x", "y", "font-size"))
        width = float(element.get("textLength", "nan"))
        if math.isnan(width):
            width = drawn_width(element.text or "", size, element.get("font-weight") == "700")
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[element.get("text-anchor", "start")]
        assert left >= sheet.MARGIN_PX - 0.5, element.text
        assert left + width <= sheet.WIDTH_PX - sheet.MARGIN_PX + 0.5, element.text
        base = max(base, y)
    assert base < height - 8


def drawn_width(text: str, size: float, bold: bool) -> float:
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(str(sheet.font_folder() / sheet.FONTS[bold]))
    # Laid out at a size at which no rounding shows.
    font.set_size(size * 100, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return font.get_width_height()[0] / 64 / 100


# ------------------------------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("name", CASES)
def test_the_same_values_give_the_same_bytes(name: str) -> None:
    record, rating = CASES[name]
    assert label.svg(record, rating) == label.svg(record, rating)
    assert png(record, rating) == png(record, rating)


@pytest.mark.parametrize("name", ["rated", "not rated", "example"])
def test_a_png_that_is_passed_on_keeps_its_words(name: str) -> None:
    tree = root(*CASES[name])
    told = texts(png(*CASES[name]))
    assert told == {
        "Description": tree.findtext(f"{SVG}desc"),
        "energy-rating": tree.findtext(f"{SVG}metadata"),
    }


def test_a_label_says_to_programs_by_what_it_was_made() -> None:
    entry = json.loads(root(*CASES["rated"]).findtext(f"{SVG}metadata") or "")
    assert entry["schema"] == "energy-rating/label/1"
    assert (entry["scheme"], entry["stars"], entry["run"]) == ("2026.0-draft", 4, "20261121T091403Z-6f1c")


@pytest.mark.parametrize("width_px", [400, 800])
def test_a_png_has_its_width_and_text_on_it(width_px: int) -> None:
    import resvg_py

    record, rating = CASES["rated"]
    picture = pixels(record, rating, width_px)
    height = float(root(record, rating).get("height", "0"))
    assert picture.shape[1] == width_px
    assert picture.shape[0] == pytest.approx(height * width_px / sheet.WIDTH_PX, abs=1)
    without = resvg_py.svg_to_bytes(
        svg_string=label.svg(record, rating), skip_system_fonts=True, width=width_px
    )
    import matplotlib.image

    blank = matplotlib.image.imread(io.BytesIO(bytes(without)))
    dark, bare = (np.sum(image[..., :3].mean(axis=2) < 0.5) for image in (picture, blank))
    assert dark - bare > 0.01 * picture.shape[0] * picture.shape[1]


@pytest.mark.parametrize("width_px", [0, 99, 4001])
def test_a_png_of_no_sensible_width_is_refused(width_px: int) -> None:
    with pytest.raises(BadInput, match="Take 100 to 4000"):
        png(*CASES["rated"], width_px=width_px)


def test_stars_differ_without_colour() -> None:
    picture = pixels(a_record(), a_rating(stars=3, could_be=(3, 3)), 400)[..., :3] @ [0.2126, 0.7152, 0.0722]
    tree = root(a_record(), a_rating(stars=3, could_be=(3, 3)))
    tops = [
        re.match(r"M([\d.]+) ([\d.]+)L", path.get("d", ""))
        for path in tree.iter(f"{SVG}path")
        if path.get("class")
    ]
    middles = [
        picture[int(float(top[2]) + drawing.STAR_PX), int(float(top[1]))] for top in tops if top is not None
    ]
    assert len(middles) == 5
    assert max(middles[:3]) < 0.25
    assert min(middles[3:]) > 0.95


def test_the_fonts_come_with_matplotlib() -> None:
    assert all((Path(sheet.font_folder()) / name).is_file() for name in sheet.FONTS)


@pytest.mark.parametrize("name", sheet.FONTS)
def test_the_letters_of_a_font_are_as_wide_as_the_library_that_draws_them_says(name: str) -> None:
    from matplotlib.ft2font import FT2Font, LoadFlags

    drawn_with = FT2Font(str(sheet.font_folder() / name))
    drawn_with.set_size(100, 72)
    read = letters.font(sheet.font_folder() / name)
    assert dict(read.characters) == dict(drawn_with.get_charmap())
    for code in read.characters:
        glyph = drawn_with.load_char(code, flags=LoadFlags.NO_HINTING)
        assert read.width(chr(code)) == glyph.linearHoriAdvance / 65536 / 100
    assert read.has("€")
    assert not read.has("卡")
    assert read.width("卡") is None


def test_a_font_with_the_shorter_table_alone_has_the_same_letters_up_to_there() -> None:
    content = (sheet.font_folder() / sheet.FONTS[0]).read_bytes()
    whole = letters.Font(content)
    # The fuller table's platform and encoding, wherever they stand in the list of tables, made into others that nobody asks for.
    shorter = letters.Font(content.replace(b"\x00\x03\x00\x0a\x00\x00", b"\x00\x07\x00\x0a\x00\x00", 1))
    assert shorter.characters == {code: glyph for code, glyph in whole.characters.items() if code < 1 << 16}
    assert shorter.characters != whole.characters
