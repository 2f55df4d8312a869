"""Vintages of normalisation: what was published under one never moves when another comes."""

from __future__ import annotations

import json
from collections import Counter

from tests.fakes.of_every_tier import EACH, KEPT, outcomes


def test_what_2026_1_made_of_records_of_every_tier_never_moves() -> None:
    before = json.loads(KEPT.read_text(encoding="utf-8"))
    assert set(Counter(one["tier"] for one in before).values()) == {EACH}
    assert EACH >= 50
    for old, now in zip(before, json.loads(json.dumps(outcomes())), strict=True):
        assert now == old
