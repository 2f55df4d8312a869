"""A hub of models and data sets: it is given up when it says nothing. What is fetched is left to others."""

from __future__ import annotations

from collections.abc import Sequence

from energy_rating.publishing.hub import HUB_SILENCE_S
from energy_rating.publishing.hub import limit_silence_of_hubs as limit_silence_of_hubs


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


def kept(models: Sequence[str]) -> tuple[str, ...]:
    """Which of these models an earlier download left on this machine. Asks no network."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # whoever needs it says so
        return ()
    files = ("config.json", "model_index.json")
    return tuple(
        one for one in models if any(isinstance(try_to_load_from_cache(one, name), str) for name in files)
    )
