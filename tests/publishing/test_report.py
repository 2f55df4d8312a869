"""A report says what the record says, in the same words as the label, whatever stands in the names; and as a page it needs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from click.testing import CliRunner
from runs_to_show import answered, trained

from energy_rating.cli import cli
from energy_rating.files.reading import Journal, Session, read_journal
from energy_rating.files.windows import Span
from energy_rating.judging.courses import BLOCKS, EXACT, courses
from energy_rating.judging.evidence import load
from energy_rating.judging.rating import rate
from energy_rating.judging.summary import window_energies
from energy_rating.nouns.quantities import Estimate, with_doubt
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Load,
    Measurement,
    Model,
    Provenance,
    Record,
    Samples,
    Task,
)
from energy_rating.publishing.facts import doubts_of, facts_of
from energy_rating.publishing.label.said import Said
from energy_rating.publishing.links import NO_LINKS, Links
from energy_rating.publishing.report import Reported, html, markdown, report

LARGEST = 400_000  # bytes of a page of one run, however long that was
FORMS = {"html": html, "md": markdown}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A training, and answers at one and at sixteen requests at a time; where two of them ran was told."""
    top = tmp_path_factory.mktemp("runs")
    trained(top / "train", place="FRA", card=1)
    answered(top / "one", place="FRA", card=2)
    answered(top / "many", at_a_time=16, watts=650.0, card=3)
    return top


def reported(folder) -> Reported:
    record = load(folder)
    return Reported(record=record, rating=rate(record), journal=read_journal(folder))


@pytest.fixture(scope="module")
def runs(folders):
    return {name: reported(folders / name) for name in ("train", "one", "many")}


def words(page: str) -> str:
    """What a reader sees of a page, and what is read out in the place of pictures."""
    seen: list[str] = []

    class Reader(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.hidden += tag in ("style", "script")
            seen.extend(value or "" for name, value in attrs if name in ("alt", "aria-label"))

        def handle_endtag(self, tag: str) -> None:
            self.hidden -= tag in ("style", "script")

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                seen.append(data)

    Reader(convert_charrefs=True).feed(page)
    return " ".join(" ".join(seen).split())


def said_in(text: str) -> str:
    return " ".join(unescape(text).split())


# ------------------------------------------------------------------------------------------------------ what it says


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["train", "one"])
def test_a_report_says_what_the_label_and_the_record_say(runs, name, form):
    run = runs[name]
    facts = facts_of(run.record, run.rating)
    said = Said(facts=facts, links=NO_LINKS)
    text = FORMS[form](report([run], NO_LINKS))
    text = words(text) if form == "html" else said_in(text)
    assert said.figure in text
    assert said.sentence in text
    for row in facts.rows:
        for part in row.parts:
            assert with_doubt(part.energy_j, "J") in text
    for component, why in facts.missing:
        assert why in text, component
    assert run.record.provenance.journal_sha256 in text
    assert "energy-rating verify FOLDER" in text


def test_everything_that_is_known_of_a_run_has_its_place(runs):
    run = runs["one"]
    found = {section.title for section in report([run], NO_LINKS).chapters[0].sections}
    assert found == {
        *("Result", "Energy by component", "Power over time", "One after another", "Prefill and decode"),
        *("How sure it is", "Findings", "On what it ran", "How to check it", "What it does not say"),
    }
    page = html(report([runs["train"]], NO_LINKS))
    assert "Energy of each step. 60 windows" in page
    assert "Energy of each epoch. 3 windows" in page


def test_what_is_not_known_of_a_run_has_none(runs):
    """No journal: no curve, and that is said."""
    bare = replace(runs["one"], journal=None)
    page = words(html(report([bare], NO_LINKS)))
    assert "No journal lies beside the record" in page
    assert "One after another" not in page


def test_an_estimate_is_drawn_and_called_otherwise_than_a_measurement(runs):
    run = runs["one"]
    guessed = replace(
        run.record,
        channels=tuple(replace(channel, method="model") for channel in run.record.channels),
        measurements=tuple(replace(one, methods={"gpu": "model"}) for one in run.record),
    )
    page = html(report([replace(run, record=guessed, rating=rate(guessed), journal=None)], NO_LINKS))
    component = page.partition('aria-label="Energy by component')[2].partition("</svg>")[0]
    assert "estimated" in component
    assert "J, measured" not in component
    assert "stroke-dasharray" in component


