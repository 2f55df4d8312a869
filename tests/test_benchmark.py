"""A benchmark on the virtual clock: its windows, its repeats, when it stops, and what is left when the model fails."""

from __future__ import annotations

import pytest
from virtual import FakeDevice, VirtualClock

from energy_rating import BadInput, EnergyRatingError, load
from energy_rating.benchmark import benchmark, default_workload, planned
from energy_rating.rating import rate
from energy_rating.records import Model
from energy_rating.tasks import load_task, read_items, tasks


class FakeModel:
    """Takes half a second and 300 W for each item; what it draws beside may change from repeat to repeat."""

    def __init__(self, clock, *, extra_w=(0.0,), dies_at=None):
        self.clock = clock
        self.extra_w = extra_w
        self.dies_at = dies_at
        self.items = 0
        self.loaded = self.closed = False
        self.busy = []
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
            self.clock.sleep(0.5)
            self._draw(70.0)
        return {"request": len(items), "token": 20 * len(items)}

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


def go(clock, model, folder, *, seen=None, **wishes):
    plan = planned(load_task("text-generation"), **wishes)
    gpu = FakeDevice(clock=clock, power=model.power, energy=model.energy, tick_s=0.02, known_period=True)
    told = seen if seen is not None else []
    return benchmark(
        model,
        plan,
        model=Model(id="org/name", parameters=100),
        output_dir=folder,
        sensors=[gpu],
        clock=clock,
        sleep=clock.sleep,
        progress=told.append,
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


def test_a_model_that_fails_leaves_what_was_measured_one_error_and_nothing_running(clock, tmp_path):
    model = FakeModel(clock, dies_at=30)
    with pytest.raises(EnergyRatingError, match="the server ended"):
        go(clock, model, tmp_path / "run")
    assert model.closed
    record = load(tmp_path / "run")
    assert any(f.code == "body-raised" for f in record.findings)
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
        if protocol.items_file:
            assert len(planned(task, protocol=protocol_name).items) >= 2
        else:
            with pytest.raises(BadInput, match="--items"):
                planned(task, protocol=protocol_name)


def test_own_items_replace_the_protocols_and_are_cut_to_its_number(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(f'{{"text": "question {n}"}}' for n in range(1200)))
    plan = planned(load_task("text-generation"), protocol="aes-2025-02", items=path)
    assert len(plan.items) == 1000
    assert plan.items[0] == "question 0"
    assert plan.own_items


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
    with pytest.raises(BadInput, match="--workload"):
        default_workload(load_task("text-generation"), "org/name")


def test_a_published_protocol_is_what_it_was():
    protocol = load_task("text-generation").protocol("aes-2025-02")[1]
    assert (protocol.items, protocol.max_new_tokens, protocol.min_new_tokens) == (1000, 10, 10)
    assert (protocol.batch_size, protocol.repeats, protocol.warm_up_items) == (1, 10, 10)
