"""The reference energies of a scheme, recomputed from the public measurements; and how stable rules of rating are on them.

Run: python benchmarks/scheme.py [--data FOLDER] [--vintage 2026.1] [--stability] [--plots docs/plots]

The data are not part of the package: name their folder by ``--data`` or ``ENERGY_RATING_REFERENCE_DATA``.

The rule: one figure per model; the centre of them is the median of their logarithms (of an even number, the geometric mean of the
two in the middle), rounded to two significant digits. Models measured more than once count once, with the geometric mean.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).parents[1]
VARIABLE = "ENERGY_RATING_REFERENCE_DATA"
DATA = Path(os.environ.get(VARIABLE) or TOP.parent / "shared" / "reference-data")
JOULES_PER_REQUEST = 3.6  # of a watt-hour per 1000 queries
FIRM_FROM = 20  # models
MIXED_FROM = 100.0  # highest over lowest: such a task mixes architectures
STEADY_WITHIN = 2**0.5  # a reference that one model more or less moves by half a star is none
LADDER = tuple(2**power for power in (-1.5, -0.5, 0.5, 1.5))

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

# Tasks that span more than 100×. Under the protocol these families write their answer token by token (T5 by its configuration,
# Whisper and Speech2Text by their decoders); all others answer in one pass (also GPT-2 as a classifier, and CTC in speech).
SPLIT = ("asr", "question_answering", "text_classification")
WRITE_TOKENS = ("google-t5/", "openai/whisper-", "distil-whisper/", "facebook/s2t-")
SINGLE_PASS, GENERATIVE = "single-pass", "generative"

# ML.ENERGY's tasks under serving-2026.1.
SERVING_TASKS = {
    "lm-arena-chat": "text-generation",
    "gpqa": "reasoning",
    "sourcegraph-fim": "code-completion",
    "image-chat": "image-text-to-text",
    "video-chat": "video-text-to-text",
    "text-to-image": "text-to-image",
    "text-to-video": "text-to-video",
}
CHATS = ("lm-arena-chat", "gpqa", "sourcegraph-fim", "image-chat", "video-chat")

# Training: model FLOP utilisation of the H100 (700 W, dense bf16) by configuration: The Llama 3 Herd of Models, arXiv 2407.21783, table 4
# (430, 400 and 380 TFLOP/s a GPU). The reference is their median, as of every class. The peak is that of the device's profile.
LLAMA_3_UTILISATION = (0.43, 0.41, 0.38)
H100_POWER_LIMIT_W = 700.0
H100_PEAK_FLOP_S = 989.4e12


@dataclass(frozen=True, kw_only=True)
class Vintage:
    """What a scheme takes from the data: classes from so many models on, at these numbers of requests in flight (batch)."""

    name: str
    fewest_models: int
    serving: str  # the protocol of ML.ENERGY's figures
    serving_tasks: Mapping[str, str]
    points: Mapping[str, tuple[int, ...]]
    split: tuple[str, ...] = ()
    steady_within: float = math.inf
    second_round: bool = False  # whether it has the AI Energy Score's classes of December 2025

    def rates(self, anchor: Anchor) -> bool:
        """Whether a class has a reference energy: enough models, of one kind, and none of them decides it."""
        return (
            anchor.n >= self.fewest_models
            and anchor.span <= MIXED_FROM
            and anchor.one_less <= self.steady_within
        )


VINTAGES = {
    "2026.0-draft": Vintage(
        name="2026.0-draft",
        fewest_models=7,
        serving="mlenergy-v3",
        serving_tasks={name: name for name in SERVING_TASKS},
        points={**dict.fromkeys(CHATS, (32,)), "text-to-image": (8,), "text-to-video": (4,)},
    ),
    "2026.1": Vintage(
        name="2026.1",
        fewest_models=6,
        serving="serving-2026.1",
        serving_tasks=SERVING_TASKS,
        points={
            **dict.fromkeys(CHATS, (8, 16, 32, 64, 128, 256)),
            "text-to-image": (1, 8),
            "text-to-video": (1, 4),
        },
        split=SPLIT,
        steady_within=STEADY_WITHIN,
    ),
    "2026.2": Vintage(
        name="2026.2",
        fewest_models=6,
        serving="serving-2026.1",
        serving_tasks=SERVING_TASKS,
        points={
            **dict.fromkeys(CHATS, (8, 16, 32, 64, 96, 128, 192, 256)),
            "text-to-image": (1, 8),
            "text-to-video": (1, 4),
        },
        split=SPLIT,
        steady_within=STEADY_WITHIN,
        second_round=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What the data say of one class, in joules per unit. ``parameters_b``: of each model, where the data say it."""

    protocol: str
    task: str
    name: str | None
    energies_j: tuple[float, ...]
    in_flight: int = 1
    several_points: bool = False
    parameters_b: tuple[float, ...] = field(default=(), repr=False)

    @property
    def key(self) -> tuple[str, str, str | None]:
        return self.protocol, self.task, self.name

    @property
    def n(self) -> int:
        return len(self.energies_j)

    @property
    def centre_j(self) -> float:
        return centre(self.energies_j)

    @property
    def e_ref_j(self) -> float:
        return digits(self.centre_j, 2)

    @property
    def span(self) -> float:
        return max(self.energies_j) / min(self.energies_j)

    @property
    def status(self) -> str:
        return "firm" if self.n >= FIRM_FROM else "provisional"

    @property
    def one_less(self) -> float:
        """By what factor the centre moves, at most, when any one model is left out."""
        if self.n < 2:
            return math.inf
        moved = [
            centre(self.energies_j[:left] + self.energies_j[left + 1 :]) / self.centre_j
            for left in range(self.n)
        ]
        return max(max(factor, 1 / factor) for factor in moved)


