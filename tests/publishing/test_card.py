"""A card tells what was measured, what was only estimated and what is missing, and leaves the rest of the file alone."""

from __future__ import annotations

import html
import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_splice import CARDS, HUB, REFUSED, cards, is_insertion, strings

from energy_rating.judging.footprint.carbon import footprint
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Conversion,
    Device,
    Environment,
    Finding,
    Load,
    Measurement,
    Model,
    Provenance,
    Quality,
    Rating,
    Record,
    Task,
    Yardstick,
)
from energy_rating.nouns.work import Work
from energy_rating.publishing import card, card_files, data, label, strangers
from energy_rating.publishing.card import metadata, remove_card, section, update_card
from energy_rating.publishing.splice import END, START

GPU = Estimate(value=15120.0, random=31.0, systematic=605.0)
CPU = Estimate(value=1500.0, random=10.0, systematic=750.0)


def measurement(name: str = "run", **changes: object) -> Measurement:
    fields: dict[str, object] = {
        "name": name,
        "n": 1,
        "start_s": 0.0,
        "duration_s": 5400.0,
        "work": {"request": 1000, "token": 10000},
        "energy_by_channel_j": {"gpu0.energy": GPU, "cpu.model": CPU},
        "energy_j": {"gpu": GPU, "cpu": CPU},
        "coverage": {"gpu": 1.0, "cpu": 1.0},
        "validity": "valid",
        "methods": {"gpu": "counter", "cpu": "model"},
    }
    return Measurement(**(fields | changes))


def record(**changes: object) -> Record:
    fields: dict[str, object] = {
        "run_id": "20261121T091403Z-6f1c",
        "created": "2026-11-21T09:14:03Z",
        "stage": "inference",
        "model": Model(id="org/name", revision="0123abcd", parameters=134515008, dtype="q4_1"),
        "task": Task(name="text-generation", protocol="aes-2025-02", unit="request"),
        "load": Load(items=1000, batch_size=1),
        "environment": Environment(
            devices=(
                Device(id="GPU-1", name="NVIDIA H100 80GB HBM3", power_limit_w=700.0),
                Device(id="GPU-2", name="NVIDIA H100 80GB HBM3", power_limit_w=700.0),
                Device(id="cpu", name="AMD EPYC 9654"),
            ),
            software={"torch": "2.9.0"},
        ),
        "channels": (
            Channel(id="gpu0.energy", component="gpu", device="GPU-1", method="counter", accuracy=0.04),
            Channel(id="cpu.model", component="cpu", device="cpu", method="model", accuracy=0.5),
        ),
        "measurements": (measurement(),),
        "findings": (
            Finding(code="dram-not-measured", message="energy_uj may only be read by root"),
            Finding(code="mig-shared", message="the GPU is shared", severity="degrades"),
        ),
        "quality": (Quality(metric="accuracy", value=0.62, source="lm-eval 0.4"),),
        "provenance": Provenance(version="0.1.0", journal_sha256="ab" * 32),
    }
    return Record(**(fields | changes))


def rating(**changes: object) -> Rating:
    fields: dict[str, object] = {
        "stars": 4,
        "could_be": (3, 4),
        "index": Estimate(value=0.62, random=0.01, systematic=0.025),
        "energy_per_unit_j": Estimate(value=15.12, random=0.03, systematic=0.6),
        "unit": "request",
        "basis": "measured",
        "status": "provisional",
        "scheme": "2026.1",
        "class_": "A",
        "protocol": "aes-2025-02",
        "component": "gpu",
        "yardstick": Yardstick(
            typical_j=24.0,
            unit="request",
            models=24,
            few=False,
            about="models of up to 20 billion parameters",
        ),
    }
    return Rating(**(fields | changes))


TRAINING = record(stage="fine-tuning")


def rows(text: str) -> dict[str, str]:
    """The table, as a reader of GitHub's Markdown cuts it into cells."""
    found: dict[str, str] = {}
    columns = None  # of the table that is open
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = None
        elif not line.startswith("|--"):
            cells = re.split(r"(?<!\\)\|", line)
            columns = columns or len(cells)
            assert len(cells) == columns, line
            found[html.unescape(cells[1].strip())] = html.unescape(cells[2].strip())
    return found


def alt_of(text: str) -> str:
    """The words that stand in for the picture."""
    found = re.search(r'<img src="[^"]*" width="300" alt="([^"]*)">', text)
    assert found
    return html.unescape(found[1])


