"""Throws damaged and hostile files at every reader, for as long as it is told: a reader answers with a value or one line of refusal.

    nice -n 15 .venv/bin/python benchmarks/fuzz.py --inputs 1000000 --seconds 480

Each input is a valid file that was mutated where its structure is: values exchanged, keys doubled, renamed and dropped, lines repeated
and swapped, checksums mended afterwards so that the damage is not seen at once; and, of every fourth, bytes flipped and cut. What
was read is carried on to rating, label, card and spreadsheet. Fallen out has what raised anything but ``BadInput``, took more than
``MOST_CPU_S`` of the processor, was not harmless where a person reads it, or needed more memory than ``MOST_MEMORY`` allows the process.
The same seed gives the same inputs. ``tests/whole/test_hostile.py`` uses the same mutations for some seconds on every change.

    .venv/bin/python benchmarks/fuzz.py --only markdown

puts cards together at random and looks whether the reader of cards sees the same headings and markers outside of everything as
implementations of CommonMark do: markdown-it-py and, where it is installed, commonmark. Fallen out is what differs from all of them;
where they differ from each other, whom the reader goes with is counted and the first of each kind shown, to be decided by the text of CommonMark.
No build hangs on these searches: ``make test`` tries the same cases each time.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_windows import a_journal_of_windows, read_windows

from energy_rating.benchmarking import gguf
from energy_rating.benchmarking.tasks import load_task, read_items
from energy_rating.files import packed, reading
from energy_rating.files.imports import imported
from energy_rating.files.journal import JOURNAL_SCHEMA, decoded, encoded
from energy_rating.files.reading import read_journal_from
from energy_rating.files.record import record_from_json, record_to_json
from energy_rating.judging.profiles import Profile, profiles, read_profile
from energy_rating.judging.rating import rate
from energy_rating.judging.schemes import load_scheme
from energy_rating.judging.schemes import schemes as known_schemes
from energy_rating.judging.summary import summarise_journal
from energy_rating.measuring.counts import parse_counts, read_counts
from energy_rating.nouns import errors
from energy_rating.publishing import card, label, splice
from energy_rating.publishing.exports import csv
from energy_rating.publishing.facts import one_line
from energy_rating.publishing.markdown import Markdown
from energy_rating.publishing.strangers import for_terminal
from energy_rating.publishing.terminal import ratings
from energy_rating.publishing.terminal import records as terminal_records

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "energy_rating"

MOST_CPU_S = 2.0
MOST_MEMORY = 2 << 30  # bytes of address space on top of what the libraries took

# What strangers put where a name, a number or a list belongs.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 10**18, 10**400, 2**63, 2**1024),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        " ",
        "0",
        "NaN",
        "\x00",
        "\n",
        "a\r\nb",
        "\ud800",
        "\u2028",
    ),
    *(
        "\x1b[2J\x1b]0;x\x07",
        "\x9b31m",
        "\u202eevil",
        "\u2066\u2069",
        "\u200b",
        "\ufeff",
        "é" * 400,
        "z" * 5000,
    ),
    *(
        "<script>alert(1)</script>",
        "]]><x/>",
        '"><img src=x onerror=alert(1)>',
        "&lt;&#0;",
        "javascript:alert(1)",
    ),
    *(
        "| a | b |",
        "![x](http://x/y)",
        "<!-- energy-rating:end -->",
        "<!-- energy-rating:start -->",
        "---\na: b\n---",
    ),
    *(
        "=HYPERLINK(1)",
        "+1",
        "@x",
        "../../etc/passwd",
        "/dev/zero",
        "file:///etc/passwd",
        "CON",
        "%s%n",
        "{{7*7}}",
    ),
    *(
        "!!python/object/apply:os.system [id]",
        "&a [*a,*a]",
        "*a",
        "'; DROP TABLE x;--",
        "energy-rating 1, run x",
    ),
    *([], {}, [[]], {"": {}}, [None], {"a": 1, "b": {"c": []}}, ["x"] * 200),
)

NASTY_BYTES = (
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc2\x9b",
        b"\x1b[2J",
        b"[" * 3000,
        b"{" * 3000,
        b'{"a":' * 1200,
    ),
    *(
        b"1" * 5000,
        b"1e999",
        b"-",
        b"NaN",
        b"Infinity",
        b"\\ud800",
        b"\\u0000",
        b"\r",
        b"\n",
        b"\n---\n",
        b'"',
        b"'",
    ),
    *(
        b"a: &a [*a, *a]\n",
        b"!!python/name:os.system\n",
        b"<!-- energy-rating:start -->\n",
        b"a." * 3000,
        b"```\n",
    ),
    *(
        b"\xe2\x80\xae",
        b"\xef\xbb\xbf",
        b"\x1f\x8b",
        b"GGUF",
        b"= 1\n",
        b"[[x]]\n",
        b"\t",
        b"]]>",
        b"<x>",
        b"&#0;",
    ),
)


# -------------------------------------------------------------------------------------------------------- mutations


def mutated_json(entry: Any, dice: random.Random) -> Any:
    """A copy of a JSON value, changed in one to four places."""
    entry = json.loads(json.dumps(entry))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        holders = list(_holders(entry))
        if not holders:
            return dice.choice(HOSTILE)
        holder, key = dice.choice(holders)
        what = dice.randrange(9)
        if what <= 3:
            holder[key] = _fresh(dice)
        elif what == 4:
            del holder[key]
        elif what == 5:
            other, other_key = dice.choice(holders)
            holder[key] = json.loads(
                json.dumps(other.get(other_key) if isinstance(other, dict) else other[:1])
            )
        elif what == 6 and isinstance(holder, dict):
            name = dice.choice(HOSTILE)
            holder[name if isinstance(name, str) else f"{key}x"] = holder.pop(key)
        elif what == 7:
            value = holder[key]
            if isinstance(value, int | float) and not isinstance(value, bool):
                factor = dice.choice((-1, 0, 1e-300, 1e300, 1e-9, 1e9, 1.0000001, 2))
                holder[key] = value * (factor if abs(value) < 1e300 else 1)
            elif isinstance(value, list):
                holder[key] = value * dice.choice((0, 2, 3))
            elif isinstance(value, str):
                holder[key] = value + str(dice.choice(HOSTILE))[:6000]
        else:
            for _ in range(dice.choice((1, 5, 60, 400))):
                holder[key] = [holder[key]]
    return entry


def _fresh(dice: random.Random) -> Any:
    value = dice.choice(HOSTILE)
    return json.loads(json.dumps(value)) if isinstance(value, list | dict) else value


def _holders(entry: Any) -> Any:
    """Every place of the value, as container and key."""
    todo = [entry]
    while todo:
        holder = todo.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                todo.append(holder[key])


def mutated_bytes(content: bytes, dice: random.Random) -> bytes:
    """A copy with bytes flipped, cut, doubled, or exchanged for nasty ones."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        at = dice.randrange(len(changed) + 1)
        what = dice.randrange(6)
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << dice.randrange(8)
        elif what == 1:
            del changed[at : at + dice.choice((1, 2, 10, 100, 10_000))]
        elif what == 2:
            changed[at:at] = dice.choice(NASTY_BYTES)
        elif what == 3:
            length = dice.choice((1, 8, 80, 800))
            changed[at : at + length] = dice.choice(NASTY_BYTES)
        elif what == 4:
            changed[at:at] = changed[at : at + dice.choice((1, 20, 200))] * dice.choice((1, 2, 20))
        else:
            del changed[at:]
    return bytes(changed)


