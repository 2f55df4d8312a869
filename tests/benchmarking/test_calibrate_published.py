"""Calibration against published energies, on the virtual clock: the truth is how much more a device needs than the reference.

The models are stand-ins that take a made-up time and power: what each takes here is what was published for the reference, divided by the
factor that the calibration must find. Energies made up stay here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fake_nvml import Device as FakeCard
from fake_nvml import FakeNvml, NoCompiler
from virtual import FakeDevice, VirtualClock

from energy_rating import BadInput, EnergyRatingError, load, normalise, rate
from energy_rating.benchmarking.calibration import against
from energy_rating.benchmarking.calibration.against import apart, calibrate_published, published_plan
from energy_rating.benchmarking.calibration.calibrate import calibration_to_json
from energy_rating.benchmarking.calibration.choice import needs_gb
from energy_rating.benchmarking.calibration.published import candidates, lists
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.tasks import load_task
from energy_rating.benchmarking.work import Item
from energy_rating.cli import main
from energy_rating.cli.texts.calibration import calibration_to_text, plan_to_text
from energy_rating.files.published import figures
from energy_rating.judging.profiles import load_profile, read_profile, user_profiles
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Device, Model
from energy_rating.publishing import label
from energy_rating.publishing.words import converted

BY_ID = {(one.model.id, one.set.task): one for one in candidates()}
IDLE_W = 20.0


@dataclass
class Card:
    """A GPU whose power is what was last set; ``hungrier``: what it needs over what the reference needs for the same."""

    name: str
    memory_gb: float
    limit_w: float
    hungrier: float = 1.25
    has_counter: bool = True
    use: float = 0.6

    def __post_init__(self):
        self.clock = VirtualClock()
        self.since, self.watts, self.joules = self.clock.now(), IDLE_W, 0.0
        self.meter = FakeDevice(
            clock=self.clock,
            power=lambda _: self.watts,
            energy=self.energy,
            tick_s=0.1,
            has_counter=self.has_counter,
            known_period=True,
        )
        self.device = Device(
            id=self.meter.device,
            name=self.name,
            driver="570.86",
            power_limit_w=self.limit_w,
            memory_gb=self.memory_gb,
            mig=False,
        )

    def draw(self, watts):
        now = self.clock.now()
        self.joules, self.since, self.watts = self.energy(now), now, watts

    def energy(self, t):
        return self.joules + self.watts * max(0.0, t - self.since)

    @property
    def sensors(self):
        return [Detection(sensors=(self.meter,), devices=(self.device,))]


class StandIn:
    """A model that draws the card's share of the limit for as long as its energy lasts."""

    device = "gpu"

    def __init__(self, card, candidate, settings, share=1.0):
        self.card, self.candidate, self.settings, self.share = card, candidate, settings, share

    def load(self):
        self.card.clock.sleep(1.0)

    def run(self, items):
        card, model = self.card, self.candidate.model
        watts = card.limit_w * card.use
        self.card.draw(watts)
        tokens = self.settings.max_new_tokens or 10
        unit = self.candidate.set.unit
        amount = len(items) * (tokens if unit == "token" else 1)
        card.clock.sleep(amount * model.j_per_unit * card.hungrier * self.share / watts)
        card.draw(IDLE_W)
        work = {"request": len(items)}
        if self.candidate.set.task in ("text-generation", "automatic-speech-recognition"):
            work["token"] = tokens * len(items)
        if unit == "image":
            work["image"] = len(items)
        return work

    def close(self):
        self.card.draw(IDLE_W)


def preparing(card, model=StandIn, **fails):
    """What prepares stand-ins on a card; ``fails``: of which models, by the last part of their id, and with what."""

    def prepare(_workload, name, settings, _items):
        wanted = name.rpartition("/")[2]
        candidate = next(
            one
            for one in BY_ID.values()
            if one.model.id.rpartition("/")[2] == wanted and one.set.task == settings.task
        )
        if wanted in fails:
            raise EnergyRatingError(fails[wanted], "Take another one")
        return model(card, candidate, settings), Model(
            id=name, dtype=settings.dtype, parameters=candidate.model.parameters
        )

    return prepare


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    # No test asks a hub: what a hub would hand out is made here, as many items as were published.
    monkeypatch.setattr("energy_rating.benchmarking.tasks.hub.at_commit", lambda dataset: dataset)
    monkeypatch.setattr("energy_rating.benchmarking.tasks.hub.fetched", some_items)
    return tmp_path