# --------------------------------------------------------------------------------------------------------- the section


def test_the_section_tells_what_a_reader_needs():
    text = section([(record(), rating())], label="label.svg")
    assert text.startswith(
        '## Energy rating\n\n<img src="label.svg" width="300" alt="Energy rating of org/name: 4 of 5 stars (could be 3–4); '
        "15.1 ± 1.2 J per request, graphics card (GPU) only, not carbon; on "
    )
    told = rows(text)
    assert told["Model"] == "org/name, revision 0123abcd, 134,515,008 parameters, q4_1"
    assert told["Rating"] == (
        "**4 of 5 stars**, could be 3–4: 38 % less energy than the typical model of its kind (95 % interval: 33 to 43 % less)"
    )
    assert "★" not in text  # a screen reader reads each of them out
    assert told["Rated under"] == "scheme 2026.1, class A, protocol aes-2025-02"
    assert told["Rated figure"].startswith("15.1 ± 1.2 J per request; index 0.620 ± 0.053")
    assert told["Compared with"] == (
        "24 models of up to 20 billion parameters; the typical one needs 24 J per request"
    )
    assert told["Energy of"] == "graphics card (GPU) only; electricity, not carbon"
    assert told["Energy per request, GPU"] == "15.1 ± 1.2 J; 4.20 ± 0.33 Wh per 1,000 requests"
    assert told["Energy per token, GPU"] == "1.51 ± 0.12 J; 0.420 ± 0.033 Wh per 1,000 tokens"
    assert told["Hardware"] == "2 × NVIDIA H100 80GB HBM3 (power limit 700 W), 1 × AMD EPYC 9654"
    assert told["Measured"] == "GPU (energy counter)"
    assert told["Not measured"] == "memory (energy_uj may only be read by root)"
    assert told["Validity"].startswith("**degraded**")
    assert told["Reservation"] == "mig-shared: the GPU is shared"
    assert told["Quality, accuracy"] == "0.62 (source: lm-eval 0.4)"
    assert told["Date"] == "2026-11-21T09:14:03Z"
    assert told["Run"] == "20261121T091403Z-6f1c, energy-rating 0.1.0"
    assert "`energy-rating verify FOLDER --card README.md`" in text
    assert "ab" * 32 in text


def test_what_was_estimated_never_looks_measured():
    text = section([(record(), None)], label="label.svg")
    for line in text.splitlines():
        if "CPU" in line and "EPYC" not in line:
            assert "**estimated**" in line.lower()
    assert "**estimated** ≈ 1.5 ± 1.5 J" in rows(text)["Energy per request, CPU"]
    only = measurement(
        energy_j={"cpu": CPU}, energy_by_channel_j={"cpu.model": CPU}, methods={}, coverage={"cpu": 1.0}
    )
    text = section([(record(measurements=(only,)), None)], label="label.svg")
    assert (
        "estimated 1.5 ± 1.5 J per request, processor (CPU) only, not carbon; on 1 × AMD EPYC 9654"
        in alt_of(text)
    )
    assert rows(text)["Measured"] == "nothing"
    assert rows(text)["Not measured"].startswith("GPU (the record does not say why); memory (energy_uj may")


def test_without_a_rating_every_reason_is_told():
    told = rows(section([(record(), None)], label=None))
    assert told["Rating"] == "**not rated**: no rating was made"
    assert "Rated under" not in told
    refused = rating(stars=None, could_be=None, index=None, reasons=("a GPU was shared", "no quality"))
    text = section([(record(), refused)], label="x.svg")
    assert rows(text)["Rating"] == "**not rated**: (1) a GPU was shared (2) no quality"
    assert "Rated figure" not in rows(text)
    assert "org/name: not rated; 15.1 ± 1.2 J per request" in alt_of(text)


def test_a_normalised_rating_says_so():
    from_a100 = Conversion(
        origin="nvidia-a100-sxm-80gb",
        target="nvidia-h100-sxm-80gb",
        factor=1.0,
        interval=1.25,
        assumed=True,
        why="no data; both HBM, Ampere or later",
    )
    told = rows(section([(record(), rating(basis="normalised", conversion=from_a100))], label=None))
    assert told["**Converted**"] == (
        "converted from nvidia-a100-sxm-80gb to nvidia-h100-sxm-80gb by × 1.00 (assumed: no data; both HBM, Ampere or later); "
        "true to within ×/÷ 1.30 with 95 % confidence"
    )
    assert "90 %" not in section(
        [(record(), rating(basis="normalised", conversion=from_a100))], label="x.svg"
    )


