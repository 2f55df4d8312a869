"""A card on a hub is changed only where that was asked for, on top of what was read, and what it was sent is what it holds."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path

import hub_server
import pytest
from click.testing import CliRunner
from test_card import TRAINING, record

from energy_rating.cli import cli
from energy_rating.files.record import record_to_json
from energy_rating.nouns.errors import BadInput, HubChanged, HubFailed
from energy_rating.publishing import hub as hubs
from energy_rating.publishing.card import remove_card, update_card

pytest.importorskip("huggingface_hub")

MODEL = "org/name"
CARD = b"---\nlanguage: no\r\n# kept\nlicense: mit\n---\n# A model\n\ntext\n"
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The stand-in, which the library in this process talks to as this user."""
    with hub_server.running() as running:
        running.holds(MODEL, {"README.md": CARD, "model.bin": b"weights"})
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "token").write_text(TOKEN)
        constants = importlib.import_module("huggingface_hub.constants")
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(record_to_json(record()))
    return path


def energy_rating(*arguments):
    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    told = done.output + (f"error: {done.exception}" if done.exception else "")
    assert TOKEN not in told
    assert TOKEN not in repr(done.exc_info)
    return done, told


def sent(hub):
    return [(one, path) for one, path, _ in hub.asked if "/commit/" in path]