def some_items(dataset, most, _seed):
    numbers = range(most or 1000)
    if "image" in dataset.columns:
        return tuple(Item(image=b"\x89PNG" + bytes(str(number), "ascii")) for number in numbers)
    if "audio" in dataset.columns:
        return tuple(Item(audio=b"RIFF" + bytes(str(number), "ascii")) for number in numbers)
    second = "there" if len(dataset.columns) > 1 else None
    return tuple(Item(text=f"text {number}", second=second) for number in numbers)


def plan_for(card, **wishes):
    return published_plan(sensors=card.sensors, **{"download": True, **wishes})


def run_on(card, home, plan, prepare=None, **wishes):
    return calibrate_published(
        plan,
        records=home / "records",
        sensors=card.sensors,
        prepare=prepare or preparing(card),
        clock=card.clock,
        sleep=card.clock.sleep,
        cooldown_s=1.0,
        **wishes,
    )


def a_benchmark(card, folder, candidate, *, share=1.0):
    """Somebody's own model, measured on this card under the protocol that is rated."""
    plan = planned(load_task(candidate.set.task), protocol="aes-2025-02", download=True)
    plan = replace(plan, workload="transformers")
    run = run_plan(
        StandIn(card, candidate, plan.settings, share),
        plan,
        model=Model(id="me/mine", dtype=candidate.set.dtype, parameters=candidate.model.parameters),
        output_dir=folder,
        sensors=card.sensors,
        clock=card.clock,
        sleep=card.clock.sleep,
        report=lambda _: None,
    )
    return run.record


# ------------------------------------------------------------------------------------------------------ the lists


def test_every_energy_of_a_list_stands_in_the_table_of_its_publication():
    assert {one.name for one in lists()} == {"aes-2025-02", "mlenergy-v3"}
    for one in candidates():
        at = [
            figure
            for figure in figures(one.list.table)
            if figure.model == one.model.id
            and "H100" in figure.gpu
            and figure.gpus == 1
            and figure.batch == one.model.concurrency
            # One image a prompt, so that a request is an image.
            and figure.unit == one.set.unit.replace("image", "request")
        ]
        assert one.model.j_per_unit in {figure.j_per_unit for figure in at}, one.key


def test_a_list_says_by_whom_when_and_under_which_licence_and_what_it_needs_is_there():
    keys = [one.key for one in candidates()]
    assert len(set(keys)) == len(keys)
    for one in lists():
        assert one.reference == load_profile(one.reference).key
        for item_set in one.sets:
            task = load_task(item_set.task)
            _, protocol = task.protocol(item_set.protocol)
            assert protocol.dataset is not None
            assert protocol.dataset.id == item_set.dataset
            assert protocol.items == item_set.items
        assert {widening.apart for widening in one.widenings} >= {"engine-version", "attention"}
        for widening in one.widenings:
            assert widening.source
            assert widening.why


# ----------------------------------------------------------------------------------------------------- what is chosen


def test_models_are_chosen_that_fit_the_device_and_span_what_they_take():
    small = plan_for(Card("NVIDIA GeForce RTX 3070", 8.59, 220.0), tasks=["text-generation"])
    large = plan_for(Card("NVIDIA GeForce RTX 4090", 25.76, 450.0), tasks=["text-generation"])
    for plan in (small, large):
        memory = plan.device.memory_gb
        assert all(needs_gb(one) <= memory for one in plan.chosen.models)
    of = {
        plan.device.name: [one.model.id for one in plan.chosen.models if one.set.protocol == "aes-2025-02"]
        for plan in (small, large)
    }
    assert of["NVIDIA GeForce RTX 3070"][-1] == "openai-community/gpt2-xl"
    assert of["NVIDIA GeForce RTX 4090"][-1] == "01-ai/Yi-1.5-9B"
    taken = [one.model.j_per_unit for one in large.chosen.models if one.set.protocol == "aes-2025-02"]
    assert taken == sorted(taken)
    assert taken[-1] / taken[0] > 10
    refused = {one.id.split()[0]: one.why for one in small.chosen.refused}
    assert refused["01-ai/Yi-1.5-9B"] == "more memory than the device has (8.6 GB)"
    assert "agreement" in {one.id: one.why for one in large.chosen.refused}["meta-llama/Meta-Llama-3-8B"]


