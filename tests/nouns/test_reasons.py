"""One table holds every code of a reason: what it means, what to do, and whether a better measurement would mend it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from energy_rating.nouns.reasons import REASON_SUBJECTS, REASONS, Reason, codes

PACKAGE = Path(__file__).parents[2] / "energy_rating"
TABLE = PACKAGE / "nouns" / "reasons.py"

# What makes a reason from a code, which comes first.
MAKERS = {"Reason.of", "_without"}


def made() -> dict[str, str]:
    """The codes of reasons that the package makes, and where."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == TABLE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS and node.args:
                code = node.args[0]
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                assert not isinstance(code, ast.JoinedStr | ast.BinOp), (
                    f"{place}: a code is not glued together"
                )
                for part in ast.walk(code):
                    if (
                        isinstance(part, ast.Constant) and isinstance(part.value, str) and "-" in part.value
                    ) or (isinstance(part, ast.Constant) and part.value in REASONS):
                        found[part.value] = place
    return found


def test_every_code_of_a_reason_is_in_the_table_and_every_code_of_the_table_is_made() -> None:
    assert set(made()) == set(REASONS)


def test_a_code_that_the_table_does_not_know_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"code must be one of nouns/reasons\.py; got 'bad-luck'"):
        Reason.of("bad-luck", "it rained")


def test_a_reason_takes_from_its_code_what_it_does_not_say_better() -> None:
    brief = Reason.of("too-brief", "3 s were measured; 60 s are needed")
    assert (brief.remedy, brief.mendable) == ("Measure longer", True)
    assert str(brief) == "3 s were measured; 60 s are needed. Measure longer"
    never = Reason.of("never-rated", "it shows how things work")
    assert str(never) == "it shows how things work"
    assert codes((brief, never)) == ("too-brief", "never-rated")


def test_a_newcomer_reads_one_sentence_of_each_code() -> None:
    assert len(REASONS) == sum(len(kinds) for kinds in REASON_SUBJECTS.values()), "no code stands twice"
    for code, kind in REASONS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert re.fullmatch(r"[A-Z].+\.", kind.meaning), code
        assert not re.search(r"\. [A-Z]", kind.meaning), f"{code}: one sentence"
        assert not kind.remedy or kind.remedy[0].isupper(), code


def test_what_a_better_measurement_mends_says_what_to_do() -> None:
    assert all(kind.remedy for kind in REASONS.values() if kind.mendable)