def test_a_training_run_tells_its_total_and_duration_and_emissions_only_when_given():
    told = rows(section([(TRAINING, None)], label=None))
    assert told["Total energy, GPU"] == "4.20 ± 0.33 Wh"
    assert told["Total energy, CPU"] == "**estimated** ≈ 0.42 ± 0.41 Wh"
    assert told["Duration"] == "1 h 30 min"
    assert not any("mission" in name for name in told)
    told = rows(section([(TRAINING, None)], label=None, emissions_g=0.000015, location="Québec, Canada"))
    assert told["Emissions of the training"] == "0.000015 g CO2e, Québec, Canada (as given)"
    assert "Total energy, GPU" not in rows(section([(record(), None)], label=None))


def test_a_benchmark_shows_its_measured_window_and_a_training_the_one_that_counted():
    half = measurement("measured", work={"image": 10})
    told = rows(section([(record(measurements=(measurement(work={}), half)), None)], label=None))
    assert "Energy per image, GPU" in told
    epoch = measurement("epoch", work={"token": 10})
    several = replace(TRAINING, measurements=(measurement(work={}), epoch))
    assert "Energy per token, GPU, window epoch" in rows(section([(several, None)], label=None))


def test_the_headline_is_never_the_warm_up():
    warm_up = measurement("warm-up", work={"request": 10}, duration_s=20.0)
    load = measurement("load", work={"request": 10}, duration_s=900.0)
    idle = measurement("idle-before", work={"request": 10}, duration_s=900.0)
    short = measurement("a", work={"request": 1000}, duration_s=50.0)
    long = measurement("b", work={"request": 2000}, duration_s=60.0)
    run = measurement(work={})
    told = rows(section([(record(measurements=(run, load, idle, warm_up, short, long)), None)], label=None))
    assert told["Energy per request, GPU, window b"].startswith("7.56 ± 0.59 J")
    assert not any("warm-up" in name or "window a" in name for name in told)


def test_what_was_read_is_no_measure_of_what_was_made():
    work = {"request": 1000, "input_token": 9000, "cached_token": 500, "token": 10000}
    told = rows(section([(record(measurements=(measurement("measured", work=work),)), None)], label=None))
    assert [name for name in told if name.endswith(", GPU")] == [
        "Energy per request, GPU",
        "Energy per token, GPU",
    ]


def test_an_interval_through_zero_is_told_by_its_upper_end():
    wide = Estimate(value=1500.0, systematic=900.0)
    run = measurement(
        energy_j={"gpu": GPU, "cpu": wide}, energy_by_channel_j={"gpu0.energy": GPU, "cpu.model": wide}
    )
    told = rows(section([(record(measurements=(run,)), None)], label=None))
    assert told["Energy per request, CPU"].startswith("**estimated** below 3.3 J; below 0.91 Wh per")


def test_without_a_gpu_what_did_the_work_stands_first_and_not_the_memory():
    dram = CPU.times(3)
    run = measurement(
        energy_j={"cpu": CPU, "dram": dram},
        energy_by_channel_j={"cpu.model": CPU},
        methods={"cpu": "model", "dram": "model"},
    )
    assert "≈" not in label.alt(record(measurements=(run,)), None)
    assert "estimated 1.5 ± 1.5 J per request, processor (CPU) only" in label.alt(
        record(measurements=(run,)), None
    )


def test_an_invalid_record_says_that_it_is():
    bad = Finding(code="counter-stuck", message="stood still", severity="disqualifies", measurement="run")
    told = rows(section([(record(findings=(bad,)), None)], label=None))
    assert told["Validity"].startswith("**invalid**")
    assert told["Not fit for a rating"] == "counter-stuck: stood still"


def test_a_record_of_nothing_is_still_told():
    empty = record(measurements=(), model=None, task=None, load=None, environment=Environment(), findings=())
    text = section([(empty, None)], label="label.png")
    told = rows(text)
    assert told["Model"] == "model not named"
    assert told["Measured"] == "nothing"
    assert told["Hardware"] == "not recorded"
    none = measurement(energy_j={}, energy_by_channel_j={}, methods={}, coverage={}, work={})
    assert rows(section([(record(measurements=(none,)), None)], label=None))["Measured"] == "nothing"


