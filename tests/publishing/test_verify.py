"""Every forgery of a published run is found: what does not follow from the journal, and what no journal could truly say."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from forked import energy_rating
from in_full import in_full
from virtual import FakeDevice, VirtualClock, square, steps

from energy_rating import BadInput, load, measure, rate, summarise, verify
from energy_rating.cli import cli
from energy_rating.files.journal import decoded, encoded
from energy_rating.files.reading import read_journal
from energy_rating.judging.plausibility import implausible
from energy_rating.judging.profiles import Driver, Figures, Profile, Source, SourcedFigure
from energy_rating.judging.summary import summarise_journal
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Device, Load, Model, Task
from energy_rating.publishing import card as cards
from energy_rating.publishing import label, splice
from energy_rating.publishing.data import FORM
from energy_rating.publishing.folder import publish
from energy_rating.publishing.label import picture
from energy_rating.publishing.links import Links
from energy_rating.publishing.verification import verification_to_json, verification_to_text

REPORTS = Path(__file__).parents[2] / "reports"
FOLDERS = sorted(path.parent for path in REPORTS.glob("*/record.json") if path.parent.name != "demo")

H100 = Device(id="GPU-fake", name="Made-up GPU", power_limit_w=700.0, memory_gb=80.0)
SHEET = Profile(
    key="made-up",
    schema="energy-rating/profile/1",
    name="Made-up GPU",
    vendor="Nobody",
    architecture="None",
    memory_kind="HBM3",
    driver=Driver(names=("Made-up GPU",), source="sheet"),
    figures=Figures(
        memory_gb=SourcedFigure(value=80, source="sheet"),
        bandwidth_gb_s=SourcedFigure(value=3350, source="sheet"),
        bf16_tflops=SourcedFigure(value=989.4, source="sheet"),
        power_limit_w=SourcedFigure(value=700, source="sheet"),
        idle_w=SourcedFigure(value=70, source="sheet"),
    ),
    sources={"sheet": Source(title="invented for this test", date="2026-11-22")},
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A benchmark as it should be, with all that is published of it."""
    clock = VirtualClock()
    power, energy = steps((-1e9, 90.0), (1015.0, 400.0), (1090.0, 90.0))
    wobble, wobble_j = square(-8.0, 9.0, 1.37)

    class Real(FakeDevice):
        def read(self):
            clock.time += 13e-6 * (1 + self.reads * 7919 % 11)  # no scheduler is exact
            return FakeDevice.read(self)

    gpu = Real(
        clock=clock,
        power=lambda t: power(t) + wobble(t),
        energy=lambda t: energy(t) + wobble_j(t),
        known_period=True,
    )
    where = tmp_path_factory.mktemp("honest")
    with measure(
        "inference",
        model=Model(id="org/name", parameters=1_240_000_000, dtype="float16"),
        task=Task(name="text-generation", protocol="aes-2025-02", unit="request"),
        load=Load(items=1000, batch_size=1, concurrency=1, max_new_tokens=10, seed=0),
        output_dir=where,
        sensors=[Detection(sensors=(gpu,), devices=(H100,))],
        clock=clock,
        report=None,
    ) as run:
        with run.window("idle-before"):
            clock.sleep(15)
        for _ in range(5):
            with run.window("measured") as window:
                clock.sleep(14.9)
                window.count(request=100, token=1000)
        with run.window("idle-after"):
            clock.sleep(15)
    record = load(where)
    publish(where, record, rate(record))
    return where


@pytest.fixture
def run(honest, tmp_path):
    # Pictures take long to draw again, and have tests of their own.
    shutil.copytree(honest, tmp_path / "run", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path / "run"


def edited(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    entry = json.loads((folder / name).read_text())
    entry = change(entry) or entry
    (folder / name).write_text(json.dumps(entry))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    content = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    return in_full(content)


def forged(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None]) -> None:
    """A journal that somebody rewrote, with all its checksums right."""
    lines = lines_of(folder)
    lines = change(lines) or lines
    (folder / "journal.jsonl").write_bytes(b"".join(encoded(line) for line in lines))


def places(folder: Path) -> set[str]:
    return {f"{found.file}: {found.path}" for found in verify(folder).differences}


def doubts(folder: Path) -> dict[str, str]:
    journal = read_journal(folder)
    return {found.code: found.severity for found in implausible(journal, summarise_journal(journal), [SHEET])}


# --------------------------------------------------------------------------------------------------------- what agrees


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_published_report_follows_from_its_journal(folder):
    found = verify(folder, strict=True)
    assert found.agrees, verification_to_text(found)
    assert found.plausible, verification_to_text(found)
    assert {"record.json", "label.svg", "card.md"} <= set(found.checked)


def test_an_honest_run_agrees_and_nothing_speaks_against_it(honest, run):
    shutil.copy(honest / "label.png", run)
    found = verify(run, strict=True)
    assert found.agrees, verification_to_text(found)
    assert set(found.checked) == {"record.json", "rating.json", "label.svg", "label.png", "card.md"}
    assert doubts(run) == {}


def test_a_compressed_journal_agrees_as_well(run):
    (run / "journal.jsonl.gz").write_bytes(gzip.compress((run / "journal.jsonl").read_bytes()))
    (run / "journal.jsonl").unlink()
    assert verify(run).agrees


def test_the_rating_says_by_which_files_it_was_made(run):
    provenance = json.loads((run / "rating.json").read_text())["provenance"]
    assert provenance["journal_sha256"] == load(run).provenance.journal_sha256
    assert {name.partition("/")[0] for name in provenance["files"]} == {"schemes", "hardware_profiles"}
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in provenance["files"].values())


# ------------------------------------------------------------------------------------------------- what does not follow


