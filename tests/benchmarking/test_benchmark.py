"""A benchmark on the virtual clock: its windows, its repeats, when it stops, and what is left when the model fails."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, EnergyRatingError, benchmark, load, measure, summarise
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.progress import Progress, progress_line
from energy_rating.benchmarking.serving import Answered, poisson_times, served
from energy_rating.benchmarking.steadiness import drifts
from energy_rating.benchmarking.tally import Tally
from energy_rating.benchmarking.tasks import load_task, read_items, tasks
from energy_rating.benchmarking.work import Done, Item, Stretch
from energy_rating.benchmarking.workloads import default_workload, workloads
from energy_rating.files.reading import read_journal
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import WorkloadFailed
from energy_rating.nouns.records import Model, Quality
from energy_rating.publishing.facts import facts_of


class FakeModel:
    """Takes half a second and 300 W for each item; what it draws beside may change from repeat to repeat."""

    def __init__(self, clock, *, extra_w=(0.0,), dies_at=None):
        self.clock = clock
        self.extra_w = extra_w
        self.dies_at = dies_at
        self.items = 0
        self.loaded = self.closed = False
        self.busy = []
        self.item_s = 0.5
        self.tokens = 20
        self.watts = 70.0
        self.joules = 0.0
        self.since = clock.now()

    def load(self):
        self.clock.sleep(2.0)
        self.loaded = True

    def run(self, items):
        for _ in items:
            self.items += 1
            if self.items == self.dies_at:
                raise EnergyRatingError("the server ended", "Look at its log")
            self._draw(300.0 + self.extra_w[(self.items // 24) % len(self.extra_w)])
            self.clock.sleep(self.item_s)
            self._draw(70.0)
        return {"request": len(items), "token": self.tokens * len(items)}

    def _draw(self, watts):
        self.joules = self.energy(self.clock.now())
        self.since, self.watts = self.clock.now(), watts

    def power(self, t):
        return self.watts

    def energy(self, t):
        # Ticks may be asked for a moment after they happened: never before the last change.
        return self.joules + self.watts * max(0.0, t - self.since)

    def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return VirtualClock()


def go(clock, model, folder, *, seen=None, tally=None, **wishes):
    plan = planned(load_task("text-generation"), **wishes)
    gpu = FakeDevice(clock=clock, power=model.power, energy=model.energy, tick_s=0.02, known_period=True)
    told = seen if seen is not None else []
    return run_plan(
        model,
        plan,
        model=Model(id="org/name", parameters=100),
        output_dir=folder,
        sensors=[gpu],
        clock=clock,
        sleep=clock.sleep,
        progress=told.append,
        tally=tally,
    )


def test_the_windows_are_those_of_the_contract_in_their_order(clock, tmp_path):
    model = FakeModel(clock)
    record = go(clock, model, tmp_path / "run").record
    assert [m.name for m in record] == ["run", "load", "idle-before", "warm-up", "measured", "idle-after"]
    measured = record["measured"]
    assert measured.n == 5
    assert measured.work == {"request": 60, "token": 1200}
    assert measured.energy_per("request").value == pytest.approx(150, rel=0.01)
    assert measured.idle_j["gpu"].value == pytest.approx(70 * measured.duration_s, rel=0.01)
    assert record.load.items == 12
    assert record.load.max_new_tokens == 32
    assert record.task.protocol == "demo-2026.1"
    assert set(record.provenance.files) == {"tasks/text-generation.toml", "tasks/questions.jsonl"}
    assert model.closed


def test_every_repeat_does_the_same_work_and_lasts_as_long_as_asked(clock, tmp_path):
    record = go(clock, FakeModel(clock), tmp_path / "run", min_duration_s=20.0, repeats=3).record
    measured = record["measured"]
    assert measured.n == 3
    assert measured.duration_s / 3 == pytest.approx(24.0)  # four rounds of 6 s
    assert measured.work["request"] == 3 * 48


def test_it_repeats_more_while_that_still_makes_it_surer_but_not_for_ever(clock, tmp_path):
    restless = FakeModel(clock, extra_w=(0.0, 90.0, -60.0, 40.0, 10.0))
    record = go(clock, restless, tmp_path / "run").record
    measured = record["measured"]
    assert 5 < measured.n <= 10
    assert measured.energy_j["gpu"].random / measured.energy_j["gpu"].value > 0.02, (
        "the scatter is in the doubt"
    )


def test_a_token_more_or_less_does_not_hide_how_much_repeats_differ(clock, tmp_path):
    class Wordy(FakeModel):
        def run(self, items):
            work = super().run(items)
            return work | {"token": work["token"] + self.items % 2}

    record = go(clock, Wordy(clock, extra_w=(0.0, 200.0, -150.0)), tmp_path / "run").record
    gpu = record["measured"].energy_j["gpu"]
    assert gpu.random / gpu.value > 0.05
    assert any(finding.code == "not-steady" for finding in record.findings)


def test_a_budget_ends_it_early_and_says_so(clock, tmp_path):
    record = go(clock, FakeModel(clock), tmp_path / "run", budget_s=30.0).record
    assert record["measured"].n < 5
    assert any(f.code == "budget-spent" for f in record.findings)
    assert record["measured"].validity == "degraded"


@pytest.mark.parametrize("budget_s", [40.0, 75.0, 150.0, 400.0])
def test_the_whole_takes_no_longer_than_the_budget_but_for_the_first_repeat(clock, tmp_path, budget_s):
    run = go(clock, FakeModel(clock), tmp_path / "run", budget_s=budget_s, cooldown_s=3.0)
    record = run.record
    one_s = record["measured"].duration_s / record["measured"].n
    others_s = sum(record[name].duration_s for name in ("load", "idle-before", "warm-up", "idle-after"))
    assert record["run"].duration_s <= max(budget_s, others_s + one_s) + 0.5
    assert (record["measured"].n < 5) == any(f.code == "budget-spent" for f in record.findings)


def test_a_model_that_fails_at_its_first_item_failed_while_warming_up(clock, tmp_path):
    with pytest.raises(EnergyRatingError):
        go(clock, FakeModel(clock, dies_at=1), tmp_path / "run")
    failed = next(f for f in load(tmp_path / "run").findings if f.code == "workload-failed")
    assert "'warm-up'" in failed.message


@pytest.mark.parametrize("ended", [KeyboardInterrupt, SystemExit])
def test_what_was_cancelled_says_so_and_is_never_rated(clock, tmp_path, ended):
    model = FakeModel(clock)

    def watch(now):
        if now.phase.startswith("measured 3"):
            raise ended

    with pytest.raises(ended):
        run_plan(
            model,
            planned(load_task("text-generation")),
            model=Model(id="m"),
            output_dir=tmp_path / "run",
            sensors=[FakeDevice(clock, *constant(100))],
            clock=clock,
            sleep=clock.sleep,
            progress=watch,
        )
    record = load(tmp_path / "run")
    finding = next(one for one in record.findings if one.code == "cancelled")
    assert "'measured 3/5'" in finding.message
    assert record["measured"].validity == "invalid"
    assert rate(record).stars is None
    assert model.closed


def test_what_was_cancelled_before_anything_was_measured_is_told_of_the_whole_run(clock, tmp_path):
    class Cancelled(FakeServer):
        def run(self, items):
            if len(items) > 16:
                raise KeyboardInterrupt
            return super().run(items)

    with pytest.raises(KeyboardInterrupt):
        go(clock, Cancelled(clock, slots=8), tmp_path / "run", concurrency=8, batch_size=1)
    record = load(tmp_path / "run")
    assert "measured" not in record
    (finding,) = (one for one in record.findings if one.code == "cancelled")
    assert finding.measurement is None
    assert record["run"].validity == "invalid"


def test_progress_says_when_it_broke_off_so_that_the_error_has_a_line_of_its_own(clock, tmp_path):
    seen = []
    with pytest.raises(EnergyRatingError):
        go(clock, FakeModel(clock, dies_at=9), tmp_path / "run", seen=seen)
    assert seen[-1].phase == ""
    assert all(now.phase for now in seen[:-1])


def test_what_is_advised_for_an_occupied_folder_can_be_done_on_the_command_line(clock, tmp_path):
    from energy_rating.cli import cli

    go(clock, FakeModel(clock), tmp_path / "run", repeats=2)
    record = go(clock, FakeModel(clock), tmp_path / "run", repeats=2).record
    (finding,) = [one for one in record.findings if one.code == "folder-occupied"]
    known = {
        name: {o for p in command.params for o in p.opts}
        for name, command in ((name, cli.get_command(None, name)) for name in cli.list_commands(None))
    }
    assert "--output-dir" in finding.remedy
    assert "--output-dir" in known["benchmark"]
    assert "a run of measure" in finding.remedy
    assert "--resume" in known["measure"]


def test_a_model_that_fails_leaves_what_was_measured_one_error_and_nothing_running(clock, tmp_path):
    model = FakeModel(clock, dies_at=30)
    with pytest.raises(EnergyRatingError, match="the server ended"):
        go(clock, model, tmp_path / "run")
    assert model.closed
    record = load(tmp_path / "run")
    assert any(f.code == "program-failed" for f in record.findings)
    assert rate(record).stars is None


def test_progress_goes_from_nothing_to_all_and_names_the_phase(clock, tmp_path):
    seen = []
    go(clock, FakeModel(clock), tmp_path / "run", seen=seen)
    assert seen[0].phase == "load"
    assert seen[-1].phase == "idle-after"
    assert all(0 <= p.share <= 1 for p in seen)
    assert seen[-1].share == 1.0
    repeats = [p.share for p in seen if p.phase.startswith("measured")]
    assert repeats == sorted(repeats)


def test_the_demo_protocol_is_never_rated(clock, tmp_path):
    rating = rate(go(clock, FakeModel(clock), tmp_path / "run").record)
    assert rating.stars is None
    assert any("demo-2026.1" in reason for reason in rating.reasons)


@pytest.mark.parametrize("name", tasks())
def test_every_task_reads_and_its_shipped_items_are_there(name):
    task = load_task(name)
    for protocol_name, protocol in task.protocols.items():
        if protocol.ships:
            assert len(planned(task, protocol=protocol_name).items) >= 2
        else:
            with pytest.raises(BadInput, match="--items"):
                planned(task, protocol=protocol_name)


def test_own_items_replace_the_protocols_and_are_cut_to_its_number(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(f'{{"text": "question {n}"}}' for n in range(1200)))
    plan = planned(load_task("text-generation"), protocol="aes-2025-02", items=path)
    assert len(plan.items) == 1000
    assert plan.items[0] == Item(text="question 0")
    assert "items" in plan.files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"", "holds no items"),
        (b"{broken", "not JSON"),
        (b'{"x": 1}', "no 'text'"),
    ],
)
def test_wrong_items_are_refused_with_their_place(tmp_path, content, says):
    path = tmp_path / "items.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=says) as caught:
        read_items(path)
    assert "items.jsonl" in str(caught.value)


def test_unknown_tasks_protocols_and_models_get_help():
    with pytest.raises(BadInput, match="Did you mean: text-generation"):
        load_task("text-generaton")
    with pytest.raises(BadInput, match=r"It has: demo-2026.1, aes-2025-02"):
        planned(load_task("text-generation"), protocol="x")


@pytest.mark.parametrize(
    ("task", "model", "endpoint", "workload"),
    [
        ("text-generation", "model.gguf", None, "llama_cpp"),
        ("text-generation", "org/name", "http://127.0.0.1:8000/v1", "endpoint"),
        ("text-generation", "org/name", None, "transformers"),
        ("text-to-image", "org/name", None, "diffusers"),
        ("sentence-similarity", "org/name", None, "sentence_transformers"),
    ],
)
def test_a_model_is_run_by_what_suits_it(task, model, endpoint, workload):
    if workload in workloads():
        assert default_workload(load_task(task), model, endpoint=endpoint) == workload
    else:
        with pytest.raises(BadInput, match="--workload"):
            default_workload(load_task(task), model, endpoint=endpoint)


def test_a_published_protocol_is_what_it_was():
    protocol = load_task("text-generation").protocol("aes-2025-02")[1]
    assert (protocol.items, protocol.max_new_tokens, protocol.min_new_tokens) == (1000, 10, 10)
    assert (protocol.batch_size, protocol.repeats, protocol.warm_up_items) == (1, 10, 10)


# ------------------------------------------------------------------------------------------- stretches and serving


def test_a_stretch_that_is_noted_afterwards_has_its_own_energy_and_work(clock, tmp_path):
    class TwoPhased(FakeModel):
        """Each item: 0.2 s at 500 W, then 0.8 s at 200 W, told when it is over."""

        def run(self, items):
            spans = []
            for _ in items:
                start = self.clock.now()
                self._draw(500.0)
                self.clock.sleep(0.2)
                middle = self.clock.now()
                self._draw(200.0)
                self.clock.sleep(0.8)
                self._draw(70.0)
                spans += [
                    Stretch(name="prefill", start_s=start, end_s=middle, work={"input_token": 9}),
                    Stretch(name="decode", start_s=middle, end_s=self.clock.now(), work={"token": 20}),
                ]
            return Done(work={"request": len(items), "token": 20 * len(items)}, spans=spans)

    record = go(clock, TwoPhased(clock), tmp_path / "run").record
    n = record["measured"].work["request"]
    assert record["warm-up"].work["request"] > 0, "whose parts are not mixed with those that are measured"
    assert record["prefill"].energy_j["gpu"].value == pytest.approx(n * 100.0, rel=0.03)
    assert record["decode"].energy_j["gpu"].value == pytest.approx(n * 160.0, rel=0.03)
    assert record["decode"].work == {"token": 20 * n}
    assert record["measured"].energy_per("request").value == pytest.approx(260.0, rel=0.01)


def test_a_window_that_is_noted_stays_within_the_run_and_breaks_nothing(clock, tmp_path):
    gpu = FakeDevice(clock, *constant(100.0), tick_s=0.02, known_period=True)
    with measure("other", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        zero = clock.now()
        clock.sleep(10.0)
        run.note("whole", zero - 5.0, zero + 99.0, {"token": 3})
        run.note("part", zero + 2.0, zero + 6.0, {"token": 2})
        run.note("part", zero + 1.0, zero + 2.0, {"token": 1})
        run.note("backwards", zero + 2.0, zero + 1.0)
        run.note("nowhere", float("nan"), zero + 1.0)
    run.note("too late", zero, zero + 1.0)
    record = run.record
    assert [m.name for m in record] == ["run", "whole", "part"]
    assert (record["whole"].start_s, record["whole"].duration_s) == (0.0, pytest.approx(10.0))
    assert record["part"].energy_j["gpu"].value == pytest.approx(500.0, rel=0.01)
    assert record["part"].work == {"token": 3}
    assert sum(finding.code == "window-failed" for finding in record.findings) == 2


class FakeServer(FakeModel):
    """Answers ``slots`` requests at once: each takes ``seconds``, 100 W for each that is under way, 70 W at rest."""

    def __init__(self, clock, *, slots, seconds=lambda number: 4.0):
        super().__init__(clock)
        self.slots, self.seconds = slots, seconds
        self.log = []

    def run(self, items):
        zero = self.clock.now()
        free = [zero] * self.slots
        answered = []
        for number, _ in enumerate(items):
            slot = free.index(min(free))
            start, lasts = free[slot], self.seconds(number)
            free[slot] = start + lasts
            answered.append(
                Answered(
                    sent_s=start, first_s=start, end_s=start + lasts, work={"request": 1, "token": 10 * lasts}
                )
            )
        edges = sorted({edge for one in answered for edge in (one.sent_s, one.end_s)})
        for now, then in itertools.pairwise(edges):
            under_way = sum(one.sent_s <= now < one.end_s for one in answered)
            self._draw(70.0 + 100.0 * under_way)
            self.clock.sleep(then - now)
        self._draw(70.0)
        self.log += answered
        return served(answered, concurrency=self.slots)


def test_of_serving_only_the_part_counts_in_which_the_server_was_full(clock, tmp_path):
    model = FakeServer(clock, slots=8, seconds=lambda number: 3.0 + number % 5)
    record = go(
        clock,
        model,
        tmp_path / "run",
        concurrency=8,
        batch_size=1,
        min_duration_s=30.0,
        repeats=3,
    ).record
    measured = record["measured"]
    assert measured.n == 3
    assert measured.duration_s / 3 >= 30.0
    # Full all the time: 870 W, and 80 tokens a second; five seconds a request in the mean.
    assert measured.energy_j["gpu"].value == pytest.approx(870.0 * measured.duration_s, rel=0.01)
    assert measured.work["token"] == pytest.approx(80.0 * measured.duration_s, rel=0.01)
    assert measured.energy_per("request").value == pytest.approx(870.0 / 80.0 * 50.0, rel=0.02)
    assert record["serving"].energy_per("request").value > measured.energy_per("request").value
    assert record.load.concurrency == 8
    assert "items-repeated" in {finding.code for finding in record.findings}


@pytest.mark.parametrize("budget_s", [90.0, 150.0, 300.0])
def test_a_stream_is_no_longer_than_the_budget_allows(clock, tmp_path, budget_s):
    model = FakeServer(clock, slots=8)
    wishes = {"concurrency": 8, "batch_size": 1}
    record = go(clock, model, tmp_path / "run", **wishes, min_duration_s=100.0, budget_s=budget_s).record
    assert record["run"].duration_s <= budget_s + 0.5
    assert record["measured"].n >= 1


def test_what_a_stream_that_only_warms_up_lacks_is_not_held_against_the_measured_part(clock, tmp_path):
    class Arriving(FakeServer):
        def run(self, items):
            super().run(items)
            return served(self.log[-len(items) :], concurrency=None)

    wishes = {"request_rate": 1.0, "batch_size": 1}
    record = go(clock, Arriving(clock, slots=2), tmp_path / "run", **wishes, repeats=2).record
    assert record["warm-up"].work["request"] == 2, "too few for a steady part"
    assert "no-steady-part" not in {finding.code for finding in record.findings}


class Telling(FakeServer):
    """Says now and then how many requests it has answered, as it goes."""

    def __init__(self, clock, **given):
        super().__init__(clock, **given)
        self.tell = None
        self.told = 0

    def run(self, items):
        n = len(items)
        if self.tell is not None:
            tell, real = self.tell, self.clock.sleep
            begun = self.clock.now()

            def sleep(seconds):
                real(seconds)
                self.told += 1
                tell(min(n, int((self.clock.now() - begun) / 4.0) * self.slots))

            self.clock.sleep = sleep
        try:
            return super().run(items)
        finally:
            if self.tell is not None:
                self.clock.sleep = real


def test_progress_of_a_stream_tells_how_many_requests_are_answered_and_how_long_it_will_take(clock, tmp_path):
    seen = []
    model = Telling(clock, slots=8)
    wishes = {"concurrency": 8, "batch_size": 1, "min_duration_s": 100.0, "repeats": 2}
    record = go(clock, model, tmp_path / "run", seen=seen, **wishes).record
    within = [
        now
        for now in seen
        if now.phase == "measured 1/2" and now.requests and 0 < now.requests[0] < now.requests[1]
    ]
    assert len(within) > 20
    for now in within[-20:]:
        answered, n = now.requests
        assert now.share == pytest.approx(answered / n / 2)
        assert now.elapsed_s + now.left_s == pytest.approx(record["run"].duration_s, rel=0.1)
    assert any(now.phase == "warm-up" and now.requests for now in seen)
    line = progress_line(within[-1], 100)
    assert f"{within[-1].requests[0]}/{within[-1].requests[1]}" in line
    assert "left" in line
    assert model.tell is None, "nobody listens any more"
    # Nobody is told where nobody wants to know: nothing wakes up beside what is measured.
    clock = VirtualClock()
    silent = Telling(clock, slots=8)
    plan = planned(load_task("text-generation"), repeats=2, concurrency=8, batch_size=1)
    run_plan(
        silent,
        plan,
        model=Model(id="m"),
        output_dir=tmp_path / "silent",
        sensors=[FakeDevice(clock, *constant(100))],
        clock=clock,
        sleep=clock.sleep,
    )
    assert silent.told == 0


def test_a_line_of_progress_never_ends_in_half_a_figure():
    now = Progress(
        phase="warm-up", share=0.99, elapsed_s=187, energy_j=16.04, component="cpu, estimated", left_s=7200
    )
    whole = {"warm-up  99%", "3:07", "cpu, estimated 16.0 J", "2:00:00 left"}
    for width in range(13, 80):
        line = progress_line(now, width)
        assert len(line) <= width
        assert {part for part in line.strip().split(" · ") if "#" not in part} <= whole, line


def test_what_a_model_says_it_has_answered_is_never_more_than_it_was_asked(clock, tmp_path):
    class Boasts(Telling):
        def run(self, items):
            if self.tell is not None:
                self.tell(10**15)
            return super().run(items)

    seen = []
    wishes = {"concurrency": 8, "batch_size": 1, "min_duration_s": 30.0, "repeats": 1}
    go(clock, Boasts(clock, slots=8), tmp_path / "run", seen=seen, **wishes)
    assert any(now.requests for now in seen)
    assert all(now.requests is None or now.requests[0] <= now.requests[1] for now in seen)
    assert all(now.left_s is None or now.left_s >= 0 for now in seen)


@pytest.mark.parametrize("width", [45, 58, 78, 120])
def test_a_line_of_progress_is_never_cut_in_the_middle_of_what_matters(width):
    now = Progress(
        phase="measured 2/5",
        share=0.37,
        elapsed_s=3720,
        task="text-generation",
        model="org/name",
        energy_j=1.234e6,
        component="gpu",
        left_s=7200,
        requests=(412, 1024),
    )
    line = progress_line(now, width)
    assert len(line) <= width
    if width > 45:
        assert all(
            part in line for part in ("measured 2/5", "37%", "412/1,024", "gpu 1.23 MJ", "2:00:00 left")
        )
    assert ("text-generation · name" in line) == (width == 120)


def test_too_few_requests_are_told_and_the_whole_stands_in():
    answered = [
        Answered(sent_s=n, first_s=n + 0.5, end_s=n + 2.0, work={"request": 1, "token": 4}) for n in range(9)
    ]
    done = served(answered, concurrency=8)
    assert done.steady is None
    assert [finding.code for finding in done.findings] == ["no-steady-part"]
    assert done.work == {"request": 9, "token": 36}


def test_the_steady_part_is_that_of_ml_energys_rule():
    # Ten requests, two at once, of 2 s each: first tokens at 0.5, 0.5, 2.5, 2.5 …, ends at 2, 2, 4, 4 …
    answered = [
        Answered(
            sent_s=2.0 * (n // 2),
            first_s=2.0 * (n // 2) + 0.5,
            end_s=2.0 * (n // 2) + 2.0,
            work={"request": 1, "token": 15},
        )
        for n in range(10)
    ]
    steady = served(answered, concurrency=2).steady
    assert (steady.start_s, steady.end_s) == (0.5, 8.0)  # the second first token; the seventh end
    assert steady.work["token"] == pytest.approx(2 * 60)  # four whole answers of two, each 15 tokens
    assert steady.work["request"] == pytest.approx(8)


def test_where_requests_come_by_themselves_the_first_and_the_last_tenth_are_left_out():
    sent = poisson_times(100, 2.0, 3)
    answered = [
        Answered(sent_s=at, first_s=at + 0.1, end_s=at + 1.0, work={"request": 1, "token": 9}) for at in sent
    ]
    steady = served(answered, concurrency=None).steady
    assert (steady.start_s, steady.end_s) == (sent[10], sent[89])
    assert steady.work["request"] == pytest.approx(79, abs=3)
    assert steady.work["token"] == pytest.approx(9 * steady.work["request"])
    # What writes no tokens counts when it ends.
    silent = [Answered(sent_s=at, first_s=at, end_s=at + 1.0, work={"request": 1}) for at in sent]
    assert served(silent, concurrency=None).steady.work["request"] == sum(
        sent[10] < at + 1.0 <= sent[89] for at in sent
    )


def test_pieces_tell_when_tokens_came_and_usage_how_many():
    one = Answered(sent_s=0.0, first_s=1.0, end_s=4.0, work={"token": 40}, token_s=(1.0, 2.0, 3.0, 4.0))
    assert one.tokens_between(1.5, 4.0) == 30
    assert one.tokens_between(4.0, 9.0) == 0


# -------------------------------------------------------------------------------------------------------- steadiness


def test_warming_up_goes_on_until_the_power_no_longer_climbs(clock, tmp_path):
    class Warming(FakeModel):
        """Takes ever more power for a minute, as a card that gets hot does."""

        def run(self, items):
            for _ in items:
                self._draw(300.0 + min(self.clock.now() - 1000.0, 60.0))
                self.clock.sleep(0.5)
            self._draw(70.0)
            return {"request": len(items)}

    items = tmp_path / "items.txt"
    items.write_text("one\ntwo\nthree\n")
    record = go(
        clock,
        Warming(clock),
        tmp_path / "run",
        protocol="aes-2025-02",
        items=items,
        repeats=2,
        min_duration_s=10.0,
    ).record
    assert record["warm-up"].duration_s > 45.0
    assert record["measured"].energy_per("request").value == pytest.approx(180.0, rel=0.01)
    assert "not-steady" not in {finding.code for finding in record.findings}


def test_what_never_gets_steady_is_measured_all_the_same_and_told(clock, tmp_path):
    class Climbing(FakeModel):
        def run(self, items):
            for _ in items:
                self._draw(100.0 + (self.clock.now() - 1000.0))
                self.clock.sleep(0.5)
            self._draw(70.0)
            return {"request": len(items)}

    items = tmp_path / "items.txt"
    items.write_text("one\ntwo\nthree\n")
    record = go(
        clock,
        Climbing(clock),
        tmp_path / "run",
        protocol="aes-2025-02",
        items=items,
        repeats=5,
        min_duration_s=20.0,
    ).record
    assert 299.0 < record["warm-up"].duration_s < 302.0
    told = [finding.message for finding in record.findings if finding.code == "not-steady"]
    assert any("warming up was ended after 300 s" in message for message in told)
    assert any("went up by" in message for message in told)
    assert record["measured"].validity == "degraded"


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.02, 0.02), min_size=10, max_size=10), st.floats(0.02, 0.2))
def test_chance_is_no_drift_and_a_drift_beyond_chance_is_one(noise, step):
    times = list(range(10))
    climbing = [100.0 * (1 + step * n + 0.1 * step * e / 0.02) for n, e in zip(times, noise, strict=True)]
    assert drifts(times, climbing, 10.0)
    assert not drifts(times, [100.0 + (-1) ** n for n in times], 1e6)
    assert not drifts(times, [100.0] * 10, 1e6)


class Tells(FakeDevice):
    """A GPU that tells its temperature, in whole degrees, and what holds its clocks down: functions of the run's time."""

    def so(self, temperature_c, throttled_by=lambda t: [], until_s=math.inf):
        self.temperature_c, self.throttled_by, self.until_s, self.asked = (
            temperature_c,
            throttled_by,
            until_s,
            0,
        )
        return self

    def condition(self):
        self.asked += 1
        t = self.clock.time - 1000.0
        if t > self.until_s:
            return {}
        return {
            "temperature_c": round(self.temperature_c(t)),
            "throttled_by": self.throttled_by(t),
            "idle": False,
        }


