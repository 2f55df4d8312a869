"""What others published: each figure with its source, its licence and how it was measured, and none of our stars."""

from __future__ import annotations

from pathlib import Path

import pytest

from energy_rating.files.published import FOLDER, NOT_VERIFIED, OthersFigure, figures, of_model, tables
from energy_rating.judging.schemes import load_scheme
from energy_rating.nouns.errors import BadInput


def test_every_table_says_who_when_how_from_where_and_under_which_licence() -> None:
    assert tables() == (
        *("ai-energy-score-2025-02", "ai-energy-score-2025-12"),
        *("ml-energy-v1", "ml-energy-v2", "ml-energy-v3"),
    )
    for name in tables():
        about = figures(name)[0].publication
        for told in (
            about.title,
            about.publisher,
            about.measured,
            about.scope,
            about.how,
            about.source,
            about.licence,
        ):
            assert told
    assert "not verified" in NOT_VERIFIED


def test_the_figures_are_all_there_and_no_row_stands_twice() -> None:
    assert {name: len(figures(name)) for name in tables()} == {
        "ai-energy-score-2025-02": 125,
        "ai-energy-score-2025-12": 15,
        "ml-energy-v1": 188,
        "ml-energy-v2": 364,
        "ml-energy-v3": 1393,
    }
    assert not {name for name in OthersFigure.__dataclass_fields__ if "star" in name}
    for name in tables():
        rows = figures(name)
        assert len(set(rows)) >= len(rows) - 1  # AI Energy Score measured one model twice
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 400_000


def test_a_model_is_found_by_its_id_or_its_name_with_the_operating_point() -> None:
    found = of_model("qwen/qwen3-14b")
    assert found == of_model("Qwen3-14B")
    one = next(one for one in found if one.gpu == "NVIDIA B200" and one.batch == 8 and one.task == "gpqa")
    assert one.j_per_unit == pytest.approx(1.366)
    assert (one.unit, one.mean_batch, dict(one.settings)["engine"]) == ("token", 7.997, "vLLM")
    assert one.publication.protocol == "mlenergy-v3"


def test_the_protocols_are_those_of_the_schemes_so_that_nothing_is_compared_across_them() -> None:
    known = {rule.name for rule in load_scheme("2026.1").protocols}
    assert {figures(name)[0].publication.protocol for name in tables()} & known == {"aes-2025-02"}
    february = {one.model: one for one in figures("ai-energy-score-2025-02")}
    assert february["google/gemma-7b"].unit == "request"


def test_a_table_that_is_damaged_is_refused_with_its_place(tmp_path: Path) -> None:
    for path in FOLDER.glob("ml-energy-v1.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "ml-energy-v1.csv"
    table.write_text(table.read_text().replace(",8.076,", ",-8.076,"))
    with pytest.raises(
        BadInput, match=r"ml-energy-v1\.csv: line \d+ is no figure: j_per_unit must be above 0"
    ):
        figures("ml-energy-v1", tmp_path)
    with pytest.raises(BadInput, match="there is no table 'x'"):
        figures("x")