def _scaled(entry: dict[str, Any], factor: float) -> None:
    for measurement in entry["measurements"]:
        for group in (measurement["energy_by_channel_j"], measurement["energy_j"]):
            for energy in group.values():
                for key in energy:
                    energy[key] *= factor


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda entry: _scaled(entry, 1 - 1e-12), "record.json: measurements.measured.energy_j.gpu.value"),
        (lambda entry: _scaled(entry, 0.5), "record.json: measurements.run.energy_j.gpu.value"),
        (lambda entry: entry["measurements"][2]["work"].update(token=5001), "record.json: measurements.measured.work.token"),
        (lambda entry: entry["model"].update(parameters=9), "record.json: model.parameters"),
        (lambda entry: entry["model"].update(id="org/other"), "record.json: model.id"),
        (lambda entry: entry["load"].update(batch_size=32), "record.json: load.batch_size"),
        (lambda entry: entry.update(created="2020-01-01T00:00:00Z"), "record.json: created"),
        (lambda entry: entry["provenance"].update(journal_sha256="0" * 64), "record.json: provenance.journal_sha256"),
        (lambda entry: entry["provenance"]["files"].update({"tasks/x.toml": "0"}), "record.json: provenance.files.tasks/x.toml"),
        (lambda entry: entry["environment"]["devices"][0].update(power_limit_w=300.0), "record.json: environment.devices.0.power_limit_w"),
        (lambda entry: entry.update(measurements=entry["measurements"][:-1]), "record.json: measurements.idle-after"),
        (lambda entry: entry["channels"][0].update(accuracy=0.001), "record.json: channels.gpu0.energy.accuracy"),
        (lambda entry: entry["quality"].append({"metric": "accuracy", "value": 0.9, "source": "me"}), "record.json: quality.accuracy"),
        (lambda entry: entry["findings"].append({"code": "praise", "message": "x"}), "record.json: findings.praise"),
    ],
)  # fmt: skip
def test_a_changed_record_is_found_to_the_digit(run, change, place):
    edited(run, "record.json", change)
    assert any(found.startswith(place) for found in places(run)), places(run)


def test_a_difference_tells_both_values(run):
    before = load(run)["measured"].energy_j["gpu"].value
    edited(run, "record.json", lambda entry: _scaled(entry, 1 + 1e-12))
    found = next(d for d in verify(run).differences if d.path == "measurements.measured.energy_j.gpu.value")
    assert found.recomputed == before
    assert found.published != before
    assert repr(found.published) in str(found)
    assert verify(run, tolerance=1e-9).agrees


@pytest.mark.parametrize(
    ("name", "change", "place"),
    [
        ("rating.json", lambda text: text.replace('"stars": null', '"stars": 5'), "rating.json: stars"),
        ("rating.json", lambda text: text.replace('"reasons": [', '"reasons": ["none",'), "rating.json: reasons"),
        ("rating.json", lambda text: re.sub('"scheme": "[^"]*"', '"scheme": "2099.1"', text), "rating.json: scheme"),
        ("rating.json", lambda text: re.sub('"journal_sha256": ".', '"journal_sha256": "x', text), "rating.json: provenance.journal_sha256"),
        ("rating.json", lambda text: text[:-30], "rating.json: "),
        ("label.svg", lambda text: text.replace("org/name", "org/nome"), "label.svg: text"),
        ("label.svg", lambda text: text.replace("not rated", "5 stars"), "label.svg: text"),
        ("label.svg", lambda text: text.replace("<svg ", "<svg opacity='0.5' ", 1), "label.svg: drawing"),
        ("label.svg", lambda text: "<!DOCTYPE x [<!ENTITY a 'b'>]>" + text, "label.svg: "),
        ("label.svg", lambda text: text[:-20], "label.svg: "),
        ("card.md", lambda text: text.replace("| Energy per token, GPU | ", "| Energy per token, GPU | 0.1 J, not "), "card.md: Energy per token, GPU"),
        ("card.md", lambda text: re.sub(r"\*\*not rated\*\*[^|]*", "★★★★★ 5 of 5 stars ", text), "card.md: Rating"),
        ("card.md", lambda text: re.sub("<code>(.)", lambda found: f"<code>{'1' if found[1] == '0' else '0'}", text), "card.md: "),
        ("card.md", lambda text: "\n".join(line for line in text.splitlines() if "| Validity" not in line), "card.md: Validity"),
        ("card.md", lambda text: re.sub(r'alt="[^"]*', 'alt="5 of 5 stars, firm; measured 2.0 ± 0.1 J', text), "card.md: text"),
        ("card.md", lambda text: text.replace("These figures are self-declared by whoever ran the measurement", "An accredited laboratory certified these figures"), "card.md: text"),
        ("card.md", lambda text: text + "\nCertified.\n", "card.md: text"),
        ("card.md", lambda text: text.replace('src="label.png"', 'src="javascript:alert"'), "card.md: text"),
        ("card.md", lambda text: text.replace('"label": "label.png"', '"label": "javascript:alert"'), "card.md: data"),
        ("card.md", lambda text: text.replace("## Energy rating", "## Energy rating, certified"), "card.md: text"),
        ("card.md", lambda text: text.replace('width="300"', 'width="300" onload="x"'), "card.md: text"),
        ("card.md", lambda text: text.replace('"stars": null', '"stars": 5'), "card.md: data.stars"),
        ("card.md", lambda text: text.replace('"scheme": "2026.2"', '"scheme": "2099.1"'), "card.md: scheme"),
        ("card.md", lambda text: text.replace(', "label": ', ', "more": 1, "label": '), "card.md: text"),
        ("card.md", lambda text: re.sub(r"energy-rating:data .*? -->", "energy-rating:data {} -->", text), "card.md: data"),
        ("label.svg", lambda text: text.replace('"stars": null', '"stars": 5'), "label.svg: data.stars"),
    ],
)  # fmt: skip
def test_a_changed_publication_is_found(run, name, change, place):
    text = (run / name).read_text()
    assert change(text) != text
    (run / name).write_text(change(text))
    assert any(found.startswith(place) for found in places(run)), places(run)


