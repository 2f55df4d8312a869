"""No code reads a sentence: whatever findings and reasons say, in whatever words, every verdict is the same."""

from __future__ import annotations

import ast
import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fault_matrix import CELLS, SINCE_S
from playing_faults import play_count, play_machine, play_sensor
from virtual_machine import Strike

from energy_rating import EnergyRatingError, load, normalise, rate, summarise
from energy_rating.files.journal import JOURNAL_NAMES, encoded
from energy_rating.judging.evidence import by_todays_rules
from energy_rating.nouns.reasons import Reason, codes
from energy_rating.nouns.records import Finding, Record, plain

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "energy_rating"
OLD = sorted(path for path in (TOP / "tests" / "data" / "0.1.0").iterdir() if path.is_dir())
PUBLISHED = sorted(path.parent for path in (TOP / "reports").glob("*/record.json"))

# Words that code once looked for, and such as would break a sentence that is taken apart.
WORDS = (
    *(
        "the doubt is too wide",
        "not measured",
        ", its gain",
        "disqualifies",
        "gpu0.energy",
        "; ",
        ": ",
        "(and 3 more)",
    ),
    *(
        "it cannot be normalised",
        "estimated",
        "measured on",
        "no",
        "the line is cut short",
        "error: ",
        "Ω",
        "1.02",
    ),
)


def other(text: str) -> str:
    """The same sentence in other words: any, but always the same of one sentence."""
    chosen = random.Random(f"13/{text}")
    return " ".join(chosen.choices(WORDS, k=chosen.randint(1, 9))) if text else text


def reworded(finding: Finding) -> Finding:
    return replace(finding, message=other(finding.message), remedy=other(finding.remedy))