def test_a_device_that_emulates_the_published_format_is_not_calibrated_with_it():
    plan = plan_for(Card("Tesla V100-SXM2-32GB", 34.36, 300.0), classes=["llm-serving"])
    assert plan.chosen.models == ()
    assert any("emulates" in one.why for one in plan.chosen.refused)
    with pytest.raises(BadInput, match="no published model can be run here"):
        calibrate_published(plan)


def test_before_it_starts_it_is_said_how_long_it_takes_what_is_fetched_and_what_is_refused():
    plan = plan_for(Card("NVIDIA GeForce RTX 3060", 12.88, 170.0), tasks=["text-generation"], models=2)
    text = plan_to_text(plan)
    assert "openai-community/gpt2-xl" in text
    assert "32.12 J per request there" in text
    assert "Time: about 4" in text
    assert "6.8 GB of models" in text
    assert "EnergyStarAI/text_generation (1,000 items)" in text
    assert "facebook/opt-125m, facebook/opt-2.7b: its repository holds its weights only as pickled" in text
    assert "LCM_Dreamshaper" not in text  # of another task
    assert "LCM_Dreamshaper" in plan_to_text(plan_for(Card("NVIDIA L4", 24.2, 72.0)))


def test_nothing_is_fetched_without_leave(home):
    plan = plan_for(Card("NVIDIA L4", 24.2, 72.0), download=False)
    assert plan.wants_download
    assert "nothing is fetched without --download" in plan_to_text(plan)
    with pytest.raises(BadInput, match="Allow it with --download"):
        calibrate_published(plan)


def test_what_cannot_be_is_refused_by_its_name(tmp_path):
    card = Card("NVIDIA L4", 24.2, 72.0)
    with pytest.raises(
        BadInput, match="no published energies of 'text-to-video'.*There are: text-generation"
    ):
        plan_for(card, tasks=["text-to-video"])
    with pytest.raises(BadInput, match="cannot be repeated: 1,159 J is more than"):
        plan_for(card, local={"SimianLuo/LCM_Dreamshaper_v7": tmp_path})
    with pytest.raises(BadInput, match="is in no list"):
        plan_for(card, local={"me/mine": tmp_path})
    with pytest.raises(BadInput, match="is no folder"):
        plan_for(card, local={"openai-community/gpt2": tmp_path / "none"})
    with pytest.raises(BadInput, match="must be 2 to 4"):
        plan_for(card, models=9)
    with pytest.raises(BadInput, match="'poetry' is not calibrated"):
        plan_for(card, classes=["poetry"])


# ---------------------------------------------------------------------------------------------------- the known truth