def told_by(clock, model, *conditions, **more):
    return Tells(
        clock=clock, power=model.power, energy=model.energy, tick_s=0.02, known_period=True, **more
    ).so(*conditions)


def with_a_warm_up(clock, gpu, folder, *, model=None, **wishes):
    folder.mkdir(exist_ok=True)
    items = folder / "items.txt"
    items.write_text("one\ntwo\nthree\n")
    if model is not None:
        model.tokens = 10  # the protocol allows no more
    wishes = {"repeats": 2, "min_duration_s": 10.0, **wishes}
    plan = planned(load_task("text-generation"), protocol="aes-2025-02", items=items, **wishes)
    return run_plan(
        model,
        plan,
        model=Model(id="org/name"),
        output_dir=folder / "run",
        sensors=gpu if isinstance(gpu, list) else [gpu],
        clock=clock,
        sleep=clock.sleep,
    )


def of_code(record, code):
    return [finding for finding in record.findings if finding.code == code]


def test_warming_up_goes_on_until_the_device_no_longer_gets_hotter(clock, tmp_path):
    # 30 °C in the first 75 s, at a power that does not change.
    model = FakeModel(clock)
    gpu = told_by(clock, model, lambda t: 40 + 0.4 * min(t, 75.0))
    run = with_a_warm_up(clock, gpu, tmp_path / "hot", model=model)
    warm_up = run.record["warm-up"]
    end_s = warm_up.start_s + warm_up.duration_s
    assert 100.0 < end_s < 160.0, "half of the looks of a minute are of a device that has settled"
    assert not of_code(run.record, "not-steady")
    # Looked at as often as ever: nobody asks the driver beside the sampler.
    assert gpu.asked <= run.record["run"].duration_s / 10 + 2


