"""A real model in ONNX as a callable: the example runs as it is shown, and its record counts what an independent count finds."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from energy_rating import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "file_types.py"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("magika") is None, reason="needs magika: make test-integrations")
def test_magika_tells_every_file_and_each_of_its_calls_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "6 of 6 right" in done.stdout
    record = load(folder)
    assert record.model is not None
    assert record.model.id == "google/magika"
    measured = record["measured"]
    assert measured.n == 3
    requests = measured.work["request"]
    assert requests % (3 * 6) == 0
    files: dict[str, bytes] = {}
    source = EXAMPLE.read_text(encoding="utf-8")
    table = re.search(r"^FILES = \{.*?^\}", source, re.M | re.S)
    assert table is not None
    exec("import json\n" + table[0], files)
    assert measured.work["byte"] == requests // 6 * sum(map(len, files["FILES"].values()))  # type: ignore[attr-defined]
    printed = re.search(r"measured: (\d+) files, (\d+) bytes", done.stdout)
    assert printed is not None
    assert [int(one) for one in printed.groups()] == [requests, measured.work["byte"]]
