"""How the property tests search: anew each time at a desk, the same cases each time where a verdict hangs on it."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import settings

# How long a case takes says something of the machine, and nothing of the law.
settings.register_profile("at-a-desk", deadline=None)
settings.register_profile("same-cases", derandomize=True, print_blob=True, deadline=None)
settings.load_profile("at-a-desk")
if os.environ.get("CI"):
    settings.load_profile("same-cases")


@pytest.fixture(autouse=True, scope="session")
def _no_memory_of_other_runs(tmp_path_factory):
    """What devices turned out to be like is remembered from run to run; tests neither read nor write what a user's runs learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        # Nor do the user's own hardware profiles go before those that ship.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests(_no_memory_of_other_runs, monkeypatch):
    """A test's runs know nothing of those of the tests before it, so that their order does not matter."""
    monkeypatch.setenv("XDG_CACHE_HOME", f"{os.environ['XDG_CACHE_HOME']}/{next(_numbers)}")