def test_the_label_of_another_run_is_found_as_a_picture_too(run):
    better = rate(load(run))
    forgery = picture.png(load(REPORTS / "example-gpu"), better)
    (run / "label.png").write_bytes(forgery)
    assert "label.png: " in places(run)
    (run / "label.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (10**9).to_bytes(4, "big") * 2)
    assert "label.png: " in places(run)


def test_a_section_in_a_whole_readme_is_checked_and_the_rest_is_nobodys_business(run):
    record = load(run)
    text = cards.update_card("# Mine\n\n| a | b |\n\ntext\n", [record], ratings=[rate(record)])
    (run / "README.md").write_text(text)
    assert verify(run).agrees
    (run / "README.md").write_text(text.replace("| Duration", "| Durations").replace("J; ", "mJ; "))
    assert any(place.startswith("README.md: Energy per request") for place in places(run))
    (run / "README.md").write_text("# no section\n")
    assert verify(run).agrees


def test_carbon_on_a_card_is_made_again_for_its_country(tmp_path):
    from energy_rating.judging.footprint.carbon import footprint

    clock = VirtualClock()
    power, energy = square(100, 400, 0.7)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    run = measure("fine-tuning", output_dir=tmp_path, sensors=[gpu], clock=clock, report=None)
    with run, run.window("epoch") as window:
        clock.sleep(30)
        window.count(token=1000)
    record = load(tmp_path)
    text = cards.section([(record, rate(record))], impact=footprint(record, zone="FRA"))
    (tmp_path / "card.md").write_text(text)
    assert verify(tmp_path).agrees, verification_to_text(verify(tmp_path))
    (tmp_path / "card.md").write_text(re.sub(r"(Emissions of the training \| )[\d.]+", r"\g<1>0.001", text))
    assert places(tmp_path) == {"card.md: Emissions of the training"}
    given = cards.section([(record, rate(record))], emissions_g=12.0)
    (tmp_path / "card.md").write_text(given)
    assert any("no journal tells them" in note for note in verify(tmp_path).notes)


def test_a_picture_that_a_card_shows_and_that_is_not_there_is_told(run):
    assert any("card.md shows label.png, which is not here" in note for note in verify(run).notes)


def test_what_was_made_without_its_journal_says_so_and_is_none_the_less_right(run, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run / "record.json", alone)
    record = load(alone)
    assert record.checked == "no-journal"
    (run / "label.svg").write_text(label.svg(record, rate(record)))
    (run / "card.md").write_text(cards.section([(record, rate(record))], label="label.png"))
    assert "not checked against a journal" in (run / "label.svg").read_text()
    found = verify(run)
    assert found.agrees, verification_to_text(found)
    assert {"label.svg", "card.md"} <= set(found.checked)


def test_the_rating_may_be_what_the_command_printed(run):
    """``energy-rating rate RUN --json > RUN/rating.json``."""
    done = energy_rating("rate", run, "--json")
    assert done.returncode == 0, done.stderr
    (run / "rating.json").write_text(done.stdout)
    found = verify(run)
    assert found.agrees, verification_to_text(found)
    assert any("what rate --json prints" in note for note in found.notes)
    edited(run, "rating.json", lambda entry: entry.update(stars=5))
    assert places(run) == {"rating.json: stars"}


def test_strict_ends_with_what_it_found_and_what_that_proves(run):
    *_, physics, verdict, rest = verification_to_text(verify(run, strict=True)).splitlines()
    assert physics == "No physical contradiction found. This does not prove that the measurement took place"
    assert verdict.startswith("Matches its journal: record.json, ")
    assert rest == "Not checked: who made it; whether the measurement took place"


def test_what_is_missing_is_a_difference(run):
    (run / "record.json").unlink()
    assert places(run) >= {"record.json: "}
    (run / "journal.jsonl").unlink()
    with pytest.raises(BadInput, match="no journal"):
        verify(run)


def test_a_record_of_another_version_says_so_and_is_held_to_the_same_digits(run):
    edited(run, "record.json", lambda entry: entry["provenance"].update(version="0.0.7"))
    found = verify(run)
    assert found.made_by == "0.0.7"
    assert any("0.0.7" in note for note in found.notes)
    assert {difference.file for difference in found.differences} == {"card.md"}, (
        "which names the version that it was made by"
    )


def test_a_scheme_that_is_not_the_published_one_is_found(run):
    edited(
        run,
        "rating.json",
        lambda entry: entry["provenance"]["files"].update({"schemes/2026.0-draft.toml": "0" * 64}),
    )
    assert any("2026.0-draft" in note for note in verify(run).notes), "a draft may change"
    edited(
        run,
        "rating.json",
        lambda entry: entry["provenance"]["files"].update({"schemes/../../x.toml": "0" * 64}),
    )
    assert any("does not ship" in note for note in verify(run).notes), "and no name is a path"


@pytest.mark.parametrize("name", ["journal.jsonl", "record.json", "label.svg", "card.md"])
def test_nothing_is_read_through_a_link_or_from_a_pipe(run, tmp_path, name):
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    if name == "journal.jsonl":
        with pytest.raises(BadInput, match="is a link"):
            verify(run)
    else:
        assert f"{name}: " in places(run)
    (run / name).unlink()
    os.mkfifo(run / name)
    if name == "journal.jsonl":
        with pytest.raises(BadInput, match="is a device"):
            verify(run)
    else:
        assert f"{name}: " in places(run)


def test_the_command_says_all_this_with_its_exit_code(run):
    def command(*more):
        return energy_rating("verify", run, *more)

    done = command()
    assert done.returncode == 0, done.stdout + done.stderr
    *_, verdict, rest = done.stdout.splitlines()
    assert verdict == "Matches its journal: record.json, rating.json, label.svg, card.md"
    assert rest == "Not checked: who made it; whether the measurement took place"
    edited(run, "record.json", lambda entry: _scaled(entry, 0.5))
    done = command("--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["agrees"], found["verdict"]) == (False, "differs")
    assert "Does not match its journal: " in command().stdout.splitlines()[-2]
    assert {"file", "path", "published", "recomputed"} == set(found["differences"][0])
    assert json.loads(json.dumps(verification_to_json(verify(run))))["differences"] == found["differences"]


# ------------------------------------------------------------------------------------------------- what cannot be true


def _readings(lines, change):
    for line in lines:
        if "r" in line:
            change(line)


def _energy(line, change):
    if "gpu0.energy" in line["r"]:
        line["r"]["gpu0.energy"] = change(line["r"]["gpu0.energy"])


def _squeezed(lines, factor):
    """The same work and energy in less time."""
    for line in lines:
        for key in ("t", "dt", "end"):
            if key in line:
                line[key] *= factor


def _hurried(lines, factor):
    """The same, and the register agrees."""
    _squeezed(lines, factor)
    for line in lines:
        if "gpu0.power" in line.get("r", {}):
            line["r"]["gpu0.power"] /= factor


def _first(lines, kind, number=0):
    return [line for line in lines if kind in line][number]


def _repeat(lines, number=0):
    opened = [line for line in lines if line.get("name") == "measured"][number]
    return opened, next(line for line in lines if line.get("close") == opened["open"])


def _less(lines):
    """All energies a tenth of what they were: under what the card needs to do nothing."""
    start = next(line["r"]["gpu0.energy"] for line in lines if "gpu0.energy" in line.get("r", {}))
    _readings(lines, lambda line: _energy(line, lambda joules: start + (joules - start) / 10))
    _readings(
        lines,
        lambda line: line["r"].update(
            {key: value / 10 for key, value in line["r"].items() if "power" in key}
        ),
    )


def _jump(lines):
    readings = [line for line in lines if "gpu0.energy" in line.get("r", {})]
    for line in readings[len(readings) // 2 :]:
        line["r"]["gpu0.energy"] += 5_000.0


def _outside(lines):
    opened, closed = _repeat(lines, 4)
    last = max(line["t"] for line in lines if line.get("close") is not None)
    opened["t"], closed["t"] = last + 1, last + 2


def _overlapping(lines):
    first, second = _repeat(lines, 0), _repeat(lines, 1)
    second[0]["t"] = first[0]["t"] + 0.5


def _in_no_time(lines):
    opened, closed = _repeat(lines)
    closed["t"] = opened["t"]


def _negative(lines):
    opened, closed = _repeat(lines)
    closed["t"] = opened["t"] - 1.0


def _disorder(lines):
    readings = [line for line in lines if "gpu0.energy" in line.get("r", {})]
    middle = len(readings) // 2
    readings[middle]["t"], readings[middle + 1]["t"] = readings[middle + 1]["t"] + 0.01, readings[middle]["t"]


def _tokens(factor):
    def change(lines):
        for line in lines:
            if "work" in line and "token" in line["work"]:
                line["work"]["token"] *= factor

    return change


def _asked(lines, unanswered_request=0, empty_request=0):
    """In the third repeat a server left out some answers, or they are empty."""
    work = _repeat(lines, 2)[1]["work"]
    for unit, n in (("unanswered_request", unanswered_request), ("empty_request", empty_request)):
        if n:
            work[unit] = n


def _unlimited(lines):
    lines[0]["environment"]["devices"][0]["power_limit_w"] = 2000.0


def _still(lines):
    _readings(lines, lambda line: line["r"].update({key: 400.0 for key in line["r"] if "power" in key}))


def _even(lines):
    for number, line in enumerate(line for line in lines if "r" in line):
        line["t"], line["dt"] = number / 16, 0.0


def _worked_below_idle(lines):
    start = next(line["r"]["gpu0.energy"] for line in lines if "gpu0.energy" in line.get("r", {}))
    for line in lines:
        if "gpu0.energy" in line.get("r", {}):
            work_s = min(max(line["t"] - 15, 0.0), 75.0)
            line["r"] = {"gpu0.energy": start + 90 * (line["t"] - work_s) + 62 * work_s}


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        (lambda lines: _hurried(lines, 0.5), "power-above-the-limit", "disqualifies"),
        (_jump, "step-above-the-limit", "disqualifies"),
        (_less, "energy-under-idle", "disqualifies"),
        (_worked_below_idle, "energy-under-its-own-idle", "degrades"),
        (_tokens(25), "faster-than-memory", "disqualifies"),
        (_tokens(10_000), "faster-than-arithmetic", "disqualifies"),
        (_tokens(1.2), "more-tokens-than-asked", "disqualifies"),
        (lambda lines: _repeat(lines, 2)[1]["work"].update(token=10_001), "more-tokens-than-asked", "disqualifies"),
        (lambda lines: _asked(lines, unanswered_request=30), "requests-not-answered", "disqualifies"),
        (lambda lines: _asked(lines, empty_request=300), "answers-empty", "disqualifies"),
        (lambda lines: _repeat(lines, 2)[1].update(work={"request": 1500, "token": 15_000}), "repeats-not-of-the-items", "degrades"),
        (_outside, "window-outside-the-run", "disqualifies"),
        (_overlapping, "repeats-overlap", "disqualifies"),
        (_in_no_time, "work-in-no-time", "disqualifies"),
        (_negative, "journal-damaged", "disqualifies"),
        (_disorder, "time-goes-backwards", "degrades"),
        (_unlimited, "limit-above-the-data-sheet", "degrades"),
        (_still, "no-noise", "note"),
        (_even, "no-jitter", "note"),
        (lambda lines: lines[0].update(started="yesterday"), "start-is-no-time", "degrades"),
        (lambda lines: _readings(lines, lambda line: line["r"].update({"gpu0.power": 1200.0})), "reading-above-the-limit", "degrades"),
    ],
)  # fmt: skip
def test_a_journal_that_cannot_be_is_found_however_well_it_agrees_with_its_record(
    run, change, code, severity
):
    forged(run, change)
    assert doubts(run).get(code) == severity, doubts(run)


@pytest.mark.parametrize(
    ("work", "code", "severity"),
    [
        ({"unanswered_request": 2}, "requests-not-answered", "degrades"),
        ({"unanswered_request": 30}, "requests-not-answered", "disqualifies"),
        ({"empty_request": 2}, "answers-empty", "note"),
        ({"empty_request": 30}, "answers-empty", "degrades"),
        ({"empty_request": 300}, "answers-empty", "disqualifies"),
    ],
)
def test_what_a_server_did_not_answer_stands_in_the_record_by_its_share(run, work, code, severity):
    forged(run, lambda lines: _asked(lines, **work))
    record = summarise_journal(read_journal(run))
    assert {f.severity for f in record.findings_on("measured") if f.code == code} == {severity}
    assert record["measured"].validity == {"note": "valid", "degrades": "degraded"}.get(severity, "invalid")
    assert (code in doubts(run)) is (severity == "disqualifies"), "a share that is told speaks against nobody"


def test_a_counter_that_tells_more_than_its_card_can_draw_is_not_believed_against_its_register(run):
    forged(run, lambda lines: _squeezed(lines, 0.5))
    record = summarise_journal(read_journal(run))
    assert record["measured"].validity == "invalid"
    assert "counter-disagrees-with-power" in {finding.code for finding in record.findings}


def _multiplied(lines, factor):
    for line in lines:
        if line.get("close") is not None:
            line["work"] = {unit: amount * factor for unit, amount in line["work"].items()}


def test_work_that_is_multiplied_at_the_end_of_each_window_takes_the_validity_from_the_record(tmp_path):
    """The example that is published: its windows had counted 996 requests when they are said to have ended with 7,000."""
    lines = [
        decoded(line, place="x")
        for line in gzip.decompress((FOLDERS[0] / "journal.jsonl.gz").read_bytes()).splitlines(keepends=True)
    ]
    _multiplied(lines, 7)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(encoded(line) for line in lines))
    record = summarise(tmp_path)
    assert record["measured"].validity == "degraded"
    assert {f.code for f in record.findings_on("measured")} >= {"work-all-at-once"}
    assert rate(record).stars is None
    found = implausible(read_journal(tmp_path), record, [])
    assert "work-all-at-once" in {finding.code for finding in found}
    _multiplied(lines, 0.1)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(encoded(line) for line in lines))
    assert summarise(tmp_path)["measured"].validity == "invalid"