def as_html(text: str) -> ElementTree.Element:
    """As GitHub and the Hub render it."""
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    rendered = re.sub(r"<(img|br|hr)([^>]*?)/?>", r"<\1\2/>", re.sub("<!--.*?-->", "", rendered, flags=re.S))
    return ElementTree.fromstring(f"<body>{rendered}</body>")


def test_several_records_stand_side_by_side_and_the_details_behind_a_sentence_each():
    text = section([(TRAINING, None), (record(run_id="second"), rating())], label=None)
    tree = as_html(text)
    first, *_ = tree.findall("table")
    assert ["".join(cell.itertext()) for cell in first.iter("th")] == [
        *("No.", "Run", "Hardware", "Energy", "Rating")
    ]
    lines = [["".join(cell.itertext()) for cell in row] for row in first.find("tbody")]
    hardware = "2 × NVIDIA H100 80GB HBM3 (power limit 700 W), 1 × AMD EPYC 9654"
    assert lines == [
        [
            *("1", "org/name, fine-tuning, text-generation", hardware),
            *("4.20 ± 0.33 Wh, GPU, measured, degraded", "not rated"),
        ],
        [
            *("2", "org/name, inference, text-generation", hardware),
            *("15.1 ± 1.2 J per request, GPU, measured, degraded", "4 of 5 stars, could be 3–4"),
        ],
    ]
    details = tree.findall("details")
    assert ["".join(one.find("summary").itertext()) for one in details] == [
        f"{number}. {title} on {hardware}: {energy}; {stars}."
        for number, title, hardware, energy, stars in lines
    ]
    for one in details:  # what is in it is Markdown that was understood, and closed with it
        assert one.find("table/tbody") is not None
        assert "energy-rating verify" in "".join(one.itertext())
        assert one.get("open") is None
    assert "★" not in text


def test_a_single_record_is_told_as_before():
    assert "<details>" not in section([(record(), rating())], label=None)


def test_the_energy_of_trainings_is_summed_and_its_doubt_with_it():
    bare = measurement(
        energy_by_channel_j={"gpu0.energy": GPU},
        energy_j={"gpu": GPU},
        coverage={"gpu": 1.0},
        methods={"gpu": "counter"},
    )
    broken = Finding(code="sampler-stopped", message="it stopped", severity="disqualifies", measurement="run")
    runs = [
        TRAINING,
        record(stage="fine-tuning", run_id="b", measurements=(bare,)),
        record(stage="pre-training", run_id="c", findings=(broken,)),
        record(run_id="d"),  # no training
    ]
    text = section([(one, None) for one in runs], label=None)
    told = text.split("\n\n")[2].splitlines()
    assert told[0] == "| Energy of all trainings | Amount | Of which runs |"
    # Twice 15120 J; of the 605 J of systematic doubt twice as much, since the sensors are of one kind.
    assert told[2] == "| GPU | 8.40 ± 0.66 Wh | 2 of 3; 1 is invalid and left out |"
    assert told[3].startswith(
        "| CPU | **estimated** ≈ 0.42 ± 0.41 Wh | 1 of 3; not measured in others; 1 is invalid"
    )
    again = data.section_data(text)
    assert [one.run for one in again.energies] == [TRAINING.run_id, "b", "c"]
    assert data.written_again(again) == text.rstrip().split("\n\n")[-1]
    # One of several names is no sum; a run that is named twice is counted once.
    assert "Energy of all trainings" not in section([(TRAINING, None), (TRAINING, None)], label=None)


def test_names_of_strangers_open_and_close_nothing_beside_other_runs():
    bad = "x</summary></details><script>alert(1)</script>|**`[a](b)"
    hostile = record(
        run_id="h",
        model=Model(id=bad),
        task=Task(name=bad, unit=bad),
        role=bad,
        environment=Environment(devices=(Device(id="GPU-1", name=bad),)),
    )
    tree = as_html(section([(hostile, None), (record(), rating())], label="l.png"))
    assert len(tree.findall("details")) == 2
    assert not list(tree.iter("script"))
    assert not list(tree.iter("a"))
    summary = "".join(tree.find("details/summary").itertext())
    assert bad in summary
    assert {len(row) for row in tree.find("table/tbody")} == {5}