@pytest.fixture
def in_other_words(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on every finding and every reason that is made says something else."""
    for noun in (Finding, Reason):
        made = noun.__init__

        def init(self: object, made: object = made, **said: object) -> None:
            said |= {name: other(str(said.get(name, ""))) for name in ("message", "remedy")}
            made(self, **said)  # type: ignore[operator]

        monkeypatch.setattr(noun, "__init__", init)
    return monkeypatch


def decided(record: Record) -> dict[str, object]:
    """All that is decided of a record, and none of the words."""
    found: dict[str, object] = {
        "findings": [(one.code, one.severity, one.measurement, one.channel) for one in record.findings],
        "measurements": [(one.name, one.validity, plain(one.energy_j), one.coverage) for one in record],
    }
    for scheme in ("2026.0-draft", "2026.1"):
        rating = rate(record, scheme=scheme, provisional=True)
        numbers = (
            rating.stars,
            rating.could_be,
            plain(rating.index),
            plain(rating.would_be),
            rating.interval_95,
        )
        found[scheme] = (
            numbers,
            rating.status,
            rating.basis,
            rating.class_,
            codes(rating.why_not),
            rating.own,
        )
    try:
        converted = normalise(record)
    except EnergyRatingError as error:
        found["converted"] = type(error).__name__
    else:
        found["converted"] = (
            converted.factor,
            converted.tier,
            converted.interval_90,
            codes(converted.why_not),
        )
    return found


def faults(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Runs in which something went wrong, played with the fakes."""
    sensors = [cell for cell in CELLS if cell.group == "sensors"][::9]
    machines = [cell for cell in CELLS if cell.group == "machines"]
    counts = [cell for cell in CELLS if cell.group == "counts"][::3]
    assert len(sensors) > 5
    assert machines
    assert counts
    for number, cell in enumerate((*sensors, *machines, *counts)):
        where = folder / str(number)
        where.mkdir()
        if cell.group == "sensors":
            strike = Strike(since_s=SINCE_S[cell.when])
            fault = cell.fault.rpartition(" for ")[0] or cell.fault
            run, _ = play_sensor(cell.where, fault, strike, cell.unseen, (where, patch))
        elif cell.group == "counts":
            run, _ = play_count(cell.fault, cell.when, (where, patch))
        else:
            run, _ = play_machine(cell.fault, (where, patch))
        yield run.folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        return (*OLD, *PUBLISHED, *faults(folder, patch))


@pytest.fixture(scope="module")
def verdicts(runs: tuple[Path, ...]) -> tuple[dict[str, object], ...]:
    """What is decided of each run, in the words of today."""
    found = tuple(decided(summarise(run)) for run in runs)
    said = {code for one in found for code, *_ in one["findings"]}  # type: ignore[attr-defined]
    assert len(said) >= 12, f"findings of many kinds are among them: {sorted(said)}"
    return found


def test_in_other_words_every_verdict_is_the_same(
    runs: tuple[Path, ...], verdicts: tuple[dict[str, object], ...], in_other_words: pytest.MonkeyPatch
) -> None:
    assert str(Reason.of("too-brief", "3 s were measured")) != "3 s were measured. Measure longer"
    for run, verdict in zip(runs, verdicts, strict=True):
        assert decided(summarise(run)) == verdict, run


def test_a_record_in_other_words_is_judged_alike(
    runs: tuple[Path, ...], verdicts: tuple[dict[str, object], ...]
) -> None:
    for run, verdict in zip(runs, verdicts, strict=True):
        record = summarise(run)
        record = replace(record, findings=tuple(reworded(one) for one in record.findings))
        assert decided(by_todays_rules(record, ())) == verdict, run


def test_a_journal_in_other_words_gives_the_same_record(
    runs: tuple[Path, ...], verdicts: tuple[dict[str, object], ...], tmp_path: Path
) -> None:
    for number, (run, verdict) in enumerate(zip(runs, verdicts, strict=True)):
        journal = next(run / name for name in JOURNAL_NAMES if (run / name).is_file())
        content = journal.read_bytes()
        lines = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).splitlines(
            keepends=True
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(b"".join(_line_in_other_words(line) for line in lines))
        assert decided(summarise(folder)) == verdict, run


def _line_in_other_words(line: bytes) -> bytes:
    if b'"finding"' not in line or not line.endswith(b"\n"):
        return line
    entry = json.loads(line)
    if "finding" not in entry:
        return line
    entry["finding"] |= {"message": other(entry["finding"]["message"]), "remedy": "…"}
    del entry["crc"]
    return encoded(entry)


@pytest.mark.parametrize("folder", OLD, ids=lambda folder: folder.name)
def test_what_the_first_release_wrote_follows_from_its_journal_in_any_words(
    folder: Path, in_other_words: pytest.MonkeyPatch
) -> None:
    assert load(folder).checked == "journal"


# ------------------------------------------------------------------------------------------------------- where it stands

TAKES_APART = {
    *("startswith", "endswith", "partition", "rpartition", "split", "rsplit", "splitlines", "find", "index"),
    *("removeprefix", "removesuffix", "count"),
}
SEARCHES = {"match", "fullmatch", "search", "finditer", "findall"}

# The one place that reads a sentence: findings of the first release had nothing else.
READS = ("judging/evidence.py", "_claimed_in_words")


def _is_message(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("message", "remedy")


def _reads(node: ast.AST) -> bool:
    """Whether a finding's, a reason's or an error's words are taken apart, looked for or compared with some."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if _is_message(node.func.value) and node.func.attr in TAKES_APART:
            return True
        return node.func.attr in SEARCHES and any(_is_message(one) for one in node.args)
    if isinstance(node, ast.Compare):
        return any(isinstance(how, ast.In | ast.NotIn | ast.Eq | ast.NotEq) for how in node.ops) and any(
            _is_message(one) for one in (node.left, *node.comparators)
        )
    return False


def test_in_one_place_alone_a_sentence_is_read_and_it_is_that_of_the_first_release() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if (
            re.search(r"\.\s*(?:message|remedy)\b", text) is None
        ):  # it has no such attribute, and is not looked through node by node
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef) and any(_reads(node) for node in ast.walk(function)):
                found.append((str(path.relative_to(PACKAGE)), function.name))
    # What an error says of itself is made into one line there.
    assert [one for one in found if one[0] != "nouns/errors.py"] == [READS]