def test_repeats_that_are_the_same_to_the_last_digit_are_noted(tmp_path):
    clock = VirtualClock()
    clock.time = 1024.0
    gpu = FakeDevice(
        clock=clock,
        power=lambda t: 256.0,
        energy=lambda t: 256.0 * t,
        tick_s=0.125,
        known_period=True,
        offset_j=0.0,
    )
    with measure(
        "inference", output_dir=tmp_path, sensors=[gpu], clock=clock, report=None, period_s=0.125
    ) as run:
        for _ in range(4):
            with run.window("measured"):
                clock.sleep(16)
    journal = read_journal(tmp_path)
    energies = {found.code for found in implausible(journal, summarise_journal(journal), [])}
    assert "no-noise" in energies


@pytest.mark.parametrize(
    ("power_w", "served", "told"), [(101.0, True, True), (101.0, False, False), (150.0, True, False)]
)
def test_a_server_that_answers_while_the_gpu_is_as_idle_as_before_may_be_elsewhere(
    tmp_path, power_w, served, told
):
    clock = VirtualClock()
    clock.time = 1024.0
    working: list[float] = []

    def joules(t: float) -> float:
        return 100.0 * t + (power_w - 100.0) * (max(0.0, t - working[0]) if working else 0.0)

    gpu = FakeDevice(
        clock=clock,
        power=lambda t: power_w if working else 100.0,
        energy=joules,
        tick_s=0.125,
        known_period=True,
        offset_j=0.0,
    )
    with measure(
        "inference", output_dir=tmp_path, sensors=[gpu], clock=clock, report=None, period_s=0.125
    ) as run:
        if served:
            run.tell("served-by", "the model was served by a server")
        with run.window("idle-before"):
            clock.sleep(20)
        working.append(clock.time)
        with run.window("measured") as window:
            clock.sleep(20)
            window.count(request=10)
    found = [f for f in run.record.findings if f.code == "server-may-be-elsewhere"]
    assert [(f.severity, f.measurement) for f in found] == ([("degrades", "measured")] if told else [])


