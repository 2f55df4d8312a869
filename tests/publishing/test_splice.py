"""What other people wrote in a card stays as it is, whatever it looks like; what is put in can be taken out again."""

from __future__ import annotations

import functools
import importlib.util
import random
import re
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_rating.nouns.errors import BadInput
from energy_rating.publishing import splice
from energy_rating.publishing.splice import END, START

KEY = "co2_eq_emissions"
VALUE = {
    "emissions": 0.000015,
    "source": "energy-rating 0.1.0, run 20261121T091403Z-6f1c, gpu measured",
    "training_type": "fine-tuning",
    "geographical_location": 'Québec: "Canada" #1 \\ {no}',
}
OTHER = VALUE | {"emissions": 1234567.25}
CONTENT = "## Energy rating\n\n| What | Value |\n|---|---|\n| Energy | 1 J |\n"

# As huggingface_hub 2.4.0 has it; but to JavaScript, in which the Hub runs it, a byte order mark is white space too.
HUB = re.compile(r"^([\s\ufeff]*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))")


def strings(text: str) -> object:
    """The metadata as the Hub finds it, with every scalar as text."""
    found = HUB.match(text)
    if found is None:
        return {}
    return yaml.load(found[2], yaml.BaseLoader) or {}


def is_insertion(before: str, after: str) -> bool:
    """Whether all that was done is to put one piece in somewhere."""
    head = 0
    while head < len(before) and head < len(after) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < len(before) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head + tail == len(before) and len(after) >= len(before)


