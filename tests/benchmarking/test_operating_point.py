"""The operating point that a run really had, as its engine tells it: read from pages of metrics and servers of loopback."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from chat_server import MODEL, USAGE, answers, serving
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import compare, load, measure
from energy_rating.benchmarking import child
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.engine_account import Account, account
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.serving import Answered, mean_at_once
from energy_rating.benchmarking.tasks import load_task
from energy_rating.benchmarking.work import Done, Item, Settings, Stretch
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.diffusers import _attention_of as pipeline_attention
from energy_rating.benchmarking.workloads.endpoint.metrics import (
    EngineCounts,
    Onlooking,
    account_of,
    counted,
    of_server_info,
    written,
)
from energy_rating.benchmarking.workloads.transformers.library import attention_of
from energy_rating.benchmarking.workloads.vllm import _account_of as vllm_account
from energy_rating.judging.operating_point import of_operating_point, told_by_engine
from energy_rating.judging.schemes import load_scheme
from energy_rating.nouns.records import Finding, Load, Model, Task

# As vLLM 0.11 writes them (V1): an engine a replica, counters with _total, what was configured as labels.
VLLM_V1 = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/tiny"} 30.0
vllm:num_requests_running{engine="1",model_name="org/tiny"} 28.0
vllm:num_requests_waiting{engine="0",model_name="org/tiny"} 2.0
vllm:num_requests_waiting{engine="1",model_name="org/tiny"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="org/tiny"} 0.5
vllm:prefix_cache_queries_total{engine="0",model_name="org/tiny"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="org/tiny"} 1.76e+09
vllm:prefix_cache_hits_total{engine="0",model_name="org/tiny"} 250.0
vllm:prompt_tokens_total{engine="0",model_name="org/tiny"} 4000.0
vllm:generation_tokens_total{engine="0",model_name="org/tiny"} 700.0
vllm:spec_decode_num_drafts_total{engine="0",model_name="org/tiny"} 100.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="org/tiny"} 300.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="org/tiny"} 180.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="org/tiny",position="0"} 90.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="org/tiny"} 7.0
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",num_gpu_blocks="573"} 1.0
"""
# As vLLM 0.6 wrote them (V0).
VLLM_V0 = """\
vllm:num_requests_running{model_name="org/tiny"} 4.0
vllm:num_requests_swapped{model_name="org/tiny"} 0.0
vllm:num_requests_waiting{model_name="org/tiny"} 0.0
vllm:gpu_prefix_cache_hit_rate{model_name="org/tiny"} 0.4
vllm:generation_tokens_total{model_name="org/tiny"} 12.0
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="False"} 1.0
"""
# As SGLang 0.5 writes them, with two ranks that share each layer and two replicas.
SGLANG = """\
sglang:num_running_reqs{dp_rank="0",engine_type="unified",model_name="m",tp_rank="0"} 4.0
sglang:num_running_reqs{dp_rank="0",engine_type="unified",model_name="m",tp_rank="1"} 4.0
sglang:num_running_reqs{dp_rank="1",engine_type="unified",model_name="m",tp_rank="0"} 3.0
sglang:num_running_reqs_offline_batch{model_name="m"} 9.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:generation_tokens_total{model_name="m"} 7.557572e+06
sglang:cache_hit_rate{model_name="m"} 0.0075
sglang:spec_accept_length{model_name="m"} 2.4
"""


# ------------------------------------------------------------------------------------------------- pages of metrics


def test_a_page_of_vllm_tells_how_many_run_over_all_its_engines():
    found = counted(VLLM_V1, 5.0)
    assert (found.running, found.waiting, found.written) == (58.0, 2.0, 700.0)
    assert (found.asked_of_cache, found.found_in_cache) == (1000.0, 250.0)
    assert (found.drafts, found.drafted, found.accepted) == (100.0, 300.0, 180.0)
    assert found.core == "V1"
    assert found.configured["enable_prefix_caching"] == "True"


def test_a_page_of_an_old_vllm_is_of_its_first_core():
    found = counted(VLLM_V0, 5.0)
    assert (found.running, found.core, found.cache_hit_rate) == (4.0, "V0", 0.4)
    assert account_of([found], None)["prefix_cache"] is False


@pytest.mark.parametrize("gpu", ["", "gpu_"])
@pytest.mark.parametrize("total", ["", "_total"])
def test_the_names_of_several_versions_are_one(gpu, total):
    page = f'vllm:{gpu}prefix_cache_queries{total}{{engine="0"}} 8\nvllm:{gpu}prefix_cache_hits{total} 2\nvllm:num_requests_running 1\n'
    found = counted(page, 0.0)
    assert (found.asked_of_cache, found.found_in_cache) == (8.0, 2.0)