def test_strict_decides_the_exit_code_by_what_is_more_than_a_note(run):
    forged(run, _overlapping)
    (run / "record.json").unlink()
    for name in ("rating.json", "label.svg", "card.md"):
        (run / name).unlink()
    assert energy_rating("summarise", run).returncode == 0
    assert verify(run).agrees
    assert not verify(run, strict=True).plausible
    done = energy_rating("verify", "--strict", run)
    assert done.returncode == 1
    assert "repeats-overlap" in done.stdout


@pytest.mark.parametrize("command_line", [[], ["--strict"]])
def test_a_folder_with_only_a_journal_has_no_record_yet(run, command_line):
    for path in run.iterdir():
        if not path.name.startswith("journal"):
            path.unlink()
    done = CliRunner().invoke(cli, ["verify", str(run), *command_line], standalone_mode=False)
    assert isinstance(done.exception, BadInput)
    told = str(done.exception)
    assert "cannot be checked: the folder holds a journal but no record" in told
    assert f"energy-rating summarise {run}" in told


def test_a_record_that_was_taken_away_from_its_label_is_missing(run):
    (run / "record.json").unlink()
    found = verify(run)
    assert not found.agrees
    assert any(difference.file == "record.json" for difference in found.differences)


# ------------------------------------------------------------------------------------------------- a card that lies elsewhere

