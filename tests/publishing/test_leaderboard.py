"""The site of a collection: what is ranked and what is not, the same bytes of the same runs, whole or not at all, and as it is used in a browser."""

from __future__ import annotations

import functools
import http.server
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from many_runs import a_record, inference, measured, written

from energy_rating.files.record import load
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Load, Model, Outcome, Quality
from energy_rating.publishing import collected
from energy_rating.publishing.leaderboard import rows, words
from energy_rating.publishing.leaderboard.site import build
from energy_rating.storage import collection
from energy_rating.storage.runs import Checkup

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"
HOSTILE = (
    '"><img src=x onerror=alert(1)>',
    "<script>alert(2)</script>",
    "javascript:alert(3)",
    "a/../../../etc/passwd",
    "{{ 7*7 }}{% raw %}",
    "'); alert(4); ('",
    "__proto__",
    "constructor",
    "</title></script><svg onload=alert(5)>",
    "name\u2028with\u2029lines",
    "=HYPERLINK(1)",
    "日本語/モデル-7b",
)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def believed(folder: Path, content: str):
    """As verification would find records that have journals: made-up ones have none."""
    return Checkup(content=content, verdict="matches", version="0.2.0", plausible=True), collected.read(
        folder
    )


def indexed(folder: Path, *, check=believed):
    index = collection.collection([folder])
    collection.bring_up_to_date(index, [folder], collected.read)
    if check is not None:
        collection.verify_all(index, check)
    return index


def built(folder: Path, site: Path, **more):
    index = indexed(folder, check=more.pop("check", believed))
    return build(index, site, root=str(folder), **more)


def data(site: Path, name: str):
    text = (site / "data" / f"{name}.js").read_text()
    assert text.startswith("energyRating(")
    assert text.isascii()
    return json.loads(text.removeprefix("energyRating(").rstrip()[:-1].partition(",")[2])


def many(folder: Path, count: int = 60, models: int = 12) -> None:
    """A collection as it grows: sizes, qualities, loads, two protocols, two cards."""
    chance = random.Random(5)
    for number in range(count):
        model = number % models
        written(
            folder,
            replace(
                inference(
                    number,
                    10.0 * (1 + model) * chance.uniform(0.9, 1.1),
                    model=f"org-{model % 3}/model-{model}b",
                    task=chance.choice(["text-generation", "text-generation", "summarization"]),
                    hardware=chance.choice(["NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"]),
                    load=Load(items=1000, batch_size=1, concurrency=chance.choice([1, 8, 64])),
                    devices=(f"GPU-{number}",),
                ),
                model=Model(
                    id=f"org-{model % 3}/model-{model}b", parameters=10**9 * (model + 1), dtype="bfloat16"
                ),
                quality=(Quality(metric="accuracy", value=0.4 + 0.04 * model, source="a test"),),
            ),
        )


# ------------------------------------------------------------------------------------------------------ what is ranked


def test_protocols_units_and_components_never_stand_in_one_ranking(runs, tmp_path):
    written(runs, inference(1, 20.0))
    written(runs, inference(2, 30.0, task="summarization"))
    written(runs, a_record(3, model="org/trained"))
    found = rows.boards(indexed(runs))
    assert len({one.slug for one in found}) == 3
    assert [one.protocol for one in found] == ["aes-2025-02", "aes-2025-02", ""]


def test_a_row_is_the_median_of_its_setting_and_not_the_luckiest_run(runs):
    for number, joules in enumerate([30.0, 10.0, 20.0]):
        written(runs, inference(number, joules))
    written(runs, inference(9, 15.0, model="org/other"))
    index = indexed(runs)
    (board,) = rows.boards(index)
    told = [dict(zip(rows.RANKED, row, strict=True)) for row in rows.ranking(index, board)]
    assert [(one["model"], one["rank"], one["energy_j"], one["runs"]) for one in told] == [
        ("org/other", 1, 15.0, 1),
        ("org/model-7b", 2, 20.0, 3),
    ]
    assert told[1]["best"] == "10.0 J"


