"""How far collections reach: index, verification, search and site of made-up runs, each in a process of its own: time, CPU time, most memory.

Run: python benchmarks/collection.py 10000 100000          # sizes; figures into benchmarks/results/collection.json, a table to the terminal
     python benchmarks/collection.py --site-up-to 10000 1000000

The runs are made up, of realistic shape: tens of models a publisher, six tasks, eight cards, loads and repeats; one line each. They lie in
/dev/shm, and are removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
RESULTS = TOP / "benchmarks" / "results" / "collection.json"

CARDS = (
    *("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA H200", "NVIDIA B200", "NVIDIA L40S"),
    *("NVIDIA GeForce RTX 4090", "AMD Instinct MI300X", "NVIDIA GB200"),
)
TASKS = (
    *(("text-generation", "aes-2025-02", "request"), ("text-generation", "mlenergy-v3", "token")),
    *(("summarization", "aes-2025-02", "request"), ("question-answering", "aes-2025-02", "request")),
    *(("image-classification", "aes-2025-02", "request"), ("text-to-image", "aes-2025-02", "image")),
)
FAMILIES = (
    "llama",
    "qwen",
    "mistral",
    "gemma",
    "phi",
    "olmo",
    "falcon",
    "granite",
    "deepseek",
    "bloom",
    "opt",
    "yi",
)
ENGINES = ("vllm 0.12.0", "transformers 5.24.0", "sglang 0.6.1", "tensorrt-llm 1.2.0")

INDEXING = """
import sys, json
from pathlib import Path
from energy_rating.storage.index import Index
from energy_rating.storage.runs import Checkup, CollectedRun, KeptFolder, from_line
def entries(path):
    with open(path, "rb") as file:
        for line in file:
            run = from_line(CollectedRun, line, path)
            content = run.journal_sha256
            checkup = Checkup(content=content, verdict="matches", version="0.2.0", plausible=True)
            yield KeptFolder(folder="/collection/" + run.run_id, stamp="1", content=content, run=run, checkup=checkup)
index = Index(Path(sys.argv[1]))
with index.writing():
    index.settle(index.put(entries(sys.argv[2])))
"""
FINDING = """
import sys, time
from pathlib import Path
from energy_rating.publishing.found import as_json, nearness
from energy_rating.storage.index import Index
from energy_rating.storage.search import Wanted, find
near = nearness("H100")
find(Wanted(model="x"), [])
start = time.perf_counter()
for name in ("publisher-7/llama-7b-v3", "llama 7b", "no such model", "qwen"):
    found = find(Wanted(model=name, task="text-generation"), [Index(Path(sys.argv[1]))], nearness=near)
    took = time.perf_counter() - start
    start = time.perf_counter()
    told.append((name, took, len(found.runs)))
"""
BUILDING = """
import sys
from pathlib import Path
from energy_rating.publishing.leaderboard.site import build
from energy_rating.storage.index import Index
build(Index(Path(sys.argv[1])), Path(sys.argv[2]))
"""
VERIFYING = """
import sys, time
from pathlib import Path
from energy_rating.publishing.collected import check
check(Path(sys.argv[1]), "")
start = time.process_time()
for _ in range(5):
    checkup, _run = check(Path(sys.argv[1]), "")
    assert checkup.good