def test_a_device_as_warm_as_it_was_is_looked_at_for_a_minute_and_no_more(clock, tmp_path):
    model = FakeModel(clock)
    run = with_a_warm_up(clock, told_by(clock, model, lambda t: 60), tmp_path / "even", model=model)
    assert 55.0 < run.record["warm-up"].duration_s < 85.0
    assert "cooldown" not in run.record


def test_a_device_that_never_settles_is_measured_all_the_same_and_told(clock, tmp_path):
    model = FakeModel(clock)
    run = with_a_warm_up(clock, told_by(clock, model, lambda t: 30 + t / 20), tmp_path / "never", model=model)
    assert 299.0 < run.record["warm-up"].duration_s < 302.0
    (finding,) = of_code(run.record, "not-steady")
    assert re.search(r"ended after 300 s; gpu0 went from 4\d to 4\d °C in the last 6\d s", finding.message)
    assert run.record["measured"].validity == "degraded"


def test_clocks_that_begin_to_be_held_down_are_waited_for(clock, tmp_path):
    model = FakeModel(clock)

    def capped(t):
        return ["sw-power-cap"] if t > 70 else []

    run = with_a_warm_up(clock, told_by(clock, model, lambda t: 60, capped), tmp_path / "capped", model=model)
    warm_up = run.record["warm-up"]
    assert 100.0 < warm_up.start_s + warm_up.duration_s < 160.0
    assert not of_code(run.record, "not-steady")


