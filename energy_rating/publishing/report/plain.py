"""A report as Markdown: the same words and tables, and of each picture what is seen on it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from energy_rating.publishing.report.content import (
    Block,
    CodeBlock,
    FoldedBlock,
    ItemsBlock,
    LabelBlock,
    LinkBlock,
    PictureBlock,
    Report,
    TableBlock,
    TextBlock,
)
from energy_rating.publishing.strangers import for_markdown

# Longer than any text that a report makes; each was cut to its own room before.
_MOST = 4000


def markdown(report: Report) -> str:
    """The report in GitHub's Markdown. The same report gives the same bytes."""
    return "\n\n".join(_parts(report)) + "\n"


def _parts(report: Report) -> Iterator[str]:
    yield f"# {_text(report.title)}"
    for chapter in report.chapters:
        yield f"## {_text(chapter.title)}"
        if chapter.example:
            yield "**EXAMPLE**"
        # Stars as signs would be read out one by one: they are in the words.
        yield f"**{_text(chapter.lead)}**"
        for section in chapter.sections:
            yield f"### {_text(section.title)}"
            for block in section.blocks:
                yield from _block(block)


def _text(text: str) -> str:
    return for_markdown(text, _MOST)


def _block(block: Block) -> Iterator[str]:
    match block:
        case TextBlock(text=text, strong=strong):
            yield f"**{_text(text)}**" if strong else _text(text)
        case ItemsBlock(items=items):
            yield "\n".join(f"- {_text(item)}" for item in items)
        case CodeBlock(text=text):
            yield f"```console\n{text}\n```"
        case LinkBlock(name=name, text=text, href=href):
            # In pointed brackets an address may hold what ends a link otherwise; what could end these was written as a reference by its percent.
            yield f"{_text(name)}: [{_text(text)}](<{href}>)" if href else f"{_text(name)}: {_text(text)}"
        case LabelBlock(alt=alt):
            yield f"*{_text(alt)}.*"
        case PictureBlock(svg=svg, caption=caption):
            yield f"*{_text(_seen(svg))}.* {_text(caption)}"
        case TableBlock(head=head, rows=rows, caption=caption):
            yield f"{_text(caption)}:"
            lines = ["| " + " | ".join(map(_text, head)) + " |", "|---" * len(head) + "|"]
            lines += ["| " + " | ".join(_text(cell.text) for cell in row) + " |" for row in rows]
            yield "\n".join(lines)
        case FoldedBlock(summary=summary, blocks=blocks):
            yield f"<details><summary>{_text(summary)}</summary>"
            for inner in blocks:
                yield from _block(inner)
            yield "</details>"


def _seen(svg: str) -> str:
    """What is read out in the place of a picture."""
    found = re.search(r'aria-label="([^"]*)"', svg)
    return html.unescape(found[1]).rstrip(".") if found else ""