def test_a_section_of_many_runs_is_read_again_whole():
    many = [record(run_id=f"run-{number}", stage="fine-tuning") for number in range(300)]
    text = section([(one, None) for one in many], label=None)
    assert len(data.section_data(text).energies) == 300


def test_our_words_claim_no_more_than_they_may():
    everything = section(
        [(TRAINING, rating()), (record(), rating(stars=None, reasons=("x",)))], label="label.svg"
    )
    lower = everything.lower()
    assert "certif" not in lower
    assert "energy star" not in lower
    assert "frugal" not in lower
    assert not re.search(r"\de[+-]?\d", everything.split("SHA-256")[0])


@pytest.mark.parametrize("label", ["", "javascript:alert(1)", "data:image/svg+xml,x", "file:///etc/passwd"])
def test_a_label_that_is_no_path_is_refused(label):
    with pytest.raises(BadInput):
        section([(record(), None)], label=label)


def test_a_label_with_odd_characters_stays_one_link():
    text = section([(record(), None)], label='my (new) "label"\n|x].svg')
    assert '<img src="my%20%28new%29%20%22label%22%0A%7Cx%5D.svg" width="300" alt="' in text


def test_no_record_is_refused():
    with pytest.raises(BadInput, match="no record"):
        section([], label=None)
    with pytest.raises(BadInput, match="no record"):
        update_card("# Hi\n", [])


# ------------------------------------------------------------------------------------------------- strangers' strings

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b || c \\| d",
    "x\n\n# heading\n| a | b |",
    "`code` ``more``",
    "[text](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example me@evil.example",
    "*bold* _under_ ~~gone~~ $$x$$ &lt; &#60;",
    "\u202egnp.exe\u2066 \u200b\ufeff\x1b[31m\x07\x00\x85\u2028",
    f"\n{START}\n{END}\n",
    "-->\n<!--",
    "```\n~~~",
    "long " * 10_000,
    "\ud800",
]


def as_unit(text: str) -> str:
    """The text as a unit of work, where it may be one at all."""
    try:
        return next(iter(Work({text: 5})))
    except BadInput:
        return "request"


def hostile(text: str) -> Record:
    return record(
        run_id=text,
        created=text,
        model=Model(id=text, revision=text, dtype=text),
        task=Task(name=text, protocol=text, unit=text),
        environment=Environment(devices=(Device(id=text, name=text),), software={text: text}),
        measurements=(measurement("epoch", work={as_unit(text): 5}),),
        findings=(
            Finding(code=text, message=text, severity="degrades"),
            Finding(code="dram-not-measured", message=text),
        ),
        quality=(Quality(metric=text, value=1.0, source=text),),
        provenance=Provenance(version=text, journal_sha256=text),
    )


def check_harmless(text: str) -> None:
    value = replace(hostile(text), stage="fine-tuning")
    judged = rating(scheme=text, class_=text, protocol=text, unit=text)
    refused = rating(stars=None, reasons=(text, text))
    readme = "---\nlicense: mit\n---\n# Hi\n"
    put = update_card(
        readme, [value, value], ratings=[judged, refused], label="l.svg", emissions_g=None, location=text
    )
    rows(put)
    mine = put[len(readme) :]
    assert mine.count(START) == mine.count(END) == 1
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200b\u202a-\u202e\u2066-\u2069\ufeff]", mine
    )
    # No HTML but our <code>, one picture and one comment; and no code spans and links but ours.
    inner, _, comment = mine.split("\n", 1)[1].rsplit("\n", 2)[0].partition("<!--")
    (picture,) = re.findall(r"<img [^>]*>", inner)
    assert re.fullmatch(r'<img src="l\.svg" width="300" alt="[^"]*">', picture)
    pairs = ("code", "details", "summary")
    ours = {picture, *(f"<{tag}>" for tag in pairs), *(f"</{tag}>" for tag in pairs)}
    assert set(re.findall(r"<[^>]*>", inner)) <= ours
    assert inner.count("<details>") == inner.count("</summary>") == inner.count("</details>") == 2
    assert len(re.findall("`", inner)) == 6
    assert not re.findall(r"[\[\]]", inner)
    assert re.fullmatch(r" energy-rating:data \{[^<>`|*$\n]*\} -->\n?", comment)
    assert "--" not in comment.removesuffix("\n").removesuffix("-->")
    assert "://" not in mine
    assert max(map(len, mine.splitlines())) < 8_000
    assert update_card(put, [value, value], ratings=[judged, refused], label="l.svg") == put
    assert remove_card(put) == readme

    one = update_card(readme, [value], emissions_g=1.5, location=text)
    found = HUB.match(one)
    assert found
    assert yaml.safe_load(found[2])["co2_eq_emissions"]["emissions"] == 1.5
    assert update_card(one, [value], emissions_g=1.5, location=text) == one
    assert remove_card(one) == readme


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_wrote_is_only_text(text):
    check_harmless(text)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=30)
    | st.text(st.sampled_from("<>|`[]()!*_~\\&#;:/@$-\n\r\t\u2028 ab\u202e"), max_size=40)
)
def test_whatever_strangers_wrote_is_only_text(text):
    check_harmless(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=60))