CARDS = (
    ("NVIDIA GeForce RTX 4090", 25.76, 450.0, True),
    ("NVIDIA GeForce RTX 3060", 12.88, 170.0, True),
    ("NVIDIA L4", 24.2, 72.0, True),
    ("Tesla T4", 16.1, 70.0, True),
    ("NVIDIA A10G", 24.2, 300.0, True),
    ("NVIDIA GeForce RTX 3070", 8.59, 220.0, True),
)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card[0])
def test_with_nothing_but_public_models_a_device_comes_to_be_rated(home, card):
    name, memory_gb, limit_w, has_counter = card
    mine = Card(name, memory_gb, limit_w, hungrier=1.6, has_counter=has_counter)
    own = BY_ID["google/vit-base-patch16-224", "image-classification"]
    plan = plan_for(mine, tasks=["image-classification"], models=2)
    found = run_on(mine, home, plan)
    (factor,) = found.factors
    assert factor.value == pytest.approx(1 / 1.6, rel=0.01)
    assert (factor.tier, factor.models, factor.workload_class) == ("2", 2, "vision")
    assert factor.power_limit_w == limit_w
    assert factor.median_use == pytest.approx(0.6, rel=0.05)
    record = a_benchmark(mine, home / "after", own)
    there = normalise(record)
    assert there.tier == "2"
    assert there.energy_per_unit_j.value == pytest.approx(2.097, rel=0.02)
    after = rate(record)
    assert after.stars is not None, after.reasons
    assert after.basis == "normalised"
    # Label and card say from which device, by what, and that it was measured.
    said = converted(after.conversion)
    assert re.search(r"converted from [a-z0-9-]+ to nvidia-h100-sxm-80gb by × 0\.62\d? \(measured: ", said)
    assert "nvidia-h100-sxm-80gb" in label.svg(record, after)
    if name == CARDS[0][0]:  # that was all that was missing
        (user_profiles() / found.profile.name).unlink()
        assert rate(record).stars is None


def test_a_card_that_has_only_a_register_of_power_and_no_profile_comes_to_be_rated_too(home):
    card = Card("NVIDIA GeForce GTX 1080 Ti", 11.8, 250.0, hungrier=2.0, has_counter=False)
    found = run_on(card, home, plan_for(card, tasks=["image-classification"], models=2))
    (factor,) = found.factors
    assert factor.value == pytest.approx(0.5, rel=0.03)
    assert found.profile.name == "nvidia-geforce-gtx-1080-ti-12gb.toml"
    record = a_benchmark(card, home / "own", BY_ID["google/vit-base-patch16-224", "image-classification"])
    # 2026.1 bears no register; 2026.2 does, since the register's wider doubt stands in the interval.
    assert rate(record, scheme="2026.1").stars is None
    rated = rate(record)
    assert rated.stars is not None, rated.reasons
    assert rated.status == "provisional"


