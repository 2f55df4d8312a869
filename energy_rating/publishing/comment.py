"""What a pull request is told of its energy: a table, a plot and a sentence, as Markdown that GitHub renders. Sending it is the workflow's.

Names in a record may be anybody's, who opened the pull request among them: they are text in cells. The plot is Mermaid's, which GitHub
draws itself, so that no picture has to be put anywhere; in it stand numbers and words of ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from energy_rating.judging.comparison import OF_GAIN, Comparison, compare
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import Record
from energy_rating.publishing import overview, words
from energy_rating.publishing.facts import Facts, facts_of
from energy_rating.publishing.names import NAMES
from energy_rating.publishing.strangers import for_markdown

# By which a workflow finds its own comment again, to change it instead of adding another.
MARKER = "<!-- energy-rating:comment -->"
HEADING = "### Energy of this change"
# GitHub takes 65,536 characters of a comment (docs.github.com, "Create an issue comment", 2026-11); the rest is a reserve.
LONGEST = 60_000
MOST_BARS = 24

_CALLS = re.compile(r"&#64;|@|(?<!&)#(?=\d)|\bGH-(?=\d)", re.IGNORECASE)

TABLE = (
    "| No. | Run | Energy before | Energy now | Change | Verdict |",
    "|---|---|---|---|---|---|",
)
_VERDICTS = {"b-better": "less energy", "a-better": "**more energy**", "undecided": "no clear difference"}


def comment(now: Sequence[Record], before: Sequence[Record] = ()) -> str:
    """The text of a comment.

    Args:
        now: the records of the change.
        before: those that they are compared with, in the same order; none: they are only told.

    Raises:
        BadInput: there is none, or not as many before as now.
    """
    if not now:
        raise BadInput("there is no record to tell of", "Name at least one record")
    if before and len(before) != len(now):
        raise BadInput(
            f"there are {len(before)} records before for {len(now)} now",
            "Name one before for each, in the same order",
            place="--before",
        )
    told = [facts_of(record) for record in now]
    pairs = [_compared(a, b) for a, b in zip(before, now, strict=True)] if before else []
    parts = [MARKER, HEADING]
    if pairs:
        parts.append(_sentence(pairs))
        rows = [
            _row(number, old, new, found)
            for number, (old, new, found) in enumerate(
                zip((facts_of(record) for record in before), told, pairs, strict=True), start=1
            )
        ]
        parts.append("\n".join([*TABLE, *rows]))
        parts += _plot_of_changes(pairs)
    else:
        parts.append(overview.table(told))
        parts += _plot(told)
    parts += [part for number, found in enumerate(pairs, start=1) for part in _details(number, found)]
    parts.append(_foot(now, before))
    # GitHub looks for people, issues and pull requests in what is rendered, also where Markdown was told otherwise: whoever names a model
    # would call people, and be told of in other pull requests. A space without width parts the sign from the name.
    text = _CALLS.sub("\\g<0>\u200b", "\n\n".join(parts) + "\n")
    if len(text) > LONGEST:
        raise BadInput(
            f"the comment would have {len(text):,} characters; GitHub takes {LONGEST:,}",
            "Tell of fewer records",
        )
    return text


def _compared(a: Record, b: Record) -> Comparison | EnergyRatingError:
    try:
        return compare(a, b)
    except EnergyRatingError as error:  # what cannot be compared is a row of its own, and why is told
        return error


def _sentence(pairs: Sequence[Comparison | EnergyRatingError]) -> str:
    """What a reader wants to know first."""
    if len(pairs) == 1:
        return f"**{_verdict(pairs[0], capital=True)}**"
    more, less = (
        sum(isinstance(one, Comparison) and one.verdict == verdict for one in pairs)
        for verdict in ("a-better", "b-better")
    )
    rest = len(pairs) - more - less
    return f"**Of {len(pairs)} runs {more} need more energy, {less} need less, and of {rest} nothing can be said.**"


def _verdict(found: Comparison | EnergyRatingError, *, capital: bool = False) -> str:
    if not isinstance(found, Comparison):
        text = f"cannot be compared: {for_markdown(str(found), 300)}"
    elif found.notes:
        text = f"no verdict: {for_markdown(found.notes[0], 300)}"
    elif found.verdict == "undecided":
        text = "no clear difference: it is smaller than the uncertainty"
    else:
        text = f"this change needs {words.change(found.ratio)} ({_interval(found)})"
    return f"{text[0].upper()}{text[1:]}." if capital else text


def _interval(found: Comparison) -> str:
    return f"95 % interval: {words.change_between(*found.interval_95)}"


def _row(number: int, old: Facts, new: Facts, found: Comparison | EnergyRatingError) -> str:
    if not isinstance(found, Comparison):
        cells = [overview.energy(old), overview.energy(new), "", _verdict(found)]
    else:
        per = f" per {for_markdown(found.unit)}" if found.unit else ""
        name = NAMES[found.component]
        parts = [facts.shown.part(found.component) if facts.shown else None for facts in (old, new)]
        origins = [part.origin if part is not None else "measured" for part in parts]
        cells = [
            f"{overview.with_origin(energy, 'J', origin)}{per}, {name}"
            for energy, origin in zip((found.a_j, found.b_j), origins, strict=True)
        ]
        if found.notes or found.unit is None:
            cells += ["", _verdict(found)]
        else:
            cells += [f"{words.change(found.ratio)} ({_interval(found)})", _VERDICTS[found.verdict]]
    return f"| {number} | {overview.title(new.record)} | {' | '.join(cells)} |"


def _plot_of_changes(pairs: Sequence[Comparison | EnergyRatingError]) -> Iterator[str]:
    """Of each pair that can be compared two bars, the first of which is 100."""
    bars = [
        (number, 100 * found.ratio)
        for number, found in enumerate(pairs, start=1)
        if isinstance(found, Comparison) and found.unit is not None and not found.notes
    ][: MOST_BARS // 2]
    if bars:
        names = [f"{number} {when}" for number, _ in bars for when in ("before", "now")]
        yield _chart(
            "Energy for the same work, before = 100", names, [v for _, bar in bars for v in (100.0, bar)]
        )


def _plot(told: Sequence[Facts]) -> Iterator[str]:
    """The figures of several records, where they are of one kind: of one component, per one unit."""
    figures = [facts.figure for facts in told]
    kinds = {(figure.component, figure.unit) for figure in figures if figure is not None}
    if len(figures) < 2 or len(kinds) != 1 or None in figures:
        return
    ((component, unit),) = kinds
    per = f" per {unit}" if unit is not None and re.fullmatch(r"[a-z]{1,20}", unit) else ""
    names = [str(number) for number in range(1, len(figures) + 1)][:MOST_BARS]
    values = [figure.energy_j.value for figure in figures if figure is not None][:MOST_BARS]
    yield _chart(f"Energy of the {NAMES[component]}, J{per}", names, values)


def _chart(title: str, names: Sequence[str], values: Sequence[float]) -> str:
    """Mermaid's ``xychart-beta``, whose texts are ours."""
    top = significant(1.15 * max(*values, 1e-12), 2)
    told = ", ".join(_plain(value) for value in values)
    return "\n".join(
        [
            "```mermaid",
            "xychart-beta",
            f'    title "{title}"',
            f"    x-axis [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)}]",
            f"    y-axis 0 --> {_plain(float(top))}",
            f"    bar [{told}]",
            "```",
        ]
    )