told.append(("verify", (time.process_time() - start) / 5, 5))
"""
FRAME = """
import json, time
told = []
start, cpu = time.perf_counter(), time.process_time()
{code}
took, cpu = time.perf_counter() - start, time.process_time() - cpu
mib = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({{"s": round(took, 2), "cpu_s": round(cpu, 2), "mib": round(mib), "told": told}}))
"""


# Beyond so many the same come again, of other publishers on other machines.
MADE_UP = 100_000


def lines(count: int, first: int = 0) -> Iterator[str]:
    """Made-up runs, a line each."""
    if count > MADE_UP:
        base = list(lines(MADE_UP, first))
        for again in range(-(-count // MADE_UP)):
            for line in base[: count - again * MADE_UP]:
                # The id, the checksum, the machine and the publisher.
                line = line.replace('"run_id":"2026', f'"run_id":"{4000 + again}', 1)
                line = line.replace('_sha256":"0000', f'_sha256":"{again:04x}', 1)
                yield line.replace('"host-', f'"host{again}-').replace(
                    '"publisher-', f'"publisher{again}-', 1
                )
        return
    from energy_rating.storage.runs import CollectedRun, to_line

    for number in range(first, first + count):
        chance = random.Random(number)
        family, size = chance.choice(FAMILIES), chance.choice([0.5, 1, 3, 7, 8, 13, 32, 70, 235])
        # One model has some ten runs, whatever the size of the collection.
        publisher = chance.randrange(max(count // 1000, 10))
        task, protocol, unit = chance.choice(TASKS)
        energy = 3.0 * size**0.8 * chance.lognormvariate(0, 0.3)
        stars = chance.choice([None, 1, 2, 3, 4, 5])
        start = 1.76e9 + 60.0 * number
        yield to_line(
            CollectedRun(
                run_id=f"2026{number:012d}",
                created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)),
                start_s=start,
                end_s=start + 340.0,
                duration_s=340.0,
                stage="inference",
                model=f"publisher-{publisher}/{family}-{size}b-v{chance.randrange(4)}",
                dtype=chance.choice(["bfloat16", "fp8", "q4_1"]),
                parameters=int(size * 1e9),
                task=task,
                protocol=protocol,
                engine=chance.choice(ENGINES),
                items=1000,
                batch=1,
                concurrency=chance.choice([1, 8, 64, 256]),
                tokens=10,
                place=chance.choice(["FRA", "POL", "US-CA", ""]),
                hardware=chance.choice(CARDS),
                hardware_count=chance.choice([1, 1, 2, 8]),
                devices=(f"host-{number % 997}/GPU-{number % 8}",),
                components="gpu",
                measured_j=1000 * energy,
                measured_random_j=energy,
                measured_systematic_j=40 * energy,
                coverage=1.0,
                figure_j=energy,
                figure_random_j=0.01 * energy,
                figure_systematic_j=0.04 * energy,
                figure_unit=unit,
                figure_component="gpu",
                figure_origin="measured",
                carbon_g=0.01 * energy,
                stars=stars,
                could_be_low=stars,
                could_be_high=stars,
                index=1.0,
                class_=chance.choice("ABC"),
                scheme="2026.1",
                basis=chance.choice(["measured", "normalised", "indicative"]),
                reasons=() if stars else ("1 repeat was measured; 5 are needed",),
                reason_codes=() if stars else ("too-few-repeats",),
                quality=(("accuracy", round(min(0.95, 0.3 + 0.1 * size**0.3 * chance.random()), 3)),),
                journal_sha256=f"{number:064x}",
                made_by="0.2.0",
                worked_out_by="0.2.0",
            )
        )


def ran(code: str, *words: str | Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(TOP)
    done = subprocess.run(
        [sys.executable, "-c", FRAME.format(code=code), *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(count: int, place: Path, *, site: bool) -> dict[str, Any]:
    """All rows of a collection of so many runs."""
    index, texts, more = place / "index", place / "lines.jsonl", place / "more.jsonl"
    for path, number, first in ((texts, count, 0), (more, 1000, count)):
        with path.open("w") as file:
            for line in lines(number, first):
                file.write(f"{line}\n")
    found: dict[str, Any] = {"runs": count}
    found["index"] = ran(INDEXING, index, texts)
    found["index"]["mb"] = round((index / "index.sqlite").stat().st_size / 1e6)
    texts.unlink()
    found["1,000 more"] = ran(INDEXING, index, more)
    found["find"] = ran(FINDING, index)["told"]
    if site:
        found["site"] = ran(BUILDING, index, place / "site")
        files = [path for path in (place / "site").rglob("*") if path.is_file()]
        found["site"] |= {
            "files": len(files),
            "mb": round(sum(path.stat().st_size for path in files) / 1e6, 1),
            "first_page_kb": round((place / "site" / "index.html").stat().st_size / 1e3),
            "largest_page_kb": round(
                max(path.stat().st_size for path in (place / "site").rglob("*.html")) / 1e3
            ),
            "browser_s": in_a_browser(place / "site"),
        }
    return found


def in_a_browser(site: Path) -> dict[str, float]:
    """How long Chromium takes for the largest ranking, to sort it, for a search and a model's page; empty without one."""
    sys.path.insert(0, str(TOP / "tests" / "fakes"))
    import browser

    if browser.path() is None:
        return {}
    ready = "new Promise(done => { const look = () => document.body?.dataset.ready ? done(1) : setTimeout(look, 10); look(); })"
    running = browser.Browser()
    told: dict[str, float] = {}
    try:
        with running.page() as page:

            def opened(name: str, address: str) -> None:
                start = time.perf_counter()
                page.open(f"{site.as_uri()}/{address}")
                page.run(ready)
                told[name] = round(time.perf_counter() - start, 2)

            largest = max((site / "boards").glob("*.html"), key=lambda one: _rows(one))
            opened("first page", "index.html")
            opened("largest ranking", f"boards/{largest.name}")
            start = time.perf_counter()
            page.run("document.querySelectorAll('th button')[1].click()")
            told["sort"] = round(time.perf_counter() - start, 2)
            opened("search", "search.html?q=llama-7b")
            link = page.run("document.querySelector('#found a').getAttribute('href')")
            opened("model", link)
            if page.errors:
                sys.exit(f"the browser complains: {page.errors}")
    finally:
        running.close()
    return told


def _rows(page: Path) -> int:
    return int(page.read_text().partition('data-rows="')[2].partition('"')[0] or 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--site-up-to", type=int, default=100_000, help="Build the site up to this size.")
    parser.add_argument(
        "--write", action="store_true", help="Keep the figures in benchmarks/results/collection.json."
    )
    asked = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["verify"] = ran(VERIFYING, TOP / "reports" / "example-gpu")["told"][0][1]
    print(f"verify: {found['verify']:.2f} s of CPU each", flush=True)
    for count in asked.sizes:
        place = Path(tempfile.mkdtemp(prefix="collection-", dir="/dev/shm"))
        try:
            told = measured(count, place, site=count <= asked.site_up_to)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        found[str(count)] = told
        print(json.dumps(told), flush=True)
        if asked.write:
            RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
