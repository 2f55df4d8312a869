"""Which files a folder of safetensors should hold, by its own list and by the names of its parts. Opens no weights.

Large models are saved in parts (model-00001-of-00003.safetensors) with a list of them beside (model.safetensors.index.json); a download that broke
off leaves some. The names are those of transformers (``utils/__init__.py``, SAFE_WEIGHTS_NAME) and diffusers (``utils/constants.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.nouns.errors import BadInput

LARGEST_LIST = 64 << 20  # bytes; the largest that are known have some 20 MB
NAMES = ("model", "diffusion_pytorch_model")
ADAPTER = "adapter_config.json"  # what PEFT calls it

_PART = re.compile(r"-(\d{5})-of-(\d{5})", re.ASCII)


def refuse_adapter(folder: Path, place: str | Path) -> None:
    """Refuses a folder that has the weights of an adapter alone.

    Raises:
        BadInput: so it is.
    """
    weights = (path for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_"))
    if (folder / ADAPTER).is_file() and not any(weights):
        raise BadInput(
            "is an adapter of another model, and no model",
            "Merge it into that one: merge_and_unload() of peft, then save_pretrained()",
            place=place,
        )


def refuse_missing(folder: Path, place: str | Path) -> None:
    """Refuses a folder whose weights are not all there.

    Raises:
        BadInput: so it is.
    """
    missing = sorted(set(missing_in(folder)))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(
            f"a part of its weights is not there ({missing[0]}{more})",
            "Fetch it again, all of it",
            place=place,
        )


def missing_in(folder: Path) -> Iterator[str]:
    """The names of the files that are not there. A list that cannot be read says nothing; whoever loads it will."""
    for name in NAMES:
        if (folder / f"{name}.safetensors").is_file():
            continue  # in one file, which the libraries take before any parts
        parts = {
            (int(found[1]), int(found[2]))
            for path in folder.glob(f"{name}-*-of-*.safetensors")
            if (found := _PART.fullmatch(path.stem.removeprefix(name)))
        }
        for _, count in sorted(parts):
            for number in range(1, count + 1):
                file = f"{name}-{number:05}-of-{count:05}.safetensors"
                if not (folder / file).is_file():
                    yield file
        index = folder / f"{name}.safetensors.index.json"
        if index.is_file():
            yield from (file for file in _listed(index) if not (folder / file).is_file())
        elif parts:
            yield index.name


def _listed(index: Path) -> tuple[str, ...]:
    try:
        listed = json.loads(read_whole(index, LARGEST_LIST))["weight_map"]
        return tuple(dict.fromkeys(map(str, listed.values())))
    except (BadInput, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return ()