def test_two_runs_of_one_task_say_why_they_differ_and_what_each_load_takes(runs):
    page = words(html(report([runs["one"], runs["many"]], NO_LINKS)))
    assert "Why they differ" in page
    assert re.search(r"B needed 0\.081\d* times the energy of A", page)
    assert "Energy over the load" in page
    assert "16 at a time:" in page
    assert "energy per request over how many requests" in page


def test_unlike_runs_are_not_compared_and_that_is_said(runs):
    page = words(html(report([runs["one"], runs["train"]], NO_LINKS)))
    assert "They are not compared:" in page


def test_training_and_use_of_a_model_make_a_life(runs):
    run = runs["train"]
    of_one_revision = replace(
        run, record=replace(run.record, model=replace(runs["one"].record.model, parameters=None))
    )
    page = words(html(report([of_one_revision, runs["one"]], NO_LINKS)))
    assert "Energy of each stage" in page
    # What went before and what each request adds, from the records.
    before, each = run.record["run"].energy_j["gpu"], runs["one"].record["measured"].energy_per("request")
    assert f"{with_doubt(before, 'J')} before use, {with_doubt(each, 'J')} for each request" in page
    assert "fine-tuning" in page.partition("The life of the model")[2].partition("1. org/name")[0]


def test_a_place_gives_a_footprint_and_none_gives_none(folders, tmp_path):
    told = {}
    for name in ("one", "many"):
        done = CliRunner().invoke(cli, ["report", str(folders / name), "-o", str(tmp_path / "r.html")])
        assert done.exit_code == 0, done.output
        told[name] = words((tmp_path / "r.html").read_text())
    assert "Footprint in France" in told["one"]
    assert "Nothing of carbon, water or cost" in told["many"]
    assert "Footprint in" not in told["many"]


def test_the_parts_of_a_doubt_are_all_of_it(runs):
    shares = doubts_of(facts_of(runs["one"].record))
    assert sum(one.share for one in shares) == pytest.approx(1.0)
    assert "repeated" in shares[0].name


def test_findings_stand_in_plain_words_with_what_to_do(runs):
    run = runs["one"]
    bad = Finding.of(
        "shared-gpu", "another program computed on the card in 12 % of the time", remedy="Stop it"
    )
    record = replace(run.record, findings=(bad,))
    page = words(html(report([replace(run, record=record, rating=rate(record))], NO_LINKS)))
    assert "another program computed on the card in 12 % of the time. Stop it. (shared-gpu)" in page


def test_the_same_runs_give_the_same_bytes(runs):
    all_runs = [runs["train"], runs["one"]]
    for form in FORMS.values():
        assert form(report(all_runs, NO_LINKS)) == form(report(all_runs, NO_LINKS))


# ------------------------------------------------------------------------------------------------- what it never does


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "</style></svg></title><script src=https://example.org/x.js></script>",
    "evil\u202etxt.exe\u2066\u200b",
    "`a` | **b** [c](https://example.org) <!-- -->",
    "W" * 5000,
]


