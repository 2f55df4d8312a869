"""No secret gets out, however it came: canaries in every option and every field of every file, looked for in all that is left."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, load, measure, rate
from energy_rating.benchmarking.batches import BENCHMARK, BatchEntry, run_batch
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.options import known
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.settings import Conduct, Settings
from energy_rating.benchmarking.tasks import load_task
from energy_rating.cli import cli, main
from energy_rating.files import withheld
from energy_rating.files.withheld import cleaned, opens_something, without_secrets
from energy_rating.judging.quality import parse_quality, read_results
from energy_rating.nouns.records import Model, Place, Quality
from energy_rating.publishing import card, label
from energy_rating.publishing.exports import csv
from energy_rating.publishing.folder import publish
from energy_rating.publishing.links import Links

# The forms in which secrets come, each with a word that nobody is to see.
SECRETS = (
    "https://bob:CANARYpw1@h.example/r?access_token=CANARYquery2",
    "hf_CANARYtoken12345",
    "api_key=CANARYnamed3",
    "Bearer CANARYbearer4",
    "https://hooks.example/services/CANARYpath5abcdef67890",
    "http://user:p/CANARY123456@host:80/v1",
    "run --api-key CANARYflag7 --level 3",
    "api_key%3DCANARYpercent8",
    "https%3A%2F%2Fbob%3ACANARYpw9%40h.example%2Fr%3Faccess_token%3DCANARYquery10",
    "https://h.example/go?to=x https://h.example/go/hf_CANARY%2Dtoken11abcdef",
    "redirect=api_key%2525253DCANARYoften12",
)
ALL = " ".join(SECRETS)


def _clean(*texts: str) -> bool:
    return not any("CANARY" in text for text in texts)


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()
    }


def _cli(*words: str) -> tuple[int | None, str]:
    """The exit code of a command, and all that it said."""
    told = io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    return code if isinstance(code, int) else None, told.getvalue()


@pytest.fixture(scope="module")
def device():
    clock = VirtualClock()
    return clock, FakeDevice(clock=clock, power=constant(300)[0], energy=constant(300)[1])


def _measured(folder: Path, clock, gpu, **given) -> None:
    """A benchmark on a virtual clock with everything that can be said of it, and all that is published of it."""
    asked = {
        name: value for name, value in given.items() if name not in ("model", "quality", "place", "workload")
    }

    class Fake:
        def load(self):
            pass

        def run(self, items):
            clock.sleep(0.5)
            return {"request": len(items), "token": 10 * len(items)}

        def close(self):
            pass

    plan = planned(
        load_task("text-generation"),
        repeats=3,
        quality=given.get("quality", ()),
        workload=given.get("workload"),
        **asked,
    )
    run_plan(
        Fake(),
        plan,
        model=given.get("model", Model(id="org/name")),
        output_dir=folder,
        sensors=[gpu],
        clock=clock,
        sleep=clock.sleep,
        report=lambda _: None,
    )
    record = load(folder)
    publish(folder, record, rate(record))
    (folder / "record.csv").write_text(csv.export(record))
    (folder / "again.svg").write_text(label.svg(record, rate(record)))
    (folder / "README.md").write_text(card.update_card("# mine\n", [record], ratings=[rate(record)]))


# Every declared option that is a text or a path, tried by itself: a new one is tried as soon as it is declared.
DECLARED = [
    one for kind in (Conduct, Settings) for one in known(kind).values() if one.kind not in (int, float, bool)
]


@pytest.mark.parametrize("secret", [SECRETS[0], ALL], ids=["one", "all"])
@pytest.mark.parametrize("one", DECLARED, ids=lambda one: one.name)
def test_no_declared_option_carries_a_secret_into_what_is_published(tmp_path, device, one, secret):
    value = {Path: Path(secret), tuple: (secret,)}.get(one.kind, secret)
    if one.name == "options":
        value = {"base": secret, "api_key": "CANARYnamed6", secret: 1, "tokens": [secret]}  # type: ignore[dict-item]
    if one.name == "task":
        return  # the hub's own name, which no option gives
    with contextlib.suppress(BadInput):
        _measured(tmp_path / "run", *device, **{one.name: value})
    for place, text in _files(tmp_path).items():
        assert _clean(text), (place, text[:400])


@pytest.mark.parametrize(
    "given",
    [
        {"quality": [parse_quality(f"acc=0.62@{ALL}", place="--quality")]},
        {"quality": [Quality(metric=ALL, value=0.5, source=ALL)]},
        {"model": Model(id=ALL, revision=ALL, dtype=ALL)},
        {"workload": ALL},
    ],
    ids=["quality", "quality in Python", "model", "workload"],
)
def test_nothing_that_is_said_of_a_benchmark_carries_a_secret_into_what_is_published(tmp_path, device, given):
    _measured(tmp_path / "run", *device, **given)
    files = _files(tmp_path)
    assert len(files) > 8
    for place, text in files.items():
        assert _clean(text), (place, text[:400])


def test_nothing_that_python_is_told_of_a_run_carries_a_secret_into_its_record(tmp_path, device):
    clock, gpu = device
    with (
        contextlib.suppress(RuntimeError),
        measure(
            "inference",
            model=ALL,
            task=ALL,
            output_dir=tmp_path / "run",
            place=Place(zone="FRA", region=SECRETS[0], provider=SECRETS[1]),
            sensors=[gpu],
            clock=clock,
            report=None,
        ) as run,
        run.window(ALL) as window,
    ):
        clock.sleep(5)
        window.count(**{"token": 5, SECRETS[1]: 7})
        run.judged(Quality(metric=ALL, value=0.5, source=ALL))
        raise RuntimeError(ALL)
    for place, text in _files(tmp_path).items():
        assert _clean(text), (place, text[:400])
    assert load(tmp_path / "run") is not None


# ---------------------------------------------------------------------------------------------------------- files


def test_no_field_of_a_file_carries_a_secret_into_what_is_published(tmp_path, device):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"results": {ALL: {f"acc,{ALL}": 0.5, "alias": ALL}}, ALL: ALL}))
    items = tmp_path / "hf_CANARYtoken12345.jsonl"
    items.write_text("".join(json.dumps({"text": f"{ALL} {n}"}) + "\n" for n in range(4)))
    run = tmp_path / "out"
    _measured(run, *device, quality=read_results(results), items=items)
    for place, text in _files(run).items():
        assert _clean(text), (place, text[:400])


def test_no_line_of_a_file_of_counts_carries_a_secret(tmp_path):
    counts = tmp_path / "counts"
    for content in (f"{SECRETS[1]}=5", json.dumps({ALL: 5}), json.dumps({"token": ALL}), ALL):
        counts.write_text(content)
        code, told = _cli(
            "measure",
            "--output-dir",
            str(tmp_path / "out"),
            "--count-from",
            str(counts),
            "--json",
            "--",
            "true",
        )
        assert code in (0, 1, None)
        assert _clean(told, *_files(tmp_path / "out").values()), told


def test_no_field_of_a_calibration_carries_a_secret_into_what_is_made_with_it(tmp_path, run_folder):
    # Every free text of a calibration's file: what the meter is called, the device, and who says so.
    shipped = (Path(__file__).parents[2] / "hardware_profiles" / "example-gpu.toml").read_text()
    calibration = tmp_path / "calibration.toml"
    quoted = json.dumps(ALL)
    card_sha256 = hashlib.sha256(b"GPU-00000000-0000-0000-0000-000000000000").hexdigest()
    shipped = re.sub(r'device_sha256 = "\w+"', f'device_sha256 = "{card_sha256}"', shipped)
    calibration.write_text(
        re.sub(
            r'^(meter|name|vendor|architecture|title) = ".*"$', rf"\1 = {quoted}", shipped, flags=re.MULTILINE
        )
    )
    for name in ("record.json", "card.md", "label.svg", "label.png", "rating.json"):
        (run_folder / name).unlink()
    said = [
        _cli("summarise", str(run_folder), "--calibration", str(calibration)),
        _cli("verify", str(run_folder), "--calibration", str(calibration)),
        _cli("rate", str(run_folder), "--explain"),
        _cli("label", str(run_folder), "-o", str(run_folder / "label.svg")),
        _cli("card", str(tmp_path / "README.md"), str(run_folder)),
    ]
    assert "gain-corrected" in (run_folder / "record.json").read_text(), said
    calibration.unlink()
    for place, text in {
        **_files(tmp_path),
        **{f"said {number}": told for number, (_, told) in enumerate(said)},
    }.items():
        assert _clean(text), (place, text[:600])
    assert said[1][0] == 0, said[1]


# ------------------------------------------------------------------------------------------------------- commands


def _text_options() -> list[tuple[str, str]]:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return [
        (name, one.name or "")
        for name, command in commands.items()
        if name != "calibrate"  # takes minutes, and has no free text; its choices are tried by themselves
        for one in command.params
        # Where a run or a file has been put is told as it is called.
        if not getattr(one, "is_flag", False) and one.name not in ("command", "output_dir", "output")
    ] + [("calibrate", "classes"), ("calibrate", "reference")]


@pytest.fixture
def run_folder(tmp_path):
    """A copy: some commands write beside a run."""
    copy = tmp_path / "a run"
    shutil.copytree(Path(__file__).parents[2] / "reports" / "example-gpu", copy)
    return copy


@pytest.mark.parametrize(("name", "option"), _text_options())
def test_no_option_of_a_command_is_quoted_with_its_secret(tmp_path, monkeypatch, run_folder, name, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    command = cli.get_command(click.Context(cli), name)
    for secret in (ALL,):
        words, arguments = [], []
        for one in command.params:
            if isinstance(one, click.Argument):
                arguments.append(
                    secret if one.name == option else str(run_folder) if one.name != "command" else "true"
                )
            elif one.name == option:
                words = [one.opts[0], f"acc=0.5@{secret}" if option == "qualities" else secret]
        if name == "benchmark" and option != "model":
            words += (
                ["--workload", "command", "--command", "false"]
                if option not in ("workload", "command_line")
                else []
            )
        code, told = _cli(name, *words, "--", *arguments)
        assert code is None or 0 <= code <= 2, told
        # Of a path that was asked for, its own words are told: without the forms of secrets.
        assert _clean(told), (secret, told)
        assert all(_clean(text) for text in _files(tmp_path).values())


def test_the_addresses_on_a_label_open_nothing_that_is_not_open():
    for address in (
        "https://bob:CANARY@h.example/journal.jsonl",
        "https://h.example/journal.jsonl?access_token=CANARY",
        "https://b.s3.example/j.gz?X-Amz-Credential=C&X-Amz-Signature=abc",
        "https://x.blob.example/j.gz?sv=2024&sig=abc",
    ):
        assert opens_something(address)
        with pytest.raises(BadInput, match="a user, a password or a key|must begin with"):
            Links(journal=address)
    for address in ("https://h.example/run/journal.jsonl.gz?download=true", "https://h.example/a#what"):
        assert Links(journal=address).journal == address


# ---------------------------------------------------------------------------------------------------- what is let through


@pytest.mark.parametrize(
    "text",
    [
        *(
            "org/name",
            "Such as token=512",
            "--count token=N",
            "input_token=5, token: 768000",
            "epoch",
            "tasks/a.toml",
        ),
        "https://huggingface.co/org/Llama-3.1-8B-Instruct/blob/0123456789abcdef0123456789abcdef01234567/README.md",
        "GPU-1a2b3c4d-aaaa-bbbb-cccc-1234567890ab",
        "arc_easy, 5-shot, lm-evaluation-harness 0.4.9",
        "org/name:tag@sha256:0123456789abcdef",
        "https://docs.example.org/how-it-is-measured.html#the-edges",
        "https://example.org/wiki/Energy%20of%20models%20%282026%29",
        "org%2Fname, 100%25 of 5%20",
        "Meta-Llama-3.1-405B-Instruct-FP8-dynamic",
        "energy-rating/benchmarking/workloads/transformers",
        "aGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gc2VjcmV0",
    ],
)
def test_what_is_no_secret_goes_through_the_gate_as_it_is(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "said",
    [
        "api_key=CANARYnamed3",
        "hf_CANARYtoken12345",
        "https://bob:CANARYpw1@h.example/r?access_token=x",
        "password: CANARYpw13",
    ],
)
def test_a_secret_in_another_spelling_is_one(said):
    import base64
    import urllib.parse

    percent = "".join(f"%{byte:02X}" for byte in said.encode())
    spellings = [
        percent,
        percent.lower(),
        urllib.parse.quote(percent),
        urllib.parse.quote(said, safe=""),
        base64.b64encode(said.encode()).decode(),
        base64.urlsafe_b64encode(said.encode()).decode().rstrip("="),
    ]
    for spelling in (
        *spellings,
        functools.reduce(lambda word, _: urllib.parse.quote(word), range(40), percent),
    ):
        for text in (spelling, f"see {spelling} there", f"https://h.example/{spelling}", f"a={spelling}"):
            through = without_secrets(text)
            assert spelling not in through, (spelling, through)
            assert "CANARY" not in urllib.parse.unquote(through), through
            assert spelling not in cleaned(text)


@pytest.mark.parametrize(
    "unit", ["%", "%41", "a:", "http://a", "sk-", "x", "A1", "a@", "key=", "Bearer a", '"', "=", "eyJ"]
)
@pytest.mark.parametrize("gap", ["", " "])
def test_no_text_however_long_holds_the_gate_up(unit, gap):
    # Not a matter of speed: what takes the square of a megabyte is never done.
    text = (unit * 1_000_000)[:1_000_000] if not gap else (f"{(unit * 2000)[:2000]} " * 500)
    for gate in (without_secrets, cleaned):
        through = gate(f"{text} {ALL}")
        assert len(through) < 1 << 17
        assert "CANARY" not in through


@given(st.text(max_size=60) | st.sampled_from(SECRETS) | st.text("%25Ffab=:/@ ", max_size=40))
def test_what_went_through_the_gate_goes_through_it_again(text):
    once = without_secrets(text)
    assert without_secrets(once) == once


def test_sources_of_the_repository_are_let_through_as_they_are():
    top = Path(__file__).parents[2]
    for record in top.glob("reports/*/record.json"):
        entry = json.loads(record.read_text())

        def texts(value):
            if isinstance(value, str):
                yield value
            for one in (
                value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            ):
                yield from texts(one)

        assert [text for text in texts(entry) if without_secrets(text) != text] == []


# ------------------------------------------------------------------------------------------------------------ processes

SLOW = """
import json, sys, time
from pathlib import Path
arguments = json.load(sys.stdin)
Path({seen!r}).write_text(json.dumps(arguments))
while not Path({go!r}).exists():
    time.sleep(0.02)
