"""Tasks and their items: what ships, what may be read from files and from hubs, and that the same seed gives the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import types
import wave
from pathlib import Path

import pytest

from energy_rating import BadInput, EnergyRatingError
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.serving import poisson_times
from energy_rating.benchmarking.tasks import (
    FOLDER,
    Dataset,
    check_items,
    items_sha256,
    load_task,
    read_items,
    shipped_items,
    task_schema,
    tasks,
)
from energy_rating.benchmarking.tasks.synthetic import picture, sound
from energy_rating.benchmarking.work import Item, Settings, refuse
from energy_rating.benchmarking.workloads import parse_options

AES = {
    "text-generation": ("text",),
    "summarization": ("text",),
    "question-answering": ("question", "context"),
    "text-classification": ("text",),
    "sentence-similarity": ("sentence1", "sentence2"),
    "automatic-speech-recognition": ("audio",),
    "image-classification": ("image",),
    "object-detection": ("image",),
    "image-to-text": ("image",),
    "text-to-image": ("prompt",),
}
SERVED = {
    "text-generation",
    "reasoning",
    "code-completion",
    "text-to-image",
    "text-to-video",
    "image-text-to-text",
    "feature-extraction",
    "automatic-speech-recognition",
}


@pytest.mark.parametrize(("name", "columns"), AES.items())
def test_ai_energy_scores_ten_tasks_stand_at_its_operating_point(name, columns):
    protocol = load_task(name).protocol("aes-2025-02")[1]
    assert (protocol.items, protocol.batch_size, protocol.concurrency) == (1000, 1, 1)
    assert (protocol.warm_up_items, protocol.repeats) == (10, 10)
    assert protocol.dataset.columns == columns
    assert protocol.dtype == ("float16" if name == "text-generation" else "float32")
    assert not protocol.ships, "what ships is no stand-in for a published figure"


def test_what_people_serve_has_a_protocol_with_its_lengths_and_items_that_ship():
    assert {name for name in tasks() if "serving-2026.1" in load_task(name).protocols} == SERVED
    for name in SERVED:
        task = load_task(name)
        protocol = task.protocol("serving-2026.1")[1]
        assert protocol.ships
        assert protocol.repeats >= 5
        assert protocol.shortest_s >= 60
        if task.kind == "text-generation" or name == "image-text-to-text":
            assert (protocol.concurrency, protocol.max_new_tokens) > (8, 1024)
        check_items(shipped_items(protocol), task, name)


@pytest.mark.parametrize("name", ["text-generation", "reasoning", "code-completion", "image-text-to-text"])
def test_where_we_decode_otherwise_than_ml_energy_does_the_protocol_says_so(name):
    # Its client's defaults: mlenergy/benchmark/llm/benchmark.py (c1d6557), read 2026-11-22.
    assert "greedy decoding, where ML.ENERGY samples (temperature 0.8, top_p 0.95" in (
        load_task(name).protocol("serving-2026.1")[1].differs
    )


@pytest.mark.parametrize("name", tasks())
def test_every_task_can_be_shown_without_a_network(name):
    plan = planned(load_task(name), protocol="demo-2026.1")
    assert len(plan.items) >= 2
    assert plan.settings.task in {*AES, "feature-extraction", "image-text-to-text", "text-to-video"}


@pytest.mark.usefixtures("pydantic_of_the_schemas")
def test_the_published_schema_of_tasks_is_that_of_the_code():
    published = FOLDER.parents[2] / "docs" / "schemas" / "task.schema.json"
    assert json.loads(published.read_text()) == task_schema(), "run: python docs/schemas/write.py"


def test_every_file_of_items_belongs_to_a_protocol():
    used = {p.items_file for name in tasks() for p in load_task(name).protocols.values()}
    assert {path.name for path in FOLDER.glob("*.jsonl")} == used - {None}


def test_what_stands_in_or_is_drawn_is_told():
    def codes(name, protocol):
        return {finding.code for finding in planned(load_task(name), protocol=protocol).findings}

    assert codes("text-generation", "demo-2026.1") == set()
    assert codes("text-generation", "serving-2026.1") == {"items-stand-in"}
    assert codes("automatic-speech-recognition", "serving-2026.1") == {"items-stand-in", "items-synthetic"}


# ----------------------------------------------------------------------------------------------------- what is drawn


def test_pictures_and_sounds_are_the_same_bytes_everywhere():
    assert hashlib.sha256(picture(0, 64, 48)).hexdigest()[:16] == "39fff1307c7f7b94"
    assert hashlib.sha256(sound(0, 1.0)).hexdigest()[:16] == "3cee4bdee176acb6"
    assert picture(1, 64, 48) != picture(0, 64, 48)
    assert sound(1, 1.0) != sound(0, 1.0)


def test_a_picture_is_a_png_and_a_sound_a_wav_that_others_can_read():
    Image = pytest.importorskip("PIL.Image")
    image = Image.open(io.BytesIO(picture(3, 130, 250)))
    image.load()
    assert (image.size, image.mode) == ((130, 250), "RGB")
    with wave.open(io.BytesIO(sound(3, 2.5))) as heard:
        assert (heard.getnchannels(), heard.getsampwidth(), heard.getframerate()) == (1, 2, 16_000)
        assert heard.getnframes() == 40_000
        loud = memoryview(heard.readframes(40_000)).cast("h")
    assert 4_000 < max(loud) < 32_000


# ------------------------------------------------------------------------------------------------------------- files


def test_a_line_may_hold_all_that_a_model_can_be_given(tmp_path):
    (tmp_path / "cat.png").write_bytes(picture(0, 8, 8))
    (tmp_path / "said.wav").write_bytes(sound(0, 0.1))
    lines = [
        {"prompt": "a cat"},
        {"question": "Who?", "context": "It was Ada.", "answer": "Ada"},
        {"sentence1": "One.", "sentence2": "Two."},
        {"text": "What is it?", "image": "cat.png", "max_new_tokens": 7},
        {"audio": "said.wav", "something": "else"},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(["plain text", '"a string"', *map(json.dumps, lines)]))
    assert read_items(path) == (
        Item(text="plain text"),
        Item(text="a string"),
        Item(text="a cat"),
        Item(text="Who?", second="It was Ada.", answer="Ada"),
        Item(text="One.", second="Two."),
        Item(text="What is it?", image=tmp_path / "cat.png", max_new_tokens=7),
        Item(audio=tmp_path / "said.wav"),
    )


def test_lines_end_where_json_lines_end_and_a_mark_of_their_order_is_no_text(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one\xe2\x80\xa8two\xc2\x85three"}\r\nplain\r\n[1] is a note\n')
    assert [item.text for item in read_items(path)] == ["one\u2028two\x85three", "plain", "[1] is a note"]


@pytest.mark.parametrize("text", ['[{"text": "a"}, {"text": "b"}]', '[\n  {"text": "a"}\n]\n'])
def test_one_list_of_json_is_not_taken_for_a_text(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="a JSON list, and not JSON Lines"):
        read_items(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInput, match="must be a regular file; got a (pipe|device)"):
            read_items(path)


def test_a_folder_of_pictures_or_sounds_is_a_list_of_items(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [item.image.name for item in read_items(tmp_path)] == ["a.JPG", "b.png"]
    assert read_items(tmp_path / "b.png") == (Item(image=tmp_path / "b.png"),)
    with pytest.raises(BadInput, match="no images and no sounds"):
        read_items(tmp_path.parent / tmp_path.name / "..")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"image": "../secret.png"}, "leads out of the folder"),
        ({"image": "/etc/hostname"}, "leads out of the folder"),
        ({"image": "link.png"}, "leads out of the folder"),
        ({"image": "missing.png"}, "no such file"),
        ({"image": "."}, "must be a file of at most"),
        ({"image": 7}, "must be the name of a file; got '7'"),
        ({"audio": "nul\0.wav"}, "no such file"),
        ({"text": 7}, "no 'text'"),
        ({"text": "x", "max_new_tokens": 0}, "must be a whole number above 0; got 0"),
        ({"text": "x", "max_new_tokens": True}, "must be a whole number above 0; got True"),
        ({"context": "alone"}, "no 'text'"),
    ],
)
def test_a_line_that_cannot_be_an_item_is_refused_with_its_place(tmp_path, line, says):
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "items"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    path = folder / "items.jsonl"
    path.write_text(json.dumps({"text": "good"}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(BadInput, match=says) as caught:
        read_items(path)
    assert "line 2" in str(caught.value)


def test_items_that_lack_what_the_task_is_about_are_refused(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text('{"text": "only text"}\n')
    for name in ("image-classification", "question-answering", "automatic-speech-recognition"):
        with pytest.raises(BadInput, match=f"{name} needs .* item 1 has no"):
            planned(load_task(name), items=path)


def test_the_hash_of_items_is_of_their_content_not_of_their_names(tmp_path):
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    for path in (one, other):
        path.write_bytes(picture(0, 8, 8))
    assert items_sha256([Item(image=one)]) == items_sha256([Item(image=other)])
    assert items_sha256([Item(image=one)]) == items_sha256([Item(image=picture(0, 8, 8))])
    assert items_sha256([Item(image=one)]) != items_sha256([Item(image=picture(1, 8, 8))])
    assert items_sha256([Item(text="a"), Item(text="b")]) == hashlib.sha256(b"a\nb").hexdigest()
    assert items_sha256([Item(text="a", answer="b")]) != items_sha256([Item(text="a")])


# --------------------------------------------------------------------------------------------------------------- hub


class FakeTable:
    """As much of a table of ``datasets`` as is used."""

    def __init__(self, rows, features=None):
        self.rows = rows
        self.column_names = list(rows[0])
        self.features = {name: (features or {}).get(name) for name in self.column_names}
        self.undecoded = []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]

    def cast_column(self, name, feature):
        assert feature.decode is False
        self.undecoded.append(name)
        return self


class FakeFeature:
    def __init__(self, decode=True):
        self.decode = decode


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch):
    module = types.ModuleType("datasets")
    module.Image = type("Image", (FakeFeature,), {})
    module.Audio = type("Audio", (FakeFeature,), {})
    module.asked = []
    module.tables = {}

    def load_dataset(name, config, *, split, revision):
        module.asked.append((name, config, split, revision))
        if name not in module.tables:
            raise ConnectionError("Couldn't reach the hub\nmore")
        return module.tables[name]

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    hub = types.ModuleType("huggingface_hub")

    def dataset_info(name, *, revision, timeout):
        assert (revision, timeout) == (None, 30.0)
        if name not in module.tables:
            raise ConnectionError("Couldn't reach the hub\nmore")
        return types.SimpleNamespace(sha=COMMIT)

    hub.HfApi = lambda: types.SimpleNamespace(dataset_info=dataset_info)
    hub.constants = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return module


def test_items_of_a_hub_are_fetched_only_where_the_user_asks(hub):
    hub.tables["EnergyStarAI/text_generation"] = FakeTable([{"text": f"text {n}"} for n in range(1200)])
    task = load_task("text-generation")
    with pytest.raises(BadInput, match="--download"):
        planned(task, protocol="aes-2025-02")
    assert hub.asked == []
    plan = planned(task, protocol="aes-2025-02", download=True)
    assert hub.asked == [("EnergyStarAI/text_generation", None, "train", COMMIT)]
    (told,) = plan.findings
    assert (
        told.message
        == f"1000 items of the data set EnergyStarAI/text_generation, split train, at commit {COMMIT}"
    )
    assert told.severity == "note"
    assert len(plan.items) == 1000
    assert plan.files["datasets/EnergyStarAI/text_generation"] == items_sha256(plan.items)
    again = planned(task, protocol="aes-2025-02", download=True)
    other = planned(task, protocol="aes-2025-02", download=True, seed=1)
    assert again.items == plan.items
    assert other.items != plan.items


def test_rows_of_a_hub_become_items_whatever_shape_they_have(hub):
    from energy_rating.benchmarking.tasks.hub import items_of

    feature = hub.Image()
    table = FakeTable(
        [
            {
                "talk": [[{"role": "user", "content": "What is it?"}]],
                "images": [{"bytes": b"png", "path": None}],
            },
            {"talk": [], "images": [{"bytes": b"png", "path": None}]},
            {"talk": [{"role": "user", "content": [{"type": "text", "text": "And this?"}]}], "images": []},
        ],
        {"images": feature},
    )
    data = Dataset(id="org/name", columns=("talk", "images"), roles=("text", "image"))
    assert items_of(table, data, None, 0) == (
        Item(text="What is it?", image=b"png"),
        Item(image=b"png"),
        Item(text="And this?"),
    )
    assert table.undecoded == ["images"]


def test_a_hub_that_cannot_be_reached_or_lacks_a_column_gives_one_line(hub, monkeypatch):
    task = load_task("summarization")
    with pytest.raises(EnergyRatingError, match="could not be fetched: Couldn't reach the hub") as caught:
        planned(task, protocol="aes-2025-02", download=True)
    assert "\n" not in str(caught.value)
    hub.tables["EnergyStarAI/summarization"] = FakeTable([{"article": "x"}])
    with pytest.raises(EnergyRatingError, match="no column 'text'.*It has: article"):
        planned(task, protocol="aes-2025-02", download=True)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EnergyRatingError, match="datasets is not installed"):
        planned(task, protocol="aes-2025-02", download=True)


# ---------------------------------------------------------------------------------------------------------- settings


def test_a_workload_refuses_options_and_tasks_that_it_does_not_know():
    asked = Settings(task="image-classification", options={"n_ctx": 4096})
    refuse(asked, "some", understands=())
    with pytest.raises(BadInput, match="--option: the workload some has no option 'n_ctx'"):
        refuse(asked, "some", understands=(), options=("n_threads",))
    with pytest.raises(BadInput, match="--task: the workload some does not do image-classification"):
        refuse(asked, "some", understands=(), tasks=("text-generation",))


def test_a_workload_refuses_what_it_cannot_do():
    refuse(Settings(seed=3, max_new_tokens=9, batch_size=4), "fake", understands=())
    refuse(Settings(dtype="float16"), "fake", understands=("dtype",))
    with pytest.raises(
        BadInput, match=r"--random-weights: the workload fake does not understand random weights"
    ):
        refuse(Settings(random_weights=FOLDER), "fake", understands=("dtype",))


def test_arrivals_are_those_of_a_poisson_process_and_the_same_for_a_seed():
    times = poisson_times(2000, 5.0, 1)
    assert times == poisson_times(2000, 5.0, 1) != poisson_times(2000, 5.0, 2)
    assert times[-1] == pytest.approx(2000 / 5.0, rel=0.1)
    assert list(times) == sorted(times)


def test_options_of_an_engine_are_what_they_look_like():
    asked = ["n_ctx=4096", "share=0.5", "flash=true", "name=x=y"]
    assert parse_options(asked) == {"n_ctx": 4096, "share": 0.5, "flash": True, "name": "x=y"}
    with pytest.raises(BadInput, match="must be of the form name=value"):
        parse_options(["flash"])
