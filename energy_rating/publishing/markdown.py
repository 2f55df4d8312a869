"""Where the blocks of a Markdown text begin and end, as CommonMark has it. What is put between them is left to ``splice``."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

EOL = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")


# -------------------------------------------------------------------------------------------------------------- body


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of the body, as Markdown sees it: ``ground`` is outside of everything, ``html`` within an HTML element."""

    number: int
    start: int
    end: int  # before its line end
    after: int
    text: str
    ground: bool
    html: bool


# HTML blocks 1 to 5 of CommonMark 0.31, section 4.6: what begins them and what ends them.
_RAW_HTML = (
    (
        re.compile(r"<(?:script|pre|style|textarea)(?:\s|>|$)", re.I),
        re.compile(r"</(?:script|pre|style|textarea)>", re.I),
        "an HTML element",
    ),
    (re.compile("<!--"), re.compile("-->"), "an HTML comment"),
    (re.compile(r"<\?"), re.compile(r"\?>"), "an HTML instruction"),
    (re.compile("<![A-Za-z]"), re.compile(">"), "an HTML declaration"),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>"), "an HTML section"),
)

# Blocks 6 and 7: they end at an empty line. Block 7, a whole tag alone on its line, does not interrupt a paragraph.
_HTML_6 = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|"
    r"fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|"
    r"menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|"
    r"ul)(?:\s|/?>|$)",
    re.I,
)
_ATTRIBUTE = r"\s+[a-zA-Z_:][a-zA-Z0-9:._-]*(?:\s*=\s*(?:[^\"'=<>`\s]+|'[^']*'|\"[^\"]*\"))?"
_HTML_7 = re.compile(rf"(?:<[A-Za-z][A-Za-z0-9-]*(?:{_ATTRIBUTE})*\s*/?>|</[A-Za-z][A-Za-z0-9-]*\s*>)\s*$")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_RULE = re.compile(r"(?:(?:\*[ ]*){3,}|(?:-[ ]*){3,}|(?:_[ ]*){3,})$")
_ITEM = re.compile(r"([-+*]|(\d{1,9})[.)])( +|$)")
_QUOTE = -1  # among the indents of list items
_DEEPEST_LIST = (
    32  # what is nested deeper is taken for text of the deepest, lest a line of a million marks take hours
)