def test_ranks_of_sglang_that_share_their_requests_count_once_and_replicas_each():
    found = counted(SGLANG, 5.0)
    assert found.running == 7.0
    assert found.waiting == 1.0
    assert found.accept_length == 2.4
    told = account_of([found], None)
    assert told["speculative_accepted"] == 2.4
    assert told["prefix_cache_hits"] == 0.0075


def test_what_is_no_number_or_no_metric_is_absent_and_never_zero():
    found = counted(
        "vllm:num_requests_running NaN\nvllm:num_requests_waiting oops\n<html>\n}{\nx 1 2 3 4\n", 0.0
    )
    assert found.running is None
    assert found.waiting is None
    assert account_of([], None) == {}
    assert written([found]) is None


def test_requests_at_once_are_those_of_the_time_in_which_the_server_was_kept_full():
    seen = [EngineCounts(at_s=float(t), running=float(n)) for t, n in enumerate((0, 8, 16, 16, 16, 8, 0))]
    assert account_of(seen, (2.0, 4.0))["mean_running"] == 16.0
    assert account_of(seen, None)["mean_running"] == pytest.approx(64 / 7)
    assert account_of(seen, (9.0, 10.0))["mean_running"] is None


def test_shares_are_of_what_was_added_meanwhile_and_a_server_that_began_anew_tells_none():
    before = counted(VLLM_V1, 0.0)
    after = replace(
        before,
        at_s=9.0,
        asked_of_cache=3000.0,
        found_in_cache=1250.0,
        drafts=200.0,
        drafted=600.0,
        accepted=430.0,
        written=1700.0,
    )
    told = account_of([before, after], None)
    assert told["prefix_cache_hits"] == 0.5
    assert told["speculative"] is True
    assert told["speculative_accepted"] == pytest.approx(3.5)
    assert written([before, after]) == 1000.0
    assert written([after, before]) is None
    assert account_of([after, before], None)["prefix_cache_hits"] is None


def test_sglang_says_how_it_was_started():
    info = {
        "version": "0.5.4",
        "tp_size": 2,
        "dp_size": 1,
        "ep_size": 2,
        "attention_backend": "fa3",
        "speculative_algorithm": "EAGLE",
        "disable_radix_cache": True,
        "kv_cache_dtype": "fp8_e4m3",
    }
    told = of_server_info(info)
    assert told == {
        "attention": "fa3",
        "tensor_parallel": 2,
        "pipeline_parallel": None,
        "data_parallel": 1,
        "expert_parallel": 2,
        "speculative": "EAGLE",
        "prefix_cache": False,
        "cache_dtype": "fp8_e4m3",
        "compiled": None,
    }
    assert of_server_info({**info, "speculative_algorithm": None})["speculative"] is False
    assert of_server_info({})["speculative"] is None
    two = {"prefill_attention_backend": "fa3", "decode_attention_backend": "flashinfer"}
    assert of_server_info(two)["attention"] == "fa3, flashinfer"


def test_a_page_that_does_not_come_is_given_up():
    asked = []

    def broken():
        asked.append(1)
        raise OSError

    looking = Onlooking(broken, every_s=0.0)
    for _ in range(9):
        looking.begin()
        looking.end()
    assert len(asked) == 3
    assert looking.seen == []
    other = Onlooking(lambda: "<html>not here</html>", every_s=0.0)
    other.begin()
    other.end()
    assert not other.answers
    assert threading.active_count() < 50


def test_looks_that_were_not_answered_are_said_and_count_as_no_number():
    from types import SimpleNamespace

    from energy_rating.benchmarking.workloads.endpoint import Endpoint

    answers = iter([VLLM_V0, None, None, VLLM_V0])

    def page():
        told = next(answers)
        if told is None:
            raise OSError
        return told

    looking = Onlooking(page, every_s=3600.0)
    looking.begin()
    looking._look()
    looking._look()
    looking.end()
    assert (len(looking.seen), looking.missed) == (2, 2)
    assert account_of(looking.seen, None)["mean_running"] == looking.seen[0].running
    known = SimpleNamespace(dialect=SimpleNamespace(name="vLLM"), version="0.8.5", account={})
    said = list(Endpoint._account(SimpleNamespace(_metrics=looking, _known=known), [], None))
    silent = next(one for one in said if one.code == "metrics-silent")
    assert "2 of 4 times" in silent.message
    looking.begin()
    assert looking.missed == 0
    looking.end()


