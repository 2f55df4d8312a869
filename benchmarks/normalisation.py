"""What normalising by hardware is worth, from the public measurements: errors on models that were in no fit, beside simpler rules.

    python benchmarks/normalisation.py                                   # prints the tables
    python benchmarks/normalisation.py --factors                         # [[factors]] of the profiles, which the vintage 2026.1 uses
    python benchmarks/normalisation.py --vintage                         # the file of the vintage 2026.2
    python benchmarks/normalisation.py --docs docs/normalisation.md --plot docs/plots/normalisation.png

The data are not part of this repository: --data, or ENERGY_RATING_REFERENCE_DATA, names their folder.

What follows is the vintage 2026.1; that of 2026.2 is ``fitted``. A pair is the same model, task, batch, data format, parallel layout,
steps and size on two devices, in one suite. Energy on the reference over energy on the device is its ratio r. With u the mean power over the power limit, and e the exponent of the use,
a factor is the median over models of each model's median of r × u^−e; *left out* means that the model predicted was not among
them. A format that either device only emulates is not in,
nor a use that is refused: no factor holds there. Error is |predicted / measured − 1|.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import fitted

from energy_rating.judging.normalisation import LEAST_USE, MOST_USE
from energy_rating.judging.roads import emulates

DATA = Path(__file__).parents[2] / "shared" / "reference-data"
START, END = "<!-- benchmarks/normalisation.py:start -->", "<!-- benchmarks/normalisation.py:end -->"

# What makes two rows the same work.
SAME = (
    *("suite", "model", "task", "unit", "num_gpus", "batch", "precision", "variant"),
    *("tp", "ep", "dp", "ulysses", "ring", "steps", "height", "width", "frames"),
)

# The exponent of the use, γ; its sign is minus where the other device has the larger power limit.
GAMMA = {"llm-serving": 0.5, "llm-small-batch": 0.5, "diffusion": 0.25}

# The study's 90 % intervals, ×/÷. Where fewer than LEAST_COVERED of the left-out ratios lie inside, the next step that holds them.
INTERVAL = {"llm-serving": 1.4, "llm-small-batch": 1.2, "diffusion": 1.2}
INTERVAL_OF = {("nvidia-b200-sxm-180gb", "llm-serving"): 1.5}
LEAST_COVERED = 0.88
STEP = 0.05


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Two devices of one suite: how its rows call them, their profiles, and their rows in ``gpus.csv``."""

    name: str
    device: str
    reference: str
    profiles: tuple[str, ...]
    reference_profile: str
    gpus: tuple[str, str]
    architectures: tuple[str, str]