def hostile(run: Reported, name: str) -> Reported:
    record = replace(
        run.record,
        model=Model(id=name, revision=name, dtype=name),
        task=Task(name=name, protocol=name, unit="request"),
        environment=Environment(devices=(Device(id="GPU-1", name=name, driver=name),), software={name: name}),
        findings=(Finding.of("shared-gpu", name, remedy=name),),
        role=name[:40] if name.isprintable() else None,  # a record refuses others
        provenance=Provenance(version=name, journal_sha256=name),
        created=name,
    )
    journal = run.journal
    assert journal is not None
    session = journal.sessions[0]
    spans = tuple(replace(span, name=name) if span.name == "prefill" else span for span in session.spans)
    return Reported(
        record=record,
        rating=rate(record),
        journal=replace(journal, sessions=(replace(session, spans=spans),), model=record.model),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(runs, name):
    page = html(report([hostile(runs["one"], name), runs["many"]], NO_LINKS))
    usual = html(report([runs["one"], runs["many"]], NO_LINKS))

    def tags(text: str) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                found.update((tag, attribute) for attribute, _ in attrs)
                found.add((tag, ""))

        Reader().feed(text)
        return found

    assert {tag for tag, _ in tags(page)} <= {tag for tag, _ in tags(usual)} | {
        "details",
        "summary",
        "strong",
    }
    assert not any(attribute.startswith("on") for _, attribute in tags(page))
    assert not set("\u202e\u2066\u200b") & set(page)
    assert "49" not in name or "{{" in name
    text = markdown(report([hostile(runs["one"], name)], NO_LINKS))
    assert "<script" not in text
    assert "<img" not in text
    assert "](https" not in text


def test_a_page_asks_nobody_and_says_so_to_the_browser(runs):
    links = Links(journal="https://example.org/j.gz", meaning="https://example.org/m")
    page = html(report([runs["one"]], links))
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r'(src|srcset)="(?!data:)|<link', page)
    # Whoever follows a link does so by hand: to what was given, and to places in the page.
    assert set(re.findall(r'href="(?!#)([^"]*)"', page)) == {links.journal, links.meaning}
    assert not re.search(r"\sstyle=|@import|url\(", page)
    assert page.count("<script") == page.count("<style") == 1


# --------------------------------------------------------------------------------------------------- very many windows