def test_visible_text_is_read_as_it_was_written(text):
    assert html.unescape(strangers.for_markdown(text)) == " ".join(text.split())


def test_the_picture_is_described_as_the_label_describes_itself():
    text = section([(record(), rating())], label="label.svg")
    assert alt_of(text) == label.alt(record(), rating())


def test_a_model_that_the_hub_would_not_name_so_is_shown_as_code():
    told = rows(section([(record(model=Model(id="a model/of mine/v2")), None)], label=None))
    assert told["Model"].startswith("<code>a model/of mine/v2</code>")


# -------------------------------------------------------------------------------------------------------- the metadata


def test_emissions_are_of_training_only_and_only_when_known():
    assert metadata(record(), 12.0) is None
    assert metadata(record(stage="other"), 12.0) is None
    assert metadata(TRAINING, None) is None
    assert metadata(TRAINING, 12.0, "Québec, Canada") == {
        "emissions": 12.0,
        "source": "energy-rating 0.1.0, run 20261121T091403Z-6f1c, gpu measured, cpu estimated, dram not measured, "
        "degraded",
        "training_type": "fine-tuning",
        "geographical_location": "Québec, Canada",
        "hardware_used": "2 × NVIDIA H100 80GB HBM3 (power limit 700 W), 1 × AMD EPYC 9654",
    }
    put = update_card("# Hi\n", [record()], emissions_g=5.0)
    assert "co2_eq_emissions" not in put
    assert not put.startswith("---")


GPU_ONLY = replace(
    TRAINING,
    measurements=(
        measurement(
            energy_j={"gpu": GPU.times(6.84)},
            energy_by_channel_j={"gpu0.energy": GPU.times(6.84)},
            methods={"gpu": "counter"},
            coverage={"gpu": 1.0},
        ),
    ),
    findings=(),
)


def test_an_impact_is_told_with_its_doubt_its_factor_and_what_is_in_it():
    impact = footprint(GPU_ONLY, zone="FRA")
    put = update_card("# Hi\n", [GPU_ONLY], impact=impact)
    assert rows(put)["Emissions of the training"] == (
        "1.61 ± 0.44 g CO2e (GPU only; France, 56 g/kWh, mean of 2023; not in it: CPU, memory, cooling; "
        "± 27 %: the energy's ± 7.9 %, the factor's ± 26 % (published are 41.4 to 56.0 g/kWh))"
    )
    found = HUB.match(put)
    assert found
    assert yaml.safe_load(found[2])["co2_eq_emissions"] == {
        "emissions": 1.61,
        "source": "energy-rating 0.1.0, run 20261121T091403Z-6f1c, gpu measured, cpu not measured, dram not measured",
        "training_type": "fine-tuning",
        "geographical_location": "France",
        "hardware_used": "2 × NVIDIA H100 80GB HBM3 (power limit 700 W), 1 × AMD EPYC 9654",
    }
    assert update_card(put, [GPU_ONLY], impact=impact) == put
    assert remove_card(put) == "# Hi\n"


def test_an_impact_that_was_partly_estimated_or_seen_or_is_degraded_says_so():
    run = measurement(coverage={"gpu": 0.95, "cpu": 1.0}, validity="degraded")
    impact = footprint(replace(TRAINING, measurements=(run,)), zone="FRA")
    put = update_card("# Hi\n", [TRAINING], impact=impact)
    told = rows(put)["Emissions of the training"]
    assert told.startswith("**estimated** ≈ ")
    assert "(GPU, CPU, **estimated**; France" in told
    assert "not in it: memory, cooling; ± 28 %: the energy's ± 11 %, the factor's ± 26 % " in told
    assert told.endswith("; GPU: 95 % of the time seen; **degraded**)")
    assert "gpu measured, cpu estimated, dram not measured, degraded" in put