def test_a_limit_that_is_felt_now_and_then_does_not_hold_up_for_ever(clock, tmp_path):
    model = FakeModel(clock)

    def now_and_then(t):
        return ["sw-power-cap"] if int(t / 10) % 2 else []

    run = with_a_warm_up(
        clock, told_by(clock, model, lambda t: 60, now_and_then), tmp_path / "capped", model=model
    )
    assert run.record["warm-up"].duration_s < 85.0


def test_a_device_that_no_longer_tells_and_one_that_never_did_are_not_waited_for(clock, tmp_path):
    model = FakeModel(clock)
    gone = told_by(clock, model, lambda t: 30 + t / 20, lambda t: [], 40.0)
    other = FakeDevice(clock=clock, power=model.power, energy=model.energy, device="GPU-2", number=1)
    run = with_a_warm_up(clock, [gone, other], tmp_path / "gone", model=model)
    assert run.record["warm-up"].duration_s < 120.0
    assert not of_code(run.record, "not-cooled")


def test_a_warm_up_takes_at_most_half_of_the_budget(clock, tmp_path):
    model = FakeModel(clock)
    gpu = told_by(clock, model, lambda t: 30 + t / 20)
    run = with_a_warm_up(clock, gpu, tmp_path / "budget", model=model, budget_s=400.0)
    assert 150.0 < run.record["warm-up"].duration_s <= 200.0
    assert run.record["run"].duration_s <= 400.5
    # Too short a time to tell of degrees: then only of power, as where nobody knows them.
    clock = VirtualClock()
    model = FakeModel(clock)
    gpu = told_by(clock, model, lambda t: 30 + t / 20)
    run = with_a_warm_up(clock, gpu, tmp_path / "small", model=model, budget_s=100.0)
    assert run.record["warm-up"].duration_s < 20.0
    assert not of_code(run.record, "not-steady")


