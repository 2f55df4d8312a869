"""A card on a hub of models: what would be sent, and the sending of it. Alone here a publisher talks to a network, and only when asked to.

What is on the hub is read at one commit, changed here, and sent on top of that very commit: whoever was faster is never overwritten.
Then it is read back and compared. The token is the library's own affair: it takes it from its store, and nothing here hands it on, so
it is in no option, no record and no message.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_rating.files.opening import read_beginning
from energy_rating.files.withheld import without_secrets
from energy_rating.nouns.errors import BadInput, EnergyRatingError, HubChanged, HubFailed
from energy_rating.publishing.strangers import for_plain_text

CARD = "README.md"
EXTRA = "Run: pip install 'energy-rating[hub]'"

# As the Hub names a model: its owner and its name (huggingface_hub 2.4, utils/_validators.py: 96 characters each).
_REPOSITORY = re.compile(
    r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9])?/[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9])?", re.ASCII
)
_FILE = re.compile(r"(?!\.{1,2}$)[\w.+-]{1,120}", re.ASCII)
LARGEST_SENT = (
    16 << 20
)  # bytes of one file, which is a card's bound too: pictures and sections have some kilobytes
MOST_SAID = 400  # characters of what a hub says


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOnHub:
    """What a model's repository holds of some files, all read at one commit; None: it has no such file."""

    repository: str
    address: str
    commit: str
    files: Mapping[str, bytes | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What would be sent, on top of what: ``files`` are those that differ from what is there, and no others.

    ``invalid_before`` is what the hub has against the card as it stands, ``invalid_after`` against the one that would be sent.
    """

    held: HeldOnHub
    files: Mapping[str, bytes]
    invalid_before: str | None
    invalid_after: str | None
    warned: str | None

    @property
    def lost_lines(self) -> int:
        """How many lines of the card on the hub would no longer be there."""
        before, after = (_lines(content) for content in (self.held.files.get(CARD), self.files.get(CARD)))
        if after == []:
            return 0
        # Counted, not matched: difflib.ndiff looks for likenesses within lines, and takes minutes of a card with some hundred new ones.
        return (Counter(before) - Counter(after)).total()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """Where what was sent is to be seen. ``pull_request``: it is a proposal."""

    address: str
    commit: str
    pull_request: bool
    files: tuple[str, ...]


def held_on_hub(repository: str, files: Mapping[str, object] | tuple[str, ...] = (CARD,)) -> HeldOnHub:
    """What the repository of a model holds of these files today.

    Raises:
        BadInput: no model can be called so, or no file.
        HubFailed: there is no such model, or the hub cannot be asked.
    """
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        named = for_plain_text(without_secrets(repository), 120)
        raise BadInput(f"must be ORG/NAME; got {named!r}", place="--push")
    for name in files:
        if not _FILE.fullmatch(name):
            raise BadInput(
                f"{for_plain_text(without_secrets(name), 120)!r} cannot be the name of a file on the hub",
                "Use letters, digits, points and lines only",
            )
    with _told_in_one_line(repository) as api:
        commit = api.model_info(repository, timeout=HUB_SILENCE_S).sha
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            raise HubFailed(f"the hub does not say at which commit {repository} is", "Try again later")
        held = {name: _content(api, repository, name, commit) for name in files}
        return HeldOnHub(repository=repository, address=str(api.endpoint), commit=commit, files=held)


def offer(held: HeldOnHub, files: Mapping[str, bytes]) -> Offer:
    """What would be sent of these files. The hub is asked whether it would take the card, before and after.

    Raises:
        HubFailed: the hub cannot be asked.
        BadInput: a file is too large, or the card is not UTF-8.
    """
    for name, content in files.items():
        if len(content) > LARGEST_SENT:
            raise BadInput(f"is larger than {LARGEST_SENT >> 20} MiB", "Leave it out", place=name)
    changed = {name: content for name, content in files.items() if content != held.files.get(name)}
    before, after, warned = None, None, None
    if CARD in changed:
        with _told_in_one_line(held.repository) as api:
            there = held.files.get(CARD)
            if there is not None:
                before, _ = _objections(api, there)
            after, warned = _objections(api, changed[CARD])
    return Offer(held=held, files=changed, invalid_before=before, invalid_after=after, warned=warned)


def send(what: Offer, *, create_pr: bool, message: str = "Energy rating") -> Sent:
    """Sends it as one commit on top of the one that was read, or proposes it, and reads it back.

    Raises:
        HubChanged: somebody else has changed the repository meanwhile; nothing was sent.
        HubFailed: the hub would not take it, or holds something else afterwards.
    """
    repository, commit = what.held.repository, what.held.commit
    if what.invalid_after is not None:
        raise HubFailed(*_refusal(what))
    with _told_in_one_line(repository, sending=True) as api:
        from huggingface_hub import CommitOperationAdd

        if api.token is None and not _has_token():
            raise HubFailed("there is no token to send with", "Run: hf auth login")
        done = api.create_commit(
            repository,
            [
                CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
                for name, content in what.files.items()
            ],
            commit_message=message,
            parent_commit=commit,
            create_pr=create_pr,
        )
    address = done.pr_url if create_pr else done.commit_url
    revision = done.pr_revision if create_pr else done.oid
    try:
        with _told_in_one_line(repository) as api:
            back = {name: _content(api, repository, name, revision) for name in what.files}
    except HubFailed as error:
        raise HubFailed(
            f"it was sent ({for_plain_text(str(address))}), and could not be read back: {error.message}",
            "Look there whether it is whole",
        ) from None
    wrong = [name for name, content in what.files.items() if back[name] != content]
    if wrong:
        raise HubFailed(
            f"what {repository} holds of {', '.join(wrong)} now is not what was sent",
            f"Look at {for_plain_text(str(address))}",
        )
    return Sent(address=str(address), commit=str(done.oid), pull_request=create_pr, files=tuple(what.files))


def shown(what: Offer) -> Iterator[str]:
    """What would change of the card, as a diff; and of all files how large they are. Lines, not cleaned."""
    repository, commit = what.held.repository, what.held.commit[:7]
    if CARD in what.files:
        there = what.held.files.get(CARD)
        yield from difflib.unified_diff(
            _lines(there),
            _lines(what.files[CARD]),
            f"{repository}/{CARD} ({commit})" if there is not None else "/dev/null",
            f"{repository}/{CARD} (as it would be)",
            lineterm="",
        )
        yield ""
    yield f"Would be sent to {repository} at {what.held.address}, on top of commit {commit}:"
    for name, content in what.files.items():
        there = what.held.files.get(name)
        was = "new" if there is None else f"{len(there):,} bytes now"
        yield f"  {name}  {len(content):,} bytes ({was})"
    if CARD in what.files:
        yield validity(what)


def validity(what: Offer) -> str:
    """Whether the hub would take the card, and whether it had anything against it before."""
    if what.invalid_after is None:
        was = (
            "The card was already invalid before our edit, and is valid with it"
            if what.invalid_before is not None
            else "The hub finds the card valid"
        )
        return f"{was}; it warns: {what.warned}" if what.warned else f"{was}."
    message, remedy = _refusal(what)
    return f"{message}. {remedy}"


def _refusal(what: Offer) -> tuple[str, str]:
    if what.invalid_before is not None:
        same = "" if what.invalid_before == what.invalid_after else f"; before: {what.invalid_before}"
        return (
            f"the card was already invalid before our edit, and the hub takes no invalid card: {what.invalid_after}{same}",
            "Mend its metadata first",
        )
    return f"the hub would not take the card: {what.invalid_after}", "Nothing is sent. Please report it"


# ------------------------------------------------------------------------------------------------------------ the library

# A hub answers at once, or not at all: it only hands out files.
HUB_SILENCE_S = 30.0


def limit_silence_of_hubs(silence_s: float = HUB_SILENCE_S) -> None:
    """Has the hub's library give up on a hub that says nothing for ``silence_s``; by itself it waits for ever.

    Its requests name no time, or None, which overrides what its client was made with (huggingface_hub 2.4.0, ``utils/_http.py`` and
    ``hf_api.py``): so the times are put into each request before it is sent. Does nothing where the library is missing.
    """
    try:
        from huggingface_hub import set_client_factory
        from huggingface_hub.utils._http import default_client_factory
    except ImportError:  # whoever needs it says so
        return

    def in_time(request: Any) -> None:
        named = request.extensions.get("timeout", {})
        times = {name: named.get(name) or silence_s for name in ("connect", "read", "write", "pool")}
        request.extensions = {**request.extensions, "timeout": times}

    def client() -> Any:
        made = default_client_factory()
        hooks = made.event_hooks
        made.event_hooks = {**hooks, "request": [*hooks.get("request", []), in_time]}
        return made

    set_client_factory(client)


@contextlib.contextmanager
def _told_in_one_line(repository: str, *, sending: bool = False) -> Iterator[Any]:
    """The library's client; whatever it raises is told in one line, without a trace that could hold what it sends.

    Raises:
        HubFailed: it cannot be asked, or refuses.
    """
    try:
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise EnergyRatingError("talking to the hub needs huggingface_hub", EXTRA) from None
    limit_silence_of_hubs()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the hub warns of is told with the card's validity
            yield huggingface_hub.HfApi()
    except EnergyRatingError:
        raise
    except Exception as error:
        # Not only the library's own: what stands below it (connections, JSON, files) has many kinds of its own.
        raise _failure(error, repository, sending=sending) from None


def _failure(error: Exception, repository: str, *, sending: bool) -> HubFailed:
    # That a file is not in the cache either is what the library says of a hub that failed.
    while type(error).__name__ == "LocalEntryNotFoundError" and isinstance(error.__cause__, Exception):
        error = error.__cause__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    told = _said(error)
    nothing = "; whether it was taken is not known" if sending else ""
    look = f"Look at {repository} before you try again" if sending else "Try again later"
    if "OfflineModeIsEnabled" in kinds:
        return HubFailed("HF_HUB_OFFLINE is set, so the hub is not asked", "Unset it")
    if sending and status in (409, 412):
        return HubChanged(
            f"{repository} was changed by somebody else meanwhile, and nothing was sent",
            "Run it again and look at the new difference",
        )
    if "GatedRepoError" in kinds:
        return HubFailed(f"{repository} is gated, and may not be read", "Ask its owner for access")
    if status in (401, 403) and (sending or status == 403):
        return HubFailed(
            f"{repository} may not be written to with this token" + (f": {told}" if told else ""),
            "Propose it with --create-pr, or log in as its owner: hf auth login",
        )
    if "RepositoryNotFoundError" in kinds or (status in (401, 404) and not sending):
        return HubFailed(
            f"there is no model {repository}, or it is private and the token may not see it",
            "Check the name, or run: hf auth login",
        )
    if isinstance(status, int):
        why = f": {told}" if told else ""
        if status >= 500:
            return HubFailed(f"the hub answers with status {status}{why}{nothing}", look)
        return HubFailed(f"the hub refuses it with status {status}{why}", "See what it says")
    if any("Timeout" in kind for kind in kinds):
        return HubFailed(f"the hub said nothing for {HUB_SILENCE_S:g} s{nothing}", look)
    if kinds & {"HTTPError", "ConnectionError", "TransportError", "LocalEntryNotFoundError"}:
        return HubFailed(f"the hub cannot be reached or broke off ({type(error).__name__}){nothing}", look)
    return HubFailed(f"{type(error).__name__}: {told or 'no more is known'}{nothing}", look)


def _said(error: Exception) -> str:
    """What the hub says itself, in one line and without anything that could be a secret."""
    message = getattr(error, "server_message", None) or ("" if hasattr(error, "response") else str(error))
    token = _token()
    text = str(message).replace(token, "…") if token else str(message)
    return for_plain_text(without_secrets(text), MOST_SAID).rstrip(".")


def _token() -> str | None:
    """What is to be in no message. It is handed to nobody."""
    from huggingface_hub import get_token

    token: str | None = get_token()
    return token or None


def _has_token() -> bool:
    return _token() is not None


def _content(api: Any, repository: str, name: str, revision: str) -> bytes | None:
    """One file at a commit, past any cache; None where there is none."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with tempfile.TemporaryDirectory(prefix="energy-rating-") as folder:
        try:
            path = api.hf_hub_download(
                repository, name, revision=revision, local_dir=folder, etag_timeout=HUB_SILENCE_S
            )
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None
        content = read_beginning(Path(path), LARGEST_SENT + 1)
    if len(content) > LARGEST_SENT:
        raise HubFailed(f"{name} of {repository} is larger than {LARGEST_SENT >> 20} MiB", "Leave it out")
    return content


def _objections(api: Any, content: bytes) -> tuple[str | None, str | None]:
    """What the hub has against a card, and what it warns of. Asked as the library asks it before it sends a card (2.4, hf_api.py)."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8", None
    answer = get_session().post(
        f"{api.endpoint}/api/validate-yaml", json={"content": text, "repoType": "model"}, headers={}
    )
    try:
        told = answer.json()
    except ValueError:
        told = {}
    errors, warned = (_messages(told, key) for key in ("errors", "warnings"))
    if answer.status_code == 400 or (answer.status_code < 400 and errors):
        return errors or for_plain_text(answer.text, MOST_SAID) or "it does not say why", warned
    hf_raise_for_status(answer)
    return None, warned


def _messages(told: object, key: str) -> str | None:
    entries = told.get(key) if isinstance(told, dict) else None
    if not isinstance(entries, list):
        return None
    texts = [
        str(one.get("message") if isinstance(one, dict) else one) for one in entries[:10] if one is not None
    ]
    return for_plain_text("; ".join(texts), MOST_SAID) or None


def _lines(content: bytes | None) -> list[str]:
    """The lines of a text as they are shown: what ends them otherwise than ``\\n`` is seen."""
    if content is None:
        return []
    return [
        line.replace("\r", "\\r") for line in content.decode(errors="replace").removesuffix("\n").split("\n")
    ]


def edited(held: HeldOnHub, edit: Callable[[bytes], bytes]) -> bytes:
    """The hub's card with an edit; where there is none, of an empty one.

    Raises:
        BadInput: as the edit; the place says that it is the hub's card.
    """
    try:
        return edit(held.files.get(CARD) or b"")
    except BadInput as error:
        raise BadInput(
            error.message, error.remedy, place=f"{held.repository}/{CARD}: {error.place}".removesuffix(": ")
        ) from error