def dumped(entry: Any) -> bytes:
    """JSON as no careful writer makes it: with NaN, infinities and half surrogates, as escapes."""
    try:
        return json.dumps(entry).encode()
    except (RecursionError, ValueError):
        return b"[" * 2000


def mutated_journal(content: bytes, dice: random.Random) -> bytes:
    """A copy with lines changed, doubled, dropped and exchanged; the checksums are right again."""
    lines = content.splitlines(keepends=True)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(lines)) if lines and dice.random() < 0.7 else 0
        what = dice.randrange(8)
        if not lines:
            break
        if what <= 4:
            body = lines[at].rpartition(b',"crc":')[0]
            try:
                entry = json.loads(body + b"}")
            except (ValueError, RecursionError):  # changed before, into what is no JSON
                continue
            lines[at] = with_checksum(dumped(mutated_json(entry, dice)))
        elif what == 5:
            lines[at:at] = [lines[dice.randrange(len(lines))]] * dice.choice((1, 2, 30))
        elif what == 6:
            del lines[at : at + dice.choice((1, 2, 50))]
        else:
            other = dice.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def packed_journal(content: bytes) -> bytes:
    """The same journal with its readings packed."""
    packer, lines = packed.Packer(), []
    for line in content.splitlines(keepends=True):
        entry = decoded(line, place="seed")
        if "schema" in entry:
            packer = packed.Packer()
            entry["schema"] = JOURNAL_SCHEMA
        lines += packer.add(entry) if "r" in entry else [*packer.flush(), entry]
    return b"".join(map(encoded, lines))


def another_session(content: bytes) -> bytes:
    """The same once more, as another run of it."""
    header, _, rest = content.partition(b"\n")
    entry = decoded(header + b"\n", place="seed")
    return encoded(entry | {"run_id": entry["run_id"][:-4] + "ffff"}) + rest