def test_a_temperature_that_fails_now_and_then_is_known_by_its_other_looks(clock, tmp_path):
    model = FakeModel(clock)
    gpu = told_by(clock, model, lambda t: 60)
    whole = gpu.condition

    def now_and_then():
        told = whole()
        return (
            told if gpu.asked % 5 else {key: value for key, value in told.items() if key != "temperature_c"}
        )

    gpu.condition = now_and_then
    run = with_a_warm_up(clock, gpu, tmp_path / "flaky", model=model)
    assert run.record["warm-up"].duration_s < 85.0
    assert not of_code(run.record, "not-steady")


def test_nobody_rests_for_a_temperature_that_is_no_longer_told(clock, tmp_path):
    model = FakeModel(clock)
    gpu = told_by(clock, model, lambda t: 50 if t < 105 else 80)
    whole = gpu.condition

    def until_two_minutes():
        told = whole()
        if clock.now() > 1120.0:
            del told["temperature_c"]  # what holds the clocks down is told as before
        return told

    gpu.condition = until_two_minutes
    run = with_a_warm_up(clock, gpu, tmp_path / "gone", model=model, repeats=4, min_duration_s=20.0)
    assert "cooldown" not in run.record or run.record["cooldown"].duration_s < 40.0


@pytest.mark.parametrize("item_s", [0.5, 6.0])
def test_a_small_budget_holds_however_long_an_item_takes(clock, tmp_path, item_s):
    model = FakeModel(clock)
    model.item_s = item_s
    run = with_a_warm_up(
        clock, told_by(clock, model, lambda t: 60), tmp_path / "small", model=model, budget_s=80.0, repeats=1
    )
    assert run.record["run"].duration_s <= 80.5
    assert bool(of_code(run.record, "not-steady")) is (item_s > 1)