SUITES = (
    Suite(
        name="mlenergy-v3",
        device="B200",
        reference="H100",
        profiles=("nvidia-b200-sxm-180gb",),
        reference_profile="nvidia-h100-sxm-80gb",
        gpus=("B200", "H100-SXM"),
        architectures=("Blackwell", "Hopper"),
    ),
    Suite(
        name="mlenergy-v2",
        device="A100-40GB-SXM",
        reference="H100",
        profiles=("nvidia-a100-sxm-40gb",),
        reference_profile="nvidia-h100-sxm-80gb",
        gpus=("A100-SXM4-40GB", "H100-SXM"),
        architectures=("Ampere", "Hopper"),
    ),
    # The suite says A100, V100 and A40 and no more: taken for the A100 of its next version, and for the V100 SXM2 of either memory.
    Suite(
        name="mlenergy-v1",
        device="V100",
        reference="A100",
        profiles=("nvidia-v100-sxm2-16gb", "nvidia-v100-sxm2-32gb"),
        reference_profile="nvidia-a100-sxm-40gb",
        gpus=("V100-SXM2", "A100-SXM4-40GB"),
        architectures=("Volta", "Ampere"),
    ),
    Suite(
        name="mlenergy-v1",
        device="A40",
        reference="A100",
        profiles=("nvidia-a40-48gb",),
        reference_profile="nvidia-a100-sxm-40gb",
        gpus=("A40", "A100-SXM4-40GB"),
        architectures=("Ampere", "Ampere"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One load on both devices: the natural logarithm of reference over device, and the use of each, 0 to 1."""

    model: str
    log_ratio: float
    use: float
    reference_use: float
    batch: int
    active_parameters_b: float | None


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What a data sheet says."""

    limit_w: float
    tflops: float
    bandwidth_gb_s: float


@dataclass(frozen=True, kw_only=True)
class Set:
    """All pairs of one suite, device and workload class, with what is fitted to them."""

    suite: Suite
    workload_class: str
    pairs: tuple[Pair, ...]
    device: Gpu
    reference: Gpu

    @property
    def exponent(self) -> float:
        gamma = GAMMA[self.workload_class]
        difference = self.reference.limit_w - self.device.limit_w
        return 0.0 if not difference else -math.copysign(gamma, difference)

    @property
    def title(self) -> str:
        return f"{self.suite.device} → {self.suite.reference}, {self.workload_class}"

    @property
    def models(self) -> int:
        return len({pair.model for pair in self.pairs})

    @property
    def interval(self) -> float:
        key = self.suite.profiles[0], self.workload_class
        interval = INTERVAL_OF.get(key, INTERVAL[self.workload_class])
        errors = left_out(self.pairs, self.with_use)
        while covered(errors, interval) < LEAST_COVERED:
            interval = round(interval + STEP, 2)
        return interval

    def plainly(self, pair: Pair) -> float:
        return pair.log_ratio

    def with_use(self, pair: Pair) -> float:
        return pair.log_ratio - self.exponent * math.log(pair.use)

    def with_reference_use(self, pair: Pair) -> float:
        return pair.log_ratio - self.exponent * math.log(pair.reference_use)


def read_sets(folder: Path) -> tuple[Set, ...]:
    """The pairs of all suites, with two or more models in a class."""
    with (folder / "mlenergy_runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    gpus = read_gpus(folder)
    sets = []
    for suite in SUITES:
        device, reference = (gpus[key] for key in suite.gpus)
        found: dict[str, list[Pair]] = {}
        there: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
        for row in rows:
            if row["suite"] == suite.name and row["gpu"] == suite.reference:
                there.setdefault(tuple(row[key] for key in SAME), []).append(row)
        for row in rows:
            if row["suite"] != suite.name or row["gpu"] != suite.device:
                continue
            if any(emulates(architecture, row["precision"]) for architecture in suite.architectures):
                continue
            for other in there.get(tuple(row[key] for key in SAME), ()):
                pair = pair_of(row, other, device, reference)
                if LEAST_USE <= pair.use <= MOST_USE:
                    found.setdefault(class_of(row), []).append(pair)
        sets += [
            Set(suite=suite, workload_class=name, pairs=tuple(pairs), device=device, reference=reference)
            for name, pairs in sorted(found.items(), reverse=True)
            if len({pair.model for pair in pairs}) > 1
        ]
    return tuple(sets)


def read_gpus(folder: Path) -> dict[str, Gpu]:
    """The devices' data sheets. FLOP/s are those of half precision, which every one of them has."""
    with (folder / "gpus.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["key"]: Gpu(
                limit_w=float(row["tdp_w"]),
                tflops=float(row["fp16_tflops"]),
                bandwidth_gb_s=float(row["mem_bw_gbs"]),
            )
            for row in csv.DictReader(file)
            if row["key"] in {key for suite in SUITES for key in suite.gpus}
        }


def class_of(row: Mapping[str, str]) -> str:
    if row["unit"] != "token":
        return "diffusion"
    return "llm-serving" if float(row["batch"]) >= 8 else "llm-small-batch"


def pair_of(row: Mapping[str, str], other: Mapping[str, str], device: Gpu, reference: Gpu) -> Pair:
    def use(entry: Mapping[str, str], gpu: Gpu) -> float:
        return float(entry["avg_power_w"]) / float(entry["num_gpus"]) / gpu.limit_w

    return Pair(
        model=row["model"],
        log_ratio=math.log(float(other["energy_per_unit_j"]) / float(row["energy_per_unit_j"])),
        use=use(row, device),
        reference_use=use(other, reference),
        batch=int(float(row["batch"])),
        active_parameters_b=float(row["active_params_b"]) if row["active_params_b"] else None,
    )


# ------------------------------------------------------------------------------------------------------ fits and errors


def centre(pairs: Iterable[Pair], y: Callable[[Pair], float]) -> float:
    """The median over models of each model's median."""
    return statistics.median(by_model(pairs, y).values())


def by_model(pairs: Iterable[Pair], y: Callable[[Pair], float]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for pair in pairs:
        found.setdefault(pair.model, []).append(y(pair))
    return {model: statistics.median(values) for model, values in found.items()}


def left_out(pairs: Sequence[Pair], y: Callable[[Pair], float]) -> list[float]:
    """ln(predicted / measured) of every pair, predicted by the other models alone."""
    medians = by_model(pairs, y)
    centres = {
        model: statistics.median(value for name, value in medians.items() if name != model)
        for model in medians
    }
    return [centres[pair.model] - y(pair) for pair in pairs]


def covered(errors: Sequence[float], interval: float) -> float:
    """The share of pairs whose measured energy lies within ×/÷ interval of the predicted one."""
    return sum(abs(error) <= math.log(interval) for error in errors) / len(errors)


def quantile(errors: Sequence[float], share: float) -> float:
    """Of |predicted / measured − 1|."""
    values = sorted(abs(math.exp(error) - 1) for error in errors)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def roofline(group: Set, pair: Pair) -> float:
    """ln of the ratio of limit × time: a decoder reads its active weights once a step and does two operations a weight and a
    sequence; diffusion computes."""

    def step_s(gpu: Gpu) -> float:
        if group.workload_class == "diffusion" or pair.active_parameters_b is None:
            return 1 / gpu.tflops
        weights = pair.active_parameters_b * 1e9
        return max(2 * weights / (gpu.bandwidth_gb_s * 1e9), 2 * weights * pair.batch / (gpu.tflops * 1e12))

    there, here = group.reference, group.device
    return math.log(there.limit_w * step_s(there) / (here.limit_w * step_s(here)))


def by_sheet(group: Set, what: Callable[[Gpu], float]) -> list[float]:
    predicted = math.log(what(group.device) / what(group.reference))
    return [predicted - pair.log_ratio for pair in group.pairs]


METHODS: dict[str, Callable[[Set], list[float]]] = {
    "none": lambda group: [-pair.log_ratio for pair in group.pairs],
    "power limit": lambda group: by_sheet(group, lambda gpu: 1 / gpu.limit_w),
    "FLOP/s per W": lambda group: by_sheet(group, lambda gpu: gpu.tflops / gpu.limit_w),
    "bandwidth per W": lambda group: by_sheet(group, lambda gpu: gpu.bandwidth_gb_s / gpu.limit_w),
    "roofline": lambda group: [roofline(group, pair) - pair.log_ratio for pair in group.pairs],
    "measured factor, model left out": lambda group: left_out(group.pairs, group.plainly),
    "factor × use, model left out": lambda group: left_out(group.pairs, group.with_use),
}


# ----------------------------------------------------------------------------------------------------------- the report


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
    yield ""


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def report(sets: Sequence[Set]) -> str:
    lines = [
        "Every method on the same pairs, all suites together, and those whose reference is the H100:",
        "",
    ]
    direct = [group for group in sets if group.suite.reference == "H100"]
    rows = []
    for name, method in METHODS.items():
        cells = [name]
        for groups in (sets, direct):
            errors = [error for group in groups for error in method(group)]
            cells += [percent(quantile(errors, share)) for share in (0.5, 0.9)]
        rows.append(cells)
    lines += table(["method", "median error", "90th percentile", "H100: median", "90th percentile"], rows)
    lines += [
        "The last one by device and class; *inside* is the share of the measured energies inside the interval:",
        "",
    ]
    rows, inside, total = [], 0.0, 0
    for group in sets:
        errors = METHODS["factor × use, model left out"](group)
        share = covered(errors, group.interval)
        inside, total = inside + share * len(errors), total + len(errors)
        plain, none = METHODS["measured factor, model left out"](group), METHODS["none"](group)
        rows.append(
            [
                *(group.title, group.models, len(group.pairs)),
                *(percent(quantile(errors, 0.5)), percent(quantile(errors, 0.9))),
                *(f"×/÷ {group.interval:g}", percent(share)),
                *(percent(quantile(plain, 0.9)), percent(quantile(none, 0.9))),
            ]
        )
    lines += table(
        [
            *("device and class", "models", "pairs", "median error", "90th percentile", "interval", "inside"),
            *("90th percentile without the use", "with no factor"),
        ],
        rows,
    )
    lines += [f"Inside all intervals together: {percent(inside / total)} of {total} pairs.", ""]
    lines += ["The way back, from the reference to the device, by the use of the reference:", ""]
    rows = []
    for group in sets:
        errors = left_out(group.pairs, group.with_reference_use)
        plain = left_out(group.pairs, group.plainly)
        rows.append(
            [
                *(
                    group.title.replace("→", "←"),
                    percent(quantile(errors, 0.5)),
                    percent(quantile(errors, 0.9)),
                ),
                percent(covered(errors, group.interval)),
                percent(covered(plain, group.interval)),
            ]
        )
    lines += table(["", "median error", "90th percentile", "inside", "inside without the use"], rows)
    return "\n".join(lines).rstrip() + "\n"


# ------------------------------------------------------------------------------------------------------ the vintage 2026.2


def report_2026_2(sets: Sequence[Set], groups: Sequence[fitted.Group]) -> str:
    """Errors and intervals of both vintages, the tests of the intervals, and what tier 3 holds."""
    several = [group for group in groups if len(group.models) > 1]
    before = {(group.suite.profiles[0], group.workload_class): group for group in sets}
    lines = ["Models left out, by device and class, in 2026.2 and in 2026.1:", ""]
    rows, now, then = [], [], []
    for group in several:
        errors = group.errors
        cells = [
            *(group.title, len(group.models), len(group.twins)),
            *(percent(fitted.quantile(errors, share)) for share in (0.5, 0.9, 1.0)),
            f"×/÷ {group.interval:g}",
        ]
        old = before.get((group.devices[0], group.workload_class))
        if old is None:
            rows.append([*cells, "tier 3" if group.devices[0] == fitted.A100_80 else "refused", "", ""])
            continue
        was = left_out(old.pairs, old.with_use)
        rows.append(
            [*cells, percent(quantile(was, 0.5)), percent(quantile(was, 0.9)), f"×/÷ {old.interval:g}"]
        )
        if group.reference == fitted.H100:
            now.append([fitted.quantile(errors, share) for share in (0.5, 0.9)])
            then.append([quantile(was, share) for share in (0.5, 0.9)])
    lines += table(
        [
            *("device and class", "models", "pairs", "median error", "90th percentile", "worst", "interval"),
            *("2026.1: median", "90th percentile", "interval"),
        ],
        rows,
    )
    means = [[statistics.mean(column) for column in zip(*values, strict=True)] for values in (now, then)]
    lines += [
        f"Mean over the four that lead to the H100 in both: median {percent(means[0][0])}, 90th percentile {percent(means[0][1])}; in "
        f"2026.1 {percent(means[1][0])} and {percent(means[1][1])}.",
        "",
        "Whether nine of ten lie inside, by an interval that was worked out without the model that it is tried on. A model counts as inside "
        "where half of its pairs are; pairs of one model are alike, so that the test of the pairs is the stricter one:",
        "",
    ]
    rows = []
    for name in dict.fromkeys(group.workload_class for group in several):
        own = [group for group in several if group.workload_class == name]
        inside, total = fitted.models_inside(own)
        pairs = [is_inside for group in own for _, is_inside in group.inside]
        rows.append(
            [
                *(name, f"{inside} of {total}", f"{fitted.binomial_p(inside, total):.2f}"),
                *(f"{sum(pairs)} of {len(pairs)}", percent(sum(pairs) / len(pairs))),
                f"{fitted.binomial_p(sum(pairs), len(pairs)):.2f}",
            ]
        )
    lines += table(["class", "models inside", "p", "pairs inside", "share", "p"], rows)
    lines += ["The same by device, for the pairs:", ""]
    rows = []
    for group in several:
        pairs = [is_inside for _, is_inside in group.inside]
        rows.append(
            [
                *(group.title, f"{sum(pairs)} of {len(pairs)}", percent(sum(pairs) / len(pairs))),
                f"{fitted.binomial_p(sum(pairs), len(pairs)):.2f}",
            ]
        )
    lines += table(["device and class", "pairs inside", "share", "p"], rows)
    lines += ["The way back, from the reference to the device, by the use of the reference:", ""]
    lines += table(
        ["", "median error", "90th percentile", "interval"],
        (
            [
                group.title.replace("→", "←"),
                *(percent(fitted.quantile(group.back.errors, share)) for share in (0.5, 0.9)),
                f"×/÷ {group.back.interval:g}",
            ]
            for group in several
        ),
    )
    lines += [
        "Tier 3, by pairs of devices that the rule is for, as if these had no factor of their own; in 2026.1 it was 1, ×/÷ 1.5 for serving "
        "and ×/÷ 1.25 for the rest:",
        "",
    ]
    rows = []
    for rule in fitted.assumed(groups):
        for group in rule.groups:
            held, n = rule.holds(group), len(group.twins)
            old = 1.5 if group.workload_class == "llm-serving" else 1.25
            plain = sum(abs(twin.log_ratio) <= math.log(old) for twin in group.twins)
            rows.append(
                [
                    f"{rule.origin} → {rule.target}, {rule.workload_class or 'any other class'}",
                    *(group.title, f"×/÷ {rule.interval:g}", f"{held} of {n}", percent(held / n)),
                    percent(plain / n),
                ]
            )
    for group, held in fitted.by_the_other_alone(groups):
        n = len(group.twins)
        rows.append(
            [
                "the same, by the other A100 alone",
                *(group.title, "×/÷ 1.5", f"{held} of {n}", percent(held / n), ""),
            ]
        )
    alike = fitted.alike_serving(groups)
    for title, ratio in fitted.ONE_MODEL_EACH.items():
        is_held = abs(math.log(ratio)) <= math.log(alike)
        rows.append(
            [
                "one generation, llm-serving",
                f"{title} (one model)",
                f"×/÷ {alike:g}",
                f"{int(is_held)} of 1",
                "",
                "",
            ]
        )
    lines += table(["rule", "tried on", "interval", "inside", "share", "inside in 2026.1"], rows)
    every = sum(len(group.twins) + len(group.refused) for group in groups)
    refused = [reason for group in groups for reason in group.refused]
    lines += [
        f"Refused among {every} pairs: {len(refused)} ({percent(len(refused) / every)}): "
        f"{refused.count('use')} below 15 % of the power limit, {refused.count('memory')} whose weights fill one of the two devices.",
        "",
    ]
    return "\n".join(lines).rstrip() + "\n"


def whole_report(data: Path) -> str:
    sets = read_sets(data)
    parts = [
        report_2026_2(sets, fitted.read_groups(data)),
        "In 2026.1, and by simpler rules:\n",
        report(sets),
    ]
    return "\n".join(parts)


def factors(sets: Sequence[Set]) -> Iterator[tuple[str, dict[str, object]]]:
    """Profile and its ``[[factors]]`` entry, with three decimals."""
    for group in sets:
        pairs = group.pairs
        full = by_model(pairs, group.with_use).values()
        entry: dict[str, object] = {
            "workload_class": group.workload_class,
            "reference": group.suite.reference_profile,
            "value": round(math.exp(centre(pairs, group.plainly)), 3),
            "interval": group.interval,
            "models": group.models,
            "rows": len(pairs),
            "tier": "1",
            "spread": round(statistics.stdev(by_model(pairs, group.plainly).values()), 3),
            "value_at_full_use": round(math.exp(centre(pairs, group.with_use)), 3),
            "value_at_full_reference_use": round(math.exp(centre(pairs, group.with_reference_use)), 3),
            "use_exponent": group.exponent,
            "spread_with_use": round(statistics.stdev(full), 3),
            "median_use": round(statistics.median(pair.use for pair in pairs), 3),
        }
        yield from ((profile, entry) for profile in group.suite.profiles)


def toml(entry: Mapping[str, object]) -> str:
    lines = [
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in entry.items()
    ]
    return "\n".join(["[[factors]]", *lines]) + "\n"


def plot(sets: Sequence[Set], path: Path) -> None:
    """Left: how often the error is below so much, by method. Right: the ratio over the use, one point a model and pair."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for number, (name, method) in enumerate(METHODS.items()):
        errors = sorted(abs(math.exp(error) - 1) for group in sets for error in method(group))
        shares = [(place + 1) / len(errors) for place in range(len(errors))]
        last = number == len(METHODS) - 1
        left.plot(
            [100 * error for error in errors],
            [100 * share for share in shares],
            label=name,
            linewidth=2.5 if last else 1.3,
            color="black" if last else f"C{number}",
        )
    left.set(xlim=(0, 100), ylim=(0, 100), xlabel="error at most, %", ylabel="share of the pairs, %")
    left.set_title("Error of the normalised energy")
    left.grid(alpha=0.3)
    left.legend(fontsize=8, loc="lower right")
    for number, group in enumerate(sets):
        uses = [pair.use for pair in group.pairs]
        right.scatter(
            uses,
            [math.exp(pair.log_ratio) for pair in group.pairs],
            s=9,
            alpha=0.45,
            color=f"C{number}",
            linewidths=0,
        )
        low, high = min(uses), max(uses)
        steps = [low + (high - low) * step / 50 for step in range(51)]
        full = math.exp(centre(group.pairs, group.with_use))
        right.plot(
            steps,
            [full * use**group.exponent for use in steps],
            color=f"C{number}",
            label=group.title,
            linewidth=2,
        )
    right.set(
        xlabel="use: mean power / power limit", ylabel="energy on the reference / energy here", yscale="log"
    )
    right.set_title("Measured ratios, and the formula")
    ticks = (0.4, 0.5, 0.7, 1.0, 1.4, 2.0)
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    right.minorticks_off()
    right.grid(alpha=0.3)
    right.legend(fontsize=7.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ENERGY_RATING_REFERENCE_DATA", DATA))
    )
    parser.add_argument("--factors", action="store_true", help="print the [[factors]] of the profiles")
    parser.add_argument("--vintage", action="store_true", help="print the file of the vintage 2026.2")
    parser.add_argument("--docs", type=Path, help="write the tables into this page, between its two markers")
    parser.add_argument("--plot", type=Path, help="draw the picture, as .png or .svg")
    options = parser.parse_args(argv)
    if not (options.data / "mlenergy_runs.csv").is_file():
        print(
            f"normalisation: there is no mlenergy_runs.csv in {options.data}; name the folder of the reference data with "
            "--data or ENERGY_RATING_REFERENCE_DATA",
            file=sys.stderr,
        )
        return 1
    sets = read_sets(options.data)
    if options.vintage:
        print(fitted.vintage_toml(fitted.read_groups(options.data)), end="")
    elif options.factors:
        for profile, entry in factors(sets):
            print(f"# {profile}\n{toml(entry)}")
    elif options.docs is None:
        print(whole_report(options.data), end="")
    if options.docs is not None:
        before, rest = options.docs.read_text(encoding="utf-8").split(START)
        _, after = rest.split(END)
        options.docs.write_text(
            f"{before}{START}\n\n{whole_report(options.data)}\n{END}{after}", encoding="utf-8"
        )
    if options.plot is not None:
        plot(sets, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
