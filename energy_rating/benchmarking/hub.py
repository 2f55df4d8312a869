"""A hub of models and data sets: it is given up when it says nothing. What is fetched is left to others."""

from __future__ import annotations

from typing import Any

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


def dataset_commit(name: str, revision: str | None = None) -> str | None:
    """The commit that a revision of a data set stands for today; by default the newest. Asks the hub, for ``HUB_SILENCE_S`` at most.

    Raises:
        ModuleNotFoundError: the hub's library is missing. And whatever else it raises where the hub cannot be reached.
    """
    import huggingface_hub

    limit_silence_of_hubs()
    told = huggingface_hub.HfApi().dataset_info(name, revision=revision, timeout=HUB_SILENCE_S)
    commit: str | None = told.sha
    return commit
