"""What a process asks of the network, for tests of what must ask nothing of it."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(scope="module", name="network")
def network_of_this_process() -> list[str]:
    """What this process asks of the network, from here on."""
    seen: list[str] = []
    asks = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
    sys.addaudithook(lambda event, _: seen.append(event) if event in asks else None)
    return seen


@pytest.fixture(name="calls")
def calls_of_one_test(network: list[str]) -> list[str]:
    """What one test asks of the network."""
    network.clear()
    return network