def centre(energies_j: Sequence[float]) -> float:
    """The median of the logarithms."""
    return math.exp(statistics.median(math.log(energy) for energy in energies_j))


def digits(value: float, count: int) -> float:
    """A value rounded to so many significant digits."""
    return float(f"{value:.{count - 1}e}")


def anchors(data: Path = DATA, vintage: str = "2026.1") -> tuple[Anchor, ...]:
    """Every class of both suites that a vintage knows, rated or not."""
    rules = VINTAGES[vintage]
    second = tuple(_second_round(data / "aes_2025_12.csv")) if rules.second_round else ()
    return (
        *_aes(data / "ai_energy_score.csv", rules),
        *second,
        *_mlenergy(data / "mlenergy_runs.csv", rules),
    )


def training() -> dict[str, float]:
    """Joules per floating-point operation at the power limit: of the reference, and of the published runs."""

    def joules(utilisation: float) -> float:
        return H100_POWER_LIMIT_W / (utilisation * H100_PEAK_FLOP_S)

    published = [joules(utilisation) for utilisation in LLAMA_3_UTILISATION]
    return {
        "e_ref_j": digits(centre(published), 2),
        "centre_j": digits(centre(published), 4),
        "lowest_j": digits(min(published), 4),
        "highest_j": digits(max(published), 4),
        "n": len(published),
    }


def _aes(path: Path, rules: Vintage) -> Iterator[Anchor]:
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in _rows(path):
        if not row["vintage"].startswith("2025-02"):
            continue
        name = row["cls"]
        if row["task"] in rules.split:
            name = GENERATIVE if row["model"].startswith(WRITE_TOKENS) else SINGLE_PASS
        models = found.setdefault((row["task"], name), {})
        models.setdefault(row["model"], []).append(JOULES_PER_REQUEST * float(row["wh_per_1000_queries"]))
    for (task, name), models in sorted(found.items()):
        yield Anchor(
            protocol="aes-2025-02", task=AES_TASKS[task], name=name or None, energies_j=_of_models(models)
        )


def _second_round(path: Path) -> Iterator[Anchor]:
    """The AI Energy Score of December 2025: text generation alone, from a second-hand copy of its leaderboard."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in _rows(path):
        energy_j = JOULES_PER_REQUEST * float(row["wh_per_1000_queries"])
        found.setdefault(row["class"], {}).setdefault(row["model"], []).append(energy_j)
    for name, models in sorted(found.items()):
        yield Anchor(protocol="aes-2025-12", task="text-generation", name=name, energies_j=_of_models(models))


def _mlenergy(path: Path, rules: Vintage) -> Iterator[Anchor]:
    """One row per model: on the H100 at exactly the class's number of requests in flight, on the fewest GPUs, the lowest energy.

    The fewest GPUs are how a model is served where nothing else asks for more; of parallel layouts on as many GPUs, the best.
    """
    chosen: dict[tuple[str, int], dict[str, tuple[int, float, float]]] = {
        (task, point): {} for task, points in rules.points.items() for point in points
    }
    for row in _rows(path):
        key = row["task"], int(float(row["batch"] or 0))
        if row["suite"] != "mlenergy-v3" or row["gpu"] != "H100" or key not in chosen:
            continue
        candidate = (int(row["num_gpus"]), float(row["energy_per_request_j"]), float(row["active_params_b"]))
        chosen[key][row["model"]] = min(candidate, chosen[key].get(row["model"], candidate))
    for (task, point), models in chosen.items():
        several = len(rules.points[task]) > 1
        yield Anchor(
            protocol=rules.serving,
            task=rules.serving_tasks[task],
            name=f"{point} at once" if several else None,
            energies_j=_of_models({model: [energy] for model, (_, energy, _) in models.items()}),
            in_flight=point,
            several_points=several,
            parameters_b=tuple(size for _, (_, _, size) in sorted(models.items())),
        )


def _of_models(energies: Mapping[str, Iterable[float]]) -> tuple[float, ...]:
    return tuple(statistics.geometric_mean(several) for _, several in sorted(energies.items()))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


# -------------------------------------------------------------------------------------------------------- stability

# A rule makes, from a population, a function from a model (its energy, its size) to its stars.
Models = Sequence[tuple[float, float]]
Stars = Callable[[float, float], int]
Rule = Callable[[Models], Stars]


def _of_index(index: float) -> int:
    return next((5 - step for step, highest in enumerate(LADDER) if index <= highest), 1)


def equal_width(models: Models) -> Stars:
    """Five bins of one width between the lowest and the highest: the AI Energy Score's."""
    low, high = min(e for e, _ in models), max(e for e, _ in models)
    return lambda energy, _: 5 - max(0, min(4, math.ceil(5 * (energy - low) / (high - low)) - 1))