def mutated_packed_journal(content: bytes, dice: random.Random) -> bytes:
    """A copy in which the numbers of packed lines are others, or lines as in any journal."""
    if dice.random() < 0.5:
        return mutated_journal(content, dice)
    lines = content.splitlines(keepends=True)
    of_packed = [at for at, line in enumerate(lines) if line.startswith(b'{"d"') or b',"n":[' in line]
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.choice(of_packed)
        entry = decoded(lines[at], place="seed")
        try:
            numbers = entry["n"] if "n" in entry else packed.unpacked(entry["d"])
        except ValueError:  # changed before, into what holds none
            continue
        place = dice.randrange(len(numbers) + 1)
        nasty = dice.choice(
            (
                0,
                1,
                2,
                3,
                6,
                -1,
                -2,
                1023,
                1024,
                1 << 30,
                -(1 << 52),
                1 << 53,
                1 << 59,
                dice.randrange(-99, 99),
            )
        )
        if dice.random() < 0.2:
            numbers[place:place] = [nasty]
        elif dice.random() < 0.2:
            del numbers[place:]
        elif place < len(numbers):
            numbers[place] = nasty
        if "d" in entry:
            entry["d"] = packed.packed(numbers)
            if dice.random() < 0.1:
                cut = dice.randrange(len(entry["d"]) + 1)
                entry["d"] = (
                    entry["d"][:cut]
                    + dice.choice(("", "g", "gggggggggggggg", "=", "é", "AA"))
                    + entry["d"][cut:]
                )
        lines[at] = encoded(entry)
    return b"".join(lines)


def with_checksum(body: bytes) -> bytes:
    """A line of a journal around a JSON object, whatever is in it."""
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def mutated_lines(content: bytes, dice: random.Random) -> bytes:
    """A copy of a text with lines and the values in them exchanged, as suits TOML, Markdown and lists of items."""
    lines = content.splitlines(keepends=True)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(lines)) if lines else 0
        what = dice.randrange(6)
        if what == 0 and lines:
            key, mark, _ = lines[at].partition(dice.choice((b"=", b":")))
            value = dice.choice(HOSTILE)
            told = json.dumps(value, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
            lines[at] = key + mark + b" " + told + b"\n"
        elif what == 1 and lines:
            del lines[at : at + dice.choice((1, 3, 20))]
        elif what == 2 and lines:
            lines[at:at] = lines[at : at + dice.choice((1, 5))] * dice.choice((1, 2, 40))
        elif what == 3 and lines:
            other = dice.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at:at] = [dice.choice(NASTY_BYTES) + dice.choice((b"", b"\n"))]
    return b"".join(lines)


# --------------------------------------------------------------------------------------------------------- Markdown

# Lines of a card's body, at the edges of what CommonMark says of blocks.
MARKDOWN = (
    *("", "", "", "text", "text", "# Hi", "## Environmental Impact", "### Else", "#", "#none", "Setext", "===", "---", "--", "="),
    *("***", "- - -", "```", "```", "~~~", "````", "  ```", "    ```", "``` `", "- item", "- ```", "1. ```", "   ```", "> ```", "> quote"),
    *("2. two", "10) ten", "1) one", "-", "*", "1.", "+ plus", "  - deeper", "    - code?", ">", "> > twice", "- > in", "- # Hi", "> # Hi"),
    *("<!--", "-->", "<!-- c -->", "<!-->", "<pre>", "</pre>", "<div>", "</div>", "<b>", "</b>", "<b", "</b >x", '<i a="b">', "<?php", "?>"),
    *("<!A", ">", "<![CDATA[", "]]>", "<script>", "</script>", "<style x", "<hr/>", "<x-y/>", "<a href='", "'>", "    code", "\tcode", "   text"),
    *(splice.START, splice.END, splice.START, splice.END, f"  {splice.START}", f"    {splice.START}", f"`{splice.START}`", f"> {splice.END}"),
    *(f"{splice.START} ", f"text {splice.END}", f"- {splice.START}", f"{splice.START} x", "| a | b |", "|---|---|", "🌍", "é", "\\"),
    # Link reference definitions, whole and in pieces.
    *("[a]: b", "[a]: b", "[a]: b 'c'", '[a]: b "c', "[a]: b (c)", "[a]:", "[a", "b]: c", "[a]: <b c>", "[a]: <b", "[a]: <>", "[]: a"),
    *("[a]: b c", "[a]: b 'c' d", "[a] : b", "[a]:b", "[a\\]: b", "[a\\]]: b", "[[a]: b", "[a]: b(c", "[a]: (b)", "[a]: b\\(", "[a]: 'b'"),
    *("'c'", '"c"', "(c)", "'c", "c'", '"c', 'c"', "(c", "c)", "'", '"', "(", ")", "'c' d", "    'c'", "    'c", "   [d]: e", "    [d]: e"),
    *("> [a]: b", "- [a]: b", "1. [a]: b", "  [a]: b", "> 'c'", "  'c'", "b", "    b", "\t'c'", "[a]: b ", "[a]: b\t'c'  ", "[^a]: b"),
)  # fmt: skip
_CHARACTERS = "[]:<>'\"()\\ `~-=#*+_.!?/\t1a"
_DEFINES = "]:"
_ATX = re.compile(r" {0,3}#{1,6}(?: |\t|$)")
# HTML blocks 1 to 5, of which only the first line may hold a marker that is meant.
_RAW = re.compile(r" {0,3}<(?:!--|\?|![A-Za-z]|!\[CDATA\[|(?:pre|script|style|textarea)(?:\s|>|$))", re.I)
_EOLS = re.compile(r"\r\n|\r|\n")


