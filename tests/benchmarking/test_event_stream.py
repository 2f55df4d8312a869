"""Server-sent events as the HTML standard has them: however the lines end, the network cuts them and the data are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_endpoint import MODEL, UNKNOWN, Endpoint, Model, ServedModel, Settings, found_server, items, says

from energy_rating.benchmarking.event_stream import EventStream

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
).map(lambda value: {"choices": [value]})


def read(parts):
    stream = EventStream()
    found = [data for part in parts for data in stream.feed(part)]
    return found + list(stream.end())


def cut(content, places):
    ends = sorted({place % (len(content) + 1) for place in places} | {0, len(content)})
    return [content[start:end] for start, end in zip(ends, ends[1:], strict=False)]


@given(
    events=st.lists(st.tuples(DATA, st.sampled_from(["line", "indented", "bare"])), max_size=4),
    eol=st.sampled_from([b"\n", b"\r", b"\r\n"]),
    places=st.lists(st.integers(0, 10_000), max_size=12),
    mark=st.booleans(),
    comments=st.booleans(),
    done=st.booleans(),
)
@example(
    events=[({"choices": [{"a": 1}]}, "indented")],
    eol=b"\r\n",
    places=list(range(60)),
    mark=True,
    comments=True,
    done=True,
)
def test_whatever_ends_its_lines_and_wherever_it_is_cut_the_data_are_the_same(
    events, eol, places, mark, comments, done
):
    lines = [b": a comment", b"retry: 3000", b"x-vendor: 5", b""] if comments else []
    for value, how in events:
        text = json.dumps(value, indent=2 if how == "indented" else None).encode()
        lines += [(b"data:" if how == "bare" else b"data: ") + line for line in text.split(b"\n")]
        lines += [b"event: message", b"id: 7", b""] if comments else [b""]
    lines += [b"data: [DONE]", b""] if done else []
    content = (b"\xef\xbb\xbf" if mark else b"") + b"".join(line + eol for line in lines)
    found = read(cut(content, places))
    assert [json.loads(one) for one in found[: len(events)]] == [value for value, _ in events]
    assert found[len(events) :] == ([b"[DONE]"] if done else [])


def test_an_event_is_told_when_it_came_and_not_when_the_next_one_does():
    stream = EventStream()
    assert list(stream.feed(b'data: {"a": 1}\n')) == [b'{"a": 1}'], "its empty line may be in the next packet"
    assert list(stream.feed(b"\n")) == []
    assert list(stream.feed(b'data: {"a":\r')) == []
    assert list(stream.feed(b"\ndata: 2}\r\n\r")) == [b'{"a":\n2}']
    assert list(stream.feed(b"\ndata: [DONE]\r\n")) == [b"[DONE]"]


def test_servers_that_leave_empty_lines_out_are_understood():
    assert read([b'data: {"a": 1}\ndata: {"b": 2}\ndata: [DONE]']) == [b'{"a": 1}', b'{"b": 2}', b"[DONE]"]
    assert read([b"data\n\ndata:\n\n"]) == [], "an event without data is none"


@pytest.mark.parametrize("line", [b"<html>", b'{"error": "no"}', b"500 Internal Server Error", b"- item"])
def test_what_is_no_line_of_an_event_is_told(line):
    stream = EventStream()
    assert list(stream.feed(b'data: {"a": 1}\n\n' + line + b"\ndata: 5\n\n")) == [b'{"a": 1}']
    assert stream.foreign
    assert list(stream.end()) == []


@pytest.mark.parametrize("eol", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "several lines"])
def test_a_valid_stream_of_a_server_is_an_answer(eol, indent):
    pieces = [
        {"choices": [{"delta": {"content": "Yes"}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": "."}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
    ]
    body = "\ufeff: hello\n\n"
    for piece in pieces:
        body += "".join(f"data: {line}\n" for line in json.dumps(piece, indent=indent).split("\n")) + "\n"
    body += "data: [DONE]\n\n"
    content = body.replace("\n", eol).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(content)
    with says(head + content) as url:
        known = ServedModel(dialect=UNKNOWN, served_as=MODEL, model=Model(id=MODEL))
        workload = Endpoint(found_server(url), known, Settings(endpoint=url, max_new_tokens=4))
        workload._ready = True
        done = workload.run(items(1))
    assert (done.work["token"], done.work["request"]) == (2, 1)
