"""The page of the codes of findings and of reasons, from their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from energy_rating.nouns.findings import SUBJECTS, FindingKind
from energy_rating.nouns.reasons import REASON_SUBJECTS
from reference.markdown import cell, code, table

HEAD = """\
# Findings and reasons

A *finding* is a remark that travels with a measurement: into its record, onto its card. Each has a **code** that never changes its
meaning, a sentence that tells the case at hand, and mostly a remedy. How grave it is:

- **note**: good to know; the figure is as good as it says.
- **degrades**: the figure can be used, and is marked. The measurement is *degraded*.
- **disqualifies**: the figure is shown and never rated. The measurement is *invalid*.

A *reason* says why something is **not** rated, not converted to another device, not calibrated or not compared. It has a code, a sentence and a remedy
too; in JSON `reasons` are the sentences and `reason_codes` the codes, in the same order.

Programs should go by the codes; the sentences may be worded better from version to version.
"""

REASONS_HEAD = """
## Codes of reasons

*Mended by a better measurement*: where all reasons are of this kind, `--provisional` says what the stars would be.
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


def tables_of_reasons() -> Iterator[str]:
    for subject, kinds in REASON_SUBJECTS.items():
        yield f"\n### {subject}\n"
        rows = (
            (code(name), cell(kind.meaning), cell(kind.remedy), "yes" if kind.mendable else "")
            for name, kind in kinds.items()
        )
        head = ("code", "what it means", "what to do", "mended by a better measurement")
        yield table(head, rows).rstrip()


def page() -> str:
    findings, reasons = "\n".join(tables(SUBJECTS)), "\n".join(tables_of_reasons())
    return f"{HEAD}\n## Codes of findings\n{findings}\n{REASONS_HEAD}{reasons}\n"