def markdown(dice: random.Random) -> str:
    """A body of up to a dozen lines; every other one has a definition near its beginning, every third characters that were exchanged."""
    lines = [dice.choice(MARKDOWN) for _ in range(dice.randrange(2, 12))]
    if dice.random() < 0.5:
        lines.insert(dice.randrange(3), dice.choice([line for line in MARKDOWN if _DEFINES in line]))
    if dice.random() < 0.1:
        inside = dice.choice(("> ", "- ", "  ", "   ", "1. "))
        lines = [inside + line if dice.random() < 0.7 else line for line in lines]
    for _ in range(dice.choice((0, 0, 0, 0, 1, 2))):
        line = dice.randrange(len(lines))
        at = dice.randrange(len(lines[line]) + 1)
        lines[line] = (
            lines[line][:at] + dice.choice(("", *_CHARACTERS)) + lines[line][at + dice.randrange(2) :]
        )
    return dice.choice(("\n", "\n", "\n", "\r\n")).join(lines) + dice.choice(("\n", ""))


def outside_of_everything(body: str) -> set[int]:
    """The lines, counted from 0, on which our reader sees a heading or a marker that is meant."""
    return {
        line.number - 1
        for line in Markdown().lines(body, 0)
        if (line.ground and re.match(_ATX, line.text)) or ((line.ground or line.html) and _marker(line.text))
    }


def _marker(line: str) -> bool:
    return line.strip(" \t") in (splice.START, splice.END)


def _markers_in(written: Sequence[str], first: int, after: int) -> set[int]:
    """Of a block of HTML, the lines that are markers and meant."""
    raw = _RAW.match(written[first])
    return {
        number for number in range(first, after) if _marker(written[number]) and (number == first or not raw)
    }


def outside_by_markdown_it(body: str) -> set[int]:
    """The same by markdown-it-py. Raises ImportError without it."""
    import markdown_it

    written, found = _EOLS.split(body), set()
    for token in markdown_it.MarkdownIt("commonmark").parse(body):
        if token.level == 0 and token.map and token.type == "heading_open" and token.markup.startswith("#"):
            found.add(token.map[0])
        elif token.level == 0 and token.map and token.type == "html_block":
            found |= _markers_in(written, *token.map)
    return found


def outside_by_commonmark(body: str) -> set[int]:
    """The same by commonmark, the reference implementation's port. Raises ImportError without it."""
    import commonmark

    written, found = _EOLS.split(body), set()
    node = commonmark.Parser().parse(body).first_child
    while node is not None:
        first, last = node.sourcepos[0][0] - 1, node.sourcepos[1][0]
        if node.t == "heading" and re.match(_ATX, written[first]):
            found.add(first)
        elif node.t == "html_block":
            found |= _markers_in(written, first, min(last, len(written)))
        node = node.nxt
    return found


def implementations() -> dict[str, Callable[[str], set[int]]]:
    """Those that are installed."""
    found = {}
    for name, read in (("markdown-it", outside_by_markdown_it), ("commonmark", outside_by_commonmark)):
        try:
            read("")
        except ImportError:
            continue
        found[name] = read
    return found


class Divided(Exception):
    """Implementations of CommonMark differ from each other, and the reader goes with some of them."""


def read_markdown(content: bytes) -> None:
    """Raises where the reader of cards differs from implementations of CommonMark."""
    body = content.decode()
    ours = outside_of_everything(body)
    others = {name: read(body) for name, read in _implementations().items()}
    unlike = [name for name, theirs in others.items() if theirs != ours]
    if others and len(unlike) == len(others):
        raise Escaped(f"differs from {' and '.join(unlike)}")
    if unlike:
        definition = "a definition" if _DEFINES in body else "no definition"
        raise Divided(f"with {definition}, unlike {' and '.join(unlike)}")


