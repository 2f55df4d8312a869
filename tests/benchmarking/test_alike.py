"""What no single answer shows: a cache of whole answers, one text for everything, several models, and shorter answers where nobody measures."""

from __future__ import annotations

import time

import pytest
from chat_server import MODEL, Fake, Talk, serving
from lying_server import Answer

from energy_rating.benchmarking.alike import FEWEST, AllAnswers
from energy_rating.benchmarking.serving import Answered, served
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.nouns.records import Work

ITEMS = [Item(text=f"Question {number}?") for number in range(FEWEST)]


def said(server: Fake, times: int = 3, **settings) -> set[str]:
    """What is to be said of a server after so many rounds."""
    workload, _ = prepare("endpoint", MODEL, Settings(endpoint=server.url, max_new_tokens=16, **settings))
    workload.load()
    for _ in range(times):
        for item in ITEMS:
            workload.run([item])
    return {finding.code for finding in workload.conclude()}


def own_words(talk: Talk) -> Answer:
    return Answer(
        pieces=(talk.body["messages"][0]["content"],), usage={"prompt_tokens": 40, "completion_tokens": 7}
    )


@pytest.mark.parametrize("streaming", [True, False])
def test_a_cache_of_whole_answers_is_seen_and_a_prompt_of_its_own_goes_by_it(streaming):
    known: set[str] = set()

    def caches(talk: Talk) -> None:
        prompt = talk.body["messages"][0]["content"]
        if prompt not in known:
            time.sleep(0.6)
        known.add(prompt)
        own_words(talk).told(talk)

    with serving(caches) as server:
        assert "answers-from-a-cache" in said(server, streaming=streaming)
        known.clear()
        options = {"unique_prefix": True}
        assert "answers-from-a-cache" not in said(server, times=2, streaming=streaming, options=options)


def test_the_same_text_for_everything_is_told():
    with serving(lambda talk: Answer().told(talk)) as server:
        assert "answers-alike" in said(server, times=1)
        server.behave = lambda talk: own_words(talk).told(talk)
        assert "answers-alike" not in said(server, times=1)


def test_several_models_behind_one_name_are_told():
    found = AllAnswers()
    for number in range(4):
        found.note(question=number, text=number, took_s=1.0, model=f"model-{number % 2}")
    (finding,) = found.findings()
    assert (finding.code, finding.severity) == ("several-models", "degrades")
    assert "'model-0', 'model-1'" in finding.message


def test_a_first_time_that_is_a_little_slower_is_no_cache():
    found = AllAnswers()
    for took_s in (1.0, 0.2, 0.15):
        for number in range(FEWEST):
            found.note(question=number, text=number, took_s=took_s, model="m")
    assert list(found.findings()) == []


# ------------------------------------------------------------------------------------- the part that counts


def stream(tokens_of: list[int], width: int) -> list[Answered]:
    """So many at once, each a second long, whatever it says of its tokens."""
    return [
        Answered(
            sent_s=float(number // width),
            first_s=number // width + 0.1 + 0.001 * (number % width),
            end_s=number // width + 1.0 + 0.001 * (number % width),
            work=Work({"request": 1, "token": tokens}),
        )
        for number, tokens in enumerate(tokens_of)
    ]


def test_fewer_tokens_at_the_edges_do_not_make_more_requests_of_the_middle_in_silence():
    honest = served(stream([100] * 64, 16), concurrency=16)
    assert honest.findings == ()
    lies = served(stream([1] * 16 + [100] * 32 + [1] * 16, 16), concurrency=16)
    assert [(f.code, f.severity) for f in lies.findings] == [("steady-part-uneven", "degrades")]
    assert lies.steady is not None
    assert honest.steady is not None
    assert lies.steady.work["request"] > 1.1 * honest.steady.work["request"]