def test_what_was_not_verified_has_neither_rank_nor_stars(runs):
    shutil.copytree(EXAMPLE, runs / "example")
    index = indexed(runs, check=None)
    (board,) = rows.boards(index)
    (row,) = rows.ranking(index, board)
    told = dict(zip(rows.RANKED, row, strict=True))
    assert (told["rank"], told["stars"], told["checked"]) == (0, 0, "not verified")
    collection.verify_all(index, collected.check)
    # A device that does not exist has stars, marked so, and no rank.
    rating = rate(load(EXAMPLE))
    stars, doubt = rating.stars, "could be {}–{}".format(*rating.could_be)
    (row,) = rows.ranking(index, board)
    told = dict(zip(rows.RANKED, row, strict=True))
    assert (told["rank"], told["stars"], told["doubt"], told["basis"]) == (0, stars, doubt, "example")


def test_what_does_not_match_failed_or_is_invalid_is_in_no_ranking_and_estimates_have_no_rank(runs):
    written(runs, inference(1, 20.0))
    written(runs, inference(2, 2.0, model="org/forged"))
    written(runs, inference(3, 3.0, model="org/failed", outcome=Outcome(state="ended", exit_code=1)))
    written(runs, inference(4, 1.0, model="org/guessed", method="model"))

    def checking(folder, content):
        found, run = believed(folder, content)
        return (replace(found, verdict="differs"), None) if run.model == "org/forged" else (found, run)

    index = indexed(runs, check=checking)
    (board,) = rows.boards(index)
    told = [(row[1], row[0]) for row in rows.ranking(index, board)]
    assert told == [("org/model-7b", 1), ("org/guessed", 0)]


def test_names_of_rankings_are_plain_and_apart():
    def slug(task, protocol="p", unit="request"):
        return rows.Board(stage="inference", task=task, protocol=protocol, unit=unit, component="gpu").slug

    names = [slug(one) for one in (*HOSTILE, "a b", "a-b", "A-b", "", "..", "x" * 400, "x" * 401, "a_b")]
    names += [slug("a", "b_c"), slug("a_b", "c")]
    assert len(set(names)) == len(names)
    assert all(rows.is_plain(name) for name in names)
    assert slug("text-generation", "aes-2025-02") == "text-generation_aes-2025-02_request_gpu"


# ----------------------------------------------------------------------------------------------------------- the files


def test_the_same_collection_gives_the_same_bytes(runs, tmp_path):
    many(runs)
    for name in ("one", "another"):
        built(runs, tmp_path / name)
    shutil.copytree(runs, tmp_path / "elsewhere" / "runs")
    built(tmp_path / "elsewhere" / "runs", tmp_path / "third")
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    for other in ("another", "third"):
        for file in files:
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / other / file).read_bytes(), file
        assert len(list((tmp_path / other).rglob("*.*"))) == len(list((tmp_path / "one").rglob("*.*")))


def test_every_model_is_in_the_shard_that_the_browser_reckons(runs, tmp_path):
    for number, name in enumerate(HOSTILE):
        written(runs, inference(number, 20.0, model=name))
    built(runs, tmp_path / "site")
    shards = json.loads((tmp_path / "site" / "site.json").read_text())["shards"]
    index = indexed(runs)
    for name, _ in rows.models(index):
        found = data(tmp_path / "site", f"models/{words.shard_of(name, shards)}")
        assert len(dict(found["models"])[name]) == 1, name