_implementations = functools.cache(implementations)


# ---------------------------------------------------------------------------------------------------------- readers


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader: valid files, what changes their structure, and what reads them and goes on with what was read."""

    name: str
    weight: int
    seeds: Sequence[bytes]
    mutate: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], None]

    def input(self, dice: random.Random) -> bytes:
        """One mutated file."""
        if not self.seeds:  # put together, of nothing
            return self.mutate(b"", dice)
        seed = dice.choice(self.seeds)
        changed = seed if dice.random() < 0.15 else self.mutate(seed, dice)
        return mutated_bytes(changed, dice) if changed is seed or dice.random() < 0.12 else changed


class Escaped(Exception):
    """Something of a stranger's got where it must not be."""


def harmless(words: str) -> None:
    """Raises where a terminal could be steered by the text that would be printed."""
    if not all(char.isprintable() or char == "\n" for char in for_terminal(words)):
        raise Escaped("a control character for the terminal")


@functools.cache
def _profiles() -> tuple[Profile, ...]:
    return profiles()


_ELEMENTS = {"svg", "title", "desc", "defs", "style", "g", "rect", "path", "text", "tspan", "line", "circle"}
_ELEMENTS |= {"pattern", "clipPath", "polygon", "metadata", "use", "symbol"}


# What of HTML stands in a section: one picture, and at its end one comment, in which there is nothing that ends it.
_OURS_ON_A_CARD = re.compile(
    r'(.*?)<img src="label\.svg" width="300" alt="[^"<>]*">(.*)<!-- energy-rating:data (\{[^<>`|*$\n]*\}) -->\n',
    re.DOTALL,
)


def encodable(items: Sequence[Any]) -> None:
    """Raises where an item holds what could not be sent to a model, nor hashed."""
    for item in items:
        try:
            json.dumps(str(getattr(item, "text", item)), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Escaped("half a pair of surrogates in an item") from None


def published(record: Any) -> None:
    """Everything that is made of a record, looked at for what a stranger could have put into it."""
    rating = rate(record, profiles=_profiles())
    harmless(terminal_records.record(record) + ratings.rating(rating) + one_line(record))
    for element in ElementTree.fromstring(label.svg(record, rating)).iter():
        name = element.tag.rpartition("}")[2]
        if name not in _ELEMENTS:
            raise Escaped(f"an element <{name}> on the label")
        for key, value in element.attrib.items():
            if (
                key.startswith("on")
                or "script" in value
                or (key.endswith("href") and not value.startswith("#"))
            ):
                raise Escaped(f"an attribute {key} on the label")
    words = card.section([(record, rating)], label="label.svg")
    told = _OURS_ON_A_CARD.fullmatch(words)
    if told is None:
        raise Escaped("a picture or a comment that is not ours on the card")
    for mark in ("<script", "<img", "](http", "<!--", "-->"):
        if mark in told[1] + told[2]:
            raise Escaped(f"{mark} on the card")
    json.loads(told[3])
    csv.export(record)


def read_any_record(content: bytes) -> None:
    record = record_from_json(content, place="record.json")
    if record_to_json(record_from_json(record_to_json(record))) != record_to_json(record):
        raise Escaped("a record that is not the same when written and read")
    if zlib.crc32(content) % 8 == 0:
        published(record)


def read_any_journal(content: bytes) -> None:
    record = summarise_journal(read_journal_from(io.BytesIO(content), place="journal.jsonl"))
    record_from_json(record_to_json(record).encode(), place="our own record")
    if zlib.crc32(content) % 8 == 0:
        published(record)


# Others' files: the folder that is copied, the file in it that is imported, and the one that is changed (None: the same).
OTHERS = TOP / "tests" / "data" / "imports"
IMPORTS: dict[str, tuple[str, str, str | None]] = {
    "codecarbon": ("codecarbon/3.3.2-flush", "emissions.csv", None),
    "codecarbon-tasks": ("codecarbon/3.3.2-tasks", "emissions.csv", "emissions_base_*.csv"),
    "carbontracker": ("carbontracker/2.4.7", "*Z_carbontracker.log", None),
    "carbontracker-output": ("carbontracker/2.4.7", "*Z_carbontracker.log", "*_output.log"),
    "zeus": ("zeus/0.16.0", "zeus.csv", None),
    "perun": ("perun/1.0.0", "pscript.json", None),
    "aiperf": ("aiperf/0.13.0", "profile_export_aiperf.json", None),
    "aiperf-telemetry": ("aiperf/0.13.0", "profile_export_aiperf.json", "gpu_telemetry_export.jsonl"),
    "aiperf-requests": ("aiperf/0.13.0", "profile_export_aiperf.json", "profile_export.jsonl"),
    "vllm": ("made-up/vllm-0.11.0", "vllm-*.json", None),
    "vllm-log": ("made-up/vllm-0.11.0", "vllm-*.json", "gpu_power.csv"),
    "sglang": ("made-up/sglang", "sglang_*.jsonl", None),
    "inferencex": ("made-up/inferencex-schema-2", "agg_run.json", None),
    "inferencex-audit": ("made-up/inferencex-schema-2", "agg_run.json", "power_validation_run.json"),
    "optimum": ("optimum_benchmark/0.6.0", "benchmark_report.json", None),
    "optimum-config": ("optimum_benchmark/0.6.0", "benchmark_report.json", "benchmark_config.json"),
    "ai-energy-benchmarks": ("ai_energy_benchmarks/0.0.7", "benchmark_results.csv", None),
    "lm-eval": ("lm_eval/0.4.13", "results.json", None),
    "mlperf": ("made-up/mlperf-4.1", "spl.txt", None),
    "mlperf-summary": ("made-up/mlperf-4.1", "spl.txt", "mlperf_log_summary.txt"),
    "dia": ("made-up/dia-0.1", "README.md", None),
    "our-table": ("energy_rating/0.2.0", "table.csv", None),
}


def imports(folder: Path) -> Iterator[Target]:
    """A reader for each of others' formats, with what lies beside the file as it was; and for our own table."""
    for name, (source, asked, changed) in IMPORTS.items():
        copy = Path(shutil.copytree(OTHERS / source, folder / f"import-{name}"))
        (read,) = copy.glob(asked)
        (at,) = copy.glob(changed or asked)
        content = at.read_bytes()
        kind = mutated_lines if at.suffix in (".csv", ".log", ".txt", ".md") else _json_mutation
        short = b"".join(content.splitlines(keepends=True)[:800]) if kind is mutated_lines else content
        yield Target(
            name=f"import-{name}",
            weight=3,
            seeds=[short],
            mutate=mutated_json_lines if at.suffix == ".jsonl" else kind,
            read=functools.partial(_read_import, read, at),
        )


def mutated_json_lines(content: bytes, dice: random.Random) -> bytes:
    """A copy of one JSON object a line, with some of them changed."""
    lines = content.splitlines(keepends=True)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(lines))
        try:
            lines[at] = dumped(mutated_json(json.loads(lines[at]), dice)) + b"\n"
        except (ValueError, RecursionError):
            continue
    return b"".join(lines)