def test_single_requests_are_not_slowed_down_by_questions():
    asked = []

    def page():
        asked.append(1)
        return VLLM_V0

    clock = [100.0]
    looking = Onlooking(page, every_s=1.0, now=lambda: clock[0])
    for _ in range(50):
        looking.begin()
        looking.end()
        clock[0] += 0.01
    assert len(asked) == 2


# ------------------------------------------------------------------------------------------------------ the account


def test_of_what_is_a_mean_the_mean_over_the_repeats_is_told_and_warming_up_is_none():
    all_of_it = Account()
    all_of_it.hear({"engine": "vLLM", "mean_running": 1.0, "most_running": 99.0}, counts=False)
    all_of_it.hear({"engine": "vLLM", "mean_running": 30.0, "most_running": 32.0}, counts=True)
    all_of_it.hear({"engine": "vLLM", "mean_running": 31.0, "most_running": 33.0}, counts=True)
    found = all_of_it.finding()
    assert found.data == {"engine": "vLLM", "mean_running": 30.5, "most_running": 33.0}
    assert found.message == "the engine says how it ran: vLLM, 30.5 requests at once on average"
    assert Account().finding() is None


def test_what_cannot_stand_in_a_record_is_left_out():
    assert account({"engine": "", "mean_running": math.nan, "attention": "x" * 999}) is None
    long = Finding.of("operating-point", "made up", data={"engine": "x" * 999, "attention": "sdpa"})
    assert told_by_engine([long]) == {"attention": "sdpa"}


def test_requests_at_once_by_an_engine_s_own_times():
    log = [Answered(sent_s=float(n), first_s=n + 1.0, end_s=n + 4.0, work={}) for n in range(10)]
    assert mean_at_once(log, Stretch(name="steady", start_s=4.0, end_s=9.0)) == pytest.approx(4.0)
    assert mean_at_once(log, None) == pytest.approx(40 / 13)
    assert mean_at_once([], None) is None


# ----------------------------------------------------------------------------------------------- a server of loopback


class About(dict):
    """What a server says of itself, its metrics as they are at the moment."""

    def __init__(self, server, **more):
        super().__init__(server.about, **more)
        self.server, self.written, self.others = server, 0, 0

    def get(self, path, default=None):
        if path != "/metrics":
            return super().get(path, default)
        return (
            f'vllm:num_requests_running{{engine="0"}} {self.server.inside}\n'
            f'vllm:num_requests_waiting{{engine="0"}} 0\n'
            f'vllm:generation_tokens_total{{engine="0"}} {self.written + self.others}\n'
            'vllm:prefix_cache_queries_total{engine="0"} 10\nvllm:prefix_cache_hits_total{engine="0"} 0\n'
            'vllm:cache_config_info{cache_dtype="auto",enable_prefix_caching="False"} 1\n'
        ).encode()


def served_by_vllm(n, *, others=0, slow_s=0.25):
    """A stream of requests, four at once, to a server that says it is vLLM and writes ``others`` tokens for others with each."""
    with serving(owner="vllm") as server:
        server.about |= {"/version": {"version": "0.11.1"}}
        server.about = about = About(server)

        def behave(talk):
            time.sleep(slow_s)
            with server.lock:
                about.written += USAGE["completion_tokens"]
                about.others += others
            answers(talk)

        server.behave = behave
        workload, _ = prepare(
            "endpoint", MODEL, Settings(endpoint=server.url, concurrency=4, max_new_tokens=16)
        )
        workload.load()
        return workload.run([Item(text=f"Question {number}?") for number in range(n)])


def of(done, code):
    return next((finding for finding in done.findings if finding.code == code), None)


def test_what_really_ran_at_once_is_counted_by_the_server():
    done = served_by_vllm(40)
    told = of(done, "operating-point").data
    assert (told["engine"], told["engine_version"], told["engine_core"]) == ("vLLM", "0.11.1", "V1")
    assert told["prefix_cache"] is False
    assert 0 < told["mean_running"] <= 4
    assert told["most_running"] <= 4
    assert of(done, "server-served-others") is None


def test_a_server_that_works_for_others_meanwhile_gives_itself_away():
    found = of(served_by_vllm(40, others=7), "server-served-others")
    assert found is not None
    assert found.severity == "disqualifies"
    assert found.measurement == "measured"