def quintiles(models: Models) -> Stars:
    """A fifth of the models in each."""
    ordered = sorted(e for e, _ in models)

    def stars(energy: float, _: float) -> int:
        below = sum(e < energy for e in ordered)
        return 5 - min(4, 5 * below // len(ordered))

    return stars


def log_spaced(models: Models) -> Stars:
    """Five bins of one factor between the lowest and the highest."""
    inner = equal_width([(math.log(e), size) for e, size in models])
    return lambda energy, size: inner(math.log(energy), size)


def size_line(models: Models) -> Stars:
    """The ladder, against a line through logarithms of energy and size."""
    points = [(math.log(size), math.log(e)) for e, size in models]
    if len({x for x, _ in points}) < 2:
        return ladder(models)
    slope, start = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return lambda energy, size: _of_index(energy / math.exp(start + slope * math.log(size)))


def ladder(models: Models) -> Stars:
    """The ladder of this scheme, against a reference that is estimated anew from each population."""
    reference = digits(centre([e for e, _ in models]), 2)
    return lambda energy, _: _of_index(energy / reference)


RULES: dict[str, Rule | None] = {
    "frozen ladder, ×2 per star": None,  # the rule of the full population, whatever the population becomes
    "the same ladder, re-estimated": ladder,
    "equal width (AI Energy Score)": equal_width,
    "log-spaced, lowest to highest": log_spaced,
    "quintiles": quintiles,
    "ladder against a size line": size_line,
}
NOISE = 0.05
ROUNDS = 200


@dataclass(frozen=True, kw_only=True)
class Stability:
    """Shares of models (0 to 1) whose stars change. ``models``: in how many classes' populations that was tried."""

    rule: str
    noise: float
    growth: float
    outlier: float
    models: int


def stability(populations: Sequence[Anchor], seed: int = 2026) -> list[Stability]:
    """How many stars change under 5 % noise, when half a population grows to the whole, and by one outlier at 10× the maximum."""
    results = []
    for name, rule in RULES.items():
        dice = random.Random(seed)
        changed: dict[str, list[float]] = {"noise": [], "growth": [], "outlier": []}
        usable = [a for a in populations if a.parameters_b or rule is not size_line]
        for anchor in usable:
            models = list(zip(anchor.energies_j, anchor.parameters_b or (1.0,) * anchor.n, strict=True))
            make = rule or ladder
            full = make(models)
            stars = [full(*model) for model in models]

            def moved(chosen: Models, rated: Stars, stars: Sequence[int] = stars) -> list[float]:
                return [float(rated(*model) != old) for model, old in zip(chosen, stars, strict=True)]

            for _ in range(ROUNDS):
                noisy = [(e * math.exp(dice.gauss(0, NOISE)), size) for e, size in models]
                changed["noise"] += moved(noisy, full if rule is None else make(noisy))
                half = dice.sample(range(len(models)), max(3, len(models) // 2))
                rated = full if rule is None else make([models[i] for i in half])
                changed["growth"] += [float(rated(*models[i]) != stars[i]) for i in half]
            worst = 10 * max(e for e, _ in models)
            grown = [*models, (worst, max(size for _, size in models))]
            changed["outlier"] += moved(models, full if rule is None else make(grown))
        results.append(
            Stability(
                rule=name,
                **{key: statistics.mean(values) for key, values in changed.items()},
                models=sum(anchor.n for anchor in usable),
            )
        )
    return results


# ---------------------------------------------------------------------------------------------------------- printing


def table(results: Sequence[Stability]) -> str:
    """The figures as Markdown."""
    lines = [
        "| rule | 5 % noise | half → full population | one outlier at 10× the maximum | models |",
        "|---|---|---|---|---|",
    ]
    for item in results:
        shares = (f"{share:.0%}" if share else "none" for share in (item.noise, item.growth, item.outlier))
        lines.append(f"| {item.rule} | {' | '.join(shares)} | {item.models} |")
    return "\n".join(lines)


def toml(anchor: Anchor) -> str:
    """The numbers of a class as they stand in a scheme's file."""
    return "\n".join(
        [
            f"e_ref_j = {anchor.e_ref_j!r}",
            f"centre_j = {digits(anchor.centre_j, 4):.10g}",
            f"lowest_j = {digits(min(anchor.energies_j), 4):.10g}",
            f"highest_j = {digits(max(anchor.energies_j), 4):.10g}",
            f"n = {anchor.n}",
            f'status = "{anchor.status}"',
        ]
    )


def plot_stability(results: Sequence[Stability], path: Path) -> None:
    """Bars: what share of the stars each rule moves."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), sharey=True, layout="constrained")
    titles = ("5 % noise in every figure", "the population doubles", "one outlier, 10 × the highest")
    names = [item.rule for item in results][::-1]
    for axis, title, key in zip(axes, titles, ("noise", "growth", "outlier"), strict=True):
        shares = [100 * getattr(item, key) for item in results][::-1]
        colours = ["#1f4e79" if name.startswith("frozen") else "#b8c4d0" for name in names]
        bars = axis.barh(names, shares, color=colours)
        axis.bar_label(
            bars, [f"{share:.0f} %" if share else "none" for share in shares], padding=3, fontsize=8
        )
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, max(shares) * 1.25)
        axis.set_xlabel("models whose stars change, %", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def plot_classes(populations: Sequence[Anchor], path: Path, named: str) -> None:
    """Every class's models on the ladder, as index."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = list(populations)[::-1]
    figure, axis = plt.subplots(figsize=(9.6, 0.34 * len(rows) + 1.6), layout="constrained")
    edges = (2**-8, *LADDER, 2**6)
    shades = ("#d7ead9", "#e8f2e0", "#f6f3dc", "#f7e6d3", "#f4d6d0")
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        axis.axvspan(low, high, color=shades[number], lw=0)
        middle = math.sqrt(max(low, 2**-5.5) * min(high, 2**5))
        axis.text(middle, len(rows) - 0.35, "★" * (5 - number), ha="center", va="bottom", fontsize=9)
    for y, anchor in enumerate(rows):
        indices = [energy / anchor.e_ref_j for energy in anchor.energies_j]
        firm = anchor.status == "firm"
        axis.plot(
            indices,
            [y] * len(indices),
            "o",
            ms=4.5,
            mfc="#1f4e79" if firm else "white",
            mec="#1f4e79",
            mew=1.0,
        )
    axis.axvline(1.0, color="#1f4e79", lw=0.8, ls=":")
    labels = [f"{a.task}{f', {a.name}' if a.name else ''} (n = {a.n})" for a in rows]
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.set_ylim(-0.7, len(rows) + 0.1)
    axis.set_xscale("log", base=2)
    axis.set_xlim(2**-5.5, 2**5)
    axis.set_xticks([2.0**power for power in range(-5, 6)])
    axis.set_xticklabels([f"{2.0**power:g}" for power in range(-5, 6)], fontsize=8)
    axis.set_xlabel(
        f"index: energy over the class's reference, scheme {named}; filled: firm, hollow: provisional",
        fontsize=8,
    )
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=DATA, help=f"folder of the reference data, or {VARIABLE}"
    )
    parser.add_argument("--vintage", choices=sorted(VINTAGES), default="2026.1")
    parser.add_argument("--stability", action="store_true", help="how many stars each rule moves, as a table")
    parser.add_argument("--plots", type=Path, help="folder to draw both plots into")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(
            f"{options.data}: there is no such folder. The reference data are not part of the package; "
            f"name their folder by --data or {VARIABLE}"
        )
    rules = VINTAGES[options.vintage]
    found = anchors(options.data, options.vintage)
    rated = [item for item in found if rules.rates(item)]
    if options.stability or options.plots:
        results = stability(rated)
        print(table(results))
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            plot_stability(results, options.plots / "rating-stability.png")
            plot_classes(rated, options.plots / "rating-classes.png", options.vintage)
        return
    print("\n# training, per floating-point operation")
    print("\n".join(f"{key} = {value!r}" for key, value in training().items()))
    for anchor in found:
        title = " ".join(part for part in anchor.key if part)
        mixed = f", mixed ({anchor.span:.0f}×)" if anchor.span > MIXED_FROM else ""
        few = "" if anchor.n >= rules.fewest_models else ", too few models"
        print(
            f"\n# {title}: span {anchor.span:.3g}×, one model less moves it ×{anchor.one_less:.2f}{mixed}{few}"
        )
        print(toml(anchor))


if __name__ == "__main__":
    main()
