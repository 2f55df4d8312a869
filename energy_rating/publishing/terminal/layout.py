"""How lines are wrapped and set out in a terminal. Knows nothing of what they say."""

from __future__ import annotations

import textwrap

WIDTH = 80


def entry_lines(name: str, text: str) -> list[str]:
    """A line of an entry in full; it goes on below where it is longer."""
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=f"  {name:<17} ",
        subsequent_indent=" " * 20,
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(name: str, message: str, remedy: str) -> list[str]:
    text = f"{name}: {message.rstrip('.')}." + (f" {remedy.rstrip('.')}." if remedy else "")
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