def _read_import(path: Path, changed: Path, content: bytes) -> None:
    changed.write_bytes(content)
    for record in imported(path):
        text_ = record_to_json(record)
        if record.origin != "imported" or record_to_json(record_from_json(text_)) != text_:
            raise Escaped("a record that is not the same when written and read")
        if zlib.crc32(content) % 8 == 0:
            published(record)


def _columns(session: reading.Session) -> list[tuple[Any, ...]]:
    return [(name, *map(tuple, (s.start_s, s.end_s, s.values))) for name, s in session.samples.items()]


def read_packed_journal(content: bytes) -> None:
    """Raises where lines that are read many at a time say another thing than one by one."""
    told = []
    usual = reading.TOGETHER_FROM
    for together_from in (1, 1 << 60):
        reading.TOGETHER_FROM = together_from
        try:
            journal = read_journal_from(io.BytesIO(content), place="journal.jsonl")
            told.append(
                (
                    journal.damage,
                    [
                        (session.last_s, session.ended, [*session.spans], _columns(session))
                        for session in journal.sessions
                    ],
                )
            )
        except errors.EnergyRatingError as error:
            told.append((str(error), []))
        finally:
            reading.TOGETHER_FROM = usual
    if told[0] != told[1]:
        raise Escaped("a journal that says one thing at once and another one by one")
    if zlib.crc32(content) % 4 == 0:
        read_any_journal(content)