def test_a_server_without_metrics_still_says_which_it_is():
    with serving(owner="sglang") as server:
        server.about |= {"/server_info": {"version": "0.5.4", "tp_size": 4, "attention_backend": "fa3"}}
        workload, _ = prepare("endpoint", MODEL, Settings(endpoint=server.url, max_new_tokens=16))
        workload.load()
        told = of(workload.run([Item(text="Question?")]), "operating-point").data
    assert told == {
        "engine": "SGLang",
        "engine_version": "0.5.4",
        "attention": "fa3",
        "tensor_parallel": 4,
    }


# ------------------------------------------------------------------------------------------------- record and classes


def a_record(folder, **point):
    clock = VirtualClock()
    power, energy = constant(300.0)
    meter = FakeDevice(clock=clock, power=power, energy=energy, known_period=True)
    with measure(
        "inference",
        model=Model(id="org/name", dtype="bfloat16"),
        task=Task(name="text-generation", unit="request", protocol="serving-2026.1"),
        load=Load(concurrency=16, max_new_tokens=4096, items=1024),
        output_dir=folder,
        sensors=[meter],
        clock=clock,
        report=lambda _: None,
    ) as run:
        if point:
            run.tell_finding(account(point))
        clock.sleep(20.0)
        run.count(request=100)
    return run.record


def test_the_record_tells_it_and_survives_being_read_again(tmp_path):
    record = a_record(
        tmp_path / "a", engine="vLLM", engine_version="0.11.1", mean_running=15.93, prefix_cache=False
    )
    assert record.operating_point == {
        "engine": "vLLM",
        "engine_version": "0.11.1",
        "mean_running": 15.93,
        "prefix_cache": False,
    }
    assert load(tmp_path / "a").operating_point == record.operating_point
    assert a_record(tmp_path / "b").operating_point == {}


def test_a_comparison_names_what_differs_of_it(tmp_path):
    a = a_record(tmp_path / "a", engine="vLLM", attention="FLASH_ATTN", speculative=False, mean_running=15.93)
    b = a_record(tmp_path / "b", engine="SGLang", attention="fa3", speculative="EAGLE", mean_running=15.934)
    differs = {one.what: (one.a, one.b) for one in compare(a, b).differences}
    assert differs["engine"] == ("vLLM", "SGLang")
    assert differs["attention"] == ("FLASH_ATTN", "fa3")
    assert differs["speculative"] == ("off", "EAGLE")
    assert "mean running" not in differs


def test_a_class_can_ask_for_it(tmp_path):
    rated = next(one for one in load_scheme("2026.1").classes if one.name == "16 at once")
    asks = replace(
        rated,
        operating_point={**rated.operating_point, "mean_running": (15, 16), "tensor_parallel": (1, 1)},
        engine={"engine": ("vLLM", "SGLang"), "speculative": (False,)},
    )
    right = {"engine": "vLLM", "speculative": False, "mean_running": 15.93, "tensor_parallel": 1}
    assert list(of_operating_point(a_record(tmp_path / "right", **right), asks)) == [] or all(
        "bits" in str(one) for one in of_operating_point(a_record(tmp_path / "right2", **right), asks)
    )
    for number, (wrong, said) in enumerate(
        (
            (
                {"mean_running": 9.3},
                "computed at once, on average must be 15 to 16 under serving-2026.1; got 9.3",
            ),
            ({"tensor_parallel": 2}, "must be 1 under serving-2026.1; got 2"),
            ({"engine": "TGI"}, "the engine must be vLLM or SGLang in this class; got TGI"),
            ({"speculative": "EAGLE"}, "the speculative must be off in this class; got EAGLE"),
        )
    ):
        reasons = of_operating_point(a_record(tmp_path / f"wrong-{number}", **{**right, **wrong}), asks)
        assert any(said in str(one) for one in reasons)
    silent = [str(one) for one in of_operating_point(a_record(tmp_path / "silent"), asks)]
    assert any("the engine does not say it" in one for one in silent)
    assert any("the record does not say it" in one for one in silent)


# ---------------------------------------------------------------------------------------- engines in a process of their own


def a_vllm_engine(**parallel):
    class LLMEngine:
        pass

    LLMEngine.__module__ = "vllm.v1.engine.llm_engine"
    inner = LLMEngine()
    inner.vllm_config = SimpleNamespace(
        attention_config=SimpleNamespace(backend=SimpleNamespace(name="FLASHINFER")),
        parallel_config=SimpleNamespace(
            **{
                "tensor_parallel_size": 2,
                "pipeline_parallel_size": 1,
                "data_parallel_size": 1,
                "enable_expert_parallel": True,
                **parallel,
            }
        ),
        speculative_config=SimpleNamespace(method="eagle3"),
        cache_config=SimpleNamespace(enable_prefix_caching=False, cache_dtype="fp8"),
        model_config=SimpleNamespace(enforce_eager=False),
    )
    return SimpleNamespace(llm_engine=inner)