PUBLISHED_BY_0_1_0 = Path(__file__).parents[1] / "data" / "0.1.0-published"


@pytest.fixture
def readme(run, tmp_path):
    """``repo/README.md`` with the section, and the run in a folder of its own."""
    record = load(run)
    text = cards.update_card("# Mine\n", [record], ratings=[rate(record)], label="run/label.svg")
    (tmp_path / "README.md").write_text(text)
    return tmp_path / "README.md"


def test_a_readme_that_lies_elsewhere_is_held_against_the_run(run, readme):
    found = verify(run, card=readme)
    assert found.agrees, verification_to_text(found)
    assert "README.md" in found.checked
    assert not [note for note in found.notes if "README.md" in note]


@pytest.mark.parametrize(
    ("was", "now", "path"),
    [
        (r'alt="[^"]*"', 'alt="5 of 5 stars; measured 2.0 ± 0.1 J per request"', "text"),
        ("These figures are self-declared", "An accredited laboratory certified these figures", "text"),
        (
            r"\| Energy per request, GPU \| [\d.]+",
            "| Energy per request, GPU | 2.0",
            "Energy per request, GPU",
        ),
        (r"<code>.", "<code>", "text"),
        (r'"stars": null', '"stars": 5', "data.stars"),
        (r"\n\n“±”", "\n\nRecommended by the maker.\n\n“±”", "text"),
    ],
)
def test_every_word_of_a_readme_that_lies_elsewhere_counts(run, readme, was, now, path):
    text = readme.read_text()
    forged_text = re.sub(was, now, text, count=1)
    assert forged_text != text
    readme.write_text(forged_text)
    found = verify(run, card=readme)
    assert {(one.file, one.path) for one in found.differences} >= {("README.md", path)}
    assert found.verdict == "differs"


def test_a_card_on_which_no_rating_was_made_is_checked_as_any_other(run, readme):
    record = load(run)
    text = cards.update_card("# Mine\n", [record])
    assert "no rating was made" in text
    (run / "card.md").write_text(cards.section([(record, None)]))
    readme.write_text(text)
    found = verify(run, card=readme)
    assert found.agrees, verification_to_text(found)
    readme.write_text(text.replace("**not rated**: no rating was made", "**5 of 5 stars**"))
    assert not verify(run, card=readme).agrees


def test_what_stands_around_the_section_is_nobodys_business(run, readme):
    text = readme.read_text()
    readme.write_text(
        text.replace("# Mine", "# Mine, the best model of all, 5 of 5 stars").replace("\n", "\r\n")
    )
    assert verify(run, card=readme).agrees


def test_a_readme_without_a_section_or_of_another_run_does_not_match(run, readme):
    other = load(PUBLISHED_BY_0_1_0)
    readme.write_text(cards.update_card("# Mine\n", [other], ratings=[rate(other)]))
    assert [one.path for one in verify(run, card=readme).differences] == ["Run"]
    readme.write_text("# Mine\n")
    assert not verify(run, card=readme).agrees
    with pytest.raises(BadInput, match="is not a file"):
        verify(run, card=readme.with_name("missing.md"))


def test_of_a_section_of_several_runs_that_of_this_one_is_checked(run, readme):
    record, other = load(run), load(PUBLISHED_BY_0_1_0)
    for records in ([record, other], [other, record]):
        # The picture is the first one's.
        shown = "run/label.svg" if records[0] is record else "elsewhere/label.svg"
        text = cards.update_card("# Mine\n", records, ratings=[rate(one) for one in records], label=shown)
        readme.write_text(text)
        for folder in (run, PUBLISHED_BY_0_1_0):
            found = verify(folder, card=readme)
            assert found.agrees, verification_to_text(found)
            assert any("the other runs that README.md tells of" in told for told in found.not_checked)
        readme.write_text(text.replace("org/name", "org/better"))
        assert not verify(run, card=readme).agrees


def test_the_emissions_in_the_metadata_are_those_of_the_run(tmp_path):
    from energy_rating.judging.footprint.carbon import footprint

    clock = VirtualClock()
    power, energy = square(100, 400, 0.7)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    training = measure("fine-tuning", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None)
    with training, training.window("epoch") as window:
        clock.sleep(30)
        window.count(token=1000)
    record = load(tmp_path / "run")
    text = cards.update_card(
        "# Mine\n", [record], ratings=[rate(record)], impact=footprint(record, zone="FRA")
    )
    readme = tmp_path / "README.md"
    readme.write_text(text)
    found = verify(tmp_path / "run", card=readme)
    assert found.agrees, verification_to_text(found)
    assert any("took place in FRA" in told for told in found.not_checked)
    readme.write_text(re.sub(r"emissions: [\d.]+", "emissions: 0.00001", text))
    found = verify(tmp_path / "run", card=readme)
    assert [one.path for one in found.differences] == ["co2_eq_emissions"]
    readme.write_text(text.replace('"zone": "FRA"', '"zone": "NOR"'))
    assert not verify(tmp_path / "run", card=readme).agrees
    # Other programs write the front matter anew, in quotes and an order of their own.
    _, front, body = text.split("---\n", 2)
    keys = yaml.safe_load(front)
    readme.write_text(f"---\n{yaml.safe_dump(keys, sort_keys=True)}---\n{body}")
    found = verify(tmp_path / "run", card=readme)
    assert found.agrees, verification_to_text(found)
    # Beside other runs the figure is held against this one just so; who looks at another is told that it is not.
    other = load(PUBLISHED_BY_0_1_0)
    text = cards.update_card(
        "# Mine\n",
        [other, record],
        ratings=[rate(other), rate(record)],
        impact=footprint(record, zone="FRA"),
    )
    readme.write_text(text)
    assert verify(tmp_path / "run", card=readme).agrees
    found = verify(PUBLISHED_BY_0_1_0, card=readme)
    assert found.agrees, verification_to_text(found)
    assert "co2_eq_emissions of README.md, which is of another run" in found.not_checked
    readme.write_text(re.sub(r"emissions: [\d.]+", "emissions: 0.00001", text))
    assert [one.path for one in verify(tmp_path / "run", card=readme).differences] == ["co2_eq_emissions"]