# Link reference definitions, section 4.7, a line at a time: what goes on in a label, the destination, and in a title by what ends it.
_LABEL = re.compile(r"(?:[^\\\[\]]|\\.?)*")
_LONGEST_LABEL = 999
_DESTINATION = re.compile(r"<(?:[^<>\\]|\\.)*>|(?!<)[^\x00-\x20\x7f]+")
_TITLE = {'"': '"', "'": "'", "(": ")"}
_IN_TITLE = {
    '"': re.compile(r'(?:[^\\"]|\\.?)*'),
    "'": re.compile(r"(?:[^\\']|\\.?)*"),
    ")": re.compile(r"(?:[^\\()]|\\.?)*"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Definition:
    """A link reference definition as far as it has been read. None in its place is text that is none.

    ``read`` is where its last line ended: within the label, before the destination, after the destination (a title may stand on the
    next line), within a title, or after the title. ``since`` is the line on which the title began.
    """

    read: Literal["label", "colon", "destination", "in title", "title"]
    label: str = ""
    ends: str = ""
    since: int = 0

    @property
    def whole(self) -> bool:
        """Whether it may end here. It is no paragraph then: all blocks may follow it, also those that interrupt none."""
        return self.read in ("destination", "title")

    def then(self, bare: str, number: int) -> _Definition | None:
        """With the next line of the same; None if that is no definition, or no more of this one."""
        if self.read == "label":
            return _in_label(self.label + "\n", bare, number)
        if self.read == "colon":
            return _after_colon(bare, number)
        if self.read == "in title":
            return _in_title(self.ends, bare, self.since)
        return _title(bare, number) if self.read == "destination" else None


def _beginning(bare: str, number: int) -> _Definition | None:
    return _in_label("", bare[1:], number) if bare.startswith("[") else None


def _in_label(seen: str, rest: str, number: int) -> _Definition | None:
    end = _LABEL.match(rest).end()  # type: ignore[union-attr]  # it matches anything
    label, after = seen + rest[:end], rest[end:]
    if len(label) > _LONGEST_LABEL:
        return None
    if not after:
        return _Definition(read="label", label=label)
    return _after_colon(after[2:], number) if after.startswith("]:") and label.strip() else None


def _after_colon(rest: str, number: int) -> _Definition | None:
    rest = rest.strip(" ")
    if not rest:
        return _Definition(read="colon")
    found = _DESTINATION.match(rest)
    if not found or (found[0][0] != "<" and not _balanced(found[0])):
        return None
    after = rest[found.end() :]
    if not after:
        return _Definition(read="destination")
    return _title(after.lstrip(" "), number) if after[0] == " " else None


def _balanced(destination: str) -> bool:
    depth = 0
    for char in re.sub(r"\\.", "", destination):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return False
    return depth == 0


def _title(rest: str, number: int) -> _Definition | None:
    return _in_title(_TITLE[rest[0]], rest[1:], number) if rest[:1] in _TITLE else None


def _in_title(ends: str, rest: str, since: int) -> _Definition | None:
    after = rest[_IN_TITLE[ends].match(rest).end() :]  # type: ignore[union-attr]  # it matches anything
    if not after:
        return _Definition(read="in title", ends=ends, since=since)
    return _Definition(read="title", since=since) if after.rstrip(" ") == ends else None


class Markdown:
    """Which lines stand outside of code, comments, lists and quotes: the block structure of CommonMark 0.31, appendix.

    Only as much of it as is needed to know a marker that is quoted from one that is meant.
    """

    def __init__(self) -> None:
        self.open_since: int | None = None
        self.open_what = ""
        self._containers: list[int] = []
        self._fence = ""
        self._html_end: re.Pattern[str] | None = None
        self._html = False
        self._paragraph = False
        # What is open as a paragraph may still turn out to be link reference definitions and no paragraph.
        self._definition: _Definition | None = None
        self._hollow = False  # the last list item has nothing in it yet
        self._text, self._after = "", 0

    def lines(self, text: str, start: int) -> Iterator[Line]:
        """Every line from this place on."""
        number = len(EOL.findall(text, 0, start)) + 1
        self._text = text
        for found in _LINE.finditer(text, start):
            if found.start() == found.end() == len(text):
                return
            self._after = found.end()
            ground, html = self._take(found[1].expandtabs(4), number)
            yield Line(
                number=number,
                start=found.start(),
                end=found.end(1),
                after=found.end(),
                text=found[1],
                ground=ground,
                html=html,
            )
            number += 1

    def _take(self, line: str, number: int) -> tuple[bool, bool]:
        if line[:1].isalpha() and not (self._containers or self._fence or self._html):
            self._goes_on(line, number, self._paragraph)  # as most lines do
            return False, False
        position, matched = self._match_containers(line)
        unmatched = matched < len(self._containers)
        if unmatched:
            # Code and HTML end with what holds them; only a paragraph can go on without its marks.
            self._end_leaf()
        if self._fence or self._html:
            return self._continue_leaf(line[position:])
        opened = False
        while True:
            rest = line[position:]
            bare = rest.lstrip(" ")
            indent = len(rest) - len(bare)
            # A paragraph that may be interrupted, or go on, on this line; also without the marks of what holds it.
            paragraph = self._paragraph and not opened
            if paragraph and self._definition is not None and self._definition.whole:
                paragraph = self._title_begins(bare, number)
            if not bare:
                self._close(matched)
                return False, False
            if indent >= 4:
                if paragraph:
                    self._goes_on(bare, number, True)
                else:
                    self._close(matched)
                    self._hollow = False
                return False, False
            if bare[0] == ">" and matched < _DEEPEST_LIST:
                self._close(matched)
                self._containers.append(_QUOTE)
                position += indent + 1
                position += line[position : position + 1] == " "
                self._hollow = False
            elif self._leaf(bare, matched, number, paragraph, unmatched and not opened):
                return matched == 0, False
            elif matched < _DEEPEST_LIST and (item := self._item(bare, paragraph and not unmatched)):
                self._close(matched)
                width = len(item[1]) + (len(item[3]) if 1 <= len(item[3]) <= 4 else 1)
                self._hollow = len(item[0]) == len(bare)
                if self._hollow:
                    width = len(item[1]) + 1
                self._containers.append(indent + width)
                position += indent + width
            else:
                if not paragraph:
                    self._close(matched)
                self._goes_on(bare, number, paragraph)
                self._hollow = False
                return False, False
            matched += 1
            opened = True

    def _match_containers(self, line: str) -> tuple[int, int]:
        position = matched = 0
        for container in self._containers:
            rest = line[position:]
            indent = len(rest) - len(rest.lstrip(" "))
            if container == _QUOTE:
                if indent > 3 or rest[indent : indent + 1] != ">":
                    break
                position += indent + 1
                position += line[position : position + 1] == " "
            elif indent == len(rest):
                # An item that began with an empty line ends at the second one.
                if self._hollow and matched == len(self._containers) - 1:
                    break
                position = min(position + container, len(line))
            elif indent >= container:
                position += container
            else:
                break
            matched += 1
        return position, matched

    def _close(self, matched: int) -> None:
        del self._containers[matched:]
        self._paragraph, self._definition = False, None

    def _goes_on(self, bare: str, number: int, paragraph: bool) -> None:
        """A line of text: one more of a paragraph, or the first of one."""
        if not paragraph:
            self._definition = _beginning(bare, number)
        elif self._definition is not None:
            self._definition = self._definition.then(bare, number)
        self._paragraph = True

    def _title_begins(self, bare: str, number: int) -> bool:
        """Whether a line after a definition is, or begins, its title. Only if that ends as one; so whatever it holds is looked at."""
        begun = self._definition.then(bare, number) if self._definition is not None else None
        if begun is None or begun.since != number:
            return False
        ahead = copy.copy(self)
        ahead._containers, ahead._definition = list(self._containers), begun
        for found in _LINE.finditer(self._text, self._after):
            if begun.whole or found.start() == len(self._text):
                break
            ahead._take(found[1].expandtabs(4), 0)
            if ahead._definition is None or ahead._definition.since != number:
                return False
            begun = ahead._definition
        return begun.whole

    def _end_leaf(self) -> None:
        self._fence, self._html, self._html_end, self.open_since = "", False, None, None

    def _continue_leaf(self, rest: str) -> tuple[bool, bool]:
        bare = rest.strip(" ")
        if self._fence:
            indent = len(rest) - len(rest.lstrip(" "))
            if indent <= 3 and len(bare) >= len(self._fence) and not bare.strip(self._fence[0]):
                self._end_leaf()
            return False, False
        if self._html_end is not None:
            if self._html_end.search(rest):
                self._end_leaf()
            return False, False
        if not bare:
            self._end_leaf()
        return False, not self._containers

    def _leaf(self, bare: str, matched: int, number: int, paragraph: bool, unmatched: bool) -> bool:
        """Whether the line is a heading, a rule, or begins code or HTML."""
        if HEADING.match(bare):
            self._close(matched)
        elif fence := _FENCE.match(bare):
            self._close(matched)
            self._fence = fence[1] or fence[2]
            self._opened(number, "a code block")
        elif bare[0] == "<" and self._html_begins(bare, matched, number, paragraph):
            pass
        elif (paragraph and not unmatched and re.fullmatch(r"(?:=+|-+) *", bare)) or _RULE.match(bare):
            self._close(matched)
        else:
            return False
        self._hollow = False
        return True

    def _html_begins(self, bare: str, matched: int, number: int, paragraph: bool) -> bool:
        for begin, end, what in _RAW_HTML:
            if begin.match(bare):
                self._close(matched)
                # What ends it may share characters with what begins it: "<!-->" and "<?>" are whole.
                if not end.search(bare):
                    self._html, self._html_end = True, end
                    self._opened(number, what)
                return True
        if _HTML_6.match(bare) or (not paragraph and _HTML_7.match(bare)):
            self._close(matched)
            self._html = True
            return True
        return False

    def _opened(self, number: int, what: str) -> None:
        # Within a list or a quote it ends with that, at the latest where a marker begins a line.
        if not self._containers:
            self.open_since, self.open_what = number, what

    @staticmethod
    def _item(bare: str, interrupts: bool) -> re.Match[str] | None:
        item = _ITEM.match(bare)
        if item and interrupts and (len(item[0]) == len(bare) or (item[2] and int(item[2]) != 1)):
            return None
        return item