CARDS = {
    "comments on lines of their own": "---\n# the licence\nlicense: mit\n# and that is all\n---\n# Hi\n",
    "comments beside values": "---\nlicense: mit  # see LICENSE\ntags: [a] # one\n---\n",
    "an order of keys": "---\nzebra: 1\nmodel-index: []\nalpha: 2\n---\n",
    "unknown keys": "---\nmine: {deep: [1, 2]}\nlicense: mit\n---\n",
    "unknown keys in model-index": "---\nmodel-index:\n- name: a\n  results:\n  - metrics: [{type: x, value: 1, unit: J}]\n---\n",
    "two models in model-index": "---\nmodel-index:\n- name: a\n  results: []\n- name: b\n  results: []\n---\n",
    "a tag twice": "---\ntags: [b, a, b]\n---\n",
    "quotes": "---\na: 'it''s'\nb: \"\\u00e9\"\nc: 'co2_eq_emissions: 5'\n---\n",
    "flow style": '---\ntags: [a,b , "c"]\nd: { e : f }\n---\n',
    "a literal block": "---\nnote: |\n  one\n\n  two\nlast: x\n---\n",
    "a literal block at the end": "---\na: b\nnote: |\n  one\n  two\n---\n",
    "a literal block that keeps its line ends": "---\na: b\nnote: |+\n  one\n\n\n---\nx",
    "a folded block at the end": "---\nnote: >-\n  one\n  two\n---\n",
    "anchors": "---\na: &x [1, 2]\nb: *x\nc: &y {d: e}\n---\n",
    "Norwegian": "---\nlanguage: no\n---\n",
    "yes and on": "---\na: yes\nb: on\nlanguage:\n- no\n- nn\n---\n",
    "a version": "---\nversion: 1.10\n---\n",
    "null": "---\nkey:\nother: ~\n---\n",
    "null at the end": "---\nother: ~\nkey:\n---\n",
    "CRLF": "---\r\nlicense: mit\r\n---\r\n# Hi\r\n\r\ntext\r\n",
    "mixed line ends": "---\r\nlicense: mit\ntags: [a]\r\n---\n# Hi\r\ntext\n",
    "emoji": "---\nemoji: 🌍\ntitle: 👩‍🔬\n---\n# 🌍\n",
    "a byte order mark": "\ufeff---\nlicense: mit\n---\n# Hi\n",
    "a byte order mark alone": "\ufeff# Hi\n",
    "no front matter": "# Hi\n\ntext\n",
    "no final newline": "---\nlicense: mit\n---\n# Hi",
    "front matter and nothing else": "---\nlicense: mit\n---",
    "nothing": "",
    "white space": " \n\t\n",
    "an empty block": "---\n---\n# Hi\n",
    "an empty block in CRLF": "---\r\n---\r\n# Hi\r\n",
    "an empty block and nothing else": "---\n---",
    "an empty line as block": "---\n\n---\n# Hi\n",
    "empty lines as block": "---\n\n\n---\n# Hi\n",
    "only a comment": "---\n# nothing yet\n---\n# Hi\n",
    "an empty mapping": "---\n{}\n---\n# Hi\n",
    "an empty mapping with a comment": "---\n{ } # none\n---\n# Hi\n",
    "a flow mapping": "---\n{license: mit, tags: [a, b]}\n---\n# Hi\n",
    "a flow mapping like JSON": '---\n{\n  "license": "mit",\n  "tags": ["a"]\n}\n---\n# Hi\n',
    "a flow mapping with a last comma": "---\n{license: mit, # see\n}\n---\n",
    "a flow mapping with a comma in a comment": "---\n{license: mit # a, b,\n}\n---\n",
    "dots for an end": "---\nlicense: mit\n...\n# Hi\n",
    "dots before the end": "---\nlicense: mit\n...\n---\n# Hi\n",
    "a rule in the body": "---\nlicense: mit\n---\n# Hi\n\n---\n\ntext\n\n---\n",
    "a rule at the start": "---\n\n# Hi\n\ntext\n",
    "front matter twice": "---\nlicense: mit\n---\n---\nlicense: apache-2.0\n---\n# Hi\n",
    "a bad model-index": "---\nmodel-index: 5\nlicense: mit\n---\n",
    "keys that clash with attributes": "---\neval_results: 1\nmodel_name: x\n---\n",
    "indented keys": "---\n  license: mit\n  tags: [a]\n---\n",
    "white space before": "\n \n---\nlicense: mit\n---\n",
    "white space after the rule": "---\nlicense: mit\n--- \t\n# Hi\n",
    "a question mark": "---\n? license\n: mit\n---\n",
    "a nested key of that name": f"---\nmine:\n  {KEY}: 5\n---\n",
    "that key in a comment": f"---\n# {KEY}: 5\nlicense: mit\n---\n",
}


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS.keys())
def test_everything_else_stays_byte_for_byte(text):
    once = splice.put_key(text, KEY, VALUE)
    assert is_insertion(text, once)
    assert strings(once) == strings(text) | {KEY: VALUE | {"emissions": "0.000015"}}
    assert splice.put_key(once, KEY, VALUE) == once
    assert splice.remove_key(once, KEY) == text

    other = splice.put_key(once, KEY, OTHER)
    assert is_insertion(text, other)
    assert strings(other) == strings(text) | {KEY: OTHER | {"emissions": "1234567.25"}}
    assert splice.put_key(other, KEY, VALUE) == once

    both = splice.put_section(once, CONTENT)
    assert is_insertion(once, both)
    assert strings(both) == strings(once)
    assert splice.put_section(both, CONTENT) == both
    assert splice.remove_key(splice.remove_section(both), KEY) == text
    assert splice.remove_section(splice.remove_key(both, KEY)) == text


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS.keys())
def test_without_anything_of_ours_there_is_nothing_to_remove(text):
    assert splice.remove_key(text, KEY) == text
    assert splice.remove_section(text) == text


def test_the_lines_have_the_line_ends_of_the_file():
    put = splice.put_key("---\r\nlicense: mit\r\n---\r\n# Hi\r\n", KEY, VALUE)
    put = splice.put_section(put, CONTENT)
    assert "\n" not in put.replace("\r\n", "")
    assert "\r" not in splice.put_section(splice.put_key("# Hi\n", KEY, VALUE), CONTENT)


def test_another_tool_may_dump_the_metadata_and_it_is_still_ours():
    put = splice.put_key("---\nlicense: mit\n---\n# Hi\n", KEY, OTHER)
    found = HUB.match(put)
    assert found
    for width in (20, 80):
        dumped = yaml.dump(yaml.safe_load(found[2]), allow_unicode=True, width=width, sort_keys=True)
        again = f"---\n{dumped}---\n# Hi\n"
        assert yaml.safe_load(dumped)[KEY]["emissions"] == 1234567.25
        assert strings(splice.put_key(again, KEY, VALUE))[KEY]["emissions"] == "0.000015"
        assert splice.remove_key(again, KEY) == "---\nlicense: mit\n---\n# Hi\n"