def test_addresses_that_were_given_are_part_of_what_is_compared(run):
    links = Links(journal="https://example.org/journal.jsonl.gz")
    record = load(run)
    (run / "card.md").write_text(cards.section([(record, rate(record))], label="label.png", links=links))
    (run / "label.svg").write_text(label.svg(record, rate(record), links))
    found = verify(run)
    assert found.agrees, verification_to_text(found)
    assert "what lies at the addresses that are given" in found.not_checked
    text = (run / "card.md").read_text()
    (run / "card.md").write_text(text.replace("](https://example.org/", "](https://evil.example/"))
    assert places(run) == {"card.md: text"}


@pytest.fixture
def later(monkeypatch):
    """The next version, whose wording is another form; what is published now is then of an earlier one."""
    monkeypatch.setattr("energy_rating.publishing.data.FORM", FORM + 1)
    monkeypatch.setattr("energy_rating.publishing.checking_shown.FORM", FORM + 1)


@pytest.mark.parametrize("name", ["card.md", "label.svg"])
def test_of_what_an_earlier_version_worded_the_claims_are_compared_and_that_is_said(run, name, later):
    text = (run / name).read_text()
    text = text.replace("self-declared", "declared by themselves")
    (run / name).write_text(text)
    found = verify(run)
    assert found.agrees, verification_to_text(found)
    assert any(
        told.startswith(f"the words of {name}, which an earlier version made") for told in found.not_checked
    )
    for was, now in (
        (r"(\d)( ± [\d.]+ J)", r"\g<1>9\2"),
        ("org/name", "org/other"),
        ("text-generation", "text-summary"),
        ("Made-up GPU", "Better GPU"),
    ):
        (run / name).write_text(re.sub(was, now, text))
        assert not verify(run).agrees, was


@pytest.mark.parametrize("form", [FORM + 1, 1, 0, -1, 10**9])
@pytest.mark.parametrize("name", ["card.md", "label.svg", "label.png"])
def test_what_says_that_another_version_made_it_is_not_called_right_for_that(run, honest, name, form):
    """Else a number would be enough to keep anybody from reading the words."""
    if name.endswith(".png"):
        shutil.copy(honest / name, run)
    content = (run / name).read_bytes()
    (run / name).write_bytes(_with_form(content, form))
    found = verify(run)
    assert not found.agrees
    assert found.verdict == ("cannot be checked" if form > FORM else "differs")
    assert name in verification_to_text(found)


def _with_form(content: bytes, form: int) -> bytes:
    was, now = f'"form": {FORM},'.encode(), f'"form": {form},'.encode()
    assert was in content
    if not content.startswith(b"\x89PNG"):
        return content.replace(was, now)
    texts = {key: text.replace(was.decode(), now.decode()) for key, text in picture.texts(content).items()}
    image = [chunk for chunk in _chunks(content) if chunk[4:8] != b"iTXt"]
    told = [_chunk(b"iTXt", f"{key}\0\0\0\0\0{text}".encode()) for key, text in texts.items()]
    return content[:8] + b"".join([image[0], *told, *image[1:]])


def _chunks(content: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        found.append(content[at:end])
        at = end
    return found


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    ("kind", "body", "before"),
    [
        (b"acTL", struct.pack(">II", 1, 0), b"IDAT"),  # frames of an animation, which a browser plays
        (b"tEXt", b"Title\0five of five stars", b"IDAT"),
        (b"iTXt", b"Description\0\0\0\0\0five of five stars", b"iTXt"),
        (b"iTXt", b"Comment\0\0\0\0\0five of five stars", b"IEND"),
        (b"gAMA", struct.pack(">I", 1), b"IDAT"),
        (b"", b"", b""),
    ],
)
def test_a_picture_of_a_label_holds_nothing_else(run, honest, kind, body, before):
    content = (honest / "label.png").read_bytes()
    (run / "label.png").write_bytes(content)
    assert verify(run).agrees
    chunks = _chunks(content)
    at = next((number for number, chunk in enumerate(chunks) if chunk[4:8] == before), len(chunks))
    chunks.insert(at, _chunk(kind, body) if kind else b"PK and more")
    (run / "label.png").write_bytes(content[:8] + b"".join(chunks))
    found = verify(run)
    assert {one.file for one in found.differences} == {"label.png"}


# ---------------------------------------------------------------------------------------------- whole cards


def test_a_card_has_one_section_and_what_stands_around_it_is_told_as_not_checked(run, readme):
    text = readme.read_text()
    found = verify(run, card=readme)
    assert "what README.md says outside of its section" in found.not_checked
    better = text.replace("not rated", "5 of 5 stars").partition("# Mine\n")[2]
    for forged_text in (text + better, better + text, text.replace(splice.END, "")):
        readme.write_text(forged_text)
        assert verify(run, card=readme).verdict == "differs"
    # What is only shown as code is no section.
    readme.write_text("```\n" + text.partition("# Mine\n")[2] + "```\n")
    assert verify(run, card=readme).verdict == "differs"
    (run / "README.md").write_text("# Mine\n")
    assert "README.md, in which no section of ours stands" in verify(run).not_checked


