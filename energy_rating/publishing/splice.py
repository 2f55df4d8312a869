"""One key of a card's front matter and one marked section of its body, exchanged by cutting text. Text in, text out.

Nothing is parsed and dumped again: of a README that people wrote, every byte that is not ours stays where it is (their comments,
quotes, key order, line ends, ``language: no``). What cannot be changed that way is refused and left alone. PyYAML is known
here only, and only to say where things stand.

**What was put can be taken out again.** Nothing is remembered anywhere else, so the bytes that are added tell by
themselves how it was before:

===============================  ==========================================  ================================
before                           the key is put                              known again by
===============================  ==========================================  ================================
a block of keys                  as its last lines (first, where the last     a line end before or after it
                                 value would change)
no front matter                  in a block of its own                       nothing else in the block
``---`` directly under ``---``   between them, with an empty line            only that empty line in the block
``{a: 1}``                       before the ``}``                            the comma before or after it
somebody's own value             in its place, the old lines as comments     the words the comments begin with
===============================  ==========================================  ================================

Whose a key is, its ``source`` says. A section begins at the start of a line and ends with a line end; where the file
had no line end at its end, it has none afterwards either, and the one before the section is ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import yaml

from energy_rating.nouns.errors import BadInput
from energy_rating.publishing.markdown import EOL, HEADING, Line, Markdown

START = "<!-- energy-rating:start -->"
END = "<!-- energy-rating:end -->"

# The Hub's own expression (huggingface_hub.repocard_data.REGEX_YAML_BLOCK, "in sync with the Hub server"). The server runs it in
# JavaScript, where \s is also the byte order mark and $ is only the very end.
_HUB = re.compile(r"[\s\ufeff]*---(\r\n|\r|\n)([\S\s]*?)(\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)")

# An empty block, which that expression does not see: it wants two line ends between the rules.
_EMPTY = re.compile(r"[\s\ufeff]*---(\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)")

# What begins a comment that keeps somebody's own line while ours stands in its place.
_WAS = "# energy-rating was: "

# Our ``source`` begins so, and outlives a round trip through other tools, which comments do not.
_OURS = re.compile(r"energy-rating [^\s,]+, run ")
LARGEST_FRONT_MATTER = 64 << 10  # bytes; real ones have a few kilobytes
MOST_NODES = (
    10_000  # with every alias counted at its full size, so that a small bomb is seen without going off
)
DEEPEST = 50
_ENVIRONMENT = re.compile(r" {0,3}(#{1,6})[ \t]+Environmental Impact", re.IGNORECASE)
# What signs a key as ours: the ``source`` of ``co2_eq_emissions``, the ``tool`` of ``dia_report``.
_SIGNED = ("source", "tool")
Item = str | float | Mapping[str, "Item"] | Sequence["Item"]
Value = Mapping[str, Item]


def source_is_ours(source: str) -> bool:
    """Whether a key with this ``source`` was written by this package."""
    return _OURS.match(source) is not None


# ------------------------------------------------------------------------------------------------------ front matter


@dataclass(frozen=True, kw_only=True, slots=True)
class _Front:
    """Where the front matter stands: ``text[start:end]`` is YAML; ``opening`` and ``closing`` are the ends of the whole.

    ``between`` is the length of the line end that the closing rule's own line begins after (0 in an empty block).
    """

    opening: int
    start: int
    end: int
    closing: int
    eol: str
    between: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """One top-level key and its value, with the ends of both."""

    name: str | None
    key: yaml.Node
    value: yaml.Node

    @property
    def ours(self) -> bool:
        if not isinstance(self.value, yaml.MappingNode):
            return False
        return any(
            _scalar(key) in _SIGNED and source_is_ours(_scalar(value) or "")
            for key, value in self.value.value
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Card:
    """A text whose front matter has been read. ``front`` None: it has none."""

    text: str
    front: _Front | None
    root: yaml.MappingNode | None
    entries: tuple[_Entry, ...]

    def entry(self, key: str) -> _Entry | None:
        return next((entry for entry in self.entries if entry.name == key), None)

    def at(self, index: int) -> int:
        """The place in the text of a place in the YAML."""
        return index + (self.front.start if self.front else 0)


def is_of_others(text: str, key: str) -> bool:
    """Whether somebody else has written this top-level key of the front matter.

    Raises:
        BadInput: the front matter is invalid. The place is the line.
    """
    entry = _read(text).entry(key)
    return entry is not None and not entry.ours


def value_of(text: str, key: str) -> dict[str, str] | None:
    """What this top-level key maps to, as plain text, numbers as ``decimal`` writes them; None where it is absent.

    Raises:
        BadInput: the front matter is invalid. The place is the line.
    """
    entry = _read(text).entry(key)
    if entry is None:
        return None
    if not isinstance(entry.value, yaml.MappingNode):
        return {"": _scalar(entry.value) or ""}
    return {_scalar(name) or "": _told(value) for name, value in entry.value.value}


def _told(node: yaml.Node) -> str:
    """A value as text, whatever way it was written in."""
    if isinstance(node, yaml.MappingNode):
        return "{" + ", ".join(f"{_scalar(name) or ''}: {_told(value)}" for name, value in node.value) + "}"
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_told(value) for value in node.value)}]"
    return _as_text(node)


def _as_text(node: yaml.Node) -> str:
    text = _scalar(node)
    if text is None:
        return f"({node.tag})"
    if node.tag in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int"):
        try:
            return decimal(float(text))
        except ValueError:
            return text
    return text


def put_key(text: str, key: str, value: Value, *, overwrite: bool = False) -> str:
    """The text with this top-level key in its front matter, which is made if there is none.

    Args:
        text: a Markdown file.
        key: the key; a plain word.
        value: what it maps to: strings, positive numbers, and lists and mappings of them. Its ``source`` or ``tool`` must be ours
            (``source_is_ours``).
        overwrite: replace a value that somebody else wrote; its lines stay as comments, and ``remove_key`` restores them.

    Raises:
        BadInput: the front matter was invalid before, holds the key with somebody else's value, or cannot be changed
            without touching anything else. The place is the line.
    """
    if not any(source_is_ours(str(value.get(name, ""))) for name in _SIGNED):
        raise ValueError("without a source of ours the key would not be known again")
    card = _read(text)
    entry = card.entry(key)
    if entry is not None and not entry.ours and not overwrite:
        raise _refusal(
            text,
            card.at(entry.key.start_mark.index),
            f"{key} stands there already, and energy-rating did not write it",
            "Remove it, or overwrite it: its lines are then kept as comments",
        )
    before = _removed(card, key)
    for candidate in _with_key(card, key, value, entry):
        try:
            new = _read(candidate)
            put = new.entry(key)
            sound = put is not None and put.ours and _same_others(card, new, key)
            if sound and _removed(new, key) == before:
                return candidate
        except BadInput:
            continue
    raise _refusal(
        text,
        card.front.start if card.front else 0,
        f"{key} cannot be put into this front matter without changing something else in it",
        "Write the front matter as plain 'key: value' lines",
    )


def remove_key(text: str, key: str) -> str:
    """The text as it was before ``put_key``; the same text where the key is absent or somebody else's.

    Raises:
        BadInput: the front matter is invalid, or the key cannot be taken out without touching anything else.
    """
    card = _read(text)
    removed = _removed(card, key)
    if removed != text and len(card.entries) > 1 and not _same_others(card, _read(removed), key):
        raise _refusal(
            text,
            card.front.start if card.front else 0,
            f"{key} cannot be taken out without changing something else in the front matter",
            "Remove its lines by hand",
        )
    return removed


def _front(text: str) -> _Front | None:
    found, empty = _HUB.match(text), _EMPTY.match(text)
    # Between the two characters of one CRLF the Hub's expression also finds room for a block.
    if found and not (empty and empty.end() == found.end()):
        return _Front(
            opening=found.start(1) - 3,
            start=found.start(2),
            end=found.end(2),
            closing=found.end(),
            eol=_own_eol(found[1]),
            between=len(found[3]),
        )
    if empty:
        return _Front(
            opening=empty.start(1) - 3,
            start=empty.end(1),
            end=empty.end(1),
            closing=empty.end(),
            eol=_own_eol(empty[1]),
            between=0,
        )
    return None


def _own_eol(eol: str) -> str:
    return "\r\n" if eol == "\r\n" else "\n"


def _read(text: str) -> _Card:
    front = _front(text)
    if front is None:
        return _Card(text=text, front=None, root=None, entries=())
    block = text[front.start : front.end]
    if len(block.encode(errors="surrogatepass")) > LARGEST_FRONT_MATTER:
        raise _refusal(text, front.start, f"the front matter is larger than {LARGEST_FRONT_MATTER >> 10} KiB")
    loader = None
    try:
        loader = _Loader(block)
        root = loader.get_single_node()
    except _Unsafe as error:
        raise _refusal(text, front.start + error.index, error.reason) from None
    except yaml.reader.ReaderError as error:
        raise _invalid(text, front.start + error.position, "a character is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        index = mark.index if mark is not None else 0
        raise _invalid(text, front.start + index, error.problem or "not YAML") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # PyYAML lets some of Python's own errors out, as for the escape \UFFFFFFFF.
        raise _invalid(text, front.start, type(error).__name__) from None
    finally:
        if loader is not None:
            loader.dispose()
    if root is None:
        return _Card(text=text, front=front, root=None, entries=())
    if not isinstance(root, yaml.MappingNode):
        raise _invalid(text, front.start, "it is not a mapping of keys to values")
    entries = tuple(_Entry(name=_scalar(key), key=key, value=value) for key, value in root.value)
    return _Card(text=text, front=front, root=root, entries=entries)


class _Unsafe(Exception):
    def __init__(self, reason: str, index: int) -> None:
        self.reason = reason
        self.index = index


class _Alias(yaml.ScalarNode):
    """An alias where it stands. PyYAML itself gives the node that it names, with that node's place."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, within bounds; constructs nothing."""

    def __init__(self, block: str) -> None:
        self.count = 0
        self.depth = 0
        self.sizes: dict[int, int] = {}
        super().__init__(block)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        place = event.start_mark.index
        self.count += 1
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Unsafe(f"the front matter is nested more than {DEEPEST} deep", place)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return None
        size = 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self.sizes:
                raise _Unsafe(f"the anchor {event.anchor!r} stands within itself", place)
            size = self.sizes[id(node)]
            node = _Alias("alias", str(event.anchor), event.start_mark, event.end_mark)  # type: ignore[arg-type]
        elif isinstance(node, yaml.MappingNode):
            self._refuse_doubles(node)
            size += sum(self.sizes[id(part)] for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            size += sum(self.sizes[id(part)] for part in node.value)
        self.sizes[id(node)] = size
        if max(size, self.count) > MOST_NODES:
            raise _Unsafe(f"the front matter holds more than {MOST_NODES} values, aliases counted", place)
        return node

    @staticmethod
    def _refuse_doubles(node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            name = _scalar(key)
            if name is not None and name in seen:
                reason = f"the key {name[:80]!r} stands twice; this card was already invalid before"
                raise _Unsafe(reason, key.start_mark.index)
            if name is not None:
                seen.add(name)


def _scalar(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) and not isinstance(node, _Alias) else None


def _same(one: yaml.Node, other: yaml.Node) -> bool:
    if type(one) is not type(other) or one.tag != other.tag:
        return False
    if isinstance(one, yaml.ScalarNode):
        return bool(one.value == other.value)
    if len(one.value) != len(other.value):
        return False
    if isinstance(one, yaml.MappingNode):
        pairs = zip(one.value, other.value, strict=True)
        return all(_same(a, c) and _same(b, d) for (a, b), (c, d) in pairs)
    return all(_same(a, b) for a, b in zip(one.value, other.value, strict=True))


def _same_others(before: _Card, after: _Card, key: str) -> bool:
    """Whether both hold the same keys and values, apart from this key's, and the same body."""
    old = [entry for entry in before.entries if entry.name != key]
    new = [entry for entry in after.entries if entry.name != key]
    if len(old) != len(new) or before.text[_body(before.text) :] != after.text[_body(after.text) :]:
        return False
    return all(_same(a.key, b.key) and _same(a.value, b.value) for a, b in zip(old, new, strict=True))


def _with_key(card: _Card, key: str, value: Value, entry: _Entry | None) -> Iterator[str]:
    """The ways in which the key can be put, best first."""
    text, front = card.text, card.front
    if front is None:
        place = 1 if text.startswith("\ufeff") else 0
        eol = _own_eol(found[0]) if (found := EOL.search(text)) else "\n"
        lines = _lines(key, value, eol)
        yield f"{text[:place]}---{eol}{lines}{eol}---{eol}{text[place:]}"
    elif front.between == 0:
        lines = _lines(key, value, front.eol)
        yield text[: front.start] + lines + front.eol * 2 + text[front.start :]
    elif card.root is None:
        yield text[: front.end] + front.eol + _lines(key, value, front.eol) + text[front.end :]
    elif card.root.flow_style:
        yield from _in_flow(card, card.root, key, value, entry)
    else:
        # The keys of a block may be indented, all by the same.
        lines = _lines(key, value, front.eol, " " * card.root.start_mark.column)
        if entry is None:
            yield text[: front.end] + front.eol + lines + text[front.end :]
            # A block scalar at the end would gain a line end.
            yield text[: front.start] + lines + front.eol + text[front.start :]
        elif (region := _region(card, entry)) is not None:
            start, end = region
            kept = "" if entry.ours else front.eol + _commented(text[start:end])
            yield text[:start] + lines + kept + text[end:]


def _in_flow(
    card: _Card, root: yaml.MappingNode, key: str, value: Value, entry: _Entry | None
) -> Iterator[str]:
    text = card.text
    pair = f"{key}: {_flow(value)}"
    if entry is not None:
        if entry.ours:
            start, end = card.at(entry.key.start_mark.index), card.at(entry.value.end_mark.index)
            yield text[:start] + pair + text[end:]
        return  # a comment would swallow the rest of the line
    brace = card.at(root.end_mark.index) - 1
    if not card.entries:
        yield text[:brace] + pair + text[brace:]
        return
    rest = text[card.at(card.entries[-1].value.end_mark.index) : brace]
    comma = "," in re.sub(r"(?:^|(?<=\s))#[^\r\n]*", "", rest)
    yield text[:brace] + (f"{pair}," if comma else f", {pair}") + text[brace:]


def _region(card: _Card, entry: _Entry) -> tuple[int, int] | None:
    """The whole lines of a key and its value, without the last line end; None where they share a line with something."""
    front = card.front
    assert front is not None
    block = card.text[front.start : front.end]
    start = entry.key.start_mark.index
    while start > 0 and block[start - 1] in " ":
        start -= 1
    if start > 0 and block[start - 1] not in "\r\n":
        return None
    last = entry.value
    # A block collection ends, for PyYAML, where the next token begins, after comments and empty lines.
    while isinstance(last, yaml.CollectionNode) and not last.flow_style and last.value:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    end = last.end_mark.index
    if isinstance(last, yaml.ScalarNode) and last.style in ("|", ">"):
        end = len(block[:end].rstrip(" \t\r\n"))
    found = EOL.search(block, end)
    end = found.start() if found else len(block)
    return front.start + start, front.start + end


def _commented(lines: str) -> str:
    return _WAS + EOL.sub(lambda found: found[0] + _WAS, lines)


def _removed(card: _Card, key: str) -> str:
    text, front, entry = card.text, card.front, card.entry(key)
    if front is None or card.root is None or entry is None or not entry.ours:
        return text
    if card.root.flow_style:
        start, end = card.at(entry.key.start_mark.index), card.at(entry.value.end_mark.index)
        if text[end] == ",":
            return text[:start] + text[end + 1 :]
        return text[:start].removesuffix(", ") + text[end:]
    region = _region(card, entry)
    if region is None:
        raise _refusal(
            text,
            card.at(entry.key.start_mark.index),
            f"{key} is not on lines of its own",
            "Remove it by hand",
        )
    start, end = region
    if kept := re.compile(rf"(?:(?:\r\n|\r|\n){_WAS}[^\r\n]*)+").match(text, end, front.end):
        lines = EOL.match(kept[0])
        assert lines is not None
        was = kept[0][lines.end() :]
        return text[:start] + re.sub(rf"(?:^|(?<=\n)|(?<=\r)){_WAS}", "", was) + text[kept.end() :]
    if start == front.start and end == front.end:
        return text[: front.opening] + text[front.closing :]
    if start == front.start and EOL.fullmatch(text, end, front.end):
        return text[:start] + text[front.end + front.between :]
    if end == front.end:
        return text[: _before_eol(text, start)] + text[end:]
    found = EOL.match(text, end)
    return text[:start] + text[found.end() if found else end :]


def _before_eol(text: str, index: int) -> int:
    """Where the line end before this place begins."""
    return (
        index - (2 if text[:index].endswith("\r\n") else 1) if index and text[index - 1] in "\r\n" else index
    )


def _lines(key: str, value: Value, eol: str, indent: str = "") -> str:
    parts = [f"{indent}{key}:", *(f"{indent}  {name}: {_quoted(item)}" for name, item in value.items())]
    return eol.join(parts)


def _flow(value: Value) -> str:
    return "{" + ", ".join(f"{name}: {_quoted(item)}" for name, item in value.items()) + "}"


def as_told(value: Value) -> dict[str, str]:
    """A value as ``value_of`` reads it."""
    told = {}
    for name, item in value.items():
        node = None if isinstance(item, str) else yaml.compose(_quoted(item))
        told[name] = str(item) if node is None else _told(node)
    return told


# What PyYAML refuses, or takes for a line end, where JSON leaves it as it is.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def _quoted(item: Item) -> str:
    if isinstance(item, str):
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(item, ensure_ascii=False))
    if isinstance(item, Mapping):
        return _flow(item)
    if isinstance(item, Sequence):
        return f"[{', '.join(_quoted(one) for one in item)}]"
    return decimal(item)


def decimal(number: float) -> str:
    """A number with all its digits, never in powers of ten: readers of cards take ``1.5e-05`` for 1.5."""
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {number}")
    text = format(Decimal(repr(float(number))), "f")
    return text.removesuffix(".0")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where a section is, or where it goes to."""

    start: Line | None = None
    stop: Line | None = None
    insert_at: int = 0
    level: int | None = None  # of the heading "Environmental Impact" that it stands under


def put_section(text: str, content: str) -> str:
    """The text with this content between the markers.

    In place where the markers are; else under a heading "Environmental Impact"; else at the end. The content is Markdown, its
    lines ended by ``\\n``; they get the line ends of their neighbours.

    Raises:
        BadInput: the markers are not one pair, or the text ends within a code block or comment. The place is the line.
    """
    places = _places(text)
    if places.start is not None and places.stop is not None:
        eol = _own_eol(text[places.start.end : places.start.after])
        new = text[: places.start.end] + eol + _between(content, eol) + text[places.stop.start :]
    else:
        at = places.insert_at
        fresh = at == 0 or text[:at].endswith(("\n", "\r")) or text[:at] == "\ufeff"
        before = list(EOL.finditer(text, 0, at))[-1:] or list(EOL.finditer(text))[:1]
        eol = _own_eol(before[0][0]) if before else "\n"
        block = START + eol + _between(content, eol) + END
        new = text[:at] + (block + eol if fresh else eol + block) + text[at:]
    if _span(new) != _span(text) or remove_section(new) != remove_section(text):
        raise ValueError("the content cannot stand between the markers")
    return new


def remove_section(text: str) -> str:
    """The text as it was before ``put_section``; the same text without markers.

    Raises:
        BadInput: the markers are not one pair.
    """
    places = _places(text, to_insert=False)
    if places.start is None or places.stop is None:
        return text
    start, after = places.start.start, places.stop.after
    if after == places.stop.end:
        start = _before_eol(text, start)
    return text[:start] + text[after:]


def section_of(text: str) -> str | None:
    """What stands between the markers; None without markers.

    Raises:
        BadInput: the markers are not one pair. The place is the line.
    """
    places = _places(text, to_insert=False)
    if places.start is None or places.stop is None:
        return None
    return text[places.start.end : places.stop.start]


def level_above(text: str) -> int | None:
    """The level (1 to 6) of the heading "Environmental Impact" that the section stands or will stand under; None for none.

    Raises:
        BadInput: as ``put_section``.
    """
    return _places(text).level


def _between(content: str, eol: str) -> str:
    return eol.join(["", *content.strip("\n").split("\n"), "", ""])


def _span(text: str) -> tuple[int, int] | None:
    front = _front(text)
    return (front.start, front.end) if front else None


def _body(text: str) -> int:
    front = _front(text)
    if front is not None:
        return front.closing
    return 1 if text.startswith("\ufeff") else 0


def _places(text: str, *, to_insert: bool = True) -> _Places:
    markdown = Markdown()
    markers: list[Line] = []
    heading: re.Match[str] | None = None  # the last one, if it is "Environmental Impact"
    level: int | None = None
    under: Line | None = None
    for line in markdown.lines(text, _body(text)):
        if line.ground and HEADING.match(line.text):
            heading = _ENVIRONMENT.match(line.text)
            if heading and under is None and not markers:
                under, level = line, len(heading[1])
        elif (line.ground or line.html) and line.text.strip(" \t") in (START, END):
            if not markers:
                level = len(heading[1]) if heading else None
            markers.append(line)
    if markers:
        _refuse_unpaired(markers)
        return _Places(start=markers[0], stop=markers[1], level=level)
    if under is not None:
        return _Places(insert_at=under.after, level=level)
    if to_insert and markdown.open_since is not None:
        raise BadInput(
            f"the card ends within {markdown.open_what} that begins here, so nothing can be added after it",
            "End it first",
            place=f"line {markdown.open_since}",
        )
    return _Places(insert_at=len(text))


def _refuse_unpaired(markers: list[Line]) -> None:
    kinds = [marker.text.strip(" \t") for marker in markers]
    if kinds == [START, END]:
        return
    if kinds[0] == END:
        message, place = f"{END} has no {START} before it", markers[0]
    elif len(kinds) == 1:
        message, place = f"{START} has no {END} after it", markers[0]
    else:
        place = markers[1] if kinds[1] == START else markers[2]
        message = f"{place.text.strip()} is one marker too many"
    raise BadInput(
        message,
        "Keep one pair of markers, each on a line of its own, and remove the others",
        place=f"line {place.number}",
    )


# ------------------------------------------------------------------------------------------------------------ errors


def _line_number(text: str, index: int) -> int:
    return len(EOL.findall(text, 0, index)) + 1


def _refusal(
    text: str, index: int, message: str, remedy: str = "Mend the front matter by hand first"
) -> BadInput:
    return BadInput(message, remedy, place=f"line {_line_number(text, index)}")


def _invalid(text: str, index: int, problem: str) -> BadInput:
    return _refusal(
        text, index, f"the front matter is not valid: {problem}; this card was already invalid before"
    )