def test_vllm_says_what_its_configuration_has_become():
    told = vllm_account(a_vllm_engine(), SimpleNamespace(__version__="0.12.0"))
    assert told == {
        "engine": "vLLM",
        "engine_version": "0.12.0",
        "engine_core": "V1",
        "attention": "FLASHINFER",
        "compiled": True,
        "tensor_parallel": 2,
        "pipeline_parallel": 1,
        "data_parallel": 1,
        "expert_parallel": True,
        "speculative": "eagle3",
        "prefix_cache": False,
        "cache_dtype": "fp8",
    }


def test_a_vllm_of_before_says_of_its_attention_what_the_environment_asked_for(monkeypatch):
    engine = a_vllm_engine()
    del engine.llm_engine.vllm_config.attention_config
    engine.llm_engine.vllm_config.speculative_config = None
    assert vllm_account(engine, SimpleNamespace())["attention"] is None
    monkeypatch.setenv("VLLM_ATTENTION_BACKEND", "FLASH_ATTN")
    told = vllm_account(engine, SimpleNamespace())
    assert (told["attention"], told["speculative"], told["engine_version"]) == ("FLASH_ATTN", False, None)
    nothing = vllm_account(SimpleNamespace(), SimpleNamespace(__version__="0.6.0"))
    assert {name for name, value in nothing.items() if value is not None} == {
        "engine",
        "engine_version",
        "attention",
    }


def test_a_network_of_transformers_says_which_attention_it_took():
    part = SimpleNamespace(config=SimpleNamespace(_attn_implementation="eager"))
    whole = SimpleNamespace(
        config=SimpleNamespace(_attn_implementation="sdpa"), modules=lambda: [part, SimpleNamespace()]
    )
    assert attention_of(whole) == "eager, sdpa"
    assert attention_of(SimpleNamespace(config=SimpleNamespace())) is None


class AttnProcessor2_0:
    pass


class FluxAttnProcessor:
    _attention_backend = None


def test_a_pipeline_of_diffusers_says_which_attention_denoises():
    unet = SimpleNamespace(attn_processors={"a": AttnProcessor2_0(), "b": AttnProcessor2_0()})
    assert pipeline_attention(SimpleNamespace(unet=unet)) == "AttnProcessor2_0"
    flux = FluxAttnProcessor()
    flux._attention_backend = SimpleNamespace(value="flash")
    net = SimpleNamespace(attn_processors={"a": flux})
    assert pipeline_attention(SimpleNamespace(transformer=net)) == "FluxAttnProcessor, flash"
    assert pipeline_attention(SimpleNamespace()) is None


class Telling:
    """A workload that says how it ran: one request at once while warming up, thirty and then thirty-two in the repeats."""

    def __init__(self, clock):
        self.clock, self.calls = clock, 0

    def load(self):
        pass

    def run(self, items):
        self.clock.sleep(20.0)
        self.calls += 1
        data = {"engine": "vLLM", "mean_running": {1: 1.0, 2: 30.0}.get(self.calls, 32.0)}
        return Done(work={"request": len(items), "token": 10 * len(items)}, findings=[account(data)])

    def close(self):
        pass


def test_a_benchmark_tells_it_once_and_of_its_repeats(tmp_path):
    clock = VirtualClock()
    power, energy = constant(300.0)
    meter = FakeDevice(clock=clock, power=power, energy=energy, known_period=True)
    plan = planned(load_task("text-generation"), repeats=2, min_duration_s=0.0, idle_s=0.0)
    run = run_plan(
        Telling(clock),
        replace(plan, settings=replace(plan.settings, batch_size=len(plan.items))),
        model=Model(id="org/tiny"),
        output_dir=tmp_path / "run",
        sensors=[meter],
        clock=clock,
        sleep=clock.sleep,
        report=lambda _: None,
    )
    (told,) = [finding for finding in run.record.findings if finding.code == "operating-point"]
    assert told.data == {"engine": "vLLM", "mean_running": 31.0}
    assert run.record.operating_point == told.data


def test_what_a_child_found_comes_with_its_figures():
    told = account({"engine": "transformers", "attention": "sdpa", "compiled": False, "mean_running": 1.5})
    done = Done(work={"request": 1}, findings=[told])
    again = child._done(json.loads(json.dumps(child._done_entry(done))))
    assert [(one.code, one.data) for one in again.findings] == [(told.code, dict(told.data))]
    with pytest.raises(TypeError, match="must be a text or a number"):
        child._data({"x": [1]})
