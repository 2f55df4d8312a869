"""Where a model's files are, whose code they ask for, and how many parameters they hold. Loads none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energy_rating.benchmarking import gguf
from energy_rating.benchmarking.parts import missing_in, refuse_adapter, refuse_missing
from energy_rating.benchmarking.work import Settings
from energy_rating.benchmarking.workloads.transformers.library import need, quiet
from energy_rating.files.opening import opened, read_whole, refuse_what_waits
from energy_rating.files.shipped import TASKS
from energy_rating.nouns.errors import BadInput, ModelFailed, first_line

LARGEST_CONFIG = 1 << 22  # bytes
LARGEST_HEADER = 100_000_000  # bytes, of a safetensors file; the format's own limit
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
PINNED = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})", re.ASCII)


# ------------------------------------------------------------------------------------------------------------ the files


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """Where a model is read from on this machine."""

    name: str
    folder: Path
    config_file: Path
    gguf: Path | None = None
    random: bool = False

    @staticmethod
    def of(model: str, settings: Settings, commit: str | None) -> ModelFiles | None:
        """The files; None for a model that is to be downloaded first."""
        if settings.random_weights is not None:
            path = _config_file(settings.random_weights)
            return ModelFiles(name=path.name, folder=path.parent, config_file=path, random=True)
        path = Path(model)
        if path.suffix == ".gguf":
            gguf.described(path)
            if gguf.parts_of(path) > 1:
                raise BadInput(
                    "transformers reads no GGUF that is in parts", "Take the workload llama_cpp", place=path
                )
            if settings.task != "text-generation":
                raise BadInput(
                    f"a GGUF file cannot do {settings.task} here", "Take its safetensors", place="--task"
                )
            for package in ("gguf", "accelerate"):
                need(package, "Run: pip install gguf accelerate, or take the workload llama_cpp", model)
            return ModelFiles(name=path.name, folder=path.absolute().parent, config_file=path, gguf=path)
        if path.is_dir():
            return ModelFiles.in_folder(path, path.absolute().name)
        if not HUB_ID.fullmatch(model):
            raise BadInput("there is no such folder", "Name the folder of a saved model", place=model)
        folder = cached(model, commit)
        if folder is not None and not (settings.download and any(missing_in(folder))):
            return ModelFiles.in_folder(folder, model)
        if settings.download:
            return None
        raise BadInput(
            "there is no such folder, and no such download from the hub",
            "Name the folder of a saved model, or allow fetching it with --download",
            place=model,
        )

    @staticmethod
    def in_folder(folder: Path, name: str) -> ModelFiles:
        refuse_adapter(folder, name)
        if not (folder / "config.json").is_file():
            raise BadInput(
                "holds no model (config.json is not there)",
                "Save it there with save_pretrained()",
                place=name,
            )
        if not any(folder.glob("*.safetensors")):
            pickles = sorted(
                path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"))
            )
            raise BadInput(
                f"its weights are pickled ({pickles[0]}), and opening a pickle runs what is in it"
                if pickles
                else "holds no weights",
                "Save it as safetensors: save_pretrained(), on a machine where you trust it"
                if pickles
                else "Fetch it again",
                place=name,
            )
        refuse_what_waits(folder)
        refuse_missing(folder, name)
        return ModelFiles(name=name, folder=folder, config_file=folder / "config.json")

    @staticmethod
    def downloaded(model: str, commit: str | None) -> ModelFiles:
        """The files, fetched from the hub: weights as safetensors only, code only where it was allowed at this commit."""
        from huggingface_hub import snapshot_download

        wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", *(["*.py"] if commit else [])]
        try:
            with quiet():
                folder = snapshot_download(model, revision=commit, allow_patterns=wanted)
        except Exception as error:  # no network, no such model, no access: all are told by what they say
            raise ModelFailed(
                f"{model} could not be fetched: {first_line(error)}", "Check the name and the network"
            ) from error
        return ModelFiles.in_folder(Path(folder), model)

    def config(self, transformers: Any, *, trusted: bool) -> Any:
        """The configuration as the library understands it."""
        if self.gguf is not None:
            return transformers.AutoConfig.from_pretrained(str(self.folder), gguf_file=self.gguf.name)
        if not self.random:
            return transformers.AutoConfig.from_pretrained(
                str(self.folder), local_files_only=True, trust_remote_code=trusted
            )
        content = json.loads(read_whole(self.config_file, LARGEST_CONFIG).decode())
        kind = content.pop("model_type", None)
        content = {name: value for name, value in content.items() if not name.startswith("_")}
        if content.pop("auto_map", None) or kind not in transformers.CONFIG_MAPPING:
            raise BadInput(
                f"transformers {transformers.__version__} does not know the architecture {str(kind)[:80]!r}",
                "model_type names it, such as llama",
                place=self.config_file,
            )
        content.pop("quantization_config", None)
        return transformers.AutoConfig.for_model(kind, **content)


def shipped_configurations() -> Mapping[str, Path]:
    """The configurations that ship with the package, by name."""
    folder = TASKS / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def _config_file(path: Path) -> Path:
    """The file; also one that ships with the package, by its name alone."""
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file():
        shipped = shipped_configurations()
        # A name alone may have been made a path since.
        if path.name in shipped and path.absolute().parent == Path.cwd():
            return shipped[path.name]
        raise BadInput(
            "there is no such configuration",
            f"Name a config.json, or one of: {', '.join(shipped)}",
            place="--random-weights",
        )
    try:
        if not isinstance(json.loads(read_whole(path, LARGEST_CONFIG).decode()), dict):
            raise ValueError("not an object of JSON")
    except BadInput as error:
        raise BadInput(
            f"is not a configuration ({error.message})", "Name a config.json", place=path
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"is not a configuration ({first_line(error)})", "Name a config.json", place=path
        ) from error
    return path


def cached(model: str, commit: str | None = None) -> Path | None:
    """The folder where an earlier download from the hub is kept; None if there is none. Asks no network.

    (The libraries' own search sends something even where it finds the files.)
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(model, "config.json", revision=commit)
    except ValueError:  # this is no id
        return None
    return Path(config).parent if isinstance(config, str) else None


def code_of_others(folder: Path) -> bool:
    """Whether one of a model's files names code of another repository (``ORG/NAME--module.Class``), or may hide that it does.

    The library looks for code in the configurations of the model, of its tokenizer and of its processors, and fetches from wherever
    they say.
    """
    named: list[object] = []

    def noted(one: dict[str, object]) -> dict[str, object]:
        named.append(one.get("auto_map"))
        return one

    for path in folder.glob("*.json"):
        try:
            if path.stat().st_size > LARGEST_CONFIG:
                # Vocabularies are as large as that; configurations, also those of one version (config.4.0.0.json), are not.
                if "config" in path.name:
                    return True
                continue
            json.loads(read_whole(path, LARGEST_CONFIG).decode(), object_hook=noted)
            if "--" in json.dumps(named):
                return True
        except RecursionError:
            return True  # the library may go deeper
        except (OSError, ValueError, BadInput):
            continue  # the library cannot read it either, and says so
    return False


def refuse_code_of_others(folder: Path) -> None:
    """Raises BadInput where code of another repository would be run too: only one commit was allowed."""
    if code_of_others(folder):
        raise BadInput(
            "its code is in another repository, at no fixed commit",
            "Only code at the commit that was allowed is run",
            place="--trust-remote-code",
        )


def trusted_commit(model: str, settings: Settings) -> str | None:
    if settings.trust_remote_code is None:
        return None
    found = PINNED.fullmatch(settings.trust_remote_code)
    if found is None:
        raise BadInput(
            f"{settings.trust_remote_code[:80]!r} does not name a model at a commit",
            "Such as ORG/NAME@0123456789abcdef0123456789abcdef01234567",
            place="--trust-remote-code",
        )
    if model != found[1]:
        raise BadInput(
            f"the code of {found[1]} was allowed, and {model[:80]} is another model",
            "Name the model by the same id; code in a folder is at no known commit",
            place="--trust-remote-code",
        )
    return found[2]


def parameters_in(folder: Path) -> int | None:
    """The weights, by the headers of their files; None if one of them cannot be understood.

    The format: eight bytes with the length of a JSON object, in which each tensor has its shape.
    https://github.com/huggingface/safetensors#format
    """
    total = 0
    index = folder / "model.safetensors.index.json"
    try:
        if index.is_file():
            files = sorted(
                {
                    folder / name
                    for name in json.loads(read_whole(index, LARGEST_CONFIG))["weight_map"].values()
                }
            )
        elif (folder / "model.safetensors").is_file():
            files = [folder / "model.safetensors"]
        else:
            return None
        for path in files:
            with opened(path) as file:
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER)))
            shapes = [entry for name, entry in header.items() if name != "__metadata__"]
            if any(entry["dtype"] in ("U8", "I8", "I32") and len(entry["shape"]) > 1 for entry in shapes):
                return None  # packed: several weights in one number
            total += sum(math.prod(entry["shape"]) for entry in shapes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BadInput):
        return None
    return total or None