def test_an_invalid_measurements_emissions_are_not_written():
    impact = footprint(replace(GPU_ONLY, measurements=(measurement(validity="invalid"),)), zone="FRA")
    with pytest.raises(BadInput, match="'run' is invalid, and its emissions are not written"):
        update_card("# Hi\n", [GPU_ONLY], impact=impact)


@pytest.mark.parametrize("grams", [0, 0.0, -1.0, float("nan"), float("inf"), 1e30, True, "5"])
def test_emissions_that_are_no_amount_are_refused(grams):
    with pytest.raises(BadInput, match="must be above 0 g"):
        metadata(TRAINING, grams)


@given(st.floats(min_value=1e-12, max_value=1e15))
def test_the_hub_reads_the_grams_that_were_meant(grams):
    found = HUB.match(update_card("# Hi\n", [TRAINING], emissions_g=grams))
    assert found
    written = strings(found[0])["co2_eq_emissions"]["emissions"]
    # huggingface_hub.utils.endpoint_helpers._is_emission_within_threshold
    seen = re.search(r"\d+\.\d+|\d+", written)
    assert seen
    assert float(seen[0]) == yaml.safe_load(found[2])["co2_eq_emissions"]["emissions"] == grams


def test_one_figure_for_two_trainings_is_refused():
    with pytest.raises(BadInput, match="2 training runs"):
        update_card("# Hi\n", [TRAINING, TRAINING], emissions_g=5.0)


def test_ratings_that_are_not_as_many_as_records_are_refused():
    with pytest.raises(BadInput, match="2 ratings for 1 records"):
        update_card("# Hi\n", [record()], ratings=[None, None])


# ------------------------------------------------------------------------------------------------------------ the card


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS.keys())
def test_a_card_gets_a_section_and_keeps_everything_else(text):
    put = update_card(text, [record()], ratings=[rating()], label="label.png")
    assert is_insertion(text, put)
    assert strings(put) == strings(text)
    trained = update_card(put, [TRAINING], emissions_g=15.5)
    assert strings(trained)["co2_eq_emissions"]["emissions"] == "15.5"
    assert trained == update_card(text, [TRAINING], emissions_g=15.5)
    assert trained == update_card(trained, [TRAINING], emissions_g=15.5)
    # Of a run that is no longer told, the metadata is no longer told either.
    assert update_card(trained, [record()], ratings=[rating()], label="label.png") == put
    assert remove_card(trained) == remove_card(put) == remove_card(text) == text
    assert update_card(text.encode(), [TRAINING], emissions_g=15.5) == trained.encode()
    assert remove_card(trained.encode()) == text.encode()


def test_under_environmental_impact_the_heading_is_one_deeper():
    readme = "# Hi\n\n### Environmental Impact\n\n- **Hardware Type:** [More Information Needed]\n"
    put = update_card(readme, [record()])
    assert f"### Environmental Impact\n{START}\n\n#### Energy\n\n" in put
    assert update_card(put, [record()]) == put
    assert f"{START}\n\n## Energy rating\n\n" in update_card("# Hi\n", [record()])


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_card_is_refused(text, told):
    with pytest.raises(BadInput, match=told):
        update_card(text, [record()])


@settings(max_examples=300, deadline=None)
@given(cards(), st.booleans(), st.booleans())
def test_a_card_is_changed_without_a_trace_or_refused(text, training, overwrite):
    arguments = {"emissions_g": 0.000015, "overwrite": overwrite, "label": "label.svg"}
    try:
        bare = remove_card(text)
        put = update_card(text, [TRAINING if training else record()], **arguments)
    except BadInput as error:
        assert "\n" not in str(error)
        return
    assert update_card(put, [TRAINING if training else record()], **arguments) == put
    assert remove_card(put) == bare


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_changed_cleanly_or_refused(content):
    try:
        put = update_card(content, [TRAINING], emissions_g=1.0)
    except BadInput:
        return
    assert remove_card(put) == content


# ------------------------------------------------------------------------------------------------------------ the file


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\r\nlicense: mit\r\n---\r\n# Hi\r\n")
    path.chmod(0o640)
    return path