def long_run(windows: int, ticks: int = 1) -> tuple[Journal, Record]:
    """A card of 300 W, whose counter ticks twice a second and is read just before and just after; windows of so many ticks. The window
    in the middle draws 900 W, and no other does."""
    strange = range(windows // 2 * ticks, (windows // 2 + 1) * ticks)
    times, values, joules = [], [], 1e6
    for tick in range(-4, windows * ticks + 5):
        times += [tick * 0.5 + 2.0 - 0.003, tick * 0.5 + 2.0 + 0.002]
        values += [joules - (450.0 if tick - 1 in strange else 150.0), joules]
        joules += 450.0 if tick in strange else 150.0
    channel = Channel(
        id="gpu0.energy", component="gpu", device="GPU-0", method="counter", accuracy=0.04, period_s=0.5
    )
    end_s = times[-1]
    spans = [Span(name="run", start_s=0.0, end_s=end_s)]
    spans += [
        Span(name="step", start_s=0.5 * n * ticks + 2.0, end_s=0.5 * (n + 1) * ticks + 2.0, work={"token": 8})
        for n in range(windows)
    ]
    session = Session(
        started="2026-11-21T09:14:03Z",
        channels=(channel,),
        environment=Environment(),
        samples={channel.id: Samples(start_s=times, end_s=[t + 0.001 for t in times], values=values)},
        spans=tuple(spans),
        findings=(),
        last_s=end_s + 0.001,
        ended=True,
    )
    common: dict[str, Any] = {
        "run_id": "20261121T091403Z-6f1c",
        "stage": "fine-tuning",
        "model": None,
        "task": None,
        "load": None,
    }
    journal = Journal(**common, sessions=(session,), sha256="0" * 64)
    truth_j = (150.0 * windows + 300.0) * ticks
    energy = Estimate(value=truth_j, random=10.0, systematic=0.04 * truth_j)
    measurements = tuple(
        Measurement(
            name=name,
            n=n,
            start_s=0.0,
            duration_s=end_s,
            work={"token": 8 * windows},
            energy_by_channel_j={channel.id: energy},
            energy_j={"gpu": energy},
            coverage={"gpu": 1.0},
            validity="valid",
        )
        for name, n in (("run", 1), ("step", windows))
    )
    record = Record(
        **common,
        created="2026-11-21T09:14:03Z",
        environment=Environment(),
        channels=(channel,),
        measurements=measurements,
        findings=(),
        provenance=Provenance(version="0.2.0", journal_sha256="0" * 64),
    )
    return journal, record


@pytest.mark.parametrize("windows", [2, 59, EXACT, EXACT + 1, 5000])
def test_no_window_disappears_among_many(windows):
    """The one that drew three times as much stands in the highest of its block, and the mean of all is that of the run."""
    journal, record = long_run(windows, ticks=6)
    (course,) = courses(journal, record, "gpu")
    assert course.n == windows
    assert len(course.blocks) <= max(BLOCKS, EXACT)
    highest = max(course.blocks, key=lambda one: one.high_j)
    assert highest.first <= windows // 2 + 1 <= highest.last
    assert highest.high_j == pytest.approx(6 * 450.0, rel=0.1)
    assert min(one.low_j for one in course.blocks) == pytest.approx(6 * 150.0, rel=0.05)
    known = sum(one.last - one.first + 1 for one in course.blocks)
    whole_j = sum(one.mean_j * (one.last - one.first + 1) for one in course.blocks)
    assert known == windows
    assert whole_j / known == pytest.approx(record["step"].energy_j["gpu"].value / windows, rel=0.01)


def test_few_windows_are_told_as_the_summary_tells_them(folders):
    journal, record = read_journal(folders / "train"), load(folders / "train")
    for course in courses(journal, record, "gpu"):
        assert course.exact
        assert [one.mean_j for one in course.blocks] == window_energies(journal, course.name)["gpu"]


def test_a_window_that_nobody_saw_is_left_out_and_counted():
    journal, record = long_run(2000)
    session = journal.sessions[0]
    channel = replace(session.channels[0], method="power", period_s=0.1)
    times = [number * 0.1 for number in range(10_050) if not 3000 < number < 3100]
    samples = Samples(start_s=times, end_s=[t + 0.001 for t in times], values=[300.0] * len(times))
    journal = replace(
        journal, sessions=(replace(session, channels=(channel,), samples={channel.id: samples}),)
    )
    (course,) = courses(journal, replace(record, channels=(channel,)), "gpu")
    assert 18 <= course.unseen <= 22
    assert {round(one.mean_j) for one in course.blocks} == {150}


def test_a_hundred_thousand_windows_fit_into_a_page():
    journal, record = long_run(100_000)
    page = html(report([Reported(record=record, rating=rate(record), journal=journal)], NO_LINKS))
    assert len(page.encode()) < LARGEST
    assert "100,000 windows" in page
    assert "the line is the mean of 250 windows at a time, the band their lowest and highest" in page


def test_of_many_runs_the_figures_stand_in_a_page_and_that_curves_do_not_is_said(runs):
    page = html(report([runs["one"]] * 40, NO_LINKS))
    assert len(page.encode()) < 2 * LARGEST
    assert "Curves are drawn in reports of at most 12 runs." in page
    assert "Power over time" not in page
    assert page.count("<h2>") == 41


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_a_page_or_markdown_and_nothing_else(folders, tmp_path):
    runner = CliRunner()
    for name in ("r.html", "r.md"):
        done = runner.invoke(
            cli, ["report", str(folders / "one"), str(folders / "many"), "-o", str(tmp_path / name)]
        )
        assert done.exit_code == 0, done.output
        assert done.output == f"Report: {tmp_path / name}\n"
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "r.md").read_text().startswith("# Energy report: org/name\n")
    done = runner.invoke(cli, ["report", str(folders / "one"), "-o", str(tmp_path / "r.pdf")])
    assert done.exit_code == 1
    assert "must end in .html or .md" in str(done.exception)


def test_a_record_without_a_journal_is_reported_as_unchecked(folders, tmp_path):
    alone = tmp_path / "record.json"
    alone.write_bytes((folders / "one/record.json").read_bytes())
    done = CliRunner().invoke(cli, ["report", str(alone), "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    assert "not checked against a journal" in words((tmp_path / "r.html").read_text())
    assert json.loads(alone.read_text())["run_id"]


def test_an_unnamed_load_and_task_break_nothing(runs):
    run = runs["one"]
    record = replace(run.record, task=None, load=None, model=None)
    text = markdown(report([replace(run, record=record, rating=rate(record), journal=None)], NO_LINKS))
    assert "a model that is not named" in text
    record = replace(run.record, load=Load(items=3))
    assert "3 items" in markdown(report([replace(run, record=record, journal=None)], NO_LINKS))