def test_a_comment_beside_our_key_does_not_hide_it_and_neighbours_stay():
    put = splice.put_key("---\na: 1\n---\n", KEY, VALUE)
    put = put.replace("\n---\n", "\n# theirs\nb: 2\n---\n", 1) if put.endswith("---\n") else put
    assert splice.remove_key(put, KEY) == "---\na: 1\n# theirs\nb: 2\n---\n"


# ------------------------------------------------------------------------------------------------- somebody's own value

THEIRS = {
    "a number": f"---\nlicense: mit\n{KEY}: 12.5  # from the cluster\ntags: [a]\n---\n",
    "a mapping": f"---\n{KEY}:\n  emissions: 12.5\n  # by hand\n  source: codecarbon\ntags: [a]\n---\n",
    "at the end": f"---\ntags: [a]\n{KEY}:\n  emissions: 12.5\n  source: codecarbon\n---\n",
    "in CRLF": f"---\r\n{KEY}:\r\n  emissions: 12.5\r\n---\r\n",
    "a flow mapping": f"---\n{KEY}: {{emissions: 1,\n  source: mine}}\n---\n",
    "a block scalar": f"---\n{KEY}: |\n  about\n\n  twelve\ntags: [a]\n---\n",
    "a long string": f'---\n"{KEY}": "about\n\n  twelve"\ntags: [a]\n---\n',
    "null": f"---\n{KEY}:\ntags: [a]\n---\n",
    "a list": f"---\n{KEY}:\n- 1\n- 2\n# and a comment\ntags: [a]\n---\n",
}


@pytest.mark.parametrize("text", THEIRS.values(), ids=THEIRS.keys())
def test_somebodys_own_value_is_refused_or_kept_aside(text):
    with pytest.raises(BadInput, match=f"line [23]: {KEY} stands there already"):
        splice.put_key(text, KEY, VALUE)
    assert splice.remove_key(text, KEY) == text
    put = splice.put_key(text, KEY, VALUE, overwrite=True)
    assert strings(put) == strings(text) | {KEY: VALUE | {"emissions": "0.000015"}}
    assert splice.put_key(put, KEY, VALUE) == put
    other = splice.put_key(put, KEY, OTHER, overwrite=True)
    assert splice.remove_key(put, KEY) == splice.remove_key(other, KEY) == text


@pytest.mark.parametrize(
    "text",
    [
        f"---\n{{license: mit, {KEY}: 5}}\n---\n",
        f"---\n? {KEY}\n: 5\n---\n",
        f"---\n{KEY}: &x 5\nother: *x\n---\n",
    ],
)
def test_a_value_that_cannot_be_put_aside_is_refused(text):
    with pytest.raises(BadInput, match="without changing something else"):
        splice.put_key(text, KEY, VALUE, overwrite=True)


# ------------------------------------------------------------------------------------------------------------- refusals

REFUSED = {
    "a key twice": (
        "---\nlicense: mit\ntags: [a]\nlicense: x\n---\n",
        "line 4: the key 'license' stands twice",
    ),
    "a key twice, deeper": ("---\na:\n  b: 1\n  b: 2\n---\n", "line 4: .*already invalid before"),
    "our key twice": (f"---\n{KEY}: 1\n{KEY}: 2\n---\n", "line 3"),
    "no YAML": ("---\nlicense: mit\ntags: [a\n---\n", "line [34]: .*already invalid before"),
    "a tab": ("---\r\nlicense: mit\r\ntags:\r\n\t- a\r\n---\r\n", "line 4: .*already invalid before"),
    "a rule at the start and another": ("---\nHi there\n\n---\n\nmore\n", "line 2: .*not a mapping"),
    "a list": ("---\n- a\n---\n", "line 2: .*not a mapping"),
    "a control": ("---\na: b\nc: \x07\n---\n", "line 3: .*not allowed in YAML"),
    "an escape that is no character": ('---\na: "\\UFFFFFFFF"\n---\n', "already invalid before"),
    "an unknown alias": ("---\na: 1\nb: *x\n---\n", "line 3: .*undefined alias"),
    "an anchor in itself": ("---\na: &x [*x]\n---\n", "line 2: .*within itself"),
    "two documents": ("---\na: 1\n--- # x\nb: 2\n---\n", "line 3: .*already invalid before"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_card_that_was_invalid_before_is_refused_with_its_line(text, told):
    for change in (
        lambda: splice.put_key(text, KEY, VALUE),
        lambda: splice.put_key(text, KEY, VALUE, overwrite=True),
        lambda: splice.remove_key(text, KEY),
    ):
        with pytest.raises(BadInput, match=told) as caught:
            change()
        assert "\n" not in str(caught.value)


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "---\n" + "\n".join(lines) + "\n---\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bomb(), "more than 10000 values, aliases counted"),
        ("---\na: " + "[" * 30_000 + "\n---\n", "nested more than 50 deep"),
        ("---\na: " + "{a: " * 10_000 + "\n---\n", "nested more than 50 deep"),
        (
            "---\na:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 300)) + "---\n",
            "nested more than 50 deep",
        ),
        ("---\na: [" + "1," * 15_000 + "]\n---\n", "more than 10000 values"),
        ("---\na: " + "x" * (64 << 10) + "\n---\n", "larger than 64 KiB"),
        ("---\n" + "# c\n" * (16 << 10) + "a: b\n---\n", "larger than 64 KiB"),
    ],
    ids=["bomb", "brackets", "braces", "list", "wide", "long", "comments"],
)
def test_hostile_front_matter_is_refused_soon(text, told):
    since = time.process_time()
    with pytest.raises(BadInput, match=told):
        splice.put_key(text, KEY, VALUE)
    assert time.process_time() - since < 5