def test_the_interval_is_wider_by_the_stated_rule_for_what_is_unknown(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    found = run_on(card, home, plan_for(card, tasks=["image-classification"], models=2))
    (factor,) = found.factors
    # 1.3 for a calibration; which version of transformers ran the stand-ins is not told, and of neither which attention.
    wide = math.exp(math.hypot(math.log(1.3), math.log(1.07), math.log(1.12)))
    assert factor.interval == pytest.approx(wide, rel=1e-3)
    assert "wider by ×/÷ 1.07: the engine has another version" in factor.evidence
    assert "wider by ×/÷ 1.12: which attention ran" in factor.evidence
    record = next(outcome.record for outcome in found.outcomes)
    one = BY_ID["google/vit-base-patch16-224", "image-classification"]
    known = replace(record, operating_point={"engine": "transformers", "engine_version": "4.48.3"})
    assert [widening.apart for widening in apart(known, one)] == ["attention"]
    both = replace(one, list=replace(one.list, attention="sdpa"))
    alike = replace(known, operating_point={**known.operating_point, "attention": "sdpa"})
    assert apart(alike, both) == ()


# ------------------------------------------------------------------------------------------------------- going on


def test_what_was_measured_is_not_measured_again_after_a_kill(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    plan = plan_for(card, tasks=["image-classification"], models=3)

    class Killed(BaseException):
        pass

    class Dies(StandIn):
        def load(self):
            if "swinv2" in self.candidate.model.id:
                raise Killed
            super().load()

    with pytest.raises(Killed):
        run_on(card, home, plan, preparing(card, Dies))
    found = run_on(card, home, plan)
    assert [outcome.was_done for outcome in found.outcomes] == [True, False, False]
    again = run_on(card, home, plan)
    assert all(outcome.was_done for outcome in again.outcomes)
    assert again.factors == found.factors
    other = Card("NVIDIA GeForce RTX 4090", 25.76, 400.0)
    assert not any(
        outcome.was_done
        for outcome in run_on(other, home, plan_for(other, tasks=["image-classification"])).outcomes
    )


def test_another_model_stands_in_for_one_that_turns_out_not_to_run(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    told = []
    found = run_on(
        card,
        home,
        plan_for(card, tasks=["object-detection"], models=2),
        preparing(card, **{"detr-resnet-101": "there are no safetensors"}),
        tell=told.append,
    )
    left = {outcome.point.config: outcome.left_out for outcome in found.outcomes}
    assert left["facebook/detr-resnet-101"] == "there are no safetensors. Take another one"
    assert left["microsoft/conditional-detr-resnet-50"] is None
    assert "microsoft/conditional-detr-resnet-50 stands in for facebook/detr-resnet-101" in told
    assert found.factors[0].models == 2
    assert "left out: there are no safetensors" in calibration_to_text(found)


def test_a_model_that_uses_too_little_of_the_device_makes_no_factor_and_a_hungrier_one_stands_in(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)

    class Small(StandIn):
        def run(self, items):
            self.card.use = 0.1 if self.candidate.model.j_per_unit < 0.9 else 0.6
            return super().run(items)

    plan = plan_for(card, tasks=["question-answering", "text-classification"], models=2)
    found = run_on(card, home, plan, preparing(card, Small))
    left = {outcome.point.config: outcome.left_out for outcome in found.outcomes}
    assert left["distilbert/distilbert-base-uncased-finetuned-sst-2-english"] == (
        "it drew 10% of the power limit; factors hold from 15% to 99%"
    )
    assert left["nlptown/bert-base-multilingual-uncased-sentiment"] is None
    assert found.factors[0].models == 2


def test_a_folder_that_holds_another_model_is_refused(home):
    name = "distilbert/distilbert-base-cased-distilled-squad"
    folder = home / name.rpartition("/")[2]
    folder.mkdir()
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    plan = plan_for(card, tasks=["question-answering"], models=2, local={name: folder})
    assert name in [one.model.id for one in plan.chosen.models]
    assert name not in [one.id for one in plan.chosen.fetched]

    def prepare(workload, model, settings, items):
        stand_in, described = preparing(card)(workload, model, settings, items)
        return stand_in, replace(described, parameters=8_000_000_000) if model == str(folder) else described

    found = run_on(card, home, plan, prepare)
    left = {outcome.point.config: outcome.left_out for outcome in found.outcomes}
    assert "has 65,200,000 parameters, and this folder holds 8,000,000,000" in left[name]
    right = run_on(card, home, plan)
    assert {outcome.record.model.id for outcome in right.outcomes} >= {name}


def test_fewer_items_than_were_published_are_refused_and_no_model_of_them_is_run(home):
    few = home / "few.jsonl"
    few.write_text("\n".join(json.dumps({"text": f"text {number}"}) for number in range(10)))
    card = Card("NVIDIA L4", 24.2, 72.0)
    plan = plan_for(card, classes=["llm-small-batch"], items={"text-generation": few})
    with pytest.raises(EnergyRatingError, match="10 items are no 1,000, as were published"):
        run_on(card, home, plan)


def test_items_that_somebody_gave_are_called_so_in_the_factor(home):
    mine = home / "mine.jsonl"
    lines = [json.dumps({"question": f"what is {number}?", "context": "a number"}) for number in range(1000)]
    mine.write_text("\n".join(lines))
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    plan = plan_for(card, tasks=["question-answering"], models=2, items={"question-answering": mine})
    assert not [one.id for one in plan.chosen.fetched if "extractive_qa" in one.id]
    found = run_on(card, home, plan)
    assert found.factors[0].evidence.startswith(
        "published aes-2025-02 (items of question-answering as they were given), there over here: "
    )


def test_of_pictures_that_cost_all_the_same_a_dozen_is_enough_and_is_called_so(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    found = run_on(card, home, plan_for(card, classes=["diffusion"], models=2))
    assert found.factors[0].value == pytest.approx(1 / 1.25, rel=0.01)
    for outcome in found.outcomes:
        assert outcome.record.load.items == 12
        assert "items" in outcome.record.provenance.files
        assert not any(name.startswith("datasets/") for name in outcome.record.provenance.files)


def test_a_run_that_calibrates_is_a_benchmark_of_its_protocol_like_any_other(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    found = run_on(card, home, plan_for(card, tasks=["object-detection"], models=2))
    record = load(found.outcomes[0].folder)
    assert (record.task.name, record.task.protocol) == ("object-detection", "aes-2025-02")
    assert record.load.items == 1000
    assert record.model.id == "hustvl/yolos-tiny"
    entry = calibration_to_json(found)
    assert entry["protocol"] == "published aes-2025-02"
    assert entry["points"][0]["apart"] == ["engine-version", "attention"]


def test_what_was_found_before_of_another_class_stays(home):
    card = Card("NVIDIA GeForce RTX 4090", 25.76, 450.0)
    run_on(card, home, plan_for(card, tasks=["object-detection"], models=2))
    run_on(card, home, plan_for(card, tasks=["question-answering"], models=2))
    written = read_profile(user_profiles() / "nvidia-geforce-rtx-4090-24gb.toml")
    assert {factor.workload_class for factor in written.factors if factor.tier == "2"} == {
        "vision",
        "embedding",
    }


# ------------------------------------------------------------------------------------------------------ the command

DRIVERS_SAY = (
    ("NVIDIA GeForce RTX 4090", 24564, 450, 8, "8.9", ()),
    ("NVIDIA GeForce RTX 3060", 12288, 170, 8, "8.6", ()),
    ("NVIDIA L4", 23034, 72, 8, "8.9", ()),
    ("Tesla T4", 15360, 70, 6, "7.5", ()),
    ("NVIDIA A10G", 23028, 300, 7, "8.6", ()),
    ("NVIDIA GeForce GTX 1080 Ti", 11264, 250, 4, "6.1", ("counter_unsupported",)),
)


@pytest.mark.parametrize("card", DRIVERS_SAY, ids=lambda card: card[0])
def test_on_the_driver_of_each_card_there_is_something_to_calibrate_with(home, card):
    name, mib, limit_w, architecture, capability, faults = card
    try:
        fake = FakeNvml(
            devices=(
                FakeCard(
                    name=name,
                    memory_total_mib=mib,
                    power_limit_w=limit_w,
                    power_limit_default_w=limit_w,
                    power_limit_min_w=limit_w / 2,
                    power_limit_max_w=limit_w,
                    architecture=architecture,
                    compute_capability=capability,
                    power=f"constant:{0.6 * limit_w}",
                    faults=faults,
                ),
            )
        )
        environ = {**os.environ, **fake.environment()}
    except NoCompiler as error:
        pytest.skip(str(error))
    command = [
        sys.executable,
        "-m",
        "energy_rating",
        "calibrate",
        "--published",
        "--download",
        "--dry-run",
        "--json",
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(done.stdout)
    assert told["device"]["name"] == name
    by_class = {}
    for one in told["models"]:
        by_class.setdefault(one["workload_class"], []).append(one["id"])
    for workload_class in ("llm-small-batch", "embedding", "vision", "speech", "diffusion"):
        assert 2 <= len(by_class[workload_class]) <= 4


def test_the_command_starts_nothing_unasked(home, capsys, monkeypatch):
    card = Card("NVIDIA L4", 24.2, 72.0)
    plan = plan_for(card, tasks=["object-detection"])
    monkeypatch.setattr(against, "published_plan", lambda **_: plan)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "--published"])
    assert ended.value.code == 1
    assert "Say --yes to start" in capsys.readouterr().err
    main(["calibrate", "--published", "--dry-run", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["models"][0]["id"] == "hustvl/yolos-tiny"
    assert told["seconds"] > 60
    for wrong in (["--trial"], ["--as-reference"], ["--reference", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(["calibrate", "--published", *wrong])
        assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "--task", "text-generation"])
    assert ended.value.code == 2
    assert "--task goes with --published" in capsys.readouterr().err


def test_lists_are_frozen_values_that_name_their_tasks():
    one = lists()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "other"
    with pytest.raises(ValueError, match="no item set of the task"):
        replace(one, models=(replace(one.models[0], task="poetry"),))
    with pytest.raises(ValueError, match="more than one item set"):
        replace(one, sets=one.sets * 2)
    assert Path(against.__file__).exists()