def _plain(value: float) -> str:
    """Without powers of ten, which Mermaid does not read."""
    text = f"{float(significant(value, 4)):.9f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _details(number: int, found: Comparison | EnergyRatingError) -> Iterator[str]:
    if not isinstance(found, Comparison):
        return
    lines = [
        *(f"- {for_markdown(OF_GAIN[found.gain], 300)}" for _ in (1,) if found.unit is not None),
        *(f"- {for_markdown(note, 500)}" for note in (*found.notes, *found.remarks)),
        *(
            f"- {for_markdown(one.what)}: {for_markdown(one.a or 'not recorded')} → {for_markdown(one.b or 'not recorded')}"
            for one in found.differences
        ),
    ]
    if not found.differences:
        lines.append("- no recorded setting differs")
    yield f"<details>\n<summary>{number}. What differs, and whose doubt counts</summary>"
    yield "\n".join(lines)
    yield overview.CLOSING


def _foot(now: Sequence[Record], before: Sequence[Record]) -> str:
    told = [_of(record) for record in (*before, *now)]
    return (
        "“±” is half the 95 % interval. Journals, by SHA-256 (check each with `energy-rating verify FOLDER`): "
        f"{', '.join(told)}."
    )


def _of(record: Record) -> str:
    if record.origin == "imported":
        return f"{for_markdown(record.run_id, 60)} has none ({for_markdown(words.imported(record), 200)})"
    return (
        f"{for_markdown(record.run_id, 60)} <code>{for_markdown(record.provenance.journal_sha256, 64)}</code>"
    )