def test_a_value_that_would_not_be_known_again_is_refused():
    with pytest.raises(ValueError, match="source of ours"):
        splice.put_key("", KEY, {"emissions": 1.0, "source": "codecarbon"})


@given(st.floats(min_value=1e-300, max_value=1e300) | st.integers(min_value=1, max_value=10**15))
def test_numbers_are_plain_decimals_and_lose_nothing(number):
    text = splice.decimal(number)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert float(text) == number


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_in_a_value(text):
    value = VALUE | {"geographical_location": text}
    for card in ("---\na: b\n---\n", "---\n{}\n---\n"):
        found = HUB.match(splice.put_key(card, KEY, value))
        assert found
        assert yaml.safe_load(found[2])[KEY]["geographical_location"] == text


# ------------------------------------------------------------------------------------------------------------- sections

SECTION = f"{START}\n\n{CONTENT}\n{END}"


def test_a_section_goes_under_the_heading_environmental_impact():
    text = "# Hi\n\n## Environmental Impact\n\nCarbon.\n\n## Else\n"
    put = splice.put_section(text, CONTENT)
    assert put == f"# Hi\n\n## Environmental Impact\n{SECTION}\n\nCarbon.\n\n## Else\n"
    assert splice.level_above(text) == splice.level_above(put) == 2
    assert splice.remove_section(put) == text


@pytest.mark.parametrize(
    "quoted",
    [
        "```\n## Environmental Impact\n```",
        "~~~md\n## Environmental Impact\n~~~",
        "- ```\n  ## Environmental Impact\n  ```",
        "<!--\n## Environmental Impact\n-->",
        "    ## Environmental Impact",
        "> ## Environmental Impact",
        "<pre>\n## Environmental Impact\n</pre>",
    ],
)
def test_a_heading_that_is_only_quoted_is_no_place(quoted):
    text = f"# Hi\n\n{quoted}\n\ntext\n"
    assert splice.put_section(text, CONTENT) == f"{text}{SECTION}\n"
    assert splice.level_above(text) is None


def test_a_section_is_replaced_where_it_stands():
    text = f"# Hi\n\n{SECTION}\n\ntext\n\n## Environmental Impact\n"
    put = splice.put_section(text, "## New\n")
    assert put == f"# Hi\n\n{START}\n\n## New\n\n{END}\n\ntext\n\n## Environmental Impact\n"
    assert splice.remove_section(put) == "# Hi\n\n\ntext\n\n## Environmental Impact\n"
    assert splice.level_above(text) is None