class Heated(FakeModel):
    """Its device gets warm with what it draws: 0.1 °C a watt above 30 °C, within 20 s to 1/e (Newton's law of cooling)."""

    LAG_S = 20.0

    def __init__(self, clock):
        super().__init__(clock)
        self.degrees, self.then_s = 37.0, clock.now()
        self.at = {}

    def temperature_c(self, t):
        return self._now()

    def _now(self):
        settles = 30.0 + 0.1 * self.watts
        return settles + (self.degrees - settles) * math.exp(-(self.clock.now() - self.then_s) / self.LAG_S)

    def _draw(self, watts):
        self.degrees, self.then_s = self._now(), self.clock.now()
        self.at[round(self.clock.now() - 1000.0, 3)] = self.degrees
        super()._draw(watts)


def cooled(clock, folder, **wishes):
    """Repeats of 24 s with a device that is 12 °C warmer after each; and what it had when each began."""
    model = Heated(clock)
    run = run_plan(
        model,
        planned(load_task("text-generation"), **{"repeats": 4, "min_duration_s": 20.0, **wishes}),
        model=Model(id="org/name"),
        output_dir=folder,
        sensors=[told_by(clock, model, model.temperature_c)],
        clock=clock,
        sleep=clock.sleep,
    )
    starts = [span.start_s for span in read_journal(run.journal).sessions[0].spans if span.name == "measured"]
    return run.record, [model.at[round(start_s, 3)] for start_s in starts]