sys.exit("energy-rating: error: stopped")
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_nothing_of_a_batch_is_on_a_command_line_or_in_an_environment(tmp_path):
    import threading

    seen, go, script = tmp_path / "seen", tmp_path / "go", tmp_path / "slow.py"
    script.write_text(SLOW.format(seen=str(seen), go=str(go)))
    options = dict.fromkeys(("command", "endpoint", "option", "model_id", "quality"), ALL)
    found: list[bytes] = []

    def look():
        deadline = time.monotonic() + 60
        while not (seen.exists() and seen.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (process / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == os.getpid():
                    found.extend((process / name).read_bytes() for name in ("cmdline", "environ"))
        go.touch()

    looking = threading.Thread(target=look)
    looking.start()
    run_batch(
        [BatchEntry(model="org/name", options=options)],
        tmp_path / "runs",
        command=(sys.executable, str(script)),
    )
    looking.join()
    assert any(b"slow.py" in one for one in found), "the child was looked at"
    assert not any(b"CANARY" in one for one in found)
    assert sum(ALL in one for one in json.loads(seen.read_text())) == len(options), "and was told"


@pytest.mark.parametrize(
    ("told", "code"), [('["--version"]', 0), ("[1]", 1), ("", 1), ("{", 1), ("[" * 100_000, 1)]
)
def test_the_command_line_can_be_told_its_arguments_through_a_pipe(told, code):
    done = subprocess.run(BENCHMARK, input=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert re.match("energy-rating", done.stdout if code == 0 else done.stderr)


def test_no_pattern_is_left_out_where_it_would_have_been_found() -> None:
    """What a text needs before a pattern is looked for at all, held against the patterns themselves."""
    chance = random.Random(24)
    parts = (
        *("api_key", "token", "max_tokens", "password", "Bearer", "basic", "BASIC", "TOKEN", "ſecret", "paſſword", "Key", "cookİe"),
        *("credentıals", "auth", "pat", "PWD", " ", "\t", "\n", ":", "=", "@", "/", "//", "://", "http", "https:/", "?", "a=b", "-", "--"),
        *("sk-abc123def", "hf_abcdefgh", "ghp_123456", "xoxb-123456", "eyJabcdefghij.abcdef", "AKIA123456", "ya29.abcdef", "nvapi-abcdef"),
        *("glpat-abcdef", "AIzaabcdef", "github_pat_abcdef", "api_org_abcdef", "user", "host", "8080", "Abc9", '"', "'", "é", "…"),
    )  # fmt: skip
    found = dict.fromkeys(withheld._NEEDS, 0)
    for _ in range(20_000):
        text = "".join(chance.choice(parts) for _ in range(chance.randrange(1, 9)))
        text = chance.choice(
            (
                text,
                text,
                f"user:{text}@host",
                f"x?a={text}",
                f"http://{text}",
                f"--token {text}",
                f"Bearer {text}9",
            )
        )
        for pattern, needs in withheld._NEEDS.items():
            if re.search(pattern, text) is not None:
                found[pattern] += 1
                assert needs(text), (pattern, text)
        if re.search(withheld._NAMES, text) is not None:
            assert any(part in text.casefold() for part in withheld._IN_NAMES), text
    assert min(found.values()) > 100


def test_half_a_pair_of_surrogates_in_somebodys_file_keeps_no_run_from_being_written(tmp_path, device):
    results = tmp_path / "results.json"
    results.write_text('{"results": {"arc\\ud800": {"acc,none": 0.5}}}')
    _measured(tmp_path / "run", *device, quality=read_results(results), model=Model(id="a\udfffb"))
    record = load(tmp_path / "run")
    assert record.model.id == "a\ufffdb"
    assert "\ufffd" in record.quality[0].metric
    assert without_secrets("\ud83d\ude00 and \U0001f600") == "\ufffd\ufffd and \U0001f600"