QUOTES = {
    "a fence": f"```\n{START}\nmine\n{END}\n```\n",
    "a longer fence": f"````md\n```\n{START}\n```\n{START}\n````\n",
    "tildes": f"~~~\n{START}\n```\n{END}\n~~~\n",
    "a fence in a list": f"- x\n\n  ```\n  {START}\n  ```\n- ```html\n  {END}\n  ```\n",
    "a fence in a numbered list": f"1. ```\n   {START}\n   ```\n\n```\n{END}\n```\n",
    "a fence in a quote": f"> ```\n> {START}\n> ```\n",
    "an indented fence": f"   ```\n   {START}\n   ```\n",
    "indented code": f"text\n\n    {START}\n    mine\n    {END}\n",
    "inline code": f"Put `{START}` and `{END}` in.\n\n`{START}`\n",
    "a comment": f"<!-- how to:\n{START}\n",
    "an element": f"<pre>\n{START}\n</pre>\n",
    "a script": f"<script>\n{START}\n{END}\n</script>\n",
    "a sentence": f"We use {START} there.\n{END} too.\n",
    "another spelling": "<!--energy-rating:start-->\n<!-- Energy-Rating:start -->\n",
}


@pytest.mark.parametrize("quoted", QUOTES.values(), ids=QUOTES.keys())
@pytest.mark.parametrize("end", ["", "\n", "\n## Environmental Impact\n", "\r\n# Else"])
def test_markers_that_are_quoted_are_not_ours(quoted, end):
    text = f"# Hi\n\n{quoted}{end}"
    assert splice.remove_section(text) == text
    put = splice.put_section(text, CONTENT)
    assert is_insertion(text, put)
    assert splice.put_section(put, CONTENT) == put
    assert splice.remove_section(put) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"a\n{START}\nb\n", "line 2: .*start --> has no"),
        (f"a\n{END}\nb\n", "line 2: .*end --> has no"),
        (f"{END}\n{START}\n", "line 1: .*end --> has no"),
        (f"{START}\n{START}\n{END}\n", "line 2: .*start --> is one marker too many"),
        (f"{START}\n{END}\n{END}\n", "line 3: .*end --> is one marker too many"),
        (f"---\na: b\n---\n{SECTION}\n\n{SECTION}\n", "line 14: .*start --> is one marker too many"),
    ],
)
def test_markers_that_are_no_pair_are_refused_with_their_line(text, told):
    for change in (lambda: splice.put_section(text, CONTENT), lambda: splice.remove_section(text)):
        with pytest.raises(BadInput, match=told):
            change()


@pytest.mark.parametrize(
    ("text", "what"), [("```\nnever closed\n", "a code block"), ("<!-- never closed\n", "an HTML comment")]
)
def test_nothing_is_added_within_what_is_still_open(text, what):
    with pytest.raises(BadInput, match=f"line 2: the card ends within {what}"):
        splice.put_section(f"# Hi\n{text}", CONTENT)
    assert splice.remove_section(f"# Hi\n{text}") == f"# Hi\n{text}"
    heading = f"## Environmental Impact\n{text}"
    assert splice.remove_section(splice.put_section(heading, CONTENT)) == heading


@pytest.mark.parametrize("content", [f"a\n{START}\nb", f"{END}\n", "```\nopen\n", "<!-- open"])
def test_content_that_would_break_the_markers_is_refused(content):
    with pytest.raises(ValueError, match="marker"):
        splice.put_section("# Hi\n", content)


@pytest.mark.parametrize(
    "text", ["* " * 50_000, "> " * 50_000, "- " * 50_000 + "x\n", "<a" + " b=c" * 50_000]
)
def test_a_hostile_body_is_read_soon(text):
    since = time.process_time()
    assert splice.remove_section(splice.put_section(text, CONTENT)) == text
    assert time.process_time() - since < 5


# ------------------------------------------------------------------------------------------- cards nobody thought of