def test_it_rests_until_it_is_as_warm_as_when_it_began(clock, tmp_path):
    record, degrees = cooled(clock, tmp_path / "run")
    assert record["cooldown"].n == record["measured"].n - 1 == 3
    # Half a degree: they are told in whole ones.
    assert all(abs(one - degrees[0]) <= 2.5 for one in degrees), degrees
    assert record["cooldown"].duration_s / 3 < 60.0
    assert not of_code(record, "not-cooled")


def test_a_rest_that_is_too_short_is_told_with_the_temperatures(clock, tmp_path):
    record, degrees = cooled(clock, tmp_path / "run", cooldown_s=5.0)
    assert record["cooldown"].duration_s == pytest.approx(15.0, abs=0.1)
    assert degrees[-1] > degrees[0] + 4.0
    (finding,) = of_code(record, "not-cooled")
    assert re.search(
        r"after 5 s of rest .* gpu0 was still at [45]\d °C; the first one began at 3\d °C", finding.message
    )
    assert finding.severity == "note"


def test_who_wants_no_rest_gets_none_and_a_budget_bounds_it(clock, tmp_path):
    record, _ = cooled(clock, tmp_path / "none", cooldown_s=0.0)
    assert "cooldown" not in record
    assert not of_code(record, "not-cooled")
    clock = VirtualClock()
    record, _ = cooled(clock, tmp_path / "budget", budget_s=110.0)
    assert record["run"].duration_s <= 110.5
    assert record["measured"].n >= 2


def test_the_rests_share_what_a_budget_leaves_beside_the_repeats(clock, tmp_path):
    # 12 s of idle twice, 5 s of warm-up or more, four repeats of 24 s: what is left goes to three rests of the same length.
    record, _ = cooled(clock, tmp_path / "run", budget_s=160.0)
    assert record["run"].duration_s <= 160.5
    assert record["measured"].n == 4
    assert not of_code(record, "budget-spent")
    assert record["cooldown"].n == 3
    spans = [
        span.end_s - span.start_s
        for span in read_journal(tmp_path / "run").sessions[0].spans
        if span.name == "cooldown"
    ]
    assert max(spans) < min(spans) + 5.0


def test_between_repeats_it_may_cool_down(clock, tmp_path):
    record = go(clock, FakeModel(clock), tmp_path / "run", repeats=3, cooldown_s=7.0).record
    assert (record["cooldown"].n, record["cooldown"].duration_s) == (2, pytest.approx(14.0))
    assert record["measured"].energy_per("request").value == pytest.approx(150, rel=0.01)


# ------------------------------------------------------------------------------------------ what is asked, what is told


def test_what_was_asked_of_the_engine_is_in_the_record_and_nothing_that_names_the_machine(clock, tmp_path):
    wishes = {
        "dtype": "bfloat16",
        "attention": "sdpa",
        "compile": True,
        "reasoning": False,
        "endpoint": "http://secret-host:8000",
        "command": ("/home/me/x",),
        "options": {"n_ctx": 4096},
    }
    record = go(clock, FakeModel(clock), tmp_path / "run", **wishes, workload="a-name", repeats=2).record
    assert dict(record.load.settings) == {
        "attention": "sdpa",
        "compile": True,
        "option.n_ctx": 4096,
        "workload": "a-name",
    }
    assert record.load.reasoning is False
    text = (tmp_path / "run" / "record.json").read_text()
    assert "secret-host" not in text
    assert "/home/me" not in text
    assert load(tmp_path / "run").load == record.load


def test_random_weights_are_told_and_have_no_quality(clock, tmp_path):
    config = tmp_path / "somewhere" / "config.json"
    quality = Quality(metric="accuracy", value=0.5, source="somebody")
    record = go(
        clock,
        FakeModel(clock),
        tmp_path / "run",
        random_weights=config,
        quality=[quality],
        repeats=2,
    ).record
    assert "random-weights" in {finding.code for finding in record.findings}
    assert record.quality == ()
    assert record.load.settings["random_weights"] == "config.json"


def test_quality_stands_beside_the_energy_and_gives_joules_per_right_answer(clock, tmp_path):
    quality = Quality(metric="arc_easy acc", value=0.6, source="somebody")
    record = go(clock, FakeModel(clock), tmp_path / "run", quality=[quality], repeats=2).record
    assert record.quality == (quality,)
    assert summarise(tmp_path / "run").quality == (quality,)
    ((found, energy),) = facts_of(record).by_right_answer
    assert found == quality
    assert energy.value == pytest.approx(150 / 0.6, rel=0.01)
    assert energy.half_width() / energy.value == pytest.approx(
        record["measured"].energy_per("request").half_width() / record["measured"].energy_per("request").value
    )


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"batch_size": 0}, "--batch-size: batch size must be a whole number of at least 1; got 0"),
        ({"batch_size": 4, "concurrency": 4}, "Ask for one of them"),
        ({"min_new_tokens": 64}, r"min new tokens must be at most max new tokens \(32\); got 64"),
        ({"colour": "red"}, "there is no option 'colour'"),
        ({"batch_sise": 4}, r"Did you mean batch_size\?"),
        ({"request_rate": float("nan")}, "--request-rate: request rate must be a number above 0"),
        ({"max_new_tokens": True}, "--max-new-tokens: max new tokens must be a whole number of at least 1"),
        ({"idle_s": -1}, "--idle: idle must be a number of at least 0 and at most 3600"),
    ],
)
def test_wishes_that_cannot_be_granted_are_refused(wishes, says):
    with pytest.raises(BadInput, match=says):
        planned(load_task("text-generation"), **wishes)


