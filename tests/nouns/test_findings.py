"""One table holds every code of a finding: what it means, how grave it is, what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from energy_rating.nouns.choices import SEVERITIES
from energy_rating.nouns.findings import ESTIMATED, FINDINGS, NOT_MEASURED, SUBJECTS
from energy_rating.nouns.records import Finding, plain

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "energy_rating"
TABLE = PACKAGE / "nouns" / "findings.py"

# What makes a finding from a code, which comes first.
MAKERS = {
    "Finding.of",
    "self.tell",
    "self._tell",
    "self._tell_once",
    "self.run.tell",
    "run.tell",
    "of_import",
    "_DeviceRemark",
}

# Where findings are made of what others said: a file that is read, a process that runs a stranger's workload.
OF_OTHERS = {"nouns/entries.py", "benchmarking/child.py"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != TABLE:
            yield path, ast.parse(path.read_text())


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_code_that_the_package_makes_is_in_the_table() -> None:
    made = {
        node.args[0].value
        for _, tree in trees()
        for name, node in calls(tree)
        if name in MAKERS and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert len(made) > 100, "they are found at all"
    assert made <= set(FINDINGS), sorted(made - set(FINDINGS))


def test_every_code_of_the_table_is_made_somewhere() -> None:
    texts = {
        node.value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    by_component = {*NOT_MEASURED.values(), *ESTIMATED.values()}
    assert set(FINDINGS) <= texts | by_component, sorted(set(FINDINGS) - texts - by_component)


def test_no_code_is_glued_together() -> None:
    """A code that stands nowhere cannot be looked up."""
    for path, tree in trees():
        for name, node in calls(tree):
            tells = name != "self.tell" or "measuring" in path.parts  # others tell people
            if name in MAKERS and node.args and tells:
                assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), f"{path}:{node.lineno}"


def test_findings_are_made_by_the_table_alone() -> None:
    for path, tree in trees():
        if str(path.relative_to(PACKAGE)) not in OF_OTHERS:
            for name, node in calls(tree):
                assert name != "Finding", (
                    f"{path}:{node.lineno}: Finding.of takes the severity from the table"
                )


def test_nowhere_is_a_severity_chosen_that_the_table_knows() -> None:
    for path, tree in trees():
        for name, node in calls(tree):
            if name in MAKERS and node.args and isinstance(node.args[0], ast.Constant):
                kind = FINDINGS[node.args[0].value]
                said = any(keyword.arg == "severity" for keyword in node.keywords) or len(node.args) > 3
                assert said == (len(kind.severities) > 1), f"{path}:{node.lineno}: {node.args[0].value}"


def test_a_code_that_the_table_does_not_know_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"code must be one of nouns/findings\.py; got 'out-of-thin-air'"):
        Finding.of("out-of-thin-air", "nothing")
    with pytest.raises(
        ValueError, match="severity of 'interrupted' must be one of note, degrades, disqualifies"
    ):
        Finding.of("interrupted", "nothing")
    with pytest.raises(ValueError, match="severity of 'doubtful' must be one of degrades; got 'note'"):
        Finding.of("doubtful", "nothing", severity="note")


def test_what_a_later_version_found_can_still_be_read() -> None:
    assert Finding(code="known-in-2030", message="it was foggy", severity="degrades").code == "known-in-2030"


def test_the_table_says_which_severity_applies_when_there_are_several() -> None:
    for code, kind in FINDINGS.items():
        assert bool(kind.when) == (len(kind.severities) > 1), code
        assert list(kind.severities) == sorted(kind.severities, key=SEVERITIES.index), code
        if kind.when:
            assert re.findall(r"(note|degrades|disqualifies): ", kind.when) == list(kind.severities), code


def test_a_newcomer_reads_one_sentence_of_each_code() -> None:
    assert len(FINDINGS) == sum(len(kinds) for kinds in SUBJECTS.values()), "no code stands twice"
    for code, kind in FINDINGS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert re.fullmatch(r"[A-Z].+\.", kind.meaning), code
        assert not re.search(r"\. [A-Z]", kind.meaning), f"{code}: one sentence"
        assert not kind.remedy or kind.remedy[0].isupper(), code
        if (
            kind.severities[-1] == "disqualifies"
            and code not in SUBJECTS["What speaks against a published run"]
        ):
            assert kind.remedy, f"{code}: what disqualifies says what to do"


def test_data_of_a_finding_are_stored_only_where_there_are_some() -> None:
    assert "data" not in plain(Finding.of("doubtful", "much"))
    told = Finding.of("gain-corrected", "by 1.02", data={"gain": 1.02})
    assert plain(told)["data"] == {"gain": 1.02}
    assert len({told, Finding.of("gain-corrected", "by 1.02")}) == 2, "findings can be put into sets"
