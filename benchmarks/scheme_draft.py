"""The reference energies of the scheme 2026.0-draft, from the public measurements. Prints the file's ``[[classes]]``.

Run: python benchmarks/scheme_draft.py [--data ../shared/reference-data]

The rule: one figure per model, the centre of them is the median of their logarithms (of an even number, the geometric mean of
the two in the middle), rounded to two significant digits. Models measured more than once count once, with the geometric mean.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "reference-data"
JOULES_PER_REQUEST = 3.6  # of a watt-hour per 1000 queries
FIRM_FROM = 20  # models
FEWEST_MODELS = 7  # below, a class has no reference energy yet
MIXED_FROM = 100.0  # highest over lowest: such a task mixes architectures

# Their name of the task, and the Hub's.
AES_TASKS = {
    "asr": "automatic-speech-recognition",
    "image_captioning": "image-to-text",
    "image_classification": "image-classification",
    "image_generation": "text-to-image",
    "object_detection": "object-detection",
    "question_answering": "question-answering",
    "sentence_similarity": "sentence-similarity",
    "summarization": "summarization",
    "text_classification": "text-classification",
    "text_generation": "text-generation",
}
# Requests in flight at which each task is compared.
MLENERGY_TASKS = {
    "lm-arena-chat": 32,
    "gpqa": 32,
    "image-chat": 32,
    "video-chat": 32,
    "sourcegraph-fim": 32,
    "text-to-image": 8,
    "text-to-video": 4,
}


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What the data say of one class, in joules per unit."""

    protocol: str
    task: str
    name: str | None
    energies_j: tuple[float, ...]

    @property
    def key(self) -> tuple[str, str, str | None]:
        return self.protocol, self.task, self.name

    @property
    def n(self) -> int:
        return len(self.energies_j)

    @property
    def centre_j(self) -> float:
        return math.exp(statistics.median(math.log(energy) for energy in self.energies_j))

    @property
    def e_ref_j(self) -> float:
        return digits(self.centre_j, 2)

    @property
    def span(self) -> float:
        return max(self.energies_j) / min(self.energies_j)

    @property
    def status(self) -> str:
        return "firm" if self.n >= FIRM_FROM else "provisional"


def digits(value: float, count: int) -> float:
    """A value rounded to so many significant digits."""
    return float(f"{value:.{count - 1}e}")


def anchors(data: Path = DATA) -> tuple[Anchor, ...]:
    """Every class of both suites, rated by the scheme or not."""
    return (*_aes(data / "ai_energy_score.csv"), *_mlenergy(data / "mlenergy_runs.csv"))


def _aes(path: Path) -> Iterator[Anchor]:
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in _rows(path):
        if row["vintage"].startswith("2025-02"):
            models = found.setdefault((row["task"], row["cls"]), {})
            models.setdefault(row["model"], []).append(float(row["wh_per_1000_queries"]))
    for (task, name), models in sorted(found.items()):
        yield Anchor(
            protocol="aes-2025-02",
            task=AES_TASKS[task],
            name=name or None,
            energies_j=_of_models(
                {model: [JOULES_PER_REQUEST * e for e in es] for model, es in models.items()}
            ),
        )


def _mlenergy(path: Path) -> Iterator[Anchor]:
    """One row per model: on the H100 at exactly the class's number of requests in flight, on the fewest GPUs, the lowest energy.

    The fewest GPUs are how a model is served where nothing else asks for more; of parallel layouts on as many GPUs, the best.
    """
    chosen: dict[str, dict[str, tuple[int, float]]] = {task: {} for task in MLENERGY_TASKS}
    for row in _rows(path):
        task = row["task"]
        if (
            row["suite"] != "mlenergy-v3"
            or row["gpu"] != "H100"
            or float(row["batch"]) != MLENERGY_TASKS[task]
        ):
            continue
        candidate = (int(row["num_gpus"]), float(row["energy_per_request_j"]))
        chosen[task][row["model"]] = min(candidate, chosen[task].get(row["model"], candidate))
    for task, models in chosen.items():
        yield Anchor(
            protocol="mlenergy-v3",
            task=task,
            name=None,
            energies_j=_of_models({model: [energy] for model, (_, energy) in models.items()}),
        )


def _of_models(energies: Mapping[str, Iterable[float]]) -> tuple[float, ...]:
    return tuple(statistics.geometric_mean(several) for _, several in sorted(energies.items()))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the reference data")
    data = parser.parse_args().data
    if not data.is_dir():
        sys.exit(
            f"{data}: there is no such folder. The reference data are not part of the package; name them by --data"
        )
    for anchor in anchors(data):
        title = " ".join(part for part in anchor.key if part)
        mixed = f", mixed ({anchor.span:.0f}×)" if anchor.span > MIXED_FROM else ""
        few = "" if anchor.n >= FEWEST_MODELS else ", too few models"
        print(f"\n# {title}: {anchor.status}, n = {anchor.n}, span {anchor.span:.3g}×{mixed}{few}")
        print(f"e_ref_j = {anchor.e_ref_j:g}")
        print(f"centre_j = {digits(anchor.centre_j, 4):.10g}")
        print(f"lowest_j = {digits(min(anchor.energies_j), 4):.10g}")
        print(f"highest_j = {digits(max(anchor.energies_j), 4):.10g}")
        print(f"n = {anchor.n}")


if __name__ == "__main__":
    main()