def test_the_picture_that_a_card_shows_is_held_against_the_run_whatever_its_name(run, readme):
    picture_text = (run / "label.svg").read_text()
    (readme.parent / "stars.svg").write_text(picture_text)
    text = readme.read_text().replace("run/label.svg", "stars.svg")
    readme.write_text(text)
    found = verify(run, card=readme)
    assert found.agrees, verification_to_text(found)
    assert "stars.svg" in found.checked
    (readme.parent / "stars.svg").write_text(picture_text.replace("NOT RATED", "5 STARS"))
    assert {one.file for one in verify(run, card=readme).differences} == {"stars.svg"}
    for elsewhere in ("https://example.org/label.svg", "../stars.svg"):
        readme.write_text(text.replace("stars.svg", elsewhere))
        found = verify(run, card=readme)
        assert any(elsewhere in told for told in found.not_checked), verification_to_text(found)


def test_a_card_that_is_reached_through_a_link_is_read(run, readme, tmp_path):
    """As in the Hub's cache, where each file of a snapshot is a link."""
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "README.md").symlink_to(readme)
    found = verify(run, card=tmp_path / "snapshot" / "README.md")
    assert found.agrees, verification_to_text(found)


def test_of_a_section_of_several_runs_the_data_hold_nothing_else(run, readme):
    record, other = load(run), load(PUBLISHED_BY_0_1_0)
    text = cards.update_card("# Mine\n", [record, other], ratings=[rate(record), rate(other)])
    readme.write_text(text)
    assert verify(run, card=readme).agrees
    for was, now in (
        (" -->\n\n<!-- energy-rating:end", " -->\n**5 of 5 stars**\n\n<!-- energy-rating:end"),
        ('{"schema": "energy-rating/section/1"', '{"certified": true, "schema": "energy-rating/section/1"'),
    ):
        readme.write_text(text.replace(was, now))
        assert text != readme.read_text()
        assert not verify(run, card=readme).agrees


def test_what_0_1_0_published_is_checked_to_the_letter_and_the_pixel(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(PUBLISHED_BY_0_1_0, folder)
    found = verify(folder, strict=True)
    assert found.agrees, verification_to_text(found)
    assert {"label.svg", "label.png", "card.md", "rating.json"} <= set(found.checked)
    for name, was, now in (
        ("card.md", "20.4 ± 1.6 J per request on", "10.4 ± 1.6 J per request on"),
        ("card.md", "self-declared by", "certified by"),
        ("label.svg", "32 % less energy", "62 % less energy"),
    ):
        text = (folder / name).read_text()
        assert was in text
        (folder / name).write_text(text.replace(was, now))
        assert f"{name}: text" in places(folder)
        (folder / name).write_text(text)


def test_a_damaged_line_of_the_journal_stands_beside_the_verdict(run):
    content = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    content[40] = content[40][:10] + b"?" + content[40][11:]
    (run / "journal.jsonl").write_bytes(b"".join(content))
    assert energy_rating("summarise", run).returncode == 0
    for name in ("rating.json", "label.svg", "card.md"):
        (run / name).unlink()
    found = verify(run)
    *_, damage, verdict, _ = verification_to_text(found).splitlines()
    assert damage.startswith("The journal is damaged: ")
    assert verdict.startswith("Matches its journal, as far as that can be read: ")
    assert verification_to_json(found)["damaged"]


def test_the_command_takes_the_card(run, readme):
    done = CliRunner().invoke(cli, ["verify", str(run), "--card", str(readme)])
    assert done.exit_code == 0
    said = " ".join(done.output.split())  # it is folded for a terminal
    assert "README.md" in said.partition("Matches its journal: ")[2].partition("Not checked: ")[0]
    readme.write_text(readme.read_text().replace("not rated", "rated"))
    done = CliRunner().invoke(cli, ["verify", str(run), "--card", str(readme)])
    assert done.exit_code == 1
    assert any(line.startswith("Does not match its journal: ") for line in done.output.splitlines()[-3:])


# ----------------------------------------------------------------------------------------------------- a claim without a run


@pytest.mark.parametrize("name", ["label.svg", "label.png", "README.md", "card.md"])
def test_a_label_or_a_card_alone_says_which_journal_is_missing_and_where_it_is(run, tmp_path, name):
    record, alone = load(run), tmp_path / "alone"
    alone.mkdir()
    links = Links(journal="https://example.org/journal.jsonl.gz")
    (alone / name).write_bytes(
        {
            "label.svg": lambda: label.svg(record, rate(record), links).encode(),
            "label.png": lambda: picture.png(record, rate(record), links),
            "README.md": lambda: cards.update_card(
                b"# Mine\n", [record], ratings=[rate(record)], links=links
            ),
            "card.md": lambda: cards.section([(record, rate(record))], links=links).encode(),
        }[name]()
    )
    needed = f"{name} names the journal of run {record.run_id} (SHA-256 {record.provenance.journal_sha256}) at https://example.org/journal.jsonl.gz"
    with pytest.raises(BadInput) as caught:
        verify(alone / name)
    assert f"cannot be checked alone: {needed}" in str(caught.value)
    assert "energy-rating verify FOLDER" in str(caught.value)
    with pytest.raises(BadInput) as caught:
        verify(alone)
    assert f"the folder holds no journal; {needed}" in str(caught.value)


def test_what_is_neither_a_run_nor_made_from_one_is_refused_as_ever(tmp_path):
    for name, content in (
        ("a.md", b"# Mine\n"),
        ("a.svg", b"<svg"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.md", b"\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="is not a folder"):
            verify(tmp_path / name)