def test_a_framework_that_raises_what_it_likes_gives_one_line_and_keeps_what_was_measured(clock, tmp_path):
    class Full(FakeModel):
        def run(self, items):
            if self.items > 20:
                raise RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB")
            return super().run(items)

    model = Full(clock)
    with pytest.raises(WorkloadFailed, match="RuntimeError: CUDA out of memory") as caught:
        go(clock, model, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert model.closed
    record = load(tmp_path / "run")
    assert record["measured"].energy_j["gpu"].value > 1000
    assert record["measured"].validity == "invalid"
    assert "workload-failed" in {finding.code for finding in record.findings}


def test_a_model_is_let_go_where_its_run_is_refused(clock, tmp_path):
    model = FakeModel(clock)
    with pytest.raises(BadInput, match="output_dir"):
        go(clock, model, "")
    assert model.closed


def test_progress_tells_energy_and_the_time_that_is_left(clock, tmp_path):
    seen = []
    often = Tally(every_s=0.0)
    record = go(clock, FakeModel(clock), tmp_path / "run", seen=seen, tally=often).record
    assert seen[-1].energy_j == pytest.approx(record["run"].energy_j["gpu"].value, rel=0.05)
    left = [(now.elapsed_s, now.left_s) for now in seen if now.left_s is not None]
    assert all(elapsed + rest == pytest.approx(record["run"].duration_s, abs=8.0) for elapsed, rest in left)
    line = progress_line(seen[-20], 78)
    assert len(line) <= 78
    assert "gpu" in line


# ------------------------------------------------------------------------------------------------------- any callable


def call(function, items, clock, gpu, folder, **given):
    return benchmark(
        function,
        items,
        output_dir=folder,
        sensors=[gpu],
        clock=clock,
        sleep=clock.sleep,
        min_duration_s=5.0,
        **given,
    )


@pytest.mark.parametrize("batch_size", [None, 2])
def test_any_function_can_be_benchmarked(clock, tmp_path, batch_size):
    model = FakeModel(clock)
    gpu = FakeDevice(clock=clock, power=model.power, energy=model.energy, tick_s=0.02, known_period=True)
    given = []

    def answer(what):
        items = what if batch_size else [what]
        given.append(len(items))
        return {"token": model.run(items)["token"]}

    record = call(
        answer, ["a", "b", "c", "d"], clock, gpu, tmp_path / "run", batch_size=batch_size, task="my-task"
    )
    measured = record["measured"]
    assert set(given) == {batch_size or 1}
    assert measured.energy_per("request").value == pytest.approx(150, rel=0.01)
    assert measured.work["token"] == 20 * measured.work["request"]
    assert measured.n >= 5
    assert record.task.name == "my-task"
    assert record.task.protocol is None
    assert rate(record).stars is None


def test_a_function_that_raises_is_the_cause_of_one_error(clock, tmp_path):
    with pytest.raises(WorkloadFailed) as caught:
        call(lambda item: 1 / 0, [1], clock, FakeDevice(clock, *constant(100)), tmp_path / "run")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("function", "items", "more"),
    [
        (None, [1], {}),
        (print, [], {}),
        (print, "text", {}),
        (print, [1], {"batch_size": 0}),
        (print, [1], {"idle_s": -1}),
        (print, [1], {"budget_s": math.nan}),
        (print, [1], {"min_duration_s": math.nan}),
        (print, [1], {"repeats": 1.5}),
        (print, [1], {"batch_size": True}),
        (print, None, {}),
        (print, 5, {}),
        (print, {"a": 1}, {}),
        (print, b"bytes", {}),
        (print, iter(()), {}),
        (print, itertools.count(), {}),
    ],
)
def test_a_function_is_not_benchmarked_on_nothing(function, items, more):
    with pytest.raises(BadInput):
        benchmark(function, items, **more)


async def later(item):
    return None


def one_by_one(item):
    yield item


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (later, "asynchronous: when it returns, nothing is done yet"),
        (one_by_one, "a generator: when it returns, nothing is done yet"),
        (
            lambda item: {"label": "POSITIVE"},
            "must return what it did, by unit, and label must be 0, or a number from 1e-09 to 1e\\+45; got 'POSITIVE'",
        ),
        (lambda item: {"right": True}, "right must be 0, or a number .*; got True"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_function_that_has_done_nothing_or_counts_nothing_is_refused(clock, tmp_path, function, says):
    with pytest.raises(BadInput, match=says):
        call(function, [1], clock, FakeDevice(clock, *constant(100)), tmp_path / "run")


def test_items_may_come_one_by_one(clock, tmp_path):
    def answer(item):
        clock.sleep(0.5)

    gpu = FakeDevice(clock, *constant(100))
    record = call(answer, (n for n in range(3)), clock, gpu, tmp_path / "run", repeats=2)
    assert record["measured"].work["request"] % 3 == 0
    assert record.load.items == 3


# ------------------------------------------------------------------------------------------------ the runs behind a published one


def _earlier(record):
    return [finding.data["runs"] for finding in record.findings if finding.code == "earlier-runs"]


def test_a_run_tells_how_many_of_the_same_lay_beside_it_when_it_began(clock, tmp_path):
    records = [go(clock, FakeModel(clock), tmp_path / f"run-{n}", repeats=3).record for n in range(3)]
    assert [_earlier(record) for record in records] == [[], [1], [2]]
    # What lies beside it later, and what was packed or broken off, changes nothing of it.
    packed = tmp_path / "run-0" / "journal.jsonl"
    (tmp_path / "run-0" / "journal.jsonl.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.jsonl").write_bytes(b'{"schema":"energy-rating/jour')
    assert _earlier(summarise(tmp_path / "run-1")) == [1]
    assert _earlier(go(clock, FakeModel(clock), tmp_path / "run-3", repeats=3).record) == [3]


def test_a_run_of_another_model_or_with_other_settings_is_no_attempt_at_the_same(clock, tmp_path):
    go(clock, FakeModel(clock), tmp_path / "run-0", repeats=3)
    assert _earlier(go(clock, FakeModel(clock), tmp_path / "run-1", repeats=3, seed=7).record) == []


def test_what_lies_beside_a_run_cannot_hold_it_up(clock, tmp_path):
    for name in ("pipe", "link", "folder"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "journal.jsonl")
    (tmp_path / "link" / "journal.jsonl").symlink_to("/dev/zero")
    (tmp_path / "folder" / "journal.jsonl").mkdir()
    assert _earlier(go(clock, FakeModel(clock), tmp_path / "run", repeats=3).record) == []
