"""Files of strangers: each is read, or refused in one line. Nothing else happens, and nothing of theirs gets where it must not be."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import energy_rating
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, load, measure, rate, summarise
from energy_rating.benchmarking.gguf import described
from energy_rating.benchmarking.tasks import read_items
from energy_rating.benchmarking.work import Settings
from energy_rating.benchmarking.workloads import llama_cpp, prepare
from energy_rating.files.journal import encoded
from energy_rating.files.line_blocks import GROWS_FREELY
from energy_rating.files.reading import read_journal
from energy_rating.files.record import LARGEST_RECORD, record_from_json
from energy_rating.files.strict import read_toml
from energy_rating.measuring.counts import read_counts
from energy_rating.nouns.errors import ServerFailed
from energy_rating.publishing import card, label
from energy_rating.publishing.exports import csv
from energy_rating.publishing.folder import publish
from energy_rating.publishing.strangers import for_terminal, in_json

TOP = Path(__file__).parents[2]


def _fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", TOP / "benchmarks" / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


fuzz = _fuzz()

NAMES = (
    "record",
    "journal",
    "journal.gz",
    "packed",
    "windows",
    "profile",
    "scheme",
    "task",
    "card",
    "items",
    "counts",
    "gguf",
    "answer",
    *(f"import-{name}" for name in fuzz.IMPORTS),
)


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    found = {target.name: target for target in fuzz.targets(tmp_path_factory.mktemp("fuzz"))}
    assert set(found) == set(NAMES)
    for target in found.values():
        for seed in target.seeds:
            target.read(seed)  # what is mutated is valid before
    return found


# A reader that hangs is found by a bound that a loaded machine keeps too: processor time, not that of a clock.
MOST_CPU_S = 5.0


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**48))
@settings(max_examples=60, deadline=None)
def test_a_mutated_file_is_read_or_refused_in_one_line_and_soon(targets, name, seed):
    target = targets[name]
    assert fuzz.fell_out(target, target.input(random.Random(seed)), MOST_CPU_S) is None


@pytest.mark.parametrize("name", NAMES)
@given(content=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_so_is_anything_else(targets, name, content):
    assert fuzz.fell_out(targets[name], content, MOST_CPU_S) is None


# ------------------------------------------------------------------------------------------------------------- records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    where = tmp_path_factory.mktemp("run")
    with (
        measure(
            "inference", model="org/name", output_dir=where, sensors=[gpu], clock=clock, report=None
        ) as run,
        run.window("request") as window,
    ):
        clock.sleep(5)
        window.count(token=20)
    return where


BAD_RECORDS = {
    "not text": b"\xff\xfe\x00",
    "another encoding": '{"schema": "energy-rating/record/1"}'.encode("utf-16"),
    "nothing": b"",
    "NaN": b'{"schema": NaN}',
    "infinity": b'{"schema": "energy-rating/record/1", "run_id": 1e999}',
    "a number of 5,000 digits": b'{"schema": ' + b"1" * 5000 + b"}",
    "a doubled key": b'{"schema": "x", "schema": "y"}',
    "deep": b'{"a":' * 100_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "wide": b'{"a":[' + b"[]," * 2_000_000 + b"[]]}",
    "long": b'{"a":"' + b"x" * (LARGEST_RECORD + 1) + b'"}',
    "a pickle": b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
    "a zip": b"PK\x03\x04" + b"\0" * 100,
    "a list": b"[]",
    "half a surrogate": b'{"schema": "energy-rating/record/1", "run_id": "\\ud800"}',
}


@pytest.mark.parametrize("content", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_hostile_record_is_refused_in_one_line(content):
    start = time.process_time()
    with pytest.raises(BadInput) as caught:
        record_from_json(content, place="record.json")
    assert time.process_time() - start < 1
    assert str(caught.value).startswith("record.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_time_next_to_nothing_is_refused_in_a_record_and_none_in_a_journal(folder, tmp_path):
    entry = json.loads((folder / "record.json").read_text())
    for least_s in (5e-324, 1e-10):
        entry["measurements"][0]["duration_s"] = least_s
        with pytest.raises(BadInput, match="duration_s must be 0, or at least"):
            record_from_json(json.dumps(entry))
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        del line["crc"]
    (place,) = [number for number, line in enumerate(lines) if line.get("name") == "request"]
    shortest = [
        {"open": 90, "name": "no time", "t": 1e-300},
        {"close": 90, "t": 2e-300, "work": {"token": 1}},
    ]
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(encoded(line) for line in lines[:place] + shortest + lines[place:]))
    found = summarise(path)
    assert found["no time"].duration_s == 0.0
    assert found["request"].duration_s == pytest.approx(5.0)


def test_hostile_records_need_little_memory(tmp_path):
    for number, content in enumerate(BAD_RECORDS.values()):
        (tmp_path / f"{number}.json").write_bytes(content)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from energy_rating import BadInput, load\n"
        "from energy_rating.nouns.records import Record\n"
        "from energy_rating.files.strict import adapter\n"
        "adapter(Record)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: load(path)\n"
        "    except BadInput: continue\n"
        "    raise SystemExit(path.name)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100, "MiB"


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "]]><x/>",
        "<!-- energy-rating:end -->",
        "a | b\n| c | d |",
        "![x](http://x/y) [a](javascript:1)",
        "\x1b[2J\x9b31m\u202eevil\u2066\u200f",
        "=HYPERLINK(1)",
        "../../../etc/passwd",
        "---\nlicense: mit\n---",
        "&a [*a, *a] !!python/object/apply:os.system [id]",
    ],
)
def test_a_strangers_name_is_text_wherever_it_is_published(folder, name):
    entry = json.loads((folder / "record.json").read_text())
    entry["model"]["id"] = entry["run_id"] = entry["measurements"][1]["name"] = name
    entry["environment"]["software"] = {name: name}
    entry["findings"].append({"code": name, "message": name, "remedy": name, "severity": "degrades"})
    entry["quality"] = [{"metric": name, "value": 1.0, "source": name}]
    record = record_from_json(json.dumps(entry))
    fuzz.published(record)
    words = card.update_card("# mine\n", [record], ratings=[rate(record)])
    assert card.remove_card(words) == "# mine\n"
    assert "\x1b" not in words + label.svg(record, rate(record)) + csv.export(record)
    assert not re.search(r"(^|,)[=@]", csv.export(record), re.M)


@pytest.mark.parametrize(
    "command",
    [
        ["summarise", "--json"],
        ["rate", "--json"],
        ["rate"],
        ["verify", "--json"],
        ["export", "--format", "csv"],
    ],
)
def test_no_terminal_is_steered_by_what_is_printed(folder, tmp_path, command):
    header, *lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    entry = json.loads(header)
    del entry["crc"]
    hostile = "\x9b31m\x1b]0;x\x07\u202eevil\x7f"
    entry["run_id"] = entry["model"]["id"] = hostile
    (tmp_path / "journal.jsonl").write_bytes(encoded(entry) + b"".join(lines))
    assert energy_rating("summarise", tmp_path).returncode == 0
    done = energy_rating(*command, tmp_path)
    text = done.stdout + done.stderr
    assert text
    assert all(char.isprintable() or char == "\n" for char in text), [c for c in text if not c.isprintable()]
    if "--json" in command and command[0] == "summarise":
        assert json.loads(text)["run_id"] == hostile, "escaped, and still the same value"


@given(st.text(max_size=60))
def test_what_is_escaped_for_a_terminal_is_the_same_json(text):
    told = in_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(told) == {"a": text}
    assert all(char.isprintable() or char == "\n" for char in told)
    assert all(char.isprintable() or char == "\n" for char in for_terminal(text))


# ------------------------------------------------------------------------------------------------------------- journals


def test_a_gzip_bomb_is_refused_before_it_goes_off(folder, tmp_path):
    path = tmp_path / "journal.jsonl.gz"
    header = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)[0]
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(header)
        for _ in range(GROWS_FREELY // (1 << 20) + 40):
            file.write(b" " * (1 << 20))
    assert path.stat().st_size < 200_000
    with pytest.raises(BadInput, match="200-fold"):
        read_journal(path)
    line = encoded({"finding": {"code": "x", "message": "x" * 1_000_000}, "t": 1.0})
    with gzip.open(path, "wb", compresslevel=6) as file:  # each line is right, and there is no end of them
        file.write(header)
        for _ in range(GROWS_FREELY // len(line) + 10):
            file.write(line)
    with pytest.raises(BadInput, match="200-fold"):
        read_journal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": 5},
        {"run_id": None},
        {"started": ["x"]},
        {"environment": {"devices": [{"id": "a", "name": "b", "power_limit_w": float("inf")}]}},
        {"channels": [{"id": "a", "component": "gpu", "device": "d", "method": "counter", "accuracy": 0.1, "wraps_at_j": 1e300}]},
    ],
)  # fmt: skip
def test_a_header_with_what_is_no_text_or_no_number_is_refused(folder, tmp_path, change):
    header, *lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    entry = json.loads(header) | change
    del entry["crc"]
    body = json.dumps(entry).encode()
    (tmp_path / "journal.jsonl").write_bytes(fuzz.with_checksum(body) + b"".join(lines))
    with pytest.raises(BadInput):
        read_journal(tmp_path)


def test_half_a_pair_of_surrogates_is_damage_and_not_an_error_of_ours(folder, tmp_path):
    path = tmp_path / "journal.jsonl"
    line = fuzz.with_checksum(b'{"open":70,"name":"\\ud800","t":5.0}')
    path.write_bytes((folder / "journal.jsonl").read_bytes() + line)
    assert "not JSON" in (read_journal(path).damage or "")


# ------------------------------------------------------------------------------------------------------- other readers


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "a." * 100_000 + "a = 1",
        "a = " + "9" * 5000,
        "a = 1979-05-27",
        "x" * 300_000,
        "a = 1\na = 2",
        "\ufeff\x00",
    ],
)
def test_hostile_toml_is_refused_soon(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(BadInput):
        read_toml(path)
    assert time.process_time() - start < 2


def test_a_yaml_bomb_in_a_card_is_refused_and_no_tag_is_obeyed(folder):
    record = load(folder)
    bomb = "---\na: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for front in (
        bomb,
        "---\nx: !!python/object/apply:os.system ['touch /tmp/owned']\n",
        "---\n" + "- " * 500 + "a\n",
    ):
        start = time.process_time()
        try:
            text = card.update_card(f"{front}---\n# card\n", [record])
        except BadInput as error:
            assert "\n" not in str(error)
        else:
            assert front in text, "not touched"
        assert time.process_time() - start < 2
    assert not Path("/tmp/owned").exists()


def test_a_gguf_file_that_promises_the_world_is_refused(tmp_path):
    import struct

    path = tmp_path / "m.gguf"
    path.write_bytes(
        b"GGUF"
        + struct.pack("<IQQ", 3, 1, 0)
        + struct.pack("<Q", 1)
        + b"w"
        + struct.pack("<I4Q", 4, *[2**63] * 4)
        + b"\0" * 12
    )
    with pytest.raises(BadInput, match="damaged"):
        described(path)
    with path.open("wb") as file:  # strings without end, in a file without bytes
        file.write(
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + struct.pack("<Q", 1)
            + b"k"
            + struct.pack("<IIQ", 9, 8, 1 << 24)
        )
        file.truncate(1 << 30)
    start = time.process_time()
    with pytest.raises(BadInput, match="damaged"):
        described(path, most_strings=50_000)
    assert time.process_time() - start < 30


def test_items_and_counts_that_cannot_be_are_refused(tmp_path):
    path = tmp_path / "items.jsonl"
    for content in (
        b'{"text": ' + b"[" * 100_000,
        b'{"text": "\\ud800"}\n',
        b"\xff\xfe",
        b"\n\n",
        b'{"text": ' + b"1" * 5000 + b"}",
    ):
        path.write_bytes(content)
        with pytest.raises(BadInput):
            fuzz.encodable(read_items(path))
    for content in (
        b'{"a": ' + b"[" * 100_000,
        b'{"token": NaN}',
        b"token=-1",
        b"token=" + b"9" * 5000,
        b'{"a b": 1}',
    ):
        path.write_bytes(content)
        with pytest.raises(BadInput):
            read_counts(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff", b'{"usage": ' + b"9" * 5000 + b"}"])
def test_an_answer_that_is_no_json_object_is_none(content):
    assert llama_cpp.parsed(content) is None


# ------------------------------------------------------------------------------------------------------------ the disk


def test_nothing_is_written_through_a_link(folder, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("record.json", "label.svg", "label.png", "card.md", "rating.json", "trace.png"):
        (run / name).symlink_to(victim)
    (run / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes())
    assert energy_rating("summarise", run).returncode == 0
    record = load(run)
    publish(run, record, rate(record))
    assert victim.read_text() == "precious"
    assert not any(path.is_symlink() for path in run.iterdir())


def test_a_run_is_not_resumed_through_a_link(folder, tmp_path):
    victim = tmp_path / "victim.jsonl"
    victim.write_bytes((folder / "journal.jsonl").read_bytes())
    before = victim.read_bytes()
    run = tmp_path / "run"
    run.mkdir()
    (run / "journal.jsonl").symlink_to(victim)
    with measure(output_dir=run, sensors=[], resume=True, report=None) as again:
        pass
    assert victim.read_bytes() == before
    assert again.folder == (tmp_path / "run-2").resolve()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", "nvidia-h100-sxm-80gb/../x", "a\0b"]
)
def test_no_name_of_a_profile_a_scheme_or_a_task_is_a_path(name):
    from energy_rating.benchmarking.tasks import load_task
    from energy_rating.judging.profiles import load_profile
    from energy_rating.judging.schemes import load_scheme

    for read in (load_profile, load_scheme, load_task):
        with pytest.raises(BadInput, match="there is no"):
            read(name)


# ----------------------------------------------------------------------------------------------------------- the model


def test_weights_in_pickles_are_not_loaded_and_code_of_a_model_is_not_run(tmp_path):
    owned = tmp_path / "owned"
    evil = f"cos\nsystem\n(S'touch {owned}'\ntR.".encode()
    (tmp_path / "model.gguf").write_bytes(evil)
    with pytest.raises(BadInput, match="not a GGUF file"):
        prepare("llama_cpp", str(tmp_path / "model.gguf"), Settings())
    assert not owned.exists()
    source = (TOP / "energy_rating" / "benchmarking" / "workloads" / "diffusers.py").read_text()
    assert "use_safetensors=True" in source
    assert "trust_remote_code=False" in source


def test_nothing_in_the_package_unpickles_evaluates_or_uses_a_shell():
    for path in (TOP / "energy_rating").rglob("*.py"):
        text = path.read_text()
        for word in (
            "import pickle",
            "pickle.load",
            "shell=True",
            "yaml.load(",
            "yaml.unsafe",
            "weights_only=False",
        ):
            assert word not in text, f"{path.name}: {word}"
        assert not re.search(r"(?<![\w.])(eval|exec)\(", text), path.name


def test_the_process_of_a_model_gets_no_secret_of_ours(monkeypatch):
    from energy_rating.benchmarking.child import environment_of_a_model

    secrets = dict.fromkeys(
        (
            *(
                "HF_TOKEN",
                "HUGGING_FACE_HUB_TOKEN",
                "OPENAI_API_KEY",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_ACCESS_KEY_ID",
            ),
            *(
                "GITHUB_TOKEN",
                "WANDB_API_KEY",
                "NVIDIA_API_KEY",
                "CUDA_LICENSE_KEY",
                "SSH_AUTH_SOCK",
                "PGPASSWORD",
            ),
            *(
                "GOOGLE_APPLICATION_CREDENTIALS",
                "http_proxy",
                "SLACK_WEBHOOK",
                "NAME_NOBODY_THOUGHT_OF",
                "KUBECONFIG",
            ),
        ),
        "s3cret",
    )
    kept = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "2",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": "/l",
    }
    found = environment_of_a_model({**secrets, **kept}, PYTHONPATH="/x")
    assert kept.items() <= found.items()
    assert found["PYTHONPATH"] == "/x"
    assert "s3cret" not in found.values()


def test_the_server_of_a_model_is_started_with_that_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    monkeypatch.setenv("SOME_API_KEY", "s3cret")
    seen = tmp_path / "seen"
    server = (
        sys.executable,
        "-c",
        f"import os, json; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))",
    )
    model = tmp_path / "m.gguf"
    model.write_bytes(fuzz._gguf())
    workload = llama_cpp.LlamaCpp(model, server=server)
    with pytest.raises(ServerFailed):
        workload.load()
    environment = json.loads(seen.read_text())
    assert "s3cret" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["HF_HUB_OFFLINE"] == "1"
