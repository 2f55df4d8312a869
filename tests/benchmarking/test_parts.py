"""A folder of weights is a model only where all of its parts are there; its header is all that is looked at."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from energy_rating import BadInput
from energy_rating.benchmarking.parts import missing_in, refuse_adapter, refuse_missing
from energy_rating.benchmarking.workloads.transformers.checkpoint import ModelFiles, parameters_in


def weights(path: Path, size: int = 10) -> str:
    entry = {"w": {"dtype": "F16", "shape": [size], "data_offsets": [0, 2 * size]}}
    header = json.dumps(entry).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2 * size))
    return path.name


def a_model(folder: Path, parts: int = 3, *, listed: bool = True, name: str = "model") -> Path:
    (folder / "config.json").write_text("{}", encoding="utf-8")
    files = [weights(folder / f"{name}-{n:05}-of-{parts:05}.safetensors") for n in range(1, parts + 1)]
    if listed:
        index = {"metadata": {}, "weight_map": {f"w{n}": file for n, file in enumerate(files)}}
        (folder / f"{name}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def test_a_model_whose_parts_are_all_there_is_taken(tmp_path):
    folder = a_model(tmp_path)
    assert list(missing_in(folder)) == []
    assert ModelFiles.in_folder(folder, "org/name").name == "org/name"
    assert parameters_in(folder) == 30


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_model_of_which_a_part_is_missing_is_refused_by_its_name(tmp_path, listed, number):
    folder = a_model(tmp_path, listed=listed)
    (folder / f"model-{number:05}-of-00003.safetensors").unlink()
    with pytest.raises(
        BadInput, match=rf"org/name: a part of its weights is not there \(model-{number:05}-of-00003"
    ):
        ModelFiles.in_folder(folder, "org/name")


def test_a_link_of_a_cache_that_leads_nowhere_is_a_part_that_is_missing(tmp_path):
    folder = a_model(tmp_path)
    (folder / "model-00002-of-00003.safetensors").unlink()
    (folder / "model-00002-of-00003.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(BadInput, match="00002-of-00003"):
        refuse_missing(folder, "org/name")


def test_parts_without_their_list_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match=r"\(model\.safetensors\.index\.json\)"):
        refuse_missing(a_model(tmp_path, listed=False), "org/name")


def test_a_model_in_one_file_needs_no_part(tmp_path):
    folder = a_model(tmp_path)
    weights(folder / "model.safetensors")
    (folder / "model-00002-of-00003.safetensors").unlink()
    refuse_missing(folder, "org/name")


def test_other_weights_beside_the_model_are_no_parts_of_it(tmp_path):
    folder = a_model(tmp_path)
    weights(folder / "consolidated-00001-of-00009.safetensors")
    weights(folder / "model.fp16-00001-of-00002.safetensors")
    refuse_missing(folder, "org/name")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"w": null}}'])
def test_a_list_that_cannot_be_read_ends_in_one_line_or_in_nothing(tmp_path, content):
    folder = a_model(tmp_path)
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    try:
        refuse_missing(folder, "org/name")
    except BadInput as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("with_configuration", [True, False])
def test_an_adapter_is_no_model(tmp_path, with_configuration):
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    weights(tmp_path / "adapter_model.safetensors")
    if with_configuration:
        (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match=r"is an adapter of another model, and no model\. Merge it"):
        ModelFiles.in_folder(tmp_path, "org/name")
    weights(tmp_path / "model.safetensors")
    refuse_adapter(tmp_path, "org/name")