def test_what_would_be_sent_is_shown_and_nothing_is_sent(hub, run):
    done, told = energy_rating("card", "--push", MODEL, run)
    assert done.exit_code == 0, told
    assert "+<!-- energy-rating:start -->" in told
    assert "--- org/name/README.md (aaaaaaa)" in told
    assert "\n # A model\n" in told
    assert not [line for line in told.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert "on top of commit aaaaaaa" in told
    assert f"({len(CARD)} bytes now)" in told
    assert "The hub finds the card valid." in told
    assert "Nothing was sent. To send it, add --yes" in told
    assert not hub.commits
    assert not sent(hub)
    assert [method for method, path, _ in hub.asked if method == "POST" and "validate-yaml" not in path] == []


def test_the_hubs_own_card_is_changed_and_every_other_byte_of_it_stays(hub, run):
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 0, told
    assert f"Sent, read back and the same: README.md: {hub.address}/{MODEL}/commit/" in told
    ((message, files),) = hub.commits
    assert message == "Energy rating"
    assert set(files) == {"README.md"}
    assert remove_card(files["README.md"]) == CARD
    assert hub.now(MODEL)["model.bin"] == b"weights"
    # Each is the library's own request, with the token from its own store.
    assert {who for _, path, who in hub.asked if "/commit/" in path} == {f"Bearer {TOKEN}"}
    # What is there already is not sent again.
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert "Unchanged" in told
    assert len(hub.commits) == 1
    done, told = energy_rating("card", "--push", MODEL, "--remove", "--yes")
    assert hub.now(MODEL)["README.md"] == CARD


def test_a_model_without_a_card_gets_one(hub, run):
    hub.holds(MODEL, {})
    _, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert "--- /dev/null" in told
    assert hub.now(MODEL)["README.md"].startswith(b"<!-- energy-rating:start -->")


def test_only_the_files_that_are_named_are_sent(hub, run, tmp_path):
    (tmp_path / "label.png").write_bytes(b"\x89PNG picture")
    (tmp_path / "secret.txt").write_text("not for others")
    done, told = energy_rating("card", "--push", MODEL, run, "--label", "label.png", "--yes")
    assert done.exit_code == 1
    assert "the card would show label.png, which org/name does not hold" in told
    assert not hub.commits
    asked = ("--label", "label.png", "--with", tmp_path / "label.png")
    _, told = energy_rating("card", "--push", MODEL, run, *asked)
    assert "  label.png  12 bytes (new)" in told
    energy_rating("card", "--push", MODEL, run, *asked, "--yes")
    ((_, files),) = hub.commits
    assert {name: len(content) > 0 for name, content in files.items()} == {
        "README.md": True,
        "label.png": True,
    }
    assert files["label.png"] == b"\x89PNG picture"
    # The picture is there now, and need not be named again.
    done, told = energy_rating("card", "--push", MODEL, run, "--label", "label.png", "--yes")
    assert "Unchanged" in told


def test_of_a_card_that_is_named_what_the_hub_would_lose_is_said(hub, run, tmp_path):
    mine = tmp_path / "README.md"
    mine.write_text("# Another text\n")
    done, told = energy_rating("card", mine, run, "--push", MODEL)
    assert done.exit_code == 0, told
    assert "lines of the card on the Hub are not in" in told
    assert "-language: no\\r" in told
    energy_rating("card", mine, "--push", MODEL, "--yes")
    assert hub.now(MODEL)["README.md"] == mine.read_bytes()
    assert remove_card(mine.read_text()) == "# Another text\n"


def test_lines_that_are_lost_are_counted_each_once_and_in_no_time_that_grows_with_their_square():
    before = [f"| row {line} | {line * 7919 % 10007} | some value |" for line in range(5000)]
    after = [f"| row {line} | {line * 7907 % 10007} | some value |" for line in range(5000)]
    same = ["kept", "moved", "twice", "twice"]
    held = hubs.HeldOnHub(
        repository=MODEL,
        address="http://hub",
        commit="a" * 40,
        files={"README.md": "\n".join([*same, *before[1:]]).encode()},
    )
    files = {"README.md": "\n".join(["moved", "kept", "twice", *after[1:]]).encode()}
    what = hubs.Offer(held=held, files=files, invalid_before=None, invalid_after=None, warned=None)
    assert what.lost_lines == len(before[1:]) + 1
    assert len([line for line in hubs.shown(what) if line.startswith("-| row")]) == len(before[1:])


def test_a_change_is_proposed_where_one_is_not_the_owner(hub, run):
    hub.refused = {f"Bearer {TOKEN}"}
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 1
    assert "org/name may not be written to with this token" in told
    assert "--create-pr" in told
    hub.refused = set()
    done, told = energy_rating("card", "--push", MODEL, run, "--yes", "--create-pr")
    assert done.exit_code == 0, told
    assert f"Proposed, read back and the same: README.md: {hub.address}/{MODEL}/discussions/1" in told
    assert hub.now(MODEL)["README.md"] == CARD
    assert remove_card(hub.trees["refs/pr/1"]["README.md"]) == CARD


def test_whoever_was_faster_is_not_overwritten(hub, run):
    def somebody_else(request):
        hub.troubles.clear()
        hub.holds(MODEL, {"README.md": b"# Changed by somebody else\n"}, "b" * 40)
        return False

    hub.troubles["/preupload/"] = somebody_else
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 1
    assert "was changed by somebody else meanwhile, and nothing was sent" in told
    assert isinstance(done.exception, HubChanged)
    assert hub.now(MODEL) == {"README.md": b"# Changed by somebody else\n"}
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert remove_card(hub.now(MODEL)["README.md"]) == b"# Changed by somebody else\n"


@pytest.mark.parametrize("mended", [False, True])
def test_a_card_that_was_invalid_before_says_so(hub, run, mended):
    """The Hub's rules have grown narrower: cards of some years ago refuse every commit, whoever makes it."""

    def objects(content):
        wrong = "language: no" in content and not (mended and "energy-rating:start" in content)
        return ['"language" must be one of the codes of ISO 639'] if wrong else []

    hub.objects = objects
    done, told = energy_rating("card", "--push", MODEL, run)
    assert done.exit_code == 0
    assert "already invalid before our edit" in told
    assert ("must be one of the codes" in told) is not mended
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert (done.exit_code, len(hub.commits)) == ((0, 1) if mended else (1, 0))


def test_a_card_that_our_edit_would_make_invalid_is_not_sent(hub, run):
    hub.objects = lambda content: ["no sections here"] if "energy-rating" in content else []
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 1
    assert "the hub would not take the card: no sections here" in told
    assert not sent(hub)


def test_what_is_read_back_is_compared(hub, run):
    hub.hands_out = lambda name, content: content.replace(b"GPU", b"CPU") if hub.commits else content
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 1
    assert "what org/name holds of README.md now is not what was sent" in told


@pytest.mark.parametrize(
    ("where", "trouble", "said"),
    [
        ("GET /api/models/", hub_server.says(404), "there is no model org/name"),
        ("GET /api/models/", hub_server.says(401), "there is no model org/name"),
        ("GET /api/models/", hub_server.says(500, "out of order"), "answers with status 500: out of order"),
        ("GET /api/models/", hub_server.breaks_off, "cannot be reached or broke off"),
        ("HEAD /org/name/resolve", hub_server.says(503), "status 503"),
        ("validate-yaml", hub_server.says(502), "status 502"),
        ("validate-yaml", hub_server.breaks_off, "cannot be reached or broke off"),
        ("/commit/", hub_server.says(500), "whether it was taken is not known"),
        ("/commit/", hub_server.breaks_off, "whether it was taken is not known"),
        ("/commit/", hub_server.says(400, f"bad header Bearer {TOKEN}"), "status 400: bad header"),
        ("/preupload/", hub_server.says(429, "slow down"), "status 429"),
    ],
)
def test_a_hub_that_fails_is_told_of_in_one_line(hub, run, monkeypatch, where, trouble, said):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library waits before it asks again
    hub.troubles[where] = trouble
    done, _ = energy_rating("card", "--push", MODEL, run, "--yes")
    assert isinstance(done.exception, HubFailed)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert done.exception.__cause__ is None
    assert done.exception.__suppress_context__
    assert hub.now(MODEL)["README.md"] == CARD


def test_a_hub_that_says_nothing_is_given_up(hub, run, monkeypatch):
    monkeypatch.setattr(hubs, "HUB_SILENCE_S", 0.5)
    hub.troubles["GET /api/models/"] = hub_server.waits(3)
    done, told = energy_rating("card", "--push", MODEL, run)
    assert "said nothing for 0.5 s" in told
    hub.troubles = {"": hub_server.waits(0.05)}  # slow, and whole
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert done.exit_code == 0, told


def test_without_a_token_it_is_shown_and_not_sent(hub, run, tmp_path):
    (tmp_path / "home" / "token").unlink()
    done, told = energy_rating("card", "--push", MODEL, run)
    assert done.exit_code == 0, told
    assert {who for _, _, who in hub.asked} == {None}
    done, told = energy_rating("card", "--push", MODEL, run, "--yes")
    assert "there is no token to send with. Run: hf auth login" in told


@pytest.mark.parametrize(
    "name", ["name", "a/b/c", "../x", "org/..", "org/na me", "https://hub/org/name", "o/n\n"]
)
def test_a_name_that_no_model_can_have_asks_nobody(hub, name):
    with pytest.raises(BadInput, match="must be ORG/NAME"):
        hubs.held_on_hub(name)
    assert not hub.asked


def test_options_of_a_push_go_with_one(run, tmp_path):
    for option in (["--yes"], ["--create-pr"], ["--with", str(run)]):
        done = CliRunner().invoke(cli, ["card", str(tmp_path / "README.md"), str(run), *option])
        assert done.exit_code == 2
        assert "goes with --push" in done.output


def test_without_the_library_one_line_says_which_extra_it_needs(tmp_path, run):
    blocked = "import sys; sys.modules['huggingface_hub'] = None\n"
    program = f"{blocked}from energy_rating.cli import main\nmain(['card', '--push', 'a/b', {str(run)!r}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("Run: pip install 'energy-rating[hub]'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_readme_on_github_keeps_its_first_line(tmp_path):
    """GitHub shows metadata as a table before the first word."""
    readme, run = tmp_path / "README.md", tmp_path / "record.json"
    readme.write_text("# Mine\n")
    run.write_text(record_to_json(TRAINING))
    done, told = energy_rating("card", readme, run, "--zone", "FRA", "--section-only")
    assert done.exit_code == 0, told
    assert readme.read_text().startswith("# Mine\n")
    assert "Emissions of the training" in readme.read_text()
    energy_rating("card", readme, run, "--zone", "FRA", "--section-only")
    assert remove_card(readme.read_text()) == "# Mine\n"


def test_a_section_is_put_back_with_one_call(tmp_path):
    old, new = tmp_path / "old.md", tmp_path / "README.md"
    old.write_text(update_card("# Mine\n", [TRAINING], emissions_g=1.5))
    new.write_text("---\nlicense: mit\n---\n# Anew\n")
    done, told = energy_rating("card", new, "--from", old)
    assert done.exit_code == 0, told
    assert new.read_text() == update_card("---\nlicense: mit\n---\n# Anew\n", [TRAINING], emissions_g=1.5)
    done, told = energy_rating("card", new, "--from", Path(__file__))
    assert done.exit_code == 1
