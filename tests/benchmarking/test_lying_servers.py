"""A server's word is held against what else is known: what it did not do is no work, and what cannot be is not counted.

Every lie of ``lying_server`` is told one at a time and 64 at once, streamed and as a whole; ``docs/servers.md`` has a row for each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import MODEL, Fake, serving
from lying_server import COUNTED, LIES, MAY_HAVE, NO_NUMBERS, Answer, Lie, telling, vectors

from energy_rating import EnergyRatingError
from energy_rating.benchmarking.work import Done, Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.endpoint import NONE_IN_A_ROW, Endpoint
from energy_rating.nouns.errors import EndpointFailed
from energy_rating.nouns.findings import FINDINGS
from energy_rating.nouns.records import Finding

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"
AT_ONCE = 64

# What speaks against a server's word; an honest one has none of it.
SUSPICIOUS = {
    "more-tokens-than-asked",
    "usage-contradicts",
    "tokens-without-text",
    "answers-cut-short",
    "finish-reason-unknown",
    "answer-left-out",
    "input-tokens-untold",
    "no-usage",
    "prompt-cache-used",
}


def loaded(server: Fake, **settings) -> Endpoint:
    settings.setdefault("max_new_tokens", MAY_HAVE)
    workload, _ = prepare("endpoint", MODEL, Settings(endpoint=server.url, **settings))
    workload.load()
    return workload


def items(n: int) -> list[Item]:
    return [Item(text=f"Why is the sky blue, number {number}?") for number in range(n)]


def of(done: Done, code: str) -> Finding:
    (found,) = [finding for finding in done.findings if finding.code == code]
    return found


def suspicions(done: Done) -> set[str]:
    return {finding.code for finding in done.findings} & SUSPICIOUS


@contextlib.contextmanager
def lying(name: str, *, every: int = 1) -> Iterator[Fake]:
    with serving(telling(name, every=every)) as server:
        yield server


def ways(lie: Lie) -> list[bool]:
    return [
        streaming for streaming in (True, False) if lie.only in (None, "streamed" if streaming else "whole")
    ]


CASES = [(name, streaming) for name, lie in LIES.items() for streaming in ways(lie)]


@pytest.mark.parametrize(("name", "streaming"), CASES)
def test_each_lie_has_its_outcome_told_alone(name, streaming):
    lie = LIES[name]
    with lying(name) as server:
        workload = loaded(server, streaming=streaming, max_new_tokens=lie.may_have)
        if lie.work is None:
            with pytest.raises(EndpointFailed, match=lie.says) as caught:
                workload.run(items(1))
            assert str(caught.value).isprintable()
            return
        done = workload.run(items(1))
    assert done.work == lie.work
    if lie.code:
        found = of(done, lie.code)
        assert found.severity == (lie.fate if lie.fate in ("degrades", "disqualifies") else "note")
        assert found.message.isprintable()
    else:
        assert suspicions(done) == set()


@pytest.mark.parametrize(("name", "streaming"), CASES)
def test_each_lie_has_its_outcome_told_among_64_at_once(name, streaming):
    """Half of the answers are honest where a lie leaves one out; else all are lies, since counts have to be told alike."""
    lie = LIES[name]
    every = 2 if lie.fate == "left out" else 1
    n = 2 * AT_ONCE + 4
    with lying(name, every=every) as server:
        workload = loaded(server, streaming=streaming, concurrency=AT_ONCE, max_new_tokens=lie.may_have)
        if lie.work is None:
            with pytest.raises(EndpointFailed, match=lie.says):
                workload.run(items(n))
            return
        done = workload.run(items(n))
    expected: dict[str, int] = {}
    for number in range(n):
        for unit, amount in (lie.work if number % every == 0 else COUNTED).items():
            expected[unit] = expected.get(unit, 0) + amount
    assert done.work == expected
    assert done.steady is not None
    assert done.steady.work.get("request", 0) < n
    if lie.code:
        assert of(done, lie.code).code == lie.code
    else:
        assert suspicions(done) == set()


def test_there_are_forty_lies_and_more():
    assert len(LIES) >= 40


@pytest.mark.parametrize("concurrency", [1, AT_ONCE])
@pytest.mark.parametrize("streaming", [True, False])
def test_an_honest_server_is_suspected_of_nothing(concurrency, streaming):
    with serving(lambda talk: Answer().told(talk)) as server:
        done = loaded(server, streaming=streaming, concurrency=concurrency).run(
            items(max(1, 2 * concurrency))
        )
    assert suspicions(done) == set()


def test_the_page_of_servers_says_what_becomes_of_each():
    said = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and line.count("|") == 4:
            row, fate, code = (cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|"))
            said[row] = (fate, code.strip("`"))
    for lie in LIES.values():
        assert lie.row in said, f"docs/servers.md has no row: {lie.row}"
        fate, code = said.pop(lie.row)
        assert fate == lie.fate, lie.row
        assert code == (lie.code or code), lie.row
        assert code == "" or code in FINDINGS, lie.row
    assert set(said) == {"the server tells", "the server sends"}, "a row that nobody has tried"


# ------------------------------------------------------------------------------------------- what several answers show


def test_a_server_that_answers_nothing_is_no_server():
    with lying("nothing, full usage") as server:
        workload = loaded(server)
        for number in range(NONE_IN_A_ROW - 1):
            assert workload.run(items(1)).work == {"unanswered_request": 1}, number
        with pytest.raises(
            EndpointFailed, match=rf"answered none of {NONE_IN_A_ROW} requests.*ended in nothing"
        ):
            workload.run(items(1))
        with pytest.raises(EndpointFailed, match="answered none of 4 requests"):
            loaded(server, concurrency=2).run(items(4))


def test_what_one_answer_contradicts_is_counted_of_none():
    """The sum of the others would stand there as if it were all."""

    def behave(talk):
        lie = LIES["thoughts above"] if "number 3" in talk.body["messages"][0]["content"] else None
        thinks = {"completion_tokens_details": {"reasoning_tokens": 5}}
        (lie.answer if lie else Answer(usage=LIES["with a point"].answer.usage | thinks)).told(talk)

    with serving(behave) as server:
        done = loaded(server, concurrency=2).run(items(8))
    assert done.work == {"request": 8, "token": 56, "input_token": 320}
    assert "1 of 8 answers" in of(done, "usage-contradicts").message


def test_a_server_that_is_not_to_end_may_go_on_with_marks_that_nobody_sees():
    with serving(lambda talk: LIES["more than text"].answer.told(talk), owner="vllm") as server:
        done = loaded(server, max_new_tokens=60, min_new_tokens=60).run(items(1))
    assert suspicions(done) == set()


@pytest.mark.parametrize(
    ("found", "work"),
    [
        ([0.5, 0.25], {"request": 4, "input_token": 40}),
        ("AAAAPwAAgD4=", {"request": 4, "input_token": 40}),
        ([], {"unanswered_request": 4}),
        ([0.0, 0.0], {"unanswered_request": 4}),
        (NO_NUMBERS, {"unanswered_request": 4}),
        ([None, None], {"unanswered_request": 4}),
        ([10**400, 0.5], {"unanswered_request": 4}),
        (None, {"unanswered_request": 4}),
        (lambda n: [], {"unanswered_request": 4}),
        (lambda n: {"embedding": [1.0]}, {"unanswered_request": 4}),
        (
            lambda n: [{"embedding": [1.0]}] * (n - 1),
            {"request": 3, "unanswered_request": 1, "input_token": 40},
        ),
    ],
)
def test_a_vector_that_did_not_come_is_no_request(found, work):
    with serving(vectors(found)) as server:
        workload = loaded(server, task="feature-extraction", batch_size=4, max_new_tokens=None)
        done = workload.run(items(4))
    assert done.work == work
    assert ("answer-left-out" in suspicions(done)) == ("request" not in work)


# --------------------------------------------------------------------------------------------- what it says of itself


def fails_at_models(talk) -> None:
    talk.whole({"detail": "Internal Server Error"}, 500)


@pytest.mark.parametrize("task", ["text-generation", "feature-extraction"])
def test_a_server_that_cannot_list_its_models_and_answers_is_taken(monkeypatch, task):
    honest = vectors([0.5]) if task == "feature-extraction" else lambda talk: Answer().told(talk)

    def behave(talk):
        talk.body.setdefault("stream", False)
        honest(talk)

    with serving(behave) as server:
        monkeypatch.setattr(server.RequestHandlerClass, "do_GET", fails_at_models)
        done = loaded(server, task=task, max_new_tokens=None).run(items(1))
        assert of(done, "models-not-listed").severity == "note"
        server.behave = LIES["status 500"].answer.told
        with pytest.raises(EndpointFailed, match="not ready: it answers with status 500"):
            loaded(server, task=task)


def test_the_list_of_models_that_is_empty_leaves_the_name_that_was_given():
    with serving(lambda talk: Answer().told(talk)) as server:
        server.about["/v1/models"] = {"data": []}
        workload, model = prepare("endpoint", "org/other", Settings(endpoint=server.url))
        workload.load()
        assert workload.run(items(1)).work == COUNTED
        assert model.id == "org/other"
        assert server.log[-1][1]["model"] == "org/other"


def test_whatever_fails_is_an_error_of_ours():
    assert issubclass(EndpointFailed, EnergyRatingError)
