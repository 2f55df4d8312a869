"""The page of the codes of findings, from their table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from energy_rating.nouns.findings import SUBJECTS, FindingKind
from reference.markdown import cell, code, table

HEAD = """\
# Findings

A *finding* is a remark that travels with a measurement: into its record, onto its card. Each has a **code** that never changes its
meaning, a sentence that tells the case at hand, and mostly a remedy. How grave it is:

- **note**: good to know; the figure is as good as it says.
- **degrades**: the figure can be used, and is marked. The measurement is *degraded*.
- **disqualifies**: the figure is shown and never rated. The measurement is *invalid*.

Programs should go by the codes; the sentences may be worded better from version to version.
"""


def how_grave(kind: FindingKind) -> str:
    """How grave, and where there are several, which when."""
    return kind.severities[0] if not kind.when else kind.when.replace("; ", ";<br>")


def tables(subjects: Mapping[str, Mapping[str, FindingKind]]) -> Iterator[str]:
    for subject, kinds in subjects.items():
        yield f"\n### {subject}\n"
        rows = (
            (code(name), cell(how_grave(kind)), cell(kind.meaning), cell(kind.remedy))
            for name, kind in kinds.items()
        )
        yield table(("code", "how grave", "what it means", "what to do"), rows).rstrip()


def page() -> str:
    return HEAD + "\n## Codes of findings\n" + "\n".join(tables(SUBJECTS)) + "\n"