EOLS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r\n", "\r"])
FRONT_LINES = [
    *("license: mit", "language: no", "version: 1.10 # v", "# comment", "", " ", "tags: [b, a, b]"),
    *("key:", "- a", "  - b", "  c: d", "note: |", "note: >-", "keep: |+", "  text", "   # no comment"),
    *("x: &x [1, 2]", "y: *x", "z: {a: b,", "  c: d}", "q: 'it''s", "  more'", '"k": "v"', "? complex"),
    *(": value", "{}", "{a: 1, b: [2]}", "{a: 1,}", "...", "---", "--- # x", "%YAML 1.1", "\ta: b", "<<: *x"),
    *(f"{KEY}: 5 # mine", f"{KEY}:", f"# {KEY}: 7", f"# energy-rating was: {KEY}: 1", "  emissions: 5"),
    *(
        "  source: codecarbon",
        "emoji: 🌍",
        "bad: [",
        "é: ü",
        "a: 'b' c",
        "!!map {a: b}",
        "a: \u2028b",
        "a\x00",
    ),
]
BODY_LINES = [
    *(
        "# Hi",
        "text",
        "",
        "",
        "---",
        "***",
        "```",
        "```",
        "~~~",
        "````",
        "  ```",
        "    ```",
        "- item",
        "- ```",
    ),
    *(
        "1. ```",
        "   ```",
        "> quote",
        "> ```",
        "<!--",
        "-->",
        "<!-- c -->",
        "<pre>",
        "</pre>",
        "<div>",
        "</div>",
    ),
    *(
        "## Environmental Impact",
        "### Environmental Impact [optional]",
        "  # Environmental Impact",
        "## Else",
    ),
    *(
        "| a | b |",
        "|---|---|",
        START,
        END,
        START,
        END,
        f"  {START}",
        f"    {START}",
        f"`{START}`",
        f"> {END}",
    ),
    *(
        f"{START} ",
        f"text {END}",
        f"- {START}",
        "Setext",
        "===",
        "\tcode",
        "- - -",
        "[a]: b",
        "🌍",
        "\ufeff",
        "\x0c",
    ),
]


@st.composite
def lines(draw: st.DrawFn, pieces: list[str], most: int) -> str:
    eol = draw(EOLS)
    mixed = draw(st.booleans())
    parts = draw(st.lists(st.sampled_from(pieces), max_size=most))
    return "".join(part + (draw(EOLS) if mixed else eol) for part in parts)


@st.composite
def cards(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(["", "", "", "\ufeff", "\n", " "]))
    if draw(st.booleans()):
        text += "---" + draw(EOLS) + draw(lines(FRONT_LINES, 5))
        text += draw(st.sampled_from(["---", "---", "---", "--- ", "...", ""])) + draw(EOLS)
    text += draw(lines(BODY_LINES, 8))
    return text if draw(st.booleans()) else text.rstrip("\r\n")


@settings(max_examples=600, deadline=None)
@given(cards(), st.booleans())
def test_a_key_is_put_and_taken_out_without_a_trace_or_refused(text, overwrite):
    try:
        put = splice.put_key(text, KEY, VALUE, overwrite=overwrite)
    except BadInput as error:
        assert re.match(r"line \d+: .", str(error))
        return
    old, new = strings(text), strings(put)
    theirs = KEY in old
    assert theirs <= overwrite
    assert new == {**old, KEY: VALUE | {"emissions": "0.000015"}}
    assert theirs or is_insertion(text, put)
    assert splice.put_key(put, KEY, VALUE) == put
    assert splice.remove_key(put, KEY) == text


@settings(max_examples=600, deadline=None)
@given(cards())
def test_a_section_is_put_and_taken_out_without_a_trace_or_refused(text):
    try:
        bare = splice.remove_section(text)
        put = splice.put_section(text, CONTENT)
    except BadInput as error:
        assert re.match(r"line \d+: .", str(error))
        return
    assert splice.put_section(put, CONTENT) == put
    assert splice.remove_section(put) == bare
    assert splice.put_section(put, "other\n") == splice.put_section(text, "other\n")
    if bare == text:
        assert is_insertion(text, put)
        assert splice.level_above(text) == splice.level_above(put)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("-\r\n ab:#{}[],'\"|>&*!?%`~<\t\ufeff\u2028\x85🌍"), max_size=60))
def test_any_text_is_changed_cleanly_or_refused(text):
    text = f"---\n{text}\n---\n" if len(text) % 2 else text
    try:
        put = splice.put_section(splice.put_key(text, KEY, VALUE), CONTENT)
    except BadInput:
        return
    assert splice.put_section(splice.put_key(put, KEY, VALUE), CONTENT) == put
    assert splice.remove_key(splice.remove_section(put), KEY) == text