def targets(folder: Path) -> tuple[Target, ...]:
    """All readers. ``folder`` is for the files that are read from a disk."""
    here = TOP / "reports" / "example-gpu"
    journal = gzip.decompress((here / "journal.jsonl.gz").read_bytes())
    short = _short(journal)
    packed_short = packed_journal(_short(journal, 40))
    record = (here / "record.json").read_bytes()
    small = record_to_json(summarise_journal(read_journal_from(io.BytesIO(short), place="short"))).encode()
    records = [record, small, small, small]
    example = record_from_json(record)
    rated = rate(example)
    seed_cards = [
        b"---\nlicense: mit\nlanguage: no\ntags:\n- a\n---\n\n# A model\n\ntext\n",
        b"# A model\n",
        b"",
    ]
    cards = [card.update_card(text_, [example], ratings=[rated]) for text_ in seed_cards]
    at = folder / "file"

    def in_file(read: Callable[[Path], Any], name: str = "file") -> Callable[[bytes], None]:
        def reading(content: bytes) -> None:
            path = at.with_name(name)
            path.write_bytes(content)
            read(path)

        return reading

    def scheme(path: Path) -> None:
        rate(example, scheme=load_scheme(path.stem, path.parent), profiles=_profiles())

    def any_card(content: bytes) -> None:
        changed = card.update_card(content, [example], ratings=[rated])
        if zlib.crc32(content) % 4 == 0 and card.update_card(changed, [example], ratings=[rated]) != changed:
            raise Escaped("a card that changes when it is written again")

    newest = known_schemes()[-1]
    return (
        Target(name="record", weight=20, seeds=records, mutate=_json_mutation, read=read_any_record),
        Target(
            name="journal",
            weight=10,
            seeds=[short, short + short],
            mutate=mutated_journal,
            read=read_any_journal,
        ),
        Target(
            name="packed",
            weight=10,
            seeds=[packed_short, packed_short + another_session(packed_short)],
            mutate=mutated_packed_journal,
            read=read_packed_journal,
        ),
        Target(
            name="windows",
            weight=10,
            seeds=[a_journal_of_windows(), a_journal_of_windows("energy-rating/journal/1")],
            mutate=mutated_journal,
            read=read_windows,
        ),
        Target(
            name="journal.gz",
            weight=3,
            seeds=[gzip.compress(short, mtime=0)],
            mutate=lambda content, dice: gzip.compress(mutated_journal(gzip.decompress(content), dice), 1),
            read=read_any_journal,
        ),
        Target(
            name="profile",
            weight=10,
            seeds=[path.read_bytes() for path in sorted((TOP / "hardware_profiles").glob("*.toml"))[:12]],
            mutate=mutated_lines,
            read=in_file(read_profile),
        ),
        Target(
            name="scheme",
            weight=3,
            seeds=[(PACKAGE / "judging" / "schemes" / f"{newest}.toml").read_bytes()],
            mutate=mutated_lines,
            read=in_file(scheme, f"{newest}.toml"),
        ),
        Target(
            name="task",
            weight=6,
            seeds=[(PACKAGE / "benchmarking" / "tasks" / "text-generation.toml").read_bytes()],
            mutate=mutated_lines,
            read=in_file(lambda path: load_task("text-generation", path.parent), "text-generation.toml"),
        ),
        Target(name="card", weight=5, seeds=cards, mutate=mutated_lines, read=any_card),
        Target(
            name="items",
            weight=10,
            seeds=[b'{"text": "a question"}\n{"prompt": "b"}\n"c"\n', b"plain\nlines\n"],
            mutate=mutated_lines,
            read=in_file(lambda path: encodable(read_items(path))),
        ),
        Target(
            name="counts",
            weight=8,
            seeds=[b'{"token": 512, "request": 8}', b"token=512\nrequest=8\n"],
            mutate=_json_mutation,
            read=in_file(lambda path: (read_counts(path), parse_counts(_line(path), place="x"))),
        ),
        Target(name="gguf", weight=15, seeds=[_gguf()], mutate=mutated_bytes, read=in_file(gguf.described)),
        Target(
            name="answer",
            weight=10,
            seeds=[
                b'{"choices":[{"message":{"content":"x"}}],"usage":{"completion_tokens":3,"prompt_tokens":5,'
                b'"prompt_tokens_details":{"cached_tokens":1}},"error":{"message":"x"}}'
            ],
            mutate=_json_mutation,
            read=_answer,
        ),
        *imports(folder),
    )


def _json_mutation(content: bytes, dice: random.Random) -> bytes:
    try:
        return dumped(mutated_json(json.loads(content), dice))
    except ValueError:
        return mutated_lines(content, dice)


def _line(path: Path) -> str:
    return path.read_bytes().decode(errors="replace").partition("\n")[0]


def _answer(content: bytes) -> None:
    from energy_rating.benchmarking.workloads import llama_cpp

    reply = llama_cpp.parsed(content)
    if reply is not None:
        usage = llama_cpp._usage(reply)
        if usage is not None and not all(type(amount) is int and amount >= 0 for amount in usage.values()):
            raise Escaped("a count that is none")
        llama_cpp._text(reply)
        llama_cpp._refusal(reply)