@pytest.mark.parametrize("count", [1, 50, 3000])
def test_every_name_is_found_by_each_of_its_words_in_files_of_bounded_size(count):
    names = [(f"org-{number % 7}/llama-{number}b-chat", number + 1) for number in range(count)]
    files = dict(words.search_files(names))
    assert all(len(one["names"]) <= words.MOST_TOGETHER for one in files.values())

    def search(word):
        found, further = [], files[words.ROOT]["more"]
        for length in range(1, len(word) + 1):
            if word[length - 1] not in further:
                return set()
            file = files[words.file_name(word[:length])]
            found, further = file["names"], file["more"]
            if not further and not file["pages"]:
                break
            if length == len(word):
                for page in range(1, file["pages"] + 1):
                    found = found + files[f"{words.file_name(word)}-{page}"]["names"]
        return {name for name, _ in found}

    for name, _ in names[:: max(count // 50, 1)]:
        for word in words.words_of(name):
            assert name in search(word), (name, word)


def test_old_links_lead_somewhere_after_the_next_build(runs, tmp_path):
    site = tmp_path / "site"
    written(runs, inference(1, 20.0))
    gone = written(runs, inference(2, 20.0, task="summarization", model="org/gone"))
    built(runs, site)
    pages = {path.relative_to(site) for path in site.rglob("*.html")}
    shutil.rmtree(gone)
    written(runs, inference(3, 20.0))
    built(runs, site)
    built(runs, site)
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}
    old = (site / "boards" / "summarization_aes-2025-02_request_gpu.html").read_text()
    assert "Nothing is ranked here any more" in old
    assert "org/gone" in (site / "changes.html").read_text()


def test_every_link_of_the_site_leads_to_a_file_of_it(runs, tmp_path):
    many(runs)
    site = tmp_path / "site"
    built(runs, site)

    class _Links(HTMLParser):
        found: list[str] = []

        def handle_starttag(self, tag, attributes):
            self.found += [value for name, value in attributes if name in ("href", "src") and value]

    for page in site.rglob("*.html"):
        parser = _Links()
        parser.found = []
        parser.feed(page.read_text())
        for link in parser.found:
            if link.startswith(("#", "data:")):
                continue
            assert not re.match("[a-z]+:|//", link), link
            assert (page.parent / re.split("[?#]", link)[0]).is_file(), f"{page}: {link}"


def test_what_cannot_be_read_is_named_and_the_rest_is_built(runs, tmp_path, run_cli):
    shutil.copytree(EXAMPLE, runs / "example")
    (runs / "torn").mkdir()
    (runs / "torn" / "record.json").write_text("{")
    forged = runs / "forged"
    shutil.copytree(EXAMPLE, forged)
    record = json.loads((forged / "record.json").read_text())
    record |= {"run_id": "another", "role": "final"}
    record["schema"] = "energy-rating/record/2"
    (forged / "record.json").write_text(json.dumps(record))
    site = tmp_path / "site"
    code, _, err = run_cli("leaderboard", runs, "-o", site)
    assert (code, "torn" in err, "forged" in err) == (0, True, True)
    page = (site / "index.html").read_text()
    assert "torn" in page
    assert "forged" in page
    assert "boards/text-generation_aes-2025-02_request_gpu.html" in page
    assert run_cli("leaderboard", runs, "-o", site, "--strict")[0] == 1


# -------------------------------------------------------------------------------------------------- whole or not at all


def test_what_is_no_site_is_not_replaced(runs, tmp_path):
    written(runs, inference(1, 20.0))
    for name in ("thesis", "fake"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "chapter-1.md").write_text("much work")
        if name == "fake":
            (folder / "site.json").write_text('{"schema": "another"}')
        with pytest.raises(BadInput, match="is not replaced"):
            built(runs, folder)
        assert (folder / "chapter-1.md").read_text() == "much work"


def test_names_in_an_older_site_are_not_believed(runs, tmp_path):
    written(runs, inference(1, 20.0))
    site = tmp_path / "site"
    built(runs, site)
    mark = json.loads((site / "site.json").read_text())
    mark["boards"] += ["../../evil", "/etc/x", 7, None, "<b>", "x" * 9999, "a_b"]
    (site / "site.json").write_text(json.dumps(mark))
    built(runs, site)
    assert (site / "boards" / "a_b.html").is_file()
    assert not list(tmp_path.rglob("evil*"))


LEADERBOARD = [sys.executable, "-m", "energy_rating", "leaderboard", "--no-verify"]


def test_two_builders_and_a_killed_one_leave_a_whole_site(runs, tmp_path):
    many(runs, 40)
    site = tmp_path / "site"
    both = [
        subprocess.Popen(
            [*LEADERBOARD, str(runs), "-o", str(site)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for one in both:
        assert one.communicate(timeout=100)[1] == b""
        assert one.returncode == 0
    before = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    many(runs, 80)
    going = subprocess.Popen([*LEADERBOARD, str(runs), "-o", str(site)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".site.building-*/data")) and time.monotonic() < until:
        time.sleep(0.005)
    going.kill()
    going.wait()
    after = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert after == before
    built(runs, site)
    assert not list(tmp_path.glob(".site.building-*"))


def test_a_full_disk_is_said_and_the_old_site_stays(runs, tmp_path):
    many(runs, 40)
    site = tmp_path / "site"
    built(runs, site)
    before = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = subprocess.run(
        [sys.executable, "-c", BUILDING, str(runs), str(site)],
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        timeout=100,
    )
    assert "NoRoom" in done.stdout, done.stderr
    assert {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.glob(".site.building-*"))


BUILDING = """
import sys
from pathlib import Path
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.publishing.leaderboard.site import build
from energy_rating.storage.collection import collection
try:
    build(collection([Path(sys.argv[1])]), Path(sys.argv[2]))
except EnergyRatingError as error:
    print(type(error).__name__)
"""


# ---------------------------------------------------------------------------------------------------------- in a browser

in_a_browser = pytest.mark.xdist_group("browser")


@pytest.fixture
def served(tmp_path):
    """The site as a server of files hands it out."""

    class _Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(_Quiet, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def opened(page, where) -> None:
    page.open(where)
    ready(page)


def ready(page) -> None:
    page.run(
        "new Promise(done => { const look = () => document.body?.dataset.ready ? done(1) : setTimeout(look, 20); look(); })"
    )


def column(page, number: int) -> list[str]:
    return page.run(
        f"[...document.querySelectorAll('#table tbody tr')].map(row => row.cells[{number}].innerText.trim())"
    )


def quiet(page) -> None:
    assert page.errors == []
    assert page.dialogs == []
    assert page.asked_elsewhere() == []


@in_a_browser
@pytest.mark.parametrize("how", ["served", "from a disk"])
def test_a_ranking_sorts_filters_and_leads_to_a_model(page, runs, tmp_path, served, how):
    many(runs)
    site = tmp_path / "site"
    built(runs, site)
    name = "boards/text-generation_aes-2025-02_request_gpu.html"
    opened(page, f"{served}/{name}" if how == "served" else site / name)
    ranks = column(page, 0)
    assert ranks == [str(number) for number in range(1, len(ranks) + 1)]
    assert len(ranks) > 15
    page.run(
        "[...document.querySelectorAll('th button')].find(one => one.innerText.startsWith('Model')).click()"
    )
    assert column(page, 1) == sorted(column(page, 1))
    page.run(
        "[...document.querySelectorAll('th button')].find(one => one.innerText.startsWith('Model')).click()"
    )
    assert column(page, 1) == sorted(column(page, 1), reverse=True)
    page.run(
        "(() => { const one = document.querySelector('select[name=hardware]'); one.value = one.options[1].value; one.dispatchEvent(new Event('change')); })()"
    )
    assert len(set(column(page, 5))) == 1
    assert 0 < len(column(page, 0)) < len(ranks)
    assert page.run("document.querySelectorAll('#charts svg').length") == 3
    assert "Pareto front" in page.run("document.getElementById('charts').innerText")
    link = page.run("document.querySelector('#table tbody a').href")
    model = page.run("document.querySelector('#table tbody a').innerText")
    opened(page, link)
    assert page.run("document.querySelector('h1').innerText") == model
    assert "Best of" in page.run("document.getElementById('runs').innerText")
    quiet(page)


@in_a_browser
def test_all_is_done_with_the_keyboard_alone(page, runs, tmp_path):
    many(runs)
    site = tmp_path / "site"
    built(runs, site)
    opened(page, site / "boards/text-generation_aes-2025-02_request_gpu.html")
    page.press("Tab")
    assert page.focused() == "To the content"
    page.press("Enter")
    seen = []
    for _ in range(40):
        page.press("Tab")
        seen.append(page.focused())
        if seen[-1].startswith("Model"):
            break
    assert seen[-1] == "Model"
    page.press("Enter")
    assert column(page, 1) == sorted(column(page, 1))
    assert page.focused() == "Model"
    assert page.run("document.activeElement.parentElement.getAttribute('aria-sort')") == "ascending"
    page.run("document.getElementById('asked').focus()")
    page.press(*"model", "Space", *"3b", "Enter")
    for _ in range(100):
        page.run("new Promise(done => setTimeout(done, 50))")
        if page.run("location.pathname").endswith("search.html"):
            break
    ready(page)
    assert page.run("document.querySelector('#found a').innerText") == "org-0/model-3b"
    page.run("document.querySelector('#found a').focus()")
    page.press("Enter")
    for _ in range(100):
        page.run("new Promise(done => setTimeout(done, 50))")
        if page.run("location.pathname").endswith("model.html"):
            break
    ready(page)
    assert page.run("document.querySelector('h1').innerText") == "org-0/model-3b"
    quiet(page)


@in_a_browser
def test_names_of_strangers_are_text_and_nothing_else(page, runs, tmp_path):
    for number, name in enumerate(HOSTILE):
        record = inference(number, 20.0, model=name, task=HOSTILE[0] if number % 2 else "text-generation")
        written(
            runs,
            replace(
                record,
                load=Load(settings={"engine": HOSTILE[1]}),
                quality=(Quality(metric=HOSTILE[4], value=0.1 * number, source="x"),),
            ),
        )
    site = tmp_path / "site"
    built(runs, site, title=HOSTILE[8])
    for path in sorted(site.rglob("*.html")):
        opened(page, path)
        assert page.run("document.querySelectorAll('img, iframe, object, script:not([src])').length") == 0, (
            path
        )
    for name, _ in rows.models(indexed(runs)):
        page.run("1")
        opened(
            page, f"{(site / 'model.html').as_uri()}?m={page.run(f'encodeURIComponent({json.dumps(name)})')}"
        )
        assert page.run("document.querySelector('h1').textContent") == name
        assert page.run("document.querySelectorAll('#runs tbody tr').length") == 1, name
    for asked in ("__proto__", "日本", "script", "etc passwd", "(((", "%00"):
        opened(
            page,
            f"{(site / 'search.html').as_uri()}?q={page.run(f'encodeURIComponent({json.dumps(asked)})')}",
        )
    opened(page, f"{(site / 'search.html').as_uri()}?q=%E6%97%A5")
    assert page.run("document.querySelectorAll('#found a').length") == 1
    opened(page, f"{(site / 'model.html').as_uri()}?m=hasOwnProperty#run-%22%3E")
    assert "No run of this model" in page.run("document.body.innerText")
    quiet(page)


@in_a_browser
def test_nothing_is_found_that_keeps_a_reader_out(page, runs, tmp_path):
    many(runs)
    site = tmp_path / "site"
    built(runs, site)
    where = ["index.html", "about.html", "changes.html", "published.html", "search.html?q=model"]
    where += ["model.html?m=org-0/model-3b", "boards/text-generation_aes-2025-02_request_gpu.html"]
    for scheme in ("light", "dark"):
        page.prefers(scheme=scheme)
        for name in where:
            opened(page, f"{site.as_uri()}/{name}")
            # What the checker puts in is barred by the page's own policy.
            page.ask("Page.setBypassCSP", enabled=True)
            opened(page, f"{site.as_uri()}/{name}")
            assert page.violations() == [], name
            page.ask("Page.setBypassCSP", enabled=False)


@in_a_browser
def test_without_a_script_the_rankings_are_there(page, runs, tmp_path):
    many(runs)
    site = tmp_path / "site"
    built(runs, site)
    page.without_script()
    page.open(site / "boards/text-generation_aes-2025-02_request_gpu.html")
    assert len(column(page, 0)) > 15
    assert "All rows are in the CSV" in page.run("document.body.innerText")


@in_a_browser
def test_what_others_published_stands_apart(page, runs, tmp_path):
    measured(runs / "one")
    site = tmp_path / "site"
    built(runs, site)
    opened(page, site / "published.html")
    assert "not verified here" in page.run("document.querySelector('.warn').innerText")
    assert "★" not in page.run("document.getElementById('table').innerText")
    assert "2,085 rows" in page.run("document.getElementById('count').innerText") or os.environ.get("TABLES")
    quiet(page)


@in_a_browser
def test_browser_and_builder_reckon_the_same_names(page, runs, tmp_path):
    written(runs, inference(1, 20.0))
    site = tmp_path / "site"
    built(runs, site)
    opened(page, site / "search.html")
    script = (site / "site.js").read_text()
    inner = "(() => { const body = {dataset: {shards: '4096'}};" + "".join(
        found[0]
        for found in re.findall(
            r"((?:  function fnv1a\(.*?\n  }\n)|(?:  const (?:shardOf|wordsOf|fileName) = .*?\n))",
            script,
            re.S,
        )
        for found in [[found]]
    )
    for name in (*HOSTILE, "meta-llama/Llama-3.1-8B_Instruct", "Ünïcode/Größe-7B", "a" * 300):
        asked = json.dumps(name)
        told = page.run(
            f"{inner} return [shardOf({asked}), wordsOf({asked}), fileName(wordsOf({asked})[0])]; }})()"
        )
        expected = words.words_of(name)
        assert told == [words.shard_of(name, 4096), expected, words.file_name(expected[0])]