@functools.cache
def fuzz():
    """The search that goes on for as long as it is told; here the same cases each time."""
    pytest.importorskip("markdown_it")
    spec = importlib.util.spec_from_file_location(
        "fuzz", Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
    )
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DEFINED = {
    "HTML of one tag": ("[a]: b\n</pre>\n# Hi\n", set()),
    "any tag": ("[a]: b\n<x-y>\n# Hi\n", set()),
    "a list that begins at 2": ("[a]: b\n2. # Hi\n\n   # In it\n", set()),
    "an empty item": ("[a]: b\n-\n  # In it\n", set()),
    "code": ("[a]: b\n    code\n</b>\n# Hi\n", set()),
    "a rule, and no heading": ("[a]: b\n---\n</b>\n# Hi\n", set()),
    "text, and no heading": ("[a]: b\n===\n</b>\n# Hi\n", {3}),
    "another definition": ("[a]: b\n[c]: d\n</b>\n# Hi\n", set()),
    "its title": ("[a]: b\n'c'\n</b>\n# Hi\n", set()),
    "its title, further in": ("[a]: b\n        'c'\n</b>\n# Hi\n", set()),
    "its title over lines": ("[a]: b\n'c\n</b>\nd'\n</b>\n# Hi\n", set()),
    "its title over lines, further in": ("[a]: b\n    'c\n</b>\nd'\n</b>\n# Hi\n", set()),
    "code that looks like its title": ("[a]: b\n    'c\n</b>\n# Hi\n", set()),
    "a title that ends too early": ("[a]: b\n'c' d\n</b>\n# Hi\n", {3}),
    "a title that never ends": ("[a]: b\n'c\n</b>\n# Hi\n", {3}),
    "nothing, its title having no end": ("[a]: b 'c\n</b>\n# Hi\n", {2}),
    "its destination on the next line": ("[a]:\n    b\n</b>\n# Hi\n", set()),
    "a label over lines": ("[a\n</b>\n]: c\n</b>\n# Hi\n", set()),
    "a label that has no end": ("[a\n</b>\n# Hi\n", {2}),
    "a destination in brackets": ("[a]: <b c> (d)\n</b>\n# Hi\n", set()),
    "a bracket that has no end": ("[a]: <b\n</b>\n# Hi\n", {2}),
    "parentheses that are not even": ("[a]: b)\n</b>\n# Hi\n", {2}),
    "an escaped parenthesis": ("[a]: b\\)\n</b>\n# Hi\n", set()),
    "an empty label": ("[ ]: b\n</b>\n# Hi\n", {2}),
    "an escaped end of its label": ("[a\\]: b\n</b>\n# Hi\n", {2}),
    "a label of 999 characters": (f"[{'a' * 999}]: b\n</b>\n# Hi\n", set()),
    "a label of 1,000 characters": (f"[{'a' * 1000}]: b\n</b>\n# Hi\n", {2}),
    "text in a paragraph": ("text\n[a]: b\n</b>\n# Hi\n", {3}),
    "HTML beside its quote": ("> [a]: b\n</b>\n# Hi\n", set()),
    "HTML beside its list": ("- [a]: b\n</b>\n    # Hi\n# Hi\n", set()),
    "its title beside its quote": ("> [a]: b\n'c'\n</b>\n# Hi\n", set()),
}


@pytest.mark.parametrize(("text", "headings"), DEFINED.values(), ids=DEFINED.keys())
def test_a_definition_is_no_paragraph_whatever_follows_it(text, headings):
    read = fuzz()
    assert read.outside_of_everything(text) == headings
    if len(text) < 1000:  # markdown-it-py knows no longest label
        assert read.outside_by_markdown_it(text) == headings


@pytest.mark.parametrize("whole", ["<!-->", "<!--->", "<!---->", "<?>", "<??>", "<!A>", "<![CDATA[]]>"])
def test_html_that_ends_where_it_begins_is_over(whole):
    assert fuzz().outside_of_everything(f"{whole}\n# Hi\n") == {1}
    assert fuzz().outside_by_markdown_it(f"{whole}\n# Hi\n") == {1}


@pytest.mark.parametrize("opens", ["[a", "[a]: b 'c", "[a]: b\n'c", "[a]: b\n    'c", "[a]: b\n    (c\n\n"])
def test_definitions_that_never_end_are_read_soon(opens):
    since = time.process_time()
    for text in (opens + "\ntext" * 10_000, (opens + "\n") * 5_000, f"{opens}\n[a]: b\n" * 5_000):
        assert splice.remove_section(splice.put_section(text, CONTENT)) == text
    assert time.process_time() - since < 5


@pytest.mark.parametrize("hundred", range(20))
def test_markdown_is_read_as_commonmark_has_it(hundred):
    """Against an independent implementation: which markers and headings stand outside of everything."""
    read = fuzz()
    for number in range(100):
        text = read.markdown(random.Random(f"{hundred}/{number}"))
        assert read.outside_of_everything(text) == read.outside_by_markdown_it(text), text