def _short(journal: bytes, most: int = 10) -> bytes:
    """A journal with all kinds of line and few readings, so that many can be read in little time."""
    lines = journal.splitlines(keepends=True)
    readings = [line for line in lines if line.startswith(b'{"t"')]
    kept = set(readings[:: max(1, len(readings) // most)])
    spans = [line for line in lines if line.startswith((b'{"open"', b'{"close"'))]
    named = {line for line in spans if int(line.partition(b":")[2].partition(b",")[0]) <= 4}
    told = [line for line in lines if not line.startswith((b'{"t"', b'{"open"', b'{"close"', b'{"count"'))]
    wanted = kept | named | set(told[:4]) | set(told[-1:])
    return b"".join(line for line in lines if line in wanted)


def _gguf() -> bytes:
    import struct

    def string(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    entries = [
        string(b"general.file_type") + struct.pack("<II", 4, 7),
        string(b"general.name") + struct.pack("<I", 8) + string(b"model"),
        string(b"tokenizer.tokens") + struct.pack("<IIQ", 9, 8, 2) + string(b"a") + string(b"b"),
        string(b"tokenizer.scores") + struct.pack("<IIQ", 9, 6, 2) + struct.pack("<ff", 0.5, 1.5),
    ]
    tensor = string(b"w") + struct.pack("<IQQ", 2, 64, 32) + struct.pack("<IQ", 0, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor


CARDS_BODY = Target(
    name="markdown",
    weight=5,
    seeds=(),
    mutate=lambda _, dice: markdown(dice).encode(),
    read=read_markdown,
)

# ----------------------------------------------------------------------------------------------------------- the run


def fell_out(target: Target, content: bytes, most_cpu_s: float = MOST_CPU_S) -> str | None:
    """What is wrong with how the reader took an input; None if it gave a value, or refused it in one line.

    Raises Divided: there is no saying.
    """
    start = time.process_time()
    try:
        target.read(content)
    except errors.EnergyRatingError as error:
        told = str(error)
        if "\n" in told or len(told) > 2000:
            return f"{target.name}: a refusal that is not one line of bearable length"
    except Divided:
        raise
    except Exception as error:  # what else it may be is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        ours = [
            frame for frame in traceback.extract_tb(error.__traceback__) if str(PACKAGE) in frame.filename
        ]
        where = ours[-1] if ours else last
        message = " ".join(str(error).split())[:80] if isinstance(error, Escaped) else ""
        return (
            f"{target.name}: {type(error).__name__} in {Path(where.filename).name}:{where.lineno} {message}"
        )
    taken_s = time.process_time() - start
    return f"{target.name}: took {taken_s:.1f} s of CPU" if taken_s > most_cpu_s else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target")
    parser.add_argument("--keep", type=Path, help="folder for one input of each kind that fell out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        known = (*targets(Path(folder)), CARDS_BODY)
        found = [item for item in known if options.only in (None, item.name)]
        against = ", ".join(_implementations()) or "nothing: install markdown-it-py"
        print(f"Markdown is compared with {against}", flush=True)
        for target in found:  # loads everything before memory is bounded
            for seed in target.seeds:
                fell_out(target, seed)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))
        begun_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tried: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        divided: Counter[str] = Counter()
        start = time.monotonic()
        for number in range(options.inputs):
            if time.monotonic() - start > options.seconds:
                break
            dice = random.Random(f"{options.seed}/{number}")
            target = dice.choices(found, [item.weight for item in found])[0]
            content = target.input(dice)
            tried[target.name] += 1
            try:
                wrong = fell_out(target, content)
            except Divided as told:
                divided[str(told)] += 1
                if divided[str(told)] == 1:
                    print(f"input {number}, divided {told}: {content.decode()!r}", flush=True)
                continue
            if wrong is not None:
                kinds[wrong] += 1
                if kinds[wrong] == 1:
                    print(f"input {number} ({len(content)} bytes): {wrong}", flush=True)
                    if options.keep is not None:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        (options.keep / f"{target.name}-{number}").write_bytes(content)
        taken_s = time.monotonic() - start
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun_kib) / 1024
    print(
        f"{sum(tried.values()):,} inputs in {taken_s:.0f} s, seed {options.seed}; memory grew by {grown_mib:.0f} MiB"
    )
    for name, count in tried.most_common():
        print(f"  {name:12} {count:>9,}")
    for kind, count in divided.most_common():
        print(f"  {count:>9,} × divided {kind}")
    print(f"fallen out: {sum(kinds.values()):,} inputs of {len(kinds)} kinds")
    for kind, count in kinds.most_common():
        print(f"  {count:>6,} × {kind}")
    sys.exit(1 if kinds else 0)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