def test_a_file_is_updated_and_restored_with_its_mode(readme):
    before = readme.read_bytes()
    assert card_files.update_card_file(readme, [TRAINING], emissions_g=5.0)
    assert readme.read_bytes() == update_card(before, [TRAINING], emissions_g=5.0)
    assert readme.stat().st_mode & 0o777 == 0o640
    written = readme.stat().st_mtime_ns, readme.stat().st_ino
    assert not card_files.update_card_file(readme, [TRAINING], emissions_g=5.0)
    assert (readme.stat().st_mtime_ns, readme.stat().st_ino) == written
    assert card_files.remove_card_file(readme)
    assert readme.read_bytes() == before
    assert not card_files.remove_card_file(readme)
    assert list(readme.parent.iterdir()) == [readme]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"# Hi\n\xff\xfe\n", "README.md: line 2: the card is not UTF-8"),
        ("# Hi\n".encode("utf-16"), "README.md: line 1: the card is not UTF-8"),
        (b"---\na: [\n---\n", r"README.md: line \d: the front matter is not valid"),
        (b"---\nco2_eq_emissions: 5\n---\n", "README.md: line 2: .*energy-rating did not write it"),
        (f"{START}\n".encode(), "README.md: line 1: .*has no"),
        (b"x" * ((16 << 20) + 1), "README.md: the card is larger than 16 MiB"),
    ],
    ids=["bytes", "UTF-16", "YAML", "theirs", "marker", "huge"],
)
def test_a_file_that_is_refused_is_left_alone(readme, content, told):
    readme.write_bytes(content)
    before = readme.stat()
    with pytest.raises(BadInput, match=told) as caught:
        card_files.update_card_file(readme, [TRAINING], emissions_g=5.0)
    assert "\n" not in str(caught.value)
    assert readme.read_bytes() == content
    assert (readme.stat().st_mtime_ns, readme.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert list(readme.parent.iterdir()) == [readme]


def test_nothing_but_a_file_is_followed(readme):
    link = readme.parent / "link.md"
    link.symlink_to(readme)
    os.mkfifo(readme.parent / "pipe.md")
    for path, told in (
        (link, "is a link"),
        (readme.parent, "is not a file"),
        (readme.parent / "pipe.md", "is not a file"),
        (readme.parent / "none.md", "there is no such file"),
    ):
        for change in (
            lambda path=path: card_files.update_card_file(path, [record()]),
            lambda path=path: card_files.remove_card_file(path),
        ):
            with pytest.raises(BadInput, match=told):
                change()
    assert link.is_symlink()
    assert START.encode() not in readme.read_bytes()


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS.keys())
def test_huggingface_hub_reads_what_it_read_before_and_ours(text):
    hub = pytest.importorskip("huggingface_hub")
    put = update_card(text, [TRAINING], emissions_g=0.000015)
    try:
        before = hub.ModelCard(text, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, TypeError):
        return  # a key that clashes with its attributes
    after = hub.ModelCard(put, ignore_metadata_errors=True).data.to_dict()
    if text.startswith("\ufeff"):
        put, before = put[1:], hub.ModelCard(text[1:]).data.to_dict()
        after = hub.ModelCard(put).data.to_dict()
    assert after.pop("co2_eq_emissions")["emissions"] == 0.000015
    assert after == before


# ------------------------------------------------------------------------------- after somebody else has written the card


def test_what_a_framework_has_thrown_away_is_put_back_from_an_earlier_copy():
    ours = update_card("---\nlicense: mit\n---\n# Mine\n", [TRAINING], emissions_g=1.5, label="label.png")
    anew = "---\r\nlibrary_name: peft\r\n---\r\n\r\n# Made by a framework\r\n"
    put = card.put_back(anew, ours)
    assert card.remove_card(put) == anew
    assert put == update_card(anew, [TRAINING], emissions_g=1.5, label="label.png")
    assert card.put_back(put, ours) == put
    assert card.put_back(anew.encode(), ours.encode()) == put.encode()
    # Emissions that the framework wrote stay; the section comes back all the same.
    theirs = "---\nco2_eq_emissions: 7\n---\n# Mine\n"
    assert remove_card(card.put_back(theirs, ours)) == theirs
    # A copy without emissions takes out those of a later run, which its section does not tell of.
    assert card.put_back(put, update_card("# Mine\n", [TRAINING])) == update_card(anew, [TRAINING])
    with pytest.raises(BadInput, match="holds no section"):
        card.put_back(anew, "# Mine\n")
