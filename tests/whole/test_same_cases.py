"""What a property test tries is the same each time, whatever else is tried, so that two builds of one state agree."""

from __future__ import annotations

import sys
from importlib import util

from hypothesis import given, settings
from hypothesis import strategies as st


def tried() -> list[object]:
    """All that a property test is given."""
    seen: list[object] = []

    @settings(derandomize=True, max_examples=300)
    @given(st.integers() | st.text() | st.floats())
    def search(value: object) -> None:
        seen.append(repr(value))

    search()
    return seen


def test_a_search_tries_the_same_whatever_else_is_loaded(tmp_path):
    before = tried()
    module = tmp_path / "odd.py"
    module.write_text("".join(f"A{n} = ({70_000_001 + n}, 'odd word {n}', {n}.0625)\n" for n in range(200)))
    spec = util.spec_from_file_location("energy_rating_odd", module)
    sys.modules[spec.name] = loaded = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
        assert tried() == before
    finally:
        del sys.modules[spec.name]


def test_a_search_tries_the_same_each_time():
    assert tried() == tried()
    assert len(set(tried())) > 100
