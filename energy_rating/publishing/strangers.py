"""Strangers' text made harmless, one function per sink. Names, reasons and units in a record are anybody's, and only text.

What is kept, hidden or replaced is decided here alone; where it is put is the publishers'.
"""

from __future__ import annotations

import json
import re
import unicodedata

LONGEST = 300  # characters of one string
LONGEST_NAME = 120

# Whatever means something in Markdown (GFM), in HTML or as the Hub's mathematics. As references they mean nothing anywhere,
# not even to a parser that cuts a table into cells first.
_SPECIAL = re.compile(r"[&<>|`\\*\[\]~$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.")


def for_plain_text(text: str, most: int = LONGEST) -> str:
    """One line of at most so many characters, without controls, marks of direction and what else is not seen."""
    kept = (" " if char.isspace() else char for char in text[: 4 * most] if char.isspace() or _seen(char))
    line = " ".join("".join(kept).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def for_markdown(text: str, most: int = LONGEST) -> str:
    """The same as text in a table cell and nothing else: neither Markdown nor HTML nor a second cell."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", for_plain_text(text, most))


def for_picture(text: str, most: int = LONGEST_NAME) -> str:
    """One line that is drawn: nothing that hides, turns or stacks, no signs that could pass for stars; ``?`` for nothing.

    Still to be escaped where it is put.
    """
    kept: list[str] = []
    marks = 0
    # Compatible forms become the plain letters that they stand for: wide, ligated and styled ones (Unicode, NFKC).
    for char in unicodedata.normalize("NFKC", text[: 4 * most]):
        category = unicodedata.category(char)
        marks = marks + 1 if category.startswith("M") else 0
        if marks and (not kept or kept[-1].isspace()):
            continue  # a mark without a letter would stand on whatever comes before it
        if category == "So" and char not in "©®°":
            kept.append("□")
        elif char.isspace() or (not category.startswith("C") and marks <= 2):
            kept.append(char)
    return for_plain_text("".join(kept), most) or "?"


# A spreadsheet takes a cell that begins so for a formula (OWASP ASVS 5.0, requirement 1.2.10, 2026-11-21; a tab or a NUL too, which
# are not let in), and where Japanese is written perhaps one that begins with their wide forms.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def for_spreadsheet(text: str) -> str:
    """One line, led by an apostrophe where a spreadsheet would take it for a formula."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def for_terminal(text: str) -> str:
    """Lines without control characters, which would steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def in_json(text: str) -> str:
    """JSON with escapes for what is not printable: the same value, and nothing that steers or turns what a terminal shows."""
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else _escaped(found[0]), text)


_NOT_ASCII = re.compile(r"[^\n\x20-\x7e]")


def _escaped(char: str) -> str:
    """As JSON escapes it: beyond the first plane, by a pair of surrogates (RFC 8259, 7)."""
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _seen(char: str) -> bool:
    if char in "\u200c\u200d":  # joiners, which Persian, Hindi and emoji are written with
        return True
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co") and ord(char) & 0xFFFE != 0xFFFE
